// --report: the page that hadal-report makes, of a compilation that keeps its
// dumps for it.
#pragma once

#include <string>

#include "compiler/driver/Compiler.h"
#include "runtime/base/Interrupt.h"
#include "llvm/ADT/SmallString.h"

namespace hadal {

class ReportWriter {
public:
  explicit ReportWriter(std::string page) : page(std::move(page)) {}
  /// Removes the dumps that were made for the page alone.
  ~ReportWriter();

  /// Finds hadal-report beside the executable |self| and has |request| dump its
  /// phases, where the user does not keep them in a directory that is removed.
  /// H5001, H4006.
  llvm::Error prepare(const char *self, CompileRequest &request);
  /// Makes the page of what |request| has written. H5015; hadal-report says
  /// why.
  llvm::Error write(const CompileRequest &request);

private:
  std::string page, tool;
  llvm::SmallString<128> scratch;
  CleanUp cleanUp;
};

} // namespace hadal
