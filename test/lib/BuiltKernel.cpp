#include "test/lib/BuiltKernel.h"

#include <stdexcept>

#include "mlir/IR/Verifier.h"
#include "test/lib/KernelRunner.h"

using namespace mlir;

namespace hadal::test {

Domain::Domain(tile::KernelOp kernel) {
  for (unsigned i = 0; i < kernel.getNumDims(); ++i)
    dims.emplace_back(kernel.getDim(i).getExtent(), kernel.getDim(i).getStep());
}

int64_t Domain::numItems(int64_t capacity) const {
  int64_t items = 1;
  for (auto [extent, step] : dims)
    items *= ((extent < 0 ? capacity : extent) + step - 1) / step;
  return items;
}

static DialectRegistry kernelDialects() {
  DialectRegistry registry;
  registerKernelDialects(registry);
  return registry;
}

BuiltKernel::BuiltKernel(
    const std::function<tile::KernelOp(OpBuilder &)> &build)
    : context(kernelDialects(), MLIRContext::Threading::DISABLED),
      handler(&context, [this](Diagnostic &diagnostic) {
        diagnostics += diagnostic.str() + "\n";
        return success();
      }) {
  context.loadAllAvailableDialects();
  module = ModuleOp::create(UnknownLoc::get(&context));
  OpBuilder builder(&context);
  builder.setInsertionPointToEnd(module->getBody());
  kernel = build(builder);
  if (!kernel || failed(verify(*module)))
    fail("build");
}

void BuiltKernel::fail(const std::string &what) const {
  throw std::runtime_error(what + ": " + diagnostics);
}

} // namespace hadal::test
