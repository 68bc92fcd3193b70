// The specialised attention lowerings on the simulator.
#include "cost/Chip.h"
#include "compiler/codegen/nvptx/attention/KernelLowering.h"
#include "test/kernels/AttentionBatch.h"

namespace hadal::kernels::test {
namespace {

/// builderOf with words of the schedule replaced behind the rules' back.
template <typename Spec>
Executable::Build editedBuilderOf(const Spec &spec,
                                  std::map<std::string, int64_t> words,
                                  const schedule::Words &given = {}) {
  return [whole = builderOf(spec, given), words](mlir::OpBuilder &builder) {
    tile::KernelOp kernel = whole(builder);
    mlir::NamedAttrList list(kernel.getSchedule().getWords());
    for (auto &[key, value] : words)
      list.set(key, builder.getI64IntegerAttr(value));
    kernel.setScheduleAttr(tile::ScheduleAttr::get(
        builder.getContext(), list.getDictionary(builder.getContext())));
    return kernel;
  };
}

constexpr double kScale = 0.1352337789;

/// mla_decode of |s| with the keys in chunks, shared between |split| parts.
Executable::Build splitBuilder(const Shape &s, int64_t maxQueries,
                               int64_t chunk, int64_t split) {
  schedule::Words words{{"split", split}};
  if (split > 1)
    words["chunk"] = chunk;
  return builderOf(decodeSpec(s, Act::bf16, maxQueries, kScale), words);
}

void checkDecode(Shape s, std::vector<int64_t> lengths,
                 std::vector<int64_t> queries, int64_t maxQueries,
                 int64_t chunk = 0, int64_t split = 1) {
  SCOPED_TRACE(s.heads);
  SCOPED_TRACE(s.latent);
  Batch batch(s, Act::bf16, Weight::f32, lengths, queries);
  Buffer query =
      batch.random.matrix(Format::bf16, batch.capacity * s.heads, s.width());
  if (lengths.empty() || lengths[0] == 0) // no key: no position before it
    batch.positions.set(0, 0, 0);
  Executable kernel(
      splitBuilder(s, maxQueries, chunk, split),
      Mode::loops);
  Comparison comparison = compareRows(batch.decode(kernel, query),
                                      absorbedReference(batch, query, kScale));
  HADAL_EXPECT_CLOSE(comparison, attentionTolerance(Act::bf16));
}

TEST(MlaDecodeSm90, matchesTheReferenceAtTheWidthsOfV3) {
  checkDecode({128, 128, 64, 128, 512, 64}, {70, 5}, {1, 1}, 1);
}

TEST(MlaDecodeSm90, raggedWidthsAndHeads) {
  checkDecode({16, 16, 16, 16, 48, 64}, {200, 64}, {1, 1}, 1);
  checkDecode({4, 16, 8, 16, 24, 64}, {1, 70, 128}, {1, 1, 1}, 1);
  checkDecode({80, 16, 8, 16, 160, 64}, {65}, {1}, 1);
  checkDecode({96, 16, 16, 16, 200, 128}, {130, 257}, {1, 1}, 1);
  checkDecode({1, 16, 64, 16, 64, 64}, {33}, {1}, 1);
}

TEST(MlaDecodeSm90, severalQueriesPerSequenceAreCausal) {
  checkDecode({4, 16, 8, 16, 24, 64}, {9, 100}, {2, 3}, 4);
  checkDecode({24, 16, 8, 16, 72, 64}, {90, 40, 7}, {7, 0, 7}, 8);
  checkDecode({128, 16, 16, 16, 128, 64}, {70}, {2}, 2);
}

TEST(MlaDecodeSm90, aSequenceWithoutKeysGivesZeros) {
  Shape s{16, 16, 16, 16, 128, 64};
  Batch batch(s, Act::bf16, Weight::f32, {0, 3}, {1, 1});
  batch.positions.set(0, 0, 0);
  Buffer query =
      batch.random.matrix(Format::bf16, batch.capacity * s.heads, s.width());
  Executable kernel(
      builderOf(decodeSpec(s, Act::bf16, 1, kScale)),
      Mode::loops);
  Buffer o = batch.decode(kernel, query);
  for (int64_t h = 0; h < s.heads; ++h)
    for (int64_t c = 0; c < s.latent; ++c)
      EXPECT_EQ(o.at(h, c), 0.0);
}

/// The sum of a row's weights is 0 where it has no key, and where all its
/// scores are -inf: the first gives zeros, the second must not.
TEST(MlaDecodeSm90, scoresOfMinusInfinityGiveNaN) {
  Shape s{16, 16, 16, 16, 128, 64};
  for (int64_t split : {1, 2}) {
    Batch batch(s, Act::bf16, Weight::f32, {3, 0, 70}, {1, 1, 1});
    batch.positions.set(1, 0, 0);
    Buffer query =
        batch.random.matrix(Format::bf16, batch.capacity * s.heads, s.width());
    batch.makeScoresInfinite(query, s.latent, s.width());
    Executable kernel(splitBuilder(s, 1, 64, split),
                      Mode::loops);
    Buffer o = batch.decode(kernel, query);
    for (int64_t row = 0; row < 3 * s.heads; ++row)
      for (int64_t c = 0; c < s.latent; ++c)
        if (row / s.heads == 1)
          ASSERT_EQ(o.at(row, c), 0.0);
        else
          ASSERT_TRUE(std::isnan(o.at(row, c))) << row << ", " << c;
  }
}

TEST(MlaPrefillSm90, scoresOfMinusInfinityGiveNaN) {
  Shape s{2, 16, 16, 16, 64, 64};
  Batch batch(s, Act::bf16, Weight::bf16, {70, 0}, {5, 1});
  batch.positions.set(5, 0, 0);
  batch.makeScoresInfinite(batch.q, s.nope, s.head());
  Executable kernel(builderOf(prefillSpec(s, Act::bf16, Weight::bf16, 64, 0.2)),
                    Mode::loops);
  Buffer o = batch.prefill(kernel, false);
  for (int64_t m = 0; m < 6; ++m)
    for (int64_t c = 0; c < s.heads * s.value; ++c)
      if (m == 5)
        ASSERT_EQ(o.at(m, c), 0.0);
      else
        ASSERT_TRUE(std::isnan(o.at(m, c))) << m << ", " << c;
}

TEST(MlaDecodeSm90, aSplitFoldComputesTheSame) {
  // More chunks than parts, as many, fewer, and a part of one tile.
  for (int64_t split : {2, 4})
    checkDecode({16, 16, 16, 16, 128, 64}, {1, 300, 130, 64}, {1, 1, 4, 1}, 4,
                64, split);
  checkDecode({128, 128, 64, 128, 512, 64}, {200}, {1}, 1, 128, 2);
}

// Every launch happens twice in one workspace, under both policies.
TEST(MlaDecodeSm90, aSplitServesEveryLength) {
  const Shape s{4, 16, 8, 16, 24, 64};
  const int64_t chunk = 128;
  for (int64_t length : {int64_t(1), chunk - 1, chunk, chunk + 1, 7 * chunk})
    checkDecode(s, {length}, {1}, 1, chunk, 5);
  // A ragged batch: no keys, no queries, a part for every chunk, several chunks
  // for a part; fewer parts than the split has.
  checkDecode(s, {0, 5, 300, 129, 700, 640, 64}, {1, 1, 0, 1, 1, 1, 1}, 1,
              chunk, 5);
  checkDecode(s, {500, 3}, {3, 1}, 4, chunk, 3);
}

TEST(MlaDecodeSm90, aSplitServesManyItems) {
  std::vector<int64_t> lengths, queries(40, 1);
  for (int64_t r = 0; r < 40; ++r)
    lengths.push_back(1 + 37 * r % 300);
  checkDecode({2, 16, 8, 16, 24, 64}, lengths, queries, 1, 64, 4);
}

TEST(MlaDecodeSm90, splitsFillTheChip) {
  auto splitOf = [](int64_t heads, int64_t queries, int64_t rows,
                    int64_t maxKeys) {
    MlaDecodeSpec spec =
        decodeSpec({heads, 128, 64, 128, 512, 64}, Act::bf16, queries, kScale);
    spec.rows = rows;
    spec.maxKeys = maxKeys;
    std::string error;
    auto schedule = schedule::resolve(spec, schedule::Target::sm90a,
                                      &nvptx::allChips().front(), {}, error);
    EXPECT_EQ(*schedule->find<int64_t>("chunk"), 256);
    return *schedule->find<int64_t>("split");
  };
  // Two blocks of 64 rows to a sequence.
  EXPECT_EQ(splitOf(128, 1, 1, 1 << 17), 64);
  EXPECT_EQ(splitOf(128, 1, 1, 4096), 16);
  EXPECT_EQ(splitOf(128, 1, 4, 1 << 17), 16);
  EXPECT_EQ(splitOf(128, 1, 16, 1 << 17), 4);
  EXPECT_EQ(splitOf(128, 1, 64, 1 << 17), 1);
  EXPECT_EQ(splitOf(128, 512, 1, 1 << 17), 1);
  EXPECT_EQ(splitOf(16, 1, 1, 256), 1);
  EXPECT_EQ(splitOf(16, 1, 1, 257), 2);
}

// Whatever is legal computes the same; words that move no sum, to the bit.
TEST(MlaDecodeSm90, everyLegalScheduleComputesTheSame) {
  Shape s{16, 16, 8, 16, 136, 64};
  MlaDecodeSpec spec = decodeSpec(s, Act::bf16, 4, kScale);
  Batch batch(s, Act::bf16, Weight::f32, {200, 64, 7}, {4, 1, 3});
  Buffer query =
      batch.random.matrix(Format::bf16, batch.capacity * s.heads, s.width());
  auto expected = absorbedReference(batch, query, kScale);
  auto bytes = [](Buffer &o) {
    std::string all;
    for (int64_t r = 0; r < o.rows(); ++r)
      all += o.rowBytes(r);
    return all;
  };
  Buffer plain = batch.decode(
      Executable(builderOf(spec), Mode::loops), query);
  schedule::Words before;
  std::string error;
  auto rules = schedule::resolve(spec, schedule::Target::sm90a,
                                 &nvptx::allChips().front(), {}, error);
  ASSERT_TRUE(rules) << error;
  for (const auto &word :
       schedule::spaceOf<MlaDecodeSpec>(schedule::Target::sm90a)) {
    std::vector<schedule::Value> legal = schedule::legalValues(
        word, {spec, &nvptx::allChips().front(), before});
    for (const schedule::Value &value : legal) {
      // Of long ranges the ends.
      if (legal.size() > 8 && value != legal[1] && value != legal.back())
        continue;
      SCOPED_TRACE(std::string(word.name) + "=" + schedule::toString(value));
      schedule::Words given{{std::string(word.name), value}};
      if (word.name == "chunk")
        given["split"] = int64_t(2);
      Buffer o =
          batch.decode(Executable(builderOf(spec, given), Mode::loops), query);
      HADAL_EXPECT_CLOSE(compareRows(o, expected),
                         attentionTolerance(Act::bf16));
      if (word.bits == schedule::Bits::same) {
        EXPECT_EQ(bytes(o), bytes(plain));
      }
    }
    before.insert(*rules->words.find(word.name));
  }
}

TEST(MlaDecodeSm90, aRowAloneAndInABatchIsBitEqual) {
  Shape s{16, 16, 8, 16, 72, 64};
  for (int64_t split : {1, 3}) {
    Executable kernel(splitBuilder(s, 1, 64, split),
                      Mode::loops);
    Batch batch(s, Act::bf16, Weight::f32, {90, 450, 3}, {1, 1, 1});
    Buffer query =
        batch.random.matrix(Format::bf16, batch.capacity * s.heads, s.width());
    Buffer together = batch.decode(kernel, query, 3);
    for (int64_t r = 0; r < 3; ++r) {
      // The same sequence as row 0 of a launch of one row.
      Batch single = batch;
      single.sizes = makeSizes(1, 1);
      single.tokens = 1;
      for (int64_t p = 0; p < batch.table.cols(); ++p)
        single.table.set(0, p, batch.table.at(r, p));
      single.kvLen.set(0, 0, batch.kvLen.at(r, 0));
      single.positions.set(0, 0, batch.positions.at(r, 0));
      for (int64_t i = 1; i < single.qStart.rows(); ++i)
        single.qStart.set(i, 0, 1);
      Buffer own = query;
      for (int64_t h = 0; h < s.heads; ++h)
        for (int64_t c = 0; c < s.width(); ++c)
          own.set(h, c, query.at(r * s.heads + h, c));
      Buffer alone = single.decode(kernel, own, 4);
      for (int64_t h = 0; h < s.heads; ++h)
        EXPECT_EQ(alone.rowBytes(h), together.rowBytes(r * s.heads + h));
    }
  }
}

//===----------------------------------------------------------------------===//
// mla_prefill
//===----------------------------------------------------------------------===//

void checkPrefill(Shape s, std::vector<int64_t> lengths,
                  std::vector<int64_t> queries, int64_t maxQueries,
                  bool quantize = false,
                  ScaleFormat format = ScaleFormat::f32) {
  SCOPED_TRACE(s.latent);
  Batch batch(s, Act::bf16, Weight::bf16, lengths, queries);
  std::vector<Row> expected = expandedReference(batch, 0.2);
  if (quantize)
    for (Row &row : expected)
      row = quantizeDequantize(row, format);
  MlaPrefillSpec spec =
      prefillSpec(s, Act::bf16, Weight::bf16, maxQueries, 0.2);
  spec.quantize = quantize;
  spec.scaleFormat = format;
  Executable kernel(builderOf(spec), Mode::loops);
  Comparison comparison =
      compareRows(batch.prefill(kernel, quantize), expected);
  HADAL_EXPECT_CLOSE(comparison, quantize ? (Tolerance{5e-4, 1.0 / 8})
                                          : attentionTolerance(Act::bf16));
}

TEST(MlaPrefillSm90, matchesTheReferenceAtTheWidthsOfV3) {
  checkPrefill({2, 128, 64, 128, 512, 64}, {80}, {30}, 512, true);
  checkPrefill({1, 128, 64, 128, 512, 64}, {140}, {140}, 512);
}

TEST(MlaPrefillSm90, severalTilesOfQueries) {
  // One tile, one and a part, two CTAs, an item's tile and a part of the next.
  const Shape s{2, 32, 16, 48, 64, 64};
  checkPrefill(s, {128, 131, 130}, {128, 131, 3}, 200);
  checkPrefill(s, {700}, {390}, 512);
  checkPrefill(s, {560, 20}, {530, 20}, 600);
}

TEST(MlaPrefillSm90, raggedWidths) {
  checkPrefill({2, 32, 16, 48, 64, 64}, {40, 90, 1}, {0, 90, 1}, 90);
  checkPrefill({3, 24, 8, 72, 136, 64}, {100, 64}, {37, 64}, 64);
  checkPrefill({2, 16, 8, 128, 40, 128}, {300}, {200}, 200, true,
               ScaleFormat::ue8m0);
}

TEST(MlaPrefillSm90, matchesTheFormOfEveryShape) {
  mlir::MLIRContext context;
  context.loadDialect<tile::TileDialect>();
  mlir::OpBuilder builder(&context);
  for (int64_t heads : {1, 3, 128})
    for (int64_t queries : {1, 16, 200, 600})
      for (int64_t latent : {40, 512})
        for (bool quantize : {false, true})
          for (ScaleFormat format : {ScaleFormat::f32, ScaleFormat::ue8m0}) {
            mlir::OwningOpRef<mlir::ModuleOp> module =
                mlir::ModuleOp::create(builder.getUnknownLoc());
            builder.setInsertionPointToEnd(module->getBody());
            // Some widths equal by chance.
            int64_t value = quantize || queries != 16 ? 128 : 24;
            MlaPrefillSpec spec = prefillSpec(
                {heads, 16, queries == 200 ? value : 8, value, latent, 64},
                Act::bf16, Weight::bf16, queries, 0.2);
            spec.quantize = quantize;
            spec.scaleFormat = format;
            tile::KernelOp kernel = builderOf(spec)(builder);
            EXPECT_EQ(nvptx::mlaPrefillLowering().match(kernel), "")
                << printSpec(spec);
          }
}

TEST(MlaPrefillSm90, everyLegalScheduleComputesTheSame) {
  Shape s{2, 16, 8, 16, 72, 64};
  MlaPrefillSpec spec = prefillSpec(s, Act::bf16, Weight::bf16, 300, kScale);
  Batch batch(s, Act::bf16, Weight::bf16, {310, 40}, {300, 2});
  Buffer plain =
      batch.prefill(Executable(builderOf(spec), Mode::loops), false);
  for (auto [word, value] :
       {std::pair<std::string, schedule::Value>{"bm", int64_t(128)},
        {"bm", int64_t(256)},
        {"query_tile", int64_t(128)},
        {"query_tile", int64_t(256)},
        {"stages", int64_t(1)},
        {"stages", int64_t(3)},
        {"regs", std::string("24/240")},
        {"regs", std::string("56/224")}}) {
    SCOPED_TRACE(word + "=" + schedule::toString(value));
    Buffer o = batch.prefill(
        Executable(builderOf(spec, {{word, value}}), Mode::loops), false);
    for (int64_t r = 0; r < o.rows(); ++r)
      EXPECT_EQ(o.rowBytes(r), plain.rowBytes(r)) << r;
  }
}

//===----------------------------------------------------------------------===//
// Refusals
//===----------------------------------------------------------------------===//

/// The error of compiling what |build| makes; empty if it compiles.
std::string errorOf(const Executable::Build &build) {
  try {
    Executable kernel(build, Mode::loops);
  } catch (const std::runtime_error &error) {
    return error.what();
  }
  return {};
}

TEST(MlaDecodeSm90, matchesTheFormOfEveryShape) {
  mlir::MLIRContext context;
  context.loadDialect<tile::TileDialect>();
  mlir::OpBuilder builder(&context);
  for (int64_t heads : {1, 2, 16, 40, 64, 96, 127, 128})
    for (int64_t queries : {1, 2, 3, 64, 200}) {
      mlir::OwningOpRef<mlir::ModuleOp> module =
          mlir::ModuleOp::create(builder.getUnknownLoc());
      builder.setInsertionPointToEnd(module->getBody());
      MlaDecodeSpec spec =
          decodeSpec({heads, 16, 8, 16, 24, 64}, Act::bf16, queries, kScale);
      tile::KernelOp kernel = builderOf(spec)(builder);
      EXPECT_EQ(nvptx::mlaDecodeLowering().match(kernel), "")
          << heads << " heads, " << queries << " queries";
    }
}

TEST(MlaDecodeSm90, refusesAnEditedBody) {
  Executable::Build whole =
      builderOf(decodeSpec({128, 128, 64, 128, 512, 64}, Act::bf16, 1, kScale));
  EXPECT_EQ(errorOf(whole), "");
  // The sums over rounded weights, say.
  std::string error = errorOf([&](mlir::OpBuilder &builder) {
    tile::KernelOp kernel = whole(builder);
    mlir::SmallVector<tile::ReduceOp> sums;
    kernel.walk([&](tile::ReduceOp op) {
      if (op.getKind() == tile::ReduceKind::Add)
        sums.push_back(op);
    });
    for (tile::ReduceOp sum : sums) {
      mlir::Value p = sum.getSource();
      auto type = mlir::cast<mlir::RankedTensorType>(p.getType());
      builder.setInsertionPoint(sum);
      mlir::Value rounded = mlir::arith::TruncFOp::create(
          builder, sum.getLoc(), type.clone(builder.getBF16Type()), p);
      mlir::Value back = mlir::arith::ExtFOp::create(builder, sum.getLoc(),
                                                     mlir::Type(type), rounded);
      sum.getSourceMutable().assign(back);
    }
    return kernel;
  });
  EXPECT_NE(error.find("bring the lowering up to date"), std::string::npos)
      << error;
}

TEST(MlaDecodeSm90, refusesWhatItDoesNotServe) {
  auto refusal = [&](Shape s, Act act, std::map<std::string, int64_t> words) {
    return errorOf(editedBuilderOf(decodeSpec(s, act, 1, kScale), words));
  };
  auto expect = [](const std::string &error, const char *part) {
    EXPECT_NE(error.find(part), std::string::npos) << error;
  };
  Shape s{16, 16, 16, 16, 128, 64};
  expect(refusal(s, Act::f32, {}), "activations of f32");
  expect(refusal(s, Act::bf16, {{"chunk", 100}}),
         "the word 'chunk' is 100: it takes a multiple of 64");
  expect(refusal(s, Act::bf16, {{"split", 0}}),
         "the word 'split' is 0: it takes 1 to 1024");
  expect(refusal(s, Act::bf16, {{"warpgroups", 3}}),
         "the output has 2 blocks of 64 columns, and a CTA up to 2 warpgroups");
  expect(refusal(s, Act::bf16, {{"stages", 40}}),
         "in shared memory, and it takes 2 or more");
  expect(refusal(s, Act::bf16, {{"cluster", 2}}),
         "its sm_90a lowering knows no word 'cluster', only bm, bn, chunk, split");
  expect(errorOf(splitBuilder(s, 1, 100, 2)),
         "the word 'chunk' is 100; legal values: 64, 128, 256, 512, 1024");
  s.pageSize = 16;
  expect(refusal(s, Act::bf16, {}), "pages of 16 rows");
  s = {16, 16, 16, 16, 132, 64};
  expect(refusal(s, Act::bf16, {}), "not multiples of 8");
  s = {16, 16, 16, 16, 576, 64};
  expect(refusal(s, Act::bf16, {}), "exceeds their registers, 256 columns each");
}

TEST(MlaPrefillSm90, refusesWhatItDoesNotServe) {
  auto expect = [](Shape s, Act act, Weight weight, const char *part) {
    std::string error = errorOf(
        builderOf(prefillSpec(s, act, weight, 16, kScale)));
    EXPECT_NE(error.find(part), std::string::npos) << error;
  };
  Shape s{2, 16, 8, 16, 128, 64};
  expect(s, Act::f32, Weight::bf16, "activations of f32");
  expect(s, Act::bf16, Weight::fp8, "as the upload leaves it");
  expect({2, 16, 8, 16, 128, 32}, Act::bf16, Weight::bf16, "pages of 32 rows");
  expect({2, 16, 8, 20, 128, 64}, Act::bf16, Weight::bf16,
         "a value width of 20");
  expect({2, 192, 8, 16, 128, 64}, Act::bf16, Weight::bf16,
         "exceed the registers");
  auto edited = [](std::map<std::string, int64_t> words, int64_t bm,
                   const char *part) {
    std::string error = errorOf(editedBuilderOf(
        prefillSpec({2, 16, 8, 16, 128, 64}, Act::bf16, Weight::bf16, 512,
                    kScale),
        words, {{"bm", bm}}));
    EXPECT_NE(error.find(part), std::string::npos) << error;
  };
  edited({{"query_tile", 100}}, 512,
         "the word 'query_tile' is 100: it takes 128 or 256");
  edited({{"query_tile", 256}}, 128,
         "the word 'query_tile' is 256: a tile of 128 queries is no multiple");
  edited({{"stages", 40}}, 512, " queries leave room for ");
}

} // namespace
} // namespace hadal::kernels::test
