// The program of an artifact: functions, entries and their commands.
#pragma once

#include <vector>

#include "compiler/artifact/Manifest.h"
#include "mlir/IR/SymbolTable.h"
#include "runtime/schemas/CollectiveDigest.h"
#include "llvm/ADT/DenseMap.h"

namespace hadal {

/// The manifest knows the parameters, states, kernels and communicators
/// already.
class ProgramWriter {
public:
  ProgramWriter(mlir::ModuleOp module, Manifest &manifest)
      : manifest(manifest), b(manifest.b), symbols(module) {}

  /// Adds |func| after its callees; returns its index.
  uint32_t add(exec::FuncOp func);
  /// Adds the function of |entry|; an entry without an arena fails.
  fb::Offset<schema::Entry> add(exec::EntryOp entry);

  const std::vector<fb::Offset<schema::Function>> &getFunctions() const {
    return functions;
  }
  /// The names that commands refer to.
  const std::vector<fb::Offset<fb::String>> &getOpNames() const {
    return opNames;
  }

private:
  /// The collectives of |block| in the order in which a rank issues them.
  void addCollectives(mlir::Block &block, artifact::CollectiveDigest &digest);
  std::vector<fb::Offset<schema::Command>>
  serializeCommands(mlir::Block &block);
  /// Kind and slot of what |ref| refers to, in its function.
  std::pair<schema::ArgKind, uint32_t> slotOf(mlir::Value ref);
  fb::Offset<schema::Arg> argOf(mlir::Value ref);
  fb::Offset<schema::Command> serialize(exec::LaunchOp op);
  fb::Offset<schema::Command> serialize(exec::CollectiveOp op);
  fb::Offset<schema::Command> serializeEvent(schema::CommandKind kind,
                                             int64_t event, int64_t stream);
  fb::Offset<schema::Command>
  serializeCall(schema::CommandKind kind, llvm::StringRef callee, int64_t count,
                mlir::OperandRange parameters, mlir::OperandRange states);
  /// The index of |key| in the names of operations.
  uint32_t nameOf(llvm::StringRef key);

  Manifest &manifest;
  fb::FlatBufferBuilder &b;
  mlir::SymbolTable symbols;
  llvm::StringMap<uint32_t> opIndex;
  std::vector<fb::Offset<fb::String>> opNames;
  llvm::DenseMap<mlir::Operation *, uint32_t> functionIndex;
  std::vector<fb::Offset<schema::Function>> functions;
};

} // namespace hadal
