// Options of ShardLayers are words.
// RUN: hadal-opt %s --hadal-shard-layers=vocab=all -verify-diagnostics
// RUN: sed "s/vocab must be whole or tp, got 'all'/reduce must be bf16 or f32, got 'fp8'/" %s > %t.mlir && hadal-opt %t.mlir --hadal-shard-layers=reduce=fp8 -verify-diagnostics

// expected-error@+1 {{H2002: vocab must be whole or tp, got 'all'}}
module {}
