// Builds the dsv3 module of a model.
#include "frontend/Import.h"
#include "frontend/Error.h"
#include "frontend/ParameterBuilder.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"

using namespace hadal;
using namespace hadal::dsv3;
using namespace mlir;

namespace {

/// Builds one function. Arguments are appended as they are needed.
class FunctionBuilder {
public:
  /// |kind| is what equal functions are called: it has no layer's number.
  FunctionBuilder(OpBuilder &module, StringRef name, StringRef kind,
                  bool isPrivate)
      : b(module.getContext()), kind(symbolLoc(kind)) {
    func = func::FuncOp::create(module, this->kind, name,
                                module.getFunctionType({}, {}));
    if (isPrivate)
      func.setPrivate();
    b.setInsertionPointToStart(func.addEntryBlock());
  }

  /// A model operation: its name in its kind of function. Names are unique in a
  /// function (VerifyDsv3).
  Location loc(StringRef name) {
    return NameLoc::get(b.getStringAttr(name), kind);
  }
  /// An argument, or a reference to a parameter or a state: no operation of the
  /// model.
  Location symbolLoc(StringRef symbol) {
    return NameLoc::get(b.getStringAttr(symbol));
  }
  Value argument(StringRef name, Type type) {
    return func.front().addArgument(type, symbolLoc(name));
  }
  void finish(Value result) {
    func::ReturnOp::create(b, loc("return"), result);
    func.setFunctionType(
        b.getFunctionType(func.front().getArgumentTypes(), result.getType()));
  }

  OpBuilder b;
  Location kind;
  func::FuncOp func;
};

/// A layer's function and what its calls bind to the arguments behind the
/// residual stream, the batch and the rotary table.
struct Layer {
  FunctionBuilder fn;
  std::string prefix; // of its tensors, "model.layers.3."
  SmallVector<Operation *> symbols; // parameters and states
  Value batch, table;
};

/// A function that calls layers, and the values that every layer takes.
struct Caller {
  FunctionBuilder fn;
  Value tokens, batch, table;
};

class Importer {
public:
  Importer(MLIRContext *context, const ModelConfig &c, const ImportOptions &o,
           const Checkpoint *checkpoint)
      : c(c), o(o), module(ModuleOp::create(UnknownLoc::get(context))),
        b(OpBuilder::atBlockEnd(module->getBody())),
        act(o.f32Activations ? Type(b.getF32Type()) : b.getBF16Type()),
        parameters(*module, c, checkpoint, o.roundF32Matrices) {}

  llvm::Expected<OwningOpRef<ModuleOp>> run();

private:
  RankedTensorType tokens(int64_t columns) {
    return getRowsType(Extent::Tokens, columns, act);
  }
  RankedTensorType routed(int64_t columns) {
    return getRowsType(Extent::Routed, columns, act);
  }
  /// A new argument of |layer|, bound to |parameter| at its calls.
  Value use(Layer &layer, StringRef name, ParameterOp parameter);
  /// A new argument of |layer|, bound to a new state |symbol| at its calls.
  Value useState(Layer &layer, StringRef name, std::string symbol, Type type);
  Value linear(Layer &layer, StringRef name, Value x, ParameterOp w);
  Value norm(Layer &layer, StringRef name, Value x, int64_t width, double eps);
  Value slice(Layer &layer, StringRef name, Value x, int64_t from, int64_t n);
  Value add(Layer &layer, StringRef name, Value lhs, Value rhs);
  Value mlp(Layer &layer, StringRef name, Value x, int64_t width);
  Value attention(Layer &layer, int64_t index, Value x);
  Value moe(Layer &layer, int64_t index, Value x);
  /// The layer whose tensors are named |prefix|...; |index| numbers its states.
  Layer buildLayer(int64_t index, StringRef prefix);
  Value callLayer(Caller &caller, Layer &layer, Value residual);
  /// A public function with the arguments of every body.
  Caller beginBody(StringRef name);
  Value get(FunctionBuilder &fn, ParameterOp parameter) {
    return GetParameterOp::create(fn.b, fn.symbolLoc(parameter.getSymName()),
                                  parameter.getType(), parameter.getSymName());
  }
  /// Logits of rows of a hidden state; |norm| is the name of its norm.
  func::FuncOp buildHead(StringRef name, StringRef norm);
  /// The functions that draft.
  void buildDrafts(SmallVectorImpl<func::FuncOp> &functions);
  func::FuncOp buildDraft(StringRef name, StringRef norm, Layer &layer,
                          ParameterOp ehProj);
  void setModelAttribute();

  const ModelConfig &c;
  const ImportOptions &o;
  OwningOpRef<ModuleOp> module;
  OpBuilder b; // at the end of the module
  Type act;
  ParameterBuilder parameters;
  Type tableType;
};

} // namespace

Value Importer::use(Layer &layer, StringRef name, ParameterOp parameter) {
  layer.symbols.push_back(parameter);
  return layer.fn.argument(name, parameter.getType());
}

Value Importer::useState(Layer &layer, StringRef name, std::string symbol,
                         Type type) {
  layer.symbols.push_back(StateOp::create(
      parameters.getBuilder(), layer.fn.symbolLoc(symbol), symbol, type));
  return layer.fn.argument(name, type);
}

Value Importer::linear(Layer &layer, StringRef name, Value x, ParameterOp w) {
  Value weight = use(layer, ("w_" + name).str(), w);
  return LinearOp::create(layer.fn.b, layer.fn.loc(name),
                          tokens(w.getTensorType().getDimSize(0)), x, weight);
}

Value Importer::norm(Layer &layer, StringRef name, Value x, int64_t width,
                     double eps) {
  ParameterOp w =
      parameters.vector(layer.prefix + name.str() + ".weight", width);
  StringRef local = name.rsplit('.').second;
  local = local.empty() ? name : local;
  Value weight = use(layer, ("w_" + local).str(), w);
  return RmsNormOp::create(layer.fn.b, layer.fn.loc(local), x.getType(), x,
                           weight, llvm::APFloat(eps));
}

Value Importer::slice(Layer &layer, StringRef name, Value x, int64_t from,
                      int64_t n) {
  return layer.fn.b.createOrFold<SliceOp>(layer.fn.loc(name), tokens(n), x,
                                          static_cast<uint64_t>(from));
}

Value Importer::add(Layer &layer, StringRef name, Value lhs, Value rhs) {
  return AddOp::create(layer.fn.b, layer.fn.loc(name), lhs.getType(), lhs, rhs);
}

Value Importer::mlp(Layer &layer, StringRef name, Value x, int64_t width) {
  std::string p = layer.prefix + name.str() + ".";
  Value gate = linear(layer, "gate_proj", x,
                      parameters.matrix(p + "gate_proj", width, c.hidden));
  Value up = linear(layer, "up_proj", x,
                    parameters.matrix(p + "up_proj", width, c.hidden));
  Value h = SiluMulOp::create(layer.fn.b, layer.fn.loc("silu_mul"),
                              gate.getType(), gate, up);
  return linear(layer, "down_proj", h,
                parameters.matrix(p + "down_proj", c.hidden, width));
}

Value Importer::attention(Layer &layer, int64_t index, Value x) {
  OpBuilder &fb = layer.fn.b;
  std::string p = layer.prefix + "self_attn.";
  auto cacheType = CacheType::get(fb.getContext(), c.kvLoraRank, c.rope, act);
  Value cache =
      useState(layer, "cache", "kv." + std::to_string(index), cacheType);
  int64_t kvWidth = c.kvLoraRank + c.rope, qLora = c.qLoraRank;
  std::string qA = p + "q_a_proj", kvA = p + "kv_a_proj_with_mqa";

  // q_a and kv_a read the same rows: one GEMM where the scale blocks of the
  // second start at a block of the whole.
  Value q = x, kv;
  int64_t at = 0;
  if (qLora > 0 && qLora % kBlock == 0 &&
      parameters.elementOf(qA) == parameters.elementOf(kvA)) {
    ParameterOp w = parameters.segments(symbolOf(p + "q_a_kv_a"), {qA, kvA},
                                        {qLora, kvWidth}, c.hidden);
    kv = linear(layer, "q_a_kv_a", x, w);
    q = slice(layer, "q_a", kv, 0, qLora);
    at = qLora;
  } else {
    if (qLora > 0)
      q = linear(layer, "q_a", x, parameters.matrix(qA, qLora, c.hidden));
    kv = linear(layer, "kv_a", x, parameters.matrix(kvA, kvWidth, c.hidden));
  }
  if (qLora > 0) {
    q = norm(layer, "self_attn.q_a_layernorm", q, qLora, c.innerNormEps);
    q = linear(
        layer, "q_b", q,
        parameters.matrix(p + "q_b_proj", c.heads * c.headWidth(), qLora));
  } else {
    q = linear(
        layer, "q", q,
        parameters.matrix(p + "q_proj", c.heads * c.headWidth(), c.hidden));
  }
  q = RopeOp::create(fb, layer.fn.loc("q_rope"), q.getType(), q, layer.table,
                     layer.batch, c.heads, c.rope);

  Value latent = slice(layer, "latent", kv, at, c.kvLoraRank);
  latent = norm(layer, "self_attn.kv_a_layernorm", latent, c.kvLoraRank,
                c.innerNormEps);
  Value kPe = slice(layer, "k_pe", kv, at + c.kvLoraRank, c.rope);
  kPe = RopeOp::create(fb, layer.fn.loc("k_rope"), kPe.getType(), kPe,
                       layer.table, layer.batch, 1, c.rope);
  AppendLatentOp::create(fb, layer.fn.loc("append"), latent, kPe, layer.batch,
                         cache);

  ParameterOp kvB = parameters.matrix(
      p + "kv_b_proj", c.heads * (c.nope + c.value), c.kvLoraRank);
  if (isInt4(kvB.getType()))
    parameters.fail(makeError(
        1005, "'{0}kv_b_proj' has codes of four bits: supported are those of "
              "matrices that no other is multiplied with; expected it in "
              "'quantization_config.ignore'",
        p));
  Value wkvB = use(layer, "w_kv_b", kvB);
  Value out = MlaOp::create(fb, layer.fn.loc("mla"), tokens(c.heads * c.value),
                            q, wkvB, cache, layer.batch, c.heads, c.nope,
                            c.value, llvm::APFloat(c.softmaxScale()));
  return linear(layer, "o_proj", out,
                parameters.matrix(p + "o_proj", c.hidden, c.heads * c.value));
}

Value Importer::moe(Layer &layer, int64_t index, Value x) {
  OpBuilder &fb = layer.fn.b;
  std::string p = layer.prefix + "mlp.";
  Value gateWeight =
      use(layer, "w_gate",
          parameters.matrix(p + "gate", c.experts, c.hidden,
                            /*quantizable=*/false, ValueCheck::Finite));
  Value logits = LinearOp::create(
      fb, layer.fn.loc("router"),
      getRowsType(Extent::Tokens, c.experts, fb.getF32Type()), x, gateWeight);
  Value bias;
  if (c.routerBias)
    bias =
        use(layer, "bias",
            parameters.vector(p + "gate.e_score_correction_bias", c.experts));
  Type i32 = fb.getI32Type();
  Type idsType = getRowsType(Extent::Tokens, c.topK, i32);
  auto gate = GateTopkOp::create(
      fb, layer.fn.loc("gate"), idsType,
      getRowsType(Extent::Tokens, c.topK, fb.getF32Type()), logits, bias,
      c.topK, c.groups, c.topGroups,
      c.sigmoid ? ScoreFunction::Sigmoid : ScoreFunction::Softmax,
      c.groupTop2 ? GroupScore::Top2Sum : GroupScore::Max, c.renormalize,
      llvm::APFloat(c.routeScale));
  Value counts = useState(layer, "load", "expert_load." + std::to_string(index),
                          CountsType::get(fb.getContext(), c.experts));
  auto permute = MoePermuteOp::create(
      fb, layer.fn.loc("permute"), getRowsType(Extent::Routed, {}, i32),
      idsType, RankedTensorType::get(c.experts + 1, i32), gate.getIds(),
      layer.batch, counts);

  auto expert = [&](StringRef name, int64_t rows, int64_t columns) {
    return use(layer, ("w_experts_" + name).str(),
               parameters.stack(symbolOf(p + "experts." + name.str()),
                                p + "experts.{e}." + name.str(), c.experts,
                                rows, columns));
  };
  int64_t width = c.moeIntermediate;
  auto grouped = [&](StringRef name, Value in, int64_t rows, int64_t columns,
                     Value source) -> Value {
    return LinearOp::create(fb, layer.fn.loc(("experts_" + name).str()),
                            routed(rows), in, expert(name, rows, columns),
                            permute.getBegin(), source);
  };
  Value up, h;
  h = grouped("gate_proj", x, width, c.hidden, permute.getSource());
  up = grouped("up_proj", x, width, c.hidden, permute.getSource());
  h = SiluMulOp::create(fb, layer.fn.loc("experts_silu_mul"), h.getType(), h,
                        up);
  h = grouped("down_proj", h, c.hidden, width, Value());
  h = MoeCombineOp::create(fb, layer.fn.loc("combine"), tokens(c.hidden), h,
                           permute.getPlace(), gate.getWeights());
  if (c.sharedExperts > 0)
    h = add(layer, "add_shared", h,
            mlp(layer, "mlp.shared_experts", x, c.sharedExperts * width));
  return h;
}

Layer Importer::buildLayer(int64_t index, StringRef prefix) {
  Layer layer{FunctionBuilder(b, "layer_" + std::to_string(index),
                              c.isMoe(index) ? "moe_layer" : "dense_layer",
                              /*isPrivate=*/true),
              prefix.str(),
              {},
              {},
              {}};
  Value x = layer.fn.argument("x", tokens(c.hidden));
  layer.batch = layer.fn.argument("batch", BatchType::get(b.getContext()));
  layer.table = layer.fn.argument("rope_table", tableType);

  Value h = norm(layer, "input_layernorm", x, c.hidden, c.normEps);
  x = add(layer, "attn_residual", x, attention(layer, index, h));
  h = norm(layer, "post_attention_layernorm", x, c.hidden, c.normEps);
  h = c.isMoe(index) ? moe(layer, index, h)
                     : mlp(layer, "mlp", h, c.intermediate);
  x = add(layer, "ffn_residual", x, h);
  layer.fn.finish(x);
  return layer;
}

Value Importer::callLayer(Caller &caller, Layer &layer, Value residual) {
  FunctionBuilder &fn = caller.fn;
  SmallVector<Value> operands = {residual, caller.batch, caller.table};
  for (Operation *symbol : layer.symbols) {
    if (auto parameter = dyn_cast<ParameterOp>(symbol)) {
      operands.push_back(get(fn, parameter));
      continue;
    }
    auto state = cast<StateOp>(symbol);
    operands.push_back(
        GetStateOp::create(fn.b, fn.symbolLoc(state.getSymName()),
                           state.getType(), state.getSymName()));
  }
  return func::CallOp::create(fn.b, fn.loc(layer.fn.func.getSymName()),
                              layer.fn.func, operands)
      .getResult(0);
}

Caller Importer::beginBody(StringRef name) {
  Caller caller{
      FunctionBuilder(b, name, name, /*isPrivate=*/false), {}, {}, {}};
  FunctionBuilder &fn = caller.fn;
  caller.tokens =
      fn.argument("tokens", getRowsType(Extent::Tokens, {}, b.getI32Type()));
  caller.batch = fn.argument("batch", BatchType::get(b.getContext()));
  caller.table = GetParameterOp::create(fn.b, fn.symbolLoc("rope_table"),
                                        tableType, "rope_table");
  return caller;
}

func::FuncOp Importer::buildHead(StringRef name, StringRef norm) {
  FunctionBuilder fn(b, name, name, /*isPrivate=*/false);
  Value hidden = fn.argument("hidden", tokens(c.hidden));
  Type i32 = b.getI32Type();
  Value rows = fn.argument("logit_rows", getRowsType(Extent::Logits, {}, i32));
  Value x = GatherRowsOp::create(fn.b, fn.loc("gather"),
                                 getRowsType(Extent::Logits, c.hidden, act),
                                 hidden, rows);
  Value w = get(fn, parameters.vector(norm, c.hidden));
  x = RmsNormOp::create(fn.b, fn.loc("norm"), x.getType(), x, w,
                        llvm::APFloat(c.normEps));
  StringRef symbol = c.tiedEmbeddings ? "embed_tokens" : "lm_head";
  auto head = module->lookupSymbol<ParameterOp>(symbol);
  if (!head)
    head = parameters.matrix(symbol, c.vocab, c.hidden,
                             /*quantizable=*/false);
  x = LinearOp::create(fn.b, fn.loc("logits"),
                       getRowsType(Extent::Logits, c.vocab, b.getF32Type()), x,
                       get(fn, head));
  fn.finish(x);
  return fn.func;
}

// Model-spec 4.3: z = eh_proj [enorm(embedding) ; hnorm(h)], the layer over z.
func::FuncOp Importer::buildDraft(StringRef name, StringRef norm, Layer &layer,
                                  ParameterOp ehProj) {
  Caller caller = beginBody(name);
  FunctionBuilder &fn = caller.fn;
  Value hidden = fn.argument("hidden", tokens(c.hidden));
  Value rows = fn.argument("hidden_rows", caller.tokens.getType());
  auto vector = [&](StringRef tensor) -> Value {
    auto known = module->lookupSymbol<ParameterOp>(symbolOf(tensor));
    return get(fn, known ? known : parameters.vector(tensor, c.hidden));
  };
  Value embedding = get(fn, module->lookupSymbol<ParameterOp>("embed_tokens"));
  Value enorm = vector(layer.prefix + "enorm.weight");
  Value normWeight = vector(norm);
  Value hnorm = vector(layer.prefix + "hnorm.weight");
  Value z = MtpInputOp::create(fn.b, fn.loc("mtp_input"), tokens(2 * c.hidden),
                               caller.tokens, embedding, enorm, hidden, rows,
                               normWeight, hnorm, llvm::APFloat(c.normEps));
  z = LinearOp::create(fn.b, fn.loc("eh_proj"), tokens(c.hidden), z,
                       get(fn, ehProj));
  fn.finish(callLayer(caller, layer, z));
  return fn.func;
}

void Importer::buildDrafts(SmallVectorImpl<func::FuncOp> &functions) {
  std::string prefix = "model.layers." + std::to_string(c.layers) + ".";
  std::string norm = prefix + "shared_head.norm.weight";
  // Checkpoints store the embedding and the head again.
  auto embed = module->lookupSymbol<ParameterOp>("embed_tokens");
  auto head = module->lookupSymbol<ParameterOp>("lm_head");
  parameters.addCopy(embed, prefix + "embed_tokens.weight");
  parameters.addCopy(head ? head : embed, prefix + "shared_head.head.weight");
  // bf16 in an FP8 checkpoint too.
  ParameterOp ehProj = parameters.matrix(prefix + "eh_proj", c.hidden,
                                         2 * c.hidden, /*quantizable=*/false);
  Layer layer = buildLayer(c.layers, prefix);
  functions.push_back(buildDraft("draft", "model.norm.weight", layer, ehProj));
  functions.push_back(buildHead("draft_head", norm));
  if (o.maxDrafts > 1)
    functions.push_back(buildDraft("draft_next", norm, layer, ehProj));
}

void Importer::setModelAttribute() {
  SmallVector<NamedAttribute> facts;
  auto integer = [&](StringRef key, int64_t value) {
    facts.push_back(b.getNamedAttr(key, b.getI64IntegerAttr(value)));
  };
  auto string = [&](StringRef key, StringRef value) {
    facts.push_back(b.getNamedAttr(key, b.getStringAttr(value)));
  };
  string("model_type", c.modelType);
  integer("vocab_size", c.vocab);
  integer("hidden_size", c.hidden);
  integer("num_layers", c.layers);
  integer("num_experts", c.experts);
  integer("num_experts_per_token", c.topK);
  integer("num_moe_layers", c.numMoeLayers());
  integer("max_seq_len", o.maxSeqLen);
  integer("max_batch_size", o.maxBatchSize);
  integer("page_size", o.pageSize);
  integer("bos_token_id", c.bosToken);
  facts.push_back(
      b.getNamedAttr("eos_token_ids", b.getDenseI64ArrayAttr(c.eosTokens)));
  if (c.mediaToken >= 0)
    integer("media_token_id", c.mediaToken);
  string("activations", o.f32Activations ? "f32" : "bf16");
  string("activation_scale_format", c.ue8m0Activations ? "ue8m0" : "f32");
  if (o.maxDrafts > 0) {
    integer("mtp_depth", 1);
    integer(kMaxDraftsKey, o.maxDrafts);
  }
  if (o.deterministic)
    facts.push_back(b.getNamedAttr(kDeterministic, b.getUnitAttr()));
  (*module)->setAttr(kModelAttr, b.getDictionaryAttr(facts));
}

llvm::Expected<OwningOpRef<ModuleOp>> Importer::run() {
  OpBuilder &pb = parameters.getBuilder();
  std::vector<float> invFreq = c.invFreq();
  tableType = RankedTensorType::get(
      {o.maxSeqLen, static_cast<int64_t>(invFreq.size()), 2}, b.getF32Type());
  RopeTableOp::create(
      pb, NameLoc::get(b.getStringAttr("rope_table")), "rope_table", tableType,
      invFreq, llvm::APFloat(static_cast<float>(c.ropeScale())));

  Caller forward = beginBody("forward");
  ParameterOp embed = parameters.matrix("model.embed_tokens", c.vocab, c.hidden,
                                        /*quantizable=*/false);
  Value residual =
      EmbedOp::create(forward.fn.b, forward.fn.loc("embed"), tokens(c.hidden),
                      forward.tokens, get(forward.fn, embed));
  for (int64_t i = 0; i < c.layers; ++i) {
    Layer layer = buildLayer(i, "model.layers." + std::to_string(i) + ".");
    residual = callLayer(forward, layer, residual);
  }
  forward.fn.finish(residual);
  SmallVector<func::FuncOp> entries = {
      forward.fn.func, buildHead("head", "model.norm.weight")};
  if (o.maxDrafts > 0)
    buildDrafts(entries);
  setModelAttribute();
  // For the reader: symbols, then the layers, then what calls them.
  Block *body = module->getBody();
  SmallVector<func::FuncOp> functions;
  for (func::FuncOp func : body->getOps<func::FuncOp>())
    if (func.isPrivate())
      functions.push_back(func);
  functions.append(entries);
  for (func::FuncOp func : functions)
    func->moveBefore(body, body->end());
  if (llvm::Error e = parameters.takeError())
    return e;
  return std::move(module);
}

/// Whether there is one layer to draft with.
static llvm::Error checkDrafts(const ModelConfig &config,
                               const ImportOptions &options) {
  if (options.maxDrafts == 0 || config.mtpLayers == 1)
    return llvm::Error::success();
  return makeError(
      1005,
      "--mtp {0} needs one layer of multi-token prediction, and config.json "
      "announces {1} ('num_nextn_predict_layers'); {2}compile without --mtp",
      options.maxDrafts, config.mtpLayers,
      config.mtpLayers ? "more than one is not implemented: " : "");
}

llvm::Expected<OwningOpRef<ModuleOp>>
hadal::importModel(MLIRContext *context, const ModelConfig &config,
                   const ImportOptions &options, const Checkpoint *checkpoint) {
  if (llvm::Error error = checkMaxSeqLen(config, options.maxSeqLen))
    return std::move(error);
  if (llvm::Error error = checkDrafts(config, options))
    return std::move(error);
  if (llvm::Error error = checkSizes(config, options))
    return std::move(error);
  return Importer(context, config, options, checkpoint).run();
}
