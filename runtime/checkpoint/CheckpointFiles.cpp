#include "runtime/checkpoint/CheckpointFiles.h"

#include <algorithm>
#include <charconv>
#include <filesystem>
#include <set>

#include "runtime/base/Json.h"

namespace hadal {

namespace fs = std::filesystem;

namespace {

constexpr std::string_view kIndexName = "model.safetensors.index.json";
constexpr std::string_view kSingleName = "model.safetensors";
constexpr std::string_view kExtension = ".safetensors";

/// Takes a decimal number off the end of |text|.
std::optional<uint64_t> takeNumber(std::string_view &text) {
  size_t digits =
      text.size() -
      std::min(text.size(), text.find_last_not_of("0123456789") + 1);
  uint64_t value = 0;
  const char *end = text.data() + text.size();
  auto [stop, failure] = std::from_chars(end - digits, end, value);
  if (!digits || failure != std::errc() || stop != end)
    return std::nullopt;
  text.remove_suffix(digits);
  return value;
}

bool takeSuffix(std::string_view &text, std::string_view suffix) {
  if (!text.ends_with(suffix))
    return false;
  text.remove_suffix(suffix.size());
  return true;
}

/// PREFIX-I-of-N.safetensors. |set| is the name without I.
struct Shard {
  std::string prefix, set, name;
  uint64_t number = 0, count = 0;
};

std::optional<Shard> parseShard(const std::string &name) {
  std::string_view text = name;
  if (!takeSuffix(text, kExtension))
    return std::nullopt;
  std::optional<uint64_t> count = takeNumber(text);
  if (!count || !takeSuffix(text, "-of-"))
    return std::nullopt;
  size_t end = text.size();
  std::optional<uint64_t> number = takeNumber(text);
  if (!number || !takeSuffix(text, "-"))
    return std::nullopt;
  return Shard{std::string(text), fmt::format("{}-*{}", text, name.substr(end)),
               name, *number, *count};
}

/// The W of "modelR-mpW.safetensors", which DeepSeek's converter writes.
std::optional<uint64_t> ranksOf(const std::string &name) {
  std::string_view text = name;
  if (!takeSuffix(text, kExtension))
    return std::nullopt;
  std::optional<uint64_t> ranks = takeNumber(text);
  if (!ranks || !takeSuffix(text, "-mp") || !takeNumber(text) ||
      text != "model")
    return std::nullopt;
  return ranks;
}

/// True for weights in a format, or in a state, that is not read.
bool isForeignWeights(const std::string &name) {
  std::string_view text = name;
  for (std::string_view extension :
       {".gguf", ".pt", ".pth", ".ckpt", ".msgpack", ".h5", ".npz", ".onnx"})
    if (text.ends_with(extension))
      return true;
  return (text.starts_with("pytorch_model") && text.ends_with(".bin")) ||
         text.find(".safetensors.") != std::string_view::npos;
}

/// True for a name that stays inside its directory.
bool isPlainFileName(const std::string &name) {
  return !name.empty() && name != "." && name != ".." &&
         name.find('/') == std::string::npos &&
         name.find('\0') == std::string::npos;
}

/// The names in a directory that do not begin with a dot.
struct Listing {
  std::vector<std::string> safetensors; // sorted, without adapters
  std::vector<std::string> adapters, foreign;
  bool hasIndex = false;

  bool has(std::string_view name) const {
    return std::binary_search(safetensors.begin(), safetensors.end(), name);
  }
};

StatusOr<Listing> list(const std::string &directory) {
  std::error_code failure;
  if (!fs::is_directory(directory, failure))
    return error(5001,
                 "'{}' is not a directory: expected a checkpoint "
                 "directory with *.safetensors files",
                 directory);
  Listing listing;
  fs::directory_iterator entry(directory, failure);
  for (; !failure && entry != fs::directory_iterator();
       entry.increment(failure)) {
    std::string name = entry->path().filename().string();
    std::error_code ignored;
    if (name.starts_with('.') || entry->is_directory(ignored))
      continue;
    if (name == kIndexName)
      listing.hasIndex = true;
    else if (isForeignWeights(name))
      listing.foreign.push_back(name);
    else if (name.ends_with(kExtension))
      (name.starts_with("adapter_") ? listing.adapters : listing.safetensors)
          .push_back(name);
  }
  if (failure)
    return error(5001, "cannot read the directory '{}': {}", directory,
                 failure.message());
  for (auto *names :
       {&listing.safetensors, &listing.adapters, &listing.foreign})
    std::sort(names->begin(), names->end());
  return listing;
}

StatusOr<CheckpointFiles::WeightMap> readIndex(const std::string &path) {
  JsonLimits limits;
  limits.depth = 8;
  HADAL_ASSIGN_OR_RETURN(Json root, readJsonFile(path, 5002, limits));
  const Json *map = findMember(root, "weight_map");
  if (!map || !map->is_object())
    return error(5002, "'{}': expected an object \"weight_map\", found {}",
                 path, map ? map->type_name() : "none");
  if (map->empty())
    return error(5002, "'{}': its \"weight_map\" names no tensor", path);
  CheckpointFiles::WeightMap result;
  for (const auto &[tensor, value] : map->get_ref<const Json::object_t &>()) {
    const std::string *name = asString(&value);
    if (!name || !isPlainFileName(*name))
      return error(5002,
                   "'{}': tensor {}: expected the name of a file in the "
                   "same directory, found {}",
                   path, tensor, value.dump(-1, ' ', true));
    result.emplace(tensor, *name);
  }
  return result;
}

/// Of the shards in |names|, the set that is the model: "model-*", or the only
/// one. Empty where there are no shards.
StatusOr<std::vector<std::string>>
chooseShards(const std::string &directory,
             const std::vector<std::string> &names) {
  std::map<std::string, std::vector<Shard>> sets;
  bool hasModel = false;
  for (const std::string &name : names)
    if (std::optional<Shard> shard = parseShard(name)) {
      hasModel |= shard->prefix == "model";
      sets[shard->set].push_back(*shard);
    }
  if (hasModel)
    std::erase_if(sets, [](const auto &set) {
      return set.second.front().prefix != "model";
    });
  if (sets.empty())
    return std::vector<std::string>();
  if (sets.size() > 1)
    return error(5002,
                 "'{}' holds two sets of shards, {} and {}, and no {} that "
                 "says which is the model; move one away",
                 directory, sets.begin()->first, std::next(sets.begin())->first,
                 kIndexName);
  const auto &[pattern, shards] = *sets.begin();
  std::set<uint64_t> numbers;
  std::vector<std::string> chosen;
  for (const Shard &shard : shards) {
    numbers.insert(shard.number);
    chosen.push_back(shard.name);
  }
  // Some writers count from 0.
  uint64_t first = numbers.contains(0) ? 0 : 1, missing = first;
  while (numbers.contains(missing))
    ++missing;
  if (missing < first + shards.front().count)
    return error(5001,
                 "'{}': shard {} of {} is missing; is the download complete?",
                 directory, missing, pattern);
  return chosen;
}

/// What there is without an index, by the order of findCheckpointFiles.
StatusOr<std::vector<std::string>> choose(const std::string &directory,
                                          const Listing &listing) {
  if (listing.has(kSingleName))
    return std::vector<std::string>{std::string(kSingleName)};
  HADAL_ASSIGN_OR_RETURN(std::vector<std::string> chosen,
                         chooseShards(directory, listing.safetensors));
  if (chosen.empty())
    std::copy_if(listing.safetensors.begin(), listing.safetensors.end(),
                 std::back_inserter(chosen),
                 [](const std::string &name) { return ranksOf(name); });
  return chosen.empty() ? listing.safetensors : chosen;
}

} // namespace

std::string CheckpointFiles::describePassedOver() const {
  if (passedOver.empty())
    return "";
  constexpr size_t kNamed = 3;
  std::string text = fmt::format(
      "passed over {} file{} that {} not part of the model: {}",
      passedOver.size(), passedOver.size() == 1 ? "" : "s",
      passedOver.size() == 1 ? "is" : "are",
      fmt::join(passedOver.begin(),
                passedOver.begin() + std::min(kNamed, passedOver.size()),
                ", "));
  if (passedOver.size() > kNamed)
    text += fmt::format(" and {} more", passedOver.size() - kNamed);
  return text;
}

StatusOr<CheckpointFiles> findCheckpointFiles(const std::string &directory) {
  HADAL_ASSIGN_OR_RETURN(Listing listing, list(directory));
  CheckpointFiles files;
  files.directory = directory;
  files.passedOver = listing.adapters;
  if (listing.hasIndex) {
    std::string path = (fs::path(directory) / kIndexName).string();
    HADAL_ASSIGN_OR_RETURN(files.weightMap, readIndex(path));
    std::set<std::string> names;
    for (const auto &[tensor, name] : *files.weightMap)
      names.insert(name);
    bool isStale =
        listing.has(kSingleName) &&
        std::none_of(names.begin(), names.end(), [&](const std::string &name) {
          return listing.has(name);
        });
    if (isStale) {
      files.weightMap.reset();
      files.passedOver.emplace_back(kIndexName);
    } else {
      files.names.assign(names.begin(), names.end());
    }
  }
  if (!files.weightMap) {
    HADAL_ASSIGN_OR_RETURN(files.names, choose(directory, listing));
  }
  std::set_difference(listing.safetensors.begin(), listing.safetensors.end(),
                      files.names.begin(), files.names.end(),
                      std::back_inserter(files.passedOver));
  std::sort(files.passedOver.begin(), files.passedOver.end());

  if (files.names.empty() && !listing.foreign.empty())
    return error(5001,
                 "no weights in '{}': expected *.safetensors, found {}; "
                 "convert them, or wait for the download to end",
                 directory, listing.foreign.front());
  if (files.names.empty() && !files.passedOver.empty())
    return error(5001,
                 "no weights in '{}': {} is an adapter; merge it into the "
                 "model it was made for",
                 directory, files.passedOver.front());
  for (const std::string &name : files.names)
    if (std::optional<uint64_t> ranks = ranksOf(name); ranks && *ranks > 1)
      return error(5002,
                   "'{}' holds one of {} ranks' share of the tensors; "
                   "convert the checkpoint with --model-parallel 1",
                   (fs::path(directory) / name).string(), *ranks);
  return files;
}

} // namespace hadal
