// A tile kernel in a module of its own, for tests that compile and run it.
#pragma once

#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "dialects/Tile/IR/TileDialect.h"
#include "mlir/IR/BuiltinOps.h"
#include "mlir/IR/Diagnostics.h"
#include "mlir/IR/MLIRContext.h"

namespace hadal::test {

/// Extents (-1: the capacity of the launch) and steps of a kernel's domain.
class Domain {
public:
  explicit Domain(tile::KernelOp kernel);
  /// Work items of a launch whose dynamic dimensions hold |capacity| elements.
  int64_t numItems(int64_t capacity) const;

private:
  std::vector<std::pair<int64_t, int64_t>> dims;
};

class BuiltKernel {
public:
  /// Builds and verifies; throws std::runtime_error with the diagnostics.
  explicit BuiltKernel(
      const std::function<tile::KernelOp(mlir::OpBuilder &)> &build);

  mlir::ModuleOp getModule() { return *module; }
  tile::KernelOp getKernel() const { return kernel; }
  std::string getName() { return kernel.getSymName().str(); }
  /// Throws |what| with every diagnostic since the construction.
  [[noreturn]] void fail(const std::string &what) const;

private:
  mlir::MLIRContext context;
  std::string diagnostics;
  mlir::ScopedDiagnosticHandler handler;
  mlir::OwningOpRef<mlir::ModuleOp> module;
  tile::KernelOp kernel;
};

} // namespace hadal::test
