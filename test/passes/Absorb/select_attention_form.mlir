// RUN: hadal-opt %s --hadal-select-attention-form | FileCheck %s
// RUN: hadal-opt %s --hadal-select-attention-form -verify-diagnostics -o /dev/null
// RUN: hadal-opt %s --hadal-select-attention-form="attention=expanded" 2>/dev/null | FileCheck %s --check-prefix=EXPANDED
// RUN: hadal-opt %s --hadal-select-attention-form="attention=absorbed" 2>/dev/null | FileCheck %s --check-prefix=ABSORBED

#tokens = #dsv3.layout<[tokens]>

// The crossover of V3 lies between 170 and 171 rows. Choices are recorded on
// the functions of the bucket and, as sentences, on the module.
// CHECK: module attributes {dsv3.remarks = ["prefill_170: absorbed attention: 170 query rows per sequence cost 47349760 flops per key absorbed, 47480832 expanded; expanding pays above 170.7 rows",
// CHECK-SAME: "prefill_171: expanded attention:
// EXPANDED: "prefill_170: expanded attention (as asked)
// ABSORBED: "prefill_171: absorbed attention (as asked)

// CHECK-LABEL: func @below
// CHECK-SAME: dsv3.attention = "absorbed"
// CHECK-NEXT: dsv3.add
// CHECK-NEXT: return
// EXPANDED-LABEL: func @below
// EXPANDED-NEXT: dsv3.silu_mul
func.func @below(%x: tensor<?x4xbf16, #tokens>) -> tensor<?x4xbf16, #tokens> attributes {dsv3.bucket = #dsv3.bucket<prefill tokens 170 rows 1 queries 170>} {
  // expected-remark@+1 {{expanding pays above 170.7 rows}}
  %0 = dsv3.attention_forms -> tensor<?x4xbf16, #tokens> absorbed(278528) {
    %1 = dsv3.add %x, %x : tensor<?x4xbf16, #tokens>
    dsv3.yield %1 : tensor<?x4xbf16, #tokens>
  } expanded(81920, 33554432) {
    %1 = dsv3.silu_mul %x, %x : tensor<?x4xbf16, #tokens>
    dsv3.yield %1 : tensor<?x4xbf16, #tokens>
  }
  return %0 : tensor<?x4xbf16, #tokens>
}

// CHECK-LABEL: func @above
// CHECK-SAME: dsv3.attention = "expanded"
// CHECK-NEXT: dsv3.silu_mul
// ABSORBED-LABEL: func @above
// ABSORBED-NEXT: dsv3.add
func.func @above(%x: tensor<?x4xbf16, #tokens>) -> tensor<?x4xbf16, #tokens> attributes {dsv3.bucket = #dsv3.bucket<prefill tokens 171 rows 1 queries 171>} {
  // expected-remark@+1 {{expanded attention: 171 query rows}}
  %0 = dsv3.attention_forms -> tensor<?x4xbf16, #tokens> absorbed(278528) {
    %1 = dsv3.add %x, %x : tensor<?x4xbf16, #tokens>
    dsv3.yield %1 : tensor<?x4xbf16, #tokens>
  } expanded(81920, 33554432) {
    %1 = dsv3.silu_mul %x, %x : tensor<?x4xbf16, #tokens>
    dsv3.yield %1 : tensor<?x4xbf16, #tokens>
  }
  return %0 : tensor<?x4xbf16, #tokens>
}

// The caller's bucket has the form of what it calls.
// CHECK-LABEL: func @caller
// CHECK-SAME: dsv3.attention = "expanded"
func.func @caller() attributes {dsv3.bucket = #dsv3.bucket<prefill tokens 171 rows 1 queries 171>} { return }

// Where absorbing is cheaper per row there is no crossover.
// CHECK-LABEL: func @always
// CHECK-NEXT: dsv3.add
func.func @always(%x: tensor<?x4xbf16, #tokens>) -> tensor<?x4xbf16, #tokens> attributes {dsv3.bucket = #dsv3.bucket<prefill tokens 4096 rows 1 queries 4096>} {
  // expected-remark@+1 {{expanding never pays}}
  %0 = dsv3.attention_forms -> tensor<?x4xbf16, #tokens> absorbed(10) {
    %1 = dsv3.add %x, %x : tensor<?x4xbf16, #tokens>
    dsv3.yield %1 : tensor<?x4xbf16, #tokens>
  } expanded(20, 1) {
    %1 = dsv3.silu_mul %x, %x : tensor<?x4xbf16, #tokens>
    dsv3.yield %1 : tensor<?x4xbf16, #tokens>
  }
  return %0 : tensor<?x4xbf16, #tokens>
}
