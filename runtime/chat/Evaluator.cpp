#include "runtime/chat/Evaluator.h"

#include <algorithm>
#include <cmath>

namespace hadal::chat {

namespace {

/// Of nested calls of evaluate() and execute(): keeps the stack below 2 MiB.
constexpr unsigned kMaxFrames = 2000;

Value makeRange(Arguments &arguments) {
  int64_t values[3] = {0, 0, 1};
  const size_t count = arguments.positional.size();
  checkArguments("range", arguments, 3);
  if (!count)
    fail("'range' wants 1 to 3 integers");
  for (size_t i = 0; i < count; ++i)
    if (!arguments.positional[i].asInteger(values[count == 1 ? 1 : i]))
      fail("'range' wants integers, found {}",
           arguments.positional[i].typeName());
  const auto [begin, end, step] = values;
  if (step == 0)
    fail("'range' with a step of 0");
  // transformers' sandbox has the same limit.
  constexpr int64_t kMost = 100'000;
  List list;
  for (int64_t i = begin; step > 0 ? i < end : i > end;) {
    if (list.items.size() >= kMost)
      fail("'range' of more than {} numbers", kMost);
    list.items.emplace_back(i);
    if (__builtin_add_overflow(i, step, &i))
      break;
  }
  return list;
}

Value makeNamespace(Arguments &arguments) {
  auto space = std::make_shared<Namespace>();
  if (arguments.positional.size() > 1)
    fail("'namespace' takes at most 1 argument");
  if (!arguments.positional.empty()) {
    const Dict *dict = arguments.positional[0].as<Dict>();
    if (!dict)
      fail("'namespace' wants a dict, found {}",
           arguments.positional[0].typeName());
    space->members = *dict;
  }
  for (const auto &[name, value] : arguments.named)
    space->members.set(Text(name, true), value);
  return space;
}

Value makeDict(Arguments &arguments) {
  checkArguments("dict", Arguments{arguments.positional, {}}, 0);
  Dict dict;
  for (const auto &[name, value] : arguments.named)
    dict.set(Text(name, true), value);
  return dict;
}

Value raise(Arguments &arguments) {
  checkArguments("raise_exception", arguments, 1, {"message"});
  const Value *message = argument(arguments, 0, "message");
  fail("{}", message ? toText(*message).bytes() : "the template gave up");
}

Value formatTime(std::time_t now, Arguments &arguments) {
  checkArguments("strftime_now", arguments, 1, {"format"});
  const Value *format = argument(arguments, 0, "format");
  const Text *text = format ? format->as<Text>() : nullptr;
  if (!text)
    fail("'strftime_now' wants a string");
  std::tm local = {};
  localtime_r(&now, &local);
  char buffer[1024];
  const size_t size =
      std::strftime(buffer, sizeof(buffer), text->bytes().c_str(), &local);
  if (!size && !text->empty())
    fail("'strftime_now': the result is empty or longer than {} bytes",
         sizeof(buffer));
  return Text({buffer, size}, text->isTrusted());
}

[[noreturn]] void failOverflow() { fail("a number beyond 64 bits"); }

Value arithmetic(char op, int64_t a, int64_t b) {
  int64_t result = 0;
  switch (op) {
  case '+':
    if (__builtin_add_overflow(a, b, &result))
      failOverflow();
    return Value(result);
  case '-':
    if (__builtin_sub_overflow(a, b, &result))
      failOverflow();
    return Value(result);
  case '*':
    if (__builtin_mul_overflow(a, b, &result))
      failOverflow();
    return Value(result);
  default:
    break;
  }
  if (b == 0)
    fail("division by zero");
  if (op == '/')
    return Value(static_cast<double>(a) / static_cast<double>(b));
  if (b == -1) {
    if (op == '%')
      return Value(int64_t{0});
    if (__builtin_sub_overflow(int64_t{0}, a, &result))
      failOverflow();
    return Value(result);
  }
  // Python rounds down, C++ to zero.
  const int64_t remainder = a % b;
  const bool down = remainder && (remainder < 0) != (b < 0);
  return Value(op == '%' ? remainder + (down ? b : 0) : a / b - down);
}

Value arithmetic(char op, double a, double b) {
  switch (op) {
  case '+':
    return Value(a + b);
  case '-':
    return Value(a - b);
  case '*':
    return Value(a * b);
  default:
    break;
  }
  if (b == 0)
    fail("division by zero");
  if (op == '/')
    return Value(a / b);
  double remainder = std::fmod(a, b);
  if (remainder != 0 ? (remainder < 0) != (b < 0) : false)
    remainder += b;
  if (remainder == 0)
    remainder = std::copysign(0.0, b);
  if (op == '%')
    return Value(remainder);
  const double quotient = (a - remainder) / b;
  double down = std::floor(quotient);
  if (quotient - down > 0.5)
    down += 1;
  return Value(quotient == 0 ? std::copysign(0.0, a / b) : down);
}

} // namespace

/// Counts the depth of what is being evaluated, and its place.
struct Evaluator::Frame {
  Frame(Evaluator &evaluator, Position position) : evaluator(evaluator) {
    evaluator.position_ = position;
    if (++evaluator.depth_ > kMaxFrames) {
      --evaluator.depth_;
      fail("nested deeper than {} levels", kMaxFrames);
    }
    evaluator.charge(1);
  }
  ~Frame() { --evaluator.depth_; }
  Evaluator &evaluator;
};

Evaluator::Evaluator(const TemplateLimits &limits, std::time_t now)
    : limits_(limits), now_(now) {
  const auto add = [&](const char *name, Value (*function)(Arguments &)) {
    define(name, Function{name, function});
  };
  add("range", makeRange);
  add("namespace", makeNamespace);
  add("dict", makeDict);
  add("raise_exception", raise);
  define("strftime_now", Function{"strftime_now", [this](Arguments &arguments) {
                                    return formatTime(now_, arguments);
                                  }});
}

Evaluator::~Evaluator() {
  for (const ScopePointer &scope : macroScopes_)
    scope->variables.clear();
}

void Evaluator::define(const std::string &name, Value value) {
  assign(*globals_, name, std::move(value));
}

Text Evaluator::run(const Block &body) {
  // What the template sets does not change what it is given.
  scope_ = std::make_shared<Scope>();
  scope_->parent = globals_;
  Text out;
  execute(body, out);
  return out;
}

void Evaluator::charge(uint64_t steps) {
  steps_ += steps;
  if (steps_ > limits_.steps)
    fail("more than {} steps", limits_.steps);
}

void Evaluator::chargeFor(const Value &value) {
  if (const Text *text = value.as<Text>())
    charge(text->size() / 1024);
  else if (const List *list = value.as<List>())
    charge(list->items.size() / 4);
  else if (const Dict *dict = value.as<Dict>())
    charge(dict->items.size() / 4);
}

void Evaluator::assign(Scope &scope, const std::string &name, Value value) {
  for (auto &[each, old] : scope.variables)
    if (each == name) {
      old = std::move(value);
      return;
    }
  scope.variables.emplace_back(name, std::move(value));
}

const Value *Evaluator::lookUp(const std::string &name) const {
  for (const Scope *scope = scope_.get(); scope; scope = scope->parent.get())
    for (const auto &[each, value] : scope->variables)
      if (each == name)
        return &value;
  return nullptr;
}

// ---- statements

Evaluator::Flow Evaluator::execute(const Block &block, Text &out) {
  for (const Statement &statement : block.statements)
    if (Flow flow = execute(statement, out); flow != Flow::Next)
      return flow;
  return Flow::Next;
}

Evaluator::Flow Evaluator::execute(const Statement &statement, Text &out) {
  Frame frame(*this, statement.position);
  switch (statement.kind) {
  case Statement::Data:
    out.append(*statement.data.as<Text>());
    break;
  case Statement::Print: {
    const Value value = evaluate(*statement.expressions[0]);
    out.append(toText(value));
    break;
  }
  case Statement::If:
    return runIf(statement, out);
  case Statement::For:
    return runFor(statement, out);
  case Statement::Set:
    runSet(statement);
    break;
  case Statement::Macro:
    defineMacro(statement);
    break;
  case Statement::Scoped: {
    const ScopePointer outer = scope_;
    scope_ = std::make_shared<Scope>();
    scope_->parent = outer;
    const Flow flow = execute(statement.blocks[0], out);
    scope_ = outer;
    return flow;
  }
  case Statement::Break:
    return Flow::Break;
  case Statement::Continue:
    return Flow::Continue;
  }
  return Flow::Next;
}

Evaluator::Flow Evaluator::runIf(const Statement &statement, Text &out) {
  const size_t conditions = statement.expressions.size();
  for (size_t i = 0; i < conditions; ++i)
    if (evaluate(*statement.expressions[i]).truth())
      return execute(statement.blocks[i], out);
  return statement.blocks.size() > conditions
             ? execute(statement.blocks[conditions], out)
             : Flow::Next;
}

Evaluator::Flow Evaluator::runFor(const Statement &statement, Text &out) {
  const Value over = evaluate(*statement.expressions[0]);
  std::vector<Value> items = elementsOf(over);
  charge(items.size() / 4);
  const ScopePointer outer = scope_;
  const auto enter = [&](const Value &item) {
    scope_ = std::make_shared<Scope>();
    scope_->parent = outer;
    unpack(statement.target, item);
  };
  if (const Expression *condition = statement.expressions[1].get()) {
    std::vector<Value> kept;
    for (Value &item : items) {
      enter(item);
      if (evaluate(*condition).truth())
        kept.push_back(std::move(item));
    }
    items.swap(kept);
  }
  Flow flow = Flow::Next;
  bool completed = false;
  for (size_t i = 0; i < items.size() && flow != Flow::Break; ++i) {
    charge(1);
    enter(items[i]);
    if (statement.usesLoop) {
      Dict loop;
      const auto add = [&](const char *name, Value value) {
        loop.items.emplace_back(Text(name, true), std::move(value));
      };
      const auto number = [](size_t value) {
        return Value(static_cast<int64_t>(value));
      };
      add("index", number(i + 1));
      add("index0", number(i));
      add("revindex", number(items.size() - i));
      add("revindex0", number(items.size() - i - 1));
      add("first", Value(i == 0));
      add("last", Value(i + 1 == items.size()));
      add("length", number(items.size()));
      add("previtem", i ? items[i - 1] : Value::undefined("previtem"));
      add("nextitem",
          i + 1 < items.size() ? items[i + 1] : Value::undefined("nextitem"));
      assign(*scope_, "loop", std::move(loop));
    }
    flow = execute(statement.blocks[0], out);
    completed |= flow == Flow::Next;
  }
  scope_ = outer;
  // As in jinja2, also where `break` or `continue` cut every iteration short.
  if (!completed && statement.blocks.size() > 1) {
    enter(Value());
    scope_->variables.clear();
    flow = execute(statement.blocks[1], out);
    scope_ = outer;
    return flow;
  }
  return Flow::Next;
}

void Evaluator::unpack(const Target &target, Value value) {
  if (!target.unpacks)
    return assign(*scope_, target.names[0], std::move(value));
  std::vector<Value> parts = elementsOf(value);
  if (value.isUndefined() || parts.size() != target.names.size())
    fail("{} values for {} names", parts.size(), target.names.size());
  for (size_t i = 0; i < parts.size(); ++i)
    assign(*scope_, target.names[i], std::move(parts[i]));
}

void Evaluator::runSet(const Statement &statement) {
  Value value;
  if (!statement.expressions.empty()) {
    value = evaluate(*statement.expressions[0]);
  } else {
    Text text;
    const ScopePointer outer = scope_;
    scope_ = std::make_shared<Scope>();
    scope_->parent = outer;
    execute(statement.blocks[0], text);
    scope_ = outer;
    value = std::move(text);
  }
  const Target &target = statement.target;
  if (target.member.empty())
    return unpack(target, std::move(value));
  const Value *owner = lookUp(target.names[0]);
  Namespace *space = owner ? owner->asNamespace() : nullptr;
  if (!space)
    fail("'{}' is no namespace", target.names[0]);
  // A namespace inside of itself would never be freed, and prints endlessly.
  if (value.asNamespace())
    fail("a namespace cannot hold a namespace");
  space->members.set(Text(target.member, true), std::move(value));
}

void Evaluator::defineMacro(const Statement &statement) {
  macroScopes_.push_back(scope_);
  Function macro{statement.name,
                 [this, &statement, scope = scope_](Arguments &arguments) {
                   return callMacro(statement, scope, arguments);
                 }};
  assign(*scope_, statement.name, std::move(macro));
}

Value Evaluator::callMacro(const Statement &macro, const ScopePointer &scope,
                           Arguments &arguments) {
  const std::vector<std::string> &names = macro.target.names;
  if (arguments.positional.size() > names.size())
    fail("the macro '{}' takes {} arguments, found {}", macro.name,
         names.size(), arguments.positional.size());
  for (const auto &[name, value] : arguments.named) {
    const auto known = std::find(names.begin(), names.end(), name);
    if (known == names.end() || static_cast<size_t>(known - names.begin()) <
                                    arguments.positional.size())
      fail("the macro '{}' has no argument '{}' left", macro.name, name);
  }
  if (calls_ >= limits_.depth)
    fail("macros call each other more than {} levels deep", limits_.depth);
  ++calls_;
  const ScopePointer outer = scope_;
  scope_ = std::make_shared<Scope>();
  scope_->parent = scope;
  for (size_t i = 0; i < names.size(); ++i) {
    const Value *given = argument(arguments, i, names[i]);
    assign(*scope_, names[i],
           given                  ? *given
           : macro.expressions[i] ? evaluate(*macro.expressions[i])
                                  : Value::undefined(names[i]));
  }
  Text out;
  execute(macro.blocks[0], out);
  scope_ = outer;
  --calls_;
  return out;
}

// ---- expressions

Value Evaluator::evaluate(const Expression &expression) {
  Frame frame(*this, expression.position);
  Value value = evaluateAt(expression);
  position_ = expression.position;
  return value;
}

Arguments Evaluator::argumentsOf(const Expression &expression) {
  Arguments arguments;
  for (size_t i = 1; i < expression.operands.size(); ++i)
    arguments.positional.push_back(evaluate(*expression.operands[i]));
  for (const auto &[name, value] : expression.named)
    arguments.named.emplace_back(name, evaluate(*value));
  return arguments;
}

Value Evaluator::evaluateAt(const Expression &e) {
  const auto operand = [&](size_t i) { return evaluate(*e.operands[i]); };
  switch (e.kind) {
  case Expression::Constant:
    return e.constant;
  case Expression::Name: {
    const Value *value = lookUp(e.name);
    return value ? *value : Value::undefined(e.name);
  }
  case Expression::ListOf:
  case Expression::TupleOf: {
    List list;
    list.isTuple = e.kind == Expression::TupleOf;
    for (size_t i = 0; i < e.operands.size(); ++i)
      list.items.push_back(operand(i));
    return list;
  }
  case Expression::DictOf: {
    Dict dict;
    for (size_t i = 0; i < e.operands.size(); i += 2) {
      const Value key = operand(i);
      if (!key.as<Text>())
        fail("a key is {}; only strings are supported", key.typeName());
      dict.set(*key.as<Text>(), operand(i + 1));
    }
    return dict;
  }
  case Expression::Attribute: {
    const Value owner = operand(0);
    if (hasMethod(owner, e.name))
      return Function{e.name, [owner, name = e.name](Arguments &arguments) {
                        return callMethod(owner, name, arguments);
                      }};
    return memberOf(owner, Text(e.name, true));
  }
  case Expression::Item: {
    const Value owner = operand(0), key = operand(1);
    Value item = itemOf(owner, key);
    const Text *name = key.as<Text>();
    if (item.isUndefined() && name && hasMethod(owner, name->bytes()))
      return Function{name->bytes(),
                      [owner, name = name->bytes()](Arguments &arguments) {
                        return callMethod(owner, name, arguments);
                      }};
    return item;
  }
  case Expression::Slice:
    return evaluateSlice(e);
  case Expression::Call:
    return evaluateCall(e);
  case Expression::Filter: {
    const Value input = operand(0);
    Arguments arguments = argumentsOf(e);
    chargeFor(input);
    Value result = e.filter(input, arguments);
    chargeFor(result);
    return result;
  }
  case Expression::Test: {
    const Value input = operand(0);
    Arguments arguments = argumentsOf(e);
    return Value(e.test(input, arguments));
  }
  case Expression::Not:
    return Value(!operand(0).truth());
  case Expression::Negate:
  case Expression::Plus: {
    const Value value = operand(0);
    const bool negates = e.kind == Expression::Negate;
    int64_t integer = 0;
    if (value.asInteger(integer))
      return negates ? arithmetic('-', int64_t{0}, integer) : Value(integer);
    if (!value.as<double>())
      fail("the sign of {}", value.typeName());
    return Value(negates ? -value.asDouble() : value.asDouble());
  }
  case Expression::Binary:
    return evaluateBinary(e);
  case Expression::And:
  case Expression::Or: {
    Value left = operand(0);
    return left.truth() == (e.kind == Expression::Or) ? left : operand(1);
  }
  case Expression::Compare:
    return Value(evaluateCompare(e));
  case Expression::Condition:
    if (operand(1).truth())
      return operand(0);
    return e.operands[2] ? operand(2)
                         : Value::undefined("the value without else");
  case Expression::Concatenate: {
    Text text;
    for (size_t i = 0; i < e.operands.size(); ++i)
      text.append(toText(operand(i)));
    charge(text.size() / 1024);
    return text;
  }
  }
  return {};
}

Value Evaluator::evaluateCall(const Expression &e) {
  const Expression &callee = *e.operands[0];
  Value result;
  if (callee.kind == Expression::Attribute) {
    const Value owner = evaluate(*callee.operands[0]);
    if (hasMethod(owner, callee.name)) {
      Arguments arguments = argumentsOf(e);
      chargeFor(owner);
      result = callMethod(owner, callee.name, arguments);
      chargeFor(result);
      return result;
    }
    result = memberOf(owner, Text(callee.name, true));
  } else {
    result = evaluate(callee);
  }
  const Function *function = result.as<Function>();
  Arguments arguments = argumentsOf(e);
  if (result.isUndefined())
    fail("'{}' is undefined", result.as<Undefined>()->name);
  if (!function)
    fail("{} cannot be called", result.typeName());
  Value value = function->call(arguments);
  chargeFor(value);
  return value;
}

Value Evaluator::evaluateSlice(const Expression &e) {
  const Value value = evaluate(*e.operands[0]);
  const Text *text = value.as<Text>();
  const List *list = value.as<List>();
  if (!text && !list)
    fail("a slice of {}", value.typeName());
  const auto size =
      static_cast<int64_t>(text ? text->length() : list->items.size());
  std::optional<int64_t> bounds[3];
  for (unsigned i = 0; i < 3; ++i) {
    if (!e.operands[i + 1])
      continue;
    const Value bound = evaluate(*e.operands[i + 1]);
    int64_t number = 0;
    if (bound.asInteger(number))
      bounds[i] = number;
    else if (!bound.isNone())
      fail("a slice wants integers, found {}", bound.typeName());
  }
  const int64_t step = bounds[2].value_or(1);
  if (step == 0)
    fail("a slice with a step of 0");
  // Python's rules for what lies outside.
  const int64_t low = step < 0 ? -1 : 0, high = step < 0 ? size - 1 : size;
  const auto place = [&](std::optional<int64_t> bound, int64_t otherwise) {
    if (!bound)
      return otherwise;
    return std::clamp(*bound < 0 ? *bound + size : *bound, low, high);
  };
  const int64_t begin = place(bounds[0], step < 0 ? high : low);
  const int64_t end = place(bounds[1], step < 0 ? low : high);
  if (text && step == 1) {
    if (begin >= end)
      return Text();
    const size_t from = text->offsetOf(static_cast<size_t>(begin));
    return text->substr(from, text->offsetOf(static_cast<size_t>(end)) - from);
  }
  const std::vector<Value> all = list ? list->items : elementsOf(value);
  charge(all.size() / 4);
  List result;
  result.isTuple = list && list->isTuple;
  Text characters;
  for (int64_t i = begin; step > 0 ? i < end : i > end;) {
    if (text)
      characters.append(*all[static_cast<size_t>(i)].as<Text>());
    else
      result.items.push_back(all[static_cast<size_t>(i)]);
    if (__builtin_add_overflow(i, step, &i))
      break;
  }
  return text ? Value(std::move(characters)) : Value(std::move(result));
}

Value Evaluator::evaluateBinary(const Expression &e) {
  const Value a = evaluate(*e.operands[0]), b = evaluate(*e.operands[1]);
  for (const Value *each : {&a, &b})
    if (each->isUndefined())
      fail("'{}' is undefined", each->as<Undefined>()->name);
  const char op = e.name == "//" ? 'd' : e.name[0];
  if (a.isNumber() && b.isNumber()) {
    int64_t left, right;
    return a.asInteger(left) && b.asInteger(right)
               ? arithmetic(op, left, right)
               : arithmetic(op, a.asDouble(), b.asDouble());
  }
  if (op == '%' && a.as<Text>())
    fail("formatting by '%' is not supported");
  if (op == '+') {
    if (const Text *left = a.as<Text>(), *right = b.as<Text>(); left && right) {
      Text text = *left;
      text.append(*right);
      charge(text.size() / 1024);
      return text;
    }
    const List *left = a.as<List>(), *right = b.as<List>();
    if (left && right && left->isTuple == right->isTuple) {
      List list = *left;
      list.items.insert(list.items.end(), right->items.begin(),
                        right->items.end());
      charge(list.items.size() / 4);
      return list;
    }
  }
  if (op == '*') {
    int64_t count = 0;
    const bool first = b.asInteger(count);
    const Value &repeated = first ? a : b;
    if (first || a.asInteger(count)) {
      count = std::max<int64_t>(count, 0);
      if (const Text *text = repeated.as<Text>()) {
        Text result;
        if (!text->empty() && static_cast<uint64_t>(count) > kMaxTextBytes)
          fail("a text would be longer than {} bytes", kMaxTextBytes);
        for (int64_t i = 0; i < count && !text->empty(); ++i)
          result.append(*text);
        charge(result.size() / 1024);
        return result;
      }
      if (const List *list = repeated.as<List>()) {
        List result;
        result.isTuple = list->isTuple;
        for (int64_t i = 0; i < count && !list->items.empty(); ++i) {
          charge(list->items.size());
          result.items.insert(result.items.end(), list->items.begin(),
                              list->items.end());
        }
        return result;
      }
    }
  }
  fail("'{}' of {} and {}", e.name, a.typeName(), b.typeName());
}

bool Evaluator::evaluateCompare(const Expression &e) {
  Value left = evaluate(*e.operands[0]);
  for (size_t i = 0; i < e.comparisons.size(); ++i) {
    Value right = evaluate(*e.operands[i + 1]);
    chargeFor(right);
    bool holds = false;
    switch (e.comparisons[i]) {
    case Expression::Eq:
    case Expression::Ne:
      holds = equal(left, right) == (e.comparisons[i] == Expression::Eq);
      break;
    case Expression::In:
    case Expression::NotIn:
      holds = contains(right, left) == (e.comparisons[i] == Expression::In);
      break;
    default: {
      const int order = compare(left, right);
      holds = order == 2                           ? false
              : e.comparisons[i] == Expression::Lt ? order < 0
              : e.comparisons[i] == Expression::Le ? order <= 0
              : e.comparisons[i] == Expression::Gt ? order > 0
                                                   : order >= 0;
    }
    }
    if (!holds)
      return false;
    left = std::move(right);
  }
  return true;
}

} // namespace hadal::chat
