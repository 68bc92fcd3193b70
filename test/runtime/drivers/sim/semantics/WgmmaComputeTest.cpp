// wgmma arithmetic: the published one-step vectors, the vectorised model
// against its scalar definition, operands gathered from swizzled tiles and
// registers against a float64 product.
#include "runtime/drivers/sim/semantics/WgmmaCompute.h"
#include "runtime/drivers/sim/semantics/Convert.h"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <limits>
#include <random>

using namespace hadal::sim;

namespace {

constexpr WgmmaType allTypes[] = {WgmmaType::bf16, WgmmaType::f16,
                                  WgmmaType::e4m3, WgmmaType::e5m2};

FloatFormat formatOf(WgmmaType type) {
  switch (type) {
  case WgmmaType::bf16:
    return FloatFormat::bf16;
  case WgmmaType::f16:
    return FloatFormat::f16;
  case WgmmaType::e4m3:
    return FloatFormat::e4m3;
  case WgmmaType::e5m2:
    return FloatFormat::e5m2;
  }
  return FloatFormat::f16;
}

float step(WgmmaType type, std::vector<std::pair<float, float>> terms,
           float c) {
  std::vector<float> a(wgmmaK(type)), b(wgmmaK(type));
  for (size_t i = 0; i < terms.size(); ++i)
    a[i] = terms[i].first, b[i] = terms[i].second;
  return hopperDot(type, type, a.data(), b.data(), wgmmaK(type), c, false);
}

TEST(WgmmaHopper, Fp8Vectors) {
  auto fp8 = [](std::vector<std::pair<float, float>> terms, float c) {
    return step(WgmmaType::e4m3, std::move(terms), c);
  };
  const float p6 = 0x1p-6f, p7 = 0x1p-7f;
  EXPECT_EQ(fp8({{1, 1}, {p7, p7}}, 0), 1.0f);
  EXPECT_EQ(fp8({{1, 1}, {p6, p7}}, 0), 1.0001220703125f);
  EXPECT_EQ(fp8({{1, 1}, {-p7, p7}}, 0), 1.0f);
  std::vector<std::pair<float, float>> many(32, {p7, p7});
  many[0] = {1, 1};
  EXPECT_EQ(fp8(many, 0), 1.0f);
  EXPECT_EQ(fp8({{0.25f, 0.5f}}, 2048), 2048.0f);
  EXPECT_EQ(fp8({{0.5f, 0.5f}}, 2048), 2048.25f);
  EXPECT_EQ(fp8({}, 1 + 0x1p-20f), 1.0f);
  EXPECT_EQ(fp8(std::vector<std::pair<float, float>>(32, {448, 448}), 0),
            6422528.0f);
  EXPECT_EQ(fp8({{448, 448}, {-448, 448}, {1, 1}}, 0), 0.0f);
  EXPECT_EQ(fp8({{1.75f, 1.75f}, {p6, p7}}, 0), 3.0625f);
}

TEST(WgmmaHopper, Bf16Vectors) {
  auto bf16 = [](std::vector<std::pair<float, float>> terms, float c) {
    return step(WgmmaType::bf16, std::move(terms), c);
  };
  const float p12 = 0x1p-12f, p13 = 0x1p-13f;
  EXPECT_EQ(bf16({{1, 1}, {p12, p13}}, 0), 1.0f);
  EXPECT_EQ(bf16({{1, 1}, {p12, p12}, {p13, p12}, {p13, p12}}, 0),
            1 + 0x1p-23f);
  EXPECT_EQ(bf16({{-1, 0x1p-24f}}, 1), 1 - 0x1p-24f);
  EXPECT_EQ(bf16({{1, 1}, {-p13, p13}}, 0), 1.0f);
}

TEST(WgmmaHopper, SpecialValues) {
  const float infinity = std::numeric_limits<float>::infinity();
  EXPECT_EQ(step(WgmmaType::f16, {{infinity, 1}}, 3), infinity);
  EXPECT_EQ(step(WgmmaType::f16, {{infinity, -1}}, 3), -infinity);
  EXPECT_EQ(std::bit_cast<uint32_t>(
                step(WgmmaType::f16, {{infinity, 1}}, -infinity)),
            0x7fffffffu);
  EXPECT_EQ(std::bit_cast<uint32_t>(step(WgmmaType::f16, {{infinity, 0}}, 0)),
            0x7fffffffu);
  EXPECT_EQ(std::bit_cast<uint32_t>(step(WgmmaType::e4m3, {{NAN, 1}}, 0)),
            0x7fffffffu);
}

/// Random codes of |type|; |mode| 0: all finite codes, 1: moderate values,
/// 2: many zeros.
std::vector<float> randomValues(WgmmaType type, size_t count,
                                std::mt19937 &random, int mode) {
  std::normal_distribution<float> normal;
  std::vector<float> result(count);
  for (float &x : result) {
    do {
      if (mode == 0)
        x = decodeFloat(static_cast<uint16_t>(
                            wgmmaElementBytes(type) == 1 ? random() & 0xff
                                                         : random() & 0xffff),
                        formatOf(type));
      else
        x = decodeFloat(encodeFloat(normal(random), formatOf(type), {}),
                        formatOf(type));
    } while (!std::isfinite(x));
    if (mode == 2 && random() % 3)
      x = 0;
  }
  return result;
}

TEST(WgmmaHopper, VectorFormEqualsItsDefinitionBitByBit) {
  std::mt19937 random(7);
  for (WgmmaType ta : allTypes)
    for (WgmmaType tb : allTypes) {
      if (wgmmaElementBytes(ta) != wgmmaElementBytes(tb) ||
          (ta != tb && wgmmaElementBytes(ta) == 2))
        continue;
      for (int mode : {0, 1, 2}) {
        WgmmaShape shape{ta, tb, 24};
        const unsigned k = shape.k();
        auto a = randomValues(ta, 64 * k, random, mode);
        auto b = randomValues(tb, k * shape.n, random, mode);
        std::vector<float> d(64 * shape.n);
        for (size_t i = 0; i < d.size(); ++i)
          d[i] = i % 5 == 0   ? 0.0f
                 : i % 5 == 1 ? 0x1p-140f
                 : i % 5 == 2 ? 0x1p-113f * static_cast<float>(i)
                 : i % 5 == 3 ? std::ldexp(1.3f, static_cast<int>(i % 250) -
                                                     125)
                              : -static_cast<float>(i) / 7;
        std::vector<float> expected = d;
        for (unsigned row = 0; row < 64; ++row)
          for (unsigned c = 0; c < shape.n; ++c) {
            std::vector<float> column(k);
            for (unsigned kk = 0; kk < k; ++kk)
              column[kk] = b[kk * shape.n + c];
            float &out = expected[row * shape.n + c];
            out = hopperDot(ta, tb, &a[row * k], column.data(), k, out, false);
          }
        wgmmaCompute(shape, WgmmaModel::hopper13, a.data(), b.data(), true,
                     d.data());
        for (size_t i = 0; i < d.size(); ++i)
          ASSERT_EQ(std::bit_cast<uint32_t>(d[i]),
                    std::bit_cast<uint32_t>(expected[i]))
              << static_cast<int>(ta) << " " << mode << " " << i << ": " << d[i]
              << " " << expected[i];
      }
    }
}

// K = 7168 of uniform magnitudes: accumulating in the tensor core alone loses
// about a tenth, promoting every 128 keeps 1e-3 (the reason for promotion).
TEST(WgmmaHopper, PromotionMatters) {
  std::mt19937 random(3);
  std::uniform_real_distribution<float> uniform(0.01f, 448.0f);
  WgmmaShape shape{WgmmaType::e4m3, WgmmaType::e4m3, 8};
  std::vector<float> d(64 * 8), promoted(64 * 8), part(64 * 8);
  std::vector<double> exact(64 * 8);
  for (unsigned k = 0; k < 7168; k += 32) {
    std::vector<float> a(64 * 32), b(32 * 8);
    for (auto *tile : {&a, &b})
      for (float &x : *tile)
        x = decodeFloat(cvtE4m3F32(uniform(random)), FloatFormat::e4m3);
    wgmmaCompute(shape, WgmmaModel::hopper13, a.data(), b.data(), k != 0,
                 d.data());
    wgmmaCompute(shape, WgmmaModel::hopper13, a.data(), b.data(),
                 k % 128 != 0, part.data());
    for (unsigned i = 0; i < 64 * 8; ++i) {
      if (k % 128 == 96)
        promoted[i] += part[i];
      for (unsigned kk = 0; kk < 32; ++kk)
        exact[i] += static_cast<double>(a[i / 8 * 32 + kk]) * b[kk * 8 + i % 8];
    }
  }
  for (unsigned i = 0; i < 64 * 8; ++i) {
    EXPECT_LT(std::fabs(promoted[i] / exact[i] - 1), 1e-3);
    EXPECT_GT(std::fabs(d[i] / exact[i] - 1), 1e-2);
  }
}

/// A swizzled tile as TMA writes it: rows of the swizzle's span.
struct Tile {
  std::vector<uint8_t> bytes = std::vector<uint8_t>(1 << 17);
  static constexpr uint32_t base = 0x400;

  void put(uint32_t logical, Swizzle mode, WgmmaType type, float value) {
    uint16_t code = encodeFloat(value, formatOf(type), {});
    auto address = static_cast<uint32_t>(swizzleAddress(logical, mode));
    for (unsigned i = 0; i < wgmmaElementBytes(type); ++i)
      bytes[address - base + i] = static_cast<uint8_t>(code >> 8 * i);
  }
};

uint64_t describe(uint32_t start, uint32_t leading, uint32_t stride,
                  uint64_t layout) {
  return (start >> 4) | uint64_t{leading >> 4} << 16 |
         uint64_t{stride >> 4} << 32 | layout << 62;
}

void expectProduct(const WgmmaShape &shape, const std::vector<float> &a,
                   const std::vector<float> &b, const std::vector<float> &d) {
  for (unsigned row = 0; row < 64; ++row)
    for (unsigned c = 0; c < shape.n; ++c) {
      double sum = 0, magnitude = 0;
      for (unsigned k = 0; k < shape.k(); ++k) {
        double p = static_cast<double>(a[row * shape.k() + k]) *
                   b[k * shape.n + c];
        sum += p;
        magnitude += std::fabs(p);
      }
      ASSERT_NEAR(d[row * shape.n + c], sum, magnitude * 1e-5);
    }
}

// Both operands in shared memory, every swizzle, both majors: tiles laid out
// as rows of one span, addressed by descriptors of the ISA's formulas.
TEST(WgmmaGather, SharedOperandsOfEveryLayout) {
  std::mt19937 random(5);
  for (WgmmaType type : allTypes)
    for (bool mnMajor : {false, true}) {
      if (mnMajor && wgmmaElementBytes(type) == 1)
        continue;
      for (unsigned mode = 0; mode < 4; ++mode) {
        auto swizzle = static_cast<Swizzle>(mode);
        const uint64_t layout = mode == 0 ? 0 : 4 - mode;
        WgmmaShape shape{type, type, 40, mnMajor, mnMajor};
        const unsigned bytes = wgmmaElementBytes(type), k = shape.k();
        auto a = randomValues(type, 64 * k, random, 1);
        auto b = randomValues(type, k * shape.n, random, 1);
        Tile tile;
        auto fill = [&](uint32_t start, unsigned count, auto value) {
          const uint32_t span = mode ? swizzleSpan(swizzle) : 16;
          uint64_t descriptor;
          if (!mnMajor) {
            // Rows of one span; without swizzle, two columns of 16 bytes.
            const uint32_t column = (count + 7) / 8 * 128;
            descriptor = describe(start, column, span * 8, layout);
            for (unsigned mn = 0; mn < count; ++mn)
              for (unsigned kk = 0; kk < k; ++kk) {
                uint32_t kb = kk * bytes;
                tile.put(start + mn * span +
                             (mode ? kb : kb / 16 * column + kb % 16),
                         swizzle, type, value(mn, kk));
              }
          } else {
            // Panels of one span along mn, 16 lines of k each.
            const uint32_t panel = 16 * span, perLine = span / 2;
            descriptor = mode ? describe(start, panel, 8 * span, layout)
                              : describe(start, 8 * span, panel, layout);
            for (unsigned mn = 0; mn < count; ++mn)
              for (unsigned kk = 0; kk < k; ++kk)
                tile.put(start + mn / perLine * panel + kk * span +
                             mn % perLine * 2,
                         swizzle, type, value(mn, kk));
          }
          return descriptor;
        };
        uint64_t bitsA = fill(0x2000, 64, [&](unsigned mn, unsigned kk) {
          return a[mn * k + kk];
        });
        uint64_t bitsB = fill(0x8000, shape.n, [&](unsigned mn, unsigned kk) {
          return b[kk * shape.n + mn];
        });
        auto da = decodeMatrixDescriptor(bitsA, type, mnMajor);
        auto db = decodeMatrixDescriptor(bitsB, type, mnMajor);
        ASSERT_TRUE(da.ok() && db.ok());
        std::vector<float> ga(64 * k), gb(k * shape.n), d(64 * shape.n);
        ASSERT_TRUE(gatherSharedA(shape, *da, tile.bytes.data(), Tile::base,
                                  tile.bytes.size(), ga.data())
                        .ok());
        ASSERT_TRUE(gatherSharedB(shape, *db, tile.bytes.data(), Tile::base,
                                  tile.bytes.size(), gb.data())
                        .ok());
        EXPECT_EQ(ga, a) << static_cast<int>(type) << mnMajor << mode;
        EXPECT_EQ(gb, b) << static_cast<int>(type) << mnMajor << mode;
        for (WgmmaModel model : {WgmmaModel::exactF32, WgmmaModel::hopper13}) {
          wgmmaCompute(shape, model, ga.data(), gb.data(), false, d.data());
          if (model == WgmmaModel::exactF32 || bytes == 2)
            expectProduct(shape, a, b, d);
        }
      }
    }
}

TEST(WgmmaGather, OperandOutsideSharedMemoryIsRefused) {
  Tile tile;
  WgmmaShape shape{WgmmaType::bf16, WgmmaType::bf16, 8};
  MatrixDescriptor d{0x400, 0, 1024, Swizzle::b128};
  std::vector<float> a(64 * 16);
  EXPECT_TRUE(gatherSharedA(shape, d, tile.bytes.data(), 0x400, 8192, a.data())
                  .ok());
  EXPECT_FALSE(gatherSharedA(shape, d, tile.bytes.data(), 0x400, 8191 - 127,
                             a.data())
                   .ok());
  EXPECT_FALSE(gatherSharedA(shape, d, tile.bytes.data(), 0x800, 1 << 16,
                             a.data())
                   .ok());
}

TEST(WgmmaGather, RegistersOfAAndD) {
  std::mt19937 random(9);
  for (WgmmaType type : allTypes) {
    WgmmaShape shape{type, type, 8};
    const unsigned k = shape.k(), bits = wgmmaElementBytes(type) * 8;
    auto a = randomValues(type, 64 * k, random, 1);
    std::vector<uint32_t> registers(4 * 128);
    for (unsigned t = 0; t < 128; ++t)
      for (unsigned reg = 0; reg < 4; ++reg)
        for (unsigned part = 0; part < 32 / bits; ++part) {
          auto [row, kk] = registerOperandElement(type, t, reg, part);
          registers[reg * 128 + t] |=
              uint32_t{encodeFloat(a[row * k + kk], formatOf(type), {})}
              << bits * part;
        }
    std::vector<float> tile(64 * k);
    auto load = [&] {
      for (unsigned warp = 0; warp < 4; ++warp)
        for (unsigned reg = 0; reg < 4; ++reg)
          loadOperandRegister(shape, warp, reg,
                              &registers[reg * 128 + warp * 32], tile.data());
    };
    load();
    EXPECT_EQ(tile, a);
    shape.negateA = true;
    load();
    for (float &x : tile)
      x = -x;
    EXPECT_EQ(tile, a);
  }
}

// Storing a tile into the registers and loading it gives the tile; an f16 D
// holds two neighbouring columns in a register, the even one low.
TEST(WgmmaGather, AccumulatorRegisters) {
  for (bool f16 : {false, true}) {
    WgmmaShape shape{WgmmaType::f16, WgmmaType::f16, 16};
    shape.f16Result = f16;
    ASSERT_EQ(shape.accumulatorRegisters(), f16 ? 4u : 8u);
    std::vector<float> d(64 * 16), back(64 * 16);
    for (size_t i = 0; i < d.size(); ++i)
      d[i] = static_cast<float>(i);
    for (unsigned warp = 0; warp < 4; ++warp)
      for (unsigned reg = 0; reg < shape.accumulatorRegisters(); ++reg) {
        uint32_t lanes[32];
        storeAccumulatorRegister(shape, warp, reg, d.data(), lanes);
        if (warp == 1 && reg == 0) { // lane 5: row 17, columns 2 and 3
          if (f16)
            EXPECT_EQ(lanes[5], uint32_t{cvtF16F32(17 * 16 + 3)} << 16 |
                                    cvtF16F32(17 * 16 + 2));
          else
            EXPECT_EQ(lanes[5], std::bit_cast<uint32_t>(17 * 16 + 2.0f));
        }
        loadAccumulatorRegister(shape, warp, reg, lanes, back.data());
      }
    EXPECT_EQ(back, d);
  }
}

TEST(WgmmaExact, OldAccumulatorIsIgnoredWithoutScaleD) {
  WgmmaShape shape{WgmmaType::bf16, WgmmaType::bf16, 8};
  std::vector<float> a(64 * 16, 1.0f), b(16 * 8, 2.0f), d(64 * 8, NAN);
  for (WgmmaModel model : {WgmmaModel::exactF32, WgmmaModel::hopper13}) {
    wgmmaCompute(shape, model, a.data(), b.data(), false, d.data());
    EXPECT_EQ(d[77], 32.0f);
    wgmmaCompute(shape, model, a.data(), b.data(), true, d.data());
    EXPECT_EQ(d[77], 64.0f);
    d[77] = NAN;
    wgmmaCompute(shape, model, a.data(), b.data(), true, d.data());
    EXPECT_EQ(std::bit_cast<uint32_t>(d[77]), 0x7fffffffu);
  }
}

} // namespace
