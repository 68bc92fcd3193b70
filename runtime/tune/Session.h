// A session: kernel by kernel, what is wrong is left out, the rest is timed
// and at most one candidate adopted.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "runtime/tune/Select.h"

namespace hadal::tune {

/// As hadal-tune --compile-only --format=json has them.
struct PlannedCandidate {
  std::string name;     ///< symbol of its kernel
  std::string schedule; ///< canonical text
  /// It must give the default's bits; else its sums may be ordered otherwise.
  bool sameBits = true;
};
struct PlannedKernel {
  std::string name; ///< of the default
  std::vector<PlannedCandidate> candidates;
};

/// Reads the plan |path|. H5011 names what is missing or of another type.
StatusOr<std::vector<PlannedKernel>> readPlan(const std::string &path);
StatusOr<std::vector<PlannedKernel>> parsePlan(std::string_view text,
                                               const std::string &what);

/// A candidate that is not timed, and why.
struct Rejected {
  size_t candidate = 0; ///< of the plan
  std::string code;     ///< "R02"
  std::string numbers;
};

/// Where kernels are checked and timed: a device, or a test's records.
class Lab {
public:
  virtual ~Lab() = default;
  /// The candidates of |kernel| that are wrong. An error ends the kernel: its
  /// default is wrong, or cannot be run.
  virtual StatusOr<std::vector<Rejected>>
  check(const PlannedKernel &kernel) = 0;
  /// A timer on inputs of |seed|: arm 0 is the default, arm i + 1 candidate i.
  virtual StatusOr<std::unique_ptr<Timer>> timer(const PlannedKernel &kernel,
                                                 uint64_t seed) = 0;
};

struct KernelResult {
  std::string name;
  std::vector<Rejected> rejected;
  /// Of those that are right; arms are indices of candidates + 1.
  Selection selection;
  Status failure;     ///< not ok: nothing was decided
  double seconds = 0; ///< spent on it
};

struct SessionOptions {
  SelectOptions select;
  double budget = 0; ///< seconds; 0: no limit. A kernel that began is ended
  /// Seconds since any moment.
  std::function<double()> clock;
  /// After each kernel: its result, how many of all are done, and the seconds
  /// that the others will take by the mean of those.
  std::function<Status(const KernelResult &, size_t done, size_t all,
                       double left)>
      report;
};

struct SessionResult {
  std::vector<KernelResult> kernels; ///< decided, or failed, in order
  enum class Stop { finished, budget, interrupt } stop = Stop::finished;
};

/// Runs |plan| in order. A kernel that fails leaves the others; H5016 of a
/// timer or check stops the session, which keeps what was decided. The error is
/// |report|'s.
StatusOr<SessionResult> runSession(const std::vector<PlannedKernel> &plan,
                                   Lab &lab, const SessionOptions &options);

} // namespace hadal::tune
