// hadal-explain: what an error code means, why, and what to do.
#include <nlohmann/json.hpp>

#include "tools/common/Cli.h"
#include "tools/hadal-explain/ErrorPages.h"

using namespace hadal;
using namespace hadal::explain;
using Json = nlohmann::ordered_json;

namespace {

Json toJson(const ErrorCode &code) {
  Json json;
  json["code"] = fmt::format("H{}", code.code);
  json["exit_status"] = code.exitCode;
  json["sentence"] = code.sentence;
  json["page"] = pageOf(code);
  return json;
}

std::string list(bool isJson) {
  std::string text;
  Json json = Json::array();
  for (const ErrorCode &code : allCodes()) {
    json.push_back(toJson(code));
    text +=
        fmt::format("H{}  {:3}  {}\n", code.code, code.exitCode, code.sentence);
  }
  return isJson ? json.dump(2) + "\n" : text;
}

StatusOr<std::string> printPage(const std::string &text, bool isJson) {
  std::optional<ErrorCode> code = parseCode(text);
  if (!code)
    return error(5011, "'{}' is no error code{}{}; --list has all", text,
                 nearestCodes(text).empty() ? "" : "; near it are ",
                 fmt::join(nearestCodes(text), ", "));
  if (isJson)
    return toJson(*code).dump(2) + "\n";
  // As it is written: the pages are legible without a viewer.
  return fmt::format("H{}: {} (exit status {})\n\n{}\n", code->code,
                     code->sentence, code->exitCode, pageOf(*code));
}

} // namespace

int main(int argc, char **argv) {
  std::string code, format = "text";
  bool all = false;
  CLI::App app("Explains an error code: what it means, why, and the remedy.",
               "hadal-explain");
  CLI::Option *which = app.add_option("code", code, "e.g. H2003");
  app.add_flag("--list", all, "all codes, with the exit status of each")
      ->excludes(which);
  app.add_option("--format", format, "text or json")
      ->check(CLI::IsMember({"text", "json"}))
      ->capture_default_str();
  return cli::run(app, argc, argv, [&]() -> Status {
    if (code.empty() && !all)
      return error(5011, "name a code, or --list");
    const bool isJson = format == "json";
    if (all)
      return cli::writeStdout(list(isJson));
    HADAL_ASSIGN_OR_RETURN(std::string text, printPage(code, isJson));
    return cli::writeStdout(text);
  });
}
