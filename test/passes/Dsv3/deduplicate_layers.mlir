// RUN: hadal-opt %s --hadal-deduplicate-layers | FileCheck %s

#tokens = #dsv3.layout<[tokens]>

// Layers of equal structure become one, named by its kind; a second structure
// of the kind is kept apart. Calls keep their own operands.
// CHECK: func.func private @dense_layer(
// CHECK-NOT: @layer_
// CHECK: func.func private @dense_layer_2(
// CHECK-NOT: func.func private
// CHECK-LABEL: func.func @forward
// CHECK-SAME: %[[X:.*]]: tensor<?x4xbf16, #tokens>, %[[A:.*]]: tensor<4xf32>, %[[B:.*]]: tensor<4xf32>
// CHECK: %[[Y:.*]] = call @dense_layer(%[[X]], %[[A]])
// CHECK: %[[Z:.*]] = call @dense_layer(%[[Y]], %[[B]])
// CHECK: call @dense_layer_2(%[[Z]], %[[A]])
func.func private @layer_0(%x: tensor<?x4xbf16, #tokens>, %w: tensor<4xf32>) -> tensor<?x4xbf16, #tokens> {
  %0 = dsv3.rms_norm %x, %w eps 0.5 : (tensor<?x4xbf16, #tokens>, tensor<4xf32>) -> tensor<?x4xbf16, #tokens>
  return %0 : tensor<?x4xbf16, #tokens>
}
func.func private @layer_1(%x: tensor<?x4xbf16, #tokens>, %w: tensor<4xf32>) -> tensor<?x4xbf16, #tokens> {
  %0 = dsv3.rms_norm %x, %w eps 0.5 : (tensor<?x4xbf16, #tokens>, tensor<4xf32>) -> tensor<?x4xbf16, #tokens>
  return %0 : tensor<?x4xbf16, #tokens>
}
// The same but for an attribute.
func.func private @layer_2(%x: tensor<?x4xbf16, #tokens>, %w: tensor<4xf32>) -> tensor<?x4xbf16, #tokens> {
  %0 = dsv3.rms_norm %x, %w eps 0.25 : (tensor<?x4xbf16, #tokens>, tensor<4xf32>) -> tensor<?x4xbf16, #tokens>
  return %0 : tensor<?x4xbf16, #tokens>
}
func.func @forward(%x: tensor<?x4xbf16, #tokens>, %a: tensor<4xf32>, %b: tensor<4xf32>) -> tensor<?x4xbf16, #tokens> {
  %0 = call @layer_0(%x, %a) : (tensor<?x4xbf16, #tokens>, tensor<4xf32>) -> tensor<?x4xbf16, #tokens>
  %1 = call @layer_1(%0, %b) : (tensor<?x4xbf16, #tokens>, tensor<4xf32>) -> tensor<?x4xbf16, #tokens>
  %2 = call @layer_2(%1, %a) : (tensor<?x4xbf16, #tokens>, tensor<4xf32>) -> tensor<?x4xbf16, #tokens>
  return %2 : tensor<?x4xbf16, #tokens>
}
