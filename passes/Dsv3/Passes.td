// Passes over the dsv3 level, in pipeline order. The implementation of FooBar
// is <folder>/FooBar.cpp, its flag --hadal-foo-bar.
#ifndef HADAL_DSV3_PASSES_TD
#define HADAL_DSV3_PASSES_TD

include "mlir/Pass/PassBase.td"

def DeduplicateLayers : Pass<"hadal-deduplicate-layers", "::mlir::ModuleOp"> {
  let summary = "Merges layer functions of equal structure";
  let description = [{
    In: one private function per layer, as the frontend writes them. Out: one
    per kind, `@dense_layer` and `@moe_layer`, called with the parameters and
    states of each layer; a second structure of one kind gets a number. Two
    functions are equal if their types and bodies are, whatever their locations.
    Everything later, including code generation, runs once per kind instead of
    61 times. Before: `call @layer_3(...)`, `call @layer_4(...)`; after: `call
    @moe_layer(...)` twice.
  }];
  let dependentDialects = ["::hadal::dsv3::Dsv3Dialect"];
}

def InstantiateBuckets : Pass<"hadal-instantiate-buckets", "::mlir::ModuleOp"> {
  let summary = "Clones @forward, its layers and @head for each capacity";
  let description = [{
    In: `@forward`, the layer functions it calls and `@head`. Out: for each
    bucket a clone named `<function>_<bucket>` with a `dsv3.bucket` attribute;
    the originals are gone. Decode bucket b is {b tokens, b rows, 1 query per
    row} for the batch sizes up to the first that holds `max-batch-size`;
    prefill bucket c is {c tokens, max-batch-size rows, c queries}; `@head` is
    cloned by rows of logits. Types keep their dynamic extents: a bucket is a
    capacity, true sizes are read at run time. Separate from the attention form,
    which is chosen per bucket afterwards.
  }];
  let options = [
    Option<"maxBatchSize", "max-batch-size", "int64_t", "16",
           "sequences in flight">,
    ListOption<"decode", "decode", "int64_t", "batch sizes of decode buckets">,
    ListOption<"prefill", "prefill", "int64_t", "tokens of prefill buckets">,
    ListOption<"head", "head", "int64_t", "logit rows of head buckets">];
  let dependentDialects = ["::hadal::dsv3::Dsv3Dialect"];
}

def AbsorbWkvB : Pass<"hadal-absorb-wkv-b", "::mlir::ModuleOp"> {
  let summary = "Materialises both forms of each latent attention";
  let description = [{
    In: `dsv3.mla`. Out: `dsv3.attention_forms` with the absorbed form (absorb_q,
    mla_decode, absorb_v) and the expanded one (mla_prefill), and what each
    costs. Proves from the shapes whether the W_UK and W_UV rows of a head are
    whole scale blocks of an FP8 wkv_b, in which case the split loses nothing and
    `whole_blocks` is set; otherwise a remark says why the scale must be looked
    up per element, which is as exact. The choice is SelectAttentionForm's.
  }];
  let dependentDialects = ["::hadal::dsv3::Dsv3Dialect"];
}

def SelectAttentionForm
    : Pass<"hadal-select-attention-form", "::mlir::ModuleOp"> {
  let summary = "Keeps one attention form per bucket, by cost";
  let description = [{
    Inlines one region of each `dsv3.attention_forms`. For S query rows of a
    sequence, per cached key: the absorbed form costs S * absorbed, the expanded
    one S * expanded + expansion (keys and values are expanded once). Below the
    crossover S the absorbed form is kept; S is the bucket's `queries`. Emits a
    remark with both costs, appends it to the module's `dsv3.remarks`, and
    records the form as `dsv3.attention` on the bucket's functions.

    A kernel that works on tiles of Q rows expands the keys again for each, and
    multiplies whole tiles: ceil(S / Q) * (Q * expanded + expansion), where Q is
    `query-tile`, or S in steps of 128 if that is less. Per query row and head of
    V3 (latent 512, heads of 128 + 64 and 128) the absorbed form then costs
    2 (576 + 512) = 2176 flops for a key, the expanded one 2 (192 + 128) = 640 and
    its share 2 * 512 * 256 / Q of the expansion: 2048 at Q = 128, where absorbing
    wins, 1024 at Q = 256, where expanding does from 256 rows on.
  }];
  let options = [
    Option<"attention", "attention", "std::string", "\"auto\"",
           "auto, absorbed or expanded">,
    Option<"queryTile", "query-tile", "int64_t", "0",
           "most query rows of a tile of the expanded form, a multiple of 128; "
           "0: all of a sequence">,
    Option<"headColumns", "head-columns", "int64_t", "0",
           "auto: absorbed where heads have more non-rotary or value columns; "
           "0: no limit">];
  let dependentDialects = ["::hadal::dsv3::Dsv3Dialect"];
}

def DequantizeWkvB : Pass<"hadal-dequantize-wkv-b", "::mlir::ModuleOp"> {
  let summary = "Holds W_kv_b in bf16, dequantised when it is loaded";
  let description = [{
    For targets whose matrix units contract FP8 along K only (sm_90a), which
    absorb_v is not: the FP8 weight of `absorb_q`, `absorb_v` and `mla_prefill`
    becomes bf16, code * scale rounded once, in a copy made at load. The parameter
    keeps its `scale`. Changes numerics by that rounding. Must come before
    `hadal-materialize-tile-quantization`, which quantises the latent of an FP8
    W_kv_b only. An FP8 W_kv_b that something else reads is an error.
  }];
  let statistics = [Statistic<"numWeights", "weights", "held in bf16">];
  let dependentDialects = ["::hadal::dsv3::Dsv3Dialect"];
}

def MaterializeTileQuantization
    : Pass<"hadal-materialize-tile-quantization", "::mlir::ModuleOp"> {
  let summary = "Gives the input of each FP8 linear its own quantisation";
  let description = [{
    Changes numerics: W8A8. Each `dsv3.linear` with an FP8 weight reads a
    `dsv3.quantize_tiles` of its own (floor 1e-4; scale format of the model), and
    mla_prefill quantises the latent before an FP8 W_kv_b. absorb_q and absorb_v
    stay unquantised (model-spec 2.13). `fp8=w8a16` leaves everything as it is:
    exact codes against unquantised activations. Correct without any later pass;
    ElideRequantize and the fusions only make it fast.
  }];
  let options = [
    Option<"fp8", "fp8", "std::string", "\"w8a8\"", "w8a8 or w8a16">];
  let dependentDialects = ["::hadal::dsv3::Dsv3Dialect"];
}

def ElideRequantize : Pass<"hadal-elide-requantize", "::mlir::func::FuncOp"> {
  let summary = "Lets one quantisation of a value serve all of its readers";
  let description = [{
    `quantize_tiles` operations of one value with equal floor and format become
    one, at the first. Bit-equal: groups are per row, so that who reads them
    does not matter.
  }];
  let dependentDialects = ["::hadal::dsv3::Dsv3Dialect"];
}

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

def VerifyDsv3 : Pass<"hadal-verify-dsv3", "::mlir::ModuleOp"> {
  let summary = "Checks that the module is what the next level accepts";
  let description = [{
    With `stage=model`: what the frontend writes (entries and signatures).
    With `stage=fused`: only operations with a kernel are left, each function
    has its bucket and, if it attends, its attention form. Reports H2001 with the
    operation and the pass that should have removed it.
  }];
  let options = [
    Option<"stage", "stage", "std::string", "\"fused\"", "model or fused">];
}

#endif // HADAL_DSV3_PASSES_TD
