#include "kernels/KernelBuilder.h"

#include "dialects/Diagnostics.h"
#include "kernels/ScheduledKernel.h"
#include "schedule/Attribute.h"

using namespace mlir;

namespace hadal::kernels {

tile::KernelOp buildKernel(OpBuilder &builder, Location loc, StringRef name,
                           const AnySpec &spec,
                           const schedule::Schedule &schedule) {
#define HADAL_BUILD(K)                                                         \
  if (const auto *s = std::get_if<K##Spec>(&spec))                             \
    return build##K(builder, loc, name, *s, schedule);
  HADAL_FOR_EACH_KERNEL(HADAL_BUILD)
#undef HADAL_BUILD
  llvm_unreachable("a spec is one of the kinds");
}

tile::KernelOp buildScheduled(OpBuilder &builder, Location loc, StringRef name,
                              const AnySpec &spec, schedule::Target target,
                              const nvptx::Chip *chip,
                              const schedule::Words &given) {
  std::string error;
  auto schedule = schedule::resolveSchedule(spec, target, chip, given, error);
  if (schedule)
    return buildKernel(builder, loc, name, spec, *schedule);
  emitCodedError(loc, 3008) << "kernel '" << name << "': " << error;
  return {};
}

int64_t itemsOf(tile::KernelOp built, tile::KernelOp kernel,
                const AnySpec &spec, int64_t items) {
  int64_t step = kernel.getDim(0).getStep();
  // A contraction's spec holds the capacity of its launches; the rows of the
  // others are steps of one.
  int64_t capacity = items / kernel.getNumItems(step) * step;
  std::visit(
      [&](const auto &s) {
        using Spec = std::decay_t<decltype(s)>;
        if constexpr (std::is_same_v<Spec, GemmSpec> ||
                      std::is_same_v<Spec, AbsorbQSpec> ||
                      std::is_same_v<Spec, AbsorbVSpec>)
          capacity = s.rows;
      },
      spec);
  return built.getNumItems(capacity);
}

//===----------------------------------------------------------------------===//
// Declaration
//===----------------------------------------------------------------------===//

Type KernelBuilder::act() {
  return common.act == Act::bf16 ? Type(b.getBF16Type()) : f32();
}

Type KernelBuilder::fp8() { return Float8E4M3FNType::get(b.getContext()); }

tile::ViewType KernelBuilder::view(Shape shape, Type element) {
  return tile::ViewType::get(b.getContext(), shape, element);
}

tile::ViewType KernelBuilder::quantizedView(int64_t width) {
  return tile::ViewType::get(b.getContext(), {-1, width}, fp8(),
                             tile::ViewKind::Dense, 0, 1, kGroup);
}

tile::ViewType KernelBuilder::weightView(Weight weight, int64_t n, int64_t k,
                                         int64_t experts, int64_t segmentRows) {
  SmallVector<int64_t> shape{n, k};
  tile::ViewKind kind = tile::ViewKind::Dense;
  if (experts > 0) {
    shape.insert(shape.begin(), experts);
    kind = tile::ViewKind::Stack;
  } else if (segmentRows > 0) {
    kind = tile::ViewKind::Segments;
  }
  Type element;
  int64_t scaleRows = 0, scaleColumns = 0;
  switch (weight) {
  case Weight::int4:
    element = b.getIntegerType(4);
    scaleRows = 1, scaleColumns = tile::kInt4Group;
    break;
  case Weight::fp8:
    element = fp8();
    scaleRows = scaleColumns = kGroup;
    break;
  case Weight::bf16:
    element = b.getBF16Type();
    break;
  case Weight::f32:
    element = f32();
    break;
  }
  return tile::ViewType::get(b.getContext(), shape, element, kind,
                             kind == tile::ViewKind::Segments ? segmentRows : 0,
                             scaleRows, scaleColumns);
}

unsigned KernelBuilder::arg(StringRef argName, Type type) {
  argNames.push_back(argName.str());
  argTypes.push_back(type);
  return argTypes.size() - 1;
}

unsigned KernelBuilder::constant(StringRef argName, Type type) {
  constants.push_back(argTypes.size());
  return arg(argName, type);
}

void KernelBuilder::dim(int64_t extent, int64_t step, tile::Bound bound,
                        int64_t boundDim) {
  domain.push_back(
      tile::DomainDimAttr::get(b.getContext(), extent, step, bound, boundDim));
}

int64_t KernelBuilder::word(StringRef word) {
  const int64_t *value = schedule.find<int64_t>(std::string_view(word));
  if (value && *value > 0)
    return *value;
  emitCodedError(loc, 3008)
      << "kernel '" << name << "': the schedule has no positive number '"
      << word << "'";
  isBroken = true;
  return 1;
}

bool KernelBuilder::require(bool ok, const Twine &what) {
  if (!ok)
    emitError(loc) << "kernel '" << name << "': " << what;
  return ok;
}

void KernelBuilder::begin() {
  arg("sizes", tile::SizesType::get(b.getContext()));
  SmallVector<StringRef> names(argNames.begin(), argNames.end());
  kernel = tile::KernelOp::create(b, loc, name, argTypes, names, domain,
                                  b.getDictionaryAttr({}), spec, constants);
  kernel.setScheduleAttr(schedule::toAttribute(b.getContext(), schedule));
  for (BlockArgument value : kernel.getKernelArguments())
    args.push_back(value);
  for (BlockArgument value : kernel.getCoordinates())
    coordinates.push_back(value);
  b.setInsertionPointToStart(&kernel.getBodyBlock());
}

tile::KernelOp KernelBuilder::end() {
  b.setInsertionPointAfter(kernel);
  if (!isBroken)
    return kernel;
  kernel.erase();
  return {};
}

//===----------------------------------------------------------------------===//
// Scalars
//===----------------------------------------------------------------------===//

Value KernelBuilder::index(int64_t value) {
  return arith::ConstantIndexOp::create(b, loc, value);
}

Value KernelBuilder::add(Value a, Value c) {
  return arith::AddIOp::create(b, loc, a, c);
}

Value KernelBuilder::sub(Value a, Value c) {
  return arith::SubIOp::create(b, loc, a, c);
}

Value KernelBuilder::mulIndex(Value a, int64_t factor) {
  return factor == 1 ? a : arith::MulIOp::create(b, loc, a, index(factor));
}

Value KernelBuilder::divIndex(Value a, int64_t divisor) {
  return divisor == 1 ? a : arith::DivUIOp::create(b, loc, a, index(divisor));
}

Value KernelBuilder::minIndex(Value a, Value c) {
  return arith::MinSIOp::create(b, loc, a, c);
}

Value KernelBuilder::size(tile::SizeName which, Value at) {
  return tile::SizeOp::create(b, loc, b.getIndexType(), args.back(), which, at);
}

Value KernelBuilder::read(Value view, ValueRange at) {
  return tile::ReadOp::create(b, loc, b.getIndexType(), view, at);
}

void KernelBuilder::ifLess(Value a, Value c, function_ref<void()> body) {
  Value condition =
      arith::CmpIOp::create(b, loc, arith::CmpIPredicate::slt, a, c);
  auto branch = scf::IfOp::create(b, loc, condition, /*withElseRegion=*/false);
  OpBuilder::InsertionGuard guard(b);
  b.setInsertionPointToStart(branch.thenBlock());
  body();
}

//===----------------------------------------------------------------------===//
// Memory
//===----------------------------------------------------------------------===//

Value KernelBuilder::load(Value view, ValueRange at, Shape shape) {
  Type element = cast<tile::ViewType>(view.getType()).getElementType();
  return tile::LoadOp::create(b, loc, RankedTensorType::get(shape, element),
                              Type(), view, at, FloatAttr())
      .getTile();
}

Scaled KernelBuilder::loadScaled(Value view, ValueRange at, Shape shape,
                                 int64_t scaleRows, int64_t scaleColumns) {
  auto type = cast<tile::ViewType>(view.getType());
  if (!type.isScaled())
    return {load(view, at, shape), {}};
  if (!scaleColumns)
    scaleColumns = (shape[1] + type.getScaleCols() - 1) / type.getScaleCols();
  auto load = tile::LoadOp::create(
      b, loc, RankedTensorType::get(shape, type.getElementType()),
      RankedTensorType::get({scaleRows, scaleColumns}, f32()), view, at,
      FloatAttr());
  return {load.getTile(), load.getScales()};
}

void KernelBuilder::store(Value view, ValueRange at, Value tile,
                          Value rowsBelow) {
  tile::StoreOp::create(b, loc, view, at, tile, Value(), rowsBelow);
}

void KernelBuilder::store(Value view, ValueRange at, Scaled value,
                          Value rowsBelow) {
  tile::StoreOp::create(b, loc, view, at, value.tile, value.scales, rowsBelow);
}

Value KernelBuilder::rows(Value view, Value indices) {
  auto type = cast<tile::ViewType>(view.getType());
  SmallVector<int64_t> shape{extent(indices, 0), type.getShape()[1]};
  auto gathered = tile::ViewType::get(
      b.getContext(), shape, type.getElementType(), tile::ViewKind::Dense, 0,
      type.getScaleRows(), type.getScaleCols());
  return tile::RowsOp::create(b, loc, gathered, view, indices);
}

//===----------------------------------------------------------------------===//
// Tiles
//===----------------------------------------------------------------------===//

Shape KernelBuilder::shapeOf(Value tile) {
  return cast<RankedTensorType>(tile.getType()).getShape();
}

static Type elementOf(Value tile) {
  return cast<RankedTensorType>(tile.getType()).getElementType();
}

Value KernelBuilder::zeros(Shape shape) { return constant(shape, 0.0); }

Value KernelBuilder::constant(Shape shape, double value) {
  auto type = RankedTensorType::get(shape, f32());
  return arith::ConstantOp::create(
      b, loc, DenseElementsAttr::get(type, static_cast<float>(value)));
}

Value KernelBuilder::constantI32(Shape shape, int32_t value) {
  auto type = RankedTensorType::get(shape, i32());
  return arith::ConstantOp::create(b, loc, DenseElementsAttr::get(type, value));
}

Value KernelBuilder::splat(Value scalar, Shape shape) {
  Type element = scalar.getType().isIndex() ? i32() : scalar.getType();
  return tile::SplatOp::create(b, loc, RankedTensorType::get(shape, element),
                               scalar);
}

Value KernelBuilder::broadcast(Value tile, Shape shape) {
  if (shapeOf(tile) == shape)
    return tile;
  return tile::BroadcastOp::create(
      b, loc, RankedTensorType::get(shape, elementOf(tile)), tile);
}

Value KernelBuilder::reshape(Value tile, Shape shape) {
  if (shapeOf(tile) == shape)
    return tile;
  return tile::ReshapeOp::create(
      b, loc, RankedTensorType::get(shape, elementOf(tile)), tile);
}

Value KernelBuilder::slice(Value tile, Shape offsets, Shape shape) {
  if (shapeOf(tile) == shape)
    return tile;
  return tile::SliceOp::create(
      b, loc, RankedTensorType::get(shape, elementOf(tile)), tile, offsets);
}

Value KernelBuilder::concat(ValueRange tiles, int64_t dim) {
  SmallVector<int64_t> shape(shapeOf(tiles.front()));
  for (Value tile : tiles.drop_front())
    shape[dim] += extent(tile, dim);
  return tile::ConcatOp::create(
      b, loc, RankedTensorType::get(shape, elementOf(tiles.front())), tiles,
      dim);
}

Value KernelBuilder::iota(Shape shape, int64_t dim) {
  return tile::IotaOp::create(b, loc, RankedTensorType::get(shape, i32()), dim);
}

Value KernelBuilder::reduce(tile::ReduceKind kind, Value tile, int64_t dim) {
  SmallVector<int64_t> shape(shapeOf(tile));
  shape[dim] = 1;
  return tile::ReduceOp::create(
      b, loc, RankedTensorType::get(shape, elementOf(tile)), kind, tile, dim);
}

Value KernelBuilder::toElement(Value tile, Type element) {
  Type from = elementOf(tile);
  if (from == element)
    return tile;
  Type type = RankedTensorType::get(shapeOf(tile), element);
  if (from.getIntOrFloatBitWidth() < element.getIntOrFloatBitWidth())
    return arith::ExtFOp::create(b, loc, type, tile);
  return arith::TruncFOp::create(b, loc, type, tile);
}

Value KernelBuilder::toF32(Value tile) { return toElement(tile, f32()); }

Value KernelBuilder::toAct(Value tile) { return toElement(tile, act()); }

template <typename Op> Value KernelBuilder::binary(Value a, Value c) {
  return Op::create(b, loc, a, broadcast(c, shapeOf(a)));
}

Value KernelBuilder::addf(Value a, Value c) {
  return binary<arith::AddFOp>(a, c);
}
Value KernelBuilder::subf(Value a, Value c) {
  return binary<arith::SubFOp>(a, c);
}
Value KernelBuilder::mulf(Value a, Value c) {
  return binary<arith::MulFOp>(a, c);
}
Value KernelBuilder::divf(Value a, Value c) {
  return binary<arith::DivFOp>(a, c);
}
Value KernelBuilder::maxf(Value a, Value c) {
  return binary<arith::MaximumFOp>(a, c);
}
Value KernelBuilder::addi(Value a, Value c) {
  return binary<arith::AddIOp>(a, c);
}
Value KernelBuilder::subi(Value a, Value c) {
  return binary<arith::SubIOp>(a, c);
}
Value KernelBuilder::muli(Value a, Value c) {
  return binary<arith::MulIOp>(a, c);
}

Value KernelBuilder::mulf(Value a, double c) {
  return mulf(a, constant(shapeOf(a), c));
}

Value KernelBuilder::exp2(Value a) { return math::Exp2Op::create(b, loc, a); }

Value KernelBuilder::cmpi(arith::CmpIPredicate predicate, Value a, Value c) {
  return arith::CmpIOp::create(b, loc, predicate, a, broadcast(c, shapeOf(a)));
}

Value KernelBuilder::select(Value condition, Value a, Value c) {
  Shape shape = shapeOf(condition);
  return arith::SelectOp::create(b, loc, condition, broadcast(a, shape),
                                 broadcast(c, shape));
}

//===----------------------------------------------------------------------===//
// Parts of models
//===----------------------------------------------------------------------===//

Value KernelBuilder::rmsNorm(Value x, Value weight, int64_t width, double eps) {
  Value sum = reduce(tile::ReduceKind::Add, mulf(x, x), 1);
  Value mean = divf(sum, constant(shapeOf(sum), width));
  Value inverse =
      math::RsqrtOp::create(b, loc, addf(mean, constant(shapeOf(mean), eps)));
  return mulf(mulf(x, inverse), weight);
}

Value KernelBuilder::rope(Value x, Value cosSin) {
  Type half = RankedTensorType::get({extent(x, 0), extent(x, 1) / 2}, f32());
  auto pairs = tile::DeinterleaveOp::create(b, loc, half, half, x);
  auto angles = tile::DeinterleaveOp::create(b, loc, half, half, cosSin);
  Value re = pairs.getEven(), im = pairs.getOdd();
  Value cos = angles.getEven(), sin = angles.getOdd();
  Value even = subf(mulf(re, cos), mulf(im, sin));
  Value odd = addf(mulf(re, sin), mulf(im, cos));
  return tile::InterleaveOp::create(b, loc, x.getType(), even, odd);
}

Value KernelBuilder::sigmoid(Value x) {
  Value one = constant(shapeOf(x), 1.0);
  return divf(one, addf(exp2(mulf(x, -kLog2E)), one));
}

Value KernelBuilder::silu(Value x) {
  return divf(x, addf(exp2(mulf(x, -kLog2E)), constant(shapeOf(x), 1.0)));
}

Scaled KernelBuilder::quantize(Value x) {
  int64_t rows = extent(x, 0), columns = extent(x, 1);
  auto quantized = tile::QuantizeOp::create(
      b, loc, RankedTensorType::get({rows, columns}, fp8()),
      RankedTensorType::get({rows, (columns + kGroup - 1) / kGroup}, f32()), x,
      kGroup, APFloat(kQuantFloor),
      common.scaleFormat == ScaleFormat::ue8m0 ? tile::ScaleFormat::UE8M0
                                               : tile::ScaleFormat::F32);
  return {quantized.getCodes(), quantized.getScales()};
}

Value KernelBuilder::loadCosSin(Value table, Value positions, Value token,
                                int64_t m) {
  int64_t width = cast<tile::ViewType>(table.getType()).getShape()[1];
  Value gathered = rows(table, load(positions, token, {m}));
  return load(gathered, {index(0), index(0)}, {m, width});
}

//===----------------------------------------------------------------------===//
// Contractions
//===----------------------------------------------------------------------===//

Value KernelBuilder::dot(Value a, Value c, Value acc, bool transposeB) {
  return tile::DotOp::create(b, loc, acc.getType(), a, c, acc,
                             /*ta=*/false, /*tb=*/transposeB);
}

Value KernelBuilder::dotWeight(Scaled a, Scaled w, Value acc) {
  if (!w.scales)
    return dot(a.tile, w.tile, acc, /*transposeB=*/true);
  if (tile::isInt4(elementOf(w.tile))) {
    Type rounded = RankedTensorType::get(shapeOf(w.tile), b.getBF16Type());
    Value exact =
        tile::DequantizeOp::create(b, loc, rounded, w.tile, w.scales);
    return dot(a.tile, exact, acc, /*transposeB=*/true);
  }
  return tile::DotScaledOp::create(b, loc, acc.getType(), a.tile, a.scales,
                                   w.tile, w.scales, acc, kGroup);
}

SmallVector<Value> KernelBuilder::foldSum(
    Value lo, Value hi, int64_t step, ArrayRef<SmallVector<int64_t>> shapes,
    function_ref<SmallVector<Value>(Value, ValueRange)> body) {
  SmallVector<Value> inits;
  for (const SmallVector<int64_t> &shape : shapes)
    inits.push_back(zeros(shape));
  auto fold = tile::FoldOp::create(
      b, loc, lo, hi, step, inits,
      [&](OpBuilder &, Location, Value iv, ValueRange state) {
        return body(iv, state);
      },
      [&](OpBuilder &, Location, ValueRange p, ValueRange q) {
        SmallVector<Value> merged;
        for (auto [x, y] : llvm::zip(p, q))
          merged.push_back(addf(x, y));
        return merged;
      });
  return SmallVector<Value>(fold.getResults());
}

//===----------------------------------------------------------------------===//
// Online softmax
//===----------------------------------------------------------------------===//

/// |max|, or 0 for a row that saw no key, so that no difference of two
/// infinities is ever formed.
static Value finiteReference(KernelBuilder &k, Value max) {
  Value none =
      k.constant(k.shapeOf(max), -std::numeric_limits<double>::infinity());
  Value empty =
      arith::CmpFOp::create(k.b, k.loc, arith::CmpFPredicate::OEQ, max, none);
  return k.select(empty, k.zeros(k.shapeOf(max)), max);
}

SoftmaxState softmaxInit(KernelBuilder &k, int64_t m, int64_t n) {
  return {k.constant({m, 1}, -std::numeric_limits<double>::infinity()),
          k.zeros({m, 1}), k.zeros({m, n})};
}

SoftmaxState softmaxStep(KernelBuilder &k, SoftmaxState state, Value scores,
                         Value values) {
  Value max = k.maxf(state.max, k.reduce(tile::ReduceKind::Max, scores, 1));
  Value reference = finiteReference(k, max);
  Value weight = k.exp2(k.subf(state.max, reference));
  Value p = k.exp2(k.subf(scores, reference));
  Value sum =
      k.addf(k.mulf(state.sum, weight), k.reduce(tile::ReduceKind::Add, p, 1));
  Value acc = k.dot(k.toAct(p), values, k.mulf(state.acc, weight), false);
  return {max, sum, acc};
}

SoftmaxState softmaxMerge(KernelBuilder &k, SoftmaxState a, SoftmaxState c) {
  Value max = k.maxf(a.max, c.max);
  Value reference = finiteReference(k, max);
  Value wa = k.exp2(k.subf(a.max, reference));
  Value wc = k.exp2(k.subf(c.max, reference));
  return {max, k.addf(k.mulf(a.sum, wa), k.mulf(c.sum, wc)),
          k.addf(k.mulf(a.acc, wa), k.mulf(c.acc, wc))};
}

Value softmaxFinish(KernelBuilder &k, SoftmaxState state, Value length) {
  SmallVector<int64_t> shape(k.shapeOf(state.sum));
  Value empty = k.cmpi(arith::CmpIPredicate::eq, k.splat(length, shape),
                       k.constantI32(shape, 0));
  Value sum = k.select(empty, k.constant(shape, 1.0), state.sum);
  return k.divf(state.acc, sum);
}

} // namespace hadal::kernels
