// RUN: hadal-opt %s --hadal-apply-schedules=rebuild=false -split-input-file -verify-diagnostics

// Behind the planning of memory a body cannot follow its words.
// expected-error @+1 {{H3008: kernel 'add': its body has other tiles than its schedule says; words that shape a body can be edited up to phase lower}}
tile.kernel @add(%a: !tile.view<?x2048xbf16>, %b: !tile.view<?x2048xbf16>, %out: !tile.view<?x2048xbf16>, %sizes: !tile.sizes) domain(%m = ? by 1 in tokens, %n = 2048 by 1024) spec add {act = "bf16", scale_format = "f32", width = 2048 : i64} schedule {columns = 512 : i64} {
}

// -----

// A schedule is complete.
// expected-error @+1 {{H3008: kernel 'add': the schedule lacks the word 'columns'}}
tile.kernel @add(%a: !tile.view<?x2048xbf16>, %b: !tile.view<?x2048xbf16>, %out: !tile.view<?x2048xbf16>, %sizes: !tile.sizes) domain(%m = ? by 1 in tokens, %n = 2048 by 1024) spec add {act = "bf16", scale_format = "f32", width = 2048 : i64} schedule {} {
}

// -----

// Of words that the kernel has.
// expected-error @+1 {{H3008: kernel 'add': the schedule has no word 'threads'; words of this kernel: columns}}
tile.kernel @add(%a: !tile.view<?x2048xbf16>, %b: !tile.view<?x2048xbf16>, %out: !tile.view<?x2048xbf16>, %sizes: !tile.sizes) domain(%m = ? by 1 in tokens, %n = 2048 by 1024) spec add {act = "bf16", scale_format = "f32", width = 2048 : i64} schedule {columns = 1024 : i64, threads = 64 : i64} {
}

// -----

// Each with a legal value.
// expected-error @+1 {{H3008: kernel 'add': the word 'columns' is 100; legal values: 128, 256, 512, 1024, 2048}}
tile.kernel @add(%a: !tile.view<?x2048xbf16>, %b: !tile.view<?x2048xbf16>, %out: !tile.view<?x2048xbf16>, %sizes: !tile.sizes) domain(%m = ? by 1 in tokens, %n = 2048 by 1024) spec add {act = "bf16", scale_format = "f32", width = 2048 : i64} schedule {columns = 100 : i64} {
}

// -----

// That is a number, a flag or a text.
// expected-error @+1 {{H3008: kernel 'add': the word 'columns' is neither a number, a flag nor a text}}
tile.kernel @add(%a: !tile.view<?x2048xbf16>, %b: !tile.view<?x2048xbf16>, %out: !tile.view<?x2048xbf16>, %sizes: !tile.sizes) domain(%m = ? by 1 in tokens, %n = 2048 by 1024) spec add {act = "bf16", scale_format = "f32", width = 2048 : i64} schedule {columns = 1024.0} {
}
