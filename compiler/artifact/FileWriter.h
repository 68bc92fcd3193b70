// Writes a file that the user named.
#pragma once

#include "llvm/ADT/ArrayRef.h"
#include "llvm/ADT/StringRef.h"
#include "llvm/Support/Error.h"

namespace hadal {

/// Writes |bytes| to |path| as OutputFile does: a file appears whole or not at
/// all, a link is followed, a pipe or device is written to. H4006.
llvm::Error writeOutput(llvm::StringRef path, llvm::ArrayRef<uint8_t> bytes);

} // namespace hadal
