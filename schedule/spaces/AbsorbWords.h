// Words of the halves of wkv_b that targets share.
#pragma once

#include "schedule/Rules.h"

namespace hadal::schedule {

/// Columns of a tile of absorb_v: whole in a head, and one group of scales
/// where they are quantised.
template <typename Spec> Word<Spec> absorbedColumns() {
  using F = Facts<Spec>;
  return {.name = "bn",
          .meaning = "columns of a tile",
          .bits = Bits::same,
          .inBody = true,
          .rule = [](const F &f) -> Value {
            return exactStep(f.spec.value, kScaleGroup);
          },
          .values = [](const F &) { return numbers({32, 64, 128}); },
          .limit = [](const F &f) -> Check {
            if (f.spec.quantize && f.number("bn") != kScaleGroup)
              return Broken{Prune::P03,
                            std::to_string(f.number("bn")) + " columns"};
            return divides("bn", f, f.spec.value);
          }};
}

} // namespace hadal::schedule
