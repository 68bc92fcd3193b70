// Two databases to one, with a reason for every choice.
#pragma once

#include "runtime/tune/Database.h"

namespace hadal::tune {

/// What was decided where both have an entry of one key and these differ.
struct MergeDecision {
  Key key;
  bool tookSecond = false;
  /// Nothing tells which is right: the first's is kept.
  bool conflict = false;
  std::string reason; ///< "more blocks (32, 16)"
  /// One line for the report.
  std::string toString() const;
};

struct Merged {
  Database database;
  std::vector<MergeDecision> decisions;
  size_t onlyFirst = 0, onlySecond = 0, equal = 0;

  bool hasConflict() const;
};

/// Keys that one has are taken as they are. Of one that both have:
/// - of other default code, the entry of the newer compiler; of one compiler a
///   conflict;
/// - a measured one before a predicted one;
/// - of one schedule, that of more blocks;
/// - of different schedules, the one whose gain is proved to be higher: the
///   higher lower end, where the other's median is below it;
/// - else the smaller schedule by its text.
/// But for conflicts the order of |first| and |second| does not matter.
Merged merge(const Database &first, const Database &second);

/// Whether "0.4.10" is newer than "0.4.9": by its numbers; text that is no
/// number counts as 0.
bool isNewer(std::string_view version, std::string_view than);

} // namespace hadal::tune
