// gate_topk, moe_permute and moe_combine against plain references.
#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>

#include "References.h"

namespace hadal::kernels::test {
namespace {

constexpr Mode kModes[] = {Mode::loops, Mode::loopsF64};

/// Routes |logits| (one row per token) and returns a Routing per token.
std::vector<Routing> runGate(const GateTopkSpec &spec,
                             const std::vector<Row> &logits, const Row &bias,
                             Mode mode = Mode::loops) {
  Executable kernel(builderOf(spec), mode);
  int64_t tokens = logits.size(), capacity = tokens + 1;
  Buffer in(Format::f32, capacity, spec.experts),
      b(Format::f32, 1, spec.experts), ids(Format::i32, capacity, spec.topk),
      weights(Format::f32, capacity, spec.topk);
  for (int64_t e = 0; e < spec.experts; ++e) {
    b.set(0, e, bias.empty() ? 0 : bias[e]);
    for (int64_t m = 0; m < tokens; ++m)
      in.set(m, e, logits[m][e]);
  }
  std::vector<int32_t> sizes = makeSizes(tokens);
  Slots slots;
  slots.view(in, {capacity});
  if (spec.bias)
    slots.view(b);
  slots.view(ids, {capacity}).view(weights, {capacity}).sizes(sizes);
  kernel.run(slots, capacity);
  EXPECT_TRUE(ids.untouched(tokens) && weights.untouched(tokens));
  EXPECT_TRUE(ids.guardIntact() && weights.guardIntact());
  std::vector<Routing> result(tokens);
  for (int64_t m = 0; m < tokens; ++m)
    for (int64_t j = 0; j < spec.topk; ++j) {
      result[m].ids.push_back(static_cast<int>(ids.at(m, j)));
      result[m].weights.push_back(weights.at(m, j));
    }
  return result;
}

void expectSame(const Routing &actual, const Routing &expected) {
  EXPECT_EQ(actual.ids, expected.ids);
  for (size_t j = 0; j < expected.weights.size(); ++j)
    EXPECT_NEAR(actual.weights[j], expected.weights[j],
                1e-5 * std::fabs(expected.weights[j]) + 1e-7);
}

/// Weights by expert, whatever the order of the k.
std::vector<std::pair<int, double>> byExpert(const Routing &routing) {
  std::vector<std::pair<int, double>> pairs;
  for (size_t j = 0; j < routing.ids.size(); ++j)
    pairs.emplace_back(routing.ids[j], routing.weights[j]);
  std::sort(pairs.begin(), pairs.end());
  return pairs;
}

const Row kGoldenLogits = {1.2, -0.3, 0.8, 0.5,  2.0,  -1.0, -1.5, -0.7,
                           0.1, 0.9,  1.1, -2.0, -0.4, 0.3,  0.6,  0.2};
const Row kGoldenBias = {0,   0.1, -0.05, 0, 0,    0,   0, 0,
                         0.2, 0,   -0.1,  0, 0.15, 0.1, 0, 0.05};

GateTopkSpec goldenSpec() {
  GateTopkSpec spec{{}, 16, 4, 4, 2};
  spec.routeScale = 2.5;
  return spec;
}

void expectGolden(const Routing &routing,
                  std::vector<std::pair<int, double>> expected) {
  auto pairs = byExpert(routing);
  ASSERT_EQ(pairs.size(), expected.size());
  for (size_t j = 0; j < expected.size(); ++j) {
    EXPECT_EQ(pairs[j].first, expected[j].first);
    EXPECT_NEAR(pairs[j].second, expected[j].second, 2e-6);
  }
}

TEST(GateTopk, Gotcha1And2GoldenVector) {
  // Bias chooses only; groups score by the sum of their two best.
  for (Mode mode : kModes) {
    Routing routing =
        runGate(goldenSpec(), {kGoldenLogits}, kGoldenBias, mode)[0];
    expectGolden(routing,
                 {{0, 0.697463}, {8, 0.476437}, {9, 0.645212}, {10, 0.680888}});
    double sum = std::accumulate(routing.weights.begin(),
                                 routing.weights.end(), 0.0);
    EXPECT_NEAR(sum, 2.5, 1e-5);
  }
}

TEST(GateTopk, Gotcha3ExcludedExpertsAreMinusInfinity) {
  Row bias = kGoldenBias;
  for (double &value : bias)
    value -= 3;
  expectGolden(runGate(goldenSpec(), {kGoldenLogits}, bias)[0],
               {{0, 0.697463}, {8, 0.476437}, {9, 0.645212}, {10, 0.680888}});
}

TEST(GateTopk, goldenVectorOfV2) {
  GateTopkSpec spec{{}, 16, 4, 4, 2};
  spec.sigmoid = spec.bias = spec.groupTop2 = spec.normalize = false;
  spec.routeScale = 16;
  Routing routing = runGate(spec, {kGoldenLogits}, {})[0];
  EXPECT_EQ(routing.ids, (std::vector<int>{4, 0, 2, 3}));
  const double weights[] = {4.195374, 1.885103, 1.263622, 0.936114};
  for (int j = 0; j < 4; ++j)
    EXPECT_NEAR(routing.weights[j], weights[j], 1e-5);
}

TEST(GateTopk, Gotcha4BiasAndSumStayF32) {
  // bias = 5 + 1e-3 e and equal scores: bf16 (spacing 2^-5) would tie them.
  GateTopkSpec spec{{}, 16, 16};
  Row logits(16, 0.25), bias;
  for (int e = 0; e < 16; ++e)
    bias.push_back(5 + 1e-3 * ((7 * e) % 16));
  Routing routing = runGate(spec, {logits}, bias)[0];
  for (int j = 0; j < 16; ++j)
    EXPECT_EQ((7 * routing.ids[j]) % 16, 15 - j);
}

TEST(GateTopk, Gotcha37TiesGoToTheLowerExpert) {
  GateTopkSpec spec{{}, 32, 8, 4, 2};
  Row logits(32, 0.5), bias(32, 1.0);
  for (int repeat = 0; repeat < 20; ++repeat)
    EXPECT_EQ(runGate(spec, {logits}, bias)[0].ids,
              (std::vector<int>{0, 1, 2, 3, 4, 5, 6, 7}));
}

TEST(GateTopk, randomLogitsMatchTheReference) {
  Random random(7);
  struct Case {
    int64_t experts, topk, groups, kept;
    bool sigmoid, bias, top2, normalize;
  };
  for (Case c : {Case{16, 4, 4, 2, true, true, true, true},
                 Case{256, 8, 8, 4, true, true, true, true},
                 Case{384, 8, 1, 1, true, true, true, true},
                 Case{64, 6, 1, 1, false, false, false, false},
                 Case{160, 6, 8, 3, false, false, false, false},
                 Case{12, 3, 6, 4, true, false, true, false},
                 // Groups that share a vector of a thread with one another, and
                 // with what lies past the last expert.
                 Case{12, 3, 3, 2, true, true, true, true},
                 Case{6, 2, 3, 2, true, true, true, true},
                 Case{20, 4, 5, 3, true, true, true, true},
                 Case{18, 3, 9, 4, true, true, true, true},
                 Case{20, 4, 10, 5, false, false, false, false},
                 Case{24, 6, 3, 2, true, true, true, true},
                 Case{36, 6, 9, 4, true, true, true, true},
                 Case{48, 6, 3, 2, false, true, true, true},
                 Case{15, 4, 5, 3, true, true, true, true},
                 Case{5, 2, 5, 3, true, true, true, true}}) {
    GateTopkSpec spec{{}, c.experts, c.topk, c.groups, c.kept};
    spec.sigmoid = c.sigmoid;
    spec.bias = c.bias;
    spec.groupTop2 = c.top2;
    spec.normalize = c.normalize;
    spec.routeScale = 1.75;
    Row bias;
    for (int64_t e = 0; e < c.experts; ++e)
      bias.push_back(static_cast<float>(random.normal(0.3)));
    std::vector<Row> logits(6, Row(c.experts));
    for (Row &row : logits)
      for (double &value : row)
        value = static_cast<float>(random.normal(3));
    for (Mode mode : kModes) {
      std::vector<Routing> actual = runGate(spec, logits, bias, mode);
      for (size_t m = 0; m < logits.size(); ++m)
        expectSame(actual[m], route(logits[m], bias, spec));
    }
  }
}

TEST(GateTopk, aNaNLogitIsChosenAndShows) {
  // A damaged row of the router: its expert is chosen, as torch.topk does, and
  // no weight is a number. Downstream indexes by the ids: they stay in range
  // and distinct.
  Row logits(16, 0.0);
  logits[3] = std::nan("");
  for (Row row : {logits, Row(16, std::nan(""))}) {
    Routing routing = runGate(goldenSpec(), {row}, kGoldenBias)[0];
    std::vector<int> ids = routing.ids;
    EXPECT_NE(std::find(ids.begin(), ids.end(), 3), ids.end());
    for (double weight : routing.weights)
      EXPECT_TRUE(std::isnan(weight));
    std::sort(ids.begin(), ids.end());
    EXPECT_EQ(std::unique(ids.begin(), ids.end()), ids.end());
    EXPECT_GE(ids.front(), 0);
    EXPECT_LT(ids.back(), 16);
  }
}

//===----------------------------------------------------------------------===//
// moe_permute
//===----------------------------------------------------------------------===//

struct Permutation {
  std::vector<int32_t> sizes;
  Buffer rowToken, pos, load;
};

Permutation runPermute(const MoePermuteSpec &spec, Buffer &ids,
                       int64_t tokens) {
  Permutation p{makeSizes(tokens, 1, 0, spec.experts),
                Buffer(Format::i32, spec.tokens * spec.topk, 1),
                Buffer(Format::i32, spec.tokens, spec.topk),
                Buffer(Format::i32, 1, spec.experts)}; // pos: as one column
  // A guard behind expert_begin.
  p.sizes.push_back(12345);
  for (int64_t e = 0; e < spec.experts; ++e)
    p.load.set(0, e, 1000 + e);
  Executable kernel(builderOf(spec), Mode::loops);
  kernel.run(Slots()
                 .view(ids, {spec.tokens})
                 .view(p.rowToken, {spec.tokens * spec.topk})
                 .view(p.pos, {spec.tokens * spec.topk})
                 .view(p.load)
                 .sizes(p.sizes),
             spec.experts);
  EXPECT_EQ(p.sizes.back(), 12345);
  EXPECT_TRUE(p.rowToken.guardIntact() && p.pos.guardIntact() &&
              p.load.guardIntact());
  return p;
}

TEST(MoePermute, stableByExpertAndBlindToPadding) {
  Random random(3);
  struct Case {
    int64_t experts, topk, capacity, tokens;
  };
  for (Case c : {Case{16, 4, 64, 50}, Case{5, 1, 1, 1}, Case{256, 8, 64, 64},
                 Case{12, 3, 70, 1}, Case{7, 6, 16, 0}}) {
    MoePermuteSpec spec{{}, c.experts, c.topk, c.capacity};
    Buffer ids(Format::i32, c.capacity, c.topk);
    for (int64_t t = 0; t < c.capacity; ++t) {
      std::vector<int> order(c.experts);
      std::iota(order.begin(), order.end(), 0);
      for (int64_t j = 0; j < c.topk; ++j) {
        std::swap(order[j], order[j + random.below(c.experts - j)]);
        ids.set(t, j, order[j]);
      }
    }
    Permutation p = runPermute(spec, ids, c.tokens);
    std::vector<std::vector<int64_t>> assigned(c.experts);
    for (int64_t t = 0; t < c.tokens; ++t)
      for (int64_t j = 0; j < c.topk; ++j)
        assigned[static_cast<int64_t>(ids.at(t, j))].push_back(t * c.topk + j);
    int64_t row = 0;
    for (int64_t e = 0; e < c.experts; ++e) {
      EXPECT_EQ(p.sizes[kSizesHead + e], row);
      EXPECT_EQ(p.load.at(0, e), 1000 + e + assigned[e].size());
      for (int64_t assignment : assigned[e]) {
        EXPECT_EQ(p.rowToken.at(row, 0), assignment / c.topk);
        EXPECT_EQ(p.pos.at(assignment / c.topk, assignment % c.topk), row);
        ++row;
      }
    }
    EXPECT_EQ(p.sizes[kSizesHead + c.experts], row);
    for (int64_t r = row; r < p.rowToken.rows(); ++r)
      EXPECT_TRUE(p.rowToken.untouched(r));
    for (int64_t t = c.tokens; t < c.capacity; ++t)
      EXPECT_TRUE(p.pos.untouched(t));
  }
}

TEST(MoePermute, anIdThatNamesNoExpertIsDropped) {
  MoePermuteSpec spec{{}, 4, 2, 3};
  Buffer ids(Format::i32, 3, 2);
  const int values[] = {1, -1, 3, 4, 1, 0};
  for (int i = 0; i < 6; ++i)
    ids.set(i / 2, i % 2, values[i]);
  Permutation p = runPermute(spec, ids, 3);
  EXPECT_EQ(p.pos.at(0, 1), -1);
  EXPECT_EQ(p.pos.at(1, 1), -1);
  EXPECT_EQ((std::vector<int32_t>(p.sizes.begin() + kSizesHead,
                                  p.sizes.begin() + kSizesHead + 5)),
            (std::vector<int32_t>{0, 1, 3, 3, 4}));
}

//===----------------------------------------------------------------------===//
// moe_combine
//===----------------------------------------------------------------------===//

struct Combine {
  Buffer y, pos, weights, shared, residual, out;
};

void runCombine(const MoeCombineSpec &spec, Combine &c, int64_t tokens,
                Mode mode) {
  int64_t capacity = c.pos.rows();
  c.out = Buffer(formatOf(spec.act), capacity, spec.hidden);
  std::vector<int32_t> sizes = makeSizes(tokens);
  Slots slots;
  slots.view(c.y, {c.y.rows()}).view(c.pos, {capacity});
  slots.view(c.weights, {capacity});
  if (spec.shared)
    slots.view(c.shared, {capacity});
  slots.view(c.residual, {capacity}).view(c.out, {capacity}).sizes(sizes);
  Executable(builderOf(spec), mode).run(slots, capacity);
  EXPECT_TRUE(c.out.guardIntact());
}

Combine randomCombine(const MoeCombineSpec &spec, int64_t capacity) {
  Random random(spec.hidden);
  Format act = formatOf(spec.act);
  int64_t routed = capacity * spec.topk;
  Combine c{random.matrix(act, routed, spec.hidden),
            Buffer(Format::i32, capacity, spec.topk),
            random.matrix(Format::f32, capacity, spec.topk),
            random.matrix(act, capacity, spec.hidden),
            random.matrix(act, capacity, spec.hidden),
            {}};
  std::vector<int64_t> rows(routed);
  std::iota(rows.begin(), rows.end(), 0);
  for (int64_t i = 0; i < routed; ++i) {
    std::swap(rows[i], rows[i + random.below(routed - i)]);
    c.pos.set(i / spec.topk, i % spec.topk, rows[i]);
  }
  return c;
}

Row combineReference(const MoeCombineSpec &spec, const Combine &c, int64_t t) {
  Row row = rowOf(c.residual, t, 0, spec.hidden);
  for (int64_t i = 0; i < spec.hidden; ++i) {
    if (spec.shared)
      row[i] += c.shared.at(t, i);
    for (int64_t j = 0; j < spec.topk; ++j)
      row[i] += c.weights.at(t, j) *
                c.y.at(static_cast<int64_t>(c.pos.at(t, j)), i);
  }
  return row;
}

TEST(MoeCombine, matchesTheReference) {
  for (Mode mode : kModes)
    for (Act act : {Act::bf16, Act::f32})
      for (bool shared : {true, false}) {
        MoeCombineSpec spec{{act}, shared ? 1100 : 45, shared ? 8 : 3, shared};
        Combine c = randomCombine(spec, 5);
        runCombine(spec, c, 4, mode);
        Comparison comparison;
        for (int64_t t = 0; t < 4; ++t) {
          Row row = combineReference(spec, c, t);
          for (int64_t i = 0; i < spec.hidden; ++i)
            comparison.add(c.out.at(t, i), row[i]);
        }
        HADAL_EXPECT_CLOSE(comparison, toleranceOf(act));
        EXPECT_TRUE(c.out.untouched(4));
      }
}

TEST(MoeCombine, Gotcha36OrderOfExpertsMovesAtMostOneUlp) {
  MoeCombineSpec spec{{Act::bf16}, 256, 8, true};
  Combine c = randomCombine(spec, 2), reversed = c;
  for (int64_t t = 0; t < 2; ++t)
    for (int64_t j = 0; j < 8; ++j) {
      reversed.pos.set(t, j, c.pos.at(t, 7 - j));
      reversed.weights.set(t, j, c.weights.at(t, 7 - j));
    }
  runCombine(spec, c, 2, Mode::loops);
  runCombine(spec, reversed, 2, Mode::loops);
  int64_t differing = 0;
  for (int64_t t = 0; t < 2; ++t)
    for (int64_t i = 0; i < 256; ++i) {
      double a = c.out.at(t, i), b = reversed.out.at(t, i);
      EXPECT_LE(std::fabs(a - b), std::max(std::fabs(a), std::fabs(b)) / 128);
      differing += a != b;
    }
  // Sums in bf16 would differ in about every other element.
  EXPECT_LT(differing, 16);
}

TEST(MoeCombine, Gotcha6RouteScaleAppliesOnce) {
  // All experts identical: the routed output is route_scale times theirs.
  Row logits;
  for (int e = 0; e < 16; ++e)
    logits.push_back(0.1 * e);
  Routing routing = runGate(goldenSpec(), {logits}, Row(16, 0.0))[0];
  MoeCombineSpec spec{{Act::f32}, 32, 4, false};
  Combine c = randomCombine(spec, 1);
  for (int64_t j = 0; j < 4; ++j) {
    c.weights.set(0, j, routing.weights[j]);
    for (int64_t i = 0; i < 32; ++i)
      c.y.set(j, i, i + 1);
  }
  for (int64_t i = 0; i < 32; ++i)
    c.residual.set(0, i, 0);
  runCombine(spec, c, 1, Mode::loops);
  for (int64_t i = 0; i < 32; ++i)
    EXPECT_NEAR(c.out.at(0, i), 2.5 * (i + 1), 1e-4);
}

TEST(MoeCombine, aDroppedAssignmentAddsNothing) {
  MoeCombineSpec spec{{Act::f32}, 16, 2, false};
  Combine c = randomCombine(spec, 1);
  c.pos.set(0, 1, -1);
  runCombine(spec, c, 1, Mode::loops);
  for (int64_t i = 0; i < 16; ++i)
    EXPECT_NEAR(c.out.at(0, i),
                c.residual.at(0, i) +
                    c.weights.at(0, 0) *
                        c.y.at(static_cast<int64_t>(c.pos.at(0, 0)), i),
                1e-5);
}

} // namespace
} // namespace hadal::kernels::test
