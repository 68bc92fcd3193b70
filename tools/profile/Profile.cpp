#include "tools/profile/Profile.h"

#include <cstring>
#include <numeric>

#include "runtime/comm/Gather.h"

namespace hadal::profile {

namespace {

/// Ranks of one run are of one version and byte order: numbers go as they are.
class Writer {
public:
  void number(uint64_t value) { raw(&value, sizeof(value)); }
  void numbers(std::span<const int64_t> values) {
    number(values.size());
    raw(values.data(), values.size_bytes());
  }
  void text(const std::string &value) {
    number(value.size());
    raw(value.data(), value.size());
  }
  std::vector<uint8_t> bytes;

private:
  void raw(const void *data, size_t size) {
    const auto *from = static_cast<const uint8_t *>(data);
    bytes.insert(bytes.end(), from, from + size);
  }
};

/// After a fault everything reads as 0.
class Reader {
public:
  explicit Reader(std::span<const uint8_t> bytes) : bytes(bytes) {}

  uint64_t number() {
    uint64_t value = 0;
    raw(&value, sizeof(value));
    return value;
  }
  int64_t time() { return static_cast<int64_t>(number()); }
  /// Of things that take |least| bytes each at least.
  size_t count(size_t least) {
    const uint64_t value = number();
    if (value > bytes.size() / least)
      good = false;
    return good ? static_cast<size_t>(value) : 0;
  }
  std::vector<int64_t> numbers() {
    std::vector<int64_t> values(count(sizeof(int64_t)));
    raw(values.data(), values.size() * sizeof(int64_t));
    return values;
  }
  std::string text() {
    std::string value(count(1), '\0');
    raw(value.data(), value.size());
    return value;
  }
  bool atEnd() const { return good && bytes.empty(); }
  bool isGood() const { return good; }
  void refuse() { good = false; }

private:
  void raw(void *to, size_t size) {
    good = good && size <= bytes.size();
    if (!good || !size)
      return;
    std::memcpy(to, bytes.data(), size);
    bytes = bytes.subspan(size);
  }

  std::span<const uint8_t> bytes;
  bool good = true;
};

void write(Writer &to, const Run &run) {
  to.number(run.number);
  to.number(static_cast<uint64_t>(run.begin));
  to.number(static_cast<uint64_t>(run.end));
  to.number(run.spans.size());
  for (const Span &span : run.spans) {
    to.number(static_cast<uint64_t>(span.begin));
    to.number(static_cast<uint64_t>(span.end));
    to.number(uint64_t{span.index} << 8 | static_cast<uint64_t>(span.kind));
  }
}

Run readRun(Reader &from) {
  Run run;
  run.number = from.number();
  run.begin = from.time();
  run.end = from.time();
  run.spans.resize(from.count(3 * sizeof(uint64_t)));
  for (Span &span : run.spans) {
    span.begin = from.time();
    span.end = from.time();
    const uint64_t word = from.number();
    if ((word & 0xff) > static_cast<uint64_t>(CommandSpan::Kind::collective) ||
        word >> 40)
      from.refuse();
    span.kind = static_cast<CommandSpan::Kind>(word & 0xff);
    span.index = static_cast<uint32_t>(word >> 8);
  }
  return run;
}

} // namespace

int64_t RunTotals::allExposedNs() const {
  return std::accumulate(exposedNs.begin(), exposedNs.end(), int64_t{0});
}

std::vector<uint8_t> toBytes(const RankProfile &profile) {
  Writer to;
  to.number(profile.rank);
  to.text(profile.host);
  to.number(static_cast<uint64_t>(profile.begin));
  to.number(static_cast<uint64_t>(profile.end));
  to.number(profile.entries.size());
  for (const EntryProfile &entry : profile.entries) {
    to.number(entry.runs.size());
    for (const RunTotals &run : entry.runs) {
      to.number(static_cast<uint64_t>(run.ns));
      to.number(static_cast<uint64_t>(run.kernelNs));
      to.numbers(run.exposedNs);
    }
    to.numbers(entry.launchNs);
    to.number(entry.kept.size());
    for (const Run &run : entry.kept)
      write(to, run);
  }
  return std::move(to.bytes);
}

StatusOr<RankProfile> profileOf(std::span<const uint8_t> bytes,
                                size_t numEntries) {
  Reader from(bytes);
  RankProfile profile;
  profile.rank = static_cast<uint32_t>(from.number());
  profile.host = from.text();
  profile.begin = from.time();
  profile.end = from.time();
  profile.entries.resize(from.count(3 * sizeof(uint64_t)));
  for (EntryProfile &entry : profile.entries) {
    entry.runs.resize(from.count(3 * sizeof(uint64_t)));
    for (RunTotals &run : entry.runs) {
      run.ns = from.time();
      run.kernelNs = from.time();
      run.exposedNs = from.numbers();
    }
    entry.launchNs = from.numbers();
    entry.kept.resize(from.count(4 * sizeof(uint64_t)));
    for (Run &run : entry.kept)
      run = readRun(from);
  }
  if (!from.atEnd() || profile.entries.size() != numEntries)
    return error(6006,
                 "a rank sent a profile of {} bytes that is none of {} "
                 "entries; run the same version on all ranks",
                 bytes.size(), numEntries);
  return profile;
}

StatusOr<std::vector<RankProfile>>
gatherProfiles(comm::Group *group, const RankProfile &mine,
               std::chrono::milliseconds timeout) {
  std::vector<RankProfile> all;
  if (!group) {
    all.push_back(mine);
    return all;
  }
  HADAL_ASSIGN_OR_RETURN(std::vector<std::vector<uint8_t>> ranks,
                         comm::gather(*group, toBytes(mine), timeout));
  for (const std::vector<uint8_t> &bytes : ranks) {
    HADAL_ASSIGN_OR_RETURN(RankProfile profile,
                           profileOf(bytes, mine.entries.size()));
    if (profile.rank != all.size())
      return error(6006, "rank {} sent the profile of rank {}", all.size(),
                   profile.rank);
    all.push_back(std::move(profile));
  }
  return all;
}

} // namespace hadal::profile
