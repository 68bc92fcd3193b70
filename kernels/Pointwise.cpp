// The kernels that map each element (or group of 128) on its own: quantize,
// add, silu_mul.
#include "kernels/KernelBuilder.h"

namespace hadal::kernels {

tile::KernelOp buildQuantize(OpBuilder &builder, Location loc, StringRef name,
                             const QuantizeSpec &spec,
                             const schedule::Schedule &schedule) {
  KernelBuilder k(builder, loc, name, spec, schedule);
  if (!k.require(spec.width > 0, "needs a width"))
    return {};
  unsigned x = k.arg("x", k.actView({-1, spec.width}));
  unsigned q = k.arg("q", k.quantizedView(spec.width));
  int64_t columns = k.word("columns");
  k.rowDim();
  k.dim(spec.width, columns);
  k.begin();
  SmallVector<Value> at{k.coordinate(0), k.coordinate(1)};
  k.store(k[q], at, k.quantize(k.toF32(k.load(k[x], at, {1, columns}))));
  return k.end();
}

/// out = combine(a, b), elementwise in f32, rounded once; b is of |second|.
static tile::KernelOp
buildBinary(KernelBuilder &k, int64_t width, std::array<StringRef, 3> names,
            Type second,
            llvm::function_ref<Value(Value, Value)> combine) {
  if (!k.require(width > 0, "needs a width"))
    return {};
  unsigned a = k.arg(names[0], k.actView({-1, width}));
  unsigned c = k.arg(names[1], k.view({-1, width}, second));
  unsigned out = k.arg(names[2], k.actView({-1, width}));
  int64_t columns = k.word("columns");
  k.rowDim();
  k.dim(width, columns);
  k.begin();
  SmallVector<Value> at{k.coordinate(0), k.coordinate(1)};
  Value x = k.toF32(k.load(k[a], at, {1, columns}));
  Value y = k.toF32(k.load(k[c], at, {1, columns}));
  k.store(k[out], at, k.toAct(combine(x, y)));
  return k.end();
}

tile::KernelOp buildAdd(OpBuilder &builder, Location loc, StringRef name,
                        const AddSpec &spec,
                        const schedule::Schedule &schedule) {
  KernelBuilder k(builder, loc, name, spec, schedule);
  return buildBinary(k, spec.width, {"a", "b", "out"},
                     spec.f32Addend ? k.f32() : k.act(),
                     [&](Value x, Value y) { return k.addf(x, y); });
}

tile::KernelOp buildSiluMul(OpBuilder &builder, Location loc, StringRef name,
                            const SiluMulSpec &spec,
                            const schedule::Schedule &schedule) {
  KernelBuilder k(builder, loc, name, spec, schedule);
  return buildBinary(k, spec.width, {"gate", "up", "y"}, k.act(),
                     [&](Value x, Value y) { return k.mulf(k.silu(x), y); });
}

} // namespace hadal::kernels
