// What the control plane sends: a header of 64 bytes and a payload. The reader
// takes bytes as they come and gives whole frames; it trusts nothing in them.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string_view>
#include <type_traits>
#include <vector>

#include "runtime/base/Status.h"

namespace hadal::comm {

/// Who sends it is rank 0 (down) or any other rank (up).
enum class FrameType : uint16_t {
  challenge = 1, ///< down: Challenge
  hello,         ///< up: Hello
  welcome,       ///< down: Welcome
  refusal,       ///< down: text; the connection ends
  start,         ///< down: all ranks have joined
  heartbeat,     ///< both: PlaceRecord
  where,         ///< down: send a heartbeat at once
  contribution,  ///< up: a chunk of what the rank gives to an exchange
  result,        ///< down: a chunk of what all ranks gave
  late,          ///< up: the deadline of what this rank waits for has passed
  failure,       ///< both: text, `state` holds its code
  bye,           ///< both: the rank leaves, its work done; rank 0 echoes it
};

/// Little-endian, as every host we run on.
struct FrameHeader {
  static constexpr uint32_t kMagic = 0x6c646168; // "hadl"
  static constexpr uint16_t kVersion = 1;

  uint32_t magic = kMagic;
  uint16_t type = 0;
  uint16_t version = kVersion;
  uint32_t rank = 0;  ///< of the sender
  uint32_t ranks = 0; ///< of the run, as the sender knows it
  uint64_t step = 0;
  uint32_t sequence = 0; ///< contribution, result: number of the exchange
  uint16_t communicator = 0;
  uint16_t state = 0; ///< contribution, result: 1 if more chunks follow
  uint32_t payload = 0;
  uint8_t zero[28] = {};
};
static_assert(sizeof(FrameHeader) == 64 &&
              std::is_trivially_copyable_v<FrameHeader>);

inline constexpr uint32_t kMaxPayload = 64 * 1024;

struct Frame {
  FrameHeader header;
  std::vector<uint8_t> payload;

  FrameType type() const { return static_cast<FrameType>(header.type); }
  std::string_view text() const {
    return {reinterpret_cast<const char *>(payload.data()), payload.size()};
  }
  /// The payload as a record; the reader has checked its size.
  template <typename Record> Record as() const {
    static_assert(std::is_trivially_copyable_v<Record>);
    Record record;
    __builtin_memcpy(&record, payload.data(), sizeof(Record));
    return record;
  }
};

/// Appends header and payload to |bytes|; sets header.payload.
void append(std::vector<uint8_t> &bytes, FrameHeader header,
            std::span<const uint8_t> payload = {});

/// The bytes of a record.
template <typename Record>
std::span<const uint8_t> bytesOf(const Record &record) {
  static_assert(std::is_trivially_copyable_v<Record>);
  return {reinterpret_cast<const uint8_t *>(&record), sizeof(Record)};
}

class FrameReader {
public:
  /// |limit|: largest payload taken, so that who is not known yet cannot make
  /// us hold much.
  explicit FrameReader(uint32_t limit = kMaxPayload) : limit_(limit) {}
  void setLimit(uint32_t limit) { limit_ = limit; }

  void push(std::span<const uint8_t> bytes);
  /// The next whole frame, or none yet. An error (a text for the log) says
  /// what is wrong with the bytes; the connection is then of no more use.
  StatusOr<std::optional<Frame>> next();

private:
  uint32_t limit_;
  std::vector<uint8_t> bytes_;
  size_t begin_ = 0; ///< of the first byte that is not read
};

} // namespace hadal::comm
