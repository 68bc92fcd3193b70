#ifndef HADAL_LOWER_MODEL_PASSES
#define HADAL_LOWER_MODEL_PASSES

include "mlir/Pass/PassBase.td"

def LowerDsv3ToExec : Pass<"hadal-lower-dsv3-to-exec", "::mlir::ModuleOp"> {
  let summary = "Turns the fused functions of every bucket into kernels and a program.";
  let description = [{
    In: dsv3 functions with a `dsv3.bucket`, in which every op is one kernel
    (after the fusion passes), as its KernelOpInterface says. Out: tile kernels,
    one per distinct spec, and an exec program: a value becomes a buffer of the
    bucket's capacity (FP8: codes and scales), a layer function an `exec.func`,
    a run of calls to one function an `exec.repeat`, parameters and states
    manifest entries. The residual stream is the state `hidden`, updated in
    place by each layer and read by the head. Offsets are left to
    `hadal-plan-buffers`.

    Of several ranks: `dsv3.mesh` becomes `exec.mesh` and a communicator for each
    axis that collectives use. A `start` becomes the wait of the stream of
    collectives for what launches have written, and the collective; its `await` the
    wait of launches for that. What is sent and received is an `exchange` buffer.
    `schedule-as=ep=1` gives the experts' kernels the schedules that one rank with
    all experts and the tokens of the bucket has, as if given by hand, so that
    results are one rank's bit for bit.

    `tuned` has schedules that were measured, by spec. One that is not legal, or not
    complete, gives a warning, and the kernel the schedule of the rules.
  }];
  let options = [
    Option<"target", "target", "std::string", "\"\"",
           "the machine whose schedules kernels get (cpu, sm_90a); empty: the "
           "first">,
    Option<"chip", "chip", "std::string", "\"\"",
           "sm_90a: the chip that schedules are made for (h100, h200); empty: "
           "the first">,
    ListOption<"schedules", "schedules", "std::string",
               "REGEX:word=value,...: words of the schedules of the kernels "
               "whose symbol matches; of two that name a word the later "
               "counts">,
    ListOption<"tuned", "tuned", "std::string",
               "SPEC:word=value,...: the complete schedule of the kernel of one "
               "spec, from a database; --schedules come before it">,
    Option<"scheduleAs", "schedule-as", "std::string", "\"\"",
           "ep=1: experts get the schedules of one rank">];
  let dependentDialects = ["::hadal::exec::ExecDialect",
                           "::hadal::tile::TileDialect"];
  let statistics = [
    Statistic<"numKernels", "kernels", "distinct kernels built">,
    Statistic<"numLaunches", "launches", "launches in all functions">];
}

def ApplySchedules : Pass<"hadal-apply-schedules", "::mlir::ModuleOp"> {
  let summary = "Checks every kernel's schedule and builds again what it changed.";
  let description = [{
    The schedules of a file of IR may have been edited. Of every kernel with a
    spec the schedule must be complete, without words that the kernel has not,
    and legal (H3008 names the kernel, the word, its value and the legal ones).
    Where words shape the body (bm, bn, bk, columns) and the body has other tiles,
    the kernel is built again from spec and schedule, and its launches get as many
    items as its domain then has. With `rebuild` off such a kernel is refused:
    behind the planning of memory it is too late. A word that differs from the
    rule's and was not given on the command line becomes of origin `edit`.
  }];
  let options = [
    Option<"target", "target", "std::string", "\"\"",
           "the machine whose schedules kernels have (cpu, sm_90a); empty: the "
           "first">,
    Option<"chip", "chip", "std::string", "\"\"",
           "sm_90a: the chip that schedules are made for; empty: the first">,
    Option<"rebuild", "rebuild", "bool", "true",
           "build kernels again whose words and body differ">];
  let dependentDialects = ["::hadal::exec::ExecDialect",
                           "::hadal::tile::TileDialect"];
  let statistics = [
    Statistic<"numRebuilt", "rebuilt", "kernels built again">];
}

#endif // HADAL_LOWER_MODEL_PASSES
