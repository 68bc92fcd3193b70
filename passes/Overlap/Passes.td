// Two micro-batches, one computing while the other communicates. The
// implementation of FooBar is FooBar.cpp, its flag --hadal-foo-bar.
#ifndef HADAL_OVERLAP_PASSES_TD
#define HADAL_OVERLAP_PASSES_TD

include "mlir/Pass/PassBase.td"

def SplitMicroBatches : Pass<"hadal-split-micro-batches", "::mlir::ModuleOp"> {
  let summary = "Gives buckets a second entry that runs two halves of a batch";
  let description = [{
    In: functions of buckets whose exchanges begin and are awaited on their own.
    Out: for each decode bucket of at least 2 rows and each prefill bucket of at
    least `least-prefill` tokens and 2 rows also the functions of half of it, with
    `dsv3.micro_batches` 2 and the capacities that half of the tokens need. The
    plain entry stays: what is left over when a batch cannot be halved takes it.
    Functions are those of one micro-batch up to `hadal-weave-micro-batches`, so
    that both levels in between need not know of the other one.

    Before: `@forward_decode_64`, bucket `decode tokens 64`. After: that, and
    `@forward_decode_64_x2`, bucket `decode tokens 32`, `dsv3.micro_batches = 2`.
    A bucket that cannot be halved is left alone, with a remark that says why.
  }];
  let options = [
    Option<"capacity", "capacity", "std::string", "\"auto\"",
           "rows that a rank sends to another at most: auto, worst or a number">,
    Option<"leastPrefill", "least-prefill", "int64_t", "256",
           "tokens of a prefill bucket that is worth halving">];
  let dependentDialects = ["::hadal::dsv3::Dsv3Dialect"];
}

def DecideOverlap : Pass<"hadal-decide-overlap", "::mlir::ModuleOp"> {
  let summary = "Keeps two micro-batches where they are predicted to pay";
  let description = [{
    In: entries of one and of two micro-batches for a bucket, each with the body of
    one. Out: the second stays, with the `interleaving` of stages that takes the
    least time, if a layer then takes at least 5 % less than with one micro-batch
    (cost/Overlap.h: all orders with all lags are simulated); else it is gone, with
    functions and kernels that nothing else uses. `overlap` of all entries of the
    bucket and a remark have the figures. With `overlap=on` it stays whatever they
    are, and without a cluster in an order that needs none.

    Stages are priced as hadal-predict does: launches by the roofline of the
    cluster, collectives by its links. It is a pass of its own so that the
    interleaving can be read and edited before it is woven.
  }];
  let options = [
    Option<"overlap", "overlap", "std::string", "\"auto\"",
           "auto: where it pays; on: always">,
    Option<"cluster", "cluster", "std::string", "\"\"",
           "the text of a cluster's file (docs/ranks.md); empty: nothing is "
           "predicted">];
  let dependentDialects = ["::hadal::exec::ExecDialect"];
}

def WeaveMicroBatches : Pass<"hadal-weave-micro-batches", "::mlir::ModuleOp"> {
  let summary = "Makes entries of two micro-batches run them in turns";
  let description = [{
    In: an entry of `micro_batches 2` with the `interleaving` of its stages, whose
    body and functions are those of one micro-batch. Out: no interleaving, but
    commands for both: what has no collectives, or is no chain of stages (two
    exchanges in a layer), runs for one and then for the other;
    a run of equal layers with collectives becomes a prologue, the repeat of a
    rotated body, and an epilogue. The body takes each micro-batch from the stage
    at which `interleaving` begins it to the same stage of the next layer, its stages
    in the given order, and nothing is in flight at its ends, so that one
    function serves all layers but one. What a micro-batch keeps from one body to
    the next lies in `carried` buffers.

    A stage is what a layer computes between two waits, cut also before the
    attention: `project`, `attend` up to the start of the dispatch, `shared` beside it,
    `after_dispatch` up to the start of the return, `after_return`. A collective
    starts when its stage ends and is awaited before the stage that needs it, at
    the latest at the body's end; that of the last stage of a body starts with
    the next one. The second micro-batch's inputs lie behind the first's, each at a
    multiple of 64 bytes, its hidden rows behind the first's.

    Before: `repeat 3 @layer`, `interleaving ["shared.0", "project.1",
    ...]`. After: `call @layer_prologue`, `repeat 2 @layer_body`, `call
    @layer_epilogue`.
  }];
  let dependentDialects = ["::hadal::exec::ExecDialect"];
}

#endif // HADAL_OVERLAP_PASSES_TD
