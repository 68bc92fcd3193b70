// Databases of schedules in the compiler: what is taken, what is not, and that
// the bytes follow from program and database alone.
#include "compiler/driver/Tuning.h"

#include <filesystem>
#include <fstream>

#include "compiler/driver/Compiler.h"
#include "compiler/driver/Register.h"
#include "cost/Chip.h"
#include "frontend/Error.h"
#include "kernels/ScheduledKernel.h"
#include "kernels/SpecAttr.h"
#include "runtime/artifact/Artifact.h"
#include "schedule/Attribute.h"
#include "schedule/Enumerate.h"
#include "test/Paths.h"
#include "test/runtime/TempDirectory.h"

using namespace hadal;
namespace fs = std::filesystem;

namespace {

const std::string kModel =
    HADAL_SOURCE_DIR "/test/tools/hadal-compile/Inputs/moe";

std::string readFile(const fs::path &path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

class TuningTest : public testing::TestWithParam<const char *> {
protected:
  CompileRequest requestOf() {
    CompileRequest request;
    request.input = kModel;
    request.options = findTarget(GetParam())->defaults();
    if (request.options.target == "cpu")
      request.options.images = "v3";
    else
      request.options.attention = AttentionChoice::Absorbed;
    request.options.tuningChip =
        request.options.target == "cpu" ? "v3/6.143/t2" : request.options.chip;
    request.options.deterministic = false;
    request.options.maxBatchSize = 1;
    request.options.decodeBuckets = {1};
    request.options.prefillBuckets = {64};
    request.ptxas = request.options.target == "cpu" ? "" : "none";
    request.kernelCache = directory().file("cache");
    request.output = outputs.file("m.hadal");
    return request;
  }

  /// Compiles |request|; |log| is what it said, and the artifact's bytes are
  /// the result ("": an error, which is in |failure|).
  std::string compiled(CompileRequest request) {
    log.clear();
    failure = 0;
    llvm::raw_string_ostream os(log);
    if (llvm::Error error = compile(request, os)) {
      llvm::handleAllErrors(std::move(error), [&](const CodedError &e) {
        failure = e.getCode();
        e.log(os);
      });
      return "";
    }
    return readFile(request.output);
  }

  /// Entries for the gemms of kModel, each with the first other schedule that
  /// builds.
  tune::Database tuneByHand() {
    tune::Database database;
    CompileRequest request = requestOf();
    request.last = Phase::Lower;
    const TargetInfo &info = *findTarget(GetParam());
    auto generator = info.prepare(request.options,
                                  {0, request.ptxas, request.kernelCache, ""});
    if (!generator) {
      ADD_FAILURE() << llvm::toString(generator.takeError());
      return database;
    }
    schedule::Target target = *schedule::findTarget(GetParam());
    const nvptx::Chip *chip =
        target.hasChips() ? nvptx::findChip(request.options.chip) : nullptr;
    request.consume = [&](mlir::ModuleOp module) -> llvm::Error {
      for (auto kernel : module.getOps<tile::KernelOp>()) {
        auto spec = kernels::readSpec(kernel);
        // Enough to be several, few enough to be quick.
        if (!std::holds_alternative<kernels::GemmSpec>(*spec) ||
            database.entries().size() == 3)
          continue;
        symbols[GetParam()][kernels::printSpec(*spec)] =
            kernel.getSymName().str();
        std::string error;
        auto rules = schedule::resolveSchedule(*spec, target, chip, {}, error);
        auto others = schedule::neighboursOf(*spec, target, chip, rules->words);
        auto build = [&](const schedule::Words &words) {
          mlir::OwningOpRef<mlir::ModuleOp> alone =
              mlir::ModuleOp::create(module.getLoc());
          auto atEnd = mlir::OpBuilder::atBlockEnd(alone->getBody());
          // A tuner has names of its own.
          kernels::buildScheduled(atEnd, module.getLoc(),
                                  kernel.getSymName().str() + "__c1", *spec,
                                  target, chip, words);
          std::vector<std::string> hashes;
          mlir::ScopedDiagnosticHandler silence(
              module.getContext(),
              [](mlir::Diagnostic &) { return mlir::success(); });
          if (failed(
                  (*generator)
                      ->hashCode(*alone, request.options.tuningChip, hashes)))
            return std::string();
          return hashes.front();
        };
        tune::Entry entry;
        entry.key = {kernels::printSpec(*spec), GetParam(),
                     request.options.tuningChip, info.tuningConditions.str()};
        entry.base = {rules->words, build({})};
        for (const schedule::Candidate &other : others) {
          entry.winner = {other.words, build(other.words)};
          if (!entry.winner.code.empty() &&
              entry.winner.code != entry.base.code)
            break;
        }
        entry.gain = 1.25;
        entry.gainLow = 1.125;
        entry.blocks = 32;
        entry.day = "2026-12-01";
        if (Status status = database.put(entry); !status.ok())
          ADD_FAILURE() << status.toString();
      }
      return llvm::Error::success();
    };
    compiled(request);
    EXPECT_EQ(failure, 0) << log;
    EXPECT_EQ(database.entries().size(), 3u);
    return database;
  }

  /// The database, made once for each target.
  const tune::Database &tuned() {
    static std::map<std::string, tune::Database> all;
    auto [at, isNew] = all.try_emplace(GetParam());
    if (isNew)
      at->second = tuneByHand();
    return at->second;
  }

  CompileRequest withDatabase(const tune::Database &database,
                              const std::string &name = "a.tdb.jsonl") {
    EXPECT_TRUE(database.write(outputs.file(name)).ok());
    CompileRequest request = requestOf();
    request.tuning.databases = {outputs.file(name)};
    return request;
  }

  /// |database| with every entry changed by |change|.
  template <typename Change>
  static tune::Database changed(const tune::Database &database, Change change) {
    tune::Database result;
    for (const auto &[key, entry] : database.entries()) {
      tune::Entry other = entry;
      change(other);
      EXPECT_TRUE(result.put(other).ok());
    }
    return result;
  }

  void expectSaid(const std::string &part) {
    EXPECT_NE(log.find(part), std::string::npos) << part << "\n" << log;
  }
  /// Shared by all tests: codes are made once.
  static test::TempDirectory &directory() {
    static test::TempDirectory shared;
    return shared;
  }

  /// By target and printSpec, of the kernels that are tuned.
  static inline std::map<std::string, std::map<std::string, std::string>>
      symbols;
  test::TempDirectory outputs;
  std::string log;
  int failure = 0;
};

INSTANTIATE_TEST_SUITE_P(Targets, TuningTest, testing::Values("cpu", "sm_90a"),
                         [](const auto &info) { return info.param; });

/// What the kernels of an artifact are, but for who chose them.
std::vector<std::string> wordsOf(const Artifact &artifact) {
  std::vector<std::string> all;
  for (const schema::Kernel *kernel : *artifact.root().kernels()) {
    all.push_back(kernel->name()->str());
    for (const schema::ScheduleWord *word : *kernel->words())
      all.back() += " " + word->word()->str() + "=" + word->value()->str();
  }
  return all;
}

Artifact openOrDie(const std::string &path) {
  StatusOr<Artifact> artifact = Artifact::open(path);
  if (!artifact.ok()) {
    ADD_FAILURE() << artifact.status().toString();
    std::abort();
  }
  return std::move(*artifact);
}

} // namespace

TEST_P(TuningTest, TheArtifactHasTheTunedSchedulesAndSaysSo) {
  CompileRequest request = withDatabase(tuned());
  std::string bytes = compiled(request);
  ASSERT_NE(bytes, "") << log;
  size_t n = tuned().entries().size();
  expectSaid("schedules: " + std::to_string(n) + " tuned, 0 model, ");
  expectSaid(" rule; 0 stale");
  Artifact artifact = openOrDie(request.output);
  EXPECT_EQ(artifact.root().provenance()->tuning_db_digest()->str(),
            tuned().digest());
  size_t found = 0;
  for (const schema::Kernel *kernel : *artifact.root().kernels()) {
    bool isTuned = kernel->choice() == schema::KernelChoice::tuned;
    found += isTuned;
    EXPECT_EQ(kernel->gain(), isTuned ? 1.25 : 0);
    for (const schema::ScheduleWord *word : *kernel->words())
      EXPECT_EQ(word->origin(), isTuned ? schema::ScheduleOrigin::tuned
                                        : schema::ScheduleOrigin::rule);
  }
  EXPECT_EQ(found, n);
  // Its entries, which a tuner starts from.
  StatusOr<std::string> text = artifact.tuning();
  ASSERT_TRUE(text.ok());
  EXPECT_EQ(*text, tuned().text());
  // Another program, to be sure.
  CompileRequest plain = requestOf();
  plain.output = outputs.file("plain.hadal");
  ASSERT_NE(compiled(plain), "");
  Artifact without = openOrDie(plain.output);
  EXPECT_NE(wordsOf(artifact), wordsOf(without));
  EXPECT_EQ(without.root().tuning_blob(), -1);
  EXPECT_EQ(log.find("schedules: "), std::string::npos) << log;
}

TEST_P(TuningTest, BytesAreEqualTwiceAndFromEveryPhase) {
  CompileRequest request = withDatabase(tuned());
  request.dumpDir = outputs.file("dump");
  const std::string bytes = compiled(request);
  ASSERT_NE(bytes, "") << log;
  request.dumpDir.clear();
  EXPECT_EQ(compiled(request), bytes);
  for (const PhaseInfo &info : allPhases()) {
    if (info.phase == Phase::Artifact)
      continue;
    CompileRequest resumed = request;
    resumed.resumed = info.phase;
    resumed.input = llvm::formatv("{0}/{1}-{2}.mlir", outputs.file("dump"),
                                  static_cast<int>(info.phase) + 1, info.word);
    bool needed = info.phase < Phase::Lower;
    for (bool given : {true, false}) {
      resumed.tuning.databases =
          given ? request.tuning.databases : std::vector<std::string>();
      std::string again = compiled(resumed);
      if (given == needed)
        EXPECT_EQ(again, bytes) << info.word.str() << log;
      else
        EXPECT_EQ(failure, 2005) << info.word.str() << log;
      if (given != needed)
        expectSaid(needed ? "the file was compiled with the tuning database "
                          : "where schedules are chosen: --tuning-db comes too "
                            "late; leave it out, or begin at an earlier phase");
    }
  }
  // Another database is another program.
  CompileRequest other = withDatabase(
      changed(tuned(), [](tune::Entry &entry) { entry.blocks = 64; }),
      "b.tdb.jsonl");
  other.resumed = Phase::Fuse;
  other.input =
      llvm::formatv("{0}/{1}-{2}.mlir", outputs.file("dump"),
                    static_cast<int>(Phase::Fuse) + 1, phaseWord(Phase::Fuse));
  compiled(other);
  EXPECT_EQ(failure, 2005) << log;
  expectSaid("the file was compiled with");
}

TEST_P(TuningTest, APlanCannotGoBackToTheRules) {
  CompileRequest request = withDatabase(tuned());
  request.last = Phase::Plan;
  request.output = outputs.file("plan.mlir");
  std::string plan = compiled(request);
  const tune::Entry &entry = tuned().entries().begin()->second;
  tune::Entry stale = entry;
  stale.base.code = std::string(32, '0');
  auto printed = [](const tune::Entry &e) {
    std::string text;
    for (char c : tune::lineOf(e))
      text += c == '"' ? "\\22" : std::string(1, c);
    return text;
  };
  size_t at = plan.find(printed(entry));
  ASSERT_NE(at, plan.npos);
  plan.replace(at, printed(entry).size(), printed(stale));
  CompileRequest resumed = requestOf();
  resumed.input = outputs.write("edited.mlir", plan);
  resumed.resumed = Phase::Plan;
  EXPECT_EQ(compiled(resumed), "");
  EXPECT_EQ(failure, 2005) << log;
  expectSaid("which is stale; begin at phase 'lower' or an earlier one");
  // A line whose sum is wrong says nothing: its kernel is nobody's.
  plan.replace(plan.find("\\22code\\22"), 10, "\\22cord\\22");
  resumed.input = outputs.write("edited.mlir", plan);
  ASSERT_NE(compiled(resumed), "") << log;
  expectSaid("warning H3007: exec.tuned: the sum of the line is");
  expectSaid("schedules: 2 tuned, 0 model, ");
}

TEST(TuningCodeTest, AChipNamesAnImage) {
  mlir::DialectRegistry registry;
  registerAll(registry);
  mlir::MLIRContext context(registry);
  auto module = mlir::ModuleOp::create(mlir::UnknownLoc::get(&context));
  const TargetInfo &cpu = *findTarget("cpu");
  auto generator = cpu.prepare(cpu.defaults(), {0, "", "none", ""});
  ASSERT_TRUE(static_cast<bool>(generator));
  std::string said;
  mlir::ScopedDiagnosticHandler handler(&context, [&](mlir::Diagnostic &d) {
    said = d.str();
    return mlir::success();
  });
  std::vector<std::string> hashes;
  EXPECT_TRUE(failed((*generator)->hashCode(module, "v9/6.143/t2", hashes)));
  EXPECT_EQ(said, "'v9/6.143/t2' names no image of the CPU");
  module.erase();
}

TEST_P(TuningTest, StaleSchedulesGiveWayToTheRules) {
  CompileRequest plain = requestOf();
  plain.output = outputs.file("plain.hadal");
  ASSERT_NE(compiled(plain), "");
  Artifact without = openOrDie(plain.output);
  for (bool ofDefault : {false, true}) {
    CompileRequest request =
        withDatabase(changed(tuned(), [&](tune::Entry &entry) {
          std::string &code = ofDefault ? entry.base.code : entry.winner.code;
          code = std::string(32, '0');
        }));
    request.dumpDir = outputs.file("dump");
    const std::string bytes = compiled(request);
    ASSERT_NE(bytes, "") << log;
    expectSaid("schedules: 0 tuned, 0 model, ");
    expectSaid("; " + std::to_string(tuned().entries().size()) + " stale");
    expectSaid(ofDefault ? "is stale: the default's code is "
                         : "is stale: its code is ");
    size_t lines = 0;
    for (size_t at = 0; (at = log.find("is stale: ", at)) != log.npos; ++at)
      ++lines;
    EXPECT_EQ(lines, tuned().entries().size()) << log;
    {
      Artifact artifact = openOrDie(request.output);
      EXPECT_EQ(wordsOf(artifact), wordsOf(without));
      EXPECT_EQ(artifact.root().tuning_blob(), -1);
      for (const schema::Kernel *kernel : *artifact.root().kernels())
        EXPECT_EQ(kernel->choice(), schema::KernelChoice::rule);
      for (unsigned i = 0; i < without.root().entries()->size(); ++i)
        EXPECT_EQ(artifact.root().entries()->Get(i)->arena_bytes(),
                  without.root().entries()->Get(i)->arena_bytes());
    }
    // From phase lower it is found stale again, from plan it is settled.
    for (Phase phase : {Phase::Lower, Phase::Plan}) {
      CompileRequest resumed = request;
      resumed.dumpDir.clear();
      resumed.tuning.databases.clear();
      resumed.resumed = phase;
      resumed.input =
          llvm::formatv("{0}/{1}-{2}.mlir", outputs.file("dump"),
                        static_cast<int>(phase) + 1, phaseWord(phase));
      EXPECT_EQ(compiled(resumed), bytes) << log;
    }
    request.tuning.staleIsError = true;
    EXPECT_EQ(compiled(request), "");
    EXPECT_EQ(failure, 3009) << log;
    expectSaid("' and so on), --stale-tuning=error; measure them again "
               "(docs/tuning.md)");
  }
}

TEST_P(TuningTest, WhatIsNotLegalIsAWarning) {
  for (bool unknown : {false, true}) {
    CompileRequest request =
        withDatabase(changed(tuned(), [&](tune::Entry &entry) {
          if (unknown)
            entry.winner.schedule["hyper"] = int64_t{4};
          else
            entry.winner.schedule.erase(entry.winner.schedule.begin());
        }));
    ASSERT_NE(compiled(request), "") << log;
    expectSaid("its tuned schedule is stale: ");
    expectSaid(unknown ? "has no word 'hyper'" : "is not complete");
    expectSaid("schedules: 0 tuned, 0 model, ");
    expectSaid("; " + std::to_string(tuned().entries().size()) + " stale");
  }
}

TEST_P(TuningTest, EntriesOfOthersAreMisses) {
  auto expectMiss = [&](auto change) {
    CompileRequest request = withDatabase(changed(tuned(), change));
    ASSERT_NE(compiled(request), "") << log;
    expectSaid("schedules: 0 tuned, 0 model, ");
    expectSaid("; 0 stale");
  };
  expectMiss([](tune::Entry &entry) { entry.key.chip += "0"; });
  expectSaid("(--tuning-chip chooses)");
  expectMiss([](tune::Entry &entry) { entry.key.target = "none"; });
  expectMiss([](tune::Entry &entry) { entry.key.conditions = "hot"; });
  expectMiss([](tune::Entry &entry) { entry.key.kernel += " sums=row"; });
  expectMiss([](tune::Entry &entry) { entry.space = 99; });
  expectSaid("is of other words than this build's");
}

TEST_P(TuningTest, TheFirstDatabaseThatHasAKernelCounts) {
  tune::Database first;
  ASSERT_TRUE(first.put(tuned().entries().begin()->second).ok());
  first = changed(first, [](tune::Entry &entry) { entry.gain = 1.5; });
  CompileRequest request = withDatabase(first, "first.tdb.jsonl");
  CompileRequest second = withDatabase(tuned(), "second.tdb.jsonl");
  request.tuning.databases.push_back(second.tuning.databases[0]);
  // A file that is damaged, and one that is not there, harm nobody.
  request.tuning.databases.push_back(outputs.write("c", "SQLite format 3"));
  request.tuning.databases.push_back(outputs.file("none"));
  ASSERT_NE(compiled(request), "") << log;
  expectSaid("warning H3007: " + outputs.file("c"));
  expectSaid("warning H3007: " + outputs.file("none"));
  Artifact artifact = openOrDie(request.output);
  std::multiset<double> gains;
  for (const schema::Kernel *kernel : *artifact.root().kernels())
    if (kernel->choice() == schema::KernelChoice::tuned)
      gains.insert(kernel->gain());
  EXPECT_EQ(gains.count(1.5), 1u);
  EXPECT_EQ(gains.count(1.25), tuned().entries().size() - 1);
}

TEST_P(TuningTest, RequiredKernelsMustBeTuned) {
  CompileRequest request = withDatabase(tuned());
  request.tuning.required = true;
  std::string mine;
  for (const auto &[spec, symbol] : symbols[GetParam()])
    mine += (mine.empty() ? "^(" : "|") + symbol;
  request.tuning.requiredKernels = mine + ")$";
  EXPECT_NE(compiled(request), "") << log;
  request.tuning.requiredKernels = "";
  EXPECT_EQ(compiled(request), "");
  EXPECT_EQ(failure, 3009) << log;
  expectSaid(" kernels that --require-tuned names have no tuned schedule: ");
  CompileRequest plain = requestOf();
  plain.tuning = request.tuning;
  plain.tuning.databases.clear();
  plain.tuning.requiredKernels = "^gemm";
  EXPECT_EQ(compiled(plain), "");
  EXPECT_EQ(failure, 3009) << log;
}

TEST_P(TuningTest, APredictionIsCalledOne) {
  CompileRequest request =
      withDatabase(changed(tuned(), [](tune::Entry &entry) {
        entry.source = tune::Source::model;
        entry.seconds = 1e-5;
      }));
  ASSERT_NE(compiled(request), "") << log;
  expectSaid("schedules: 0 tuned, " + std::to_string(tuned().entries().size()) +
             " model, ");
  Artifact artifact = openOrDie(request.output);
  size_t predicted = 0;
  for (const schema::Kernel *kernel : *artifact.root().kernels())
    predicted += kernel->choice() == schema::KernelChoice::model &&
                 kernel->predicted_seconds() == 1e-5;
  EXPECT_EQ(predicted, tuned().entries().size());
  request.tuning.required = true;
  request.tuning.requiredKernels = "^gemm";
  EXPECT_EQ(compiled(request), "");
  EXPECT_EQ(failure, 3009) << log;
}

TEST_P(TuningTest, WordsByHandComeFirst) {
  CompileRequest request = withDatabase(tuned());
  const tune::Entry &entry = tuned().entries().begin()->second;
  std::string words;
  for (const auto &[word, value] : entry.base.schedule)
    words +=
        (words.empty() ? "" : ",") + word + "=" + schedule::toString(value);
  request.options.schedules = {"^" + symbols[GetParam()][entry.key.kernel] +
                               "$:" + words};
  ASSERT_NE(compiled(request), "") << log;
  expectSaid("schedules: 2 tuned, 0 model, ");
  expectSaid(" rule, 1 given; 0 stale");
}
