// Wrong kernels, as lowerings get them wrong, are found before they are timed.
#include "tools/hadal-bench/AccuracyGate.h"

#include <cmath>

#include <gtest/gtest.h>

#include "test/tools/hadal-bench/RightOutputs.h"

using namespace hadal;
using namespace hadal::bench;
using namespace hadal::kernels;

namespace {

constexpr uint64_t kRows = 40, kColumns = 640;

Bucket bucketOf() {
  Bucket bucket;
  bucket.tokens = bucket.rows = kRows;
  bucket.maxSeqLen = 96;
  bucket.extent = [](std::string_view, unsigned) -> uint64_t { return kRows; };
  return bucket;
}

/// Larger than what KernelCase::check samples of it.
class AccuracyGate : public testing::Test {
protected:
  AccuracyGate() {
    GemmSpec gemm{{}, kColumns, 160, kRows};
    test = makeKernelCase(gemm, bucketOf(), 3);
    right = rightOutputs(*test);
    mutant = right;
    for (const Expected &output : test->expected)
      name = output.output;
  }
  Tensor &out() { return mutant.find(name)->second; }
  Fault found(bool sameBits) const {
    return judge(*test, right, mutant, sameBits, 1).fault;
  }

  std::unique_ptr<KernelCase> test;
  Arguments right, mutant;
  std::string name;
};

} // namespace

TEST_F(AccuracyGate, PassesTheDefault) {
  EXPECT_EQ(found(true), Fault::none);
  EXPECT_EQ(found(false), Fault::none);
}

TEST_F(AccuracyGate, FindsAnEdgeTileThatIsNotWritten) {
  Arguments memory = test->arguments;
  poison(*test, memory);
  const Tensor &never = memory.find(name)->second;
  // Inside, where samples seldom are: the last of two tiles of 8 x 16.
  for (uint64_t r = 16; r < 24; ++r)
    for (uint64_t c = 304; c < 320; ++c)
      out().set(r, c, never.at(r, c));
  EXPECT_NE(found(true), Fault::none);
  EXPECT_EQ(found(false), Fault::R02);
}

TEST_F(AccuracyGate, FindsOneElementThatIsNotSampled) {
  // No sample is needed to see it: some seed misses it, none of judge's does.
  out().set(17, 333, out().at(17, 333) + 1);
  bool missed = false;
  for (uint64_t seed = 1; seed < 20; ++seed) {
    Random random(seed);
    missed |= test->check(mutant, random).right;
    EXPECT_NE(judge(*test, right, mutant, false, seed).fault, Fault::none);
  }
  EXPECT_TRUE(missed);
}

TEST_F(AccuracyGate, FindsAMissingMergeOfASplit) {
  for (uint64_t r = 0; r < kRows; ++r)
    for (uint64_t c = 0; c < 64; ++c)
      out().set(r, c, out().at(r, c) / 2);
  EXPECT_NE(found(true), Fault::none);
  EXPECT_EQ(found(false), Fault::R02);
}

TEST_F(AccuracyGate, FindsARowOfTheStageBefore) { // a wait that was skipped
  for (uint64_t c = 0; c < kColumns; ++c)
    out().set(21, c, right.find(name)->second.at(20, c));
  EXPECT_NE(found(true), Fault::none);
  EXPECT_EQ(found(false), Fault::R02);
}

TEST_F(AccuracyGate, FindsANaN) {
  out().set(19, 401, std::nan(""));
  EXPECT_NE(found(true), Fault::none);
  EXPECT_EQ(found(false), Fault::R02);
}

TEST_F(AccuracyGate, OneBitIsWrongOnlyWhereBitsWerePromised) {
  out().data[(17 * kColumns + 333) * 2] ^= 1;
  EXPECT_EQ(found(true), Fault::R04);
  EXPECT_EQ(found(false), Fault::none);
}

TEST(AccuracyGateScales, FindsAScaleThatIsStale) {
  QuantizeSpec spec{{}, kColumns};
  std::unique_ptr<KernelCase> test = makeKernelCase(spec, bucketOf(), 3);
  const Arguments right = rightOutputs(*test);
  Arguments mutant = right;
  for (auto &[name, tensor] : mutant)
    if (tensor.blockRows) {
      tensor.scales[17 * tensor.scaleCols() + 2] *= 2;
      EXPECT_EQ(judge(*test, right, mutant, true, 1).fault, Fault::R04);
      tensor.scales[17 * tensor.scaleCols() + 2] *= 4;
      EXPECT_EQ(judge(*test, right, mutant, false, 1).fault, Fault::R02);
      return;
    }
  FAIL() << "no output with scales";
}

TEST(AccuracyGatePoison, LeavesWhatIsRead) {
  AddSpec spec{{}, 24};
  std::unique_ptr<KernelCase> test = makeKernelCase(spec, bucketOf(), 3);
  Arguments memory = test->arguments;
  poison(*test, memory);
  for (const auto &[name, tensor] : memory) {
    const bool isOutput =
        std::any_of(test->expected.begin(), test->expected.end(),
                    [&](const Expected &e) { return e.output == name; });
    if (!isOutput) {
      EXPECT_EQ(tensor.data, test->arguments.find(name)->second.data) << name;
    } else {
      EXPECT_TRUE(std::isnan(tensor.at(0, 0))) << name;
    }
  }
}
