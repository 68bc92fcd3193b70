// The experts of a layer are shared: three slots a rank for four experts on two.
// RUN: hadal-opt %s --hadal-shard-layers --hadal-verify-dsv3=stage=sharded | FileCheck %s
// RUN: sed "s/ep 2/ep 1/" %s | hadal-opt --hadal-shard-layers | FileCheck %s --check-prefix=ALONE

!ids = tensor<?x2xi32, #dsv3.layout<[tokens]>>
!w = tensor<?x2xf32, #dsv3.layout<[tokens]>>
!x = tensor<?x256xbf16, #dsv3.layout<[tokens]>>
!source = tensor<?xi32, #dsv3.layout<[routed]>>
!y = tensor<?x256xbf16, #dsv3.layout<[routed]>>
!stack = tensor<4x256x256xf8E4M3FN, #dsv3.layout<stack, scale = <128x128, f32, k>>>

module attributes {dsv3.mesh = #dsv3.mesh<tp 1, dp 2, ep 2, node 8, slots 3>} {
// Stacks and their scales have a rank's slots; the tables and the state of what was
// wanted of the capacity are declared once.
// CHECK: dsv3.parameter @layers.1.up.scale : tensor<3x2x2xf32, #stack> {{.*}} split <slots by ep of 1> layer 1
// CHECK: dsv3.parameter @layers.1.up : tensor<3x256x256xf8E4M3FN, #fp8_stack> {{.*}} split <slots by ep of 1> layer 1
// CHECK: dsv3.state @comm.overflow : !dsv3.counts<4>
// CHECK: dsv3.state @expert_load.1 : !dsv3.counts<4>
// An expert may have two slots more than one, but no two on a rank.
// CHECK: dsv3.placement_table @layers.1.placement : tensor<4x3xi32> layer 1
dsv3.parameter @layers.1.up.scale : tensor<4x2x2xf32, #dsv3.layout<stack>> from ["l.1.{e}.s"] accepts [f32] place copy
dsv3.parameter @layers.1.up : !stack from ["l.1.{e}"] accepts [f8E4M3FN] place map scale @layers.1.up.scale
dsv3.state @expert_load.1 : !dsv3.counts<4>

// CHECK-LABEL: func.func private @moe_layer
// CHECK-SAME: %[[X:arg[0-9]+]]: tensor<?x256xbf16, #tokens>, %[[IDS:arg[0-9]+]]: {{[^%]*}}, %{{[^%]*}}, %[[B:arg[0-9]+]]: !dsv3.batch, %[[LOAD:arg[0-9]+]]: !dsv3.counts<4>, %[[W:arg[0-9]+]]: tensor<3x256x256xf8E4M3FN, #fp8_stack>, %[[TABLE:arg[0-9]+]]: tensor<4x3xi32>, %[[OVER:arg[0-9]+]]: !dsv3.counts<4>)
// CHECK-NEXT: %[[ROWS:.*]], %[[META:.*]], %[[SOURCE:.*]], %[[BEGIN:.*]], %[[BACK:.*]], %[[PLACE:.*]], %[[SENT:.*]], %[[GOT:.*]] = dsv3.moe_dispatch %[[X]], %[[IDS]], %[[TABLE]], %[[B]] counting %[[LOAD]] overflow %[[OVER]] over ep
// CHECK-NEXT: %[[H:.*]] = dsv3.linear %[[ROWS]], %[[W]] experts(%[[BEGIN]]) gather(%[[SOURCE]])
// CHECK-NEXT: %[[Y:.*]] = dsv3.linear %[[H]], %[[W]] experts(%[[BEGIN]])
// CHECK-NEXT: %[[Z:.*]] = dsv3.moe_return %[[Y]], %[[META]], %[[BACK]], %[[SENT]], %[[GOT]] over ep
// CHECK-NEXT: dsv3.moe_combine %[[Z]] at %[[PLACE]] weighted
func.func private @moe_layer(%x: !x, %i: !ids, %w: !w, %b: !dsv3.batch, %l: !dsv3.counts<4>, %u: !stack) -> !x attributes {dsv3.bucket = #dsv3.bucket<decode tokens 4 rows 4 queries 1 capacity 4 pairs 8 rung worst>} {
  %s, %p, %e = dsv3.moe_permute %i, %b counting %l : (!ids, !dsv3.batch, !dsv3.counts<4>) -> (!source, !ids, tensor<5xi32>)
  %h = dsv3.linear %x, %u experts(%e) gather(%s) : (!x, !stack, tensor<5xi32>, !source) -> !y
  %y = dsv3.linear %h, %u experts(%e) : (!y, !stack, tensor<5xi32>) -> !y
  %c = dsv3.moe_combine %y at %p weighted %w : (!y, !ids, !w) -> !x
  return %c : !x
}

// CHECK-LABEL: func.func @forward
// CHECK: %[[T:.*]] = dsv3.get_parameter @layers.1.placement : tensor<4x3xi32>
// CHECK: %[[O:.*]] = dsv3.get_state @comm.overflow
// CHECK: call @moe_layer({{.*}}, %[[T]], %[[O]])

// Ranks that have all experts exchange nothing.
// ALONE-NOT: placement
// ALONE: dsv3.moe_permute
// ALONE-NOT: moe_dispatch
func.func @forward(%x: !x, %i: !ids, %w: !w, %b: !dsv3.batch) -> !x {
  %l = dsv3.get_state @expert_load.1 : !dsv3.counts<4>
  %u = dsv3.get_parameter @layers.1.up : !stack
  %r = call @moe_layer(%x, %i, %w, %b, %l, %u) : (!x, !ids, !w, !dsv3.batch, !dsv3.counts<4>, !stack) -> !x
  return %r : !x
}
}
