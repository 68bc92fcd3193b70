#include "compiler/driver/Tuning.h"

#include "frontend/Error.h"
#include "kernels/ScheduledKernel.h"
#include "kernels/SpecAttr.h"
#include "runtime/tune/Machine.h"
#include "schedule/Attribute.h"
#include "cost/Chip.h"
#include "schedule/SpaceVersion.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/Support/FormatVariadic.h"
#include "llvm/Support/Regex.h"

using namespace mlir;

namespace hadal {

void Tuning::warn(const std::vector<Status> &warnings) {
  for (const Status &warning : warnings)
    log << llvm::formatv("hadal-compile: warning H{0}: {1}\n", warning.code(),
                         warning.message());
}

tune::Key Tuning::keyOf(std::string kernel,
                        const CompileOptions &options) const {
  return {std::move(kernel), options.target, options.tuningChip,
          std::string(
              std::string_view(findTarget(options.target)->tuningConditions))};
}

//===----------------------------------------------------------------------===//
// Databases
//===----------------------------------------------------------------------===//

void Tuning::read(CompileOptions &options) {
  std::vector<Status> warnings;
  for (const std::string &path : request.databases) {
    tune::Database next = tune::Database::read(path, warnings);
    for (const auto &[key, entry] : next.entries())
      if (!database.find(key))
        (void)database.put(entry); // it was read: it can be written
  }
  warn(warnings);
  options.tuningDigest = database.digest();
}

/// "word=value,word=value", or nothing where these do not read back.
static std::optional<std::string> textOf(const tune::Words &words) {
  std::string text, error;
  for (const auto &[word, value] : words)
    text += (text.empty() ? "" : ",") + word + "=" + schedule::toString(value);
  schedule::Words back;
  if (text.find(':') != text.npos || !schedule::parseWords(text, back, error) ||
      back != words)
    return std::nullopt;
  return text;
}

void Tuning::useEntries(CompileOptions &options) {
  size_t ofChip = 0;
  std::set<std::string> chips;
  auto target = schedule::findTarget(options.target);
  for (const auto &[key, entry] : database.entries()) {
    if (key.target == options.target)
      chips.insert(key.chip);
    if (keyOf(key.kernel, options) != key)
      continue;
    ++ofChip;
    std::optional<std::string> words = textOf(entry.winner.schedule);
    if (words && target &&
        entry.space == schedule::spaceVersion(entry.spaceName()))
      options.tuned.push_back(key.kernel + ":" + *words);
    else
      log << llvm::formatv("hadal-compile: the entry of {0} is of other words "
                           "than this build's: passed over\n",
                           key.kernel);
  }
  if (ofChip == 0 && !database.entries().empty())
    log << llvm::formatv("hadal-compile: no database has entries of {0}; they "
                         "are of {1} (--tuning-chip chooses)\n",
                         options.tuningChip,
                         chips.empty() ? "other targets"
                                       : llvm::join(chips, ", "));
}

llvm::Error Tuning::open(const TargetInfo &target, CompileOptions &options) {
  if (request.databases.empty())
    return llvm::Error::success();
  if (options.tuningChip.empty())
    options.tuningChip = target.tuningChip(options);
  read(options);
  useEntries(options);
  return llvm::Error::success();
}

llvm::Error Tuning::reopen(CompileOptions &options, Phase phase) {
  if (phase >= Phase::Lower)
    return request.databases.empty()
               ? llvm::Error::success()
               : makeError(2005,
                           "the file has been through phase '{0}', where "
                           "schedules are chosen: --tuning-db comes too "
                           "late; leave it out, or begin at an earlier "
                           "phase",
                           phaseWord(phase));
  const std::string wanted = options.tuningDigest;
  if (!request.databases.empty())
    read(options);
  if (options.tuningDigest != wanted ||
      request.databases.empty() != wanted.empty())
    return makeError(
        2005,
        "the file was compiled with {0}, this run has {1}; give "
        "--tuning-db the same",
        wanted.empty() ? "no tuning database" : "the tuning database " + wanted,
        request.databases.empty() ? "none"
                                  : "that of digest " + options.tuningDigest);
  if (!request.databases.empty())
    useEntries(options);
  return llvm::Error::success();
}

//===----------------------------------------------------------------------===//
// Kernels
//===----------------------------------------------------------------------===//

void Tuning::record(ModuleOp module, const CompileOptions &options) {
  if (options.tuned.empty())
    return;
  std::set<std::string> offered;
  for (const std::string &text : options.tuned)
    offered.insert(text.substr(0, text.rfind(':')));
  tune::Database candidates, used;
  for (auto kernel : module.getOps<tile::KernelOp>()) {
    std::string name = tuningName(kernel);
    if (!offered.contains(name))
      continue;
    if (const tune::Entry *entry = database.find(keyOf(name, options)))
      (void)candidates.put(*entry);
  }
  TunedKernels::store(module, candidates);
  std::vector<Status> none;
  TunedKernels tuned(module, none);
  for (auto kernel : module.getOps<tile::KernelOp>()) {
    if (const tune::Entry *entry = tuned.entryOf(kernel)) {
      (void)used.put(*entry);
    } else if (kernel.getSchedule().getGiven().empty() &&
               candidates.find(keyOf(tuningName(kernel), options))) {
      // The pass has said why.
      ++numStale;
      if (firstStale.empty())
        firstStale = kernel.getSymName().str();
    }
  }
  TunedKernels::store(module, used);
}

/// The hash of each kernel's code; "" where there is none. One that does not
/// compile must not take the others with it.
static std::vector<std::string>
hashEach(ModuleOp kernels, CodeGenerator &generator, StringRef chip) {
  ScopedDiagnosticHandler silence(kernels.getContext(),
                                  [](Diagnostic &) { return success(); });
  std::vector<std::string> hashes;
  if (succeeded(generator.hashCode(kernels, chip, hashes)))
    return hashes;
  hashes.clear();
  for (auto kernel : kernels.getOps<tile::KernelOp>()) {
    OwningOpRef<ModuleOp> alone = ModuleOp::create(kernel.getLoc());
    alone->getBody()->push_back(kernel->clone());
    std::vector<std::string> one;
    if (failed(generator.hashCode(*alone, chip, one)))
      one = {""};
    hashes.push_back(one.front());
  }
  return hashes;
}

llvm::Expected<bool> Tuning::dropStale(ModuleOp planned, ModuleOp lowered,
                                       const CompileOptions &options,
                                       CodeGenerator &generator) {
  std::vector<Status> warnings;
  TunedKernels tuned(planned, warnings);
  warn(warnings);
  if (tuned.database().entries().empty())
    return false;
  schedule::Target target = *schedule::findTarget(options.target);
  const nvptx::Chip *chip =
      target.hasChips() ? nvptx::findChip(options.chip) : nullptr;

  std::vector<std::pair<tile::KernelOp, const tune::Entry *>> used;
  OwningOpRef<ModuleOp> winners = ModuleOp::create(planned.getLoc()),
                        defaults = ModuleOp::create(planned.getLoc());
  for (auto kernel : planned.getOps<tile::KernelOp>()) {
    const tune::Entry *entry = tuned.entryOf(kernel);
    if (!entry)
      continue;
    auto spec = kernels::readSpec(kernel);
    OpBuilder atEnd = OpBuilder::atBlockEnd(defaults->getBody());
    if (failed(spec) ||
        !kernels::buildScheduled(atEnd, kernel.getLoc(), kernel.getSymName(),
                                 *spec, target, chip))
      return makeError(2004,
                       "the default of the tuned kernel '{0}' cannot be "
                       "built",
                       kernel.getSymName());
    winners->getBody()->push_back(kernel->clone());
    used.push_back({kernel, entry});
  }
  std::vector<std::string> winnerCode =
      hashEach(*winners, generator, options.tuningChip);
  std::vector<std::string> defaultCode =
      hashEach(*defaults, generator, options.tuningChip);

  tune::Database valid;
  bool any = false;
  for (auto [i, pair] : llvm::enumerate(used)) {
    auto [kernel, entry] = pair;
    std::string changed;
    if (winnerCode[i].empty())
      changed = "its schedule does not compile any more";
    else if (winnerCode[i] != entry->winner.code)
      changed = "its code is " + winnerCode[i] + ", was " + entry->winner.code;
    else if (defaultCode[i] != entry->base.code)
      changed = "the default's code is " + defaultCode[i] + ", was " +
                entry->base.code;
    if (changed.empty()) {
      (void)valid.put(*entry);
      continue;
    }
    any = true;
    ++numStale;
    if (firstStale.empty())
      firstStale = kernel.getSymName().str();
    log << llvm::formatv(
        "hadal-compile: kernel '{0}': its tuned schedule is stale: {1} on {2}; "
        "the rules' is used; measure it again (docs/tuning.md)\n",
        kernel.getSymName(), changed, entry->day);
    if (!lowered)
      return makeError(2005,
                       "memory is planned for the tuned schedule of kernel "
                       "'{0}', which is stale; begin at phase 'lower' or an "
                       "earlier one",
                       kernel.getSymName());
    auto original = lowered.lookupSymbol<tile::KernelOp>(kernel.getSymName());
    std::string error;
    auto spec = kernels::readSpec(kernel);
    auto rules = schedule::resolveSchedule(*spec, target, chip, {}, error);
    original.setScheduleAttr(
        schedule::toAttribute(lowered.getContext(), *rules));
  }
  if (any)
    TunedKernels::store(lowered, valid);
  return any;
}

//===----------------------------------------------------------------------===//
// What came of it
//===----------------------------------------------------------------------===//

llvm::Error Tuning::report(ModuleOp module, const CompileOptions &options) {
  if (options.tuningDigest.empty() && !request.required)
    return llvm::Error::success();
  std::vector<Status> ignored;
  TunedKernels tuned(module, ignored);
  std::map<schema::KernelChoice, size_t> counts;
  // An empty pattern is none to llvm::Regex.
  llvm::Regex wanted(request.requiredKernels.empty()
                         ? "."
                         : StringRef(request.requiredKernels));
  SmallVector<StringRef> missing;
  for (auto kernel : module.getOps<tile::KernelOp>()) {
    schema::KernelChoice choice = tuned.choiceOf(kernel);
    ++counts[choice];
    if (request.required && choice != schema::KernelChoice::tuned &&
        wanted.match(kernel.getSymName()))
      missing.push_back(kernel.getSymName());
  }
  log << llvm::formatv(
      "hadal-compile: schedules: {0} tuned, {1} model, {2} "
      "rule{3}; {4} stale\n",
      counts[schema::KernelChoice::tuned], counts[schema::KernelChoice::model],
      counts[schema::KernelChoice::rule],
      counts[schema::KernelChoice::given]
          ? llvm::formatv(", {0} given", counts[schema::KernelChoice::given])
                .str()
          : "",
      numStale);
  if (!missing.empty())
    return makeError(3009,
                     "{0} kernels that --require-tuned names have no tuned "
                     "schedule: {1}; tune them (hadal-tune), or name others",
                     missing.size(), llvm::join(missing, ", "));
  if (request.staleIsError && numStale)
    return makeError(3009,
                     "{0} tuned schedules are stale ('{1}' and so on), "
                     "--stale-tuning=error; measure them again "
                     "(docs/tuning.md)",
                     numStale, firstStale);
  return llvm::Error::success();
}

} // namespace hadal
