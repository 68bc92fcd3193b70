// RUN: hadal-opt %s --hadal-fuse-norm-quant | FileCheck %s

#tokens = #dsv3.layout<[tokens]>
#logits = #dsv3.layout<[logits]>
#fp8_tokens = #dsv3.layout<[tokens], scale = <1x128, f32, k>>

// Add, norm and quantisation; the sum and the norm stay where they are read.
// CHECK-LABEL: func @all
// CHECK-NEXT: %[[S:.*]], %[[N:.*]], %[[Q:.*]] = dsv3.norm_quant %arg0 plus %arg1, %arg2 eps 5.000000e-01 floor 1.000000e-04
// CHECK-NEXT: return %[[S]], %[[N]], %[[Q]]
func.func @all(%x: tensor<?x256xbf16, #tokens>, %y: tensor<?x256xbf16, #tokens>, %w: tensor<256xf32>) -> (tensor<?x256xbf16, #tokens>, tensor<?x256xbf16, #tokens>, tensor<?x256xf8E4M3FN, #fp8_tokens>) {
  %0 = dsv3.add %x, %y : tensor<?x256xbf16, #tokens>
  %1 = dsv3.rms_norm %0, %w eps 0.5 : (tensor<?x256xbf16, #tokens>, tensor<256xf32>) -> tensor<?x256xbf16, #tokens>
  %2 = dsv3.quantize_tiles %1 floor 1.0e-4 : (tensor<?x256xbf16, #tokens>) -> tensor<?x256xf8E4M3FN, #fp8_tokens>
  return %0, %1, %2 : tensor<?x256xbf16, #tokens>, tensor<?x256xbf16, #tokens>, tensor<?x256xf8E4M3FN, #fp8_tokens>
}

// A norm that is only read quantised is not stored.
// CHECK-LABEL: func @quantised_only
// CHECK-NEXT: %[[Q:.*]] = dsv3.norm_quant %arg0, %arg1 eps 5.000000e-01 floor 1.000000e-04 : {{.*}} -> quantized
// CHECK-NEXT: return %[[Q]]
func.func @quantised_only(%x: tensor<?x256xbf16, #tokens>, %w: tensor<256xf32>) -> tensor<?x256xf8E4M3FN, #fp8_tokens> {
  %1 = dsv3.rms_norm %x, %w eps 0.5 : (tensor<?x256xbf16, #tokens>, tensor<256xf32>) -> tensor<?x256xbf16, #tokens>
  %2 = dsv3.quantize_tiles %1 floor 1.0e-4 : (tensor<?x256xbf16, #tokens>) -> tensor<?x256xf8E4M3FN, #fp8_tokens>
  return %2 : tensor<?x256xf8E4M3FN, #fp8_tokens>
}

// The head's row gather is part of its norm.
// CHECK-LABEL: func @head
// CHECK-NEXT: dsv3.norm_quant %arg0 gather %arg1, %arg2 eps 5.000000e-01 : {{.*}} -> norm tensor<?x256xbf16, #logits>
// CHECK-NEXT: return
func.func @head(%x: tensor<?x256xbf16, #tokens>, %i: tensor<?xi32, #logits>, %w: tensor<256xf32>) -> tensor<?x256xbf16, #logits> {
  %0 = dsv3.gather_rows %x, %i : (tensor<?x256xbf16, #tokens>, tensor<?xi32, #logits>) -> tensor<?x256xbf16, #logits>
  %1 = dsv3.rms_norm %0, %w eps 0.5 : (tensor<?x256xbf16, #logits>, tensor<256xf32>) -> tensor<?x256xbf16, #logits>
  return %1 : tensor<?x256xbf16, #logits>
}

// A sum that something reads before the norm stays an add.
// CHECK-LABEL: func @early_reader
// CHECK-NEXT: %[[S:.*]] = dsv3.add
// CHECK-NEXT: dsv3.silu_mul %[[S]]
// CHECK-NEXT: dsv3.norm_quant %[[S]], %arg1
func.func @early_reader(%x: tensor<?x256xbf16, #tokens>, %w: tensor<256xf32>) -> (tensor<?x256xbf16, #tokens>, tensor<?x256xbf16, #tokens>) {
  %0 = dsv3.add %x, %x : tensor<?x256xbf16, #tokens>
  %1 = dsv3.silu_mul %0, %0 : tensor<?x256xbf16, #tokens>
  %2 = dsv3.rms_norm %0, %w eps 0.5 : (tensor<?x256xbf16, #tokens>, tensor<256xf32>) -> tensor<?x256xbf16, #tokens>
  return %1, %2 : tensor<?x256xbf16, #tokens>, tensor<?x256xbf16, #tokens>
}

// Before ElideRequantize several quantisations stay as they are: correct, only
// slower.
// CHECK-LABEL: func @two_quantisations
// CHECK-NEXT: %[[N:.*]] = dsv3.norm_quant {{.*}} -> norm
// CHECK-COUNT-2: dsv3.quantize_tiles %[[N]]
func.func @two_quantisations(%x: tensor<?x256xbf16, #tokens>, %w: tensor<256xf32>) -> (tensor<?x256xf8E4M3FN, #fp8_tokens>, tensor<?x256xf8E4M3FN, #fp8_tokens>) {
  %1 = dsv3.rms_norm %x, %w eps 0.5 : (tensor<?x256xbf16, #tokens>, tensor<256xf32>) -> tensor<?x256xbf16, #tokens>
  %2 = dsv3.quantize_tiles %1 floor 1.0e-4 : (tensor<?x256xbf16, #tokens>) -> tensor<?x256xf8E4M3FN, #fp8_tokens>
  %3 = dsv3.quantize_tiles %1 floor 1.0e-4 : (tensor<?x256xbf16, #tokens>) -> tensor<?x256xf8E4M3FN, #fp8_tokens>
  return %2, %3 : tensor<?x256xf8E4M3FN, #fp8_tokens>, tensor<?x256xf8E4M3FN, #fp8_tokens>
}
