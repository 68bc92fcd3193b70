// RUN: split-file %s %t
// RUN: hadal-opt %t/bucket.mlir --hadal-select-attention-form -verify-diagnostics
// RUN: hadal-opt %t/option.mlir --hadal-select-attention-form="attention=sparse" -verify-diagnostics

//--- bucket.mlir
#tokens = #dsv3.layout<[tokens]>
// The choice needs a bucket.
func.func @f(%x: tensor<?x4xbf16, #tokens>) {
  // expected-error@+1 {{H2001: 'dsv3.attention_forms' op lies in a function without a bucket}}
  %0 = dsv3.attention_forms -> tensor<?x4xbf16, #tokens> absorbed(1) {
    dsv3.yield %x : tensor<?x4xbf16, #tokens>
  } expanded(1, 1) {
    dsv3.yield %x : tensor<?x4xbf16, #tokens>
  }
  return
}

//--- option.mlir
// Attention has two forms.
// expected-error@+1 {{H2002: attention must be auto, absorbed or expanded, got 'sparse'}}
module {}
