#include "compiler/codegen/nvptx/DescribeKernels.h"

namespace hadal::nvptx {

static DeviceTensorMap describe(const TensorMapInfo &info) {
  using DataType = TensorMapInfo::DataType;
  DeviceTensorMap map;
  map.slot = info.slot;
  switch (info.dataType) {
  case DataType::u8:
    map.dtype = schema::DType::u8;
    break;
  case DataType::bf16:
    map.dtype = schema::DType::bf16;
    break;
  case DataType::f32:
    map.dtype = schema::DType::f32;
    break;
  case DataType::i32:
    map.dtype = schema::DType::i32;
    break;
  }
  for (const TensorMapDim &dim : info.dims) {
    DeviceTensorMapDim out;
    out.strideBytes = dim.strideBytes;
    out.box = dim.box;
    if (dim.extent < 0)
      out.slot = dim.extentSlot;
    else
      out.extent = dim.extent;
    map.dims.push_back(out);
  }
  map.swizzle = info.swizzle;
  return map;
}

static std::vector<std::pair<std::string, std::string>>
describe(const std::optional<PtxasFacts> &facts) {
  if (!facts)
    return {{"ptxas", "none"}};
  std::string advice;
  for (const std::string &line : facts->advice)
    advice += (advice.empty() ? "" : "; ") + line;
  auto text = [](uint64_t number) { return std::to_string(number); };
  return {{"registers", text(facts->registers)},
          {"spills", text(facts->spillStoreBytes + facts->spillLoadBytes)},
          {"stack", text(facts->stackBytes)},
          {"static_shared", text(facts->sharedBytes)},
          {"barriers", text(facts->barriers)},
          {"advice", advice.empty() ? "none" : advice}};
}

TargetCode describeKernels(const Sm90Module &kernels,
                           const std::optional<Ptxas> &ptxas) {
  TargetCode code;
  if (ptxas)
    code.ptxas = ptxas->version;
  for (const CompiledKernel &compiled : kernels.kernels) {
    const Sm90Kernel &kernel = compiled.kernel;
    DeviceKernel device;
    device.threads = kernel.threads;
    device.ctasPerItem = kernel.ctasPerItem;
    device.sharedBytes = kernel.sharedBytes;
    device.persistent = kernel.persistent;
    device.workspaceFixed = kernel.workspaceFixed;
    device.workspacePerItem = kernel.workspacePerItem;
    for (const TensorMapInfo &map : kernel.tensorMaps)
      device.tensorMaps.push_back(describe(map));
    device.ptx = kernel.ptx;
    device.cubin = compiled.cubin;
    code.kernels.push_back(
        {kernel.name, 0, describe(compiled.facts), std::move(device)});
    // "8.3": 83.
    auto [major, minor] = llvm::StringRef(kernel.ptxIsa).split('.');
    unsigned majorNumber = 0, minorNumber = 0;
    major.getAsInteger(10, majorNumber);
    minor.getAsInteger(10, minorNumber);
    code.ptxIsa = std::max(code.ptxIsa, majorNumber * 10 + minorNumber);
    code.driverMinimum = std::max(code.driverMinimum, kernel.driverMinimum);
  }
  return code;
}

} // namespace hadal::nvptx
