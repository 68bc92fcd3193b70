#include "runtime/device/Driver.h"

#include <algorithm>

namespace hadal {

/// H6004 unless |endpoint| has what entry |entry| of |artifact| needs.
static Status checkEndpoint(const Artifact &artifact, std::string_view entry,
                            const comm::Endpoint *endpoint) {
  const auto *communicators = artifact.root().communicators();
  if (!endpoint)
    return error(6004,
                 "entry '{}' of artifact '{}' is for {} ranks, it was started "
                 "alone; start as many with --ranks, or compile for one",
                 entry, artifact.path(), artifact::numRanks(artifact.root()));
  if (endpoint->communicators.size() != communicators->size())
    return error(6004,
                 "artifact '{}' has {} communicators, {} were given; start it "
                 "with --ranks {}",
                 artifact.path(), communicators->size(),
                 endpoint->communicators.size(),
                 artifact::numRanks(artifact.root()));
  for (unsigned i = 0; i < communicators->size(); ++i) {
    const schema::Communicator &wanted = *communicators->Get(i);
    if (endpoint->communicators[i]->size() != wanted.size())
      return error(6004,
                   "communicator '{}' of artifact '{}' has {} ranks, {} were "
                   "given; start it with --ranks {}",
                   wanted.name()->string_view(), artifact.path(), wanted.size(),
                   endpoint->communicators[i]->size(),
                   artifact::numRanks(artifact.root()));
  }
  return {};
}

StatusOr<std::unique_ptr<PreparedEntry>>
Executable::prepare(unsigned index, const Bindings &bindings,
                    const comm::Endpoint *endpoint) {
  const schema::Entry &entry = *artifact.root().entries()->Get(index);
  LaunchList list = flatten(artifact.root(), entry, bindings);
  if (!list.collectives.empty())
    HADAL_RETURN_IF_ERROR(
        checkEndpoint(artifact, entry.name()->string_view(), endpoint));
  return prepare(entry.name()->str(), list,
                 entry.kind() == schema::EntryKind::decode, endpoint);
}

Status checkCommunicators(std::string_view name, const LaunchList &list,
                          const comm::Endpoint *endpoint, bool hostOrdered) {
  for (const Collective &collective : list.collectives) {
    const comm::Communicator &communicator =
        *endpoint->communicators[collective.communicator];
    if (communicator.capabilities().hostOrdered != hostOrdered)
      return error(6005,
                   "communicator '{}' of entry '{}' moves {} memory, the "
                   "kernels' is {}; start the ranks with --comm {}",
                   communicator.name(), name,
                   hostOrdered ? "a device's" : "the host's",
                   hostOrdered ? "the host's" : "a device's",
                   hostOrdered ? "loopback or mpi" : "nccl");
  }
  return {};
}

Status Driver::upload(DeviceAddress to, uint64_t bytes,
                      const FillFunction &fill) {
  constexpr uint64_t kPiece = uint64_t(4) << 20;
  std::vector<uint8_t> staging(std::min(bytes, kPiece));
  for (uint64_t begin = 0; begin < bytes; begin += kPiece) {
    const uint64_t end = std::min(bytes, begin + kPiece);
    fill(staging.data(), begin, end);
    HADAL_RETURN_IF_ERROR(write(to + begin, staging.data(), end - begin));
  }
  return {};
}

} // namespace hadal
