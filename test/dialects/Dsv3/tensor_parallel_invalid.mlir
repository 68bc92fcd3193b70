// Each verifier message of the operations of ranks that share heads and tokens.
// RUN: hadal-opt %s -split-input-file -verify-diagnostics

// Rows are shared over tp, experts over ep.
func.func @f(%s: tensor<?x256xbf16, #dsv3.layout<[slice]>>) {
  // expected-error@+1 {{'dsv3.all_gather' op rows are shared over tp, got ep}}
  %a = dsv3.all_gather %s over ep : (tensor<?x256xbf16, #dsv3.layout<[slice]>>) -> tensor<?x256xbf16, #dsv3.layout<[tokens]>>
  return
}

// -----

// A result for each part.
func.func @f(%s: tensor<?x256xbf16, #dsv3.layout<[slice]>>) {
  // expected-error@+1 {{needs parts, one for each result, got 1 and 2}}
  %a:2 = dsv3.all_gather %s over tp : (tensor<?x256xbf16, #dsv3.layout<[slice]>>) -> (tensor<?x256xbf16, #dsv3.layout<[tokens]>>, tensor<?x256xbf16, #dsv3.layout<[tokens]>>)
  return
}

// -----

// What every rank has is not gathered.
func.func @f(%x: tensor<?x256xbf16, #dsv3.layout<[tokens]>>) {
  // expected-error@+1 {{gathers slices or logit rows, got}}
  %a = dsv3.all_gather %x over tp : (tensor<?x256xbf16, #dsv3.layout<[tokens]>>) -> tensor<?x256xbf16, #dsv3.layout<[tokens]>>
  return
}

// -----

// The tokens of all are what comes.
func.func @f(%s: tensor<?x256xbf16, #dsv3.layout<[slice]>>) {
  // expected-error@+1 {{result must be 'tensor<?x256xbf16, #dsv3.layout<[tokens]>>'}}
  %a = dsv3.all_gather %s over tp : (tensor<?x256xbf16, #dsv3.layout<[slice]>>) -> tensor<?x256xbf16, #dsv3.layout<[slice]>>
  return
}

// -----

// A sum is of the addends of all rows.
func.func @f(%s: tensor<?x256xbf16, #dsv3.layout<[slice]>>) {
  // expected-error@+1 {{'dsv3.reduce_scatter' op input must have rows 'tokens', got}}
  %a = dsv3.reduce_scatter %s over tp : (tensor<?x256xbf16, #dsv3.layout<[slice]>>) -> tensor<?x256xbf16, #dsv3.layout<[slice]>>
  return
}

// -----

// Of which the slice is left.
func.func @f(%x: tensor<?x256xbf16, #dsv3.layout<[tokens]>>) {
  // expected-error@+1 {{result must be 'tensor<?x256xbf16, #dsv3.layout<[slice]>>'}}
  %a = dsv3.reduce_scatter %x over tp : (tensor<?x256xbf16, #dsv3.layout<[tokens]>>) -> tensor<?x256xbf16, #dsv3.layout<[tokens]>>
  return
}

// -----

// Or all.
func.func @f(%x: tensor<?x256xbf16, #dsv3.layout<[tokens]>>) {
  // expected-error@+1 {{'dsv3.all_reduce' op result must be 'tensor<?x256xbf16, #dsv3.layout<[tokens]>>'}}
  %a = dsv3.all_reduce %x over tp : (tensor<?x256xbf16, #dsv3.layout<[tokens]>>) -> tensor<?x256xbf16, #dsv3.layout<[slice]>>
  return
}

// -----

// Codes are quantised where they are read.
func.func @f(%q: tensor<?x256xf8E4M3FN, #dsv3.layout<[tokens], scale = <1x128, f32, k>>>) {
  // expected-error@+1 {{takes rows of i32, f32 or bf16, got}}
  %a = dsv3.take_slice %q : (tensor<?x256xf8E4M3FN, #dsv3.layout<[tokens], scale = <1x128, f32, k>>>) -> tensor<?x256xf8E4M3FN, #dsv3.layout<[slice], scale = <1x128, f32, k>>>
  return
}

// -----

// A slice has none.
func.func @f(%s: tensor<?x256xbf16, #dsv3.layout<[slice]>>) {
  // expected-error@+1 {{'dsv3.take_slice' op input must have rows 'tokens', got}}
  %a = dsv3.take_slice %s : (tensor<?x256xbf16, #dsv3.layout<[slice]>>) -> tensor<?x256xbf16, #dsv3.layout<[slice]>>
  return
}

// -----

// Columns of whole ranks.
func.func @f(%g: tensor<?x16xf32, #dsv3.layout<[gathered]>>) {
  // expected-error@+1 {{result must be logit rows of a multiple of 16 columns, got 'tensor<?x24xf32}}
  %a = dsv3.join_columns %g : (tensor<?x16xf32, #dsv3.layout<[gathered]>>) -> tensor<?x24xf32, #dsv3.layout<[logits]>>
  return
}

// -----

// Addends are as wide as the sum, and of its type or f32.
func.func @f(%s: tensor<?x256xbf16, #dsv3.layout<[slice]>>, %t: tensor<?x128xf32, #dsv3.layout<[slice]>>) {
  // expected-error@+1 {{'dsv3.add' op addend must have the sum's type}}
  %a = dsv3.add %s, %t : tensor<?x256xbf16, #dsv3.layout<[slice]>>, tensor<?x128xf32, #dsv3.layout<[slice]>>
  return
}
