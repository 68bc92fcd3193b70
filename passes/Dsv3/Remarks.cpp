#include "passes/Dsv3/Passes.h"
#include "passes/Identity/Names.h"

using namespace hadal;
using namespace mlir;

void hadal::recordChoice(Operation *op, StringRef text) {
  auto module = dyn_cast<ModuleOp>(op);
  if (!module)
    module = op->getParentOfType<ModuleOp>();
  SmallVector<Attribute> all;
  if (auto old = module->getAttrOfType<ArrayAttr>(dsv3::kRemarksAttr))
    llvm::append_range(all, old);
  Attribute remark = StringAttr::get(op->getContext(), text);
  if (llvm::is_contained(all, remark))
    return;
  // At the location, not on the operation: the remark would print all of it.
  emitRemark(op->getLoc(), text);
  all.push_back(remark);
  module->setAttr(dsv3::kRemarksAttr, ArrayAttr::get(op->getContext(), all));
}

void hadal::recordDropped(Operation *op, StringRef reason) {
  auto func = op->getParentOfType<func::FuncOp>();
  SmallVector<Attribute> all;
  if (auto old = func->getAttrOfType<ArrayAttr>(dsv3::kDroppedAttr))
    llvm::append_range(all, old);
  for (const std::string &name : getMembers(op->getLoc())) {
    emitRemark(op->getLoc()) << "dropped: '" << name << "': " << reason;
    all.push_back(StringAttr::get(op->getContext(), name));
  }
  func->setAttr(dsv3::kDroppedAttr, ArrayAttr::get(op->getContext(), all));
}
