// Contractions, reductions, quantisation and the shape operations.
#include "compiler/codegen/loops/TileToLoops.h"

#include "mlir/Dialect/Math/IR/Math.h"

using namespace mlir;
using namespace hadal;

using arith::CmpFPredicate;
using arith::CmpIPredicate;

namespace {

/// Sums may be reordered (the order of a sum over K is unspecified), so that
/// they vectorise; the order is the same in every launch of one image.
constexpr auto kSum =
    arith::FastMathFlags::reassoc | arith::FastMathFlags::contract;

/// Columns of a contraction that share one pass over a row of a.
constexpr int64_t kColumns = 4;

RankedTensorType tileType(Value value) {
  return cast<RankedTensorType>(value.getType());
}

} // namespace

//===----------------------------------------------------------------------===//
// Contractions
//===----------------------------------------------------------------------===//

TileBuffer TileLowering::asFloat(Value tile, bool transpose) {
  TileBuffer source = buffer(tile);
  if (transpose) {
    std::swap(source.shape[0], source.shape[1]);
    std::swap(source.strides[0], source.strides[1]);
  }
  Type f32 = b.getF32Type();
  if (source.elementType.isF32() &&
      (source.strides[1] == 1 || source.shape[1] == 1))
    return source;
  TileBuffer copy = temporary(f32, source.shape);
  loopNest(source.shape, [&](ValueRange at) {
    Value value = loadElement(source, at);
    storeElement(copy, at, toFloat(value, source.elementType));
  });
  return copy;
}

Value TileLowering::toFloat(Value value, Type elementType) {
  if (tile::isInt4(elementType))
    return decodeInt4(value);
  return isa<Float8E4M3FNType>(elementType) ? decodeFp8(value) : value;
}

TileBuffer TileLowering::accumulator(Value acc, Value result) {
  TileBuffer dest = destination(result);
  auto it = buffers.find(acc);
  bool inPlace = it != buffers.end() && it->second.ptr == dest.ptr &&
                 it->second.offset == dest.offset;
  if (!inPlace)
    emitInto(acc, dest);
  return dest;
}

void TileLowering::lowerDot(tile::DotOp op) {
  TileBuffer dest = accumulator(op.getAcc(), op.getResult());
  // a is [M,K] with unit stride along K from here on.
  TileBuffer a = asFloat(op.getA(), op.getTa());
  int64_t rows = a.shape[0], depth = a.shape[1], cols = dest.shape[1];
  if (op.getTb()) {
    TileBuffer bTile = buffer(op.getB());
    contractRows(a, bTile, dest, [&](Value row, ArrayRef<Value> columns,
                                     const TileBuffer &panel) {
      SmallVector<Value> sums =
          sumOfProducts(a, row, panel, i64(0), i64(depth), columns.size());
      for (auto [column, sum] : llvm::zip(columns, sums)) {
        Value old = loadElement(dest, {row, column});
        storeElement(dest, {row, column},
                     arith::AddFOp::create(b, loc, old, sum));
      }
    });
    return;
  }
  // b is [K,N]: a few rows of b at a time, the innermost loop along N.
  TileBuffer bTile = buffer(op.getB());
  TileBuffer panel = temporary(b.getF32Type(), {kColumns, cols});
  auto pass = [&](Value first, int64_t count) {
    loopNest({count, cols}, [&](ValueRange at) {
      Value k = arith::AddIOp::create(b, loc, first, at[0]);
      Value value = loadElement(bTile, {k, at[1]});
      storeElement(panel, at, toFloat(value, bTile.elementType));
    });
    forLoop(i64(0), i64(rows), 1, [&](Value row) {
      SmallVector<Value> factors;
      for (int64_t t = 0; t < count; ++t)
        factors.push_back(loadElement(
            a, {row, Value(arith::AddIOp::create(b, loc, first, i64(t)))}));
      forLoop(i64(0), i64(cols), 1, [&](Value col) {
        Value sum = loadElement(dest, {row, col});
        for (int64_t t = 0; t < count; ++t) {
          Value product = arith::MulFOp::create(
              b, loc, factors[t], loadElement(panel, {i64(t), col}), kSum);
          sum = arith::AddFOp::create(b, loc, sum, product, kSum);
        }
        storeElement(dest, {row, col}, sum);
      });
    });
  };
  int64_t whole = depth / kColumns * kColumns;
  if (whole > 0)
    forLoop(i64(0), i64(whole), kColumns,
            [&](Value k) { pass(k, kColumns); });
  if (whole < depth)
    pass(i64(whole), depth - whole);
}

/// For each group of rows n of |bTile| ([N,K]): decodes them into a panel once,
/// then calls |body| for each row m of a with the group's columns.
void TileLowering::contractRows(
    const TileBuffer &a, const TileBuffer &bTile, const TileBuffer &dest,
    function_ref<void(Value row, ArrayRef<Value> columns,
                      const TileBuffer &panel)>
        body) {
  int64_t rows = a.shape[0], depth = a.shape[1], cols = dest.shape[1];
  TileBuffer panel = temporary(b.getF32Type(), {kColumns, depth});
  auto pass = [&](Value first, int64_t count) {
    loopNest({count, depth}, [&](ValueRange at) {
      Value n = arith::AddIOp::create(b, loc, first, at[0]);
      Value value = loadElement(bTile, {n, at[1]});
      storeElement(panel, at, toFloat(value, bTile.elementType));
    });
    SmallVector<Value> columns;
    for (int64_t t = 0; t < count; ++t)
      columns.push_back(arith::AddIOp::create(b, loc, first, i64(t)));
    forLoop(i64(0), i64(rows), 1,
            [&](Value row) { body(row, columns, panel); });
  };
  int64_t whole = cols / kColumns * kColumns;
  if (whole > 0)
    forLoop(i64(0), i64(whole), kColumns,
            [&](Value n) { pass(n, kColumns); });
  if (whole < cols)
    pass(i64(whole), cols - whole);
}

/// sum over k in [lo, hi) of a[row, k] * panel[t, k], for each t < count.
SmallVector<Value> TileLowering::sumOfProducts(const TileBuffer &a, Value row,
                                               const TileBuffer &panel,
                                               Value lo, Value hi,
                                               size_t count) {
  SmallVector<Value> zeros(count, floatConstant(0.0));
  return forLoop(lo, hi, 1, zeros, [&](Value k, ValueRange sums) {
    SmallVector<Value> next;
    Value factor = loadElement(a, {row, k});
    for (size_t t = 0; t < count; ++t) {
      Value product = arith::MulFOp::create(
          b, loc, factor,
          loadElement(panel, {i64(static_cast<int64_t>(t)), k}), kSum);
      next.push_back(arith::AddFOp::create(b, loc, sums[t], product, kSum));
    }
    return next;
  });
}

void TileLowering::lowerDotScaled(tile::DotScaledOp op) {
  TileBuffer dest = accumulator(op.getAcc(), op.getResult());
  TileBuffer a = asFloat(op.getA(), /*transpose=*/false);
  TileBuffer bTile = buffer(op.getB());
  TileBuffer sb = buffer(op.getSb());
  std::optional<TileBuffer> sa;
  if (op.getSa())
    sa = buffer(op.getSa());
  int64_t depth = a.shape[1], cols = dest.shape[1], block = op.getK();
  int64_t rowsPerScale = cols / sb.shape[0];
  int64_t whole = depth / block;
  contractRows(a, bTile, dest, [&](Value row, ArrayRef<Value> columns,
                                   const TileBuffer &panel) {
    SmallVector<Value> totals;
    for (Value column : columns)
      totals.push_back(loadElement(dest, {row, column}));
    auto addBlock = [&](Value kb, Value lo, Value hi, ValueRange before) {
      SmallVector<Value> sums =
          sumOfProducts(a, row, panel, lo, hi, columns.size());
      SmallVector<Value> after;
      for (auto [column, sum, total] : llvm::zip(columns, sums, before)) {
        Value scaleRow =
            rowsPerScale == 1
                ? column
                : Value(arith::DivUIOp::create(b, loc, column,
                                               i64(rowsPerScale)));
        Value scale = loadElement(sb, {scaleRow, kb});
        if (sa)
          scale = arith::MulFOp::create(b, loc, loadElement(*sa, {row, kb}),
                                        scale);
        Value scaled = arith::MulFOp::create(b, loc, sum, scale);
        after.push_back(arith::AddFOp::create(b, loc, total, scaled));
      }
      return after;
    };
    if (whole == 1)
      totals = addBlock(i64(0), i64(0), i64(block), totals);
    else if (whole > 1)
      totals = forLoop(
          i64(0), i64(whole), 1, totals, [&](Value kb, ValueRange before) {
            Value lo = arith::MulIOp::create(b, loc, kb, i64(block));
            Value hi = arith::AddIOp::create(b, loc, lo, i64(block));
            return addBlock(kb, lo, hi, before);
          });
    if (whole * block < depth)
      totals = addBlock(i64(whole), i64(whole * block), i64(depth), totals);
    for (auto [column, total] : llvm::zip(columns, totals))
      storeElement(dest, {row, column}, total);
  });
}

//===----------------------------------------------------------------------===//
// Reductions
//===----------------------------------------------------------------------===//

void TileLowering::lowerReduce(tile::ReduceOp op) {
  RankedTensorType type = tileType(op.getSource());
  Type elementType = type.getElementType();
  bool isFloat = isa<FloatType>(computeType(elementType));
  bool isMax = op.getKind() == tile::ReduceKind::Max;
  unsigned dim = op.getDim();
  int64_t extent = type.getDimSize(dim);
  TileBuffer dest = destination(op.getResult());
  auto merge = [&](Value x, Value y) -> Value {
    if (isMax && isFloat)
      return arith::MaximumFOp::create(b, loc, x, y);
    if (isMax)
      return arith::MaxSIOp::create(b, loc, x, y);
    if (isFloat)
      return arith::AddFOp::create(b, loc, x, y, kSum);
    return arith::AddIOp::create(b, loc, x, y);
  };
  auto rounded = [&](Value x) {
    return elementType.isBF16() ? roundToBf16(x) : x;
  };
  if (dim + 1 == type.getRank()) {
    loopNest(dest.shape, [&](ValueRange at) {
      SmallVector<Value> index(at);
      auto source = [&](Value j) {
        index[dim] = j;
        return element(op.getSource(), index);
      };
      Value first = source(i64(0));
      if (extent > 1)
        first = forLoop(i64(1), i64(extent), 1, first,
                        [&](Value j, ValueRange sum) {
                          return SmallVector<Value>{merge(sum[0], source(j))};
                        })[0];
      storeElement(dest, at, rounded(first));
    });
    return;
  }
  // Over an outer dimension: rows are merged into the result in turn, with the
  // innermost loop still along the last dimension.
  TileBuffer acc = elementType.isBF16()
                       ? temporary(b.getF32Type(), dest.shape)
                       : dest;
  ArrayRef<int64_t> before = type.getShape().take_front(dim);
  ArrayRef<int64_t> after = type.getShape().drop_front(dim + 1);
  loopNest(before, [&](ValueRange outer) {
    auto pass = [&](Value r, bool isFirst) {
      loopNest(after, [&](ValueRange inner) {
        SmallVector<Value> from(outer), to(outer);
        from.push_back(r);
        to.push_back(i64(0));
        from.append(inner.begin(), inner.end());
        to.append(inner.begin(), inner.end());
        Value value = element(op.getSource(), from);
        if (!isFirst)
          value = merge(loadElement(acc, to), value);
        storeElement(acc, to, value);
      });
    };
    pass(i64(0), true);
    if (extent > 1)
      forLoop(i64(1), i64(extent), 1, [&](Value r) { pass(r, false); });
  });
  if (elementType.isBF16())
    loopNest(dest.shape, [&](ValueRange at) {
      storeElement(dest, at, rounded(loadElement(acc, at)));
    });
}

void TileLowering::lowerScan(tile::ScanOp op) {
  RankedTensorType type = tileType(op.getSource());
  unsigned dim = op.getDim();
  int64_t extent = type.getDimSize(dim);
  TileBuffer dest = destination(op.getResult());
  ArrayRef<int64_t> before = type.getShape().take_front(dim);
  ArrayRef<int64_t> after = type.getShape().drop_front(dim + 1);
  auto joined = [](ValueRange outer, Value r, ValueRange inner) {
    SmallVector<Value> index(outer);
    index.push_back(r);
    index.append(inner.begin(), inner.end());
    return index;
  };
  loopNest(before, [&](ValueRange outer) {
    loopNest(after, [&](ValueRange inner) {
      storeElement(dest, joined(outer, i64(0), inner), i32(0));
    });
    forLoop(i64(1), i64(extent), 1, [&](Value r) {
      Value previous = arith::SubIOp::create(b, loc, r, i64(1));
      loopNest(after, [&](ValueRange inner) {
        SmallVector<Value> from = joined(outer, previous, inner);
        Value sum = arith::AddIOp::create(b, loc, loadElement(dest, from),
                                          element(op.getSource(), from));
        storeElement(dest, joined(outer, r, inner), sum);
      });
    });
  });
}

// Each element becomes an integer key whose order is the order of selection,
// so that a step of the selection is one maximum over integers. In f32 the low
// half of a key holds the complement of the index: the lower index wins a tie,
// and the maximum is the whole answer.
void TileLowering::lowerTopK(tile::TopKOp op) {
  RankedTensorType type = tileType(op.getSource());
  int64_t rows = type.getDimSize(0), cols = type.getDimSize(1);
  int64_t count = tileType(op.getValues()).getDimSize(1);
  TileBuffer values = destination(op.getValues());
  TileBuffer indices = destination(op.getIndices());
  bool wide = options.f64;
  Type bitsType = wide ? b.getI64Type() : b.getI32Type();
  Type floatType = computeType(b.getF32Type());
  unsigned width = wide ? 64 : 32;
  auto constant = [&](int64_t value) -> Value {
    return arith::ConstantOp::create(b, loc,
                                     b.getIntegerAttr(bitsType, value));
  };
  // Negative floats order backwards: flip their magnitude bits.
  auto flip = [&](Value bits) -> Value {
    Value mask = arith::ShRSIOp::create(b, loc, bits, constant(width - 1));
    mask = arith::ShRUIOp::create(b, loc, mask, constant(1));
    return arith::XOrIOp::create(b, loc, bits, mask);
  };
  Value taken = i64(std::numeric_limits<int64_t>::min());
  TileBuffer keys = temporary(b.getI64Type(), {cols});
  forLoop(i64(0), i64(rows), 1, [&](Value row) {
    forLoop(i64(0), i64(cols), 1, [&](Value j) {
      Value x = element(op.getSource(), {row, j});
      Value nan = arith::CmpFOp::create(b, loc, CmpFPredicate::UNO, x, x);
      // -0 + 0 is +0: the two zeros tie.
      x = arith::AddFOp::create(b, loc, x, floatConstant(0.0));
      // The sign of a NaN is nothing to go by: every NaN is the largest key.
      Value key = arith::SelectOp::create(
          b, loc, nan,
          constant(wide ? std::numeric_limits<int64_t>::max()
                        : std::numeric_limits<int32_t>::max()),
          flip(arith::BitcastOp::create(b, loc, bitsType, x)));
      if (!wide) {
        key = arith::ExtSIOp::create(b, loc, b.getI64Type(), key);
        key = arith::ShLIOp::create(b, loc, key, i64(32));
        Value order =
            arith::SubIOp::create(b, loc, i64(0xffffffffll), j);
        key = arith::OrIOp::create(b, loc, key, order);
      }
      storeElement(keys, j, key);
    });
    forLoop(i64(0), i64(count), 1, [&](Value t) {
      Value key, index;
      if (wide) {
        SmallVector<Value> best = forLoop(
            i64(0), i64(cols), 1, {taken, i64(0)},
            [&](Value j, ValueRange state) {
              Value next = loadElement(keys, j);
              Value better = arith::CmpIOp::create(
                  b, loc, CmpIPredicate::sgt, next, state[0]);
              return SmallVector<Value>{
                  arith::SelectOp::create(b, loc, better, next, state[0]),
                  arith::SelectOp::create(b, loc, better, j, state[1])};
            });
        key = best[0];
        index = best[1];
      } else {
        key = forLoop(i64(0), i64(cols), 1, taken,
                      [&](Value j, ValueRange state) {
                        return SmallVector<Value>{arith::MaxSIOp::create(
                            b, loc, state[0], loadElement(keys, j))};
                      })[0];
        index = arith::AndIOp::create(b, loc, key, i64(0xffffffffll));
        index = arith::SubIOp::create(b, loc, i64(0xffffffffll), index);
        key = arith::ShRSIOp::create(b, loc, key, i64(32));
        key = arith::TruncIOp::create(b, loc, bitsType, key);
      }
      Value value = arith::BitcastOp::create(b, loc, floatType, flip(key));
      storeElement(values, {row, t}, value);
      storeElement(indices, {row, t},
                   arith::TruncIOp::create(b, loc, b.getI32Type(), index));
      storeElement(keys, index, taken);
    });
  });
}

//===----------------------------------------------------------------------===//
// Quantisation
//===----------------------------------------------------------------------===//

// The arithmetic is f32 in both modes: it defines the codes (model-spec 3.4).
void TileLowering::lowerQuantize(tile::QuantizeOp op) {
  RankedTensorType type = tileType(op.getX());
  int64_t rows = type.getDimSize(0), cols = type.getDimSize(1),
          group = op.getGroup();
  TileBuffer x = buffer(op.getX());
  TileBuffer codes = destination(op.getCodes());
  TileBuffer scales = destination(op.getScales());
  Type f32 = b.getF32Type();
  auto constant = [&](float value) -> Value {
    return arith::ConstantOp::create(b, loc, b.getF32FloatAttr(value));
  };
  auto single = [&](Value value) -> Value {
    return options.f64 ? Value(arith::TruncFOp::create(b, loc, f32, value))
                       : value;
  };
  auto quantizeGroup = [&](Value row, Value g, Value lo, Value hi) {
    // Magnitudes order as their bits do, a NaN above all others: one integer
    // maximum an element, where that of floats takes several operations.
    Value most = forLoop(lo, hi, 1, i32(0), [&](Value j, ValueRange state) {
      Value value = single(loadElement(x, {row, j}));
      value = arith::BitcastOp::create(b, loc, b.getI32Type(), value);
      value = arith::AndIOp::create(b, loc, value, i32(0x7fffffff));
      return SmallVector<Value>{
          arith::MaxSIOp::create(b, loc, state[0], value)};
    })[0];
    Value amax = arith::BitcastOp::create(b, loc, f32, most);
    float floor = op.getFloor().convertToFloat();
    Value scale = arith::MaximumFOp::create(b, loc, amax, constant(floor));
    scale = arith::DivFOp::create(b, loc, scale, constant(448.0f));
    if (op.getFormat() == tile::ScaleFormat::UE8M0) {
      // Up to the next power of two by the bits; infinity and NaN stay.
      Value bits = arith::BitcastOp::create(b, loc, b.getI32Type(), scale);
      bits = arith::AddIOp::create(b, loc, bits, i32(0x7fffff));
      bits = arith::AndIOp::create(b, loc, bits, i32(0x7f800000));
      bits = arith::MaxSIOp::create(b, loc, bits, i32(0x00800000));
      bits = arith::MinSIOp::create(b, loc, bits, i32(0x7f000000));
      Value power = arith::BitcastOp::create(b, loc, f32, bits);
      Value isDamaged = arith::CmpFOp::create(
          b, loc, CmpFPredicate::UEQ, scale,
          constant(std::numeric_limits<float>::infinity()));
      scale = arith::SelectOp::create(b, loc, isDamaged, scale, power);
    }
    storeElement(scales, {row, g}, decode(scale, f32));
    forLoop(lo, hi, 1, [&](Value j) {
      Value value = single(loadElement(x, {row, j}));
      value = arith::DivFOp::create(b, loc, value, scale);
      storeElement(codes, {row, j}, encodeFp8(value));
    });
  };
  int64_t whole = cols / group;
  forLoop(i64(0), i64(rows), 1, [&](Value row) {
    if (whole > 0)
      forLoop(i64(0), i64(whole), 1, [&](Value g) {
        Value lo = arith::MulIOp::create(b, loc, g, i64(group));
        Value hi = arith::AddIOp::create(b, loc, lo, i64(group));
        quantizeGroup(row, g, lo, hi);
      });
    if (whole * group < cols)
      quantizeGroup(row, i64(whole), i64(whole * group), i64(cols));
  });
}

void TileLowering::lowerDequantize(tile::DequantizeOp op) {
  TileBuffer codes = buffer(op.getCodes());
  TileBuffer scales = buffer(op.getScales());
  TileBuffer dest = destination(op.getResult());
  int64_t blockRows = codes.shape[0] / scales.shape[0],
          blockCols = codes.shape[1] / scales.shape[1];
  forLoop(i64(0), i64(codes.shape[0]), 1, [&](Value row) {
    Value scaleRow =
        arith::DivUIOp::create(b, loc, row, i64(blockRows));
    forLoop(i64(0), i64(scales.shape[1]), 1, [&](Value block) {
      Value scale = loadElement(scales, {scaleRow, block});
      Value first = arith::MulIOp::create(b, loc, block, i64(blockCols));
      forLoop(i64(0), i64(blockCols), 1, [&](Value j) {
        Value col = arith::AddIOp::create(b, loc, first, j);
        Value value = toFloat(loadElement(codes, {row, col}), codes.elementType);
        value = arith::MulFOp::create(b, loc, value, scale);
        if (dest.elementType.isBF16())
          value = roundToBf16(value);
        storeElement(dest, {row, col}, value);
      });
    });
  });
}

//===----------------------------------------------------------------------===//
// Shapes
//===----------------------------------------------------------------------===//

void TileLowering::lowerConcat(tile::ConcatOp op) {
  TileBuffer dest = destination(op.getResult());
  int64_t at = 0;
  unsigned dim = op.getDim();
  for (Value source : op.getSources()) {
    TileBuffer part = dest;
    part.shape.assign(tileType(source).getShape().begin(),
                      tileType(source).getShape().end());
    part.offset += at * dest.strides[dim];
    at += part.shape[dim];
    emitInto(source, part);
  }
}

void TileLowering::lowerInterleave(tile::InterleaveOp op) {
  TileBuffer dest = destination(op.getResult());
  TileBuffer even = dest;
  even.shape[1] /= 2;
  even.strides[1] = 2;
  TileBuffer odd = even;
  odd.offset += 1;
  // Both halves of a pair in one pass: the two strided stores merge.
  loopNest(even.shape, [&](ValueRange at) {
    storeElement(even, at, element(op.getEven(), at));
    storeElement(odd, at, element(op.getOdd(), at));
  });
}

void TileLowering::lowerAlias(Operation *op) {
  Value source = op->getOperand(0), first = op->getResult(0);
  TileBuffer from = persistentBuffer(source, op);
  if (auto slice = dyn_cast<tile::SliceOp>(op)) {
    for (auto [offset, stride] : llvm::zip(slice.getOffsets(), from.strides))
      from.offset += offset * stride;
    from.shape.assign(tileType(first).getShape().begin(),
                      tileType(first).getShape().end());
  } else if (isa<tile::TransposeOp>(op)) {
    std::swap(from.shape[0], from.shape[1]);
    std::swap(from.strides[0], from.strides[1]);
  } else if (isa<tile::BroadcastOp>(op)) {
    ArrayRef<int64_t> shape = tileType(first).getShape();
    SmallVector<int64_t, 4> strides(shape.size(), 0);
    size_t lead = shape.size() - from.shape.size();
    for (size_t d = 0; d < from.shape.size(); ++d)
      if (from.shape[d] != 1)
        strides[lead + d] = from.strides[d];
    from.shape.assign(shape.begin(), shape.end());
    from.strides = strides;
  } else if (auto pair = dyn_cast<tile::DeinterleaveOp>(op)) {
    TileBuffer odd = from;
    odd.shape[1] /= 2;
    odd.offset += from.strides[1];
    odd.strides[1] *= 2;
    from.shape[1] /= 2;
    from.strides[1] *= 2;
    setBuffer(pair.getOdd(), odd);
  } else if (from.isContiguous()) {
    ArrayRef<int64_t> shape = tileType(first).getShape();
    from.shape.assign(shape.begin(), shape.end());
    from.strides.assign(shape.size(), 1);
    for (size_t d = shape.size(); d-- > 1;)
      from.strides[d - 1] = from.strides[d] * shape[d];
  } else {
    // A reshape of a strided tile copies it.
    TileBuffer dest = destination(first);
    TileBuffer sameShape = dest;
    sameShape.shape = from.shape;
    sameShape.strides.assign(from.shape.size(), 1);
    for (size_t d = from.shape.size(); d-- > 1;)
      sameShape.strides[d - 1] = sameShape.strides[d] * from.shape[d];
    loopNest(from.shape, [&](ValueRange at) {
      storeElement(sameShape, at, loadElement(from, at));
    });
    return;
  }
  setBuffer(first, from);
}
