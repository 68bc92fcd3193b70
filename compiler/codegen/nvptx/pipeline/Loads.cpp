// Views, loads by TMA and by plain instructions, block scales.
#include "compiler/codegen/nvptx/pipeline/PipelineEmitter.h"

using namespace mlir;

namespace hadal::nvptx {

using namespace hadal::tile;

void PipelineEmitter::emitArguments(sm90::KernelOp target) {
  sm90::AsmBuilder &b = *builder;
  unsigned slot = 0;
  auto next = [&] { return target.getBodyBlock().getArgument(slot++); };
  for (BlockArgument arg : kernel.getKernelArguments()) {
    auto type = dyn_cast<ViewType>(arg.getType());
    if (!type) {
      sizes = next();
      continue;
    }
    auto view = std::make_unique<ViewRef>();
    view->type = type;
    view->dataSlot = slot;
    view->data = next();
    if (type.isScaled())
      view->scale = next();
    for (int64_t extent : type.getShape()) {
      view->extentSlots.push_back(extent < 0 ? slot : -1);
      view->extents.push_back(extent < 0 ? Value(next()) : b.i64(extent));
    }
    views[arg] = std::move(view);
  }
  if (split > 1)
    workspace = next();
}

Value PipelineEmitter::byteOffset(Value pointer, Value bytes) {
  sm90::AsmBuilder &b = *builder;
  return LLVM::GEPOp::create(b, pointer.getType(), b.getI8Type(), pointer,
                             ArrayRef<LLVM::GEPArg>{bytes});
}

Value PipelineEmitter::loadGlobal(Type type, Value pointer, int64_t offset,
                                  int64_t align) {
  sm90::AsmBuilder &b = *builder;
  if (offset)
    pointer = byteOffset(pointer, b.i64(offset));
  return LLVM::LoadOp::create(b, type, pointer, align);
}

LogicalResult PipelineEmitter::emitView(Operation *op) {
  sm90::AsmBuilder &b = *builder;
  if (auto paged = dyn_cast<PagedOp>(op)) {
    ViewRef *pool = views.find(paged.getPool())->second.get();
    const ViewRef &table = *views.find(paged.getTable())->second;
    auto view = std::make_unique<ViewRef>(*pool);
    view->type = cast<ViewType>(paged.getResult().getType());
    view->extents = {scalar(paged.getExtent()), pool->extents[2]};
    view->pageTable = table.data;
    view->pageBase = b.mul(scalar(paged.getRow()), table.extents[1]);
    view->pageSize = pool->type.getShape()[1];
    view->pool = pool;
    views[paged.getResult()] = std::move(view);
    return success();
  }
  auto rows = cast<RowsOp>(op);
  ViewRef *source = views.find(rows.getView())->second.get();
  auto view = std::make_unique<ViewRef>(*source);
  view->type = cast<ViewType>(rows.getResult().getType());
  view->source = source;
  view->extents[0] = b.i64(view->type.getShape()[0]);
  TileValue indices = tiles.lookup(rows.getIndices());
  int64_t count = view->type.getShape()[0];
  if (producer) {
    // Lane l holds the source rows of rows l, l + 32, ...
    if (indices.kind == TileValue::function) {
      SmallVector<Value> lanes;
      for (int64_t j = 0; j < (count + 31) / 32; ++j) {
        Value index = indices.fn(b.add(lane, b.i32(32 * j)), b.i32(0));
        lanes.push_back(index.getType().isInteger(64) ? b.trunc32(index)
                                                      : index);
      }
      view->gatherRegs = b.pack(
          lanes, VectorType::get({static_cast<int64_t>(lanes.size())},
                                 b.getI32Type()));
    }
  } else if (transposed() && feedsDot(rows)) {
    view->gatherRegs = tokenRows(rows);
  } else {
    FailureOr<Fragment> frag = materialize(op, rows.getIndices());
    if (failed(frag))
      return failure();
    view->gatherRegs = frag->regs;
    if (cast<VectorType>(frag->regs.getType()).getElementType().isInteger(64))
      view->gatherRegs = arith::TruncIOp::create(
          b, VectorType::get({2}, b.getI32Type()), frag->regs);
  }
  views[rows.getResult()] = std::move(view);
  return success();
}

Value PipelineEmitter::pageOf(const ViewRef &view, Value row) {
  sm90::AsmBuilder &b = *builder;
  Value page = b.udiv(row, b.i64(view.pageSize));
  return loadGlobal(
      b.getI32Type(),
      byteOffset(view.pageTable, b.mul(b.add(view.pageBase, page), b.i64(4))));
}

Value PipelineEmitter::rowPointer(const ViewRef &view, ArrayRef<Value> leading,
                                  Value row) {
  sm90::AsmBuilder &b = *builder;
  int64_t bytes = view.type.getElementType().getIntOrFloatBitWidth() / 8;
  if (view.pageTable) {
    Value id = arith::ExtUIOp::create(b, b.getI64Type(), pageOf(view, row));
    row = b.add(b.mul(id, b.i64(view.pageSize)),
                b.urem(row, b.i64(view.pageSize)));
  }
  if (view.type.getRank() == 1) // a vector: the row is the element
    return byteOffset(view.data, b.mul(row, b.i64(bytes)));
  Value linear;
  for (auto [i, index] : llvm::enumerate(leading))
    linear = linear ? b.add(b.mul(linear, view.extents[i]), index) : index;
  if (linear)
    row = b.add(b.mul(linear, view.extents[leading.size()]), row);
  int64_t fixed = rowPitchBytes(view.type);
  Value pitch =
      fixed ? b.i64(fixed) : b.mul(view.extents.back(), b.i64(bytes));
  return byteOffset(view.data, b.mul(row, pitch));
}

//===----------------------------------------------------------------------===//
// Loads
//===----------------------------------------------------------------------===//

LogicalResult PipelineEmitter::loadShared(LoadOp load, Value tile,
                                          Scalars &local) {
  sm90::AsmBuilder &b = *builder;
  const ViewRef &view = *views.find(load.getView())->second;
  Value &map = maps[load];
  if (!map) {
    map = target.addTensorMap(mapOf(load));
    OpBuilder::InsertionGuard guard(b);
    b.setInsertionPointToStart(&target.getBodyBlock());
    sm90::PrefetchMapOp::create(b, map);
  }
  const OpenStage &stage = open.back();
  SmallVector<Value> indices;
  for (Value index : load.getIndices())
    indices.push_back(scalar(index, local));
  if (view.source) {
    if (!view.gatherRegs)
      return load.emitOpError("has no sm_90a lowering: the rows that it gathers "
                              "are computed in registers");
    sm90::TmaGatherOp::create(b, map, b.trunc32(indices.back()),
                              view.gatherRegs, tile, stage.plan->ring,
                              stage.iteration);
    return success();
  }
  SmallVector<Value> coordinates;
  if (view.pageTable) {
    // A tile lies in one page; its rows beyond the sequence are whatever the
    // page holds, and the body masks them.
    int64_t rows = cast<sm90::TileType>(tile.getType()).getRows();
    if (view.pageSize % rows != 0)
      return load.emitOpError("has no sm_90a lowering: a tile of ")
             << rows << " rows crosses pages of " << view.pageSize;
    Value id = pageOf(view, indices[0]);
    coordinates = {b.trunc32(indices[1]),
                   b.trunc32(b.urem(indices[0], b.i64(view.pageSize))), id};
  } else {
    for (Value index : llvm::reverse(indices))
      coordinates.push_back(b.trunc32(index));
  }
  sm90::TmaLoadOp::create(b, map, coordinates, tile, stage.plan->ring,
                          stage.iteration);
  return success();
}

LogicalResult PipelineEmitter::emitLoad(LoadOp load) {
  const ViewRef &view = *views.find(load.getView())->second;
  auto type = cast<RankedTensorType>(load.getTile().getType());
  if (sharedLoads.contains(load)) {
    TileValue shared = tiles.lookup(load.getTile());
    if (producer)
      return loadShared(load, shared.value, scalars);
    if (Value s = load.getScales(); s && !tiles.count(s) && !s.use_empty()) {
      SmallVector<Value> indices;
      for (Value index : load.getIndices())
        indices.push_back(scalar(index));
      auto dot = dyn_cast<DotScaledOp>(*s.user_begin());
      TileValue value;
      value.kind = TileValue::scales;
      value.value = loadScales(load, indices, dot && dot.getSa() == s);
      tiles[s] = value;
    }
    return success();
  }
  if (load.getScales())
    return load.emitOpError("has no sm_90a lowering: a scaled tile that is no "
                            "operand of wgmma");
  if (type.getRank() == 2 && type.getDimSize(1) > 1 && type.getDimSize(0) > 1)
    return producer ? success() : loadFragment(load);
  if (view.source)
    return load.emitOpError("has no sm_90a lowering: a gather of one column");

  // Read where it is used, straight from global memory, at each use again.
  // Hazard: a store to the same memory between the load and a use would be
  // seen; that the kernel has none is not checked.
  SmallVector<Value> indices;
  for (Value index : load.getIndices())
    indices.push_back(scalar(index));
  float pad = load.getPad() ? load.getPad()->convertToFloat() : 0.0f;
  bool vectorTile = type.getRank() == 1;
  bool vectorView = view.type.getRank() == 1;
  ViewRef copy = view;
  setFunction(load.getTile(), [=, this](Value row, Value col) -> Value {
    sm90::AsmBuilder &b = *builder;
    auto wide = [&](Value v) -> Value {
      return arith::ExtSIOp::create(b, b.getI64Type(), v);
    };
    // A rank-1 tile is indexed by its row; of a matrix it is one row.
    Value r = indices.size() >= 2 ? indices[indices.size() - 2] : b.i64(0);
    Value c = indices.back();
    if (vectorTile)
      c = b.add(c, wide(row));
    else {
      r = b.add(r, wide(row));
      c = b.add(c, wide(col));
    }
    Value inside =
        b.cmp(arith::CmpIPredicate::ult, c, copy.extents.back());
    if (!vectorView)
      inside = b.bitAnd(inside,
                        b.cmp(arith::CmpIPredicate::ult, r,
                              copy.extents[copy.extents.size() - 2]));
    c = arith::SelectOp::create(b, inside, c, b.i64(0));
    r = arith::SelectOp::create(b, inside, r, b.i64(0));
    Type element = copy.type.getElementType();
    int64_t bytes = element.getIntOrFloatBitWidth() / 8;
    ArrayRef<Value> leading = ArrayRef<Value>(indices);
    leading = leading.drop_back(std::min<size_t>(2, leading.size()));
    Value pointer = vectorView
                        ? rowPointer(copy, {}, c)
                        : byteOffset(rowPointer(copy, leading, r),
                                     b.mul(c, b.i64(bytes)));
    Value loaded = loadGlobal(element, pointer);
    TypedAttr padding =
        isa<FloatType>(element)
            ? TypedAttr(b.getFloatAttr(element, pad))
            : TypedAttr(b.getIntegerAttr(element, static_cast<int64_t>(pad)));
    return arith::SelectOp::create(b, inside, loaded,
                                   arith::ConstantOp::create(b, padding));
  });
  return success();
}

// Two adjacent columns per access, four lanes side by side. What lies beyond
// the view reads row or column 0 and becomes zero: a select in place of a
// branch.
LogicalResult PipelineEmitter::loadFragment(LoadOp load) {
  sm90::AsmBuilder &b = *builder;
  const ViewRef &view = *views.find(load.getView())->second;
  auto type = cast<RankedTensorType>(load.getTile().getType());
  Type element = type.getElementType();
  int64_t bytes = element.getIntOrFloatBitWidth() / 8;
  Fragment frag = layoutOf(type);
  int64_t inner = view.type.getShape().back();
  if (frag.cols % 8 != 0 || view.type.getRank() != 2 || view.pageTable ||
      load.getPad() || inner < 0 || (bytes != 2 && bytes != 4))
    return load.emitOpError("has no sm_90a lowering: a tile of ")
           << type << " in registers";
  Value row0 = scalar(load.getIndices()[0]), col0 = scalar(load.getIndices()[1]);
  bool paired = divisor(load.getIndices()[1]) % 2 == 0 && inner % 2 == 0;
  bool ragged = divisor(load.getIndices()[1]) % frag.cols != 0 ||
                inner % frag.cols != 0;
  Value zero = arith::ConstantOp::create(b, b.getZeroAttr(element));
  SmallVector<Value> elements(frag.count());
  Value rows[2], valid[2];
  for (int64_t half = 0; half < 2; ++half) {
    Value row;
    if (view.source) {
      Value gathered = LLVM::ExtractElementOp::create(b, view.gatherRegs,
                                                      b.i32(half));
      row = arith::ExtSIOp::create(b, b.getI64Type(), gathered);
      valid[half] = b.cmp(arith::CmpIPredicate::ult, row,
                          view.source->extents[0]);
    } else {
      row = b.add(row0, arith::ExtUIOp::create(b, b.getI64Type(),
                                               fragmentRow(frag, 2 * half)));
      valid[half] = b.cmp(arith::CmpIPredicate::ult, row, view.extents[0]);
    }
    row = arith::SelectOp::create(b, valid[half], row, b.i64(0));
    rows[half] = rowPointer(view, {}, row);
  }
  auto pair = VectorType::get({2}, element);
  for (int64_t i = 0; i < frag.count(); i += 2) {
    int64_t half = fragmentHalf(frag, i);
    Value col = b.add(col0, arith::ExtUIOp::create(b, b.getI64Type(),
                                                   fragmentCol(frag, i)));
    for (int64_t e = 0; e < 2; ++e) {
      Value inside = valid[half], at = e ? b.add(col, b.i64(1)) : col;
      if (ragged) {
        inside = b.bitAnd(inside, b.cmp(arith::CmpIPredicate::ult, at,
                                        b.i64(inner)));
        at = arith::SelectOp::create(b, inside, at, b.i64(0));
      }
      if (paired && !ragged) {
        if (e == 0) {
          Value both = loadGlobal(
              pair, byteOffset(rows[half], b.mul(at, b.i64(bytes))), 0,
              2 * bytes);
          for (int64_t h = 0; h < 2; ++h)
            elements[i + h] = LLVM::ExtractElementOp::create(b, both, b.i32(h));
        }
      } else {
        elements[i + e] = loadGlobal(
            element, byteOffset(rows[half], b.mul(at, b.i64(bytes))));
      }
      elements[i + e] = arith::SelectOp::create(b, inside, elements[i + e],
                                                zero);
    }
  }
  frag.regs = b.pack(elements, VectorType::get({frag.count()}, element));
  setFragment(load.getTile(), frag);
  return success();
}

//===----------------------------------------------------------------------===//
// Block scales
//===----------------------------------------------------------------------===//

std::pair<int64_t, int64_t>
PipelineEmitter::scaleColumns(LoadOp load, ViewType type) {
  int64_t block = type.getScaleCols(), inner = type.getShape().back();
  auto scales = cast<RankedTensorType>(load.getScales().getType());
  return {scales.getDimSize(1), (inner + block - 1) / block};
}

Value PipelineEmitter::loadScales(LoadOp load, ArrayRef<Value> indices,
                                  bool ofA) {
  return ofA ? loadScalesA(load, indices) : loadScalesB(load, indices);
}

/// Ordered by block of K, then by line.
Value PipelineEmitter::loadScaleLines(LoadOp load, ArrayRef<Value> lines,
                                      Value k) {
  sm90::AsmBuilder &b = *builder;
  const ViewRef &view = *views.find(load.getView())->second;
  auto [blocks, pitch] = scaleColumns(load, view.type);
  Value first = b.udiv(k, b.i64(view.type.getScaleCols()));
  SmallVector<Value> values(lines.size() * blocks);
  for (auto [i, line] : llvm::enumerate(lines))
    for (int64_t kb = 0; kb < blocks; ++kb) {
      Value at = arith::MinUIOp::create(b, b.add(first, b.i64(kb)),
                                        b.i64(pitch - 1));
      values[kb * lines.size() + i] = loadGlobal(
          b.getF32Type(), byteOffset(line, b.mul(at, b.i64(4))));
    }
  return b.pack(values, VectorType::get({static_cast<int64_t>(values.size())},
                                        b.getF32Type()));
}

// Rows and columns are clamped: what lies beyond the extents multiplies zeros.
Value PipelineEmitter::loadScalesA(LoadOp load, ArrayRef<Value> indices) {
  sm90::AsmBuilder &b = *builder;
  const ViewRef &view = *views.find(load.getView())->second;
  int64_t pitch = scaleColumns(load, view.type).second;
  SmallVector<Value> rows;
  if (transposed()) {
    rows = tokensOfThread();
  } else {
    auto type = cast<RankedTensorType>(load.getTile().getType());
    Fragment layout = layoutOf(
        RankedTensorType::get({type.getDimSize(0), 1}, b.getF32Type()));
    rows = {fragmentRow(layout, 0), fragmentRow(layout, 1)};
  }
  Value extent = view.source ? view.source->extents[0] : view.extents[0];
  SmallVector<Value> lines;
  for (auto [i, inTile] : llvm::enumerate(rows)) {
    Value row;
    if (view.source)
      row = arith::ExtSIOp::create(
          b, b.getI64Type(),
          LLVM::ExtractElementOp::create(b, view.gatherRegs, b.i32(i)));
    else
      row = b.add(indices[0],
                  arith::ExtUIOp::create(b, b.getI64Type(), inTile));
    Value inside = b.cmp(arith::CmpIPredicate::ult, row, extent);
    row = arith::SelectOp::create(b, inside, row, b.i64(0));
    lines.push_back(byteOffset(view.scale, b.mul(row, b.i64(4 * pitch))));
  }
  return loadScaleLines(load, lines, indices.back());
}

Value PipelineEmitter::loadScalesB(LoadOp load, ArrayRef<Value> indices) {
  sm90::AsmBuilder &b = *builder;
  const ViewRef &view = *views.find(load.getView())->second;
  int64_t pitch = scaleColumns(load, view.type).second;
  int64_t block = view.type.getScaleRows();
  int64_t n = view.type.getShape()[view.type.getRank() - 2];
  int64_t scaleRows = (n + block - 1) / block;
  Value row0 = indices[indices.size() - 2];
  SmallVector<int64_t> offsets;
  if (transposed()) {
    row0 = b.add(row0, rowsOfBlocks(load, offsets));
  } else {
    int64_t rows =
        cast<RankedTensorType>(load.getTile().getType()).getDimSize(0);
    int64_t sr =
        cast<RankedTensorType>(load.getScales().getType()).getDimSize(0);
    // Scale i is that of the rows from i * step on (tile.load).
    int64_t step = sr == (rows + block - 1) / block ? block : rows / sr;
    for (int64_t i = 0; i < sr; ++i)
      offsets.push_back(i * step);
  }
  Value base = view.scale;
  if (indices.size() == 3)
    base = byteOffset(base, b.mul(indices[0], b.i64(4 * scaleRows * pitch)));
  SmallVector<Value> lines;
  for (int64_t offset : offsets) {
    Value row = b.udiv(b.add(row0, b.i64(offset)), b.i64(block));
    row = arith::MinUIOp::create(b, row, b.i64(scaleRows - 1));
    lines.push_back(byteOffset(base, b.mul(row, b.i64(4 * pitch))));
  }
  return loadScaleLines(load, lines, indices.back());
}

} // namespace hadal::nvptx
