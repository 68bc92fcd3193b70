#include "mlir/Interfaces/SideEffectInterfaces.h"
#include "passes/Identity/Names.h"
#include "passes/Shard/Passes.h"
#include "llvm/ADT/TypeSwitch.h"

namespace hadal {
#define GEN_PASS_DEF_EXPANDEXCHANGE
#include "passes/Shard/Passes.h.inc"
} // namespace hadal

using namespace hadal;
using namespace hadal::dsv3;
using namespace mlir;

namespace {

/// Columns of `sent` and `got`.
enum Count { kRows = 0, kPairs = 1 };
/// A part of which all rows are meant.
constexpr int64_t kUncounted = -1;

struct ExpandExchangePass
    : hadal::impl::ExpandExchangeBase<ExpandExchangePass> {
  void runOnOperation() override {
    SmallVector<MoeDispatchOp> dispatches;
    SmallVector<MoeReturnOp> returns;
    getOperation().walk([&](MoeDispatchOp op) { dispatches.push_back(op); });
    getOperation().walk([&](MoeReturnOp op) { returns.push_back(op); });
    for (MoeDispatchOp op : dispatches)
      expand(op);
    for (MoeReturnOp op : returns)
      expand(op);
    SmallVector<Operation *> ofRows;
    getOperation().walk([&](Operation *op) {
      if (isa<AllGatherOp, ReduceScatterOp, AllReduceOp>(op))
        ofRows.push_back(op);
    });
    for (Operation *op : ofRows)
      expandRows(op);
  }

  /// True if a kernel or a collective of this function gives |value|, so that
  /// it lies, or can lie, in an exchange buffer.
  static bool isComputedHere(Value value) {
    Operation *op = value.getDefiningOp();
    return op && !isa<func::CallOp, GetParameterOp>(op);
  }

  static void expandRows(Operation *op) {
    std::pair<CollectiveKind, Axis> what =
        llvm::TypeSwitch<Operation *, std::pair<CollectiveKind, Axis>>(op)
            .Case([](AllGatherOp o) {
              return std::pair(CollectiveKind::AllGather, o.getAxis());
            })
            .Case([](ReduceScatterOp o) {
              return std::pair(CollectiveKind::ReduceScatter, o.getAxis());
            })
            .Case([](AllReduceOp o) {
              return std::pair(CollectiveKind::AllReduce, o.getAxis());
            });
    OpBuilder b(op);
    SmallVector<Value> parts;
    for (Value part : op->getOperands())
      parts.push_back(isComputedHere(part)
                          ? part
                          : CopyRowsOp::create(b, splitLoc(op, "send"),
                                               part.getType(), part)
                                .getResult());
    auto pending =
        PendingType::get(b.getContext(), llvm::to_vector(op->getResultTypes()));
    Value start = StartOp::create(
        b, op->getLoc(), pending, what.first, what.second, parts, Value(),
        DenseI64ArrayAttr(), b.getStringAttr(getLocalName(op)));
    auto await =
        AwaitOp::create(b, splitLoc(op, "await"), op->getResultTypes(), start);
    for (auto [result, received] :
         llvm::zip(op->getResults(), await.getValues()))
      for (OpOperand &use : llvm::make_early_inc_range(result.getUses())) {
        Value value = received;
        if (isa<func::ReturnOp>(use.getOwner()))
          value = CopyRowsOp::create(b, splitLoc(op, "received"),
                                     value.getType(), value);
        use.set(value);
      }
    op->erase();
  }

  /// An all_to_all over ep of |parts|, begun and awaited at |b|.
  static AwaitOp exchange(OpBuilder &b, Operation *op, ValueRange parts,
                          Value counts, ArrayRef<int64_t> columns,
                          StringRef label) {
    auto pending =
        PendingType::get(b.getContext(), llvm::to_vector(parts.getTypes()));
    Value start = StartOp::create(
        b, op->getLoc(), pending, CollectiveKind::AllToAll, Axis::EP, parts,
        counts, b.getDenseI64ArrayAttr(columns), b.getStringAttr(label));
    return AwaitOp::create(b, splitLoc(op, "await"), parts.getTypes(), start);
  }

  static void expand(MoeDispatchOp op) {
    OpBuilder b(op);
    MoeCountOp::create(b, splitLoc(op, "count"), op.getIds(), op.getBatch(),
                       op.getCounts());
    auto sendToken = getRowsType(Extent::Received, {}, b.getI32Type());
    auto route = MoeRouteOp::create(
        b, splitLoc(op, "route"), sendToken, op.getMeta().getType(),
        op.getPlace().getType(), op.getSent().getType(), op.getIds(),
        op.getTable(), op.getBatch(), op.getOverflow());
    Value packed =
        MoePackOp::create(b, splitLoc(op, "pack"), op.getRows().getType(),
                          op.getInput(), route.getSendToken());
    // Unused rows say so themselves in the meta, which is therefore not
    // counted.
    AwaitOp received =
        exchange(b, op, {packed, route.getSendMeta(), route.getSent()},
                 route.getSent(), {kRows, kUncounted, kUncounted}, "dispatch");
    Value meta = received.getValues()[1];
    auto receive = MoeReceiveOp::create(
        b, splitLoc(op, "receive"), op.getSource().getType(),
        op.getBack().getType(), op.getBegin().getType(), meta,
        received.getValues()[2], op.getBatch());
    advance(op, received);
    op->replaceAllUsesWith(
        ValueRange{received.getValues()[0], meta, receive.getSource(),
                   receive.getBegin(), receive.getBack(), route.getPlace(),
                   route.getSent(), received.getValues()[2]});
    op.erase();
  }

  /// Moves what follows |op| and neither needs it nor writes anything in front
  /// of |await|.
  static void advance(MoeDispatchOp op, AwaitOp await) {
    llvm::SmallPtrSet<Operation *, 16> dependent = {op};
    for (Operation &next : llvm::make_early_inc_range(llvm::make_range(
             std::next(op->getIterator()),
             op->getBlock()->getTerminator()->getIterator()))) {
      bool waits = llvm::any_of(next.getOperands(), [&](Value operand) {
        Operation *from = operand.getDefiningOp();
        return from && dependent.contains(from);
      });
      if (waits || !isPure(&next))
        dependent.insert(&next);
      else
        next.moveBefore(await);
    }
  }

  static void expand(MoeReturnOp op) {
    OpBuilder b(op);
    Value rows = MoeReturnRowsOp::create(
        b, splitLoc(op, "rows"), op.getResult().getType(), op.getInput(),
        op.getMeta(), op.getBack());
    AwaitOp received = exchange(b, op, rows, op.getGot(), {kPairs}, "return");
    op->replaceAllUsesWith(received.getValues());
    op.erase();
  }
};

} // namespace
