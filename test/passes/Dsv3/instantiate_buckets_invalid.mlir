// RUN: split-file %s %t
// RUN: hadal-opt %t/ok.mlir --hadal-instantiate-buckets="max-batch-size=100" -verify-diagnostics
// RUN: not hadal-opt %t/plain.mlir --hadal-instantiate-buckets="decode=0" 2>&1 | FileCheck %s --check-prefix=ZERO
// RUN: hadal-opt %t/none.mlir --hadal-instantiate-buckets -verify-diagnostics
// RUN: not hadal-opt %t/ranks.mlir --hadal-instantiate-buckets="capacity=all" 2>&1 | FileCheck %s --check-prefix=CAPACITY
// RUN: not hadal-opt %t/ranks.mlir --hadal-instantiate-buckets="prefill=536870912" 2>&1 | FileCheck %s --check-prefix=MANY
// RUN: hadal-opt %t/drafts.mlir --hadal-instantiate-buckets -verify-diagnostics
// RUN: hadal-opt %t/next.mlir --hadal-instantiate-buckets -verify-diagnostics
// RUN: hadal-opt %t/shared.mlir --hadal-instantiate-buckets -verify-diagnostics
// RUN: hadal-opt %t/dense.mlir --hadal-instantiate-buckets -verify-diagnostics

// CAPACITY: H2002: capacity must be auto, worst or a positive number, got 'all'

// What arrives is numbered in 32 bits.
// MANY: H2006: a bucket of 536870912 tokens is too large for 2 ranks that share experts: what one receives is numbered in 32 bits; use buckets of at most 536868864 tokens

// Sizes are positive.
// ZERO: H2002: bucket and batch sizes must be positive, got 0

//--- ok.mlir
// Some decode bucket holds the batch.
// expected-error@+1 {{H2002: no decode bucket holds --max-batch-size 100; the largest is 64}}
module {
  func.func @forward() { return }
  func.func @head() { return }
}

//--- plain.mlir
func.func @forward() { return }
func.func @head() { return }

//--- none.mlir
// There is something to clone.
// expected-error@+1 {{H2001: 'builtin.module' op needs @forward and @head}}
module {}

//--- ranks.mlir
module attributes {dsv3.mesh = #dsv3.mesh<tp 1, dp 2, ep 2, node 8, slots 4>, dsv3.model = {num_experts_per_token = 2 : i64, num_moe_layers = 1 : i64}} {
  func.func @forward() { return }
  func.func @head() { return }
}

//--- dense.mlir
// Who shares experts has some.
// expected-error@+1 {{H2001: ranks share experts, of which 'dsv3.model' has none}}
module attributes {dsv3.mesh = #dsv3.mesh<tp 1, dp 2, ep 2, node 8, slots 4>, dsv3.model = {num_experts_per_token = 2 : i64, num_moe_layers = 0 : i64}} {
  func.func @forward() { return }
  func.func @head() { return }
}

//--- drafts.mlir
// What drafts is there.
// expected-error@+1 {{H2001: 'builtin.module' op drafts 1 tokens and has no @draft_head}}
module attributes {dsv3.model = {max_drafts = 1 : i64}} {
  func.func @forward() { return }
  func.func @head() { return }
  func.func @draft() { return }
}

//--- next.mlir
// More than one token is drafted from a draft.
// expected-error@+1 {{H2001: 'builtin.module' op drafts 2 tokens and has no @draft_next}}
module attributes {dsv3.model = {max_drafts = 2 : i64}} {
  func.func @forward() { return }
  func.func @head() { return }
  func.func @draft() { return }
  func.func @draft_head() { return }
}

//--- shared.mlir
// One rank drafts.
// expected-error@+1 {{H2002: several ranks do not run a layer of multi-token prediction; compile without --mtp}}
module attributes {dsv3.mesh = #dsv3.mesh<tp 2, dp 1, ep 2, node 8, slots 4>, dsv3.model = {max_drafts = 1 : i64}} {
  func.func @forward() { return }
  func.func @head() { return }
}
