// The dot forms: the loops that contractions become on the CPU.
//
// A form is one function of the image, emitted once per variant and called by
// the kernels. Operands are read where they lie (checkpoint rows, activations);
// only activations are rearranged, once per work item. Sizes and strides are
// arguments, so that one function serves every shape.
//
// K is processed in blocks of 128 (the scale block of FP8); a packed operand is
// zero padded to whole blocks. Weights of int4 are exact bf16 values before they
// are multiplied. Each block is summed in registers, multiplied by
// its scale (FP8) and added to an f32 accumulator, blocks ascending. An
// element's bits do not depend on the other rows or columns of the call.
//
// Arithmetic: `v4+bf16+vbmi` multiplies bf16 pairs (vdpbf16ps) where both
// operands are bf16, e4m3 or int4; everything else converts to f32 exactly and uses
// FMA. vdpbf16ps reads bf16 denormals as zero; e4m3 codes are never among them.
#pragma once

#include <string>
#include <tuple>

#include "compiler/codegen/cpu/CpuKernels.h"

namespace hadal::cpu {

/// Storage type of an operand. int4: two codes a byte, the low half first; an
/// element is bf16((code - 8) * scale), a bf16 scale for kInt4Group of a row.
enum class Elt { bf16, f32, fp8, int4 };

/// Bytes of |elements| of them; of int4 an even number.
constexpr int64_t bytesOf(Elt elt, int64_t elements = 1) {
  switch (elt) {
  case Elt::f32:
    return 4 * elements;
  case Elt::bf16:
    return 2 * elements;
  case Elt::fp8:
    return elements;
  case Elt::int4:
    return elements / 2;
  }
  return 0;
}

enum class FormKind {
  /// (ptr x, ptr sx, i64 K, ptr packed, ptr scales)
  /// One activation row in the order of the row forms; a null x gives zeros.
  packRow,
  /// (ptr packed, ptr scales, i64 rowStride, i64 scaleStride, ptr w,
  ///  i64 wStride, ptr sw, i64 swStride, i64 rowInBlock, i64 scaleRows,
  ///  i64 n, i64 K, ptr y, i64 yStride, ptr work)
  /// y[m * yStride + i] = x[m] . w[i] for `m` packed rows and n weight rows.
  /// rowStride in bytes, scaleStride in f32, swStride in scales. One weight row
  /// at a time.
  gemv,
  /// (ptr rows, ptr scaleRows, i64 mPad, i64 K, ptr packed, ptr scales,
  ///  ptr memo)
  /// mPad row pointers (null: zeros) to the order of FormsPack.cpp. A memo of
  /// 8 (mPad + 1) bytes, whose first word was set to 0, makes a call with the
  /// rows of the last one return at once; null: always packs.
  packPanel,
  /// (ptr packed, ptr scales, i64 mPad, ptr w, i64 wStride, ptr sw,
  ///  i64 swStride, i64 rowInBlock, i64 scaleRows, i64 n, i64 K, ptr y,
  ///  i64 yRowStride, i64 yColStride, i64 m, i64 accumulate, ptr work)
  /// y[i * yRowStride + j * yColStride] (+)= w[i] . x[j] for n weight rows i
  /// and m columns j: weight rows decoded decodedRows x 128 at a time.
  panel,
  /// (ptr b, i64 bStride, i64 K, i64 N, i64 nPad, ptr packed)
  /// b is [K,N] in memory; to the same order.
  packColumns,
  /// (ptr x, ptr w, i64 wStride, ptr sw, i64 swStride, i64 rowInBlock,
  ///  i64 scaleRows, i64 n, i64 K, ptr y)
  /// y[j] = sum over i of x[i] * w[i, j]: one activation row, the weight's rows
  /// are K; n is a multiple of 128 and column 0 starts a scale block.
  gemvColumns,
};

/// Rows and vectors of a register tile of panel: weight rows x packed columns.
/// Vectors are 1, 2 or 4.
struct PanelTile {
  int64_t rows = 0, vectors = 0;

  auto tie() const { return std::make_tuple(rows, vectors); }
};

/// The words of a kernel's schedule that a form obeys; none changes a bit of
/// its result. A field that a form does not read is 0 in its key, so that
/// kernels that agree about the rest share the function.
struct FormTuning {
  /// Bytes from the weights that are read to those that are fetched into L1; 0:
  /// none are (gemv, gemvColumns).
  int64_t prefetch = 0;
  /// Blocks of K in a turn of the loop (gemv).
  int64_t unroll = 0;
  /// Weight rows between two visits of an output element (gemvColumns).
  int64_t kGroup = 0;
  /// The same as prefetch in blocks of a weight row, into L2 (panel).
  int64_t prefetchBlocks = 0;
  /// Packed columns of one chunk of K, in bytes: they are to stay in a core's
  /// L2 beside the accumulators while all weight rows pass (panel).
  int64_t chunkBytes = 0;
  /// Weight rows that are decoded at a time: a multiple of rows x vectors of
  /// the tile (panel).
  int64_t decodedRows = 0;
  /// Words of K in a turn of the register tile's loop: 1, 2, 4 or 8 (panel).
  int64_t panelUnroll = 0;
  /// The register tile of images with vectors of 512 bits, and of 256 (panel;
  /// of the packs the vectors, which order what they write).
  PanelTile tile, tile256;

  auto tie() const {
    return std::make_tuple(prefetch, unroll, kGroup, prefetchBlocks, chunkBytes,
                           decodedRows, panelUnroll, tile.tie(), tile256.tie());
  }
};

/// Names one function. |m| is the number of rows of a gemv, else 0.
struct FormKey {
  /// For those who fill every field (CompiledChunk.cpp).
  FormKey() = default;
  /// Keeps of |tuning| what a form of |kind| reads.
  FormKey(FormKind kind, Elt x, Elt w, const FormTuning &tuning, int m = 0);

  FormKind kind = FormKind::packRow;
  Elt x = Elt::f32; ///< the packed operand
  Elt w =
      Elt::f32; ///< the operand read row by row (of a pack: what it will meet)
  int m = 0;
  FormTuning tuning;

  auto tie() const { return std::make_tuple(kind, x, w, m, tuning.tie()); }
  bool operator<(const FormKey &o) const { return tie() < o.tie(); }
  bool operator==(const FormKey &o) const { return tie() == o.tie(); }
};

/// The symbol of a form: "hadal_gemv4_bf16_fp8_prefetch8192_unroll2".
std::string formSymbol(const FormKey &key);
/// The LLVM function type of a form.
mlir::Type formType(mlir::MLIRContext *context, FormKind kind);
/// Elements of a block of K.
constexpr int64_t kBlock = 128;
/// Elements of an int4 row that share a scale.
constexpr int64_t kInt4Group = 32;
/// Columns are padded to a multiple of this.
constexpr int64_t kColumnPad = 16;

/// Bytes of the packed operand and its scales (f32, the widest arithmetic, so
/// that scratch is equal for all variants), and of a form's work area.
int64_t packedBytes(int64_t columns, int64_t k);
int64_t packedScaleBytes(int64_t columns, int64_t k);
int64_t gemvWorkBytes(int64_t k);
int64_t panelWorkBytes(int64_t columns, int64_t rows, int64_t decodedRows);

/// Appends the functions of |keys| for |variant| to |module|, in the LLVM
/// dialect and scf; lowerForms makes it all LLVM dialect.
void emitForms(mlir::ModuleOp module, llvm::ArrayRef<FormKey> keys,
               Variant variant);
llvm::LogicalResult lowerForms(mlir::ModuleOp module);

} // namespace hadal::cpu
