// Element types of tensors, numbered as in runtime/schemas/artifact.fbs.
#pragma once

#include <cstddef>
#include <cstdint>

namespace hadal {

/// Same values as schema::DType.
enum class DType : uint8_t {
  none,
  f32,
  bf16,
  f8e4m3fn,
  f8e8m0fnu,
  i32,
  i64,
  u8
};

/// Bytes of one element; 0 for none.
size_t dtypeSize(DType dtype);

/// The name of the schema, e.g. "f8e4m3fn".
const char *dtypeName(DType dtype);

} // namespace hadal
