// What the specialised attention lowerings read from the tile form, and how they
// are registered.
#pragma once

#include "compiler/codegen/nvptx/attention/KernelLowering.h"
#include "compiler/codegen/nvptx/common/WorkItem.h"

namespace hadal::nvptx {

/// Keys of a step of attention.
inline constexpr int64_t kKeys = 64;

/// Facts of the form that every attention kernel has.
struct AttentionForm {
  int64_t pageSize = 0;
  double scale = 0; ///< of the raw scores, with log2 e

  /// Empty, or why |kernel| (of a known form) is not served.
  std::string read(tile::KernelOp kernel);
};

/// The lowering of the kernels of |kind| whose fingerprint is one of |forms|. A
/// Plan reads the sizes: `std::string read(tile::KernelOp)` is empty or says why
/// they are not served. The Emitter is made of the kernel and its plan.
template <typename Plan, typename Emitter>
class AttentionLowering : public KernelLowering {
public:
  AttentionLowering(llvm::StringRef kind, llvm::ArrayRef<uint64_t> forms)
      : kind(kind), forms(forms) {}

  llvm::StringRef getKind() const override { return kind; }

  std::string match(tile::KernelOp kernel, const Chip &) const override {
    std::string reason = matchActivations(kernel);
    if (reason.empty())
      reason = Plan::matchTypes(kernel);
    if (reason.empty())
      reason = matchFingerprint(kernel, forms);
    if (!reason.empty())
      return reason;
    return Plan().read(kernel);
  }

  mlir::FailureOr<sm90::KernelOp> emit(tile::KernelOp kernel, const Chip &,
                                       mlir::OpBuilder &builder) const override {
    Plan plan;
    (void)plan.read(kernel); // match accepted it
    return Emitter(kernel, plan).emit(builder);
  }

private:
  llvm::StringRef kind;
  llvm::ArrayRef<uint64_t> forms;
};

} // namespace hadal::nvptx
