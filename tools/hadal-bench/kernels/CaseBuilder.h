// What the cases of the kernels share: true sizes, routing, lengths.
#pragma once

#include "tools/hadal-bench/kernels/KernelCase.h"
#include "tools/hadal-bench/kernels/Reference.h"

namespace hadal::bench {

inline DType dtypeOf(kernels::Act act) {
  return act == kernels::Act::bf16 ? DType::bf16 : DType::f32;
}

/// A case under construction. References capture |self| by pointer: a case
/// lives on the heap and keeps its inputs.
class CaseBuilder {
public:
  CaseBuilder(const Bucket &bucket, uint64_t seed);

  /// Adds a random argument and returns it. Activations: |blockRows| 1.
  Tensor &random(const std::string &name, Tensor tensor);
  /// Adds an argument that the kernel writes (zeros).
  Tensor &output(const std::string &name, Tensor tensor);
  /// act [extent0, cols].
  Tensor act(const std::string &name, kernels::Act act, uint64_t cols) const {
    return Tensor(dtypeOf(act), rowsOf(name), cols);
  }
  Tensor fp8Rows(const std::string &name, uint64_t cols) const {
    return Tensor(DType::f8e4m3fn, rowsOf(name), cols, 1);
  }
  Tensor weight(kernels::Weight kind, uint64_t n, uint64_t k,
                uint64_t parts = 1) const;
  uint64_t rowsOf(const std::string &name, unsigned dim = 0) const {
    return bucket.extent(name, dim);
  }

  /// cos and sin of a position at theta 10000, [positions, width].
  Tensor &cosSin(uint64_t positions, uint64_t width);
  /// Positions 0 .. below |positions|, one a token.
  Tensor &positions(uint64_t positions);
  /// Experts of every token, skewed: expert e is drawn with weight (rank+1)^-0.7
  /// of a random ranking. i32 [tokens, topk].
  Tensor routing(uint64_t tokens, uint64_t experts, uint64_t topk);
  /// expert_begin and the stable permutation of |ids|.
  struct Permutation {
    std::vector<int64_t> begin;    // [experts + 1]
    std::vector<int64_t> rowToken; // of a routed row: its token
    Tensor position;               // i32 [tokens, topk]: routed row
  };
  static Permutation permute(const Tensor &ids, uint64_t experts);
  /// Writes expert_begin to the sizes.
  void setExpertBegin(const std::vector<int64_t> &begin);

  /// Rows 0 .. |count| - 1.
  static std::vector<uint64_t> firstRows(uint64_t count);
  void expect(Expected expected) {
    result->expected.push_back(std::move(expected));
  }
  const Arguments &arguments() const { return result->arguments; }
  const Tensor &operator[](std::string_view name) const {
    return result->arguments.find(name)->second;
  }

  const Bucket &bucket;
  Random rng;
  std::unique_ptr<KernelCase> result;
};

// One per kernel: adds arguments, expectations, bytes and operations.
#define HADAL_DECLARE_CASE(K)                                                  \
  void build##K##Case(CaseBuilder &b, const kernels::K##Spec &spec);
HADAL_FOR_EACH_KERNEL(HADAL_DECLARE_CASE)
#undef HADAL_DECLARE_CASE

} // namespace hadal::bench
