// Tensor parallelism: attention is split by heads, everything else by tokens.
//
// An operation states the rows that it needs and gives: all tokens, or the
// rank's slice of them. With its weights the state of a value is one of
//
//   slice     the rank's tokens, whole rows: the residual stream, FFNs, experts
//   tokens    all tokens of the group, equal on its ranks
//   heads     all tokens, the columns of the rank's heads
//   partial   all tokens, a sum over the ranks that is still to be formed
//
//   embed, add, silu_mul, gate_topk, moe_*   slice -> slice
//   rms_norm, slice, linear                  what all users need, else slice
//   q_b (or q) and its rope                  tokens -> heads
//   append_latent, rope of the key           tokens
//   gather_rows                              tokens -> logits
//   mla                                      heads -> heads
//   o_proj                                   heads -> partial
//   a layer's result                         slice
//   the last layer's result                  tokens, the hidden state
//
// Where what is needed and what is there differ, a conversion stands in
// between: slice -> tokens all_gather, tokens -> slice take_slice, partial ->
// tokens all_reduce. ElideCollectives makes few and small ones of them.
#include "dialects/Diagnostics.h"
#include "passes/Identity/Names.h"
#include "passes/Shard/Sharding.h"
#include "llvm/ADT/TypeSwitch.h"

using namespace hadal;
using namespace hadal::dsv3;
using namespace mlir;

namespace {

RankedTensorType typeOf(Value value) {
  return cast<RankedTensorType>(value.getType());
}

int64_t columnsOf(Value value) { return typeOf(value).getShape().back(); }

/// True if |type| has |extent| rows.
bool hasRows(Type type, Extent extent) {
  LayoutAttr layout = getLayout(type);
  return layout && layout.getExtents() == ArrayRef(extent);
}

class TensorSharder {
public:
  TensorSharder(ModuleOp module, MeshAttr mesh,
                const shard::TensorOptions &options)
      : module(module), tp(mesh.getTp()), options(options), symbols(module) {}

  LogicalResult run() {
    module.walk(
        [&](func::CallOp call) { calls[call.getCallee()].push_back(call); });
    // Callees first: callers take over their types.
    SmallVector<func::FuncOp> functions;
    for (auto func : module.getOps<func::FuncOp>())
      if (func.isPrivate())
        functions.push_back(func);
    for (auto func : module.getOps<func::FuncOp>())
      if (!func.isPrivate())
        functions.push_back(func);
    for (func::FuncOp func : functions) {
      ofHeads.clear();
      partial.clear();
      if (failed(splitHeads(func)))
        return failure();
      BucketAttr bucket = getBucket(func);
      bool isHead = bucket && bucket.getKind() == BucketKind::Head;
      if (isHead && options.splitsVocabulary && failed(splitVocabulary(func)))
        return failure();
      splitRows(func, func.isPrivate() ? Extent::Slice : Extent::Tokens);
    }
    return success();
  }

private:
  //===--- Heads ----------------------------------------------------------===//

  /// Leaves the rank its heads of each attention of |func|.
  LogicalResult splitHeads(func::FuncOp func) {
    for (auto mla : func.getBody().getOps<MlaOp>())
      if (failed(splitHeads(func, mla)))
        return failure();
    return success();
  }

  LogicalResult splitHeads(func::FuncOp func, MlaOp mla) {
    int64_t heads = mla.getHeads();
    if (heads % tp)
      return emitCodedOpError(mla, 2006) << "has " << heads << " heads, which "
                                         << tp << " ranks do not divide";
    auto rope = mla.getQuery().getDefiningOp<RopeOp>();
    auto query = rope ? rope.getInput().getDefiningOp<LinearOp>() : LinearOp();
    if (!query || !rope.getResult().hasOneUse() ||
        !query.getResult().hasOneUse())
      return emitCodedOpError(mla, 2001)
             << "has a query that is not the rotated product of a weight of "
                "its own";
    auto output = mla.getResult().hasOneUse()
                      ? dyn_cast<LinearOp>(*mla.getResult().getUsers().begin())
                      : LinearOp();
    if (!output || output.getInput() != mla.getResult())
      return emitCodedOpError(mla, 2001)
             << "is not read by a product with the output weight alone";
    int64_t width = columnsOf(mla.getQuery()) / heads;
    if (failed(splitWeight(func, query.getWeight(), SplitDim::Rows, width)) ||
        failed(splitWeight(func, mla.getWkvB(), SplitDim::Rows,
                           mla.getNope() + mla.getValue())) ||
        failed(splitWeight(func, output.getWeight(), SplitDim::Cols,
                           mla.getValue())))
      return failure();
    for (Value value : {query.getResult(), rope.getResult(), mla.getResult()})
      value.setType(withColumns(typeOf(value), columnsOf(value) / tp));
    rope.setHeads(heads / tp);
    mla.setHeads(heads / tp);
    if (options.sumsInF32)
      output.getResult().setType(
          withElement(typeOf(output.getResult()),
                      Float32Type::get(module.getContext()), ScaleAttr()));
    ofHeads.insert(query);
    ofHeads.insert(output);
    partial.insert(output.getResult());
    return success();
  }

  //===--- The head's vocabulary ------------------------------------------===//

  /// Leaves the rank its rows of the head's weight, and joins the columns of
  /// the logits behind it.
  LogicalResult splitVocabulary(func::FuncOp func) {
    auto ret = cast<func::ReturnOp>(func.front().getTerminator());
    auto logits = ret.getOperand(0).getDefiningOp<LinearOp>();
    if (!logits)
      return emitCodedOpError(ret, 2001)
             << "returns logits that are no product of a weight";
    auto whole = cast<RankedTensorType>(logits.getResult().getType());
    if (failed(splitWeight(func, logits.getWeight(), SplitDim::Rows, 1)))
      return failure();
    RankedTensorType part =
        withColumns(whole, columnsOf(logits.getResult()) / tp);
    logits.getResult().setType(part);
    OpBuilder b(ret);
    Value gathered =
        AllGatherOp::create(b, splitLoc(logits, "gather"),
                            TypeRange{withRows(part, Extent::Gathered)},
                            ValueRange{logits.getResult()}, Axis::TP)
            .getResult(0);
    Value joined =
        JoinColumnsOp::create(b, splitLoc(logits, "join"), whole, gathered);
    ret->setOperand(0, joined);
    return success();
  }

  //===--- Weights --------------------------------------------------------===//

  /// Leaves the rank its part of |weight|, a parameter or an argument that gets
  /// one.
  LogicalResult splitWeight(func::FuncOp func, Value weight, SplitDim dim,
                            int64_t unit) {
    auto argument = dyn_cast<BlockArgument>(weight);
    SmallVector<Value> given;
    if (argument)
      for (func::CallOp call : calls[func.getSymName()])
        given.push_back(call.getOperand(argument.getArgNumber()));
    else
      given.push_back(weight);
    if (given.empty())
      return emitCodedError(weight.getLoc(), 2001)
             << "a weight that ranks share is given by no call";
    auto split = SplitAttr::get(module.getContext(), dim, Axis::TP, unit);
    for (Value value : given) {
      auto get = value.getDefiningOp<GetParameterOp>();
      auto parameter =
          get ? symbols.lookup<ParameterOp>(get.getParameter()) : ParameterOp();
      if (!parameter)
        return emitCodedError(value.getLoc(), 2001)
               << "a weight that ranks share is no parameter";
      if (failed(splitParameter(parameter, split)))
        return failure();
      value.setType(parameter.getType());
      weight.setType(parameter.getType());
    }
    return success();
  }

  /// Leaves |parameter|, and its scales, the rank's part.
  LogicalResult splitParameter(ParameterOp parameter, SplitAttr split) {
    if (parameter.getSplit() == split)
      return success(); // by another bucket's call
    if (parameter.getSplit() || isReadElsewhere(parameter))
      return emitCodedOpError(parameter, 2001)
             << "is read where it is whole and where it is shared";
    RankedTensorType type = parameter.getTensorType();
    LayoutAttr layout = getLayout(type);
    if (type.getRank() != 2 ||
        (layout && layout.getStorage() != dsv3::Storage::Whole))
      return emitCodedOpError(parameter, 2001)
             << "is shared by ranks and is no matrix of one tensor";
    bool isRows = split.getDim() == SplitDim::Rows;
    StringRef what = isRows ? "rows" : "columns";
    SmallVector<int64_t> shape(type.getShape());
    int64_t &extent = shape[isRows ? 0 : 1];
    if (extent % (tp * split.getUnit()))
      return emitCodedOpError(parameter, 2006)
             << "has " << extent << " " << what << ", which " << tp
             << " ranks do not share in units of " << split.getUnit();
    extent /= tp;
    if (isFP8(type) && extent % kBlock)
      return emitCodedOpError(parameter, 2006)
             << "has " << extent << " " << what << " a rank, which cut a 128-"
             << (isRows ? "row" : "column") << " scale block";
    if (isInt4(type) && !isRows && extent % kInt4Group)
      return emitCodedOpError(parameter, 2006)
             << "has " << extent << " columns a rank, which cut a group of "
             << kInt4Group;
    parameter.setType(RankedTensorType::get(shape, type.getElementType(),
                                            type.getEncoding()));
    parameter.setSplitAttr(split);
    // Views have no stride of columns.
    if (!isRows)
      parameter.setPlace(Placement::Copy);
    if (!parameter.getScale())
      return success();
    auto scale = symbols.lookup<ParameterOp>(*parameter.getScale());
    RankedTensorType scales = scale.getTensorType();
    scale.setType(
        RankedTensorType::get(getScaleShape(parameter.getTensorType()),
                              scales.getElementType(), scales.getEncoding()));
    scale.setSplitAttr(
        SplitAttr::get(module.getContext(), split.getDim(), Axis::TP, 1));
    return success();
  }

  /// True if an embedding reads |parameter| too (tied embeddings).
  bool isReadElsewhere(ParameterOp parameter) {
    bool found = false;
    module.walk([&](EmbedOp embed) {
      auto get = embed.getTable().getDefiningOp<GetParameterOp>();
      found |= get && get.getParameter() == parameter.getSymName();
    });
    return found;
  }

  //===--- Rows -----------------------------------------------------------===//

  /// Splits the tokens of |func|, which returns |returned| of them.
  void splitRows(func::FuncOp func, Extent returned) {
    Block &body = func.front();
    llvm::DenseSet<Operation *> onTokens = findOnTokens(body);
    if (func.isPrivate())
      for (BlockArgument argument : body.getArguments())
        if (hasRows(argument.getType(), Extent::Tokens))
          argument.setType(withRows(typeOf(argument), Extent::Slice));
    converted.clear();
    for (Operation &op : llvm::make_early_inc_range(body)) {
      Extent wanted = onTokens.contains(&op)    ? Extent::Tokens
                      : isa<func::ReturnOp>(op) ? returned
                                                : Extent::Slice;
      for (OpOperand &operand : op.getOpOperands())
        convert(operand, wanted);
      if (wanted == Extent::Slice)
        for (Value result : op.getResults())
          if (hasRows(result.getType(), Extent::Tokens))
            result.setType(withRows(typeOf(result), Extent::Slice));
    }
    auto ret = cast<func::ReturnOp>(body.getTerminator());
    func.setFunctionType(FunctionType::get(
        module.getContext(), body.getArgumentTypes(), ret.getOperandTypes()));
  }

  /// The operations of |body| on all tokens: those that need them, and those
  /// that work on any rows for such alone.
  llvm::DenseSet<Operation *> findOnTokens(Block &body) {
    llvm::DenseSet<Operation *> found;
    for (Operation &op : llvm::reverse(body)) {
      bool needs = isa<RopeOp, AppendLatentOp, MlaOp, GatherRowsOp>(op) ||
                   ofHeads.contains(&op);
      bool serves = isa<RmsNormOp, SliceOp, LinearOp>(op) && !op.use_empty() &&
                    llvm::all_of(op.getUsers(), [&](Operation *user) {
                      return found.contains(user);
                    });
      if (needs || serves)
        found.insert(&op);
    }
    return found;
  }

  /// Makes |operand| a value of |wanted| rows.
  void convert(OpOperand &operand, Extent wanted) {
    Value value = operand.get();
    Operation *user = operand.getOwner();
    OpBuilder b(user);
    if (partial.contains(value))
      value = once(value, "reduce", [&]() -> Value {
        return AllReduceOp::create(b, splitLoc(value.getDefiningOp(), "reduce"),
                                   value.getType(), value, Axis::TP);
      });
    if (wanted == Extent::Slice && hasRows(value.getType(), Extent::Tokens))
      value = once(value, "slice", [&]() -> Value {
        return TakeSliceOp::create(b, splitLoc(user, "slice"),
                                   withRows(typeOf(value), Extent::Slice),
                                   value);
      });
    if (wanted == Extent::Tokens && hasRows(value.getType(), Extent::Slice))
      value = once(value, "gather", [&]() -> Value {
        Location loc = splitLoc(user, "gather");
        if (isa<func::ReturnOp>(user))
          loc = fuseLoc("hidden", "shard-layers", value.getDefiningOp());
        return AllGatherOp::create(
                   b, loc, TypeRange{withRows(typeOf(value), Extent::Tokens)},
                   ValueRange{value}, Axis::TP)
            .getResult(0);
      });
    operand.set(value);
  }

  /// What |make| makes of |value|, which it does once for each |kind|.
  Value once(Value value, StringRef kind, llvm::function_ref<Value()> make) {
    auto [it, isNew] = converted.try_emplace({value, kind});
    if (isNew)
      it->second = make();
    return it->second;
  }

  ModuleOp module;
  int64_t tp;
  shard::TensorOptions options;
  SymbolTable symbols;
  llvm::StringMap<SmallVector<func::CallOp>> calls;
  // Of the function at hand: products with a part of a weight, and those that
  // are sums over ranks.
  llvm::DenseSet<Operation *> ofHeads;
  llvm::DenseSet<Value> partial;
  llvm::DenseMap<std::pair<Value, StringRef>, Value> converted;
};

} // namespace

LogicalResult hadal::shard::shardTensors(ModuleOp module, MeshAttr mesh,
                                         const TensorOptions &options) {
  return TensorSharder(module, mesh, options).run();
}
