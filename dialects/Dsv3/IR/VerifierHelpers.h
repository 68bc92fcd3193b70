// Checks shared by the verifiers of dsv3 operations. Each reports on the
// operation, with the expected and the found value, and returns failure.
#pragma once
#include "dialects/Dsv3/IR/Dsv3.h"

namespace hadal::dsv3::detail {

inline mlir::RankedTensorType tensorOf(mlir::Value value) {
  return llvm::cast<mlir::RankedTensorType>(value.getType());
}

/// |value| has |rank| dimensions.
inline mlir::LogicalResult checkRank(mlir::Operation *op, mlir::Value value,
                                     int64_t rank, llvm::StringRef what) {
  if (tensorOf(value).getRank() == rank)
    return mlir::success();
  return op->emitOpError() << what << " must have rank " << rank << ", got "
                           << value.getType();
}

/// |found| equals |expected|.
inline mlir::LogicalResult checkSize(mlir::Operation *op, int64_t found,
                                     int64_t expected, llvm::StringRef what) {
  if (found == expected)
    return mlir::success();
  auto text = [](int64_t n) {
    return mlir::ShapedType::isDynamic(n) ? std::string("?")
                                          : std::to_string(n);
  };
  return op->emitOpError() << what << " must be " << text(expected) << ", got "
                           << text(found);
}

/// |a| and |b| have the same rows: the same extent, by number and by name.
inline mlir::LogicalResult checkSameRows(mlir::Operation *op, mlir::Value a,
                                         mlir::Value b, llvm::StringRef what) {
  auto extents = [](mlir::Value v) {
    LayoutAttr layout = getLayout(v.getType());
    return layout ? layout.getExtents() : llvm::ArrayRef<Extent>();
  };
  if (tensorOf(a).getDimSize(0) == tensorOf(b).getDimSize(0) &&
      extents(a) == extents(b))
    return mlir::success();
  return op->emitOpError() << what << " must have the same rows, got "
                           << a.getType() << " and " << b.getType();
}

/// |value| is an activation matrix: rank 2, and FP8 only with 1x128 scales.
inline mlir::LogicalResult
checkActivation(mlir::Operation *op, mlir::Value value, llvm::StringRef what) {
  if (failed(checkRank(op, value, 2, what)))
    return mlir::failure();
  if (!isFP8(value.getType()))
    return mlir::success();
  ScaleAttr scale = getLayout(value.getType()).getScale();
  if (scale.getRows() == 1 && scale.getCols() == kBlock)
    return mlir::success();
  return op->emitOpError() << what << " must have scale blocks of 1x128, got "
                           << scale.getRows() << "x" << scale.getCols();
}

/// |value| is a weight: rank 2 (a stack: 3), FP8 only with 128x128 scales,
/// |columns| wide.
mlir::LogicalResult checkWeight(mlir::Operation *op, mlir::Value value,
                                int64_t columns, llvm::StringRef what);

/// |w| is a float32 vector of |size| values.
inline mlir::LogicalResult checkVector(mlir::Operation *op, mlir::Value w,
                                       int64_t size, llvm::StringRef what) {
  if (failed(checkRank(op, w, 1, what)))
    return mlir::failure();
  return checkSize(op, tensorOf(w).getDimSize(0), size, what);
}

/// |addend| is of the type |sum|, or the same of f32.
mlir::LogicalResult checkAddend(mlir::Operation *op, mlir::Value addend,
                                mlir::Type sum);

/// |table| is f32[positions, rope / 2, 2].
mlir::LogicalResult checkRopeTable(mlir::Operation *op, mlir::Value table,
                                   int64_t rope);

/// |floor| is present if and only if |quantized|, and positive.
mlir::LogicalResult checkFloor(mlir::Operation *op,
                               std::optional<llvm::APFloat> floor,
                               bool quantized);

/// Product of an activation with a weight: element types that a GEMM kernel
/// exists for, K equal, |begin| if and only if the weight is a stack, |source|
/// only beside |begin|; the rows of |y| are those of |source| or else of |x|.
mlir::LogicalResult checkProduct(mlir::Operation *op, mlir::Value x,
                                 mlir::Value weight, mlir::Value begin,
                                 mlir::Value source, mlir::Value y);

} // namespace hadal::dsv3::detail
