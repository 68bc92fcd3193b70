#include "compiler/codegen/nvptx/attention/KernelLowering.h"

#include "compiler/codegen/nvptx/attention/Fingerprint.h"

using namespace mlir;

namespace hadal::nvptx {

std::string KernelLowering::matchActivations(tile::KernelOp kernel) {
  auto view =
      dyn_cast<tile::ViewType>(kernel.getBodyBlock().getArgument(0).getType());
  if (!view || view.getElementType().isBF16())
    return {};
  std::string text;
  llvm::raw_string_ostream(text) << "activations of " << view.getElementType()
                                 << " are not served, only bf16";
  return text;
}

std::string KernelLowering::matchFingerprint(tile::KernelOp kernel,
                                             ArrayRef<uint64_t> known) {
  uint64_t found = fingerprint(kernel);
  if (llvm::is_contained(known, found))
    return {};
  return "its body has the fingerprint " + llvm::utohexstr(found) +
         ", which is not one that the specialised lowering was written for; "
         "bring the lowering up to date with the tile form";
}

const KernelLowering *findKernelLowering(tile::KernelOp kernel) {
  for (const KernelLowering *lowering :
       {&mlaDecodeLowering(), &mlaPrefillLowering()})
    if (kernel.getKind() == lowering->getKind())
      return lowering;
  return nullptr;
}

FailureOr<sm90::KernelOp> lowerSpecialised(const KernelLowering &lowering,
                                           tile::KernelOp kernel,
                                           const Chip &chip,
                                           OpBuilder &builder) {
  std::string reason = lowering.match(kernel);
  if (!reason.empty())
    return kernel.emitOpError("has no sm_90a lowering: ") << reason;
  return lowering.emit(kernel, chip, builder);
}

} // namespace hadal::nvptx
