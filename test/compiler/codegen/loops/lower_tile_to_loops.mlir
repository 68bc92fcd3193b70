// RUN: hadal-opt %s --hadal-lower-tile-to-loops --canonicalize | FileCheck %s
// RUN: hadal-opt %s --hadal-lower-tile-to-loops=f64=true --canonicalize | FileCheck %s --check-prefix=F64
// RUN: hadal-opt %s --hadal-lower-tile-to-loops --hadal-tile-to-llvm-dialect | FileCheck %s --check-prefix=LLVM

// The function has the signature of the call convention, in the LLVM dialect
// too; nothing is called, no casts are left.
// LLVM: llvm.func @chain(%{{.*}}: !llvm.ptr {llvm.readonly}, %{{.*}}: i64, %{{.*}}: i64, %{{.*}}: !llvm.ptr {llvm.noalias})
// LLVM-SAME: hadal.scratch_bytes = 2048 : i64
// LLVM-SAME: passthrough = ["no-builtins", "nounwind"]
// LLVM-NOT: llvm.call
// LLVM-NOT: unrealized_conversion_cast

// A chain of elementwise ops is one loop from the loaded tile to memory, with
// no check of bounds per element: the columns are whole, and rows are counted.
// CHECK-LABEL: func.func @chain(
// CHECK-SAME: %[[ARGS:.*]]: !llvm.ptr {llvm.readonly}, %[[BEGIN:.*]]: i64, %[[END:.*]]: i64, %[[SCRATCH:.*]]: !llvm.ptr {llvm.noalias}
// CHECK-SAME: hadal.scratch_bytes = 2048 : i64
// CHECK: scf.for %[[ITEM:.*]] = %[[BEGIN]] to %[[END]]
// CHECK: arith.cmpi slt
// CHECK: scf.if
// The load: rows that exist, each without a branch, then the padded rows.
// CHECK: scf.for
// CHECK: scf.for
// CHECK-NOT: scf.if
// CHECK: llvm.store %{{.*}} : i16, !llvm.ptr
// CHECK: scf.for
// CHECK: scf.for
// CHECK: llvm.store %{{.*}} : i16, !llvm.ptr
// The rest: one nest.
// CHECK: scf.for
// CHECK: scf.for
// CHECK: arith.bitcast %{{.*}} : i32 to f32
// CHECK: arith.mulf
// CHECK: arith.addf
// CHECK: arith.maximumf
// CHECK: llvm.store %{{.*}} : f32, !llvm.ptr
// CHECK-NOT: scf.for
// CHECK: return

// In f64 mode the arithmetic is in double, memory is not.
// F64-LABEL: func.func @chain(
// F64-SAME: hadal.scratch_bytes = 2048 : i64
// F64: arith.maximumf %{{.*}} : f64
// F64: %[[Y:.*]] = arith.truncf %{{.*}} : f64 to f32
// F64: llvm.store %[[Y]], %{{.*}} : f32, !llvm.ptr
tile.kernel @chain(%x: !tile.view<?x256xbf16>, %y: !tile.view<?x256xf32>, %sz: !tile.sizes)
    domain(%m = ? by 4 in tokens) {
  %c0 = arith.constant 0 : index
  %a = tile.load %x[%m, %c0] : !tile.view<?x256xbf16> -> tensor<4x256xbf16>
  %b = arith.extf %a : tensor<4x256xbf16> to tensor<4x256xf32>
  %two = arith.constant dense<2.0> : tensor<4x256xf32>
  %c = arith.mulf %b, %two : tensor<4x256xf32>
  %d = arith.addf %c, %two : tensor<4x256xf32>
  %e = arith.maximumf %d, %two : tensor<4x256xf32>
  tile.store %y[%m, %c0], %e : !tile.view<?x256xf32>, tensor<4x256xf32>
}

// The accumulator of a contraction is the fold's state itself: scratch holds one
// accumulator (256 bytes), the two operands (512 each) and a panel of four rows.
// CHECK-LABEL: func.func @accumulate
// CHECK-SAME: hadal.scratch_bytes = 1536 : i64
tile.kernel @accumulate(%x: !tile.view<8x64xf32>, %w: !tile.view<8x64xf32>, %y: !tile.view<8x8xf32>)
    domain(%m = 8 by 8) {
  %c0 = arith.constant 0 : index
  %c64 = arith.constant 64 : index
  %zero = arith.constant dense<0.0> : tensor<8x8xf32>
  %r = tile.fold %k = %c0 to %c64 step 16 init(%acc = %zero : tensor<8x8xf32>) {
    %a = tile.load %x[%m, %k] : !tile.view<8x64xf32> -> tensor<8x16xf32>
    %b = tile.load %w[%m, %k] : !tile.view<8x64xf32> -> tensor<8x16xf32>
    %next = tile.dot %a, %b, %acc tb : tensor<8x16xf32>, tensor<8x16xf32>, tensor<8x8xf32>
    tile.yield %next : tensor<8x8xf32>
  } combine (%p), (%q) {
    %s = arith.addf %p, %q : tensor<8x8xf32>
    tile.yield %s : tensor<8x8xf32>
  }
  tile.store %y[%m, %c0], %r : !tile.view<8x8xf32>, tensor<8x8xf32>
}
