// RUN: hadal-opt %s --hadal-dequantize-wkv-b -split-input-file | FileCheck %s
// RUN: hadal-opt %s --hadal-dequantize-wkv-b --hadal-materialize-tile-quantization -split-input-file | FileCheck %s --check-prefix=QUANTIZED

#tokens = #dsv3.layout<[tokens]>
#fp8_block = #dsv3.layout<scale = <128x128, f32, k>>

// The weight of both absorbed products becomes a bf16 copy, through the function
// that equal layers share and at every place that names it; other FP8 weights and
// the scale parameter stay.
// CHECK: dsv3.parameter @kv_b : tensor<512x128xbf16> from ["kv_b"] accepts [f8E4M3FN] place copy scale @kv_b.scale
// CHECK: dsv3.parameter @kv_b.scale : tensor<4x1xf32>
// CHECK: dsv3.parameter @o : tensor<64x256xf8E4M3FN, #fp8_block>
dsv3.parameter @kv_b : tensor<512x128xf8E4M3FN, #fp8_block> from ["kv_b"] accepts [f8E4M3FN] place map scale @kv_b.scale
dsv3.parameter @kv_b.scale : tensor<4x1xf32> from ["kv_b_scale_inv"] accepts [f32] place copy
dsv3.parameter @o : tensor<64x256xf8E4M3FN, #fp8_block> from ["o"] accepts [f8E4M3FN] place map scale @o.scale
dsv3.parameter @o.scale : tensor<1x2xf32> from ["o_scale_inv"] accepts [f32] place copy
// CHECK-LABEL: func private @layer(%{{.*}}: tensor<?x264xbf16, #tokens>, %{{.*}}: tensor<512x128xbf16>, %{{.*}}: tensor<64x256xf8E4M3FN, #fp8_block>
// CHECK: dsv3.absorb_q {{.*}} tensor<512x128xbf16>
// CHECK: dsv3.absorb_v {{.*}} tensor<512x128xbf16>
func.func private @layer(%q: tensor<?x264xbf16, #tokens>, %w: tensor<512x128xf8E4M3FN, #fp8_block>, %wo: tensor<64x256xf8E4M3FN, #fp8_block>, %l: tensor<?x256xbf16, #tokens>) -> tensor<?x64xbf16, #tokens> {
  %0 = dsv3.absorb_q %q, %w heads 2 nope 128 value 128 whole_blocks : (tensor<?x264xbf16, #tokens>, tensor<512x128xf8E4M3FN, #fp8_block>) -> tensor<?x264xbf16, #tokens>
  %1 = dsv3.absorb_v %l, %w heads 2 nope 128 value 128 whole_blocks : (tensor<?x256xbf16, #tokens>, tensor<512x128xf8E4M3FN, #fp8_block>) -> tensor<?x256xbf16, #tokens>
  %2 = dsv3.linear %1, %wo : (tensor<?x256xbf16, #tokens>, tensor<64x256xf8E4M3FN, #fp8_block>) -> tensor<?x64xbf16, #tokens>
  return %2 : tensor<?x64xbf16, #tokens>
}
// CHECK-LABEL: func @entry
// CHECK: dsv3.get_parameter @kv_b : tensor<512x128xbf16>
// CHECK: dsv3.get_parameter @kv_b : tensor<512x128xbf16>
// CHECK: call @layer({{.*}}) : (tensor<?x264xbf16, #tokens>, tensor<512x128xbf16>, tensor<64x256xf8E4M3FN, #fp8_block>, tensor<?x256xbf16, #tokens>)
func.func @entry(%q: tensor<?x264xbf16, #tokens>, %l: tensor<?x256xbf16, #tokens>) -> tensor<?x64xbf16, #tokens> {
  %w = dsv3.get_parameter @kv_b : tensor<512x128xf8E4M3FN, #fp8_block>
  %unused = dsv3.get_parameter @kv_b : tensor<512x128xf8E4M3FN, #fp8_block>
  %wo = dsv3.get_parameter @o : tensor<64x256xf8E4M3FN, #fp8_block>
  %0 = call @layer(%q, %w, %wo, %l) : (tensor<?x264xbf16, #tokens>, tensor<512x128xf8E4M3FN, #fp8_block>, tensor<64x256xf8E4M3FN, #fp8_block>, tensor<?x256xbf16, #tokens>) -> tensor<?x64xbf16, #tokens>
  return %0 : tensor<?x64xbf16, #tokens>
}

// -----

#tokens = #dsv3.layout<[tokens]>
#fp8_block = #dsv3.layout<scale = <128x128, f32, k>>

// The latent that meets a bf16 weight is not quantised.
// QUANTIZED: dsv3.mla_prefill
// QUANTIZED-NOT: quantize_latent
dsv3.parameter @kv_b : tensor<512x128xf8E4M3FN, #fp8_block> from ["kv_b"] accepts [f8E4M3FN] place map scale @kv_b.scale
dsv3.parameter @kv_b.scale : tensor<4x1xf32> from ["kv_b_scale_inv"] accepts [f32] place copy
func.func @expanded(%q: tensor<?x264xbf16, #tokens>, %c: !dsv3.cache<128 + 4 x bf16>, %b: !dsv3.batch) -> tensor<?x256xbf16, #tokens> {
  %w = dsv3.get_parameter @kv_b : tensor<512x128xf8E4M3FN, #fp8_block>
  %0 = dsv3.mla_prefill %q, %w over %c, %b heads 2 nope 128 value 128 scale 0.5 : (tensor<?x264xbf16, #tokens>, tensor<512x128xf8E4M3FN, #fp8_block>, !dsv3.cache<128 + 4 x bf16>, !dsv3.batch) -> tensor<?x256xbf16, #tokens>
  return %0 : tensor<?x256xbf16, #tokens>
}

// -----

#tokens = #dsv3.layout<[tokens]>

// A bf16 model is left as it is.
// CHECK: dsv3.parameter @kv_b : tensor<512x128xbf16> from ["kv_b"] accepts [bf16] place map{{$}}
dsv3.parameter @kv_b : tensor<512x128xbf16> from ["kv_b"] accepts [bf16] place map
func.func @bf16(%q: tensor<?x264xbf16, #tokens>) -> tensor<?x264xbf16, #tokens> {
  %w = dsv3.get_parameter @kv_b : tensor<512x128xbf16>
  %0 = dsv3.absorb_q %q, %w heads 2 nope 128 value 128 whole_blocks : (tensor<?x264xbf16, #tokens>, tensor<512x128xbf16>) -> tensor<?x264xbf16, #tokens>
  return %0 : tensor<?x264xbf16, #tokens>
}
