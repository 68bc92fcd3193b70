// Random structured programs: their PTX text and, from the same tree, what each
// thread computes. Threads meet only at collectives that all of them execute,
// so the reference needs no notion of warps or convergence.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace hadal::sim::test {

/// splitmix64.
class Random {
public:
  explicit Random(uint64_t seed) : state(seed) {}
  uint64_t next();
  /// 0 .. bound - 1.
  unsigned below(unsigned bound) {
    return static_cast<unsigned>(next() % bound);
  }
  bool chance(unsigned percent) { return below(100) < percent; }

private:
  uint64_t state;
};

/// What a program may hold.
struct ProgramShape {
  unsigned threads = 64;
  /// Barriers, shuffles and votes where the control flow is uniform.
  bool collectives = true;
  /// Threads may return early; not together with collectives.
  bool exits = false;
};

class RandomProgram {
public:
  static constexpr unsigned variables = 6, wideVariables = 3, slots = 8;
  struct Node;

  RandomProgram(uint64_t seed, const ProgramShape &shape);
  ~RandomProgram();

  /// A module with entry `k(in, out)`: thread t reads variables + wideVariables
  /// 64-bit values at in[t], and owns out[slot * threads + t] (64 bits) of
  /// slots + variables + wideVariables slots, all of which it writes unless it
  /// returns early.
  std::string text() const;

  /// The contents of out, zero where nothing is written.
  std::vector<uint64_t> evaluate(const std::vector<uint64_t> &in) const;

  static constexpr unsigned inputs = variables + wideVariables;
  static constexpr unsigned outputs = slots + inputs;

private:
  using Body = std::vector<std::unique_ptr<Node>>;
  class Generator;
  class Writer;
  class Evaluator;

  ProgramShape shape;
  Body body;
};

} // namespace hadal::sim::test
