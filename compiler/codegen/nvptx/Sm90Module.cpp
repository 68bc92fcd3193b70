#include "compiler/codegen/nvptx/Sm90Module.h"

#include <atomic>

#include "compiler/codegen/KernelText.h"
#include "compiler/codegen/ReportedError.h"
#include "cost/Chip.h"
#include "frontend/Error.h"
#include "llvm/Support/ThreadPool.h"
#include "mlir/IR/Diagnostics.h"
#include "mlir/Parser/Parser.h"

using namespace mlir;

namespace hadal::nvptx {
namespace {

struct Job {
  tile::KernelOp kernel;
  /// The kernel as text: what it is compiled from and found by.
  std::string text;
  KernelKey key;
  std::optional<CompiledKernel> result;
  bool cached = false;
  std::vector<ReportedError> errors;
  std::string cacheProblem;
};

/// One thread's compiler. Its own context: nothing that kernels uniquify is
/// shared, and it is freed with the thread.
class Worker {
public:
  Worker(const DialectRegistry &registry, const Sm90Options &options)
      : options(options), context(registry, MLIRContext::Threading::DISABLED) {
    context.loadAllAvailableDialects();
    context.printOpOnDiagnostic(false);
  }

  void run(Job &job) {
    ErrorCollector collector(&context, job.errors);
    job.result = compile(job);
    if (job.result)
      job.cacheProblem =
          options.cache.store(job.key, encodeKernel(*job.result));
    else if (job.errors.empty())
      job.errors.push_back({3002, "code generation failed without a message"});
  }

private:
  std::optional<CompiledKernel> compile(Job &job) {
    OwningOpRef<ModuleOp> module =
        parseSourceString<ModuleOp>(job.text, &context);
    if (!module)
      return std::nullopt;
    auto kernel = *module->getOps<tile::KernelOp>().begin();
    FailureOr<Sm90Kernel> compiled = options.compile(kernel, *options.chip);
    if (failed(compiled))
      return std::nullopt;
    CompiledKernel result{std::move(*compiled), "", std::nullopt};
    if (!options.ptxas)
      return result;
    // It reads the PTX if it is of the driver's release or newer.
    if (options.ptxas->release < result.kernel.driverMinimum) {
      job.errors.push_back(takeError(
          makeError(3006, "{0}: ptxas {1} does not read PTX ISA {2}, "
                        "which needs {3}.{4}; --ptxas chooses another one, "
                        "--ptxas=none leaves the PTX to the driver",
                        options.ptxas->path, options.ptxas->version,
                    result.kernel.ptxIsa, result.kernel.driverMinimum / 1000,
                    result.kernel.driverMinimum % 1000 / 10)));
      return std::nullopt;
    }
    llvm::Expected<Assembly> assembly =
        assemble(*options.ptxas, result.kernel.name, result.kernel.ptx);
    if (!assembly) {
      job.errors.push_back(takeError(assembly.takeError()));
      return std::nullopt;
    }
    result.cubin = std::move(assembly->cubin);
    result.facts = std::move(assembly->facts);
    return result;
  }

  const Sm90Options &options;
  MLIRContext context;
};

/// Takes |job| from the cache if it is there.
void findCached(Job &job, const Sm90Options &options) {
  job.key = keyOf(job.text, *options.chip,
                  options.ptxas ? &*options.ptxas : nullptr);
  std::optional<std::string> content = options.cache.find(job.key);
  if (!content)
    return;
  job.result = decodeKernel(*content);
  job.cached = job.result.has_value();
  if (!job.cached)
    options.cache.drop(job.key);
}

} // namespace

LogicalResult compileSm90Kernels(ModuleOp module,
                                 const DialectRegistry &registry,
                                 const Sm90Options &options, Sm90Module &out) {
  out = {};
  std::vector<Job> jobs;
  for (auto kernel : module.getOps<tile::KernelOp>()) {
    Job &job = jobs.emplace_back();
    job.kernel = kernel;
    job.text = printKernel(kernel);
  }
  // Jobs are taken in order by whichever worker is free; each writes only its
  // own, so nothing depends on the assignment.
  {
    llvm::ThreadPoolStrategy strategy =
        llvm::hardware_concurrency(options.threads);
    unsigned workers = std::min<size_t>(strategy.compute_thread_count(),
                                        std::max<size_t>(jobs.size(), 1));
    llvm::StdThreadPool pool(strategy);
    std::atomic<size_t> next = 0;
    for (unsigned i = 0; i < workers; ++i)
      pool.async([&] {
        std::optional<Worker> worker;
        for (size_t j = next++; j < jobs.size(); j = next++) {
          findCached(jobs[j], options);
          if (jobs[j].result)
            continue;
          if (!worker)
            worker.emplace(registry, options);
          worker->run(jobs[j]);
        }
      });
    pool.wait();
  }

  LogicalResult result = success();
  bool stored = false;
  for (Job &job : jobs) {
    std::string prefix = ("kernel '" + job.kernel.getSymName() + "': ").str();
    for (const ReportedError &error : job.errors)
      // Some say it themselves.
      result = emitReported(
          job.kernel, error,
          StringRef(error.text).starts_with(prefix) ? "" : prefix);
    if (!job.result) {
      result = failure();
      continue;
    }
    out.cached += job.cached;
    stored |= !job.cached && job.cacheProblem.empty();
    if (out.cacheProblem.empty())
      out.cacheProblem = job.cacheProblem;
    out.kernels.push_back(std::move(*job.result));
  }
  if (stored)
    options.cache.prune();
  return result;
}

} // namespace hadal::nvptx
