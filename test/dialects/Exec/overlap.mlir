// Two micro-batches: their inputs, their rows of a state, what functions hand over.
// RUN: hadal-opt %s | hadal-opt | FileCheck %s

exec.state @hidden buffer bytes 512
// CHECK: exec.func @layer() states(%hidden)
exec.func @layer() states(%hidden) {
  // CHECK: exec.at 256 of %hidden
  %second = exec.at 256 of %hidden
  // CHECK: exec.input sizes
  %sizes = exec.input sizes
  // CHECK: exec.input sizes at 128
  %sizes_1 = exec.input sizes at 128
  // CHECK: exec.buffer "norm" 256 carried "norm.0"
  %norm = exec.buffer "norm" 256 carried "norm.0"
  // CHECK: exec.buffer "send" 256 exchange carried "send.0" at 64
  %send = exec.buffer "send" 256 exchange carried "send.0" at 64
}
// CHECK: exec.entry @decode_4 decode tokens 4 rows 4 queries 1 attention "absorbed" rung worst capacity 4 pairs 8 overlap <kept step 2003000 to 1370000 exposed 916000 to 35000 because "it pays"> {
exec.entry @decode_4 decode tokens 4 rows 4 queries 1 attention "absorbed" rung worst capacity 4 pairs 8
  overlap <kept step 2003000 to 1370000 exposed 916000 to 35000 because "it pays"> {
  %hidden = exec.get_state @hidden
  // CHECK: exec.at 256 of %hidden
  %second = exec.at 256 of %hidden
}
// CHECK: exec.entry @decode_4_x2 decode tokens 4 rows 4 queries 1 attention "absorbed" rung worst capacity 2 pairs 4 micro_batches 2 overlap <forced step 0 to 0 exposed 0 to 0 because "asked for"> interleaving ["project.0", "project.1"] {
exec.entry @decode_4_x2 decode tokens 4 rows 4 queries 1 attention "absorbed" rung worst capacity 2 pairs 4
  micro_batches 2 overlap <forced step 0 to 0 exposed 0 to 0 because "asked for">
  interleaving ["project.0", "project.1"] {
}
