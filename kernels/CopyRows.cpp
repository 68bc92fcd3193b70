// The kernels that move rows as they are between memory of one rank: copy_rows,
// join_columns.
#include "kernels/KernelBuilder.h"

namespace hadal::kernels {

static Type elementOf(KernelBuilder &k, Moved element) {
  switch (element) {
  case Moved::act:
    return k.act();
  case Moved::f32:
    return k.f32();
  case Moved::i32:
    return k.i32();
  }
  llvm_unreachable("all elements are named");
}

tile::KernelOp buildCopyRows(OpBuilder &builder, Location loc, StringRef name,
                             const CopyRowsSpec &spec,
                             const schedule::Schedule &schedule) {
  KernelBuilder k(builder, loc, name, spec, schedule);
  if (!k.require(spec.width > 0, "needs a width"))
    return {};
  tile::ViewType rows = k.view({-1, spec.width}, elementOf(k, spec.element));
  unsigned x = k.arg("x", rows);
  unsigned out = k.arg("out", rows);
  int64_t columns = k.word("columns");
  k.rowDim();
  k.dim(spec.width, columns);
  k.begin();
  Value m = k.coordinate(0), n = k.coordinate(1), from = m;
  if (spec.fromSlice)
    from = k.add(k.size(tile::SizeName::SliceBegin), m);
  k.store(k[out], {m, n}, k.load(k[x], {from, n}, {1, columns}));
  return k.end();
}

tile::KernelOp buildJoinColumns(OpBuilder &builder, Location loc,
                                StringRef name, const JoinColumnsSpec &spec,
                                const schedule::Schedule &schedule) {
  KernelBuilder k(builder, loc, name, spec, schedule);
  if (!k.require(spec.width > 0 && spec.ranks > 0 && spec.rows > 0,
                 "needs positive shapes"))
    return {};
  // As many rows of |width| columns: those that a rank has are then whole rows
  // on both sides, whatever the step of columns.
  unsigned x = k.arg("x", k.view({-1, spec.width}, k.f32()));
  unsigned out = k.arg("out", k.view({-1, spec.width}, k.f32()));
  int64_t columns = k.word("columns");
  k.dim(-1, 1, tile::Bound::LogitRows);
  k.dim(spec.ranks, 1);
  k.dim(spec.width, columns);
  k.begin();
  Value m = k.coordinate(0), rank = k.coordinate(1), n = k.coordinate(2);
  Value from = k.add(k.mulIndex(rank, spec.rows), m);
  Value to = k.add(k.mulIndex(m, spec.ranks), rank);
  k.store(k[out], {to, n}, k.load(k[x], {from, n}, {1, columns}));
  return k.end();
}

} // namespace hadal::kernels
