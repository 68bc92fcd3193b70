#include "frontend/TensorNames.h"

#include "llvm/ADT/SmallVector.h"
#include "llvm/ADT/StringExtras.h"

using namespace hadal;
using llvm::StringLiteral;
using llvm::StringRef;

/// Whole components of a name; all others are spelt alike.
static constexpr std::pair<StringLiteral, StringLiteral> kComponents[] = {
    {"embed_tokens", "embed"},
    {"lm_head", "head"},
    {"input_layernorm", "attn_norm"},
    {"post_attention_layernorm", "ffn_norm"},
    {"self_attn", "attn"},
    {"q_proj", "wq"},
    {"q_a_proj", "wq_a"},
    {"q_a_layernorm", "q_norm"},
    {"q_b_proj", "wq_b"},
    {"kv_a_proj_with_mqa", "wkv_a"},
    {"kv_a_layernorm", "kv_norm"},
    {"kv_b_proj", "wkv_b"},
    {"o_proj", "wo"},
    {"mlp", "ffn"},
    {"gate_proj", "w1"},
    {"down_proj", "w2"},
    {"up_proj", "w3"},
    {"e_score_correction_bias", "bias"},
    {"weight_scale_inv", "scale"}};

TensorNames::TensorNames(const Checkpoint *checkpoint, StringRef prefix)
    : converted(checkpoint && checkpoint->find("embed.weight") &&
                !checkpoint->find("model.embed_tokens.weight")),
      prefix(prefix) {
  if (checkpoint &&
      !checkpoint->find((prefix + "model.embed_tokens.weight").str()))
    this->prefix.clear();
}

std::string TensorNames::operator()(StringRef name) const {
  if (!converted)
    return prefix + name.str();
  name.consume_front("model.");
  llvm::SmallVector<StringRef> components;
  name.split(components, '.');
  for (StringRef &component : components)
    for (auto [from, to] : kComponents)
      if (component == from) {
        component = to;
        break;
      }
  return llvm::join(components, ".");
}
