// The split that a GEMM gets from the chip's numbers, at the widths of
// DeepSeek-V3.
#include <gtest/gtest.h>

#include "compiler/codegen/nvptx/Sm90Kernels.h"
#include "kernels/ScheduledKernel.h"
#include "kernels/SpecText.h"
#include "cost/Chip.h"
#include "cost/Contraction.h"
#include "test/lib/KernelRunner.h"

namespace hadal::nvptx {
namespace {

using kernels::Epilogue;
using kernels::GemmSpec;
using kernels::Weight;
using cost::FoldWork;
using cost::stepsOfPart;

GemmSpec gemm(int64_t n, int64_t k, int64_t rows) {
  GemmSpec spec;
  spec.n = n;
  spec.k = k;
  spec.rows = rows;
  spec.quantizedInput = true;
  return spec;
}

Sm90Kernel compile(const GemmSpec &spec) {
  mlir::DialectRegistry registry;
  hadal::test::registerKernelDialects(registry);
  mlir::MLIRContext context(registry, mlir::MLIRContext::Threading::DISABLED);
  context.loadAllAvailableDialects();
  mlir::OpBuilder builder(&context);
  mlir::OwningOpRef<mlir::ModuleOp> module =
      mlir::ModuleOp::create(builder.getUnknownLoc());
  builder.setInsertionPointToEnd(module->getBody());
  tile::KernelOp kernel = kernels::buildScheduled(
      builder, builder.getUnknownLoc(), symbolFor(spec), spec,
      schedule::Target::sm90a, &allChips().front());
  mlir::FailureOr<Sm90Kernel> compiled =
      compileKernel(kernel, allChips().front());
  EXPECT_TRUE(mlir::succeeded(compiled));
  return mlir::succeeded(compiled) ? *compiled : Sm90Kernel();
}

// Few tiles of a long K fill the chip once: each CTA of the 132 has a part.
TEST(SplitCost, fewTilesFillTheChip) {
  for (int64_t rows : {1, 16, 64}) {
    unsigned parts = compile(gemm(2112, 7168, rows)).ctasPerItem;
    EXPECT_GE(17 * parts, 51u) << rows;
    EXPECT_LE(17 * parts, 132u) << rows;
  }
  // K of 16384 outweighs the meeting of half as many.
  EXPECT_GE(compile(gemm(7168, 16384, 1)).ctasPerItem, 2u);
  // 1010 tiles of the head, or K of 512: nothing to gain.
  GemmSpec head = gemm(129280, 7168, 16);
  head.weight = Weight::bf16;
  head.quantizedInput = false;
  head.f32Output = true;
  EXPECT_EQ(compile(head).ctasPerItem, 1u);
  EXPECT_EQ(compile(gemm(32768, 512, 16)).ctasPerItem, 1u);
  // Prefill has tiles enough.
  EXPECT_EQ(compile(gemm(7168, 2048, 4096)).ctasPerItem, 1u);
}

// The workspace has a ticket and a state of each part; without a split none.
TEST(SplitCost, workspace) {
  for (unsigned rows : {16, 64}) {
    Sm90Kernel split = compile(gemm(2112, 7168, rows));
    EXPECT_EQ(split.workspacePerItem,
              128 + split.ctasPerItem * rows * 128 * 4u);
  }
  EXPECT_FALSE(compile(gemm(32768, 512, 16)).usesWorkspace());
}

TEST(SplitCost, partsHaveSteps) {
  for (int64_t steps = 1; steps < 70; ++steps)
    for (int64_t split = 1; split <= steps; ++split) {
      int64_t length = stepsOfPart(steps, split);
      int64_t parts = (steps + length - 1) / length;
      EXPECT_LE(parts, split);
      EXPECT_GT(steps, (parts - 1) * length);
    }
}

// More states to meet cost more; with nothing to stream no split helps.
TEST(SplitCost, meetingHasItsPrice) {
  const Chip &chip = allChips().front();
  FoldWork work = {};
  work.items = 17;
  work.ctasPerMultiprocessor = 1;
  work.steps = 56;
  work.parameterBytesPerStep = 16384;
  work.activationBytesPerStep = 8192;
  work.flopsPerStep = 2.0 * 64 * 128 * 128;
  work.flopRate = chip.fp8Rate;
  work.stateSize = 32768;
  work.stateBytes = 512;
  int64_t cheap = pickSplit(cost::modelOf(chip), work);
  work.stateBytes = 256 * 1024;
  EXPECT_LT(pickSplit(cost::modelOf(chip), work), cheap);
  work.parameterBytesPerStep = 64;
  work.activationBytesPerStep = 0;
  work.flopsPerStep = 0;
  EXPECT_EQ(pickSplit(cost::modelOf(chip), work), 1);
  // What would not stay in L2 is not taken.
  work.parameterBytesPerStep = 16384;
  work.stateBytes = 512;
  work.stateSize = chip.l2Bytes;
  EXPECT_EQ(pickSplit(cost::modelOf(chip), work), 1);
}

} // namespace
} // namespace hadal::nvptx
