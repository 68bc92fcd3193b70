// mla_decode and mla_prefill on sm_90a.
#include "schedule/spaces/RowWords.h"
#include "schedule/spaces/Sm90RingWords.h"

namespace hadal::schedule {

using namespace kernels;
using sm90::regsWord, sm90::twoWarpgroups;

namespace {

constexpr auto kSame = Bits::same, kOrder = Bits::order;

/// Keys of a step of attention, and query rows of a wgmma.
constexpr int64_t kKeys = 64, kRows = 64;
/// Stages beyond these hide nothing.
constexpr int64_t kMaxStages = 4;

//===----------------------------------------------------------------------===//
// mla_decode
//===----------------------------------------------------------------------===//

using Decode = Facts<MlaDecodeSpec>;

/// Keys of a chunk. The state of a worker's block of rows is C x f32 a row,
/// written once and read once: 8 C bytes for each of its 64 rows. The keys that
/// it reads are 2 (C + dr) bytes each. At 4 x 64 of them the keys outweigh the
/// state, so that a worker with one chunk still mostly reads keys.
constexpr int64_t kChunk = 4 * kKeys;
/// The last worker of a block merges the states alone, at about the time of a
/// key tile for each, so that more workers gain little.
constexpr int64_t kMaxSplit = 64;

/// 1 where the blocks of the bucket alone fill the chip, and where a sequence
/// is one chunk.
int64_t pickKeySplit(const Decode &f) {
  if (f.spec.rows == 0)
    return 1;
  int64_t bm = f.number("bm");
  int64_t blocks = f.spec.rows * ceilDiv(f.spec.maxQueries * f.spec.heads, bm);
  int64_t chunks = ceilDiv(f.spec.maxKeys, f.number("chunk"));
  int64_t workers = f.chip->multiprocessors;
  return std::max<int64_t>(1, std::min({workers / blocks, chunks, kMaxSplit}));
}

/// Columns of the output that a warpgroup has.
int64_t outputColumns(const MlaDecodeSpec &spec, int64_t warpgroups) {
  return ceilDiv(ceilDiv(spec.latent, 64), warpgroups) * 64;
}

/// Stages of the ring that fit beside the query rows.
int64_t decodeStages(const Decode &f) {
  int64_t warpgroups = f.number("warpgroups");
  int64_t columns = std::max(alignTo(f.spec.latent + f.spec.rope, 64),
                             warpgroups * outputColumns(f.spec, warpgroups));
  int64_t tile = kRows * columns * 2;
  // Rings start at multiples of 1024, their barriers behind the stages.
  return (static_cast<int64_t>(f.chip->sharedPerBlock) - tile - 2048 - 128) /
         (tile + 16);
}

/// P06 if the ring has more than the |fit| stages that there is room for.
template <typename Spec> Check fitsStages(const Facts<Spec> &f, int64_t fit) {
  int64_t stages = f.number("stages");
  if (stages <= fit)
    return std::nullopt;
  return Broken{Prune::P06, std::to_string(stages) + " stages, room for " +
                                std::to_string(fit)};
}

/// Chunks of the longest sequence, and of a worker where |split| share them.
Check repeatsSplit(const Decode &f) {
  int64_t split = f.number("split");
  if (f.spec.maxKeys == 0 || split == 1)
    return std::nullopt;
  int64_t chunks = ceilDiv(f.spec.maxKeys, f.number("chunk"));
  int64_t each = ceilDiv(chunks, split);
  if (int64_t parts = ceilDiv(chunks, each); parts != split)
    return Broken{Prune::P09, std::to_string(split) + " of " +
                                  std::to_string(chunks) +
                                  " chunks: " + std::to_string(parts) +
                                  " parts of " + std::to_string(each)};
  return std::nullopt;
}

Check limitDecodeWarpgroups(const Decode &f) {
  int64_t warpgroups = f.number("warpgroups");
  std::string text = std::to_string(warpgroups) + " warpgroups";
  if (warpgroups > ceilDiv(f.spec.latent, 64))
    return Broken{Prune::P15, text + ", " +
                                  std::to_string(ceilDiv(f.spec.latent, 64)) +
                                  " blocks of 64 columns"};
  if (int64_t columns = outputColumns(f.spec, warpgroups); columns > 256)
    return Broken{Prune::P07, text + ": " + std::to_string(columns) +
                                  " columns of output, 256 fit"};
  return std::nullopt;
}

} // namespace

const Space<MlaDecodeSpec> &sm90aSpace(const MlaDecodeSpec *) {
  static const Space<MlaDecodeSpec> space = {
      decodeQueryRows(),
      attentionKeys<MlaDecodeSpec>({}),
      {.name = "chunk",
       .meaning = "keys of a chunk, which no split cuts",
       .bits = kOrder,
       .inBody = false,
       .rule = [](const Decode &) -> Value { return kChunk; },
       .values =
           [](const Decode &) { return numbers({64, 128, 256, 512, 1024}); }},
      {.name = "split",
       .meaning = "CTAs that share the keys of a block",
       .bits = kOrder,
       .inBody = false,
       .rule = [](const Decode &f) -> Value { return pickKeySplit(f); },
       .values = [](const Decode &) { return range(1, kMaxSplit); },
       .unwise = repeatsSplit},
      {.name = "warpgroups",
       .meaning = "consumer warpgroups, each with a part of the output",
       .bits = kSame,
       .inBody = false,
       .rule = [](const Decode &f) -> Value {
         return int64_t(f.spec.latent <= 64 ? 1 : 2);
       },
       .values = [](const Decode &) { return numbers({1, 2}); },
       .limit = limitDecodeWarpgroups},
      {.name = "stages",
       .meaning = "key tiles that the ring holds",
       .bits = kSame,
       .inBody = false,
       .rule = [](const Decode &f) -> Value {
         return std::max<int64_t>(1, std::min(kMaxStages, decodeStages(f)));
       },
       .values = [](const Decode &) { return range(2, 16); },
       .limit = [](const Decode &f) { return fitsStages(f, decodeStages(f)); },
       .tries = [](const Decode &) { return numbers({2, 3, 4}); }},
      regsWord<MlaDecodeSpec>(twoWarpgroups<MlaDecodeSpec>),
  };
  return space;
}

//===----------------------------------------------------------------------===//
// mla_prefill
//===----------------------------------------------------------------------===//

namespace {

using Prefill = Facts<MlaPrefillSpec>;

/// Queries of a tile: 64 of each of the two warpgroups.
constexpr int64_t kTileQueries = 128;
/// Columns of a chunk of the latent.
constexpr int64_t kLatentChunk = 64;

/// Stages that fit beside |queries| of a CTA.
int64_t prefillStages(const Prefill &f, int64_t queries) {
  int64_t nope = alignTo(f.spec.nope, 64), rope = alignTo(f.spec.rope, 64),
          value = alignTo(f.spec.value, 64);
  int64_t fixed =
      2 * (queries * (nope + rope) + kKeys * (nope + value) + kKeys * rope);
  int64_t stage = 2 * kLatentChunk * (kKeys + 2 * std::max(nope, value)) + 16;
  // Three rings start at multiples of 1024, their barriers behind the stages.
  return (static_cast<int64_t>(f.chip->sharedPerBlock) - fixed - 3 * 1024) /
         stage;
}

} // namespace

const Space<MlaPrefillSpec> &sm90aSpace(const MlaPrefillSpec *) {
  static const Space<MlaPrefillSpec> space = {
      prefillQueryRows(kTileQueries),
      attentionKeys<MlaPrefillSpec>({}),
      // With two tiles every expanded key serves twice as many queries.
      {.name = "query_tile",
       .meaning = "queries of a CTA",
       .bits = kSame,
       .inBody = false,
       .rule = [](const Prefill &f) -> Value {
         bool two = f.number("bm") > kTileQueries &&
                    prefillStages(f, 2 * kTileQueries) >= 2;
         return (two ? 2 : 1) * kTileQueries;
       },
       .values = [](const Prefill &) { return numbers({128, 256}); },
       .limit = [](const Prefill &f) -> Check {
         int64_t tile = f.number("query_tile");
         if (tile > kTileQueries && f.number("bm") <= kTileQueries)
           return Broken{Prune::P14, std::to_string(tile) + " queries of " +
                                         std::to_string(f.number("bm"))};
         if (prefillStages(f, tile) < 1)
           return Broken{Prune::P06, "no stage beside " + std::to_string(tile) +
                                         " queries"};
         return std::nullopt;
       }},
      {.name = "stages",
       .meaning = "chunks of latent and weights that the ring holds",
       .bits = kSame,
       .inBody = false,
       .rule = [](const Prefill &f) -> Value {
         return std::max<int64_t>(
             1, std::min(kMaxStages, prefillStages(f, f.number("query_tile"))));
       },
       .values = [](const Prefill &) { return range(1, 16); },
       .limit =
           [](const Prefill &f) {
             return fitsStages(f, prefillStages(f, f.number("query_tile")));
           },
       .tries = [](const Prefill &) { return numbers({1, 2, 3, 4}); }},
      regsWord<MlaPrefillSpec>(+[](const Prefill &) { return true; }),
  };
  return space;
}

} // namespace hadal::schedule
