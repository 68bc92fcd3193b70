// The last collectives of a rank, for whoever asks afterwards what happened.
#pragma once

#include <chrono>
#include <deque>
#include <mutex>
#include <string>

#include "runtime/comm/Communicator.h"
#include "runtime/comm/control/Place.h"

namespace hadal::comm {

class FlightRecord {
public:
  static constexpr size_t kEntries = 1024;

  void begin(std::string_view communicator, const Operation &operation,
             uint64_t bytes);
  /// Of the operation begun last.
  void end(bool complete);

  /// Writes |directory|/rank-<rank>.json: the reason, where the rank is, and of
  /// each collective its communicator, sequence, label, kind, bytes sent, and
  /// when it began and ended (microseconds since the record began; no end: it
  /// was under way, no "complete": it failed). H5015.
  Status write(const std::string &directory, unsigned rank,
               const Identity &identity, const Place &place,
               const Status &reason) const;

private:
  struct Entry {
    std::string communicator, label;
    Kind kind;
    uint64_t sequence, bytes;
    int64_t beginUs, endUs;
    bool complete;
  };
  int64_t now() const;

  mutable std::mutex mutex_; ///< of entries_
  std::deque<Entry> entries_;
  const std::chrono::steady_clock::time_point start_ =
      std::chrono::steady_clock::now();
};

} // namespace hadal::comm
