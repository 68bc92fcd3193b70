#include "schedule/spaces/RowWords.h"

namespace hadal::schedule {

Word<kernels::MlaDecodeSpec> decodeQueryRows() {
  using Spec = kernels::MlaDecodeSpec;
  return {
      .name = "bm",
      .meaning = "query rows of a tile: tokens x heads",
      .bits = Bits::same,
      .inBody = true,
      .rule = [](const Facts<Spec> &f) -> Value {
        int64_t heads = f.spec.heads;
        if (heads <= 64)
          return heads * std::min(f.spec.maxQueries, 64 / heads);
        for (int64_t rows = 64; rows > 1; --rows)
          if (heads % rows == 0)
            return rows;
        return int64_t(1);
      },
      .values =
          [](const Facts<Spec> &f) {
            int64_t heads = f.spec.heads;
            std::vector<Value> rows;
            for (int64_t n = 1; n <= std::min<int64_t>(heads, 64); ++n)
              if (heads % n == 0)
                rows.push_back(n);
            for (int64_t tokens = 2;
                 tokens <= f.spec.maxQueries && tokens * heads <= 64; ++tokens)
              rows.push_back(tokens * heads);
            return rows;
          },
      // Every tile reads all keys.
      .unwise = [](const Facts<Spec> &f) -> Check {
        int64_t queries = f.spec.maxQueries * f.spec.heads;
        if (int64_t rows = f.number("bm");
            4 * rows < std::min<int64_t>(queries, 64))
          return Broken{Prune::P18, "tiles of " + std::to_string(rows) + ": " +
                                        std::to_string(ceilDiv(queries, rows)) +
                                        " of them read all keys"};
        return std::nullopt;
      }};
}

Word<kernels::MlaPrefillSpec> prefillQueryRows(int64_t unit) {
  using Spec = kernels::MlaPrefillSpec;
  return {.name = "bm",
          .meaning = "queries of a tile",
          .bits = Bits::same,
          .inBody = true,
          .rule = [](const Facts<Spec> &f) -> Value {
            return std::min<int64_t>(alignTo(f.spec.maxQueries, 16), 512);
          },
          .values =
              [=](const Facts<Spec> &) {
                return numbers({16, 32, 64, 128, 256, 512},
                               [&](int64_t n) { return n % unit == 0; });
              },
          .limit =
              [](const Facts<Spec> &f) {
                return covers("bm", f, alignTo(f.spec.maxQueries, 16));
              }};
}

} // namespace hadal::schedule
