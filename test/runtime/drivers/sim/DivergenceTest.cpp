// Random control flow, lane by lane: whatever way the threads of a warp part and
// meet again, each computes what it would alone.
#include <algorithm>

#include "test/runtime/drivers/sim/RandomProgram.h"
#include "test/runtime/drivers/sim/SimHarness.h"

namespace hadal::sim::test {
namespace {

/// Runs program |seed| and compares all that it stores.
void check(uint64_t seed, const ProgramShape &shape) {
  RandomProgram program(seed, shape);
  const std::string text = program.text();
  Random random(seed + 1000);
  std::vector<uint64_t> in(size_t(shape.threads) * RandomProgram::inputs);
  for (uint64_t &value : in)
    value = random.next();
  Memory memory(1 << 20);
  size_t words = size_t(shape.threads) * RandomProgram::outputs;
  uint64_t from = *memory.allocate(in.size() * 8, "in");
  uint64_t to = *memory.allocate(words * 8, "out");
  ASSERT_TRUE(memory.write(from, in.data(), in.size() * 8).ok());
  ASSERT_TRUE(memory.fill(to, 0, words * 8).ok());
  LaunchConfig config;
  config.block[0] = shape.threads;
  Options options;
  options.instructionLimit = 10'000'000;
  Report report = run(text, config, {from, to}, memory, options);
  EXPECT_TRUE(report.clean())
      << "program " << seed << "\n" << report.toString();
  std::vector<uint64_t> out(words);
  ASSERT_TRUE(memory.read(to, out.data(), words * 8).ok());
  std::vector<uint64_t> expected = program.evaluate(in);
  for (size_t i = 0; i < words; ++i)
    ASSERT_EQ(out[i], expected[i])
        << "program " << seed << ", slot " << i / shape.threads << " of thread "
        << i % shape.threads << "\n"
        << text;
}

TEST(SimDivergence, RandomControlFlow) {
  for (uint64_t seed = 0; seed < 300 && !HasFatalFailure(); ++seed)
    check(seed, {seed % 3 ? 64u : 40u, false, true});
}

TEST(SimDivergence, RandomControlFlowBetweenCollectives) {
  for (uint64_t seed = 0; seed < 300 && !HasFatalFailure(); ++seed)
    check(seed, {32u * (1 + static_cast<unsigned>(seed % 3)), true, false});
}

} // namespace
} // namespace hadal::sim::test
