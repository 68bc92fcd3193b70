// Refusals of the fused operations.
// RUN: hadal-opt %s -split-input-file -verify-diagnostics

// A norm gives something.
func.func @f(%x: tensor<?x256xbf16, #dsv3.layout<[tokens]>>, %n: tensor<256xf32>) {
  // expected-error@+1 {{needs a 'norm' or a 'quantized' result}}
  %0 = dsv3.norm_quant %x plus %x, %n eps 0.5 : tensor<?x256xbf16, #dsv3.layout<[tokens]>>, tensor<?x256xbf16, #dsv3.layout<[tokens]>>, tensor<256xf32> -> sum tensor<?x256xbf16, #dsv3.layout<[tokens]>>
  return
}

// -----

// Adding and gathering exclude each other.
func.func @f(%x: tensor<?x256xbf16, #dsv3.layout<[tokens]>>, %n: tensor<256xf32>, %i: tensor<?xi32, #dsv3.layout<[logits]>>) {
  // expected-error@+1 {{cannot both add and gather}}
  %0, %1 = dsv3.norm_quant %x plus %x gather %i, %n eps 0.5 : tensor<?x256xbf16, #dsv3.layout<[tokens]>>, tensor<?x256xbf16, #dsv3.layout<[tokens]>>, tensor<?xi32, #dsv3.layout<[logits]>>, tensor<256xf32> -> sum tensor<?x256xbf16, #dsv3.layout<[tokens]>> norm tensor<?x256xbf16, #dsv3.layout<[tokens]>>
  return
}

// -----

// A sum is stored if there is one.
func.func @f(%x: tensor<?x256xbf16, #dsv3.layout<[tokens]>>, %n: tensor<256xf32>) {
  // expected-error@+1 {{has a sum if and only if it adds}}
  %0 = dsv3.norm_quant %x plus %x, %n eps 0.5 : tensor<?x256xbf16, #dsv3.layout<[tokens]>>, tensor<?x256xbf16, #dsv3.layout<[tokens]>>, tensor<256xf32> -> norm tensor<?x256xbf16, #dsv3.layout<[tokens]>>
  return
}

// -----

// An addend has the input's type, or is f32 of its shape.
func.func @f(%x: tensor<?x256xbf16, #dsv3.layout<[tokens]>>, %y: tensor<?x128xf32, #dsv3.layout<[tokens]>>, %n: tensor<256xf32>) {
  // expected-error@+1 {{addend must have the sum's type}}
  %0, %1 = dsv3.norm_quant %x plus %y, %n eps 0.5 : tensor<?x256xbf16, #dsv3.layout<[tokens]>>, tensor<?x128xf32, #dsv3.layout<[tokens]>>, tensor<256xf32> -> sum tensor<?x256xbf16, #dsv3.layout<[tokens]>> norm tensor<?x256xbf16, #dsv3.layout<[tokens]>>
  return
}

// -----

// A sum has it.
func.func @f(%x: tensor<?x256xbf16, #dsv3.layout<[tokens]>>, %n: tensor<256xf32>) {
  // expected-error@+1 {{sum must have the input's type}}
  %0, %1 = dsv3.norm_quant %x plus %x, %n eps 0.5 : tensor<?x256xbf16, #dsv3.layout<[tokens]>>, tensor<?x256xbf16, #dsv3.layout<[tokens]>>, tensor<256xf32> -> sum tensor<?x256xf32, #dsv3.layout<[tokens]>> norm tensor<?x256xbf16, #dsv3.layout<[tokens]>>
  return
}

// -----

// A norm weight has a value per column.
func.func @f(%x: tensor<?x256xbf16, #dsv3.layout<[tokens]>>, %n: tensor<64xf32>) {
  // expected-error@+1 {{norm weight must be 256, got 64}}
  %0 = dsv3.norm_quant %x, %n eps 0.5 : tensor<?x256xbf16, #dsv3.layout<[tokens]>>, tensor<64xf32> -> norm tensor<?x256xbf16, #dsv3.layout<[tokens]>>
  return
}

// -----

// Quantisation has a floor.
func.func @f(%x: tensor<?x256xbf16, #dsv3.layout<[tokens]>>, %n: tensor<256xf32>) {
  // expected-error@+1 {{a quantized result needs 'floor'}}
  %0 = dsv3.norm_quant %x, %n eps 0.5 : tensor<?x256xbf16, #dsv3.layout<[tokens]>>, tensor<256xf32> -> quantized tensor<?x256xf8E4M3FN, #dsv3.layout<[tokens], scale = <1x128, f32, k>>>
  return
}

// -----

// A floor belongs to a quantisation.
func.func @f(%x: tensor<?x256xbf16, #dsv3.layout<[tokens]>>, %n: tensor<256xf32>) {
  // expected-error@+1 {{'floor' is given but nothing is quantized}}
  %0 = dsv3.norm_quant %x, %n eps 0.5 floor 1.0e-4 : tensor<?x256xbf16, #dsv3.layout<[tokens]>>, tensor<256xf32> -> norm tensor<?x256xbf16, #dsv3.layout<[tokens]>>
  return
}

// -----

// Gathered norms have the rows of the indices.
func.func @f(%x: tensor<?x256xbf16, #dsv3.layout<[tokens]>>, %n: tensor<256xf32>, %i: tensor<?xi32, #dsv3.layout<[logits]>>) {
  // expected-error@+1 {{operand and result must have the same rows}}
  %0 = dsv3.norm_quant %x gather %i, %n eps 0.5 : tensor<?x256xbf16, #dsv3.layout<[tokens]>>, tensor<?xi32, #dsv3.layout<[logits]>>, tensor<256xf32> -> norm tensor<?x256xbf16, #dsv3.layout<[tokens]>>
  return
}

// -----

// Norms keep the width.
func.func @f(%x: tensor<?x256xbf16, #dsv3.layout<[tokens]>>, %n: tensor<256xf32>) {
  // expected-error@+1 {{result columns must be 256, got 64}}
  %0 = dsv3.norm_quant %x, %n eps 0.5 : tensor<?x256xbf16, #dsv3.layout<[tokens]>>, tensor<256xf32> -> norm tensor<?x64xbf16, #dsv3.layout<[tokens]>>
  return
}

// -----

// The columns in front of the latent are the query.
func.func @f(%x: tensor<?x256xbf16, #dsv3.layout<[tokens]>>, %k: tensor<128xf32>, %t: tensor<16x2x2xf32>, %b: !dsv3.batch, %c: !dsv3.cache<128 + 4 x bf16>) {
  // expected-error@+1 {{input of 256 columns leaves 124 for the query beside a cache row of 128 + 4}}
  dsv3.latent_norm_rope_cache %x latent %k rope %t, %b to %c eps 0.5 : tensor<?x256xbf16, #dsv3.layout<[tokens]>>, tensor<128xf32>, tensor<16x2x2xf32>, !dsv3.batch, !dsv3.cache<128 + 4 x bf16>
  return
}

// -----

// The query norm has the query's width.
func.func @f(%x: tensor<?x256xbf16, #dsv3.layout<[tokens]>>, %q: tensor<64xf32>, %k: tensor<128xf32>, %t: tensor<16x2x2xf32>, %b: !dsv3.batch, %c: !dsv3.cache<128 + 4 x bf16>) {
  // expected-error@+1 {{query norm weight must be 124, got 64}}
  %0 = dsv3.latent_norm_rope_cache %x query %q latent %k rope %t, %b to %c eps 0.5 : tensor<?x256xbf16, #dsv3.layout<[tokens]>>, tensor<64xf32>, tensor<128xf32>, tensor<16x2x2xf32>, !dsv3.batch, !dsv3.cache<128 + 4 x bf16> norm tensor<?x124xbf16, #dsv3.layout<[tokens]>>
  return
}

// -----

// The latent norm has the latent's width.
func.func @f(%x: tensor<?x132xbf16, #dsv3.layout<[tokens]>>, %k: tensor<64xf32>, %t: tensor<16x2x2xf32>, %b: !dsv3.batch, %c: !dsv3.cache<128 + 4 x bf16>) {
  // expected-error@+1 {{latent norm weight must be 128, got 64}}
  dsv3.latent_norm_rope_cache %x latent %k rope %t, %b to %c eps 0.5 : tensor<?x132xbf16, #dsv3.layout<[tokens]>>, tensor<64xf32>, tensor<16x2x2xf32>, !dsv3.batch, !dsv3.cache<128 + 4 x bf16>
  return
}

// -----

// A query norm is read.
func.func @f(%x: tensor<?x256xbf16, #dsv3.layout<[tokens]>>, %q: tensor<124xf32>, %k: tensor<128xf32>, %t: tensor<16x2x2xf32>, %b: !dsv3.batch, %c: !dsv3.cache<128 + 4 x bf16>) {
  // expected-error@+1 {{needs a 'norm' or a 'quantized' result}}
  dsv3.latent_norm_rope_cache %x query %q latent %k rope %t, %b to %c eps 0.5 : tensor<?x256xbf16, #dsv3.layout<[tokens]>>, tensor<124xf32>, tensor<128xf32>, tensor<16x2x2xf32>, !dsv3.batch, !dsv3.cache<128 + 4 x bf16>
  return
}

// -----

// Without a query there is no result.
func.func @f(%x: tensor<?x132xbf16, #dsv3.layout<[tokens]>>, %k: tensor<128xf32>, %t: tensor<16x2x2xf32>, %b: !dsv3.batch, %c: !dsv3.cache<128 + 4 x bf16>) {
  // expected-error@+1 {{has a result but no norm weight for it}}
  %0 = dsv3.latent_norm_rope_cache %x latent %k rope %t, %b to %c eps 0.5 : tensor<?x132xbf16, #dsv3.layout<[tokens]>>, tensor<128xf32>, tensor<16x2x2xf32>, !dsv3.batch, !dsv3.cache<128 + 4 x bf16> norm tensor<?x124xbf16, #dsv3.layout<[tokens]>>
  return
}

// -----

// Gate and up are alike.
func.func @f(%x: tensor<?x256xbf16, #dsv3.layout<[tokens]>>, %g: tensor<64x256xbf16>, %u: tensor<64x256xf32>) {
  // expected-error@+1 {{gate and up must have one type}}
  %0 = dsv3.gated_linear %x, %g, %u : (tensor<?x256xbf16, #dsv3.layout<[tokens]>>, tensor<64x256xbf16>, tensor<64x256xf32>) -> tensor<?x64xbf16, #dsv3.layout<[tokens]>>
  return
}

// -----

// A quantised result has a floor.
func.func @f(%x: tensor<?x256xbf16, #dsv3.layout<[tokens]>>, %g: tensor<64x256xbf16>) {
  // expected-error@+1 {{a quantized result needs 'floor'}}
  %0 = dsv3.gated_linear %x, %g, %g : (tensor<?x256xbf16, #dsv3.layout<[tokens]>>, tensor<64x256xbf16>, tensor<64x256xbf16>) -> tensor<?x64xf8E4M3FN, #dsv3.layout<[tokens], scale = <1x128, f32, k>>>
  return
}

// -----

// Gate and up give their rows as columns.
func.func @f(%x: tensor<?x256xbf16, #dsv3.layout<[tokens]>>, %g: tensor<64x256xbf16>) {
  // expected-error@+1 {{result columns must be 64, got 32}}
  %0 = dsv3.gated_linear %x, %g, %g : (tensor<?x256xbf16, #dsv3.layout<[tokens]>>, tensor<64x256xbf16>, tensor<64x256xbf16>) -> tensor<?x32xbf16, #dsv3.layout<[tokens]>>
  return
}

// -----

// Whole blocks are multiples of 128.
func.func @f(%q: tensor<?x24xbf16, #dsv3.layout<[tokens]>>, %w: tensor<48x128xbf16>) {
  // expected-error@+1 {{'whole_blocks' needs multiples of 128, got 8 and 16}}
  %0 = dsv3.absorb_q %q, %w heads 2 nope 8 value 16 whole_blocks : (tensor<?x24xbf16, #dsv3.layout<[tokens]>>, tensor<48x128xbf16>) -> tensor<?x264xbf16, #dsv3.layout<[tokens]>>
  return
}

// -----

// wkv_b has H (N + V) rows.
func.func @f(%q: tensor<?x24xbf16, #dsv3.layout<[tokens]>>, %w: tensor<64x128xbf16>) {
  // expected-error@+1 {{wkv_b rows must be 48, got 64}}
  %0 = dsv3.absorb_q %q, %w heads 2 nope 8 value 16 : (tensor<?x24xbf16, #dsv3.layout<[tokens]>>, tensor<64x128xbf16>) -> tensor<?x264xbf16, #dsv3.layout<[tokens]>>
  return
}

// -----

// A query head is wider than its non-rotary part.
func.func @f(%q: tensor<?x16xbf16, #dsv3.layout<[tokens]>>, %w: tensor<48x128xbf16>) {
  // expected-error@+1 {{16 query columns are not 2 heads wider than 8}}
  %0 = dsv3.absorb_q %q, %w heads 2 nope 8 value 16 : (tensor<?x16xbf16, #dsv3.layout<[tokens]>>, tensor<48x128xbf16>) -> tensor<?x264xbf16, #dsv3.layout<[tokens]>>
  return
}

// -----

// An absorbed query has H (C + R) columns.
func.func @f(%q: tensor<?x24xbf16, #dsv3.layout<[tokens]>>, %w: tensor<48x128xbf16>) {
  // expected-error@+1 {{result columns must be 264, got 256}}
  %0 = dsv3.absorb_q %q, %w heads 2 nope 8 value 16 : (tensor<?x24xbf16, #dsv3.layout<[tokens]>>, tensor<48x128xbf16>) -> tensor<?x256xbf16, #dsv3.layout<[tokens]>>
  return
}

// -----

// An absorbed query has the cache's width.
func.func @f(%q: tensor<?x256xbf16, #dsv3.layout<[tokens]>>, %c: !dsv3.cache<128 + 4 x bf16>, %b: !dsv3.batch) {
  // expected-error@+1 {{query columns must be 264, got 256}}
  %0 = dsv3.mla_decode %q over %c, %b heads 2 scale 0.5 : (tensor<?x256xbf16, #dsv3.layout<[tokens]>>, !dsv3.cache<128 + 4 x bf16>, !dsv3.batch) -> tensor<?x256xbf16, #dsv3.layout<[tokens]>>
  return
}

// -----

// Absorbed attention gives latents.
func.func @f(%q: tensor<?x264xbf16, #dsv3.layout<[tokens]>>, %c: !dsv3.cache<128 + 4 x bf16>, %b: !dsv3.batch) {
  // expected-error@+1 {{result columns must be 256, got 264}}
  %0 = dsv3.mla_decode %q over %c, %b heads 2 scale 0.5 : (tensor<?x264xbf16, #dsv3.layout<[tokens]>>, !dsv3.cache<128 + 4 x bf16>, !dsv3.batch) -> tensor<?x264xbf16, #dsv3.layout<[tokens]>>
  return
}

// -----

// Quantised heads are whole groups.
func.func @f(%x: tensor<?x256xbf16, #dsv3.layout<[tokens]>>, %w: tensor<48x128xbf16>) {
  // expected-error@+1 {{a quantized result needs a value width that is a multiple of 128, got 16}}
  %0 = dsv3.absorb_v %x, %w heads 2 nope 8 value 16 floor 1.0e-4 : (tensor<?x256xbf16, #dsv3.layout<[tokens]>>, tensor<48x128xbf16>) -> tensor<?x32xf8E4M3FN, #dsv3.layout<[tokens], scale = <1x128, f32, k>>>
  return
}

// -----

// absorb_v reads latents.
func.func @f(%x: tensor<?x64xbf16, #dsv3.layout<[tokens]>>, %w: tensor<48x128xbf16>) {
  // expected-error@+1 {{input columns must be 256, got 64}}
  %0 = dsv3.absorb_v %x, %w heads 2 nope 8 value 16 : (tensor<?x64xbf16, #dsv3.layout<[tokens]>>, tensor<48x128xbf16>) -> tensor<?x32xbf16, #dsv3.layout<[tokens]>>
  return
}

// -----

// absorb_v gives H V columns.
func.func @f(%x: tensor<?x256xbf16, #dsv3.layout<[tokens]>>, %w: tensor<48x128xbf16>) {
  // expected-error@+1 {{result columns must be 32, got 64}}
  %0 = dsv3.absorb_v %x, %w heads 2 nope 8 value 16 : (tensor<?x256xbf16, #dsv3.layout<[tokens]>>, tensor<48x128xbf16>) -> tensor<?x64xbf16, #dsv3.layout<[tokens]>>
  return
}

// -----

// wkv_b reads the cache.
func.func @f(%q: tensor<?x24xbf16, #dsv3.layout<[tokens]>>, %w: tensor<48x64xbf16>, %c: !dsv3.cache<128 + 4 x bf16>, %b: !dsv3.batch) {
  // expected-error@+1 {{wkv_b columns must be 128, got 64}}
  %0 = dsv3.mla_prefill %q, %w over %c, %b heads 2 nope 8 value 16 scale 0.5 : (tensor<?x24xbf16, #dsv3.layout<[tokens]>>, tensor<48x64xbf16>, !dsv3.cache<128 + 4 x bf16>, !dsv3.batch) -> tensor<?x32xbf16, #dsv3.layout<[tokens]>>
  return
}

// -----

// An expanded query has H (N + R) columns.
func.func @f(%q: tensor<?x256xbf16, #dsv3.layout<[tokens]>>, %w: tensor<48x128xbf16>, %c: !dsv3.cache<128 + 4 x bf16>, %b: !dsv3.batch) {
  // expected-error@+1 {{query columns must be 24, got 256}}
  %0 = dsv3.mla_prefill %q, %w over %c, %b heads 2 nope 8 value 16 scale 0.5 : (tensor<?x256xbf16, #dsv3.layout<[tokens]>>, tensor<48x128xbf16>, !dsv3.cache<128 + 4 x bf16>, !dsv3.batch) -> tensor<?x32xbf16, #dsv3.layout<[tokens]>>
  return
}

// -----

// A quantised latent meets quantised weights.
func.func @f(%q: tensor<?x24xbf16, #dsv3.layout<[tokens]>>, %w: tensor<48x128xbf16>, %c: !dsv3.cache<128 + 4 x bf16>, %b: !dsv3.batch) {
  // expected-error@+1 {{a quantized latent needs an FP8 wkv_b}}
  %0 = dsv3.mla_prefill %q, %w over %c, %b heads 2 nope 8 value 16 scale 0.5 quantize_latent f32 floor 1.0e-4 : (tensor<?x24xbf16, #dsv3.layout<[tokens]>>, tensor<48x128xbf16>, !dsv3.cache<128 + 4 x bf16>, !dsv3.batch) -> tensor<?x32xbf16, #dsv3.layout<[tokens]>>
  return
}

// -----

// Expanded attention gives H V columns.
func.func @f(%q: tensor<?x24xbf16, #dsv3.layout<[tokens]>>, %w: tensor<48x128xbf16>, %c: !dsv3.cache<128 + 4 x bf16>, %b: !dsv3.batch) {
  // expected-error@+1 {{result columns must be 32, got 64}}
  %0 = dsv3.mla_prefill %q, %w over %c, %b heads 2 nope 8 value 16 scale 0.5 : (tensor<?x24xbf16, #dsv3.layout<[tokens]>>, tensor<48x128xbf16>, !dsv3.cache<128 + 4 x bf16>, !dsv3.batch) -> tensor<?x64xbf16, #dsv3.layout<[tokens]>>
  return
}
