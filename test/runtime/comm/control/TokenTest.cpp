// The secret of a job, and what proves that one knows it.
#include <gtest/gtest.h>

#include "runtime/comm/control/Token.h"
#include "test/runtime/TempDirectory.h"

namespace hadal::comm {
namespace {

TEST(Token, IsSixtyFourHexadecimalDigits) {
  const std::string text(64, 'a');
  auto token = parseToken(text);
  ASSERT_TRUE(token.ok());
  EXPECT_EQ(hexOf(*token), text);
  for (std::string bad : {std::string(63, 'a'), std::string(65, 'a'),
                          std::string(63, 'a') + "g", std::string()})
    test::expectError(parseToken(bad).status(), 5011,
                      {"expected 64 hexadecimal digits", "HADAL_JOB_TOKEN"});
  // A secret is in no message.
  EXPECT_EQ(parseToken("secret").status().message().find("secret"),
            std::string::npos);
}

TEST(Token, ProofsDifferInAllTheyProve) {
  const Token token = {1}, other = {2};
  const Nonce a = {3}, b = {4};
  Identity me, you;
  setText(you.host, "b");
  const Digest256 proof = prove(Side::hub, token, a, b, 1, 4, me);
  EXPECT_TRUE(equal(proof, prove(Side::hub, token, a, b, 1, 4, me)));
  EXPECT_FALSE(equal(proof, prove(Side::spoke, token, a, b, 1, 4, me)));
  EXPECT_FALSE(equal(proof, prove(Side::hub, other, a, b, 1, 4, me)));
  EXPECT_FALSE(equal(proof, prove(Side::hub, token, b, a, 1, 4, me)));
  EXPECT_FALSE(equal(proof, prove(Side::hub, token, a, b, 2, 4, me)));
  EXPECT_FALSE(equal(proof, prove(Side::hub, token, a, b, 1, 5, me)));
  EXPECT_FALSE(equal(proof, prove(Side::hub, token, a, b, 1, 4, you)));
}

} // namespace
} // namespace hadal::comm
