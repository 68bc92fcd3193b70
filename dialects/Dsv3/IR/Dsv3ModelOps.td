// The model as the frontend writes it, and the explicit quantisation.

def Dsv3_EmbedOp : Dsv3_Op<"embed", [Pure]> {
  let summary = "Row gather from the embedding table.";
  let description = [{
    `y[t] = table[tokens[t]]`, converted to A. tokens i32[T], table [vocab, D]
    bf16 or f32, y [T, D]. No scaling. One kernel.
  }];
  let arguments = (ins Dsv3_IndexTensor:$tokens, Dsv3_FloatTensor:$table);
  let results = (outs Dsv3_FloatTensor:$result);
  let assemblyFormat =
    "$tokens `,` $table attr-dict `:` functional-type(operands, results)";
  let hasVerifier = 1;
}

def Dsv3_MtpInputOp : Dsv3_Op<"mtp_input", [Pure]> {
  let summary = "What the layer of multi-token prediction is fed (4.3): embedding and hidden state, each normalised, side by side.";
  let description = [{
    y [T, 2D] of A:

        y[t, :D] = RMSNorm(table[tokens[t]], enorm)
        y[t, D:] = RMSNorm(RMSNorm(hidden[rows[t]], norm), hnorm)

    in f32, one rounding. The embedding's half comes first. tokens i32[T]: the token
    *after* the one of row t; hidden [?, D] of A, the residual stream of an earlier
    call, of which row t takes row rows[t]; norm f32[D]: the model's last norm, or
    where `hidden` is the layer's own residual stream its `shared_head.norm`. eh_proj is
    the linear behind it. One kernel.
  }];
  let arguments = (ins Dsv3_IndexTensor:$tokens, Dsv3_FloatTensor:$table,
    Dsv3_F32Tensor:$enorm, Dsv3_FloatTensor:$hidden, Dsv3_IndexTensor:$rows,
    Dsv3_F32Tensor:$norm, Dsv3_F32Tensor:$hnorm, F64Attr:$eps);
  let results = (outs Dsv3_FloatTensor:$result);
  let assemblyFormat = [{
    $tokens `,` $table `,` $enorm `,` $hidden `rows` $rows `,` $norm `,` $hnorm
    `eps` $eps attr-dict `:` functional-type(operands, results)
  }];
  let hasVerifier = 1;
}

def Dsv3_AddOp : Dsv3_Op<"add", [Pure,
    AllTypesMatch<["lhs", "result"]>]> {
  let summary = "Elementwise sum in f32, rounded once (residual stream).";
  let description = [{
    All of one type, or `rhs` of f32: a sum over ranks that was not rounded.
    Normally fused into norm_quant, linear or moe_combine; alone it is a kernel
    of its own.
  }];
  let arguments = (ins Dsv3_FloatTensor:$lhs, Dsv3_FloatTensor:$rhs);
  let results = (outs Dsv3_FloatTensor:$result);
  let assemblyFormat = "$lhs `,` $rhs attr-dict `:` "
                       "custom<Addend>(type($result), type($rhs))";
  let hasVerifier = 1;
}

def Dsv3_RmsNormOp : Dsv3_Op<"rms_norm", [Pure]> {
  let summary = "RMSNorm over the last dimension (2.2).";
  let description = [{
    `y = w * x / sqrt(mean(x^2) + eps)` in f32, one rounding. x, y [rows, n] of
    A; w f32[n]. Must be fused (`hadal-fuse-norm`) before lowering.
  }];
  let arguments = (ins Dsv3_FloatTensor:$input, Dsv3_F32Tensor:$weight,
                       F64Attr:$eps);
  let results = (outs Dsv3_FloatTensor:$result);
  let assemblyFormat = "$input `,` $weight `eps` $eps attr-dict `:` "
                       "functional-type(operands, results)";
  let hasVerifier = 1;
}

def Dsv3_LinearOp : Dsv3_Op<"linear", [Pure, AttrSizedOperandSegments]> {
  let summary = "y = x * W^T, with the epilogues of the fused kernels.";
  let description = [{
    x [M, K], weight [Nw, K] in the checkpoint's layout (whole or segments),
    y [M, Nw]. f32 accumulation; by element types:

    | x | weight | kernel |
    | --- | --- | --- |
    | f8E4M3FN, 1x128 | f8E4M3FN, 128x128 | fp8_block_gemm W8A8 (3.5): partial sums of 128 of K reach f32 before they are scaled |
    | bf16, f32 | f8E4M3FN, 128x128 | fp8_block_gemm W8A16: exact codes, scaled per 128 of K |
    | bf16, f32 | bf16, f32 | gemm |

    y is A, or f32 for the router, the head and partial sums over ranks
    (`--reduce f32`).

    `experts(%begin)`: weight is a stack [E, Nw, K]; rows begin[e] .. begin[e+1]
    of y (dimension `routed`) use weight e and the same rows of x, or with
    `gather(%source)` the rows source[i] of x. Both are moe_permute's.

    Epilogues, at most one, applied to the f32 sum, result rounded once:
    `rope(%table, %batch)` with `heads` h and `rope` R: columns are h heads of
    Nw / h; the last R of each are rotated as interleaved pairs by the row's
    position (2.7). `residual(%r)`: y = x * W^T + r.
  }];
  let arguments = (ins Dsv3_Tensor:$input, Dsv3_Tensor:$weight,
    Optional<Dsv3_IndexTensor>:$begin, Optional<Dsv3_IndexTensor>:$source,
    Optional<Dsv3_F32Tensor>:$rope_table,
    Optional<Dsv3_BatchType>:$batch, Optional<Dsv3_FloatTensor>:$residual,
    OptionalAttr<I64Attr>:$heads, OptionalAttr<I64Attr>:$rope);
  let results = (outs Dsv3_FloatTensor:$result);
  let assemblyFormat = [{
    $input `,` $weight (`experts` `(` $begin^ `)`)? (`gather` `(` $source^ `)`)?
    (`rope` `(` $rope_table^ `,` $batch `)` `heads` $heads `rope` $rope)?
    (`residual` `(` $residual^ `)`)?
    attr-dict `:` functional-type(operands, results)
  }];
  let builders = [OpBuilder<(ins "::mlir::Type":$type, "::mlir::Value":$input,
                                 "::mlir::Value":$weight,
                                 CArg<"::mlir::Value", "{}">:$begin,
                                 CArg<"::mlir::Value", "{}">:$source)>];
  let hasVerifier = 1;
}

def Dsv3_RopeOp : Dsv3_Op<"rope", [Pure]> {
  let summary = "Rotates the last `rope` columns of each head (2.7).";
  let description = [{
    x [T, heads * w]: of each head's w columns the last `rope` are rotated as
    interleaved pairs (2i, 2i+1) by the angle of the row's position: cos and sin
    from table f32[positions, rope/2, 2]. Must be fused before lowering (into
    linear or latent_norm_rope_cache).
  }];
  let arguments = (ins Dsv3_FloatTensor:$input, Dsv3_F32Tensor:$table,
                       Dsv3_BatchType:$batch, I64Attr:$heads, I64Attr:$rope);
  let results = (outs Dsv3_FloatTensor:$result);
  let assemblyFormat = "$input `,` $table `,` $batch `heads` $heads `rope` $rope "
                       "attr-dict `:` functional-type(operands, results)";
  let hasVerifier = 1;
}

def Dsv3_SliceOp : Dsv3_Op<"slice", [Pure]> {
  let summary = "Columns [offset, offset + n) of a matrix.";
  let description = [{
    n is the result's width. Must be fused before lowering.
  }];
  let arguments = (ins Dsv3_FloatTensor:$input, I64Attr:$offset);
  let results = (outs Dsv3_FloatTensor:$result);
  let assemblyFormat = "$input `at` $offset attr-dict `:` "
                       "functional-type(operands, results)";
  let hasVerifier = 1;
  let hasFolder = 1;
}

def Dsv3_AppendLatentOp : Dsv3_Op<"append_latent"> {
  let summary = "Writes the step's rows to the latent cache at their slots.";
  let description = [{
    latent [T, C] after its norm, k_pe [T, R] after RoPE. Slot -1 discards. Must
    be fused into latent_norm_rope_cache before lowering.
  }];
  let arguments = (ins Dsv3_FloatTensor:$latent, Dsv3_FloatTensor:$k_pe,
                       Dsv3_BatchType:$batch, Dsv3_Cache<[MemWrite]>:$cache);
  let assemblyFormat = "$latent `,` $k_pe `,` $batch `to` $cache attr-dict `:` "
                       "functional-type(operands, results)";
  let hasVerifier = 1;
}

def Dsv3_MlaOp : Dsv3_Op<"mla"> {
  let summary = "Multi-head latent attention over the paged cache, form open (2.4-2.9).";
  let description = [{
    q [T, H * (N + R)] with RoPE applied, wkv_b [H * (N + V), C] (rows of a
    head: N of W_UK, then V of W_UV), y [T, H * V]. Causal: the row at absolute
    position p of its sequence sees keys 0 .. p. `scale` multiplies the scores
    before the softmax (2.8). AbsorbWkvB turns it into attention_forms.
  }];
  let arguments = (ins Dsv3_FloatTensor:$query, Dsv3_Tensor:$wkv_b,
    Dsv3_Cache<[MemRead]>:$cache, Dsv3_BatchType:$batch, I64Attr:$heads,
    I64Attr:$nope, I64Attr:$value, F64Attr:$scale);
  let results = (outs Dsv3_FloatTensor:$result);
  let assemblyFormat = [{
    $query `,` $wkv_b `over` $cache `,` $batch `heads` $heads `nope` $nope
    `value` $value `scale` $scale attr-dict `:`
    functional-type(operands, results)
  }];
  let hasVerifier = 1;
}

def Dsv3_AttentionFormsOp : Dsv3_Op<"attention_forms", [
    RecursiveMemoryEffects, NoRegionArguments, SingleBlock]> {
  let summary = "One attention in both of its forms; exactly one will stay.";
  let description = [{
    Both regions compute the same value in exact arithmetic. Per cached key, in
    flops over all heads: one query row costs `absorbed_flops` or
    `expanded_flops`; the expanded form adds `expansion_flops` once, whatever
    the number of query rows (2.6). SelectAttentionForm inlines one region.
  }];
  let arguments = (ins I64Attr:$absorbed_flops, I64Attr:$expanded_flops,
                       I64Attr:$expansion_flops);
  let results = (outs Dsv3_FloatTensor:$result);
  let regions = (region SizedRegion<1>:$absorbed, SizedRegion<1>:$expanded);
  let assemblyFormat = [{
    `->` type($result) `absorbed` `(` $absorbed_flops `)` $absorbed
    `expanded` `(` $expanded_flops `,` $expansion_flops `)` $expanded attr-dict
  }];
  let hasVerifier = 1;
}

def Dsv3_YieldOp : Dsv3_Op<"yield", [Pure, Terminator,
    ParentOneOf<["AttentionFormsOp"]>]> {
  let summary = "Ends a region of attention_forms.";
  let description = [{
    One operand per result of the op, of its types and in its order.
  }];
  let arguments = (ins Dsv3_FloatTensor:$value);
  let assemblyFormat = "$value attr-dict `:` type($value)";
}

def Dsv3_SiluMulOp : Dsv3_Op<"silu_mul", [Pure, SameOperandsAndResultType]> {
  let summary = "silu(gate) * up in f32, one rounding (2.10).";
  let description = [{
    Normally fused into gated_linear; alone it is a kernel of its own.
  }];
  let arguments = (ins Dsv3_FloatTensor:$gate, Dsv3_FloatTensor:$up);
  let results = (outs Dsv3_FloatTensor:$result);
  let assemblyFormat = "$gate `,` $up attr-dict `:` type($result)";
}

def Dsv3_GateTopkOp : Dsv3_Op<"gate_topk", [Pure]> {
  let summary = "Chooses and weights the experts of each token (2.11).";
  let description = [{
    logits f32[T, E], bias f32[E] (chooses, never weights); all arithmetic in
    f32. s = score(logits), a = s + bias. With `groups` G > 1 the experts of a
    group are contiguous, the group's score is its largest `a` (max) or the sum
    of its two largest (top2_sum), and only the experts of the `top_groups` best
    groups compete; the others are excluded as if -inf. ids: the `top_k` largest
    `a` in descending order, ties to the smaller id (groups too). weights =
    s[ids], divided by their sum + 1e-20 if `renormalize`, times `route_scale`.
    ids i32[T, k], weights f32[T, k]. One kernel.
  }];
  let arguments = (ins Dsv3_F32Tensor:$logits, Optional<Dsv3_F32Tensor>:$bias,
    I64Attr:$top_k, I64Attr:$groups, I64Attr:$top_groups,
    Dsv3_ScoreFunction:$score, Dsv3_GroupScore:$group_score,
    UnitAttr:$renormalize, F64Attr:$route_scale);
  let results = (outs Dsv3_IndexTensor:$ids, Dsv3_F32Tensor:$weights);
  let assemblyFormat = [{
    $logits (`bias` $bias^)? `top` $top_k `groups` $top_groups `of` $groups
    `by` $group_score `score` $score (`renormalize` $renormalize^)?
    `scale` $route_scale attr-dict `:` type($logits) (`,` type($bias)^)?
    `->` type($ids) `,` type($weights)
  }];
  let hasVerifier = 1;
}

def Dsv3_MoePermuteOp : Dsv3_Op<"moe_permute"> {
  let summary = "Sorts the (token, choice) pairs by expert (2.12).";
  let description = [{
    Pairs are ordered by expert, then token, then choice; no capacity, no token
    dropped. source i32[T*k]: the token of a routed row; place i32[T, k]: the
    routed row of a pair; begin i32[E+1]: the first row of each expert and the
    end, which is the `expert_begin` part of the batch's sizes. Adds the number
    of tokens of each expert to `counts`. Tokens beyond the true number are not
    routed. No row is copied: the grouped linear gathers. One kernel.
  }];
  let arguments = (ins Dsv3_IndexTensor:$ids, Dsv3_BatchType:$batch,
    Arg<Dsv3_CountsType, "expert load", [MemRead, MemWrite]>:$counts);
  let results = (outs Dsv3_IndexTensor:$source, Dsv3_IndexTensor:$place,
                      Dsv3_IndexTensor:$begin);
  let assemblyFormat = "$ids `,` $batch `counting` $counts attr-dict "
                       "`:` functional-type(operands, results)";
  let hasVerifier = 1;
}

def Dsv3_MoeCombineOp : Dsv3_Op<"moe_combine", [Pure, AttrSizedOperandSegments]> {
  let summary = "Weighted sum of the expert outputs, shared expert and residual (2.12).";
  let description = [{
    `y[t] = sum_j weights[t, j] * rows[place[t, j]] (+ shared[t]) (+ residual[t])`
    in f32, j ascending, one rounding. rows [T*k, D] of A, y [T, D] of A.
  }];
  let arguments = (ins Dsv3_FloatTensor:$rows, Dsv3_IndexTensor:$place,
    Dsv3_F32Tensor:$weights, Optional<Dsv3_FloatTensor>:$shared,
    Optional<Dsv3_FloatTensor>:$residual);
  let results = (outs Dsv3_FloatTensor:$result);
  let assemblyFormat = [{
    $rows `at` $place `weighted` $weights (`shared` $shared^)?
    (`residual` $residual^)? attr-dict `:` functional-type(operands, results)
  }];
  let builders = [OpBuilder<(ins "::mlir::Type":$type, "::mlir::Value":$rows,
    "::mlir::Value":$place, "::mlir::Value":$weights)>];
  let hasVerifier = 1;
}

def Dsv3_GatherRowsOp : Dsv3_Op<"gather_rows", [Pure]> {
  let summary = "Rows of a matrix by index (the rows whose logits are wanted).";
  let description = [{
    x [T, n], indices i32[L], y[i] = x[indices[i]]. Must be fused into
    norm_quant before lowering.
  }];
  let arguments = (ins Dsv3_FloatTensor:$input, Dsv3_IndexTensor:$indices);
  let results = (outs Dsv3_FloatTensor:$result);
  let assemblyFormat =
    "$input `,` $indices attr-dict `:` functional-type(operands, results)";
  let hasVerifier = 1;
}

def Dsv3_QuantizeTilesOp : Dsv3_Op<"quantize_tiles", [Pure]> {
  let summary = "Dynamic FP8 quantisation per row and 128 columns (3.4).";
  let description = [{
    For each group of 128 columns (the last may be shorter): amax = max(max|x|,
    floor), s = amax / 448 (ue8m0: rounded up to a power of two, and the values
    are divided by the rounded scale), code = e4m3fn(x / s), nearest even,
    saturating. The scale format is the result type's. Alone it is a kernel of
    its own; norm_quant, latent_norm_rope_cache, gated_linear and absorb_v do it
    in their epilogue. Changes numerics: inserted only by
    MaterializeTileQuantization.
  }];
  let arguments = (ins Dsv3_FloatTensor:$input, F64Attr:$floor);
  let results = (outs Dsv3_FP8Tensor:$result);
  let assemblyFormat = "$input `floor` $floor attr-dict `:` "
                       "functional-type(operands, results)";
  let hasVerifier = 1;
}
