// Values: number formats, elementwise functions, contractions, reductions,
// selection and the shape operations.
#include "test/compiler/codegen/loops/LoopsTest.h"

#include <algorithm>
#include <numeric>

#include "llvm/Support/FormatVariadic.h"

using namespace hadal::test;

namespace {

const float kInf = std::numeric_limits<float>::infinity();
const float kNaN = std::numeric_limits<float>::quiet_NaN();

class TileToLoopsMath : public LoopsTest {};

INSTANTIATE_TEST_SUITE_P(Modes, TileToLoopsMath, ::testing::Values(false, true),
                         [](auto &info) { return info.param ? "f64" : "f32"; });

/// A kernel that applies |body| (from %x to %r) to |count| elements.
std::string unary(int64_t count, const std::string &from, const std::string &to,
                  const std::string &body) {
  return llvm::formatv(R"(
    tile.kernel @k(%in: !tile.view<{0}x{1}>, %out: !tile.view<{0}x{2}>) domain(%m = 1 by 1) {{
      %c0 = arith.constant 0 : index
      %x = tile.load %in[%c0] : !tile.view<{0}x{1}> -> tensor<{0}x{1}>
      {3}
      tile.store %out[%c0], %r : !tile.view<{0}x{2}>, tensor<{0}x{2}>
    })",
                       count, from, to, body)
      .str();
}

//===----------------------------------------------------------------------===//
// Number formats
//===----------------------------------------------------------------------===//

TEST_P(TileToLoopsMath, DecodesEveryFp8Code) {
  std::vector<uint8_t> codes(256);
  std::iota(codes.begin(), codes.end(), 0);
  std::vector<float> y(256), scale{1.0f};
  run(R"(
    tile.kernel @k(%in: !tile.view<1x256xf8E4M3FN, scale<1x256>>, %out: !tile.view<1x256xf32>) domain(%m = 1 by 1) {
      %x, %s = tile.load %in[%m, %m] : !tile.view<1x256xf8E4M3FN, scale<1x256>> -> tensor<1x256xf8E4M3FN>, tensor<1x1xf32>
      %r = arith.extf %x : tensor<1x256xf8E4M3FN> to tensor<1x256xf32>
      tile.store %out[%m, %m], %r : !tile.view<1x256xf32>, tensor<1x256xf32>
    })",
      {slot(codes.data()), slot(scale.data()), slot(y.data())});
  for (int c = 0; c < 256; ++c) {
    if ((c & 0x7f) == 0x7f)
      EXPECT_TRUE(std::isnan(y[c]));
    else
      EXPECT_EQ(std::bit_cast<uint32_t>(y[c]),
                std::bit_cast<uint32_t>(fromFp8(c)))
          << c;
  }
}

TEST_P(TileToLoopsMath, RoundsToBf16) {
  std::vector<float> x = randomFloats(192, 5);
  for (uint32_t bits : {0x3f808000u, 0x3f818000u, 0x3f808001u, 0x3f807fffu,
                        0x00000001u, 0x00018000u, 0x7f7fffffu, 0x7f800000u,
                        0x7f800001u, 0xffc00000u, 0x80000000u, 0xbf808000u})
    x.push_back(std::bit_cast<float>(bits));
  std::vector<uint16_t> y(x.size());
  run(unary(x.size(), "f32", "bf16",
            llvm::formatv("%r = arith.truncf %x : tensor<{0}xf32> to "
                          "tensor<{0}xbf16>",
                          x.size())),
      {slot(x.data()), slot(y.data())});
  for (size_t i = 0; i < x.size(); ++i) {
    if (std::isnan(x[i]))
      EXPECT_TRUE(std::isnan(fromBf16(y[i]))) << i;
    else if (std::isinf(x[i]))
      EXPECT_EQ(fromBf16(y[i]), x[i]);
    else
      EXPECT_EQ(y[i], toBf16(x[i])) << x[i];
  }
}

TEST_P(TileToLoopsMath, RoundsDoubleToBf16Once) {
  if (!f64())
    GTEST_SKIP() << "there is no double in f32 mode";
  // 1 + 2^-8 is a tie of bf16; a product a hair off it rounds the other way,
  // which a detour over f32 would lose.
  std::vector<float> x{1 + 0x1p-8f, 1 + 0x1p-8f, 1 + 3 * 0x1p-8f},
      d{0x1p-40f, -0x1p-40f, -0x1p-40f};
  std::vector<uint16_t> y(3);
  run(R"(
    tile.kernel @k(%x: !tile.view<3xf32>, %d: !tile.view<3xf32>, %y: !tile.view<3xbf16>) domain(%m = 1 by 1) {
      %a = tile.load %x[%m] : !tile.view<3xf32> -> tensor<3xf32>
      %b = tile.load %d[%m] : !tile.view<3xf32> -> tensor<3xf32>
      %c = arith.addf %a, %b : tensor<3xf32>
      %r = arith.truncf %c : tensor<3xf32> to tensor<3xbf16>
      tile.store %y[%m], %r : !tile.view<3xbf16>, tensor<3xbf16>
    })",
      {slot(x.data()), slot(d.data()), slot(y.data())});
  EXPECT_EQ(fromBf16(y[0]), 1 + 0x1p-7f);
  EXPECT_EQ(fromBf16(y[1]), 1.0f);
  EXPECT_EQ(fromBf16(y[2]), 1 + 0x1p-7f);
}

TEST_P(TileToLoopsMath, ArithmeticOnBf16RoundsOnce) {
  std::vector<uint16_t> x{toBf16(1), toBf16(256), toBf16(3)}, y(3);
  run(unary(3, "bf16", "bf16",
            "%one = arith.constant dense<1.0> : tensor<3xbf16>\n"
            "%r = arith.addf %x, %one : tensor<3xbf16>"),
      {slot(x.data()), slot(y.data())});
  EXPECT_EQ(fromBf16(y[0]), 2);
  EXPECT_EQ(fromBf16(y[1]), 256); // 257 is a tie: to even
  EXPECT_EQ(fromBf16(y[2]), 4);
}

/// Quantises |x| as rows of |cols| in groups of |group|.
std::string quantizeKernel(int64_t rows, int64_t cols, int64_t group,
                           const char *format) {
  return llvm::formatv(R"(
    tile.kernel @k(%in: !tile.view<{0}x{1}xf32>, %out: !tile.view<{0}x{1}xf8E4M3FN, scale<1x{2}>>) domain(%m = 1 by 1) {{
      %x = tile.load %in[%m, %m] : !tile.view<{0}x{1}xf32> -> tensor<{0}x{1}xf32>
      %q, %s = tile.quantize %x group {2} floor 1.0e-4 format {3} : tensor<{0}x{1}xf32> -> tensor<{0}x{1}xf8E4M3FN>, tensor<{0}x{4}xf32>
      tile.store %out[%m, %m], %q, %s : tensor<{0}x{4}xf32> : !tile.view<{0}x{1}xf8E4M3FN, scale<1x{2}>>, tensor<{0}x{1}xf8E4M3FN>
    })",
                       rows, cols, group, format, (cols + group - 1) / group)
      .str();
}

TEST_P(TileToLoopsMath, EncodesFp8ByNearestEven) {
  // The first element makes the scale 1. Then every code, every midpoint of
  // two codes (ties), and the neighbours of the midpoints.
  std::vector<float> x{448.0f};
  for (int c = 0; c < 0x7e; ++c) {
    float low = fromFp8(c), middle = (low + fromFp8(c + 1)) / 2;
    for (float v : {low, middle, std::nextafter(middle, 0.0f),
                    std::nextafter(middle, 1e9f)}) {
      x.push_back(v);
      x.push_back(-v);
    }
  }
  std::vector<uint8_t> q(x.size());
  std::vector<float> s(1);
  run(quantizeKernel(1, x.size(), x.size(), "f32"),
      {slot(x.data()), slot(q.data()), slot(s.data())});
  EXPECT_EQ(s[0], 1.0f);
  for (size_t i = 0; i < x.size(); ++i)
    ASSERT_EQ(q[i], toFp8(x[i])) << x[i];
}

TEST_P(TileToLoopsMath, QuantizesGroupsAsTheModelDoes) {
  // The golden group of the specification, a group of zeros (the floor), and a
  // short group with a NaN.
  std::vector<float> x(300);
  for (int j = 0; j < 128; ++j)
    x[j] = (j - 64) / 16.0f;
  x[260] = kNaN;
  std::vector<uint8_t> q(300);
  std::vector<float> s(3);
  run(quantizeKernel(1, 300, 128, "f32"),
      {slot(x.data()), slot(q.data()), slot(s.data())});
  EXPECT_EQ(s[0], 0.00892857183f);
  EXPECT_EQ(s[1], 1e-4f / 448.0f);
  EXPECT_EQ(q[0], 0xfe);   // -4
  EXPECT_EQ(q[1], 0xfe);   // -3.9375
  EXPECT_EQ(q[2], 0xfe);   // -3.875
  EXPECT_EQ(q[63], 0xce);  // -0.0625
  EXPECT_EQ(q[64], 0x00);
  EXPECT_EQ(q[65], 0x4e);
  EXPECT_EQ(q[100], 0x78); // 2.25
  EXPECT_EQ(q[127], 0x7e);
  for (int j = 128; j < 256; ++j)
    EXPECT_EQ(q[j], 0);
  EXPECT_TRUE(std::isnan(s[2]));
  EXPECT_EQ(q[260] & 0x7f, 0x7f);
}

TEST_P(TileToLoopsMath, QuantizesWithPowersOfTwo) {
  // One group per amax; expected exponents from the specification.
  std::vector<float> amax{3.5f, 7.0f, 7.0001f, 448.0f, 449.0f, 0.0f, 4.0f};
  std::vector<float> want{0x1p-7f, 0x1p-6f, 0x1p-5f, 1.0f,
                          2.0f,    0x1p-22f, 0x1p-6f};
  int64_t rows = amax.size();
  std::vector<float> x(rows * 128), s(rows);
  for (int64_t r = 0; r < rows; ++r)
    x[r * 128 + 17] = -amax[r];
  x[6 * 128 + 1] = 2.25f;
  std::vector<uint8_t> q(rows * 128);
  run(quantizeKernel(rows, 128, 128, "ue8m0"),
      {slot(x.data()), slot(q.data()), slot(s.data())});
  EXPECT_EQ(s, want);
  for (int64_t i = 0; i < rows * 128; ++i)
    ASSERT_EQ(q[i], toFp8(x[i] / want[i / 128])) << i;
  EXPECT_EQ(q[6 * 128 + 17], 0xf8);
  EXPECT_EQ(q[6 * 128 + 1], 0x71);
}

TEST_P(TileToLoopsMath, DamagedGroupsKeepNoPowerOfTwo) {
  // A finite scale would make the group an ordinary one again.
  std::vector<float> x(2 * 128, 1.0f), s(2);
  x[5] = -kInf;
  x[128 + 7] = kNaN;
  std::vector<uint8_t> q(2 * 128);
  run(quantizeKernel(2, 128, 128, "ue8m0"),
      {slot(x.data()), slot(q.data()), slot(s.data())});
  EXPECT_EQ(s[0], kInf);
  EXPECT_TRUE(std::isnan(s[1]));
  EXPECT_EQ(q[5] & 0x7f, 0x7f);
  EXPECT_EQ(q[128 + 7] & 0x7f, 0x7f);
}

TEST_P(TileToLoopsMath, DequantizesToBf16WithOneRounding) {
  std::vector<uint8_t> q = randomCodes(4 * 6, 9);
  std::vector<float> s = randomFloats(4, 10);
  std::vector<uint16_t> y(24);
  run(R"(
    tile.kernel @k(%in: !tile.view<4x6xf8E4M3FN, scale<2x3>>, %out: !tile.view<4x6xbf16>) domain(%m = 1 by 1) {
      %q, %s = tile.load %in[%m, %m] : !tile.view<4x6xf8E4M3FN, scale<2x3>> -> tensor<4x6xf8E4M3FN>, tensor<2x2xf32>
      %r = tile.dequantize %q, %s : tensor<4x6xf8E4M3FN>, tensor<2x2xf32> -> tensor<4x6xbf16>
      tile.store %out[%m, %m], %r : !tile.view<4x6xbf16>, tensor<4x6xbf16>
    })",
      {slot(q.data()), slot(s.data()), slot(y.data())});
  for (int i = 0; i < 4; ++i)
    for (int j = 0; j < 6; ++j) {
      double exact = double(fromFp8(q[i * 6 + j])) * s[i / 2 * 2 + j / 3];
      EXPECT_EQ(y[i * 6 + j], toBf16(f64() ? exact : float(exact)));
    }
}

//===----------------------------------------------------------------------===//
// Functions
//===----------------------------------------------------------------------===//

TEST_P(TileToLoopsMath, Exp2IsAccurateEverywhere) {
  std::vector<float> x;
  for (int i = -4800; i <= 4200; ++i)
    x.push_back(i / 32.0f + 0.001f * (i % 7));
  for (float v : {0.0f, -0.0f, 1.0f, 128.0f, 127.99999f, -126.0f, -149.0f,
                  -149.5f, -151.0f, 1e30f, -1e30f, kInf, -kInf, kNaN})
    x.push_back(v);
  std::vector<float> y(x.size());
  run(unary(x.size(), "f32", "f32",
            llvm::formatv("%r = math.exp2 %x : tensor<{0}xf32>", x.size())),
      {slot(x.data()), slot(y.data())});
  double worst = 0;
  for (size_t i = 0; i < x.size(); ++i) {
    double want = std::exp2(double(x[i]));
    if (std::isnan(x[i])) {
      EXPECT_TRUE(std::isnan(y[i]));
    } else if (float(want) == kInf || want == 0) {
      EXPECT_EQ(y[i], float(want)) << x[i];
    } else {
      double ulp = std::max(std::ldexp(1.0, std::ilogb(want) - 23), 0x1p-149);
      worst = std::max(worst, std::abs(y[i] - want) / ulp);
    }
  }
  EXPECT_LE(worst, f64() ? 0.5000001 : 1.0);
  EXPECT_EQ(y[x.size() - 14], 1.0f); // 2^0 exactly
}

TEST_P(TileToLoopsMath, Exp2OfDoubleReachesDoublePrecision) {
  if (!f64())
    GTEST_SKIP() << "there is no double in f32 mode";
  // The difference from the nearest f32 shows the digits below f32.
  std::vector<float> x = randomFloats(64, 21), y(64);
  std::vector<float> near(64);
  for (int i = 0; i < 64; ++i)
    near[i] = float(std::exp2(double(x[i])));
  run(R"(
    tile.kernel @k(%x: !tile.view<64xf32>, %n: !tile.view<64xf32>, %y: !tile.view<64xf32>) domain(%m = 1 by 1) {
      %a = tile.load %x[%m] : !tile.view<64xf32> -> tensor<64xf32>
      %b = tile.load %n[%m] : !tile.view<64xf32> -> tensor<64xf32>
      %e = math.exp2 %a : tensor<64xf32>
      %d = arith.subf %e, %b : tensor<64xf32>
      tile.store %y[%m], %d : !tile.view<64xf32>, tensor<64xf32>
    })",
      {slot(x.data()), slot(near.data()), slot(y.data())});
  for (int i = 0; i < 64; ++i) {
    double exact = std::exp2(double(x[i]));
    double gap = exact - near[i]; // itself stored in f32
    EXPECT_NEAR(y[i], gap, 4e-16 * exact + 0x1p-24 * std::abs(gap)) << x[i];
  }
}

TEST_P(TileToLoopsMath, RootsAbsoluteValuesAndComparisons) {
  std::vector<float> x{4.0f, 2.0f, 0.25f, 1e-30f}, y(4);
  run(unary(4, "f32", "f32",
            "%a = math.rsqrt %x : tensor<4xf32>\n"
            "%b = math.sqrt %x : tensor<4xf32>\n"
            "%n = arith.negf %b : tensor<4xf32>\n"
            "%c = math.absf %n : tensor<4xf32>\n"
            "%less = arith.cmpf olt, %a, %c : tensor<4xf32>\n"
            "%r = arith.select %less, %a, %c : tensor<4xi1>, tensor<4xf32>"),
      {slot(x.data()), slot(y.data())});
  for (int i = 0; i < 4; ++i) {
    double root = std::sqrt(double(x[i]));
    EXPECT_NEAR(y[i], std::min(root, 1 / root), 2e-7 * root);
  }
}

//===----------------------------------------------------------------------===//
// Contractions
//===----------------------------------------------------------------------===//

TEST_P(TileToLoopsMath, DotInEveryOrientation) {
  // Extents that no unrolling divides; a in bf16, b in f32 and the reverse.
  constexpr int M = 5, N = 7, K = 11;
  auto a = randomFloats(M * K, 1), w = randomFloats(N * K, 2),
       c = randomFloats(M * N, 3);
  for (int form = 0; form < 8; ++form) {
    bool ta = form & 1, tb = form & 2, bf16A = form & 4;
    std::vector<uint16_t> narrow(std::max(M, N) * K);
    std::vector<float> av(M * K), wv(N * K); // in the storage order
    for (int m = 0; m < M; ++m)
      for (int k = 0; k < K; ++k)
        av[ta ? k * M + m : m * K + k] = a[m * K + k];
    for (int n = 0; n < N; ++n)
      for (int k = 0; k < K; ++k)
        wv[tb ? n * K + k : k * N + n] = w[n * K + k];
    std::vector<float> &rounded = bf16A ? av : wv;
    for (size_t i = 0; i < rounded.size(); ++i) {
      narrow[i] = toBf16(rounded[i]);
      rounded[i] = fromBf16(narrow[i]);
    }
    std::string text = llvm::formatv(
        R"(
      tile.kernel @k(%a: !tile.view<{0}x{1}x{2}>, %b: !tile.view<{3}x{4}x{5}>, %c: !tile.view<5x7xf32>, %y: !tile.view<5x7xf32>) domain(%m = 1 by 1) {{
        %p = tile.load %a[%m, %m] : !tile.view<{0}x{1}x{2}> -> tensor<{0}x{1}x{2}>
        %q = tile.load %b[%m, %m] : !tile.view<{3}x{4}x{5}> -> tensor<{3}x{4}x{5}>
        %r = tile.load %c[%m, %m] : !tile.view<5x7xf32> -> tensor<5x7xf32>
        %s = tile.dot %p, %q, %r {6} {7} : tensor<{0}x{1}x{2}>, tensor<{3}x{4}x{5}>, tensor<5x7xf32>
        tile.store %y[%m, %m], %s : !tile.view<5x7xf32>, tensor<5x7xf32>
      })",
        ta ? K : M, ta ? M : K, bf16A ? "bf16" : "f32", tb ? N : K,
        tb ? K : N, bf16A ? "f32" : "bf16", ta ? "ta" : "", tb ? "tb" : "");
    std::vector<float> y(M * N);
    run(text, {bf16A ? slot(narrow.data()) : slot(av.data()),
               bf16A ? slot(wv.data()) : slot(narrow.data()), slot(c.data()),
               slot(y.data())});
    std::vector<double> want(M * N);
    for (int m = 0; m < M; ++m)
      for (int n = 0; n < N; ++n) {
        want[m * N + n] = c[m * N + n];
        for (int k = 0; k < K; ++k)
          want[m * N + n] += double(av[ta ? k * M + m : m * K + k]) *
                             wv[tb ? n * K + k : k * N + n];
      }
    expectClose(y, want, f64() ? 6e-8 : 5e-7);
  }
}

TEST_P(TileToLoopsMath, DotScaledPromotesEachBlock) {
  // K = 200 in blocks of 64: three whole ones and a short one; scales of b per
  // three rows; a as codes, as bf16 and as f32.
  constexpr int M = 3, N = 6, K = 200, B = 4;
  auto w = randomCodes(N * K, 1), codes = randomCodes(M * K, 2);
  auto sa = randomFloats(M * B, 3), sb = randomFloats(2 * B, 4),
       x = randomFloats(M * K, 5);
  std::vector<uint16_t> narrow(M * K);
  for (int i = 0; i < M * K; ++i)
    narrow[i] = toBf16(x[i]);
  for (int form = 0; form < 3; ++form) {
    const char *type = form == 0 ? "f8E4M3FN, scale<1x64>"
                       : form == 1 ? "bf16"
                                   : "f32";
    const char *element = form == 0 ? "f8E4M3FN" : type;
    std::string text = llvm::formatv(
        R"(
      tile.kernel @k(%a: !tile.view<3x200x{0}>, %b: !tile.view<6x200xf8E4M3FN, scale<3x64>>, %y: !tile.view<3x6xf32>) domain(%m = 1 by 1) {{
        {2} = tile.load %a[%m, %m] : !tile.view<3x200x{0}> -> tensor<3x200x{1}>{3}
        %q, %sq = tile.load %b[%m, %m] : !tile.view<6x200xf8E4M3FN, scale<3x64>> -> tensor<6x200xf8E4M3FN>, tensor<2x4xf32>
        %one = arith.constant dense<1.0> : tensor<3x6xf32>
        %s = tile.dot_scaled %p {4}, %q * %sq, %one {{k = 64 : i64} : tensor<3x200x{1}>, tensor<6x200xf8E4M3FN>, tensor<2x4xf32>, tensor<3x6xf32>
        tile.store %y[%m, %m], %s : !tile.view<3x6xf32>, tensor<3x6xf32>
      })",
        type, element, form == 0 ? "%p, %sp" : "%p",
        form == 0 ? ", tensor<3x4xf32>" : "",
        form == 0 ? "* %sp : tensor<3x4xf32>" : "");
    std::vector<float> y(M * N);
    std::vector<uint64_t> args;
    if (form == 0)
      args = {slot(codes.data()), slot(sa.data())};
    else
      args = {form == 1 ? slot(narrow.data()) : slot(x.data())};
    for (uint64_t v : {slot(w.data()), slot(sb.data()), slot(y.data())})
      args.push_back(v);
    run(text, args);
    std::vector<double> want(M * N);
    for (int m = 0; m < M; ++m)
      for (int n = 0; n < N; ++n) {
        double total = 1;
        for (int k = 0; k < K; ++k) {
          double av = form == 0   ? fromFp8(codes[m * K + k])
                      : form == 1 ? fromBf16(narrow[m * K + k])
                                  : x[m * K + k];
          double scale = sb[n / 3 * B + k / 64];
          if (form == 0)
            scale *= sa[m * B + k / 64];
          total += av * fromFp8(w[n * K + k]) * scale;
        }
        want[m * N + n] = total;
      }
    expectClose(y, want, f64() ? 6e-8 : 1e-6);
  }
}

//===----------------------------------------------------------------------===//
// Reductions, scans, selection
//===----------------------------------------------------------------------===//

TEST_P(TileToLoopsMath, ReducesEitherDimension) {
  constexpr int M = 6, N = 37;
  auto x = randomFloats(M * N, 8);
  x[5] = kNaN; // stays in its sums and maxima
  std::vector<float> y(2 * (M + N));
  run(R"(
    tile.kernel @k(%x: !tile.view<6x37xf32>, %y: !tile.view<86xf32>) domain(%m = 1 by 1) {
      %a = tile.load %x[%m, %m] : !tile.view<6x37xf32> -> tensor<6x37xf32>
      %s1 = tile.reduce add %a, 1 : tensor<6x37xf32> -> tensor<6x1xf32>
      %m1 = tile.reduce max %a, 1 : tensor<6x37xf32> -> tensor<6x1xf32>
      %s0 = tile.reduce add %a, 0 : tensor<6x37xf32> -> tensor<1x37xf32>
      %m0 = tile.reduce max %a, 0 : tensor<6x37xf32> -> tensor<1x37xf32>
      %r0 = tile.reshape %s1 : tensor<6x1xf32> -> tensor<6xf32>
      %r1 = tile.reshape %m1 : tensor<6x1xf32> -> tensor<6xf32>
      %r2 = tile.reshape %s0 : tensor<1x37xf32> -> tensor<37xf32>
      %r3 = tile.reshape %m0 : tensor<1x37xf32> -> tensor<37xf32>
      %all = tile.concat %r0, %r1, %r2, %r3 dim 0 : tensor<6xf32>, tensor<6xf32>, tensor<37xf32>, tensor<37xf32> -> tensor<86xf32>
      tile.store %y[%m], %all : !tile.view<86xf32>, tensor<86xf32>
    })",
      {slot(x.data()), slot(y.data())});
  auto check = [](float got, double sum) {
    if (std::isnan(sum))
      EXPECT_TRUE(std::isnan(got));
    else
      EXPECT_NEAR(got, sum, 1e-5);
  };
  for (int i = 0; i < M; ++i) {
    double sum = 0, max = -kInf;
    for (int j = 0; j < N; ++j) {
      sum += x[i * N + j];
      max = std::isnan(x[i * N + j]) ? kNaN : std::max<double>(max, x[i * N + j]);
      if (i == 0 && j >= 5)
        max = kNaN;
    }
    check(y[i], sum);
    check(y[M + i], max);
  }
  for (int j = 0; j < N; ++j) {
    double sum = 0, max = -kInf;
    for (int i = 0; i < M; ++i) {
      sum += x[i * N + j];
      max = std::max<double>(max, x[i * N + j]);
    }
    check(y[2 * M + j], sum);
    check(y[2 * M + N + j], j == 5 ? kNaN : max);
  }
}

TEST_P(TileToLoopsMath, ReducesIntegersAndBf16) {
  std::vector<int32_t> x{3, -7, 5, 2, 9, -1}, y(3);
  std::vector<uint16_t> u(6), v(3);
  for (int i = 0; i < 6; ++i)
    u[i] = toBf16(x[i] * 100);
  run(R"(
    tile.kernel @k(%x: !tile.view<2x3xi32>, %u: !tile.view<2x3xbf16>, %y: !tile.view<3xi32>, %v: !tile.view<3xbf16>) domain(%m = 1 by 1) {
      %c1 = arith.constant 1 : index
      %a = tile.load %x[%m, %m] : !tile.view<2x3xi32> -> tensor<2x3xi32>
      %s = tile.reduce add %a, 0 : tensor<2x3xi32> -> tensor<1x3xi32>
      %t = tile.reduce max %s, 1 : tensor<1x3xi32> -> tensor<1x1xi32>
      %t1 = tile.broadcast %t : tensor<1x1xi32> -> tensor<1x3xi32>
      %d = arith.subi %t1, %s : tensor<1x3xi32>
      %d1 = tile.reshape %d : tensor<1x3xi32> -> tensor<3xi32>
      tile.store %y[%m], %d1 : !tile.view<3xi32>, tensor<3xi32>
      %b = tile.load %u[%m, %m] : !tile.view<2x3xbf16> -> tensor<2x3xbf16>
      %e = tile.reduce add %b, 0 : tensor<2x3xbf16> -> tensor<1x3xbf16>
      %f = tile.reshape %e : tensor<1x3xbf16> -> tensor<3xbf16>
      tile.store %v[%m], %f : !tile.view<3xbf16>, tensor<3xbf16>
    })",
      {slot(x.data()), slot(u.data()), slot(y.data()), slot(v.data())});
  EXPECT_EQ(y, (std::vector<int32_t>{0, 3, 1})); // sums 5, 2, 4
  for (int j = 0; j < 3; ++j)
    EXPECT_EQ(v[j], toBf16(fromBf16(u[j]) + fromBf16(u[j + 3])));
}

TEST_P(TileToLoopsMath, ScansEitherDimension) {
  std::vector<int32_t> x{1, 2, 3, 4, 5, 6}, y(12);
  run(R"(
    tile.kernel @k(%x: !tile.view<2x3xi32>, %y: !tile.view<4x3xi32>) domain(%m = 1 by 1) {
      %c2 = arith.constant 2 : index
      %a = tile.load %x[%m, %m] : !tile.view<2x3xi32> -> tensor<2x3xi32>
      %p = tile.scan %a, 0 : tensor<2x3xi32>
      %twice = arith.addi %a, %a : tensor<2x3xi32>
      %q = tile.scan %twice, 1 : tensor<2x3xi32>
      tile.store %y[%m, %m], %p : !tile.view<4x3xi32>, tensor<2x3xi32>
      tile.store %y[%c2, %m], %q : !tile.view<4x3xi32>, tensor<2x3xi32>
    })",
      {slot(x.data()), slot(y.data())});
  EXPECT_EQ(y, (std::vector<int32_t>{0, 0, 0, 1, 2, 3, 0, 2, 6, 0, 8, 18}));
}

TEST_P(TileToLoopsMath, TopKBreaksTiesByIndex) {
  // Ties, both zeros, NaN of either sign first, and more winners than finite
  // values.
  std::vector<float> x{1,     5,     5, -2,   -kNaN, kInf,  -0.0f, 0.0f, //
                       -kInf, -kInf, 3, kNaN, -kInf, -kInf, -1,    -kInf};
  std::vector<float> v(10);
  std::vector<int32_t> ids(10);
  run(R"(
    tile.kernel @k(%x: !tile.view<2x8xf32>, %v: !tile.view<2x5xf32>, %i: !tile.view<2x5xi32>) domain(%m = 1 by 1) {
      %a = tile.load %x[%m, %m] : !tile.view<2x8xf32> -> tensor<2x8xf32>
      %b, %c = tile.topk %a : tensor<2x8xf32> -> tensor<2x5xf32>, tensor<2x5xi32>
      tile.store %v[%m, %m], %b : !tile.view<2x5xf32>, tensor<2x5xf32>
      tile.store %i[%m, %m], %c : !tile.view<2x5xi32>, tensor<2x5xi32>
    })",
      {slot(x.data()), slot(v.data()), slot(ids.data())});
  EXPECT_EQ(ids, (std::vector<int32_t>{4, 5, 1, 2, 0, 3, 2, 6, 0, 1}));
  EXPECT_TRUE(std::isnan(v[0]) && std::isnan(v[5]));
  v[0] = v[5] = 0;
  EXPECT_EQ(v, (std::vector<float>{0, kInf, 5, 5, 1, 0, 3, -1, -kInf, -kInf}));
}

//===----------------------------------------------------------------------===//
// Shapes
//===----------------------------------------------------------------------===//

TEST_P(TileToLoopsMath, ShapeOperationsCompose) {
  // Rotation of pairs, written with every shape operation.
  std::vector<float> x(12), y(24);
  std::iota(x.begin(), x.end(), 0.0f);
  run(R"(
    tile.kernel @k(%x: !tile.view<2x6xf32>, %y: !tile.view<4x6xf32>) domain(%m = 1 by 1) {
      %c2 = arith.constant 2 : index
      %a = tile.load %x[%m, %m] : !tile.view<2x6xf32> -> tensor<2x6xf32>
      %tail = tile.slice %a [0, 2] : tensor<2x6xf32> -> tensor<2x4xf32>
      %even, %odd = tile.deinterleave %tail : tensor<2x4xf32> -> tensor<2x2xf32>, tensor<2x2xf32>
      %n = arith.negf %odd : tensor<2x2xf32>
      %turned = tile.interleave %n, %even : tensor<2x2xf32>, tensor<2x2xf32> -> tensor<2x4xf32>
      %head = tile.slice %a [0, 0] : tensor<2x6xf32> -> tensor<2x2xf32>
      %all = tile.concat %head, %turned dim 1 : tensor<2x2xf32>, tensor<2x4xf32> -> tensor<2x6xf32>
      tile.store %y[%m, %m], %all : !tile.view<4x6xf32>, tensor<2x6xf32>
      // A reshape of a transposed (strided) tile copies; slice of slice aliases.
      %t = tile.transpose %a : tensor<2x6xf32> -> tensor<6x2xf32>
      %s0 = tile.slice %t [1, 0] : tensor<6x2xf32> -> tensor<5x2xf32>
      %s1 = tile.slice %s0 [1, 1] : tensor<5x2xf32> -> tensor<4x1xf32>
      %r = tile.reshape %s1 : tensor<4x1xf32> -> tensor<2x2xf32>
      %row = tile.reduce add %r, 0 : tensor<2x2xf32> -> tensor<1x2xf32>
      %flat = tile.reshape %row : tensor<1x2xf32> -> tensor<2xf32>
      %wide = tile.broadcast %flat : tensor<2xf32> -> tensor<2x2xf32>
      %i = tile.iota 1 : tensor<2x2xi32>
      %f = arith.sitofp %i : tensor<2x2xi32> to tensor<2x2xf32>
      %g = arith.addf %wide, %f : tensor<2x2xf32>
      tile.store %y[%c2, %m], %g : !tile.view<4x6xf32>, tensor<2x2xf32>
    })",
      {slot(x.data()), slot(y.data())});
  std::vector<float> want{0, 1, -3, 2, -5, 4, 6, 7, -9, 8, -11, 10};
  EXPECT_EQ(std::vector<float>(y.begin(), y.begin() + 12), want);
  // t[2..5][1] = 8, 9, 10, 11; as 2x2 its column sums are 18 and 20.
  EXPECT_EQ(y[12], 18.0f);
  EXPECT_EQ(y[13], 21.0f);
  EXPECT_EQ(y[18], 18.0f);
  EXPECT_EQ(y[19], 21.0f);
}

TEST_P(TileToLoopsMath, GeneratorsHaveAFormInMemory) {
  // A splat and an iota where a buffer is needed.
  std::vector<float> y(9);
  run(R"(
    tile.kernel @k(%y: !tile.view<3x3xf32>) domain(%m = 1 by 1) {
      %two = arith.constant 2.0 : f32
      %a = tile.splat %two : f32 -> tensor<1x3xf32>
      %wide = tile.broadcast %a : tensor<1x3xf32> -> tensor<3x3xf32>
      %i = tile.iota 0 : tensor<3x1xi32>
      %j = tile.broadcast %i : tensor<3x1xi32> -> tensor<3x3xi32>
      %f = arith.sitofp %j : tensor<3x3xi32> to tensor<3x3xf32>
      %z = arith.constant dense<0.0> : tensor<3x3xf32>
      %d = tile.dot %f, %wide, %z : tensor<3x3xf32>, tensor<3x3xf32>, tensor<3x3xf32>
      tile.store %y[%m, %m], %d : !tile.view<3x3xf32>, tensor<3x3xf32>
    })",
      {slot(y.data())});
  EXPECT_EQ(y, (std::vector<float>{0, 0, 0, 6, 6, 6, 12, 12, 12}));
}

TEST_P(TileToLoopsMath, ScratchIsReused) {
  // Ten tiles of 4 KiB (f32), two alive at a time, each read twice.
  std::string body = "%a0 = arith.mulf %x, %x : tensor<1024xf32>\n";
  for (int i = 0; i < 10; ++i)
    body += llvm::formatv("%b{0} = math.exp2 %a{0} : tensor<1024xf32>\n"
                          "%d{0} = arith.addf %a{0}, %b{0} : tensor<1024xf32>\n"
                          "%e{0} = arith.negf %b{0} : tensor<1024xf32>\n"
                          "%a{1} = arith.maximumf %d{0}, %e{0} : tensor<1024xf32>\n",
                          i, i + 1);
  body += "%r = arith.negf %a10 : tensor<1024xf32>";
  std::vector<float> x(1024, 0.5f), y(1024);
  run(unary(1024, "f32", "f32", body), {slot(x.data()), slot(y.data())});
  EXPECT_EQ(y[7], -kInf); // 0.25, 1.4, 4.1, 21, 2e6, then beyond f32
  EXPECT_LE(scratch, 3 * 1024 * (f64() ? 8 : 4));
}

} // namespace
