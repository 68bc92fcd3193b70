#include "tools/common/CheckEnvironment.h"

#include <cstdio>
#include <numeric>

#include <arpa/inet.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netinet/in.h>
#include <unistd.h>

#include "runtime/comm/Printable.h"

namespace hadal::cli {

namespace {

/// "eth0 10.0.0.3, ib0 10.1.0.3": those that other machines may reach.
std::string interfaces() {
  std::string text;
  ifaddrs *first = nullptr;
  if (::getifaddrs(&first) != 0)
    return "unknown";
  for (const ifaddrs *at = first; at; at = at->ifa_next) {
    if (!at->ifa_addr || at->ifa_addr->sa_family != AF_INET ||
        !(at->ifa_flags & IFF_UP) || at->ifa_flags & IFF_LOOPBACK)
      continue;
    char address[INET_ADDRSTRLEN] = {};
    ::inet_ntop(AF_INET,
                &reinterpret_cast<const sockaddr_in *>(at->ifa_addr)->sin_addr,
                address, sizeof(address));
    text +=
        fmt::format("{}{} {}", text.empty() ? "" : ", ", at->ifa_name, address);
  }
  ::freeifaddrs(first);
  return text.empty() ? "none but the loopback" : text;
}

std::string describeRank(unsigned rank, const std::string &library) {
  char host[256] = {};
  if (::gethostname(host, sizeof(host) - 1) != 0)
    host[0] = '?';
  return fmt::format("rank {}: host {}, pid {}, interfaces: {}; {}", rank, host,
                     ::getpid(), interfaces(), library);
}

} // namespace

uint8_t checkByte(unsigned from, unsigned to, int round) {
  return static_cast<uint8_t>(from * 16 + to + static_cast<unsigned>(round));
}

StatusOr<std::vector<std::string>>
describeRanks(comm::Group &group, const std::string &library,
              std::chrono::milliseconds timeout) {
  const std::string mine = describeRank(group.rank(), library);
  HADAL_ASSIGN_OR_RETURN(
      auto lines,
      group.exchange(
          {reinterpret_cast<const uint8_t *>(mine.data()), mine.size()},
          std::chrono::steady_clock::now() + timeout));
  std::vector<std::string> result;
  for (const std::vector<uint8_t> &line : lines)
    result.push_back(comm::printable(
        {reinterpret_cast<const char *>(line.data()), line.size()}));
  return result;
}

void printCheck(const std::vector<std::string> &ranks,
                std::chrono::duration<double> best, const char *how) {
  for (const std::string &line : ranks)
    fmt::print(stderr, "{}\n", line);
  fmt::print(stderr,
             "all_to_all of 1 MiB between each two of {} ranks{}: {:.2f} ms "
             "(best of {}), {:.2f} GB/s sent by a rank\n",
             ranks.size(), how, best.count() * 1e3, kCheckRounds,
             static_cast<double>(kCheckBytes * (ranks.size() - 1)) /
                 best.count() / 1e9);
}

Status checkEnvironment(comm::Group &group, const std::string &library,
                        std::chrono::milliseconds timeout) {
  using Clock = std::chrono::steady_clock;
  HADAL_ASSIGN_OR_RETURN(auto lines, describeRanks(group, library, timeout));
  std::vector<unsigned> members(group.size());
  std::iota(members.begin(), members.end(), 0u);
  HADAL_ASSIGN_OR_RETURN(auto all, group.create("check-env", members));
  std::vector<uint8_t> send(kCheckBytes * group.size()), received(send.size());
  std::chrono::duration<double> best{1e9};
  for (int round = 0; round < kCheckRounds; ++round) {
    comm::Operation operation;
    operation.sequence = static_cast<uint64_t>(round);
    operation.label = "check-env";
    operation.parts.push_back(
        {.send = reinterpret_cast<comm::Address>(send.data()),
         .receive = reinterpret_cast<comm::Address>(received.data()),
         .rows = 1,
         .rowBytes = kCheckBytes});
    for (unsigned to = 0; to < group.size(); ++to)
      send[to * kCheckBytes] = checkByte(group.rank(), to, round);
    const Clock::time_point begin = Clock::now();
    HADAL_RETURN_IF_ERROR(all->run(operation, begin + timeout));
    best = std::min<std::chrono::duration<double>>(best, Clock::now() - begin);
    for (unsigned from = 0; from < group.size(); ++from)
      if (received[from * kCheckBytes] != checkByte(from, group.rank(), round))
        return error(6007, "rank {} received wrong bytes from rank {}",
                     group.rank(), from);
  }
  if (group.rank() == 0)
    printCheck(lines, best, "");
  return {};
}

} // namespace hadal::cli
