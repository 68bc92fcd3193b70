#include "runtime/tokenizer/SplitRegex.h"

#include <algorithm>
#include <memory>

#include "runtime/tokenizer/Unicode.h"

namespace hadal {

namespace {

/// Groups and classes inside each other.
constexpr unsigned kMaxDepth = 32;
/// Instructions; a repeat multiplies those of its body.
constexpr size_t kMaxProgram = size_t{1} << 14;
constexpr uint32_t kMaxRepeat = 1000;
constexpr uint32_t kNoLimit = ~uint32_t{0};

} // namespace

/// Parses an expression into a tree and writes the tree as instructions.
class SplitRegexCompiler {
public:
  explicit SplitRegexCompiler(std::string_view pattern)
      : pattern_(pattern), rest_(pattern) {}

  StatusOr<SplitRegex> run() {
    std::unique_ptr<Node> tree = alternation(0);
    if (status_.ok() && !rest_.empty())
      fail("a ')' without its '('");
    if (status_.ok() && tree->nullable)
      fail("a pattern that matches the empty text");
    if (status_.ok())
      emit(*tree);
    HADAL_RETURN_IF_ERROR(status_);
    add({SplitRegex::Instruction::Match});
    for (CodePointSet &set : result_.sets_)
      set.buildTable();
    return std::move(result_);
  }

private:
  using Op = SplitRegex::Instruction::Op;
  enum class Greed : uint8_t { Greedy, Lazy, Possessive };
  struct Node {
    enum Kind : uint8_t { Set, Assertion, Sequence, Alternatives, Repeat };
    Kind kind = Sequence;
    bool nullable = true;
    CodePointSet set;             // of Set and of a look-ahead
    Op assertion = Op::LineStart; // of Assertion
    Greed greed = Greed::Greedy;  // of Repeat
    uint32_t min = 0, max = 0;    // of Repeat; kNoLimit
    std::vector<std::unique_ptr<Node>> children;
  };
  using NodePointer = std::unique_ptr<Node>;

  // ---- reading

  template <typename... Args>
  void fail(fmt::format_string<Args...> what, Args &&...args) {
    if (status_.ok())
      status_ = error(5009, "{} at byte {}",
                      fmt::format(what, std::forward<Args>(args)...),
                      pattern_.size() - rest_.size());
    rest_ = {};
  }
  bool take(std::string_view text) {
    if (!rest_.starts_with(text))
      return false;
    rest_.remove_prefix(text.size());
    return true;
  }
  uint32_t takeCharacter() {
    if (rest_.empty()) {
      fail("an end where a character is expected");
      return 0;
    }
    Utf8Character c = decodeUtf8(rest_);
    if (c.state != Utf8Character::Valid)
      fail("malformed UTF-8");
    else
      rest_.remove_prefix(c.bytes);
    return c.codePoint;
  }
  /// Decimal digits; kNoLimit if there are none.
  uint32_t takeNumber() {
    uint32_t number = kNoLimit;
    while (!rest_.empty() && rest_[0] >= '0' && rest_[0] <= '9') {
      number = (number == kNoLimit ? 0 : number) * 10 + (rest_[0] - '0');
      rest_.remove_prefix(1);
      if (number > kMaxRepeat)
        fail("a repeat of more than {}", kMaxRepeat);
    }
    return number;
  }

  static NodePointer makeSet(CodePointSet set) {
    auto node = std::make_unique<Node>();
    node->kind = Node::Set;
    node->nullable = false;
    node->set = std::move(set);
    return node;
  }
  static NodePointer makeAssertion(Op op, CodePointSet set = {}) {
    auto node = std::make_unique<Node>();
    node->kind = Node::Assertion;
    node->assertion = op;
    node->set = std::move(set);
    return node;
  }

  NodePointer alternation(unsigned depth) {
    auto node = std::make_unique<Node>();
    node->kind = Node::Alternatives;
    node->nullable = false;
    if (depth > kMaxDepth)
      fail("groups nested deeper than {}", kMaxDepth);
    do {
      node->children.push_back(sequence(depth));
      node->nullable |= node->children.back()->nullable;
    } while (take("|"));
    return node;
  }

  NodePointer sequence(unsigned depth) {
    auto node = std::make_unique<Node>();
    lastFolded_ = 0;
    while (!rest_.empty() && rest_[0] != '|' && rest_[0] != ')') {
      node->children.push_back(repeat(depth));
      node->nullable &= node->children.back()->nullable;
    }
    lastFolded_ = 0;
    return node;
  }

  NodePointer repeat(unsigned depth) {
    NodePointer body = atom(depth);
    uint32_t min = 0, max = kNoLimit;
    const bool isBraced = rest_.starts_with('{');
    bool isExact = false; // {n}, whose `?` would not make it lazy
    if (take("?")) {
      max = 1;
    } else if (take("+")) {
      min = 1;
    } else if (take("{")) {
      min = max = takeNumber();
      isExact = !take(",");
      if (!isExact)
        max = takeNumber();
      if (!take("}") || (min == kNoLimit && max == kNoLimit))
        fail("a '{{' that is no repeat; write \\{{");
      if (min == kNoLimit) // {,n}
        min = 0;
      if (max == 0 || min > max)
        fail("a repeat of {} to {}", min, max);
    } else if (!take("*")) {
      return body;
    }
    lastFolded_ = 0;
    auto node = std::make_unique<Node>();
    node->kind = Node::Repeat;
    node->min = min;
    node->max = max;
    if ((isExact && rest_.starts_with('?')) ||
        (isBraced && rest_.starts_with('+')))
      fail("a repeat of a repeat");
    if (take("+"))
      node->greed = Greed::Possessive;
    else if (take("?"))
      node->greed = Greed::Lazy;
    if (rest_.starts_with('?') || rest_.starts_with('*') ||
        rest_.starts_with('+') || rest_.starts_with('{'))
      fail("a repeat of a repeat");
    if (body->nullable)
      fail("a repeat of what may be empty");
    if (node->greed == Greed::Possessive && body->kind != Node::Set)
      fail("a possessive repeat of more than one character");
    node->nullable = min == 0;
    node->children.push_back(std::move(body));
    return node;
  }

  NodePointer atom(unsigned depth) {
    if (take("("))
      return group(depth);
    if (take("["))
      return makeSet(characterClass(0));
    if (take("."))
      return makeSet(CodePointSet{{'\n', '\n'}}.complement());
    if (take("^"))
      return makeAssertion(Op::LineStart);
    if (take("$"))
      return makeAssertion(Op::LineEnd);
    if (take("\\A"))
      return makeAssertion(Op::TextStart);
    if (take("\\z"))
      return makeAssertion(Op::TextEnd);
    if (!rest_.empty() &&
        std::string_view("?*+{").find(rest_[0]) != std::string_view::npos)
      fail("a repeat of nothing");
    if (std::optional<CodePointSet> set = classEscape(false))
      return makeSet(std::move(*set));
    return makeSet(folded(literal()));
  }

  /// Behind its '('.
  NodePointer group(unsigned depth) {
    const bool outer = ignoreCase_;
    Op look = Op::Match;
    if (take("?=")) {
      look = Op::Ahead;
    } else if (take("?!")) {
      look = Op::NotAhead;
    } else if (take("?i:")) {
      ignoreCase_ = true;
    } else if (take("?-i:")) {
      ignoreCase_ = false;
    } else if (!take("?:") && rest_.starts_with('?')) {
      fail("a group '({}...'", rest_.substr(0, 3));
    }
    NodePointer node = alternation(depth + 1);
    ignoreCase_ = outer;
    if (!take(")"))
      fail("a '(' without its ')'");
    if (look == Op::Match)
      return node;
    const Node *inner = node.get();
    while (inner->kind != Node::Set && inner->children.size() == 1 &&
           inner->kind != Node::Repeat)
      inner = inner->children[0].get();
    if (inner->kind != Node::Set) {
      fail("a look-ahead of more than one character");
      return node;
    }
    return makeAssertion(look, inner->set);
  }

  /// `\s`, `\p{Lu}` and the like; nullopt if what follows is no such escape.
  std::optional<CodePointSet> classEscape(bool insideClass) {
    if (take("\\s"))
      return CodePointSet::space();
    if (take("\\S"))
      return CodePointSet::space().complement();
    if (take("\\d"))
      return *CodePointSet::category("Nd");
    if (take("\\D"))
      return CodePointSet::category("Nd")->complement();
    if (rest_.starts_with("\\w") || rest_.starts_with("\\W")) {
      CodePointSet set = CodePointSet::word();
      // Outside of classes the reference's engine has these numbers, too.
      if (!insideClass)
        for (uint32_t c : {0xB2, 0xB3, 0xB9, 0xBC, 0xBD, 0xBE})
          set.add({c, c});
      return take("\\w") ? set : (take("\\W"), set.complement());
    }
    bool negated = rest_.starts_with("\\P{");
    if (!negated && !rest_.starts_with("\\p{"))
      return std::nullopt;
    if (ignoreCase_)
      fail("a property where case is ignored");
    rest_.remove_prefix(std::min<size_t>(3, rest_.size()));
    if (take("^"))
      negated = !negated;
    std::string_view name = rest_.substr(0, rest_.find('}'));
    std::optional<CodePointSet> set =
        name == "Han" ? CodePointSet::han() : CodePointSet::category(name);
    if (!set) {
      fail("the property '{}'; expected a general category such as L or Lu, or "
           "Han",
           name);
      return CodePointSet();
    }
    rest_.remove_prefix(name.size());
    if (!take("}"))
      fail("a property without its '}}'");
    return negated ? set->complement() : *set;
  }

  /// One character, written plainly or as an escape.
  uint32_t literal() {
    if (!take("\\"))
      return takeCharacter();
    for (auto [letter, code] : {std::pair<const char *, uint32_t>{"n", '\n'},
                                {"r", '\r'},
                                {"t", '\t'},
                                {"f", '\f'},
                                {"v", '\v'},
                                {"a", '\a'},
                                {"e", 0x1B}})
      if (take(letter))
        return code;
    if (take("u"))
      return hex(4, 4);
    if (take("x{")) {
      uint32_t code = hex(1, 6);
      if (!take("}"))
        fail("a '\\x{{' without its '}}'");
      return code;
    }
    const bool isAlnum =
        !rest_.empty() && ((rest_[0] >= '0' && rest_[0] <= '9') ||
                           ((rest_[0] | 32) >= 'a' && (rest_[0] | 32) <= 'z'));
    if (isAlnum)
      fail("the escape '\\{}'", rest_[0]);
    return takeCharacter();
  }
  uint32_t hex(int least, int most) {
    uint32_t value = 0;
    int digits = 0;
    for (; digits < most && !rest_.empty(); ++digits) {
      char c = rest_[0];
      int digit = c >= '0' && c <= '9'   ? c - '0'
                  : c >= 'a' && c <= 'f' ? c - 'a' + 10
                  : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                         : -1;
      if (digit < 0)
        break;
      value = value * 16 + static_cast<uint32_t>(digit);
      rest_.remove_prefix(1);
    }
    if (digits < least || value > 0x10FFFF)
      fail("a code point that is none");
    return value;
  }

  /// |c| with its other cases where case is ignored. Only ASCII is folded;
  /// the letters that fold to it, and no others, are U+017F and U+212A.
  CodePointSet folded(uint32_t c) {
    CodePointSet set = {{c, c}};
    if (!ignoreCase_)
      return set;
    if (c >= 0x80) {
      fail("a character beyond ASCII where case is ignored");
      return set;
    }
    const uint32_t lower = c | 32;
    if (lower < 'a' || lower > 'z') {
      lastFolded_ = 0;
      return set;
    }
    // Each of these is also one character (U+00DF, U+FB00 to U+FB06).
    for (auto [first, second] :
         {std::pair{'s', 's'}, {'s', 't'}, {'f', 'f'}, {'f', 'i'}, {'f', 'l'}})
      if (lastFolded_ == static_cast<uint32_t>(first) &&
          lower == static_cast<uint32_t>(second))
        fail("'{}{}' where case is ignored", first, second);
    lastFolded_ = lower;
    set.add({lower, lower});
    set.add({lower - 32, lower - 32});
    if (lower == 's')
      set.add({0x17F, 0x17F});
    if (lower == 'k')
      set.add({0x212A, 0x212A});
    return set;
  }

  /// Behind its '['; takes the ']'.
  CodePointSet characterClass(unsigned depth) {
    if (depth > kMaxDepth)
      fail("classes nested deeper than {}", kMaxDepth);
    const bool negated = take("^");
    if (negated && ignoreCase_)
      fail("a negated class where case is ignored");
    CodePointSet set;
    std::optional<CodePointSet> before; // of what stands before `&&`
    bool isEmpty = true;
    while (status_.ok() && !take("]")) {
      if (rest_.empty()) {
        fail("a '[' without its ']'");
        break;
      }
      if (rest_.starts_with("[:"))
        fail("a POSIX class");
      if (take("&&")) {
        before = before ? before->intersection(set) : set;
        set = {};
        isEmpty = true;
        continue;
      }
      isEmpty = false;
      if (take("[")) {
        set.add(characterClass(depth + 1));
        continue;
      }
      if (std::optional<CodePointSet> escape = classEscape(true)) {
        set.add(*escape);
        continue;
      }
      const bool isDash = rest_.starts_with('-');
      const uint32_t first = literal();
      if (isDash && !rest_.starts_with(']') && set.ranges().size())
        fail("a '-' inside a class");
      lastFolded_ = 0;
      if (!rest_.starts_with('-') || rest_.starts_with("-]")) {
        set.add(folded(first));
        continue;
      }
      take("-");
      if (rest_.starts_with('[') || classEscape(true))
        fail("a range that ends in a class");
      const uint32_t last = literal();
      if (last < first)
        fail("a range that ends before it begins");
      else if (ignoreCase_)
        for (uint32_t c = first; c <= last && status_.ok(); ++c) {
          lastFolded_ = 0;
          set.add(folded(c));
        }
      else
        set.add({first, last});
    }
    lastFolded_ = 0;
    if (isEmpty)
      fail("an empty class");
    if (before)
      set = before->intersection(set);
    return negated ? set.complement() : set;
  }

  // ---- writing

  size_t add(SplitRegex::Instruction instruction) {
    if (result_.program_.size() >= kMaxProgram)
      fail("a pattern of more than {} steps", kMaxProgram);
    else
      result_.program_.push_back(instruction);
    return result_.program_.size() - 1;
  }
  uint32_t here() const {
    return static_cast<uint32_t>(result_.program_.size());
  }
  uint32_t setIndex(const CodePointSet &set) {
    auto &sets = result_.sets_;
    auto at = std::find(sets.begin(), sets.end(), set);
    if (at == sets.end())
      at = sets.insert(at, set);
    return static_cast<uint32_t>(at - sets.begin());
  }
  /// A split to what is written next or to a place that land() names later.
  size_t addSplit() {
    return add({Op::Split, here() + 1, 0, result_.numSplits_++});
  }
  void land(size_t split, bool lazy) {
    SplitRegex::Instruction &i = result_.program_[split];
    i.b = here();
    if (lazy)
      std::swap(i.a, i.b);
  }

  void emit(const Node &node) {
    if (!status_.ok())
      return;
    switch (node.kind) {
    case Node::Set:
      add({Op::Set, setIndex(node.set)});
      return;
    case Node::Assertion:
      add({node.assertion, node.set.ranges().empty() ? 0 : setIndex(node.set)});
      return;
    case Node::Sequence:
      for (const NodePointer &child : node.children)
        emit(*child);
      return;
    case Node::Alternatives:
      emitAlternatives(node);
      return;
    case Node::Repeat:
      emitRepeat(node);
      return;
    }
  }

  void emitAlternatives(const Node &node) {
    std::vector<size_t> ends;
    for (size_t i = 0; i + 1 < node.children.size(); ++i) {
      size_t split = addSplit();
      emit(*node.children[i]);
      ends.push_back(add({Op::Jump}));
      land(split, /*lazy=*/false);
    }
    emit(*node.children.back());
    for (size_t end : ends)
      result_.program_[end].a = here();
  }

  void emitRepeat(const Node &node) {
    const Node &body = *node.children[0];
    if (node.greed == Greed::Possessive) {
      add({Op::Run, setIndex(body.set), node.min, node.max});
      return;
    }
    const bool lazy = node.greed == Greed::Lazy;
    for (uint32_t i = 0; i < node.min; ++i)
      emit(body);
    if (node.max == kNoLimit) {
      size_t split = addSplit();
      emit(body);
      add({Op::Jump, static_cast<uint32_t>(split)});
      land(split, lazy);
      return;
    }
    std::vector<size_t> splits;
    for (uint32_t i = node.min; i < node.max && status_.ok(); ++i) {
      splits.push_back(addSplit());
      emit(body);
    }
    for (size_t split : splits)
      land(split, lazy);
  }

  std::string_view pattern_, rest_;
  Status status_;
  bool ignoreCase_ = false;
  uint32_t lastFolded_ = 0; // the letter before, where case is ignored
  SplitRegex result_;
};

StatusOr<SplitRegex> SplitRegex::compile(std::string_view pattern) {
  return SplitRegexCompiler(pattern).run();
}

SplitRegex SplitRegex::literal(std::string_view text) {
  SplitRegex regex;
  while (!text.empty()) {
    Utf8Character c = decodeUtf8(text);
    text.remove_prefix(c.bytes);
    CodePointSet set = {{c.codePoint, c.codePoint}};
    set.buildTable();
    regex.program_.push_back(
        {Instruction::Set, static_cast<uint32_t>(regex.sets_.size())});
    regex.sets_.push_back(std::move(set));
  }
  regex.program_.push_back({Instruction::Match});
  return regex;
}

SplitRegex SplitRegex::ofSet(CodePointSet set, bool run) {
  SplitRegex regex;
  set.buildTable();
  regex.sets_.push_back(std::move(set));
  regex.program_.push_back({Instruction::Run, 0, 1, run ? kNoLimit : 1});
  regex.program_.push_back({Instruction::Match});
  return regex;
}

} // namespace hadal
