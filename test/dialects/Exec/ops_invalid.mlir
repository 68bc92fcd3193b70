// RUN: hadal-opt %s -split-input-file -verify-diagnostics

// Every part has its row count.
// expected-error @+1 {{has 2 parts and 1 row counts}}
exec.parameter @p segments of 128 map bf16 rows [128] inner [64] from ["a", "b"] accepts [bf16]

// -----

// Extents are positive.
// expected-error @+1 {{has an extent of 0}}
exec.parameter @p tensor map bf16 rows [128] inner [0] from ["a"] accepts [bf16]

// -----

// Its size is counted in 63 bits, whatever the extents multiply to.
// expected-error @+1 {{takes 2^63 bytes or more}}
exec.parameter @p stack of 4294967296 map bf16 rows [65536] inner [65536] from ["a{e}"] accepts [bf16]

// -----

// So are the rows of its parts.
// expected-error @+1 {{takes 2^63 bytes or more}}
exec.parameter @p segments of 1 map bf16 rows [9223372036854775807, 1] inner [] from ["a", "b"] accepts [bf16]

// -----

// A tensor is one array.
// expected-error @+1 {{of kind tensor takes no count}}
exec.parameter @p tensor of 2 map bf16 rows [128] inner [64] from ["a"] accepts [bf16]

// -----

// A stack says how many.
// expected-error @+1 {{of kind stack needs a positive count}}
exec.parameter @p stack map bf16 rows [128] inner [64] from ["a{e}"] accepts [bf16]

// -----

// Only segments have several parts.
// expected-error @+1 {{of kind tensor takes one part, found 2}}
exec.parameter @p tensor map bf16 rows [128, 1] inner [64] from ["a", "b"] accepts [bf16]

// -----

// The one name of a stack is a pattern.
// expected-error @+1 {{of kind stack needs a name pattern with {e}}}
exec.parameter @p stack of 2 map bf16 rows [128] inner [64] from ["a"] accepts [bf16]

// -----

// A block of the table lies in one part.
// expected-error @+1 {{has a part of 100 rows, not a multiple of 128}}
exec.parameter @p segments of 128 map bf16 rows [100, 128] inner [64] from ["a", "b"] accepts [bf16]

// -----

// Elements are numbers.
// expected-error @+1 {{element type 'index' is not a number}}
exec.parameter @p tensor copy index rows [1] inner [] from ["a"] accepts [f32]

// -----

// The loader must know what it may find.
// expected-error @+1 {{accepts no dtype of the file}}
exec.parameter @p tensor copy f32 rows [1] inner [] from ["a"] accepts []

// -----

// Mapped bytes are not converted.
// expected-error @+1 {{is mapped and must accept its own element type 'f32'}}
exec.parameter @p tensor map f32 rows [1] inner [] from ["a"] accepts [bf16]

// -----

// expected-error @+1 {{has 0 positions}}
exec.rope_table @r positions 0 inv_freq [1.0] scale 1.0

// -----

// expected-error @+1 {{has no frequency}}
exec.rope_table @r positions 4 inv_freq [] scale 1.0

// -----

// expected-error @+1 {{has a scale that is not finite}}
exec.rope_table @r positions 4 inv_freq [1.0] scale 0x7FC00000

// -----

// A cache is described by its row.
// expected-error @+1 {{paged_cache takes the elements of a row and their type, e.g. row 576 of bf16}}
exec.state @kv paged_cache bytes 64

// -----

// A buffer is described by its bytes.
// expected-error @+1 {{buffer takes a positive number of bytes}}
exec.state @hidden buffer

// -----

exec.state @hidden buffer bytes 64
exec.entry @head_1 head logit_rows 1 {
  // expected-error @+1 {{'hidden' is not a parameter}}
  %0 = exec.get_parameter @hidden
}

// -----

exec.parameter @p tensor copy f32 rows [1] inner [] from ["a"] accepts [f32]
exec.func @f() states() {
  // expected-error @+1 {{belongs in an entry; a function takes its parameters as arguments}}
  %0 = exec.get_parameter @p
}

// -----

exec.entry @head_1 head logit_rows 1 {
  // expected-error @+1 {{'hidden' is not a state}}
  %0 = exec.get_state @hidden
}

// -----

exec.state @hidden buffer bytes 64
exec.func @f() states() {
  // expected-error @+1 {{belongs in an entry; a function takes its states as arguments}}
  %0 = exec.get_state @hidden
}

// -----

exec.func @f() states() {
  // expected-error @+1 {{has -1 bytes}}
  %0 = exec.buffer "x" -1
}

// -----

exec.func @f() states() {
  // expected-error @+1 {{offset 32 is not a multiple of 64}}
  %0 = exec.buffer "x" 64 at 32
}

// -----

exec.func @f() states() {
  // expected-error @+1 {{has 0 work items}}
  exec.launch @k items 0 ()
}

// -----

exec.func @f() states() {
  // expected-error @+1 {{names stream -1, expected 0 or 1}}
  exec.launch @k items 1 () stream -1
}

// -----

exec.func @f() states() {
  %0 = exec.buffer "x" 64
  // expected-error @+1 {{has 1 references for 0 slots}}
  "exec.launch"(%0) <{kernel = @k, items = 1 : i64, scalars = array<i64: 4>}> : (!exec.ref) -> ()
}

// -----

exec.func @g() states() {}
exec.func @f() states() {
  // expected-error @+1 {{'g' is not a tile.kernel}}
  exec.launch @g items 1 ()
}

// -----

exec.func @f() states() {
  // expected-error @+1 {{'g' is not an exec.func}}
  exec.call @g () states ()
}

// -----

exec.func @g(%a) states() {}
exec.func @f() states() {
  // expected-error @+1 {{gives 0 parameters, 'g' takes 1}}
  exec.call @g () states ()
}

// -----

exec.func @g() states(%a) {}
exec.func @f() states(%b) {
  // expected-error @+1 {{gives 1 states, 'g' takes 1 in each of 3 iterations}}
  exec.repeat 3 @g () states (%b)
}

// -----

exec.func @g() states() {}
exec.func @f() states() {
  // expected-error @+1 {{has a count of 0}}
  exec.repeat 0 @g () states ()
}

// -----

// A function holds commands and nothing else.
exec.func @f() states() {
  // expected-error @+1 {{'arith.constant' is not a command of the program}}
  %0 = arith.constant 0 : index
}

// -----

// expected-error @+1 {{has 2 parameters among 1 arguments}}
"exec.func"() <{sym_name = "f", num_parameters = 2 : i64, arg_names = ["a"]}> ({
^bb0(%a: !exec.ref):
}) : () -> ()

// -----

// expected-error @+1 {{has 0 names for 1 arguments}}
"exec.func"() <{sym_name = "f", num_parameters = 1 : i64, arg_names = []}> ({
^bb0(%a: !exec.ref):
}) : () -> ()

// -----

// expected-error @+1 {{takes !exec.ref arguments only}}
"exec.func"() <{sym_name = "f", num_parameters = 1 : i64, arg_names = ["a"]}> ({
^bb0(%a: index):
}) : () -> ()

// -----

// expected-error @+1 {{of a head takes logit_rows alone}}
exec.entry @head head {}

// -----

// expected-error @+1 {{takes tokens, rows and queries}}
exec.entry @decode decode logit_rows 1 {}

// -----

// expected-error @+1 {{has 0 logit rows}}
exec.entry @head head logit_rows 0 {}

// -----

// expected-error @+1 {{of a head has no attention form}}
exec.entry @head head attention "absorbed" logit_rows 1 {}

// -----

// Every sequence has a token.
// expected-error @+1 {{has an impossible bucket: 1 tokens, 4 rows, 1 queries per row}}
exec.entry @p prefill tokens 1 rows 4 queries 1 attention "absorbed" {}

// -----

// expected-error @+1 {{of decode has 4 tokens, expected 2 for each of its 4 rows}}
exec.entry @d decode tokens 4 rows 4 queries 2 attention "absorbed" {}

// -----

// expected-error @+1 {{needs its attention form, absorbed or expanded}}
exec.entry @d decode tokens 4 rows 4 queries 1 {}

// -----

// expected-error @+1 {{arena of 100 bytes is not a multiple of 64}}
exec.entry @head head logit_rows 1 arena 100 {}

// -----

// expected-error @+1 {{'exec.model' must be a dictionary}}
module attributes {exec.model = 1 : i64} {}

// -----

// expected-error @+1 {{'exec.remarks' must be an array of strings}}
module attributes {exec.remarks = [1 : i64]} {}

// -----

// expected-error @+1 {{unknown attribute 'exec.other'}}
module attributes {exec.other} {}

// -----

// expected-error @+1 {{'exec.model' belongs on a module}}
exec.func @f() states() attributes {exec.model = {}} {}

// -----

// expected-error @+1 {{has a pitch of 40 bytes, expected a multiple of 16 that holds the innermost row of a matrix}}
exec.parameter @p tensor map bf16 rows [4] inner [20] from ["a"] accepts [bf16] pitch 40

// -----

// expected-error @+1 {{has a pitch of 32 bytes}}
exec.parameter @p tensor map bf16 rows [4] inner [20] from ["a"] accepts [bf16] pitch 32

// -----

// expected-error @+1 {{has a pitch of 16 bytes}}
exec.parameter @p tensor map bf16 rows [4] inner [] from ["a"] accepts [bf16] pitch 16

// -----

// expected-error @+1 {{is dequantised and must be one matrix, copied from f8E4M3FN as bf16}}
exec.parameter @p tensor map bf16 rows [4] inner [20] from ["a"] accepts [bf16] dequantised by ["s"] accepts [f32] block [128, 128]

// -----

// expected-error @+1 {{needs a scale tensor for each part, a dtype of it and a block of rows and columns}}
exec.parameter @p tensor copy bf16 rows [4] inner [20] from ["a"] accepts [f8E4M3FN] dequantised by ["s", "t"] accepts [f32] block [128, 128]

// -----

// expected-error @+1 {{needs a scale tensor for each part}}
exec.parameter @p tensor copy bf16 rows [4] inner [20] from ["a"] accepts [f8E4M3FN] dequantised by ["s"] accepts [f32] block [128, 0]

// -----

// expected-error @+1 {{has a pitch of 64 bytes, expected a multiple of 16 that holds a row}}
exec.state @kv paged_cache row 36 of bf16 pitch 64

// -----

// expected-error @+1 {{buffer takes a positive number of bytes}}
exec.state @hidden buffer bytes 64 pitch 64

// -----

exec.func @f() states() {
  // expected-error @+1 {{has an empty op}}
  exec.launch @k items 1 () op ""
}

// -----

// Members are of something.
exec.func @f() states() {
  // expected-error @+1 {{has members but no op that they were fused into}}
  exec.launch @k items 1 () members ["moe_layer.mla"]
}

// -----

exec.func @f() states() {
  // expected-error @+1 {{has the member 'moe_layer.mla', expected names, each once}}
  exec.launch @k items 1 () op "moe_layer.mla" members ["moe_layer.mla", "moe_layer.mla"]
}

// -----

exec.func @f() states() {
  // expected-error @+1 {{has an empty list of members}}
  exec.launch @k items 1 () op "moe_layer.mla" members []
}
