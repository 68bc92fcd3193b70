#include "compiler/target/nvptx/Sm90Kernels.h"

#include "compiler/target/nvptx/Chip.h"

using namespace mlir;

namespace hadal::nvptx {

FailureOr<Sm90Kernel> compileKernel(tile::KernelOp kernel, const Chip &chip) {
  Operation *dot = nullptr;
  kernel->walk([&](Operation *op) {
    if (isa<tile::DotOp, tile::DotScaledOp>(op) && !dot)
      dot = op;
  });
  Operation *at = dot ? dot : kernel;
  return at->emitOpError("has no sm_90a lowering: kernels with")
         << (dot ? "" : "out") << " a contraction are not lowered yet";
}

} // namespace hadal::nvptx
