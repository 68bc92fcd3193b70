// The kernel that a fused dsv3 op is: its interface and the models of the ops.
//
// A kernel K of HADAL_FOR_EACH_KERNEL has one definition of attach<K>Model,
// which attaches the model of each op that is such a kernel:
//
//   static FailureOr<KernelLaunch> describe(dsv3::AddOp op, FunctionLowering
//   &f); void attachAddModel(MLIRContext &context) {
//     attachModel<dsv3::AddOp, describe>(context);
//   }
#pragma once

#include "passes/Dsv3ToExec/Lowering.h"

#include "passes/Dsv3ToExec/KernelOpInterface.h.inc"

namespace hadal::lower {

/// Gives |Op| the interface; |Describe| answers describeKernel.
template <typename Op,
          mlir::FailureOr<KernelLaunch> (*Describe)(Op, FunctionLowering &)>
void attachModel(mlir::MLIRContext &context) {
  struct Model : KernelOpInterface::ExternalModel<Model, Op> {
    mlir::FailureOr<KernelLaunch>
    describeKernel(mlir::Operation *op, FunctionLowering &lowering) const {
      return Describe(mlir::cast<Op>(op), lowering);
    }
  };
  Op::template attachInterface<Model>(context);
}

#define HADAL_DECLARE_MODEL(K)                                                 \
  void attach##K##Model(mlir::MLIRContext &context);
HADAL_FOR_EACH_KERNEL(HADAL_DECLARE_MODEL)
#undef HADAL_DECLARE_MODEL

/// Attaches the models of all kernels as soon as the dsv3 dialect is loaded.
void registerKernelModels(mlir::DialectRegistry &registry);

// What the models ask of the values of an op.

inline mlir::RankedTensorType typeOf(mlir::Value value) {
  return mlir::cast<mlir::RankedTensorType>(value.getType());
}
inline int64_t columns(mlir::Value value) {
  return typeOf(value).getShape().back();
}
/// Whether |value| has the rows of the rank's slice.
bool isSlice(mlir::Value value);
/// The scale format of the activations quantised into |value|.
kernels::ScaleFormat formatOf(mlir::Value value);
/// The storage that the weight |value| has when the kernel reads it.
kernels::Weight weightOf(mlir::Value value);

} // namespace hadal::lower
