#include "runtime/comm/control/Frame.h"

#include <algorithm>
#include <cstring>

#include "runtime/comm/control/Records.h"

namespace hadal::comm {

namespace {

/// Payload sizes that a frame of a type may have; max < min: no such type.
struct SizeRange {
  uint32_t min = 1, max = 0;
};

SizeRange payloadRange(uint16_t type) {
  switch (static_cast<FrameType>(type)) {
  case FrameType::challenge:
    return {sizeof(Challenge), sizeof(Challenge)};
  case FrameType::hello:
    return {sizeof(Hello), sizeof(Hello)};
  case FrameType::welcome:
    return {sizeof(Welcome), sizeof(Welcome)};
  case FrameType::heartbeat:
    return {sizeof(PlaceRecord), sizeof(PlaceRecord)};
  case FrameType::start:
  case FrameType::where:
  case FrameType::late:
  case FrameType::bye:
    return {0, 0};
  case FrameType::refusal:
  case FrameType::failure:
    return {1, kMaxText};
  case FrameType::contribution:
  case FrameType::result:
    return {0, kMaxPayload};
  }
  return {};
}

} // namespace

void append(std::vector<uint8_t> &bytes, FrameHeader header,
            std::span<const uint8_t> payload) {
  header.payload = static_cast<uint32_t>(payload.size());
  const std::span<const uint8_t> head = bytesOf(header);
  bytes.insert(bytes.end(), head.begin(), head.end());
  bytes.insert(bytes.end(), payload.begin(), payload.end());
}

void FrameReader::push(std::span<const uint8_t> bytes) {
  // What is read is dropped once it is most of the buffer: linear in all.
  if (begin_ > bytes_.size() / 2) {
    bytes_.erase(bytes_.begin(), bytes_.begin() + begin_);
    begin_ = 0;
  }
  bytes_.insert(bytes_.end(), bytes.begin(), bytes.end());
}

StatusOr<std::optional<Frame>> FrameReader::next() {
  const size_t have = bytes_.size() - begin_;
  if (have < sizeof(FrameHeader))
    return std::optional<Frame>();
  Frame frame;
  FrameHeader &header = frame.header;
  std::memcpy(&header, bytes_.data() + begin_, sizeof(header));
  if (header.magic != FrameHeader::kMagic)
    return error(6007,
                 "these are no frames of hadal: magic {:08x}, expected "
                 "{:08x}",
                 header.magic, FrameHeader::kMagic);
  if (header.version != FrameHeader::kVersion)
    return error(6003,
                 "frames of version {}, expected {}; start the same "
                 "hadal on all ranks",
                 header.version, FrameHeader::kVersion);
  const SizeRange range = payloadRange(header.type);
  if (range.max < range.min)
    return error(6007, "a frame of unknown type {}", header.type);
  if (header.payload < range.min || header.payload > range.max ||
      header.payload > limit_)
    return error(6007, "a frame of type {} with {} bytes, expected {} to {}",
                 header.type, header.payload, range.min,
                 std::min(range.max, limit_));
  if (std::ranges::any_of(header.zero, [](uint8_t b) { return b != 0; }))
    return error(6007, "a frame of type {} with bytes that must be zero",
                 header.type);
  if (have < sizeof(header) + header.payload)
    return std::optional<Frame>();
  const auto payload = bytes_.begin() + begin_ + sizeof(header);
  frame.payload.assign(payload, payload + header.payload);
  begin_ += sizeof(header) + header.payload;
  return std::optional<Frame>(std::move(frame));
}

} // namespace hadal::comm
