// RUN: hadal-opt %s --hadal-convert-sm90 -split-input-file -verify-diagnostics

// The approximate instructions are those of f32.
sm90.kernel @wide(%y: !llvm.ptr<1>) attributes {threads = 128 : i64} {
  %x = llvm.load %y : !llvm.ptr<1> -> f64
  // expected-error @+1 {{has no sm_90a lowering: f32 only}}
  %e = math.exp2 %x : f64
  llvm.store %e, %y : f64, !llvm.ptr<1>
}
