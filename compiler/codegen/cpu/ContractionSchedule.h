// What a kernel's schedule says about its contractions.
#pragma once

#include "compiler/codegen/cpu/Forms.h"
#include "dialects/Tile/IR/TileDialect.h"

namespace hadal::cpu {

/// How a kernel's contractions are computed: the schedule's word `form`.
enum class Form {
  none,    // the kernel has no contraction and no word
  loops,   // as the oracle does
  gemv,    // folds over memory, one activation row
  rows,    // folds over memory, a group of activation rows at a time
  panel,   // folds over memory, weight rows decoded for all activation rows
  columns, // folds over memory whose weight rows are K, one activation row
  dot,     // products of tiles in buffers
};

struct ContractionSchedule {
  Form form = Form::none;
  /// Activation rows that share a pass over the weights: 1, 2, 4 or 8 (rows).
  int64_t rowGroup = 1;
  FormTuning tuning;
};

/// Whether |op| is a product of tiles.
bool isProduct(mlir::Operation *op);

/// Reads the words that |kernel|'s form obeys. A word that is missing, of
/// another type or that no form can obey is an error at the kernel.
llvm::FailureOr<ContractionSchedule> readSchedule(tile::KernelOp kernel);

/// Reports (H3008) that |kernel| cannot obey |word|, and why.
llvm::LogicalResult refuseWord(tile::KernelOp kernel, llvm::StringRef word,
                               const llvm::Twine &reason);

} // namespace hadal::cpu
