// What is no layer of a model is not shared.
// RUN: hadal-opt %s --hadal-shard-layers -split-input-file -verify-diagnostics

// A layer routes once.
!ids = tensor<?x2xi32, #dsv3.layout<[tokens]>>
!w = tensor<?x2xf32, #dsv3.layout<[tokens]>>
!x = tensor<?x256xbf16, #dsv3.layout<[tokens]>>
!source = tensor<?xi32, #dsv3.layout<[routed]>>
!y = tensor<?x256xbf16, #dsv3.layout<[routed]>>
!stack = tensor<4x256x256xf8E4M3FN, #dsv3.layout<stack, scale = <128x128, f32, k>>>

module attributes {dsv3.mesh = #dsv3.mesh<tp 1, dp 2, ep 2, node 8, slots 3>} {
dsv3.parameter @layers.1.up.scale : tensor<4x2x2xf32, #dsv3.layout<stack>> from ["l.1.{e}.s"] accepts [f32] place copy
dsv3.parameter @layers.1.up : !stack from ["l.1.{e}"] accepts [f8E4M3FN] place map scale @layers.1.up.scale
dsv3.state @expert_load.1 : !dsv3.counts<4>
// expected-error@+1 {{H2001: 'func.func' op routes to experts 2 times, expected once}}
func.func private @moe_layer(%x: !x, %i: !ids, %w: !w, %b: !dsv3.batch, %l: !dsv3.counts<4>, %u: !stack) -> !x {
  %s, %p, %e = dsv3.moe_permute %i, %b counting %l : (!ids, !dsv3.batch, !dsv3.counts<4>) -> (!source, !ids, tensor<5xi32>)
  %s2, %p2, %e2 = dsv3.moe_permute %i, %b counting %l : (!ids, !dsv3.batch, !dsv3.counts<4>) -> (!source, !ids, tensor<5xi32>)
  %h = dsv3.linear %x, %u experts(%e) gather(%s) : (!x, !stack, tensor<5xi32>, !source) -> !y
  %y = dsv3.linear %h, %u experts(%e) : (!y, !stack, tensor<5xi32>) -> !y
  %c = dsv3.moe_combine %y at %p weighted %w : (!y, !ids, !w) -> !x
  return %c : !x
}
func.func @forward(%x: !x, %i: !ids, %w: !w, %b: !dsv3.batch) -> !x {
  %l = dsv3.get_state @expert_load.1 : !dsv3.counts<4>
  %u = dsv3.get_parameter @layers.1.up : !stack
  %r = call @moe_layer(%x, %i, %w, %b, %l, %u) : (!x, !ids, !w, !dsv3.batch, !dsv3.counts<4>, !stack) -> !x
  return %r : !x
}
}

// -----

// Where it counts, the caller says.
!ids = tensor<?x2xi32, #dsv3.layout<[tokens]>>
!w = tensor<?x2xf32, #dsv3.layout<[tokens]>>
!x = tensor<?x256xbf16, #dsv3.layout<[tokens]>>
!source = tensor<?xi32, #dsv3.layout<[routed]>>
!y = tensor<?x256xbf16, #dsv3.layout<[routed]>>
!stack = tensor<4x256x256xf8E4M3FN, #dsv3.layout<stack, scale = <128x128, f32, k>>>

module attributes {dsv3.mesh = #dsv3.mesh<tp 1, dp 2, ep 2, node 8, slots 3>} {
dsv3.parameter @layers.1.up.scale : tensor<4x2x2xf32, #dsv3.layout<stack>> from ["l.1.{e}.s"] accepts [f32] place copy
dsv3.parameter @layers.1.up : !stack from ["l.1.{e}"] accepts [f8E4M3FN] place map scale @layers.1.up.scale
dsv3.state @expert_load.1 : !dsv3.counts<4>
func.func private @moe_layer(%x: !x, %i: !ids, %w: !w, %b: !dsv3.batch, %u: !stack) -> !x {
  %l = dsv3.get_state @expert_load.1 : !dsv3.counts<4>
  // expected-error@+1 {{H2001: 'dsv3.moe_permute' op counts in what is no argument of its function}}
  %s, %p, %e = dsv3.moe_permute %i, %b counting %l : (!ids, !dsv3.batch, !dsv3.counts<4>) -> (!source, !ids, tensor<5xi32>)
  %h = dsv3.linear %x, %u experts(%e) gather(%s) : (!x, !stack, tensor<5xi32>, !source) -> !y
  %y = dsv3.linear %h, %u experts(%e) : (!y, !stack, tensor<5xi32>) -> !y
  %c = dsv3.moe_combine %y at %p weighted %w : (!y, !ids, !w) -> !x
  return %c : !x
}
}

// -----

// Experts are linears.
!ids = tensor<?x2xi32, #dsv3.layout<[tokens]>>
!w = tensor<?x2xf32, #dsv3.layout<[tokens]>>
!x = tensor<?x256xbf16, #dsv3.layout<[tokens]>>
!source = tensor<?xi32, #dsv3.layout<[routed]>>
!y = tensor<?x256xbf16, #dsv3.layout<[routed]>>
!stack = tensor<4x256x256xf8E4M3FN, #dsv3.layout<stack, scale = <128x128, f32, k>>>

module attributes {dsv3.mesh = #dsv3.mesh<tp 1, dp 2, ep 2, node 8, slots 3>} {
dsv3.parameter @layers.1.up.scale : tensor<4x2x2xf32, #dsv3.layout<stack>> from ["l.1.{e}.s"] accepts [f32] place copy
dsv3.parameter @layers.1.up : !stack from ["l.1.{e}"] accepts [f8E4M3FN] place map scale @layers.1.up.scale
dsv3.state @expert_load.1 : !dsv3.counts<4>
func.func private @moe_layer(%x: !x, %i: !ids, %w: !w, %b: !dsv3.batch, %l: !dsv3.counts<4>, %u: !stack) -> !x {
  %s, %p, %e = dsv3.moe_permute %i, %b counting %l : (!ids, !dsv3.batch, !dsv3.counts<4>) -> (!source, !ids, tensor<5xi32>)
  %h = dsv3.linear %x, %u experts(%e) gather(%s) : (!x, !stack, tensor<5xi32>, !source) -> !y
  // expected-error@+1 {{H2001: 'dsv3.gated_linear' op reads offsets of experts and is no linear}}
  %y = dsv3.gated_linear %h, %u, %u experts(%e) : (!y, !stack, !stack, tensor<5xi32>) -> !y
  %c = dsv3.moe_combine %y at %p weighted %w : (!y, !ids, !w) -> !x
  return %c : !x
}
func.func @forward(%x: !x, %i: !ids, %w: !w, %b: !dsv3.batch) -> !x {
  %l = dsv3.get_state @expert_load.1 : !dsv3.counts<4>
  %u = dsv3.get_parameter @layers.1.up : !stack
  %r = call @moe_layer(%x, %i, %w, %b, %l, %u) : (!x, !ids, !w, !dsv3.batch, !dsv3.counts<4>, !stack) -> !x
  return %r : !x
}
}

// -----

// Of one row.
!ids = tensor<?x2xi32, #dsv3.layout<[tokens]>>
!w = tensor<?x2xf32, #dsv3.layout<[tokens]>>
!x = tensor<?x256xbf16, #dsv3.layout<[tokens]>>
!source = tensor<?xi32, #dsv3.layout<[routed]>>
!y = tensor<?x256xbf16, #dsv3.layout<[routed]>>
!stack = tensor<4x256x256xf8E4M3FN, #dsv3.layout<stack, scale = <128x128, f32, k>>>

module attributes {dsv3.mesh = #dsv3.mesh<tp 1, dp 2, ep 2, node 8, slots 3>} {
dsv3.parameter @layers.1.up.scale : tensor<4x2x2xf32, #dsv3.layout<stack>> from ["l.1.{e}.s"] accepts [f32] place copy
dsv3.parameter @layers.1.up : !stack from ["l.1.{e}"] accepts [f8E4M3FN] place map scale @layers.1.up.scale
dsv3.state @expert_load.1 : !dsv3.counts<4>
func.func private @moe_layer(%x: !x, %i: !ids, %w: !w, %b: !dsv3.batch, %l: !dsv3.counts<4>, %u: !stack) -> !x {
  %s, %p, %e = dsv3.moe_permute %i, %b counting %l : (!ids, !dsv3.batch, !dsv3.counts<4>) -> (!source, !ids, tensor<5xi32>)
  %x2 = dsv3.add %x, %x : !x
  %h2 = dsv3.linear %x2, %u experts(%e) gather(%s) : (!x, !stack, tensor<5xi32>, !source) -> !y
  // expected-error@+1 {{H2001: 'dsv3.linear' op gathers other rows than the experts beside it}}
  %h = dsv3.linear %x, %u experts(%e) gather(%s) : (!x, !stack, tensor<5xi32>, !source) -> !y
  %y = dsv3.linear %h, %u experts(%e) : (!y, !stack, tensor<5xi32>) -> !y
  %c = dsv3.moe_combine %y at %p weighted %w : (!y, !ids, !w) -> !x
  return %c : !x
}
func.func @forward(%x: !x, %i: !ids, %w: !w, %b: !dsv3.batch) -> !x {
  %l = dsv3.get_state @expert_load.1 : !dsv3.counts<4>
  %u = dsv3.get_parameter @layers.1.up : !stack
  %r = call @moe_layer(%x, %i, %w, %b, %l, %u) : (!x, !ids, !w, !dsv3.batch, !dsv3.counts<4>, !stack) -> !x
  return %r : !x
}
}

// -----

// Which someone takes.
!ids = tensor<?x2xi32, #dsv3.layout<[tokens]>>
!w = tensor<?x2xf32, #dsv3.layout<[tokens]>>
!x = tensor<?x256xbf16, #dsv3.layout<[tokens]>>
!source = tensor<?xi32, #dsv3.layout<[routed]>>
!y = tensor<?x256xbf16, #dsv3.layout<[routed]>>
!stack = tensor<4x256x256xf8E4M3FN, #dsv3.layout<stack, scale = <128x128, f32, k>>>

module attributes {dsv3.mesh = #dsv3.mesh<tp 1, dp 2, ep 2, node 8, slots 3>} {
dsv3.parameter @layers.1.up.scale : tensor<4x2x2xf32, #dsv3.layout<stack>> from ["l.1.{e}.s"] accepts [f32] place copy
dsv3.parameter @layers.1.up : !stack from ["l.1.{e}"] accepts [f8E4M3FN] place map scale @layers.1.up.scale
dsv3.state @expert_load.1 : !dsv3.counts<4>
func.func private @moe_layer(%x: !x, %i: !ids, %w: !w, %b: !dsv3.batch, %l: !dsv3.counts<4>, %u: !stack, %r: !y) -> !x {
  // expected-error@+1 {{H2001: 'dsv3.moe_permute' op routes rows that none gathers}}
  %s, %p, %e = dsv3.moe_permute %i, %b counting %l : (!ids, !dsv3.batch, !dsv3.counts<4>) -> (!source, !ids, tensor<5xi32>)
  %h = dsv3.linear %r, %u experts(%e) : (!y, !stack, tensor<5xi32>) -> !y
  %y = dsv3.linear %h, %u experts(%e) : (!y, !stack, tensor<5xi32>) -> !y
  %c = dsv3.moe_combine %y at %p weighted %w : (!y, !ids, !w) -> !x
  return %c : !x
}
}

// -----

// Their weights are the caller's.
!ids = tensor<?x2xi32, #dsv3.layout<[tokens]>>
!w = tensor<?x2xf32, #dsv3.layout<[tokens]>>
!x = tensor<?x256xbf16, #dsv3.layout<[tokens]>>
!source = tensor<?xi32, #dsv3.layout<[routed]>>
!y = tensor<?x256xbf16, #dsv3.layout<[routed]>>
!stack = tensor<4x256x256xf8E4M3FN, #dsv3.layout<stack, scale = <128x128, f32, k>>>

module attributes {dsv3.mesh = #dsv3.mesh<tp 1, dp 2, ep 2, node 8, slots 3>} {
dsv3.parameter @layers.1.up.scale : tensor<4x2x2xf32, #dsv3.layout<stack>> from ["l.1.{e}.s"] accepts [f32] place copy
dsv3.parameter @layers.1.up : !stack from ["l.1.{e}"] accepts [f8E4M3FN] place map scale @layers.1.up.scale
dsv3.state @expert_load.1 : !dsv3.counts<4>
func.func private @moe_layer(%x: !x, %i: !ids, %w: !w, %b: !dsv3.batch, %l: !dsv3.counts<4>) -> !x {
  %s, %p, %e = dsv3.moe_permute %i, %b counting %l : (!ids, !dsv3.batch, !dsv3.counts<4>) -> (!source, !ids, tensor<5xi32>)
  %u = dsv3.get_parameter @layers.1.up : !stack
  // expected-error@+1 {{H2001: 'dsv3.linear' op has experts that are no argument of its function}}
  %h = dsv3.linear %x, %u experts(%e) gather(%s) : (!x, !stack, tensor<5xi32>, !source) -> !y
  %y = dsv3.linear %h, %u experts(%e) : (!y, !stack, tensor<5xi32>) -> !y
  %c = dsv3.moe_combine %y at %p weighted %w : (!y, !ids, !w) -> !x
  return %c : !x
}
}

// -----

// A layer has a number.
!ids = tensor<?x2xi32, #dsv3.layout<[tokens]>>
!w = tensor<?x2xf32, #dsv3.layout<[tokens]>>
!x = tensor<?x256xbf16, #dsv3.layout<[tokens]>>
!source = tensor<?xi32, #dsv3.layout<[routed]>>
!y = tensor<?x256xbf16, #dsv3.layout<[routed]>>
!stack = tensor<4x256x256xf8E4M3FN, #dsv3.layout<stack, scale = <128x128, f32, k>>>

module attributes {dsv3.mesh = #dsv3.mesh<tp 1, dp 2, ep 2, node 8, slots 3>} {
dsv3.parameter @layers.1.up.scale : tensor<4x2x2xf32, #dsv3.layout<stack>> from ["l.1.{e}.s"] accepts [f32] place copy
dsv3.parameter @layers.1.up : !stack from ["l.1.{e}"] accepts [f8E4M3FN] place map scale @layers.1.up.scale
dsv3.state @load : !dsv3.counts<4>
func.func private @moe_layer(%x: !x, %i: !ids, %w: !w, %b: !dsv3.batch, %l: !dsv3.counts<4>, %u: !stack) -> !x {
  %s, %p, %e = dsv3.moe_permute %i, %b counting %l : (!ids, !dsv3.batch, !dsv3.counts<4>) -> (!source, !ids, tensor<5xi32>)
  %h = dsv3.linear %x, %u experts(%e) gather(%s) : (!x, !stack, tensor<5xi32>, !source) -> !y
  %y = dsv3.linear %h, %u experts(%e) : (!y, !stack, tensor<5xi32>) -> !y
  %c = dsv3.moe_combine %y at %p weighted %w : (!y, !ids, !w) -> !x
  return %c : !x
}
func.func @forward(%x: !x, %i: !ids, %w: !w, %b: !dsv3.batch) -> !x {
  %l = dsv3.get_state @load : !dsv3.counts<4>
  %u = dsv3.get_parameter @layers.1.up : !stack
  // expected-error@+1 {{H2001: 'func.call' op counts experts in what is no state 'expert_load.LAYER'}}
  %r = call @moe_layer(%x, %i, %w, %b, %l, %u) : (!x, !ids, !w, !dsv3.batch, !dsv3.counts<4>, !stack) -> !x
  return %r : !x
}
}

// -----

// And its experts are parameters.
!ids = tensor<?x2xi32, #dsv3.layout<[tokens]>>
!w = tensor<?x2xf32, #dsv3.layout<[tokens]>>
!x = tensor<?x256xbf16, #dsv3.layout<[tokens]>>
!source = tensor<?xi32, #dsv3.layout<[routed]>>
!y = tensor<?x256xbf16, #dsv3.layout<[routed]>>
!stack = tensor<4x256x256xf8E4M3FN, #dsv3.layout<stack, scale = <128x128, f32, k>>>

module attributes {dsv3.mesh = #dsv3.mesh<tp 1, dp 2, ep 2, node 8, slots 3>} {
dsv3.parameter @layers.1.up.scale : tensor<4x2x2xf32, #dsv3.layout<stack>> from ["l.1.{e}.s"] accepts [f32] place copy
dsv3.parameter @layers.1.up : !stack from ["l.1.{e}"] accepts [f8E4M3FN] place map scale @layers.1.up.scale
dsv3.state @expert_load.1 : !dsv3.counts<4>
func.func private @moe_layer(%x: !x, %i: !ids, %w: !w, %b: !dsv3.batch, %l: !dsv3.counts<4>, %u: !stack) -> !x {
  %s, %p, %e = dsv3.moe_permute %i, %b counting %l : (!ids, !dsv3.batch, !dsv3.counts<4>) -> (!source, !ids, tensor<5xi32>)
  %h = dsv3.linear %x, %u experts(%e) gather(%s) : (!x, !stack, tensor<5xi32>, !source) -> !y
  %y = dsv3.linear %h, %u experts(%e) : (!y, !stack, tensor<5xi32>) -> !y
  %c = dsv3.moe_combine %y at %p weighted %w : (!y, !ids, !w) -> !x
  return %c : !x
}
func.func @forward(%x: !x, %i: !ids, %w: !w, %b: !dsv3.batch, %u: !stack) -> !x {
  %l = dsv3.get_state @expert_load.1 : !dsv3.counts<4>
  // expected-error@+1 {{H2001: 'func.call' op has experts that are no parameter}}
  %r = call @moe_layer(%x, %i, %w, %b, %l, %u) : (!x, !ids, !w, !dsv3.batch, !dsv3.counts<4>, !stack) -> !x
  return %r : !x
}
}

// -----

// Where pairs lie is for experts and combines alone.
!ids = tensor<?x2xi32, #dsv3.layout<[tokens]>>
!w = tensor<?x2xf32, #dsv3.layout<[tokens]>>
!x = tensor<?x256xbf16, #dsv3.layout<[tokens]>>
!source = tensor<?xi32, #dsv3.layout<[routed]>>
!y = tensor<?x256xbf16, #dsv3.layout<[routed]>>
!stack = tensor<4x256x256xf8E4M3FN, #dsv3.layout<stack, scale = <128x128, f32, k>>>

module attributes {dsv3.mesh = #dsv3.mesh<tp 1, dp 2, ep 2, node 8, slots 3>} {
dsv3.parameter @layers.1.up.scale : tensor<4x2x2xf32, #dsv3.layout<stack>> from ["l.1.{e}.s"] accepts [f32] place copy
dsv3.parameter @layers.1.up : !stack from ["l.1.{e}"] accepts [f8E4M3FN] place map scale @layers.1.up.scale
dsv3.state @expert_load.1 : !dsv3.counts<4>
func.func private @moe_layer(%x: !x, %i: !ids, %w: !w, %b: !dsv3.batch, %l: !dsv3.counts<4>, %u: !stack) -> (!x, !ids) {
  // expected-error@+1 {{H2001: 'dsv3.moe_permute' op has results that others than experts and combines use}}
  %s, %p, %e = dsv3.moe_permute %i, %b counting %l : (!ids, !dsv3.batch, !dsv3.counts<4>) -> (!source, !ids, tensor<5xi32>)
  %h = dsv3.linear %x, %u experts(%e) gather(%s) : (!x, !stack, tensor<5xi32>, !source) -> !y
  %y = dsv3.linear %h, %u experts(%e) : (!y, !stack, tensor<5xi32>) -> !y
  %c = dsv3.moe_combine %y at %p weighted %w : (!y, !ids, !w) -> !x
  return %c, %p : !x, !ids
}
func.func @forward(%x: !x, %i: !ids, %w: !w, %b: !dsv3.batch) -> !x {
  %u = dsv3.get_parameter @layers.1.up : !stack
  %l = dsv3.get_state @expert_load.1 : !dsv3.counts<4>
  %r:2 = call @moe_layer(%x, %i, %w, %b, %l, %u) : (!x, !ids, !w, !dsv3.batch, !dsv3.counts<4>, !stack) -> (!x, !ids)
  return %r#0 : !x
}
}
