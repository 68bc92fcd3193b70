#include <fmt/format.h>

#include "test/runtime/drivers/sim/RandomNode.h"

namespace hadal::sim::test {
namespace {

constexpr const char *opText[] = {"add.s32",    "sub.s32", "xor.b32",
                                  "mul.lo.s32", "min.u32", "shr.u32"};
constexpr const char *compareText[] = {"lt.u32", "eq.u32", "gt.s32"};

} // namespace

class RandomProgram::Writer {
public:
  explicit Writer(const ProgramShape &shape) : shape(shape) {}

  std::string module(const Body &body) {
    std::string main;
    list(body, main, {});
    for (unsigned i = 0; i < variables; ++i)
      main += fmt::format("cvt.u64.u32 %x, %v{};\nst.global.b64 [%out+{}], %x;"
                          "\n",
                          i, 8 * (slots + i) * shape.threads);
    for (unsigned i = 0; i < wideVariables; ++i)
      main += fmt::format("st.global.b64 [%out+{}], %w{};\n",
                          8 * (slots + variables + i) * shape.threads, i);
    std::string head =
        ".version 8.7\n.target sm_90a\n.address_size 64\n"
        ".visible .entry k(.param .u64 in, .param .u64 out)\n{\n"
        ".shared .align 4 .b8 s[4096];\n"
        ".reg .b64 %in, %out, %x;\n.reg .b32 %tid, %own, %other;\n";
    head += fmt::format(".reg .b32 %v<{}>, %t<{}>;\n.reg .b64 %w<{}>, %y<{}>;\n"
                        ".reg .b16 %h<{}>;\n.reg .pred %p<{}>;\n",
                        variables, temporaries + 1, wideVariables,
                        temporaries + 1, temporaries + 1, temporaries + 1);
    head += fmt::format(
        "mov.u32 %tid, %tid.x;\nld.param.u64 %in, [in];\n"
        "ld.param.u64 %out, [out];\nmul.wide.u32 %x, %tid, {};\n"
        "add.s64 %in, %in, %x;\nmul.wide.u32 %x, %tid, 8;\n"
        "add.s64 %out, %out, %x;\nmov.u32 %own, s;\nshl.b32 %other, %tid, 2;\n"
        "add.s32 %own, %own, %other;\n",
        8 * inputs);
    for (unsigned i = 0; i < variables; ++i)
      head += fmt::format("ld.global.b32 %v{}, [%in+{}];\n", i, 8 * i);
    for (unsigned i = 0; i < wideVariables; ++i)
      head += fmt::format("ld.global.b64 %w{}, [%in+{}];\n", i,
                          8 * (variables + i));
    return head + main + "ret;\n" + deferred + "}\n";
  }

private:
  struct Loop {
    std::string next, end;
  };

  unsigned temporary() { return ++temporaries; }
  std::string label() { return fmt::format("L{}", ++labels); }

  /// A predicate register that holds the node's condition.
  std::string condition(const Node &n, std::string &to) {
    unsigned t = temporary();
    to += fmt::format("and.b32 %t{}, %v{}, 15;\nsetp.{} %p{}, %t{}, {};\n", t,
                      n.left, compareText[n.compare], t, t, n.bound);
    return fmt::format("@{}%p{} ", n.negated ? "!" : "", t);
  }

  /// A block ends in a jump to |end|, unless it stands right before it.
  void block(const Body &body, const std::string &start,
             const std::string &end, bool away, std::string &to,
             const Loop &loop) {
    std::string text;
    if (!start.empty())
      text += start + ":\n";
    list(body, text, loop);
    if (!away) {
      to += text;
      return;
    }
    deferred += text + "bra " + end + ";\n";
  }

  void assign(const Node &n, const std::string &guard, std::string &to) {
    unsigned t = temporary(), u = temporary();
    std::string b = n.useNumber ? fmt::format("{}", n.number & 0xFFFF)
                                : fmt::format("%v{}", n.b);
    if (n.op == Op::shift)
      b = fmt::format("{}", n.number % 32);
    // Temporaries of their own; only the last step is guarded.
    to += fmt::format("mov.b32 %t{}, %v{};\n{} %t{}, %t{}, {};\n"
                      "{}mov.b32 %v{}, %t{};\n",
                      t, n.a, opText[static_cast<int>(n.op)], u, t, b, guard,
                      n.to, u);
  }

  void node(const Node &n, std::string &to, const Loop &loop) {
    switch (n.kind) {
    case Kind::assign:
      return assign(n, "", to);
    case Kind::guarded: {
      std::string guard = condition(n, to);
      return assign(n, guard, to);
    }
    case Kind::widen: {
      unsigned y = temporary();
      to += fmt::format("mul.wide.u32 %y{0}, %v{1}, %v{2};\n"
                        "xor.b64 %w{3}, %w{3}, %y{0};\n",
                        y, n.a, n.b, n.to % wideVariables);
      return;
    }
    case Kind::narrow: {
      unsigned t = temporary(), h = temporary();
      to += fmt::format(
          "mov.b64 {{%t{0}, %t{1}}}, %w{2};\ncvt.u16.u32 %h{1}, %v{3};\n"
          "add.s16 %h{1}, %h{1}, 1234;\ncvt.u32.u16 %v{4}, %h{1};\n"
          "add.s32 %v{4}, %v{4}, %t{5};\n",
          t, h, n.a % wideVariables, n.b, n.to, n.useNumber ? t : h);
      return;
    }
    case Kind::rotate: {
      unsigned t = temporary(), u = temporary(), v = temporary();
      to += fmt::format("mov.b32 %t{0}, %v{3};\nmov.b32 %t{1}, %v{4};\n"
                        "mov.b32 %t{2}, %v{5};\nmov.b32 %v{3}, %t{1};\n"
                        "mov.b32 %v{4}, %t{2};\nmov.b32 %v{5}, %t{0};\n",
                        t, u, v, n.a, n.b, n.to);
      return;
    }
    case Kind::store: {
      std::string guard = condition(n, to), skip = label();
      unsigned t = temporary();
      std::string store = fmt::format("st.global.b64 [%out+{}], %y{};\n",
                                      8 * n.to * shape.threads, t);
      to += fmt::format("cvt.u64.u32 %y{}, %v{};\n", t, n.a);
      if (n.bottomTest) {
        to += guard + store;
      } else if (n.outOfLine) {
        std::string away = label();
        to += guard + "bra " + away + ";\n" + skip + ":\n";
        deferred += away + ":\n" + store + "bra " + skip + ";\n";
      } else {
        guard.replace(0, 1, n.negated ? "@" : "@!");
        if (n.negated)
          guard.erase(1, 1);
        to += guard + "bra " + skip + ";\n" + store + skip + ":\n";
      }
      return;
    }
    case Kind::choose: {
      std::string guard = condition(n, to), first = label(), end = label();
      to += guard + "bra " + first + ";\n";
      block(n.arms[1], "", end, false, to, loop);
      if (!n.outOfLine)
        to += "bra " + end + ";\n";
      block(n.arms[0], first, end, n.outOfLine, to, loop);
      to += end + ":\n";
      return;
    }
    case Kind::table: {
      std::string name = label(), end = label(), targets;
      std::vector<std::string> starts;
      for (size_t i = 0; i < n.arms.size(); ++i) {
        starts.push_back(label());
        targets += (i ? ", " : "") + starts.back();
      }
      unsigned t = temporary();
      to += fmt::format("rem.u32 %t{0}, %v{1}, {2};\n{3}: .branchtargets {4};\n"
                        "brx.idx %t{0}, {3};\n",
                        t, n.a, n.arms.size(), name, targets);
      for (size_t i = 0; i < n.arms.size(); ++i) {
        bool away = n.outOfLine && i % 2;
        block(n.arms[i], starts[i], end, away, to, loop);
        if (!away)
          to += "bra " + end + ";\n";
      }
      to += end + ":\n";
      return;
    }
    case Kind::loop: {
      Loop inner{label(), label()};
      unsigned t = temporary();
      if (n.useNumber)
        to += fmt::format("mov.b32 %t{}, {};\n", t, n.number);
      else
        to += fmt::format("rem.u32 %t{0}, %v{1}, {2};\nadd.s32 %t{0}, %t{0}, 1;"
                          "\n",
                          t, n.a, n.number);
      std::string step = fmt::format("sub.s32 %t{0}, %t{0}, 1;\n", t);
      std::string test =
          fmt::format("setp.ne.u32 %p{0}, %t{0}, 0;\n", t);
      if (n.bottomTest) {
        std::string top = label();
        to += top + ":\n";
        list(n.arms[0], to, inner);
        to += inner.next + ":\n" + step + test +
              fmt::format("@%p{} bra {};\n{}:\n", t, top, inner.end);
      } else {
        to += inner.next + ":\n" + test +
              fmt::format("@!%p{} bra {};\n", t, inner.end) + step;
        list(n.arms[0], to, inner);
        to += "bra " + inner.next + ";\n" + inner.end + ":\n";
      }
      return;
    }
    case Kind::leave: {
      std::string guard = condition(n, to);
      to += guard + (n.leave == Leave::returns     ? "ret"
                     : n.leave == Leave::continues ? "bra " + loop.next
                                                   : "bra " + loop.end) +
            ";\n";
      return;
    }
    case Kind::shuffle: {
      unsigned t = temporary();
      to += fmt::format("and.b32 %t{0}, %v{1}, 31;\n"
                        "shfl.sync.idx.b32 %v{2}, %v{3}, %t{0}, 31, -1;\n",
                        t, n.b, n.to, n.a);
      return;
    }
    case Kind::vote: {
      std::string guard = condition(n, to);
      to += fmt::format("vote.sync.ballot.b32 %v{}, {}, -1;\n", n.to,
                        guard.substr(1, guard.size() - 2));
      return;
    }
    case Kind::exchange: {
      unsigned t = temporary(), u = temporary();
      to += fmt::format(
          "st.shared.b32 [%own], %v{0};\nbar.sync 0;\n"
          "add.s32 %t{1}, %tid, {2};\nrem.u32 %t{1}, %t{1}, {3};\n"
          "shl.b32 %t{1}, %t{1}, 2;\nmov.u32 %t{4}, s;\n"
          "add.s32 %t{1}, %t{1}, %t{4};\nld.shared.b32 %v{5}, [%t{1}];\n"
          "bar.sync 0;\n",
          n.a, t, n.number, shape.threads, u, n.to);
      return;
    }
    }
  }

  void list(const Body &body, std::string &to, const Loop &loop) {
    for (const auto &n : body)
      node(*n, to, loop);
  }

  const ProgramShape &shape;
  unsigned temporaries = 0, labels = 0;
  std::string deferred;
};

std::string RandomProgram::text() const { return Writer(shape).module(body); }

} // namespace hadal::sim::test
