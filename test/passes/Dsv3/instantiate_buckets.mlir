// RUN: hadal-opt %s --hadal-instantiate-buckets="max-batch-size=3" | FileCheck %s
// RUN: hadal-opt %s --hadal-instantiate-buckets="max-batch-size=2 decode=2 prefill=8 head=4,1" | FileCheck %s --check-prefix=GIVEN

// Decode buckets go up to the first that holds the batch; prefill buckets have
// room for all rows; each clone calls its bucket's layers.
// CHECK: func.func private @layer_decode_1() attributes {dsv3.bucket = #dsv3.bucket<decode tokens 1 rows 1 queries 1>}
// CHECK: func.func @forward_decode_1() attributes {dsv3.bucket = #dsv3.bucket<decode tokens 1 rows 1 queries 1>}
// CHECK-NEXT: call @layer_decode_1()
// CHECK: func.func @forward_decode_4() attributes {dsv3.bucket = #dsv3.bucket<decode tokens 4 rows 4 queries 1>}
// CHECK-NOT: decode_16
// CHECK: func.func @forward_prefill_64() attributes {dsv3.bucket = #dsv3.bucket<prefill tokens 64 rows 3 queries 64>}
// CHECK: func.func @forward_prefill_512() attributes {dsv3.bucket = #dsv3.bucket<prefill tokens 512 rows 3 queries 512>}
// CHECK-NEXT: call @layer_prefill_512()
// CHECK: func.func @head_1() attributes {dsv3.bucket = #dsv3.bucket<head logits 1>}
// CHECK: func.func @head_16()
// CHECK: func.func @head_64()
// CHECK-NOT: func.func

// Sizes as given, in ascending order.
// GIVEN: @forward_decode_2()
// GIVEN: @forward_prefill_8()
// GIVEN: @head_1()
// GIVEN: @head_4()
// GIVEN-NOT: func.func
func.func private @layer() { return }
func.func @forward() {
  call @layer() : () -> ()
  return
}
func.func @head() { return }
