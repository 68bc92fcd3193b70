// How long a rank's program of launches and collectives takes, event by event:
// kernels in order on the stream of compute, collectives in order on another,
// each waiting for the events that the program says. All times are
// microseconds.
#pragma once

#include <map>
#include <span>
#include <string>
#include <vector>

#include "runtime/base/Status.h"

namespace hadal::cost {

/// A collective, once every rank is there. Its kernels fill the chip when they
/// send and when they receive: compute stands still meanwhile. In between the
/// links work.
struct Collective {
  std::string label;     ///< "dispatch"
  double startUs = 0;    ///< on the multiprocessors, at its start
  double transferUs = 0; ///< on the links
  double endUs = 0;      ///< on the multiprocessors, at its end
  /// Whether it holds multiprocessors during the transfer, so that kernels
  /// beside it are slower.
  bool holdsMultiprocessors = false;

  double us() const { return startUs + transferUs + endUs; }
};

struct Command {
  enum class Kind {
    launch,     ///< a kernel of |us|
    collective, ///< |collective|
    record,     ///< |event| happens when all earlier commands of the stream end
    wait,       ///< later commands of the stream start after |event|
  };
  Kind kind = Kind::launch;
  unsigned stream = 0; ///< 0: compute; 1: collectives
  double us = 0;
  unsigned event = 0; ///< each is recorded once
  Collective collective;

  static Command launch(double us);
  static Command communicate(Collective collective);
  static Command record(unsigned event, unsigned stream);
  static Command wait(unsigned event, unsigned stream);
};

struct Machine {
  double launchGapUs = 0; ///< between two kernels, added to each
  /// How much longer a kernel takes while a collective holds multiprocessors.
  double contention = 1;
};

/// What a command took.
struct Span {
  size_t command; ///< index of a launch or a collective
  double beginUs, endUs;
};

struct Timeline {
  double us = 0;        ///< until all is done
  double computeUs = 0; ///< kernels run, gaps and contention included
  /// Collectives have the multiprocessors for themselves.
  double multiprocessorUs = 0;
  double linkUs = 0; ///< collectives transfer
  /// The stream of compute waits for an event, or has ended before a
  /// collective.
  double exposedUs = 0;
  std::map<std::string, double> exposedByLabel;
  std::vector<Span> spans; ///< by end

  /// What bounds the time: "SM" if compute and the collectives' kernels fill 95
  /// % of it, else "link" if transfers do, else "chain": one waits for the
  /// other.
  std::string_view bound() const;
};

/// Runs |commands|, which are in program order over both streams. H2004 if a
/// stream waits for an event that does not happen, or one is recorded twice.
StatusOr<Timeline> simulate(std::span<const Command> commands,
                            const Machine &machine);

} // namespace hadal::cost
