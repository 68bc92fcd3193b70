// From the sm90 dialect to llvm, arith, vector and structured control flow.
#pragma once

#include "mlir/Pass/Pass.h"

namespace hadal::sm90 {

/// The pass --hadal-convert-sm90: plans shared memory (attribute shared_bytes),
/// then each sm90.kernel becomes an llvm.func of kernel calling convention with
/// the attributes hadal.shared_bytes, hadal.threads and hadal.tensor_maps
/// (the number of its last parameters that are tensor maps).
std::unique_ptr<mlir::Pass> createConvertSm90Pass();
void registerConvertSm90Pass();

} // namespace hadal::sm90
