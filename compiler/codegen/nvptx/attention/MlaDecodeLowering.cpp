// mla_decode on Hopper: 64 query rows of one sequence against its paged latent
// cache, V being the first columns of K.
//
// A producer warp brings the query rows once and then the cache page tile by
// page tile through a ring. Each consumer warpgroup computes all 64 x 64 scores
// and owns half of the output's columns: no exchange between the two, and one's
// softmax runs beside the other's wgmma.
#include "compiler/codegen/nvptx/attention/AttentionEmitter.h"
#include "compiler/codegen/nvptx/common/SplitFold.h"
#include "compiler/codegen/nvptx/common/WorkItem.h"
#include "cost/Chip.h"

using namespace mlir;

namespace hadal::nvptx {
namespace {

/// Most query rows of a CTA: those of a wgmma.
constexpr int64_t kQueryRows = 64;

/// What the body says, and what follows for the emission.
struct Plan : AttentionForm {
  int64_t heads, latent, width;
  int64_t rows, rowTile; ///< of the domain's second dimension: extent, step
  int64_t chunk, split;  ///< keys; parts of a fold

  int64_t columns;     ///< of the output, per group
  int64_t tileColumns; ///< of a query or key tile, whole chunks of 64

  SplitLayout splitLayout() const {
    return {128 * groups, columns / 2 + 4, split};
  }
  int64_t workspacePerItem() const {
    return split > 1 ? splitLayout().bytesPerItem() : 0;
  }
  int64_t rowTiles() const { return llvm::divideCeil(rows, rowTile); }

  static constexpr StringRef kWords[] = {
      "bm", "bn", "chunk", "split", "warpgroups", "stages", "regs"};
  static std::string matchTypes(tile::KernelOp) { return {}; }
  std::string read(tile::KernelOp kernel);
  std::string readWords(tile::KernelOp kernel, const Chip &chip);
};

/// The first op of type Op in |block| (not nested) that takes a constant second
/// operand; null if there is none.
template <typename Op> Op findConstantUse(Block &block) {
  for (auto op : block.getOps<Op>())
    if (matchPattern(op->getOperand(1), m_Constant()))
      return op;
  return {};
}

std::string Plan::read(tile::KernelOp kernel) {
  if (std::string reason = AttentionForm::read(kernel); !reason.empty())
    return reason;
  auto args = kernel.getKernelArguments();
  width = cast<tile::ViewType>(args[0].getType()).getShape()[1];
  latent = cast<tile::ViewType>(args[6].getType()).getShape()[1];
  rows = kernel.getDim(1).getExtent();
  rowTile = kernel.getDim(1).getStep();
  // numRows = (last - first) * heads, unless there is one head.
  heads = 1;
  APInt factor;
  if (auto mul = findConstantUse<arith::MulIOp>(kernel.getBodyBlock()))
    if (matchPattern(mul.getRhs(), m_ConstantInt(&factor)))
      heads = factor.getSExtValue();
  if (latent % 8 != 0 || width % 8 != 0)
    return "a latent of " + std::to_string(latent) + " and a row of " +
           std::to_string(width) + " elements are not multiples of 8";
  if (rowTile > kQueryRows)
    return "a tile of " + std::to_string(rowTile) + " query rows exceeds " +
           std::to_string(kQueryRows);
  return {};
}

std::string Plan::readWords(tile::KernelOp kernel, const Chip &chip) {
  FailureOr<int64_t> groupsWord = kernel.getWord("warpgroups"),
                     chunkWord = kernel.getWord("chunk"),
                     splitWord = kernel.getWord("split"),
                     stagesWord = kernel.getWord("stages");
  if (failed(groupsWord) || failed(chunkWord) || failed(splitWord) ||
      failed(stagesWord))
    return "its schedule is not complete";
  groups = *groupsWord, chunk = *chunkWord, split = *splitWord;
  stages = *stagesWord;
  auto refuse = [](StringRef word, int64_t value, const Twine &why) {
    return ("the word '" + word + "' is " + Twine(value) + ": " + why).str();
  };
  if (chunk < 1 || chunk % kKeys != 0)
    return refuse("chunk", chunk, "it takes a multiple of " + Twine(kKeys));
  if (split < 1 || split > 1024)
    return refuse("split", split, "it takes 1 to 1024");
  int64_t chunks = llvm::divideCeil(latent, 64);
  if (groups < 1 || groups > 2 || groups > chunks)
    return refuse("warpgroups", groups,
                  "the output has " + Twine(chunks) +
                      " blocks of 64 columns, and a CTA up to 2 warpgroups");
  columns = llvm::divideCeil(chunks, groups) * 64;
  if (columns > 256)
    return refuse("warpgroups", groups,
                  "a latent of " + Twine(latent) +
                      " exceeds their registers, 256 columns each");
  tileColumns = std::max<int64_t>(llvm::alignTo(width, 64), groups * columns);
  int64_t tileBytes = kQueryRows * tileColumns * 2;
  // Rings start at multiples of 1024, their barriers behind the stages.
  int64_t fit =
      (static_cast<int64_t>(chip.sharedPerBlock) - tileBytes - 2048 - 128) /
      (tileBytes + 16);
  if (stages < 2 || stages > fit)
    return refuse("stages", stages,
                  "a row of " + Twine(width) + " elements leaves room for " +
                      Twine(fit) + " in shared memory, and it takes 2 or more");
  return {};
}

class Emitter : AttentionEmitter {
public:
  Emitter(tile::KernelOp kernel, const Plan &plan)
      : AttentionEmitter(kernel, plan.groups, plan.registers), plan(plan) {}

  sm90::KernelOp emit(OpBuilder &outer);

private:
  static constexpr unsigned O = Positions + 1;

  /// What a CTA does; all i32.
  struct Work {
    Value item, part, parts;
    Sequence sequence;
    Value firstRow;      ///< of the query view: row 0 of the tile
    Value block;         ///< the sequence's row that it is
    Value numRows;       ///< of the sequence
    Value begin, blocks; ///< key tiles of this part from key |begin|
  };

  void emitWork(llvm::function_ref<void(const Work &)> body);
  void emitProducer();
  void emitConsumer(Value group);
  SoftmaxRegisters joinParts(const Work &work, Value group,
                             ArrayRef<Value> valid, SoftmaxRegisters state,
                             Value &finishes);

  Plan plan;
  Value queryMap, keyMap, queryRing, keyRing, flag;
};

sm90::KernelOp Emitter::emit(OpBuilder &outer) {
  begin(outer, plan.workspacePerItem());
  target.setCtasPerItem(plan.split);
  queryMap = mapOf(views[Q], kRows);
  keyMap = mapOf(views[Pool], kKeys);
  queryRing = createRing(1, {tileOf(kRows, plan.tileColumns)});
  keyRing = createRing(plan.stages, {tileOf(kKeys, plan.tileColumns)});
  if (plan.split > 1)
    flag = createSplitFlag(*builder);
  emitRoles([&] { emitProducer(); }, [&](Value group) { emitConsumer(group); });
  return target;
}

// Both roles run this on the same memory: what they wait for and release agrees
// by that alone.
void Emitter::emitWork(llvm::function_ref<void(const Work &)> body) {
  sm90::AsmBuilder &b = *builder;
  Work work;
  Value cta = sm90::SregOp::create(b, b.getI32Type(), sm90::Sreg::Ctaid);
  work.item = cta;
  work.part = b.i32(0);
  if (plan.split > 1) {
    work.item = b.udiv(cta, b.i32(plan.split));
    work.part = b.urem(cta, b.i32(plan.split));
  }
  work.block =
      b.mul(b.urem(work.item, b.i32(plan.rowTiles())), b.i32(plan.rowTile));
  Value index = b.udiv(work.item, b.i32(plan.rowTiles()));
  emitSequence(index, [&](const Sequence &sequence) {
    work.sequence = sequence;
    work.numRows =
        b.mul(sub(sequence.last, sequence.first), b.i32(plan.heads));
    work.firstRow =
        b.add(b.mul(sequence.first, b.i32(plan.heads)), work.block);
    emitIf(less(work.block, work.numRows), [&] {
      if (plan.split == 1) {
        work.begin = b.i32(0);
        work.blocks = ceilDiv(sequence.length, kKeys);
        return body(work);
      }
      // Parts of whole chunks, by the sequence's own length alone.
      Value chunks = ceilDiv(sequence.length, plan.chunk);
      Value perPart = maxS(ceilDiv(chunks, plan.split), b.i32(1));
      work.parts = maxS(b.udiv(b.add(chunks, sub(perPart, b.i32(1))), perPart),
                        b.i32(1));
      Value keys = b.mul(perPart, b.i32(plan.chunk));
      work.begin = b.mul(work.part, keys);
      work.blocks =
          ceilDiv(minS(keys, sub(sequence.length, work.begin)), kKeys);
      emitIf(less(work.part, work.parts), [&] { body(work); });
    });
  });
}

void Emitter::emitProducer() {
  emitWork([&](const Work &work) {
    sm90::AsmBuilder &b = *builder;
    Value none = b.i32(0), use = b.i64(0);
    load(queryMap, {none, work.firstRow}, acquire(queryRing, use)[0], queryRing,
         use);
    sm90::CommitOp::create(b, queryRing, use);

    // The page of the next tile is read while this one is on its way.
    Value table = pageTableOf(work.sequence);
    Value lastBlock = maxS(sub(work.blocks, b.i32(1)), b.i32(0));
    auto keyOf = [&](Value block) {
      return b.add(work.begin, b.mul(block, b.i32(kKeys)));
    };
    auto loop =
        scf::ForOp::create(b, b.i64(0), wide(work.blocks), b.i64(1),
                           ValueRange{pageOf(table, keyOf(none))});
    OpBuilder::InsertionGuard guard(b);
    b.setInsertionPointToStart(loop.getBody());
    Value iteration = loop.getInductionVar(), page = loop.getRegionIterArg(0);
    Value block = b.trunc32(iteration);
    Value next =
        pageOf(table, keyOf(minS(b.add(block, b.i32(1)), lastBlock)));
    Value inPage = rowInPage(work.sequence, keyOf(block));
    load(keyMap, {none, inPage, page}, acquire(keyRing, iteration)[0], keyRing,
         iteration);
    sm90::CommitOp::create(b, keyRing, iteration);
    scf::YieldOp::create(b, ValueRange{next});
  });
}

void Emitter::emitConsumer(Value group) {
  emitWork([&](const Work &work) {
    sm90::AsmBuilder &b = *builder;
    // This thread's two rows: whether they exist, and the keys that they see.
    SmallVector<Value> valid, visible;
    for (int64_t half = 0; half < 2; ++half) {
      Value inTile = b.add(rowInGroup, b.i32(8 * half));
      Value row = b.add(work.block, inTile);
      Value exists = less(row, work.numRows);
      if (plan.rowTile < kRows)
        exists = b.bitAnd(exists, less(inTile, b.i32(plan.rowTile)));
      valid.push_back(exists);
      Value token =
          b.udiv(minS(row, sub(work.numRows, b.i32(1))), b.i32(plan.heads));
      visible.push_back(
          visibleKeys(work.sequence, b.add(work.sequence.first, token)));
    }

    Value use = b.i64(0);
    Value query = await(queryRing, use)[0];
    auto loop = scf::ForOp::create(b, b.i64(0), wide(work.blocks), b.i64(1),
                                   emptyState(plan.columns));
    {
      OpBuilder::InsertionGuard guard(b);
      b.setInsertionPointToStart(loop.getBody());
      Value iteration = loop.getInductionVar();
      SoftmaxRegisters state{loop.getRegionIterArg(0), loop.getRegionIterArg(1),
                             loop.getRegionIterArg(2)};
      Value key = b.add(work.begin, b.mul(b.trunc32(iteration), b.i32(kKeys)));
      Value keys = await(keyRing, iteration)[0];
      Value scores = multiplyAndWait(b, query, {}, keys, /*bMn=*/false, kKeys,
                                     /*acc=*/{});
      scores = maskScores(scores, key, work.sequence.length, visible);
      Value p = softmaxStep(state, scores, plan.scale);
      auto values = sm90::TileType::get(b.getContext(), kKeys, plan.columns,
                                        b.getBF16Type(), kKeys);
      Value chunk =
          plan.groups > 1 ? b.mul(group, b.i32(plan.columns / 64)) : Value();
      Value value = keys;
      if (chunk || plan.columns != plan.tileColumns)
        value =
            sm90::TileSliceOp::create(b, values, keys, Value(), chunk, 0, 0);
      state.acc = multiplyAndWait(b, {}, packBf16(p), value, /*bMn=*/true,
                                  plan.columns, state.acc);
      // Keys and values are the same stage: it goes back behind both products.
      sm90::ReleaseOp::create(b, keyRing, iteration);
      scf::YieldOp::create(b, ValueRange{state.max, state.sum, state.acc});
    }
    sm90::ReleaseOp::create(b, queryRing, use);
    SoftmaxRegisters state{loop.getResult(0), quadSum(loop.getResult(1)),
                           loop.getResult(2)};
    Value finishes;
    if (plan.split > 1)
      state = joinParts(work, group, valid, state, finishes);
    auto finish = [&] {
      SmallVector<Value> rows;
      Value row = b.add(work.firstRow, rowInGroup);
      int64_t pitch = tile::rowPitchBytes(views[O].type);
      for (int64_t half = 0; half < 2; ++half)
        rows.push_back(
            byteOffset(views[O].data,
                       b.mul(wide(b.add(row, b.i32(8 * half))), b.i64(pitch))));
      Value column = b.mul(group, b.i32(plan.columns));
      storeRows(softmaxFinish(state, work.sequence.length), rows, valid, column,
                plan.latent);
    };
    if (finishes)
      emitIf(finishes, finish);
    else
      finish();
  });
}

//===----------------------------------------------------------------------===//
// Split
//===----------------------------------------------------------------------===//

SoftmaxRegisters Emitter::joinParts(const Work &work, Value group,
                                    ArrayRef<Value> valid,
                                    SoftmaxRegisters state, Value &finishes) {
  sm90::AsmBuilder &b = *builder;
  // Rows of other sequences, or of none, are not worth keeping.
  Value none = arith::ConstantOp::create(b, b.getF32FloatAttr(0));
  auto keep = [&](size_t i, size_t j, Value element) -> Value {
    return arith::SelectOp::create(b, valid[i < 2 ? j : (j >> 1) & 1], element,
                                   none);
  };
  constexpr int64_t kPiece = 16;
  SmallVector<Value> parts{state.max, state.sum};
  SmallVector<Value> identity{
      splat(-std::numeric_limits<double>::infinity(), 2), splat(0, 2)};
  SmallVector<Value> elements = b.unpack(state.acc);
  for (int64_t i = 0; i < plan.columns / 2; i += kPiece) {
    parts.push_back(
        b.pack(ArrayRef<Value>(elements).slice(i, kPiece), f32s(kPiece)));
    identity.push_back(splat(0, kPiece));
  }
  SplitPart at{workspace, work.item, work.part, work.parts,
               b.add(b.mul(group, b.i32(128)), b.bitAnd(thread, b.i32(127)))};
  JoinedFold joined = emitJoin(
      b, plan.splitLayout(), at, flag, parts, keep, identity,
      [&](ValueRange a, llvm::function_ref<Value()> next) {
        return softmaxMerge(a, next);
      });
  finishes = joined.last;
  elements.clear();
  for (Value piece : ArrayRef<Value>(joined.state).drop_front(2))
    elements.append(b.unpack(piece));
  return {joined.state[0], joined.state[1],
          b.pack(elements, f32s(plan.columns / 2))};
}

//===----------------------------------------------------------------------===//
// The lowering
//===----------------------------------------------------------------------===//

// buildMlaDecode in bf16: any heads; one head; one row to a tile.
constexpr uint64_t kForms[] = {0xB433272AC4C44220, 0x7F9BA896A891E9B3,
                               0x110C27FBF2E35A8A};

} // namespace

const KernelLowering &mlaDecodeLowering() {
  static const AttentionLowering<Plan, Emitter> lowering("mla_decode", kForms);
  return lowering;
}

} // namespace hadal::nvptx
