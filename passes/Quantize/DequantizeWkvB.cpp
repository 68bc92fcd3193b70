#include "dialects/Diagnostics.h"
#include "passes/Quantize/Passes.h"

namespace hadal {
#define GEN_PASS_DEF_DEQUANTIZEWKVB
#include "passes/Quantize/Passes.h.inc"
} // namespace hadal

using namespace hadal;
using namespace hadal::dsv3;
using namespace mlir;

namespace {

struct DequantizeWkvBPass
    : hadal::impl::DequantizeWkvBBase<DequantizeWkvBPass> {
  using Base::Base;

  void runOnOperation() override {
    if (failed(run()))
      signalPassFailure();
  }

  LogicalResult run() {
    ModuleOp module = getOperation();
    SymbolTable symbols(module);
    SmallVector<Value> pending;
    module.walk([&](Operation *op) {
      for (OpOperand &use : op->getOpOperands())
        if (isWkvB(use) && isFP8(use.get().getType()))
          pending.push_back(use.get());
    });
    // A weight and the values it is passed through change type together.
    llvm::SmallSetVector<Value, 16> values;
    llvm::SmallSetVector<ParameterOp, 16> parameters;
    while (!pending.empty()) {
      Value value = pending.pop_back_val();
      if (!values.insert(value))
        continue;
      for (OpOperand &use : value.getUses()) {
        if (isWkvB(use))
          continue;
        auto call = dyn_cast<func::CallOp>(use.getOwner());
        if (!call)
          return emitCodedError(use.getOwner(), 3004)
                 << "reads W_kv_b as FP8, which the target holds as bf16";
        auto callee = symbols.lookup<func::FuncOp>(call.getCallee());
        pending.push_back(callee.getArgument(use.getOperandNumber()));
      }
      if (auto get = value.getDefiningOp<GetParameterOp>()) {
        parameters.insert(symbols.lookup<ParameterOp>(get.getParameter()));
        continue;
      }
      auto argument = dyn_cast<BlockArgument>(value);
      auto func = argument ? dyn_cast<func::FuncOp>(
                                 argument.getOwner()->getParentOp())
                           : func::FuncOp();
      if (!func)
        return emitCodedError(value.getLoc(), 2001)
               << "W_kv_b is neither a parameter nor an argument";
      for (auto caller : module.getOps<func::FuncOp>())
        for (auto call : caller.getOps<func::CallOp>())
          if (call.getCallee() == func.getSymName())
            pending.push_back(call.getOperand(argument.getArgNumber()));
    }
    for (ParameterOp parameter : parameters) {
      parameter.setTypeAttr(
          TypeAttr::get(asBF16(parameter.getTensorType())));
      parameter.setPlace(Placement::Copy);
      // A parameter that is read at more than one place.
      module.walk([&](GetParameterOp get) {
        if (get.getParameter() == parameter.getSymName())
          values.insert(get.getValue());
      });
    }
    for (Value value : values)
      value.setType(asBF16(cast<RankedTensorType>(value.getType())));
    for (auto func : module.getOps<func::FuncOp>())
      func.setFunctionType(
          FunctionType::get(&getContext(), func.front().getArgumentTypes(),
                            func.getFunctionType().getResults()));
    numWeights += parameters.size();
    return success();
  }

  static bool isWkvB(OpOperand &use) {
    return llvm::TypeSwitch<Operation *, bool>(use.getOwner())
        .Case<AbsorbQOp, AbsorbVOp, MlaPrefillOp>(
            [&](auto op) { return use.get() == op.getWkvB(); })
        .Default([](Operation *) { return false; });
  }

  /// The same tensor without scales.
  static RankedTensorType asBF16(RankedTensorType type) {
    return RankedTensorType::get(type.getShape(),
                                 BFloat16Type::get(type.getContext()));
  }
};

} // namespace
