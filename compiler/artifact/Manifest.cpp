#include "compiler/artifact/Manifest.h"

using namespace mlir;

namespace hadal {

Manifest::Strings Manifest::strings(ArrayAttr attributes) {
  std::vector<fb::Offset<fb::String>> out;
  if (attributes)
    for (auto text : attributes.getAsRange<StringAttr>())
      out.push_back(string(text));
  return b.CreateVector(out);
}

schema::DType dtypeOf(Type type) {
  if (type.isF32())
    return schema::DType::f32;
  if (type.isBF16())
    return schema::DType::bf16;
  if (isa<Float8E4M3FNType>(type))
    return schema::DType::f8e4m3fn;
  if (isa<Float8E8M0FNUType>(type))
    return schema::DType::f8e8m0fnu;
  if (type.isInteger(32))
    return schema::DType::i32;
  if (type.isInteger(64))
    return schema::DType::i64;
  return type.isInteger(8) ? schema::DType::u8 : schema::DType::none;
}

} // namespace hadal
