// The tensors of a checkpoint, from its safetensors headers. Of their data only
// that which describes another tensor is read.
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
  /// Of a "*.weight_shape" of a few integers: their values.
  std::vector<int64_t> values;
  /// False for a leftover: there is an index, and it does not name the tensor.
  bool isListed = true;
  /// Another file with the same leftover, or empty: which one counts is not
  /// known.
  std::string alsoIn;
};

/// A checkpoint directory's tensors by name.
struct Checkpoint {
  std::string directory;
  llvm::StringMap<TensorInfo> tensors;
  /// One line about files that are not part of the model, or empty.
  std::string passedOver;

  const TensorInfo *find(llvm::StringRef name) const {
    auto it = tensors.find(name);
    return it == tensors.end() ? nullptr : &it->second;
  }
};

/// Reads the index and all headers of |directory| with the runtime's reader
/// (runtime/checkpoint), so that a checkpoint which compiles also loads. Empty
/// where the directory holds no weights, a bare config.json. H1006 for whatever
/// that reader refuses.
llvm::Expected<std::optional<Checkpoint>>
readCheckpoint(llvm::StringRef directory);

} // namespace hadal
