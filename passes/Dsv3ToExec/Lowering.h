// Internal to LowerDsv3ToExec: the state shared by its three steps.
#pragma once

#include "dialects/Dsv3/IR/Dsv3.h"
#include "dialects/Exec/IR/Exec.h"
#include "dialects/Tile/IR/TileDialect.h"
#include "kernels/Kernels.h"
#include "kernels/SpecAttr.h"
#include "schedule/Space.h"
#include "llvm/Support/Regex.h"
#include "mlir/IR/SymbolTable.h"

namespace hadal::lower {

/// Where a dsv3 value lives: references to its data and, for FP8, its scales.
struct Storage {
  mlir::Value data, scale;
};

/// Words that the user gave for the kernels whose symbol |regex| matches.
struct GivenSchedule {
  std::string text; ///< as it was given
  llvm::Regex regex;
  schedule::Words words;
  bool matched = false;
};

/// What all functions of the module share.
struct ProgramContext {
  explicit ProgramContext(mlir::ModuleOp module)
      : module(module), symbols(module), kernels(module), program(module) {}

  mlir::ModuleOp module;
  mlir::SymbolTable symbols;
  /// The kernels built so far: their symbols, and each by its spec.
  mlir::SymbolTable *kernelSymbols = nullptr;
  llvm::DenseMap<tile::SpecAttr, tile::KernelOp> kernelOf;
  /// At the end of the kernels, and at the end of the module.
  mlir::OpBuilder kernels, program;
  // Facts of the model attribute.
  kernels::Act act = kernels::Act::bf16;
  schedule::Target target = schedule::allTargets().front();
  int64_t topk = 0, experts = 0, maxSeqLen = 0, maxBatchSize = 0, pageSize = 0;
  /// That schedules are made for; null where the target has none.
  const nvptx::Chip *chip = nullptr;
  std::vector<GivenSchedule> given;
  /// Experts get the schedules of one rank.
  bool scheduleAsOneRank = false;
  /// All buckets of a family add in one order.
  bool deterministic = false;
  /// How ranks share the model; null for one rank.
  dsv3::MeshAttr mesh;
  /// Rows of the state `hidden`: the largest bucket.
  int64_t hiddenRows = 0;
  /// There is a layer of multi-token prediction.
  bool drafts = false;
  /// Some linear reads quantised rows.
  bool quantizesActivations = false;
  int64_t numLaunches = 0;

  int64_t ep() const { return mesh ? mesh.getEp() : 1; }
  int64_t tp() const { return mesh ? mesh.getTp() : 1; }
  int64_t ranks() const { return mesh ? mesh.getTp() * mesh.getDp() : 1; }

  int64_t pagesPerRow() const {
    return (maxSeqLen + pageSize - 1) / pageSize;
  }
  /// Bytes from row to row of a matrix with |columns| elements in a row.
  int64_t rowBytes(mlir::Type element, int64_t columns) const {
    return target.hasRowPitch()
               ? tile::rowPitchBytes(element, 2, columns)
               : static_cast<int64_t>(llvm::divideCeil(
                     columns * element.getIntOrFloatBitWidth(), 8));
  }
  /// The pitch of such a matrix for the manifest: null if it is dense.
  mlir::IntegerAttr pitch(mlir::Type element, int64_t columns) {
    int64_t bytes = rowBytes(element, columns);
    bool dense = bytes * 8 == columns * element.getIntOrFloatBitWidth();
    return dense ? mlir::IntegerAttr()
                 : mlir::Builder(module).getI64IntegerAttr(bytes);
  }
};

/// exec's word for |axis|.
exec::Axis axisOf(dsv3::Axis axis);

/// Name of the state that holds the residual stream.
inline constexpr llvm::StringLiteral kHidden = "hidden";
/// The same of the layer of multi-token prediction.
inline constexpr llvm::StringLiteral kHiddenDraft = "hidden_draft";
/// What entries of |kind| read rows of an earlier call from.
inline llvm::StringRef hiddenReadBy(dsv3::BucketKind kind) {
  return kind == dsv3::BucketKind::DraftNext ||
                 kind == dsv3::BucketKind::DraftHead
             ? kHiddenDraft
             : kHidden;
}
/// What entries of |kind|, which computes no logits, leave their rows in.
inline llvm::StringRef hiddenWrittenBy(dsv3::BucketKind kind) {
  return kind == dsv3::BucketKind::Decode || kind == dsv3::BucketKind::Prefill
             ? kHidden
             : kHiddenDraft;
}

/// A kernel's view argument: what it points to and its dynamic extents.
struct Operand {
  Storage storage;
  llvm::SmallVector<int64_t, 2> extents;
};

/// A launch of the kernel that |spec| describes: one operand for each of its
/// view arguments, and the extent of its first dimension, if that is dynamic.
struct KernelLaunch {
  kernels::AnySpec spec;
  llvm::SmallVector<Operand> operands;
  int64_t capacity;
};

/// Lowers one function (of one bucket) into the body of an entry or function.
class FunctionLowering {
public:
  FunctionLowering(ProgramContext &context, mlir::func::FuncOp source,
                   dsv3::BucketAttr bucket, mlir::Block *body);

  mlir::LogicalResult run();
  /// Sets where an argument of the source function lives.
  void bind(mlir::Value value, Storage storage) { storages[value] = storage; }

  //===--- What the models of kernels ask for (KernelModel.h) -------------===//

  const ProgramContext &program() const { return context; }
  dsv3::BucketAttr bucket() const { return functionBucket; }
  /// Most tokens of a rank's slice.
  int64_t sliceTokens() const {
    return llvm::divideCeil(functionBucket.getTokens(), context.tp());
  }
  /// Capacity of dimension 0 of |value| in this bucket.
  int64_t rows(mlir::Value value);
  /// |value| as an operand with its rows as the dynamic extent.
  Operand rowsOf(mlir::Value value) { return rowsOf(value, 1); }
  /// The same memory seen as |factor| times as many rows.
  Operand rowsOf(mlir::Value value, int64_t factor);
  /// A weight, a table or a vector: no dynamic extent.
  Operand whole(mlir::Value value) { return {storageOf(value), {}}; }
  Operand pool(mlir::Value cache);
  /// Entry inputs that attention reads: page_table, q_start, kv_len, positions.
  void addBatch(llvm::SmallVectorImpl<Operand> &operands);
  Operand input(exec::Input name, llvm::ArrayRef<int64_t> extents);
  /// Gives |result| memory (unless it is bound) and returns it as an operand.
  Operand define(mlir::Value result, llvm::StringRef suffix = "");
  /// Empty if |value| has no memory.
  Storage storageOf(mlir::Value value) const { return storages.lookup(value); }
  /// Says that a linear of the program reads quantised rows.
  void noteQuantizedInput() { context.quantizesActivations = true; }

private:
  // Structure (LowerDsv3Functions.cpp).
  mlir::LogicalResult lowerOperation(mlir::Operation *op);
  mlir::LogicalResult bindResult();
  mlir::FailureOr<unsigned> bindCall(mlir::func::CallOp call, Storage stream);
  mlir::LogicalResult lowerCalls(mlir::func::CallOp first,
                                 llvm::ArrayRef<mlir::func::CallOp> run);
  mlir::LogicalResult lowerGetParameter(dsv3::GetParameterOp op);

  // Collectives (LowerDsv3Exchange.cpp).
  mlir::LogicalResult lowerStart(dsv3::StartOp op);
  void lowerAwait(dsv3::AwaitOp op);

  // Kernels (LowerDsv3Kernels.cpp).
  mlir::LogicalResult lowerKernel(mlir::Operation *op);
  /// The kernel of |spec|, built at its first launch; null, with an error at
  /// |op|, if there can be none.
  tile::KernelOp kernelFor(mlir::Operation *op, kernels::AnySpec spec);
  /// The schedule of the kernel |symbol|: the user's words and the rules'.
  std::optional<schedule::Schedule> scheduleFor(mlir::Operation *op,
                                                llvm::StringRef symbol,
                                                const kernels::AnySpec &spec);
  mlir::LogicalResult launch(mlir::Operation *op, const KernelLaunch &what);
  /// |spec| with the order of sums of the bucket, of a deterministic program.
  kernels::AnySpec withSums(kernels::AnySpec spec);
  /// A buffer that is called |op|'s name and |suffix|.
  mlir::Value allocate(mlir::Operation *op, llvm::StringRef suffix,
                       int64_t bytes, bool exchange = false);
  /// Bytes of |type| with |rows| rows.
  int64_t dataBytes(mlir::RankedTensorType type, int64_t rows);
  /// Capacity of dimension 0 of a value of |type| in this bucket.
  int64_t rows(mlir::RankedTensorType type);

  ProgramContext &context;
  mlir::func::FuncOp source;
  dsv3::BucketAttr functionBucket;
  mlir::OpBuilder b;
  llvm::DenseMap<mlir::Value, Storage> storages;
  llvm::DenseMap<unsigned, mlir::Value> inputs;
  /// What a collective that has begun receives, and the event of its end.
  struct Pending {
    int64_t done;
    llvm::SmallVector<Storage> received;
  };
  llvm::DenseMap<mlir::Value, Pending> pending;
  int64_t numEvents = 0;
};

} // namespace hadal::lower
