// RUN: hadal-opt %s --hadal-fuse-gated-linear | FileCheck %s
// RUN: hadal-opt %s --hadal-fuse-gated-linear -verify-diagnostics -o /dev/null

#tokens = #dsv3.layout<[tokens]>
#routed = #dsv3.layout<[routed]>
#stack = #dsv3.layout<stack>
#fp8_tokens = #dsv3.layout<[tokens], scale = <1x128, f32, k>>

// Gate, up and SwiGLU, with the quantisation that alone reads them.
// CHECK-LABEL: func @quantised
// CHECK-NEXT: %[[Y:.*]] = dsv3.gated_linear %arg0, %arg1, %arg2 floor 1.000000e-04 : {{.*}} -> tensor<?x64xf8E4M3FN, #fp8_tokens>
// CHECK-NEXT: return %[[Y]]
func.func @quantised(%x: tensor<?x256xbf16, #tokens>, %g: tensor<64x256xbf16>, %u: tensor<64x256xbf16>) -> tensor<?x64xf8E4M3FN, #fp8_tokens> {
  %0 = dsv3.linear %x, %g : (tensor<?x256xbf16, #tokens>, tensor<64x256xbf16>) -> tensor<?x64xbf16, #tokens>
  %1 = dsv3.linear %x, %u : (tensor<?x256xbf16, #tokens>, tensor<64x256xbf16>) -> tensor<?x64xbf16, #tokens>
  %2 = dsv3.silu_mul %0, %1 : tensor<?x64xbf16, #tokens>
  %3 = dsv3.quantize_tiles %2 floor 1.0e-4 : (tensor<?x64xbf16, #tokens>) -> tensor<?x64xf8E4M3FN, #fp8_tokens>
  return %3 : tensor<?x64xf8E4M3FN, #fp8_tokens>
}

// Experts keep their offsets and their gather.
// CHECK-LABEL: func @experts
// CHECK-NEXT: dsv3.gated_linear %arg0, %arg1, %arg2 experts(%arg3) gather(%arg4) :
func.func @experts(%x: tensor<?x256xbf16, #tokens>, %g: tensor<4x64x256xbf16, #stack>, %u: tensor<4x64x256xbf16, #stack>, %b: tensor<5xi32>, %s: tensor<?xi32, #routed>) -> tensor<?x64xbf16, #routed> {
  %0 = dsv3.linear %x, %g experts(%b) gather(%s) : (tensor<?x256xbf16, #tokens>, tensor<4x64x256xbf16, #stack>, tensor<5xi32>, tensor<?xi32, #routed>) -> tensor<?x64xbf16, #routed>
  %1 = dsv3.linear %x, %u experts(%b) gather(%s) : (tensor<?x256xbf16, #tokens>, tensor<4x64x256xbf16, #stack>, tensor<5xi32>, tensor<?xi32, #routed>) -> tensor<?x64xbf16, #routed>
  %2 = dsv3.silu_mul %0, %1 : tensor<?x64xbf16, #routed>
  return %2 : tensor<?x64xbf16, #routed>
}

// Different inputs are different kernels.
// CHECK-LABEL: func @two_inputs
// CHECK: dsv3.silu_mul
func.func @two_inputs(%x: tensor<?x256xbf16, #tokens>, %y: tensor<?x256xbf16, #tokens>, %g: tensor<64x256xbf16>) -> tensor<?x64xbf16, #tokens> {
  %0 = dsv3.linear %x, %g : (tensor<?x256xbf16, #tokens>, tensor<64x256xbf16>) -> tensor<?x64xbf16, #tokens>
  %1 = dsv3.linear %y, %g : (tensor<?x256xbf16, #tokens>, tensor<64x256xbf16>) -> tensor<?x64xbf16, #tokens>
  // expected-remark@+1 {{not fused: gate and up read different rows}}
  %2 = dsv3.silu_mul %0, %1 : tensor<?x64xbf16, #tokens>
  return %2 : tensor<?x64xbf16, #tokens>
}

// A gate that something else reads is computed anyway.
// CHECK-LABEL: func @other_reader
// CHECK: dsv3.silu_mul
func.func @other_reader(%x: tensor<?x256xbf16, #tokens>, %g: tensor<64x256xbf16>, %u: tensor<64x256xbf16>) -> (tensor<?x64xbf16, #tokens>, tensor<?x64xbf16, #tokens>) {
  %0 = dsv3.linear %x, %g : (tensor<?x256xbf16, #tokens>, tensor<64x256xbf16>) -> tensor<?x64xbf16, #tokens>
  %1 = dsv3.linear %x, %u : (tensor<?x256xbf16, #tokens>, tensor<64x256xbf16>) -> tensor<?x64xbf16, #tokens>
  // expected-remark@+1 {{not fused: gate or up has another reader}}
  %2 = dsv3.silu_mul %0, %1 : tensor<?x64xbf16, #tokens>
  return %0, %2 : tensor<?x64xbf16, #tokens>, tensor<?x64xbf16, #tokens>
}
