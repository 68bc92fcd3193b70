#include "tools/hadal-compile/WriteReport.h"

#include "frontend/Error.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/Path.h"
#include "llvm/Support/Program.h"

namespace hadal {

namespace fs = llvm::sys::fs;
namespace path = llvm::sys::path;

ReportWriter::~ReportWriter() {
  if (scratch.empty())
    return;
  auto held = CleanUp::lock();
  fs::remove_directories(scratch);
}

llvm::Error ReportWriter::prepare(const char *self, CompileRequest &request) {
  static int anchor;
  llvm::SmallString<128> beside(
      path::parent_path(fs::getMainExecutable(self, &anchor)));
  path::append(beside, "hadal-report");
  if (!fs::can_execute(beside))
    return makeError(5001,
                     "--report needs '{0}', which is not there; install both "
                     "tools in one directory",
                     beside);
  tool = std::string(beside);
  if (!request.dumpDir.empty())
    return llvm::Error::success();
  auto held = CleanUp::lock();
  if (std::error_code ec = fs::createUniqueDirectory("hadal-report", scratch))
    return makeError(4006,
                     "cannot create a temporary directory for --report: {0}; "
                     "set TMPDIR to a place with space",
                     ec.message());
  cleanUp =
      CleanUp([root = std::string(scratch)] { fs::remove_directories(root); });
  request.dumpDir = std::string(scratch);
  return llvm::Error::success();
}

llvm::Error ReportWriter::write(const CompileRequest &request) {
  llvm::SmallVector<llvm::StringRef> arguments = {
      tool, request.output, "--phases", request.dumpDir, "-o", page};
  if (!request.passDumpDir.empty()) {
    arguments.push_back("--passes");
    arguments.push_back(request.passDumpDir);
  }
  std::string why;
  const int status =
      llvm::sys::ExecuteAndWait(tool, arguments, std::nullopt, {}, 0, 0, &why);
  if (status == 0)
    return llvm::Error::success();
  return makeError(5015, "{0}: the report was not written: {1}", page,
                   why.empty() ? "the message is above" : why);
}

} // namespace hadal
