// Random specs of all kinds, of sizes that a code generator takes in
// milliseconds.
#pragma once

#include <random>

#include "schedule/Space.h"

namespace hadal::schedule {

class RandomSpecs {
public:
  RandomSpecs(Target target, unsigned seed)
      : isGpu(target == Target::sm90a), random(seed) {}

  /// One of the contractions and attentions twice as often as of the others.
  kernels::AnySpec next();

  template <typename T> const T &oneOf(const std::vector<T> &all) {
    return all[random() % all.size()];
  }
  bool chance(unsigned oneIn) { return random() % oneIn == 0; }

private:
  int64_t pick(std::initializer_list<int64_t> all) {
    return all.begin()[random() % all.size()];
  }
  kernels::GemmSpec gemm();
  kernels::AnySpec contraction();
  kernels::AnySpec rowKernel();
  template <typename Spec> Spec dressed(Spec spec) {
    if (chance(4))
      spec.act = kernels::Act::f32;
    if (isGpu)
      spec.act = kernels::Act::bf16;
    return spec;
  }
  kernels::Weight weight() {
    using kernels::Weight;
    return oneOf<Weight>({Weight::fp8, Weight::bf16});
  }
  /// Of wkv_b on its own: a GPU has it in bf16.
  kernels::Weight latentWeight() {
    return isGpu ? kernels::Weight::bf16 : weight();
  }
  kernels::Sums sums() {
    using kernels::Sums;
    if (isGpu || chance(2))
      return Sums::free;
    return oneOf<Sums>({Sums::rows, Sums::panel});
  }

  const bool isGpu;
  std::mt19937 random;
};

} // namespace hadal::schedule
