// The tensors of a checkpoint, from its safetensors headers. No data is read.
#pragma once
#include "llvm/ADT/ArrayRef.h"
#include "llvm/ADT/StringMap.h"
#include "llvm/Support/Error.h"
#include <optional>
#include <string>
#include <vector>

namespace hadal {

/// One tensor of a safetensors file.
struct TensorInfo {
  std::string file;  ///< name of the file, without directory
  std::string dtype; ///< as in the header: "BF16", "F8_E4M3", "F32", ...
  std::vector<int64_t> shape;
};

/// A checkpoint directory's tensors by name.
struct Checkpoint {
  std::string directory;
  llvm::StringMap<TensorInfo> tensors;

  const TensorInfo *find(llvm::StringRef name) const {
    auto it = tensors.find(name);
    return it == tensors.end() ? nullptr : &it->second;
  }
};

/// Reads the index (model.safetensors.index.json, or every *.safetensors file
/// where there is none) and all headers of |directory|. Empty where it holds
/// no weights. H1006 for anything malformed: a header longer than its file,
/// extents that do not match the offsets, holes or overlaps, a shard that is
/// absent, a tensor in two files or missing from the index, the files of a
/// conversion for several ranks.
llvm::Expected<std::optional<Checkpoint>>
readCheckpoint(llvm::StringRef directory);

/// Parses the header of one safetensors file of |fileBytes| bytes; |json| is
/// the header's text. |file| is named in messages (H1006).
llvm::Expected<llvm::StringMap<TensorInfo>>
parseSafetensorsHeader(llvm::StringRef json, uint64_t fileBytes,
                       llvm::StringRef file);

} // namespace hadal
