// Declares the parameters of a module from checkpoint tensor names.
#pragma once
#include "dialects/Dsv3/IR/Dsv3.h"
#include "frontend/Checkpoint.h"
#include "frontend/ModelConfig.h"
#include "frontend/TensorNames.h"
#include "mlir/IR/Builders.h"

namespace hadal {

/// Appends dsv3.parameter ops at the start of a module. Tensors are named as the
/// Hugging Face classes name them; an op's parts have the checkpoint's names.
/// Element types follow
/// the file headers where there are any, else the configuration. A tensor of a
/// dtype that no kernel reads sets the error (H1010, H1011); the op built then
/// is not to be used.
class ParameterBuilder {
public:
  /// |roundF32|: a float32 matrix is declared as a bf16 copy of it.
  ParameterBuilder(mlir::ModuleOp module, const ModelConfig &config,
                   const Checkpoint *checkpoint, bool roundF32);

  /// A matrix [rows, columns] of tensor |name|.weight, in the file's dtype;
  /// |quantizable|: one that an FP8 checkpoint stores as FP8, and one with codes
  /// of four bits as such. |check|: only for
  /// what is small; every load reads it whole.
  dsv3::ParameterOp matrix(llvm::StringRef name, int64_t rows, int64_t columns,
                           bool quantizable = true,
                           dsv3::ValueCheck check = dsv3::ValueCheck::None);
  /// |count| equal matrices; |pattern| contains {e}, |symbol| names the stack.
  dsv3::ParameterOp stack(llvm::StringRef symbol, llvm::StringRef pattern,
                          int64_t count, int64_t rows, int64_t columns);
  /// Matrices |names| one above the other, with |rows| rows each.
  dsv3::ParameterOp segments(llvm::StringRef symbol,
                             llvm::ArrayRef<std::string> names,
                             llvm::ArrayRef<int64_t> rows, int64_t columns);
  /// A float32 vector of |tensor| (a norm weight, the router's bias), checked
  /// to be finite at load.
  dsv3::ParameterOp vector(llvm::StringRef tensor, int64_t size);
  /// Says that |tensor| is a copy of |parameter|, where a checkpoint has it.
  void addCopy(dsv3::ParameterOp parameter, llvm::StringRef tensor);
  /// The element type of |name|.weight in the file.
  mlir::Type elementOf(llvm::StringRef name, bool quantizable = true);

  /// Inserts after the parameters declared so far.
  mlir::OpBuilder &getBuilder() { return b; }
  /// Keeps |e| unless there is an error already.
  void fail(llvm::Error e);
  llvm::Error takeError() { return std::move(error); }

private:
  dsv3::ParameterOp declare(llvm::StringRef symbol, llvm::StringRef scaleSymbol,
                            llvm::ArrayRef<int64_t> shape, mlir::Type element,
                            dsv3::Storage storage,
                            llvm::ArrayRef<std::string> names,
                            llvm::ArrayRef<int64_t> rows,
                            dsv3::ValueCheck check = dsv3::ValueCheck::None);

  /// Codes of four bits, in words of eight, and their scales.
  dsv3::ParameterOp declarePacked(llvm::StringRef symbol,
                                  llvm::StringRef scaleSymbol,
                                  llvm::ArrayRef<int64_t> shape,
                                  dsv3::Storage storage,
                                  llvm::ArrayRef<std::string> names,
                                  llvm::ArrayRef<int64_t> rows);

  mlir::OpBuilder b;
  const ModelConfig &config;
  const Checkpoint *checkpoint;
  TensorNames nameInFile;
  bool roundF32;
  llvm::Error error = llvm::Error::success();
};

/// |tensor| without "model." and ".weight": the symbol of its parameter.
std::string symbolOf(llvm::StringRef tensor);

} // namespace hadal
