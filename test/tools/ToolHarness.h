// Runs the built tools as child processes.
#pragma once

#include <string>
#include <vector>

#include "runtime/cts/ToyArtifact.h"

namespace hadal::toy {

struct ToolResult {
  int status; // exit status
  std::string out, err;
};

std::string readText(const std::string &path);
std::vector<std::string> splitLines(const std::string &text);

/// A directory with the toy artifact, its weights and a tokenizer of 64 ids: 0
/// and 1 are special, 2 is a space, 3 a line end, then a-z, A-Z, 0-7.
class ToyCheckpoint {
public:
  ToyCheckpoint();

  const TempDir &dir() const { return directory; }
  std::string artifact() const { return directory.file("m.hadal"); }

  /// Runs `TOOL ARGUMENTS` through the shell with |prefix| in front, e.g. an
  /// environment variable.
  ToolResult run(const std::string &tool, const std::string &arguments,
                 const std::string &prefix = "") const;
  /// hadal-run with artifact and weights.
  ToolResult runModel(const std::string &arguments,
                      const std::string &prefix = "") const;

private:
  TempDir directory;
};

std::vector<int32_t> idsOf(const std::string &text);
std::string textOf(const std::vector<int32_t> &ids);

/// Greedy decoding by the definition, up to and with an end-of-sequence token.
std::vector<int32_t> greedy(std::vector<int32_t> tokens, size_t count);

struct NpyMatrix {
  uint64_t rows = 0, columns = 0;
  std::vector<float> values;
};
/// A float32 C-order matrix; rows 0 if the file is not one.
NpyMatrix readNpy(const std::string &path);

} // namespace hadal::toy
