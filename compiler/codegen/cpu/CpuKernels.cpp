#include "compiler/codegen/cpu/CpuKernels.h"

#include "compiler/codegen/cpu/Contractions.h"
#include "compiler/codegen/cpu/Image.h"
#include "llvm/Support/ThreadPool.h"
#include "mlir/Pass/PassManager.h"

using namespace mlir;

namespace hadal::cpu {
namespace {

/// Kernels per object: enough that the cost of a pass pipeline is shared, few
/// enough that objects balance over threads. Never a function of the threads,
/// since it shapes the bytes.
constexpr size_t kKernelsPerChunk = 4;

/// A unit of code generation: some kernels, or the forms of one variant.
struct Chunk {
  std::string bitcode;
  std::vector<std::string> kernels;
  bool scheduled = false;
};

/// Appends a copy of |original| to |module|, lowered to loops and calls of
/// forms, which join |forms|.
FailureOr<CpuKernel> lowerToLoops(tile::KernelOp original, ModuleOp module,
                                  std::set<FormKey> &forms) {
  auto kernel = cast<tile::KernelOp>(original->clone());
  module.getBody()->push_back(kernel);
  CpuKernel result;
  result.name = kernel.getSymName().str();
  result.numArgs = kernel.getNumSlots();
  FailureOr<ContractionSchedule> schedule = readSchedule(kernel);
  if (failed(schedule))
    return failure();
  ContractionLowering contractions(kernel, *schedule);
  TileToLoopsOptions lowering;
  lowering.hooks = contractions.hooks();
  FailureOr<func::FuncOp> func = lowerTileKernelToLoops(kernel, lowering);
  if (failed(func) && contractions.refused())
    return failure();
  if (failed(func))
    return original.emitError("H3002: kernel ")
           << result.name << " does not lower to loops";
  forms.insert(contractions.forms().begin(), contractions.forms().end());
  result.scratchBytes =
      (*func)->getAttrOfType<IntegerAttr>("hadal.scratch_bytes").getInt();
  return result;
}

void loadLoopDialects(MLIRContext *context) {
  context->loadDialect<func::FuncDialect, LLVM::LLVMDialect, scf::SCFDialect,
                       arith::ArithDialect>();
}

/// Lowers some kernels to bitcode, and says what they need.
class ChunkLowering {
public:
  ChunkLowering(CpuKernels &out, std::set<FormKey> &forms)
      : out(out), forms(forms) {}

  FailureOr<Chunk> run(SmallVector<tile::KernelOp> kernels) {
    MLIRContext *context = kernels[0].getContext();
    loadLoopDialects(context);
    OwningOpRef<ModuleOp> module = ModuleOp::create(kernels[0].getLoc());
    Chunk chunk;
    for (tile::KernelOp kernel : kernels) {
      chunk.kernels.push_back(kernel.getSymName().str());
      if (failed(lowerKernel(kernel, *module)))
        return failure();
    }
    PassManager manager(context);
    buildTileToLLVMDialectPipeline(manager);
    if (failed(manager.run(*module)))
      return module->emitError("H3002: kernels do not lower to LLVM");
    FailureOr<std::string> bitcode = emitBitcode(*module);
    if (failed(bitcode))
      return failure();
    chunk.bitcode = std::move(*bitcode);
    return chunk;
  }

private:
  LogicalResult lowerKernel(tile::KernelOp original, ModuleOp module) {
    FailureOr<CpuKernel> kernel = lowerToLoops(original, module, forms);
    if (failed(kernel))
      return failure();
    out.kernels.push_back(std::move(*kernel));
    return success();
  }

  CpuKernels &out;
  std::set<FormKey> &forms;
};

FailureOr<Chunk> lowerFormChunk(ModuleOp tileModule,
                                const std::set<FormKey> &forms,
                                Variant variant) {
  OwningOpRef<ModuleOp> module = ModuleOp::create(tileModule.getLoc());
  std::vector<FormKey> keys(forms.begin(), forms.end());
  emitForms(*module, keys, variant);
  if (failed(lowerForms(*module)))
    return module->emitError("H3002: the dot forms do not lower to LLVM");
  FailureOr<std::string> bitcode = emitBitcode(*module);
  if (failed(bitcode))
    return failure();
  Chunk chunk;
  chunk.bitcode = std::move(*bitcode);
  chunk.scheduled = true;
  return chunk;
}

} // namespace

FailureOr<uint64_t> planCpuScratch(ModuleOp tileModule) {
  loadLoopDialects(tileModule.getContext());
  uint64_t most = 0;
  std::set<FormKey> forms;
  for (auto kernel : tileModule.getOps<tile::KernelOp>()) {
    OwningOpRef<ModuleOp> module = ModuleOp::create(kernel.getLoc());
    FailureOr<CpuKernel> lowered = lowerToLoops(kernel, *module, forms);
    if (failed(lowered))
      return failure();
    most = std::max(most, lowered->scratchBytes);
  }
  return most;
}

LogicalResult compileCpuKernels(ModuleOp tileModule, const CpuOptions &options,
                                CpuKernels &out) {
  out = {};
  SmallVector<tile::KernelOp> kernels(tileModule.getOps<tile::KernelOp>());
  std::set<FormKey> forms;
  std::vector<Chunk> chunks;
  ChunkLowering lowering(out, forms);
  for (size_t i = 0; i < kernels.size(); i += kKernelsPerChunk) {
    ArrayRef<tile::KernelOp> rest = ArrayRef(kernels).drop_front(i);
    FailureOr<Chunk> chunk = lowering.run(
        llvm::to_vector(rest.take_front(kKernelsPerChunk)));
    if (failed(chunk))
      return failure();
    chunks.push_back(std::move(*chunk));
  }

  // Every variant compiles the same chunks, and its own forms.
  struct Task {
    const Chunk *chunk;
    Variant variant;
    llvm::Expected<ObjectBytes> object = ObjectBytes();
  };
  std::vector<Chunk> formChunks;
  if (!forms.empty())
    for (Variant variant : options.variants) {
      FailureOr<Chunk> chunk = lowerFormChunk(tileModule, forms, variant);
      if (failed(chunk))
        return failure();
      formChunks.push_back(std::move(*chunk));
    }
  std::vector<Task> tasks;
  for (auto [i, variant] : llvm::enumerate(options.variants)) {
    if (!formChunks.empty())
      tasks.push_back({&formChunks[i], variant});
    for (const Chunk &chunk : chunks)
      tasks.push_back({&chunk, variant});
  }
  {
    llvm::StdThreadPool pool(llvm::hardware_concurrency(options.threads));
    for (Task &task : tasks)
      pool.async([&task] {
        task.object = compileObject(task.chunk->bitcode, task.variant,
                                    task.chunk->scheduled);
      });
    pool.wait();
  }

  LogicalResult result = success();
  std::vector<ObjectBytes> objects;
  for (Task &task : tasks) {
    if (!task.object) {
      result = tileModule.emitError(llvm::toString(task.object.takeError()))
               << " (kernels " << llvm::join(task.chunk->kernels, ", ") << ")";
      continue;
    }
    objects.push_back(std::move(*task.object));
  }
  if (failed(result))
    return failure();
  std::vector<std::string> names;
  for (const CpuKernel &kernel : out.kernels)
    names.push_back(kernel.name);
  size_t perVariant = tasks.size() / std::max<size_t>(1, options.variants.size());
  for (auto [i, variant] : llvm::enumerate(options.variants)) {
    llvm::Expected<CpuImage> image =
        linkImage(ArrayRef(objects).slice(i * perVariant, perVariant), names,
                  variant);
    if (!image)
      return tileModule.emitError(llvm::toString(image.takeError()));
    out.images.push_back(std::move(*image));
  }
  return success();
}

} // namespace hadal::cpu
