// Artifacts with a layer of multi-token prediction: one that is right, and one
// twin for each check of the verifier.
#include <functional>

#include <gtest/gtest.h>

#include "runtime/artifact/Verify.h"
#include "runtime/cts/ToyArtifact.h"

using namespace hadal;
using namespace hadal::schema;

namespace {

struct Case {
  const char *name;
  uint32_t maxDrafts; // of the toy model; 0: without the layer
  std::function<void(ArtifactT &)> damage;
  const char *message; // a part of it
};

EntryT &entry(ArtifactT &a, std::string_view name) {
  for (auto &e : a.entries)
    if (e->name == name)
      return *e;
  ADD_FAILURE() << "no entry " << name;
  return *a.entries.front();
}
void remove(ArtifactT &a, std::string_view name) {
  std::erase_if(a.entries, [&](auto &e) { return e->name == name; });
}
StateT &hiddenDraft(ArtifactT &a) { return *a.states[5]; }

const std::vector<Case> &cases() {
  static const std::vector<Case> list = {
      {"Depth", 1, [](auto &a) { a.model->mtp_depth = 2; },
       "mtp_depth 2 is out of range"},
      {"DepthWithoutDrafts", 1, [](auto &a) { a.model->max_drafts = 0; },
       "max_drafts 0 with mtp_depth 1, expected 1 to 3"},
      {"DraftsWithoutDepth", 0, [](auto &a) { a.model->max_drafts = 1; },
       "max_drafts 1 with mtp_depth 0"},
      {"TooManyDrafts", 1, [](auto &a) { a.model->max_drafts = 4; },
       "max_drafts 4 with mtp_depth 1"},
      {"EntryWithoutDepth", 0,
       [](auto &a) { a.entries[1]->kind = EntryKind::draft; },
       "entry 'decode_4' has kind draft and mtp_depth is 0"},
      {"VerifyWithoutDepth", 0,
       [](auto &a) { a.entries[1]->max_queries_per_row = 2; },
       "decode entry 'decode_4' has 2 queries per row, expected 1"},
      {"VerifyQueries", 1,
       [](auto &a) { entry(a, "decode_4x2").max_queries_per_row = 3; },
       "decode entry 'decode_4x2' has 8 tokens, 4 rows and 3 queries per row, "
       "expected 1 query per row, or 2"},
      {"VerifyTokens", 1, [](auto &a) { entry(a, "decode_4x2").rows = 3; },
       "expected 1 query per row, or 2 and as many tokens"},
      {"NoDraft", 1, [](auto &a) { remove(a, "draft_4x2"); },
       "entry 'decode_4x2' of 8 tokens, 4 rows and 2 queries per row has no "
       "draft entry"},
      {"NoPromptDraft", 1, [](auto &a) { remove(a, "draft_prefill_8"); },
       "entry 'prefill_8' of 8 tokens, 4 rows and 8 queries per row has no "
       "draft_prefill entry"},
      {"DraftOfNothing", 1, [](auto &a) { remove(a, "decode_4x2"); },
       "entry 'draft_4x2' of 8 tokens, 4 rows and 2 queries per row follows "
       "no decode entry"},
      {"PromptDraftOfNothing", 1,
       [](auto &a) { entry(a, "draft_prefill_8").rows = 2; },
       "entry 'draft_prefill_8' of 8 tokens, 2 rows and 8 queries per row "
       "follows no prefill entry"},
      {"DraftQueries", 1,
       [](auto &a) { entry(a, "draft_4x2").max_queries_per_row = 1; },
       "draft entry 'draft_4x2' has 1 queries per row, expected 2"},
      {"NextOfOne", 1,
       [](auto &a) { entry(a, "draft_4x2").kind = EntryKind::draft_next; },
       "entry 'draft_4x2' drafts from a draft, of which max_drafts 1 has none"},
      {"NextQueries", 2, [](auto &a) { entry(a, "draft_next_4").rows = 2; },
       "draft_next entry 'draft_next_4' has 4 tokens, 2 rows and 1 queries per "
       "row, expected a token for each row"},
      {"NoNext", 2, [](auto &a) { remove(a, "draft_next_4"); },
       "no draft_next entry holds the 4 rows of entry 'decode_4x3'"},
      {"NoHead", 1,
       [](auto &a) {
         remove(a, "draft_head_1");
         remove(a, "draft_head_4");
       },
       "max_drafts is 1 and it has no draft_head entry"},
      {"NoVerify", 1,
       [](auto &a) {
         for (const char *name :
              {"decode_1x2", "decode_4x2", "draft_1x2", "draft_4x2"})
           remove(a, name);
       },
       "it has no decode entry that verifies drafts"},
      {"HeadAttention", 1,
       [](auto &a) { entry(a, "draft_head_4").attention = "absorbed"; },
       "head entry 'draft_head_4' names attention 'absorbed'"},
      {"NoState", 1, [](auto &a) { hiddenDraft(a).name = "other"; },
       "its layer of multi-token prediction has no state 'hidden_draft'"},
      {"StateBytes", 1, [](auto &a) { hiddenDraft(a).bytes = 4; },
       "state 'hidden_draft' has 4 bytes, expected those of 'hidden'"},
      {"StateWithoutDepth", 0,
       [](auto &a) {
         a.states[1]->name = "hidden_draft",
         a.states[1]->bytes = a.model->hidden_buffer_bytes;
       },
       "it has a state 'hidden_draft' and mtp_depth 0"},
      {"DeterministicAttention", 1,
       [](auto &a) {
         a.model->deterministic = true;
         entry(a, "draft_4x2").attention = "expanded";
       },
       "of a deterministic model entries of a kind have one form"},
      {"HiddenRowsOfABody", 1,
       [](auto &a) {
         // The embedding of decode_1 reads its tokens from hidden_rows.
         a.functions[1]->commands[0]->args[1]->index =
             static_cast<uint32_t>(Input::hidden_rows);
       },
       "uses byte 0 of input 'hidden_rows', which has 0 bytes there"},
  };
  return list;
}

class Drafts : public testing::TestWithParam<size_t> {};

Status verify(ArtifactT a) {
  return artifact::verifyFile(toy::assemble(a, {std::vector<uint8_t>(8192, 0)}),
                              "m.hadal");
}

} // namespace

TEST_P(Drafts, AreRefusedWithTheirMessage) {
  const Case &c = cases()[GetParam()];
  ArtifactT a = c.maxDrafts ? toy::modelWithDrafts(c.maxDrafts) : toy::model();
  c.damage(a);
  Status status = verify(std::move(a));
  EXPECT_EQ(status.code(), 4005) << status.toString();
  EXPECT_NE(status.message().find(c.message), std::string::npos)
      << status.toString();
}

INSTANTIATE_TEST_SUITE_P(Twins, Drafts,
                         testing::Range<size_t>(0, cases().size()),
                         [](const auto &info) {
                           return std::string(cases()[info.param].name);
                         });

TEST(DraftsWhole, EveryDepthIsAccepted) {
  for (uint32_t k : {1u, 2u, 3u}) {
    Status status = verify(toy::modelWithDrafts(k));
    EXPECT_TRUE(status.ok()) << status.toString();
  }
}

TEST(DraftsWhole, DraftEntriesHaveARowOfHiddenForEachToken) {
  std::vector<uint8_t> file = toy::assemble(toy::modelWithDrafts(2));
  const Artifact &a = *GetArtifact(file.data() + 64);
  for (const Entry *e : *a.entries()) {
    const uint64_t bytes = artifact::inputBytes(a, *e, Input::hidden_rows);
    EXPECT_EQ(bytes, artifact::isDraft(e->kind()) ? e->tokens() * 4u : 0u)
        << e->name()->string_view();
  }
}
