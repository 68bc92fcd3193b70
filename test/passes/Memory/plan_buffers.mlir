// Offsets follow lifetimes: over a function, over calls, over repeats.
// RUN: hadal-opt %s --hadal-plan-buffers | FileCheck %s
// RUN: hadal-opt %s --hadal-plan-buffers --hadal-verify-exec
// RUN: hadal-opt %s --hadal-plan-buffers 2>&1 | FileCheck %s --check-prefix=REMARK

// The peaks are remarks, and stay in the module for the provenance.
// CHECK: exec.remarks = ["before", "arena of decode_4: 1536 bytes at its peak"]
// REMARK: remark: arena of decode_4: 1536 bytes at its peak
module attributes {exec.remarks = ["before"]} {
exec.state @hidden buffer bytes 512
tile.kernel @copy(%x: !tile.view<?x64xbf16>, %y: !tile.view<?x64xbf16>, %sz: !tile.sizes)
    domain(%m = ? by 1 in tokens) {
  %c0 = arith.constant 0 : index
  %t = tile.load %x[%m, %c0] : !tile.view<?x64xbf16> -> tensor<1x64xbf16>
  tile.store %y[%m, %c0], %t : !tile.view<?x64xbf16>, tensor<1x64xbf16>
}

// A callee is one block, the largest here, and lies beside what its caller
// keeps across the call.
// CHECK-LABEL: exec.func @layer
exec.func @layer() states(%hidden) {
  %sizes = exec.input sizes
  // CHECK: exec.buffer "a" 512 at 0
  %a = exec.buffer "a" 512
  // CHECK: exec.buffer "b" 512 at 512
  %b = exec.buffer "b" 512
  // %a is dead when %c is written: the bytes serve again.
  // CHECK: exec.buffer "c" 500 at 0
  %c = exec.buffer "c" 500
  // A buffer that nothing names gets no place.
  // CHECK-NOT: unused
  %unused = exec.buffer "unused" 64
  exec.launch @copy items 4 (%hidden, 4, %a, 4, %sizes)
  exec.launch @copy items 4 (%a, 4, %b, 4, %sizes)
  exec.launch @copy items 3 (%b, 3, %c, 3, %sizes)
  exec.launch @copy items 3 (%c, 3, %hidden, 3, %sizes)
}
// CHECK-LABEL: exec.entry @decode_4
// CHECK-SAME: arena 1536
exec.entry @decode_4 decode tokens 4 rows 4 queries 1 attention "absorbed" {
  %sizes = exec.input sizes
  %hidden = exec.get_state @hidden
  // CHECK: exec.buffer "kept" 512 at 1024
  %kept = exec.buffer "kept" 512
  // Dead before the call: shares the callee's bytes.
  // CHECK: exec.buffer "early" 512 at 0
  %early = exec.buffer "early" 512
  exec.launch @copy items 4 (%hidden, 4, %early, 4, %sizes)
  exec.launch @copy items 4 (%early, 4, %kept, 4, %sizes)
  exec.repeat 3 @layer () states (%hidden, %hidden, %hidden)
  exec.call @layer () states (%hidden)
  exec.launch @copy items 4 (%kept, 4, %hidden, 4, %sizes)
}
}
