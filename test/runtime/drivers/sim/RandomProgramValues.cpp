#include <algorithm>

#include "test/runtime/drivers/sim/RandomNode.h"

namespace hadal::sim::test {

class RandomProgram::Evaluator {
public:
  using Lanes = std::vector<unsigned>;

  Evaluator(const ProgramShape &shape, const std::vector<uint64_t> &in)
      : shape(shape), threads(shape.threads), out(outputs * shape.threads) {
    for (unsigned t = 0; t < shape.threads; ++t) {
      for (unsigned i = 0; i < variables; ++i)
        threads[t].v[i] = static_cast<uint32_t>(in[t * inputs + i]);
      for (unsigned i = 0; i < wideVariables; ++i)
        threads[t].w[i] = in[t * inputs + variables + i];
    }
  }

  std::vector<uint64_t> run(const Body &body) {
    Lanes all;
    for (unsigned t = 0; t < shape.threads; ++t)
      all.push_back(t);
    Loop none;
    for (unsigned t : list(body, all, none)) {
      for (unsigned i = 0; i < variables; ++i)
        out[(slots + i) * shape.threads + t] = threads[t].v[i];
      for (unsigned i = 0; i < wideVariables; ++i)
        out[(slots + variables + i) * shape.threads + t] = threads[t].w[i];
    }
    return std::move(out);
  }

private:
  struct Thread {
    uint32_t v[variables];
    uint64_t w[wideVariables];
  };
  struct Loop {
    Lanes next, end;
  };

  bool holds(const Node &n, unsigned t) const {
    uint32_t x = threads[t].v[n.left] & 15;
    bool result = n.compare == 0   ? x < n.bound
                  : n.compare == 1 ? x == n.bound
                                   : x > n.bound;
    return result != n.negated;
  }

  void assign(const Node &n, unsigned t) {
    uint32_t *v = threads[t].v;
    uint32_t a = v[n.a], b = n.useNumber ? n.number & 0xFFFF : v[n.b];
    switch (n.op) {
    case Op::add:
      a += b;
      break;
    case Op::sub:
      a -= b;
      break;
    case Op::xors:
      a ^= b;
      break;
    case Op::mul:
      a *= b;
      break;
    case Op::min:
      a = std::min(a, b);
      break;
    case Op::shift:
      a >>= n.number % 32;
      break;
    }
    v[n.to] = a;
  }

  /// One thread, no control flow.
  void step(const Node &n, unsigned t) {
    Thread &me = threads[t];
    switch (n.kind) {
    case Kind::assign:
      return assign(n, t);
    case Kind::guarded:
      if (holds(n, t))
        assign(n, t);
      return;
    case Kind::widen:
      me.w[n.to % wideVariables] ^= uint64_t(me.v[n.a]) * me.v[n.b];
      return;
    case Kind::narrow: {
      uint64_t w = me.w[n.a % wideVariables];
      me.v[n.to] = ((me.v[n.b] + 1234) & 0xFFFF) +
                   static_cast<uint32_t>(n.useNumber ? w : w >> 32);
      return;
    }
    case Kind::rotate: {
      uint32_t a = me.v[n.a], b = me.v[n.b], c = me.v[n.to];
      me.v[n.a] = b;
      me.v[n.b] = c;
      me.v[n.to] = a;
      return;
    }
    default:
      if (holds(n, t))
        out[n.to * shape.threads + t] = me.v[n.a];
      return;
    }
  }

  /// Every thread executes it; all read before one writes.
  void collective(const Node &n) {
    std::vector<Thread> old = threads;
    for (unsigned t = 0; t < shape.threads; ++t) {
      uint32_t &to = threads[t].v[n.to];
      unsigned warp = t / 32 * 32;
      if (n.kind == Kind::shuffle) {
        to = old[warp + old[t].v[n.b] % 32].v[n.a];
      } else if (n.kind == Kind::exchange) {
        to = old[(t + n.number) % shape.threads].v[n.a];
      }
    }
    if (n.kind != Kind::vote)
      return;
    threads = old;
    std::vector<uint32_t> ballots(shape.threads / 32);
    for (unsigned t = 0; t < shape.threads; ++t)
      ballots[t / 32] |= uint32_t(holds(n, t)) << t % 32;
    for (unsigned t = 0; t < shape.threads; ++t)
      threads[t].v[n.to] = ballots[t / 32];
  }

  /// The threads that come out at the end.
  Lanes list(const Body &body, Lanes lanes, Loop &loop) {
    for (const auto &n : body)
      lanes = node(*n, lanes, loop);
    return lanes;
  }

  static void join(Lanes &to, const Lanes &from) {
    to.insert(to.end(), from.begin(), from.end());
  }

  Lanes node(const Node &n, const Lanes &lanes, Loop &loop) {
    Lanes result;
    switch (n.kind) {
    case Kind::choose:
    case Kind::table: {
      std::vector<Lanes> arms(n.arms.size());
      for (unsigned t : lanes)
        arms[n.kind == Kind::table ? threads[t].v[n.a] % arms.size()
                                   : size_t(!holds(n, t))]
            .push_back(t);
      for (size_t arm = 0; arm < arms.size(); ++arm)
        join(result, list(n.arms[arm], arms[arm], loop));
      return result;
    }
    case Kind::loop: {
      std::vector<uint32_t> left(shape.threads);
      Lanes inside = lanes;
      for (unsigned t : lanes)
        left[t] = n.useNumber ? n.number : threads[t].v[n.a] % n.number + 1;
      Loop mine;
      while (!inside.empty()) {
        inside = list(n.arms[0], inside, mine);
        join(inside, mine.next);
        mine.next.clear();
        Lanes again;
        for (unsigned t : inside)
          (--left[t] ? again : mine.end).push_back(t);
        inside = std::move(again);
      }
      return mine.end;
    }
    case Kind::leave:
      for (unsigned t : lanes)
        if (!holds(n, t))
          result.push_back(t);
        else if (n.leave != Leave::returns)
          (n.leave == Leave::breaks ? loop.end : loop.next).push_back(t);
      return result;
    case Kind::shuffle:
    case Kind::vote:
    case Kind::exchange:
      collective(n);
      return lanes;
    default:
      for (unsigned t : lanes)
        step(n, t);
      return lanes;
    }
  }

  const ProgramShape &shape;
  std::vector<Thread> threads;
  std::vector<uint64_t> out;
};

std::vector<uint64_t>
RandomProgram::evaluate(const std::vector<uint64_t> &in) const {
  return Evaluator(shape, in).run(body);
}

} // namespace hadal::sim::test
