// HTTP as the rest of the server sees it: requests that are whole and within
// their limits, answers, and streams. Everything here happens on the server's
// I/O thread.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace hadal::serve {

struct HttpRequest {
  std::string method; ///< "POST"
  std::string path;   ///< of the target, without the query
  /// By name in lower case; of a repeated field the last one.
  std::map<std::string, std::string, std::less<>> headers;
  std::string body;
  /// X-Request-Id of the client where it is 1 to 64 of [A-Za-z0-9._-], else one
  /// of ours; every answer carries it.
  std::string id;

  std::string_view header(std::string_view name) const {
    auto at = headers.find(name);
    return at == headers.end() ? std::string_view() : at->second;
  }
};

struct HttpResponse {
  unsigned status = 200;
  std::string type = "application/json";
  std::string body;
  std::vector<std::pair<std::string, std::string>> headers;
};

/// One request's answer: respond() once, or beginStream(), any number of
/// send(), and end(). After either, or once the client has gone, all calls do
/// nothing.
class Exchange {
public:
  virtual ~Exchange() = default;
  virtual void respond(HttpResponse response) = 0;
  /// |head| without a body.
  virtual void beginStream(const HttpResponse &head) = 0;
  /// Writes |bytes|; not while busy().
  virtual void send(std::string bytes) = 0;
  virtual void end() = 0;
  /// A write is under way; onWritten comes behind it.
  virtual bool busy() const = 0;

  /// Set by the handler. onGone: the client has closed the connection, or took
  /// nothing for the write timeout.
  std::function<void()> onWritten, onGone;
};

class HttpHandler {
public:
  virtual ~HttpHandler() = default;
  /// An answer by the head alone (method, path, headers), before a body is
  /// read: unknown paths, missing keys. Nothing: go on.
  virtual std::optional<HttpResponse> refuse(const HttpRequest &head) = 0;
  virtual void handle(HttpRequest request,
                      std::shared_ptr<Exchange> exchange) = 0;
  /// The answer to what is no usable request, with |status| and |message|.
  virtual HttpResponse describe(unsigned status,
                                const std::string &message) = 0;
};

} // namespace hadal::serve
