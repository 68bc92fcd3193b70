// Progress of a long step on stderr: a bar on a terminal, plain lines
// elsewhere.
#pragma once

#include <chrono>
#include <cstdint>
#include <cstdio>
#include <string>

namespace hadal {

/// One long step. On a terminal a line is redrawn at most ten times a second;
/// elsewhere a line is printed at the start of each tenth, at most one in two
/// seconds, and one at the end of a step that took longer than that.
class Progress {
public:
  enum class Unit { Items, Bytes };

  /// |total| 0: unknown. Prints to |stream| unless it is null (quiet).
  Progress(std::string label, uint64_t total, Unit unit = Unit::Items,
           std::FILE *stream = stderr);
  ~Progress();
  Progress(const Progress &) = delete;
  Progress &operator=(const Progress &) = delete;

  void update(uint64_t done);
  void advance(uint64_t amount = 1) { update(done_ + amount); }
  /// Ends the step; the destructor does it if nobody did.
  void finish();
  double seconds() const;

private:
  std::string render() const;

  std::string label_;
  uint64_t total_, done_ = 0;
  Unit unit_;
  std::FILE *stream_;
  bool terminal_ = false, finished_ = false, printed_ = false;
  int lastTenth_ = 0;
  std::chrono::steady_clock::time_point start_, lastPrint_;
};

/// "1.25 GiB", "640 MiB", "17 B".
std::string formatBytes(uint64_t bytes);

} // namespace hadal
