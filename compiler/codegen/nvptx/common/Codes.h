// FP8 by groups of columns: the scale of a group, the order of its codes.
#pragma once

#include "compiler/codegen/nvptx/Sm90/Convert/AsmBuilder.h"
#include "dialects/Tile/IR/TileDialect.h"

namespace hadal::nvptx {

/// The scales (vector<2xf32>) of a thread's two rows whose largest magnitudes
/// in the group are |amax|, as |op| defines them.
mlir::Value emitScales(sm90::AsmBuilder &b, mlir::Value amax,
                       tile::QuantizeOp op);

/// The 16 codes that the four i32 of |words| hold after transposeQuads, in the
/// order of their columns. Before it a word is a lane's two columns of one
/// block of eight (bits 15:0) and the same of the next (31:16).
llvm::SmallVector<mlir::Value> orderCodes(sm90::AsmBuilder &b,
                                          llvm::ArrayRef<mlir::Value> words);

} // namespace hadal::nvptx
