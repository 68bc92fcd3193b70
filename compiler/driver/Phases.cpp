#include "compiler/driver/Phases.h"

#include "compiler/codegen/Target.h"
#include "dialects/Exec/IR/Exec.h"
#include "frontend/Error.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "passes/Absorb/Passes.h"
#include "passes/Dsv3/Passes.h"
#include "passes/Dsv3ToExec/Passes.h"
#include "passes/Fuse/Passes.h"
#include "passes/Memory/Passes.h"
#include "passes/Overlap/Passes.h"
#include "passes/Quantize/Passes.h"
#include "passes/Shard/Passes.h"
#include "runtime/schemas/InputLayout.h"

using namespace mlir;

namespace hadal {

llvm::ArrayRef<PhaseInfo> allPhases() {
  static const PhaseInfo phases[] = {
#define HADAL_PHASE(Name, word, sentence) {Phase::Name, word, sentence},
      HADAL_FOR_EACH_PHASE(HADAL_PHASE)
#undef HADAL_PHASE
  };
  return phases;
}

llvm::StringRef phaseWord(Phase phase) {
  return allPhases()[static_cast<size_t>(phase)].word;
}

std::optional<Phase> parsePhase(llvm::StringRef word) {
  for (const PhaseInfo &info : allPhases())
    if (info.word == word)
      return info.phase;
  return std::nullopt;
}

static StringRef wordOf(AttentionChoice choice) {
  switch (choice) {
  case AttentionChoice::Auto:
    return "auto";
  case AttentionChoice::Absorbed:
    return "absorbed";
  case AttentionChoice::Expanded:
    return "expanded";
  }
  llvm_unreachable("all choices are named");
}

static StringRef wordOf(OverlapChoice choice) {
  switch (choice) {
  case OverlapChoice::Auto:
    return "auto";
  case OverlapChoice::On:
    return "on";
  case OverlapChoice::Off:
    return "off";
  }
  llvm_unreachable("all choices are named");
}

void buildPhase(Phase phase, OpPassManager &pm, const CompileOptions &options) {
  TargetPasses target;
  findTarget(options.target)->choosePasses(options, target);
  switch (phase) {
  case Phase::Import:
  case Phase::Artifact:
    return;
  case Phase::Layers:
    pm.addPass(createVerifyDsv3({.stage = "model"}));
    pm.addPass(createDeduplicateLayers());
    return;
  case Phase::Buckets: {
    InstantiateBucketsOptions buckets;
    buckets.maxBatchSize = options.maxBatchSize;
    buckets.decode.assign(options.decodeBuckets.begin(),
                          options.decodeBuckets.end());
    buckets.prefill.assign(options.prefillBuckets.begin(),
                           options.prefillBuckets.end());
    buckets.head.assign(options.headBuckets.begin(), options.headBuckets.end());
    buckets.capacity = options.capacity;
    pm.addPass(createInstantiateBuckets(buckets));
    return;
  }
  case Phase::Shard:
    pm.addPass(createShardLayers(
        {.vocab = options.splitVocabulary ? "tp" : "whole",
         .reduce = options.f32Reductions ? "f32" : "bf16"}));
    pm.addPass(createElideCollectives());
    pm.addPass(createVerifyDsv3({.stage = "sharded"}));
    return;
  case Phase::Attention: {
    pm.addPass(createAbsorbWkvB());
    target.attention.attention = wordOf(options.attention).str();
    pm.addPass(createSelectAttentionForm(target.attention));
    return;
  }
  case Phase::Quantize:
    // Before the latent of an FP8 wkv_b would be quantised.
    if (target.dequantizeWkvB)
      pm.addPass(createDequantizeWkvB());
    pm.addPass(createMaterializeTileQuantization(
        {.fp8 = options.w8a16 ? "w8a16" : "w8a8"}));
    pm.nest<func::FuncOp>().addPass(createQuantizeBeforeExchange());
    pm.nest<func::FuncOp>().addPass(createElideRequantize());
    return;
  case Phase::Fuse:
    buildFusion(pm);
    return;
  case Phase::Overlap:
    pm.nest<func::FuncOp>().addPass(createExpandExchange());
    // Without a cluster nothing would be kept unasked.
    if (options.overlap == OverlapChoice::On ||
        (options.overlap == OverlapChoice::Auto && !options.cluster.empty())) {
      SplitMicroBatchesOptions split;
      split.capacity = options.capacity;
      pm.addPass(createSplitMicroBatches(split));
    }
    pm.addPass(createVerifyDsv3({.stage = "sharded"}));
    return;
  case Phase::Lower:
    target.lower.scheduleAs = options.scheduleAs;
    target.lower.schedules.assign(options.schedules.begin(),
                                  options.schedules.end());
    pm.addPass(createLowerDsv3ToExec(target.lower));
    if (options.overlap != OverlapChoice::Off) {
      DecideOverlapOptions decide;
      decide.overlap = wordOf(options.overlap).str();
      decide.cluster = options.cluster;
      pm.addPass(createDecideOverlap(decide));
    }
    return;
  case Phase::Plan:
    pm.addPass(createApplySchedules(target.schedules));
    pm.addPass(createWeaveMicroBatches());
    pm.addPass(createPlanBuffers());
    pm.addPass(createVerifyExec());
    return;
  }
}

//===----------------------------------------------------------------------===//
// Options in the IR
//===----------------------------------------------------------------------===//

void storeOptions(ModuleOp module, const CompileOptions &options) {
  Builder b(module);
  auto list = [&](const std::vector<int64_t> &values) {
    return b.getDenseI64ArrayAttr(values);
  };
  SmallVector<NamedAttribute> attributes = {
      b.getNamedAttr("activations",
                     b.getStringAttr(options.f32Activations ? "f32" : "bf16")),
      b.getNamedAttr("attention", b.getStringAttr(wordOf(options.attention))),
      b.getNamedAttr("decode_buckets", list(options.decodeBuckets)),
      b.getNamedAttr("fp8", b.getStringAttr(options.w8a16 ? "w8a16" : "w8a8")),
      b.getNamedAttr("head_buckets", list(options.headBuckets)),
      b.getNamedAttr("max_batch_size",
                     b.getI64IntegerAttr(options.maxBatchSize)),
      b.getNamedAttr("max_seq_len", b.getI64IntegerAttr(options.maxSeqLen)),
      b.getNamedAttr("page_size", b.getI64IntegerAttr(options.pageSize)),
      b.getNamedAttr("prefill_buckets", list(options.prefillBuckets)),
      b.getNamedAttr("target", b.getStringAttr(options.target)),
  };
  if (options.maxDrafts > 0)
    attributes.push_back(
        b.getNamedAttr("mtp", b.getI64IntegerAttr(options.maxDrafts)));
  if (options.deterministic)
    attributes.push_back(b.getNamedAttr("deterministic", b.getBoolAttr(true)));
  if (!options.chip.empty())
    attributes.push_back(b.getNamedAttr("chip", b.getStringAttr(options.chip)));
  if (!options.images.empty())
    attributes.push_back(
        b.getNamedAttr("images", b.getStringAttr(options.images)));
  if (!options.schedules.empty()) {
    SmallVector<StringRef> schedules(options.schedules.begin(),
                                     options.schedules.end());
    attributes.push_back(
        b.getNamedAttr("schedules", b.getStrArrayAttr(schedules)));
  }
  // Of one rank, nothing: its artifact does not depend on them.
  if (options.ranks() > 1) {
    auto number = [&](StringRef key, int64_t value) {
      attributes.push_back(b.getNamedAttr(key, b.getI64IntegerAttr(value)));
    };
    number("tp", options.tp);
    number("dp", options.dp);
    number("ep", options.ep);
    number("ranks_per_node", options.ranksPerNode);
    number("redundant_experts", options.redundantExperts);
    attributes.push_back(
        b.getNamedAttr("capacity", b.getStringAttr(options.capacity)));
    if (options.tp > 1) {
      attributes.push_back(b.getNamedAttr(
          "vocab", b.getStringAttr(options.splitVocabulary ? "tp" : "whole")));
      attributes.push_back(b.getNamedAttr(
          "reduce", b.getStringAttr(options.f32Reductions ? "f32" : "bf16")));
    }
    attributes.push_back(
        b.getNamedAttr("overlap", b.getStringAttr(wordOf(options.overlap))));
    if (!options.cluster.empty() && options.overlap != OverlapChoice::Off)
      attributes.push_back(
          b.getNamedAttr("cluster", b.getStringAttr(options.cluster)));
    if (!options.scheduleAs.empty())
      attributes.push_back(
          b.getNamedAttr("schedule_as", b.getStringAttr(options.scheduleAs)));
  }
  module->setAttr(exec::kOptionsAttr, b.getDictionaryAttr(attributes));
}

llvm::Expected<CompileOptions> loadOptions(ModuleOp module) {
  auto dictionary = module->getAttrOfType<DictionaryAttr>(exec::kOptionsAttr);
  if (!dictionary)
    return makeError(2005,
                     "the module has no '{0}', expected an IR file that "
                     "hadal-compile wrote",
                     exec::kOptionsAttr);
  CompileOptions options;
  std::string missing;
  auto number = [&](StringRef key, int64_t &value) {
    if (auto attribute = dictionary.getAs<IntegerAttr>(key))
      value = attribute.getInt();
    else
      missing = key;
  };
  auto text = [&](StringRef key) -> StringRef {
    if (auto attribute = dictionary.getAs<StringAttr>(key))
      return attribute;
    missing = key;
    return "";
  };
  auto list = [&](StringRef key, std::vector<int64_t> &values) {
    if (auto attribute = dictionary.getAs<DenseI64ArrayAttr>(key))
      values = attribute.asArrayRef().vec();
    else
      missing = key;
  };
  number("max_batch_size", options.maxBatchSize);
  number("max_seq_len", options.maxSeqLen);
  number("page_size", options.pageSize);
  list("decode_buckets", options.decodeBuckets);
  list("prefill_buckets", options.prefillBuckets);
  list("head_buckets", options.headBuckets);
  options.target = text("target");
  const TargetInfo *target = findTarget(options.target);
  if (target && target->takes("--chip"))
    options.chip = text("chip");
  // Absent: all of them, which older files mean.
  if (auto images = dictionary.getAs<StringAttr>("images"))
    options.images = images.str();
  options.f32Activations = text("activations") == "f32";
  options.w8a16 = text("fp8") == "w8a16";
  // Absent: no, and of older files.
  if (auto deterministic = dictionary.getAs<BoolAttr>("deterministic"))
    options.deterministic = deterministic.getValue();
  if (auto drafts = dictionary.getAs<IntegerAttr>("mtp"))
    options.maxDrafts = drafts.getInt();
  if (auto schedules = dictionary.getAs<ArrayAttr>("schedules"))
    for (Attribute schedule : schedules)
      if (auto given = dyn_cast<StringAttr>(schedule))
        options.schedules.push_back(given.str());
  if (dictionary.contains("dp")) {
    number("tp", options.tp);
    number("dp", options.dp);
    number("ep", options.ep);
    number("ranks_per_node", options.ranksPerNode);
    number("redundant_experts", options.redundantExperts);
    options.capacity = text("capacity").str();
    if (options.tp > 1) {
      options.splitVocabulary = text("vocab") == "tp";
      options.f32Reductions = text("reduce") == "f32";
    }
    // Absent: older files, which know of one micro-batch.
    StringRef overlap = "off";
    if (auto word = dictionary.getAs<StringAttr>("overlap"))
      overlap = word;
    options.overlap = overlap == "auto" ? OverlapChoice::Auto
                      : overlap == "on" ? OverlapChoice::On
                                        : OverlapChoice::Off;
    if (auto cluster = dictionary.getAs<StringAttr>("cluster"))
      options.cluster = cluster.str();
    if (auto scheduleAs = dictionary.getAs<StringAttr>("schedule_as"))
      options.scheduleAs = scheduleAs.str();
  }
  StringRef attention = text("attention");
  options.attention = attention == "absorbed"   ? AttentionChoice::Absorbed
                      : attention == "expanded" ? AttentionChoice::Expanded
                                                : AttentionChoice::Auto;
  if (!missing.empty())
    return makeError(2005, "'{0}' of the module lacks '{1}'",
                     exec::kOptionsAttr, missing);
  if (llvm::Error error = resolveOptions(options))
    return std::move(error);
  return options;
}

llvm::Error resolveOptions(CompileOptions &options) {
  const TargetInfo *target = findTarget(options.target);
  if (!target) {
    std::string known;
    for (const TargetInfo *each : allTargets())
      known += (known.empty() ? "" : ", ") + each->name.str();
    return makeError(3001, "--target={0} is unknown; known: {1}",
                     options.target, known);
  }
  options.target = target->name;
  if (llvm::Error e = checkFlag(*target, "--chip", options.chip))
    return e;
  if (llvm::Error e = checkFlag(*target, "--images", options.images))
    return e;
  if (llvm::Error e = target->resolveOptions(options))
    return e;
  auto inRange = [](StringRef flag, int64_t value, int64_t max) -> llvm::Error {
    if (value >= 1 && value <= max)
      return llvm::Error::success();
    return makeError(2002, "{0} takes a number from 1 to {1}, found {2}", flag,
                     max, value);
  };
  if (llvm::Error e = inRange("--max-batch-size", options.maxBatchSize, 4096))
    return e;
  if (llvm::Error e =
          inRange("--max-seq-len", options.maxSeqLen, int64_t(1) << 24))
    return e;
  for (auto [flag, value] : {std::pair<StringRef, int64_t>{"--tp", options.tp},
                             {"--dp", options.dp},
                             {"--ranks-per-node", options.ranksPerNode}})
    if (llvm::Error e = inRange(flag, value, 4096))
      return e;
  if (options.redundantExperts < 0 || options.redundantExperts > 65536)
    return makeError(2002,
                     "--redundant-experts takes a number from 0 to 65536, "
                     "found {0}",
                     options.redundantExperts);
  if (options.maxDrafts < 0 || options.maxDrafts > artifact::kMaxDrafts)
    return makeError(2002, "--mtp takes a number from 0 to {0}, found {1}",
                     artifact::kMaxDrafts, options.maxDrafts);
  if (options.maxDrafts > 0 && options.ranks() > 1)
    return makeError(2002,
                     "--mtp {0} is for one rank, --tp and --dp ask for {1}; "
                     "compile without --mtp",
                     options.maxDrafts, options.ranks());
  int64_t capacity = 0;
  if (options.capacity != "auto" && options.capacity != "worst" &&
      (StringRef(options.capacity).getAsInteger(10, capacity) || capacity < 1))
    return makeError(2002,
                     "--capacity takes auto, worst or a number of rows from 1, "
                     "found '{0}'",
                     options.capacity);
  if (!options.scheduleAs.empty() && options.scheduleAs != "ep=1")
    return makeError(2002, "--schedule-as takes ep=1, found '{0}'",
                     options.scheduleAs);
  // There is nothing that would be rounded.
  if (options.f32Activations)
    options.f32Reductions = true;
  auto ascending = [&](StringRef flag,
                       const std::vector<int64_t> &sizes) -> llvm::Error {
    if (sizes.empty())
      return makeError(2002, "{0} needs at least one size", flag);
    for (size_t i = 0; i < sizes.size(); ++i) {
      if (llvm::Error e = inRange(flag, sizes[i], 65536))
        return e;
      if (i && sizes[i] <= sizes[i - 1])
        return makeError(2002, "{0} must ascend, found {1} after {2}", flag,
                         sizes[i], sizes[i - 1]);
    }
    return llvm::Error::success();
  };
  if (llvm::Error e = ascending("--decode-buckets", options.decodeBuckets))
    return e;
  if (llvm::Error e = ascending("--prefill-buckets", options.prefillBuckets))
    return e;
  if (options.decodeBuckets.back() < options.maxBatchSize)
    return makeError(2002,
                     "--max-batch-size {0} exceeds the largest of "
                     "--decode-buckets, {1}; add a bucket that holds it",
                     options.maxBatchSize, options.decodeBuckets.back());
  // A prefill bucket holds a token of every sequence at least.
  if (options.prefillBuckets.front() < options.maxBatchSize)
    return makeError(2002,
                     "--prefill-buckets {0} is smaller than "
                     "--max-batch-size {1}",
                     options.prefillBuckets.front(), options.maxBatchSize);
  return llvm::Error::success();
}

} // namespace hadal
