// RUN: hadal-opt %s --hadal-fuse-latent-cache | FileCheck %s
// RUN: hadal-opt %s --hadal-fuse-latent-cache -verify-diagnostics -o /dev/null

#tokens = #dsv3.layout<[tokens]>
#fp8_tokens = #dsv3.layout<[tokens], scale = <1x128, f32, k>>

// Behind q_a | kv_a: both norms, the query's quantisation, RoPE and the write,
// in front of the query's readers.
// CHECK-LABEL: func @with_query
// CHECK-NEXT: %[[Q:.*]] = dsv3.latent_norm_rope_cache %arg0 query %arg1 latent %arg2 rope %arg3, %arg4 to %arg5 eps 5.000000e-01 floor 1.000000e-04 : {{.*}} quantized tensor<?x124xf8E4M3FN, #fp8_tokens>
// CHECK-NEXT: return %[[Q]]
func.func @with_query(%x: tensor<?x256xbf16, #tokens>, %nq: tensor<124xf32>, %nkv: tensor<128xf32>, %t: tensor<16x2x2xf32>, %b: !dsv3.batch, %c: !dsv3.cache<128 + 4 x bf16>) -> tensor<?x124xf8E4M3FN, #fp8_tokens> {
  %0 = dsv3.slice %x at 0 : (tensor<?x256xbf16, #tokens>) -> tensor<?x124xbf16, #tokens>
  %1 = dsv3.rms_norm %0, %nq eps 0.5 : (tensor<?x124xbf16, #tokens>, tensor<124xf32>) -> tensor<?x124xbf16, #tokens>
  %2 = dsv3.quantize_tiles %1 floor 1.0e-4 : (tensor<?x124xbf16, #tokens>) -> tensor<?x124xf8E4M3FN, #fp8_tokens>
  %3 = dsv3.slice %x at 124 : (tensor<?x256xbf16, #tokens>) -> tensor<?x128xbf16, #tokens>
  %4 = dsv3.rms_norm %3, %nkv eps 0.5 : (tensor<?x128xbf16, #tokens>, tensor<128xf32>) -> tensor<?x128xbf16, #tokens>
  %5 = dsv3.slice %x at 252 : (tensor<?x256xbf16, #tokens>) -> tensor<?x4xbf16, #tokens>
  %6 = dsv3.rope %5, %t, %b heads 1 rope 4 : (tensor<?x4xbf16, #tokens>, tensor<16x2x2xf32>, !dsv3.batch) -> tensor<?x4xbf16, #tokens>
  dsv3.append_latent %4, %6, %b to %c : (tensor<?x128xbf16, #tokens>, tensor<?x4xbf16, #tokens>, !dsv3.batch, !dsv3.cache<128 + 4 x bf16>) -> ()
  return %2 : tensor<?x124xf8E4M3FN, #fp8_tokens>
}

// An unquantised query (W8A16) is stored as it is.
// CHECK-LABEL: func @unquantised
// CHECK-NEXT: dsv3.latent_norm_rope_cache {{.*}} eps 5.000000e-01 : {{.*}} norm tensor<?x124xbf16, #tokens>
func.func @unquantised(%x: tensor<?x256xbf16, #tokens>, %nq: tensor<124xf32>, %nkv: tensor<128xf32>, %t: tensor<16x2x2xf32>, %b: !dsv3.batch, %c: !dsv3.cache<128 + 4 x bf16>) -> tensor<?x124xbf16, #tokens> {
  %0 = dsv3.slice %x at 0 : (tensor<?x256xbf16, #tokens>) -> tensor<?x124xbf16, #tokens>
  %1 = dsv3.rms_norm %0, %nq eps 0.5 : (tensor<?x124xbf16, #tokens>, tensor<124xf32>) -> tensor<?x124xbf16, #tokens>
  %3 = dsv3.slice %x at 124 : (tensor<?x256xbf16, #tokens>) -> tensor<?x128xbf16, #tokens>
  %4 = dsv3.rms_norm %3, %nkv eps 0.5 : (tensor<?x128xbf16, #tokens>, tensor<128xf32>) -> tensor<?x128xbf16, #tokens>
  %5 = dsv3.slice %x at 252 : (tensor<?x256xbf16, #tokens>) -> tensor<?x4xbf16, #tokens>
  %6 = dsv3.rope %5, %t, %b heads 1 rope 4 : (tensor<?x4xbf16, #tokens>, tensor<16x2x2xf32>, !dsv3.batch) -> tensor<?x4xbf16, #tokens>
  dsv3.append_latent %4, %6, %b to %c : (tensor<?x128xbf16, #tokens>, tensor<?x4xbf16, #tokens>, !dsv3.batch, !dsv3.cache<128 + 4 x bf16>) -> ()
  return %1 : tensor<?x124xbf16, #tokens>
}

// Behind kv_a alone there is no query.
// CHECK-LABEL: func @without_query
// CHECK-NEXT: dsv3.latent_norm_rope_cache %arg0 latent %arg1 rope %arg2, %arg3 to %arg4 eps
// CHECK-NEXT: return
func.func @without_query(%x: tensor<?x132xbf16, #tokens>, %nkv: tensor<128xf32>, %t: tensor<16x2x2xf32>, %b: !dsv3.batch, %c: !dsv3.cache<128 + 4 x bf16>) {
  %3 = dsv3.slice %x at 0 : (tensor<?x132xbf16, #tokens>) -> tensor<?x128xbf16, #tokens>
  %4 = dsv3.rms_norm %3, %nkv eps 0.5 : (tensor<?x128xbf16, #tokens>, tensor<128xf32>) -> tensor<?x128xbf16, #tokens>
  %5 = dsv3.slice %x at 128 : (tensor<?x132xbf16, #tokens>) -> tensor<?x4xbf16, #tokens>
  %6 = dsv3.rope %5, %t, %b heads 1 rope 4 : (tensor<?x4xbf16, #tokens>, tensor<16x2x2xf32>, !dsv3.batch) -> tensor<?x4xbf16, #tokens>
  dsv3.append_latent %4, %6, %b to %c : (tensor<?x128xbf16, #tokens>, tensor<?x4xbf16, #tokens>, !dsv3.batch, !dsv3.cache<128 + 4 x bf16>) -> ()
  return
}

// A write of anything else stays, with the reason.
// CHECK-LABEL: func @foreign
// CHECK-NEXT: dsv3.append_latent
func.func @foreign(%l: tensor<?x128xbf16, #tokens>, %r: tensor<?x4xbf16, #tokens>, %b: !dsv3.batch, %c: !dsv3.cache<128 + 4 x bf16>) {
  // expected-remark@+1 {{not fused: the operands are not a norm and a rotation of one head}}
  dsv3.append_latent %l, %r, %b to %c : (tensor<?x128xbf16, #tokens>, tensor<?x4xbf16, #tokens>, !dsv3.batch, !dsv3.cache<128 + 4 x bf16>) -> ()
  return
}

// Two norms of different eps are not one operation.
// CHECK-LABEL: func @two_eps
// CHECK: dsv3.append_latent
func.func @two_eps(%x: tensor<?x256xbf16, #tokens>, %nq: tensor<124xf32>, %nkv: tensor<128xf32>, %t: tensor<16x2x2xf32>, %b: !dsv3.batch, %c: !dsv3.cache<128 + 4 x bf16>) -> tensor<?x124xbf16, #tokens> {
  %0 = dsv3.slice %x at 0 : (tensor<?x256xbf16, #tokens>) -> tensor<?x124xbf16, #tokens>
  %1 = dsv3.rms_norm %0, %nq eps 0.25 : (tensor<?x124xbf16, #tokens>, tensor<124xf32>) -> tensor<?x124xbf16, #tokens>
  %3 = dsv3.slice %x at 124 : (tensor<?x256xbf16, #tokens>) -> tensor<?x128xbf16, #tokens>
  %4 = dsv3.rms_norm %3, %nkv eps 0.5 : (tensor<?x128xbf16, #tokens>, tensor<128xf32>) -> tensor<?x128xbf16, #tokens>
  %5 = dsv3.slice %x at 252 : (tensor<?x256xbf16, #tokens>) -> tensor<?x4xbf16, #tokens>
  %6 = dsv3.rope %5, %t, %b heads 1 rope 4 : (tensor<?x4xbf16, #tokens>, tensor<16x2x2xf32>, !dsv3.batch) -> tensor<?x4xbf16, #tokens>
  // expected-remark@+1 {{not fused: the two norms have different eps}}
  dsv3.append_latent %4, %6, %b to %c : (tensor<?x128xbf16, #tokens>, tensor<?x4xbf16, #tokens>, !dsv3.batch, !dsv3.cache<128 + 4 x bf16>) -> ()
  return %1 : tensor<?x124xbf16, #tokens>
}
