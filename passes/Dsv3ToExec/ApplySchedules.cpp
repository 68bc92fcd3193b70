// Schedules that may have been edited: checked, and obeyed by the bodies.
#include "passes/Dsv3ToExec/Passes.h"

#include "dialects/Diagnostics.h"
#include "dialects/Exec/IR/Exec.h"
#include "kernels/ScheduledKernel.h"
#include "kernels/SpecAttr.h"
#include "mlir/IR/SymbolTable.h"
#include "passes/Dsv3ToExec/ReadTarget.h"
#include "schedule/Attribute.h"
#include "cost/Chip.h"
#include "schedule/Space.h"

using namespace mlir;

namespace hadal {

#define GEN_PASS_DEF_APPLYSCHEDULES
#include "passes/Dsv3ToExec/Passes.h.inc"

namespace {

using schedule::Schedule;

/// What words of a schedule shape in a body: its domain, and the steps of its
/// folds in order.
struct Shape {
  explicit Shape(tile::KernelOp kernel) : domain(kernel.getDomain()) {
    kernel.walk([&](tile::FoldOp fold) { steps.push_back(fold.getStep()); });
  }
  bool operator==(const Shape &) const = default;

  ArrayAttr domain;
  SmallVector<int64_t> steps;
};

class ApplySchedulesPass : public impl::ApplySchedulesBase<ApplySchedulesPass> {
public:
  using Base::Base;

private:
  void runOnOperation() override {
    if (failed(lower::readTarget(getOperation(), target, chip, scheduledFor,
                                 chipOf)))
      return signalPassFailure();
    for (tile::KernelOp kernel :
         llvm::make_early_inc_range(getOperation().getOps<tile::KernelOp>()))
      // Without a spec there is nothing that a schedule could be checked by;
      // the lowerings refuse what they cannot obey.
      if (kernel.getSpecAttr() && failed(apply(kernel)))
        return signalPassFailure();
  }

  LogicalResult apply(tile::KernelOp kernel) {
    FailureOr<kernels::AnySpec> spec = kernels::readSpec(kernel);
    if (failed(spec))
      return failure();
    std::string error;
    auto schedule = schedule::fromAttribute(kernel.getSchedule(), error);
    if (!schedule || !schedule::verifySchedule(*spec, scheduledFor, chipOf,
                                               *schedule, error))
      return emitCodedError(kernel, 3008)
             << "kernel '" << kernel.getSymName() << "': " << error;
    kernel.setScheduleAttr(schedule::toAttribute(&getContext(), *schedule));

    OpBuilder builder(kernel);
    tile::KernelOp built = kernels::buildKernel(
        builder, kernel.getLoc(), kernel.getSymName(), *spec, *schedule);
    if (!built)
      return failure();
    if (Shape(built) == Shape(kernel)) {
      built.erase();
      return success();
    }
    if (!rebuild) {
      built.erase();
      return emitCodedError(kernel, 3008)
             << "kernel '" << kernel.getSymName()
             << "': its body has other tiles than its schedule says; words "
                "that shape a body can be edited up to phase lower";
    }
    updateLaunches(kernel, built, *spec);
    kernel.erase();
    ++numRebuilt;
    return success();
  }

  /// Gives the launches of |kernel| the items of |built|.
  void updateLaunches(tile::KernelOp kernel, tile::KernelOp built,
                      const kernels::AnySpec &spec) {
    getOperation().walk([&](exec::LaunchOp launch) {
      if (launch.getKernel() != kernel.getSymName())
        return;
      launch.setItems(
          kernels::itemsOf(built, kernel, spec, launch.getItems()));
    });
  }

  schedule::Target scheduledFor = schedule::allTargets().front();
  const nvptx::Chip *chipOf = nullptr;
};

} // namespace

} // namespace hadal
