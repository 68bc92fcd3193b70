// What the kinds of entries have in common.
#pragma once

#include "runtime/schemas/artifact_generated.h"

namespace hadal::artifact {

/// Whether entries of |kind| compute logits: they have logit_rows alone.
constexpr bool isHead(schema::EntryKind kind) {
  return kind == schema::EntryKind::head ||
         kind == schema::EntryKind::draft_head;
}
/// Whether entries of |kind| run the layer of multi-token prediction.
constexpr bool isDraft(schema::EntryKind kind) {
  return kind == schema::EntryKind::draft ||
         kind == schema::EntryKind::draft_next ||
         kind == schema::EntryKind::draft_prefill;
}
/// Whether entries of |kind| are a call of the model itself.
constexpr bool isBody(schema::EntryKind kind) {
  return kind == schema::EntryKind::decode ||
         kind == schema::EntryKind::prefill;
}

} // namespace hadal::artifact
