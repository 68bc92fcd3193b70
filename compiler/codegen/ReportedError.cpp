#include "compiler/codegen/ReportedError.h"

#include "dialects/Diagnostics.h"
#include "frontend/Error.h"

using namespace mlir;

namespace hadal {

/// |text| without the code that it begins with.
static std::string withoutCode(StringRef text, int code) {
  text.consume_front("H" + std::to_string(code) + ": ");
  return text.str();
}

ReportedError takeError(llvm::Error error) {
  ReportedError result;
  llvm::handleAllErrors(
      std::move(error),
      [&](const CodedError &e) {
        result = {e.getCode(), e.getMessage()};
      },
      [&](const llvm::ErrorInfoBase &e) { result.text = e.message(); });
  return result;
}

InFlightDiagnostic emitReported(Operation *op, const ReportedError &error,
                                const Twine &prefix) {
  InFlightDiagnostic diagnostic =
      error.code ? emitCodedError(op, ErrorCode::of(*error.code))
                 : op->emitError();
  diagnostic << prefix << error.text;
  return diagnostic;
}

ErrorCollector::ErrorCollector(MLIRContext *context,
                               std::vector<ReportedError> &errors)
    : handler(context, [&errors](Diagnostic &diagnostic) {
        if (diagnostic.getSeverity() != DiagnosticSeverity::Error)
          return success();
        std::optional<int> code = getErrorCode(diagnostic);
        std::string text = diagnostic.str();
        errors.push_back({code, code ? withoutCode(text, *code) : text});
        return success();
      }) {}

} // namespace hadal
