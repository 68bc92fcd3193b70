// Time to compile the kernels of DeepSeek-V3 for every bucket, and what they
// become. A tool for docs/benchmarks.md, not a test.
//
//   CpuCompileBench [threads]
#include <chrono>
#include <cstdio>
#include <cstdlib>

#include "compiler/codegen/cpu/CpuKernels.h"
#include "mlir/IR/MLIRContext.h"
#include "mlir/IR/SymbolTable.h"
#include "test/kernels/V3Kernels.h"
#include "test/lib/KernelRunner.h"

using namespace hadal;
using namespace hadal::kernels;

int main(int argc, char **argv) {
  mlir::DialectRegistry registry;
  hadal::test::registerKernelDialects(registry);
  mlir::MLIRContext context(registry);
  context.loadAllAvailableDialects();
  mlir::OwningOpRef<mlir::ModuleOp> module =
      mlir::ModuleOp::create(mlir::UnknownLoc::get(&context));
  mlir::OpBuilder builder(&context);
  builder.setInsertionPointToEnd(module->getBody());
  for (int64_t rows : {1, 4, 16, 64, 512})
    if (!hadal::kernels::test::buildV3Kernels(builder, rows, Act::bf16,
                                              Weight::fp8, true))
      return 1;
  // Kernels without a bucket come once.
  llvm::StringMap<int> seen;
  for (auto kernel :
       llvm::make_early_inc_range(module->getOps<tile::KernelOp>()))
    if (seen[kernel.getSymName()]++)
      kernel.erase();
  cpu::CpuOptions options;
  options.threads = argc > 1 ? std::atoi(argv[1]) : 0;
  cpu::CpuKernels out;
  auto start = std::chrono::steady_clock::now();
  if (failed(cpu::compileCpuKernels(*module, options, out)))
    return 1;
  double seconds = std::chrono::duration<double>(
                       std::chrono::steady_clock::now() - start)
                       .count();
  for (auto [op, kernel] :
       llvm::zip(module->getOps<tile::KernelOp>(), out.kernels)) {
    auto form = op.getSchedule().getWords().getAs<mlir::StringAttr>("form");
    std::printf("%-70s scratch %9lu  %s\n", kernel.name.c_str(),
                (unsigned long)kernel.scratchBytes,
                form ? form.getValue().str().c_str() : "");
  }
  for (const cpu::CpuImage &image : out.images)
    std::printf("%-14s %zu bytes\n", image.variant.c_str(), image.bytes.size());
  std::printf("%zu kernels x %zu images: %.1f s wall, %.1f s cpu\n",
              out.kernels.size(), out.images.size(), seconds,
              double(clock()) / CLOCKS_PER_SEC);
}
