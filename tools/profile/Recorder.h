// Takes the times of a session's runs.
#pragma once

#include "runtime/session/Session.h"
#include "tools/profile/EntryNames.h"
#include "tools/profile/Profile.h"

namespace hadal::profile {

/// Sums over all runs of each entry, and keeps the last ones whole, so that
/// what is rare (a prefill) and what comes after the warm-up are both there.
/// For one thread, that of the session.
class Recorder {
public:
  /// |keep|: runs of each entry.
  Recorder(const Artifact &artifact, unsigned rank, unsigned keep);

  /// Begins to time |executable|, and has |options| tell this recorder.
  void attach(Executable &executable, SessionOptions &options);
  void add(const EntryRun &run);
  /// Forgets all runs.
  void clear();

  const std::vector<EntryNames> &names() const { return names_; }
  const RankProfile &profile() const { return profile_; }

private:
  std::vector<EntryNames> names_;
  const unsigned keep;
  RankProfile profile_;
  bool hasRuns = false;
};

} // namespace hadal::profile
