// Executable (test/kernels) over compileCpuKernels: the kernels' own
// tests, run on the machine code that artifacts hold. HADAL_CPU_VARIANT names
// the image (the best that this host runs, if unset).
#include <algorithm>
#include <cstdlib>
#include <iostream>
#include <optional>
#include <stdexcept>

#include "RunImage.h"
#include "gtest/gtest.h"
#include "test/kernels/KernelTestSupport.h"
#include "test/lib/BuiltKernel.h"
#include "test/lib/KernelRunner.h"

using namespace mlir;
using namespace hadal::cpu;

namespace hadal::kernels::test {
namespace {

Variant chosenVariant() {
  const char *name = std::getenv("HADAL_CPU_VARIANT");
  for (Variant v : {Variant::v3, Variant::v4, Variant::v4Bf16Vbmi})
    if (name && variantName(v) == name) {
      if (hostRuns(v))
        return v;
      std::cout << "this host does not run " << name << "\n";
      std::exit(0);
    }
  if (name)
    throw std::runtime_error(std::string("no variant ") + name);
  return hostVariants().back();
}

} // namespace

struct Executable::Impl {
  std::unique_ptr<hadal::test::KernelRunner> oracle; // f64 only
  std::unique_ptr<MappedImage> image;
  uint64_t scratchBytes = 0;
  std::string name;
  std::optional<hadal::test::Domain> domain;
};

Executable::Executable(const Build &build, Mode mode)
    : impl(std::make_unique<Impl>()) {
  hadal::test::BuiltKernel built(build);
  impl->name = built.getName();
  impl->domain.emplace(built.getKernel());
  if (mode == Mode::loopsF64) {
    std::string error;
    impl->oracle =
        hadal::test::KernelRunner::fromModule(built.getModule(), true, error);
    if (!impl->oracle)
      built.fail("lower: " + error);
    return;
  }
  CpuOptions options;
  options.variants = {chosenVariant()};
  options.threads = 1;
  CpuKernels kernels;
  if (failed(compileCpuKernels(built.getModule(), options, kernels)))
    built.fail("compile");
  impl->image = std::make_unique<MappedImage>(kernels.images[0]);
  impl->scratchBytes = kernels.kernels[0].scratchBytes;
}

Executable::~Executable() = default;

schedule::Target targetOfExecutables() { return schedule::Target::cpu; }

void Executable::run(const Slots &slots, int64_t capacity,
                     uint64_t order) const {
  int64_t items = impl->domain->numItems(capacity);
  // Any order and any partition of the items gives the same bits.
  std::mt19937_64 engine(order);
  std::vector<std::pair<int64_t, int64_t>> ranges;
  for (int64_t begin = 0, end; begin < items; begin = end) {
    end = std::min<int64_t>(items, begin + 1 + engine() % 4);
    ranges.push_back({begin, end});
  }
  std::shuffle(ranges.begin(), ranges.end(), engine);
  constexpr size_t guard = 256;
  size_t bytes = (impl->scratchBytes + guard + 63) / 64 * 64;
  std::unique_ptr<uint8_t, decltype(&std::free)> scratch(
      static_cast<uint8_t *>(std::aligned_alloc(64, bytes)), &std::free);
  for (auto [begin, end] : ranges) {
    if (impl->oracle) {
      std::string error =
          impl->oracle->run(impl->name, slots.values(), begin, end);
      if (!error.empty())
        throw std::runtime_error(error);
      continue;
    }
    std::memset(scratch.get(), 0xFF, bytes);
    impl->image->kernel(0)(slots.values().data(), begin, end, scratch.get());
    for (size_t i = impl->scratchBytes; i < bytes; ++i)
      if (scratch.get()[i] != 0xFF)
        throw std::runtime_error("a write behind the scratch");
  }
}

} // namespace hadal::kernels::test
