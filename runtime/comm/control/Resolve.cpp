#include "runtime/comm/control/Resolve.h"

#include <cerrno>
#include <cstring>
#include <future>
#include <thread>

#include <sys/socket.h>

namespace hadal::comm {

namespace {

struct Found {
  int failure = 0, systemError = 0;
  AddressList addresses{nullptr, &::freeaddrinfo};
};

} // namespace

StatusOr<AddressList> resolve(const std::string &host, uint16_t port,
                              bool passive,
                              std::chrono::steady_clock::time_point deadline,
                              const Lookup &lookup) {
  auto get = [host, lookup, passive, service = std::to_string(port)] {
    addrinfo hints = {};
    hints.ai_socktype = SOCK_STREAM;
    hints.ai_flags = AI_NUMERICSERV | (passive ? AI_PASSIVE : 0);
    addrinfo *list = nullptr;
    Found found;
    found.failure = lookup.get(host.c_str(), service.c_str(), &hints, &list);
    found.systemError = errno;
    if (!found.failure)
      found.addresses = AddressList(list, lookup.free);
    return found;
  };
  // The thread owns all that it uses: it may outlive the call.
  std::packaged_task<Found()> task(get);
  std::future<Found> result = task.get_future();
  std::thread(std::move(task)).detach();
  if (result.wait_until(deadline) != std::future_status::ready)
    return error(6002,
                 "no name server has answered for '{}'; give an address, "
                 "or look at the network's name servers",
                 host);
  Found found = result.get();
  if (found.failure)
    return error(6002, "{}",
                 found.failure == EAI_SYSTEM ? std::strerror(found.systemError)
                                             : ::gai_strerror(found.failure));
  return std::move(found.addresses);
}

} // namespace hadal::comm
