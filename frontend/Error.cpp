#include "frontend/Error.h"

using namespace hadal;

char CodedError::ID = 0;

int hadal::getExitCode(int code) {
  switch (code) {
#define HADAL_ERROR(Code, ExitCode, Sentence)                                  \
  case Code:                                                                   \
    return ExitCode;
#include "runtime/schemas/errors.def"
#undef HADAL_ERROR
  }
  return 1;
}

int CodedError::getExitCode() const { return hadal::getExitCode(code); }

void CodedError::log(llvm::raw_ostream &os) const {
  os << "H" << code << ": " << message;
}
