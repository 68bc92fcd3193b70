// Dumps of the compiler: their texts, their indices, what they alone know.
#include <algorithm>
#include <filesystem>
#include <map>
#include <regex>

#include "runtime/base/Hash.h"
#include "runtime/base/Json.h"
#include "runtime/base/MappedFile.h"
#include "tools/hadal-report/Inputs.h"

namespace hadal::report {

namespace {

namespace fs = std::filesystem;

constexpr int kCode = 5023;
constexpr std::string_view kIndexSuffix = ".index.json";
constexpr std::string_view kKernelSuffix = ".sm90.mlir";

StatusOr<std::string> readText(const fs::path &path) {
  HADAL_ASSIGN_OR_RETURN(MappedFile file, MappedFile::open(path.string()));
  return std::string(reinterpret_cast<const char *>(file.data()), file.size());
}

/// "7-fuse" as 7, so that "10-plan" comes after it.
long numberOf(const std::string &name) { return std::atol(name.c_str()); }

/// The dumps of |directory| by their number: paths without ".mlir".
StatusOr<std::vector<fs::path>> findDumps(const fs::path &directory) {
  std::error_code failure;
  std::vector<fs::path> dumps;
  for (const auto &file : fs::directory_iterator(directory, failure)) {
    const std::string name = file.path().filename().string();
    if (name.ends_with(kIndexSuffix))
      dumps.push_back(directory /
                      name.substr(0, name.size() - kIndexSuffix.size()));
  }
  if (failure)
    return error(5001, "cannot read the directory '{}': {}", directory.string(),
                 failure.message());
  std::sort(dumps.begin(), dumps.end(), [](const auto &a, const auto &b) {
    const std::string x = a.filename().string(), y = b.filename().string();
    return std::pair(numberOf(x), x) < std::pair(numberOf(y), y);
  });
  return dumps;
}

/// A dump as {"word", "text", "index"}; |word| is what it is called.
StatusOr<Json> addDump(Report &report, const fs::path &dump,
                       const std::string &word, Report::Part part,
                       std::string &text) {
  const std::string indexPath = dump.string() + std::string(kIndexSuffix);
  HADAL_ASSIGN_OR_RETURN(text, readText(dump.string() + ".mlir"));
  HADAL_ASSIGN_OR_RETURN(hadal::Json index, readJsonFile(indexPath, kCode));
  const hadal::Json *hash = findMember(index, "text_xxh3");
  const std::string own = fmt::format("{:016x}", xxh3(text));
  if (!asString(hash) || *asString(hash) != own)
    return error(kCode,
                 "'{}' is not the index of '{}.mlir': it is of a text with "
                 "digest {}, found {}; dump the phases again",
                 indexPath, dump.string(),
                 asString(hash) ? *asString(hash) : "none", own);
  Json one;
  one["word"] = word;
  one["lines"] = std::count(text.begin(), text.end(), '\n');
  one["index"] = report.addBlob(index.dump(), part, "the index of " + word);
  one["text"] = report.addBlob(text, part, "the IR after " + word);
  return one;
}

/// Operations of a program that are commands of the artifact, one to one.
constexpr std::string_view kCommandOps[] = {"exec.launch ", "exec.call ",
                                            "exec.repeat ", "exec.collective ",
                                            "exec.record ", "exec.wait "};

bool isCommand(std::string_view line) {
  return std::any_of(
      std::begin(kCommandOps), std::end(kCommandOps),
      [&](std::string_view op) { return line.find(op) != line.npos; });
}

/// Commands of each function of a program.
using CommandCounts = std::map<std::string, size_t>;

/// The planned buffers of each function of |text|: label, bytes, offset, and
/// the first and the last command that uses each. |counts|: all commands.
Json findBuffers(const std::string &text, CommandCounts &counts) {
  static const std::regex kFunction(
      R"(exec\.(?:func|entry) (?:private )?@("?)([^" (]+)\1)");
  static const std::regex kBuffer(
      R"re(%([\w.$#-]+) = exec\.buffer "([^"]*)" (\d+)(?: at (\d+))?)re");
  static const std::regex kValue(R"(%([\w.$#-]+))");
  Json functions = Json::object();
  std::string function;
  std::map<std::string, size_t> places; ///< of the buffers by their values
  int64_t command = 0;
  size_t begin = 0;
  while (begin < text.size()) {
    const size_t end = std::min(text.find('\n', begin), text.size());
    const std::string line = text.substr(begin, end - begin);
    begin = end + 1;
    std::smatch found;
    // A regex on each line of megabytes is slow; most lines have neither.
    if (line.find("exec.func ") != line.npos ||
        line.find("exec.entry ") != line.npos) {
      if (std::regex_search(line, found, kFunction))
        function = found[2].str();
      places.clear();
      command = 0;
      counts[function] = 0;
    } else if (line.find("exec.buffer ") != line.npos &&
               std::regex_search(line, found, kBuffer) && found[4].matched) {
      Json &columns = functions[function];
      places[found[1].str()] = columns["label"].size();
      columns["label"].push_back(found[2].str());
      columns["bytes"].push_back(std::stoull(found[3].str()));
      columns["offset"].push_back(std::stoull(found[4].str()));
      columns["first"].push_back(-1);
      columns["last"].push_back(-1);
    } else if (isCommand(line)) {
      for (std::sregex_iterator it(line.begin(), line.end(), kValue), none;
           it != none; ++it)
        if (auto place = places.find((*it)[1].str()); place != places.end()) {
          Json &columns = functions[function];
          if (columns["first"][place->second] == -1)
            columns["first"][place->second] = command;
          columns["last"][place->second] = command;
        }
      counts[function] = static_cast<size_t>(++command);
    }
  }
  return functions;
}

/// H5023 if the program with |counts| is not the one of the artifact.
Status checkProgram(const Report &report, const CommandCounts &counts,
                    const std::string &dump) {
  for (const Json &function : report.data["functions"]) {
    const std::string name = function["name"];
    const size_t expected = function["commands"]["op"].size();
    auto it = counts.find(name);
    if (it == counts.end() || it->second != expected)
      return error(
          kCode,
          "'{}' is not of this artifact: function '{}' has {} commands "
          "in the artifact, {} in the dump; give the phases of the "
          "run that wrote the artifact",
          dump, name, expected,
          it == counts.end() ? "none" : std::to_string(it->second));
  }
  return {};
}

/// The IR that a target has below tile, one file for each kernel.
Status addKernelTexts(Report &report, const fs::path &directory) {
  for (Json &kernel : report.data["kernels"]) {
    const std::string name = kernel["name"];
    // A name of an untrusted artifact may not lead elsewhere.
    if (name.find('/') != name.npos)
      continue;
    const fs::path path = directory / (name + std::string(kKernelSuffix));
    std::error_code failure;
    if (!fs::exists(path, failure))
      continue;
    HADAL_ASSIGN_OR_RETURN(std::string text, readText(path));
    kernel["code"]["sm90"] = report.addBlob(std::move(text), Report::Part::sm90,
                                            "the sm90 IR of " + name);
  }
  return {};
}

} // namespace

Status addPhases(Report &report, const std::string &directory) {
  HADAL_ASSIGN_OR_RETURN(std::vector<fs::path> dumps, findDumps(directory));
  if (dumps.empty())
    return error(5001,
                 "'{}' holds no dumps; hadal-compile --dump-phases-to "
                 "writes them",
                 directory);
  report.data["phases"] = Json::array();
  for (const fs::path &dump : dumps) {
    const std::string name = dump.filename().string();
    std::string text;
    HADAL_ASSIGN_OR_RETURN(
        Json phase, addDump(report, dump, name, Report::Part::needed, text));
    report.data["phases"].push_back(std::move(phase));
    CommandCounts counts;
    if (Json buffers = findBuffers(text, counts); !buffers.empty()) {
      HADAL_RETURN_IF_ERROR(checkProgram(report, counts, name + ".mlir"));
      report.data["buffers"] = std::move(buffers);
    }
  }
  std::error_code failure;
  for (const auto &folder : fs::directory_iterator(directory, failure))
    if (folder.is_directory())
      HADAL_RETURN_IF_ERROR(addKernelTexts(report, folder.path()));
  return {};
}

Status addPasses(Report &report, const std::string &directory) {
  std::error_code failure;
  std::vector<fs::path> phases;
  for (const auto &folder : fs::directory_iterator(directory, failure))
    if (folder.is_directory())
      phases.push_back(folder.path());
  if (failure || phases.empty())
    return error(5001,
                 "'{}' holds no snapshots; hadal-compile "
                 "--dump-passes-to writes them",
                 directory);
  std::sort(phases.begin(), phases.end(), [](const auto &a, const auto &b) {
    return numberOf(a.filename().string()) < numberOf(b.filename().string());
  });
  report.data["passes"] = Json::array();
  for (const fs::path &phase : phases) {
    HADAL_ASSIGN_OR_RETURN(std::vector<fs::path> dumps, findDumps(phase));
    for (const fs::path &dump : dumps) {
      std::string text;
      HADAL_ASSIGN_OR_RETURN(
          Json pass,
          addDump(report, dump,
                  phase.filename().string() + "/" + dump.filename().string(),
                  Report::Part::passes, text));
      report.data["passes"].push_back(std::move(pass));
    }
  }
  return {};
}

} // namespace hadal::report
