// Float instructions and conversions: expected bit patterns from IEEE rules
// and from those of the PTX ISA, worked out by hand.
#include <bit>

#include "test/runtime/drivers/sim/SimHarness.h"

namespace hadal::sim::test {
namespace {

uint64_t f(float value) { return std::bit_cast<uint32_t>(value); }
uint64_t d(double value) { return std::bit_cast<uint64_t>(value); }
const uint64_t inf = 0x7F800000, minusInf = 0xFF800000, nan = 0x7FC00001;
const uint64_t canonical = 0x7FFFFFFF;

struct Case {
  const char *body;
  const char *result;
  LaneInput input;
  uint64_t expected;
};

void check(std::initializer_list<Case> cases) {
  for (const Case &c : cases)
    EXPECT_EQ(evaluate(c.body, c.result, c.input), c.expected)
        << c.body << std::hex << " a " << c.input.a << " b " << c.input.b
        << " c " << c.input.c;
}

TEST(SimFloat, Arithmetic) {
  check({
      {"add.rn.f32 %rd, %ra, %rb;", "%rd", {f(1.5f), f(2.25f)}, f(3.75f)},
      {"add.f32 %rd, %ra, %rb;", "%rd", {inf, minusInf}, canonical},
      {"sub.rn.f32 %rd, %ra, %rb;", "%rd", {f(1.0f), f(1e-9f)}, f(1.0f)},
      {"mul.rn.f32 %rd, %ra, 0f40000000;", "%rd", {f(3.0f)}, f(6.0f)},
      {"mul.rn.f32 %rd, %ra, %rb;", "%rd", {nan, f(1.0f)}, canonical},
      // 2^-100 * 2^-40 = 2^-140 is subnormal: kept, or flushed by .ftz.
      {"mul.rn.f32 %rd, %ra, %rb;", "%rd", {f(0x1p-100f), f(0x1p-40f)},
       f(0x1p-140f)},
      {"mul.rn.ftz.f32 %rd, %ra, %rb;", "%rd", {f(-0x1p-100f), f(0x1p-40f)},
       f(-0.0f)},
      {"add.rn.ftz.f32 %rd, %ra, %rb;", "%rd", {f(0x1p-140f), f(0x1p-140f)},
       0},
      {"add.sat.f32 %rd, %ra, %rb;", "%rd", {f(0.75f), f(0.5f)}, f(1.0f)},
      {"add.sat.f32 %rd, %ra, %rb;", "%rd", {nan, f(0.5f)}, 0},
      {"div.rn.f32 %rd, %ra, %rb;", "%rd", {f(1.0f), f(3.0f)}, 0x3EAAAAAB},
      {"div.full.f32 %rd, %ra, %rb;", "%rd", {f(6.0f), f(3.0f)}, f(2.0f)},
      {"rcp.rn.f32 %rd, %ra;", "%rd", {f(3.0f)}, 0x3EAAAAAB},
      {"sqrt.rn.f32 %rd, %ra;", "%rd", {f(2.0f)}, 0x3FB504F3},
      // (1 + 2^-12)^2 - (1 + 2^-11) = 2^-24 needs the unrounded product.
      {"fma.rn.f32 %rd, %ra, %rb, %rc;", "%rd",
       {f(1.000244140625f), f(1.000244140625f), f(-1.00048828125f)},
       f(0x1p-24f)},
      {"neg.f32 %rd, %ra;", "%rd", {f(1.0f)}, f(-1.0f)},
      {"abs.f32 %rd, %ra;", "%rd", {f(-1.0f)}, f(1.0f)},
      {"copysign.f32 %rd, %ra, %rb;", "%rd", {f(-1.0f), f(3.0f)}, f(-3.0f)},
      {"add.f64 %d, %a, %b;", "%d", {d(0.1), d(0.2)}, d(0.1 + 0.2)},
      {"fma.rn.f64 %d, %a, %b, %c;", "%d", {d(2), d(3), d(4)}, d(10)},
      {"div.rn.f64 %d, %a, %b;", "%d", {d(1), d(3)}, 0x3FD5555555555555},
      {"sqrt.rn.f64 %d, %a;", "%d", {d(2)}, 0x3FF6A09E667F3BCD},
  });
}

TEST(SimFloat, MinMax) {
  check({
      {"max.f32 %rd, %ra, %rb;", "%rd", {nan, f(1.0f)}, f(1.0f)},
      {"max.f32 %rd, %ra, %rb;", "%rd", {nan, nan}, canonical},
      {"max.f32 %rd, %ra, %rb;", "%rd", {f(-0.0f), f(0.0f)}, 0},
      {"min.f32 %rd, %ra, %rb;", "%rd", {f(0.0f), f(-0.0f)}, f(-0.0f)},
      {"max.NaN.f32 %rd, %ra, %rb;", "%rd", {nan, f(1.0f)}, canonical},
      {"min.NaN.f32 %rd, %ra, %rb;", "%rd", {f(2.0f), f(1.0f)}, f(1.0f)},
      {"max.f32 %rd, %ra, %rb;", "%rd", {minusInf, f(-7.0f)}, f(-7.0f)},
  });
}

TEST(SimFloat, Compare) {
  check({
      {"setp.lt.f32 %p, %ra, %rb;", "%p", {f(1.0f), f(2.0f)}, 1},
      {"setp.lt.f32 %p, %ra, %rb;", "%p", {nan, f(2.0f)}, 0},
      {"setp.ltu.f32 %p, %ra, %rb;", "%p", {nan, f(2.0f)}, 1},
      {"setp.ne.f32 %p, %ra, %rb;", "%p", {nan, f(2.0f)}, 0},
      {"setp.neu.f32 %p, %ra, %rb;", "%p", {nan, f(2.0f)}, 1},
      {"setp.nan.f32 %p, %ra, %rb;", "%p", {nan, f(2.0f)}, 1},
      {"setp.num.f32 %p, %ra, %rb;", "%p", {nan, f(2.0f)}, 0},
      {"setp.eq.f32 %p, %ra, %rb;", "%p", {f(0.0f), f(-0.0f)}, 1},
      {"setp.gt.f64 %p, %a, %b;", "%p", {d(2), d(1)}, 1},
      {"testp.finite.f32 %p, %ra;", "%p", {inf}, 0},
      {"testp.subnormal.f32 %p, %ra;", "%p", {1}, 1},
  });
}

TEST(SimFloat, SpecialValuesOfApproximations) {
  check({
      {"ex2.approx.ftz.f32 %rd, %ra;", "%rd", {minusInf}, 0},
      {"ex2.approx.ftz.f32 %rd, %ra;", "%rd", {f(-0.0f)}, f(1.0f)},
      {"ex2.approx.f32 %rd, %ra;", "%rd", {inf}, inf},
      {"ex2.approx.f32 %rd, %ra;", "%rd", {f(10.0f)}, f(1024.0f)},
      {"lg2.approx.f32 %rd, %ra;", "%rd", {f(-1.0f)}, canonical},
      {"lg2.approx.f32 %rd, %ra;", "%rd", {f(0.0f)}, minusInf},
      {"lg2.approx.f32 %rd, %ra;", "%rd", {f(8.0f)}, f(3.0f)},
      {"rcp.approx.ftz.f32 %rd, %ra;", "%rd", {f(-0.0f)}, minusInf},
      {"rcp.approx.ftz.f32 %rd, %ra;", "%rd", {f(4.0f)}, f(0.25f)},
      {"rsqrt.approx.f32 %rd, %ra;", "%rd", {f(-0.0f)}, minusInf},
      {"rsqrt.approx.f32 %rd, %ra;", "%rd", {f(4.0f)}, f(0.5f)},
      {"sqrt.approx.f32 %rd, %ra;", "%rd", {f(-1.0f)}, canonical},
      {"tanh.approx.f32 %rd, %ra;", "%rd", {inf}, f(1.0f)},
  });
}

TEST(SimFloat, ToBf16AndBack) {
  check({
      {"cvt.rn.bf16.f32 %hd, %ra;", "%hd", {f(1.0f)}, 0x3F80},
      {"cvt.rn.bf16.f32 %hd, %ra;", "%hd", {f(1.00390625f)}, 0x3F80},
      {"cvt.rn.bf16.f32 %hd, %ra;", "%hd", {f(1.01171875f)}, 0x3F82},
      {"cvt.rn.bf16.f32 %hd, %ra;", "%hd", {f(1.0039063692f)}, 0x3F81},
      {"cvt.rn.bf16.f32 %hd, %ra;", "%hd", {f(3.4e38f)}, 0x7F80},
      {"cvt.rn.bf16.f32 %hd, %ra;", "%hd", {nan}, 0x7FFF},
      {"cvt.rn.bf16.f32 %hd, %ra;", "%hd", {f(1e-40f)}, 0x0001},
      {"cvt.rz.bf16.f32 %hd, %ra;", "%hd", {f(1.01171875f)}, 0x3F81},
      {"cvt.f32.bf16 %rd, %ha;", "%rd", {0xC020}, f(-2.5f)},
      {"cvt.rn.bf16x2.f32 %rd, %ra, %rb;", "%rd", {f(1.0f), f(-2.5f)},
       0x3F80C020},
      {"cvt.rn.f16.f32 %hd, %ra;", "%hd", {f(65520.0f)}, 0x7C00},
      {"cvt.f32.f16 %rd, %ha;", "%rd", {0x3C00}, f(1.0f)},
      {"cvt.rn.f16x2.f32 %rd, %ra, %rb;", "%rd", {f(1.0f), f(2.0f)},
       0x3C004000},
  });
}

TEST(SimFloat, ToE4m3AndBack) {
  const char *pack = "cvt.rn.satfinite.e4m3x2.f32 %hd, %ra, %rb;";
  check({
      {pack, "%hd", {f(1.0f), f(448.0f)}, 0x387E},
      {pack, "%hd", {f(0.0f), f(-0.0f)}, 0x0080},
      {pack, "%hd", {f(464.0f), f(480.0f)}, 0x7E7E},
      {pack, "%hd", {minusInf, nan}, 0xFE7F},
      {pack, "%hd", {f(0x1p-9f), f(0x1p-10f)}, 0x0100},
      {pack, "%hd", {f(1.0001f * 0x1p-10f), f(3 * 0x1p-10f)}, 0x0102},
      {pack, "%hd", {f(0.1f), f(0.3f)}, 0x1D2A},
      {pack, "%hd", {f(17.0f), f(-240.0f)}, 0x58F7},
      {"cvt.rn.f16x2.e4m3x2 %rd, %ha;", "%rd", {0x7F01}, 0x7FFF1800},
      {"cvt.rn.f16x2.e4m3x2 %rd, %ha;", "%rd", {0xFE38}, 0xDF003C00},
      {"cvt.rn.satfinite.e4m3x2.f16x2 %hd, %ra;", "%hd", {0x3C005F00}, 0x387E},
  });
}

TEST(SimFloat, IntegerConversions) {
  check({
      {"cvt.rn.f32.s32 %rd, %ra;", "%rd", {uint32_t(-3)}, f(-3.0f)},
      {"cvt.rn.f32.u32 %rd, %ra;", "%rd", {0xFFFFFFFF}, f(4294967296.0f)},
      {"cvt.rn.f32.s64 %rd, %a;", "%rd", {uint64_t(-5)}, f(-5.0f)},
      {"cvt.rn.f64.s32 %d, %ra;", "%d", {uint32_t(-3)}, d(-3.0)},
      {"cvt.rn.f32.u16 %rd, %ha;", "%rd", {0x10005}, f(5.0f)},
      {"cvt.rzi.s32.f32 %rd, %ra;", "%rd", {f(-2.7f)}, uint32_t(-2)},
      {"cvt.rni.s32.f32 %rd, %ra;", "%rd", {f(2.5f)}, 2},
      {"cvt.rpi.s32.f32 %rd, %ra;", "%rd", {f(2.1f)}, 3},
      {"cvt.rmi.s32.f32 %rd, %ra;", "%rd", {f(-2.1f)}, uint32_t(-3)},
      {"cvt.rzi.u32.f32 %rd, %ra;", "%rd", {f(-2.0f)}, 0},
      {"cvt.rzi.s32.f32 %rd, %ra;", "%rd", {f(3e9f)}, 0x7FFFFFFF},
      {"cvt.rzi.s32.f32 %rd, %ra;", "%rd", {nan}, 0},
      {"cvt.rni.f32.f32 %rd, %ra;", "%rd", {f(3.5f)}, f(4.0f)},
      {"cvt.rzi.f32.f32 %rd, %ra;", "%rd", {f(-3.5f)}, f(-3.0f)},
      {"cvt.f64.f32 %d, %ra;", "%d", {f(0.5f)}, d(0.5)},
      {"cvt.rn.f32.f64 %rd, %a;", "%rd", {d(0.1)}, f(0.1f)},
      {"cvt.rz.f32.f64 %rd, %a;", "%rd", {d(0.1)}, 0x3DCCCCCC},
      {"cvt.sat.f32.f32 %rd, %ra;", "%rd", {f(1.5f)}, f(1.0f)},
  });
}

TEST(SimFloat, HalfArithmetic) {
  check({
      {"add.rn.bf16 %hd, %ha, %hb;", "%hd", {0x3F80, 0x3F80}, 0x4000},
      {"fma.rn.bf16x2 %rd, %ra, %rb, %rc;", "%rd",
       {0x40003F80, 0x40404000, 0x3F803F80}, 0x40E04040},
      {"mul.rn.bf16x2 %rd, %ra, %rb;", "%rd", {0x40003F80, 0x40404000},
       0x40C04000},
      {"add.rn.f16x2 %rd, %ra, %rb;", "%rd", {0x3C003C00, 0x40003C00},
       0x42004000},
      {"max.bf16x2 %rd, %ra, %rb;", "%rd", {0xBF807FC0, 0x3F803F80},
       0x3F803F80},
      {"max.NaN.bf16 %hd, %ha, %hb;", "%hd", {0x7FC0, 0x3F80}, 0x7FFF},
      {"neg.bf16x2 %rd, %ra;", "%rd", {0x3F80BF80}, 0xBF803F80},
  });
}

} // namespace
} // namespace hadal::sim::test
