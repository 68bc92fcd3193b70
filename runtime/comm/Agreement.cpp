#include "runtime/comm/Agreement.h"

#include <array>
#include <cstring>

#include "runtime/comm/Printable.h"

namespace hadal::comm {

namespace {

constexpr size_t kText = 128;

/// A RunRecord as it is sent.
struct Wire {
  char host[kText], version[kText], library[kText];
  uint64_t digests[4];
};

void set(char (&field)[kText], std::string_view text) {
  std::memset(field, 0, kText);
  std::memcpy(field, text.data(), std::min(kText, text.size()));
}

std::string get(const char (&field)[kText]) {
  return printable({field, strnlen(field, kText)});
}

template <typename Record>
Status readRecord(const std::vector<uint8_t> &bytes, unsigned rank,
                  size_t extra, Record &record) {
  if (bytes.size() < sizeof(record) || bytes.size() > sizeof(record) + extra)
    return error(6003,
                 "rank {} sent a record of {} bytes, expected {}; start the "
                 "same hadal on all ranks",
                 rank, bytes.size(), sizeof(record));
  std::memcpy(&record, bytes.data(), sizeof(record));
  return {};
}

struct Outcome {
  int32_t code;
};
constexpr size_t kMaxMessage = 4096;

} // namespace

Status agree(Group &group, const RunRecord &mine, Deadline deadline) {
  Wire wire = {};
  set(wire.host, mine.host);
  set(wire.version, mine.version);
  set(wire.library, mine.library);
  const std::array<uint64_t, 4> digests = {mine.artifact, mine.collectives,
                                           mine.placement, mine.checkpoint};
  std::copy(digests.begin(), digests.end(), wire.digests);
  HADAL_ASSIGN_OR_RETURN(
      auto all,
      group.exchange({reinterpret_cast<const uint8_t *>(&wire), sizeof(wire)},
                     deadline));
  Wire first;
  HADAL_RETURN_IF_ERROR(readRecord(all[0], 0, 0, first));
  for (unsigned rank = 1; rank < all.size(); ++rank) {
    Wire other;
    HADAL_RETURN_IF_ERROR(readRecord(all[rank], rank, 0, other));
    auto differs = [&](std::string_view what, std::string_view found,
                       std::string_view expected, std::string_view remedy) {
      return error(6003,
                   "rank {} (host {}) has another {}: {}, rank 0 has {}; {}",
                   rank, get(other.host), what, found, expected, remedy);
    };
    const std::string found = get(other.version), expected = get(first.version);
    if (found != expected)
      return differs("version of hadal", found, expected,
                     "install the same one everywhere");
    if (get(other.library) != get(first.library))
      return differs("communication library", get(other.library),
                     get(first.library), "install the same one everywhere");
    constexpr std::array<std::array<std::string_view, 2>, 4> kWhat = {{
        {"artifact", "copy the artifact of rank 0 there"},
        {"list of collectives", "copy the artifact of rank 0 there"},
        {"placement of experts", "give all ranks the same --placement file"},
        {"checkpoint", "copy the checkpoint of rank 0 there"},
    }};
    for (size_t i = 0; i < kWhat.size(); ++i)
      if (other.digests[i] != first.digests[i])
        return differs(kWhat[i][0], fmt::format("{:016x}", other.digests[i]),
                       fmt::format("{:016x}", first.digests[i]), kWhat[i][1]);
  }
  return {};
}

Status shareStatus(Group &group, const Status &mine, Deadline deadline) {
  const Outcome outcome = {mine.code()};
  std::vector<uint8_t> bytes(sizeof(outcome));
  std::memcpy(bytes.data(), &outcome, sizeof(outcome));
  const std::string_view text =
      std::string_view(mine.message()).substr(0, kMaxMessage);
  bytes.insert(bytes.end(), text.begin(), text.end());
  auto all = group.exchange(bytes, deadline);
  if (!mine.ok())
    return mine;
  HADAL_RETURN_IF_ERROR(all.status());
  for (unsigned rank = 0; rank < all->size(); ++rank) {
    const std::vector<uint8_t> &theirs = (*all)[rank];
    Outcome other;
    HADAL_RETURN_IF_ERROR(readRecord(theirs, rank, kMaxMessage, other));
    if (other.code == 0)
      continue;
    const std::string message = printable(
        {reinterpret_cast<const char *>(theirs.data()) + sizeof(other),
         theirs.size() - sizeof(other)});
    return error(errorSentence(other.code) ? other.code : 5014, "rank {}: {}",
                 rank, message);
  }
  return {};
}

} // namespace hadal::comm
