// Joining a run whose ranks are processes: the control plane over TCP.
#pragma once

#include <atomic>
#include <functional>

#include "runtime/comm/DataPlane.h"
#include "runtime/comm/Group.h"
#include "runtime/comm/control/Socket.h"
#include "runtime/comm/control/Token.h"

namespace hadal::comm {

struct GroupOptions {
  unsigned rank = 0, ranks = 1;
  Rendezvous rendezvous;
  Token token = {};
  /// How long to wait for all ranks.
  std::chrono::milliseconds joinTimeout = std::chrono::seconds(60);
  /// How long rank 0, done itself, waits for the others to be done.
  std::chrono::milliseconds leaveTimeout = std::chrono::seconds(60);
  /// Between heartbeats, and how long a rank may send none.
  std::chrono::milliseconds heartbeat{200}, silence{2000};
  /// Once a rank is known to be lost: how long the others may take to reach
  /// what they will wait at, so that the message can say it.
  std::chrono::milliseconds settle{300};
  /// After a failure: how long the process may take to end by itself before
  /// _exit() ends it; 0: for ever.
  std::chrono::milliseconds exitAfter{0};
  /// Directory of flight records; empty: none are written.
  std::string flightRecord;
  /// Set when the process shall end: waits of this rank then end with H5016,
  /// half a second later if they do not end otherwise.
  const std::atomic<bool> *interrupt = nullptr;
  /// Called once with the first failure, before anything is aborted; in a
  /// thread of the group.
  std::function<void(const Status &)> onFailure;
  /// One line about something that the run survives, e.g. a connection with a
  /// wrong token; in a thread of the group.
  std::function<void(const std::string &)> onNotice;
  /// Opened when all ranks have joined; none: create() gives H6005.
  OpenDataPlane openDataPlane;
};

/// Joins the run and waits until all ranks have. H6002 names who is missing at
/// the deadline, says that the place to meet is in use or that the token is
/// another; H6003 if the ranks were started with different numbers.
StatusOr<std::unique_ptr<Group>> joinGroup(GroupOptions options);

} // namespace hadal::comm
