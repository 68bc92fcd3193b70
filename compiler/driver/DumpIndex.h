// Where each operation is in a dump, so that no tool parses IR to find one.
#pragma once

#include <string>

#include "mlir/IR/BuiltinOps.h"
#include "llvm/Support/Error.h"

namespace hadal {

/// A dump and its index.
struct Dump {
  std::string text;
  /// JSON: `{"hadal_index": 1, "text_xxh3": "<16 hex digits>", "strings": [...],
  /// "ops": {column: [...]}}`. The columns, one entry for each operation of a
  /// function in the order of the text, texts as places in `strings`: `key` (passes/Identity/Names.h), `function`, `bucket`
  /// ("decode_4"; "" before there are any), `first` and `last` line, counted
  /// from 1, `op`, `type` (of the first result; "" without) and `members`.
  /// Lines are those of the text with that XXH3-64, and of no other.
  std::string index;
};

/// Prints |module| with locations, and values named after them.
Dump dumpModule(mlir::ModuleOp module);

/// Writes DIRECTORY/NAME.mlir and NAME.index.json. H4006.
llvm::Error writeDump(const Dump &dump, llvm::StringRef directory,
                      llvm::StringRef name);

} // namespace hadal
