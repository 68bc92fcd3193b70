#include "runtime/base/Status.h"

namespace hadal {

int Status::exitCode() const {
  switch (code_) {
  case 0:
    return 0;
#define HADAL_ERROR(Code, Exit, Sentence)                                      \
  case Code:                                                                   \
    return Exit;
#include "runtime/schemas/errors.def"
#undef HADAL_ERROR
  default:
    return 1;
  }
}

const char *errorSentence(int code) {
  switch (code) {
#define HADAL_ERROR(Code, Exit, Sentence)                                      \
  case Code:                                                                   \
    return Sentence;
#include "runtime/schemas/errors.def"
#undef HADAL_ERROR
  default:
    return nullptr;
  }
}

std::string Status::toString() const {
  if (ok())
    return "ok";
  return fmt::format("error H{:04}: {}", code_, message_);
}

} // namespace hadal
