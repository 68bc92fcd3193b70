// RUN: hadal-opt %s --hadal-quantize-before-exchange | FileCheck %s

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

// Codes and scales travel where all readers take the same ones.
// CHECK-LABEL: func.func @all
// CHECK-SAME: %[[X:arg[0-9]+]]:
// CHECK-NEXT: %[[Q:.*]] = dsv3.quantize_tiles %[[X]] floor 1.000000e-04 : (tensor<?x256xbf16, #tokens>) -> tensor<?x256xf8E4M3FN, #fp8_tokens>
// CHECK-NEXT: %[[ROWS:rows]], {{.*}} = dsv3.moe_dispatch %[[Q]], {{.*}} -> (tensor<?x256xf8E4M3FN, #fp8_received>
// CHECK-NEXT: return %[[ROWS]], %[[ROWS]]
func.func @all(%x: !x, %i: !ids, %t: tensor<4x2xi32>, %b: !dsv3.batch, %l: !dsv3.counts<4>, %o: !dsv3.counts<4>) -> (!qrows, !qrows) {
  %r:8 = dsv3.moe_dispatch %x, %i, %t, %b counting %l overflow %o over ep : (!x, !ids, tensor<4x2xi32>, !dsv3.batch, !dsv3.counts<4>, !dsv3.counts<4>) -> (!rows, !meta, !source, tensor<3xi32>, !back, !ids, !counts, !counts)
  %0 = dsv3.quantize_tiles %r#0 floor 1.0e-4 : (!rows) -> !qrows
  %1 = dsv3.quantize_tiles %r#0 floor 1.0e-4 : (!rows) -> !qrows
  return %0, %1 : !qrows, !qrows
}

// Another floor, another format or a reader of the rows as they are: bf16.
// CHECK-LABEL: func.func @floor
// CHECK-NEXT: dsv3.moe_dispatch %{{.*}} -> (tensor<?x256xbf16, #received>
// CHECK-COUNT-2: dsv3.quantize_tiles
func.func @floor(%x: !x, %i: !ids, %t: tensor<4x2xi32>, %b: !dsv3.batch, %l: !dsv3.counts<4>, %o: !dsv3.counts<4>) -> (!qrows, !qrows) {
  %r:8 = dsv3.moe_dispatch %x, %i, %t, %b counting %l overflow %o over ep : (!x, !ids, tensor<4x2xi32>, !dsv3.batch, !dsv3.counts<4>, !dsv3.counts<4>) -> (!rows, !meta, !source, tensor<3xi32>, !back, !ids, !counts, !counts)
  %0 = dsv3.quantize_tiles %r#0 floor 1.0e-4 : (!rows) -> !qrows
  %1 = dsv3.quantize_tiles %r#0 floor 0.125 : (!rows) -> !qrows
  return %0, %1 : !qrows, !qrows
}

// CHECK-LABEL: func.func @format
// CHECK-NEXT: dsv3.moe_dispatch %{{.*}} -> (tensor<?x256xbf16, #received>
// CHECK-COUNT-2: dsv3.quantize_tiles
func.func @format(%x: !x, %i: !ids, %t: tensor<4x2xi32>, %b: !dsv3.batch, %l: !dsv3.counts<4>, %o: !dsv3.counts<4>) -> (!qrows, !urows) {
  %r:8 = dsv3.moe_dispatch %x, %i, %t, %b counting %l overflow %o over ep : (!x, !ids, tensor<4x2xi32>, !dsv3.batch, !dsv3.counts<4>, !dsv3.counts<4>) -> (!rows, !meta, !source, tensor<3xi32>, !back, !ids, !counts, !counts)
  %0 = dsv3.quantize_tiles %r#0 floor 1.0e-4 : (!rows) -> !qrows
  %1 = dsv3.quantize_tiles %r#0 floor 1.0e-4 : (!rows) -> !urows
  return %0, %1 : !qrows, !urows
}

// CHECK-LABEL: func.func @reader
// CHECK-NEXT: dsv3.moe_dispatch %{{.*}} -> (tensor<?x256xbf16, #received>
// CHECK-COUNT-2: dsv3.quantize_tiles
func.func @reader(%x: !x, %i: !ids, %t: tensor<4x2xi32>, %b: !dsv3.batch, %l: !dsv3.counts<4>, %o: !dsv3.counts<4>) -> (!qrows, !qrows) {
  %r:8 = dsv3.moe_dispatch %x, %i, %t, %b counting %l overflow %o over ep : (!x, !ids, tensor<4x2xi32>, !dsv3.batch, !dsv3.counts<4>, !dsv3.counts<4>) -> (!rows, !meta, !source, tensor<3xi32>, !back, !ids, !counts, !counts)
  %0 = dsv3.quantize_tiles %r#0 floor 1.0e-4 : (!rows) -> !qrows
  %1 = dsv3.quantize_tiles %r#0 floor 1.0e-4 : (!rows) -> !qrows
  %2 = dsv3.add %r#0, %r#0 : !rows
  return %0, %1 : !qrows, !qrows
}

// The rows of a gather, part by part: that of which a reader takes the rows as they
// are travels in bf16.
// CHECK-LABEL: func.func @gather
// CHECK-NEXT: %[[Q:.*]] = dsv3.quantize_tiles %arg0 floor 1.000000e-04 : {{.*}} -> tensor<?x256xf8E4M3FN, #fp8_slice>
// CHECK-NEXT: %[[G:.*]]:2 = dsv3.all_gather %[[Q]], %arg0 over tp
// CHECK-NEXT: %[[O:.*]] = dsv3.quantize_tiles %[[G]]#1
// CHECK-NEXT: return %[[G]]#0, %[[O]], %[[G]]#1
func.func @gather(%s: tensor<?x256xbf16, #dsv3.layout<[slice]>>) -> (!q, !q, !x) {
  %g:2 = dsv3.all_gather %s, %s over tp : (tensor<?x256xbf16, #dsv3.layout<[slice]>>, tensor<?x256xbf16, #dsv3.layout<[slice]>>) -> (!x, !x)
  %0 = dsv3.quantize_tiles %g#0 floor 1.0e-4 : (!x) -> !q
  %1 = dsv3.quantize_tiles %g#1 floor 1.0e-4 : (!x) -> !q
  return %0, %1, %g#1 : !q, !q, !x
}

// Codes and scales of two columns are more bytes than they are in bf16.
// CHECK-LABEL: func.func @narrow
// CHECK-NEXT: dsv3.all_gather %arg0
// CHECK-NEXT: dsv3.quantize_tiles
func.func @narrow(%s: tensor<?x2xbf16, #dsv3.layout<[slice]>>) -> tensor<?x2xf8E4M3FN, #dsv3.layout<[tokens], scale = <1x128, f32, k>>> {
  %g = dsv3.all_gather %s over tp : (tensor<?x2xbf16, #dsv3.layout<[slice]>>) -> tensor<?x2xbf16, #dsv3.layout<[tokens]>>
  %0 = dsv3.quantize_tiles %g floor 1.0e-4 : (tensor<?x2xbf16, #dsv3.layout<[tokens]>>) -> tensor<?x2xf8E4M3FN, #dsv3.layout<[tokens], scale = <1x128, f32, k>>>
  return %0 : tensor<?x2xf8E4M3FN, #dsv3.layout<[tokens], scale = <1x128, f32, k>>>
}
