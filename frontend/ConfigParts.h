// The parts of parseModelConfig, one file each.
#pragma once
#include "frontend/ConfigFields.h"
#include "frontend/ModelConfig.h"
#include "frontend/ModelFamily.h"

namespace hadal {

/// Fills ropeTheta and yarn. Two spellings of one value must agree (H1004).
void parseRope(ConfigFields &f, ModelConfig &c, FirstError &error);

/// Fills weights, ue8m0Activations and unpackedModules, from
/// `quantization_config` and the dtype. Other quantisations are refused by field and value (H1005).
void parseQuantization(ConfigFields &f, ModelConfig &c, FirstError &error);

/// Refuses what |directory|/hf_quant_config.json announces (H1005); the file
/// stands for a quantization_config in some checkpoints. None: success.
llvm::Error checkHfQuantConfig(llvm::StringRef directory);

/// Fills the router and which layers have one; needs |c|.layers.
void parseExperts(ConfigFields &f, ModelConfig &c, const ModelFamily &family);

/// Fills indexTopk and fullIndexers.
void parseIndexer(ConfigFields &f, ModelConfig &c, const ModelFamily &family);

} // namespace hadal
