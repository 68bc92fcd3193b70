// Errors of the compiler's front half: a code of runtime/schemas/errors.def and
// a message that says what, where, expected, found and remedy.
#pragma once
#include "llvm/Support/Error.h"
#include "llvm/Support/FormatVariadic.h"

namespace hadal {

/// An llvm::Error with a stable code.
class CodedError : public llvm::ErrorInfo<CodedError> {
public:
  static char ID;
  CodedError(int code, std::string message)
      : code(code), message(std::move(message)) {}

  /// The four digits of the `H` code.
  int getCode() const { return code; }
  /// Without the code.
  const std::string &getMessage() const { return message; }
  /// What a tool returns for this error.
  int getExitCode() const;
  /// Prints "H1004: message".
  void log(llvm::raw_ostream &os) const override;
  std::error_code convertToErrorCode() const override {
    return llvm::inconvertibleErrorCode();
  }

private:
  int code;
  std::string message;
};

/// The exit status of error |code|; 1 (internal) for an unknown code.
int getExitCode(int code);

/// makeError(1004, "{0}: ...", path).
template <typename... Args>
llvm::Error makeError(int code, const char *format, Args &&...args) {
  return llvm::make_error<CodedError>(
      code, llvm::formatv(format, std::forward<Args>(args)...).str());
}

} // namespace hadal
