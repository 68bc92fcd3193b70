#ifndef HADAL_MEMORY_PASSES
#define HADAL_MEMORY_PASSES

include "mlir/Pass/PassBase.td"

def PlanBuffers : Pass<"hadal-plan-buffers", "::mlir::ModuleOp"> {
  let summary = "Gives every buffer an offset in its entry's arena.";
  let description = [{
    In: exec with sizes only. Out: each `exec.buffer` has an offset, each entry
    the size of its arena; a remark per entry states the peak.

    A buffer is live from the first to the last command of its function that
    names it (over the whole function if that uses several streams). A callee is
    one block of memory, live from its first to its last call, so its buffers
    lie beside what the caller keeps across a call, and the iterations of a
    repeat reuse them. Blocks are placed in descending size into the smallest gap
    that holds them. `hadal-verify-exec` checks the result without trusting it.
  }];
  let statistics = [
    Statistic<"numBuffers", "buffers", "buffers placed">,
    Statistic<"peakBytes", "peak-bytes", "largest arena">];
}

def VerifyExec : Pass<"hadal-verify-exec", "::mlir::ModuleOp"> {
  let summary = "States what a program is, as code; errors name the command.";
  let description = [{
    For each launch: as many slots as the kernel takes, a number where it takes
    an extent and a reference elsewhere, views that fit the buffers behind them,
    writes to buffers, states, outputs and sizes only, no written byte that
    another slot of the launch names. For each entry the program is run
    symbolically (two iterations of a repeat): every byte that is read was
    written by the same buffer last, and commands of different streams do not
    touch each other's bytes unless both only read. A function is reached from
    one entry, without recursion.
  }];
}

#endif // HADAL_MEMORY_PASSES
