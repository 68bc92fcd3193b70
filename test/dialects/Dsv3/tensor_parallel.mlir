// The operations of ranks that share heads and tokens in their syntax.
// RUN: hadal-opt %s | hadal-opt | FileCheck %s
!x = tensor<?x256xbf16, #dsv3.layout<[tokens]>>
!s = tensor<?x256xbf16, #dsv3.layout<[slice]>>
!f = tensor<?x256xf32, #dsv3.layout<[slice]>>
!q = tensor<?x256xf8E4M3FN, #dsv3.layout<[tokens], scale = <1x128, f32, k>>>
!qs = tensor<?x256xf8E4M3FN, #dsv3.layout<[slice], scale = <1x128, f32, k>>>
!l = tensor<?x16xf32, #dsv3.layout<[logits]>>
!g = tensor<?x16xf32, #dsv3.layout<[gathered]>>

// CHECK-LABEL: func.func @f
func.func @f(%x: !x, %s: !s, %qs: !qs, %sum: !f, %ids: tensor<?xi32, #dsv3.layout<[tokens]>>, %l: !l, %w: tensor<256xf32>) {
  // CHECK: dsv3.all_gather %{{.*}}, %{{.*}} over tp : (tensor<?x256xbf16, #slice>, tensor<?x256xf8E4M3FN, #fp8_slice>) -> (tensor<?x256xbf16, #tokens>, tensor<?x256xf8E4M3FN, #fp8_tokens>)
  %a:2 = dsv3.all_gather %s, %qs over tp : (!s, !qs) -> (!x, !q)
  // CHECK: dsv3.reduce_scatter %{{.*}} over tp
  %b = dsv3.reduce_scatter %x over tp : (!x) -> !s
  // CHECK: dsv3.all_reduce %{{.*}} over tp
  %c = dsv3.all_reduce %x over tp : (!x) -> !x
  // CHECK: dsv3.take_slice %{{.*}} : (tensor<?xi32, #tokens>) -> tensor<?xi32, #slice>
  %d = dsv3.take_slice %ids : (tensor<?xi32, #dsv3.layout<[tokens]>>) -> tensor<?xi32, #dsv3.layout<[slice]>>
  // CHECK: dsv3.copy_rows %{{.*}} : tensor<?x256xbf16, #slice>
  %e = dsv3.copy_rows %s : !s
  // CHECK: %[[G:.*]] = dsv3.all_gather %{{.*}} over tp : (tensor<?x16xf32, #logits>) -> tensor<?x16xf32, #gathered>
  %g = dsv3.all_gather %l over tp : (!l) -> !g
  // CHECK: dsv3.join_columns %[[G]] : (tensor<?x16xf32, #gathered>) -> tensor<?x32xf32, #logits>
  %j = dsv3.join_columns %g : (!g) -> tensor<?x32xf32, #dsv3.layout<[logits]>>
  // A sum over ranks that was not rounded.
  // CHECK: dsv3.add %{{.*}}, %{{.*}} : tensor<?x256xbf16, #slice>, tensor<?x256xf32, #slice>
  %h = dsv3.add %s, %sum : !s, !f
  // CHECK: dsv3.norm_quant %{{.*}} plus %{{.*}}, %{{.*}} : tensor<?x256xbf16, #slice>, tensor<?x256xf32, #slice>, tensor<256xf32>
  %r, %n = dsv3.norm_quant %s plus %sum, %w eps 1.0e-06 : !s, !f, tensor<256xf32> -> sum !s norm !s
  // CHECK: dsv3.start all_gather over tp(%{{.*}}) label "logits" : (tensor<?x16xf32, #logits>) -> !dsv3.pending<tensor<?x16xf32, #gathered>>
  %p = dsv3.start all_gather over tp (%l) label "logits" : (!l) -> !dsv3.pending<!g>
  return
}
