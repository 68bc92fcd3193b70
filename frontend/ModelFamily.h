// What differs between the models of the family, one row a `model_type`.
#pragma once
#include "llvm/ADT/ArrayRef.h"
#include "llvm/ADT/StringRef.h"
#include <cstdint>
#include <string>

namespace hadal {

/// What `head_dim` says.
enum class HeadDim {
  /// The rotary width, as transformers writes it, or the width of a query and
  /// key or of a value head, as older files do: checked.
  Checked,
  /// Nothing: GLM-5 and GLM-5.2 have the same heads and other values.
  Free
};

/// A row. Where a key is absent from config.json, its value is that of the
/// reference class, which the row holds.
struct ModelFamily {
  llvm::StringLiteral modelType;
  /// The published models that it has, for people.
  llvm::StringLiteral models;
  /// A mixture of experts; else dense, and expert keys contradict the row.
  bool experts = true;
  /// Router: `scoring_func`, `topk_method`, `norm_topk_prob`,
  /// `routed_scaling_factor`, `n_group`, `topk_group`. The method decides
  /// whether there is a selection bias.
  llvm::StringLiteral scoring = "sigmoid", topkMethod = "noaux_tc";
  bool renormalize = true;
  double routeScale = 2.5;
  int64_t groups = 8, topGroups = 4;
  /// `first_k_dense_replace`.
  int64_t denseLayers = 3;
  double normEps = 1e-6;
  /// Of the q_a and kv_a norms, which no configuration sets: the reference
  /// classes build them without an epsilon, so they have the norm's own
  /// default whatever `rms_norm_eps` says.
  double innerNormEps = 1e-6;
  bool tiedEmbeddings = false;
  HeadDim headDim = HeadDim::Checked;
  /// `index_topk` and `index_skip_topk_offset` of a model with a sparse
  /// attention indexer: such a model is dense attention up to that many tokens.
  /// 0: no indexer, and index keys are refused.
  int64_t indexTopk = 0, indexOffset = 2;
  /// Of a multi-modal model: what the names of the text model's tensors begin
  /// with. The row describes the text model, config.json's `text_config`.
  llvm::StringLiteral textPrefix = "";
};

/// A model that is taken for a member of the family.
struct OutsideModel {
  /// A name that ends with '*' is a prefix.
  llvm::StringLiteral modelType;
  /// The operators that it needs and this compiler does not have.
  llvm::StringLiteral missing;
};

/// Every row, by name.
llvm::ArrayRef<ModelFamily> modelFamilies();
llvm::ArrayRef<OutsideModel> outsideModels();

/// What the names of the tensors of a multi-modal model's other parts begin
/// with.
llvm::ArrayRef<llvm::StringLiteral> multiModalPrefixes();

/// The row of |modelType|; null for a model that this compiler does not have.
const ModelFamily *findModelFamily(llvm::StringRef modelType);

/// The `model_type` of every row, for messages.
std::string knownModelTypes();

/// The rows and the models outside them, as the page docs/models.md.
std::string modelListPage();

/// The operators that a model outside the family needs, for messages; empty for
/// a model that nothing is known of.
llvm::StringRef missingOperators(llvm::StringRef modelType);

} // namespace hadal
