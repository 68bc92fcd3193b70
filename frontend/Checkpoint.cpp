#include "frontend/Checkpoint.h"
#include "frontend/Error.h"
#include "runtime/checkpoint/CheckpointIndex.h"
#include "llvm/Support/Path.h"
#include <cstring>

using namespace hadal;
using llvm::Expected;
using llvm::StringRef;

static llvm::Error refuse(const Status &status) {
  return makeError(1006, "{0}", status.message());
}

static std::string nameOf(const SafetensorsFile &file) {
  return llvm::sys::path::filename(file.path()).str();
}

/// The values of a tensor of integers; none of another, or of a longer one.
static std::vector<int64_t> readShape(const SafetensorsFile &file,
                                      const SafetensorsTensor &tensor) {
  const size_t size = tensor.dtype == SafetensorsDType::I32   ? 4
                      : tensor.dtype == SafetensorsDType::I64 ? 8
                                                              : 0;
  std::vector<int64_t> values;
  if (size == 0 || tensor.bytes > 8 * size)
    return values;
  const uint8_t *data = file.data(tensor).data();
  for (uint64_t at = 0; at < tensor.bytes; at += size) {
    int32_t narrow = 0;
    int64_t wide = 0;
    if (size == 4)
      std::memcpy(&narrow, data + at, size);
    else
      std::memcpy(&wide, data + at, size);
    values.push_back(narrow + wide);
  }
  return values;
}

static TensorInfo describe(StringRef name,
                           const CheckpointIndex::Entry &entry) {
  TensorInfo info;
  info.file = nameOf(*entry.file);
  info.dtype = safetensorsDTypeName(entry.tensor->dtype);
  // An extent beyond int64 (of an empty tensor) fits no parameter either way.
  for (uint64_t extent : entry.tensor->shape)
    info.shape.push_back(
        std::min<uint64_t>(extent, std::numeric_limits<int64_t>::max()));
  if (name.ends_with(".weight_shape"))
    info.values = readShape(*entry.file, *entry.tensor);
  info.isListed = entry.isListed;
  if (entry.alsoIn)
    info.alsoIn = nameOf(*entry.alsoIn);
  return info;
}

Expected<std::optional<Checkpoint>> hadal::readCheckpoint(StringRef directory) {
  StatusOr<CheckpointFiles> files = findCheckpointFiles(directory.str());
  if (!files.ok())
    return refuse(files.status());
  if (files->names.empty())
    return std::nullopt;
  Checkpoint checkpoint;
  checkpoint.directory = directory.str();
  checkpoint.passedOver = files->describePassedOver();
  StatusOr<CheckpointIndex> index = CheckpointIndex::open(std::move(*files));
  if (!index.ok())
    return refuse(index.status());
  for (const auto &[name, entry] : index->tensors())
    checkpoint.tensors[name] = describe(name, entry);
  return checkpoint;
}
