#ifndef HADAL_EXEC_RANK_OPS
#define HADAL_EXEC_RANK_OPS

// What a program of several ranks has besides: groups of ranks, collectives and
// the events that order them with launches.

include "ExecBase.td"
include "mlir/IR/OpAsmInterface.td"
include "mlir/IR/SymbolInterfaces.td"
include "mlir/Interfaces/SideEffectInterfaces.td"

def Exec_CommunicatorOp : Exec_Op<"communicator", [Symbol]> {
  let summary = "A group of ranks that do something together.";
  let description = [{
    The groups of `axis`, each of `size` ranks; which of them a rank is in follows
    from its number and the mesh, so that one program serves all.

    ```mlir
    exec.communicator @ep axis ep size 32
    ```
  }];
  let arguments = (ins SymbolNameAttr:$sym_name, Exec_Axis:$axis,
                       Exec_I64:$size);
  let assemblyFormat = "$sym_name `axis` $axis `size` $size attr-dict";
  let hasVerifier = 1;
}

def Exec_PlacementTableOp : Exec_Op<"placement_table", [Symbol]> {
  let summary = "A parameter made at load: where each expert of a layer lies.";
  let description = [{
    i32 [experts, 1 + replicas], equal on all ranks: how many physical slots an
    expert has, then their numbers (rank within its ep group * slots + slot); what
    is unused is -1. `replicas` is the most slots that an expert may have.

    ```mlir
    exec.placement_table @layers.3.placement layer 3 experts 256 replicas 2
    ```
  }];
  let arguments = (ins SymbolNameAttr:$sym_name, Exec_I64:$layer,
                       Exec_I64:$experts, Exec_I64:$replicas);
  let assemblyFormat = [{
    $sym_name `layer` $layer `experts` $experts `replicas` $replicas attr-dict
  }];
  let hasVerifier = 1;
}

def Exec_CollectiveOp : Exec_Op<"collective", [AttrSizedOperandSegments,
    DeclareOpInterfaceMethods<SymbolUserOpInterface>]> {
  let summary = "What the ranks of a communicator do together, over some arrays.";
  let description = [{
    The parts move in one operation, which has one number in the order that all
    ranks share. A part is a send and a receive array, `rows` of each peer's block
    and the bytes of a row. With n ranks:

    | kind | send | receive |
    | --- | --- | --- |
    | `all_gather` | [rows] | [n][rows], in rank order |
    | `reduce_scatter` | [n][rows] | [rows], the sum over ranks of the own block |
    | `all_reduce` | [rows] | [rows], the sum over ranks |
    | `all_to_all` | [n][rows], block d for rank d | [n][rows], block s from rank s |

    Sums are of elements `of f32` or `of bf16`, formed in f32 in rank order and
    rounded once. A part of an all_to_all may be `counted k`: column k of the
    `counts` (i32 [n][stride], the rank's own) says how many rows of each block
    are meant, and what lies beyond them at the receiver means nothing.

    Sends and receives are `exchange` buffers that do not overlap. The arrays
    are in use from here until the next event that is recorded on the stream.
    `label` names it in messages ("dispatch of layer 17"), `op` is the key of the
    model operation that it is.

    ```mlir
    exec.collective @ep all_to_all [
      (%codes, %got.codes, 72 x 7168 counted 0), (%meta, %got.meta, 72 x 48),
      (%sent, %got.sent, 1 x 8)]
      counts (%sent stride 2) label "dispatch" op "moe_layer.dispatch" stream 1
    exec.collective @tp reduce_scatter [(%partial, %sum, 32 x 14336 of bf16)]
      label "o_proj" op "moe_layer.o_proj" stream 1
    ```
  }];
  let arguments = (ins FlatSymbolRefAttr:$communicator,
    Exec_CollectiveKind:$kind, Variadic<Exec_RefType>:$send,
    Variadic<Exec_RefType>:$receive, DenseI64ArrayAttr:$rows,
    DenseI64ArrayAttr:$row_bytes, DenseI64ArrayAttr:$count_columns,
    OptionalAttr<TypeAttr>:$sum_type, Optional<Exec_RefType>:$counts,
    OptionalAttr<Exec_I64>:$count_stride, StrAttr:$label,
    OptionalAttr<StrAttr>:$op, Exec_I64:$stream);
  let assemblyFormat = [{
    $communicator $kind
    custom<Parts>($send, $receive, $rows, $row_bytes, $count_columns, $sum_type)
    (`counts` `(` $counts^ `stride` $count_stride `)`)?
    `label` $label (`op` $op^)? `stream` $stream attr-dict
  }];
  let builders = [
    OpBuilder<(ins "::llvm::StringRef":$communicator, "CollectiveKind":$kind,
                   "::llvm::ArrayRef<CollectivePart>":$parts,
                   "::llvm::StringRef":$label, "::llvm::StringRef":$op,
                   CArg<"::mlir::Value", "{}">:$counts,
                   CArg<"int64_t", "0">:$countStride,
                   CArg<"::mlir::Type", "{}">:$sumType)>];
  let hasVerifier = 1;
  let extraClassDeclaration = [{
    /// In `count_columns`: all rows of the part are meant.
    static constexpr int64_t kAll = -1;
    unsigned getNumParts() { return getRows().size(); }
    CollectivePart getPart(unsigned index);
    /// Bytes of the arrays of part |index| among |ranks| ranks; the verifier
    /// has seen to it that they are counted in 63 bits.
    int64_t getSendBytes(unsigned index, int64_t ranks);
    int64_t getReceiveBytes(unsigned index, int64_t ranks);
    int64_t getCountBytes(int64_t ranks);
  }];
}

def Exec_RecordOp : Exec_Op<"record"> {
  let summary = "An event is reached when all earlier commands of a stream are done.";
  let description = [{
    Events are numbered from 0 in each function; a function records an event once
    and then waits for it once, in every run of it.

    ```mlir
    exec.record 0 stream 1
    ```
  }];
  let arguments = (ins Exec_I64:$event, Exec_I64:$stream);
  let assemblyFormat = "$event `stream` $stream attr-dict";
  let hasVerifier = 1;
}

def Exec_WaitOp : Exec_Op<"wait"> {
  let summary = "Later commands of a stream start when an event is reached.";
  let description = [{
    The event is one that the same function recorded before.

    ```mlir
    exec.wait 0 stream 0
    ```
  }];
  let arguments = (ins Exec_I64:$event, Exec_I64:$stream);
  let assemblyFormat = "$event `stream` $stream attr-dict";
  let hasVerifier = 1;
}

#endif // HADAL_EXEC_RANK_OPS
