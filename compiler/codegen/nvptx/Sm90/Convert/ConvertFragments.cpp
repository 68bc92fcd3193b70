// Reductions, exchanges and conversions of fragments.
#include "compiler/codegen/nvptx/Sm90/Convert/AsmBuilder.h"

using namespace mlir;

namespace hadal::sm90 {
namespace {

/// All 32 lanes take part (member mask -1): the caller is in code that the
/// whole warp runs. The last operand is PTX's c: no segments (0), clamp at
/// lane 31.
Value shuffleXor(AsmBuilder &b, Value value, int64_t mask) {
  StringRef name = value.getType().isF32() ? "llvm.nvvm.shfl.sync.bfly.f32"
                                           : "llvm.nvvm.shfl.sync.bfly.i32";
  return b.intrinsic(name, value.getType(),
                     {b.i32(-1), value, b.i32(mask), b.i32(31)});
}

struct ConvertShuffle : OpConversionPattern<ShuffleXorOp> {
  using OpConversionPattern::OpConversionPattern;
  LogicalResult
  matchAndRewrite(ShuffleXorOp op, OpAdaptor adaptor,
                  ConversionPatternRewriter &rewriter) const override {
    AsmBuilder b(op.getLoc(), rewriter);
    Value value = adaptor.getValue();
    if (!isa<VectorType>(value.getType())) {
      rewriter.replaceOp(op, shuffleXor(b, value, op.getMask()));
      return success();
    }
    SmallVector<Value> elements = b.unpack(value);
    for (Value &element : elements)
      element = shuffleXor(b, element, op.getMask());
    rewriter.replaceOp(op, b.pack(elements, value.getType()));
    return success();
  }
};

struct ConvertRowReduce : OpConversionPattern<RowReduceOp> {
  using OpConversionPattern::OpConversionPattern;
  LogicalResult
  matchAndRewrite(RowReduceOp op, OpAdaptor adaptor,
                  ConversionPatternRewriter &rewriter) const override {
    AsmBuilder b(op.getLoc(), rewriter);
    auto combine = [&](Value x, Value y) -> Value {
      if (op.getKind() == Reduce::Max)
        return arith::MaximumFOp::create(b, x, y);
      return arith::AddFOp::create(b, x, y);
    };
    SmallVector<Value> elements = b.unpack(adaptor.getFragment());
    size_t width = op.getWidth();
    SmallVector<Value> rows;
    // A thread holds parts of two rows, g and g + 8, |width| registers of one
    // and then of the other in turn. The four lanes of a quad share both rows.
    for (size_t half = 0; half < 2; ++half) {
      SmallVector<Value> parts;
      for (size_t i = 0; i < elements.size(); ++i)
        if (i / width % 2 == half)
          parts.push_back(elements[i]);
      // A tree: short chains of dependent instructions.
      while (parts.size() > 1) {
        size_t n = parts.size();
        for (size_t i = 0; i < n / 2; ++i)
          parts[i] = combine(parts[2 * i], parts[2 * i + 1]);
        if (n % 2)
          parts[n / 2] = parts[n - 1];
        parts.resize((n + 1) / 2);
      }
      // Lanes q ^ 1, then q ^ 2: all four end with the same value, since both
      // partners combine the same two (addition and maximum commute, NaN
      // stays).
      Value value = parts[0];
      for (int mask : {1, 2})
        value = combine(value, shuffleXor(b, value, mask));
      rows.push_back(value);
    }
    rewriter.replaceOp(op, b.pack(rows, op.getType()));
    return success();
  }
};

struct ConvertToE4m3 : OpConversionPattern<ToE4m3Op> {
  using OpConversionPattern::OpConversionPattern;
  LogicalResult
  matchAndRewrite(ToE4m3Op op, OpAdaptor adaptor,
                  ConversionPatternRewriter &rewriter) const override {
    AsmBuilder b(op.getLoc(), rewriter);
    SmallVector<Value> in = b.unpack(adaptor.getSource()), out;
    // The first source becomes the upper byte: the pair is given in reverse, so
    // that element i lies at the lower address. satfinite: beyond 448 is 448,
    // and NaN is the code 0x7F.
    for (size_t i = 0; i < in.size(); i += 2)
      out.push_back(b.pure("cvt.rn.satfinite.e4m3x2.f32 $0, $1, $2;",
                           b.getI16Type(), "=h,f,f", {in[i + 1], in[i]}));
    rewriter.replaceOp(op, b.pack(out, op.getType()));
    return success();
  }
};

struct ConvertFromE4m3 : OpConversionPattern<FromE4m3Op> {
  using OpConversionPattern::OpConversionPattern;
  LogicalResult
  matchAndRewrite(FromE4m3Op op, OpAdaptor adaptor,
                  ConversionPatternRewriter &rewriter) const override {
    AsmBuilder b(op.getLoc(), rewriter);
    SmallVector<Value> out;
    // sm_90 converts e4m3 to f16 only. Every code is exact there (448 = 2^8.8,
    // the least subnormal 2^-9 is normal in f16), and so is f16 to f32.
    auto halves = VectorType::get({2}, b.getF16Type());
    for (Value pair : b.unpack(adaptor.getSource())) {
      Value bits = b.pure("cvt.rn.f16x2.e4m3x2 $0, $1;", b.getI32Type(),
                          "=r,h", {pair});
      Value both = LLVM::BitcastOp::create(b, halves, bits);
      for (Value half : b.unpack(both))
        out.push_back(arith::ExtFOp::create(b, b.getF32Type(), half));
    }
    rewriter.replaceOp(op, b.pack(out, op.getType()));
    return success();
  }
};

/// math ops of f32 that map to one approximate instruction (2 ulp; subnormal
/// inputs and results are zero).
template <typename Op> struct ConvertApprox : OpConversionPattern<Op> {
  ConvertApprox(TypeConverter &types, MLIRContext *context, StringRef name)
      : OpConversionPattern<Op>(types, context), name(name) {}
  LogicalResult
  matchAndRewrite(Op op, typename Op::Adaptor adaptor,
                  ConversionPatternRewriter &rewriter) const override {
    AsmBuilder b(op.getLoc(), rewriter);
    Value in = adaptor.getOperand();
    if (!isa<VectorType>(in.getType())) {
      rewriter.replaceOp(op, b.intrinsic(name, in.getType(), {in}));
      return success();
    }
    SmallVector<Value> elements = b.unpack(in);
    for (Value &element : elements)
      element = b.intrinsic(name, b.getF32Type(), {element});
    rewriter.replaceOp(op, b.pack(elements, in.getType()));
    return success();
  }
  std::string name;
};

} // namespace

void populateFragmentPatterns(RewritePatternSet &patterns,
                              TypeConverter &types) {
  MLIRContext *context = patterns.getContext();
  patterns.add<ConvertShuffle, ConvertRowReduce, ConvertToE4m3,
               ConvertFromE4m3>(types, context);
  patterns.add<ConvertApprox<math::Exp2Op>>(types, context,
                                            "llvm.nvvm.ex2.approx.ftz.f");
  patterns.add<ConvertApprox<math::RsqrtOp>>(types, context,
                                             "llvm.nvvm.rsqrt.approx.ftz.f");
}

} // namespace hadal::sm90
