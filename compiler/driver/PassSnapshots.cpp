#include "compiler/driver/PassSnapshots.h"

#include "compiler/driver/DumpIndex.h"
#include "mlir/IR/SymbolTable.h"
#include "mlir/Pass/Pass.h"
#include "llvm/Support/FormatVariadic.h"

using namespace mlir;

namespace hadal {

namespace {

class SnapshotRecorder : public PassInstrumentation {
public:
  explicit SnapshotRecorder(std::vector<PassSnapshot> &snapshots)
      : snapshots(snapshots) {}

  // Callbacks come one at a time. A function has been through all passes before
  // this one, so that passes are first seen in pipeline order.
  void runAfterPass(Pass *pass, Operation *op) override {
    StringRef name = pass->getArgument();
    if (name.empty())
      return; // the adaptor of a nested pipeline
    auto it = llvm::find_if(
        snapshots, [&](const PassSnapshot &s) { return s.pass == name; });
    if (it == snapshots.end())
      it = snapshots.insert(it, PassSnapshot{name.str(), {}});
    it->left.emplace_back(op->clone());
  }

private:
  std::vector<PassSnapshot> &snapshots;
};

/// Replaces the function of |module| that has the name of |func|.
void replaceFunction(ModuleOp module, Operation *func) {
  StringAttr name = SymbolTable::getSymbolName(func);
  Operation *old = SymbolTable::lookupSymbolIn(module, name);
  OpBuilder(old).clone(*func);
  old->erase();
}

} // namespace

std::unique_ptr<PassInstrumentation>
createSnapshotRecorder(std::vector<PassSnapshot> &snapshots) {
  return std::make_unique<SnapshotRecorder>(snapshots);
}

llvm::Error writeSnapshots(ModuleOp before, ArrayRef<PassSnapshot> snapshots,
                           StringRef directory) {
  OwningOpRef<ModuleOp> module(cast<ModuleOp>(before->clone()));
  std::string previous = dumpModule(*module).text;
  for (auto [index, snapshot] : llvm::enumerate(snapshots)) {
    for (const OwningOpRef<Operation *> &left : snapshot.left)
      if (auto whole = dyn_cast<ModuleOp>(*left))
        module = cast<ModuleOp>(whole->clone());
      else
        replaceFunction(*module, *left);
    Dump dump = dumpModule(*module);
    if (dump.text == previous)
      continue;
    std::string name = llvm::formatv("{0}-{1}", index + 1, snapshot.pass);
    if (llvm::Error error = writeDump(dump, directory, name))
      return error;
    previous = std::move(dump.text);
  }
  return llvm::Error::success();
}

} // namespace hadal
