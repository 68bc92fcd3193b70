// A cluster as a file: what its chips and links do.
#pragma once

#include "cost/LinkModel.h"

namespace hadal::cost {

/// A kernel that nobody measured takes the longest of its bytes and its
/// operations at these shares of the chip's peaks, and at least |floorUs|.
struct Roofline {
  double memoryBytesPerUs = 0, bf16PerUs = 0, fp8PerUs = 0;
  double floorUs = 0;
};

struct Cluster {
  std::string name;
  std::string chip; ///< for people
  unsigned ranksPerNode = 8;
  unsigned multiprocessors = 0;
  double memoryBytes = 0; ///< of a rank's chip
  Machine machine;
  double outsideUs =
      0; ///< of a step, between its last kernel and the next's first
  /// Most over mean of the ranks' load; 0: what even routing gives.
  double imbalance = 0;
  Roofline roofline;
  /// By label ("dispatch") or by axis ("ep").
  std::map<std::string, Link> links;

  /// The link of a collective, by its label, else by its axis, else null.
  const Link *find(const std::string &label, const std::string &axis) const;
};

/// Reads a file of the form that docs/ranks.md describes. H5023 names the
/// member at fault.
StatusOr<Cluster> readCluster(const std::string &path);
/// The text of such a file without what only people read in it, on one line.
StatusOr<std::string> readClusterText(const std::string &path);
/// The same of the text of such a file; |name| is what messages call it.
StatusOr<Cluster> parseCluster(std::string_view text, const std::string &name);

/// |text| of such a file without what only people read in it.
std::string shortClusterText(std::string_view text);
/// The text of a cluster of H100 nodes with NCCL, an estimate
/// (models/clusters/h100-nccl.json).
const std::string &h100WithNccl();

} // namespace hadal::cost
