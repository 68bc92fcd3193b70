#include "runtime/drivers/sim/monitors/Report.h"

#include <fmt/format.h>

namespace hadal::sim {

const char *findingName(FindingKind kind) {
  switch (kind) {
  case FindingKind::outOfBounds:
    return "out-of-bounds";
  case FindingKind::misaligned:
    return "misaligned";
  case FindingKind::undefinedStore:
    return "undefined-store";
  case FindingKind::undefinedAddress:
    return "undefined-address";
  case FindingKind::undefinedBranch:
    return "undefined-branch";
  case FindingKind::divergentAligned:
    return "divergent-aligned";
  case FindingKind::badMemberMask:
    return "bad-member-mask";
  case FindingKind::deadlock:
    return "deadlock";
  case FindingKind::instructionLimit:
    return "instruction-limit";
  case FindingKind::barrierMisuse:
    return "barrier-misuse";
  case FindingKind::mbarrierMisuse:
    return "mbarrier-misuse";
  case FindingKind::inFlightRegister:
    return "in-flight-register";
  case FindingKind::missingProxyFence:
    return "missing-proxy-fence";
  case FindingKind::race:
    return "race";
  case FindingKind::staleRead:
    return "stale-read";
  case FindingKind::badDescriptor:
    return "bad-descriptor";
  case FindingKind::registerBudget:
    return "register-budget";
  case FindingKind::trap:
    return "trap";
  case FindingKind::unfinishedAsync:
    return "unfinished-async";
  }
  return "finding";
}

std::string Finding::toString() const {
  std::string where = fmt::format("{}: {}: PTX line {}, CTA {}, warp {}, lane {}",
                                  findingName(kind), kernel, line, cta, warp,
                                  lane);
  if (address)
    where += fmt::format(", address {:#x}", address);
  where += ": " + text;
  if (count > 1)
    where += fmt::format(" ({} times)", count);
  return where;
}

std::string Report::toString() const {
  std::string result;
  for (const Finding &finding : findings)
    result += finding.toString() + "\n";
  return result;
}

} // namespace hadal::sim
