// A directory of one test, removed with it.
#pragma once

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <string_view>

#include <gtest/gtest.h>

#include "runtime/base/Status.h"

namespace hadal::test {

class TempDirectory {
public:
  TempDirectory() {
    std::string name =
        (std::filesystem::temp_directory_path() / "hadal-test-XXXXXX").string();
    if (!::mkdtemp(name.data()))
      ADD_FAILURE() << "cannot create a directory like " << name;
    path_ = name;
  }
  ~TempDirectory() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  TempDirectory(const TempDirectory &) = delete;
  TempDirectory &operator=(const TempDirectory &) = delete;

  std::string path() const { return path_.string(); }
  std::string file(const std::string &name) const {
    return (path_ / name).string();
  }
  /// Writes a file and returns its path.
  std::string write(const std::string &name, std::string_view bytes) const {
    std::ofstream(file(name), std::ios::binary) << bytes;
    return file(name);
  }
  std::string read(const std::string &name) const {
    std::ifstream stream(file(name), std::ios::binary);
    return {std::istreambuf_iterator<char>(stream), {}};
  }
  size_t numFiles() const {
    return std::distance(std::filesystem::directory_iterator(path_), {});
  }

private:
  std::filesystem::path path_;
};

/// Checks that |status| is error |code| and its message holds every text.
inline void expectError(const Status &status, int code,
                        std::initializer_list<std::string_view> texts) {
  EXPECT_EQ(status.code(), code) << status.toString();
  for (std::string_view text : texts)
    EXPECT_NE(status.message().find(text), std::string::npos)
        << "no \"" << text << "\" in: " << status.message();
}

} // namespace hadal::test
