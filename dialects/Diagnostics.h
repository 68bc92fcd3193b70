// Diagnostics with a code of runtime/schemas/errors.def. The code is part of
// the text, for people, and of the diagnostic itself, for the driver: a failed
// phase exits with the status of the first code that it reported.
#pragma once

#include <optional>

#include "mlir/IR/Diagnostics.h"
#include "mlir/IR/Operation.h"

namespace hadal {

/// A code of the error table. A number that the table does not have is refused
/// when it is compiled.
class ErrorCode {
public:
  consteval ErrorCode(int number) : number(number) {
    if (!isInTable(number))
      thereIsNoSuchCode();
  }
  /// Of an error that has been made with a code already.
  static ErrorCode of(int number) { return ErrorCode(number, Unchecked()); }
  int get() const { return number; }

private:
  struct Unchecked {};
  constexpr ErrorCode(int number, Unchecked) : number(number) {}
  static constexpr bool isInTable(int number) {
    switch (number) {
#define HADAL_ERROR(Code, ExitCode, Sentence) case Code:
#include "runtime/schemas/errors.def"
#undef HADAL_ERROR
      return true;
    }
    return false;
  }
  // Not constexpr: a call of it ends constant evaluation with its name.
  static void thereIsNoSuchCode() {}

  int number;
};

namespace detail {
inline mlir::InFlightDiagnostic withCode(mlir::InFlightDiagnostic diagnostic,
                                         ErrorCode code) {
  mlir::Diagnostic *inner = diagnostic.getUnderlyingDiagnostic();
  inner->getMetadata().push_back(mlir::DiagnosticArgument(code.get()));
  *inner << "H" << code.get() << ": ";
  return diagnostic;
}
} // namespace detail

/// An error at |op| (or |loc|) whose text begins "H2002: ".
inline mlir::InFlightDiagnostic emitCodedError(mlir::Operation *op,
                                               ErrorCode code) {
  return detail::withCode(op->emitError(), code);
}
inline mlir::InFlightDiagnostic emitCodedError(mlir::Location loc,
                                               ErrorCode code) {
  return detail::withCode(mlir::emitError(loc), code);
}

/// The same with the operation's name: "H2001: 'func.func' op ".
inline mlir::InFlightDiagnostic emitCodedOpError(mlir::Operation *op,
                                                 ErrorCode code) {
  mlir::InFlightDiagnostic diagnostic = emitCodedError(op, code);
  diagnostic << "'" << op->getName() << "' op ";
  return diagnostic;
}

/// The code that |diagnostic| was made with.
inline std::optional<int> getErrorCode(mlir::Diagnostic &diagnostic) {
  using Kind = mlir::DiagnosticArgument::DiagnosticArgumentKind;
  for (const mlir::DiagnosticArgument &argument : diagnostic.getMetadata())
    if (argument.getKind() == Kind::Integer)
      return static_cast<int>(argument.getAsInteger());
  return std::nullopt;
}

} // namespace hadal
