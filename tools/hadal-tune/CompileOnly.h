// The artifact of the candidates, and what became of each; nothing is measured.
#pragma once

#include "tools/hadal-tune/CandidateArtifact.h"

namespace hadal::tune {

/// Builds the candidates and says of each kernel, as text or JSON, which are in
/// the artifact and which were refused (C01). The errors of buildCandidates.
StatusOr<std::string> compileOnly(const InputOptions &input,
                                  const CandidateOptions &options, bool json);

} // namespace hadal::tune
