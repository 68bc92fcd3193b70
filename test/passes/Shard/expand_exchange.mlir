// RUN: hadal-opt %s --hadal-expand-exchange | FileCheck %s
// RUN: hadal-opt %s --hadal-expand-exchange | hadal-opt --hadal-expand-exchange | FileCheck %s

!ids = tensor<?x2xi32, #dsv3.layout<[tokens]>>
!x = tensor<?x256xbf16, #dsv3.layout<[tokens]>>
!rows = tensor<?x256xbf16, #dsv3.layout<[received]>>
!q = tensor<?x256xf8E4M3FN, #dsv3.layout<[tokens], scale = <1x128, f32, k>>>
!qrows = tensor<?x256xf8E4M3FN, #dsv3.layout<[received], scale = <1x128, f32, k>>>
!urows = tensor<?x256xf8E4M3FN, #dsv3.layout<[received], scale = <1x128, ue8m0, k>>>
!meta = tensor<?x4xi32, #dsv3.layout<[received]>>
!back = tensor<?x2xi32, #dsv3.layout<[received]>>
!source = tensor<?xi32, #dsv3.layout<[routed]>>
!y = tensor<?x256xbf16, #dsv3.layout<[routed]>>
!z = tensor<?x256xbf16, #dsv3.layout<[returned]>>
!counts = tensor<2x2xi32>

// The shared expert runs while rows travel; what writes, or needs what arrives, does
// not move.
// CHECK-LABEL: func.func @f
// CHECK-SAME: %[[X:arg[0-9]+]]: {{[^%]*}}, %[[I:arg[0-9]+]]: {{[^%]*}}, %[[T:arg[0-9]+]]: {{[^%]*}}, %[[B:arg[0-9]+]]: {{[^%]*}}, %[[L:arg[0-9]+]]: {{[^%]*}}, %[[O:arg[0-9]+]]:
// CHECK-NEXT: dsv3.moe_count %[[I]], %[[B]] counting %[[L]]
// CHECK-NEXT: %[[TOKEN:.*]], %[[META:.*]], %[[PLACE:.*]], %[[SENT:.*]] = dsv3.moe_route %[[I]], %[[T]], %[[B]] overflow %[[O]]
// CHECK-NEXT: %[[PACKED:.*]] = dsv3.moe_pack %[[X]], %[[TOKEN]]
// CHECK-NEXT: %[[P:.*]] = dsv3.start all_to_all over ep(%[[PACKED]], %[[META]], %[[SENT]]) counted [0, -1, -1] by %[[SENT]] label "dispatch"
// CHECK-NEXT: %[[SHARED:.*]] = dsv3.add %[[X]], %[[X]]
// CHECK-NEXT: %[[GOT:.*]]:3 = dsv3.await %[[P]]
// CHECK-NEXT: %[[SOURCE:.*]], %[[BACK:.*]], %[[BEGIN:.*]] = dsv3.moe_receive %[[GOT]]#1, %[[GOT]]#2, %[[B]]
// CHECK-NEXT: %[[Y:.*]] = dsv3.linear %[[GOT]]#0, %{{.*}} experts(%[[BEGIN]]) gather(%[[SOURCE]])
// CHECK-NEXT: %[[R:.*]] = dsv3.moe_return_rows %[[Y]], %[[GOT]]#1, %[[BACK]]
// CHECK-NEXT: %[[Q:.*]] = dsv3.start all_to_all over ep(%[[R]]) counted [1] by %[[GOT]]#2 label "return"
// CHECK-NEXT: %[[Z:.*]] = dsv3.await %[[Q]]
// CHECK-NEXT: dsv3.append_latent %[[X]]
// CHECK-NEXT: dsv3.moe_combine %[[Z]] at %[[PLACE]] {{.*}} residual %[[SHARED]]
func.func @f(%x: !x, %i: !ids, %t: tensor<4x2xi32>, %b: !dsv3.batch, %l: !dsv3.counts<4>, %o: !dsv3.counts<4>, %w: tensor<2x256x256xbf16, #dsv3.layout<stack>>, %g: tensor<?x2xf32, #dsv3.layout<[tokens]>>, %k: !dsv3.cache<256 + 2 x bf16>, %e: tensor<?x2xbf16, #dsv3.layout<[tokens]>>) -> !x {
  %r:8 = dsv3.moe_dispatch %x, %i, %t, %b counting %l overflow %o over ep : (!x, !ids, tensor<4x2xi32>, !dsv3.batch, !dsv3.counts<4>, !dsv3.counts<4>) -> (!rows, !meta, !source, tensor<3xi32>, !back, !ids, !counts, !counts)
  %y = dsv3.linear %r#0, %w experts(%r#3) gather(%r#2) : (!rows, tensor<2x256x256xbf16, #dsv3.layout<stack>>, tensor<3xi32>, !source) -> !y
  %z = dsv3.moe_return %y, %r#1, %r#4, %r#6, %r#7 over ep : (!y, !meta, !back, !counts, !counts) -> !z
  dsv3.append_latent %x, %e, %b to %k : (!x, tensor<?x2xbf16, #dsv3.layout<[tokens]>>, !dsv3.batch, !dsv3.cache<256 + 2 x bf16>) -> ()
  %s = dsv3.add %x, %x : !x
  %c = dsv3.moe_combine %z at %r#5 weighted %g residual %s : (!z, !ids, tensor<?x2xf32, #dsv3.layout<[tokens]>>, !x) -> !x
  return %c : !x
}

// Rows that are gathered and sums that are scattered; what the function got or
// returns lies elsewhere and is copied.
// CHECK-LABEL: func.func @rows
// CHECK-NEXT: %[[S:.*]] = dsv3.copy_rows %arg0 : tensor<?x256xbf16, #slice>
// CHECK-NEXT: %[[P:.*]] = dsv3.start all_gather over tp(%[[S]]) label
// CHECK-NEXT: %[[A:.*]] = dsv3.await %[[P]] : {{.*}} -> tensor<?x256xbf16, #tokens>
// CHECK-NEXT: %[[SUM:.*]] = dsv3.add %[[A]], %[[A]]
// CHECK-NEXT: %[[Q:.*]] = dsv3.start all_reduce over tp(%[[SUM]]) label
// CHECK-NEXT: %[[B:.*]] = dsv3.await %[[Q]]
// CHECK-NEXT: %[[R:.*]] = dsv3.start reduce_scatter over tp(%[[B]]) label
// CHECK-NEXT: %[[C:.*]] = dsv3.await %[[R]] : {{.*}} -> tensor<?x256xbf16, #slice>
// CHECK-NEXT: %[[D:.*]] = dsv3.copy_rows %[[C]] : tensor<?x256xbf16, #slice>
// CHECK-NEXT: return %[[D]]
func.func @rows(%s: tensor<?x256xbf16, #dsv3.layout<[slice]>>) -> tensor<?x256xbf16, #dsv3.layout<[slice]>> {
  %a = dsv3.all_gather %s over tp : (tensor<?x256xbf16, #dsv3.layout<[slice]>>) -> !x
  %sum = dsv3.add %a, %a : !x
  %b = dsv3.all_reduce %sum over tp : (!x) -> !x
  %c = dsv3.reduce_scatter %b over tp : (!x) -> tensor<?x256xbf16, #dsv3.layout<[slice]>>
  return %c : tensor<?x256xbf16, #dsv3.layout<[slice]>>
}
