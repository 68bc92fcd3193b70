#include "passes/Overlap/MicroBatchRefs.h"

#include "dialects/Diagnostics.h"
#include "passes/Identity/Names.h"
#include "passes/Overlap/Interleaving.h"

using namespace mlir;

namespace hadal {

std::optional<MicroBatchOffsets> MicroBatchOffsets::of(exec::EntryOp entry) {
  auto module = entry->getParentOfType<ModuleOp>();
  auto model = module->getAttrOfType<DictionaryAttr>(exec::kModelAttr);
  exec::MeshAttr mesh = exec::getMesh(module);
  auto number = [&](StringRef key) -> int64_t {
    auto value = model ? model.getAs<IntegerAttr>(key) : IntegerAttr();
    return value ? value.getInt() : 0;
  };
  auto activations =
      model ? model.getAs<StringAttr>("activations") : StringAttr();
  const int64_t pageSize = number("page_size"), width = number("hidden_size");
  if (!mesh || !activations || pageSize < 1 || width < 1) {
    emitCodedError(entry, 2001)
        << "micro-batches need '" << exec::kMeshAttr << "' and of '"
        << exec::kModelAttr << "' activations, hidden_size and page_size";
    return std::nullopt;
  }
  MicroBatchOffsets result;
  result.shape.tokens = *entry.getTokens() / kMicroBatches;
  result.shape.rows = *entry.getRows() / kMicroBatches;
  result.shape.pagesPerRow = llvm::divideCeil(number("max_seq_len"), pageSize);
  result.shape.experts = mesh.getSlots();
  int64_t rowBytes = width * (activations.getValue() == "f32" ? 4 : 2);
  if (exec::hasRowPitch(module))
    rowBytes = llvm::alignTo(rowBytes, number(exec::kRowAlignment));
  result.hidden = result.shape.tokens * rowBytes;
  return result;
}

Value RefBuilder::hidden(Value hidden, unsigned batch) {
  if (batch == 0)
    return hidden;
  Value &ref = hiddens[{hidden, batch}];
  if (!ref) {
    OpBuilder::InsertionGuard guard(b);
    if (Operation *op = hidden.getDefiningOp())
      b.setInsertionPointAfter(op);
    // Not the argument's, which a file of IR does not keep.
    ref = exec::AtOp::create(b, getSymbolLoc(b.getContext(), kHiddenState),
                             offsets.hidden * batch, hidden);
  }
  return ref;
}

Value RefBuilder::input(exec::InputOp op, unsigned batch) {
  Value &ref = inputs[{static_cast<unsigned>(op.getName()), batch}];
  if (!ref)
    ref = exec::InputOp::create(b, op.getLoc(), op.getName(),
                                offsets.of(op.getName()) * batch);
  return ref;
}

Value RefBuilder::buffer(exec::BufferOp buffer, StringRef carried) {
  return exec::BufferOp::create(b, buffer.getLoc(), buffer.getLabel(),
                                buffer.getBytes(), IntegerAttr(),
                                buffer.getExchange(), carried);
}

} // namespace hadal
