// What a service manager is told: sd_notify(3)'s protocol, without its library.
#pragma once

#include <chrono>
#include <optional>
#include <string>

namespace hadal::serve {

/// Lines such as "READY=1" to the socket that NOTIFY_SOCKET names. Without the
/// variable nothing is sent; what cannot be sent is lost, as sd_notify's is.
class Notify {
public:
  /// Reads the environment and takes the variables out of it, so that nobody
  /// whom this process starts speaks for it.
  Notify();
  ~Notify();
  Notify(const Notify &) = delete;
  Notify &operator=(const Notify &) = delete;

  /// From any thread.
  void send(const std::string &lines) const;
  /// How often the manager wants "WATCHDOG=1" at least (WATCHDOG_USEC, where
  /// WATCHDOG_PID is this process or not set); nothing: never.
  std::optional<std::chrono::microseconds> watchdog() const {
    return watchdog_;
  }

private:
  int socket_ = -1;
  std::string address_; ///< of sun_path, with a leading 0 if abstract
  std::optional<std::chrono::microseconds> watchdog_;
};

} // namespace hadal::serve
