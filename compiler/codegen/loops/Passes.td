#ifndef HADAL_LOWER_PASSES
#define HADAL_LOWER_PASSES

include "mlir/Pass/PassBase.td"

def LowerTileToLoops : Pass<"hadal-lower-tile-to-loops", "::mlir::ModuleOp"> {
  let summary = "Lower tile kernels to functions of loops over memory";
  let description = [{
    The executable definition of every kernel (TileToLoops.h). With `f64` all
    f32 arithmetic is done in double while storage types stay: the oracle that
    other lowerings are compared with. Quantisation keeps its f32 arithmetic in
    both modes, since that arithmetic defines the codes.
  }];
  let options = [
    Option<"f64", "f64", "bool", "false", "Do f32 arithmetic in double">,
  ];
  let dependentDialects = [
    "::mlir::arith::ArithDialect", "::mlir::func::FuncDialect",
    "::mlir::LLVM::LLVMDialect", "::mlir::math::MathDialect",
    "::mlir::scf::SCFDialect",
  ];
}

#endif // HADAL_LOWER_PASSES
