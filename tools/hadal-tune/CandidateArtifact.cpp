#include "tools/hadal-tune/CandidateArtifact.h"

#include "dialects/Exec/IR/Exec.h"
#include "frontend/Error.h"
#include "kernels/ScheduledKernel.h"
#include "mlir/IR/SymbolTable.h"
#include "runtime/tune/CandidateName.h"

namespace hadal::tune {

namespace {

class Assembly {
public:
  Assembly(mlir::ModuleOp module, const KernelSet &set,
           const CandidateOptions &options)
      : module(module), set(set), options(options) {
    machine = {set.chip, {}};
    machine.cpu.vectorBits = {static_cast<double>(options.vectorBits),
                              "option"};
    module.walk([&](exec::LaunchOp launch) {
      exec::LaunchOp &largest = launches[launch.getKernel()];
      if (!largest || launch.getItems() > largest.getItems())
        largest = launch;
    });
  }

  BuiltKernel add(const TunedKernel &tuned) {
    BuiltKernel result{tuned.name, {}, {}};
    exec::LaunchOp launch = launches.lookup(tuned.name);
    if (!launch)
      return result;
    const schedule::Ranking ranking = rankCandidates(
        tuned.spec, set.target, machine,
        enumerateCandidates(tuned.spec, set.target, set.chip, options.space),
        options.rank);
    auto kernel = mlir::cast<tile::KernelOp>(
        mlir::SymbolTable::lookupSymbolIn(module, tuned.name));
    mlir::Operation *lastKernel = kernel, *lastLaunch = launch;
    for (size_t i = 0; i < ranking.order.size(); ++i) {
      const schedule::RankedCandidate &ranked = ranking.order[i];
      // The program may not have the rules' schedule.
      if (!ranked.isMeasured() || ranked.candidate.words == tuned.words)
        continue;
      mlir::OpBuilder builder(module.getContext());
      builder.setInsertionPointAfter(lastKernel);
      const std::string name = candidateName(tuned.name, i + 1);
      std::string refusal;
      tile::KernelOp built;
      {
        mlir::ScopedDiagnosticHandler handler(
            module.getContext(), [&](mlir::Diagnostic &diagnostic) {
              refusal += (refusal.empty() ? "" : "; ") + diagnostic.str();
              return mlir::success();
            });
        built = buildScheduled(builder, kernel.getLoc(), name, tuned.spec,
                               set.target, set.chip, ranked.candidate.words);
      }
      if (!built) {
        result.refused.emplace_back(ranked.candidate.words, refusal);
        continue;
      }
      builder.setInsertionPointAfter(lastLaunch);
      auto copy =
          mlir::cast<exec::LaunchOp>(builder.clone(*launch.getOperation()));
      copy.setKernel(name);
      copy.setItems(
          kernels::itemsOf(built, kernel, tuned.spec, launch.getItems()));
      lastKernel = built;
      lastLaunch = copy;
      result.built.push_back({name, ranked.candidate});
    }
    return result;
  }

private:
  mlir::ModuleOp module;
  const KernelSet &set;
  const CandidateOptions &options;
  schedule::Machine machine;
  llvm::StringMap<exec::LaunchOp> launches; ///< the largest of each kernel
};

} // namespace

StatusOr<std::vector<BuiltKernel>>
buildCandidates(const InputOptions &input, const CandidateOptions &options) {
  if (!isCompiled(input))
    return error(
        5011,
        "'{}' is an artifact, which holds no program to compile; give "
        "the model directory or the IR file of phase lower that it was "
        "made from",
        input.input);
  CompileRequest request = requestOf(input);
  request.output = options.output;
  request.threads = options.threads;
  if (!options.images.empty())
    request.options.images = options.images;
  std::vector<BuiltKernel> all;
  request.edit = [&](mlir::ModuleOp module) -> llvm::Error {
    KernelSet set;
    Status status = readModule(module, set);
    if (status.ok())
      status = selectKernels(input, set);
    if (!status.ok())
      return makeError(status.code(), "{0}", status.message());
    Assembly assembly(module, set, options);
    size_t built = 0, refused = 0;
    for (const TunedKernel &kernel : set.kernels) {
      all.push_back(assembly.add(kernel));
      built += all.back().built.size();
      refused += all.back().refused.size();
    }
    if (built == 0)
      return makeError(5011,
                       "{0} kernels have no candidate ({1} were refused): "
                       "--dry-run says why",
                       set.kernels.size(), refused);
    return llvm::Error::success();
  };
  HADAL_RETURN_IF_ERROR(runCompiler(request, input.quiet));
  return all;
}

} // namespace hadal::tune
