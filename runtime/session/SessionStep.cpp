// One step of a session: checks, choice of buckets, calls.
#include <algorithm>
#include <array>
#include <bit>

#include "runtime/base/Hash.h"
#include "runtime/schemas/ArtifactFile.h"
#include "runtime/session/Session.h"

namespace hadal {

namespace {

/// True if no value is infinite or NaN. Written on the bits, so that it holds
/// whatever floating-point options it is compiled with.
bool allFinite(std::span<const float> values) {
  uint32_t bad = 0;
  for (float v : values)
    bad |= (std::bit_cast<uint32_t>(v) & 0x7f800000u) == 0x7f800000u;
  return !bad;
}

} // namespace

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
    for (size_t t = 0; t < s.tokens.size(); ++t)
      if (s.tokens[t] < 0 || uint64_t(s.tokens[t]) >= m.vocab_size())
        return error(5005,
                     "token {} of row {} is {}; the vocabulary has ids 0 to {}",
                     t, s.row, s.tokens[t], m.vocab_size() - 1);
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

const Session::BodyEntry *Session::smallest(const StepDemand &demand) const {
  for (const BodyEntry &e : bodies_)
    if (serves(e, demand.phase) && e.tokens >= demand.tokens &&
        e.rows >= demand.rows && e.queries >= demand.queries)
      return &e;
  return nullptr;
}

const Session::BodyEntry &Session::choose(const StepDemand &demand) const {
  if (const BodyEntry *e = smallest(demand))
    return *e;
  // No bucket holds all: the largest one. Where every row has one token left,
  // that is the one with the most rows.
  return *std::max_element(
      bodies_.begin(), bodies_.end(),
      [&](const BodyEntry &a, const BodyEntry &b) {
        auto key = [&](const BodyEntry &e) {
          if (!serves(e, demand.phase))
            return 0u;
          return demand.queries == 1 ? std::min(e.rows, e.tokens)
                                     : e.queries == 1 ? 1u : e.tokens;
        };
        return key(a) < key(b);
      });
}

StepDemand Session::fill(const BodyEntry &entry, std::span<Pending> pending,
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

StatusOr<const Session::BodyEntry *>
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
  if (!lockStep_) {
    size_t used = 0;
    StepDemand filled = fill(choose(demand), pending, used);
    filled.phase = demand.phase;
    parts = {std::span(pending).first(used)};
    return smallest(filled);
  }
  uint64_t hash = logitsHash_;
  for (const Pending &p : pending)
    hash = 31 * hash + xxh3(std::span(reinterpret_cast<const uint8_t *>(
                                          rows[p.index].tokens.data() + p.done),
                                      p.take * sizeof(int32_t)));
  StatusOr<std::optional<StepDemand>> agreed =
      lockStep_->agreeOnCall(demand, /*finished=*/false, hash);
  if (!agreed.ok())
    return failure_ = agreed.status();
  // Some rank is not finished: this one.
  const BodyEntry &entry = halve(choose(**agreed), **agreed);
  // Where others decode, a prompt waits.
  parts = (*agreed)->phase == demand.phase ? divide(entry, **agreed, pending)
                                           : Parts();
  return &entry;
}

template <typename T>
Status Session::writeInput(schema::Input input, const std::vector<T> &values) {
  const DeviceBuffer &buffer = inputs_[static_cast<unsigned>(input)];
  return model_.driver().write(buffer.address(), values.data(),
                               values.size() * sizeof(T));
}

void Session::setSizes(uint32_t capacity, int32_t tokens, int32_t rows,
                       int32_t logitRows, size_t at) {
  const RankLayout::Slice slice = model_.layout().slice(capacity, tokens);
  sizes_.resize(at);
  sizes_.resize(at + artifact::kSizesHead);
  std::ranges::copy(std::to_array({tokens, rows, logitRows,
                                   /*slice_tokens=*/slice.tokens,
                                   /*flags=*/artifact::kCountExpertLoad,
                                   /*slice_begin=*/slice.begin}),
                    sizes_.begin() + static_cast<ptrdiff_t>(at));
}

Status Session::writeBodyInputs() {
  using schema::Input;
  HADAL_RETURN_IF_ERROR(writeInput(Input::tokens, tokens_));
  HADAL_RETURN_IF_ERROR(writeInput(Input::positions, positions_));
  HADAL_RETURN_IF_ERROR(writeInput(Input::q_start, qStart_));
  HADAL_RETURN_IF_ERROR(writeInput(Input::kv_len, kvLen_));
  HADAL_RETURN_IF_ERROR(writeInput(Input::page_table, pageTable_));
  HADAL_RETURN_IF_ERROR(writeInput(Input::slot, slots_));
  return writeInput(Input::sizes, sizes_);
}

size_t Session::strideOf(schema::Input input, const BodyEntry &entry,
                         size_t bytes) const {
  const schema::Artifact &root = model_.artifact().root();
  return artifact::inputStride(artifact::inputBlockBytes(
             static_cast<unsigned>(input),
             artifact::inputShape(root, *root.entries()->Get(entry.index)))) /
         bytes;
}

int32_t Session::stage(const BodyEntry &entry, uint32_t part,
                       std::span<const StepRow> rows,
                       std::span<Pending> pending,
                       std::vector<WantedLogits> &wanted) {
  using schema::Input;
  const uint64_t pageSize = model_.description().page_size();
  const uint32_t capacity = entry.tokens / entry.microBatches;
  const uint32_t capacityRows = entry.rows / entry.microBatches;
  // Rows of the hidden state lie without gaps, parts of inputs do not.
  const int32_t hidden = static_cast<int32_t>(part * capacity);
  auto begin = [&](auto &values, Input input, size_t count, auto padding) {
    const size_t at = part * strideOf(input, entry, sizeof(values[0]));
    values.resize(at);
    values.resize(at + count, padding);
    return values.data() + at;
  };
  int32_t *tokens = begin(tokens_, Input::tokens, capacity, 0);
  int32_t *positions = begin(positions_, Input::positions, capacity, 0);
  int64_t *slots = begin(slots_, Input::slot, capacity, -1);
  int32_t *qStart = begin(qStart_, Input::q_start, capacityRows + 1, 0);
  int32_t *kvLen = begin(kvLen_, Input::kv_len, capacityRows, 0);
  int32_t *pageTable =
      begin(pageTable_, Input::page_table, capacityRows * pagesPerRow_, 0);

  int32_t t = 0;
  for (size_t r = 0; r < pending.size(); ++r) {
    Pending &p = pending[r];
    const StepRow &step = rows[p.index];
    Row &row = rows_[step.row];
    reservePages(row, row.length + p.take);
    for (uint32_t i = 0; i < p.take; ++i, ++t) {
      uint64_t position = row.length + i;
      tokens[t] = step.tokens[p.done + i];
      positions[t] = static_cast<int32_t>(position);
      slots[t] = int64_t(row.pages[position / pageSize]) * int64_t(pageSize) +
                 int64_t(position % pageSize);
      bool last = p.done + i + 1 == step.tokens.size();
      if (step.logits == LogitsWanted::All ||
          (step.logits == LogitsWanted::Last && last))
        wanted.push_back({p.index, position, hidden + t});
    }
    qStart[r + 1] = t;
    kvLen[r] = static_cast<int32_t>(row.length + p.take);
    std::copy(row.pages.begin(), row.pages.end(), pageTable + r * pagesPerRow_);
  }
  std::fill(qStart + pending.size() + 1, qStart + capacityRows + 1, t);
  setSizes(capacity, t, static_cast<int32_t>(pending.size()), 0,
           part * strideOf(Input::sizes, entry, sizeof(int32_t)));
  return t;
}

Status Session::runBody(const BodyEntry &entry, std::span<const StepRow> rows,
                        const Parts &parts, std::vector<WantedLogits> &wanted,
                        int32_t &tokens) {
  wanted.clear();
  tokens = 0;
  for (uint32_t part = 0; part < entry.microBatches; ++part)
    tokens += stage(entry, part, rows, parts[part], wanted);
  HADAL_RETURN_IF_ERROR(quit(writeBodyInputs()));
  HADAL_RETURN_IF_ERROR(runEntry(entry));
  counters_.bodyCalls += 1;
  counters_.halvedCalls += entry.microBatches > 1;
  counters_.tokens += static_cast<uint64_t>(tokens);
  for (std::span<Pending> part : parts)
    for (Pending &p : part) {
      rows_[rows[p.index].row].length += p.take;
      p.done += p.take;
    }
  return {};
}

void Session::hashLogits(std::span<const float> logits) {
  logitsHash_ = 31 * logitsHash_ +
                xxh3(std::span(reinterpret_cast<const uint8_t *>(logits.data()),
                               logits.size_bytes()));
}

Status Session::runHead(const BodyEntry &body, std::span<const StepRow> rows,
                        std::span<const WantedLogits> wanted,
                        std::array<int32_t, 2> tokensAndRows,
                        const LogitsSink &sink) {
  using schema::Input;
  Driver &driver = model_.driver();
  const uint64_t vocab = model_.description().vocab_size();
  while (!wanted.empty()) {
    auto fits = std::find_if(
        heads_.begin(), heads_.end(),
        [&](const HeadEntry &e) { return e.rows >= wanted.size(); });
    const HeadEntry &head = fits == heads_.end() ? heads_.back() : *fits;
    const size_t count = std::min<size_t>(wanted.size(), head.rows);
    logitRows_.assign(head.rows, 0);
    for (size_t i = 0; i < count; ++i)
      logitRows_[i] = wanted[i].token;
    setSizes(body.tokens, tokensAndRows[0], tokensAndRows[1],
             static_cast<int32_t>(count));
    HADAL_RETURN_IF_ERROR(quit(writeInput(Input::logit_rows, logitRows_)));
    HADAL_RETURN_IF_ERROR(quit(writeInput(Input::sizes, sizes_)));
    HADAL_RETURN_IF_ERROR(runPrepared(head.index));
    counters_.headCalls += 1;

    const float *values = reinterpret_cast<const float *>(logits_.address());
    if (!driver.sharesHostMemory()) {
      hostLogits_.resize(count * vocab);
      HADAL_RETURN_IF_ERROR(driver.read(hostLogits_.data(), logits_.address(),
                                        count * vocab * sizeof(float)));
      values = hostLogits_.data();
    }
    if (options_.checkCollectives)
      hashLogits({values, count * vocab});
    for (size_t i = 0; i < count; ++i) {
      std::span<const float> row(values + i * vocab, vocab);
      if (!allFinite(row))
        return error(5008,
                     "the logits of row {} after position {} are not finite; "
                     "check the weights, or compile with --activations f32",
                     rows[wanted[i].index].row, wanted[i].position);
      HADAL_RETURN_IF_ERROR(sink(wanted[i].index, wanted[i].position, row));
    }
    wanted = wanted.subspan(count);
  }
  return {};
}

Status Session::step(std::span<const StepRow> rows, const LogitsSink &sink) {
  return leave(runStep(rows, sink));
}

Status Session::runStep(std::span<const StepRow> rows,
                        const LogitsSink &sink) {
  HADAL_RETURN_IF_ERROR(failure_);
  HADAL_RETURN_IF_ERROR(checkStep(rows));
  uint64_t total = 0, done = 0;
  pending_.clear();
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
    HADAL_ASSIGN_OR_RETURN(const BodyEntry *entry, plan(rows, pending_, parts));
    int32_t tokens = 0;
    HADAL_RETURN_IF_ERROR(runBody(*entry, rows, parts, wanted_, tokens));
    const size_t used = parts[0].size() + parts[1].size();
    HADAL_RETURN_IF_ERROR(runHead(*entry, rows, wanted_,
                                  {tokens, static_cast<int32_t>(used)}, sink));
    done += static_cast<uint64_t>(tokens);
    if (options_.progress)
      options_.progress(done, total);
    std::erase_if(pending_, [&](const Pending &p) {
      return p.done == rows[p.index].tokens.size();
    });
  }
  return {};
}

} // namespace hadal
