#include "runtime/drivers/sim/SimCollectives.h"

#include <algorithm>

namespace hadal::sim {

namespace {

bool isSum(comm::Kind kind) {
  return kind == comm::Kind::reduceScatter || kind == comm::Kind::allReduce;
}

comm::Address addressOf(const void *pointer) {
  return reinterpret_cast<comm::Address>(pointer);
}

} // namespace

SimCollectives::SimCollectives(Memory &memory, const LaunchList &list,
                               const comm::Endpoint *endpoint,
                               std::string entry)
    : HostCollectives(list, endpoint), memory(memory), entry(std::move(entry)),
      states(list.collectives.size()) {
  for (size_t i = 0; i < states.size(); ++i)
    prepare(list.collectives[i], states[i]);
}

void SimCollectives::prepare(const Collective &collective, State &state) {
  const comm::Operation &given = collective.operation;
  const uint64_t ranks =
      endpoint->communicators[collective.communicator]->size();
  const bool sums = isSum(given.kind);
  const bool sendsOne = given.kind == comm::Kind::allGather ||
                        given.kind == comm::Kind::allReduce;
  auto make = [](DeviceAddress address, uint64_t bytes) {
    return Array{address, std::vector<uint8_t>(bytes),
                 std::vector<uint8_t>(bytes)};
  };
  for (const comm::Part &part : given.parts) {
    const uint64_t block = part.rows * part.rowBytes;
    state.send.push_back(make(part.send, sendsOne ? block : ranks * block));
    state.receive.push_back(make(part.receive, sums ? block : ranks * block));
    if (sums)
      state.gathered.emplace_back(ranks * block);
  }
  state.counts.resize(given.counts ? ranks * given.countStride : 0);

  state.operation = given;
  if (given.counts)
    state.operation.counts = addressOf(state.counts.data());
  for (size_t p = 0; p < given.parts.size(); ++p) {
    comm::Part &part = state.operation.parts[p];
    part.send = addressOf(state.send[p].bytes.data());
    part.receive = addressOf(state.receive[p].bytes.data());
  }
  state.masks = given;
  state.masks.parts.clear();
  // Block r of a rank's masks is that of what rank r sums, or all of it.
  state.masks.kind = given.kind == comm::Kind::reduceScatter
                         ? comm::Kind::allToAll
                         : comm::Kind::allGather;
  state.masks.label += ", definedness";
  for (size_t p = 0; p < given.parts.size(); ++p) {
    comm::Part mask = given.parts[p];
    mask.dtype = DType::none;
    mask.send = addressOf(state.send[p].mask.data());
    mask.receive = addressOf(sums ? state.gathered[p].data()
                                  : state.receive[p].mask.data());
    (sums ? state.masks : state.operation).parts.push_back(mask);
  }
}

Status SimCollectives::check() const {
  for (size_t i = 0; i < states.size(); ++i) {
    const comm::Operation &given = list.collectives[i].operation;
    auto find = [&](DeviceAddress address, uint64_t bytes) -> Status {
      if (memory.find(address, bytes))
        return {};
      return error(
          5022, "collective '{}' of entry '{}' uses {} bytes at {:#x}: {}",
          given.label, entry, bytes, address, memory.describe(address));
    };
    for (const auto *arrays : {&states[i].send, &states[i].receive})
      for (const Array &array : *arrays)
        HADAL_RETURN_IF_ERROR(find(array.address, array.bytes.size()));
    if (given.counts)
      HADAL_RETURN_IF_ERROR(
          find(given.counts, states[i].counts.size() * sizeof(int32_t)));
  }
  return {};
}

void SimCollectives::load(Array &array) const {
  std::copy_n(memory.host(array.address), array.bytes.size(),
              array.bytes.begin());
  for (size_t i = 0; i < array.mask.size(); i += 64) {
    const auto count =
        static_cast<unsigned>(std::min<size_t>(64, array.mask.size() - i));
    const uint64_t bits = memory.definedBits(array.address + i, count);
    for (unsigned b = 0; b < count; ++b)
      array.mask[i + b] = bits >> b & 1;
  }
}

void SimCollectives::store(const Array &array) {
  std::copy(array.bytes.begin(), array.bytes.end(), memory.host(array.address));
  for (size_t i = 0; i < array.mask.size(); i += 64) {
    const auto count =
        static_cast<unsigned>(std::min<size_t>(64, array.mask.size() - i));
    uint64_t bits = 0;
    for (unsigned b = 0; b < count; ++b)
      bits |= uint64_t(array.mask[i + b]) << b;
    memory.setDefinedBits(array.address + i, count, bits);
  }
}

StatusOr<uint64_t> SimCollectives::start(uint32_t index) {
  const Collective &collective = list.collectives[index];
  const comm::Operation &given = collective.operation;
  State &state = states[index];
  memory.interrupt();
  if (given.counts) {
    const uint64_t bytes = state.counts.size() * sizeof(int32_t);
    if (!memory.defined(given.counts, bytes))
      return error(5018,
                   "collective '{}' of entry '{}': its counts at {:#x} are not "
                   "defined",
                   given.label, entry, given.counts);
    std::copy_n(memory.host(given.counts), bytes,
                reinterpret_cast<uint8_t *>(state.counts.data()));
  }
  for (Array &array : state.send)
    load(array);
  for (Array &array : state.receive) {
    memory.markDefined(array.address, array.bytes.size(), false);
    std::fill(array.mask.begin(), array.mask.end(), 0);
  }
  uint64_t ticket = enqueue(collective.communicator, state.operation);
  if (isSum(given.kind))
    ticket = enqueue(collective.communicator, state.masks);
  return ticket;
}

Status SimCollectives::finish(uint32_t index) {
  State &state = states[index];
  // A launch that waits for a collective starts when its stream's past is done.
  memory.synchronize();
  for (size_t p = 0; p < state.gathered.size(); ++p) {
    std::vector<uint8_t> &mask = state.receive[p].mask;
    std::fill(mask.begin(), mask.end(), 1);
    for (size_t i = 0; i < state.gathered[p].size(); ++i)
      mask[i % mask.size()] &= state.gathered[p][i];
  }
  for (const Array &array : state.receive)
    store(array);
  return {};
}

} // namespace hadal::sim
