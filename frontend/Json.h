// JSON from outside: llvm::json::parse descends once a level of nesting, so a
// file of brackets alone would overflow the stack.
#pragma once
#include "llvm/Support/JSON.h"

namespace hadal {

/// Parses |text| as llvm::json::parse does, but refuses arrays and objects
/// nested deeper than any config.json or safetensors header needs (64 levels).
llvm::Expected<llvm::json::Value> parseJson(llvm::StringRef text);

} // namespace hadal
