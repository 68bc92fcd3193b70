// linear and gated_linear, dense and grouped.
#include "passes/Dsv3ToExec/KernelModel.h"

using namespace mlir;
using namespace hadal::kernels;

namespace hadal::lower {

/// Fills what linear and gated_linear share.
static void describeGemm(GemmSpec &spec, Value input, Value weight, Value begin,
                         Value gather, FunctionLowering &f) {
  RankedTensorType type = typeOf(weight);
  spec.k = columns(weight);
  spec.n = type.getShape()[type.getRank() - 2];
  spec.weight = weightOf(weight);
  spec.quantizedInput = dsv3::isFP8(input.getType());
  if (spec.quantizedInput)
    f.noteQuantizedInput();
  dsv3::LayoutAttr layout = dsv3::getLayout(weight.getType());
  if (layout && layout.getStorage() == dsv3::Storage::Segments)
    spec.segmentRows = dsv3::kBlock;
  if (begin) {
    spec.experts = type.getDimSize(0);
    spec.topk = static_cast<double>(f.program().topk) / f.program().ep();
  }
  spec.gather = static_cast<bool>(gather);
  spec.logitRows = dsv3::isHead(f.bucket().getKind());
  // An expert gets a token at most once, of whichever rank.
  if (begin) {
    spec.rows = f.program().ep() * f.sliceTokens();
  } else {
    spec.rows = f.rows(input);
    spec.slice = isSlice(input);
  }
}

/// Rows that the launch of |spec| has at most: of one expert no more than the
/// rank receives, which in the expected rung is less than all tokens of all.
static int64_t launchRows(const GemmSpec &spec, FunctionLowering &f) {
  int64_t received = f.program().ep() * f.bucket().getCapacity();
  return spec.experts > 0 && received > 0 ? std::min(spec.rows, received)
                                          : spec.rows;
}

static FailureOr<KernelLaunch> describe(dsv3::LinearOp op,
                                        FunctionLowering &f) {
  GemmSpec spec;
  describeGemm(spec, op.getInput(), op.getWeight(), op.getBegin(),
               op.getSource(), f);
  spec.act = f.program().act;
  // The router and the head give f32 whatever the activations are.
  spec.f32Output =
      spec.act == Act::bf16 && typeOf(op.getResult()).getElementType().isF32();
  SmallVector<Operand> operands{f.rowsOf(op.getInput())};
  if (spec.gather)
    operands.push_back(f.rowsOf(op.getSource()));
  operands.push_back(f.whole(op.getWeight()));
  if (op.getRopeTable()) {
    spec.epilogue = Epilogue::rope;
    spec.headDim = spec.n / *op.getHeads();
    spec.ropeDim = *op.getRope();
    spec.positions = typeOf(op.getRopeTable()).getDimSize(0);
    operands.push_back(f.whole(op.getRopeTable()));
    operands.push_back(
        f.input(exec::Input::Positions, {f.bucket().getTokens()}));
  }
  if (op.getResidual()) {
    spec.epilogue = Epilogue::residual;
    operands.push_back(f.rowsOf(op.getResidual()));
  }
  operands.push_back(f.define(op.getResult()));
  return KernelLaunch{spec, operands, launchRows(spec, f)};
}

static FailureOr<KernelLaunch> describe(dsv3::GatedLinearOp op,
                                        FunctionLowering &f) {
  GemmSpec spec;
  describeGemm(spec, op.getInput(), op.getGate(), op.getBegin(), op.getSource(),
               f);
  bool quantizes = dsv3::isFP8(op.getResult().getType());
  spec.epilogue = quantizes ? Epilogue::swigluQuantize : Epilogue::swiglu;
  spec.act = f.program().act;
  if (quantizes)
    spec.scaleFormat = formatOf(op.getResult());
  SmallVector<Operand> operands{f.rowsOf(op.getInput())};
  if (spec.gather)
    operands.push_back(f.rowsOf(op.getSource()));
  operands.push_back(f.whole(op.getGate()));
  operands.push_back(f.whole(op.getUp()));
  operands.push_back(f.define(op.getResult()));
  return KernelLaunch{spec, operands, launchRows(spec, f)};
}

void attachGemmModel(MLIRContext &context) {
  attachModel<dsv3::LinearOp, describe>(context);
  attachModel<dsv3::GatedLinearOp, describe>(context);
}

} // namespace hadal::lower
