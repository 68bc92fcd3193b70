#include "runtime/tune/Machine.h"

#include <fstream>

#include <fmt/format.h>

namespace hadal::tune {
namespace {

/// The first word of the file |path|; "" if there is none.
std::string firstWord(const std::string &path) {
  std::string word;
  std::ifstream(path) >> word;
  return word;
}

/// The value of |field| of the first processor; "?" where there is none.
std::string cpuField(const std::string &root, std::string_view field) {
  std::ifstream file(root + "/proc/cpuinfo");
  for (std::string line; std::getline(file, line);) {
    size_t colon = line.find(':');
    if (colon == line.npos)
      continue;
    std::string name =
        line.substr(0, line.find_last_not_of(" \t", colon - 1) + 1);
    if (name == field && colon + 2 <= line.size())
      return line.substr(colon + 2);
  }
  return "?";
}

std::string cacheSize(const std::string &root, std::string_view level) {
  for (int index = 0; index < 8; ++index) {
    std::string cache = fmt::format(
        "{}/sys/devices/system/cpu/cpu0/cache/index{}/", root, index);
    if (firstWord(cache + "level") != level)
      continue;
    if (std::string size = firstWord(cache + "size"); !size.empty())
      return size;
  }
  return "?";
}

} // namespace

std::string describeCpu(std::string_view variant, unsigned threads,
                        const std::string &root) {
  return fmt::format("{}/{}.{}/L2={}/L3={}/t{}", variant,
                     cpuField(root, "cpu family"), cpuField(root, "model"),
                     cacheSize(root, "2"), cacheSize(root, "3"), threads);
}

std::string_view variantOf(std::string_view chip) {
  return chip.substr(0, chip.find('/'));
}

} // namespace hadal::tune
