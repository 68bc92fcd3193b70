#include "tools/hadal-tune/CompileOnly.h"

#include <nlohmann/json.hpp>

namespace hadal::tune {

StatusOr<std::string> compileOnly(const InputOptions &input,
                                  const CandidateOptions &options, bool json) {
  HADAL_ASSIGN_OR_RETURN(std::vector<BuiltKernel> kernels,
                         buildCandidates(input, options));
  nlohmann::ordered_json rows = nlohmann::ordered_json::array();
  std::string text;
  size_t built = 0, refused = 0;
  for (const BuiltKernel &kernel : kernels) {
    built += kernel.built.size();
    refused += kernel.refused.size();
    nlohmann::ordered_json c01 = nlohmann::ordered_json::array();
    text += fmt::format("{}: {} built, {} refused\n", kernel.name,
                        kernel.built.size(), kernel.refused.size());
    for (const auto &[words, message] : kernel.refused) {
      const std::string schedule = schedule::canonicalText(words);
      text += fmt::format("  C01 {}: {}\n", schedule, message);
      c01.push_back({{"schedule", schedule}, {"message", message}});
    }
    nlohmann::ordered_json candidates = nlohmann::ordered_json::array();
    for (const BuiltKernel::Built &each : kernel.built)
      candidates.push_back(
          {{"name", each.symbol},
           {"bits",
            each.candidate.bits == schedule::Bits::same ? "same" : "order"},
           {"schedule", schedule::canonicalText(each.candidate.words)}});
    rows.push_back({{"name", kernel.name},
                    {"candidates", std::move(candidates)},
                    {"C01", std::move(c01)}});
  }
  if (json)
    return nlohmann::ordered_json{{"artifact", options.output},
                                  {"built", built},
                                  {"refused", refused},
                                  {"kernels", std::move(rows)}}
               .dump(2) +
           "\n";
  return text + fmt::format("\n{}: {} candidates of {} kernels, {} refused\n",
                            options.output, built, kernels.size(), refused);
}

} // namespace hadal::tune
