#include "runtime/base/DType.h"

namespace hadal {

size_t dtypeSize(DType dtype) {
  switch (dtype) {
  case DType::none:
    return 0;
  case DType::f8e4m3fn:
  case DType::f8e8m0fnu:
  case DType::u8:
    return 1;
  case DType::bf16:
    return 2;
  case DType::f32:
  case DType::i32:
    return 4;
  case DType::i64:
    return 8;
  }
  return 0;
}

const char *dtypeName(DType dtype) {
  switch (dtype) {
  case DType::none:
    return "none";
  case DType::f32:
    return "f32";
  case DType::bf16:
    return "bf16";
  case DType::f8e4m3fn:
    return "f8e4m3fn";
  case DType::f8e8m0fnu:
    return "f8e8m0fnu";
  case DType::i32:
    return "i32";
  case DType::i64:
    return "i64";
  case DType::u8:
    return "u8";
  }
  return "unknown";
}

} // namespace hadal
