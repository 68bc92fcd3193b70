// Runs a list of requests to their ends: what hadal-run does with its prompts.
#pragma once

#include <functional>
#include <span>

#include "runtime/engine/Ticket.h"
#include "runtime/session/Session.h"

namespace hadal::engine {

struct GenerateStatistics {
  uint64_t promptTokens = 0;
  uint64_t generatedTokens = 0;
  double prefillSeconds = 0;
  double decodeSeconds = 0;
};

/// Told of every token, without text: |request| is the index in the list; the
/// delta of its last one, which an error may leave without ids, says why it
/// ended.
using DeltaSink = std::function<Status(size_t request, const Delta &delta)>;

/// Runs all |requests|, of one choice each, as many at once as the session has
/// rows, the next one as soon as a row ends. What a request generates does not
/// depend on the others, up to the rounding of kernels of other buckets.
/// |session| has no rows of its own meanwhile.
///
/// Of one rank by the scheduler. Of several ranks by steps of the session,
/// which go in lock step: each rank decides for itself which requests it has,
/// and a scheduler that preempts, or takes a prefix from a cache, would have to
/// decide for all; logprobs, stop strings and priorities are refused there.
///
/// Errors: those of Scheduler::validate before anything runs; H5016; of one
/// rank H5008 of the first request that it has ended, after the others have
/// gone on to their ends; of several ranks all of Session::step at once.
StatusOr<GenerateStatistics> generate(Session &session, const Model &model,
                                      std::span<const Request> requests,
                                      const DeltaSink &sink);

} // namespace hadal::engine
