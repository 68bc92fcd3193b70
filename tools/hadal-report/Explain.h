// What happened to one operation, as text: the report without the page.
#pragma once

#include "tools/hadal-report/Report.h"

namespace hadal::report {

/// |what| is a key, "moe_layer.gate_up", or a key and a bucket,
/// "moe_layer.gate_up@decode_16"; without one the first bucket that launches
/// it. Its lines in each phase that |report| has, its launches, what each
/// costs, its kernels with their schedules and origins, and the choices of its
/// bucket. H5011 names the nearest keys, or the buckets, for one that is not
/// there.
StatusOr<Json> explainOperation(const Report &report, const std::string &what);

} // namespace hadal::report
