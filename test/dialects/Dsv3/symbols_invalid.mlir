// Refusals of symbols and of their uses.
// RUN: hadal-opt %s -split-input-file -verify-diagnostics

// A parameter has a static shape.
// expected-error@+1 {{type must be a static dsv3 tensor, got 'tensor<?x4xbf16>'}}
dsv3.parameter @w : tensor<?x4xbf16> from ["w"] accepts [bf16] place map

// -----

// A parameter comes from somewhere.
// expected-error@+1 {{names no tensor}}
dsv3.parameter @w : tensor<4x4xbf16> from [] accepts [bf16] place map

// -----

// Several tensors are segments.
// expected-error@+1 {{only segments have several parts, got 2}}
dsv3.parameter @w : tensor<4x4xbf16> from ["a", "b"] accepts [bf16] place map

// -----

// A stack is a pattern.
// expected-error@+1 {{the part of a stack must contain '{e}'}}
dsv3.parameter @w : tensor<2x4x4xbf16, #dsv3.layout<stack>> from ["a"] accepts [bf16] place map

// -----

// Segments know their rows.
// expected-error@+1 {{'rows' must give one extent per part, got 1 for 2 parts}}
dsv3.parameter @w : tensor<256x4xbf16, #dsv3.layout<segments>> from ["a", "b"] rows [256] accepts [bf16] place map

// -----

// A mapped segment ends at a block, except the last.
// expected-error@+1 {{rows of part 0 must be a multiple of 128, got 100}}
dsv3.parameter @w : tensor<228x4xbf16, #dsv3.layout<segments>> from ["a", "b"] rows [100, 128] accepts [bf16] place map

// -----

// Segments add up.
// expected-error@+1 {{rows of the parts add up to 256, the type has 300}}
dsv3.parameter @w : tensor<300x4xbf16, #dsv3.layout<segments>> from ["a", "b"] rows [128, 128] accepts [bf16] place map

// -----

// Only segments have rows.
// expected-error@+1 {{'rows' belongs to segments only}}
dsv3.parameter @w : tensor<4x4xbf16> from ["a"] rows [4] accepts [bf16] place map

// -----

// Some dtype is accepted.
// expected-error@+1 {{accepts no dtype}}
dsv3.parameter @w : tensor<4x4xbf16> from ["a"] accepts [] place map

// -----

// What is mapped is not converted.
// expected-error@+1 {{a mapped parameter may accept its element type only}}
dsv3.parameter @w : tensor<4x4xbf16> from ["a"] accepts [bf16, f32] place map

// -----

// FP8 names its scales.
// expected-error@+1 {{an FP8 or int4 parameter needs 'scale'}}
dsv3.parameter @w : tensor<4x4xf8E4M3FN, #dsv3.layout<scale = <128x128, f32, k>>> from ["a"] accepts [f8E4M3FN] place map

// -----

// So does int4.
// expected-error@+1 {{an FP8 or int4 parameter needs 'scale'}}
dsv3.parameter @w : tensor<4x64xi4, #dsv3.layout<scale = <1x32, bf16, k>>> from ["a"] accepts [i4] place map

// -----

// int4 scales are bf16, one for 32 columns of a row.
dsv3.parameter @s : tensor<4x2xf32> from ["s"] accepts [f32] place map
// expected-error@+1 {{scale parameter must be bf16 of shape [4, 2], got 'tensor<4x2xf32>'}}
dsv3.parameter @w : tensor<4x64xi4, #dsv3.layout<scale = <1x32, bf16, k>>> from ["a"] accepts [i4] place map scale @s

// -----

// Only FP8 and int4 have scales, or what was FP8 in the file.
// expected-error@+1 {{'scale' belongs to FP8 and int4 parameters and to bf16 copies of FP8 matrices only}}
dsv3.parameter @w : tensor<4x4xbf16> from ["a"] accepts [bf16] place map scale @s

// -----

// The scales exist.
// expected-error@+1 {{scale parameter @s does not exist}}
dsv3.parameter @w : tensor<4x4xf8E4M3FN, #dsv3.layout<scale = <128x128, f32, k>>> from ["a"] accepts [f8E4M3FN] place map scale @s

// -----

// Scales have the shape of the blocks.
dsv3.parameter @s : tensor<2x4xf32> from ["s"] accepts [f32] place copy
// expected-error@+1 {{scale parameter must be f32 of shape [2, 5], got 'tensor<2x4xf32>'}}
dsv3.parameter @w : tensor<200x576xf8E4M3FN, #dsv3.layout<scale = <128x128, f32, k>>> from ["a"] accepts [f8E4M3FN] place map scale @s

// -----

// A rotary table has a row per position and a column per frequency.
// expected-error@+1 {{type must be f32[positions, 1, 2], got 'tensor<16x2x2xf32>'}}
dsv3.rope_table @r : tensor<16x2x2xf32> inv_freq [1.0] scale 1.0

// -----

// A state is a cache or counts.
// expected-error@+1 {{type must be a cache or counts, got 'i32'}}
dsv3.state @s : i32

// -----

// A parameter is declared.
func.func @f() {
  // expected-error@+1 {{@w is not a parameter}}
  %0 = dsv3.get_parameter @w : tensor<4xf32>
  return
}

// -----

// A parameter has one type.
dsv3.parameter @w : tensor<4xf32> from ["w"] accepts [f32] place copy
func.func @f() {
  // expected-error@+1 {{parameter @w has type 'tensor<4xf32>', not 'tensor<5xf32>'}}
  %0 = dsv3.get_parameter @w : tensor<5xf32>
  return
}

// -----

// A state is declared.
func.func @f() {
  // expected-error@+1 {{@s is not a state}}
  %0 = dsv3.get_state @s : !dsv3.counts<4>
  return
}

// -----

// A state has one type.
dsv3.state @s : !dsv3.counts<4>
func.func @f() {
  // expected-error@+1 {{state @s has type '!dsv3.counts<4>', not '!dsv3.counts<5>'}}
  %0 = dsv3.get_state @s : !dsv3.counts<5>
  return
}

// -----

// Only experts have slots.
// expected-error@+1 {{only a stack is split into slots}}
dsv3.parameter @a : tensor<4x4xbf16> from ["a"] accepts [bf16] place map split <slots by ep of 1> layer 0

// -----

// Whose placement a stack follows.
// expected-error@+1 {{'layer' belongs to stacks that are split into slots}}
dsv3.parameter @a : tensor<4x4x4xbf16, #dsv3.layout<stack>> from ["a.{e}"] accepts [bf16] place map split <slots by ep of 1>

// -----

// An expert has a slot.
// expected-error@+1 {{type must be i32[experts, 1 + replicas], got 'tensor<8x1xi32>'}}
dsv3.placement_table @a : tensor<8x1xi32> layer 0
