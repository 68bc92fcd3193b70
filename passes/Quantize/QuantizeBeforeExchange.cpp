#include "passes/Identity/Names.h"
#include "passes/Quantize/Passes.h"

namespace hadal {
#define GEN_PASS_DEF_QUANTIZEBEFOREEXCHANGE
#include "passes/Quantize/Passes.h.inc"
} // namespace hadal

using namespace hadal;
using namespace hadal::dsv3;
using namespace mlir;

namespace {

struct QuantizeBeforeExchangePass
    : hadal::impl::QuantizeBeforeExchangeBase<QuantizeBeforeExchangePass> {
  void runOnOperation() override {
    SmallVector<MoeDispatchOp> ops;
    getOperation().walk([&](MoeDispatchOp op) { ops.push_back(op); });
    for (MoeDispatchOp op : ops)
      rewrite(op);
  }

  static void rewrite(MoeDispatchOp op) {
    // All readers, and of one kind.
    SmallVector<QuantizeTilesOp> readers;
    for (Operation *user : op.getRows().getUsers()) {
      auto reader = dyn_cast<QuantizeTilesOp>(user);
      if (!reader ||
          (!readers.empty() &&
           (reader.getFloorAttr() != readers.front().getFloorAttr() ||
            reader.getResult().getType() !=
                readers.front().getResult().getType())))
        return;
      readers.push_back(reader);
    }
    if (readers.empty())
      return;
    // Users come in no order that a file of IR keeps.
    llvm::sort(readers, [](QuantizeTilesOp a, QuantizeTilesOp b) {
      return a->isBeforeInBlock(b);
    });
    QuantizeTilesOp first = readers.front();
    auto input = cast<RankedTensorType>(op.getInput().getType());
    auto rows = cast<RankedTensorType>(first.getResult().getType());
    OpBuilder b(op);
    auto quantized = QuantizeTilesOp::create(
        b, first.getLoc(),
        getQuantizedType(input, getLayout(rows).getScale().getFormat()),
        op.getInput(), first.getFloor());
    op.getInputMutable().assign(quantized);
    op.getRows().setType(rows);
    for (QuantizeTilesOp reader : readers) {
      absorbLoc(quantized, "quantize-before-exchange", reader);
      reader.getResult().replaceAllUsesWith(op.getRows());
      reader.erase();
    }
  }
};

} // namespace
