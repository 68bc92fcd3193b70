#include "passes/Memory/Passes.h"

#include <limits>

#include "dialects/Exec/IR/Exec.h"
#include "passes/Memory/StreamClocks.h"

using namespace mlir;

namespace hadal {

#define GEN_PASS_DEF_PLANBUFFERS
#include "passes/Memory/Passes.h.inc"

namespace {

//===----------------------------------------------------------------------===//
// Blocks of memory and their lifetimes
//===----------------------------------------------------------------------===//

/// What wants a place in the arena: a buffer, or everything a callee uses.
struct MemoryBlock {
  exec::BufferOp buffer; // or
  exec::FuncOp callee;
  int64_t bytes = 0;
  int64_t offset = 0;
  /// Of each stream the last command that uses it (-1: none), and up to which
  /// command it is known to be done when any user starts.
  StreamClock last = {-1, -1};
  StreamClock doneBefore = {std::numeric_limits<int64_t>::max(),
                            std::numeric_limits<int64_t>::max()};

  void use(int64_t stream, int64_t number, const StreamClock &before) {
    last[stream] = std::max(last[stream], number);
    for (size_t s = 0; s < before.size(); ++s)
      doneBefore[s] = std::min(doneBefore[s], before[s]);
  }
  bool isBefore(const MemoryBlock &other) const {
    return last[0] <= other.doneBefore[0] && last[1] <= other.doneBefore[1];
  }
  bool overlapsInTime(const MemoryBlock &other) const {
    return !isBefore(other) && !other.isBefore(*this);
  }
};

/// The two parts of an arena: what collectives use comes first.
enum Zone { kExchange, kRest };
using ZoneBytes = std::array<int64_t, 2>;

Zone zoneOf(exec::BufferOp buffer) {
  return buffer.getExchange() ? kExchange : kRest;
}

/// What a caller needs to know of a function.
struct FunctionSummary {
  ZoneBytes spans = {0, 0};
  /// It has commands of the collectives' stream.
  bool usesCollectives = false;
  /// Each of them starts behind the launches that came before the function.
  bool startsBehindLaunches = true;
};

int64_t alignUp(int64_t bytes) {
  return llvm::alignTo(bytes, exec::kBufferAlign);
}

/// The offset of the smallest gap between |taken| ranges (begin, end) that holds
/// |bytes|; the end of the last one if there is none. Ties go to the lower.
int64_t findBestFit(SmallVector<std::pair<int64_t, int64_t>> taken,
                    int64_t bytes) {
  llvm::sort(taken);
  int64_t cursor = 0, best = -1, bestGap = 0;
  for (auto [begin, end] : taken) {
    int64_t gap = begin - cursor;
    if (gap >= bytes && (best < 0 || gap < bestGap)) {
      best = cursor;
      bestGap = gap;
    }
    cursor = std::max(cursor, end);
  }
  return best >= 0 ? best : cursor;
}

/// Places |blocks| and returns the bytes they span.
int64_t placeBlocks(SmallVectorImpl<MemoryBlock> &blocks) {
  SmallVector<MemoryBlock *> order;
  for (MemoryBlock &block : blocks)
    order.push_back(&block);
  // Equal sizes keep program order (that of |blocks|): a deterministic plan.
  llvm::sort(order, [](const MemoryBlock *a, const MemoryBlock *b) {
    return a->bytes != b->bytes ? a->bytes > b->bytes : a < b;
  });
  int64_t peak = 0;
  for (size_t i = 0; i < order.size(); ++i) {
    SmallVector<std::pair<int64_t, int64_t>> taken;
    for (MemoryBlock *other : ArrayRef(order).take_front(i))
      if (other->overlapsInTime(*order[i]))
        taken.push_back({other->offset, other->offset + other->bytes});
    order[i]->offset = findBestFit(std::move(taken), order[i]->bytes);
    peak = std::max(peak, order[i]->offset + order[i]->bytes);
  }
  return peak;
}

//===----------------------------------------------------------------------===//
// PlanBuffers
//===----------------------------------------------------------------------===//

class PlanBuffersPass : public impl::PlanBuffersBase<PlanBuffersPass> {
  void runOnOperation() override {
    symbols.emplace(getOperation());
    entryOf.clear();
    SmallVector<Attribute> remarks;
    if (auto before =
            getOperation()->getAttrOfType<ArrayAttr>(exec::kRemarksAttr))
      remarks.assign(before.begin(), before.end());
    for (auto entry : getOperation().getOps<exec::EntryOp>()) {
      summaryOf.clear();
      active.clear();
      carried.clear();
      FailureOr<FunctionSummary> summary = plan(entry, entry.getBodyBlock());
      if (failed(summary))
        return signalPassFailure();
      // Behind each other, in front of what functions place for themselves.
      ZoneBytes kept = {0, 0};
      for (auto &[name, buffers] : carried) {
        int64_t &end = kept[zoneOf(buffers.front())];
        for (exec::BufferOp buffer : buffers)
          buffer.setOffset(end);
        end += alignUp(buffers.front().getBytes());
      }
      const int64_t exchange = kept[kExchange] + summary->spans[kExchange];
      const int64_t rest = kept[kRest] + summary->spans[kRest];
      Builder builder(entry);
      entry.setArenaAttr(builder.getI64IntegerAttr(exchange + rest));
      for (auto &[name, buffers] : carried)
        for (exec::BufferOp buffer : buffers)
          if (!buffer.getExchange())
            buffer.setOffset(*buffer.getOffset() + exchange);
      shift(entry.getBodyBlock(), {kept[kExchange], exchange + kept[kRest]});
      peakBytes.updateMax(exchange + rest);
      std::string remark = llvm::formatv("arena of {0}: {1} bytes at its peak",
                                         entry.getSymName(), exchange + rest);
      if (exchange)
        remark += llvm::formatv(", {0} of them for collectives", exchange);
      entry.emitRemark(remark);
      remarks.push_back(StringAttr::get(&getContext(), remark));
    }
    // For the provenance.
    getOperation()->setAttr(exec::kRemarksAttr,
                            ArrayAttr::get(&getContext(), remarks));
  }

  exec::FuncOp lookUp(Operation *call) {
    return symbols->lookup<exec::FuncOp>(
        call->getAttrOfType<FlatSymbolRefAttr>("callee").getValue());
  }

  /// Places the buffers of |block| relative to its own bases.
  FailureOr<FunctionSummary> plan(exec::EntryOp entry, Block &block) {
    FunctionSummary summary;
    std::array<SmallVector<MemoryBlock>, 2> zones;
    DenseMap<std::pair<int, Operation *>, unsigned> indexOf;
    auto blockOf = [&](Zone zone, Operation *key,
                       MemoryBlock fresh) -> MemoryBlock & {
      auto [it, isNew] = indexOf.try_emplace({zone, key}, zones[zone].size());
      if (isNew)
        zones[zone].push_back(fresh);
      return zones[zone][it->second];
    };

    StreamClocks clocks;
    DenseMap<int64_t, StreamClock> events;
    int64_t now = 0;
    auto useAll = [&](OperandRange refs, int64_t stream,
                      const StreamClock &before) {
      for (Value ref : refs)
        if (auto buffer = ref.getDefiningOp<exec::BufferOp>();
            buffer && buffer.getCarried().empty())
          blockOf(zoneOf(buffer), buffer,
                  {buffer, {}, alignUp(buffer.getBytes())})
              .use(stream, now, before);
    };
    for (Operation &op : block) {
      ++now;
      if (auto launch = dyn_cast<exec::LaunchOp>(op)) {
        int64_t stream = launch.getStream();
        useAll(launch.getRefs(), stream, clocks.start(stream, now));
      } else if (auto collective = dyn_cast<exec::CollectiveOp>(op)) {
        StreamClock before = clocks.start(exec::kCollectiveStream, now);
        useAll(op.getOperands(), exec::kCollectiveStream, before);
        summary.usesCollectives = true;
        summary.startsBehindLaunches &= before[exec::kLaunchStream] >= 0;
      } else if (auto record = dyn_cast<exec::RecordOp>(op)) {
        events[record.getEvent()] = clocks[record.getStream()];
      } else if (auto wait = dyn_cast<exec::WaitOp>(op)) {
        auto event = events.find(wait.getEvent());
        if (event == events.end())
          return wait.emitOpError("waits for event ")
                 << wait.getEvent() << " before it is recorded";
        clocks.join(wait.getStream(), event->second);
      } else if (isa<exec::CallOp, exec::RepeatOp>(op)) {
        exec::FuncOp callee = lookUp(&op);
        FailureOr<FunctionSummary> inner =
            planCallee(entry, block, callee, &op);
        if (failed(inner))
          return failure();
        useCallee(callee, *inner, now, clocks, summary,
                  [&](Zone zone, auto... use) {
                    if (inner->spans[zone])
                      blockOf(zone, callee, {{}, callee, inner->spans[zone]})
                          .use(use...);
                  });
      }
    }
    for (Zone zone : {kExchange, kRest}) {
      summary.spans[zone] = placeBlocks(zones[zone]);
      for (MemoryBlock &b : zones[zone]) {
        if (b.buffer) {
          b.buffer.setOffset(b.offset);
          ++numBuffers;
        } else {
          basesOf[{&block, b.callee}][zone] = b.offset;
        }
      }
    }
    // A buffer that no command names needs no memory.
    for (auto buffer :
         llvm::make_early_inc_range(block.getOps<exec::BufferOp>()))
      if (buffer->use_empty())
        buffer.erase();
      else if (!buffer.getCarried().empty())
        carried[buffer.getCarried()].push_back(buffer);
    return summary;
  }

  /// Runs a call, command |now|, in |clocks|, and tells |use| (zone, stream,
  /// number, clock before it) what memory it uses. Nothing is in flight at the
  /// end of a function, so that the launches' stream knows that all is done.
  template <typename Use>
  void useCallee(exec::FuncOp callee, const FunctionSummary &inner, int64_t now,
                 StreamClocks &clocks, FunctionSummary &outer, Use use) {
    StreamClock before = clocks.start(exec::kLaunchStream, now);
    for (Zone zone : {kExchange, kRest})
      use(zone, exec::kLaunchStream, now, before);
    if (!inner.usesCollectives)
      return;
    if (inner.startsBehindLaunches)
      clocks.join(exec::kCollectiveStream, before);
    StreamClock behind = clocks.start(exec::kCollectiveStream, now);
    for (Zone zone : {kExchange, kRest})
      use(zone, exec::kCollectiveStream, now, behind);
    clocks.join(exec::kLaunchStream, clocks[exec::kCollectiveStream]);
    outer.usesCollectives = true;
    outer.startsBehindLaunches &= behind[exec::kLaunchStream] >= 0;
  }

  FailureOr<FunctionSummary> planCallee(exec::EntryOp entry, Block &caller,
                                        exec::FuncOp callee, Operation *call) {
    exec::EntryOp &owner = entryOf[callee];
    if (owner && owner != entry)
      return call->emitOpError("reaches '")
             << callee.getSymName() << "', which entry '" << owner.getSymName()
             << "' reaches too; its buffers can have one place only";
    owner = entry;
    if (active.contains(callee))
      return call->emitOpError("calls '") << callee.getSymName()
                                          << "' recursively";
    auto it = summaryOf.find(callee);
    if (it != summaryOf.end()) {
      if (callerOf[callee] != &caller)
        return call->emitOpError("reaches '")
               << callee.getSymName()
               << "', which another function calls too; its buffers can have "
                  "one place only";
      return it->second;
    }
    callerOf[callee] = &caller;
    active.insert(callee);
    FailureOr<FunctionSummary> summary = plan(entry, callee.getBodyBlock());
    active.erase(callee);
    if (succeeded(summary))
      summaryOf[callee] = *summary;
    return summary;
  }

  /// Makes the offsets of |block|, relative to |bases|, absolute.
  void shift(Block &block, ZoneBytes bases) {
    for (auto buffer : block.getOps<exec::BufferOp>())
      if (buffer.getCarried().empty())
        buffer.setOffset(*buffer.getOffset() + bases[zoneOf(buffer)]);
    llvm::SmallSetVector<Operation *, 4> callees;
    for (Operation &op : block)
      if (isa<exec::CallOp, exec::RepeatOp>(op))
        callees.insert(lookUp(&op));
    for (Operation *callee : callees) {
      ZoneBytes inner = basesOf.lookup({&block, callee});
      shift(cast<exec::FuncOp>(callee).getBodyBlock(),
            {bases[kExchange] + inner[kExchange], bases[kRest] + inner[kRest]});
    }
  }

  std::optional<SymbolTable> symbols;
  DenseMap<Operation *, exec::EntryOp> entryOf;
  DenseMap<Operation *, FunctionSummary> summaryOf;
  DenseMap<Operation *, Block *> callerOf;
  DenseMap<std::pair<Block *, Operation *>, ZoneBytes> basesOf;
  /// Of the entry: what its functions hand over to each other, by name.
  llvm::MapVector<StringRef, SmallVector<exec::BufferOp>> carried;
  llvm::SmallPtrSet<Operation *, 4> active;
};

} // namespace

} // namespace hadal
