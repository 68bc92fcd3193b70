// hadal-extract: kernels of an artifact as a folder that is checked and timed
// without the model, its weights, the compiler or a network.
#include <filesystem>

#include "runtime/base/MappedFile.h"
#include "runtime/base/OutputFile.h"
#include "tools/common/Cli.h"
#include "tools/hadal-extract/ExtractKernels.h"
#include "tools/hadal-extract/TileText.h"

using namespace hadal;

namespace {

namespace fs = std::filesystem;

struct Flags {
  std::string artifact, output, phases;
  extract::Selection selection;
  bool quiet = false;
};

constexpr std::string_view kArtifactName = "kernels.hadal";

/// Inputs follow from the specs, so that the folder holds none.
constexpr std::string_view kRun = R"(#!/bin/sh
# Checks these kernels against references in double and times them; options go
# to hadal-bench: --device cuda, --check-only, --seed 7, --json FILE.
exec hadal-bench "$(dirname "$0")/kernels.hadal" --kernels . "$@"
)";

Status writeFile(const fs::path &path, std::string_view bytes) {
  HADAL_ASSIGN_OR_RETURN(OutputFile file, OutputFile::create(path.string()));
  HADAL_RETURN_IF_ERROR(file.write(bytes));
  return file.commit();
}

StatusOr<std::string> readText(const fs::path &path) {
  HADAL_ASSIGN_OR_RETURN(MappedFile file, MappedFile::open(path.string()));
  return std::string(reinterpret_cast<const char *>(file.data()), file.size());
}

/// The dump of |phase| in |directory|, whatever its number: "9-lower.mlir".
StatusOr<std::string> readDump(const std::string &directory,
                               const std::string &phase) {
  std::error_code failure;
  for (const auto &file : fs::directory_iterator(directory, failure))
    if (file.path().filename().string().ends_with("-" + phase + ".mlir"))
      return readText(file.path());
  if (failure)
    return error(5001, "cannot read the directory '{}': {}", directory,
                 failure.message());
  return error(5001,
               "'{}' has no dump of the phase '{}'; hadal-compile "
               "--dump-phases-to writes it",
               directory, phase);
}

/// The texts of |kernels|: PTX, and the tile kernel where the dumps are given.
Status writeTexts(const Flags &flags, const Artifact &artifact,
                  const std::vector<unsigned> &kernels) {
  std::string module;
  if (!flags.phases.empty()) {
    HADAL_ASSIGN_OR_RETURN(module, readDump(flags.phases, "lower"));
  }
  for (unsigned k : kernels) {
    const std::string name = artifact.root().kernels()->Get(k)->name()->str();
    const fs::path path = fs::path(flags.output) / name;
    if (artifact.hasCode(k, "ptx")) {
      HADAL_ASSIGN_OR_RETURN(std::string ptx, artifact.code(k, "ptx"));
      HADAL_RETURN_IF_ERROR(writeFile(path.string() + ".ptx", ptx));
    }
    if (module.empty())
      continue;
    const auto text = extract::findTileKernel(module, name);
    if (!text)
      return error(5005,
                   "the dumps in '{}' have no kernel '{}': they are of another "
                   "compilation than '{}'",
                   flags.phases, name, artifact.path());
    HADAL_RETURN_IF_ERROR(writeFile(path.string() + ".mlir", *text));
  }
  return {};
}

Status extractTo(const Flags &flags) {
  HADAL_ASSIGN_OR_RETURN(Artifact artifact, Artifact::open(flags.artifact));
  HADAL_ASSIGN_OR_RETURN(std::vector<unsigned> kernels,
                         extract::selectKernels(artifact, flags.selection));
  HADAL_ASSIGN_OR_RETURN(std::vector<uint8_t> bytes,
                         extract::extractKernels(artifact, kernels));
  std::error_code failure;
  fs::create_directories(flags.output, failure);
  if (failure)
    return error(5015, "cannot create the directory '{}': {}", flags.output,
                 failure.message());
  const fs::path folder = flags.output;
  HADAL_RETURN_IF_ERROR(writeTexts(flags, artifact, kernels));
  HADAL_RETURN_IF_ERROR(
      writeFile(folder / kArtifactName,
                {reinterpret_cast<const char *>(bytes.data()), bytes.size()}));
  HADAL_RETURN_IF_ERROR(writeFile(folder / "run.sh", kRun));
  fs::permissions(folder / "run.sh",
                  fs::perms::owner_exec | fs::perms::group_exec |
                      fs::perms::others_exec,
                  fs::perm_options::add, failure);
  if (failure)
    return error(5015, "cannot make '{}' executable: {}",
                 (folder / "run.sh").string(), failure.message());
  if (!flags.quiet)
    fmt::print(stderr,
               "hadal-extract: wrote {} kernels of {} to {} ({} bytes)\n",
               kernels.size(), artifact.root().kernels()->size(), flags.output,
               bytes.size());
  return {};
}

} // namespace

int main(int argc, char **argv) {
  Flags flags;
  CLI::App app("Kernels of an artifact as a folder that hadal-bench checks and "
               "times without model, weights or compiler.",
               "hadal-extract");
  app.add_option("artifact", flags.artifact, "the .hadal file")->required();
  app.add_option("-o", flags.output, "directory to write")->required();
  app.add_option("--kernel", flags.selection.pattern,
                 "kernels whose name or spec holds it")
      ->type_name("REGEX");
  app.add_option("--op", flags.selection.operation,
                 "kernels of the launches of a model operation, by its key")
      ->type_name("KEY");
  app.add_option("--phases", flags.phases,
                 "dumps of the same compilation: adds each kernel's tile text")
      ->type_name("DIR");
  app.add_flag("-q,--quiet", flags.quiet, "no line on stderr");
  return cli::run(app, argc, argv, [&] { return extractTo(flags); });
}
