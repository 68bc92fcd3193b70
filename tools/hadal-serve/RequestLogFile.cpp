#include "tools/hadal-serve/RequestLogFile.h"

#include <cerrno>
#include <cmath>
#include <cstring>
#include <ctime>

namespace hadal::serve {

Status RequestLogFile::open(const std::string &to) {
  std::FILE *opened = nullptr;
  if (!to.empty() && !(opened = std::fopen(to.c_str(), "ae")))
    return error(5015, "cannot write the log '{}': {}", to,
                 std::strerror(errno));
  std::lock_guard lock(mutex);
  if (file)
    std::fclose(file);
  file = opened;
  path = to;
  return {};
}

RequestLogFile::~RequestLogFile() {
  if (file)
    std::fclose(file);
}

void RequestLogFile::write(const RequestLog &line) {
  char time[32];
  const std::time_t now = std::time(nullptr);
  std::tm utc;
  std::strftime(time, sizeof(time), "%FT%TZ", gmtime_r(&now, &utc));
  nlohmann::ordered_json json = {
      {"time", time},
      {"id", line.id},
      {"path", line.path},
      {"status", line.status},
      {"end", line.end},
      {"prompt_tokens", line.usage.promptTokens},
      {"cached_tokens", line.usage.cachedTokens},
      {"tokens", line.usage.generatedTokens},
      {"first_ms", std::round(line.firstTokenSeconds * 1e4) / 10},
      {"ms", std::round(line.seconds * 1e4) / 10}};
  if (!line.key.empty())
    json["key"] = line.key;
  const std::string text = dump(json) + "\n";
  std::lock_guard lock(mutex);
  std::FILE *to = file ? file : stderr;
  std::fwrite(text.data(), 1, text.size(), to);
  std::fflush(to);
}

} // namespace hadal::serve
