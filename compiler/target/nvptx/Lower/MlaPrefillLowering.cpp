// mla_prefill on Hopper: 128 queries of one head of one sequence against its
// paged latent cache, of which the head's keys and values are expanded on the
// fly.
//
// A producer warp brings the queries once, then per key tile the latent rows
// and, through a ring of its own, the head's W_UK and W_UV in chunks of 64
// latent columns. Of the two consumer warpgroups the first expands the tile's
// 64 keys and the second its values, both into shared memory; then each
// multiplies its own 64 queries with them.
#include "compiler/target/nvptx/Lower/AttentionEmitter.h"
#include "compiler/target/nvptx/Lower/KernelLowering.h"

using namespace mlir;

namespace hadal::nvptx {
namespace {

/// Queries of a CTA, and of each of its two warpgroups.
constexpr int64_t kQueries = 128, kRows = 64;
constexpr int64_t kGroups = 2;
constexpr int64_t kLoadRegisters = 40, kMmaRegisters = 232;

int64_t up(int64_t n, int64_t step) { return (n + step - 1) / step * step; }

/// What the body says, and what follows for the emission.
struct Plan {
  int64_t heads, nope, rope, value, latent, pageSize;
  int64_t queries, rowTile; ///< of the domain's third dimension: extent, step
  double scale;             ///< of the raw scores, with log2 e
  tile::QuantizeOp quantize;
  int64_t weightStages;

  // In shared memory columns come in whole chunks of 64.
  int64_t nopeColumns() const { return up(nope, 64); }
  int64_t ropeColumns() const { return up(rope, 64); }
  int64_t valueColumns() const { return up(value, 64); }
  int64_t latentColumns() const { return up(latent, 64); }
  /// Rows of W_UK and of W_UV that a step multiplies with.
  int64_t weightRows() const { return std::max(nopeColumns(), valueColumns()); }
  int64_t chunks() const { return latentColumns() / 64; }
  int64_t ctasPerItem() const { return up(rowTile, kQueries) / kQueries; }
  int64_t tiles() const { return up(queries, rowTile) / rowTile; }
};

/// Empty, or why the sizes of |kernel| (of a known form) are not served.
std::string plan(tile::KernelOp kernel, Plan &plan) {
  auto args = kernel.getKernelArguments();
  auto shape = [&](unsigned i) {
    return cast<tile::ViewType>(args[i].getType()).getShape();
  };
  plan.heads = kernel.getDim(1).getExtent();
  plan.queries = kernel.getDim(2).getExtent();
  plan.rowTile = kernel.getDim(2).getStep();
  plan.value = shape(7)[1] / plan.heads;
  plan.nope = shape(6)[0] / plan.heads - plan.value;
  plan.rope = shape(0)[1] / plan.heads - plan.nope;
  plan.latent = shape(6)[1];
  plan.pageSize = shape(1)[1];
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
  plan.quantize = {};
  kernel.walk([&](tile::QuantizeOp op) { plan.quantize = op; });

  if (!(plan.scale > 0))
    return "scores are scaled by a positive constant only";
  if (plan.pageSize % 64 != 0)
    return "pages of " + std::to_string(plan.pageSize) +
           " rows are not whole key tiles of 64";
  for (auto [n, what] :
       {std::pair<int64_t, const char *>(plan.nope, "a non-rotary width of "),
        {plan.rope, "a rotary width of "},
        {plan.value, "a value width of "},
        {plan.latent, "a latent of "}})
    if (n % 8 != 0)
      return what + std::to_string(n) + " is not a multiple of 8";
  if (plan.weightRows() > kPrefillHeadColumns)
    return "heads of " + std::to_string(plan.nope) + " and " +
           std::to_string(plan.value) +
           " columns exceed the registers of a warpgroup";
  int64_t fixed = 2 * (kQueries * (plan.nopeColumns() + plan.ropeColumns()) +
                       64 * (plan.nopeColumns() + plan.valueColumns()) +
                       64 * (plan.latentColumns() + plan.ropeColumns()));
  int64_t weight = 2 * plan.weightRows() * 128 + 16;
  plan.weightStages =
      std::min<int64_t>(4, (sm90::kMaxSharedBytes - fixed - 3 * 1024) / weight);
  if (plan.weightStages < 1)
    return "a latent of " + std::to_string(plan.latent) +
           " leaves no room for weights in shared memory";
  return {};
}

class Emitter : AttentionEmitter {
public:
  Emitter(tile::KernelOp kernel, const Plan &plan)
      : AttentionEmitter(kernel), plan(plan) {}

  sm90::KernelOp emit(OpBuilder &outer);

private:
  enum Argument { Q, Pool, PageTable, QStart, KvLen, Positions, Wkv, O };

  /// What a CTA does; all i32.
  struct Work {
    Value sequence, head, first, length;
    Value block;   ///< the sequence's query that is row 0
    Value numRows; ///< rows of the CTA that exist
    Value blocks;  ///< key tiles
  };

  void emitWork(llvm::function_ref<void(const Work &)> body);
  void emitProducer();
  void emitConsumer(Value group);
  /// K or V of the tile (by |group|), as f32 registers.
  Value expand(Value latent, Value iteration, Value group);
  void storeExpanded(Value expanded, Value group);
  void storeQuantized(Value fragment, const Work &work, ArrayRef<Value> tokens,
                      ArrayRef<Value> valid);
  sm90::TileType tileOf(int64_t rows, int64_t cols) {
    return sm90::TileType::get(rows, cols, builder->getBF16Type());
  }
  /// The iteration of the weight ring for chunk |c| of key tile |iteration|.
  Value weightUse(Value iteration, int64_t c) {
    sm90::AsmBuilder &b = *builder;
    return b.add(b.mul(iteration, b.i64(plan.chunks())), b.i64(c));
  }

  Plan plan;
  Value queryMap, keyMap, weightMap, queryRing, keyRing, weightRing;
  Value keys, values; ///< tiles of expanded keys and values
};

sm90::KernelOp Emitter::emit(OpBuilder &outer) {
  begin(outer, 128 * (kGroups + 1), /*workspacePerItem=*/0);
  sm90::AsmBuilder &b = *builder;
  target.setCtasPerItem(plan.ctasPerItem());
  queryMap = mapOf(views[Q], kQueries);
  keyMap = mapOf(views[Pool], kKeys);
  weightMap = mapOf(views[Wkv], plan.weightRows());
  auto ring = [&](int64_t stages, ArrayRef<Type> tiles) -> Value {
    return sm90::RingOp::create(
        b, sm90::RingType::get(b.getContext(), stages, tiles), 4 * kGroups);
  };
  queryRing = ring(1, {tileOf(kQueries, plan.nopeColumns()),
                       tileOf(kQueries, plan.ropeColumns())});
  keyRing = ring(1, {tileOf(kKeys, plan.latentColumns()),
                     tileOf(kKeys, plan.ropeColumns())});
  weightRing = ring(plan.weightStages, {tileOf(2 * plan.weightRows(), 64)});
  keys = sm90::TileAllocOp::create(b, tileOf(kKeys, plan.nopeColumns()));
  values = sm90::TileAllocOp::create(b, tileOf(kKeys, plan.valueColumns()));
  sm90::PdlLaunchOp::create(b);
  sm90::PdlWaitOp::create(b);
  auto roles = sm90::RolesOp::create(b, kGroups, kLoadRegisters, kMmaRegisters);
  b.setInsertionPointToEnd(&roles.getLoad().front());
  emitProducer();
  b.setInsertionPointToEnd(&roles.getMma().front());
  emitConsumer(roles.getMma().getArgument(0));
  return target;
}

void Emitter::emitWork(llvm::function_ref<void(const Work &)> body) {
  sm90::AsmBuilder &b = *builder;
  Work work;
  Value item = sm90::SregOp::create(b, b.getI32Type(), sm90::Sreg::Ctaid);
  Value part = b.i32(0);
  if (plan.ctasPerItem() > 1) {
    part = b.urem(item, b.i32(plan.ctasPerItem()));
    item = b.udiv(item, b.i32(plan.ctasPerItem()));
  }
  Value begin = b.mul(part, b.i32(kQueries)); // in the domain's tile
  Value tile = b.urem(item, b.i32(plan.tiles()));
  item = b.udiv(item, b.i32(plan.tiles()));
  work.head = b.urem(item, b.i32(plan.heads));
  work.sequence = b.udiv(item, b.i32(plan.heads));
  work.block = b.add(b.mul(tile, b.i32(plan.rowTile)), begin);
  emitIf(less(work.sequence, loadI32(sizes, b.i32(1))), [&] {
    work.first = loadI32(views[QStart].data, work.sequence);
    Value last = loadI32(views[QStart].data, b.add(work.sequence, b.i32(1)));
    Value left = sub(sub(last, work.first), work.block);
    work.numRows =
        minS(minS(left, b.i32(kQueries)), sub(b.i32(plan.rowTile), begin));
    emitIf(less(b.i32(0), work.numRows), [&] {
      work.length = loadI32(views[KvLen].data, work.sequence);
      // Positions ascend inside a sequence: no row sees beyond its last one.
      Value lastToken =
          b.add(b.add(work.first, work.block), sub(work.numRows, b.i32(1)));
      Value end =
          minS(b.add(loadI32(views[Positions].data, lastToken), b.i32(1)),
               work.length);
      work.blocks = ceilDiv(end, kKeys);
      body(work);
    });
  });
}

void Emitter::emitProducer() {
  emitWork([&](const Work &work) {
    sm90::AsmBuilder &b = *builder;
    Value none = b.i32(0), use = b.i64(0);
    auto load = [&](Value map, ValueRange at, Value tile, Value ring,
                    Value iteration) {
      sm90::TmaLoadOp::create(b, map, at, tile, ring, iteration);
    };
    auto acquire = [&](Value ring, Value iteration) {
      auto type = cast<sm90::RingType>(ring.getType());
      return sm90::AcquireOp::create(b, type.getTiles(), ring, iteration)
          .getTiles();
    };
    auto query = acquire(queryRing, use);
    Value token = b.add(work.first, work.block);
    Value column = b.mul(work.head, b.i32(plan.nope + plan.rope));
    load(queryMap, {column, token}, query[0], queryRing, use);
    load(queryMap, {b.add(column, b.i32(plan.nope)), token}, query[1],
         queryRing, use);
    sm90::CommitOp::create(b, queryRing, use);

    Value table = byteOffset(
        views[PageTable].data,
        b.mul(b.mul(wide(work.sequence), views[PageTable].extents[1]),
              b.i64(4)));
    Value weightRow = b.mul(work.head, b.i32(plan.nope + plan.value));
    auto loop = scf::ForOp::create(b, b.i64(0), wide(work.blocks), b.i64(1));
    OpBuilder::InsertionGuard guard(b);
    b.setInsertionPointToStart(loop.getBody());
    Value iteration = loop.getInductionVar();
    Value key = b.mul(b.trunc32(iteration), b.i32(kKeys));
    Value page = loadI32(table, b.udiv(key, b.i32(plan.pageSize)));
    Value inPage =
        b.add(b.urem(key, b.i32(plan.pageSize)), firstRow(key, work.length));
    auto context = acquire(keyRing, iteration);
    load(keyMap, {none, inPage, page}, context[0], keyRing, iteration);
    load(keyMap, {b.i32(plan.latent), inPage, page}, context[1], keyRing,
         iteration);
    sm90::CommitOp::create(b, keyRing, iteration);
    int64_t n = plan.weightRows();
    auto part =
        sm90::TileType::get(b.getContext(), n, 64, b.getBF16Type(), 2 * n);
    for (int64_t c = 0; c < plan.chunks(); ++c) {
      Value use = weightUse(iteration, c);
      Value weights = acquire(weightRing, use)[0];
      for (int64_t g = 0; g < kGroups; ++g)
        load(weightMap,
             {b.i32(64 * c), b.add(weightRow, b.i32(g ? plan.nope : 0))},
             sm90::TileSliceOp::create(b, part, weights, Value(), Value(),
                                       g * n, 0),
             weightRing, use);
      sm90::CommitOp::create(b, weightRing, use);
    }
  });
}

Value Emitter::expand(Value latent, Value iteration, Value group) {
  sm90::AsmBuilder &b = *builder;
  auto ringType = cast<sm90::RingType>(weightRing.getType());
  int64_t n = plan.weightRows();
  auto part =
      sm90::TileType::get(b.getContext(), n, 64, b.getBF16Type(), 2 * n);
  auto chunk =
      sm90::TileType::get(b.getContext(), kKeys, 64, b.getBF16Type(), kKeys);
  Value row = b.mul(group, b.i32(n)), acc;
  for (int64_t c = 0; c < plan.chunks(); ++c) {
    Value use = weightUse(iteration, c);
    Value weights =
        sm90::AwaitOp::create(b, ringType.getTiles(), weightRing, use)
            .getTiles()[0];
    weights = sm90::TileSliceOp::create(b, part, weights, row, Value(), 0, 0);
    Value a = latent;
    if (plan.chunks() > 1)
      a = sm90::TileSliceOp::create(b, chunk, latent, Value(), Value(), 0,
                                    64 * c);
    acc = multiply(a, {}, weights, /*mn=*/false, n, acc);
    sm90::ReleaseOp::create(b, weightRing, use);
  }
  return acc;
}

// Columns beyond the head's width are zero: they hold another head's weights.
void Emitter::storeExpanded(Value expanded, Value group) {
  sm90::AsmBuilder &b = *builder;
  SmallVector<Value> registers = b.unpack(expanded);
  Value zero = arith::ConstantOp::create(b, b.getF32FloatAttr(0));
  auto store = [&](int64_t width, Value tile) {
    int64_t columns = up(width, 64);
    SmallVector<Value> kept;
    for (int64_t i = 0; i < columns / 2; ++i)
      kept.push_back(8 * (i >> 2) < width ? registers[i] : zero);
    Value words = packBf16(b.pack(kept, f32s(columns / 2)));
    Value fragment = LLVM::BitcastOp::create(
        b, VectorType::get({columns / 2}, b.getBF16Type()), words);
    sm90::TileStoreOp::create(b, fragment, tile);
  };
  auto which = scf::IfOp::create(
      b, TypeRange(), b.cmp(arith::CmpIPredicate::eq, group, b.i32(0)),
      /*withElseRegion=*/true);
  OpBuilder::InsertionGuard guard(b);
  b.setInsertionPointToStart(which.thenBlock());
  store(plan.nope, keys);
  b.setInsertionPointToStart(which.elseBlock());
  store(plan.value, values);
}

void Emitter::emitConsumer(Value group) {
  emitThread();
  emitWork([&](const Work &work) {
    sm90::AsmBuilder &b = *builder;
    SmallVector<Value> valid, visible, tokens;
    Value inCta = b.add(b.mul(group, b.i32(kRows)), rowInGroup);
    for (int64_t half = 0; half < 2; ++half) {
      Value row = b.add(inCta, b.i32(8 * half));
      valid.push_back(less(row, work.numRows));
      Value token = b.add(b.add(work.first, work.block),
                          minS(row, sub(work.numRows, b.i32(1))));
      tokens.push_back(token);
      visible.push_back(minS(
          b.add(loadI32(views[Positions].data, token), b.i32(1)), work.length));
    }
    auto await = [&](Value ring, Value iteration) {
      auto type = cast<sm90::RingType>(ring.getType());
      return sm90::AwaitOp::create(b, type.getTiles(), ring, iteration)
          .getTiles();
    };
    auto barrier = [&] {
      sm90::NamedBarrierOp::create(b, 1, 128 * kGroups, Value());
    };
    Value use = b.i64(0);
    auto query = await(queryRing, use);
    SmallVector<Value> mine; // this warpgroup's rows
    Value row = b.mul(group, b.i32(kRows));
    for (Value tile : query) {
      auto type = cast<sm90::TileType>(tile.getType());
      mine.push_back(sm90::TileSliceOp::create(
          b,
          sm90::TileType::get(b.getContext(), kRows, type.getCols(),
                              b.getBF16Type(), kQueries),
          tile, row, Value(), 0, 0));
    }
    auto loop = scf::ForOp::create(
        b, b.i64(0), wide(work.blocks), b.i64(1),
        ValueRange{splat(-std::numeric_limits<double>::infinity(), 2),
                   splat(0, 2), splat(0, plan.valueColumns() / 2)});
    {
      OpBuilder::InsertionGuard guard(b);
      b.setInsertionPointToStart(loop.getBody());
      Value iteration = loop.getInductionVar();
      SoftmaxRegisters state{loop.getRegionIterArg(0), loop.getRegionIterArg(1),
                             loop.getRegionIterArg(2)};
      Value key = b.mul(b.trunc32(iteration), b.i32(kKeys));
      auto context = await(keyRing, iteration);
      Value expanded = expand(context[0], iteration, group);
      barrier(); // both have finished with the previous tile
      storeExpanded(expanded, group);
      sm90::FenceAsyncOp::create(b);
      barrier();

      auto accType = sm90::AccType::get(b.getContext(), kKeys / 2);
      sm90::MmaFenceOp::create(b, TypeRange(), ValueRange());
      Value product = sm90::MmaOp::create(b, accType, mine[0], Value(), keys,
                                          Value(), /*b_mn=*/false);
      product = sm90::MmaOp::create(b, accType, mine[1], Value(), context[1],
                                    product, /*b_mn=*/false);
      sm90::MmaCommitOp::create(b);
      Value scores = sm90::MmaWaitOp::create(b, TypeRange(f32s(kKeys / 2)),
                                             TypeRange(), ValueRange(product),
                                             ValueRange(), ValueRange(), 0)
                         .getValues()[0];
      sm90::ReleaseOp::create(b, keyRing, iteration);
      scores = maskScores(scores, key, work.length, visible);
      Value p = softmaxStep(state, scores, plan.scale);
      state.acc = multiply({}, packBf16(p), values, /*mn=*/true,
                           plan.valueColumns(), state.acc);
      scf::YieldOp::create(b, ValueRange{state.max, state.sum, state.acc});
    }
    sm90::ReleaseOp::create(b, queryRing, use);
    Value result = softmaxFinish(
        {loop.getResult(0), quadSum(loop.getResult(1)), loop.getResult(2)});
    if (plan.quantize)
      return storeQuantized(result, work, tokens, valid);
    int64_t pitch = tile::rowPitchBytes(views[O].type);
    Value column = b.mul(wide(work.head), b.i64(2 * plan.value));
    SmallVector<Value> rows;
    for (Value token : tokens)
      rows.push_back(byteOffset(
          views[O].data, b.add(b.mul(wide(token), b.i64(pitch)), column)));
    storeRows(result, rows, valid, b.i32(0), plan.value);
  });
}

// Model-spec 3.4, one group of 128 columns at a time.
void Emitter::storeQuantized(Value fragment, const Work &work,
                             ArrayRef<Value> tokens, ArrayRef<Value> valid) {
  sm90::AsmBuilder &b = *builder;
  tile::QuantizeOp op = plan.quantize;
  int64_t width = plan.heads * plan.value, groups = plan.value / 128;
  for (int64_t g = 0; g < groups; ++g) {
    SmallVector<int64_t> take;
    for (int64_t i = 0; i < 64; ++i)
      take.push_back(64 * g + i);
    Value x = vector::ShuffleOp::create(b, fragment, fragment, take);
    Value amax = sm90::RowReduceOp::create(b, f32s(2), sm90::Reduce::Max,
                                           math::AbsFOp::create(b, x), 2);
    amax = arith::MaximumFOp::create(b, amax,
                                     splat(op.getFloor().convertToFloat(), 2));
    Value scales = arith::DivFOp::create(b, amax, splat(448, 2));
    if (op.getFormat() == tile::ScaleFormat::UE8M0) {
      // Up to a power of two: the exponent, plus one if there is a mantissa.
      auto type = VectorType::get({2}, b.getI32Type());
      auto word = [&](int32_t value) -> Value {
        return arith::ConstantOp::create(b,
                                         DenseElementsAttr::get(type, value));
      };
      Value bits = arith::BitcastOp::create(b, type, scales);
      bits = b.bitAnd(b.add(bits, word(0x007FFFFF)), word(0x7F800000));
      scales = arith::BitcastOp::create(b, f32s(2), bits);
    }
    SmallVector<Value> codes = b.unpack(sm90::ToE4m3Op::create(
        b, VectorType::get({32}, b.getI16Type()),
        arith::DivFOp::create(b, x, spreadRows(scales, 64))));
    SmallVector<Value> scale = b.unpack(scales);
    Value low = b.i32(0xFFFF), high = b.i32(-65536);
    auto pair = VectorType::get({2}, b.getI16Type());
    for (int64_t half = 0; half < 2; ++half) {
      // A word: this lane's two columns of two adjacent blocks of eight.
      SmallVector<Value> words;
      for (int64_t block = 0; block < 16; block += 2)
        words.push_back(LLVM::BitcastOp::create(
            b, b.getI32Type(),
            b.pack({codes[2 * block + half], codes[2 * block + 2 + half]},
                   pair)));
      transposeQuads(words);
      emitIf(valid[half], [&] {
        Value token = wide(tokens[half]);
        Value at = b.add(
            b.mul(token, b.i64(tile::rowPitchBytes(views[O].type))),
            b.add(b.mul(wide(work.head), b.i64(plan.value)), b.i64(128 * g)));
        Value row = byteOffset(views[O].data, at);
        for (int64_t i = 0; i < 8; i += 4) {
          ArrayRef<Value> w = ArrayRef<Value>(words).slice(i, 4);
          Value piece = b.pack({b.bitOr(b.bitAnd(w[0], low), b.shl(w[1], 16)),
                                b.bitOr(b.bitAnd(w[2], low), b.shl(w[3], 16)),
                                b.bitOr(b.shr(w[0], 16), b.bitAnd(w[1], high)),
                                b.bitOr(b.shr(w[2], 16), b.bitAnd(w[3], high))},
                               VectorType::get({4}, b.getI32Type()));
          LLVM::StoreOp::create(
              b, piece, byteOffset(row, wide(b.shl(b.add(quad, b.i32(i)), 4))),
              /*alignment=*/16);
        }
        emitIf(b.cmp(arith::CmpIPredicate::eq, quad, b.i32(0)), [&] {
          Value index =
              b.add(b.mul(token, b.i64(width / 128)),
                    b.add(b.mul(wide(work.head), b.i64(groups)), b.i64(g)));
          LLVM::StoreOp::create(
              b, scale[half],
              byteOffset(views[O].scale, b.mul(index, b.i64(4))));
        });
      });
    }
  }
}

//===----------------------------------------------------------------------===//
// The lowering
//===----------------------------------------------------------------------===//

class MlaPrefillLowering : public KernelLowering {
public:
  StringRef getName() const override { return "mla_prefill"; }

  std::string match(tile::KernelOp kernel, const Chip &) const override {
    std::string reason = matchActivations(kernel);
    auto weight = dyn_cast<tile::ViewType>(
        kernel.getBodyBlock().getArgument(6).getType());
    if (reason.empty() && weight && !weight.getElementType().isBF16())
      reason = "wkv_b is multiplied in bf16, as the upload leaves it";
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
  // buildMlaPrefill in bf16 with a latent of whole groups of 128, or with one
  // that is filled up with zeros; each with output in bf16, in FP8 with f32
  // scales, in FP8 with ue8m0 scales.
  static constexpr uint64_t kForms[] = {0xC4A98CD964CF3944, 0x37FF1601D0A30F16,
                                        0xC7A13153F7487EEE, 0x18F7F0D95AB082A7,
                                        0xED8A854EF5292881, 0xA012DBB25810A066};
};

} // namespace

const KernelLowering &mlaPrefillLowering() {
  static const MlaPrefillLowering lowering;
  return lowering;
}

} // namespace hadal::nvptx
