// The models that are taken and those that are refused, as a page.
#include "frontend/ModelFamily.h"
#include "llvm/Support/FormatVariadic.h"
#include "llvm/Support/raw_ostream.h"

using namespace hadal;

static constexpr llvm::StringLiteral kIntroduction =
    R"(# Models

Written by `hadal-compile --list-models` from the rows that read config.json (`frontend/ModelFamily.cpp`). What follows from a
configuration's own values (widths, heads, quantisation) is checked when it is read; `hadal-compile MODEL_DIR --plan-only` needs no weights
for that. Formats of weights are in `checkpoints.md`. DeepSeek's own `inference/config.json`, which has no `model_type`, is read as
deepseek_v2, deepseek_v3 or deepseek_v32.

## Compiled

The router's values are those that a missing key has: `scoring_func`, `topk_method`, then `topk_group` of `n_group` groups.

| `model_type` | models | feed-forward | router | notes |
| --- | --- | --- | --- | --- |
)";

static constexpr llvm::StringLiteral kRefusals = R"(
## Refused

By name (H1005), with what is missing; `*` stands for any ending. Any other `model_type` is refused too. A directory
that has Mistral's own `params.json` and no config.json (Mistral Large 3) needs what `mistral4` needs.

| `model_type` | needs |
| --- | --- |
)";

/// "sigmoid, noaux_tc, 4 of 8" of DeepSeek-V3's row.
static std::string routerOf(const ModelFamily &family) {
  if (!family.experts)
    return "";
  return llvm::formatv("{0}, {1}, {2} of {3}", family.scoring,
                       family.topkMethod, family.topGroups, family.groups);
}

static std::string notesOf(const ModelFamily &family) {
  std::string out;
  auto add = [&](const std::string &note) {
    out += (out.empty() ? "" : "; ") + note;
  };
  if (family.indexTopk)
    add(llvm::formatv("without its sparse attention indexer: exact, and "
                      "compiled, up to `index_topk` ({0}) tokens",
                      family.indexTopk));
  if (!family.textPrefix.empty())
    add(llvm::formatv("its text model, tensors `{0}*`; vision input is not "
                      "supported",
                      family.textPrefix));
  if (family.tiedEmbeddings)
    add("the head is the embedding where `tie_word_embeddings` is missing");
  return out;
}

std::string hadal::modelListPage() {
  std::string page;
  llvm::raw_string_ostream os(page);
  auto cell = [&](const std::string &text) {
    os << (text.empty() ? "" : " ") << text << " |";
  };
  os << kIntroduction;
  for (const ModelFamily &family : modelFamilies()) {
    os << "| `" << family.modelType << "` |";
    cell(family.models.str());
    cell(family.experts ? "experts" : "dense");
    cell(routerOf(family));
    cell(notesOf(family));
    os << "\n";
  }
  os << kRefusals;
  for (const OutsideModel &model : outsideModels())
    os << "| `" << model.modelType << "` | " << model.missing << " |\n";
  return page;
}
