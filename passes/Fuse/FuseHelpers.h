// Helpers of the fusion passes.
#pragma once
#include "passes/Fuse/Passes.h"
#include "passes/Identity/Names.h"

namespace hadal::fuse {

/// The quantize_tiles that reads |value|; null if there is none or several (the
/// latter only before ElideRequantize).
inline dsv3::QuantizeTilesOp getQuantization(mlir::Value value) {
  dsv3::QuantizeTilesOp found;
  for (mlir::Operation *user : value.getUsers())
    if (auto op = llvm::dyn_cast<dsv3::QuantizeTilesOp>(user)) {
      if (found)
        return {};
      found = op;
    }
  return found;
}

/// The type of |value|, or null for a null value.
inline mlir::Type typeOf(mlir::Value value) {
  return value ? value.getType() : mlir::Type();
}

/// How a norm's result is read: quantised, and as it is.
struct NormUses {
  explicit NormUses(mlir::Value norm) : quantization(getQuantization(norm)) {
    keepNorm = !quantization || !norm.hasOneUse();
  }

  mlir::Type normType(mlir::Value norm) const {
    return keepNorm ? norm.getType() : mlir::Type();
  }
  mlir::Type quantizedType() {
    return quantization ? quantization.getResult().getType() : mlir::Type();
  }
  mlir::FloatAttr floor() {
    return quantization ? quantization.getFloorAttr() : mlir::FloatAttr();
  }

  dsv3::QuantizeTilesOp quantization;
  bool keepNorm;
};

} // namespace hadal::fuse
