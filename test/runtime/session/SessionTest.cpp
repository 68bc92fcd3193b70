#include <limits>
#include <map>

#include "test/runtime/session/ToyModel.h"

using namespace hadal;
using toy::LoadedToy;

namespace {

using Tokens = std::vector<int32_t>;
using Logits = std::vector<std::vector<float>>;

Tokens someTokens(size_t count, int seed) {
  Tokens tokens;
  for (size_t i = 0; i < count; ++i)
    tokens.push_back(static_cast<int32_t>((seed * 31 + i * 17 + i * i) %
                                          toy::kVocab));
  return tokens;
}

/// The logits of each row of one step, by position.
struct Collected {
  std::vector<std::map<uint64_t, std::vector<float>>> rows;
  Session::LogitsSink sink() {
    return [this](size_t index, uint64_t position,
                  std::span<const float> logits) -> Status {
      if (rows.size() <= index)
        rows.resize(index + 1);
      EXPECT_FALSE(rows[index].count(position)) << "position given twice";
      rows[index][position].assign(logits.begin(), logits.end());
      return {};
    };
  }
};

uint32_t addRow(Session &session) {
  StatusOr<uint32_t> row = session.addRow();
  EXPECT_TRUE(row.ok()) << row.status().toString();
  return row.ok() ? *row : 0;
}

void expectAll(const std::map<uint64_t, std::vector<float>> &got,
               const Tokens &tokens, uint64_t from = 0) {
  Logits expected = toy::referenceLogits(tokens);
  ASSERT_EQ(got.size(), tokens.size() - from);
  for (uint64_t p = from; p < tokens.size(); ++p)
    ASSERT_EQ(got.at(p), expected[p]) << "position " << p;
}

Status ignore(size_t, uint64_t, std::span<const float>) { return {}; }

} // namespace

TEST(Session, EveryChunkingGivesTheLogitsOfTheDefinition) {
  LoadedToy toy;
  const Tokens tokens = someTokens(45, 1);
  for (uint32_t chunk : {0, 1, 2, 7, 8, 16, 64}) {
    auto session = toy.session({.prefillChunk = chunk});
    uint32_t row = addRow(*session);
    Collected got;
    StepRow step{row, tokens, LogitsWanted::All};
    Status status = session->step({&step, 1}, got.sink());
    ASSERT_TRUE(status.ok()) << status.toString();
    expectAll(got.rows[0], tokens);
    EXPECT_EQ(session->length(row), 45u);
    // 45 = 16 + 16 + 13, or single tokens through the decode entry.
    uint64_t calls = chunk == 0 || chunk >= 16 ? 3 : (45 + chunk - 1) / chunk;
    EXPECT_EQ(session->counters().bodyCalls, calls) << "chunk " << chunk;
  }
}

TEST(Session, ThePhaseOfATokenChoosesItsEntry) {
  LoadedToy toy;
  std::vector<std::string> ran;
  SessionOptions options;
  options.onRun = [&](const EntryRun &run) {
    const schema::Entry &entry =
        *toy.model->artifact().root().entries()->Get(run.entry);
    if (entry.kind() != schema::EntryKind::head)
      ran.push_back(entry.name()->str());
  };
  auto session = toy.session(options);
  const Tokens one = someTokens(1, 1), three = someTokens(3, 2);
  auto step = [&](std::vector<StepRow> rows) {
    ran.clear();
    Collected got;
    Status status = session->step(rows, got.sink());
    ASSERT_TRUE(status.ok()) << status.toString();
    ASSERT_EQ(got.rows.size(), rows.size());
    for (size_t i = 0; i < rows.size(); ++i)
      expectAll(got.rows[i], Tokens(rows[i].tokens.begin(),
                                    rows[i].tokens.end()));
  };
  using Names = std::vector<std::string>;
  constexpr auto all = LogitsWanted::All;
  step({{addRow(*session), one, all, Phase::Prompt}});
  EXPECT_EQ(ran, (Names{"prefill_8"}));
  step({{addRow(*session), three, all, Phase::Decode}});
  EXPECT_EQ(ran, (Names{"decode_1", "decode_1", "decode_1"}));
  // No call has both, and decode rows come first.
  step({{addRow(*session), three, all, Phase::Prompt},
        {addRow(*session), one, all, Phase::Decode}});
  EXPECT_EQ(ran, (Names{"decode_1", "prefill_8"}));
}

TEST(Session, APhaseWithoutEntriesRunsInTheOthers) {
  schema::ArtifactT a = toy::model();
  std::erase_if(a.entries, [](const auto &entry) {
    return entry->kind == schema::EntryKind::decode;
  });
  LoadedToy toy(a);
  auto session = toy.session();
  const Tokens tokens = someTokens(3, 2);
  Collected got;
  StepRow step{addRow(*session), tokens, LogitsWanted::All, Phase::Decode};
  Status status = session->step({&step, 1}, got.sink());
  ASSERT_TRUE(status.ok()) << status.toString();
  expectAll(got.rows[0], tokens);
  EXPECT_EQ(session->counters().bodyCalls, 3u);
}

TEST(Session, RowsOfUnequalLengthDoNotDisturbEachOther) {
  LoadedToy toy;
  auto session = toy.session();
  const std::vector<Tokens> prompts = {someTokens(3, 1), someTokens(20, 2),
                                       someTokens(1, 3), someTokens(9, 4)};
  std::vector<StepRow> steps;
  for (const Tokens &p : prompts)
    steps.push_back({addRow(*session), p, LogitsWanted::All});
  Collected got;
  Status status = session->step(steps, got.sink());
  ASSERT_TRUE(status.ok()) << status.toString();
  for (size_t i = 0; i < prompts.size(); ++i)
    expectAll(got.rows[i], prompts[i]);
  // Then one more token each, in another order, as a batch.
  std::vector<Tokens> longer = prompts;
  std::vector<Tokens> added = {{5}, {6}, {7}, {8}};
  std::vector<StepRow> next;
  for (size_t i : {2, 0, 3, 1}) {
    longer[i].push_back(added[i][0]);
    next.push_back({steps[i].row, added[i], LogitsWanted::Last});
  }
  uint64_t before = session->counters().bodyCalls;
  Collected second;
  ASSERT_TRUE(session->step(next, second.sink()).ok());
  EXPECT_EQ(session->counters().bodyCalls, before + 1);
  size_t k = 0;
  for (size_t i : {2, 0, 3, 1})
    expectAll(second.rows[k++], longer[i], longer[i].size() - 1);
}

TEST(Session, MixedStepsOfPromptsAndSingleTokens) {
  LoadedToy toy;
  auto session = toy.session();
  Tokens a = someTokens(5, 1), b = someTokens(30, 2);
  uint32_t rowA = addRow(*session), rowB = addRow(*session);
  StepRow first{rowA, a, LogitsWanted::None};
  ASSERT_TRUE(session->step({&first, 1}, ignore).ok());
  EXPECT_EQ(session->counters().headCalls, 0u);
  Tokens more = {9};
  std::vector<StepRow> steps = {{rowA, more, LogitsWanted::Last},
                                {rowB, b, LogitsWanted::Last}};
  Collected got;
  ASSERT_TRUE(session->step(steps, got.sink()).ok());
  a.push_back(9);
  expectAll(got.rows[0], a, 5);
  expectAll(got.rows[1], b, 29);
}

TEST(Session, ThreadCountsAgreeBitForBit) {
  const Tokens tokens = someTokens(33, 7);
  std::vector<std::map<uint64_t, std::vector<float>>> results;
  for (unsigned threads : {1, 2, 3}) {
    LoadedToy toy(toy::model(), threads);
    auto session = toy.session();
    StepRow step{addRow(*session), tokens, LogitsWanted::All};
    Collected got;
    ASSERT_TRUE(session->step({&step, 1}, got.sink()).ok());
    results.push_back(got.rows[0]);
  }
  EXPECT_EQ(results[0], results[1]);
  EXPECT_EQ(results[0], results[2]);
}

TEST(Session, RequestsOutOfRangeChangeNothing) {
  LoadedToy toy;
  auto session = toy.session();
  uint32_t row = addRow(*session);
  auto code = [&](std::vector<StepRow> steps) {
    Status status = session->step(steps, ignore);
    return status.code();
  };
  Tokens good = {1, 2}, none, negative = {3, -1}, large = {toy::kVocab};
  Tokens tooLong = someTokens(toy::kMaxSeqLen + 1, 1);
  EXPECT_EQ(code({}), 5005);
  EXPECT_EQ(code({{row, none}}), 5005);
  EXPECT_EQ(code({{row, negative}}), 5005);
  EXPECT_EQ(code({{row, large}}), 5005);
  EXPECT_EQ(code({{row, tooLong}}), 5005);
  EXPECT_EQ(code({{row, good}, {row, good}}), 5005);
  EXPECT_EQ(code({{row + 1, good}}), 5005);
  EXPECT_EQ(code({{99, good}}), 5005);
  EXPECT_EQ(session->length(row), 0u);
  EXPECT_EQ(session->counters().bodyCalls, 0u);
  EXPECT_EQ(code({{row, good}}), 0);
}

TEST(Session, TheLastTokenBeforeMaxSeqLenFits) {
  LoadedToy toy;
  auto session = toy.session();
  const Tokens tokens = someTokens(toy::kMaxSeqLen, 3);
  uint32_t row = addRow(*session);
  StepRow step{row, tokens, LogitsWanted::All};
  Collected got;
  ASSERT_TRUE(session->step({&step, 1}, got.sink()).ok());
  expectAll(got.rows[0], tokens);
  Tokens one = {1};
  StepRow next{row, one};
  Status status = session->step({&next, 1}, ignore);
  EXPECT_EQ(status.code(), 5005);
  EXPECT_NE(status.message().find("would have 63 tokens, max-seq-len is 62"),
            std::string::npos)
      << status.message();
}

TEST(Session, PagesRunOutWithAnErrorAndComeBack) {
  LoadedToy toy;
  auto session = toy.session({.cachePages = 5}); // 20 tokens
  uint32_t a = addRow(*session), b = addRow(*session);
  Tokens twelve = someTokens(12, 1), nine = someTokens(9, 2),
         eight = someTokens(8, 2);
  StepRow first{a, twelve}, second{b, nine}, third{b, eight};
  ASSERT_TRUE(session->step({&first, 1}, ignore).ok());
  EXPECT_EQ(session->freePages(), 2u);
  Status status = session->step({&second, 1}, ignore);
  EXPECT_EQ(status.code(), 5013);
  EXPECT_EQ(session->length(b), 0u);
  ASSERT_TRUE(session->step({&third, 1}, ignore).ok());
  EXPECT_EQ(session->freePages(), 0u);
  ASSERT_TRUE(session->removeRow(a).ok());
  EXPECT_EQ(session->freePages(), 3u);
  // The freed pages hold old values; the next row must not see them.
  uint32_t c = addRow(*session);
  Collected got;
  StepRow fourth{c, nine, LogitsWanted::All};
  ASSERT_TRUE(session->step({&fourth, 1}, got.sink()).ok());
  expectAll(got.rows[0], nine);
}

TEST(Session, TruncationRollsBack) {
  LoadedToy toy;
  auto session = toy.session();
  uint32_t row = addRow(*session);
  Tokens tokens = someTokens(11, 1);
  StepRow step{row, tokens};
  ASSERT_TRUE(session->step({&step, 1}, ignore).ok());
  EXPECT_EQ(session->truncateRow(row, 12).code(), 5005);
  EXPECT_EQ(session->truncateRow(3, 0).code(), 5005);
  ASSERT_TRUE(session->truncateRow(row, 4).ok());
  EXPECT_EQ(session->freePages(), 4u * 16 - 1);
  tokens.resize(4);
  Tokens other = {50, 51};
  tokens.insert(tokens.end(), other.begin(), other.end());
  StepRow again{row, other, LogitsWanted::All};
  Collected got;
  ASSERT_TRUE(session->step({&again, 1}, got.sink()).ok());
  expectAll(got.rows[0], tokens, 4);
}

TEST(Session, RowsAreLimited) {
  LoadedToy toy;
  EXPECT_EQ(Session::create(*toy.model, {.maxRows = 5}).status().code(), 5005);
  EXPECT_EQ(Session::create(*toy.model, {.cachePages = 4 * 16 + 1})
                .status()
                .code(),
            5005);
  auto session = toy.session({.maxRows = 2});
  uint32_t a = addRow(*session);
  addRow(*session);
  EXPECT_EQ(session->addRow().status().code(), 5005);
  ASSERT_TRUE(session->removeRow(a).ok());
  EXPECT_EQ(session->removeRow(a).code(), 5005);
  EXPECT_TRUE(session->addRow().ok());
}

TEST(Session, ExpertLoadsAddUpAndReset) {
  LoadedToy toy;
  auto session = toy.session();
  const Tokens tokens = someTokens(37, 5);
  StepRow step{addRow(*session), tokens};
  ASSERT_TRUE(session->step({&step, 1}, ignore).ok());
  std::vector<uint64_t> expected(toy::kExperts);
  for (int32_t t : tokens)
    expected[static_cast<size_t>(t % toy::kExperts)] += 1;
  auto loads = session->expertLoad();
  ASSERT_TRUE(loads.ok());
  ASSERT_EQ(loads->size(), 2u);
  EXPECT_EQ((*loads)[1].layer, "1");
  EXPECT_EQ((*loads)[0].tokens, expected);
  EXPECT_EQ((*loads)[1].tokens, expected);
  ASSERT_TRUE(session->resetExpertLoad().ok());
  loads = session->expertLoad();
  EXPECT_EQ((*loads)[0].tokens, std::vector<uint64_t>(toy::kExperts));
}

TEST(Session, NonFiniteLogitsNameTheRow) {
  LoadedToy toy(toy::model(), 2, std::numeric_limits<float>::infinity());
  auto session = toy.session();
  addRow(*session);
  uint32_t row = addRow(*session);
  Tokens tokens = {4, 5};
  StepRow step{row, tokens};
  Status status = session->step({&step, 1}, ignore);
  EXPECT_EQ(status.code(), 5008);
  EXPECT_NE(status.message().find("row 1 after position 1"),
            std::string::npos)
      << status.message();
}

TEST(Session, AnInterruptEndsTheStep) {
  LoadedToy toy;
  std::atomic<bool> interrupt{false};
  uint64_t calls = 0;
  auto session = toy.session(
      {.interrupt = &interrupt, .progress = [&](uint64_t done, uint64_t total) {
         EXPECT_EQ(total, 45u);
         ++calls;
         if (done >= 16)
           interrupt = true;
       }});
  const Tokens tokens = someTokens(45, 1);
  uint32_t row = addRow(*session);
  StepRow step{row, tokens};
  Status status = session->step({&step, 1}, ignore);
  EXPECT_EQ(status.code(), 5016);
  EXPECT_EQ(status.exitCode(), 130);
  EXPECT_EQ(calls, 1u);
  EXPECT_EQ(session->length(row), 16u);
}

TEST(Session, AnErrorOfTheSinkEndsTheStep) {
  LoadedToy toy;
  auto session = toy.session();
  Tokens tokens = {1};
  StepRow step{addRow(*session), tokens};
  Status status = session->step(
      {&step, 1}, [](size_t, uint64_t, std::span<const float>) {
        return error(5015, "disk full");
      });
  EXPECT_EQ(status.code(), 5015);
}

TEST(Model, AForeignTargetIsRefusedBeforeWeightsAreTouched) {
  toy::TempDir dir;
  schema::ArtifactT a = toy::model();
  toy::makeSm90a(a);
  toy::writeFile(dir.file("m.hadal"), toy::assemble(a));
  auto driver = cpu::createCpuDriver({.threads = 1});
  ASSERT_TRUE(driver.ok());
  auto model = Model::load(std::move(*driver),
                           {.artifactPath = dir.file("m.hadal"),
                            .weightsDirectory = "/nonexistent",
                            .quiet = true});
  EXPECT_EQ(model.status().code(), 4007);
}

TEST(Model, MissingWeightsAreNamed) {
  toy::TempDir dir;
  schema::ArtifactT a = toy::model();
  a.parameters[1]->parts = {"w.absent"};
  toy::writeFile(dir.file("m.hadal"), toy::assemble(a));
  toy::writeWeights(dir.path());
  auto driver = cpu::createCpuDriver({.threads = 1});
  ASSERT_TRUE(driver.ok());
  auto model = Model::load(std::move(*driver),
                           {.artifactPath = dir.file("m.hadal"),
                            .weightsDirectory = dir.path(),
                            .quiet = true});
  EXPECT_EQ(model.status().code(), 5003);
  EXPECT_NE(model.status().message().find("w.absent"), std::string::npos);
}
