// The one file that knows the HTTP library: it is slow to compile.
#include "runtime/serve/HttpServer.h"

#include <atomic>
#include <random>

#include <boost/asio.hpp>
#include <boost/beast/core.hpp>
#include <boost/beast/http.hpp>

namespace hadal::serve {

namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = beast::http;
using Tcp = asio::ip::tcp;
using Code = boost::system::error_code;

class Server;

bool isRequestId(std::string_view text) {
  return !text.empty() && text.size() <= 64 &&
         text.find_first_not_of("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrst"
                                "uvwxyz0123456789._-") == std::string_view::npos;
}

/// One connection and the requests that come over it one after the other.
class Connection : public std::enable_shared_from_this<Connection> {
public:
  Connection(Server &server, Tcp::socket socket);
  ~Connection();

  void start() { readRequest(); }
  /// Closes it unless an answer is under way; then behind that.
  void retire();
  /// Closes it, and tells nobody.
  void abandon();

private:
  class Answer;
  using Parser = http::request_parser<http::string_body>;

  void readRequest();
  void readHead();
  void onHead(Code code);
  void onBody(Code code);
  /// What is wrong with the head of a request, if anything.
  std::optional<std::pair<unsigned, std::string>> faultOf() const;
  void refuse(unsigned status, const std::string &message);
  void handle();
  void watchForEnd();
  void writeText(std::string text, std::function<void()> then);
  void write(HttpResponse response, bool close);
  void finishAnswer(bool close);
  void linger();
  void discard();
  void gone();
  /// Whatever happens within |limit| disarms it; else |expired|.
  void arm(std::chrono::milliseconds limit, std::function<void()> expired);
  void disarm() { ++armed_; }
  void close();
  std::string headOf(const HttpResponse &response) const;

  Server &server_;
  Tcp::socket socket_;
  asio::steady_timer timer_;
  uint64_t armed_ = 0;
  beast::flat_buffer buffer_;
  std::optional<Parser> parser_;
  HttpRequest request_;
  std::shared_ptr<Answer> answer_;
  std::string writing_, discarded_;
  bool keepAlive_ = false, http10_ = false, timedOut_ = false, closed_ = false,
       retired_ = false;
};

class Server final : public HttpServer {
public:
  Server(const HttpOptions &options, HttpHandler &handler)
      : options(options), handler(handler) {}

  Status listen() {
    Code code;
    const auto address = asio::ip::make_address(options.host, code);
    if (code)
      return error(5027, "cannot serve on '{}': {}; --host takes an IPv4 or "
                         "IPv6 address, 0.0.0.0 for all",
                   options.host, code.message());
    const Tcp::endpoint at(address, options.port);
    acceptor.open(at.protocol(), code);
    if (!code)
      acceptor.set_option(Tcp::acceptor::reuse_address(true), code);
    if (!code)
      acceptor.bind(at, code);
    if (!code)
      acceptor.listen(asio::socket_base::max_listen_connections, code);
    if (code)
      return error(5027, "cannot serve on {} port {}: {}; --port names another",
                   options.host, options.port, code.message());
    listening = acceptor.local_endpoint(code).port();
    accept();
    return {};
  }

  ~Server() override {
    std::vector<std::shared_ptr<Connection>> left;
    for (const auto &[raw, connection] : all)
      if (auto held = connection.lock())
        left.push_back(std::move(held));
    for (const auto &connection : left)
      connection->abandon();
  }

  uint16_t port() const override { return listening; }
  uint32_t connections() const override { return open; }
  void run() override {
    auto work = asio::make_work_guard(io);
    io.run();
  }
  void post(std::function<void()> work) override {
    asio::post(io, std::move(work));
  }
  void postAfter(std::chrono::milliseconds delay,
                 std::function<void()> work) override {
    post([this, delay, work = std::move(work)]() mutable {
      auto timer = std::make_shared<asio::steady_timer>(io, delay);
      timer->async_wait([timer, work = std::move(work)](Code code) {
        if (!code)
          work();
      });
    });
  }
  void stopAccepting() override {
    post([this] {
      Code ignored;
      acceptor.close(ignored);
      accepting = false;
      for (auto it = all.begin(); it != all.end();) {
        // retire() may take it out of the list.
        auto connection = (it++)->second.lock();
        if (connection)
          connection->retire();
      }
    });
  }
  void stop() override { io.stop(); }

  std::string newId() {
    return fmt::format("{:016x}{:016x}", random(), random());
  }

  const HttpOptions options;
  HttpHandler &handler;
  // Connections, which the handlers in `io` keep alive, take themselves out of
  // these: they are destroyed after it.
  std::map<Connection *, std::weak_ptr<Connection>> all;
  std::atomic<uint32_t> open{0};
  asio::io_context io{1};
  Tcp::acceptor acceptor{io};
  bool accepting = true;

private:
  void accept() {
    acceptor.async_accept([this](Code code, Tcp::socket socket) {
      if (!accepting)
        return;
      if (code) {
        // Out of descriptors: the connections there are give some back.
        auto timer = std::make_shared<asio::steady_timer>(
            io, std::chrono::milliseconds(100));
        timer->async_wait([this, timer](Code) { accept(); });
        return;
      }
      if (open < options.maxConnections) {
        Code ignored;
        socket.set_option(Tcp::no_delay(true), ignored);
        auto connection = std::make_shared<Connection>(*this, std::move(socket));
        all.emplace(connection.get(), connection);
        connection->start();
      } // else the socket closes here
      accept();
    });
  }

  uint16_t listening = 0;
  std::mt19937_64 random{std::random_device{}()};
};

/// Refers to its connection as long as the answer is that one's.
class Connection::Answer final : public Exchange {
public:
  explicit Answer(std::shared_ptr<Connection> connection)
      : connection(std::move(connection)) {}

  void respond(HttpResponse response) override {
    if (!connection)
      return;
    auto target = std::move(connection);
    target->write(std::move(response), false);
  }
  void beginStream(const HttpResponse &head) override {
    if (!connection)
      return;
    isChunked = !connection->http10_;
    begin(connection->headOf(head) +
          (isChunked ? "Transfer-Encoding: chunked\r\n" : "") + "\r\n");
  }
  void send(std::string bytes) override {
    if (!connection || bytes.empty())
      return;
    begin(isChunked ? fmt::format("{:x}\r\n{}\r\n", bytes.size(), bytes)
                    : std::move(bytes));
  }
  void end() override {
    if (!connection)
      return;
    if (isBusy) {
      isEnding = true;
      return;
    }
    auto target = std::move(connection);
    if (!isChunked)
      return target->finishAnswer(/*close=*/true);
    target->writeText("0\r\n\r\n",
                      [target] { target->finishAnswer(/*close=*/false); });
  }
  bool busy() const override { return isBusy; }

  /// The client has gone.
  void detach() {
    connection.reset();
    isBusy = false;
    if (onGone)
      std::exchange(onGone, nullptr)();
  }

private:
  void begin(std::string text) {
    isBusy = true;
    auto self = std::static_pointer_cast<Answer>(connection->answer_);
    connection->writeText(std::move(text), [self] {
      self->isBusy = false;
      if (self->isEnding)
        self->end();
      else if (self->onWritten)
        self->onWritten();
    });
  }

  std::shared_ptr<Connection> connection;
  bool isChunked = true, isBusy = false, isEnding = false;
};

void Connection::abandon() {
  close();
  // It holds this connection.
  if (answer_)
    answer_->onGone = answer_->onWritten = nullptr;
  gone();
}

Connection::Connection(Server &server, Tcp::socket socket)
    : server_(server), socket_(std::move(socket)), timer_(server.io),
      buffer_(server.options.maxHeaderBytes + (64 << 10)) {
  ++server_.open;
}

Connection::~Connection() {
  --server_.open;
  server_.all.erase(this);
}

void Connection::arm(std::chrono::milliseconds limit,
                     std::function<void()> expired) {
  timer_.expires_after(limit);
  timer_.async_wait([self = shared_from_this(), number = ++armed_,
                     expired = std::move(expired)](Code code) {
    if (!code && number == self->armed_)
      expired();
  });
}

void Connection::close() {
  disarm();
  Code ignored;
  timer_.cancel();
  if (!closed_)
    socket_.shutdown(Tcp::socket::shutdown_both, ignored);
  socket_.close(ignored);
  closed_ = true;
}

void Connection::retire() {
  retired_ = true;
  if (!answer_)
    close();
}

void Connection::readRequest() {
  if (retired_)
    return close();
  request_ = {};
  timedOut_ = false;
  parser_.emplace();
  parser_->header_limit(static_cast<uint32_t>(server_.options.maxHeaderBytes));
  parser_->body_limit(server_.options.maxBodyBytes);
  if (buffer_.size())
    return readHead();
  arm(server_.options.idleTimeout,
      [self = shared_from_this()] { self->close(); });
  socket_.async_wait(Tcp::socket::wait_read,
                     [self = shared_from_this()](Code code) {
                       if (code || self->closed_)
                         return self->close();
                       self->readHead();
                     });
}

void Connection::readHead() {
  arm(server_.options.headerTimeout, [self = shared_from_this()] {
    self->timedOut_ = true;
    Code ignored;
    self->socket_.cancel(ignored);
  });
  http::async_read_header(
      socket_, buffer_, *parser_,
      [self = shared_from_this()](Code code, size_t) { self->onHead(code); });
}

std::optional<std::pair<unsigned, std::string>> Connection::faultOf() const {
  const auto &message = parser_->get();
  if (message.count(http::field::transfer_encoding))
    return std::pair(400u, "Transfer-Encoding is not taken; send the body with "
                           "one Content-Length");
  const auto lengths = message.count(http::field::content_length);
  if (lengths > 1)
    return std::pair(400u, "more than one Content-Length");
  // The library also takes a list of equal numbers, which a proxy may read
  // otherwise.
  const auto length = message[http::field::content_length];
  if (length.find_first_not_of("0123456789") != length.npos)
    return std::pair(400u, "a Content-Length that is no number");
  if (message.method() == http::verb::post && !lengths)
    return std::pair(411u, "a POST needs a Content-Length");
  const auto hosts = message.count(http::field::host);
  if (hosts > 1 || (message.version() == 11 && !hosts))
    return std::pair(400u, "a request has one Host, this one " +
                               std::to_string(hosts));
  if (message.version() != 10 && message.version() != 11)
    return std::pair(505u, "HTTP/1.0 and HTTP/1.1 are spoken");
  if (auto length = parser_->content_length();
      length && *length > server_.options.maxBodyBytes)
    return std::pair(413u, fmt::format("a body of {} bytes, the limit is {}",
                                       *length, server_.options.maxBodyBytes));
  return std::nullopt;
}

void Connection::onHead(Code code) {
  if (closed_)
    return;
  if (timedOut_)
    return refuse(408, fmt::format("no whole header within {} s",
                                   server_.options.headerTimeout.count() / 1000));
  if (code == http::error::header_limit || code == http::error::buffer_overflow)
    return refuse(431, fmt::format("the header is larger than {} bytes",
                                   server_.options.maxHeaderBytes));
  if (code == http::error::body_limit)
    return refuse(413, fmt::format("the body is larger than {} bytes",
                                   server_.options.maxBodyBytes));
  if (code == http::error::end_of_stream || code == asio::error::eof ||
      code == asio::error::connection_reset)
    return close();
  if (code)
    return refuse(400, "no HTTP request: " + code.message());

  const auto &message = parser_->get();
  request_.method = std::string(message.method_string());
  const std::string_view target(message.target().data(),
                                message.target().size());
  request_.path = std::string(target.substr(0, target.find('?')));
  for (const auto &field : message) {
    std::string name(field.name_string());
    for (char &c : name)
      c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
    request_.headers[name] = std::string(field.value());
  }
  const std::string_view id = request_.header("x-request-id");
  request_.id = isRequestId(id) ? std::string(id) : server_.newId();
  http10_ = message.version() == 10;
  keepAlive_ = message.keep_alive();
  if (auto fault = faultOf())
    return refuse(fault->first, fault->second);
  if (auto response = server_.handler.refuse(request_)) {
    // The body is not read: the connection cannot go on behind it.
    const bool hasBody = parser_->content_length().value_or(0) != 0;
    return write(std::move(*response), hasBody);
  }
  auto readBody = [self = shared_from_this()] {
    self->arm(self->server_.options.bodyTimeout, [self] {
      self->timedOut_ = true;
      Code ignored;
      self->socket_.cancel(ignored);
    });
    http::async_read(self->socket_, self->buffer_, *self->parser_,
                     [self](Code code, size_t) { self->onBody(code); });
  };
  if (beast::iequals(message[http::field::expect], "100-continue"))
    return writeText("HTTP/1.1 100 Continue\r\n\r\n", readBody);
  readBody();
}

void Connection::onBody(Code code) {
  if (closed_)
    return;
  if (timedOut_)
    return refuse(408, fmt::format("no whole body within {} s",
                                   server_.options.bodyTimeout.count() / 1000));
  if (code == http::error::body_limit)
    return refuse(413, fmt::format("the body is larger than {} bytes",
                                   server_.options.maxBodyBytes));
  if (code)
    return close();
  request_.body = std::move(parser_->get().body());
  handle();
}

void Connection::refuse(unsigned status, const std::string &message) {
  if (request_.id.empty())
    request_.id = server_.newId();
  write(server_.handler.describe(status, message), /*close=*/true);
}

void Connection::handle() {
  disarm();
  answer_ = std::make_shared<Answer>(shared_from_this());
  watchForEnd();
  server_.handler.handle(request_, answer_);
}

/// Notices that a client goes while its answer is computed. What it sends
/// meanwhile is another request, which waits: then only a write can tell.
void Connection::watchForEnd() {
  socket_.async_wait(
      Tcp::socket::wait_read,
      [self = shared_from_this(), answer = answer_](Code code) {
        if (code || self->closed_ || self->answer_ != answer)
          return;
        Code failure;
        if (!self->socket_.available(failure) || failure)
          self->gone();
      });
}

void Connection::gone() {
  close();
  if (auto answer = std::move(answer_))
    answer->detach();
}

std::string Connection::headOf(const HttpResponse &response) const {
  const auto reason =
      http::obsolete_reason(static_cast<http::status>(response.status));
  std::string head = fmt::format(
      "HTTP/1.1 {} {}\r\nServer: hadal\r\nX-Request-Id: {}\r\n",
      response.status, std::string_view(reason.data(), reason.size()),
      request_.id);
  if (!response.type.empty())
    head += "Content-Type: " + response.type + "\r\n";
  for (const auto &[name, value] : response.headers)
    head += name + ": " + value + "\r\n";
  head += keepAlive_ && !retired_ ? (http10_ ? "Connection: keep-alive\r\n" : "")
                                  : "Connection: close\r\n";
  return head;
}

void Connection::write(HttpResponse response, bool close) {
  if (close)
    keepAlive_ = false;
  std::string text =
      headOf(response) +
      fmt::format("Content-Length: {}\r\n\r\n", response.body.size());
  if (request_.method != "HEAD")
    text += response.body;
  writeText(std::move(text),
            [self = shared_from_this()] { self->finishAnswer(false); });
}

void Connection::writeText(std::string text, std::function<void()> then) {
  if (closed_)
    return;
  writing_ = std::move(text);
  arm(server_.options.writeTimeout,
      [self = shared_from_this()] { self->gone(); });
  asio::async_write(socket_, asio::buffer(writing_),
                    [self = shared_from_this(),
                     then = std::move(then)](Code code, size_t) {
                      self->disarm();
                      if (code || self->closed_)
                        return self->gone();
                      then();
                    });
}

void Connection::finishAnswer(bool close) {
  answer_.reset();
  if (closed_)
    return;
  Code ignored;
  socket_.cancel(ignored); // the watch
  if (close || !keepAlive_)
    return linger();
  readRequest();
}

/// Closing with what the client still sends unread resets the connection
/// and may take the answer with it; so it is read for a second.
void Connection::linger() {
  constexpr std::chrono::seconds kLonger{1};
  Code failure;
  socket_.shutdown(Tcp::socket::shutdown_send, failure);
  if (failure)
    return close();
  arm(kLonger, [self = shared_from_this()] { self->close(); });
  discard();
}

void Connection::discard() {
  discarded_.resize(64 << 10);
  socket_.async_read_some(asio::buffer(discarded_),
                          [self = shared_from_this()](Code code, size_t) {
                            if (code || self->closed_)
                              return self->close();
                            self->discard();
                          });
}

} // namespace

StatusOr<std::unique_ptr<HttpServer>>
HttpServer::create(const HttpOptions &options, HttpHandler &handler) {
  auto server = std::make_unique<Server>(options, handler);
  HADAL_RETURN_IF_ERROR(server->listen());
  return std::unique_ptr<HttpServer>(std::move(server));
}

} // namespace hadal::serve
