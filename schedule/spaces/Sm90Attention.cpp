// mla_decode and mla_prefill on sm_90a.
#include "schedule/Chip.h"
#include "schedule/Rules.h"
#include "schedule/spaces/RowWords.h"

namespace hadal::schedule {

using namespace kernels;

namespace {

constexpr auto kSame = Bits::same, kOrder = Bits::order;

/// Keys of a step of attention, and query rows of a wgmma.
constexpr int64_t kKeys = 64, kRows = 64;
/// Stages beyond these hide nothing.
constexpr int64_t kMaxStages = 4;

template <typename Spec>
Word<Spec> regsWord(bool (*shares)(const Facts<Spec> &)) {
  return {"regs",
          "registers of a producer's and of a consumer's thread; launch: what "
          "all have at launch",
          kSame,
          false,
          [=](const Facts<Spec> &f) -> Value {
            return std::string(shares(f) ? "40/232" : "launch");
          },
          [=](const Facts<Spec> &f) {
            // 504 of the 65536 that 384 threads share; 256 have enough.
            if (!shares(f))
              return std::vector<Value>{std::string("launch")};
            return std::vector<Value>{std::string("24/240"),
                                      std::string("40/232"),
                                      std::string("56/224")};
          }};
}

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

} // namespace

const Space<MlaDecodeSpec> &sm90aSpace(const MlaDecodeSpec *) {
  static const Space<MlaDecodeSpec> space = {
      decodeQueryRows(),
      attentionKeys<MlaDecodeSpec>({}),
      {"chunk", "keys of a chunk, which no split cuts", kOrder, false,
       [](const Decode &) -> Value { return kChunk; },
       [](const Decode &) {
         return numbers({64, 128, 256, 512, 1024});
       }},
      {"split", "CTAs that share the keys of a block", kOrder, false,
       [](const Decode &f) -> Value { return pickKeySplit(f); },
       [](const Decode &) { return range(1, kMaxSplit); }},
      {"warpgroups", "consumer warpgroups, each with a part of the output",
       kSame, false,
       [](const Decode &f) -> Value {
         return int64_t(f.spec.latent <= 64 ? 1 : 2);
       },
       [](const Decode &f) {
         return numbers({1, 2}, [&](int64_t n) {
           return n <= ceilDiv(f.spec.latent, 64) &&
                  outputColumns(f.spec, n) <= 256;
         });
       }},
      {"stages", "key tiles that the ring holds", kSame, false,
       [](const Decode &f) -> Value {
         return std::max<int64_t>(1, std::min(kMaxStages, decodeStages(f)));
       },
       [](const Decode &f) {
         return range(2, std::min<int64_t>(decodeStages(f), 16));
       }},
      regsWord<MlaDecodeSpec>(
          +[](const Decode &f) { return f.number("warpgroups") == 2; }),
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
      {"query_tile", "queries of a CTA", kSame, false,
       [](const Prefill &f) -> Value {
         bool two = f.number("bm") > kTileQueries &&
                    prefillStages(f, 2 * kTileQueries) >= 2;
         return (two ? 2 : 1) * kTileQueries;
       },
       [](const Prefill &f) {
         return numbers({128, 256}, [&](int64_t n) {
           return (n == kTileQueries || f.number("bm") > kTileQueries) &&
                  prefillStages(f, n) >= 1;
         });
       }},
      {"stages", "chunks of latent and weights that the ring holds", kSame,
       false,
       [](const Prefill &f) -> Value {
         return std::max<int64_t>(
             1, std::min(kMaxStages, prefillStages(f, f.number("query_tile"))));
       },
       [](const Prefill &f) {
         return range(1, std::min<int64_t>(
                             prefillStages(f, f.number("query_tile")), 16));
       }},
      regsWord<MlaPrefillSpec>(+[](const Prefill &) { return true; }),
  };
  return space;
}

} // namespace hadal::schedule
