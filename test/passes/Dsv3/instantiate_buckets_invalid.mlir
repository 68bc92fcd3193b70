// RUN: split-file %s %t
// RUN: hadal-opt %t/ok.mlir --hadal-instantiate-buckets="max-batch-size=100" -verify-diagnostics
// RUN: not hadal-opt %t/plain.mlir --hadal-instantiate-buckets="decode=0" 2>&1 | FileCheck %s --check-prefix=ZERO
// RUN: hadal-opt %t/none.mlir --hadal-instantiate-buckets -verify-diagnostics

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
