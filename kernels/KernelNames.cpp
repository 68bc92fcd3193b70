#include "kernels/KernelNames.h"

#include <bit>
#include <charconv>
#include <string>
#include <vector>

namespace hadal::kernels {

namespace {

/// The words of a name behind its base. Every word is taken at most once; a name
/// is understood if all that must be there was and no word is left.
class Words {
public:
  explicit Words(std::string_view text) {
    while (!text.empty()) {
      size_t end = text.find('_');
      words.emplace_back(text.substr(0, end));
      text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
    }
  }

  bool take(std::string_view word) {
    for (std::string_view &w : words)
      if (w == word) {
        w = {};
        return true;
      }
    return false;
  }
  void need(bool present) { complete &= present; }

  /// The number behind |key|, or |absent| where that is given.
  int64_t number(std::string_view key, std::optional<int64_t> absent = {}) {
    int64_t value = 0;
    if (read(key, value, 10))
      return value;
    need(absent.has_value());
    return absent.value_or(0);
  }
  double real(std::string_view key) {
    uint64_t bits = 0;
    need(read(key, bits, 16));
    return std::bit_cast<double>(bits);
  }
  Weight weight() {
    for (auto [word, value] : {std::pair{"wfp8", Weight::fp8},
                               {"wbf16", Weight::bf16},
                               {"wf32", Weight::f32}})
      if (take(word))
        return value;
    need(false);
    return Weight::fp8;
  }
  void common(Common &spec) {
    bool bf16 = take("bf16");
    spec.act = bf16 ? Act::bf16 : Act::f32;
    need(bf16 || take("f32"));
    spec.scaleFormat = take("ue8m0") ? ScaleFormat::ue8m0 : ScaleFormat::f32;
    spec.target = take("sm90a") ? Target::sm90a : Target::cpu;
  }
  bool understood() const {
    for (std::string_view w : words)
      if (!w.empty())
        return false;
    return complete;
  }

private:
  template <typename T> bool read(std::string_view key, T &value, int base) {
    for (std::string_view &w : words) {
      if (!w.starts_with(key) || w.size() == key.size())
        continue;
      const char *end = w.data() + w.size();
      auto [at, error] =
          std::from_chars(w.data() + key.size(), end, value, base);
      if (error == std::errc() && at == end) {
        w = {};
        return true;
      }
    }
    return false;
  }

  std::vector<std::string_view> words;
  bool complete = true;
};

void parse(Words &w, EmbedSpec &s) {
  s.table = w.weight();
  s.vocab = w.number("v");
  s.hidden = w.number("d");
}
void parse(Words &w, NormQuantSpec &s) {
  s.width = w.number("w");
  s.eps = w.real("eps");
  s.delta = w.take("delta");
  s.emitAct = w.take("act");
  s.quantize = w.take("quant");
  s.gather = w.take("gather");
}
void parse(Words &w, QuantizeSpec &s) { s.width = w.number("w"); }
void parse(Words &w, AddSpec &s) { s.width = w.number("w"); }
void parse(Words &w, SiluMulSpec &s) { s.width = w.number("w"); }
void parse(Words &w, GemmSpec &s) {
  s.epilogue = w.take("residual")  ? Epilogue::residual
               : w.take("rope")    ? Epilogue::rope
               : w.take("swiglu")  ? Epilogue::swiglu
               : w.take("swigluq") ? Epilogue::swigluQuantize
                                   : Epilogue::none;
  if (s.epilogue == Epilogue::none)
    w.need(w.take("plain"));
  s.weight = w.weight();
  s.quantizedInput = w.take("xfp8");
  s.n = w.number("n");
  s.k = w.number("k");
  s.rows = w.number("r");
  s.f32Output = w.take("outf32");
  s.logitRows = w.take("logits");
  s.experts = w.number("e", 0);
  s.gather = w.take("gather");
  s.segmentRows = w.number("seg", 0);
  if (s.epilogue == Epilogue::rope) {
    s.headDim = w.number("hd");
    s.ropeDim = w.number("rd");
    s.positions = w.number("p");
  }
}
void parse(Words &w, LatentNormRopeCacheSpec &s) {
  s.qLora = w.number("q");
  s.latent = w.number("c");
  s.rope = w.number("r");
  s.positions = w.number("p");
  s.eps = w.real("eps");
  s.quantize = w.take("quant");
}
void parse(Words &w, AbsorbQSpec &s) {
  s.weight = w.weight();
  s.heads = w.number("h");
  s.nope = w.number("dn");
  s.rope = w.number("dr");
  s.value = w.number("dv");
  s.latent = w.number("c");
  s.rows = w.number("r");
}
void parse(Words &w, AbsorbVSpec &s) {
  s.weight = w.weight();
  s.heads = w.number("h");
  s.nope = w.number("dn");
  s.value = w.number("dv");
  s.latent = w.number("c");
  s.rows = w.number("r");
  s.quantize = w.take("quant");
}
void parse(Words &w, MlaDecodeSpec &s) {
  s.heads = w.number("h");
  s.latent = w.number("c");
  s.rope = w.number("r");
  s.pageSize = w.number("page");
  s.maxQueries = w.number("s");
  s.softmaxScale = w.real("scale");
  s.rows = w.number("rows");
  s.maxKeys = w.number("keys");
}
void parse(Words &w, MlaPrefillSpec &s) {
  s.weight = w.weight();
  s.heads = w.number("h");
  s.nope = w.number("dn");
  s.rope = w.number("dr");
  s.value = w.number("dv");
  s.latent = w.number("c");
  s.pageSize = w.number("page");
  s.maxQueries = w.number("s");
  s.softmaxScale = w.real("scale");
  s.quantizeLatent = w.take("cfp8");
  s.quantize = w.take("quant");
}
void parse(Words &w, GateTopkSpec &s) {
  s.sigmoid = w.take("sigmoid");
  w.need(s.sigmoid || w.take("softmax"));
  s.experts = w.number("e");
  s.topk = w.number("k");
  s.groups = w.number("g");
  s.topkGroups = w.number("tg");
  s.bias = w.take("bias");
  s.groupTop2 = w.take("top2");
  s.normalize = w.take("norm");
  s.routeScale = w.real("scale");
}
void parse(Words &w, MoePermuteSpec &s) {
  s.experts = w.number("e");
  s.topk = w.number("k");
  s.tokens = w.number("t");
}
void parse(Words &w, MoeCombineSpec &s) {
  s.hidden = w.number("d");
  s.topk = w.number("k");
  s.shared = w.take("shared");
}

template <typename Spec>
std::optional<AnySpec> parseAs(std::string_view base, std::string_view name) {
  if (!name.starts_with(base) || name.size() <= base.size() ||
      name[base.size()] != '_')
    return std::nullopt;
  Words words(name.substr(base.size() + 1));
  Spec spec{};
  words.common(spec);
  parse(words, spec);
  if (!words.understood())
    return std::nullopt;
  return spec;
}

} // namespace

std::optional<AnySpec> parseKernelName(std::string_view name) {
  using Parser = std::optional<AnySpec> (*)(std::string_view, std::string_view);
  static constexpr std::pair<std::string_view, Parser> kernels[] = {
      {"embed", parseAs<EmbedSpec>},
      {"norm_quant", parseAs<NormQuantSpec>},
      {"quantize", parseAs<QuantizeSpec>},
      {"add", parseAs<AddSpec>},
      {"gemm", parseAs<GemmSpec>},
      {"latent_norm_rope_cache", parseAs<LatentNormRopeCacheSpec>},
      {"absorb_q", parseAs<AbsorbQSpec>},
      {"absorb_v", parseAs<AbsorbVSpec>},
      {"mla_decode", parseAs<MlaDecodeSpec>},
      {"mla_prefill", parseAs<MlaPrefillSpec>},
      {"gate_topk", parseAs<GateTopkSpec>},
      {"moe_permute", parseAs<MoePermuteSpec>},
      {"moe_combine", parseAs<MoeCombineSpec>},
      {"silu_mul", parseAs<SiluMulSpec>}};
  for (auto [base, parser] : kernels)
    if (std::optional<AnySpec> spec = parser(base, name))
      return spec;
  return std::nullopt;
}

} // namespace hadal::kernels
