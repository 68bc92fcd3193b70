// From many candidates to one that is proved faster than the default, or none.
// Screening chooses whom to prove; only a fresh measurement proves, so that the
// luckiest of many equal candidates gains nothing by its luck.
#pragma once

#include <functional>
#include <optional>
#include <string>

#include "runtime/tune/Block.h"
#include "runtime/tune/SignTest.h"

namespace hadal::tune {

struct Candidate {
  size_t arm = 0;         ///< of the timer; not 0
  uint64_t resources = 0; ///< what it holds; of equals the smaller is taken
  std::string schedule;   ///< canonical text; decides after resources
};

/// How a candidate ended; names as in the journal.
enum class End {
  R01, ///< failed while it was timed
  M01, ///< slower than the default
  M02, ///< not told from the default, or outranked by the winner
  M03, ///< won the screening, lost the confirmation
  W,   ///< adopted
};

struct Outcome {
  Candidate candidate;
  End end = End::M02;
  /// ln(default / candidate): of the confirmation if there was one, else of
  /// the screening, which is biased for the best of many.
  Estimate gain;
  Status failure; ///< of R01
};

struct Selection {
  std::vector<Outcome> outcomes; ///< by order of arrival
  std::optional<size_t> winner;  ///< into outcomes; none: keep the default
  /// The default was told from itself: times of this machine decide nothing
  /// here, nothing else was measured, and every candidate is M02.
  bool refused = false;
};

struct SelectOptions {
  double effect = 0.02; ///< minimum effect, a fraction
  uint64_t seed = 1;    ///< seed + 1.. are the confirmations'
  unsigned screenBlocks = 8, halveBlocks = 16, finalists = 4;
  unsigned confirmations = 3; ///< the best and, if it loses, two more
};

/// Candidates one step from the best of the screening, for a second screening.
using Neighbours = std::function<std::vector<Candidate>(const Candidate &)>;

/// Tests |arm| against the default until a look decides or kMaxBlocks are
/// measured. |blocks| receives the blocks. For whole entries too: the gate that
/// all winners of an entry pass together.
StatusOr<Verdict> compare(Timer &timer, size_t arm, double effect,
                          std::vector<double> &blocks);

/// Tests the default against itself, screens, halves, screens |neighbours| (may
/// be empty) and confirms. The error is the default's or the timer's.
StatusOr<Selection> select(Timer &timer, std::vector<Candidate> candidates,
                           const SelectOptions &options = {},
                           const Neighbours &neighbours = {});

} // namespace hadal::tune
