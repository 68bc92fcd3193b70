#include "runtime/session/Join.h"

#include <filesystem>
#include <unistd.h>

#include "runtime/base/Hash.h"
#include "runtime/base/MappedFile.h"
#include "runtime/checkpoint/CheckpointFiles.h"
#include "runtime/comm/Agreement.h"

namespace hadal {

namespace {

/// A digest of several things, one after the other.
class Digest {
public:
  void add(uint64_t number) { value = xxh3(std::string_view(mix(number))); }
  void add(std::span<const uint8_t> bytes) { add(xxh3(bytes)); }
  void add(std::string_view text) { add(xxh3(text)); }
  uint64_t value = 0;

private:
  std::string mix(uint64_t number) const {
    return fmt::format("{:016x}{:016x}", value, number);
  }
};

} // namespace

StatusOr<uint64_t> checkpointDigest(const std::string &weightsDirectory) {
  constexpr uint64_t kSample = 4096;
  HADAL_ASSIGN_OR_RETURN(CheckpointFiles files,
                         findCheckpointFiles(weightsDirectory));
  Digest digest;
  for (const std::string &name : files.names) {
    digest.add(name);
    HADAL_ASSIGN_OR_RETURN(
        MappedFile file,
        MappedFile::open(
            (std::filesystem::path(weightsDirectory) / name).string()));
    const std::span<const uint8_t> bytes = file.bytes();
    digest.add(bytes.size());
    for (uint64_t at :
         {uint64_t{0}, bytes.size() / 2,
          bytes.size() - std::min<uint64_t>(kSample, bytes.size())})
      digest.add(
          bytes.subspan(at, std::min<uint64_t>(kSample, bytes.size() - at)));
  }
  if (files.weightMap)
    for (const auto &[tensor, name] : *files.weightMap) {
      digest.add(tensor);
      digest.add(name);
    }
  return digest.value;
}

Status joinRanks(comm::Group &group, const Artifact &artifact,
                 const ExpertPlacement &placement,
                 const std::string &weightsDirectory, comm::Deadline deadline) {
  comm::RunRecord record;
  char host[256] = {};
  if (::gethostname(host, sizeof(host) - 1) == 0)
    record.host = host;
  record.artifact = artifact.digest();
  Digest collectives;
  for (const schema::Entry *entry : *artifact.root().entries())
    collectives.add(entry->collective_digest());
  record.collectives = collectives.value;
  record.placement = placement.digest();
  StatusOr<uint64_t> checkpoint = checkpointDigest(weightsDirectory);
  HADAL_RETURN_IF_ERROR(
      comm::shareStatus(group, checkpoint.status(), deadline));
  record.checkpoint = *checkpoint;
  record.version = artifact.root().provenance()->compiler_version()->str();
  return comm::agree(group, record, deadline);
}

} // namespace hadal
