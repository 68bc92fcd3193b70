// Names of kernels: equal iff the specs are.
#pragma once

#include <bit>
#include <string>

#include "kernels/Kernels.h"
#include "llvm/ADT/StringExtras.h"

namespace hadal::kernels {

/// Joins the parts of a kernel's symbol with `_`. A part that is false or at
/// its default may be left out only if no other spec could read the same.
class KernelName {
public:
  KernelName(llvm::StringRef base, const Common &common) : text(base) {
    part(common.act == Act::bf16 ? "bf16" : "f32");
    if (common.scaleFormat == ScaleFormat::ue8m0)
      part("ue8m0");
    if (common.target == Target::sm90a)
      part("sm90a");
  }
  KernelName &part(llvm::StringRef word) {
    text += "_";
    text += word;
    return *this;
  }
  KernelName &flag(bool value, llvm::StringRef word) {
    return value ? part(word) : *this;
  }
  KernelName &number(llvm::StringRef key, int64_t value) {
    return part((key + llvm::Twine(value)).str());
  }
  /// The bits of |value|, so that close values get different names.
  KernelName &real(llvm::StringRef key, double value) {
    return part((key + llvm::utohexstr(std::bit_cast<uint64_t>(value),
                                       /*LowerCase=*/true))
                    .str());
  }
  KernelName &weight(Weight value) {
    return part(value == Weight::fp8    ? "wfp8"
                : value == Weight::bf16 ? "wbf16"
                                        : "wf32");
  }
  std::string str() const { return text; }

private:
  std::string text;
};

} // namespace hadal::kernels
