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
  bool deterministic = false;  ///< dsv3::kDeterministic
  /// Most tokens that a layer of multi-token prediction drafts; 0: the layer is
  /// left out.
  int64_t maxDrafts = 0;
  /// Matrices in float32 are rounded to bf16 when they are loaded, for a target
  /// whose matrix units take no float32.
  bool roundF32Matrices = false;
};

/// Builds the module: parameters, states, one private function per layer
/// (@layer_0, ...), @forward and @head; with |maxDrafts| also @draft, which runs
/// the layer of multi-token prediction over rows of the hidden state, @draft_head,
/// and for more than one draft @draft_next, which runs it over its own. Weight
/// dtypes come from |checkpoint|
/// where given, else from the configuration. Needs the dsv3 and func dialects
/// loaded. H1010 for a dtype that no kernel reads, H1005 for a length beyond
/// which the model needs an indexer (checkMaxSeqLen) and for |maxDrafts| of a model
/// that has no such layer or several, H2003 for sizes that no
/// machine holds (checkSizes).
llvm::Expected<mlir::OwningOpRef<mlir::ModuleOp>>
importModel(mlir::MLIRContext *context, const ModelConfig &config,
            const ImportOptions &options, const Checkpoint *checkpoint);

/// Refuses a model whose weights, cache, rotary table or activations would take
/// more than 2^56 bytes (H2003), so that no size that is computed later wraps.
llvm::Error checkSizes(const ModelConfig &config, const ImportOptions &options);

/// Compares every tensor of |checkpoint| with the parameters of |module|:
/// missing (H1007), extra (H1008), mis-shaped (H1009), of another dtype
/// (H1010), scale-less (H1011), twice in files whose index names neither
/// (H1006). Tensors of parts that this graph leaves out (MTP layers at any
/// depth, rotary inv_freq, indexers) and those that the index does not name are
/// counted in |skipped|, one line for all of them, empty if there are none.
/// Those of an indexer must be there in each layer that has one (H1007), and in
/// no other (H1008).
llvm::Error checkCheckpoint(mlir::ModuleOp module, const ModelConfig &config,
                            const Checkpoint &checkpoint, std::string &skipped);

} // namespace hadal
