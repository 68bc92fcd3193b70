// The reader of frames: whole frames out of any pieces, and an error for
// whatever else comes.
#include <cstdlib>
#include <random>

#include <gtest/gtest.h>

#include "runtime/comm/Printable.h"
#include "runtime/comm/control/Frame.h"
#include "runtime/comm/control/Place.h"
#include "test/runtime/TempDirectory.h"

namespace hadal::comm {
namespace {

constexpr std::pair<FrameType, size_t> kFixed[] = {
    {FrameType::challenge, sizeof(Challenge)},
    {FrameType::hello, sizeof(Hello)},
    {FrameType::welcome, sizeof(Welcome)},
    {FrameType::start, 0},
    {FrameType::heartbeat, sizeof(PlaceRecord)},
    {FrameType::where, 0},
    {FrameType::late, 0},
    {FrameType::bye, 0}};

FrameHeader header(FrameType type) {
  FrameHeader header;
  header.type = static_cast<uint16_t>(type);
  header.rank = 1;
  header.ranks = 4;
  return header;
}

std::vector<uint8_t> randomBytes(std::mt19937_64 &random, size_t n) {
  std::vector<uint8_t> bytes(n);
  for (uint8_t &byte : bytes)
    byte = static_cast<uint8_t>(random());
  return bytes;
}

/// A stream of valid frames, and the payloads in it.
std::vector<uint8_t> validStream(std::mt19937_64 &random,
                                 std::vector<std::vector<uint8_t>> &payloads) {
  std::vector<uint8_t> stream;
  for (size_t n = 1 + random() % 6; n > 0; --n) {
    std::vector<uint8_t> payload;
    FrameType type;
    if (random() % 2) {
      auto [fixed, size] = kFixed[random() % std::size(kFixed)];
      type = fixed;
      payload = randomBytes(random, size);
    } else {
      constexpr FrameType kOpen[] = {FrameType::contribution, FrameType::result,
                                     FrameType::failure, FrameType::refusal};
      type = kOpen[random() % std::size(kOpen)];
      payload = randomBytes(random, 1 + random() % 300);
    }
    append(stream, header(type), payload);
    payloads.push_back(std::move(payload));
  }
  return stream;
}

/// What a rank does with a frame that came: everything that looks into it.
void useFrame(const Frame &frame) {
  if (frame.type() == FrameType::heartbeat) {
    const Place place = Place::of(frame.as<PlaceRecord>());
    for (char c : describePlaces({0}, {place}))
      ASSERT_TRUE(c >= 0x20 && c < 0x7f);
  } else if (frame.type() == FrameType::hello) {
    for (char c : describeRank(frame.header.rank, frame.as<Hello>().identity))
      ASSERT_TRUE(c >= 0x20 && c < 0x7f);
  } else {
    ASSERT_LE(printable(frame.text()).size(), 4096u + 8);
  }
}

/// Reads |stream| in random pieces until an error; the frames before it.
std::vector<Frame> readAll(std::mt19937_64 &random,
                           const std::vector<uint8_t> &stream, Status &status,
                           uint32_t limit = kMaxPayload) {
  FrameReader reader(limit);
  std::vector<Frame> frames;
  for (size_t at = 0; at < stream.size();) {
    const size_t n = std::min<size_t>(stream.size() - at, 1 + random() % 200);
    reader.push({stream.data() + at, n});
    at += n;
    while (true) {
      auto frame = reader.next();
      if (!frame.ok()) {
        status = frame.status();
        return frames;
      }
      if (!*frame)
        break;
      frames.push_back(std::move(**frame));
    }
  }
  return frames;
}

TEST(FrameReader, GivesWholeFramesOutOfAnyPieces) {
  std::mt19937_64 random(1);
  for (int i = 0; i < 200; ++i) {
    std::vector<std::vector<uint8_t>> payloads;
    const std::vector<uint8_t> stream = validStream(random, payloads);
    Status status;
    const std::vector<Frame> frames = readAll(random, stream, status);
    ASSERT_TRUE(status.ok()) << status.message();
    ASSERT_EQ(frames.size(), payloads.size());
    for (size_t f = 0; f < frames.size(); ++f)
      EXPECT_EQ(frames[f].payload, payloads[f]);
  }
}

TEST(FrameReader, SaysWhatIsWrong) {
  struct Case {
    std::function<void(FrameHeader &)> damage;
    std::string_view message;
    int code;
  };
  const Case cases[] = {
      {[](FrameHeader &h) { h.magic ^= 1; }, "no frames of hadal", 6007},
      {[](FrameHeader &h) { h.version = 2; }, "version 2, expected 1", 6003},
      {[](FrameHeader &h) { h.type = 0; }, "unknown type 0", 6007},
      {[](FrameHeader &h) { h.type = 99; }, "unknown type 99", 6007},
      {[](FrameHeader &h) { h.payload = 7; },
       "with 7 bytes, expected 176 to 176", 6007},
      {[](FrameHeader &h) {
         h.type = static_cast<uint16_t>(FrameType::result);
         h.payload = kMaxPayload + 1;
       },
       "with 65537 bytes, expected 0 to 65536", 6007},
      {[](FrameHeader &h) { h.zero[27] = 1; }, "bytes that must be zero",
       6007}};
  static_assert(sizeof(PlaceRecord) == 176);
  for (const Case &one : cases) {
    FrameHeader head = header(FrameType::heartbeat);
    head.payload = sizeof(PlaceRecord);
    one.damage(head);
    FrameReader reader;
    reader.push(bytesOf(head));
    auto frame = reader.next();
    ASSERT_FALSE(frame.ok()) << one.message;
    test::expectError(frame.status(), one.code, {one.message});
  }
}

TEST(FrameReader, TakesNoMoreThanItsLimit) {
  FrameHeader head = header(FrameType::contribution);
  head.payload = 1000;
  FrameReader reader(sizeof(Hello));
  reader.push(bytesOf(head));
  test::expectError(reader.next().status(), 6007, {"1000 bytes"});
}

/// Seconds of HADAL_FUZZ_SECONDS, else a fixed number of streams.
TEST(FrameReader, Fuzz) {
  const char *seconds = std::getenv("HADAL_FUZZ_SECONDS");
  const auto end = std::chrono::steady_clock::now() +
                   std::chrono::seconds(seconds ? std::atoi(seconds) : 0);
  std::mt19937_64 random(seconds ? std::random_device()() : 7);
  size_t streams = 0, errors = 0, frames = 0;
  auto more = [&] {
    return seconds ? std::chrono::steady_clock::now() < end : streams < 20'000;
  };
  for (; more(); ++streams) {
    std::vector<std::vector<uint8_t>> payloads;
    std::vector<uint8_t> stream;
    if (random() % 8 == 0)
      stream = randomBytes(random, random() % 500);
    else
      stream = validStream(random, payloads);
    for (size_t n = random() % 5; n > 0 && !stream.empty(); --n) {
      const size_t at = random() % stream.size();
      switch (random() % 4) {
      case 0: // a bit
        stream[at] ^= static_cast<uint8_t>(1u << random() % 8);
        break;
      case 1: // a byte, often a size or a type
        stream[at] = static_cast<uint8_t>(random());
        break;
      case 2: // cut
        stream.resize(at);
        break;
      case 3: { // a piece again
        const size_t length = random() % (stream.size() - at);
        std::vector<uint8_t> piece(stream.begin() + at,
                                   stream.begin() + at + length);
        stream.insert(stream.begin() + random() % stream.size(), piece.begin(),
                      piece.end());
        break;
      }
      }
    }
    Status status;
    for (const Frame &frame :
         readAll(random, stream, status,
                 random() % 4 ? kMaxPayload : sizeof(Hello))) {
      ++frames;
      useFrame(frame);
    }
    errors += !status.ok();
    ASSERT_TRUE(status.ok() || !status.message().empty());
  }
  // It has tried what it should: both whole frames and refusals, often.
  EXPECT_GT(frames, streams / 2);
  EXPECT_GT(errors, streams / 10);
  RecordProperty("streams", static_cast<int>(streams));
}

TEST(Printable, EscapesWhatATerminalActsOn) {
  EXPECT_EQ(printable("a\x1b[2Jb\n\xff"), "a\\x1b[2Jb\\x0a\\xff");
  EXPECT_EQ(printable("abcdef", 3), "abc...");
}

} // namespace
} // namespace hadal::comm
