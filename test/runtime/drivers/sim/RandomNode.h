// The statements of a random program.
#pragma once

#include "test/runtime/drivers/sim/RandomProgram.h"

namespace hadal::sim::test {

enum class Kind {
  assign,  ///< v[to] = v[a] op (v[b] or number), through temporaries
  guarded, ///< the same where the condition holds, as a guard
  widen,   ///< w[to] = w[to] ^ v[a] * v[b] (64 bits)
  narrow,  ///< v[to] = low or high half of w[a], plus a 16-bit sum of v[b]
  rotate,  ///< v[a], v[b], v[to] = v[b], v[to], v[a]
  store,   ///< out slot = v[a], through a branch or a guard
  choose,  ///< if (condition) first else second
  table,   ///< arms by v[a] % count
  loop,    ///< v[a] % number + 1 times
  leave,   ///< where the condition holds: break, continue or return
  shuffle, ///< v[to] = v[a] of lane v[b] % 32
  vote,    ///< v[to] = lanes of the warp in which the condition holds
  exchange ///< v[to] = v[a] of thread t ^ number, through shared memory
};
enum class Leave { breaks, continues, returns };
enum class Op { add, sub, xors, mul, min, shift };

struct RandomProgram::Node {
  Kind kind;
  unsigned to = 0, a = 0, b = 0;
  uint32_t number = 0;
  bool useNumber = false;
  Op op = Op::add;
  // The condition: v[left] & 15 compared with `bound`.
  unsigned left = 0, compare = 0;
  uint32_t bound = 0;
  bool negated = false;
  bool outOfLine = false; ///< blocks stand behind the end of the kernel
  bool bottomTest = false;
  Leave leave = Leave::breaks;
  std::vector<Body> arms;
};

} // namespace hadal::sim::test
