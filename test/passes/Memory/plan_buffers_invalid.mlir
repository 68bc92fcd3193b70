// RUN: hadal-opt %s --hadal-plan-buffers -split-input-file -verify-diagnostics

// A function's buffers have one place, so it serves one entry.
exec.func @f() states() {}
// expected-remark @+1 {{arena of head_1: 0 bytes at its peak}}
exec.entry @head_1 head logit_rows 1 {
  exec.call @f () states ()
}
exec.entry @head_2 head logit_rows 2 {
  // expected-error @+1 {{reaches 'f', which entry 'head_1' reaches too; its buffers can have one place only}}
  exec.call @f () states ()
}

// -----

// No recursion.
exec.func @f() states() {
  // expected-error @+1 {{calls 'f' recursively}}
  exec.call @f () states ()
}
exec.entry @head_1 head logit_rows 1 {
  exec.call @f () states ()
}

// -----

// One caller: two could place the callee differently.
exec.func @g() states() {}
exec.func @f() states() {
  exec.call @g () states ()
}
exec.entry @head_1 head logit_rows 1 {
  exec.call @f () states ()
  // expected-error @+1 {{reaches 'g', which another function calls too; its buffers can have one place only}}
  exec.call @g () states ()
}

// -----

// What is waited for has been recorded.
exec.entry @head_1 head logit_rows 1 {
  // expected-error @+1 {{waits for event 0 before it is recorded}}
  exec.wait 0 stream 0
  exec.record 0 stream 1
}
