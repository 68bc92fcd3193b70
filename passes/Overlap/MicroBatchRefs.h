// What the commands of a micro-batch refer to: its own part of inputs and
// hidden rows, its own buffers, everything else as it is.
#pragma once
#include "dialects/Exec/IR/Exec.h"
#include "runtime/schemas/InputLayout.h"

namespace hadal {

/// Where the parts of the second micro-batch begin, in bytes.
struct MicroBatchOffsets {
  artifact::InputShape shape;
  int64_t hidden = 0;

  /// Of |entry|, whose module says what the model is; nothing, with an error,
  /// if it does not.
  static std::optional<MicroBatchOffsets> of(exec::EntryOp entry);

  int64_t of(exec::Input input) const {
    return artifact::inputStride(
        artifact::inputBlockBytes(static_cast<unsigned>(input), shape));
  }
};

/// The state that holds a token's row between layers.
inline constexpr llvm::StringLiteral kHiddenState = "hidden";

/// Makes references at the beginning of a block that commands are added to.
class RefBuilder {
public:
  RefBuilder(mlir::Block *block, const MicroBatchOffsets &offsets)
      : b(mlir::OpBuilder::atBlockBegin(block)), offsets(offsets) {}

  /// The rows of |hidden| that are those of micro-batch |batch|.
  mlir::Value hidden(mlir::Value hidden, unsigned batch);
  /// The part of the input |name| that is micro-batch |batch|'s.
  mlir::Value input(exec::InputOp name, unsigned batch);
  /// A buffer like |buffer|; |carried|: "" or the name that it is carried
  /// under.
  mlir::Value buffer(exec::BufferOp buffer, llvm::StringRef carried = "");

private:
  mlir::OpBuilder b;
  const MicroBatchOffsets &offsets;
  llvm::DenseMap<std::pair<mlir::Value, unsigned>, mlir::Value> hiddens;
  llvm::DenseMap<std::pair<unsigned, unsigned>, mlir::Value> inputs;
};

} // namespace hadal
