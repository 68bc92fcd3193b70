// ldmatrix stmatrix: 8x8 matrices of 16-bit elements between shared memory and
// registers.
#include "runtime/drivers/sim/memory/Access.h"
#include "runtime/drivers/sim/ops/Handlers.h"

namespace hadal::sim {
namespace {

/// Row and column of half |h| (bits 16h + 15 : 16h) of lane |l| in a matrix:
/// the lane holds two neighbours of row l / 4, with .trans of column l / 4 (PTX
/// ISA, "ldmatrix").
struct Place {
  unsigned row, column;
};
Place placeOf(unsigned l, unsigned h, bool transposed) {
  unsigned group = l >> 2, pair = 2 * (l & 3) + h;
  return transposed ? Place{pair, group} : Place{group, pair};
}

/// The address of row r of matrix m is that of lane 8m + r; the lanes beyond
/// have one that nobody looks at, defined or not. Returns the lanes whose
/// address is defined.
uint32_t rowAddresses(Exec &x, const Instruction &i, uint64_t *addresses) {
  unsigned count = i.listSize;
  uint32_t executing = x.mask;
  x.mask &= count == 4 ? ~0u : (1u << (8 * count)) - 1;
  uint32_t lanes = laneAddresses(x, i.op[0], i.sub & 16, i.imm, addresses);
  x.mask = executing;
  return lanes;
}

/// list = registers, one a matrix; op[0] address, imm offset, sub: wide << 4 |
/// transposed.
Flow loadMatrix(Exec &x, const Instruction &i) {
  Flow flow;
  if (!x.aligned(flow))
    return flow;
  uint64_t addresses[32];
  unsigned count = i.listSize;
  uint32_t lanes = rowAddresses(x, i, addresses);
  LaneData data;
  gather(x, lanes, addresses, static_cast<Space>(i.aux), 16, data);
  const Operand *list = x.cta.kernel.lists.data() + i.list;
  for (unsigned m = 0; m < count; ++m) {
    uint32_t *d = x.out<uint32_t>(list[m]);
    uint32_t words[4] = {};
    for (unsigned l = 0; l < 32; ++l) {
      uint32_t value = 0;
      for (unsigned h = 0; h < 2; ++h) {
        Place p = placeOf(l, h, i.sub & 1);
        unsigned from = 8 * m + p.row;
        uint16_t half;
        std::memcpy(&half, data.bytes[from] + 2 * p.column, 2);
        value |= uint32_t(half) << (16 * h);
        if (!data.allDefined)
          for (unsigned b = 0; b < 2; ++b)
            if (!(data.defined[from] >> (2 * p.column + b) & 1))
              words[2 * h + b] |= 1u << l;
      }
      d[l] = value;
    }
    x.setUndefBytes<uint32_t>(list[m], words);
  }
  return Flow::next;
}

Flow storeMatrix(Exec &x, const Instruction &i) {
  Flow flow;
  if (!x.aligned(flow))
    return flow;
  uint64_t addresses[32];
  unsigned count = i.listSize;
  uint32_t lanes = rowAddresses(x, i, addresses);
  LaneData data;
  const Operand *list = x.cta.kernel.lists.data() + i.list;
  for (unsigned l = 0; l < 32; ++l)
    data.defined[l] = 0xFFFF;
  for (unsigned m = 0; m < count; ++m) {
    const uint32_t *a = x.in<uint32_t>(list[m]);
    const uint32_t *u = x.undef(list[m]);
    bool undefined = u[0] | u[1] | u[2] | u[3];
    data.allDefined &= !undefined;
    for (unsigned l = 0; l < 32; ++l)
      for (unsigned h = 0; h < 2; ++h) {
        Place p = placeOf(l, h, i.sub & 1);
        unsigned to = 8 * m + p.row;
        uint16_t half = static_cast<uint16_t>(a[l] >> (16 * h));
        std::memcpy(data.bytes[to] + 2 * p.column, &half, 2);
        if (undefined)
          for (unsigned b = 0; b < 2; ++b)
            if (u[2 * h + b] >> l & 1)
              data.defined[to] &= ~(uint16_t(1) << (2 * p.column + b));
      }
  }
  scatter(x, lanes, addresses, static_cast<Space>(i.aux), 16, data);
  return Flow::next;
}

} // namespace

Status decodeMatrixMove(DecodeContext &c) {
  bool load = c.parsed.opcode == "ldmatrix";
  if (!c.take("sync") || !c.take("aligned") || !c.take("m8n8"))
    return c.refuse("needs .sync.aligned.m8n8");
  int counts = c.takeOne({"x1", "x2", "x4"});
  if (counts < 0 || !c.take("b16"))
    return c.refuse("needs .x1, .x2 or .x4 and .b16");
  bool transposed = c.take("trans");
  int space = c.takeOne({"shared::cta", "shared"});
  c.out.aux = static_cast<uint16_t>(space < 0 ? Space::generic : Space::shared);
  HADAL_RETURN_IF_ERROR(c.expectOperands(2, 2));
  HADAL_ASSIGN_OR_RETURN(DecodeContext::Address address,
                         c.address(load ? 1 : 0));
  c.out.op[0] = address.base;
  c.out.imm = address.offset;
  c.out.sub = (address.wide ? 16 : 0) | transposed;
  const ParsedOperand &vector = c.operand(load ? 0 : 1);
  if (vector.kind != ParsedOperand::vector ||
      vector.elements.size() != size_t(1) << counts)
    return c.refuse("the vector has another number of registers");
  for (const ParsedOperand &e : vector.elements) {
    HADAL_ASSIGN_OR_RETURN(Operand operand, load ? c.destination(e, Type::b32)
                                                 : c.source(e, Type::b32));
    c.append(operand);
  }
  c.out.handler = load ? loadMatrix : storeMatrix;
  return c.finish();
}

} // namespace hadal::sim
