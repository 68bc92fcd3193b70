#include "compiler/codegen/cpu/CompiledChunk.h"

#include "compiler/codegen/CacheCoding.h"

namespace hadal::cpu {

template <typename Coder, typename Chunk>
static void visit(Coder &c, Chunk &chunk) {
  c.list(chunk.kernels, [&](auto &kernel) {
    c.field(kernel.name);
    c.field(kernel.scratchBytes);
    c.field(kernel.numArgs);
  });
  c.list(chunk.forms, [&](auto &form) {
    auto &tuning = form.tuning;
    static_assert(std::tuple_size_v<decltype(form.tie())> == 5 &&
                      std::tuple_size_v<decltype(tuning.tie())> == 9 &&
                      std::tuple_size_v<decltype(tuning.tile.tie())> == 2,
                  "every field of a form's key is kept");
    c.field(form.kind);
    c.field(form.x);
    c.field(form.w);
    c.field(form.m);
    c.field(tuning.prefetch);
    c.field(tuning.unroll);
    c.field(tuning.kGroup);
    c.field(tuning.prefetchBlocks);
    c.field(tuning.chunkBytes);
    c.field(tuning.decodedRows);
    c.field(tuning.panelUnroll);
    c.field(tuning.tile.rows);
    c.field(tuning.tile.vectors);
    c.field(tuning.tile256.rows);
    c.field(tuning.tile256.vectors);
  });
  c.field(chunk.object);
}

KernelKey keyOfChunk(llvm::StringRef tileText, Variant variant) {
  return KernelKey::of({"cpu", variantName(variant), tileText});
}

KernelKey keyOfForms(llvm::ArrayRef<FormKey> forms, Variant variant) {
  std::string symbols;
  for (const FormKey &form : forms)
    symbols += formSymbol(form) + "\n";
  return KernelKey::of({"cpu forms", variantName(variant), symbols});
}

std::string encodeChunk(const CompiledChunk &chunk) {
  CacheEncoder encoder;
  visit(encoder, chunk);
  return std::move(encoder.bytes);
}

std::optional<CompiledChunk> decodeChunk(llvm::StringRef content) {
  CacheDecoder decoder{content};
  CompiledChunk chunk;
  visit(decoder, chunk);
  if (!decoder.finished())
    return std::nullopt;
  return chunk;
}

} // namespace hadal::cpu
