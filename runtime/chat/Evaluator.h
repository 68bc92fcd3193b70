// Walks the tree of a template.
#pragma once

#include <ctime>

#include "runtime/chat/Ast.h"
#include "runtime/chat/Template.h"

namespace hadal::chat {

/// One rendering. Everything throws RenderError.
class Evaluator {
public:
  Evaluator(const TemplateLimits &limits, std::time_t now);
  ~Evaluator();

  /// Sets a variable of the whole template.
  void define(const std::string &name, Value value);
  Text run(const Block &body);
  /// Of what is or was last evaluated.
  Position position() const { return position_; }

private:
  struct Scope {
    std::shared_ptr<Scope> parent;
    std::vector<std::pair<std::string, Value>> variables;
  };
  using ScopePointer = std::shared_ptr<Scope>;
  enum class Flow : uint8_t { Next, Break, Continue };
  struct Frame;

  void charge(uint64_t steps);
  void chargeFor(const Value &value);
  static void assign(Scope &scope, const std::string &name, Value value);
  const Value *lookUp(const std::string &name) const;

  Flow execute(const Block &block, Text &out);
  Flow execute(const Statement &statement, Text &out);
  Flow runIf(const Statement &statement, Text &out);
  Flow runFor(const Statement &statement, Text &out);
  void runSet(const Statement &statement);
  void defineMacro(const Statement &statement);
  Value callMacro(const Statement &macro, const ScopePointer &scope,
                  Arguments &arguments);
  void unpack(const Target &target, Value value);

  Value evaluate(const Expression &expression);
  Value evaluateAt(const Expression &expression);
  Arguments argumentsOf(const Expression &expression);
  Value evaluateCall(const Expression &expression);
  Value evaluateSlice(const Expression &expression);
  Value evaluateBinary(const Expression &expression);
  bool evaluateCompare(const Expression &expression);

  TemplateLimits limits_;
  std::time_t now_;
  uint64_t steps_ = 0;
  unsigned depth_ = 0, calls_ = 0;
  Position position_;
  ScopePointer globals_ = std::make_shared<Scope>();
  ScopePointer scope_ = globals_;
  /// Those in which a macro is defined, which refers to them: emptied at the
  /// end, since the two hold each other.
  std::vector<ScopePointer> macroScopes_;
};

} // namespace hadal::chat
