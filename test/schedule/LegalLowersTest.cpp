// What the tables call legal the lowerings take: random schedules of random
// specs, each word any of its legal values. A refusal ends a candidate of the
// tuner as C01; those that are known are listed here, with why the table does
// not say it.
#include <cstdlib>

#include <gtest/gtest.h>

#include "compiler/codegen/cpu/CpuKernels.h"
#include "compiler/codegen/nvptx/Sm90Kernels.h"
#include "kernels/ScheduledKernel.h"
#include "kernels/SpecText.h"
#include "cost/Chip.h"
#include "schedule/Enumerate.h"
#include "test/lib/BuiltKernel.h"
#include "test/schedule/RandomSpecs.h"

namespace hadal::schedule {
namespace {

using namespace kernels;

const nvptx::Chip *h100() { return &nvptx::allChips().front(); }

/// A part of the message of a refusal that no table foresees, and why.
struct KnownRefusal {
  const char *message, *why;
};
const std::vector<KnownRefusal> kKnown = {};

/// How many schedules of each target: HADAL_RANDOM_SCHEDULES, or few.
unsigned wanted() {
  const char *given = std::getenv("HADAL_RANDOM_SCHEDULES");
  return given ? static_cast<unsigned>(std::atoi(given)) : 16;
}

/// A random legal schedule; none where words before leave one nothing legal.
template <typename Spec>
std::optional<Words> randomWords(const Spec &spec, Target target,
                                 RandomSpecs &random) {
  Words words;
  bool differs = false;
  for (const Word<Spec> &word : spaceOf<Spec>(target)) {
    Facts<Spec> facts{spec, h100(), words};
    if (word.applies && !word.applies(facts))
      continue;
    std::vector<Value> legal = legalValues(word, facts);
    const Value rule = word.rule(facts);
    if (differs && checkValue(word.limit, word, facts, rule))
      std::erase(legal, rule);
    if (legal.empty())
      return std::nullopt;
    // Half of the words as the rules say: more of the schedules are near those
    // that anyone uses.
    Value value = random.chance(2) && std::find(legal.begin(), legal.end(),
                                                rule) != legal.end()
                      ? rule
                      : random.oneOf(legal);
    differs |= value != rule;
    words.emplace(word.name, std::move(value));
  }
  return words;
}

/// Builds and lowers; the diagnostics of a refusal, "" if there is none.
std::string refusalOf(const AnySpec &spec, Target target, const Words &words) {
  try {
    test::BuiltKernel built([&](mlir::OpBuilder &builder) {
      return buildScheduled(builder, builder.getUnknownLoc(), "k", spec, target,
                            h100(), words);
    });
    if (target == Target::sm90a) {
      if (failed(nvptx::compileKernel(built.getKernel(), *h100())))
        built.fail("sm_90a");
      return "";
    }
    cpu::CpuOptions options;
    options.variants = {cpu::Variant::v4Bf16Vbmi};
    options.threads = 1;
    cpu::CpuKernels kernels;
    if (failed(cpu::compileCpuKernels(built.getModule(), options, kernels)))
      built.fail("cpu");
  } catch (const std::runtime_error &error) {
    return error.what();
  }
  return "";
}

class Legal : public ::testing::TestWithParam<Target> {};

TEST_P(Legal, schedulesLower) {
  RandomSpecs random(GetParam(), /*seed=*/20261201);
  unsigned lowered = 0, known = 0, specs = 0, unbuilt = 0;
  while (lowered + known < wanted()) {
    const AnySpec spec = random.next();
    ++specs;
    // A spec that has no kernel at all says nothing of schedules.
    if (!refusalOf(spec, GetParam(), {}).empty()) {
      ASSERT_LT(++unbuilt, 20 + specs / 4) << printSpec(spec);
      continue;
    }
    for (int i = 0; i < 4 && lowered + known < wanted(); ++i) {
      auto words = std::visit(
          [&](const auto &s) { return randomWords(s, GetParam(), random); },
          spec);
      if (!words)
        continue;
      std::string error;
      auto made = resolveSchedule(spec, GetParam(), h100(), *words, error);
      ASSERT_TRUE(made) << printSpec(spec) << "\n"
                        << canonicalText(*words) << "\n"
                        << error;
      EXPECT_EQ(made->words, *words);
      std::string refusal = refusalOf(spec, GetParam(), *words);
      if (refusal.empty()) {
        ++lowered;
        continue;
      }
      ++known;
      auto at = std::find_if(std::begin(kKnown), std::end(kKnown),
                             [&](const KnownRefusal &refused) {
                               return refusal.find(refused.message) !=
                                      std::string::npos;
                             });
      EXPECT_NE(at, std::end(kKnown)) << "C01, and no rule foresaw it:\n"
                                      << printSpec(spec) << "\n"
                                      << canonicalText(*words) << "\n"
                                      << refusal;
    }
  }
  RecordProperty("lowered", static_cast<int>(lowered));
  std::printf("%u schedules of %u specs lower, %u are C01, %u specs have no "
              "kernel\n",
              lowered, specs, known, unbuilt);
}

INSTANTIATE_TEST_SUITE_P(Targets, Legal,
                         ::testing::Values(Target::cpu, Target::sm90a),
                         [](const auto &info) {
                           return info.param == Target::cpu ? "cpu" : "sm_90a";
                         });

} // namespace
} // namespace hadal::schedule
