// RUN: hadal-opt %s --hadal-fuse-attention-quant | FileCheck %s

#tokens = #dsv3.layout<[tokens]>
#fp8_tokens = #dsv3.layout<[tokens], scale = <1x128, f32, k>>
#fp8_block = #dsv3.layout<scale = <128x128, f32, k>>

// A head of 128 values is one group: stored quantised.
// CHECK-LABEL: func @whole_groups
// CHECK-NEXT: %[[Y:.*]] = dsv3.absorb_v {{.*}} floor 1.000000e-04 : {{.*}} -> tensor<?x256xf8E4M3FN, #fp8_tokens>
// CHECK-NEXT: return %[[Y]]
func.func @whole_groups(%x: tensor<?x256xbf16, #tokens>, %w: tensor<512x128xbf16>) -> tensor<?x256xf8E4M3FN, #fp8_tokens> {
  %0 = dsv3.absorb_v %x, %w heads 2 nope 128 value 128 : (tensor<?x256xbf16, #tokens>, tensor<512x128xbf16>) -> tensor<?x256xbf16, #tokens>
  %1 = dsv3.quantize_tiles %0 floor 1.0e-4 : (tensor<?x256xbf16, #tokens>) -> tensor<?x256xf8E4M3FN, #fp8_tokens>
  return %1 : tensor<?x256xf8E4M3FN, #fp8_tokens>
}

// The expanded form does the same; its latent quantisation shares the floor.
// CHECK-LABEL: func @expanded
// CHECK-NEXT: dsv3.mla_prefill {{.*}} quantize_latent f32 floor 1.000000e-04 : {{.*}} -> tensor<?x256xf8E4M3FN, #fp8_tokens>
// CHECK-NEXT: return
func.func @expanded(%q: tensor<?x264xbf16, #tokens>, %w: tensor<512x128xf8E4M3FN, #fp8_block>, %c: !dsv3.cache<128 + 4 x bf16>, %b: !dsv3.batch) -> tensor<?x256xf8E4M3FN, #fp8_tokens> {
  %0 = dsv3.mla_prefill %q, %w over %c, %b heads 2 nope 128 value 128 scale 0.5 quantize_latent f32 floor 1.0e-4 : (tensor<?x264xbf16, #tokens>, tensor<512x128xf8E4M3FN, #fp8_block>, !dsv3.cache<128 + 4 x bf16>, !dsv3.batch) -> tensor<?x256xbf16, #tokens>
  %1 = dsv3.quantize_tiles %0 floor 1.0e-4 : (tensor<?x256xbf16, #tokens>) -> tensor<?x256xf8E4M3FN, #fp8_tokens>
  return %1 : tensor<?x256xf8E4M3FN, #fp8_tokens>
}

// A group that spans heads is quantised by a kernel of its own.
// CHECK-LABEL: func @spanning_groups
// CHECK-NEXT: dsv3.absorb_v
// CHECK-NEXT: dsv3.quantize_tiles
func.func @spanning_groups(%x: tensor<?x256xbf16, #tokens>, %w: tensor<48x128xbf16>) -> tensor<?x32xf8E4M3FN, #fp8_tokens> {
  %0 = dsv3.absorb_v %x, %w heads 2 nope 8 value 16 : (tensor<?x256xbf16, #tokens>, tensor<48x128xbf16>) -> tensor<?x32xbf16, #tokens>
  %1 = dsv3.quantize_tiles %0 floor 1.0e-4 : (tensor<?x32xbf16, #tokens>) -> tensor<?x32xf8E4M3FN, #fp8_tokens>
  return %1 : tensor<?x32xf8E4M3FN, #fp8_tokens>
}
