// The dsv3 dialect (see Dsv3Base.td) and helpers over its types.
#pragma once
#include "mlir/Bytecode/BytecodeOpInterface.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/IR/BuiltinTypes.h"
#include "mlir/IR/Dialect.h"
#include "mlir/IR/OpDefinition.h"
#include "mlir/IR/OpImplementation.h"
#include "mlir/IR/RegionKindInterface.h"
#include "mlir/IR/SymbolTable.h"
#include "mlir/IR/TensorEncoding.h"
#include "mlir/Interfaces/ControlFlowInterfaces.h"
#include "mlir/Interfaces/InferTypeOpInterface.h"
#include "mlir/Interfaces/SideEffectInterfaces.h"

#include "dialects/Dsv3/IR/Dsv3Enums.h.inc"

#include "dialects/Dsv3/IR/Dsv3Dialect.h.inc"

#define GET_ATTRDEF_CLASSES
#include "dialects/Dsv3/IR/Dsv3Attrs.h.inc"

#define GET_TYPEDEF_CLASSES
#include "dialects/Dsv3/IR/Dsv3Types.h.inc"

namespace hadal::dsv3 {

/// Side of a weight's scale block and width of an activation's group.
inline constexpr int64_t kBlock = 128;

/// Columns of an int4 weight's row that share a scale.
inline constexpr int64_t kInt4Group = 32;

/// Names of the discardable attributes of the dialect.
/// On functions: the bucket, and the chosen attention form ("absorbed",
/// "expanded", absent where the function has none).
inline constexpr llvm::StringLiteral kBucketAttr = "dsv3.bucket";
inline constexpr llvm::StringLiteral kAttentionAttr = "dsv3.attention";
/// On functions: an entry runs so many of its bucket, taking turns; absent: one.
inline constexpr llvm::StringLiteral kMicroBatchesAttr = "dsv3.micro_batches";
/// On functions: names of model operations that a pass dropped on purpose.
inline constexpr llvm::StringLiteral kDroppedAttr = "dsv3.dropped";
/// On the module: facts of the model and of the compilation (a dictionary) and
/// the choices made by passes, as sentences for the provenance.
inline constexpr llvm::StringLiteral kModelAttr = "dsv3.model";
inline constexpr llvm::StringLiteral kRemarksAttr = "dsv3.remarks";
/// Of kModelAttr, and of exec's: a token's bits depend on its phase and on its
/// predecessors' bits only. A unit; absent where nothing is promised.
inline constexpr llvm::StringLiteral kDeterministic = "deterministic";
/// On the module: how ranks share the model; absent for one rank.
inline constexpr llvm::StringLiteral kMeshAttr = "dsv3.mesh";
/// The state that counts what exceeded a bucket's capacity, by rank.
inline constexpr llvm::StringLiteral kOverflowState = "comm.overflow";

/// The mesh of |module|; null for one rank.
MeshAttr getMesh(mlir::Operation *module);

/// The bucket of |func|; null if it has none.
BucketAttr getBucket(mlir::Operation *func);
/// How many micro-batches of its bucket the entry of |func| runs.
int64_t getMicroBatches(mlir::Operation *func);
/// Of the model attribute: most drafted tokens that a row's step verifies;
/// absent without a layer of multi-token prediction.
inline constexpr llvm::StringLiteral kMaxDraftsKey = "max_drafts";
/// "decode_4", "prefill_512", "head_16"; rows and queries where one number would
/// name two buckets, "decode_4x2", "draft_4x2".
std::string getBucketName(BucketAttr bucket);
/// Whether buckets of |kind| compute logits: they have rows of them alone.
inline bool isHead(BucketKind kind) {
  return kind == BucketKind::Head || kind == BucketKind::DraftHead;
}
/// Whether the tokens of buckets of |kind| are of prompts: of a deterministic
/// program they have other forms than those that were generated.
inline bool isPrompt(BucketKind kind) {
  return kind == BucketKind::Prefill || kind == BucketKind::DraftPrefill;
}
/// What the entry of |func|'s bucket is called: the bucket's name, of two
/// micro-batches that of both and "_x2", of the worst of two rungs
/// "decode_4_worst".
std::string getEntryName(mlir::Operation *func);

/// Words of the record that travels with a token to its experts: its row, the
/// number of its first pair, a slot for each of |topk| choices, padding to 16
/// bytes.
inline constexpr int64_t getMetaWords(int64_t topk) {
  return (2 + topk + 3) / 4 * 4;
}

/// The layout of a tensor type; null if it has none of ours.
LayoutAttr getLayout(mlir::Type type);

/// True for a ranked tensor whose dynamic extents are named and whose FP8
/// codes have a scale layout.
bool hasValidLayout(mlir::Type type);

/// True for a tensor of bf16 or f32.
bool isFloatTensor(mlir::Type type);

/// True for a tensor of f8E4M3FN codes that has a scale layout.
bool isFP8(mlir::Type type);

/// True for a tensor of i4 codes that has a scale layout.
bool isInt4(mlir::Type type);

/// Whether |type| is codes and scales: FP8 or int4.
bool isQuantized(mlir::Type type);

/// |type| with the element type and the scale layout replaced; extents and
/// storage are kept. A null |scale| removes the scale layout.
mlir::RankedTensorType withElement(mlir::RankedTensorType type,
                                   mlir::Type element, ScaleAttr scale);

/// |type| with its last extent replaced.
mlir::RankedTensorType withColumns(mlir::RankedTensorType type,
                                   int64_t columns);

/// |type| with its rows, the only dynamic extent, named |extent|.
mlir::RankedTensorType withRows(mlir::RankedTensorType type, Extent extent);

/// The FP8 type of the activation |type|: 1x128 scales of |format|.
mlir::RankedTensorType getQuantizedType(mlir::RankedTensorType type,
                                        ScaleFormat format);

/// A tensor type with dynamic first extent named |extent|.
mlir::RankedTensorType getRowsType(Extent extent, llvm::ArrayRef<int64_t> inner,
                                   mlir::Type element);

/// The shape of the scale matrix of a quantised |type|: leading extents as they
/// are, the last two divided by the block, rounded up.
llvm::SmallVector<int64_t> getScaleShape(mlir::RankedTensorType type);

} // namespace hadal::dsv3

#define GET_OP_CLASSES
#include "dialects/Dsv3/IR/Dsv3Ops.h.inc"
