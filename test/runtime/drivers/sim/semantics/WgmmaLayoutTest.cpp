// Descriptors, operand addresses and fragments of wgmma against the published
// vectors.
#include "runtime/drivers/sim/semantics/WgmmaLayout.h"

#include <gtest/gtest.h>

#include <set>
#include <string>

using namespace hadal;
using namespace hadal::sim;

namespace {

using Pair = std::pair<unsigned, unsigned>;

TEST(WgmmaLayout, AccumulatorVectors) {
  const std::pair<Pair, Pair> cases[] = {
      {{0, 0}, {0, 0}},   {{8, 0}, {0, 2}},    {{5, 9}, {20, 5}},
      {{17, 37}, {38, 17}}, {{31, 8}, {60, 6}}, {{63, 63}, {127, 31}},
      {{40, 255}, {67, 127}}};
  for (auto &[element, place] : cases) {
    EXPECT_EQ(accumulatorPlace(element.first, element.second), place);
    EXPECT_EQ(accumulatorElement(place.first, place.second), element);
  }
}

TEST(WgmmaLayout, AccumulatorMapIsABijection) {
  std::set<Pair> seen;
  for (unsigned t = 0; t < 128; ++t)
    for (unsigned reg = 0; reg < 128; ++reg) {
      auto [row, column] = accumulatorElement(t, reg);
      EXPECT_LT(row, 64u);
      EXPECT_LT(column, 256u);
      EXPECT_EQ(accumulatorPlace(row, column), Pair(t, reg));
      seen.insert({row, column});
    }
  EXPECT_EQ(seen.size(), 64u * 256);
}

TEST(WgmmaLayout, RegisterOperandVectors) {
  auto bf16 = [](unsigned t, unsigned reg, unsigned part) {
    return registerOperandElement(WgmmaType::bf16, t, reg, part);
  };
  EXPECT_EQ(bf16(0, 1, 0), Pair(8, 0));
  EXPECT_EQ(bf16(38, 3, 1), Pair(25, 13));
  EXPECT_EQ(bf16(127, 2, 1), Pair(55, 15));
  auto e4m3 = [](unsigned t, unsigned reg, unsigned part) {
    return registerOperandElement(WgmmaType::e4m3, t, reg, part);
  };
  EXPECT_EQ(e4m3(0, 2, 0), Pair(0, 16));
  EXPECT_EQ(e4m3(38, 3, 2), Pair(25, 26));
  EXPECT_EQ(e4m3(127, 3, 3), Pair(63, 31));
}

TEST(WgmmaLayout, DescriptorVectors) {
  struct {
    uint64_t bits;
    uint32_t start, leading, stride;
    Swizzle swizzle;
    bool mnMajor;
  } cases[] = {
      {0x4000004000010040, 0x400, 16, 1024, Swizzle::b128, false},
      {0x4000004000010042, 0x420, 16, 1024, Swizzle::b128, false},
      {0x4000004000000800, 0x8000, 0, 1024, Swizzle::b128, false},
      {0x4000004002000200, 0x2000, 0x2000, 1024, Swizzle::b128, true},
      {0x0000001000080100, 0x1000, 128, 256, Swizzle::none, false},
      {0x8000002000010100, 0x1000, 16, 512, Swizzle::b64, false},
      {0xc000001000010100, 0x1000, 16, 256, Swizzle::b32, false},
  };
  for (auto &c : cases) {
    auto d = decodeMatrixDescriptor(c.bits, WgmmaType::bf16, c.mnMajor);
    ASSERT_TRUE(d.ok()) << d.status().message();
    EXPECT_EQ(d->start, c.start);
    EXPECT_EQ(d->leadingOffset, c.leading);
    EXPECT_EQ(d->strideOffset, c.stride);
    EXPECT_EQ(d->swizzle, c.swizzle);
  }
}

TEST(WgmmaLayout, IllegalDescriptorsAreRefused) {
  auto refused = [](uint64_t bits, WgmmaType type, bool mnMajor,
                    const char *text) {
    auto d = decodeMatrixDescriptor(bits, type, mnMajor);
    ASSERT_FALSE(d.ok());
    EXPECT_NE(d.status().message().find(text), std::string::npos)
        << d.status().message();
  };
  const uint64_t good = 0x4000004000010040;
  for (unsigned bit : {14u, 15u, 30u, 31u, 46u, 48u, 52u, 61u})
    refused(good | 1ull << bit, WgmmaType::bf16, false, "must be zero");
  refused(good | 1ull << 49, WgmmaType::bf16, false, "base offset 1");
  refused(good, WgmmaType::e4m3, true, "K-major only");
  // 0x480 lies in line 1 of a 1024-byte pattern.
  refused(0x4000004000010048, WgmmaType::bf16, false, "inside a 1024-byte");
  refused(0x8000002000010108, WgmmaType::bf16, false, "inside a 512-byte");
  refused(0xc000001000010108, WgmmaType::bf16, false, "inside a 256-byte");
}

MatrixDescriptor tile(uint32_t start, uint32_t leading, uint32_t stride,
                      Swizzle swizzle) {
  return {start, leading, stride, swizzle};
}

TEST(WgmmaLayout, OperandByteVectors) {
  // k beyond one instruction: the start advances by whole instructions.
  auto fp8 = tile(0x400 + 64, 0, 1024, Swizzle::b128);
  EXPECT_EQ(operandAddress(fp8, WgmmaType::e4m3, false, 13, 77 - 64), 0xa9du);
  auto bf16 = tile(64, 0, 1024, Swizzle::b128);
  EXPECT_EQ(operandAddress(bf16, WgmmaType::bf16, false, 5, 40 - 32), 0x280u);
  auto second = tile(0x800 + 32, 0, 1024, Swizzle::b128);
  EXPECT_EQ(operandAddress(second, WgmmaType::e4m3, false, 9, 0), 0xcb0u);
  auto zero = tile(96, 0, 1024, Swizzle::b128);
  EXPECT_EQ(operandAddress(zero, WgmmaType::e4m3, false, 0, 31), 0x7fu);
  auto mn = tile(0x2000, 0x2000, 0x400, Swizzle::b128);
  EXPECT_EQ(operandAddress(mn, WgmmaType::bf16, true, 70, 11), 0x45bcu);
  auto plain = tile(0, 128, 256, Swizzle::none);
  EXPECT_EQ(operandAddress(plain, WgmmaType::e4m3, false, 10, 21), 421u);
}

// MN-major without swizzle: LBO and SBO trade places.
TEST(WgmmaLayout, PlainMnMajor) {
  auto plain = tile(0x100, 128, 512, Swizzle::none);
  EXPECT_EQ(operandAddress(plain, WgmmaType::bf16, true, 3, 2),
            0x100u + 6 + 32);
  EXPECT_EQ(operandAddress(plain, WgmmaType::bf16, true, 9, 13),
            0x100u + 2 + 512 + 5 * 16 + 128);
}

TEST(WgmmaLayout, NarrowSwizzles) {
  // Row 3 of a 64-byte pattern at 0x1000: 0xc0 has bit 7, so bit 4 flips.
  auto b64 = tile(0x1000, 0, 512, Swizzle::b64);
  EXPECT_EQ(operandAddress(b64, WgmmaType::bf16, false, 3, 0), 0x10d0u);
  EXPECT_EQ(operandAddress(b64, WgmmaType::bf16, false, 11, 8), 0x12c0u);
  auto b32 = tile(0x1000, 0, 256, Swizzle::b32);
  EXPECT_EQ(operandAddress(b32, WgmmaType::bf16, false, 4, 0), 0x1090u);
  auto mn = tile(0x1000, 0x800, 256, Swizzle::b32);
  EXPECT_EQ(operandAddress(mn, WgmmaType::bf16, true, 17, 9),
            0x1000u + 0x800 + 2 + 32 + 256);
}

} // namespace
