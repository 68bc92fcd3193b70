// The log of requests: a JSON object a line, without any text of them.
#pragma once

#include <cstdio>
#include <mutex>
#include <string>

#include "runtime/serve/Api.h"

namespace hadal::serve {

class RequestLogFile {
public:
  /// Empty: stderr. H5015.
  Status open(const std::string &path);
  /// Opens the path again, which may have been moved away.
  Status reopen() { return path.empty() ? Status() : open(path); }
  void write(const RequestLog &line);
  ~RequestLogFile();

private:
  std::string path;
  std::mutex mutex; // guards file
  std::FILE *file = nullptr;
};

} // namespace hadal::serve
