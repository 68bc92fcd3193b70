#include "tools/common/MemoryReport.h"

#include <gtest/gtest.h>

#include "runtime/drivers/cpu/CpuDriver.h"
#include "test/runtime/session/ForwardingDriver.h"
#include "test/runtime/session/ToyModel.h"

using namespace hadal;
using testing::Test;

namespace {

/// Says that so much is free, and whether it is the host's.
class Limited : public test::ForwardingDriver {
public:
  Limited(uint64_t bytes, bool shares)
      : ForwardingDriver(std::move(
            *cpu::createCpuDriver({.threads = 1, .variant = {}}))),
        bytes(bytes), shares(shares) {}
  StatusOr<DeviceMemory> memory() override {
    return DeviceMemory{bytes, bytes};
  }
  bool sharesHostMemory() const override { return shares; }

  uint64_t bytes;
  const bool shares;
};

struct Report {
  Status status;
  std::string text;
  bool says(std::string_view part) const {
    return (text + status.message()).find(part) != std::string::npos;
  }
};

class MemoryReport : public Test {
protected:
  MemoryReport() {
    toy::writeFile(dir.file("m.hadal"), toy::assemble(toy::model()));
  }
  Report report(Driver &driver, uint32_t rows = 0, uint64_t pages = 0) {
    Report result;
    auto artifact = Artifact::open(dir.file("m.hadal"));
    EXPECT_TRUE(artifact.ok());
    result.status =
        cli::describeMemory(driver, *artifact, rows, pages, result.text);
    return result;
  }
  toy::TempDir dir;
};

} // namespace

TEST_F(MemoryReport, SaysWhatIsTakenAndWhetherItFits) {
  Limited driver(1 << 20, /*shares=*/true);
  Report all = report(driver);
  ASSERT_TRUE(all.status.ok()) << all.status.toString();
  for (const char *part : {"weights", "mapped from the checkpoint", "cache",
                           "activations", "total", "available"})
    EXPECT_TRUE(all.says(part)) << part << "\n" << all.text;
  // Fewer rows need fewer pages.
  EXPECT_TRUE(report(driver, 1).says("1 rows of at most"));
  EXPECT_NE(report(driver, 1).text, all.text);
  EXPECT_EQ(report(driver, 1 << 20).status.code(), 5005);
}

TEST_F(MemoryReport, RefusesWhatDoesNotFit) {
  Limited host(64, /*shares=*/true);
  Report small = report(host);
  EXPECT_EQ(small.status.code(), 5006);
  EXPECT_EQ(small.status.exitCode(), 4);
  EXPECT_TRUE(small.says("64 B are available"));
  EXPECT_FALSE(small.says("read weights from disk")) << "it would not run";
  // Without its weights, which are mapped, it fits.
  while (!small.status.ok() && !small.says("read weights from disk"))
    ++host.bytes, small = report(host);
  EXPECT_TRUE(small.says("read weights from disk again and again"));
  // A device has them all.
  Limited device(host.bytes, /*shares=*/false);
  Report there = report(device);
  EXPECT_EQ(there.status.code(), 5006);
  EXPECT_FALSE(there.says("from disk"));
  EXPECT_FALSE(there.says("mapped"));
}

TEST_F(MemoryReport, RanksOfAMachineShareItsMemory) {
  Limited host(1 << 20, /*shares=*/true);
  const Report alone = report(host);
  ASSERT_TRUE(alone.status.ok());
  schema::ArtifactT a = toy::model();
  a.mesh = std::make_unique<schema::MeshT>();
  a.mesh->dp = 4;
  a.mesh->slots = toy::kExperts;
  toy::writeFile(dir.file("m.hadal"), toy::assemble(a));
  while (report(host).status.ok())
    host.bytes = host.bytes * 15 / 16;
  EXPECT_TRUE(report(host).says("for each of 4 ranks"));
  toy::writeFile(dir.file("m.hadal"), toy::assemble(toy::model()));
  EXPECT_TRUE(report(host).status.ok());
}
