// RUN: hadal-opt %s -split-input-file -verify-diagnostics

// A view has a dimension.
// expected-error @+1 {{a view needs at least one dimension}}
tile.kernel @k(%x: !tile.view<f32>) domain(%m = 8 by 8) {
}

// -----

// Extents are positive.
// expected-error @+1 {{view extent 0 is not positive or '?'}}
tile.kernel @k(%x: !tile.view<0x8xf32>) domain(%m = 8 by 8) {
}

// -----

// Elements are numbers.
// expected-error @+1 {{view element type 'index' is neither float nor integer}}
tile.kernel @k(%x: !tile.view<8xindex>) domain(%m = 8 by 8) {
}

// -----

// FP8 means nothing without its scales.
// expected-error @+1 {{an f8E4M3FN view needs its scale layout, e.g. scale<128x128>}}
tile.kernel @k(%x: !tile.view<8x8xf8E4M3FN>) domain(%m = 8 by 8) {
}

// -----

// Nor does int4.
// expected-error @+1 {{an i4 view needs the scale layout scale<1x32>}}
tile.kernel @k(%x: !tile.view<8x64xi4>) domain(%m = 8 by 8) {
}

// -----

// Its groups are of 32 columns.
// expected-error @+1 {{an i4 view needs the scale layout scale<1x32>}}
tile.kernel @k(%x: !tile.view<8x128xi4, scale<1x128>>) domain(%m = 8 by 8) {
}

// -----

// And whole.
// expected-error @+1 {{an i4 view needs rows of whole groups of 32}}
tile.kernel @k(%x: !tile.view<8x48xi4, scale<1x32>>) domain(%m = 8 by 8) {
}

// -----

// Only codes are scaled.
// expected-error @+1 {{only an f8E4M3FN or i4 view has a scale layout}}
tile.kernel @k(%x: !tile.view<8x8xf32, scale<1x8>>) domain(%m = 8 by 8) {
}

// -----

// Scale blocks lie on a matrix.
// expected-error @+1 {{an f8E4M3FN view needs two dimensions or more}}
tile.kernel @k(%x: !tile.view<8xf8E4M3FN, scale<1x8>>) domain(%m = 8 by 8) {
}

// -----

// Segments are rows of a matrix.
// expected-error @+1 {{a segments view has two dimensions and a positive number of rows per segment}}
tile.kernel @k(%x: !tile.view<8xf32, segments<4>>) domain(%m = 8 by 8) {
}

// -----

// A segment holds whole scale blocks.
// expected-error @+1 {{segments of 6 rows cut scale blocks of 4 rows}}
tile.kernel @k(%x: !tile.view<12x8xf8E4M3FN, segments<6>, scale<4x8>>) domain(%m = 8 by 8) {
}

// -----

// A stack stacks something.
// expected-error @+1 {{a stack view needs two dimensions or more}}
tile.kernel @k(%x: !tile.view<8xf32, stack>) domain(%m = 8 by 8) {
}

// -----

// A scale block has two extents.
// expected-error @+1 {{expected a scale block of two extents, e.g. scale<128x128>}}
tile.kernel @k(%x: !tile.view<8x8xf8E4M3FN, scale<128>>) domain(%m = 8 by 8) {
}

// -----

// The words of a view are known.
// expected-error @+1 {{expected stack, segments<N> or scale<RxC>}}
tile.kernel @k(%x: !tile.view<8x8xf32, pages>) domain(%m = 8 by 8) {
}

// -----

// Kernels print the kind of a spec as a keyword.
// expected-error @+1 {{the kind of a spec is 'Gemm', expected lower-case letters, digits and _}}
tile.kernel @k(%x: !tile.view<8xf32>) domain(%m = 8 by 8) spec Gemm {n = 8 : i64} {
}

// -----

// So does the attribute alone.
// expected-error @+1 {{the kind of a spec is '', expected lower-case letters, digits and _}}
module attributes {test.spec = #tile.spec<"", {}>} {
}

// -----

// Numbers have one width.
// expected-error @+1 {{field 'n' of spec 'gemm' is 8 : i32, expected an i64, an f64, a bool or a string}}
tile.kernel @k(%x: !tile.view<8xf32>) domain(%m = 8 by 8) spec gemm {n = 8 : i32} {
}

// -----

// A field is no list.
// expected-error @+1 {{field 'n' of spec 'gemm' is [8], expected an i64, an f64, a bool or a string}}
tile.kernel @k(%x: !tile.view<8xf32>) domain(%m = 8 by 8) spec gemm {n = [8]} {
}
