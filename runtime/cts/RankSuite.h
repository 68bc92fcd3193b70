// The conformance suite of drivers that run collectives: a program of several
// ranks, each a thread with a driver of its own, over loopback. A driver's test
// links HadalRankCts and instantiates it as DriverSuite.
#pragma once

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
