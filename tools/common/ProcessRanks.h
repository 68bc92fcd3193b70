// Ranks as processes: how a tool becomes one of them.
#pragma once

#include <optional>

#include "runtime/comm/Group.h"
#include "tools/common/Cli.h"

namespace hadal::cli {

struct ProcessFlags {
  std::string comm = "loopback", rendezvous, flightRecord;
  std::optional<double> joinSeconds;
  bool checkEnv = false;

  void add(CLI::App &app);
  /// Whether the ranks are processes.
  bool areProcesses() const { return comm != "loopback"; }
  /// H5011 for options of processes where there are none.
  Status check() const;
};

/// Runs |body| as the rank that a launcher has made of this process, with the
/// group of all of them; where none has, becomes mpirun with |ranks| processes
/// (none: one) of this very command. |timeout|: how long ranks wait for each other. With
/// --check-env the ranks only meet and measure. H6001 to H6007, H5011.
Status runAsProcess(
    const ProcessFlags &flags, std::optional<unsigned> ranks,
    std::chrono::milliseconds timeout, const LoadFlags &load,
    const std::function<Status(comm::Group *, const LoadFlags &)> &body);

} // namespace hadal::cli
