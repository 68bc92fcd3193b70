#include "runtime/artifact/VerifyDrafts.h"

#include <fmt/format.h>

#include "runtime/artifact/Verify.h"
#include "runtime/schemas/InputLayout.h"

namespace hadal::artifact {

using namespace schema;

namespace {

/// The first entry of |kind| that has the extents of |like|.
const Entry *findTwin(const Artifact &artifact, EntryKind kind,
                      const Entry &like) {
  for (const Entry *e : *artifact.entries())
    if (e->kind() == kind && e->tokens() == like.tokens() &&
        e->rows() == like.rows() &&
        e->max_queries_per_row() == like.max_queries_per_row())
      return e;
  return nullptr;
}

std::string describe(const Entry &e) {
  return fmt::format("{} tokens, {} rows and {} queries per row", e.tokens(),
                     e.rows(), e.max_queries_per_row());
}

/// The queries of a decode entry: one, or with the drafts that it verifies.
std::string checkDecode(const Entry &e, uint32_t maxDrafts) {
  const uint32_t queries = e.max_queries_per_row();
  if (queries == 1)
    return "";
  if (!maxDrafts)
    return fmt::format("decode entry '{}' has {} queries per row, expected 1",
                       e.name()->string_view(), queries);
  if (queries != maxDrafts + 1 ||
      uint64_t(e.rows()) * queries != uint64_t(e.tokens()))
    return fmt::format("decode entry '{}' has {}, expected 1 query per row, or "
                       "{} and as many tokens",
                       e.name()->string_view(), describe(e), maxDrafts + 1);
  return "";
}

/// An entry that runs the layer, against the body whose rows it reads.
std::string checkDraft(const Artifact &artifact, const Entry &e) {
  const std::string_view n = e.name()->string_view();
  const uint32_t maxDrafts = artifact.model()->max_drafts();
  if (e.kind() == EntryKind::draft_next) {
    if (maxDrafts < 2)
      return fmt::format("entry '{}' drafts from a draft, of which max_drafts "
                         "{} has none",
                         n, maxDrafts);
    if (e.max_queries_per_row() != 1 || e.tokens() != e.rows())
      return fmt::format("draft_next entry '{}' has {}, expected a token for "
                         "each row",
                         n, describe(e));
    return "";
  }
  const bool isPrompt = e.kind() == EntryKind::draft_prefill;
  if (!isPrompt && e.max_queries_per_row() != maxDrafts + 1)
    return fmt::format("draft entry '{}' has {} queries per row, expected {}",
                       n, e.max_queries_per_row(), maxDrafts + 1);
  if (!findTwin(artifact, isPrompt ? EntryKind::prefill : EntryKind::decode, e))
    return fmt::format("entry '{}' of {} follows no {} entry of these extents",
                       n, describe(e), isPrompt ? "prefill" : "decode");
  return "";
}

/// A body entry needs the entry that drafts behind it.
std::string checkFollowed(const Artifact &artifact, const Entry &e) {
  const uint32_t maxDrafts = artifact.model()->max_drafts();
  EntryKind kind = EntryKind::draft_prefill;
  if (e.kind() == EntryKind::decode) {
    if (e.max_queries_per_row() == 1)
      return "";
    kind = EntryKind::draft;
  }
  if (!findTwin(artifact, kind, e))
    return fmt::format("entry '{}' of {} has no {} entry of these extents",
                       e.name()->string_view(), describe(e),
                       EnumNameEntryKind(kind));
  if (e.kind() != EntryKind::decode || maxDrafts < 2)
    return "";
  for (const Entry *next : *artifact.entries())
    if (next->kind() == EntryKind::draft_next && next->rows() >= e.rows())
      return "";
  return fmt::format("no draft_next entry holds the {} rows of entry '{}'",
                     e.rows(), e.name()->string_view());
}

std::string checkState(const Artifact &artifact) {
  const Model &m = *artifact.model();
  bool isThere = false;
  for (const State *s : *artifact.states())
    if (s->name()->string_view() == "hidden_draft") {
      isThere = true;
      if (s->kind() != StateKind::buffer ||
          s->bytes() != m.hidden_buffer_bytes())
        return fmt::format("state 'hidden_draft' has {} bytes, expected those "
                           "of 'hidden', {}",
                           s->bytes(), m.hidden_buffer_bytes());
    }
  if (isThere != (m.mtp_depth() > 0))
    return isThere ? "it has a state 'hidden_draft' and mtp_depth 0"
                   : "its layer of multi-token prediction has no state "
                     "'hidden_draft'";
  return "";
}

} // namespace

std::string checkDrafts(const Artifact &artifact) {
  const Model &m = *artifact.model();
  if (m.mtp_depth() > 1)
    return fmt::format("mtp_depth {} is out of range, at most one layer of "
                       "multi-token prediction is run",
                       m.mtp_depth());
  if (m.max_drafts() > kMaxDrafts || !m.max_drafts() != !m.mtp_depth())
    return fmt::format("max_drafts {} with mtp_depth {}, expected 1 to {} with "
                       "a layer of multi-token prediction and 0 without",
                       m.max_drafts(), m.mtp_depth(), kMaxDrafts);
  if (m.mtp_depth() && artifact.mesh())
    return "several ranks share a model with a layer of multi-token prediction";
  bool hasHead = false, hasVerify = false;
  for (const Entry *e : *artifact.entries()) {
    std::string what;
    if (e->kind() == EntryKind::draft_head || isDraft(e->kind())) {
      if (!m.mtp_depth())
        return fmt::format("entry '{}' has kind {} and mtp_depth is 0",
                           e->name()->string_view(),
                           EnumNameEntryKind(e->kind()));
      hasHead |= e->kind() == EntryKind::draft_head;
      if (isDraft(e->kind()))
        what = checkDraft(artifact, *e);
    } else if (isBody(e->kind())) {
      if (e->kind() == EntryKind::decode)
        what = checkDecode(*e, m.max_drafts());
      hasVerify |=
          e->kind() == EntryKind::decode && e->max_queries_per_row() > 1;
    }
    if (!what.empty())
      return what;
  }
  if (m.mtp_depth() && (!hasHead || !hasVerify))
    return fmt::format("max_drafts is {} and it has no {}", m.max_drafts(),
                       hasHead ? "decode entry that verifies drafts"
                               : "draft_head entry");
  if (m.mtp_depth())
    for (const Entry *e : *artifact.entries())
      if (isBody(e->kind()))
        if (std::string what = checkFollowed(artifact, *e); !what.empty())
          return what;
  return checkState(artifact);
}

} // namespace hadal::artifact
