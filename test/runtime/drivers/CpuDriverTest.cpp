#include <algorithm>
#include <fstream>

#include <gtest/gtest.h>

#include "runtime/cts/RankSuite.h"
#include "runtime/drivers/cpu/CpuDriver.h"
#include "runtime/drivers/cpu/CpuVariant.h"
#include "test/runtime/drivers/ToyModelCheck.h"

using namespace hadal;
using namespace hadal::cpu;

namespace {

DriverFactory withThreads(unsigned threads) {
  return {"threads" + std::to_string(threads), [threads] {
            return createCpuDriver({.threads = threads, .variant = "v3"});
          }};
}

/// The words of a CPU that runs everything.
CpuidWords everything() {
  CpuidWords w;
  w.leaf1Ecx = 1u << 12 | 1u << 22 | 1u << 27 | 1u << 28 | 1u << 29;
  w.leaf7Ebx = 1u << 3 | 1u << 5 | 1u << 8 | 1u << 16 | 1u << 17 | 1u << 28 |
               1u << 30 | 1u << 31;
  w.leaf7Ecx = 1u << 1;
  w.leaf7Sub1Eax = 1u << 5;
  w.extended1Ecx = 1u << 5;
  w.xcr0 = 0xe7;
  return w;
}

using Names = std::vector<std::string_view>;

} // namespace

INSTANTIATE_TEST_SUITE_P(Cpu, DriverSuite,
                         testing::Values(withThreads(1), withThreads(2),
                                         withThreads(3)),
                         driverName);

INSTANTIATE_TEST_SUITE_P(
    Cpu, RankSuite,
    testing::Values(
        RankFactory{withThreads(1), 2, {.policy = comm::Policy::async}},
        RankFactory{withThreads(1), 2, {.policy = comm::Policy::eager}},
        RankFactory{withThreads(2), 2, {.policy = comm::Policy::lazy}},
        RankFactory{withThreads(1), 4, {.policy = comm::Policy::random,
                                        .seed = 5}}),
    rankName);

TEST(CpuVariant, FollowsCpuidAndTheOperatingSystem) {
  EXPECT_EQ(supportedVariants(everything()),
            (Names{"v3", "v4", "v4+bf16+vbmi"}));
  EXPECT_EQ(supportedVariants(CpuidWords()), Names{});
  CpuidWords w = everything();
  w.xcr0 = 0x07; // no ZMM state: AVX-512 would fault
  EXPECT_EQ(supportedVariants(w), Names{"v3"});
  w.xcr0 = 0x03; // no YMM state
  EXPECT_EQ(supportedVariants(w), Names{});
  w = everything();
  w.leaf7Sub1Eax = 0; // no BF16
  EXPECT_EQ(supportedVariants(w), (Names{"v3", "v4"}));
  w = everything();
  w.leaf7Ecx = 0; // no VBMI
  EXPECT_EQ(supportedVariants(w), (Names{"v3", "v4"}));
  for (int bit : {16, 17, 28, 30, 31}) {
    w = everything();
    w.leaf7Ebx &= ~(1u << bit);
    EXPECT_EQ(supportedVariants(w), Names{"v3"}) << bit;
  }
  for (int bit : {12, 22, 28, 29}) {
    w = everything();
    w.leaf1Ecx &= ~(1u << bit);
    EXPECT_EQ(supportedVariants(w), Names{}) << bit;
  }
}

TEST(CpuVariant, CanBeLimitedButNotRaised) {
  auto limited = usableVariants(everything(), "v4");
  ASSERT_TRUE(limited.ok());
  EXPECT_EQ(*limited, (Names{"v3", "v4"}));
  CpuidWords w = everything();
  w.xcr0 = 0x07;
  Status refused = usableVariants(w, "v4").status();
  EXPECT_EQ(refused.code(), 5007);
  EXPECT_NE(refused.message().find("this CPU does not run"),
            std::string::npos);
  Status unknown = usableVariants(w, "v5").status();
  EXPECT_EQ(unknown.code(), 5007);
  EXPECT_NE(unknown.message().find("unknown variant"), std::string::npos);
  EXPECT_EQ(usableVariants(CpuidWords(), "").status().code(), 5007);
}

TEST(CpuDriver, ChoosesTheBestImageThatTheCpuRuns) {
  Names supported = supportedVariants(readCpuid());
  ASSERT_FALSE(supported.empty());
  toy::TempDir dir;
  schema::ArtifactT a = toy::model();
  for (std::string_view v : {"v4", "v4+bf16+vbmi"}) {
    a.images.push_back(std::make_unique<schema::ImageT>(*a.images[0]));
    a.images.back()->variant = v;
  }
  toy::writeFile(dir.file("m.hadal"), toy::assemble(a));
  StatusOr<Artifact> artifact = Artifact::open(dir.file("m.hadal"));
  ASSERT_TRUE(artifact.ok());
  for (std::string_view v : supported) {
    auto driver = createCpuDriver({.threads = 1, .variant = std::string(v)});
    ASSERT_TRUE(driver.ok());
    auto executable = (*driver)->load(*artifact);
    ASSERT_TRUE(executable.ok()) << executable.status().toString();
    EXPECT_EQ((*executable)->variant(), v);
  }
}

TEST(CpuDriver, AnArtifactWithoutAFittingImageIsRefused) {
  toy::TempDir dir;
  schema::ArtifactT a = toy::model();
  a.images[0]->variant = "v4+bf16+vbmi";
  toy::writeFile(dir.file("m.hadal"), toy::assemble(a));
  StatusOr<Artifact> artifact = Artifact::open(dir.file("m.hadal"));
  ASSERT_TRUE(artifact.ok());
  auto driver = createCpuDriver({.threads = 1, .variant = "v3"});
  ASSERT_TRUE(driver.ok());
  Status status = (*driver)->load(*artifact).status();
  EXPECT_EQ(status.code(), 5007);
  EXPECT_NE(status.message().find("holds images for v4+bf16+vbmi"),
            std::string::npos);
}

TEST(CpuDriver, KernelsRunWithDenormalsAndRoundToNearest) {
  toy::TempDir dir;
  schema::ArtifactT a = toy::model();
  schema::FunctionT &f = *a.functions[a.entries[0]->function];
  f.commands.clear();
  f.commands.push_back(std::make_unique<schema::CommandT>(toy::launch(
      toy::kMxcsr, 100, {toy::arg(schema::ArgKind::state, 4)})));
  toy::writeFile(dir.file("m.hadal"), toy::assemble(a));
  StatusOr<Artifact> artifact = Artifact::open(dir.file("m.hadal"));
  ASSERT_TRUE(artifact.ok());
  auto driver = createCpuDriver({.threads = 2, .variant = "v3"});
  ASSERT_TRUE(driver.ok());
  auto executable = (*driver)->load(*artifact);
  ASSERT_TRUE(executable.ok());
  std::vector<int64_t> out(100);
  Bindings bindings;
  bindings.parameters.resize(3);
  bindings.states.assign(5, reinterpret_cast<DeviceAddress>(out.data()));
  auto entry = (*executable)->prepare(0, bindings);
  ASSERT_TRUE(entry.ok());
  ASSERT_TRUE((*entry)->run().ok());
  EXPECT_EQ(out, std::vector<int64_t>(100, 0x1f80));
}

TEST(CpuDriver, SessionsAreCreatedBySeveralThreads) {
  toy::TempDir dir;
  toy::writeFile(dir.file("m.hadal"), toy::assemble(toy::model()));
  toy::writeWeights(dir.path());
  auto model = Model::load(
      std::move(*createCpuDriver({.threads = 2, .variant = "v3"})),
      {.artifactPath = dir.file("m.hadal"),
       .weightsDirectory = dir.path(),
       .quiet = true});
  ASSERT_TRUE(model.ok()) << model.status().toString();
  toy::expectSessionsFromThreads(**model);
}

/// Code that were mapped from the file would change with it, and run.
TEST(CpuDriver, CodeIsNotThatOfTheFileAfterItWasLoaded) {
  toy::TempDir dir;
  const std::vector<uint8_t> bytes = toy::assemble(toy::model());
  toy::writeFile(dir.file("m.hadal"), bytes);
  toy::writeWeights(dir.path());
  StatusOr<Artifact> artifact = Artifact::open(dir.file("m.hadal"));
  ASSERT_TRUE(artifact.ok()) << artifact.status().toString();
  const std::vector<uint8_t> code(artifact->blob(0).begin(),
                                  artifact->blob(0).end());
  auto position =
      std::search(bytes.begin(), bytes.end(), code.begin(), code.end());
  ASSERT_NE(position, bytes.end());
  auto overwrite = [&] {
    std::fstream file(dir.file("m.hadal"),
                      std::ios::in | std::ios::out | std::ios::binary);
    file.seekp(position - bytes.begin());
    file << std::string(code.size(), '\xCC'); // int3
  };
  {
    auto model = Model::load(
        std::move(*createCpuDriver({.threads = 1, .variant = "v3"})),
        std::move(*artifact),
        {.artifactPath = dir.file("m.hadal"),
         .weightsDirectory = dir.path(),
         .quiet = true});
    ASSERT_TRUE(model.ok()) << model.status().toString();
    overwrite();
    toy::expectToyLogits(**model);
  }
  // Changed between the check of the file and the load.
  toy::writeFile(dir.file("m.hadal"), bytes);
  StatusOr<Artifact> again = Artifact::open(dir.file("m.hadal"));
  ASSERT_TRUE(again.ok());
  overwrite();
  auto driver = createCpuDriver({.threads = 1, .variant = "v3"});
  StatusOr<std::unique_ptr<Executable>> loaded = (*driver)->load(*again);
  ASSERT_FALSE(loaded.ok());
  EXPECT_EQ(loaded.status().code(), 4004) << loaded.status().toString();
  EXPECT_NE(loaded.status().message().find("its code changed"),
            std::string::npos);
}
