// The links of a run, measured by a few collectives alone.
#pragma once

#include "cost/Cluster.h"
#include "runtime/comm/QueueStream.h"
#include "runtime/session/Model.h"
#include "tools/profile/EntryNames.h"

namespace hadal::bench {

/// A link for each label of the collectives of |entry|, whose |names| they are:
/// the time that one of
/// them takes when all ranks come at once and no kernel runs, with a row in
/// each block and with all of them (medians of some). All ranks call it. H5011
/// where the ranks' library gives no way to do so; H6001, H6006, H6007.
StatusOr<cost::Cluster> measureLinks(const Model &model,
                                     const schema::Entry &entry,
                                     const profile::EntryNames &names,
                                     const comm::StreamOptions &options);

} // namespace hadal::bench
