// Asynchronous state of a CTA beyond the queue: mbarriers, bulk groups, wgmma.
#pragma once

#include <string>

#include "runtime/drivers/sim/Cta.h"

namespace hadal::sim {

class AsyncEngine {
public:
  explicit AsyncEngine(Cta &cta) : cta(cta) {}

  /// The last warp has exited: whatever is still pending completes.
  void finish();
  /// What a group parked for |mbarrier| waits for, for a deadlock's text.
  std::string describeWait(const Group &group) const;

private:
  Cta &cta;
};

} // namespace hadal::sim
