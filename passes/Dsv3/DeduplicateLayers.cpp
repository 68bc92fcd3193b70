#include "mlir/IR/OperationSupport.h"
#include "mlir/IR/SymbolTable.h"
#include "passes/Dsv3/Passes.h"
#include "passes/Identity/Names.h"

namespace hadal {
#define GEN_PASS_DEF_DEDUPLICATELAYERS
#include "passes/Dsv3/Passes.h.inc"
} // namespace hadal

using namespace hadal;
using namespace hadal::dsv3;
using namespace mlir;

namespace {

/// True if |a| and |b| compute the same from their arguments.
bool areEqual(func::FuncOp a, func::FuncOp b) {
  return a.getFunctionType() == b.getFunctionType() &&
         OperationEquivalence::isRegionEquivalentTo(
             &a.getBody(), &b.getBody(), OperationEquivalence::IgnoreLocations);
}

/// Lets the operations of |kept| stand for those of |erased|, which is equal.
/// Imported layers of one kind have equal names.
void absorbNames(func::FuncOp kept, func::FuncOp erased) {
  SmallVector<Operation *> theirs;
  erased->walk([&](Operation *op) { theirs.push_back(op); });
  size_t next = 0;
  kept->walk([&](Operation *op) {
    absorbLoc(op, "deduplicate-layers", theirs[next++]);
  });
}

struct DeduplicateLayersPass
    : hadal::impl::DeduplicateLayersBase<DeduplicateLayersPass> {
  void runOnOperation() override {
    ModuleOp module = getOperation();
    SmallVector<func::FuncOp> kept;
    llvm::StringMap<func::FuncOp> replacement;
    for (auto func :
         llvm::make_early_inc_range(module.getOps<func::FuncOp>())) {
      if (!func.isPrivate() || func.isExternal())
        continue;
      auto *same = llvm::find_if(
          kept, [&](func::FuncOp k) { return areEqual(k, func); });
      if (same == kept.end()) {
        kept.push_back(func);
        replacement[func.getSymName()] = func;
      } else {
        replacement[func.getSymName()] = *same;
        absorbNames(*same, func);
      }
    }
    module.walk([&](func::CallOp call) {
      auto it = replacement.find(call.getCallee());
      if (it != replacement.end())
        call.setCallee(it->second.getSymName());
    });
    for (auto &entry : replacement)
      if (entry.getKey() != entry.second.getSymName())
        module.lookupSymbol(entry.getKey())->erase();
    rename(module, kept);
  }

  /// Names what is left by its kind.
  void rename(ModuleOp module, ArrayRef<func::FuncOp> kept) {
    unsigned dense = 0, moe = 0;
    for (func::FuncOp func : kept) {
      bool isMoe = !func.getBody().getOps<MoeCombineOp>().empty();
      unsigned &count = isMoe ? moe : dense;
      std::string name = isMoe ? "moe_layer" : "dense_layer";
      if (count++)
        name += "_" + std::to_string(count);
      if (func.getSymName() == name)
        continue;
      if (module.lookupSymbol(name)) {
        func.emitOpError() << "cannot be renamed: symbol @" << name
                           << " exists";
        return signalPassFailure();
      }
      if (failed(SymbolTable::replaceAllSymbolUses(
              func, StringAttr::get(&getContext(), name), module)))
        return signalPassFailure();
      func.setSymName(name);
    }
  }
};

} // namespace
