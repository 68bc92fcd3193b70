// The forms of the latent attention, in pipeline order. The implementation of FooBar is
// FooBar.cpp, its flag --hadal-foo-bar.
#ifndef HADAL_ABSORB_PASSES_TD
#define HADAL_ABSORB_PASSES_TD

include "mlir/Pass/PassBase.td"

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

    Of a model that is `deterministic`, the bucket with the most queries of a
    family (decode, prefill) decides for all of it: a prompt may be cut into
    buckets anywhere, and the forms differ in bits.

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

#endif // HADAL_ABSORB_PASSES_TD
