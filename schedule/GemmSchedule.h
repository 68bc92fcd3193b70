// Tile sizes of a GEMM, picked in one place.
#pragma once

#include <cstdint>
#include <string>

namespace hadal::kernels {
struct GemmSpec;
}

namespace hadal::schedule {

/// The tunables of a GEMM's tile form: output tile bm x bn, step bk along K,
/// and the form that the CPU should prefer ("gemv": one row at a time straight
/// from the weight's layout; "panel": decode a weight panel once for many rows).
/// swapAb (sm_90a): weights are the rows of wgmma and tokens, bm of them in steps
/// of 8 up to 64, its columns.
struct GemmSchedule {
  int64_t bm, bn, bk;
  std::string form;
  bool swapAb = false;
  /// Parts of K, each a CTA's (sm_90a); 0: as many as the chip's numbers say.
  int64_t split = 0;
};

/// The schedule of |spec|, from its target, its shapes and its capacity of rows.
/// Always legal: bn divides the segments of a segmented weight, is one head for
/// the RoPE epilogue and one scale group (128) for the quantising epilogue. On
/// sm_90a bm is 64 or 128 (one or two warpgroups of wgmma's 64 rows), or with
/// swapAb the bucket's rows in steps of 8, and bk is 128 bytes of K; the form is
/// "wgmma".
GemmSchedule pickGemmSchedule(const kernels::GemmSpec &spec);

/// Rows per tile of a dense kernel for a bucket of |rows| rows: the first of 1,
/// 4, 8, 16, 64, 128 that holds them, else 256. Few rows per tile cost repeated
/// decoding of the weight; many cost work on rows that do not exist.
int64_t pickRowTile(int64_t rows);

/// The same on sm_90a: 64 or 128.
int64_t pickWgmmaRows(int64_t rows);

} // namespace hadal::schedule
