#ifndef HADAL_MEMORY_PASSES
#define HADAL_MEMORY_PASSES

include "mlir/Pass/PassBase.td"

def PlanBuffers : Pass<"hadal-plan-buffers", "::mlir::ModuleOp"> {
  let summary = "Gives every buffer an offset in its entry's arena.";
  let description = [{
    In: exec with sizes only. Out: each `exec.buffer` has an offset, each entry
    the size of its arena; a remark per entry states the peak.

    Two buffers may share bytes if every command of the function that names one
    is done before any that names the other starts: by the order of a stream and,
    between launches and collectives, by events. A callee is one block of memory,
    used by each of its calls, so its buffers lie beside what the caller keeps
    across a call, and the iterations of a repeat reuse them. Blocks are placed in
    descending size into the smallest gap that holds them. `carried` buffers of one
    name are one block for as long as the entry runs.

    `exchange` buffers, which collectives read and write, come first: they are the
    first bytes of the arena, in all entries. `hadal-verify-exec` checks the result
    without trusting it.
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
    another slot of the launch names. Launches are on stream 0, collectives on
    stream 1; the parts of a collective fit the exchange buffers behind them, and
    no received byte is that of another part.

    For each entry the program is run symbolically (two iterations of a repeat):
    every byte that is read was written by the same buffer last (a received row
    counts as written); a launch and a collective that touch the same byte are
    ordered by events unless both only read; each event is recorded once, then
    waited for once; at the end of a function the launches' stream has waited for every
    collective of it. A function is reached from one entry, without recursion.
    `carried` buffers of one name have the same bytes.

    Of a model that is `deterministic`: entries of a kind have one form of
    attention, and kernels that contract the order of sums of the kind of their
    entry (`sums`: decode and head rows, prefill panel).
  }];
}

#endif // HADAL_MEMORY_PASSES
