// ModelConfig -> dsv3 IR.
#pragma once
#include "frontend/Checkpoint.h"
#include "frontend/ModelConfig.h"
#include "mlir/IR/BuiltinOps.h"
#include "mlir/IR/OwningOpRef.h"

namespace hadal {

/// What the frontend needs to know besides the model.
struct ImportOptions {
  int64_t maxSeqLen = 4096; ///< positions of the rotary table
  int64_t maxBatchSize = 16;
  int64_t pageSize = 64;       ///< tokens per page of the latent cache
  bool f32Activations = false; ///< element type A: f32, else bf16
  /// Matrices in float32 are rounded to bf16 when they are loaded, for a target
  /// whose matrix units take no float32.
  bool roundF32Matrices = false;
};

/// Builds the module: parameters, states, one private function per layer
/// (@layer_0, ...), @forward and @head. Weight dtypes come from |checkpoint|
/// where given, else from the configuration. Needs the dsv3 and func dialects
/// loaded. H1010 for a dtype that no kernel reads.
llvm::Expected<mlir::OwningOpRef<mlir::ModuleOp>>
importModel(mlir::MLIRContext *context, const ModelConfig &config,
            const ImportOptions &options, const Checkpoint *checkpoint);

/// Compares every tensor of |checkpoint| with the parameters of |module|:
/// missing (H1007), extra (H1008), mis-shaped (H1009), of another dtype
/// (H1010), scale-less (H1011), twice in files whose index names neither
/// (H1006). Tensors of parts that this graph leaves out (MTP layers at any
/// depth, rotary inv_freq) and those that the index does not name are counted
/// in |skipped|, one line for all of them, empty if there are none.
llvm::Error checkCheckpoint(mlir::ModuleOp module, const ModelConfig &config,
                            const Checkpoint &checkpoint, std::string &skipped);

} // namespace hadal
