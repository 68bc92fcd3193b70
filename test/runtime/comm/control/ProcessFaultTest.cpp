// Ranks as processes that are killed and stopped.
#include <csignal>

#include <gtest/gtest.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "test/runtime/comm/control/Ranks.h"

namespace hadal::comm {
namespace {

using namespace std::chrono_literals;
using test::in;
using test::optionsOf;
using test::TempDirectory;

/// What rank |victim| does once all have agreed for the first time.
enum class Fault { kill, stop, exit };

/// A child that writes what ended its run to |directory| and exits with the
/// error's code.
pid_t spawnRank(const TempDirectory &directory, unsigned rank, unsigned ranks,
                unsigned victim, Fault fault) {
  const pid_t child = ::fork();
  if (child != 0)
    return child;
  auto group = joinGroup(optionsOf(directory, rank, ranks));
  Status status = group.status();
  const auto deadline = in(30'000);
  if (status.ok()) {
    (*group)->report({.step = 7, .sequence = 3, .entry = "decode_4"});
    status = (*group)->exchange({}, deadline).status();
  }
  if (status.ok() && rank == victim) {
    directory.write("fault", "");
    if (fault == Fault::exit) // past ThreadSanitizer, whose _exit() takes 1 s
      ::syscall(SYS_exit_group, 3);
    ::raise(fault == Fault::kill ? SIGKILL : SIGSTOP);
  }
  if (status.ok())
    status = (*group)->exchange({}, deadline).status();
  directory.write(fmt::format("ended-{}", rank), status.message());
  if (group.ok())
    group->reset();
  ::_exit(status.exitCode());
}

void check(unsigned victim, Fault fault, std::string_view what,
           std::chrono::milliseconds limit) {
  constexpr unsigned kRanks = 3;
  TempDirectory directory;
  std::vector<pid_t> children;
  for (unsigned rank = 0; rank < kRanks; ++rank)
    children.push_back(spawnRank(directory, rank, kRanks, victim, fault));
  while (!std::filesystem::exists(directory.file("fault")))
    std::this_thread::sleep_for(1ms);
  const auto began = std::chrono::steady_clock::now();
  for (unsigned rank = 0; rank < kRanks; ++rank) {
    if (rank == victim)
      continue;
    const std::string ended = directory.file(fmt::format("ended-{}", rank));
    while (!std::filesystem::exists(ended))
      std::this_thread::sleep_for(1ms);
    EXPECT_LT(std::chrono::steady_clock::now() - began, limit);
    int status = 0;
    ::waitpid(children[rank], &status, 0);
    ASSERT_TRUE(WIFEXITED(status));
    EXPECT_EQ(WEXITSTATUS(status), 6);
    const std::string text = directory.read(fmt::format("ended-{}", rank));
    for (const std::string &part :
         {fmt::format("rank {} (host ", victim),
          fmt::format(", pid {}) {}", children[victim], what),
          std::string("waited for the agreement after collective 3 of entry "
                      "decode_4, step 7")})
      EXPECT_NE(text.find(part), std::string::npos) << text;
  }
  ::kill(children[victim], SIGKILL);
  ::waitpid(children[victim], nullptr, 0);
}

TEST(ProcessFault, AKilledRankIsNamedAtOnce) {
  check(2, Fault::kill, "is gone", 1000ms);
  check(0, Fault::kill, "is gone", 1000ms);
}

TEST(ProcessFault, AnEndedRankIsNamedAtOnce) {
  check(1, Fault::exit, "is gone", 1000ms);
}

TEST(ProcessFault, AStoppedRankIsNamedWithinTheSilence) {
  check(1, Fault::stop, "does not answer since ", 5000ms);
  check(0, Fault::stop, "does not answer since ", 5000ms);
}

TEST(ProcessFault, TheProcessEndsThoughItsThreadsHang) {
  TempDirectory directory;
  const pid_t child = ::fork();
  if (child == 0) {
    GroupOptions options = optionsOf(directory, 0, 1);
    options.exitAfter = 200ms;
    auto group = joinGroup(options);
    (*group)->fail(error(6007, "the library hangs"));
    while (true)
      ::pause();
  }
  const auto began = std::chrono::steady_clock::now();
  int status = 0;
  ::waitpid(child, &status, 0);
  EXPECT_TRUE(WIFEXITED(status));
  EXPECT_EQ(WEXITSTATUS(status), 6);
  EXPECT_LT(std::chrono::steady_clock::now() - began, 2s);
}

} // namespace
} // namespace hadal::comm
