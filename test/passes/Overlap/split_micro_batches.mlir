// A bucket of an even number of tokens gets the functions of half of it.
// RUN: hadal-opt %s --hadal-split-micro-batches=capacity=2 2>/dev/null | FileCheck %s
// RUN: hadal-opt %s --hadal-split-micro-batches=least-prefill=8 2>/dev/null | FileCheck %s --check-prefix=PREFILL
// RUN: sed "s/tp 1, dp 4/tp 2, dp 2/" %s | hadal-opt --hadal-split-micro-batches 2>&1 | FileCheck %s --check-prefix=TP --implicit-check-not=_x2

#tokens = #dsv3.layout<[tokens]>
#received = #dsv3.layout<[received]>
!x = tensor<?x4xbf16, #tokens>
!r = tensor<?x4xbf16, #received>

// CHECK: dsv3.remarks = ["decode_3: one micro-batch: its tokens are an odd number", "prefill_8: one micro-batch: it has fewer than 256 tokens"]
// TP: dsv3.remarks = ["decode_8: one micro-batch: ranks share heads (--tp)"
module attributes {dsv3.mesh = #dsv3.mesh<tp 1, dp 4, ep 4, node 8, slots 8>,
    dsv3.model = {num_experts_per_token = 2 : i64, num_moe_layers = 3 : i64}} {
func.func private @layer_decode_8(%x: !x, %r: !r) -> !x attributes {dsv3.bucket = #dsv3.bucket<decode tokens 8 rows 8 queries 1 capacity 8 pairs 16 rung worst>} {
  %p = dsv3.start all_to_all over ep(%r) label "dispatch" : (!r) -> !dsv3.pending<!r>
  %g = dsv3.await %p : !dsv3.pending<!r> -> !r
  %y = dsv3.add %x, %x : !x
  return %y : !x
}
func.func @forward_decode_8(%x: !x, %r: !r) -> !x attributes {dsv3.bucket = #dsv3.bucket<decode tokens 8 rows 8 queries 1 capacity 8 pairs 16 rung worst>} {
  %0 = call @layer_decode_8(%x, %r) : (!x, !r) -> !x
  return %0 : !x
}
func.func private @layer_decode_3(%x: !x, %r: !r) -> !x attributes {dsv3.bucket = #dsv3.bucket<decode tokens 3 rows 3 queries 1 capacity 3 pairs 6 rung worst>} {
  %p = dsv3.start all_to_all over ep(%r) label "dispatch" : (!r) -> !dsv3.pending<!r>
  %g = dsv3.await %p : !dsv3.pending<!r> -> !r
  %y = dsv3.add %x, %x : !x
  return %y : !x
}
func.func @forward_decode_3(%x: !x, %r: !r) -> !x attributes {dsv3.bucket = #dsv3.bucket<decode tokens 3 rows 3 queries 1 capacity 3 pairs 6 rung worst>} {
  %0 = call @layer_decode_3(%x, %r) : (!x, !r) -> !x
  return %0 : !x
}
func.func private @layer_prefill_8(%x: !x, %r: !r) -> !x attributes {dsv3.bucket = #dsv3.bucket<prefill tokens 8 rows 3 queries 8 capacity 8 pairs 16 rung worst>} {
  %p = dsv3.start all_to_all over ep(%r) label "dispatch" : (!r) -> !dsv3.pending<!r>
  %g = dsv3.await %p : !dsv3.pending<!r> -> !r
  %y = dsv3.add %x, %x : !x
  return %y : !x
}
func.func @forward_prefill_8(%x: !x, %r: !r) -> !x attributes {dsv3.bucket = #dsv3.bucket<prefill tokens 8 rows 3 queries 8 capacity 8 pairs 16 rung worst>} {
  %0 = call @layer_prefill_8(%x, %r) : (!x, !r) -> !x
  return %0 : !x
}

// Both rungs of its own size, the functions of one micro-batch.
// CHECK: func.func private @layer_decode_8_x2(
// CHECK-SAME: dsv3.bucket = #dsv3.bucket<decode tokens 4 rows 4 queries 1 capacity 2 pairs {{[0-9]+}} rung expected>, dsv3.micro_batches = 2 : i64
// CHECK: func.func @forward_decode_8_x2(
// CHECK: call @layer_decode_8_x2(
// CHECK: func.func private @layer_decode_8_x2_worst(
// CHECK-SAME: dsv3.bucket = #dsv3.bucket<decode tokens 4 rows 4 queries 1 capacity 4 pairs 8 rung worst>, dsv3.micro_batches = 2 : i64
// CHECK: func.func @forward_decode_8_x2_worst(
// CHECK: call @layer_decode_8_x2_worst(
// CHECK-NOT: func.func {{.*}}prefill_8_x2

// The rows of a prefill that cannot be halved are one more.
// PREFILL: func.func @forward_prefill_8_x2(
// PREFILL-SAME: dsv3.bucket = #dsv3.bucket<prefill tokens 4 rows 2 queries 4 capacity 4 pairs 8 rung worst>
}
