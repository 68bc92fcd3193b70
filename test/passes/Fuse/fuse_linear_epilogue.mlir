// RUN: hadal-opt %s --hadal-fuse-linear-epilogue | FileCheck %s

#tokens = #dsv3.layout<[tokens]>

// RoPE of the queries rides on their GEMM.
// CHECK-LABEL: func @rope
// CHECK-NEXT: dsv3.linear %arg0, %arg1 rope(%arg2, %arg3) heads 8 rope 4 :
// CHECK-NEXT: return
func.func @rope(%x: tensor<?x256xbf16, #tokens>, %w: tensor<64x256xbf16>, %t: tensor<16x2x2xf32>, %b: !dsv3.batch) -> tensor<?x64xbf16, #tokens> {
  %0 = dsv3.linear %x, %w : (tensor<?x256xbf16, #tokens>, tensor<64x256xbf16>) -> tensor<?x64xbf16, #tokens>
  %1 = dsv3.rope %0, %t, %b heads 8 rope 4 : (tensor<?x64xbf16, #tokens>, tensor<16x2x2xf32>, !dsv3.batch) -> tensor<?x64xbf16, #tokens>
  return %1 : tensor<?x64xbf16, #tokens>
}

// So does a residual, on either side of the add.
// CHECK-LABEL: func @residual
// CHECK-NEXT: %[[A:.*]] = dsv3.linear %arg0, %arg1 residual(%arg2) :
// CHECK-NEXT: dsv3.linear %arg0, %arg1 residual(%[[A]]) :
// CHECK-NEXT: return
func.func @residual(%x: tensor<?x256xbf16, #tokens>, %w: tensor<64x256xbf16>, %r: tensor<?x64xbf16, #tokens>) -> tensor<?x64xbf16, #tokens> {
  %0 = dsv3.linear %x, %w : (tensor<?x256xbf16, #tokens>, tensor<64x256xbf16>) -> tensor<?x64xbf16, #tokens>
  %1 = dsv3.add %r, %0 : tensor<?x64xbf16, #tokens>
  %2 = dsv3.linear %x, %w : (tensor<?x256xbf16, #tokens>, tensor<64x256xbf16>) -> tensor<?x64xbf16, #tokens>
  %3 = dsv3.add %2, %1 : tensor<?x64xbf16, #tokens>
  return %3 : tensor<?x64xbf16, #tokens>
}

// A linear that something else reads stays, and so does its add.
// CHECK-LABEL: func @other_reader
// CHECK: dsv3.add
func.func @other_reader(%x: tensor<?x256xbf16, #tokens>, %w: tensor<64x256xbf16>, %r: tensor<?x64xbf16, #tokens>) -> (tensor<?x64xbf16, #tokens>, tensor<?x64xbf16, #tokens>) {
  %0 = dsv3.linear %x, %w : (tensor<?x256xbf16, #tokens>, tensor<64x256xbf16>) -> tensor<?x64xbf16, #tokens>
  %1 = dsv3.add %r, %0 : tensor<?x64xbf16, #tokens>
  return %0, %1 : tensor<?x64xbf16, #tokens>, tensor<?x64xbf16, #tokens>
}
