#include "runtime/chat/Template.h"

#include <chrono>
#include <gtest/gtest.h>

#include "runtime/chat/ChatTemplate.h"
#include "runtime/chat/Text.h"
#include "test/runtime/TempDirectory.h"

using namespace hadal;
using namespace hadal::chat;

namespace {

OrderedJson json(const std::string &text) {
  auto value = parseOrderedJson(text, 5014, "test");
  EXPECT_TRUE(value.ok()) << value.status().toString();
  return *value;
}

StatusOr<std::vector<TextPiece>> render(const std::string &source,
                                        const std::string &messages = "[]") {
  auto parsed = Template::parse(source, "t");
  if (!parsed.ok())
    return parsed.status();
  RenderInput input;
  input.messages = json(messages);
  input.specialTokens["bos_token"] = "<s>";
  return parsed->render(input);
}

std::string errorOf(const std::string &source,
                    const std::string &messages = "[]") {
  auto pieces = render(source, messages);
  return pieces.ok() ? "no error: " + textOf(*pieces)
                     : pieces.status().toString();
}

TEST(TemplateTest, keepsTheOriginOfEachCharacter) {
  auto pieces = render(
      "{{ bos_token }}<u>{% for m in messages %}"
      "{{ (' a ' + m.content|trim).replace('x', '<t>').split('|')[1][::-1] }}"
      "{% endfor %}{{ messages|tojson }}",
      R"([{"content": " p|qxr\"\u0001s "}])");
  ASSERT_TRUE(pieces.ok()) << pieces.status().toString();
  std::vector<TextPiece> expected = {
      {"<s><u>", true}, {"s\x01\"r", false},
      {">t<", true},    {"q", false},
      {"[{\"", true},   {"content", false},
      {"\": \"", true}, {" p|qxr\\\"\\u0001s ", false},
      {"\"}]", true}};
  EXPECT_EQ(*pieces, expected);
}

TEST(TemplateTest, saysAtLoadWhereItIsAndWhatItDoesNotKnow) {
  const std::pair<const char *, const char *> cases[] = {
      {"a\n {% include 'x' %}", "line 2, column 5: the statement 'include'"},
      {"{{ x|groupby('a') }}", "line 1, column 5: the filter 'groupby'"},
      {"{{ x is sameas(y) }}", "column 6: the test 'sameas' is not supported"},
      {"{{ x.append(1) }}", "column 5: the method 'append' is not supported"},
      {"{{ f(*x) }}", "'*' before an argument is not supported"},
      {"{{ 2 ** 3 }}", "the operator '**' is not supported"},
      {"{{ x|map(y) }}", "is supported as a string only"},
      {"é{{ 'a }}", "line 1, column 5: the string has no end"},
      {"{% if x %}a", "the template ends before '{% endif %}'"},
      {"{% if x %}{% endfor %}", "the statement 'endfor' is not supported"},
      {"{% endif %}", "the statement 'endif' is not supported"},
      {"{{ (1] }}", "unexpected ']'"},
      {"{{ }}", "expected an expression, found the end of the tag '}}'"},
      {"{% break %}", "'break' outside of a loop"},
      {"{# a", "the comment has no end"},
      {"{% set true = 1 %}", "'true' cannot be assigned to"},
      {"{{ 99999999999999999999 }}", "the number is beyond 64 bits"},
      {"{{ ? }}", "the character '?' has no meaning here"},
      {"\xff", "the template is not UTF-8 at byte 0"},
      {"{{ cycler() }}", "'cycler' is not supported"}};
  for (const auto &[source, message] : cases) {
    const std::string found = errorOf(source);
    EXPECT_NE(found.find("error H5025: 't'"), std::string::npos) << found;
    EXPECT_NE(found.find(message), std::string::npos)
        << source << ": " << found;
  }
}

TEST(TemplateTest, saysWhereARenderingFailed) {
  const std::pair<const char *, const char *> cases[] = {
      {"a\n{{ x.y }}", "line 2, column 4: 'x' is undefined"},
      {"{{ raise_exception('no ' + 'way') }}", ": no way"},
      {"{{ 1 + 'a' }}", "'+' of int and str"},
      {"{{ 1 / 0 }}", "division by zero"},
      {"{{ 9223372036854775807 + 1 }}", "a number beyond 64 bits"},
      {"{{ x() }}", "'x' is undefined"},
      {"{{ none() }}", "None cannot be called"},
      {"{% for a, b in [[1]] %}{% endfor %}", "1 values for 2 names"},
      {"{% set x.y = 1 %}", "'x' is no namespace"},
      {"{% macro m(a) %}{% endmacro %}{{ m(1, 2) }}", "takes 1 arguments"},
      {"{{ 'é'|upper }}", "beyond ASCII is not supported"},
      {"{{ namespace()|tojson }}", "tojson of namespace"}};
  for (const auto &[source, message] : cases) {
    const std::string found = errorOf(source);
    EXPECT_NE(found.find("error H5026: 't' line"), std::string::npos) << found;
    EXPECT_NE(found.find(message), std::string::npos)
        << source << ": " << found;
  }
}

TEST(TemplateTest, endsWhatWouldNotEnd) {
  const auto begin = std::chrono::steady_clock::now();
  const std::string brackets =
                        std::string(1000, '(') + "1" + std::string(1000, ')'),
                    list = std::string(1000, '[') + std::string(1000, ']');
  const std::pair<std::string, const char *> cases[] = {
      {"{% for a in range(99999) %}{% for b in range(99999) %}x{% endfor %}"
       "{% endfor %}",
       "more than 1000000 steps"},
      {"{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}",
       "more than 64 levels deep"},
      {"{{ 'x' * 99999999 }}", "longer than 16777216 bytes"},
      {"{{ ('x' * 16777216)|replace('x', 'yy') }}", "longer than 16777216"},
      {"{{ range(100001) }}", "more than 100000 numbers"},
      {"{{ [0] * 99999999999 }}", "more than 1000000 steps"},
      {"{{ " + brackets + " }}", "nested deeper than 64 levels"},
      {"{{ " + list + " }}", "nested deeper than 64 levels"},
      {"{{ 'x' * 9999999 }}{{ 'x' * 9999999 }}", "longer than 16777216"},
      {"{% set ns = namespace(l=[]) %}{% for i in range(200) %}"
       "{% set ns.l = [ns.l] %}{% endfor %}{{ ns.l }}",
       "nested deeper than 128 levels"},
      {"{% set ns = namespace() %}{% set ns.n = ns %}",
       "a namespace cannot hold a namespace"}};
  for (const auto &[source, message] : cases) {
    const std::string found = errorOf(source);
    EXPECT_NE(found.find(message), std::string::npos)
        << source.substr(0, 40) << ": " << found;
  }
  std::string sum = "{{ 1";
  for (int i = 0; i < 5000; ++i)
    sum += " + 1";
  EXPECT_NE(errorOf(sum + " }}").find("more than 256 levels"),
            std::string::npos);
  EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(20));
}

TEST(TemplateTest, doesNotCrashOnDamagedSources) {
  const std::string source =
      "{% macro m(a, b=1) -%} {{ a }} {%- endmacro %}{% set n = namespace(i=0) "
      "%}{% for x in messages if x %}{{ m(x['a'], b=x.b[1:]) }}{# c #}{% else "
      "%}{{ 'é\\u00e9' | trim }}{% endfor %}{% raw %}{{{% endraw %}";
  ASSERT_TRUE(render(source).ok()) << errorOf(source);
  size_t accepted = 0, refused = 0;
  for (size_t at = 0; at < source.size(); ++at)
    for (const char *with : {"", "{", "}", "%", "'", "(", "\\", "\xC3", "9"}) {
      std::string damaged = source;
      damaged.replace(at, 1, with);
      auto pieces = render(damaged, R"([{"a": "x", "b": "yz"}])");
      ++(pieces.ok() ? accepted : refused);
    }
  EXPECT_GT(accepted, 100u);
  EXPECT_GT(refused, 500u);
}

// ---- which template

class ChatTemplateTest : public testing::Test {
protected:
  void write(const std::string &name, const std::string &text) {
    std::ofstream(directory.path() + "/" + name) << text;
  }
  std::string renderWith(const OrderedJson &tools = nullptr,
                         std::optional<std::string> file = std::nullopt) {
    auto loaded = ChatTemplate::load(directory.path(), file);
    if (!loaded.ok())
      return loaded.status().toString();
    RenderInput input;
    input.messages = json(R"([{"role": "user", "content": "c"}])");
    input.tools = tools;
    auto pieces = loaded->render(input);
    return pieces.ok() ? textOf(*pieces) : pieces.status().toString();
  }
  test::TempDirectory directory;
};

TEST_F(ChatTemplateTest, takesTheFirstOfThreePlaces) {
  EXPECT_NE(renderWith().find("has no chat template"), std::string::npos);
  write(
      "tokenizer_config.json",
      R"({"bos_token": {"content": "<s>"}, "chat_template": "{{ bos_token }}config"})");
  EXPECT_EQ(renderWith(), "<s>config");
  write("chat_template.jinja", "{{ bos_token }}file");
  EXPECT_EQ(renderWith(), "<s>file");
  write("other", "{{ bos_token }}other{{ x.y }}");
  EXPECT_NE(renderWith(nullptr, directory.path() + "/other")
                .find("other' line 1, column 24"),
            std::string::npos);
  EXPECT_NE(renderWith(nullptr, directory.path() + "/absent").find("H5025"),
            std::string::npos);
}

TEST_F(ChatTemplateTest, takesToolUseWhereThereAreTools) {
  write("tokenizer_config.json",
        R"({"chat_template": [{"name": "default", "template": "plain"},
        {"name": "tool_use", "template": "tools"},
        {"name": "rag", "template": "{% unknown %}"}]})");
  EXPECT_EQ(renderWith(), "plain");
  EXPECT_EQ(renderWith(OrderedJson::array()), "tools");
  write("tokenizer_config.json", R"({"chat_template": [{"name": 1}]})");
  EXPECT_NE(renderWith().find("expected a list of {name, template}"),
            std::string::npos);
}

TEST(NormalizeMessagesTest, joinsPartsAndNamesWhatIsWrong) {
  auto good = normalizeMessages(json(
      R"([{"role": "user", "content": [{"type": "text", "text": "a"},
      {"type": "text", "text": "b"}]}, {"role": "assistant", "reasoning": "r",
      "tool_calls": null}])"));
  ASSERT_TRUE(good.ok()) << good.status().toString();
  EXPECT_EQ(good->dump(),
            R"([{"role":"user","content":"a\nb"},{"role":"assistant",)"
            R"("content":null,"reasoning_content":"r"}])");
  const std::pair<const char *, const char *> cases[] = {
      {"{}", "messages: expected a list"},
      {"[]", "at least one message"},
      {"[1]", "messages[0]: expected an object"},
      {R"([{"content": ""}])", "messages[0].role: expected a string"},
      {R"([{"role": "u", "content": 1}])", "messages[0].content: expected"},
      {R"([{"role": "u", "content": [{"type": "image_url"}]}])",
       "messages[0].content[0].type: expected \"text\", found \"image_url\": vision "
       "input is not supported"},
      {R"([{"role": "u", "content": [{"type": "input_audio"}]}])",
       "found \"input_audio\": the model reads nothing else"},
      {R"([{"role": "u", "content": [{"type": "text"}]}])",
       "content[0].text: expected a string"}};
  for (const auto &[text, message] : cases) {
    auto bad = normalizeMessages(json(text));
    ASSERT_FALSE(bad.ok()) << text;
    EXPECT_NE(bad.status().toString().find(message), std::string::npos)
        << bad.status().toString();
  }
}

} // namespace
