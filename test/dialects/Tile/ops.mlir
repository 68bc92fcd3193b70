// RUN: hadal-opt %s | hadal-opt | FileCheck %s
// RUN: hadal-opt %s --mlir-print-op-generic | hadal-opt | FileCheck %s

// Every op and every form of a view survives printing and parsing.

// CHECK-LABEL: tile.kernel @memory
// CHECK-SAME: !tile.view<?x7168xf8E4M3FN, scale<1x128>>
// CHECK-SAME: !tile.view<256x2048x7168xf8E4M3FN, stack, scale<128x128>>
// CHECK-SAME: !tile.view<2112x7168xf8E4M3FN, segments<128>, scale<128x128>>
// CHECK-SAME: domain(%[[M:.*]] = ? by 16 in expert_rows[1], %[[E:.*]] = 256 by 1, %{{.*}} = 2048 by 128)
// CHECK-SAME: schedule {bm = 16 : i64}
tile.kernel @memory(%x: !tile.view<?x7168xf8E4M3FN, scale<1x128>>,
                    %w: !tile.view<256x2048x7168xf8E4M3FN, stack, scale<128x128>>,
                    %a: !tile.view<2112x7168xf8E4M3FN, segments<128>, scale<128x128>>,
                    %y: !tile.view<?x2048xf32>, %sz: !tile.sizes)
    domain(%m = ? by 16 in expert_rows[1], %e = 256 by 1, %n = 2048 by 128)
    schedule {bm = 16 : i64} {
  %c0 = arith.constant 0 : index
  // CHECK: tile.size %{{.*}} expert_begin[%[[E]]]
  %first = tile.size %sz expert_begin[%e]
  // CHECK: tile.size %{{.*}} tokens
  %t = tile.size %sz tokens
  // CHECK: tile.size %{{.*}} slice_tokens
  %slice = tile.size %sz slice_tokens
  // CHECK: tile.size %{{.*}} flags
  %flags = tile.size %sz flags
  // CHECK: tile.dim %{{.*}}, 0 : !tile.view<?x2048xf32>
  %d = tile.dim %y, 0 : !tile.view<?x2048xf32>
  // CHECK: tile.load %{{.*}}[%[[M]], %{{.*}}] : !tile.view<?x7168xf8E4M3FN, scale<1x128>> -> tensor<16x128xf8E4M3FN>, tensor<16x1xf32>
  %q, %s = tile.load %x[%m, %c0] : !tile.view<?x7168xf8E4M3FN, scale<1x128>> -> tensor<16x128xf8E4M3FN>, tensor<16x1xf32>
  // CHECK: tile.load %{{.*}}[%[[E]], %{{.*}}, %{{.*}}]
  %wq, %ws = tile.load %w[%e, %n, %c0] : !tile.view<256x2048x7168xf8E4M3FN, stack, scale<128x128>> -> tensor<128x128xf8E4M3FN>, tensor<1x1xf32>
  %zero = arith.constant dense<0.0> : tensor<16x128xf32>
  %ws2 = arith.constant dense<1.0> : tensor<1x2xf32>
  // CHECK: tile.dot_scaled %{{.*}} * %{{.*}} : tensor<16x1xf32>, %{{.*}} * %{{.*}}, %{{.*}} : tensor<16x128xf8E4M3FN>
  %g = tile.dot_scaled %q * %s : tensor<16x1xf32>, %wq * %ws, %zero : tensor<16x128xf8E4M3FN>, tensor<128x128xf8E4M3FN>, tensor<1x1xf32>, tensor<16x128xf32>
  // CHECK: tile.dot_scaled %{{.*}}, %{{.*}} * %{{.*}}, %{{.*}} {k = 64 : i64}
  %h = tile.dot_scaled %g, %wq * %ws2, %zero {k = 64 : i64} : tensor<16x128xf32>, tensor<128x128xf8E4M3FN>, tensor<1x2xf32>, tensor<16x128xf32>
  // CHECK: tile.store %{{.*}}[%[[M]], %{{.*}}], %{{.*}} rows_below %{{.*}} : !tile.view<?x2048xf32>, tensor<16x128xf32>
  tile.store %y[%m, %n], %h rows_below %first : !tile.view<?x2048xf32>, tensor<16x128xf32>
  // CHECK: tile.store %{{.*}}, %{{.*}}, %{{.*}} : tensor<16x1xf32> : !tile.view<?x7168xf8E4M3FN, scale<1x128>>
  tile.store %x[%m, %c0], %q, %s : tensor<16x1xf32> : !tile.view<?x7168xf8E4M3FN, scale<1x128>>, tensor<16x128xf8E4M3FN>
  // CHECK: tile.reduce_into
  tile.reduce_into %y[%m, %n], %h : !tile.view<?x2048xf32>, tensor<16x128xf32>
}

// Indirection: pages, gathered rows, single integers, the sizes buffer.
// CHECK-LABEL: tile.kernel @indirection
tile.kernel @indirection(%pool: !tile.view<?x64x576xbf16>, %pt: !tile.view<?x?xi32>,
                         %ids: !tile.view<?xi32>, %sz: !tile.sizes)
    domain(%r = ? by 1 in rows) {
  %c0 = arith.constant 0 : index
  // CHECK: %[[N:.*]] = tile.read %{{.*}}[%{{.*}}] : !tile.view<?xi32>
  %n = tile.read %ids[%r] : !tile.view<?xi32>
  // CHECK: tile.paged %{{.*}}[%{{.*}}, %{{.*}}] extent %[[N]] : !tile.view<?x64x576xbf16>, !tile.view<?x?xi32> -> !tile.view<?x576xbf16>
  %v = tile.paged %pool[%pt, %r] extent %n : !tile.view<?x64x576xbf16>, !tile.view<?x?xi32> -> !tile.view<?x576xbf16>
  // CHECK: tile.load %{{.*}} pad -1.000000e+00 :
  %k = tile.load %v[%c0, %c0] pad -1.0 : !tile.view<?x576xbf16> -> tensor<64x576xbf16>
  %i = tile.load %ids[%c0] : !tile.view<?xi32> -> tensor<4xi32>
  // CHECK: tile.rows %{{.*}}[%{{.*}}] : !tile.view<?x576xbf16>, tensor<4xi32> -> !tile.view<4x576xbf16>
  %w = tile.rows %v[%i] : !tile.view<?x576xbf16>, tensor<4xi32> -> !tile.view<4x576xbf16>
  // CHECK: tile.store_size %{{.*}}, %{{.*}} : tensor<4xi32>
  tile.store_size %sz, %i : tensor<4xi32>
  // CHECK: tile.store_size %{{.*}}[%{{.*}}], %{{.*}} : tensor<4xi32>
  tile.store_size %sz[%n], %i : tensor<4xi32>
}

// What a kernel computes, beside how.
// CHECK-LABEL: tile.kernel @silu_64_2(
// CHECK-SAME: domain(%{{.*}} = 8 by 8) spec silu {act = "bf16", eps = 5.000000e-01 : f64, fast = false, width = 64 : i64} schedule {bm = 8 : i64} attributes {note} {
tile.kernel @silu_64_2() domain(%m = 8 by 8)
    spec silu {act = "bf16", width = 64 : i64, eps = 0.5 : f64, fast = false}
    schedule {bm = 8 : i64} attributes {note} {
}

// CHECK: module attributes {test.spec = #tile.spec<"silu", {width = 64 : i64}>}
module attributes {test.spec = #tile.spec<"silu", {width = 64 : i64}>} {
}

// Values: contractions, quantisation, shapes.
// CHECK-LABEL: tile.kernel @values
// CHECK-SAME: domain(%{{.*}} = 8 by 8) schedule {} {
tile.kernel @values() domain(%m = 8 by 8) {
  %half = arith.constant 0.5 : f32
  // CHECK: tile.splat %{{.*}} : f32 -> tensor<4x8xf32>
  %x = tile.splat %half : f32 -> tensor<4x8xf32>
  // CHECK: tile.iota 1 : tensor<4x8xi32>
  %i = tile.iota 1 : tensor<4x8xi32>
  // CHECK: tile.transpose
  %t = tile.transpose %x : tensor<4x8xf32> -> tensor<8x4xf32>
  // CHECK: tile.reduce add %{{.*}}, 1 : tensor<4x8xf32> -> tensor<4x1xf32>
  %s = tile.reduce add %x, 1 : tensor<4x8xf32> -> tensor<4x1xf32>
  // CHECK: tile.reduce max
  %s1 = tile.reduce max %x, 0 : tensor<4x8xf32> -> tensor<1x8xf32>
  // CHECK: tile.broadcast
  %b = tile.broadcast %s : tensor<4x1xf32> -> tensor<4x4xf32>
  // CHECK: tile.dot %{{.*}}, %{{.*}}, %{{.*}} : tensor<4x8xf32>
  %d = tile.dot %x, %t, %b : tensor<4x8xf32>, tensor<8x4xf32>, tensor<4x4xf32>
  // CHECK: tile.dot %{{.*}}, %{{.*}}, %{{.*}} ta tb :
  %d2 = tile.dot %t, %x, %d ta tb : tensor<8x4xf32>, tensor<4x8xf32>, tensor<4x4xf32>
  // CHECK: tile.scan %{{.*}}, 0 : tensor<4x8xi32>
  %c = tile.scan %i, 0 : tensor<4x8xi32>
  // CHECK: tile.topk
  %v, %ids = tile.topk %x : tensor<4x8xf32> -> tensor<4x2xf32>, tensor<4x2xi32>
  // CHECK: tile.quantize %{{.*}} group 8 floor {{.*}} format ue8m0 :
  %q, %qs = tile.quantize %x group 8 floor 1.0e-4 format ue8m0 : tensor<4x8xf32> -> tensor<4x8xf8E4M3FN>, tensor<4x1xf32>
  // CHECK: tile.dequantize
  %z = tile.dequantize %q, %qs : tensor<4x8xf8E4M3FN>, tensor<4x1xf32> -> tensor<4x8xbf16>
  // CHECK: tile.reshape
  %r = tile.reshape %x : tensor<4x8xf32> -> tensor<32xf32>
  // CHECK: tile.slice %{{.*}} [1, 2] : tensor<4x8xf32> -> tensor<2x4xf32>
  %sl = tile.slice %x [1, 2] : tensor<4x8xf32> -> tensor<2x4xf32>
  // CHECK: tile.deinterleave
  %even, %odd = tile.deinterleave %sl : tensor<2x4xf32> -> tensor<2x2xf32>, tensor<2x2xf32>
  // CHECK: tile.interleave
  %j = tile.interleave %odd, %even : tensor<2x2xf32>, tensor<2x2xf32> -> tensor<2x4xf32>
  // CHECK: tile.concat %{{.*}}, %{{.*}} dim 0
  %cc = tile.concat %j, %sl dim 0 : tensor<2x4xf32>, tensor<2x4xf32> -> tensor<4x4xf32>
}

// A fold names its state; one without state prints no terminator.
// CHECK-LABEL: tile.kernel @folds
tile.kernel @folds(%y: !tile.view<8xf32>) domain(%m = 8 by 8) {
  %c0 = arith.constant 0 : index
  %c8 = arith.constant 8 : index
  %x = arith.constant dense<0.0> : tensor<8xf32>
  // CHECK: %{{.*}}:2 = tile.fold %[[K:.*]] = %c0 to %c8 step 2 init(%[[A:.*]] = %{{.*}} : tensor<8xf32>, %[[I:.*]] = %c0 : index) {
  // CHECK-NEXT: tile.yield %[[A]], %[[K]] : tensor<8xf32>, index
  // CHECK-NEXT: } combine (%[[P:.*]], %{{.*}}), (%{{.*}}, %[[Q:.*]]) {
  // CHECK-NEXT: tile.yield %[[P]], %[[Q]] : tensor<8xf32>, index
  %r:2 = tile.fold %k = %c0 to %c8 step 2 init(%a = %x : tensor<8xf32>, %i = %c0 : index) {
    tile.yield %a, %k : tensor<8xf32>, index
  } combine (%p, %pi), (%q, %qi) {
    tile.yield %p, %qi : tensor<8xf32>, index
  }
  // CHECK: tile.fold %[[K:.*]] = %c0 to %c8 step 1 {
  // CHECK-NEXT: tile.store %{{.*}}[%[[K]]]
  // CHECK-NEXT: } combine (), () {
  // CHECK-NEXT: }
  tile.fold %k = %c0 to %c8 step 1 {
    tile.store %y[%k], %x : !tile.view<8xf32>, tensor<8xf32>
  } combine (), () {
  }
}
