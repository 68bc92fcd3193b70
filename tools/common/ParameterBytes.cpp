#include "tools/common/ParameterBytes.h"

namespace hadal {

using namespace schema;

uint64_t parameterBytes(const Model &model, const Parameter &p) {
  if (p.generator() == Generator::placement_table)
    return uint64_t{model.num_experts()} * (1 + uint64_t{p.replicas()}) *
           sizeof(int32_t);
  if (p.kind() == ParameterKind::generated)
    return p.positions() * p.inv_freq()->size() * 2 * sizeof(float);
  uint64_t row = artifact::dtypeBytes(p.dtype());
  for (unsigned i = 0; i < p.inner()->size(); ++i)
    row = p.row_pitch() && i + 1 == p.inner()->size()
              ? row / artifact::dtypeBytes(p.dtype()) * p.row_pitch()
              : row * p.inner()->Get(i);
  uint64_t rows = 0;
  for (uint64_t r : *p.rows())
    rows += r;
  return row * rows * (p.kind() == ParameterKind::stack ? p.count() : 1);
}

} // namespace hadal
