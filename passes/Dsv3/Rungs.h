// The entries of a bucket whose ranks share experts, by what they have room
// for.
#pragma once
#include "dialects/Dsv3/IR/Dsv3.h"
#include "passes/Dsv3/Capacity.h"

namespace hadal {

/// What the capacity of an exchange depends on; empty where the ranks of
/// |module| share no experts. H2001.
mlir::FailureOr<std::optional<ExchangeShape>>
readExchangeShape(mlir::ModuleOp module);

/// |bucket| with the capacities of its rungs, the expected one first;
/// |capacity|: auto, worst or a number of rows (H2002).
mlir::FailureOr<llvm::SmallVector<dsv3::BucketAttr>>
addRungs(mlir::ModuleOp module, dsv3::BucketAttr bucket,
         const ExchangeShape &shape, llvm::StringRef capacity);

} // namespace hadal
