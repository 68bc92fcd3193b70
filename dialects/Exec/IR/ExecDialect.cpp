#include "dialects/Exec/IR/Exec.h"

#include "mlir/IR/DialectImplementation.h"
#include "llvm/ADT/TypeSwitch.h"
#include "llvm/Support/CheckedArithmetic.h"

using namespace mlir;
using namespace hadal::exec;

#include "dialects/Exec/IR/ExecDialect.cpp.inc"
#include "dialects/Exec/IR/ExecEnums.cpp.inc"
#define GET_ATTRDEF_CLASSES
#include "dialects/Exec/IR/ExecAttrs.cpp.inc"
#define GET_TYPEDEF_CLASSES
#include "dialects/Exec/IR/ExecTypes.cpp.inc"

void ExecDialect::initialize() {
  addOperations<
#define GET_OP_LIST
#include "dialects/Exec/IR/ExecOps.cpp.inc"
      >();
  addAttributes<
#define GET_ATTRDEF_LIST
#include "dialects/Exec/IR/ExecAttrs.cpp.inc"
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
  if (name == kRemarksAttr || name == kTunedAttr) {
    auto texts = dyn_cast<ArrayAttr>(attribute.getValue());
    if (!texts || !llvm::all_of(texts, llvm::IsaPred<StringAttr>))
      return op->emitError("'") << name << "' must be an array of strings";
    return success();
  }
  if (name == kMeshAttr) {
    if (!isa<MeshAttr>(attribute.getValue()))
      return op->emitError("'") << name << "' must be an #exec.mesh";
    return success();
  }
  return op->emitError("unknown attribute '") << name << "'";
}

//===----------------------------------------------------------------------===//
// #exec.mesh
//===----------------------------------------------------------------------===//

// #exec.mesh<tp 4, dp 8, ep 32, node 8, slots 9, vocab_split>
Attribute MeshAttr::parse(AsmParser &parser, Type) {
  int64_t tp, dp, ep, node, slots;
  if (parser.parseLess() || parser.parseKeyword("tp") ||
      parser.parseInteger(tp) || parser.parseComma() ||
      parser.parseKeyword("dp") || parser.parseInteger(dp) ||
      parser.parseComma() || parser.parseKeyword("ep") ||
      parser.parseInteger(ep) || parser.parseComma() ||
      parser.parseKeyword("node") || parser.parseInteger(node) ||
      parser.parseComma() || parser.parseKeyword("slots") ||
      parser.parseInteger(slots))
    return {};
  bool vocabSplit = succeeded(parser.parseOptionalComma());
  if ((vocabSplit && parser.parseKeyword("vocab_split")) ||
      parser.parseGreater())
    return {};
  return parser.getChecked<MeshAttr>(parser.getContext(), tp, dp, ep, node,
                                     slots, vocabSplit);
}

void MeshAttr::print(AsmPrinter &printer) const {
  printer << "<tp " << getTp() << ", dp " << getDp() << ", ep " << getEp()
          << ", node " << getNode() << ", slots " << getSlots()
          << (getVocabSplit() ? ", vocab_split>" : ">");
}

LogicalResult MeshAttr::verify(function_ref<InFlightDiagnostic()> emitError,
                               int64_t tp, int64_t dp, int64_t ep, int64_t node,
                               int64_t slots, bool) {
  if (std::min({tp, dp, ep, node}) <= 0 || slots < 0)
    return emitError() << "mesh of tp " << tp << ", dp " << dp << ", ep " << ep
                       << ", node " << node << ", slots " << slots
                       << ", expected positive numbers (slots may be 0)";
  std::optional<int64_t> world = llvm::checkedMul(tp, dp);
  if (!world || *world > kMaxRanks)
    return emitError() << "mesh of " << tp << " x " << dp
                       << " ranks, expected at most " << kMaxRanks;
  if (*world % ep)
    return emitError() << "mesh with ep " << ep << ", which does not divide "
                       << *world << " ranks";
  return success();
}

int64_t MeshAttr::getSize(Axis axis) const {
  switch (axis) {
  case Axis::Tp:
    return getTp();
  case Axis::Ep:
    return getEp();
  case Axis::World:
    return getWorld();
  }
  llvm_unreachable("an axis is one of these");
}

LogicalResult OverlapAttr::verify(function_ref<InFlightDiagnostic()> emitError,
                                  OverlapDecision, int64_t stepBefore,
                                  int64_t stepAfter, int64_t exposedBefore,
                                  int64_t exposedAfter, StringAttr reason) {
  if (std::min(exposedBefore, exposedAfter) < 0 || exposedBefore > stepBefore ||
      exposedAfter > stepAfter)
    return emitError() << "a step of " << stepBefore << " to " << stepAfter
                       << " ns of which " << exposedBefore << " to "
                       << exposedAfter << " are exposed";
  if (reason.empty())
    return emitError() << "a decision about micro-batches without a reason";
  return success();
}

MeshAttr hadal::exec::getMesh(ModuleOp module) {
  return module->getAttrOfType<MeshAttr>(kMeshAttr);
}

bool hadal::exec::hasRowPitch(ModuleOp module) {
  auto model = module->getAttrOfType<DictionaryAttr>(kModelAttr);
  return model && model.contains(kRowAlignment);
}
