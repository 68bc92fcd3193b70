// The vectors of FIPS 180-4's examples and of RFC 4231.
#include <gtest/gtest.h>

#include "runtime/base/Sha256.h"

namespace hadal {
namespace {

std::vector<uint8_t> bytes(std::string_view text) {
  return {text.begin(), text.end()};
}

TEST(Sha256, PublishedExamples) {
  EXPECT_EQ(hexOf(sha256(bytes(""))),
            "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  EXPECT_EQ(hexOf(sha256(bytes("abc"))),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  EXPECT_EQ(hexOf(sha256(bytes(
                "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq"))),
            "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
  EXPECT_EQ(hexOf(sha256(std::vector<uint8_t>(1'000'000, 'a'))),
            "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
}

TEST(Sha256, TakesBytesInAnyPieces) {
  std::vector<uint8_t> text(300);
  for (size_t i = 0; i < text.size(); ++i)
    text[i] = static_cast<uint8_t>(i * 7);
  for (size_t piece : {1, 3, 55, 56, 63, 64, 65, 128, 299}) {
    Sha256 hash;
    for (size_t at = 0; at < text.size(); at += piece)
      hash.update({text.data() + at, std::min(piece, text.size() - at)});
    EXPECT_EQ(hash.finish(), sha256(text)) << piece;
  }
}

TEST(HmacSha256, Rfc4231) {
  EXPECT_EQ(
      hexOf(hmacSha256(std::vector<uint8_t>(20, 0x0b), bytes("Hi There"))),
      "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7");
  EXPECT_EQ(
      hexOf(hmacSha256(bytes("Jefe"), bytes("what do ya want for nothing?"))),
      "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
  EXPECT_EQ(hexOf(hmacSha256(std::vector<uint8_t>(20, 0xaa),
                             std::vector<uint8_t>(50, 0xdd))),
            "773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe");
  EXPECT_EQ(
      hexOf(hmacSha256(std::vector<uint8_t>(131, 0xaa),
                       bytes("Test Using Larger Than Block-Size Key - Hash Key "
                             "First"))),
      "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54");
}

} // namespace
} // namespace hadal
