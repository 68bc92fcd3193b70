#ifndef HADAL_TILE_OPS
#define HADAL_TILE_OPS

include "TileBase.td"
include "mlir/IR/SymbolInterfaces.td"
include "mlir/IR/OpAsmInterface.td"
include "mlir/IR/RegionKindInterface.td"
include "mlir/Interfaces/SideEffectInterfaces.td"
include "mlir/Interfaces/ControlFlowInterfaces.td"
include "mlir/Interfaces/InferTypeOpInterface.td"

//===----------------------------------------------------------------------===//
// Structure
//===----------------------------------------------------------------------===//

def Tile_KernelOp : Tile_Op<"kernel", [IsolatedFromAbove, Symbol, SingleBlock,
    NoTerminator,
    DeclareOpInterfaceMethods<OpAsmOpInterface, ["getAsmBlockArgumentNames"]>]> {
  let summary = "A fused kernel: arguments, a domain of output tiles, a body.";
  let description = [{
    Runs the body once for each point of the domain, in any order and in
    parallel. Block arguments: the views, the `!tile.sizes`, then one `index`
    per domain dimension (the first element of the tile, a multiple of the
    dimension's step). No two points write one element, and no point reads what
    another writes. A point at or beyond a dimension's bound does nothing.

    An argument marked `{constant}` is memory that no kernel of the program
    writes (weights, tables): VerifyExec sees to it that a parameter is bound to
    it. A target may read it before the kernels ahead in its stream have ended.

    `spec` says what the kernel computes; lowerings of one kind and tools choose
    by it. A kernel written by hand may do without and takes the generic way. The
    symbol is for readers: nothing is read back from it.

    ```mlir
    tile.kernel @silu_128(%x: !tile.view<?x128xbf16>, %y: !tile.view<?x128xbf16>, %sz: !tile.sizes)
        domain(%m = ? by 16 in tokens)
        spec silu {act = "bf16", width = 128 : i64}
        schedule {bm = 16 : i64} { ... }
    ```
  }];
  let arguments = (ins SymbolNameAttr:$sym_name,
                       TypedArrayAttrBase<Tile_DomainDimAttr, "domain dimensions">:$domain,
                       Tile_ScheduleAttr:$schedule,
                       StrArrayAttr:$arg_names,
                       OptionalAttr<Tile_SpecAttr>:$spec,
                       DefaultValuedAttr<DenseI64ArrayAttr, "{}">:$constants);
  let regions = (region SizedRegion<1>:$body);
  let hasCustomAssemblyFormat = 1;
  let hasVerifier = 1;
  let skipDefaultBuilders = 1;
  let builders = [OpBuilder<(ins "::llvm::StringRef":$name,
      "::llvm::ArrayRef<::mlir::Type>":$argTypes,
      "::llvm::ArrayRef<::llvm::StringRef>":$argNames,
      "::llvm::ArrayRef<::hadal::tile::DomainDimAttr>":$domain,
      "::mlir::DictionaryAttr":$schedule,
      CArg<"::hadal::tile::SpecAttr", "{}">:$spec,
      CArg<"::llvm::ArrayRef<int64_t>", "{}">:$constants)>];
  let extraClassDeclaration = [{
    /// True if argument |number| is marked constant.
    bool isConstant(unsigned number) {
      return ::llvm::is_contained(getConstants(), int64_t(number));
    }
    /// The kind of its spec; empty for a kernel without one.
    ::llvm::StringRef getKind() {
      return getSpecAttr() ? getSpecAttr().getKind().getValue() : "";
    }
    /// The views and the sizes, in order.
    ::mlir::Block::BlockArgListType getKernelArguments();
    /// The coordinates, one per domain dimension.
    ::mlir::Block::BlockArgListType getCoordinates();
    ::mlir::Block &getBodyBlock() { return getBody().front(); }
    ::hadal::tile::DomainDimAttr getDim(unsigned i) {
      return ::llvm::cast<::hadal::tile::DomainDimAttr>(getDomain()[i]);
    }
    unsigned getNumDims() { return getDomain().size(); }
    /// Work items for a launch whose first dimension holds |capacity| elements
    /// (ignored where that extent is static).
    int64_t getNumItems(int64_t capacity);
    /// 8-byte slots of the argument array (docs/artifact.md).
    int64_t getNumSlots();
    /// What the schedule says for |word|: a number, a text or a flag. A word
    /// that is missing or of another type is an error, reported at the kernel:
    /// no lowering has a value of its own for one.
    ::mlir::FailureOr<int64_t> getWord(::llvm::StringRef word);
    ::mlir::FailureOr<::llvm::StringRef> getWordText(::llvm::StringRef word);
    ::mlir::FailureOr<bool> getFlag(::llvm::StringRef word);
    bool hasWord(::llvm::StringRef word) {
      return getSchedule().getWords().contains(word);
    }
  }];
}

def Tile_FoldOp : Tile_Op<"fold", [
    SingleBlockImplicitTerminator<"::hadal::tile::YieldOp">,
    RecursiveMemoryEffects]> {
  let summary = "A loop whose state may be split and merged.";
  let description = [{
    Folds the body over `lo, lo+step, ... < hi`, ascending. The `combine` region
    merges two states (arguments: all of a's, then all of b's) and must be
    associative with `inits` as its identity; it makes split-K and split-KV a
    number of the schedule. If lo >= hi the result is `inits`.

    ```mlir
    %acc = tile.fold %k = %lo to %hi step 128 init(%a = %zero : tensor<64x128xf32>) {
      ...
      tile.yield %a1 : tensor<64x128xf32>
    } combine (%p), (%q) {
      %s = arith.addf %p, %q : tensor<64x128xf32>
      tile.yield %s : tensor<64x128xf32>
    }
    ```
  }];
  let arguments = (ins Index:$lo, Index:$hi, I64Attr:$step,
                       Variadic<AnyType>:$inits);
  let results = (outs Variadic<AnyType>:$results);
  let regions = (region SizedRegion<1>:$body, SizedRegion<1>:$combine);
  let hasCustomAssemblyFormat = 1;
  let hasVerifier = 1;
  let hasCanonicalizeMethod = 1;
  let skipDefaultBuilders = 1;
  let builders = [OpBuilder<(ins "::mlir::Value":$lo, "::mlir::Value":$hi,
      "int64_t":$step, "::mlir::ValueRange":$inits,
      "::llvm::function_ref<::llvm::SmallVector<::mlir::Value>(::mlir::OpBuilder &, ::mlir::Location, ::mlir::Value, ::mlir::ValueRange)>":$bodyBuilder,
      "::llvm::function_ref<::llvm::SmallVector<::mlir::Value>(::mlir::OpBuilder &, ::mlir::Location, ::mlir::ValueRange, ::mlir::ValueRange)>":$combineBuilder)>];
  let extraClassDeclaration = [{
    ::mlir::Value getInductionVar() { return getBody().getArgument(0); }
    ::mlir::Block::BlockArgListType getState() {
      return getBody().getArguments().drop_front();
    }
  }];
}

def Tile_YieldOp : Tile_Op<"yield", [Pure, Terminator,
    ParentOneOf<["::hadal::tile::FoldOp"]>]> {
  let summary = "Ends a fold's body or combine region with the new state.";
  let description = [{
    One operand per state of the fold, of its type and in its order.
  }];
  let arguments = (ins Variadic<AnyType>:$values);
  let builders = [OpBuilder<(ins), [{ build($_builder, $_state, ::mlir::ValueRange()); }]>];
  let assemblyFormat = "($values^ `:` type($values))? attr-dict";
}

//===----------------------------------------------------------------------===//
// Sizes and views
//===----------------------------------------------------------------------===//

def Tile_SizeOp : Tile_Op<"size", [MemoryEffects<[MemRead]>]> {
  let summary = "Reads a true size from the sizes buffer.";
  let description = [{
    `tokens`, `rows`, `logit_rows`, `slice_tokens` (the tokens of the rank's slice),
    `flags` (bit 0: count the expert load), `slice_begin` (the token with which the
    rank's slice begins), or `expert_begin` at `index` (0..E).
  }];
  let arguments = (ins Tile_SizesType:$sizes, Tile_SizeNameAttr:$name,
                       Optional<Index>:$index);
  let results = (outs Index:$result);
  let assemblyFormat = "$sizes `` $name (`[` $index^ `]`)? attr-dict";
  let hasVerifier = 1;
}

def Tile_StoreSizeOp : Tile_Op<"store_size", [MemoryEffects<[MemWrite]>]> {
  let summary = "Writes consecutive entries of expert_begin (a tile of i32), from `index` (0 unless given) on.";
  let description = [{
    `values` is i32 [n]; entry `index + i` of expert_begin, whose unit is rows, becomes
    values[i].
  }];
  let arguments = (ins Tile_SizesType:$sizes, Tile_Tile:$values,
                       Optional<Index>:$index);
  let assemblyFormat = [{
    $sizes (`[` $index^ `]`)? `,` $values `:` type($values) attr-dict
  }];
}

def Tile_DimOp : Tile_Op<"dim", [Pure]> {
  let summary = "The extent of a view's dimension.";
  let description = [{
    In elements, of a view's dimension `dim`, outermost first: the constant of its
    type or the number in its argument slot.
  }];
  let arguments = (ins Tile_View:$view, I64Attr:$dim);
  let results = (outs Index:$result);
  let assemblyFormat = "$view `,` $dim `:` type($view) attr-dict";
  let hasCanonicalizeMethod = 1;
  let hasVerifier = 1;
}

def Tile_PagedOp : Tile_Op<"paged", [Pure]> {
  let summary = "The rows of one sequence, read through a page table.";
  let description = [{
    `pool` is [pages, page_size, width], `table` i32 [rows, max pages]. Row t of
    the result lives in page table[row, t / page_size] at t mod page_size; the
    result has `extent` rows (beyond them a load pads).
  }];
  let arguments = (ins Tile_View:$pool, Tile_View:$table, Index:$row,
                       Index:$extent);
  let results = (outs Tile_View:$result);
  let assemblyFormat = [{
    $pool `[` $table `,` $row `]` `extent` $extent
    `:` type($pool) `,` type($table) `->` type($result) attr-dict
  }];
  let hasVerifier = 1;
}

def Tile_RowsOp : Tile_Op<"rows", [Pure]> {
  let summary = "A gather of rows: row i of the result is row indices[i] of the view.";
  let description = [{
    The result has as many rows as the index tile has elements. A negative index
    reads as padding and drops a write. On an FP8 view the scales follow (its
    scale block has one row).
  }];
  let arguments = (ins Tile_View:$view, StaticShapeTensorOf<[I32, I64]>:$indices);
  let results = (outs Tile_View:$result);
  let assemblyFormat = [{
    $view `[` $indices `]` `:` type($view) `,` type($indices) `->` type($result) attr-dict
  }];
  let hasVerifier = 1;
}

def Tile_ReadOp : Tile_Op<"read", [MemoryEffects<[MemRead]>]> {
  let summary = "Reads one uniform integer from an i32 or i64 view, as an index.";
  let description = [{
    One index per dimension of the view, in elements. The value is the same for
    the whole work item; it is sign-extended to 64 bits.
  }];
  let arguments = (ins Tile_View:$view, Variadic<Index>:$indices);
  let results = (outs Index:$result);
  let assemblyFormat = "$view `[` $indices `]` `:` type($view) attr-dict";
  let hasVerifier = 1;
}

def Tile_LoadOp : Tile_Op<"load", [MemoryEffects<[MemRead]>]> {
  let summary = "Loads a tile; elements beyond the view's extents read as the pad.";
  let description = [{
    One index per view dimension. The tile has the rank of the view or fewer
    dimensions: missing leading ones are read at their index only. The pad is 0
    unless given (codes and scales of FP8 views always pad with 0).

    A scaled view yields codes and, as a second result, f32 scales of shape
    [sr, sc]: element (i, j) is the scale of the block holding absolute row
    r0 + i * dr and absolute column c0 + j * dc of the view. dr is the block's
    rows R where sr = ceil(rows / R) (a tile that starts at a block; the last
    one may be short), else rows / sr, so that a tile that starts inside a block
    is read rightly with sr = rows; dc likewise. Scales beyond the view's
    extents read as 0.
  }];
  let arguments = (ins Tile_View:$view, Variadic<Index>:$indices,
                       OptionalAttr<F32Attr>:$pad);
  let results = (outs Tile_Tile:$tile, Optional<StaticShapeTensorOf<[F32]>>:$scales);
  let assemblyFormat = [{
    $view `[` $indices `]` (`pad` $pad^)? attr-dict `:` type($view) `->` type($tile)
    (`,` type($scales)^)?
  }];
  let hasVerifier = 1;
}

def Tile_StoreOp : Tile_Op<"store", [MemoryEffects<[MemWrite]>,
    AttrSizedOperandSegments]> {
  let summary = "Stores a tile; elements beyond the view's extents are dropped.";
  let description = [{
    The mirror of `tile.load`, scales included. `rows_below` drops rows of the tile (its
    outermost dimension) at or beyond that number, relative to the tile.
  }];
  let arguments = (ins Tile_View:$view, Variadic<Index>:$indices,
                       Tile_Tile:$tile, Optional<StaticShapeTensorOf<[F32]>>:$scales,
                       Optional<Index>:$rowsBelow);
  let assemblyFormat = [{
    $view `[` $indices `]` `,` $tile (`,` $scales^ `:` type($scales))?
    (`rows_below` $rowsBelow^)? attr-dict `:` type($view) `,` type($tile)
  }];
  let hasVerifier = 1;
}

def Tile_ReduceIntoOp : Tile_Op<"reduce_into", [MemoryEffects<[MemRead, MemWrite]>]> {
  let summary = "Adds a tile to memory (f32 or i32), in ascending order of work items.";
  let description = [{
    Only for kernels whose domain has one point per element written, so the
    order is the program's. `max` (i32) leaves the greater of the two instead of
    their sum.

    ```mlir
    tile.reduce_into %load[%e], %count : !tile.view<256xi32>, tensor<16xi32>
    tile.reduce_into max %most[%r, %c], %seen : !tile.view<8x2xi32>, tensor<1x2xi32>
    ```
  }];
  let arguments = (ins Tile_View:$view, Variadic<Index>:$indices, Tile_Tile:$tile,
                       UnitAttr:$max);
  let assemblyFormat = [{
    (`max` $max^)? $view `[` $indices `]` `,` $tile attr-dict `:` type($view) `,` type($tile)
  }];
  let hasVerifier = 1;
}

//===----------------------------------------------------------------------===//
// Contractions
//===----------------------------------------------------------------------===//

def Tile_DotOp : Tile_Op<"dot", [Pure, AllTypesMatch<["acc", "result"]>]> {
  let summary = "acc + a . b with f32 accumulation.";
  let description = [{
    a is [M,K] (`ta`: [K,M]), b is [K,N] (`tb`: [N,K]), acc [M,N] f32. Operands
    are bf16 or f32 and may differ; each product is exact or rounded once to
    f32; the order of the sum over K is unspecified but the same for every row
    and every launch of a kernel.
  }];
  let arguments = (ins Tile_FloatTile:$a, Tile_FloatTile:$b, Tile_FloatTile:$acc,
                       UnitAttr:$ta, UnitAttr:$tb);
  let results = (outs Tile_FloatTile:$result);
  let assemblyFormat = [{
    $a `,` $b `,` $acc (`ta` $ta^)? (`tb` $tb^)? attr-dict
    `:` type($a) `,` type($b) `,` type($acc)
  }];
  let hasVerifier = 1;
}

def Tile_DotScaledOp : Tile_Op<"dot_scaled", [Pure,
    DeclareOpInterfaceMethods<InferTypeOpInterface>]> {
  let summary = "acc + sum over blocks of K of (a . b over the block) * sa * sb.";
  let description = [{
    For each block kb of `k` elements of K:
    acc[m,n] += (sum_{i in kb} a[m,i] b[n,i]) * sa[m,kb] * sb[n / (N/sr), kb]
    with b [N,K] e4m3fn codes, sb f32 [sr, K/k]. a is e4m3fn codes with sa f32
    [M, K/k] (W8A8: the two scales are multiplied first), or bf16 or f32 without
    sa (W8A16: exact codes, one scale). The sum of a block reaches f32 before it
    is scaled (promotion is the semantics; model-spec 3.5). Blocks ascend.
  }];
  let arguments = (ins Tile_Tile:$a, Optional<StaticShapeTensorOf<[F32]>>:$sa,
                       Tile_Tile:$b, StaticShapeTensorOf<[F32]>:$sb,
                       Tile_FloatTile:$acc, DefaultValuedAttr<I64Attr, "128">:$k);
  let results = (outs Tile_FloatTile:$result);
  let assemblyFormat = [{
    $a (`*` $sa^ `:` type($sa))? `,` $b `*` $sb `,` $acc attr-dict
    `:` type($a) `,` type($b) `,` type($sb) `,` type($acc)
  }];
  let hasVerifier = 1;
}

//===----------------------------------------------------------------------===//
// Quantisation
//===----------------------------------------------------------------------===//

def Tile_QuantizeOp : Tile_Op<"quantize", [Pure]> {
  let summary = "Per group of a row: s = max(amax, floor)/448, codes = e4m3(x/s).";
  let description = [{
    Exactly model-spec 3.4: amax in f32, one f32 division by 448; with `ue8m0`
    s is rounded up to a power of two by its bits; codes are x/s (a division)
    rounded to nearest even, saturating. The last group of a row may be short.
    x is f32 or bf16 [M,K]; codes [M,K]; scales f32 [M, ceil(K/group)].
  }];
  let arguments = (ins Tile_FloatTile:$x, DefaultValuedAttr<I64Attr, "128">:$group,
                       F32Attr:$floor, Tile_ScaleFormatAttr:$format);
  let results = (outs Tile_Tile:$codes, StaticShapeTensorOf<[F32]>:$scales);
  let assemblyFormat = [{
    $x `group` $group `floor` $floor `format` `` $format attr-dict
    `:` type($x) `->` type($codes) `,` type($scales)
  }];
  let hasVerifier = 1;
}

def Tile_DequantizeOp : Tile_Op<"dequantize", [Pure]> {
  let summary = "codes * scales: the exact product rounded once to the result type.";
  let description = [{
    codes e4m3fn [M,K], scales f32 [sr, sc]: element (i, j) takes scale
    (i / (M/sr), j / (K/sc)). The result is f32, or bf16 (product in f32, then
    one rounding; model-spec 3.2). Codes i4 are offset binary, (code - 8) * scale,
    and the result is bf16.
  }];
  let arguments = (ins Tile_Tile:$codes, StaticShapeTensorOf<[F32]>:$scales);
  let results = (outs Tile_FloatTile:$result);
  let assemblyFormat = [{
    $codes `,` $scales attr-dict `:` type($codes) `,` type($scales) `->` type($result)
  }];
  let hasVerifier = 1;
}

//===----------------------------------------------------------------------===//
// Shapes of values
//===----------------------------------------------------------------------===//

def Tile_SplatOp : Tile_Op<"splat", [Pure]> {
  let summary = "A tile with every element equal to a scalar (index becomes i32).";
  let description = [{
    The result has any static shape; its element type is that of the scalar (i32
    for an index).
  }];
  let arguments = (ins AnyType:$scalar);
  let results = (outs Tile_Tile:$result);
  let assemblyFormat = "$scalar attr-dict `:` type($scalar) `->` type($result)";
  let hasVerifier = 1;
}

def Tile_BroadcastOp : Tile_Op<"broadcast", [Pure]> {
  let summary = "Repeats dimensions of extent 1 (or missing leading ones) to the result's shape.";
  let description = [{
    Dimensions are matched from the last one: an extent of 1, or one that is absent,
    is repeated to the result's; others are equal.
  }];
  let arguments = (ins Tile_Tile:$source);
  let results = (outs Tile_Tile:$result);
  let assemblyFormat = "$source attr-dict `:` type($source) `->` type($result)";
  let hasFolder = 1;
  let hasCanonicalizer = 1;
  let hasVerifier = 1;
}

def Tile_IotaOp : Tile_Op<"iota", [Pure]> {
  let summary = "An i32 tile whose element is its own index along `dim`.";
  let description = [{
    Element (i0, i1, ...) of the result, of any static shape, is i[dim].
  }];
  let arguments = (ins I64Attr:$dim);
  let results = (outs StaticShapeTensorOf<[I32]>:$result);
  let assemblyFormat = "$dim attr-dict `:` type($result)";
  let hasVerifier = 1;
}

def Tile_ReduceOp : Tile_Op<"reduce", [Pure]> {
  let summary = "Reduces one dimension to extent 1; the sum in a fixed order.";
  let description = [{
    [..., n, ...] to [..., 1, ...], of the same element type; bf16 is summed in f32
    and rounded once. The maximum of a NaN is a NaN. The order of a sum is a
    matter of the shape and the target, never of the run.
  }];
  let arguments = (ins Tile_ReduceKindAttr:$kind, Tile_Tile:$source, I64Attr:$dim);
  let results = (outs Tile_Tile:$result);
  let assemblyFormat = "`` $kind $source `,` $dim attr-dict `:` type($source) `->` type($result)";
  let hasFolder = 1;
  let hasVerifier = 1;
}

def Tile_ScanOp : Tile_Op<"scan", [Pure, SameOperandsAndResultType]> {
  let summary = "The exclusive prefix sum along one dimension (i32).";
  let description = [{
    The result has the source's shape: element i along `dim` is the sum of the
    source's elements 0 .. i - 1, the first is 0.
  }];
  let arguments = (ins StaticShapeTensorOf<[I32]>:$source, I64Attr:$dim);
  let results = (outs StaticShapeTensorOf<[I32]>:$result);
  let assemblyFormat = "$source `,` $dim attr-dict `:` type($source)";
  let hasVerifier = 1;
}

def Tile_TopKOp : Tile_Op<"topk", [Pure]> {
  let summary = "The k largest of each row, descending; ties go to the lower index.";
  let description = [{
    source f32 [M,N]; values f32 [M,k]; indices i32 [M,k]. -inf is never better
    than a finite value. A NaN is better than all others: what is chosen by a
    damaged score shows in the result.
  }];
  let arguments = (ins StaticShapeTensorOf<[F32]>:$source);
  let results = (outs StaticShapeTensorOf<[F32]>:$values,
                      StaticShapeTensorOf<[I32]>:$indices);
  let assemblyFormat = [{
    $source attr-dict `:` type($source) `->` type($values) `,` type($indices)
  }];
  let hasVerifier = 1;
}

def Tile_ReshapeOp : Tile_Op<"reshape", [Pure]> {
  let summary = "The same elements in row-major order under another shape.";
  let description = [{
    As many elements as the source; element types are equal.
  }];
  let arguments = (ins Tile_Tile:$source);
  let results = (outs Tile_Tile:$result);
  let assemblyFormat = "$source attr-dict `:` type($source) `->` type($result)";
  let hasFolder = 1;
  let hasCanonicalizer = 1;
  let hasVerifier = 1;
}

def Tile_TransposeOp : Tile_Op<"transpose", [Pure]> {
  let summary = "Swaps the two dimensions of a tile.";
  let description = [{
    [m, n] to [n, m].
  }];
  let arguments = (ins Tile_Tile:$source);
  let results = (outs Tile_Tile:$result);
  let assemblyFormat = "$source attr-dict `:` type($source) `->` type($result)";
  let hasFolder = 1;
  let hasCanonicalizer = 1;
  let hasVerifier = 1;
}

def Tile_SliceOp : Tile_Op<"slice", [Pure]> {
  let summary = "A static rectangle of a tile: result extents from `offsets`.";
  let description = [{
    `offsets` in elements, one per dimension; offset + result extent stays within the
    source.
  }];
  let arguments = (ins Tile_Tile:$source, DenseI64ArrayAttr:$offsets);
  let results = (outs Tile_Tile:$result);
  let assemblyFormat = "$source $offsets attr-dict `:` type($source) `->` type($result)";
  let hasFolder = 1;
  let hasCanonicalizer = 1;
  let hasVerifier = 1;
}

def Tile_ConcatOp : Tile_Op<"concat", [Pure]> {
  let summary = "Tiles joined along one dimension.";
  let description = [{
    All sources agree in the other dimensions; the result's extent along `dim` is
    the sum of theirs.
  }];
  let arguments = (ins Variadic<Tile_Tile>:$sources, I64Attr:$dim);
  let results = (outs Tile_Tile:$result);
  let assemblyFormat = "$sources `dim` $dim attr-dict `:` type($sources) `->` type($result)";
  let hasFolder = 1;
  let hasVerifier = 1;
}

def Tile_DeinterleaveOp : Tile_Op<"deinterleave", [Pure]> {
  let summary = "Even and odd elements of each row (the pairs of RoPE).";
  let description = [{
    [m, 2 n] to two of [m, n]: columns 2 j and columns 2 j + 1.
  }];
  let arguments = (ins Tile_Tile:$source);
  let results = (outs Tile_Tile:$even, Tile_Tile:$odd);
  let assemblyFormat = "$source attr-dict `:` type($source) `->` type($even) `,` type($odd)";
  let hasFolder = 1;
  let hasVerifier = 1;
}

def Tile_InterleaveOp : Tile_Op<"interleave", [Pure]> {
  let summary = "The inverse of deinterleave.";
  let description = [{
    Two of [m, n] to [m, 2 n]: column 2 j from `even`, column 2 j + 1 from `odd`.
  }];
  let arguments = (ins Tile_Tile:$even, Tile_Tile:$odd);
  let results = (outs Tile_Tile:$result);
  let assemblyFormat = "$even `,` $odd attr-dict `:` type($even) `,` type($odd) `->` type($result)";
  let hasFolder = 1;
  let hasVerifier = 1;
}

#endif // HADAL_TILE_OPS
