#include "runtime/comm/control/Socket.h"

#include "runtime/comm/control/Resolve.h"

#include <cerrno>
#include <charconv>
#include <cstring>

#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

namespace hadal::comm {

namespace {

void setOption(int fd, int level, int name) {
  const int on = 1;
  // A kernel without it is slower, no more.
  (void)::setsockopt(fd, level, name, &on, sizeof(on));
}

} // namespace

void Descriptor::close() {
  if (fd_ >= 0)
    ::close(std::exchange(fd_, -1));
}

StatusOr<Rendezvous> Rendezvous::parse(std::string_view text) {
  Rendezvous result;
  constexpr std::string_view kFile = "file:";
  if (text.starts_with(kFile) && text.size() > kFile.size()) {
    result.file = text.substr(kFile.size());
    result.host = "127.0.0.1";
    return result;
  }
  std::string_view host = text, port;
  if (size_t colon = text.rfind(':'); colon != text.npos) {
    host = text.substr(0, colon);
    port = text.substr(colon + 1);
  }
  if (host.size() > 2 && host.front() == '[' && host.back() == ']') // IPv6
    host = host.substr(1, host.size() - 2);
  auto [end, failure] =
      std::from_chars(port.data(), port.data() + port.size(), result.port);
  if (host.empty() || failure != std::errc() ||
      end != port.data() + port.size() || result.port == 0)
    return error(5011,
                 "'{}' is no place to meet: expected host:port with a port "
                 "from 1 to 65535, or file:PATH",
                 text);
  result.host = host;
  return result;
}

std::string Rendezvous::text() const {
  return file.empty() ? fmt::format("{}:{}", host, port) : "file:" + file;
}

StatusOr<Listener> listenAt(const std::string &host, uint16_t port,
                            const std::string &text,
                            std::chrono::steady_clock::time_point deadline) {
  auto failed = [&](const std::string &why) {
    return error(6002, "rank 0 cannot listen at {}: {}", text, why);
  };
  auto addresses = resolve(host, port, true, deadline);
  if (!addresses.ok())
    return failed(addresses.status().message() +
                  "; --rendezvous names the host of rank 0");
  Listener listener;
  const addrinfo &address = **addresses;
  listener.socket = Descriptor(::socket(
      address.ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  const int fd = listener.socket.get();
  if (fd < 0)
    return failed(std::strerror(errno));
  setOption(fd, SOL_SOCKET, SO_REUSEADDR);
  if (::bind(fd, address.ai_addr, address.ai_addrlen) != 0 ||
      ::listen(fd, SOMAXCONN) != 0) {
    if (errno == EADDRINUSE)
      return failed("the port is in use, perhaps by another run; give another "
                    "one with --rendezvous host:port");
    if (errno == EADDRNOTAVAIL)
      return failed("the address is not of this machine; --rendezvous names "
                    "the host of rank 0");
    return failed(std::strerror(errno));
  }
  sockaddr_storage bound = {};
  socklen_t size = sizeof(bound);
  if (::getsockname(fd, reinterpret_cast<sockaddr *>(&bound), &size) != 0)
    return failed(std::strerror(errno));
  listener.port = ntohs(bound.ss_family == AF_INET6
                            ? reinterpret_cast<sockaddr_in6 &>(bound).sin6_port
                            : reinterpret_cast<sockaddr_in &>(bound).sin_port);
  return listener;
}

StatusOr<Descriptor>
connectTo(const std::string &host, uint16_t port, int milliseconds,
          std::chrono::steady_clock::time_point deadline) {
  HADAL_ASSIGN_OR_RETURN(AddressList addresses,
                         resolve(host, port, false, deadline));
  int reason = ECONNREFUSED;
  for (addrinfo *at = addresses.get(); at; at = at->ai_next) {
    Descriptor socket(
        ::socket(at->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    if (!socket) {
      reason = errno;
      continue;
    }
    setOption(socket.get(), IPPROTO_TCP, TCP_NODELAY);
    reason = 0;
    if (::connect(socket.get(), at->ai_addr, at->ai_addrlen) != 0) {
      reason = errno;
      if (reason == EINPROGRESS) {
        pollfd event = {socket.get(), POLLOUT, 0};
        socklen_t size = sizeof(reason);
        reason = ETIMEDOUT;
        if (::poll(&event, 1, milliseconds) > 0)
          ::getsockopt(socket.get(), SOL_SOCKET, SO_ERROR, &reason, &size);
      }
    }
    if (reason == 0)
      return socket;
  }
  return error(6002, "{}", std::strerror(reason));
}

} // namespace hadal::comm
