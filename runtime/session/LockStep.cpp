#include "runtime/session/LockStep.h"

#include <algorithm>
#include <cstring>

#include "runtime/comm/Printable.h"

namespace hadal {

/// What a rank says in an agreement; the text of its error follows.
struct LockStep::Record {
  enum State : uint32_t { working, finished, failed };
  enum Question : uint32_t { nextCall, overflowed };

  uint64_t step = 0;
  uint64_t tokens = 0;
  uint64_t hash = 0;
  uint64_t halfTokens = 0;
  uint32_t question = nextCall;
  uint32_t state = working;
  uint32_t rows = 0, queries = 0;
  uint32_t errorCode = 0;
  ExchangeDemand wanted; // of a question whether the call has overflowed
  uint32_t halves = 0;
  uint32_t halfRows = 0;
  uint32_t decodes = 0;
  uint32_t idleHalves = 0;
};

StatusOr<std::vector<LockStep::Record>>
LockStep::exchange(Record mine, const std::string &message) {
  // A frame of the control plane holds 64 KiB.
  constexpr size_t kMostText = 4096;
  mine.step = step;
  std::vector<uint8_t> blob(sizeof(mine));
  std::memcpy(blob.data(), &mine, sizeof(mine));
  blob.insert(blob.end(), message.begin(),
              message.begin() +
                  static_cast<ptrdiff_t>(std::min(message.size(), kMostText)));
  HADAL_ASSIGN_OR_RETURN(std::vector<std::vector<uint8_t>> blobs,
                         group.exchange(blob, deadline()));
  ++step;
  std::vector<Record> records(blobs.size());
  for (size_t r = 0; r < blobs.size(); ++r) {
    Record &record = records[r];
    if (blobs[r].size() < sizeof(record))
      return error(6006,
                   "rank {} sent {} bytes to the agreement of step {}, "
                   "expected at least {}",
                   r, blobs[r].size(), step - 1, sizeof(record));
    std::memcpy(&record, blobs[r].data(), sizeof(record));
    if (record.state == Record::failed) {
      const int code = static_cast<int>(record.errorCode);
      const std::string text(blobs[r].begin() + sizeof(record), blobs[r].end());
      return error(errorSentence(code) ? code : 6001, "rank {}: {}", r,
                   comm::printable(text));
    }
  }
  for (size_t r = 0; r < records.size(); ++r) {
    const Record &a = records[0], &b = records[r];
    if (a.step != b.step || a.question != b.question)
      return error(6006,
                   "rank 0 is at agreement {} ({}), rank {} at {} ({}); all "
                   "ranks must make the same calls",
                   a.step, a.question ? "overflow" : "next call", r, b.step,
                   b.question ? "overflow" : "next call");
  }
  return records;
}

StatusOr<std::optional<StepDemand>>
LockStep::agreeOnCall(const StepDemand &mine, bool finished,
                      uint64_t hash) {
  Record record;
  record.question = Record::nextCall;
  record.state = finished ? Record::finished : Record::working;
  record.tokens = mine.tokens;
  record.rows = mine.rows;
  record.queries = mine.queries;
  record.hash = hash;
  record.halves = mine.halves;
  record.halfTokens = mine.halfTokens;
  record.halfRows = mine.halfRows;
  record.decodes = mine.phase == Phase::Decode;
  record.idleHalves = mine.idleHalves;
  HADAL_ASSIGN_OR_RETURN(std::vector<Record> all, exchange(record));
  StepDemand demand;
  bool working = false;
  bool decodes = false, prompts = false;
  for (const Record &r : all)
    (r.decodes ? decodes : prompts) |= r.rows != 0;
  // By turns, so that neither waits for the end of the other.
  if (decodes && (!prompts || calls++ % 2 == 0))
    demand.phase = Phase::Decode;
  for (size_t r = 0; r < all.size(); ++r) {
    const size_t first = r / layout.tp * layout.tp;
    if (all[r].hash != all[first].hash)
      return error(6006,
                   "ranks {} and {} of a tp group bring different tokens or "
                   "logits to step {}: what they have computed differs",
                   first, r, step - 1);
    working |= all[r].state == Record::working;
    if (all[r].rows && (demand.phase == Phase::Decode) != (all[r].decodes != 0)) {
      demand.halves &= all[r].idleHalves != 0; // its rows are not of this call
      continue;
    }
    demand.tokens = std::max(demand.tokens, all[r].tokens);
    demand.rows = std::max(demand.rows, all[r].rows);
    demand.queries = std::max(demand.queries, all[r].queries);
    demand.halves &= all[r].halves != 0;
    demand.halfTokens = std::max(demand.halfTokens, all[r].halfTokens);
    demand.halfRows = std::max(demand.halfRows, all[r].halfRows);
  }
  return working ? std::optional(demand) : std::nullopt;
}

StatusOr<ExchangeDemand> LockStep::agreeOnOverflow(const ExchangeDemand &mine) {
  Record record;
  record.question = Record::overflowed;
  record.wanted = mine;
  HADAL_ASSIGN_OR_RETURN(std::vector<Record> all, exchange(record));
  ExchangeDemand most;
  for (const Record &r : all)
    most.raise(r.wanted);
  return most;
}

void LockStep::fail(const Status &status) {
  Record record;
  record.state = Record::failed;
  record.errorCode = static_cast<uint32_t>(status.code());
  // Whatever comes of it: this rank ends with |status|.
  (void)exchange(record, status.message());
}

} // namespace hadal
