// Planted bugs: hand-written kernels, right ones and variants with one defect,
// and what the simulator must say about each.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "runtime/drivers/sim/machine/Launch.h"

namespace hadal::sim::test {

/// |text| with the only occurrence of |from| replaced; fails the test if there
/// is not exactly one.
std::string planted(std::string text, const std::string &from,
                    const std::string &to);

/// |text| with every occurrence of |from| replaced.
std::string replaced(std::string text, const std::string &from,
                     const std::string &to);

/// "{%t0, %t1, ...}" of |count| registers.
std::string registerList(const std::string &prefix, unsigned count);

/// Runs |body| for the eager and the lazy policy.
void forBothPolicies(const std::function<void(AsyncPolicy)> &body);

/// The text of line |line| (from 1) of |text|.
std::string lineOf(const std::string &text, unsigned line);

/// Whether |report| holds a finding of |kind| at a line of |text| that contains
/// |where|.
::testing::AssertionResult found(const Report &report, const std::string &text,
                                 FindingKind kind, const std::string &where);

/// A block of parameters, appended in order with their alignment.
class ParameterBlock {
public:
  template <typename T> ParameterBlock &add(const T &value) {
    return append(&value, sizeof value, alignof(T));
  }
  ParameterBlock &append(const void *data, size_t bytes, size_t align);
  const std::vector<uint8_t> &bytes() const { return block; }

private:
  std::vector<uint8_t> block;
};

/// Device memory with |values|, defined.
template <typename T>
uint64_t upload(Memory &memory, const std::vector<T> &values,
                const std::string &name) {
  auto address = memory.allocate(values.size() * sizeof(T), name);
  EXPECT_TRUE(address.ok());
  EXPECT_TRUE(
      memory.write(*address, values.data(), values.size() * sizeof(T)).ok());
  return *address;
}

/// Launches kernel |name| of |text|; an error fails the test.
Report launchText(const std::string &text, const std::string &name,
                  const LaunchConfig &config, const ParameterBlock &parameters,
                  Memory &memory, const Options &options);

} // namespace hadal::sim::test
