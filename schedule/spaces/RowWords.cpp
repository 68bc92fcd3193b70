#include "schedule/spaces/RowWords.h"

namespace hadal::schedule {

Word<kernels::MlaDecodeSpec> decodeQueryRows() {
  using Spec = kernels::MlaDecodeSpec;
  return {"bm",
          "query rows of a tile: tokens x heads",
          Bits::same,
          /*inBody=*/true,
          [](const Facts<Spec> &f) -> Value {
            int64_t heads = f.spec.heads;
            if (heads <= 64)
              return heads * std::min(f.spec.maxQueries, 64 / heads);
            for (int64_t rows = 64; rows > 1; --rows)
              if (heads % rows == 0)
                return rows;
            return int64_t(1);
          },
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
          }};
}

Word<kernels::MlaPrefillSpec> prefillQueryRows(int64_t unit) {
  using Spec = kernels::MlaPrefillSpec;
  return {"bm",
          "queries of a tile",
          Bits::same,
          /*inBody=*/true,
          [](const Facts<Spec> &f) -> Value {
            return std::min<int64_t>(alignTo(f.spec.maxQueries, 16), 512);
          },
          [=](const Facts<Spec> &f) {
            return numbers({16, 32, 64, 128, 256, 512}, [&](int64_t n) {
              return n % unit == 0 && n <= alignTo(f.spec.maxQueries, 16);
            });
          }};
}

} // namespace hadal::schedule
