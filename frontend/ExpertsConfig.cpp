// The mixture of experts: its router, and the layers that have one.
#include "frontend/ConfigParts.h"

using namespace hadal;
using llvm::StringRef;

/// Which layers are dense, from `mlp_layer_types`, `first_k_dense_replace` and
/// `moe_layer_freq`, which must agree.
static void parseLayers(ConfigFields &f, ModelConfig &c,
                        const ModelFamily &family) {
  std::vector<std::string> types =
      f.words("mlp_layer_types", {"dense", "sparse"});
  if (!types.empty() && static_cast<int64_t>(types.size()) != c.layers)
    f.fail(1004,
           "'mlp_layer_types' names {0} layers, but 'num_hidden_layers' "
           "is {1}",
           types.size(), c.layers);
  int64_t leading = 0;
  for (const std::string &type : types) {
    if (type != "dense")
      break;
    ++leading;
  }
  c.denseLayers =
      f.integer("first_k_dense_replace",
                types.empty() ? family.denseLayers : leading, 0, 4096);
  c.moeLayerFreq = f.integer("moe_layer_freq", 1, 1);
  for (auto [i, type] : llvm::enumerate(types))
    if ((type == "sparse") != c.isMoe(i))
      return f.fail(1004,
                    "'mlp_layer_types' says that layer {0} is {1}; "
                    "'first_k_dense_replace' {2} and 'moe_layer_freq' "
                    "{3} say that it is not",
                    i, type, c.denseLayers, c.moeLayerFreq);
}

static void parseRouter(ConfigFields &f, ModelConfig &c,
                        const ModelFamily &family) {
  c.topK = f.integer("num_experts_per_tok", std::nullopt, 1);
  c.routeScale = f.number("routed_scaling_factor", family.routeScale, 0, 1e6);
  c.groups = f.integer("n_group", family.groups, 1);
  c.topGroups = f.integer("topk_group", family.topGroups, 1);

  std::string score = f.string("scoring_func", family.scoring);
  if (score != "softmax" && score != "sigmoid")
    f.fail(1005, "'{0}' \"{1}\" is not supported; known: softmax, sigmoid",
           f.name("scoring_func"), score);
  c.sigmoid = score == "sigmoid";
  std::string method = f.string("topk_method", family.topkMethod);
  if (method == "greedy") {
    c.groups = c.topGroups = 1; // as the reference: groups are not looked at
  } else if (method == "noaux_tc") {
    c.routerBias = c.groupTop2 = true;
  } else if (method != "group_limited_greedy") {
    f.fail(1005,
           "'topk_method' \"{0}\" is not supported; known: greedy, "
           "group_limited_greedy, noaux_tc",
           method);
  }
  if (f.boolean("router_enable_expert_bias", c.routerBias) != c.routerBias)
    f.fail(1004, "'{0}' is {1}, but 'topk_method' \"{2}\" selects {3} a bias",
           f.name("router_enable_expert_bias"), !c.routerBias, method,
           c.routerBias ? "with" : "without");
  c.renormalize = f.boolean("norm_topk_prob", family.renormalize);
  if (c.renormalize && !c.sigmoid)
    f.fail(1005, "'norm_topk_prob' true with 'scoring_func' softmax is not "
                 "supported: the references disagree on its meaning");
  if (c.experts % c.groups)
    return f.fail(1004, "'n_group' {0} does not divide '{1}' {2}", c.groups,
                  f.name("n_routed_experts"), c.experts);
  int64_t perGroup = c.experts / c.groups;
  if (c.topGroups > c.groups)
    f.fail(1004, "'topk_group' {0} exceeds 'n_group' {1}", c.topGroups,
           c.groups);
  if (c.topK > c.topGroups * perGroup)
    f.fail(1004,
           "'num_experts_per_tok' {0} exceeds the {1} experts of "
           "'topk_group' {2} groups of {3}",
           c.topK, c.topGroups * perGroup, c.topGroups, perGroup);
  if (c.groupTop2 && c.groups > 1 && perGroup < 2)
    f.fail(1004,
           "'topk_method' noaux_tc scores a group by its two best "
           "experts, but 'n_routed_experts' / 'n_group' is {0}",
           perGroup);
}

void hadal::parseExperts(ConfigFields &f, ModelConfig &c,
                         const ModelFamily &family) {
  c.experts = f.integer("n_routed_experts", 0, 0, 1 << 20);
  if (c.experts && !family.experts)
    f.fail(1004, "'{0}' is {1}, but a model of type \"{2}\" has no experts",
           f.name("n_routed_experts"), c.experts, c.modelType);
  if (c.experts == 0)
    return;
  c.moeIntermediate = f.integer("moe_intermediate_size", std::nullopt, 1);
  c.sharedExperts = f.integer("n_shared_experts", 0, 0, 1024);
  int64_t shared = c.sharedExperts * c.moeIntermediate;
  int64_t found = f.integer("moe_shared_expert_intermediate_size", shared, 0);
  if (found != shared)
    f.fail(1004,
           "'moe_shared_expert_intermediate_size' is {0}, but "
           "'n_shared_experts' * 'moe_intermediate_size' is {1}",
           found, shared);
  parseLayers(f, c, family);
  parseRouter(f, c, family);
}

/// Which layers have an indexer, by each of the three ways to say so.
static std::vector<bool> fullByTypes(llvm::ArrayRef<std::string> types) {
  std::vector<bool> full;
  for (const std::string &type : types)
    full.push_back(type == "full");
  return full;
}

static std::vector<bool> fullByPattern(ConfigFields &f) {
  std::vector<bool> full;
  for (char letter : f.string("index_topk_pattern", "")) {
    if (letter != 'F' && letter != 'S')
      f.fail(1003,
             "field 'index_topk_pattern' must be a string of F and S, "
             "found '{0}' in it",
             letter);
    full.push_back(letter == 'F');
  }
  return full;
}

static std::vector<bool> fullByPeriod(int64_t period, int64_t offset,
                                      int64_t layers) {
  std::vector<bool> full;
  for (int64_t i = 0; i < layers; ++i)
    full.push_back(std::max<int64_t>(i - offset + 1, 0) % period == 0);
  return full;
}

void hadal::parseIndexer(ConfigFields &f, ModelConfig &c,
                         const ModelFamily &family) {
  if (family.indexTopk == 0) {
    for (StringRef key :
         {"index_n_heads", "index_head_dim", "index_topk", "index_topk_freq",
          "index_topk_pattern", "index_skip_topk_offset", "indexer_types"})
      if (f.has(key))
        f.fail(1005,
               "'{0}' is set: the sparse attention indexer is not "
               "supported in a model of type \"{1}\"",
               key, c.modelType);
    f.words("layer_types", {"full_attention"});
    return;
  }
  c.indexTopk = f.integer("index_topk", family.indexTopk, 1);
  (void)f.integer("index_n_heads", 1, 1);
  (void)f.integer("index_head_dim", 1, 1);
  // Up to index_topk tokens the two are one.
  f.words("layer_types", {"full_attention", "indexed_attention"});
  if (c.qLoraRank == 0)
    f.fail(1004,
           "'q_lora_rank' is absent or 0, but the indexer of a model of "
           "type \"{0}\" reads the compressed queries",
           c.modelType);

  StringRef source;
  auto take = [&](StringRef key, std::vector<bool> full) {
    if (static_cast<int64_t>(full.size()) != c.layers)
      return f.fail(1004,
                    "'{0}' names {1} layers, but 'num_hidden_layers' is "
                    "{2}",
                    key, full.size(), c.layers);
    if (!source.empty() && full != c.fullIndexers)
      f.fail(1004, "'{0}' and '{1}' differ on which layers have an indexer",
             source, key);
    source = key;
    c.fullIndexers = std::move(full);
  };
  if (f.has("indexer_types"))
    take("indexer_types",
         fullByTypes(f.words("indexer_types", {"full", "shared"})));
  if (f.has("index_topk_pattern"))
    take("index_topk_pattern", fullByPattern(f));
  if (f.has("index_topk_freq") || source.empty())
    take("index_topk_freq", fullByPeriod(f.integer("index_topk_freq", 1, 1),
                                         f.integer("index_skip_topk_offset",
                                                   family.indexOffset, 0),
                                         c.layers));
  if (!c.fullIndexers.empty() && !c.fullIndexers[0])
    f.fail(1004,
           "'{0}' says that layer 0 shares the selection of an indexer, "
           "but no layer is before it",
           source);
}
