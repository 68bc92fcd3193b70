// What a program of several ranks has besides prints as it parses.
// RUN: hadal-opt %s | hadal-opt | FileCheck %s

// CHECK: module attributes {exec.mesh = #exec.mesh<tp 2, dp 2, ep 4, node 8, slots 2>}
module attributes {exec.mesh = #exec.mesh<tp 2, dp 2, ep 4, node 8, slots 2>} {
// CHECK: exec.communicator @ep axis ep size 4
exec.communicator @ep axis ep size 4
// CHECK: exec.communicator @tp axis tp size 2
exec.communicator @tp axis tp size 2
// CHECK: exec.communicator @all axis world size 4
exec.communicator @all axis world size 4

// A share of rows, of columns, and of the arrays of a stack.
// CHECK: exec.parameter @q_b tensor map bf16 rows [384] inner [64] from ["q_b"] accepts [bf16] slice tp dim 0 unit 192
exec.parameter @q_b tensor map bf16 rows [384] inner [64] from ["q_b"] accepts [bf16] slice tp dim 0 unit 192
// CHECK: exec.parameter @o tensor copy bf16 rows [64] inner [256] from ["o"] accepts [bf16] pitch 512 slice tp dim 1 unit 128
exec.parameter @o tensor copy bf16 rows [64] inner [256] from ["o"] accepts [bf16] pitch 512 slice tp dim 1 unit 128
// CHECK: exec.parameter @up stack of 2 map bf16 rows [32] inner [64] from ["e.{e}"] accepts [bf16] slice ep dim 0 unit 1 layer 3
exec.parameter @up stack of 2 map bf16 rows [32] inner [64] from ["e.{e}"] accepts [bf16] slice ep dim 0 unit 1 layer 3
// CHECK: exec.placement_table @layers.3.placement layer 3 experts 8 replicas 2
exec.placement_table @layers.3.placement layer 3 experts 8 replicas 2

// CHECK: exec.func @layer(%table) states() {
exec.func @layer(%table) states() {
  // CHECK: %send = exec.buffer "send" 4096 exchange
  %send = exec.buffer "send" 4096 exchange
  // CHECK: %receive = exec.buffer "receive" 4096 exchange at 4096
  %receive = exec.buffer "receive" 4096 exchange at 4096
  %sent = exec.buffer "sent" 64 exchange
  %got = exec.buffer "got" 64 exchange
  // CHECK: exec.record 0 stream 0
  exec.record 0 stream 0
  // CHECK: exec.wait 0 stream 1
  exec.wait 0 stream 1
  // CHECK: exec.collective @ep all_to_all [(%send, %receive, 8 x 128 counted 0), (%sent, %got, 1 x 8)] counts(%sent stride 2) label "dispatch" op "moe_layer.dispatch" stream 1
  exec.collective @ep all_to_all [(%send, %receive, 8 x 128 counted 0), (%sent, %got, 1 x 8)]
    counts(%sent stride 2) label "dispatch" op "moe_layer.dispatch" stream 1
  // CHECK: exec.collective @tp reduce_scatter [(%send, %receive, 16 x 128 of bf16)] label "o_proj" stream 1
  exec.collective @tp reduce_scatter [(%send, %receive, 16 x 128 of bf16)] label "o_proj" stream 1
  // CHECK: exec.collective @all all_gather [(%send, %receive, 8 x 128)] label "gather" stream 1
  exec.collective @all all_gather [(%send, %receive, 8 x 128)] label "gather" stream 1
  // CHECK: exec.record 1 stream 1
  exec.record 1 stream 1
  // CHECK: exec.wait 1 stream 0
  exec.wait 1 stream 0
}
// CHECK: exec.entry @decode_4 decode tokens 4 rows 4 queries 1 attention "absorbed" rung expected capacity 2 pairs 3 arena 8192 {
exec.entry @decode_4 decode tokens 4 rows 4 queries 1 attention "absorbed" rung expected capacity 2 pairs 3 arena 8192 {
  // CHECK: exec.get_parameter @layers.3.placement
  %0 = exec.get_parameter @layers.3.placement
  exec.call @layer (%0) states ()
}
// CHECK: exec.entry @decode_4_worst decode tokens 4 rows 4 queries 1 attention "absorbed" rung worst capacity 4 pairs 8 {
exec.entry @decode_4_worst decode tokens 4 rows 4 queries 1 attention "absorbed" rung worst capacity 4 pairs 8 {
}
// A head whose rows are split over a tp group.
// CHECK: module attributes {exec.mesh = #exec.mesh<tp 2, dp 1, ep 1, node 8, slots 0, vocab_split>}
module attributes {exec.mesh = #exec.mesh<tp 2, dp 1, ep 1, node 8, slots 0, vocab_split>} {}
}
