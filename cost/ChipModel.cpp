#include "cost/ChipModel.h"

#include <vector>

namespace hadal::cost {

// Nothing here has been fitted yet: no GPU was at hand. Chips of one die have
// one row, since what differs between them is on their data sheets.
static ChipModel hopper(const nvptx::Chip &chip) {
  return {
      chip,
      {0.90, "estimate"},
      // Between the 13 with which all 132 take what the memory gives (3.0 TB/s
      // / 132 / 1.755 GHz) and the 64 of its port to L2.
      {24,
       "estimate: between 13, all at the memory's rate, and L2's port of 64"},
      {6154, "estimate: DeepGEMM's figure for all multiprocessors"},
      {700e-9, "estimate: round trips of 600 to 800 ns"},
      {1e-6, "estimate: a round trip, less what the previous CTA's end hides"},
      {2e-6, "estimate: a launch inside a graph"},
      // Stores, ticket and the first loads: a round trip to L2 each.
      {2e-6, "estimate: three round trips to L2"},
      {0.3, "estimate"},
  };
}

const ChipModel &modelOf(const nvptx::Chip &chip) {
  static const std::vector<ChipModel> rows = [] {
    std::vector<ChipModel> all;
    for (const nvptx::Chip &known : nvptx::allChips())
      all.push_back(hopper(known));
    return all;
  }();
  for (const ChipModel &row : rows)
    if (row.chip.name == chip.name)
      return row;
  return rows.front();
}

} // namespace hadal::cost
