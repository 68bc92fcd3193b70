// The tile form of every kernel: verifies, prints losslessly, and is named
// after its spec. With HADAL_PRINT_KERNELS set the IR goes to stdout.
#include <cstdlib>

#include <gtest/gtest.h>

#include "V3Kernels.h"
#include "kernels/KernelNames.h"
#include "mlir/IR/BuiltinOps.h"
#include "mlir/IR/MLIRContext.h"
#include "mlir/IR/Verifier.h"
#include "mlir/Parser/Parser.h"
#include "schedule/GemmSchedule.h"

using namespace mlir;

namespace hadal::kernels {
namespace {

class KernelIr : public ::testing::Test {
protected:
  KernelIr() {
    context.loadDialect<tile::TileDialect>();
    module = ModuleOp::create(UnknownLoc::get(&context));
    builder.setInsertionPointToEnd(module->getBody());
  }

  std::string print() {
    std::string text;
    llvm::raw_string_ostream stream(text);
    module->print(stream);
    return text;
  }

  MLIRContext context;
  OwningOpRef<ModuleOp> module;
  OpBuilder builder{&context};
};

struct Mode {
  int64_t rows;
  Act act;
  Weight weight;
  bool quantize;
};

TEST_F(KernelIr, everyKernelVerifiesAndRoundTrips) {
  for (Mode mode : {Mode{1, Act::bf16, Weight::fp8, true},
                    Mode{1, Act::bf16, Weight::fp8, false},
                    Mode{64, Act::bf16, Weight::fp8, true},
                    Mode{512, Act::bf16, Weight::bf16, false},
                    Mode{7, Act::f32, Weight::f32, false}}) {
    module = ModuleOp::create(UnknownLoc::get(&context));
    builder.setInsertionPointToEnd(module->getBody());
    ASSERT_TRUE(test::buildV3Kernels(builder, mode.rows, mode.act, mode.weight,
                                     mode.quantize));
    ASSERT_TRUE(succeeded(verify(*module)));
    std::string text = print();
    if (std::getenv("HADAL_PRINT_KERNELS"))
      llvm::outs() << text;
    OwningOpRef<ModuleOp> parsed =
        parseSourceString<ModuleOp>(text, ParserConfig(&context));
    ASSERT_TRUE(parsed);
    std::string again;
    llvm::raw_string_ostream stream(again);
    parsed->print(stream);
    EXPECT_EQ(text, again);
  }
}

/// A GEMM's fold is what targets match: loads, a dot into each state, a yield;
/// zero inits; a combine that adds.
TEST_F(KernelIr, gemmFoldsArePureContractions) {
  ASSERT_TRUE(
      test::buildV3Kernels(builder, 64, Act::bf16, Weight::fp8, true));
  int folds = 0;
  for (auto kernel : module->getOps<tile::KernelOp>()) {
    if (!kernel.getSymName().starts_with("gemm"))
      continue;
    kernel.walk([&](tile::FoldOp fold) {
      ++folds;
      for (Operation &op : fold.getBody().front())
        EXPECT_TRUE(
            (isa<tile::LoadOp, tile::DotOp, tile::DotScaledOp, tile::YieldOp>(
                op)))
            << kernel.getSymName().str();
      for (Operation &op : fold.getCombine().front())
        EXPECT_TRUE((isa<arith::AddFOp, tile::YieldOp>(op)));
      for (Value init : fold.getInits()) {
        auto constant = init.getDefiningOp<arith::ConstantOp>();
        ASSERT_TRUE(constant);
        EXPECT_TRUE(cast<DenseElementsAttr>(constant.getValue())
                        .getSplatValue<APFloat>()
                        .isPosZero());
      }
    });
  }
  EXPECT_EQ(folds, 6);
}

TEST_F(KernelIr, namesDifferWhereSpecsDo) {
  NormQuantSpec a{{}, 64}, b = a;
  EXPECT_EQ(kernelName(a), kernelName(b));
  b.eps = 1e-5;
  EXPECT_NE(kernelName(a), kernelName(b));
  b = a;
  b.scaleFormat = ScaleFormat::ue8m0;
  EXPECT_NE(kernelName(a), kernelName(b));
  b = a;
  b.act = Act::f32;
  EXPECT_NE(kernelName(a), kernelName(b));
  GemmSpec g{{}, 64, 64, 1}, h = g;
  h.rows = 4;
  EXPECT_NE(kernelName(g), kernelName(h));
}

/// A name holds the whole spec: parsed and named again it is the same.
TEST_F(KernelIr, namesParseBack) {
  for (Act act : {Act::bf16, Act::f32})
    for (Weight weight : {Weight::fp8, Weight::bf16})
      for (int64_t rows : {1, 64})
        ASSERT_TRUE(test::buildV3Kernels(builder, rows, act, weight,
                                         weight == Weight::fp8));
  int names = 0;
  for (auto kernel : module->getOps<tile::KernelOp>()) {
    StringRef name = kernel.getSymName();
    std::optional<AnySpec> spec = parseKernelName(name.str());
    ASSERT_TRUE(spec) << name.str();
    EXPECT_EQ(std::visit([](const auto &s) { return kernelName(s); }, *spec),
              name.str());
    ++names;
  }
  EXPECT_GT(names, 60);
  MlaDecodeSpec split{{}, 128, 512, 64, 64, 1, 0.1};
  EXPECT_EQ(kernelName(split).find("split"), std::string::npos);
  split.chunk = 256;
  split.split = 16;
  std::optional<AnySpec> parsed = parseKernelName(kernelName(split));
  ASSERT_TRUE(parsed);
  EXPECT_EQ(std::get<MlaDecodeSpec>(*parsed).chunk, 256);
  EXPECT_EQ(std::get<MlaDecodeSpec>(*parsed).split, 16);
  EXPECT_EQ(std::get<MlaDecodeSpec>(*parsed).maxQueries, 1);
  EXPECT_EQ(kernelName(std::get<MlaDecodeSpec>(*parsed)), kernelName(split));
  for (StringRef bad :
       {"", "gemm", "gemm_bf16", "add_bf16_w", "add_bf16_w12_w13",
        "add_w12", "gemm_bf16_plain_wfp8_n64_k64_r1_colour",
        "matmul_bf16_plain_wfp8_n64_k64_r1"})
    EXPECT_FALSE(parseKernelName(bad.str())) << bad.str();
}

TEST_F(KernelIr, refusesSpecsByName) {
  std::string message;
  ScopedDiagnosticHandler handler(&context, [&](Diagnostic &diagnostic) {
    message = diagnostic.str();
    return success();
  });
  Location loc = UnknownLoc::get(&context);
  AbsorbVSpec spec{{}, 2, 16, 24, 32, 1};
  spec.quantize = true;
  EXPECT_FALSE(buildAbsorbV(builder, loc, "absorb", spec));
  EXPECT_EQ(message, "kernel 'absorb': quantises heads of whole groups of 128 "
                     "only");
  GemmSpec gemm{{}, 64, 64, 1};
  gemm.weight = Weight::bf16;
  gemm.quantizedInput = true;
  EXPECT_FALSE(buildGemm(builder, loc, "g", gemm));
  EXPECT_EQ(message, "kernel 'g': a quantised input needs an FP8 weight");
  GateTopkSpec gate{{}, 16, 9, 4, 2};
  EXPECT_FALSE(buildGateTopk(builder, loc, "gate", gate));
  EXPECT_EQ(message, "kernel 'gate': the kept groups hold fewer experts than "
                     "are chosen");
}

TEST(GemmSchedule, isLegalForEveryShape) {
  for (int64_t rows : {1, 2, 4, 5, 8, 16, 64, 512})
    for (int64_t n : {24, 160, 256, 2112, 24576})
      for (int64_t segment : {0, 96, 128, 1536}) {
        GemmSpec spec{{}, n, 200, rows};
        spec.segmentRows = segment;
        schedule::GemmSchedule s = schedule::pickGemmSchedule(spec);
        EXPECT_GT(s.bm, 0);
        EXPECT_GT(s.bn, 0);
        EXPECT_EQ(s.bk, 128);
        EXPECT_EQ(s.bm == 1, rows == 1);
        if (segment) {
          EXPECT_EQ(segment % s.bn, 0);
        }
      }
  GemmSpec rope{{}, 24576, 1536, 1};
  rope.epilogue = Epilogue::rope;
  rope.headDim = 192;
  EXPECT_EQ(schedule::pickGemmSchedule(rope).bn, 192);
}

TEST(GemmSchedule, swapsOperandsForFewTokensOfSm90a) {
  for (int64_t rows : {1, 8, 9, 32, 33, 64, 512})
    for (Target target : {Target::cpu, Target::sm90a})
      for (int64_t head : {0, 24, 192, 320}) {
        GemmSpec spec{{}, 1920, 512, rows};
        spec.target = target;
        if (head) {
          spec.epilogue = Epilogue::rope;
          spec.headDim = head;
        }
        schedule::GemmSchedule s = schedule::pickGemmSchedule(spec);
        bool swaps = target == Target::sm90a && rows <= 32 &&
                     (head == 0 || head == 192);
        EXPECT_EQ(s.swapAb, swaps) << rows << " rows, heads of " << head;
        if (swaps) {
          EXPECT_EQ(s.bm % 8, 0);
          EXPECT_GE(s.bm, rows);
          EXPECT_LT(s.bm, rows + 8);
        }
      }
}

} // namespace
} // namespace hadal::kernels
