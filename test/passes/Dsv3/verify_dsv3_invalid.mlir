// RUN: split-file %s %t
// RUN: hadal-opt %t/fused.mlir --hadal-verify-dsv3 -split-input-file -verify-diagnostics
// RUN: hadal-opt %t/model.mlir --hadal-verify-dsv3="stage=model" -split-input-file -verify-diagnostics
// RUN: hadal-opt %t/sharded.mlir --hadal-verify-dsv3="stage=sharded" -split-input-file -verify-diagnostics
// RUN: hadal-opt %t/option.mlir --hadal-verify-dsv3="stage=tile" -verify-diagnostics

//--- fused.mlir
#tokens = #dsv3.layout<[tokens]>
// An operation without a kernel is named with the pass that was forgotten.
func.func @f(%x: tensor<?x4xbf16, #tokens>, %w: tensor<4xf32>) attributes {dsv3.bucket = #dsv3.bucket<decode tokens 1 rows 1 queries 1>} {
  // expected-error@+1 {{H2001: 'dsv3.rms_norm' op has no kernel; hadal-fuse-norm-quant should have removed it}}
  %0 = dsv3.rms_norm %x, %w eps 0.5 : (tensor<?x4xbf16, #tokens>, tensor<4xf32>) -> tensor<?x4xbf16, #tokens>
  return
}

// -----

#tokens = #dsv3.layout<[tokens]>
#routed = #dsv3.layout<[routed]>
// A combine without its residual has no kernel either.
func.func @f(%r: tensor<?x64xbf16, #routed>, %p: tensor<?x2xi32, #tokens>, %w: tensor<?x2xf32, #tokens>) attributes {dsv3.bucket = #dsv3.bucket<decode tokens 1 rows 1 queries 1>} {
  // expected-error@+1 {{H2001: 'dsv3.moe_combine' op has no kernel; hadal-fuse-moe-combine should have removed it}}
  %0 = dsv3.moe_combine %r at %p weighted %w : (tensor<?x64xbf16, #routed>, tensor<?x2xi32, #tokens>, tensor<?x2xf32, #tokens>) -> tensor<?x64xbf16, #tokens>
  return
}

// -----

// Every function has a capacity.
// expected-error@+1 {{H2001: 'func.func' op has no bucket; run hadal-instantiate-buckets}}
func.func @f() { return }

// -----

#tokens = #dsv3.layout<[tokens]>
// The attention form is recorded.
// expected-error@+1 {{H2001: 'func.func' op attends but does not record its form; run hadal-select-attention-form}}
func.func @f(%q: tensor<?x132xbf16, #tokens>, %c: !dsv3.cache<128 + 4 x bf16>, %b: !dsv3.batch) attributes {dsv3.bucket = #dsv3.bucket<decode tokens 1 rows 1 queries 1>} {
  %0 = dsv3.mla_decode %q over %c, %b heads 1 scale 0.5 : (tensor<?x132xbf16, #tokens>, !dsv3.cache<128 + 4 x bf16>, !dsv3.batch) -> tensor<?x128xbf16, #tokens>
  return
}

// -----

// An argument's dynamic extent has a name.
// expected-error@+1 {{H2001: 'func.func' op type 'tensor<?x4xbf16>' needs a layout that names its dynamic extents}}
func.func private @f(tensor<?x4xbf16>) attributes {dsv3.bucket = #dsv3.bucket<decode tokens 1 rows 1 queries 1>}

// -----

// FP8 has scales wherever it appears.
// expected-error@+1 {{needs a layout that names its dynamic extents and, for FP8, its scales}}
func.func private @f(tensor<4x4xf8E4M3FN>) attributes {dsv3.bucket = #dsv3.bucket<decode tokens 1 rows 1 queries 1>}

//--- model.mlir
// A model has a forward pass.
// expected-error@+1 {{H2001: has no @forward}}
module {}

// -----

// And a head.
// expected-error@+1 {{H2001: has no @head}}
module {
  func.func @forward() { return }
}

// -----

// And facts.
// expected-error@+1 {{H2001: has no 'dsv3.model' attribute}}
module {
  func.func @forward() { return }
  func.func @head() { return }
}

// -----

#tokens = #dsv3.layout<[tokens]>
// A name is one operation's.
module attributes {dsv3.model = {}} {
  func.func @head() { return }
  func.func @forward(%x: tensor<?x4xbf16, #tokens>) {
    %0 = dsv3.add %x, %x : tensor<?x4xbf16, #tokens> loc("sum"("forward"))
    // expected-error@unknown {{H2001: 'dsv3.add' op has the name 'forward.sum' of another operation of @forward}}
    %1 = dsv3.add %x, %0 : tensor<?x4xbf16, #tokens> loc("sum"("forward"))
    return
  }
}

//--- sharded.mlir
// What begins ends.
module attributes {dsv3.mesh = #dsv3.mesh<tp 1, dp 2, ep 2, node 8, slots 2>} {
func.func @f(%c: tensor<2x2xi32>) {
  // expected-error@+1 {{H2001: 'dsv3.start' op is never awaited}}
  %p = dsv3.start all_to_all over ep (%c) label "x" : (tensor<2x2xi32>) -> !dsv3.pending<tensor<2x2xi32>>
  return
}
}

// -----

// Once.
module attributes {dsv3.mesh = #dsv3.mesh<tp 1, dp 2, ep 2, node 8, slots 2>} {
func.func @f(%c: tensor<2x2xi32>) {
  // expected-error@+1 {{H2001: 'dsv3.start' op is awaited more than once}}
  %p = dsv3.start all_to_all over ep (%c) label "x" : (tensor<2x2xi32>) -> !dsv3.pending<tensor<2x2xi32>>
  %a = dsv3.await %p : !dsv3.pending<tensor<2x2xi32>> -> tensor<2x2xi32>
  %b = dsv3.await %p : !dsv3.pending<tensor<2x2xi32>> -> tensor<2x2xi32>
  return
}
}

// -----

// Nothing on its way leaves the function.
module attributes {dsv3.mesh = #dsv3.mesh<tp 1, dp 2, ep 2, node 8, slots 2>} {
func.func private @g(%p: !dsv3.pending<tensor<2x2xi32>>)
func.func @f(%c: tensor<2x2xi32>) {
  %p = dsv3.start all_to_all over ep (%c) label "x" : (tensor<2x2xi32>) -> !dsv3.pending<tensor<2x2xi32>>
  // expected-error@+1 {{H2001: 'func.call' op takes a collective that is on its way; only an await may}}
  call @g(%p) : (!dsv3.pending<tensor<2x2xi32>>) -> ()
  %a = dsv3.await %p : !dsv3.pending<tensor<2x2xi32>> -> tensor<2x2xi32>
  return
}
}

// -----

// Nor comes into it.
module attributes {dsv3.mesh = #dsv3.mesh<tp 1, dp 2, ep 2, node 8, slots 2>} {
func.func @f(%p: !dsv3.pending<tensor<2x2xi32>>) {
  // expected-error@+1 {{H2001: 'dsv3.await' op awaits what its function did not start}}
  %a = dsv3.await %p : !dsv3.pending<tensor<2x2xi32>> -> tensor<2x2xi32>
  return
}
}

// -----

// Nor its block.
module attributes {dsv3.mesh = #dsv3.mesh<tp 1, dp 2, ep 2, node 8, slots 2>} {
func.func @f(%c: tensor<2x2xi32>, %t: tensor<?x4xbf16, #dsv3.layout<[tokens]>>) {
  // expected-error@+1 {{H2001: 'dsv3.start' op is awaited in another block}}
  %p = dsv3.start all_to_all over ep (%c) label "x" : (tensor<2x2xi32>) -> !dsv3.pending<tensor<2x2xi32>>
  %m = dsv3.attention_forms -> tensor<?x4xbf16, #dsv3.layout<[tokens]>> absorbed (1) {
    %a = dsv3.await %p : !dsv3.pending<tensor<2x2xi32>> -> tensor<2x2xi32>
    dsv3.yield %t : tensor<?x4xbf16, #dsv3.layout<[tokens]>>
  } expanded (1, 1) {
    dsv3.yield %t : tensor<?x4xbf16, #dsv3.layout<[tokens]>>
  }
  return
}
}

// -----

// One rank exchanges nothing.
module {
func.func @f(%c: tensor<2x2xi32>) {
  // expected-error@+1 {{H2001: 'dsv3.start' op needs ranks, but the module has no 'dsv3.mesh'}}
  %p = dsv3.start all_to_all over ep (%c) label "x" : (tensor<2x2xi32>) -> !dsv3.pending<tensor<2x2xi32>>
  %a = dsv3.await %p : !dsv3.pending<tensor<2x2xi32>> -> tensor<2x2xi32>
  return
}
}

// -----

// Experts are on other ranks.
module attributes {dsv3.mesh = #dsv3.mesh<tp 1, dp 2, ep 2, node 8, slots 2>} {
func.func @f(%i: tensor<?x2xi32, #dsv3.layout<[tokens]>>, %b: !dsv3.batch, %l: !dsv3.counts<4>) {
  // expected-error@+1 {{H2001: 'dsv3.moe_permute' op routes to experts that the rank has not; hadal-shard-layers should have removed it}}
  %s, %p, %e = dsv3.moe_permute %i, %b counting %l : (tensor<?x2xi32, #dsv3.layout<[tokens]>>, !dsv3.batch, !dsv3.counts<4>) -> (tensor<?xi32, #dsv3.layout<[routed]>>, tensor<?x2xi32, #dsv3.layout<[tokens]>>, tensor<5xi32>)
  return
}
}

// -----

// What arrives has room.
module attributes {dsv3.mesh = #dsv3.mesh<tp 1, dp 2, ep 2, node 8, slots 2>} {
func.func @f(%x: tensor<?x4xbf16, #dsv3.layout<[tokens]>>, %i: tensor<?x2xi32, #dsv3.layout<[tokens]>>, %t: tensor<4x2xi32>, %b: !dsv3.batch, %l: !dsv3.counts<4>, %o: !dsv3.counts<4>) attributes {dsv3.bucket = #dsv3.bucket<decode tokens 1 rows 1 queries 1>} {
  // expected-error@+1 {{H2001: 'dsv3.moe_dispatch' op is in a bucket without a capacity for rows of other ranks}}
  %r:8 = dsv3.moe_dispatch %x, %i, %t, %b counting %l overflow %o over ep : (tensor<?x4xbf16, #dsv3.layout<[tokens]>>, tensor<?x2xi32, #dsv3.layout<[tokens]>>, tensor<4x2xi32>, !dsv3.batch, !dsv3.counts<4>, !dsv3.counts<4>) -> (tensor<?x4xbf16, #dsv3.layout<[received]>>, tensor<?x4xi32, #dsv3.layout<[received]>>, tensor<?xi32, #dsv3.layout<[routed]>>, tensor<3xi32>, tensor<?x2xi32, #dsv3.layout<[received]>>, tensor<?x2xi32, #dsv3.layout<[tokens]>>, tensor<2x2xi32>, tensor<2x2xi32>)
  return
}
}

// -----

// The ranks are those of a group.
module attributes {dsv3.mesh = #dsv3.mesh<tp 1, dp 4, ep 4, node 8, slots 2>} {
func.func @f(%x: tensor<?x4xbf16, #dsv3.layout<[tokens]>>, %i: tensor<?x2xi32, #dsv3.layout<[tokens]>>, %t: tensor<4x2xi32>, %b: !dsv3.batch, %l: !dsv3.counts<4>, %o: !dsv3.counts<4>) attributes {dsv3.bucket = #dsv3.bucket<decode tokens 1 rows 1 queries 1 capacity 1 pairs 2 rung worst>} {
  // expected-error@+1 {{H2001: 'dsv3.moe_dispatch' op is among 2 ranks, a group of the mesh has 4}}
  %r:8 = dsv3.moe_dispatch %x, %i, %t, %b counting %l overflow %o over ep : (tensor<?x4xbf16, #dsv3.layout<[tokens]>>, tensor<?x2xi32, #dsv3.layout<[tokens]>>, tensor<4x2xi32>, !dsv3.batch, !dsv3.counts<4>, !dsv3.counts<4>) -> (tensor<?x4xbf16, #dsv3.layout<[received]>>, tensor<?x4xi32, #dsv3.layout<[received]>>, tensor<?xi32, #dsv3.layout<[routed]>>, tensor<3xi32>, tensor<?x2xi32, #dsv3.layout<[received]>>, tensor<?x2xi32, #dsv3.layout<[tokens]>>, tensor<2x2xi32>, tensor<2x2xi32>)
  return
}
}

// -----

// A rank computes its own experts.
module attributes {dsv3.mesh = #dsv3.mesh<tp 1, dp 2, ep 2, node 8, slots 2>} {
func.func @f(%x: tensor<?x4xbf16, #dsv3.layout<[routed]>>, %w: tensor<4x4x4xbf16, #dsv3.layout<stack>>, %e: tensor<5xi32>) {
  // expected-error@+1 {{H2001: 'dsv3.linear' op has 4 experts, a rank of the mesh has 2}}
  %y = dsv3.linear %x, %w experts(%e) : (tensor<?x4xbf16, #dsv3.layout<[routed]>>, tensor<4x4x4xbf16, #dsv3.layout<stack>>, tensor<5xi32>) -> tensor<?x4xbf16, #dsv3.layout<[routed]>>
  return
}
}

// -----

// And loads no others.
module attributes {dsv3.mesh = #dsv3.mesh<tp 1, dp 2, ep 2, node 8, slots 2>} {
// expected-error@+1 {{H2001: 'dsv3.parameter' op has 4 slots, a rank of the mesh has 2}}
dsv3.parameter @e : tensor<4x4x4xbf16, #dsv3.layout<stack>> from ["e.{e}"] accepts [bf16] place map split <slots by ep of 1> layer 0
}

//--- option.mlir
// There are two stages.
// expected-error@+1 {{H2002: stage must be model, sharded or fused, got 'tile'}}
module {}
