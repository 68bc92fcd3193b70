// What --check-collectives puts around a communicator.
#pragma once

#include <memory>
#include <vector>

#include "runtime/comm/Communicator.h"

namespace hadal::comm {

/// |inner|, whose members are the ranks |ranks|, with every result proved:
/// after an operation members exchange digests of what each has sent to whom,
/// and the addends of sums, which are then formed again in rank order. H6007
/// names the rank that sent what this one has not received, or the value of a
/// sum that is another. Twice the time and, of sums, all addends: to look for
/// faults. |inner| is host-ordered and outlives the result.
std::unique_ptr<Communicator> createChecked(Communicator &inner,
                                            std::vector<unsigned> ranks);

} // namespace hadal::comm
