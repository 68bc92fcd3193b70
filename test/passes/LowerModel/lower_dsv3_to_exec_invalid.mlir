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
