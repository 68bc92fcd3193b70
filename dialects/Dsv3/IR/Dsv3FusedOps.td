// Operations that exist because they are one kernel.

def Dsv3_NormQuantOp : Dsv3_Op<"norm_quant", [Pure, AttrSizedOperandSegments,
    AttrSizedResultSegments]> {
  let summary = "Residual add, RMSNorm and quantisation of a row.";
  let description = [{
    x [T, n] of A. `plus %r` (of A or f32): sum = x + r in f32; the norm uses that sum before
    it is rounded to A and stored as `sum`. `gather %i`: rows x[i] of dimension
    `logits`, without `plus`. Results, at least one of norm and quantized:
    `sum` [T, n] of A (if and only if `plus`), `norm` [.., n] of A,
    `quantized` [.., n] FP8 1x128 with `floor` (3.4), from the f32 norm rounded to A.
  }];
  let arguments = (ins Dsv3_FloatTensor:$input, Optional<Dsv3_FloatTensor>:$addend,
    Optional<Dsv3_IndexTensor>:$indices, Dsv3_F32Tensor:$weight,
    F64Attr:$eps, OptionalAttr<F64Attr>:$floor);
  let results = (outs Optional<Dsv3_FloatTensor>:$sum,
    Optional<Dsv3_FloatTensor>:$norm, Optional<Dsv3_FP8Tensor>:$quantized);
  let assemblyFormat = [{
    $input (`plus` $addend^)? (`gather` $indices^)? `,` $weight `eps` $eps
    (`floor` $floor^)? attr-dict `:` type(operands) `->`
    (`sum` type($sum)^)? (`norm` type($norm)^)? (`quantized` type($quantized)^)?
  }];
  let hasVerifier = 1;
}

def Dsv3_LatentNormRopeCacheOp : Dsv3_Op<"latent_norm_rope_cache", [
    AttrSizedResultSegments]> {
  let summary = "Query norm and quantisation, latent norm, RoPE of the key, cache write.";
  let description = [{
    x [T, Q + C + R] of A: the output of q_a | kv_a (Q = 0 without `query`).
    latent = rms_norm(x[:, Q : Q+C], kv_weight), k_pe = rope(x[:, Q+C :]); both
    rounded to A and written to the cache row of the token's slot (-1 discards).
    `query %w`: cq = rms_norm(x[:, 0 : Q], w), stored as `norm` [T, Q] of A
    and/or `quantized` [T, Q] FP8 1x128 (from the norm rounded to A). `eps` serves both norms (the
    inner norms have their own eps, gotcha 38). table f32[positions, R/2, 2].
  }];
  let arguments = (ins Dsv3_FloatTensor:$input, Optional<Dsv3_F32Tensor>:$q_weight,
    Dsv3_F32Tensor:$kv_weight, Dsv3_F32Tensor:$table, Dsv3_BatchType:$batch,
    Dsv3_Cache<[MemWrite]>:$cache, F64Attr:$eps, OptionalAttr<F64Attr>:$floor);
  let results = (outs Optional<Dsv3_FloatTensor>:$norm,
                      Optional<Dsv3_FP8Tensor>:$quantized);
  let assemblyFormat = [{
    $input (`query` $q_weight^)? `latent` $kv_weight `rope` $table `,` $batch
    `to` $cache `eps` $eps (`floor` $floor^)? attr-dict `:` type(operands)
    (`norm` type($norm)^)? (`quantized` type($quantized)^)?
  }];
  let hasVerifier = 1;
}

def Dsv3_GatedLinearOp : Dsv3_Op<"gated_linear", [Pure, AttrSizedOperandSegments]> {
  let summary = "silu(x * Wg^T) * (x * Wu^T), quantised where the next layer needs it.";
  let description = [{
    x [M, K], gate and up [I, K] (or stacks [E, I, K] with `experts` and
    `gather`), element types as in linear. Both f32 sums stay in registers: h = silu(g) * u in f32,
    y = h [M, I] rounded once to A, or FP8 1x128 with `floor` (3.4).
  }];
  let arguments = (ins Dsv3_Tensor:$input, Dsv3_Tensor:$gate, Dsv3_Tensor:$up,
    Optional<Dsv3_IndexTensor>:$begin, Optional<Dsv3_IndexTensor>:$source,
    OptionalAttr<F64Attr>:$floor);
  let results = (outs Dsv3_Tensor:$result);
  let assemblyFormat = [{
    $input `,` $gate `,` $up (`experts` `(` $begin^ `)`)?
    (`gather` `(` $source^ `)`)? (`floor` $floor^)? attr-dict `:` functional-type(operands, results)
  }];
  let hasVerifier = 1;
}

def Dsv3_AbsorbQOp : Dsv3_Op<"absorb_q", [Pure]> {
  let summary = "Per head: q_nope times W_UK, beside the untouched q_pe (2.6).";
  let description = [{
    q [T, H*(N+R)], wkv_b [H*(N+V), C], y [T, H*(C+R)] of A:
    `y[t, h, c] = sum_d q[t, h, d] * W[h*(N+V) + d, c]` for c < C, f32 sum, then
    the head's R rotary values. W is code * scale exactly (on GPUs W_UK is
    dequantised to bf16 once); q is not quantised. The scale of a code is looked
    up at its absolute row and column of wkv_b; `whole_blocks` says that N and V
    are multiples of 128, so that W_UK and W_UV of a head are whole scale blocks.
  }];
  let arguments = (ins Dsv3_FloatTensor:$query, Dsv3_Tensor:$wkv_b,
    I64Attr:$heads, I64Attr:$nope, I64Attr:$value, UnitAttr:$whole_blocks);
  let results = (outs Dsv3_FloatTensor:$result);
  let assemblyFormat = [{
    $query `,` $wkv_b `heads` $heads `nope` $nope `value` $value
    (`whole_blocks` $whole_blocks^)? attr-dict `:`
    functional-type(operands, results)
  }];
  let hasVerifier = 1;
}

def Dsv3_MlaDecodeOp : Dsv3_Op<"mla_decode"> {
  let summary = "Absorbed attention over the paged latent cache, any number of rows.";
  let description = [{
    q [T, H*(C+R)] from absorb_q, y [T, H*C] of A. Keys are the cache rows
    (C + R wide), values their first C columns. Row t of sequence r sees keys
    0 .. positions[t]. Online softmax in f32 with exp2; P is rounded to A before
    it meets the values. `scale` as in mla (never 576^-0.5, gotcha 20).
  }];
  let arguments = (ins Dsv3_FloatTensor:$query, Dsv3_Cache<[MemRead]>:$cache,
    Dsv3_BatchType:$batch, I64Attr:$heads, F64Attr:$scale);
  let results = (outs Dsv3_FloatTensor:$result);
  let assemblyFormat = [{
    $query `over` $cache `,` $batch `heads` $heads `scale` $scale attr-dict `:`
    functional-type(operands, results)
  }];
  let hasVerifier = 1;
}

def Dsv3_AbsorbVOp : Dsv3_Op<"absorb_v", [Pure]> {
  let summary = "Per head: latent attention output times W_UV, optionally quantised.";
  let description = [{
    x [T, H*C], wkv_b [H*(N+V), C]: `y[t, h, d] = sum_c x[t, h, c] *
    W[h*(N+V) + N + d, c]`, f32 sum rounded to A. y [T, H*V] of A, or FP8 1x128
    of that with `floor`, which needs V to be a multiple of 128 (one group per
    head in V3).
  }];
  let arguments = (ins Dsv3_FloatTensor:$input, Dsv3_Tensor:$wkv_b,
    I64Attr:$heads, I64Attr:$nope, I64Attr:$value, UnitAttr:$whole_blocks,
    OptionalAttr<F64Attr>:$floor);
  let results = (outs Dsv3_Tensor:$result);
  let assemblyFormat = [{
    $input `,` $wkv_b `heads` $heads `nope` $nope `value` $value
    (`whole_blocks` $whole_blocks^)? (`floor` $floor^)? attr-dict `:`
    functional-type(operands, results)
  }];
  let hasVerifier = 1;
}

def Dsv3_MlaPrefillOp : Dsv3_Op<"mla_prefill"> {
  let summary = "Expanded attention: keys and values come from the latents per key tile.";
  let description = [{
    q [T, H*(N+R)] with RoPE applied, wkv_b [H*(N+V), C], y [T, H*V]. Per tile of
    keys and head: k_nope | v = latent * wkv_b^T (f32 sum, rounded to A),
    k = k_nope | k_pe of the cache row. `quantize_latent fmt` (W8A8): the latent
    is quantised per 128 columns before that product, as the GEMM of the
    reference does (2.6), and the product is fp8_block_gemm's. Otherwise codes
    are exact (W8A16). Softmax and mask as mla_decode. y is A, or FP8 1x128 of
    that, which needs V to be a multiple of 128. `floor` serves both
    quantisations.
  }];
  let arguments = (ins Dsv3_FloatTensor:$query, Dsv3_Tensor:$wkv_b,
    Dsv3_Cache<[MemRead]>:$cache, Dsv3_BatchType:$batch, I64Attr:$heads,
    I64Attr:$nope, I64Attr:$value, F64Attr:$scale,
    OptionalAttr<Dsv3_ScaleFormat>:$quantize_latent,
    OptionalAttr<F64Attr>:$floor);
  let results = (outs Dsv3_Tensor:$result);
  let assemblyFormat = [{
    $query `,` $wkv_b `over` $cache `,` $batch `heads` $heads `nope` $nope
    `value` $value `scale` $scale (`quantize_latent` $quantize_latent^)?
    (`floor` $floor^)? attr-dict `:` functional-type(operands, results)
  }];
  let hasVerifier = 1;
}
