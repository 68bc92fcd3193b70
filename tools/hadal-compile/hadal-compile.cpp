// hadal-compile: a checkpoint directory to one artifact.
#include <csignal>

#include "compiler/codegen/Target.h"
#include "compiler/driver/Compiler.h"
#include "cost/Cluster.h"
#include "frontend/Error.h"
#include "frontend/ModelFamily.h"
#include "runtime/base/CpuCount.h"
#include "runtime/base/Interrupt.h"
#include "runtime/base/MappedFile.h"
#include "tools/hadal-compile/WriteReport.h"
#include "llvm/Support/CommandLine.h"
#include "llvm/Support/InitLLVM.h"
#include "llvm/Support/Process.h"
#include "llvm/Support/Regex.h"

using namespace hadal;
namespace cl = llvm::cl;

namespace {

constexpr int kUsageError = 2;

cl::OptionCategory category("hadal-compile options");

cl::opt<std::string> input(cl::Positional, cl::desc("<MODEL_DIR | IR file>"),
                           cl::cat(category));
cl::opt<std::string> output("o", cl::desc("artifact to write"),
                            cl::value_desc("FILE"), cl::cat(category));
cl::opt<std::string> target("target",
                            cl::desc("machine to compile for (TARGETS below)"),
                            cl::value_desc("NAME"), cl::cat(category));
cl::opt<std::string> images(
    "images",
    cl::desc("of cpu: the images to build: all (default), native (the one that "
             "this machine runs), or a list of v3, v4, v4+bf16+vbmi"),
    cl::value_desc("native|all|LIST"), cl::cat(category));
cl::opt<std::string> chip("chip",
                          cl::desc("of sm_90a: h100 (default) or h200"),
                          cl::value_desc("CHIP"), cl::cat(category));
cl::opt<std::string> ptxas(
    "ptxas",
    cl::desc("of sm_90a: the ptxas to use, none for PTX only (searched in PATH, "
             "CUDA_HOME, /usr/local/cuda, PyPI wheels)"),
    cl::value_desc("PATH"), cl::cat(category));
cl::opt<std::string> kernelCache(
    "kernel-cache",
    cl::desc("where compiled kernels are kept, none to keep none "
             "($XDG_CACHE_HOME/hadal, ~/.cache/hadal)"),
    cl::value_desc("DIR"), cl::cat(category));
cl::opt<int64_t> maxBatchSize("max-batch-size",
                              cl::desc("sequences in flight (16)"),
                              cl::init(16), cl::cat(category));
cl::opt<int64_t> maxSeqLen("max-seq-len",
                           cl::desc("longest sequence in tokens (4096)"),
                           cl::init(4096), cl::cat(category));
cl::opt<AttentionChoice> attention(
    "attention", cl::desc("form of the attention:"),
    cl::values(clEnumValN(AttentionChoice::Auto, "auto",
                          "per bucket, by cost (default)"),
               clEnumValN(AttentionChoice::Absorbed, "absorbed",
                          "over the latent cache"),
               clEnumValN(AttentionChoice::Expanded, "expanded",
                          "over keys and values expanded from it")),
    cl::init(AttentionChoice::Auto), cl::cat(category));
enum class Activations { bf16, f32 };
cl::opt<Activations> activations(
    "activations", cl::desc("element type of activations and cache:"),
    cl::values(clEnumValN(Activations::bf16, "bf16", "bfloat16 (default)"),
               clEnumValN(Activations::f32, "f32", "float32")),
    cl::init(Activations::bf16), cl::cat(category));
enum class Fp8 { w8a8, w8a16 };
cl::opt<Fp8> fp8(
    "fp8", cl::desc("arithmetic of FP8 weights:"),
    cl::values(clEnumValN(Fp8::w8a8, "w8a8",
                          "activations quantised per 128 (default)"),
               clEnumValN(Fp8::w8a16, "w8a16",
                          "exact codes, activations as they are")),
    cl::init(Fp8::w8a8), cl::cat(category));
cl::opt<bool> deterministic(
    "deterministic",
    cl::desc("the bits of a token's results depend on its phase (prompt, "
             "generated) and on what precedes it only, not on the batch, "
             "chunks or threads (default of cpu; other targets cannot)"),
    cl::cat(category));
cl::opt<bool> noDeterministic(
    "no-deterministic",
    cl::desc("the schedules that are fastest for each bucket"),
    cl::cat(category));
cl::list<int64_t> decodeBuckets("decode-buckets", cl::CommaSeparated,
                                cl::desc("batch sizes (1,4,16,64)"),
                                cl::value_desc("N,..."), cl::cat(category));
cl::list<int64_t> prefillBuckets("prefill-buckets", cl::CommaSeparated,
                                 cl::desc("chunk sizes (64,512; sm_90a: and "
                                       "4096)"),
                                 cl::value_desc("N,..."), cl::cat(category));
cl::opt<int64_t> mtp(
    "mtp",
    cl::desc("most tokens that the model's layer of multi-token prediction "
             "drafts for a step, 0 to 3 (0: the layer is left out)"),
    cl::value_desc("K"), cl::init(0), cl::cat(category));
cl::opt<int64_t> dp("dp",
                    cl::desc("ranks with sequences of their own (1); sizes "
                             "and buckets count for each"),
                    cl::value_desc("N"), cl::init(1), cl::cat(category));
cl::opt<int64_t> tp("tp",
                    cl::desc("ranks that share the heads and the tokens of "
                             "their sequences (1)"),
                    cl::value_desc("N"), cl::init(1), cl::cat(category));
cl::opt<int64_t> ep("ep", cl::desc("ranks that share the experts (all)"),
                    cl::value_desc("N"), cl::init(0), cl::cat(category));
cl::opt<int64_t> ranksPerNode("ranks-per-node",
                              cl::desc("ranks of one machine (8)"),
                              cl::value_desc("N"), cl::init(8),
                              cl::cat(category));
cl::opt<int64_t> redundantExperts(
    "redundant-experts",
    cl::desc("slots for second copies of experts, over the ranks that share "
             "them (0)"),
    cl::value_desc("N"), cl::init(0), cl::cat(category));
enum class Vocab { whole, tp };
cl::opt<Vocab> vocab(
    "vocab", cl::desc("the head's weight on the ranks of --tp:"),
    cl::values(clEnumValN(Vocab::whole, "whole", "all on each (default)"),
               clEnumValN(Vocab::tp, "tp",
                          "its rows shared, and logits gathered")),
    cl::init(Vocab::whole), cl::cat(category));
enum class Reduce { bf16, f32 };
cl::opt<Reduce> reduce(
    "reduce", cl::desc("partial sums on their way between the ranks of --tp:"),
    cl::values(clEnumValN(Reduce::bf16, "bf16", "rounded (default)"),
               clEnumValN(Reduce::f32, "f32",
                          "as they are, twice the bytes; always with "
                          "--activations f32")),
    cl::init(Reduce::bf16), cl::cat(category));
cl::opt<std::string> capacity(
    "capacity",
    cl::desc("rows that a rank sends to another in a step before the step is "
             "repeated with room for all: auto (default: seldom), worst "
             "(never repeated, most memory), or a number"),
    cl::value_desc("auto|worst|N"), cl::init("auto"), cl::cat(category));
cl::opt<std::string> scheduleAs(
    "schedule-as",
    cl::desc("ep=1: the experts' kernels get the schedules of one rank, to "
             "compare results bit for bit"),
    cl::value_desc("ep=1"), cl::cat(category));
cl::opt<OverlapChoice> overlap(
    "overlap",
    cl::desc("of ranks that share experts, two micro-batches, one computing "
             "while the other communicates:"),
    cl::values(clEnumValN(OverlapChoice::Auto, "auto",
                          "where it is predicted to take 5 % less (default)"),
               clEnumValN(OverlapChoice::On, "on", "for every bucket that can "
                                                   "be halved"),
               clEnumValN(OverlapChoice::Off, "off", "never")),
    cl::init(OverlapChoice::Auto), cl::cat(category));
cl::opt<std::string> cluster(
    "cluster",
    cl::desc("what links and chips cost, for --overlap (models/clusters; of "
             "sm_90a the chip's with NCCL, of cpu none: one micro-batch)"),
    cl::value_desc("FILE"), cl::cat(category));
cl::list<std::string> schedules(
    "schedule",
    cl::desc("words of the schedules of the kernels whose symbol matches, for "
             "an experiment; hadal-inspect --kernels shows symbols and words. "
             "Repeatable, of two that name a word the later counts"),
    cl::value_desc("REGEX:WORD=VALUE,..."), cl::cat(category));
cl::list<std::string> tuningDatabases(
    "tuning-db", cl::CommaSeparated,
    cl::desc("databases of measured schedules (docs/tuning.md); the first that "
             "has a kernel counts"),
    cl::value_desc("FILE,..."), cl::cat(category));
cl::opt<std::string> tuningChip(
    "tuning-chip",
    cl::desc("of cpu: whose entries count, as the database names it (this "
             "machine with all its threads)"),
    cl::value_desc("CHIP"), cl::cat(category));
cl::opt<std::string> requireTuned(
    "require-tuned", cl::ValueOptional,
    cl::desc("fail where a kernel (whose symbol matches) has no measured "
             "schedule"),
    cl::value_desc("REGEX"), cl::cat(category));
enum class StaleTuning { warn, error };
cl::opt<StaleTuning> staleTuning(
    "stale-tuning",
    cl::desc("a schedule that was measured with other code than this "
             "compiler makes:"),
    cl::values(clEnumValN(StaleTuning::warn, "warn",
                          "a line; the rules' is used (default)"),
               clEnumValN(StaleTuning::error, "error", "fail")),
    cl::init(StaleTuning::warn), cl::cat(category));
cl::opt<std::string>
    dumpPhasesTo("dump-phases-to",
                 cl::desc("write the IR after each phase, numbered, "
                          "and an index of its operations"),
                 cl::value_desc("DIR"), cl::cat(category));
cl::opt<std::string> dumpPassesTo(
    "dump-passes-to",
    cl::desc("the same after each pass that changed it, a folder for each "
             "phase"),
    cl::value_desc("DIR"), cl::cat(category));
cl::opt<std::string> reportTo(
    "report",
    cl::desc("write a page of model, IR, kernels and memory (hadal-report)"),
    cl::value_desc("FILE"), cl::cat(category));
cl::opt<std::string> compileTo("compile-to",
                               cl::desc("stop after a phase and write its IR"),
                               cl::value_desc("PHASE"), cl::cat(category));
cl::opt<std::string> compileFrom(
    "compile-from", cl::desc("the input is the IR that a phase left"),
    cl::value_desc("PHASE"), cl::cat(category));
cl::opt<bool> planOnly("plan-only",
                       cl::desc("print the memory plan and stop"),
                       cl::cat(category));
cl::opt<bool> verifyEach(
    "verify-each",
    cl::desc("check after each pass that no model operation's name is lost "
             "(or HADAL_VERIFY_EACH=1)"),
    cl::cat(category));
cl::opt<bool> allowUnknownKeys(
    "allow-unknown-keys",
    cl::desc("warn of keys of config.json that are not known, instead of "
             "refusing the model"),
    cl::cat(category));
cl::opt<bool> listModels(
    "list-models",
    cl::desc("print the models that are compiled, and those that are refused "
             "with the operator that is missing, and stop"),
    cl::cat(category));
cl::opt<unsigned> threads("codegen-threads",
                          cl::desc("code generation threads (one per usable CPU)"),
                          cl::init(0), cl::cat(category));

/// The targets and the phases, for --help.
std::string tableHelp() {
  std::string text = "\nTARGETS (of --target; the first is the default):\n\n";
  for (const TargetInfo *info : allTargets())
    text +=
        llvm::formatv("  {0,-12}{1}\n", info->name, info->description);
  text += "\nPHASES (of --compile-to and --compile-from):\n\n";
  for (const PhaseInfo &info : allPhases())
    text += llvm::formatv("  {0,-12}{1}\n", info.word, info.sentence);
  return text;
}

int usage(const llvm::Twine &message) {
  llvm::errs() << "hadal-compile: usage error: " << message
               << "; see hadal-compile --help\n";
  return kUsageError;
}

/// Prints |error| and returns the exit code of its table entry.
int report(llvm::Error error) {
  int code = 1;
  llvm::handleAllErrors(
      std::move(error),
      [&](const CodedError &e) {
        llvm::errs() << "hadal-compile: error ";
        e.log(llvm::errs());
        llvm::errs() << "\n";
        code = e.getExitCode();
      },
      [&](const llvm::ErrorInfoBase &e) {
        llvm::errs() << "hadal-compile: error: " << e.message() << "\n";
      });
  return code;
}

int printModels() {
  llvm::raw_fd_ostream &os = llvm::outs();
  os << modelListPage();
  os.flush();
  if (!os.has_error())
    return 0;
  std::string why = os.error().message();
  os.clear_error(); // else the stream ends the process
  return report(makeError(5015, "cannot write to standard output: {0}", why));
}

} // namespace

int main(int argc, char **argv) {
  llvm::InitLLVM init(argc, argv);
  // Passes and ptxas are not asked to stop: what they hold is cleaned up for
  // them, at once.
  watchInterrupts(std::chrono::milliseconds(0), "hadal-compile: ");
  endProcessAtLostMapping();
  // A file size limit is then an error of write(2), with a message.
  std::signal(SIGXFSZ, SIG_IGN);
  static const std::string help = tableHelp();
  cl::extrahelp tables(help);
  cl::HideUnrelatedOptions(category);
  std::string problems;
  llvm::raw_string_ostream problemStream(problems);
  if (!cl::ParseCommandLineOptions(
          argc, argv,
          "hadal-compile MODEL_DIR -o FILE: a DeepSeek-V3-family checkpoint "
          "(config.json, safetensors) to one artifact\n",
          &problemStream)) {
    llvm::errs() << problems;
    return kUsageError;
  }

  if (listModels) {
    if (!input.empty())
      return usage("--list-models takes no model directory");
    return printModels();
  }

  CompileRequest request;
  request.input = input;
  request.output = output;
  request.dumpDir = dumpPhasesTo;
  request.passDumpDir = dumpPassesTo;
  request.planOnly = planOnly;
  request.verifyEach =
      verifyEach ||
      llvm::sys::Process::GetEnv("HADAL_VERIFY_EACH").value_or("0") == "1";
  request.threads = threads ? threads : usableCpus();
  request.allowUnknownKeys = allowUnknownKeys;
  request.ptxas = ptxas;
  request.tuning.databases.assign(tuningDatabases.begin(),
                                  tuningDatabases.end());
  request.tuning.required = requireTuned.getNumOccurrences() > 0;
  request.tuning.requiredKernels = requireTuned;
  request.tuning.staleIsError = staleTuning == StaleTuning::error;
  std::string problem;
  if (!requireTuned.empty() && !llvm::Regex(request.tuning.requiredKernels).isValid(problem))
    return usage("--require-tuned=" + requireTuned +
                 " is no regular expression: " + problem);
  request.kernelCache = kernelCache;
  if (input.empty())
    return usage("no model directory given");
  auto parse = [&](cl::opt<std::string> &option,
                   std::optional<Phase> &phase) -> bool {
    if (!option.getNumOccurrences())
      return true;
    phase = parsePhase(option);
    return phase.has_value();
  };
  std::optional<Phase> to;
  if (!parse(compileTo, to))
    return usage("--compile-to=" + compileTo + " is not a phase");
  if (!parse(compileFrom, request.resumed))
    return usage("--compile-from=" + compileFrom + " is not a phase");
  if (request.resumed == Phase::Artifact)
    return usage("--compile-from=artifact: nothing follows that phase");
  request.last = to.value_or(Phase::Artifact);
  if (request.resumed && request.last <= *request.resumed)
    return usage("--compile-to=" + compileTo + " is not after --compile-from=" +
                 compileFrom);
  if (planOnly && to)
    return usage("--plan-only and --compile-to exclude each other");
  if (request.last == Phase::Artifact && !planOnly && output.empty())
    return usage("no output given: -o FILE");
  if (!reportTo.empty() && (planOnly || request.last != Phase::Artifact))
    return usage("--report is of an artifact, which this run does not write");
  if (request.resumed) {
    // The IR file holds the options it was made with.
    // A cl::list overloads the address operator.
    const cl::Option *fixed[] = {&target,
                                 &chip,
                                 &images,
                                 &maxBatchSize,
                                 &maxSeqLen,
                                 &attention,
                                 &activations,
                                 &fp8,
                                 &deterministic,
                                 &noDeterministic,
                                 std::addressof(decodeBuckets),
                                 std::addressof(prefillBuckets),
                                 std::addressof(schedules),
                                 &tuningChip,
                                 &mtp,
                                 &tp,
                                 &dp,
                                 &ep,
                                 &vocab,
                                 &reduce,
                                 &ranksPerNode,
                                 &redundantExperts,
                                 &capacity,
                                 &scheduleAs,
                                 &overlap,
                                 &cluster};
    for (const cl::Option *option : fixed)
      if (option->getNumOccurrences())
        return usage("--" + option->ArgStr +
                     " belongs to the run that wrote the IR file, not to "
                     "--compile-from");
  }

  CompileOptions &options = request.options;
  // An unknown target is refused with everything else.
  if (const TargetInfo *known = findTarget(target))
    options = known->defaults();
  else
    options.target = target;
  if (chip.getNumOccurrences())
    options.chip = chip;
  if (images.getNumOccurrences())
    options.images = images;
  options.maxBatchSize = maxBatchSize;
  options.maxSeqLen = maxSeqLen;
  options.attention = attention;
  options.f32Activations = activations == Activations::f32;
  options.w8a16 = fp8 == Fp8::w8a16;
  if (deterministic && noDeterministic)
    return usage("--deterministic and --no-deterministic exclude each other");
  if (deterministic || noDeterministic)
    options.deterministic = deterministic;
  if (!decodeBuckets.empty())
    options.decodeBuckets.assign(decodeBuckets.begin(), decodeBuckets.end());
  if (!prefillBuckets.empty())
    options.prefillBuckets.assign(prefillBuckets.begin(),
                                  prefillBuckets.end());
  options.maxDrafts = mtp;
  options.tp = tp;
  options.dp = dp;
  options.splitVocabulary = vocab == Vocab::tp;
  options.f32Reductions = reduce == Reduce::f32;
  options.ep = ep;
  if (ep.getNumOccurrences() && ep < 1)
    return usage("--ep takes a number from 1");
  options.ranksPerNode = ranksPerNode;
  options.redundantExperts = redundantExperts;
  options.capacity = capacity;
  options.scheduleAs = scheduleAs;
  options.overlap = overlap;
  if (!cluster.empty()) {
    StatusOr<std::string> text = cost::readClusterText(cluster);
    if (!text.ok())
      return report(makeError(text.status().code(), "{0}",
                              text.status().message()));
    options.cluster = *text;
  }
  options.schedules.assign(schedules.begin(), schedules.end());
  options.tuningChip = tuningChip;
  std::optional<ReportWriter> reportWriter;
  if (!reportTo.empty()) {
    reportWriter.emplace(reportTo);
    if (llvm::Error error = reportWriter->prepare(argv[0], request))
      return report(std::move(error));
  }
  if (llvm::Error error = compile(request, llvm::errs()))
    return report(std::move(error));
  if (reportWriter)
    if (llvm::Error error = reportWriter->write(request))
      return report(std::move(error));
  return 0;
}
