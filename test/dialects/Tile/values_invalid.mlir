// RUN: hadal-opt %s -split-input-file -verify-diagnostics

// Matrices have rank 2.
tile.kernel @k(%x: !tile.view<?x8xf32>, %i: !tile.view<4xi32>, %w: !tile.view<8x8xf8E4M3FN, scale<4x8>>, %st: !tile.view<2x8xf32, stack>, %sz: !tile.sizes) domain(%m = 8 by 8) {
  %a = arith.constant dense<0.0> : tensor<8xf32>
  %b = arith.constant dense<0.0> : tensor<8x4xf32>
  %c = arith.constant dense<0.0> : tensor<4x4xf32>
  // expected-error @+1 {{'tile.dot' op operands must have rank 2}}
  %d = tile.dot %a, %b, %c : tensor<8xf32>, tensor<8x4xf32>, tensor<4x4xf32>
}

// -----

// The depths agree.
tile.kernel @k(%x: !tile.view<?x8xf32>, %i: !tile.view<4xi32>, %w: !tile.view<8x8xf8E4M3FN, scale<4x8>>, %st: !tile.view<2x8xf32, stack>, %sz: !tile.sizes) domain(%m = 8 by 8) {
  %a = arith.constant dense<0.0> : tensor<4x8xf32>
  %b = arith.constant dense<0.0> : tensor<9x4xf32>
  %c = arith.constant dense<0.0> : tensor<4x4xf32>
  // expected-error @+1 {{'tile.dot' op K of a is 8, of b 9}}
  %d = tile.dot %a, %b, %c : tensor<4x8xf32>, tensor<9x4xf32>, tensor<4x4xf32>
}

// -----

// The accumulator is M by N.
tile.kernel @k(%x: !tile.view<?x8xf32>, %i: !tile.view<4xi32>, %w: !tile.view<8x8xf8E4M3FN, scale<4x8>>, %st: !tile.view<2x8xf32, stack>, %sz: !tile.sizes) domain(%m = 8 by 8) {
  %a = arith.constant dense<0.0> : tensor<4x8xf32>
  %b = arith.constant dense<0.0> : tensor<8x5xf32>
  %c = arith.constant dense<0.0> : tensor<4x4xf32>
  // expected-error @+1 {{'tile.dot' op accumulator is 4x4, expected 4x5}}
  %d = tile.dot %a, %b, %c : tensor<4x8xf32>, tensor<8x5xf32>, tensor<4x4xf32>
}

// -----

// Accumulation is in f32.
tile.kernel @k(%x: !tile.view<?x8xf32>, %i: !tile.view<4xi32>, %w: !tile.view<8x8xf8E4M3FN, scale<4x8>>, %st: !tile.view<2x8xf32, stack>, %sz: !tile.sizes) domain(%m = 8 by 8) {
  %a = arith.constant dense<0.0> : tensor<4x8xf32>
  %b = arith.constant dense<0.0> : tensor<8x4xf32>
  %c = arith.constant dense<0.0> : tensor<4x4xbf16>
  // expected-error @+1 {{'tile.dot' op accumulates in f32}}
  %d = tile.dot %a, %b, %c : tensor<4x8xf32>, tensor<8x4xf32>, tensor<4x4xbf16>
}

// -----

// Matrices have rank 2.
tile.kernel @k(%x: !tile.view<?x8xf32>, %i: !tile.view<4xi32>, %w: !tile.view<8x8xf8E4M3FN, scale<4x8>>, %st: !tile.view<2x8xf32, stack>, %sz: !tile.sizes) domain(%m = 8 by 8) {
  %a = arith.constant dense<0.0> : tensor<8xf32>
  %b = arith.constant dense<0.0> : tensor<4x8xf8E4M3FN>
  %sb = arith.constant dense<0.0> : tensor<1x1xf32>
  %c = arith.constant dense<0.0> : tensor<4x4xf32>
  // expected-error @+1 {{'tile.dot_scaled' op operands must have rank 2}}
  %d = tile.dot_scaled %a, %b * %sb, %c : tensor<8xf32>, tensor<4x8xf8E4M3FN>, tensor<1x1xf32>, tensor<4x4xf32>
}

// -----

// The depths agree.
tile.kernel @k(%x: !tile.view<?x8xf32>, %i: !tile.view<4xi32>, %w: !tile.view<8x8xf8E4M3FN, scale<4x8>>, %st: !tile.view<2x8xf32, stack>, %sz: !tile.sizes) domain(%m = 8 by 8) {
  %a = arith.constant dense<0.0> : tensor<4x8xf32>
  %b = arith.constant dense<0.0> : tensor<4x9xf8E4M3FN>
  %sb = arith.constant dense<0.0> : tensor<1x1xf32>
  %c = arith.constant dense<0.0> : tensor<4x4xf32>
  // expected-error @+1 {{'tile.dot_scaled' op K of a is 8, of b 9}}
  %d = tile.dot_scaled %a, %b * %sb, %c : tensor<4x8xf32>, tensor<4x9xf8E4M3FN>, tensor<1x1xf32>, tensor<4x4xf32>
}

// -----

// The accumulator is M by N.
tile.kernel @k(%x: !tile.view<?x8xf32>, %i: !tile.view<4xi32>, %w: !tile.view<8x8xf8E4M3FN, scale<4x8>>, %st: !tile.view<2x8xf32, stack>, %sz: !tile.sizes) domain(%m = 8 by 8) {
  %a = arith.constant dense<0.0> : tensor<4x8xf32>
  %b = arith.constant dense<0.0> : tensor<5x8xf8E4M3FN>
  %sb = arith.constant dense<0.0> : tensor<1x1xf32>
  %c = arith.constant dense<0.0> : tensor<4x4xf32>
  // expected-error @+1 {{'tile.dot_scaled' op accumulator is 4x4, expected 4x5}}
  %d = tile.dot_scaled %a, %b * %sb, %c : tensor<4x8xf32>, tensor<5x8xf8E4M3FN>, tensor<1x1xf32>, tensor<4x4xf32>
}

// -----

// Accumulation is in f32.
tile.kernel @k(%x: !tile.view<?x8xf32>, %i: !tile.view<4xi32>, %w: !tile.view<8x8xf8E4M3FN, scale<4x8>>, %st: !tile.view<2x8xf32, stack>, %sz: !tile.sizes) domain(%m = 8 by 8) {
  %a = arith.constant dense<0.0> : tensor<4x8xf32>
  %b = arith.constant dense<0.0> : tensor<4x8xf8E4M3FN>
  %sb = arith.constant dense<0.0> : tensor<1x1xf32>
  %c = arith.constant dense<0.0> : tensor<4x4xbf16>
  // expected-error @+1 {{'tile.dot_scaled' op accumulates in f32}}
  %d = tile.dot_scaled %a, %b * %sb, %c : tensor<4x8xf32>, tensor<4x8xf8E4M3FN>, tensor<1x1xf32>, tensor<4x4xbf16>
}

// -----

// Blocks are not empty.
tile.kernel @k(%x: !tile.view<?x8xf32>, %i: !tile.view<4xi32>, %w: !tile.view<8x8xf8E4M3FN, scale<4x8>>, %st: !tile.view<2x8xf32, stack>, %sz: !tile.sizes) domain(%m = 8 by 8) {
  %a = arith.constant dense<0.0> : tensor<4x8xf32>
  %b = arith.constant dense<0.0> : tensor<4x8xf8E4M3FN>
  %sb = arith.constant dense<0.0> : tensor<1x1xf32>
  %c = arith.constant dense<0.0> : tensor<4x4xf32>
  // expected-error @+1 {{'tile.dot_scaled' op needs a positive block of K}}
  %d = tile.dot_scaled %a, %b * %sb, %c {k = 0 : i64} : tensor<4x8xf32>, tensor<4x8xf8E4M3FN>, tensor<1x1xf32>, tensor<4x4xf32>
}

// -----

// The weight is FP8.
tile.kernel @k(%x: !tile.view<?x8xf32>, %i: !tile.view<4xi32>, %w: !tile.view<8x8xf8E4M3FN, scale<4x8>>, %st: !tile.view<2x8xf32, stack>, %sz: !tile.sizes) domain(%m = 8 by 8) {
  %a = arith.constant dense<0.0> : tensor<4x8xf32>
  %b = arith.constant dense<0.0> : tensor<4x8xf32>
  %sb = arith.constant dense<0.0> : tensor<1x1xf32>
  %c = arith.constant dense<0.0> : tensor<4x4xf32>
  // expected-error @+1 {{'tile.dot_scaled' op b must hold e4m3fn codes}}
  %d = tile.dot_scaled %a, %b * %sb, %c : tensor<4x8xf32>, tensor<4x8xf32>, tensor<1x1xf32>, tensor<4x4xf32>
}

// -----

// One scale of b per block of K.
tile.kernel @k(%x: !tile.view<?x8xf32>, %i: !tile.view<4xi32>, %w: !tile.view<8x8xf8E4M3FN, scale<4x8>>, %st: !tile.view<2x8xf32, stack>, %sz: !tile.sizes) domain(%m = 8 by 8) {
  %a = arith.constant dense<0.0> : tensor<4x8xf32>
  %b = arith.constant dense<0.0> : tensor<4x8xf8E4M3FN>
  %sb = arith.constant dense<0.0> : tensor<1x2xf32>
  %c = arith.constant dense<0.0> : tensor<4x4xf32>
  // expected-error @+1 {{'tile.dot_scaled' op scales of b are 1x2, expected a divisor of 4 rows by 1}}
  %d = tile.dot_scaled %a, %b * %sb, %c : tensor<4x8xf32>, tensor<4x8xf8E4M3FN>, tensor<1x2xf32>, tensor<4x4xf32>
}

// -----

// FP8 needs scales.
tile.kernel @k(%x: !tile.view<?x8xf32>, %i: !tile.view<4xi32>, %w: !tile.view<8x8xf8E4M3FN, scale<4x8>>, %st: !tile.view<2x8xf32, stack>, %sz: !tile.sizes) domain(%m = 8 by 8) {
  %a = arith.constant dense<0.0> : tensor<4x8xf8E4M3FN>
  %b = arith.constant dense<0.0> : tensor<4x8xf8E4M3FN>
  %sb = arith.constant dense<0.0> : tensor<1x1xf32>
  %c = arith.constant dense<0.0> : tensor<4x4xf32>
  // expected-error @+1 {{'tile.dot_scaled' op e4m3fn a needs its scales}}
  %d = tile.dot_scaled %a, %b * %sb, %c : tensor<4x8xf8E4M3FN>, tensor<4x8xf8E4M3FN>, tensor<1x1xf32>, tensor<4x4xf32>
}

// -----

// Only FP8 has scales.
tile.kernel @k(%x: !tile.view<?x8xf32>, %i: !tile.view<4xi32>, %w: !tile.view<8x8xf8E4M3FN, scale<4x8>>, %st: !tile.view<2x8xf32, stack>, %sz: !tile.sizes) domain(%m = 8 by 8) {
  %a = arith.constant dense<0.0> : tensor<4x8xf32>
  %b = arith.constant dense<0.0> : tensor<4x8xf8E4M3FN>
  %sb = arith.constant dense<0.0> : tensor<1x1xf32>
  %c = arith.constant dense<0.0> : tensor<4x4xf32>
  %sa = arith.constant dense<0.0> : tensor<4x1xf32>
  // expected-error @+1 {{'tile.dot_scaled' op only e4m3fn a has scales}}
  %d = tile.dot_scaled %a * %sa : tensor<4x1xf32>, %b * %sb, %c : tensor<4x8xf32>, tensor<4x8xf8E4M3FN>, tensor<1x1xf32>, tensor<4x4xf32>
}

// -----

// One scale of a per row and block.
tile.kernel @k(%x: !tile.view<?x8xf32>, %i: !tile.view<4xi32>, %w: !tile.view<8x8xf8E4M3FN, scale<4x8>>, %st: !tile.view<2x8xf32, stack>, %sz: !tile.sizes) domain(%m = 8 by 8) {
  %a = arith.constant dense<0.0> : tensor<4x8xf8E4M3FN>
  %b = arith.constant dense<0.0> : tensor<4x8xf8E4M3FN>
  %sb = arith.constant dense<0.0> : tensor<1x1xf32>
  %c = arith.constant dense<0.0> : tensor<4x4xf32>
  %sa = arith.constant dense<0.0> : tensor<1x1xf32>
  // expected-error @+1 {{'tile.dot_scaled' op scales of a must be 4x1}}
  %d = tile.dot_scaled %a * %sa : tensor<1x1xf32>, %b * %sb, %c : tensor<4x8xf8E4M3FN>, tensor<4x8xf8E4M3FN>, tensor<1x1xf32>, tensor<4x4xf32>
}

// -----

// Codes have the shape of the source.
tile.kernel @k(%x: !tile.view<?x8xf32>, %i: !tile.view<4xi32>, %w: !tile.view<8x8xf8E4M3FN, scale<4x8>>, %st: !tile.view<2x8xf32, stack>, %sz: !tile.sizes) domain(%m = 8 by 8) {
  %a = arith.constant dense<0.0> : tensor<4x8xf32>
  // expected-error @+1 {{'tile.quantize' op codes must be e4m3fn of the source's shape (rank 2)}}
  %q, %s = tile.quantize %a group 8 floor 1.0e-4 format f32 : tensor<4x8xf32> -> tensor<4x9xf8E4M3FN>, tensor<4x1xf32>
}

// -----

// Groups are not empty.
tile.kernel @k(%x: !tile.view<?x8xf32>, %i: !tile.view<4xi32>, %w: !tile.view<8x8xf8E4M3FN, scale<4x8>>, %st: !tile.view<2x8xf32, stack>, %sz: !tile.sizes) domain(%m = 8 by 8) {
  %a = arith.constant dense<0.0> : tensor<4x8xf32>
  // expected-error @+1 {{'tile.quantize' op needs a positive group}}
  %q, %s = tile.quantize %a group 0 floor 1.0e-4 format f32 : tensor<4x8xf32> -> tensor<4x8xf8E4M3FN>, tensor<4x1xf32>
}

// -----

// One scale per group.
tile.kernel @k(%x: !tile.view<?x8xf32>, %i: !tile.view<4xi32>, %w: !tile.view<8x8xf8E4M3FN, scale<4x8>>, %st: !tile.view<2x8xf32, stack>, %sz: !tile.sizes) domain(%m = 8 by 8) {
  %a = arith.constant dense<0.0> : tensor<4x8xf32>
  // expected-error @+1 {{'tile.quantize' op scales must be 4x2}}
  %q, %s = tile.quantize %a group 4 floor 1.0e-4 format f32 : tensor<4x8xf32> -> tensor<4x8xf8E4M3FN>, tensor<4x1xf32>
}

// -----

// The floor keeps zeros from dividing by zero.
tile.kernel @k(%x: !tile.view<?x8xf32>, %i: !tile.view<4xi32>, %w: !tile.view<8x8xf8E4M3FN, scale<4x8>>, %st: !tile.view<2x8xf32, stack>, %sz: !tile.sizes) domain(%m = 8 by 8) {
  %a = arith.constant dense<0.0> : tensor<4x8xf32>
  // expected-error @+1 {{'tile.quantize' op needs a positive floor}}
  %q, %s = tile.quantize %a group 8 floor 0.0 format f32 : tensor<4x8xf32> -> tensor<4x8xf8E4M3FN>, tensor<4x1xf32>
}

// -----

// The result has the shape of the codes.
tile.kernel @k(%x: !tile.view<?x8xf32>, %i: !tile.view<4xi32>, %w: !tile.view<8x8xf8E4M3FN, scale<4x8>>, %st: !tile.view<2x8xf32, stack>, %sz: !tile.sizes) domain(%m = 8 by 8) {
  %q = arith.constant dense<0.0> : tensor<4x8xf8E4M3FN>
  %s = arith.constant dense<0.0> : tensor<1x1xf32>
  // expected-error @+1 {{'tile.dequantize' op operands and result must have rank 2 and the codes' shape}}
  %r = tile.dequantize %q, %s : tensor<4x8xf8E4M3FN>, tensor<1x1xf32> -> tensor<4x9xf32>
}

// -----

// What int4 codes stand for is bf16.
tile.kernel @k(%x: !tile.view<?x8xf32>, %i: !tile.view<4xi32>, %w: !tile.view<8x8xf8E4M3FN, scale<4x8>>, %st: !tile.view<2x8xf32, stack>, %sz: !tile.sizes) domain(%m = 8 by 8) {
  %q = arith.constant dense<0> : tensor<4x32xi4>
  %s = arith.constant dense<0.0> : tensor<4x1xf32>
  // expected-error @+1 {{'tile.dequantize' op the elements of i4 codes are bf16}}
  %r = tile.dequantize %q, %s : tensor<4x32xi4>, tensor<4x1xf32> -> tensor<4x32xf32>
}

// -----

// Codes are FP8 or int4.
tile.kernel @k(%x: !tile.view<?x8xf32>, %i: !tile.view<4xi32>, %w: !tile.view<8x8xf8E4M3FN, scale<4x8>>, %st: !tile.view<2x8xf32, stack>, %sz: !tile.sizes) domain(%m = 8 by 8) {
  %q = arith.constant dense<0.0> : tensor<4x8xf32>
  %s = arith.constant dense<0.0> : tensor<1x1xf32>
  // expected-error @+1 {{'tile.dequantize' op codes must be e4m3fn or i4}}
  %r = tile.dequantize %q, %s : tensor<4x8xf32>, tensor<1x1xf32> -> tensor<4x8xf32>
}

// -----

// Scales divide the codes.
tile.kernel @k(%x: !tile.view<?x8xf32>, %i: !tile.view<4xi32>, %w: !tile.view<8x8xf8E4M3FN, scale<4x8>>, %st: !tile.view<2x8xf32, stack>, %sz: !tile.sizes) domain(%m = 8 by 8) {
  %q = arith.constant dense<0.0> : tensor<4x8xf8E4M3FN>
  %s = arith.constant dense<0.0> : tensor<3x1xf32>
  // expected-error @+1 {{'tile.dequantize' op scales 3x1 do not divide the codes 4x8}}
  %r = tile.dequantize %q, %s : tensor<4x8xf8E4M3FN>, tensor<3x1xf32> -> tensor<4x8xf32>
}

// -----

// A splat does not convert.
tile.kernel @k(%x: !tile.view<?x8xf32>, %i: !tile.view<4xi32>, %w: !tile.view<8x8xf8E4M3FN, scale<4x8>>, %st: !tile.view<2x8xf32, stack>, %sz: !tile.sizes) domain(%m = 8 by 8) {
  %h = arith.constant 0.5 : f32
  // expected-error @+1 {{'tile.splat' op scalar of type 'f32' does not fill a tile of 'bf16'}}
  %b = tile.splat %h : f32 -> tensor<4xbf16>
}

// -----

// A broadcast does not convert.
tile.kernel @k(%x: !tile.view<?x8xf32>, %i: !tile.view<4xi32>, %w: !tile.view<8x8xf8E4M3FN, scale<4x8>>, %st: !tile.view<2x8xf32, stack>, %sz: !tile.sizes) domain(%m = 8 by 8) {
  %a = arith.constant dense<0.0> : tensor<4x8xf32>
  // expected-error @+1 {{'tile.broadcast' op must keep the element type}}
  %b = tile.broadcast %a : tensor<4x8xf32> -> tensor<4x8xbf16>
}

// -----

// A broadcast adds dimensions only.
tile.kernel @k(%x: !tile.view<?x8xf32>, %i: !tile.view<4xi32>, %w: !tile.view<8x8xf8E4M3FN, scale<4x8>>, %st: !tile.view<2x8xf32, stack>, %sz: !tile.sizes) domain(%m = 8 by 8) {
  %a = arith.constant dense<0.0> : tensor<4x8xf32>
  // expected-error @+1 {{'tile.broadcast' op cannot drop dimensions}}
  %b = tile.broadcast %a : tensor<4x8xf32> -> tensor<8xf32>
}

// -----

// Extents stretch from 1 only.
tile.kernel @k(%x: !tile.view<?x8xf32>, %i: !tile.view<4xi32>, %w: !tile.view<8x8xf8E4M3FN, scale<4x8>>, %st: !tile.view<2x8xf32, stack>, %sz: !tile.sizes) domain(%m = 8 by 8) {
  %a = arith.constant dense<0.0> : tensor<4x8xf32>
  // expected-error @+1 {{'tile.broadcast' op cannot broadcast extent 4 to 5}}
  %b = tile.broadcast %a : tensor<4x8xf32> -> tensor<5x8xf32>
}

// -----

// The dimension exists.
tile.kernel @k(%x: !tile.view<?x8xf32>, %i: !tile.view<4xi32>, %w: !tile.view<8x8xf8E4M3FN, scale<4x8>>, %st: !tile.view<2x8xf32, stack>, %sz: !tile.sizes) domain(%m = 8 by 8) {
  // expected-error @+1 {{'tile.iota' op dimension 2 is out of range}}
  %b = tile.iota 2 : tensor<4x8xi32>
}

// -----

// The dimension exists.
tile.kernel @k(%x: !tile.view<?x8xf32>, %i: !tile.view<4xi32>, %w: !tile.view<8x8xf8E4M3FN, scale<4x8>>, %st: !tile.view<2x8xf32, stack>, %sz: !tile.sizes) domain(%m = 8 by 8) {
  %a = arith.constant dense<0.0> : tensor<4x8xf32>
  // expected-error @+1 {{'tile.reduce' op dimension 2 is out of range}}
  %b = tile.reduce add %a, 2 : tensor<4x8xf32> -> tensor<4x1xf32>
}

// -----

// A reduced dimension keeps extent 1.
tile.kernel @k(%x: !tile.view<?x8xf32>, %i: !tile.view<4xi32>, %w: !tile.view<8x8xf8E4M3FN, scale<4x8>>, %st: !tile.view<2x8xf32, stack>, %sz: !tile.sizes) domain(%m = 8 by 8) {
  %a = arith.constant dense<0.0> : tensor<4x8xf32>
  // expected-error @+1 {{'tile.reduce' op must reduce dimension 1 to extent 1}}
  %b = tile.reduce add %a, 1 : tensor<4x8xf32> -> tensor<1x8xf32>
}

// -----

// The dimension exists.
tile.kernel @k(%x: !tile.view<?x8xf32>, %i: !tile.view<4xi32>, %w: !tile.view<8x8xf8E4M3FN, scale<4x8>>, %st: !tile.view<2x8xf32, stack>, %sz: !tile.sizes) domain(%m = 8 by 8) {
  %n = arith.constant dense<0> : tensor<4xi32>
  // expected-error @+1 {{'tile.scan' op dimension 1 is out of range}}
  %b = tile.scan %n, 1 : tensor<4xi32>
}

// -----

// Values and indices pair up.
tile.kernel @k(%x: !tile.view<?x8xf32>, %i: !tile.view<4xi32>, %w: !tile.view<8x8xf8E4M3FN, scale<4x8>>, %st: !tile.view<2x8xf32, stack>, %sz: !tile.sizes) domain(%m = 8 by 8) {
  %a = arith.constant dense<0.0> : tensor<4x8xf32>
  // expected-error @+1 {{'tile.topk' op takes [M,N] and yields two tiles [M,k]}}
  %v, %j = tile.topk %a : tensor<4x8xf32> -> tensor<4x2xf32>, tensor<4x3xi32>
}

// -----

// A row has no more than its elements.
tile.kernel @k(%x: !tile.view<?x8xf32>, %i: !tile.view<4xi32>, %w: !tile.view<8x8xf8E4M3FN, scale<4x8>>, %st: !tile.view<2x8xf32, stack>, %sz: !tile.sizes) domain(%m = 8 by 8) {
  %a = arith.constant dense<0.0> : tensor<4x8xf32>
  // expected-error @+1 {{'tile.topk' op cannot take 9 of 8}}
  %v, %j = tile.topk %a : tensor<4x8xf32> -> tensor<4x9xf32>, tensor<4x9xi32>
}

// -----

// A reshape keeps every element.
tile.kernel @k(%x: !tile.view<?x8xf32>, %i: !tile.view<4xi32>, %w: !tile.view<8x8xf8E4M3FN, scale<4x8>>, %st: !tile.view<2x8xf32, stack>, %sz: !tile.sizes) domain(%m = 8 by 8) {
  %a = arith.constant dense<0.0> : tensor<4x8xf32>
  // expected-error @+1 {{'tile.reshape' op must keep the elements}}
  %b = tile.reshape %a : tensor<4x8xf32> -> tensor<33xf32>
}

// -----

// A transpose swaps the extents.
tile.kernel @k(%x: !tile.view<?x8xf32>, %i: !tile.view<4xi32>, %w: !tile.view<8x8xf8E4M3FN, scale<4x8>>, %st: !tile.view<2x8xf32, stack>, %sz: !tile.sizes) domain(%m = 8 by 8) {
  %a = arith.constant dense<0.0> : tensor<4x8xf32>
  // expected-error @+1 {{'tile.transpose' op must swap the two dimensions}}
  %b = tile.transpose %a : tensor<4x8xf32> -> tensor<4x8xf32>
}

// -----

// One offset per dimension.
tile.kernel @k(%x: !tile.view<?x8xf32>, %i: !tile.view<4xi32>, %w: !tile.view<8x8xf8E4M3FN, scale<4x8>>, %st: !tile.view<2x8xf32, stack>, %sz: !tile.sizes) domain(%m = 8 by 8) {
  %a = arith.constant dense<0.0> : tensor<4x8xf32>
  // expected-error @+1 {{'tile.slice' op needs one offset and one extent per dimension}}
  %b = tile.slice %a [0] : tensor<4x8xf32> -> tensor<2x8xf32>
}

// -----

// A slice stays inside.
tile.kernel @k(%x: !tile.view<?x8xf32>, %i: !tile.view<4xi32>, %w: !tile.view<8x8xf8E4M3FN, scale<4x8>>, %st: !tile.view<2x8xf32, stack>, %sz: !tile.sizes) domain(%m = 8 by 8) {
  %a = arith.constant dense<0.0> : tensor<4x8xf32>
  // expected-error @+1 {{'tile.slice' op [3, 5) leaves an extent of 4}}
  %b = tile.slice %a [3, 0] : tensor<4x8xf32> -> tensor<2x8xf32>
}

// -----

// A slice does not convert.
tile.kernel @k(%x: !tile.view<?x8xf32>, %i: !tile.view<4xi32>, %w: !tile.view<8x8xf8E4M3FN, scale<4x8>>, %st: !tile.view<2x8xf32, stack>, %sz: !tile.sizes) domain(%m = 8 by 8) {
  %a = arith.constant dense<0.0> : tensor<4x8xf32>
  // expected-error @+1 {{'tile.slice' op must keep the element type}}
  %b = tile.slice %a [0, 0] : tensor<4x8xf32> -> tensor<2x8xbf16>
}

// -----

// Something is concatenated.
tile.kernel @k(%x: !tile.view<?x8xf32>, %i: !tile.view<4xi32>, %w: !tile.view<8x8xf8E4M3FN, scale<4x8>>, %st: !tile.view<2x8xf32, stack>, %sz: !tile.sizes) domain(%m = 8 by 8) {
  // expected-error @+1 {{'tile.concat' op needs a source}}
  %b = "tile.concat"() <{dim = 0 : i64}> : () -> tensor<4xf32>
}

// -----

// The dimension exists.
tile.kernel @k(%x: !tile.view<?x8xf32>, %i: !tile.view<4xi32>, %w: !tile.view<8x8xf8E4M3FN, scale<4x8>>, %st: !tile.view<2x8xf32, stack>, %sz: !tile.sizes) domain(%m = 8 by 8) {
  %a = arith.constant dense<0.0> : tensor<4x8xf32>
  // expected-error @+1 {{'tile.concat' op dimension 2 is out of range}}
  %b = tile.concat %a dim 2 : tensor<4x8xf32> -> tensor<4x8xf32>
}

// -----

// Sources are of one kind.
tile.kernel @k(%x: !tile.view<?x8xf32>, %i: !tile.view<4xi32>, %w: !tile.view<8x8xf8E4M3FN, scale<4x8>>, %st: !tile.view<2x8xf32, stack>, %sz: !tile.sizes) domain(%m = 8 by 8) {
  %a = arith.constant dense<0.0> : tensor<4x8xf32>
  // expected-error @+1 {{'tile.concat' op sources must have the result's rank and element type}}
  %b = tile.concat %a dim 0 : tensor<4x8xf32> -> tensor<4x8xbf16>
}

// -----

// The other extents agree.
tile.kernel @k(%x: !tile.view<?x8xf32>, %i: !tile.view<4xi32>, %w: !tile.view<8x8xf8E4M3FN, scale<4x8>>, %st: !tile.view<2x8xf32, stack>, %sz: !tile.sizes) domain(%m = 8 by 8) {
  %a = arith.constant dense<0.0> : tensor<4x8xf32>
  // expected-error @+1 {{'tile.concat' op extent 1 of a source differs}}
  %b = tile.concat %a dim 0 : tensor<4x8xf32> -> tensor<4x9xf32>
}

// -----

// The extents add up.
tile.kernel @k(%x: !tile.view<?x8xf32>, %i: !tile.view<4xi32>, %w: !tile.view<8x8xf8E4M3FN, scale<4x8>>, %st: !tile.view<2x8xf32, stack>, %sz: !tile.sizes) domain(%m = 8 by 8) {
  %a = arith.constant dense<0.0> : tensor<4x8xf32>
  // expected-error @+1 {{'tile.concat' op sources add up to 8 along dimension 0, expected 9}}
  %b = tile.concat %a, %a dim 0 : tensor<4x8xf32>, tensor<4x8xf32> -> tensor<9x8xf32>
}

// -----

// Pairs split in half.
tile.kernel @k(%x: !tile.view<?x8xf32>, %i: !tile.view<4xi32>, %w: !tile.view<8x8xf8E4M3FN, scale<4x8>>, %st: !tile.view<2x8xf32, stack>, %sz: !tile.sizes) domain(%m = 8 by 8) {
  %a = arith.constant dense<0.0> : tensor<4x8xf32>
  // expected-error @+1 {{'tile.deinterleave' op pairs [M,N] with two tiles [M,N/2]}}
  %e, %o = tile.deinterleave %a : tensor<4x8xf32> -> tensor<4x3xf32>, tensor<4x3xf32>
}

// -----

// Halves join to pairs.
tile.kernel @k(%x: !tile.view<?x8xf32>, %i: !tile.view<4xi32>, %w: !tile.view<8x8xf8E4M3FN, scale<4x8>>, %st: !tile.view<2x8xf32, stack>, %sz: !tile.sizes) domain(%m = 8 by 8) {
  %a = arith.constant dense<0.0> : tensor<4x8xf32>
  // expected-error @+1 {{'tile.interleave' op pairs [M,N] with two tiles [M,N/2]}}
  %e = tile.interleave %a, %a : tensor<4x8xf32>, tensor<4x8xf32> -> tensor<4x8xf32>
}
