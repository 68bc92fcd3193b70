#include "runtime/comm/control/Connection.h"

#include <cerrno>

#include <sys/socket.h>

namespace hadal::comm {

namespace {
/// Most bytes taken at a time: one peer may not keep the others waiting.
constexpr size_t kAtOnce = 4 * kMaxPayload;
} // namespace

void Connection::send(const FrameHeader &header,
                      std::span<const uint8_t> payload) {
  if (!open())
    return;
  append(out_, header, payload);
  flush();
}

void Connection::flush() {
  while (open() && pending()) {
    ssize_t n = ::send(fd(), out_.data() + sent_, out_.size() - sent_,
                       MSG_NOSIGNAL | MSG_DONTWAIT);
    if (n < 0 && errno == EINTR)
      continue;
    if (n < 0 && errno == EAGAIN)
      return;
    if (n < 0) // lost; what it cannot have is dropped
      break;
    sent_ += static_cast<size_t>(n);
  }
  out_.clear();
  sent_ = 0;
}

bool Connection::receive() {
  std::array<uint8_t, 16 * 1024> bytes;
  for (size_t taken = 0; taken < kAtOnce;) {
    ssize_t n = ::recv(fd(), bytes.data(), bytes.size(), MSG_DONTWAIT);
    if (n < 0 && errno == EINTR)
      continue;
    if (n < 0 && errno == EAGAIN)
      return true;
    if (n <= 0)
      return false;
    reader_.push({bytes.data(), static_cast<size_t>(n)});
    taken += static_cast<size_t>(n);
  }
  return true;
}

} // namespace hadal::comm
