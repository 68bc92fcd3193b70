#include "compiler/codegen/nvptx/attention/Fingerprint.h"

#include "compiler/codegen/nvptx/Passes.h"
#include "llvm/Support/xxhash.h"
#include "mlir/IR/Dominance.h"
#include "mlir/Transforms/CSE.h"
#include "mlir/Transforms/GreedyPatternRewriteDriver.h"

using namespace mlir;

namespace hadal::nvptx {

#define GEN_PASS_DEF_PRINTFINGERPRINTS
#include "compiler/codegen/nvptx/Passes.h.inc"

namespace {

class Describer {
public:
  explicit Describer(llvm::raw_ostream &os) : os(os) {}

  void describe(tile::KernelOp kernel) {
    for (BlockArgument arg : kernel.getKernelArguments()) {
      describe(arg.getType());
      os << "\n";
    }
    for (unsigned i = 0; i < kernel.getNumDims(); ++i) {
      tile::DomainDimAttr dim = kernel.getDim(i);
      os << "dim " << (dim.getExtent() < 0 ? "?" : "N") << " "
         << tile::stringifyBound(dim.getBound()) << " of " << dim.getBoundDim()
         << "\n";
    }
    describe(kernel.getBodyBlock());
  }

private:
  void describe(Type type) {
    if (auto tensor = dyn_cast<RankedTensorType>(type)) {
      os << "tensor<" << tensor.getRank() << "x" << tensor.getElementType()
         << ">";
    } else if (auto view = dyn_cast<tile::ViewType>(type)) {
      os << "view<";
      for (int64_t extent : view.getShape())
        os << (extent < 0 ? "?x" : "Nx");
      os << view.getElementType() << ", "
         << tile::stringifyViewKind(view.getKind());
      if (view.isScaled())
        os << ", scale<" << view.getScaleRows() << "x" << view.getScaleCols()
           << ">";
      os << ">";
    } else {
      os << type;
    }
  }

  void describe(Block &block) {
    for (BlockArgument arg : block.getArguments())
      numbers.try_emplace(arg, numbers.size());
    os << "{\n";
    for (Operation &op : block)
      if (!op.hasTrait<OpTrait::ConstantLike>() && !isIndexArithmetic(&op))
        describe(op);
    os << "}\n";
  }

  /// Index arithmetic is written out where it is used: whether two products by
  /// different sizes are one value depends on the sizes being equal.
  static bool isIndexArithmetic(Operation *op) {
    return op && isa<arith::ArithDialect>(op->getDialect()) &&
           op->getNumResults() == 1 && op->getResult(0).getType().isIndex();
  }

  void describe(Operation &op) {
    os << op.getName() << "(";
    llvm::interleaveComma(op.getOperands(), os,
                          [&](Value v) { describeOperand(op, v); });
    os << ")";
    for (NamedAttribute attr : op.getAttrs()) {
      os << " " << attr.getName().getValue() << "=";
      describe(attr);
    }
    for (Value result : op.getResults()) {
      numbers.try_emplace(result, numbers.size());
      os << " -> ";
      describe(result.getType());
    }
    os << "\n";
    for (Region &region : op.getRegions())
      for (Block &block : region)
        describe(block);
  }

  void describe(NamedAttribute attr) {
    if (attr.getName() == "step") {
      os << "N";
    } else if (auto offsets = dyn_cast<DenseI64ArrayAttr>(attr.getValue());
               offsets && attr.getName() == "offsets") {
      for (int64_t n : offsets.asArrayRef())
        os << (n ? "N" : "0") << " ";
    } else {
      os << attr.getValue();
    }
  }

  void describeOperand(Operation &user, Value value) {
    Attribute constant;
    if (!matchPattern(value, m_Constant(&constant))) {
      Operation *op = value.getDefiningOp();
      if (!isIndexArithmetic(op)) {
        os << "%" << numbers.lookup(value);
        return;
      }
      os << op->getName() << "(";
      llvm::interleaveComma(op->getOperands(), os,
                            [&](Value v) { describeOperand(*op, v); });
      os << ")";
      return;
    }
    if (auto dense = dyn_cast<DenseElementsAttr>(constant)) {
      if (!dense.isSplat()) {
        os << "dense";
        return;
      }
      constant = dense.getSplatValue<Attribute>();
      if (auto real = dyn_cast<FloatAttr>(constant)) {
        APFloat f = real.getValue();
        if (f.isPosZero() || f.isInfinity() || f.isExactlyValue(1.0))
          os << constant;
        else
          os << "X";
        return;
      }
    }
    // A factor or divisor of an index is a shape, and so is any number above 1.
    if (value.getType().isIndex() &&
        (isa<arith::MulIOp, arith::DivUIOp, arith::DivSIOp, arith::RemUIOp>(
             user) ||
         cast<IntegerAttr>(constant).getInt() > 1)) {
      os << "N";
      return;
    }
    os << constant;
  }

  llvm::raw_ostream &os;
  llvm::DenseMap<Value, unsigned> numbers;
};

/// Canonicalises |op|'s body in place.
void canonicalise(Operation *op) {
  MLIRContext *context = op->getContext();
  RewritePatternSet patterns(context);
  for (Dialect *dialect : context->getLoadedDialects())
    dialect->getCanonicalizationPatterns(patterns);
  for (RegisteredOperationName name : context->getRegisteredOperations())
    name.getCanonicalizationPatterns(patterns, context);
  (void)applyPatternsGreedily(op->getRegion(0), std::move(patterns));
  IRRewriter rewriter(context);
  DominanceInfo dominance(op);
  eliminateCommonSubExpressions(rewriter, dominance, op);
}

class PrintFingerprints
    : public impl::PrintFingerprintsBase<PrintFingerprints> {
public:
  using PrintFingerprintsBase::PrintFingerprintsBase;

  void runOnOperation() override {
    for (auto kernel : getOperation().getOps<tile::KernelOp>()) {
      InFlightDiagnostic remark = kernel.emitRemark("fingerprint ");
      remark << llvm::utohexstr(fingerprint(kernel));
      if (structure)
        remark << "\n" << describeStructure(kernel);
    }
  }
};

} // namespace

std::string describeStructure(tile::KernelOp kernel) {
  OwningOpRef<Operation *> copy = kernel->clone();
  canonicalise(copy.get());
  std::string text;
  llvm::raw_string_ostream os(text);
  Describer(os).describe(cast<tile::KernelOp>(copy.get()));
  return text;
}

uint64_t fingerprint(tile::KernelOp kernel) {
  return llvm::xxh3_64bits(describeStructure(kernel));
}

} // namespace hadal::nvptx
