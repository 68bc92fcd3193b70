// Integer and bit instructions: expected values worked out by hand from the PTX
// ISA's formulas.
#include "test/runtime/drivers/sim/SimHarness.h"

namespace hadal::sim::test {
namespace {

struct Case {
  const char *body;
  const char *result;
  LaneInput input;
  uint64_t expected;
};

void check(std::initializer_list<Case> cases) {
  for (const Case &c : cases)
    EXPECT_EQ(evaluate(c.body, c.result, c.input), c.expected) << c.body;
}

TEST(SimInteger, AddSubMul) {
  check({
      {"add.s32 %rd, %ra, %rb;", "%rd", {0xFFFFFFFF, 2}, 1},
      {"add.s32 %rd, %ra, -5;", "%rd", {3}, 0xFFFFFFFE},
      {"add.s64 %d, %a, %b;", "%d", {0xFFFFFFFF, 1}, 0x100000000},
      {"add.u16 %hd, %ha, %hb;", "%hd", {0xFFFF, 3}, 2},
      {"add.sat.s32 %rd, %ra, %rb;", "%rd", {0x7FFFFFFF, 1}, 0x7FFFFFFF},
      {"sub.s32 %rd, %ra, %rb;", "%rd", {1, 2}, 0xFFFFFFFF},
      {"sub.s64 %d, %a, %b;", "%d", {1, 2}, ~uint64_t(0)},
      {"sub.sat.s32 %rd, %ra, %rb;", "%rd", {0x80000000, 1}, 0x80000000},
      {"mul.lo.s32 %rd, %ra, %rb;", "%rd", {0x10001, 0x10001}, 0x20001},
      {"mul.lo.s64 %d, %a, %b;", "%d", {0x100000001, 3}, 0x300000003},
      {"mul.lo.s16 %hd, %ha, %hb;", "%hd", {300, 300}, 90000 & 0xFFFF},
      {"mul.hi.u32 %rd, %ra, %rb;", "%rd", {0x80000000, 6}, 3},
      {"mul.hi.s32 %rd, %ra, %rb;", "%rd", {0xFFFFFFFF, 1}, 0xFFFFFFFF},
      {"mul.hi.u16 %hd, %ha, %hb;", "%hd", {0x8000, 6}, 3},
      {"mul.hi.u64 %d, %a, %b;", "%d", {uint64_t(1) << 63, 6}, 3},
      {"mul.hi.s64 %d, %a, %b;", "%d", {~uint64_t(0), 1}, ~uint64_t(0)},
      {"mul.wide.u32 %d, %ra, %rb;", "%d", {0xFFFFFFFF, 2}, 0x1FFFFFFFE},
      {"mul.wide.s32 %d, %ra, %rb;", "%d", {0xFFFFFFFF, 2}, uint64_t(-2)},
      {"mul.wide.u16 %rd, %ha, %hb;", "%rd", {0xFFFF, 2}, 0x1FFFE},
      {"mul.wide.s16 %rd, %ha, %hb;", "%rd", {0xFFFF, 2}, 0xFFFFFFFE},
      {"mad.lo.s32 %rd, %ra, %rb, %rc;", "%rd", {7, 6, 5}, 47},
      {"mad.lo.s64 %d, %a, %b, %c;", "%d", {7, 6, uint64_t(-50)}, uint64_t(-8)},
      {"mad.hi.u32 %rd, %ra, %rb, %rc;", "%rd", {0x80000000, 6, 4}, 7},
      {"mad.wide.u32 %d, %ra, %rb, %c;", "%d",
       {0xFFFFFFFF, 2, 0x100000000}, 0x2FFFFFFFE},
      {"mad.wide.s32 %d, %ra, %rb, %c;", "%d", {0xFFFFFFFF, 2, 5}, 3},
  });
}

TEST(SimInteger, DivRemMinMax) {
  check({
      {"div.u32 %rd, %ra, %rb;", "%rd", {100, 7}, 14},
      {"div.s32 %rd, %ra, %rb;", "%rd", {uint64_t(-100), 7}, uint32_t(-14)},
      {"rem.u32 %rd, %ra, %rb;", "%rd", {100, 7}, 2},
      {"rem.s32 %rd, %ra, %rb;", "%rd", {uint64_t(-100), 7}, uint32_t(-2)},
      {"rem.s64 %d, %a, %b;", "%d", {uint64_t(-100), 7}, uint64_t(-2)},
      {"div.s64 %d, %a, %b;", "%d", {uint64_t(-100), 7}, uint64_t(-14)},
      {"div.u64 %d, %a, %b;", "%d", {uint64_t(1) << 40, 3}, 366503875925},
      {"div.s32 %rd, %ra, %rb;", "%rd", {0x80000000, 0xFFFFFFFF}, 0x80000000},
      {"min.s32 %rd, %ra, %rb;", "%rd", {0xFFFFFFFF, 2}, 0xFFFFFFFF},
      {"min.u32 %rd, %ra, %rb;", "%rd", {0xFFFFFFFF, 2}, 2},
      {"max.s32 %rd, %ra, %rb;", "%rd", {0xFFFFFFFF, 2}, 2},
      {"max.u64 %d, %a, %b;", "%d", {~uint64_t(0), 2}, ~uint64_t(0)},
      {"max.s64 %d, %a, %b;", "%d", {~uint64_t(0), 2}, 2},
      {"min.s16 %hd, %ha, %hb;", "%hd", {0x8000, 5}, 0x8000},
      {"abs.s32 %rd, %ra;", "%rd", {uint32_t(-9)}, 9},
      {"neg.s32 %rd, %ra;", "%rd", {9}, uint32_t(-9)},
      {"neg.s64 %d, %a;", "%d", {9}, uint64_t(-9)},
  });
}

TEST(SimInteger, LogicAndShift) {
  check({
      {"and.b32 %rd, %ra, %rb;", "%rd", {0xF0F0, 0xFF00}, 0xF000},
      {"or.b64 %d, %a, %b;", "%d", {uint64_t(1) << 40, 3},
       (uint64_t(1) << 40) | 3},
      {"xor.b16 %hd, %ha, %hb;", "%hd", {0xFFFF, 0x0F0F}, 0xF0F0},
      {"not.b32 %rd, %ra;", "%rd", {0x0F}, 0xFFFFFFF0},
      {"not.b16 %hd, %ha;", "%hd", {0x0F}, 0xFFF0},
      {"not.b64 %d, %a;", "%d", {0x0F}, ~uint64_t(0x0F)},
      {"cnot.b32 %rd, %ra;", "%rd", {0}, 1},
      {"shl.b32 %rd, %ra, 32;", "%rd", {1}, 0},
      {"shl.b32 %rd, %ra, %rb;", "%rd", {1, 31}, 0x80000000},
      {"shl.b64 %d, %a, 40;", "%d", {3}, uint64_t(3) << 40},
      {"shl.b16 %hd, %ha, %rb;", "%hd", {0x0101, 8}, 0x0100},
      {"shr.s32 %rd, %ra, 40;", "%rd", {0x80000000}, 0xFFFFFFFF},
      {"shr.u32 %rd, %ra, 40;", "%rd", {0x80000000}, 0},
      {"shr.u32 %rd, %ra, 4;", "%rd", {0x80000000}, 0x08000000},
      {"shr.s64 %d, %a, 4;", "%d", {uint64_t(-32)}, uint64_t(-2)},
      {"shr.u16 %hd, %ha, 8;", "%hd", {0xAB12}, 0xAB},
      {"shr.s16 %hd, %ha, 8;", "%hd", {0xAB12}, 0xFFAB},
      {"shf.l.wrap.b32 %rd, %ra, %rb, %rc;", "%rd",
       {0x80000001, 0x80000001, 7}, 0x000000C0},
      {"shf.r.wrap.b32 %rd, %ra, %rb, 8;", "%rd", {0x11223344, 0x55667788},
       0x88112233},
      {"shf.l.clamp.b32 %rd, %ra, %rb, 40;", "%rd", {0x11223344, 0x55667788},
       0x11223344},
      {"shf.r.clamp.b32 %rd, %ra, %rb, 40;", "%rd", {0x11223344, 0x55667788},
       0x55667788},
  });
}

TEST(SimInteger, BitFields) {
  check({
      {"bfe.u32 %rd, %ra, 8, 8;", "%rd", {0x89ABCDEF}, 0xCD},
      {"bfe.s32 %rd, %ra, 8, 8;", "%rd", {0x89ABCDEF}, 0xFFFFFFCD},
      {"bfe.u32 %rd, %ra, 28, 8;", "%rd", {0x89ABCDEF}, 0x8},
      {"bfe.s32 %rd, %ra, 28, 8;", "%rd", {0x89ABCDEF}, 0xFFFFFFF8},
      {"bfe.u32 %rd, %ra, 4, 0;", "%rd", {0x89ABCDEF}, 0},
      {"bfe.s32 %rd, %ra, 40, 8;", "%rd", {0x89ABCDEF}, 0xFFFFFFFF},
      {"bfe.u64 %d, %a, 36, 8;", "%d", {0x0000ABC000000000}, 0xBC},
      {"bfi.b32 %rd, %ra, %rb, 8, 8;", "%rd", {0xFFAA, 0x11223344},
       0x1122AA44},
      {"bfi.b32 %rd, %ra, %rb, 28, 8;", "%rd", {0xFF, 0x01223344},
       0xF1223344},
      {"bfi.b64 %d, %a, %b, 32, 16;", "%d", {0xBEEF, 0}, 0xBEEF00000000},
      {"prmt.b32 %rd, %ra, %rb, 0x5410;", "%rd", {0x44332211, 0x88776655},
       0x66552211},
      {"prmt.b32 %rd, %ra, %rb, 0x7632;", "%rd", {0x44332211, 0x88776655},
       0x88774433},
      {"prmt.b32 %rd, %ra, %rb, 0xBA98;", "%rd", {0x44332211, 0x88776655}, 0},
      {"prmt.b32 %rd, %ra, %rb, %rc;", "%rd",
       {0x44332211, 0x88776655, 0xF000}, 0xFF111111},
      {"prmt.b32.f4e %rd, %ra, %rb, %rc;", "%rd", {0x44332211, 0x88776655, 1},
       0x55443322},
      {"prmt.b32.b4e %rd, %ra, %rb, %rc;", "%rd", {0x44332211, 0x88776655, 1},
       0x77881122},
      {"prmt.b32.rc8 %rd, %ra, %rb, %rc;", "%rd", {0x44332211, 0x88776655, 2},
       0x33333333},
      {"prmt.b32.rc16 %rd, %ra, %rb, %rc;", "%rd", {0x44332211, 0x88776655, 1},
       0x44334433},
      {"lop3.b32 %rd, %ra, %rb, %rc, 0xC0;", "%rd", {0xFF00, 0x0FF0, 0x5555},
       0x0F00},
      {"lop3.b32 %rd, %ra, %rb, %rc, 0x96;", "%rd", {0xFF00, 0x0FF0, 0x5555},
       0xFF00 ^ 0x0FF0 ^ 0x5555},
      {"lop3.b32 %rd, %ra, %rb, %rc, 0xCA;", "%rd", {0xFF00, 0x0FF0, 0x5555},
       (0xFF00 & 0x0FF0) | (~0xFF00u & 0x5555)},
      {"lop3.b32 %rd, %ra, %rb, %rc, 0xE8;", "%rd", {0xFF00, 0x0FF0, 0x5555},
       (0xFF00 & 0x0FF0) | (0xFF00 & 0x5555) | (0x0FF0 & 0x5555)},
      {"clz.b32 %rd, %ra;", "%rd", {0}, 32},
      {"clz.b32 %rd, %ra;", "%rd", {0x00010000}, 15},
      {"clz.b64 %rd, %a;", "%rd", {1}, 63},
      {"popc.b32 %rd, %ra;", "%rd", {0xF0F1}, 9},
      {"popc.b64 %rd, %a;", "%rd", {~uint64_t(0)}, 64},
      {"brev.b32 %rd, %ra;", "%rd", {0x00000003}, 0xC0000000},
      {"bfind.u32 %rd, %ra;", "%rd", {0}, 0xFFFFFFFF},
      {"bfind.u32 %rd, %ra;", "%rd", {0x00012345}, 16},
      {"bfind.s32 %rd, %ra;", "%rd", {0xFFFFFFFE}, 0},
  });
}

TEST(SimInteger, MovePackAndUnpack) {
  check({
      {"mov.b32 {%hd, %he}, %ra;", "%hd", {0xAAAA5555}, 0x5555},
      {"mov.b32 {_, %hd}, %ra;", "%hd", {0xAAAA5555}, 0xAAAA},
      {"mov.b32 %rd, {%ha, %hb};", "%rd", {0x1234, 0x5678}, 0x56781234},
      {"mov.b64 {%rd, %re}, %a;", "%rd", {0x1122334455667788}, 0x55667788},
      {"mov.b64 {%re, %rd}, %a;", "%rd", {0x1122334455667788}, 0x11223344},
      {"mov.b64 %d, {%ra, %rb};", "%d", {0x11, 0x22}, 0x2200000011},
      {"mov.b64 %d, {%ha, %hb, %hc, %ha};", "%d", {1, 2, 3},
       0x0001000300020001},
      {"mov.u32 %rd, %ntid.x;", "%rd", {}, 1},
      {"mov.u32 %rd, %laneid;", "%rd", {}, 0},
      {"mov.u32 %rd, %lanemask_lt;", "%rd", {}, 0},
      {"mov.u32 %rd, WARP_SZ;", "%rd", {}, 32},
  });
}

TEST(SimInteger, CompareAndSelect) {
  check({
      {"setp.lt.s32 %p, %ra, %rb;", "%p", {0xFFFFFFFF, 0}, 1},
      {"setp.lt.u32 %p, %ra, %rb;", "%p", {0xFFFFFFFF, 0}, 0},
      {"setp.ge.u64 %p, %a, %b;", "%p", {5, 5}, 1},
      {"setp.hi.u32 %p, %ra, %rb;", "%p", {6, 5}, 1},
      {"setp.ls.u32 %p, %ra, %rb;", "%p", {6, 5}, 0},
      {"setp.ne.b32 %p, 1, 0;", "%p", {}, 1},
      {"setp.eq.s16 %p, %ha, %hb;", "%p", {0x10001, 1}, 1},
      {"setp.eq.s32 %q|%p, %ra, %rb;", "%p", {1, 2}, 1},
      {"setp.eq.s32 %q, 1, 1; setp.lt.and.s32 %p, %ra, %rb, !%q;", "%p",
       {1, 2}, 0},
      {"setp.eq.s32 %q, 1, 1; setp.gt.or.s32 %p, %ra, %rb, %q;", "%p",
       {1, 2}, 1},
      {"setp.eq.s32 %q, 1, 1; xor.pred %p, %q, %q;", "%p", {}, 0},
      {"setp.eq.s32 %q, 1, 1; not.pred %p, %q;", "%p", {}, 0},
      {"setp.eq.s32 %q, %ra, 1; selp.b32 %rd, %rb, %rc, %q;", "%rd",
       {1, 11, 22}, 11},
      {"setp.eq.s32 %q, %ra, 1; selp.b64 %d, %b, %c, !%q;", "%d",
       {1, 11, 22}, 22},
      {"slct.b32.s32 %rd, %ra, %rb, %rc;", "%rd", {1, 2, 0xFFFFFFFF}, 2},
      {"slct.b32.s32 %rd, %ra, %rb, %rc;", "%rd", {1, 2, 0}, 1},
  });
}

TEST(SimInteger, Convert) {
  check({
      {"cvt.s64.s32 %d, %ra;", "%d", {0x80000000}, 0xFFFFFFFF80000000},
      {"cvt.u64.u32 %d, %ra;", "%d", {0x80000000}, 0x80000000},
      {"cvt.u32.u64 %rd, %a;", "%rd", {0x1234567890}, 0x34567890},
      {"cvt.s32.s8 %rd, %ra;", "%rd", {0x80}, 0xFFFFFF80},
      {"cvt.u32.u8 %rd, %ra;", "%rd", {0x1FF}, 0xFF},
      {"cvt.u16.u32 %hd, %ra;", "%hd", {0x12345}, 0x2345},
      {"cvt.s16.s32 %hd, %ra;", "%hd", {0xFFFF8000}, 0x8000},
      {"cvt.sat.u8.s32 %rd, %ra;", "%rd", {300}, 255},
      {"cvt.sat.u8.s32 %rd, %ra;", "%rd", {uint32_t(-3)}, 0},
      {"cvt.sat.s8.s32 %rd, %ra;", "%rd", {uint32_t(-300)}, uint32_t(-128)},
      {"cvt.u64.u16 %d, %ha;", "%d", {0xFFFF1234}, 0x1234},
  });
}

} // namespace
} // namespace hadal::sim::test
