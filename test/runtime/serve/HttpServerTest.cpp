// HTTP over real sockets: what is a request, what is refused, and that limits
// hold however the bytes arrive.
#include <gtest/gtest.h>

#include <thread>

#include "runtime/serve/HttpServer.h"
#include "test/runtime/serve/HttpClient.h"

using namespace hadal;
using namespace hadal::serve;

namespace {

/// Echoes bodies; /stream sends three pieces; /wait is never answered.
class Echo final : public HttpHandler {
public:
  std::optional<HttpResponse> refuse(const HttpRequest &head) override {
    if (head.path == "/refused")
      return HttpResponse{.status = 401, .body = "no"};
    return std::nullopt;
  }
  void handle(HttpRequest request, std::shared_ptr<Exchange> exchange) override {
    ++handled;
    if (request.path == "/wait") {
      exchange->onGone = [this] { ++gone; };
      waiting = exchange;
    } else if (request.path == "/stream") {
      exchange->beginStream({.status = 200, .type = "text/event-stream"});
      auto left = std::make_shared<int>(3);
      exchange->onWritten = [exchange = exchange.get(), left] {
        if (--*left >= 0)
          exchange->send("piece\n");
        else
          exchange->end();
      };
    } else {
      exchange->respond({.status = 200,
                         .type = "text/plain",
                         .body = request.method + " " + request.path + " " +
                                 request.body});
    }
  }
  HttpResponse describe(unsigned status, const std::string &message) override {
    return {.status = status, .type = "text/plain", .body = message};
  }

  std::atomic<unsigned> handled{0}, gone{0};
  std::shared_ptr<Exchange> waiting;
};

class HttpServerTest : public testing::Test {
protected:
  void start(HttpOptions options = {}) {
    options.port = 0;
    auto created = HttpServer::create(options, handler);
    ASSERT_TRUE(created.ok()) << created.status().toString();
    server = std::move(*created);
    io = std::thread([this] { server->run(); });
  }
  void TearDown() override {
    if (!server)
      return;
    server->stop();
    io.join();
    server.reset();
  }
  /// The answer to |text| on a connection of its own.
  std::string answer(const std::string &text) {
    Client client(server->port());
    client.send(text);
    return client.receive();
  }
  void eventually(const std::function<bool()> &holds) {
    for (int i = 0; i < 500 && !holds(); ++i)
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    EXPECT_TRUE(holds());
  }

  Echo handler;
  std::unique_ptr<HttpServer> server;
  std::thread io;
};

constexpr const char *kPost = "POST /echo HTTP/1.1\r\nHost: x\r\nConnection: "
                              "close\r\nContent-Length: 5\r\n\r\nhello";

} // namespace

TEST_F(HttpServerTest, RequestsAreWholeHoweverTheyArrive) {
  start();
  const std::string text = kPost;
  for (size_t cut = 0; cut <= text.size(); ++cut) {
    Client client(server->port());
    client.send(text.substr(0, cut));
    if (cut % 16 == 0)
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    client.send(text.substr(cut));
    const std::string got = client.receive();
    EXPECT_TRUE(got.starts_with("HTTP/1.1 200 OK\r\n")) << cut << got;
    EXPECT_TRUE(got.ends_with("\r\n\r\nPOST /echo hello")) << cut << got;
  }
}

TEST_F(HttpServerTest, ConnectionsServeOneRequestAfterTheOther) {
  start();
  Client client(server->port());
  for (int i = 0; i < 3; ++i) {
    client.send("GET /a?x=1 HTTP/1.1\r\nHost: x\r\nX-Request-Id: id-7\r\n\r\n");
    const std::string got = client.receive("GET /a ");
    EXPECT_NE(got.find("X-Request-Id: id-7\r\n"), std::string::npos) << got;
  }
  // Both at once: in order.
  client.send("GET /b HTTP/1.1\r\nHost: x\r\n\r\nGET /c HTTP/1.1\r\nHost: x\r\n"
              "Connection: close\r\n\r\n");
  const std::string both = client.receive();
  EXPECT_LT(both.find("GET /b "), both.find("GET /c "));
  EXPECT_NE(both.find("GET /c "), std::string::npos) << both;
}

TEST_F(HttpServerTest, WhatIsAmbiguousOrTooLargeIsRefused) {
  start({.maxHeaderBytes = 2048, .maxBodyBytes = 100});
  const std::string head = "POST /echo HTTP/1.1\r\nHost: x\r\n";
  const std::pair<std::string, const char *> refused[] = {
      {head + "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "400"},
      {"POST /echo HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
       "400"},
      {head + "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\nhello",
       "400"},
      {head + "Content-Length: 5\r\nContent-Length: 5\r\n\r\nhello", "400"},
      {head + "Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello", "400"},
      {head + "Content-Length: +5\r\n\r\nhello", "400"},
      {head + "Content-Length: -5\r\n\r\nhello", "400"},
      {head + "Content-Length: 5, 5\r\n\r\nhello", "400"},
      {head + "Content-Length : 5\r\n\r\nhello", "400"},
      {head + "\r\n", "411"},
      {"GET / HTTP/1.1\r\n\r\n", "400"},
      {"GET / HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n", "400"},
      {"GET / HTTP/1.1\r\nHost: x\r\n X: y\r\n bad\r\nA B: c\r\n\r\n", "400"},
      {"GET /\x01 HTTP/1.1\r\nHost: x\r\n\r\n", "400"},
      {"nonsense\r\n\r\n", "400"},
      {"GET / HTTP/3.0\r\nHost: x\r\n\r\n", "400"},
      {head + "Content-Length: 101\r\n\r\n", "413"},
      {head + "Content-Length: 18446744073709551615\r\n\r\n", "413"},
      {head + "X: " + std::string(4000, 'a') + "\r\n\r\n", "431"},
      {"POST /refused HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello",
       "401"}};
  for (const auto &[text, status] : refused) {
    const std::string got = answer(text);
    EXPECT_TRUE(got.starts_with("HTTP/1.1 " + std::string(status) + " "))
        << text << "\n-> " << got;
    EXPECT_NE(got.find("Connection: close\r\n"), std::string::npos) << text;
  }
  EXPECT_EQ(handler.handled, 0u);
}

TEST_F(HttpServerTest, SlowClientsAreGivenUp) {
  using std::chrono::milliseconds;
  start({.headerTimeout = milliseconds(100),
         .bodyTimeout = milliseconds(100),
         .idleTimeout = milliseconds(100)});
  Client idle(server->port()), head(server->port()), body(server->port());
  head.send("GET / HTTP/1.1\r\n");
  body.send("POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhel");
  EXPECT_EQ(idle.receive(), "");
  EXPECT_TRUE(head.receive().starts_with("HTTP/1.1 408 "));
  EXPECT_TRUE(body.receive().starts_with("HTTP/1.1 408 "));
  eventually([&] { return server->connections() == 0; });
}

TEST_F(HttpServerTest, StreamsAreChunked) {
  start();
  const std::string got = answer(
      "GET /stream HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
  EXPECT_NE(got.find("Transfer-Encoding: chunked\r\n"), std::string::npos);
  EXPECT_TRUE(got.ends_with("\r\n\r\n6\r\npiece\n\r\n6\r\npiece\n\r\n6\r\npiece"
                            "\n\r\n0\r\n\r\n"))
      << got;
  // HTTP/1.0 has no chunks: the end of the connection is the end.
  const std::string old = answer("GET /stream HTTP/1.0\r\n\r\n");
  EXPECT_EQ(old.find("chunked"), std::string::npos);
  EXPECT_TRUE(old.ends_with("\r\n\r\npiece\npiece\npiece\n")) << old;
}

TEST_F(HttpServerTest, ClientsThatGoAreNoticed) {
  start();
  for (unsigned i = 1; i <= 3; ++i) {
    Client client(server->port());
    client.send("GET /wait HTTP/1.1\r\nHost: x\r\n\r\n");
    eventually([&] { return handler.handled == i; });
    client.close();
    eventually([&] { return handler.gone == i; });
  }
  eventually([&] { return server->connections() == 0; });
}

TEST_F(HttpServerTest, AnswersOfGoneClientsGoNowhere) {
  start();
  Client client(server->port());
  client.send("GET /wait HTTP/1.1\r\nHost: x\r\n\r\n");
  eventually([&] { return handler.handled == 1; });
  client.close();
  eventually([&] { return handler.gone == 1; });
  std::atomic<bool> done{false};
  server->post([&] {
    handler.waiting->respond({.body = "late"});
    handler.waiting->beginStream({});
    handler.waiting->send("late");
    handler.waiting->end();
    handler.waiting.reset();
    done = true;
  });
  eventually([&] { return done.load(); });
}

TEST_F(HttpServerTest, OneConnectionTooManyIsClosed) {
  start({.maxConnections = 2});
  Client a(server->port()), b(server->port());
  a.send("GET /wait HTTP/1.1\r\nHost: x\r\n\r\n");
  eventually([&] { return server->connections() == 2; });
  Client c(server->port());
  EXPECT_EQ(c.receive(), "");
  b.send("GET /b HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
  EXPECT_TRUE(b.receive().ends_with("GET /b "));
}

TEST_F(HttpServerTest, ThoseThatStayEndWithTheirAnswer) {
  start();
  Client busy(server->port()), idle(server->port());
  busy.send("GET /wait HTTP/1.1\r\nHost: x\r\n\r\n");
  eventually([&] { return handler.handled == 1; });
  server->stopAccepting();
  EXPECT_EQ(idle.receive(), "");
  server->post([&] { handler.waiting->respond({.body = "bye"}); });
  const std::string got = busy.receive();
  EXPECT_TRUE(got.ends_with("\r\n\r\nbye")) << got;
  EXPECT_NE(got.find("Connection: close"), std::string::npos);
  handler.waiting.reset();
}

TEST(HttpServer, AnAddressThatIsNotOursIsRefused) {
  Echo handler;
  for (const char *host : {"192.0.2.1", "not-an-address"}) {
    auto server = HttpServer::create({.host = host, .port = 0}, handler);
    ASSERT_FALSE(server.ok());
    EXPECT_EQ(server.status().code(), 5027) << server.status().toString();
  }
}
