// TCP as the control plane uses it: sockets that never block and that no child
// process inherits, and where rank 0 is met.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

#include "runtime/base/Status.h"

namespace hadal::comm {

/// A file descriptor, closed at its end.
class Descriptor {
public:
  Descriptor() = default;
  explicit Descriptor(int fd) : fd_(fd) {}
  Descriptor(Descriptor &&other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Descriptor &operator=(Descriptor &&other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }
  ~Descriptor() { close(); }
  void close();
  int get() const { return fd_; }
  explicit operator bool() const { return fd_ >= 0; }

private:
  int fd_ = -1;
};

/// host:port, or file:PATH, a file that holds it: rank 0 listens on a free port
/// of 127.0.0.1 and writes it there.
struct Rendezvous {
  std::string host;
  uint16_t port = 0;
  std::string file; ///< empty: none

  /// H5011 for any other form.
  static StatusOr<Rendezvous> parse(std::string_view text);
  /// As it was given.
  std::string text() const;
};

struct Listener {
  Descriptor socket;
  uint16_t port = 0;
};

/// Listens on |host|, an address or name of this machine. Port 0: a free one.
/// H6002 if it is in use or not ours, or if nobody has resolved it by
/// |deadline|.
StatusOr<Listener> listenAt(const std::string &host, uint16_t port,
                            const std::string &text,
                            std::chrono::steady_clock::time_point deadline);

/// A connection to |host|; what failed in the message, for the caller to say
/// where and how long. Waits for the name until |deadline|, and then for the
/// connection |milliseconds| at most.
StatusOr<Descriptor>
connectTo(const std::string &host, uint16_t port, int milliseconds,
          std::chrono::steady_clock::time_point deadline);

} // namespace hadal::comm
