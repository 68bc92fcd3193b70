// RUN: hadal-opt %s --hadal-lower-tile-to-loops=f64=true -verify-diagnostics

// The bits of an f32 mean nothing where it is computed in double.
tile.kernel @k(%x: !tile.view<8xf32>, %y: !tile.view<8xi32>) domain(%m = 1 by 1) {
  %a = tile.load %x[%m] : !tile.view<8xf32> -> tensor<8xf32>
  // expected-error @+1 {{'arith.bitcast' op has no lowering to loops}}
  %b = arith.bitcast %a : tensor<8xf32> to tensor<8xi32>
  tile.store %y[%m], %b : !tile.view<8xi32>, tensor<8xi32>
}
