// From an exec program and the images of its kernels to the bytes of an
// artifact (docs/artifact.md, runtime/schemas/artifact.fbs).
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "llvm/Support/Error.h"
#include "mlir/IR/BuiltinOps.h"
#include "runtime/schemas/artifact_generated.h"

namespace hadal {

/// A dimension of a tensor map (table TensorMapDim of the schema): a constant
/// |extent|, or that in argument slot |slot| if it is 0.
struct DeviceTensorMapDim {
  uint64_t extent = 0;
  uint32_t slot = 0;
  uint64_t strideBytes = 0;
  uint32_t box = 1;
};
struct DeviceTensorMap {
  uint32_t slot = 0;
  schema::DType dtype = schema::DType::none;
  std::vector<DeviceTensorMapDim> dims; // innermost first
  uint32_t swizzle = 0;
};

/// What a launch on a GPU needs to know of a kernel, and its code.
struct DeviceKernel {
  uint32_t threads = 0, ctasPerItem = 1;
  uint64_t sharedBytes = 0;
  bool persistent = false;
  uint64_t workspaceFixed = 0, workspacePerItem = 0;
  std::vector<DeviceTensorMap> tensorMaps;
  std::string ptx, cubin; // no cubin: ""
};

/// What a target produced for one kernel, in the order of the module.
struct KernelFacts {
  std::string name;
  uint64_t scratchBytes = 0;
  std::vector<std::pair<std::string, std::string>> facts;
  std::optional<DeviceKernel> device; // of GPU targets
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
  // Of GPU targets: as the provenance states them.
  uint32_t ptxIsa = 0, driverMinimum = 0;
  std::string ptxas; // its version; "": none was used
};

/// Serialises |module| (tile and exec, buffers planned) with |code|, one to
/// one. Equal arguments give equal bytes. H2001 if the module lacks something
/// that the artifact needs.
llvm::Expected<std::vector<uint8_t>> serializeArtifact(mlir::ModuleOp module,
                                                       const TargetCode &code);

} // namespace hadal
