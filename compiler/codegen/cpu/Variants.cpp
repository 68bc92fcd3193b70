// The images by name, and the one for this machine.
#include "compiler/codegen/cpu/CpuKernels.h"

#include <cstdlib>

#include "llvm/ADT/STLExtras.h"
#include "llvm/Support/ErrorHandling.h"
#include "llvm/TargetParser/Host.h"

namespace hadal::cpu {

llvm::StringRef variantName(Variant variant) {
  switch (variant) {
  case Variant::v3:
    return "v3";
  case Variant::v4:
    return "v4";
  case Variant::v4Bf16Vbmi:
    return "v4+bf16+vbmi";
  }
  llvm_unreachable("a variant");
}

llvm::ArrayRef<Variant> allVariants() {
  static constexpr Variant all[] = {Variant::v3, Variant::v4,
                                    Variant::v4Bf16Vbmi};
  return all;
}

std::optional<Variant> parseVariant(llvm::StringRef name) {
  for (Variant variant : allVariants())
    if (variantName(variant) == name)
      return variant;
  return std::nullopt;
}

/// What a variant needs beyond the one before, as LLVM calls it. The list of
/// the runtime (runtime/drivers/cpu/CpuVariant.cpp); LLVM too asks XCR0 whether
/// the system saves the registers.
static llvm::ArrayRef<llvm::StringRef> addedFeatures(Variant variant) {
  static const llvm::StringRef v3[] = {"avx", "avx2",  "bmi",   "bmi2", "f16c",
                                       "fma", "lzcnt", "movbe", "xsave"};
  static const llvm::StringRef v4[] = {"avx512f", "avx512bw", "avx512cd",
                                       "avx512dq", "avx512vl"};
  static const llvm::StringRef bf16Vbmi[] = {"avx512bf16", "avx512vbmi"};
  switch (variant) {
  case Variant::v3:
    return v3;
  case Variant::v4:
    return v4;
  case Variant::v4Bf16Vbmi:
    return bf16Vbmi;
  }
  llvm_unreachable("a variant");
}

std::optional<Variant> nativeVariant() {
  llvm::StringMap<bool> features = llvm::sys::getHostCPUFeatures();
  const char *limit = std::getenv("HADAL_CPU_VARIANT");
  std::optional<Variant> best;
  for (Variant variant : allVariants()) {
    if (!llvm::all_of(addedFeatures(variant), [&](llvm::StringRef feature) {
          return features.lookup(feature);
        }))
      break;
    best = variant;
    if (limit && variantName(variant) == limit)
      return best;
  }
  // A limit that is not reached is unknown, or beyond the machine.
  return limit ? std::nullopt : best;
}

} // namespace hadal::cpu
