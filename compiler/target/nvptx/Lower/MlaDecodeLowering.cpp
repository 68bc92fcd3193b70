// mla_decode on Hopper: 64 query rows of one sequence against its paged latent
// cache, V being the first columns of K.
//
// A producer warp brings the query rows once and then the cache page tile by
// page tile through a ring. Each consumer warpgroup computes all 64 x 64 scores
// and owns half of the output's columns: no exchange between the two, and one's
// softmax runs beside the other's wgmma.
//
#include "compiler/target/nvptx/Lower/AttentionEmitter.h"
#include "compiler/target/nvptx/Lower/KernelLowering.h"
#include "compiler/target/nvptx/Lower/SplitFold.h"

using namespace mlir;

namespace hadal::nvptx {
namespace {

/// Rows of a wgmma.
constexpr int64_t kRows = 64;
/// Registers of a producer and of each consumer thread: 40 + 2 x 232 of the 504
/// that 65536 registers give each third of 384 threads.
constexpr int64_t kLoadRegisters = 40, kMmaRegisters = 232;

/// What the body says, and what follows for the emission.
struct Plan {
  int64_t heads, latent, width, pageSize;
  int64_t rows, rowTile; ///< of the domain's second dimension: extent, step
  int64_t chunk, split;  ///< keys; parts of a fold
  double scale;          ///< of the raw scores, with log2 e

  int64_t groups;      ///< consumer warpgroups
  int64_t columns;     ///< of the output, per group
  int64_t tileColumns; ///< of a query or key tile, whole chunks of 64
  int64_t stages;

  SplitLayout splitLayout() const {
    return {128 * groups, columns / 2 + 4, split};
  }
  int64_t workspacePerItem() const {
    return split > 1 ? splitLayout().bytesPerItem() : 0;
  }
  static int64_t up(int64_t n, int64_t step) {
    return (n + step - 1) / step * step;
  }
  int64_t rowTiles() const { return up(rows, rowTile) / rowTile; }
};

/// The first op of type Op in |block| (not nested) that takes a constant second
/// operand; null if there is none.
template <typename Op> Op findConstantUse(Block &block) {
  for (auto op : block.getOps<Op>())
    if (matchPattern(op->getOperand(1), m_Constant()))
      return op;
  return {};
}

/// Empty, or why the sizes of |kernel| (of a known form) are not served.
std::string plan(tile::KernelOp kernel, Plan &plan) {
  auto args = kernel.getKernelArguments();
  auto q = cast<tile::ViewType>(args[0].getType());
  auto pool = cast<tile::ViewType>(args[1].getType());
  auto o = cast<tile::ViewType>(args[6].getType());
  plan.width = q.getShape()[1];
  plan.pageSize = pool.getShape()[1];
  plan.latent = o.getShape()[1];
  plan.rows = kernel.getDim(1).getExtent();
  plan.rowTile = kernel.getDim(1).getStep();
  // numRows = (last - first) * heads, unless there is one head.
  plan.heads = 1;
  APInt factor;
  if (auto mul = findConstantUse<arith::MulIOp>(kernel.getBodyBlock()))
    if (matchPattern(mul.getRhs(), m_ConstantInt(&factor)))
      plan.heads = factor.getSExtValue();
  plan.scale = 0;
  kernel.walk([&](tile::FoldOp fold) {
    for (auto mul : fold.getBody().front().getOps<arith::MulFOp>()) {
      DenseFPElementsAttr value;
      if (matchPattern(mul.getRhs(), m_Constant(&value)) && value.isSplat()) {
        plan.scale = value.getSplatValue<APFloat>().convertToFloat();
        break;
      }
    }
  });
  auto word = [&](StringRef key, int64_t otherwise) {
    auto value = kernel.getSchedule().getWords().getAs<IntegerAttr>(key);
    return value ? value.getInt() : otherwise;
  };
  plan.chunk = word("chunk", kKeys);
  plan.split = word("split", 1);

  if (!(plan.scale > 0))
    return "scores are scaled by a positive constant only";
  if (plan.pageSize % kKeys != 0)
    return "pages of " + std::to_string(plan.pageSize) +
           " rows are not whole key tiles of " + std::to_string(kKeys);
  if (plan.latent % 8 != 0 || plan.width % 8 != 0)
    return "a latent of " + std::to_string(plan.latent) + " and a row of " +
           std::to_string(plan.width) + " elements are not multiples of 8";
  if (plan.rowTile > kRows)
    return "a tile of " + std::to_string(plan.rowTile) +
           " query rows exceeds " + std::to_string(kRows);
  if (plan.chunk < 1 || plan.chunk % kKeys != 0 || plan.split < 1 ||
      plan.split > 1024)
    return "a chunk of " + std::to_string(plan.chunk) +
           " keys and a split of " + std::to_string(plan.split) +
           " are not a schedule";
  int64_t chunks = Plan::up(plan.latent, 64) / 64;
  plan.groups = chunks == 1 ? 1 : 2;
  plan.columns = (chunks + plan.groups - 1) / plan.groups * 64;
  if (plan.columns > 256)
    return "a latent of " + std::to_string(plan.latent) +
           " exceeds the registers of two warpgroups";
  plan.tileColumns =
      std::max(Plan::up(plan.width, 64), plan.groups * plan.columns);
  int64_t tileBytes = kRows * plan.tileColumns * 2;
  // Rings start at multiples of 1024, their barriers behind the stages.
  plan.stages = std::min<int64_t>(
      4, (sm90::kMaxSharedBytes - tileBytes - 2048 - 128) / (tileBytes + 16));
  if (plan.stages < 2)
    return "a row of " + std::to_string(plan.width) +
           " elements leaves no room for two stages in shared memory";
  return {};
}

class Emitter : AttentionEmitter {
public:
  Emitter(tile::KernelOp kernel, const Plan &plan)
      : AttentionEmitter(kernel), plan(plan) {}

  sm90::KernelOp emit(OpBuilder &outer);

private:
  enum Argument { Q, Pool, PageTable, QStart, KvLen, Positions, O };

  /// What a CTA does; all i32.
  struct Work {
    Value item, part, parts;
    Value sequence, first, block, numRows; ///< block: row of the tile's first
    Value length, begin, blocks; ///< keys; key tiles of this part from |begin|
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
  begin(outer, 128 * (plan.groups + 1), plan.workspacePerItem());
  sm90::AsmBuilder &b = *builder;
  target.setCtasPerItem(plan.split);
  queryMap = mapOf(views[Q], kRows);
  keyMap = mapOf(views[Pool], kKeys);
  auto tile = sm90::TileType::get(kRows, plan.tileColumns, b.getBF16Type());
  auto ring = [&](int64_t stages) -> Value {
    return sm90::RingOp::create(
        b, sm90::RingType::get(b.getContext(), stages, {tile}),
        4 * plan.groups);
  };
  queryRing = ring(1);
  keyRing = ring(plan.stages);
  if (plan.split > 1)
    flag = createSplitFlag(b);
  sm90::PdlLaunchOp::create(b);
  sm90::PdlWaitOp::create(b);
  bool shares = plan.groups == 2;
  auto roles = sm90::RolesOp::create(
      b, plan.groups, shares ? kLoadRegisters : 0, shares ? kMmaRegisters : 0);
  b.setInsertionPointToEnd(&roles.getLoad().front());
  emitProducer();
  b.setInsertionPointToEnd(&roles.getMma().front());
  emitConsumer(roles.getMma().getArgument(0));
  return target;
}

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
  work.sequence = b.udiv(work.item, b.i32(plan.rowTiles()));
  work.block =
      b.mul(b.urem(work.item, b.i32(plan.rowTiles())), b.i32(plan.rowTile));
  emitIf(less(work.sequence, loadI32(sizes, b.i32(1))), [&] {
    work.first = loadI32(views[QStart].data, work.sequence);
    Value last = loadI32(views[QStart].data, b.add(work.sequence, b.i32(1)));
    work.numRows = b.mul(sub(last, work.first), b.i32(plan.heads));
    emitIf(less(work.block, work.numRows), [&] {
      work.length = loadI32(views[KvLen].data, work.sequence);
      if (plan.split == 1) {
        work.begin = b.i32(0);
        work.blocks = ceilDiv(work.length, kKeys);
        return body(work);
      }
      // Parts of whole chunks, by the sequence's own length alone.
      Value chunks = ceilDiv(work.length, plan.chunk);
      Value perPart = maxS(ceilDiv(chunks, plan.split), b.i32(1));
      work.parts = maxS(b.udiv(b.add(chunks, sub(perPart, b.i32(1))), perPart),
                        b.i32(1));
      Value keys = b.mul(perPart, b.i32(plan.chunk));
      work.begin = b.mul(work.part, keys);
      work.blocks = ceilDiv(minS(keys, sub(work.length, work.begin)), kKeys);
      emitIf(less(work.part, work.parts), [&] { body(work); });
    });
  });
}

void Emitter::emitProducer() {
  emitWork([&](const Work &work) {
    sm90::AsmBuilder &b = *builder;
    auto type = cast<sm90::RingType>(queryRing.getType());
    Value none = b.i32(0), use = b.i64(0);
    Value tile = sm90::AcquireOp::create(b, type.getTiles(), queryRing, use)
                     .getTiles()[0];
    Value row = b.add(b.mul(work.first, b.i32(plan.heads)), work.block);
    sm90::TmaLoadOp::create(b, queryMap, ValueRange{none, row}, tile, queryRing,
                            use);
    sm90::CommitOp::create(b, queryRing, use);

    // The page of the next tile is read while this one is on its way.
    Value table = byteOffset(
        views[PageTable].data,
        b.mul(b.mul(wide(work.sequence), views[PageTable].extents[1]),
              b.i64(4)));
    Value lastBlock = maxS(sub(work.blocks, b.i32(1)), b.i32(0));
    auto pageOf = [&](Value block) {
      Value key =
          b.add(work.begin, b.mul(minS(block, lastBlock), b.i32(kKeys)));
      return loadI32(table, b.udiv(key, b.i32(plan.pageSize)));
    };
    auto loop = scf::ForOp::create(b, b.i64(0), wide(work.blocks), b.i64(1),
                                   ValueRange{pageOf(none)});
    OpBuilder::InsertionGuard guard(b);
    b.setInsertionPointToStart(loop.getBody());
    Value iteration = loop.getInductionVar(), page = loop.getRegionIterArg(0);
    Value block = b.trunc32(iteration);
    Value next = pageOf(b.add(block, b.i32(1)));
    Value key = b.add(work.begin, b.mul(block, b.i32(kKeys)));
    Value inPage =
        b.add(b.urem(key, b.i32(plan.pageSize)), firstRow(key, work.length));
    type = cast<sm90::RingType>(keyRing.getType());
    tile = sm90::AcquireOp::create(b, type.getTiles(), keyRing, iteration)
               .getTiles()[0];
    sm90::TmaLoadOp::create(b, keyMap, ValueRange{none, inPage, page}, tile,
                            keyRing, iteration);
    sm90::CommitOp::create(b, keyRing, iteration);
    scf::YieldOp::create(b, ValueRange{next});
  });
}

void Emitter::emitConsumer(Value group) {
  emitThread();
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
      Value position = loadI32(views[Positions].data, b.add(work.first, token));
      visible.push_back(minS(b.add(position, b.i32(1)), work.length));
    }

    auto queryType = cast<sm90::RingType>(queryRing.getType());
    auto keyType = cast<sm90::RingType>(keyRing.getType());
    Value use = b.i64(0);
    Value query = sm90::AwaitOp::create(b, queryType.getTiles(), queryRing, use)
                      .getTiles()[0];
    auto loop = scf::ForOp::create(
        b, b.i64(0), wide(work.blocks), b.i64(1),
        ValueRange{splat(-std::numeric_limits<double>::infinity(), 2),
                   splat(0, 2), splat(0, plan.columns / 2)});
    {
      OpBuilder::InsertionGuard guard(b);
      b.setInsertionPointToStart(loop.getBody());
      Value iteration = loop.getInductionVar();
      SoftmaxRegisters state{loop.getRegionIterArg(0), loop.getRegionIterArg(1),
                             loop.getRegionIterArg(2)};
      Value key = b.add(work.begin, b.mul(b.trunc32(iteration), b.i32(kKeys)));
      Value keys =
          sm90::AwaitOp::create(b, keyType.getTiles(), keyRing, iteration)
              .getTiles()[0];
      Value scores = multiply(query, {}, keys, /*mn=*/false, kKeys, /*acc=*/{});
      scores = maskScores(scores, key, work.length, visible);
      Value p = softmaxStep(state, scores, plan.scale);
      auto values = sm90::TileType::get(b.getContext(), kKeys, plan.columns,
                                        b.getBF16Type(), kKeys);
      Value chunk =
          plan.groups > 1 ? b.mul(group, b.i32(plan.columns / 64)) : Value();
      Value value = keys;
      if (chunk || plan.columns != plan.tileColumns)
        value =
            sm90::TileSliceOp::create(b, values, keys, Value(), chunk, 0, 0);
      state.acc = multiply({}, packBf16(p), value, /*mn=*/true, plan.columns,
                           state.acc);
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
      Value row = b.add(b.add(b.mul(work.first, b.i32(plan.heads)), work.block),
                        rowInGroup);
      int64_t pitch = tile::rowPitchBytes(views[O].type);
      for (int64_t half = 0; half < 2; ++half)
        rows.push_back(
            byteOffset(views[O].data,
                       b.mul(wide(b.add(row, b.i32(8 * half))), b.i64(pitch))));
      Value column = b.mul(group, b.i32(plan.columns));
      storeRows(softmaxFinish(state), rows, valid, column, plan.latent);
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

class MlaDecodeLowering : public KernelLowering {
public:
  StringRef getName() const override { return "mla_decode"; }

  std::string match(tile::KernelOp kernel, const Chip &) const override {
    std::string reason = matchActivations(kernel);
    if (reason.empty())
      reason = matchFingerprint(kernel, kForms);
    if (!reason.empty())
      return reason;
    Plan sizes;
    return plan(kernel, sizes);
  }

  FailureOr<sm90::KernelOp> emit(tile::KernelOp kernel, const Chip &,
                                 OpBuilder &builder) const override {
    Plan sizes;
    (void)plan(kernel, sizes); // match accepted it
    return Emitter(kernel, sizes).emit(builder);
  }

private:
  // buildMlaDecode in bf16: any heads; one head; one row to a tile.
  static constexpr uint64_t kForms[] = {0xD9E17082E9FAB195, 0x3930C20F31C8A723,
                                        0xAE010F8D3079BA7F};
};

} // namespace

const KernelLowering &mlaDecodeLowering() {
  static const MlaDecodeLowering lowering;
  return lowering;
}

} // namespace hadal::nvptx
