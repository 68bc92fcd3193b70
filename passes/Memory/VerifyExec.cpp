#include "passes/Memory/Passes.h"

#include <map>

#include "dialects/Exec/IR/Exec.h"
#include "kernels/SpecAttr.h"
#include "passes/Memory/KernelSlots.h"
#include "passes/Memory/StreamClocks.h"
#include "passes/Memory/VerifyDeterminism.h"

using namespace mlir;

namespace hadal {

#define GEN_PASS_DEF_VERIFYEXEC
#include "passes/Memory/Passes.h.inc"

namespace {

/// A range of bytes that one slot of a launch, or one array of a collective,
/// touches. Memory outside the arena is one range of its own per object.
struct Access {
  Value root; // the op result of entry or function that names the memory
  bool inArena = false;
  int64_t begin = 0, end = 0;
  bool reads = false, writes = false;
  Operation *command = nullptr;
  StringRef slot; // of a launch; of a collective "send", "receive", "counts"
  unsigned part = 0;
  int64_t number = 0; // of the command

  bool overlaps(const Access &other) const {
    if (inArena != other.inArena)
      return false;
    if (!inArena)
      return root == other.root;
    return begin < other.end && other.begin < end;
  }
};

/// Which buffer wrote each byte of the arena last.
class ArenaContents {
public:
  void write(int64_t begin, int64_t end, Operation *buffer) {
    cut(begin);
    cut(end);
    pieces.erase(pieces.lower_bound(begin), pieces.lower_bound(end));
    pieces[begin] = {end, buffer};
  }

  /// Calls |fn|(begin, end, owner) for the pieces of [begin, end) in order, with
  /// a null owner for bytes that nothing wrote.
  template <typename Fn> void forEach(int64_t begin, int64_t end, Fn fn) {
    cut(begin);
    cut(end);
    int64_t cursor = begin;
    for (auto it = pieces.lower_bound(begin);
         it != pieces.end() && it->first < end; ++it) {
      if (it->first > cursor)
        fn(cursor, it->first, static_cast<Operation *>(nullptr));
      fn(it->first, it->second.end, it->second.owner);
      cursor = it->second.end;
    }
    if (cursor < end)
      fn(cursor, end, static_cast<Operation *>(nullptr));
  }

private:
  struct Piece {
    int64_t end;
    Operation *owner;
  };

  /// Makes |at| a boundary between pieces.
  void cut(int64_t at) {
    auto it = pieces.upper_bound(at);
    if (it == pieces.begin())
      return;
    --it;
    if (it->first < at && it->second.end > at) {
      pieces[at] = it->second;
      it->second.end = at;
    }
  }

  std::map<int64_t, Piece> pieces; // begin ->
};

std::string describe(Value root) {
  Operation *op = root.getDefiningOp();
  return llvm::TypeSwitch<Operation *, std::string>(op)
      .Case([](exec::BufferOp b) {
        return ("buffer '" + b.getLabel() + "'").str();
      })
      .Case([](exec::GetParameterOp p) {
        return ("parameter '" + p.getParameter() + "'").str();
      })
      .Case([](exec::GetStateOp s) {
        return ("state '" + s.getState() + "'").str();
      })
      .Case([](exec::InputOp i) {
        return ("input '" + exec::stringifyInput(i.getName()) + "'").str();
      })
      .Default([](Operation *o) {
        return ("output '" +
                exec::stringifyOutput(cast<exec::OutputOp>(o).getName()) + "'")
            .str();
      });
}

/// "slot 'x'", "the receive of part 1".
std::string describeSlot(const Access &access) {
  if (isa<exec::LaunchOp>(access.command))
    return ("slot '" + access.slot + "'").str();
  if (access.slot == "counts")
    return "the array of counts";
  return ("the " + access.slot + " of part " + Twine(access.part)).str();
}

/// Runs one entry symbolically.
class EntryVerifier {
public:
  EntryVerifier(exec::EntryOp entry, SymbolTable &symbols,
                DenseMap<Operation *, exec::EntryOp> &ownerOf)
      : entry(entry), symbols(symbols), ownerOf(ownerOf),
        isConcurrent(exec::getMesh(entry->getParentOfType<ModuleOp>())) {}

  LogicalResult run() {
    if (!entry.getArena())
      return entry.emitError("entry '")
             << entry.getSymName()
             << "' has no arena; run hadal-plan-buffers first";
    if (entry.getInterleaving())
      return entry.emitError("entry '")
             << entry.getSymName()
             << "' is that of one of its micro-batches; run "
                "hadal-weave-micro-batches first";
    return runBlock(entry.getBodyBlock(), Bindings());
  }

private:
  using Bindings = DenseMap<Value, Value>;

  Value resolve(Value ref, const Bindings &bindings) {
    if (auto at = ref.getDefiningOp<exec::AtOp>())
      ref = at.getBase();
    if (auto buffer = ref.getDefiningOp<exec::BufferOp>();
        buffer && !buffer.getCarried().empty())
      return carried.lookup(buffer.getCarried());
    auto it = bindings.find(ref);
    return it == bindings.end() ? ref : it->second;
  }

  /// Carried buffers of one name are one, whichever function names it.
  LogicalResult checkCarried(Block &block) {
    for (auto buffer : block.getOps<exec::BufferOp>()) {
      if (buffer.getCarried().empty())
        continue;
      auto [it, isNew] =
          carried.try_emplace(buffer.getCarried(), buffer.getRef());
      auto first = it->second.getDefiningOp<exec::BufferOp>();
      if (buffer.getBytes() != first.getBytes() ||
          buffer.getOffset() != first.getOffset() ||
          buffer.getExchange() != first.getExchange())
        return buffer.emitOpError("carried as '")
               << buffer.getCarried() << "' has other bytes than that of '"
               << cast<SymbolOpInterface>(first->getParentOp()).getName()
               << "'";
    }
    return success();
  }

  LogicalResult runBlock(Block &block, const Bindings &bindings) {
    if (failed(checkCarried(block)))
      return failure();
    Events events;
    const int64_t before = lastCollective;
    for (Operation &op : block) {
      if (auto launch = dyn_cast<exec::LaunchOp>(op)) {
        SmallVector<Access> accesses;
        if (failed(checkLaunch(launch, bindings, accesses)) ||
            failed(perform(launch.getStream(), accesses)))
          return failure();
      } else if (auto collective = dyn_cast<exec::CollectiveOp>(op)) {
        SmallVector<Access> accesses;
        if (failed(checkCollective(collective, bindings, accesses)) ||
            failed(perform(exec::kCollectiveStream, accesses)))
          return failure();
        lastCollective = number;
      } else if (auto record = dyn_cast<exec::RecordOp>(op)) {
        auto [it, isNew] = events.try_emplace(record.getEvent());
        if (!isNew)
          return record.emitOpError("records event ")
                 << record.getEvent() << " a second time";
        it->second = {record, clocks[record.getStream()]};
      } else if (auto wait = dyn_cast<exec::WaitOp>(op)) {
        auto it = events.find(wait.getEvent());
        if (it == events.end())
          return wait.emitOpError("waits for event ")
                 << wait.getEvent() << ", which nothing before it recorded";
        if (it->second.isAwaited)
          return wait.emitOpError("waits for event ")
                 << wait.getEvent() << " a second time";
        clocks.join(wait.getStream(), it->second.clock);
        it->second.isAwaited = true;
      } else if (auto call = dyn_cast<exec::CallOp>(op)) {
        if (failed(runCallee(call, call.getCallee(), call.getParameters(),
                             call.getStates(), bindings)))
          return failure();
      } else if (auto repeat = dyn_cast<exec::RepeatOp>(op)) {
        int64_t count = repeat.getCount();
        size_t parameters = repeat.getParameters().size() / count;
        size_t states = repeat.getStates().size() / count;
        // Offsets are the same in every iteration and nothing is in flight
        // between two, so that two show every conflict between neighbours.
        for (int64_t i = 0; i < std::min<int64_t>(count, 2); ++i)
          if (failed(runCallee(
                  repeat, repeat.getCallee(),
                  repeat.getParameters().slice(i * parameters, parameters),
                  repeat.getStates().slice(i * states, states), bindings)))
            return failure();
      }
    }
    for (auto &[event, state] : events)
      if (!state.isAwaited)
        return state.record.emitOpError("records event ")
               << event << ", which nothing waits for";
    if (lastCollective != before &&
        clocks[exec::kLaunchStream][exec::kCollectiveStream] < lastCollective)
      return block.getParentOp()->emitError("'")
             << cast<SymbolOpInterface>(block.getParentOp()).getName()
             << "' ends before its launches wait for its last collective";
    return success();
  }

  LogicalResult runCallee(Operation *call, StringRef name,
                          OperandRange parameters, OperandRange states,
                          const Bindings &bindings) {
    auto callee = symbols.lookup<exec::FuncOp>(name);
    exec::EntryOp &owner = ownerOf[callee];
    if (owner && owner != entry)
      return call->emitOpError("reaches '")
             << name << "', which entry '" << owner.getSymName()
             << "' reaches too";
    owner = entry;
    if (!active.insert(callee).second)
      return call->emitOpError("calls '") << name << "' recursively";
    Bindings inner;
    for (auto [arg, ref] : llvm::zip_equal(callee.getParameters(), parameters))
      inner[arg] = resolve(ref, bindings);
    for (auto [arg, ref] : llvm::zip_equal(callee.getStates(), states))
      inner[arg] = resolve(ref, bindings);
    LogicalResult result = runBlock(callee.getBodyBlock(), inner);
    active.erase(callee);
    return result;
  }

  /// Checks the slots of |launch| one by one and lists what they touch.
  LogicalResult checkLaunch(exec::LaunchOp launch, const Bindings &bindings,
                            SmallVectorImpl<Access> &accesses) {
    if (launch.getStream() != exec::kLaunchStream)
      return launch.emitOpError("is on stream ")
             << launch.getStream() << ", launches belong on "
             << exec::kLaunchStream;
    auto kernel = symbols.lookup<tile::KernelOp>(launch.getKernel());
    auto [it, isNew] = slotsOf.try_emplace(kernel);
    if (isNew)
      it->second = getKernelSlots(kernel);
    ArrayRef<KernelSlot> slots = it->second;
    if (launch.getNumSlots() != slots.size())
      return launch.emitOpError("has ")
             << launch.getNumSlots() << " slots, kernel '"
             << launch.getKernel() << "' takes " << slots.size();
    for (auto [index, slot] : llvm::enumerate(slots)) {
      bool isNumber = launch.getScalars()[index] != exec::LaunchOp::kRef;
      if (isNumber != (slot.role == KernelSlot::Role::extent))
        return launch.emitOpError("slot '")
               << slot.name << "' takes "
               << (isNumber ? "a reference, found a number"
                            : "a number, found a reference");
      if (isNumber && launch.getScalars()[index] <= 0)
        return launch.emitOpError("slot '")
               << slot.name << "' has an extent of "
               << launch.getScalars()[index];
    }
    for (auto [index, slot] : llvm::enumerate(slots)) {
      if (slot.role == KernelSlot::Role::extent)
        continue;
      Access access;
      access.root = resolve(launch.getRef(index), bindings);
      access.command = launch;
      access.slot = slot.name;
      access.reads = slot.reads;
      access.writes = slot.writes;
      if (failed(place(launch, kernel, slots, index, access)))
        return failure();
      accesses.push_back(access);
    }
    return checkOwnOverlaps(launch, accesses);
  }

  /// No byte that a command writes is touched through another slot of it.
  static LogicalResult checkOwnOverlaps(Operation *command,
                                        ArrayRef<Access> accesses) {
    for (const Access &written : accesses)
      for (const Access &other : accesses)
        if (written.writes && &written != &other && written.overlaps(other))
          return command->emitOpError("writes ")
                 << describeSlot(written) << " (" << describe(written.root)
                 << ") over " << describeSlot(other) << " ("
                 << describe(other.root) << ")";
    return success();
  }

  /// Checks the arrays of |op| one by one and lists what they touch.
  LogicalResult checkCollective(exec::CollectiveOp op, const Bindings &bindings,
                                SmallVectorImpl<Access> &accesses) {
    int64_t ranks =
        symbols.lookup<exec::CommunicatorOp>(op.getCommunicator()).getSize();
    auto add = [&](Value ref, StringRef slot, unsigned part, int64_t bytes,
                   bool writes, bool isExchange) -> LogicalResult {
      Access access;
      access.root = resolve(ref, bindings);
      access.command = op;
      access.slot = slot;
      access.part = part;
      access.reads = !writes;
      access.writes = writes;
      auto buffer = access.root.getDefiningOp<exec::BufferOp>();
      if (!buffer || (isExchange && !buffer.getExchange()))
        return op.emitOpError()
               << describeSlot(access) << " is " << describe(access.root)
               << ", expected " << (isExchange ? "an exchange" : "a")
               << " buffer";
      if (failed(placeInBuffer(op, buffer, bytes, access)))
        return failure();
      accesses.push_back(access);
      return success();
    };
    for (unsigned i = 0; i < op.getNumParts(); ++i) {
      exec::CollectivePart part = op.getPart(i);
      if (failed(add(part.send, "send", i, op.getSendBytes(i, ranks),
                     /*writes=*/false, /*isExchange=*/true)) ||
          failed(add(part.receive, "receive", i, op.getReceiveBytes(i, ranks),
                     /*writes=*/true, /*isExchange=*/true)))
        return failure();
    }
    if (op.getCounts() &&
        failed(add(op.getCounts(), "counts", 0, op.getCountBytes(ranks),
                   /*writes=*/false, /*isExchange=*/false)))
      return failure();
    return checkOwnOverlaps(op, accesses);
  }

  /// Sets the bytes of |access|, the first |bytes| of |buffer|.
  LogicalResult placeInBuffer(Operation *command, exec::BufferOp buffer,
                              int64_t bytes, Access &access) {
    if (!buffer.getOffset())
      return buffer.emitOpError("has no offset; run hadal-plan-buffers first");
    if (bytes > buffer.getBytes())
      return command->emitOpError()
             << describeSlot(access) << " spans " << bytes << " bytes, "
             << describe(access.root) << " has " << buffer.getBytes();
    access.inArena = true;
    access.begin = *buffer.getOffset();
    access.end = access.begin + bytes;
    if (access.begin + buffer.getBytes() > *entry.getArena())
      return command->emitOpError() << describe(access.root) << " ends at byte "
                                    << access.begin + buffer.getBytes()
                                    << " of an arena of " << *entry.getArena();
    return success();
  }

  /// A state of which a part is named has it.
  LogicalResult checkInState(exec::LaunchOp launch, exec::AtOp at,
                             exec::GetStateOp get, int64_t bytes) {
    auto state = symbols.lookup<exec::StateOp>(get.getState());
    int64_t all = state.getBytes().value_or(0);
    if (at.getOffset() > all || bytes > all - at.getOffset())
      return launch.emitOpError("uses ")
             << bytes << " bytes at " << at.getOffset() << " of state '"
             << get.getState() << "', which has " << all;
    return success();
  }

  /// Finds the bytes behind slot |index| and checks that they may be used so.
  LogicalResult place(exec::LaunchOp launch, tile::KernelOp kernel,
                      ArrayRef<KernelSlot> slots, unsigned index,
                      Access &access) {
    const KernelSlot &slot = slots[index];
    Operation *op = access.root.getDefiningOp();
    auto input = dyn_cast<exec::InputOp>(op);
    bool isSizes = input && input.getName() == exec::Input::Sizes;
    if ((slot.role == KernelSlot::Role::sizes) != isSizes)
      return launch.emitOpError("slot '")
             << slot.name << (isSizes ? "' is not the sizes, found "
                                      : "' takes the sizes, found ")
             << describe(access.root);
    if (access.writes && !isSizes &&
        isa<exec::GetParameterOp, exec::InputOp>(op))
      return launch.emitOpError("slot '")
             << slot.name << "' writes " << describe(access.root);
    if (slot.constant && !isa<exec::GetParameterOp>(op))
      return launch.emitOpError("slot '")
             << slot.name << "' is constant and takes a parameter, found "
             << describe(access.root);
    auto buffer = dyn_cast<exec::BufferOp>(op);
    auto at = launch.getRef(index).getDefiningOp<exec::AtOp>();
    if (!buffer && !at)
      return success();
    int64_t bytes = getSlotBytes(kernel, slots, launch, index);
    if (at)
      return checkInState(launch, at, cast<exec::GetStateOp>(op), bytes);
    if (bytes == 0)
      return launch.emitOpError("slot '")
             << slot.name << "' is a pointer table and cannot be "
             << describe(access.root);
    return placeInBuffer(launch, buffer, bytes, access);
  }

  /// Runs a command on |stream|, whose slots are |accesses|.
  LogicalResult perform(int64_t stream, MutableArrayRef<Access> accesses) {
    ++number;
    StreamClock before = clocks.start(stream, number);
    if (isConcurrent && failed(checkConcurrency(stream, before, accesses)))
      return failure();
    return step(accesses);
  }

  /// What the other stream is not known to be done with is unordered.
  LogicalResult checkConcurrency(int64_t stream, const StreamClock &before,
                                 MutableArrayRef<Access> accesses) {
    const int64_t other = 1 - stream;
    // What this stream knows it will know from now on.
    SmallVector<Access> &unordered = open[other];
    llvm::erase_if(unordered, [&](const Access &access) {
      return access.number <= before[other];
    });
    for (Access &access : accesses) {
      access.number = number;
      for (const Access &earlier : unordered)
        if ((access.writes || earlier.writes) && access.overlaps(earlier))
          return access.command->emitOpError("on stream ")
                 << stream << " touches " << describe(access.root)
                 << " while stream " << other << " uses "
                 << describe(earlier.root) << " in the same bytes";
      open[stream].push_back(access);
    }
    return success();
  }

  /// Executes the accesses: reads first, then writes.
  LogicalResult step(ArrayRef<Access> accesses) {
    for (const Access &access : accesses) {
      if (!access.inArena || !access.reads)
        continue;
      Operation *buffer = access.root.getDefiningOp();
      LogicalResult result = success();
      contents.forEach(
          access.begin, access.end,
          [&](int64_t begin, int64_t end, Operation *owner) {
            if (owner == buffer || failed(result))
              return;
            result = failure();
            InFlightDiagnostic diag = access.command->emitOpError()
                                      << describeSlot(access) << " reads "
                                      << describe(access.root);
            if (!owner)
              diag << " before anything wrote bytes " << begin << " to " << end
                   << " of the arena";
            else
              diag << " whose bytes " << begin << " to " << end
                   << " of the arena "
                   << describe(owner->getResult(0)) << " overwrote";
          });
      if (failed(result))
        return failure();
    }
    for (const Access &access : accesses)
      if (access.inArena && access.writes)
        contents.write(access.begin, access.end, access.root.getDefiningOp());
    return success();
  }

  /// An event of one run of a function.
  struct EventState {
    exec::RecordOp record;
    StreamClock clock;
    bool isAwaited = false;
  };
  using Events = std::map<int64_t, EventState>;

  exec::EntryOp entry;
  SymbolTable &symbols;
  DenseMap<Operation *, exec::EntryOp> &ownerOf;
  DenseMap<Operation *, SmallVector<KernelSlot>> slotsOf;
  llvm::SmallPtrSet<Operation *, 4> active;
  ArenaContents contents;
  llvm::StringMap<Value> carried;
  /// There are collectives, so that commands may be unordered.
  bool isConcurrent;
  StreamClocks clocks;
  /// Of commands so far, and the last of them that is a collective.
  int64_t number = 0, lastCollective = 0;
  /// By stream: accesses that the other is not known to wait for.
  std::array<SmallVector<Access>, 2> open;
};

class VerifyExecPass : public impl::VerifyExecBase<VerifyExecPass> {
  void runOnOperation() override {
    SymbolTable symbols(getOperation());
    DenseMap<Operation *, exec::EntryOp> ownerOf;
    for (Operation &op : *getOperation().getBody())
      if (!isa<exec::ParameterOp, exec::RopeTableOp, exec::PlacementTableOp,
               exec::StateOp, exec::CommunicatorOp, exec::FuncOp, exec::EntryOp,
               tile::KernelOp>(op)) {
        op.emitError("'") << op.getName()
                          << "' has no place in a program of tile and exec";
        return signalPassFailure();
      }
    for (auto kernel : getOperation().getOps<tile::KernelOp>())
      if (kernel.getSpecAttr() && failed(kernels::readSpec(kernel)))
        return signalPassFailure();
    if (failed(verifyDeterminism(getOperation(), symbols)))
      return signalPassFailure();
    for (auto entry : getOperation().getOps<exec::EntryOp>())
      if (failed(EntryVerifier(entry, symbols, ownerOf).run()))
        return signalPassFailure();
  }
};

} // namespace

} // namespace hadal
