#ifndef HADAL_TILE_BASE
#define HADAL_TILE_BASE

include "mlir/IR/OpBase.td"
include "mlir/IR/AttrTypeBase.td"
include "mlir/IR/EnumAttr.td"

def Tile_Dialect : Dialect {
  let name = "tile";
  let cppNamespace = "::hadal::tile";
  let summary = "Kernels: one function per fused kernel, tiles as values.";
  let description = [{
    A kernel of this level is written once for every target. Values are builtin
    `tensor`s of static shape; memory is a `!tile.view`; a loop whose state may
    be split carries a `combine` region (`tile.fold`). Barriers, pipelines,
    roles and register layouts never appear here; every tunable sits in the
    kernel's `schedule`, and a kernel with another schedule computes the same
    function. The definition of a kernel is executable:
    `--hadal-lower-tile-to-loops` is the oracle of every other lowering.

    Besides its own ops the level uses upstream `arith`, `math` (exp2, rsqrt,
    absf and the like, elementwise on tensors) and `scf.if` on uniform scalar
    conditions.
  }];
  let useDefaultTypePrinterParser = 1;
  let useDefaultAttributePrinterParser = 1;
  let dependentDialects = ["::mlir::arith::ArithDialect",
                           "::mlir::math::MathDialect",
                           "::mlir::scf::SCFDialect"];
}

//===----------------------------------------------------------------------===//
// Enums
//===----------------------------------------------------------------------===//

def Tile_ViewKind : I32EnumAttr<"ViewKind", "how a view reaches its memory", [
    I32EnumAttrCase<"Dense", 0, "dense">,
    I32EnumAttrCase<"Stack", 1, "stack">,
    I32EnumAttrCase<"Segments", 2, "segments">]> {
  let cppNamespace = "::hadal::tile";
}

def Tile_Bound : I32EnumAttr<"Bound", "the true size that bounds a domain dimension", [
    I32EnumAttrCase<"None", 0, "none">,
    I32EnumAttrCase<"Tokens", 1, "tokens">,
    I32EnumAttrCase<"Rows", 2, "rows">,
    I32EnumAttrCase<"LogitRows", 3, "logit_rows">,
    I32EnumAttrCase<"ExpertRows", 4, "expert_rows">,
    I32EnumAttrCase<"Slice", 5, "slice_tokens">]> {
  let cppNamespace = "::hadal::tile";
}

// A value is the entry's index: runtime/schemas/ArtifactFile.h has them too.
def Tile_SizeName : I32EnumAttr<"SizeName", "an entry of the sizes buffer", [
    I32EnumAttrCase<"Tokens", 0, "tokens">,
    I32EnumAttrCase<"Rows", 1, "rows">,
    I32EnumAttrCase<"LogitRows", 2, "logit_rows">,
    I32EnumAttrCase<"SliceTokens", 3, "slice_tokens">,
    I32EnumAttrCase<"Flags", 4, "flags">,
    I32EnumAttrCase<"SliceBegin", 5, "slice_begin">,
    I32EnumAttrCase<"ExpertBegin", 16, "expert_begin">]> {
  let cppNamespace = "::hadal::tile";
  let genSpecializedAttr = 0;
}
def Tile_SizeNameAttr : EnumAttr<Tile_Dialect, Tile_SizeName, "size_name"> {
  let assemblyFormat = "$value";
}

def Tile_ReduceKind : I32EnumAttr<"ReduceKind", "a reduction", [
    I32EnumAttrCase<"Add", 0, "add">,
    I32EnumAttrCase<"Max", 1, "max">]> {
  let cppNamespace = "::hadal::tile";
  let genSpecializedAttr = 0;
}
def Tile_ReduceKindAttr : EnumAttr<Tile_Dialect, Tile_ReduceKind, "reduce_kind"> {
  let assemblyFormat = "$value";
}

def Tile_ScaleFormat : I32EnumAttr<"ScaleFormat", "the number format of block scales", [
    I32EnumAttrCase<"F32", 0, "f32">,
    I32EnumAttrCase<"UE8M0", 1, "ue8m0">]> {
  let cppNamespace = "::hadal::tile";
  let genSpecializedAttr = 0;
}
def Tile_ScaleFormatAttr : EnumAttr<Tile_Dialect, Tile_ScaleFormat, "scale_format"> {
  let assemblyFormat = "$value";
}

//===----------------------------------------------------------------------===//
// Attributes
//===----------------------------------------------------------------------===//

def Tile_DomainDimAttr : AttrDef<Tile_Dialect, "DomainDim"> {
  let mnemonic = "dim";
  let summary = "One dimension of a kernel's domain of output tiles.";
  let description = [{
    `extent` elements in steps of `step`; -1 is the bucket's capacity, known to
    the launch only, and allowed for the first dimension alone, so that a linear
    work item splits into coordinates by constants. `bound` names the true size
    (read from the sizes buffer) at or beyond which a coordinate has no work;
    `expert_rows` is expert_begin[e+1] - expert_begin[e] for the coordinate e of
    dimension `boundDim`.
  }];
  let parameters = (ins "int64_t":$extent, "int64_t":$step,
                        EnumParameter<Tile_Bound>:$bound,
                        "int64_t":$boundDim);
  let assemblyFormat = "`<` $extent `by` $step `in` $bound `of` $boundDim `>`";
}

def Tile_SpecAttr : AttrDef<Tile_Dialect, "Spec"> {
  let mnemonic = "spec";
  let summary = "What a kernel computes: its kind, shapes and modes.";
  let description = [{
    `kind` names the builder of the kernel ("gemm"), `fields` are the shapes and
    modes that it was given, each an i64, an f64, a bool or a string (the word of
    a mode). Two kernels that compute the same have equal specs, whatever their
    symbols and schedules. kernels/KernelSpecs.h declares the kinds and their
    fields; this dialect knows neither.

    ```mlir
    #tile.spec<"silu_mul", {act = "bf16", scale_format = "f32", width = 128}>
    ```
  }];
  let parameters = (ins "::mlir::StringAttr":$kind,
                        "::mlir::DictionaryAttr":$fields);
  let assemblyFormat = "`<` $kind `,` $fields `>`";
  let genVerifyDecl = 1;
}

def Tile_ScheduleAttr : AttrDef<Tile_Dialect, "Schedule"> {
  let mnemonic = "schedule";
  let summary = "Every tunable of a kernel, in one place.";
  let description = [{
    A dictionary from words to numbers, texts and flags. Which words a kernel
    has, their meaning and their legal values are declared for each kind of
    kernel and target in schedule/; phase lower writes all of them, lowerings
    read them and decide nothing. `given` names the origin of the words that no
    rule chose: `option` (--schedule) or `edit` (changed in a file of IR).
  }];
  let parameters = (ins "::mlir::DictionaryAttr":$words,
                        DefaultValuedParameter<"::mlir::DictionaryAttr",
                            "::mlir::DictionaryAttr::get($_ctxt)">:$given);
  let assemblyFormat = "`<` $words (`given` $given^)? `>`";
  let builders = [AttrBuilder<(ins "::mlir::DictionaryAttr":$words), [{
    return $_get($_ctxt, words, ::mlir::DictionaryAttr::get($_ctxt));
  }]>];
}

//===----------------------------------------------------------------------===//
// Types
//===----------------------------------------------------------------------===//

class Tile_Type<string name, string typeMnemonic>
    : TypeDef<Tile_Dialect, name> {
  let mnemonic = typeMnemonic;
}

def Tile_ViewType : Tile_Type<"View", "view"> {
  let summary = "Typed memory: extents, element type, and the layout of scales.";
  let description = [{
    Row-major memory. Extents are static, or `?` (one 8-byte launch argument
    each). An `i4` view, of weights, packs two codes a byte, the low half first;
    its scale layout is `scale<1x32>`: a bf16 view of [rows, cols/32] travels
    with it, and an element is (code - 8) * scale. An `f8E4M3FN` view carries its scale layout `scale<RxC>`: an f32
    view of [ceil(rows/R), ceil(cols/C)] over the two innermost dimensions
    travels with it (its own pointer). Kinds: `dense`; `stack`: the outermost
    dimension indexes a table of pointers (experts); `segments<N>`: a table
    holds one pointer per N rows (tensors concatenated along rows at multiples
    of N; the last block may be ragged).

    ```mlir
    !tile.view<?x7168xbf16>
    !tile.view<?x7168xf8E4M3FN, scale<1x128>>
    !tile.view<256x2048x7168xf8E4M3FN, stack, scale<128x128>>
    !tile.view<2112x7168xf8E4M3FN, segments<128>, scale<128x128>>
    !tile.view<384x2048x7168xi4, stack, scale<1x32>>
    ```
  }];
  let parameters = (ins ArrayRefParameter<"int64_t">:$shape,
                        "::mlir::Type":$elementType,
                        "::hadal::tile::ViewKind":$kind,
                        "int64_t":$segmentRows,
                        "int64_t":$scaleRows, "int64_t":$scaleCols);
  let builders = [
    TypeBuilder<(ins "::llvm::ArrayRef<int64_t>":$shape,
                     "::mlir::Type":$elementType), [{
      return $_get($_ctxt, shape, elementType, ViewKind::Dense, 0, 0, 0);
    }]>
  ];
  let hasCustomAssemblyFormat = 1;
  let genVerifyDecl = 1;
  let extraClassDeclaration = [{
    int64_t getRank() const { return getShape().size(); }
    bool isScaled() const { return getScaleRows() != 0; }
    bool isDynamic(int64_t dim) const { return getShape()[dim] < 0; }
    int64_t getNumDynamic() const {
      return ::llvm::count_if(getShape(), [](int64_t d) { return d < 0; });
    }
    /// Slots of the 8-byte argument array: data, scale, dynamic extents.
    int64_t getNumSlots() const { return 1 + isScaled() + getNumDynamic(); }
  }];
}

def Tile_SizesType : Tile_Type<"Sizes", "sizes"> {
  let summary = "The device buffer of true sizes: i32 tokens, rows, logit_rows, slice_tokens, flags, slice_begin, ten zeros, expert_begin[E+1].";
}

def Tile_View : TypeConstraint<CPred<"::llvm::isa<::hadal::tile::ViewType>($_self)">, "a view">;
def Tile_Tile : StaticShapeTensorOf<[AnyType]>;
def Tile_FloatTile : StaticShapeTensorOf<[F32, BF16, F64]>;

class Tile_Op<string mnemonic, list<Trait> traits = []>
    : Op<Tile_Dialect, mnemonic, traits>;

#endif // HADAL_TILE_BASE
