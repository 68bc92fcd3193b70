// The two spellings of a checkpoint's tensor names.
#pragma once
#include "frontend/Checkpoint.h"

namespace hadal {

/// The names in a checkpoint of the tensors that the Hugging Face classes name:
/// the same, or those of DeepSeek's inference/convert.py (model-spec 4.2), told
/// apart by the name of the embedding.
class TensorNames {
public:
  /// Of |checkpoint|; the Hugging Face names where it is null. |prefix| is what
  /// they begin with in a multi-modal model; a checkpoint of the text model
  /// alone has none.
  TensorNames(const Checkpoint *checkpoint, llvm::StringRef prefix);

  /// "model.layers.3.mlp.experts.{e}.gate_proj.weight_scale_inv" ->
  /// "layers.3.ffn.experts.{e}.w1.scale", or the name itself.
  std::string operator()(llvm::StringRef name) const;
  bool areConverted() const { return converted; }

private:
  bool converted;
  std::string prefix;
};

} // namespace hadal
