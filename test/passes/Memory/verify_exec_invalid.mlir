// RUN: hadal-opt %s --hadal-verify-exec -split-input-file -verify-diagnostics

// Each slot is given.
exec.state @hidden buffer bytes 512
tile.kernel @copy(%x: !tile.view<?x64xbf16>, %y: !tile.view<?x64xbf16>, %sz: !tile.sizes)
    domain(%m = ? by 1 in tokens) {
  %c0 = arith.constant 0 : index
  %t = tile.load %x[%m, %c0] : !tile.view<?x64xbf16> -> tensor<1x64xbf16>
  tile.store %y[%m, %c0], %t : !tile.view<?x64xbf16>, tensor<1x64xbf16>
}
exec.entry @decode_4 decode tokens 4 rows 4 queries 1 attention "absorbed" arena 1024 {
  %sizes = exec.input sizes
  %hidden = exec.get_state @hidden
  // expected-error @+1 {{has 4 slots, kernel 'copy' takes 5}}
  exec.launch @copy items 4 (%hidden, 4, %hidden, 4)
}

// -----

// An extent is a number.
exec.state @hidden buffer bytes 512
tile.kernel @copy(%x: !tile.view<?x64xbf16>, %y: !tile.view<?x64xbf16>, %sz: !tile.sizes)
    domain(%m = ? by 1 in tokens) {
  %c0 = arith.constant 0 : index
  %t = tile.load %x[%m, %c0] : !tile.view<?x64xbf16> -> tensor<1x64xbf16>
  tile.store %y[%m, %c0], %t : !tile.view<?x64xbf16>, tensor<1x64xbf16>
}
exec.entry @decode_4 decode tokens 4 rows 4 queries 1 attention "absorbed" arena 1024 {
  %sizes = exec.input sizes
  %hidden = exec.get_state @hidden
  // expected-error @+1 {{slot 'x.extent0' takes a number, found a reference}}
  exec.launch @copy items 4 (%hidden, %hidden, %hidden, 4, %sizes)
}

// -----

// Memory is a reference.
exec.state @hidden buffer bytes 512
tile.kernel @copy(%x: !tile.view<?x64xbf16>, %y: !tile.view<?x64xbf16>, %sz: !tile.sizes)
    domain(%m = ? by 1 in tokens) {
  %c0 = arith.constant 0 : index
  %t = tile.load %x[%m, %c0] : !tile.view<?x64xbf16> -> tensor<1x64xbf16>
  tile.store %y[%m, %c0], %t : !tile.view<?x64xbf16>, tensor<1x64xbf16>
}
exec.entry @decode_4 decode tokens 4 rows 4 queries 1 attention "absorbed" arena 1024 {
  %sizes = exec.input sizes
  %hidden = exec.get_state @hidden
  // expected-error @+1 {{slot 'x' takes a reference, found a number}}
  exec.launch @copy items 4 (4, 4, %hidden, 4, %sizes)
}

// -----

// An extent is positive.
exec.state @hidden buffer bytes 512
tile.kernel @copy(%x: !tile.view<?x64xbf16>, %y: !tile.view<?x64xbf16>, %sz: !tile.sizes)
    domain(%m = ? by 1 in tokens) {
  %c0 = arith.constant 0 : index
  %t = tile.load %x[%m, %c0] : !tile.view<?x64xbf16> -> tensor<1x64xbf16>
  tile.store %y[%m, %c0], %t : !tile.view<?x64xbf16>, tensor<1x64xbf16>
}
exec.entry @decode_4 decode tokens 4 rows 4 queries 1 attention "absorbed" arena 1024 {
  %sizes = exec.input sizes
  %hidden = exec.get_state @hidden
  %a = exec.buffer "a" 512 at 0
  // expected-error @+1 {{slot 'x.extent0' has an extent of 0}}
  exec.launch @copy items 4 (%hidden, 0, %a, 4, %sizes)
}

// -----

// The sizes are the sizes.
exec.state @hidden buffer bytes 512
tile.kernel @copy(%x: !tile.view<?x64xbf16>, %y: !tile.view<?x64xbf16>, %sz: !tile.sizes)
    domain(%m = ? by 1 in tokens) {
  %c0 = arith.constant 0 : index
  %t = tile.load %x[%m, %c0] : !tile.view<?x64xbf16> -> tensor<1x64xbf16>
  tile.store %y[%m, %c0], %t : !tile.view<?x64xbf16>, tensor<1x64xbf16>
}
exec.entry @decode_4 decode tokens 4 rows 4 queries 1 attention "absorbed" arena 1024 {
  %sizes = exec.input sizes
  %hidden = exec.get_state @hidden
  %a = exec.buffer "a" 512 at 0
  // expected-error @+1 {{slot 'sz' takes the sizes, found state 'hidden'}}
  exec.launch @copy items 4 (%hidden, 4, %a, 4, %hidden)
}

// -----

// and nothing else.
exec.state @hidden buffer bytes 512
tile.kernel @copy(%x: !tile.view<?x64xbf16>, %y: !tile.view<?x64xbf16>, %sz: !tile.sizes)
    domain(%m = ? by 1 in tokens) {
  %c0 = arith.constant 0 : index
  %t = tile.load %x[%m, %c0] : !tile.view<?x64xbf16> -> tensor<1x64xbf16>
  tile.store %y[%m, %c0], %t : !tile.view<?x64xbf16>, tensor<1x64xbf16>
}
exec.entry @decode_4 decode tokens 4 rows 4 queries 1 attention "absorbed" arena 1024 {
  %sizes = exec.input sizes
  %hidden = exec.get_state @hidden
  %a = exec.buffer "a" 512 at 0
  // expected-error @+1 {{slot 'x' is not the sizes, found input 'sizes'}}
  exec.launch @copy items 4 (%sizes, 4, %a, 4, %sizes)
}

// -----

// Weights are not written.
exec.state @hidden buffer bytes 512
tile.kernel @copy(%x: !tile.view<?x64xbf16>, %y: !tile.view<?x64xbf16>, %sz: !tile.sizes)
    domain(%m = ? by 1 in tokens) {
  %c0 = arith.constant 0 : index
  %t = tile.load %x[%m, %c0] : !tile.view<?x64xbf16> -> tensor<1x64xbf16>
  tile.store %y[%m, %c0], %t : !tile.view<?x64xbf16>, tensor<1x64xbf16>
}
exec.parameter @w tensor copy f32 rows [64] inner [] from ["w"] accepts [f32]
exec.entry @decode_4 decode tokens 4 rows 4 queries 1 attention "absorbed" arena 1024 {
  %sizes = exec.input sizes
  %hidden = exec.get_state @hidden
  %w = exec.get_parameter @w
  // expected-error @+1 {{slot 'y' writes parameter 'w'}}
  exec.launch @copy items 4 (%hidden, 4, %w, 4, %sizes)
}

// -----

// What a kernel may read before the kernels ahead have ended is a parameter.
exec.state @hidden buffer bytes 512
tile.kernel @copy(%x: !tile.view<?x64xbf16> {constant}, %y: !tile.view<?x64xbf16>, %sz: !tile.sizes)
    domain(%m = ? by 1 in tokens) {
  %c0 = arith.constant 0 : index
  %t = tile.load %x[%m, %c0] : !tile.view<?x64xbf16> -> tensor<1x64xbf16>
  tile.store %y[%m, %c0], %t : !tile.view<?x64xbf16>, tensor<1x64xbf16>
}
exec.entry @decode_4 decode tokens 4 rows 4 queries 1 attention "absorbed" arena 1024 {
  %sizes = exec.input sizes
  %hidden = exec.get_state @hidden
  %a = exec.buffer "a" 512 at 0
  // expected-error @+1 {{slot 'x' is constant and takes a parameter, found state 'hidden'}}
  exec.launch @copy items 4 (%hidden, 4, %a, 4, %sizes)
}

// -----

// Nor are inputs.
exec.state @hidden buffer bytes 512
tile.kernel @copy(%x: !tile.view<?x64xbf16>, %y: !tile.view<?x64xbf16>, %sz: !tile.sizes)
    domain(%m = ? by 1 in tokens) {
  %c0 = arith.constant 0 : index
  %t = tile.load %x[%m, %c0] : !tile.view<?x64xbf16> -> tensor<1x64xbf16>
  tile.store %y[%m, %c0], %t : !tile.view<?x64xbf16>, tensor<1x64xbf16>
}
exec.entry @decode_4 decode tokens 4 rows 4 queries 1 attention "absorbed" arena 1024 {
  %sizes = exec.input sizes
  %hidden = exec.get_state @hidden
  %i = exec.input tokens
  // expected-error @+1 {{slot 'y' writes input 'tokens'}}
  exec.launch @copy items 4 (%hidden, 4, %i, 4, %sizes)
}

// -----

// Only a parameter has a table of its parts' addresses.
exec.state @hidden buffer bytes 512
tile.kernel @copy(%x: !tile.view<2x4x64xbf16, stack>, %y: !tile.view<?x64xbf16>, %sz: !tile.sizes)
    domain(%m = ? by 1 in tokens) {
  %c0 = arith.constant 0 : index
  %t = tile.load %x[%c0, %m, %c0] : !tile.view<2x4x64xbf16, stack> -> tensor<1x64xbf16>
  tile.store %y[%m, %c0], %t : !tile.view<?x64xbf16>, tensor<1x64xbf16>
}
exec.entry @decode_4 decode tokens 4 rows 4 queries 1 attention "absorbed" arena 1024 {
  %sizes = exec.input sizes
  %hidden = exec.get_state @hidden
  %a = exec.buffer "a" 1024 at 0
  // expected-error @+1 {{slot 'x' is a pointer table and cannot be buffer 'a'}}
  exec.launch @copy items 4 (%a, %hidden, 4, %sizes)
}

// -----

// A view fits its buffer: 4 rows of 64 bf16 are 512 bytes.
exec.state @hidden buffer bytes 512
tile.kernel @copy(%x: !tile.view<?x64xbf16>, %y: !tile.view<?x64xbf16>, %sz: !tile.sizes)
    domain(%m = ? by 1 in tokens) {
  %c0 = arith.constant 0 : index
  %t = tile.load %x[%m, %c0] : !tile.view<?x64xbf16> -> tensor<1x64xbf16>
  tile.store %y[%m, %c0], %t : !tile.view<?x64xbf16>, tensor<1x64xbf16>
}
exec.entry @decode_4 decode tokens 4 rows 4 queries 1 attention "absorbed" arena 1024 {
  %sizes = exec.input sizes
  %hidden = exec.get_state @hidden
  %a = exec.buffer "a" 500 at 0
  // expected-error @+1 {{slot 'y' spans 512 bytes, buffer 'a' has 500}}
  exec.launch @copy items 4 (%hidden, 4, %a, 4, %sizes)
}

// -----

// A buffer fits the arena.
exec.state @hidden buffer bytes 512
tile.kernel @copy(%x: !tile.view<?x64xbf16>, %y: !tile.view<?x64xbf16>, %sz: !tile.sizes)
    domain(%m = ? by 1 in tokens) {
  %c0 = arith.constant 0 : index
  %t = tile.load %x[%m, %c0] : !tile.view<?x64xbf16> -> tensor<1x64xbf16>
  tile.store %y[%m, %c0], %t : !tile.view<?x64xbf16>, tensor<1x64xbf16>
}
exec.entry @decode_4 decode tokens 4 rows 4 queries 1 attention "absorbed" arena 1024 {
  %sizes = exec.input sizes
  %hidden = exec.get_state @hidden
  %a = exec.buffer "a" 512 at 576
  // expected-error @+1 {{buffer 'a' ends at byte 1088 of an arena of 1024}}
  exec.launch @copy items 4 (%hidden, 4, %a, 4, %sizes)
}

// -----

// Buffers have a place.
exec.state @hidden buffer bytes 512
tile.kernel @copy(%x: !tile.view<?x64xbf16>, %y: !tile.view<?x64xbf16>, %sz: !tile.sizes)
    domain(%m = ? by 1 in tokens) {
  %c0 = arith.constant 0 : index
  %t = tile.load %x[%m, %c0] : !tile.view<?x64xbf16> -> tensor<1x64xbf16>
  tile.store %y[%m, %c0], %t : !tile.view<?x64xbf16>, tensor<1x64xbf16>
}
exec.entry @decode_4 decode tokens 4 rows 4 queries 1 attention "absorbed" arena 1024 {
  %sizes = exec.input sizes
  %hidden = exec.get_state @hidden
  // expected-error @+1 {{has no offset; run hadal-plan-buffers first}}
  %a = exec.buffer "a" 512
  exec.launch @copy items 4 (%hidden, 4, %a, 4, %sizes)
}

// -----

// An entry has its arena.
exec.state @hidden buffer bytes 512
tile.kernel @copy(%x: !tile.view<?x64xbf16>, %y: !tile.view<?x64xbf16>, %sz: !tile.sizes)
    domain(%m = ? by 1 in tokens) {
  %c0 = arith.constant 0 : index
  %t = tile.load %x[%m, %c0] : !tile.view<?x64xbf16> -> tensor<1x64xbf16>
  tile.store %y[%m, %c0], %t : !tile.view<?x64xbf16>, tensor<1x64xbf16>
}
// expected-error @+1 {{entry 'head_1' has no arena; run hadal-plan-buffers first}}
exec.entry @head_1 head logit_rows 1 {
}

// -----

// Work items run in any order, so a launch does not write what it reads.
exec.state @hidden buffer bytes 512
tile.kernel @copy(%x: !tile.view<?x64xbf16>, %y: !tile.view<?x64xbf16>, %sz: !tile.sizes)
    domain(%m = ? by 1 in tokens) {
  %c0 = arith.constant 0 : index
  %t = tile.load %x[%m, %c0] : !tile.view<?x64xbf16> -> tensor<1x64xbf16>
  tile.store %y[%m, %c0], %t : !tile.view<?x64xbf16>, tensor<1x64xbf16>
}
exec.entry @decode_4 decode tokens 4 rows 4 queries 1 attention "absorbed" arena 1024 {
  %sizes = exec.input sizes
  %hidden = exec.get_state @hidden
  // expected-error @+1 {{writes slot 'y' (state 'hidden') over slot 'x' (state 'hidden')}}
  exec.launch @copy items 4 (%hidden, 4, %hidden, 4, %sizes)
}

// -----

// Nor another buffer in the same bytes.
exec.state @hidden buffer bytes 512
tile.kernel @copy(%x: !tile.view<?x64xbf16>, %y: !tile.view<?x64xbf16>, %sz: !tile.sizes)
    domain(%m = ? by 1 in tokens) {
  %c0 = arith.constant 0 : index
  %t = tile.load %x[%m, %c0] : !tile.view<?x64xbf16> -> tensor<1x64xbf16>
  tile.store %y[%m, %c0], %t : !tile.view<?x64xbf16>, tensor<1x64xbf16>
}
exec.entry @decode_4 decode tokens 4 rows 4 queries 1 attention "absorbed" arena 1024 {
  %sizes = exec.input sizes
  %hidden = exec.get_state @hidden
  %a = exec.buffer "a" 512 at 0
  %b = exec.buffer "b" 512 at 448
  exec.launch @copy items 4 (%hidden, 4, %a, 4, %sizes)
  // expected-error @+1 {{writes slot 'y' (buffer 'b') over slot 'x' (buffer 'a')}}
  exec.launch @copy items 4 (%a, 4, %b, 4, %sizes)
}

// -----

// What is read was written.
exec.state @hidden buffer bytes 512
tile.kernel @copy(%x: !tile.view<?x64xbf16>, %y: !tile.view<?x64xbf16>, %sz: !tile.sizes)
    domain(%m = ? by 1 in tokens) {
  %c0 = arith.constant 0 : index
  %t = tile.load %x[%m, %c0] : !tile.view<?x64xbf16> -> tensor<1x64xbf16>
  tile.store %y[%m, %c0], %t : !tile.view<?x64xbf16>, tensor<1x64xbf16>
}
exec.entry @decode_4 decode tokens 4 rows 4 queries 1 attention "absorbed" arena 1024 {
  %sizes = exec.input sizes
  %hidden = exec.get_state @hidden
  %a = exec.buffer "a" 512 at 64
  // expected-error @+1 {{slot 'x' reads buffer 'a' before anything wrote bytes 64 to 576 of the arena}}
  exec.launch @copy items 4 (%a, 4, %hidden, 4, %sizes)
}

// -----

// All of it.
exec.state @hidden buffer bytes 512
tile.kernel @copy(%x: !tile.view<?x64xbf16>, %y: !tile.view<?x64xbf16>, %sz: !tile.sizes)
    domain(%m = ? by 1 in tokens) {
  %c0 = arith.constant 0 : index
  %t = tile.load %x[%m, %c0] : !tile.view<?x64xbf16> -> tensor<1x64xbf16>
  tile.store %y[%m, %c0], %t : !tile.view<?x64xbf16>, tensor<1x64xbf16>
}
exec.entry @decode_4 decode tokens 4 rows 4 queries 1 attention "absorbed" arena 1024 {
  %sizes = exec.input sizes
  %hidden = exec.get_state @hidden
  %a = exec.buffer "a" 512 at 0
  exec.launch @copy items 3 (%hidden, 3, %a, 3, %sizes)
  // expected-error @+1 {{slot 'x' reads buffer 'a' before anything wrote bytes 384 to 512 of the arena}}
  exec.launch @copy items 4 (%a, 4, %hidden, 4, %sizes)
}

// -----

// And not overwritten since: the plan that this pass does not trust.
exec.state @hidden buffer bytes 512
tile.kernel @copy(%x: !tile.view<?x64xbf16>, %y: !tile.view<?x64xbf16>, %sz: !tile.sizes)
    domain(%m = ? by 1 in tokens) {
  %c0 = arith.constant 0 : index
  %t = tile.load %x[%m, %c0] : !tile.view<?x64xbf16> -> tensor<1x64xbf16>
  tile.store %y[%m, %c0], %t : !tile.view<?x64xbf16>, tensor<1x64xbf16>
}
exec.entry @decode_4 decode tokens 4 rows 4 queries 1 attention "absorbed" arena 1024 {
  %sizes = exec.input sizes
  %hidden = exec.get_state @hidden
  %a = exec.buffer "a" 512 at 0
  %b = exec.buffer "b" 512 at 256
  exec.launch @copy items 4 (%hidden, 4, %a, 4, %sizes)
  exec.launch @copy items 4 (%hidden, 4, %b, 4, %sizes)
  // expected-error @+1 {{slot 'x' reads buffer 'a' whose bytes 256 to 512 of the arena buffer 'b' overwrote}}
  exec.launch @copy items 4 (%a, 4, %hidden, 4, %sizes)
}

// -----

// Also by a callee.
exec.state @hidden buffer bytes 512
tile.kernel @copy(%x: !tile.view<?x64xbf16>, %y: !tile.view<?x64xbf16>, %sz: !tile.sizes)
    domain(%m = ? by 1 in tokens) {
  %c0 = arith.constant 0 : index
  %t = tile.load %x[%m, %c0] : !tile.view<?x64xbf16> -> tensor<1x64xbf16>
  tile.store %y[%m, %c0], %t : !tile.view<?x64xbf16>, tensor<1x64xbf16>
}
exec.func @f() states(%h) {
  %sizes = exec.input sizes
  %c = exec.buffer "c" 512 at 0
  exec.launch @copy items 4 (%h, 4, %c, 4, %sizes)
}
exec.entry @decode_4 decode tokens 4 rows 4 queries 1 attention "absorbed" arena 1024 {
  %sizes = exec.input sizes
  %hidden = exec.get_state @hidden
  %a = exec.buffer "a" 512 at 0
  exec.launch @copy items 4 (%hidden, 4, %a, 4, %sizes)
  exec.call @f () states (%hidden)
  // expected-error @+1 {{slot 'x' reads buffer 'a' whose bytes 0 to 512 of the arena buffer 'c' overwrote}}
  exec.launch @copy items 4 (%a, 4, %hidden, 4, %sizes)
}

// -----

// Kernels run on one stream.
exec.state @hidden buffer bytes 512
tile.kernel @copy(%x: !tile.view<?x64xbf16>, %y: !tile.view<?x64xbf16>, %sz: !tile.sizes)
    domain(%m = ? by 1 in tokens) {
  %c0 = arith.constant 0 : index
  %t = tile.load %x[%m, %c0] : !tile.view<?x64xbf16> -> tensor<1x64xbf16>
  tile.store %y[%m, %c0], %t : !tile.view<?x64xbf16>, tensor<1x64xbf16>
}
exec.entry @decode_4 decode tokens 4 rows 4 queries 1 attention "absorbed" arena 1024 {
  %sizes = exec.input sizes
  %hidden = exec.get_state @hidden
  %a = exec.buffer "a" 512 at 0
  exec.launch @copy items 4 (%hidden, 4, %a, 4, %sizes)
  // expected-error @+1 {{is on stream 1, launches belong on 0}}
  exec.launch @copy items 4 (%hidden, 4, %a, 4, %sizes) stream 1
}

// -----

// A function belongs to one entry.
exec.func @f() states() {}
exec.entry @head_1 head logit_rows 1 arena 0 {
  exec.call @f () states ()
}
exec.entry @head_2 head logit_rows 2 arena 0 {
  // expected-error @+1 {{reaches 'f', which entry 'head_1' reaches too}}
  exec.call @f () states ()
}

// -----

// No recursion.
exec.func @f() states() {
  // expected-error @+1 {{calls 'f' recursively}}
  exec.call @f () states ()
}
exec.entry @head_1 head logit_rows 1 arena 0 {
  exec.call @f () states ()
}

// -----

// The level holds a program and its kernels.
// expected-error @+1 {{'func.func' has no place in a program of tile and exec}}
func.func private @f()

// -----

// On a GPU a row of 20 bf16 takes 48 bytes, and the last row does too: 4 rows do
// not fit 160 bytes, which would do on the CPU.
module attributes {exec.model = {row_alignment = 16 : i64}} {
  exec.state @hidden buffer bytes 512
  tile.kernel @copy(%x: !tile.view<?x20xbf16>, %y: !tile.view<?x20xbf16>, %sz: !tile.sizes)
      domain(%m = ? by 1 in tokens) {
    %c0 = arith.constant 0 : index
    %t = tile.load %x[%m, %c0] : !tile.view<?x20xbf16> -> tensor<1x20xbf16>
    tile.store %y[%m, %c0], %t : !tile.view<?x20xbf16>, tensor<1x20xbf16>
  }
  exec.entry @decode_4 decode tokens 4 rows 4 queries 1 attention "absorbed" arena 1024 {
    %sizes = exec.input sizes
    %hidden = exec.get_state @hidden
    %a = exec.buffer "a" 160 at 0
    // expected-error @+1 {{slot 'y' spans 192 bytes, buffer 'a' has 160}}
    exec.launch @copy items 4 (%hidden, 4, %a, 4, %sizes)
  }
}

// -----

// A spec is one of a kernel that there is.
// expected-error @+1 {{kernel 'copy': spec: no kernel is of kind 'copy', expected one of embed, norm_quant,}}
tile.kernel @copy(%x: !tile.view<8xf32>, %sz: !tile.sizes) domain(%m = 8 by 8)
    spec copy {width = 8 : i64} {
}

// -----

// It has all fields of its kind.
// expected-error @+1 {{kernel 'add_8': spec: field 'scale_format' is missing}}
tile.kernel @add_8(%x: !tile.view<8xf32>, %sz: !tile.sizes) domain(%m = 8 by 8)
    spec add {act = "bf16", width = 8 : i64} {
}

// -----

// And no others.
// expected-error @+1 {{kernel 'add_8': spec: it has no field 'rows'}}
tile.kernel @add_8(%x: !tile.view<8xf32>, %sz: !tile.sizes) domain(%m = 8 by 8)
    spec add {act = "bf16", rows = 1 : i64, scale_format = "f32", width = 8 : i64} {
}

// -----

// A word is one of its field's.
// expected-error @+1 {{kernel 'add_8': spec: field 'act' is 'fp4', expected one of bf16, f32}}
tile.kernel @add_8(%x: !tile.view<8xf32>, %sz: !tile.sizes) domain(%m = 8 by 8)
    spec add {act = "fp4", scale_format = "f32", width = 8 : i64} {
}
