// The body of an .entry.
#include "runtime/drivers/sim/ptx/Parser.h"

#include <algorithm>

namespace hadal::sim {

/// The most blocks { } of a kernel: a lookup of a name walks out through those
/// that are open, and each takes far more memory than its text.
static constexpr size_t kMaxBlocks = 4096;

Status KernelParser::run() {
  scopes.push_back({});
  HADAL_RETURN_IF_ERROR(parseParameters());
  HADAL_RETURN_IF_ERROR(parseDirectives());
  HADAL_RETURN_IF_ERROR(parseBody());
  for (Statement &statement : statements)
    HADAL_RETURN_IF_ERROR(resolveLabels(statement));
  return decodeAll();
}

Status KernelParser::parseParameters() {
  if (!lexer.peek().is('('))
    return {};
  lexer.next();
  uint32_t offset = 0;
  while (!lexer.peek().is(')')) {
    Token token = lexer.next();
    if (!token.is(".param"))
      return fail(token.line, "expected .param");
    uint64_t align = 0;
    std::optional<Type> type;
    // `.u64 .ptr .global .align 1 name`, `.align 64 .b8 name[128]`: the
    // alignment behind .ptr is that of the pointee.
    bool pointer = false;
    while (lexer.peek().kind == Token::directive) {
      token = lexer.next();
      if (token.is(".align")) {
        uint64_t value = lexer.next().value;
        if (!pointer)
          align = value;
      } else if (token.is(".ptr")) {
        pointer = true;
      } else if (std::optional<Type> named = typeNamed(token.text.substr(1))) {
        type = named;
      } else if (!(pointer && (token.is(".global") || token.is(".shared") ||
                               token.is(".const") || token.is(".local")))) {
        return fail(token.line,
                    fmt::format("parameter attribute {} is not modelled",
                                token.text));
      }
    }
    Token name = lexer.next();
    if (!type || name.kind != Token::word)
      return fail(name.line, "a parameter needs a type and a name");
    KernelParameter parameter;
    parameter.name = name.text;
    parameter.bytes = bytesOf(*type);
    if (lexer.peek().is('[')) {
      lexer.next();
      parameter.bytes *= lexer.next().value;
      HADAL_RETURN_IF_ERROR(module.expect(']'));
    }
    parameter.align = align ? align : bytesOf(*type);
    if ((parameter.align & (parameter.align - 1)) || parameter.align > 4096)
      return fail(name.line, "a parameter's alignment is not a power of two");
    offset = (offset + parameter.align - 1) & -parameter.align;
    parameter.offset = offset;
    offset += parameter.bytes;
    Variable variable;
    variable.space = Space::param;
    variable.bytes = parameter.bytes;
    variable.offset = parameter.offset;
    scopes[0].variables[parameter.name] = variable;
    kernel.parameters.push_back(std::move(parameter));
    if (lexer.peek().is(','))
      lexer.next();
  }
  lexer.next();
  kernel.parameterBytes = offset;
  return {};
}

Status KernelParser::parseDirectives() {
  while (lexer.peek().kind == Token::directive) {
    Token token = lexer.next();
    uint64_t values[3] = {1, 1, 1};
    unsigned count = 0;
    while (lexer.peek().kind == Token::integer && count < 3) {
      values[count++] = lexer.next().value;
      if (lexer.peek().is(','))
        lexer.next();
    }
    if (token.is(".maxntid") || token.is(".reqntid"))
      kernel.maxThreads = values[0] * values[1] * values[2];
    else if (token.is(".maxnreg"))
      kernel.maxRegisters = values[0];
    else if (token.is(".reqnctapercluster"))
      std::copy(values, values + 3, kernel.clusterSize);
    else if (token.is(".explicitcluster"))
      kernel.explicitCluster = true;
    else if (!token.is(".minnctapersm") && !token.is(".maxclusterrank"))
      return fail(token.line,
                  fmt::format("directive {} is not modelled", token.text));
  }
  return {};
}

Status KernelParser::parseRegisters() {
  Token typeToken = lexer.next();
  std::optional<Type> type = typeToken.kind == Token::directive
                                 ? typeNamed(typeToken.text.substr(1))
                                 : std::nullopt;
  if (!type || bitsOf(*type) > 64)
    return fail(typeToken.line, fmt::format("registers of type {} are not "
                                            "modelled", typeToken.text));
  for (;;) {
    Token name = lexer.next();
    if (name.kind != Token::word)
      return fail(name.line, "expected a register name");
    RegisterRange range;
    range.bits = bitsOf(*type) == 8 ? 16 : bitsOf(*type);
    bool numbered = lexer.peek().is('<');
    if (numbered) {
      lexer.next();
      uint64_t count = lexer.next().value;
      if (count > 1'000'000)
        return fail(name.line, "too many registers");
      range.count = count;
      HADAL_RETURN_IF_ERROR(module.expect('>'));
    }
    uint32_t &next = range.bits == 1 ? predicateCount : registerCount;
    range.first = next;
    next += range.count;
    if (range.bits != 1)
      registerBits.resize(registerCount, range.bits);
    auto &table = numbered ? scopes[scope].ranges : scopes[scope].singles;
    table[std::string(name.text)] = range;
    if (!lexer.peek().is(','))
      break;
    lexer.next();
  }
  return module.expect(';');
}

Status KernelParser::parseLocalVariable(Space space) {
  Variable variable;
  variable.space = space;
  std::string name;
  std::vector<uint8_t> init;
  unsigned line = lexer.peek().line;
  HADAL_RETURN_IF_ERROR(module.parseDeclarator(variable, name, init));
  HADAL_RETURN_IF_ERROR(module.expect(';'));
  if (variable.dynamic || !init.empty())
    return fail(line, fmt::format("variable '{}' in a body must have a size "
                                  "and no initialiser", name));
  if (space == Space::local) {
    uint64_t at = (kernel.localBytes + variable.align - 1) & -variable.align;
    variable.offset = at;
    kernel.localBytes = at + variable.bytes;
  }
  scopes[scope].variables[name] = variable;
  return {};
}

Status KernelParser::parseBody() {
  HADAL_RETURN_IF_ERROR(module.expect('{'));
  for (;;) {
    const Token token = lexer.peek();
    if (token.kind == Token::end)
      return fail(token.line, "the body of the entry has no end");
    if (token.is('{')) {
      lexer.next();
      if (scopes.size() == kMaxBlocks)
        return fail(lexer.peek().line,
                    fmt::format("a kernel of more than {} blocks", kMaxBlocks));
      scopes.push_back({});
      scopes.back().parent = scope;
      scope = scopes.size() - 1;
    } else if (token.is('}')) {
      lexer.next();
      if (scope == 0)
        return {};
      scope = scopes[scope].parent;
    } else if (token.is(';')) {
      lexer.next();
    } else if (token.is(".reg")) {
      lexer.next();
      HADAL_RETURN_IF_ERROR(parseRegisters());
    } else if (token.is(".shared") || token.is(".local")) {
      lexer.next();
      HADAL_RETURN_IF_ERROR(parseLocalVariable(
          token.is(".shared") ? Space::shared : Space::local));
    } else if (token.is(".loc")) {
      lexer.skipLine();
    } else if (token.is(".pragma")) {
      while (!lexer.peek().is(';') && lexer.peek().kind != Token::end)
        lexer.next();
    } else if (token.kind == Token::word || token.is('@')) {
      HADAL_RETURN_IF_ERROR(parseInstruction());
    } else {
      return fail(token.line,
                  fmt::format("'{}' is not modelled in a body", token.text));
    }
  }
}

const RegisterRange *KernelParser::findRegister(std::string_view name,
                                                uint32_t &number) {
  size_t digits = name.size();
  while (digits > 0 && name[digits - 1] >= '0' && name[digits - 1] <= '9')
    --digits;
  std::string_view base = name.substr(0, digits);
  uint64_t index = 0;
  for (char c : name.substr(digits))
    index = std::min<uint64_t>(index * 10 + (c - '0'), UINT32_MAX);
  for (int s = scope; s >= 0; s = scopes[s].parent) {
    auto single = scopes[s].singles.find(name);
    if (single != scopes[s].singles.end()) {
      number = single->second.first;
      return &single->second;
    }
    if (digits == name.size())
      continue;
    auto range = scopes[s].ranges.find(base);
    if (range != scopes[s].ranges.end() && index < range->second.count) {
      number = range->second.first + index;
      return &range->second;
    }
  }
  return nullptr;
}

Variable *KernelParser::findVariable(std::string_view name) {
  for (int s = scope; s >= 0; s = scopes[s].parent) {
    auto found = scopes[s].variables.find(name);
    if (found != scopes[s].variables.end())
      return &found->second;
  }
  auto found = module.variables.find(name);
  if (found == module.variables.end())
    return nullptr;
  // A copy of this kernel: shared variables are placed per kernel.
  return &(scopes[0].variables[std::string(name)] = found->second);
}

void KernelParser::placeShared(Variable &variable) {
  kernel.sharedAlign =
      std::max<uint32_t>(kernel.sharedAlign, variable.align);
  if (variable.dynamic || variable.offset >= 0)
    return;
  uint32_t at = (kernel.staticShared + variable.align - 1) & -variable.align;
  variable.offset = at;
  kernel.staticShared = at + variable.bytes;
}

Status KernelParser::resolveWord(const Token &token, ParsedOperand &operand) {
  std::string_view name = token.text;
  operand.text = name;
  uint32_t number = 0;
  if (name == "_") {
    operand.kind = ParsedOperand::sink;
  } else if (const RegisterRange *range = findRegister(name, number)) {
    operand.kind = range->bits == 1 ? ParsedOperand::predicate
                                    : ParsedOperand::registerRow;
    operand.bits = range->bits;
    operand.row = number;
  } else if (name[0] == '%' || name == "WARP_SZ") {
    operand.kind = ParsedOperand::special;
  } else if (Variable *variable = findVariable(name)) {
    operand.kind = ParsedOperand::symbol;
    operand.space = variable->space;
    if (variable->space == Space::shared)
      placeShared(*variable);
    // Dynamic shared memory and module variables get their address when the
    // layout is known: bits 1 and 2 mark them for decodeAll().
    if (variable->dynamic)
      operand.bits = 1;
    else if (variable->space == Space::global ||
             variable->space == Space::constant)
      operand.bits = 2;
    operand.value = operand.bits == 2
                        ? static_cast<int64_t>(variable->moduleIndex)
                        : std::max<int64_t>(variable->offset, 0);
  } else {
    operand.kind = ParsedOperand::label;
  }
  return {};
}

Status KernelParser::parseAddress(ParsedOperand &operand) {
  lexer.next(); // [
  operand.kind = ParsedOperand::address;
  ParsedOperand base;
  Token token = lexer.next();
  if (token.kind == Token::word) {
    HADAL_RETURN_IF_ERROR(resolveWord(token, base));
    if (base.kind != ParsedOperand::registerRow &&
        base.kind != ParsedOperand::symbol)
      return fail(token.line, fmt::format("'{}' cannot be an address",
                                          token.text));
  } else if (token.kind == Token::integer) {
    base.kind = ParsedOperand::integer;
    base.value = token.value;
  } else {
    return fail(token.line, fmt::format("'{}' cannot be an address", token.text));
  }
  operand.elements.push_back(std::move(base));
  if (lexer.peek().is('+') || lexer.peek().is('-')) {
    bool negative = lexer.next().is('-');
    if (lexer.peek().is('-')) {
      lexer.next();
      negative = !negative;
    }
    Token offset = lexer.next();
    if (offset.kind != Token::integer)
      return fail(offset.line, "an address offset must be a number");
    operand.value = negative ? -static_cast<int64_t>(offset.value)
                             : static_cast<int64_t>(offset.value);
  }
  if (lexer.peek().is(',')) {
    lexer.next();
    ParsedOperand coordinates;
    HADAL_RETURN_IF_ERROR(lexer.peek().is('{') ? parseVector(coordinates)
                                               : parseScalar(coordinates));
    operand.elements.push_back(std::move(coordinates));
  }
  return module.expect(']');
}

Status KernelParser::parseScalar(ParsedOperand &operand) {
  Token token = lexer.next();
  bool negated = token.is('!'), negative = token.is('-');
  if (negated || negative)
    token = lexer.next();
  if (negated && token.kind != Token::word)
    return fail(token.line, "'!' needs a predicate");
  if (!negated &&
      (token.kind == Token::integer || token.kind == Token::floating)) {
    operand.kind = token.kind == Token::integer ? ParsedOperand::integer
                                                : ParsedOperand::floating;
    operand.bits = token.wide ? 64 : 32;
    operand.value = token.value;
    if (negative && token.kind == Token::integer)
      operand.value = -operand.value;
    else if (negative)
      operand.value ^= int64_t(1) << (operand.bits - 1);
    return {};
  }
  if (negative)
    return fail(token.line, "'-' needs a number");
  if (token.kind != Token::word)
    return fail(token.line, fmt::format("'{}' is no operand", token.text));
  HADAL_RETURN_IF_ERROR(resolveWord(token, operand));
  if (negated && operand.kind != ParsedOperand::predicate)
    return fail(token.line, "'!' needs a predicate");
  operand.negated = negated;
  return {};
}

Status KernelParser::parseVector(ParsedOperand &operand) {
  lexer.next(); // {
  operand.kind = ParsedOperand::vector;
  while (!lexer.peek().is('}')) {
    ParsedOperand element;
    HADAL_RETURN_IF_ERROR(parseScalar(element));
    operand.elements.push_back(std::move(element));
    if (lexer.peek().is(','))
      lexer.next();
  }
  lexer.next();
  return {};
}

Status KernelParser::parseOperand(ParsedOperand &operand) {
  if (lexer.peek().is('['))
    return parseAddress(operand);
  if (lexer.peek().is('{'))
    return parseVector(operand);
  return parseScalar(operand);
}

Status KernelParser::parseInstruction() {
  Statement statement;
  statement.scope = scope;
  if (lexer.peek().is('@')) {
    lexer.next();
    statement.guardNegated = lexer.peek().is('!');
    if (statement.guardNegated)
      lexer.next();
    Token name = lexer.next();
    ParsedOperand guard;
    if (name.kind == Token::word)
      HADAL_RETURN_IF_ERROR(resolveWord(name, guard));
    if (guard.kind != ParsedOperand::predicate)
      return fail(name.line, "a guard must be a predicate");
    statement.guard = guard.row;
  }
  Token word = lexer.next();
  if (word.kind != Token::word)
    return fail(word.line, fmt::format("expected an instruction, found '{}'",
                                       word.text));
  if (lexer.peek().is(':')) {
    lexer.next();
    if (lexer.peek().is(".branchtargets")) {
      lexer.next();
      auto &targets = scopes[scope].branchTargets[std::string(word.text)];
      while (lexer.peek().kind == Token::word) {
        targets.emplace_back(lexer.next().text);
        if (lexer.peek().is(','))
          lexer.next();
      }
      return module.expect(';');
    }
    if (!scopes[scope].labels.emplace(word.text, statements.size()).second)
      return fail(word.line, fmt::format("label '{}' is defined twice",
                                         word.text));
    return {};
  }
  ParsedInstruction &parsed = statement.parsed;
  parsed.text = word.text;
  parsed.line = word.line;
  for (size_t begin = 0; begin <= word.text.size();) {
    size_t dot = std::min(word.text.find('.', begin), word.text.size());
    std::string_view part = word.text.substr(begin, dot - begin);
    if (begin == 0)
      parsed.opcode = part;
    else
      parsed.modifiers.emplace_back(part);
    begin = dot + 1;
  }
  // Directive tokens cannot follow an opcode; the lexer keeps it in one word.
  if (!findDecoder(parsed.opcode))
    return fail(word.line, fmt::format("instruction '{}' is not modelled",
                                       word.text));
  while (!lexer.peek().is(';')) {
    if (lexer.peek().kind == Token::end)
      return fail(word.line, "an instruction has no ';'");
    parsed.operands.emplace_back();
    HADAL_RETURN_IF_ERROR(parseOperand(parsed.operands.back()));
    if (lexer.peek().is(',') || lexer.peek().is('|'))
      lexer.next();
    else if (!lexer.peek().is(';'))
      return fail(lexer.peek().line,
                  fmt::format("'{}': unexpected '{}'", word.text,
                              lexer.peek().text));
  }
  lexer.next();
  statements.push_back(std::move(statement));
  return {};
}

Status KernelParser::findLabel(int from, const std::string &name,
                               unsigned line, uint32_t &pc) const {
  for (int s = from; s >= 0; s = scopes[s].parent) {
    auto found = scopes[s].labels.find(name);
    if (found != scopes[s].labels.end()) {
      pc = found->second;
      return {};
    }
  }
  return fail(line, fmt::format("'{}' is not declared", name));
}

Status KernelParser::resolveLabels(Statement &statement) {
  unsigned line = statement.parsed.line;
  for (ParsedOperand &operand : statement.parsed.operands) {
    if (operand.kind != ParsedOperand::label)
      continue;
    uint32_t pc = 0;
    if (statement.parsed.opcode == "brx") {
      const std::vector<std::string> *targets = nullptr;
      for (int s = statement.scope; s >= 0 && !targets; s = scopes[s].parent) {
        auto found = scopes[s].branchTargets.find(operand.text);
        if (found != scopes[s].branchTargets.end())
          targets = &found->second;
      }
      if (!targets)
        return fail(line, fmt::format("'{}' is no .branchtargets list",
                                      operand.text));
      operand.kind = ParsedOperand::vector;
      for (const std::string &target : *targets) {
        HADAL_RETURN_IF_ERROR(findLabel(statement.scope, target, line, pc));
        ParsedOperand element;
        element.kind = ParsedOperand::label;
        element.value = pc;
        operand.elements.push_back(element);
      }
      continue;
    }
    HADAL_RETURN_IF_ERROR(findLabel(statement.scope, operand.text, line, pc));
    operand.value = pc;
  }
  return {};
}

namespace {

/// Calls f on |operand| and everything inside it.
template <typename F> void visit(ParsedOperand &operand, F &&f) {
  f(operand);
  for (ParsedOperand &element : operand.elements)
    visit(element, f);
}

} // namespace

Status KernelParser::decodeAll() {
  // A last instruction that runs off the end is an exit.
  uint32_t dynamicBase =
      sharedWindowBase + ((kernel.staticShared + kernel.sharedAlign - 1) &
                          -kernel.sharedAlign);
  for (Statement &statement : statements)
    for (ParsedOperand &operand : statement.parsed.operands)
      visit(operand, [&](ParsedOperand &o) {
        if (o.kind == ParsedOperand::symbol && o.space == Space::shared)
          o.value = o.bits == 1 ? dynamicBase : o.value + sharedWindowBase;
      });

  // First pass: virtual registers, to learn who reads and writes what.
  std::vector<RegisterAccesses> accesses(statements.size());
  std::vector<bool> exclusive(registerCount);
  {
    Kernel scratch;
    scratch.rows = registerCount;
    for (size_t pc = 0; pc < statements.size(); ++pc) {
      Statement &statement = statements[pc];
      Instruction instruction;
      DecodeContext context(scratch, statement.parsed, instruction);
      HADAL_RETURN_IF_ERROR(
          findDecoder(statement.parsed.opcode)(context));
      auto known = [&](uint32_t row) { return row < registerCount; };
      for (uint32_t row : context.reads)
        if (known(row))
          accesses[pc].reads.push_back(row);
      for (uint32_t row : context.writes)
        if (known(row))
          accesses[pc].writes.push_back(row);
      for (uint32_t row : context.kept)
        if (known(row))
          exclusive[row] = true;
      accesses[pc].guarded = statement.guard >= 0;
      for (ParsedOperand &operand : statement.parsed.operands)
        visit(operand, [&](ParsedOperand &o) {
          if (o.kind == ParsedOperand::label)
            accesses[pc].targets.push_back(o.value);
        });
      const std::string &opcode = statement.parsed.opcode;
      accesses[pc].fallsThrough =
          statement.guard >= 0 ||
          (opcode != "bra" && opcode != "brx" && opcode != "ret" &&
           opcode != "exit" && opcode != "trap");
    }
  }
  RowAssignment assignment = assignRows(accesses, registerBits, exclusive);
  kernel.rows = assignment.rows;
  kernel.predicates = predicateCount;

  for (Statement &statement : statements) {
    for (ParsedOperand &operand : statement.parsed.operands)
      visit(operand, [&](ParsedOperand &o) {
        if (o.kind == ParsedOperand::registerRow)
          o.row = assignment.row[o.row];
      });
    Instruction instruction;
    DecodeContext context(kernel, statement.parsed, instruction);
    HADAL_RETURN_IF_ERROR(findDecoder(statement.parsed.opcode)(context));
    instruction.guard = statement.guard;
    instruction.guardNegated = statement.guardNegated;
    kernel.code.push_back(instruction);
    kernel.lines.push_back(statement.parsed.line);
    kernel.mnemonics.push_back(statement.parsed.text);
    kernel.useBegin.push_back(kernel.uses.size());
    kernel.uses.insert(kernel.uses.end(), context.reads.begin(),
                       context.reads.end());
    kernel.uses.insert(kernel.uses.end(), context.writes.begin(),
                       context.writes.end());
  }
  kernel.useBegin.push_back(kernel.uses.size());
  if (predicateCount > INT16_MAX)
    return fail(statements.empty() ? 0 : statements[0].parsed.line,
                "too many predicate registers");
  // Running off the end exits.
  ParsedInstruction end;
  end.opcode = end.text = "exit";
  end.line = statements.empty() ? 0 : statements.back().parsed.line;
  Instruction instruction;
  DecodeContext context(kernel, end, instruction);
  HADAL_RETURN_IF_ERROR(findDecoder("exit")(context));
  kernel.code.push_back(instruction);
  kernel.lines.push_back(end.line);
  kernel.mnemonics.push_back(end.text);
  kernel.useBegin.push_back(kernel.uses.size());
  return {};
}

} // namespace hadal::sim
