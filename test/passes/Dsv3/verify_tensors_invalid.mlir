// Ranks that share heads and tokens: what a rank has of a value is known for what it
// is until it is whole.
// RUN: hadal-opt %s --hadal-verify-dsv3="stage=sharded" -split-input-file -verify-diagnostics

// A residual is added behind the reduction.
module attributes {dsv3.mesh = #dsv3.mesh<tp 2, dp 1, ep 1, node 8, slots 0>} {
dsv3.parameter @rows : tensor<128x256xbf16> from ["r"] accepts [bf16] place map split <rows by tp of 64>
dsv3.parameter @cols : tensor<256x128xbf16> from ["c"] accepts [bf16] place copy split <cols by tp of 64>
dsv3.parameter @whole : tensor<128x256xbf16> from ["w"] accepts [bf16] place map
func.func @f(%x: tensor<?x256xbf16, #dsv3.layout<[tokens]>>) {
  %r = dsv3.get_parameter @rows : tensor<128x256xbf16>
  %h = dsv3.linear %x, %r : (tensor<?x256xbf16, #dsv3.layout<[tokens]>>, tensor<128x256xbf16>) -> tensor<?x128xbf16, #dsv3.layout<[tokens]>>
  %c = dsv3.get_parameter @cols : tensor<256x128xbf16>
  %p = dsv3.linear %h, %c : (tensor<?x128xbf16, #dsv3.layout<[tokens]>>, tensor<256x128xbf16>) -> tensor<?x256xbf16, #dsv3.layout<[tokens]>>
  // expected-error@+1 {{H2001: 'dsv3.add' op reads a sum over ranks that is not formed yet; only a reduction over tp may}}
  %a = dsv3.add %x, %p : tensor<?x256xbf16, #dsv3.layout<[tokens]>>
  return
}
}

// -----

// Nor by the product itself, on each rank.
module attributes {dsv3.mesh = #dsv3.mesh<tp 2, dp 1, ep 1, node 8, slots 0>} {
dsv3.parameter @rows : tensor<128x256xbf16> from ["r"] accepts [bf16] place map split <rows by tp of 64>
dsv3.parameter @cols : tensor<256x128xbf16> from ["c"] accepts [bf16] place copy split <cols by tp of 64>
dsv3.parameter @whole : tensor<128x256xbf16> from ["w"] accepts [bf16] place map
func.func @f(%x: tensor<?x256xbf16, #dsv3.layout<[tokens]>>) {
  %r = dsv3.get_parameter @rows : tensor<128x256xbf16>
  %h = dsv3.linear %x, %r : (tensor<?x256xbf16, #dsv3.layout<[tokens]>>, tensor<128x256xbf16>) -> tensor<?x128xbf16, #dsv3.layout<[tokens]>>
  %c = dsv3.get_parameter @cols : tensor<256x128xbf16>
  // expected-error@+1 {{H2001: 'dsv3.linear' op adds a residual to a sum over ranks, each of which would add it}}
  %p = dsv3.linear %h, %c residual(%x) : (tensor<?x128xbf16, #dsv3.layout<[tokens]>>, tensor<256x128xbf16>, tensor<?x256xbf16, #dsv3.layout<[tokens]>>) -> tensor<?x256xbf16, #dsv3.layout<[tokens]>>
  return
}
}

// -----

// A partial sum is not gathered, nor its slice taken.
module attributes {dsv3.mesh = #dsv3.mesh<tp 2, dp 1, ep 1, node 8, slots 0>} {
dsv3.parameter @rows : tensor<128x256xbf16> from ["r"] accepts [bf16] place map split <rows by tp of 64>
dsv3.parameter @cols : tensor<256x128xbf16> from ["c"] accepts [bf16] place copy split <cols by tp of 64>
dsv3.parameter @whole : tensor<128x256xbf16> from ["w"] accepts [bf16] place map
func.func @f(%x: tensor<?x256xbf16, #dsv3.layout<[tokens]>>) {
  %r = dsv3.get_parameter @rows : tensor<128x256xbf16>
  %h = dsv3.linear %x, %r : (tensor<?x256xbf16, #dsv3.layout<[tokens]>>, tensor<128x256xbf16>) -> tensor<?x128xbf16, #dsv3.layout<[tokens]>>
  %c = dsv3.get_parameter @cols : tensor<256x128xbf16>
  %p = dsv3.linear %h, %c : (tensor<?x128xbf16, #dsv3.layout<[tokens]>>, tensor<256x128xbf16>) -> tensor<?x256xbf16, #dsv3.layout<[tokens]>>
  // expected-error@+1 {{H2001: 'dsv3.take_slice' op reads a sum over ranks that is not formed yet; only a reduction over tp may}}
  %a = dsv3.take_slice %p : (tensor<?x256xbf16, #dsv3.layout<[tokens]>>) -> tensor<?x256xbf16, #dsv3.layout<[slice]>>
  return
}
}

// -----

// It leaves no function.
module attributes {dsv3.mesh = #dsv3.mesh<tp 2, dp 1, ep 1, node 8, slots 0>} {
dsv3.parameter @rows : tensor<128x256xbf16> from ["r"] accepts [bf16] place map split <rows by tp of 64>
dsv3.parameter @cols : tensor<256x128xbf16> from ["c"] accepts [bf16] place copy split <cols by tp of 64>
dsv3.parameter @whole : tensor<128x256xbf16> from ["w"] accepts [bf16] place map
func.func private @g(tensor<?x256xbf16, #dsv3.layout<[tokens]>>)
func.func @f(%x: tensor<?x256xbf16, #dsv3.layout<[tokens]>>) {
  %r = dsv3.get_parameter @rows : tensor<128x256xbf16>
  %h = dsv3.linear %x, %r : (tensor<?x256xbf16, #dsv3.layout<[tokens]>>, tensor<128x256xbf16>) -> tensor<?x128xbf16, #dsv3.layout<[tokens]>>
  %c = dsv3.get_parameter @cols : tensor<256x128xbf16>
  %p = dsv3.linear %h, %c : (tensor<?x128xbf16, #dsv3.layout<[tokens]>>, tensor<256x128xbf16>) -> tensor<?x256xbf16, #dsv3.layout<[tokens]>>
  // expected-error@+1 {{H2001: 'func.call' op reads a sum over ranks that is not formed yet; only a reduction over tp may}}
  call @g(%p) : (tensor<?x256xbf16, #dsv3.layout<[tokens]>>) -> ()
  return
}
}

// -----

// It is not what a norm reads.
module attributes {dsv3.mesh = #dsv3.mesh<tp 2, dp 1, ep 1, node 8, slots 0>} {
dsv3.parameter @rows : tensor<128x256xbf16> from ["r"] accepts [bf16] place map split <rows by tp of 64>
dsv3.parameter @cols : tensor<256x128xbf16> from ["c"] accepts [bf16] place copy split <cols by tp of 64>
dsv3.parameter @whole : tensor<128x256xbf16> from ["w"] accepts [bf16] place map
func.func @f(%x: tensor<?x256xbf16, #dsv3.layout<[tokens]>>, %w: tensor<256xf32>) {
  %r = dsv3.get_parameter @rows : tensor<128x256xbf16>
  %h = dsv3.linear %x, %r : (tensor<?x256xbf16, #dsv3.layout<[tokens]>>, tensor<128x256xbf16>) -> tensor<?x128xbf16, #dsv3.layout<[tokens]>>
  %c = dsv3.get_parameter @cols : tensor<256x128xbf16>
  %p = dsv3.linear %h, %c : (tensor<?x128xbf16, #dsv3.layout<[tokens]>>, tensor<256x128xbf16>) -> tensor<?x256xbf16, #dsv3.layout<[tokens]>>
  // expected-error@+1 {{H2001: 'dsv3.rms_norm' op reads a sum over ranks that is not formed yet; only a reduction over tp may}}
  %a = dsv3.rms_norm %p, %w eps 1.0e-06 : (tensor<?x256xbf16, #dsv3.layout<[tokens]>>, tensor<256xf32>) -> tensor<?x256xbf16, #dsv3.layout<[tokens]>>
  return
}
}

// -----

// Nor what is quantised.
module attributes {dsv3.mesh = #dsv3.mesh<tp 2, dp 1, ep 1, node 8, slots 0>} {
dsv3.parameter @rows : tensor<128x256xbf16> from ["r"] accepts [bf16] place map split <rows by tp of 64>
dsv3.parameter @cols : tensor<256x128xbf16> from ["c"] accepts [bf16] place copy split <cols by tp of 64>
dsv3.parameter @whole : tensor<128x256xbf16> from ["w"] accepts [bf16] place map
func.func @f(%x: tensor<?x256xbf16, #dsv3.layout<[tokens]>>) {
  %r = dsv3.get_parameter @rows : tensor<128x256xbf16>
  %h = dsv3.linear %x, %r : (tensor<?x256xbf16, #dsv3.layout<[tokens]>>, tensor<128x256xbf16>) -> tensor<?x128xbf16, #dsv3.layout<[tokens]>>
  %c = dsv3.get_parameter @cols : tensor<256x128xbf16>
  %p = dsv3.linear %h, %c : (tensor<?x128xbf16, #dsv3.layout<[tokens]>>, tensor<256x128xbf16>) -> tensor<?x256xbf16, #dsv3.layout<[tokens]>>
  // expected-error@+1 {{H2001: 'dsv3.quantize_tiles' op reads a sum over ranks that is not formed yet; only a reduction over tp may}}
  %a = dsv3.quantize_tiles %p floor 1.0e-04 : (tensor<?x256xbf16, #dsv3.layout<[tokens]>>) -> tensor<?x256xf8E4M3FN, #dsv3.layout<[tokens], scale = <1x128, f32, k>>>
  return
}
}

// -----

// Nor what another product reads.
module attributes {dsv3.mesh = #dsv3.mesh<tp 2, dp 1, ep 1, node 8, slots 0>} {
dsv3.parameter @rows : tensor<128x256xbf16> from ["r"] accepts [bf16] place map split <rows by tp of 64>
dsv3.parameter @cols : tensor<256x128xbf16> from ["c"] accepts [bf16] place copy split <cols by tp of 64>
dsv3.parameter @whole : tensor<128x256xbf16> from ["w"] accepts [bf16] place map
func.func @f(%x: tensor<?x256xbf16, #dsv3.layout<[tokens]>>) {
  %r = dsv3.get_parameter @rows : tensor<128x256xbf16>
  %h = dsv3.linear %x, %r : (tensor<?x256xbf16, #dsv3.layout<[tokens]>>, tensor<128x256xbf16>) -> tensor<?x128xbf16, #dsv3.layout<[tokens]>>
  %c = dsv3.get_parameter @cols : tensor<256x128xbf16>
  %p = dsv3.linear %h, %c : (tensor<?x128xbf16, #dsv3.layout<[tokens]>>, tensor<256x128xbf16>) -> tensor<?x256xbf16, #dsv3.layout<[tokens]>>
  %w = dsv3.get_parameter @whole : tensor<128x256xbf16>
  // expected-error@+1 {{H2001: 'dsv3.linear' op reads a sum over ranks that is not formed yet; only a reduction over tp may}}
  %a = dsv3.linear %p, %w : (tensor<?x256xbf16, #dsv3.layout<[tokens]>>, tensor<128x256xbf16>) -> tensor<?x128xbf16, #dsv3.layout<[tokens]>>
  return
}
}

// -----

// What each rank has whole is not summed.
module attributes {dsv3.mesh = #dsv3.mesh<tp 2, dp 1, ep 1, node 8, slots 0>} {
dsv3.parameter @rows : tensor<128x256xbf16> from ["r"] accepts [bf16] place map split <rows by tp of 64>
dsv3.parameter @cols : tensor<256x128xbf16> from ["c"] accepts [bf16] place copy split <cols by tp of 64>
dsv3.parameter @whole : tensor<128x256xbf16> from ["w"] accepts [bf16] place map
func.func @f(%x: tensor<?x256xbf16, #dsv3.layout<[tokens]>>) {
  // expected-error@+1 {{H2001: 'dsv3.reduce_scatter' op sums over ranks what is no partial sum}}
  %a = dsv3.reduce_scatter %x over tp : (tensor<?x256xbf16, #dsv3.layout<[tokens]>>) -> tensor<?x256xbf16, #dsv3.layout<[slice]>>
  return
}
}

// -----

// Not by a collective that is on its way either.
module attributes {dsv3.mesh = #dsv3.mesh<tp 2, dp 1, ep 1, node 8, slots 0>} {
dsv3.parameter @rows : tensor<128x256xbf16> from ["r"] accepts [bf16] place map split <rows by tp of 64>
dsv3.parameter @cols : tensor<256x128xbf16> from ["c"] accepts [bf16] place copy split <cols by tp of 64>
dsv3.parameter @whole : tensor<128x256xbf16> from ["w"] accepts [bf16] place map
func.func @f(%x: tensor<?x256xbf16, #dsv3.layout<[tokens]>>) {
  // expected-error@+1 {{H2001: 'dsv3.start' op sums over ranks what is no partial sum}}
  %a = dsv3.start all_reduce over tp (%x) label "x" : (tensor<?x256xbf16, #dsv3.layout<[tokens]>>) -> !dsv3.pending<tensor<?x256xbf16, #dsv3.layout<[tokens]>>>
  %b = dsv3.await %a : !dsv3.pending<tensor<?x256xbf16, #dsv3.layout<[tokens]>>> -> tensor<?x256xbf16, #dsv3.layout<[tokens]>>
  return
}
}

// -----

// A sum that is formed is whole.
module attributes {dsv3.mesh = #dsv3.mesh<tp 2, dp 1, ep 1, node 8, slots 0>} {
dsv3.parameter @rows : tensor<128x256xbf16> from ["r"] accepts [bf16] place map split <rows by tp of 64>
dsv3.parameter @cols : tensor<256x128xbf16> from ["c"] accepts [bf16] place copy split <cols by tp of 64>
dsv3.parameter @whole : tensor<128x256xbf16> from ["w"] accepts [bf16] place map
func.func @f(%x: tensor<?x256xbf16, #dsv3.layout<[tokens]>>) {
  %r = dsv3.get_parameter @rows : tensor<128x256xbf16>
  %h = dsv3.linear %x, %r : (tensor<?x256xbf16, #dsv3.layout<[tokens]>>, tensor<128x256xbf16>) -> tensor<?x128xbf16, #dsv3.layout<[tokens]>>
  %c = dsv3.get_parameter @cols : tensor<256x128xbf16>
  %p = dsv3.linear %h, %c : (tensor<?x128xbf16, #dsv3.layout<[tokens]>>, tensor<256x128xbf16>) -> tensor<?x256xbf16, #dsv3.layout<[tokens]>>
  %s = dsv3.start reduce_scatter over tp (%p) label "x" : (tensor<?x256xbf16, #dsv3.layout<[tokens]>>) -> !dsv3.pending<tensor<?x256xbf16, #dsv3.layout<[slice]>>>
  %b = dsv3.await %s : !dsv3.pending<tensor<?x256xbf16, #dsv3.layout<[slice]>>> -> tensor<?x256xbf16, #dsv3.layout<[slice]>>
  // expected-error@+1 {{H2001: 'dsv3.start' op sums over ranks what is no partial sum}}
  %t = dsv3.start all_reduce over tp (%x) label "x" : (tensor<?x256xbf16, #dsv3.layout<[tokens]>>) -> !dsv3.pending<tensor<?x256xbf16, #dsv3.layout<[tokens]>>>
  %u = dsv3.await %t : !dsv3.pending<tensor<?x256xbf16, #dsv3.layout<[tokens]>>> -> tensor<?x256xbf16, #dsv3.layout<[tokens]>>
  return
}
}

// -----

// A rank's columns are not gathered as rows.
module attributes {dsv3.mesh = #dsv3.mesh<tp 2, dp 1, ep 1, node 8, slots 0>} {
dsv3.parameter @rows : tensor<128x256xbf16> from ["r"] accepts [bf16] place map split <rows by tp of 64>
dsv3.parameter @cols : tensor<256x128xbf16> from ["c"] accepts [bf16] place copy split <cols by tp of 64>
dsv3.parameter @whole : tensor<128x256xbf16> from ["w"] accepts [bf16] place map
func.func @f(%x: tensor<?x256xbf16, #dsv3.layout<[tokens]>>, %s: tensor<?x128xbf16, #dsv3.layout<[slice]>>) {
  %r = dsv3.get_parameter @rows : tensor<128x256xbf16>
  %h = dsv3.linear %x, %r : (tensor<?x256xbf16, #dsv3.layout<[tokens]>>, tensor<128x256xbf16>) -> tensor<?x128xbf16, #dsv3.layout<[tokens]>>
  // expected-error@+1 {{H2001: 'dsv3.add' op reads a rank's columns as if they were all}}
  %a = dsv3.add %h, %h : tensor<?x128xbf16, #dsv3.layout<[tokens]>>
  return
}
}

// -----

// A product with a whole weight needs all of them.
module attributes {dsv3.mesh = #dsv3.mesh<tp 2, dp 1, ep 1, node 8, slots 0>} {
dsv3.parameter @rows : tensor<128x256xbf16> from ["r"] accepts [bf16] place map split <rows by tp of 64>
dsv3.parameter @cols : tensor<256x128xbf16> from ["c"] accepts [bf16] place copy split <cols by tp of 64>
dsv3.parameter @whole : tensor<128x256xbf16> from ["w"] accepts [bf16] place map
dsv3.parameter @square : tensor<128x128xbf16> from ["s"] accepts [bf16] place map
func.func @f(%x: tensor<?x256xbf16, #dsv3.layout<[tokens]>>) {
  %r = dsv3.get_parameter @rows : tensor<128x256xbf16>
  %h = dsv3.linear %x, %r : (tensor<?x256xbf16, #dsv3.layout<[tokens]>>, tensor<128x256xbf16>) -> tensor<?x128xbf16, #dsv3.layout<[tokens]>>
  %w = dsv3.get_parameter @square : tensor<128x128xbf16>
  // expected-error@+1 {{H2001: 'dsv3.linear' op reads a rank's columns as if they were all}}
  %a = dsv3.linear %h, %w : (tensor<?x128xbf16, #dsv3.layout<[tokens]>>, tensor<128x128xbf16>) -> tensor<?x128xbf16, #dsv3.layout<[tokens]>>
  return
}
}

// -----

// Columns of a weight meet the rank's columns.
module attributes {dsv3.mesh = #dsv3.mesh<tp 2, dp 1, ep 1, node 8, slots 0>} {
dsv3.parameter @rows : tensor<128x256xbf16> from ["r"] accepts [bf16] place map split <rows by tp of 64>
dsv3.parameter @cols : tensor<256x128xbf16> from ["c"] accepts [bf16] place copy split <cols by tp of 64>
dsv3.parameter @whole : tensor<128x256xbf16> from ["w"] accepts [bf16] place map
func.func @f(%y: tensor<?x128xbf16, #dsv3.layout<[tokens]>>) {
  %c = dsv3.get_parameter @cols : tensor<256x128xbf16>
  // expected-error@+1 {{H2001: 'dsv3.linear' op multiplies by a rank's columns of a weight what is not those columns}}
  %p = dsv3.linear %y, %c : (tensor<?x128xbf16, #dsv3.layout<[tokens]>>, tensor<256x128xbf16>) -> tensor<?x256xbf16, #dsv3.layout<[tokens]>>
  return
}
}

// -----

// The ranks' slices have other rows.
module attributes {dsv3.mesh = #dsv3.mesh<tp 2, dp 1, ep 1, node 8, slots 0>} {
dsv3.parameter @rows : tensor<128x256xbf16> from ["r"] accepts [bf16] place map split <rows by tp of 64>
dsv3.parameter @cols : tensor<256x128xbf16> from ["c"] accepts [bf16] place copy split <cols by tp of 64>
dsv3.parameter @whole : tensor<128x256xbf16> from ["w"] accepts [bf16] place map
func.func @f(%s: tensor<?x256xbf16, #dsv3.layout<[slice]>>) {
  %r = dsv3.get_parameter @rows : tensor<128x256xbf16>
  // expected-error@+1 {{H2001: 'dsv3.linear' op multiplies a slice by a rank's part of a weight}}
  %h = dsv3.linear %s, %r : (tensor<?x256xbf16, #dsv3.layout<[slice]>>, tensor<128x256xbf16>) -> tensor<?x128xbf16, #dsv3.layout<[slice]>>
  return
}
}

// -----

// The cache holds all tokens.
module attributes {dsv3.mesh = #dsv3.mesh<tp 2, dp 1, ep 1, node 8, slots 0>} {
func.func @f(%l: tensor<?x128xbf16, #dsv3.layout<[slice]>>, %k: tensor<?x64xbf16, #dsv3.layout<[slice]>>, %b: !dsv3.batch, %c: !dsv3.cache<128 + 64 x bf16>) {
  // expected-error@+1 {{H2001: 'dsv3.append_latent' op needs the rows of all ranks and reads a slice}}
  dsv3.append_latent %l, %k, %b to %c : (tensor<?x128xbf16, #dsv3.layout<[slice]>>, tensor<?x64xbf16, #dsv3.layout<[slice]>>, !dsv3.batch, !dsv3.cache<128 + 64 x bf16>) -> ()
  return
}
}

// -----

// Rotation goes by the place among all.
module attributes {dsv3.mesh = #dsv3.mesh<tp 2, dp 1, ep 1, node 8, slots 0>} {
func.func @f(%k: tensor<?x64xbf16, #dsv3.layout<[slice]>>, %b: !dsv3.batch, %t: tensor<64x32x2xf32>) {
  // expected-error@+1 {{H2001: 'dsv3.rope' op needs the rows of all ranks and reads a slice}}
  %a = dsv3.rope %k, %t, %b heads 1 rope 64 : (tensor<?x64xbf16, #dsv3.layout<[slice]>>, tensor<64x32x2xf32>, !dsv3.batch) -> tensor<?x64xbf16, #dsv3.layout<[slice]>>
  return
}
}

// -----

// Fused too.
module attributes {dsv3.mesh = #dsv3.mesh<tp 2, dp 1, ep 1, node 8, slots 0>} {
func.func @f(%x: tensor<?x64xbf16, #dsv3.layout<[slice]>>, %w: tensor<64x64xbf16>, %b: !dsv3.batch, %t: tensor<64x32x2xf32>) {
  // expected-error@+1 {{H2001: 'dsv3.linear' op needs the rows of all ranks and reads a slice}}
  %a = dsv3.linear %x, %w rope(%t, %b) heads 1 rope 64 : (tensor<?x64xbf16, #dsv3.layout<[slice]>>, tensor<64x64xbf16>, tensor<64x32x2xf32>, !dsv3.batch) -> tensor<?x64xbf16, #dsv3.layout<[slice]>>
  return
}
}

// -----

// Attention reads all queries.
module attributes {dsv3.mesh = #dsv3.mesh<tp 2, dp 1, ep 1, node 8, slots 0>} {
func.func @f(%q: tensor<?x192xbf16, #dsv3.layout<[slice]>>, %b: !dsv3.batch, %c: !dsv3.cache<128 + 64 x bf16>) {
  // expected-error@+1 {{H2001: 'dsv3.mla_decode' op needs the rows of all ranks and reads a slice}}
  %a = dsv3.mla_decode %q over %c, %b heads 1 scale 0.5 : (tensor<?x192xbf16, #dsv3.layout<[slice]>>, !dsv3.cache<128 + 64 x bf16>, !dsv3.batch) -> tensor<?x128xbf16, #dsv3.layout<[slice]>>
  return
}
}

// -----

// The head reads rows of all tokens.
module attributes {dsv3.mesh = #dsv3.mesh<tp 2, dp 1, ep 1, node 8, slots 0>} {
func.func @f(%s: tensor<?x256xbf16, #dsv3.layout<[slice]>>, %i: tensor<?xi32, #dsv3.layout<[logits]>>, %w: tensor<256xf32>) {
  // expected-error@+1 {{H2001: 'dsv3.norm_quant' op needs the rows of all ranks and reads a slice}}
  %a = dsv3.norm_quant %s gather %i, %w eps 1.0e-06 : tensor<?x256xbf16, #dsv3.layout<[slice]>>, tensor<?xi32, #dsv3.layout<[logits]>>, tensor<256xf32> -> norm tensor<?x256xbf16, #dsv3.layout<[logits]>>
  return
}
}

// -----

// A rank's heads have the rank's part of W_kv_b.
module attributes {dsv3.mesh = #dsv3.mesh<tp 2, dp 1, ep 1, node 8, slots 0>} {
dsv3.parameter @kvb : tensor<256x128xbf16> from ["k"] accepts [bf16] place map split <rows by tp of 128>
func.func @f(%q: tensor<?x256xbf16, #dsv3.layout<[tokens]>>, %b: !dsv3.batch, %c: !dsv3.cache<128 + 64 x bf16>) {
  %k = dsv3.get_parameter @kvb : tensor<256x128xbf16>
  // expected-error@+1 {{H2001: 'dsv3.mla' op has heads of which either the values or the weight are a rank's, but not both}}
  %a = dsv3.mla %q, %k over %c, %b heads 2 nope 64 value 64 scale 0.5 : (tensor<?x256xbf16, #dsv3.layout<[tokens]>>, tensor<256x128xbf16>, !dsv3.cache<128 + 64 x bf16>, !dsv3.batch) -> tensor<?x128xbf16, #dsv3.layout<[tokens]>>
  return
}
}

// -----

// A part is whole scale blocks.
module attributes {dsv3.mesh = #dsv3.mesh<tp 2, dp 1, ep 1, node 8, slots 0>} {
dsv3.parameter @s : tensor<2x1xf32> from ["s"] accepts [f32] place copy split <rows by tp of 1>
// expected-error@+1 {{H2001: 'dsv3.parameter' op has 192 rows a rank, which cut a scale block}}
dsv3.parameter @w : tensor<192x128xf8E4M3FN, #dsv3.layout<scale = <128x128, f32, k>>> from ["w"] accepts [f8E4M3FN] place map scale @s split <rows by tp of 192>
}

// -----

// Of int4 codes whole groups.
module attributes {dsv3.mesh = #dsv3.mesh<tp 2, dp 1, ep 1, node 8, slots 0>} {
dsv3.parameter @s : tensor<192x2xbf16> from ["s"] accepts [bf16] place copy split <cols by tp of 1>
// expected-error@+1 {{H2001: 'dsv3.parameter' op has scales that are not split as it is}}
dsv3.parameter @w : tensor<192x64xi4, #dsv3.layout<scale = <1x32, bf16, k>>> from ["w"] accepts [i4] place copy scale @s split <rows by tp of 64>
}

// -----

// And whole heads.
module attributes {dsv3.mesh = #dsv3.mesh<tp 2, dp 1, ep 1, node 8, slots 0>} {
// expected-error@+1 {{H2001: 'dsv3.parameter' op has 192 columns a rank, which are no whole units of 128}}
dsv3.parameter @w : tensor<64x192xbf16> from ["w"] accepts [bf16] place copy split <cols by tp of 128>
}

// -----

// Its scales are the same part.
module attributes {dsv3.mesh = #dsv3.mesh<tp 2, dp 1, ep 1, node 8, slots 0>} {
dsv3.parameter @s : tensor<2x1xf32> from ["s"] accepts [f32] place copy split <cols by tp of 1>
// expected-error@+1 {{H2001: 'dsv3.parameter' op has scales that are not split as it is}}
dsv3.parameter @w : tensor<256x128xf8E4M3FN, #dsv3.layout<scale = <128x128, f32, k>>> from ["w"] accepts [f8E4M3FN] place map scale @s split <rows by tp of 128>
}

// -----

// Of the ranks of the mesh.
module attributes {dsv3.mesh = #dsv3.mesh<tp 1, dp 1, ep 1, node 8, slots 0>} {
// expected-error@+1 {{H2001: 'dsv3.parameter' op is split over tp, which the mesh has not}}
dsv3.parameter @w : tensor<64x192xbf16> from ["w"] accepts [bf16] place copy split <cols by tp of 64>
}

// -----

// A layer's weights are split in one way.
module attributes {dsv3.mesh = #dsv3.mesh<tp 2, dp 1, ep 1, node 8, slots 0>} {
dsv3.parameter @rows : tensor<128x256xbf16> from ["r"] accepts [bf16] place map split <rows by tp of 64>
dsv3.parameter @cols : tensor<256x128xbf16> from ["c"] accepts [bf16] place copy split <cols by tp of 64>
dsv3.parameter @whole : tensor<128x256xbf16> from ["w"] accepts [bf16] place map
func.func private @layer(%w: tensor<128x256xbf16>) { return }
func.func @f() {
  %r = dsv3.get_parameter @rows : tensor<128x256xbf16>
  %w = dsv3.get_parameter @whole : tensor<128x256xbf16>
  call @layer(%r) : (tensor<128x256xbf16>) -> ()
  // expected-error@+1 {{H2001: 'func.call' op gives a weight that another call splits otherwise}}
  call @layer(%w) : (tensor<128x256xbf16>) -> ()
  return
}
}
