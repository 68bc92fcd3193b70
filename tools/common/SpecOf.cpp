#include "tools/common/SpecOf.h"

namespace hadal {

kernels::ParsedSpec specOf(const schema::Kernel &kernel) {
  if (!kernel.spec())
    return {{}, "it has no spec"};
  kernels::SpecText text;
  text.kind = kernel.spec()->kind()->str();
  for (const schema::KeyValue *field : *kernel.spec()->fields())
    text.fields.emplace_back(field->key()->str(), field->value()->str());
  return kernels::parseSpec(text);
}

} // namespace hadal
