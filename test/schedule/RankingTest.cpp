// Which candidates are measured, by the model's prices.
#include <gtest/gtest.h>

#include "cost/Contraction.h"
#include "kernels/SpecText.h"
#include "schedule/Ranking.h"
#include "test/schedule/Specs.h"

namespace hadal::schedule {
namespace {

using namespace kernels;

const nvptx::Chip *h100() { return nvptx::findChip("h100"); }
const nvptx::Chip *h200() { return nvptx::findChip("h200"); }

GemmSpec qkv(int64_t rows) {
  GemmSpec spec{{}, 2112, 7168, rows};
  spec.quantizedInput = true;
  return spec;
}

cost::Prediction priced(const AnySpec &spec, Target target,
                        const Words &given = {},
                        const nvptx::Chip *chip = h100()) {
  std::string error;
  auto schedule = resolveSchedule(spec, target, chip, given, error);
  EXPECT_TRUE(schedule) << error;
  auto predicted = predict(spec, target, {chip, {}}, schedule->words);
  EXPECT_TRUE(predicted);
  return predicted.value_or(cost::Prediction());
}

// The terms are the whole, and none is negative.
TEST(Prices, areTheSumOfTheirTerms) {
  for (Target target : {Target::cpu, Target::sm90a})
    for (const AnySpec &spec : specsOf(target)) {
      std::string error;
      auto words = resolveSchedule(spec, target, h100(), {}, error)->words;
      auto predicted = predict(spec, target, {h100(), {}}, words);
      if (!predicted)
        continue;
      double sum = 0;
      for (double term : predicted->terms) {
        EXPECT_GE(term, 0) << printSpec(spec);
        sum += term;
      }
      EXPECT_GT(sum, 0);
      EXPECT_NEAR(sum, predicted->seconds, 1e-9 * sum) << printSpec(spec);
    }
}

// Few rows wait for weights, many for products; a faster memory helps the
// first only.
TEST(Prices, haveTheirBound) {
  GemmSpec head{{}, 129280, 7168, 16};
  head.weight = Weight::bf16;
  cost::Prediction few = priced(head, Target::sm90a);
  EXPECT_EQ(few.bound(), cost::Term::memory);
  EXPECT_EQ(few.describe().substr(0, 7), "memory ");
  // 1.85 GB at 0.9 x 3.35 TB/s.
  EXPECT_NEAR(few.seconds, 129280.0 * 7168 * 2 / (0.9 * 3.35e12),
              0.1 * few.seconds);
  EXPECT_LT(priced(head, Target::sm90a, {}, h200()).seconds,
            0.75 * few.seconds);
  GemmSpec many = qkv(4096);
  cost::Prediction prefill = priced(many, Target::sm90a);
  EXPECT_TRUE(prefill.bound() == cost::Term::tensor ||
              prefill.bound() == cost::Term::stream)
      << prefill.describe();
  EXPECT_GT(priced(many, Target::sm90a, {}, h200()).seconds,
            0.95 * prefill.seconds);
  // No less than the products at the peak.
  EXPECT_GT(prefill.seconds, 2.0 * 2112 * 7168 * 4096 / h100()->fp8Rate);
}

// A ring of two stages waits for the memory's latency at each step.
TEST(Prices, fewStagesWait) {
  GemmSpec one = qkv(16);
  cost::Prediction two = priced(
      one, Target::sm90a,
      {{"ctas", int64_t(1)}, {"stages", int64_t(2)}, {"split", int64_t(1)}});
  cost::Prediction six = priced(
      one, Target::sm90a,
      {{"ctas", int64_t(1)}, {"stages", int64_t(6)}, {"split", int64_t(1)}});
  EXPECT_EQ(two.bound(), cost::Term::latency);
  EXPECT_GT(two.seconds, 1.3 * six.seconds);
}

// On a CPU a group of rows shares the decoding of a weight row, and a panel
// that of all.
TEST(Prices, groupsShareTheDecoding) {
  GemmSpec spec = qkv(8);
  spec.quantizedInput = false;
  Words rows = {{"form", std::string("rows")}, {"bm", int64_t(8)}};
  Words alone = rows;
  rows["row_group"] = int64_t(8);
  alone["row_group"] = int64_t(1);
  EXPECT_LT(priced(spec, Target::cpu, rows).seconds,
            priced(spec, Target::cpu, alone).seconds);
  GemmSpec gemv = qkv(1);
  gemv.quantizedInput = false;
  EXPECT_EQ(priced(gemv, Target::cpu).bound(), cost::Term::memory);
  GemmSpec prefill = qkv(512);
  prefill.quantizedInput = false;
  EXPECT_EQ(priced(prefill, Target::cpu).bound(), cost::Term::tensor);
  EXPECT_GT(priced(prefill, Target::cpu, {{"bm", int64_t(4)}}).seconds,
            2 * priced(prefill, Target::cpu).seconds);
}

// What splits are chosen by and what the tuner ranks by is one formula: without
// the ring's part the same terms.
TEST(Prices, splitsAreChosenByTheSameFormula) {
  const cost::ChipModel &model = cost::modelOf(*h100());
  cost::FoldWork work = {};
  work.items = 17;
  work.ctasPerMultiprocessor = 1;
  work.steps = 56;
  work.parameterBytesPerStep = 16384;
  work.activationBytesPerStep = 0;
  work.flopsPerStep = 2.0 * 64 * 128 * 128;
  work.flopRate = h100()->fp8Rate;
  cost::Prediction base = predictFold(model, work, 1, 56);
  // A step of 128 bytes of K: 2 x 128 clocks, the peak.
  work.pipeline = cost::StepPipeline{256, 0, 0, 1, 6, 0};
  cost::Prediction full = predictFold(model, work, 1, 56);
  EXPECT_EQ(base.bound(), cost::Term::stream);
  EXPECT_EQ(full.bound(), cost::Term::stream);
  EXPECT_NEAR(full.seconds, base.seconds + model.launch, 1e-9);
}

class Rank : public ::testing::Test {
protected:
  Ranking ranked(const AnySpec &spec, const RankOptions &options = {},
                 Target target = Target::sm90a) {
    found = enumerateCandidates(spec, target, h100());
    return rankCandidates(spec, target, {h100(), {}}, found, options);
  }
  static size_t count(const Ranking &ranking, auto keep) {
    return std::count_if(ranking.order.begin(), ranking.order.end(), keep);
  }
  Candidates found;
};

// The first of the model and some of the rest are measured; every other has one
// code.
TEST_F(Rank, measuresTheFirstAndAFewThatItWouldNot) {
  RankOptions options;
  Ranking ranking = ranked(qkv(64), options);
  EXPECT_EQ(ranking.order.size() + 1, found.all.size());
  EXPECT_EQ(ranking.fallback.candidate.words, found.all.front().words);
  EXPECT_EQ(count(ranking, [](auto &r) { return r.isMeasured(); }), 14u);
  EXPECT_EQ(count(ranking, [](auto &r) { return r.escaped; }), 2u);
  EXPECT_EQ(count(ranking, [](auto &r) { return !r.pruned; }), 12u);
  EXPECT_EQ(count(ranking, [](auto &r) { return r.escaped && !r.pruned; }), 0u);
  double last = 0;
  for (const RankedCandidate &r : ranking.order) {
    ASSERT_TRUE(r.predicted);
    EXPECT_GE(r.predicted->seconds, last);
    EXPECT_GE(r.predicted->seconds, ranking.bestSeconds);
    EXPECT_EQ(r.pruned == Prune::P11,
              r.predicted->seconds > options.slack * ranking.bestSeconds);
    last = r.predicted->seconds;
  }
  options.slack = 1e9;
  EXPECT_EQ(count(ranked(qkv(64), options),
                  [](auto &r) { return r.pruned == Prune::P11; }),
            0u);
}

// Candidates that no price tells apart do not take each other's places.
TEST_F(Rank, prefersWhatTheModelTellsApart) {
  Ranking ranking = ranked(qkv(64));
  std::vector<double> kept;
  for (const RankedCandidate &r : ranking.order)
    if (!r.pruned)
      kept.push_back(r.predicted->seconds);
  ASSERT_EQ(kept.size(), 12u);
  for (size_t i = 1; i < kept.size(); ++i)
    EXPECT_GT(kept[i], 1.0009 * kept[i - 1]);
}

TEST_F(Rank, isDeterministicAndDrawsBySeed) {
  auto escapes = [&](uint64_t seed) {
    RankOptions options;
    options.seed = seed;
    std::set<std::string> texts;
    for (const RankedCandidate &r : ranked(qkv(64), options).order)
      if (r.escaped)
        texts.insert(canonicalText(r.candidate.words));
    return texts;
  };
  EXPECT_EQ(escapes(1), escapes(1));
  EXPECT_NE(escapes(1), escapes(2));
  EXPECT_EQ(escapes(3).size(), 2u);
}

// Kernels that no model covers: the fewest choices first.
TEST_F(Rank, goesByDistanceWithoutAModel) {
  RankOptions options;
  options.topK = 5;
  options.escapes = 0;
  Ranking ranking = ranked(AddSpec{{}, 2048}, options);
  EXPECT_FALSE(ranking.fallback.predicted);
  EXPECT_EQ(ranking.bestSeconds, 0);
  EXPECT_EQ(count(ranking, [](auto &r) { return r.isMeasured(); }), 5u);
  for (size_t i = 1; i < ranking.order.size(); ++i)
    EXPECT_LE(ranking.order[i - 1].candidate.choices,
              ranking.order[i].candidate.choices);
  EXPECT_EQ(ranking.order.front().candidate.choices, 1u);
}

// Of forms that the model does not tell apart inside, the one whose words are
// as its rules say.
TEST_F(Rank, prefersWhatRulesSay) {
  GemmSpec spec = qkv(4);
  spec.quantizedInput = false;
  for (const RankedCandidate &r : ranked(spec, {}, Target::cpu).order) {
    const Words &words = r.candidate.words;
    if (words.at("form") != Value(std::string("panel")))
      continue;
    EXPECT_EQ(words.at("chunk_bytes"), Value(int64_t(384 << 10)));
    EXPECT_EQ(words.at("decoded_rows"), Value(int64_t(32)));
    break;
  }
}

// Fewer than there are places: all are measured.
TEST_F(Rank, takesAllOfFew) {
  Ranking ranking = ranked(EmbedSpec{{}, 500, 1024});
  EXPECT_EQ(count(ranking, [](auto &r) { return r.isMeasured(); }),
            ranking.order.size());
  EXPECT_EQ(count(ranking, [](auto &r) { return r.escaped; }), 0u);
}

} // namespace
} // namespace hadal::schedule
