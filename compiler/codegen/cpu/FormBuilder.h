// Shorthand for emitting the dot forms: pointers, vectors, the two arithmetics.
#pragma once

#include "compiler/codegen/cpu/Forms.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/IR/ImplicitLocOpBuilder.h"

namespace hadal::cpu {

/// A code that is read as f16 is the e4m3 value times this (the difference of
/// the exponents' biases); the f16 is normal or subnormal where the code is.
constexpr double kCodeScale = 0x1p-8;
/// Twice a NaN code, in a byte.
constexpr int64_t kNanByte = 0xFE;

/// Emits one form of one variant.
///
/// An *operand vector* holds `lanes` f32 lanes' worth of factors: 2*lanes bf16
/// in bf16 arithmetic, lanes f32 otherwise. A *unit* is 64 elements of K: the
/// span inside which a form may permute K to the order in which its weights are
/// cheapest to decode. bf16 arithmetic does so for e4m3, to the byte-unpack
/// order (0-7,16-23,32-39,48-55, then 8-15,...); f32 arithmetic for e4m3, int4, and
/// for bf16 where one row is packed, to the even and then the odd of every
/// 2 * lanes elements.
class FormBuilder {
public:
  using Value = mlir::Value;
  using Values = llvm::SmallVector<Value>;

  FormBuilder(mlir::ModuleOp module, const FormKey &key, Variant variant);

  void emitPackRow();
  void emitGemv();
  void emitPackPanel();
  void emitPackColumns();
  void emitGemvColumns();
  void emitPanel();

private:
  //===--- Facts ----------------------------------------------------------===//
  FormKey key;
  Variant variant;
  mlir::ImplicitLocOpBuilder b;
  bool bf16Math;   // vdpbf16ps; else f32 FMA
  int64_t lanes;   // f32 lanes of a vector
  PanelTile tile;  // of this variant
  bool permuted;   // K not in natural order
  int64_t factorBytes; // of one factor in a packed operand: 2 or 4
  mlir::LLVM::LLVMFuncOp func;
  Value tables[4], signs; // the byte tables of e4m3 -> bf16
  // Where f32 arithmetic stages codes as f16, as it is written and as it is
  // read (the same address, which the optimiser does not know).
  Value halvesOut, halvesIn;
  int64_t nextHalves = 0; // the part of it that is written next

  //===--- Scalars and memory ---------------------------------------------===//
  Value arg(unsigned i) { return func.getArgument(i); }
  Value i64(int64_t v);
  Value i32(int32_t v);
  Value add(Value a, Value c);
  Value sub(Value a, Value c);
  Value mul(Value a, Value c);
  Value mul(Value a, int64_t c) { return mul(a, i64(c)); }
  Value min(Value a, Value c);
  Value udiv(Value a, Value c);
  Value isNull(Value ptr);
  /// ptr + bytes.
  Value at(Value ptr, Value bytes);
  Value at(Value ptr, int64_t bytes) { return at(ptr, i64(bytes)); }
  Value load(mlir::Type type, Value ptr, unsigned align = 1);
  void store(Value value, Value ptr, unsigned align = 1);
  /// |locality| as in llvm.prefetch: 3 fetches into L1, 2 into L2.
  void prefetch(Value ptr, int locality = 3);
  void loop(Value lo, Value hi, int64_t step,
            llvm::function_ref<void(Value)> body);
  Values loop(Value lo, Value hi, int64_t step, mlir::ValueRange inits,
              llvm::function_ref<Values(Value, mlir::ValueRange)> body);
  void when(Value condition, llvm::function_ref<void()> then);
  /// Blocks of 128 in |k| elements, rounded up.
  Value blocksOf(Value k);

  //===--- Vectors ---------------------------------------------------------===//
  mlir::VectorType vec(int64_t n, mlir::Type type);
  mlir::VectorType f32Vec() { return vec(lanes, b.getF32Type()); }
  mlir::VectorType factorVec();
  Value splatI(mlir::VectorType type, int64_t v);
  Value splatF(double v);
  Value broadcast(Value scalar);
  Value bitcast(mlir::Type type, Value v);
  Value shuffle(Value a, Value c, llvm::ArrayRef<int32_t> mask);
  Value fma(Value a, Value c, Value acc);
  Value addf(Value a, Value c);
  Value mulf(Value a, Value c);
  /// acc + a . c per lane: vdpbf16ps or FMA.
  Value mac(Value acc, Value a, Value c);
  /// The factor (pair) at |ptr| in every lane.
  Value broadcastFactor(Value ptr);
  /// Sum of the lanes, halves first.
  Value horizontalSum(Value v);
  /// In place: |rows| (vectors of n words) to columns.
  void transpose(llvm::MutableArrayRef<Value> rows);

  //===--- Operands ----------------------------------------------------------===//
  /// Operand vectors per unit of 64 elements.
  int64_t vectorsPerUnit() const { return bf16Math ? 2 : 64 / lanes; }
  /// Loads what decodeUnit of e4m3 needs; call once, outside loops.
  void loadTables(Elt elt);
  /// Whether |elt| is decoded to f32 times kCodeScale.
  bool isScaledCode(Elt elt) const { return elt == Elt::fp8 && !bf16Math; }
  /// The 64 elements at |ptr|, stored as |elt|, as operand vectors in this
  /// form's K order; a scaled code times kCodeScale. With |largest| (vectors of
  /// f32 arithmetic and e4m3 only) NaN codes are not decoded: it gathers the
  /// greatest of all bytes 2 * code, which is kNanByte if one of them is NaN.
  /// |scales|: of int4, the scales of the unit's groups.
  Values decodeUnit(Elt elt, Value ptr, Value *largest = nullptr,
                    Value scales = {});
  /// decodeUnit of int4 codes.
  Values decodeInt4(Value ptr, Value scales);
  /// The f32 values of a table times a group's scale, rounded to bf16.
  Value roundedTable(llvm::ArrayRef<float> codes, Value scale);
  /// A call of the target's intrinsic |name|.
  Value intrinsic(mlir::Type type, llvm::StringRef name,
                  mlir::ValueRange operands);
  /// decodeUnit, with no factor left in it.
  Values decodeExactUnit(Elt elt, Value ptr);
  /// Stages the 64 scaled codes at |ptr| as f16; the part where they are.
  int64_t stageCodes(Value ptr, Value *largest);
  /// Operand vector |i| of the unit that is staged in |part|.
  Value stagedVector(int64_t part, int64_t i);
  /// A vector of bytes for decodeUnit's |largest|.
  mlir::VectorType codeVec() { return vec(4 * lanes, b.getI8Type()); }
  /// Whether |largest| met a NaN code.
  Value hasNan(Value largest);
  /// |lanes| elements (bf16 or f32) at |ptr| as f32, in natural order.
  Value decodeF32(Elt elt, Value ptr);
  /// A copy of the last |count| (< 128) elements at |ptr| in |stage|, padded
  /// with zeros to 128.
  void stageTail(Elt elt, Value ptr, Value count, Value stage);
  /// The same of the scales of |count| int4 elements.
  void stageScales(Value ptr, Value count, Value stage);
  /// Stack memory of this call, 64-byte aligned.
  Value stackBytes(int64_t bytes);

  //===--- gemv -------------------------------------------------------------===//
  void gemvRows(Value lo, Value hi, mlir::ValueRange scaleRows);
  /// One block of K, of int4 with the scales of its groups; the state is the rows' totals and, where codes are
  /// scaled, the greatest byte (decodeUnit).
  Values gemvBlock(Value weights, Value groupScales, Value kb,
                   mlir::ValueRange state, mlir::ValueRange scaleRows);

  //===--- gemvColumns ------------------------------------------------------===//
  /// Adds |count| weight rows from |row| on to the output.
  void columnsOfRows(Value row, int64_t count);
  /// Brings the output from the order of the decoded weights to its own.
  void restoreColumns();

  //===--- panel
  //------------------------------------------------------------===//
  /// The group of columns that holds column |col| of |pad|, a multiple of
  /// `lanes`: its first column and its width.
  struct Group {
    Value start, width;
  };
  Group groupOf(Value pad, Value col);
  /// Byte offset of column |col| in the first word of block |block|.
  Value packedWord(Value pad, Value col, Value block);
  /// Addresses and sizes that the parts of a panel share.
  struct Panel {
    Value tile, scaleTile, scalePtrs, acc, stage; // work areas
    Value mPad, accStride;                        // elements, bytes
    Value firstBlock, endBlock;                   // of the chunk of K
  };
  void panelGroup(const Panel &p, Value first, Value count);
  void panelDecode(const Panel &p, Value first, Value count, Value kb,
                   Value rest);
  void panelMultiply(const Panel &p, Value count, Value kb, Value words);
  void panelTile(const Panel &p, PanelTile tile, Value kb, Value words,
                 Value row, Value col);
  void panelStore(const Panel &p, Value first, Value count);
  int64_t tileRowBytes() const { return kBlock * factorBytes; }
};

} // namespace hadal::cpu
