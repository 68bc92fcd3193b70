#include <gtest/gtest.h>

#include "runtime/serve/Keys.h"

using namespace hadal;
using namespace hadal::serve;

// Of FIPS 180-4's example "abc".
constexpr const char *kAbc =
    "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

TEST(Keys, AreFoundByTheirDigest) {
  auto keys = Keys::parse("# ours\n\nme:" + std::string(kAbc) + "\r\n", "f");
  ASSERT_TRUE(keys.ok()) << keys.status().toString();
  const std::string *name = keys->find("Bearer abc");
  ASSERT_TRUE(name);
  EXPECT_EQ(*name, "me");
  for (const char *other : {"Bearer abd", "Bearer ", "abc", "", "bearer abc",
                            "Basic abc", "Bearer abc "})
    EXPECT_FALSE(keys->find(other)) << other;
}

TEST(Keys, LinesThatAreNoneAreNamed) {
  const std::string abc = kAbc;
  const std::pair<std::string, const char *> bad[] = {
      {"me:abc", "line 1 of 'f' is no 'name:sha256'"},
      {"a:" + abc + "\n" + abc, "line 2"},
      {":" + abc, "line 1"},
      {"me:" + abc.substr(1) + "g", "line 1"},
      {"me:" + abc + "\nme:" + abc, "names 'me' a second time"},
      {"# nothing\n", "'f' has no key"}};
  for (const auto &[text, part] : bad) {
    auto keys = Keys::parse(text, "f");
    ASSERT_FALSE(keys.ok()) << text;
    EXPECT_EQ(keys.status().code(), 5028);
    EXPECT_NE(keys.status().message().find(part), std::string::npos)
        << keys.status().message();
  }
}
