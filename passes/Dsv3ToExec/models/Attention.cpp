// The latent cache, the absorbed halves of wkv_b, and both forms of attention.
#include "dialects/Diagnostics.h"
#include "passes/Dsv3ToExec/KernelModel.h"

using namespace mlir;
using namespace hadal::kernels;

namespace hadal::lower {

static FailureOr<KernelLaunch> describe(dsv3::LatentNormRopeCacheOp op,
                                        FunctionLowering &f) {
  auto cache = cast<dsv3::CacheType>(op.getCache().getType());
  LatentNormRopeCacheSpec spec;
  spec.act = f.program().act;
  spec.latent = cache.getLatent();
  spec.rope = cache.getRope();
  spec.qLora = op.getQWeight() ? columns(op.getQWeight()) : 0;
  spec.positions = typeOf(op.getTable()).getDimSize(0);
  spec.eps = op.getEps().convertToDouble();
  spec.quantize = static_cast<bool>(op.getQuantized());
  if (op.getQuantized() && op.getNorm())
    return op.emitError("the kernel gives the query norm either as it is or "
                        "quantised, not both");
  if (spec.quantize)
    spec.scaleFormat = formatOf(op.getQuantized());
  int64_t tokens = f.bucket().getTokens();
  Operand cacheRows = f.pool(op.getCache());
  cacheRows.extents[0] *= f.program().pageSize;
  SmallVector<Operand> operands{f.rowsOf(op.getInput())};
  if (op.getQWeight())
    operands.push_back(f.whole(op.getQWeight()));
  operands.push_back(f.whole(op.getKvWeight()));
  operands.push_back(f.whole(op.getTable()));
  operands.push_back(f.input(exec::Input::Positions, {tokens}));
  operands.push_back(f.input(exec::Input::Slot, {tokens}));
  operands.push_back(cacheRows);
  if (op.getNorm())
    operands.push_back(f.define(op.getNorm(), "query"));
  if (op.getQuantized())
    operands.push_back(f.define(op.getQuantized(), "codes"));
  return KernelLaunch{spec, operands, tokens};
}

static FailureOr<KernelLaunch> describe(dsv3::AbsorbQOp op,
                                        FunctionLowering &f) {
  AbsorbQSpec spec;
  spec.act = f.program().act;
  spec.heads = op.getHeads();
  spec.nope = op.getNope();
  spec.value = op.getValue();
  spec.rope = columns(op.getQuery()) / spec.heads - spec.nope;
  spec.latent = columns(op.getWkvB());
  spec.rows = f.bucket().getTokens();
  spec.weight = weightOf(op.getWkvB());
  return KernelLaunch{spec,
                      {f.rowsOf(op.getQuery()), f.whole(op.getWkvB()),
                       f.define(op.getResult())},
                      spec.rows};
}

static FailureOr<KernelLaunch> describe(dsv3::AbsorbVOp op,
                                        FunctionLowering &f) {
  AbsorbVSpec spec;
  spec.act = f.program().act;
  spec.heads = op.getHeads();
  spec.nope = op.getNope();
  spec.value = op.getValue();
  spec.latent = columns(op.getWkvB());
  spec.rows = f.bucket().getTokens();
  spec.weight = weightOf(op.getWkvB());
  spec.quantize = dsv3::isFP8(op.getResult().getType());
  if (spec.quantize)
    spec.scaleFormat = formatOf(op.getResult());
  return KernelLaunch{spec,
                      {f.rowsOf(op.getInput()), f.whole(op.getWkvB()),
                       f.define(op.getResult())},
                      spec.rows};
}

static FailureOr<KernelLaunch> describe(dsv3::MlaDecodeOp op,
                                        FunctionLowering &f) {
  auto cache = cast<dsv3::CacheType>(op.getCache().getType());
  MlaDecodeSpec spec;
  spec.act = f.program().act;
  spec.heads = op.getHeads();
  spec.latent = cache.getLatent();
  spec.rope = cache.getRope();
  spec.pageSize = f.program().pageSize;
  spec.maxQueries = f.bucket().getQueries();
  spec.softmaxScale = op.getScale().convertToDouble();
  if (f.program().chip) {
    spec.rows = f.bucket().getRows();
    spec.maxKeys = f.program().maxSeqLen;
  }
  // A row of the kernel is one head of one token, so that a row of a token must
  // be as long as those of its heads.
  for (Value value : {op.getQuery(), op.getResult()}) {
    Type element = typeOf(value).getElementType();
    int64_t width = columns(value) / spec.heads;
    if (f.program().rowBytes(element, width) * spec.heads !=
        f.program().rowBytes(element, columns(value)))
      return emitCodedError(op, 3004)
             << "a head's " << width << " values of " << element
             << " do not fill a multiple of 16 bytes, as the target needs";
  }
  SmallVector<Operand> operands{f.rowsOf(op.getQuery(), spec.heads),
                                f.pool(op.getCache())};
  f.addBatch(operands);
  f.define(op.getResult());
  operands.push_back(f.rowsOf(op.getResult(), spec.heads));
  return KernelLaunch{spec, operands, f.bucket().getRows()};
}

static FailureOr<KernelLaunch> describe(dsv3::MlaPrefillOp op,
                                        FunctionLowering &f) {
  auto cache = cast<dsv3::CacheType>(op.getCache().getType());
  MlaPrefillSpec spec;
  spec.act = f.program().act;
  spec.heads = op.getHeads();
  spec.nope = op.getNope();
  spec.value = op.getValue();
  spec.latent = cache.getLatent();
  spec.rope = cache.getRope();
  spec.pageSize = f.program().pageSize;
  spec.maxQueries = f.bucket().getQueries();
  spec.softmaxScale = op.getScale().convertToDouble();
  spec.weight = weightOf(op.getWkvB());
  spec.quantizeLatent = op.getQuantizeLatent().has_value();
  spec.quantize = dsv3::isFP8(op.getResult().getType());
  if (spec.quantize)
    spec.scaleFormat = formatOf(op.getResult());
  else if (op.getQuantizeLatent() == dsv3::ScaleFormat::UE8M0)
    spec.scaleFormat = ScaleFormat::ue8m0;
  SmallVector<Operand> operands{f.rowsOf(op.getQuery()), f.pool(op.getCache())};
  f.addBatch(operands);
  operands.push_back(f.whole(op.getWkvB()));
  operands.push_back(f.define(op.getResult()));
  return KernelLaunch{spec, operands, f.bucket().getRows()};
}

void attachLatentNormRopeCacheModel(MLIRContext &context) {
  attachModel<dsv3::LatentNormRopeCacheOp, describe>(context);
}

void attachAbsorbQModel(MLIRContext &context) {
  attachModel<dsv3::AbsorbQOp, describe>(context);
}

void attachAbsorbVModel(MLIRContext &context) {
  attachModel<dsv3::AbsorbVOp, describe>(context);
}

void attachMlaDecodeModel(MLIRContext &context) {
  attachModel<dsv3::MlaDecodeOp, describe>(context);
}

void attachMlaPrefillModel(MLIRContext &context) {
  attachModel<dsv3::MlaPrefillOp, describe>(context);
}

} // namespace hadal::lower
