#include "tools/hadal-bench/PlainRead.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <immintrin.h>
#include <optional>

#include "runtime/drivers/cpu/CpuDriver.h"
#include "runtime/drivers/cpu/CpuVariant.h"

namespace hadal::bench {

namespace {

/// The number in "...layers.<number>...", as the states are named by it.
std::optional<std::string> layerOf(std::string_view name) {
  constexpr std::string_view key = "layers.";
  size_t at = name.find(key);
  if (at == std::string_view::npos)
    return std::nullopt;
  name.remove_prefix(at + key.size());
  size_t digits = name.find_first_not_of("0123456789");
  return std::string(name.substr(0, digits));
}

/// Work items are pieces of this size at most, so that threads stay balanced.
constexpr uint64_t kChunk = uint64_t(1) << 20;
constexpr uint64_t kPrefetchAhead = 4096;

template <bool Prefetch>
__attribute__((target("avx512f"))) uint64_t read512(const uint8_t *p,
                                                     uint64_t bytes) {
  __m512i a = _mm512_setzero_si512(), b = a, c = a, d = a;
  uint64_t i = 0;
  for (; i + 256 <= bytes; i += 256) {
    if (Prefetch)
      for (uint64_t line = 0; line < 256; line += 64)
        _mm_prefetch(reinterpret_cast<const char *>(p + i + line) +
                         kPrefetchAhead,
                     _MM_HINT_T0);
    a = _mm512_xor_si512(a, _mm512_loadu_si512(p + i));
    b = _mm512_xor_si512(b, _mm512_loadu_si512(p + i + 64));
    c = _mm512_xor_si512(c, _mm512_loadu_si512(p + i + 128));
    d = _mm512_xor_si512(d, _mm512_loadu_si512(p + i + 192));
  }
  a = _mm512_xor_si512(_mm512_xor_si512(a, b), _mm512_xor_si512(c, d));
  uint64_t sum = static_cast<uint64_t>(_mm512_reduce_add_epi64(a));
  for (; i < bytes; ++i)
    sum += p[i];
  return sum;
}

template <bool Prefetch>
__attribute__((target("avx2"))) uint64_t read256(const uint8_t *p,
                                                  uint64_t bytes) {
  __m256i a = _mm256_setzero_si256(), b = a;
  uint64_t i = 0;
  for (; i + 64 <= bytes; i += 64) {
    if (Prefetch)
      _mm_prefetch(reinterpret_cast<const char *>(p + i) + kPrefetchAhead,
                   _MM_HINT_T0);
    a = _mm256_xor_si256(
        a, _mm256_loadu_si256(reinterpret_cast<const __m256i *>(p + i)));
    b = _mm256_xor_si256(
        b, _mm256_loadu_si256(reinterpret_cast<const __m256i *>(p + i + 32)));
  }
  a = _mm256_xor_si256(a, b);
  uint64_t sum = static_cast<uint64_t>(_mm256_extract_epi64(a, 0) ^
                                       _mm256_extract_epi64(a, 3));
  for (; i < bytes; ++i)
    sum += p[i];
  return sum;
}

struct ReadContext {
  uint64_t (*read)(const uint8_t *, uint64_t);
  const std::vector<Piece> &chunks;
  std::atomic<uint64_t> sum{0};
};

void readItems(void *context, uint64_t begin, uint64_t end, unsigned) {
  auto &c = *static_cast<ReadContext *>(context);
  uint64_t sum = 0;
  for (uint64_t i = begin; i < end; ++i)
    sum += c.read(c.chunks[i].data, c.chunks[i].bytes);
  c.sum.fetch_add(sum, std::memory_order_relaxed); // the reads are not dropped
}

} // namespace

WeightMap::WeightMap(const Model &model) {
  const auto &parameters = *model.artifact().root().parameters();
  const WeightStore *weights = model.hostWeights();
  for (unsigned i = 0; i < parameters.size(); ++i) {
    const schema::Parameter &p = *parameters.Get(i);
    if (p.kind() == schema::ParameterKind::generated)
      continue; // a step reads a row or two of a table
    std::span<const uint8_t *const> blocks;
    if (weights)
      blocks = weights->blocks(i);
    auto dataOf = [&](size_t block) {
      return block < blocks.size() ? blocks[block] : nullptr;
    };
    const std::string part = p.parts()->Get(0)->str();
    uint64_t rowBytes = artifact::dtypeBytes(p.dtype());
    for (uint64_t extent : *p.inner())
      rowBytes *= extent;
    std::vector<Piece> pieces;
    if (p.kind() == schema::ParameterKind::segments) {
      size_t block = 0;
      for (uint64_t rows : *p.rows())
        for (uint64_t r = 0; r < rows; r += p.segment_rows())
          pieces.push_back({dataOf(block++),
                            std::min<uint64_t>(p.segment_rows(), rows - r) *
                                rowBytes});
    } else {
      const uint32_t count =
          p.kind() == schema::ParameterKind::stack ? p.count() : 1;
      for (uint32_t e = 0; e < count; ++e)
        pieces.push_back({dataOf(e), p.rows()->Get(0) * rowBytes});
    }
    if (p.kind() == schema::ParameterKind::stack) {
      stacks.push_back({layerOf(part).value_or(""), std::move(pieces)});
    } else if (part.find("embed") != std::string::npos) {
      embedding = pieces;
      embeddingRowBytes = rowBytes;
    } else {
      dense.insert(dense.end(), pieces.begin(), pieces.end());
    }
  }
}

void WeightMap::read(uint64_t rows, std::span<const Session::ExpertLoad> loads,
                     std::vector<Piece> &pieces) const {
  pieces.insert(pieces.end(), dense.begin(), dense.end());
  if (!embedding.empty())
    pieces.push_back({embedding[0].data, rows * embeddingRowBytes});
  for (const Experts &stack : stacks)
    for (const Session::ExpertLoad &load : loads)
      if (load.layer == stack.layer)
        for (size_t e = 0;
             e < std::min(stack.experts.size(), load.tokens.size()); ++e)
          if (load.tokens[e] > 0)
            pieces.push_back(stack.experts[e]);
}

void WeightMap::all(std::vector<Piece> &pieces) const {
  pieces.insert(pieces.end(), dense.begin(), dense.end());
  pieces.insert(pieces.end(), embedding.begin(), embedding.end());
  for (const Experts &stack : stacks)
    pieces.insert(pieces.end(), stack.experts.begin(), stack.experts.end());
}

double
WeightMap::expertShare(std::span<const Session::ExpertLoad> loads) {
  uint64_t used = 0, all = 0;
  for (const Session::ExpertLoad &load : loads) {
    all += load.tokens.size();
    for (uint64_t tokens : load.tokens)
      used += tokens > 0;
  }
  return all ? static_cast<double>(used) / static_cast<double>(all) : 1;
}

std::vector<bool> kernelsOfExperts(const Model &model) {
  const schema::Artifact &root = model.artifact().root();
  std::vector<bool> result(root.kernels()->size());
  // Unrolls every entry with a mark for each stack in place of its address.
  constexpr DeviceAddress mark = 0x5ac6'0000'0000'0001;
  Bindings bindings;
  for (const schema::Parameter *p : *root.parameters())
    bindings.parameters.push_back(
        p->kind() == schema::ParameterKind::stack ? mark : 0);
  bindings.states.resize(root.states()->size());
  for (const schema::Entry *entry : *root.entries()) {
    LaunchList list = flatten(root, *entry, bindings);
    for (const Launch &launch : list.launches)
      for (uint32_t i = 0; i < root.kernels()->Get(launch.kernel)->num_args();
           ++i)
        if (list.args[launch.firstArg + i] == mark)
          result[launch.kernel] = true;
  }
  return result;
}

uint64_t totalBytes(std::span<const Piece> pieces) {
  uint64_t bytes = 0;
  for (const Piece &piece : pieces)
    bytes += piece.bytes;
  return bytes;
}

double readPlainly(Driver &driver, std::span<const Piece> pieces,
                   bool prefetch) {
  std::vector<Piece> chunks;
  for (const Piece &piece : pieces)
    for (uint64_t at = 0; at < piece.bytes; at += kChunk)
      chunks.push_back(
          {piece.data + at, std::min(kChunk, piece.bytes - at)});
  static const bool wide =
      cpu::supportedVariants(cpu::readCpuid()).size() > 1;
  ReadContext context{wide ? (prefetch ? read512<true> : read512<false>)
                           : (prefetch ? read256<true> : read256<false>),
                      chunks};
  const auto begin = std::chrono::steady_clock::now();
  cpu::parallelFor(driver, chunks.size(), readItems, &context);
  std::chrono::duration<double> spent =
      std::chrono::steady_clock::now() - begin;
  return spent.count();
}

double plainReadRate(const Model &model) {
  constexpr uint64_t kMost = uint64_t{256} << 20;
  constexpr int kRounds = 3;
  std::vector<Piece> all, pieces;
  WeightMap(model).all(all);
  uint64_t bytes = 0;
  for (const Piece &piece : all)
    if (piece.bytes && bytes < kMost) {
      pieces.push_back({piece.data, std::min(piece.bytes, kMost - bytes)});
      bytes += pieces.back().bytes;
    }
  double best = 0;
  for (int round = 0; round < kRounds; ++round)
    for (bool prefetch : {false, true}) {
      const double seconds = readPlainly(model.driver(), pieces, prefetch);
      if (seconds > 0)
        best = std::max(best, static_cast<double>(bytes) / seconds);
    }
  return best;
}

} // namespace hadal::bench
