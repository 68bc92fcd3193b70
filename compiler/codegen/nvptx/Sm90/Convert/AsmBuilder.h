// Constants, inline PTX and NVPTX intrinsics, for the conversion of sm90.
#pragma once

#include "compiler/codegen/nvptx/Sm90/IR/Sm90Dialect.h"
#include "mlir/IR/ImplicitLocOpBuilder.h"

namespace hadal::sm90 {

class AsmBuilder : public mlir::ImplicitLocOpBuilder {
public:
  using mlir::ImplicitLocOpBuilder::ImplicitLocOpBuilder;

  mlir::Value i64(int64_t v);
  mlir::Value i32(int32_t v);
  mlir::Value add(mlir::Value a, mlir::Value b);
  mlir::Value mul(mlir::Value a, mlir::Value b);
  mlir::Value udiv(mlir::Value a, mlir::Value b);
  mlir::Value urem(mlir::Value a, mlir::Value b);
  mlir::Value bitAnd(mlir::Value a, mlir::Value b);
  mlir::Value bitOr(mlir::Value a, mlir::Value b);
  mlir::Value bitXor(mlir::Value a, mlir::Value b);
  mlir::Value shr(mlir::Value a, int32_t bits);
  mlir::Value shl(mlir::Value a, int32_t bits);
  mlir::Value cmp(mlir::arith::CmpIPredicate predicate, mlir::Value a,
                  mlir::Value b);
  mlir::Value trunc32(mlir::Value v);

  mlir::Value tid();
  /// The CTA's dynamic shared memory at byte |offset|, as an i32 address. The
  /// symbol is created in |op|'s module where missing.
  mlir::Value sharedAddress(mlir::Operation *op, int64_t offset);

  /// Inline PTX with side effects and a memory clobber; operands are numbered
  /// after the results. Results: none, one value, or the fields of a struct.
  llvm::SmallVector<mlir::Value> ptx(const llvm::Twine &text,
                                     llvm::ArrayRef<mlir::Type> results,
                                     const llvm::Twine &constraints,
                                     mlir::ValueRange operands);
  /// Inline PTX whose one result depends on its operands only.
  mlir::Value pure(const llvm::Twine &text, mlir::Type result,
                   const llvm::Twine &constraints, mlir::ValueRange operands);
  /// A call of the LLVM intrinsic |name|; null without |result|.
  mlir::Value intrinsic(llvm::StringRef name, mlir::Type result,
                        mlir::ValueRange operands);

  /// The elements of a vector, and back.
  llvm::SmallVector<mlir::Value> unpack(mlir::Value vector);
  mlir::Value pack(mlir::ValueRange elements, mlir::Type vectorType);

private:
  mlir::Value inlineAsm(const llvm::Twine &text, mlir::Type result,
                        const llvm::Twine &constraints,
                        mlir::ValueRange operands, bool sideEffects);
};

/// Patterns by file of this directory.
void populateMemoryPatterns(mlir::RewritePatternSet &patterns,
                            mlir::TypeConverter &types);
void populateMmaPatterns(mlir::RewritePatternSet &patterns,
                         mlir::TypeConverter &types);
void populateFragmentPatterns(mlir::RewritePatternSet &patterns,
                              mlir::TypeConverter &types);

/// Where plan-shared-memory put an op's bytes.
inline constexpr llvm::StringLiteral kOffsetAttr = "sm90.offset";

} // namespace hadal::sm90
