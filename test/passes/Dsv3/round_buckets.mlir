// Ranks that share tokens have equal slices: buckets are multiples of their number,
// of two that become equal one is left.
// RUN: hadal-opt %s --hadal-instantiate-buckets="max-batch-size=3 decode=1,3,6 prefill=10,64" 2>%t.remarks | FileCheck %s
// RUN: FileCheck %s --check-prefix=REMARK < %t.remarks

// REMARK: decode buckets in tokens: 1 -> 4, 3 -> 4, 6 -> 8, multiples of the 4 ranks that share them
// REMARK: prefill buckets in tokens: 10 -> 12, multiples of the 4 ranks that share them
// CHECK: module attributes {{.*}}dsv3.remarks = ["decode buckets in tokens: 1 -> 4
// CHECK: func.func @forward_decode_4() attributes {dsv3.bucket = #dsv3.bucket<decode tokens 4 rows 4 queries 1>}
// CHECK: func.func @forward_prefill_12() attributes {dsv3.bucket = #dsv3.bucket<prefill tokens 12 rows 3 queries 12>}
// CHECK: func.func @forward_prefill_64()
// CHECK-NOT: @forward
module attributes {dsv3.mesh = #dsv3.mesh<tp 4, dp 1, ep 1, node 8, slots 0>} {
func.func @forward() { return }
func.func @head() { return }
}
