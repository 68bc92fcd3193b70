// RUN: hadal-opt %s --hadal-lower-tile-to-sm90 --hadal-verify-sm90 -split-input-file | FileCheck %s

// One step of each form of the fold of a GEMM: order of stages, waits and products.

// A product that accumulates in place: the wgmma of one step is in flight when
// that of the next is issued, and a stage is given back one step later.
// CHECK-LABEL: sm90.kernel @in_flight
// CHECK: %[[RING:[a-zA-Z0-9_]+]] = sm90.ring consumers 4
// CHECK: sm90.pdl_launch
// CHECK: sm90.roles {{.*}} load {
// CHECK: sm90.pdl_wait
// CHECK: scf.for {{.*}} iter_args(%[[USE:[a-zA-Z0-9_]+]] = %c0_i64
// CHECK: %[[EMPTY:[a-zA-Z0-9_]+]]:2 = sm90.acquire %[[RING]][%[[USE]]]
// CHECK: sm90.tma_load {{.*}} to %[[EMPTY]]#0 in %[[RING]][%[[USE]]]
// CHECK: sm90.tma_load {{.*}} to %[[EMPTY]]#1 in %[[RING]][%[[USE]]]
// CHECK: sm90.commit %[[RING]][%[[USE]]]
// CHECK: sm90.pdl_wait
// CHECK: %[[FULL:[a-zA-Z0-9_]+]]:2 = sm90.await %[[RING]][%[[ZERO:[a-zA-Z0-9_]+]]]
// CHECK: sm90.mma_fence
// CHECK: %[[FIRST:[a-zA-Z0-9_]+]] = sm90.mma tile %[[FULL]]#0 : {{.*}} by %[[FULL]]#1 : <64x64xbf16> -> <32>
// CHECK: sm90.mma_commit
// CHECK: sm90.hold %[[RING]][%[[ZERO]]]
// CHECK: %[[LOOP:[a-zA-Z0-9_]+]]:2 = scf.for {{.*}} iter_args(%[[ACC:[a-zA-Z0-9_]+]] = %[[FIRST]], %[[HELD:[a-zA-Z0-9_]+]] = %[[ZERO]])
// CHECK: %[[NEXT:[a-zA-Z0-9_]+]] = arith.addi %[[HELD]]
// CHECK: %[[STAGE:[a-zA-Z0-9_]+]]:2 = sm90.await %[[RING]][%[[NEXT]]]
// CHECK: %[[SUM:[a-zA-Z0-9_]+]] = sm90.mma tile %[[STAGE]]#0 : {{.*}} by %[[STAGE]]#1 {{.*}} into %[[ACC]]
// CHECK: sm90.hold %[[RING]][%[[NEXT]]]
// CHECK: %[[STILL:[a-zA-Z0-9_]+]] = sm90.mma_wait{{ +}}still %[[SUM]] {{.*}} pending 1
// CHECK: sm90.drop %[[RING]][%[[HELD]]]
// CHECK: scf.yield %[[STILL]], %[[NEXT]]
// CHECK: sm90.mma_wait %[[LOOP]]#0
// CHECK: sm90.drop %[[RING]][%[[LOOP]]#1]
tile.kernel @in_flight(%x: !tile.view<256x256xbf16>, %w: !tile.view<64x256xbf16>, %y: !tile.view<256x64xf32>, %sz: !tile.sizes) domain(%m = 256 by 64) schedule {ctas = 1 : i64, early = 0 : i64, regs = "launch", split = 1 : i64, stages = 2 : i64, swap_ab = false, unroll = 1 : i64, warpgroups = 1 : i64} {
  %c = arith.constant 0 : index
  %n = arith.constant 256 : index
  %z = arith.constant dense<0.0> : tensor<64x64xf32>
  %d = tile.fold %k = %c to %n step 64 init(%s = %z : tensor<64x64xf32>) {
    %a = tile.load %x[%m, %k] : !tile.view<256x256xbf16> -> tensor<64x64xbf16>
    %b = tile.load %w[%c, %k] : !tile.view<64x256xbf16> -> tensor<64x64xbf16>
    %p = tile.dot %a, %b, %s tb : tensor<64x64xbf16>, tensor<64x64xbf16>, tensor<64x64xf32>
    tile.yield %p : tensor<64x64xf32>
  } combine (%p), (%q) {
    %t = arith.addf %p, %q : tensor<64x64xf32>
    tile.yield %t : tensor<64x64xf32>
  }
  tile.store %y[%m, %c], %d : !tile.view<256x64xf32>, tensor<64x64xf32>
}

// -----

// Weights, which no kernel writes, are asked for before the wait for the kernels
// ahead, activations behind it. The loop goes on with the step and the use behind
// the early ones; in a launch without rows the consumers drain these.
// CHECK-LABEL: sm90.kernel @early
// CHECK: %[[RING:[a-zA-Z0-9_]+]] = sm90.ring
// CHECK: sm90.roles {{.*}} load {
// CHECK-NOT: sm90.pdl_wait
// CHECK: scf.for %[[USE:[a-zA-Z0-9_]+]] = {{.*}} to %[[EARLY:[a-zA-Z0-9_]+]] step
// CHECK: %[[EMPTY:[a-zA-Z0-9_]+]]:2 = sm90.acquire %[[RING]][%[[USE]]]
// CHECK-NOT: to %[[EMPTY]]#0
// CHECK: sm90.tma_load {{.*}} to %[[EMPTY]]#1
// CHECK: sm90.defer %[[RING]][%[[USE]]]
// CHECK: sm90.pdl_wait
// CHECK: scf.for %[[AGAIN:[a-zA-Z0-9_]+]] = {{.*}} to %[[EARLY]] step
// CHECK: %[[OPEN:[a-zA-Z0-9_]+]]:2 = sm90.resume %[[RING]][%[[AGAIN]]]
// CHECK: sm90.tma_load {{.*}} to %[[OPEN]]#0
// CHECK-NOT: to %[[OPEN]]#1
// CHECK: sm90.commit %[[RING]][%[[AGAIN]]]
// CHECK: scf.if
// CHECK: scf.for {{.*}} iter_args(%{{.*}} = %[[EARLY]])
// CHECK: sm90.acquire
// CHECK: sm90.pdl_wait
// CHECK: scf.if
// CHECK: sm90.await %[[RING]][%c0_i64{{.*}}]
// CHECK: } else {
// CHECK: scf.for %[[LEFT:[a-zA-Z0-9_]+]] =
// CHECK-NEXT: sm90.await %[[RING]][%[[LEFT]]]
// CHECK-NEXT: sm90.release %[[RING]][%[[LEFT]]]
tile.kernel @early(%x: !tile.view<?x256xbf16>, %w: !tile.view<64x256xbf16> {constant}, %y: !tile.view<?x64xf32>, %sz: !tile.sizes) domain(%m = ? by 64 in tokens) schedule {ctas = 1 : i64, early = 1 : i64, regs = "launch", split = 1 : i64, stages = 2 : i64, swap_ab = false, unroll = 1 : i64, warpgroups = 1 : i64} {
  %c = arith.constant 0 : index
  %n = arith.constant 256 : index
  %z = arith.constant dense<0.0> : tensor<64x64xf32>
  %d = tile.fold %k = %c to %n step 64 init(%s = %z : tensor<64x64xf32>) {
    %a = tile.load %x[%m, %k] : !tile.view<?x256xbf16> -> tensor<64x64xbf16>
    %b = tile.load %w[%c, %k] : !tile.view<64x256xbf16> -> tensor<64x64xbf16>
    %p = tile.dot %a, %b, %s tb : tensor<64x64xbf16>, tensor<64x64xbf16>, tensor<64x64xf32>
    tile.yield %p : tensor<64x64xf32>
  } combine (%p), (%q) {
    %t = arith.addf %p, %q : tensor<64x64xf32>
    tile.yield %t : tensor<64x64xf32>
  }
  tile.store %y[%m, %c], %d : !tile.view<?x64xf32>, tensor<64x64xf32>
}

// -----

// FP8: each block of K from zero, waited for; the stage is given back before the
// promotion, sum = product * scales + sum.
// CHECK-LABEL: sm90.kernel @promoted
// CHECK: %[[RING:[a-zA-Z0-9_]+]] = sm90.ring
// CHECK: sm90.roles
// CHECK: sm90.pdl_wait
// CHECK: sm90.pdl_wait
// CHECK: scf.for {{.*}} iter_args(%[[SUM:[a-zA-Z0-9_]+]] = {{.*}}, %[[USE:[a-zA-Z0-9_]+]] = %c0_i64{{.*}})
// CHECK: %[[FULL:[a-zA-Z0-9_]+]]:2 = sm90.await %[[RING]][%[[USE]]]
// CHECK: sm90.mma_fence{{$}}
// CHECK: %[[PRODUCT:[a-zA-Z0-9_]+]] = sm90.mma tile %[[FULL]]#0
// CHECK-NOT: into
// CHECK: %[[VALUES:[a-zA-Z0-9_]+]] = sm90.mma_wait %[[PRODUCT]]
// CHECK: sm90.release %[[RING]][%[[USE]]]
// CHECK: math.fma %[[VALUES]], %{{.*}}, %[[SUM]] : vector<32xf32>
tile.kernel @promoted(%x: !tile.view<256x256xf8E4M3FN, scale<1x128>>, %w: !tile.view<64x256xf8E4M3FN, scale<128x128>>, %y: !tile.view<256x64xf32>, %sz: !tile.sizes) domain(%m = 256 by 64) schedule {ctas = 1 : i64, early = 0 : i64, regs = "launch", split = 1 : i64, stages = 2 : i64, swap_ab = false, unroll = 1 : i64, warpgroups = 1 : i64} {
  %c = arith.constant 0 : index
  %n = arith.constant 256 : index
  %z = arith.constant dense<0.0> : tensor<64x64xf32>
  %d = tile.fold %k = %c to %n step 128 init(%s = %z : tensor<64x64xf32>) {
    %a, %sa = tile.load %x[%m, %k] : !tile.view<256x256xf8E4M3FN, scale<1x128>> -> tensor<64x128xf8E4M3FN>, tensor<64x1xf32>
    %b, %sb = tile.load %w[%c, %k] : !tile.view<64x256xf8E4M3FN, scale<128x128>> -> tensor<64x128xf8E4M3FN>, tensor<1x1xf32>
    %p = tile.dot_scaled %a * %sa : tensor<64x1xf32>, %b * %sb, %s : tensor<64x128xf8E4M3FN>, tensor<64x128xf8E4M3FN>, tensor<1x1xf32>, tensor<64x64xf32>
    tile.yield %p : tensor<64x64xf32>
  } combine (%p), (%q) {
    %t = arith.addf %p, %q : tensor<64x64xf32>
    tile.yield %t : tensor<64x64xf32>
  }
  tile.store %y[%m, %c], %d : !tile.view<256x64xf32>, tensor<64x64xf32>
}

// -----

// swap_ab: the weights are operand a. Behind the fold the states pass through one
// staging memory: it is not written again before all warps have read it.
// CHECK-LABEL: sm90.kernel @swapped
// CHECK: %[[RING:[a-zA-Z0-9_]+]] = sm90.ring {{.*}}<8x64xbf16>, !sm90.tile<64x64xbf16>, !sm90.tile<64x64xbf16>
// CHECK: %[[STAGING:[a-zA-Z0-9_]+]] = sm90.shared 2176
// CHECK: %[[FULL:[a-zA-Z0-9_]+]]:3 = sm90.await %[[RING]]
// CHECK: sm90.mma tile %[[FULL]]#1 : {{.*}} by %[[FULL]]#0
// CHECK: sm90.mma tile %[[FULL]]#2 : {{.*}} by %[[FULL]]#0
// CHECK: sm90.release %[[RING]]
// CHECK: llvm.store {{.*}} : f32, !llvm.ptr<3>
// CHECK-NOT: llvm.load
// CHECK: sm90.named_barrier 1, 128
// CHECK: llvm.load {{.*}} : !llvm.ptr<3>
// CHECK: sm90.named_barrier 1, 128
// CHECK: llvm.store {{.*}} : f32, !llvm.ptr<3>
// CHECK-NOT: llvm.load
// CHECK: sm90.named_barrier 1, 128
// CHECK: llvm.load {{.*}} : !llvm.ptr<3>
// CHECK-NOT: sm90.named_barrier
tile.kernel @swapped(%x: !tile.view<256x256xbf16>, %w: !tile.view<64x256xbf16>, %u: !tile.view<64x256xbf16>, %y: !tile.view<256x64xf32>, %sz: !tile.sizes) domain(%m = 256 by 8) schedule {ctas = 1 : i64, early = 0 : i64, regs = "launch", split = 1 : i64, stages = 2 : i64, swap_ab = true, unroll = 1 : i64, warpgroups = 1 : i64} {
  %c = arith.constant 0 : index
  %n = arith.constant 256 : index
  %z = arith.constant dense<0.0> : tensor<8x64xf32>
  %d:2 = tile.fold %k = %c to %n step 64 init(%s = %z : tensor<8x64xf32>, %r = %z : tensor<8x64xf32>) {
    %a = tile.load %x[%m, %k] : !tile.view<256x256xbf16> -> tensor<8x64xbf16>
    %b = tile.load %w[%c, %k] : !tile.view<64x256xbf16> -> tensor<64x64xbf16>
    %e = tile.load %u[%c, %k] : !tile.view<64x256xbf16> -> tensor<64x64xbf16>
    %p = tile.dot %a, %b, %s tb : tensor<8x64xbf16>, tensor<64x64xbf16>, tensor<8x64xf32>
    %q = tile.dot %a, %e, %r tb : tensor<8x64xbf16>, tensor<64x64xbf16>, tensor<8x64xf32>
    tile.yield %p, %q : tensor<8x64xf32>, tensor<8x64xf32>
  } combine (%p, %q), (%f, %g) {
    %t = arith.addf %p, %f : tensor<8x64xf32>
    %v = arith.addf %q, %g : tensor<8x64xf32>
    tile.yield %t, %v : tensor<8x64xf32>, tensor<8x64xf32>
  }
  %o = arith.mulf %d#0, %d#1 : tensor<8x64xf32>
  tile.store %y[%m, %c], %o : !tile.view<256x64xf32>, tensor<8x64xf32>
}
