// One ordinary artifact that holds, beside a program's kernels, the candidates
// of each: what is measured, and what any driver loads and runs.
#pragma once

#include "schedule/Ranking.h"
#include "tools/hadal-tune/KernelSet.h"

namespace hadal::tune {

struct CandidateOptions {
  schedule::EnumerateOptions space;
  schedule::RankOptions rank;
  int vectorBits = 512; ///< of the CPU image that is tuned
  std::string images;   ///< of the cpu target: hadal-compile's option
  unsigned threads = 0; ///< of code generation; 0: one per core
  std::string output;   ///< the artifact
};

/// What became of the candidates of one kernel.
struct BuiltKernel {
  std::string name;
  struct Built {
    std::string symbol; ///< NAME__c1, ...
    schedule::Candidate candidate;
  };
  std::vector<Built> built;
  /// C01: the schedule was refused, with the message.
  std::vector<std::pair<schedule::Words, std::string>> refused;
};

/// Compiles |input| to |options|.output with every candidate that is measured.
/// Candidate i of kernel NAME (rank i of rankCandidates) is kernel NAME__c<i>.
/// It is launched behind the largest launch of NAME, on the same arguments, so
/// that it is planned, verified and run like any other; a kernel that adds to
/// what it reads is then run more than once, so the program is for measurements
/// and not for answers. H5011 for an artifact as input, or if there is no
/// candidate; else the compiler's errors.
StatusOr<std::vector<BuiltKernel>>
buildCandidates(const InputOptions &input, const CandidateOptions &options);

} // namespace hadal::tune
