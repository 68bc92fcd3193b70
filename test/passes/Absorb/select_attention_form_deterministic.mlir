// RUN: hadal-opt %s --hadal-select-attention-form 2>/dev/null | FileCheck %s

#tokens = #dsv3.layout<[tokens]>

// The largest bucket of a family decides for all of it; decode is another.
// CHECK: module attributes {dsv3.model = {deterministic}
// CHECK-SAME: "decode_1: absorbed attention: 1 query rows
// CHECK-SAME: "prefill_64: expanded attention (as prefill_512, deterministic): 512 query rows
// CHECK-SAME: "prefill_512: expanded attention: 512 query rows
module attributes {dsv3.model = {deterministic}} {

// CHECK-LABEL: func @decode
// CHECK-SAME: dsv3.attention = "absorbed"
// CHECK-NEXT: dsv3.add
func.func @decode(%x: tensor<?x4xbf16, #tokens>) -> tensor<?x4xbf16, #tokens> attributes {dsv3.bucket = #dsv3.bucket<decode tokens 1 rows 1 queries 1>} {
  %0 = dsv3.attention_forms -> tensor<?x4xbf16, #tokens> absorbed(278528) {
    %1 = dsv3.add %x, %x : tensor<?x4xbf16, #tokens>
    dsv3.yield %1 : tensor<?x4xbf16, #tokens>
  } expanded(81920, 33554432) {
    %1 = dsv3.silu_mul %x, %x : tensor<?x4xbf16, #tokens>
    dsv3.yield %1 : tensor<?x4xbf16, #tokens>
  }
  return %0 : tensor<?x4xbf16, #tokens>
}

// Alone it would be absorbed.
// CHECK-LABEL: func @small
// CHECK-SAME: dsv3.attention = "expanded"
// CHECK-NEXT: dsv3.silu_mul
func.func @small(%x: tensor<?x4xbf16, #tokens>) -> tensor<?x4xbf16, #tokens> attributes {dsv3.bucket = #dsv3.bucket<prefill tokens 64 rows 1 queries 64>} {
  %0 = dsv3.attention_forms -> tensor<?x4xbf16, #tokens> absorbed(278528) {
    %1 = dsv3.add %x, %x : tensor<?x4xbf16, #tokens>
    dsv3.yield %1 : tensor<?x4xbf16, #tokens>
  } expanded(81920, 33554432) {
    %1 = dsv3.silu_mul %x, %x : tensor<?x4xbf16, #tokens>
    dsv3.yield %1 : tensor<?x4xbf16, #tokens>
  }
  return %0 : tensor<?x4xbf16, #tokens>
}

// CHECK-LABEL: func @large
// CHECK-SAME: dsv3.attention = "expanded"
func.func @large(%x: tensor<?x4xbf16, #tokens>) -> tensor<?x4xbf16, #tokens> attributes {dsv3.bucket = #dsv3.bucket<prefill tokens 512 rows 1 queries 512>} {
  %0 = dsv3.attention_forms -> tensor<?x4xbf16, #tokens> absorbed(278528) {
    %1 = dsv3.add %x, %x : tensor<?x4xbf16, #tokens>
    dsv3.yield %1 : tensor<?x4xbf16, #tokens>
  } expanded(81920, 33554432) {
    %1 = dsv3.silu_mul %x, %x : tensor<?x4xbf16, #tokens>
    dsv3.yield %1 : tensor<?x4xbf16, #tokens>
  }
  return %0 : tensor<?x4xbf16, #tokens>
}
}
