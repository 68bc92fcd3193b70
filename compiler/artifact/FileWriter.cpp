#include "compiler/artifact/FileWriter.h"

#include <cerrno>
#include <cstring>

#include <unistd.h>

#include "frontend/Error.h"
#include "llvm/Support/FileSystem.h"

namespace hadal {

static llvm::Error writeError(llvm::StringRef path, llvm::Twine what) {
  return makeError(4006,
                   "{0}: {1}; no file was changed: free space, or choose "
                   "another place with -o",
                   path, what.str());
}

llvm::Error writeFileAtomically(llvm::StringRef path,
                                llvm::ArrayRef<uint8_t> bytes) {
  if (llvm::sys::fs::is_directory(path))
    return writeError(path, "is a directory");
  auto temp = llvm::sys::fs::TempFile::create(path + ".tmp-%%%%%%%%");
  if (!temp)
    return writeError(path, "cannot create a temporary file beside it: " +
                                llvm::toString(temp.takeError()));
  auto fail = [&](const char *step, int reason) {
    llvm::consumeError(temp->discard());
    return writeError(path, llvm::Twine("cannot ") + step + ": " +
                                std::strerror(reason));
  };
  while (!bytes.empty()) {
    ssize_t n = ::write(temp->FD, bytes.data(), bytes.size());
    if (n < 0 && errno == EINTR)
      continue;
    if (n <= 0)
      return fail("write it", n == 0 ? ENOSPC : errno);
    bytes = bytes.drop_front(n);
  }
  // Without this a crash could leave the new name with no data.
  if (::fsync(temp->FD) != 0)
    return fail("flush it", errno);
  if (llvm::Error error = temp->keep(path))
    return writeError(path, "cannot rename the temporary file to it: " +
                                llvm::toString(std::move(error)));
  return llvm::Error::success();
}

} // namespace hadal
