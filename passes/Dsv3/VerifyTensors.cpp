// What VerifyDsv3 says of stage=sharded about tensor parallelism: the columns
// of a rank, and sums over ranks, are known for what they are until they are
// whole.
#include "dialects/Diagnostics.h"
#include "passes/Dsv3/ParameterSplits.h"
#include "passes/Dsv3/Passes.h"
#include "llvm/ADT/TypeSwitch.h"

using namespace hadal;
using namespace hadal::dsv3;
using namespace mlir;

namespace {

/// What a rank has of a value's columns.
enum class Part {
  All,
  Columns, ///< its own: of its heads, or of its part of the vocabulary
  Sum,     ///< all, as its addend of a sum over the ranks
};

bool isSlice(Value value) {
  LayoutAttr layout = getLayout(value.getType());
  return layout && layout.getExtents() == ArrayRef(Extent::Slice);
}

bool isLogits(Value value) {
  LayoutAttr layout = getLayout(value.getType());
  return layout && layout.getExtents() == ArrayRef(Extent::Logits);
}

class TensorVerifier {
public:
  explicit TensorVerifier(const ParameterSplits &splits) : splits(splits) {}

  LogicalResult run(func::FuncOp func) {
    parts.clear();
    // Forms of attention before the operation that holds them.
    WalkResult walk = func.getBody().walk([&](Operation *op) {
      return failed(check(op)) ? WalkResult::interrupt()
                               : WalkResult::advance();
    });
    return failure(walk.wasInterrupted());
  }

private:
  Part partOf(Value value) const { return parts.lookup(value); }

  /// |op| may read nothing but whole columns, from operand |first| on.
  LogicalResult checkWhole(Operation *op, unsigned first = 0) {
    for (Value operand : op->getOperands().drop_front(first)) {
      if (partOf(operand) == Part::Sum)
        return emitCodedOpError(op, 2001)
               << "reads a sum over ranks that is not formed yet; only a "
                  "reduction over tp may";
      if (partOf(operand) == Part::Columns)
        return emitCodedOpError(op, 2001)
               << "reads a rank's columns as if they were all";
    }
    return success();
  }

  /// Other rows than its own matter for a row of |op|'s result, or its place
  /// among all.
  static LogicalResult checkAllRows(Operation *op, Value rows) {
    if (!isSlice(rows))
      return success();
    return emitCodedOpError(op, 2001)
           << "needs the rows of all ranks and reads a slice";
  }

  LogicalResult checkLinear(LinearOp op) {
    SplitAttr split = splits.of(op.getWeight());
    bool isShared = split && split.getAxis() == Axis::TP;
    if (op.getRopeTable() && failed(checkAllRows(op, op.getInput())))
      return failure();
    if (!isShared)
      return checkWhole(op);
    if (isSlice(op.getInput()))
      return emitCodedOpError(op, 2001)
             << "multiplies a slice by a rank's part of a weight";
    if (split.getDim() == SplitDim::Rows) {
      parts[op.getResult()] = Part::Columns;
      return checkWhole(op);
    }
    if (partOf(op.getInput()) != Part::Columns)
      return emitCodedOpError(op, 2001)
             << "multiplies by a rank's columns of a weight what is not those "
                "columns";
    if (op.getResidual())
      return emitCodedOpError(op, 2001)
             << "adds a residual to a sum over ranks, each of which would add "
                "it";
    parts[op.getResult()] = Part::Sum;
    return success();
  }

  /// What each head does on its own, with its rows of |wkvB|.
  LogicalResult checkHeads(Operation *op, Value query, Value wkvB,
                           Value result) {
    if (partOf(query) == Part::Sum)
      return checkWhole(op);
    SplitAttr split = wkvB ? splits.of(wkvB) : SplitAttr();
    if (wkvB && (partOf(query) == Part::Columns) != static_cast<bool>(split))
      return emitCodedOpError(op, 2001)
             << "has heads of which either the values or the weight are a "
                "rank's, but not both";
    parts[result] = partOf(query);
    return success();
  }

  LogicalResult checkReduction(Operation *op, ValueRange sums) {
    for (Value sum : sums)
      if (partOf(sum) != Part::Sum)
        return emitCodedOpError(op, 2001)
               << "sums over ranks what is no partial sum";
    return success();
  }

  LogicalResult checkGather(Operation *op, ValueRange gathered) {
    // Columns of the vocabulary are joined behind it.
    for (Value part : gathered)
      if (partOf(part) == Part::Sum ||
          (partOf(part) == Part::Columns && !isLogits(part)))
        return checkWhole(op);
    return success();
  }

  LogicalResult checkStart(StartOp op) {
    switch (op.getKind()) {
    case CollectiveKind::ReduceScatter:
    case CollectiveKind::AllReduce:
      return checkReduction(op, op.getParts());
    case CollectiveKind::AllGather:
      return checkGather(op, op.getParts());
    case CollectiveKind::AllToAll:
      return checkWhole(op);
    }
    llvm_unreachable("all collectives are named");
  }

  LogicalResult check(Operation *op) {
    return llvm::TypeSwitch<Operation *, LogicalResult>(op)
        .Case([&](LinearOp o) { return checkLinear(o); })
        .Case([&](RopeOp o) {
          if (failed(checkAllRows(o, o.getInput())))
            return failure();
          return checkHeads(o, o.getInput(), Value(), o.getResult());
        })
        .Case([&](QuantizeTilesOp o) {
          return checkHeads(o, o.getInput(), Value(), o.getResult());
        })
        .Case<MlaOp, MlaPrefillOp>([&](auto o) {
          if (failed(checkAllRows(o, o.getQuery())))
            return failure();
          return checkHeads(o, o.getQuery(), o.getWkvB(), o.getResult());
        })
        .Case([&](MlaDecodeOp o) {
          if (failed(checkAllRows(o, o.getQuery())))
            return failure();
          return checkHeads(o, o.getQuery(), Value(), o.getResult());
        })
        .Case([&](AbsorbQOp o) {
          return checkHeads(o, o.getQuery(), o.getWkvB(), o.getResult());
        })
        .Case([&](AbsorbVOp o) {
          return checkHeads(o, o.getInput(), o.getWkvB(), o.getResult());
        })
        .Case([&](YieldOp o) {
          // Both forms give the same part.
          parts[o->getParentOp()->getResult(0)] = partOf(o.getValue());
          return success();
        })
        .Case([&](AttentionFormsOp) { return success(); })
        .Case([&](AppendLatentOp o) {
          return succeeded(checkAllRows(o, o.getLatent())) ? checkWhole(o)
                                                           : failure();
        })
        .Case<LatentNormRopeCacheOp, GatherRowsOp>([&](auto o) {
          return succeeded(checkAllRows(o, o.getInput())) ? checkWhole(o)
                                                          : failure();
        })
        .Case([&](NormQuantOp o) {
          if (o.getIndices() && failed(checkAllRows(o, o.getInput())))
            return failure();
          return checkWhole(o);
        })
        .Case<ReduceScatterOp, AllReduceOp>(
            [&](auto o) { return checkReduction(o, o->getOperands()); })
        .Case([&](AllGatherOp o) { return checkGather(o, o.getParts()); })
        .Case([&](StartOp o) { return checkStart(o); })
        .Default([&](Operation *other) { return checkWhole(other); });
  }

  const ParameterSplits &splits;
  llvm::DenseMap<Value, Part> parts;
};

} // namespace

/// The rank's part of |op| is whole scale blocks, and its scales are those.
static LogicalResult verifyPart(ParameterOp op, MeshAttr mesh,
                                SymbolTable &symbols) {
  std::optional<SplitAttr> split = op.getSplit();
  if (!split || split->getAxis() != Axis::TP)
    return success();
  if (mesh.getTp() == 1)
    return emitCodedOpError(op, 2001)
           << "is split over tp, which the mesh has not";
  RankedTensorType type = op.getTensorType();
  bool isRows = split->getDim() == SplitDim::Rows;
  int64_t extent = type.getDimSize(isRows ? 0 : 1);
  StringRef what = isRows ? "rows" : "columns";
  if (extent % split->getUnit())
    return emitCodedOpError(op, 2001)
           << "has " << extent << " " << what
           << " a rank, which are no whole units of " << split->getUnit();
  if (isFP8(type) && extent % kBlock)
    return emitCodedOpError(op, 2001) << "has " << extent << " " << what
                                      << " a rank, which cut a scale block";
  if (!op.getScale())
    return success();
  auto scale = symbols.lookup<ParameterOp>(*op.getScale());
  if (scale && scale.getSplit() && scale.getSplit()->getAxis() == Axis::TP &&
      scale.getSplit()->getDim() == split->getDim())
    return success();
  return emitCodedOpError(op, 2001) << "has scales that are not split as it is";
}

LogicalResult hadal::verifyTensors(ModuleOp module) {
  MeshAttr mesh = getMesh(module);
  if (!mesh)
    return success();
  SymbolTable symbols(module);
  for (auto parameter : module.getOps<ParameterOp>())
    if (failed(verifyPart(parameter, mesh, symbols)))
      return failure();
  ParameterSplits splits(module);
  if (func::CallOp call = splits.getConflict())
    return emitCodedOpError(call, 2001)
           << "gives a weight that another call splits otherwise";
  TensorVerifier verifier(splits);
  for (auto func : module.getOps<func::FuncOp>())
    if (!func.isExternal() && failed(verifier.run(func)))
      return failure();
  return success();
}
