#include "passes/Memory/KernelSlots.h"

using namespace mlir;

namespace hadal {

namespace {

struct Effects {
  bool reads = false, writes = false;
};

/// Adds what the uses of |value|, a view or the sizes, do to the memory of the
/// kernel argument that it was derived from.
void collectEffects(Value value, Effects &effects) {
  for (OpOperand &use : value.getUses()) {
    Operation *op = use.getOwner();
    if (isa<tile::StoreOp, tile::StoreSizeOp>(op)) {
      effects.writes = true;
    } else if (isa<tile::ReduceIntoOp>(op)) {
      effects.reads = effects.writes = true;
    } else if (isa<tile::DimOp>(op)) {
      // An extent comes from the slots, not from memory.
    } else if (op->getNumResults() == 1 &&
               isa<tile::ViewType>(op->getResult(0).getType()) &&
               use.getOperandNumber() == 0) {
      collectEffects(op->getResult(0), effects);
    } else {
      // Loads, and views used as an index: a page table.
      effects.reads = true;
    }
  }
}

} // namespace

SmallVector<KernelSlot> getKernelSlots(tile::KernelOp kernel) {
  SmallVector<KernelSlot> slots;
  for (auto [index, arg] : llvm::enumerate(kernel.getKernelArguments())) {
    Effects effects;
    collectEffects(arg, effects);
    std::string name =
        cast<StringAttr>(kernel.getArgNames()[index]).getValue().str();
    auto add = [&](KernelSlot::Role role, const std::string &slotName) {
      bool isExtent = role == KernelSlot::Role::extent;
      slots.push_back({role, static_cast<unsigned>(index),
                       !isExtent && effects.reads, !isExtent && effects.writes,
                       !isExtent && kernel.isConstant(index), slotName});
    };
    auto view = dyn_cast<tile::ViewType>(arg.getType());
    if (!view) {
      add(KernelSlot::Role::sizes, name);
      continue;
    }
    add(KernelSlot::Role::data, name);
    if (view.isScaled())
      add(KernelSlot::Role::scale, name + ".scale");
    for (int64_t d = 0; d < view.getRank(); ++d)
      if (view.isDynamic(d))
        add(KernelSlot::Role::extent, name + ".extent" + std::to_string(d));
  }
  return slots;
}

int64_t getSlotBytes(tile::KernelOp kernel, ArrayRef<KernelSlot> slots,
                     exec::LaunchOp launch, unsigned index) {
  const KernelSlot &slot = slots[index];
  auto view = cast<tile::ViewType>(
      kernel.getKernelArguments()[slot.argument].getType());
  if (view.getKind() != tile::ViewKind::Dense)
    return 0;
  SmallVector<int64_t> extents;
  unsigned next = index + 1;
  if (slot.role == KernelSlot::Role::data && view.isScaled())
    ++next;
  for (int64_t d = 0; d < view.getRank(); ++d)
    extents.push_back(view.isDynamic(d) ? launch.getScalars()[next++]
                                        : view.getShape()[d]);
  int64_t elementBits = view.getElementType().getIntOrFloatBitWidth();
  int64_t elementBytes = llvm::divideCeil(elementBits, 8);
  if (slot.role == KernelSlot::Role::scale) {
    size_t rank = extents.size();
    extents[rank - 2] = llvm::divideCeil(extents[rank - 2], view.getScaleRows());
    extents[rank - 1] = llvm::divideCeil(extents[rank - 1], view.getScaleCols());
    elementBytes = tile::scaleBytes(view);
  } else if (elementBits < 8) {
    extents.back() = llvm::divideCeil(extents.back() * elementBits, 8);
  }
  if (slot.role == KernelSlot::Role::data &&
      exec::hasRowPitch(launch->getParentOfType<ModuleOp>())) {
    // The last row counts whole: buffers hold it so.
    elementBytes = tile::rowPitchBytes(view.getElementType(), view.getRank(),
                                       extents.back());
    extents.pop_back();
  }
  int64_t bytes = elementBytes;
  for (int64_t extent : extents)
    bytes *= extent;
  return bytes;
}

} // namespace hadal
