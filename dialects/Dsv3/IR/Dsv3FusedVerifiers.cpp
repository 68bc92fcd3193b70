// Verifiers of the fused operations, and the generated op definitions.
#include "dialects/Dsv3/IR/VerifierHelpers.h"
#include "mlir/IR/Builders.h"

using namespace mlir;
using namespace hadal::dsv3;
using namespace hadal::dsv3::detail;

/// `result`, and the addend's type if it is another.
static ParseResult parseAddend(OpAsmParser &parser, Type &result,
                               Type &addend) {
  if (parser.parseType(result))
    return failure();
  if (failed(parser.parseOptionalComma())) {
    addend = result;
    return success();
  }
  return parser.parseType(addend);
}

static void printAddend(OpAsmPrinter &printer, Operation *, Type result,
                        Type addend) {
  printer << result;
  if (addend != result)
    printer << ", " << addend;
}

#define GET_OP_CLASSES
#include "dialects/Dsv3/IR/Dsv3Ops.cpp.inc"

/// |norm| and |quantized|, either of which may be null, are [rows of |like|,
/// columns]; at least one exists if |needed|.
static LogicalResult checkNormResults(Operation *op, Value like, Value norm,
                                      Value quantized, int64_t columns,
                                      bool needed) {
  if (needed != (norm || quantized))
    return op->emitOpError(needed ? "needs a 'norm' or a 'quantized' result"
                                  : "has a result but no norm weight for it");
  for (Value result : {norm, quantized}) {
    if (!result)
      continue;
    if (failed(checkActivation(op, result, "result")) ||
        failed(checkSameRows(op, like, result, "operand and result")) ||
        failed(checkSize(op, tensorOf(result).getDimSize(1), columns,
                         "result columns")))
      return failure();
  }
  return success();
}

LogicalResult NormQuantOp::verify() {
  if (failed(checkRank(*this, getInput(), 2, "input")))
    return failure();
  int64_t columns = tensorOf(getInput()).getDimSize(1);
  if (getAddend() && getIndices())
    return emitOpError("cannot both add and gather");
  if (static_cast<bool>(getAddend()) != static_cast<bool>(getSum()))
    return emitOpError("has a sum if and only if it adds");
  if (getSum() && getSum().getType() != getInput().getType())
    return emitOpError() << "sum must have the input's type "
                         << getInput().getType() << ", got "
                         << getSum().getType();
  if (getAddend() &&
      failed(checkAddend(*this, getAddend(), getInput().getType())))
    return failure();
  if (failed(checkVector(*this, getWeight(), columns, "norm weight")) ||
      failed(checkFloor(*this, getFloor(), static_cast<bool>(getQuantized()))))
    return failure();
  Value like = getIndices() ? getIndices() : getInput();
  return checkNormResults(*this, like, getNorm(), getQuantized(), columns,
                          /*needed=*/true);
}

LogicalResult LatentNormRopeCacheOp::verify() {
  CacheType cache = getCache().getType();
  if (failed(checkRank(*this, getInput(), 2, "input")))
    return failure();
  int64_t query =
      tensorOf(getInput()).getDimSize(1) - cache.getLatent() - cache.getRope();
  if (getQWeight() ? query <= 0 : query != 0)
    return emitOpError() << "input of " << tensorOf(getInput()).getDimSize(1)
                         << " columns leaves " << query
                         << " for the query beside a cache row of "
                         << cache.getLatent() << " + " << cache.getRope();
  if (getQWeight() &&
      failed(checkVector(*this, getQWeight(), query, "query norm weight")))
    return failure();
  if (failed(checkVector(*this, getKvWeight(), cache.getLatent(),
                         "latent norm weight")) ||
      failed(checkRopeTable(*this, getTable(), cache.getRope())) ||
      failed(checkFloor(*this, getFloor(), static_cast<bool>(getQuantized()))))
    return failure();
  return checkNormResults(*this, getInput(), getNorm(), getQuantized(), query,
                          static_cast<bool>(getQWeight()));
}

LogicalResult GatedLinearOp::verify() {
  if (getGate().getType() != getUp().getType())
    return emitOpError() << "gate and up must have one type, got "
                         << getGate().getType() << " and " << getUp().getType();
  if (failed(checkProduct(*this, getInput(), getGate(), getBegin(), getSource(),
                          getResult())))
    return failure();
  return checkFloor(*this, getFloor(), isFP8(getResult().getType()));
}

/// Checks what absorb_q and absorb_v share: wkv_b [heads * (nope + value), C]
/// and that `whole_blocks` tells the truth. |latent| receives C.
static LogicalResult checkWkvB(Operation *op, Value wkvB, int64_t heads,
                               int64_t nope, int64_t value, bool wholeBlocks,
                               int64_t &latent) {
  latent = tensorOf(wkvB).getShape().back();
  if (failed(checkWeight(op, wkvB, latent, "wkv_b")) ||
      failed(checkSize(op, tensorOf(wkvB).getDimSize(0), heads * (nope + value),
                       "wkv_b rows")))
    return failure();
  if (wholeBlocks && (nope % kBlock || value % kBlock))
    return op->emitOpError() << "'whole_blocks' needs multiples of 128, got "
                             << nope << " and " << value;
  return success();
}

/// A quantized |result| of heads |value| wide needs whole groups per head.
static LogicalResult checkValueGroups(Operation *op, Value result,
                                      int64_t value) {
  if (isFP8(result.getType()) && value % kBlock)
    return op->emitOpError() << "a quantized result needs a value width that "
                                "is a multiple of 128, got "
                             << value;
  return success();
}

LogicalResult AbsorbQOp::verify() {
  int64_t heads = getHeads(), latent = 0;
  if (failed(checkRank(*this, getQuery(), 2, "query")) ||
      failed(checkWkvB(*this, getWkvB(), heads, getNope(), getValue(),
                       getWholeBlocks(), latent)) ||
      failed(checkSameRows(*this, getQuery(), getResult(), "query and result")))
    return failure();
  int64_t columns = tensorOf(getQuery()).getDimSize(1);
  int64_t rope = columns / heads - static_cast<int64_t>(getNope());
  if (columns % heads || rope <= 0)
    return emitOpError() << columns << " query columns are not " << heads
                         << " heads wider than " << getNope();
  return checkSize(*this, tensorOf(getResult()).getDimSize(1),
                   heads * (latent + rope), "result columns");
}

LogicalResult MlaDecodeOp::verify() {
  CacheType cache = getCache().getType();
  int64_t heads = getHeads();
  if (failed(checkRank(*this, getQuery(), 2, "query")) ||
      failed(checkSize(*this, tensorOf(getQuery()).getDimSize(1),
                       heads * (cache.getLatent() + cache.getRope()),
                       "query columns")) ||
      failed(checkSameRows(*this, getQuery(), getResult(), "query and result")))
    return failure();
  return checkSize(*this, tensorOf(getResult()).getDimSize(1),
                   heads * cache.getLatent(), "result columns");
}

LogicalResult AbsorbVOp::verify() {
  int64_t heads = getHeads(), latent = 0;
  bool quantized = isFP8(getResult().getType());
  if (failed(checkRank(*this, getInput(), 2, "input")) ||
      failed(checkWkvB(*this, getWkvB(), heads, getNope(), getValue(),
                       getWholeBlocks(), latent)) ||
      failed(checkActivation(*this, getResult(), "result")) ||
      failed(
          checkSameRows(*this, getInput(), getResult(), "input and result")) ||
      failed(checkFloor(*this, getFloor(), quantized)) ||
      failed(checkSize(*this, tensorOf(getInput()).getDimSize(1),
                       heads * latent, "input columns")))
    return failure();
  if (failed(checkValueGroups(*this, getResult(), getValue())))
    return failure();
  return checkSize(*this, tensorOf(getResult()).getDimSize(1),
                   heads * static_cast<int64_t>(getValue()), "result columns");
}

LogicalResult MlaPrefillOp::verify() {
  CacheType cache = getCache().getType();
  int64_t heads = getHeads(), latent = 0;
  if (failed(checkRank(*this, getQuery(), 2, "query")) ||
      failed(checkWkvB(*this, getWkvB(), heads, getNope(), getValue(),
                       /*wholeBlocks=*/false, latent)) ||
      failed(checkSize(*this, latent, cache.getLatent(), "wkv_b columns")) ||
      failed(
          checkSize(*this, tensorOf(getQuery()).getDimSize(1),
                    heads * (static_cast<int64_t>(getNope()) + cache.getRope()),
                    "query columns")) ||
      failed(
          checkSameRows(*this, getQuery(), getResult(), "query and result")) ||
      failed(checkActivation(*this, getResult(), "result")) ||
      failed(checkFloor(*this, getFloor(),
                        getQuantizeLatent() || isFP8(getResult().getType()))))
    return failure();
  if (failed(checkValueGroups(*this, getResult(), getValue())))
    return failure();
  if (getQuantizeLatent() && !isFP8(getWkvB().getType()))
    return emitOpError() << "a quantized latent needs an FP8 wkv_b, got "
                         << getWkvB().getType();
  return checkSize(*this, tensorOf(getResult()).getDimSize(1),
                   heads * static_cast<int64_t>(getValue()), "result columns");
}
