// Times and rates of a GPU over a fake libcuda and a fake libcublasLt, in which
// 0.25 ms lie between an event and the next of its stream.
#include <gtest/gtest.h>

#include "runtime/drivers/cuda/CudaDriver.h"
#include "test/runtime/drivers/cuda/FakeCuda.h"
#include "tools/hadal-bench/CublasLt.h"
#include "tools/hadal-bench/MachineRatesCuda.h"

#if __has_include(<cublasLt.h>)
#include <cublasLt.h>
#endif

using namespace hadal;
using namespace hadal::bench;
using namespace hadal::cuda;

namespace {

FakeCuda &fake() {
  static FakeCuda &state = openFakeCuda(HADAL_FAKE_CUDA);
  return state;
}

class CudaTimerTest : public testing::Test {
protected:
  void SetUp() override {
    fake() = {};
    fake().l2Bytes = 3 << 20;
    fake().totalMemory = size_t(256) << 20;
    auto created =
        createCudaDriver({.ordinal = -1, .library = HADAL_FAKE_CUDA});
    ASSERT_TRUE(created.ok()) << created.status().toString();
    driver = std::move(*created);
  }
  void TearDown() override {
    driver.reset();
    unsetenv("HADAL_CUBLASLT");
    EXPECT_EQ(fake().counts, FakeCounts()) << "something was left behind";
  }

  std::unique_ptr<Driver> driver;
};

} // namespace

TEST_F(CudaTimerTest, EveryRunStartsWithAnEmptyCache) {
  auto timer = CudaTimer::create(*driver);
  ASSERT_TRUE(timer.ok()) << timer.status().toString();
  std::vector<size_t> copiesBefore;
  auto seconds = (*timer)->time(
      [&] {
        copiesBefore.push_back(fake().deviceCopies.size());
        return Status();
      },
      4);
  ASSERT_TRUE(seconds.ok()) << seconds.status().toString();
  EXPECT_EQ(*seconds, std::vector<double>(4, 0.25e-3));
  // One run that is not timed, then 12 MiB read before each.
  EXPECT_EQ(copiesBefore, (std::vector<size_t>{0, 3, 6, 9, 12}));
  EXPECT_EQ(fake().waits, 1u);
}

TEST_F(CudaTimerTest, AnErrorOfTheWorkIsReturned) {
  auto timer = CudaTimer::create(*driver);
  ASSERT_TRUE(timer.ok());
  unsigned calls = 0;
  auto failing = [&]() -> Status {
    return ++calls == 3 ? error(5017, "broken") : Status();
  };
  EXPECT_EQ((*timer)->time(failing, 4).status().code(), 5017);
  fake().waitResult = 700;
  EXPECT_EQ((*timer)->time([] { return Status(); }, 4).status().code(), 5017);
}

TEST_F(CudaTimerTest, TheMachinesRatesAreThoseOfACopyAndOfCublasLt) {
  setenv("HADAL_CUBLASLT", HADAL_FAKE_CUBLASLT, 1);
  auto timer = CudaTimer::create(*driver);
  ASSERT_TRUE(timer.ok());
  auto rates = measureCudaRates(*driver, **timer, 256);
  ASSERT_TRUE(rates.ok()) << rates.status().toString();
  // An eighth of what is free.
  const double bytes = static_cast<double>(fake().deviceCopies.front());
  EXPECT_GT(bytes, 25e6);
  EXPECT_NEAR(rates->copyBytesPerSecond / (2 * bytes / 0.25e-3), 1, 1e-6);
  EXPECT_NEAR(rates->bf16FlopsPerSecond / (2 * 256. * 256 * 256 / 0.25e-3), 1,
              1e-6);
  EXPECT_EQ(rates->bf16By, "cuBLASLt 13.1.2, 256^3, median of 11");
  EXPECT_NE(rates->copyBy.find("cuMemcpyDtoDAsync of"), std::string::npos);
}

TEST_F(CudaTimerTest, WithoutCublasLtTheReasonIsSaid) {
  setenv("HADAL_CUBLASLT", "/nonexistent/libcublasLt.so", 1);
  auto timer = CudaTimer::create(*driver);
  auto rates = measureCudaRates(*driver, **timer, 256);
  ASSERT_TRUE(rates.ok()) << rates.status().toString();
  EXPECT_EQ(rates->bf16FlopsPerSecond, 0);
  EXPECT_NE(rates->bf16By.find("no cuBLASLt"), std::string::npos);
  setenv("HADAL_CUBLASLT", "libm.so.6", 1);
  rates = measureCudaRates(*driver, **timer, 256);
  ASSERT_TRUE(rates.ok());
  EXPECT_NE(rates->bf16By.find("no function cublasLtGetVersion"),
            std::string::npos);
}

#if __has_include(<cublasLt.h>)
TEST(CublasLt, ValuesAreThoseOfTheToolkit) {
  EXPECT_EQ(cublaslt::kCompute32F, CUBLAS_COMPUTE_32F);
  EXPECT_EQ(cublaslt::kReal32F, CUDA_R_32F);
  EXPECT_EQ(cublaslt::kReal16BF, CUDA_R_16BF);
  EXPECT_EQ(cublaslt::kDescTransposeA, CUBLASLT_MATMUL_DESC_TRANSA);
  EXPECT_EQ(cublaslt::kPreferenceMaxWorkspace,
            CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES);
  EXPECT_EQ(cublaslt::kTranspose, CUBLAS_OP_T);
  static_assert(sizeof(cublaslt::Heuristic) ==
                sizeof(cublasLtMatmulHeuristicResult_t));
  static_assert(offsetof(cublaslt::Heuristic, state) ==
                offsetof(cublasLtMatmulHeuristicResult_t, state));
  static_assert(offsetof(cublaslt::Heuristic, workspaceBytes) ==
                offsetof(cublasLtMatmulHeuristicResult_t, workspaceSize));
}
#endif
