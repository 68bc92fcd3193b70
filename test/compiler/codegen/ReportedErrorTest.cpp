// Errors keep their code from one context to another.
#include "compiler/codegen/ReportedError.h"

#include <gtest/gtest.h>

#include "dialects/Diagnostics.h"
#include "frontend/Error.h"
#include "mlir/IR/BuiltinOps.h"
#include "mlir/IR/MLIRContext.h"

using namespace hadal;
using namespace mlir;

TEST(ReportedError, KeepsCodeAndText) {
  MLIRContext from, to;
  std::vector<ReportedError> errors;
  OwningOpRef<ModuleOp> source = ModuleOp::create(UnknownLoc::get(&from));
  {
    ErrorCollector collector(&from, errors);
    emitCodedError(*source, 3006) << "no " << 7;
    emitCodedOpError(*source, 2001) << "is empty";
    source->emitError("plain");
    source->emitWarning("not an error");
  }
  errors.push_back(takeError(makeError(3005, "ptxas {0}", "said no")));
  errors.push_back(takeError(llvm::createStringError("a string")));
  ASSERT_EQ(errors.size(), 5u);
  EXPECT_EQ(errors[0].text, "no 7");
  EXPECT_EQ(errors[4].code, std::nullopt);

  std::vector<std::pair<std::optional<int>, std::string>> reported;
  ScopedDiagnosticHandler handler(&to, [&](Diagnostic &diagnostic) {
    reported.push_back({getErrorCode(diagnostic), diagnostic.str()});
    return success();
  });
  OwningOpRef<ModuleOp> target = ModuleOp::create(UnknownLoc::get(&to));
  for (const ReportedError &error : errors)
    emitReported(*target, error, "kernel 'k': ");
  std::vector<std::pair<std::optional<int>, std::string>> expected = {
      {3006, "H3006: kernel 'k': no 7"},
      {2001, "H2001: kernel 'k': 'builtin.module' op is empty"},
      {std::nullopt, "kernel 'k': plain"},
      {3005, "H3005: kernel 'k': ptxas said no"},
      {std::nullopt, "kernel 'k': a string"}};
  EXPECT_EQ(reported, expected);
}
