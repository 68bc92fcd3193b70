// RUN: hadal-opt %s -split-input-file -verify-diagnostics

// Threads are whole warps.
// expected-error @+1 {{has 100 threads, expected a multiple of 32 up to 1024}}
sm90.kernel @threads() attributes {threads = 100 : i64} {
}

// -----

// Each tensor map is an argument.
// expected-error @+1 {{has 1 tensor maps but 0 arguments}}
sm90.kernel @maps() attributes {threads = 128 : i64, tensor_maps = [
    #sm90.map<slot 0 : bf16 extents [64, 64] strides [2, 128] box [64, 64] swizzle 128>]} {
}

// -----

// Tensor maps come last.
// expected-error @+1 {{takes its tensor maps as its last arguments}}
sm90.kernel @order(%a: !sm90.tensor_map, %b: i64) attributes {threads = 128 : i64, tensor_maps = [
    #sm90.map<slot 0 : bf16 extents [64, 64] strides [2, 128] box [64, 64] swizzle 128>]} {
}

// -----

// An argument is a slot.
// expected-error @+1 {{argument 0 is 'f32', expected a pointer, i64 or a tensor map}}
sm90.kernel @slot(%a: f32) attributes {threads = 128 : i64} {
}

// -----

// TMA's strides are multiples of 16 bytes.
// expected-error @+1 {{a tensor map's stride of 100 bytes is not a multiple of 16}}
sm90.kernel @stride(%a: !sm90.tensor_map) attributes {threads = 128 : i64, tensor_maps = [
    #sm90.map<slot 0 : bf16 extents [50, 64] strides [2, 100] box [64, 64] swizzle 128>]} {
}

// -----

// A box has at most 256 elements a dimension.
// expected-error @+1 {{a tensor map's box extent of 300 is not in 1..256}}
sm90.kernel @box(%a: !sm90.tensor_map) attributes {threads = 128 : i64, tensor_maps = [
    #sm90.map<slot 0 : bf16 extents [64, 512] strides [2, 128] box [64, 300] swizzle 128>]} {
}

// -----

// A row of the box stays in the swizzle.
// expected-error @+1 {{a tensor map's inner box of 256 bytes is not a multiple of 16 within the swizzle of 128}}
sm90.kernel @inner(%a: !sm90.tensor_map) attributes {threads = 128 : i64, tensor_maps = [
    #sm90.map<slot 0 : bf16 extents [128, 64] strides [2, 256] box [128, 64] swizzle 128>]} {
}

// -----

// The roles are all of the CTA's warpgroups.
sm90.kernel @roles() attributes {threads = 128 : i64} {
  // expected-error @+1 {{of 1 consumer warpgroups needs 256 threads, the kernel has 128}}
  sm90.roles attributes {warpgroups = 1 : i64, load_registers = 0 : i64, mma_registers = 0 : i64} load {
  } mma(%wg) {
  }
}

// -----

// setmaxnreg takes multiples of 8.
sm90.kernel @registers() attributes {threads = 384 : i64} {
  // expected-error @+1 {{registers of a role are 24..256 in steps of 8, not 30}}
  sm90.roles attributes {warpgroups = 2 : i64, load_registers = 30 : i64, mma_registers = 232 : i64} load {
  } mma(%wg) {
  }
}

// -----

// The roles share what the CTA was launched with.
sm90.kernel @budget() attributes {threads = 384 : i64} {
  // expected-error @+1 {{takes 66560 registers; the CTA has 64512}}
  sm90.roles attributes {warpgroups = 2 : i64, load_registers = 40 : i64, mma_registers = 240 : i64} load {
  } mma(%wg) {
  }
}

// -----

// A slice starts at whole chunks of 128 bytes.
sm90.kernel @slice() attributes {threads = 128 : i64} {
  %a = sm90.tile_alloc : !sm90.tile<64x128xbf16>
  // expected-error @+1 {{from column 32 starts inside a chunk of 64}}
  %b = sm90.tile_slice %a[0, 32] : !sm90.tile<64x128xbf16> -> !sm90.tile<64x64xbf16>
}

// -----

// A slice stays inside.
sm90.kernel @outside() attributes {threads = 128 : i64} {
  %a = sm90.tile_alloc : !sm90.tile<64x128xbf16>
  // expected-error @+1 {{of 64x128 from row 0, column 64 leaves}}
  %b = sm90.tile_slice %a[0, 64] : !sm90.tile<64x128xbf16> -> !sm90.tile<64x128xbf16>
}

// -----

// The box of a load fills its tile.
sm90.kernel @fill(%a: !sm90.tensor_map) attributes {threads = 128 : i64, tensor_maps = [
    #sm90.map<slot 0 : bf16 extents [64, 64] strides [2, 128] box [64, 32] swizzle 128>]} {
  %ring = sm90.ring consumers 4 : !sm90.ring<2 x [!sm90.tile<64x64xbf16>]>
  %n = arith.constant 0 : i64
  %x = arith.constant 0 : i32
  %t = sm90.acquire %ring[%n] : !sm90.ring<2 x [!sm90.tile<64x64xbf16>]> -> !sm90.tile<64x64xbf16>
  // expected-error @+1 {{which does not fill 64 rows of 128 bytes}}
  sm90.tma_load %a[%x, %x] to %t in %ring[%n] : !sm90.tile<64x64xbf16>, !sm90.ring<2 x [!sm90.tile<64x64xbf16>]>
  sm90.commit %ring[%n] : !sm90.ring<2 x [!sm90.tile<64x64xbf16>]>
}

// -----

// FP8 operands are K-major.
sm90.kernel @major() attributes {threads = 128 : i64} {
  %a = sm90.tile_alloc : !sm90.tile<64x128xf8E4M3FN>
  %b = sm90.tile_alloc : !sm90.tile<128x64xf8E4M3FN>
  sm90.mma_fence
  // expected-error @+1 {{takes f8E4M3FN operands K-major only}}
  %p = sm90.mma tile %a : !sm90.tile<64x128xf8E4M3FN> by %b : !sm90.tile<128x64xf8E4M3FN> mn -> !sm90.acc<32>
}

// -----

// Both operands have one K.
sm90.kernel @k() attributes {threads = 128 : i64} {
  %a = sm90.tile_alloc : !sm90.tile<64x64xbf16>
  %b = sm90.tile_alloc : !sm90.tile<64x128xbf16>
  sm90.mma_fence
  // expected-error @+1 {{contracts K of 64 with 128}}
  %p = sm90.mma tile %a : !sm90.tile<64x64xbf16> by %b : !sm90.tile<64x128xbf16> -> !sm90.acc<32>
}

// -----

// The result has a register for every two columns.
sm90.kernel @acc() attributes {threads = 128 : i64} {
  %a = sm90.tile_alloc : !sm90.tile<64x64xbf16>
  sm90.mma_fence
  // expected-error @+1 {{of 64 columns gives 32 registers, not 16}}
  %p = sm90.mma tile %a : !sm90.tile<64x64xbf16> by %a : !sm90.tile<64x64xbf16> -> !sm90.acc<16>
}

// -----

// Barrier 0 is the CTA's.
sm90.kernel @barrier() attributes {threads = 128 : i64} {
  // expected-error @+1 {{has id 0, not 1..15}}
  sm90.named_barrier 0, 128
}

// -----

// Lanes exchange words.
sm90.kernel @shuffle(%x: i64) attributes {threads = 128 : i64} {
  // expected-error @+1 {{exchanges 32-bit values, not 'i64'}}
  %y = sm90.shuffle_xor %x, 1 : i64
}

// -----

// expected-error @+1 {{a ring has 1 to 16 stages, not 20}}
func.func private @stages(!sm90.ring<20 x [!sm90.tile<64x64xbf16>]>)

// -----

// expected-error @+1 {{a tile has a positive multiple of 8 rows within its pitch}}
func.func private @rows(!sm90.tile<60x64xbf16>)
