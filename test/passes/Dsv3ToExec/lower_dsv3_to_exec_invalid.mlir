// RUN: hadal-opt %s --allow-unregistered-dialect --hadal-lower-dsv3-to-exec -split-input-file -verify-diagnostics

// The facts of the model are needed.
// expected-error @+1 {{module has no 'dsv3.model' attribute}}
module {}

// -----

// All of them.
// expected-error @+1 {{'dsv3.model' lacks the number 'page_size'}}
module attributes {dsv3.model = {num_experts_per_token = 0 : i64, max_seq_len = 64 : i64, max_batch_size = 1 : i64}} {}

// -----

// expected-error @+1 {{'dsv3.model' lacks 'activations'}}
module attributes {dsv3.model = {num_experts_per_token = 0 : i64, max_seq_len = 64 : i64, max_batch_size = 1 : i64, page_size = 64 : i64, hidden_size = 64 : i64}} {}

// -----

// Functions belong to buckets.
module attributes {dsv3.model = {num_experts_per_token = 0 : i64, max_seq_len = 64 : i64, max_batch_size = 1 : i64, page_size = 64 : i64, hidden_size = 64 : i64, activations = "bf16"}} {
  // expected-error @+1 {{function 'forward' has no bucket}}
  func.func @forward() { return }
}

// -----

// A head alone has nothing to read.
// expected-error @+1 {{no bucket of decode or prefill}}
module attributes {dsv3.model = {num_experts_per_token = 0 : i64, max_seq_len = 64 : i64, max_batch_size = 1 : i64, page_size = 64 : i64, hidden_size = 64 : i64, activations = "bf16"}} {}

// -----

// Only operations that are one kernel.
#tokens = #dsv3.layout<[tokens]>
module attributes {dsv3.model = {num_experts_per_token = 0 : i64, max_seq_len = 64 : i64, max_batch_size = 1 : i64, page_size = 64 : i64, hidden_size = 64 : i64, activations = "bf16"}} {
  dsv3.parameter @table : tensor<8x64xbf16> from ["t"] accepts [bf16] place map
  dsv3.parameter @w : tensor<64xf32> from ["w"] accepts [f32] place copy
  func.func @forward(%tokens: tensor<?xi32, #tokens>, %batch: !dsv3.batch) -> tensor<?x64xbf16, #tokens> attributes {dsv3.attention = "absorbed", dsv3.bucket = #dsv3.bucket<decode tokens 1 rows 1 queries 1>} {
    %t = dsv3.get_parameter @table : tensor<8x64xbf16>
    %w = dsv3.get_parameter @w : tensor<64xf32>
    %0 = dsv3.embed %tokens, %t : (tensor<?xi32, #tokens>, tensor<8x64xbf16>) -> tensor<?x64xbf16, #tokens>
    // expected-error @+1 {{'dsv3.rms_norm' is not one kernel; run the fusion passes first}}
    %1 = dsv3.rms_norm %0, %w eps 1.0e-6 : (tensor<?x64xbf16, #tokens>, tensor<64xf32>) -> tensor<?x64xbf16, #tokens>
    return %1 : tensor<?x64xbf16, #tokens>
  }
}

// -----

// A layer updates the residual stream in place: nobody may read what it was.
#tokens = #dsv3.layout<[tokens]>
module attributes {dsv3.model = {num_experts_per_token = 0 : i64, max_seq_len = 64 : i64, max_batch_size = 1 : i64, page_size = 64 : i64, hidden_size = 64 : i64, activations = "bf16"}} {
  func.func private @layer(%x: tensor<?x64xbf16, #tokens>) -> tensor<?x64xbf16, #tokens> attributes {dsv3.bucket = #dsv3.bucket<decode tokens 1 rows 1 queries 1>} {
    // expected-error @+1 {{reads the residual stream after 'dsv3.add' has overwritten it}}
    %0 = dsv3.add %x, %x : tensor<?x64xbf16, #tokens>
    return %0 : tensor<?x64xbf16, #tokens>
  }
  func.func @forward(%tokens: tensor<?xi32, #tokens>, %batch: !dsv3.batch) -> tensor<?x64xbf16, #tokens> attributes {dsv3.attention = "absorbed", dsv3.bucket = #dsv3.bucket<decode tokens 1 rows 1 queries 1>} {
    %0 = "test.source"() : () -> tensor<?x64xbf16, #tokens>
    %1 = func.call @layer(%0) : (tensor<?x64xbf16, #tokens>) -> tensor<?x64xbf16, #tokens>
    return %1 : tensor<?x64xbf16, #tokens>
  }
}

// -----

// The stream is one value: what else a layer reads is a parameter or a state.
#tokens = #dsv3.layout<[tokens]>
module attributes {dsv3.model = {num_experts_per_token = 2 : i64, max_seq_len = 64 : i64, max_batch_size = 1 : i64, page_size = 64 : i64, hidden_size = 64 : i64, activations = "bf16"}} {
  func.func private @layer(%x: tensor<?x64xbf16, #tokens>, %y: tensor<?x64xbf16, #tokens>) -> tensor<?x64xbf16, #tokens> attributes {dsv3.bucket = #dsv3.bucket<decode tokens 1 rows 1 queries 1>} {
    %0 = dsv3.add %x, %x : tensor<?x64xbf16, #tokens>
    %1 = dsv3.add %0, %0 : tensor<?x64xbf16, #tokens>
    return %1 : tensor<?x64xbf16, #tokens>
  }
  func.func @forward(%tokens: tensor<?xi32, #tokens>, %batch: !dsv3.batch) -> tensor<?x64xbf16, #tokens> attributes {dsv3.attention = "absorbed", dsv3.bucket = #dsv3.bucket<decode tokens 1 rows 1 queries 1>} {
    %0 = "test.source"() : () -> tensor<?x64xbf16, #tokens>
    // expected-error @+1 {{a layer takes one activation, the residual stream; found two}}
    %1 = func.call @layer(%0, %0) : (tensor<?x64xbf16, #tokens>, tensor<?x64xbf16, #tokens>) -> tensor<?x64xbf16, #tokens>
    return %1 : tensor<?x64xbf16, #tokens>
  }
}

// -----

// It keeps its type.
#tokens = #dsv3.layout<[tokens]>
module attributes {dsv3.model = {num_experts_per_token = 2 : i64, max_seq_len = 64 : i64, max_batch_size = 1 : i64, page_size = 64 : i64, hidden_size = 64 : i64, activations = "bf16"}} {
  dsv3.parameter @w : tensor<64x32xbf16> from ["w"] accepts [bf16] place map
  func.func private @layer(%x: tensor<?x32xbf16, #tokens>) -> tensor<?x64xbf16, #tokens> attributes {dsv3.bucket = #dsv3.bucket<decode tokens 1 rows 1 queries 1>} {
    %w = dsv3.get_parameter @w : tensor<64x32xbf16>
    %0 = dsv3.add %x, %x : tensor<?x32xbf16, #tokens>
    %1 = dsv3.linear %0, %w : (tensor<?x32xbf16, #tokens>, tensor<64x32xbf16>) -> tensor<?x64xbf16, #tokens>
    return %1 : tensor<?x64xbf16, #tokens>
  }
  func.func @forward(%tokens: tensor<?xi32, #tokens>, %batch: !dsv3.batch) -> tensor<?x64xbf16, #tokens> attributes {dsv3.attention = "absorbed", dsv3.bucket = #dsv3.bucket<decode tokens 1 rows 1 queries 1>} {
    %0 = "test.source"() : () -> tensor<?x32xbf16, #tokens>
    // expected-error @+1 {{a layer takes and returns the residual stream}}
    %1 = func.call @layer(%0) : (tensor<?x32xbf16, #tokens>) -> tensor<?x64xbf16, #tokens>
    return %1 : tensor<?x64xbf16, #tokens>
  }
}

// -----

// The caller may not keep the stream that it gave to a layer either.
#tokens = #dsv3.layout<[tokens]>
module attributes {dsv3.model = {num_experts_per_token = 2 : i64, max_seq_len = 64 : i64, max_batch_size = 1 : i64, page_size = 64 : i64, hidden_size = 64 : i64, activations = "bf16"}} {
  func.func private @layer(%x: tensor<?x64xbf16, #tokens>) -> tensor<?x64xbf16, #tokens> attributes {dsv3.bucket = #dsv3.bucket<decode tokens 1 rows 1 queries 1>} {
    %0 = dsv3.add %x, %x : tensor<?x64xbf16, #tokens>
    %1 = dsv3.add %0, %0 : tensor<?x64xbf16, #tokens>
    return %1 : tensor<?x64xbf16, #tokens>
  }
  func.func @forward(%tokens: tensor<?xi32, #tokens>, %batch: !dsv3.batch) -> tensor<?x64xbf16, #tokens> attributes {dsv3.attention = "absorbed", dsv3.bucket = #dsv3.bucket<decode tokens 1 rows 1 queries 1>} {
    %0 = "test.source"() : () -> tensor<?x64xbf16, #tokens>
    %1 = func.call @layer(%0) : (tensor<?x64xbf16, #tokens>) -> tensor<?x64xbf16, #tokens>
    // expected-error @+1 {{reads the residual stream after a layer has overwritten it}}
    "test.use"(%0) : (tensor<?x64xbf16, #tokens>) -> ()
    return %1 : tensor<?x64xbf16, #tokens>
  }
}

// -----

// The caller of an entry waits for one value.
#tokens = #dsv3.layout<[tokens]>
module attributes {dsv3.model = {num_experts_per_token = 2 : i64, max_seq_len = 64 : i64, max_batch_size = 1 : i64, page_size = 64 : i64, hidden_size = 64 : i64, activations = "bf16"}} {
  func.func @forward(%tokens: tensor<?xi32, #tokens>, %batch: !dsv3.batch) -> (tensor<?x64xbf16, #tokens>, tensor<?x64xbf16, #tokens>) attributes {dsv3.attention = "absorbed", dsv3.bucket = #dsv3.bucket<decode tokens 1 rows 1 queries 1>} {
    %0 = "test.source"() : () -> tensor<?x64xbf16, #tokens>
    // expected-error @+1 {{a function of a bucket returns one value}}
    return %0, %0 : tensor<?x64xbf16, #tokens>, tensor<?x64xbf16, #tokens>
  }
}

// -----

// A function that only passes the stream on has no last writer.
#tokens = #dsv3.layout<[tokens]>
module attributes {dsv3.model = {num_experts_per_token = 2 : i64, max_seq_len = 64 : i64, max_batch_size = 1 : i64, page_size = 64 : i64, hidden_size = 64 : i64, activations = "bf16"}} {
  func.func @forward(%x: tensor<?x64xbf16, #tokens>, %batch: !dsv3.batch) -> tensor<?x64xbf16, #tokens> attributes {dsv3.attention = "absorbed", dsv3.bucket = #dsv3.bucket<decode tokens 1 rows 1 queries 1>} {
    // expected-error @+1 {{a function of a bucket computes what it returns}}
    return %x : tensor<?x64xbf16, #tokens>
  }
}

// -----

// The host knows the tokens, the logit rows and the hidden state.
#tokens = #dsv3.layout<[tokens]>
module attributes {dsv3.model = {num_experts_per_token = 2 : i64, max_seq_len = 64 : i64, max_batch_size = 1 : i64, page_size = 64 : i64, hidden_size = 64 : i64, activations = "bf16"}} {
  // expected-error @+1 {{argument 0 of an entry is neither an input nor the hidden state}}
  func.func @forward(%x: tensor<4x64xbf16>, %batch: !dsv3.batch) -> tensor<?x64xbf16, #tokens> attributes {dsv3.attention = "absorbed", dsv3.bucket = #dsv3.bucket<decode tokens 1 rows 1 queries 1>} {
    %0 = "test.source"() : () -> tensor<?x64xbf16, #tokens>
    return %0 : tensor<?x64xbf16, #tokens>
  }
}

// -----

// The kernel that joins experts adds the residual stream too.
#tokens = #dsv3.layout<[tokens]>
module attributes {dsv3.model = {num_experts_per_token = 2 : i64, max_seq_len = 64 : i64, max_batch_size = 1 : i64, page_size = 64 : i64, hidden_size = 64 : i64, activations = "bf16"}} {
  func.func @forward(%r: tensor<?x64xbf16, #dsv3.layout<[routed]>>, %p: tensor<?x2xi32, #tokens>, %w: tensor<?x2xf32, #tokens>, %batch: !dsv3.batch) -> tensor<?x64xbf16, #tokens> attributes {dsv3.attention = "absorbed", dsv3.bucket = #dsv3.bucket<decode tokens 1 rows 1 queries 1>} {
    // expected-error @+1 {{the kernel adds a residual, which is missing; run the fusion passes}}
    %0 = dsv3.moe_combine %r at %p weighted %w : (tensor<?x64xbf16, #dsv3.layout<[routed]>>, tensor<?x2xi32, #tokens>, tensor<?x2xf32, #tokens>) -> tensor<?x64xbf16, #tokens>
    return %0 : tensor<?x64xbf16, #tokens>
  }
}

// -----

// The query norm leaves its kernel as it is or as codes.
#tokens = #dsv3.layout<[tokens]>
module attributes {dsv3.model = {num_experts_per_token = 2 : i64, max_seq_len = 64 : i64, max_batch_size = 1 : i64, page_size = 64 : i64, hidden_size = 64 : i64, activations = "bf16"}} {
  dsv3.state @kv : !dsv3.cache<128 + 4 x bf16>
  dsv3.parameter @q : tensor<124xf32> from ["q"] accepts [f32] place copy
  dsv3.parameter @k : tensor<128xf32> from ["k"] accepts [f32] place copy
  dsv3.rope_table @rope : tensor<16x2x2xf32> inv_freq [1.0, 0.5] scale 1.0
  func.func @forward(%x: tensor<?x256xbf16, #tokens>, %batch: !dsv3.batch) -> tensor<?x124xbf16, #tokens> attributes {dsv3.attention = "absorbed", dsv3.bucket = #dsv3.bucket<decode tokens 1 rows 1 queries 1>} {
    %c = dsv3.get_state @kv : !dsv3.cache<128 + 4 x bf16>
    %q = dsv3.get_parameter @q : tensor<124xf32>
    %k = dsv3.get_parameter @k : tensor<128xf32>
    %t = dsv3.get_parameter @rope : tensor<16x2x2xf32>
    // expected-error @+1 {{the kernel gives the query norm either as it is or quantised, not both}}
    %n, %codes = dsv3.latent_norm_rope_cache %x query %q latent %k rope %t, %batch to %c eps 0.5 floor 1.0e-4 : tensor<?x256xbf16, #tokens>, tensor<124xf32>, tensor<128xf32>, tensor<16x2x2xf32>, !dsv3.batch, !dsv3.cache<128 + 4 x bf16> norm tensor<?x124xbf16, #tokens> quantized tensor<?x124xf8E4M3FN, #dsv3.layout<[tokens], scale = <1x128, f32, k>>>
    return %n : tensor<?x124xbf16, #tokens>
  }
}

// -----

// A collective sends what a kernel beside it computes.
#tokens = #dsv3.layout<[tokens]>
module attributes {dsv3.mesh = #dsv3.mesh<tp 1, dp 2, ep 2, node 8, slots 2>, dsv3.model = {num_experts = 4 : i64, num_experts_per_token = 2 : i64, max_seq_len = 64 : i64, max_batch_size = 1 : i64, page_size = 64 : i64, hidden_size = 64 : i64, activations = "bf16"}} {
  dsv3.parameter @table : tensor<8x64xbf16> from ["t"] accepts [bf16] place map
  func.func @forward(%tokens: tensor<?xi32, #tokens>, %batch: !dsv3.batch) -> tensor<?x64xbf16, #tokens> attributes {dsv3.attention = "absorbed", dsv3.bucket = #dsv3.bucket<decode tokens 1 rows 1 queries 1 capacity 1 pairs 2 rung worst>} {
    %t = dsv3.get_parameter @table : tensor<8x64xbf16>
    // expected-error @+1 {{part 0 is not what a kernel of this function computes}}
    %p = dsv3.start all_to_all over ep (%tokens) label "x" : (tensor<?xi32, #tokens>) -> !dsv3.pending<tensor<?xi32, #tokens>>
    %0 = dsv3.embed %tokens, %t : (tensor<?xi32, #tokens>, tensor<8x64xbf16>) -> tensor<?x64xbf16, #tokens>
    return %0 : tensor<?x64xbf16, #tokens>
  }
}

// -----

// Of what is sent, each rank gets a block.
#tokens = #dsv3.layout<[tokens]>
#slice = #dsv3.layout<[slice]>
module attributes {dsv3.mesh = #dsv3.mesh<tp 2, dp 1, ep 1, node 8, slots 0>, dsv3.model = {num_experts = 0 : i64, num_experts_per_token = 0 : i64, max_seq_len = 64 : i64, max_batch_size = 4 : i64, page_size = 64 : i64, hidden_size = 64 : i64, activations = "bf16"}} {
  dsv3.parameter @table : tensor<8x64xbf16> from ["t"] accepts [bf16] place map
  func.func @forward(%tokens: tensor<?xi32, #tokens>, %batch: !dsv3.batch) -> tensor<?x64xbf16, #tokens> attributes {dsv3.attention = "absorbed", dsv3.bucket = #dsv3.bucket<decode tokens 3 rows 3 queries 1>} {
    %t = dsv3.get_parameter @table : tensor<8x64xbf16>
    %0 = dsv3.embed %tokens, %t : (tensor<?xi32, #tokens>, tensor<8x64xbf16>) -> tensor<?x64xbf16, #tokens>
    %1 = dsv3.add %0, %0 : tensor<?x64xbf16, #tokens>
    // expected-error @+1 {{has a part of 3 rows, not a block for each of 2 ranks}}
    %p = dsv3.start reduce_scatter over tp (%0) label "x" : (tensor<?x64xbf16, #tokens>) -> !dsv3.pending<tensor<?x64xbf16, #slice>>
    %s = dsv3.await %p : !dsv3.pending<tensor<?x64xbf16, #slice>> -> tensor<?x64xbf16, #slice>
    return %1 : tensor<?x64xbf16, #tokens>
  }
}
