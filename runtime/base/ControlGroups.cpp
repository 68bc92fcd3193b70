#include "runtime/base/ControlGroups.h"

#include <algorithm>
#include <fstream>
#include <sstream>

namespace hadal {

namespace {

std::optional<double> lesser(std::optional<double> a, std::optional<double> b) {
  return a && b ? std::min(*a, *b) : a ? a : b;
}

std::optional<double> leastUpwards(const std::string &root, std::string path,
                                   ControlGroups::Limit limitOf) {
  std::optional<double> least;
  while (true) {
    least = lesser(least, limitOf(root + path));
    const size_t slash = path.rfind('/');
    if (slash == std::string::npos)
      return least;
    path.resize(slash);
  }
}

} // namespace

std::optional<double> numberIn(const std::string &path) {
  std::ifstream file(path);
  double number = 0;
  return file >> number ? std::optional(number) : std::nullopt;
}

std::optional<double> ControlGroups::least(const char *controller,
                                           Limit version2,
                                           Limit version1) const {
  std::ifstream groups(membership);
  std::optional<double> least;
  // "ID:CONTROLLERS:PATH"; version 2 is "0::PATH".
  for (std::string line; std::getline(groups, line);) {
    const size_t first = line.find(':');
    const size_t second =
        first == std::string::npos ? first : line.find(':', first + 1);
    if (second == std::string::npos)
      continue;
    const std::string controllers = line.substr(first + 1, second - first - 1);
    const std::string path = line.substr(second + 1);
    if (controllers.empty()) {
      least = lesser(least, leastUpwards(root, path, version2));
      continue;
    }
    std::stringstream names(controllers);
    bool isAmong = false;
    for (std::string name; std::getline(names, name, ',');)
      isAmong |= name == controller;
    // The mount is named after the controllers, or links to that by each.
    if (isAmong)
      for (const std::string &mount : {controllers, std::string(controller)})
        least = lesser(least, leastUpwards(root + "/" + mount, path, version1));
  }
  return least;
}

} // namespace hadal
