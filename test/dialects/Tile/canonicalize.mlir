// RUN: hadal-opt %s --canonicalize | FileCheck %s

// A slice of a slice, and shapes of a splat, become one op.
// CHECK-LABEL: tile.kernel @shapes
tile.kernel @shapes(%x: !tile.view<8x8xf32>, %y: !tile.view<?x4xf32>, %z: !tile.view<4xf32>) domain(%m = 8 by 8) {
  // CHECK-DAG: %[[S:.*]] = arith.constant dense<2.000000e+00> : tensor<2x4xf32>
  // CHECK-DAG: %[[L:.*]] = tile.load
  %a = tile.load %x[%m, %m] : !tile.view<8x8xf32> -> tensor<8x8xf32>
  %b = tile.slice %a [1, 2] : tensor<8x8xf32> -> tensor<6x6xf32>
  // CHECK: %[[B:.*]] = tile.slice %[[L]] [3, 2] : tensor<8x8xf32> -> tensor<2x4xf32>
  %c = tile.slice %b [2, 0] : tensor<6x6xf32> -> tensor<2x4xf32>
  // CHECK: tile.store %{{.*}}, %[[B]]
  tile.store %y[%m, %m], %c : !tile.view<?x4xf32>, tensor<2x4xf32>
  %s = arith.constant dense<2.0> : tensor<4x1xf32>
  %t = tile.transpose %s : tensor<4x1xf32> -> tensor<1x4xf32>
  %u = tile.broadcast %t : tensor<1x4xf32> -> tensor<2x4xf32>
  // CHECK: tile.store %{{.*}}, %[[S]]
  tile.store %y[%m, %m], %u : !tile.view<?x4xf32>, tensor<2x4xf32>
  // A scalar's splat is splat again.
  %d = tile.dim %x, 1 : !tile.view<8x8xf32>
  %i = arith.addi %d, %m : index
  %p = tile.splat %i : index -> tensor<2x2xi32>
  %q = tile.reshape %p : tensor<2x2xi32> -> tensor<1x4xi32>
  %r = arith.sitofp %q : tensor<1x4xi32> to tensor<1x4xf32>
  // CHECK: arith.addi %{{.*}}, %c8 : index
  // CHECK: tile.splat %{{.*}} : index -> tensor<1x4xi32>
  tile.store %y[%m, %m], %r : !tile.view<?x4xf32>, tensor<1x4xf32>
}

// Ops that change nothing vanish; the extent of a dynamic dimension stays.
// CHECK-LABEL: tile.kernel @identities
tile.kernel @identities(%x: !tile.view<?x8xf32>, %o: !tile.view<8xi32>) domain(%m = 4 by 4) {
  // CHECK: %[[L:.*]] = tile.load
  %a = tile.load %x[%m, %m] : !tile.view<?x8xf32> -> tensor<4x8xf32>
  %b = tile.slice %a [0, 0] : tensor<4x8xf32> -> tensor<4x8xf32>
  %c = tile.broadcast %b : tensor<4x8xf32> -> tensor<4x8xf32>
  %d = tile.transpose %c : tensor<4x8xf32> -> tensor<8x4xf32>
  %e = tile.transpose %d : tensor<8x4xf32> -> tensor<4x8xf32>
  %f = tile.reshape %e : tensor<4x8xf32> -> tensor<32xf32>
  %g = tile.reshape %f : tensor<32xf32> -> tensor<4x8xf32>
  %h = tile.concat %g dim 0 : tensor<4x8xf32> -> tensor<4x8xf32>
  %even, %odd = tile.deinterleave %h : tensor<4x8xf32> -> tensor<4x4xf32>, tensor<4x4xf32>
  %i = tile.interleave %even, %odd : tensor<4x4xf32>, tensor<4x4xf32> -> tensor<4x8xf32>
  %even2, %odd2 = tile.deinterleave %i : tensor<4x8xf32> -> tensor<4x4xf32>, tensor<4x4xf32>
  %j = tile.interleave %even2, %odd2 : tensor<4x4xf32>, tensor<4x4xf32> -> tensor<4x8xf32>
  // CHECK-NEXT: tile.store %{{.*}}, %[[L]]
  tile.store %x[%m, %m], %j : !tile.view<?x8xf32>, tensor<4x8xf32>
  // CHECK-NEXT: %[[D:.*]] = tile.dim %{{.*}}, 0
  %n = tile.dim %x, 0 : !tile.view<?x8xf32>
  %s = tile.splat %n : index -> tensor<1xi32>
  %r = tile.reduce add %s, 0 : tensor<1xi32> -> tensor<1xi32>
  // CHECK-NEXT: %[[S:.*]] = tile.splat %[[D]]
  // CHECK-NEXT: tile.store %{{.*}}, %[[S]]
  tile.store %o[%m], %r : !tile.view<8xi32>, tensor<1xi32>
}

// A fold over nothing yields its inits.
// CHECK-LABEL: tile.kernel @empty_fold
tile.kernel @empty_fold(%y: !tile.view<8xf32>) domain(%m = 8 by 8) {
  %c4 = arith.constant 4 : index
  // CHECK: %[[X:.*]] = arith.constant
  %x = arith.constant dense<3.0> : tensor<8xf32>
  // CHECK-NOT: tile.fold
  %r = tile.fold %k = %c4 to %c4 step 2 init(%a = %x : tensor<8xf32>) {
    %b = arith.addf %a, %a : tensor<8xf32>
    tile.yield %b : tensor<8xf32>
  } combine (%p), (%q) {
    tile.yield %p : tensor<8xf32>
  }
  // CHECK: tile.store %{{.*}}, %[[X]]
  tile.store %y[%m], %r : !tile.view<8xf32>, tensor<8xf32>
}
