// Passes over the dsv3 level, in pipeline order. The implementation of FooBar is
// FooBar.cpp, its flag --hadal-foo-bar.
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
    cloned by rows of logits. Of a model that drafts K tokens (`max_drafts` of
    `dsv3.model`) there is also the decode bucket {b(K + 1), b, K + 1}, which
    verifies them, and clones of `@draft` for it and for each prefill bucket, of
    `@draft_next` {b, b, 1} for K > 1, and of `@draft_head`. Types keep their dynamic extents: a bucket is a
    capacity, true sizes are read at run time. Separate from the attention form,
    which is chosen per bucket afterwards.

    Where ranks share tokens (tp of `dsv3.mesh`), the tokens of a bucket are rounded
    up to a multiple of tp, which a remark says. Where ranks share experts, the capacity of the exchange belongs
    to the bucket, which then has two rungs if that saves anything: `expected`
    holds what a router that prefers no expert exceeds in one of 1000 steps, and
    `worst`, `<function>_<bucket>_worst`, whatever it does. With `capacity=N` the
    first holds N rows, with `worst` there is only the second, under the plain
    name.
  }];
  let options = [
    Option<"maxBatchSize", "max-batch-size", "int64_t", "16",
           "sequences in flight">,
    ListOption<"decode", "decode", "int64_t", "batch sizes of decode buckets">,
    ListOption<"prefill", "prefill", "int64_t", "tokens of prefill buckets">,
    ListOption<"head", "head", "int64_t", "logit rows of head buckets">,
    Option<"capacity", "capacity", "std::string", "\"auto\"",
           "rows to another rank of the first rung: auto, worst or a number">];
  let dependentDialects = ["::hadal::dsv3::Dsv3Dialect"];
}

def VerifyDsv3 : Pass<"hadal-verify-dsv3", "::mlir::ModuleOp"> {
  let summary = "Checks that the module is what the next level accepts";
  let description = [{
    With `stage=model`: what the frontend writes (entries and signatures).
    With `stage=fused`: only operations with a kernel are left, each function
    has its bucket and, if it attends, its attention form. With `stage=sharded`:
    what a rank does is its share: its experts are the slots of the mesh, a bucket
    that exchanges rows has a capacity, and each collective that begins is awaited
    once, in its block and before anything leaves the function; a rank's columns meet
    only what works on a rank's heads, a partial sum only a reduction; what needs
    all rows reads no slice; parts of weights are whole scale blocks. Reports H2001 with
    the operation and the pass that should have removed it.
  }];
  let options = [
    Option<"stage", "stage", "std::string", "\"fused\"", "model, sharded or fused">];
}

#endif // HADAL_DSV3_PASSES_TD
