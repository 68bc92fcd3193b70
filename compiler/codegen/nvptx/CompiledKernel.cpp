#include "compiler/codegen/nvptx/CompiledKernel.h"

#include "compiler/codegen/CacheCoding.h"
#include "cost/Chip.h"

namespace hadal::nvptx {

template <typename Coder, typename Kernel>
static void visit(Coder &c, Kernel &compiled) {
  auto &k = compiled.kernel;
  c.field(k.name);
  c.field(k.ptx);
  c.field(k.threads);
  c.field(k.sharedBytes);
  c.field(k.ctasPerItem);
  c.field(k.persistent);
  c.field(k.workspaceFixed);
  c.field(k.workspacePerItem);
  c.field(k.ptxIsa);
  c.field(k.driverMinimum);
  c.list(k.tensorMaps, [&](auto &map) {
    c.field(map.slot);
    c.field(map.dataType);
    c.field(map.swizzle);
    c.list(map.dims, [&](auto &dim) {
      c.field(dim.extent);
      c.field(dim.extentSlot);
      c.field(dim.strideBytes);
      c.field(dim.box);
    });
  });
  c.field(compiled.cubin);
}

template <typename Coder, typename Facts>
static void visitFacts(Coder &c, Facts &facts) {
  c.field(facts.registers);
  c.field(facts.barriers);
  c.field(facts.spillStoreBytes);
  c.field(facts.spillLoadBytes);
  c.field(facts.stackBytes);
  c.field(facts.sharedBytes);
  c.list(facts.advice, [&](auto &line) { c.field(line); });
}

KernelKey keyOf(llvm::StringRef tileText, const Chip &chip,
                const Ptxas *ptxas) {
  return KernelKey::of({"sm_90a", chip.name,
                        ptxas ? llvm::StringRef(ptxas->version) : "none",
                        tileText});
}

std::string encodeKernel(const CompiledKernel &kernel) {
  CacheEncoder encoder;
  visit(encoder, kernel);
  encoder.field(kernel.facts.has_value());
  if (kernel.facts)
    visitFacts(encoder, *kernel.facts);
  return std::move(encoder.bytes);
}

std::optional<CompiledKernel> decodeKernel(llvm::StringRef content) {
  CacheDecoder decoder{content};
  CompiledKernel kernel;
  visit(decoder, kernel);
  bool hasFacts = false;
  decoder.field(hasFacts);
  if (hasFacts)
    visitFacts(decoder, kernel.facts.emplace());
  if (!decoder.finished())
    return std::nullopt;
  return kernel;
}

} // namespace hadal::nvptx
