#include "runtime/weights/RopeTable.h"

#include <cmath>

namespace hadal {

void fillRopeTable(std::span<const float> invFreq, uint64_t positions,
                   float scale, float *table) {
  for (uint64_t position = 0; position < positions; ++position)
    for (float frequency : invFreq) {
      float angle = static_cast<float>(position) * frequency;
      *table++ = static_cast<float>(std::cos(static_cast<double>(angle)) *
                                    static_cast<double>(scale));
      *table++ = static_cast<float>(std::sin(static_cast<double>(angle)) *
                                    static_cast<double>(scale));
    }
}

} // namespace hadal
