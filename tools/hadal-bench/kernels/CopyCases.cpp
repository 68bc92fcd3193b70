// Cases of the kernels that move rows between memory of one rank.
#include "tools/hadal-bench/kernels/CaseBuilder.h"

namespace hadal::bench {

using namespace kernels;

static DType dtypeOf(Moved element, Act act) {
  return element == Moved::act   ? dtypeOf(act)
         : element == Moved::f32 ? DType::f32
                                 : DType::i32;
}

void buildCopyRowsCase(CaseBuilder &b, const CopyRowsSpec &spec) {
  const DType dtype = dtypeOf(spec.element, spec.act);
  Tensor rows(dtype, b.rowsOf("x"), spec.width);
  for (uint64_t r = 0; dtype == DType::i32 && r < rows.rows; ++r)
    for (uint64_t c = 0; c < rows.cols; ++c)
      rows.set(r, c, static_cast<double>(b.rng.below(1 << 20)));
  const Tensor &x = dtype == DType::i32 ? b.output("x", std::move(rows))
                                        : b.random("x", std::move(rows));
  // The last of the ranks that share the tokens.
  const uint64_t count = b.bucket.tokens;
  const uint64_t first = spec.fromSlice ? x.rows - count : 0;
  b.result->arguments.find("sizes")->second.set(0, 5, first);
  b.output("out", Tensor(dtype, b.rowsOf("out"), spec.width));
  b.expect({"out", CaseBuilder::firstRows(count),
            [&x, first](uint64_t row, const auto &columns) {
              Row values;
              for (uint64_t c : columns)
                values.push_back(x.at(first + row, c));
              return values;
            },
            Expected::Kind::exact});
  b.result->bytes =
      static_cast<double>(count) * spec.width * 2 * dtypeSize(dtype);
}

void buildJoinColumnsCase(CaseBuilder &b, const JoinColumnsSpec &spec) {
  const Tensor &x =
      b.random("x", Tensor(DType::f32, b.rowsOf("x"), spec.width));
  b.output("out", Tensor(DType::f32, b.rowsOf("out"), spec.width));
  const auto ranks = static_cast<uint64_t>(spec.ranks);
  const auto rows = static_cast<uint64_t>(spec.rows);
  b.expect({"out", CaseBuilder::firstRows(b.bucket.logitRows * ranks),
            [&x, ranks, rows](uint64_t row, const auto &columns) {
              Row values;
              for (uint64_t c : columns)
                values.push_back(x.at(row % ranks * rows + row / ranks, c));
              return values;
            },
            Expected::Kind::exact});
  b.result->bytes = static_cast<double>(b.bucket.logitRows * ranks) *
                    spec.width * 2 * dtypeSize(DType::f32);
}

} // namespace hadal::bench
