// RUN: hadal-opt %s --hadal-weave-micro-batches -split-input-file -verify-diagnostics

// Where its rows and pages are, the model says.
module attributes {exec.mesh = #exec.mesh<tp 1, dp 2, ep 2, node 8, slots 1>} {
// expected-error @+1 {{H2001: micro-batches need 'exec.mesh' and of 'exec.model' activations, hidden_size and page_size}}
exec.entry @e decode tokens 4 rows 4 queries 1 attention "absorbed" rung worst capacity 2 pairs 2 micro_batches 2 interleaving [] {
}
}

// -----

module attributes {exec.mesh = #exec.mesh<tp 1, dp 2, ep 2, node 8, slots 1>, exec.model = {activations = "bf16", hidden_size = 64 : i64, max_seq_len = 64 : i64, page_size = 16 : i64}} {
// expected-error @+1 {{of micro-batches has no layer with collectives}}
exec.entry @e decode tokens 4 rows 4 queries 1 attention "absorbed" rung worst capacity 2 pairs 2 micro_batches 2 interleaving [] {
}
}

// -----

module attributes {exec.mesh = #exec.mesh<tp 1, dp 2, ep 2, node 8, slots 1>, exec.model = {activations = "bf16", hidden_size = 64 : i64, max_seq_len = 64 : i64, page_size = 16 : i64}} {
exec.entry @e decode tokens 4 rows 4 queries 1 attention "absorbed" rung worst capacity 2 pairs 2 micro_batches 2 interleaving [] {
  // expected-error @+1 {{is in an entry of micro-batches; its layers may have collectives, it may not}}
  exec.record 0 stream 0
}
}

// -----

module attributes {exec.mesh = #exec.mesh<tp 1, dp 2, ep 2, node 8, slots 1>, exec.model = {activations = "bf16", hidden_size = 64 : i64, max_seq_len = 64 : i64, page_size = 16 : i64}} {
exec.func @inner() states() {
}
exec.func @layer() states() {
  // expected-error @+1 {{is in a function of an entry of micro-batches, which calls no other}}
  exec.call @inner () states ()
}
exec.entry @e decode tokens 4 rows 4 queries 1 attention "absorbed" rung worst capacity 2 pairs 2 micro_batches 2 interleaving [] {
  exec.call @layer () states ()
}
}

// -----

module attributes {exec.mesh = #exec.mesh<tp 1, dp 2, ep 2, node 8, slots 1>, exec.model = {activations = "bf16", hidden_size = 64 : i64, max_seq_len = 64 : i64, page_size = 16 : i64}} {
exec.communicator @ep axis ep size 2
exec.func @other() states() {
}
exec.func @layer() states() {
  %a = exec.buffer "a" 512 exchange
  %b = exec.buffer "b" 512 exchange
  exec.collective @ep all_to_all [(%a, %b, 2 x 128)] label "dispatch" stream 1
  exec.record 0 stream 1
  exec.wait 0 stream 0
}
exec.entry @e decode tokens 4 rows 4 queries 1 attention "absorbed" rung worst capacity 2 pairs 2 micro_batches 2 interleaving [] {
  // expected-error @-1 {{interleaving of 'layer': micro-batch 0 has 0 stages, the layer 2}}
  exec.call @layer () states ()
}
}

// -----

// A layer that two runs share would be woven twice.
module attributes {exec.mesh = #exec.mesh<tp 1, dp 2, ep 2, node 8, slots 1>, exec.model = {activations = "bf16", hidden_size = 64 : i64, max_seq_len = 64 : i64, page_size = 16 : i64}} {
exec.communicator @ep axis ep size 2
exec.func @other() states() {
}
exec.func @layer() states() {
  %a = exec.buffer "a" 512 exchange
  %b = exec.buffer "b" 512 exchange
  exec.collective @ep all_to_all [(%a, %b, 2 x 128)] label "dispatch" stream 1
  exec.record 0 stream 1
  exec.wait 0 stream 0
}
exec.entry @e decode tokens 4 rows 4 queries 1 attention "absorbed" rung worst capacity 2 pairs 2 micro_batches 2
    interleaving ["project.0", "project.1", "after_dispatch.0", "after_dispatch.1"] {
  exec.call @layer () states ()
  exec.call @other () states ()
  // expected-error @+1 {{calls 'layer' again; its layers must be one run}}
  exec.call @layer () states ()
}
}
