// Checkpoint tensors against the parameters of a module.
#include "dialects/Dsv3/IR/Dsv3.h"
#include "frontend/Error.h"
#include "frontend/Import.h"
#include "frontend/TensorNames.h"
#include "llvm/ADT/StringSet.h"
#include <set>

using namespace hadal;
using namespace hadal::dsv3;
using namespace mlir;

namespace {

std::string shapeText(ArrayRef<int64_t> shape) {
  std::string text = "[";
  for (auto [i, n] : llvm::enumerate(shape))
    text += (i ? ", " : "") + std::to_string(n);
  return text + "]";
}

/// As the file says it; codes of four bits are in words.
StringRef dtypeText(Type type) {
  if (type.isInteger(4))
    return "I32";
  if (type.isF32())
    return "F32";
  if (type.isBF16())
    return "BF16";
  if (isa<Float8E4M3FNType>(type))
    return "F8_E4M3";
  return "F8_E8M0";
}

/// The index of the layer whose tensor |name| is, in either spelling and with or
/// without |prefix|; |rest| receives what follows it.
std::optional<int64_t> layerOf(StringRef name, StringRef &rest,
                               StringRef prefix) {
  int64_t layer = 0;
  rest = name;
  rest.consume_front(prefix);
  rest.consume_front("model.");
  if (!rest.consume_front("layers.") || rest.consumeInteger(10, layer) ||
      !rest.consume_front("."))
    return std::nullopt;
  return layer;
}

/// Why a graph leaves tensors out, and how many of each.
class LeftOut {
public:
  /// |indexers|: tensors of the sparse attention indexers. |drafts|: the graph has
  /// the first layer of multi-token prediction.
  LeftOut(const ModelConfig &config, const Checkpoint &checkpoint,
          const llvm::StringSet<> &indexers, bool drafts)
      : config(config), indexers(indexers), drafts(drafts) {
    for (const auto &entry : checkpoint.tensors)
      if (std::optional<int64_t> layer = layerOf(entry.getKey(), rest, config.tensorPrefix))
        if (*layer >= config.layers && isMtpModule(rest))
          mtpLayers.insert(*layer);
  }

  /// Counts |name| where it belongs to a part that the graph leaves out.
  bool count(StringRef name, const TensorInfo &info) {
    std::optional<int64_t> layer = layerOf(name, rest, config.tensorPrefix);
    if (name.ends_with(".rotary_emb.inv_freq"))
      ++rotary;
    else if (indexers.contains(name))
      ++indexer;
    else if (drafts && layer == config.layers)
      return isCopy(rest) && ++copies;
    else if (llvm::any_of(config.leftOutPrefixes, [&](StringRef prefix) {
               return name.starts_with(prefix);
             }))
      ++media;
    else if (layer && *layer >= config.layers &&
             (*layer < config.layers + config.mtpLayers ||
              mtpLayers.contains(*layer)))
      ++mtp;
    else if (!info.isListed)
      ++unlisted;
    else
      return false;
    return true;
  }

  std::string describe() const {
    std::string text;
    for (auto [number, what] :
         {std::pair(mtp, "of multi-token prediction layers"),
          std::pair(copies, "copies of the embedding and the head"),
          std::pair(rotary, "rotary tables"),
          std::pair(indexer, "of sparse attention indexers"),
          std::pair(media, "of vision parts (vision input is not supported)"),
          std::pair(unlisted, "that the index does not name")})
      if (number)
        text +=
            llvm::formatv("{0}{1} {2}", text.empty() ? "" : ", ", number, what);
    if (text.empty())
      return text;
    return llvm::formatv("left out {0} tensors: {1}",
                         mtp + copies + rotary + indexer + media + unlisted, text);
  }

private:
  /// What only a multi-token prediction layer has, behind "layers.N.": a file
  /// may hold such layers whatever num_nextn_predict_layers says, while other
  /// layers behind the last one are a sign of another model's configuration.
  static bool isMtpModule(StringRef rest) {
    StringRef module = rest.split('.').first;
    return module == "eh_proj" || module == "enorm" || module == "hnorm" ||
           module == "shared_head" || module == "embed_tokens";
  }

  /// A layer of multi-token prediction works with the model's own.
  static bool isCopy(StringRef rest) {
    return rest == "embed_tokens.weight" || rest == "embed.weight" ||
           rest == "shared_head.head.weight";
  }

  const ModelConfig &config;
  const llvm::StringSet<> &indexers;
  const bool drafts;
  std::set<int64_t> mtpLayers;
  StringRef rest;
  int64_t mtp = 0, copies = 0, rotary = 0, indexer = 0, media = 0,
          unlisted = 0;
};

/// The tensors of the sparse attention indexers, which are not read: up to
/// index_topk tokens their selection is every token. H1007 for one that is not
/// there.
llvm::Error collectIndexers(const ModelConfig &config,
                            const Checkpoint &checkpoint,
                            llvm::StringSet<> &indexers) {
  TensorNames nameInFile(&checkpoint, config.tensorPrefix);
  for (auto [i, full] : llvm::enumerate(config.fullIndexers)) {
    if (!full)
      continue;
    std::string stem =
        "model.layers." + std::to_string(i) + ".self_attn.indexer.";
    for (const char *part : {"wq_b.weight", "wk.weight", "k_norm.weight",
                             "k_norm.bias", "weights_proj.weight",
                             "wq_b.weight_scale_inv", "wk.weight_scale_inv"}) {
      std::string name = nameInFile(stem + part);
      if (checkpoint.find(name))
        indexers.insert(name);
      else if (!StringRef(part).ends_with("_scale_inv"))
        return makeError(1007,
                         "{0}: tensor '{1}' is missing: layer {2} has an "
                         "indexer of its own",
                         checkpoint.directory, name, i);
    }
  }
  return llvm::Error::success();
}

/// Codes of four bits are stored in words of eight of a row.
constexpr int64_t kCodesPerWord = 8;

/// The tensor "X.weight_shape" beside the codes |name|, "X.weight_packed": it
/// says their rows and columns, as the |shape| of the parameter does.
llvm::Error checkPackedShape(StringRef name, ArrayRef<int64_t> shape,
                             const Checkpoint &checkpoint,
                             llvm::StringSet<> &used) {
  StringRef stem = name;
  if (!stem.consume_back("_packed"))
    return llvm::Error::success();
  std::string said = (stem + "_shape").str();
  used.insert(said);
  const TensorInfo *info = checkpoint.find(said);
  if (!info)
    return makeError(1007, "{0}: tensor '{1}' is missing, expected [2]",
                     checkpoint.directory, said);
  if (info->dtype != "I32" && info->dtype != "I64")
    return makeError(1010, "{0}: tensor '{1}' has dtype {2}, expected I32 or "
                           "I64",
                     info->file, said, info->dtype);
  if (ArrayRef(info->values) != shape)
    return makeError(1009, "{0}: tensor '{1}' holds {2}, expected {3}",
                     info->file, said, shapeText(info->values),
                     shapeText(shape));
  return llvm::Error::success();
}

/// Checks one tensor and marks it as used.
llvm::Error checkTensor(ParameterOp parameter, StringRef name,
                        ArrayRef<int64_t> extents, const Checkpoint &checkpoint,
                        llvm::StringSet<> &used) {
  used.insert(name);
  SmallVector<int64_t> shape(extents);
  if (isInt4(parameter.getType())) {
    if (llvm::Error error = checkPackedShape(name, extents, checkpoint, used))
      return error;
    shape.back() /= kCodesPerWord;
  }
  const TensorInfo *info = checkpoint.find(name);
  if (!info) {
    if (parameter.getCheck() == ValueCheck::NonNegative)
      return makeError(1011,
                       "{0}: FP8 tensor '{1}' has no scale tensor '{2}', "
                       "expected {3}",
                       checkpoint.directory,
                       (name.rsplit('.').first + ".weight").str(), name,
                       shapeText(shape));
    return makeError(1007, "{0}: tensor '{1}' is missing, expected {2}",
                     checkpoint.directory, name, shapeText(shape));
  }
  if (ArrayRef(info->shape) != ArrayRef(shape))
    return makeError(1009, "{0}: tensor '{1}' has shape {2}, expected {3}",
                     info->file, name, shapeText(info->shape),
                     shapeText(shape));
  if (!info->alsoIn.empty())
    return makeError(1006,
                     "tensor '{0}' is in {1} and in {2}, and the index names "
                     "neither",
                     name, info->file, info->alsoIn);
  std::string accepted;
  for (Type type : parameter.getAccepts().getAsValueRange<TypeAttr>()) {
    if (dtypeText(type) == info->dtype)
      return llvm::Error::success();
    accepted += (accepted.empty() ? "" : " or ") + dtypeText(type).str();
  }
  return makeError(1010, "{0}: tensor '{1}' has dtype {2}, expected {3}",
                   info->file, name, info->dtype, accepted);
}

llvm::Error checkParameter(ParameterOp parameter, const Checkpoint &checkpoint,
                           llvm::StringSet<> &used) {
  RankedTensorType type = parameter.getTensorType();
  LayoutAttr layout = getLayout(type);
  Storage storage = layout ? layout.getStorage() : Storage::Whole;
  if (storage == Storage::Stack) {
    StringRef pattern = cast<StringAttr>(parameter.getParts()[0]).getValue();
    auto [before, after] = pattern.split("{e}");
    for (int64_t e = 0; e < type.getDimSize(0); ++e) {
      std::string name = (before + llvm::Twine(e) + after).str();
      if (llvm::Error error = checkTensor(
              parameter, name, type.getShape().drop_front(), checkpoint, used))
        return error;
    }
    return llvm::Error::success();
  }
  for (auto [i, part] :
       llvm::enumerate(parameter.getParts().getAsValueRange<StringAttr>())) {
    SmallVector<int64_t> shape(type.getShape());
    if (storage == Storage::Segments)
      shape[0] = parameter.getPartRows()[i];
    if (llvm::Error error =
            checkTensor(parameter, part, shape, checkpoint, used))
      return error;
  }
  return llvm::Error::success();
}

/// That the layer of multi-token prediction is there at all.
llvm::Error checkMtpLayer(const ModelConfig &config,
                          const Checkpoint &checkpoint) {
  StringRef rest;
  for (const auto &entry : checkpoint.tensors)
    if (layerOf(entry.getKey(), rest, config.tensorPrefix) == config.layers)
      return llvm::Error::success();
  return makeError(
      1007,
      "{0}: no tensor of layer {1} is there, the layer of multi-token "
      "prediction that --mtp compiles; {2}compile without --mtp",
      checkpoint.directory, config.layers,
      TensorNames(&checkpoint, config.tensorPrefix).areConverted()
          ? "DeepSeek's convert.py leaves it out: take the checkpoint as it was "
            "published, or "
          : "");
}

} // namespace

llvm::Error hadal::checkCheckpoint(ModuleOp module, const ModelConfig &config,
                                   const Checkpoint &checkpoint,
                                   std::string &skipped) {
  auto model = module->getAttrOfType<DictionaryAttr>(kModelAttr);
  const bool drafts = model && model.contains(kMaxDraftsKey);
  if (drafts)
    if (llvm::Error error = checkMtpLayer(config, checkpoint))
      return error;
  llvm::StringSet<> used;
  for (ParameterOp parameter : module.getOps<ParameterOp>())
    if (llvm::Error error = checkParameter(parameter, checkpoint, used))
      return error;

  llvm::StringSet<> indexers;
  if (llvm::Error error = collectIndexers(config, checkpoint, indexers))
    return error;

  std::string head = TensorNames(&checkpoint, config.tensorPrefix)("lm_head.weight");
  LeftOut leftOut(config, checkpoint, indexers, drafts);
  std::vector<StringRef> extra;
  for (const auto &entry : checkpoint.tensors) {
    StringRef name = entry.getKey();
    // A tied head may be stored all the same.
    if (!used.contains(name) && !leftOut.count(name, entry.getValue()) &&
        !(config.tiedEmbeddings && name == head))
      extra.push_back(name);
  }
  if (!extra.empty()) {
    llvm::sort(extra);
    return makeError(
        1008,
        "{0}: tensor '{1}' is not part of the configured "
        "model{2}; the configuration may be of another "
        "checkpoint",
        checkpoint.find(extra.front())->file, extra.front(),
        extra.size() == 1
            ? std::string()
            : llvm::formatv(" (nor are {0} more)", extra.size() - 1).str());
  }
  skipped = leftOut.describe();
  return llvm::Error::success();
}
