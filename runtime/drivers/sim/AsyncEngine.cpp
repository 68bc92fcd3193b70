#include "runtime/drivers/sim/AsyncEngine.h"

#include <fmt/format.h>

namespace hadal::sim {

void AsyncEngine::finish() {
  while (cta.async.completeOldest()) {
  }
}

std::string AsyncEngine::describeWait(const Group &group) const {
  if (!group.mbarrier)
    return "waits for an event";
  return fmt::format("waits for the mbarrier at {:#x}", group.mbarrier);
}

} // namespace hadal::sim
