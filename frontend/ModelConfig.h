// What a model's config.json says, in one spelling, with every derived number.
#pragma once
#include "llvm/ADT/SmallVector.h"
#include "llvm/Support/Error.h"
#include "llvm/Support/JSON.h"
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace hadal {

/// Storage of the linear layers' weights as the configuration announces it; the
/// file headers, where present, have the last word per tensor.
enum class WeightFormat {
  BF16,
  F32,
  FP8, ///< e4m3 codes, a scale for 128x128
  INT4 ///< codes of four bits, a scale for kPackedGroup of a row; others BF16
};

/// Columns of a row of four-bit codes that share a scale.
inline constexpr int64_t kPackedGroup = 32;

/// Length extension of the rotary embedding (model-spec 2.8, in the semantics
/// of the HF implementation).
struct YarnConfig {
  double factor = 1;
  double betaFast = 32, betaSlow = 1;
  /// Absent, or zero, means "not given" as in the HF code.
  double mscale = 0, mscaleAllDim = 0;
  std::optional<double> attentionFactor;
  int64_t originalLength = 4096;
  bool truncate = true;

  /// Factor of cos and sin.
  double rotationScale() const;
  /// Whether two spellings describe the same embedding: 40 and 40.0, defaults
  /// written out.
  bool meansTheSame(const YarnConfig &other) const;
};

/// A model of the family. Names as in model-spec; all widths in elements.
struct ModelConfig {
  std::string modelType;
  int64_t vocab = 0, hidden = 0, layers = 0;
  int64_t intermediate = 0; ///< dense FFN width
  int64_t denseLayers = 0;  ///< leading dense layers
  int64_t moeLayerFreq = 1; ///< every n-th layer after them is MoE

  // Attention.
  int64_t heads = 0;
  int64_t qLoraRank = 0;  ///< 0: direct q_proj
  int64_t kvLoraRank = 0; ///< latent width C
  int64_t nope = 0, rope = 0, value = 0;
  /// Tokens up to which a model with a sparse attention indexer attends to
  /// every token, so that it is dense attention; 0: it has no indexer.
  int64_t indexTopk = 0;
  /// With an indexer, for each layer: whether it has one of its own. The others
  /// have no indexer tensors and take the selection of the layer before.
  std::vector<bool> fullIndexers;

  // Mixture of experts; experts == 0: dense only.
  int64_t experts = 0, sharedExperts = 0, topK = 0, moeIntermediate = 0;
  int64_t groups = 1, topGroups = 1;
  bool sigmoid = false;    ///< else softmax
  bool routerBias = false; ///< e_score_correction_bias exists
  bool groupTop2 = false;  ///< group score: sum of its two best, else max
  bool renormalize = false;
  double routeScale = 1;

  // Rotary embedding.
  double ropeTheta = 10000;
  std::optional<YarnConfig> yarn;

  double normEps = 1e-6;
  /// The q_a and kv_a norms do not follow rms_norm_eps (model-spec 2.2).
  double innerNormEps = 1e-6;

  WeightFormat weights = WeightFormat::BF16;
  /// Of INT4: names of modules that stay as they are, or "re:" and a regular
  /// expression that a name of one begins with.
  std::vector<std::string> unpackedModules;
  bool ue8m0Activations = false; ///< scale_fmt of dynamic activation scales
  bool tiedEmbeddings = false;
  int64_t mtpLayers = 0; ///< announced, stored after the main layers
  int64_t bosToken = -1;
  std::vector<int64_t> eosTokens;
  /// Of a model inside a multi-modal one: what the names of its tensors begin
  /// with, what those of the parts that are left out begin with, and the token
  /// that stands for their input; -1: none.
  std::string tensorPrefix;
  std::vector<std::string> leftOutPrefixes;
  int64_t mediaToken = -1;

  /// One line each: unknown keys that were allowed.
  std::vector<std::string> warnings;

  /// True for a layer whose FFN is a mixture of experts.
  bool isMoe(int64_t layer) const {
    return experts > 0 && layer >= denseLayers && layer % moeLayerFreq == 0;
  }
  int64_t numMoeLayers() const;
  /// Whether |module|, "model.layers.1.mlp.experts.0.gate_proj", has codes of
  /// four bits.
  bool isPacked(llvm::StringRef module) const;
  /// Width of a query and key head.
  int64_t headWidth() const { return nope + rope; }
  /// First and last rotary pair of the YaRN ramp; needs |yarn|.
  std::pair<double, double> yarnRange() const;
  /// float32 inverse frequency of each rotary pair, YaRN applied (2.7, 2.8).
  std::vector<float> invFreq() const;
  /// Factor of cos and sin (attention_factor); 1 for every published model.
  double ropeScale() const;
  /// Factor of the scores before the softmax (2.8).
  double softmaxScale() const;
};

struct FirstError;

/// How strictly a configuration is read.
struct ConfigOptions {
  /// --allow-unknown-keys: warn of a key that ConfigKeys.def does not know
  /// instead of refusing it. Keys inside the rotary and the quantisation object
  /// are refused all the same.
  bool allowUnknownKeys = false;
};

/// Parses an HF config.json or one of DeepSeek's own inference configs.
/// |origin| is named in messages. Errors: H1001 not JSON, H1002 missing field,
/// H1003 wrong type or range, H1004 contradiction, H1005 unsupported feature.
llvm::Expected<ModelConfig> parseModelConfig(llvm::StringRef text,
                                             llvm::StringRef origin,
                                             const ConfigOptions &options = {});

/// Reads |path|, a config file or a directory with a config.json, which may be
/// completed by a hf_quant_config.json.
llvm::Expected<ModelConfig> loadModelConfig(llvm::StringRef path,
                                            const ConfigOptions &options = {});

/// Whether |config| can serve sequences of |maxSeqLen| tokens: H1005 beyond
/// the bound of a sparse attention indexer.
llvm::Error checkMaxSeqLen(const ModelConfig &config, int64_t maxSeqLen);

/// Translates DeepSeek's own field names (model-spec 1.1) into HF's; defaults
/// are those of ModelArgs. |object| is returned unchanged if it is not one.
llvm::Expected<llvm::json::Object>
normalizeDeepseekConfig(llvm::json::Object object, llvm::StringRef origin);

/// The part of |object| that describes the text model, which of a multi-modal
/// model is an object inside it; what the outer object says of tokens, tied
/// embeddings, dtype and quantisation is copied there. Sets in |c| what tells
/// the text model's tensors apart; errors as of parseModelConfig.
llvm::json::Object unwrapTextConfig(const llvm::json::Object &object,
                                    const ConfigOptions &options,
                                    ModelConfig &c, FirstError &error);

} // namespace hadal
