// The control groups of this process, of version 1 and 2, and what they limit.
#pragma once

#include <optional>
#include <string>

namespace hadal {

/// Where control groups are mounted, and the file that names those of the
/// process; parameters for tests.
struct ControlGroups {
  std::string root = "/sys/fs/cgroup";
  std::string membership = "/proc/self/cgroup";

  /// What |version2| or |version1|, given the directory of a group, says at
  /// least of the process' group and of every group above it; nothing where
  /// none limits, or none can be read. |controller|: the name that version 1
  /// mounts, "cpu". Inside a container the process' group may have the host's
  /// name for what is mounted as the root: groups that are not there are passed
  /// over.
  using Limit = std::optional<double> (*)(const std::string &group);
  std::optional<double> least(const char *controller, Limit version2,
                              Limit version1) const;
};

/// The first number of the file |path|; nothing for "max" or no file.
std::optional<double> numberIn(const std::string &path);

} // namespace hadal
