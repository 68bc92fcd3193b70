// RUN: hadal-opt %s --hadal-deduplicate-layers -verify-diagnostics

// The merged function's name is free.
// expected-error@+1 {{cannot be renamed: symbol @dense_layer exists}}
func.func private @layer_0() { return }
func.func @dense_layer() { return }
