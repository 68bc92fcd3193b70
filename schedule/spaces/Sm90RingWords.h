// The words of every contraction on sm_90a: who works on a tile, and the ring
// that feeds it.
#pragma once

#include "schedule/spaces/Sm90Fold.h"

namespace hadal::schedule::sm90 {

template <typename Spec> using FoldOf = Fold (*)(const Facts<Spec> &);

/// The most stages that a ring is given by the rules: beyond these nothing is
/// hidden. A step of few rows is mostly weight, 16 KiB: where few CTAs share
/// the memory's bandwidth, each keeps more of it in flight.
inline constexpr int64_t kMaxStages = 6, kMaxStagesSwapped = 10;

/// No value beside the rule's: what a model cannot tell apart is tried one step
/// from the best alone.
template <typename Spec> std::vector<Value> none(const Facts<Spec> &) {
  return {};
}

template <typename Spec> Word<Spec> warpgroupsWord(FoldOf<Spec> of) {
  using F = Facts<Spec>;
  return {.name = "warpgroups",
          .meaning = "consumer warpgroups of a CTA",
          .bits = Bits::same,
          .inBody = false,
          .rule = [=](const F &f) -> Value { return pickWarpgroups(of(f)); },
          .values = [](const F &) { return numbers({1, 2}); },
          .limit =
              [=](const F &f) { return unfit(of(f), f.number("warpgroups")); }};
}

/// A warpgroup that holds all of a tile of few tokens needs half of the
/// registers: two CTAs then share a multiprocessor, so that one loads while the
/// other begins or ends, and the next kernel's first CTAs find room beside the
/// last of this one.
template <typename Spec> Word<Spec> ctasWord(FoldOf<Spec> of) {
  using F = Facts<Spec>;
  auto limit = [=](const F &f, int64_t ctas) -> Check {
    const Fold fold = of(f);
    if (Check unfits = unfitCtas(fold, f.number("warpgroups"), ctas))
      return unfits;
    // Each has a ring, which works from two stages on.
    const int64_t bytes = 2 * (stageBytes(fold) + 16) + 1024;
    const int64_t room = ringBytes(*f.chip, fold, ctas);
    if (ctas > 1 && fold.steps > 1 && bytes > room)
      return Broken{Prune::P06, std::to_string(ctas) + " CTAs of 2 stages: " +
                                    std::to_string(bytes) + " bytes of " +
                                    std::to_string(room)};
    return std::nullopt;
  };
  return {.name = "ctas",
          .meaning = "CTAs that share a multiprocessor",
          .bits = Bits::same,
          .inBody = false,
          .rule = [=](const F &f) -> Value {
            return int64_t(of(f).swaps && !limit(f, 2) ? 2 : 1);
          },
          .values = [](const F &) { return numbers({1, 2}); },
          .limit = [=](const F &f) { return limit(f, f.number("ctas")); }};
}

template <typename Spec> Word<Spec> stagesWord(FoldOf<Spec> of) {
  using F = Facts<Spec>;
  return {
      .name = "stages",
      .meaning = "steps that the ring holds",
      .bits = Bits::same,
      .inBody = false,
      .rule = [=](const F &f) -> Value {
        Fold fold = of(f);
        int64_t most = fold.swaps ? kMaxStagesSwapped : kMaxStages;
        int64_t room = ringBytes(*f.chip, fold, f.number("ctas"));
        int64_t fit = room / (stageBytes(fold) + 16 + 1024 / most);
        return std::max<int64_t>(
            1, std::min({most, fit, std::max<int64_t>(fold.steps, 1)}));
      },
      .values = [](const F &) { return range(1, 16); },
      .limit = [=](const F &f) -> Check {
        Fold fold = of(f);
        int64_t stages = f.number("stages");
        std::string text = std::to_string(stages) + " stages";
        if (stages > std::max<int64_t>(fold.steps, 1))
          return Broken{Prune::P14,
                        text + ", " + std::to_string(fold.steps) + " steps"};
        // A product in flight holds its stage until the next is issued.
        if (stages < 2 && fold.steps > 1)
          return Broken{Prune::P08, "1 stage, and " +
                                        std::to_string(fold.steps) + " steps"};
        int64_t bytes = stages * (stageBytes(fold) + 16) + 1024;
        int64_t room = ringBytes(*f.chip, fold, f.number("ctas"));
        if (bytes > room)
          return Broken{Prune::P06, text + ": " + std::to_string(bytes) +
                                        " bytes of " + std::to_string(room)};
        return std::nullopt;
      },
      .tries = [](const F &) { return numbers({2, 3, 4, 6, 8, 12, 16}); },
      .unwise = [=](const F &f) -> Check {
        int64_t stages = f.number("stages"), steps = of(f).steps;
        if (stages < 3 && steps > stages)
          return Broken{Prune::P08, std::to_string(stages) + " stages, and " +
                                        std::to_string(steps) + " steps"};
        return std::nullopt;
      }};
}

/// Where every work item of a launch has work, the weights of all stages are
/// asked for before the previous kernel has ended.
template <typename Spec> Word<Spec> earlyWord(FoldOf<Spec> of) {
  using F = Facts<Spec>;
  return {.name = "early",
          .meaning = "stages whose weights are loaded before the wait",
          .bits = Bits::same,
          .inBody = false,
          .rule = [=](const F &f) -> Value {
            Fold fold = of(f);
            return fold.oneRowTile && fold.staticViews ? f.number("stages")
                                                       : int64_t(0);
          },
          .values = [](const F &) { return range(0, 16); },
          .limit = [=](const F &f) -> Check {
            int64_t early = f.number("early");
            if (early > f.number("stages"))
              return Broken{Prune::P14, std::to_string(early) + " early, " +
                                            std::to_string(f.number("stages")) +
                                            " stages"};
            if (early > 0 && !of(f).staticViews)
              return Broken{Prune::P16, "rows that are gathered are not known "
                                        "before the wait"};
            return std::nullopt;
          },
          .tries = none<Spec>};
}

template <typename Spec> Word<Spec> splitWord(FoldOf<Spec> of) {
  using F = Facts<Spec>;
  auto work = [=](const F &f, const Fold &fold) {
    return workOf(*f.chip, fold, f.number("warpgroups"), f.number("ctas"));
  };
  return {
      .name = "split",
      .meaning = "CTAs that share an item's steps",
      .bits = Bits::order,
      .inBody = false,
      .rule = [=](const F &f) -> Value {
        Fold fold = of(f);
        if (fold.steps < 2)
          return int64_t(1);
        return cost::pickSplit(cost::modelOf(*f.chip), work(f, fold));
      },
      .values =
          [=](const F &f) {
            return range(1, std::max<int64_t>(
                                std::min(of(f).steps, cost::kMostParts), 1));
          },
      // Each number of parts that whole steps of one length give.
      .limit = [=](const F &f) -> Check {
        int64_t steps = of(f).steps, split = f.number("split");
        int64_t part = cost::stepsOfPart(steps, split);
        if (int64_t parts = ceilDiv(steps, part); parts != split)
          return Broken{Prune::P09, std::to_string(split) + " of " +
                                        std::to_string(steps) +
                                        " steps: " + std::to_string(parts) +
                                        " parts of " + std::to_string(part)};
        return std::nullopt;
      },
      .unwise = [=](const F &f) -> Check {
        cost::FoldWork all = work(f, of(f));
        int64_t split = f.number("split");
        uint64_t bytes = static_cast<uint64_t>(all.items * split) *
                         static_cast<uint64_t>(all.stateSize);
        if (split > 1 && bytes > f.chip->l2Bytes / 2)
          return Broken{Prune::P10, std::to_string(split) + " parts: " +
                                        std::to_string(bytes) + " bytes of " +
                                        std::to_string(f.chip->l2Bytes / 2)};
        return std::nullopt;
      }};
}

template <typename Spec> Word<Spec> unrollWord() {
  using F = Facts<Spec>;
  return {.name = "unroll",
          .meaning = "parts that a step of their meeting reads",
          .bits = Bits::same,
          .inBody = false,
          .rule = [](const F &f) -> Value {
            return std::min<int64_t>(f.number("split"), 4);
          },
          .values = [](const F &) { return numbers({1, 2, 4, 8}); },
          .limit = [](const F &f) -> Check {
            int64_t unroll = f.number("unroll"), split = f.number("split");
            if (unroll > split)
              return Broken{Prune::P14, std::to_string(unroll) + " of " +
                                            std::to_string(split) + " parts"};
            return std::nullopt;
          },
          .tries = none<Spec>};
}

/// |shares|: whether producer and consumers hand registers to each other, as
/// 384 threads do: 504 of the 65536, three times. 256 have enough.
template <typename Spec>
Word<Spec> regsWord(bool (*shares)(const Facts<Spec> &)) {
  using F = Facts<Spec>;
  return {.name = "regs",
          .meaning = "registers of a producer's and of a consumer's thread; "
                     "launch: what all have at launch",
          .bits = Bits::same,
          .inBody = false,
          .rule = [=](const F &f) -> Value {
            return std::string(shares(f) ? "40/232" : "launch");
          },
          .values =
              [=](const F &f) {
                if (!shares(f))
                  return std::vector<Value>{std::string("launch")};
                return std::vector<Value>{std::string("24/240"),
                                          std::string("40/232"),
                                          std::string("56/224")};
              },
          .tries = none<Spec>};
}

template <typename Spec> bool twoWarpgroups(const Facts<Spec> &f) {
  return f.number("warpgroups") == 2;
}

template <typename Spec>
void addRingWords(Space<Spec> &space, FoldOf<Spec> of) {
  space.push_back(warpgroupsWord(of));
  space.push_back(ctasWord(of));
  space.push_back(stagesWord(of));
  space.push_back(earlyWord(of));
  space.push_back(regsWord<Spec>(twoWarpgroups<Spec>));
  space.push_back(splitWord(of));
  space.push_back(unrollWord<Spec>());
}

} // namespace hadal::schedule::sm90
