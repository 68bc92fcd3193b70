// Options of tools that run a model on several ranks, and the ranks themselves.
#pragma once

#include <functional>
#include <optional>
#include <string>

#include <CLI/CLI.hpp>

#include "runtime/comm/QueueStream.h"
#include "runtime/comm/loopback/Loopback.h"
#include "tools/common/Cli.h"
#include "tools/common/ProcessRanks.h"

namespace hadal::cli {

struct RankFlags {
  std::optional<unsigned> ranks; ///< none: as started by a launcher, else 1
  std::string placement, policy = "async", delay, overlap = "auto";
  double timeoutSeconds = 30;
  bool checkCollectives = false;
  ProcessFlags process;

  void add(CLI::App &app);
  /// H5011 for what cannot be read, or for options of ranks without ranks.
  StatusOr<comm::StreamOptions> streamOptions() const;
};

/// Runs |body| once for every rank: of ranks that are processes for this one
/// (runAsProcess()), else for each on a thread of this process, and
/// returns the error of the rank that failed first. |load|: what the ranks
/// load, among which the cores are divided where no number of threads is given.
/// With one rank |body| gets no group. A rank whose |body| fails ends the
/// others.
Status
runRanks(const RankFlags &flags, const LoadFlags &load,
         const std::function<Status(comm::Group *, const LoadFlags &)> &body);

} // namespace hadal::cli
