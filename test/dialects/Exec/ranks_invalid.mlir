// RUN: hadal-opt %s -split-input-file -verify-diagnostics

// expected-error @+1 {{'exec.mesh' must be an #exec.mesh}}
module attributes {exec.mesh = 4 : i64} {}

// -----

// expected-error @+1 {{mesh of tp 2, dp 0, ep 1, node 8, slots 0, expected positive numbers (slots may be 0)}}
module attributes {exec.mesh = #exec.mesh<tp 2, dp 0, ep 1, node 8, slots 0>} {}

// -----

// expected-error @+1 {{mesh of 4294967296 x 4294967296 ranks, expected at most 65536}}
module attributes {exec.mesh = #exec.mesh<tp 4294967296, dp 4294967296, ep 1, node 8, slots 0>} {}

// -----

// expected-error @+1 {{mesh with ep 3, which does not divide 4 ranks}}
module attributes {exec.mesh = #exec.mesh<tp 2, dp 2, ep 3, node 8, slots 0>} {}

// -----

// expected-error @+1 {{needs the mesh of its module ('exec.mesh')}}
exec.communicator @ep axis ep size 4

// -----

module attributes {exec.mesh = #exec.mesh<tp 2, dp 2, ep 4, node 8, slots 1>} {
// expected-error @+1 {{has a size of 4, the mesh has 2 ranks on tp}}
exec.communicator @tp axis tp size 4
}

// -----

// expected-error @+1 {{of layer 3 has 8 experts and 0 replicas}}
exec.placement_table @p layer 3 experts 8 replicas 0

// -----

// Only a placement is of a layer.
// expected-error @+1 {{of a slice on ep has the layer whose placement it follows, no other has one}}
exec.parameter @p tensor map bf16 rows [128] inner [64] from ["a"] accepts [bf16] layer 3

// -----

// expected-error @+1 {{of a slice on ep has the layer whose placement it follows, no other has one}}
exec.parameter @p stack of 2 map bf16 rows [128] inner [64] from ["a{e}"] accepts [bf16] slice ep dim 0 unit 1

// -----

// expected-error @+1 {{has a slice on ep, which is of the arrays of a stack: dim 0 unit 1}}
exec.parameter @p tensor map bf16 rows [128] inner [64] from ["a"] accepts [bf16] slice ep dim 0 unit 1 layer 3

// -----

// expected-error @+1 {{has a slice of dimension 2, expected the rows or columns of a tensor}}
exec.parameter @p tensor map bf16 rows [128] inner [64] from ["a"] accepts [bf16] slice tp dim 2 unit 1

// -----

// A vector has no columns.
// expected-error @+1 {{has a slice of dimension 1, expected the rows or columns of a tensor}}
exec.parameter @p tensor map bf16 rows [128] inner [] from ["a"] accepts [bf16] slice tp dim 1 unit 1

// -----

// A head is not cut.
// expected-error @+1 {{has a slice of 128 in units of 192}}
exec.parameter @p tensor map bf16 rows [128] inner [64] from ["a"] accepts [bf16] slice tp dim 0 unit 192

// -----

// expected-error @+1 {{of a head has no rung}}
exec.entry @h head logit_rows 1 rung worst capacity 1 pairs 1 {}

// -----

// A row that is sent is sent for an expert.
// expected-error @+1 {{has a capacity of 4 rows and 3 pairs, expected a pair for each row}}
exec.entry @d decode tokens 4 rows 4 queries 1 attention "absorbed" rung worst capacity 4 pairs 3 {}

// -----

exec.func @f() states() {
  %0 = exec.buffer "x" 64 exchange
  // expected-error @+1 {{'f' is not an exec.communicator}}
  exec.collective @f all_to_all [(%0, %0, 1 x 8)] label "l" stream 1
}

// -----

exec.func @f() states() {
  %0 = exec.buffer "x" 64 exchange
  // expected-error @+1 {{has 1 sends, 0 receives and 1 row counts, expected one of each for each part}}
  "exec.collective"(%0) <{communicator = @ep, kind = 3 : i32, rows = array<i64: 1>, row_bytes = array<i64: 8>, count_columns = array<i64: -1>, label = "l", stream = 1 : i64, operandSegmentSizes = array<i32: 1, 0, 0>}> : (!exec.ref) -> ()
}

// -----

exec.func @f() states() {
  // expected-error @+1 {{has 0 sends, 0 receives and 0 row counts}}
  exec.collective @ep all_to_all [] label "l" stream 1
}

// -----

exec.func @f() states() {
  %0 = exec.buffer "x" 64 exchange
  // expected-error @+1 {{of kind all_to_all sums nothing and takes no type}}
  exec.collective @ep all_to_all [(%0, %0, 1 x 8 of f32)] label "l" stream 1
}

// -----

exec.func @f() states() {
  %0 = exec.buffer "x" 64 exchange
  // expected-error @+1 {{of kind reduce_scatter needs the type of its sums, f32 or bf16}}
  exec.collective @ep reduce_scatter [(%0, %0, 1 x 8)] label "l" stream 1
}

// -----

exec.func @f() states() {
  %0 = exec.buffer "x" 64 exchange
  // expected-error @+1 {{of kind all_reduce needs the type of its sums, f32 or bf16}}
  exec.collective @ep all_reduce [(%0, %0, 1 x 8 of i32)] label "l" stream 1
}

// -----

exec.func @f() states() {
  %0 = exec.buffer "x" 64 exchange
  // expected-error @+1 {{parts of one collective have one type}}
  exec.collective @ep all_reduce [(%0, %0, 1 x 8 of f32), (%0, %0, 1 x 8 of bf16)] label "l" stream 1
}

// -----

exec.func @f() states() {
  %0 = exec.buffer "x" 64 exchange
  // expected-error @+1 {{has a part of 0 rows of 8 bytes}}
  exec.collective @ep all_to_all [(%0, %0, 0 x 8)] label "l" stream 1
}

// -----

exec.func @f() states() {
  %0 = exec.buffer "x" 64 exchange
  // expected-error @+1 {{has a part of 4294967296 rows of 4294967296 bytes}}
  exec.collective @ep all_to_all [(%0, %0, 4294967296 x 4294967296)] label "l" stream 1
}

// -----

module attributes {exec.mesh = #exec.mesh<tp 2, dp 2, ep 4, node 8, slots 1>} {
exec.communicator @ep axis ep size 4
exec.func @f() states() {
  %0 = exec.buffer "x" 64 exchange
  // expected-error @+1 {{has a part of 2^63 bytes or more}}
  exec.collective @ep all_to_all [(%0, %0, 4294967296 x 1073741824)] label "l" stream 1
}
}

// -----

exec.func @f() states() {
  %0 = exec.buffer "x" 64 exchange
  // expected-error @+1 {{has rows of 6 bytes, not a multiple of 'f32'}}
  exec.collective @ep all_reduce [(%0, %0, 1 x 6 of f32)] label "l" stream 1
}

// -----

exec.func @f() states() {
  %0 = exec.buffer "x" 64 exchange
  // expected-error @+1 {{has a part counted 2 of a stride of 2}}
  exec.collective @ep all_to_all [(%0, %0, 1 x 8 counted 2)] counts(%0 stride 2) label "l" stream 1
}

// -----

exec.func @f() states() {
  %0 = exec.buffer "x" 64 exchange
  // expected-error @+1 {{has 65 counts for each rank, expected 1 to 64}}
  exec.collective @ep all_to_all [(%0, %0, 1 x 8 counted 0)] counts(%0 stride 65) label "l" stream 1
}

// -----

exec.func @f() states() {
  %0 = exec.buffer "x" 64 exchange
  // expected-error @+1 {{of kind all_gather moves all rows and takes no counts}}
  exec.collective @ep all_gather [(%0, %0, 1 x 8 counted 0)] counts(%0 stride 1) label "l" stream 1
}

// -----

exec.func @f() states() {
  %0 = exec.buffer "x" 64 exchange
  // expected-error @+1 {{has counts if and only if a part is counted}}
  exec.collective @ep all_to_all [(%0, %0, 1 x 8)] counts(%0 stride 1) label "l" stream 1
}

// -----

exec.func @f() states() {
  %0 = exec.buffer "x" 64 exchange
  // expected-error @+1 {{has an empty label}}
  exec.collective @ep all_to_all [(%0, %0, 1 x 8)] label "" stream 1
}

// -----

exec.func @f() states() {
  %0 = exec.buffer "x" 64 exchange
  // expected-error @+1 {{has an empty op}}
  exec.collective @ep all_to_all [(%0, %0, 1 x 8)] label "l" op "" stream 1
}

// -----

exec.func @f() states() {
  %0 = exec.buffer "x" 64 exchange
  // expected-error @+1 {{is on stream 0, collectives belong on 1}}
  exec.collective @ep all_to_all [(%0, %0, 1 x 8)] label "l" stream 0
}

// -----

exec.func @f() states() {
  // expected-error @+1 {{has event -1}}
  exec.record -1 stream 0
}

// -----

exec.func @f() states() {
  // expected-error @+1 {{names stream 2, expected 0 or 1}}
  exec.wait 0 stream 2
}
