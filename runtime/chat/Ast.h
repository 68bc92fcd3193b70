// The tree of a template.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "runtime/chat/Builtins.h"
#include "runtime/chat/Lexer.h"
#include "runtime/chat/Value.h"

namespace hadal::chat {

struct Expression;
using ExpressionPointer = std::unique_ptr<Expression>;

struct Expression {
  enum Kind : uint8_t {
    Constant,
    Name,
    ListOf,
    TupleOf,
    DictOf,    // keys and values in turn
    Attribute, // operands[0].name
    Item,      // operands[0][operands[1]]
    Slice,     // operands[0][1 : 2 : 3], each of the three may be null
    Call,      // operands[0](operands[1..], named)
    Filter,    // operands[0] | name(operands[1..], named)
    Test,      // operands[0] is name(operands[1..])
    Not,
    Negate,
    Plus,
    Binary, // name: the operator
    And,
    Or,
    Compare,   // operands, `comparisons` between them
    Condition, // operands[0] if operands[1] else operands[2], which may be null
    Concatenate,
  } kind = Constant;
  enum Comparison : uint8_t { Eq, Ne, Lt, Le, Gt, Ge, In, NotIn };

  Position position;
  std::string name;
  Value constant;
  std::vector<ExpressionPointer> operands;
  std::vector<std::pair<std::string, ExpressionPointer>> named;
  std::vector<Comparison> comparisons;
  FilterFunction filter = nullptr;
  TestFunction test = nullptr;
  unsigned depth = 1;
};

struct Statement;
struct Block {
  std::vector<Statement> statements;
};

/// What `set` and `for` assign to.
struct Target {
  std::vector<std::string> names; // more than one: unpacked
  std::string member;             // of the namespace names[0]
  bool unpacks = false;
};

struct Statement {
  enum Kind : uint8_t {
    Data,
    Print,
    If,  // blocks[i] where expressions[i]; one block more: else
    For, // expressions[0]; [1], which may be null: only if; blocks: body, else
    Set, // expressions[0], or what blocks[0] writes
    Macro,
    Scoped, // blocks[0] with names of its own
    Break,
    Continue,
  } kind = Data;
  Position position;
  Value data;
  Target target; // of a macro: its parameters
  std::string name;
  std::vector<ExpressionPointer> expressions; // of a macro: defaults or null
  std::vector<Block> blocks;
  bool usesLoop = false;
};

/// Throws SyntaxError.
Block parseTemplate(std::string_view source, unsigned maxDepth);

} // namespace hadal::chat
