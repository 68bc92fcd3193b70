// Collectives: what orders them with launches, and the buffers they receive in.
#include "dialects/Diagnostics.h"
#include "passes/Dsv3ToExec/Lowering.h"
#include "passes/Identity/Names.h"

using namespace mlir;

namespace hadal::lower {

exec::Axis axisOf(dsv3::Axis axis) {
  switch (axis) {
  case dsv3::Axis::TP:
    return exec::Axis::Tp;
  case dsv3::Axis::EP:
    return exec::Axis::Ep;
  case dsv3::Axis::World:
    return exec::Axis::World;
  }
  llvm_unreachable("all axes are named");
}

static exec::CollectiveKind kindOf(dsv3::CollectiveKind kind) {
  switch (kind) {
  case dsv3::CollectiveKind::AllGather:
    return exec::CollectiveKind::AllGather;
  case dsv3::CollectiveKind::ReduceScatter:
    return exec::CollectiveKind::ReduceScatter;
  case dsv3::CollectiveKind::AllReduce:
    return exec::CollectiveKind::AllReduce;
  case dsv3::CollectiveKind::AllToAll:
    return exec::CollectiveKind::AllToAll;
  }
  llvm_unreachable("all collectives are named");
}

LogicalResult FunctionLowering::lowerStart(dsv3::StartOp op) {
  int64_t ranks = op.getAxis() == dsv3::Axis::EP   ? context.ep()
                  : op.getAxis() == dsv3::Axis::TP ? context.tp()
                                                   : context.ranks();
  bool sums = op.getKind() == dsv3::CollectiveKind::ReduceScatter ||
              op.getKind() == dsv3::CollectiveKind::AllReduce;
  // Of a block: what a rank sends to one other, or all that it has.
  bool inBlocks = op.getKind() == dsv3::CollectiveKind::AllToAll ||
                  op.getKind() == dsv3::CollectiveKind::ReduceScatter;
  dsv3::PendingType type = op.getPending().getType();
  Pending &begun = pending[op.getPending()];
  SmallVector<exec::CollectivePart> parts;
  Type sumType;
  for (auto [index, part] : llvm::enumerate(op.getParts())) {
    Storage sent = storages.lookup(part);
    auto buffer = sent.data ? sent.data.getDefiningOp<exec::BufferOp>()
                            : exec::BufferOp();
    if (!buffer || !buffer.getExchange())
      return op.emitError("part ")
             << index << " is not what a kernel of this function computes";
    auto sentType = cast<RankedTensorType>(part.getType());
    auto gotType = cast<RankedTensorType>(type.getTypes()[index]);
    if (inBlocks && rows(part) % ranks)
      return emitCodedOpError(op, 2001)
             << "has a part of " << rows(part) << " rows, not a block for each "
             << "of " << ranks << " ranks";
    int64_t rowsOfBlock = rows(part) / (inBlocks ? ranks : 1);
    int64_t column = op.getColumns() ? (*op.getColumns())[index] : -1;
    auto receive = [&](exec::BufferOp from, int64_t bytes) -> Value {
      return exec::BufferOp::create(b, from.getLoc(),
                                    (from.getLabel() + ".received").str(),
                                    bytes, IntegerAttr(), /*exchange=*/true);
    };
    Storage got;
    got.data = receive(buffer, dataBytes(gotType, rows(gotType)));
    parts.push_back(
        {sent.data, got.data, rowsOfBlock, dataBytes(sentType, 1), column});
    if (sums)
      sumType = sentType.getElementType();
    if (sent.scale) {
      int64_t rowBytes =
          4 * llvm::divideCeil(sentType.getShape().back(), dsv3::kBlock);
      got.scale = receive(sent.scale.getDefiningOp<exec::BufferOp>(),
                          rows(gotType) * rowBytes);
      parts.push_back({sent.scale, got.scale, rowsOfBlock, rowBytes, column});
    }
    begun.received.push_back(got);
  }
  Value counts;
  int64_t stride = 0;
  if (op.getCounts()) {
    counts = storages.lookup(op.getCounts()).data;
    stride = cast<RankedTensorType>(op.getCounts().getType()).getDimSize(1);
  }
  Location loc = op.getLoc();
  int64_t ready = numEvents++;
  begun.done = numEvents++;
  exec::RecordOp::create(b, loc, ready, exec::kLaunchStream);
  exec::WaitOp::create(b, loc, ready, exec::kCollectiveStream);
  exec::CollectiveOp::create(b, loc, exec::stringifyAxis(axisOf(op.getAxis())),
                             kindOf(op.getKind()), parts, op.getLabel(),
                             getKey(op), counts, stride, sumType);
  exec::RecordOp::create(b, loc, begun.done, exec::kCollectiveStream);
  return success();
}

void FunctionLowering::lowerAwait(dsv3::AwaitOp op) {
  const Pending &begun = pending.find(op.getPending())->second;
  exec::WaitOp::create(b, op.getLoc(), begun.done, exec::kLaunchStream);
  for (auto [value, storage] : llvm::zip(op.getValues(), begun.received))
    storages[value] = storage;
}

} // namespace hadal::lower
