#include "compiler/codegen/nvptx/Sm90aTarget.h"

#include "compiler/artifact/FileWriter.h"
#include "compiler/codegen/ReportedError.h"
#include "compiler/codegen/nvptx/DescribeKernels.h"
#include "compiler/codegen/nvptx/Passes.h"
#include "compiler/codegen/nvptx/attention/KernelLowering.h"
#include "cost/Cluster.h"
#include "frontend/Error.h"
#include "mlir/Pass/PassManager.h"
#include "cost/Chip.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/Path.h"

using namespace mlir;

namespace hadal::nvptx {

static CompileOptions defaults() {
  CompileOptions options;
  options.target = "sm_90a";
  options.chip = allChips().front().name;
  options.prefillBuckets = {64, 512, 4096};
  return options;
}

static llvm::Error resolveOptions(CompileOptions &options) {
  if (!findChip(options.chip)) {
    std::string known;
    for (const Chip &chip : allChips())
      known += (known.empty() ? "" : ", ") + std::string(chip.name);
    return makeError(3004, "--chip={0} is unknown; known: {1}", options.chip,
                     known);
  }
  auto refuse = [](StringRef option, StringRef why) {
    return makeError(3004, "{0} is not supported by --target=sm_90a: {1}",
                     option, why);
  };
  if (options.f32Activations)
    return refuse("--activations=f32",
                  "its tensor cores multiply bf16 and FP8; use "
                  "--activations=bf16, or --target=cpu");
  if (options.w8a16)
    return refuse("--fp8=w8a16", "its tensor cores multiply FP8 by FP8; use "
                                 "--fp8=w8a8, or --target=cpu");
  if (options.deterministic)
    return refuse("--deterministic",
                  "the bits of its kernels follow from the bucket; leave the "
                  "option out, or use --target=cpu");
  // Nothing else is known of its links.
  if (options.ranks() > 1 && options.overlap != OverlapChoice::Off &&
      options.cluster.empty())
    options.cluster = cost::h100WithNccl();
  return llvm::Error::success();
}

static llvm::Error checkModel(const ModelConfig &config, const Checkpoint *,
                              const CompileOptions &options) {
  // Their products would take the codes as operands in registers.
  if (config.weights == WeightFormat::INT4)
    return makeError(3010,
                     "--target=sm_90a reads no int4 weights, as "
                     "'quantization_config' says these are; use --target=cpu");
  // wgmma of bf16 contracts 16 at a time, and two of these are contracted by
  // absorb_q and absorb_v; its results are 8 columns wide at least. The
  // absorbed query and output are also seen as rows of heads, which a bulk copy
  // must be able to start at: 16 bytes, 8 elements of bf16.
  const struct {
    const char *name;
    int64_t width, multiple;
  } sizes[] = {{"kv_lora_rank", config.kvLoraRank, 16},
               {"qk_nope_head_dim", config.nope, 16},
               {"qk_rope_head_dim", config.rope, 8},
               {"v_head_dim", config.value, 8}};
  for (const auto &size : sizes)
    if (size.width % size.multiple)
      return makeError(3010,
                       "--target=sm_90a needs {0} to be a multiple of {1}, "
                       "found {2}; use --target=cpu",
                       size.name, size.multiple, size.width);
  if (config.kvLoraRank > kLatentColumns)
    return makeError(3010,
                     "--target=sm_90a holds a kv_lora_rank of at most {0} in "
                     "registers, found {1}; use --target=cpu",
                     kLatentColumns, config.kvLoraRank);
  if (config.kvLoraRank + config.rope > kCacheRow ||
      config.rope > kRotaryColumns)
    return makeError(3010,
                     "--target=sm_90a holds rows of at most {0} elements of "
                     "the latent cache and {1} rotary ones in shared memory, "
                     "found {2} and {3}; use --target=cpu",
                     kCacheRow, kRotaryColumns, config.kvLoraRank + config.rope,
                     config.rope);
  // A rotated head is one tile: of FP8 products, a thread holds the sums beside
  // what it promotes, unless two warpgroups share whole blocks of 64 columns
  // (swapsByRule), of which a tile has four at most.
  int64_t head = config.nope + config.rope;
  if (config.weights == WeightFormat::FP8 && head > kScaledHeadColumns &&
      head != 256)
    return makeError(3010,
                     "--target=sm_90a holds FP8 products of heads of at most "
                     "{0} columns in registers, or of 256, this "
                     "model's have {1} and {2}; use --target=cpu",
                     kScaledHeadColumns, config.nope, config.rope);
  int64_t widest = std::max<int64_t>(config.nope, config.value);
  if (options.attention == AttentionChoice::Expanded &&
      widest > kPrefillHeadColumns)
    return makeError(3010,
                     "--attention=expanded on --target=sm_90a holds heads of "
                     "at most {0} columns in registers, this model's have {1} "
                     "and {2}; use --attention=auto, or --target=cpu",
                     kPrefillHeadColumns, config.nope, config.value);
  return llvm::Error::success();
}

static void choosePasses(const CompileOptions &options, TargetPasses &passes) {
  passes.attention.queryTile = kPrefillQueryTile;
  passes.attention.headColumns = kPrefillHeadColumns;
  passes.dequantizeWkvB = true;
  passes.lower.target = passes.schedules.target = "sm_90a";
  passes.lower.chip = passes.schedules.chip = options.chip;
}

static LogicalResult plan(ModuleOp module, const CompileOptions &options,
                          MemoryByKernel &memory) {
  const Chip &chip = *findChip(options.chip);
  for (auto kernel : module.getOps<tile::KernelOp>()) {
    FailureOr<KernelWorkspace> workspace = planWorkspace(kernel, chip);
    if (failed(workspace))
      return failure();
    memory[kernel.getSymName()] = {0, workspace->fixed, workspace->perItem};
  }
  return success();
}

/// |kernel| alone in a module, lowered to sm90; null where it does not lower.
static OwningOpRef<ModuleOp> lowerAlone(tile::KernelOp kernel,
                                        const Chip &chip) {
  OwningOpRef<ModuleOp> lowered = ModuleOp::create(kernel.getLoc());
  lowered->getBody()->push_back(kernel->clone());
  PassManager manager(kernel.getContext());
  LowerTileToSm90Options options;
  options.chip = std::string(chip.name);
  manager.addPass(createLowerTileToSm90(options));
  if (failed(manager.run(*lowered)))
    return {};
  return lowered;
}

llvm::Error dumpKernels(ModuleOp module, const Chip &chip,
                        const Sm90Module &compiled, StringRef directory) {
  if (std::error_code ec = llvm::sys::fs::create_directories(directory))
    return makeError(4006, "{0}: cannot create the directory: {1}", directory,
                     ec.message());
  auto write = [&](const Twine &name, StringRef text) {
    llvm::SmallString<128> file(directory);
    llvm::sys::path::append(file, name);
    return writeOutput(
        file,
        ArrayRef(reinterpret_cast<const uint8_t *>(text.data()), text.size()));
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
  for (const CompiledKernel &kernel : compiled.kernels)
    if (llvm::Error e = write(kernel.kernel.name + ".ptx", kernel.kernel.ptx))
      return e;
  return llvm::Error::success();
}

namespace {

class Sm90aGenerator : public CodeGenerator {
public:
  Sm90aGenerator(Sm90Options options, const CodegenRequest &request)
      : options(std::move(options)), request(request) {}

  LogicalResult run(ModuleOp module, TargetCode &code,
                    raw_ostream &log) override {
    Sm90Module kernels;
    LogicalResult compiled = compileSm90Kernels(
        module, module.getContext()->getDialectRegistry(), options, kernels);
    // Also of kernels that fail: their sm90 form is what one wants to see then.
    if (!request.dumpDirectory.empty())
      if (llvm::Error error = dumpKernels(module, *options.chip, kernels,
                                          request.dumpDirectory))
        return emitReported(module, takeError(std::move(error)));
    if (failed(compiled))
      return failure();
    reportKernelCache(options.cache, kernels.cached, kernels.kernels.size(),
                      kernels.cacheProblem, log);
    if (!options.ptxas)
      log << "hadal-compile: ptxas was not "
          << (request.ptxas == "none" ? "used (--ptxas=none)" : "found")
          << ": the artifact holds PTX only, which the CUDA driver assembles "
             "at load\n";
    code = describeKernels(kernels, options.ptxas);
    return success();
  }

private:
  Sm90Options options;
  CodegenRequest request;
};

} // namespace

static llvm::Expected<std::unique_ptr<CodeGenerator>>
prepare(const CompileOptions &options, const CodegenRequest &request) {
  auto ptxas = findPtxas(request.ptxas);
  if (!ptxas)
    return ptxas.takeError();
  Sm90Options targetOptions;
  targetOptions.chip = findChip(options.chip);
  targetOptions.threads = request.threads;
  targetOptions.ptxas = std::move(*ptxas);
  targetOptions.cache = openKernelCache(request.kernelCache);
  return std::make_unique<Sm90aGenerator>(std::move(targetOptions), request);
}

const TargetInfo &sm90aTarget() {
  static const TargetInfo target = {"sm_90a",
                                    "NVIDIA Hopper",
                                    {"--chip", "--ptxas"},
                                    /*roundsF32Matrices=*/true,
                                    defaults,
                                    resolveOptions,
                                    checkModel,
                                    choosePasses,
                                    plan,
                                    prepare};
  return target;
}

} // namespace hadal::nvptx
