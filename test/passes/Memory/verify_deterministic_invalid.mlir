// RUN: hadal-opt %s --hadal-verify-exec -split-input-file -verify-diagnostics

// Prompt and decode add in orders of their own.
module attributes {exec.model = {deterministic}} {
exec.state @hidden buffer bytes 512
tile.kernel @gemm(%x: !tile.view<?x64xbf16>, %w: !tile.view<64x64xbf16>, %y: !tile.view<?x64xbf16>, %sz: !tile.sizes)
    domain(%m = ? by 1 in tokens) spec gemm {act = "bf16", epilogue = "none", experts = 0 : i64, f32_output = false, gather = false, head_dim = 0 : i64, k = 64 : i64, logit_rows = false, n = 64 : i64, positions = 0 : i64, quantized_input = false, rope_dim = 0 : i64, rows = 4 : i64, scale_format = "f32", segment_rows = 0 : i64, sums = "rows", topk = 0.0, weight = "bf16"} {
}
exec.entry @prefill_4 prefill tokens 4 rows 1 queries 4 attention "absorbed" arena 1024 {
  %sizes = exec.input sizes
  %hidden = exec.get_state @hidden
  // expected-error @+1 {{of entry 'prefill_4' of a deterministic program: kernel 'gemm' adds in the order 'rows', expected 'panel'}}
  exec.launch @gemm items 4 (%hidden, 4, %hidden, %hidden, 4, %sizes)
}
}

// -----

// A kernel that may add in any order.
module attributes {exec.model = {deterministic}} {
exec.state @hidden buffer bytes 512
tile.kernel @gemm(%x: !tile.view<?x64xbf16>, %w: !tile.view<64x64xbf16>, %y: !tile.view<?x64xbf16>, %sz: !tile.sizes)
    domain(%m = ? by 1 in tokens) spec gemm {act = "bf16", epilogue = "none", experts = 0 : i64, f32_output = false, gather = false, head_dim = 0 : i64, k = 64 : i64, logit_rows = false, n = 64 : i64, positions = 0 : i64, quantized_input = false, rope_dim = 0 : i64, rows = 4 : i64, scale_format = "f32", segment_rows = 0 : i64, topk = 0.0, weight = "bf16"} {
}
exec.func @layer() states(%hidden) {
  %sizes = exec.input sizes
  // expected-error @+1 {{of entry 'decode_4' of a deterministic program: kernel 'gemm' adds in the order 'free', expected 'rows'}}
  exec.launch @gemm items 4 (%hidden, 4, %hidden, %hidden, 4, %sizes)
}
exec.entry @decode_4 decode tokens 4 rows 4 queries 1 attention "absorbed" arena 1024 {
  %hidden = exec.get_state @hidden
  exec.call @layer () states (%hidden)
}
}

// -----

// One form of attention for a family.
module attributes {exec.model = {deterministic}} {
exec.entry @prefill_4 prefill tokens 4 rows 1 queries 4 attention "absorbed" arena 0 {
}
// expected-error @+1 {{entry 'prefill_8' of a deterministic program has expanded attention, 'prefill_4' absorbed; entries of a kind have one form}}
exec.entry @prefill_8 prefill tokens 8 rows 1 queries 8 attention "expanded" arena 0 {
}
}
