// wgmma.{mma_async, fence, commit_group, wait_group}: decoding, and execution
// by the warpgroup.
#include <charconv>

#include "runtime/drivers/sim/machine/AsyncEngine.h"
#include "runtime/drivers/sim/ops/Handlers.h"

namespace hadal::sim {
namespace {

/// Flags of Instruction::sub.
constexpr uint8_t registerOperand = 1, transposeA = 2, transposeB = 4,
                  negatedA = 8, negatedB = 16, fixedScale = 32, fixedOne = 64,
                  halfResult = 128;

/// All lanes must agree on |value|; a finding otherwise.
void requireUniform(Exec &x, const uint64_t *values, const char *what) {
  for (uint32_t rest = x.mask; rest; rest &= rest - 1) {
    unsigned lane = static_cast<unsigned>(std::countr_zero(rest));
    if (values[lane] == values[std::countr_zero(x.mask)])
      continue;
    x.report(FindingKind::badDescriptor, 1u << lane, 0,
             fmt::format("{} of wgmma must be equal in all threads", what));
    return;
  }
}

/// op[1] A descriptor, op[2] B descriptor, op[3] scale-d predicate; list = D
/// registers, then those of A; aux = N, aux2 = type of A | type of B << 8.
Flow mmaHandler(Exec &x, const Instruction &i) {
  Flow flow;
  if (!x.aligned(flow))
    return flow;
  MmaOperands operands;
  WgmmaShape &shape = operands.shape;
  shape.a = static_cast<WgmmaType>(i.aux2 & 0xff);
  shape.b = static_cast<WgmmaType>(i.aux2 >> 8 & 0xff);
  shape.n = i.aux;
  shape.transA = i.sub & transposeA;
  shape.transB = i.sub & transposeB;
  shape.negateA = i.sub & negatedA;
  shape.negateB = i.sub & negatedB;
  shape.f16Result = i.sub & halfResult;
  operands.registerA = i.sub & registerOperand;
  operands.d = x.cta.kernel.lists.data() + i.list;
  operands.aRegisters = operands.d + shape.accumulatorRegisters();
  uint32_t undefined = x.undefLanes<uint64_t>(i.op[2]);
  requireUniform(x, x.in<uint64_t>(i.op[2]), "the B descriptor");
  operands.b = x.uniform<uint64_t>(i.op[2]);
  if (!operands.registerA) {
    undefined |= x.undefLanes<uint64_t>(i.op[1]);
    requireUniform(x, x.in<uint64_t>(i.op[1]), "the A descriptor");
    operands.a = x.uniform<uint64_t>(i.op[1]);
  }
  if (undefined &= x.mask; undefined)
    x.report(FindingKind::undefinedAddress, undefined, 0,
             "a matrix descriptor depends on undefined bits");
  if (i.sub & fixedScale) {
    operands.accumulate = i.sub & fixedOne;
  } else {
    uint32_t scale = x.predicate(i.op[3]) & x.mask;
    if (uint32_t bad = x.predicateUndef(i.op[3]) & x.mask)
      x.report(FindingKind::undefinedBranch, bad, 0,
               "scale-d depends on undefined bits");
    else if (scale && scale != x.mask)
      x.report(FindingKind::badDescriptor, scale, 0,
               "scale-d of wgmma must be equal in all threads");
    operands.accumulate = scale != 0;
  }
  x.cta.engine->warpgroup(x.warp).mma(x, operands);
  return Flow::next;
}

Flow fenceHandler(Exec &x, const Instruction &i) {
  Flow flow;
  if (!x.aligned(flow))
    return flow;
  x.cta.engine->warpgroup(x.warp).fence(x);
  return Flow::next;
}

Flow commitHandler(Exec &x, const Instruction &i) {
  Flow flow;
  if (!x.aligned(flow))
    return flow;
  x.cta.engine->warpgroup(x.warp).commit(x);
  return Flow::next;
}

/// imm = groups that may stay pending.
Flow waitHandler(Exec &x, const Instruction &i) {
  Flow flow;
  if (!x.aligned(flow))
    return flow;
  return x.cta.engine->warpgroup(x.warp).wait(x, static_cast<uint64_t>(i.imm));
}

struct TypeName {
  const char *name;
  WgmmaType type;
};
constexpr TypeName typeNames[] = {{"bf16", WgmmaType::bf16},
                                  {"f16", WgmmaType::f16},
                                  {"e4m3", WgmmaType::e4m3},
                                  {"e5m2", WgmmaType::e5m2}};

/// The N of "m64n128k16" with this K, or nothing.
std::optional<unsigned> shapeN(std::string_view text, unsigned k) {
  if (!text.starts_with("m64n"))
    return std::nullopt;
  text.remove_prefix(4);
  unsigned n = 0, foundK = 0;
  auto [end, error] = std::from_chars(text.begin(), text.end(), n);
  if (error != std::errc() || end == text.end() || *end != 'k')
    return std::nullopt;
  auto [last, error2] = std::from_chars(end + 1, text.end(), foundK);
  if (error2 != std::errc() || last != text.end() || foundK != k)
    return std::nullopt;
  return n;
}

/// An immediate 1 or -1: whether it is -1.
StatusOr<bool> decodeSign(DecodeContext &c, size_t index) {
  HADAL_ASSIGN_OR_RETURN(int64_t value, c.immediate(index));
  if (value != 1 && value != -1)
    return c.refuse("imm-scale must be 1 or -1");
  return value == -1;
}

StatusOr<bool> decodeMajor(DecodeContext &c, size_t index) {
  HADAL_ASSIGN_OR_RETURN(int64_t value, c.immediate(index));
  if (value != 0 && value != 1)
    return c.refuse("imm-trans must be 0 or 1");
  return value == 1;
}

Status decodeRegisters(DecodeContext &c, size_t index, size_t count,
                       bool written) {
  const ParsedOperand &vector = c.operand(index);
  if (vector.kind != ParsedOperand::vector || vector.elements.size() != count)
    return c.refuse(fmt::format("operand {} must be a vector of {} registers",
                                index, count));
  for (const ParsedOperand &element : vector.elements) {
    if (written && element.kind != ParsedOperand::registerRow)
      return c.refuse("an accumulator must be a register");
    HADAL_ASSIGN_OR_RETURN(Operand row, c.source(element, Type::b32));
    if (written) {
      HADAL_RETURN_IF_ERROR(c.destination(element, Type::b32).status());
    }
    // Tags and in-flight results name rows: no other register may get this one.
    c.keepRow(row);
    c.append(row);
  }
  return {};
}

Status decodeMma(DecodeContext &c) {
  // .m64nNkK .dtype .atype .btype stand in this order.
  const std::vector<std::string> &words = c.parsed.modifiers;
  size_t at = 0;
  while (at < words.size() && !words[at].starts_with("m64n"))
    ++at;
  if (at + 4 != words.size())
    return c.refuse("needs .m64nNkK and three types");
  std::optional<WgmmaType> types[2];
  for (unsigned t = 0; t < 2; ++t)
    for (const TypeName &entry : typeNames)
      if (words[at + 2 + t] == entry.name)
        types[t] = entry.type;
  if (!types[0] || !types[1])
    return c.refuse("these operand types are not modelled");
  const unsigned bytes = wgmmaElementBytes(*types[0]);
  const bool half = words[at + 1] == "f16";
  if ((!half && words[at + 1] != "f32") ||
      (half && *types[0] == WgmmaType::bf16))
    return c.refuse("this accumulator type does not exist");
  if (bytes != wgmmaElementBytes(*types[1]) ||
      (bytes == 2 && *types[0] != *types[1]))
    return c.refuse("these operand types do not go together");
  std::optional<unsigned> n = shapeN(words[at], wgmmaK(*types[0]));
  if (!n || !wgmmaShapeExists(*n))
    return c.refuse("this shape does not exist for its types");
  for (size_t i = at; i < words.size(); ++i)
    c.take(words[i]);
  HADAL_RETURN_IF_ERROR(c.finish());

  const bool fromRegisters =
      c.count() > 1 && c.operand(1).kind == ParsedOperand::vector;
  const size_t trans = bytes == 1 ? 0 : fromRegisters ? 1 : 2;
  HADAL_RETURN_IF_ERROR(c.expectOperands(6 + trans, 6 + trans));
  WgmmaShape shape{*types[0], *types[1], *n};
  shape.f16Result = half;
  c.out.aux = static_cast<uint16_t>(*n);
  c.out.aux2 = static_cast<uint32_t>(*types[0]) |
               static_cast<uint32_t>(*types[1]) << 8;
  c.out.sub = half ? halfResult : 0;
  HADAL_RETURN_IF_ERROR(
      decodeRegisters(c, 0, shape.accumulatorRegisters(), true));
  if (fromRegisters) {
    c.out.sub |= registerOperand;
    HADAL_RETURN_IF_ERROR(decodeRegisters(c, 1, 4, false));
  } else {
    HADAL_ASSIGN_OR_RETURN(c.out.op[1], c.source(1, Type::b64));
  }
  HADAL_ASSIGN_OR_RETURN(c.out.op[2], c.source(2, Type::b64));
  if (c.operand(3).kind == ParsedOperand::integer) {
    c.out.sub |= fixedScale | (c.operand(3).value ? fixedOne : 0);
  } else {
    HADAL_ASSIGN_OR_RETURN(c.out.op[3], c.sourcePredicate(3));
  }
  HADAL_ASSIGN_OR_RETURN(bool negateA, decodeSign(c, 4));
  HADAL_ASSIGN_OR_RETURN(bool negateB, decodeSign(c, 5));
  c.out.sub |= (negateA ? negatedA : 0) | (negateB ? negatedB : 0);
  for (size_t t = 0; t < trans; ++t) {
    HADAL_ASSIGN_OR_RETURN(bool mnMajor, decodeMajor(c, 6 + t));
    if (mnMajor)
      c.out.sub |= t + 1 == trans ? transposeB : transposeA;
  }
  c.out.ownsTags = true;
  c.out.handler = mmaHandler;
  return {};
}

} // namespace

Status decodeWgmma(DecodeContext &c) {
  int op = c.takeOne({"mma_async", "fence", "commit_group", "wait_group"});
  if (op < 0 || !c.take("sync") || !c.take("aligned"))
    return c.refuse("needs an operation and .sync.aligned");
  if (op == 0)
    return decodeMma(c);
  HADAL_RETURN_IF_ERROR(c.expectOperands(op == 3, op == 3));
  if (op == 3) {
    HADAL_ASSIGN_OR_RETURN(c.out.imm, c.immediate(0));
    if (c.out.imm < 0)
      return c.refuse("a negative number of groups");
  }
  c.out.handler = op == 1   ? fenceHandler
                  : op == 2 ? commitHandler
                            : waitHandler;
  return c.finish();
}

} // namespace hadal::sim
