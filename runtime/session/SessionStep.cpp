// One step of a session: checks, choice of buckets, calls.
#include <algorithm>

#include "runtime/base/Hash.h"
#include "runtime/session/Session.h"

namespace hadal {

Status Session::checkStep(std::span<const StepRow> rows) const {
  const schema::Model &m = model_.description();
  uint64_t newPages = 0;
  if (rows.empty())
    return error(5005, "a step without rows");
  if (rows.size() > rows_.size())
    return error(5005, "a step of {} rows, the session has {}", rows.size(),
                 rows_.size());
  for (size_t i = 0; i < rows.size(); ++i) {
    const StepRow &s = rows[i];
    if (s.row >= rows_.size() || !rows_[s.row].live)
      return error(5005, "row {} does not live", s.row);
    for (size_t j = 0; j < i; ++j)
      if (rows[j].row == s.row)
        return error(5005, "row {} is named twice in a step", s.row);
    if (s.tokens.empty())
      return error(5005, "row {} has no new tokens", s.row);
    const Row &row = rows_[s.row];
    if (s.tokens.size() > m.max_seq_len() - row.length)
      return error(5005,
                   "row {} would have {} tokens, max-seq-len is {}; shorten "
                   "the input or compile with a larger --max-seq-len",
                   s.row, row.length + s.tokens.size(), m.max_seq_len());
    for (size_t t = 0; t < s.tokens.size(); ++t) {
      if (m.media_token_id() >= 0 && s.tokens[t] == m.media_token_id())
        return error(5005,
                     "vision input is not supported: token {} of row {} is {}, "
                     "which stands for an image",
                     t, s.row, s.tokens[t]);
      if (s.tokens[t] < 0 || uint64_t(s.tokens[t]) >= m.vocab_size())
        return error(5005,
                     "token {} of row {} is {}; the vocabulary has ids 0 to {}",
                     t, s.row, s.tokens[t], m.vocab_size() - 1);
    }
    newPages += pagesFor(row.length + s.tokens.size()) - row.pages.size();
  }
  if (newPages > freePages_.size())
    return error(5013,
                 "the step needs {} more cache pages, {} of {} are free; "
                 "remove rows or give the session more pages",
                 newPages, freePages_.size(), options_.cachePages);
  return {};
}

void Session::reservePages(Row &row, uint64_t length) {
  for (uint64_t pages = pagesFor(length); row.pages.size() < pages;) {
    row.pages.push_back(freePages_.back());
    freePages_.pop_back();
  }
}

StepDemand Session::demandOf(std::span<const StepRow> rows,
                             std::span<Pending> pending) const {
  StepDemand demand;
  demand.phase = rows[pending.front().index].phase;
  demand.rows = static_cast<uint32_t>(pending.size());
  for (Pending &p : pending) {
    uint64_t left = rows[p.index].tokens.size() - p.done;
    if (demand.phase == Phase::Decode)
      left = 1;
    else if (options_.prefillChunk)
      left = std::min<uint64_t>(left, options_.prefillChunk);
    p.take = static_cast<uint32_t>(left);
    demand.tokens += left;
    demand.queries = std::max(demand.queries, p.take);
  }
  describeHalves(pending, demand);
  return demand;
}

const Session::Body *Session::smallest(const StepDemand &demand) const {
  for (const Body &e : runner_->bodies())
    if (runner_->serves(e, demand.phase) && e.tokens >= demand.tokens &&
        e.rows >= demand.rows && e.queries >= demand.queries)
      return &e;
  return nullptr;
}

const Session::Body &Session::choose(const StepDemand &demand) const {
  if (const Body *e = smallest(demand))
    return *e;
  // No bucket holds all: the largest one. Where every row has one token left,
  // that is the one with the most rows.
  return *std::max_element(
      runner_->bodies().begin(), runner_->bodies().end(),
      [&](const Body &a, const Body &b) {
        auto key = [&](const Body &e) {
          if (!runner_->serves(e, demand.phase))
            return 0u;
          return demand.queries == 1 ? std::min(e.rows, e.tokens)
                                     : e.queries == 1 ? 1u : e.tokens;
        };
        return key(a) < key(b);
      });
}

StepDemand Session::fill(const Body &entry, std::span<Pending> pending,
                         size_t &used) const {
  StepDemand filled;
  uint32_t room = entry.tokens;
  used = 0;
  for (Pending &p : pending) {
    if (used == entry.rows || !room)
      break;
    p.take = std::min({p.take, entry.queries, room});
    room -= p.take;
    filled.tokens += p.take;
    filled.queries = std::max(filled.queries, p.take);
    ++used;
  }
  filled.rows = static_cast<uint32_t>(used);
  return filled;
}

StatusOr<const Session::Body *>
Session::plan(std::span<const StepRow> rows, std::span<Pending> pending,
              Parts &parts) {
  // Those of the first one's phase.
  pending = pending.first(static_cast<size_t>(
      std::ranges::find_if(pending,
                           [&](const Pending &p) {
                             return rows[p.index].phase !=
                                    rows[pending.front().index].phase;
                           }) -
      pending.begin()));
  const StepDemand demand = demandOf(rows, pending);
  if (!runner_->hasRanks()) {
    size_t used = 0;
    StepDemand filled = fill(choose(demand), pending, used);
    filled.phase = demand.phase;
    parts = {std::span(pending).first(used)};
    return smallest(filled);
  }
  uint64_t hash = 0;
  for (const Pending &p : pending)
    hash = 31 * hash + xxh3(std::span(reinterpret_cast<const uint8_t *>(
                                          rows[p.index].tokens.data() + p.done),
                                      p.take * sizeof(int32_t)));
  HADAL_ASSIGN_OR_RETURN(
      const std::optional<StepDemand> agreed,
      runner_->agreeOnCall(demand, /*finished=*/false, hash));
  // Some rank is not finished: this one.
  const Body &entry = halve(choose(*agreed), *agreed);
  // Where others decode, a prompt waits.
  parts = agreed->phase == demand.phase ? divide(entry, *agreed, pending)
                                           : Parts();
  return &entry;
}

Status Session::call(const Body &body, std::span<const StepRow> rows,
                     const Parts &parts, const LogitsSink &sink) {
  callRows_.clear();
  for (std::span<const Pending> part : parts)
    for (const Pending &p : part) {
      const StepRow &step = rows[p.index];
      Row &row = rows_[step.row];
      reservePages(row, row.length + p.take);
      const bool last = p.done + p.take == step.tokens.size();
      callRows_.push_back({step.tokens.subspan(p.done, p.take), row.length,
                           row.pages,
                           step.logits == LogitsWanted::Last && !last
                               ? LogitsWanted::None
                               : step.logits});
    }
  const std::span<const CallRow> all(callRows_);
  Status refused; // by the sink
  auto take = [&](const RowLogits &logits) {
    const size_t first = parts[0].size();
    const size_t index = logits.row < first
                             ? parts[0][logits.row].index
                             : parts[1][logits.row - first].index;
    if (!logits.finite && badRow_.ok())
      badRow_ =
          error(5008,
                "the logits of row {} after position {} are not finite; "
                "check the weights, or compile with --activations f32",
                rows[index].row, logits.position);
    if (logits.finite && refused.ok())
      refused = sink(index, logits.position, logits.values);
  };
  HADAL_RETURN_IF_ERROR(runner_->run(
      body, {all.first(parts[0].size()), all.subspan(parts[0].size())}, take));
  for (std::span<Pending> part : parts)
    for (Pending &p : part) {
      rows_[rows[p.index].row].length += p.take;
      p.done += p.take;
    }
  return refused;
}

Status Session::step(std::span<const StepRow> rows, const LogitsSink &sink) {
  return runner_->leave(runStep(rows, sink));
}

Status Session::runStep(std::span<const StepRow> rows,
                        const LogitsSink &sink) {
  HADAL_RETURN_IF_ERROR(runner_->failure());
  HADAL_RETURN_IF_ERROR(checkStep(rows));
  uint64_t total = 0, done = 0;
  pending_.clear();
  badRow_ = {};
  for (Phase phase : {Phase::Decode, Phase::Prompt})
    for (size_t i = 0; i < rows.size(); ++i)
      if (rows[i].phase == phase) {
        pending_.push_back({i});
        total += rows[i].tokens.size();
      }
  while (!pending_.empty()) {
    if (options_.interrupt && options_.interrupt->load())
      return error(5016, "interrupted after {} of {} tokens of a step", done,
                   total);
    Parts parts;
    HADAL_ASSIGN_OR_RETURN(const Body *entry, plan(rows, pending_, parts));
    HADAL_RETURN_IF_ERROR(call(*entry, rows, parts, sink));
    for (std::span<const Pending> part : parts)
      for (const Pending &p : part)
        done += p.take;
    if (options_.progress)
      options_.progress(done, total);
    std::erase_if(pending_, [&](const Pending &p) {
      return p.done == rows[p.index].tokens.size();
    });
  }
  return badRow_;
}

Status Session::finish() {
  if (!runner_->hasRanks())
    return {};
  HADAL_RETURN_IF_ERROR(runner_->failure());
  while (true) {
    HADAL_ASSIGN_OR_RETURN(
        const std::optional<StepDemand> agreed,
        runner_->agreeOnCall({.halves = options_.microBatches,
                              .idleHalves = options_.microBatches},
                             /*finished=*/true, 0));
    if (!agreed)
      return {};
    HADAL_RETURN_IF_ERROR(runner_->leave(
        call(halve(choose(*agreed), *agreed), {}, {}, {})));
  }
}

} // namespace hadal
