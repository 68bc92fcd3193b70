#include "compiler/codegen/cpu/CpuTarget.h"

#include <cstdlib>

#include "compiler/codegen/cpu/CpuKernels.h"
#include "dialects/Tile/IR/TileDialect.h"
#include "frontend/Error.h"
#include "runtime/base/CpuCount.h"
#include "runtime/tune/Machine.h"
#include "llvm/ADT/StringExtras.h"

using namespace mlir;

namespace hadal::cpu {

static constexpr llvm::StringLiteral kAll = "all", kNative = "native";

static std::string namesOf(llvm::ArrayRef<Variant> variants,
                           llvm::StringRef separator) {
  return llvm::join(llvm::map_range(variants, variantName), separator);
}

/// The variants of --images |text| ("": all), in ascending order.
static llvm::Expected<std::vector<Variant>> parseImages(llvm::StringRef text) {
  if (text.empty() || text == kAll)
    return allVariants().vec();
  if (text == kNative) {
    if (std::optional<Variant> native = nativeVariant())
      return std::vector<Variant>{*native};
    const char *limit = std::getenv("HADAL_CPU_VARIANT");
    return makeError(3004,
                     "--images=native: this machine runs {0} of {1}; name "
                     "those of the machine that will run the artifact, or all",
                     limit ? "no " + std::string(limit) + " (HADAL_CPU_VARIANT)"
                           : "none",
                     namesOf(allVariants(), ", "));
  }
  std::vector<Variant> variants;
  for (llvm::StringRef name : llvm::split(text, ',')) {
    std::optional<Variant> variant = parseVariant(name);
    if (!variant)
      return makeError(2002,
                       "--images={0}: '{1}' is unknown; known: native, all, or "
                       "a list of {2}",
                       text, name, namesOf(allVariants(), ", "));
    variants.push_back(*variant);
  }
  llvm::sort(variants);
  variants.erase(llvm::unique(variants), variants.end());
  return variants;
}

static CompileOptions defaults() {
  CompileOptions options;
  options.target = "cpu";
  options.images = kAll;
  options.deterministic = true;
  return options;
}

static llvm::Error resolveOptions(CompileOptions &options) {
  auto variants = parseImages(options.images);
  if (!variants)
    return variants.takeError();
  options.images = llvm::ArrayRef(*variants) == allVariants()
                       ? kAll.str()
                       : namesOf(*variants, ",");
  return llvm::Error::success();
}

static llvm::Error checkModel(const ModelConfig &, const Checkpoint *,
                              const CompileOptions &) {
  return llvm::Error::success();
}

static void choosePasses(const CompileOptions &, TargetPasses &passes) {
  passes.lower.target = passes.schedules.target = "cpu";
}

static LogicalResult plan(ModuleOp module, const CompileOptions &,
                          MemoryByKernel &memory) {
  std::vector<CpuKernel> kernels;
  if (failed(planCpuKernels(module, kernels)))
    return failure();
  for (const CpuKernel &kernel : kernels)
    memory[kernel.name].scratch = kernel.scratchBytes;
  return success();
}

namespace {

class CpuGenerator : public CodeGenerator {
public:
  explicit CpuGenerator(CpuOptions options) : options(std::move(options)) {}

  LogicalResult run(ModuleOp module, TargetCode &code,
                    raw_ostream &log) override {
    CpuKernels kernels;
    if (failed(compileCpuKernels(module, options, kernels)))
      return failure();
    reportKernelCache(options.cache, kernels.cached, kernels.kernels.size(),
                      kernels.cacheProblem, log);
    for (CpuKernel &kernel : kernels.kernels)
      code.kernels.push_back(
          {std::move(kernel.name), kernel.scratchBytes, {}, std::nullopt});
    for (CpuImage &image : kernels.images)
      code.images.push_back({std::move(image.variant), std::move(image.bytes),
                             std::move(image.entryOffsets)});
    return success();
  }

  LogicalResult hashCode(ModuleOp module, llvm::StringRef chip,
                         std::vector<std::string> &hashes) override {
    std::optional<Variant> variant = parseVariant(
        llvm::StringRef(tune::variantOf(std::string_view(chip))));
    if (!variant)
      return module.emitError("'") << chip << "' names no image of the CPU";
    CpuOptions alone = options;
    alone.variants = {*variant};
    for (auto kernel : module.getOps<tile::KernelOp>()) {
      OwningOpRef<ModuleOp> single = ModuleOp::create(kernel.getLoc());
      single->getBody()->push_back(kernel->clone());
      CpuKernels compiled;
      if (failed(compileCpuKernels(*single, alone, compiled)))
        return failure();
      // Linked with the forms that it calls, and without a name.
      const std::vector<uint8_t> &image = compiled.images.front().bytes;
      hashes.push_back(hashOfCode(llvm::StringRef(
          reinterpret_cast<const char *>(image.data()), image.size())));
    }
    return success();
  }

private:
  CpuOptions options;
};

} // namespace

static llvm::Expected<std::unique_ptr<CodeGenerator>>
prepare(const CompileOptions &options, const CodegenRequest &request) {
  auto variants = parseImages(options.images);
  if (!variants)
    return variants.takeError();
  CpuOptions cpuOptions;
  cpuOptions.variants = std::move(*variants);
  cpuOptions.threads = request.threads;
  cpuOptions.cache = openKernelCache(request.kernelCache);
  return std::make_unique<CpuGenerator>(std::move(cpuOptions));
}

/// Of the image that this machine runs, or the best that there is for it.
static std::string tuningChip(const CompileOptions &) {
  Variant variant = nativeVariant().value_or(allVariants().front());
  return tune::describeCpu(std::string_view(variantName(variant)),
                           usableCpus());
}

const TargetInfo &cpuTarget() {
  static const TargetInfo target = {"cpu",
                                    "x86-64 processors with AVX2 and more",
                                    {"--images"},
                                    /*roundsF32Matrices=*/false,
                                    defaults,
                                    resolveOptions,
                                    checkModel,
                                    choosePasses,
                                    plan,
                                    prepare,
                                    tuningChip,
                                    tune::kPoolConditions};
  return target;
}

} // namespace hadal::cpu
