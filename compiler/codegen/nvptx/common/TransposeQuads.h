// Words exchanged within the quads of a warp (four lanes from a multiple of 4).
#pragma once

#include "compiler/codegen/nvptx/Sm90/Convert/AsmBuilder.h"

namespace hadal::nvptx {

/// In each quad and each four of |words| (i32, a multiple of four of them):
/// words[j] of lane q becomes words[q] of lane j. |lane| is the lane's number, in
/// its warp or in its quad.
///
/// wgmma leaves two neighbouring columns of a row in each lane of a quad, in
/// blocks of 8 columns. Behind the exchange lane q holds block q whole, 16 bytes
/// of bf16, which one store writes. Two steps of a butterfly: each lane sends
/// what the partner keeps, so that a word costs half a shuffle a step.
void transposeQuads(sm90::AsmBuilder &b, mlir::Value lane,
                    llvm::MutableArrayRef<mlir::Value> words);

} // namespace hadal::nvptx
