// Runs short PTX texts on the simulator.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "runtime/drivers/sim/machine/Launch.h"

namespace hadal::sim::test {

/// Inputs of one lane, as 64-bit patterns.
struct LaneInput {
  uint64_t a = 0, b = 0, c = 0;
};

/// The text of a module around |entries|.
std::string moduleText(const std::string &entries);

/// A kernel `k(in, out)` whose threads load %a, %b, %c (64 bits; the low 32 in
/// %ra, %rb, %rc, the low 16 in %ha, %hb, %hc), run |body|, and store %d.
/// |body| may set %d, or %rd (zero-extended to %d), or %hd, or %p (0 or 1),
/// named by |result|.
std::string laneKernel(const std::string &body, const std::string &result);

struct LaneRun {
  std::vector<uint64_t> out;
  Report report;
};

/// Runs laneKernel() on |inputs| (one a thread, one CTA).
LaneRun runLanes(const std::string &body, const std::string &result,
                 const std::vector<LaneInput> &inputs,
                 const Options &options = {});

/// The result of one lane; a finding or an error fails the test.
uint64_t evaluate(const std::string &body, const std::string &result,
                  LaneInput input);

/// The error message of parsing |body| in a kernel; fails the test if it
/// parses.
std::string parseError(const std::string &body);

/// A parameter block of 64-bit values.
std::vector<uint8_t> parameters(std::initializer_list<uint64_t> values);

/// Launches kernel `k` of |text| and expects no error.
Report run(const std::string &text, const LaunchConfig &config,
           std::initializer_list<uint64_t> values, Memory &memory,
           const Options &options = {});

/// Number of findings of |kind|.
unsigned countOf(const Report &report, FindingKind kind);

} // namespace hadal::sim::test
