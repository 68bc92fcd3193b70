#ifndef HADAL_NVPTX_PASSES
#define HADAL_NVPTX_PASSES

include "mlir/Pass/PassBase.td"

def LowerTileToSm90 : Pass<"hadal-lower-tile-to-sm90", "::mlir::ModuleOp"> {
  let summary = "Lower tile kernels to kernels of sm_90a";
  let description = [{
    In: tile kernels with complete schedules. Out: for each kernel with a
    contraction an `sm90.kernel` (the warp-specialised pipeline, or the lowering
    that was written for its kind), for any other an `llvm.func` in which tiles
    are spread over the threads' registers. The words of the schedule are obeyed;
    what a lowering cannot do is refused at the op.
  }];
  let options = [
    Option<"chip", "chip", "std::string", "\"h100\"",
           "The chip that it is for: h100 or h200">,
  ];
  let dependentDialects = [
    "::hadal::sm90::Sm90Dialect", "::mlir::LLVM::LLVMDialect",
    "::mlir::arith::ArithDialect", "::mlir::math::MathDialect",
    "::mlir::scf::SCFDialect", "::mlir::vector::VectorDialect",
  ];
}

def VerifySm90 : Pass<"hadal-verify-sm90", "::mlir::ModuleOp"> {
  let summary = "Verify protocols and budgets of sm90 kernels";
  let description = [{
    What one op's verifier cannot see. Stages: each acquire has its commit or
    defer and each await its release or hold in its own block; a resume takes up
    what was deferred, and each tile of such a stage is loaded once; a hold is
    dropped behind the wait that retires the wgmma, and nothing is released that
    a wgmma in flight reads. Registers: a wgmma follows a fence, its operand A
    is kept by a wait; a loop carries one accumulator in flight over its
    back-edge, and none beside a reader; live accumulators fit a thread. Shared
    memory: it fits; generic writes of a tile are fenced before wgmma reads it,
    and a barrier follows the fence.
  }];
}

def ConvertSm90 : Pass<"hadal-convert-sm90", "::mlir::ModuleOp"> {
  let summary = "Convert sm90 kernels to llvm functions and inline PTX";
  let description = [{
    Plans shared memory (attribute `shared_bytes`), then each `sm90.kernel`
    becomes an `llvm.func` of kernel calling convention with the attributes
    `hadal.shared_bytes`, `hadal.threads` and `hadal.tensor_maps` (the number of
    its last parameters that are tensor maps).
  }];
  let dependentDialects = [
    "::mlir::LLVM::LLVMDialect", "::mlir::arith::ArithDialect",
    "::mlir::math::MathDialect", "::mlir::scf::SCFDialect",
    "::mlir::vector::VectorDialect",
  ];
}

def PrintFingerprints : Pass<"hadal-print-fingerprints", "::mlir::ModuleOp"> {
  let summary = "Print what specialised lowerings compare tile kernels by";
  let description = [{
    A remark at each tile kernel with the fingerprint of its body
    (Fingerprint.h). A lowering that was written for one kernel lists the
    fingerprints that it serves and refuses every other body.
  }];
  let options = [
    Option<"structure", "structure", "bool", "false", "Print what is hashed">,
  ];
}

#endif // HADAL_NVPTX_PASSES
