// Ranks as processes: how a tool becomes one of them.
#pragma once

#include <optional>

#include "runtime/comm/Group.h"
#include "tools/common/Cli.h"

namespace hadal::cli {

struct ProcessFlags {
  /// Empty: what the device of the ranks asks for, in resolve().
  std::string comm;
  std::string rendezvous, flightRecord;
  std::optional<double> joinSeconds;
  bool checkEnv = false;

  void add(CLI::App &app);
  /// Says what |ranks| ranks of |load| are where --comm does not: processes with
  /// a GPU each (nccl) on cuda, else threads. H5011 where --comm does not fit the
  /// device; errors of Artifact::open.
  Status resolve(unsigned ranks, const LoadFlags &load);
  /// Whether the ranks are processes; false before it is resolved.
  bool areProcesses() const { return comm == "mpi" || comm == "nccl"; }
  /// H5011 for options of processes where there are none.
  Status check() const;
};

/// Runs |body| as the rank that a launcher has made of this process, with the
/// group of all of them. Where none has, becomes what starts |ranks| processes
/// (none: one) of this very command: mpirun for mpi, this process for nccl,
/// which needs none for a single rank. |timeout|: how long ranks wait for each
/// other. With
/// --check-env the ranks only meet and measure. H6001 to H6007, H5011.
Status runAsProcess(
    const ProcessFlags &flags, std::optional<unsigned> ranks,
    std::chrono::milliseconds timeout, const LoadFlags &load,
    const std::function<Status(comm::Group *, const LoadFlags &)> &body);

} // namespace hadal::cli
