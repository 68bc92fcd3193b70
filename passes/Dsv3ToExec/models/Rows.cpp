// Kernels that work on rows.
#include "passes/Dsv3ToExec/KernelModel.h"

using namespace mlir;
using namespace hadal::kernels;

namespace hadal::lower {

static FailureOr<KernelLaunch> describe(dsv3::EmbedOp op, FunctionLowering &f) {
  EmbedSpec spec;
  spec.act = f.program().act;
  spec.slice = isSlice(op.getResult());
  spec.vocab = typeOf(op.getTable()).getDimSize(0);
  spec.hidden = columns(op.getTable());
  spec.table = weightOf(op.getTable());
  return KernelLaunch{spec,
                      {f.rowsOf(op.getTokens()), f.whole(op.getTable()),
                       f.define(op.getResult())},
                      f.rows(op.getResult())};
}

static FailureOr<KernelLaunch> describe(dsv3::MtpInputOp op,
                                        FunctionLowering &f) {
  MtpInputSpec spec;
  spec.act = f.program().act;
  spec.vocab = typeOf(op.getTable()).getDimSize(0);
  spec.hidden = columns(op.getTable());
  spec.eps = op.getEps().convertToDouble();
  spec.table = weightOf(op.getTable());
  // Rows of an earlier call, of whichever bucket it was.
  Operand hidden{f.storageOf(op.getHidden()), {f.program().hiddenRows}};
  return KernelLaunch{spec,
                      {f.rowsOf(op.getTokens()), f.whole(op.getTable()),
                       f.whole(op.getEnorm()), hidden, f.rowsOf(op.getRows()),
                       f.whole(op.getNorm()), f.whole(op.getHnorm()),
                       f.define(op.getResult())},
                      f.rows(op.getResult())};
}

static FailureOr<KernelLaunch> describe(dsv3::AddOp op, FunctionLowering &f) {
  AddSpec spec;
  spec.act = f.program().act;
  spec.slice = isSlice(op.getResult());
  spec.width = columns(op.getResult());
  spec.f32Addend = op.getRhs().getType() != op.getResult().getType();
  return KernelLaunch{
      spec,
      {f.rowsOf(op.getLhs()), f.rowsOf(op.getRhs()), f.define(op.getResult())},
      f.rows(op.getResult())};
}

static FailureOr<KernelLaunch> describe(dsv3::SiluMulOp op,
                                        FunctionLowering &f) {
  SiluMulSpec spec;
  spec.act = f.program().act;
  spec.slice = isSlice(op.getResult());
  spec.width = columns(op.getResult());
  return KernelLaunch{
      spec,
      {f.rowsOf(op.getGate()), f.rowsOf(op.getUp()), f.define(op.getResult())},
      f.rows(op.getResult())};
}

static FailureOr<KernelLaunch> describe(dsv3::QuantizeTilesOp op,
                                        FunctionLowering &f) {
  QuantizeSpec spec;
  spec.act = f.program().act;
  spec.slice = isSlice(op.getResult());
  spec.scaleFormat = formatOf(op.getResult());
  spec.width = columns(op.getInput());
  return KernelLaunch{spec,
                      {f.rowsOf(op.getInput()), f.define(op.getResult())},
                      f.rows(op.getInput())};
}

static FailureOr<KernelLaunch> describe(dsv3::NormQuantOp op,
                                        FunctionLowering &f) {
  NormQuantSpec spec;
  spec.act = f.program().act;
  spec.slice = isSlice(op.getInput());
  spec.width = columns(op.getInput());
  spec.eps = op.getEps().convertToDouble();
  spec.delta = static_cast<bool>(op.getAddend());
  spec.f32Delta =
      spec.delta && op.getAddend().getType() != op.getInput().getType();
  spec.emitAct = static_cast<bool>(op.getNorm());
  spec.quantize = static_cast<bool>(op.getQuantized());
  spec.gather = static_cast<bool>(op.getIndices());
  if (spec.quantize)
    spec.scaleFormat = formatOf(op.getQuantized());
  SmallVector<Operand> operands;
  int64_t capacity = f.rows(op.getInput());
  if (spec.gather) {
    // The head reads rows of a forward entry's bucket, whichever it was.
    operands.push_back({f.storageOf(op.getInput()), {f.program().hiddenRows}});
    operands.push_back(f.rowsOf(op.getIndices()));
    capacity = f.bucket().getLogits();
  } else {
    operands.push_back(f.rowsOf(op.getInput()));
  }
  if (spec.delta)
    operands.push_back(f.rowsOf(op.getAddend()));
  operands.push_back(f.whole(op.getWeight()));
  if (op.getSum())
    operands.push_back(f.define(op.getSum(), "sum"));
  if (op.getNorm())
    operands.push_back(f.define(op.getNorm()));
  if (op.getQuantized())
    operands.push_back(f.define(op.getQuantized(), "codes"));
  return KernelLaunch{spec, operands, capacity};
}

/// copy_rows of |input| to |result|.
static FailureOr<KernelLaunch> describeCopy(Value input, Value result,
                                            bool fromSlice,
                                            FunctionLowering &f) {
  Type element = typeOf(input).getElementType();
  CopyRowsSpec spec;
  spec.act = f.program().act;
  spec.slice = isSlice(result);
  spec.width = typeOf(input).getRank() == 1 ? 1 : columns(input);
  // With f32 activations a row of f32 is one of activations.
  spec.element = element.isInteger(32)                       ? Moved::i32
                 : element.isF32() && spec.act == Act::bf16 ? Moved::f32
                                                            : Moved::act;
  spec.fromSlice = fromSlice;
  return KernelLaunch{
      spec, {f.rowsOf(input), f.define(result)}, f.rows(result)};
}

static FailureOr<KernelLaunch> describe(dsv3::TakeSliceOp op,
                                        FunctionLowering &f) {
  return describeCopy(op.getInput(), op.getResult(), /*fromSlice=*/true, f);
}

static FailureOr<KernelLaunch> describe(dsv3::CopyRowsOp op,
                                        FunctionLowering &f) {
  return describeCopy(op.getInput(), op.getResult(), /*fromSlice=*/false, f);
}

static FailureOr<KernelLaunch> describe(dsv3::JoinColumnsOp op,
                                        FunctionLowering &f) {
  JoinColumnsSpec spec;
  spec.act = f.program().act;
  spec.width = columns(op.getInput());
  spec.ranks = columns(op.getResult()) / spec.width;
  spec.rows = f.bucket().getLogits();
  f.define(op.getResult());
  return KernelLaunch{
      spec,
      {f.rowsOf(op.getInput()), f.rowsOf(op.getResult(), spec.ranks)},
      spec.rows};
}

void attachEmbedModel(MLIRContext &context) {
  attachModel<dsv3::EmbedOp, describe>(context);
}

void attachMtpInputModel(MLIRContext &context) {
  attachModel<dsv3::MtpInputOp, describe>(context);
}

void attachAddModel(MLIRContext &context) {
  attachModel<dsv3::AddOp, describe>(context);
}

void attachSiluMulModel(MLIRContext &context) {
  attachModel<dsv3::SiluMulOp, describe>(context);
}

void attachQuantizeModel(MLIRContext &context) {
  attachModel<dsv3::QuantizeTilesOp, describe>(context);
}

void attachNormQuantModel(MLIRContext &context) {
  attachModel<dsv3::NormQuantOp, describe>(context);
}

void attachCopyRowsModel(MLIRContext &context) {
  attachModel<dsv3::TakeSliceOp, describe>(context);
  attachModel<dsv3::CopyRowsOp, describe>(context);
}

void attachJoinColumnsModel(MLIRContext &context) {
  attachModel<dsv3::JoinColumnsOp, describe>(context);
}

} // namespace hadal::lower
