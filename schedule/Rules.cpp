#include "schedule/Rules.h"

namespace hadal::schedule {

int64_t exactStep(int64_t extent, int64_t preferred) {
  if (extent % preferred == 0)
    return preferred;
  if (extent <= 2 * preferred)
    return extent;
  for (int64_t step = preferred; step >= 32; --step)
    if (extent % step == 0)
      return step;
  return extent;
}

} // namespace hadal::schedule
