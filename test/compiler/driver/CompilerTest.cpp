// The compiler as a library: options, phases, and every refusal of the driver.
#include <filesystem>
#include <functional>

#include "compiler/codegen/nvptx/Sm90aTarget.h"
#include "cost/Chip.h"
#include "compiler/driver/Compiler.h"
#include "compiler/driver/MemoryReport.h"
#include "compiler/driver/Register.h"
#include "dialects/Exec/IR/Exec.h"
#include "frontend/Error.h"
#include "frontend/Import.h"
#include "mlir/IR/MLIRContext.h"
#include "mlir/Parser/Parser.h"
#include "test/Paths.h"
#include "test/runtime/TempDirectory.h"

using namespace hadal;
namespace fs = std::filesystem;

namespace {

const std::string kModel =
    HADAL_SOURCE_DIR "/test/tools/hadal-compile/Inputs/moe";

/// Checks that |error| is one of |code| whose message holds |part|.
void expectError(llvm::Error error, int code, const std::string &part) {
  ASSERT_TRUE(static_cast<bool>(error)) << "no error; expected: " << part;
  llvm::handleAllErrors(std::move(error), [&](const CodedError &e) {
    std::string text;
    llvm::raw_string_ostream os(text);
    e.log(os);
    EXPECT_EQ(e.getCode(), code) << text;
    EXPECT_NE(text.find(part), std::string::npos) << text;
  });
}

llvm::Error run(const CompileRequest &request) {
  std::string log;
  llvm::raw_string_ostream os(log);
  return compile(request, os);
}

class CompilerTest : public testing::Test {
protected:
  CompilerTest() {
    mlir::DialectRegistry registry;
    registerAll(registry);
    context.appendDialectRegistry(registry);
    context.loadAllAvailableDialects();
  }
  mlir::OwningOpRef<mlir::ModuleOp> module(const std::string &text) {
    return mlir::parseSourceString<mlir::ModuleOp>(text, &context);
  }
  /// The IR of kModel after |phase|, in a file.
  std::string irOf(Phase phase) {
    CompileRequest request;
    request.input = kModel;
    request.last = phase;
    request.output = directory.file(phaseWord(phase).str() + ".mlir");
    if (llvm::Error error = run(request))
      ADD_FAILURE() << llvm::toString(std::move(error));
    return request.output;
  }

  mlir::MLIRContext context;
  test::TempDirectory directory;
};

} // namespace

//===----------------------------------------------------------------------===//
// Options
//===----------------------------------------------------------------------===//

TEST_F(CompilerTest, OptionsOfAModuleComeBack) {
  CompileOptions options;
  options.target = "sm_90a";
  options.chip = "h200";
  options.maxBatchSize = 3;
  options.maxSeqLen = 777;
  options.pageSize = 32;
  options.attention = AttentionChoice::Absorbed;
  options.decodeBuckets = {2, 5};
  options.prefillBuckets = {7, 70};
  options.headBuckets = {9};
  auto empty = module("module {}");
  storeOptions(*empty, options);
  auto loaded = loadOptions(*empty);
  ASSERT_TRUE(static_cast<bool>(loaded)) << llvm::toString(loaded.takeError());
  EXPECT_EQ(loaded->target, "sm_90a");
  EXPECT_EQ(loaded->chip, "h200");
  EXPECT_EQ(loaded->maxBatchSize, 3);
  EXPECT_EQ(loaded->maxSeqLen, 777);
  EXPECT_EQ(loaded->pageSize, 32);
  EXPECT_EQ(loaded->attention, AttentionChoice::Absorbed);
  EXPECT_FALSE(loaded->f32Activations || loaded->w8a16);
  EXPECT_EQ(loaded->decodeBuckets, (std::vector<int64_t>{2, 5}));
  EXPECT_EQ(loaded->prefillBuckets, (std::vector<int64_t>{7, 70}));
  EXPECT_EQ(loaded->headBuckets, std::vector<int64_t>{9});

  CompileOptions cpu;
  cpu.attention = AttentionChoice::Expanded;
  cpu.f32Activations = cpu.w8a16 = true;
  storeOptions(*empty, cpu); // an older file: without images
  loaded = loadOptions(*empty);
  ASSERT_TRUE(static_cast<bool>(loaded)) << llvm::toString(loaded.takeError());
  EXPECT_EQ(loaded->target, "cpu");
  EXPECT_EQ(loaded->images, "all");
  EXPECT_EQ(loaded->attention, AttentionChoice::Expanded);
  EXPECT_TRUE(loaded->f32Activations && loaded->w8a16);
  EXPECT_FALSE(loaded->deterministic);
  cpu.deterministic = true;
  cpu.images = "v3,v4";
  storeOptions(*empty, cpu);
  loaded = loadOptions(*empty);
  ASSERT_TRUE(static_cast<bool>(loaded)) << llvm::toString(loaded.takeError());
  EXPECT_EQ(loaded->images, "v3,v4");
  EXPECT_TRUE(loaded->deterministic);
}

TEST_F(CompilerTest, AModuleWithoutOneOfTheOptionsIsNamed) {
  auto empty = module("module {}");
  expectError(loadOptions(*empty).takeError(), 2005,
              "the module has no 'exec.options', expected an IR file that "
              "hadal-compile wrote");
  CompileOptions options;
  options.target = "sm_90a";
  options.chip = "h100";
  storeOptions(*empty, options);
  auto whole = (*empty)->getAttrOfType<mlir::DictionaryAttr>("exec.options");
  for (mlir::NamedAttribute left : whole) {
    llvm::StringRef key = left.getName().getValue();
    // Absent: the defaults, which older files mean.
    if (key == "activations" || key == "fp8" || key == "attention")
      continue;
    llvm::SmallVector<mlir::NamedAttribute> rest;
    for (mlir::NamedAttribute attribute : whole)
      if (attribute != left)
        rest.push_back(attribute);
    (*empty)->setAttr("exec.options",
                      mlir::DictionaryAttr::get(&context, rest));
    expectError(loadOptions(*empty).takeError(), 2005,
                key == "target" ? "of the module lacks"
                                : "'exec.options' of the module lacks '" +
                                      key.str() + "'");
  }
}

TEST_F(CompilerTest, OptionsThatNoCompilationCanMeet) {
  struct {
    std::function<void(CompileOptions &)> spoil;
    int code;
    const char *message;
  } cases[] = {
      {[](auto &o) { o.target = "tpu"; }, 3001,
       "--target=tpu is unknown; known: cpu, sm_90a"},
      {[](auto &o) { o.chip = "h100"; }, 3004,
       "--chip=h100 belongs to --target=sm_90a"},
      {[](auto &o) { o.images = "v3,"; }, 2002,
       "--images=v3,: '' is unknown; known: native, all, or a list of v3, v4, "
       "v4+bf16+vbmi"},
      {[](auto &o) { o.target = "sm_90a", o.images = "v3"; }, 3004,
       "--images=v3 belongs to --target=cpu"},
      {[](auto &o) { o.target = "sm_90a", o.chip = "b200"; }, 3004,
       "--chip=b200 is unknown; known: h100, h200"},
      {[](auto &o) {
         o.target = "sm_90a", o.chip = "h100", o.f32Activations = true;
       },
       3004, "--activations=f32 is not supported by --target=sm_90a"},
      {[](auto &o) { o.target = "sm_90a", o.chip = "h100", o.w8a16 = true; },
       3004, "--fp8=w8a16 is not supported by --target=sm_90a"},
      {[](auto &o) {
         o.target = "sm_90a", o.chip = "h100", o.deterministic = true;
       },
       3004, "--deterministic is not supported by --target=sm_90a"},
      {[](auto &o) { o.maxBatchSize = 0; }, 2002,
       "--max-batch-size takes a number from 1 to 4096, found 0"},
      {[](auto &o) { o.maxSeqLen = (1 << 24) + 1; }, 2002,
       "--max-seq-len takes a number from 1 to 16777216, found 16777217"},
      {[](auto &o) { o.decodeBuckets.clear(); }, 2002,
       "--decode-buckets needs at least one size"},
      {[](auto &o) { o.prefillBuckets.clear(); }, 2002,
       "--prefill-buckets needs at least one size"},
      {[](auto &o) { o.decodeBuckets = {16, 16}; }, 2002,
       "--decode-buckets must ascend, found 16 after 16"},
      {[](auto &o) { o.prefillBuckets = {64, 65537}; }, 2002,
       "--prefill-buckets takes a number from 1 to 65536, found 65537"},
      {[](auto &o) { o.maxBatchSize = 65; }, 2002,
       "--max-batch-size 65 exceeds the largest of --decode-buckets, 64; add a "
       "bucket that holds it"},
      {[](auto &o) { o.prefillBuckets = {8}; }, 2002,
       "--prefill-buckets 8 is smaller than --max-batch-size 16"},
  };
  CompileOptions plain;
  EXPECT_FALSE(static_cast<bool>(resolveOptions(plain)));
  EXPECT_EQ(plain.target, "cpu");
  EXPECT_EQ(plain.images, "all");
  for (const auto &each : cases) {
    CompileOptions options;
    each.spoil(options);
    expectError(resolveOptions(options), each.code, each.message);
  }
}

// What a compilation chooses when only its target is given can be met.
TEST(CompilerTargets, TheirDefaultsResolve) {
  EXPECT_EQ(findTarget(""), allTargets().front());
  EXPECT_EQ(findTarget("tpu"), nullptr);
  for (const TargetInfo *target : allTargets()) {
    EXPECT_EQ(findTarget(target->name), target);
    EXPECT_FALSE(target->description.empty());
    CompileOptions options = target->defaults();
    EXPECT_EQ(options.target, target->name);
    llvm::Error error = resolveOptions(options);
    EXPECT_FALSE(static_cast<bool>(error))
        << target->name.str() << ": " << llvm::toString(std::move(error));
    // Resolved once, they mean the same.
    CompileOptions again = options;
    EXPECT_FALSE(static_cast<bool>(resolveOptions(again)));
    EXPECT_EQ(again.images, options.images);
    EXPECT_EQ(again.chip, options.chip);
  }
}

TEST(CompilerPhases, AreKnownByTheirWords) {
  EXPECT_EQ(allPhases().size(), 11u);
  for (const PhaseInfo &info : allPhases()) {
    EXPECT_EQ(parsePhase(info.word), info.phase);
    EXPECT_EQ(phaseWord(info.phase), info.word);
    EXPECT_FALSE(info.sentence.empty());
  }
  EXPECT_EQ(parsePhase("tile"), std::nullopt);
}

//===----------------------------------------------------------------------===//
// sm_90a
//===----------------------------------------------------------------------===//

static llvm::Error checkModel(const ModelConfig &config) {
  const TargetInfo &target = nvptx::sm90aTarget();
  return target.checkModel(config, nullptr, target.defaults());
}

// DeepSeek-R1 has the configuration of V3.
TEST(CompilerSm90a, TakesEveryModelOfTheFamilyButInt4) {
  unsigned models = 0, packed = 0;
  for (const auto &entry : fs::directory_iterator(HADAL_SOURCE_DIR "/models")) {
    if (!fs::exists(entry.path() / "config.json"))
      continue;
    auto config = loadModelConfig(entry.path().string());
    ASSERT_TRUE(static_cast<bool>(config))
        << llvm::toString(config.takeError());
    const std::string refusal = llvm::toString(checkModel(*config));
    if (config->weights == WeightFormat::INT4) {
      EXPECT_NE(refusal.find("reads no int4 weights"), std::string::npos)
          << entry.path() << ": " << refusal;
      ++packed;
    } else {
      EXPECT_EQ(refusal, "") << entry.path();
      ++models;
    }
  }
  EXPECT_GE(models, 6u);
  EXPECT_GE(packed, 3u);
}

TEST(CompilerSm90a, RefusesWidthsThatItsInstructionsDoNotReach) {
  auto config = loadModelConfig(kModel);
  ASSERT_TRUE(static_cast<bool>(config)) << llvm::toString(config.takeError());
  struct {
    int64_t ModelConfig::*width;
    int64_t value;
    const char *message;
  } cases[] = {
      {&ModelConfig::kvLoraRank, 136,
       "--target=sm_90a needs kv_lora_rank to be a multiple of 16, found 136; "
       "use --target=cpu"},
      {&ModelConfig::nope, 40,
       "needs qk_nope_head_dim to be a multiple of 16, found 40"},
      {&ModelConfig::rope, 36,
       "needs qk_rope_head_dim to be a multiple of 8, found 36"},
      {&ModelConfig::value, 36,
       "needs v_head_dim to be a multiple of 8, found 36"},
      {&ModelConfig::kvLoraRank, 528,
       "--target=sm_90a holds a kv_lora_rank of at most 512 in registers, "
       "found 528; use --target=cpu"},
      {&ModelConfig::rope, 456,
       "--target=sm_90a holds rows of at most 576 elements of the latent cache "
       "and 320 rotary ones in shared memory, found 584 and 456; use "
       "--target=cpu"},
      {&ModelConfig::rope, 328, "320 rotary ones in shared memory"},
  };
  for (const auto &each : cases) {
    ModelConfig changed = *config;
    changed.*each.width = each.value;
    expectError(checkModel(changed), 3010, each.message);
  }
}

TEST_F(CompilerTest, WithoutAPlaceForItsDumpsSm90aSaysSo) {
  auto empty = module("module {}");
  directory.write("taken", "a file");
  expectError(nvptx::dumpKernels(*empty, nvptx::allChips().front(), {},
                                 directory.file("taken/dump")),
              4006, "taken/dump: cannot create the directory: ");
}

//===----------------------------------------------------------------------===//
// Runs
//===----------------------------------------------------------------------===//

TEST_F(CompilerTest, AResumedRunReachesTheSamePlan) {
  CompileRequest request;
  request.input = irOf(Phase::Fuse);
  request.resumed = Phase::Fuse;
  request.last = Phase::Plan;
  request.output = directory.file("resumed.mlir");
  ASSERT_FALSE(static_cast<bool>(run(request)));
  irOf(Phase::Plan);
  EXPECT_EQ(directory.read("resumed.mlir"), directory.read("plan.mlir"));
}

TEST_F(CompilerTest, WhatIsNoIrOfItsPhaseIsRefused) {
  CompileRequest request;
  request.output = directory.file("out.hadal");
  request.resumed = Phase::Fuse;
  request.input = directory.write("broken.mlir", "func.func @f() {");
  expectError(run(request), 2005,
              "broken.mlir: is not a valid IR file of phase 'fuse'");
  request.input = directory.file("absent.mlir");
  expectError(run(request), 2005,
              "absent.mlir: is not a valid IR file of phase 'fuse'");
  request.input = irOf(Phase::Plan);
  expectError(run(request), 2005,
              "plan.mlir: holds an exec program, which is not what phase "
              "'fuse' leaves; name the phase that wrote it");
  EXPECT_FALSE(fs::exists(request.output));
}

TEST_F(CompilerTest, WithoutAPlaceForDumpsNothingIsWritten) {
  CompileRequest request;
  request.input = kModel;
  request.last = Phase::Layers;
  request.output = directory.file("out.mlir");
  request.dumpDir = directory.write("taken", "a file") + "/dump";
  expectError(run(request), 4006, "taken/dump: cannot create the directory: ");
  EXPECT_FALSE(fs::exists(request.output));
}

// Each field of these is in its own range; their products left 64 bits.
TEST_F(CompilerTest, SizesThatNoMachineHoldsAreRefused) {
  auto config = loadModelConfig(kModel);
  ASSERT_TRUE(static_cast<bool>(config));
  constexpr int64_t kMax = int64_t(1) << 31;
  const struct {
    int64_t ModelConfig::*field;
    int64_t value;
    const char *message;
  } cases[] = {
      {&ModelConfig::kvLoraRank, kMax, "the latent cache would take"},
      {&ModelConfig::hidden, kMax, "the weights would take"},
      {&ModelConfig::topK, kMax, "the activations of one layer would take"},
  };
  ImportOptions options;
  options.maxBatchSize = 4096;
  options.maxSeqLen = 1 << 24;
  for (const auto &each : cases) {
    ModelConfig changed = *config;
    changed.vocab = kMax;
    changed.*each.field = each.value;
    if (each.field != &ModelConfig::hidden)
      changed.vocab = 128;
    expectError(checkSizes(changed, options), 2003, each.message);
    expectError(
        importModel(&context, changed, options, nullptr).takeError(), 2003,
        each.message);
  }
  ModelConfig wide = *config;
  wide.rope = kMax;
  wide.kvLoraRank = 16;
  ImportOptions single = options;
  single.maxBatchSize = 1;
  expectError(checkSizes(wide, single), 2003, "TiB, expected at most 65536");
  EXPECT_FALSE(static_cast<bool>(checkSizes(*config, options)));
  for (const char *name : {"deepseek-v3", "kimi-k2", "glm-5"}) {
    auto published =
        loadModelConfig(std::string(HADAL_SOURCE_DIR "/models/") + name);
    ASSERT_TRUE(static_cast<bool>(published));
    EXPECT_FALSE(static_cast<bool>(checkSizes(*published, options))) << name;
  }
}

// What an IR file says is not checked by the importer.
TEST_F(CompilerTest, AMemoryReportThatLeaves64BitsIsRefused) {
  auto report = [&](const std::string &text, std::string &out) {
    auto parsed = module(text);
    EXPECT_TRUE(static_cast<bool>(parsed));
    llvm::raw_string_ostream os(out);
    return printMemoryReport(*parsed, {}, os);
  };
  const std::string model =
      "module attributes {exec.model = {max_batch_size = 4096 : i64, "
      "max_seq_len = 16777216 : i64, page_size = 64 : i64}} {\n";
  std::string out;
  expectError(report(model + "exec.state @kv.0 paged_cache row 2147483648 of "
                             "bf16\n}",
                     out),
              2003,
              "the memory plan takes more than 2^64 bytes; expected sizes of a "
              "model that a machine holds");
  expectError(report(model + "exec.state @a buffer bytes 9223372036854775807\n"
                             "exec.state @b buffer bytes 9223372036854775807\n"
                             "exec.state @c buffer bytes 9223372036854775807\n}",
                     out),
              2003, "the memory plan takes more than 2^64 bytes");
  EXPECT_EQ(out, "");
  EXPECT_FALSE(static_cast<bool>(
      report(model + "exec.state @kv.0 paged_cache row 576 of bf16\n}", out)));
  EXPECT_NE(out.find("latent cache, 4096 x 16777216 tokens"),
            std::string::npos);
  EXPECT_NE(out.find("(79164837199872 bytes)"), std::string::npos) << out;
}

TEST_F(CompilerTest, OptionsOfOneTargetAreRefusedOnTheOther) {
  CompileRequest request;
  request.input = kModel;
  request.output = directory.file("out.hadal");
  request.ptxas = "none";
  expectError(run(request), 3004, "--ptxas=none belongs to --target=sm_90a");
  request.ptxas = "";
  request.options.target = "sm_90a";
  request.options.chip = "h100";
  request.options.images = "native";
  expectError(run(request), 3004, "--images=native belongs to --target=cpu");
}

TEST_F(CompilerTest, APlanWhoseKernelsDoNotLowerHasNoScratch) {
  std::string plan = directory.read(fs::path(irOf(Phase::Plan)).filename());
  // A function that the level does not have.
  plan.insert(plan.rfind('}'), R"(
  tile.kernel @unknown(%x: !tile.view<8xf32>) domain(%m = 1 by 1) schedule {} {
    %a = tile.load %x[%m] : !tile.view<8xf32> -> tensor<8xf32>
    %b = math.exp %a : tensor<8xf32>
    tile.store %x[%m], %b : !tile.view<8xf32>, tensor<8xf32>
  }
)");
  CompileRequest request;
  request.input = directory.write("unknown.mlir", plan);
  request.resumed = Phase::Plan;
  request.planOnly = true;
  expectError(run(request), 2004,
              "the kernels of the plan do not lower; run without --plan-only "
              "to keep their input");
}

// The cache's key holds the build of the code generators, not of the program:
// what this test compiled, hadal-compile finds.
TEST_F(CompilerTest, ToolsOfOneBuildShareTheKernelCache) {
  const std::string model =
      HADAL_SOURCE_DIR "/test/tools/hadal-compile/Inputs/dense";
  for (const TargetInfo *target : allTargets()) {
    CompileRequest request;
    request.input = model;
    request.options = target->defaults();
    request.options.maxBatchSize = 1;
    request.options.decodeBuckets = {1};
    request.options.prefillBuckets = {4};
    std::string flags = " --target=" + target->name.str() +
                        " --max-batch-size=1 --decode-buckets=1 "
                        "--prefill-buckets=4";
    if (target->takes("--images")) {
      request.options.images = "v3";
      flags += " --images=v3";
    }
    if (target->takes("--ptxas")) {
      request.ptxas = "none";
      flags += " --ptxas=none";
    }
    request.kernelCache = directory.file("cache");
    request.output = directory.file("library.hadal");
    llvm::Error error = run(request);
    ASSERT_FALSE(static_cast<bool>(error))
        << llvm::toString(std::move(error));
    const std::string tool = directory.file("tool.hadal"),
                      log = directory.file("log");
    ASSERT_EQ(std::system((HADAL_BINARY_DIR "/bin/hadal-compile " + model +
                           flags + " --kernel-cache=" + request.kernelCache +
                           " -o " + tool + " 2> " + log)
                              .c_str()),
              0)
        << directory.read("log");
    std::string said = directory.read("log");
    llvm::StringRef text(said);
    auto [before, after] = text.split(" kernels from the cache in ");
    ASSERT_FALSE(after.empty()) << said;
    auto [found, of] = before.rsplit(": ").second.split(" of ");
    EXPECT_EQ(found, of);
    EXPECT_TRUE(directory.read("library.hadal") ==
                directory.read("tool.hadal"));
  }
}
