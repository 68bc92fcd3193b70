// Functions, calls and the residual stream.
#include "passes/Dsv3ToExec/Lowering.h"
#include "passes/Identity/Names.h"

using namespace mlir;

namespace hadal::lower {

/// True for an activation: a tensor with a dynamic extent. Weights, tables and
/// vectors are static.
static bool isActivation(Value value) {
  auto type = dyn_cast<RankedTensorType>(value.getType());
  return type && !type.hasStaticShape();
}

static bool isParameter(Value value) {
  auto type = dyn_cast<RankedTensorType>(value.getType());
  return type && type.hasStaticShape();
}

FunctionLowering::FunctionLowering(ProgramContext &context,
                                   func::FuncOp source,
                                   dsv3::BucketAttr bucket, Block *body)
    : context(context), source(source), functionBucket(bucket),
      b(OpBuilder::atBlockEnd(body)) {}

/// The operand of |call| whose memory its result takes over: its only
/// activation.
static FailureOr<unsigned> findTiedOperand(func::CallOp call) {
  std::optional<unsigned> tied;
  for (auto [index, operand] : llvm::enumerate(call.getOperands()))
    if (isActivation(operand)) {
      if (tied)
        return call.emitError("a layer takes one activation, the residual "
                              "stream; found two");
      tied = index;
    }
  if (!tied || call.getNumResults() != 1 ||
      call.getOperand(*tied).getType() != call.getResult(0).getType())
    return call.emitError("a layer takes and returns the residual stream");
  return *tied;
}

/// Checks that |value|, whose memory |writer| overwrites, is not read there or
/// later.
static LogicalResult checkLastUse(Value value, Operation *writer) {
  for (Operation *user : value.getUsers())
    if (user == writer || writer->isBeforeInBlock(user))
      return user->emitError("reads the residual stream after '")
             << writer->getName() << "' has overwritten it";
  return success();
}

/// The returned value lives where the caller says; so does every value that a
/// chain of calls passes through to it.
LogicalResult FunctionLowering::bindResult() {
  auto ret = cast<func::ReturnOp>(source.front().getTerminator());
  if (ret.getNumOperands() != 1)
    return ret.emitError("a function of a bucket returns one value");
  Storage result;
  if (dsv3::isHead(functionBucket.getKind())) {
    result.data =
        exec::OutputOp::create(b, getSymbolLoc(b.getContext(), "logits"),
                               exec::Output::Logits);
  } else if (source.isPrivate()) {
    // In place of the argument.
    for (BlockArgument arg : source.getArguments())
      if (isActivation(arg))
        result = storages.lookup(arg);
  } else {
    StringRef state = hiddenWrittenBy(functionBucket.getKind());
    result.data = exec::GetStateOp::create(
        b, getSymbolLoc(b.getContext(), state), state);
  }
  Value value = ret.getOperand(0);
  while (auto call = value.getDefiningOp<func::CallOp>()) {
    FailureOr<unsigned> tied = bindCall(call, result);
    if (failed(tied))
      return failure();
    value = call.getOperand(*tied);
  }
  if (isa<BlockArgument>(value))
    return ret.emitError("a function of a bucket computes what it returns");
  // Layers whose stream is returned by way of a collective are in place too.
  Operation *last = value.getDefiningOp();
  for (auto call : source.getBody().getOps<func::CallOp>()) {
    if (storages.contains(call.getResult(0)))
      continue;
    FailureOr<unsigned> tied = bindCall(call, result);
    if (failed(tied) || failed(checkLastUse(call.getResult(0), last)))
      return failure();
    storages[call.getOperand(*tied)] = result;
  }
  storages[value] = result;
  if (source.isPrivate())
    for (BlockArgument arg : source.getArguments())
      if (isActivation(arg) && failed(checkLastUse(arg, last)))
        return failure();
  return success();
}

/// Gives the result of |call| the memory |stream|, which the layer overwrites;
/// the number of the operand that lies there before.
FailureOr<unsigned> FunctionLowering::bindCall(func::CallOp call,
                                               Storage stream) {
  FailureOr<unsigned> tied = findTiedOperand(call);
  if (failed(tied))
    return failure();
  storages[call.getResult(0)] = stream;
  for (Operation *user : call.getOperand(*tied).getUsers())
    if (user != call && call->isBeforeInBlock(user))
      return user->emitError("reads the residual stream after a layer has "
                             "overwritten it");
  return *tied;
}

LogicalResult FunctionLowering::lowerGetParameter(dsv3::GetParameterOp op) {
  Storage storage;
  storage.data = exec::GetParameterOp::create(b, op.getLoc(),
                                              op.getParameterAttr());
  if (auto parameter =
          context.symbols.lookup<dsv3::ParameterOp>(op.getParameter());
      parameter && dsv3::isQuantized(parameter.getType()))
    storage.scale = exec::GetParameterOp::create(
        b, getSymbolLoc(b.getContext(), *parameter.getScale()),
                                                 parameter.getScaleAttr());
  storages[op.getValue()] = storage;
  return success();
}

/// |run| are consecutive calls of one function.
LogicalResult
FunctionLowering::lowerCalls(func::CallOp first,
                             ArrayRef<func::CallOp> run) {
  SmallVector<Value> parameters, states;
  for (func::CallOp call : run) {
    for (Value operand : call.getOperands()) {
      Storage storage = storages.lookup(operand);
      if (isa<dsv3::BatchType>(operand.getType()))
        continue;
      if (!storage.data)
        return call.emitError("an operand has no memory");
      if (!isParameter(operand)) {
        states.push_back(storage.data);
        continue;
      }
      parameters.push_back(storage.data);
      if (storage.scale)
        parameters.push_back(storage.scale);
    }
  }
  StringRef callee = first.getCallee();
  if (run.size() == 1) {
    exec::CallOp::create(b, first.getLoc(), callee, parameters, states);
    return success();
  }
  SmallVector<Operation *> calls(run.begin(), run.end());
  exec::RepeatOp::create(
      b, fuseLoc(getLocalName(first), "lower-dsv3-to-exec", calls), run.size(),
      callee, parameters, states);
  return success();
}

LogicalResult FunctionLowering::run() {
  if (failed(bindResult()))
    return failure();
  // References first, so that calls of one function become neighbours.
  for (Operation &op : source.front()) {
    if (auto get = dyn_cast<dsv3::GetParameterOp>(op)) {
      if (failed(lowerGetParameter(get)))
        return failure();
    } else if (auto get = dyn_cast<dsv3::GetStateOp>(op)) {
      storages[get.getValue()].data =
          exec::GetStateOp::create(b, get.getLoc(), get.getStateAttr());
    }
  }
  SmallVector<func::CallOp> pending;
  auto flush = [&]() -> LogicalResult {
    if (pending.empty())
      return success();
    LogicalResult result = lowerCalls(pending.front(), pending);
    pending.clear();
    return result;
  };
  for (Operation &op : source.front()) {
    if (isa<dsv3::GetParameterOp, dsv3::GetStateOp>(op))
      continue;
    if (auto call = dyn_cast<func::CallOp>(op)) {
      if (!pending.empty() &&
          pending.front().getCallee() != call.getCallee() && failed(flush()))
        return failure();
      pending.push_back(call);
      continue;
    }
    if (failed(flush()))
      return failure();
    if (failed(lowerOperation(&op)))
      return failure();
  }
  return success();
}

LogicalResult FunctionLowering::lowerOperation(Operation *op) {
  if (isa<func::ReturnOp>(op))
    return success();
  if (auto start = dyn_cast<dsv3::StartOp>(op))
    return lowerStart(start);
  if (auto await = dyn_cast<dsv3::AwaitOp>(op))
    return lowerAwait(await), success();
  return lowerKernel(op);
}

} // namespace hadal::lower
