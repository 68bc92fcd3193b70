// Names of hosts, looked up in time.
#pragma once

#include <chrono>
#include <memory>
#include <string>

#include <netdb.h>

#include "runtime/base/Status.h"

namespace hadal::comm {

using AddressList = std::unique_ptr<addrinfo, decltype(&::freeaddrinfo)>;

/// What getaddrinfo() does, and how to free what it gives.
struct Lookup {
  decltype(&::getaddrinfo) get = &::getaddrinfo;
  decltype(&::freeaddrinfo) free = &::freeaddrinfo;
};

/// The addresses of |host| for a socket with |port|, |passive| to listen. H6002
/// with the reason, also if no name server has answered by |deadline|: then the
/// look-up, which nothing can interrupt, goes on in a thread that nobody waits
/// for.
StatusOr<AddressList> resolve(const std::string &host, uint16_t port,
                              bool passive,
                              std::chrono::steady_clock::time_point deadline,
                              const Lookup &lookup = {});

} // namespace hadal::comm
