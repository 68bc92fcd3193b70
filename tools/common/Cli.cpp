#include "tools/common/Cli.h"

#include <charconv>
#include <cstdio>
#include <cstring>
#include <fstream>

#include "runtime/base/ProcessMemory.h"
#include "runtime/base/Progress.h"

namespace hadal::cli {

void LoadFlags::add(CLI::App &app, bool needsWeights) {
  app.add_option("artifact", artifact, "the .hadal file")->required();
  app.add_option("--weights", weights,
                 "the checkpoint directory it was compiled for")
      ->required(needsWeights);
  app.add_option("-t,--threads", device.threads,
                 "threads of the cpu device; default: as many as the process "
                 "may run on")
      ->check(CLI::Range(1u, 1024u));
  app.add_option("--device", device.device,
                 std::string(kDeviceNames) +
                     "; default: what runs the artifact's target");
  app.add_option("--sim", device.sim,
                 "options of the sim device, e.g. policy=lazy,seed=7: "
                 "policy=eager|lazy|alternate, fp8=exact|hopper13, seed=N, "
                 "races=on|off, poison=on|off, findings=stop|print; default: HADAL_SIM");
  app.add_flag("-q,--quiet", quiet, "no progress and no statistics on stderr");
}

StatusOr<std::unique_ptr<Model>> loadModel(const LoadFlags &flags,
                                           uint32_t rows, comm::Group *group,
                                           const std::string &placement) {
  HADAL_ASSIGN_OR_RETURN(Artifact artifact, Artifact::open(flags.artifact));
  HADAL_ASSIGN_OR_RETURN(std::unique_ptr<Driver> driver,
                         createDriver(flags.device, artifact));
  const std::string description = driver->description();
  ModelOptions options;
  options.artifactPath = flags.artifact;
  options.weightsDirectory = flags.weights;
  options.quiet = flags.quiet;
  options.group = group;
  options.placementPath = placement;
  options.interrupt = &interruptFlag();
  options.rows =
      std::min<uint32_t>(rows, artifact.model().max_batch_size());
  HADAL_ASSIGN_OR_RETURN(
      std::unique_ptr<Model> model,
      Model::load(std::move(driver), std::move(artifact), options));
  if (!flags.quiet) {
    HADAL_ASSIGN_OR_RETURN(ProcessMemory memory, readProcessMemory());
    const WeightStatistics &w = model->weightStatistics();
    const std::string weights =
        model->uploadedBytes()
            ? fmt::format("{} uploaded", formatBytes(model->uploadedBytes()))
            : fmt::format("{} mapped, {} copied", formatBytes(w.mappedBytes),
                          formatBytes(w.copiedBytes + w.misalignedBytes));
    fmt::print(stderr,
               "loaded {} in {:.2f} s on {} (image {}): weights {}; process {} "
               "of file pages, {} anonymous\n",
               flags.artifact, model->loadSeconds(), description,
               model->executable().variant(), weights,
               formatBytes(memory.file), formatBytes(memory.anonymous));
  }
  return model;
}

StatusOr<std::vector<int32_t>> parseIds(const std::string &text) {
  std::vector<int32_t> ids;
  const char *at = text.data(), *end = at + text.size();
  while (true) {
    int32_t id = 0;
    auto [next, failure] = std::from_chars(at, end, id);
    if (failure != std::errc() || (next != end && *next != ','))
      return error(5011,
                   "'{}' is not a list of token ids: expected numbers "
                   "separated by commas, found '{}' at character {}",
                   text, std::string(at, std::min<size_t>(end - at, 12)),
                   at - text.data());
    ids.push_back(id);
    if (next == end)
      return ids;
    at = next + 1;
  }
}

StatusOr<std::vector<std::string>> readLines(const std::string &path) {
  std::ifstream in(path);
  if (!in)
    return error(5001, "cannot open '{}': {}; give a readable text file", path,
                 std::strerror(errno));
  std::vector<std::string> lines;
  for (std::string line; std::getline(in, line);) {
    if (line.ends_with('\r')) // the rest of a line end of Windows
      line.pop_back();
    lines.push_back(line);
  }
  if (in.bad())
    return error(5001, "cannot read '{}': {}; give a readable text file", path,
                 std::strerror(errno));
  if (lines.empty())
    return error(5005, "'{}' holds no line; write one prompt a line", path);
  return lines;
}

} // namespace hadal::cli
