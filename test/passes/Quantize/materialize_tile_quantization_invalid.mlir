// RUN: hadal-opt %s --hadal-materialize-tile-quantization="fp8=w4a4" -verify-diagnostics

// FP8 has two modes.
// expected-error@+1 {{H2002: fp8 must be w8a8 or w8a16, got 'w4a4'}}
module {}
