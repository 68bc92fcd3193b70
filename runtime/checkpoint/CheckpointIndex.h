// The tensors of a checkpoint directory. The one reader of compiler and
// runtime: what one accepts the other accepts.
#pragma once

#include <map>
#include <memory>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "runtime/checkpoint/CheckpointFiles.h"
#include "runtime/checkpoint/SafetensorsFile.h"

namespace hadal {

/// Finds tensors by name in the files of findCheckpointFiles. With an index its
/// weight_map decides which of several copies counts; a tensor that it does not
/// list is there all the same, marked as unlisted.
class CheckpointIndex {
public:
  struct Entry {
    const SafetensorsFile *file = nullptr;
    const SafetensorsTensor *tensor = nullptr;
    /// False where there is an index that does not name the tensor: a leftover,
    /// which only counts if the model needs it.
    bool isListed = true;
    /// Of an unlisted tensor: another file that holds it too, or null.
    const SafetensorsFile *alsoIn = nullptr;
  };
  using Entries = std::map<std::string, Entry, std::less<>>;

  /// Opens the weight files of |directory|. H5001 for files that are absent or
  /// cannot be opened, H5002 for a malformed index or file, a tensor that the
  /// index puts into a file which lacks it, or, without an index, two files
  /// with one tensor.
  static StatusOr<CheckpointIndex> open(const std::string &directory);
  static StatusOr<CheckpointIndex> open(CheckpointFiles files);
  /// Opens of |directory| the files that hold a tensor of |needed| alone, where
  /// there is an index that names them all; else every file. Errors are as
  /// above, of the files that are opened.
  static StatusOr<CheckpointIndex> open(const std::string &directory,
                                        std::span<const std::string> needed);

  const std::string &directory() const { return description_.directory; }
  const CheckpointFiles &description() const { return description_; }
  const std::vector<std::unique_ptr<SafetensorsFile>> &files() const {
    return files_;
  }
  const Entries &tensors() const { return tensors_; }
  size_t numTensors() const { return tensors_.size(); }
  /// H5003 if no file holds |name|, H5002 if two do and no index says which
  /// counts.
  StatusOr<Entry> find(const std::string &name) const;

private:
  static StatusOr<CheckpointIndex> open(CheckpointFiles files,
                                        const std::set<std::string> &names);
  Status addFile(const std::string &fileName);
  /// That the tensors are where the index puts them, of the files |opened|.
  Status checkIndex(const std::set<std::string> &opened) const;
  std::string pathOf(const std::string &fileName) const;

  CheckpointFiles description_;
  std::vector<std::unique_ptr<SafetensorsFile>> files_;
  Entries tensors_;
};

} // namespace hadal
