#include "compiler/codegen/loops/TileToLoops.h"
#include "compiler/codegen/nvptx/Passes.h"
#include "compiler/codegen/nvptx/Sm90/IR/Sm90Dialect.h"
#include "compiler/driver/Register.h"
#include "dialects/Dsv3/IR/Dsv3.h"
#include "dialects/Exec/IR/Exec.h"
#include "dialects/Tile/IR/TileDialect.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "passes/Dsv3/Passes.h"
#include "passes/Dsv3ToExec/Passes.h"
#include "passes/Memory/Passes.h"
#include "passes/Overlap/Passes.h"

void hadal::registerAll(mlir::DialectRegistry &registry) {
  registry.insert<dsv3::Dsv3Dialect, exec::ExecDialect, sm90::Sm90Dialect, tile::TileDialect,
                  mlir::arith::ArithDialect, mlir::func::FuncDialect,
                  mlir::math::MathDialect, mlir::memref::MemRefDialect,
                  mlir::scf::SCFDialect>();
  registerDsv3Passes();
  registerHadalDsv3ToExecPasses();
  registerHadalMemoryPasses();
  registerHadalOverlapPasses();
  registerLowerTilePasses();
  nvptx::registerHadalNvptxPasses();
}
