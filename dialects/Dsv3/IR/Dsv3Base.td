// The dsv3 dialect: its attributes, types and type constraints.
#ifndef HADAL_DSV3_BASE_TD
#define HADAL_DSV3_BASE_TD

include "mlir/IR/OpBase.td"
include "mlir/IR/AttrTypeBase.td"
include "mlir/IR/EnumAttr.td"
include "mlir/IR/BuiltinTypeInterfaces.td"
include "mlir/IR/TensorEncoding.td"

def Dsv3_Dialect : Dialect {
  let name = "dsv3";
  let cppNamespace = "::hadal::dsv3";
  let summary = "The DeepSeek-V3 family of models, as the paper names its parts.";
  let description = [{
    Value-semantic: activations and weights are builtin `tensor` values whose
    encoding, `#dsv3.layout`, names the dynamic extents (tokens, routed rows,
    logit rows) and carries the scale layout of FP8 and int4 data. One such value
    is its codes together with its scales; without a scale layout it does not
    verify.

    Three things are not values. A *parameter* is a symbol that names the
    tensors of the checkpoint (their data never enters the IR). A *state* is a
    symbol for what outlives a call: the latent cache of a layer and the expert
    load. `!dsv3.batch` is the step's metadata: positions, q_start, kv_len,
    page_table, slot and sizes of docs/artifact.md.

    The frontend emits a private function per layer, `@forward` which calls
    them, and `@head`. Passes then merge equal layers, clone the functions per
    bucket, choose the attention form, make every quantisation explicit, remove
    the repeated ones and form the fused operations, each of which is one
    kernel.
  }];
  let useDefaultAttributePrinterParser = 1;
  let useDefaultTypePrinterParser = 1;
  let hasOperationAttrVerify = 1;
  let dependentDialects = ["::mlir::func::FuncDialect"];
}

//===----------------------------------------------------------------------===//
// Enums
//===----------------------------------------------------------------------===//

class Dsv3_Enum<string name, string summary, list<I32EnumAttrCase> cases>
    : I32EnumAttr<name, summary, cases> {
  let cppNamespace = "::hadal::dsv3";
}

def Dsv3_Extent : Dsv3_Enum<"Extent", "name of a dynamic extent", [
  I32EnumAttrCase<"Tokens", 0, "tokens">,     // rows of the step
  I32EnumAttrCase<"Routed", 1, "routed">,     // (token, expert) pairs
  I32EnumAttrCase<"Logits", 2, "logits">,     // rows that reach the head
  I32EnumAttrCase<"Slice", 3, "slice">,       // the tokens of a rank of a tp group
  I32EnumAttrCase<"Received", 4, "received">, // rows that ep ranks sent: ep * C
  I32EnumAttrCase<"Returned", 5, "returned">, // pairs that came back: ep * C2
  I32EnumAttrCase<"Gathered", 6, "gathered">]>; // logit rows of all tp ranks: tp * L

def Dsv3_ScaleFormat : Dsv3_Enum<"ScaleFormat", "values that a scale may take", [
  I32EnumAttrCase<"F32", 0, "f32">,           // any positive float32
  I32EnumAttrCase<"UE8M0", 1, "ue8m0">,       // powers of two, held as float32
  I32EnumAttrCase<"BF16", 2, "bf16">]>;       // of int4, held as bfloat16

def Dsv3_ScaleMajor : Dsv3_Enum<"ScaleMajor", "order of the scale matrix", [
  I32EnumAttrCase<"K", 0, "k">,               // K index varies fastest
  I32EnumAttrCase<"MN", 1, "mn">]>;           // row index varies fastest

def Dsv3_Storage : Dsv3_Enum<"Storage", "how a weight lies in memory", [
  I32EnumAttrCase<"Whole", 0, "whole">,       // one array
  I32EnumAttrCase<"Stack", 1, "stack">,       // a table of equal arrays (experts)
  I32EnumAttrCase<"Segments", 2, "segments">]>; // a table of 128-row blocks

def Dsv3_BucketKind : Dsv3_Enum<"BucketKind", "what an entry computes", [
  I32EnumAttrCase<"Decode", 0, "decode">,
  I32EnumAttrCase<"Prefill", 1, "prefill">,
  I32EnumAttrCase<"Head", 2, "head">,
  // Of the layer of multi-token prediction: behind a decode entry, behind a draft,
  // its logits, behind a prefill entry.
  I32EnumAttrCase<"Draft", 3, "draft">,
  I32EnumAttrCase<"DraftNext", 4, "draft_next">,
  I32EnumAttrCase<"DraftHead", 5, "draft_head">,
  I32EnumAttrCase<"DraftPrefill", 6, "draft_prefill">]>;

def Dsv3_Placement : Dsv3_Enum<"Placement", "where a weight's bytes live", [
  I32EnumAttrCase<"Map", 0, "map">,           // the file's bytes, in place
  I32EnumAttrCase<"Copy", 1, "copy">]>;       // copied and converted at load

def Dsv3_ValueCheck : Dsv3_Enum<"ValueCheck", "what the loader checks of values", [
  I32EnumAttrCase<"None", 0, "none">,
  I32EnumAttrCase<"Finite", 1, "finite">,
  I32EnumAttrCase<"NonNegative", 2, "non_negative">]>; // and finite: a scale

def Dsv3_ScoreFunction : Dsv3_Enum<"ScoreFunction", "activation of the router", [
  I32EnumAttrCase<"Softmax", 0, "softmax">,
  I32EnumAttrCase<"Sigmoid", 1, "sigmoid">]>;

def Dsv3_GroupScore : Dsv3_Enum<"GroupScore", "score of an expert group", [
  I32EnumAttrCase<"Max", 0, "max">,           // its best expert (V2)
  I32EnumAttrCase<"Top2Sum", 1, "top2_sum">]>; // its two best (V3)

// The numbers of Axis, Rung and CollectiveKind are those of
// runtime/schemas/artifact.fbs.
def Dsv3_Axis : Dsv3_Enum<"Axis", "which ranks form a group", [
  I32EnumAttrCase<"TP", 1, "tp">,             // they share the rows of a dp rank
  I32EnumAttrCase<"EP", 2, "ep">,             // they share the experts
  I32EnumAttrCase<"World", 3, "world">]>;     // all

def Dsv3_Rung : Dsv3_Enum<"Rung", "what the capacity of an exchange holds", [
  I32EnumAttrCase<"Worst", 0, "worst">,       // whatever the router does
  I32EnumAttrCase<"Expected", 1, "expected">]>; // what is expected; else a replay

def Dsv3_CollectiveKind : Dsv3_Enum<"CollectiveKind", "what a collective does", [
  I32EnumAttrCase<"AllGather", 0, "all_gather">,
  I32EnumAttrCase<"ReduceScatter", 1, "reduce_scatter">,
  I32EnumAttrCase<"AllReduce", 2, "all_reduce">,
  I32EnumAttrCase<"AllToAll", 3, "all_to_all">]>;

def Dsv3_SplitDim : Dsv3_Enum<"SplitDim", "what a weight is cut into", [
  I32EnumAttrCase<"Rows", 0, "rows">,
  I32EnumAttrCase<"Cols", 1, "cols">,
  I32EnumAttrCase<"Slots", 2, "slots">]>;     // arrays of a stack

//===----------------------------------------------------------------------===//
// Attributes
//===----------------------------------------------------------------------===//

class Dsv3_Attr<string name, string mnemonic_, list<Trait> traits = []>
    : AttrDef<Dsv3_Dialect, name, traits> {
  let mnemonic = mnemonic_;
}

def Dsv3_ScaleAttr : Dsv3_Attr<"Scale", "scale"> {
  let summary = "Scale layout of FP8 or int4 data: block, format, order.";
  let description = [{
    `rows x cols format major`: element `[r, c]` of the last two dimensions is
    `code[r, c] * scale[r div rows, c div cols]` (a multiplier, float32).
    Partial blocks at the edges have a scale of their own. `1x128` is one scale
    per row and 128 columns (activations); `128x128` is the checkpoint's.
    `major` names the fastest varying index of the scale matrix.

    `1x32, bf16, k` is that of int4 weights, whose codes are offset binary: the
    element is bfloat16((code - 8) * scale), in the reference's one rounding.
  }];
  let parameters = (ins "int64_t":$rows, "int64_t":$cols,
                        "ScaleFormat":$format, "ScaleMajor":$major);
  let hasCustomAssemblyFormat = 1;
  let genVerifyDecl = 1;
}

def Dsv3_LayoutAttr : Dsv3_Attr<"Layout", "layout", [
    DeclareAttrInterfaceMethods<VerifiableTensorEncoding>]> {
  let summary = "Names of a tensor's dynamic extents, its storage and its scales.";
  let description = [{
    `#dsv3.layout<[tokens]>`: one name per `?` of the shape, outermost first.
    `#dsv3.layout<scale = <128x128, f32, k>>`: an FP8 matrix.
    `#dsv3.layout<stack, ...>`: dimension 0 counts the arrays of a pointer table.
    `#dsv3.layout<segments, ...>`: a table of 128-row blocks.
    `#dsv3.layout<stack, scale = <1x32, bf16, k>>`: int4 experts, K contiguous, two
    codes a byte, the low half first.
    Verified with the shape: as many names as dynamic extents; a scale layout
    if and only if the element type is an 8-bit float or i4; a stack has rank 3.
  }];
  let parameters = (ins ArrayRefParameter<"Extent">:$extents,
                        "Storage":$storage,
                        DefaultValuedParameter<"ScaleAttr", "ScaleAttr()">:$scale);
  let hasCustomAssemblyFormat = 1;
}

def Dsv3_BucketAttr : Dsv3_Attr<"Bucket", "bucket"> {
  let summary = "The capacity that a function is compiled for.";
  let description = [{
    `#dsv3.bucket<decode tokens 4 rows 4 queries 1>`: at most `tokens` rows of
    `rows` sequences, at most `queries` of them from one sequence.
    `#dsv3.bucket<head logits 16>`: at most 16 rows of logits; so has a
    `draft_head`. A decode bucket of `queries` K + 1 verifies K drafts of each row;
    `draft` has its extents, `draft_prefill` those of a prefill bucket, `draft_next`
    one query per row. True sizes never exceed these; kernels read them from the
    batch.

    Where ranks share experts, `capacity C pairs C2 rung R` follows: a rank sends
    another at most C rows, which are C2 (row, expert) pairs. The `worst` rung holds
    whatever the router does; a step that the `expected` rung cannot hold is run
    again on the worst.
  }];
  let parameters = (ins "BucketKind":$kind, "int64_t":$tokens, "int64_t":$rows,
                        "int64_t":$queries, "int64_t":$logits,
                        "int64_t":$capacity, "int64_t":$pairs, "Rung":$rung);
  let builders = [AttrBuilder<(ins "BucketKind":$kind, "int64_t":$tokens,
      "int64_t":$rows, "int64_t":$queries, "int64_t":$logits), [{
    return $_get($_ctxt, kind, tokens, rows, queries, logits, /*capacity=*/0,
                 /*pairs=*/0, Rung::Worst);
  }]>];
  let hasCustomAssemblyFormat = 1;
  let genVerifyDecl = 1;
}

def Dsv3_MeshAttr : Dsv3_Attr<"Mesh", "mesh"> {
  let summary = "How ranks share the model.";
  let description = [{
    `#dsv3.mesh<tp 4, dp 8, ep 32, node 8, slots 9>`: tp * dp ranks; rank = d * tp
    + t. A tp group is `tp` neighbours, which hold the same sequences; an ep group
    is `ep` neighbours, which share the experts: `slots` of each MoE layer a rank
    (0: the model has none). `node` ranks are on one machine. Module attribute
    `dsv3.mesh`; a module without it is for one rank.
  }];
  let parameters = (ins "int64_t":$tp, "int64_t":$dp, "int64_t":$ep,
                        "int64_t":$node, "int64_t":$slots);
  let assemblyFormat = "`<` `tp` $tp `,` `dp` $dp `,` `ep` $ep `,` `node` $node "
                       "`,` `slots` $slots `>`";
  let genVerifyDecl = 1;
}

def Dsv3_SplitAttr : Dsv3_Attr<"Split", "split"> {
  let summary = "The part of a weight that a rank holds.";
  let description = [{
    `<rows by tp of 192>`, `<cols by tp of 128>`: equal parts in the order of the
    ranks, each whole units (a head's 192 rows; of its scales, 1). `<slots by ep of 1>`: arrays of a
    stack, which the placement of the experts chooses.
  }];
  let parameters = (ins "SplitDim":$dim, "Axis":$axis, "int64_t":$unit);
  let assemblyFormat = "`<` $dim `by` $axis `of` $unit `>`";
  let genVerifyDecl = 1;
}

//===----------------------------------------------------------------------===//
// Types
//===----------------------------------------------------------------------===//

class Dsv3_Type<string name, string mnemonic_> : TypeDef<Dsv3_Dialect, name> {
  let mnemonic = mnemonic_;
}

def Dsv3_BatchType : Dsv3_Type<"Batch", "batch"> {
  let summary = "Metadata of one step.";
  let description = [{
    The entry inputs positions i32[T], q_start i32[R+1], kv_len i32[R] (after
    append), page_table i32[R,P], slot i64[T] and sizes of docs/artifact.md.
  }];
}

def Dsv3_CacheType : Dsv3_Type<"Cache", "cache"> {
  let summary = "The paged latent cache of one layer.";
  let description = [{
    `!dsv3.cache<512 + 64 x bf16>`: pages of `page` rows; a row is the
    normalised latent, then the rotated key shared by all heads, interleaved
    pairs (model-spec 2.6, 2.7).
  }];
  let parameters = (ins "int64_t":$latent, "int64_t":$rope,
                        "::mlir::Type":$elementType);
  let assemblyFormat = "`<` $latent `+` $rope `x` $elementType `>`";
  let genVerifyDecl = 1;
}

def Dsv3_CountsType : Dsv3_Type<"Counts", "counts"> {
  let summary = "Tokens routed to each expert of a layer, summed over steps (i32).";
  let parameters = (ins "int64_t":$size);
  let assemblyFormat = "`<` $size `>`";
}

def Dsv3_PendingType : Dsv3_Type<"Pending", "pending"> {
  let summary = "What a collective that has begun will give.";
  let description = [{
    `!dsv3.pending<T, ...>`: the types of the values that `dsv3.await` gives, one
    for each part of the collective. Meets one `await`, in the block of its
    `start`; no call takes or returns it.
  }];
  let parameters = (ins ArrayRefParameter<"::mlir::Type">:$types);
  let assemblyFormat = "`<` $types `>`";
}

def Dsv3_Tensor : Type<
    CPred<"::hadal::dsv3::hasValidLayout($_self)">,
    "dsv3 tensor (each dynamic extent named by #dsv3.layout, FP8 codes with "
    "their scale layout)", "::mlir::RankedTensorType">;

def Dsv3_FloatTensor : Type<
    And<[Dsv3_Tensor.predicate,
         CPred<"::hadal::dsv3::isFloatTensor($_self)">]>,
    "tensor of f32 or bf16 whose dynamic extents #dsv3.layout names",
    "::mlir::RankedTensorType">;

def Dsv3_F32Tensor : Type<
    And<[Dsv3_Tensor.predicate, CPred<
      "::llvm::cast<::mlir::RankedTensorType>($_self).getElementType().isF32()">]>,
    "tensor of f32 whose dynamic extents #dsv3.layout names",
    "::mlir::RankedTensorType">;

def Dsv3_FP8Tensor : Type<
    And<[Dsv3_Tensor.predicate, CPred<"::hadal::dsv3::isFP8($_self)">]>,
    "tensor of f8E4M3FN whose scales and dynamic extents #dsv3.layout gives",
    "::mlir::RankedTensorType">;

def Dsv3_IndexTensor : Type<
    And<[Dsv3_Tensor.predicate, CPred<
      "::llvm::cast<::mlir::RankedTensorType>($_self).getElementType()"
      ".isInteger(32)">]>,
    "tensor of i32 whose dynamic extents #dsv3.layout names",
    "::mlir::RankedTensorType">;

#endif // HADAL_DSV3_BASE_TD
