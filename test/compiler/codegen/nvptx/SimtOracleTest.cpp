// Every kernel without a contraction, at V3's widths and at random ragged ones:
// the sm_90a code on the simulator against the loops that define the kernel, and
// a row alone against the same row in a batch, bit for bit.
#include <gtest/gtest.h>

#include "mlir/IR/BuiltinOps.h"
#include "mlir/IR/MLIRContext.h"
#include "test/kernels/KernelTestSupport.h"
#include "test/lib/KernelRunner.h"

namespace hadal::kernels::test {
namespace {

/// An argument: one row per token, or the same for every token.
struct Argument {
  Buffer buffer;
  bool perRow = false;
  bool isDynamic = false; ///< its rows are an extent of the launch
  bool isOutput = false;
};

struct Case {
  Executable::Build build;
  std::vector<Argument> arguments;
  bool logitRows = false;
};

Argument rowsIn(Buffer buffer) { return {std::move(buffer), true, true, false}; }
Argument rowsOut(Format format, int64_t rows, int64_t cols) {
  return {Buffer(format, rows, cols), true, true, true};
}
Argument fixed(Buffer buffer) { return {std::move(buffer), false, false, false}; }
Argument pool(Buffer buffer, bool isOutput = false) {
  return {std::move(buffer), false, true, isOutput};
}

Slots slotsOf(std::vector<Argument> &arguments, std::vector<int32_t> &sizes) {
  Slots slots;
  for (Argument &a : arguments)
    slots.view(a.buffer, a.isDynamic
                             ? std::vector<int64_t>{a.buffer.rows()}
                             : std::vector<int64_t>{});
  slots.sizes(sizes);
  return slots;
}

/// The definition on this host.
void runLoops(const Executable::Build &build, const Slots &slots,
              int64_t capacity) {
  mlir::DialectRegistry registry;
  hadal::test::registerKernelDialects(registry);
  mlir::MLIRContext context(registry,
                            mlir::MLIRContext::Threading::DISABLED);
  context.loadAllAvailableDialects();
  mlir::OwningOpRef<mlir::ModuleOp> module =
      mlir::ModuleOp::create(mlir::UnknownLoc::get(&context));
  mlir::OpBuilder builder(&context);
  builder.setInsertionPointToEnd(module->getBody());
  tile::KernelOp kernel = build(builder);
  std::string name = kernel.getSymName().str(), error;
  int64_t items = kernel.getNumItems(capacity);
  auto runner = hadal::test::KernelRunner::fromModule(*module, false, error);
  ASSERT_TRUE(runner) << error;
  ASSERT_EQ(runner->run(name, slots.values(), items), "");
}

void expectSame(Buffer &actual, Buffer &expected) {
  if (actual.format() == Format::i32 || actual.format() == Format::i64) {
    for (int64_t r = 0; r < actual.rows(); ++r)
      EXPECT_EQ(actual.rowBytes(r), expected.rowBytes(r)) << "row " << r;
    return;
  }
  Comparison comparison;
  int64_t differing = 0, count = 0;
  for (int64_t r = 0; r < actual.rows(); ++r) {
    EXPECT_EQ(actual.untouched(r), expected.untouched(r)) << "row " << r;
    if (expected.untouched(r))
      continue;
    for (int64_t c = 0; c < actual.cols(); ++c) {
      comparison.add(actual.at(r, c), expected.at(r, c));
      ++count;
      if (actual.format() == Format::fp8) {
        differing += actual.code(r, c) != expected.code(r, c);
        EXPECT_NEAR(actual.scale(r, c), expected.scale(r, c),
                    2e-6 * expected.scale(r, c));
      }
    }
  }
  // A code may differ where x/s does in its last bit.
  EXPECT_LE(differing, count / 500 + 1);
  Tolerance tolerance = toleranceOf(
      actual.format() == Format::f32 ? Act::f32 : Act::bf16);
  if (actual.format() == Format::fp8)
    tolerance = {1e-5, 0.08}; // one code of the largest
  HADAL_EXPECT_CLOSE(comparison, tolerance);
}

Buffer rowAlone(Buffer &from, int64_t row) {
  Buffer one(from.format(), 1, from.cols());
  std::memcpy(one.data(),
              static_cast<uint8_t *>(from.data()) + row * from.bytesPerRow(),
              from.bytesPerRow());
  return one;
}

void check(Case c, int64_t tokens) {
  int64_t capacity = 0;
  for (Argument &a : c.arguments)
    if (a.perRow)
      capacity = a.buffer.rows();
  auto sizesOf = [&](int32_t n) {
    return c.logitRows ? makeSizes(7, 1, n) : makeSizes(n);
  };
  std::vector<int32_t> sizes = sizesOf(tokens);
  std::vector<Argument> onSim = c.arguments, onHost = c.arguments;
  Executable kernel(c.build, Mode::loops);
  kernel.run(slotsOf(onSim, sizes), capacity);
  runLoops(c.build, slotsOf(onHost, sizes), capacity);
  for (size_t i = 0; i < onSim.size(); ++i) {
    SCOPED_TRACE("argument " + std::to_string(i));
    EXPECT_TRUE(onSim[i].buffer.guardIntact());
    if (onSim[i].isOutput)
      expectSame(onSim[i].buffer, onHost[i].buffer);
  }
  // Each row alone.
  sizes = sizesOf(1);
  for (int64_t row = 0; row < tokens; row += std::max<int64_t>(tokens - 1, 1)) {
    std::vector<Argument> one = c.arguments;
    for (Argument &a : one)
      if (a.perRow)
        a.buffer = a.isOutput ? Buffer(a.buffer.format(), 1, a.buffer.cols())
                              : rowAlone(a.buffer, row);
    kernel.run(slotsOf(one, sizes), 1);
    for (size_t i = 0; i < one.size(); ++i) {
      if (!one[i].isOutput)
        continue;
      if (one[i].perRow) {
        EXPECT_EQ(one[i].buffer.rowBytes(0), onSim[i].buffer.rowBytes(row));
        continue;
      }
      for (int64_t r = 0; r < one[i].buffer.rows(); ++r)
        if (!one[i].buffer.untouched(r)) {
          EXPECT_EQ(one[i].buffer.rowBytes(r), onSim[i].buffer.rowBytes(r));
        }
    }
  }
}

constexpr Common kBF16{Act::bf16, ScaleFormat::f32};

/// Widths of V3, then ragged ones.
std::vector<int64_t> widths(Random &random, int64_t first) {
  std::vector<int64_t> result{first};
  for (int64_t limit : {30, 300, 3000})
    for (int i = 0; i < 3; ++i)
      result.push_back(1 + random.below(limit));
  return result;
}

TEST(SimtOracle, embed) {
  Random random(1);
  for (int64_t width : widths(random, 7168)) {
    SCOPED_TRACE(width);
    Buffer ids(Format::i32, 5, 1);
    for (int i = 0; i < 5; ++i)
      ids.set(i, 0, random.below(40));
    check({builderOf(EmbedSpec{kBF16, 40, width, Weight::bf16}),
           {rowsIn(ids), fixed(random.matrix(Format::bf16, 40, width)),
            rowsOut(Format::bf16, 5, width)}},
          3);
  }
}

TEST(SimtOracle, mtpInput) {
  Random random(3);
  for (int64_t width : widths(random, 7168)) {
    SCOPED_TRACE(width);
    Buffer ids(Format::i32, 4, 1), which(Format::i32, 4, 1);
    for (int i = 0; i < 4; ++i) {
      ids.set(i, 0, random.below(40));
      which.set(i, 0, random.below(6));
    }
    auto weight = [&] { return fixed(random.matrix(Format::f32, 1, width)); };
    check({builderOf(MtpInputSpec{kBF16, 40, width, 1e-6, Weight::bf16}),
           {rowsIn(ids), fixed(random.matrix(Format::bf16, 40, width)), weight(),
            pool(random.matrix(Format::bf16, 6, width)), rowsIn(which), weight(),
            weight(), rowsOut(Format::bf16, 4, 2 * width)}},
          3);
  }
}

TEST(SimtOracle, normQuant) {
  Random random(2);
  int form = 0;
  for (int64_t width : widths(random, 7168)) {
    SCOPED_TRACE(width);
    NormQuantSpec spec{kBF16, width};
    spec.delta = form % 2 == 0;
    spec.quantize = form % 3 != 1;
    spec.emitAct = form % 3 != 2;
    spec.scaleFormat = form % 4 == 3 ? ScaleFormat::ue8m0 : ScaleFormat::f32;
    spec.gather = form % 4 == 1;
    ++form;
    int64_t rows = 6;
    Case c{builderOf(spec), {}, spec.gather};
    Buffer x = random.matrix(Format::bf16, rows, width);
    c.arguments.push_back(spec.gather ? pool(x) : rowsIn(x));
    if (spec.gather) {
      Buffer which(Format::i32, 4, 1);
      for (int i = 0; i < 4; ++i)
        which.set(i, 0, random.below(rows));
      c.arguments.push_back(rowsIn(which));
      rows = 4;
    }
    if (spec.delta)
      c.arguments.push_back(rowsIn(random.matrix(Format::bf16, rows, width)));
    c.arguments.push_back(fixed(random.matrix(Format::f32, 1, width)));
    if (spec.delta)
      c.arguments.push_back(rowsOut(Format::bf16, rows, width));
    if (spec.emitAct)
      c.arguments.push_back(rowsOut(Format::bf16, rows, width));
    if (spec.quantize)
      c.arguments.push_back(rowsOut(Format::fp8, rows, width));
    check(std::move(c), 3);
  }
}

// A CTA of fewer threads than a row has vectors, and of more.
TEST(SimtOracle, anyNumberOfThreads) {
  Random random(8);
  for (int64_t threads : {32, 64, 128, 256, 512, 1024})
    for (int64_t width : {40, 1000}) {
      SCOPED_TRACE(threads);
      SCOPED_TRACE(width);
      schedule::Words words{{"threads", threads}};
      auto input = [&] {
        return rowsIn(random.matrix(Format::bf16, 3, width));
      };
      check({builderOf(SiluMulSpec{kBF16, width}, words),
             {input(), input(), rowsOut(Format::bf16, 3, width)}},
            2);
      NormQuantSpec norm{kBF16, width};
      norm.quantize = true;
      check({builderOf(norm, words),
             {input(), fixed(random.matrix(Format::f32, 1, width)),
              rowsOut(Format::bf16, 3, width),
              rowsOut(Format::fp8, 3, width)}},
            2);
    }
}

TEST(SimtOracle, quantizeAddSiluMul) {
  Random random(3);
  for (int64_t width : widths(random, 7168)) {
    SCOPED_TRACE(width);
    auto input = [&] { return rowsIn(random.matrix(Format::bf16, 4, width)); };
    check({builderOf(QuantizeSpec{kBF16, width}),
           {input(), rowsOut(Format::fp8, 4, width)}},
          3);
    check({builderOf(AddSpec{kBF16, width}),
           {input(), input(), rowsOut(Format::bf16, 4, width)}},
          4);
    check({builderOf(SiluMulSpec{kBF16, width}),
           {input(), input(), rowsOut(Format::bf16, 4, width)}},
          3);
  }
}

TEST(SimtOracle, latentNormRopeCache) {
  Random random(4);
  struct Shape {
    int64_t qLora, latent, rope;
    bool quantize;
  };
  for (Shape s : {Shape{1536, 512, 64, true}, Shape{1536, 512, 64, false},
                  Shape{0, 512, 64, false}, Shape{200, 40, 6, true},
                  Shape{24, 33, 2, true}, Shape{129, 7, 10, false}}) {
    SCOPED_TRACE(s.qLora);
    LatentNormRopeCacheSpec spec{kBF16, s.qLora, s.latent, s.rope, 32};
    spec.quantize = s.quantize;
    Buffer positions(Format::i32, 5, 1), slot(Format::i64, 5, 1);
    const int where[] = {4, -1, 0, 7, 2};
    for (int i = 0; i < 5; ++i) {
      positions.set(i, 0, random.below(32));
      slot.set(i, 0, where[i]);
    }
    int64_t row = s.latent + s.rope;
    Case c{builderOf(spec), {}};
    c.arguments.push_back(
        rowsIn(random.matrix(Format::bf16, 5, s.qLora + row)));
    if (s.qLora)
      c.arguments.push_back(fixed(random.matrix(Format::f32, 1, s.qLora)));
    c.arguments.push_back(fixed(random.matrix(Format::f32, 1, s.latent)));
    c.arguments.push_back(fixed(random.matrix(Format::f32, 32, s.rope)));
    c.arguments.push_back(rowsIn(positions));
    c.arguments.push_back(rowsIn(slot));
    c.arguments.push_back(pool(Buffer(Format::bf16, 9, row), true));
    if (s.qLora)
      c.arguments.push_back(rowsOut(
          s.quantize ? Format::fp8 : Format::bf16, 5, s.qLora));
    check(std::move(c), 4);
  }
}

TEST(SimtOracle, gateTopk) {
  Random random(5);
  struct Shape {
    int64_t experts, topk, groups, kept;
    bool sigmoid, bias, top2;
  };
  for (Shape s : {Shape{256, 8, 8, 4, true, true, true},
                  Shape{64, 6, 1, 1, false, false, false},
                  Shape{160, 6, 8, 3, false, false, false},
                  Shape{384, 8, 1, 1, true, true, true},
                  Shape{16, 4, 4, 2, true, true, true},
                  Shape{15, 3, 5, 2, true, true, true},
                  Shape{21, 2, 3, 1, false, true, true},
                  Shape{5, 2, 1, 1, true, false, false},
                  Shape{12, 12, 1, 1, true, true, true}}) {
    SCOPED_TRACE(s.experts);
    GateTopkSpec spec{kBF16, s.experts, s.topk, s.groups, s.kept};
    spec.sigmoid = s.sigmoid;
    spec.bias = s.bias;
    spec.groupTop2 = s.top2;
    spec.routeScale = 2.5;
    Case c{builderOf(spec), {}};
    c.arguments.push_back(rowsIn(random.matrix(Format::f32, 6, s.experts)));
    if (s.bias)
      c.arguments.push_back(fixed(random.matrix(Format::f32, 1, s.experts)));
    c.arguments.push_back(rowsOut(Format::i32, 6, s.topk));
    c.arguments.push_back(rowsOut(Format::f32, 6, s.topk));
    check(std::move(c), 5);
  }
}

TEST(SimtOracle, moeCombine) {
  Random random(6);
  for (int64_t width : widths(random, 7168)) {
    SCOPED_TRACE(width);
    int64_t topk = width == 7168 ? 8 : 1 + random.below(6);
    MoeCombineSpec spec{kBF16, width, topk};
    spec.shared = width % 2 == 0;
    Buffer pos(Format::i32, 4, topk);
    for (int t = 0; t < 4; ++t)
      for (int j = 0; j < topk; ++j)
        pos.set(t, j, random.below(10) - 1);
    Case c{builderOf(spec), {}};
    c.arguments.push_back(pool(random.matrix(Format::bf16, 9, width)));
    c.arguments.push_back(rowsIn(pos));
    c.arguments.push_back(rowsIn(random.matrix(Format::f32, 4, topk)));
    if (spec.shared)
      c.arguments.push_back(rowsIn(random.matrix(Format::bf16, 4, width)));
    c.arguments.push_back(rowsIn(random.matrix(Format::bf16, 4, width)));
    c.arguments.push_back(rowsOut(Format::bf16, 4, width));
    check(std::move(c), 3);
  }
}

TEST(SimtOracle, moePermute) {
  Random random(7);
  struct Shape {
    int64_t experts, topk, capacity, tokens;
  };
  for (Shape s : {Shape{32, 8, 1024, 1000}, Shape{256, 8, 8, 5},
                  Shape{7, 3, 50, 50}, Shape{4, 1, 1, 1}, Shape{9, 6, 33, 0},
                  Shape{3, 5, 900, 899}}) {
    SCOPED_TRACE(s.experts);
    Executable::Build build = builderOf(
        MoePermuteSpec{kBF16, s.experts, s.topk, s.capacity});
    Buffer ids(Format::i32, s.capacity, s.topk);
    for (int64_t t = 0; t < s.capacity; ++t)
      for (int64_t j = 0; j < s.topk; ++j)
        ids.set(t, j, random.below(s.experts + 2) - 1);
    int64_t count = s.capacity * s.topk;
    auto arguments = [&] {
      std::vector<Argument> all{pool(ids),
                                pool(Buffer(Format::i32, count, 1), true),
                                pool(Buffer(Format::i32, count, 1), true)};
      Argument load = fixed(random.matrix(Format::i32, 1, s.experts));
      for (int64_t e = 0; e < s.experts; ++e)
        load.buffer.set(0, e, 7 * e);
      load.isOutput = true;
      all.push_back(load);
      return all;
    };
    std::vector<Argument> onSim = arguments(), onHost = arguments();
    std::vector<int32_t> simSizes = makeSizes(s.tokens, 1, 0, s.experts),
                         hostSizes = simSizes;
    Executable(build, Mode::loops).run(slotsOf(onSim, simSizes), s.experts);
    runLoops(build, slotsOf(onHost, hostSizes), s.experts);
    EXPECT_EQ(simSizes, hostSizes);
    for (size_t i = 1; i < onSim.size(); ++i)
      expectSame(onSim[i].buffer, onHost[i].buffer);
  }
}

} // namespace
} // namespace hadal::kernels::test
