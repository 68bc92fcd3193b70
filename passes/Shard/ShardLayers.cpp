#include "dialects/Diagnostics.h"
#include "passes/Shard/Sharding.h"

namespace hadal {
#define GEN_PASS_DEF_SHARDLAYERS
#include "passes/Shard/Passes.h.inc"
} // namespace hadal

using namespace hadal;
using namespace hadal::dsv3;
using namespace mlir;

namespace {

struct ShardLayersPass : hadal::impl::ShardLayersBase<ShardLayersPass> {
  using Base::Base;

  void runOnOperation() override {
    ModuleOp module = getOperation();
    MeshAttr mesh = getMesh(module);
    if (vocab != "whole" && vocab != "tp") {
      emitCodedError(module, 2002)
          << "vocab must be whole or tp, got '" << vocab << "'";
      return signalPassFailure();
    }
    if (reduce != "bf16" && reduce != "f32") {
      emitCodedError(module, 2002)
          << "reduce must be bf16 or f32, got '" << reduce << "'";
      return signalPassFailure();
    }
    if (!mesh)
      return;
    if (mesh.getTp() > 1 &&
        failed(shard::shardTensors(
            module, mesh,
            {.splitsVocabulary = vocab == "tp", .sumsInF32 = reduce == "f32"})))
      return signalPassFailure();
    if (mesh.getEp() > 1 && failed(shard::shardExperts(module, mesh)))
      signalPassFailure();
  }
};

} // namespace
