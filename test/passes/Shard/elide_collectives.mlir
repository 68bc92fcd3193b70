// Rewrites that change no bit, each on its own.
// RUN: hadal-opt %s --hadal-elide-collectives -split-input-file | FileCheck %s

#tokens = #dsv3.layout<[tokens]>
#slice = #dsv3.layout<[slice]>
// A sum of which the slice alone is read is formed there alone.
// CHECK-LABEL: func.func @scatter_sum
// CHECK-NEXT: %[[S:.*]] = dsv3.reduce_scatter %arg0 over tp : (tensor<?x256xbf16, #tokens>) -> tensor<?x256xbf16, #slice>
// CHECK-NEXT: return %[[S]]
func.func @scatter_sum(%x: tensor<?x256xbf16, #tokens>) -> tensor<?x256xbf16, #slice> {
  %r = dsv3.all_reduce %x over tp : (tensor<?x256xbf16, #tokens>) -> tensor<?x256xbf16, #tokens>
  %s = dsv3.take_slice %r : (tensor<?x256xbf16, #tokens>) -> tensor<?x256xbf16, #slice>
  return %s : tensor<?x256xbf16, #slice>
}

// Of an argument too, which nothing stands for.
// CHECK-LABEL: func.func @own_argument
// CHECK-SAME: dsv3.dropped
// CHECK-NEXT: return %arg0
func.func @own_argument(%x: tensor<?x256xbf16, #slice>) -> tensor<?x256xbf16, #slice> {
  %g = dsv3.all_gather %x over tp : (tensor<?x256xbf16, #slice>) -> tensor<?x256xbf16, #tokens>
  %s = dsv3.take_slice %g : (tensor<?x256xbf16, #tokens>) -> tensor<?x256xbf16, #slice>
  return %s : tensor<?x256xbf16, #slice>
}

// A sum is not where all rows are read too.
// CHECK-LABEL: func.func @sum_for_all
// CHECK-NEXT: dsv3.all_reduce
// CHECK-NEXT: dsv3.take_slice
// CHECK-NEXT: return
func.func @sum_for_all(%x: tensor<?x256xbf16, #tokens>) -> (tensor<?x256xbf16, #slice>, tensor<?x256xbf16, #tokens>) {
  %r = dsv3.all_reduce %x over tp : (tensor<?x256xbf16, #tokens>) -> tensor<?x256xbf16, #tokens>
  %s = dsv3.take_slice %r : (tensor<?x256xbf16, #tokens>) -> tensor<?x256xbf16, #slice>
  return %s, %r : tensor<?x256xbf16, #slice>, tensor<?x256xbf16, #tokens>
}

// The own slice of what was gathered is there already.
// CHECK-LABEL: func.func @own_slice
// CHECK-NEXT: %[[X:.*]] = dsv3.add
// CHECK-NEXT: return %[[X]]
func.func @own_slice(%a: tensor<?x256xbf16, #slice>) -> tensor<?x256xbf16, #slice> {
  %x = dsv3.add %a, %a : tensor<?x256xbf16, #slice>
  %g = dsv3.all_gather %x over tp : (tensor<?x256xbf16, #slice>) -> tensor<?x256xbf16, #tokens>
  %s = dsv3.take_slice %g : (tensor<?x256xbf16, #tokens>) -> tensor<?x256xbf16, #slice>
  return %s : tensor<?x256xbf16, #slice>
}

// -----

#tokens = #dsv3.layout<[tokens]>
#slice = #dsv3.layout<[slice]>
// A gather goes below what maps rows while that is no wider: a norm and two
// projections of 128 and 64 of 256 columns. Both are then one gather of two parts.
// CHECK-LABEL: func.func @sink
// CHECK-NEXT: %[[N:.*]] = dsv3.rms_norm %arg0, {{.*}} -> tensor<?x256xbf16, #slice>
// CHECK-NEXT: %[[A:.*]] = dsv3.linear %[[N]], %arg2 {{.*}} -> tensor<?x128xbf16, #slice>
// CHECK-NEXT: %[[B:.*]] = dsv3.linear %[[N]], %arg3 {{.*}} -> tensor<?x64xbf16, #slice>
// CHECK-NEXT: %[[G:.*]]:2 = dsv3.all_gather %[[A]], %[[B]] over tp
// CHECK-NEXT: return %[[G]]#0, %[[G]]#1
func.func @sink(%x: tensor<?x256xbf16, #slice>, %w: tensor<256xf32>, %a: tensor<128x256xbf16>, %b: tensor<64x256xbf16>) -> (tensor<?x128xbf16, #tokens>, tensor<?x64xbf16, #tokens>) {
  %g = dsv3.all_gather %x over tp : (tensor<?x256xbf16, #slice>) -> tensor<?x256xbf16, #tokens>
  %n = dsv3.rms_norm %g, %w eps 1.0e-06 : (tensor<?x256xbf16, #tokens>, tensor<256xf32>) -> tensor<?x256xbf16, #tokens>
  %p = dsv3.linear %n, %a : (tensor<?x256xbf16, #tokens>, tensor<128x256xbf16>) -> tensor<?x128xbf16, #tokens>
  %q = dsv3.linear %n, %b : (tensor<?x256xbf16, #tokens>, tensor<64x256xbf16>) -> tensor<?x64xbf16, #tokens>
  return %p, %q : tensor<?x128xbf16, #tokens>, tensor<?x64xbf16, #tokens>
}

// Not below a product that makes rows wider.
// CHECK-LABEL: func.func @wider
// CHECK-NEXT: dsv3.all_gather
// CHECK-NEXT: dsv3.linear
func.func @wider(%x: tensor<?x64xbf16, #slice>, %w: tensor<128x64xbf16>) -> tensor<?x128xbf16, #tokens> {
  %g = dsv3.all_gather %x over tp : (tensor<?x64xbf16, #slice>) -> tensor<?x64xbf16, #tokens>
  %p = dsv3.linear %g, %w : (tensor<?x64xbf16, #tokens>, tensor<128x64xbf16>) -> tensor<?x128xbf16, #tokens>
  return %p : tensor<?x128xbf16, #tokens>
}

// FP8 and its scales are fewer bytes than bf16.
// CHECK-LABEL: func.func @quantized
// CHECK-NEXT: %[[Q:.*]] = dsv3.quantize_tiles %arg0
// CHECK-NEXT: dsv3.all_gather %[[Q]]
func.func @quantized(%x: tensor<?x256xbf16, #slice>) -> tensor<?x256xf8E4M3FN, #dsv3.layout<[tokens], scale = <1x128, f32, k>>> {
  %g = dsv3.all_gather %x over tp : (tensor<?x256xbf16, #slice>) -> tensor<?x256xbf16, #tokens>
  %q = dsv3.quantize_tiles %g floor 1.0e-04 : (tensor<?x256xbf16, #tokens>) -> tensor<?x256xf8E4M3FN, #dsv3.layout<[tokens], scale = <1x128, f32, k>>>
  return %q : tensor<?x256xf8E4M3FN, #dsv3.layout<[tokens], scale = <1x128, f32, k>>>
}

// -----

#tokens = #dsv3.layout<[tokens]>
#slice = #dsv3.layout<[slice]>
// Nor below a rank's part of a weight: the ranks would gather different columns.
// CHECK-LABEL: func.func @part
// CHECK: %[[G:.*]] = dsv3.all_gather %arg0
// CHECK-NEXT: dsv3.linear %[[G]]
module attributes {dsv3.mesh = #dsv3.mesh<tp 2, dp 1, ep 1, node 8, slots 0>} {
dsv3.parameter @w : tensor<64x64xbf16> from ["w"] accepts [bf16] place map split <rows by tp of 64>
func.func @part(%x: tensor<?x64xbf16, #slice>) -> tensor<?x64xbf16, #tokens> {
  %w = dsv3.get_parameter @w : tensor<64x64xbf16>
  %g = dsv3.all_gather %x over tp : (tensor<?x64xbf16, #slice>) -> tensor<?x64xbf16, #tokens>
  %p = dsv3.linear %g, %w : (tensor<?x64xbf16, #tokens>, tensor<64x64xbf16>) -> tensor<?x64xbf16, #tokens>
  return %p : tensor<?x64xbf16, #tokens>
}
}

// -----

#tokens = #dsv3.layout<[tokens]>
#slice = #dsv3.layout<[slice]>
// Gathers of which neither can move to the other stay two.
// CHECK-LABEL: func.func @apart
// CHECK-NEXT: %[[A:.*]] = dsv3.all_gather %arg0
// CHECK-NEXT: dsv3.add
// CHECK-NEXT: %[[T:.*]] = dsv3.take_slice
// CHECK-NEXT: %[[B:.*]] = dsv3.all_gather %[[T]]
func.func @apart(%x: tensor<?x64xbf16, #slice>) -> (tensor<?x64xbf16, #tokens>, tensor<?x64xbf16, #tokens>) {
  %a = dsv3.all_gather %x over tp : (tensor<?x64xbf16, #slice>) -> tensor<?x64xbf16, #tokens>
  %s = dsv3.add %a, %a : tensor<?x64xbf16, #tokens>
  %t = dsv3.take_slice %s : (tensor<?x64xbf16, #tokens>) -> tensor<?x64xbf16, #slice>
  %b = dsv3.all_gather %t over tp : (tensor<?x64xbf16, #slice>) -> tensor<?x64xbf16, #tokens>
  return %a, %b : tensor<?x64xbf16, #tokens>, tensor<?x64xbf16, #tokens>
}
