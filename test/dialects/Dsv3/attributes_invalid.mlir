// Refusals of attributes, types and discardable attributes.
// RUN: hadal-opt %s -split-input-file -verify-diagnostics

// FP8 codes without scales are not a value.
// expected-error@+1 {{FP8 tensor needs a scale layout}}
func.func private @f(tensor<?x128xf8E4M3FN, #dsv3.layout<[tokens]>>)

// -----

// int4 codes neither.
// expected-error@+1 {{int4 tensor needs a scale layout}}
func.func private @f(tensor<4x64xi4, #dsv3.layout<stack>>)

// -----

// Their scales are bf16 of 32 columns.
// expected-error@+1 {{int4 tensor needs the scale layout <1x32, bf16, k>}}
func.func private @f(tensor<4x64xi4, #dsv3.layout<scale = <1x32, f32, k>>>)

// -----

// No other group is known.
// expected-error@+1 {{int4 tensor needs the scale layout <1x32, bf16, k>}}
func.func private @f(tensor<4x128xi4, #dsv3.layout<scale = <1x128, bf16, k>>>)

// -----

// Groups are whole.
// expected-error@+1 {{int4 tensor needs whole groups of 32 columns, has 48}}
func.func private @f(tensor<4x48xi4, #dsv3.layout<scale = <1x32, bf16, k>>>)

// -----

// Groups lie along a row of a matrix.
// expected-error@+1 {{int4 tensor needs at least two dimensions, has 1}}
func.func private @f(tensor<64xi4, #dsv3.layout<scale = <1x32, bf16, k>>>)

// -----

// bf16 scales are int4's.
// expected-error@+1 {{FP8 tensor has scales of f32 or ue8m0, got bf16}}
func.func private @f(tensor<128x128xf8E4M3FN, #dsv3.layout<scale = <128x128, bf16, k>>>)

// -----

// Scales belong to codes only.
// expected-error@+1 {{scale layout on a tensor of 'bf16', which is neither f8E4M3FN nor i4}}
func.func private @f(tensor<?x128xbf16, #dsv3.layout<[tokens], scale = <1x128, f32, k>>>)

// -----

// Every dynamic extent has a name.
// expected-error@+1 {{layout names 1 dynamic extents but the shape has 2}}
func.func private @f(tensor<?x?xbf16, #dsv3.layout<[tokens]>>)

// -----

// No name without a dynamic extent.
// expected-error@+1 {{layout names 1 dynamic extents but the shape has 0}}
func.func private @f(tensor<4x4xbf16, #dsv3.layout<[tokens]>>)

// -----

// Scale blocks are two-dimensional.
// expected-error@+1 {{FP8 tensor needs at least two dimensions, has 1}}
func.func private @f(tensor<128xf8E4M3FN, #dsv3.layout<scale = <1x128, f32, k>>>)

// -----

// A stack counts matrices.
// expected-error@+1 {{a stack has rank 3 (count, rows, columns), got rank 2}}
func.func private @f(tensor<4x4xbf16, #dsv3.layout<stack>>)

// -----

// Segments are rows of one matrix.
// expected-error@+1 {{segments have rank 2, got rank 3}}
func.func private @f(tensor<4x4x4xbf16, #dsv3.layout<segments>>)

// -----

// A block has two extents.
// expected-error@+1 {{a scale block has two extents}}
func.func private @f(tensor<4x4xf8E4M3FN, #dsv3.layout<scale = <128, f32, k>>>)

// -----

// Blocks are not empty.
// expected-error@+1 {{scale block must be positive, got 0x128}}
func.func private @f(tensor<4x4xf8E4M3FN, #dsv3.layout<scale = <0x128, f32, k>>>)

// -----

// Scale formats are a closed list.
// expected-error@+1 {{'f16' is not a scale format (f32, ue8m0, bf16)}}
func.func private @f(tensor<4x4xf8E4M3FN, #dsv3.layout<scale = <1x128, f16, k>>>)

// -----

// Scale orders are a closed list.
// expected-error@+1 {{'n' is not a scale order (k, mn)}}
func.func private @f(tensor<4x4xf8E4M3FN, #dsv3.layout<scale = <1x128, f32, n>>>)

// -----

// Extents are a closed list.
// expected-error@+1 {{'heads' is not an extent (tokens, routed, logits, slice, received, returned, gathered)}}
func.func private @f(tensor<?x4xbf16, #dsv3.layout<[heads]>>)

// -----

// Items of a layout are a closed list.
// expected-error@+1 {{expected '[', 'stack', 'segments' or 'scale', got 'tiled'}}
func.func private @f(tensor<4x4xbf16, #dsv3.layout<tiled>>)

// -----

// A cache row has both parts, the rotary one in pairs.
// expected-error@+1 {{a cache row needs a positive latent width and a positive even rotary width, got 512 + 63}}
func.func private @f(!dsv3.cache<512 + 63 x bf16>)

// -----

// A cache holds activations.
// expected-error@+1 {{a cache holds f32 or bf16, got 'i32'}}
func.func private @f(!dsv3.cache<512 + 64 x i32>)

// -----

// A bucket holds at least one token.
// expected-error@+1 {{bucket sizes must be positive}}
func.func private @f() attributes {dsv3.bucket = #dsv3.bucket<decode tokens 0 rows 1 queries 1>}

// -----

// A row has no more queries than the bucket tokens.
// expected-error@+1 {{a row may not have more queries (8) than the bucket has tokens (4)}}
func.func private @f() attributes {dsv3.bucket = #dsv3.bucket<decode tokens 4 rows 1 queries 8>}

// -----

// A head bucket has rows.
// expected-error@+1 {{a head bucket needs at least one row of logits}}
func.func private @f() attributes {dsv3.bucket = #dsv3.bucket<head logits 0>}

// -----

// Buckets are a closed list.
// expected-error@+1 {{'train' is not a bucket (decode, prefill, head, draft, draft_next, draft_head, draft_prefill)}}
func.func private @f() attributes {dsv3.bucket = #dsv3.bucket<train tokens 1 rows 1 queries 1>}

// -----

// The bucket attribute is a bucket.
// expected-error@+1 {{'dsv3.bucket' must be a #dsv3.bucket}}
func.func private @f() attributes {dsv3.bucket = 4}

// -----

// Only functions have buckets.
// expected-error@+1 {{'dsv3.bucket' belongs on a function}}
module attributes {dsv3.bucket = #dsv3.bucket<head logits 1>} {}

// -----

// Attention has two forms.
// expected-error@+1 {{'dsv3.attention' must be "absorbed" or "expanded"}}
func.func private @f() attributes {dsv3.attention = "sparse"}

// -----

// Model facts are a dictionary of the module.
// expected-error@+1 {{'dsv3.model' must be a dictionary on a module}}
module attributes {dsv3.model = 1} {}

// -----

// Remarks are a list on the module.
// expected-error@+1 {{'dsv3.remarks' must be an array on a module}}
module attributes {dsv3.remarks = 1} {}

// -----

// Names are dropped from a function.
// expected-error@+1 {{'dsv3.dropped' must be an array of names on a function}}
func.func private @f() attributes {dsv3.dropped = ["moe_layer.mla", 1]}

// -----

// Attributes of the dialect are a closed list.
// expected-error@+1 {{unknown dsv3 attribute 'dsv3.fast'}}
func.func private @f() attributes {dsv3.fast}

// -----

// A bucket of several ranks has room for a pair of every row.
// expected-error@+1 {{a bucket of several ranks needs a capacity of at least one row and a pair for each, got 4 rows and 2 pairs}}
func.func private @f() attributes {dsv3.bucket = #dsv3.bucket<decode tokens 4 rows 4 queries 1 capacity 4 pairs 2 rung worst>}

// -----

// A rank sends no more than it has.
// expected-error@+1 {{no rank sends more rows (8) than its bucket has tokens (4)}}
func.func private @f() attributes {dsv3.bucket = #dsv3.bucket<decode tokens 4 rows 4 queries 1 capacity 8 pairs 8 rung worst>}

// -----

// The head is of each rank's own rows.
// expected-error@+1 {{a head bucket exchanges nothing and takes no capacity, got 4 rows and 8 pairs}}
func.func private @f() attributes {dsv3.bucket = #dsv3.bucket<head logits 4 capacity 4 pairs 8 rung worst>}

// -----

// Rungs are a closed list.
// expected-error@+1 {{'best' is not a rung (worst, expected)}}
func.func private @f() attributes {dsv3.bucket = #dsv3.bucket<decode tokens 4 rows 4 queries 1 capacity 4 pairs 8 rung best>}

// -----

// A mesh has ranks.
// expected-error@+1 {{sizes of a mesh must be positive}}
module attributes {dsv3.mesh = #dsv3.mesh<tp 0, dp 4, ep 4, node 8, slots 2>} {}

// -----

// Groups that share experts are equal.
// expected-error@+1 {{ep 4 does not divide the 6 ranks of tp 1 and dp 6}}
module attributes {dsv3.mesh = #dsv3.mesh<tp 1, dp 6, ep 4, node 8, slots 2>} {}

// -----

// expected-error@+1 {{sizes of a mesh must be at most 65536, got 4294967296}}
module attributes {dsv3.mesh = #dsv3.mesh<tp 4294967296, dp 4294967296, ep 4, node 8, slots 2>} {}

// -----

// It belongs to the module.
// expected-error@+1 {{'dsv3.mesh' must be a #dsv3.mesh on a module}}
func.func private @f() attributes {dsv3.mesh = #dsv3.mesh<tp 1, dp 4, ep 4, node 8, slots 2>}

// -----

// Slots are of experts.
// expected-error@+1 {{slots are split by ep, rows and cols by tp}}
func.func private @f() attributes {x = #dsv3.split<slots by tp of 1>}

// -----

// Parts are whole units.
// expected-error@+1 {{the unit of a split must be positive, of slots 1, got 2}}
func.func private @f() attributes {x = #dsv3.split<slots by ep of 2>}
