#include "runtime/placement/Placement.h"

#include <algorithm>
#include <cmath>

#include "runtime/base/Hash.h"
#include "runtime/base/Json.h"

namespace hadal {

namespace {

constexpr int kCode = 6008;
constexpr uint32_t kVersion = 1;
/// Far above every model and cluster; keeps products within 64 bits.
constexpr uint64_t kMost = uint64_t{1} << 20;

StatusOr<uint32_t> readNumber(const Json &root, const char *key,
                              const std::string &what) {
  std::optional<uint64_t> value = asUnsigned(findMember(root, key));
  if (!value || *value == 0 || *value > kMost)
    return error(kCode,
                 "'{}': \"{}\" is not a number from 1 to {}; write placement "
                 "files with hadal-place",
                 what, key, kMost);
  return static_cast<uint32_t>(*value);
}

/// A layer's number: decimal, as short as possible, so that no layer has two.
std::optional<uint32_t> layerNumber(const std::string &text) {
  if (text.empty() || text.size() > 6 || (text.size() > 1 && text[0] == '0') ||
      text.find_first_not_of("0123456789") != std::string::npos)
    return std::nullopt;
  return static_cast<uint32_t>(std::stoul(text));
}

class Reader {
public:
  Reader(const Json &root, const std::string &what) : root(root), what(what) {}

  StatusOr<ExpertPlacement> read() {
    if (!root.is_object() || !findMember(root, "hadal_placement"))
      return error(kCode,
                   "'{}' is not a placement file: expected an object with "
                   "\"hadal_placement\": {}; write one with hadal-place",
                   what, kVersion);
    const Json *version = findMember(root, "hadal_placement");
    if (asUnsigned(version) != kVersion)
      return error(kCode,
                   "'{}' is a placement file of version {}, expected {}; write "
                   "it with this version's hadal-place",
                   what, version->dump(), kVersion);
    for (const auto &[key, value] : root.items())
      if (key != "hadal_placement" && key != "experts" && key != "ranks" &&
          key != "slots" && key != "load_digest" && key != "layers" &&
          key != "balancedness")
        return error(kCode, "'{}' has an unknown member \"{}\"; remove it",
                     what, key);
    HADAL_ASSIGN_OR_RETURN(result.experts, readNumber(root, "experts", what));
    HADAL_ASSIGN_OR_RETURN(result.ranks, readNumber(root, "ranks", what));
    HADAL_ASSIGN_OR_RETURN(result.slots, readNumber(root, "slots", what));
    if (const Json *digest = findMember(root, "load_digest")) {
      if (!asString(digest))
        return error(kCode, "'{}': \"load_digest\" is not a string", what);
      result.loadDigest = *asString(digest);
    }
    HADAL_RETURN_IF_ERROR(readLayers());
    HADAL_RETURN_IF_ERROR(readBalancedness());
    return std::move(result);
  }

private:
  Status readLayers() {
    const Json *layers = findMember(root, "layers");
    if (!layers || !layers->is_object() || layers->empty())
      return error(kCode,
                   "'{}': \"layers\" is not an object with a list for each MoE "
                   "layer; write placement files with hadal-place",
                   what);
    for (const auto &[key, value] : layers->items()) {
      std::optional<uint32_t> number = layerNumber(key);
      if (!number)
        return error(kCode, "'{}': layer \"{}\" is not a layer's number", what,
                     key);
      if (!value.is_array() || value.size() != result.ranks)
        return error(kCode,
                     "'{}': layer {} is not a list of {} ranks: found {}", what,
                     key, result.ranks,
                     value.is_array() ? fmt::format("{} ranks", value.size())
                                      : std::string(value.type_name()));
      LayerPlacement layer;
      for (size_t rank = 0; rank < value.size(); ++rank)
        HADAL_RETURN_IF_ERROR(readRank(key, rank, value[rank], layer));
      result.layers.emplace(*number, std::move(layer));
    }
    return {};
  }

  Status readRank(const std::string &layer, size_t rank, const Json &ids,
                  LayerPlacement &to) {
    if (!ids.is_array() || ids.size() != result.slots)
      return error(kCode,
                   "'{}': rank {} of layer {} is not a list of {} experts: "
                   "found {}",
                   what, rank, layer, result.slots,
                   ids.is_array() ? fmt::format("{}", ids.size())
                                  : std::string(ids.type_name()));
    for (const Json &id : ids) {
      std::optional<uint64_t> expert = asUnsigned(&id);
      if (!expert || *expert >= result.experts)
        return error(kCode,
                     "'{}': rank {} of layer {} names expert {}, expected one "
                     "below {}",
                     what, rank, layer, id.dump(), result.experts);
      to.experts.push_back(static_cast<uint32_t>(*expert));
    }
    return {};
  }

  Status readBalancedness() {
    const Json *all = findMember(root, "balancedness");
    if (!all)
      return {};
    if (!all->is_object())
      return error(kCode, "'{}': \"balancedness\" is not an object", what);
    for (const auto &[key, value] : all->items()) {
      std::optional<uint32_t> number = layerNumber(key);
      auto layer = number ? result.layers.find(*number) : result.layers.end();
      if (layer == result.layers.end())
        return error(kCode,
                     "'{}': \"balancedness\" has a layer {} that \"layers\" "
                     "has not",
                     what, key);
      auto isShare = [](const Json &share) {
        return share.is_number() && share.get<double>() > 0 &&
               share.get<double>() <= 1;
      };
      if (!value.is_array() || value.size() != 2 || !isShare(value[0]) ||
          !isShare(value[1]))
        return error(kCode,
                     "'{}': \"balancedness\" of layer {} is not two numbers "
                     "above 0, at most 1",
                     what, key);
      layer->second.balancednessBefore = value[0].get<double>();
      layer->second.balancednessAfter = value[1].get<double>();
    }
    return {};
  }

  const Json &root;
  const std::string &what;
  ExpertPlacement result;
};

} // namespace

std::span<const uint32_t> ExpertPlacement::of(uint32_t layer,
                                              uint32_t rank) const {
  return std::span(layers.at(layer).experts)
      .subspan(size_t{rank} * slots, slots);
}

std::vector<int32_t> ExpertPlacement::table(uint32_t layer,
                                            uint32_t replicas) const {
  const size_t width = size_t{1} + replicas;
  std::vector<int32_t> table(experts * width, -1);
  for (uint32_t e = 0; e < experts; ++e)
    table[e * width] = 0;
  const std::vector<uint32_t> &slotExperts = layers.at(layer).experts;
  for (size_t slot = 0; slot < slotExperts.size(); ++slot) {
    int32_t *row = &table[slotExperts[slot] * width];
    assert(row[0] < static_cast<int32_t>(replicas));
    row[++row[0]] = static_cast<int32_t>(slot);
  }
  return table;
}

uint64_t ExpertPlacement::digest() const {
  std::vector<uint32_t> words = {experts, ranks, slots};
  for (const auto &[number, layer] : layers) {
    words.push_back(number);
    words.insert(words.end(), layer.experts.begin(), layer.experts.end());
  }
  return xxh3({reinterpret_cast<const char *>(words.data()),
               words.size() * sizeof(uint32_t)});
}

ExpertPlacement defaultPlacement(const PlacementShape &shape) {
  ExpertPlacement placement;
  placement.experts = shape.experts;
  placement.ranks = shape.ranks;
  placement.slots = shape.slots;
  LayerPlacement layer;
  for (uint64_t slot = 0; slot < shape.allSlots(); ++slot)
    layer.experts.push_back(static_cast<uint32_t>(slot % shape.experts));
  for (uint32_t number : shape.layers)
    placement.layers.emplace(number, layer);
  return placement;
}

Status checkPlacement(const ExpertPlacement &placement,
                      const PlacementShape &shape, const std::string &what) {
  if (placement.experts != shape.experts || placement.ranks != shape.ranks ||
      placement.slots != shape.slots)
    return error(
        kCode,
        "'{}' places {} experts on {} ranks of {} slots, but the "
        "artifact has {} experts on {} ranks of {} slots; make it with "
        "hadal-place --ranks {} --slots {}",
        what, placement.experts, placement.ranks, placement.slots,
        shape.experts, shape.ranks, shape.slots, shape.ranks, shape.slots);
  for (uint32_t number : shape.layers)
    if (!placement.layers.count(number))
      return error(kCode,
                   "'{}' has no layer {}; the artifact's MoE layers are {}; "
                   "make it of a load with all of them",
                   what, number, fmt::join(shape.layers, ", "));
  for (const auto &[number, layer] : placement.layers) {
    if (!std::binary_search(shape.layers.begin(), shape.layers.end(), number))
      return error(
          kCode,
          "'{}' has a layer {}, which is no MoE layer of the artifact; "
          "those are {}",
          what, number, fmt::join(shape.layers, ", "));
    std::vector<uint32_t> replicas(shape.experts, 0);
    for (uint32_t expert : layer.experts)
      ++replicas[expert];
    for (uint32_t expert = 0; expert < shape.experts; ++expert) {
      if (!replicas[expert])
        return error(kCode,
                     "'{}': expert {} of layer {} is in no slot; every expert "
                     "needs one",
                     what, expert, number);
      if (shape.mostReplicas && replicas[expert] > shape.mostReplicas)
        return error(kCode,
                     "'{}': expert {} of layer {} is in {} slots, but the "
                     "artifact's table has room for {}; compile with more "
                     "--redundant-experts",
                     what, expert, number, replicas[expert],
                     shape.mostReplicas);
    }
  }
  return {};
}

StatusOr<ExpertPlacement> parsePlacement(std::string_view text,
                                         const std::string &what) {
  HADAL_ASSIGN_OR_RETURN(Json root, parseJson(text, kCode, what));
  return Reader(root, what).read();
}

StatusOr<ExpertPlacement> readPlacement(const std::string &path,
                                        const PlacementShape &shape) {
  HADAL_ASSIGN_OR_RETURN(Json root, readJsonFile(path, kCode));
  HADAL_ASSIGN_OR_RETURN(ExpertPlacement placement, Reader(root, path).read());
  HADAL_RETURN_IF_ERROR(checkPlacement(placement, shape, path));
  return placement;
}

std::string writePlacement(const ExpertPlacement &placement) {
  std::string text = fmt::format(
      "{{\"hadal_placement\": {}, \"experts\": {}, \"ranks\": {}, \"slots\": "
      "{},\n\"load_digest\": {},\n\"layers\": {{",
      kVersion, placement.experts, placement.ranks, placement.slots,
      Json(placement.loadDigest).dump());
  std::string balancedness;
  const char *separator = "\n", *shareSeparator = "\n";
  for (const auto &[number, layer] : placement.layers) {
    text += fmt::format("{}\"{}\": [", separator, number);
    for (uint32_t rank = 0; rank < placement.ranks; ++rank)
      text += fmt::format("{}[{}]", rank ? ", " : "",
                          fmt::join(placement.of(number, rank), ", "));
    text += "]";
    separator = ",\n";
    if (layer.balancednessAfter > 0) {
      balancedness +=
          fmt::format("{}\"{}\": [{:.4f}, {:.4f}]", shareSeparator, number,
                      layer.balancednessBefore, layer.balancednessAfter);
      shareSeparator = ",\n";
    }
  }
  text += "}";
  if (!balancedness.empty())
    text += fmt::format(",\n\"balancedness\": {{{}}}", balancedness);
  return text + "}\n";
}

} // namespace hadal
