// Prints the tile form of the kernels of DeepSeek-V3, for lit.
//
//   hadal-print-kernels PREFIX [ROWS [TARGET]]
//
// prints the W8A8 kernels of a bucket of ROWS rows (1 unless given) whose name
// starts with PREFIX, scheduled for TARGET (cpu, or sm_90a).
#include <cstdlib>

#include "V3Kernels.h"
#include "mlir/IR/BuiltinOps.h"
#include "mlir/IR/MLIRContext.h"

using namespace mlir;

int main(int argc, char **argv) {
  if (argc < 2 || argc > 4) {
    llvm::errs() << "usage: hadal-print-kernels PREFIX [ROWS [TARGET]]\n";
    return 2;
  }
  MLIRContext context;
  context.loadDialect<hadal::tile::TileDialect>();
  OwningOpRef<ModuleOp> module = ModuleOp::create(UnknownLoc::get(&context));
  OpBuilder builder(&context);
  builder.setInsertionPointToEnd(module->getBody());
  if (!hadal::kernels::test::buildV3Kernels(
          builder, argc >= 3 ? std::atoi(argv[2]) : 1,
          hadal::kernels::Act::bf16, hadal::kernels::Weight::fp8,
          /*quantize=*/true,
          argc == 4 && llvm::StringRef(argv[3]) == "sm_90a"
              ? hadal::schedule::Target::sm90a
              : hadal::schedule::Target::cpu))
    return 1;
  for (auto kernel :
       llvm::make_early_inc_range(module->getOps<hadal::tile::KernelOp>()))
    if (!kernel.getSymName().starts_with(argv[1]))
      kernel.erase();
  module->print(llvm::outs());
  llvm::outs() << "\n";
  return 0;
}
