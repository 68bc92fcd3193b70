// A socket of the control plane with what has come in and what must still go
// out. Used with the lock of its control plane held.
#pragma once

#include <vector>

#include "runtime/comm/control/Frame.h"
#include "runtime/comm/control/Socket.h"

namespace hadal::comm {

class Connection {
public:
  explicit Connection(Descriptor socket, uint32_t limit = kMaxPayload)
      : socket_(std::move(socket)), reader_(limit) {}

  int fd() const { return socket_.get(); }
  bool open() const { return static_cast<bool>(socket_); }
  void close() { socket_.close(); }

  /// Sends what the socket takes now and keeps the rest for flush(). A lost
  /// connection is found by the next receive().
  void send(const FrameHeader &header, std::span<const uint8_t> payload = {});
  /// Sends more of what is kept.
  void flush();
  bool pending() const { return sent_ < out_.size(); }

  /// Takes all that has come; false: the other side has closed, or is lost.
  /// Whole frames that came before are still to be had from reader().
  bool receive();
  FrameReader &reader() { return reader_; }

private:
  Descriptor socket_;
  FrameReader reader_;
  std::vector<uint8_t> out_;
  size_t sent_ = 0;
};

} // namespace hadal::comm
