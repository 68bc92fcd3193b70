// Symbols of a dsv3 module: parameters and states, and their use.

def Dsv3_ParameterOp : Dsv3_Op<"parameter", [Symbol]> {
  let summary = "Declares a weight by the checkpoint tensors it consists of.";
  let description = [{
    The type is what kernels read; its storage (`#dsv3.layout`) is the kind of
    the parameter. `parts` are tensor names: one for a whole tensor, one pattern
    with `{e}` (0 .. E-1) for a stack, several cut along rows for segments,
    with `part_rows` rows each. `accepts` lists the dtypes allowed in the file;
    `place map` uses the file's bytes and needs the file's dtype to equal the
    element type, `place copy` converts at load. `scale` names the parameter
    that holds the scales of an FP8 weight: float32, one row per 128 rows; or of an
    int4 weight: bfloat16, one row per row, each group of 32 columns. int4 codes
    are of the file's I32 words, eight in a word, the lowest bits first. A
    whole bf16 matrix with a `scale` is stored as FP8 in the file and dequantised
    at load: `place copy`, accepting f8E4M3FN alone.
    `check` is what the loader verifies of the values. `split` is the part of each
    tensor that a rank holds; the type and `part_rows` are then the rank's own. A
    stack of `slots` has as many arrays as a rank holds experts, of those of
    `layer` that its placement says; `{e}` still runs over all experts. `copied as`
    names tensors that hold the same values: where a checkpoint has them, the loader
    looks whether they do.

    ```mlir
    dsv3.parameter @layers.0.self_attn.o_proj : tensor<7168x16384xf8E4M3FN, #fp8_block>
      from ["model.layers.0.self_attn.o_proj.weight"] accepts [f8E4M3FN]
      place map scale @layers.0.self_attn.o_proj.scale
    ```
  }];
  let arguments = (ins SymbolNameAttr:$sym_name, TypeAttr:$type,
    StrArrayAttr:$parts,
    DefaultValuedAttr<DenseI64ArrayAttr, "{}">:$part_rows, TypeArrayAttr:$accepts,
    Dsv3_Placement:$place,
    DefaultValuedAttr<Dsv3_ValueCheck, "::hadal::dsv3::ValueCheck::None">:$check,
    OptionalAttr<FlatSymbolRefAttr>:$scale, OptionalAttr<Dsv3_SplitAttr>:$split,
    OptionalAttr<I64Attr>:$layer, OptionalAttr<StrArrayAttr>:$copies);
  let assemblyFormat = [{
    $sym_name `:` $type `from` $parts (`rows` $part_rows^)? `accepts` $accepts
    `place` $place (`check` $check^)? (`scale` $scale^)? (`split` $split^)?
    (`layer` $layer^)? (`copied` `as` $copies^)? attr-dict
  }];
  let builders = [OpBuilder<(ins "::llvm::StringRef":$sym_name,
    "::mlir::Type":$type, "::mlir::ArrayAttr":$parts,
    "::llvm::ArrayRef<int64_t>":$part_rows, "::mlir::ArrayAttr":$accepts,
    "Placement":$place, "ValueCheck":$check,
    "::mlir::FlatSymbolRefAttr":$scale), [{
      build($_builder, $_state, sym_name, type, parts, part_rows, accepts, place,
            check, scale, /*split=*/SplitAttr(), /*layer=*/::mlir::IntegerAttr(),
            /*copies=*/::mlir::ArrayAttr());
    }]>];
  let extraClassDeclaration = [{
    /// The declared type, always a ranked tensor.
    ::mlir::RankedTensorType getTensorType() {
      return ::llvm::cast<::mlir::RankedTensorType>(getType());
    }
  }];
  let hasVerifier = 1;
}

def Dsv3_RopeTableOp : Dsv3_Op<"rope_table", [Symbol]> {
  let summary = "Declares the rotary table, computed when weights are loaded.";
  let description = [{
    float32 [positions, R/2, 2]: cos and sin of float32(position *
    inv_freq[pair]), each multiplied by `scale` (2.7; YaRN is already in
    `inv_freq`, 2.8). Positions stay float32: a bf16 table is wrong beyond a few
    hundred tokens.
  }];
  let arguments = (ins SymbolNameAttr:$sym_name, TypeAttr:$type,
    DenseF32ArrayAttr:$inv_freq, F32Attr:$scale);
  let assemblyFormat =
    "$sym_name `:` $type `inv_freq` $inv_freq `scale` $scale attr-dict";
  let hasVerifier = 1;
}

def Dsv3_PlacementTableOp : Dsv3_Op<"placement_table", [Symbol]> {
  let summary = "Declares where the experts of a layer live, known when weights are loaded.";
  let description = [{
    i32 [E, 1 + replicas] of `layer`: how many slots hold an expert, then their
    numbers, rank of the ep group * slots + slot; unused: -1. Equal on all ranks;
    the loader fills it from the placement file, or with slot s of rank r holding
    expert (r * slots + s) mod E.

    ```mlir
    dsv3.placement_table @layers.3.placement : tensor<256x2xi32> layer 3
    ```
  }];
  let arguments = (ins SymbolNameAttr:$sym_name, TypeAttr:$type,
                       I64Attr:$layer);
  let assemblyFormat = "$sym_name `:` $type `layer` $layer attr-dict";
  let hasVerifier = 1;
}

def Dsv3_StateOp : Dsv3_Op<"state", [Symbol]> {
  let summary = "Declares memory that outlives a call: a latent cache or counts.";
  let description = [{
    A latent cache holds a row of `latent + rope` elements for each token that is
    kept; counts are i32, one per expert, or two per rank of an ep group
    (`comm.overflow`). The host allocates it once for a model and
    every entry sees the same memory.
  }];
  let arguments = (ins SymbolNameAttr:$sym_name, TypeAttr:$type);
  let assemblyFormat = "$sym_name `:` $type attr-dict";
  let hasVerifier = 1;
}

def Dsv3_GetParameterOp : Dsv3_Op<"get_parameter", [Pure,
    DeclareOpInterfaceMethods<SymbolUserOpInterface>]> {
  let summary = "The value of a parameter or of a table that is computed at load.";
  let description = [{
    The result has the type of the declaration: a weight [N, K] (a stack: [E, N, K]),
    a vector, the table f32 [positions, rope / 2, 2] of cosines and sines, or a
    placement i32 [E, 1 + replicas].
  }];
  let arguments = (ins FlatSymbolRefAttr:$parameter);
  let results = (outs Dsv3_Tensor:$value);
  let assemblyFormat = "$parameter attr-dict `:` type($value)";
}

def Dsv3_GetStateOp : Dsv3_Op<"get_state", [Pure,
    DeclareOpInterfaceMethods<SymbolUserOpInterface>]> {
  let summary = "A reference to a state.";
  let description = [{
    The result has the type of the declaration: a cache or counts. It is a reference:
    what writes it writes the state.
  }];
  let arguments = (ins FlatSymbolRefAttr:$state);
  let results = (outs Dsv3_State:$value);
  let assemblyFormat = "$state attr-dict `:` type($value)";
}
