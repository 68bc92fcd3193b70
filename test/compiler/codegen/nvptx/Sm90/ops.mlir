// RUN: hadal-opt %s | hadal-opt | FileCheck %s
// RUN: hadal-opt %s --hadal-verify-sm90 | FileCheck %s
// RUN: hadal-opt %s --hadal-verify-sm90 --hadal-convert-sm90 | FileCheck %s --check-prefix=LLVM
// RUN: hadal-opt %s --hadal-convert-sm90 | FileCheck %s --check-prefix=LOAD

// A whole kernel round-trips, passes the verifier and becomes an llvm function:
// barriers behind the stages, one elected lane for each copy, all of K in one
// block of wgmma, everything tied at the wait.
// CHECK-LABEL: sm90.kernel @gemm
// LLVM-LABEL: llvm.func ptx_kernelcc @gemm
// LLVM-SAME: !llvm.ptr {llvm.align = 64 : i64, llvm.byval = !llvm.array<128 x i8>}
// LLVM-SAME: hadal.shared_bytes = 65568 : i64
sm90.kernel @gemm(%y: !llvm.ptr<1>, %n: i64, %a: !sm90.tensor_map, %b: !sm90.tensor_map)
    attributes {threads = 256 : i64, tensor_maps = [
      #sm90.map<slot 0 : bf16 extents [256, -2] strides [2, 512] box [64, 64] swizzle 128>,
      #sm90.map<slot 0 : bf16 extents [256, 192] strides [2, 512] box [64, 192] swizzle 128>]} {
  // CHECK: sm90.ring consumers 4 : <2 x[!sm90.tile<64x64xbf16>, !sm90.tile<192x64xbf16>]>
  // LLVM: mbarrier.init.shared::cta.b64
  %ring = sm90.ring consumers 4 : !sm90.ring<2 x [!sm90.tile<64x64xbf16>, !sm90.tile<192x64xbf16>]>
  sm90.pdl_wait
  %c0 = arith.constant 0 : i64
  %c1 = arith.constant 1 : i64
  %c4 = arith.constant 4 : i64
  %x = arith.constant 0 : i32
  // CHECK: sm90.roles
  sm90.roles attributes {warpgroups = 1 : i64, load_registers = 0 : i64, mma_registers = 0 : i64}
  load {
    scf.for %k = %c0 to %c4 step %c1 : i64 {
      // LOAD: mbarrier.arrive.expect_tx
      // LOAD-COUNT-2: cp.async.bulk.tensor.2d
      %ta, %tb = sm90.acquire %ring[%k] : !sm90.ring<2 x [!sm90.tile<64x64xbf16>, !sm90.tile<192x64xbf16>]> -> !sm90.tile<64x64xbf16>, !sm90.tile<192x64xbf16>
      // CHECK: sm90.tma_load
      sm90.tma_load %a[%x, %x] to %ta in %ring[%k] : !sm90.tile<64x64xbf16>, !sm90.ring<2 x [!sm90.tile<64x64xbf16>, !sm90.tile<192x64xbf16>]>
      sm90.tma_load %b[%x, %x] to %tb in %ring[%k] : !sm90.tile<192x64xbf16>, !sm90.ring<2 x [!sm90.tile<64x64xbf16>, !sm90.tile<192x64xbf16>]>
      sm90.commit %ring[%k] : !sm90.ring<2 x [!sm90.tile<64x64xbf16>, !sm90.tile<192x64xbf16>]>
    }
  } mma(%wg) {
    %zero = arith.constant dense<0.0> : vector<96xf32>
    %sum = scf.for %k = %c0 to %c4 step %c1 iter_args(%acc = %zero) -> (vector<96xf32>) : i64 {
      %ta, %tb = sm90.await %ring[%k] : !sm90.ring<2 x [!sm90.tile<64x64xbf16>, !sm90.tile<192x64xbf16>]> -> !sm90.tile<64x64xbf16>, !sm90.tile<192x64xbf16>
      // LLVM: wgmma.fence.sync.aligned
      sm90.mma_fence
      // CHECK: sm90.mma tile
      // LLVM: wgmma.mma_async.sync.aligned.m64n192k16.f32.bf16.bf16
      %p = sm90.mma tile %ta : !sm90.tile<64x64xbf16> by %tb : !sm90.tile<192x64xbf16> -> !sm90.acc<96>
      sm90.mma_commit
      // CHECK: sm90.mma_wait
      // LLVM: wgmma.wait_group.sync.aligned 0;
      %v = sm90.mma_wait %p : !sm90.acc<96> -> vector<96xf32>
      sm90.release %ring[%k] : !sm90.ring<2 x [!sm90.tile<64x64xbf16>, !sm90.tile<192x64xbf16>]>
      %next = arith.addf %acc, %v : vector<96xf32>
      scf.yield %next : vector<96xf32>
    }
    // CHECK: sm90.row_reduce max
    // LLVM: llvm.nvvm.shfl.sync.bfly.f32
    %m = sm90.row_reduce max %sum : vector<96xf32> -> vector<2xf32>
    %codes = sm90.to_e4m3 %sum : vector<96xf32> -> vector<48xi16>
    sm90.named_barrier 1, 128
  }
}

// An accumulator stays in flight past a wait for an older one.
// CHECK-LABEL: sm90.kernel @still
sm90.kernel @still() attributes {threads = 128 : i64} {
  %a = sm90.tile_alloc : !sm90.tile<64x64xbf16>
  sm90.mma_fence
  %p = sm90.mma tile %a : !sm90.tile<64x64xbf16> by %a : !sm90.tile<64x64xbf16> -> !sm90.acc<32>
  sm90.mma_commit
  %q = sm90.mma tile %a : !sm90.tile<64x64xbf16> by %a : !sm90.tile<64x64xbf16> -> !sm90.acc<32>
  sm90.mma_commit
  // CHECK: sm90.mma_wait %{{.*}} still %{{.*}} : !sm90.acc<32> pending 1 : !sm90.acc<32> -> vector<32xf32> still !sm90.acc<32>
  // LLVM: wgmma.wait_group.sync.aligned 1;
  %v, %f = sm90.mma_wait %p still %q : !sm90.acc<32> pending 1 : !sm90.acc<32> -> vector<32xf32> still !sm90.acc<32>
  %w = sm90.mma_wait %f : !sm90.acc<32> -> vector<32xf32>
}

// Weights before the wait for other kernels: one barrier arrival expects the
// bytes of both copies, the second follows without another.
// CHECK-LABEL: sm90.kernel @early
// LOAD-LABEL: llvm.func ptx_kernelcc @early
sm90.kernel @early(%a: !sm90.tensor_map) attributes {threads = 128 : i64, tensor_maps = [
    #sm90.map<slot 0 : bf16 extents [64, 64] strides [2, 128] box [64, 64] swizzle 128>]} {
  %ring = sm90.ring consumers 4 : !sm90.ring<2 x [!sm90.tile<64x64xbf16>, !sm90.tile<64x64xbf16>]>
  %c0 = arith.constant 0 : i64
  %c1 = arith.constant 1 : i64
  %c2 = arith.constant 2 : i64
  %x = arith.constant 0 : i32
  scf.for %i = %c0 to %c2 step %c1 : i64 {
    // LOAD: expect_tx
    // LOAD: cp.async.bulk.tensor.2d
    %t:2 = sm90.acquire %ring[%i] : !sm90.ring<2 x [!sm90.tile<64x64xbf16>, !sm90.tile<64x64xbf16>]> -> !sm90.tile<64x64xbf16>, !sm90.tile<64x64xbf16>
    sm90.tma_load %a[%x, %x] to %t#1 in %ring[%i] : !sm90.tile<64x64xbf16>, !sm90.ring<2 x [!sm90.tile<64x64xbf16>, !sm90.tile<64x64xbf16>]>
    // CHECK: sm90.defer
    sm90.defer %ring[%i] : !sm90.ring<2 x [!sm90.tile<64x64xbf16>, !sm90.tile<64x64xbf16>]>
  }
  // LOAD: griddepcontrol.wait
  // LOAD-NOT: expect_tx
  sm90.pdl_wait
  scf.for %i = %c0 to %c2 step %c1 : i64 {
    // CHECK: sm90.resume
    // LOAD: cp.async.bulk.tensor.2d
    %t:2 = sm90.resume %ring[%i] : !sm90.ring<2 x [!sm90.tile<64x64xbf16>, !sm90.tile<64x64xbf16>]> -> !sm90.tile<64x64xbf16>, !sm90.tile<64x64xbf16>
    sm90.tma_load %a[%x, %x] to %t#0 in %ring[%i] : !sm90.tile<64x64xbf16>, !sm90.ring<2 x [!sm90.tile<64x64xbf16>, !sm90.tile<64x64xbf16>]>
    sm90.commit %ring[%i] : !sm90.ring<2 x [!sm90.tile<64x64xbf16>, !sm90.tile<64x64xbf16>]>
  }
}

// wgmma in flight over the back-edge: a stage is held until the next product is
// issued, and given back by the arrival of a release.
// CHECK-LABEL: sm90.kernel @held
// LLVM-LABEL: llvm.func ptx_kernelcc @held
sm90.kernel @held(%n: i64) attributes {threads = 128 : i64} {
  %ring = sm90.ring consumers 4 : !sm90.ring<2 x [!sm90.tile<64x64xbf16>]>
  %c0 = arith.constant 0 : i64
  %c1 = arith.constant 1 : i64
  %t = sm90.await %ring[%c0] : !sm90.ring<2 x [!sm90.tile<64x64xbf16>]> -> !sm90.tile<64x64xbf16>
  sm90.mma_fence
  %p = sm90.mma tile %t : !sm90.tile<64x64xbf16> by %t : !sm90.tile<64x64xbf16> -> !sm90.acc<32>
  sm90.mma_commit
  sm90.hold %ring[%c0] : !sm90.ring<2 x [!sm90.tile<64x64xbf16>]>
  %r:2 = scf.for %k = %c1 to %n step %c1 iter_args(%acc = %p, %held = %c0) -> (!sm90.acc<32>, i64) : i64 {
    %next = arith.addi %held, %c1 : i64
    %u = sm90.await %ring[%next] : !sm90.ring<2 x [!sm90.tile<64x64xbf16>]> -> !sm90.tile<64x64xbf16>
    sm90.mma_fence
    %q = sm90.mma tile %u : !sm90.tile<64x64xbf16> by %u : !sm90.tile<64x64xbf16> into %acc : !sm90.acc<32> -> !sm90.acc<32>
    sm90.mma_commit
    // CHECK: sm90.hold
    // LLVM-NOT: mbarrier.arrive
    sm90.hold %ring[%next] : !sm90.ring<2 x [!sm90.tile<64x64xbf16>]>
    // LLVM: wait_group.sync.aligned 1
    %f = sm90.mma_wait still %q : !sm90.acc<32> pending 1 still !sm90.acc<32>
    // CHECK: sm90.drop
    // LLVM: mbarrier.arrive
    sm90.drop %ring[%held] : !sm90.ring<2 x [!sm90.tile<64x64xbf16>]>
    scf.yield %f, %next : !sm90.acc<32>, i64
  }
  // LLVM: wait_group.sync.aligned 0
  %v = sm90.mma_wait %r#0 : !sm90.acc<32> -> vector<32xf32>
  sm90.drop %ring[%r#1] : !sm90.ring<2 x [!sm90.tile<64x64xbf16>]>
}
