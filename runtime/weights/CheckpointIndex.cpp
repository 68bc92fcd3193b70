#include "runtime/weights/CheckpointIndex.h"

#include <algorithm>
#include <filesystem>
#include <set>

#include "runtime/base/Json.h"

namespace hadal {

namespace fs = std::filesystem;

namespace {

constexpr const char *kIndexName = "model.safetensors.index.json";

/// True for a name that stays inside its directory.
bool isPlainFileName(const std::string &name) {
  return !name.empty() && name != "." && name != ".." &&
         name.find('/') == std::string::npos &&
         name.find('\0') == std::string::npos;
}

} // namespace

StatusOr<CheckpointIndex> CheckpointIndex::open(const std::string &directory) {
  CheckpointIndex index;
  index.directory_ = directory;
  std::error_code failure;
  if (!fs::is_directory(directory, failure))
    return error(5001,
                 "'{}' is not a directory: expected a checkpoint "
                 "directory with *.safetensors files",
                 directory);
  std::string indexPath = (fs::path(directory) / kIndexName).string();
  if (fs::exists(indexPath, failure)) {
    HADAL_RETURN_IF_ERROR(index.readIndex(indexPath));
    return index;
  }
  if (fs::exists(fs::path(directory) / "model.safetensors", failure)) {
    HADAL_RETURN_IF_ERROR(index.addFile("model.safetensors"));
    return index;
  }
  std::vector<std::string> names;
  fs::directory_iterator entries(directory, failure);
  if (failure)
    return error(5001, "cannot read the directory '{}': {}", directory,
                 failure.message());
  for (; entries != fs::directory_iterator(); entries.increment(failure)) {
    if (failure)
      break;
    if (entries->path().extension() == ".safetensors")
      names.push_back(entries->path().filename().string());
  }
  if (failure)
    return error(5001, "cannot read the directory '{}': {}", directory,
                 failure.message());
  if (names.empty())
    return error(5001,
                 "no weights in '{}': expected {}, model.safetensors or "
                 "other *.safetensors files",
                 directory, kIndexName);
  std::sort(names.begin(), names.end());
  for (const std::string &name : names)
    HADAL_RETURN_IF_ERROR(index.addFile(name));
  return index;
}

Status CheckpointIndex::readIndex(const std::string &path) {
  JsonLimits limits;
  limits.depth = 8;
  HADAL_ASSIGN_OR_RETURN(Json root, readJsonFile(path, 5002, limits));
  const Json *map = findMember(root, "weight_map");
  if (!map || !map->is_object())
    return error(5002, "'{}': expected an object \"weight_map\", found {}",
                 path, map ? map->type_name() : "none");
  const auto &members = map->get_ref<const Json::object_t &>();
  std::set<std::string> names;
  for (const auto &[tensor, value] : members) {
    const std::string *name = asString(&value);
    if (!name || !isPlainFileName(*name))
      return error(5002,
                   "'{}': tensor {}: expected the name of a file in the "
                   "same directory, found {}",
                   path, tensor, value.dump(-1, ' ', true));
    names.insert(*name);
  }
  for (const std::string &name : names)
    HADAL_RETURN_IF_ERROR(addFile(name));
  for (const auto &[tensor, value] : members) {
    auto position = tensors_.find(tensor);
    std::string expected = (fs::path(directory_) / *asString(&value)).string();
    if (position == tensors_.end() || position->second.file->path() != expected)
      return error(5002, "'{}' puts tensor {} into '{}', but it is in {}", path,
                   tensor, expected,
                   position == tensors_.end()
                       ? std::string("no file of the checkpoint")
                       : fmt::format("'{}'", position->second.file->path()));
  }
  return Status();
}

Status CheckpointIndex::addFile(const std::string &fileName) {
  HADAL_ASSIGN_OR_RETURN(
      SafetensorsFile file,
      SafetensorsFile::open((fs::path(directory_) / fileName).string()));
  files_.push_back(std::make_unique<SafetensorsFile>(std::move(file)));
  const SafetensorsFile *added = files_.back().get();
  for (const auto &[name, tensor] : added->tensors()) {
    auto [position, isNew] = tensors_.try_emplace(name, Entry{added, &tensor});
    if (!isNew)
      return error(5002, "tensor {} is in both '{}' and '{}'", name,
                   position->second.file->path(), added->path());
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
                 name, files_.size(), directory_, tensors_.size());
  return position->second;
}

} // namespace hadal
