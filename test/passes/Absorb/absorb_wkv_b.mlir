// RUN: hadal-opt %s --hadal-absorb-wkv-b -split-input-file | FileCheck %s
// RUN: hadal-opt %s --hadal-absorb-wkv-b -split-input-file -verify-diagnostics -o /dev/null

#tokens = #dsv3.layout<[tokens]>
#fp8_block = #dsv3.layout<scale = <128x128, f32, k>>

// V3's shapes: both forms with their costs, and whole scale blocks.
// CHECK: dsv3.remarks = ["W_UK (128 rows) and W_UV (128 rows)
// CHECK-LABEL: func @v3
// CHECK: dsv3.attention_forms -> tensor<?x16384xbf16, #tokens> absorbed(278528) {
// CHECK:   %[[Q:.*]] = dsv3.absorb_q %{{.*}}, %{{.*}} heads 128 nope 128 value 128 whole_blocks : {{.*}} -> tensor<?x73728xbf16, #tokens>
// CHECK:   %[[O:.*]] = dsv3.mla_decode %[[Q]] over {{.*}} scale 1.250000e-01 : {{.*}} -> tensor<?x65536xbf16, #tokens>
// CHECK:   %[[Y:.*]] = dsv3.absorb_v %[[O]], %{{.*}} heads 128 nope 128 value 128 whole_blocks
// CHECK:   dsv3.yield %[[Y]]
// CHECK: } expanded(81920, 33554432) {
// CHECK:   dsv3.mla_prefill {{.*}} heads 128 nope 128 value 128 scale 1.250000e-01
func.func @v3(%q: tensor<?x24576xbf16, #tokens>, %w: tensor<32768x512xf8E4M3FN, #fp8_block>, %c: !dsv3.cache<512 + 64 x bf16>, %b: !dsv3.batch) -> tensor<?x16384xbf16, #tokens> {
  // expected-remark@+1 {{W_UK (128 rows) and W_UV (128 rows) of each of 128 heads are whole 128x128 scale blocks of wkv_b: the split is lossless}}
  %0 = dsv3.mla %q, %w over %c, %b heads 128 nope 128 value 128 scale 0.125 : (tensor<?x24576xbf16, #tokens>, tensor<32768x512xf8E4M3FN, #fp8_block>, !dsv3.cache<512 + 64 x bf16>, !dsv3.batch) -> tensor<?x16384xbf16, #tokens>
  return %0 : tensor<?x16384xbf16, #tokens>
}

// -----

#tokens = #dsv3.layout<[tokens]>
#fp8_block = #dsv3.layout<scale = <128x128, f32, k>>

// Heads of 64 + 96 rows share scale blocks: said, and not marked.
// CHECK-LABEL: func @ragged
// CHECK: dsv3.absorb_q %{{.*}}, %{{.*}} heads 2 nope 64 value 96 :
func.func @ragged(%q: tensor<?x136xbf16, #tokens>, %w: tensor<320x128xf8E4M3FN, #fp8_block>, %c: !dsv3.cache<128 + 4 x bf16>, %b: !dsv3.batch) -> tensor<?x192xbf16, #tokens> {
  // expected-remark@+1 {{W_UK (64 rows) and W_UV (96 rows) of each of 2 heads are not multiples of 128: a scale block spans both}}
  %0 = dsv3.mla %q, %w over %c, %b heads 2 nope 64 value 96 scale 0.125 : (tensor<?x136xbf16, #tokens>, tensor<320x128xf8E4M3FN, #fp8_block>, !dsv3.cache<128 + 4 x bf16>, !dsv3.batch) -> tensor<?x192xbf16, #tokens>
  return %0 : tensor<?x192xbf16, #tokens>
}

// -----

#tokens = #dsv3.layout<[tokens]>

// Without FP8 there are no blocks to prove anything about.
// CHECK-LABEL: func @bf16
// CHECK: dsv3.absorb_q %{{.*}}, %{{.*}} heads 2 nope 128 value 128 :
func.func @bf16(%q: tensor<?x264xbf16, #tokens>, %w: tensor<512x128xbf16>, %c: !dsv3.cache<128 + 4 x bf16>, %b: !dsv3.batch) -> tensor<?x256xbf16, #tokens> {
  %0 = dsv3.mla %q, %w over %c, %b heads 2 nope 128 value 128 scale 0.125 : (tensor<?x264xbf16, #tokens>, tensor<512x128xbf16>, !dsv3.cache<128 + 4 x bf16>, !dsv3.batch) -> tensor<?x256xbf16, #tokens>
  return %0 : tensor<?x256xbf16, #tokens>
}
