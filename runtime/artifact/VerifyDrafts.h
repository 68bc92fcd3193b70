// The meaning of what only an artifact with a layer of multi-token prediction
// has: its facts, its entries and the state that they hand on. Part of
// verifyMeaning.
#pragma once

#include <string>

#include "runtime/schemas/artifact_generated.h"

namespace hadal::artifact {

/// What is wrong, or "" if nothing is: of mtp_depth and max_drafts, of the
/// queries of decode entries, of draft entries without a body of the same
/// extents or the reverse, of the state `hidden_draft`. The buckets of the
/// entries are possible.
std::string checkDrafts(const schema::Artifact &artifact);

} // namespace hadal::artifact
