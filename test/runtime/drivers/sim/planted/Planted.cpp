#include "test/runtime/drivers/sim/planted/Planted.h"

#include <sstream>

namespace hadal::sim::test {

std::string planted(std::string text, const std::string &from,
                    const std::string &to) {
  size_t at = text.find(from);
  if (at == std::string::npos || text.find(from, at + 1) != std::string::npos) {
    ADD_FAILURE() << "'" << from << "' does not occur exactly once";
    return text;
  }
  return text.replace(at, from.size(), to);
}

std::string replaced(std::string text, const std::string &from,
                     const std::string &to) {
  for (size_t at = text.find(from); at != std::string::npos;
       at = text.find(from, at + to.size()))
    text.replace(at, from.size(), to);
  return text;
}

std::string registerList(const std::string &prefix, unsigned count) {
  std::string list = "{";
  for (unsigned i = 0; i < count; ++i)
    list += (i ? ", " : "") + prefix + std::to_string(i);
  return list + "}";
}

void forBothPolicies(const std::function<void(AsyncPolicy)> &body) {
  for (AsyncPolicy policy : {AsyncPolicy::eager, AsyncPolicy::lazy}) {
    SCOPED_TRACE(policy == AsyncPolicy::eager ? "eager" : "lazy");
    body(policy);
  }
}

std::string lineOf(const std::string &text, unsigned line) {
  std::istringstream stream(text);
  std::string result;
  for (unsigned i = 0; i < line; ++i)
    std::getline(stream, result);
  return result;
}

::testing::AssertionResult found(const Report &report, const std::string &text,
                                 FindingKind kind, const std::string &where) {
  for (const Finding &finding : report.findings)
    if (finding.kind == kind &&
        lineOf(text, finding.line).find(where) != std::string::npos)
      return ::testing::AssertionSuccess();
  return ::testing::AssertionFailure()
         << "no finding '" << findingName(kind) << "' at '" << where
         << "'; the report is\n"
         << report.toString();
}

ParameterBlock &ParameterBlock::append(const void *data, size_t bytes,
                                       size_t align) {
  block.resize((block.size() + align - 1) / align * align);
  const auto *from = static_cast<const uint8_t *>(data);
  block.insert(block.end(), from, from + bytes);
  return *this;
}

Report launchText(const std::string &text, const std::string &name,
                  const LaunchConfig &config, const ParameterBlock &parameters,
                  Memory &memory, const Options &options) {
  auto module = PtxModule::parse(text);
  if (!module.ok()) {
    ADD_FAILURE() << module.status().message();
    return {};
  }
  auto report = launch(**module, name, config, parameters.bytes(), memory,
                       options);
  if (!report.ok()) {
    ADD_FAILURE() << report.status().message();
    return {};
  }
  return *report;
}

} // namespace hadal::sim::test
