#include "runtime/checkpoint/CheckpointIndex.h"

#include <algorithm>
#include <filesystem>
#include <set>

namespace hadal {

std::string CheckpointIndex::pathOf(const std::string &fileName) const {
  return (std::filesystem::path(directory()) / fileName).string();
}

static StatusOr<CheckpointFiles> findWeights(const std::string &directory) {
  HADAL_ASSIGN_OR_RETURN(CheckpointFiles files, findCheckpointFiles(directory));
  if (files.names.empty())
    return error(5001,
                 "no weights in '{}': expected model.safetensors.index.json, "
                 "model.safetensors or other *.safetensors files",
                 directory);
  return files;
}

StatusOr<CheckpointIndex> CheckpointIndex::open(const std::string &directory) {
  HADAL_ASSIGN_OR_RETURN(CheckpointFiles files, findWeights(directory));
  return open(std::move(files));
}

StatusOr<CheckpointIndex>
CheckpointIndex::open(const std::string &directory,
                      std::span<const std::string> needed) {
  HADAL_ASSIGN_OR_RETURN(CheckpointFiles files, findWeights(directory));
  std::set<std::string> names;
  for (const std::string &tensor : needed) {
    if (!files.weightMap)
      break;
    auto place = files.weightMap->find(tensor);
    if (place == files.weightMap->end())
      return open(std::move(files)); // a leftover, or missing: find() says
    names.insert(place->second);
  }
  if (!files.weightMap)
    names.insert(files.names.begin(), files.names.end());
  return open(std::move(files), names);
}

StatusOr<CheckpointIndex> CheckpointIndex::open(CheckpointFiles files) {
  const std::set<std::string> names(files.names.begin(), files.names.end());
  return open(std::move(files), names);
}

StatusOr<CheckpointIndex>
CheckpointIndex::open(CheckpointFiles files,
                      const std::set<std::string> &names) {
  CheckpointIndex index;
  index.description_ = std::move(files);
  for (const std::string &name : names)
    HADAL_RETURN_IF_ERROR(index.addFile(name));
  HADAL_RETURN_IF_ERROR(index.checkIndex(names));
  return index;
}

Status CheckpointIndex::addFile(const std::string &fileName) {
  HADAL_ASSIGN_OR_RETURN(SafetensorsFile file,
                         SafetensorsFile::open(pathOf(fileName)));
  files_.push_back(std::make_unique<SafetensorsFile>(std::move(file)));
  const SafetensorsFile *added = files_.back().get();
  const auto &weightMap = description_.weightMap;
  for (const auto &[name, tensor] : added->tensors()) {
    bool isListed = true;
    if (weightMap) {
      auto place = weightMap->find(name);
      isListed = place != weightMap->end();
      if (isListed && place->second != fileName)
        continue; // a stale copy
    }
    auto [position, isNew] =
        tensors_.try_emplace(name, Entry{added, &tensor, isListed, nullptr});
    if (isNew)
      continue;
    if (isListed)
      return error(5002, "tensor {} is in both '{}' and '{}'", name,
                   position->second.file->path(), added->path());
    position->second.alsoIn = added;
  }
  return Status();
}

Status
CheckpointIndex::checkIndex(const std::set<std::string> &opened) const {
  if (!description_.weightMap)
    return Status();
  for (const auto &[name, fileName] : *description_.weightMap) {
    if (tensors_.contains(name) || !opened.contains(fileName))
      continue;
    std::string found = "no file of the checkpoint";
    for (const auto &file : files_)
      if (file->find(name))
        found = fmt::format("'{}'", file->path());
    return error(5002,
                 "the index of '{}' puts tensor {} into '{}', but it is in {}",
                 directory(), name, fileName, found);
  }
  return Status();
}

StatusOr<CheckpointIndex::Entry>
CheckpointIndex::find(const std::string &name) const {
  auto position = tensors_.find(name);
  if (position == tensors_.end())
    return error(5003,
                 "tensor {} is missing: expected it in one of the {} "
                 "safetensors files of '{}' ({} tensors)",
                 name, files_.size(), directory(), tensors_.size());
  const Entry &entry = position->second;
  if (entry.alsoIn)
    return error(5002,
                 "tensor {} is in both '{}' and '{}', and the index names "
                 "neither",
                 name, entry.file->path(), entry.alsoIn->path());
  return entry;
}

} // namespace hadal
