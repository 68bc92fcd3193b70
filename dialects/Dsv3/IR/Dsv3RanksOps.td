// Operations of several ranks: rows and heads shared over tp, experts shared over
// ep, and collectives that are begun and awaited apart.

def Dsv3_AllGatherOp : Dsv3_Op<"all_gather", [Pure]> {
  let summary = "The tokens of all ranks of a group, from the slice of each.";
  let description = [{
    Each part is [slice, n], f32, bf16 or FP8, and gives [tokens, n]: the slices
    in the order of ranks. Parts travel together. Of [logits, n], which every rank
    has rows of, the result is [gathered, n]: block r is what rank r has
    (join_columns). Exact. ExpandExchange makes a collective of it.

    ```mlir
    %all = dsv3.all_gather %qa over tp : (tensor<?x2112xbf16, #slice>) -> tensor<?x2112xbf16, #tokens>
    ```
  }];
  let arguments = (ins Variadic<Dsv3_Tensor>:$parts, Dsv3_Axis:$axis);
  let results = (outs Variadic<Dsv3_Tensor>:$results);
  let assemblyFormat = "$parts `over` $axis attr-dict `:` "
                       "functional-type(operands, results)";
  let hasVerifier = 1;
}

def Dsv3_ReduceScatterOp : Dsv3_Op<"reduce_scatter", [Pure]> {
  let summary = "The rank's slice of a sum over the ranks of a group.";
  let description = [{
    x [tokens, n] f32 or bf16, of which each rank has a partial sum: the product
    with its columns of a weight. Result [slice, n]: the rank's rows of the sum,
    formed in f32 in the order of ranks and rounded once. A row is summed on one
    rank, so that all ranks that gather it later hold equal bits.
  }];
  let arguments = (ins Dsv3_FloatTensor:$input, Dsv3_Axis:$axis);
  let results = (outs Dsv3_FloatTensor:$result);
  let assemblyFormat = "$input `over` $axis attr-dict `:` "
                       "functional-type(operands, results)";
  let hasVerifier = 1;
}

def Dsv3_AllReduceOp : Dsv3_Op<"all_reduce", [Pure]> {
  let summary = "A sum over the ranks of a group, whole on each.";
  let description = [{
    As reduce_scatter, but each rank gets all rows [tokens, n]. Where only the
    slice is read, ElideCollectives makes a reduce_scatter of it.
  }];
  let arguments = (ins Dsv3_FloatTensor:$input, Dsv3_Axis:$axis);
  let results = (outs Dsv3_FloatTensor:$result);
  let assemblyFormat = "$input `over` $axis attr-dict `:` "
                       "functional-type(operands, results)";
  let hasVerifier = 1;
}

def Dsv3_TakeSliceOp : Dsv3_Op<"take_slice", [Pure]> {
  let summary = "The rank's slice of the tokens.";
  let description = [{
    x [tokens] i32, or [tokens, n] f32 or bf16: the rows from `slice_begin` of the
    sizes on, as many as `slice_tokens` says. Exact, and local: no rank waits for
    another. One kernel (copy_rows).
  }];
  let arguments = (ins Dsv3_Tensor:$input);
  let results = (outs Dsv3_Tensor:$result);
  let assemblyFormat = "$input attr-dict `:` functional-type(operands, results)";
  let hasVerifier = 1;
}

def Dsv3_CopyRowsOp : Dsv3_Op<"copy_rows", [Pure,
    AllTypesMatch<["input", "result"]>]> {
  let summary = "The same rows in other memory.";
  let description = [{
    Collectives send and receive in exchange buffers, which last as long as a step:
    what outlives one (the residual stream, which a layer takes and returns) is
    copied in front of a collective and behind it. ExpandExchange inserts it. One
    kernel.
  }];
  let arguments = (ins Dsv3_Tensor:$input);
  let results = (outs Dsv3_Tensor:$result);
  let assemblyFormat = "$input attr-dict `:` type($result)";
}

def Dsv3_JoinColumnsOp : Dsv3_Op<"join_columns", [Pure]> {
  let summary = "Puts the columns that the ranks of a group have side by side.";
  let description = [{
    x f32 [gathered, n]: a block of logit rows of each of r ranks. Result f32
    [logits, r * n]: row i has row i of block 0, then of block 1, ... Exact. One
    kernel.
  }];
  let arguments = (ins Dsv3_F32Tensor:$input);
  let results = (outs Dsv3_F32Tensor:$result);
  let assemblyFormat = "$input attr-dict `:` functional-type(operands, results)";
  let hasVerifier = 1;
}

def Dsv3_MoeDispatchOp : Dsv3_Op<"moe_dispatch"> {
  let summary = "Sends each token once to every rank that holds one of its experts.";
  let description = [{
    x [S, D], ids i32 [S, k], table i32 [E, 1 + replicas] (placement_table). Results
    on the receiving rank: `rows` [received, D] as x, `meta` i32 [received, M]
    (moe_route), `source` i32 [routed]: the received row of a routed row, `begin`
    i32 [slots + 1]: the first routed row of each slot and the end, which is the
    `expert_begin` part of the batch's sizes, `back` i32 [received, k]: the routed
    row of a choice. On the sending rank: `place` i32 [S, k]: the returned row of a
    choice, `sent` i32 [ep, 2]: rows and pairs for each rank, and `got`, what each
    rank sent here. Adds the tokens of each expert to `counts`, by their logical
    number, and raises `overflow` (moe_route): a step that wanted more than the
    bucket's capacity is repeated, so that no token is dropped. ExpandExchange makes
    kernels and a collective of it.
  }];
  let arguments = (ins Dsv3_Tensor:$input, Dsv3_IndexTensor:$ids,
    Dsv3_IndexTensor:$table, Dsv3_BatchType:$batch,
    Arg<Dsv3_CountsType, "expert load", [MemRead, MemWrite]>:$counts,
    Arg<Dsv3_CountsType, "overflow", [MemRead, MemWrite]>:$overflow,
    Dsv3_Axis:$axis);
  let results = (outs Dsv3_Tensor:$rows, Dsv3_IndexTensor:$meta,
    Dsv3_IndexTensor:$source, Dsv3_IndexTensor:$begin, Dsv3_IndexTensor:$back,
    Dsv3_IndexTensor:$place, Dsv3_IndexTensor:$sent, Dsv3_IndexTensor:$got);
  let assemblyFormat = [{
    $input `,` $ids `,` $table `,` $batch `counting` $counts `overflow` $overflow
    `over` $axis attr-dict `:` functional-type(operands, results)
  }];
  let hasVerifier = 1;
}

def Dsv3_MoeReturnOp : Dsv3_Op<"moe_return"> {
  let summary = "Sends the experts' outputs back to the ranks of their tokens.";
  let description = [{
    y [routed, D] of A; meta, back, sent and got of the dispatch. Result [returned,
    D] of A: ep blocks of C2 pairs, of each rank the pairs in the order of their
    tokens and choices, which is the order of `place`.
  }];
  let arguments = (ins Dsv3_FloatTensor:$input, Dsv3_IndexTensor:$meta,
    Dsv3_IndexTensor:$back, Dsv3_IndexTensor:$sent, Dsv3_IndexTensor:$got,
    Dsv3_Axis:$axis);
  let results = (outs Dsv3_FloatTensor:$result);
  let assemblyFormat = [{
    $input `,` $meta `,` $back `,` $sent `,` $got `over` $axis attr-dict `:`
    functional-type(operands, results)
  }];
  let hasVerifier = 1;
}

def Dsv3_MoeCountOp : Dsv3_Op<"moe_count"> {
  let summary = "Adds the tokens of each expert to the expert load.";
  let description = [{
    ids i32 [S, k], counts i32 [E] by logical expert. Adds nothing if the batch says
    so (bit 0 of the flags of its sizes: a step that is repeated counts once). One
    kernel.
  }];
  let arguments = (ins Dsv3_IndexTensor:$ids, Dsv3_BatchType:$batch,
    Arg<Dsv3_CountsType, "expert load", [MemRead, MemWrite]>:$counts);
  let assemblyFormat = "$ids `,` $batch `counting` $counts attr-dict `:` "
                       "type(operands)";
  let hasVerifier = 1;
}

def Dsv3_MoeRouteOp : Dsv3_Op<"moe_route"> {
  let summary = "Finds the place of each (token, choice) pair in what is sent.";
  let description = [{
    For each rank d of the ep group, tokens ascending: the i-th token that wants d
    is row d * C + i of what is sent, the p-th of its pairs row d * C2 + p of what
    returns. `send_token` i32 [received]: the token of a row, -1: unused.
    `send_meta` i32 [received, M], M = 2 + k rounded up to a multiple of 4: the
    row's token, the number of its first pair, then for each choice the slot on the
    destination, -1: elsewhere; of an unused row all are -1. `place` i32 [S, k]: the
    returned row of a pair, -1: none. `sent` i32 [ep, 2]: rows and pairs that fit.
    `overflow` i32 [ep, 2] is raised to the rows and pairs for each rank, whether
    they fit or not, so that it holds the most of all layers. An expert with several slots
    serves token t's choice j in slot number (t + j) mod their number. One kernel.
  }];
  let arguments = (ins Dsv3_IndexTensor:$ids, Dsv3_IndexTensor:$table,
    Dsv3_BatchType:$batch,
    Arg<Dsv3_CountsType, "overflow", [MemRead, MemWrite]>:$overflow);
  let results = (outs Dsv3_IndexTensor:$send_token, Dsv3_IndexTensor:$send_meta,
    Dsv3_IndexTensor:$place, Dsv3_IndexTensor:$sent);
  let assemblyFormat = [{
    $ids `,` $table `,` $batch `overflow` $overflow attr-dict `:`
    functional-type(operands, results)
  }];
  let hasVerifier = 1;
}

def Dsv3_MoePackOp : Dsv3_Op<"moe_pack", [Pure]> {
  let summary = "Copies the rows that are sent to their places.";
  let description = [{
    x [S, D] of A, or FP8 1x128; send_token i32 [received]. Row i of the result
    [received, D], as x, is x[send_token[i]]; not written where that is -1. One
    kernel.
  }];
  let arguments = (ins Dsv3_Tensor:$input, Dsv3_IndexTensor:$send_token);
  let results = (outs Dsv3_Tensor:$result);
  let assemblyFormat = "$input `,` $send_token attr-dict `:` "
                       "functional-type(operands, results)";
  let hasVerifier = 1;
}

def Dsv3_MoeReceiveOp : Dsv3_Op<"moe_receive"> {
  let summary = "Sorts the (received row, choice) pairs by the rank's slots.";
  let description = [{
    meta i32 [received, M] and got i32 [ep, 2] as received: the rows and pairs that
    came from each rank. Pairs are ordered by slot, then received
    row, then choice, which inside a slot is the order of the tokens of all ranks
    one after another. source i32 [routed], begin i32 [slots + 1] and back i32
    [received, k] as moe_dispatch gives them. One kernel.
  }];
  let arguments = (ins Dsv3_IndexTensor:$meta, Dsv3_IndexTensor:$got,
                       Dsv3_BatchType:$batch);
  let results = (outs Dsv3_IndexTensor:$source, Dsv3_IndexTensor:$back,
                      Dsv3_IndexTensor:$begin);
  let assemblyFormat = "$meta `,` $got `,` $batch attr-dict `:` "
                       "functional-type(operands, results)";
  let hasVerifier = 1;
}

def Dsv3_MoeReturnRowsOp : Dsv3_Op<"moe_return_rows", [Pure]> {
  let summary = "Copies the experts' outputs to their places in what returns.";
  let description = [{
    y [routed, D] of A, meta i32 [received, M], back i32 [received, k]. Received row
    r came from rank r / C; the n-th of its choices that this rank serves is y[back[r,
    j]] and becomes row (r / C) * C2 + meta[r, 1] + n of the result [returned, D].
    One kernel.
  }];
  let arguments = (ins Dsv3_FloatTensor:$input, Dsv3_IndexTensor:$meta,
                       Dsv3_IndexTensor:$back);
  let results = (outs Dsv3_FloatTensor:$result);
  let assemblyFormat = "$input `,` $meta `,` $back attr-dict `:` "
                       "functional-type(operands, results)";
  let hasVerifier = 1;
}

def Dsv3_StartOp : Dsv3_Op<"start", [AttrSizedOperandSegments]> {
  let summary = "Begins a collective of the ranks of an axis.";
  let description = [{
    Every rank of the group begins the same collectives in the same order. Of an
    all_to_all each part is as many equal blocks of rows as there are ranks: block d
    goes to rank d, and comes to lie at the sender's number. `counted C by %counts`
    (i32 [ranks, n]): of part p only counts[d, C[p]] rows of block d are meant; -1:
    all are. An all_gather takes the slice of each rank and gives the tokens of all
    in the order of ranks (of logit rows, the blocks of all); a reduce_scatter the other way, with the sum of all ranks
    in f32, in their order and rounded once; an all_reduce gives that sum of the
    whole. FP8 parts travel with their scales. The parts must not change until the
    `await`. `label` is what messages call it.

    ```mlir
    %p = dsv3.start all_to_all over ep (%rows, %meta, %sent) counted [0, -1, -1]
      by %sent label "dispatch" : (...) -> !dsv3.pending<...>
    %r, %m, %got = dsv3.await %p : !dsv3.pending<...> -> ...
    ```
  }];
  let arguments = (ins Dsv3_CollectiveKind:$kind, Dsv3_Axis:$axis,
    Variadic<Dsv3_Tensor>:$parts, Optional<Dsv3_IndexTensor>:$counts,
    OptionalAttr<DenseI64ArrayAttr>:$columns, StrAttr:$label);
  let results = (outs Dsv3_PendingType:$pending);
  let assemblyFormat = [{
    $kind `over` $axis `(` $parts `)` (`counted` $columns `by` $counts^)?
    `label` $label attr-dict `:` functional-type(operands, results)
  }];
  let hasVerifier = 1;
}

def Dsv3_AwaitOp : Dsv3_Op<"await"> {
  let summary = "Waits for a collective and gives what it received.";
  let description = [{
    One value for each part, of the pending type's types and in its order. Of a
    counted part the rows beyond the counts are undefined.
  }];
  let arguments = (ins Dsv3_PendingType:$pending);
  let results = (outs Variadic<Dsv3_Tensor>:$values);
  let assemblyFormat = "$pending attr-dict `:` type($pending) `->` type($values)";
  let hasVerifier = 1;
}
