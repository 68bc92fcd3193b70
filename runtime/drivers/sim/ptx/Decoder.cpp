#include "runtime/drivers/sim/ptx/Decoder.h"

#include <algorithm>
#include <bit>

namespace hadal::sim {

bool DecodeContext::take(std::string_view modifier) {
  for (size_t i = 0; i < parsed.modifiers.size(); ++i)
    if (!(taken >> i & 1) && parsed.modifiers[i] == modifier) {
      taken |= uint64_t(1) << i;
      return true;
    }
  return false;
}

int DecodeContext::takeOne(std::initializer_list<std::string_view> choices) {
  int index = 0;
  for (std::string_view choice : choices) {
    if (take(choice))
      return index;
    ++index;
  }
  return -1;
}

std::optional<Type> DecodeContext::takeType() {
  for (size_t i = 0; i < parsed.modifiers.size(); ++i) {
    if (taken >> i & 1)
      continue;
    if (std::optional<Type> type = typeNamed(parsed.modifiers[i])) {
      taken |= uint64_t(1) << i;
      return type;
    }
  }
  return std::nullopt;
}

void DecodeContext::dropCacheHints() {
  for (size_t i = 0; i < parsed.modifiers.size(); ++i) {
    const std::string &m = parsed.modifiers[i];
    static constexpr std::string_view hints[] = {
        "ca", "cg", "cs", "lu", "cv", "wb", "wt", "L2::64B", "L2::128B",
        "L2::256B", "L1::evict_normal", "L1::evict_unchanged",
        "L1::evict_first", "L1::evict_last", "L1::no_allocate"};
    if (std::find(std::begin(hints), std::end(hints), m) != std::end(hints))
      taken |= uint64_t(1) << i;
  }
}

Status DecodeContext::refuse(std::string_view reason) const {
  return error(5021, "PTX line {}: {}: {}", parsed.line, parsed.text, reason);
}

Status DecodeContext::finish() {
  if (parsed.modifiers.size() > 64)
    return refuse("too many modifiers");
  for (size_t i = 0; i < parsed.modifiers.size(); ++i)
    if (!(taken >> i & 1))
      return refuse(fmt::format("modifier .{} is not modelled here",
                                parsed.modifiers[i]));
  return {};
}

Status DecodeContext::expectOperands(size_t least, size_t most) {
  if (count() < least || count() > most)
    return refuse(least == most
                      ? fmt::format("expected {} operands, found {}", least,
                                    count())
                      : fmt::format("expected {} to {} operands, found {}",
                                    least, most, count()));
  return {};
}

Operand DecodeContext::constant(uint64_t bits, unsigned width) {
  size_t total = kernel.constants.size() / 32;
  auto matches = [&](size_t index) {
    const uint64_t *c = kernel.constants.data() + index * 32;
    if (width == 64)
      return c[0] == bits && c[31] == bits;
    uint64_t pair = (bits & 0xFFFFFFFF) | bits << 32;
    return c[0] == pair && c[31] == 0 && bits != 0;
  };
  // The newest constants are the likely ones; older ones are just repeated.
  for (size_t i = total; i-- > 0 && total - i < 256;) {
    bool relocated = std::any_of(
        kernel.relocations.begin(), kernel.relocations.end(),
        [&](const Kernel::Relocation &r) { return r.constant == i; });
    if (!relocated && matches(i))
      return ~static_cast<Operand>(i);
  }
  if (width == 64) {
    kernel.constants.insert(kernel.constants.end(), 32, bits);
  } else {
    uint64_t pair = (bits & 0xFFFFFFFF) | bits << 32;
    kernel.constants.insert(kernel.constants.end(), 16, pair);
    kernel.constants.insert(kernel.constants.end(), 16, 0);
  }
  return ~static_cast<Operand>(total);
}

StatusOr<Operand> DecodeContext::source(size_t index, Type type) {
  if (index >= count())
    return refuse("an operand is missing");
  return source(operand(index), type);
}

StatusOr<Operand> DecodeContext::source(const ParsedOperand &o, Type type) {
  switch (o.kind) {
  case ParsedOperand::registerRow:
    if (declaredBits(o) != slotBits(type))
      return refuse(fmt::format("{} has {} bits, the type {}", o.text, o.bits,
                                bitsOf(type)));
    reads.push_back(o.row);
    return static_cast<Operand>(o.row);
  case ParsedOperand::integer: {
    if (isFloat(type) && bitsOf(type) == 64 && o.value != 0)
      return refuse("an integer where a floating-point number is expected");
    uint64_t bits = o.value;
    if (bitsOf(type) < 64)
      bits &= (uint64_t(1) << bitsOf(type)) - 1;
    return constant(bits, slotBits(type));
  }
  case ParsedOperand::floating: {
    uint64_t bits = o.value;
    if (type == Type::f32 && o.bits == 64)
      bits = std::bit_cast<uint32_t>(
          static_cast<float>(std::bit_cast<double>(bits)));
    else if (type == Type::f64 && o.bits == 32)
      bits = std::bit_cast<uint64_t>(
          double(std::bit_cast<float>(static_cast<uint32_t>(bits))));
    else if (bitsOf(type) != o.bits)
      return refuse("a floating-point number of another width");
    return constant(bits, slotBits(type));
  }
  case ParsedOperand::symbol: {
    if (o.bits == 2) {
      if (slotBits(type) != 64)
        return refuse(fmt::format("the address of {} needs 64 bits", o.text));
      uint32_t index = kernel.constants.size() / 32;
      kernel.constants.insert(kernel.constants.end(), 32, 0);
      kernel.relocations.push_back({index, static_cast<uint32_t>(o.value)});
      return ~static_cast<Operand>(index);
    }
    return constant(o.value, slotBits(type));
  }
  case ParsedOperand::special:
    return refuse(fmt::format("{} can be read by mov only", o.text));
  case ParsedOperand::label:
    return refuse(fmt::format("'{}' is not declared", o.text));
  default:
    return refuse("a register or a number is expected");
  }
}

StatusOr<Operand> DecodeContext::destination(size_t index, Type type) {
  if (index >= count())
    return refuse("the destination is missing");
  return destination(operand(index), type);
}

StatusOr<Operand> DecodeContext::destination(const ParsedOperand &o,
                                             Type type) {
  if (o.kind == ParsedOperand::sink)
    return static_cast<Operand>(scratchRow());
  if (o.kind != ParsedOperand::registerRow)
    return refuse(fmt::format("the destination{}{} is no register",
                              o.text.empty() ? "" : " ", o.text));
  if (declaredBits(o) != slotBits(type))
    return refuse(fmt::format("{} has {} bits, the type {}", o.text, o.bits,
                              bitsOf(type)));
  writes.push_back(o.row);
  return static_cast<Operand>(o.row);
}

StatusOr<Operand> DecodeContext::sourcePredicate(size_t index) {
  if (index >= count())
    return refuse("a predicate is missing");
  const ParsedOperand &o = operand(index);
  if (o.kind == ParsedOperand::predicate)
    return predicateOperand(o.row, o.negated);
  return refuse("a predicate is expected");
}

StatusOr<Operand> DecodeContext::destinationPredicate(size_t index) {
  if (index >= count())
    return refuse("a predicate is missing");
  const ParsedOperand &o = operand(index);
  if (o.kind == ParsedOperand::sink)
    return static_cast<Operand>(scratchPredicate());
  if (o.kind == ParsedOperand::predicate && !o.negated)
    return static_cast<Operand>(o.row);
  return refuse("a predicate register is expected");
}

StatusOr<int64_t> DecodeContext::immediate(size_t index) {
  if (index >= count() || operand(index).kind != ParsedOperand::integer)
    return refuse("a number is expected");
  return operand(index).value;
}

StatusOr<DecodeContext::Address> DecodeContext::address(size_t index) {
  if (index >= count() || operand(index).kind != ParsedOperand::address)
    return refuse("an address in [ ] is expected");
  const ParsedOperand &o = operand(index);
  const ParsedOperand &base = o.elements[0];
  Address result;
  result.offset = o.value;
  if (base.kind == ParsedOperand::registerRow) {
    if (base.bits == 16)
      return refuse("an address needs 32 or 64 bits");
    result.wide = base.bits == 64;
  } else {
    result.wide = true;
    result.space = base.kind == ParsedOperand::symbol ? base.space
                                                      : Space::generic;
  }
  HADAL_ASSIGN_OR_RETURN(result.base,
                         source(base, result.wide ? Type::u64 : Type::u32));
  return result;
}

void DecodeContext::append(Operand operand) {
  if (out.listSize == 0)
    out.list = kernel.lists.size();
  kernel.lists.push_back(operand);
  ++out.listSize;
}

void DecodeContext::keepRow(Operand operand) {
  if (operand >= 0)
    kept.push_back(operand);
}

unsigned DecodeContext::scratchRow() {
  if (kernel.scratchRow < 0) {
    kernel.scratchRow = kernel.rows;
    kernel.rows += 2;
  }
  return kernel.scratchRow;
}

unsigned DecodeContext::scratchPredicate() {
  if (kernel.scratchPredicate < 0)
    kernel.scratchPredicate = kernel.predicates++;
  return kernel.scratchPredicate;
}

} // namespace hadal::sim
