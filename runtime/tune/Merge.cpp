#include "runtime/tune/Merge.h"

#include <algorithm>
#include <charconv>

namespace hadal::tune {

std::string MergeDecision::toString() const {
  return fmt::format("{}: {} the {}: {}", key.toString(),
                     conflict ? "conflict, kept" : "took",
                     tookSecond ? "second" : "first", reason);
}

bool Merged::hasConflict() const {
  return std::any_of(decisions.begin(), decisions.end(),
                     [](const MergeDecision &d) { return d.conflict; });
}

bool isNewer(std::string_view version, std::string_view than) {
  auto take = [](std::string_view &text) {
    uint64_t number = 0;
    std::from_chars(text.data(), text.data() + text.size(), number);
    size_t dot = text.find('.');
    text.remove_prefix(dot == text.npos ? text.size() : dot + 1);
    return number;
  };
  while (!version.empty() || !than.empty()) {
    uint64_t mine = take(version), other = take(than);
    if (mine != other)
      return mine > other;
  }
  return false;
}

namespace {

std::string madeBy(const Entry &entry) {
  auto at = entry.made.find("hadal");
  return at == entry.made.end() ? "" : at->second;
}

/// Fills all but |decision|'s key.
void decide(const Entry &a, const Entry &b, MergeDecision &decision) {
  auto take = [&](bool second, std::string reason) {
    decision.tookSecond = second;
    decision.reason = std::move(reason);
  };
  if (a.base.code != b.base.code || a.space != b.space) {
    std::string va = madeBy(a), vb = madeBy(b);
    if (!isNewer(va, vb) && !isNewer(vb, va)) {
      decision.conflict = true;
      return take(false, fmt::format("the default's code differs ({}, {}) and "
                                     "neither compiler is newer ({})",
                                     a.base.code, b.base.code, va));
    }
    return take(isNewer(vb, va),
                fmt::format("of the newer compiler ({}, {})", va, vb));
  }
  if (a.source != b.source)
    return take(b.source == Source::tuned, "measured, the other predicted");
  if (a.winner == b.winner) {
    if (a.blocks != b.blocks)
      return take(b.blocks > a.blocks,
                  fmt::format("more blocks ({}, {})", a.blocks, b.blocks));
    return take(lineOf(b) < lineOf(a), "as many blocks: the smaller text");
  }
  auto proved = [](const Entry &one, const Entry &other) {
    return one.gainLow > other.gain;
  };
  if (proved(a, b) || proved(b, a))
    return take(proved(b, a),
                fmt::format("a higher gain ({} from {}, {} from "
                            "{})",
                            a.gain, a.gainLow, b.gain, b.gainLow));
  // The same schedule of another code: told apart by the code.
  auto text = [](const Entry &entry) {
    return toJson(entry.winner.schedule).dump() + entry.winner.code;
  };
  take(text(b) < text(a), "gains that cannot be told apart: the smaller "
                          "schedule");
}

} // namespace

Merged merge(const Database &first, const Database &second) {
  Merged merged;
  merged.database = first;
  for (const auto &[key, entry] : first.entries())
    merged.onlyFirst += !second.find(key);
  for (const auto &[key, entry] : second.entries()) {
    const Entry *mine = first.find(key);
    bool take = !mine;
    if (!mine) {
      ++merged.onlySecond;
    } else if (*mine == entry) {
      ++merged.equal;
    } else {
      MergeDecision &decision = merged.decisions.emplace_back();
      decision.key = key;
      decide(*mine, entry, decision);
      take = decision.tookSecond;
    }
    // An entry of a database can be put into another.
    if (take)
      (void)merged.database.put(entry);
  }
  return merged;
}

} // namespace hadal::tune
