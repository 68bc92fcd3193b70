#include "passes/Memory/Passes.h"

#include "dialects/Exec/IR/Exec.h"

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
  /// Commands of the function, by number; both included.
  int64_t first = -1, last = -1;
  int64_t offset = 0;

  bool overlapsInTime(const MemoryBlock &other) const {
    return first <= other.last && other.first <= last;
  }
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
      spanOf.clear();
      active.clear();
      FailureOr<int64_t> arena = plan(entry, entry.getBodyBlock());
      if (failed(arena))
        return signalPassFailure();
      Builder builder(entry);
      entry.setArenaAttr(builder.getI64IntegerAttr(*arena));
      shift(entry.getBodyBlock(), 0);
      peakBytes.updateMax(*arena);
      std::string remark = llvm::formatv("arena of {0}: {1} bytes at its peak",
                                         entry.getSymName(), *arena);
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

  /// Places the buffers of |block| relative to its own base and returns the
  /// bytes that it and its callees span.
  FailureOr<int64_t> plan(exec::EntryOp entry, Block &block) {
    SmallVector<MemoryBlock> blocks;
    DenseMap<Operation *, unsigned> indexOf;
    bool manyStreams = false;
    int64_t now = 0;
    auto touch = [&](Operation *key, MemoryBlock fresh) {
      auto [it, isNew] = indexOf.try_emplace(key, blocks.size());
      if (isNew) {
        fresh.first = now;
        blocks.push_back(fresh);
      }
      blocks[it->second].last = now;
    };
    for (Operation &op : block) {
      if (auto launch = dyn_cast<exec::LaunchOp>(op)) {
        manyStreams |= launch.getStream() != 0;
        for (Value ref : launch.getRefs())
          if (auto buffer = ref.getDefiningOp<exec::BufferOp>())
            touch(buffer, {buffer, {}, alignUp(buffer.getBytes())});
      } else if (isa<exec::CallOp, exec::RepeatOp>(op)) {
        exec::FuncOp callee = lookUp(&op);
        FailureOr<int64_t> span = planCallee(entry, block, callee, &op);
        if (failed(span))
          return failure();
        touch(callee, {{}, callee, *span});
      }
      ++now;
    }
    if (manyStreams)
      for (MemoryBlock &b : blocks)
        if (b.buffer) {
          b.first = 0;
          b.last = now;
        }
    int64_t peak = placeBlocks(blocks);
    for (MemoryBlock &b : blocks) {
      if (b.buffer) {
        b.buffer.setOffset(b.offset);
        ++numBuffers;
      } else {
        baseOf[{&block, b.callee}] = b.offset;
      }
    }
    // A buffer that no command names needs no memory.
    for (auto buffer :
         llvm::make_early_inc_range(block.getOps<exec::BufferOp>()))
      if (buffer->use_empty())
        buffer.erase();
    return peak;
  }

  FailureOr<int64_t> planCallee(exec::EntryOp entry, Block &caller,
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
    auto it = spanOf.find(callee);
    if (it != spanOf.end()) {
      if (callerOf[callee] != &caller)
        return call->emitOpError("reaches '")
               << callee.getSymName()
               << "', which another function calls too; its buffers can have "
                  "one place only";
      return it->second;
    }
    callerOf[callee] = &caller;
    active.insert(callee);
    FailureOr<int64_t> span = plan(entry, callee.getBodyBlock());
    active.erase(callee);
    if (succeeded(span))
      spanOf[callee] = *span;
    return span;
  }

  /// Makes the offsets of |block|, relative to |base|, absolute.
  void shift(Block &block, int64_t base) {
    for (auto buffer : block.getOps<exec::BufferOp>())
      buffer.setOffset(*buffer.getOffset() + base);
    llvm::SmallSetVector<Operation *, 4> callees;
    for (Operation &op : block)
      if (isa<exec::CallOp, exec::RepeatOp>(op))
        callees.insert(lookUp(&op));
    for (Operation *callee : callees)
      shift(cast<exec::FuncOp>(callee).getBodyBlock(),
            base + baseOf.lookup({&block, callee}));
  }

  std::optional<SymbolTable> symbols;
  DenseMap<Operation *, exec::EntryOp> entryOf;
  DenseMap<Operation *, int64_t> spanOf;
  DenseMap<Operation *, Block *> callerOf;
  DenseMap<std::pair<Block *, Operation *>, int64_t> baseOf;
  llvm::SmallPtrSet<Operation *, 4> active;
};

} // namespace

} // namespace hadal
