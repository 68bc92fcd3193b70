// The order of the passes over dsv3.
#include "mlir/Pass/PassRegistry.h"
#include "passes/Absorb/Passes.h"
#include "passes/Dsv3/Passes.h"
#include "passes/Fuse/Passes.h"
#include "passes/Quantize/Passes.h"
#include "passes/Shard/Passes.h"

using namespace hadal;
using namespace mlir;

namespace hadal {
#define GEN_PASS_REGISTRATION
#include "passes/Dsv3/Passes.h.inc"
} // namespace hadal

void hadal::buildDsv3Pipeline(OpPassManager &pm,
                              const Dsv3PipelineOptions &options) {
  pm.addPass(createVerifyDsv3({.stage = "model"}));
  pm.addPass(createDeduplicateLayers());
  InstantiateBucketsOptions buckets;
  buckets.maxBatchSize = options.maxBatchSize;
  buckets.decode.assign(options.decode.begin(), options.decode.end());
  buckets.prefill.assign(options.prefill.begin(), options.prefill.end());
  buckets.head.assign(options.head.begin(), options.head.end());
  buckets.capacity = options.capacity;
  pm.addPass(createInstantiateBuckets(buckets));
  pm.addPass(
      createShardLayers({.vocab = options.vocab, .reduce = options.reduce}));
  pm.addPass(createElideCollectives());
  pm.addPass(createVerifyDsv3({.stage = "sharded"}));
  pm.addPass(createAbsorbWkvB());
  pm.addPass(createSelectAttentionForm({.attention = options.attention}));
  pm.addPass(createMaterializeTileQuantization({.fp8 = options.fp8}));
  pm.nest<func::FuncOp>().addPass(createQuantizeBeforeExchange());
  pm.nest<func::FuncOp>().addPass(createElideRequantize());
  buildFusion(pm);
  pm.nest<func::FuncOp>().addPass(createExpandExchange());
  pm.addPass(createVerifyDsv3({.stage = "sharded"}));
}

void hadal::buildFusion(OpPassManager &pm) {
  OpPassManager &func = pm.nest<func::FuncOp>();
  func.addPass(createFuseLatentCache());
  func.addPass(createFuseNormQuant());
  func.addPass(createFuseGatedLinear());
  func.addPass(createFuseMoeCombine());
  func.addPass(createFuseLinearEpilogue());
  func.addPass(createFuseAttentionQuant());
  pm.addPass(createVerifyDsv3({.stage = "fused"}));
}

void hadal::registerDsv3Passes() {
  registerHadalDsv3Passes();
  registerHadalAbsorbPasses();
  registerHadalQuantizePasses();
  registerHadalFusePasses();
  registerHadalShardPasses();
  PassPipelineRegistration<Dsv3PipelineOptions>("hadal-dsv3-pipeline",
                                                "frontend's dsv3 -> fused dsv3",
                                                buildDsv3Pipeline);
}
