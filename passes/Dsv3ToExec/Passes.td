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
    place by each layer and read by the head. Offsets are left to `hadal-plan-
    buffers`.
  }];
  let options = [
    Option<"target", "target", "std::string", "\"cpu\"",
           "cpu; sm_90a: rows of matrices have a pitch, schedules of its own">,
    Option<"multiprocessors", "multiprocessors", "int64_t", "0",
           "sm_90a: of the chip, which schedules are made for; 0: the keys of "
           "attention are not shared between blocks">];
  let dependentDialects = ["::hadal::exec::ExecDialect",
                           "::hadal::tile::TileDialect"];
  let statistics = [
    Statistic<"numKernels", "kernels", "distinct kernels built">,
    Statistic<"numLaunches", "launches", "launches in all functions">];
}

#endif // HADAL_LOWER_MODEL_PASSES
