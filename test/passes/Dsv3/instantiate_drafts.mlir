// RUN: hadal-opt %s --hadal-instantiate-buckets="max-batch-size=3 prefill=64" | FileCheck %s

// A layer that is only drafted with is not cloned for @forward, nor the reverse; a
// verification and its draft have equal extents; heads hold a row's logits.
// CHECK: func.func private @layer_decode_1()
// CHECK-NEXT: return
// CHECK-NEXT: }
// CHECK-NEXT: func.func @forward_decode_1()
// CHECK: func.func @forward_decode_4() attributes {dsv3.bucket = #dsv3.bucket<decode tokens 4 rows 4 queries 1>}
// CHECK: func.func @forward_decode_1x3() attributes {dsv3.bucket = #dsv3.bucket<decode tokens 3 rows 1 queries 3>}
// CHECK-NEXT: call @layer_decode_1x3()
// CHECK: func.func @forward_decode_4x3() attributes {dsv3.bucket = #dsv3.bucket<decode tokens 12 rows 4 queries 3>}
// CHECK: func.func @forward_prefill_64()
// CHECK: func.func @head_64()
// CHECK-NOT: @layer_
// CHECK: func.func private @other_draft_1x3()
// CHECK: func.func @draft_1x3() attributes {dsv3.bucket = #dsv3.bucket<draft tokens 3 rows 1 queries 3>}
// CHECK-NEXT: call @other_draft_1x3()
// CHECK: func.func @draft_next_1() attributes {dsv3.bucket = #dsv3.bucket<draft_next tokens 1 rows 1 queries 1>}
// CHECK-NEXT: call @other_draft_next_1()
// CHECK: func.func @draft_4x3() attributes {dsv3.bucket = #dsv3.bucket<draft tokens 12 rows 4 queries 3>}
// CHECK: func.func @draft_next_4() attributes {dsv3.bucket = #dsv3.bucket<draft_next tokens 4 rows 4 queries 1>}
// CHECK: func.func @draft_prefill_64() attributes {dsv3.bucket = #dsv3.bucket<draft_prefill tokens 64 rows 3 queries 64>}
// CHECK-NEXT: call @other_draft_prefill_64()
// CHECK: func.func @draft_head_1() attributes {dsv3.bucket = #dsv3.bucket<draft_head logits 1>}
// CHECK: func.func @draft_head_16()
// CHECK-NOT: func.func
module attributes {dsv3.model = {max_drafts = 2 : i64}} {
  func.func private @layer() { return }
  func.func private @other() { return }
  func.func @forward() {
    call @layer() : () -> ()
    return
  }
  func.func @head() { return }
  func.func @draft() {
    call @other() : () -> ()
    return
  }
  func.func @draft_head() { return }
  func.func @draft_next() {
    call @other() : () -> ()
    return
  }
}
