// RUN: hadal-opt %s --hadal-verify-sm90 -split-input-file -verify-diagnostics

// A stage that a branch may leave unreleased.
sm90.kernel @leak(%c: i64) attributes {threads = 128 : i64} {
  %ring = sm90.ring consumers 4 : !sm90.ring<2 x [!sm90.tile<64x64xbf16>]>
  %zero = arith.constant 0 : i64
  %some = arith.cmpi eq, %c, %zero : i64
  // expected-error @+1 {{has no release of its iteration on every path}}
  %t = sm90.await %ring[%c] : !sm90.ring<2 x [!sm90.tile<64x64xbf16>]> -> !sm90.tile<64x64xbf16>
  scf.if %some {
    // expected-error @+1 {{of an iteration that this block has not awaited}}
    sm90.release %ring[%c] : !sm90.ring<2 x [!sm90.tile<64x64xbf16>]>
  }
}

// -----

// A producer that never says it is done.
sm90.kernel @uncommitted(%c: i64) attributes {threads = 128 : i64} {
  %ring = sm90.ring consumers 4 : !sm90.ring<2 x [!sm90.tile<64x64xbf16>]>
  // expected-error @+1 {{has no commit of its iteration on every path}}
  %t = sm90.acquire %ring[%c] : !sm90.ring<2 x [!sm90.tile<64x64xbf16>]> -> !sm90.tile<64x64xbf16>
}

// -----

// Two accumulators in flight over a back-edge: ptxas serialises them.
sm90.kernel @two(%n: i64) attributes {threads = 128 : i64} {
  %a = sm90.tile_alloc : !sm90.tile<64x64xbf16>
  %c0 = arith.constant 0 : i64
  %c1 = arith.constant 1 : i64
  sm90.mma_fence
  %p = sm90.mma tile %a : !sm90.tile<64x64xbf16> by %a : !sm90.tile<64x64xbf16> -> !sm90.acc<32>
  // expected-error @+1 {{carries 2 accumulators in flight over its back-edge; ptxas serialises more than one}}
  %r:2 = scf.for %i = %c0 to %n step %c1 iter_args(%x = %p, %y = %p) -> (!sm90.acc<32>, !sm90.acc<32>) : i64 {
    scf.yield %y, %x : !sm90.acc<32>, !sm90.acc<32>
  }
  %v = sm90.mma_wait %r#0 : !sm90.acc<32> -> vector<32xf32>
}

// -----

// One in flight, and another read in the same loop.
sm90.kernel @reader(%n: i64) attributes {threads = 128 : i64} {
  %a = sm90.tile_alloc : !sm90.tile<64x64xbf16>
  %c0 = arith.constant 0 : i64
  %c1 = arith.constant 1 : i64
  sm90.mma_fence
  %p = sm90.mma tile %a : !sm90.tile<64x64xbf16> by %a : !sm90.tile<64x64xbf16> -> !sm90.acc<32>
  // expected-error @+1 {{carries an accumulator in flight over its back-edge beside a reader of accumulators; ptxas serialises it}}
  %r = scf.for %i = %c0 to %n step %c1 iter_args(%x = %p) -> (!sm90.acc<32>) : i64 {
    sm90.mma_fence
    %q = sm90.mma tile %a : !sm90.tile<64x64xbf16> by %a : !sm90.tile<64x64xbf16> -> !sm90.acc<32>
    sm90.mma_commit
    %v = sm90.mma_wait %x : !sm90.acc<32> -> vector<32xf32>
    scf.yield %q : !sm90.acc<32>
  }
  %w = sm90.mma_wait %r : !sm90.acc<32> -> vector<32xf32>
}

// -----

// A wgmma without a fence since the last wait.
sm90.kernel @unfenced() attributes {threads = 128 : i64} {
  %a = sm90.tile_alloc : !sm90.tile<64x64xbf16>
  // expected-error @+1 {{has no mma_fence before it since the last wait}}
  %p = sm90.mma tile %a : !sm90.tile<64x64xbf16> by %a : !sm90.tile<64x64xbf16> -> !sm90.acc<32>
  sm90.mma_commit
  %v = sm90.mma_wait %p : !sm90.acc<32> -> vector<32xf32>
}

// -----

// Registers of operand a that could be reused while wgmma reads them.
sm90.kernel @unkept(%x: i64) attributes {threads = 128 : i64} {
  %b = sm90.tile_alloc : !sm90.tile<64x64xbf16>
  %r = arith.constant dense<0> : vector<16xi32>
  sm90.mma_fence
  // expected-error @+1 {{reads operand a from registers that no mma_wait of its block keeps}}
  %p = sm90.mma registers %r : vector<16xi32> by %b : !sm90.tile<64x64xbf16> -> !sm90.acc<32>
  sm90.mma_commit
  %v = sm90.mma_wait %p : !sm90.acc<32> -> vector<32xf32>
}

// -----

// Generic stores that wgmma reads without a proxy fence.
sm90.kernel @proxy() attributes {threads = 128 : i64} {
  %a = sm90.tile_alloc : !sm90.tile<64x64xbf16>
  %f = arith.constant dense<0.0> : vector<32xbf16>
  sm90.tile_store %f to %a : vector<32xbf16>, !sm90.tile<64x64xbf16>
  sm90.barrier
  sm90.mma_fence
  // expected-error @+1 {{reads a tile that generic stores wrote without a fence_async between}}
  %p = sm90.mma tile %a : !sm90.tile<64x64xbf16> by %a : !sm90.tile<64x64xbf16> -> !sm90.acc<32>
  sm90.mma_commit
  %v = sm90.mma_wait %p : !sm90.acc<32> -> vector<32xf32>
}

// -----

// A fence that no barrier publishes.
sm90.kernel @unpublished() attributes {threads = 128 : i64} {
  %a = sm90.tile_alloc : !sm90.tile<64x64xbf16>
  %f = arith.constant dense<0.0> : vector<32xbf16>
  sm90.tile_store %f to %a : vector<32xbf16>, !sm90.tile<64x64xbf16>
  // expected-error @+1 {{is followed by no barrier before the next asynchronous access}}
  sm90.fence_async
  sm90.mma_fence
  %p = sm90.mma tile %a : !sm90.tile<64x64xbf16> by %a : !sm90.tile<64x64xbf16> -> !sm90.acc<32>
  sm90.mma_commit
  %v = sm90.mma_wait %p : !sm90.acc<32> -> vector<32xf32>
}

// -----

// More accumulators than a thread has registers for.
sm90.kernel @registers() attributes {threads = 128 : i64} {
  %a = sm90.tile_alloc : !sm90.tile<64x64xbf16>
  %b = sm90.tile_alloc : !sm90.tile<256x64xbf16>
  sm90.mma_fence
  %p = sm90.mma tile %a : !sm90.tile<64x64xbf16> by %b : !sm90.tile<256x64xbf16> -> !sm90.acc<128>
  // expected-error @+1 {{brings the accumulators of a thread to 256 registers}}
  %q = sm90.mma tile %a : !sm90.tile<64x64xbf16> by %b : !sm90.tile<256x64xbf16> -> !sm90.acc<128>
  sm90.mma_commit
  %v, %w = sm90.mma_wait %p, %q : !sm90.acc<128>, !sm90.acc<128> -> vector<128xf32>, vector<128xf32>
}

// -----

// More shared memory than a CTA has.
// expected-error @+1 {{needs 262208 bytes of shared memory; a CTA of sm_90 has 232448}}
sm90.kernel @shared() attributes {threads = 128 : i64} {
  %ring = sm90.ring consumers 4 : !sm90.ring<4 x [!sm90.tile<256x128xbf16>]>
}

// -----

// A fence before a gather is published like one before any copy.
sm90.kernel @gathered(%a: !sm90.tensor_map) attributes {threads = 128 : i64, tensor_maps = [
    #sm90.map<slot 0 : bf16 extents [64, 64] strides [2, 128] box [64, 1] swizzle 128>]} {
  %ring = sm90.ring consumers 4 : !sm90.ring<2 x [!sm90.tile<64x64xbf16>]>
  %n = arith.constant 0 : i64
  %x = arith.constant 0 : i32
  %rows = arith.constant dense<0> : vector<2xi32>
  // expected-error @+1 {{is followed by no barrier before the next asynchronous access}}
  sm90.fence_async
  %t = sm90.acquire %ring[%n] : !sm90.ring<2 x [!sm90.tile<64x64xbf16>]> -> !sm90.tile<64x64xbf16>
  sm90.tma_gather %a[%x, %rows] to %t in %ring[%n] : vector<2xi32>, !sm90.tile<64x64xbf16>, !sm90.ring<2 x [!sm90.tile<64x64xbf16>]>
  sm90.commit %ring[%n] : !sm90.ring<2 x [!sm90.tile<64x64xbf16>]>
}

// -----

// A deferred stage whose other loads never come.
sm90.kernel @deferred(%a: !sm90.tensor_map) attributes {threads = 128 : i64, tensor_maps = [
    #sm90.map<slot 0 : bf16 extents [64, 64] strides [2, 128] box [64, 64] swizzle 128>]} {
  %ring = sm90.ring consumers 4 : !sm90.ring<2 x [!sm90.tile<64x64xbf16>, !sm90.tile<64x64xbf16>]>
  %c0 = arith.constant 0 : i64
  %c1 = arith.constant 1 : i64
  %c2 = arith.constant 2 : i64
  %x = arith.constant 0 : i32
  scf.for %i = %c0 to %c2 step %c1 : i64 {
    %t:2 = sm90.acquire %ring[%i] : !sm90.ring<2 x [!sm90.tile<64x64xbf16>, !sm90.tile<64x64xbf16>]> -> !sm90.tile<64x64xbf16>, !sm90.tile<64x64xbf16>
    sm90.tma_load %a[%x, %x] to %t#0 in %ring[%i] : !sm90.tile<64x64xbf16>, !sm90.ring<2 x [!sm90.tile<64x64xbf16>, !sm90.tile<64x64xbf16>]>
    // expected-error @+1 {{of a ring whose stages are never resumed}}
    sm90.defer %ring[%i] : !sm90.ring<2 x [!sm90.tile<64x64xbf16>, !sm90.tile<64x64xbf16>]>
  }
}

// -----

// A stage that goes on without having been deferred.
sm90.kernel @resumed(%a: !sm90.tensor_map) attributes {threads = 128 : i64, tensor_maps = [
    #sm90.map<slot 0 : bf16 extents [64, 64] strides [2, 128] box [64, 64] swizzle 128>]} {
  %ring = sm90.ring consumers 4 : !sm90.ring<2 x [!sm90.tile<64x64xbf16>, !sm90.tile<64x64xbf16>]>
  %c0 = arith.constant 0 : i64
  %c1 = arith.constant 1 : i64
  %c2 = arith.constant 2 : i64
  %x = arith.constant 0 : i32
  scf.for %i = %c0 to %c2 step %c1 : i64 {
    // expected-error @+1 {{of a ring whose stages are never deferred}}
    %t:2 = sm90.resume %ring[%i] : !sm90.ring<2 x [!sm90.tile<64x64xbf16>, !sm90.tile<64x64xbf16>]> -> !sm90.tile<64x64xbf16>, !sm90.tile<64x64xbf16>
    sm90.tma_load %a[%x, %x] to %t#1 in %ring[%i] : !sm90.tile<64x64xbf16>, !sm90.ring<2 x [!sm90.tile<64x64xbf16>, !sm90.tile<64x64xbf16>]>
    sm90.commit %ring[%i] : !sm90.ring<2 x [!sm90.tile<64x64xbf16>, !sm90.tile<64x64xbf16>]>
  }
}

// -----

// Two stages deferred, one resumed.
sm90.kernel @range(%a: !sm90.tensor_map) attributes {threads = 128 : i64, tensor_maps = [
    #sm90.map<slot 0 : bf16 extents [64, 64] strides [2, 128] box [64, 64] swizzle 128>]} {
  %ring = sm90.ring consumers 4 : !sm90.ring<2 x [!sm90.tile<64x64xbf16>, !sm90.tile<64x64xbf16>]>
  %c0 = arith.constant 0 : i64
  %c1 = arith.constant 1 : i64
  %c2 = arith.constant 2 : i64
  %x = arith.constant 0 : i32
  scf.for %i = %c0 to %c2 step %c1 : i64 {
    %t:2 = sm90.acquire %ring[%i] : !sm90.ring<2 x [!sm90.tile<64x64xbf16>, !sm90.tile<64x64xbf16>]> -> !sm90.tile<64x64xbf16>, !sm90.tile<64x64xbf16>
    sm90.tma_load %a[%x, %x] to %t#0 in %ring[%i] : !sm90.tile<64x64xbf16>, !sm90.ring<2 x [!sm90.tile<64x64xbf16>, !sm90.tile<64x64xbf16>]>
    sm90.defer %ring[%i] : !sm90.ring<2 x [!sm90.tile<64x64xbf16>, !sm90.tile<64x64xbf16>]>
  }
  scf.for %i = %c0 to %c1 step %c1 : i64 {
    // expected-error @+1 {{is not in a loop over the iterations that an earlier loop of its block defers}}
    %t:2 = sm90.resume %ring[%i] : !sm90.ring<2 x [!sm90.tile<64x64xbf16>, !sm90.tile<64x64xbf16>]> -> !sm90.tile<64x64xbf16>, !sm90.tile<64x64xbf16>
    sm90.tma_load %a[%x, %x] to %t#1 in %ring[%i] : !sm90.tile<64x64xbf16>, !sm90.ring<2 x [!sm90.tile<64x64xbf16>, !sm90.tile<64x64xbf16>]>
    sm90.commit %ring[%i] : !sm90.ring<2 x [!sm90.tile<64x64xbf16>, !sm90.tile<64x64xbf16>]>
  }
}

// -----

// One tile loaded twice, the other never.
sm90.kernel @twice(%a: !sm90.tensor_map) attributes {threads = 128 : i64, tensor_maps = [
    #sm90.map<slot 0 : bf16 extents [64, 64] strides [2, 128] box [64, 64] swizzle 128>]} {
  %ring = sm90.ring consumers 4 : !sm90.ring<2 x [!sm90.tile<64x64xbf16>, !sm90.tile<64x64xbf16>]>
  %c0 = arith.constant 0 : i64
  %c1 = arith.constant 1 : i64
  %c2 = arith.constant 2 : i64
  %x = arith.constant 0 : i32
  scf.for %i = %c0 to %c2 step %c1 : i64 {
    %t:2 = sm90.acquire %ring[%i] : !sm90.ring<2 x [!sm90.tile<64x64xbf16>, !sm90.tile<64x64xbf16>]> -> !sm90.tile<64x64xbf16>, !sm90.tile<64x64xbf16>
    sm90.tma_load %a[%x, %x] to %t#0 in %ring[%i] : !sm90.tile<64x64xbf16>, !sm90.ring<2 x [!sm90.tile<64x64xbf16>, !sm90.tile<64x64xbf16>]>
    sm90.defer %ring[%i] : !sm90.ring<2 x [!sm90.tile<64x64xbf16>, !sm90.tile<64x64xbf16>]>
  }
  scf.for %i = %c0 to %c2 step %c1 : i64 {
    // expected-error @+1 {{and its defer load tile 0 2 times, expected once}}
    %t:2 = sm90.resume %ring[%i] : !sm90.ring<2 x [!sm90.tile<64x64xbf16>, !sm90.tile<64x64xbf16>]> -> !sm90.tile<64x64xbf16>, !sm90.tile<64x64xbf16>
    sm90.tma_load %a[%x, %x] to %t#0 in %ring[%i] : !sm90.tile<64x64xbf16>, !sm90.ring<2 x [!sm90.tile<64x64xbf16>, !sm90.tile<64x64xbf16>]>
    sm90.commit %ring[%i] : !sm90.ring<2 x [!sm90.tile<64x64xbf16>, !sm90.tile<64x64xbf16>]>
  }
}

// -----

// A ring deferred in two places.
sm90.kernel @second(%a: !sm90.tensor_map) attributes {threads = 128 : i64, tensor_maps = [
    #sm90.map<slot 0 : bf16 extents [64, 64] strides [2, 128] box [64, 64] swizzle 128>]} {
  %ring = sm90.ring consumers 4 : !sm90.ring<2 x [!sm90.tile<64x64xbf16>, !sm90.tile<64x64xbf16>]>
  %c0 = arith.constant 0 : i64
  %c1 = arith.constant 1 : i64
  %c2 = arith.constant 2 : i64
  %x = arith.constant 0 : i32
  scf.for %i = %c0 to %c2 step %c1 : i64 {
    %t:2 = sm90.acquire %ring[%i] : !sm90.ring<2 x [!sm90.tile<64x64xbf16>, !sm90.tile<64x64xbf16>]> -> !sm90.tile<64x64xbf16>, !sm90.tile<64x64xbf16>
    sm90.tma_load %a[%x, %x] to %t#0 in %ring[%i] : !sm90.tile<64x64xbf16>, !sm90.ring<2 x [!sm90.tile<64x64xbf16>, !sm90.tile<64x64xbf16>]>
    // expected-error @+1 {{is the second of its ring}}
    sm90.defer %ring[%i] : !sm90.ring<2 x [!sm90.tile<64x64xbf16>, !sm90.tile<64x64xbf16>]>
  }
  scf.for %i = %c0 to %c2 step %c1 : i64 {
    %t:2 = sm90.acquire %ring[%i] : !sm90.ring<2 x [!sm90.tile<64x64xbf16>, !sm90.tile<64x64xbf16>]> -> !sm90.tile<64x64xbf16>, !sm90.tile<64x64xbf16>
    sm90.tma_load %a[%x, %x] to %t#0 in %ring[%i] : !sm90.tile<64x64xbf16>, !sm90.ring<2 x [!sm90.tile<64x64xbf16>, !sm90.tile<64x64xbf16>]>
    sm90.defer %ring[%i] : !sm90.ring<2 x [!sm90.tile<64x64xbf16>, !sm90.tile<64x64xbf16>]>
  }
  scf.for %i = %c0 to %c2 step %c1 : i64 {
    %t:2 = sm90.resume %ring[%i] : !sm90.ring<2 x [!sm90.tile<64x64xbf16>, !sm90.tile<64x64xbf16>]> -> !sm90.tile<64x64xbf16>, !sm90.tile<64x64xbf16>
    sm90.tma_load %a[%x, %x] to %t#1 in %ring[%i] : !sm90.tile<64x64xbf16>, !sm90.ring<2 x [!sm90.tile<64x64xbf16>, !sm90.tile<64x64xbf16>]>
    sm90.commit %ring[%i] : !sm90.ring<2 x [!sm90.tile<64x64xbf16>, !sm90.tile<64x64xbf16>]>
  }
}

// -----

// A stage given back while wgmma reads it.
sm90.kernel @early(%n: i64) attributes {threads = 128 : i64} {
  %ring = sm90.ring consumers 4 : !sm90.ring<2 x [!sm90.tile<64x64xbf16>]>
  %t = sm90.await %ring[%n] : !sm90.ring<2 x [!sm90.tile<64x64xbf16>]> -> !sm90.tile<64x64xbf16>
  sm90.mma_fence
  %p = sm90.mma tile %t : !sm90.tile<64x64xbf16> by %t : !sm90.tile<64x64xbf16> -> !sm90.acc<32>
  sm90.mma_commit
  // expected-error @+1 {{of a stage that a wgmma in flight reads; a hold and a drop release it later}}
  sm90.release %ring[%n] : !sm90.ring<2 x [!sm90.tile<64x64xbf16>]>
  %v = sm90.mma_wait %p : !sm90.acc<32> -> vector<32xf32>
}

// -----

// A held stage that nobody gives back behind the loop.
sm90.kernel @kept(%n: i64) attributes {threads = 128 : i64} {
  // expected-error @+1 {{has 2 holds and 1 drops, expected a hold before a loop, both in it and a drop behind it}}
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
    sm90.hold %ring[%next] : !sm90.ring<2 x [!sm90.tile<64x64xbf16>]>
    %f = sm90.mma_wait still %q : !sm90.acc<32> pending 1 still !sm90.acc<32>
    sm90.drop %ring[%held] : !sm90.ring<2 x [!sm90.tile<64x64xbf16>]>
    scf.yield %f, %next : !sm90.acc<32>, i64
  }
  %v = sm90.mma_wait %r#0 : !sm90.acc<32> -> vector<32xf32>
  
}

// -----

// The loop gives back the stage that it has just issued.
sm90.kernel @newest(%n: i64) attributes {threads = 128 : i64} {
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
    sm90.hold %ring[%next] : !sm90.ring<2 x [!sm90.tile<64x64xbf16>]>
    %f = sm90.mma_wait still %q : !sm90.acc<32> pending 1 still !sm90.acc<32>
    // expected-error @+1 {{in the loop does not drop the iteration that the loop carries}}
    sm90.drop %ring[%next] : !sm90.ring<2 x [!sm90.tile<64x64xbf16>]>
    scf.yield %f, %next : !sm90.acc<32>, i64
  }
  %v = sm90.mma_wait %r#0 : !sm90.acc<32> -> vector<32xf32>
  sm90.drop %ring[%r#1] : !sm90.ring<2 x [!sm90.tile<64x64xbf16>]>
}

// -----

// Behind the loop another stage than the last is given back.
sm90.kernel @other(%n: i64) attributes {threads = 128 : i64} {
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
    sm90.hold %ring[%next] : !sm90.ring<2 x [!sm90.tile<64x64xbf16>]>
    %f = sm90.mma_wait still %q : !sm90.acc<32> pending 1 still !sm90.acc<32>
    sm90.drop %ring[%held] : !sm90.ring<2 x [!sm90.tile<64x64xbf16>]>
    scf.yield %f, %next : !sm90.acc<32>, i64
  }
  %v = sm90.mma_wait %r#0 : !sm90.acc<32> -> vector<32xf32>
  // expected-error @+1 {{behind the loop does not drop the iteration held last}}
  sm90.drop %ring[%c0] : !sm90.ring<2 x [!sm90.tile<64x64xbf16>]>
}

// -----

// The round before may still be in flight.
sm90.kernel @unretired(%n: i64) attributes {threads = 128 : i64} {
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
    sm90.hold %ring[%next] : !sm90.ring<2 x [!sm90.tile<64x64xbf16>]>
    
    // expected-error @+1 {{has no wait before it that retires the wgmma of the round before}}
    sm90.drop %ring[%held] : !sm90.ring<2 x [!sm90.tile<64x64xbf16>]>
    scf.yield %q, %next : !sm90.acc<32>, i64
  }
  %v = sm90.mma_wait %r#0 : !sm90.acc<32> -> vector<32xf32>
  sm90.drop %ring[%r#1] : !sm90.ring<2 x [!sm90.tile<64x64xbf16>]>
}

// -----

// The last one may still be in flight.
sm90.kernel @last(%n: i64) attributes {threads = 128 : i64} {
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
    sm90.hold %ring[%next] : !sm90.ring<2 x [!sm90.tile<64x64xbf16>]>
    %f = sm90.mma_wait still %q : !sm90.acc<32> pending 1 still !sm90.acc<32>
    sm90.drop %ring[%held] : !sm90.ring<2 x [!sm90.tile<64x64xbf16>]>
    scf.yield %f, %next : !sm90.acc<32>, i64
  }
  %v = sm90.mma_wait %r#0 pending 1 : !sm90.acc<32> -> vector<32xf32>
  // expected-error @+1 {{has no wait before it that retires every wgmma}}
  sm90.drop %ring[%r#1] : !sm90.ring<2 x [!sm90.tile<64x64xbf16>]>
}

// -----

// What the loop carries on is not the stage that it holds.
sm90.kernel @carried(%n: i64) attributes {threads = 128 : i64} {
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
    sm90.hold %ring[%next] : !sm90.ring<2 x [!sm90.tile<64x64xbf16>]>
    %f = sm90.mma_wait still %q : !sm90.acc<32> pending 1 still !sm90.acc<32>
    // expected-error @+1 {{drops an iteration other than the one held last}}
    sm90.drop %ring[%held] : !sm90.ring<2 x [!sm90.tile<64x64xbf16>]>
    scf.yield %f, %held : !sm90.acc<32>, i64
  }
  %v = sm90.mma_wait %r#0 : !sm90.acc<32> -> vector<32xf32>
  sm90.drop %ring[%r#1] : !sm90.ring<2 x [!sm90.tile<64x64xbf16>]>
}

// -----

// Nothing is held before the loop.
sm90.kernel @inside(%n: i64) attributes {threads = 128 : i64} {
  // expected-error @+1 {{is held elsewhere than before and in one loop}}
  %ring = sm90.ring consumers 4 : !sm90.ring<2 x [!sm90.tile<64x64xbf16>]>
  %c0 = arith.constant 0 : i64
  %c1 = arith.constant 1 : i64
  %c = arith.cmpi eq, %n, %c0 : i64
  scf.if %c {
    %t = sm90.await %ring[%c0] : !sm90.ring<2 x [!sm90.tile<64x64xbf16>]> -> !sm90.tile<64x64xbf16>
    sm90.hold %ring[%c0] : !sm90.ring<2 x [!sm90.tile<64x64xbf16>]>
  }
  scf.for %k = %c1 to %n step %c1 : i64 {
    %t = sm90.await %ring[%k] : !sm90.ring<2 x [!sm90.tile<64x64xbf16>]> -> !sm90.tile<64x64xbf16>
    sm90.hold %ring[%k] : !sm90.ring<2 x [!sm90.tile<64x64xbf16>]>
    sm90.drop %ring[%k] : !sm90.ring<2 x [!sm90.tile<64x64xbf16>]>
  }
  sm90.drop %ring[%c0] : !sm90.ring<2 x [!sm90.tile<64x64xbf16>]>
}
