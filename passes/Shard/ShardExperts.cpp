// Experts: each rank of an ep group has its slots of them.
#include "dialects/Diagnostics.h"
#include "passes/Identity/Names.h"
#include "passes/Shard/Sharding.h"

using namespace hadal;
using namespace hadal::dsv3;
using namespace mlir;

namespace {

/// Where the name of the state that counts a layer's experts ends.
constexpr StringLiteral kLoadPrefix = "expert_load.";

class ExpertSharder {
public:
  ExpertSharder(ModuleOp module, MeshAttr mesh)
      : module(module), mesh(mesh), symbols(module) {}

  LogicalResult run() {
    SmallVector<func::FuncOp> layers;
    for (auto func : module.getOps<func::FuncOp>())
      if (!func.getBody().getOps<MoePermuteOp>().empty())
        layers.push_back(func);
    // A call changes with the function that it calls.
    llvm::StringMap<SmallVector<func::CallOp>> calls;
    module.walk(
        [&](func::CallOp call) { calls[call.getCallee()].push_back(call); });
    for (func::FuncOp layer : layers)
      if (failed(shardLayer(layer, calls[layer.getSymName()])))
        return failure();
    return success();
  }

private:
  MLIRContext *context() { return module.getContext(); }

  /// Exchanges rows in |func|, whose callers are |calls|.
  LogicalResult shardLayer(func::FuncOp func, ArrayRef<func::CallOp> calls) {
    auto permutes = llvm::to_vector(func.getBody().getOps<MoePermuteOp>());
    if (permutes.size() != 1)
      return emitCodedOpError(func, 2001)
             << "routes to experts " << permutes.size()
             << " times, expected once";
    MoePermuteOp permute = permutes.front();
    auto load = dyn_cast<BlockArgument>(permute.getCounts());
    if (!load)
      return emitCodedOpError(permute, 2001)
             << "counts in what is no argument of its function";
    experts = permute.getCounts().getType().getSize();
    Type tableType = getTableType();
    Block &body = func.front();
    Value table =
        body.addArgument(tableType, getSymbolLoc(context(), "placement"));
    Value overflow =
        body.addArgument(overflowType(), getSymbolLoc(context(), "overflow"));
    SmallVector<unsigned> stacks;
    if (failed(exchange(permute, table, overflow, stacks)))
      return failure();
    func.setFunctionType(FunctionType::get(context(), body.getArgumentTypes(),
                                           func.getResultTypes()));
    for (func::CallOp call : calls)
      if (failed(shardCall(call, load.getArgNumber(), stacks)))
        return failure();
    return success();
  }

  /// Puts the exchange around the experts that |permute| routes to. |stacks|
  /// receives the arguments that are their weights.
  LogicalResult exchange(MoePermuteOp permute, Value table, Value overflow,
                         SmallVectorImpl<unsigned> &stacks) {
    SmallVector<LinearOp> linears;
    Value input;
    // Users come in no order that a file of IR keeps.
    auto users = llvm::to_vector(permute.getBegin().getUsers());
    llvm::sort(users, [](Operation *a, Operation *b) {
      return a->isBeforeInBlock(b);
    });
    for (Operation *user : users) {
      auto linear = dyn_cast<LinearOp>(user);
      if (!linear)
        return emitCodedOpError(user, 2001)
               << "reads offsets of experts and is no linear";
      linears.push_back(linear);
      if (!linear.getSource())
        continue;
      if (input && input != linear.getInput())
        return emitCodedOpError(user, 2001)
               << "gathers other rows than the experts beside it";
      input = linear.getInput();
    }
    if (!input)
      return emitCodedOpError(permute, 2001) << "routes rows that none gathers";
    OpBuilder b(permute);
    Type i32 = b.getI32Type();
    auto ids = cast<RankedTensorType>(permute.getIds().getType());
    int64_t topk = ids.getDimSize(1);
    auto received = [&](int64_t columns) {
      return getRowsType(Extent::Received, columns, i32);
    };
    Type counts = RankedTensorType::get({mesh.getEp(), 2}, i32);
    Operation *old = permute;
    auto dispatch = MoeDispatchOp::create(
        b, fuseLoc("dispatch", "shard-layers", old),
        withRows(cast<RankedTensorType>(input.getType()), Extent::Received),
        received(getMetaWords(topk)), permute.getSource().getType(),
        RankedTensorType::get(mesh.getSlots() + 1, i32), received(topk), ids,
        counts, counts, input, permute.getIds(), table, permute.getBatch(),
        permute.getCounts(), overflow, Axis::EP);
    for (LinearOp linear : linears) {
      linear.getBeginMutable().assign(dispatch.getBegin());
      if (linear.getSource()) {
        linear.getSourceMutable().assign(dispatch.getSource());
        linear.getInputMutable().assign(dispatch.getRows());
      }
      auto weight = dyn_cast<BlockArgument>(linear.getWeight());
      if (!weight)
        return emitCodedOpError(linear, 2001)
               << "has experts that are no argument of its function";
      weight.setType(ofSlots(cast<RankedTensorType>(weight.getType())));
      stacks.push_back(weight.getArgNumber());
    }
    SmallVector<MoeCombineOp> combines;
    for (Operation *user : permute.getPlace().getUsers())
      if (auto combine = dyn_cast<MoeCombineOp>(user))
        combines.push_back(combine);
    for (MoeCombineOp combine : combines) {
      b.setInsertionPoint(combine);
      Operation *by = combine;
      auto rows = cast<RankedTensorType>(combine.getRows().getType());
      Value back = MoeReturnOp::create(b, fuseLoc("return", "shard-layers", by),
                                       withRows(rows, Extent::Returned),
                                       combine.getRows(), dispatch.getMeta(),
                                       dispatch.getBack(), dispatch.getSent(),
                                       dispatch.getGot(), Axis::EP);
      combine.getRowsMutable().assign(back);
      combine.getPlaceMutable().assign(dispatch.getPlace());
    }
    if (!permute->use_empty())
      return emitCodedOpError(permute, 2001)
             << "has results that others than experts and combines use";
    permute.erase();
    return success();
  }

  /// Binds the placement of the layer that |call| is, and shares the stacks.
  LogicalResult shardCall(func::CallOp call, unsigned load,
                          ArrayRef<unsigned> stacks) {
    auto state = call.getOperand(load).getDefiningOp<GetStateOp>();
    StringRef name = state ? state.getState() : "";
    int64_t layer = -1;
    if (!name.consume_front(kLoadPrefix) || name.getAsInteger(10, layer))
      return emitCodedOpError(call, 2001)
             << "counts experts in what is no state '" << kLoadPrefix
             << "LAYER'";
    for (unsigned stack : stacks) {
      auto get = call.getOperand(stack).getDefiningOp<GetParameterOp>();
      auto parameter =
          get ? symbols.lookup<ParameterOp>(get.getParameter()) : ParameterOp();
      if (!parameter)
        return emitCodedOpError(call, 2001)
               << "has experts that are no parameter";
      shareStack(parameter, layer);
      get.getValue().setType(parameter.getTensorType());
    }
    OpBuilder b(call);
    std::string table = ("layers." + Twine(layer) + ".placement").str();
    auto declared = symbols.lookup<StateOp>(state.getState());
    if (!symbols.lookup(table)) {
      OpBuilder after(declared->getContext());
      after.setInsertionPointAfter(declared);
      symbols.insert(PlacementTableOp::create(
          after, getSymbolLoc(context(), table), table, getTableType(), layer));
    }
    if (!symbols.lookup(kOverflowState)) {
      OpBuilder before(declared);
      symbols.insert(StateOp::create(before,
                                     getSymbolLoc(context(), kOverflowState),
                                     kOverflowState, overflowType()));
    }
    Value placement = GetParameterOp::create(b, getSymbolLoc(context(), table),
                                             getTableType(), table);
    Value overflow =
        GetStateOp::create(b, getSymbolLoc(context(), kOverflowState),
                           overflowType(), kOverflowState);
    call.getOperandsMutable().append({placement, overflow});
    return success();
  }

  /// Leaves |parameter|, a stack of |layer|, and its scales a rank's slots.
  void shareStack(ParameterOp parameter, int64_t layer) {
    auto split = SplitAttr::get(context(), SplitDim::Slots, Axis::EP, 1);
    SmallVector<ParameterOp, 2> parts{parameter};
    if (parameter.getScale())
      parts.push_back(symbols.lookup<ParameterOp>(*parameter.getScale()));
    for (ParameterOp part : parts) {
      if (part.getSplit())
        continue; // by another bucket's call
      part.setType(ofSlots(part.getTensorType()));
      part.setSplitAttr(split);
      part.setLayer(layer);
    }
  }

  /// The stack |type| with a rank's slots.
  RankedTensorType ofSlots(RankedTensorType type) {
    SmallVector<int64_t> shape(type.getShape());
    shape.front() = mesh.getSlots();
    return RankedTensorType::get(shape, type.getElementType(),
                                 type.getEncoding());
  }

  /// i32[experts, 1 + replicas]: second copies of one expert are on ranks of
  /// their own, so that none has more than there are ranks.
  RankedTensorType getTableType() {
    int64_t redundant = mesh.getSlots() * mesh.getEp() - experts;
    int64_t replicas = std::min(1 + redundant, mesh.getEp());
    return RankedTensorType::get({experts, 1 + replicas},
                                 IntegerType::get(context(), 32));
  }

  Type overflowType() {
    return CountsType::get(context(), 2 * mesh.getEp());
  }

  ModuleOp module;
  MeshAttr mesh;
  SymbolTable symbols;
  int64_t experts = 0;
};

} // namespace

LogicalResult hadal::shard::shardExperts(ModuleOp module, MeshAttr mesh) {
  return ExpertSharder(module, mesh).run();
}
