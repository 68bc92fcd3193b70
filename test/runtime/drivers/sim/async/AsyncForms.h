// One-thread kernels around asynchronous instructions.
#pragma once

#include "test/runtime/drivers/sim/planted/Planted.h"

namespace hadal::sim::test {

/// A module with entry `k(map, in, out)`: |body| runs in every thread with
/// %base (32 bits) the shared window address of 4096 bytes, %in and %out the
/// pointers, %map the map's address, %tid the thread; %r0.. %r31, %d0.. %d15
/// and %p0.. %p15 are free.
std::string formText(const std::string &body);

/// The error of parsing |instruction| in formText; empty if it parses.
std::string refusalOf(const std::string &instruction);

} // namespace hadal::sim::test
