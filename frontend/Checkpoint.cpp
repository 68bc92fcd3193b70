#include "frontend/Checkpoint.h"
#include "frontend/Error.h"
#include "runtime/checkpoint/CheckpointIndex.h"
#include "llvm/Support/Path.h"

using namespace hadal;
using llvm::Expected;
using llvm::StringRef;

static llvm::Error refuse(const Status &status) {
  return makeError(1006, "{0}", status.message());
}

static std::string nameOf(const SafetensorsFile &file) {
  return llvm::sys::path::filename(file.path()).str();
}

static TensorInfo describe(const CheckpointIndex::Entry &entry) {
  TensorInfo info;
  info.file = nameOf(*entry.file);
  info.dtype = safetensorsDTypeName(entry.tensor->dtype);
  // An extent beyond int64 (of an empty tensor) fits no parameter either way.
  for (uint64_t extent : entry.tensor->shape)
    info.shape.push_back(
        std::min<uint64_t>(extent, std::numeric_limits<int64_t>::max()));
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
    checkpoint.tensors[name] = describe(entry);
  return checkpoint;
}
