#include "runtime/device/GpuProgram.h"

#include <algorithm>
#include <cstring>
#include <map>

#include "runtime/base/Checked.h"

namespace hadal {

namespace {

bool hasWorkspace(const schema::Kernel &kernel) {
  return kernel.workspace_fixed() || kernel.workspace_per_item();
}

unsigned numTensorMaps(const schema::Kernel &kernel) {
  return kernel.tensor_maps() ? kernel.tensor_maps()->size() : 0;
}

class GpuFlattener {
public:
  GpuFlattener(const schema::Artifact &artifact, const GpuContext &context)
      : artifact(artifact), context(context) {}

  Status add(const Launch &launch, const uint64_t *args) {
    const schema::Kernel &kernel = *artifact.kernels()->Get(launch.kernel);
    const std::vector<uint32_t> offsets = parameterOffsets(kernel);
    const unsigned maps = numTensorMaps(kernel);
    const uint64_t end =
        offsets.empty() ? 0 : offsets.back() + (maps ? kTensorMapBytes : 8);
    const uint64_t first = program.parameters.size();
    program.parameters.resize(first + (end + kTensorMapAlign - 1) /
                                          kTensorMapAlign * kTensorMapAlign);
    uint8_t *block = program.parameters.data() + first;
    if (kernel.num_args())
      std::memcpy(block, args, 8 * kernel.num_args());
    if (hasWorkspace(kernel)) {
      uint64_t address =
          context.workspace + context.layout.offsets[launch.kernel];
      std::memcpy(block + 8 * kernel.num_args(), &address, 8);
    }
    for (unsigned i = 0; i < maps; ++i)
      HADAL_RETURN_IF_ERROR(
          encode(kernel, i, args, block + offsets[offsets.size() - maps + i]));
    uint64_t grid = launch.items * kernel.ctas_per_item();
    if (kernel.persistent())
      grid = std::min<uint64_t>(grid, context.multiprocessors);
    program.launches.push_back({launch.kernel, static_cast<uint32_t>(grid),
                                first, static_cast<uint32_t>(end),
                                launch.items});
    return {};
  }

  GpuProgram program;

private:
  using MapBytes = std::array<uint8_t, kTensorMapBytes>;

  Status encode(const schema::Kernel &kernel, unsigned index,
                const uint64_t *args, uint8_t *to) {
    const schema::TensorMap &map = *kernel.tensor_maps()->Get(index);
    TensorMapRequest request;
    request.address = args[map.slot()];
    request.dtype = map.dtype();
    request.rank = map.dims()->size();
    for (unsigned d = 0; d < request.rank; ++d) {
      const schema::TensorMapDim &dim = *map.dims()->Get(d);
      request.extents[d] = dim.extent() ? dim.extent() : args[dim.slot()];
      if (d)
        request.strides[d - 1] = dim.stride_bytes();
      request.box[d] = map.box()->Get(d);
    }
    request.swizzleBytes = map.swizzle();
    auto [known, isNew] = encoded.try_emplace(request);
    if (isNew)
      if (Status status = context.encode(request, known->second.data());
          !status.ok())
        return error(status.code(), "tensor map {} of kernel '{}': {}", index,
                     kernel.name()->string_view(), status.message());
    std::memcpy(to, known->second.data(), kTensorMapBytes);
    return {};
  }

  const schema::Artifact &artifact;
  const GpuContext &context;
  std::map<TensorMapRequest, MapBytes> encoded;
};

} // namespace

StatusOr<WorkspaceLayout> layoutWorkspace(const schema::Artifact &artifact) {
  const auto &kernels = *artifact.kernels();
  std::vector<uint64_t> bytes(kernels.size(), 0);
  for (const schema::Function *function : *artifact.functions())
    for (const schema::Command *command : *function->commands()) {
      if (command->kind() != schema::CommandKind::launch)
        continue;
      const schema::Kernel &kernel = *kernels.Get(command->kernel());
      // Verified: no overflow.
      bytes[command->kernel()] =
          std::max(bytes[command->kernel()],
                   kernel.workspace_fixed() +
                       kernel.workspace_per_item() * command->items());
    }
  WorkspaceLayout layout;
  for (uint64_t size : bytes) {
    layout.offsets.push_back(layout.bytes);
    std::optional<uint64_t> end = checkedAdd(layout.bytes, size);
    end = end ? checkedAlignUp(*end, 256) : end;
    if (!end)
      return error(4005, "the workspaces of the kernels exceed 2^64 bytes; "
                         "compile the model again");
    layout.bytes = *end;
  }
  return layout;
}

std::vector<uint32_t> parameterOffsets(const schema::Kernel &kernel) {
  std::vector<uint32_t> offsets;
  uint32_t at = 0;
  for (uint32_t i = 0; i < kernel.num_args() + hasWorkspace(kernel); ++i) {
    offsets.push_back(at);
    at += 8;
  }
  at = (at + kTensorMapAlign - 1) / kTensorMapAlign * kTensorMapAlign;
  for (unsigned i = 0; i < numTensorMaps(kernel); ++i) {
    offsets.push_back(at);
    at += kTensorMapBytes;
  }
  return offsets;
}

StatusOr<GpuProgram> flattenForGpu(const schema::Artifact &artifact,
                                   const LaunchList &list,
                                   const GpuContext &context) {
  GpuFlattener flattener(artifact, context);
  for (const Launch &launch : list.launches)
    HADAL_RETURN_IF_ERROR(
        flattener.add(launch, list.args.data() + launch.firstArg));
  return std::move(flattener.program);
}

} // namespace hadal
