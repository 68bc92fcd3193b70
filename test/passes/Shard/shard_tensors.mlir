// Heads and tokens of a layer are shared by two ranks: what ShardLayers makes, all
// conversions where operations need other rows than there are.
// RUN: hadal-opt %s --hadal-shard-layers --hadal-verify-dsv3=stage=sharded | FileCheck %s
// RUN: hadal-opt %s --hadal-shard-layers --hadal-elide-collectives --hadal-verify-dsv3=stage=sharded | FileCheck %s --check-prefix=ELIDED
// RUN: hadal-opt %s --hadal-shard-layers=reduce=f32 --hadal-verify-dsv3=stage=sharded | FileCheck %s --check-prefix=F32
// RUN: hadal-opt %s --hadal-shard-layers=vocab=tp --hadal-verify-dsv3=stage=sharded | FileCheck %s --check-prefix=VOCAB

#tokens = #dsv3.layout<[tokens]>
#fp8_block = #dsv3.layout<scale = <128x128, f32, k>>
!x = tensor<?x512xbf16, #tokens>
!qb = tensor<512x128xf8E4M3FN, #fp8_block>
!kvb = tensor<512x128xf8E4M3FN, #fp8_block>
!o = tensor<512x256xf8E4M3FN, #fp8_block>
!ids = tensor<?xi32, #tokens>
!logits = tensor<?x32xf32, #dsv3.layout<[logits]>>
!rows = tensor<?xi32, #dsv3.layout<[logits]>>
#bucket = #dsv3.bucket<decode tokens 4 rows 4 queries 1>

// Rows of the heads' weights, columns of the output's, and their scales; a mapped
// weight whose columns are split is copied.
module attributes {dsv3.mesh = #dsv3.mesh<tp 2, dp 1, ep 1, node 8, slots 0>} {
// CHECK: dsv3.parameter @l.q_b.scale : tensor<2x1xf32> {{.*}} split <rows by tp of 1>
// CHECK: dsv3.parameter @l.q_b : tensor<256x128xf8E4M3FN, #fp8_block> {{.*}} place map {{.*}} split <rows by tp of 128>
// CHECK: dsv3.parameter @l.kv_b : tensor<256x128xf8E4M3FN, #fp8_block> {{.*}} split <rows by tp of 128>
// CHECK: dsv3.parameter @l.o.scale : tensor<4x1xf32> {{.*}} split <cols by tp of 1>
// CHECK: dsv3.parameter @l.o : tensor<512x128xf8E4M3FN, #fp8_block> {{.*}} place copy {{.*}} split <cols by tp of 64>
// CHECK: dsv3.parameter @lm_head : tensor<32x512xbf16> {{.*}} place map{{$}}
// VOCAB: dsv3.parameter @lm_head : tensor<16x512xbf16> {{.*}} split <rows by tp of 1>
dsv3.parameter @l.q_b.scale : tensor<4x1xf32> from ["q.s"] accepts [f32] place copy
dsv3.parameter @l.q_b : !qb from ["q"] accepts [f8E4M3FN] place map scale @l.q_b.scale
dsv3.parameter @l.kv_b.scale : tensor<4x1xf32> from ["kv.s"] accepts [f32] place copy
dsv3.parameter @l.kv_b : !kvb from ["kv"] accepts [f8E4M3FN] place map scale @l.kv_b.scale
dsv3.parameter @l.o.scale : tensor<4x2xf32> from ["o.s"] accepts [f32] place copy
dsv3.parameter @l.o : !o from ["o"] accepts [f8E4M3FN] place map scale @l.o.scale
dsv3.parameter @lm_head : tensor<32x512xbf16> from ["h"] accepts [bf16] place map
dsv3.state @kv.0 : !dsv3.cache<128 + 64 x bf16>

// The stream is the slice; attention gets all rows and has half of the heads; what
// it gives is summed over the ranks, of which each keeps its slice.
// CHECK-LABEL: func.func private @layer
// CHECK-SAME: %[[X:arg[0-9]+]]: tensor<?x512xbf16, #slice>
// CHECK: %[[ALL:.*]] = dsv3.all_gather %[[X]] over tp : (tensor<?x512xbf16, #slice>) -> tensor<?x512xbf16, #tokens>
// CHECK: %[[N:.*]] = dsv3.rms_norm %[[ALL]]
// CHECK: %[[KV:.*]] = dsv3.linear %[[N]], {{.*}} -> tensor<?x320xbf16, #tokens>
// CHECK: %[[Q:.*]] = dsv3.linear {{.*}} (tensor<?x128xbf16, #tokens>, tensor<256x128xf8E4M3FN, #fp8_block>) -> tensor<?x256xbf16, #tokens>
// CHECK: dsv3.rope %[[Q]], {{.*}} heads 2 rope 64
// CHECK: %[[A:.*]] = dsv3.mla {{.*}} heads 2 nope 64 value 64
// CHECK: %[[P:.*]] = dsv3.linear %[[A]], {{.*}} (tensor<?x128xbf16, #tokens>, tensor<512x128xf8E4M3FN, #fp8_block>) -> tensor<?x512xbf16, #tokens>
// CHECK-NEXT: %[[R:.*]] = dsv3.all_reduce %[[P]] over tp
// CHECK-NEXT: %[[S:.*]] = dsv3.take_slice %[[R]] : (tensor<?x512xbf16, #tokens>) -> tensor<?x512xbf16, #slice>
// CHECK-NEXT: dsv3.add %[[X]], %[[S]] : tensor<?x512xbf16, #slice>

// The input's norm and projection work on a slice; the rows that travel are those of
// the projection.
// ELIDED-LABEL: func.func private @layer
// ELIDED: %[[N:.*]] = dsv3.rms_norm %arg0, {{.*}} -> tensor<?x512xbf16, #slice>
// ELIDED-NEXT: %[[KV:.*]] = dsv3.linear %[[N]], {{.*}} -> tensor<?x320xbf16, #slice>
// ELIDED-NEXT: %[[ALL:.*]] = dsv3.all_gather %[[KV]] over tp : (tensor<?x320xbf16, #slice>) -> tensor<?x320xbf16, #tokens>
// ELIDED-NEXT: dsv3.slice %[[ALL]] at 0
// ELIDED: %[[S:.*]] = dsv3.reduce_scatter %{{.*}} over tp : (tensor<?x512xbf16, #tokens>) -> tensor<?x512xbf16, #slice>
// ELIDED-NEXT: dsv3.add %arg0, %[[S]]

// What is summed may be f32; the residual add rounds it.
// F32: %[[P:.*]] = dsv3.linear {{.*}} tensor<512x128xf8E4M3FN, #fp8_block>) -> tensor<?x512xf32, #tokens>
// F32-NEXT: %[[R:.*]] = dsv3.all_reduce %[[P]]
// F32-NEXT: %[[S:.*]] = dsv3.take_slice %[[R]] : (tensor<?x512xf32, #tokens>) -> tensor<?x512xf32, #slice>
// F32-NEXT: dsv3.add %arg0, %[[S]] : tensor<?x512xbf16, #slice>, tensor<?x512xf32, #slice>
func.func private @layer(%x: !x, %batch: !dsv3.batch, %table: tensor<64x32x2xf32>, %n1: tensor<512xf32>, %qkv: tensor<320x512xbf16>, %n2: tensor<128xf32>, %qb: !qb, %n3: tensor<128xf32>, %cache: !dsv3.cache<128 + 64 x bf16>, %kvb: !kvb, %o: !o) -> !x attributes {dsv3.bucket = #bucket} {
  %n = dsv3.rms_norm %x, %n1 eps 1.0e-06 : (!x, tensor<512xf32>) -> !x
  %a = dsv3.linear %n, %qkv : (!x, tensor<320x512xbf16>) -> tensor<?x320xbf16, #tokens>
  %qa = dsv3.slice %a at 0 : (tensor<?x320xbf16, #tokens>) -> tensor<?x128xbf16, #tokens>
  %qn = dsv3.rms_norm %qa, %n2 eps 1.0e-06 : (tensor<?x128xbf16, #tokens>, tensor<128xf32>) -> tensor<?x128xbf16, #tokens>
  %q = dsv3.linear %qn, %qb : (tensor<?x128xbf16, #tokens>, !qb) -> tensor<?x512xbf16, #tokens>
  %qr = dsv3.rope %q, %table, %batch heads 4 rope 64 : (tensor<?x512xbf16, #tokens>, tensor<64x32x2xf32>, !dsv3.batch) -> tensor<?x512xbf16, #tokens>
  %l = dsv3.slice %a at 128 : (tensor<?x320xbf16, #tokens>) -> tensor<?x128xbf16, #tokens>
  %ln = dsv3.rms_norm %l, %n3 eps 1.0e-06 : (tensor<?x128xbf16, #tokens>, tensor<128xf32>) -> tensor<?x128xbf16, #tokens>
  %k = dsv3.slice %a at 256 : (tensor<?x320xbf16, #tokens>) -> tensor<?x64xbf16, #tokens>
  %kr = dsv3.rope %k, %table, %batch heads 1 rope 64 : (tensor<?x64xbf16, #tokens>, tensor<64x32x2xf32>, !dsv3.batch) -> tensor<?x64xbf16, #tokens>
  dsv3.append_latent %ln, %kr, %batch to %cache : (tensor<?x128xbf16, #tokens>, tensor<?x64xbf16, #tokens>, !dsv3.batch, !dsv3.cache<128 + 64 x bf16>) -> ()
  %m = dsv3.mla %qr, %kvb over %cache, %batch heads 4 nope 64 value 64 scale 0.1 : (tensor<?x512xbf16, #tokens>, !kvb, !dsv3.cache<128 + 64 x bf16>, !dsv3.batch) -> tensor<?x256xbf16, #tokens>
  %p = dsv3.linear %m, %o : (tensor<?x256xbf16, #tokens>, !o) -> !x
  %r = dsv3.add %x, %p : !x
  return %r : !x
}

// Each rank embeds its tokens; the hidden state of all is gathered behind the last
// layer.
// CHECK-LABEL: func.func @forward(
// CHECK: %[[T:.*]] = dsv3.take_slice %arg0 : (tensor<?xi32, #tokens>) -> tensor<?xi32, #slice>
// CHECK-NEXT: %[[E:.*]] = dsv3.embed %[[T]], {{.*}} -> tensor<?x512xbf16, #slice>
// CHECK: %[[L:.*]] = call @layer(%[[E]],
// CHECK-NEXT: %[[H:.*]] = dsv3.all_gather %[[L]] over tp
// CHECK-NEXT: return %[[H]] : tensor<?x512xbf16, #tokens>
func.func @forward(%t: !ids, %batch: !dsv3.batch, %table: tensor<64x32x2xf32>, %n1: tensor<512xf32>, %qkv: tensor<320x512xbf16>, %n2: tensor<128xf32>, %e: tensor<32x512xbf16>) -> !x attributes {dsv3.bucket = #bucket} {
  %qb = dsv3.get_parameter @l.q_b : !qb
  %kvb = dsv3.get_parameter @l.kv_b : !kvb
  %o = dsv3.get_parameter @l.o : !o
  %c = dsv3.get_state @kv.0 : !dsv3.cache<128 + 64 x bf16>
  %x = dsv3.embed %t, %e : (!ids, tensor<32x512xbf16>) -> !x
  %y = call @layer(%x, %batch, %table, %n1, %qkv, %n2, %qb, %n2, %c, %kvb, %o) : (!x, !dsv3.batch, tensor<64x32x2xf32>, tensor<512xf32>, tensor<320x512xbf16>, tensor<128xf32>, !qb, tensor<128xf32>, !dsv3.cache<128 + 64 x bf16>, !kvb, !o) -> !x
  return %y : !x
}

// Every rank has all rows of logits: of its rows of the weight with vocab=tp, joined
// behind a gather.
// CHECK-LABEL: func.func @head(
// CHECK-NOT: all_gather
// VOCAB-LABEL: func.func @head(
// VOCAB: %[[L:.*]] = dsv3.linear {{.*}} -> tensor<?x16xf32, #logits>
// VOCAB-NEXT: %[[G:.*]] = dsv3.all_gather %[[L]] over tp : (tensor<?x16xf32, #logits>) -> tensor<?x16xf32, #gathered>
// VOCAB-NEXT: %[[J:.*]] = dsv3.join_columns %[[G]] : (tensor<?x16xf32, #gathered>) -> tensor<?x32xf32, #logits>
// VOCAB-NEXT: return %[[J]]
func.func @head(%h: !x, %rows: !rows) -> !logits attributes {dsv3.bucket = #dsv3.bucket<head logits 2>} {
  %w = dsv3.get_parameter @lm_head : tensor<32x512xbf16>
  %g = dsv3.gather_rows %h, %rows : (!x, !rows) -> tensor<?x512xbf16, #dsv3.layout<[logits]>>
  %l = dsv3.linear %g, %w : (tensor<?x512xbf16, #dsv3.layout<[logits]>>, tensor<32x512xbf16>) -> !logits
  return %l : !logits
}
}
