// RUN: hadal-opt %s --hadal-materialize-tile-quantization -split-input-file | FileCheck %s
// RUN: hadal-opt %s --hadal-materialize-tile-quantization="fp8=w8a16" -split-input-file | FileCheck %s --check-prefix=W8A16

#tokens = #dsv3.layout<[tokens]>
#fp8_block = #dsv3.layout<scale = <128x128, f32, k>>

// Each FP8 linear gets a quantisation of its own; a bf16 weight gets none; the
// inputs of absorb_q and absorb_v stay; the expanded form quantises its latent.
// CHECK-LABEL: func @w8a8
// CHECK: %[[A:.*]] = dsv3.quantize_tiles %[[X:.*]] floor 1.000000e-04 : {{.*}} -> tensor<?x256xf8E4M3FN, #fp8_tokens>
// CHECK: dsv3.linear %[[A]],
// CHECK: %[[B:.*]] = dsv3.quantize_tiles %[[X]] floor
// CHECK: dsv3.linear %[[B]],
// CHECK-NOT: dsv3.quantize_tiles
// CHECK: dsv3.linear %[[X]], {{.*}} tensor<64x256xbf16>
// CHECK: dsv3.absorb_q %{{.*}} : (tensor<?x264xbf16, #tokens>
// CHECK: dsv3.mla_prefill {{.*}} quantize_latent f32 floor 1.000000e-04
// W8A16-LABEL: func @w8a8
// W8A16-NOT: quantize
// W8A16: return
func.func @w8a8(%x: tensor<?x256xbf16, #tokens>, %w: tensor<64x256xf8E4M3FN, #fp8_block>, %v: tensor<64x256xbf16>, %q: tensor<?x264xbf16, #tokens>, %wkv: tensor<512x128xf8E4M3FN, #fp8_block>, %c: !dsv3.cache<128 + 4 x bf16>, %b: !dsv3.batch) {
  %0 = dsv3.linear %x, %w : (tensor<?x256xbf16, #tokens>, tensor<64x256xf8E4M3FN, #fp8_block>) -> tensor<?x64xbf16, #tokens>
  %1 = dsv3.linear %x, %w : (tensor<?x256xbf16, #tokens>, tensor<64x256xf8E4M3FN, #fp8_block>) -> tensor<?x64xbf16, #tokens>
  %2 = dsv3.linear %x, %v : (tensor<?x256xbf16, #tokens>, tensor<64x256xbf16>) -> tensor<?x64xf32, #tokens>
  %3 = dsv3.absorb_q %q, %wkv heads 2 nope 128 value 128 whole_blocks : (tensor<?x264xbf16, #tokens>, tensor<512x128xf8E4M3FN, #fp8_block>) -> tensor<?x264xbf16, #tokens>
  %4 = dsv3.mla_prefill %q, %wkv over %c, %b heads 2 nope 128 value 128 scale 0.5 : (tensor<?x264xbf16, #tokens>, tensor<512x128xf8E4M3FN, #fp8_block>, !dsv3.cache<128 + 4 x bf16>, !dsv3.batch) -> tensor<?x256xbf16, #tokens>
  return
}

// -----

#tokens = #dsv3.layout<[tokens]>
#fp8_block = #dsv3.layout<scale = <128x128, f32, k>>

// Gotcha 29: a ue8m0 model has power-of-two scales everywhere.
// CHECK: #ue8m0_tokens = #dsv3.layout<[tokens], scale = <1x128, ue8m0, k>>
// CHECK: dsv3.quantize_tiles {{.*}} -> tensor<?x256xf8E4M3FN, #ue8m0_tokens>
// CHECK: quantize_latent ue8m0
module attributes {dsv3.model = {activation_scale_format = "ue8m0"}} {
  func.func @ue8m0(%x: tensor<?x256xbf16, #tokens>, %w: tensor<64x256xf8E4M3FN, #fp8_block>, %q: tensor<?x264xbf16, #tokens>, %wkv: tensor<512x128xf8E4M3FN, #fp8_block>, %c: !dsv3.cache<128 + 4 x bf16>, %b: !dsv3.batch) {
    %0 = dsv3.linear %x, %w : (tensor<?x256xbf16, #tokens>, tensor<64x256xf8E4M3FN, #fp8_block>) -> tensor<?x64xbf16, #tokens>
    %1 = dsv3.mla_prefill %q, %wkv over %c, %b heads 2 nope 128 value 128 scale 0.5 : (tensor<?x264xbf16, #tokens>, tensor<512x128xf8E4M3FN, #fp8_block>, !dsv3.cache<128 + 4 x bf16>, !dsv3.batch) -> tensor<?x256xbf16, #tokens>
    return
  }
}
