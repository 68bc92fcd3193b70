// mla_prefill on Hopper: queries of one head of one sequence against its paged
// latent cache, of which the head's keys and values are expanded on the fly.
//
// A CTA has one or two tiles of 128 queries, 64 of each for each of its two
// consumer warpgroups: with two, every expanded key serves twice as many. The
// producer warp brings the queries once; then per key tile the rotary columns
// and, in chunks of 64 latent columns, the latent with the head's W_UK and W_UV.
// The first warpgroup expands the tile's 64 keys and the second its values, both
// into shared memory; then each multiplies its own queries with them.
//
// At V3 a key tile takes 8 stages of 40 KiB from the L2 cache for 256 queries: 20
// bytes for a query and a key, beside 18 of mla_decode (72 KiB for 64 rows). The
// weights are seven tenths of it: what they cost is the reason for wide tiles.
#include "compiler/codegen/nvptx/attention/AttentionEmitter.h"
#include "compiler/codegen/nvptx/common/Codes.h"
#include "cost/Chip.h"

using namespace mlir;

namespace hadal::nvptx {
namespace {

/// Queries of a tile: 64 of each of the two warpgroups.
constexpr int64_t kTileQueries = 128;
constexpr int64_t kGroups = 2;
/// Columns of a chunk of the latent.
constexpr int64_t kChunk = 64;

/// What the body says, and what follows for the emission.
struct Plan : AttentionForm {
  int64_t heads, nope, rope, value, latent;
  int64_t queries, rowTile; ///< of the domain's third dimension: extent, step
  tile::QuantizeOp quantize;

  int64_t tiles; ///< of queries, per CTA

  // In shared memory columns come in whole chunks of 64.
  int64_t nopeColumns() const { return llvm::alignTo(nope, 64); }
  int64_t ropeColumns() const { return llvm::alignTo(rope, 64); }
  int64_t valueColumns() const { return llvm::alignTo(value, 64); }
  /// Rows of W_UK and of W_UV that a step multiplies with.
  int64_t weightRows() const { return std::max(nopeColumns(), valueColumns()); }
  int64_t chunks() const { return llvm::divideCeil(latent, kChunk); }
  int64_t ctaQueries() const { return tiles * kTileQueries; }
  int64_t ctasPerItem() const { return llvm::divideCeil(rowTile, ctaQueries()); }
  int64_t rowTiles() const { return llvm::divideCeil(queries, rowTile); }

  static constexpr StringRef kWords[] = {"bm", "bn", "query_tile", "stages",
                                         "regs"};
  static std::string matchTypes(tile::KernelOp kernel);
  std::string read(tile::KernelOp kernel);
  std::string readWords(tile::KernelOp kernel, const Chip &chip);
};

std::string Plan::matchTypes(tile::KernelOp kernel) {
  auto weight =
      dyn_cast<tile::ViewType>(kernel.getBodyBlock().getArgument(6).getType());
  if (weight && !weight.getElementType().isBF16())
    return "wkv_b is multiplied in bf16, as the upload leaves it";
  return {};
}

std::string Plan::read(tile::KernelOp kernel) {
  if (std::string reason = AttentionForm::read(kernel); !reason.empty())
    return reason;
  auto args = kernel.getKernelArguments();
  auto shape = [&](unsigned i) {
    return cast<tile::ViewType>(args[i].getType()).getShape();
  };
  heads = kernel.getDim(1).getExtent();
  queries = kernel.getDim(2).getExtent();
  rowTile = kernel.getDim(2).getStep();
  value = shape(7)[1] / heads;
  nope = shape(6)[0] / heads - value;
  rope = shape(0)[1] / heads - nope;
  latent = shape(6)[1];
  quantize = {};
  kernel.walk([&](tile::QuantizeOp op) { quantize = op; });

  for (auto [n, what] :
       {std::pair<int64_t, const char *>(nope, "a non-rotary width of "),
        {rope, "a rotary width of "},
        {value, "a value width of "},
        {latent, "a latent of "}})
    if (n % 8 != 0)
      return what + std::to_string(n) + " is not a multiple of 8";
  if (weightRows() > kPrefillHeadColumns)
    return "heads of " + std::to_string(nope) + " and " +
           std::to_string(value) +
           " columns exceed the registers of a warpgroup";
  return {};
}

std::string Plan::readWords(tile::KernelOp kernel, const Chip &chip) {
  groups = kGroups;
  FailureOr<int64_t> queryTile = kernel.getWord("query_tile"),
                     stagesWord = kernel.getWord("stages");
  if (failed(queryTile) || failed(stagesWord))
    return "its schedule is not complete";
  stages = *stagesWord;
  auto refuse = [](StringRef word, int64_t value, const Twine &why) {
    return ("the word '" + word + "' is " + Twine(value) + ": " + why).str();
  };
  if (*queryTile != kTileQueries && *queryTile != 2 * kTileQueries)
    return refuse("query_tile", *queryTile, "it takes 128 or 256");
  // A CTA must not reach into the domain's next tile.
  if (rowTiles() > 1 && rowTile % *queryTile != 0)
    return refuse("query_tile", *queryTile,
                  "a tile of " + Twine(rowTile) + " queries is no multiple");
  tiles = *queryTile / kTileQueries;
  int64_t fixed =
      2 * (tiles * kTileQueries * (nopeColumns() + ropeColumns()) +
           kKeys * (nopeColumns() + valueColumns()) + kKeys * ropeColumns());
  int64_t stage = 2 * kChunk * (kKeys + 2 * weightRows()) + 16;
  // Three rings start at multiples of 1024, their barriers behind the stages.
  int64_t fit =
      (static_cast<int64_t>(chip.sharedPerBlock) - fixed - 3 * 1024) / stage;
  if (stages < 1 || stages > fit)
    return refuse("stages", stages,
                  "a rotary width of " + Twine(rope) + " and " +
                      Twine(*queryTile) + " queries leave room for " +
                      Twine(std::max<int64_t>(fit, 0)) +
                      " in shared memory");
  return {};
}

class Emitter : AttentionEmitter {
public:
  Emitter(tile::KernelOp kernel, const Plan &plan)
      : AttentionEmitter(kernel, kGroups, plan.registers), plan(plan) {}

  sm90::KernelOp emit(OpBuilder &outer);

private:
  static constexpr unsigned Wkv = Positions + 1, O = Wkv + 1;

  /// What a CTA does; all i32.
  struct Work {
    Sequence sequence;
    Value head;
    Value token;   ///< of row 0
    Value numRows; ///< rows of the CTA that exist
    Value blocks;  ///< key tiles
  };
  /// The rows of a warpgroup in one tile of queries; each thread has two.
  struct Rows {
    SmallVector<Value> query; ///< tiles: non-rotary, rotary columns
    SmallVector<Value> valid, visible;
  };

  void emitWork(llvm::function_ref<void(const Work &)> body);
  void emitProducer();
  void emitConsumer(Value group);
  /// This thread's row |half| of tile |tile|, counted in the CTA.
  Value rowOf(Value group, int64_t tile, int64_t half);
  Value tokenOf(const Work &work, Value row);
  Rows rowsOf(const Work &work, Value group, int64_t tile, ValueRange query);
  /// K or V of the tile (by |group|), as f32 registers.
  Value expand(Value iteration, Value group);
  void storeExpanded(Value expanded, Value group);
  /// One key tile for the queries of |rows|.
  void attend(SoftmaxRegisters &state, const Work &work, const Rows &rows,
              Value key, Value rotary);
  void finish(const SoftmaxRegisters &state, const Work &work, Value group,
              int64_t tile, ArrayRef<Value> valid);
  void storeQuantized(Value fragment, const Work &work, ArrayRef<Value> tokens,
                      ArrayRef<Value> valid);
  /// The iteration of the stream for chunk |c| of key tile |iteration|.
  Value streamUse(Value iteration, int64_t c) {
    sm90::AsmBuilder &b = *builder;
    return b.add(b.mul(iteration, b.i64(plan.chunks())), b.i64(c));
  }
  /// The rows of W_UK or of W_UV in a stage's weights.
  sm90::TileType halfType() {
    int64_t n = plan.weightRows();
    return sm90::TileType::get(builder->getContext(), n, kChunk,
                               builder->getBF16Type(), 2 * n);
  }

  Plan plan;
  Value queryMap, keyMap, weightMap;
  /// queries; rotary keys; latent and weights
  Value queryRing, rotaryRing, streamRing;
  Value keys, values; ///< tiles of expanded keys and values
};

sm90::KernelOp Emitter::emit(OpBuilder &outer) {
  begin(outer, /*workspacePerItem=*/0);
  sm90::AsmBuilder &b = *builder;
  target.setCtasPerItem(plan.ctasPerItem());
  queryMap = mapOf(views[Q], plan.ctaQueries());
  keyMap = mapOf(views[Pool], kKeys);
  weightMap = mapOf(views[Wkv], plan.weightRows());
  queryRing = createRing(1, {tileOf(plan.ctaQueries(), plan.nopeColumns()),
                             tileOf(plan.ctaQueries(), plan.ropeColumns())});
  rotaryRing = createRing(1, {tileOf(kKeys, plan.ropeColumns())});
  streamRing = createRing(
      plan.stages,
      {tileOf(kKeys, kChunk), tileOf(2 * plan.weightRows(), kChunk)});
  keys = sm90::TileAllocOp::create(b, tileOf(kKeys, plan.nopeColumns()));
  values = sm90::TileAllocOp::create(b, tileOf(kKeys, plan.valueColumns()));
  emitRoles([&] { emitProducer(); }, [&](Value group) { emitConsumer(group); });
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
  Value begin = b.mul(part, b.i32(plan.ctaQueries())); // in the domain's tile
  Value tile = b.urem(item, b.i32(plan.rowTiles()));
  item = b.udiv(item, b.i32(plan.rowTiles()));
  work.head = b.urem(item, b.i32(plan.heads));
  Value block = b.add(b.mul(tile, b.i32(plan.rowTile)), begin);
  emitSequence(b.udiv(item, b.i32(plan.heads)), [&](const Sequence &sequence) {
    work.sequence = sequence;
    work.token = b.add(sequence.first, block);
    Value left = sub(sequence.last, work.token);
    work.numRows = minS(minS(left, b.i32(plan.ctaQueries())),
                        sub(b.i32(plan.rowTile), begin));
    emitIf(less(b.i32(0), work.numRows), [&] {
      // Positions ascend inside a sequence: no row sees beyond its last one.
      Value lastToken = b.add(work.token, sub(work.numRows, b.i32(1)));
      work.blocks = ceilDiv(visibleKeys(sequence, lastToken), kKeys);
      body(work);
    });
  });
}

void Emitter::emitProducer() {
  emitWork([&](const Work &work) {
    sm90::AsmBuilder &b = *builder;
    Value use = b.i64(0);
    auto query = acquire(queryRing, use);
    Value column = b.mul(work.head, b.i32(plan.nope + plan.rope));
    load(queryMap, {column, work.token}, query[0], queryRing, use);
    load(queryMap, {b.add(column, b.i32(plan.nope)), work.token}, query[1],
         queryRing, use);
    sm90::CommitOp::create(b, queryRing, use);

    Value table = pageTableOf(work.sequence);
    Value weightRow = b.mul(work.head, b.i32(plan.nope + plan.value));
    auto loop = scf::ForOp::create(b, b.i64(0), wide(work.blocks), b.i64(1));
    OpBuilder::InsertionGuard guard(b);
    b.setInsertionPointToStart(loop.getBody());
    Value iteration = loop.getInductionVar();
    Value key = b.mul(b.trunc32(iteration), b.i32(kKeys));
    Value page = pageOf(table, key);
    Value inPage = rowInPage(work.sequence, key);
    for (int64_t c = 0; c < plan.chunks(); ++c) {
      Value use = streamUse(iteration, c);
      auto stage = acquire(streamRing, use);
      load(keyMap, {b.i32(kChunk * c), inPage, page}, stage[0], streamRing,
           use);
      for (int64_t g = 0; g < kGroups; ++g)
        load(weightMap,
             {b.i32(kChunk * c), b.add(weightRow, b.i32(g ? plan.nope : 0))},
             sm90::TileSliceOp::create(b, halfType(), stage[1], Value(),
                                       Value(), g * plan.weightRows(), 0),
             streamRing, use);
      sm90::CommitOp::create(b, streamRing, use);
    }
    // Needed last: behind the stream, whose stages free up one by one.
    load(keyMap, {b.i32(plan.latent), inPage, page},
         acquire(rotaryRing, iteration)[0], rotaryRing, iteration);
    sm90::CommitOp::create(b, rotaryRing, iteration);
  });
}

Value Emitter::expand(Value iteration, Value group) {
  sm90::AsmBuilder &b = *builder;
  Value row = b.mul(group, b.i32(plan.weightRows())), acc;
  for (int64_t c = 0; c < plan.chunks(); ++c) {
    Value use = streamUse(iteration, c);
    auto stage = await(streamRing, use);
    Value weights = sm90::TileSliceOp::create(b, halfType(), stage[1], row,
                                              Value(), 0, 0);
    acc = multiplyAndWait(b, stage[0], {}, weights, /*bMn=*/false,
                          plan.weightRows(), acc);
    sm90::ReleaseOp::create(b, streamRing, use);
  }
  return acc;
}

// Columns beyond the head's width are zero: they hold another head's weights.
void Emitter::storeExpanded(Value expanded, Value group) {
  sm90::AsmBuilder &b = *builder;
  SmallVector<Value> registers = b.unpack(expanded);
  Value zero = arith::ConstantOp::create(b, b.getF32FloatAttr(0));
  auto store = [&](int64_t width, Value tile) {
    int64_t columns = llvm::alignTo(width, 64);
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

Value Emitter::rowOf(Value group, int64_t tile, int64_t half) {
  sm90::AsmBuilder &b = *builder;
  return b.add(b.add(b.mul(group, b.i32(kRows)), rowInGroup),
               b.i32(kTileQueries * tile + 8 * half));
}

Value Emitter::tokenOf(const Work &work, Value row) {
  return builder->add(work.token,
                      minS(row, sub(work.numRows, builder->i32(1))));
}

Emitter::Rows Emitter::rowsOf(const Work &work, Value group, int64_t tile,
                              ValueRange query) {
  sm90::AsmBuilder &b = *builder;
  Rows rows;
  for (int64_t half = 0; half < 2; ++half) {
    Value row = rowOf(group, tile, half);
    rows.valid.push_back(less(row, work.numRows));
    rows.visible.push_back(visibleKeys(work.sequence, tokenOf(work, row)));
  }
  Value first =
      b.add(b.mul(group, b.i32(kRows)), b.i32(kTileQueries * tile));
  for (Value whole : query) {
    auto type = cast<sm90::TileType>(whole.getType());
    rows.query.push_back(sm90::TileSliceOp::create(
        b,
        sm90::TileType::get(b.getContext(), kRows, type.getCols(),
                            b.getBF16Type(), plan.ctaQueries()),
        whole, first, Value(), 0, 0));
  }
  return rows;
}

void Emitter::attend(SoftmaxRegisters &state, const Work &work,
                     const Rows &rows, Value key, Value rotary) {
  sm90::AsmBuilder &b = *builder;
  auto accType = sm90::AccType::get(b.getContext(), kKeys / 2);
  sm90::MmaFenceOp::create(b, TypeRange(), ValueRange());
  Value product = sm90::MmaOp::create(b, accType, rows.query[0], Value(), keys,
                                      Value(), /*b_mn=*/false);
  // Of the same shape on the same registers: no fence between the two.
  product = sm90::MmaOp::create(b, accType, rows.query[1], Value(), rotary,
                                product, /*b_mn=*/false);
  sm90::MmaCommitOp::create(b);
  Value scores = sm90::MmaWaitOp::create(b, TypeRange(f32s(kKeys / 2)),
                                         TypeRange(), ValueRange(product),
                                         ValueRange(), ValueRange(), 0)
                     .getValues()[0];
  scores = maskScores(scores, key, work.sequence.length, rows.visible);
  Value p = softmaxStep(state, scores, plan.scale);
  state.acc = multiplyAndWait(b, {}, packBf16(p), values, /*bMn=*/true,
                              plan.valueColumns(), state.acc);
}

void Emitter::emitConsumer(Value group) {
  emitWork([&](const Work &work) {
    sm90::AsmBuilder &b = *builder;
    auto barrier = [&] {
      sm90::NamedBarrierOp::create(b, 1, 128 * kGroups, Value());
    };
    Value use = b.i64(0);
    auto query = await(queryRing, use);
    SmallVector<Rows> rows;
    SmallVector<Value> init;
    for (int64_t tile = 0; tile < plan.tiles; ++tile) {
      rows.push_back(rowsOf(work, group, tile, query));
      init.append(emptyState(plan.valueColumns()));
    }
    auto stateAt = [](ValueRange values, int64_t tile) {
      return SoftmaxRegisters{values[3 * tile], values[3 * tile + 1],
                              values[3 * tile + 2]};
    };
    auto loop =
        scf::ForOp::create(b, b.i64(0), wide(work.blocks), b.i64(1), init);
    {
      OpBuilder::InsertionGuard guard(b);
      b.setInsertionPointToStart(loop.getBody());
      Value iteration = loop.getInductionVar();
      Value key = b.mul(b.trunc32(iteration), b.i32(kKeys));
      Value expanded = expand(iteration, group);
      // Both have finished with the previous tile: their wgmmas on it were
      // waited for. Then stmatrix writes in the generic proxy what wgmma reads
      // in the async one: each writer fences, and the barrier comes behind all
      // fences (PTX ISA, "Async Proxy").
      barrier();
      storeExpanded(expanded, group);
      sm90::FenceAsyncOp::create(b);
      barrier();
      Value rotary = await(rotaryRing, iteration)[0];
      SmallVector<Value> next;
      for (int64_t tile = 0; tile < plan.tiles; ++tile) {
        SoftmaxRegisters state = stateAt(loop.getRegionIterArgs(), tile);
        attend(state, work, rows[tile], key, rotary);
        next.append({state.max, state.sum, state.acc});
      }
      sm90::ReleaseOp::create(b, rotaryRing, iteration);
      scf::YieldOp::create(b, next);
    }
    sm90::ReleaseOp::create(b, queryRing, use);
    for (int64_t tile = 0; tile < plan.tiles; ++tile)
      finish(stateAt(loop.getResults(), tile), work, group, tile,
             rows[tile].valid);
  });
}

void Emitter::finish(const SoftmaxRegisters &state, const Work &work,
                     Value group, int64_t tile, ArrayRef<Value> valid) {
  sm90::AsmBuilder &b = *builder;
  SmallVector<Value> tokens;
  for (int64_t half = 0; half < 2; ++half)
    tokens.push_back(tokenOf(work, rowOf(group, tile, half)));
  Value result = softmaxFinish({state.max, quadSum(state.sum), state.acc},
                               work.sequence.length);
  if (plan.quantize)
    return storeQuantized(result, work, tokens, valid);
  int64_t pitch = tile::rowPitchBytes(views[O].type);
  Value column = b.mul(wide(work.head), b.i64(2 * plan.value));
  SmallVector<Value> rows;
  for (Value token : tokens)
    rows.push_back(byteOffset(
        views[O].data, b.add(b.mul(wide(token), b.i64(pitch)), column)));
  storeRows(result, rows, valid, b.i32(0), plan.value);
}

// One group of 128 columns at a time, as tile.quantize defines it.
void Emitter::storeQuantized(Value fragment, const Work &work,
                             ArrayRef<Value> tokens, ArrayRef<Value> valid) {
  sm90::AsmBuilder &b = *builder;
  int64_t width = plan.heads * plan.value, groups = plan.value / 128;
  for (int64_t g = 0; g < groups; ++g) {
    SmallVector<int64_t> take;
    for (int64_t i = 0; i < 64; ++i)
      take.push_back(64 * g + i);
    Value x = vector::ShuffleOp::create(b, fragment, fragment, take);
    Value amax = sm90::RowReduceOp::create(b, f32s(2), sm90::Reduce::Max,
                                           math::AbsFOp::create(b, x), 2);
    Value scales = emitScales(b, amax, plan.quantize);
    SmallVector<Value> codes = b.unpack(sm90::ToE4m3Op::create(
        b, VectorType::get({32}, b.getI16Type()),
        arith::DivFOp::create(b, x, spreadRows(scales, 64))));
    SmallVector<Value> scale = b.unpack(scales);
    auto pair = VectorType::get({2}, b.getI16Type());
    for (int64_t half = 0; half < 2; ++half) {
      // A word: this lane's two columns of two adjacent blocks of eight.
      SmallVector<Value> words;
      for (int64_t block = 0; block < 16; block += 2)
        words.push_back(LLVM::BitcastOp::create(
            b, b.getI32Type(),
            b.pack({codes[2 * block + half], codes[2 * block + 2 + half]},
                   pair)));
      transposeQuads(b, quad, words);
      emitIf(valid[half], [&] {
        Value token = wide(tokens[half]);
        Value at = b.add(
            b.mul(token, b.i64(tile::rowPitchBytes(views[O].type))),
            b.add(b.mul(wide(work.head), b.i64(plan.value)), b.i64(128 * g)));
        Value row = byteOffset(views[O].data, at);
        for (int64_t i = 0; i < 8; i += 4) {
          Value piece =
              b.pack(orderCodes(b, ArrayRef<Value>(words).slice(i, 4)),
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

// buildMlaPrefill in bf16 with a latent of whole groups of 128, or with one that
// is filled up with zeros; each with output in bf16, in FP8 with f32 scales, in
// FP8 with ue8m0 scales.
constexpr uint64_t kForms[] = {0xE59C2AAAC8BB57D3, 0xB0F5840B59C8F3D9,
                               0xF0BB37237D953601, 0xD1AAE3ED0CBD887A,
                               0x799612EA98DE560A, 0x911BE5943EDFDD54};

} // namespace

const KernelLowering &mlaPrefillLowering() {
  static const AttentionLowering<Plan, Emitter> lowering("mla_prefill", kForms);
  return lowering;
}

} // namespace hadal::nvptx
