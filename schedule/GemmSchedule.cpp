#include "schedule/GemmSchedule.h"

#include <algorithm>
#include <numeric>

#include "kernels/Kernels.h"

namespace hadal::schedule {

using kernels::Epilogue;

int64_t pickRowTile(int64_t rows) {
  for (int64_t tile : {1, 4, 8, 16, 64, 128})
    if (rows <= tile)
      return tile;
  return 256;
}

/// Rows per tile of the panel form. A worker keeps bm rows of x packed, bm x K
/// of them: beyond a few MiB they no longer stay in its share of the last cache
/// from one tile of the weight to the next.
static int64_t pickPanelRows(const kernels::GemmSpec &spec) {
  int64_t bm = pickRowTile(spec.rows);
  if (spec.experts > 0 && bm > 16) {
    // An expert gets a fraction of the bucket's rows: about 8 experts a token.
    int64_t mean = std::max<int64_t>(spec.rows * 8 / spec.experts, 1);
    bm = spec.rows < 256 ? 16 : std::clamp<int64_t>(pickRowTile(mean), 64, bm);
  }
  constexpr int64_t kPackedElements = 2 << 20;
  while (bm > 64 && bm * spec.k > kPackedElements)
    bm /= 2;
  return bm;
}

int64_t pickWgmmaRows(int64_t rows) { return rows <= 64 ? 64 : 128; }

/// The most rows of a bucket whose GEMMs take weights as the rows of wgmma. A
/// product of 64 rows of tokens costs the tensor core the same whether 1 or 64
/// of them exist, and its stage 8 KiB of rows beside the weight's 16: up to half
/// of 64, tokens as columns halve both. Above, one tile of 64 rows holds the
/// bucket, and an epilogue in rows needs no way through shared memory.
constexpr int64_t kMostSwappedRows = 32;

/// One or two warpgroups of 64 rows. Experts get a fraction of the bucket's rows
/// each, so that their tiles stay at 64 rows longer.
static GemmSchedule pickWgmmaSchedule(const kernels::GemmSpec &spec) {
  GemmSchedule schedule;
  schedule.bm = pickWgmmaRows(spec.experts > 0 ? spec.rows / 8 : spec.rows);
  // Two accumulators beside a product: the warpgroups split the columns.
  if ((spec.epilogue == Epilogue::swiglu ||
       spec.epilogue == Epilogue::swigluQuantize) &&
      spec.weight == kernels::Weight::fp8)
    schedule.bm = 64;
  schedule.bn = spec.epilogue == Epilogue::rope ? spec.headDim : 128;
  schedule.bk = spec.weight == kernels::Weight::fp8 ? 128 : 64;
  schedule.form = "wgmma";
  // Blocks of 64 weights, in one box of TMA: a head that is none would read
  // rows of the next.
  if (spec.rows <= kMostSwappedRows && schedule.bn % 64 == 0 &&
      schedule.bn <= 256) {
    schedule.swapAb = true;
    schedule.bm = (spec.rows + 7) / 8 * 8;
  }
  return schedule;
}

GemmSchedule pickGemmSchedule(const kernels::GemmSpec &spec) {
  if (spec.target == kernels::Target::sm90a)
    return pickWgmmaSchedule(spec);
  GemmSchedule schedule;
  schedule.bm = pickPanelRows(spec);
  schedule.bk = 128;
  schedule.form = schedule.bm == 1 ? "gemv" : "panel";
  if (spec.epilogue == Epilogue::rope) {
    schedule.bn = spec.headDim;
    return schedule;
  }
  if (spec.epilogue == Epilogue::swigluQuantize) {
    schedule.bn = 128;
    return schedule;
  }
  if (schedule.bm == 1)
    // Enough items to balance the threads, each one run of consecutive rows.
    schedule.bn = spec.n <= 4096 ? 32 : spec.n <= 16384 ? 64 : 128;
  else
    schedule.bn = spec.n <= 512 ? 64 : 128;
  schedule.bn = std::min(schedule.bn, (spec.n + 15) / 16 * 16);
  if (spec.segmentRows > 0)
    schedule.bn = std::gcd(schedule.bn, spec.segmentRows);
  return schedule;
}

} // namespace hadal::schedule
