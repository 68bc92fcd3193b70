#include "compiler/codegen/cpu/CpuKernels.h"

#include <atomic>
#include <mutex>

#include "compiler/codegen/KernelText.h"
#include "compiler/codegen/ReportedError.h"
#include "compiler/codegen/cpu/CompiledChunk.h"
#include "compiler/codegen/cpu/Contractions.h"
#include "compiler/codegen/cpu/Image.h"
#include "dialects/Diagnostics.h"
#include "mlir/Parser/Parser.h"
#include "mlir/Pass/PassManager.h"
#include "llvm/Support/ThreadPool.h"

using namespace mlir;

namespace hadal::cpu {
namespace {

/// Kernels per object: enough that the cost of a pass pipeline is shared, few
/// enough that objects balance over threads. Never a function of the threads,
/// since it shapes the bytes.
constexpr size_t kKernelsPerChunk = 4;

/// The dialects of kernels and of what they are lowered to.
DialectRegistry makeRegistry() {
  DialectRegistry registry;
  registry.insert<tile::TileDialect, arith::ArithDialect, math::MathDialect,
                  scf::SCFDialect, func::FuncDialect, LLVM::LLVMDialect>();
  return registry;
}

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
    return emitCodedError(original, 3002)
           << "kernel " << result.name << " does not lower to loops";
  forms.insert(contractions.forms().begin(), contractions.forms().end());
  result.scratchBytes =
      (*func)->getAttrOfType<IntegerAttr>("hadal.scratch_bytes").getInt();
  return result;
}

/// Some kernels of the program on their way to one object per variant.
struct ChunkJob {
  SmallVector<tile::KernelOp> kernels;
  /// Each kernel as text, which it is compiled from, and all of them, which
  /// they are found by.
  std::vector<std::string> texts;
  std::string text;
  /// By variant, as the options list them; the others are to be compiled.
  std::vector<std::optional<CompiledChunk>> done;
  /// What is lowered for those: no object, and its bitcode.
  CompiledChunk lowered;
  std::string bitcode;
  std::vector<ReportedError> errors;

  bool isCached() const {
    return llvm::all_of(done, [](const auto &chunk) { return chunk; });
  }
  const CompiledChunk &facts() const {
    return isCached() && !done.empty() ? *done.front() : lowered;
  }
};

/// One thread's compiler. Its own context: nothing that kernels uniquify is
/// shared, and it is freed with the thread.
class Worker {
public:
  Worker() : context(makeRegistry(), MLIRContext::Threading::DISABLED) {
    context.loadAllAvailableDialects();
    context.printOpOnDiagnostic(false);
  }

  /// Fills |job|'s bitcode and what its kernels need, or its errors.
  void run(ChunkJob &job) {
    ErrorCollector collector(&context, job.errors);
    if (failed(lower(job)) && job.errors.empty())
      job.errors.push_back({3002, "code generation failed without a message"});
  }

private:
  LogicalResult lower(ChunkJob &job) {
    OwningOpRef<ModuleOp> module = ModuleOp::create(UnknownLoc::get(&context));
    std::set<FormKey> forms;
    for (const std::string &text : job.texts) {
      OwningOpRef<ModuleOp> source =
          parseSourceString<ModuleOp>(text, &context);
      if (!source)
        return failure();
      FailureOr<CpuKernel> lowered = lowerToLoops(
          *source->getOps<tile::KernelOp>().begin(), *module, forms);
      if (failed(lowered))
        return failure();
      job.lowered.kernels.push_back(std::move(*lowered));
    }
    job.lowered.forms.assign(forms.begin(), forms.end());
    PassManager manager(&context);
    buildTileToLLVMDialectPipeline(manager);
    if (failed(manager.run(*module)))
      return emitCodedError(*module, 3002) << "kernels do not lower to LLVM";
    FailureOr<std::string> bitcode = emitBitcode(*module);
    if (failed(bitcode))
      return failure();
    job.bitcode = std::move(*bitcode);
    return success();
  }

  MLIRContext context;
};

/// The work of compileCpuKernels.
class Compilation {
public:
  Compilation(ModuleOp module, const CpuOptions &options, CpuKernels &out)
      : module(module), options(options), out(out),
        strategy(llvm::hardware_concurrency(options.threads)) {}

  LogicalResult run() {
    split();
    lowerChunks();
    if (failed(report()))
      return failure();
    std::set<FormKey> keys;
    for (const ChunkJob &job : jobs)
      keys.insert(job.facts().forms.begin(), job.facts().forms.end());
    forms.assign(keys.begin(), keys.end());
    compileObjects();
    if (failed(report()) || failed(link()))
      return failure();
    if (stored)
      options.cache.prune();
    return success();
  }

private:
  void split() {
    SmallVector<tile::KernelOp> kernels(module.getOps<tile::KernelOp>());
    for (size_t i = 0; i < kernels.size(); i += kKernelsPerChunk) {
      ChunkJob &job = jobs.emplace_back();
      job.kernels = llvm::to_vector(
          ArrayRef(kernels).drop_front(i).take_front(kKernelsPerChunk));
      for (tile::KernelOp kernel : job.kernels) {
        job.texts.push_back(printKernel(kernel));
        job.text += job.texts.back() + "\n";
      }
      job.done.resize(options.variants.size());
    }
  }

  /// Finds in the cache what is there and lowers the chunks that are not there
  /// for every variant. Jobs are taken in order by whichever worker is free;
  /// each writes only its own, so nothing depends on the assignment.
  void lowerChunks() {
    unsigned workers = std::min<size_t>(strategy.compute_thread_count(),
                                        std::max<size_t>(jobs.size(), 1));
    llvm::StdThreadPool pool(strategy);
    std::atomic<size_t> next = 0;
    for (unsigned i = 0; i < workers; ++i)
      pool.async([&] {
        std::optional<Worker> worker;
        for (size_t j = next++; j < jobs.size(); j = next++) {
          for (auto [v, variant] : llvm::enumerate(options.variants))
            jobs[j].done[v] = findChunk(keyOfChunk(jobs[j].text, variant));
          if (jobs[j].isCached())
            continue;
          if (!worker)
            worker.emplace();
          worker->run(jobs[j]);
        }
      });
    pool.wait();
    for (const ChunkJob &job : jobs)
      if (job.isCached())
        out.cached += job.kernels.size();
  }

  /// Compiles what the cache did not have: of every variant its forms first,
  /// which take longest, then the chunks.
  void compileObjects() {
    formObjects.resize(options.variants.size());
    llvm::StdThreadPool pool(strategy);
    if (!forms.empty())
      for (auto [v, variant] : llvm::enumerate(options.variants))
        pool.async([this, v, variant] { compileForms(v, variant); });
    for (auto [v, variant] : llvm::enumerate(options.variants))
      for (ChunkJob &job : jobs)
        if (!job.done[v])
          pool.async([this, &job, v, variant] { compile(job, v, variant); });
    pool.wait();
  }

  void compile(ChunkJob &job, size_t v, Variant variant) {
    llvm::Expected<std::string> object = compileObject(job.bitcode, variant);
    std::lock_guard<std::mutex> lock(mutex);
    if (!object) {
      job.errors.push_back(takeError(object.takeError()));
      return;
    }
    job.done[v] = job.lowered;
    job.done[v]->object = std::move(*object);
    keep(keyOfChunk(job.text, variant), *job.done[v]);
  }

  void compileForms(size_t v, Variant variant) {
    KernelKey key = keyOfForms(forms, variant);
    if (std::optional<CompiledChunk> chunk = findChunk(key)) {
      formObjects[v] = std::move(chunk->object);
      return;
    }
    std::vector<ReportedError> errors;
    FailureOr<std::string> object = emitFormObject(variant, errors);
    std::lock_guard<std::mutex> lock(mutex);
    llvm::append_range(formErrors, errors);
    if (failed(object))
      return;
    CompiledChunk chunk;
    chunk.object = std::move(*object);
    keep(key, chunk);
    formObjects[v] = std::move(chunk.object);
  }

  FailureOr<std::string> emitFormObject(Variant variant,
                                        std::vector<ReportedError> &errors) {
    MLIRContext context(makeRegistry(), MLIRContext::Threading::DISABLED);
    context.loadAllAvailableDialects();
    ErrorCollector collector(&context, errors);
    OwningOpRef<ModuleOp> source = ModuleOp::create(UnknownLoc::get(&context));
    emitForms(*source, forms, variant);
    if (failed(lowerForms(*source)))
      return emitCodedError(*source, 3002)
             << "the dot forms do not lower to LLVM";
    FailureOr<std::string> bitcode = emitBitcode(*source);
    if (failed(bitcode))
      return failure();
    llvm::Expected<std::string> object =
        compileObject(*bitcode, variant, /*scheduled=*/true);
    if (!object)
      return emitReported(*source, takeError(object.takeError()));
    return std::move(*object);
  }

  std::optional<CompiledChunk> findChunk(const KernelKey &key) {
    std::optional<std::string> content = options.cache.find(key);
    if (!content)
      return std::nullopt;
    std::optional<CompiledChunk> chunk = decodeChunk(*content);
    if (!chunk)
      options.cache.drop(key);
    return chunk;
  }

  /// Under |mutex|.
  void keep(const KernelKey &key, const CompiledChunk &chunk) {
    if (!options.cache.enabled())
      return;
    std::string problem = options.cache.store(key, encodeChunk(chunk));
    stored |= problem.empty();
    if (out.cacheProblem.empty())
      out.cacheProblem = problem;
  }

  /// Reports the errors so far, each at the first kernel of its chunk.
  LogicalResult report() {
    LogicalResult result = success();
    for (ChunkJob &job : jobs) {
      SmallVector<StringRef> names;
      for (tile::KernelOp kernel : job.kernels)
        names.push_back(kernel.getSymName());
      for (const ReportedError &error : job.errors)
        result = emitReported(job.kernels.front(), error)
                 << " (kernels " << llvm::join(names, ", ") << ")";
    }
    for (const ReportedError &error : formErrors)
      result = emitReported(module, error);
    return result;
  }

  /// Forms first, then the chunks in order.
  LogicalResult link() {
    std::vector<std::string> names;
    for (const ChunkJob &job : jobs)
      for (const CpuKernel &kernel : job.facts().kernels) {
        names.push_back(kernel.name);
        out.kernels.push_back(kernel);
      }
    for (auto [v, variant] : llvm::enumerate(options.variants)) {
      std::vector<StringRef> objects;
      if (!forms.empty())
        objects.push_back(formObjects[v]);
      for (const ChunkJob &job : jobs)
        objects.push_back(job.done[v]->object);
      llvm::Expected<CpuImage> image = linkImage(objects, names, variant);
      if (!image)
        return emitReported(module, takeError(image.takeError()));
      out.images.push_back(std::move(*image));
    }
    return success();
  }

  ModuleOp module;
  const CpuOptions &options;
  CpuKernels &out;
  llvm::ThreadPoolStrategy strategy;
  std::vector<ChunkJob> jobs;
  std::vector<FormKey> forms;
  std::vector<std::string> formObjects; // by variant
  std::vector<ReportedError> formErrors;
  std::mutex mutex;
  bool stored = false;
};

} // namespace

LogicalResult planCpuKernels(ModuleOp tileModule, std::vector<CpuKernel> &out) {
  MLIRContext *context = tileModule.getContext();
  context->appendDialectRegistry(makeRegistry());
  context->loadAllAvailableDialects();
  std::set<FormKey> forms;
  for (auto kernel : tileModule.getOps<tile::KernelOp>()) {
    OwningOpRef<ModuleOp> module = ModuleOp::create(kernel.getLoc());
    FailureOr<CpuKernel> lowered = lowerToLoops(kernel, *module, forms);
    if (failed(lowered))
      return failure();
    out.push_back(std::move(*lowered));
  }
  return success();
}

LogicalResult compileCpuKernels(ModuleOp tileModule, const CpuOptions &options,
                                CpuKernels &out) {
  out = {};
  return Compilation(tileModule, options, out).run();
}

} // namespace hadal::cpu
