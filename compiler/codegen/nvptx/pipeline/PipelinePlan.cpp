// What goes through shared memory and in which rings; the schedule's words, as
// far as they fit the body.
#include "compiler/codegen/nvptx/pipeline/Pipeline.h"
#include "compiler/codegen/nvptx/pipeline/PipelineEmitter.h"
#include "cost/Chip.h"

#include <numeric>

using namespace mlir;

namespace hadal::nvptx {

using namespace hadal::tile;

/// Shared memory that each CTA takes of an SM's for the system.
static constexpr int64_t kSystemShared = 1 << 10;
/// Left for barriers, alignment and small buffers.
static constexpr int64_t kReservedShared = 4096;

/// The load behind a dot operand, through slices; null if there is none.
static LoadOp loadOf(Value operand) {
  while (auto slice = operand.getDefiningOp<SliceOp>())
    operand = slice.getSource();
  return operand.getDefiningOp<LoadOp>();
}

LogicalResult PipelineEmitter::planOperand(Operation *op, Value operand,
                                           bool isB, int64_t rowTile) {
  LoadOp load = loadOf(operand);
  if (!load) {
    if (!isB)
      return success(); // registers
    return op->emitOpError("has no sm_90a lowering: operand b is not a loaded "
                           "tile; wgmma reads b from shared memory");
  }
  auto type = cast<RankedTensorType>(load.getTile().getType());
  Type element = type.getElementType();
  if (!element.isBF16() && !isa<Float8E4M3FNType>(element))
    return op->emitOpError("has no sm_90a lowering for operands of ")
           << element << ": wgmma multiplies bf16 or f8E4M3FN";
  if (type.getRank() != 2 || type.getDimSize(1) % 8 != 0)
    return load.emitOpError("has no sm_90a lowering: an operand of wgmma has "
                            "two dimensions and a multiple of 8 columns");
  auto view = cast<ViewType>(load.getView().getType());
  if (rowPitchBytes(view) == 0 || rowPitchBytes(view) % 16 != 0)
    return load.emitOpError("has no sm_90a lowering: TMA needs rows of a "
                            "multiple of 16 bytes");
  int64_t &rows = roundedRows[load];
  rows = std::max(rows, (type.getDimSize(0) + 7) / 8 * 8);
  if (!isB)
    rows = std::max(rows, rowTile);
  if (rows > 256)
    return load.emitOpError("has no sm_90a lowering: a box of ")
           << rows << " rows; TMA takes 256";
  sharedLoads.insert(load);
  return success();
}

sm90::TileType PipelineEmitter::tileTypeOf(LoadOp load) const {
  auto type = cast<RankedTensorType>(load.getTile().getType());
  return sm90::TileType::get(roundedRows.lookup(load), type.getDimSize(1),
                             type.getElementType());
}

InFlightDiagnostic PipelineEmitter::refuseWord(StringRef word, Twine value) {
  return kernel.emitOpError("has no sm_90a lowering with the word '")
         << word << "' of " << value << ": ";
}

LogicalResult PipelineEmitter::readWords() {
  if (failed(refuseOtherWords(kernel, {"bm", "bn", "bk", "warpgroups", "ctas",
                                       "stages", "early", "split", "unroll",
                                       "swap_ab", "regs"})))
    return failure();
  FailureOr<int64_t> groups = kernel.getWord("warpgroups"),
                     ctas = kernel.getWord("ctas"),
                     stagesWord = kernel.getWord("stages"),
                     earlyWord = kernel.getWord("early"),
                     splitWord = kernel.getWord("split"),
                     unrollWord = kernel.getWord("unroll");
  FailureOr<bool> swaps = kernel.getFlag("swap_ab");
  FailureOr<StringRef> regs = kernel.getWordText("regs");
  if (failed(groups) || failed(ctas) || failed(stagesWord) ||
      failed(earlyWord) || failed(splitWord) || failed(unrollWord) ||
      failed(swaps) || failed(regs))
    return failure();
  warpgroups = *groups, ctasPerSm = *ctas, stages = *stagesWord;
  early = *earlyWord, split = *splitWord, unroll = *unrollWord;
  swapAb = *swaps;
  if (warpgroups != 1 && warpgroups != 2)
    return refuseWord("warpgroups", Twine(warpgroups)) << "it takes 1 or 2";
  if (ctasPerSm != 1 && ctasPerSm != 2)
    return refuseWord("ctas", Twine(ctasPerSm)) << "it takes 1 or 2";
  if (stages < 1)
    return refuseWord("stages", Twine(stages)) << "it takes 1 or more";
  if (early < 0 || early > stages)
    return refuseWord("early", Twine(early))
           << "it takes 0 to the number of stages, " << stages;
  if (split < 1)
    return refuseWord("split", Twine(split)) << "it takes 1 or more";
  if (unroll < 1 || unroll > split)
    return refuseWord("unroll", Twine(unroll))
           << "it takes 1 to the number of parts, " << split;
  FailureOr<RoleRegisters> shares = readRegisters(kernel, warpgroups);
  if (failed(shares))
    return failure();
  registers = *shares;
  return success();
}

/// Rows of a tile are rows of wgmma: which loads, and whether the warpgroups fit.
LogicalResult PipelineEmitter::planRows() {
  int64_t columns = 0;
  WalkResult walk = kernel.walk([&](Operation *op) {
    Value acc;
    if (auto dot = dyn_cast<DotOp>(op))
      acc = dot.getAcc();
    else if (auto dot = dyn_cast<DotScaledOp>(op))
      acc = dot.getAcc();
    else
      return WalkResult::advance();
    auto type = cast<RankedTensorType>(acc.getType());
    if (type.getDimSize(0) > 128) {
      op->emitOpError("has no sm_90a lowering for ")
          << type.getDimSize(0) << " rows; two warpgroups hold 128";
      return WalkResult::interrupt();
    }
    tileRows = std::max(tileRows, type.getDimSize(0));
    columns = std::max(columns, type.getDimSize(1));
    return WalkResult::advance();
  });
  if (walk.wasInterrupted())
    return failure();
  if (warpgroups == 1 && tileRows > 64)
    return refuseWord("warpgroups", Twine(1))
           << "a tile of " << tileRows << " rows; one holds 64";
  if (warpgroups == 1 && columns > 256)
    return refuseWord("warpgroups", Twine(1))
           << "a tile of " << columns << " columns; one holds 256";
  // Tiles of at most 64 rows are cut by columns. Narrower tiles than 128 columns
  // are whole in both warpgroups; a tile of more than 256 is too wide for one.
  if (warpgroups == 2 && tileRows <= 64)
    splitColumns = columns > 256 ? 257 : 128;
  if (warpgroups == 2 && tileRows <= 64 && columns < 128)
    return refuseWord("warpgroups", Twine(2))
           << "a tile of " << tileRows << "x" << columns
           << "; two share more than 64 rows, or 128 columns and more";
  if (ctasPerSm == 2 && warpgroups == 2)
    return refuseWord("ctas", Twine(2))
           << "a thread of two CTAs of two warpgroups has 80 registers";
  walk = kernel.walk([&](Operation *op) {
    Value a, b, acc;
    if (auto dot = dyn_cast<DotOp>(op)) {
      if (dot.getTa()) {
        op->emitOpError("has no sm_90a lowering for a transposed a");
        return WalkResult::interrupt();
      }
      a = dot.getA(), b = dot.getB(), acc = dot.getAcc();
    } else if (auto dot = dyn_cast<DotScaledOp>(op)) {
      if (!dot.getSa()) {
        op->emitOpError("has no sm_90a lowering without scales of a (W8A16); "
                        "compile with --fp8=w8a8");
        return WalkResult::interrupt();
      }
      a = dot.getA(), b = dot.getB(), acc = dot.getAcc();
    } else {
      return WalkResult::advance();
    }
    int64_t rows = cast<RankedTensorType>(acc.getType()).getDimSize(0);
    if (failed(planOperand(op, a, false, rows > 64 ? 128 : 64)) ||
        failed(planOperand(op, b, true, 0)))
      return WalkResult::interrupt();
    return WalkResult::advance();
  });
  if (walk.wasInterrupted())
    return failure();
  columnParts = warpgroups;
  return success();
}

/// A ring counts its uses in a value that starts at 0 and is carried by the loop
/// over its own block alone (the parity of an mbarrier's phase follows from the
/// count). If an outer loop came back to the block, or passed it by in some
/// turns, producer and consumers would count from 0 again: a stale stage, or a
/// wait for ever.
static LogicalResult checkRunsOnce(Operation &owner, LoadOp load) {
  auto outer = owner.getParentOfType<FoldOp>();
  if (!outer)
    return success();
  InFlightDiagnostic error = load.emitOpError(
      "has no sm_90a lowering: an operand of wgmma is loaded inside a ");
  error << (isa<FoldOp>(owner) ? "fold" : "condition")
        << " that an outer fold repeats; load it in the outer fold's own block";
  error.attachNote(outer.getLoc()) << "the outer fold";
  return error;
}

LogicalResult PipelineEmitter::plan() {
  if (failed(readWords()) || failed(swapAb ? planTransposed() : planRows()))
    return failure();
  kernel.walk([&](LoadOp load) {
    if (!sharedLoads.contains(load))
      return;
    Block *block = load->getBlock();
    RingPlan *plan = nullptr;
    for (auto &ring : rings)
      if (ring->block == block)
        plan = ring.get();
    if (!plan) {
      plan = rings.emplace_back(std::make_unique<RingPlan>()).get();
      plan->block = block;
    }
    plan->loads.push_back(load);
    plan->stageBytes += tileTypeOf(load).getBytes();
  });
  for (auto &ring : rings)
    if (failed(checkRunsOnce(*ring->block->getParentOp(), ring->loads.front())))
      return failure();
  int64_t fixed = kReservedShared, folds = 0;
  int64_t shared = ctasPerSm == 1
                       ? chip.sharedPerBlock
                       : chip.sharedPerMultiprocessor / ctasPerSm - kSystemShared;
  if (transposed())
    fixed += stagingBytes();
  for (auto &ring : rings) {
    if (isa<FoldOp>(ring->block->getParentOp()))
      ++folds;
    else
      fixed += ring->stageBytes + 1024;
    llvm::DenseSet<Value> tilesOfRing;
    for (LoadOp load : ring->loads)
      tilesOfRing.insert(load.getTile());
    for (Operation &op : *ring->block) {
      WalkResult uses = op.walk([&](Operation *inner) {
        for (Value operand : inner->getOperands())
          if (tilesOfRing.contains(operand)) {
            if (auto slice = dyn_cast<SliceOp>(inner))
              tilesOfRing.insert(slice.getResult());
            return WalkResult::interrupt();
          }
        return WalkResult::advance();
      });
      if (uses.wasInterrupted())
        ring->lastUse = &op;
    }
  }
  for (auto &ring : rings) {
    auto fold = dyn_cast<FoldOp>(ring->block->getParentOp());
    if (!fold)
      continue;
    // A stage has two barriers; what a ring's alignment takes is reserved.
    int64_t room = (shared - fixed) / folds;
    ring->stages = stages;
    if (stages * (ring->stageBytes + 16) > room)
      return fold.emitOpError("has no sm_90a lowering with the word 'stages' "
                              "of ")
             << stages << ": a step's operands of " << ring->stageBytes
             << " bytes and " << fixed
             << " bytes beside them exceed the shared memory of " << shared
             << " bytes";
  }
  if (failed(planMainFold()))
    return failure();
  if (stages == 1 && mainFold && stepsOf(mainFold) > 1 && dotInFlight(mainFold))
    return refuseWord("stages", Twine(1))
           << "a product in flight holds its stage until the next is issued";
  return success();
}

sm90::MapAttr PipelineEmitter::mapOf(LoadOp load) {
  const ViewRef *view = views.find(load.getView())->second.get();
  bool gathered = view->source;
  while (view->source || view->pool)
    view = view->source ? view->source : view->pool;
  ViewType type = view->type;
  sm90::TileType tile = tileTypeOf(load);
  int64_t bytes = tile.getElementBytes();
  SmallVector<int64_t> extents, strides, box;
  int64_t stride = bytes;
  for (int i = type.getRank() - 1; i >= 0; --i) {
    int64_t extent = type.getShape()[i];
    extents.push_back(extent >= 0 ? extent : -1 - view->extentSlots[i]);
    strides.push_back(stride);
    stride = i == type.getRank() - 1 ? rowPitchBytes(type) : stride * extent;
    box.push_back(1);
  }
  box[0] = tile.getChunkCols();
  box[1] = gathered ? 1 : tile.getRows();
  return sm90::MapAttr::get(kernel.getContext(), view->dataSlot,
                            tile.getElementType(), extents, strides, box, 128);
}

/// A number that divides |value|, as large as its form shows.
int64_t PipelineEmitter::divisor(Value value) {
  if (auto arg = dyn_cast<BlockArgument>(value)) {
    for (auto [i, coordinate] : llvm::enumerate(kernel.getCoordinates()))
      if (coordinate == arg)
        return kernel.getDim(i).getStep();
    return 1;
  }
  Operation *op = value.getDefiningOp();
  if (auto constant = dyn_cast<arith::ConstantIndexOp>(op))
    return constant.value() == 0 ? int64_t(1) << 20 : std::abs(constant.value());
  if (isa<arith::AddIOp, arith::SubIOp>(op))
    return std::gcd(divisor(op->getOperand(0)), divisor(op->getOperand(1)));
  if (isa<arith::MulIOp>(op))
    return divisor(op->getOperand(0)) * divisor(op->getOperand(1));
  return 1;
}

} // namespace hadal::nvptx
