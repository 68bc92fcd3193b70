// Passes over the dsv3 level and their pipeline.
#pragma once
#include "dialects/Dsv3/IR/Dsv3.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Pass/Pass.h"
#include "mlir/Pass/PassManager.h"
#include "mlir/Pass/PassOptions.h"

namespace hadal {

#define GEN_PASS_DECL
#include "passes/Dsv3/Passes.h.inc"

/// Buckets of decode for |maxBatchSize| among |sizes|: up to the first that
/// holds it. Empty if none does.
llvm::SmallVector<int64_t> selectDecodeSizes(llvm::ArrayRef<int64_t> sizes,
                                             int64_t maxBatchSize);

/// Checks what VerifyDsv3 says of stage=sharded (H2001).
mlir::LogicalResult verifySharded(mlir::ModuleOp module);
/// The part of it that is about tp.
mlir::LogicalResult verifyTensors(mlir::ModuleOp module);

/// Records a choice: emits |text| as a remark at |op| and appends it to the
/// module's `dsv3.remarks`, from where it reaches the artifact's provenance.
/// Does nothing if the same sentence is there already.
void recordChoice(mlir::Operation *op, llvm::StringRef text);

/// Says that nothing will stand for |op|, which is about to be erased, and
/// |reason|: a remark "dropped" at |op|, and its members
/// (passes/Identity/Names.h) in `dsv3.dropped` of its function.
void recordDropped(mlir::Operation *op, llvm::StringRef reason);

/// What the dsv3 pipeline depends on.
struct Dsv3PipelineOptions
    : public mlir::PassPipelineOptions<Dsv3PipelineOptions> {
  Option<int64_t> maxBatchSize{*this, "max-batch-size",
                               llvm::cl::desc("sequences in flight"),
                               llvm::cl::init(16)};
  ListOption<int64_t> decode{*this, "decode",
                             llvm::cl::desc("batch sizes of decode buckets")};
  ListOption<int64_t> prefill{*this, "prefill",
                              llvm::cl::desc("tokens of prefill buckets")};
  ListOption<int64_t> head{*this, "head",
                           llvm::cl::desc("logit rows of head buckets")};
  Option<std::string> attention{*this, "attention",
                                llvm::cl::desc("auto, absorbed or expanded"),
                                llvm::cl::init("auto")};
  Option<std::string> fp8{*this, "fp8", llvm::cl::desc("w8a8 or w8a16"),
                          llvm::cl::init("w8a8")};
  Option<std::string> capacity{*this, "capacity",
                               llvm::cl::desc("auto, worst or rows"),
                               llvm::cl::init("auto")};
  Option<std::string> vocab{*this, "vocab", llvm::cl::desc("whole or tp"),
                            llvm::cl::init("whole")};
  Option<std::string> reduce{*this, "reduce", llvm::cl::desc("bf16 or f32"),
                             llvm::cl::init("bf16")};
};

/// frontend's dsv3 -> fused dsv3: layers merged, buckets, attention form,
/// quantisation, fusions; ends with VerifyDsv3.
void buildDsv3Pipeline(mlir::OpPassManager &pm,
                       const Dsv3PipelineOptions &options);

/// The fusions in their order, after which every op is one kernel, and the check
/// of it: the last step of the pipeline.
void buildFusion(mlir::OpPassManager &pm);

/// Registers the passes and `hadal-dsv3-pipeline`.
void registerDsv3Passes();

} // namespace hadal
