// Every dot form against float64 sums, for each variant that this host runs.
#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <limits>
#include <map>
#include <random>

#include "FormHarness.h"
#include "gtest/gtest.h"

using namespace hadal::cpu;

namespace {

const char *nameOf(Elt elt) {
  return elt == Elt::bf16   ? "bf16"
         : elt == Elt::f32  ? "f32"
         : elt == Elt::int4 ? "int4"
                            : "fp8";
}

/// The value of an int4 code by the specification: the product in float64, and
/// one rounding to bf16.
double decodeInt4(int64_t code, double scale) {
  double exact = double(code - 8) * scale; // of 8 + 4 bits
  return decodeBf16(encodeBf16(static_cast<float>(exact)));
}

/// A random [rows, cols] matrix as stored, and as numbers.
struct Matrix {
  Elt elt;
  int64_t rows, cols, stride; // stride in bytes
  std::vector<uint8_t> bytes;
  std::vector<double> values;
  std::vector<uint16_t> groups; // of int4: bf16 [rows][cols / 32]

  Matrix(Elt elt, int64_t rows, int64_t cols, unsigned seed)
      : elt(elt), rows(rows), cols(cols), stride(bytesOf(elt, cols)),
        bytes(rows * stride), values(rows * cols) {
    std::mt19937 random(seed);
    std::normal_distribution<float> normal;
    if (elt == Elt::int4)
      for (int64_t i = 0; i < rows * cols / kInt4Group; ++i)
        groups.push_back(encodeBf16(normal(random)));
    for (int64_t i = 0; i < rows * cols; ++i) {
      if (elt == Elt::int4) {
        set(i, random() & 15);
      } else if (elt == Elt::fp8) {
        uint8_t code = random() & 0xFF;
        set(i, (code & 0x7F) == 0x7F ? 0x33 : code);
      } else {
        setValue(i, normal(random));
      }
    }
  }
  void set(int64_t i, uint8_t code) {
    if (elt == Elt::int4) {
      int shift = i % 2 * 4; // the low half first
      bytes[i / 2] = (bytes[i / 2] & ~(15 << shift)) | (code << shift);
      values[i] = decodeInt4(code, decodeBf16(groups[i / kInt4Group]));
      return;
    }
    bytes[i] = code;
    values[i] = decodeE4M3(code);
  }
  void setValue(int64_t i, float v) {
    if (elt == Elt::bf16) {
      uint16_t bits = encodeBf16(v);
      std::memcpy(&bytes[2 * i], &bits, 2);
      values[i] = decodeBf16(bits);
    } else {
      std::memcpy(&bytes[4 * i], &v, 4);
      values[i] = v;
    }
  }
  uint8_t *row(int64_t r) { return bytes.data() + r * stride; }
};

struct Problem {
  Matrix x, w;
  int64_t m, n, k, blocks, rowInBlock;
  std::vector<float> sx, sw; // [m][blocks], [ceil][blocks]

  /// An int4 row is whole groups: |k| is rounded up to them.
  static int64_t wholeGroups(Elt w, int64_t k) {
    return w == Elt::int4 ? (k + kInt4Group - 1) / kInt4Group * kInt4Group : k;
  }

  Problem(Elt xElt, Elt wElt, int64_t m, int64_t n, int64_t anyK,
          int64_t inBlock)
      : x(xElt, m, wholeGroups(wElt, anyK), 1),
        w(wElt, n, wholeGroups(wElt, anyK), 2), m(m), n(n), k(x.cols),
        blocks((k + 127) / 128), rowInBlock(inBlock) {
    std::mt19937 random(3);
    std::uniform_real_distribution<float> scale(0.5f, 2.0f);
    sx.resize(m * blocks);
    sw.resize(((inBlock + n + 127) / 128) * blocks);
    for (float &s : sx)
      s = scale(random);
    for (float &s : sw)
      s = scale(random);
  }
  // Of the weights: the scales, how many a row of them has, and rows of each.
  const void *weightScales() const {
    return w.elt == Elt::int4 ? static_cast<const void *>(w.groups.data())
                              : sw.data();
  }
  int64_t weightScaleStride() const {
    return w.elt == Elt::int4 ? k / kInt4Group : blocks;
  }
  int64_t weightScaleRows() const { return w.elt == Elt::int4 ? 1 : 128; }
  double expect(int64_t i, int64_t j, double *absolute) {
    double sum = 0;
    *absolute = 0;
    for (int64_t c = 0; c < k; ++c) {
      double product = x.values[i * k + c] * w.values[j * k + c];
      if (w.elt == Elt::fp8)
        product *= sw[(rowInBlock + j) / 128 * blocks + c / 128];
      if (x.elt == Elt::fp8)
        product *= sx[i * blocks + c / 128];
      sum += product;
      *absolute += std::abs(product);
    }
    return sum;
  }
  void check(const std::vector<float> &y, const std::string &what) {
    double worst = 0;
    for (int64_t i = 0; i < m; ++i)
      for (int64_t j = 0; j < n; ++j) {
        double absolute, value = expect(i, j, &absolute);
        ASSERT_FALSE(std::isnan(y[i * n + j])) << what << " " << i << "," << j;
        worst = std::max(worst, std::abs(y[i * n + j] - value) /
                                    (absolute + 1e-30));
      }
    // f32 sums of at most 128 terms in some order, then blocks.
    EXPECT_LT(worst, 1e-6) << what;
  }
};

struct Pair {
  Elt x, w;
};
// What kernels ask for: W8A8, W8A16, W8A32, and plain weights.
const Pair kPairs[] = {{Elt::fp8, Elt::fp8},   {Elt::bf16, Elt::fp8},
                       {Elt::f32, Elt::fp8},   {Elt::bf16, Elt::bf16},
                       {Elt::f32, Elt::bf16},  {Elt::bf16, Elt::f32},
                       {Elt::f32, Elt::f32},   {Elt::bf16, Elt::int4},
                       {Elt::f32, Elt::int4}};

std::vector<float> runGemv(const FormImage &image, Problem &p, int rows,
                           const FormTuning &tuning = kTuning) {
  FormKey pack{FormKind::packRow, p.x.elt, p.w.elt, tuning};
  FormKey gemv{FormKind::gemv, p.x.elt, p.w.elt, tuning, rows};
  int64_t rowStride = packedBytes(1, p.k) / 16;
  Aligned packed(rowStride * rows), scales(rows * p.blocks * 4);
  Aligned work(gemvWorkBytes(p.k));
  for (int64_t m = 0; m < rows; ++m)
    image.call(pack, p.x.row(m), &p.sx[m * p.blocks], p.k,
               packed.data + m * rowStride, scales.data + m * p.blocks * 4);
  std::vector<float> y(rows * p.n, NAN);
  image.call(gemv, packed.data, scales.data, rowStride, p.blocks, p.w.row(0),
             p.w.stride, p.weightScales(), p.weightScaleStride(), p.rowInBlock,
             p.weightScaleRows(), p.n, p.k, y.data(), p.n, work.data);
  return y;
}

std::vector<float> runPanel(const FormImage &image, Problem &p,
                            const FormTuning &tuning = kTuning) {
  FormKey pack{FormKind::packPanel, p.x.elt, p.w.elt, tuning};
  FormKey panel{FormKind::panel, p.x.elt, p.w.elt, tuning};
  int64_t mPad = (p.m + 15) / 16 * 16;
  Aligned packed(packedBytes(p.m, p.k)), scales(packedScaleBytes(p.m, p.k)),
      work(panelWorkBytes(p.m, p.n, tuning.decodedRows));
  std::vector<uint8_t *> rows(mPad, nullptr);
  std::vector<float *> scaleRows(mPad, nullptr);
  for (int64_t m = 0; m < p.m; ++m) {
    rows[m] = p.x.row(m);
    scaleRows[m] = &p.sx[m * p.blocks];
  }
  image.call(pack, rows.data(), scaleRows.data(), mPad, p.k, packed.data,
             scales.data, nullptr);
  std::vector<float> y(p.m * p.n, NAN);
  image.call(panel, packed.data, scales.data, mPad, p.w.row(0), p.w.stride,
             p.weightScales(), p.weightScaleStride(), p.rowInBlock,
             p.weightScaleRows(), p.n, p.k, y.data(), int64_t(1), p.n, p.m,
             int64_t(0), work.data);
  return y;
}

/// y += a . b, where b [K,N] is packed by columns.
std::vector<float> runColumnPack(const FormImage &image, Matrix &a, Matrix &b,
                                 const FormTuning &tuning = kTuning) {
  FormKey pack{FormKind::packColumns, b.elt, a.elt, tuning};
  FormKey panel{FormKind::panel, b.elt, a.elt, tuning};
  int64_t m = a.rows, n = b.cols, k = b.rows, nPad = (n + 15) / 16 * 16;
  Aligned packed(packedBytes(n, k)),
      work(panelWorkBytes(n, m, tuning.decodedRows));
  image.call(pack, b.row(0), b.stride, k, n, nPad, packed.data);
  std::vector<float> y(m * n, 0.25f);
  image.call(panel, packed.data, nullptr, nPad, a.row(0), a.stride, nullptr,
             int64_t(0), int64_t(0), int64_t(1), m, k, y.data(), n, int64_t(1),
             n, int64_t(1), work.data);
  return y;
}

/// One activation row against a weight [K,N] whose rows are K.
std::vector<float> runColumns(const FormImage &image, Matrix &x, Matrix &w,
                              const std::vector<float> &scales, int64_t inBlock,
                              const FormTuning &tuning = kTuning) {
  FormKey key{FormKind::gemvColumns, x.elt, w.elt, tuning};
  std::vector<float> y(w.cols, NAN);
  image.call(key, x.row(0), w.row(0), w.stride, scales.data(), w.cols / 128,
             inBlock, int64_t(128), w.cols, w.rows, y.data());
  return y;
}

/// The forms of one pair and variant, compiled once for all tests.
const FormImage &formsOf(Pair p, Variant variant,
                         const FormTuning &tuning = kTuning) {
  static std::map<std::tuple<Elt, Elt, Variant, decltype(tuning.tie())>,
                  std::unique_ptr<FormImage>>
      images;
  std::unique_ptr<FormImage> &image = images[{p.x, p.w, variant, tuning.tie()}];
  if (!image) {
    std::vector<FormKey> keys = {{FormKind::packRow, p.x, p.w, tuning},
                                 {FormKind::packPanel, p.x, p.w, tuning},
                                 {FormKind::panel, p.x, p.w, tuning}};
    for (int m : {1, 2, 4, 8})
      keys.push_back({FormKind::gemv, p.x, p.w, tuning, m});
    if (p.x != Elt::fp8 && p.w != Elt::fp8 && p.w != Elt::int4)
      keys.push_back({FormKind::packColumns, p.x, p.w, tuning});
    if (p.x != Elt::fp8 && p.w != Elt::int4)
      keys.push_back({FormKind::gemvColumns, p.x, p.w, tuning});
    image = std::make_unique<FormImage>(keys, variant);
  }
  return *image;
}

/// A copy of bytes that ends where a page begins that must not be touched.
class Guarded {
public:
  Guarded(const void *bytes, int64_t size)
      : size(size), pages((size + 4095) / 4096 * 4096),
        memory(static_cast<uint8_t *>(
            mmap(nullptr, pages + 4096, PROT_READ | PROT_WRITE,
                 MAP_PRIVATE | MAP_ANONYMOUS, -1, 0))) {
    mprotect(memory + pages, 4096, PROT_NONE);
    if (size > 0)
      std::memcpy(memory + pages - size, bytes, size);
  }
  ~Guarded() { munmap(memory, pages + 4096); }
  Guarded(const Guarded &) = delete;
  Guarded &operator=(const Guarded &) = delete;
  uint8_t *data() { return memory + pages - size; }

private:
  int64_t size, pages;
  uint8_t *memory;
};

class FormsTest : public ::testing::TestWithParam<std::tuple<Variant, Pair>> {
protected:
  void SetUp() override {
    if (!hostRuns(variant()))
      GTEST_SKIP() << "this host does not run " << variantName(variant()).str();
  }
  Variant variant() const { return std::get<0>(GetParam()); }
  Pair pair() const { return std::get<1>(GetParam()); }
};

TEST_P(FormsTest, GemvMatchesForWholeAndRaggedShapes) {
  const FormImage &image = formsOf(pair(), variant());
  for (int rows : {1, 2, 4, 8})
    for (int64_t k : {128, 256, 640, 64, 72, 200, 1, 129})
      for (int64_t n : {1, 33}) {
        Problem p(pair().x, pair().w, rows, n, k, /*inBlock=*/120);
        p.check(runGemv(image, p, rows),
                "rows " + std::to_string(rows) + " k " + std::to_string(k));
      }
}

TEST_P(FormsTest, PanelMatchesForWholeAndRaggedShapes) {
  const FormImage &image = formsOf(pair(), variant());
  for (int64_t m : {1, 16, 17, 33, 48, 64})
    for (int64_t k : {128, 320, 64, 72, 200, 1})
      for (int64_t n : {1, 45}) {
        Problem p(pair().x, pair().w, m, n, k, /*inBlock=*/100);
        p.check(runPanel(image, p), "m " + std::to_string(m) + " n " +
                                        std::to_string(n) + " k " +
                                        std::to_string(k));
      }
}

// Long K with many columns goes in chunks of K.
TEST_P(FormsTest, PanelMatchesInChunksOfK) {
  Problem p(pair().x, pair().w, 256, 40, 1352, 0);
  p.check(runPanel(formsOf(pair(), variant()), p), "chunks");
}

// The memo skips a pack exactly when the row pointers are those of the last.
TEST_P(FormsTest, PackIsSkippedForTheSameRowsOnly) {
  const FormImage &image = formsOf(pair(), variant());
  FormKey pack{FormKind::packPanel, pair().x, pair().w, kTuning};
  Matrix x(pair().x, 32, 128, 1);
  std::vector<float> sx(32, 1.0f);
  Aligned once(packedBytes(16, 128)), memoised(packedBytes(16, 128)),
      scales(packedScaleBytes(16, 128));
  std::vector<int64_t> memo(17, 0);
  std::vector<uint8_t *> rows(16);
  std::vector<float *> scaleRows(16, sx.data());
  auto run = [&](Aligned &out, int64_t *memory) {
    image.call(pack, rows.data(), scaleRows.data(), int64_t(16), int64_t(128),
               out.data, scales.data, memory);
  };
  auto same = [&] {
    // What the variant packs of one block: 2 or 4 bytes an element.
    return std::memcmp(once.data, memoised.data, 16 * 128 * 2) == 0;
  };
  for (int64_t first : {0, 16}) {
    for (int64_t r = 0; r < 16; ++r)
      rows[r] = x.row(first + r);
    run(once, nullptr);
    run(memoised, memo.data());
    EXPECT_TRUE(same());
    memoised.data[0] ^= 1; // stays if and only if the pack is skipped
    run(memoised, memo.data());
    EXPECT_FALSE(same());
    memoised.data[0] ^= 1;
  }
  rows[15] = nullptr;
  run(once, nullptr);
  run(memoised, memo.data());
  EXPECT_TRUE(same());
}

// A row's bits are the same alone and among others.
TEST_P(FormsTest, ARowIsBitEqualAloneAndInABatch) {
  const FormImage &rows = formsOf(pair(), variant());
  const FormImage &panel = formsOf(pair(), variant());
  Problem all(pair().x, pair().w, 8, 40, 712, 0);
  Problem one(pair().x, pair().w, 1, 40, 712, 0);
  std::copy_n(all.x.row(5), all.x.stride, one.x.row(0));
  std::copy_n(all.sx.begin() + 5 * all.blocks, all.blocks, one.sx.begin());
  one.sw = all.sw;
  one.w = all.w;
  std::vector<float> batch = runGemv(rows, all, 8), alone = runGemv(rows, one, 1);
  std::vector<float> wide = runPanel(panel, all), thin = runPanel(panel, one);
  for (int64_t j = 0; j < 40; ++j) {
    EXPECT_EQ(batch[5 * 40 + j], alone[j]) << j;
    EXPECT_EQ(wide[5 * 40 + j], thin[j]) << j;
  }
}

// All 256 codes, at every position of a scale block: one weight row per code
// and one activation that is 1 at one position.
TEST_P(FormsTest, EveryCodeIsExactAtEveryPosition) {
  if (pair().w != Elt::fp8)
    GTEST_SKIP() << "no codes";
  const FormImage &rows = formsOf(pair(), variant());
  const FormImage &panel = formsOf(pair(), variant());
  auto setOne = [&](Matrix &x, int64_t i) {
    if (x.elt == Elt::fp8)
      x.set(i, 0x38);
    else
      x.setValue(i, 1.0f);
  };
  Problem p(pair().x, pair().w, 128, 256, 128, 0);
  std::fill(p.x.bytes.begin(), p.x.bytes.end(), 0);
  for (int64_t m = 0; m < 128; ++m)
    setOne(p.x, m * 128 + m);
  for (int64_t n = 0; n < 256; ++n)
    for (int64_t c = 0; c < 128; ++c)
      p.w.set(n * 128 + c, n);
  std::fill(p.sx.begin(), p.sx.end(), 1.0f);
  std::fill(p.sw.begin(), p.sw.end(), 1.0f);
  std::vector<float> wide = runPanel(panel, p);
  for (int64_t m = 0; m < 128; ++m) {
    Problem one(pair().x, pair().w, 1, 256, 128, 0);
    std::copy_n(p.x.row(m), p.x.stride, one.x.row(0));
    one.w = p.w;
    one.sx.assign(1, 1.0f);
    one.sw = p.sw;
    std::vector<float> thin = runGemv(rows, one, 1);
    for (int64_t n = 0; n < 256; ++n) {
      float expected = decodeE4M3(n);
      if (std::isnan(expected)) {
        // 0 * NaN too: the whole row is NaN.
        ASSERT_TRUE(std::isnan(wide[m * 256 + n])) << n;
        ASSERT_TRUE(std::isnan(thin[n])) << n;
      } else {
        ASSERT_EQ(wide[m * 256 + n], expected) << m << " " << n;
        ASSERT_EQ(thin[n], expected) << m << " " << n;
      }
    }
  }
}

// All 16 codes, at every position of a block of groups, with scales that make
// products round: one weight row per code and one activation that is 1 at one
// position. The other elements of a row are other codes.
TEST_P(FormsTest, EveryInt4CodeIsExactAtEveryPosition) {
  if (pair().w != Elt::int4)
    GTEST_SKIP() << "no codes of four bits";
  const FormImage &image = formsOf(pair(), variant());
  Problem p(pair().x, pair().w, 128, 16, 128, 0);
  std::fill(p.x.bytes.begin(), p.x.bytes.end(), 0);
  for (int64_t m = 0; m < 128; ++m)
    p.x.setValue(m * 128 + m, 1.0f);
  for (int64_t n = 0; n < 16; ++n) {
    for (int64_t g = 0; g < 4; ++g)
      p.w.groups[n * 4 + g] = 0x3F81 + 0x1D * n + 0x2B * g; // above 1
    for (int64_t c = 0; c < 128; ++c)
      p.w.set(n * 128 + c, (n + c) % 16);
  }
  std::vector<float> wide = runPanel(image, p);
  for (int64_t m = 0; m < 128; ++m) {
    Problem one(pair().x, pair().w, 1, 16, 128, 0);
    std::copy_n(p.x.row(m), p.x.stride, one.x.row(0));
    one.w = p.w;
    std::vector<float> thin = runGemv(image, one, 1);
    for (int64_t n = 0; n < 16; ++n) {
      float expected = p.w.values[n * 128 + m];
      ASSERT_EQ(wide[m * 16 + n], expected) << m << " " << n;
      ASSERT_EQ(thin[n], expected) << m << " " << n;
    }
  }
}

// Every bf16 scale that is finite and normal, times every code, is rounded as
// the reference does.
TEST_P(FormsTest, EveryInt4ProductIsRoundedOnce) {
  if (pair().w != Elt::int4)
    GTEST_SKIP() << "no codes of four bits";
  const FormImage &image = formsOf(pair(), variant());
  // A row has one scale and all codes twice; 0 but for one code's element.
  Problem p(pair().x, pair().w, 16, 256, 32, 0);
  std::fill(p.x.bytes.begin(), p.x.bytes.end(), 0);
  for (int64_t code = 0; code < 16; ++code)
    p.x.setValue(code * 32 + code, 1.0f);
  for (uint32_t high = 0; high < 256; ++high) {
    for (uint32_t n = 0; n < 256; ++n) {
      uint16_t bits = high << 8 | n;
      // Products stay normal and finite; what vdpbf16ps reads of bf16 denormals
      // is zero.
      int exponent = bits >> 7 & 255;
      p.w.groups[n] = exponent >= 1 && exponent < 251 ? bits : 0x3F80;
      for (int64_t c = 0; c < 32; ++c)
        p.w.set(n * 32 + c, c % 16);
    }
    std::vector<float> y = runPanel(image, p);
    for (int64_t code = 0; code < 16; ++code)
      for (int64_t n = 0; n < 256; ++n)
        ASSERT_EQ(y[code * 256 + n], float(p.w.values[n * 32 + code]))
            << "code " << code << " scale " << p.w.groups[n];
  }
}

// Weights end at a page that must not be touched.
TEST_P(FormsTest, NothingIsReadBeyondTheOperands) {
  const FormImage &rows = formsOf(pair(), variant());
  const FormImage &panel = formsOf(pair(), variant());
  for (int64_t anyK : {70, 128, 200}) {
    Problem p(pair().x, pair().w, 1, 3, anyK, 0);
    int64_t k = p.k;
    Guarded weights(p.w.bytes.data(), p.w.bytes.size());
    Guarded groups(p.w.groups.data(), p.w.groups.size() * 2);
    const void *scalesOfW = p.w.elt == Elt::int4
                                ? static_cast<const void *>(groups.data())
                                : p.weightScales();
    FormKey pack{FormKind::packRow, p.x.elt, p.w.elt, kTuning};
    int64_t mPad = 16;
    Aligned packed(packedBytes(1, k)), scales(packedScaleBytes(1, k)),
        work(panelWorkBytes(1, 3, kTuning.decodedRows) + gemvWorkBytes(k));
    std::vector<float> y(3, NAN), z(3, NAN);
    rows.call(pack, p.x.row(0), p.sx.data(), k, packed.data, scales.data);
    rows.call(FormKey{FormKind::gemv, p.x.elt, p.w.elt, kTuning, 1},
              packed.data, scales.data, int64_t(0), p.blocks,
              weights.data(), p.w.stride, scalesOfW, p.weightScaleStride(),
              int64_t(0), p.weightScaleRows(), int64_t(3), k, y.data(),
              int64_t(3), work.data);
    p.check(y, "guarded gemv");
    std::vector<uint8_t *> pointers(mPad, nullptr);
    std::vector<float *> scalePointers(mPad, nullptr);
    pointers[0] = p.x.row(0);
    scalePointers[0] = p.sx.data();
    panel.call(FormKey{FormKind::packPanel, p.x.elt, p.w.elt, kTuning},
               pointers.data(), scalePointers.data(), mPad, k, packed.data,
               scales.data, nullptr);
    panel.call(FormKey{FormKind::panel, p.x.elt, p.w.elt, kTuning}, packed.data,
               scales.data, mPad, weights.data(), p.w.stride, scalesOfW,
               p.weightScaleStride(), int64_t(0), p.weightScaleRows(),
               int64_t(3), k, z.data(), int64_t(1), int64_t(3), int64_t(1),
               int64_t(0), work.data);
    p.check(z, "guarded panel");
  }
}

// b [K,N] packed by columns: the plain dot of attention.
TEST_P(FormsTest, ColumnPackMatchesForRaggedShapes) {
  if (pair().x == Elt::fp8 || pair().w == Elt::fp8 || pair().w == Elt::int4)
    GTEST_SKIP() << "columns are packed from bf16 and f32 only";
  const FormImage &image = formsOf(pair(), variant());
  for (int64_t k : {1, 64, 192, 45})
    for (int64_t n : {16, 40, 3})
      for (int64_t m : {1, 16, 35}) {
        Matrix a(pair().w, m, k, 5), b(pair().x, k, n, 6);
        std::vector<float> y = runColumnPack(image, a, b);
        for (int64_t i = 0; i < m; ++i)
          for (int64_t j = 0; j < n; ++j) {
            double sum = 0.25, absolute = 1;
            for (int64_t c = 0; c < k; ++c) {
              double product = a.values[i * k + c] * b.values[c * n + j];
              sum += product;
              absolute += std::abs(product);
            }
            ASSERT_NEAR(y[i * n + j], sum, 1e-6 * absolute)
                << k << " " << n << " " << m;
          }
      }
}

// Its first row may lie anywhere in a block of scales.
TEST_P(FormsTest, GemvColumnsMatchesInEveryScaleBlock) {
  if (pair().x == Elt::fp8 || pair().w == Elt::int4)
    GTEST_SKIP() << "its activations are not quantised, nor its weights int4";
  const FormImage &image = formsOf(pair(), variant());
  for (int64_t k : {1, 3, 32, 128, 130})
    for (int64_t n : {128, 512})
      for (int64_t inBlock : {0, 64, 127}) {
        Matrix x(pair().x, 1, k, 7), w(pair().w, k, n, 8);
        int64_t scaleColumns = n / 128, blocks = (inBlock + k + 127) / 128;
        std::vector<float> scales(blocks * scaleColumns);
        for (size_t i = 0; i < scales.size(); ++i)
          scales[i] = pair().w == Elt::fp8 ? 0.25f + 0.5f * i : 1.0f;
        std::vector<float> y = runColumns(image, x, w, scales, inBlock);
        for (int64_t j = 0; j < n; ++j) {
          double sum = 0, absolute = 1e-30;
          for (int64_t i = 0; i < k; ++i) {
            double scale =
                scales[(inBlock + i) / 128 * scaleColumns + j / 128];
            double product = x.values[i] * w.values[i * n + j] * scale;
            sum += product;
            absolute += std::abs(product);
          }
          ASSERT_NEAR(y[j], sum, 1e-6 * absolute)
              << "k " << k << " n " << n << " inBlock " << inBlock;
        }
      }
}

/// Tunings that leave no field of |kTuning| as it is, with every number of
/// vectors, and decoded rows that are no multiple of a vector.
const FormTuning kOtherTunings[] = {
    {.prefetch = 0,
     .unroll = 1,
     .kGroup = 1,
     .prefetchBlocks = 0,
     .chunkBytes = 1,
     .decodedRows = 16,
     .panelUnroll = 1,
     .tile = {.rows = 16, .vectors = 1},
     .tile256 = {.rows = 8, .vectors = 1}},
    {.prefetch = 2048,
     .unroll = 4,
     .kGroup = 8,
     .prefetchBlocks = 4,
     .chunkBytes = 128 << 10,
     .decodedRows = 24,
     .panelUnroll = 8,
     .tile = {.rows = 12, .vectors = 2},
     .tile256 = {.rows = 6, .vectors = 2}},
    {.prefetch = 16384,
     .unroll = 8,
     .kGroup = 2,
     .prefetchBlocks = 1,
     .chunkBytes = 1 << 20,
     .decodedRows = 64,
     .panelUnroll = 4,
     .tile = {.rows = 4, .vectors = 4},
     .tile256 = {.rows = 2, .vectors = 4}},
};

TEST_P(FormsTest, NoTuningChangesABit) {
  const FormImage &image = formsOf(pair(), variant());
  // Columns that leave no, one, two and three vectors of a group of four.
  for (int64_t m : {3, 8, 24, 48, 112})
    for (int64_t k : {72, 1352})
      for (int64_t n : {1, 45, 70}) {
        Problem p(pair().x, pair().w, m, n, k, /*inBlock=*/100);
        std::vector<float> panel = runPanel(image, p);
        int rows = m == 8 ? 8 : 1;
        std::vector<float> gemv = runGemv(image, p, rows);
        for (const FormTuning &tuning : kOtherTunings) {
          const FormImage &other = formsOf(pair(), variant(), tuning);
          std::string where =
              formSymbol({FormKind::panel, pair().x, pair().w, tuning});
          ASSERT_EQ(panel, runPanel(other, p, tuning))
              << where << " m " << m << " k " << k << " n " << n;
          ASSERT_EQ(gemv, runGemv(other, p, rows, tuning))
              << where << " rows " << rows << " k " << k << " n " << n;
        }
      }
}

TEST_P(FormsTest, NoTuningChangesABitOfColumns) {
  if (pair().x == Elt::fp8 || pair().w == Elt::fp8 || pair().w == Elt::int4)
    GTEST_SKIP() << "as above";
  const FormImage &image = formsOf(pair(), variant());
  for (const FormTuning &tuning : kOtherTunings) {
    const FormImage &other = formsOf(pair(), variant(), tuning);
    for (int64_t n : {3, 40, 112}) {
      Matrix a(pair().w, 35, 192, 5), b(pair().x, 192, n, 6);
      ASSERT_EQ(runColumnPack(image, a, b), runColumnPack(other, a, b, tuning));
    }
    Matrix x(pair().x, 1, 130, 7), w(pair().w, 130, 512, 8);
    std::vector<float> scales(12, 1.0f);
    ASSERT_EQ(runColumns(image, x, w, scales, 64),
              runColumns(other, x, w, scales, 64, tuning));
  }
}

// The tiles of 512 bits on any host: v4 computes in f32, so that its forms can
// be compiled for v3, where each of their vectors is two.
TEST(WideFormsTest, NoTuningChangesABit) {
  for (Pair pair : {Pair{Elt::fp8, Elt::fp8}, Pair{Elt::bf16, Elt::bf16}}) {
    std::vector<FormTuning> tunings(std::begin(kOtherTunings),
                                    std::end(kOtherTunings));
    tunings.insert(tunings.begin(), kTuning);
    std::vector<FormKey> keys;
    for (const FormTuning &tuning : tunings)
      for (FormKind kind : {FormKind::packPanel, FormKind::panel})
        if (FormKey key(kind, pair.x, pair.w, tuning);
            std::find(keys.begin(), keys.end(), key) == keys.end())
          keys.push_back(key);
    FormImage image(keys, Variant::v4, Variant::v3);
    // Columns that leave no, one, two and three vectors of a group of four.
    for (int64_t m : {3, 24, 48, 64, 112}) {
      Problem p(pair.x, pair.w, m, 70, 200, /*inBlock=*/100);
      std::vector<float> ruled = runPanel(image, p);
      p.check(ruled, "wide panel");
      for (const FormTuning &tuning : tunings)
        ASSERT_EQ(ruled, runPanel(image, p, tuning))
            << formSymbol({FormKind::panel, pair.x, pair.w, tuning}) << " m "
            << m;
    }
  }
}

// What a form does not read does not make another function.
TEST(FormKeyTest, HasOnlyWhatItsFormReads) {
  const FormTuning &other = kOtherTunings[1];
  FormKey row{FormKind::packRow, Elt::bf16, Elt::fp8, kTuning};
  EXPECT_EQ(row, (FormKey{FormKind::packRow, Elt::bf16, Elt::fp8, other}));
  FormTuning tuning = kTuning;
  tuning.chunkBytes = other.chunkBytes;
  FormKey gemv{FormKind::gemv, Elt::bf16, Elt::fp8, kTuning, 4};
  EXPECT_EQ(gemv, (FormKey{FormKind::gemv, Elt::bf16, Elt::fp8, tuning, 4}));
  FormKey panel{FormKind::panel, Elt::bf16, Elt::fp8, kTuning};
  FormKey chunked{FormKind::panel, Elt::bf16, Elt::fp8, tuning};
  EXPECT_FALSE(panel == chunked);
  EXPECT_NE(formSymbol(panel), formSymbol(chunked));
}

INSTANTIATE_TEST_SUITE_P(
    All, FormsTest,
    ::testing::Combine(::testing::Values(Variant::v3, Variant::v4,
                                         Variant::v4Bf16Vbmi),
                       ::testing::ValuesIn(kPairs)),
    [](const auto &info) {
      Pair p = std::get<1>(info.param);
      return std::string(std::get<0>(info.param) == Variant::v3   ? "v3"
                         : std::get<0>(info.param) == Variant::v4 ? "v4"
                                                                  : "v4bf16") +
             "_" + nameOf(p.x) + "_" + nameOf(p.w);
    });

} // namespace
