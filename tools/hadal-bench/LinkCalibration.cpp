#include "tools/hadal-bench/LinkCalibration.h"

#include <chrono>

#include "runtime/device/Program.h"
#include "tools/hadal-bench/Statistics.h"

namespace hadal::bench {

namespace {

using Clock = std::chrono::steady_clock;

constexpr int kWarmUps = 2, kRounds = 9;

/// What a rank of |ranks| sends in |operation|, its own block of an all_to_all
/// included, as the prediction counts it.
double bytesSent(const comm::Operation &operation, unsigned ranks) {
  double blocks = ranks;
  switch (operation.kind) {
  case comm::Kind::allToAll:
    break;
  case comm::Kind::allGather:
  case comm::Kind::reduceScatter:
    blocks = ranks - 1;
    break;
  case comm::Kind::allReduce:
    blocks = 2.0 * (ranks - 1) / ranks;
    break;
  }
  double bytes = 0;
  for (const comm::Part &part : operation.parts)
    bytes += blocks * static_cast<double>(part.rows) *
             static_cast<double>(part.rowBytes);
  return bytes;
}

/// |operation| on memory of its own.
class Probe {
public:
  /// |whole|: with all rows; else with one of each block.
  Probe(const comm::Operation &like, unsigned ranks, bool whole)
      : operation(like) {
    for (comm::Part &part : operation.parts) {
      if (!whole)
        part.rows = std::min<uint64_t>(part.rows, 1);
      std::vector<uint8_t> &send =
          buffers.emplace_back(ranks * part.rows * part.rowBytes);
      part.send = reinterpret_cast<comm::Address>(send.data());
      std::vector<uint8_t> &receive = buffers.emplace_back(send.size());
      part.receive = reinterpret_cast<comm::Address>(receive.data());
    }
    if (!operation.counts)
      return;
    counts.resize(size_t{ranks} * operation.countStride);
    for (const comm::Part &part : operation.parts)
      if (part.countColumn >= 0)
        for (unsigned to = 0; to < ranks; ++to)
          counts[size_t{to} * operation.countStride +
                 static_cast<size_t>(part.countColumn)] =
              static_cast<int32_t>(part.rows);
    operation.counts = reinterpret_cast<comm::Address>(counts.data());
  }

  /// The median of some rounds.
  StatusOr<double> us(comm::Communicator &communicator,
                      comm::CommStream &stream, uint64_t &sequence) {
    std::vector<double> times;
    for (int round = 0; round < kWarmUps + kRounds; ++round) {
      operation.sequence = sequence++;
      const Clock::time_point begin = Clock::now();
      HADAL_RETURN_IF_ERROR(
          stream.wait(stream.enqueue(communicator, operation)));
      if (round >= kWarmUps)
        times.push_back(
            std::chrono::duration<double, std::micro>(Clock::now() - begin)
                .count());
    }
    return median(std::move(times));
  }

  comm::Operation operation;

private:
  std::vector<std::vector<uint8_t>> buffers;
  std::vector<int32_t> counts;
};

StatusOr<cost::Link> measureLink(comm::Communicator &communicator,
                                 comm::CommStream &stream,
                                 const comm::Operation &like,
                                 uint64_t &sequence) {
  const unsigned ranks = communicator.size();
  Probe small(like, ranks, false), whole(like, ranks, true);
  HADAL_ASSIGN_OR_RETURN(const double least,
                         small.us(communicator, stream, sequence));
  HADAL_ASSIGN_OR_RETURN(const double most,
                         whole.us(communicator, stream, sequence));
  const double leastBytes = bytesSent(small.operation, ranks);
  const double mostBytes = bytesSent(whole.operation, ranks);
  cost::Link link;
  link.moves = communicator.capabilities().exactCounts ? cost::Moves::rows
                                                       : cost::Moves::capacity;
  // Small transfers may take as long as large ones, or longer.
  double usPerByte = 0;
  if (mostBytes > leastBytes)
    usPerByte = std::max(0.0, (most - least) / (mostBytes - leastBytes));
  link.usPerByte[ranks] = usPerByte;
  link.alphaUs = std::max(0.0, most - usPerByte * mostBytes);
  return link;
}

} // namespace

StatusOr<cost::Cluster> measureLinks(const Model &model,
                                     const schema::Entry &entry,
                                     const profile::EntryNames &names,
                                     const comm::StreamOptions &options) {
  cost::Cluster cluster;
  cluster.name = "this run";
  const schema::Artifact &root = model.artifact().root();
  // Shapes need no addresses, but to tell what is counted.
  Bindings bindings;
  bindings.parameters.resize(root.parameters()->size());
  bindings.states.resize(root.states()->size(), 1);
  bindings.arena = 1;
  const LaunchList list = flatten(root, entry, bindings);
  if (list.collectives.empty())
    return cluster;
  std::map<std::string, std::unique_ptr<comm::Communicator>> communicators;
  const std::unique_ptr<comm::CommStream> stream =
      comm::createQueueStream(options);
  uint64_t sequence = 0;
  for (size_t i = 0; i < list.collectives.size(); ++i) {
    const Collective &collective = list.collectives[i];
    const std::string &label = names.collectives[i].label;
    if (cluster.links.contains(label))
      continue;
    const schema::Communicator &c =
        *root.communicators()->Get(collective.communicator);
    std::unique_ptr<comm::Communicator> &communicator =
        communicators[c.name()->str()];
    if (!communicator) {
      HADAL_ASSIGN_OR_RETURN(
          communicator,
          model.group()->create(c.name()->string_view(),
                                model.layout().members(c.axis())));
      if (!communicator->capabilities().hostOrdered)
        return error(5011,
                     "links of ranks whose library works on devices are not "
                     "measured here; give --cluster FILE (docs/ranks.md)");
    }
    HADAL_ASSIGN_OR_RETURN(
        cluster.links[label],
        measureLink(*communicator, *stream, collective.operation, sequence));
  }
  return cluster;
}

} // namespace hadal::bench
