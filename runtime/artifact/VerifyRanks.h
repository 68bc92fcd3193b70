// The meaning of what only an artifact of several ranks has: mesh,
// communicators, slices, collectives, events, rungs. Part of verifyMeaning.
// Every function that returns a string returns what is wrong, or "" if nothing
// is.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "runtime/schemas/artifact_generated.h"

namespace hadal::artifact {

/// The mesh, whose experts have a place, its communicators, and that a program
/// of one rank has no memory for collectives.
std::string checkMesh(const schema::Artifact &artifact);

/// The slice of |parameter|, whose other fields are valid.
std::string checkSlice(const schema::Artifact &artifact,
                       const schema::Parameter &parameter);

/// That |parameter| is a valid table of placements.
std::string checkPlacementTable(const schema::Artifact &artifact,
                                const schema::Parameter &parameter);

/// One past the last byte of the arena that a collective uses: of its parts,
/// and of its counts.
struct CollectiveBytes {
  uint64_t parts = 0, counts = 0;
};
/// Fields and ranges of the collective |command|; |bytes| is set if nothing is
/// wrong.
std::string checkCollective(const schema::Artifact &artifact,
                            const schema::Command &command,
                            CollectiveBytes &bytes);

/// Follows the commands of one function: events are recorded once, then waited
/// for once, and at the end launches have waited for all collectives.
class EventChecker {
public:
  explicit EventChecker(const schema::Function &function)
      : events(function.num_events()) {}
  /// Of a collective, a record or a wait.
  std::string add(const schema::Command &command);
  std::string finish() const;

private:
  struct Event {
    bool isRecorded = false, isAwaited = false;
    /// Collectives that are done when it is reached.
    uint64_t collectives = 0;
  };
  std::vector<Event> events;
  /// Collectives so far, and those that launches have waited for.
  uint64_t started = 0, awaited = 0;
};

/// The rung of |entry|, and of one that is expected to suffice its twin.
std::string checkRung(const schema::Artifact &artifact,
                      const schema::Entry &entry);

/// Digest (runtime/schemas/CollectiveDigest.h) of what function |function|
/// unrolls to. The commands of all are valid, and |hasCollectives| says which
/// have any, in their callees too.
uint64_t digestCollectives(const schema::Artifact &artifact,
                           const std::vector<bool> &hasCollectives,
                           uint32_t function);

} // namespace hadal::artifact
