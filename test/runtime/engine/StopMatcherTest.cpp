#include "runtime/engine/StopMatcher.h"

#include <random>

#include <gtest/gtest.h>

using namespace hadal::engine;

namespace {

struct Reference {
  std::string text; // what is out
  std::optional<size_t> match;
};

/// By trying all places: where the first string that ends after |from| ends.
Reference expected(const std::string &text,
                   const std::vector<std::string> &strings, size_t from) {
  for (size_t end = from + 1; end <= text.size(); ++end) {
    std::optional<size_t> match;
    for (size_t i = 0; i < strings.size(); ++i)
      if (text.substr(0, end).ends_with(strings[i]) &&
          (!match || strings[i].size() > strings[*match].size()))
        match = i;
    if (match)
      return {text.substr(0, end - strings[*match].size()), match};
  }
  for (size_t begin = 0; begin <= text.size(); ++begin)
    for (const std::string &s : strings)
      if (begin == text.size() ||
          (s.size() > text.size() - begin && s.starts_with(text.substr(begin))))
        return {text.substr(0, begin), std::nullopt};
  return {text, std::nullopt};
}

std::string randomText(std::mt19937 &random, size_t size) {
  std::string text(size, 'a');
  for (char &c : text)
    c = static_cast<char>('a' + random() % 2);
  return text;
}

TEST(StopMatcherTest, equalsTheDefinitionForAllCuts) {
  std::mt19937 random(3);
  int matches = 0;
  for (int trial = 0; trial < 20000; ++trial) {
    std::vector<std::string> strings;
    for (size_t i = 0, n = 1 + random() % 4; i < n; ++i)
      strings.push_back(randomText(random, 1 + random() % 7));
    const std::string text = randomText(random, random() % 40);
    // Strings that end in the first part are passed over.
    const size_t armed = trial % 3 ? 0 : random() % (text.size() + 1);
    StopMatcher matcher(strings);
    std::string out;
    std::optional<size_t> match;
    for (size_t at = 0; at < text.size() && !match;) {
      size_t next = at + std::min(random() % 6, text.size() - at);
      if (at < armed)
        next = std::min(next, armed);
      StopMatcher::Result result =
          matcher.push(text.substr(at, next - at), at >= armed);
      out += result.text;
      match = result.match;
      at = next;
      const Reference now =
          expected(text.substr(0, at), strings, std::min(armed, at));
      ASSERT_EQ(out, now.text) << trial << ": " << text << " at " << at;
      ASSERT_EQ(match, now.match) << trial;
    }
    matches += match.has_value();
    if (!match) {
      ASSERT_EQ(out + matcher.finish(), text) << trial;
    }
  }
  EXPECT_GT(matches, 5000);
  EXPECT_LT(matches, 19000);
}

TEST(StopMatcherTest, passesAllThroughWithoutStrings) {
  StopMatcher matcher({});
  EXPECT_EQ(matcher.push("abc").text, "abc");
  EXPECT_EQ(matcher.finish(), "");
}

TEST(StopMatcherTest, theFirstOfEqualStringsIsFound) {
  const std::vector<std::string> strings = {"ab", "ab", "xab"};
  StopMatcher matcher(strings);
  EXPECT_EQ(matcher.push("ab").match, 0u);
}

} // namespace
