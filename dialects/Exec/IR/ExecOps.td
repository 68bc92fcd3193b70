#ifndef HADAL_EXEC_OPS
#define HADAL_EXEC_OPS

include "ExecBase.td"
include "mlir/IR/OpAsmInterface.td"
include "mlir/IR/RegionKindInterface.td"
include "mlir/IR/SymbolInterfaces.td"
include "mlir/Interfaces/InferTypeOpInterface.td"
include "mlir/Interfaces/SideEffectInterfaces.td"

include "ExecRankOps.td"

//===----------------------------------------------------------------------===//
// What outlives a call
//===----------------------------------------------------------------------===//

def Exec_ParameterOp : Exec_Op<"parameter", [Symbol]> {
  let summary = "An entry of the weight manifest; never the data.";
  let description = [{
    `tensor`: one part. `stack of E`: E arrays of equal shape, the one part is a
    name pattern with `{e}`. `segments of N`: parts joined along rows, read
    through a table of N-row blocks, so every part but the last has a multiple
    of N rows. `rows` is the leading extent of each part, `inner` the others,
    equal for all. `map` uses the file's bytes in place and so needs the element
    type among `accepts`; `copy` converts at load. Block scales of an FP8 weight
    are a parameter of their own.

    Upload steps of a GPU: `dequantised by` names the tensors (as many as parts)
    with the scale of each `block` of rows and columns, by which FP8 codes become
    bf16; `pitch` is the bytes from one innermost row to the next.

    `copied as`: tensors that hold the same values, which the loader compares in part.

    Of several ranks: `rows`, `inner` and `count` are what one rank holds. `slice
    tp dim 0 unit 192`: a share of the tensor's rows (`dim` 1: columns), in whole
    units of so many. `slice ep dim 0 unit 1 layer 3`: the arrays of a stack that the
    placement of layer 3 gives to the rank.

    ```mlir
    exec.parameter @l0.o_proj tensor map f8E4M3FN rows [7168] inner [16384]
      from ["model.layers.0.self_attn.o_proj.weight"] accepts [f8E4M3FN]
    exec.parameter @l3.gate stack of 256 map f8E4M3FN rows [2048] inner [7168]
      from ["model.layers.3.mlp.experts.{e}.gate_proj.weight"] accepts [f8E4M3FN]
    exec.parameter @l0.kv_b tensor copy bf16 rows [640] inner [20]
      from ["model.layers.0.self_attn.kv_b_proj.weight"] accepts [f8E4M3FN]
      dequantised by ["model.layers.0.self_attn.kv_b_proj.weight_scale_inv"]
      accepts [f32, bf16] block [128, 128] pitch 48
    exec.parameter @l3.up stack of 9 map f8E4M3FN rows [2048] inner [7168]
      from ["model.layers.3.mlp.experts.{e}.up_proj.weight"] accepts [f8E4M3FN]
      slice ep dim 0 unit 1 layer 3
    ```
  }];
  let arguments = (ins SymbolNameAttr:$sym_name, Exec_ParameterKind:$kind,
    OptionalAttr<Exec_I64>:$count, Exec_Placement:$place, TypeAttr:$dtype,
    DenseI64ArrayAttr:$rows, DenseI64ArrayAttr:$inner, StrArrayAttr:$parts,
    TypeArrayAttr:$accepts, OptionalAttr<Exec_ValueCheck>:$check,
    OptionalAttr<StrArrayAttr>:$scale_parts,
    OptionalAttr<TypeArrayAttr>:$scale_accepts,
    OptionalAttr<DenseI64ArrayAttr>:$scale_block,
    OptionalAttr<Exec_I64>:$pitch, OptionalAttr<Exec_Axis>:$axis,
    OptionalAttr<Exec_I64>:$slice_dim, OptionalAttr<Exec_I64>:$slice_unit,
    OptionalAttr<Exec_I64>:$layer, OptionalAttr<StrArrayAttr>:$copies);
  let assemblyFormat = [{
    $sym_name $kind (`of` $count^)? $place $dtype `rows` $rows `inner` $inner
    `from` $parts `accepts` $accepts (`check` $check^)?
    (`dequantised` `by` $scale_parts^ `accepts` $scale_accepts
     `block` $scale_block)?
    (`pitch` $pitch^)? (`slice` $axis^ `dim` $slice_dim `unit` $slice_unit)?
    (`layer` $layer^)? (`copied` `as` $copies^)? attr-dict
  }];
  let hasVerifier = 1;
  let extraClassDeclaration = [{
    /// Bytes of all parts as kernels read them, the pitch included.
    int64_t getBytes();
  }];
}

def Exec_RopeTableOp : Exec_Op<"rope_table", [Symbol]> {
  let summary = "A parameter computed at load: cos and sin per position and pair.";
  let description = [{
    f32 [positions, pairs, 2]: cos, sin of float32(position * inv_freq[pair]),
    each multiplied by `scale`.
  }];
  let arguments = (ins SymbolNameAttr:$sym_name, Exec_I64:$positions,
    DenseF32ArrayAttr:$inv_freq, F32Attr:$scale);
  let assemblyFormat = [{
    $sym_name `positions` $positions `inv_freq` $inv_freq `scale` $scale
    attr-dict
  }];
  let hasVerifier = 1;
}

def Exec_StateOp : Exec_Op<"state", [Symbol]> {
  let summary = "Memory that outlives a call.";
  let description = [{
    `paged_cache`: pages of rows of the latent cache, [pages, page_size, row];
    the host decides how many; rows lie `pitch` bytes apart, else dense. `buffer`: so many bytes. Names have a meaning
    (docs/artifact.md): `kv.<layer>`, `hidden`, `expert_load.<layer>`.

    ```mlir
    exec.state @kv.3 paged_cache row 576 of bf16
    exec.state @kv.3 paged_cache row 36 of bf16 pitch 80
    exec.state @hidden buffer bytes 7340032
    ```
  }];
  let arguments = (ins SymbolNameAttr:$sym_name, Exec_StateKind:$kind,
    OptionalAttr<Exec_I64>:$row, OptionalAttr<TypeAttr>:$dtype,
    OptionalAttr<Exec_I64>:$bytes, OptionalAttr<Exec_I64>:$pitch);
  let assemblyFormat = [{
    $sym_name $kind (`row` $row^ `of` $dtype)? (`bytes` $bytes^)?
    (`pitch` $pitch^)? attr-dict
  }];
  let extraClassDeclaration = [{
    /// Bytes from one row of a paged cache to the next.
    int64_t getRowBytes() {
      return getPitch().value_or(
          *getRow() * ((getDtype()->getIntOrFloatBitWidth() + 7) / 8));
    }
  }];
  let hasVerifier = 1;
}

//===----------------------------------------------------------------------===//
// References
//===----------------------------------------------------------------------===//

class Exec_RefOp<string mnemonic, list<Trait> traits = []>
    : Exec_Op<mnemonic, traits # [Pure,
        DeclareOpInterfaceMethods<OpAsmOpInterface, ["getAsmResultNames"]>]> {
  let results = (outs Exec_RefType:$ref);
}

def Exec_GetParameterOp : Exec_RefOp<"get_parameter",
    [DeclareOpInterfaceMethods<SymbolUserOpInterface>]> {
  let summary = "A parameter, in an entry.";
  let description = [{
    A function is shared by layers and gets its parameters from its callers;
    only an entry names them.
  }];
  let arguments = (ins FlatSymbolRefAttr:$parameter);
  let assemblyFormat = "$parameter attr-dict";
}

def Exec_GetStateOp : Exec_RefOp<"get_state",
    [DeclareOpInterfaceMethods<SymbolUserOpInterface>]> {
  let summary = "A state, in an entry.";
  let description = [{
    A reference to the memory of a state, whose size in bytes its declaration and the
    host give.
  }];
  let arguments = (ins FlatSymbolRefAttr:$state);
  let assemblyFormat = "$state attr-dict";
}

def Exec_InputOp : Exec_RefOp<"input"> {
  let summary = "An input of the entry; shapes in docs/artifact.md.";
  let description = [{
    A reference to what the host writes before a call, as often as the bucket's
    sizes say: tokens i32 [T], positions i32 [T], q_start i32 [R + 1], kv_len i32 [R], page_table
    i32 [R, P], slot i64 [T], logit_rows i32 [L], sizes i32 [16 + E + 1]. `at`
    bytes further on lies what the host writes for another micro-batch.

    ```mlir
    %sizes = exec.input sizes
    %sizes_0 = exec.input sizes at 128
    ```
  }];
  let arguments = (ins Exec_Input:$name,
                       DefaultValuedAttr<Exec_I64, "0">:$offset);
  let assemblyFormat = "$name (`at` $offset^)? attr-dict";
  let hasVerifier = 1;
}

def Exec_OutputOp : Exec_RefOp<"output"> {
  let summary = "An output of the entry.";
  let description = [{
    A reference to what the host reads after a call: logits f32 [L, vocabulary].
  }];
  let arguments = (ins Exec_Output:$name);
  let assemblyFormat = "$name attr-dict";
}

def Exec_AtOp : Exec_Op<"at", [Pure]> {
  let summary = "Bytes further on in a state.";
  let description = [{
    `base` is a state whose size its declaration gives, in an entry or as an
    argument of a function: where the rows of another micro-batch begin.

    ```mlir
    %second = exec.at 28672 of %hidden
    ```
  }];
  let arguments = (ins Exec_I64:$offset, Exec_RefType:$base);
  let results = (outs Exec_RefType:$ref);
  let assemblyFormat = "$offset `of` $base attr-dict";
  let hasVerifier = 1;
}

def Exec_BufferOp : Exec_Op<"buffer", [
    DeclareOpInterfaceMethods<OpAsmOpInterface, ["getAsmResultNames"]>]> {
  let summary = "Bytes of the entry's arena, live from first to last use.";
  let description = [{
    `at` is the absolute offset in the arena of the one entry that reaches this
    function, a multiple of 64; `hadal-plan-buffers` chooses it. `label` is what
    the value is called in dumps. An `exchange` buffer is what collectives read
    and write: it lies in the first bytes of the arena, which a rank registers
    with its communication library once for all entries. Buffers that are `carried`
    under one name, in all functions of an entry, are the same bytes: what one
    function leaves there another finds.

    ```mlir
    %norm.codes = exec.buffer "norm.codes" 28672
    %norm.codes = exec.buffer "norm.codes" 28672 at 4096
    %received = exec.buffer "received" 458752 exchange at 0
    %norm.codes = exec.buffer "norm.codes" 28672 carried "norm.codes.0" at 8192
    ```
  }];
  let arguments = (ins StrAttr:$label, Exec_I64:$bytes,
                       OptionalAttr<Exec_I64>:$offset, UnitAttr:$exchange,
                       DefaultValuedAttr<StrAttr, "\"\"">:$carried);
  let results = (outs Exec_RefType:$ref);
  let assemblyFormat =
    "$label $bytes (`exchange` $exchange^)? (`carried` $carried^)? "
    "(`at` $offset^)? attr-dict";
  let hasVerifier = 1;
}

//===----------------------------------------------------------------------===//
// Commands
//===----------------------------------------------------------------------===//

def Exec_LaunchOp : Exec_Op<"launch", [
    DeclareOpInterfaceMethods<SymbolUserOpInterface>]> {
  let summary = "Runs a kernel over work items [0, items).";
  let description = [{
    `args` are the kernel's 8-byte slots in order: of a view its data, its
    scales if it is FP8, then each dynamic extent (a number); `!tile.sizes` is
    one slot. Commands of one stream run in order; commands of different streams
    are concurrent but for what events order.

    `op` is the key of the model operation that the launch is, `members` the keys
    of the imported operations that were fused into it; without `members` it is
    one of them itself. A key is a kind of function and a name, and holds neither
    a layer nor a bucket: those are the function's and its callers'.

    ```mlir
    exec.launch @silu_mul_w2048 items 4 (%gate, 16, %up, 16, %y, 16, %sizes)
      op "dense_layer.silu_mul"
    exec.launch @gate_topk items 1 (%logits, 4, %ids, 4, %weights, 4, %sizes)
      op "moe_layer.combine" members ["moe_layer.combine", "moe_layer.add_shared"]
    ```
  }];
  let arguments = (ins FlatSymbolRefAttr:$kernel, Exec_I64:$items,
    Variadic<Exec_RefType>:$refs, DenseI64ArrayAttr:$scalars,
    DefaultValuedAttr<Exec_I64, "0">:$stream, OptionalAttr<StrAttr>:$op,
    OptionalAttr<StrArrayAttr>:$members);
  let assemblyFormat = [{
    $kernel `items` $items custom<Slots>($refs, type($refs), $scalars)
    (`stream` $stream^)? (`op` $op^)? (`members` $members^)? attr-dict
  }];
  let hasVerifier = 1;
  let extraClassDeclaration = [{
    /// Marks a slot that takes the next of `refs` in `scalars`.
    static constexpr int64_t kRef = ::mlir::ShapedType::kDynamic;
    /// 8-byte slots.
    unsigned getNumSlots() { return getScalars().size(); }
    /// The reference in |slot|, or null for a number.
    ::mlir::Value getRef(unsigned slot);
    /// Sets `op`, and `members` unless they are |op| alone.
    void setNames(::llvm::StringRef op,
                  ::llvm::ArrayRef<std::string> members);
    /// The imported operations that this launch stands for: `members`, or `op`
    /// alone; empty without an `op`.
    ::llvm::SmallVector<::llvm::StringRef> getAllMembers();
  }];
}

def Exec_CallOp : Exec_Op<"call", [AttrSizedOperandSegments,
    DeclareOpInterfaceMethods<SymbolUserOpInterface>]> {
  let summary = "Runs another function with parameters and states.";
  let description = [{
    As many operands of each kind as the function has; they are references of the
    caller. Buffers of the callee lie in the caller's arena.
  }];
  let arguments = (ins FlatSymbolRefAttr:$callee,
    Variadic<Exec_RefType>:$parameters, Variadic<Exec_RefType>:$states);
  let assemblyFormat = [{
    $callee custom<Refs>($parameters, type($parameters))
    `states` custom<Refs>($states, type($states)) attr-dict
  }];
}

def Exec_RepeatOp : Exec_Op<"repeat", [AttrSizedOperandSegments,
    DeclareOpInterfaceMethods<SymbolUserOpInterface>]> {
  let summary = "Runs a function `count` times, each time with the next parameters and states.";
  let description = [{
    Iteration i takes the i-th of `count` equal parts of `parameters` and
    `states`: the layers of a model, one function.

    ```mlir
    exec.repeat 2 @moe_layer (%l3.norm, %l3.q, %l4.norm, %l4.q)
      states (%hidden, %kv.3, %hidden, %kv.4)
    ```
  }];
  let arguments = (ins Exec_I64:$count, FlatSymbolRefAttr:$callee,
    Variadic<Exec_RefType>:$parameters, Variadic<Exec_RefType>:$states);
  let assemblyFormat = [{
    $count $callee custom<Refs>($parameters, type($parameters))
    `states` custom<Refs>($states, type($states)) attr-dict
  }];
  let hasVerifier = 1;
}

//===----------------------------------------------------------------------===//
// Functions and entries
//===----------------------------------------------------------------------===//


def Exec_FuncOp : Exec_Op<"func", [Symbol, IsolatedFromAbove, SingleBlock,
    NoTerminator,
    DeclareOpInterfaceMethods<OpAsmOpInterface, ["getAsmBlockArgumentNames"]>]> {
  let summary = "Commands shared by equal layers of one entry.";
  let description = [{
    Arguments are `num_parameters` parameters, then the states. A function is
    reached from one entry only, because its buffers have absolute offsets in
    that entry's arena; no recursion. `arg_names` are for the reader.

    ```mlir
    exec.func @layer.decode_4(%norm, %q) states(%hidden, %kv) { ... }
    ```
  }];
  let arguments = (ins SymbolNameAttr:$sym_name, Exec_I64:$num_parameters,
                       StrArrayAttr:$arg_names);
  let regions = (region SizedRegion<1>:$body);
  let hasCustomAssemblyFormat = 1;
  let hasVerifier = 1;
  let extraClassDeclaration = [{
    ::mlir::Block &getBodyBlock() { return getBody().front(); }
    ::mlir::Block::BlockArgListType getParameters() {
      return getBody().getArguments().take_front(getNumParameters());
    }
    ::mlir::Block::BlockArgListType getStates() {
      return getBody().getArguments().drop_front(getNumParameters());
    }
  }];
}

def Exec_EntryOp : Exec_Op<"entry", [Symbol, IsolatedFromAbove, SingleBlock,
    NoTerminator, NoRegionArguments]> {
  let summary = "One bucket: what the host calls.";
  let description = [{
    At most `tokens` rows of `rows` sequences, at most `queries` of one
    sequence; a head or draft_head entry takes `logit_rows` rows of the hidden state. `arena`
    is the size of the activation arena, known after `hadal-plan-buffers`.

    A bucket of several ranks has a `rung`: a rank sends at most `capacity` rows
    to another, of which the other's experts are to work on at most `pairs` (row,
    expert) pairs. `worst` holds whatever the router does; `expected` holds what
    is likely, and a step that exceeds it is run again on the other.

    ```mlir
    exec.entry @decode_4 decode tokens 4 rows 4 queries 1 attention "absorbed" arena 8192 { ... }
    exec.entry @decode_128 decode tokens 128 rows 128 queries 1
      attention "absorbed" rung expected capacity 72 pairs 112 { ... }
    exec.entry @head_16 head logit_rows 16 { ... }
    ```

    An entry of `micro_batches 2` has two of every input, each for half of its
    tokens and rows. `interleaving` is how their stages take turns (empty: not
    decided), until `hadal-weave-micro-batches` has made it so: up to then the body
    and its functions are those of one. `overlap` says why there are two, or why not.
  }];
  let arguments = (ins SymbolNameAttr:$sym_name, Exec_EntryKind:$kind,
    OptionalAttr<Exec_I64>:$tokens, OptionalAttr<Exec_I64>:$rows,
    OptionalAttr<Exec_I64>:$queries, OptionalAttr<StrAttr>:$attention,
    OptionalAttr<Exec_I64>:$logit_rows, OptionalAttr<Exec_I64>:$arena,
    OptionalAttr<Exec_Rung>:$rung, OptionalAttr<Exec_I64>:$capacity,
    OptionalAttr<Exec_I64>:$pairs,
    DefaultValuedAttr<Exec_I64, "1">:$micro_batches,
    OptionalAttr<Exec_OverlapAttr>:$overlap,
    OptionalAttr<StrArrayAttr>:$interleaving);
  let regions = (region SizedRegion<1>:$body);
  let assemblyFormat = [{
    $sym_name $kind (`tokens` $tokens^ `rows` $rows `queries` $queries)?
    (`attention` $attention^)? (`logit_rows` $logit_rows^)?
    (`rung` $rung^ `capacity` $capacity `pairs` $pairs)?
    (`micro_batches` $micro_batches^)? (`overlap` $overlap^)?
    (`interleaving` $interleaving^)? (`arena` $arena^)?
    $body attr-dict
  }];
  let hasVerifier = 1;
  let extraClassDeclaration = [{
    ::mlir::Block &getBodyBlock() { return getBody().front(); }
  }];
}

#endif // HADAL_EXEC_OPS
