// Prices of the CPU's contractions.
#include "schedule/Price.h"
#include "schedule/Rules.h"

namespace hadal::schedule {

using namespace kernels;

namespace {

double bytesOf(Weight weight) {
  return weight == Weight::int4   ? 0.5 + 2.0 / 32
         : weight == Weight::fp8  ? 1
         : weight == Weight::bf16 ? 2
                                  : 4;
}

struct CpuPrice {
  using Result = std::optional<cost::Prediction>;
  const Machine &machine;
  const Words &words;

  /// The form's part of |fold|, and its price; none of loops.
  template <typename Spec>
  Result price(const Facts<Spec> &f, cost::CpuFold fold) const {
    const std::string &form = f.text("form");
    if (form == "loops")
      return std::nullopt;
    fold.bm = f.number("bm");
    fold.bn = f.number("bn");
    if (form == "panel" || form == "dot") {
      const bool wide = machine.cpu.vectorBits >= 512;
      fold.form = cost::CpuForm::panel;
      fold.tileRows = f.number(wide ? "panel_rows" : "panel_rows_256");
      fold.tileVectors = f.number(wide ? "panel_vectors" : "panel_vectors_256");
      fold.decodedRows = f.number("decoded_rows");
      fold.chunkBytes = f.number("chunk_bytes");
    } else {
      fold.form = cost::CpuForm::rows;
      fold.rowGroup = form == "rows" ? f.number("row_group") : 1;
    }
    return predictCpuFold(machine.cpu, fold);
  }

  Result operator()(const GemmSpec &spec) const {
    cost::CpuFold fold = {};
    fold.rows = spec.rows;
    fold.columns = spec.n;
    fold.k = spec.k;
    fold.matrices = 1;
    if (spec.experts > 0) {
      const int64_t pairs = spec.expectedPairs();
      fold.matrices = std::min(spec.experts, pairs);
      fold.rows = ceilDiv(pairs, fold.matrices);
    }
    if (spec.epilogue == Epilogue::swiglu ||
        spec.epilogue == Epilogue::swigluQuantize)
      fold.matrices *= 2;
    fold.weightBytes = bytesOf(spec.weight);
    return price(Facts<GemmSpec>{spec, nullptr, words}, fold);
  }
  Result operator()(const AbsorbQSpec &spec) const {
    cost::CpuFold fold = {};
    fold.rows = spec.rows;
    fold.columns = spec.latent;
    fold.k = spec.nope;
    fold.matrices = spec.heads;
    fold.weightBytes = bytesOf(spec.weight);
    return price(Facts<AbsorbQSpec>{spec, nullptr, words}, fold);
  }
  Result operator()(const AbsorbVSpec &spec) const {
    cost::CpuFold fold = {};
    fold.rows = spec.rows;
    fold.columns = spec.value;
    fold.k = spec.latent;
    fold.matrices = spec.heads;
    fold.weightBytes = bytesOf(spec.weight);
    return price(Facts<AbsorbVSpec>{spec, nullptr, words}, fold);
  }

  template <typename Spec> Result operator()(const Spec &) const {
    return std::nullopt;
  }
};

} // namespace

std::optional<cost::Prediction>
cpuPrice(const AnySpec &spec, const Machine &machine, const Words &words) {
  return std::visit(CpuPrice{machine, words}, spec);
}

} // namespace hadal::schedule
