// Writes a file so that nobody ever sees a part of it.
#pragma once

#include "llvm/ADT/ArrayRef.h"
#include "llvm/ADT/StringRef.h"
#include "llvm/Support/Error.h"

namespace hadal {

/// Writes |bytes| to a temporary file beside |path|, flushes it to the disk and
/// renames it. On failure (H4006) |path| is as it was and no other file is
/// left.
llvm::Error writeFileAtomically(llvm::StringRef path,
                                llvm::ArrayRef<uint8_t> bytes);

} // namespace hadal
