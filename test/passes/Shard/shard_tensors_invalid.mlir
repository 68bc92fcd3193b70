// What ranks cannot share is refused.
// RUN: hadal-opt %s --hadal-shard-layers=vocab=tp -split-input-file -verify-diagnostics

// Heads are dealt out evenly.
!x = tensor<?x256xbf16, #dsv3.layout<[tokens]>>
module attributes {dsv3.mesh = #dsv3.mesh<tp 3, dp 1, ep 1, node 8, slots 0>} {
dsv3.parameter @q : tensor<256x256xbf16> from ["q"] accepts [bf16] place map
dsv3.parameter @kv : tensor<256x128xbf16> from ["kv"] accepts [bf16] place map
dsv3.parameter @o : tensor<256x128xbf16> from ["o"] accepts [bf16] place map
func.func @f(%q: tensor<?x256xbf16, #dsv3.layout<[tokens]>>, %x: !x, %t: tensor<64x32x2xf32>, %c: !dsv3.cache<128 + 64 x bf16>, %b: !dsv3.batch) -> !x {
  %qw = dsv3.get_parameter @q : tensor<256x256xbf16>
  %k = dsv3.get_parameter @kv : tensor<256x128xbf16>
  %o = dsv3.get_parameter @o : tensor<256x128xbf16>
  %p = dsv3.linear %x, %qw : (!x, tensor<256x256xbf16>) -> !x
  %r = dsv3.rope %p, %t, %b heads 2 rope 64 : (!x, tensor<64x32x2xf32>, !dsv3.batch) -> !x
  // expected-error@+1 {{H2006: 'dsv3.mla' op has 2 heads, which 3 ranks do not divide}}
  %m = dsv3.mla %r, %k over %c, %b heads 2 nope 64 value 64 scale 0.1 : (!x, tensor<256x128xbf16>, !dsv3.cache<128 + 64 x bf16>, !dsv3.batch) -> tensor<?x128xbf16, #dsv3.layout<[tokens]>>
  %y = dsv3.linear %m, %o : (tensor<?x128xbf16, #dsv3.layout<[tokens]>>, tensor<256x128xbf16>) -> !x
  return %y : !x
}
}

// -----

// The query has a weight of its own.
!x = tensor<?x256xbf16, #dsv3.layout<[tokens]>>
module attributes {dsv3.mesh = #dsv3.mesh<tp 2, dp 1, ep 1, node 8, slots 0>} {
dsv3.parameter @q : tensor<256x256xbf16> from ["q"] accepts [bf16] place map
dsv3.parameter @kv : tensor<256x128xbf16> from ["kv"] accepts [bf16] place map
dsv3.parameter @o : tensor<256x128xbf16> from ["o"] accepts [bf16] place map
func.func @f(%q: tensor<?x256xbf16, #dsv3.layout<[tokens]>>, %x: !x, %t: tensor<64x32x2xf32>, %c: !dsv3.cache<128 + 64 x bf16>, %b: !dsv3.batch) -> !x {
  %qw = dsv3.get_parameter @q : tensor<256x256xbf16>
  %k = dsv3.get_parameter @kv : tensor<256x128xbf16>
  %o = dsv3.get_parameter @o : tensor<256x128xbf16>
  %p = dsv3.linear %x, %qw : (!x, tensor<256x256xbf16>) -> !x
  %r = dsv3.rope %p, %t, %b heads 2 rope 64 : (!x, tensor<64x32x2xf32>, !dsv3.batch) -> !x
  // expected-error@+1 {{H2001: 'dsv3.mla' op has a query that is not the rotated product of a weight of its own}}
  %m = dsv3.mla %x, %k over %c, %b heads 2 nope 64 value 64 scale 0.1 : (!x, tensor<256x128xbf16>, !dsv3.cache<128 + 64 x bf16>, !dsv3.batch) -> tensor<?x128xbf16, #dsv3.layout<[tokens]>>
  %y = dsv3.linear %m, %o : (tensor<?x128xbf16, #dsv3.layout<[tokens]>>, tensor<256x128xbf16>) -> !x
  return %y : !x
}
}

// -----

// What the heads give goes into one product.
!x = tensor<?x256xbf16, #dsv3.layout<[tokens]>>
module attributes {dsv3.mesh = #dsv3.mesh<tp 2, dp 1, ep 1, node 8, slots 0>} {
dsv3.parameter @q : tensor<256x256xbf16> from ["q"] accepts [bf16] place map
dsv3.parameter @kv : tensor<256x128xbf16> from ["kv"] accepts [bf16] place map
dsv3.parameter @o : tensor<256x128xbf16> from ["o"] accepts [bf16] place map
func.func @f(%q: tensor<?x256xbf16, #dsv3.layout<[tokens]>>, %x: !x, %t: tensor<64x32x2xf32>, %c: !dsv3.cache<128 + 64 x bf16>, %b: !dsv3.batch) -> !x {
  %qw = dsv3.get_parameter @q : tensor<256x256xbf16>
  %k = dsv3.get_parameter @kv : tensor<256x128xbf16>
  %o = dsv3.get_parameter @o : tensor<256x128xbf16>
  %p = dsv3.linear %x, %qw : (!x, tensor<256x256xbf16>) -> !x
  %r = dsv3.rope %p, %t, %b heads 2 rope 64 : (!x, tensor<64x32x2xf32>, !dsv3.batch) -> !x
  // expected-error@+1 {{H2001: 'dsv3.mla' op is not read by a product with the output weight alone}}
  %m = dsv3.mla %r, %k over %c, %b heads 2 nope 64 value 64 scale 0.1 : (!x, tensor<256x128xbf16>, !dsv3.cache<128 + 64 x bf16>, !dsv3.batch) -> tensor<?x128xbf16, #dsv3.layout<[tokens]>>
  %z = dsv3.add %m, %m : tensor<?x128xbf16, #dsv3.layout<[tokens]>>
  %y = dsv3.linear %m, %o : (tensor<?x128xbf16, #dsv3.layout<[tokens]>>, tensor<256x128xbf16>) -> !x
  return %y : !x
}
}

// -----

// A rank loads its part.
!x = tensor<?x256xbf16, #dsv3.layout<[tokens]>>
module attributes {dsv3.mesh = #dsv3.mesh<tp 2, dp 1, ep 1, node 8, slots 0>} {
// expected-error@+1 {{H2001: a weight that ranks share is given by no call}}
func.func @f(%x: !x, %t: tensor<64x32x2xf32>, %c: !dsv3.cache<128 + 64 x bf16>, %b: !dsv3.batch, %q: tensor<256x256xbf16>, %kv: tensor<256x128xbf16>, %o: tensor<256x128xbf16>) -> !x {
  %p = dsv3.linear %x, %q : (!x, tensor<256x256xbf16>) -> !x
  %r = dsv3.rope %p, %t, %b heads 2 rope 64 : (!x, tensor<64x32x2xf32>, !dsv3.batch) -> !x
  %m = dsv3.mla %r, %kv over %c, %b heads 2 nope 64 value 64 scale 0.1 : (!x, tensor<256x128xbf16>, !dsv3.cache<128 + 64 x bf16>, !dsv3.batch) -> tensor<?x128xbf16, #dsv3.layout<[tokens]>>
  %y = dsv3.linear %m, %o : (tensor<?x128xbf16, #dsv3.layout<[tokens]>>, tensor<256x128xbf16>) -> !x
  return %y : !x
}
}

// -----

// And what it loads is declared.
!x = tensor<?x256xbf16, #dsv3.layout<[tokens]>>
module attributes {dsv3.mesh = #dsv3.mesh<tp 2, dp 1, ep 1, node 8, slots 0>} {
func.func private @layer(%x: !x, %t: tensor<64x32x2xf32>, %c: !dsv3.cache<128 + 64 x bf16>, %b: !dsv3.batch, %q: tensor<256x256xbf16>, %kv: tensor<256x128xbf16>, %o: tensor<256x128xbf16>) -> !x {
  %p = dsv3.linear %x, %q : (!x, tensor<256x256xbf16>) -> !x
  %r = dsv3.rope %p, %t, %b heads 2 rope 64 : (!x, tensor<64x32x2xf32>, !dsv3.batch) -> !x
  %m = dsv3.mla %r, %kv over %c, %b heads 2 nope 64 value 64 scale 0.1 : (!x, tensor<256x128xbf16>, !dsv3.cache<128 + 64 x bf16>, !dsv3.batch) -> tensor<?x128xbf16, #dsv3.layout<[tokens]>>
  %y = dsv3.linear %m, %o : (tensor<?x128xbf16, #dsv3.layout<[tokens]>>, tensor<256x128xbf16>) -> !x
  return %y : !x
}
// expected-error@+1 {{H2001: a weight that ranks share is no parameter}}
func.func @f(%x: !x, %t: tensor<64x32x2xf32>, %c: !dsv3.cache<128 + 64 x bf16>, %b: !dsv3.batch, %q: tensor<256x256xbf16>, %kv: tensor<256x128xbf16>, %o: tensor<256x128xbf16>) -> !x {
  %y = call @layer(%x, %t, %c, %b, %q, %kv, %o) : (!x, tensor<64x32x2xf32>, !dsv3.cache<128 + 64 x bf16>, !dsv3.batch, tensor<256x256xbf16>, tensor<256x128xbf16>, tensor<256x128xbf16>) -> !x
  return %y : !x
}
}

// -----

// In whole scale blocks.
!x = tensor<?x256xbf16, #dsv3.layout<[tokens]>>
module attributes {dsv3.mesh = #dsv3.mesh<tp 2, dp 1, ep 1, node 8, slots 0>} {
dsv3.parameter @q : tensor<256x256xbf16> from ["q"] accepts [bf16] place map
dsv3.parameter @kv : tensor<256x128xbf16> from ["kv"] accepts [bf16] place map
dsv3.parameter @s : tensor<2x1xf32> from ["s"] accepts [f32] place copy
// expected-error@+1 {{H2006: 'dsv3.parameter' op has 64 columns a rank, which cut a 128-column scale block}}
dsv3.parameter @o : tensor<256x128xf8E4M3FN, #dsv3.layout<scale = <128x128, f32, k>>> from ["o"] accepts [f8E4M3FN] place map scale @s
func.func @f(%q: tensor<?x256xbf16, #dsv3.layout<[tokens]>>, %x: !x, %t: tensor<64x32x2xf32>, %c: !dsv3.cache<128 + 64 x bf16>, %b: !dsv3.batch) -> !x {
  %qw = dsv3.get_parameter @q : tensor<256x256xbf16>
  %k = dsv3.get_parameter @kv : tensor<256x128xbf16>
  %o = dsv3.get_parameter @o : tensor<256x128xf8E4M3FN, #dsv3.layout<scale = <128x128, f32, k>>>
  %p = dsv3.linear %x, %qw : (!x, tensor<256x256xbf16>) -> !x
  %r = dsv3.rope %p, %t, %b heads 2 rope 64 : (!x, tensor<64x32x2xf32>, !dsv3.batch) -> !x
  %m = dsv3.mla %r, %k over %c, %b heads 2 nope 64 value 64 scale 0.1 : (!x, tensor<256x128xbf16>, !dsv3.cache<128 + 64 x bf16>, !dsv3.batch) -> tensor<?x128xbf16, #dsv3.layout<[tokens]>>
  %y = dsv3.linear %m, %o : (tensor<?x128xbf16, #dsv3.layout<[tokens]>>, tensor<256x128xf8E4M3FN, #dsv3.layout<scale = <128x128, f32, k>>>) -> !x
  return %y : !x
}
}

// -----

// And in whole groups of int4 codes.
!x = tensor<?x256xbf16, #dsv3.layout<[tokens]>>
!w = tensor<256x96xi4, #dsv3.layout<scale = <1x32, bf16, k>>>
module attributes {dsv3.mesh = #dsv3.mesh<tp 2, dp 1, ep 1, node 8, slots 0>} {
dsv3.parameter @q : tensor<256x256xbf16> from ["q"] accepts [bf16] place map
dsv3.parameter @kv : tensor<224x128xbf16> from ["kv"] accepts [bf16] place map
dsv3.parameter @s : tensor<256x3xbf16> from ["s"] accepts [bf16] place map
// expected-error@+1 {{H2006: 'dsv3.parameter' op has 48 columns a rank, which cut a group of 32}}
dsv3.parameter @o : !w from ["o"] accepts [i4] place map scale @s
func.func @f(%q: tensor<?x256xbf16, #dsv3.layout<[tokens]>>, %x: !x, %t: tensor<64x32x2xf32>, %c: !dsv3.cache<128 + 64 x bf16>, %b: !dsv3.batch) -> !x {
  %qw = dsv3.get_parameter @q : tensor<256x256xbf16>
  %k = dsv3.get_parameter @kv : tensor<224x128xbf16>
  %o = dsv3.get_parameter @o : !w
  %p = dsv3.linear %x, %qw : (!x, tensor<256x256xbf16>) -> !x
  %r = dsv3.rope %p, %t, %b heads 2 rope 64 : (!x, tensor<64x32x2xf32>, !dsv3.batch) -> !x
  %m = dsv3.mla %r, %k over %c, %b heads 2 nope 64 value 48 scale 0.1 : (!x, tensor<224x128xbf16>, !dsv3.cache<128 + 64 x bf16>, !dsv3.batch) -> tensor<?x96xbf16, #dsv3.layout<[tokens]>>
  %y = dsv3.linear %m, %o : (tensor<?x96xbf16, #dsv3.layout<[tokens]>>, !w) -> !x
  return %y : !x
}
}

// -----

// A matrix of one tensor.
!x = tensor<?x256xbf16, #dsv3.layout<[tokens]>>
module attributes {dsv3.mesh = #dsv3.mesh<tp 2, dp 1, ep 1, node 8, slots 0>} {
dsv3.parameter @q : tensor<256x256xbf16> from ["q"] accepts [bf16] place map
// expected-error@+1 {{H2001: 'dsv3.parameter' op is shared by ranks and is no matrix of one tensor}}
dsv3.parameter @kv : tensor<256x128xbf16, #dsv3.layout<segments>> from ["kv"] rows [256] accepts [bf16] place map
dsv3.parameter @o : tensor<256x128xbf16> from ["o"] accepts [bf16] place map
func.func @f(%q: tensor<?x256xbf16, #dsv3.layout<[tokens]>>, %x: !x, %t: tensor<64x32x2xf32>, %c: !dsv3.cache<128 + 64 x bf16>, %b: !dsv3.batch) -> !x {
  %qw = dsv3.get_parameter @q : tensor<256x256xbf16>
  %k = dsv3.get_parameter @kv : tensor<256x128xbf16, #dsv3.layout<segments>>
  %o = dsv3.get_parameter @o : tensor<256x128xbf16>
  %p = dsv3.linear %x, %qw : (!x, tensor<256x256xbf16>) -> !x
  %r = dsv3.rope %p, %t, %b heads 2 rope 64 : (!x, tensor<64x32x2xf32>, !dsv3.batch) -> !x
  %m = dsv3.mla %r, %k over %c, %b heads 2 nope 64 value 64 scale 0.1 : (!x, tensor<256x128xbf16, #dsv3.layout<segments>>, !dsv3.cache<128 + 64 x bf16>, !dsv3.batch) -> tensor<?x128xbf16, #dsv3.layout<[tokens]>>
  %y = dsv3.linear %m, %o : (tensor<?x128xbf16, #dsv3.layout<[tokens]>>, tensor<256x128xbf16>) -> !x
  return %y : !x
}
}

// -----

// The vocabulary is dealt out evenly.
module attributes {dsv3.mesh = #dsv3.mesh<tp 2, dp 1, ep 1, node 8, slots 0>} {
// expected-error@+1 {{H2006: 'dsv3.parameter' op has 33 rows, which 2 ranks do not share in units of 1}}
dsv3.parameter @w : tensor<33x256xbf16> from ["w"] accepts [bf16] place map
func.func @head(%x: tensor<?x256xbf16, #dsv3.layout<[logits]>>) -> tensor<?x33xf32, #dsv3.layout<[logits]>> attributes {dsv3.bucket = #dsv3.bucket<head logits 2>} {
  %w = dsv3.get_parameter @w : tensor<33x256xbf16>
  %l = dsv3.linear %x, %w : (tensor<?x256xbf16, #dsv3.layout<[logits]>>, tensor<33x256xbf16>) -> tensor<?x33xf32, #dsv3.layout<[logits]>>
  return %l : tensor<?x33xf32, #dsv3.layout<[logits]>>
}
}

// -----

// Where the embedding is another weight.
module attributes {dsv3.mesh = #dsv3.mesh<tp 2, dp 1, ep 1, node 8, slots 0>} {
// expected-error@+1 {{H2001: 'dsv3.parameter' op is read where it is whole and where it is shared}}
dsv3.parameter @w : tensor<32x256xbf16> from ["w"] accepts [bf16] place map
func.func @head(%x: tensor<?x256xbf16, #dsv3.layout<[logits]>>, %t: tensor<?xi32, #dsv3.layout<[tokens]>>) -> tensor<?x32xf32, #dsv3.layout<[logits]>> attributes {dsv3.bucket = #dsv3.bucket<head logits 2>} {
  %w = dsv3.get_parameter @w : tensor<32x256xbf16>
  %e = dsv3.embed %t, %w : (tensor<?xi32, #dsv3.layout<[tokens]>>, tensor<32x256xbf16>) -> tensor<?x256xbf16, #dsv3.layout<[tokens]>>
  %l = dsv3.linear %x, %w : (tensor<?x256xbf16, #dsv3.layout<[logits]>>, tensor<32x256xbf16>) -> tensor<?x32xf32, #dsv3.layout<[logits]>>
  return %l : tensor<?x32xf32, #dsv3.layout<[logits]>>
}
}

// -----

// And logits are a product.
module attributes {dsv3.mesh = #dsv3.mesh<tp 2, dp 1, ep 1, node 8, slots 0>} {
func.func @head(%x: tensor<?x256xbf16, #dsv3.layout<[logits]>>, %l: tensor<?x32xf32, #dsv3.layout<[logits]>>) -> tensor<?x32xf32, #dsv3.layout<[logits]>> attributes {dsv3.bucket = #dsv3.bucket<head logits 2>} {
  // expected-error@+1 {{H2001: 'func.return' op returns logits that are no product of a weight}}
  return %l : tensor<?x32xf32, #dsv3.layout<[logits]>>
}
}
