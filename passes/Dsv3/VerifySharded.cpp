// What VerifyDsv3 says of stage=sharded.
#include "dialects/Diagnostics.h"
#include "passes/Dsv3/Passes.h"
#include "llvm/ADT/TypeSwitch.h"

using namespace hadal;
using namespace hadal::dsv3;
using namespace mlir;

/// A collective that has begun is awaited once, in its block, before which no
/// call takes it anywhere.
static LogicalResult verifyAwaited(StartOp start) {
  AwaitOp await;
  for (Operation *user : start.getPending().getUsers()) {
    auto next = dyn_cast<AwaitOp>(user);
    if (!next)
      return emitCodedOpError(user, 2001)
             << "takes a collective that is on its way; only an await may";
    if (await)
      return emitCodedOpError(start, 2001) << "is awaited more than once";
    await = next;
  }
  if (!await)
    return emitCodedOpError(start, 2001) << "is never awaited";
  if (await->getBlock() != start->getBlock())
    return emitCodedOpError(start, 2001) << "is awaited in another block";
  return success();
}

/// The group of an exchange is that of the mesh: kernels write a word for each
/// rank.
static LogicalResult verifyGroup(Operation *op, MeshAttr mesh) {
  auto rowsOf = [](Value value) {
    return cast<RankedTensorType>(value.getType()).getDimSize(0);
  };
  int64_t ranks =
      llvm::TypeSwitch<Operation *, int64_t>(op)
          .Case([&](MoeDispatchOp o) { return rowsOf(o.getSent()); })
          .Case([&](MoeRouteOp o) { return rowsOf(o.getSent()); })
          .Case([&](MoeReceiveOp o) { return rowsOf(o.getGot()); })
          .Case([&](MoeReturnOp o) { return rowsOf(o.getSent()); })
          .Default([&](Operation *) { return mesh.getEp(); });
  if (ranks == mesh.getEp())
    return success();
  return emitCodedOpError(op, 2001)
         << "is among " << ranks << " ranks, a group of the mesh has "
         << mesh.getEp();
}

/// The experts of |op| are a rank's slots.
static LogicalResult verifySlots(Operation *op, MeshAttr mesh) {
  Value begin = llvm::TypeSwitch<Operation *, Value>(op)
                    .Case<LinearOp, GatedLinearOp, MoeDispatchOp, MoeReceiveOp>(
                        [](auto o) -> Value { return o.getBegin(); })
                    .Default([](Operation *) { return Value(); });
  if (!begin)
    return success();
  int64_t slots = cast<RankedTensorType>(begin.getType()).getDimSize(0) - 1;
  if (slots == mesh.getSlots())
    return success();
  return emitCodedOpError(op, 2001)
         << "has " << slots << " experts, a rank of the mesh has "
         << mesh.getSlots();
}

static LogicalResult verifyParameter(ParameterOp op, MeshAttr mesh) {
  std::optional<SplitAttr> split = op.getSplit();
  if (!split || split->getDim() != SplitDim::Slots)
    return success();
  int64_t slots = op.getTensorType().getDimSize(0);
  if (slots == mesh.getSlots())
    return success();
  return emitCodedOpError(op, 2001)
         << "has " << slots << " slots, a rank of the mesh has "
         << mesh.getSlots();
}

LogicalResult hadal::verifySharded(ModuleOp module) {
  MeshAttr mesh = getMesh(module);
  bool sharesExperts = mesh && mesh.getEp() > 1;
  WalkResult walk = module.walk([&](Operation *op) -> WalkResult {
    if (auto start = dyn_cast<StartOp>(op))
      if (failed(verifyAwaited(start)))
        return WalkResult::interrupt();
    if (auto await = dyn_cast<AwaitOp>(op))
      if (!await.getPending().getDefiningOp<StartOp>()) {
        emitCodedOpError(op, 2001) << "awaits what its function did not start";
        return WalkResult::interrupt();
      }
    bool exchanges = isa<MoeDispatchOp, MoeReturnOp, StartOp, AllGatherOp,
                         ReduceScatterOp, AllReduceOp, TakeSliceOp>(op);
    if (exchanges && !mesh) {
      emitCodedOpError(op, 2001)
          << "needs ranks, but the module has no '" << kMeshAttr << "'";
      return WalkResult::interrupt();
    }
    if (!sharesExperts)
      return WalkResult::advance();
    if (isa<MoePermuteOp>(op)) {
      emitCodedOpError(op, 2001)
          << "routes to experts that the rank has not; hadal-shard-layers "
             "should have removed it";
      return WalkResult::interrupt();
    }
    if (auto dispatch = dyn_cast<MoeDispatchOp>(op)) {
      BucketAttr bucket = getBucket(op->getParentOfType<func::FuncOp>());
      if (!bucket || bucket.getCapacity() == 0) {
        emitCodedOpError(op, 2001)
            << "is in a bucket without a capacity for rows of other ranks";
        return WalkResult::interrupt();
      }
    }
    if (failed(verifyGroup(op, mesh)))
      return WalkResult::interrupt();
    auto parameter = dyn_cast<ParameterOp>(op);
    if (failed(parameter ? verifyParameter(parameter, mesh)
                         : verifySlots(op, mesh)))
      return WalkResult::interrupt();
    return WalkResult::advance();
  });
  return walk.wasInterrupted() ? failure() : verifyTensors(module);
}
