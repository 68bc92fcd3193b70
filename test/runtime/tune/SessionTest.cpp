#include "runtime/tune/Session.h"

#include <set>

#include <gtest/gtest.h>

#include "runtime/tune/CandidateName.h"
#include "test/runtime/tune/SyntheticTimer.h"

namespace hadal::tune {
namespace {

/// Records which arms were timed.
class RecordingTimer : public Timer {
public:
  RecordingTimer(std::vector<double> seconds, std::set<size_t> &timed)
      : timer(std::move(seconds), 7), timed(timed) {}
  StatusOr<double> time(size_t arm) override {
    timed.insert(arm);
    return timer.time(arm);
  }
  Status renew(uint64_t seed) override { return timer.renew(seed); }

private:
  SyntheticTimer timer;
  std::set<size_t> &timed;
};

class FakeLab : public Lab {
public:
  std::vector<double> seconds;
  std::vector<Rejected> rejected;
  Status failure;
  std::set<size_t> timed;

  StatusOr<std::vector<Rejected>> check(const PlannedKernel &) override {
    if (!failure.ok())
      return failure;
    return rejected;
  }
  StatusOr<std::unique_ptr<Timer>> timer(const PlannedKernel &,
                                         uint64_t) override {
    return std::unique_ptr<Timer>(new RecordingTimer(seconds, timed));
  }
};

PlannedKernel kernelOf(size_t candidates) {
  PlannedKernel kernel{"gemm", {}};
  for (size_t i = 1; i <= candidates; ++i)
    kernel.candidates.push_back(
        {candidateName("gemm", i), "word=" + std::to_string(i), true});
  return kernel;
}

SessionOptions optionsOf() {
  SessionOptions options;
  options.clock = [] { return 0.0; };
  options.report = [](const KernelResult &, size_t, size_t, double) {
    return Status();
  };
  return options;
}

KernelResult runOne(FakeLab &lab, size_t candidates) {
  auto session = runSession({kernelOf(candidates)}, lab, optionsOf());
  EXPECT_TRUE(session.ok());
  EXPECT_EQ(session->kernels.size(), 1u);
  return session->kernels.front();
}

TEST(TuneSession, WhatIsWrongIsNeverTimed) {
  FakeLab lab;
  lab.seconds = {1e-3, 4e-4, 8e-4, 3e-4}; // wrong ones are fast
  lab.rejected = {{0, "R02", "NaN"}, {2, "R04", "bits"}};
  const KernelResult result = runOne(lab, 3);
  EXPECT_EQ(lab.timed, (std::set<size_t>{0, 2}));
  ASSERT_TRUE(result.selection.winner);
  EXPECT_EQ(result.selection.outcomes[0].candidate.arm, 2u);

  lab.timed.clear();
  lab.rejected.push_back({1, "R02", ""});
  EXPECT_FALSE(runOne(lab, 3).selection.winner);
  EXPECT_TRUE(lab.timed.empty());
}

TEST(TuneSession, AFailureIsOfItsKernelAlone) {
  FakeLab lab;
  lab.failure = Status(5019, "wrong");
  auto session = runSession({kernelOf(1), kernelOf(1)}, lab, optionsOf());
  ASSERT_TRUE(session.ok());
  ASSERT_EQ(session->kernels.size(), 2u);
  EXPECT_EQ(session->kernels[1].failure.code(), 5019);
  EXPECT_EQ(session->stop, SessionResult::Stop::finished);

  lab.failure = Status(5016, "interrupted");
  session = runSession({kernelOf(1), kernelOf(1)}, lab, optionsOf());
  ASSERT_TRUE(session.ok());
  EXPECT_TRUE(session->kernels.empty());
  EXPECT_EQ(session->stop, SessionResult::Stop::interrupt);
}

TEST(TuneSession, TheBudgetEndsItBetweenKernels) {
  FakeLab lab;
  lab.seconds = {1e-3, 2e-3};
  SessionOptions options = optionsOf();
  double now = 0;
  std::vector<double> left;
  options.budget = 25;
  options.clock = [&] { return now; };
  options.report = [&](const KernelResult &, size_t, size_t, double rest) {
    left.push_back(rest);
    now += 10;
    return Status();
  };
  auto session = runSession(
      {kernelOf(1), kernelOf(1), kernelOf(1), kernelOf(1)}, lab, options);
  ASSERT_TRUE(session.ok());
  EXPECT_EQ(session->kernels.size(), 3u);
  EXPECT_EQ(session->stop, SessionResult::Stop::budget);
  ASSERT_EQ(left.size(), 3u);
  EXPECT_DOUBLE_EQ(left[1], 10); // two took 10 s, two are left
}

TEST(TunePlan, IsReadOrRefusedByName) {
  auto plan =
      parsePlan(R"({"kernels":[{"name":"k","candidates":[)"
                R"({"name":"k__c1","bits":"order","schedule":"bm=4"}]}]})",
                "p");
  ASSERT_TRUE(plan.ok());
  EXPECT_EQ(plan->at(0).candidates.at(0).schedule, "bm=4");
  EXPECT_FALSE(plan->at(0).candidates.at(0).sameBits);
  for (const char *bad :
       {"[]", "{}", R"({"kernels":[1]})", R"({"kernels":[{"name":"k"}]})",
        R"({"kernels":[{"name":1,"candidates":[]}]})",
        R"({"kernels":[{"name":"k","candidates":[{"name":"k__c1"}]}]})",
        R"({"kernels":[{"name":"k","candidates":[{"name":"k__c1","bits":"x",)"
        R"("schedule":""}]}]})",
        R"({"kernels":[{"name":"k","candidates":["k__c1"]}]})"}) {
    auto refused = parsePlan(bad, "p");
    ASSERT_FALSE(refused.ok()) << bad;
    EXPECT_EQ(refused.status().code(), 5011) << bad;
  }
}

TEST(CandidateName, IsParsedBack) {
  EXPECT_EQ(candidateName("gemm_r1", 17), "gemm_r1__c17");
  EXPECT_EQ(parseCandidateName("gemm_r1__c17"),
            std::pair(std::string_view("gemm_r1"), uint64_t{17}));
  for (const char *other : {"gemm", "gemm__c", "gemm__c0", "gemm__c01",
                            "gemm__cx", "__c1", "gemm__c1x"})
    EXPECT_FALSE(parseCandidateName(other)) << other;
}

} // namespace
} // namespace hadal::tune
