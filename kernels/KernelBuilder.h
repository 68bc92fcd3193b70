// Helpers for writing a kernel's tile form.
//
// A kernel declares its arguments and its domain, calls begin(), and then
// composes tiles. Tiles are values of static shape; "f32 tile" below means a
// tensor of f32. Shapes follow the operands.
#pragma once

#include <string>

#include "kernels/Kernels.h"
#include "kernels/SpecAttr.h"

namespace hadal::kernels {

using mlir::Location;
using mlir::OpBuilder;
using mlir::Type;
using mlir::Value;
using mlir::ValueRange;
using Shape = llvm::ArrayRef<int64_t>;
using llvm::SmallVector;
using llvm::StringRef;

/// Column group of activation scales and block of weight scales (model-spec 3).
constexpr int64_t kGroup = 128;
/// Floor of amax in dynamic quantisation (model-spec 3.4).
constexpr float kQuantFloor = 1e-4f;
constexpr double kLog2E = 1.4426950408889634;

/// A tile and its scales; scales is null unless the tile holds e4m3fn codes.
struct Scaled {
  Value tile, scales;
};

/// Rounds |value| up to a multiple of |step|.
inline int64_t roundUp(int64_t value, int64_t step) {
  return (value + step - 1) / step * step;
}

class KernelBuilder {
public:
  template <typename Spec>
  KernelBuilder(OpBuilder &builder, Location loc, StringRef name,
                const Spec &spec, const schedule::Schedule &schedule)
      : b(builder), loc(loc), name(name), common(spec),
        spec(toAttr(builder.getContext(), spec)), schedule(schedule) {}

  //===--- Declaration ----------------------------------------------------===//

  Type f32() { return b.getF32Type(); }
  Type i32() { return b.getI32Type(); }
  /// The element type of stored activations.
  Type act();
  Type fp8();
  /// A dense view; -1 is a dynamic extent.
  tile::ViewType view(Shape shape, Type element);
  tile::ViewType actView(Shape shape) { return view(shape, act()); }
  /// e4m3fn [?, width] with one scale per row and 128 columns.
  tile::ViewType quantizedView(int64_t width);
  /// A weight [n, k]; |experts| > 0 makes it a stack, |segmentRows| segments.
  tile::ViewType weightView(Weight weight, int64_t n, int64_t k,
                            int64_t experts = 0, int64_t segmentRows = 0);

  /// Declares the next argument; the handle is valid after begin().
  unsigned arg(StringRef argName, Type type);
  /// The same, of memory that no kernel of the program writes.
  unsigned constant(StringRef argName, Type type);
  void dim(int64_t extent, int64_t step,
           tile::Bound bound = tile::Bound::None, int64_t boundDim = 0);
  /// The first dimension of a kernel of one row of the step at a time, or of
  /// |step|.
  void rowDim(int64_t step = 1) { dim(-1, step, rowBound()); }
  /// What bounds the rows of the step: its tokens, or those of the slice.
  tile::Bound rowBound() const {
    return common.slice ? tile::Bound::Slice : tile::Bound::Tokens;
  }
  /// What the schedule says for |word|, a positive number; if it says none, that
  /// is reported and end() returns null.
  int64_t word(StringRef word);
  /// Reports a spec that this kernel cannot serve; returns |ok|.
  bool require(bool ok, const llvm::Twine &what);
  /// Appends !tile.sizes, creates the kernel and moves into its body.
  void begin();
  /// Leaves the body and returns the kernel; null if it could not be built.
  tile::KernelOp end();

  Value operator[](unsigned handle) { return args[handle]; }
  Value coordinate(unsigned i) { return coordinates[i]; }
  Value sizes() { return args.back(); }

  //===--- Scalars --------------------------------------------------------===//

  Value index(int64_t value);
  Value add(Value a, Value c);
  Value sub(Value a, Value c);
  Value mulIndex(Value a, int64_t factor);
  Value divIndex(Value a, int64_t divisor);
  Value minIndex(Value a, Value c);
  Value size(tile::SizeName which, Value at = {});
  /// The number of rows that rowBound() names.
  Value numRows() { return size(tile::sizeNameOf(rowBound())); }
  Value read(Value view, ValueRange at);
  /// Runs |body| if a < c.
  void ifLess(Value a, Value c, llvm::function_ref<void()> body);

  //===--- Memory ---------------------------------------------------------===//

  /// Loads a tile of an unscaled view.
  Value load(Value view, ValueRange at, Shape shape);
  /// Loads a tile; of an FP8 view with scales of |scaleRows| rows and
  /// |scaleColumns| columns (0: one per 128).
  Scaled loadScaled(Value view, ValueRange at, Shape shape, int64_t scaleRows,
                    int64_t scaleColumns = 0);
  /// Stores a tile; rows at or beyond |rowsBelow| (if given) are dropped.
  void store(Value view, ValueRange at, Value tile, Value rowsBelow = {});
  void store(Value view, ValueRange at, Scaled value, Value rowsBelow = {});
  /// Rows |indices| of |view|.
  Value rows(Value view, Value indices);

  //===--- Tiles ----------------------------------------------------------===//

  Shape shapeOf(Value tile);
  int64_t extent(Value tile, unsigned i) { return shapeOf(tile)[i]; }
  Value zeros(Shape shape);
  Value constant(Shape shape, double value);
  Value constantI32(Shape shape, int32_t value);
  Value splat(Value scalar, Shape shape);
  Value broadcast(Value tile, Shape shape);
  Value reshape(Value tile, Shape shape);
  Value slice(Value tile, Shape offsets, Shape shape);
  Value concat(ValueRange tiles, int64_t dim);
  Value iota(Shape shape, int64_t dim);
  Value reduce(tile::ReduceKind kind, Value tile, int64_t dim);
  Value toF32(Value tile);
  Value toAct(Value tile);
  Value toElement(Value tile, Type element);

  /// Elementwise; the second operand is broadcast to the first's shape.
  Value addf(Value a, Value c);
  Value subf(Value a, Value c);
  Value mulf(Value a, Value c);
  Value divf(Value a, Value c);
  Value maxf(Value a, Value c);
  Value addi(Value a, Value c);
  Value subi(Value a, Value c);
  Value muli(Value a, Value c);
  Value mulf(Value a, double c);
  Value exp2(Value a);
  Value cmpi(mlir::arith::CmpIPredicate predicate, Value a, Value c);
  Value select(Value condition, Value a, Value c);

  //===--- Parts of models --------------------------------------------------//

  /// x / sqrt(mean(x^2) + eps) * w over the first |width| columns (the rest are
  /// zero). x f32 [m, w'], weight f32 [w'] (model-spec 2.2).
  Value rmsNorm(Value x, Value weight, int64_t width, double eps);
  /// Rotates adjacent pairs (model-spec 2.7, interleaved). x f32 [m, dr];
  /// cosSin f32 [m, dr] holds (cos, sin) of each pair.
  Value rope(Value x, Value cosSin);
  /// x / (1 + 2^(-x log2 e)).
  Value silu(Value x);
  Value sigmoid(Value x);
  /// Model-spec 3.4 over groups of 128 columns.
  Scaled quantize(Value x);
  /// Loads the (cos, sin) rows of the |m| tokens from |token| on.
  Value loadCosSin(Value table, Value positions, Value token, int64_t m);

  //===--- Contractions -----------------------------------------------------//

  /// acc + a . w^T for w [N, K] of any storage (model-spec 3.5).
  Value dotWeight(Scaled a, Scaled w, Value acc);
  Value dot(Value a, Value c, Value acc, bool transposeB);
  /// A fold from lo to hi whose states add up; inits are zeros of |shapes|.
  SmallVector<Value>
  foldSum(Value lo, Value hi, int64_t step, llvm::ArrayRef<SmallVector<int64_t>> shapes,
          llvm::function_ref<SmallVector<Value>(Value, ValueRange)> body);

  OpBuilder &b;
  Location loc;

private:
  template <typename Op> Value binary(Value a, Value c);

  std::string name;
  Common common;
  tile::SpecAttr spec;
  SmallVector<std::string> argNames;
  SmallVector<Type> argTypes;
  SmallVector<int64_t> constants;
  SmallVector<tile::DomainDimAttr> domain;
  const schedule::Schedule &schedule;
  bool isBroken = false; // the schedule lacks a word
  tile::KernelOp kernel;
  SmallVector<Value> args, coordinates;
};

/// The running state of softmax(s) . v over key tiles: rows' maxima [m,1], sums
/// [m,1] and weighted values [m,n], all f32; scores are in units of log2.
struct SoftmaxState {
  Value max, sum, acc;
};
/// Folds one key tile: scores f32 [m, t] (-inf where masked), values [t, n].
/// P is rounded to act before the product; the sums are not.
SoftmaxState softmaxStep(KernelBuilder &k, SoftmaxState state, Value scores,
                         Value values);
/// Merges two states; a state without any key is the identity.
SoftmaxState softmaxMerge(KernelBuilder &k, SoftmaxState a, SoftmaxState c);
/// The state of no key.
SoftmaxState softmaxInit(KernelBuilder &k, int64_t m, int64_t n);
/// acc / sum; 0 for the rows of a sequence of |length| (i32) 0. Of keys whose
/// scores are all -inf the sum is 0 as well, and the result NaN.
Value softmaxFinish(KernelBuilder &k, SoftmaxState state, Value length);

} // namespace hadal::kernels
