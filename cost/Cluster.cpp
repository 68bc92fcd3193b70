#include "cost/Cluster.h"

#include <set>

#include "runtime/base/Json.h"

namespace hadal::cost {

namespace {

constexpr int kCode = 5023;

/// An object of the file, whose members are numbers within limits.
class Members {
public:
  Members(const Json &object, std::string where)
      : object(object), where(std::move(where)) {}

  Status check(std::initializer_list<const char *> known) const {
    if (!object.is_object())
      return error(kCode, "{} is not an object", where);
    const std::set<std::string> names(known.begin(), known.end());
    for (const auto &[key, value] : object.items())
      if (!names.count(key))
        return error(kCode, "{} has an unknown member \"{}\"", where, key);
    return {};
  }

  bool has(const char *key) const { return findMember(object, key); }

  /// Sets |to| where there is such a member.
  Status number(const char *key, double &to, double least = 0) const {
    const Json *value = findMember(object, key);
    if (!value)
      return {};
    if (!value->is_number() || !(value->get<double>() >= least) ||
        value->get<double>() > 1e18)
      return error(kCode, "{}: \"{}\" is {}, expected a number of at least {}",
                   where, key, value->dump(), least);
    to = value->get<double>();
    return {};
  }

  Status count(const char *key, unsigned &to) const {
    const Json *value = findMember(object, key);
    if (!value)
      return {};
    std::optional<uint64_t> whole = asUnsigned(value);
    if (!whole || *whole > 1u << 20)
      return error(kCode, "{}: \"{}\" is {}, expected a whole number", where,
                   key, value->dump());
    to = static_cast<unsigned>(*whole);
    return {};
  }

  Status text(const char *key, std::string &to) const {
    const Json *value = findMember(object, key);
    if (!value)
      return {};
    if (!asString(value))
      return error(kCode, "{}: \"{}\" is {}, expected a string", where, key,
                   value->dump());
    to = *asString(value);
    return {};
  }

  const Json &object;
  const std::string where;
};

/// {"8": 77, ...}: a number above 0 by ranks.
StatusOr<std::map<unsigned, double>> readByRanks(const Members &link,
                                                 const char *key) {
  const Json &table = *findMember(link.object, key);
  std::map<unsigned, double> values;
  auto add = [&](unsigned ranks, const Json &value) {
    if (!value.is_number() || !(value.get<double>() > 0))
      return false;
    values[ranks] = value.get<double>();
    return true;
  };
  bool good =
      table.is_number() ? add(1, table) : table.is_object() && !table.empty();
  if (good && table.is_object())
    for (const auto &[ranks, value] : table.items()) {
      const bool digits =
          !ranks.empty() && ranks.size() < 7 &&
          ranks.find_first_not_of("0123456789") == std::string::npos;
      good = good && digits && std::stoul(ranks) > 0 &&
             add(static_cast<unsigned>(std::stoul(ranks)), value);
    }
  if (!good)
    return error(kCode,
                 "{}: \"{}\" is {}, expected a number above 0, or one for each "
                 "number of ranks: {{\"8\": 77, ...}}",
                 link.where, key, table.dump());
  return values;
}

Status readMoves(const Members &members, Link &link) {
  const Json *moves = findMember(members.object, "moves");
  if (!moves)
    return {};
  if (moves->is_number() && moves->get<double>() > 0) {
    link.moves = Moves::copies;
    link.copies = moves->get<double>();
    return {};
  }
  const std::string *word = asString(moves);
  if (word && *word == "capacity")
    link.moves = Moves::capacity;
  else if (word && *word == "rows")
    link.moves = Moves::rows;
  else if (word && *word == "pairs")
    link.moves = Moves::pairs;
  else
    return error(kCode,
                 "{}: \"moves\" is {}, expected \"capacity\", \"rows\", "
                 "\"pairs\", or how many copies of a token travel",
                 members.where, moves->dump());
  return {};
}

StatusOr<Link> readLink(const Members &members) {
  HADAL_RETURN_IF_ERROR(
      members.check({"alpha_us", "gb_per_s", "us", "bytes", "start_us",
                     "end_us", "multiprocessors", "moves"}));
  Link link;
  HADAL_RETURN_IF_ERROR(members.number("alpha_us", link.alphaUs));
  HADAL_RETURN_IF_ERROR(members.number("start_us", link.startUs));
  HADAL_RETURN_IF_ERROR(members.number("end_us", link.endUs));
  HADAL_RETURN_IF_ERROR(members.number("bytes", link.referenceBytes, 1));
  HADAL_RETURN_IF_ERROR(members.count("multiprocessors", link.multiprocessors));
  HADAL_RETURN_IF_ERROR(readMoves(members, link));
  if (members.has("gb_per_s") == members.has("us"))
    return error(kCode,
                 "{} needs one of \"gb_per_s\" and \"us\" (measured with "
                 "\"bytes\" sent by a rank)",
                 members.where);
  if ((members.has("us") || link.startUs > 0 || link.endUs > 0) &&
      link.referenceBytes <= 0)
    return error(kCode,
                 "{} needs \"bytes\", what a rank sent when its times were "
                 "measured",
                 members.where);
  if (members.has("gb_per_s")) {
    HADAL_ASSIGN_OR_RETURN(auto rates, readByRanks(members, "gb_per_s"));
    for (const auto &[ranks, rate] : rates)
      link.usPerByte[ranks] = 1e-3 / rate;
    return link;
  }
  HADAL_ASSIGN_OR_RETURN(auto times, readByRanks(members, "us"));
  for (const auto &[ranks, us] : times) {
    if (us <= link.alphaUs)
      return error(kCode, "{}: {} us on {} ranks is not above \"alpha_us\" {}",
                   members.where, us, ranks, link.alphaUs);
    link.usPerByte[ranks] = (us - link.alphaUs) / link.referenceBytes;
  }
  return link;
}

Status readRoofline(const Members &members, Roofline &roofline) {
  HADAL_RETURN_IF_ERROR(members.check(
      {"memory_gb_per_s", "bf16_tflops", "fp8_tflops", "floor_us"}));
  double memory = 0, bf16 = 0, fp8 = 0;
  HADAL_RETURN_IF_ERROR(members.number("memory_gb_per_s", memory, 1e-3));
  HADAL_RETURN_IF_ERROR(members.number("bf16_tflops", bf16, 1e-6));
  HADAL_RETURN_IF_ERROR(members.number("fp8_tflops", fp8, 1e-6));
  HADAL_RETURN_IF_ERROR(members.number("floor_us", roofline.floorUs));
  if (memory <= 0 || bf16 <= 0 || fp8 <= 0)
    return error(kCode,
                 "{} needs \"memory_gb_per_s\", \"bf16_tflops\" and "
                 "\"fp8_tflops\"",
                 members.where);
  roofline.memoryBytesPerUs = memory * 1e3;
  roofline.bf16PerUs = bf16 * 1e6;
  roofline.fp8PerUs = fp8 * 1e6;
  return {};
}

} // namespace

const Link *Cluster::find(const std::string &label,
                          const std::string &axis) const {
  auto found = links.find(label);
  if (found == links.end())
    found = links.find(axis);
  return found == links.end() ? nullptr : &found->second;
}

static StatusOr<Cluster> toCluster(const Json &root, const std::string &path) {
  const Members members(root, "'" + path + "'");
  HADAL_RETURN_IF_ERROR(members.check(
      {"name", "source", "chip", "ranks_per_node", "multiprocessors",
       "memory_gb", "launch_gap_us", "outside_us", "contention", "imbalance",
       "roofline", "links"}));
  Cluster cluster;
  HADAL_RETURN_IF_ERROR(members.text("name", cluster.name));
  HADAL_RETURN_IF_ERROR(members.text("chip", cluster.chip));
  HADAL_RETURN_IF_ERROR(members.count("ranks_per_node", cluster.ranksPerNode));
  HADAL_RETURN_IF_ERROR(
      members.count("multiprocessors", cluster.multiprocessors));
  double memory = 0;
  HADAL_RETURN_IF_ERROR(members.number("memory_gb", memory));
  cluster.memoryBytes = memory * 1e9;
  HADAL_RETURN_IF_ERROR(
      members.number("launch_gap_us", cluster.machine.launchGapUs));
  HADAL_RETURN_IF_ERROR(members.number("outside_us", cluster.outsideUs));
  HADAL_RETURN_IF_ERROR(
      members.number("contention", cluster.machine.contention, 1));
  HADAL_RETURN_IF_ERROR(members.number("imbalance", cluster.imbalance, 1));
  if (cluster.ranksPerNode == 0)
    return error(kCode, "'{}': \"ranks_per_node\" is 0", path);
  if (const Json *roofline = findMember(root, "roofline"))
    HADAL_RETURN_IF_ERROR(
        readRoofline(Members(*roofline, members.where + ": \"roofline\""),
                     cluster.roofline));
  const Json *links = findMember(root, "links");
  if (!links || !links->is_object() || links->empty())
    return error(
        kCode,
        "'{}' is not a cluster: expected \"links\": {{\"ep\": {{...}}}} "
        "(docs/ranks.md)",
        path);
  for (const auto &[name, value] : links->items()) {
    HADAL_ASSIGN_OR_RETURN(
        Link link,
        readLink(Members(value, members.where + ": link \"" + name + "\"")));
    if (link.multiprocessors >= std::max(cluster.multiprocessors, 1u))
      return error(kCode,
                   "'{}': link \"{}\" holds {} of {} \"multiprocessors\"; none "
                   "are left for kernels",
                   path, name, link.multiprocessors, cluster.multiprocessors);
    cluster.links.emplace(name, std::move(link));
  }
  return cluster;
}

StatusOr<Cluster> readCluster(const std::string &path) {
  HADAL_ASSIGN_OR_RETURN(Json root, readJsonFile(path, kCode));
  return toCluster(root, path);
}

StatusOr<std::string> readClusterText(const std::string &path) {
  HADAL_ASSIGN_OR_RETURN(Json root, readJsonFile(path, kCode));
  HADAL_RETURN_IF_ERROR(toCluster(root, path).status());
  return shortClusterText(root.dump());
}

std::string shortClusterText(std::string_view text) {
  StatusOr<Json> root = parseJson(text, kCode, "a cluster");
  if (!root.ok())
    return std::string(text);
  root->erase("source");
  return root->dump();
}

StatusOr<Cluster> parseCluster(std::string_view text, const std::string &name) {
  HADAL_ASSIGN_OR_RETURN(Json root, parseJson(text, kCode, "'" + name + "'"));
  return toCluster(root, name);
}

} // namespace hadal::cost
