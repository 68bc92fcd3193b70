#include "runtime/artifact/VerifyRanks.h"

#include <algorithm>
#include <string_view>
#include <unordered_set>

#include <fmt/format.h>

#include "runtime/artifact/Verify.h"
#include "runtime/base/Checked.h"
#include "runtime/schemas/CollectiveDigest.h"

namespace hadal::artifact {

using namespace schema;
using schema::DType;

namespace {

constexpr uint64_t kMaxRanks = 65536;
constexpr uint64_t kMaxSlots = 65536;
constexpr unsigned kMaxParts = 64;
constexpr uint32_t kMaxCountStride = 64;
/// Kernels number choices and pairs of received rows in 32 bits; a step of
/// theirs goes beyond the last by fewer than 2^13.
constexpr uint64_t kMaxNumbered = (uint64_t(1) << 31) - (uint64_t(1) << 13);
constexpr uint32_t kLaunchStream = 0, kCollectiveStream = 1;

template <typename E> bool known(E value) {
  return static_cast<unsigned>(value) <= static_cast<unsigned>(E::MAX);
}

/// Ranks of a group of |axis| of |mesh|.
uint64_t sizeOf(const Mesh &mesh, Axis axis) {
  switch (axis) {
  case Axis::tp:
    return mesh.tp();
  case Axis::ep:
    return mesh.ep();
  case Axis::world:
    return uint64_t(mesh.tp()) * mesh.dp();
  case Axis::none:
    break;
  }
  return 0;
}

bool isSum(CollectiveKind kind) {
  return kind == CollectiveKind::reduce_scatter ||
         kind == CollectiveKind::all_reduce;
}

/// The end of |blocks| blocks of |part|'s rows behind |arg|; none if it is not
/// a place in an arena.
std::optional<uint64_t> endOf(const Arg &arg, const Part &part,
                              uint64_t blocks) {
  if (arg.kind() != ArgKind::arena || arg.value() % 64)
    return std::nullopt;
  std::optional<uint64_t> bytes = checkedMul(part.rows(), part.row_bytes());
  bytes = bytes ? checkedMul(*bytes, blocks) : bytes;
  return bytes ? checkedAdd(*bytes, arg.value()) : bytes;
}

bool hasOverflowState(const schema::Artifact &artifact) {
  return std::ranges::any_of(*artifact.states(), [](const State *s) {
    return s->name()->string_view() == "comm.overflow";
  });
}

void addCollectives(const schema::Artifact &artifact,
                    const std::vector<bool> &hasCollectives, uint32_t function,
                    CollectiveDigest &digest) {
  if (!hasCollectives[function])
    return;
  for (const Command *c : *artifact.functions()->Get(function)->commands()) {
    if (c->kind() == CommandKind::collective) {
      std::vector<CollectiveDigest::Part> parts;
      for (const Part *part : *c->parts())
        parts.push_back({part->dtype(), part->rows(), part->row_bytes(),
                         part->count_column()});
      digest.add(c->communicator(), c->collective(), c->count_stride(), parts);
    } else if (c->kind() == CommandKind::call ||
               c->kind() == CommandKind::repeat) {
      CollectiveDigest inner;
      addCollectives(artifact, hasCollectives, c->callee(), inner);
      const uint32_t count = c->kind() == CommandKind::repeat ? c->count() : 1;
      if (!inner.empty())
        for (uint32_t i = 0; i < count; ++i)
          digest.add(inner);
    }
  }
}

} // namespace

uint64_t numRanks(const schema::Artifact &artifact) {
  return artifact.mesh() ? sizeOf(*artifact.mesh(), Axis::world) : 1;
}

std::string checkMesh(const schema::Artifact &artifact) {
  const Mesh *mesh = artifact.mesh();
  const unsigned communicators =
      artifact.communicators() ? artifact.communicators()->size() : 0;
  if (!mesh)
    return communicators || artifact.exchange_bytes()
               ? fmt::format("it has {} communicators and {} bytes for "
                             "collectives, but no mesh",
                             communicators, artifact.exchange_bytes())
               : "";
  const uint64_t world = sizeOf(*mesh, Axis::world);
  if (!mesh->tp() || !mesh->dp() || !mesh->ep() || !mesh->ranks_per_node() ||
      world > kMaxRanks || world % mesh->ep())
    return fmt::format(
        "its mesh of tp {}, dp {}, ep {}, {} ranks a node is not "
        "possible",
        mesh->tp(), mesh->dp(), mesh->ep(), mesh->ranks_per_node());
  const uint64_t experts = artifact.model()->num_experts();
  if (mesh->slots() > kMaxSlots || !mesh->slots() != !experts ||
      uint64_t(mesh->slots()) * mesh->ep() < experts)
    return fmt::format(
        "its mesh has {} slots on each of {} ranks for {} experts",
        mesh->slots(), mesh->ep(), experts);
  if (mesh->vocab_split() && artifact.model()->vocab_size() % mesh->tp())
    return fmt::format("its mesh splits a vocabulary of {} over {} ranks",
                       artifact.model()->vocab_size(), mesh->tp());
  std::unordered_set<std::string_view> seen;
  for (unsigned i = 0; i < communicators; ++i) {
    const Communicator &c = *artifact.communicators()->Get(i);
    std::string_view name = c.name()->string_view();
    if (name.empty() || !seen.insert(name).second)
      return fmt::format("communicator {} is '{}', expected names, each once",
                         i, name);
    if (!known(c.axis()) || c.size() != sizeOf(*mesh, c.axis()) || !c.size())
      return fmt::format("communicator '{}' has {} ranks on axis {}, the mesh "
                         "says otherwise",
                         name, c.size(), static_cast<unsigned>(c.axis()));
  }
  uint64_t arena = 0;
  for (const Entry *entry : *artifact.entries())
    arena = std::max(arena, entry->arena_bytes());
  if (artifact.exchange_bytes() % 64 || artifact.exchange_bytes() > arena)
    return fmt::format("it has {} bytes for collectives in arenas of {} bytes",
                       artifact.exchange_bytes(), arena);
  return "";
}

std::string checkSlice(const schema::Artifact &artifact,
                       const schema::Parameter &p) {
  std::string_view n = p.name()->string_view();
  const Slice *slice = p.slice();
  const bool byPlacement = slice && slice->axis() == Axis::ep;
  const bool isTable = p.generator() == Generator::placement_table;
  if (!isTable && p.replicas())
    return fmt::format("parameter '{}' has {} replicas", n, p.replicas());
  if (!isTable && byPlacement != (p.layer() != -1))
    return fmt::format(
        "parameter '{}' is of layer {}, which only a slice on ep "
        "is",
        n, p.layer());
  if (!slice)
    return "";
  const Mesh *mesh = artifact.mesh();
  if (!mesh || !known(slice->axis()) || slice->axis() == Axis::none)
    return fmt::format("parameter '{}' has a slice on axis {}, which the mesh "
                       "does not have",
                       n, static_cast<unsigned>(slice->axis()));
  if (byPlacement) {
    if (p.kind() != ParameterKind::stack || slice->dim() ||
        slice->unit() != 1 || p.count() != mesh->slots())
      return fmt::format(
          "parameter '{}' has a slice on ep, expected a stack of "
          "{} arrays, found {}",
          n, mesh->slots(), p.count());
    if (p.layer() < 0 || uint64_t(p.layer()) >= artifact.model()->num_layers())
      return fmt::format("parameter '{}' is of layer {} of {}", n, p.layer(),
                         artifact.model()->num_layers());
    return "";
  }
  if (p.kind() != ParameterKind::tensor || slice->dim() > 1 ||
      (slice->dim() == 1 && p.inner()->size() != 1))
    return fmt::format("parameter '{}' has a slice of dimension {}, expected "
                       "rows or columns of a tensor",
                       n, slice->dim());
  const uint64_t extent = slice->dim() ? p.inner()->Get(0) : p.rows()->Get(0);
  if (!slice->unit() || extent % slice->unit())
    return fmt::format("parameter '{}' has a slice of {} in units of {}", n,
                       extent, slice->unit());
  return "";
}

std::string checkPlacementTable(const schema::Artifact &artifact,
                                const schema::Parameter &p) {
  const Mesh *mesh = artifact.mesh();
  if (!mesh || !mesh->slots() || p.dtype() != DType::i32 || p.slice() ||
      p.layer() < 0 || uint64_t(p.layer()) >= artifact.model()->num_layers() ||
      !p.replicas() || p.replicas() > uint64_t(mesh->slots()) * mesh->ep())
    return fmt::format("generated parameter '{}' is not a valid table of "
                       "placements",
                       p.name()->string_view());
  return "";
}

std::string checkCollective(const schema::Artifact &artifact, const Command &c,
                            CollectiveBytes &bytes) {
  const unsigned communicators =
      artifact.communicators() ? artifact.communicators()->size() : 0;
  if (c.communicator() >= communicators)
    return fmt::format("communicator {} of {}", c.communicator(),
                       communicators);
  if (!known(c.collective()))
    return fmt::format("unknown collective {}",
                       static_cast<unsigned>(c.collective()));
  if (c.args()->size() || c.parameters()->size() || c.states()->size())
    return "a collective takes no argument, parameter or state list";
  if (!c.label() || !c.label()->size())
    return "a collective without a label";
  const unsigned parts = c.parts() ? c.parts()->size() : 0;
  if (!parts || parts > kMaxParts)
    return fmt::format("a collective of {} parts", parts);
  const uint64_t ranks =
      artifact.communicators()->Get(c.communicator())->size();
  const bool sums = isSum(c.collective());
  const bool sendsOne = c.collective() == CollectiveKind::all_gather ||
                        c.collective() == CollectiveKind::all_reduce;
  if (c.count_stride() > kMaxCountStride)
    return fmt::format("a collective with {} counts for each rank, expected at "
                       "most {}",
                       c.count_stride(), kMaxCountStride);
  bool counted = false;
  struct Range {
    uint64_t begin, end;
    bool overlaps(const Range &other) const {
      return begin < other.end && other.begin < end;
    }
  };
  std::vector<Range> sent, received;
  for (unsigned i = 0; i < parts; ++i) {
    const Part &part = *c.parts()->Get(i);
    auto sendEnd = endOf(*part.send(), part, sendsOne ? 1 : ranks);
    auto receiveEnd = endOf(*part.receive(), part, sums ? 1 : ranks);
    if (!part.rows() || !part.row_bytes() || !sendEnd || !receiveEnd ||
        std::max(*sendEnd, *receiveEnd) > artifact.exchange_bytes())
      return fmt::format(
          "part {} of {} rows of {} bytes is not in the {} bytes "
          "for collectives",
          i, part.rows(), part.row_bytes(), artifact.exchange_bytes());
    sent.push_back({part.send()->value(), *sendEnd});
    received.push_back({part.receive()->value(), *receiveEnd});
    bytes.parts = std::max({bytes.parts, *sendEnd, *receiveEnd});
    const uint64_t element = dtypeBytes(part.dtype());
    if (sums ? (part.dtype() != DType::f32 && part.dtype() != DType::bf16) ||
                   part.row_bytes() % element
             : part.dtype() != DType::none)
      return fmt::format("part {} of dtype '{}' and rows of {} bytes", i,
                         dtypeName(part.dtype()), part.row_bytes());
    if (part.count_column() < -1 ||
        part.count_column() >= int64_t(c.count_stride()))
      return fmt::format("part {} is counted by column {} of {}", i,
                         part.count_column(), c.count_stride());
    counted |= part.count_column() >= 0;
  }
  for (unsigned i = 0; i < parts; ++i)
    for (unsigned j = 0; j < parts; ++j)
      if (received[i].overlaps(sent[j]) ||
          (i != j && received[i].overlaps(received[j])))
        return fmt::format("part {} receives in the bytes of part {}", i, j);
  if (counted != (c.counts() != nullptr) || counted != (c.count_stride() > 0) ||
      (counted && c.collective() != CollectiveKind::all_to_all))
    return "counts without a counted part of an all_to_all, or the reverse";
  if (counted) {
    // Both factors are below 2^32.
    std::optional<uint64_t> end = checkedMul(ranks * c.count_stride(), 4);
    end = end ? checkedAdd(*end, c.counts()->value()) : end;
    if (c.counts()->kind() != ArgKind::arena || c.counts()->value() % 64 ||
        !end)
      return "counts that are not in the arena";
    bytes.counts = *end;
  }
  return "";
}

std::string EventChecker::add(const Command &c) {
  if (c.stream() > kCollectiveStream)
    return fmt::format("stream {} of 2", c.stream());
  if (c.kind() == CommandKind::collective) {
    if (c.stream() != kCollectiveStream)
      return "a collective on the stream of launches";
    started += 1;
    return "";
  }
  if (c.args()->size() || c.parameters()->size() || c.states()->size())
    return "an event takes no argument, parameter or state list";
  if (c.event() >= events.size())
    return fmt::format("event {} of {}", c.event(), events.size());
  Event &event = events[c.event()];
  if (c.kind() == CommandKind::record) {
    if (event.isRecorded)
      return fmt::format("event {} is recorded a second time", c.event());
    event.isRecorded = true;
    event.collectives = c.stream() == kCollectiveStream ? started : awaited;
    return "";
  }
  if (!event.isRecorded)
    return fmt::format("event {} is waited for before it is recorded",
                       c.event());
  if (event.isAwaited)
    return fmt::format("event {} is waited for a second time", c.event());
  event.isAwaited = true;
  if (c.stream() == kLaunchStream)
    awaited = std::max(awaited, event.collectives);
  return "";
}

std::string EventChecker::finish() const {
  for (size_t i = 0; i < events.size(); ++i)
    if (!events[i].isAwaited)
      return fmt::format("event {} is {}", i,
                         events[i].isRecorded ? "recorded and never waited for"
                                              : "never recorded");
  if (awaited != started)
    return fmt::format("{} of {} collectives are in flight at its end",
                       started - awaited, started);
  return "";
}

std::string checkRung(const schema::Artifact &artifact, const Entry &e) {
  std::string_view n = e.name()->string_view();
  if (!known(e.rung()))
    return fmt::format("entry '{}' has an unknown rung", n);
  if ((e.capacity_rows() || e.capacity_pairs() || e.rung() != Rung::worst) &&
      (!artifact.mesh() || isHead(e.kind()) || !e.capacity_rows() ||
       e.capacity_pairs() < e.capacity_rows()))
    return fmt::format("entry '{}' has a capacity of {} rows and {} pairs", n,
                       e.capacity_rows(), e.capacity_pairs());
  if (const Mesh *mesh = artifact.mesh();
      mesh && !isHead(e.kind()) && e.tokens() % mesh->tp())
    return fmt::format("entry '{}' of {} tokens does not divide over tp {}", n,
                       e.tokens(), mesh->tp());
  if (!e.capacity_rows())
    return "";
  const Mesh &mesh = *artifact.mesh();
  const uint64_t topk = std::max(artifact.model()->num_experts_per_token(), 1u);
  // All factors are below 2^32; products of two are compared.
  if (e.capacity_rows() > kMaxNumbered / mesh.ep() / topk ||
      e.capacity_pairs() > kMaxNumbered / mesh.ep())
    return fmt::format("entry '{}' receives {} rows and {} pairs of each of {} "
                       "ranks, more than 32 bits number",
                       n, e.capacity_rows(), e.capacity_pairs(), mesh.ep());
  if (e.rung() == Rung::worst) {
    // Whatever the router does: all of a rank's rows, each for as many experts
    // as another rank can have of them.
    const uint64_t parts =
        uint64_t(mesh.tp()) * std::max(e.micro_batches(), 1u);
    const uint64_t rows = (e.tokens() + parts - 1) / parts;
    const uint64_t pairs =
        rows * std::min<uint64_t>(topk, std::max(mesh.slots(), 1u));
    if (e.capacity_rows() < rows || e.capacity_pairs() < pairs)
      return fmt::format("entry '{}' has room for {} rows and {} pairs, "
                         "expected {} and {}: nothing holds what exceeds it",
                         n, e.capacity_rows(), e.capacity_pairs(), rows, pairs);
    return "";
  }
  if (!hasOverflowState(artifact))
    return fmt::format("entry '{}' may overflow, but there is no state "
                       "'comm.overflow' to say so",
                       n);
  for (const Entry *other : *artifact.entries())
    if (other->rung() == Rung::worst && other->capacity_rows() &&
        other->kind() == e.kind() &&
        other->micro_batches() == e.micro_batches() &&
        other->tokens() == e.tokens() && other->rows() == e.rows() &&
        other->max_queries_per_row() == e.max_queries_per_row())
      return "";
  return fmt::format("entry '{}' has no twin for what exceeds its capacity", n);
}

uint64_t digestCollectives(const schema::Artifact &artifact,
                           const std::vector<bool> &hasCollectives,
                           uint32_t function) {
  CollectiveDigest digest;
  addCollectives(artifact, hasCollectives, function, digest);
  return digest.finish();
}

} // namespace hadal::artifact
