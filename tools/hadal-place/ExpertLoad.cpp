#include "tools/hadal-place/ExpertLoad.h"

#include "runtime/base/Checked.h"
#include "runtime/base/Hash.h"
#include "runtime/base/Json.h"
#include "runtime/base/MappedFile.h"

namespace hadal {

namespace {

constexpr int kCode = 5023;
constexpr uint64_t kMostLoad = uint64_t{1} << 62;

Status readLayer(const std::string &path, const std::string &key,
                 const Json &counts, ExpertLoadFile &file) {
  if (key.empty() || key.size() > 6 || (key.size() > 1 && key[0] == '0') ||
      key.find_first_not_of("0123456789") != std::string::npos)
    return error(kCode, "'{}': layer \"{}\" is not a layer's number", path,
                 key);
  if (!counts.is_array() || counts.empty() || counts.size() > 1u << 20)
    return error(kCode, "'{}': layer {} is not a list of tokens by expert",
                 path, key);
  if (!file.layers.empty() && counts.size() != file.experts)
    return error(kCode,
                 "'{}': layer {} has {} experts, the layers before it have {}",
                 path, key, counts.size(), file.experts);
  file.experts = static_cast<uint32_t>(counts.size());
  std::vector<uint64_t> tokens;
  uint64_t sum = 0;
  for (const Json &count : counts) {
    std::optional<uint64_t> value = asUnsigned(&count);
    std::optional<uint64_t> total =
        value ? checkedAdd(sum, *value) : std::nullopt;
    if (!total || *total > kMostLoad)
      return error(kCode,
                   "'{}': layer {} has {} tokens for an expert, expected whole "
                   "numbers with a sum of at most 2^62",
                   path, key, count.dump());
    sum = *total;
    tokens.push_back(*value);
  }
  file.layers.emplace(static_cast<uint32_t>(std::stoul(key)),
                      std::move(tokens));
  return {};
}

} // namespace

StatusOr<ExpertLoadFile> readExpertLoad(const std::string &path) {
  StatusOr<MappedFile> mapped = MappedFile::open(path);
  if (!mapped.ok())
    return Status(kCode, mapped.status().message());
  const std::string_view text(reinterpret_cast<const char *>(mapped->data()),
                              static_cast<size_t>(mapped->size()));
  HADAL_ASSIGN_OR_RETURN(Json root, parseJson(text, kCode, path));
  ExpertLoadFile file;
  file.digest = fmt::format("{:016x}", xxh3(text));
  const Json *layers = findMember(root, "layers");
  if (!layers || !layers->is_object() || layers->empty())
    return error(
        kCode,
        "'{}' is not an expert load: expected an object with \"layers\";"
        " write one with hadal-run --expert-load",
        path);
  if (const Json *groups = findMember(root, "expert_groups")) {
    std::optional<uint64_t> value = asUnsigned(groups);
    if (!value || *value == 0 || *value > 1u << 20)
      return error(kCode, "'{}': \"expert_groups\" is not a number from 1 on",
                   path);
    file.groups = static_cast<uint32_t>(*value);
  }
  for (const auto &[key, counts] : layers->items())
    HADAL_RETURN_IF_ERROR(readLayer(path, key, counts, file));
  return file;
}

} // namespace hadal
