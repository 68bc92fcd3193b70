// What the parts of an artifact's manifest share while it is written.
#pragma once

#include <string>

#include "dialects/Exec/IR/Exec.h"
#include "runtime/schemas/ArtifactFile.h"
#include "llvm/ADT/StringMap.h"

namespace hadal {

namespace fb = flatbuffers;

/// The builder, and the places of what other parts refer to, by symbol.
struct Manifest {
  using Strings = fb::Offset<fb::Vector<fb::Offset<fb::String>>>;

  fb::FlatBufferBuilder b;
  llvm::StringMap<uint32_t> parameterIndex, stateIndex, kernelIndex,
      communicatorIndex;
  /// The first message of fail().
  std::string error;

  fb::Offset<fb::String> string(llvm::StringRef text) {
    return b.CreateString(text.data(), text.size());
  }
  Strings strings(mlir::ArrayAttr attributes);

  void fail(const llvm::Twine &message) {
    if (error.empty())
      error = message.str();
  }
};

/// The schema's number of |type|; none for what no tensor is made of.
schema::DType dtypeOf(mlir::Type type);

} // namespace hadal
