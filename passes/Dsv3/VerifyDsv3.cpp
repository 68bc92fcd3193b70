#include "dialects/Diagnostics.h"
#include "passes/Dsv3/Passes.h"
#include "llvm/ADT/StringSet.h"
#include "passes/Identity/Names.h"

namespace hadal {
#define GEN_PASS_DEF_VERIFYDSV3
#include "passes/Dsv3/Passes.h.inc"
} // namespace hadal

using namespace hadal;
using namespace hadal::dsv3;
using namespace mlir;

namespace {

struct VerifyDsv3Pass : hadal::impl::VerifyDsv3Base<VerifyDsv3Pass> {
  using Base::Base;

  void runOnOperation() override {
    ModuleOp module = getOperation();
    if (stage != "model" && stage != "sharded" && stage != "fused") {
      emitCodedError(module, 2002)
          << "stage must be model, sharded or fused, got '" << stage << "'";
      return signalPassFailure();
    }
    LogicalResult result = stage == "model"     ? verifyModel(module)
                           : stage == "sharded" ? verifySharded(module)
                                                : verifyFused(module);
    if (failed(result) || failed(verifyValues(module)))
      signalPassFailure();
  }

  /// The pass that removes |op| before the fused stage; empty for an operation
  /// that has a kernel.
  static StringRef getRemovingPass(Operation *op) {
    return llvm::TypeSwitch<Operation *, StringRef>(op)
        .Case<RmsNormOp, GatherRowsOp>(
            [](auto) { return "hadal-fuse-norm-quant"; })
        .Case<RopeOp>([](auto) { return "hadal-fuse-linear-epilogue"; })
        .Case<SliceOp, AppendLatentOp>(
            [](auto) { return "hadal-fuse-latent-cache"; })
        .Case<MlaOp>([](auto) { return "hadal-absorb-wkv-b"; })
        .Case<AttentionFormsOp, YieldOp>(
            [](auto) { return "hadal-select-attention-form"; })
        .Case<MoeCombineOp>([](MoeCombineOp op) {
          return op.getResidual() ? "" : "hadal-fuse-moe-combine";
        })
        .Default(StringRef());
  }

  static bool attends(func::FuncOp func) {
    return !func.getBody().getOps<MlaDecodeOp>().empty() ||
           !func.getBody().getOps<MlaPrefillOp>().empty();
  }

  LogicalResult verifyFused(ModuleOp module) {
    for (func::FuncOp func : module.getOps<func::FuncOp>()) {
      if (!getBucket(func))
        return emitCodedOpError(func, 2001)
               << "has no bucket; run hadal-instantiate-buckets";
      if (attends(func) && !func->hasAttr(kAttentionAttr))
        return emitCodedOpError(func, 2001)
               << "attends but does not record its form; run "
                  "hadal-select-attention-form";
    }
    WalkResult walk = module.walk([](Operation *op) -> WalkResult {
      StringRef pass = getRemovingPass(op);
      if (pass.empty())
        return WalkResult::advance();
      emitCodedOpError(op, 2001)
          << "has no kernel; " << pass << " should have removed it";
      return WalkResult::interrupt();
    });
    return failure(walk.wasInterrupted());
  }

  LogicalResult verifyModel(ModuleOp module) {
    for (StringRef name : {"forward", "head"})
      if (!module.lookupSymbol<func::FuncOp>(name))
        return emitCodedError(module, 2001) << "has no @" << name;
    if (!module->hasAttr(kModelAttr))
      return emitCodedError(module, 2001)
             << "has no '" << kModelAttr << "' attribute";
    for (func::FuncOp func : module.getOps<func::FuncOp>())
      if (failed(verifyNames(func)))
        return failure();
    return success();
  }

  /// A name is one operation's: everything later is joined by it.
  static LogicalResult verifyNames(func::FuncOp func) {
    llvm::StringSet<> seen;
    WalkResult walk = func.getBody().walk([&](Operation *op) -> WalkResult {
      for (const std::string &name : getMembers(op->getLoc()))
        if (!seen.insert(name).second) {
          emitCodedOpError(op, 2001)
              << "has the name '" << name
              << "' of another operation of @" << func.getSymName();
          return WalkResult::interrupt();
        }
      return WalkResult::advance();
    });
    return failure(walk.wasInterrupted());
  }

  /// Every tensor of every function has a valid layout, arguments included
  /// (operations check their own).
  LogicalResult verifyValues(ModuleOp module) {
    for (func::FuncOp func : module.getOps<func::FuncOp>())
      for (Type type : llvm::concat<const Type>(func.getArgumentTypes(),
                                                func.getResultTypes()))
        if (isa<TensorType>(type) && !hasValidLayout(type))
          return emitCodedOpError(func, 2001)
                 << "type " << type
                 << " needs a layout that names its dynamic extents and, for "
                    "FP8, its scales";
    return success();
  }
};

} // namespace
