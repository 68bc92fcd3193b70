#include "test/runtime/drivers/sim/RandomNode.h"

namespace hadal::sim::test {

uint64_t Random::next() {
  uint64_t z = state += 0x9E3779B97F4A7C15;
  z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9;
  z = (z ^ (z >> 27)) * 0x94D049BB133111EB;
  return z ^ (z >> 31);
}

RandomProgram::~RandomProgram() = default;

class RandomProgram::Generator {
public:
  Generator(uint64_t seed, const ProgramShape &shape)
      : random(seed), shape(shape) {}

  Body list(unsigned depth, bool uniform, bool inLoop) {
    Body body;
    unsigned count = 2 + random.below(depth == 0 ? 8 : 4);
    for (unsigned i = 0; i < count; ++i)
      body.push_back(node(depth, uniform, inLoop));
    return body;
  }

private:
  std::unique_ptr<Node> node(unsigned depth, bool uniform, bool inLoop) {
    auto n = std::make_unique<Node>();
    n->to = random.below(variables);
    n->a = random.below(variables);
    n->b = random.below(variables);
    n->number = static_cast<uint32_t>(random.next());
    n->useNumber = random.chance(40);
    n->op = static_cast<Op>(random.below(6));
    n->left = random.below(variables);
    n->compare = random.below(3);
    n->bound = random.below(16);
    n->negated = random.chance(50);
    n->outOfLine = random.chance(40);
    n->bottomTest = random.chance(50);
    unsigned pick = random.below(100);
    if (uniform && shape.collectives && pick < 24) {
      n->kind = pick < 8    ? Kind::shuffle
                : pick < 14 ? Kind::vote
                            : Kind::exchange;
      n->number %= shape.threads;
    } else if (pick < 40) {
      n->kind = pick < 30 ? Kind::assign : Kind::guarded;
    } else if (pick < 48) {
      n->kind = pick < 44 ? Kind::widen : Kind::narrow;
    } else if (pick < 56) {
      n->kind = Kind::rotate;
    } else if (pick < 66) {
      n->kind = Kind::store;
      n->to = random.below(slots);
    } else if (pick < 74 && (inLoop || (shape.exits && depth))) {
      n->kind = Kind::leave;
      n->leave = !inLoop || (shape.exits && random.chance(15))
                     ? Leave::returns
                 : random.chance(50) ? Leave::breaks
                                     : Leave::continues;
    } else if (depth < 4) {
      block(*n, depth, uniform, inLoop);
    } else {
      n->kind = Kind::assign;
    }
    return n;
  }

  void block(Node &n, unsigned depth, bool uniform, bool inLoop) {
    unsigned pick = random.below(100);
    // Threads part in every block but a loop of constant length.
    if (pick < 40) {
      n.kind = Kind::loop;
      n.number = 1 + random.below(5);
      // Uniform: a constant count, and nobody leaves it early.
      n.useNumber = uniform && random.chance(50);
      n.arms.push_back(list(depth + 1, n.useNumber, !n.useNumber));
    } else if (pick < 55) {
      n.kind = Kind::table;
      unsigned count = 2 + random.below(3);
      for (unsigned i = 0; i < count; ++i)
        n.arms.push_back(list(depth + 1, false, inLoop));
    } else {
      n.kind = Kind::choose;
      n.arms.push_back(list(depth + 1, false, inLoop));
      n.arms.push_back(random.chance(50) ? list(depth + 1, false, inLoop)
                                         : Body());
    }
  }

  Random random;
  ProgramShape shape;
};

RandomProgram::RandomProgram(uint64_t seed, const ProgramShape &shape)
    : shape(shape), body(Generator(seed, shape).list(0, true, false)) {}

} // namespace hadal::sim::test
