// HTTP/1.1 over TCP: the limits that keep a client from taking more than its
// share, and nothing else.
#pragma once

#include <chrono>
#include <cstdint>

#include "runtime/base/Status.h"
#include "runtime/serve/Http.h"

namespace hadal::serve {

struct HttpOptions {
  std::string host = "127.0.0.1"; ///< an address
  uint16_t port = 8000;           ///< 0: any that is free
  uint64_t maxHeaderBytes = 16 << 10;
  uint64_t maxBodyBytes = 4 << 20;
  uint32_t maxConnections = 256;
  std::chrono::milliseconds headerTimeout = std::chrono::seconds(10);
  std::chrono::milliseconds bodyTimeout = std::chrono::seconds(30);
  /// A connection without a request.
  std::chrono::milliseconds idleTimeout = std::chrono::seconds(60);
  /// A client that takes nothing of what is written to it.
  std::chrono::milliseconds writeTimeout = std::chrono::seconds(30);
};

/// Refused, each with a status: a header or body beyond its limit (431, 413) or
/// too slow (408), a body without exactly one Content-Length (411), any
/// Transfer-Encoding (400: a proxy in front and this server must not be able to
/// disagree about where a request ends), HTTP/1.1 without exactly one Host
/// (400), anything that is no HTTP (400). What a client sends behind a request
/// whose answer is under way waits.
class HttpServer {
public:
  /// Listens. H5027 where the address cannot be had.
  static StatusOr<std::unique_ptr<HttpServer>> create(const HttpOptions &options,
                                                      HttpHandler &handler);
  virtual ~HttpServer() = default;

  virtual uint16_t port() const = 0;
  virtual uint32_t connections() const = 0;
  /// Serves until stop(), on this thread.
  virtual void run() = 0;

  // From any thread.

  /// Calls |work| on the I/O thread.
  virtual void post(std::function<void()> work) = 0;
  /// The same after |delay|.
  virtual void postAfter(std::chrono::milliseconds delay,
                         std::function<void()> work) = 0;
  /// Takes no more connections, nor requests on those that are there.
  virtual void stopAccepting() = 0;
  /// run() returns.
  virtual void stop() = 0;
};

} // namespace hadal::serve
