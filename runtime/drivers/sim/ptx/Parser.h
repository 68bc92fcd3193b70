// The recursive-descent parser behind PtxModule::parse.
#pragma once

#include <map>
#include <string>
#include <unordered_map>
#include <vector>

#include "runtime/drivers/sim/ptx/Decoder.h"
#include "runtime/drivers/sim/ptx/Lexer.h"
#include "runtime/drivers/sim/ptx/Ptx.h"

namespace hadal::sim {

/// A named variable of .shared, .local, .global, .const or .param.
struct Variable {
  Space space = Space::global;
  uint64_t bytes = 0, align = 1;
  int64_t offset = -1; ///< in its space; -1 = not placed yet
  bool dynamic = false; ///< .extern .shared name[]
  size_t moduleIndex = 0;
};

/// Parses the text of one module.
class ModuleParser {
public:
  ModuleParser(std::string_view text, PtxModule &module)
      : lexer(text), module(module) {}
  Status run();

private:
  friend class KernelParser;
  Status parseVariable(Space space, bool external);
  /// `.align N .b8 name[n] = {...}` behind the space directive.
  Status parseDeclarator(Variable &variable, std::string &name,
                         std::vector<uint8_t> &init);
  Status parseInitialiser(Type type, uint64_t bytes,
                          std::vector<uint8_t> &init);
  Status parseEntry();
  Status skipFunction();
  Status expect(char c);
  Status fail(unsigned line, std::string_view reason) const;

  Lexer lexer;
  PtxModule &module;
  std::map<std::string, Variable, std::less<>> variables;
};

/// Registers of one declaration, `%r<17>` or a single name.
struct RegisterRange {
  uint32_t first = 0; ///< virtual register number, predicates count apart
  uint32_t count = 1;
  uint8_t bits = 32; ///< 1, 16, 32, 64
};

/// A `{ }` of a body.
struct Scope {
  int parent = -1;
  std::map<std::string, RegisterRange, std::less<>> ranges;  ///< `%r<n>`
  std::map<std::string, RegisterRange, std::less<>> singles; ///< `p`
  std::map<std::string, uint32_t, std::less<>> labels;
  std::map<std::string, Variable, std::less<>> variables;
  std::map<std::string, std::vector<std::string>, std::less<>> branchTargets;
};

/// Parses one `.entry` from its name on.
class KernelParser {
public:
  KernelParser(ModuleParser &module, Kernel &kernel)
      : module(module), lexer(module.lexer), kernel(kernel) {}
  Status run();

private:
  struct Statement {
    ParsedInstruction parsed;
    int scope = 0;
    int32_t guard = -1; ///< virtual predicate
    bool guardNegated = false;
  };

  Status parseParameters();
  Status parseDirectives();
  Status parseBody();
  Status parseRegisters();
  Status parseLocalVariable(Space space);
  Status parseInstruction();
  // An operand is a scalar, a {vector} of scalars, or an [address] of a scalar
  // and coordinates, a scalar or a vector: nothing nests, whatever the text does.
  Status parseOperand(ParsedOperand &operand);
  Status parseScalar(ParsedOperand &operand);
  Status parseVector(ParsedOperand &operand);
  Status parseAddress(ParsedOperand &operand);
  Status resolveWord(const Token &token, ParsedOperand &operand);
  Status resolveLabels(Statement &statement);
  Status findLabel(int scope, const std::string &name, unsigned line,
                   uint32_t &pc) const;
  const RegisterRange *findRegister(std::string_view name, uint32_t &number);
  Variable *findVariable(std::string_view name);
  void placeShared(Variable &variable);
  Status decodeAll();
  Status fail(unsigned line, std::string_view reason) const {
    return module.fail(line, reason);
  }

  ModuleParser &module;
  Lexer &lexer;
  Kernel &kernel;
  std::vector<Scope> scopes;
  int scope = 0;
  std::vector<Statement> statements;
  uint32_t registerCount = 0, predicateCount = 0;
  std::vector<uint8_t> registerBits; ///< of each virtual register
};

/// What the row assignment needs of one instruction.
struct RegisterAccesses {
  std::vector<uint32_t> reads, writes;
  std::vector<uint32_t> targets; ///< of a branch
  bool fallsThrough = true;
  bool guarded = false; ///< a write may not happen
};

/// Assigns register rows to virtual registers so that registers with disjoint
/// lives share rows. A register that may be read before it is written lives
/// from the start, so that its undefinedness stays visible; |exclusive| ones
/// (named by asynchronous instructions) share with nobody.
struct RowAssignment {
  std::vector<uint32_t> row; ///< of each virtual register
  uint32_t rows = 0;
};
RowAssignment assignRows(const std::vector<RegisterAccesses> &code,
                         const std::vector<uint8_t> &registerBits,
                         const std::vector<bool> &exclusive);

} // namespace hadal::sim
