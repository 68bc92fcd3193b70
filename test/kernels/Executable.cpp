// Executable: a kernel through the loop lowering.
#include <algorithm>
#include <numeric>
#include <optional>
#include <stdexcept>

#include "KernelTestSupport.h"
#include "test/lib/BuiltKernel.h"
#include "test/lib/KernelRunner.h"

using namespace mlir;

namespace hadal::kernels::test {

struct Executable::Impl {
  std::unique_ptr<hadal::test::KernelRunner> runner;
  std::string name;
  std::optional<hadal::test::Domain> domain;
};

Executable::Executable(const Build &build, Mode mode)
    : impl(std::make_unique<Impl>()) {
  hadal::test::BuiltKernel built(build);
  impl->name = built.getName();
  impl->domain.emplace(built.getKernel());
  std::string error;
  impl->runner = hadal::test::KernelRunner::fromModule(
      built.getModule(), mode == Mode::loopsF64, error);
  if (!impl->runner)
    built.fail("lower: " + error);
}

Executable::~Executable() = default;

schedule::Target targetOfExecutables() { return schedule::Target::cpu; }

void Executable::run(const Slots &slots, int64_t capacity,
                     uint64_t order) const {
  int64_t items = impl->domain->numItems(capacity);
  // Any order of the items gives the same bits.
  std::vector<int64_t> permutation(items);
  std::iota(permutation.begin(), permutation.end(), 0);
  std::mt19937_64 engine(order);
  std::shuffle(permutation.begin(), permutation.end(), engine);
  for (int64_t item : permutation) {
    std::string error =
        impl->runner->run(impl->name, slots.values(), item, item + 1);
    if (!error.empty())
      throw std::runtime_error(error);
  }
}

} // namespace hadal::kernels::test
