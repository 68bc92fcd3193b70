// Buffers, argument slots and comparisons for tests that run kernels.
//
// A Buffer holds a matrix in the storage format of a kernel argument and reads
// it back as double. The references of References.h work on those doubles, so
// they know nothing of tiles.
#pragma once

#include <cmath>
#include <cstdint>
#include <cstring>
#include <functional>
#include <random>
#include <string>
#include <vector>

#include "kernels/ScheduledKernel.h"
#include "kernels/SpecText.h"
#include "cost/Chip.h"

namespace hadal::kernels::test {

/// Nearest bf16 (ties to even) as float.
float roundToBf16(double value);
/// Value of an e4m3fn code (model-spec 3.1).
double decodeE4m3(uint8_t code);
/// Nearest e4m3fn code, ties to even, saturating.
uint8_t encodeE4m3(double value);
/// |value| as it is stored in an activation.
inline double roundToAct(Act act, double value) {
  return act == Act::bf16 ? roundToBf16(value) : static_cast<float>(value);
}

enum class Format { f32, bf16, fp8, i32, i64 };

/// A row-major matrix in memory, with 64 guard bytes behind it. FP8 carries
/// scales of blocks blockRows x blockCols. Fresh memory is 0xFF: NaN in every
/// float format, -1 in every integer format.
class Buffer {
public:
  Buffer() = default;
  Buffer(Format format, int64_t rows, int64_t cols, int64_t blockRows = 1);

  int64_t rows() const { return numRows; }
  int64_t cols() const { return numCols; }
  double at(int64_t row, int64_t col) const;
  /// Stores |value|; of an FP8 buffer it is the code's value, without scale.
  void set(int64_t row, int64_t col, double value);
  uint8_t code(int64_t row, int64_t col) const;
  void setCode(int64_t row, int64_t col, uint8_t code);
  float &scale(int64_t row, int64_t col);
  float scale(int64_t row, int64_t col) const;
  void *data() { return bytes.data(); }
  void *scales() { return blockScales.data(); }
  size_t scaleBytes() const { return blockScales.size() * sizeof(float); }
  size_t bytesPerRow() const { return numCols * elementBytes(); }
  Format format() const { return storage; }
  /// True while no element of the row was written.
  bool untouched(int64_t row) const;
  bool guardIntact() const;
  /// The stored bytes of one row, for bitwise comparison (with its scales).
  std::string rowBytes(int64_t row) const;

private:
  size_t elementBytes() const;
  size_t scaleIndex(int64_t row, int64_t col) const;

  Format storage = Format::f32;
  int64_t numRows = 0, numCols = 0, blockRows = 1, scaleCols = 0;
  std::vector<uint8_t> bytes;
  std::vector<float> blockScales;
};

inline Format formatOf(Act act) {
  return act == Act::bf16 ? Format::bf16 : Format::f32;
}

/// Deterministic data.
class Random {
public:
  explicit Random(uint64_t seed) : engine(seed) {}
  double normal(double deviation = 1.0) {
    return std::normal_distribution<double>(0.0, deviation)(engine);
  }
  double uniform(double lo, double hi) {
    return std::uniform_real_distribution<double>(lo, hi)(engine);
  }
  int64_t below(int64_t limit) {
    return std::uniform_int_distribution<int64_t>(0, limit - 1)(engine);
  }
  /// Normal values; FP8: random finite codes with random positive scales of
  /// about 1 / 64.
  Buffer matrix(Format format, int64_t rows, int64_t cols,
                int64_t blockRows = 1, double deviation = 1.0);

private:
  std::mt19937_64 engine;
};

/// Words before expert_begin.
inline constexpr int64_t kSizesHead = 16;
/// True sizes: tokens, rows, logit_rows, slice_tokens (tokens), flags (the
/// experts' load counts), zeros, expert_begin[experts + 1].
std::vector<int32_t> makeSizes(int32_t tokens, int32_t rows = 1,
                               int32_t logitRows = 0, int64_t experts = 0);

/// The 8-byte slots of a kernel's arguments (docs/artifact.md).
class Slots {
public:
  /// A dense view: data, scale if FP8, then the dynamic extents.
  Slots &view(Buffer &buffer, std::vector<int64_t> dynamic = {});
  /// Pointer tables of a stack or of segments, built from |parts|.
  Slots &table(std::vector<Buffer *> parts);
  Slots &sizes(std::vector<int32_t> &values);
  const std::vector<uint64_t> &values() const { return slots; }

  /// What a slot points to, for a runner that copies it elsewhere: the data of
  /// |buffer| (its scales are in the next slot if FP8), or |sizes|, or the
  /// pointer tables of |parts|.
  struct Memory {
    size_t slot;
    Buffer *buffer;
    std::vector<int32_t> *sizes;
    std::vector<Buffer *> parts = {};
  };
  const std::vector<Memory> &memory() const { return operands; }

private:
  std::vector<uint64_t> slots;
  std::vector<Memory> operands;
  std::vector<std::unique_ptr<std::vector<uint64_t>>> tables;
  void push(const void *pointer);
};

/// How a kernel is run: through the scalar definition in f32 or in double.
enum class Mode { loops, loopsF64 };

/// A kernel that is ready to run.
class Executable {
public:
  using Build = std::function<tile::KernelOp(mlir::OpBuilder &)>;
  /// Builds and lowers; throws std::runtime_error with the diagnostics.
  Executable(const Build &build, Mode mode);
  ~Executable();
  /// Runs all items of a launch whose first dimension holds |capacity|
  /// elements (of argument slots |slots|), in a shuffled order.
  void run(const Slots &slots, int64_t capacity, uint64_t order = 1) const;

private:
  struct Impl;
  std::unique_ptr<Impl> impl;
};

/// What an Executable's kernels are scheduled for.
schedule::Target targetOfExecutables();

/// The kernel of |spec| as an Executable::Build. |given|: words of its schedule
/// in place of the rules'.
template <typename Spec>
Executable::Build builderOf(const Spec &spec,
                            const schedule::Words &given = {}) {
  return [spec, given](mlir::OpBuilder &builder) {
    return buildScheduled(builder, builder.getUnknownLoc(), symbolFor(spec),
                          spec, targetOfExecutables(),
                          &nvptx::allChips().front(), given);
  };
}

/// Replaces each fold of |kernel| by two over the halves of its range, merged by
/// its combine region: what a split schedule does.
void splitFolds(tile::KernelOp kernel);

/// builderOf, with every fold split in four, so that short ranges merge empty
/// states with each other too.
template <typename Spec>
Executable::Build splitBuilderOf(const Spec &spec) {
  // The CPU's forms take over whole folds.
  schedule::Words given;
  if (targetOfExecutables() == schedule::Target::cpu &&
      !std::is_same_v<Spec, MlaDecodeSpec> &&
      !std::is_same_v<Spec, MlaPrefillSpec>)
    given["form"] = std::string("loops");
  return [whole = builderOf(spec, given)](mlir::OpBuilder &builder) {
    tile::KernelOp kernel = whole(builder);
    if (kernel) {
      splitFolds(kernel);
      splitFolds(kernel);
    }
    return kernel;
  };
}

/// Sums of squares and products of two sequences of values.
struct Comparison {
  double xx = 0, yy = 0, xy = 0, maxError = 0, maxValue = 0;
  int64_t count = 0;
  bool finite = true;
  void add(double actual, double expected);
  /// 1 - cosine.
  double cosine() const;
  /// Largest absolute error over the largest expected value.
  double relative() const;
};

/// Compares |actual| with |expected(row, col)| over |rows| rows.
Comparison compare(const Buffer &actual, int64_t rows,
                   const std::function<double(int64_t, int64_t)> &expected);

/// Bounds on 1 - cosine and on the relative error of a kernel's result: act f32
/// or bf16 (model-spec 3.6).
struct Tolerance {
  double cosine, relative;
};
Tolerance toleranceOf(Act act);

#define HADAL_EXPECT_CLOSE(comparison, tolerance)                              \
  do {                                                                         \
    const auto &c_ = (comparison);                                             \
    EXPECT_TRUE(c_.finite);                                                    \
    EXPECT_GT(c_.count, 0);                                                    \
    EXPECT_LT(c_.cosine(), (tolerance).cosine);                                \
    EXPECT_LT(c_.relative(), (tolerance).relative);                            \
  } while (false)

} // namespace hadal::kernels::test
