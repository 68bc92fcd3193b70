// The safetensors files of a checkpoint directory and which holds a tensor.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "runtime/weights/SafetensorsFile.h"

namespace hadal {

/// Finds tensors by name. Sources, in this order: model.safetensors.index.json
/// (its weight_map must hold plain file names of the directory),
/// model.safetensors, or all *.safetensors of the directory.
class CheckpointIndex {
public:
  struct Entry {
    const SafetensorsFile *file = nullptr;
    const SafetensorsTensor *tensor = nullptr;
  };

  /// Opens every file it names. H5001 for files that cannot be opened, H5002
  /// for a malformed index or file, a tensor that the index puts into a file
  /// which lacks it, or two files with one tensor.
  static StatusOr<CheckpointIndex> open(const std::string &directory);

  const std::string &directory() const { return directory_; }
  const std::vector<std::unique_ptr<SafetensorsFile>> &files() const {
    return files_;
  }
  size_t numTensors() const { return tensors_.size(); }
  /// H5003 if no file holds |name|.
  StatusOr<Entry> find(const std::string &name) const;

private:
  Status readIndex(const std::string &path);
  Status addFile(const std::string &fileName);

  std::string directory_;
  std::vector<std::unique_ptr<SafetensorsFile>> files_;
  std::map<std::string, Entry, std::less<>> tensors_;
};

} // namespace hadal
