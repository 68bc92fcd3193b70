// Every operation prints what it parses.
// RUN: hadal-opt %s | hadal-opt | FileCheck %s
// RUN: hadal-opt %s --mlir-print-op-generic | hadal-opt | FileCheck %s

// Layouts have short names that say what they are.
// CHECK-DAG: #tokens = #dsv3.layout<[tokens]>
// CHECK-DAG: #fp8_tokens = #dsv3.layout<[tokens], scale = <1x128, f32, k>>
// CHECK-DAG: #ue8m0_tokens = #dsv3.layout<[tokens], scale = <1x128, ue8m0, k>>
// CHECK-DAG: #fp8_block = #dsv3.layout<scale = <128x128, f32, k>>
// CHECK-DAG: #fp8_stack = #dsv3.layout<stack, scale = <128x128, f32, k>>
// CHECK-DAG: #fp8_segments = #dsv3.layout<segments, scale = <128x128, f32, k>>
#tokens = #dsv3.layout<[tokens]>
#routed = #dsv3.layout<[routed]>
#logits = #dsv3.layout<[logits]>
#fp8_tokens = #dsv3.layout<[tokens], scale = <1x128, f32, k>>
#ue8m0_tokens = #dsv3.layout<[tokens], scale = <1x128, ue8m0, k>>
#fp8_block = #dsv3.layout<scale = <128x128, f32, k>>
#stack = #dsv3.layout<stack>
#fp8_stack = #dsv3.layout<stack, scale = <128x128, f32, k>>
#segments = #dsv3.layout<segments>
#fp8_segments = #dsv3.layout<segments, scale = <128x128, f32, k>>

// A parameter: one tensor, its scales, a stack, segments.
// CHECK: dsv3.parameter @w.scale : tensor<2x3xf32> from ["w.weight_scale_inv"] accepts [f32, bf16] place copy check non_negative
dsv3.parameter @w.scale : tensor<2x3xf32> from ["w.weight_scale_inv"] accepts [f32, bf16] place copy check non_negative
// CHECK: dsv3.parameter @w : tensor<200x300xf8E4M3FN, #fp8_block> from ["w.weight"] accepts [f8E4M3FN] place map scale @w.scale
dsv3.parameter @w : tensor<200x300xf8E4M3FN, #fp8_block> from ["w.weight"] accepts [f8E4M3FN] place map scale @w.scale
// CHECK: dsv3.parameter @experts : tensor<4x8x16xbf16, #stack> from ["e.{e}.weight"] accepts [bf16] place map
dsv3.parameter @experts : tensor<4x8x16xbf16, #stack> from ["e.{e}.weight"] accepts [bf16] place map
// CHECK: dsv3.parameter @qkv : tensor<192x16xbf16, #segments> from ["q", "kv"] rows [128, 64] accepts [bf16] place map
dsv3.parameter @qkv : tensor<192x16xbf16, #segments> from ["q", "kv"] rows [128, 64] accepts [bf16] place map
// CHECK: dsv3.rope_table @rope : tensor<16x2x2xf32> inv_freq [1.000000e+00, 5.000000e-01] scale 1.000000e+00
dsv3.rope_table @rope : tensor<16x2x2xf32> inv_freq [1.000000e+00, 5.000000e-01] scale 1.000000e+00
// CHECK: dsv3.state @kv.0 : !dsv3.cache<128 + 4 x bf16>
dsv3.state @kv.0 : !dsv3.cache<128 + 4 x bf16>
// CHECK: dsv3.state @load.0 : !dsv3.counts<4>
dsv3.state @load.0 : !dsv3.counts<4>

// Symbols are values where they are used; functions carry their bucket.
// CHECK-LABEL: func @symbols
// CHECK-SAME: dsv3.attention = "absorbed", dsv3.bucket = #dsv3.bucket<decode tokens 4 rows 4 queries 1>
func.func @symbols() attributes {dsv3.bucket = #dsv3.bucket<decode tokens 4 rows 4 queries 1>, dsv3.attention = "absorbed"} {
  // CHECK: dsv3.get_parameter @w : tensor<200x300xf8E4M3FN, #fp8_block>
  %w = dsv3.get_parameter @w : tensor<200x300xf8E4M3FN, #fp8_block>
  // CHECK: dsv3.get_parameter @rope : tensor<16x2x2xf32>
  %rope = dsv3.get_parameter @rope : tensor<16x2x2xf32>
  // CHECK: dsv3.get_state @kv.0 : !dsv3.cache<128 + 4 x bf16>
  %kv = dsv3.get_state @kv.0 : !dsv3.cache<128 + 4 x bf16>
  return
}

// CHECK: dsv3.bucket = #dsv3.bucket<head logits 16>
func.func private @head() attributes {dsv3.bucket = #dsv3.bucket<head logits 16>}

// Buckets of multi-token prediction.
// CHECK: dsv3.bucket = #dsv3.bucket<decode tokens 8 rows 4 queries 2>
func.func private @verify() attributes {dsv3.bucket = #dsv3.bucket<decode tokens 8 rows 4 queries 2>}
// CHECK: dsv3.bucket = #dsv3.bucket<draft tokens 8 rows 4 queries 2>
func.func private @draft() attributes {dsv3.bucket = #dsv3.bucket<draft tokens 8 rows 4 queries 2>}
// CHECK: dsv3.bucket = #dsv3.bucket<draft_next tokens 4 rows 4 queries 1>
func.func private @draft_next() attributes {dsv3.bucket = #dsv3.bucket<draft_next tokens 4 rows 4 queries 1>}
// CHECK: dsv3.bucket = #dsv3.bucket<draft_prefill tokens 64 rows 4 queries 64>
func.func private @draft_prefill() attributes {dsv3.bucket = #dsv3.bucket<draft_prefill tokens 64 rows 4 queries 64>}
// CHECK: dsv3.bucket = #dsv3.bucket<draft_head logits 4>
func.func private @draft_head() attributes {dsv3.bucket = #dsv3.bucket<draft_head logits 4>}

// CHECK-LABEL: func @mtp_input
func.func @mtp_input(%ids: tensor<?xi32, #tokens>, %table: tensor<32x256xbf16>, %w: tensor<256xf32>, %h: tensor<?x256xbf16, #tokens>) {
  // CHECK: dsv3.mtp_input %{{.*}}, %{{.*}}, %{{.*}}, %{{.*}} rows %{{.*}}, %{{.*}}, %{{.*}} eps 1.250000e-01 :
  %0 = dsv3.mtp_input %ids, %table, %w, %h rows %ids, %w, %w eps 0.125 : (tensor<?xi32, #tokens>, tensor<32x256xbf16>, tensor<256xf32>, tensor<?x256xbf16, #tokens>, tensor<?xi32, #tokens>, tensor<256xf32>, tensor<256xf32>) -> tensor<?x512xbf16, #tokens>
  return
}

// Operations of the frontend.
// CHECK-LABEL: func @model
func.func @model(%ids: tensor<?xi32, #tokens>, %table: tensor<32x256xbf16>, %x: tensor<?x256xbf16, #tokens>, %n: tensor<256xf32>, %w: tensor<64x256xbf16>, %batch: !dsv3.batch, %rope: tensor<16x2x2xf32>, %cache: !dsv3.cache<128 + 4 x bf16>, %wkv: tensor<48x128xbf16>, %counts: !dsv3.counts<4>, %bias: tensor<4xf32>, %experts: tensor<4x64x256xbf16, #stack>, %rows: tensor<?xi32, #logits>) {
  // CHECK: dsv3.embed %{{.*}}, %{{.*}} : (tensor<?xi32, #tokens>, tensor<32x256xbf16>) -> tensor<?x256xbf16, #tokens>
  %0 = dsv3.embed %ids, %table : (tensor<?xi32, #tokens>, tensor<32x256xbf16>) -> tensor<?x256xbf16, #tokens>
  // CHECK: dsv3.add %{{.*}}, %{{.*}} : tensor<?x256xbf16, #tokens>
  %1 = dsv3.add %0, %x : tensor<?x256xbf16, #tokens>
  // CHECK: dsv3.rms_norm %{{.*}}, %{{.*}} eps 1.250000e-01 :
  %2 = dsv3.rms_norm %1, %n eps 0.125 : (tensor<?x256xbf16, #tokens>, tensor<256xf32>) -> tensor<?x256xbf16, #tokens>
  // CHECK: dsv3.linear %{{.*}}, %{{.*}} : (tensor<?x256xbf16, #tokens>, tensor<64x256xbf16>) -> tensor<?x64xf32, #tokens>
  %3 = dsv3.linear %2, %w : (tensor<?x256xbf16, #tokens>, tensor<64x256xbf16>) -> tensor<?x64xf32, #tokens>
  // CHECK: dsv3.rope %{{.*}}, %{{.*}}, %{{.*}} heads 8 rope 4 :
  %4 = dsv3.rope %3, %rope, %batch heads 8 rope 4 : (tensor<?x64xf32, #tokens>, tensor<16x2x2xf32>, !dsv3.batch) -> tensor<?x64xf32, #tokens>
  // CHECK: dsv3.slice %{{.*}} at 128 : (tensor<?x256xbf16, #tokens>) -> tensor<?x4xbf16, #tokens>
  %5 = dsv3.slice %1 at 128 : (tensor<?x256xbf16, #tokens>) -> tensor<?x4xbf16, #tokens>
  %6 = dsv3.slice %1 at 0 : (tensor<?x256xbf16, #tokens>) -> tensor<?x128xbf16, #tokens>
  // CHECK: dsv3.append_latent %{{.*}}, %{{.*}}, %{{.*}} to %{{.*}} :
  dsv3.append_latent %6, %5, %batch to %cache : (tensor<?x128xbf16, #tokens>, tensor<?x4xbf16, #tokens>, !dsv3.batch, !dsv3.cache<128 + 4 x bf16>) -> ()
  %q = dsv3.slice %1 at 0 : (tensor<?x256xbf16, #tokens>) -> tensor<?x24xbf16, #tokens>
  // CHECK: dsv3.mla %{{.*}}, %{{.*}} over %{{.*}}, %{{.*}} heads 2 nope 8 value 16 scale 5.000000e-01 :
  %7 = dsv3.mla %q, %wkv over %cache, %batch heads 2 nope 8 value 16 scale 0.5 : (tensor<?x24xbf16, #tokens>, tensor<48x128xbf16>, !dsv3.cache<128 + 4 x bf16>, !dsv3.batch) -> tensor<?x32xbf16, #tokens>
  // CHECK: dsv3.attention_forms -> tensor<?x32xbf16, #tokens> absorbed(10) {
  // CHECK:   dsv3.yield
  // CHECK: } expanded(4, 100) {
  %8 = dsv3.attention_forms -> tensor<?x32xbf16, #tokens> absorbed(10) {
    dsv3.yield %7 : tensor<?x32xbf16, #tokens>
  } expanded(4, 100) {
    dsv3.yield %7 : tensor<?x32xbf16, #tokens>
  }
  // CHECK: dsv3.silu_mul %{{.*}}, %{{.*}} : tensor<?x64xf32, #tokens>
  %9 = dsv3.silu_mul %3, %4 : tensor<?x64xf32, #tokens>
  %logits = dsv3.slice %3 at 0 : (tensor<?x64xf32, #tokens>) -> tensor<?x4xf32, #tokens>
  // CHECK: dsv3.gate_topk %{{.*}} bias %{{.*}} top 2 groups 1 of 2 by top2_sum score sigmoid renormalize scale 2.500000e+00 : tensor<?x4xf32, #tokens>, tensor<4xf32> -> tensor<?x2xi32, #tokens>, tensor<?x2xf32, #tokens>
  %ids2, %weights = dsv3.gate_topk %logits bias %bias top 2 groups 1 of 2 by top2_sum score sigmoid renormalize scale 2.5 : tensor<?x4xf32, #tokens>, tensor<4xf32> -> tensor<?x2xi32, #tokens>, tensor<?x2xf32, #tokens>
  // CHECK: dsv3.gate_topk %{{.*}} top 2 groups 1 of 1 by max score softmax scale 1.000000e+00 : tensor<?x4xf32, #tokens> -> tensor<?x2xi32, #tokens>, tensor<?x2xf32, #tokens>
  %ids3, %weights3 = dsv3.gate_topk %logits top 2 groups 1 of 1 by max score softmax scale 1.0 : tensor<?x4xf32, #tokens> -> tensor<?x2xi32, #tokens>, tensor<?x2xf32, #tokens>
  // CHECK: dsv3.moe_permute %{{.*}}, %{{.*}} counting %{{.*}} :
  %source, %place, %begin = dsv3.moe_permute %ids2, %batch counting %counts : (tensor<?x2xi32, #tokens>, !dsv3.batch, !dsv3.counts<4>) -> (tensor<?xi32, #routed>, tensor<?x2xi32, #tokens>, tensor<5xi32>)
  // CHECK: dsv3.linear %{{.*}}, %{{.*}} experts(%{{.*}}) gather(%{{.*}}) :
  %10 = dsv3.linear %2, %experts experts(%begin) gather(%source) : (tensor<?x256xbf16, #tokens>, tensor<4x64x256xbf16, #stack>, tensor<5xi32>, tensor<?xi32, #routed>) -> tensor<?x64xbf16, #routed>
  // CHECK: dsv3.moe_combine %{{.*}} at %{{.*}} weighted %{{.*}} : (tensor<?x64xbf16, #routed>, tensor<?x2xi32, #tokens>, tensor<?x2xf32, #tokens>) -> tensor<?x64xbf16, #tokens>
  %11 = dsv3.moe_combine %10 at %place weighted %weights : (tensor<?x64xbf16, #routed>, tensor<?x2xi32, #tokens>, tensor<?x2xf32, #tokens>) -> tensor<?x64xbf16, #tokens>
  // CHECK: dsv3.moe_combine %{{.*}} at %{{.*}} weighted %{{.*}} shared %{{.*}} residual %{{.*}} :
  %12 = dsv3.moe_combine %10 at %place weighted %weights shared %11 residual %11 : (tensor<?x64xbf16, #routed>, tensor<?x2xi32, #tokens>, tensor<?x2xf32, #tokens>, tensor<?x64xbf16, #tokens>, tensor<?x64xbf16, #tokens>) -> tensor<?x64xbf16, #tokens>
  // CHECK: dsv3.gather_rows %{{.*}}, %{{.*}} :
  %13 = dsv3.gather_rows %2, %rows : (tensor<?x256xbf16, #tokens>, tensor<?xi32, #logits>) -> tensor<?x256xbf16, #logits>
  // CHECK: dsv3.quantize_tiles %{{.*}} floor 1.000000e-04 : (tensor<?x256xbf16, #tokens>) -> tensor<?x256xf8E4M3FN, #ue8m0_tokens>
  %14 = dsv3.quantize_tiles %2 floor 1.0e-4 : (tensor<?x256xbf16, #tokens>) -> tensor<?x256xf8E4M3FN, #ue8m0_tokens>
  return
}

// Fused operations.
// CHECK-LABEL: func @fused
func.func @fused(%x: tensor<?x256xbf16, #tokens>, %q8: tensor<?x256xf8E4M3FN, #fp8_tokens>, %n: tensor<256xf32>, %w8: tensor<200x256xf8E4M3FN, #fp8_block>, %seg: tensor<256x256xf8E4M3FN, #fp8_segments>, %batch: !dsv3.batch, %rope: tensor<16x2x2xf32>, %cache: !dsv3.cache<128 + 4 x bf16>, %nq: tensor<124xf32>, %nkv: tensor<128xf32>, %wkv: tensor<512x128xf8E4M3FN, #fp8_block>, %g: tensor<4x64x256xf8E4M3FN, #fp8_stack>, %begin: tensor<5xi32>, %source: tensor<?xi32, #routed>, %rows: tensor<?xi32, #logits>, %q: tensor<?x264xbf16, #tokens>, %r: tensor<?x200xbf16, #tokens>) {
  // CHECK: dsv3.norm_quant %{{.*}} plus %{{.*}}, %{{.*}} eps 5.000000e-01 floor 1.000000e-04 : tensor<?x256xbf16, #tokens>, tensor<?x256xbf16, #tokens>, tensor<256xf32> -> sum tensor<?x256xbf16, #tokens> norm tensor<?x256xbf16, #tokens> quantized tensor<?x256xf8E4M3FN, #fp8_tokens>
  %sum, %norm, %quant = dsv3.norm_quant %x plus %x, %n eps 0.5 floor 1.0e-4 : tensor<?x256xbf16, #tokens>, tensor<?x256xbf16, #tokens>, tensor<256xf32> -> sum tensor<?x256xbf16, #tokens> norm tensor<?x256xbf16, #tokens> quantized tensor<?x256xf8E4M3FN, #fp8_tokens>
  // CHECK: dsv3.norm_quant %{{.*}} gather %{{.*}}, %{{.*}} eps 5.000000e-01 : tensor<?x256xbf16, #tokens>, tensor<?xi32, #logits>, tensor<256xf32> -> norm tensor<?x256xbf16, #logits>
  %gathered = dsv3.norm_quant %x gather %rows, %n eps 0.5 : tensor<?x256xbf16, #tokens>, tensor<?xi32, #logits>, tensor<256xf32> -> norm tensor<?x256xbf16, #logits>
  // CHECK: dsv3.linear %{{.*}}, %{{.*}} : (tensor<?x256xf8E4M3FN, #fp8_tokens>, tensor<256x256xf8E4M3FN, #fp8_segments>)
  %0 = dsv3.linear %q8, %seg : (tensor<?x256xf8E4M3FN, #fp8_tokens>, tensor<256x256xf8E4M3FN, #fp8_segments>) -> tensor<?x256xbf16, #tokens>
  // CHECK: dsv3.linear %{{.*}}, %{{.*}} rope(%{{.*}}, %{{.*}}) heads 10 rope 4 :
  %1 = dsv3.linear %q8, %w8 rope(%rope, %batch) heads 10 rope 4 : (tensor<?x256xf8E4M3FN, #fp8_tokens>, tensor<200x256xf8E4M3FN, #fp8_block>, tensor<16x2x2xf32>, !dsv3.batch) -> tensor<?x200xbf16, #tokens>
  // CHECK: dsv3.linear %{{.*}}, %{{.*}} residual(%{{.*}}) :
  %2 = dsv3.linear %q8, %w8 residual(%r) : (tensor<?x256xf8E4M3FN, #fp8_tokens>, tensor<200x256xf8E4M3FN, #fp8_block>, tensor<?x200xbf16, #tokens>) -> tensor<?x200xbf16, #tokens>
  // CHECK: dsv3.latent_norm_rope_cache %{{.*}} query %{{.*}} latent %{{.*}} rope %{{.*}}, %{{.*}} to %{{.*}} eps 5.000000e-01 floor 1.000000e-04 : {{.*}} norm tensor<?x124xbf16, #tokens> quantized tensor<?x124xf8E4M3FN, #fp8_tokens>
  %cq, %cq8 = dsv3.latent_norm_rope_cache %x query %nq latent %nkv rope %rope, %batch to %cache eps 0.5 floor 1.0e-4 : tensor<?x256xbf16, #tokens>, tensor<124xf32>, tensor<128xf32>, tensor<16x2x2xf32>, !dsv3.batch, !dsv3.cache<128 + 4 x bf16> norm tensor<?x124xbf16, #tokens> quantized tensor<?x124xf8E4M3FN, #fp8_tokens>
  // CHECK: dsv3.gated_linear %{{.*}}, %{{.*}}, %{{.*}} experts(%{{.*}}) gather(%{{.*}}) floor 1.000000e-04 :
  %3 = dsv3.gated_linear %q8, %g, %g experts(%begin) gather(%source) floor 1.0e-4 : (tensor<?x256xf8E4M3FN, #fp8_tokens>, tensor<4x64x256xf8E4M3FN, #fp8_stack>, tensor<4x64x256xf8E4M3FN, #fp8_stack>, tensor<5xi32>, tensor<?xi32, #routed>) -> tensor<?x64xf8E4M3FN, #dsv3.layout<[routed], scale = <1x128, f32, k>>>
  // CHECK: dsv3.absorb_q %{{.*}}, %{{.*}} heads 2 nope 128 value 128 whole_blocks :
  %4 = dsv3.absorb_q %q, %wkv heads 2 nope 128 value 128 whole_blocks : (tensor<?x264xbf16, #tokens>, tensor<512x128xf8E4M3FN, #fp8_block>) -> tensor<?x264xbf16, #tokens>
  // CHECK: dsv3.mla_decode %{{.*}} over %{{.*}}, %{{.*}} heads 2 scale 5.000000e-01 :
  %5 = dsv3.mla_decode %4 over %cache, %batch heads 2 scale 0.5 : (tensor<?x264xbf16, #tokens>, !dsv3.cache<128 + 4 x bf16>, !dsv3.batch) -> tensor<?x256xbf16, #tokens>
  // CHECK: dsv3.absorb_v %{{.*}}, %{{.*}} heads 2 nope 128 value 128 whole_blocks floor 1.000000e-04 :
  %6 = dsv3.absorb_v %5, %wkv heads 2 nope 128 value 128 whole_blocks floor 1.0e-4 : (tensor<?x256xbf16, #tokens>, tensor<512x128xf8E4M3FN, #fp8_block>) -> tensor<?x256xf8E4M3FN, #fp8_tokens>
  // CHECK: dsv3.mla_prefill %{{.*}}, %{{.*}} over %{{.*}}, %{{.*}} heads 2 nope 128 value 128 scale 5.000000e-01 quantize_latent ue8m0 floor 1.000000e-04 :
  %7 = dsv3.mla_prefill %q, %wkv over %cache, %batch heads 2 nope 128 value 128 scale 0.5 quantize_latent ue8m0 floor 1.0e-4 : (tensor<?x264xbf16, #tokens>, tensor<512x128xf8E4M3FN, #fp8_block>, !dsv3.cache<128 + 4 x bf16>, !dsv3.batch) -> tensor<?x256xbf16, #tokens>
  return
}
