#include "kernels/SpecAttr.h"

using namespace mlir;

namespace hadal::kernels {

tile::SpecAttr toAttr(MLIRContext *context, const AnySpec &spec) {
  Builder b(context);
  SmallVector<NamedAttribute> fields;
  for (const auto &[name, value] : valuesOf(spec)) {
    Attribute attribute;
    if (const auto *flag = std::get_if<bool>(&value))
      attribute = b.getBoolAttr(*flag);
    else if (const auto *word = std::get_if<std::string_view>(&value))
      attribute = b.getStringAttr(*word);
    else if (const auto *real = std::get_if<double>(&value))
      attribute = b.getF64FloatAttr(*real);
    else
      attribute = b.getI64IntegerAttr(std::get<int64_t>(value));
    fields.push_back(b.getNamedAttr(name, attribute));
  }
  return tile::SpecAttr::get(context, b.getStringAttr(kindOf(spec)),
                             b.getDictionaryAttr(fields));
}

SpecText toText(tile::SpecAttr spec) {
  SpecText text;
  text.kind = spec.getKind().str();
  for (NamedAttribute field : spec.getFields()) {
    SpecValue value;
    // A bool is an integer of one bit.
    if (auto flag = dyn_cast<BoolAttr>(field.getValue()))
      value = flag.getValue();
    else if (auto number = dyn_cast<IntegerAttr>(field.getValue()))
      value = number.getInt();
    else if (auto real = dyn_cast<FloatAttr>(field.getValue()))
      value = real.getValueAsDouble();
    else
      value = std::string_view(cast<StringAttr>(field.getValue()).getValue());
    text.fields.emplace_back(field.getName().str(), printValue(value));
  }
  return text;
}

FailureOr<AnySpec> readSpec(tile::KernelOp kernel) {
  StringRef name = kernel.getSymName();
  if (!kernel.getSpecAttr())
    return kernel.emitError("kernel '") << name << "' has no spec";
  ParsedSpec parsed = parseSpec(toText(kernel.getSpecAttr()));
  if (!parsed.spec)
    return kernel.emitError("kernel '")
           << name << "': spec: " << parsed.error;
  return *parsed.spec;
}

} // namespace hadal::kernels
