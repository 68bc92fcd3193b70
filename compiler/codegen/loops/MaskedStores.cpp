#include "compiler/codegen/loops/MaskedStores.h"

#include "llvm/IR/Constants.h"
#include "llvm/IR/IRBuilder.h"
#include "llvm/IR/InstIterator.h"
#include "llvm/IR/IntrinsicInst.h"
#include "llvm/IR/Module.h"

#include <optional>

using namespace llvm;

namespace hadal {

/// The only lane that |mask| lets through.
static std::optional<unsigned> onlyLane(Value *mask) {
  auto *constant = dyn_cast<Constant>(mask);
  auto *type = dyn_cast<FixedVectorType>(mask->getType());
  if (!constant || !type)
    return std::nullopt;
  std::optional<unsigned> lane;
  for (unsigned i = 0; i < type->getNumElements(); ++i) {
    Constant *element = constant->getAggregateElement(i);
    if (!element || (!element->isNullValue() && !element->isOneValue()))
      return std::nullopt;
    if (element->isNullValue())
      continue;
    if (lane)
      return std::nullopt;
    lane = i;
  }
  return lane;
}

void splitOneLaneStores(Module &module) {
  SmallVector<std::pair<IntrinsicInst *, unsigned>> stores;
  for (Function &function : module)
    for (Instruction &each : instructions(function)) {
      auto *call = dyn_cast<IntrinsicInst>(&each);
      if (!call || call->getIntrinsicID() != Intrinsic::masked_store)
        continue;
      // The mask is the last operand.
      if (auto lane = onlyLane(call->getArgOperand(call->arg_size() - 1)))
        stores.emplace_back(call, *lane);
    }
  for (auto [call, lane] : stores) {
    IRBuilder<> b(call);
    Value *vector = call->getArgOperand(0), *base = call->getArgOperand(1);
    Value *element = b.CreateExtractElement(vector, lane);
    Value *address = b.CreateConstGEP1_64(element->getType(), base, lane);
    Align whole = call->getParamAlign(1).valueOrOne();
    uint64_t bytes =
        module.getDataLayout().getTypeStoreSize(element->getType());
    b.CreateAlignedStore(element, address,
                         commonAlignment(whole, lane * bytes));
    call->eraseFromParent();
  }
}

} // namespace hadal
