// GEMMs with weights as the rows of wgmma and tokens as its columns (swap_ab).
#include "test/compiler/codegen/nvptx/GemmChecks.h"

namespace hadal::kernels::test {
namespace {

/// Tiles of |bm| tokens and |bn| weights.
schedule::Words swapped(const GemmSpec &spec, int64_t bm, int64_t bn = 128) {
  return {{"bm", bm},
          {"bn", spec.epilogue == Epilogue::rope ? spec.headDim : bn},
          {"swap_ab", true}};
}

void checkSwapped(const GemmSpec &spec, int64_t tokens, int64_t bm,
                  int64_t bn = 128) {
  SCOPED_TRACE(bm);
  checkDense(spec, tokens, swapped(spec, bm, bn));
}

TEST(Sm90SwapAb, fp8AndRaggedShapes) {
  checkSwapped(makeSpec({128, 128, 8, 8}, true), 8, 8);
  checkSwapped(makeSpec({40, 72, 1, 1}, true), 1, 8);
  checkSwapped(makeSpec({200, 1000, 17, 17}, true), 17, 24);
  checkSwapped(makeSpec({136, 130, 40, 33}, true), 33, 16);
  checkSwapped(makeSpec({65, 640, 3, 2}, true), 2, 8, 64);
  checkSwapped(makeSpec({576, 264, 33, 33}, true), 33, 40);
  checkSwapped(makeSpec({192, 256, 64, 64}, true), 64, 64);
}

TEST(Sm90SwapAb, bf16AndF32Results) {
  checkSwapped(makeSpec({128, 64, 8, 8}, false), 8, 8);
  checkSwapped(makeSpec({65, 100, 16, 9}, false), 9, 16);
  GemmSpec router = makeSpec({16, 200, 4, 3}, false);
  router.f32Output = true;
  checkSwapped(router, 3, 8);
  GemmSpec head = makeSpec({70, 64, 4, 2}, false);
  head.f32Output = true;
  head.logitRows = true;
  checkSwapped(head, 2, 32);
}

TEST(Sm90SwapAb, epilogues) {
  for (bool fp8 : {true, false})
    for (int64_t bm : {8, 16, 32, 64}) {
      checkSwapped(makeSpec({72, 130, 4, 3}, fp8, Epilogue::residual), 3, bm);
      checkSwapped(makeSpec({150, 140, 2, 1}, fp8, Epilogue::swiglu), 1, bm);
    }
  checkSwapped(makeSpec({200, 264, 40, 33}, true, Epilogue::residual), 33, 24);
  for (int64_t bm : {8, 16, 24, 32, 48, 64})
    for (ScaleFormat format : {ScaleFormat::f32, ScaleFormat::ue8m0}) {
      GemmSpec spec =
          makeSpec({160, 200, 20, 17}, true, Epilogue::swigluQuantize);
      spec.scaleFormat = format;
      checkSwapped(spec, 17, bm);
    }
  for (auto [head, rotary] : {std::pair<int64_t, int64_t>{24, 8},
                              {192, 64},
                              {16, 16}})
    for (int64_t bm : {8, 16, 32}) {
      GemmSpec rope = makeSpec({3 * head, 136, 40, 33}, true, Epilogue::rope);
      rope.headDim = head;
      rope.ropeDim = rotary;
      rope.positions = 40;
      checkSwapped(rope, 33, bm);
    }
}

TEST(Sm90SwapAb, segmentsWithARaggedLastBlock) {
  GemmSpec spec = makeSpec({384 + 64 + 8, 256, 16, 16}, true);
  spec.segmentRows = 384;
  checkSwapped(spec, 16, 16);
  checkSwapped(spec, 16, 8, 64);
}

TEST(Sm90SwapAb, groupedByExperts) {
  GemmSpec gateUp =
      makeSpec({256, 136, 40, 40}, true, Epilogue::swigluQuantize);
  gateUp.gather = true;
  checkGrouped(gateUp, {3, 0, 40, 1}, swapped(gateUp, 16));
  gateUp.scaleFormat = ScaleFormat::ue8m0;
  checkGrouped(gateUp, {0, 33, 0, 2}, swapped(gateUp, 40));
  GemmSpec plain = makeSpec({40, 72, 32, 32}, false, Epilogue::swiglu);
  plain.gather = true;
  checkGrouped(plain, {17, 1, 0}, swapped(plain, 8));
  GemmSpec down = makeSpec({72, 150, 4, 4}, true);
  checkGrouped(down, {4, 0, 2}, swapped(down, 8));
  GemmSpec many = makeSpec({72, 150, 300, 300}, false);
  checkGrouped(many, {65, 0, 2}, swapped(many, 64, 64));
}

// Parts of K meet as transposed accumulators.
TEST(Sm90SwapAb, splitK) {
  for (Epilogue epilogue : {Epilogue::residual, Epilogue::swigluQuantize}) {
    GemmSpec spec = makeSpec({160, 900, 20, 17}, true, epilogue);
    for (auto [bm, bn] : {std::pair<int64_t, int64_t>{8, 128}, {24, 128},
                          {64, 128}}) {
      schedule::Words schedule = swapped(spec, bm, bn);
      schedule["split"] = int64_t(3);
      checkDense(spec, 17, schedule);
    }
  }
}

// A row alone and in a batch of the same bucket is bit-equal, whatever the
// padding rows hold.
TEST(Sm90SwapAb, paddingRowsChangeNothing) {
  for (Epilogue epilogue : {Epilogue::none, Epilogue::swigluQuantize}) {
    GemmSpec spec = makeSpec({72, 200, 16, 16}, true, epilogue);
    Random random(7);
    Buffer x = random.matrix(Format::fp8, 16, spec.k), other = x;
    Buffer w = random.matrix(Format::fp8, spec.n, spec.k, 128, 0.1);
    for (int64_t m = 1; m < 16; ++m)
      for (int64_t c = 0; c < spec.k; ++c)
        other.setCode(m, c, 0x7F);
    Executable kernel(builderOf(spec, swapped(spec, 16)), Mode::loops);
    bool gated = epilogue != Epilogue::none;
    std::string first[2];
    for (int alone : {0, 1}) {
      Buffer y(gated ? Format::fp8 : Format::bf16, 16, spec.n);
      std::vector<int32_t> sizes = makeSizes(alone ? 1 : 16);
      Slots slots;
      slots.view(alone ? other : x, {16}).view(w);
      if (gated)
        slots.view(w);
      kernel.run(slots.view(y, {16}).sizes(sizes), 16);
      first[alone] = y.rowBytes(0);
    }
    EXPECT_EQ(first[0], first[1]);
  }
}

// A schedule changes where a number is computed, not which: K is summed in the
// same steps, and a scale is the same product.
TEST(Sm90SwapAb, givesTheBitsOfRowsAsRows) {
  for (bool fp8 : {true, false}) {
    GemmSpec spec = makeSpec({200, 328, 16, 16}, fp8, Epilogue::swiglu);
    Format format = fp8 ? Format::fp8 : Format::bf16;
    Random random(11);
    Buffer x = random.matrix(format, 16, spec.k);
    Buffer w = random.matrix(format, spec.n, spec.k, 128, 0.05);
    Buffer up = random.matrix(format, spec.n, spec.k, 128, 0.05);
    schedule::Words rows = swapped(spec, 64);
    rows["swap_ab"] = false;
    std::string results[3];
    int i = 0;
    for (const schedule::Words &schedule :
         {rows, swapped(spec, 16), swapped(spec, 8, 64)}) {
      Buffer y(Format::bf16, 16, spec.n);
      std::vector<int32_t> sizes = makeSizes(13);
      Executable(builderOf(spec, schedule), Mode::loops)
          .run(Slots()
                   .view(x, {16})
                   .view(w)
                   .view(up)
                   .view(y, {16})
                   .sizes(sizes),
               16);
      for (int64_t m = 0; m < 13; ++m)
        results[i] += y.rowBytes(m);
      ++i;
    }
    EXPECT_EQ(results[0], results[1]);
    EXPECT_EQ(results[0], results[2]);
  }
}

// N and K as in DeepSeek-V3, few rows and experts.
TEST(Sm90SwapAbV3, qaAndKva) {
  GemmSpec spec = makeSpec({2112, 7168, 8, 2}, true);
  spec.segmentRows = 1536;
  checkSwapped(spec, 2, 8);
}

TEST(Sm90SwapAbV3, router) {
  GemmSpec spec = makeSpec({256, 7168, 4, 3}, false);
  spec.f32Output = true;
  checkSwapped(spec, 3, 8, 64);
}

TEST(Sm90SwapAbV3, queriesAndOutput) {
  GemmSpec rope = makeSpec({3 * 192, 1536, 32, 3}, true, Epilogue::rope);
  rope.headDim = 192;
  rope.ropeDim = 64;
  rope.positions = 40;
  checkSwapped(rope, 3, 32);
  checkSwapped(makeSpec({512, 16384, 32, 2}, true, Epilogue::residual), 2, 32);
}

TEST(Sm90SwapAbV3, experts) {
  GemmSpec gateUp = makeSpec({2048, 7168, 4, 4}, true,
                             Epilogue::swigluQuantize);
  gateUp.gather = true;
  checkGrouped(gateUp, {1, 2}, swapped(gateUp, 8));
  GemmSpec down = makeSpec({7168, 2048, 4, 4}, true);
  checkGrouped(down, {1, 2}, swapped(down, 8));
}

} // namespace
} // namespace hadal::kernels::test
