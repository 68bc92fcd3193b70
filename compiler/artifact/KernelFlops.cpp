#include "compiler/artifact/KernelFlops.h"

#include <cmath>

#include "mlir/Dialect/Utils/StaticValueUtils.h"

using namespace mlir;

namespace hadal {

/// How often |op| runs in a work item: the steps of the folds around it (a last
/// part of a step counts as that part), or 0 where one has no constant bounds.
static double countRuns(Operation *op) {
  double runs = 1;
  for (auto fold = op->getParentOfType<tile::FoldOp>(); fold;
       fold = fold->getParentOfType<tile::FoldOp>()) {
    auto lo = getConstantIntValue(fold.getLo()),
         hi = getConstantIntValue(fold.getHi());
    if (!lo || !hi)
      return 0;
    runs *= static_cast<double>(*hi - *lo) /
            static_cast<double>(fold.getStep());
  }
  return runs;
}

/// Operations of the products of one work item, or 0: unknown.
static double countItemFlops(tile::KernelOp kernel) {
  double total = 0;
  bool known = true;
  kernel.walk([&](Operation *op) {
    if (!isa<tile::DotOp, tile::DotScaledOp>(op))
      return;
    auto a = cast<RankedTensorType>(op->getOperand(0).getType());
    auto result = cast<RankedTensorType>(op->getResult(0).getType());
    auto dot = dyn_cast<tile::DotOp>(op);
    int64_t depth = a.getDimSize(dot && dot.getTa() ? 0 : 1);
    double runs = countRuns(op);
    known &= runs > 0;
    total += runs * 2 * static_cast<double>(result.getNumElements()) *
             static_cast<double>(depth);
  });
  return known ? total : 0;
}

uint64_t countLaunchFlops(tile::KernelOp kernel, uint64_t items,
                          double expertsPerToken) {
  // The first dimension alone can be dynamic; of the others, tiles in part.
  double tiles = 1;
  uint64_t grid = 1;
  for (unsigned d = 0; d < kernel.getNumDims(); ++d) {
    tile::DomainDimAttr dim = kernel.getDim(d);
    if (dim.getExtent() >= 0) {
      tiles *= static_cast<double>(dim.getExtent()) /
               static_cast<double>(dim.getStep());
      grid *= llvm::divideCeil(dim.getExtent(), dim.getStep());
    }
    if (dim.getBound() != tile::Bound::ExpertRows)
      continue;
    // Every expert has a grid for all tokens; a token goes to a few.
    int64_t experts = kernel.getDim(dim.getBoundDim()).getExtent();
    if (expertsPerToken > 0 && experts > 0)
      tiles *= std::min(1.0, expertsPerToken / static_cast<double>(experts));
  }
  double blocks = grid ? static_cast<double>(items / grid) : 0;
  return static_cast<uint64_t>(
      std::llround(countItemFlops(kernel) * tiles * blocks));
}

uint64_t countWeightBytes(tile::KernelOp kernel) {
  uint64_t bytes = 0;
  for (auto [arg, name] :
       llvm::zip(kernel.getKernelArguments(), kernel.getArgNames())) {
    auto view = dyn_cast<tile::ViewType>(arg.getType());
    StringRef text = cast<StringAttr>(name).getValue();
    if (!view || view.getNumDynamic() || view.getRank() < 2 ||
        !(text == "w" || text == "w_up" || text == "wkv_b"))
      continue;
    uint64_t elements = 1, scales = view.isScaled() ? 4 : 0;
    for (auto [d, extent] : llvm::enumerate(view.getShape())) {
      elements *= extent;
      int64_t fromEnd = view.getRank() - 1 - d;
      int64_t block = fromEnd == 0   ? view.getScaleCols()
                      : fromEnd == 1 ? view.getScaleRows()
                                     : 1;
      scales *= llvm::divideCeil(extent, std::max<int64_t>(block, 1));
    }
    bytes += elements * llvm::divideCeil(
                            view.getElementType().getIntOrFloatBitWidth(), 8) +
             scales;
  }
  return bytes;
}

} // namespace hadal
