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
// expected-error @+1 {{takes its tensor maps as its last arguments, one for each entry of tensor_maps; argument 0 is '!sm90.tensor_map'}}
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
  // expected-error @+1 {{, which does not fill 64 rows of 128 bytes of}}
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

// expected-error @+1 {{a tile has a positive multiple of 8 rows within its pitch, got 60 of 60 rows, 64 columns}}
func.func private @rows(!sm90.tile<60x64xbf16>)

// -----

// A tensor map has two dimensions at least.
// expected-error @+1 {{a tensor map has 2 to 5 extents, strides and box extents, got}}
sm90.kernel @rank(%a: !sm90.tensor_map) attributes {threads = 128 : i64, tensor_maps = [
    #sm90.map<slot 0 : bf16 extents [64] strides [2] box [64] swizzle 128>]} {
}

// -----

// The roles are those of a kernel.
func.func @nowhere() {
  // expected-error @+1 {{stands directly in a kernel}}
  sm90.roles attributes {warpgroups = 1 : i64, load_registers = 0 : i64, mma_registers = 0 : i64} load {
  } mma(%wg) {
  }
  return
}

// -----

// Registers are set for both roles or left alone.
sm90.kernel @half() attributes {threads = 384 : i64} {
  // expected-error @+1 {{sets the registers of both roles or of none}}
  sm90.roles attributes {warpgroups = 2 : i64, load_registers = 0 : i64, mma_registers = 232 : i64} load {
  } mma(%wg) {
  }
}

// -----

// Shared memory is aligned to a power of two.
sm90.kernel @aligned() attributes {threads = 128 : i64} {
  // expected-error @+1 {{needs positive bytes and a power of two up to 1024 as its alignment}}
  %p = sm90.shared 64 align 48 : !llvm.ptr<3>
}

// -----

// A slice is of its tile's elements.
sm90.kernel @kind() attributes {threads = 128 : i64} {
  %a = sm90.tile_alloc : !sm90.tile<64x128xbf16>
  // expected-error @+1 {{keeps the element type and the pitch of rows}}
  %b = sm90.tile_slice %a[0, 0] : !sm90.tile<64x128xbf16> -> !sm90.tile<64x128xf8E4M3FN>
}

// -----

// Generic stores write bf16.
sm90.kernel @store() attributes {threads = 128 : i64} {
  %a = sm90.tile_alloc : !sm90.tile<64x64xbf16>
  %f = arith.constant dense<0.0> : vector<32xf32>
  // expected-error @+1 {{stores bf16}}
  sm90.tile_store %f to %a : vector<32xf32>, !sm90.tile<64x64xbf16>
}

// -----

// A fragment fills 64 rows.
sm90.kernel @fills() attributes {threads = 128 : i64} {
  %a = sm90.tile_alloc : !sm90.tile<64x128xbf16>
  %f = arith.constant dense<0.0> : vector<32xbf16>
  // expected-error @+1 {{of 'vector<32xbf16>' fills 64x64, not '!sm90.tile<64x128xbf16>'}}
  sm90.tile_store %f to %a : vector<32xbf16>, !sm90.tile<64x128xbf16>
}

// -----

// Someone releases a ring's stages.
sm90.kernel @consumers() attributes {threads = 128 : i64} {
  // expected-error @+1 {{needs at least one consuming warp}}
  %r = sm90.ring consumers 0 : !sm90.ring<2 x [!sm90.tile<64x64xbf16>]>
}

// -----

// A ring's barriers are initialised before the roles.
sm90.kernel @late() attributes {threads = 256 : i64} {
  sm90.roles attributes {warpgroups = 1 : i64, load_registers = 0 : i64, mma_registers = 0 : i64} load {
    // expected-error @+1 {{stands directly in a kernel, before its roles}}
    %r = sm90.ring consumers 4 : !sm90.ring<2 x [!sm90.tile<64x64xbf16>]>
  } mma(%wg) {
  }
}

// -----

// A stage has its ring's tiles.
sm90.kernel @tiles() attributes {threads = 128 : i64} {
  %r = sm90.ring consumers 4 : !sm90.ring<2 x [!sm90.tile<64x64xbf16>]>
  %n = arith.constant 0 : i64
  // expected-error @+1 {{gives the tiles of its ring}}
  %t = sm90.acquire %r[%n] : !sm90.ring<2 x [!sm90.tile<64x64xbf16>]> -> !sm90.tile<64x128xbf16>
}

// -----

// A copy takes a map of the kernel, not one of its making.
sm90.kernel @foreign() attributes {threads = 128 : i64} {
  %r = sm90.ring consumers 4 : !sm90.ring<2 x [!sm90.tile<64x64xbf16>]>
  %n = arith.constant 0 : i64
  %x = arith.constant 0 : i32
  %t = sm90.acquire %r[%n] : !sm90.ring<2 x [!sm90.tile<64x64xbf16>]> -> !sm90.tile<64x64xbf16>
  %m = builtin.unrealized_conversion_cast %n : i64 to !sm90.tensor_map
  // expected-error @+1 {{takes a tensor map of its kernel}}
  sm90.tma_load %m[%x, %x] to %t in %r[%n] : !sm90.tile<64x64xbf16>, !sm90.ring<2 x [!sm90.tile<64x64xbf16>]>
}

// -----

// A copy has a coordinate for each dimension.
sm90.kernel @coordinates(%a: !sm90.tensor_map) attributes {threads = 128 : i64, tensor_maps = [
    #sm90.map<slot 0 : bf16 extents [64, 64] strides [2, 128] box [64, 64] swizzle 128>]} {
  %r = sm90.ring consumers 4 : !sm90.ring<2 x [!sm90.tile<64x64xbf16>]>
  %n = arith.constant 0 : i64
  %x = arith.constant 0 : i32
  %t = sm90.acquire %r[%n] : !sm90.ring<2 x [!sm90.tile<64x64xbf16>]> -> !sm90.tile<64x64xbf16>
  // expected-error @+1 {{has 1 coordinates for a map of rank 2}}
  sm90.tma_load %a[%x] to %t in %r[%n] : !sm90.tile<64x64xbf16>, !sm90.ring<2 x [!sm90.tile<64x64xbf16>]>
}

// -----

// Each lane gathers every 32nd row.
sm90.kernel @lanes(%a: !sm90.tensor_map) attributes {threads = 128 : i64, tensor_maps = [
    #sm90.map<slot 0 : bf16 extents [64, 64] strides [2, 128] box [64, 1] swizzle 128>]} {
  %r = sm90.ring consumers 4 : !sm90.ring<2 x [!sm90.tile<64x64xbf16>]>
  %n = arith.constant 0 : i64
  %x = arith.constant 0 : i32
  %t = sm90.acquire %r[%n] : !sm90.ring<2 x [!sm90.tile<64x64xbf16>]> -> !sm90.tile<64x64xbf16>
  %rows = arith.constant dense<0> : vector<1xi32>
  // expected-error @+1 {{needs 2 rows a lane, got 1}}
  sm90.tma_gather %a[%x, %rows] to %t in %r[%n] : vector<1xi32>, !sm90.tile<64x64xbf16>, !sm90.ring<2 x [!sm90.tile<64x64xbf16>]>
}

// -----

// Rows are gathered from a matrix.
sm90.kernel @cube(%a: !sm90.tensor_map) attributes {threads = 128 : i64, tensor_maps = [
    #sm90.map<slot 0 : bf16 extents [64, 64, 2] strides [2, 128, 8192] box [64, 1, 1] swizzle 128>]} {
  %r = sm90.ring consumers 4 : !sm90.ring<2 x [!sm90.tile<64x64xbf16>]>
  %n = arith.constant 0 : i64
  %x = arith.constant 0 : i32
  %t = sm90.acquire %r[%n] : !sm90.ring<2 x [!sm90.tile<64x64xbf16>]> -> !sm90.tile<64x64xbf16>
  %rows = arith.constant dense<0> : vector<2xi32>
  // expected-error @+1 {{gathers rows of a map of rank 2}}
  sm90.tma_gather %a[%x, %rows] to %t in %r[%n] : vector<2xi32>, !sm90.tile<64x64xbf16>, !sm90.ring<2 x [!sm90.tile<64x64xbf16>]>
}

// -----

// wgmma multiplies two kinds of elements.
sm90.kernel @elements() attributes {threads = 128 : i64} {
  %a = sm90.tile_alloc : !sm90.tile<64x32xf32>
  sm90.mma_fence
  // expected-error @+1 {{multiplies bf16 or f8E4M3FN, not 'f32'}}
  %p = sm90.mma tile %a : !sm90.tile<64x32xf32> by %a : !sm90.tile<64x32xf32> -> !sm90.acc<32>
}

// -----

// wgmma has an operand a.
sm90.kernel @neither() attributes {threads = 128 : i64} {
  %a = sm90.tile_alloc : !sm90.tile<64x64xbf16>
  sm90.mma_fence
  // expected-error @+1 {{takes a as a tile or as registers}}
  %p = sm90.mma by %a : !sm90.tile<64x64xbf16> -> !sm90.acc<32>
}

// -----

// wgmma takes 64 rows.
sm90.kernel @half_rows() attributes {threads = 128 : i64} {
  %a = sm90.tile_alloc : !sm90.tile<64x64xbf16>
  %h = sm90.tile_alloc : !sm90.tile<32x64xbf16>
  sm90.mma_fence
  // expected-error @+1 {{takes 64 rows of b's element type as a, got '!sm90.tile<32x64xbf16>'}}
  %p = sm90.mma tile %h : !sm90.tile<32x64xbf16> by %a : !sm90.tile<64x64xbf16> -> !sm90.acc<32>
}

// -----

// Registers hold operands of bf16.
sm90.kernel @register_codes() attributes {threads = 128 : i64} {
  %b = sm90.tile_alloc : !sm90.tile<64x64xf8E4M3FN>
  %r = arith.constant dense<0> : vector<16xi32>
  sm90.mma_fence
  // expected-error @+1 {{takes a in registers for bf16 only}}
  %p = sm90.mma registers %r : vector<16xi32> by %b : !sm90.tile<64x64xf8E4M3FN> -> !sm90.acc<32>
}

// -----

// An instruction contracts 32 bytes.
sm90.kernel @tail() attributes {threads = 128 : i64} {
  %a = sm90.tile_alloc : !sm90.tile<64x24xbf16>
  sm90.mma_fence
  // expected-error @+1 {{K of 24 is not a multiple of 32 bytes}}
  %p = sm90.mma tile %a : !sm90.tile<64x24xbf16> by %a : !sm90.tile<64x24xbf16> -> !sm90.acc<32>
}

// -----

// An instruction has 256 columns at most.
sm90.kernel @wide() attributes {threads = 128 : i64} {
  %a = sm90.tile_alloc : !sm90.tile<64x64xbf16>
  %b = sm90.tile_alloc : !sm90.tile<264x64xbf16>
  sm90.mma_fence
  // expected-error @+1 {{has 264 columns, wgmma takes 8..256 in steps of 8}}
  %p = sm90.mma tile %a : !sm90.tile<64x64xbf16> by %b : !sm90.tile<264x64xbf16> -> !sm90.acc<132>
}

// -----

// An accumulator keeps its size.
sm90.kernel @into() attributes {threads = 128 : i64} {
  %a = sm90.tile_alloc : !sm90.tile<64x64xbf16>
  %v = arith.constant dense<0.0> : vector<16xf32>
  %c = sm90.mma_fence tie %v : vector<16xf32> -> !sm90.acc<16>
  // expected-error @+1 {{accumulates into the type of its result}}
  %p = sm90.mma tile %a : !sm90.tile<64x64xbf16> by %a : !sm90.tile<64x64xbf16> into %c : !sm90.acc<16> -> !sm90.acc<32>
}

// -----

// A fence ties registers one to one.
sm90.kernel @tie() attributes {threads = 128 : i64} {
  %v = arith.constant dense<0.0> : vector<16xf32>
  // expected-error @+1 {{turns each fragment into an accumulator of as many registers}}
  %c = sm90.mma_fence tie %v : vector<16xf32> -> !sm90.acc<32>
}

// -----

// A wait returns all of an accumulator.
sm90.kernel @part() attributes {threads = 128 : i64} {
  %a = sm90.tile_alloc : !sm90.tile<64x64xbf16>
  sm90.mma_fence
  %p = sm90.mma tile %a : !sm90.tile<64x64xbf16> by %a : !sm90.tile<64x64xbf16> -> !sm90.acc<32>
  %q = sm90.mma tile %a : !sm90.tile<64x64xbf16> by %a : !sm90.tile<64x64xbf16> -> !sm90.acc<32>
  sm90.mma_commit
  // expected-error @+1 {{turns each accumulator into a fragment of as many registers}}
  %v = sm90.mma_wait %p : !sm90.acc<32> -> vector<16xf32>
}

// -----

// What stays in flight keeps its type.
sm90.kernel @still() attributes {threads = 128 : i64} {
  %a = sm90.tile_alloc : !sm90.tile<64x64xbf16>
  sm90.mma_fence
  %p = sm90.mma tile %a : !sm90.tile<64x64xbf16> by %a : !sm90.tile<64x64xbf16> -> !sm90.acc<32>
  %q = sm90.mma tile %a : !sm90.tile<64x64xbf16> by %a : !sm90.tile<64x64xbf16> -> !sm90.acc<32>
  sm90.mma_commit
  // expected-error @+1 {{passes accumulators that stay in flight through}}
  %v, %s = sm90.mma_wait %p still %q : !sm90.acc<32> pending 1 : !sm90.acc<32> -> vector<32xf32> still !sm90.acc<16>
}

// -----

// Something stays in flight only where groups are left pending.
sm90.kernel @pending() attributes {threads = 128 : i64} {
  %a = sm90.tile_alloc : !sm90.tile<64x64xbf16>
  sm90.mma_fence
  %p = sm90.mma tile %a : !sm90.tile<64x64xbf16> by %a : !sm90.tile<64x64xbf16> -> !sm90.acc<32>
  %q = sm90.mma tile %a : !sm90.tile<64x64xbf16> by %a : !sm90.tile<64x64xbf16> -> !sm90.acc<32>
  sm90.mma_commit
  // expected-error @+1 {{leaves nothing in flight with pending 0}}
  %v, %s = sm90.mma_wait %p still %q : !sm90.acc<32> : !sm90.acc<32> -> vector<32xf32> still !sm90.acc<32>
}

// -----

// A warp has 32 lanes.
sm90.kernel @mask() attributes {threads = 128 : i64} {
  %x = sm90.sreg tid
  // expected-error @+1 {{has a mask of 32, not 1..31}}
  %y = sm90.shuffle_xor %x, 32 : i32
}

// -----

// Two codes share 16 bits.
sm90.kernel @codes() attributes {threads = 128 : i64} {
  %f = arith.constant dense<0.0> : vector<32xf32>
  // expected-error @+1 {{pairs 'vector<32xf32>' with i16 of half as many elements, not 'vector<32xi16>'}}
  %c = sm90.to_e4m3 %f : vector<32xf32> -> vector<32xi16>
}

// -----

// Codes are read in pairs too.
sm90.kernel @decoded() attributes {threads = 128 : i64} {
  %c = arith.constant dense<0> : vector<16xi16>
  // expected-error @+1 {{pairs 'vector<16xf32>' with i16 of half as many elements, not 'vector<16xi16>'}}
  %f = sm90.from_e4m3 %c : vector<16xi16> -> vector<16xf32>
}

// -----

// A barrier counts whole warps.
sm90.kernel @warps() attributes {threads = 128 : i64} {
  // expected-error @+1 {{is for a multiple of 32 threads, not 100}}
  sm90.named_barrier 1, 100
}

// -----

// A tile is a matrix.
// expected-error @+1 {{a tile has rows and columns}}
func.func private @matrix(!sm90.tile<64xbf16>)

// -----

// Tiles hold what wgmma and TMA move.
// expected-error @+1 {{a tile holds bf16, f8E4M3FN or f32, not 'f16'}}
func.func private @held(!sm90.tile<64x64xf16>)

// -----

// A stage is made of tiles.
// expected-error @+1 {{a ring holds whole tiles, not 'f32'}}
func.func private @whole(!sm90.ring<2 x [f32]>)

// -----

// The transaction count of an mbarrier has 20 bits.
// expected-error @+1 {{a stage of 1048576 bytes exceeds what an mbarrier can count}}
func.func private @heavy(!sm90.ring<2 x [!sm90.tile<8192x64xbf16>]>)
