// RUN: hadal-opt %s --hadal-lower-tile-to-sm90 -split-input-file -verify-diagnostics

// What the lowering without contractions cannot place is refused at the op.

// A row of a warp's registers holds 64 rows at most.
tile.kernel @k(%x: !tile.view<65x8xf32>, %y: !tile.view<65x2xf32>, %sz: !tile.sizes) domain(%m = 1 by 1) schedule {threads = 32 : i64} {
  %c = arith.constant 0 : index
  %a = tile.load %x[%c, %c] : !tile.view<65x8xf32> -> tensor<65x8xf32>
  // expected-error @+1 {{has no sm_90a lowering: 65 rows of 8 candidates}}
  %v, %i = tile.topk %a : tensor<65x8xf32> -> tensor<65x2xf32>, tensor<65x2xi32>
  tile.store %y[%c, %c], %v : !tile.view<65x2xf32>, tensor<65x2xf32>
}

// -----

// Groups are whole.
tile.kernel @k(%x: !tile.view<2x200xf32>, %y: !tile.view<2x200xf8E4M3FN, scale<1x128>>, %sz: !tile.sizes) domain(%m = 1 by 1) schedule {threads = 32 : i64} {
  %c = arith.constant 0 : index
  %a = tile.load %x[%c, %c] : !tile.view<2x200xf32> -> tensor<2x200xf32>
  // expected-error @+1 {{has no sm_90a lowering: groups of 128 in rows of 200}}
  %q, %s = tile.quantize %a group 128 floor 1.0e-4 format f32 : tensor<2x200xf32> -> tensor<2x200xf8E4M3FN>, tensor<2x2xf32>
  tile.store %y[%c, %c], %q, %s : tensor<2x2xf32> : !tile.view<2x200xf8E4M3FN, scale<1x128>>, tensor<2x200xf8E4M3FN>
}

// -----

// A scan runs along the whole tile.
tile.kernel @k(%x: !tile.view<4x8xi32>, %y: !tile.view<4x8xi32>, %sz: !tile.sizes) domain(%m = 1 by 1) schedule {threads = 32 : i64} {
  %c = arith.constant 0 : index
  %a = tile.load %x[%c, %c] : !tile.view<4x8xi32> -> tensor<4x8xi32>
  // expected-error @+1 {{has no sm_90a lowering: more than one row}}
  %r = tile.scan %a, 1 : tensor<4x8xi32>
  tile.store %y[%c, %c], %r : !tile.view<4x8xi32>, tensor<4x8xi32>
}

// -----

// A CTA scans what its warps hold.
tile.kernel @k(%x: !tile.view<1x32768xi32>, %y: !tile.view<1x32768xi32>, %sz: !tile.sizes) domain(%m = 1 by 1) schedule {threads = 32 : i64} {
  %c = arith.constant 0 : index
  %a = tile.load %x[%c, %c] : !tile.view<1x32768xi32> -> tensor<1x32768xi32>
  // expected-error @+1 {{has no sm_90a lowering: a scan over 32768 elements with }}
  %r = tile.scan %a, 1 : tensor<1x32768xi32>
  tile.store %y[%c, %c], %r : !tile.view<1x32768xi32>, tensor<1x32768xi32>
}

// -----

// Codes are moved with their scales; contractions alone decode them.
tile.kernel @k(%x: !tile.view<1x128xf8E4M3FN, scale<1x128>>, %y: !tile.view<1x128xf32>, %sz: !tile.sizes) domain(%m = 1 by 1) schedule {threads = 32 : i64} {
  %c = arith.constant 0 : index
  %a, %s = tile.load %x[%c, %c] : !tile.view<1x128xf8E4M3FN, scale<1x128>> -> tensor<1x128xf8E4M3FN>, tensor<1x1xf32>
  // expected-error @+1 {{'tile.dequantize' op has no sm_90a lowering}}
  %d = tile.dequantize %a, %s : tensor<1x128xf8E4M3FN>, tensor<1x1xf32> -> tensor<1x128xf32>
  tile.store %y[%c, %c], %d : !tile.view<1x128xf32>, tensor<1x128xf32>
}

// -----

// The scales of gathered rows would have to be gathered too.
tile.kernel @k(%x: !tile.view<64x128xf8E4M3FN, scale<1x128>>, %i: !tile.view<4xi32>, %y: !tile.view<4x128xf8E4M3FN, scale<1x128>>, %sz: !tile.sizes) domain(%m = 1 by 1) schedule {threads = 32 : i64} {
  %c = arith.constant 0 : index
  %j = tile.load %i[%c] : !tile.view<4xi32> -> tensor<4xi32>
  %g = tile.rows %x[%j] : !tile.view<64x128xf8E4M3FN, scale<1x128>>, tensor<4xi32> -> !tile.view<4x128xf8E4M3FN, scale<1x128>>
  // expected-error @+1 {{has no sm_90a lowering: scales of rows that are not the view's own}}
  %a, %s = tile.load %g[%c, %c] : !tile.view<4x128xf8E4M3FN, scale<1x128>> -> tensor<4x128xf8E4M3FN>, tensor<4x1xf32>
  tile.store %y[%c, %c], %a, %s : tensor<4x1xf32> : !tile.view<4x128xf8E4M3FN, scale<1x128>>, tensor<4x128xf8E4M3FN>
}

// -----

// A constant is one value.
tile.kernel @k(%y: !tile.view<1x16xi32>, %sz: !tile.sizes) domain(%m = 1 by 1) schedule {threads = 32 : i64} {
  %c = arith.constant 0 : index
  // expected-error @+1 {{has no sm_90a lowering: a table of constants}}
  %t = arith.constant dense<[[1, 2, 3, 4, 5, 6, 7, 8, 9, 1, 2, 3, 4, 5, 6, 7]]> : tensor<1x16xi32>
  tile.store %y[%c, %c], %t : !tile.view<1x16xi32>, tensor<1x16xi32>
}

// -----

// Rows are gathered once.
tile.kernel @k(%x: !tile.view<64x64xbf16>, %i: !tile.view<4xi32>, %y: !tile.view<4x64xbf16>, %sz: !tile.sizes) domain(%m = 1 by 1) schedule {threads = 32 : i64} {
  %c = arith.constant 0 : index
  %j = tile.load %i[%c] : !tile.view<4xi32> -> tensor<4xi32>
  %g = tile.rows %x[%j] : !tile.view<64x64xbf16>, tensor<4xi32> -> !tile.view<4x64xbf16>
  // expected-error @+1 {{has no sm_90a lowering: rows of gathered rows}}
  %h = tile.rows %g[%j] : !tile.view<4x64xbf16>, tensor<4xi32> -> !tile.view<4x64xbf16>
  %a = tile.load %h[%c, %c] : !tile.view<4x64xbf16> -> tensor<4x64xbf16>
  tile.store %y[%c, %c], %a : !tile.view<4x64xbf16>, tensor<4x64xbf16>
}

// -----

// Scales are written for every row of the tile.
tile.kernel @k(%x: !tile.view<2x128xf32>, %y: !tile.view<2x128xf8E4M3FN, scale<1x128>>, %sz: !tile.sizes) domain(%m = 1 by 1) schedule {threads = 32 : i64} {
  %c = arith.constant 0 : index
  %n = arith.constant 1 : index
  %a = tile.load %x[%c, %c] : !tile.view<2x128xf32> -> tensor<2x128xf32>
  %q, %s = tile.quantize %a group 128 floor 1.0e-4 format f32 : tensor<2x128xf32> -> tensor<2x128xf8E4M3FN>, tensor<2x1xf32>
  // expected-error @+1 {{has no sm_90a lowering: scales of some rows of a tile}}
  tile.store %y[%c, %c], %q, %s : tensor<2x1xf32> rows_below %n : !tile.view<2x128xf8E4M3FN, scale<1x128>>, tensor<2x128xf8E4M3FN>
}

// -----

// Lanes exchange 32 bits.
tile.kernel @k(%x: !tile.view<1x64xi64>, %y: !tile.view<1x1xi64>, %sz: !tile.sizes) domain(%m = 1 by 1) schedule {threads = 32 : i64} {
  %c = arith.constant 0 : index
  %a = tile.load %x[%c, %c] : !tile.view<1x64xi64> -> tensor<1x64xi64>
  // expected-error @+1 {{has no sm_90a lowering: reduces f32, bf16 and i32}}
  %r = tile.reduce add %a, 1 : tensor<1x64xi64> -> tensor<1x1xi64>
  tile.store %y[%c, %c], %r : !tile.view<1x1xi64>, tensor<1x1xi64>
}

// -----

// A sum of bf16 would round at every step.
tile.kernel @k(%x: !tile.view<1x64xbf16>, %y: !tile.view<1x1xbf16>, %sz: !tile.sizes) domain(%m = 1 by 1) schedule {threads = 32 : i64} {
  %c = arith.constant 0 : index
  %a = tile.load %x[%c, %c] : !tile.view<1x64xbf16> -> tensor<1x64xbf16>
  // expected-error @+1 {{has no sm_90a lowering: a reduction in bf16}}
  %r = tile.reduce add %a, 1 : tensor<1x64xbf16> -> tensor<1x1xbf16>
  tile.store %y[%c, %c], %r : !tile.view<1x1xbf16>, tensor<1x1xbf16>
}

// -----

// A branch leaves nothing behind.
tile.kernel @k(%x: !tile.view<1x64xf32>, %y: !tile.view<1x64xf32>, %sz: !tile.sizes) domain(%m = 1 by 1) schedule {threads = 32 : i64} {
  %c = arith.constant 0 : index
  %t = arith.constant true
  %a = tile.load %x[%c, %c] : !tile.view<1x64xf32> -> tensor<1x64xf32>
  // expected-error @+1 {{has no sm_90a lowering: it has results}}
  %r = scf.if %t -> tensor<1x64xf32> {
    scf.yield %a : tensor<1x64xf32>
  } else {
    scf.yield %a : tensor<1x64xf32>
  }
  tile.store %y[%c, %c], %r : !tile.view<1x64xf32>, tensor<1x64xf32>
}

// -----

// A fold carries tiles.
tile.kernel @k(%x: !tile.view<8x64xf32>, %y: !tile.view<8x64xf32>, %sz: !tile.sizes) domain(%m = 1 by 1) schedule {threads = 32 : i64} {
  %c = arith.constant 0 : index
  %n = arith.constant 8 : index
  // expected-error @+1 {{has no sm_90a lowering: a state that is no tile}}
  %r = tile.fold %k = %c to %n step 1 init(%i = %c : index) {
    tile.yield %k : index
  } combine (%p), (%q) {
    tile.yield %q : index
  }
  %a = tile.load %x[%r, %c] : !tile.view<8x64xf32> -> tensor<1x64xf32>
  tile.store %y[%c, %c], %a : !tile.view<8x64xf32>, tensor<1x64xf32>
}

// -----

// Codes are made by quantisation.
tile.kernel @k(%x: !tile.view<1x64xf32>, %y: !tile.view<1x64xf32>, %sz: !tile.sizes) domain(%m = 1 by 1) schedule {threads = 32 : i64} {
  %c = arith.constant 0 : index
  %a = tile.load %x[%c, %c] : !tile.view<1x64xf32> -> tensor<1x64xf32>
  // expected-error @+1 {{has no sm_90a lowering: codes are made by tile.quantize and only stored}}
  %q = arith.truncf %a : tensor<1x64xf32> to tensor<1x64xf8E4M3FN>
  %r = arith.extf %q : tensor<1x64xf8E4M3FN> to tensor<1x64xf32>
  tile.store %y[%c, %c], %r : !tile.view<1x64xf32>, tensor<1x64xf32>
}

// -----

// f64 is the oracle's.
tile.kernel @k(%x: !tile.view<1x64xf32>, %y: !tile.view<1x64xf32>, %sz: !tile.sizes) domain(%m = 1 by 1) schedule {threads = 32 : i64} {
  %c = arith.constant 0 : index
  %a = tile.load %x[%c, %c] : !tile.view<1x64xf32> -> tensor<1x64xf32>
  // expected-error @+1 {{has no sm_90a lowering: f64}}
  %d = arith.extf %a : tensor<1x64xf32> to tensor<1x64xf64>
  %r = arith.truncf %d : tensor<1x64xf64> to tensor<1x64xf32>
  tile.store %y[%c, %c], %r : !tile.view<1x64xf32>, tensor<1x64xf32>
}

// -----

// Functions without an instruction of their own.
tile.kernel @k(%x: !tile.view<1x64xf32>, %y: !tile.view<1x64xf32>, %sz: !tile.sizes) domain(%m = 1 by 1) schedule {threads = 32 : i64} {
  %c = arith.constant 0 : index
  %a = tile.load %x[%c, %c] : !tile.view<1x64xf32> -> tensor<1x64xf32>
  // expected-error @+1 {{has no sm_90a lowering: no instruction for it}}
  %r = math.sin %a : tensor<1x64xf32>
  tile.store %y[%c, %c], %r : !tile.view<1x64xf32>, tensor<1x64xf32>
}

// -----

// A bf16 is held as f32.
tile.kernel @k(%x: !tile.view<1x64xbf16>, %y: !tile.view<1x64xi16>, %sz: !tile.sizes) domain(%m = 1 by 1) schedule {threads = 32 : i64} {
  %c = arith.constant 0 : index
  %a = tile.load %x[%c, %c] : !tile.view<1x64xbf16> -> tensor<1x64xbf16>
  // expected-error @+1 {{has no sm_90a lowering: bits of a bf16}}
  %r = arith.bitcast %a : tensor<1x64xbf16> to tensor<1x64xi16>
  tile.store %y[%c, %c], %r : !tile.view<1x64xi16>, tensor<1x64xi16>
}

// -----

// Codes of a register have no decoder.
tile.kernel @k(%x: !tile.view<1x128xf32>, %y: !tile.view<1x128xf32>, %sz: !tile.sizes) domain(%m = 1 by 1) schedule {threads = 32 : i64} {
  %c = arith.constant 0 : index
  %a = tile.load %x[%c, %c] : !tile.view<1x128xf32> -> tensor<1x128xf32>
  %q, %s = tile.quantize %a group 128 floor 1.0e-4 format f32 : tensor<1x128xf32> -> tensor<1x128xf8E4M3FN>, tensor<1x1xf32>
  // expected-error @+1 {{has no sm_90a lowering}}
  %r = tile.dequantize %q, %s : tensor<1x128xf8E4M3FN>, tensor<1x1xf32> -> tensor<1x128xf32>
  tile.store %y[%c, %c], %r : !tile.view<1x128xf32>, tensor<1x128xf32>
}

// -----

// A CTA has up to 32 warps.
// expected-error @+1 {{has no sm_90a lowering with the word 'threads' of 48: it takes 32 to 1024 in steps of 32}}
tile.kernel @k(%x: !tile.view<1x64xf32>, %y: !tile.view<1x64xf32>, %sz: !tile.sizes) domain(%m = 1 by 1) schedule {threads = 48 : i64} {
  %c = arith.constant 0 : index
  %t = tile.load %x[%m, %c] : !tile.view<1x64xf32> -> tensor<1x64xf32>
  tile.store %y[%m, %c], %t : !tile.view<1x64xf32>, tensor<1x64xf32>
}
