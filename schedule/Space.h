// Which words a kind of kernel has on a target, and which values they take.
//
// A space is a list of words in the order in which they are resolved: the rule
// and the legal values of a word may look at the spec, the chip and the words
// before it, at nothing else. Where a schedule is made, read from a file or
// given on the command line, the same table decides.
#pragma once

#include <algorithm>
#include <optional>

#include "cost/Prediction.h"
#include "kernels/KernelSpecs.h"
#include "schedule/Prune.h"
#include "schedule/Words.h"

namespace hadal::nvptx {
struct Chip;
}

namespace hadal::schedule {

/// What another value of a word may change in the result: nothing, or the order
/// of sums.
enum class Bits { same, order };

/// What a rule goes by.
template <typename Spec> struct Facts {
  const Spec &spec;
  const nvptx::Chip *chip; ///< null where the target has no chips
  const Words &words;      ///< those that are resolved already

  int64_t number(std::string_view word) const {
    return std::get<int64_t>(words.find(word)->second);
  }
  bool flag(std::string_view word) const {
    return std::get<bool>(words.find(word)->second);
  }
  const std::string &text(std::string_view word) const {
    return std::get<std::string>(words.find(word)->second);
  }
};

template <typename Spec> struct Word {
  std::string_view name;
  std::string_view meaning; ///< for people, one clause
  Bits bits;
  /// The kernel's body is built with it; another value is another body.
  bool inBody;
  /// The value unless one is given.
  std::function<Value(const Facts<Spec> &)> rule;
  /// The values that may be given as far as they keep |limit|, in order; the
  /// rule's own need not be among them.
  std::function<std::vector<Value>(const Facts<Spec> &)> values;
  /// What makes a value illegal; null: nothing. Its facts hold the word itself.
  /// What a rule says of a schedule without given words is legal regardless.
  std::function<Check(const Facts<Spec> &)> limit = nullptr;
  /// The values that a tuner tries beside the rule's; null: all of |values|.
  std::function<std::vector<Value>(const Facts<Spec> &)> tries = nullptr;
  /// What makes a legal value not worth trying; null: nothing. As |limit|.
  std::function<Check(const Facts<Spec> &)> unwise = nullptr;
  /// Of a word that orders sums: whether two values order them alike; null: no
  /// two do.
  bool (*alike)(const Value &, const Value &) = nullptr;
  /// Whether the words before it leave something for it to say; null: always.
  /// Where they do not, a schedule has no such word.
  std::function<bool(const Facts<Spec> &)> applies = nullptr;
};

template <typename Spec> using Space = std::vector<Word<Spec>>;

struct Machine; // Price.h

/// One target: its name, what its schedules go by, and the space of each kind
/// of kernel.
struct TargetSpaces {
  std::string_view name;
  bool hasChips;    ///< rules go by the numbers of a chip
  bool hasRowPitch; ///< rows of matrices begin at multiples of 16 bytes
#define HADAL_DECLARE_SPACE(K)                                                 \
  const Space<kernels::K##Spec> &(*spaceOf##K)(const kernels::K##Spec *);
  HADAL_FOR_EACH_KERNEL(HADAL_DECLARE_SPACE)
#undef HADAL_DECLARE_SPACE
  /// As predict of Price.h.
  std::optional<cost::Prediction> (*price)(const kernels::AnySpec &,
                                           const Machine &, const Words &);
};

/// The machine that a kernel is scheduled for. It changes schedules only, never
/// what a kernel computes; all kernels of a program have the same.
class Target {
public:
  /// By name only for the target's own code and for tests; all others ask.
  static const Target cpu, sm90a;

  constexpr explicit Target(const TargetSpaces &spaces) : spaces(&spaces) {}
  std::string_view name() const { return spaces->name; }
  bool hasChips() const { return spaces->hasChips; }
  bool hasRowPitch() const { return spaces->hasRowPitch; }
  bool operator==(const Target &) const = default;

#define HADAL_DECLARE_SPACE(K)                                                 \
  const Space<kernels::K##Spec> &space(const kernels::K##Spec *kind) const {   \
    return spaces->spaceOf##K(kind);                                           \
  }
  HADAL_FOR_EACH_KERNEL(HADAL_DECLARE_SPACE)
#undef HADAL_DECLARE_SPACE

  std::optional<cost::Prediction> price(const kernels::AnySpec &spec,
                                        const Machine &machine,
                                        const Words &words) const {
    return spaces->price(spec, machine, words);
  }

private:
  const TargetSpaces *spaces;
};

/// All targets, the default first (spaces/Targets.cpp).
const std::vector<Target> &allTargets();
/// The target |name| ("": the default).
std::optional<Target> findTarget(std::string_view name);

template <typename Spec> const Space<Spec> &spaceOf(Target target) {
  return target.space(static_cast<const Spec *>(nullptr));
}

/// What |check| of |word| says of |value| behind the words of |facts|.
template <typename Spec>
Check checkValue(const std::function<Check(const Facts<Spec> &)> &check,
                 const Word<Spec> &word, const Facts<Spec> &facts,
                 const Value &value) {
  if (!check)
    return std::nullopt;
  Words words = facts.words;
  words.insert_or_assign(std::string(word.name), value);
  return check({facts.spec, facts.chip, words});
}

/// The legal values of |word| for |facts|: the rule's, if it is not among the
/// others, last.
template <typename Spec>
std::vector<Value> legalValues(const Word<Spec> &word,
                               const Facts<Spec> &facts) {
  std::vector<Value> legal = word.values(facts);
  Value rule = word.rule(facts);
  std::erase_if(legal, [&](const Value &value) {
    return value != rule && checkValue(word.limit, word, facts, value);
  });
  if (std::find(legal.begin(), legal.end(), rule) == legal.end())
    legal.push_back(rule);
  return legal;
}

/// What keeps |value| from being legal, though it is one of the word's.
template <typename Spec>
Check brokenBy(const Word<Spec> &word, const Facts<Spec> &facts,
               const Value &value) {
  std::vector<Value> values = word.values(facts);
  if (std::find(values.begin(), values.end(), value) == values.end())
    return std::nullopt;
  return checkValue(word.limit, word, facts, value);
}

/// "the schedule has no word 'x'; words of this kernel: bm, bn".
std::string describeUnknown(std::string_view word,
                            const std::vector<std::string_view> &known);
/// "the word 'x' is 7; legal values: 1, 2 (P06: 7 stages: 9 bytes of 8)"; the
/// last part where |broken| says it.
std::string describeIllegal(std::string_view word, const Value &value,
                            const std::vector<Value> &legal,
                            const Check &broken);
/// "the word 'x' would be 1 beside the words that are given (P06: ...)".
std::string describeFollowing(std::string_view word, const Value &value,
                              const Broken &broken);

/// The complete schedule of |spec|: the words of |partial|, of origin |origin|,
/// and for all others what the rules say. Null, with |error| naming the word,
/// its value and the legal ones, if |partial| has a word that the kernel has
/// not or a value that is not legal, or if a rule finds nothing legal beside
/// what is given.
template <typename Spec>
std::optional<Schedule> resolve(const Spec &spec, Target target,
                                const nvptx::Chip *chip, const Words &partial,
                                std::string &error,
                                Origin origin = Origin::option) {
  const Space<Spec> &space = spaceOf<Spec>(target);
  std::vector<std::string_view> known;
  Schedule schedule;
  bool differs = false; // from what the rules say
  for (const Word<Spec> &word : space) {
    Facts<Spec> facts{spec, chip, schedule.words};
    if (word.applies && !word.applies(facts))
      continue;
    known.push_back(word.name);
    Value value = word.rule(facts);
    auto given = partial.find(word.name);
    if (given != partial.end() && given->second != value) {
      std::vector<Value> legal = legalValues(word, facts);
      if (std::find(legal.begin(), legal.end(), given->second) == legal.end()) {
        error = describeIllegal(word.name, given->second, legal,
                                brokenBy(word, facts, given->second));
        return std::nullopt;
      }
      value = given->second;
      differs = true;
    } else if (differs) {
      // Beside words that are given the rule may have no way out.
      if (Check broken = checkValue(word.limit, word, facts, value)) {
        error = describeFollowing(word.name, value, *broken);
        return std::nullopt;
      }
    }
    if (given != partial.end())
      schedule.given.emplace(word.name, origin);
    schedule.words.emplace(word.name, std::move(value));
  }
  for (const auto &[name, value] : partial)
    if (std::find(known.begin(), known.end(), name) == known.end()) {
      error = describeUnknown(name, known);
      return std::nullopt;
    }
  return schedule;
}

/// Checks |schedule|, which may have been edited: it must have every word that
/// |spec| has and no other, each with a legal value; else |error| says so. A
/// word with another value than the rule's and of no given origin is an edit.
/// Where an edit of one word takes words away that the rules have, they go, and
/// those that it brings take the rules' values.
template <typename Spec>
bool verify(const Spec &spec, Target target, const nvptx::Chip *chip,
            Schedule &schedule, std::string &error) {
  auto ruled = resolve(spec, target, chip, {}, error);
  Words before;
  for (const Word<Spec> &word : spaceOf<Spec>(target)) {
    Facts<Spec> facts{spec, chip, before};
    bool byRules = ruled->words.contains(word.name);
    auto at = schedule.words.find(word.name);
    if (word.applies && !word.applies(facts)) {
      if (byRules && at != schedule.words.end()) {
        schedule.words.erase(at);
        schedule.given.erase(std::string(word.name));
      }
      continue;
    }
    Value rule = word.rule(facts);
    if (at == schedule.words.end()) {
      if (byRules) {
        error = "the schedule lacks the word '" + std::string(word.name) + "'";
        return false;
      }
      at = schedule.words.emplace(word.name, rule).first;
    }
    if (at->second != rule)
      schedule.given.emplace(word.name, Origin::edit);
    // A rule may count on legal values before it.
    std::vector<Value> legal = legalValues(word, facts);
    if (std::find(legal.begin(), legal.end(), at->second) == legal.end()) {
      error = describeIllegal(word.name, at->second, legal,
                              brokenBy(word, facts, at->second));
      return false;
    }
    before.insert(*at);
  }
  return resolve(spec, target, chip, schedule.words, error).has_value();
}
inline bool verifySchedule(const kernels::AnySpec &spec, Target target,
                           const nvptx::Chip *chip, Schedule &schedule,
                           std::string &error) {
  return std::visit(
      [&](const auto &s) { return verify(s, target, chip, schedule, error); },
      spec);
}

/// resolve for a spec of any kind.
inline std::optional<Schedule> resolveSchedule(const kernels::AnySpec &spec,
                                               Target target,
                                               const nvptx::Chip *chip,
                                               const Words &given,
                                               std::string &error) {
  return std::visit(
      [&](const auto &s) { return resolve(s, target, chip, given, error); },
      spec);
}

} // namespace hadal::schedule
