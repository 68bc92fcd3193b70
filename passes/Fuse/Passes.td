// Fusions: each leaves an operation that is one kernel, in pipeline order. The implementation of FooBar is
// FooBar.cpp, its flag --hadal-foo-bar.
#ifndef HADAL_FUSE_PASSES_TD
#define HADAL_FUSE_PASSES_TD

include "mlir/Pass/PassBase.td"

def FuseLatentCache : Pass<"hadal-fuse-latent-cache", "::mlir::func::FuncOp"> {
  let summary = "Forms latent_norm_rope_cache around each append_latent";
  let description = [{
    The slices, norms, RoPE and cache write behind q_a | kv_a (or kv_a alone)
    become one operation, with the query's norm and its quantisation where the
    query comes from the same GEMM. Mandatory: the parts have no kernels.
  }];
  let dependentDialects = ["::hadal::dsv3::Dsv3Dialect"];
}

def FuseNormQuant : Pass<"hadal-fuse-norm-quant", "::mlir::func::FuncOp"> {
  let summary = "Forms norm_quant from residual add, RMSNorm and quantisation";
  let description = [{
    Every rms_norm becomes a norm_quant, which takes over the add or the row
    gather in front of it and the quantisation behind it; the unquantised norm
    stays a result only where something reads it (the router). Mandatory for the
    norm, optional for what it absorbs. Changes rounding: the norm sees the sum
    before it is stored.
  }];
  let dependentDialects = ["::hadal::dsv3::Dsv3Dialect"];
}

def FuseGatedLinear : Pass<"hadal-fuse-gated-linear", "::mlir::func::FuncOp"> {
  let summary = "Forms gated_linear from gate, up, SwiGLU and quantisation";
  let description = [{
    Two linears of one input whose results meet in silu_mul become one
    gated_linear, with the quantisation of its result if that is its only
    reader. Optional: without it, three kernels compute the same.
  }];
  let dependentDialects = ["::hadal::dsv3::Dsv3Dialect"];
}

def FuseMoeCombine : Pass<"hadal-fuse-moe-combine", "::mlir::func::FuncOp"> {
  let summary = "Moves the shared expert and the residual into moe_combine";
  let description = [{
    `add(add(combine, shared), residual)` in any order becomes one f32 sum with
    one rounding. Mandatory for the residual.
  }];
  let dependentDialects = ["::hadal::dsv3::Dsv3Dialect"];
}

def FuseLinearEpilogue
    : Pass<"hadal-fuse-linear-epilogue", "::mlir::func::FuncOp"> {
  let summary = "Moves RoPE and the residual add into linear";
  let description = [{
    `rope(linear)` and `add(linear, r)` become epilogues where nothing else
    reads the linear. RoPE is mandatory, the residual optional. After
    FuseNormQuant, which has the better use for an add.
  }];
  let dependentDialects = ["::hadal::dsv3::Dsv3Dialect"];
}

def FuseAttentionQuant
    : Pass<"hadal-fuse-attention-quant", "::mlir::func::FuncOp"> {
  let summary = "Moves the quantisation of o_proj's input into the attention";
  let description = [{
    absorb_v and mla_prefill store FP8 where quantize_tiles is the only reader
    and the value width is a multiple of 128, so that a head is whole groups.
    Optional.
  }];
  let dependentDialects = ["::hadal::dsv3::Dsv3Dialect"];
}

#endif // HADAL_FUSE_PASSES_TD
