// The contractions scheduled for sm_90a, on the simulator, against plain
// references: dense and grouped GEMM with every epilogue, absorb_q, absorb_v.
#include <gtest/gtest.h>

#include "test/compiler/codegen/nvptx/GemmChecks.h"

namespace hadal::kernels::test {
namespace {

TEST(Sm90Gemm, fp8AndRaggedShapes) {
  checkDense(makeSpec({128, 128, 64, 64}, true), 64);
  checkDense(makeSpec({40, 72, 1, 1}, true), 1);
  checkDense(makeSpec({200, 1000, 70, 65}, true), 65);
  checkDense(makeSpec({136, 130, 200, 150}, true), 150);
  checkDense(makeSpec({65, 640, 3, 2}, true), 2);
}

TEST(Sm90Gemm, bf16RaggedShapesAndF32Results) {
  checkDense(makeSpec({128, 64, 64, 64}, false), 64);
  checkDense(makeSpec({65, 100, 16, 9}, false), 9);
  checkDense(makeSpec({129, 320, 160, 131}, false), 131);
  GemmSpec router = makeSpec({16, 200, 4, 3}, false);
  router.f32Output = true;
  checkDense(router, 3);
  GemmSpec head = makeSpec({70, 64, 4, 2}, false);
  head.f32Output = true;
  head.logitRows = true;
  checkDense(head, 2);
}

TEST(Sm90Gemm, epilogues) {
  for (bool fp8 : {true, false}) {
    checkDense(makeSpec({72, 130, 4, 3}, fp8, Epilogue::residual), 3);
    checkDense(makeSpec({200, 264, 100, 77}, fp8, Epilogue::residual), 77);
    checkDense(makeSpec({150, 140, 2, 1}, fp8, Epilogue::swiglu), 1);
  }
  checkDense(makeSpec({160, 200, 70, 67}, true, Epilogue::swigluQuantize), 67);
  for (auto [head, rotary] : {std::pair<int64_t, int64_t>{24, 8},
                              {192, 64},
                              {16, 16}}) {
    GemmSpec rope = makeSpec({3 * head, 136, 100, 90}, true, Epilogue::rope);
    rope.headDim = head;
    rope.ropeDim = rotary;
    rope.positions = 40;
    checkDense(rope, 90);
  }
}

// The weights of the first stages are on their way before the number of rows is
// known: a launch without rows waits for them and writes nothing.
TEST(Sm90Gemm, aLaunchWithoutRows) {
  checkDense(makeSpec({200, 1000, 16, 0}, true), 0);
  checkDense(makeSpec({72, 64, 4, 0}, false), 0);
}

// N and K as in DeepSeek-V3, few rows and experts, in tiles of 64 rows.
TEST(Sm90GemmV3, qaAndKva) {
  GemmSpec spec = makeSpec({2112, 7168, 64, 2}, true);
  spec.segmentRows = 1536;
  checkDense(spec, 2);
}

TEST(Sm90GemmV3, router) {
  GemmSpec spec = makeSpec({256, 7168, 64, 3}, false);
  spec.f32Output = true;
  checkDense(spec, 3);
}

TEST(Sm90Gemm, segmentsWithARaggedLastBlock) {
  GemmSpec spec = makeSpec({384 + 64 + 8, 256, 16, 16}, true);
  spec.segmentRows = 384;
  checkDense(spec, 16);
}

// A row alone and in a batch of the same bucket is bit-equal, whatever the
// padding rows hold.
TEST(Sm90Gemm, paddingRowsChangeNothing) {
  GemmSpec spec = makeSpec({72, 200, 64, 64}, true, Epilogue::swigluQuantize);
  Random random(7);
  Buffer x = random.matrix(Format::fp8, 64, spec.k), other = x;
  Buffer w = random.matrix(Format::fp8, spec.n, spec.k, 128, 0.1);
  for (int64_t m = 1; m < 64; ++m)
    for (int64_t c = 0; c < spec.k; ++c)
      other.setCode(m, c, 0x7F);
  Executable kernel(builderOf(spec), Mode::loops);
  std::string first[2];
  for (int alone : {0, 1}) {
    Buffer y(Format::fp8, 64, spec.n);
    std::vector<int32_t> sizes = makeSizes(alone ? 1 : 64);
    kernel.run(Slots()
                   .view(alone ? other : x, {64})
                   .view(w)
                   .view(w)
                   .view(y, {64})
                   .sizes(sizes),
               64);
    first[alone] = y.rowBytes(0);
  }
  EXPECT_EQ(first[0], first[1]);
}

TEST(Sm90Gemm, groupedByExperts) {
  GemmSpec gateUp =
      makeSpec({256, 136, 70, 70}, true, Epilogue::swigluQuantize);
  gateUp.gather = true;
  checkGrouped(gateUp, {3, 0, 70, 1});
  gateUp.scaleFormat = ScaleFormat::ue8m0;
  checkGrouped(gateUp, {0, 33, 0, 2});
  GemmSpec plain = makeSpec({40, 72, 32, 32}, false, Epilogue::swiglu);
  plain.gather = true;
  checkGrouped(plain, {17, 1, 0});
  checkGrouped(makeSpec({72, 150, 4, 4}, true), {4, 0, 2});
  checkGrouped(makeSpec({72, 150, 300, 300}, false), {65, 0, 2});
}

// Parts of whole steps that end before K does, in every order of arrival: both
// policies run two launches, each in an order of its own. Sixteen rows or less
// leave most of the state unwritten.
TEST(Sm90GemmSplit, dense) {
  auto check = [](GemmSpec spec, int64_t tokens, int64_t split) {
    checkDense(spec, tokens, splitBy(spec, split));
  };
  check(makeSpec({40, 72, 1, 1}, true), 1, 4); // one step: nothing to split
  check(makeSpec({136, 130, 16, 9}, true), 9, 2);
  check(makeSpec({136, 130, 40, 9}, true), 9, 2);
  check(makeSpec({200, 1000, 70, 65}, true), 65, 3);
  check(makeSpec({65, 1400, 3, 2}, true), 2, 11);
  check(makeSpec({200, 1000, 16, 0}, true), 0, 3);
  check(makeSpec({65, 400, 16, 16}, false), 16, 3);
  check(makeSpec({129, 320, 160, 131}, false), 131, 2);
  GemmSpec router = makeSpec({16, 512, 40, 3}, false);
  router.f32Output = true;
  check(router, 3, 8);
}

TEST(Sm90GemmSplit, epilogues) {
  auto check = [](GemmSpec spec, int64_t tokens, int64_t split) {
    checkDense(spec, tokens, splitBy(spec, split));
  };
  for (int64_t rows : {4, 60})
    for (bool fp8 : {true, false}) {
      check(makeSpec({72, 300, rows, 3}, fp8, Epilogue::residual), 3, 2);
      check(makeSpec({150, 400, rows, 1}, fp8, Epilogue::swiglu), 1, 3);
    }
  check(makeSpec({160, 640, 70, 67}, true, Epilogue::swigluQuantize), 67, 5);
  check(makeSpec({160, 640, 16, 12}, true, Epilogue::swigluQuantize), 12, 5);
  for (int64_t rows : {12, 100}) {
    GemmSpec rope = makeSpec({2 * 192, 392, rows, 90}, true, Epilogue::rope);
    rope.headDim = 192;
    rope.ropeDim = 64;
    rope.positions = 40;
    check(rope, rows - 3, 4);
  }
}

// No part of an expert without rows comes: its ticket stays as it was.
TEST(Sm90GemmSplit, groupedByExperts) {
  auto check = [](GemmSpec spec, std::vector<int> counts, int64_t split) {
    spec.experts = counts.size();
    checkGrouped(spec, counts, splitBy(spec, split));
  };
  for (int rows : {20, 70}) {
    GemmSpec gateUp =
        makeSpec({256, 392, rows, rows}, true, Epilogue::swigluQuantize);
    gateUp.gather = true;
    check(gateUp, {3, 0, rows, 1}, 4);
  }
  check(makeSpec({72, 300, 4, 4}, true), {4, 0, 2}, 3);
  check(makeSpec({72, 150, 300, 300}, false), {65, 0, 2}, 2);
}

TEST(Sm90GemmV3, experts) {
  GemmSpec gateUp = makeSpec({2048, 7168, 64, 4}, true,
                             Epilogue::swigluQuantize);
  gateUp.gather = true;
  checkGrouped(gateUp, {1, 2});
  checkGrouped(makeSpec({7168, 2048, 64, 4}, true), {1, 2});
}

struct AbsorbCase {
  int64_t heads, nope, rope, value, latent, rows, tokens;
  bool quantize = false;
};

void checkAbsorb(AbsorbCase c) {
  SCOPED_TRACE(c.latent);
  Random random(c.latent + c.rows);
  int64_t headRows = c.nope + c.value, head = c.nope + c.rope;
  Buffer w = random.matrix(Format::bf16, c.heads * headRows, c.latent, 128,
                           0.2),
         q = random.matrix(Format::bf16, c.rows, c.heads * head),
         qLat(Format::bf16, c.rows, c.heads * (c.latent + c.rope)),
         oLat = random.matrix(Format::bf16, c.rows, c.heads * c.latent),
         o(c.quantize ? Format::fp8 : Format::bf16, c.rows, c.heads * c.value);
  std::vector<int32_t> sizes = makeSizes(c.tokens);
  Common common;
  AbsorbQSpec qSpec{common,  c.heads,  c.nope, c.rope,
                    c.value, c.latent, c.rows, Weight::bf16};
  AbsorbVSpec vSpec{common,   c.heads, c.nope,       c.value,
                    c.latent, c.rows,  Weight::bf16, c.quantize};
  Executable(builderOf(qSpec), Mode::loops)
      .run(Slots().view(q, {c.rows}).view(w).view(qLat, {c.rows}).sizes(sizes),
           c.rows);
  Executable(builderOf(vSpec), Mode::loops)
      .run(Slots().view(oLat, {c.rows}).view(w).view(o, {c.rows}).sizes(sizes),
           c.rows);
  Comparison absorbed, expanded;
  for (int64_t m = 0; m < c.tokens; ++m)
    for (int64_t h = 0; h < c.heads; ++h) {
      for (int64_t i = 0; i < c.latent; ++i) {
        double sum = 0;
        for (int64_t d = 0; d < c.nope; ++d)
          sum += q.at(m, h * head + d) * w.at(h * headRows + d, i);
        absorbed.add(qLat.at(m, h * (c.latent + c.rope) + i), sum);
      }
      for (int64_t i = 0; i < c.rope; ++i)
        EXPECT_EQ(qLat.at(m, h * (c.latent + c.rope) + c.latent + i),
                  q.at(m, h * head + c.nope + i));
      Row values, latent = rowOf(oLat, m, h * c.latent, (h + 1) * c.latent);
      for (int64_t d = 0; d < c.value; ++d)
        values.push_back(dotRow(latent, w, h * headRows + c.nope + d));
      if (c.quantize)
        values = quantizeDequantize(values, ScaleFormat::f32);
      for (int64_t d = 0; d < c.value; ++d)
        expanded.add(o.at(m, h * c.value + d), values[d]);
    }
  HADAL_EXPECT_CLOSE(absorbed, toleranceOf(Act::bf16));
  HADAL_EXPECT_CLOSE(expanded, c.quantize ? (Tolerance{1e-5, 1.0 / 8})
                                          : toleranceOf(Act::bf16));
  if (c.tokens < c.rows) {
    EXPECT_TRUE(qLat.untouched(c.tokens) && o.untouched(c.tokens));
  }
  EXPECT_TRUE(qLat.guardIntact() && o.guardIntact());
}

TEST(Sm90Absorb, eachHalfOfWkvB) {
  checkAbsorb({2, 128, 64, 128, 256, 1, 1, true});
  checkAbsorb({3, 48, 16, 56, 144, 16, 11});
  checkAbsorb({2, 32, 8, 16, 64, 100, 70});
  checkAbsorb({2, 128, 64, 128, 512, 4, 3, true});
}

} // namespace
} // namespace hadal::kernels::test
