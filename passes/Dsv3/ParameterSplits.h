// Which weights of a module a rank holds a part of, wherever they are passed.
#pragma once
#include "dialects/Dsv3/IR/Dsv3.h"
#include "mlir/IR/BuiltinOps.h"

namespace hadal {

/// The split of each value that is a parameter: of a get_parameter, and of the
/// arguments that calls give it to.
class ParameterSplits {
public:
  explicit ParameterSplits(mlir::ModuleOp module);

  /// Null if every rank has |weight| whole.
  dsv3::SplitAttr of(mlir::Value weight) const { return splits.lookup(weight); }
  /// A call whose argument gets differently split weights; null if none does.
  mlir::func::CallOp getConflict() const { return conflict; }

private:
  llvm::DenseMap<mlir::Value, dsv3::SplitAttr> splits;
  mlir::func::CallOp conflict;
};

} // namespace hadal
