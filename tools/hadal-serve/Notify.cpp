#include "tools/hadal-serve/Notify.h"

#include <charconv>
#include <cstdlib>
#include <cstring>

#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

namespace hadal::serve {

namespace {

std::string take(const char *name) {
  const char *value = std::getenv(name);
  std::string text = value ? value : "";
  ::unsetenv(name);
  return text;
}

std::optional<uint64_t> number(const std::string &text) {
  uint64_t value = 0;
  const char *end = text.data() + text.size();
  auto [at, failure] = std::from_chars(text.data(), end, value);
  return failure == std::errc() && at == end ? std::optional(value)
                                             : std::nullopt;
}

} // namespace

Notify::Notify() {
  const std::string path = take("NOTIFY_SOCKET");
  const std::optional<uint64_t> every = number(take("WATCHDOG_USEC"));
  const std::string process = take("WATCHDOG_PID");
  if (path.size() < 2 || path.size() >= sizeof(sockaddr_un::sun_path) ||
      (path[0] != '/' && path[0] != '@'))
    return;
  socket_ = ::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  address_ = path;
  if (path[0] == '@')
    address_[0] = '\0';
  if (every && *every &&
      (process.empty() || number(process) == uint64_t(::getpid())))
    watchdog_ = std::chrono::microseconds(*every);
}

Notify::~Notify() {
  if (socket_ >= 0)
    ::close(socket_);
}

void Notify::send(const std::string &lines) const {
  if (socket_ < 0)
    return;
  sockaddr_un to = {};
  to.sun_family = AF_UNIX;
  std::memcpy(to.sun_path, address_.data(), address_.size());
  (void)::sendto(socket_, lines.data(), lines.size(), MSG_NOSIGNAL,
                 reinterpret_cast<const sockaddr *>(&to),
                 static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) +
                                        address_.size()));
}

} // namespace hadal::serve
