// The conformance suite over the fake libnccl, new and of the oldest version
// that will do.
#include "runtime/cts/CommSuite.h"
#include "test/runtime/comm/nccl/NcclRanks.h"
#include "test/runtime/comm/nccl/Staged.h"

using namespace hadal;
using namespace hadal::test;

namespace {

void expectNoViolations(const char *library) {
  comm::nccl::FakeNccl &fake = openFakeNccl(library);
  std::lock_guard held(fake.mutex);
  EXPECT_EQ(fake.violations, std::vector<std::string>());
  fake.violations.clear();
}

CommFactory factory(const char *name, unsigned ranks, const char *library) {
  return {.name = fmt::format("{}{}", name, ranks),
          .ranks = ranks,
          .capabilities = {.exactCounts = false,
                           .hostOrdered = true,
                           .rankOrderSums = false},
          .run =
              [ranks, library](const std::function<void(comm::Group &)> &body) {
                resetFakes();
                asNcclRanks(ranks, library,
                            [&](comm::Group &group, Driver &driver) {
                              StagedGroup staged(group, driver);
                              body(staged);
                            });
                expectNoViolations(library);
              },
          .comparesOperations = false};
}

INSTANTIATE_TEST_SUITE_P(Nccl, CommSuite,
                         testing::Values(factory("nccl", 1, HADAL_FAKE_NCCL),
                                         factory("nccl", 2, HADAL_FAKE_NCCL),
                                         factory("nccl", 4, HADAL_FAKE_NCCL),
                                         factory("old", 2, HADAL_FAKE_NCCL_OLD),
                                         factory("old", 4,
                                                 HADAL_FAKE_NCCL_OLD)),
                         commName);

} // namespace
