// Speed of the dot forms at the shapes of DeepSeek-V3, beside a plain read of
// the same memory (gemv, rows) or the peak of the multiply-add that the image
// has (panel), interleaved in one run. A tool for docs/benchmarks.md, not a
// test: timing is not asserted.
//
//   CpuFormsBench [uniform] [THREADS] [ROUNDS]
//   CpuFormsBench [uniform] gemv THREADS ROUNDS (one row of activations alone)
//   CpuFormsBench [uniform] panel ROUNDS M N K BM... (panels alone, one thread)
//
// The image is this machine's best, or what HADAL_CPU_VARIANT says. Codes are
// those of normal weights under a scale of amax / 448; `uniform` draws all
// finite codes alike, of which one in 18 is subnormal.
#include <cstdio>
#include <immintrin.h>
#include <random>
#include <thread>
#include <time.h>

#include "FormHarness.h"

using namespace hadal::cpu;

namespace {

/// CPU seconds of the calling thread: what others run on the machine is left
/// out of it, their use of its memory is not.
double threadSeconds() {
  timespec now;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return now.tv_sec + now.tv_nsec * 1e-9;
}

/// Runs |work|(thread) on |threads| threads; the seconds of the slowest.
template <typename Work> double timed(int threads, Work work) {
  std::vector<double> times(threads);
  auto one = [&](int t) {
    double start = threadSeconds();
    work(t);
    times[t] = threadSeconds() - start;
  };
  std::vector<std::thread> pool;
  for (int t = 1; t < threads; ++t)
    pool.emplace_back(one, t);
  one(0);
  for (std::thread &thread : pool)
    thread.join();
  return *std::max_element(times.begin(), times.end());
}

/// Vectors of the image's width, for reads and peaks in C++.
bool isWide(Variant variant) { return variant != Variant::v3; }

typedef int64_t Words256 __attribute__((vector_size(32), aligned(1)));
typedef int64_t Words512 __attribute__((vector_size(64), aligned(1)));

template <typename Words>
__attribute__((always_inline)) inline void readWords(const uint8_t *data,
                                                     int64_t bytes) {
  Words sums[8] = {};
  constexpr int64_t size = sizeof(Words);
  for (int64_t i = 0; i + 8 * size <= bytes; i += 8 * size)
    for (int j = 0; j < 8; ++j)
      sums[j] ^= *reinterpret_cast<const Words *>(data + i + size * j);
  for (int j = 1; j < 8; ++j)
    sums[0] ^= sums[j];
  volatile int64_t sink = sums[0][0];
  (void)sink;
}
__attribute__((target("avx2"))) void readAll256(const uint8_t *data,
                                                int64_t bytes) {
  readWords<Words256>(data, bytes);
}
__attribute__((target("avx512f"))) void readAll512(const uint8_t *data,
                                                   int64_t bytes) {
  readWords<Words512>(data, bytes);
}
void readAll(Variant variant, const uint8_t *data, int64_t bytes) {
  (isWide(variant) ? readAll512 : readAll256)(data, bytes);
}

constexpr int64_t kPeakRounds = 1000000;

__attribute__((target("avx512f,avx512bf16"))) double peakBf16() {
  __m512 acc[24];
  __m512bh x = (__m512bh)_mm512_set1_epi16(0x3f80);
#pragma clang loop unroll(full)
  for (int j = 0; j < 24; ++j)
    acc[j] = _mm512_setzero_ps();
  for (int64_t i = 0; i < kPeakRounds; ++i) {
#pragma clang loop unroll(full)
    for (int j = 0; j < 24; ++j)
      acc[j] = _mm512_dpbf16_ps(acc[j], x, x);
  }
#pragma clang loop unroll(full)
  for (int j = 1; j < 24; ++j)
    acc[0] = _mm512_add_ps(acc[0], acc[j]);
  volatile float sink = _mm512_reduce_add_ps(acc[0]);
  (void)sink;
  return kPeakRounds * 24.0 * 64;
}
__attribute__((target("avx512f"))) double peak512() {
  __m512 acc[24];
  __m512 x = _mm512_set1_ps(1.0f);
#pragma clang loop unroll(full)
  for (int j = 0; j < 24; ++j)
    acc[j] = _mm512_setzero_ps();
  for (int64_t i = 0; i < kPeakRounds; ++i) {
#pragma clang loop unroll(full)
    for (int j = 0; j < 24; ++j)
      acc[j] = _mm512_fmadd_ps(acc[j], x, x);
  }
#pragma clang loop unroll(full)
  for (int j = 1; j < 24; ++j)
    acc[0] = _mm512_add_ps(acc[0], acc[j]);
  volatile float sink = _mm512_reduce_add_ps(acc[0]);
  (void)sink;
  return kPeakRounds * 24.0 * 32;
}
__attribute__((target("avx2,fma"))) double peak256() {
  __m256 acc[12];
  __m256 x = _mm256_set1_ps(1.0f);
#pragma clang loop unroll(full)
  for (int j = 0; j < 12; ++j)
    acc[j] = _mm256_setzero_ps();
  for (int64_t i = 0; i < kPeakRounds; ++i) {
#pragma clang loop unroll(full)
    for (int j = 0; j < 12; ++j)
      acc[j] = _mm256_fmadd_ps(acc[j], x, x);
  }
#pragma clang loop unroll(full)
  for (int j = 1; j < 12; ++j)
    acc[0] = _mm256_add_ps(acc[0], acc[j]);
  volatile float sink = acc[0][0];
  (void)sink;
  return kPeakRounds * 12.0 * 16;
}
/// Runs the multiply-adds of |variant|; how many operations they were.
double runPeak(Variant variant) {
  return variant == Variant::v3   ? peak256()
         : variant == Variant::v4 ? peak512()
                                  : peakBf16();
}

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

/// What weights hold.
enum class Codes { normal, uniform };

/// The e4m3 code of |value|, which is finite, the nearest one below in
/// magnitude.
uint8_t codeBelow(float value) {
  uint8_t code = 0x7E;
  while (code > 0 && decodeE4M3(code) > std::abs(value))
    --code;
  return value < 0 ? code | 0x80 : code;
}

struct Weights {
  int64_t n, k;
  Elt elt; // fp8 or int4
  Aligned codes, scales;
  Weights(int64_t n, int64_t k, Elt elt, Codes kind)
      : n(n), k(k), elt(elt), codes(bytesOf(elt, n * k)),
        scales(scaleBytesOf(n + 128)) {
    std::mt19937_64 random(1);
    if (elt == Elt::int4) {
      for (int64_t i = 0; i < bytes(n); i += 8) {
        uint64_t word = random();
        std::memcpy(codes.data + i, &word, 8);
      }
      for (int64_t i = 0; i < n * k / kInt4Group; ++i) {
        uint16_t scale = encodeBf16(0.01f);
        std::memcpy(scales.data + 2 * i, &scale, 2);
      }
      return;
    }
    // The largest of a block of 128 x 128 normal values is about four of them.
    std::normal_distribution<float> normal(0, 448 / 4.0f);
    std::vector<uint8_t> drawn(1 << 16);
    for (uint8_t &code : drawn) {
      code = kind == Codes::normal ? codeBelow(normal(random)) : random() & 0xFF;
      if ((code & 0x7F) == 0x7F)
        code ^= 1;
    }
    for (int64_t i = 0; i < n * k; i += 4) {
      uint64_t index = random();
      for (int64_t j = 0; j < 4; ++j)
        codes.data[i + j] = drawn[index >> (16 * j) & 0xFFFF];
    }
    auto *s = reinterpret_cast<float *>(scales.data);
    for (int64_t i = 0; i < (n / 128 + 1) * (k / 128); ++i)
      s[i] = 0.01f;
  }
  int64_t bytes(int64_t rows) const { return bytesOf(elt, rows * k); }
  int64_t scaleRows() const { return elt == Elt::int4 ? 1 : 128; }
  int64_t scaleStride() const {
    return elt == Elt::int4 ? k / kInt4Group : k / 128;
  }
  int64_t scaleBytesOf(int64_t rows) const {
    return rows / scaleRows() * scaleStride() * (elt == Elt::int4 ? 2 : 4);
  }
  uint8_t *row(int64_t r) { return codes.data + bytes(r); }
  uint8_t *scaleRow(int64_t r) { return scales.data + scaleBytesOf(r); }
};

/// Memory of a worker, in huge pages as the CPU driver asks for them.
struct Scratch {
  explicit Scratch(int64_t size) : size((size + (2 << 20) - 1) & -(2 << 20)) {
    data = static_cast<uint8_t *>(std::aligned_alloc(2 << 20, this->size));
    madvise(data, this->size, MADV_HUGEPAGE);
    std::memset(data, 0, this->size);
  }
  ~Scratch() { std::free(data); }
  Scratch(const Scratch &) = delete;
  Scratch &operator=(const Scratch &) = delete;
  int64_t size;
  uint8_t *data;
};

/// m rows of x as stored.
struct Activations {
  int64_t m, k;
  Elt elt;
  Aligned data, scales;
  Activations(int64_t m, int64_t k, Elt elt)
      : m(m), k(k), elt(elt), data(m * k * 2), scales(m * (k / 128) * 4) {
    std::mt19937 random(2);
    if (elt == Elt::fp8)
      for (int64_t i = 0; i < m * k; ++i)
        data.data[i] = random() & 0x77;
    else
      for (int64_t i = 0; i < m * k; ++i) {
        uint16_t bits = encodeBf16((random() % 1000) * 1e-3f);
        std::memcpy(data.data + 2 * i, &bits, 2);
      }
    for (int64_t i = 0; i < m * (k / 128); ++i)
      reinterpret_cast<float *>(scales.data)[i] = 1.0f;
  }
  uint8_t *row(int64_t r) { return data.data + r * k * (elt == Elt::fp8 ? 1 : 2); }
  float *scaleRow(int64_t r) {
    return reinterpret_cast<float *>(scales.data) + r * (k / 128);
  }
};

const char *nameOf(Elt x, Elt w) {
  return x == Elt::fp8 ? "W8A8" : w == Elt::int4 ? "W4A16" : "W8A16";
}

/// What a run measures.
struct Setup {
  Variant variant;
  Codes codes;
};

void benchGemv(const Setup &setup, int threads, int rounds, int64_t k, Elt elt,
               Elt wElt, int m) {
  int64_t tile = 64, n = (int64_t(256) << 20) / k / (tile * 2) * (tile * 2);
  Weights w(n, k, wElt, setup.codes);
  Activations x(m, k, elt);
  FormKey pack{FormKind::packRow, elt, wElt, kTuning},
      gemv{FormKind::gemv, elt, wElt, kTuning, m};
  FormImage image({pack, gemv}, setup.variant);
  int64_t blocks = k / 128, share = n / threads, rowStride = k * 4;
  std::vector<float> y(m * n);
  auto run = [&](int t) {
    Aligned packed(rowStride * m), scales(m * blocks * 4), work(gemvWorkBytes(k));
    // As a kernel does: items of 64 weight rows, each packs its activations.
    for (int64_t row = t * share; row < (t + 1) * share; row += tile) {
      for (int i = 0; i < m; ++i)
        image.call(pack, x.row(i), x.scaleRow(i), k, packed.data + i * rowStride,
                   scales.data + i * blocks * 4);
      image.call(gemv, packed.data, scales.data, rowStride, blocks,
                 w.row(row), w.bytes(1), w.scaleRow(row), w.scaleStride(),
                 row % w.scaleRows(), w.scaleRows(), tile, k, y.data() + row, n,
                 work.data);
    }
  };
  std::vector<double> fractions, rates;
  for (int r = 0; r < rounds; ++r) {
    auto plain = [&] {
      return timed(threads, [&](int t) {
        readAll(setup.variant, w.row(t * share), w.bytes(share));
        if (wElt == Elt::int4)
          readAll(setup.variant, w.scaleRow(t * share), w.scaleBytesOf(share));
      });
    };
    double before = plain(), time = timed(threads, run), after = plain();
    fractions.push_back(std::min(before, after) / time);
    rates.push_back((w.bytes(n) + w.scaleBytesOf(n)) / time * 1e-9);
  }
  std::printf("gemv  %-5s m=%d k=%ld threads=%d: %6.1f GB/s, %.2f of plain read\n",
              nameOf(elt, wElt), m, long(k), threads, median(rates),
              median(fractions));
}

/// Seconds of one work item that nothing else disturbed: the lower quartile.
double quartile(std::vector<double> &times) {
  std::sort(times.begin(), times.end());
  return times[times.size() / 4];
}

void benchPanel(const Setup &setup, int rounds, int64_t m, int64_t n,
                int64_t k, Elt elt, Elt wElt,
                const std::vector<int64_t> &tiles) {
  Weights w(n, k, wElt, setup.codes);
  Activations x(m, k, elt);
  FormKey pack{FormKind::packPanel, elt, wElt, kTuning},
      panel{FormKind::panel, elt, wElt, kTuning};
  FormImage image({pack, panel}, setup.variant);
  int64_t bn = 128;
  std::vector<double> peaks;
  double operations = 0;
  std::vector<std::vector<double>> packs(tiles.size()), panels(tiles.size());
  for (int r = 0; r < rounds; ++r)
    for (size_t i = 0; i < tiles.size(); ++i) {
      int64_t bm = tiles[i];
      Scratch packed(packedBytes(bm, k)), scales(packedScaleBytes(bm, k)),
          work(panelWorkBytes(bm, bn, kTuning.decodedRows)), y(bm * bn * 4);
      std::vector<uint8_t *> rows(bm);
      std::vector<float *> scaleRows(bm);
      for (int64_t m0 = 0; m0 < m; m0 += bm) {
        for (int64_t j = 0; j < bm; ++j) {
          rows[j] = x.row(m0 + j);
          scaleRows[j] = x.scaleRow(m0 + j);
        }
        double start = threadSeconds();
        image.call(pack, rows.data(), scaleRows.data(), bm, k, packed.data,
                   scales.data, nullptr);
        packs[i].push_back(threadSeconds() - start);
        for (int64_t n0 = 0; n0 < n; n0 += bn) {
          double start = threadSeconds();
          image.call(panel, packed.data, scales.data, bm,
                     w.row(n0), w.bytes(1), w.scaleRow(n0), w.scaleStride(),
                     int64_t(0), w.scaleRows(), bn, k, y.data, int64_t(1),
                     bn, bm, int64_t(0), work.data);
          panels[i].push_back(threadSeconds() - start);
        }
      }
      double start = threadSeconds();
      for (int p = 0; p < 4; ++p) {
        operations = runPeak(setup.variant);
        peaks.push_back(threadSeconds() - start);
        start = threadSeconds();
      }
    }
  double peak = operations / quartile(peaks) * 1e-9;
  for (size_t i = 0; i < tiles.size(); ++i) {
    double flops = 2.0 * tiles[i] * bn * k;
    double alone = quartile(panels[i]);
    double whole = alone + quartile(packs[i]) / (n / bn);
    std::printf("panel %-5s n=%ld k=%ld bm=%-3ld: %5.1f GFLOP/s a thread, %.3f "
                "of the peak, %.3f with packing\n",
                nameOf(elt, wElt), long(n), long(k), long(tiles[i]),
                flops / alone * 1e-9, flops / alone * 1e-9 / peak,
                flops / whole * 1e-9 / peak);
  }
}

/// Activations and weights.
constexpr std::pair<Elt, Elt> kPairs[] = {{Elt::bf16, Elt::fp8},
                                          {Elt::fp8, Elt::fp8},
                                          {Elt::bf16, Elt::int4}};

} // namespace

int main(int argc, char **argv) {
  std::optional<Variant> variant = nativeVariant();
  if (!variant) {
    std::printf("this host runs no image, or not that of HADAL_CPU_VARIANT\n");
    return 1;
  }
  Setup setup{*variant, Codes::normal};
  std::vector<std::string> words(argv + 1, argv + argc);
  if (!words.empty() && words[0] == "uniform") {
    setup.codes = Codes::uniform;
    words.erase(words.begin());
  }
  auto number = [&](size_t i, int64_t otherwise) {
    return i < words.size() ? std::atol(words[i].c_str()) : otherwise;
  };
  std::printf("image %s, %s codes\n", variantName(*variant).str().c_str(),
              setup.codes == Codes::normal ? "normal" : "uniform");
  auto panels = [&](int rounds, int64_t m, int64_t n, int64_t k,
                    const std::vector<int64_t> &tiles) {
    for (auto [x, w] : kPairs)
      benchPanel(setup, rounds, m, n, k, x, w, tiles);
  };
  if (words.size() > 5 && words[0] == "panel") {
    std::vector<int64_t> tiles;
    for (size_t i = 5; i < words.size(); ++i)
      tiles.push_back(number(i, 0));
    panels(number(1, 0), number(2, 0), number(3, 0), number(4, 0), tiles);
    return 0;
  }
  bool isOneRow = !words.empty() && words[0] == "gemv";
  if (isOneRow)
    words.erase(words.begin());
  int threads = number(0, 1), rounds = number(1, 9);
  for (auto [x, w] : kPairs)
    for (int64_t k : {7168, 2048})
      benchGemv(setup, threads, rounds, k, x, w, 1);
  if (isOneRow)
    return 0;
  for (Elt w : {Elt::fp8, Elt::int4})
    for (int m : {2, 4, 8})
      benchGemv(setup, threads, rounds, 7168, Elt::bf16, w, m);
  panels(rounds, 64, 4096, 7168, {16, 64});
  panels(rounds, 512, 2048, 7168, {64, 128, 256});
  panels(rounds, 512, 7168, 2048, {64, 128, 256});
  panels(rounds, 512, 2048, 16384, {64, 128, 256});
}
