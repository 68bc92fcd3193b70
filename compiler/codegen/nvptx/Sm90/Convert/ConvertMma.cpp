// wgmma: descriptors, instruction sequences, tied fences and waits.
#include "compiler/codegen/nvptx/Sm90/Convert/AsmBuilder.h"

using namespace mlir;

namespace hadal::sm90 {
namespace {

/// The 64-bit descriptor of an operand in 128-byte swizzle (PTX ISA, "Matrix
/// Descriptor Format"): bits 13:0 address/16, 29:16 leading offset/16
/// (MN-major: the next 64 columns), 45:32 stride offset/16 (1024 bytes: the
/// next eight rows; MN-major: the next eight of K), 63:62 = 1. The base offset
/// 51:49 is 0 because tiles start at multiples of 1024.
Value descriptor(AsmBuilder &b, Value address, int64_t leadingBytes) {
  Value field = arith::ExtUIOp::create(
      b, b.getI64Type(), b.shr(b.bitAnd(address, b.i32(0x3FFFF)), 4));
  uint64_t fixed = (uint64_t(1) << 62) | (uint64_t(1024 >> 4) << 32) |
                   (uint64_t((leadingBytes >> 4) & 0x3FFF) << 16);
  return b.bitOr(field, b.i64(static_cast<int64_t>(fixed)));
}

/// Bytes from the start of a K-major operand to byte |k| of its rows.
int64_t kMajorOffset(TileType type, int64_t k) {
  return k / 128 * type.getPitchRows() * 128 + k % 128;
}

/// "=f,=f,...,=r,...,0,1,...": every operand tied to a result.
std::string tied(size_t floats, size_t ints) {
  std::string text;
  for (size_t i = 0; i < floats + ints; ++i)
    text += i < floats ? "=f," : "=r,";
  for (size_t i = 0; i < floats + ints; ++i)
    text += (i ? "," : "") + std::to_string(i);
  return text;
}

std::string braces(size_t first, size_t count) {
  std::string text = "{";
  for (size_t i = 0; i < count; ++i)
    text += (i ? ", $" : "$") + std::to_string(first + i);
  return text + "}";
}

// All of K in one block of PTX: the descriptors advance inside it, so that the
// program holds two, and nothing can come between the instructions.
struct ConvertMma : OpConversionPattern<MmaOp> {
  using OpConversionPattern::OpConversionPattern;
  LogicalResult
  matchAndRewrite(MmaOp op, OpAdaptor adaptor,
                  ConversionPatternRewriter &rewriter) const override {
    AsmBuilder b(op.getLoc(), rewriter);
    TileType bTile = op.getB().getType();
    bool fp8 = isa<Float8E4M3FNType>(bTile.getElementType());
    int64_t step = fp8 ? 32 : 16; // 32 bytes of K
    size_t count = op.getResult().getType().getRegisters();
    SmallVector<Value> acc;
    if (adaptor.getAcc())
      acc = b.unpack(adaptor.getAcc());
    else
      acc.assign(count, LLVM::PoisonOp::create(b, b.getF32Type()));

    // Operands: accumulators (results first, tied inputs after), then A, then B.
    SmallVector<Value> operands(acc);
    std::string constraints;
    for (size_t i = 0; i < count; ++i)
      constraints += "=f,";
    for (size_t i = 0; i < count; ++i)
      constraints += std::to_string(i) + ",";
    size_t aFirst = 2 * count, bFirst;
    SmallVector<Value> aRegisters;
    if (op.getARegisters()) {
      aRegisters = b.unpack(adaptor.getARegisters());
      for (Value reg : aRegisters) {
        operands.push_back(reg);
        constraints += "r,";
      }
      bFirst = aFirst + aRegisters.size();
    } else {
      operands.push_back(descriptor(b, adaptor.getA(), 0));
      constraints += "l,";
      bFirst = aFirst + 1;
    }
    operands.push_back(descriptor(
        b, adaptor.getB(), op.getBMn() ? bTile.getPitchRows() * 128 : 0));
    constraints += "l";

    std::string type = fp8 ? "e4m3" : "bf16";
    std::string text = "{ .reg .b64 a, b;\n";
    for (int64_t k = 0, n = 0; k < op.getK(); k += step, ++n) {
      std::string aText;
      if (aRegisters.empty()) {
        text += "add.s64 a, $" + std::to_string(aFirst) + ", " +
                std::to_string(kMajorOffset(op.getA().getType(), n * 32) / 16) +
                ";\n";
        aText = "a";
      } else {
        aText = braces(aFirst + 4 * n, 4);
      }
      // K-major: 32 bytes along the row. MN-major: 16 rows of 128 bytes.
      int64_t bBytes =
          op.getBMn() ? k * 128 : kMajorOffset(bTile, n * 32);
      text += "add.s64 b, $" + std::to_string(bFirst) + ", " +
              std::to_string(bBytes / 16) + ";\n";
      text += "wgmma.mma_async.sync.aligned.m64n" + std::to_string(op.getN()) +
              "k" + std::to_string(step) + ".f32." + type + "." + type + " " +
              braces(0, count) + ", " + aText + ", b, " +
              (adaptor.getAcc() || n ? "1" : "0") + ", 1, 1";
      if (!fp8) {
        if (aRegisters.empty())
          text += ", 0";
        text += op.getBMn() ? ", 1" : ", 0";
      }
      text += ";\n";
    }
    text += "}";
    SmallVector<Type> results(count, b.getF32Type());
    SmallVector<Value> values = b.ptx(text, results, constraints, operands);
    rewriter.replaceOp(
        op, b.pack(values, VectorType::get({static_cast<int64_t>(count)},
                                           b.getF32Type())));
    return success();
  }
};

/// |text| over every register of |floats| and |ints|, tied.
SmallVector<Value> tieAll(AsmBuilder &b, const Twine &text, ValueRange floats,
                          ValueRange ints) {
  SmallVector<Value> operands;
  for (Value vector : floats)
    llvm::append_range(operands, b.unpack(vector));
  size_t numFloats = operands.size();
  for (Value vector : ints)
    llvm::append_range(operands, b.unpack(vector));
  if (operands.empty()) {
    b.ptx(text, {}, "", {});
    return {};
  }
  SmallVector<Type> types;
  for (Value operand : operands)
    types.push_back(operand.getType());
  SmallVector<Value> values =
      b.ptx(text, types, tied(numFloats, operands.size() - numFloats), operands);
  SmallVector<Value> results;
  ArrayRef<Value> left = values;
  for (Value vector : floats) {
    size_t n = cast<VectorType>(vector.getType()).getNumElements();
    results.push_back(b.pack(left.take_front(n), vector.getType()));
    left = left.drop_front(n);
  }
  return results;
}

struct ConvertFence : OpConversionPattern<MmaFenceOp> {
  using OpConversionPattern::OpConversionPattern;
  LogicalResult
  matchAndRewrite(MmaFenceOp op, OpAdaptor adaptor,
                  ConversionPatternRewriter &rewriter) const override {
    AsmBuilder b(op.getLoc(), rewriter);
    rewriter.replaceOp(op, tieAll(b, "wgmma.fence.sync.aligned;",
                                  adaptor.getValues(), {}));
    return success();
  }
};

struct ConvertCommit : OpConversionPattern<MmaCommitOp> {
  using OpConversionPattern::OpConversionPattern;
  LogicalResult
  matchAndRewrite(MmaCommitOp op, OpAdaptor,
                  ConversionPatternRewriter &rewriter) const override {
    AsmBuilder b(op.getLoc(), rewriter);
    b.ptx("wgmma.commit_group.sync.aligned;", {}, "", {});
    rewriter.eraseOp(op);
    return success();
  }
};

struct ConvertWait : OpConversionPattern<MmaWaitOp> {
  using OpConversionPattern::OpConversionPattern;
  LogicalResult
  matchAndRewrite(MmaWaitOp op, OpAdaptor adaptor,
                  ConversionPatternRewriter &rewriter) const override {
    AsmBuilder b(op.getLoc(), rewriter);
    SmallVector<Value> floats(adaptor.getAccumulators());
    llvm::append_range(floats, adaptor.getStill());
    rewriter.replaceOp(
        op, tieAll(b,
                   "wgmma.wait_group.sync.aligned " + Twine(op.getPending()) +
                       ";",
                   floats, adaptor.getKeep()));
    return success();
  }
};

} // namespace

void populateMmaPatterns(RewritePatternSet &patterns, TypeConverter &types) {
  patterns.add<ConvertMma, ConvertFence, ConvertCommit, ConvertWait>(
      types, patterns.getContext());
}

} // namespace hadal::sm90
