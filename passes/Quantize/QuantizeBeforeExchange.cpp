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
    SmallVector<Operation *> ops;
    getOperation().walk([&](Operation *op) {
      if (isa<MoeDispatchOp, AllGatherOp>(op))
        ops.push_back(op);
    });
    for (Operation *op : ops) {
      if (auto dispatch = dyn_cast<MoeDispatchOp>(op))
        rewrite(dispatch, dispatch.getInputMutable(), dispatch.getRows());
      else
        for (auto [part, result] :
             llvm::zip(op->getOpOperands(), op->getResults()))
          rewrite(op, part, result);
    }
  }

  /// Quantises |sent|, which |op| moves, if all readers of |received| do.
  static void rewrite(Operation *op, OpOperand &sent, Value received) {
    // All readers, and of one kind.
    SmallVector<QuantizeTilesOp> readers;
    for (Operation *user : received.getUsers()) {
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
    auto input = cast<RankedTensorType>(sent.get().getType());
    // A narrow row may have more bytes of scales than it saves.
    int64_t columns = input.getShape().back();
    int64_t bytes = input.getElementTypeBitWidth() / 8;
    int64_t scales = llvm::divideCeil(columns, kBlock);
    if (columns + 4 * scales > columns * bytes)
      return;
    // Users come in no order that a file of IR keeps.
    llvm::sort(readers, [](QuantizeTilesOp a, QuantizeTilesOp b) {
      return a->isBeforeInBlock(b);
    });
    QuantizeTilesOp first = readers.front();
    auto rows = cast<RankedTensorType>(first.getResult().getType());
    OpBuilder b(op);
    auto quantized = QuantizeTilesOp::create(
        b, first.getLoc(),
        getQuantizedType(input, getLayout(rows).getScale().getFormat()),
        sent.get(), first.getFloor());
    sent.set(quantized);
    received.setType(rows);
    for (QuantizeTilesOp reader : readers) {
      absorbLoc(quantized, "quantize-before-exchange", reader);
      reader.getResult().replaceAllUsesWith(received);
      reader.erase();
    }
  }
};

} // namespace
