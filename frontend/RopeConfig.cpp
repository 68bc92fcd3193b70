// The rotary embedding, from `rope_scaling` + `rope_theta`, `rope_parameters`,
// or both.
#include "frontend/ConfigParts.h"

using namespace hadal;
namespace json = llvm::json;

namespace {

/// A number that several places may hold if they agree.
struct Agreed {
  llvm::StringLiteral key;
  double low, high;
  std::optional<double> value;
  std::string place; ///< the name of |value|, as the file spells it

  /// Takes the number of |fields| if there is one; H1004 if it is another.
  void add(ConfigFields &fields) {
    if (!fields.has(key))
      return;
    double found = fields.number(key, std::nullopt, low, high);
    if (value && *value != found)
      fields.fail(1004, "'{0}' is {1} but '{2}' is {3}", place,
                  jsonText(*value), fields.name(key), jsonText(found));
    value = found;
    place = fields.name(key);
  }
};

} // namespace

static YarnConfig parseYarn(ConfigFields &r, ConfigFields &f) {
  YarnConfig y;
  y.originalLength =
      r.integer("original_max_position_embeddings", std::nullopt, 1);
  if (r.has("factor"))
    y.factor = r.number("factor", std::nullopt, 1e-3, 1e6);
  else // As HF: the ratio of the lengths.
    y.factor = f.integer("max_position_embeddings", std::nullopt, 1) /
               static_cast<double>(y.originalLength);
  // HF reads zero as "not given".
  auto orDefault = [](double v, double d) { return v == 0 ? d : v; };
  y.betaFast = orDefault(r.number("beta_fast", 32.0, 0, 1e6), 32);
  y.betaSlow = orDefault(r.number("beta_slow", 1.0, 0, 1e6), 1);
  y.mscale = r.number("mscale", 0.0, 0, 1e3);
  y.mscaleAllDim = r.number("mscale_all_dim", 0.0, 0, 1e3);
  if (r.has("attention_factor"))
    y.attentionFactor = r.number("attention_factor", std::nullopt, 1e-6, 1e6);
  y.truncate = r.boolean("truncate", true);
  return y;
}

/// What |r| says of a stretched context; none where it is not stretched.
static std::optional<YarnConfig> parseObject(ConfigFields &r, ConfigFields &f) {
  std::string type = r.string("rope_type", "");
  std::string old = r.string("type", type);
  if (!type.empty() && type != old)
    r.fail(1004, "'{0}' is \"{1}\" but '{2}' is \"{3}\"", r.name("rope_type"),
           type, r.name("type"), old);
  if (old == "yarn")
    return parseYarn(r, f);
  if (!old.empty() && old != "default")
    r.fail(1005, "'{0}' \"{1}\" is not supported; known: default, yarn",
           r.name(r.has("type") ? "type" : "rope_type"), old);
  // YaRN's other keys only shape the stretch that these two make.
  for (llvm::StringRef key : {"factor", "attention_factor"})
    if (double value = r.number(key, 1.0, 1e-6, 1e6); value != 1)
      r.fail(1004,
             "'{0}' is {1}, but a rotary embedding of type \"default\" "
             "has none; expected \"yarn\"",
             r.name(key), jsonText(value));
  return std::nullopt;
}

void hadal::parseRope(ConfigFields &f, ModelConfig &c, FirstError &error) {
  Agreed theta{"rope_theta", 1.0001, 1e12, {}, {}};
  Agreed partial{"partial_rotary_factor", 0, 1, {}, {}};
  theta.add(f);
  partial.add(f);
  std::optional<std::optional<YarnConfig>> known;
  for (llvm::StringRef where : {"rope_scaling", "rope_parameters"}) {
    const json::Object *object = f.child(where);
    if (!object)
      continue;
    ConfigFields r(*object, KeyScope::Rope, error, (where + ".").str());
    r.refuseFeatures();
    theta.add(r);
    partial.add(r);
    std::optional<YarnConfig> yarn = parseObject(r, f);
    std::vector<std::string> none;
    r.refuseUnknown(/*allow=*/false, none);
    if (known && (known->has_value() != yarn.has_value() ||
                  (yarn && !(*known)->meansTheSame(*yarn))))
      f.fail(1004, "'rope_scaling' and 'rope_parameters' are both given and "
                   "differ; keep one");
    known = yarn;
    c.yarn = yarn;
  }
  c.ropeTheta = theta.value.value_or(10000);
  // 1, or the share of a head that the rotary width is.
  if (partial.value.value_or(1) != 1 &&
      (!f.has("head_dim") ||
       *partial.value * f.integer("head_dim", std::nullopt, 1) != c.rope))
    f.fail(1005,
           "'{0}' is {1}: a rotation of a part of the {2} values of "
           "'qk_rope_head_dim' is not supported",
           partial.place, jsonText(*partial.value), c.rope);
}
