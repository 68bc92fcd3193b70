// RUN: hadal-opt %s --hadal-elide-requantize | FileCheck %s

#tokens = #dsv3.layout<[tokens]>
#fp8_tokens = #dsv3.layout<[tokens], scale = <1x128, f32, k>>
#ue8m0_tokens = #dsv3.layout<[tokens], scale = <1x128, ue8m0, k>>

// One quantisation serves all readers; another floor, format or value is
// another quantisation.
// CHECK-LABEL: func @f
// CHECK-SAME: %[[X:[a-z0-9]+]]: {{.*}}, %[[Y:[a-z0-9]+]]:
// CHECK-NEXT: %[[A:.*]] = dsv3.quantize_tiles %[[X]] floor 1.000000e-04
// CHECK-NEXT: %[[B:.*]] = dsv3.quantize_tiles %[[X]] floor 1.250000e-01
// CHECK-NEXT: %[[C:.*]] = dsv3.quantize_tiles %[[X]] floor 1.000000e-04 {{.*}} #ue8m0_tokens
// CHECK-NEXT: %[[D:.*]] = dsv3.quantize_tiles %[[Y]] floor 1.000000e-04
// CHECK-NEXT: return %[[A]], %[[A]], %[[B]], %[[C]], %[[D]]
func.func @f(%x: tensor<?x256xbf16, #tokens>, %y: tensor<?x256xbf16, #tokens>) -> (tensor<?x256xf8E4M3FN, #fp8_tokens>, tensor<?x256xf8E4M3FN, #fp8_tokens>, tensor<?x256xf8E4M3FN, #fp8_tokens>, tensor<?x256xf8E4M3FN, #ue8m0_tokens>, tensor<?x256xf8E4M3FN, #fp8_tokens>) {
  %0 = dsv3.quantize_tiles %x floor 1.0e-4 : (tensor<?x256xbf16, #tokens>) -> tensor<?x256xf8E4M3FN, #fp8_tokens>
  %1 = dsv3.quantize_tiles %x floor 1.0e-4 : (tensor<?x256xbf16, #tokens>) -> tensor<?x256xf8E4M3FN, #fp8_tokens>
  %2 = dsv3.quantize_tiles %x floor 0.125 : (tensor<?x256xbf16, #tokens>) -> tensor<?x256xf8E4M3FN, #fp8_tokens>
  %3 = dsv3.quantize_tiles %x floor 1.0e-4 : (tensor<?x256xbf16, #tokens>) -> tensor<?x256xf8E4M3FN, #ue8m0_tokens>
  %4 = dsv3.quantize_tiles %y floor 1.0e-4 : (tensor<?x256xbf16, #tokens>) -> tensor<?x256xf8E4M3FN, #fp8_tokens>
  return %0, %1, %2, %3, %4 : tensor<?x256xf8E4M3FN, #fp8_tokens>, tensor<?x256xf8E4M3FN, #fp8_tokens>, tensor<?x256xf8E4M3FN, #fp8_tokens>, tensor<?x256xf8E4M3FN, #ue8m0_tokens>, tensor<?x256xf8E4M3FN, #fp8_tokens>
}
