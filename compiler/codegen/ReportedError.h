// Errors on their way from a worker's context to the program's: diagnostics of
// one MLIRContext, or llvm::Errors, that are reported at an operation of
// another.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "mlir/IR/Diagnostics.h"
#include "mlir/IR/Operation.h"
#include "llvm/Support/Error.h"

namespace hadal {

/// A message, and the code of the error table that it has; none of a
/// diagnostic that was made without.
struct ReportedError {
  std::optional<int> code;
  std::string text; ///< without the code
};

/// The message of |error|, which is one.
ReportedError takeError(llvm::Error error);

/// Reports |error| at |op| as "|prefix|text", with its code.
mlir::InFlightDiagnostic emitReported(mlir::Operation *op,
                                      const ReportedError &error,
                                      const llvm::Twine &prefix = "");

/// While it lives, the errors of |context| go to |errors| and nothing is
/// printed. The context must be used by one thread only.
class ErrorCollector {
public:
  ErrorCollector(mlir::MLIRContext *context,
                 std::vector<ReportedError> &errors);

private:
  mlir::ScopedDiagnosticHandler handler;
};

} // namespace hadal
