// The kernels around the exchange of rows between ranks.
#include "passes/Dsv3ToExec/KernelModel.h"

using namespace mlir;
using namespace hadal::kernels;

namespace hadal::lower {

static FailureOr<KernelLaunch> describe(dsv3::MoeCountOp op,
                                        FunctionLowering &f) {
  MoeCountSpec spec;
  spec.act = f.program().act;
  spec.experts = cast<dsv3::CountsType>(op.getCounts().getType()).getSize();
  spec.topk = columns(op.getIds());
  spec.tokens = f.rows(op.getIds());
  return KernelLaunch{
      spec, {f.rowsOf(op.getIds()), f.whole(op.getCounts())}, spec.experts};
}

static FailureOr<KernelLaunch> describe(dsv3::MoeRouteOp op,
                                        FunctionLowering &f) {
  RankedTensorType table = typeOf(op.getTable());
  MoeRouteSpec spec;
  spec.act = f.program().act;
  spec.experts = table.getDimSize(0);
  spec.topk = columns(op.getIds());
  spec.tokens = f.rows(op.getIds());
  spec.ranks = f.program().ep();
  spec.slots = f.program().mesh.getSlots();
  spec.capacity = f.bucket().getCapacity();
  spec.pairs = f.bucket().getPairs();
  spec.replicas = table.getDimSize(1) - 1;
  // The kernel sees `place` as one column.
  f.define(op.getPlace(), "place");
  Operand token = f.define(op.getSendToken(), "token"),
          meta = f.define(op.getSendMeta(), "meta");
  f.define(op.getSent(), "sent");
  return KernelLaunch{spec,
                      {f.rowsOf(op.getIds()), f.whole(op.getTable()), token,
                       meta, f.rowsOf(op.getPlace(), spec.topk),
                       f.whole(op.getSent()), f.whole(op.getOverflow())},
                      spec.ranks};
}

static FailureOr<KernelLaunch> describe(dsv3::MoePackOp op,
                                        FunctionLowering &f) {
  MoePackSpec spec;
  spec.act = f.program().act;
  spec.hidden = columns(op.getInput());
  spec.quantized = dsv3::isFP8(op.getInput().getType());
  return KernelLaunch{spec,
                      {f.rowsOf(op.getInput()), f.rowsOf(op.getSendToken()),
                       f.define(op.getResult())},
                      f.rows(op.getResult())};
}

static FailureOr<KernelLaunch> describe(dsv3::MoeReceiveOp op,
                                        FunctionLowering &f) {
  MoeReceiveSpec spec;
  spec.act = f.program().act;
  spec.topk = columns(op.getBack());
  spec.ranks = f.program().ep();
  spec.slots = f.program().mesh.getSlots();
  spec.capacity = f.bucket().getCapacity();
  // `begin` is the expert_begin part of the sizes. The kernel sees `back` as
  // one column.
  f.define(op.getBack(), "back");
  return KernelLaunch{spec,
                      {f.rowsOf(op.getMeta()), f.rowsOf(op.getGot()),
                       f.define(op.getSource(), "source"),
                       f.rowsOf(op.getBack(), spec.topk)},
                      spec.slots};
}

static FailureOr<KernelLaunch> describe(dsv3::MoeReturnRowsOp op,
                                        FunctionLowering &f) {
  MoeReturnRowsSpec spec;
  spec.act = f.program().act;
  spec.hidden = columns(op.getInput());
  spec.topk = columns(op.getBack());
  spec.ranks = f.program().ep();
  spec.capacity = f.bucket().getCapacity();
  spec.pairs = f.bucket().getPairs();
  return KernelLaunch{spec,
                      {f.rowsOf(op.getInput()), f.rowsOf(op.getMeta()),
                       f.rowsOf(op.getBack()), f.define(op.getResult())},
                      f.rows(op.getMeta())};
}

void attachMoeCountModel(MLIRContext &context) {
  attachModel<dsv3::MoeCountOp, describe>(context);
}

void attachMoeRouteModel(MLIRContext &context) {
  attachModel<dsv3::MoeRouteOp, describe>(context);
}

void attachMoePackModel(MLIRContext &context) {
  attachModel<dsv3::MoePackOp, describe>(context);
}

void attachMoeReceiveModel(MLIRContext &context) {
  attachModel<dsv3::MoeReceiveOp, describe>(context);
}

void attachMoeReturnRowsModel(MLIRContext &context) {
  attachModel<dsv3::MoeReturnRowsOp, describe>(context);
}

} // namespace hadal::lower
