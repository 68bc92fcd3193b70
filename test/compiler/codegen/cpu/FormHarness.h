// Compiles dot forms for one variant and calls them from C++.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <limits>
#include <memory>
#include <stdexcept>

#include "RunImage.h"
#include "compiler/codegen/cpu/Forms.h"
#include "compiler/codegen/cpu/Image.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/IR/MLIRContext.h"
#include "mlir/IR/Verifier.h"

namespace hadal::cpu {

/// What the rules of schedule/ say for every form.
inline const FormTuning kTuning = {
    .prefetch = 8192,
    .unroll = 2,
    .kGroup = 4,
    .prefetchBlocks = 2,
    .chunkBytes = 384 << 10,
    .decodedRows = 32,
    .panelUnroll = 2,
    .tile = {.rows = 8, .vectors = 2},
    .tile256 = {.rows = 4, .vectors = 2},
};

/// The forms of |keys| of |variant|, in executable memory. |machine|: what they
/// are compiled for, if not that.
class FormImage {
public:
  FormImage(std::vector<FormKey> keys, Variant variant)
      : FormImage(std::move(keys), variant, variant) {}
  FormImage(std::vector<FormKey> keys, Variant variant, Variant machine)
      : keys(keys) {
    mlir::MLIRContext context;
    context.loadDialect<mlir::LLVM::LLVMDialect>();
    mlir::OwningOpRef<mlir::ModuleOp> module =
        mlir::ModuleOp::create(mlir::UnknownLoc::get(&context));
    emitForms(*module, keys, variant);
    if (failed(verify(*module)) || failed(lowerForms(*module)))
      throw std::runtime_error("the forms do not lower");
    std::vector<std::string> names;
    for (const FormKey &key : keys)
      names.push_back(formSymbol(key));
    std::vector<llvm::StringRef> refs(names.begin(), names.end());
    llvm::FailureOr<CpuImage> image =
        compileImage(*module, refs, machine, /*scheduled=*/true);
    if (failed(image))
      throw std::runtime_error("the forms do not compile");
    bytes = image->bytes;
    mapped = std::make_unique<MappedImage>(*image);
  }

  /// Calls form |key| with its arguments (pointers and 64-bit integers).
  template <typename... Args> void call(const FormKey &key, Args... args) const {
    size_t index = std::find(keys.begin(), keys.end(), key) - keys.begin();
    if (index == keys.size())
      throw std::runtime_error("no form " + formSymbol(key));
    reinterpret_cast<void (*)(decltype(widen(args))...)>(
        mapped->address(index))(widen(args)...);
  }

  std::vector<uint8_t> bytes;

private:
  template <typename T> static T *widen(T *p) { return p; }
  static int64_t widen(int64_t v) { return v; }
  static int64_t widen(int v) { return v; }
  static void *widen(std::nullptr_t) { return nullptr; }

  std::vector<FormKey> keys;
  std::unique_ptr<MappedImage> mapped;
};

/// 64-byte aligned zeroed bytes.
class Aligned {
public:
  explicit Aligned(int64_t size)
      : data(static_cast<uint8_t *>(std::aligned_alloc(64, (size + 127) / 64 * 64))) {
    std::memset(data, 0xAB, size);
  }
  ~Aligned() { std::free(data); }
  Aligned(const Aligned &) = delete;
  Aligned &operator=(const Aligned &) = delete;
  uint8_t *data;
};

//===--- Number formats, independent of the code under test -----------------===//

inline float decodeE4M3(uint8_t code) {
  int exponent = code >> 3 & 15, mantissa = code & 7;
  float magnitude = exponent == 15 && mantissa == 7
                        ? std::numeric_limits<float>::quiet_NaN()
                    : exponent ? std::ldexp(1.0f + mantissa / 8.0f, exponent - 7)
                               : std::ldexp(mantissa / 8.0f, -6);
  return code & 0x80 ? -magnitude : magnitude;
}

inline float decodeBf16(uint16_t bits) {
  uint32_t word = uint32_t(bits) << 16;
  float value;
  std::memcpy(&value, &word, 4);
  return value;
}

inline uint16_t encodeBf16(float value) {
  uint32_t word;
  std::memcpy(&word, &value, 4);
  return (word + 0x7FFF + (word >> 16 & 1)) >> 16;
}

} // namespace hadal::cpu
