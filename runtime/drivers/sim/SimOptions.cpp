#include <charconv>

#include "runtime/drivers/sim/SimDriver.h"

namespace hadal::sim {

namespace {

Status unknownValue(std::string_view key, std::string_view value,
                    std::string_view expected) {
  return error(5011, "option {}={} of the simulator: expected {}", key, value,
               expected);
}

/// Sets |target| to the choice that |value| names.
template <typename T>
Status choose(std::string_view key, std::string_view value, T &target,
              std::initializer_list<std::pair<std::string_view, T>> choices) {
  std::string expected;
  for (const auto &[name, meaning] : choices) {
    if (value == name) {
      target = meaning;
      return {};
    }
    expected += fmt::format("{}{}", expected.empty() ? "" : " or ", name);
  }
  return unknownValue(key, value, expected);
}

Status setOption(std::string_view key, std::string_view value,
                 SimOptions &options) {
  if (key == "policy")
    return choose<PolicyChoice>(key, value, options.policy,
                                {{"eager", PolicyChoice::Eager},
                                 {"lazy", PolicyChoice::Lazy},
                                 {"alternate", PolicyChoice::Alternate}});
  if (key == "fp8")
    return choose<Fp8Accumulate>(key, value, options.fp8Accumulate,
                                 {{"exact", Fp8Accumulate::exact},
                                  {"hopper13", Fp8Accumulate::hopper13}});
  if (key == "races")
    return choose<bool>(key, value, options.checkRaces,
                        {{"on", true}, {"off", false}});
  if (key == "poison")
    return choose<bool>(key, value, options.poisonActivations,
                        {{"on", true}, {"off", false}});
  if (key == "findings")
    return choose<bool>(key, value, options.printFindings,
                        {{"stop", false}, {"print", true}});
  auto number = [&](auto &target) -> Status {
    const char *end = value.data() + value.size();
    auto [next, failure] = std::from_chars(value.data(), end, target);
    if (failure != std::errc() || next != end)
      return unknownValue(key, value, "a number");
    return {};
  };
  if (key == "seed")
    return number(options.seed);
  if (key == "threads")
    return number(options.threads);
  return error(5011,
               "'{}' is no option of the simulator; expected policy, "
               "fp8, seed, threads, races, poison or findings",
               key);
}

} // namespace

StatusOr<SimOptions> parseSimOptions(const std::string &text) {
  SimOptions options;
  for (size_t at = 0; at < text.size();) {
    const size_t end = std::min(text.find(',', at), text.size());
    std::string_view item = std::string_view(text).substr(at, end - at);
    const size_t equals = item.find('=');
    if (equals == std::string_view::npos)
      return error(5011,
                   "'{}' is no option of the simulator; expected "
                   "name=value",
                   item);
    HADAL_RETURN_IF_ERROR(
        setOption(item.substr(0, equals), item.substr(equals + 1), options));
    at = end + 1;
  }
  return options;
}

} // namespace hadal::sim
