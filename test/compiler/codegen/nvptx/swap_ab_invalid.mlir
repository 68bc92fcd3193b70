// RUN: hadal-opt %s --hadal-lower-tile-to-sm90 -split-input-file -verify-diagnostics

// Tokens are wgmma's columns: eight at a time, not more than 64.
tile.kernel @rows(%x: !tile.view<?x64xbf16>, %w: !tile.view<64x64xbf16>, %y: !tile.view<?x64xf32>, %sz: !tile.sizes) domain(%m = ? by 72 in tokens) schedule {ctas = 1 : i64, early = 0 : i64, regs = "launch", split = 1 : i64, stages = 1 : i64, swap_ab = true, unroll = 1 : i64, warpgroups = 1 : i64} {
  %c0 = arith.constant 0 : index
  %c64 = arith.constant 64 : index
  %zero = arith.constant dense<0.0> : tensor<72x64xf32>
  %r = tile.fold %k = %c0 to %c64 step 64 init(%acc = %zero : tensor<72x64xf32>) {
    %a = tile.load %x[%m, %k] : !tile.view<?x64xbf16> -> tensor<72x64xbf16>
    %b = tile.load %w[%c0, %k] : !tile.view<64x64xbf16> -> tensor<64x64xbf16>
    // expected-error @+1 {{has no sm_90a lowering with swap_ab: a tile of 72 rows; it takes 8 to 64 in steps of 8}}
    %d = tile.dot %a, %b, %acc tb : tensor<72x64xbf16>, tensor<64x64xbf16>, tensor<72x64xf32>
    tile.yield %d : tensor<72x64xf32>
  } combine (%p), (%q) {
    %s = arith.addf %p, %q : tensor<72x64xf32>
    tile.yield %s : tensor<72x64xf32>
  }
  tile.store %y[%m, %c0], %r : !tile.view<?x64xf32>, tensor<72x64xf32>
}

// -----

// A tile of four tokens would leave half of a box unloaded.
tile.kernel @four(%x: !tile.view<?x64xbf16>, %w: !tile.view<64x64xbf16>, %y: !tile.view<?x64xf32>, %sz: !tile.sizes) domain(%m = ? by 4 in tokens) schedule {ctas = 1 : i64, early = 0 : i64, regs = "launch", split = 1 : i64, stages = 1 : i64, swap_ab = true, unroll = 1 : i64, warpgroups = 1 : i64} {
  %c0 = arith.constant 0 : index
  %c64 = arith.constant 64 : index
  %zero = arith.constant dense<0.0> : tensor<4x64xf32>
  %r = tile.fold %k = %c0 to %c64 step 64 init(%acc = %zero : tensor<4x64xf32>) {
    %a = tile.load %x[%m, %k] : !tile.view<?x64xbf16> -> tensor<4x64xbf16>
    %b = tile.load %w[%c0, %k] : !tile.view<64x64xbf16> -> tensor<64x64xbf16>
    // expected-error @+1 {{has no sm_90a lowering with swap_ab: a tile of 4 rows; it takes 8 to 64 in steps of 8}}
    %d = tile.dot %a, %b, %acc tb : tensor<4x64xbf16>, tensor<64x64xbf16>, tensor<4x64xf32>
    tile.yield %d : tensor<4x64xf32>
  } combine (%p), (%q) {
    %s = arith.addf %p, %q : tensor<4x64xf32>
    tile.yield %s : tensor<4x64xf32>
  }
  tile.store %y[%m, %c0], %r : !tile.view<?x64xf32>, tensor<4x64xf32>
}

// -----

// Whole blocks of eight columns go back to rows.
tile.kernel @columns(%x: !tile.view<?x64xbf16>, %w: !tile.view<60x64xbf16>, %y: !tile.view<?x60xf32>, %sz: !tile.sizes) domain(%m = ? by 8 in tokens) schedule {ctas = 1 : i64, early = 0 : i64, regs = "launch", split = 1 : i64, stages = 1 : i64, swap_ab = true, unroll = 1 : i64, warpgroups = 1 : i64} {
  %c0 = arith.constant 0 : index
  %c64 = arith.constant 64 : index
  %zero = arith.constant dense<0.0> : tensor<8x60xf32>
  %r = tile.fold %k = %c0 to %c64 step 64 init(%acc = %zero : tensor<8x60xf32>) {
    %a = tile.load %x[%m, %k] : !tile.view<?x64xbf16> -> tensor<8x64xbf16>
    %b = tile.load %w[%c0, %k] : !tile.view<60x64xbf16> -> tensor<60x64xbf16>
    // expected-error @+1 {{has no sm_90a lowering with swap_ab: a tile of 60 columns, not a multiple of 8}}
    %d = tile.dot %a, %b, %acc tb : tensor<8x64xbf16>, tensor<60x64xbf16>, tensor<8x60xf32>
    tile.yield %d : tensor<8x60xf32>
  } combine (%p), (%q) {
    %s = arith.addf %p, %q : tensor<8x60xf32>
    tile.yield %s : tensor<8x60xf32>
  }
  tile.store %y[%m, %c0], %r : !tile.view<?x60xf32>, tensor<8x60xf32>
}

// -----

// The box of a tile's weights has at most 256 rows.
tile.kernel @box(%x: !tile.view<?x64xbf16>, %w: !tile.view<264x64xbf16>, %y: !tile.view<?x264xf32>, %sz: !tile.sizes) domain(%m = ? by 8 in tokens) schedule {ctas = 1 : i64, early = 0 : i64, regs = "launch", split = 1 : i64, stages = 1 : i64, swap_ab = true, unroll = 1 : i64, warpgroups = 1 : i64} {
  %c0 = arith.constant 0 : index
  %c64 = arith.constant 64 : index
  %zero = arith.constant dense<0.0> : tensor<8x264xf32>
  %r = tile.fold %k = %c0 to %c64 step 64 init(%acc = %zero : tensor<8x264xf32>) {
    %a = tile.load %x[%m, %k] : !tile.view<?x64xbf16> -> tensor<8x64xbf16>
    // expected-error @+1 {{has no sm_90a lowering: a box of 320 rows; TMA takes 256}}
    %b = tile.load %w[%c0, %k] : !tile.view<264x64xbf16> -> tensor<264x64xbf16>
    %d = tile.dot %a, %b, %acc tb : tensor<8x64xbf16>, tensor<264x64xbf16>, tensor<8x264xf32>
    tile.yield %d : tensor<8x264xf32>
  } combine (%p), (%q) {
    %s = arith.addf %p, %q : tensor<8x264xf32>
    tile.yield %s : tensor<8x264xf32>
  }
  tile.store %y[%m, %c0], %r : !tile.view<?x264xf32>, tensor<8x264xf32>
}

// -----

// Weights with K outermost would need an MN-major operand a.
tile.kernel @major(%x: !tile.view<?x64xbf16>, %w: !tile.view<64x64xbf16>, %y: !tile.view<?x64xf32>, %sz: !tile.sizes) domain(%m = ? by 8 in tokens) schedule {ctas = 1 : i64, early = 0 : i64, regs = "launch", split = 1 : i64, stages = 1 : i64, swap_ab = true, unroll = 1 : i64, warpgroups = 1 : i64} {
  %c0 = arith.constant 0 : index
  %c64 = arith.constant 64 : index
  %zero = arith.constant dense<0.0> : tensor<8x64xf32>
  %r = tile.fold %k = %c0 to %c64 step 64 init(%acc = %zero : tensor<8x64xf32>) {
    %a = tile.load %x[%m, %k] : !tile.view<?x64xbf16> -> tensor<8x64xbf16>
    %b = tile.load %w[%k, %c0] : !tile.view<64x64xbf16> -> tensor<64x64xbf16>
    // expected-error @+1 {{has no sm_90a lowering with swap_ab: it takes a as [M, K] and b as [N, K]}}
    %d = tile.dot %a, %b, %acc : tensor<8x64xbf16>, tensor<64x64xbf16>, tensor<8x64xf32>
    tile.yield %d : tensor<8x64xf32>
  } combine (%p), (%q) {
    %s = arith.addf %p, %q : tensor<8x64xf32>
    tile.yield %s : tensor<8x64xf32>
  }
  tile.store %y[%m, %c0], %r : !tile.view<?x64xf32>, tensor<8x64xf32>
}

// -----

// A contraction by itself has no fold behind which its result could turn.
tile.kernel @alone(%x: !tile.view<?x64xbf16>, %w: !tile.view<64x64xbf16>, %y: !tile.view<?x64xf32>, %sz: !tile.sizes) domain(%m = ? by 8 in tokens) schedule {ctas = 1 : i64, early = 0 : i64, regs = "launch", split = 1 : i64, stages = 1 : i64, swap_ab = true, unroll = 1 : i64, warpgroups = 1 : i64} {
  %c0 = arith.constant 0 : index
  %zero = arith.constant dense<0.0> : tensor<8x64xf32>
  %a = tile.load %x[%m, %c0] : !tile.view<?x64xbf16> -> tensor<8x64xbf16>
  %b = tile.load %w[%c0, %c0] : !tile.view<64x64xbf16> -> tensor<64x64xbf16>
  // expected-error @+1 {{has no sm_90a lowering with swap_ab: it is not in a fold}}
  %d = tile.dot %a, %b, %zero tb : tensor<8x64xbf16>, tensor<64x64xbf16>, tensor<8x64xf32>
  tile.store %y[%m, %c0], %d : !tile.view<?x64xf32>, tensor<8x64xf32>
}

// -----

// Operands come from shared memory as they were loaded.
tile.kernel @slice(%x: !tile.view<?x64xbf16>, %w: !tile.view<64x64xbf16>, %y: !tile.view<?x64xf32>, %sz: !tile.sizes) domain(%m = ? by 8 in tokens) schedule {ctas = 1 : i64, early = 0 : i64, regs = "launch", split = 1 : i64, stages = 1 : i64, swap_ab = true, unroll = 1 : i64, warpgroups = 1 : i64} {
  %c0 = arith.constant 0 : index
  %c64 = arith.constant 64 : index
  %zero = arith.constant dense<0.0> : tensor<8x64xf32>
  %b = tile.load %w[%c0, %c0] : !tile.view<64x64xbf16> -> tensor<64x64xbf16>
  %s = tile.slice %b [0, 0] : tensor<64x64xbf16> -> tensor<64x64xbf16>
  %r = tile.fold %k = %c0 to %c64 step 64 init(%acc = %zero : tensor<8x64xf32>) {
    %a = tile.load %x[%m, %k] : !tile.view<?x64xbf16> -> tensor<8x64xbf16>
    // expected-error @+1 {{has no sm_90a lowering with swap_ab: it takes whole loaded tiles as operands}}
    %d = tile.dot %a, %s, %acc tb : tensor<8x64xbf16>, tensor<64x64xbf16>, tensor<8x64xf32>
    tile.yield %d : tensor<8x64xf32>
  } combine (%p), (%q) {
    %t = arith.addf %p, %q : tensor<8x64xf32>
    tile.yield %t : tensor<8x64xf32>
  }
  tile.store %y[%m, %c0], %r : !tile.view<?x64xf32>, tensor<8x64xf32>
}

// -----

// Two results of different widths.
tile.kernel @widths(%x: !tile.view<?x64xbf16>, %w: !tile.view<64x64xbf16>, %y: !tile.view<?x64xf32>, %sz: !tile.sizes) domain(%m = ? by 8 in tokens) schedule {ctas = 1 : i64, early = 0 : i64, regs = "launch", split = 1 : i64, stages = 1 : i64, swap_ab = true, unroll = 1 : i64, warpgroups = 1 : i64} {
  %c0 = arith.constant 0 : index
  %c64 = arith.constant 64 : index
  %zero = arith.constant dense<0.0> : tensor<8x64xf32>
  %zero2 = arith.constant dense<0.0> : tensor<8x32xf32>
  %r, %r2 = tile.fold %k = %c0 to %c64 step 64 init(%acc = %zero : tensor<8x64xf32>, %acc2 = %zero2 : tensor<8x32xf32>) {
    %a = tile.load %x[%m, %k] : !tile.view<?x64xbf16> -> tensor<8x64xbf16>
    %b = tile.load %w[%c0, %k] : !tile.view<64x64xbf16> -> tensor<64x64xbf16>
    %b2 = tile.load %w[%c0, %k] : !tile.view<64x64xbf16> -> tensor<32x64xbf16>
    %d = tile.dot %a, %b, %acc tb : tensor<8x64xbf16>, tensor<64x64xbf16>, tensor<8x64xf32>
    // expected-error @+1 {{has no sm_90a lowering with swap_ab: results of 8x64 and 8x32 in one kernel}}
    %d2 = tile.dot %a, %b2, %acc2 tb : tensor<8x64xbf16>, tensor<32x64xbf16>, tensor<8x32xf32>
    tile.yield %d, %d2 : tensor<8x64xf32>, tensor<8x32xf32>
  } combine (%p, %p2), (%q, %q2) {
    %s = arith.addf %p, %q : tensor<8x64xf32>
    %s2 = arith.addf %p2, %q2 : tensor<8x32xf32>
    tile.yield %s, %s2 : tensor<8x64xf32>, tensor<8x32xf32>
  }
  tile.store %y[%m, %c0], %r : !tile.view<?x64xf32>, tensor<8x64xf32>
}

// -----

// A state that is more than the sum of the steps' products.
tile.kernel @state(%x: !tile.view<?x64xbf16>, %w: !tile.view<64x64xbf16>, %y: !tile.view<?x64xf32>, %sz: !tile.sizes) domain(%m = ? by 8 in tokens) schedule {ctas = 1 : i64, early = 0 : i64, regs = "launch", split = 1 : i64, stages = 1 : i64, swap_ab = true, unroll = 1 : i64, warpgroups = 1 : i64} {
  %c0 = arith.constant 0 : index
  %c64 = arith.constant 64 : index
  %zero = arith.constant dense<0.0> : tensor<8x64xf32>
  // expected-error @+1 {{has no sm_90a lowering with swap_ab: its state 0 is not the sum of one contraction a step}}
  %r = tile.fold %k = %c0 to %c64 step 64 init(%acc = %zero : tensor<8x64xf32>) {
    %a = tile.load %x[%m, %k] : !tile.view<?x64xbf16> -> tensor<8x64xbf16>
    %b = tile.load %w[%c0, %k] : !tile.view<64x64xbf16> -> tensor<64x64xbf16>
    %d = tile.dot %a, %b, %acc tb : tensor<8x64xbf16>, tensor<64x64xbf16>, tensor<8x64xf32>
    %e = arith.addf %d, %d : tensor<8x64xf32>
    tile.yield %e : tensor<8x64xf32>
  } combine (%p), (%q) {
    %s = arith.addf %p, %q : tensor<8x64xf32>
    tile.yield %s : tensor<8x64xf32>
  }
  tile.store %y[%m, %c0], %r : !tile.view<?x64xf32>, tensor<8x64xf32>
}

// -----

// What a step computes beside its product would meet transposed registers.
tile.kernel @beside(%x: !tile.view<?x64xbf16>, %w: !tile.view<64x64xbf16>, %y: !tile.view<?x64xf32>, %sz: !tile.sizes) domain(%m = ? by 8 in tokens) schedule {ctas = 1 : i64, early = 0 : i64, regs = "launch", split = 1 : i64, stages = 1 : i64, swap_ab = true, unroll = 1 : i64, warpgroups = 1 : i64} {
  %c0 = arith.constant 0 : index
  %c64 = arith.constant 64 : index
  %zero = arith.constant dense<0.0> : tensor<8x64xf32>
  %r = tile.fold %k = %c0 to %c64 step 64 init(%acc = %zero : tensor<8x64xf32>) {
    %a = tile.load %x[%m, %k] : !tile.view<?x64xbf16> -> tensor<8x64xbf16>
    %b = tile.load %w[%c0, %k] : !tile.view<64x64xbf16> -> tensor<64x64xbf16>
    %d = tile.dot %a, %b, %acc tb : tensor<8x64xbf16>, tensor<64x64xbf16>, tensor<8x64xf32>
    // expected-error @+1 {{has no sm_90a lowering with swap_ab: inside a fold it takes contractions only}}
    %e = tile.reduce max %d, 1 : tensor<8x64xf32> -> tensor<8x1xf32>
    tile.yield %d : tensor<8x64xf32>
  } combine (%p), (%q) {
    %s = arith.addf %p, %q : tensor<8x64xf32>
    tile.yield %s : tensor<8x64xf32>
  }
  tile.store %y[%m, %c0], %r : !tile.view<?x64xf32>, tensor<8x64xf32>
}

// -----

// wgmma contracts 32 bytes at a time.
tile.kernel @k(%x: !tile.view<?x64xbf16>, %w: !tile.view<64x64xbf16>, %y: !tile.view<?x64xf32>, %sz: !tile.sizes) domain(%m = ? by 8 in tokens) schedule {ctas = 1 : i64, early = 0 : i64, regs = "launch", split = 1 : i64, stages = 1 : i64, swap_ab = true, unroll = 1 : i64, warpgroups = 1 : i64} {
  %c0 = arith.constant 0 : index
  %c24 = arith.constant 24 : index
  %zero = arith.constant dense<0.0> : tensor<8x64xf32>
  %r = tile.fold %k = %c0 to %c24 step 24 init(%acc = %zero : tensor<8x64xf32>) {
    %a = tile.load %x[%m, %k] : !tile.view<?x64xbf16> -> tensor<8x24xbf16>
    %b = tile.load %w[%c0, %k] : !tile.view<64x64xbf16> -> tensor<64x24xbf16>
    // expected-error @+1 {{has no sm_90a lowering with swap_ab: K of 24 is not a multiple of 16}}
    %d = tile.dot %a, %b, %acc tb : tensor<8x24xbf16>, tensor<64x24xbf16>, tensor<8x64xf32>
    tile.yield %d : tensor<8x64xf32>
  } combine (%p), (%q) {
    %s = arith.addf %p, %q : tensor<8x64xf32>
    tile.yield %s : tensor<8x64xf32>
  }
  tile.store %y[%m, %c0], %r : !tile.view<?x64xf32>, tensor<8x64xf32>
}

// -----

// Scales are read as a thread's columns and rows need them.
tile.kernel @scales(%x: !tile.view<?x128xf8E4M3FN, scale<1x128>>, %w: !tile.view<128x128xf8E4M3FN, scale<128x128>>, %y: !tile.view<?x128xf32>, %sz: !tile.sizes) domain(%m = ? by 8 in tokens) schedule {ctas = 1 : i64, early = 0 : i64, regs = "launch", split = 1 : i64, stages = 1 : i64, swap_ab = true, unroll = 1 : i64, warpgroups = 1 : i64} {
  %c0 = arith.constant 0 : index
  %c128 = arith.constant 128 : index
  %zero = arith.constant dense<0.0> : tensor<8x128xf32>
  %ones = arith.constant dense<1.0> : tensor<8x1xf32>
  %r = tile.fold %k = %c0 to %c128 step 128 init(%acc = %zero : tensor<8x128xf32>) {
    %a, %sa = tile.load %x[%m, %k] : !tile.view<?x128xf8E4M3FN, scale<1x128>> -> tensor<8x128xf8E4M3FN>, tensor<8x1xf32>
    %b, %sb = tile.load %w[%c0, %k] : !tile.view<128x128xf8E4M3FN, scale<128x128>> -> tensor<128x128xf8E4M3FN>, tensor<1x1xf32>
    // expected-error @+1 {{has no sm_90a lowering with swap_ab: its scales are not those of loaded tiles}}
    %d = tile.dot_scaled %a * %ones : tensor<8x1xf32>, %b * %sb, %acc : tensor<8x128xf8E4M3FN>, tensor<128x128xf8E4M3FN>, tensor<1x1xf32>, tensor<8x128xf32>
    tile.yield %d : tensor<8x128xf32>
  } combine (%p), (%q) {
    %s = arith.addf %p, %q : tensor<8x128xf32>
    tile.yield %s : tensor<8x128xf32>
  }
  tile.store %y[%m, %c0], %r : !tile.view<?x128xf32>, tensor<8x128xf32>
}

// -----

// Warpgroups share whole blocks of 64 weights.
// expected-error @+1 {{with the word 'warpgroups' of 2: a tile of 64 weights has 1 blocks of 64}}
tile.kernel @blocks(%x: !tile.view<?x64xbf16>, %w: !tile.view<64x64xbf16>, %y: !tile.view<?x64xf32>, %sz: !tile.sizes) domain(%m = ? by 8 in tokens) schedule {ctas = 1 : i64, early = 0 : i64, regs = "40/232", split = 1 : i64, stages = 1 : i64, swap_ab = true, unroll = 1 : i64, warpgroups = 2 : i64} {
  %c0 = arith.constant 0 : index
  %c64 = arith.constant 64 : index
  %zero = arith.constant dense<0.0> : tensor<8x64xf32>
  %r = tile.fold %k = %c0 to %c64 step 64 init(%acc = %zero : tensor<8x64xf32>) {
    %a = tile.load %x[%m, %k] : !tile.view<?x64xbf16> -> tensor<8x64xbf16>
    %b = tile.load %w[%c0, %k] : !tile.view<64x64xbf16> -> tensor<64x64xbf16>
    %d = tile.dot %a, %b, %acc tb : tensor<8x64xbf16>, tensor<64x64xbf16>, tensor<8x64xf32>
    tile.yield %d : tensor<8x64xf32>
  } combine (%p), (%q) {
    %s = arith.addf %p, %q : tensor<8x64xf32>
    tile.yield %s : tensor<8x64xf32>
  }
  tile.store %y[%m, %c0], %r : !tile.view<?x64xf32>, tensor<8x64xf32>
}

// -----

// Half of the registers hold half of the accumulators.
// expected-error @+1 {{with the word 'ctas' of 2: 128 accumulators in 1 warpgroups; two CTAs hold 64 in one each}}
tile.kernel @half(%x: !tile.view<?x64xbf16>, %w: !tile.view<128x64xbf16>, %y: !tile.view<?x128xf32>, %sz: !tile.sizes) domain(%m = ? by 64 in tokens) schedule {ctas = 2 : i64, early = 0 : i64, regs = "launch", split = 1 : i64, stages = 1 : i64, swap_ab = true, unroll = 1 : i64, warpgroups = 1 : i64} {
  %c0 = arith.constant 0 : index
  %c64 = arith.constant 64 : index
  %zero = arith.constant dense<0.0> : tensor<64x128xf32>
  %r = tile.fold %k = %c0 to %c64 step 64 init(%acc = %zero : tensor<64x128xf32>) {
    %a = tile.load %x[%m, %k] : !tile.view<?x64xbf16> -> tensor<64x64xbf16>
    %b = tile.load %w[%c0, %k] : !tile.view<128x64xbf16> -> tensor<128x64xbf16>
    %d = tile.dot %a, %b, %acc tb : tensor<64x64xbf16>, tensor<128x64xbf16>, tensor<64x128xf32>
    tile.yield %d : tensor<64x128xf32>
  } combine (%p), (%q) {
    %s = arith.addf %p, %q : tensor<64x128xf32>
    tile.yield %s : tensor<64x128xf32>
  }
  tile.store %y[%m, %c0], %r : !tile.view<?x128xf32>, tensor<64x128xf32>
}
