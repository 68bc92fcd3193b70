#include "compiler/driver/Sm90Code.h"

#include "compiler/artifact/FileWriter.h"
#include "compiler/codegen/nvptx/EmitPtx.h"
#include "compiler/codegen/nvptx/Sm90/IR/Sm90Dialect.h"
#include "dialects/Exec/IR/Exec.h"
#include "frontend/Error.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/Path.h"

using namespace mlir;

namespace hadal {

llvm::Error checkSm90aModel(const ModelConfig &config) {
  // wgmma of bf16 contracts 16 at a time, and two of these are contracted by
  // absorb_q and absorb_v; its results are 8 columns wide at least. The absorbed
  // query and output are also seen as rows of heads, which a bulk copy must be
  // able to start at: 16 bytes, 8 elements of bf16.
  const struct {
    const char *name;
    int64_t width, multiple;
  } sizes[] = {{"kv_lora_rank", config.kvLoraRank, 16},
               {"qk_nope_head_dim", config.nope, 16},
               {"qk_rope_head_dim", config.rope, 8},
               {"v_head_dim", config.value, 8}};
  for (const auto &size : sizes)
    if (size.width % size.multiple)
      return makeError(3004,
                       "--target=sm_90a needs {0} to be a multiple of {1}, "
                       "found {2}; use --target=cpu",
                       size.name, size.multiple, size.width);
  return llvm::Error::success();
}

/// |kernel| alone in a module, lowered to sm90; null where it does not lower.
static OwningOpRef<ModuleOp> lowerAlone(tile::KernelOp kernel,
                                        const nvptx::Chip &chip) {
  OwningOpRef<ModuleOp> lowered = ModuleOp::create(kernel.getLoc());
  lowered->getBody()->push_back(kernel->clone());
  PassManager manager(kernel.getContext());
  manager.addPass(nvptx::createLowerTileToSm90Pass(chip));
  if (failed(manager.run(*lowered)))
    return {};
  return lowered;
}

uint64_t workspaceBytes(
    ModuleOp module,
    llvm::function_ref<KernelWorkspace(llvm::StringRef)> workspaceOf) {
  llvm::MapVector<StringRef, uint64_t> byKernel; // of its largest launch
  module.walk([&](exec::LaunchOp launch) {
    KernelWorkspace workspace = workspaceOf(launch.getKernel());
    uint64_t &bytes = byKernel[launch.getKernel()];
    bytes = std::max(bytes, workspace.perItem * launch.getItems() +
                                workspace.fixed);
  });
  uint64_t total = 0;
  for (auto [kernel, bytes] : byKernel)
    total += llvm::alignTo(bytes, 256);
  return total;
}

uint64_t planSm90aWorkspace(ModuleOp module, const nvptx::Chip &chip) {
  ScopedDiagnosticHandler silence(module.getContext(),
                                  [](Diagnostic &) { return success(); });
  llvm::StringMap<KernelWorkspace> workspaces;
  for (auto kernel : module.getOps<tile::KernelOp>()) {
    if (!kernel.getSchedule().getWords().contains("split"))
      continue;
    if (OwningOpRef<ModuleOp> lowered = lowerAlone(kernel, chip))
      for (auto target : lowered->getOps<sm90::KernelOp>())
        workspaces[kernel.getSymName()] = {target.getWorkspacePerItem(),
                                           target.getWorkspaceFixed()};
  }
  return workspaceBytes(module, [&](StringRef kernel) {
    return workspaces.lookup(kernel);
  });
}

llvm::Error dumpSm90a(ModuleOp module, const nvptx::Chip &chip,
                      const nvptx::Sm90Module &compiled,
                      llvm::StringRef directory) {
  if (std::error_code ec = llvm::sys::fs::create_directories(directory))
    return makeError(4006, "{0}: cannot create the directory: {1}", directory,
                     ec.message());
  auto write = [&](const Twine &name, StringRef text) {
    llvm::SmallString<128> file(directory);
    llvm::sys::path::append(file, name);
    return writeOutput(
        file, ArrayRef(reinterpret_cast<const uint8_t *>(text.data()),
                       text.size()));
  };
  // What fails here fails in the compilation too, which reports it.
  ScopedDiagnosticHandler silence(module.getContext(),
                                  [](Diagnostic &) { return success(); });
  for (auto kernel : module.getOps<tile::KernelOp>()) {
    OwningOpRef<ModuleOp> lowered = lowerAlone(kernel, chip);
    if (!lowered)
      continue;
    std::string text;
    llvm::raw_string_ostream(text) << *lowered << "\n";
    if (llvm::Error e = write(kernel.getSymName() + ".sm90.mlir", text))
      return e;
  }
  for (const nvptx::CompiledKernel &kernel : compiled.kernels)
    if (llvm::Error e = write(kernel.kernel.name + ".ptx", kernel.kernel.ptx))
      return e;
  return llvm::Error::success();
}

static DeviceTensorMap describe(const nvptx::TensorMapInfo &info) {
  using DataType = nvptx::TensorMapInfo::DataType;
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
  for (const nvptx::TensorMapDim &dim : info.dims) {
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
describe(const std::optional<nvptx::PtxasFacts> &facts) {
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

TargetCode describeSm90a(const nvptx::Sm90Module &kernels,
                         const std::optional<nvptx::Ptxas> &ptxas) {
  TargetCode code;
  if (ptxas)
    code.ptxas = ptxas->version;
  for (const nvptx::CompiledKernel &compiled : kernels.kernels) {
    const nvptx::Sm90Kernel &kernel = compiled.kernel;
    DeviceKernel device;
    device.threads = kernel.threads;
    device.ctasPerItem = kernel.ctasPerItem;
    device.sharedBytes = kernel.sharedBytes;
    device.persistent = kernel.persistent;
    device.workspaceFixed = kernel.workspaceFixed;
    device.workspacePerItem = kernel.workspacePerItem;
    for (const nvptx::TensorMapInfo &map : kernel.tensorMaps)
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

} // namespace hadal
