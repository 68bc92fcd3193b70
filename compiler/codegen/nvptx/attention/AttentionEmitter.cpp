// The form, arguments, roles, rings and sequences of the attention kernels.
#include "compiler/codegen/nvptx/attention/AttentionEmitter.h"

using namespace mlir;

namespace hadal::nvptx {

//===----------------------------------------------------------------------===//
// Form
//===----------------------------------------------------------------------===//

std::string AttentionForm::read(tile::KernelOp kernel) {
  auto pool =
      cast<tile::ViewType>(kernel.getKernelArguments()[1].getType());
  pageSize = pool.getShape()[1];
  scale = 0;
  kernel.walk([&](tile::FoldOp fold) {
    for (auto mul : fold.getBody().front().getOps<arith::MulFOp>()) {
      DenseFPElementsAttr value;
      if (matchPattern(mul.getRhs(), m_Constant(&value)) && value.isSplat()) {
        scale = value.getSplatValue<APFloat>().convertToFloat();
        break;
      }
    }
  });
  if (!(scale > 0))
    return "scores are scaled by a positive constant only";
  if (pageSize % kKeys != 0)
    return "pages of " + std::to_string(pageSize) +
           " rows are not whole key tiles of " + std::to_string(kKeys);
  return {};
}

//===----------------------------------------------------------------------===//
// Arguments
//===----------------------------------------------------------------------===//

void AttentionEmitter::begin(OpBuilder &outer, int64_t workspacePerItem) {
  MLIRContext *context = kernel.getContext();
  auto pointer = LLVM::LLVMPointerType::get(context, 1);
  auto i64Type = IntegerType::get(context, 64);
  SmallVector<Type> slots;
  for (BlockArgument arg : kernel.getKernelArguments()) {
    slots.push_back(pointer);
    if (auto view = dyn_cast<tile::ViewType>(arg.getType()))
      slots.append(view.getNumSlots() - 1, i64Type);
    if (auto view = dyn_cast<tile::ViewType>(arg.getType());
        view && view.isScaled())
      slots[slots.size() - view.getNumDynamic() - 1] = pointer;
  }
  if (workspacePerItem)
    slots.push_back(pointer);
  target = sm90::KernelOp::create(outer, kernel.getLoc(), kernel.getSymName(),
                                  128 * (groups + 1), slots);
  if (workspacePerItem)
    target.setWorkspacePerItem(workspacePerItem);
  builder.emplace(kernel.getLoc(), context);
  builder->setInsertionPointToEnd(&target.getBodyBlock());

  unsigned slot = 0;
  auto next = [&] { return target.getBodyBlock().getArgument(slot++); };
  for (BlockArgument arg : kernel.getKernelArguments()) {
    auto type = dyn_cast<tile::ViewType>(arg.getType());
    if (!type) {
      sizes = next();
      continue;
    }
    ArgumentView view;
    view.type = type;
    view.dataSlot = slot;
    view.data = next();
    if (type.isScaled())
      view.scale = next();
    for (int64_t extent : type.getShape()) {
      view.extentSlots.push_back(extent < 0 ? slot : -1);
      view.extents.push_back(extent < 0 ? Value(next()) : builder->i64(extent));
    }
    views.push_back(std::move(view));
  }
  if (workspacePerItem)
    workspace = next();
}

Value AttentionEmitter::mapOf(const ArgumentView &view, int64_t rows) {
  ArrayRef<int64_t> shape = view.type.getShape();
  int64_t rank = shape.size();
  SmallVector<int64_t> extents, strides, box(rank, 1);
  int64_t stride = view.type.getElementType().getIntOrFloatBitWidth() / 8;
  for (int64_t i = rank - 1; i >= 0; --i) {
    extents.push_back(shape[i] >= 0 ? shape[i] : -1 - view.extentSlots[i]);
    strides.push_back(stride);
    stride = i == rank - 1 ? tile::rowPitchBytes(view.type) : stride * shape[i];
  }
  box[0] = 64;
  box[1] = rows;
  Value map = target.addTensorMap(
      sm90::MapAttr::get(kernel.getContext(), view.dataSlot,
                         view.type.getElementType(), extents, strides, box,
                         /*swizzle=*/128));
  sm90::PrefetchMapOp::create(*builder, map);
  return map;
}

void AttentionEmitter::emitThread() {
  sm90::AsmBuilder &b = *builder;
  thread = sm90::SregOp::create(b, b.getI32Type(), sm90::Sreg::Tid);
  lane = b.bitAnd(thread, b.i32(31));
  quad = b.bitAnd(lane, b.i32(3));
  rowInGroup =
      b.add(b.shl(b.bitAnd(b.shr(thread, 5), b.i32(3)), 4), b.shr(lane, 2));
}

void AttentionEmitter::emitRoles(llvm::function_ref<void()> producer,
                                 llvm::function_ref<void(Value)> consumer) {
  sm90::AsmBuilder &b = *builder;
  sm90::PdlLaunchOp::create(b);
  // Both roles read what other kernels write (queries, cache, page table,
  // lengths): every thread waits, and here, ahead of the roles.
  sm90::PdlWaitOp::create(b);
  auto roles =
      sm90::RolesOp::create(b, groups, registers.load, registers.mma);
  b.setInsertionPointToEnd(&roles.getLoad().front());
  producer();
  b.setInsertionPointToEnd(&roles.getMma().front());
  emitThread();
  consumer(roles.getMma().getArgument(0));
}

//===----------------------------------------------------------------------===//
// Rings
//===----------------------------------------------------------------------===//

sm90::TileType AttentionEmitter::tileOf(int64_t rows, int64_t columns) {
  return sm90::TileType::get(rows, columns, builder->getBF16Type());
}

Value AttentionEmitter::createRing(int64_t stages, ArrayRef<Type> tiles) {
  return sm90::RingOp::create(
      *builder, sm90::RingType::get(builder->getContext(), stages, tiles),
      4 * groups);
}

ValueRange AttentionEmitter::acquire(Value ring, Value iteration) {
  auto type = cast<sm90::RingType>(ring.getType());
  return sm90::AcquireOp::create(*builder, type.getTiles(), ring, iteration)
      .getTiles();
}

ValueRange AttentionEmitter::await(Value ring, Value iteration) {
  auto type = cast<sm90::RingType>(ring.getType());
  return sm90::AwaitOp::create(*builder, type.getTiles(), ring, iteration)
      .getTiles();
}

void AttentionEmitter::load(Value map, ValueRange at, Value tile, Value ring,
                            Value iteration) {
  sm90::TmaLoadOp::create(*builder, map, at, tile, ring, iteration);
}

//===----------------------------------------------------------------------===//
// Sequences
//===----------------------------------------------------------------------===//

void AttentionEmitter::emitSequence(
    Value index, llvm::function_ref<void(const Sequence &)> body) {
  sm90::AsmBuilder &b = *builder;
  emitIf(less(index, loadI32(sizes, b.i32(1))), [&] {
    Sequence s;
    s.index = index;
    s.first = loadI32(views[QStart].data, index);
    s.last = loadI32(views[QStart].data, b.add(index, b.i32(1)));
    s.length = loadI32(views[KvLen].data, index);
    body(s);
  });
}

Value AttentionEmitter::visibleKeys(const Sequence &sequence, Value token) {
  sm90::AsmBuilder &b = *builder;
  Value position = loadI32(views[Positions].data, token);
  return minS(b.add(position, b.i32(1)), sequence.length);
}

Value AttentionEmitter::pageTableOf(const Sequence &sequence) {
  sm90::AsmBuilder &b = *builder;
  const ArgumentView &table = views[PageTable];
  return byteOffset(
      table.data,
      b.mul(b.mul(wide(sequence.index), table.extents[1]), b.i64(4)));
}

Value AttentionEmitter::pageOf(Value table, Value key) {
  return loadI32(table, builder->udiv(key, builder->i32(pageSize())));
}

Value AttentionEmitter::rowInPage(const Sequence &sequence, Value key) {
  sm90::AsmBuilder &b = *builder;
  return b.add(b.urem(key, b.i32(pageSize())), firstRow(key, sequence.length));
}

//===----------------------------------------------------------------------===//
// Scalars
//===----------------------------------------------------------------------===//

Value AttentionEmitter::wide(Value i32) {
  return arith::ExtSIOp::create(*builder, builder->getI64Type(), i32);
}
Value AttentionEmitter::byteOffset(Value pointer, Value bytes) {
  return LLVM::GEPOp::create(*builder, pointer.getType(), builder->getI8Type(),
                             pointer, ArrayRef<LLVM::GEPArg>{bytes});
}
Value AttentionEmitter::loadI32(Value pointer, Value index) {
  sm90::AsmBuilder &b = *builder;
  return LLVM::LoadOp::create(
      b, b.getI32Type(), byteOffset(pointer, b.mul(wide(index), b.i64(4))));
}
Value AttentionEmitter::minS(Value a, Value c) {
  return arith::MinSIOp::create(*builder, a, c);
}
Value AttentionEmitter::maxS(Value a, Value c) {
  return arith::MaxSIOp::create(*builder, a, c);
}
Value AttentionEmitter::sub(Value a, Value c) {
  return arith::SubIOp::create(*builder, a, c);
}
Value AttentionEmitter::ceilDiv(Value a, int64_t divisor) {
  return builder->udiv(builder->add(a, builder->i32(divisor - 1)),
                       builder->i32(divisor));
}
Value AttentionEmitter::less(Value a, Value c) {
  return builder->cmp(arith::CmpIPredicate::slt, a, c);
}

void AttentionEmitter::emitIf(Value condition,
                              llvm::function_ref<void()> body) {
  sm90::AsmBuilder &b = *builder;
  auto ifOp = scf::IfOp::create(b, TypeRange(), condition, false);
  OpBuilder::InsertionGuard guard(b);
  b.setInsertionPoint(ifOp.thenBlock()->getTerminator());
  body();
}

} // namespace hadal::nvptx
