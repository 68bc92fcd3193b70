#include <algorithm>
#include <charconv>

#include "runtime/chat/Ast.h"

namespace hadal::chat {

namespace {

/// Of a tree of operators without brackets, such as a + b + c.
constexpr unsigned kMaxTree = 256;

class Parser {
public:
  Parser(std::vector<Token> tokens, unsigned maxDepth)
      : tokens_(std::move(tokens)), maxDepth_(maxDepth) {}

  Block parseAll() {
    Block block = parseBlock({});
    if (peek().kind != Token::End)
      fail(peek().position, "unexpected end of a block");
    return block;
  }

private:
  using E = Expression;

  // ---- tokens

  [[noreturn]] static void fail(Position position, std::string message) {
    throw SyntaxError{position, std::move(message)};
  }
  const Token &peek(size_t ahead = 0) const {
    return tokens_[std::min(at_ + ahead, tokens_.size() - 1)];
  }
  Token take() {
    Token token = peek();
    if (at_ + 1 < tokens_.size())
      ++at_;
    return token;
  }
  bool isOperator(std::string_view text, size_t ahead = 0) const {
    return peek(ahead).kind == Token::Operator && peek(ahead).text == text;
  }
  bool isName(std::string_view text, size_t ahead = 0) const {
    return peek(ahead).kind == Token::Name && peek(ahead).text == text;
  }
  bool accept(std::string_view op) {
    if (!isOperator(op))
      return false;
    take();
    return true;
  }
  bool acceptName(std::string_view name) {
    if (!isName(name))
      return false;
    take();
    return true;
  }
  static std::string describe(const Token &token) {
    switch (token.kind) {
    case Token::VariableEnd:
      return "the end of the tag '}}'";
    case Token::BlockEnd:
      return "the end of the tag '%}'";
    case Token::End:
      return "the end of the template";
    case Token::String:
      return "a string";
    default:
      return "'" + token.text + "'";
    }
  }
  void expect(std::string_view op) {
    if (!accept(op))
      fail(peek().position,
           fmt::format("expected '{}', found {}", op, describe(peek())));
  }
  std::string expectName() {
    if (peek().kind != Token::Name)
      fail(peek().position, "expected a name, found " + describe(peek()));
    return take().text;
  }
  void expectEnd() {
    if (peek().kind != Token::BlockEnd)
      fail(peek().position,
           "expected the end of the tag '%}', found " + describe(peek()));
    take();
  }

  struct Nesting {
    Nesting(Parser &parser) : parser(parser) {
      if (++parser.depth_ > parser.maxDepth_)
        fail(parser.peek().position,
             fmt::format("nested deeper than {} levels", parser.maxDepth_));
    }
    ~Nesting() { --parser.depth_; }
    Parser &parser;
  };

  // ---- expressions

  ExpressionPointer make(E::Kind kind, Position position,
                         std::vector<ExpressionPointer> operands = {}) {
    auto result = std::make_unique<Expression>();
    result->kind = kind;
    result->position = position;
    result->operands = std::move(operands);
    deepen(*result);
    return result;
  }
  static void deepen(Expression &expression) {
    for (const ExpressionPointer &each : expression.operands)
      if (each)
        expression.depth = std::max(expression.depth, each->depth + 1);
    for (const auto &[name, each] : expression.named)
      expression.depth = std::max(expression.depth, each->depth + 1);
    if (expression.depth > kMaxTree)
      fail(expression.position,
           fmt::format("an expression has more than {} levels", kMaxTree));
  }
  template <typename... Rest>
  static std::vector<ExpressionPointer> list(Rest... rest) {
    std::vector<ExpressionPointer> result;
    (result.push_back(std::move(rest)), ...);
    return result;
  }

  ExpressionPointer parseExpression() {
    Nesting nesting(*this);
    ExpressionPointer value = parseOr();
    while (isName("if")) {
      const Position position = take().position;
      ExpressionPointer condition = parseOr();
      ExpressionPointer otherwise;
      if (acceptName("else"))
        otherwise = parseExpression();
      value = make(
          E::Condition, position,
          list(std::move(value), std::move(condition), std::move(otherwise)));
    }
    return value;
  }

  ExpressionPointer parseOr() {
    ExpressionPointer left = parseAnd();
    while (isName("or")) {
      const Position position = take().position;
      left = make(E::Or, position, list(std::move(left), parseAnd()));
    }
    return left;
  }
  ExpressionPointer parseAnd() {
    ExpressionPointer left = parseNot();
    while (isName("and")) {
      const Position position = take().position;
      left = make(E::And, position, list(std::move(left), parseNot()));
    }
    return left;
  }
  ExpressionPointer parseNot() {
    if (!isName("not"))
      return parseCompare();
    Nesting nesting(*this);
    const Position position = take().position;
    return make(E::Not, position, list(parseNot()));
  }

  ExpressionPointer parseCompare() {
    const Position position = peek().position;
    ExpressionPointer first = parseBinary(0);
    std::vector<ExpressionPointer> operands;
    std::vector<E::Comparison> comparisons;
    static constexpr std::pair<std::string_view, E::Comparison> kOperators[] = {
        {"==", E::Eq}, {"!=", E::Ne}, {"<", E::Lt},
        {"<=", E::Le}, {">", E::Gt},  {">=", E::Ge}};
    for (;;) {
      std::optional<E::Comparison> comparison;
      for (const auto &[text, each] : kOperators)
        if (isOperator(text))
          comparison = each;
      if (isName("in"))
        comparison = E::In;
      if (isName("not") && isName("in", 1)) {
        take();
        comparison = E::NotIn;
      }
      if (!comparison)
        break;
      take();
      comparisons.push_back(*comparison);
      operands.push_back(parseBinary(0));
    }
    if (comparisons.empty())
      return first;
    operands.insert(operands.begin(), std::move(first));
    ExpressionPointer result = make(E::Compare, position, std::move(operands));
    result->comparisons = std::move(comparisons);
    return result;
  }

  /// Operators that bind more tightly from level to level, of equal ones the
  /// left one first.
  ExpressionPointer parseBinary(unsigned level) {
    static const std::vector<std::string_view> kLevels[] = {
        {"+", "-"}, {"~"}, {"*", "/", "//", "%"}, {"**"}};
    if (level == std::size(kLevels))
      return parseUnary(true);
    ExpressionPointer left = parseBinary(level + 1);
    const auto &operators = kLevels[level];
    while (peek().kind == Token::Operator &&
           std::find(operators.begin(), operators.end(), peek().text) !=
               operators.end()) {
      Token op = take();
      if (op.text == "**")
        fail(op.position, "the operator '**' is not supported");
      ExpressionPointer right = parseBinary(level + 1);
      if (op.text == "~" && left->kind == E::Concatenate) {
        left->operands.push_back(std::move(right));
        deepen(*left);
        continue;
      }
      left = make(op.text == "~" ? E::Concatenate : E::Binary, op.position,
                  list(std::move(left), std::move(right)));
      left->name = op.text;
    }
    return left;
  }

  ExpressionPointer parseUnary(bool withFilter) {
    ExpressionPointer value;
    if (isOperator("-") || isOperator("+")) {
      Nesting nesting(*this);
      Token op = take();
      value = make(op.text == "-" ? E::Negate : E::Plus, op.position,
                   list(parseUnary(false)));
    } else {
      value = parsePrimary();
    }
    value = parsePostfix(std::move(value));
    return withFilter ? parseFilters(std::move(value)) : std::move(value);
  }

  ExpressionPointer constant(Position position, Value value) {
    ExpressionPointer result = make(E::Constant, position);
    result->constant = std::move(value);
    return result;
  }

  ExpressionPointer parsePrimary() {
    Token token = take();
    const Position position = token.position;
    switch (token.kind) {
    case Token::Name: {
      if (token.text == "true" || token.text == "True")
        return constant(position, Value(true));
      if (token.text == "false" || token.text == "False")
        return constant(position, Value(false));
      if (token.text == "none" || token.text == "None")
        return constant(position, None{});
      for (const char *other : {"lipsum", "cycler", "joiner", "self", "super"})
        if (token.text == other)
          fail(position, fmt::format("'{}' is not supported", token.text));
      // Elsewhere they are names as any.
      for (const char *other : {"caller", "varargs", "kwargs"})
        if (macros_ && token.text == other)
          fail(position, fmt::format("'{}' is not supported", token.text));
      usesLoop_ |= token.text == "loop";
      ExpressionPointer result = make(E::Name, position);
      result->name = token.text;
      return result;
    }
    case Token::String: {
      std::string text = std::move(token.text);
      while (peek().kind == Token::String)
        text += take().text;
      return constant(position, Text(text, /*trusted=*/true));
    }
    case Token::Integer: {
      int64_t value = 0;
      const char *end = token.text.data() + token.text.size();
      if (std::from_chars(token.text.data(), end, value).ec != std::errc())
        fail(position, "the number is beyond 64 bits");
      return constant(position, Value(value));
    }
    case Token::Float: {
      double value = 0;
      const char *end = token.text.data() + token.text.size();
      if (std::from_chars(token.text.data(), end, value).ec != std::errc())
        fail(position, "the number is beyond a double");
      return constant(position, Value(value));
    }
    case Token::Operator:
      if (token.text == "(")
        return parseParenthesis(position);
      if (token.text == "[") {
        ExpressionPointer result = make(E::ListOf, position);
        parseElements(*result, "]");
        return result;
      }
      if (token.text == "{")
        return parseDict(position);
      break;
    default:
      break;
    }
    fail(position, "expected an expression, found " + describe(token));
  }

  void parseElements(Expression &result, std::string_view close) {
    while (!accept(close)) {
      result.operands.push_back(parseExpression());
      if (!isOperator(close))
        expect(",");
    }
    deepen(result);
  }

  ExpressionPointer parseParenthesis(Position position) {
    ExpressionPointer tuple = make(E::TupleOf, position);
    if (accept(")"))
      return tuple;
    ExpressionPointer first = parseExpression();
    if (accept(")"))
      return first;
    expect(",");
    tuple->operands.push_back(std::move(first));
    parseElements(*tuple, ")");
    return tuple;
  }

  ExpressionPointer parseDict(Position position) {
    ExpressionPointer result = make(E::DictOf, position);
    while (!accept("}")) {
      ExpressionPointer key = parseExpression();
      if (key->kind == E::Constant && !key->constant.as<Text>())
        fail(key->position, "keys other than strings are not supported");
      result->operands.push_back(std::move(key));
      expect(":");
      result->operands.push_back(parseExpression());
      if (!isOperator("}"))
        expect(",");
    }
    deepen(*result);
    return result;
  }

  ExpressionPointer parsePostfix(ExpressionPointer value) {
    for (;;) {
      const Position position = peek().position;
      if (accept(".")) {
        if (peek().kind == Token::Integer) {
          ExpressionPointer index = parsePrimary();
          value =
              make(E::Item, position, list(std::move(value), std::move(index)));
          continue;
        }
        std::string name = expectName();
        value = make(E::Attribute, position, list(std::move(value)));
        value->name = std::move(name);
      } else if (accept("[")) {
        value = parseSubscript(std::move(value), position);
      } else if (isOperator("(")) {
        value = parseCall(std::move(value));
      } else {
        return value;
      }
    }
  }

  ExpressionPointer parseSubscript(ExpressionPointer value, Position position) {
    const auto endsPart = [&] {
      return isOperator(":") || isOperator("]") || isOperator(",");
    };
    ExpressionPointer parts[3];
    bool isSlice = false;
    if (!endsPart())
      parts[0] = parseExpression();
    for (unsigned i = 1; i < 3 && accept(":"); ++i) {
      isSlice = true;
      if (!endsPart())
        parts[i] = parseExpression();
    }
    if (isOperator(","))
      fail(peek().position, "a subscript of several parts is not supported");
    if (!isSlice && !parts[0])
      fail(peek().position, "expected a subscript");
    expect("]");
    if (!isSlice)
      return make(E::Item, position,
                  list(std::move(value), std::move(parts[0])));
    return make(E::Slice, position,
                list(std::move(value), std::move(parts[0]), std::move(parts[1]),
                     std::move(parts[2])));
  }

  void parseArguments(Expression &call) {
    expect("(");
    while (!accept(")")) {
      if (isOperator("*") || isOperator("**"))
        fail(peek().position, "'*' before an argument is not supported");
      if (peek().kind == Token::Name && isOperator("=", 1)) {
        Token name = take();
        take();
        for (const auto &[other, value] : call.named)
          if (other == name.text)
            fail(name.position,
                 fmt::format("the argument '{}' is given twice", name.text));
        call.named.emplace_back(name.text, parseExpression());
      } else {
        if (!call.named.empty())
          fail(peek().position, "a positional argument behind a named one");
        call.operands.push_back(parseExpression());
      }
      if (!isOperator(")"))
        expect(",");
    }
    deepen(call);
  }

  ExpressionPointer parseCall(ExpressionPointer callee) {
    if (callee->kind == E::Attribute && !isMethodName(callee->name))
      fail(callee->position,
           fmt::format("the method '{}' is not supported", callee->name));
    ExpressionPointer call =
        make(E::Call, peek().position, list(std::move(callee)));
    parseArguments(*call);
    return call;
  }

  ExpressionPointer parseFilters(ExpressionPointer value) {
    for (;;) {
      const Position position = peek().position;
      if (accept("|")) {
        std::string name = expectName();
        value = make(E::Filter, position, list(std::move(value)));
        value->filter = findFilter(name);
        if (!value->filter)
          fail(position, fmt::format("the filter '{}' is not supported", name));
        value->name = std::move(name);
        if (isOperator("("))
          parseArguments(*value);
        checkNames(*value);
      } else if (isName("is")) {
        take();
        value = parseTest(std::move(value), position);
      } else if (isOperator("(")) {
        value = parseCall(std::move(value));
      } else {
        return value;
      }
    }
  }

  /// map, select and their like name filters and tests by strings.
  void checkNames(const Expression &filter) {
    const bool isMap = filter.name == "map";
    const bool byAttribute =
        filter.name == "selectattr" || filter.name == "rejectattr";
    if (!isMap && !byAttribute && filter.name != "select" &&
        filter.name != "reject")
      return;
    const size_t index = byAttribute ? 2 : 1;
    if (filter.operands.size() <= index)
      return;
    const Expression &name = *filter.operands[index];
    const Text *text = name.constant.as<Text>();
    if (name.kind != E::Constant || !text)
      fail(name.position, fmt::format("the name that '{}' takes is supported "
                                      "as a string only",
                                      filter.name));
    if (isMap ? !findFilter(text->bytes()) : !findTest(text->bytes()))
      fail(name.position,
           fmt::format("the {} '{}' is not supported",
                       isMap ? "filter" : "test", text->bytes()));
  }

  ExpressionPointer parseTest(ExpressionPointer value, Position position) {
    const bool negated = acceptName("not");
    const std::string name = expectName();
    ExpressionPointer test = make(E::Test, position, list(std::move(value)));
    test->name = name;
    test->test = findTest(name);
    if (!test->test)
      fail(position, fmt::format("the test '{}' is not supported", name));
    const Token &next = peek();
    if (isOperator("(")) {
      parseArguments(*test);
    } else if (next.kind == Token::String || next.kind == Token::Integer ||
               next.kind == Token::Float || isOperator("[") ||
               isOperator("{") ||
               (next.kind == Token::Name && next.text != "else" &&
                next.text != "or" && next.text != "and")) {
      if (isName("is"))
        fail(next.position, "tests cannot be chained by 'is'");
      test->operands.push_back(parsePostfix(parsePrimary()));
      deepen(*test);
    }
    return negated ? make(E::Not, position, list(std::move(test)))
                   : std::move(test);
  }

  /// An expression, or a tuple without brackets.
  ExpressionPointer parseTuple() {
    const Position position = peek().position;
    ExpressionPointer first = parseExpression();
    if (!isOperator(","))
      return first;
    ExpressionPointer tuple =
        make(E::TupleOf, position, list(std::move(first)));
    while (accept(",")) {
      if (peek().kind == Token::VariableEnd || peek().kind == Token::BlockEnd ||
          peek().kind == Token::Operator)
        if (!isOperator("(") && !isOperator("[") && !isOperator("{") &&
            !isOperator("-") && !isOperator("+"))
          break;
      tuple->operands.push_back(parseExpression());
    }
    deepen(*tuple);
    return tuple;
  }

  // ---- statements

  /// Up to a tag whose first word is one of |ends|, which is not taken.
  Block parseBlock(std::initializer_list<std::string_view> ends) {
    Nesting nesting(*this);
    Block block;
    for (;;) {
      const Token &token = peek();
      if (token.kind == Token::End) {
        if (ends.size())
          fail(token.position,
               fmt::format("the template ends before '{{% {} %}}'",
                           *(ends.end() - 1)));
        return block;
      }
      if (token.kind == Token::BlockBegin) {
        for (std::string_view end : ends)
          if (isName(end, 1))
            return block;
        take();
        parseStatement(block);
        continue;
      }
      Statement statement;
      statement.position = token.position;
      if (token.kind == Token::Data) {
        statement.data = Text(take().text, /*trusted=*/true);
      } else {
        take(); // VariableBegin
        statement.kind = Statement::Print;
        statement.expressions.push_back(parseTuple());
        if (peek().kind != Token::VariableEnd)
          fail(peek().position,
               "expected the end of the tag '}}', found " + describe(peek()));
        take();
      }
      block.statements.push_back(std::move(statement));
    }
  }

  void endBlock() {
    take(); // BlockBegin
    take(); // the word
    expectEnd();
  }

  void parseStatement(Block &block) {
    Statement statement;
    statement.position = peek().position;
    const std::string word = expectName();
    if (word == "if")
      parseIf(statement);
    else if (word == "for")
      parseFor(statement);
    else if (word == "set")
      parseSet(statement);
    else if (word == "macro")
      parseMacro(statement);
    else if (word == "break" || word == "continue") {
      if (!loops_)
        fail(statement.position, fmt::format("'{}' outside of a loop", word));
      statement.kind = word == "break" ? Statement::Break : Statement::Continue;
      expectEnd();
    } else if (word == "generation") {
      // Of training: marks what the model has written.
      statement.kind = Statement::Scoped;
      expectEnd();
      statement.blocks.push_back(parseBlock({"endgeneration"}));
      endBlock();
    } else
      fail(statement.position,
           fmt::format("the statement '{}' is not supported", word));
    block.statements.push_back(std::move(statement));
  }

  void parseIf(Statement &statement) {
    statement.kind = Statement::If;
    for (;;) {
      statement.expressions.push_back(parseTuple());
      expectEnd();
      statement.blocks.push_back(parseBlock({"elif", "else", "endif"}));
      take(); // BlockBegin
      const Token word = take();
      if (word.text == "elif")
        continue;
      expectEnd();
      if (word.text == "else") {
        statement.blocks.push_back(parseBlock({"endif"}));
        endBlock();
      }
      return;
    }
  }

  std::string parseVariable() {
    const Position position = peek().position;
    std::string name = expectName();
    for (const char *word :
         {"true", "false", "none", "True", "False", "None", "not", "and", "or",
          "in", "is", "if", "else", "loop"})
      if (name == word)
        fail(position, fmt::format("'{}' cannot be assigned to", name));
    return name;
  }

  Target parseTarget() {
    Target target;
    const bool inBrackets = accept("(");
    target.names.push_back(parseVariable());
    while (accept(",")) {
      target.unpacks = true;
      if (peek().kind != Token::Name || isName("in"))
        break;
      target.names.push_back(parseVariable());
    }
    if (inBrackets)
      expect(")");
    return target;
  }

  void parseFor(Statement &statement) {
    statement.kind = Statement::For;
    statement.target = parseTarget();
    if (!acceptName("in"))
      fail(peek().position, "expected 'in', found " + describe(peek()));
    // Not a ternary: `if` begins the condition of the loop.
    statement.expressions.push_back(parseLoopItems());
    statement.expressions.push_back(acceptName("if") ? parseExpression()
                                                     : nullptr);
    if (isName("recursive"))
      fail(peek().position, "'recursive' is not supported");
    expectEnd();
    const bool outer = std::exchange(usesLoop_, false);
    ++loops_;
    statement.blocks.push_back(parseBlock({"else", "endfor"}));
    --loops_;
    statement.usesLoop = usesLoop_;
    usesLoop_ |= outer;
    take(); // BlockBegin
    const Token word = take();
    expectEnd();
    if (word.text == "else") {
      statement.blocks.push_back(parseBlock({"endfor"}));
      endBlock();
    }
  }

  ExpressionPointer parseLoopItems() {
    const Position position = peek().position;
    ExpressionPointer first = parseOr();
    if (!isOperator(","))
      return first;
    ExpressionPointer tuple =
        make(E::TupleOf, position, list(std::move(first)));
    while (accept(","))
      if (peek().kind != Token::BlockEnd && !isName("if"))
        tuple->operands.push_back(parseOr());
    deepen(*tuple);
    return tuple;
  }

  void parseSet(Statement &statement) {
    statement.kind = Statement::Set;
    if (peek().kind == Token::Name && isOperator(".", 1)) {
      statement.target.names.push_back(take().text);
      take();
      statement.target.member = expectName();
    } else {
      statement.target = parseTarget();
    }
    if (accept("=")) {
      statement.expressions.push_back(parseTuple());
      expectEnd();
      return;
    }
    if (isOperator("|"))
      fail(peek().position, "a filter of a set block is not supported");
    if (statement.target.unpacks)
      fail(peek().position, "expected '=', found " + describe(peek()));
    expectEnd();
    statement.blocks.push_back(parseBlock({"endset"}));
    endBlock();
  }

  void parseMacro(Statement &statement) {
    statement.kind = Statement::Macro;
    statement.name = parseVariable();
    expect("(");
    while (!accept(")")) {
      const Position position = peek().position;
      statement.target.names.push_back(parseVariable());
      if (accept("="))
        statement.expressions.push_back(parseExpression());
      else if (!statement.expressions.empty() && statement.expressions.back())
        fail(position, "a parameter without default behind one with");
      else
        statement.expressions.push_back(nullptr);
      if (!isOperator(")"))
        expect(",");
    }
    expectEnd();
    const unsigned loops = std::exchange(loops_, 0);
    ++macros_;
    statement.blocks.push_back(parseBlock({"endmacro"}));
    --macros_;
    loops_ = loops;
    endBlock();
  }

  std::vector<Token> tokens_;
  size_t at_ = 0;
  unsigned maxDepth_, depth_ = 0, loops_ = 0, macros_ = 0;
  bool usesLoop_ = false;
};

} // namespace

Block parseTemplate(std::string_view source, unsigned maxDepth) {
  return Parser(tokenize(source), maxDepth).parseAll();
}

} // namespace hadal::chat
