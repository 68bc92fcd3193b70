// One kernel with realistic inputs and the values that it must compute.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>

#include "kernels/SpecText.h"
#include "tools/hadal-bench/kernels/Tensor.h"

namespace hadal::bench {

/// The launch that a case stands for: the bucket and the dynamic extents.
struct Bucket {
  uint64_t tokens = 1, rows = 1, logitRows = 1;
  uint64_t maxSeqLen = 1;
  /// Of the model, for the sizes buffer.
  uint64_t experts = 0, topk = 0; // experts: of a rank, with several
  /// Dynamic extent |dim| of an argument, as the launch binds it.
  std::function<uint64_t(std::string_view argument, unsigned dim)> extent;
};

using Arguments = std::map<std::string, Tensor, std::less<>>;

/// The largest absolute error over the largest expected value, and 1 - cosine;
/// of the output that is worst against its bound.
struct Deviation {
  double relative = 0, cosine = 0;
  bool right = true;
  uint64_t elements = 0;
};

/// What one output must hold: the values of |columns| of |row|.
struct Expected {
  std::string output;
  /// The rows that the kernel writes, of which some are sampled.
  std::vector<uint64_t> rows;
  std::function<std::vector<double>(uint64_t row,
                                    const std::vector<uint64_t> &columns)>
      values;
  /// How far a right kernel may be off. e4m3fn outputs are held against the
  /// value before it was quantised: half a step of 2^-3 of it, and more where
  /// an input that was rounded the other way moves it over a step.
  enum class Kind { exact, f32, act, quantised } kind = Kind::act;
  /// Not 0: the columns of a row are sampled inside one group this wide (a
  /// head), where those of another cost a new computation.
  uint64_t group = 0;
};

/// How far a right kernel may be off: its largest error over the largest value,
/// and 1 - cosine (docs/numerics.md).
struct Bound {
  double relative, cosine;
};
Bound boundOf(Expected::Kind kind);

/// The arguments of one kernel by name, and what it must compute.
struct KernelCase {
  /// As in the manifest's arg_names without suffixes; "sizes" is i32
  /// [1, 16 + experts + 1].
  Arguments arguments;
  std::vector<Expected> expected;
  /// Bytes that one launch must move at least, and its operations.
  double bytes = 0, flops = 0;
  /// Whether the operations are on FP8 operands, which a GPU does twice as fast.
  bool fp8 = false;

  /// The deviation of the outputs in |actual| over samples.
  Deviation check(const Arguments &actual, Random &random) const;
};

/// The case of |spec| in |bucket|.
std::unique_ptr<KernelCase> makeKernelCase(const kernels::AnySpec &spec,
                                           const Bucket &bucket, uint64_t seed);

} // namespace hadal::bench
