// RUN: hadal-opt %s --hadal-apply-schedules -split-input-file | FileCheck %s

// A body follows the words that shape it, and the word becomes an edit.
// CHECK-LABEL: tile.kernel @edited
// CHECK-SAME: domain(%{{.*}} = ? by 1 in tokens, %{{.*}} = 2048 by 512)
// CHECK-SAME: schedule {columns = 512 : i64} given {columns = "edit"}
// CHECK: tile.load %{{.*}} -> tensor<1x512xbf16>
tile.kernel @edited(%a: !tile.view<?x2048xbf16>, %b: !tile.view<?x2048xbf16>, %out: !tile.view<?x2048xbf16>, %sizes: !tile.sizes) domain(%m = ? by 1 in tokens, %n = 2048 by 1024) spec add {act = "bf16", scale_format = "f32", width = 2048 : i64} schedule {columns = 512 : i64} {
}

// -----

// A body that has the tiles of its words stays, as does what an option gave.
// CHECK-LABEL: tile.kernel @stays
// CHECK-SAME: schedule {columns = 512 : i64} given {columns = "option"} {
// CHECK-NEXT: }
tile.kernel @stays(%a: !tile.view<?x2048xbf16>, %b: !tile.view<?x2048xbf16>, %out: !tile.view<?x2048xbf16>, %sizes: !tile.sizes) domain(%m = ? by 1 in tokens, %n = 2048 by 512) spec add {act = "bf16", scale_format = "f32", width = 2048 : i64} schedule {columns = 512 : i64} given {columns = "option"} {
}

// -----

// A kernel that no spec describes is left to its lowering.
// CHECK-LABEL: tile.kernel @alone
// CHECK-SAME: schedule {anything = 1 : i64}
tile.kernel @alone(%a: !tile.view<4x16xf32>, %sizes: !tile.sizes) domain(%m = 4 by 1) schedule {anything = 1 : i64} {
}
