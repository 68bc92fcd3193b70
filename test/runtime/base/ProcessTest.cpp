// Signals and the number of CPUs.
#include <csignal>
#include <thread>

#include <sched.h>
#include <unistd.h>

#include "runtime/base/CpuCount.h"
#include "runtime/base/ProcessMemory.h"
#include "runtime/base/Interrupt.h"
#include "runtime/base/OutputFile.h"
#include "test/runtime/TempDirectory.h"

using namespace hadal;
using hadal::test::TempDirectory;

namespace {

using namespace std::chrono_literals;

/// Waits as work does that looks at no flag.
[[noreturn]] void workForever() {
  while (true)
    std::this_thread::sleep_for(1s);
}

TEST(InterruptDeathTest, endsWhatDoesNotLookAtTheFlag) {
  for (int signal : {SIGINT, SIGTERM, SIGHUP}) {
    auto child = [&] {
      watchInterrupts(200ms, "tool: ");
      std::thread(workForever).detach();
      ::kill(::getpid(), signal);
      workForever();
    };
    EXPECT_EXIT(child(), testing::ExitedWithCode(130),
                "^tool: error H5016: interrupted\n$");
  }
}

TEST(InterruptDeathTest, leavesTheEndToWhoLooksAtTheFlag) {
  auto child = [] {
    watchInterrupts(60s);
    ::kill(::getpid(), SIGTERM);
    while (!interruptFlag())
      std::this_thread::sleep_for(1ms);
    std::exit(7);
  };
  EXPECT_EXIT(child(), testing::ExitedWithCode(7), "^$");
}

TEST(InterruptDeathTest, aSecondSignalEndsAtOnce) {
  auto child = [] {
    watchInterrupts(600s);
    ::kill(::getpid(), SIGINT);
    while (!interruptFlag())
      std::this_thread::sleep_for(1ms);
    ::kill(::getpid(), SIGTERM);
    workForever();
  };
  EXPECT_EXIT(child(), testing::ExitedWithCode(130), "H5016");
}

TEST(InterruptDeathTest, anIgnoredSignalStaysIgnored) {
  auto child = [] {
    ::signal(SIGINT, SIG_IGN);
    watchInterrupts(0ms);
    ::kill(::getpid(), SIGINT);
    std::this_thread::sleep_for(100ms);
    std::exit(interruptFlag() ? 8 : 0);
  };
  EXPECT_EXIT(child(), testing::ExitedWithCode(0), "^$");
}

TEST(InterruptDeathTest, undoesWhatIsRegisteredLastFirst) {
  TempDirectory directory;
  auto child = [&] {
    watchInterrupts(0ms);
    StatusOr<OutputFile> file = OutputFile::create(directory.file("out"));
    if (!file.ok() || !file->write(std::string(3 << 20, 'x')).ok() ||
        directory.numFiles() != 1)
      std::exit(9);
    auto say = [](const char *text) {
      return [text] { (void)!::write(STDERR_FILENO, text, 1); };
    };
    CleanUp first(say("1")), second(say("2")), third(say("3"));
    CleanUp moved = std::move(second);
    third.dismiss();
    ::kill(::getpid(), SIGTERM);
    workForever();
  };
  EXPECT_EXIT(child(), testing::ExitedWithCode(130), "^21error H5016");
  EXPECT_EQ(directory.numFiles(), 0u);
}

TEST(InterruptDeathTest, waitsForWhatHoldsTheLock) {
  TempDirectory directory;
  auto child = [&] {
    watchInterrupts(0ms);
    CleanUp cleanUp;
    {
      auto held = CleanUp::lock();
      directory.write("made", "x");
      ::kill(::getpid(), SIGTERM);
      std::this_thread::sleep_for(100ms);
      cleanUp = CleanUp([&] { ::unlink(directory.file("made").c_str()); });
    }
    workForever();
  };
  EXPECT_EXIT(child(), testing::ExitedWithCode(130), "H5016");
  EXPECT_EQ(directory.numFiles(), 0u);
}

TEST(InterruptDeathTest, cleansUpForOtherEnds) {
  TempDirectory directory;
  auto child = [&](bool watched) {
    if (watched)
      watchInterrupts(600s);
    StatusOr<OutputFile> file = OutputFile::create(directory.file("out"));
    endAfterCleanUp(file.ok() ? 3 : 9);
  };
  EXPECT_EXIT(child(true), testing::ExitedWithCode(3), "^$");
  EXPECT_EQ(directory.numFiles(), 0u);
  EXPECT_EXIT(child(false), testing::ExitedWithCode(3), "^$");
}

/// A tree of control groups in a directory.
struct Groups {
  TempDirectory directory;

  void write(const std::string &name, const std::string &text) {
    std::filesystem::create_directories(
        std::filesystem::path(directory.file(name)).parent_path());
    directory.write(name, text);
  }
  unsigned cpus(const std::string &membership) {
    return cgroupCpus(of(membership));
  }
  ControlGroups of(const std::string &membership) {
    return {directory.path(), directory.write("membership", membership)};
  }
};

TEST(CpuCountTest, followsControlGroupsOfVersion2) {
  Groups g;
  EXPECT_EQ(g.cpus("0::/a/b\n"), 0u) << "no group has a limit";
  g.write("a/cpu.max", "max 100000\n");
  g.write("a/b/cpu.max", "250000 100000\n");
  EXPECT_EQ(g.cpus("0::/a/b\n"), 3u) << "rounded up";
  EXPECT_EQ(g.cpus("0::/a\n"), 0u);
  g.write("cpu.max", "150000 100000\n");
  EXPECT_EQ(g.cpus("0::/a/b\n"), 2u) << "the least counts";
  EXPECT_EQ(g.cpus("0::/a\n"), 2u);
  EXPECT_EQ(g.cpus("0::/\n"), 2u);
  // Inside a container the path may be that of the host.
  EXPECT_EQ(g.cpus("0::/docker/0123/x\n"), 2u);
  g.write("cpu.max", "5000 100000\n");
  EXPECT_EQ(g.cpus("0::/\n"), 1u);
  g.write("cpu.max", "nonsense");
  EXPECT_EQ(g.cpus("0::/\n"), 0u);
  EXPECT_EQ(g.cpus("nonsense\n\n:\n"), 0u);
  EXPECT_EQ(cgroupCpus({"/none", "/none"}), 0u);
}

TEST(MemoryLimitTest, isWhatControlGroupsLeave) {
  Groups g;
  EXPECT_EQ(cgroupMemoryLeft(g.of("0::/a/b\n")), std::nullopt);
  g.write("a/b/memory.max", "max\n");
  g.write("a/b/memory.current", "70\n");
  EXPECT_EQ(cgroupMemoryLeft(g.of("0::/a/b\n")), std::nullopt);
  g.write("a/memory.max", "1000\n");
  EXPECT_EQ(cgroupMemoryLeft(g.of("0::/a/b\n")), std::nullopt)
      << "nothing says what is used";
  g.write("a/memory.current", "700\n");
  EXPECT_EQ(cgroupMemoryLeft(g.of("0::/a/b\n")), 300u);
  g.write("a/memory.stat", "anon 100\ninactive_file 250\nactive_file 350\n");
  EXPECT_EQ(cgroupMemoryLeft(g.of("0::/a/b\n")), 550u)
      << "files that nobody reads go first";
  g.write("a/b/memory.max", "80\n");
  EXPECT_EQ(cgroupMemoryLeft(g.of("0::/a/b\n")), 10u) << "the least counts";
  g.write("a/b/memory.current", "90\n");
  EXPECT_EQ(cgroupMemoryLeft(g.of("0::/a/b\n")), 0u);
  // Version 1 has a number for no limit.
  const std::string version1 = "4:memory:/c\n";
  g.write("memory/c/memory.limit_in_bytes", "9223372036854771712\n");
  g.write("memory/c/memory.usage_in_bytes", "90\n");
  EXPECT_EQ(cgroupMemoryLeft(g.of(version1)), std::nullopt);
  g.write("memory/c/memory.limit_in_bytes", "190\n");
  g.write("memory/c/memory.stat", "inactive_file 1\ntotal_inactive_file 30\n");
  EXPECT_EQ(cgroupMemoryLeft(g.of(version1)), 130u);
  auto available = readAvailableMemory(g.of(version1));
  ASSERT_TRUE(available.ok());
  EXPECT_EQ(*available, 130u);
}

TEST(CpuCountTest, followsControlGroupsOfVersion1) {
  Groups g;
  const std::string membership = "12:memory:/a\n4:cpu,cpuacct:/a/b\n0::/x\n";
  EXPECT_EQ(g.cpus(membership), 0u);
  g.write("cpu,cpuacct/a/b/cpu.cfs_quota_us", "-1\n");
  g.write("cpu,cpuacct/a/b/cpu.cfs_period_us", "100000\n");
  EXPECT_EQ(g.cpus(membership), 0u) << "-1: no limit";
  g.write("cpu,cpuacct/a/cpu.cfs_quota_us", "400000\n");
  g.write("cpu,cpuacct/a/cpu.cfs_period_us", "100000\n");
  EXPECT_EQ(g.cpus(membership), 4u);
  g.write("memory/a/cpu.cfs_quota_us", "100000\n");
  g.write("memory/a/cpu.cfs_period_us", "100000\n");
  EXPECT_EQ(g.cpus(membership), 4u) << "another controller";
  Groups container;
  container.write("cpu/cpu.cfs_quota_us", "200000\n");
  container.write("cpu/cpu.cfs_period_us", "100000\n");
  EXPECT_EQ(container.cpus(membership), 2u);
}

TEST(CpuCountTest, isTheLesserOfAffinityAndGroups) {
  Groups g;
  const std::string membership = g.directory.write("membership", "0::/\n");
  cpu_set_t before, one;
  ASSERT_EQ(sched_getaffinity(0, sizeof(before), &before), 0)
      << "this test is for machines of at most 1024 CPUs";
  const auto all = static_cast<unsigned>(CPU_COUNT(&before));
  EXPECT_EQ(affinityCpus(), all);
  EXPECT_EQ(usableCpus({"/none", "/none"}), all);
  g.write("cpu.max", "100000 100000\n");
  EXPECT_EQ(usableCpus({g.directory.path(), membership}), 1u);
  g.write("cpu.max", "99900000 100000\n");
  EXPECT_EQ(usableCpus({g.directory.path(), membership}), std::min(all, 999u));
  CPU_ZERO(&one);
  for (int cpu = 0; cpu < CPU_SETSIZE && !CPU_COUNT(&one); ++cpu)
    if (CPU_ISSET(cpu, &before))
      CPU_SET(cpu, &one);
  ASSERT_EQ(sched_setaffinity(0, sizeof(one), &one), 0);
  EXPECT_EQ(affinityCpus(), 1u);
  sched_setaffinity(0, sizeof(before), &before);
}

} // namespace
