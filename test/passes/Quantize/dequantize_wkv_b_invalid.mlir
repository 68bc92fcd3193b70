// RUN: hadal-opt %s --allow-unregistered-dialect --hadal-dequantize-wkv-b -split-input-file -verify-diagnostics

#tokens = #dsv3.layout<[tokens]>
#fp8_block = #dsv3.layout<scale = <128x128, f32, k>>

// A weight that something else reads as FP8 cannot be bf16.
dsv3.parameter @kv_b : tensor<512x128xf8E4M3FN, #fp8_block> from ["kv_b"] accepts [f8E4M3FN] place map scale @kv_b.scale
dsv3.parameter @kv_b.scale : tensor<4x1xf32> from ["kv_b_scale_inv"] accepts [f32] place copy
func.func @both(%q: tensor<?x264xbf16, #tokens>, %x: tensor<?x128xbf16, #tokens>) {
  %w = dsv3.get_parameter @kv_b : tensor<512x128xf8E4M3FN, #fp8_block>
  %0 = dsv3.absorb_q %q, %w heads 2 nope 128 value 128 whole_blocks : (tensor<?x264xbf16, #tokens>, tensor<512x128xf8E4M3FN, #fp8_block>) -> tensor<?x264xbf16, #tokens>
  // expected-error@+1 {{H3004: reads W_kv_b as FP8, which the target holds as bf16}}
  %1 = dsv3.linear %x, %w : (tensor<?x128xbf16, #tokens>, tensor<512x128xf8E4M3FN, #fp8_block>) -> tensor<?x512xbf16, #tokens>
  return
}

// -----

#tokens = #dsv3.layout<[tokens]>
#fp8_block = #dsv3.layout<scale = <128x128, f32, k>>

// A weight of unknown origin has no parameter that could change its type.
func.func @computed(%q: tensor<?x264xbf16, #tokens>) {
  // expected-error@+1 {{H2001: W_kv_b is neither a parameter nor an argument}}
  %w = "test.source"() : () -> tensor<512x128xf8E4M3FN, #fp8_block>
  %0 = dsv3.absorb_q %q, %w heads 2 nope 128 value 128 whole_blocks : (tensor<?x264xbf16, #tokens>, tensor<512x128xf8E4M3FN, #fp8_block>) -> tensor<?x264xbf16, #tokens>
  return
}
