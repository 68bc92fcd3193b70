// Executable: a kernel through the loop lowering.
#include <algorithm>
#include <numeric>
#include <stdexcept>

#include "KernelTestSupport.h"
#include "mlir/IR/BuiltinOps.h"
#include "mlir/IR/MLIRContext.h"
#include "mlir/IR/Verifier.h"
#include "test/lib/KernelRunner.h"

using namespace mlir;

namespace hadal::kernels::test {

struct Executable::Impl {
  std::unique_ptr<hadal::test::KernelRunner> runner;
  std::string name;
  std::vector<std::pair<int64_t, int64_t>> dims; ///< extent, step
};

Executable::Executable(const Build &build, Mode mode)
    : impl(std::make_unique<Impl>()) {
  DialectRegistry registry;
  hadal::test::registerKernelDialects(registry);
  MLIRContext context(registry, MLIRContext::Threading::DISABLED);
  context.loadAllAvailableDialects();
  std::string error;
  ScopedDiagnosticHandler handler(&context, [&](Diagnostic &diagnostic) {
    error += diagnostic.str() + "\n";
    return success();
  });
  OwningOpRef<ModuleOp> module = ModuleOp::create(UnknownLoc::get(&context));
  OpBuilder builder(&context);
  builder.setInsertionPointToEnd(module->getBody());
  tile::KernelOp kernel = build(builder);
  if (!kernel || failed(verify(*module)))
    throw std::runtime_error("build: " + error);
  impl->name = kernel.getSymName().str();
  for (unsigned i = 0; i < kernel.getNumDims(); ++i)
    impl->dims.emplace_back(kernel.getDim(i).getExtent(),
                            kernel.getDim(i).getStep());
  impl->runner = hadal::test::KernelRunner::fromModule(
      *module, mode == Mode::loopsF64, error);
  if (!impl->runner)
    throw std::runtime_error("lower: " + error);
}

Executable::~Executable() = default;

void Executable::run(const Slots &slots, int64_t capacity,
                     uint64_t order) const {
  int64_t items = 1;
  for (auto [extent, step] : impl->dims)
    items *= ((extent < 0 ? capacity : extent) + step - 1) / step;
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
