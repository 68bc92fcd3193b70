// --profile: what a tool does with a rank's times.
#pragma once

#include "tools/common/Cli.h"
#include "tools/profile/Recorder.h"
#include "tools/profile/Summary.h"
#include "tools/profile/Trace.h"

namespace hadal::profile {

struct ProfileFlags {
  bool enabled = false;
  std::string file; ///< of the trace; empty: none
  unsigned keep = 10;

  void add(CLI::App &app);
};

/// One rank's times from before its session is created until all ranks'
/// profiles are together. Of several ranks, all call each function.
class Profiler {
public:
  /// |timeout|: how long ranks wait for each other.
  Profiler(Model &model, const ProfileFlags &flags,
           std::chrono::milliseconds timeout);

  /// Times what sessions with |options| do from now on. H5015 where there can
  /// be no such file as the flags ask for, H6001.
  Status begin(SessionOptions &options);
  /// Ends the timing and brings the ranks together; again after begin() only.
  /// H6001, H6006.
  StatusOr<RunProfile> finish();
  /// On rank 0: writes the trace that the flags ask for, once after begin(),
  /// and says on stderr, unless |quiet|, what is in it. H5015.
  Status writeTraceOf(const RunProfile &run, bool quiet);
  /// Forgets what has been timed: a warm-up.
  void clear() { recorder.clear(); }

private:
  StatusOr<std::vector<ClockOffset>> clocks() const;

  Model &model;
  const ProfileFlags &flags;
  const std::chrono::milliseconds timeout;
  Recorder recorder;
  std::vector<ClockOffset> first;
  std::optional<OutputFile> file; ///< of rank 0
};

} // namespace hadal::profile
