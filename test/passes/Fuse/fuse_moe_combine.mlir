// RUN: hadal-opt %s --hadal-fuse-moe-combine | FileCheck %s

#tokens = #dsv3.layout<[tokens]>
#routed = #dsv3.layout<[routed]>

// Shared expert and residual in one sum, whatever the order of the adds.
// CHECK-LABEL: func @shared_then_residual
// CHECK: %[[S:.*]] = dsv3.linear
// CHECK-NEXT: dsv3.moe_combine %arg0 at %arg1 weighted %arg2 shared %[[S]] residual %arg3
// CHECK-NEXT: return
func.func @shared_then_residual(%r: tensor<?x64xbf16, #routed>, %p: tensor<?x2xi32, #tokens>, %w: tensor<?x2xf32, #tokens>, %x: tensor<?x64xbf16, #tokens>, %m: tensor<64x64xbf16>) -> tensor<?x64xbf16, #tokens> {
  %0 = dsv3.moe_combine %r at %p weighted %w : (tensor<?x64xbf16, #routed>, tensor<?x2xi32, #tokens>, tensor<?x2xf32, #tokens>) -> tensor<?x64xbf16, #tokens>
  %1 = dsv3.linear %x, %m : (tensor<?x64xbf16, #tokens>, tensor<64x64xbf16>) -> tensor<?x64xbf16, #tokens>
  %2 = dsv3.add %0, %1 : tensor<?x64xbf16, #tokens>
  %3 = dsv3.add %x, %2 : tensor<?x64xbf16, #tokens>
  return %3 : tensor<?x64xbf16, #tokens>
}

// CHECK-LABEL: func @residual_then_shared
// CHECK: %[[S:.*]] = dsv3.linear
// CHECK-NEXT: dsv3.moe_combine %arg0 at %arg1 weighted %arg2 shared %[[S]] residual %arg3
// CHECK-NEXT: return
func.func @residual_then_shared(%r: tensor<?x64xbf16, #routed>, %p: tensor<?x2xi32, #tokens>, %w: tensor<?x2xf32, #tokens>, %x: tensor<?x64xbf16, #tokens>, %m: tensor<64x64xbf16>) -> tensor<?x64xbf16, #tokens> {
  %0 = dsv3.moe_combine %r at %p weighted %w : (tensor<?x64xbf16, #routed>, tensor<?x2xi32, #tokens>, tensor<?x2xf32, #tokens>) -> tensor<?x64xbf16, #tokens>
  %2 = dsv3.add %0, %x : tensor<?x64xbf16, #tokens>
  %1 = dsv3.linear %x, %m : (tensor<?x64xbf16, #tokens>, tensor<64x64xbf16>) -> tensor<?x64xbf16, #tokens>
  %3 = dsv3.add %1, %2 : tensor<?x64xbf16, #tokens>
  return %3 : tensor<?x64xbf16, #tokens>
}

// Without a shared expert only the residual.
// CHECK-LABEL: func @residual_only
// CHECK-NEXT: dsv3.moe_combine %arg0 at %arg1 weighted %arg2 residual %arg3
// CHECK-NEXT: return
func.func @residual_only(%r: tensor<?x64xbf16, #routed>, %p: tensor<?x2xi32, #tokens>, %w: tensor<?x2xf32, #tokens>, %x: tensor<?x64xbf16, #tokens>) -> tensor<?x64xbf16, #tokens> {
  %0 = dsv3.moe_combine %r at %p weighted %w : (tensor<?x64xbf16, #routed>, tensor<?x2xi32, #tokens>, tensor<?x2xf32, #tokens>) -> tensor<?x64xbf16, #tokens>
  %3 = dsv3.add %x, %0 : tensor<?x64xbf16, #tokens>
  return %3 : tensor<?x64xbf16, #tokens>
}
