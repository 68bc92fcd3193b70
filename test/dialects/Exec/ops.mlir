// The exec dialect prints what it parses.
// RUN: hadal-opt %s | hadal-opt | FileCheck %s

// A parameter of each kind.
// CHECK: exec.parameter @o_proj tensor map f8E4M3FN rows [7168] inner [16384] from ["o.weight"] accepts [f8E4M3FN]
exec.parameter @o_proj tensor map f8E4M3FN rows [7168] inner [16384]
  from ["o.weight"] accepts [f8E4M3FN]
// CHECK: exec.parameter @gate stack of 256 map f8E4M3FN rows [2048] inner [7168] from ["experts.{e}.gate.weight"] accepts [f8E4M3FN]
exec.parameter @gate stack of 256 map f8E4M3FN rows [2048] inner [7168]
  from ["experts.{e}.gate.weight"] accepts [f8E4M3FN]
// CHECK: exec.parameter @qkv segments of 128 map bf16 rows [1536, 576] inner [7168] from ["q_a.weight", "kv_a.weight"] accepts [bf16]
exec.parameter @qkv segments of 128 map bf16 rows [1536, 576] inner [7168]
  from ["q_a.weight", "kv_a.weight"] accepts [bf16]
// CHECK: exec.parameter @bias tensor copy f32 rows [256] inner [] from ["bias"] accepts [f32, bf16] check finite
exec.parameter @bias tensor copy f32 rows [256] inner [] from ["bias"]
  accepts [f32, bf16] check finite
// CHECK: exec.parameter @kv_b tensor copy bf16 rows [640] inner [20] from ["kv_b"] accepts [f8E4M3FN] dequantised by ["kv_b_scale_inv"] accepts [f32, bf16] block [128, 128] pitch 48
exec.parameter @kv_b tensor copy bf16 rows [640] inner [20] from ["kv_b"]
  accepts [f8E4M3FN] dequantised by ["kv_b_scale_inv"] accepts [f32, bf16]
  block [128, 128] pitch 48
// CHECK: exec.rope_table @rope positions 4096 inv_freq [1.000000e+00, 1.000000e-01] scale 1.000000e+00
exec.rope_table @rope positions 4096 inv_freq [1.0, 0.1] scale 1.0

// A state of each kind.
// CHECK: exec.state @kv.0 paged_cache row 576 of bf16
exec.state @kv.0 paged_cache row 576 of bf16
// CHECK: exec.state @kv.1 paged_cache row 36 of bf16 pitch 80
exec.state @kv.1 paged_cache row 36 of bf16 pitch 80
// CHECK: exec.state @hidden buffer bytes 1024
exec.state @hidden buffer bytes 1024

tile.kernel @copy(%x: !tile.view<?x64xbf16>, %y: !tile.view<?x64xbf16>, %sz: !tile.sizes)
    domain(%m = ? by 1 in tokens) {
  %c0 = arith.constant 0 : index
  %t = tile.load %x[%m, %c0] : !tile.view<?x64xbf16> -> tensor<1x64xbf16>
  tile.store %y[%m, %c0], %t : !tile.view<?x64xbf16>, tensor<1x64xbf16>
}

// Arguments keep their names: they are for the reader.
// CHECK: exec.func @layer(%w) states(%hidden, %kv) {
exec.func @layer(%w) states(%hidden, %kv) {
  // CHECK: %sizes = exec.input sizes
  %sizes = exec.input sizes
  // CHECK: %norm = exec.buffer "norm" 512
  %b = exec.buffer "norm" 512
  // A number among references is an extent.
  // CHECK: exec.launch @copy items 4 (%hidden, 4, %norm, 4, %sizes)
  exec.launch @copy items 4 (%hidden, 4, %b, 4, %sizes)
  // CHECK: exec.launch @copy items 4 (%norm, 4, %hidden, 4, %sizes) stream 1
  exec.launch @copy items 4 (%b, 4, %hidden, 4, %sizes) stream 1
  // Which operation of the model it is, and what was fused into that.
  // CHECK: exec.launch @copy items 4 (%hidden, 4, %norm, 4, %sizes) op "dense_layer.mla"
  exec.launch @copy items 4 (%hidden, 4, %b, 4, %sizes) op "dense_layer.mla"
  // CHECK: exec.launch @copy items 4 (%norm, 4, %hidden, 4, %sizes) stream 1 op "moe_layer.gate_up" members ["moe_layer.gate_proj", "moe_layer.up_proj"]
  exec.launch @copy items 4 (%b, 4, %hidden, 4, %sizes) stream 1 op "moe_layer.gate_up" members ["moe_layer.gate_proj", "moe_layer.up_proj"]
}
// References are named for their symbols.
// CHECK: exec.entry @decode_4 decode tokens 4 rows 4 queries 1 attention "absorbed" arena 512 {
exec.entry @decode_4 decode tokens 4 rows 4 queries 1 attention "absorbed" arena 512 {
  // CHECK: %bias = exec.get_parameter @bias
  %0 = exec.get_parameter @bias
  // CHECK: %hidden = exec.get_state @hidden
  %1 = exec.get_state @hidden
  // CHECK: %kv.0 = exec.get_state @kv.0
  %2 = exec.get_state @kv.0
  // CHECK: exec.call @layer (%bias) states (%hidden, %kv.0)
  exec.call @layer (%0) states (%1, %2)
  // CHECK: exec.repeat 2 @layer (%bias, %bias) states (%hidden, %kv.0, %hidden, %kv.0)
  exec.repeat 2 @layer (%0, %0) states (%1, %2, %1, %2)
}
// CHECK: exec.entry @head_1 head logit_rows 1 {
exec.entry @head_1 head logit_rows 1 {
  // CHECK: %logits = exec.output logits
  %0 = exec.output logits
  // CHECK: exec.buffer "x" 64 at 128
  %1 = exec.buffer "x" 64 at 128
}
