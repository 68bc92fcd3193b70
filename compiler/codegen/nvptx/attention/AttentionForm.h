// What the specialised attention lowerings read from the tile form, and how they
// are registered.
#pragma once

#include "compiler/codegen/nvptx/attention/KernelLowering.h"
#include "compiler/codegen/nvptx/common/WorkItem.h"

namespace hadal::nvptx {

/// Keys of a step of attention.
inline constexpr int64_t kKeys = 64;

/// What every attention kernel has: facts of the form, words of the schedule.
struct AttentionForm {
  int64_t pageSize = 0;
  double scale = 0; ///< of the raw scores, with log2 e
  int64_t groups = 0; ///< consumer warpgroups
  int64_t stages = 0; ///< of the ring that is filled again and again
  RoleRegisters registers;

  /// Empty, or why |kernel| (of a known form) is not served.
  std::string read(tile::KernelOp kernel);
};

/// The lowering of the kernels of |kind| whose fingerprint is one of |forms|. A
/// Plan reads the sizes and the words kWords of the schedule: read and readWords
/// are empty or say why these are not served. The Emitter is made of the kernel
/// and its plan.
template <typename Plan, typename Emitter>
class AttentionLowering : public KernelLowering {
public:
  AttentionLowering(llvm::StringRef kind, llvm::ArrayRef<uint64_t> forms)
      : kind(kind), forms(forms) {}

  llvm::StringRef getKind() const override { return kind; }

  std::string match(tile::KernelOp kernel) const override {
    std::string reason = matchActivations(kernel);
    if (reason.empty())
      reason = Plan::matchTypes(kernel);
    if (reason.empty())
      reason = matchFingerprint(kernel, forms);
    if (!reason.empty())
      return reason;
    return Plan().read(kernel);
  }

  mlir::FailureOr<sm90::KernelOp> emit(tile::KernelOp kernel, const Chip &chip,
                                       mlir::OpBuilder &builder) const override {
    Plan plan;
    (void)plan.read(kernel); // match accepted it
    if (mlir::failed(refuseOtherWords(kernel, Plan::kWords)))
      return mlir::failure();
    std::string reason = plan.readWords(kernel, chip);
    if (!reason.empty())
      return kernel.emitOpError("has no sm_90a lowering: ") << reason;
    mlir::FailureOr<RoleRegisters> registers =
        readRegisters(kernel, plan.groups);
    if (mlir::failed(registers))
      return mlir::failure();
    plan.registers = *registers;
    return Emitter(kernel, plan).emit(builder);
  }

private:
  llvm::StringRef kind;
  llvm::ArrayRef<uint64_t> forms;
};

} // namespace hadal::nvptx
