// ex2 lg2 rcp sqrt rsqrt sin cos tanh copysign testp.
#include "runtime/drivers/sim/ops/Handlers.h"
#include "runtime/drivers/sim/semantics/Approx.h"

namespace hadal::sim {
namespace {

template <float (*function)(float, bool)>
Flow approxHandler(Exec &x, const Instruction &i) {
  uint32_t *d = x.out<float>(i.op[0]);
  const uint32_t *a = x.in<float>(i.op[1]);
  forLanes(x.mask, [&](unsigned l) {
    d[l] = canonicalSlot(function(std::bit_cast<float>(a[l]), i.sub));
  });
  x.setUndef<float>(i.op[0], x.undefLanes<float>(i.op[1]));
  return Flow::next;
}

float tanhOf(float x, bool) { return tanhApprox(x); }
float rcpExact(float x, bool ftz) {
  return ftz ? flushed(1.0f / flushed(x)) : 1.0f / x;
}
float sqrtExact(float x, bool ftz) {
  return std::sqrt(ftz ? flushed(x) : x);
}

struct Rcp64 {
  double operator()(double a) const { return 1.0 / a; }
};
struct Sqrt64 {
  double operator()(double a) const { return std::sqrt(a); }
};

/// d = sign of a, magnitude of b.
struct CopySign32 {
  uint32_t operator()(uint32_t a, uint32_t b) const {
    return (a & 0x80000000) | (b & 0x7FFFFFFF);
  }
};

/// testp.{finite,infinite,number,notanumber,normal,subnormal}.f32
Flow testProperty(Exec &x, const Instruction &i) {
  const uint32_t *a = x.in<float>(i.op[1]);
  uint32_t lanes = 0;
  for (uint32_t rest = x.mask; rest; rest &= rest - 1) {
    unsigned l = std::countr_zero(rest);
    float v = std::bit_cast<float>(a[l]);
    bool is[] = {std::isfinite(v), std::isinf(v), !std::isnan(v),
                 std::isnan(v), std::isnormal(v),
                 std::fpclassify(v) == FP_SUBNORMAL};
    lanes |= uint32_t(is[i.sub]) << l;
  }
  x.setPredicate(i.op[0], lanes, x.undefLanes<float>(i.op[1]));
  return Flow::next;
}

} // namespace

Status decodeFloatMath(DecodeContext &c) {
  const std::string &opcode = c.parsed.opcode;
  HADAL_ASSIGN_OR_RETURN(Type type, requireType(c));
  if (opcode == "copysign" && type == Type::f32) {
    c.out.handler = binaryHandler<uint32_t, CopySign32>;
    return decodeOperands(c, type, 2);
  }
  if (opcode == "testp" && type == Type::f32) {
    int property = c.takeOne({"finite", "infinite", "number", "notanumber",
                              "normal", "subnormal"});
    if (property < 0)
      return c.refuse("testp needs a property");
    c.out.sub = property;
    c.out.handler = testProperty;
    HADAL_RETURN_IF_ERROR(c.expectOperands(2, 2));
    HADAL_ASSIGN_OR_RETURN(c.out.op[0], c.destinationPredicate(0));
    HADAL_ASSIGN_OR_RETURN(c.out.op[1], c.source(1, type));
    return c.finish();
  }
  bool exact = c.take("rn");
  bool approx = !exact && c.take("approx");
  if (!exact && !approx)
    return c.refuse("needs .rn or .approx");
  if (type == Type::f64 && exact) {
    c.out.handler = opcode == "rcp"    ? unaryHandler<double, Rcp64>
                    : opcode == "sqrt" ? unaryHandler<double, Sqrt64>
                                       : nullptr;
  } else if (type == Type::f32) {
    c.out.sub = c.take("ftz");
    if (exact)
      c.out.handler = opcode == "rcp"    ? approxHandler<rcpExact>
                      : opcode == "sqrt" ? approxHandler<sqrtExact>
                                         : nullptr;
    else if (opcode == "ex2")
      c.out.handler = approxHandler<ex2Approx>;
    else if (opcode == "lg2")
      c.out.handler = approxHandler<lg2Approx>;
    else if (opcode == "rcp")
      c.out.handler = approxHandler<rcpApprox>;
    else if (opcode == "sqrt")
      c.out.handler = approxHandler<sqrtApprox>;
    else if (opcode == "rsqrt")
      c.out.handler = approxHandler<rsqrtApprox>;
    else if (opcode == "sin")
      c.out.handler = approxHandler<sinApprox>;
    else if (opcode == "cos")
      c.out.handler = approxHandler<cosApprox>;
    else if (opcode == "tanh")
      c.out.handler = approxHandler<tanhOf>;
  }
  if (!c.out.handler)
    return c.refuse("this form is not modelled");
  return decodeOperands(c, type, 1);
}

} // namespace hadal::sim
