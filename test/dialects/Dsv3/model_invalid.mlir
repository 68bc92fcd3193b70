// Refusals of the operations that the frontend writes.
// RUN: hadal-opt %s -split-input-file -verify-diagnostics

// Operands of an operation name their extents.
func.func @f(%x: tensor<?x4xbf16>) {
  // expected-error@+1 {{operand #0 must be tensor of f32 or bf16 whose dynamic extents #dsv3.layout names}}
  %0 = dsv3.add %x, %x : tensor<?x4xbf16>
  return
}

// -----

// Tokens are a vector.
func.func @f(%i: tensor<?x4xi32, #dsv3.layout<[tokens]>>, %t: tensor<8x4xbf16>) {
  // expected-error@+1 {{tokens must have rank 1}}
  %0 = dsv3.embed %i, %t : (tensor<?x4xi32, #dsv3.layout<[tokens]>>, tensor<8x4xbf16>) -> tensor<?x4xbf16, #dsv3.layout<[tokens]>>
  return
}

// -----

// An embedding has the table's width.
func.func @f(%i: tensor<?xi32, #dsv3.layout<[tokens]>>, %t: tensor<8x4xbf16>) {
  // expected-error@+1 {{result columns must be 4, got 8}}
  %0 = dsv3.embed %i, %t : (tensor<?xi32, #dsv3.layout<[tokens]>>, tensor<8x4xbf16>) -> tensor<?x8xbf16, #dsv3.layout<[tokens]>>
  return
}

// -----

// An embedding has a row per token.
func.func @f(%i: tensor<?xi32, #dsv3.layout<[tokens]>>, %t: tensor<8x4xbf16>) {
  // expected-error@+1 {{tokens and result must have the same rows}}
  %0 = dsv3.embed %i, %t : (tensor<?xi32, #dsv3.layout<[tokens]>>, tensor<8x4xbf16>) -> tensor<?x4xbf16, #dsv3.layout<[logits]>>
  return
}

// -----

// A norm keeps the type.
func.func @f(%x: tensor<?x256xbf16, #dsv3.layout<[tokens]>>, %w: tensor<256xf32>) {
  // expected-error@+1 {{result must have the input's type}}
  %0 = dsv3.rms_norm %x, %w eps 0.5 : (tensor<?x256xbf16, #dsv3.layout<[tokens]>>, tensor<256xf32>) -> tensor<?x256xf32, #dsv3.layout<[tokens]>>
  return
}

// -----

// A norm weight has a value per column.
func.func @f(%x: tensor<?x256xbf16, #dsv3.layout<[tokens]>>, %w: tensor<128xf32>) {
  // expected-error@+1 {{norm weight must be 256, got 128}}
  %0 = dsv3.rms_norm %x, %w eps 0.5 : (tensor<?x256xbf16, #dsv3.layout<[tokens]>>, tensor<128xf32>) -> tensor<?x256xbf16, #dsv3.layout<[tokens]>>
  return
}

// -----

// K is one number.
func.func @f(%x: tensor<?x256xbf16, #dsv3.layout<[tokens]>>, %w: tensor<64x128xbf16>) {
  // expected-error@+1 {{weight columns must be 256, got 128}}
  %0 = dsv3.linear %x, %w : (tensor<?x256xbf16, #dsv3.layout<[tokens]>>, tensor<64x128xbf16>) -> tensor<?x64xbf16, #dsv3.layout<[tokens]>>
  return
}

// -----

// N is one number.
func.func @f(%x: tensor<?x256xbf16, #dsv3.layout<[tokens]>>, %w: tensor<64x256xbf16>) {
  // expected-error@+1 {{result columns must be 64, got 32}}
  %0 = dsv3.linear %x, %w : (tensor<?x256xbf16, #dsv3.layout<[tokens]>>, tensor<64x256xbf16>) -> tensor<?x32xbf16, #dsv3.layout<[tokens]>>
  return
}

// -----

// Rows go in and come out.
func.func @f(%x: tensor<?x256xbf16, #dsv3.layout<[tokens]>>, %w: tensor<64x256xbf16>) {
  // expected-error@+1 {{input and result must have the same rows}}
  %0 = dsv3.linear %x, %w : (tensor<?x256xbf16, #dsv3.layout<[tokens]>>, tensor<64x256xbf16>) -> tensor<?x64xbf16, #dsv3.layout<[routed]>>
  return
}

// -----

// Quantised rows need quantised weights.
func.func @f(%x: tensor<?x256xf8E4M3FN, #dsv3.layout<[tokens], scale = <1x128, f32, k>>>, %w: tensor<64x256xbf16>) {
  // expected-error@+1 {{an FP8 input needs an FP8 weight}}
  %0 = dsv3.linear %x, %w : (tensor<?x256xf8E4M3FN, #dsv3.layout<[tokens], scale = <1x128, f32, k>>>, tensor<64x256xbf16>) -> tensor<?x64xbf16, #dsv3.layout<[tokens]>>
  return
}

// -----

// Activations have a scale per 128 columns.
func.func @f(%x: tensor<?x256xf8E4M3FN, #dsv3.layout<[tokens], scale = <1x64, f32, k>>>, %w: tensor<64x256xf8E4M3FN, #dsv3.layout<scale = <128x128, f32, k>>>) {
  // expected-error@+1 {{input must have scale blocks of 1x128, got 1x64}}
  %0 = dsv3.linear %x, %w : (tensor<?x256xf8E4M3FN, #dsv3.layout<[tokens], scale = <1x64, f32, k>>>, tensor<64x256xf8E4M3FN, #dsv3.layout<scale = <128x128, f32, k>>>) -> tensor<?x64xbf16, #dsv3.layout<[tokens]>>
  return
}

// -----

// A weight has a shape.
func.func @f(%x: tensor<?x256xbf16, #dsv3.layout<[tokens]>>, %w: tensor<?x256xbf16, #dsv3.layout<[tokens]>>) {
  // expected-error@+1 {{weight must have a static shape, got 'tensor<?x256xbf16, #dsv3.layout<[tokens]>>'}}
  %0 = dsv3.linear %x, %w : (tensor<?x256xbf16, #dsv3.layout<[tokens]>>, tensor<?x256xbf16, #dsv3.layout<[tokens]>>) -> tensor<?x64xbf16, #dsv3.layout<[tokens]>>
  return
}

// -----

// Weights have 128x128 blocks.
func.func @f(%x: tensor<?x256xbf16, #dsv3.layout<[tokens]>>, %w: tensor<64x256xf8E4M3FN, #dsv3.layout<scale = <1x128, f32, k>>>) {
  // expected-error@+1 {{weight must have scale blocks of 128x128, got 1x128}}
  %0 = dsv3.linear %x, %w : (tensor<?x256xbf16, #dsv3.layout<[tokens]>>, tensor<64x256xf8E4M3FN, #dsv3.layout<scale = <1x128, f32, k>>>) -> tensor<?x64xbf16, #dsv3.layout<[tokens]>>
  return
}

// -----

// A stack is indexed by expert.
func.func @f(%x: tensor<?x256xbf16, #dsv3.layout<[tokens]>>, %w: tensor<4x64x256xbf16, #dsv3.layout<stack>>) {
  // expected-error@+1 {{a stack of weights needs 'experts'}}
  %0 = dsv3.linear %x, %w : (tensor<?x256xbf16, #dsv3.layout<[tokens]>>, tensor<4x64x256xbf16, #dsv3.layout<stack>>) -> tensor<?x64xbf16, #dsv3.layout<[tokens]>>
  return
}

// -----

// Expert offsets index a stack.
func.func @f(%x: tensor<?x256xbf16, #dsv3.layout<[tokens]>>, %w: tensor<64x256xbf16>, %b: tensor<5xi32>) {
  // expected-error@+1 {{'experts' needs a stack of weights}}
  %0 = dsv3.linear %x, %w experts(%b) : (tensor<?x256xbf16, #dsv3.layout<[tokens]>>, tensor<64x256xbf16>, tensor<5xi32>) -> tensor<?x64xbf16, #dsv3.layout<[tokens]>>
  return
}

// -----

// There is an offset per expert and the end.
func.func @f(%x: tensor<?x256xbf16, #dsv3.layout<[tokens]>>, %w: tensor<4x64x256xbf16, #dsv3.layout<stack>>, %b: tensor<4xi32>) {
  // expected-error@+1 {{expert offsets must be 5, got 4}}
  %0 = dsv3.linear %x, %w experts(%b) : (tensor<?x256xbf16, #dsv3.layout<[tokens]>>, tensor<4x64x256xbf16, #dsv3.layout<stack>>, tensor<4xi32>) -> tensor<?x64xbf16, #dsv3.layout<[tokens]>>
  return
}

// -----

// A gather belongs to experts.
func.func @f(%x: tensor<?x256xbf16, #dsv3.layout<[tokens]>>, %w: tensor<64x256xbf16>, %s: tensor<?xi32, #dsv3.layout<[routed]>>) {
  // expected-error@+1 {{'gather' needs 'experts'}}
  %0 = dsv3.linear %x, %w gather(%s) : (tensor<?x256xbf16, #dsv3.layout<[tokens]>>, tensor<64x256xbf16>, tensor<?xi32, #dsv3.layout<[routed]>>) -> tensor<?x64xbf16, #dsv3.layout<[routed]>>
  return
}

// -----

// Gathered rows come out.
func.func @f(%x: tensor<?x256xbf16, #dsv3.layout<[tokens]>>, %w: tensor<4x64x256xbf16, #dsv3.layout<stack>>, %b: tensor<5xi32>, %s: tensor<?xi32, #dsv3.layout<[routed]>>) {
  // expected-error@+1 {{gathered rows and result must have the same rows}}
  %0 = dsv3.linear %x, %w experts(%b) gather(%s) : (tensor<?x256xbf16, #dsv3.layout<[tokens]>>, tensor<4x64x256xbf16, #dsv3.layout<stack>>, tensor<5xi32>, tensor<?xi32, #dsv3.layout<[routed]>>) -> tensor<?x64xbf16, #dsv3.layout<[tokens]>>
  return
}

// -----

// One epilogue at most.
func.func @f(%x: tensor<?x256xbf16, #dsv3.layout<[tokens]>>, %w: tensor<64x256xbf16>, %t: tensor<16x2x2xf32>, %b: !dsv3.batch, %r: tensor<?x64xbf16, #dsv3.layout<[tokens]>>) {
  // expected-error@+1 {{has at most one epilogue}}
  %0 = dsv3.linear %x, %w rope(%t, %b) heads 8 rope 4 residual(%r) : (tensor<?x256xbf16, #dsv3.layout<[tokens]>>, tensor<64x256xbf16>, tensor<16x2x2xf32>, !dsv3.batch, tensor<?x64xbf16, #dsv3.layout<[tokens]>>) -> tensor<?x64xbf16, #dsv3.layout<[tokens]>>
  return
}

// -----

// A residual has the result's type.
func.func @f(%x: tensor<?x256xbf16, #dsv3.layout<[tokens]>>, %w: tensor<64x256xbf16>, %r: tensor<?x64xf32, #dsv3.layout<[tokens]>>) {
  // expected-error@+1 {{residual must have the result's type}}
  %0 = dsv3.linear %x, %w residual(%r) : (tensor<?x256xbf16, #dsv3.layout<[tokens]>>, tensor<64x256xbf16>, tensor<?x64xf32, #dsv3.layout<[tokens]>>) -> tensor<?x64xbf16, #dsv3.layout<[tokens]>>
  return
}

// -----

// A rope epilogue is complete.
func.func @f(%x: tensor<?x256xbf16, #dsv3.layout<[tokens]>>, %w: tensor<64x256xbf16>) {
  // expected-error@+1 {{a rope epilogue needs a table, a batch, 'heads' and 'rope'}}
  %0 = "dsv3.linear"(%x, %w) <{heads = 8 : i64, operandSegmentSizes = array<i32: 1, 1, 0, 0, 0, 0, 0>}> : (tensor<?x256xbf16, #dsv3.layout<[tokens]>>, tensor<64x256xbf16>) -> tensor<?x64xbf16, #dsv3.layout<[tokens]>>
  return
}

// -----

// Columns are whole heads.
func.func @f(%x: tensor<?x256xbf16, #dsv3.layout<[tokens]>>, %w: tensor<64x256xbf16>, %t: tensor<16x2x2xf32>, %b: !dsv3.batch) {
  // expected-error@+1 {{64 columns are not 7 heads of at least 4}}
  %0 = dsv3.linear %x, %w rope(%t, %b) heads 7 rope 4 : (tensor<?x256xbf16, #dsv3.layout<[tokens]>>, tensor<64x256xbf16>, tensor<16x2x2xf32>, !dsv3.batch) -> tensor<?x64xbf16, #dsv3.layout<[tokens]>>
  return
}

// -----

// The table has the rotary width.
func.func @f(%x: tensor<?x256xbf16, #dsv3.layout<[tokens]>>, %t: tensor<16x2x2xf32>, %b: !dsv3.batch) {
  // expected-error@+1 {{rotary table must be f32[positions, 4, 2]}}
  %0 = dsv3.rope %x, %t, %b heads 8 rope 8 : (tensor<?x256xbf16, #dsv3.layout<[tokens]>>, tensor<16x2x2xf32>, !dsv3.batch) -> tensor<?x256xbf16, #dsv3.layout<[tokens]>>
  return
}

// -----

// Rotary values come in pairs.
func.func @f(%x: tensor<?x256xbf16, #dsv3.layout<[tokens]>>, %t: tensor<16x2x2xf32>, %b: !dsv3.batch) {
  // expected-error@+1 {{rotary width must be positive and even, got 3}}
  %0 = dsv3.rope %x, %t, %b heads 8 rope 3 : (tensor<?x256xbf16, #dsv3.layout<[tokens]>>, tensor<16x2x2xf32>, !dsv3.batch) -> tensor<?x256xbf16, #dsv3.layout<[tokens]>>
  return
}

// -----

// RoPE keeps the type.
func.func @f(%x: tensor<?x256xbf16, #dsv3.layout<[tokens]>>, %t: tensor<16x2x2xf32>, %b: !dsv3.batch) {
  // expected-error@+1 {{result must have the input's type}}
  %0 = dsv3.rope %x, %t, %b heads 8 rope 4 : (tensor<?x256xbf16, #dsv3.layout<[tokens]>>, tensor<16x2x2xf32>, !dsv3.batch) -> tensor<?x256xf32, #dsv3.layout<[tokens]>>
  return
}

// -----

// RoPE works on whole heads.
func.func @f(%x: tensor<?x256xbf16, #dsv3.layout<[tokens]>>, %t: tensor<16x2x2xf32>, %b: !dsv3.batch) {
  // expected-error@+1 {{256 columns are not 3 heads of at least 4}}
  %0 = dsv3.rope %x, %t, %b heads 3 rope 4 : (tensor<?x256xbf16, #dsv3.layout<[tokens]>>, tensor<16x2x2xf32>, !dsv3.batch) -> tensor<?x256xbf16, #dsv3.layout<[tokens]>>
  return
}

// -----

// A slice lies in its input.
func.func @f(%x: tensor<?x256xbf16, #dsv3.layout<[tokens]>>) {
  // expected-error@+1 {{columns 200 to 264 do not lie in an input of 256}}
  %0 = dsv3.slice %x at 200 : (tensor<?x256xbf16, #dsv3.layout<[tokens]>>) -> tensor<?x64xbf16, #dsv3.layout<[tokens]>>
  return
}

// -----

// The latent has the cache's width.
func.func @f(%x: tensor<?x256xbf16, #dsv3.layout<[tokens]>>, %r: tensor<?x4xbf16, #dsv3.layout<[tokens]>>, %b: !dsv3.batch, %c: !dsv3.cache<128 + 4 x bf16>) {
  // expected-error@+1 {{latent width must be 128, got 256}}
  dsv3.append_latent %x, %r, %b to %c : (tensor<?x256xbf16, #dsv3.layout<[tokens]>>, tensor<?x4xbf16, #dsv3.layout<[tokens]>>, !dsv3.batch, !dsv3.cache<128 + 4 x bf16>) -> ()
  return
}

// -----

// The rotary key has the cache's width.
func.func @f(%x: tensor<?x256xbf16, #dsv3.layout<[tokens]>>, %l: tensor<?x128xbf16, #dsv3.layout<[tokens]>>, %b: !dsv3.batch, %c: !dsv3.cache<128 + 4 x bf16>) {
  // expected-error@+1 {{rotary key width must be 4, got 256}}
  dsv3.append_latent %l, %x, %b to %c : (tensor<?x128xbf16, #dsv3.layout<[tokens]>>, tensor<?x256xbf16, #dsv3.layout<[tokens]>>, !dsv3.batch, !dsv3.cache<128 + 4 x bf16>) -> ()
  return
}

// -----

// A query has H (N + R) columns.
func.func @f(%x: tensor<?x256xbf16, #dsv3.layout<[tokens]>>, %w: tensor<48x128xbf16>, %b: !dsv3.batch, %c: !dsv3.cache<128 + 4 x bf16>) {
  // expected-error@+1 {{query columns must be 24, got 256}}
  %0 = dsv3.mla %x, %w over %c, %b heads 2 nope 8 value 16 scale 0.5 : (tensor<?x256xbf16, #dsv3.layout<[tokens]>>, tensor<48x128xbf16>, !dsv3.cache<128 + 4 x bf16>, !dsv3.batch) -> tensor<?x32xbf16, #dsv3.layout<[tokens]>>
  return
}

// -----

// wkv_b has H (N + V) rows.
func.func @f(%x: tensor<?x24xbf16, #dsv3.layout<[tokens]>>, %w: tensor<64x128xbf16>, %b: !dsv3.batch, %c: !dsv3.cache<128 + 4 x bf16>) {
  // expected-error@+1 {{wkv_b rows must be 48, got 64}}
  %0 = dsv3.mla %x, %w over %c, %b heads 2 nope 8 value 16 scale 0.5 : (tensor<?x24xbf16, #dsv3.layout<[tokens]>>, tensor<64x128xbf16>, !dsv3.cache<128 + 4 x bf16>, !dsv3.batch) -> tensor<?x32xbf16, #dsv3.layout<[tokens]>>
  return
}

// -----

// wkv_b reads latents.
func.func @f(%x: tensor<?x24xbf16, #dsv3.layout<[tokens]>>, %w: tensor<48x64xbf16>, %b: !dsv3.batch, %c: !dsv3.cache<128 + 4 x bf16>) {
  // expected-error@+1 {{wkv_b columns must be 128, got 64}}
  %0 = dsv3.mla %x, %w over %c, %b heads 2 nope 8 value 16 scale 0.5 : (tensor<?x24xbf16, #dsv3.layout<[tokens]>>, tensor<48x64xbf16>, !dsv3.cache<128 + 4 x bf16>, !dsv3.batch) -> tensor<?x32xbf16, #dsv3.layout<[tokens]>>
  return
}

// -----

// Attention gives H V columns.
func.func @f(%x: tensor<?x24xbf16, #dsv3.layout<[tokens]>>, %w: tensor<48x128xbf16>, %b: !dsv3.batch, %c: !dsv3.cache<128 + 4 x bf16>) {
  // expected-error@+1 {{result columns must be 32, got 64}}
  %0 = dsv3.mla %x, %w over %c, %b heads 2 nope 8 value 16 scale 0.5 : (tensor<?x24xbf16, #dsv3.layout<[tokens]>>, tensor<48x128xbf16>, !dsv3.cache<128 + 4 x bf16>, !dsv3.batch) -> tensor<?x64xbf16, #dsv3.layout<[tokens]>>
  return
}

// -----

// Both forms yield the result.
func.func @f(%x: tensor<?x256xbf16, #dsv3.layout<[tokens]>>, %y: tensor<?x64xbf16, #dsv3.layout<[tokens]>>) {
  // expected-error@+1 {{each form must yield}}
  %0 = dsv3.attention_forms -> tensor<?x256xbf16, #dsv3.layout<[tokens]>> absorbed(1) {
    dsv3.yield %x : tensor<?x256xbf16, #dsv3.layout<[tokens]>>
  } expanded(1, 1) {
    dsv3.yield %y : tensor<?x64xbf16, #dsv3.layout<[tokens]>>
  }
  return
}

// -----

// Groups divide the experts.
func.func @f(%l: tensor<?x4xf32, #dsv3.layout<[tokens]>>) {
  // expected-error@+1 {{3 groups do not divide 4 experts}}
  %0, %1 = dsv3.gate_topk %l top 2 groups 1 of 3 by max score softmax scale 1.0 : tensor<?x4xf32, #dsv3.layout<[tokens]>> -> tensor<?x2xi32, #dsv3.layout<[tokens]>>, tensor<?x2xf32, #dsv3.layout<[tokens]>>
  return
}

// -----

// No more groups are kept than there are.
func.func @f(%l: tensor<?x4xf32, #dsv3.layout<[tokens]>>) {
  // expected-error@+1 {{cannot keep 3 of 2 groups}}
  %0, %1 = dsv3.gate_topk %l top 2 groups 3 of 2 by max score softmax scale 1.0 : tensor<?x4xf32, #dsv3.layout<[tokens]>> -> tensor<?x2xi32, #dsv3.layout<[tokens]>>, tensor<?x2xf32, #dsv3.layout<[tokens]>>
  return
}

// -----

// The kept groups hold the chosen experts.
func.func @f(%l: tensor<?x4xf32, #dsv3.layout<[tokens]>>) {
  // expected-error@+1 {{cannot choose 3 of the 2 experts in the kept groups}}
  %0, %1 = dsv3.gate_topk %l top 3 groups 1 of 2 by max score softmax scale 1.0 : tensor<?x4xf32, #dsv3.layout<[tokens]>> -> tensor<?x3xi32, #dsv3.layout<[tokens]>>, tensor<?x3xf32, #dsv3.layout<[tokens]>>
  return
}

// -----

// A token has k experts.
func.func @f(%l: tensor<?x4xf32, #dsv3.layout<[tokens]>>) {
  // expected-error@+1 {{result columns must be 2, got 3}}
  %0, %1 = dsv3.gate_topk %l top 2 groups 1 of 1 by max score softmax scale 1.0 : tensor<?x4xf32, #dsv3.layout<[tokens]>> -> tensor<?x3xi32, #dsv3.layout<[tokens]>>, tensor<?x3xf32, #dsv3.layout<[tokens]>>
  return
}

// -----

// A bias has a value per expert.
func.func @f(%l: tensor<?x4xf32, #dsv3.layout<[tokens]>>, %b: tensor<5xf32>) {
  // expected-error@+1 {{bias must be 4, got 5}}
  %0, %1 = dsv3.gate_topk %l bias %b top 2 groups 1 of 1 by max score softmax scale 1.0 : tensor<?x4xf32, #dsv3.layout<[tokens]>>, tensor<5xf32> -> tensor<?x2xi32, #dsv3.layout<[tokens]>>, tensor<?x2xf32, #dsv3.layout<[tokens]>>
  return
}

// -----

// A linear takes any element type, but FP8 only with scales.
func.func @f(%x: tensor<4x256xf8E4M3FN>, %w: tensor<64x256xbf16>) {
  // expected-error@+1 {{operand #0 must be dsv3 tensor (each dynamic extent named by #dsv3.layout, FP8 codes with their scale layout)}}
  %0 = dsv3.linear %x, %w : (tensor<4x256xf8E4M3FN>, tensor<64x256xbf16>) -> tensor<4x64xbf16>
  return
}

// -----

// Places have the shape of ids.
func.func @f(%i: tensor<?x2xi32, #dsv3.layout<[tokens]>>, %b: !dsv3.batch, %c: !dsv3.counts<4>) {
  // expected-error@+1 {{place must have the type of ids}}
  %0, %1, %2 = dsv3.moe_permute %i, %b counting %c : (tensor<?x2xi32, #dsv3.layout<[tokens]>>, !dsv3.batch, !dsv3.counts<4>) -> (tensor<?xi32, #dsv3.layout<[routed]>>, tensor<?x3xi32, #dsv3.layout<[tokens]>>, tensor<5xi32>)
  return
}

// -----

// Sources are routed rows.
func.func @f(%i: tensor<?x2xi32, #dsv3.layout<[tokens]>>, %b: !dsv3.batch, %c: !dsv3.counts<4>) {
  // expected-error@+1 {{source must be i32[routed]}}
  %0, %1, %2 = dsv3.moe_permute %i, %b counting %c : (tensor<?x2xi32, #dsv3.layout<[tokens]>>, !dsv3.batch, !dsv3.counts<4>) -> (tensor<?xi32, #dsv3.layout<[tokens]>>, tensor<?x2xi32, #dsv3.layout<[tokens]>>, tensor<5xi32>)
  return
}

// -----

// Offsets follow the counts.
func.func @f(%i: tensor<?x2xi32, #dsv3.layout<[tokens]>>, %b: !dsv3.batch, %c: !dsv3.counts<4>) {
  // expected-error@+1 {{expert offsets must be 5, got 4}}
  %0, %1, %2 = dsv3.moe_permute %i, %b counting %c : (tensor<?x2xi32, #dsv3.layout<[tokens]>>, !dsv3.batch, !dsv3.counts<4>) -> (tensor<?xi32, #dsv3.layout<[routed]>>, tensor<?x2xi32, #dsv3.layout<[tokens]>>, tensor<4xi32>)
  return
}

// -----

// A weight per choice.
func.func @f(%r: tensor<?x64xbf16, #dsv3.layout<[routed]>>, %p: tensor<?x2xi32, #dsv3.layout<[tokens]>>, %w: tensor<?x3xf32, #dsv3.layout<[tokens]>>) {
  // expected-error@+1 {{weight columns must be 2, got 3}}
  %0 = dsv3.moe_combine %r at %p weighted %w : (tensor<?x64xbf16, #dsv3.layout<[routed]>>, tensor<?x2xi32, #dsv3.layout<[tokens]>>, tensor<?x3xf32, #dsv3.layout<[tokens]>>) -> tensor<?x64xbf16, #dsv3.layout<[tokens]>>
  return
}

// -----

// A sum has the width of its rows.
func.func @f(%r: tensor<?x64xbf16, #dsv3.layout<[routed]>>, %p: tensor<?x2xi32, #dsv3.layout<[tokens]>>, %w: tensor<?x2xf32, #dsv3.layout<[tokens]>>) {
  // expected-error@+1 {{result columns must be 64, got 32}}
  %0 = dsv3.moe_combine %r at %p weighted %w : (tensor<?x64xbf16, #dsv3.layout<[routed]>>, tensor<?x2xi32, #dsv3.layout<[tokens]>>, tensor<?x2xf32, #dsv3.layout<[tokens]>>) -> tensor<?x32xbf16, #dsv3.layout<[tokens]>>
  return
}

// -----

// What is added has the result's type.
func.func @f(%r: tensor<?x64xbf16, #dsv3.layout<[routed]>>, %p: tensor<?x2xi32, #dsv3.layout<[tokens]>>, %w: tensor<?x2xf32, #dsv3.layout<[tokens]>>, %s: tensor<?x64xf32, #dsv3.layout<[tokens]>>) {
  // expected-error@+1 {{shared and residual must have the result's type}}
  %0 = dsv3.moe_combine %r at %p weighted %w residual %s : (tensor<?x64xbf16, #dsv3.layout<[routed]>>, tensor<?x2xi32, #dsv3.layout<[tokens]>>, tensor<?x2xf32, #dsv3.layout<[tokens]>>, tensor<?x64xf32, #dsv3.layout<[tokens]>>) -> tensor<?x64xbf16, #dsv3.layout<[tokens]>>
  return
}

// -----

// A row per index.
func.func @f(%x: tensor<?x256xbf16, #dsv3.layout<[tokens]>>, %i: tensor<?xi32, #dsv3.layout<[logits]>>) {
  // expected-error@+1 {{indices and result must have the same rows}}
  %0 = dsv3.gather_rows %x, %i : (tensor<?x256xbf16, #dsv3.layout<[tokens]>>, tensor<?xi32, #dsv3.layout<[logits]>>) -> tensor<?x256xbf16, #dsv3.layout<[tokens]>>
  return
}

// -----

// Rows stay whole.
func.func @f(%x: tensor<?x256xbf16, #dsv3.layout<[tokens]>>, %i: tensor<?xi32, #dsv3.layout<[logits]>>) {
  // expected-error@+1 {{result columns must be 256, got 64}}
  %0 = dsv3.gather_rows %x, %i : (tensor<?x256xbf16, #dsv3.layout<[tokens]>>, tensor<?xi32, #dsv3.layout<[logits]>>) -> tensor<?x64xbf16, #dsv3.layout<[logits]>>
  return
}

// -----

// Quantisation is per 128 columns.
func.func @f(%x: tensor<?x256xbf16, #dsv3.layout<[tokens]>>) {
  // expected-error@+1 {{result must have scale blocks of 1x128, got 1x64}}
  %0 = dsv3.quantize_tiles %x floor 1.0e-4 : (tensor<?x256xbf16, #dsv3.layout<[tokens]>>) -> tensor<?x256xf8E4M3FN, #dsv3.layout<[tokens], scale = <1x64, f32, k>>>
  return
}

// -----

// Quantisation keeps the shape.
func.func @f(%x: tensor<?x256xbf16, #dsv3.layout<[tokens]>>) {
  // expected-error@+1 {{result columns must be 256, got 128}}
  %0 = dsv3.quantize_tiles %x floor 1.0e-4 : (tensor<?x256xbf16, #dsv3.layout<[tokens]>>) -> tensor<?x128xf8E4M3FN, #dsv3.layout<[tokens], scale = <1x128, f32, k>>>
  return
}

// -----

// The floor of amax is positive.
func.func @f(%x: tensor<?x256xbf16, #dsv3.layout<[tokens]>>) {
  // expected-error@+1 {{'floor' must be positive}}
  %0 = dsv3.quantize_tiles %x floor 0.0 : (tensor<?x256xbf16, #dsv3.layout<[tokens]>>) -> tensor<?x256xf8E4M3FN, #dsv3.layout<[tokens], scale = <1x128, f32, k>>>
  return
}

// -----

// Quantisation gives FP8.
func.func @f(%x: tensor<?x256xbf16, #dsv3.layout<[tokens]>>) {
  // expected-error@+1 {{result #0 must be tensor of f8E4M3FN whose scales and dynamic extents #dsv3.layout gives}}
  %0 = dsv3.quantize_tiles %x floor 1.0e-4 : (tensor<?x256xbf16, #dsv3.layout<[tokens]>>) -> tensor<?x256xbf16, #dsv3.layout<[tokens]>>
  return
}

// -----

// What is drafted from: ids are a vector.
func.func @f(%i: tensor<?x4xi32, #dsv3.layout<[tokens]>>, %t: tensor<8x4xbf16>, %e: tensor<4xf32>, %h: tensor<?x4xbf16, #dsv3.layout<[tokens]>>, %r: tensor<?xi32, #dsv3.layout<[tokens]>>, %n: tensor<4xf32>, %g: tensor<4xf32>) {
  // expected-error@+1 {{tokens must have rank 1}}
  %0 = dsv3.mtp_input %i, %t, %e, %h rows %r, %n, %g eps 0.5 : (tensor<?x4xi32, #dsv3.layout<[tokens]>>, tensor<8x4xbf16>, tensor<4xf32>, tensor<?x4xbf16, #dsv3.layout<[tokens]>>, tensor<?xi32, #dsv3.layout<[tokens]>>, tensor<4xf32>, tensor<4xf32>) -> tensor<?x8xbf16, #dsv3.layout<[tokens]>>
  return
}

// -----

// A table has rows and columns.
func.func @f(%i: tensor<?xi32, #dsv3.layout<[tokens]>>, %t: tensor<8xbf16>, %e: tensor<4xf32>, %h: tensor<?x4xbf16, #dsv3.layout<[tokens]>>, %r: tensor<?xi32, #dsv3.layout<[tokens]>>, %n: tensor<4xf32>, %g: tensor<4xf32>) {
  // expected-error@+1 {{table must have rank 2}}
  %0 = dsv3.mtp_input %i, %t, %e, %h rows %r, %n, %g eps 0.5 : (tensor<?xi32, #dsv3.layout<[tokens]>>, tensor<8xbf16>, tensor<4xf32>, tensor<?x4xbf16, #dsv3.layout<[tokens]>>, tensor<?xi32, #dsv3.layout<[tokens]>>, tensor<4xf32>, tensor<4xf32>) -> tensor<?x8xbf16, #dsv3.layout<[tokens]>>
  return
}

// -----

// A hidden state has rows and columns.
func.func @f(%i: tensor<?xi32, #dsv3.layout<[tokens]>>, %t: tensor<8x4xbf16>, %e: tensor<4xf32>, %h: tensor<?xbf16, #dsv3.layout<[tokens]>>, %r: tensor<?xi32, #dsv3.layout<[tokens]>>, %n: tensor<4xf32>, %g: tensor<4xf32>) {
  // expected-error@+1 {{hidden must have rank 2}}
  %0 = dsv3.mtp_input %i, %t, %e, %h rows %r, %n, %g eps 0.5 : (tensor<?xi32, #dsv3.layout<[tokens]>>, tensor<8x4xbf16>, tensor<4xf32>, tensor<?xbf16, #dsv3.layout<[tokens]>>, tensor<?xi32, #dsv3.layout<[tokens]>>, tensor<4xf32>, tensor<4xf32>) -> tensor<?x8xbf16, #dsv3.layout<[tokens]>>
  return
}

// -----

// Rows are a vector.
func.func @f(%i: tensor<?xi32, #dsv3.layout<[tokens]>>, %t: tensor<8x4xbf16>, %e: tensor<4xf32>, %h: tensor<?x4xbf16, #dsv3.layout<[tokens]>>, %r: tensor<?x2xi32, #dsv3.layout<[tokens]>>, %n: tensor<4xf32>, %g: tensor<4xf32>) {
  // expected-error@+1 {{rows must have rank 1}}
  %0 = dsv3.mtp_input %i, %t, %e, %h rows %r, %n, %g eps 0.5 : (tensor<?xi32, #dsv3.layout<[tokens]>>, tensor<8x4xbf16>, tensor<4xf32>, tensor<?x4xbf16, #dsv3.layout<[tokens]>>, tensor<?x2xi32, #dsv3.layout<[tokens]>>, tensor<4xf32>, tensor<4xf32>) -> tensor<?x8xbf16, #dsv3.layout<[tokens]>>
  return
}

// -----

// The result has rows and columns.
func.func @f(%i: tensor<?xi32, #dsv3.layout<[tokens]>>, %t: tensor<8x4xbf16>, %e: tensor<4xf32>, %h: tensor<?x4xbf16, #dsv3.layout<[tokens]>>, %r: tensor<?xi32, #dsv3.layout<[tokens]>>, %n: tensor<4xf32>, %g: tensor<4xf32>) {
  // expected-error@+1 {{result must have rank 2}}
  %0 = dsv3.mtp_input %i, %t, %e, %h rows %r, %n, %g eps 0.5 : (tensor<?xi32, #dsv3.layout<[tokens]>>, tensor<8x4xbf16>, tensor<4xf32>, tensor<?x4xbf16, #dsv3.layout<[tokens]>>, tensor<?xi32, #dsv3.layout<[tokens]>>, tensor<4xf32>, tensor<4xf32>) -> tensor<?xbf16, #dsv3.layout<[tokens]>>
  return
}

// -----

// A token has a row that feeds it.
func.func @f(%i: tensor<?xi32, #dsv3.layout<[tokens]>>, %t: tensor<8x4xbf16>, %e: tensor<4xf32>, %h: tensor<?x4xbf16, #dsv3.layout<[tokens]>>, %r: tensor<?xi32, #dsv3.layout<[logits]>>, %n: tensor<4xf32>, %g: tensor<4xf32>) {
  // expected-error@+1 {{tokens and rows must have the same rows}}
  %0 = dsv3.mtp_input %i, %t, %e, %h rows %r, %n, %g eps 0.5 : (tensor<?xi32, #dsv3.layout<[tokens]>>, tensor<8x4xbf16>, tensor<4xf32>, tensor<?x4xbf16, #dsv3.layout<[tokens]>>, tensor<?xi32, #dsv3.layout<[logits]>>, tensor<4xf32>, tensor<4xf32>) -> tensor<?x8xbf16, #dsv3.layout<[tokens]>>
  return
}

// -----

// A token has a row of the result.
func.func @f(%i: tensor<?xi32, #dsv3.layout<[tokens]>>, %t: tensor<8x4xbf16>, %e: tensor<4xf32>, %h: tensor<?x4xbf16, #dsv3.layout<[tokens]>>, %r: tensor<?xi32, #dsv3.layout<[tokens]>>, %n: tensor<4xf32>, %g: tensor<4xf32>) {
  // expected-error@+1 {{tokens and result must have the same rows}}
  %0 = dsv3.mtp_input %i, %t, %e, %h rows %r, %n, %g eps 0.5 : (tensor<?xi32, #dsv3.layout<[tokens]>>, tensor<8x4xbf16>, tensor<4xf32>, tensor<?x4xbf16, #dsv3.layout<[tokens]>>, tensor<?xi32, #dsv3.layout<[tokens]>>, tensor<4xf32>, tensor<4xf32>) -> tensor<?x8xbf16, #dsv3.layout<[logits]>>
  return
}

// -----

// Rows are not converted.
func.func @f(%i: tensor<?xi32, #dsv3.layout<[tokens]>>, %t: tensor<8x4xbf16>, %e: tensor<4xf32>, %h: tensor<?x4xf32, #dsv3.layout<[tokens]>>, %r: tensor<?xi32, #dsv3.layout<[tokens]>>, %n: tensor<4xf32>, %g: tensor<4xf32>) {
  // expected-error@+1 {{hidden and result have one element type, got}}
  %0 = dsv3.mtp_input %i, %t, %e, %h rows %r, %n, %g eps 0.5 : (tensor<?xi32, #dsv3.layout<[tokens]>>, tensor<8x4xbf16>, tensor<4xf32>, tensor<?x4xf32, #dsv3.layout<[tokens]>>, tensor<?xi32, #dsv3.layout<[tokens]>>, tensor<4xf32>, tensor<4xf32>) -> tensor<?x8xbf16, #dsv3.layout<[tokens]>>
  return
}

// -----

// The hidden state has the table's width.
func.func @f(%i: tensor<?xi32, #dsv3.layout<[tokens]>>, %t: tensor<8x4xbf16>, %e: tensor<4xf32>, %h: tensor<?x8xbf16, #dsv3.layout<[tokens]>>, %r: tensor<?xi32, #dsv3.layout<[tokens]>>, %n: tensor<4xf32>, %g: tensor<4xf32>) {
  // expected-error@+1 {{hidden columns must be 4, got 8}}
  %0 = dsv3.mtp_input %i, %t, %e, %h rows %r, %n, %g eps 0.5 : (tensor<?xi32, #dsv3.layout<[tokens]>>, tensor<8x4xbf16>, tensor<4xf32>, tensor<?x8xbf16, #dsv3.layout<[tokens]>>, tensor<?xi32, #dsv3.layout<[tokens]>>, tensor<4xf32>, tensor<4xf32>) -> tensor<?x8xbf16, #dsv3.layout<[tokens]>>
  return
}

// -----

// Each norm has the table's width: the embedding's,
func.func @f(%i: tensor<?xi32, #dsv3.layout<[tokens]>>, %t: tensor<8x4xbf16>, %e: tensor<2xf32>, %h: tensor<?x4xbf16, #dsv3.layout<[tokens]>>, %r: tensor<?xi32, #dsv3.layout<[tokens]>>, %n: tensor<4xf32>, %g: tensor<4xf32>) {
  // expected-error@+1 {{enorm weight must be 4, got 2}}
  %0 = dsv3.mtp_input %i, %t, %e, %h rows %r, %n, %g eps 0.5 : (tensor<?xi32, #dsv3.layout<[tokens]>>, tensor<8x4xbf16>, tensor<2xf32>, tensor<?x4xbf16, #dsv3.layout<[tokens]>>, tensor<?xi32, #dsv3.layout<[tokens]>>, tensor<4xf32>, tensor<4xf32>) -> tensor<?x8xbf16, #dsv3.layout<[tokens]>>
  return
}

// -----

// the model's,
func.func @f(%i: tensor<?xi32, #dsv3.layout<[tokens]>>, %t: tensor<8x4xbf16>, %e: tensor<4xf32>, %h: tensor<?x4xbf16, #dsv3.layout<[tokens]>>, %r: tensor<?xi32, #dsv3.layout<[tokens]>>, %n: tensor<2xf32>, %g: tensor<4xf32>) {
  // expected-error@+1 {{norm weight must be 4, got 2}}
  %0 = dsv3.mtp_input %i, %t, %e, %h rows %r, %n, %g eps 0.5 : (tensor<?xi32, #dsv3.layout<[tokens]>>, tensor<8x4xbf16>, tensor<4xf32>, tensor<?x4xbf16, #dsv3.layout<[tokens]>>, tensor<?xi32, #dsv3.layout<[tokens]>>, tensor<2xf32>, tensor<4xf32>) -> tensor<?x8xbf16, #dsv3.layout<[tokens]>>
  return
}

// -----

// the hidden state's.
func.func @f(%i: tensor<?xi32, #dsv3.layout<[tokens]>>, %t: tensor<8x4xbf16>, %e: tensor<4xf32>, %h: tensor<?x4xbf16, #dsv3.layout<[tokens]>>, %r: tensor<?xi32, #dsv3.layout<[tokens]>>, %n: tensor<4xf32>, %g: tensor<2xf32>) {
  // expected-error@+1 {{hnorm weight must be 4, got 2}}
  %0 = dsv3.mtp_input %i, %t, %e, %h rows %r, %n, %g eps 0.5 : (tensor<?xi32, #dsv3.layout<[tokens]>>, tensor<8x4xbf16>, tensor<4xf32>, tensor<?x4xbf16, #dsv3.layout<[tokens]>>, tensor<?xi32, #dsv3.layout<[tokens]>>, tensor<4xf32>, tensor<2xf32>) -> tensor<?x8xbf16, #dsv3.layout<[tokens]>>
  return
}

// -----

// Two halves.
func.func @f(%i: tensor<?xi32, #dsv3.layout<[tokens]>>, %t: tensor<8x4xbf16>, %e: tensor<4xf32>, %h: tensor<?x4xbf16, #dsv3.layout<[tokens]>>, %r: tensor<?xi32, #dsv3.layout<[tokens]>>, %n: tensor<4xf32>, %g: tensor<4xf32>) {
  // expected-error@+1 {{result columns must be 8, got 4}}
  %0 = dsv3.mtp_input %i, %t, %e, %h rows %r, %n, %g eps 0.5 : (tensor<?xi32, #dsv3.layout<[tokens]>>, tensor<8x4xbf16>, tensor<4xf32>, tensor<?x4xbf16, #dsv3.layout<[tokens]>>, tensor<?xi32, #dsv3.layout<[tokens]>>, tensor<4xf32>, tensor<4xf32>) -> tensor<?x4xbf16, #dsv3.layout<[tokens]>>
  return
}
