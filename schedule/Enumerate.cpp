#include "schedule/Enumerate.h"

namespace hadal::schedule {

namespace {

/// The first word by which |words| and |other| order sums differently; null if
/// there is none. A word that only one of them has belongs to a form, which
/// orders sums itself.
template <typename Spec>
const Word<Spec> *findOrder(Target target, const Words &words,
                            const Words &other) {
  for (const Word<Spec> &word : spaceOf<Spec>(target)) {
    auto one = words.find(word.name), two = other.find(word.name);
    if (word.bits == Bits::order && one != words.end() && two != other.end() &&
        one->second != two->second &&
        !(word.alike && word.alike(one->second, two->second)))
      return &word;
  }
  return nullptr;
}

template <typename Spec>
Bits bitsOf(Target target, const Words &words, const Words &other) {
  return findOrder<Spec>(target, words, other) ? Bits::order : Bits::same;
}

/// The walk over the words of one kernel.
template <typename Spec> class Walk {
public:
  Walk(const Spec &spec, Target target, const nvptx::Chip *chip,
       const EnumerateOptions &options)
      : spec(spec), target(target), chip(chip), options(options),
        space(spaceOf<Spec>(target)) {}

  Candidates run() {
    std::string error;
    // What the rules say is always legal.
    defaults = resolve(spec, target, chip, {}, error)->words;
    found.all.push_back({defaults, Bits::same});
    visit(0, /*choices=*/0);
    return std::move(found);
  }

private:
  /// Tries the values of the words from |at| on. |choices|: how many of those
  /// before say something else than their rules.
  void visit(size_t at, unsigned choices) {
    if (at == space.size()) {
      if (choices)
        add(choices);
      return;
    }
    const Word<Spec> &word = space[at];
    Facts<Spec> before{spec, chip, words};
    if (word.applies && !word.applies(before))
      return visit(at + 1, choices);
    const Value rule = word.rule(before);
    std::vector<Value> values = {rule};
    if (!options.fixed.contains(word.name))
      for (Value &value : word.tries ? word.tries(before) : word.values(before))
        if (value != rule)
          values.push_back(std::move(value));
    auto here = words.emplace(word.name, rule).first;
    for (const Value &value : values) {
      here->second = value;
      const unsigned made = choices + (value != rule);
      if (Check broken = made ? check(word) : std::nullopt)
        cut(*broken, word.name, value);
      else
        visit(at + 1, made);
    }
    words.erase(here);
  }

  Check check(const Word<Spec> &word) const {
    Facts<Spec> facts{spec, chip, words};
    if (word.limit)
      if (Check broken = word.limit(facts))
        return broken;
    return word.unwise ? word.unwise(facts) : std::nullopt;
  }

  void add(unsigned choices) {
    const Word<Spec> *order = findOrder<Spec>(target, words, defaults);
    if (order && options.sameBits)
      return cut({Prune::P17, toString(words.find(order->name)->second) +
                                  ", the default is " +
                                  toString(defaults.find(order->name)->second)},
                 order->name, words.find(order->name)->second);
    found.all.push_back({words, order ? Bits::order : Bits::same, choices});
  }

  void cut(const Broken &broken, std::string_view word, const Value &value) {
    PruneCount &count = found.pruned[broken.code];
    if (count.count++ == 0) {
      count.word = word;
      count.value = value;
      count.numbers = broken.numbers;
    }
  }

  const Spec &spec;
  const Target target;
  const nvptx::Chip *const chip;
  const EnumerateOptions &options;
  const Space<Spec> &space;
  Words defaults, words;
  Candidates found;
};

/// |words| with |changed| of |value|; words behind it stay as far as they are
/// legal, else follow. None if there is nothing legal, or nothing worth trying.
template <typename Spec>
std::optional<Words> stepTo(const Spec &spec, Target target,
                            const nvptx::Chip *chip, const Words &words,
                            std::string_view changed, const Value &value) {
  Words made;
  bool behind = false;
  for (const Word<Spec> &word : spaceOf<Spec>(target)) {
    Facts<Spec> facts{spec, chip, made};
    if (word.applies && !word.applies(facts))
      continue;
    auto kept = words.find(word.name);
    Value said = word.name == changed  ? value
                 : kept != words.end() ? kept->second
                                       : word.rule(facts);
    behind |= word.name == changed;
    if (behind && word.name != changed) {
      std::vector<Value> legal = legalValues(word, facts);
      if (std::find(legal.begin(), legal.end(), said) == legal.end())
        said = word.rule(facts);
    }
    if (behind &&
        (checkValue(word.limit, word, facts, said) ||
         (word.name == changed && checkValue(word.unwise, word, facts, said))))
      return std::nullopt;
    made.emplace(word.name, std::move(said));
  }
  return made;
}

template <typename Spec>
unsigned choicesOf(const Spec &spec, Target target, const nvptx::Chip *chip,
                   const Words &words) {
  unsigned choices = 0;
  Words before;
  for (const Word<Spec> &word : spaceOf<Spec>(target))
    if (auto at = words.find(word.name); at != words.end()) {
      choices += word.rule({spec, chip, before}) != at->second;
      before.insert(*at);
    }
  return choices;
}

template <typename Spec>
std::vector<Candidate> neighbours(const Spec &spec, Target target,
                                  const nvptx::Chip *chip, const Words &words,
                                  const EnumerateOptions &options) {
  std::string error;
  const Words defaults = resolve(spec, target, chip, {}, error)->words;
  std::vector<Candidate> found;
  Words before;
  for (const Word<Spec> &word : spaceOf<Spec>(target)) {
    auto at = words.find(word.name);
    if (at == words.end())
      continue;
    std::vector<Value> legal = legalValues(word, {spec, chip, before});
    if (std::holds_alternative<int64_t>(at->second))
      std::sort(legal.begin(), legal.end());
    auto here = std::find(legal.begin(), legal.end(), at->second);
    before.insert(*at);
    if (here == legal.end() || options.fixed.contains(word.name))
      continue;
    std::vector<Value> steps;
    if (here != legal.begin())
      steps.push_back(*(here - 1));
    if (here + 1 != legal.end())
      steps.push_back(*(here + 1));
    for (const Value &step : steps) {
      auto made = stepTo(spec, target, chip, words, word.name, step);
      if (!made || *made == words)
        continue;
      Candidate candidate = {*made, bitsOf<Spec>(target, *made, defaults),
                             choicesOf(spec, target, chip, *made)};
      if ((!options.sameBits || candidate.bits == Bits::same) &&
          std::find(found.begin(), found.end(), candidate) == found.end())
        found.push_back(std::move(candidate));
    }
  }
  return found;
}

} // namespace

Candidates enumerateCandidates(const kernels::AnySpec &spec, Target target,
                               const nvptx::Chip *chip,
                               const EnumerateOptions &options) {
  return std::visit(
      [&](const auto &s) { return Walk(s, target, chip, options).run(); },
      spec);
}

std::vector<Candidate> neighboursOf(const kernels::AnySpec &spec, Target target,
                                    const nvptx::Chip *chip, const Words &words,
                                    const EnumerateOptions &options) {
  return std::visit(
      [&](const auto &s) {
        return neighbours(s, target, chip, words, options);
      },
      spec);
}

Bits bitsBetween(const kernels::AnySpec &spec, Target target,
                 const Words &words, const Words &other) {
  return std::visit(
      [&](const auto &s) {
        return bitsOf<std::decay_t<decltype(s)>>(target, words, other);
      },
      spec);
}

std::string canonicalText(const Words &words) {
  std::string text;
  for (const auto &[name, value] : words)
    text += (text.empty() ? "" : " ") + name + "=" + toString(value);
  return text;
}

} // namespace hadal::schedule
