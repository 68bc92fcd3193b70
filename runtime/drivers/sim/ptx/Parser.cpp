#include "runtime/drivers/sim/ptx/Parser.h"

#include <atomic>
#include <cstring>

namespace hadal::sim {

std::optional<Type> typeNamed(std::string_view word) {
  static const std::map<std::string_view, Type> names = {
      {"pred", Type::pred},     {"b8", Type::b8},         {"b16", Type::b16},
      {"b32", Type::b32},       {"b64", Type::b64},       {"b128", Type::b128},
      {"u8", Type::u8},         {"u16", Type::u16},       {"u32", Type::u32},
      {"u64", Type::u64},       {"s8", Type::s8},         {"s16", Type::s16},
      {"s32", Type::s32},       {"s64", Type::s64},       {"f16", Type::f16},
      {"bf16", Type::bf16},     {"f32", Type::f32},       {"f64", Type::f64},
      {"f16x2", Type::f16x2},   {"bf16x2", Type::bf16x2},
      {"e4m3x2", Type::e4m3x2}, {"e5m2x2", Type::e5m2x2}};
  auto found = names.find(word);
  if (found == names.end())
    return std::nullopt;
  return found->second;
}

StatusOr<std::shared_ptr<const PtxModule>>
PtxModule::parse(std::string_view text) {
  static std::atomic<uint64_t> nextIdentity{1};
  auto module = std::make_shared<PtxModule>();
  module->identity = nextIdentity++;
  HADAL_RETURN_IF_ERROR(ModuleParser(text, *module).run());
  return std::shared_ptr<const PtxModule>(std::move(module));
}

const Kernel *PtxModule::find(std::string_view name) const {
  for (const Kernel &kernel : kernelList)
    if (kernel.name == name)
      return &kernel;
  return nullptr;
}

Status ModuleParser::fail(unsigned line, std::string_view reason) const {
  return error(5021, "PTX line {}: {}", line, reason);
}

Status ModuleParser::expect(char c) {
  Token token = lexer.next();
  if (!token.is(c))
    return fail(token.line,
                fmt::format("expected '{}', found '{}'", c, token.text));
  return {};
}

Status ModuleParser::run() {
  bool external = false;
  for (;;) {
    const Token token = lexer.peek();
    if (token.kind == Token::end)
      return {};
    if (token.is(".version") || token.is(".file")) {
      lexer.skipLine();
    } else if (token.is(".target")) {
      lexer.next();
      Token target = lexer.peek();
      if (target.text != "sm_90a" && target.text != "sm_90")
        return fail(target.line,
                    fmt::format("target {} is not modelled, only sm_90a",
                                target.text));
      lexer.skipLine();
    } else if (token.is(".address_size")) {
      lexer.next();
      Token size = lexer.next();
      if (size.value != 64)
        return fail(size.line, "only .address_size 64 is modelled");
    } else if (token.is(".visible") || token.is(".weak")) {
      lexer.next();
    } else if (token.is(".extern")) {
      lexer.next();
      external = true;
    } else if (token.is(".global") || token.is(".const") ||
               token.is(".shared")) {
      lexer.next();
      Space space = token.is(".global")  ? Space::global
                    : token.is(".const") ? Space::constant
                                         : Space::shared;
      HADAL_RETURN_IF_ERROR(parseVariable(space, external));
      external = false;
    } else if (token.is(".entry")) {
      lexer.next();
      HADAL_RETURN_IF_ERROR(parseEntry());
    } else if (token.is(".func")) {
      lexer.next();
      HADAL_RETURN_IF_ERROR(skipFunction());
      external = false;
    } else if (token.is(".pragma")) {
      while (!lexer.peek().is(';') && lexer.peek().kind != Token::end)
        lexer.next();
      lexer.next();
    } else if (token.is(".section")) {
      while (!lexer.peek().is('}') && lexer.peek().kind != Token::end)
        lexer.next();
      lexer.next();
    } else {
      return fail(token.line,
                  fmt::format("'{}' is not modelled here", token.text));
    }
  }
}

Status ModuleParser::parseInitialiser(Type type, uint64_t bytes,
                                      std::vector<uint8_t> &init) {
  init.assign(bytes, 0);
  size_t at = 0;
  auto one = [&]() -> Status {
    bool negative = lexer.peek().is('-');
    if (negative)
      lexer.next();
    Token token = lexer.next();
    if (token.kind != Token::integer && token.kind != Token::floating)
      return fail(token.line,
                  fmt::format("initialiser '{}' is not modelled", token.text));
    uint64_t value = negative ? -token.value : token.value;
    if (at + bytesOf(type) > bytes)
      return fail(token.line, "more initialisers than elements");
    std::memcpy(init.data() + at, &value, bytesOf(type));
    at += bytesOf(type);
    return {};
  };
  if (!lexer.peek().is('{'))
    return one();
  lexer.next();
  while (!lexer.peek().is('}')) {
    HADAL_RETURN_IF_ERROR(one());
    if (lexer.peek().is(','))
      lexer.next();
  }
  lexer.next();
  return {};
}

Status ModuleParser::parseDeclarator(Variable &variable, std::string &name,
                                     std::vector<uint8_t> &init) {
  uint64_t align = 0;
  if (lexer.peek().is(".align")) {
    lexer.next();
    align = lexer.next().value;
  }
  Token typeToken = lexer.next();
  std::optional<Type> type =
      typeToken.kind == Token::directive
          ? typeNamed(typeToken.text.substr(1))
          : std::nullopt;
  if (!type || *type == Type::pred)
    return fail(typeToken.line, fmt::format("'{}' is not a variable's type",
                                            typeToken.text));
  variable.align = align ? align : bytesOf(*type);
  if (variable.align & (variable.align - 1))
    return fail(typeToken.line, ".align is not a power of two");
  Token word = lexer.next();
  if (word.kind != Token::word)
    return fail(word.line, fmt::format("expected a name, found '{}'", word.text));
  name = word.text;
  variable.bytes = bytesOf(*type);
  if (lexer.peek().is('[')) {
    lexer.next();
    if (lexer.peek().is(']')) {
      variable.bytes = 0;
      variable.dynamic = true;
    } else {
      variable.bytes *= lexer.next().value;
    }
    HADAL_RETURN_IF_ERROR(expect(']'));
  }
  if (variable.bytes > (uint64_t(1) << 32))
    return fail(word.line, fmt::format("variable '{}' is over 4 GiB", name));
  if (lexer.peek().is('=')) {
    lexer.next();
    HADAL_RETURN_IF_ERROR(parseInitialiser(*type, variable.bytes, init));
  }
  return {};
}

Status ModuleParser::parseVariable(Space space, bool external) {
  Variable variable;
  variable.space = space;
  std::string name;
  std::vector<uint8_t> init;
  unsigned line = lexer.peek().line;
  HADAL_RETURN_IF_ERROR(parseDeclarator(variable, name, init));
  HADAL_RETURN_IF_ERROR(expect(';'));
  if (space == Space::shared) {
    if (variable.dynamic != external)
      return fail(line, fmt::format("shared variable '{}' must have a size or "
                                    "be .extern, not both", name));
  } else {
    if (external || variable.dynamic)
      return fail(line,
                  fmt::format("external variable '{}' is not modelled", name));
    variable.moduleIndex = module.variableList.size();
    module.variableList.push_back({name, variable.bytes, variable.align, init,
                                   space == Space::constant});
  }
  variables[name] = variable;
  return {};
}

Status ModuleParser::skipFunction() {
  // Device functions are reached by `call` only, which is refused by name.
  int depth = 0;
  for (;;) {
    Token token = lexer.next();
    if (token.kind == Token::end)
      return fail(token.line, "a function ends in the middle");
    if (token.is('{'))
      ++depth;
    if (token.is('}') && --depth == 0)
      return {};
    if (token.is(';') && depth == 0)
      return {};
  }
}

Status ModuleParser::parseEntry() {
  Kernel kernel;
  Token name = lexer.next();
  if (name.kind != Token::word)
    return fail(name.line, "expected the name of the entry");
  kernel.name = name.text;
  if (module.find(kernel.name))
    return fail(name.line, fmt::format("entry '{}' is defined twice", name.text));
  HADAL_RETURN_IF_ERROR(KernelParser(*this, kernel).run());
  module.kernelList.push_back(std::move(kernel));
  return {};
}

} // namespace hadal::sim
