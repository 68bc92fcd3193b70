// The bytes that the lanes of a warp touch, as few ranges.
#pragma once

#include <algorithm>
#include <bit>
#include <cstdint>

namespace hadal::sim {

/// Calls visit(first, begin, end) for each run of lanes of |lanes| that touch
/// neighbouring bytes, |bytes| from |addresses|[lane] each: such lanes are one
/// access. |first| is the run's first lane; begin and end are addresses.
template <typename Address, typename Visit>
void forEachRun(uint32_t lanes, const Address *addresses, unsigned bytes,
                Visit visit) {
  for (uint32_t rest = lanes; rest;) {
    auto first = static_cast<unsigned>(std::countr_zero(rest));
    rest &= rest - 1;
    Address begin = addresses[first], end = begin + bytes;
    while (rest) {
      auto lane = static_cast<unsigned>(std::countr_zero(rest));
      if (addresses[lane] != end &&
          !(addresses[lane] >= begin && addresses[lane] + bytes <= end))
        break;
      end = std::max<Address>(end, addresses[lane] + bytes);
      rest &= rest - 1;
    }
    visit(first, begin, end);
  }
}

} // namespace hadal::sim
