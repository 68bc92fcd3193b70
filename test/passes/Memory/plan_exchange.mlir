// Exchange buffers come first, and events order what collectives and launches use.
// RUN: hadal-opt %s --hadal-plan-buffers 2>/dev/null | FileCheck %s
// RUN: hadal-opt %s --hadal-plan-buffers --hadal-verify-exec 2>/dev/null

// CHECK: exec.remarks = ["arena of decode_4: 1920 bytes at its peak, 1152 of them for collectives", "arena of decode_8: 1280 bytes at its peak, 1024 of them for collectives"]
module attributes {exec.mesh = #exec.mesh<tp 1, dp 2, ep 2, node 8, slots 1>} {
exec.communicator @ep axis ep size 2
exec.state @hidden buffer bytes 512
tile.kernel @copy(%x: !tile.view<?x64xbf16>, %y: !tile.view<?x64xbf16>, %sz: !tile.sizes)
    domain(%m = ? by 1 in tokens) {
  %c0 = arith.constant 0 : index
  %t = tile.load %x[%m, %c0] : !tile.view<?x64xbf16> -> tensor<1x64xbf16>
  tile.store %y[%m, %c0], %t : !tile.view<?x64xbf16>, tensor<1x64xbf16>
}

// A callee's exchange buffers lie in the prefix too: the largest first.
// CHECK-LABEL: exec.func @layer
exec.func @layer() states(%hidden) {
  %sizes = exec.input sizes
  // CHECK: exec.buffer "send" 512 exchange at 0
  %send = exec.buffer "send" 512 exchange
  // CHECK: exec.buffer "receive" 512 exchange at 512
  %receive = exec.buffer "receive" 512 exchange
  // In use beside the collective, so that no other has its bytes.
  // CHECK: exec.buffer "shared" 256 at 1152
  %shared = exec.buffer "shared" 256
  // Read before the collective started: its bytes serve again.
  // CHECK: exec.buffer "before" 256 at 1152
  %before = exec.buffer "before" 256
  // CHECK: exec.buffer "after" 256 at 1408
  %after = exec.buffer "after" 256
  exec.launch @copy items 2 (%hidden, 2, %before, 2, %sizes)
  exec.launch @copy items 4 (%hidden, 4, %send, 4, %sizes)
  exec.launch @copy items 2 (%before, 2, %hidden, 2, %sizes)
  exec.record 0 stream 0
  exec.wait 0 stream 1
  exec.collective @ep all_to_all [(%send, %receive, 2 x 128)] label "dispatch" stream 1
  exec.record 1 stream 1
  exec.launch @copy items 2 (%hidden, 2, %shared, 2, %sizes)
  exec.wait 1 stream 0
  exec.launch @copy items 2 (%receive, 2, %after, 2, %sizes)
  exec.launch @copy items 2 (%shared, 2, %hidden, 2, %sizes)
  exec.launch @copy items 2 (%after, 2, %hidden, 2, %sizes)
}
// The function's own: beside the callee's, which are in use across the call.
// CHECK-LABEL: exec.entry @decode_4
// CHECK-SAME: arena 1920
exec.entry @decode_4 decode tokens 4 rows 4 queries 1 attention "absorbed" {
  %sizes = exec.input sizes
  %hidden = exec.get_state @hidden
  // CHECK: exec.buffer "counts" 128 exchange at 1024
  %counts = exec.buffer "counts" 128 exchange
  // CHECK: exec.buffer "kept" 256 at 1664
  %kept = exec.buffer "kept" 256
  exec.launch @copy items 1 (%hidden, 1, %counts, 1, %sizes)
  exec.launch @copy items 2 (%hidden, 2, %kept, 2, %sizes)
  exec.repeat 2 @layer () states (%hidden, %hidden)
  exec.launch @copy items 2 (%kept, 2, %hidden, 2, %sizes)
  exec.launch @copy items 1 (%counts, 1, %hidden, 1, %sizes)
}

// Two layers after each other share the prefix; what a function with collectives
// uses is done when it ends, and starts when the launches before it are done.
exec.func @first() states(%hidden) {
  %sizes = exec.input sizes
  // CHECK: exec.buffer "send.1" 512 exchange at 0
  %send = exec.buffer "send.1" 512 exchange
  // CHECK: exec.buffer "receive.1" 512 exchange at 512
  %receive = exec.buffer "receive.1" 512 exchange
  // CHECK: exec.buffer "x.1" 256 at 1024
  %x = exec.buffer "x.1" 256
  exec.launch @copy items 4 (%hidden, 4, %send, 4, %sizes)
  exec.record 0 stream 0
  exec.wait 0 stream 1
  exec.collective @ep all_to_all [(%send, %receive, 2 x 128)] label "dispatch" stream 1
  exec.record 1 stream 1
  exec.wait 1 stream 0
  exec.launch @copy items 2 (%receive, 2, %x, 2, %sizes)
  exec.launch @copy items 2 (%x, 2, %hidden, 2, %sizes)
}
exec.func @second() states(%hidden) {
  %sizes = exec.input sizes
  // CHECK: exec.buffer "send.2" 512 exchange at 0
  %send = exec.buffer "send.2" 512 exchange
  // CHECK: exec.buffer "receive.2" 512 exchange at 512
  %receive = exec.buffer "receive.2" 512 exchange
  // CHECK: exec.buffer "x.2" 256 at 1024
  %x = exec.buffer "x.2" 256
  exec.launch @copy items 4 (%hidden, 4, %send, 4, %sizes)
  exec.record 0 stream 0
  exec.wait 0 stream 1
  exec.collective @ep all_to_all [(%send, %receive, 2 x 128)] label "dispatch" stream 1
  exec.record 1 stream 1
  exec.wait 1 stream 0
  exec.launch @copy items 2 (%receive, 2, %x, 2, %sizes)
  exec.launch @copy items 2 (%x, 2, %hidden, 2, %sizes)
}
// CHECK-LABEL: exec.entry @decode_8
// CHECK-SAME: arena 1280
exec.entry @decode_8 decode tokens 8 rows 8 queries 1 attention "absorbed" {
  %hidden = exec.get_state @hidden
  exec.call @first () states (%hidden)
  exec.call @second () states (%hidden)
}
}
