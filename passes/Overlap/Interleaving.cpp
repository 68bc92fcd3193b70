#include "passes/Overlap/Interleaving.h"

using namespace mlir;

namespace hadal {

std::optional<Interleaving> parseInterleaving(ArrayAttr words,
                                              ArrayRef<LayerStage> stages,
                                              std::string &why) {
  Interleaving result;
  std::array<SmallVector<unsigned>, kMicroBatches> of;
  for (StringRef word : words.getAsValueRange<StringAttr>()) {
    auto [name, number] = word.rsplit('.');
    unsigned batch = 0;
    auto stage = llvm::find_if(
        stages, [name = name](const LayerStage &s) { return s.name == name; });
    if (stage == stages.end() || number.getAsInteger(10, batch) ||
        batch >= kMicroBatches) {
      why =
          ("'" + word + "' is no stage of a micro-batch; the stages are").str();
      for (const LayerStage &s : stages)
        why += " " + s.name;
      return std::nullopt;
    }
    unsigned index = stage - stages.begin();
    result.turns.push_back({index, batch});
    of[batch].push_back(index);
  }
  for (unsigned batch = 0; batch < kMicroBatches; ++batch) {
    if (of[batch].size() != stages.size()) {
      why = ("micro-batch " + Twine(batch) + " has " + Twine(of[batch].size()) +
             " stages, the layer " + Twine(stages.size()))
                .str();
      return std::nullopt;
    }
    result.first[batch] = of[batch].front();
    for (unsigned i = 1; i < stages.size(); ++i)
      if (of[batch][i] != (of[batch][i - 1] + 1) % stages.size()) {
        why = ("'" + stages[of[batch][i]].name + "." + Twine(batch) +
               "' does not follow '" + stages[of[batch][i - 1]].name + "." +
               Twine(batch) + "' in the layer")
                  .str();
        return std::nullopt;
      }
  }
  return result;
}

ArrayAttr defaultInterleaving(MLIRContext *context,
                              ArrayRef<LayerStage> stages) {
  // The first begins where the exchange starts, the second with the layer.
  unsigned cut = 0;
  while (cut + 1 < stages.size() && !stages[cut].starts)
    ++cut;
  SmallVector<Attribute> words;
  for (unsigned i = 0; i < stages.size(); ++i)
    for (auto [batch, stage] :
         {std::pair<unsigned, unsigned>{0, (cut + 1 + i) % stages.size()},
          {1, i}})
      words.push_back(StringAttr::get(context, stages[stage].name + "." +
                                                   std::to_string(batch)));
  return ArrayAttr::get(context, words);
}

} // namespace hadal
