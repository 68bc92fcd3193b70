// The scalar types that PTX instructions name.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace hadal::sim {

/// An instruction type of PTX. Registers are untyped bit containers; a type
/// says how one instruction reads them.
enum class Type : uint8_t {
  pred,
  b8,
  b16,
  b32,
  b64,
  b128,
  u8,
  u16,
  u32,
  u64,
  s8,
  s16,
  s32,
  s64,
  f16,
  bf16,
  f32,
  f64,
  f16x2,
  bf16x2,
  e4m3x2,
  e5m2x2,
};

/// Width in bits; 1 for pred.
constexpr unsigned bitsOf(Type type) {
  switch (type) {
  case Type::pred:
    return 1;
  case Type::b8:
  case Type::u8:
  case Type::s8:
    return 8;
  case Type::b16:
  case Type::u16:
  case Type::s16:
  case Type::f16:
  case Type::bf16:
  case Type::e4m3x2:
  case Type::e5m2x2:
    return 16;
  case Type::b32:
  case Type::u32:
  case Type::s32:
  case Type::f32:
  case Type::f16x2:
  case Type::bf16x2:
    return 32;
  case Type::b64:
  case Type::u64:
  case Type::s64:
  case Type::f64:
    return 64;
  case Type::b128:
    return 128;
  }
  return 0;
}
constexpr unsigned bytesOf(Type type) { return (bitsOf(type) + 7) / 8; }
constexpr bool isSigned(Type type) {
  return type >= Type::s8 && type <= Type::s64;
}
constexpr bool isUnsigned(Type type) {
  return type >= Type::u8 && type <= Type::u64;
}
constexpr bool isBits(Type type) {
  return type >= Type::b8 && type <= Type::b128;
}
constexpr bool isFloat(Type type) { return type >= Type::f16; }

/// "u32" -> Type::u32; nothing for a word that is no type.
std::optional<Type> typeNamed(std::string_view word);

/// State spaces of addresses. `sharedCluster` addresses carry the CTA rank + 1
/// in bits 31:24 (0: the executing CTA), see Cta.h.
enum class Space : uint8_t {
  generic,
  global,
  shared,
  sharedCluster,
  local,
  param,
  constant,
};

} // namespace hadal::sim
