// Routing to experts and back.
#include "passes/Dsv3ToExec/KernelModel.h"

using namespace mlir;
using namespace hadal::kernels;

namespace hadal::lower {

static FailureOr<KernelLaunch> describe(dsv3::GateTopkOp op,
                                        FunctionLowering &f) {
  GateTopkSpec spec;
  spec.act = f.program().act;
  spec.slice = isSlice(op.getLogits());
  spec.experts = columns(op.getLogits());
  spec.topk = op.getTopK();
  spec.groups = op.getGroups();
  spec.topkGroups = op.getTopGroups();
  spec.sigmoid = op.getScore() == dsv3::ScoreFunction::Sigmoid;
  spec.bias = static_cast<bool>(op.getBias());
  spec.groupTop2 = op.getGroupScore() == dsv3::GroupScore::Top2Sum;
  spec.normalize = op.getRenormalize();
  spec.routeScale = op.getRouteScale().convertToDouble();
  SmallVector<Operand> operands{f.rowsOf(op.getLogits())};
  if (op.getBias())
    operands.push_back(f.whole(op.getBias()));
  operands.push_back(f.define(op.getIds(), "ids"));
  operands.push_back(f.define(op.getWeights(), "weights"));
  return KernelLaunch{spec, operands, f.rows(op.getLogits())};
}

static FailureOr<KernelLaunch> describe(dsv3::MoePermuteOp op,
                                        FunctionLowering &f) {
  MoePermuteSpec spec;
  spec.act = f.program().act;
  spec.slice = isSlice(op.getIds());
  spec.experts = cast<dsv3::CountsType>(op.getCounts().getType()).getSize();
  spec.topk = columns(op.getIds());
  spec.tokens = f.rows(op.getIds());
  // `begin` is the expert_begin part of the sizes. The kernel sees `place` as
  // one column.
  f.define(op.getPlace(), "place");
  return KernelLaunch{
      spec,
      {f.rowsOf(op.getIds()), f.define(op.getSource(), "source"),
       f.rowsOf(op.getPlace(), spec.topk), f.whole(op.getCounts())},
      spec.experts};
}

static FailureOr<KernelLaunch> describe(dsv3::MoeCombineOp op,
                                        FunctionLowering &f) {
  MoeCombineSpec spec;
  spec.act = f.program().act;
  spec.slice = isSlice(op.getResult());
  spec.hidden = columns(op.getResult());
  spec.topk = columns(op.getPlace());
  spec.shared = static_cast<bool>(op.getShared());
  if (!op.getResidual())
    return op.emitError("the kernel adds a residual, which is missing; run "
                        "the fusion passes");
  SmallVector<Operand> operands{f.rowsOf(op.getRows()), f.rowsOf(op.getPlace()),
                                f.rowsOf(op.getWeights())};
  if (op.getShared())
    operands.push_back(f.rowsOf(op.getShared()));
  operands.push_back(f.rowsOf(op.getResidual()));
  operands.push_back(f.define(op.getResult()));
  return KernelLaunch{spec, operands, f.rows(op.getResult())};
}

void attachGateTopkModel(MLIRContext &context) {
  attachModel<dsv3::GateTopkOp, describe>(context);
}

void attachMoePermuteModel(MLIRContext &context) {
  attachModel<dsv3::MoePermuteOp, describe>(context);
}

void attachMoeCombineModel(MLIRContext &context) {
  attachModel<dsv3::MoeCombineOp, describe>(context);
}

} // namespace hadal::lower
