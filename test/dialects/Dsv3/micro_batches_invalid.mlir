// RUN: hadal-opt %s -split-input-file -verify-diagnostics

// expected-error @+1 {{'dsv3.micro_batches' must be 2 on a function}}
func.func private @f() attributes {dsv3.micro_batches = 3 : i64}

// -----

// expected-error @+1 {{'dsv3.micro_batches' must be 2 on a function}}
module attributes {dsv3.micro_batches = 2 : i64} {
}
