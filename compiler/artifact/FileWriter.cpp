#include "compiler/artifact/FileWriter.h"

#include "frontend/Error.h"
#include "runtime/base/OutputFile.h"

namespace hadal {

static Status write(const std::string &path, llvm::ArrayRef<uint8_t> bytes) {
  HADAL_ASSIGN_OR_RETURN(OutputFile file,
                         OutputFile::create(path, /*errorCode=*/4006));
  HADAL_RETURN_IF_ERROR(file.write(bytes.data(), bytes.size()));
  return file.commit();
}

llvm::Error writeOutput(llvm::StringRef path, llvm::ArrayRef<uint8_t> bytes) {
  Status status = write(path.str(), bytes);
  if (status.ok())
    return llvm::Error::success();
  return makeError(status.code(), "{0}: choose another place with -o",
                   status.message());
}

} // namespace hadal
