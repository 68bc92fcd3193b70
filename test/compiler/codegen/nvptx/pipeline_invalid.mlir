// RUN: hadal-opt %s --hadal-lower-tile-to-sm90 -split-input-file -verify-diagnostics

// What the lowering of contractions cannot place is refused at the op, by name.

// wgmma reads b from shared memory, where only loads put tiles.
tile.kernel @k(%x: !tile.view<256x64xbf16>, %w: !tile.view<64x64xbf16>, %y: !tile.view<256x64xf32>, %sz: !tile.sizes) domain(%m = 256 by 64) schedule {ctas = 1 : i64, early = 0 : i64, regs = "launch", split = 1 : i64, stages = 1 : i64, swap_ab = false, unroll = 1 : i64, warpgroups = 1 : i64} {
  %c = arith.constant 0 : index
  %z = arith.constant dense<0.0> : tensor<64x64xf32>
  %a = tile.load %x[%m, %c] : !tile.view<256x64xbf16> -> tensor<64x64xbf16>
  %b = arith.constant dense<1.0> : tensor<64x64xbf16>
  // expected-error @+1 {{has no sm_90a lowering: operand b is not a loaded tile; wgmma reads b from shared memory}}
  %d = tile.dot %a, %b, %z tb : tensor<64x64xbf16>, tensor<64x64xbf16>, tensor<64x64xf32>
  tile.store %y[%m, %c], %d : !tile.view<256x64xf32>, tensor<64x64xf32>
}

// -----

// wgmma multiplies bf16 and codes.
tile.kernel @k(%x: !tile.view<256x64xf32>, %w: !tile.view<64x64xf32>, %y: !tile.view<256x64xf32>, %sz: !tile.sizes) domain(%m = 256 by 64) schedule {ctas = 1 : i64, early = 0 : i64, regs = "launch", split = 1 : i64, stages = 1 : i64, swap_ab = false, unroll = 1 : i64, warpgroups = 1 : i64} {
  %c = arith.constant 0 : index
  %z = arith.constant dense<0.0> : tensor<64x64xf32>
  %a = tile.load %x[%m, %c] : !tile.view<256x64xf32> -> tensor<64x64xf32>
  %b = tile.load %w[%c, %c] : !tile.view<64x64xf32> -> tensor<64x64xf32>
  // expected-error @+1 {{has no sm_90a lowering for operands of 'f32': wgmma multiplies bf16 or f8E4M3FN}}
  %d = tile.dot %a, %b, %z tb : tensor<64x64xf32>, tensor<64x64xf32>, tensor<64x64xf32>
  tile.store %y[%m, %c], %d : !tile.view<256x64xf32>, tensor<64x64xf32>
}

// -----

// A row of an operand is whole 16-byte pieces.
tile.kernel @k(%x: !tile.view<256x12xbf16>, %w: !tile.view<64x12xbf16>, %y: !tile.view<256x64xf32>, %sz: !tile.sizes) domain(%m = 256 by 64) schedule {ctas = 1 : i64, early = 0 : i64, regs = "launch", split = 1 : i64, stages = 1 : i64, swap_ab = false, unroll = 1 : i64, warpgroups = 1 : i64} {
  %c = arith.constant 0 : index
  %z = arith.constant dense<0.0> : tensor<64x64xf32>
  // expected-error @+1 {{has no sm_90a lowering: an operand of wgmma has two dimensions and a multiple of 8 columns}}
  %a = tile.load %x[%m, %c] : !tile.view<256x12xbf16> -> tensor<64x12xbf16>
  %b = tile.load %w[%c, %c] : !tile.view<64x12xbf16> -> tensor<64x12xbf16>
  %d = tile.dot %a, %b, %z tb : tensor<64x12xbf16>, tensor<64x12xbf16>, tensor<64x64xf32>
  tile.store %y[%m, %c], %d : !tile.view<256x64xf32>, tensor<64x64xf32>
}

// -----

// TMA moves rows of a multiple of 16 bytes.
tile.kernel @k(%x: !tile.view<256x?xbf16>, %w: !tile.view<64x64xbf16>, %y: !tile.view<256x64xf32>, %sz: !tile.sizes) domain(%m = 256 by 64) schedule {ctas = 1 : i64, early = 0 : i64, regs = "launch", split = 1 : i64, stages = 1 : i64, swap_ab = false, unroll = 1 : i64, warpgroups = 1 : i64} {
  %c = arith.constant 0 : index
  %z = arith.constant dense<0.0> : tensor<64x64xf32>
  // expected-error @+1 {{has no sm_90a lowering: TMA needs rows of a multiple of 16 bytes}}
  %a = tile.load %x[%m, %c] : !tile.view<256x?xbf16> -> tensor<64x64xbf16>
  %b = tile.load %w[%c, %c] : !tile.view<64x64xbf16> -> tensor<64x64xbf16>
  %d = tile.dot %a, %b, %z tb : tensor<64x64xbf16>, tensor<64x64xbf16>, tensor<64x64xf32>
  tile.store %y[%m, %c], %d : !tile.view<256x64xf32>, tensor<64x64xf32>
}

// -----

// TMA moves 256 rows at most.
tile.kernel @k(%x: !tile.view<256x64xbf16>, %w: !tile.view<264x64xbf16>, %y: !tile.view<256x264xf32>, %sz: !tile.sizes) domain(%m = 256 by 64) schedule {ctas = 1 : i64, early = 0 : i64, regs = "40/232", split = 1 : i64, stages = 1 : i64, swap_ab = false, unroll = 1 : i64, warpgroups = 2 : i64} {
  %c = arith.constant 0 : index
  %z = arith.constant dense<0.0> : tensor<64x264xf32>
  %a = tile.load %x[%m, %c] : !tile.view<256x64xbf16> -> tensor<64x64xbf16>
  // expected-error @+1 {{has no sm_90a lowering: a box of 264 rows; TMA takes 256}}
  %b = tile.load %w[%c, %c] : !tile.view<264x64xbf16> -> tensor<264x64xbf16>
  %d = tile.dot %a, %b, %z tb : tensor<64x64xbf16>, tensor<264x64xbf16>, tensor<64x264xf32>
  tile.store %y[%m, %c], %d : !tile.view<256x264xf32>, tensor<64x264xf32>
}

// -----

// Two warpgroups hold 128 rows.
tile.kernel @k(%x: !tile.view<256x64xbf16>, %w: !tile.view<64x64xbf16>, %y: !tile.view<256x64xf32>, %sz: !tile.sizes) domain(%m = 256 by 64) schedule {ctas = 1 : i64, early = 0 : i64, regs = "launch", split = 1 : i64, stages = 1 : i64, swap_ab = false, unroll = 1 : i64, warpgroups = 1 : i64} {
  %c = arith.constant 0 : index
  %z = arith.constant dense<0.0> : tensor<256x64xf32>
  %a = tile.load %x[%m, %c] : !tile.view<256x64xbf16> -> tensor<256x64xbf16>
  %b = tile.load %w[%c, %c] : !tile.view<64x64xbf16> -> tensor<64x64xbf16>
  // expected-error @+1 {{has no sm_90a lowering for 256 rows; two warpgroups hold 128}}
  %d = tile.dot %a, %b, %z tb : tensor<256x64xbf16>, tensor<64x64xbf16>, tensor<256x64xf32>
  tile.store %y[%m, %c], %d : !tile.view<256x64xf32>, tensor<256x64xf32>
}

// -----

// wgmma takes rows of a.
tile.kernel @k(%x: !tile.view<256x64xbf16>, %w: !tile.view<64x64xbf16>, %y: !tile.view<256x64xf32>, %sz: !tile.sizes) domain(%m = 256 by 64) schedule {ctas = 1 : i64, early = 0 : i64, regs = "launch", split = 1 : i64, stages = 1 : i64, swap_ab = false, unroll = 1 : i64, warpgroups = 1 : i64} {
  %c = arith.constant 0 : index
  %z = arith.constant dense<0.0> : tensor<64x64xf32>
  %a = tile.load %x[%c, %c] : !tile.view<256x64xbf16> -> tensor<64x64xbf16>
  %b = tile.load %w[%c, %c] : !tile.view<64x64xbf16> -> tensor<64x64xbf16>
  // expected-error @+1 {{has no sm_90a lowering for a transposed a}}
  %d = tile.dot %a, %b, %z ta tb : tensor<64x64xbf16>, tensor<64x64xbf16>, tensor<64x64xf32>
  tile.store %y[%m, %c], %d : !tile.view<256x64xf32>, tensor<64x64xf32>
}

// -----

// Both operands of an FP8 product are codes.
tile.kernel @k(%x: !tile.view<256x128xbf16>, %w: !tile.view<64x128xf8E4M3FN, scale<128x128>>, %y: !tile.view<256x64xf32>, %sz: !tile.sizes) domain(%m = 256 by 64) schedule {ctas = 1 : i64, early = 0 : i64, regs = "launch", split = 1 : i64, stages = 1 : i64, swap_ab = false, unroll = 1 : i64, warpgroups = 1 : i64} {
  %c = arith.constant 0 : index
  %z = arith.constant dense<0.0> : tensor<64x64xf32>
  %a = tile.load %x[%m, %c] : !tile.view<256x128xbf16> -> tensor<64x128xbf16>
  %b, %bs = tile.load %w[%c, %c] : !tile.view<64x128xf8E4M3FN, scale<128x128>> -> tensor<64x128xf8E4M3FN>, tensor<1x1xf32>
  // expected-error @+1 {{has no sm_90a lowering without scales of a (W8A16); compile with --fp8=w8a8}}
  %d = tile.dot_scaled %a, %b * %bs, %z : tensor<64x128xbf16>, tensor<64x128xf8E4M3FN>, tensor<1x1xf32>, tensor<64x64xf32>
  tile.store %y[%m, %c], %d : !tile.view<256x64xf32>, tensor<64x64xf32>
}

// -----

// A stage's operands fit shared memory.
tile.kernel @k(%x: !tile.view<256x4096xbf16>, %w: !tile.view<256x4096xbf16>, %y: !tile.view<256x256xf32>, %sz: !tile.sizes) domain(%m = 256 by 64) schedule {ctas = 1 : i64, early = 0 : i64, regs = "launch", split = 1 : i64, stages = 1 : i64, swap_ab = false, unroll = 1 : i64, warpgroups = 1 : i64} {
  %c = arith.constant 0 : index
  %n = arith.constant 4096 : index
  %z = arith.constant dense<0.0> : tensor<64x256xf32>
  // expected-error @+1 {{has no sm_90a lowering with the word 'stages' of 1: a step's operands of 655360 bytes and 4096 bytes beside them exceed the shared memory of 232448 bytes}}
  %d = tile.fold %k = %c to %n step 1024 init(%s = %z : tensor<64x256xf32>) {
    %a = tile.load %x[%m, %k] : !tile.view<256x4096xbf16> -> tensor<64x1024xbf16>
    %b = tile.load %w[%c, %k] : !tile.view<256x4096xbf16> -> tensor<256x1024xbf16>
    %p = tile.dot %a, %b, %s tb : tensor<64x1024xbf16>, tensor<256x1024xbf16>, tensor<64x256xf32>
    tile.yield %p : tensor<64x256xf32>
  } combine (%p), (%q) {
    %t = arith.addf %p, %q : tensor<64x256xf32>
    tile.yield %t : tensor<64x256xf32>
  }
  tile.store %y[%m, %c], %d : !tile.view<256x256xf32>, tensor<64x256xf32>
}

// -----

// An instruction of bf16 contracts 16.
tile.kernel @k(%x: !tile.view<256x24xbf16>, %w: !tile.view<64x24xbf16>, %y: !tile.view<256x64xf32>, %sz: !tile.sizes) domain(%m = 256 by 64) schedule {ctas = 1 : i64, early = 0 : i64, regs = "launch", split = 1 : i64, stages = 1 : i64, swap_ab = false, unroll = 1 : i64, warpgroups = 1 : i64} {
  %c = arith.constant 0 : index
  %z = arith.constant dense<0.0> : tensor<64x64xf32>
  %a = tile.load %x[%m, %c] : !tile.view<256x24xbf16> -> tensor<64x24xbf16>
  %b = tile.load %w[%c, %c] : !tile.view<64x24xbf16> -> tensor<64x24xbf16>
  // expected-error @+1 {{has no sm_90a lowering: K of 24 is not a multiple of 16}}
  %d = tile.dot %a, %b, %z tb : tensor<64x24xbf16>, tensor<64x24xbf16>, tensor<64x64xf32>
  tile.store %y[%m, %c], %d : !tile.view<256x64xf32>, tensor<64x64xf32>
}

// -----

// An instruction has whole blocks of 8 columns.
tile.kernel @k(%x: !tile.view<256x64xbf16>, %w: !tile.view<12x64xbf16>, %y: !tile.view<256x12xf32>, %sz: !tile.sizes) domain(%m = 256 by 64) schedule {ctas = 1 : i64, early = 0 : i64, regs = "launch", split = 1 : i64, stages = 1 : i64, swap_ab = false, unroll = 1 : i64, warpgroups = 1 : i64} {
  %c = arith.constant 0 : index
  %z = arith.constant dense<0.0> : tensor<64x12xf32>
  %a = tile.load %x[%m, %c] : !tile.view<256x64xbf16> -> tensor<64x64xbf16>
  %b = tile.load %w[%c, %c] : !tile.view<12x64xbf16> -> tensor<12x64xbf16>
  // expected-error @+1 {{has no sm_90a lowering for 12 columns a warpgroup; wgmma takes 8..256 in steps of 8}}
  %d = tile.dot %a, %b, %z tb : tensor<64x64xbf16>, tensor<12x64xbf16>, tensor<64x12xf32>
  tile.store %y[%m, %c], %d : !tile.view<256x12xf32>, tensor<64x12xf32>
}

// -----

// A block of K starts at a swizzle's 128 bytes.
tile.kernel @k(%x: !tile.view<256x128xf8E4M3FN, scale<1x64>>, %w: !tile.view<64x128xf8E4M3FN, scale<128x64>>, %y: !tile.view<256x64xf32>, %sz: !tile.sizes) domain(%m = 256 by 64) schedule {ctas = 1 : i64, early = 0 : i64, regs = "launch", split = 1 : i64, stages = 1 : i64, swap_ab = false, unroll = 1 : i64, warpgroups = 1 : i64} {
  %c = arith.constant 0 : index
  %z = arith.constant dense<0.0> : tensor<64x64xf32>
  %a, %as = tile.load %x[%m, %c] : !tile.view<256x128xf8E4M3FN, scale<1x64>> -> tensor<64x128xf8E4M3FN>, tensor<64x2xf32>
  %b, %bs = tile.load %w[%c, %c] : !tile.view<64x128xf8E4M3FN, scale<128x64>> -> tensor<64x128xf8E4M3FN>, tensor<1x2xf32>
  // expected-error @+1 {{has no sm_90a lowering: a block of K starts at 64, inside 128 bytes}}
  %d = tile.dot_scaled %a * %as : tensor<64x2xf32>, %b * %bs, %z {k = 64 : i64} : tensor<64x128xf8E4M3FN>, tensor<64x128xf8E4M3FN>, tensor<1x2xf32>, tensor<64x64xf32>
  tile.store %y[%m, %c], %d : !tile.view<256x64xf32>, tensor<64x64xf32>
}

// -----

// Registers feed a wgmma as bf16.
tile.kernel @k(%x: !tile.view<256x64xbf16>, %w: !tile.view<64x64xbf16>, %y: !tile.view<256x64xf32>, %sz: !tile.sizes) domain(%m = 256 by 64) schedule {ctas = 1 : i64, early = 0 : i64, regs = "launch", split = 1 : i64, stages = 1 : i64, swap_ab = false, unroll = 1 : i64, warpgroups = 1 : i64} {
  %c = arith.constant 0 : index
  %z = arith.constant dense<0.0> : tensor<64x64xf32>
  %a = tile.load %x[%m, %c] : !tile.view<256x64xbf16> -> tensor<64x64xbf16>
  %b = tile.load %w[%c, %c] : !tile.view<64x64xbf16> -> tensor<64x64xbf16>
  %d = tile.dot %a, %b, %z tb : tensor<64x64xbf16>, tensor<64x64xbf16>, tensor<64x64xf32>
  // expected-error @+1 {{has no sm_90a lowering: operand a is neither in shared memory nor in registers as bf16}}
  %d2 = tile.dot %d, %b, %z tb : tensor<64x64xf32>, tensor<64x64xbf16>, tensor<64x64xf32>
  tile.store %y[%m, %c], %d2 : !tile.view<256x64xf32>, tensor<64x64xf32>
}

// -----

// Half of an MN-major operand's columns are whole chunks.
tile.kernel @k(%x: !tile.view<256x64xbf16>, %w: !tile.view<64x288xbf16>, %y: !tile.view<256x288xf32>, %sz: !tile.sizes) domain(%m = 256 by 64) schedule {ctas = 1 : i64, early = 0 : i64, regs = "40/232", split = 1 : i64, stages = 1 : i64, swap_ab = false, unroll = 1 : i64, warpgroups = 2 : i64} {
  %c = arith.constant 0 : index
  %z = arith.constant dense<0.0> : tensor<64x288xf32>
  %a = tile.load %x[%m, %c] : !tile.view<256x64xbf16> -> tensor<64x64xbf16>
  %b = tile.load %w[%c, %c] : !tile.view<64x288xbf16> -> tensor<64x288xbf16>
  // expected-error @+1 {{has no sm_90a lowering: an MN-major operand starts inside a 64-column chunk}}
  %d = tile.dot %a, %b, %z : tensor<64x64xbf16>, tensor<64x288xbf16>, tensor<64x288xf32>
  tile.store %y[%m, %c], %d : !tile.view<256x288xf32>, tensor<64x288xf32>
}

// -----

// Scales come with their tiles.
tile.kernel @k(%x: !tile.view<256x128xf8E4M3FN, scale<1x128>>, %w: !tile.view<64x128xf8E4M3FN, scale<128x128>>, %y: !tile.view<256x64xf32>, %sz: !tile.sizes) domain(%m = 256 by 64) schedule {ctas = 1 : i64, early = 0 : i64, regs = "launch", split = 1 : i64, stages = 1 : i64, swap_ab = false, unroll = 1 : i64, warpgroups = 1 : i64} {
  %c = arith.constant 0 : index
  %ones = arith.constant dense<1.0> : tensor<64x1xf32>
  %z = arith.constant dense<0.0> : tensor<64x64xf32>
  %a, %as = tile.load %x[%m, %c] : !tile.view<256x128xf8E4M3FN, scale<1x128>> -> tensor<64x128xf8E4M3FN>, tensor<64x1xf32>
  %b, %bs = tile.load %w[%c, %c] : !tile.view<64x128xf8E4M3FN, scale<128x128>> -> tensor<64x128xf8E4M3FN>, tensor<1x1xf32>
  // expected-error @+1 {{has no sm_90a lowering: its scales are not those of loaded tiles}}
  %d = tile.dot_scaled %a * %ones : tensor<64x1xf32>, %b * %bs, %z : tensor<64x128xf8E4M3FN>, tensor<64x128xf8E4M3FN>, tensor<1x1xf32>, tensor<64x64xf32>
  tile.store %y[%m, %c], %d : !tile.view<256x64xf32>, tensor<64x64xf32>
}

// -----

// A scale of b covers whole blocks of 8 columns.
tile.kernel @k(%x: !tile.view<256x128xf8E4M3FN, scale<1x128>>, %w: !tile.view<64x128xf8E4M3FN, scale<4x128>>, %y: !tile.view<256x64xf32>, %sz: !tile.sizes) domain(%m = 256 by 64) schedule {ctas = 1 : i64, early = 0 : i64, regs = "launch", split = 1 : i64, stages = 1 : i64, swap_ab = false, unroll = 1 : i64, warpgroups = 1 : i64} {
  %c = arith.constant 0 : index
  %z = arith.constant dense<0.0> : tensor<64x64xf32>
  %a, %as = tile.load %x[%m, %c] : !tile.view<256x128xf8E4M3FN, scale<1x128>> -> tensor<64x128xf8E4M3FN>, tensor<64x1xf32>
  %b, %bs = tile.load %w[%c, %c] : !tile.view<64x128xf8E4M3FN, scale<4x128>> -> tensor<64x128xf8E4M3FN>, tensor<16x1xf32>
  // expected-error @+1 {{has no sm_90a lowering: a scale of b for 4 columns}}
  %d = tile.dot_scaled %a * %as : tensor<64x1xf32>, %b * %bs, %z : tensor<64x128xf8E4M3FN>, tensor<64x128xf8E4M3FN>, tensor<16x1xf32>, tensor<64x64xf32>
  tile.store %y[%m, %c], %d : !tile.view<256x64xf32>, tensor<64x64xf32>
}

// -----

// A function without an instruction.
tile.kernel @k(%x: !tile.view<256x64xbf16>, %w: !tile.view<64x64xbf16>, %y: !tile.view<256x64xf32>, %sz: !tile.sizes) domain(%m = 256 by 64) schedule {ctas = 1 : i64, early = 0 : i64, regs = "launch", split = 1 : i64, stages = 1 : i64, swap_ab = false, unroll = 1 : i64, warpgroups = 1 : i64} {
  %c = arith.constant 0 : index
  %z = arith.constant dense<0.0> : tensor<64x64xf32>
  %a = tile.load %x[%m, %c] : !tile.view<256x64xbf16> -> tensor<64x64xbf16>
  %b = tile.load %w[%c, %c] : !tile.view<64x64xbf16> -> tensor<64x64xbf16>
  %d = tile.dot %a, %b, %z tb : tensor<64x64xbf16>, tensor<64x64xbf16>, tensor<64x64xf32>
  // expected-error @+1 {{has no sm_90a lowering}}
  %r = math.sin %d : tensor<64x64xf32>
  tile.store %y[%m, %c], %r : !tile.view<256x64xf32>, tensor<64x64xf32>
}

// -----

// A constant is one value.
tile.kernel @k(%x: !tile.view<256x64xbf16>, %w: !tile.view<64x64xbf16>, %y: !tile.view<256x64xf32>, %sz: !tile.sizes) domain(%m = 256 by 64) schedule {ctas = 1 : i64, early = 0 : i64, regs = "launch", split = 1 : i64, stages = 1 : i64, swap_ab = false, unroll = 1 : i64, warpgroups = 1 : i64} {
  %c = arith.constant 0 : index
  %z = arith.constant dense<0.0> : tensor<64x64xf32>
  %a = tile.load %x[%m, %c] : !tile.view<256x64xbf16> -> tensor<64x64xbf16>
  %b = tile.load %w[%c, %c] : !tile.view<64x64xbf16> -> tensor<64x64xbf16>
  %d = tile.dot %a, %b, %z tb : tensor<64x64xbf16>, tensor<64x64xbf16>, tensor<64x64xf32>
  // expected-error @+1 {{has no sm_90a lowering: not a splat}}
  %t = arith.constant dense<[[0.0], [1.0], [2.0], [3.0], [4.0], [5.0], [6.0], [7.0], [8.0], [9.0], [10.0], [11.0], [12.0], [13.0], [14.0], [15.0], [16.0], [17.0], [18.0], [19.0], [20.0], [21.0], [22.0], [23.0], [24.0], [25.0], [26.0], [27.0], [28.0], [29.0], [30.0], [31.0], [32.0], [33.0], [34.0], [35.0], [36.0], [37.0], [38.0], [39.0], [40.0], [41.0], [42.0], [43.0], [44.0], [45.0], [46.0], [47.0], [48.0], [49.0], [50.0], [51.0], [52.0], [53.0], [54.0], [55.0], [56.0], [57.0], [58.0], [59.0], [60.0], [61.0], [62.0], [63.0]]> : tensor<64x1xf32>
  %u = tile.broadcast %t : tensor<64x1xf32> -> tensor<64x64xf32>
  %r = arith.addf %d, %u : tensor<64x64xf32>
  tile.store %y[%m, %c], %r : !tile.view<256x64xf32>, tensor<64x64xf32>
}

// -----

// An operand of wgmma is not read by threads.
tile.kernel @k(%x: !tile.view<256x64xbf16>, %w: !tile.view<64x64xbf16>, %y: !tile.view<256x64xf32>, %sz: !tile.sizes) domain(%m = 256 by 64) schedule {ctas = 1 : i64, early = 0 : i64, regs = "launch", split = 1 : i64, stages = 1 : i64, swap_ab = false, unroll = 1 : i64, warpgroups = 1 : i64} {
  %c = arith.constant 0 : index
  %z = arith.constant dense<0.0> : tensor<64x64xf32>
  %a = tile.load %x[%m, %c] : !tile.view<256x64xbf16> -> tensor<64x64xbf16>
  %b = tile.load %w[%c, %c] : !tile.view<64x64xbf16> -> tensor<64x64xbf16>
  %d = tile.dot %a, %b, %z tb : tensor<64x64xbf16>, tensor<64x64xbf16>, tensor<64x64xf32>
  // expected-error @+1 {{has no sm_90a lowering: an operand is in shared memory}}
  %g = arith.extf %a : tensor<64x64xbf16> to tensor<64x64xf32>
  %r = arith.addf %d, %g : tensor<64x64xf32>
  tile.store %y[%m, %c], %r : !tile.view<256x64xf32>, tensor<64x64xf32>
}

// -----

// A tile of another height has other registers.
tile.kernel @k(%x: !tile.view<256x64xbf16>, %w: !tile.view<64x64xbf16>, %v: !tile.view<256x64xf32>, %y: !tile.view<256x64xf32>, %sz: !tile.sizes) domain(%m = 256 by 64) schedule {ctas = 1 : i64, early = 0 : i64, regs = "launch", split = 1 : i64, stages = 1 : i64, swap_ab = false, unroll = 1 : i64, warpgroups = 1 : i64} {
  %c = arith.constant 0 : index
  %z = arith.constant dense<0.0> : tensor<64x64xf32>
  %a = tile.load %x[%m, %c] : !tile.view<256x64xbf16> -> tensor<64x64xbf16>
  %b = tile.load %w[%c, %c] : !tile.view<64x64xbf16> -> tensor<64x64xbf16>
  %d = tile.dot %a, %b, %z tb : tensor<64x64xbf16>, tensor<64x64xbf16>, tensor<64x64xf32>
  %i = tile.iota 0 : tensor<256x64xi32>
  %f = arith.sitofp %i : tensor<256x64xi32> to tensor<256x64xf32>
  // expected-error @+1 {{has no sm_90a lowering: a tile of 'tensor<256x64xf32>' does not fit the registers of 1 warpgroups}}
  tile.store %v[%c, %c], %f : !tile.view<256x64xf32>, tensor<256x64xf32>
  tile.store %y[%m, %c], %d : !tile.view<256x64xf32>, tensor<64x64xf32>
}

// -----

// Halves of a fragment are not added to whole ones.
tile.kernel @k(%x: !tile.view<256x64xbf16>, %w: !tile.view<64x64xbf16>, %y: !tile.view<256x64xf32>, %sz: !tile.sizes) domain(%m = 256 by 64) schedule {ctas = 1 : i64, early = 0 : i64, regs = "launch", split = 1 : i64, stages = 1 : i64, swap_ab = false, unroll = 1 : i64, warpgroups = 1 : i64} {
  %c = arith.constant 0 : index
  %z = arith.constant dense<0.0> : tensor<64x64xf32>
  %a = tile.load %x[%m, %c] : !tile.view<256x64xbf16> -> tensor<64x64xbf16>
  %b = tile.load %w[%c, %c] : !tile.view<64x64xbf16> -> tensor<64x64xbf16>
  %d = tile.dot %a, %b, %z tb : tensor<64x64xbf16>, tensor<64x64xbf16>, tensor<64x64xf32>
  %ev, %od = tile.deinterleave %d : tensor<64x64xf32> -> tensor<64x32xf32>, tensor<64x32xf32>
  %lo = tile.slice %d [0, 0] : tensor<64x64xf32> -> tensor<64x32xf32>
  // expected-error @+1 {{has no sm_90a lowering: operands in different register layouts}}
  %r = arith.addf %ev, %lo : tensor<64x32xf32>
  %s = tile.interleave %r, %od : tensor<64x32xf32>, tensor<64x32xf32> -> tensor<64x64xf32>
  tile.store %y[%m, %c], %s : !tile.view<256x64xf32>, tensor<64x64xf32>
}

// -----

// A sum over rows crosses warps.
tile.kernel @k(%x: !tile.view<256x64xbf16>, %w: !tile.view<64x64xbf16>, %y: !tile.view<256x64xf32>, %sz: !tile.sizes) domain(%m = 256 by 64) schedule {ctas = 1 : i64, early = 0 : i64, regs = "launch", split = 1 : i64, stages = 1 : i64, swap_ab = false, unroll = 1 : i64, warpgroups = 1 : i64} {
  %c = arith.constant 0 : index
  %z = arith.constant dense<0.0> : tensor<64x64xf32>
  %a = tile.load %x[%m, %c] : !tile.view<256x64xbf16> -> tensor<64x64xbf16>
  %b = tile.load %w[%c, %c] : !tile.view<64x64xbf16> -> tensor<64x64xbf16>
  %d = tile.dot %a, %b, %z tb : tensor<64x64xbf16>, tensor<64x64xbf16>, tensor<64x64xf32>
  // expected-error @+1 {{has no sm_90a lowering over dimension 0}}
  %t = tile.reduce add %d, 0 : tensor<64x64xf32> -> tensor<1x64xf32>
  %u = tile.broadcast %t : tensor<1x64xf32> -> tensor<64x64xf32>
  %r = arith.addf %d, %u : tensor<64x64xf32>
  tile.store %y[%m, %c], %r : !tile.view<256x64xf32>, tensor<64x64xf32>
}

// -----

// Sums are of f32.
tile.kernel @k(%x: !tile.view<256x64xbf16>, %w: !tile.view<64x64xbf16>, %y: !tile.view<256x64xf32>, %sz: !tile.sizes) domain(%m = 256 by 64) schedule {ctas = 1 : i64, early = 0 : i64, regs = "launch", split = 1 : i64, stages = 1 : i64, swap_ab = false, unroll = 1 : i64, warpgroups = 1 : i64} {
  %c = arith.constant 0 : index
  %z = arith.constant dense<0.0> : tensor<64x64xf32>
  %a = tile.load %x[%m, %c] : !tile.view<256x64xbf16> -> tensor<64x64xbf16>
  %b = tile.load %w[%c, %c] : !tile.view<64x64xbf16> -> tensor<64x64xbf16>
  %d = tile.dot %a, %b, %z tb : tensor<64x64xbf16>, tensor<64x64xbf16>, tensor<64x64xf32>
  %h = arith.truncf %d : tensor<64x64xf32> to tensor<64x64xbf16>
  // expected-error @+1 {{has no sm_90a lowering for 'bf16'}}
  %t = tile.reduce add %h, 1 : tensor<64x64xbf16> -> tensor<64x1xbf16>
  %u = arith.extf %t : tensor<64x1xbf16> to tensor<64x1xf32>
  %w2 = tile.broadcast %u : tensor<64x1xf32> -> tensor<64x64xf32>
  %r = arith.addf %d, %w2 : tensor<64x64xf32>
  tile.store %y[%m, %c], %r : !tile.view<256x64xf32>, tensor<64x64xf32>
}

// -----

// A group of a quantisation is the tile's row.
tile.kernel @k(%x: !tile.view<256x64xbf16>, %w: !tile.view<128x64xbf16>, %y: !tile.view<256x128xf8E4M3FN, scale<1x64>>, %sz: !tile.sizes) domain(%m = 256 by 64) schedule {ctas = 1 : i64, early = 0 : i64, regs = "launch", split = 1 : i64, stages = 1 : i64, swap_ab = false, unroll = 1 : i64, warpgroups = 1 : i64} {
  %c = arith.constant 0 : index
  %z = arith.constant dense<0.0> : tensor<64x128xf32>
  %a = tile.load %x[%m, %c] : !tile.view<256x64xbf16> -> tensor<64x64xbf16>
  %b = tile.load %w[%c, %c] : !tile.view<128x64xbf16> -> tensor<128x64xbf16>
  %d = tile.dot %a, %b, %z tb : tensor<64x64xbf16>, tensor<128x64xbf16>, tensor<64x128xf32>
  // expected-error @+1 {{has no sm_90a lowering: a group of 64 is not the tile's 128 columns}}
  %q, %s = tile.quantize %d group 64 floor 1.0e-4 format f32 : tensor<64x128xf32> -> tensor<64x128xf8E4M3FN>, tensor<64x2xf32>
  tile.store %y[%m, %c], %q, %s : tensor<64x2xf32> : !tile.view<256x128xf8E4M3FN, scale<1x64>>, tensor<64x128xf8E4M3FN>
}

// -----

// Selection has no place beside a contraction.
tile.kernel @k(%x: !tile.view<256x64xbf16>, %w: !tile.view<64x64xbf16>, %y: !tile.view<256x64xf32>, %sz: !tile.sizes) domain(%m = 256 by 64) schedule {ctas = 1 : i64, early = 0 : i64, regs = "launch", split = 1 : i64, stages = 1 : i64, swap_ab = false, unroll = 1 : i64, warpgroups = 1 : i64} {
  %c = arith.constant 0 : index
  %z = arith.constant dense<0.0> : tensor<64x64xf32>
  %a = tile.load %x[%m, %c] : !tile.view<256x64xbf16> -> tensor<64x64xbf16>
  %b = tile.load %w[%c, %c] : !tile.view<64x64xbf16> -> tensor<64x64xbf16>
  %d = tile.dot %a, %b, %z tb : tensor<64x64xbf16>, tensor<64x64xbf16>, tensor<64x64xf32>
  // expected-error @+1 {{has no sm_90a lowering in a kernel with contractions}}
  %v, %i = tile.topk %d : tensor<64x64xf32> -> tensor<64x2xf32>, tensor<64x2xi32>
  tile.store %y[%m, %c], %d : !tile.view<256x64xf32>, tensor<64x64xf32>
}

// -----

// A branch leaves nothing behind.
tile.kernel @k(%x: !tile.view<256x64xbf16>, %w: !tile.view<64x64xbf16>, %y: !tile.view<256x64xf32>, %sz: !tile.sizes) domain(%m = 256 by 64) schedule {ctas = 1 : i64, early = 0 : i64, regs = "launch", split = 1 : i64, stages = 1 : i64, swap_ab = false, unroll = 1 : i64, warpgroups = 1 : i64} {
  %c = arith.constant 0 : index
  %z = arith.constant dense<0.0> : tensor<64x64xf32>
  %a = tile.load %x[%m, %c] : !tile.view<256x64xbf16> -> tensor<64x64xbf16>
  %b = tile.load %w[%c, %c] : !tile.view<64x64xbf16> -> tensor<64x64xbf16>
  %d = tile.dot %a, %b, %z tb : tensor<64x64xbf16>, tensor<64x64xbf16>, tensor<64x64xf32>
  %t = arith.constant true
  // expected-error @+1 {{has no sm_90a lowering with results}}
  %r = scf.if %t -> tensor<64x64xf32> {
    scf.yield %d : tensor<64x64xf32>
  } else {
    scf.yield %d : tensor<64x64xf32>
  }
  tile.store %y[%m, %c], %r : !tile.view<256x64xf32>, tensor<64x64xf32>
}

// -----

// The producer cannot gather by what only consumers compute.
tile.kernel @k(%x: !tile.view<256x64xbf16>, %w: !tile.view<64x64xbf16>, %y: !tile.view<256x64xf32>, %sz: !tile.sizes) domain(%m = 256 by 64) schedule {ctas = 1 : i64, early = 0 : i64, regs = "launch", split = 1 : i64, stages = 1 : i64, swap_ab = false, unroll = 1 : i64, warpgroups = 1 : i64} {
  %c = arith.constant 0 : index
  %z = arith.constant dense<0.0> : tensor<64x64xf32>
  %a = tile.load %x[%m, %c] : !tile.view<256x64xbf16> -> tensor<64x64xbf16>
  %b = tile.load %w[%c, %c] : !tile.view<64x64xbf16> -> tensor<64x64xbf16>
  %d = tile.dot %a, %b, %z tb : tensor<64x64xbf16>, tensor<64x64xbf16>, tensor<64x64xf32>
  %t = tile.reduce max %d, 1 : tensor<64x64xf32> -> tensor<64x1xf32>
  %l = tile.reshape %t : tensor<64x1xf32> -> tensor<64xf32>
  %i = arith.fptosi %l : tensor<64xf32> to tensor<64xi32>
  %g = tile.rows %x[%i] : !tile.view<256x64xbf16>, tensor<64xi32> -> !tile.view<64x64xbf16>
  // expected-error @+1 {{has no sm_90a lowering: the rows that it gathers are computed in registers}}
  %a2 = tile.load %g[%c, %c] : !tile.view<64x64xbf16> -> tensor<64x64xbf16>
  %d2 = tile.dot %a2, %b, %z tb : tensor<64x64xbf16>, tensor<64x64xbf16>, tensor<64x64xf32>
  tile.store %y[%m, %c], %d2 : !tile.view<256x64xf32>, tensor<64x64xf32>
}

// -----

// A tile lies in one page.
tile.kernel @k(%x: !tile.view<256x64xbf16>, %w: !tile.view<?x64x64xbf16>, %pt: !tile.view<?x?xi32>, %y: !tile.view<256x128xf32>, %sz: !tile.sizes) domain(%m = 256 by 64) schedule {ctas = 1 : i64, early = 0 : i64, regs = "launch", split = 1 : i64, stages = 1 : i64, swap_ab = false, unroll = 1 : i64, warpgroups = 1 : i64} {
  %c = arith.constant 0 : index
  %len = arith.constant 128 : index
  %v = tile.paged %w[%pt, %c] extent %len : !tile.view<?x64x64xbf16>, !tile.view<?x?xi32> -> !tile.view<?x64xbf16>
  %z = arith.constant dense<0.0> : tensor<64x128xf32>
  %a = tile.load %x[%m, %c] : !tile.view<256x64xbf16> -> tensor<64x64xbf16>
  // expected-error @+1 {{has no sm_90a lowering: a tile of 128 rows crosses pages of 64}}
  %b = tile.load %v[%c, %c] : !tile.view<?x64xbf16> -> tensor<128x64xbf16>
  %d = tile.dot %a, %b, %z tb : tensor<64x64xbf16>, tensor<128x64xbf16>, tensor<64x128xf32>
  tile.store %y[%m, %c], %d : !tile.view<256x128xf32>, tensor<64x128xf32>
}

// -----

// Codes are operands of wgmma.
tile.kernel @k(%x: !tile.view<256x64xbf16>, %w: !tile.view<64x64xbf16>, %u: !tile.view<256x128xf8E4M3FN, scale<1x128>>, %y: !tile.view<256x64xf32>, %sz: !tile.sizes) domain(%m = 256 by 64) schedule {ctas = 1 : i64, early = 0 : i64, regs = "launch", split = 1 : i64, stages = 1 : i64, swap_ab = false, unroll = 1 : i64, warpgroups = 1 : i64} {
  %c = arith.constant 0 : index
  %z = arith.constant dense<0.0> : tensor<64x64xf32>
  %a = tile.load %x[%m, %c] : !tile.view<256x64xbf16> -> tensor<64x64xbf16>
  %b = tile.load %w[%c, %c] : !tile.view<64x64xbf16> -> tensor<64x64xbf16>
  %d = tile.dot %a, %b, %z tb : tensor<64x64xbf16>, tensor<64x64xbf16>, tensor<64x64xf32>
  // expected-error @+1 {{has no sm_90a lowering: a scaled tile that is no operand of wgmma}}
  %q, %s = tile.load %u[%m, %c] : !tile.view<256x128xf8E4M3FN, scale<1x128>> -> tensor<64x128xf8E4M3FN>, tensor<64x1xf32>
  tile.store %y[%m, %c], %d : !tile.view<256x64xf32>, tensor<64x64xf32>
}

// -----

// A column is not gathered.
tile.kernel @k(%x: !tile.view<256x64xbf16>, %w: !tile.view<64x64xbf16>, %ids: !tile.view<256xi32>, %u: !tile.view<256x64xf32>, %y: !tile.view<256x64xf32>, %sz: !tile.sizes) domain(%m = 256 by 64) schedule {ctas = 1 : i64, early = 0 : i64, regs = "launch", split = 1 : i64, stages = 1 : i64, swap_ab = false, unroll = 1 : i64, warpgroups = 1 : i64} {
  %c = arith.constant 0 : index
  %i = tile.load %ids[%m] : !tile.view<256xi32> -> tensor<64xi32>
  %g = tile.rows %u[%i] : !tile.view<256x64xf32>, tensor<64xi32> -> !tile.view<64x64xf32>
  %z = arith.constant dense<0.0> : tensor<64x64xf32>
  %a = tile.load %x[%m, %c] : !tile.view<256x64xbf16> -> tensor<64x64xbf16>
  %b = tile.load %w[%c, %c] : !tile.view<64x64xbf16> -> tensor<64x64xbf16>
  %d = tile.dot %a, %b, %z tb : tensor<64x64xbf16>, tensor<64x64xbf16>, tensor<64x64xf32>
  // expected-error @+1 {{has no sm_90a lowering: a gather of one column}}
  %col = tile.load %g[%c, %c] : !tile.view<64x64xf32> -> tensor<64x1xf32>
  %w2 = tile.broadcast %col : tensor<64x1xf32> -> tensor<64x64xf32>
  %r = arith.addf %d, %w2 : tensor<64x64xf32>
  tile.store %y[%m, %c], %r : !tile.view<256x64xf32>, tensor<64x64xf32>
}

// -----

// Registers are loaded by 16 or 32 bits.
tile.kernel @k(%x: !tile.view<256x64xbf16>, %w: !tile.view<64x64xbf16>, %u: !tile.view<256x64xi64>, %y: !tile.view<256x64xf32>, %sz: !tile.sizes) domain(%m = 256 by 64) schedule {ctas = 1 : i64, early = 0 : i64, regs = "launch", split = 1 : i64, stages = 1 : i64, swap_ab = false, unroll = 1 : i64, warpgroups = 1 : i64} {
  %c = arith.constant 0 : index
  %z = arith.constant dense<0.0> : tensor<64x64xf32>
  %a = tile.load %x[%m, %c] : !tile.view<256x64xbf16> -> tensor<64x64xbf16>
  %b = tile.load %w[%c, %c] : !tile.view<64x64xbf16> -> tensor<64x64xbf16>
  %d = tile.dot %a, %b, %z tb : tensor<64x64xbf16>, tensor<64x64xbf16>, tensor<64x64xf32>
  // expected-error @+1 {{has no sm_90a lowering: a tile of 'tensor<64x64xi64>' in registers}}
  %l = tile.load %u[%m, %c] : !tile.view<256x64xi64> -> tensor<64x64xi64>
  tile.store %y[%m, %c], %d : !tile.view<256x64xf32>, tensor<64x64xf32>
}

// -----

// A row of registers is not spread over rows.
tile.kernel @k(%x: !tile.view<256x64xbf16>, %w: !tile.view<64x64xbf16>, %y: !tile.view<256x64xf32>, %sz: !tile.sizes) domain(%m = 256 by 64) schedule {ctas = 1 : i64, early = 0 : i64, regs = "launch", split = 1 : i64, stages = 1 : i64, swap_ab = false, unroll = 1 : i64, warpgroups = 1 : i64} {
  %c = arith.constant 0 : index
  %z = arith.constant dense<0.0> : tensor<64x64xf32>
  %a = tile.load %x[%m, %c] : !tile.view<256x64xbf16> -> tensor<64x64xbf16>
  %b = tile.load %w[%c, %c] : !tile.view<64x64xbf16> -> tensor<64x64xbf16>
  %d = tile.dot %a, %b, %z tb : tensor<64x64xbf16>, tensor<64x64xbf16>, tensor<64x64xf32>
  %t = tile.reduce max %d, 1 : tensor<64x64xf32> -> tensor<64x1xf32>
  // expected-error @+1 {{has no sm_90a lowering for this shape}}
  %u = tile.broadcast %d : tensor<64x64xf32> -> tensor<2x64x64xf32>
  tile.store %y[%m, %c], %d : !tile.view<256x64xf32>, tensor<64x64xf32>
}

// -----

// An operand of wgmma is not spread.
tile.kernel @k(%x: !tile.view<256x64xbf16>, %w: !tile.view<64x64xbf16>, %y: !tile.view<256x64xf32>, %sz: !tile.sizes) domain(%m = 256 by 64) schedule {ctas = 1 : i64, early = 0 : i64, regs = "launch", split = 1 : i64, stages = 1 : i64, swap_ab = false, unroll = 1 : i64, warpgroups = 1 : i64} {
  %c = arith.constant 0 : index
  %z = arith.constant dense<0.0> : tensor<64x64xf32>
  %a = tile.load %x[%m, %c] : !tile.view<256x64xbf16> -> tensor<64x64xbf16>
  %b = tile.load %w[%c, %c] : !tile.view<64x64xbf16> -> tensor<64x64xbf16>
  %d = tile.dot %a, %b, %z tb : tensor<64x64xbf16>, tensor<64x64xbf16>, tensor<64x64xf32>
  // expected-error @+1 {{has no sm_90a lowering: its source is in shared memory}}
  %u = tile.broadcast %a : tensor<64x64xbf16> -> tensor<2x64x64xbf16>
  tile.store %y[%m, %c], %d : !tile.view<256x64xf32>, tensor<64x64xf32>
}

// -----

// Registers keep their rows.
tile.kernel @k(%x: !tile.view<256x64xbf16>, %w: !tile.view<64x64xbf16>, %y: !tile.view<256x64xf32>, %sz: !tile.sizes) domain(%m = 256 by 64) schedule {ctas = 1 : i64, early = 0 : i64, regs = "launch", split = 1 : i64, stages = 1 : i64, swap_ab = false, unroll = 1 : i64, warpgroups = 1 : i64} {
  %c = arith.constant 0 : index
  %z = arith.constant dense<0.0> : tensor<64x64xf32>
  %a = tile.load %x[%m, %c] : !tile.view<256x64xbf16> -> tensor<64x64xbf16>
  %b = tile.load %w[%c, %c] : !tile.view<64x64xbf16> -> tensor<64x64xbf16>
  %d = tile.dot %a, %b, %z tb : tensor<64x64xbf16>, tensor<64x64xbf16>, tensor<64x64xf32>
  // expected-error @+1 {{has no sm_90a lowering: a reshape of registers keeps one column}}
  %u = tile.reshape %d : tensor<64x64xf32> -> tensor<4096xf32>
  tile.store %y[%m, %c], %d : !tile.view<256x64xf32>, tensor<64x64xf32>
}

// -----

// An operand of wgmma keeps its shape.
tile.kernel @k(%x: !tile.view<256x64xbf16>, %w: !tile.view<64x64xbf16>, %y: !tile.view<256x64xf32>, %sz: !tile.sizes) domain(%m = 256 by 64) schedule {ctas = 1 : i64, early = 0 : i64, regs = "launch", split = 1 : i64, stages = 1 : i64, swap_ab = false, unroll = 1 : i64, warpgroups = 1 : i64} {
  %c = arith.constant 0 : index
  %z = arith.constant dense<0.0> : tensor<64x64xf32>
  %a = tile.load %x[%m, %c] : !tile.view<256x64xbf16> -> tensor<64x64xbf16>
  %b = tile.load %w[%c, %c] : !tile.view<64x64xbf16> -> tensor<64x64xbf16>
  %d = tile.dot %a, %b, %z tb : tensor<64x64xbf16>, tensor<64x64xbf16>, tensor<64x64xf32>
  // expected-error @+1 {{has no sm_90a lowering for this shape}}
  %u = tile.reshape %a : tensor<64x64xbf16> -> tensor<4096xbf16>
  tile.store %y[%m, %c], %d : !tile.view<256x64xf32>, tensor<64x64xf32>
}

// -----

// A slice of an operand is whole chunks.
tile.kernel @k(%x: !tile.view<256x64xbf16>, %w: !tile.view<64x64xbf16>, %y: !tile.view<256x64xf32>, %sz: !tile.sizes) domain(%m = 256 by 64) schedule {ctas = 1 : i64, early = 0 : i64, regs = "launch", split = 1 : i64, stages = 1 : i64, swap_ab = false, unroll = 1 : i64, warpgroups = 1 : i64} {
  %c = arith.constant 0 : index
  %z = arith.constant dense<0.0> : tensor<64x64xf32>
  %a = tile.load %x[%m, %c] : !tile.view<256x64xbf16> -> tensor<64x64xbf16>
  %b = tile.load %w[%c, %c] : !tile.view<64x64xbf16> -> tensor<64x64xbf16>
  %d = tile.dot %a, %b, %z tb : tensor<64x64xbf16>, tensor<64x64xbf16>, tensor<64x64xf32>
  // expected-error @+1 {{has no sm_90a lowering: a slice of shared memory starts at a multiple of 8 rows and 128 bytes}}
  %h = tile.slice %a [0, 32] : tensor<64x64xbf16> -> tensor<64x32xbf16>
  tile.store %y[%m, %c], %d : !tile.view<256x64xf32>, tensor<64x64xf32>
}

// -----

// A slice of registers is whole blocks.
tile.kernel @k(%x: !tile.view<256x64xbf16>, %w: !tile.view<64x64xbf16>, %y: !tile.view<256x64xf32>, %sz: !tile.sizes) domain(%m = 256 by 64) schedule {ctas = 1 : i64, early = 0 : i64, regs = "launch", split = 1 : i64, stages = 1 : i64, swap_ab = false, unroll = 1 : i64, warpgroups = 1 : i64} {
  %c = arith.constant 0 : index
  %z = arith.constant dense<0.0> : tensor<64x64xf32>
  %a = tile.load %x[%m, %c] : !tile.view<256x64xbf16> -> tensor<64x64xbf16>
  %b = tile.load %w[%c, %c] : !tile.view<64x64xbf16> -> tensor<64x64xbf16>
  %d = tile.dot %a, %b, %z tb : tensor<64x64xbf16>, tensor<64x64xbf16>, tensor<64x64xf32>
  // expected-error @+1 {{has no sm_90a lowering: a slice of registers takes every row and whole blocks of columns}}
  %h = tile.slice %d [0, 4] : tensor<64x64xf32> -> tensor<64x32xf32>
  tile.store %y[%m, %c], %d : !tile.view<256x64xf32>, tensor<64x64xf32>
}

// -----

// Codes are packed by columns of the whole tile.
tile.kernel @k(%x: !tile.view<256x64xbf16>, %w: !tile.view<128x64xbf16>, %y: !tile.view<256x128xf32>, %sz: !tile.sizes) domain(%m = 256 by 64) schedule {ctas = 1 : i64, early = 0 : i64, regs = "launch", split = 1 : i64, stages = 1 : i64, swap_ab = false, unroll = 1 : i64, warpgroups = 1 : i64} {
  %c = arith.constant 0 : index
  %z = arith.constant dense<0.0> : tensor<64x128xf32>
  %a = tile.load %x[%m, %c] : !tile.view<256x64xbf16> -> tensor<64x64xbf16>
  %b = tile.load %w[%c, %c] : !tile.view<128x64xbf16> -> tensor<128x64xbf16>
  %d = tile.dot %a, %b, %z tb : tensor<64x64xbf16>, tensor<128x64xbf16>, tensor<64x128xf32>
  %q, %s = tile.quantize %d group 128 floor 1.0e-4 format f32 : tensor<64x128xf32> -> tensor<64x128xf8E4M3FN>, tensor<64x1xf32>
  // expected-error @+1 {{has no sm_90a lowering for codes}}
  %h = tile.slice %q [0, 64] : tensor<64x128xf8E4M3FN> -> tensor<64x64xf8E4M3FN>
  tile.store %y[%m, %c], %d : !tile.view<256x128xf32>, tensor<64x128xf32>
}

// -----

// Rows are not joined.
tile.kernel @k(%x: !tile.view<256x64xbf16>, %w: !tile.view<64x64xbf16>, %y: !tile.view<256x64xf32>, %sz: !tile.sizes) domain(%m = 256 by 64) schedule {ctas = 1 : i64, early = 0 : i64, regs = "launch", split = 1 : i64, stages = 1 : i64, swap_ab = false, unroll = 1 : i64, warpgroups = 1 : i64} {
  %c = arith.constant 0 : index
  %z = arith.constant dense<0.0> : tensor<64x64xf32>
  %a = tile.load %x[%m, %c] : !tile.view<256x64xbf16> -> tensor<64x64xbf16>
  %b = tile.load %w[%c, %c] : !tile.view<64x64xbf16> -> tensor<64x64xbf16>
  %d = tile.dot %a, %b, %z tb : tensor<64x64xbf16>, tensor<64x64xbf16>, tensor<64x64xf32>
  // expected-error @+1 {{has no sm_90a lowering over dimension 0}}
  %h = tile.concat %d, %d dim 0 : tensor<64x64xf32>, tensor<64x64xf32> -> tensor<128x64xf32>
  tile.store %y[%m, %c], %d : !tile.view<256x64xf32>, tensor<64x64xf32>
}

// -----

// Parts of one width join.
tile.kernel @k(%x: !tile.view<256x64xbf16>, %w: !tile.view<64x64xbf16>, %y: !tile.view<256x64xf32>, %sz: !tile.sizes) domain(%m = 256 by 64) schedule {ctas = 1 : i64, early = 0 : i64, regs = "launch", split = 1 : i64, stages = 1 : i64, swap_ab = false, unroll = 1 : i64, warpgroups = 1 : i64} {
  %c = arith.constant 0 : index
  %z = arith.constant dense<0.0> : tensor<64x64xf32>
  %a = tile.load %x[%m, %c] : !tile.view<256x64xbf16> -> tensor<64x64xbf16>
  %b = tile.load %w[%c, %c] : !tile.view<64x64xbf16> -> tensor<64x64xbf16>
  %d = tile.dot %a, %b, %z tb : tensor<64x64xbf16>, tensor<64x64xbf16>, tensor<64x64xf32>
  %ev, %od = tile.deinterleave %d : tensor<64x64xf32> -> tensor<64x32xf32>, tensor<64x32xf32>
  // expected-error @+1 {{has no sm_90a lowering: parts of registers join in whole blocks of columns}}
  %h = tile.concat %d, %ev dim 1 : tensor<64x64xf32>, tensor<64x32xf32> -> tensor<64x96xf32>
  tile.store %y[%m, %c], %d : !tile.view<256x64xf32>, tensor<64x64xf32>
}

// -----

// A fragment is parted once.
tile.kernel @k(%x: !tile.view<256x64xbf16>, %w: !tile.view<64x64xbf16>, %y: !tile.view<256x64xf32>, %sz: !tile.sizes) domain(%m = 256 by 64) schedule {ctas = 1 : i64, early = 0 : i64, regs = "launch", split = 1 : i64, stages = 1 : i64, swap_ab = false, unroll = 1 : i64, warpgroups = 1 : i64} {
  %c = arith.constant 0 : index
  %z = arith.constant dense<0.0> : tensor<64x64xf32>
  %a = tile.load %x[%m, %c] : !tile.view<256x64xbf16> -> tensor<64x64xbf16>
  %b = tile.load %w[%c, %c] : !tile.view<64x64xbf16> -> tensor<64x64xbf16>
  %d = tile.dot %a, %b, %z tb : tensor<64x64xbf16>, tensor<64x64xbf16>, tensor<64x64xf32>
  %ev, %od = tile.deinterleave %d : tensor<64x64xf32> -> tensor<64x32xf32>, tensor<64x32xf32>
  // expected-error @+1 {{has no sm_90a lowering for this layout}}
  %e2, %o2 = tile.deinterleave %ev : tensor<64x32xf32> -> tensor<64x16xf32>, tensor<64x16xf32>
  tile.store %y[%m, %c], %d : !tile.view<256x64xf32>, tensor<64x64xf32>
}

// -----

// Whole fragments are not interleaved.
tile.kernel @k(%x: !tile.view<256x64xbf16>, %w: !tile.view<64x64xbf16>, %y: !tile.view<256x64xf32>, %sz: !tile.sizes) domain(%m = 256 by 64) schedule {ctas = 1 : i64, early = 0 : i64, regs = "launch", split = 1 : i64, stages = 1 : i64, swap_ab = false, unroll = 1 : i64, warpgroups = 1 : i64} {
  %c = arith.constant 0 : index
  %z = arith.constant dense<0.0> : tensor<64x64xf32>
  %a = tile.load %x[%m, %c] : !tile.view<256x64xbf16> -> tensor<64x64xbf16>
  %b = tile.load %w[%c, %c] : !tile.view<64x64xbf16> -> tensor<64x64xbf16>
  %d = tile.dot %a, %b, %z tb : tensor<64x64xbf16>, tensor<64x64xbf16>, tensor<64x64xf32>
  // expected-error @+1 {{has no sm_90a lowering for this layout}}
  %j = tile.interleave %d, %d : tensor<64x64xf32>, tensor<64x64xf32> -> tensor<64x128xf32>
  tile.store %y[%m, %c], %d : !tile.view<256x64xf32>, tensor<64x64xf32>
}

// -----

// Results are stored to matrices.
tile.kernel @k(%x: !tile.view<256x64xbf16>, %w: !tile.view<64x64xbf16>, %y: !tile.view<4x64x64xf32>, %sz: !tile.sizes) domain(%m = 256 by 64) schedule {ctas = 1 : i64, early = 0 : i64, regs = "launch", split = 1 : i64, stages = 1 : i64, swap_ab = false, unroll = 1 : i64, warpgroups = 1 : i64} {
  %c = arith.constant 0 : index
  %z = arith.constant dense<0.0> : tensor<64x64xf32>
  %a = tile.load %x[%m, %c] : !tile.view<256x64xbf16> -> tensor<64x64xbf16>
  %b = tile.load %w[%c, %c] : !tile.view<64x64xbf16> -> tensor<64x64xbf16>
  %d = tile.dot %a, %b, %z tb : tensor<64x64xbf16>, tensor<64x64xbf16>, tensor<64x64xf32>
  // expected-error @+1 {{has no sm_90a lowering: a kernel with contractions stores tiles of dense matrices}}
  tile.store %y[%c, %c, %c], %d : !tile.view<4x64x64xf32>, tensor<64x64xf32>
}

// -----

// Half a fragment is not stored.
tile.kernel @k(%x: !tile.view<256x64xbf16>, %w: !tile.view<64x64xbf16>, %y: !tile.view<256x64xf32>, %sz: !tile.sizes) domain(%m = 256 by 64) schedule {ctas = 1 : i64, early = 0 : i64, regs = "launch", split = 1 : i64, stages = 1 : i64, swap_ab = false, unroll = 1 : i64, warpgroups = 1 : i64} {
  %c = arith.constant 0 : index
  %z = arith.constant dense<0.0> : tensor<64x64xf32>
  %a = tile.load %x[%m, %c] : !tile.view<256x64xbf16> -> tensor<64x64xbf16>
  %b = tile.load %w[%c, %c] : !tile.view<64x64xbf16> -> tensor<64x64xbf16>
  %d = tile.dot %a, %b, %z tb : tensor<64x64xbf16>, tensor<64x64xbf16>, tensor<64x64xf32>
  %ev, %od = tile.deinterleave %d : tensor<64x64xf32> -> tensor<64x32xf32>, tensor<64x32xf32>
  // expected-error @+1 {{has no sm_90a lowering for a tile of 'tensor<64x32xf32>'}}
  tile.store %y[%m, %c], %ev : !tile.view<256x64xf32>, tensor<64x32xf32>
}

// -----

// A row of a tile has one scale.
tile.kernel @k(%x: !tile.view<256x64xbf16>, %w: !tile.view<128x64xbf16>, %y: !tile.view<256x128xf8E4M3FN, scale<1x64>>, %sz: !tile.sizes) domain(%m = 256 by 64) schedule {ctas = 1 : i64, early = 0 : i64, regs = "launch", split = 1 : i64, stages = 1 : i64, swap_ab = false, unroll = 1 : i64, warpgroups = 1 : i64} {
  %c = arith.constant 0 : index
  %ones = arith.constant dense<1.0> : tensor<64x2xf32>
  %z = arith.constant dense<0.0> : tensor<64x128xf32>
  %a = tile.load %x[%m, %c] : !tile.view<256x64xbf16> -> tensor<64x64xbf16>
  %b = tile.load %w[%c, %c] : !tile.view<128x64xbf16> -> tensor<128x64xbf16>
  %d = tile.dot %a, %b, %z tb : tensor<64x64xbf16>, tensor<128x64xbf16>, tensor<64x128xf32>
  %q, %s = tile.quantize %d group 128 floor 1.0e-4 format f32 : tensor<64x128xf32> -> tensor<64x128xf8E4M3FN>, tensor<64x1xf32>
  // expected-error @+1 {{has no sm_90a lowering: more than one scale per row of a tile}}
  tile.store %y[%m, %c], %q, %ones : tensor<64x2xf32> : !tile.view<256x128xf8E4M3FN, scale<1x64>>, tensor<64x128xf8E4M3FN>
}

// -----

// A word that is missing has no value.
// expected-error @+1 {{H3008: the schedule has no word 'split', which the lowering reads; phase lower writes all words}}
tile.kernel @k(%x: !tile.view<256x256xbf16>, %w: !tile.view<64x256xbf16>, %y: !tile.view<256x64xf32>, %sz: !tile.sizes) domain(%m = 256 by 64) schedule {ctas = 1 : i64, early = 0 : i64, regs = "launch", stages = 2 : i64, swap_ab = false, unroll = 1 : i64, warpgroups = 1 : i64} {
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

// A word of another type has none either.
// expected-error @+1 {{H3008: the schedule's word 'split' is "two"; it takes a number}}
tile.kernel @k(%x: !tile.view<256x256xbf16>, %w: !tile.view<64x256xbf16>, %y: !tile.view<256x64xf32>, %sz: !tile.sizes) domain(%m = 256 by 64) schedule {ctas = 1 : i64, early = 0 : i64, regs = "launch", split = "two", stages = 2 : i64, swap_ab = false, unroll = 1 : i64, warpgroups = 1 : i64} {
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

// A flag is no number.
// expected-error @+1 {{H3008: the schedule's word 'stages' is true; it takes a number}}
tile.kernel @k(%x: !tile.view<256x256xbf16>, %w: !tile.view<64x256xbf16>, %y: !tile.view<256x64xf32>, %sz: !tile.sizes) domain(%m = 256 by 64) schedule {ctas = 1 : i64, early = 0 : i64, regs = "launch", split = 1 : i64, stages = true, swap_ab = false, unroll = 1 : i64, warpgroups = 1 : i64} {
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

// A number is no text.
// expected-error @+1 {{H3008: the schedule's word 'regs' is 40 : i64; it takes a text}}
tile.kernel @k(%x: !tile.view<256x256xbf16>, %w: !tile.view<64x256xbf16>, %y: !tile.view<256x64xf32>, %sz: !tile.sizes) domain(%m = 256 by 64) schedule {ctas = 1 : i64, early = 0 : i64, regs = 40 : i64, split = 1 : i64, stages = 2 : i64, swap_ab = false, unroll = 1 : i64, warpgroups = 1 : i64} {
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

// A text is no flag.
// expected-error @+1 {{H3008: the schedule's word 'swap_ab' is "yes"; it takes true or false}}
tile.kernel @k(%x: !tile.view<256x256xbf16>, %w: !tile.view<64x256xbf16>, %y: !tile.view<256x64xf32>, %sz: !tile.sizes) domain(%m = 256 by 64) schedule {ctas = 1 : i64, early = 0 : i64, regs = "launch", split = 1 : i64, stages = 2 : i64, swap_ab = "yes", unroll = 1 : i64, warpgroups = 1 : i64} {
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

// A word that changes nothing is none.
// expected-error @+1 {{H3008: its sm_90a lowering knows no word 'cluster', only bm, bn, bk}}
tile.kernel @k(%x: !tile.view<256x256xbf16>, %w: !tile.view<64x256xbf16>, %y: !tile.view<256x64xf32>, %sz: !tile.sizes) domain(%m = 256 by 64) schedule {cluster = 2 : i64, ctas = 1 : i64, early = 0 : i64, regs = "launch", split = 1 : i64, stages = 2 : i64, swap_ab = false, unroll = 1 : i64, warpgroups = 1 : i64} {
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

// Two consumer warpgroups are the most.
// expected-error @+1 {{with the word 'warpgroups' of 3: it takes 1 or 2}}
tile.kernel @k(%x: !tile.view<256x256xbf16>, %w: !tile.view<64x256xbf16>, %y: !tile.view<256x64xf32>, %sz: !tile.sizes) domain(%m = 256 by 64) schedule {ctas = 1 : i64, early = 0 : i64, regs = "launch", split = 1 : i64, stages = 2 : i64, swap_ab = false, unroll = 1 : i64, warpgroups = 3 : i64} {
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

// Two CTAs share an SM at most.
// expected-error @+1 {{with the word 'ctas' of 3: it takes 1 or 2}}
tile.kernel @k(%x: !tile.view<256x256xbf16>, %w: !tile.view<64x256xbf16>, %y: !tile.view<256x64xf32>, %sz: !tile.sizes) domain(%m = 256 by 64) schedule {ctas = 3 : i64, early = 0 : i64, regs = "launch", split = 1 : i64, stages = 2 : i64, swap_ab = false, unroll = 1 : i64, warpgroups = 1 : i64} {
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

// A ring has stages.
// expected-error @+1 {{with the word 'stages' of 0: it takes 1 or more}}
tile.kernel @k(%x: !tile.view<256x256xbf16>, %w: !tile.view<64x256xbf16>, %y: !tile.view<256x64xf32>, %sz: !tile.sizes) domain(%m = 256 by 64) schedule {ctas = 1 : i64, early = 0 : i64, regs = "launch", split = 1 : i64, stages = 0 : i64, swap_ab = false, unroll = 1 : i64, warpgroups = 1 : i64} {
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

// Early stages are stages.
// expected-error @+1 {{with the word 'early' of 3: it takes 0 to the number of stages, 2}}
tile.kernel @k(%x: !tile.view<256x256xbf16>, %w: !tile.view<64x256xbf16>, %y: !tile.view<256x64xf32>, %sz: !tile.sizes) domain(%m = 256 by 64) schedule {ctas = 1 : i64, early = 3 : i64, regs = "launch", split = 1 : i64, stages = 2 : i64, swap_ab = false, unroll = 1 : i64, warpgroups = 1 : i64} {
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

// A fold has parts.
// expected-error @+1 {{with the word 'split' of 0: it takes 1 or more}}
tile.kernel @k(%x: !tile.view<256x256xbf16>, %w: !tile.view<64x256xbf16>, %y: !tile.view<256x64xf32>, %sz: !tile.sizes) domain(%m = 256 by 64) schedule {ctas = 1 : i64, early = 0 : i64, regs = "launch", split = 0 : i64, stages = 2 : i64, swap_ab = false, unroll = 1 : i64, warpgroups = 1 : i64} {
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

// Parts meet in steps of parts.
// expected-error @+1 {{with the word 'unroll' of 4: it takes 1 to the number of parts, 2}}
tile.kernel @k(%x: !tile.view<256x256xbf16>, %w: !tile.view<64x256xbf16>, %y: !tile.view<256x64xf32>, %sz: !tile.sizes) domain(%m = 256 by 64) schedule {ctas = 1 : i64, early = 0 : i64, regs = "launch", split = 2 : i64, stages = 2 : i64, swap_ab = false, unroll = 4 : i64, warpgroups = 1 : i64} {
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

// A tile of 64 columns has no halves for two warpgroups.
// expected-error @+1 {{with the word 'warpgroups' of 2: a tile of 64x64; two share more than 64 rows, or 128 columns and more}}
tile.kernel @k(%x: !tile.view<256x256xbf16>, %w: !tile.view<64x256xbf16>, %y: !tile.view<256x64xf32>, %sz: !tile.sizes) domain(%m = 256 by 64) schedule {ctas = 1 : i64, early = 0 : i64, regs = "40/232", split = 1 : i64, stages = 2 : i64, swap_ab = false, unroll = 1 : i64, warpgroups = 2 : i64} {
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

// Registers come in eights.
// expected-error @+1 {{with the word 'regs' of 41/232: it takes launch, or LOAD/MMA in steps of 8 from 24 with LOAD + 1 MMA of at most 512}}
tile.kernel @k(%x: !tile.view<256x256xbf16>, %w: !tile.view<64x256xbf16>, %y: !tile.view<256x64xf32>, %sz: !tile.sizes) domain(%m = 256 by 64) schedule {ctas = 1 : i64, early = 0 : i64, regs = "41/232", split = 1 : i64, stages = 2 : i64, swap_ab = false, unroll = 1 : i64, warpgroups = 1 : i64} {
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

// Four steps have no three parts of one length.
// expected-error @+1 {{with the word 'split' of 3: 4 steps have no 3 parts of one length but the last}}
tile.kernel @k(%x: !tile.view<256x256xbf16>, %w: !tile.view<64x256xbf16>, %y: !tile.view<256x64xf32>, %sz: !tile.sizes) domain(%m = 256 by 64) schedule {ctas = 1 : i64, early = 0 : i64, regs = "launch", split = 3 : i64, stages = 2 : i64, swap_ab = false, unroll = 1 : i64, warpgroups = 1 : i64} {
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

// A product in flight holds its stage.
// expected-error @+1 {{with the word 'stages' of 1: a product in flight holds its stage until the next is issued}}
tile.kernel @k(%x: !tile.view<256x256xbf16>, %w: !tile.view<64x256xbf16>, %y: !tile.view<256x64xf32>, %sz: !tile.sizes) domain(%m = 256 by 64) schedule {ctas = 1 : i64, early = 0 : i64, regs = "launch", split = 1 : i64, stages = 1 : i64, swap_ab = false, unroll = 1 : i64, warpgroups = 1 : i64} {
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

// More stages than steps cannot be early.
// expected-error @+1 {{with the word 'early' of 5: its fold has 4 steps}}
tile.kernel @k(%x: !tile.view<256x256xbf16>, %w: !tile.view<64x256xbf16> {constant}, %y: !tile.view<256x64xf32>, %sz: !tile.sizes) domain(%m = 256 by 64) schedule {ctas = 1 : i64, early = 5 : i64, regs = "launch", split = 1 : i64, stages = 5 : i64, swap_ab = false, unroll = 1 : i64, warpgroups = 1 : i64} {
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

// A warpgroup has 64 rows.
// expected-error @+1 {{with the word 'warpgroups' of 1: a tile of 128 rows; one holds 64}}
tile.kernel @k(%x: !tile.view<256x256xbf16>, %w: !tile.view<64x256xbf16>, %y: !tile.view<256x64xf32>, %sz: !tile.sizes) domain(%m = 256 by 128) schedule {ctas = 1 : i64, early = 0 : i64, regs = "launch", split = 1 : i64, stages = 2 : i64, swap_ab = false, unroll = 1 : i64, warpgroups = 1 : i64} {
  %c = arith.constant 0 : index
  %n = arith.constant 256 : index
  %z = arith.constant dense<0.0> : tensor<128x64xf32>
  %d = tile.fold %k = %c to %n step 64 init(%s = %z : tensor<128x64xf32>) {
    %a = tile.load %x[%m, %k] : !tile.view<256x256xbf16> -> tensor<128x64xbf16>
    %b = tile.load %w[%c, %k] : !tile.view<64x256xbf16> -> tensor<64x64xbf16>
    %p = tile.dot %a, %b, %s tb : tensor<128x64xbf16>, tensor<64x64xbf16>, tensor<128x64xf32>
    tile.yield %p : tensor<128x64xf32>
  } combine (%p), (%q) {
    %t = arith.addf %p, %q : tensor<128x64xf32>
    tile.yield %t : tensor<128x64xf32>
  }
  tile.store %y[%m, %c], %d : !tile.view<256x64xf32>, tensor<128x64xf32>
}

// -----

// Two CTAs of two warpgroups leave a thread few registers.
// expected-error @+1 {{with the word 'ctas' of 2: a thread of two CTAs of two warpgroups has 80 registers}}
tile.kernel @k(%x: !tile.view<256x256xbf16>, %w: !tile.view<64x256xbf16>, %y: !tile.view<256x64xf32>, %sz: !tile.sizes) domain(%m = 256 by 128) schedule {ctas = 2 : i64, early = 0 : i64, regs = "40/232", split = 1 : i64, stages = 2 : i64, swap_ab = false, unroll = 1 : i64, warpgroups = 2 : i64} {
  %c = arith.constant 0 : index
  %n = arith.constant 256 : index
  %z = arith.constant dense<0.0> : tensor<128x64xf32>
  %d = tile.fold %k = %c to %n step 64 init(%s = %z : tensor<128x64xf32>) {
    %a = tile.load %x[%m, %k] : !tile.view<256x256xbf16> -> tensor<128x64xbf16>
    %b = tile.load %w[%c, %k] : !tile.view<64x256xbf16> -> tensor<64x64xbf16>
    %p = tile.dot %a, %b, %s tb : tensor<128x64xbf16>, tensor<64x64xbf16>, tensor<128x64xf32>
    tile.yield %p : tensor<128x64xf32>
  } combine (%p), (%q) {
    %t = arith.addf %p, %q : tensor<128x64xf32>
    tile.yield %t : tensor<128x64xf32>
  }
  tile.store %y[%m, %c], %d : !tile.view<256x64xf32>, tensor<128x64xf32>
}

// -----

// A warpgroup has 256 columns.
// expected-error @+1 {{with the word 'warpgroups' of 1: a tile of 264 columns; one holds 256}}
tile.kernel @k(%x: !tile.view<256x256xbf16>, %w: !tile.view<264x256xbf16>, %y: !tile.view<256x264xf32>, %sz: !tile.sizes) domain(%m = 256 by 64) schedule {ctas = 1 : i64, early = 0 : i64, regs = "launch", split = 1 : i64, stages = 2 : i64, swap_ab = false, unroll = 1 : i64, warpgroups = 1 : i64} {
  %c = arith.constant 0 : index
  %n = arith.constant 256 : index
  %z = arith.constant dense<0.0> : tensor<64x264xf32>
  %d = tile.fold %k = %c to %n step 64 init(%s = %z : tensor<64x264xf32>) {
    %a = tile.load %x[%m, %k] : !tile.view<256x256xbf16> -> tensor<64x64xbf16>
    %b = tile.load %w[%c, %k] : !tile.view<264x256xbf16> -> tensor<264x64xbf16>
    %p = tile.dot %a, %b, %s tb : tensor<64x64xbf16>, tensor<264x64xbf16>, tensor<64x264xf32>
    tile.yield %p : tensor<64x264xf32>
  } combine (%p), (%q) {
    %t = arith.addf %p, %q : tensor<64x264xf32>
    tile.yield %t : tensor<64x264xf32>
  }
  tile.store %y[%m, %c], %d : !tile.view<256x264xf32>, tensor<64x264xf32>
}

// -----

// What has no fold has no parts.
// expected-error @+1 {{with the word 'split' of 2: the kernel has no one fold of contractions over a range that is known}}
tile.kernel @k(%x: !tile.view<256x64xbf16>, %w: !tile.view<64x64xbf16>, %y: !tile.view<256x64xf32>, %sz: !tile.sizes) domain(%m = 256 by 64) schedule {ctas = 1 : i64, early = 0 : i64, regs = "launch", split = 2 : i64, stages = 2 : i64, swap_ab = false, unroll = 1 : i64, warpgroups = 1 : i64} {
  %c = arith.constant 0 : index
  %z = arith.constant dense<0.0> : tensor<64x64xf32>
  %a = tile.load %x[%m, %c] : !tile.view<256x64xbf16> -> tensor<64x64xbf16>
  %b = tile.load %w[%c, %c] : !tile.view<64x64xbf16> -> tensor<64x64xbf16>
  %d = tile.dot %a, %b, %z tb : tensor<64x64xbf16>, tensor<64x64xbf16>, tensor<64x64xf32>
  tile.store %y[%m, %c], %d : !tile.view<256x64xf32>, tensor<64x64xf32>
}

// -----

// Nor steps whose weights could come early.
// expected-error @+1 {{with the word 'early' of 1: the kernel has no one fold of contractions over a range that is known}}
tile.kernel @k(%x: !tile.view<256x64xbf16>, %w: !tile.view<64x64xbf16>, %y: !tile.view<256x64xf32>, %sz: !tile.sizes) domain(%m = 256 by 64) schedule {ctas = 1 : i64, early = 1 : i64, regs = "launch", split = 1 : i64, stages = 2 : i64, swap_ab = false, unroll = 1 : i64, warpgroups = 1 : i64} {
  %c = arith.constant 0 : index
  %z = arith.constant dense<0.0> : tensor<64x64xf32>
  %a = tile.load %x[%m, %c] : !tile.view<256x64xbf16> -> tensor<64x64xbf16>
  %b = tile.load %w[%c, %c] : !tile.view<64x64xbf16> -> tensor<64x64xbf16>
  %d = tile.dot %a, %b, %z tb : tensor<64x64xbf16>, tensor<64x64xbf16>, tensor<64x64xf32>
  tile.store %y[%m, %c], %d : !tile.view<256x64xf32>, tensor<64x64xf32>
}

// -----

// What another kernel may write is not read early.
// expected-error @+1 {{with the word 'early' of 1: no load of its fold is of a parameter at a place that is known at the start}}
tile.kernel @k(%x: !tile.view<?x256xbf16>, %w: !tile.view<?x256xbf16>, %y: !tile.view<256x64xf32>, %sz: !tile.sizes) domain(%m = 256 by 64) schedule {ctas = 1 : i64, early = 1 : i64, regs = "launch", split = 1 : i64, stages = 2 : i64, swap_ab = false, unroll = 1 : i64, warpgroups = 1 : i64} {
  %c = arith.constant 0 : index
  %n = arith.constant 256 : index
  %z = arith.constant dense<0.0> : tensor<64x64xf32>
  %d = tile.fold %k = %c to %n step 64 init(%s = %z : tensor<64x64xf32>) {
    %a = tile.load %x[%m, %k] : !tile.view<?x256xbf16> -> tensor<64x64xbf16>
    %b = tile.load %w[%c, %k] : !tile.view<?x256xbf16> -> tensor<64x64xbf16>
    %p = tile.dot %a, %b, %s tb : tensor<64x64xbf16>, tensor<64x64xbf16>, tensor<64x64xf32>
    tile.yield %p : tensor<64x64xf32>
  } combine (%p), (%q) {
    %t = arith.addf %p, %q : tensor<64x64xf32>
    tile.yield %t : tensor<64x64xf32>
  }
  tile.store %y[%m, %c], %d : !tile.view<256x64xf32>, tensor<64x64xf32>
}

// -----

// A gathered row is known behind the wait only.
// expected-error @+1 {{with the word 'early' of 1: a load of its fold is of a view that the body makes}}
tile.kernel @k(%x: !tile.view<256x256xbf16>, %i: !tile.view<256xi32>, %w: !tile.view<64x256xbf16> {constant}, %y: !tile.view<256x64xf32>, %sz: !tile.sizes) domain(%m = 256 by 64) schedule {ctas = 1 : i64, early = 1 : i64, regs = "launch", split = 1 : i64, stages = 2 : i64, swap_ab = false, unroll = 1 : i64, warpgroups = 1 : i64} {
  %c = arith.constant 0 : index
  %n = arith.constant 256 : index
  %z = arith.constant dense<0.0> : tensor<64x64xf32>
  %ids = tile.load %i[%m] : !tile.view<256xi32> -> tensor<64xi32>
  %rows = tile.rows %x[%ids] : !tile.view<256x256xbf16>, tensor<64xi32> -> !tile.view<64x256xbf16>
  %d = tile.fold %k = %c to %n step 64 init(%s = %z : tensor<64x64xf32>) {
    %a = tile.load %rows[%c, %k] : !tile.view<64x256xbf16> -> tensor<64x64xbf16>
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

// An outer fold would start the inner one's ring again at its first stage.
tile.kernel @k(%x: !tile.view<64x4096xbf16>, %w: !tile.view<64x4096xbf16>, %y: !tile.view<64x64xf32>, %sz: !tile.sizes) domain(%m = 64 by 64) schedule {ctas = 1 : i64, early = 0 : i64, regs = "launch", split = 1 : i64, stages = 2 : i64, swap_ab = false, unroll = 1 : i64, warpgroups = 1 : i64} {
  %c = arith.constant 0 : index
  %n = arith.constant 4096 : index
  %i = arith.constant 192 : index
  %z = arith.constant dense<0.0> : tensor<64x64xf32>
  // expected-note @+1 {{the outer fold}}
  %d = tile.fold %o = %c to %n step 192 init(%s = %z : tensor<64x64xf32>) {
    %e = tile.fold %k = %c to %i step 64 init(%t = %s : tensor<64x64xf32>) {
      %at = arith.addi %o, %k : index
      // expected-error @+1 {{has no sm_90a lowering: an operand of wgmma is loaded inside a fold that an outer fold repeats; load it in the outer fold's own block}}
      %a = tile.load %x[%m, %at] : !tile.view<64x4096xbf16> -> tensor<64x64xbf16>
      %b = tile.load %w[%c, %at] : !tile.view<64x4096xbf16> -> tensor<64x64xbf16>
      %p = tile.dot %a, %b, %t tb : tensor<64x64xbf16>, tensor<64x64xbf16>, tensor<64x64xf32>
      tile.yield %p : tensor<64x64xf32>
    } combine (%p), (%q) {
      %t = arith.addf %p, %q : tensor<64x64xf32>
      tile.yield %t : tensor<64x64xf32>
    }
    tile.yield %e : tensor<64x64xf32>
  } combine (%p), (%q) {
    %t = arith.addf %p, %q : tensor<64x64xf32>
    tile.yield %t : tensor<64x64xf32>
  }
  tile.store %y[%m, %c], %d : !tile.view<64x64xf32>, tensor<64x64xf32>
}

// -----

// A step that skips a load would leave the ring's count behind.
tile.kernel @k(%x: !tile.view<64x4096xbf16>, %w: !tile.view<64x4096xbf16>, %y: !tile.view<64x64xf32>, %sz: !tile.sizes) domain(%m = 64 by 64) schedule {ctas = 1 : i64, early = 0 : i64, regs = "launch", split = 1 : i64, stages = 2 : i64, swap_ab = false, unroll = 1 : i64, warpgroups = 1 : i64} {
  %c = arith.constant 0 : index
  %n = arith.constant 4096 : index
  %half = arith.constant 2048 : index
  %z = arith.constant dense<0.0> : tensor<64x64xf32>
  // expected-note @+1 {{the outer fold}}
  %d = tile.fold %k = %c to %n step 64 init(%s = %z : tensor<64x64xf32>) {
    %low = arith.cmpi slt, %k, %half : index
    scf.if %low {
      // expected-error @+1 {{has no sm_90a lowering: an operand of wgmma is loaded inside a condition that an outer fold repeats; load it in the outer fold's own block}}
      %a = tile.load %x[%m, %k] : !tile.view<64x4096xbf16> -> tensor<64x64xbf16>
      %b = tile.load %w[%c, %k] : !tile.view<64x4096xbf16> -> tensor<64x64xbf16>
      %p = tile.dot %a, %b, %z tb : tensor<64x64xbf16>, tensor<64x64xbf16>, tensor<64x64xf32>
      tile.store %y[%m, %c], %p : !tile.view<64x64xf32>, tensor<64x64xf32>
    }
    tile.yield %s : tensor<64x64xf32>
  } combine (%p), (%q) {
    %t = arith.addf %p, %q : tensor<64x64xf32>
    tile.yield %t : tensor<64x64xf32>
  }
  tile.store %y[%m, %c], %d : !tile.view<64x64xf32>, tensor<64x64xf32>
}
