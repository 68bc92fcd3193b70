// The CUDA driver over a fake libcuda; the conformance suite and the toy model
// also on one whose device is the simulator, and on a real one, where there is
// a GPU.
#include <cstring>
#include <sys/mman.h>

#include <gtest/gtest.h>

#include "runtime/cts/DriverSuite.h"
#include "runtime/drivers/cuda/CudaDriver.h"
#include "test/runtime/drivers/ToyModelCheck.h"
#include "test/runtime/drivers/cuda/FakeCuda.h"

using namespace hadal;
using namespace hadal::cuda;

namespace {

/// The fake's state; the library is opened once.
FakeCuda &fake() {
  static FakeCuda &state = openFakeCuda(HADAL_FAKE_CUDA);
  return state;
}

/// Runs the toy kernels' machine code as if a GPU ran their PTX.
void executeToyKernel(const FakeLaunch &launch, void *const *parameters) {
  static uint8_t *image = [] {
    std::vector<uint8_t> bytes = toy::kernelImage();
    void *memory =
        mmap(nullptr, bytes.size(), PROT_READ | PROT_WRITE | PROT_EXEC,
             MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    std::memcpy(memory, bytes.data(), bytes.size());
    return static_cast<uint8_t *>(memory);
  }();
  const schema::ArtifactT toyModel = toy::skeleton();
  for (size_t k = 0; k < toyModel.kernels.size(); ++k) {
    if (toyModel.kernels[k]->name != launch.kernel)
      continue;
    std::vector<uint64_t> args(toyModel.kernels[k]->num_args);
    for (size_t i = 0; i < args.size(); ++i)
      std::memcpy(&args[i], parameters[i], 8);
    alignas(64) uint8_t scratch[toy::kScratchBytes];
    reinterpret_cast<void (*)(const uint64_t *, uint64_t, uint64_t, uint8_t *)>(
        image + k * 1024)(args.data(), 0, launch.grid, scratch);
    return;
  }
  ADD_FAILURE() << "launch of unknown kernel " << launch.kernel;
}

void reset() {
  fake() = {};
  fake().execute = executeToyKernel;
}

StatusOr<std::unique_ptr<Driver>> createFake(int ordinal = -1) {
  return createCudaDriver({.ordinal = ordinal, .library = HADAL_FAKE_CUDA});
}

DriverFactory overFake() {
  return {"fake", [] {
            reset();
            return createFake();
          }};
}

DriverFactory overSim() {
  return {"sim",
          [] {
            return createCudaDriver(
                {.ordinal = -1, .library = HADAL_SIM_CUDA});
          },
          1};
}

DriverFactory overGpu() {
  return {"gpu", [] { return createCudaDriver({}); }};
}

/// True where a real libcuda has a device that runs sm_90a.
bool hasGpu() {
  static const bool found = createCudaDriver({}).ok();
  return found;
}

class CudaTest : public testing::Test {
protected:
  void SetUp() override { reset(); }

  /// The toy model for sm_90a, opened.
  StatusOr<Artifact>
  open(const std::function<void(schema::ArtifactT &)> &change = {}) {
    schema::ArtifactT a = toy::modelForSm90a();
    if (change)
      change(a);
    toy::writeFile(dir.file("m.hadal"), toy::assemble(a));
    return Artifact::open(dir.file("m.hadal"));
  }
  /// Why the toy model cannot be loaded and run.
  Status refusal(const std::function<void(schema::ArtifactT &)> &change = {}) {
    schema::ArtifactT a = toy::modelForSm90a();
    if (change)
      change(a);
    StatusOr<std::unique_ptr<Driver>> driver = createFake();
    if (!driver.ok())
      return driver.status();
    auto model = toy::loadForSm90a(std::move(*driver), dir, a);
    if (!model.ok())
      return model.status();
    auto session = Session::create(**model);
    if (!session.ok())
      return session.status();
    StatusOr<uint32_t> row = (*session)->addRow();
    std::vector<int32_t> tokens = {1};
    StepRow step{*row, tokens, LogitsWanted::Last, Phase::Decode};
    return (*session)->step(
        {&step, 1},
        [](size_t, uint64_t, std::span<const float>) { return Status(); });
  }
  void expectRefusal(const Status &status, int code,
                     std::initializer_list<const char *> texts) {
    EXPECT_EQ(status.code(), code) << status.toString();
    for (const char *text : texts)
      EXPECT_NE(status.message().find(text), std::string::npos)
          << "'" << text << "' in: " << status.message();
    EXPECT_EQ(status.message().find('\n'), std::string::npos);
    EXPECT_EQ(fake().counts, FakeCounts()) << "something was left behind";
  }

  toy::TempDir dir;
};

} // namespace

INSTANTIATE_TEST_SUITE_P(CudaFake, DriverSuite, testing::Values(overFake()),
                         driverName);
INSTANTIATE_TEST_SUITE_P(CudaSim, DriverSuite, testing::Values(overSim()),
                         driverName);
INSTANTIATE_TEST_SUITE_P(
    CudaGpu, DriverSuite,
    testing::ValuesIn(hasGpu() ? std::vector<DriverFactory>{overGpu()}
                               : std::vector<DriverFactory>{}),
    driverName);

// The toy model's PTX, with parameters and graphs as the driver makes them.
TEST(CudaSim, TheToyModelRuns) {
  toy::TempDir dir;
  auto model = toy::loadForSm90a(std::move(*overSim().create()), dir);
  ASSERT_TRUE(model.ok()) << model.status().toString();
  EXPECT_EQ((*model)->executable().variant(), "sm_90a PTX");
  toy::expectToyLogits(**model);
}

TEST(CudaGpu, TheToyModelRuns) {
  if (!hasGpu())
    GTEST_SKIP() << createCudaDriver({}).status().toString();
  toy::TempDir dir;
  auto model = toy::loadForSm90a(std::move(*createCudaDriver({})), dir);
  ASSERT_TRUE(model.ok()) << model.status().toString();
  toy::expectToyLogits(**model);
}

// ---- what runs

TEST_F(CudaTest, TheToyModelRunsAndLeavesNothing) {
  {
    StatusOr<std::unique_ptr<Driver>> driver = createFake();
    ASSERT_TRUE(driver.ok()) << driver.status().toString();
    EXPECT_EQ((*driver)->description(), "cuda:0, Fake H100");
    auto model = toy::loadForSm90a(std::move(*driver), dir);
    ASSERT_TRUE(model.ok()) << model.status().toString();
    EXPECT_EQ((*model)->hostWeights(), nullptr);
    EXPECT_EQ((*model)->uploadedBytes(), 4u * (8 + 8 + 64));
    EXPECT_EQ((*model)->executable().variant(), "sm_90a PTX");
    toy::expectToyLogits(**model);
    EXPECT_EQ(fake().pageableCopies, 0u);
  }
  EXPECT_EQ(fake().counts, FakeCounts());
  EXPECT_EQ(fake().usedMemory, 0u);
}

TEST_F(CudaTest, SessionsAreCreatedBySeveralThreads) {
  {
    auto model = toy::loadForSm90a(std::move(*createFake()), dir);
    ASSERT_TRUE(model.ok()) << model.status().toString();
    toy::expectSessionsFromThreads(**model);
    EXPECT_EQ(fake().images.size(), 6u) << "a kernel's module was loaded twice";
    EXPECT_EQ(fake().counts.hostAllocations, 4) << "more than one staging ring";
  }
  EXPECT_EQ(fake().counts, FakeCounts());
}

TEST_F(CudaTest, DecodeRunsAsOneGraphAndTheRestDirectly) {
  auto model = toy::loadForSm90a(std::move(*createFake()), dir);
  ASSERT_TRUE(model.ok());
  auto session = Session::create(**model);
  ASSERT_TRUE(session.ok());
  EXPECT_EQ(fake().captures, 0u);
  StatusOr<uint32_t> row = (*session)->addRow();
  std::vector<int32_t> prompt = {1, 2, 3}, next = {4};
  auto step = [&](std::span<const int32_t> tokens) {
    StepRow s{*row, tokens, LogitsWanted::None,
              tokens.size() == 1 ? Phase::Decode : Phase::Prompt};
    Status status =
        (*session)->step({&s, 1}, [](size_t, uint64_t, std::span<const float>) {
          return Status();
        });
    ASSERT_TRUE(status.ok()) << status.toString();
  };
  step(prompt);
  EXPECT_EQ(fake().captures, 0u);
  const size_t direct = fake().launches.size();
  EXPECT_EQ(direct, 10u); // embed, 2 layers of 4, move
  for (const FakeLaunch &launch : fake().launches) {
    EXPECT_FALSE(launch.captured);
    EXPECT_TRUE(launch.overlaps) << launch.kernel;
    EXPECT_EQ(launch.threads, 32u);
  }
  EXPECT_EQ(fake().launches[0].kernel, "embed");
  EXPECT_EQ(fake().launches[0].grid, 8u);
  for (int i = 0; i < 5; ++i)
    step(next);
  EXPECT_EQ(fake().captures, 1u);
  EXPECT_EQ(fake().graphLaunches, 5u);
  EXPECT_EQ(fake().launches.size(), direct + 10);
  EXPECT_TRUE(fake().launches.back().captured);
  EXPECT_TRUE(fake().launches.back().overlaps);
  // One wait for each call: the host must not run ahead of its inputs.
  fake().waits = 0;
  step(next);
  EXPECT_EQ(fake().waits, 1u);
}

TEST_F(CudaTest, KernelsAreTimedByEventsWithoutOverlap) {
  auto model = toy::loadForSm90a(std::move(*createFake()), dir);
  ASSERT_TRUE(model.ok());
  auto session = Session::create(**model);
  (*model)->executable().setProfiling(true);
  StatusOr<uint32_t> row = (*session)->addRow();
  std::vector<int32_t> next = {4};
  StepRow s{*row, next, LogitsWanted::None, Phase::Decode};
  for (int i = 0; i < 3; ++i)
    ASSERT_TRUE(
        (*session)
            ->step({&s, 1}, [](size_t, uint64_t,
                               std::span<const float>) { return Status(); })
            .ok());
  std::span<const KernelTime> profile = (*model)->executable().profile();
  ASSERT_EQ(profile.size(), size_t(toy::kNumKernels));
  EXPECT_EQ(profile[toy::kEmbed].launches, 3u);
  EXPECT_EQ(profile[toy::kAttend].launches, 6u);
  EXPECT_DOUBLE_EQ(profile[toy::kAttend].seconds, 6 * 0.25e-3);
  EXPECT_EQ(fake().captures, 0u);
  for (const FakeLaunch &launch : fake().launches)
    EXPECT_FALSE(launch.overlaps);
}

TEST_F(CudaTest, ModulesAreLoadedOncePerKernelThatIsUsed) {
  StatusOr<Artifact> artifact = open();
  ASSERT_TRUE(artifact.ok());
  auto driver = createFake();
  auto executable = (*driver)->load(*artifact);
  ASSERT_TRUE(executable.ok());
  EXPECT_EQ(fake().images.size(), 0u);
  Bindings bindings;
  bindings.parameters.resize(3);
  bindings.states.resize(5);
  ASSERT_TRUE((*executable)->prepare(4, bindings).ok()); // head_1
  EXPECT_EQ(fake().images.size(), 1u);
  ASSERT_TRUE((*executable)->prepare(5, bindings).ok());
  EXPECT_EQ(fake().images.size(), 1u);
  ASSERT_TRUE((*executable)->prepare(0, bindings).ok());
  EXPECT_EQ(fake().images.size(), 6u); // all but scratch and mxcsr
}

TEST_F(CudaTest, SharedMemoryIsOptedInTo) {
  for (uint64_t bytes : {0u, 48u << 10, (48u << 10) + 16, 232448u}) {
    StatusOr<Artifact> artifact = open([&](schema::ArtifactT &a) {
      a.kernels[toy::kHead]->shared_bytes = bytes;
    });
    ASSERT_TRUE(artifact.ok()) << artifact.status().toString();
    fake().optIns.clear();
    auto driver = createFake();
    auto executable = (*driver)->load(*artifact);
    ASSERT_TRUE(executable.ok());
    Bindings bindings;
    bindings.parameters.resize(3);
    bindings.states.resize(5);
    ASSERT_TRUE((*executable)->prepare(4, bindings).ok());
    EXPECT_EQ(fake().optIns, std::vector<int>{static_cast<int>(bytes)});
  }
}

TEST_F(CudaTest, UploadsLongerThanTheRingArriveWhole) {
  auto driver = createFake();
  ASSERT_TRUE(driver.ok());
  const uint64_t bytes = (uint64_t(45) << 20) + 12345;
  auto buffer = DeviceBuffer::create(**driver, bytes, "a buffer");
  ASSERT_TRUE(buffer.ok());
  auto value = [](uint64_t i) { return static_cast<uint8_t>(i * 7 + i / 251); };
  ASSERT_TRUE((*driver)
                  ->upload(buffer->address(), bytes,
                           [&](uint8_t *to, uint64_t begin, uint64_t end) {
                             for (uint64_t i = begin; i < end; ++i)
                               to[i - begin] = value(i);
                           })
                  .ok());
  std::vector<uint8_t> back(bytes);
  ASSERT_TRUE((*driver)->read(back.data(), buffer->address(), bytes).ok());
  for (uint64_t i = 0; i < bytes; ++i)
    ASSERT_EQ(back[i], value(i)) << i;
  EXPECT_EQ(fake().pageableCopies, 0u);
}

TEST_F(CudaTest, ACubinIsPreferredToPtx) {
  // The toy's blob stands for both: the fake reads names out of it.
  StatusOr<Artifact> artifact = open([](schema::ArtifactT &a) {
    for (auto &kernel : a.kernels) {
      kernel->code.push_back(
          std::make_unique<schema::KernelCodeT>(*kernel->code[0]));
      kernel->code.back()->variant = "cubin";
    }
  });
  ASSERT_TRUE(artifact.ok()) << artifact.status().toString();
  auto driver = createFake();
  auto executable = (*driver)->load(*artifact);
  ASSERT_TRUE(executable.ok());
  EXPECT_EQ((*executable)->variant(), "sm_90a cubin");
  fake().moduleResult = kInvalidImage;
  Bindings bindings;
  bindings.parameters.resize(3);
  bindings.states.resize(5);
  Status status = (*executable)->prepare(4, bindings).status();
  EXPECT_EQ(status.code(), 5007);
  EXPECT_NE(status.message().find("the cubin of kernel 'head'"),
            std::string::npos);
}

TEST_F(CudaTest, ADriverOlderThanThePtxasGetsThePtx) {
  StatusOr<Artifact> artifact = open([](schema::ArtifactT &a) {
    a.provenance->ptxas = "13.0.88";
    for (auto &kernel : a.kernels) {
      kernel->code.push_back(
          std::make_unique<schema::KernelCodeT>(*kernel->code[0]));
      kernel->code.back()->variant = "cubin";
    }
  });
  ASSERT_TRUE(artifact.ok()) << artifact.status().toString();
  for (auto [version, variant] :
       {std::pair(12080, "sm_90a PTX"), std::pair(13000, "sm_90a cubin"),
        std::pair(14010, "sm_90a cubin")}) {
    fake().driverVersion = version;
    auto driver = createFake();
    auto executable = (*driver)->load(*artifact);
    ASSERT_TRUE(executable.ok());
    EXPECT_EQ((*executable)->variant(), variant);
  }
}

// ---- refusals: one line each, and nothing stays behind

TEST_F(CudaTest, NoLibraryIsRefused) {
  Status status =
      createCudaDriver({.ordinal = -1, .library = "/nonexistent/libcuda.so"})
          .status();
  EXPECT_EQ(status.code(), 5007);
  EXPECT_NE(status.message().find("no NVIDIA driver"), std::string::npos);
  EXPECT_NE(status.message().find("--device sim"), std::string::npos);
}

TEST_F(CudaTest, ALibraryWithoutTheFunctionsIsRefused) {
  Status status =
      createCudaDriver({.ordinal = -1, .library = "libm.so.6"}).status();
  EXPECT_EQ(status.code(), 5007);
  EXPECT_NE(status.message().find("has no function cuInit"), std::string::npos);
}

TEST_F(CudaTest, ADriverThatDoesNotStartIsRefused) {
  fake().initResult = kStubLibrary;
  expectRefusal(refusal(), 5007, {"does not start", "CUDA_ERROR_34"});
  fake().initResult = kNoDevice;
  expectRefusal(refusal(), 5007, {"finds no device", "--device sim"});
  fake().initResult = kSuccess;
  fake().devices.clear();
  expectRefusal(refusal(), 5007, {"finds no device"});
}

TEST_F(CudaTest, AnOldDriverIsRefused) {
  fake().driverVersion = 12020;
  expectRefusal(refusal(), 5007, {"CUDA 12.2", "12.3 or newer"});
  fake().driverVersion = 12040;
  expectRefusal(refusal([](schema::ArtifactT &a) {
                  a.provenance->driver_minimum = 12080;
                  a.provenance->ptx_isa = 87;
                }),
                5007, {"PTX ISA 8.7", "CUDA 12.8", "supports 12.4"});
  fake().moduleResult = kUnsupportedPtxVersion;
  expectRefusal(
      refusal([](schema::ArtifactT &a) { a.provenance->ptx_isa = 90; }), 5007,
      {"CUDA 12.4", "PTX ISA 9.0", "kernel 'embed'"});
}

TEST_F(CudaTest, AnotherChipIsRefusedByName) {
  fake().devices = {{"Fake A100", 8, 0}, {"Fake B200", 10, 0}};
  expectRefusal(refusal(), 5007,
                {"compute capability 9.0", "cuda:0 'Fake A100' has 8.0",
                 "cuda:1 'Fake B200' has 10.0"});
  fake().devices.push_back({"Fake H200", 9, 0});
  auto driver = createFake();
  ASSERT_TRUE(driver.ok());
  EXPECT_EQ((*driver)->description(), "cuda:2, Fake H200");
  EXPECT_EQ(createFake(1).status().code(), 5007);
  EXPECT_NE(createFake(3).status().message().find("no device cuda:3"),
            std::string::npos);
}

TEST_F(CudaTest, RanksHaveADeviceEach) {
  auto ofRank = [](unsigned nth) {
    auto driver = createCudaDriver(
        {.ordinal = -1, .nth = nth, .library = HADAL_FAKE_CUDA});
    return driver.ok() ? (*driver)->description()
                       : driver.status().toString();
  };
  fake().devices = {{"Fake H200", 9, 0}, {"Fake A100", 8, 0},
                    {"Fake H200", 9, 0}};
  EXPECT_EQ(ofRank(0), "cuda:0, Fake H200");
  EXPECT_EQ(ofRank(1), "cuda:2, Fake H200");
  EXPECT_NE(ofRank(2).find("H5007: rank 2 of this machine has no GPU of its "
                           "own: there are 2"),
            std::string::npos)
      << ofRank(2);
  // A launcher that shows each rank its own.
  fake().devices.resize(1);
  EXPECT_EQ(ofRank(3), "cuda:0, Fake H200");
}

TEST_F(CudaTest, TooLittleMemoryIsRefusedBeforeAnythingIsAllocated) {
  fake().totalMemory = 1000;
  expectRefusal(refusal(), 5006,
                {"of device memory", "weights ", "cache ", "activations ",
                 "1000 B of 1000 B free"});
  EXPECT_EQ(fake().usedMemory, 0u);
}

// Code and graphs come after the weights; they must find room.
TEST_F(CudaTest, WhatTheDriverItselfTakesIsCounted) {
  fake().totalMemory = size_t(200) << 20;
  expectRefusal(refusal(), 5006, {"of device memory", "other 256 MiB"});
  EXPECT_EQ(fake().usedMemory, 0u);
  fake().totalMemory = size_t(300) << 20;
  EXPECT_TRUE(refusal().ok());
}

TEST_F(CudaTest, LargeAllocationsTakeWholePages) {
  auto driver = createFake();
  EXPECT_EQ((*driver)->footprint(1), 512u);
  EXPECT_EQ((*driver)->footprint(1u << 20), 1u << 20);
  EXPECT_EQ((*driver)->footprint((1u << 20) + 1), 2u << 20);
  EXPECT_EQ((*driver)->footprint(5u << 20), 6u << 20);
}

TEST_F(CudaTest, ExhaustedStagingMemoryIsRefused) {
  fake().hostAllocResult = kOutOfMemory;
  expectRefusal(refusal(), 5006, {"page-locked staging memory"});
}

TEST_F(CudaTest, CodeThatDoesNotLoadIsRefused) {
  fake().moduleResult = kInvalidPtx;
  fake().jitLog = "ptxas fatal : line 3\nmore";
  expectRefusal(
      refusal(), 5007,
      {"the ptx of kernel 'embed'", "does not load", "ptxas fatal : line 3"});
  fake().moduleResult = kSuccess;
  expectRefusal(
      refusal([](schema::ArtifactT &a) { a.kernels[0]->name = "other"; }), 5007,
      {"kernel 'other'", "no function of that name"});
}

TEST_F(CudaTest, TooMuchSharedMemoryIsRefused) {
  fake().sharedOptin = 101376;
  expectRefusal(refusal([](schema::ArtifactT &a) {
                  a.kernels[toy::kHead]->shared_bytes = 200000;
                }),
                5007, {"kernel 'head'", "200000", "101376", "Fake H100"});
}

TEST_F(CudaTest, AFailedLaunchOrKernelIsReported) {
  fake().launchResult = 701;
  expectRefusal(refusal(), 5017,
                {"kernel 'embed' of entry 'decode_1'", "1 blocks of 32 threads",
                 "CUDA_ERROR_701"});
  fake().launchResult = kSuccess;
  fake().waitResult = 700;
  Status status = refusal();
  EXPECT_EQ(status.code(), 5017);
  EXPECT_NE(status.message().find("CUDA_ERROR_700"), std::string::npos);
}
