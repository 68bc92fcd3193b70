// The unrolled form of an entry on a GPU: grids and parameter blocks, by
// docs/artifact.md "Kernel call on sm_90a". Shared by the drivers that launch
// PTX or cubins.
#pragma once

#include <functional>
#include <span>

#include "runtime/base/Status.h"
#include "runtime/device/Program.h"

namespace hadal {

/// One kernel launch: |grid| x 1 x 1 blocks, and its parameters in order, each
/// at its natural alignment in a block that starts at a multiple of 64.
struct GpuLaunch {
  uint32_t kernel;
  uint32_t grid;
  uint64_t firstByte; // in GpuProgram::parameters
  uint32_t numBytes;
  uint64_t items;
};

struct GpuProgram {
  std::vector<GpuLaunch> launches;
  std::vector<uint8_t> parameters;

  std::span<const uint8_t> block(const GpuLaunch &launch) const {
    return {parameters.data() + launch.firstByte, launch.numBytes};
  }
};

inline constexpr uint64_t kTensorMapBytes = 128;
inline constexpr uint64_t kTensorMapAlign = 64;

/// A tensor map with its addresses and extents: what cuTensorMapEncodeTiled
/// takes. Element strides are 1, there is no interleave, and elements outside
/// the extents read as zero.
struct TensorMapRequest {
  static constexpr unsigned kMaxRank = 5;

  DeviceAddress address = 0;
  schema::DType dtype = schema::DType::none;
  unsigned rank = 0;
  // Innermost first. strides[i]: bytes from one index of dimension i + 1 to the
  // next.
  std::array<uint64_t, kMaxRank> extents = {};
  std::array<uint64_t, kMaxRank - 1> strides = {};
  std::array<uint32_t, kMaxRank> box = {};
  unsigned swizzleBytes = 0; // 0, 32, 64, 128

  auto operator<=>(const TensorMapRequest &) const = default;
};

/// Writes the 128 bytes of a tensor map for the device.
using TensorMapEncoder =
    std::function<Status(const TensorMapRequest &request, uint8_t *map)>;

/// Where the workspace of each kernel lies. Each kernel has a part of its own,
/// as large as its largest launch: its tickets must stay zero between launches,
/// which the partial sums of another kernel would not leave.
struct WorkspaceLayout {
  std::vector<uint64_t> offsets; // by kernel, multiples of 256
  uint64_t bytes = 0;
};
/// H4005 if the size overflows. |artifact| must have been verified, and be for
/// a GPU.
StatusOr<WorkspaceLayout> layoutWorkspace(const schema::Artifact &artifact);

/// Byte offset of each parameter of |kernel| in a launch's parameter block: its
/// argument slots, the workspace where it has one, its tensor maps.
std::vector<uint32_t> parameterOffsets(const schema::Kernel &kernel);

/// What a device adds to a program.
struct GpuContext {
  DeviceAddress workspace = 0;
  const WorkspaceLayout &layout;
  unsigned multiprocessors = 1;
  TensorMapEncoder encode;
};

/// The launches of |list| of the verified |artifact|. Each distinct tensor map
/// is encoded once. Errors: those of |context|.encode, with the kernel's name.
StatusOr<GpuProgram> flattenForGpu(const schema::Artifact &artifact,
                                   const LaunchList &list,
                                   const GpuContext &context);

} // namespace hadal
