#include "runtime/base/Progress.h"

#include <algorithm>

#include <fmt/format.h>
#include <unistd.h>

namespace hadal {

using Clock = std::chrono::steady_clock;

std::string formatBytes(uint64_t bytes) {
  const char *units[] = {"B", "KiB", "MiB", "GiB", "TiB"};
  double value = static_cast<double>(bytes);
  int unit = 0;
  while (value >= 1024 && unit < 4) {
    value /= 1024;
    ++unit;
  }
  if (unit == 0)
    return fmt::format("{} B", bytes);
  return fmt::format("{:.{}f} {}", value,
                     value < 10    ? 2
                     : value < 100 ? 1
                                   : 0,
                     units[unit]);
}

Progress::Progress(std::string label, uint64_t total, Unit unit,
                   std::FILE *stream)
    : label_(std::move(label)), total_(total), unit_(unit), stream_(stream),
      terminal_(stream && ::isatty(::fileno(stream))), start_(Clock::now()),
      lastPrint_(start_) {}

Progress::~Progress() { finish(); }

double Progress::seconds() const {
  return std::chrono::duration<double>(Clock::now() - start_).count();
}

std::string Progress::render() const {
  auto amount = [&](uint64_t n) {
    return unit_ == Unit::Bytes ? formatBytes(n) : fmt::format("{}", n);
  };
  std::string text = fmt::format("{}: {}", label_, amount(done_));
  if (total_)
    text += fmt::format(" of {} ({}%)", amount(total_),
                        static_cast<int>(100.0 * done_ / total_));
  return text + fmt::format(", {:.1f} s", seconds());
}

void Progress::update(uint64_t done) {
  done_ = total_ ? std::min(done, total_) : done;
  if (!stream_ || finished_)
    return;
  Clock::time_point now = Clock::now();
  int tenth = total_ ? static_cast<int>(10.0 * done_ / total_) : 0;
  if (terminal_) {
    if (now - lastPrint_ < std::chrono::milliseconds(100))
      return;
    // "\033[K" clears what a longer line left behind.
    fmt::print(stream_, "\r{}\033[K", render());
  } else {
    bool due = total_ ? tenth > lastTenth_ : true;
    if (!due || now - lastPrint_ < std::chrono::seconds(2))
      return;
    fmt::print(stream_, "{}\n", render());
  }
  std::fflush(stream_);
  lastTenth_ = tenth;
  lastPrint_ = now;
  printed_ = true;
}

void Progress::finish() {
  if (finished_)
    return;
  finished_ = true;
  if (!stream_ || !printed_)
    return;
  fmt::print(stream_, "{}{}{}\n", terminal_ ? "\r" : "", render(),
             terminal_ ? "\033[K" : "");
  std::fflush(stream_);
}

} // namespace hadal
