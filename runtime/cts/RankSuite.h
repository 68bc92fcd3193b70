// The conformance suite of drivers that run collectives: a program of several
// ranks, each a thread with a driver of its own, over loopback. A driver's test
// links HadalRankCts and instantiates it as DriverSuite.
#pragma once

#include <functional>

#include "runtime/comm/QueueStream.h"
#include "runtime/cts/DriverSuite.h"

namespace hadal {

struct RankFactory {
  DriverFactory driver;
  unsigned ranks = 2;
  comm::StreamOptions stream;
  /// The device reports a read of what no rank sent (H5018); else such bytes
  /// are what was there.
  bool findsUndefined = false;
  /// Runs a body as each of the ranks, at once, with what runs its collectives;
  /// null: threads over loopback.
  std::function<void(
      const RankFactory &factory,
      const std::function<void(unsigned, const comm::Endpoint &)> &body)>
      run;
  /// The driver of a rank; null: `driver` of each.
  std::function<StatusOr<std::unique_ptr<Driver>>(unsigned rank)> driverOf;
  /// Ranks that issue different operations are told so (H6006).
  bool comparesOperations = true;
};

inline std::string rankName(const testing::TestParamInfo<RankFactory> &info) {
  static constexpr const char *kPolicies[] = {"async", "eager", "lazy",
                                              "random"};
  return info.param.driver.name + "x" + std::to_string(info.param.ranks) +
         kPolicies[static_cast<unsigned>(info.param.stream.policy)];
}

inline void PrintTo(const RankFactory &factory, std::ostream *os) {
  *os << factory.driver.name;
}

class RankSuite : public testing::TestWithParam<RankFactory> {};

} // namespace hadal
