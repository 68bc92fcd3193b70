// RUN: hadal-opt %s -split-input-file -verify-diagnostics

// A kernel has a domain.
// expected-error @+1 {{'tile.kernel' op needs a domain of one dimension or more}}
tile.kernel @k() domain() {
  %c = arith.constant 0 : index
}

// -----

// Fewer block arguments than coordinates.
// expected-error @+1 {{'tile.kernel' op has fewer block arguments than domain dimensions}}
"tile.kernel"() <{sym_name = "k", domain = [#tile.dim<8 by 8 in none of 0>], schedule = #tile.schedule<{}>, arg_names = []}> ({
^bb0:
  %c = arith.constant 0 : index
}) : () -> ()

// -----

// Arguments are views or the sizes.
// expected-error @+1 {{'tile.kernel' op argument 0 has type 'f32'; expected a view or !tile.sizes}}
tile.kernel @k(%x: f32) domain(%m = 8 by 8) {
}

// -----

// One name per argument.
// expected-error @+1 {{'tile.kernel' op has 0 names for 1 arguments}}
"tile.kernel"() <{sym_name = "k", domain = [#tile.dim<8 by 8 in none of 0>], schedule = #tile.schedule<{}>, arg_names = []}> ({
^bb0(%s: !tile.sizes, %m: index):
  %c = arith.constant 0 : index
}) : () -> ()

// -----

// The only attribute of an argument.
// expected-error @+1 {{argument 0 has attribute 'const'; only 'constant' is known}}
tile.kernel @k(%x: !tile.view<8xf32> {const}) domain(%m = 8 by 8) {
}

// -----

// Constant is said of views.
// expected-error @+1 {{'tile.kernel' op constant argument 0 is no view}}
tile.kernel @k(%s: !tile.sizes {constant}) domain(%m = 8 by 8) {
}

// -----

// And of those that the kernel does not write, through whatever view of them.
// expected-error @+1 {{'tile.kernel' op writes argument 0, which is marked constant}}
tile.kernel @k(%x: !tile.view<8xf32> {constant}) domain(%m = 8 by 8) {
  %t = arith.constant dense<0.0> : tensor<8xf32>
  tile.store %x[%m], %t : !tile.view<8xf32>, tensor<8xf32>
}

// -----

// Steps are positive.
// expected-error @+1 {{'tile.kernel' op domain dimension 0 has no positive step}}
tile.kernel @k() domain(%m = 8 by 0) {
}

// -----

// Only the first extent may be the capacity.
// expected-error @+1 {{'tile.kernel' op domain dimension 1 has extent '?'; only the first may}}
tile.kernel @k() domain(%m = 8 by 8, %n = ? by 1) {
}

// -----

// An empty dimension has no points.
// expected-error @+1 {{'tile.kernel' op domain dimension 0 is empty}}
tile.kernel @k() domain(%m = 0 by 8) {
}

// -----

// A bound is read from the sizes.
// expected-error @+1 {{'tile.kernel' op domain dimension 0 is bounded but the kernel takes no !tile.sizes}}
tile.kernel @k() domain(%m = ? by 8 in tokens) {
}

// -----

// The rows of an expert come from another dimension.
// expected-error @+1 {{'tile.kernel' op domain dimension 0 is bounded by the rows of an expert in dimension 0, which is not another dimension}}
tile.kernel @k(%s: !tile.sizes) domain(%m = ? by 8 in expert_rows[0]) {
}

// -----

// Coordinates are indices.
// expected-error @+1 {{'tile.kernel' op coordinate arguments must be of type index}}
"tile.kernel"() <{sym_name = "k", domain = [#tile.dim<8 by 8 in none of 0>], schedule = #tile.schedule<{}>, arg_names = []}> ({
^bb0(%m: i32):
  %c = arith.constant 0 : index
}) : () -> ()

// -----

// Bounds have names.
tile.kernel @k() domain(%m = ? by 8
    // expected-error @+1 {{unknown bound 'pages'}}
    in pages) {
}

// -----

// Steps are positive.
tile.kernel @k(%x: !tile.view<?x8xf32>, %i: !tile.view<4xi32>, %w: !tile.view<8x8xf8E4M3FN, scale<4x8>>, %st: !tile.view<2x8xf32, stack>, %sz: !tile.sizes) domain(%m = 8 by 8) {
  %c0 = arith.constant 0 : index
  %x0 = arith.constant dense<0.0> : tensor<4xf32>
  // expected-error @+1 {{'tile.fold' op needs a positive step}}
  tile.fold %k = %c0 to %m step 0 {
  } combine (), () {
  }
}

// -----

// Results have the types of the inits.
tile.kernel @k(%x: !tile.view<?x8xf32>, %i: !tile.view<4xi32>, %w: !tile.view<8x8xf8E4M3FN, scale<4x8>>, %st: !tile.view<2x8xf32, stack>, %sz: !tile.sizes) domain(%m = 8 by 8) {
  %c0 = arith.constant 0 : index
  %x0 = arith.constant dense<0.0> : tensor<4xf32>
  // expected-error @+1 {{'tile.fold' op result types differ from the types of its inits}}
  %r = "tile.fold"(%c0, %m, %x0) <{step = 1 : i64}> ({
  ^bb0(%k: index, %a: tensor<4xf32>):
    tile.yield %a : tensor<4xf32>
  }, {
  ^bb0(%p: tensor<4xf32>, %q: tensor<4xf32>):
    tile.yield %p : tensor<4xf32>
  }) : (index, index, tensor<4xf32>) -> tensor<8xf32>
}

// -----

// The body takes an index and the state.
tile.kernel @k(%x: !tile.view<?x8xf32>, %i: !tile.view<4xi32>, %w: !tile.view<8x8xf8E4M3FN, scale<4x8>>, %st: !tile.view<2x8xf32, stack>, %sz: !tile.sizes) domain(%m = 8 by 8) {
  %c0 = arith.constant 0 : index
  %x0 = arith.constant dense<0.0> : tensor<4xf32>
  // expected-error @+1 {{'tile.fold' op body takes an index and the state}}
  "tile.fold"(%c0, %m) <{step = 1 : i64}> ({
  ^bb0:
    tile.yield
  }, {
  ^bb0:
    tile.yield
  }) : (index, index) -> ()
}

// -----

// Combine takes two states.
tile.kernel @k(%x: !tile.view<?x8xf32>, %i: !tile.view<4xi32>, %w: !tile.view<8x8xf8E4M3FN, scale<4x8>>, %st: !tile.view<2x8xf32, stack>, %sz: !tile.sizes) domain(%m = 8 by 8) {
  %c0 = arith.constant 0 : index
  %x0 = arith.constant dense<0.0> : tensor<4xf32>
  // expected-error @+1 {{'tile.fold' op combine takes two states}}
  %r = "tile.fold"(%c0, %m, %x0) <{step = 1 : i64}> ({
  ^bb0(%k: index, %a: tensor<4xf32>):
    tile.yield %a : tensor<4xf32>
  }, {
  ^bb0(%p: tensor<4xf32>):
    tile.yield %p : tensor<4xf32>
  }) : (index, index, tensor<4xf32>) -> tensor<4xf32>
}

// -----

// Combine names the whole state.
tile.kernel @k(%x: !tile.view<?x8xf32>, %i: !tile.view<4xi32>, %w: !tile.view<8x8xf8E4M3FN, scale<4x8>>, %st: !tile.view<2x8xf32, stack>, %sz: !tile.sizes) domain(%m = 8 by 8) {
  %c0 = arith.constant 0 : index
  %x0 = arith.constant dense<0.0> : tensor<4xf32>
  tile.fold %k = %c0 to %m step 1 {
  } combine
    // expected-error @+1 {{combine names 1 values for a state of 0}}
    (%p), (%q) {
  }
}

// -----

// Regions yield the state.
tile.kernel @k(%x: !tile.view<?x8xf32>, %i: !tile.view<4xi32>, %w: !tile.view<8x8xf8E4M3FN, scale<4x8>>, %st: !tile.view<2x8xf32, stack>, %sz: !tile.sizes) domain(%m = 8 by 8) {
  %c0 = arith.constant 0 : index
  %x0 = arith.constant dense<0.0> : tensor<4xf32>
  // expected-error @+1 {{'tile.fold' op a region yields types other than the state's}}
  tile.fold %k = %c0 to %m step 1 {
    tile.yield %k : index
  } combine (), () {
  }
}

// -----

// Merging states is pure.
tile.kernel @k(%x: !tile.view<?x8xf32>, %i: !tile.view<4xi32>, %w: !tile.view<8x8xf8E4M3FN, scale<4x8>>, %st: !tile.view<2x8xf32, stack>, %sz: !tile.sizes) domain(%m = 8 by 8) {
  %c0 = arith.constant 0 : index
  %x0 = arith.constant dense<0.0> : tensor<4xf32>
  // expected-error @+1 {{'tile.fold' op combine must not touch memory}}
  tile.fold %k = %c0 to %m step 1 {
  } combine (), () {
    %n = tile.size %sz rows
  }
}

// -----

// An entry of expert_begin has an index.
tile.kernel @k(%x: !tile.view<?x8xf32>, %i: !tile.view<4xi32>, %w: !tile.view<8x8xf8E4M3FN, scale<4x8>>, %st: !tile.view<2x8xf32, stack>, %sz: !tile.sizes) domain(%m = 8 by 8) {
  // expected-error @+1 {{'tile.size' op expert_begin needs an index}}
  %n = tile.size %sz expert_begin
}

// -----

// The other sizes have none.
tile.kernel @k(%x: !tile.view<?x8xf32>, %i: !tile.view<4xi32>, %w: !tile.view<8x8xf8E4M3FN, scale<4x8>>, %st: !tile.view<2x8xf32, stack>, %sz: !tile.sizes) domain(%m = 8 by 8) {
  // expected-error @+1 {{'tile.size' op only expert_begin takes an index}}
  %n = tile.size %sz rows[%m]
}

// -----

// The dimension exists.
tile.kernel @k(%x: !tile.view<?x8xf32>, %i: !tile.view<4xi32>, %w: !tile.view<8x8xf8E4M3FN, scale<4x8>>, %st: !tile.view<2x8xf32, stack>, %sz: !tile.sizes) domain(%m = 8 by 8) {
  // expected-error @+1 {{'tile.dim' op dimension 2 is out of range}}
  %n = tile.dim %x, 2 : !tile.view<?x8xf32>
}

// -----

// A pool has pages of static size.
tile.kernel @k(%p: !tile.view<?x?x8xf32>, %t: !tile.view<?x?xi32>) domain(%m = 8 by 8) {
  // expected-error @+1 {{'tile.paged' op pool must be [pages, page size, width] with a static page size and width}}
  %v = tile.paged %p[%t, %m] extent %m : !tile.view<?x?x8xf32>, !tile.view<?x?xi32> -> !tile.view<?x8xf32>
}

// -----

// A page table holds i32.
tile.kernel @k(%p: !tile.view<?x4x8xf32>, %t: !tile.view<?x?xi64>) domain(%m = 8 by 8) {
  // expected-error @+1 {{'tile.paged' op page table must be i32 [rows, pages]}}
  %v = tile.paged %p[%t, %m] extent %m : !tile.view<?x4x8xf32>, !tile.view<?x?xi64> -> !tile.view<?x8xf32>
}

// -----

// Pages become rows.
tile.kernel @k(%p: !tile.view<?x4x8xf32>, %t: !tile.view<?x?xi32>) domain(%m = 8 by 8) {
  // expected-error @+1 {{'tile.paged' op result must be ?x8 of the pool's element type}}
  %v = tile.paged %p[%t, %m] extent %m : !tile.view<?x4x8xf32>, !tile.view<?x?xi32> -> !tile.view<?x8xbf16>
}

// -----

// Rows are gathered from rank 2.
tile.kernel @k(%x: !tile.view<?x8xf32>, %i: !tile.view<4xi32>, %w: !tile.view<8x8xf8E4M3FN, scale<4x8>>, %st: !tile.view<2x8xf32, stack>, %sz: !tile.sizes) domain(%m = 8 by 8) {
  %n = arith.constant dense<0> : tensor<4xi32>
  // expected-error @+1 {{'tile.rows' op takes a view of rank 2 and a tile of rank 1}}
  %v = tile.rows %i[%n] : !tile.view<4xi32>, tensor<4xi32> -> !tile.view<4xi32>
}

// -----

// One row per index.
tile.kernel @k(%x: !tile.view<?x8xf32>, %i: !tile.view<4xi32>, %w: !tile.view<8x8xf8E4M3FN, scale<4x8>>, %st: !tile.view<2x8xf32, stack>, %sz: !tile.sizes) domain(%m = 8 by 8) {
  %n = arith.constant dense<0> : tensor<4xi32>
  // expected-error @+1 {{'tile.rows' op result must be 4 rows of the source view}}
  %v = tile.rows %x[%n] : !tile.view<?x8xf32>, tensor<4xi32> -> !tile.view<5x8xf32>
}

// -----

// A block of several rows cannot be gathered by row.
tile.kernel @k(%x: !tile.view<?x8xf32>, %i: !tile.view<4xi32>, %w: !tile.view<8x8xf8E4M3FN, scale<4x8>>, %st: !tile.view<2x8xf32, stack>, %sz: !tile.sizes) domain(%m = 8 by 8) {
  %n = arith.constant dense<0> : tensor<4xi32>
  // expected-error @+1 {{'tile.rows' op gathers from dense views whose scale block has one row}}
  %v = tile.rows %w[%n] : !tile.view<8x8xf8E4M3FN, scale<4x8>>, tensor<4xi32> -> !tile.view<4x8xf8E4M3FN, scale<4x8>>
}

// -----

// One index per dimension.
tile.kernel @k(%x: !tile.view<?x8xf32>, %i: !tile.view<4xi32>, %w: !tile.view<8x8xf8E4M3FN, scale<4x8>>, %st: !tile.view<2x8xf32, stack>, %sz: !tile.sizes) domain(%m = 8 by 8) {
  // expected-error @+1 {{'tile.read' op has 2 indices for a view of rank 1}}
  %n = tile.read %i[%m, %m] : !tile.view<4xi32>
}

// -----

// Indices are integers.
tile.kernel @k(%x: !tile.view<?x8xf32>, %i: !tile.view<4xi32>, %w: !tile.view<8x8xf8E4M3FN, scale<4x8>>, %st: !tile.view<2x8xf32, stack>, %sz: !tile.sizes) domain(%m = 8 by 8) {
  // expected-error @+1 {{'tile.read' op reads i32 or i64 views only}}
  %n = tile.read %x[%m, %m] : !tile.view<?x8xf32>
}

// -----

// One index per dimension.
tile.kernel @k(%x: !tile.view<?x8xf32>, %i: !tile.view<4xi32>, %w: !tile.view<8x8xf8E4M3FN, scale<4x8>>, %st: !tile.view<2x8xf32, stack>, %sz: !tile.sizes) domain(%m = 8 by 8) {
  // expected-error @+1 {{'tile.load' op has 1 indices for a view of rank 2}}
  %a = tile.load %x[%m] : !tile.view<?x8xf32> -> tensor<8xf32>
}

// -----

// A tile has at most the rank of its view.
tile.kernel @k(%x: !tile.view<?x8xf32>, %i: !tile.view<4xi32>, %w: !tile.view<8x8xf8E4M3FN, scale<4x8>>, %st: !tile.view<2x8xf32, stack>, %sz: !tile.sizes) domain(%m = 8 by 8) {
  // expected-error @+1 {{'tile.load' op tile of rank 3 does not fit a view of rank 2}}
  %a = tile.load %x[%m, %m] : !tile.view<?x8xf32> -> tensor<1x8x8xf32>
}

// -----

// Loads do not convert.
tile.kernel @k(%x: !tile.view<?x8xf32>, %i: !tile.view<4xi32>, %w: !tile.view<8x8xf8E4M3FN, scale<4x8>>, %st: !tile.view<2x8xf32, stack>, %sz: !tile.sizes) domain(%m = 8 by 8) {
  // expected-error @+1 {{'tile.load' op tile element type 'bf16' differs from the view's 'f32'}}
  %a = tile.load %x[%m, %m] : !tile.view<?x8xf32> -> tensor<8x8xbf16>
}

// -----

// Codes come with scales.
tile.kernel @k(%x: !tile.view<?x8xf32>, %i: !tile.view<4xi32>, %w: !tile.view<8x8xf8E4M3FN, scale<4x8>>, %st: !tile.view<2x8xf32, stack>, %sz: !tile.sizes) domain(%m = 8 by 8) {
  // expected-error @+1 {{'tile.load' op of a scaled view needs a scale tile}}
  %a = tile.load %w[%m, %m] : !tile.view<8x8xf8E4M3FN, scale<4x8>> -> tensor<8x8xf8E4M3FN>
}

// -----

// Plain memory has no scales.
tile.kernel @k(%x: !tile.view<?x8xf32>, %i: !tile.view<4xi32>, %w: !tile.view<8x8xf8E4M3FN, scale<4x8>>, %st: !tile.view<2x8xf32, stack>, %sz: !tile.sizes) domain(%m = 8 by 8) {
  // expected-error @+1 {{'tile.load' op of an unscaled view has a scale tile}}
  %a, %s = tile.load %x[%m, %m] : !tile.view<?x8xf32> -> tensor<8x8xf32>, tensor<1x1xf32>
}

// -----

// Scales are blocks of a matrix.
tile.kernel @k(%x: !tile.view<?x8xf32>, %i: !tile.view<4xi32>, %w: !tile.view<8x8xf8E4M3FN, scale<4x8>>, %st: !tile.view<2x8xf32, stack>, %sz: !tile.sizes) domain(%m = 8 by 8) {
  // expected-error @+1 {{'tile.load' op of a scaled view needs tiles of rank 2}}
  %a, %s = tile.load %w[%m, %m] : !tile.view<8x8xf8E4M3FN, scale<4x8>> -> tensor<8xf8E4M3FN>, tensor<1x1xf32>
}

// -----

// Scales divide the tile.
tile.kernel @k(%x: !tile.view<?x8xf32>, %i: !tile.view<4xi32>, %w: !tile.view<8x8xf8E4M3FN, scale<4x8>>, %st: !tile.view<2x8xf32, stack>, %sz: !tile.sizes) domain(%m = 8 by 8) {
  // expected-error @+1 {{'tile.load' op scale tile 3x1 does not divide the tile 8x8}}
  %a, %s = tile.load %w[%m, %m] : !tile.view<8x8xf8E4M3FN, scale<4x8>> -> tensor<8x8xf8E4M3FN>, tensor<3x1xf32>
}

// -----

// Codes pad with 0.
tile.kernel @k(%x: !tile.view<?x8xf32>, %i: !tile.view<4xi32>, %w: !tile.view<8x8xf8E4M3FN, scale<4x8>>, %st: !tile.view<2x8xf32, stack>, %sz: !tile.sizes) domain(%m = 8 by 8) {
  // expected-error @+1 {{'tile.load' op a scaled view always pads with 0}}
  %a, %s = tile.load %w[%m, %m] pad 1.0 : !tile.view<8x8xf8E4M3FN, scale<4x8>> -> tensor<8x8xf8E4M3FN>, tensor<2x1xf32>
}

// -----

// Weights are not written.
tile.kernel @k(%x: !tile.view<?x8xf32>, %i: !tile.view<4xi32>, %w: !tile.view<8x8xf8E4M3FN, scale<4x8>>, %st: !tile.view<2x8xf32, stack>, %sz: !tile.sizes) domain(%m = 8 by 8) {
  %b = arith.constant dense<0.0> : tensor<8xf32>
  // expected-error @+1 {{'tile.store' op writes dense views only}}
  tile.store %st[%m, %m], %b : !tile.view<2x8xf32, stack>, tensor<8xf32>
}

// -----

// One index per dimension.
tile.kernel @k(%x: !tile.view<?x8xf32>, %i: !tile.view<4xi32>, %w: !tile.view<8x8xf8E4M3FN, scale<4x8>>, %st: !tile.view<2x8xf32, stack>, %sz: !tile.sizes) domain(%m = 8 by 8) {
  %a = arith.constant dense<0.0> : tensor<4x8xf32>
  // expected-error @+1 {{'tile.store' op has 1 indices for a view of rank 2}}
  tile.store %x[%m], %a : !tile.view<?x8xf32>, tensor<4x8xf32>
}

// -----

// Sums are f32 or i32.
tile.kernel @k(%y: !tile.view<4xbf16>) domain(%m = 8 by 8) {
  %a = arith.constant dense<0.0> : tensor<4xbf16>
  // expected-error @+1 {{'tile.reduce_into' op adds to f32 or i32 views only}}
  tile.reduce_into %y[%m], %a : !tile.view<4xbf16>, tensor<4xbf16>
}

// -----

// The greater is taken of whole numbers.
tile.kernel @k(%y: !tile.view<4xf32>) domain(%m = 4 by 4) {
  %a = arith.constant dense<0.0> : tensor<4xf32>
  // expected-error @+1 {{'tile.reduce_into' op takes the greater of i32 only}}
  tile.reduce_into max %y[%m], %a : !tile.view<4xf32>, tensor<4xf32>
}
