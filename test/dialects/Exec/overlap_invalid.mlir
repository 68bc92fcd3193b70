// RUN: hadal-opt %s -split-input-file -verify-diagnostics

exec.func @f() states() {
  // expected-error @+1 {{offset 32 is not a multiple of 64}}
  %0 = exec.input sizes at 32
}

// -----

exec.func @f() states(%hidden) {
  // expected-error @+1 {{offset 0 is not positive}}
  %0 = exec.at 0 of %hidden
}

// -----

// A parameter has no parts.
exec.func @f(%w) states() {
  // expected-error @+1 {{is of a reference that is no state}}
  %0 = exec.at 64 of %w
}

// -----

exec.func @f() states() {
  %0 = exec.buffer "x" 128
  // expected-error @+1 {{is of a reference that is no state}}
  %1 = exec.at 64 of %0
}

// -----

// expected-error @+1 {{has 3 micro-batches, expected 1 or 2}}
exec.entry @e decode tokens 6 rows 6 queries 1 attention "absorbed" rung worst capacity 2 pairs 2 micro_batches 3 {
}

// -----

// expected-error @+1 {{of two micro-batches has an even number of tokens and of rows, and a rung}}
exec.entry @e decode tokens 5 rows 5 queries 1 attention "absorbed" rung worst capacity 2 pairs 2 micro_batches 2 {
}

// -----

// expected-error @+1 {{of two micro-batches has an even number of tokens and of rows, and a rung}}
exec.entry @e decode tokens 4 rows 4 queries 1 attention "absorbed" micro_batches 2 {
}

// -----

// expected-error @+1 {{of one micro-batch has nothing to interleave}}
exec.entry @e decode tokens 4 rows 4 queries 1 attention "absorbed" interleaving ["project.0"] {
}

// -----

// expected-error @+1 {{of a head has no micro-batches}}
exec.entry @e head logit_rows 1 overlap <kept step 0 to 0 exposed 0 to 0 because "x"> {
}

// -----

// expected-error @+1 {{a step of 5 to 6 ns of which 7 to 1 are exposed}}
exec.entry @e decode tokens 4 rows 4 queries 1 attention "absorbed" overlap <kept step 5 to 6 exposed 7 to 1 because "x"> {
}

// -----

// expected-error @+1 {{a decision about micro-batches without a reason}}
exec.entry @e decode tokens 4 rows 4 queries 1 attention "absorbed" overlap <kept step 5 to 6 exposed 1 to 1 because ""> {
}
