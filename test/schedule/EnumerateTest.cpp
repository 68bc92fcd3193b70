// What a tuner may try: legal schedules, each once, and a code with numbers for
// every branch that was cut.
#include <gtest/gtest.h>

#include "cost/Chip.h"
#include "kernels/SpecText.h"
#include "schedule/Enumerate.h"
#include "test/schedule/Specs.h"

namespace hadal::schedule {
namespace {

using namespace kernels;

const nvptx::Chip *h100() { return &nvptx::allChips().front(); }

GemmSpec qkv(int64_t rows) {
  GemmSpec spec{{}, 2112, 7168, rows};
  spec.quantizedInput = true;
  spec.segmentRows = 0;
  return spec;
}

class Enumerate : public ::testing::TestWithParam<Target> {};

// The default is first; every candidate is what resolve makes of it, and no two
// are equal.
TEST_P(Enumerate, candidatesAreLegalAndDiffer) {
  for (const AnySpec &spec : specsOf(GetParam())) {
    SCOPED_TRACE(printSpec(spec));
    std::string error;
    auto byRules = resolveSchedule(spec, GetParam(), h100(), {}, error);
    ASSERT_TRUE(byRules) << error;
    Candidates found = enumerateCandidates(spec, GetParam(), h100());
    ASSERT_FALSE(found.all.empty());
    EXPECT_EQ(found.all.front().words, byRules->words);
    EXPECT_EQ(found.all.front().bits, Bits::same);
    EXPECT_EQ(found.all.front().choices, 0u);
    std::set<std::string> texts;
    for (const Candidate &candidate : found.all) {
      auto made =
          resolveSchedule(spec, GetParam(), h100(), candidate.words, error);
      ASSERT_TRUE(made) << canonicalText(candidate.words) << ": " << error;
      EXPECT_EQ(made->words, candidate.words);
      EXPECT_TRUE(texts.insert(canonicalText(candidate.words)).second);
    }
    for (const auto &[code, cut] : found.pruned) {
      EXPECT_GT(cut.count, 0u);
      EXPECT_FALSE(cut.word.empty());
      EXPECT_FALSE(cut.numbers.empty()) << idOf(code);
    }
  }
}

// Equal arguments give equal lists.
TEST_P(Enumerate, isDeterministic) {
  for (const AnySpec &spec : specsOf(GetParam())) {
    Candidates one = enumerateCandidates(spec, GetParam(), h100());
    Candidates two = enumerateCandidates(spec, GetParam(), h100());
    EXPECT_EQ(one.all, two.all);
    EXPECT_EQ(one.total(), two.total());
  }
}

template <typename Spec> void checkTries(const Spec &spec, Target target) {
  std::string error;
  Words before;
  auto ruled = resolve(spec, target, h100(), {}, error);
  for (const Word<Spec> &word : spaceOf<Spec>(target)) {
    auto at = ruled->words.find(word.name);
    if (at == ruled->words.end())
      continue;
    Facts<Spec> facts{spec, h100(), before};
    if (word.tries) {
      std::vector<Value> values = word.values(facts);
      for (const Value &value : word.tries(facts))
        EXPECT_NE(std::find(values.begin(), values.end(), value), values.end())
            << word.name << "=" << toString(value) << " is tried but no value";
    }
    before.insert(*at);
  }
}

TEST_P(Enumerate, onlyValuesAreTried) {
  for (const AnySpec &spec : specsOf(GetParam()))
    std::visit([&](const auto &s) { checkTries(s, GetParam()); }, spec);
}

/// Collects the words of |spec| that are tried, and those that some candidate
/// has otherwise than another.
template <typename Spec>
void collectVaried(const Spec &spec, Target target,
                   std::set<std::string> &tried,
                   std::set<std::string> &varied) {
  Candidates found = enumerateCandidates(spec, target, h100());
  for (const Word<Spec> &word : spaceOf<Spec>(target)) {
    std::string name = std::string(Spec::kKind) + " " + std::string(word.name);
    std::set<std::string> values;
    for (const Candidate &candidate : found.all)
      if (auto at = candidate.words.find(word.name);
          at != candidate.words.end()) {
        Facts<Spec> facts{spec, h100(), candidate.words};
        if (!word.tries || !word.tries(facts).empty())
          tried.insert(name);
        values.insert(toString(at->second));
      }
    if (values.size() > 1)
      varied.insert(name);
  }
}

// Of every word that a search tries, some kernel has two values: none is tried
// in name only. The others move one step from the best.
TEST_P(Enumerate, everyTriedWordVaries) {
  std::set<std::string> tried, varied;
  std::vector<AnySpec> specs = specsOf(GetParam());
  // Tiles of 128 rows are tried of more than 64.
  specs.push_back(AbsorbQSpec{{}, 4, 128, 64, 128, 256, 128, Weight::bf16});
  specs.push_back(AbsorbVSpec{{}, 4, 128, 128, 512, 128, Weight::bf16});
  for (const AnySpec &spec : specs)
    std::visit(
        [&](const auto &s) { collectVaried(s, GetParam(), tried, varied); },
        spec);
  // What a dump says is built, and nothing to choose (EveryWordIsAliveTest);
  // attention on a CPU has one form beside loops.
  const std::set<std::string> fixed =
      GetParam() == Target::cpu
          ? std::set<std::string>{"mla_decode form", "mla_prefill form"}
          : std::set<std::string>{"mla_decode bn", "mla_prefill bn",
                                  "gate_topk threads", "absorb_q swap_ab",
                                  "absorb_v swap_ab"};
  for (const std::string &name : tried)
    EXPECT_NE(varied.contains(name), fixed.contains(name)) << name;
}

// A step leads to one legal schedule beside, which differs from where it began.
TEST_P(Enumerate, neighboursAreOneStepAway) {
  for (const AnySpec &spec : specsOf(GetParam())) {
    SCOPED_TRACE(printSpec(spec));
    Candidates found = enumerateCandidates(spec, GetParam(), h100());
    for (size_t i : {size_t(0), found.all.size() / 2, found.all.size() - 1}) {
      const Words &from = found.all[i].words;
      std::string error;
      for (const Candidate &candidate :
           neighboursOf(spec, GetParam(), h100(), from)) {
        EXPECT_NE(candidate.words, from);
        EXPECT_TRUE(
            resolveSchedule(spec, GetParam(), h100(), candidate.words, error))
            << error;
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Targets, Enumerate,
                         ::testing::Values(Target::cpu, Target::sm90a),
                         [](const auto &info) {
                           return info.param == Target::cpu ? "cpu" : "sm_90a";
                         });

// The rules of a contraction on sm_90a, with the numbers of the first branch
// that each cut.
TEST(Prunes, ofAGemmOnSm90a) {
  GemmSpec spec = qkv(64);
  spec.segmentRows = 1536;
  Candidates found = enumerateCandidates(spec, Target::sm90a, h100());
  auto cut = [&](Prune code) {
    auto at = found.pruned.find(code);
    return at == found.pruned.end() ? PruneCount() : at->second;
  };
  EXPECT_EQ(cut(Prune::P01).word, "bn");
  EXPECT_EQ(cut(Prune::P01).numbers, "160 does not divide 1536");
  EXPECT_EQ(cut(Prune::P06).word, "stages");
  EXPECT_EQ(cut(Prune::P06).numbers, "12 stages: 296128 bytes of 228352");
  EXPECT_EQ(cut(Prune::P07).numbers, "2 CTAs: 128 registers of 64");
  EXPECT_EQ(cut(Prune::P08).numbers, "2 stages, and 56 steps");
  EXPECT_EQ(cut(Prune::P09).numbers, "9 of 56 steps: 8 parts of 7");
  EXPECT_EQ(cut(Prune::P05).numbers, "96 weights");
  EXPECT_EQ(cut(Prune::P14).numbers, "tiles of 128, 64 rows");
  EXPECT_GT(cut(Prune::P15).count, 0u);
  EXPECT_GT(found.all.size(), 50u);
  EXPECT_LT(found.all.size(), 20000u);

  GemmSpec rope{{}, 24576, 1536, 64};
  rope.epilogue = Epilogue::rope;
  rope.headDim = 192;
  rope.ropeDim = 64;
  found = enumerateCandidates(rope, Target::sm90a, h100());
  EXPECT_EQ(cut(Prune::P02).numbers, "64 columns, heads of 192");
  GemmSpec gated{{}, 2048, 7168, 64};
  gated.epilogue = Epilogue::swigluQuantize;
  found = enumerateCandidates(gated, Target::sm90a, h100());
  EXPECT_EQ(cut(Prune::P03).numbers, "64 columns");
  // 4096 rows of 7168 columns: the states of two parts are beyond half of L2.
  GemmSpec prefill = qkv(4096);
  prefill.n = 7168;
  found = enumerateCandidates(prefill, Target::sm90a, h100());
  EXPECT_GT(cut(Prune::P10).count, 0u);
}

// Where the spec says the order of sums, no candidate has another.
TEST(Prunes, anOrderOfSumsIsKept) {
  GemmSpec spec = qkv(16);
  spec.quantizedInput = false;
  spec.sums = Sums::rows;
  Candidates found = enumerateCandidates(spec, Target::cpu, nullptr);
  EXPECT_GT(found.pruned[Prune::P13].count, 0u);
  EXPECT_GT(found.all.size(), 10u);
  for (const Candidate &candidate : found.all)
    EXPECT_EQ(candidate.bits, Bits::same) << canonicalText(candidate.words);
}

// The class follows from two schedules: a word of class "same" may move one
// that orders sums.
TEST(BitsOfACandidate, followFromTheWholeSchedule) {
  std::string error;
  GemmSpec gemm = qkv(16);
  gemm.quantizedInput = false;
  auto words = [&](Target target, const Words &given) {
    auto made = resolve(gemm, target, h100(), given, error);
    EXPECT_TRUE(made) << error;
    return made->words;
  };
  Words cpu = words(Target::cpu, {});
  EXPECT_EQ(bitsBetween(gemm, Target::cpu, cpu,
                        words(Target::cpu, {{"panel_unroll", int64_t(4)}})),
            Bits::same);
  // Tiles of four rows take the form of rows.
  EXPECT_EQ(bitsBetween(gemm, Target::cpu, cpu,
                        words(Target::cpu, {{"bm", int64_t(4)}})),
            Bits::order);
  Words gpu = words(Target::sm90a, {});
  EXPECT_EQ(bitsBetween(gemm, Target::sm90a, gpu,
                        words(Target::sm90a, {{"stages", int64_t(3)}})),
            Bits::same);
  EXPECT_EQ(bitsBetween(gemm, Target::sm90a, gpu,
                        words(Target::sm90a, {{"split", int64_t(2)}})),
            Bits::order);
}

TEST(Options, sameBitsAndFixedWords) {
  GemmSpec spec = qkv(64);
  EnumerateOptions options;
  Candidates any = enumerateCandidates(spec, Target::sm90a, h100(), options);
  options.sameBits = true;
  Candidates same = enumerateCandidates(spec, Target::sm90a, h100(), options);
  EXPECT_LT(same.all.size(), any.all.size());
  EXPECT_GT(same.all.size(), 1u);
  for (const Candidate &candidate : same.all)
    EXPECT_EQ(candidate.bits, Bits::same);
  EXPECT_EQ(same.total(), any.total());
  EXPECT_EQ(same.pruned.at(Prune::P17).count, any.all.size() - same.all.size());

  options = {.fixed = {"stages", "split"}};
  Candidates fixed = enumerateCandidates(spec, Target::sm90a, h100(), options);
  EXPECT_LT(fixed.all.size(), any.all.size());
  EXPECT_FALSE(fixed.pruned.contains(Prune::P09));
  for (const Candidate &candidate :
       neighboursOf(spec, Target::sm90a, h100(), fixed.all[0].words, options))
    EXPECT_EQ(candidate.words.at("split"), fixed.all[0].words.at("split"));
}

// A refusal of --schedule names the rule and its numbers.
TEST(Refusals, nameTheRule) {
  std::string error;
  GemmSpec spec = qkv(64);
  EXPECT_FALSE(
      resolve(spec, Target::sm90a, h100(), {{"stages", int64_t(16)}}, error));
  EXPECT_NE(error.find("(P06: 16 stages: 394496 bytes of 228352)"),
            std::string::npos)
      << error;
  // What a rule says beside given words is checked too: beside two sums of 192
  // columns, tiles of 64 tokens do not fit, and the rule takes no fewer.
  spec.quantizedInput = false;
  spec.epilogue = Epilogue::swiglu;
  EXPECT_FALSE(resolve(spec, Target::sm90a, h100(),
                       {{"bn", int64_t(192)}, {"swap_ab", true}}, error));
  EXPECT_NE(error.find("the word 'bm' would be 64 beside the words that are "
                       "given (P07: "),
            std::string::npos)
      << error;
}

TEST(Prunes, haveIdsAndSentences) {
  EXPECT_EQ(idOf(Prune::P01), "P01");
  EXPECT_EQ(idOf(Prune::P18), "P18");
  EXPECT_EQ(sentenceOf(Prune::P06), "the stages do not fit in shared memory");
}

} // namespace
} // namespace hadal::schedule
