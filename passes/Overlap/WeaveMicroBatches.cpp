#include "mlir/IR/IRMapping.h"
#include "passes/Overlap/LayerWeaver.h"
#include "passes/Overlap/Passes.h"

namespace hadal {
#define GEN_PASS_DEF_WEAVEMICROBATCHES
#include "passes/Overlap/Passes.h.inc"
} // namespace hadal

using namespace hadal;
using namespace mlir;

namespace {

/// Weaves one entry.
class EntryWeaver {
public:
  EntryWeaver(exec::EntryOp entry, SymbolTable &symbols,
              const MicroBatchOffsets &offsets)
      : entry(entry), symbols(symbols), offsets(offsets) {}

  LogicalResult run() {
    SmallVector<Operation *> commands;
    for (Operation &op : entry.getBodyBlock())
      if (isa<exec::LaunchOp, exec::CallOp, exec::RepeatOp>(op))
        commands.push_back(&op);
      else if (isa<exec::CollectiveOp, exec::RecordOp, exec::WaitOp>(op))
        return op.emitOpError("is in an entry of micro-batches; its layers may "
                              "have collectives, it may not");
    RefBuilder refs(&entry.getBodyBlock(), offsets);
    for (Operation *op : commands) {
      if (auto launch = dyn_cast<exec::LaunchOp>(op)) {
        runTwice(launch, refs);
        continue;
      }
      if (failed(weaveCall(op)))
        return failure();
    }
    if (!isWoven)
      return entry.emitOpError(
          "of micro-batches has no layer with collectives");
    for (exec::FuncOp layer : replaced)
      symbols.erase(layer);
    entry.removeInterleavingAttr();
    return success();
  }

private:
  /// Runs |launch| for the other micro-batch too.
  void runTwice(exec::LaunchOp launch, RefBuilder &refs) {
    OpBuilder b(launch->getContext());
    b.setInsertionPointAfter(launch);
    IRMapping map;
    for (Value ref : launch.getRefs())
      map.map(ref, secondOf(ref, refs));
    b.clone(*launch, map);
  }

  /// What |ref| is for the second micro-batch.
  Value secondOf(Value ref, RefBuilder &refs) {
    if (auto input = ref.getDefiningOp<exec::InputOp>())
      return refs.input(input, 1);
    if (auto state = ref.getDefiningOp<exec::GetStateOp>();
        state && state.getState() == kHiddenState)
      return refs.hidden(ref, 1);
    if (auto arg = dyn_cast<BlockArgument>(ref);
        arg && hiddenArguments.contains(arg))
      return refs.hidden(ref, 1);
    if (auto buffer = ref.getDefiningOp<exec::BufferOp>()) {
      Value &mine = secondBuffers[ref];
      if (!mine)
        mine = refs.buffer(buffer);
      return mine;
    }
    return ref;
  }

  static int64_t countOf(Operation *call) {
    auto repeat = dyn_cast<exec::RepeatOp>(call);
    return repeat ? repeat.getCount() : 1;
  }
  /// The references that iteration |i| of |call| gets: parameters, then states.
  static SmallVector<Value> operandsOf(Operation *call, int64_t i) {
    SmallVector<Value> result;
    auto take = [&](OperandRange refs) {
      size_t each = refs.size() / countOf(call);
      llvm::append_range(result, refs.slice(i * each, each));
    };
    if (auto repeat = dyn_cast<exec::RepeatOp>(call)) {
      take(repeat.getParameters());
      take(repeat.getStates());
    } else {
      take(cast<exec::CallOp>(call).getParameters());
      take(cast<exec::CallOp>(call).getStates());
    }
    return result;
  }

  LogicalResult weaveCall(Operation *call) {
    auto layer = symbols.lookup<exec::FuncOp>(
        call->getAttrOfType<FlatSymbolRefAttr>("callee").getValue());
    WovenLayer woven;
    woven.layer = layer;
    SmallVector<SmallVector<Value>> operands;
    for (int64_t i = 0; i < countOf(call); ++i)
      operands.push_back(operandsOf(call, i));
    for (auto [number, ref] : llvm::enumerate(operands.front())) {
      auto state = ref.getDefiningOp<exec::GetStateOp>();
      woven.isHidden.push_back(state && state.getState() == kHiddenState);
      woven.isShared.push_back(
          llvm::all_of(operands, [&, number = number](ArrayRef<Value> each) {
            return each[number] == ref;
          }));
    }
    std::string why;
    std::optional<LayerStages> stages = findLayerStages(layer, why);
    if (!stages) {
      // One after the other, its collectives too: no order of stages says more.
      isWoven |= !layer.getOps<exec::CollectiveOp>().empty();
      if (doubled.insert(layer).second)
        return doubleFunction(layer, woven.isHidden);
      return success();
    }
    if (doubled.contains(layer))
      return call->emitOpError("calls '")
             << layer.getSymName() << "' again; its layers must be one run";
    doubled.insert(layer);
    woven.stages = std::move(*stages);
    auto interleaving =
        parseInterleaving(*entry.getInterleaving(), woven.stages, why);
    if (!interleaving)
      return entry.emitOpError("interleaving of '")
             << layer.getSymName() << "': " << why;
    woven.interleaving = std::move(*interleaving);
    woven.findCarried(carriedNames);
    replace(call, woven, operands);
    isWoven = true;
    return success();
  }

  /// Makes prologue, bodies and epilogue of |call|.
  void replace(Operation *call, WovenLayer &woven,
               ArrayRef<SmallVector<Value>> operands) {
    OpBuilder b(call);
    const std::string name = woven.layer.getSymName().str();
    auto make = [&](StringRef suffix, bool hasCurrent, bool hasNext) {
      WovenFunction made =
          weaveLayer(woven, name + suffix.str(), hasCurrent, hasNext, offsets);
      symbols.insert(made.function);
      return made;
    };
    auto pick = [&](ArrayRef<WovenFunction::Argument> arguments,
                    int64_t current, SmallVectorImpl<Value> &out) {
      for (const WovenFunction::Argument &argument : arguments) {
        // A shared one may stand where there is no current layer.
        int64_t layer = woven.isShared[argument.number]
                            ? 0
                            : current + static_cast<int64_t>(argument.layer);
        out.push_back(operands[layer][argument.number]);
      }
    };
    const int64_t layers = operands.size();
    auto run = [&](WovenFunction made, int64_t begin, int64_t end) {
      SmallVector<Value> parameters, states;
      for (int64_t i = begin; i < end; ++i) {
        pick(made.parameters, i, parameters);
        pick(made.states, i, states);
      }
      StringRef callee = made.function.getSymName();
      if (end - begin == 1)
        exec::CallOp::create(b, call->getLoc(), callee, parameters, states);
      else
        exec::RepeatOp::create(b, call->getLoc(), end - begin, callee,
                               parameters, states);
    };
    run(make("_prologue", false, true), -1, 0);
    if (layers > 1)
      run(make("_body", true, true), 0, layers - 1);
    run(make("_epilogue", true, false), layers - 1, layers);
    call->erase();
    replaced.push_back(woven.layer);
  }

  /// Runs what |function| runs for the other micro-batch too, behind it.
  LogicalResult doubleFunction(exec::FuncOp function, ArrayRef<bool> isHidden) {
    Block &block = function.getBodyBlock();
    for (auto [arg, hidden] : llvm::zip(block.getArguments(), isHidden))
      if (hidden)
        hiddenArguments.insert(arg);
    SmallVector<Operation *> commands;
    int64_t numEvents = 0;
    for (Operation &op : block) {
      if (isa<exec::CallOp, exec::RepeatOp>(op))
        return op.emitOpError("is in a function of an entry of micro-batches, "
                              "which calls no other");
      if (isa<exec::LaunchOp, exec::CollectiveOp, exec::RecordOp, exec::WaitOp>(
              op))
        commands.push_back(&op);
      if (auto record = dyn_cast<exec::RecordOp>(op))
        numEvents = std::max(numEvents, record.getEvent() + 1);
    }
    RefBuilder refs(&block, offsets);
    OpBuilder b = OpBuilder::atBlockEnd(&block);
    for (Operation *op : commands) {
      IRMapping map;
      for (Value ref : op->getOperands())
        map.map(ref, secondOf(ref, refs));
      Operation *copy = b.clone(*op, map);
      if (auto record = dyn_cast<exec::RecordOp>(copy))
        record.setEvent(record.getEvent() + numEvents);
      else if (auto wait = dyn_cast<exec::WaitOp>(copy))
        wait.setEvent(wait.getEvent() + numEvents);
    }
    return success();
  }

  exec::EntryOp entry;
  SymbolTable &symbols;
  const MicroBatchOffsets &offsets;
  llvm::SmallPtrSet<Operation *, 4> doubled;
  SmallVector<exec::FuncOp> replaced;
  llvm::SmallDenseSet<Value> hiddenArguments;
  DenseMap<Value, Value> secondBuffers;
  llvm::StringSet<> carriedNames;
  bool isWoven = false;
};

struct WeaveMicroBatchesPass
    : hadal::impl::WeaveMicroBatchesBase<WeaveMicroBatchesPass> {
  void runOnOperation() override {
    SymbolTable symbols(getOperation());
    for (auto entry : llvm::to_vector(getOperation().getOps<exec::EntryOp>())) {
      if (!entry.getInterleaving())
        continue;
      std::optional<MicroBatchOffsets> offsets = MicroBatchOffsets::of(entry);
      if (!offsets || failed(EntryWeaver(entry, symbols, *offsets).run()))
        return signalPassFailure();
    }
  }
};

} // namespace
