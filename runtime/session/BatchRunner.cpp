// One call: its inputs, the body, the head.
#include "runtime/session/BatchRunner.h"

#include <algorithm>
#include <bit>

#include "runtime/base/Hash.h"
#include "runtime/schemas/ArtifactFile.h"

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

template <typename T>
Status BatchRunner::writeInput(schema::Input input,
                               const std::vector<T> &values) {
  const DeviceBuffer &buffer = inputs_[static_cast<unsigned>(input)];
  return model_.driver().write(buffer.address(), values.data(),
                               values.size() * sizeof(T));
}

void BatchRunner::setSizes(uint32_t capacity, int32_t tokens, int32_t rows,
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

Status BatchRunner::writeBodyInputs() {
  using schema::Input;
  HADAL_RETURN_IF_ERROR(writeInput(Input::tokens, tokens_));
  HADAL_RETURN_IF_ERROR(writeInput(Input::positions, positions_));
  HADAL_RETURN_IF_ERROR(writeInput(Input::q_start, qStart_));
  HADAL_RETURN_IF_ERROR(writeInput(Input::kv_len, kvLen_));
  HADAL_RETURN_IF_ERROR(writeInput(Input::page_table, pageTable_));
  HADAL_RETURN_IF_ERROR(writeInput(Input::slot, slots_));
  return writeInput(Input::sizes, sizes_);
}

size_t BatchRunner::strideOf(schema::Input input, const Body &body,
                             size_t bytes) const {
  const schema::Artifact &root = model_.artifact().root();
  return artifact::inputStride(artifact::inputBlockBytes(
             static_cast<unsigned>(input),
             artifact::inputShape(root, *root.entries()->Get(body.index)))) /
         bytes;
}

int32_t BatchRunner::stage(const Body &body, uint32_t part,
                           std::span<const CallRow> rows, size_t first) {
  using schema::Input;
  const uint64_t pageSize = model_.description().page_size();
  const uint32_t capacity = body.tokens / body.microBatches;
  const uint32_t capacityRows = body.rows / body.microBatches;
  // Rows of the hidden state lie without gaps, parts of inputs do not.
  const int32_t hidden = static_cast<int32_t>(part * capacity);
  auto begin = [&](auto &values, Input input, size_t count, auto padding) {
    const size_t at = part * strideOf(input, body, sizeof(values[0]));
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
  for (size_t r = 0; r < rows.size(); ++r) {
    const CallRow &row = rows[r];
    const size_t count = row.tokens.size();
    for (size_t i = 0; i < count; ++i, ++t) {
      const uint64_t position = row.position + i;
      tokens[t] = row.tokens[i];
      positions[t] = static_cast<int32_t>(position);
      if (row.writes)
        slots[t] = int64_t(row.pages[position / pageSize]) * int64_t(pageSize) +
                   int64_t(position % pageSize);
      if (row.logits == LogitsWanted::All ||
          (row.logits == LogitsWanted::Last && i + 1 == count))
        wanted_.push_back({first + r, position, hidden + t});
    }
    qStart[r + 1] = t;
    kvLen[r] = static_cast<int32_t>(row.position + count);
    std::ranges::copy(row.pages, pageTable + r * pagesPerRow_);
  }
  std::fill(qStart + rows.size() + 1, qStart + capacityRows + 1, t);
  setSizes(capacity, t, static_cast<int32_t>(rows.size()), 0,
           part * strideOf(Input::sizes, body, sizeof(int32_t)));
  return t;
}

Status BatchRunner::run(const Body &body, const Parts &parts,
                        const RowLogitsSink &sink) {
  wanted_.clear();
  int32_t tokens = 0;
  size_t rows = 0;
  for (uint32_t part = 0; part < body.microBatches; ++part) {
    tokens += stage(body, part, parts[part], rows);
    rows += parts[part].size();
  }
  HADAL_RETURN_IF_ERROR(quit(writeBodyInputs()));
  HADAL_RETURN_IF_ERROR(runEntry(body));
  counters_.bodyCalls += 1;
  counters_.halvedCalls += body.microBatches > 1;
  counters_.idleCalls += !rows;
  counters_.tokens += static_cast<uint64_t>(tokens);
  return runHead(body, {tokens, static_cast<int32_t>(rows)}, sink);
}

void BatchRunner::hashLogits(std::span<const float> logits) {
  logitsHash_ = 31 * logitsHash_ +
                xxh3(std::span(reinterpret_cast<const uint8_t *>(logits.data()),
                               logits.size_bytes()));
}

Status BatchRunner::runHead(const Body &body,
                            std::array<int32_t, 2> tokensAndRows,
                            const RowLogitsSink &sink) {
  using schema::Input;
  Driver &driver = model_.driver();
  const uint64_t vocab = model_.description().vocab_size();
  std::span<const WantedLogits> wanted(wanted_);
  while (!wanted.empty()) {
    auto fits =
        std::find_if(heads_.begin(), heads_.end(), [&](const HeadEntry &e) {
          return e.rows >= wanted.size();
        });
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
      sink({wanted[i].row, wanted[i].position, row, allFinite(row)});
    }
    wanted = wanted.subspan(count);
  }
  return {};
}

Status BatchRunner::copyPage(int32_t to, int32_t from) {
  Driver &driver = model_.driver();
  const auto &states = *model_.artifact().root().states();
  for (unsigned i = 0; i < states.size(); ++i) {
    if (states.Get(i)->kind() != schema::StateKind::paged_cache)
      continue;
    // Pages lie one after the other, of equal size.
    const uint64_t bytes = states_[i].bytes() / options_.cachePages;
    page_.resize(bytes);
    const DeviceAddress cache = states_[i].address();
    HADAL_RETURN_IF_ERROR(driver.read(
        page_.data(), cache + static_cast<uint64_t>(from) * bytes, bytes));
    HADAL_RETURN_IF_ERROR(driver.write(
        cache + static_cast<uint64_t>(to) * bytes, page_.data(), bytes));
  }
  return {};
}

} // namespace hadal
