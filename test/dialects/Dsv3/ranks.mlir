// The operations of several ranks in their syntax.
// RUN: hadal-opt %s | hadal-opt | FileCheck %s
!ids = tensor<?x2xi32, #dsv3.layout<[tokens]>>
!x = tensor<?x256xbf16, #dsv3.layout<[tokens]>>
!rows = tensor<?x256xbf16, #dsv3.layout<[received]>>
!meta = tensor<?x4xi32, #dsv3.layout<[received]>>
!token = tensor<?xi32, #dsv3.layout<[received]>>
!back = tensor<?x2xi32, #dsv3.layout<[received]>>
!source = tensor<?xi32, #dsv3.layout<[routed]>>
!y = tensor<?x256xbf16, #dsv3.layout<[routed]>>
!z = tensor<?x256xbf16, #dsv3.layout<[returned]>>
!table = tensor<8x2xi32>
!counts = tensor<4x2xi32>
!begin = tensor<3xi32>

// CHECK: module attributes {dsv3.mesh = #dsv3.mesh<tp 1, dp 4, ep 4, node 8, slots 2>}
module attributes {dsv3.mesh = #dsv3.mesh<tp 1, dp 4, ep 4, node 8, slots 2>} {
// CHECK: dsv3.placement_table @layers.3.placement : tensor<8x2xi32> layer 3
dsv3.placement_table @layers.3.placement : !table layer 3
// CHECK: dsv3.parameter @e : {{.*}} split <slots by ep of 1> layer 3
dsv3.parameter @e : tensor<2x128x256xbf16, #dsv3.layout<stack>> from ["e.{e}"] accepts [bf16] place map split <slots by ep of 1> layer 3
// CHECK: dsv3.parameter @q : {{.*}} split <rows by tp of 192>
dsv3.parameter @q : tensor<384x256xbf16> from ["q"] accepts [bf16] place map split <rows by tp of 192>
// CHECK-LABEL: func.func private @layer
// CHECK-SAME: #dsv3.bucket<decode tokens 4 rows 4 queries 1 capacity 2 pairs 4 rung expected>
func.func private @layer(%x: !x, %ids: !ids, %b: !dsv3.batch, %l: !dsv3.counts<8>, %o: !dsv3.counts<8>, %y: !y) -> !z attributes {dsv3.bucket = #dsv3.bucket<decode tokens 4 rows 4 queries 1 capacity 2 pairs 4 rung expected>} {
  %t = dsv3.get_parameter @layers.3.placement : !table
  // CHECK: %[[ROWS:.*]], %[[META:.*]], %{{.*}}, %{{.*}}, %[[BACK:.*]], %{{.*}}, %[[SENT:.*]], %[[GOT:.*]] = dsv3.moe_dispatch %{{.*}}, %{{.*}}, %{{.*}}, %{{.*}} counting %{{.*}} overflow %{{.*}} over ep
  %r:8 = dsv3.moe_dispatch %x, %ids, %t, %b counting %l overflow %o over ep : (!x, !ids, !table, !dsv3.batch, !dsv3.counts<8>, !dsv3.counts<8>) -> (!rows, !meta, !source, !begin, !back, !ids, !counts, !counts)
  // CHECK: dsv3.moe_return %{{.*}}, %[[META]], %[[BACK]], %[[SENT]], %[[GOT]] over ep
  %z = dsv3.moe_return %y, %r#1, %r#4, %r#6, %r#7 over ep : (!y, !meta, !back, !counts, !counts) -> !z
  return %z : !z
}
// CHECK-LABEL: func.func private @expanded
func.func private @expanded(%x: !x, %ids: !ids, %t: !table, %b: !dsv3.batch, %l: !dsv3.counts<8>, %o: !dsv3.counts<8>, %y: !y) -> !z {
  // CHECK: dsv3.moe_count %{{.*}}, %{{.*}} counting
  dsv3.moe_count %ids, %b counting %l : !ids, !dsv3.batch, !dsv3.counts<8>
  // CHECK: dsv3.moe_route %{{.*}}, %{{.*}}, %{{.*}} overflow
  %token, %send, %place, %sent = dsv3.moe_route %ids, %t, %b overflow %o : (!ids, !table, !dsv3.batch, !dsv3.counts<8>) -> (!token, !meta, !ids, !counts)
  // CHECK: dsv3.moe_pack
  %packed = dsv3.moe_pack %x, %token : (!x, !token) -> !rows
  // CHECK: %[[P:.*]] = dsv3.start all_to_all over ep(%{{.*}}, %{{.*}}, %{{.*}}) counted [0, -1, -1] by %{{.*}} label "dispatch"
  %p = dsv3.start all_to_all over ep (%packed, %send, %sent) counted [0, -1, -1] by %sent label "dispatch" : (!rows, !meta, !counts, !counts) -> !dsv3.pending<!rows, !meta, !counts>
  // CHECK: dsv3.await %[[P]]
  %rows, %meta, %got = dsv3.await %p : !dsv3.pending<!rows, !meta, !counts> -> !rows, !meta, !counts
  // CHECK: dsv3.moe_receive
  %source, %back, %begin = dsv3.moe_receive %meta, %got, %b : (!meta, !counts, !dsv3.batch) -> (!source, !back, !begin)
  // CHECK: dsv3.moe_return_rows
  %z = dsv3.moe_return_rows %y, %meta, %back : (!y, !meta, !back) -> !z
  %q = dsv3.start all_to_all over ep (%z) counted [1] by %got label "return" : (!z, !counts) -> !dsv3.pending<!z>
  %w = dsv3.await %q : !dsv3.pending<!z> -> !z
  return %w : !z
}
// Sums and gathers over the ranks of a tp group.
// CHECK-LABEL: func.func private @sums
func.func private @sums(%x: !x, %s: tensor<?x256xbf16, #dsv3.layout<[slice]>>) {
  // CHECK: dsv3.start reduce_scatter over tp(
  %p = dsv3.start reduce_scatter over tp (%x) label "o_proj" : (!x) -> !dsv3.pending<tensor<?x256xbf16, #dsv3.layout<[slice]>>>
  %q = dsv3.start all_gather over tp (%s) label "qkv" : (tensor<?x256xbf16, #dsv3.layout<[slice]>>) -> !dsv3.pending<!x>
  %r = dsv3.start all_reduce over world (%x) label "all" : (!x) -> !dsv3.pending<!x>
  return
}
}
