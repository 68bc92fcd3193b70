#ifndef HADAL_SM90_OPS
#define HADAL_SM90_OPS

include "Sm90Base.td"
include "mlir/IR/SymbolInterfaces.td"
include "mlir/IR/OpAsmInterface.td"
include "mlir/Interfaces/SideEffectInterfaces.td"
include "mlir/Interfaces/InferTypeOpInterface.td"

//===----------------------------------------------------------------------===//
// Structure
//===----------------------------------------------------------------------===//

def Sm90_KernelOp : Sm90_Op<"kernel", [IsolatedFromAbove, Symbol, SingleBlock,
                                       NoTerminator]> {
  let summary = "A kernel entry: arguments, launch facts, the code of a thread.";
  let description = [{
    Block arguments: one per argument slot (`!llvm.ptr<1>` or i64), the workspace
    (`!llvm.ptr<1>`) if one is used, then one `!sm90.tensor_map` per entry of
    `tensor_maps`. `threads` is the size of a CTA, `ctas_per_item` how many CTAs
    share a work item: the grid is items times that many, or with `persistent`
    at most one CTA for each SM, which strides by the grid. The workspace has
    `workspace_fixed` bytes and `workspace_per_item` for each item.
    `ctas_per_sm`: CTAs that registers and shared memory leave room for on an SM
    (absent: 1). `shared_bytes` is set when shared memory is planned.
  }];
  let arguments = (ins SymbolNameAttr:$sym_name, I64Attr:$threads,
                       DefaultValuedAttr<I64Attr, "1">:$ctas_per_item,
                       UnitAttr:$persistent,
                       DefaultValuedAttr<I64Attr, "0">:$workspace_fixed,
                       DefaultValuedAttr<I64Attr, "0">:$workspace_per_item,
                       DefaultValuedAttr<TypedArrayAttrBase<Sm90_MapAttr,
                           "tensor maps">, "{}">:$tensor_maps,
                       OptionalAttr<I64Attr>:$shared_bytes,
                       OptionalAttr<I64Attr>:$ctas_per_sm);
  let regions = (region SizedRegion<1>:$body);
  let hasCustomAssemblyFormat = 1;
  let hasVerifier = 1;
  let skipDefaultBuilders = 1;
  let builders = [OpBuilder<(ins "::llvm::StringRef":$name, "int64_t":$threads,
                                 "::llvm::ArrayRef<::mlir::Type>":$slots)>];
  let extraClassDeclaration = [{
    ::mlir::Block &getBodyBlock() { return getBody().front(); }
    bool usesWorkspace() {
      return getWorkspaceFixed() != 0 || getWorkspacePerItem() != 0;
    }
    /// Appends a tensor map and its argument; an equal one is shared.
    ::mlir::Value addTensorMap(::hadal::sm90::MapAttr map);
  }];
}

def Sm90_RolesOp : Sm90_Op<"roles", [NoTerminator]> {
  let summary = "Splits the CTA's warpgroups into consumers and one producer.";
  let description = [{
    The first `warpgroups` warpgroups run `mma` with their number (i32) as its
    argument; one warp of the last runs `load`. Register counts are set by
    setmaxnreg where given (0: left alone). All threads of the CTA reach the op
    once, and the barriers of rings created before it are visible in both roles.
  }];
  let arguments = (ins I64Attr:$warpgroups, I64Attr:$load_registers,
                       I64Attr:$mma_registers);
  let regions = (region SizedRegion<1>:$load, SizedRegion<1>:$mma);
  let hasCustomAssemblyFormat = 1;
  let hasVerifier = 1;
  let skipDefaultBuilders = 1;
  let builders = [OpBuilder<(ins "int64_t":$warpgroups, "int64_t":$loadRegisters,
                                 "int64_t":$mmaRegisters)>];
}

def Sm90_SregOp : Sm90_Op<"sreg", [Pure]> {
  let summary = "A special register.";
  let description = [{
    Of this thread, in dimension x: its number in the CTA, the CTA's number in the
    grid, the number of CTAs.
  }];
  let arguments = (ins Sm90_SregAttr:$name);
  let results = (outs I32:$result);
  let assemblyFormat = "$name attr-dict";
}

//===----------------------------------------------------------------------===//
// Shared memory
//===----------------------------------------------------------------------===//

def Sm90_SharedOp : Sm90_Op<"shared"> {
  let summary = "Reserves bytes of shared memory for generic use.";
  let description = [{
    `bytes` bytes at a multiple of `align` (a power of two up to 1024), rounded up
    to 16. The result is their shared address.
  }];
  let arguments = (ins I64Attr:$bytes, DefaultValuedAttr<I64Attr, "16">:$align);
  let results = (outs Sm90_SharedPtr:$result);
  let assemblyFormat = "$bytes (`align` $align^)? attr-dict `:` type($result)";
  let hasVerifier = 1;
}

def Sm90_TileAllocOp : Sm90_Op<"tile_alloc"> {
  let summary = "Reserves a tile of shared memory.";
  let description = [{
    The bytes of the result's type, at a multiple of 1024 as the 128-byte swizzle
    needs. It lives as long as the kernel.
  }];
  let results = (outs Sm90_Tile:$result);
  let assemblyFormat = "attr-dict `:` type($result)";
}

def Sm90_TileSliceOp : Sm90_Op<"tile_slice", [Pure, AttrSizedOperandSegments]> {
  let summary = "A rectangle of a tile.";
  let description = [{
    From row `row` (static, plus `dynamicRow`, both multiples of 8) and column
    `col` (a multiple of 128 bytes, plus `dynamicChunk` chunks of 128 bytes).
  }];
  let arguments = (ins Sm90_Tile:$tile, Optional<I32>:$dynamicRow,
                       Optional<I32>:$dynamicChunk, I64Attr:$row, I64Attr:$col);
  let results = (outs Sm90_Tile:$result);
  let assemblyFormat = [{
    $tile `[` $row (`+` $dynamicRow^)? `,` $col (`+` $dynamicChunk^)? `]` attr-dict
    `:` type($tile) `->` type($result)
  }];
  let hasVerifier = 1;
}

def Sm90_TileAddressOp : Sm90_Op<"tile_address", [Pure]> {
  let summary = "The shared address of a tile's element (row, col), swizzled.";
  let description = [{
    Row and column are i32; col is that of a 16-byte piece for wider accesses.
    For generic reads and writes of a tile.
  }];
  let arguments = (ins Sm90_Tile:$tile, I32:$row, I32:$col);
  let results = (outs Sm90_SharedPtr:$result);
  let assemblyFormat = [{
    $tile `[` $row `,` $col `]` attr-dict `:` type($tile) `->` type($result)
  }];
}

def Sm90_TileStoreOp : Sm90_Op<"tile_store"> {
  let summary = "Writes a bf16 fragment in accumulator layout to 64 rows of a tile.";
  let description = [{
    Generic writes (stmatrix): a `fence_async` and a barrier go between them and
    a read by wgmma.
  }];
  let arguments = (ins AnyVectorOfAnyRank:$fragment, Sm90_Tile:$tile);
  let assemblyFormat = "$fragment `to` $tile attr-dict `:` type($fragment) `,` type($tile)";
  let hasVerifier = 1;
}

//===----------------------------------------------------------------------===//
// Rings
//===----------------------------------------------------------------------===//

def Sm90_RingOp : Sm90_Op<"ring"> {
  let summary = "Allocates a ring and initialises its barriers.";
  let description = [{
    Use n of the ring is iteration n: stage n mod stages, phase n / stages. A
    full barrier takes one arrival and the bytes of the stage's tiles; an empty
    barrier `consumers` arrivals, one per warp that releases.
  }];
  let arguments = (ins I64Attr:$consumers);
  let results = (outs Sm90_Ring:$result);
  let assemblyFormat = "`consumers` $consumers attr-dict `:` type($result)";
  let hasVerifier = 1;
}

class Sm90_StageOp<string mnemonic> : Sm90_Op<mnemonic> {
  let arguments = (ins Sm90_Ring:$ring, I64:$iteration);
}
class Sm90_StageTilesOp<string mnemonic> : Sm90_StageOp<mnemonic> {
  let results = (outs Variadic<Sm90_Tile>:$tiles);
  let assemblyFormat = [{
    $ring `[` $iteration `]` attr-dict `:` type($ring) `->` type($tiles)
  }];
  let hasVerifier = 1;
}

def Sm90_AcquireOp : Sm90_StageTilesOp<"acquire"> {
  let summary = "Producer: waits until the stage is empty and expects its bytes.";
  let description = [{
    The results are the stage's tiles, to be filled by as many bytes of copies as
    they have. Iterations are acquired in ascending order; a commit ends one.
  }];
}
def Sm90_CommitOp : Sm90_StageOp<"commit"> {
  let summary = "Producer: every load of the iteration has been issued.";
  let description = [{
    The stage counts as full once the bytes of its tiles have arrived.
  }];
  let assemblyFormat = "$ring `[` $iteration `]` attr-dict `:` type($ring)";
}
def Sm90_DeferOp : Sm90_StageOp<"defer"> {
  let summary = "Producer: the rest of the stage's loads follows a resume.";
  let description = [{
    Closes a stage as commit does, before all of its tiles have been asked for:
    those that no kernel writes may come before `pdl_wait`. Stands in a loop
    whose induction variable is the iteration; a loop of the same range behind
    it in the same block resumes every iteration, and each tile is loaded in
    exactly one of the two.
  }];
  let assemblyFormat = "$ring `[` $iteration `]` attr-dict `:` type($ring)";
}
def Sm90_ResumeOp : Sm90_StageTilesOp<"resume"> {
  let summary = "Producer: opens a deferred stage again; a commit closes it.";
  let description = [{
    The results are the stage's tiles. Only those that the acquiring loop did not
    load are loaded now; the stage is full when all their bytes have arrived.
  }];
}
def Sm90_AwaitOp : Sm90_StageTilesOp<"await"> {
  let summary = "Consumer: waits until the stage is full.";
  let description = [{
    The results are the stage's tiles, as the copies wrote them. A release ends the
    iteration.
  }];
}
def Sm90_ReleaseOp : Sm90_StageOp<"release"> {
  let summary = "Consumer: this warp has finished reading the stage.";
  let description = [{
    Every consuming warp releases each iteration once; after the last of them the
    producer may overwrite the stage.
  }];
  let assemblyFormat = "$ring `[` $iteration `]` attr-dict `:` type($ring)";
}

def Sm90_HoldOp : Sm90_StageOp<"hold"> {
  let summary = "Consumer: a wgmma in flight still reads the stage.";
  let description = [{
    Closes an awaited stage in its block in place of release; a `drop` releases
    it when a later wait has retired the wgmma. The first stage is held before a
    loop, each other one in the loop, which carries the iteration of the stage
    held last: it drops that one in the next round and the last behind the loop.
  }];
  let assemblyFormat = "$ring `[` $iteration `]` attr-dict `:` type($ring)";
}
def Sm90_DropOp : Sm90_StageOp<"drop"> {
  let summary = "Consumer: this warp has finished reading a held stage.";
  let description = [{
    As a release; it stands behind the wait that retires the wgmma of the hold,
    once for each held iteration.
  }];
  let assemblyFormat = "$ring `[` $iteration `]` attr-dict `:` type($ring)";
}

//===----------------------------------------------------------------------===//
// TMA
//===----------------------------------------------------------------------===//

def Sm90_TmaLoadOp : Sm90_Op<"tma_load"> {
  let summary = "Loads a stage's tile, one box per 128-byte chunk of columns.";
  let description = [{
    Coordinates (i32, innermost first) of the tile's first element; elements
    outside the map's extents become zero. All lanes of the producer's warp run
    the op, one issues the copies.
  }];
  let arguments = (ins Sm90_Map:$map, Variadic<I32>:$coordinates,
                       Sm90_Tile:$tile, Sm90_Ring:$ring, I64:$iteration);
  let assemblyFormat = [{
    $map `[` $coordinates `]` `to` $tile `in` $ring `[` $iteration `]` attr-dict
    `:` type($tile) `,` type($ring)
  }];
  let hasVerifier = 1;
}

def Sm90_TmaGatherOp : Sm90_Op<"tma_gather"> {
  let summary = "Loads a stage's tile row by row: row r from map row rows[r].";
  let description = [{
    Lane l of the producer's warp holds in `rows` the source rows of the tile's
    rows l, l + 32, ...; a negative one gives zeros. The map is two-dimensional
    with a box of one row.
  }];
  let arguments = (ins Sm90_Map:$map, I32:$column, Sm90_I32Fragment:$rows,
                       Sm90_Tile:$tile, Sm90_Ring:$ring, I64:$iteration);
  let assemblyFormat = [{
    $map `[` $column `,` $rows `]` `to` $tile `in` $ring `[` $iteration `]` attr-dict
    `:` type($rows) `,` type($tile) `,` type($ring)
  }];
  let hasVerifier = 1;
}

def Sm90_PrefetchMapOp : Sm90_Op<"prefetch_map"> {
  let summary = "Hints that a tensor map will be used.";
  let description = [{
    128 bytes of a kernel parameter. It has no result that a program could see.
  }];
  let arguments = (ins Sm90_Map:$map);
  let assemblyFormat = "$map attr-dict";
}

//===----------------------------------------------------------------------===//
// Contractions
//===----------------------------------------------------------------------===//

def Sm90_MmaFenceOp : Sm90_Op<"mma_fence"> {
  let summary = "wgmma.fence; registers that other instructions defined become accumulators.";
  let description = [{
    Each value is a fragment of f32 and becomes an accumulator of as many
    registers. A fence stands before the first wgmma after a wait, also where it
    ties nothing.
  }];
  let arguments = (ins Variadic<Sm90_F32Fragment>:$values);
  let results = (outs Variadic<Sm90_Acc>:$accumulators);
  let assemblyFormat = "(`tie` $values^ `:` type($values) `->` type($accumulators))? attr-dict";
  let hasVerifier = 1;
}

def Sm90_MmaOp : Sm90_Op<"mma", [AttrSizedOperandSegments]> {
  let summary = "Issues a . b for 64 rows of a warpgroup; the result is in flight.";
  let description = [{
    `a`: a tile [64, K], or this thread's registers of one (i32, two bf16 each,
    four per 16 of K). `b`: a tile [N, K], or [K, N] with `b_mn` (bf16 only).
    Without `acc` the first instruction ignores the accumulator (scale-d 0).
    All of K is contracted: 32 bytes an instruction.
  }];
  let arguments = (ins Optional<Sm90_Tile>:$a, Optional<Sm90_I32Fragment>:$aRegisters,
                       Sm90_Tile:$b, Optional<Sm90_Acc>:$acc, UnitAttr:$b_mn);
  let results = (outs Sm90_Acc:$result);
  let assemblyFormat = [{
    (`tile` $a^ `:` type($a))? (`registers` $aRegisters^ `:` type($aRegisters))?
    `by` $b `:` type($b) (`mn` $b_mn^)? (`into` $acc^ `:` type($acc))? attr-dict
    `->` type($result)
  }];
  let hasVerifier = 1;
  let extraClassDeclaration = [{
    int64_t getN() { return getBMn() ? getB().getType().getCols()
                                     : getB().getType().getRows(); }
    int64_t getK();
  }];
}

def Sm90_MmaCommitOp : Sm90_Op<"mma_commit"> {
  let summary = "Closes the group of the wgmmas issued so far.";
  let description = [{
    Groups finish in the order of their commits; `mma_wait` counts them.
  }];
  let assemblyFormat = "attr-dict";
}

def Sm90_MmaWaitOp : Sm90_Op<"mma_wait", [AttrSizedOperandSegments,
                                          AttrSizedResultSegments]> {
  let summary = "Waits until at most `pending` groups are in flight.";
  let description = [{
    Returns the accumulators as fragments, and `still` unchanged as accumulators
    that stay in flight. `keep` are A registers that a finished wgmma read: they
    may not be reused earlier.
  }];
  let arguments = (ins Variadic<Sm90_Acc>:$accumulators,
                       Variadic<Sm90_Acc>:$still,
                       Variadic<Sm90_I32Fragment>:$keep,
                       DefaultValuedAttr<I64Attr, "0">:$pending);
  let results = (outs Variadic<Sm90_F32Fragment>:$values,
                      Variadic<Sm90_Acc>:$inFlight);
  let assemblyFormat = [{
    $accumulators (`still` $still^ `:` type($still))? (`keep` $keep^ `:` type($keep))?
    (`pending` $pending^)? attr-dict
    (`:` type($accumulators)^ `->` type($values))? (`still` type($inFlight)^)?
  }];
  let hasVerifier = 1;
}

//===----------------------------------------------------------------------===//
// Fragments
//===----------------------------------------------------------------------===//

def Sm90_RowReduceOp : Sm90_Op<"row_reduce", [Pure]> {
  let summary = "Reduces an accumulator-layout fragment over its columns.";
  let description = [{
    The two results per thread are those of rows g and g + 8, equal in the four
    lanes of a quad. With `width` 1 the fragment has one register per row and
    four columns (deinterleaved), else two.
  }];
  let arguments = (ins Sm90_ReduceAttr:$kind, Sm90_F32Fragment:$fragment,
                       DefaultValuedAttr<I64Attr, "2">:$width);
  let results = (outs Sm90_F32Fragment:$result);
  let assemblyFormat = [{
    $kind $fragment (`width` $width^)? attr-dict `:` type($fragment) `->` type($result)
  }];
}

def Sm90_ShuffleXorOp : Sm90_Op<"shuffle_xor", [Pure, SameOperandsAndResultType]> {
  let summary = "The value of the lane whose number differs by `mask`.";
  let description = "A 32-bit scalar or a fragment of them; all 32 lanes take part.";
  let arguments = (ins AnyType:$value, I64Attr:$mask);
  let results = (outs AnyType:$result);
  let assemblyFormat = "$value `,` $mask attr-dict `:` type($value)";
  let hasVerifier = 1;
}

def Sm90_ToE4m3Op : Sm90_Op<"to_e4m3", [Pure]> {
  let summary = "Pairs of f32 to packed e4m3 (i16, first in bits 7:0).";
  let description = "Round to nearest even, saturating to 448.";
  let arguments = (ins Sm90_F32Fragment:$source);
  let results = (outs AnyVectorOfAnyRank:$result);
  let assemblyFormat = "$source attr-dict `:` type($source) `->` type($result)";
  let hasVerifier = 1;
}

def Sm90_FromE4m3Op : Sm90_Op<"from_e4m3", [Pure]> {
  let summary = "Packed e4m3 pairs (i16) to f32, exactly.";
  let description = [{
    [n] of i16, the first code in bits 7:0, to [2 n] of f32. The NaN code gives a
    NaN.
  }];
  let arguments = (ins AnyVectorOfAnyRank:$source);
  let results = (outs Sm90_F32Fragment:$result);
  let assemblyFormat = "$source attr-dict `:` type($source) `->` type($result)";
  let hasVerifier = 1;
}

//===----------------------------------------------------------------------===//
// Synchronisation
//===----------------------------------------------------------------------===//

def Sm90_FenceAsyncOp : Sm90_Op<"fence_async"> {
  let summary = "Orders this thread's generic accesses of shared memory before later asynchronous ones.";
  let description = [{
    Of shared memory, between the generic and the async proxy. A barrier must
    follow before another thread's copy or wgmma may rely on it.
  }];
  let assemblyFormat = "attr-dict";
}
def Sm90_BarrierOp : Sm90_Op<"barrier"> {
  let summary = "All threads of the CTA.";
  let description = [{
    bar.sync 0: every thread of the CTA arrives, and sees what the others wrote
    before.
  }];
  let assemblyFormat = "attr-dict";
}
def Sm90_NamedBarrierOp : Sm90_Op<"named_barrier"> {
  let summary = "`threads` threads of barrier `id` (1..15; `dynamicId` is added).";
  let description = [{
    bar.sync: `threads` is a multiple of 32 and counts all that take part.
  }];
  let arguments = (ins I64Attr:$id, I64Attr:$threads, Optional<I32>:$dynamicId);
  let assemblyFormat = "$id (`+` $dynamicId^)? `,` $threads attr-dict";
  let hasVerifier = 1;
}
def Sm90_WarpSyncOp : Sm90_Op<"warp_sync"> {
  let summary = "The 32 lanes of this warp.";
  let description = [{
    bar.warp.sync of the full mask: every lane sees what the others wrote before.
  }];
  let assemblyFormat = "attr-dict";
}
def Sm90_PdlWaitOp : Sm90_Op<"pdl_wait"> {
  let summary = "Waits for the kernels before this one to finish and flush.";
  let description = "Before the first access to memory that another kernel writes or reads.";
  let assemblyFormat = "attr-dict";
}
def Sm90_PdlLaunchOp : Sm90_Op<"pdl_launch"> {
  let summary = "The next kernel may be scheduled.";
  let description = [{
    griddepcontrol.launch_dependents: once every CTA has run it (or ended), CTAs of
    the next kernel may start; they wait for this kernel's end in `pdl_wait`.
  }];
  let assemblyFormat = "attr-dict";
}
def Sm90_TicketOp : Sm90_Op<"ticket"> {
  let summary = "Joins a counter in global memory; true for the last of `count`.";
  let description = [{
    One thread adds 1 with acquire-release at gpu scope; the last arriver sees
    everything that the others wrote before theirs and resets the counter to 0.
    The caller synchronises the CTA around it.
  }];
  let arguments = (ins Sm90_GlobalPtr:$counter, I32:$count);
  let results = (outs I1:$last);
  let assemblyFormat = "$counter `,` $count attr-dict `:` type($counter)";
}

#endif // HADAL_SM90_OPS
