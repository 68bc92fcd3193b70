// A word that no lowering obeys is worse than none. For every kind of kernel
// and target, each word of its table: two legal values, with all other words
// equal where they may be, give different code on some spec. An unknown word
// and an illegal value are refused with the kernel, the word and the legal
// values.
#include <map>

#include <gtest/gtest.h>

#include "compiler/codegen/cpu/CpuKernels.h"
#include "compiler/codegen/nvptx/Sm90Kernels.h"
#include "kernels/ScheduledKernel.h"
#include "kernels/SpecText.h"
#include "cost/Chip.h"
#include "test/lib/BuiltKernel.h"
#include "test/schedule/Specs.h"

namespace hadal::schedule {
namespace {

using namespace kernels;

const nvptx::Chip *h100() { return &nvptx::allChips().front(); }

/// Words with one legal value on every spec: what a dump says is built, and
/// nothing to choose.
const std::map<std::string, const char *> kFixed = {
    {"sm_90a mla_decode bn", "its lowering is written for steps of 64 keys"},
    {"sm_90a mla_prefill bn", "as above"},
    {"sm_90a gate_topk threads", "a selection is the work of one warp"},
    {"sm_90a absorb_q warpgroups", "follows from bm, 64 rows each"},
    {"sm_90a absorb_v warpgroups", "as above"},
    {"sm_90a absorb_q swap_ab", "its weight is [K, N]"},
    {"sm_90a absorb_v swap_ab", "o_lat's columns of a head are K"},
};

//===----------------------------------------------------------------------===//
// Code
//===----------------------------------------------------------------------===//

std::string codeOf(const AnySpec &spec, Target target, const Words &words) {
  test::BuiltKernel built([&](mlir::OpBuilder &builder) {
    return buildScheduled(builder, builder.getUnknownLoc(), "k", spec, target,
                          h100(), words);
  });
  if (target == Target::sm90a) {
    auto code = nvptx::compileKernel(built.getKernel(), *h100());
    if (failed(code))
      built.fail("sm_90a");
    return code->ptx + std::to_string(code->sharedBytes) + "," +
           std::to_string(code->ctasPerItem);
  }
  // Vectors of 256 bits, and of 512: some words are of one of them.
  cpu::CpuOptions options;
  options.variants = {cpu::Variant::v3, cpu::Variant::v4Bf16Vbmi};
  options.threads = 1;
  cpu::CpuKernels kernels;
  if (failed(cpu::compileCpuKernels(built.getModule(), options, kernels)))
    built.fail("cpu");
  std::string code;
  for (const cpu::CpuImage &image : kernels.images)
    code.append(image.bytes.begin(), image.bytes.end());
  return code;
}

//===----------------------------------------------------------------------===//
// Words
//===----------------------------------------------------------------------===//

std::string nameOf(Target target, std::string_view kind,
                   std::string_view word) {
  return std::string(target == Target::cpu ? "cpu " : "sm_90a ") +
         std::string(kind) + " " + std::string(word);
}

/// Schedules to begin with: the rules', and one for each other form. With |all|
/// also one for the ends of what every other word may say: some words have a
/// choice only beside others.
template <typename Spec>
std::vector<Words> startsOf(const Spec &spec, Target target, bool all = false) {
  std::string error;
  Words before;
  std::vector<Words> starts = {{}};
  auto ruled = resolve(spec, target, h100(), {}, error);
  EXPECT_TRUE(ruled) << error;
  for (const Word<Spec> &word : spaceOf<Spec>(target)) {
    auto rule = ruled->words.find(word.name);
    if (rule == ruled->words.end())
      continue;
    std::vector<Value> legal = legalValues(word, {spec, h100(), before});
    for (const Value &value : legal)
      if (value != rule->second &&
          (word.name == "form" ||
           (all && (value == legal.front() || value == legal.back()))))
        starts.push_back({{std::string(word.name), value}});
    before.insert(*rule);
  }
  if (!all)
    return starts;
  // Small bodies, and of all else the most: many steps in many parts.
  Words most;
  for (const Word<Spec> &word : spaceOf<Spec>(target)) {
    Facts<Spec> facts{spec, h100(), most};
    if (word.applies && !word.applies(facts))
      continue;
    std::vector<Value> legal = legalValues(word, facts);
    most.emplace(word.name, word.inBody ? legal.front() : legal.back());
  }
  starts.push_back(most);
  return starts;
}

/// |schedule| with |word| of |value|: all else equal if that is legal, else as
/// the rules follow it and |start|.
template <typename Spec>
Schedule changed(const Spec &spec, Target target, const Schedule &schedule,
                 Words start, std::string_view word, const Value &value) {
  Words words = schedule.words;
  words[std::string(word)] = value;
  std::string error;
  if (auto same = resolve(spec, target, h100(), words, error))
    return *same;
  start[std::string(word)] = value;
  auto follows = resolve(spec, target, h100(), start, error);
  EXPECT_TRUE(follows) << error;
  return follows.value_or(schedule);
}

class EveryWord : public ::testing::TestWithParam<Target> {
protected:
  template <typename Spec> void tryWords(const Spec &spec, const Words &start) {
    SCOPED_TRACE(printSpec(spec));
    std::string error;
    auto schedule = resolve(spec, GetParam(), h100(), start, error);
    ASSERT_TRUE(schedule) << error;
    std::string code;
    Words before;
    for (const Word<Spec> &word : spaceOf<Spec>(GetParam())) {
      std::string name = nameOf(GetParam(), Spec::kKind, word.name);
      auto [tried, isFirst] = alive.try_emplace(name, false);
      auto at = schedule->words.find(word.name);
      if (at == schedule->words.end())
        continue;
      for (const Value &value : legalValues(word, {spec, h100(), before})) {
        if (value == at->second || tried->second)
          continue;
        EXPECT_FALSE(kFixed.contains(name)) << name << " has a choice";
        if (code.empty())
          code = codeOf(spec, GetParam(), schedule->words);
        Schedule other =
            changed(spec, GetParam(), *schedule, start, word.name, value);
        tried->second |= codeOf(spec, GetParam(), other.words) != code;
      }
      before.insert(*at);
    }
  }

  std::map<std::string, bool> alive;
};

TEST_P(EveryWord, isAlive) {
  // Few words need more than the rules' schedules: those are tried last.
  for (bool all : {false, true})
    for (const AnySpec &spec : specsOf(GetParam()))
      std::visit(
          [&](const auto &s) {
            for (const Words &start : startsOf(s, GetParam(), all))
              tryWords(s, start);
          },
          spec);
  for (const auto &[name, lives] : alive)
    EXPECT_NE(lives, kFixed.contains(name))
        << name << (lives ? " has a choice" : " changes nothing");
  RecordProperty("words", static_cast<int>(alive.size()));
}

template <typename Spec> void tryRefusals(const Spec &spec, Target target) {
  auto refusal = [&](Words given, std::string_view word, const Value &value) {
    given[std::string(word)] = value;
    try {
      test::BuiltKernel built([&](mlir::OpBuilder &builder) {
        return buildScheduled(builder, builder.getUnknownLoc(), "the_kernel",
                              spec, target, h100(), given);
      });
    } catch (const std::runtime_error &error) {
      return std::string(error.what());
    }
    return std::string();
  };
  auto expectParts = [](const std::string &error,
                        std::initializer_list<std::string> parts) {
    for (const std::string &part : parts)
      EXPECT_NE(error.find(part), std::string::npos)
          << "'" << part << "' is not in '" << error << "'";
  };
  expectParts(refusal({}, "hyperdrive", int64_t(1)),
              {"H3008: kernel 'the_kernel'", "no word 'hyperdrive'",
               "words of this kernel: "});
  for (const Words &start : startsOf(spec, target)) {
    std::string ignored;
    Words words = resolve(spec, target, h100(), start, ignored)->words;
    for (const Word<Spec> &word : spaceOf<Spec>(target))
      for (const Value &value :
           {Value(int64_t(-7)), Value(int64_t(1) << 40),
            Value(std::string("so")), Value(std::string("1e9"))}) {
        std::string name(word.name);
        if (words.contains(name))
          expectParts(refusal(start, name, value),
                      {"H3008: kernel 'the_kernel'",
                       "the word '" + name + "' is " + toString(value),
                       "; legal values: "});
        else // A word of another form.
          expectParts(refusal(start, name, value),
                      {"H3008: kernel 'the_kernel'", "no word '" + name + "'",
                       "words of this kernel: "});
      }
  }
}

TEST_P(EveryWord, isRefusedByNameIfIllegal) {
  std::map<std::string_view, bool> done;
  for (const AnySpec &spec : specsOf(GetParam()))
    if (!std::exchange(done[kindOf(spec)], true))
      std::visit([&](const auto &s) { tryRefusals(s, GetParam()); }, spec);
}

INSTANTIATE_TEST_SUITE_P(Targets, EveryWord,
                         ::testing::Values(Target::cpu, Target::sm90a),
                         [](const auto &info) {
                           return info.param == Target::cpu ? "cpu" : "sm_90a";
                         });

} // namespace
} // namespace hadal::schedule
