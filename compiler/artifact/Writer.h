// From an exec program and the images of its kernels to the bytes of an
// artifact (docs/artifact.md, runtime/schemas/artifact.fbs).
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "llvm/Support/Error.h"
#include "mlir/IR/BuiltinOps.h"

namespace hadal {

/// What a target produced for one kernel, in the order of the module.
struct KernelFacts {
  std::string name;
  uint64_t scratchBytes = 0;
  std::vector<std::pair<std::string, std::string>> facts;
};

/// One image of all kernels.
struct KernelImage {
  std::string variant;
  std::vector<uint8_t> bytes;
  std::vector<uint64_t> entryOffsets; // by kernel
};

struct TargetCode {
  std::vector<KernelFacts> kernels;
  std::vector<KernelImage> images;
};

/// Serialises |module| (tile and exec, buffers planned) with |code|, one to
/// one. Equal arguments give equal bytes. H2001 if the module lacks something
/// that the artifact needs.
llvm::Expected<std::vector<uint8_t>> serializeArtifact(mlir::ModuleOp module,
                                                       const TargetCode &code);

} // namespace hadal
