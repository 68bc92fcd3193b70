#include "passes/Overlap/LayerWeaver.h"

#include <map>

#include "mlir/IR/IRMapping.h"
#include "passes/Identity/Names.h"

using namespace mlir;

namespace hadal {

void WovenLayer::findCarried(llvm::StringSet<> &taken) {
  for (unsigned batch = 0; batch < kMicroBatches; ++batch) {
    const unsigned first = interleaving.first[batch];
    // Of a buffer: used with the layer before, used with its own.
    llvm::MapVector<Operation *, std::array<bool, 2>> uses;
    auto use = [&](OperandRange refs, bool own) {
      for (Value ref : refs)
        if (auto buffer = ref.getDefiningOp<exec::BufferOp>())
          uses[buffer][own] = true;
    };
    for (auto [index, stage] : llvm::enumerate(stages)) {
      for (exec::LaunchOp launch : stage.launches)
        use(launch.getRefs(), index >= first);
      if (stage.starts)
        use(stage.starts->getOperands(),
            index >= first || isDeferred(index, batch));
    }
    for (auto &[op, sides] : uses) {
      if (!sides[0] || !sides[1])
        continue;
      std::string name =
          (cast<exec::BufferOp>(op).getLabel() + "." + Twine(batch)).str();
      for (unsigned n = 2; !taken.insert(name).second; ++n)
        name = (cast<exec::BufferOp>(op).getLabel() + "." + Twine(batch) + "#" +
                Twine(n))
                   .str();
      carried[{op, batch}] = name;
    }
  }
}

namespace {

class LayerEmitter {
public:
  LayerEmitter(const WovenLayer &woven, StringRef name,
               const MicroBatchOffsets &offsets)
      : woven(woven), layer(woven.layer), function(create(name)),
        b(OpBuilder::atBlockEnd(&function.getBodyBlock())),
        refs(&function.getBodyBlock(), offsets) {}

  WovenFunction run(bool hasCurrent, bool hasNext) {
    if (hasCurrent)
      for (unsigned batch = 0; batch < kMicroBatches; ++batch)
        if (unsigned first = woven.interleaving.first[batch];
            first > 0 && woven.stages[first - 1].starts)
          start(woven.stages[first - 1], batch, Relative::current);
    for (auto [stage, batch] : woven.interleaving.turns) {
      Relative side = stage >= woven.interleaving.first[batch]
                          ? Relative::current
                          : Relative::next;
      if (side == Relative::current ? hasCurrent : hasNext)
        runStage(stage, batch, side);
    }
    for (auto &begun : inFlight)
      for (auto &[label, event] : begun)
        exec::WaitOp::create(b, layer.getLoc(), event, exec::kLaunchStream);
    return finish();
  }

private:
  /// Arguments: parameters of the current layer, of the next; states likewise.
  exec::FuncOp create(StringRef name) {
    OpBuilder outside(layer);
    const unsigned parameters = layer.getNumParameters();
    const unsigned all = layer.getBody().getNumArguments();
    auto add = [&](unsigned begin, unsigned end) {
      for (Relative side : {Relative::current, Relative::next})
        for (unsigned i = begin; i < end; ++i)
          arguments.push_back({i, side});
    };
    add(0, parameters);
    add(parameters, all);
    auto result =
        exec::FuncOp::create(outside, layer.getLoc(), name, 2 * parameters,
                             outside.getArrayAttr({}));
    Block *block = &result.getBody().emplaceBlock();
    // Their names, not the locations of the layer's arguments, which a file of
    // IR does not keep.
    for (WovenFunction::Argument argument : arguments)
      argumentAt[{argument.number, argument.layer}] = block->addArgument(
          exec::RefType::get(outside.getContext()),
          getSymbolLoc(outside.getContext(), nameOf(argument)));
    return result;
  }

  std::string nameOf(WovenFunction::Argument argument) {
    std::string name =
        cast<StringAttr>(layer.getArgNames()[argument.number]).str();
    return argument.layer == Relative::next ? name + ".next" : name;
  }

  void runStage(unsigned index, unsigned batch, Relative side) {
    const LayerStage &stage = woven.stages[index];
    if (auto begun = inFlight[batch].find(stage.awaits);
        begun != inFlight[batch].end()) {
      exec::WaitOp::create(b, layer.getLoc(), begun->second,
                           exec::kLaunchStream);
      inFlight[batch].erase(begun);
    }
    for (exec::LaunchOp launch : stage.launches)
      clone(launch, batch, side);
    if (stage.starts && !woven.isDeferred(index, batch))
      start(stage, batch, side);
  }

  void start(const LayerStage &stage, unsigned batch, Relative side) {
    exec::CollectiveOp collective = stage.starts;
    Location loc = collective.getLoc();
    const int64_t ready = numEvents++, done = numEvents++;
    exec::RecordOp::create(b, loc, ready, exec::kLaunchStream);
    exec::WaitOp::create(b, loc, ready, exec::kCollectiveStream);
    clone(collective, batch, side);
    exec::RecordOp::create(b, loc, done, exec::kCollectiveStream);
    inFlight[batch][collective.getLabel().str()] = done;
  }

  void clone(Operation *op, unsigned batch, Relative side) {
    IRMapping map;
    for (Value ref : op->getOperands())
      map.map(ref, refOf(ref, batch, side));
    b.clone(*op, map);
  }

  Value refOf(Value ref, unsigned batch, Relative side) {
    if (auto arg = dyn_cast<BlockArgument>(ref)) {
      const unsigned number = arg.getArgNumber();
      if (woven.isShared[number])
        side = Relative::current;
      Value mine = argumentAt[{number, side}];
      return woven.isHidden[number] ? refs.hidden(mine, batch) : mine;
    }
    if (auto input = ref.getDefiningOp<exec::InputOp>())
      return refs.input(input, batch);
    auto buffer = ref.getDefiningOp<exec::BufferOp>();
    if (!buffer) {
      Value &output = outputs[ref];
      if (!output)
        output = b.clone(*ref.getDefiningOp())->getResult(0);
      return output;
    }
    auto carried = woven.carried.find({buffer, batch});
    // A carried one is the same for the layer that leaves and the one that
    // comes.
    if (carried != woven.carried.end())
      side = Relative::current;
    Value &mine = buffers[{buffer, batch, side}];
    if (!mine)
      mine = refs.buffer(buffer,
                         carried == woven.carried.end() ? "" : carried->second);
    return mine;
  }

  /// Drops the arguments that nothing uses.
  WovenFunction finish() {
    WovenFunction result;
    result.function = function;
    Block &block = function.getBodyBlock();
    const unsigned numParameters = layer.getNumParameters();
    SmallVector<StringRef> names;
    SmallVector<std::string> texts;
    BitVector unused(block.getNumArguments());
    for (auto [index, argument] : llvm::enumerate(arguments)) {
      if (block.getArgument(index).use_empty()) {
        unused.set(index);
        continue;
      }
      (argument.number < numParameters ? result.parameters : result.states)
          .push_back(argument);
      texts.push_back(nameOf(argument));
    }
    block.eraseArguments(unused);
    names.assign(texts.begin(), texts.end());
    function.setNumParameters(result.parameters.size());
    function.setArgNamesAttr(b.getStrArrayAttr(names));
    return result;
  }

  const WovenLayer &woven;
  exec::FuncOp layer;
  SmallVector<WovenFunction::Argument> arguments;
  std::map<std::pair<unsigned, Relative>, Value> argumentAt;
  exec::FuncOp function;
  OpBuilder b;
  RefBuilder refs;
  std::map<std::tuple<Operation *, unsigned, Relative>, Value> buffers;
  DenseMap<Value, Value> outputs;
  /// Of each micro-batch: the event of each collective that nothing awaited
  /// yet.
  std::array<std::map<std::string, int64_t>, kMicroBatches> inFlight;
  int64_t numEvents = 0;
};

} // namespace

WovenFunction weaveLayer(const WovenLayer &woven, StringRef name,
                         bool hasCurrent, bool hasNext,
                         const MicroBatchOffsets &offsets) {
  return LayerEmitter(woven, name, offsets).run(hasCurrent, hasNext);
}

} // namespace hadal
