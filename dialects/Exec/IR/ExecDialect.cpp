#include "dialects/Exec/IR/Exec.h"

#include "llvm/ADT/TypeSwitch.h"
#include "mlir/IR/DialectImplementation.h"

using namespace mlir;
using namespace hadal::exec;

#include "dialects/Exec/IR/ExecDialect.cpp.inc"
#include "dialects/Exec/IR/ExecEnums.cpp.inc"
#define GET_TYPEDEF_CLASSES
#include "dialects/Exec/IR/ExecTypes.cpp.inc"

void ExecDialect::initialize() {
  addOperations<
#define GET_OP_LIST
#include "dialects/Exec/IR/ExecOps.cpp.inc"
      >();
  addTypes<
#define GET_TYPEDEF_LIST
#include "dialects/Exec/IR/ExecTypes.cpp.inc"
      >();
}

LogicalResult ExecDialect::verifyOperationAttribute(Operation *op,
                                                    NamedAttribute attribute) {
  StringRef name = attribute.getName();
  if (!isa<ModuleOp>(op))
    return op->emitError("'") << name << "' belongs on a module";
  if (name == kModelAttr || name == kOptionsAttr) {
    if (!isa<DictionaryAttr>(attribute.getValue()))
      return op->emitError("'") << name << "' must be a dictionary";
    return success();
  }
  if (name == kRemarksAttr) {
    auto remarks = dyn_cast<ArrayAttr>(attribute.getValue());
    if (!remarks || !llvm::all_of(remarks, llvm::IsaPred<StringAttr>))
      return op->emitError("'") << name << "' must be an array of strings";
    return success();
  }
  return op->emitError("unknown attribute '") << name << "'";
}

bool hadal::exec::hasRowPitch(ModuleOp module) {
  auto model = module->getAttrOfType<DictionaryAttr>(kModelAttr);
  return model && model.contains(kRowAlignment);
}
