#include "tools/hadal-tune/KernelSet.h"

#include <filesystem>
#include <regex>

#include "compiler/codegen/Target.h"
#include "cost/Chip.h"
#include "dialects/Tile/IR/TileDialect.h"
#include "frontend/Error.h"
#include "kernels/SpecAttr.h"
#include "runtime/artifact/Artifact.h"
#include "schedule/Attribute.h"
#include "tools/common/SpecOf.h"

namespace hadal::tune {

namespace {

/// Finds the target and the chip that a program was compiled for.
Status findMachine(const std::string &target, const std::string &chip,
                   KernelSet &set) {
  auto found = schedule::findTarget(target);
  if (!found)
    return error(3001, "target '{}' is unknown", target);
  set.target = *found;
  if (!set.target.hasChips())
    return {};
  set.chip = nvptx::findChip(chip);
  if (!set.chip)
    return error(3004, "chip '{}' is unknown", chip);
  return {};
}

StatusOr<KernelSet> readCompiled(const InputOptions &options) {
  CompileRequest request = requestOf(options);
  request.last = Phase::Lower;
  KernelSet set;
  Status read;
  request.consume = [&](mlir::ModuleOp module) {
    read = readModule(module, set);
    return llvm::Error::success();
  };
  HADAL_RETURN_IF_ERROR(runCompiler(request, options.quiet));
  HADAL_RETURN_IF_ERROR(read);
  return set;
}

schedule::Value valueOf(const schema::ScheduleWord &word) {
  schedule::Words words;
  std::string problem;
  // Numbers, flags and texts are told apart as on the command line.
  schedule::parseWords("word=" + word.value()->str(), words, problem);
  return words.begin()->second;
}

StatusOr<KernelSet> readArtifact(const std::string &path) {
  HADAL_ASSIGN_OR_RETURN(Artifact artifact, Artifact::open(path));
  const schema::Provenance &provenance = *artifact.root().provenance();
  std::string chip;
  for (const schema::KeyValue *option : *provenance.options())
    if (option->key()->string_view() == "chip")
      chip = option->value()->str();
  KernelSet set;
  HADAL_RETURN_IF_ERROR(findMachine(provenance.target()->str(), chip, set));
  for (const schema::Kernel *kernel : *artifact.root().kernels()) {
    if (!kernel->spec()) {
      ++set.specless;
      continue;
    }
    kernels::ParsedSpec parsed = specOf(*kernel);
    if (!parsed.spec)
      return error(4005, "'{}': kernel '{}': {}", path, kernel->name()->str(),
                   parsed.error);
    TunedKernel tuned{kernel->name()->str(), *parsed.spec, {}};
    if (kernel->words())
      for (const schema::ScheduleWord *word : *kernel->words())
        tuned.words[word->word()->str()] = valueOf(*word);
    set.kernels.push_back(std::move(tuned));
  }
  return set;
}

} // namespace

Status readModule(mlir::ModuleOp module, KernelSet &set) {
  auto options = loadOptions(module);
  if (!options)
    return error(2005, "{}", llvm::toString(options.takeError()));
  HADAL_RETURN_IF_ERROR(findMachine(options->target, options->chip, set));
  for (tile::KernelOp kernel : module.getOps<tile::KernelOp>()) {
    if (!kernel.getSpecAttr()) {
      ++set.specless;
      continue;
    }
    mlir::FailureOr<kernels::AnySpec> spec = kernels::readSpec(kernel);
    std::string problem;
    auto schedule = schedule::fromAttribute(kernel.getSchedule(), problem);
    if (mlir::failed(spec) || !schedule)
      return error(3008, "kernel '{}': {}", kernel.getSymName().str(),
                   problem.empty() ? "its spec is none" : problem);
    set.kernels.push_back({kernel.getSymName().str(), *spec, schedule->words});
  }
  return {};
}

bool isCompiled(const InputOptions &options) {
  const std::filesystem::path path = options.input;
  return path.extension() == ".mlir" || path.extension() == ".json" ||
         std::filesystem::is_directory(path);
}

CompileRequest requestOf(const InputOptions &options) {
  CompileRequest request;
  request.input = options.input;
  if (std::filesystem::path(options.input).extension() == ".mlir")
    request.resumed = Phase::Lower;
  if (const TargetInfo *known = findTarget(options.target))
    request.options = known->defaults();
  else
    request.options.target = options.target;
  if (!options.chip.empty())
    request.options.chip = options.chip;
  return request;
}

Status runCompiler(const CompileRequest &request, bool quiet) {
  Status status;
  llvm::handleAllErrors(
      compile(request, quiet ? llvm::nulls() : llvm::errs()),
      [&](const CodedError &coded) {
        status = Status(coded.getCode(), coded.getMessage());
      },
      [&](const llvm::ErrorInfoBase &other) {
        status = Status(2004, other.message());
      });
  return status;
}

Status selectKernels(const InputOptions &options, KernelSet &set) {
  std::regex pattern;
  try {
    pattern.assign(options.only);
  } catch (const std::regex_error &e) {
    return error(5011, "--only '{}' is not a regular expression: {}",
                 options.only, e.what());
  }
  const size_t all = set.kernels.size();
  std::erase_if(set.kernels, [&](const TunedKernel &kernel) {
    return !std::regex_search(kernel.name, pattern);
  });
  if (set.kernels.empty())
    return error(5011, "--only '{}' selects none of the {} kernels of '{}'",
                 options.only, all, options.input);
  return {};
}

StatusOr<KernelSet> readKernels(const InputOptions &options) {
  const bool compiled = isCompiled(options);
  const bool isIr =
      std::filesystem::path(options.input).extension() == ".mlir";
  if ((!compiled || isIr) && !(options.target.empty() && options.chip.empty()))
    return error(5011,
                 "--target and --chip are of a model directory; '{}' says "
                 "itself what it was compiled for",
                 options.input);
  HADAL_ASSIGN_OR_RETURN(KernelSet set, compiled
                                            ? readCompiled(options)
                                            : readArtifact(options.input));
  HADAL_RETURN_IF_ERROR(selectKernels(options, set));
  return set;
}

} // namespace hadal::tune
