// Which words a kind of kernel has on a target, and which values they take.
//
// A space is a list of words in the order in which they are resolved: the rule
// and the legal values of a word may look at the spec, the chip and the words
// before it, at nothing else. Where a schedule is made, read from a file or
// given on the command line, the same table decides.
#pragma once

#include <algorithm>
#include <optional>

#include "kernels/KernelSpecs.h"
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
  /// The values that may be given; the rule's own need not be among them.
  std::function<std::vector<Value>(const Facts<Spec> &)> legal;
  /// Whether the words before it leave something for it to say; null: always.
  /// Where they do not, a schedule has no such word.
  std::function<bool(const Facts<Spec> &)> applies = nullptr;
};

template <typename Spec> using Space = std::vector<Word<Spec>>;

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

/// The value of |word| for |facts|: legal, and what is.
template <typename Spec>
std::vector<Value> legalValues(const Word<Spec> &word,
                               const Facts<Spec> &facts) {
  std::vector<Value> legal = word.legal(facts);
  Value rule = word.rule(facts);
  for (const Value &value : legal)
    if (value == rule)
      return legal;
  legal.push_back(rule);
  return legal;
}

/// "the schedule has no word 'x'; words of this kernel: bm, bn".
std::string describeUnknown(std::string_view word,
                            const std::vector<std::string_view> &known);
/// "the word 'x' is 7; legal values: 1, 2".
std::string describeIllegal(std::string_view word, const Value &value,
                            const std::vector<Value> &legal);

/// The complete schedule of |spec|: the words of |partial|, of origin |origin|,
/// and for all others what the rules say. Null, with |error| naming the word,
/// its value and the legal ones, if |partial| has a word that the kernel has
/// not or a value that is not legal.
template <typename Spec>
std::optional<Schedule> resolve(const Spec &spec, Target target,
                                const nvptx::Chip *chip, const Words &partial,
                                std::string &error,
                                Origin origin = Origin::option) {
  const Space<Spec> &space = spaceOf<Spec>(target);
  std::vector<std::string_view> known;
  Schedule schedule;
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
        error = describeIllegal(word.name, given->second, legal);
        return std::nullopt;
      }
      value = given->second;
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
      error = describeIllegal(word.name, at->second, legal);
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
