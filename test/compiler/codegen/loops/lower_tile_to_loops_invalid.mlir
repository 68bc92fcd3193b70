// RUN: hadal-opt %s --hadal-lower-tile-to-loops -split-input-file -verify-diagnostics

// FP8 is made by tile.quantize, which says what happens beyond 448.
tile.kernel @k(%x: !tile.view<8xf32>, %w: !tile.view<1x8xf8E4M3FN, scale<1x8>>) domain(%m = 1 by 1) {
  %a = tile.load %x[%m] : !tile.view<8xf32> -> tensor<8xf32>
  // expected-error @+1 {{'arith.truncf' op to f8E4M3FN has no lowering to loops; tile.quantize defines the saturating conversion}}
  %b = arith.truncf %a : tensor<8xf32> to tensor<8xf8E4M3FN>
  %c = tile.reshape %b : tensor<8xf8E4M3FN> -> tensor<1x8xf8E4M3FN>
  %s = arith.constant dense<1.0> : tensor<1x1xf32>
  tile.store %w[%m, %m], %c, %s : tensor<1x1xf32> : !tile.view<1x8xf8E4M3FN, scale<1x8>>, tensor<1x8xf8E4M3FN>
}

// -----

// The level has exp2 only.
tile.kernel @k(%x: !tile.view<8xf32>) domain(%m = 1 by 1) {
  %a = tile.load %x[%m] : !tile.view<8xf32> -> tensor<8xf32>
  // expected-error @+1 {{'math.exp' op has no lowering to loops}}
  %b = math.exp %a : tensor<8xf32>
  tile.store %x[%m], %b : !tile.view<8xf32>, tensor<8xf32>
}

// -----

// Double tiles have no exp2 outside the f64 mode.
tile.kernel @k(%x: !tile.view<8xf64>) domain(%m = 1 by 1) {
  %a = tile.load %x[%m] : !tile.view<8xf64> -> tensor<8xf64>
  // expected-error @+1 {{'math.exp2' op of f64 has no lowering to loops in f32}}
  %b = math.exp2 %a : tensor<8xf64>
  tile.store %x[%m], %b : !tile.view<8xf64>, tensor<8xf64>
}

// -----

// Pages are dense memory.
tile.kernel @k(%x: !tile.view<2x4x8xf32, stack>, %t: !tile.view<?x?xi32>) domain(%m = 1 by 1) {
  // expected-error @+1 {{'tile.paged' op reads dense memory only}}
  %v = tile.paged %x[%t, %m] extent %m : !tile.view<2x4x8xf32, stack>, !tile.view<?x?xi32> -> !tile.view<?x8xf32>
}

// -----

// A gather of a gather is not a view of memory.
tile.kernel @k(%x: !tile.view<8x8xf32>) domain(%m = 1 by 1) {
  %i = arith.constant dense<[0, 1]> : tensor<2xi32>
  %v = tile.rows %x[%i] : !tile.view<8x8xf32>, tensor<2xi32> -> !tile.view<2x8xf32>
  // expected-error @+1 {{'tile.rows' op gathers from memory only}}
  %w = tile.rows %v[%i] : !tile.view<2x8xf32>, tensor<2xi32> -> !tile.view<2x8xf32>
}

// -----

// Scalars come from arith and math.
tile.kernel @k() domain(%m = 1 by 1) {
  // expected-error @+1 {{'builtin.unrealized_conversion_cast' op has no lowering to loops}}
  %a = builtin.unrealized_conversion_cast %m : index to i64
}

// -----

// Tiles come from this level.
tile.kernel @k() domain(%m = 1 by 1) {
  // expected-error @+1 {{'tensor.empty' op has no lowering to loops}}
  %a = tensor.empty() : tensor<8xf32>
}
