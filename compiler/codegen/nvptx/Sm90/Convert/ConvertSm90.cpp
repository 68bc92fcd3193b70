#include "compiler/codegen/nvptx/Passes.h"

#include "compiler/codegen/nvptx/Sm90/Convert/AsmBuilder.h"
#include "mlir/Dialect/SCF/Transforms/Patterns.h"
#include "mlir/Transforms/DialectConversion.h"

using namespace mlir;

namespace hadal::nvptx {

#define GEN_PASS_DEF_CONVERTSM90
#include "compiler/codegen/nvptx/Passes.h.inc"

} // namespace hadal::nvptx

namespace hadal::sm90 {
namespace {

/// Offsets of everything in shared memory: what must be aligned to 1024 bytes
/// first (rings with their barriers behind the stages), then the rest.
int64_t planShared(KernelOp kernel) {
  int64_t top = 0;
  auto place = [&](Operation *op, int64_t bytes, int64_t align) {
    top = (top + align - 1) / align * align;
    op->setAttr(kOffsetAttr, IntegerAttr::get(
                                 IntegerType::get(op->getContext(), 64), top));
    top += bytes;
  };
  kernel.walk([&](Operation *op) {
    if (auto tile = dyn_cast<TileAllocOp>(op))
      place(op, tile.getResult().getType().getBytes(), 1024);
    if (auto ring = dyn_cast<RingOp>(op)) {
      RingType type = ring.getResult().getType();
      place(op, type.getStages() * (type.getStageBytes() + 16), 1024);
    }
  });
  kernel.walk([&](SharedOp op) { place(op, op.getBytes(), op.getAlign()); });
  return top;
}

struct ConvertKernel : OpConversionPattern<KernelOp> {
  using OpConversionPattern::OpConversionPattern;
  LogicalResult
  matchAndRewrite(KernelOp op, OpAdaptor adaptor,
                  ConversionPatternRewriter &rewriter) const override {
    MLIRContext *context = getContext();
    SmallVector<Type> params;
    if (failed(getTypeConverter()->convertTypes(
            op.getBodyBlock().getArgumentTypes(), params)))
      return failure();
    auto type = LLVM::LLVMFunctionType::get(LLVM::LLVMVoidType::get(context),
                                            params);
    auto func =
        LLVM::LLVMFuncOp::create(rewriter, op.getLoc(), op.getSymName(), type);
    func.setCConv(LLVM::CConv::PTX_Kernel);
    SmallVector<Attribute> pass;
    auto word = [&](StringRef key, const Twine &value) {
      pass.push_back(rewriter.getArrayAttr(
          {rewriter.getStringAttr(key), rewriter.getStringAttr(value)}));
    };
    word("nvvm.reqntid", Twine(op.getThreads()));
    // A register cap known at entry is what setmaxnreg shares out.
    word("nvvm.minctasm", Twine(op.getCtasPerSm().value_or(1)));
    func.setPassthroughAttr(rewriter.getArrayAttr(pass));
    unsigned maps = op.getTensorMaps().size();
    for (unsigned i = params.size() - maps; i < params.size(); ++i) {
      func.setArgAttr(i, LLVM::LLVMDialect::getByValAttrName(),
                      TypeAttr::get(LLVM::LLVMArrayType::get(
                          rewriter.getI8Type(), 128)));
      func.setArgAttr(i, LLVM::LLVMDialect::getAlignAttrName(),
                      rewriter.getI64IntegerAttr(64));
    }
    func->setAttr("hadal.shared_bytes", op.getSharedBytesAttr());
    func->setAttr("hadal.threads", op.getThreadsAttr());
    func->setAttr("hadal.tensor_maps", rewriter.getI64IntegerAttr(maps));
    rewriter.inlineRegionBefore(op.getBody(), func.getBody(), func.end());
    if (failed(rewriter.convertRegionTypes(&func.getBody(),
                                           *getTypeConverter())))
      return failure();
    OpBuilder::InsertionGuard guard(rewriter);
    rewriter.setInsertionPointToEnd(&func.getBody().front());
    LLVM::ReturnOp::create(rewriter, op.getLoc(), ValueRange());
    rewriter.eraseOp(op);
    return success();
  }
};

// All threads meet behind the initialisation of the barriers; then
//   if (warpgroup < n) { setmaxnreg.inc; mma } else { setmaxnreg.dec; load }
struct ConvertRoles : OpConversionPattern<RolesOp> {
  using OpConversionPattern::OpConversionPattern;
  LogicalResult
  matchAndRewrite(RolesOp op, OpAdaptor adaptor,
                  ConversionPatternRewriter &rewriter) const override {
    AsmBuilder b(op.getLoc(), rewriter);
    b.intrinsic("llvm.nvvm.barrier.cta.sync.aligned.all", {}, {b.i32(0)});
    Value tid = b.tid();
    // From lane 0, so that the assembler knows it to be uniform.
    Value warp = b.intrinsic("llvm.nvvm.shfl.sync.idx.i32", b.getI32Type(),
                             {b.i32(-1), b.shr(tid, 5), b.i32(0), b.i32(31)});
    Value group = b.shr(warp, 2);
    Value consumes = b.cmp(arith::CmpIPredicate::ult, group,
                           b.i32(op.getWarpgroups()));
    auto roles = scf::IfOp::create(b, TypeRange(), consumes,
                                   /*withElseRegion=*/true);
    auto registers = [&](int64_t count, bool increase) {
      if (count)
        b.ptx("setmaxnreg." + Twine(increase ? "inc" : "dec") +
                  ".sync.aligned.u32 " + Twine(count) + ";",
              {}, "", {});
    };
    Block *then = roles.thenBlock();
    b.setInsertionPointToStart(then);
    registers(op.getMmaRegisters(), true);
    rewriter.inlineBlockBefore(&op.getMma().front(), then->getTerminator(),
                               {group});
    Block *other = roles.elseBlock();
    b.setInsertionPointToStart(other);
    registers(op.getLoadRegisters(), false);
    Value loads = b.cmp(arith::CmpIPredicate::eq, warp,
                        b.i32(4 * op.getWarpgroups()));
    auto load = scf::IfOp::create(b, TypeRange(), loads,
                                  /*withElseRegion=*/false);
    rewriter.inlineBlockBefore(&op.getLoad().front(),
                               load.thenBlock()->getTerminator(), {});
    rewriter.eraseOp(op);
    return success();
  }
};

/// hadal-convert-sm90 (Passes.td).
struct ConvertSm90 : nvptx::impl::ConvertSm90Base<ConvertSm90> {
  void runOnOperation() override {
    ModuleOp module = getOperation();
    MLIRContext *context = &getContext();
    WalkResult walk = module.walk([](Operation *op) {
      if (!isa<math::Exp2Op, math::RsqrtOp>(op) ||
          getElementTypeOrSelf(op->getResult(0).getType()).isF32())
        return WalkResult::advance();
      op->emitOpError("has no sm_90a lowering: f32 only");
      return WalkResult::interrupt();
    });
    if (walk.wasInterrupted())
      return signalPassFailure();
    for (KernelOp kernel : module.getOps<KernelOp>()) {
      int64_t bytes = planShared(kernel);
      if (bytes > kMaxSharedBytes) {
        kernel.emitOpError("needs ")
            << bytes << " bytes of shared memory; a CTA of sm_90 has "
            << kMaxSharedBytes;
        return signalPassFailure();
      }
      kernel.setSharedBytes(bytes);
    }
    TypeConverter types;
    types.addConversion([](Type type) { return type; });
    auto i32 = IntegerType::get(context, 32);
    types.addConversion([=](TileType) -> Type { return i32; });
    types.addConversion([=](RingType) -> Type { return i32; });
    types.addConversion([=](TensorMapType) -> Type {
      return LLVM::LLVMPointerType::get(context);
    });
    types.addConversion([=](AccType type) -> Type {
      return VectorType::get({type.getRegisters()}, Float32Type::get(context));
    });
    RewritePatternSet patterns(context);
    patterns.add<ConvertKernel, ConvertRoles>(types, context);
    populateMemoryPatterns(patterns, types);
    populateMmaPatterns(patterns, types);
    populateFragmentPatterns(patterns, types);
    ConversionTarget target(*context);
    target.addIllegalDialect<Sm90Dialect>();
    target.addIllegalOp<math::Exp2Op, math::RsqrtOp>();
    target.markUnknownOpDynamicallyLegal([](Operation *) { return true; });
    scf::populateSCFStructuralTypeConversionsAndLegality(types, patterns,
                                                         target);
    if (failed(applyPartialConversion(module, target, std::move(patterns))))
      signalPassFailure();
  }
};

} // namespace

} // namespace hadal::sm90
