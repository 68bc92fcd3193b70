// The conformance suite that every communicator passes. A backend's test links
// HadalCommSuite and instantiates it for each number of ranks:
//
//   INSTANTIATE_TEST_SUITE_P(Loopback, CommSuite, testing::Values(
//       CommFactory{"loopback2", 2, {...}, [](auto body) { ... }}), commName);
#pragma once

#include <functional>
#include <string>

#include <gtest/gtest.h>

#include "runtime/comm/Group.h"
#include "runtime/comm/QueueStream.h"

namespace hadal {

struct CommFactory {
  std::string name;
  unsigned ranks = 1;
  /// What its communicators say of themselves.
  comm::Capabilities capabilities;
  /// Runs a body at the same time for every rank, each with a Group of its own
  /// that has just joined, and returns when those of this process have ended:
  /// ranks are threads of this process, or this process is one of them.
  std::function<void(const std::function<void(comm::Group &)> &)> run;
  /// True if a rank that leaves its body while others wait is noticed at once.
  bool noticesLeaving = true;
  /// True if ranks that issue different operations are told so (H6006); else
  /// that is undefined.
  bool comparesOperations = true;
};

inline std::string commName(const testing::TestParamInfo<CommFactory> &info) {
  return info.param.name;
}

class CommSuite : public testing::TestWithParam<CommFactory> {
protected:
  unsigned ranks() const { return GetParam().ranks; }
  /// Runs |body| for every rank, with the communicator "all" of all of them.
  void onAll(const std::function<void(comm::Group &, comm::Communicator &)>
                 &body) const;
};

} // namespace hadal
