#include "passes/Dsv3/ParameterSplits.h"

using namespace hadal;
using namespace hadal::dsv3;
using namespace mlir;

hadal::ParameterSplits::ParameterSplits(ModuleOp module) {
  SymbolTable symbols(module);
  SmallVector<func::CallOp> calls;
  module.walk([&](Operation *op) {
    if (auto call = dyn_cast<func::CallOp>(op))
      calls.push_back(call);
    auto get = dyn_cast<GetParameterOp>(op);
    auto parameter =
        get ? symbols.lookup<ParameterOp>(get.getParameter()) : ParameterOp();
    if (parameter && parameter.getSplit())
      splits[get.getValue()] = *parameter.getSplit();
  });
  // Layers call nothing: what their callers have says all.
  llvm::DenseMap<Value, SplitAttr> arguments;
  for (func::CallOp call : calls) {
    auto callee = symbols.lookup<func::FuncOp>(call.getCallee());
    if (!callee || callee.isExternal())
      continue;
    for (auto [operand, argument] :
         llvm::zip(call.getOperands(), callee.getArguments())) {
      SplitAttr split = splits.lookup(operand);
      auto [it, isNew] = arguments.try_emplace(argument, split);
      if (!isNew && it->second != split && !conflict)
        conflict = call;
    }
  }
  for (auto [argument, split] : arguments)
    if (split)
      splits[argument] = split;
}
