// From tile kernels to machine code images for the CPU.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "compiler/codegen/KernelCache.h"
#include "mlir/IR/BuiltinOps.h"

namespace hadal::cpu {

/// The three images of an artifact (docs/artifact.md, "Kernel call on the
/// CPU"), in ascending order of preference.
enum class Variant {
  v3,         // AVX2, FMA, F16C, BMI: f32 arithmetic, 8 lanes
  v4,         // AVX-512 F/BW/CD/DQ/VL: f32 arithmetic, 16 lanes
  v4Bf16Vbmi, // and AVX512-BF16, VBMI: byte-table FP8, vdpbf16ps
};

/// "v3", "v4", "v4+bf16+vbmi": the names of the artifact.
llvm::StringRef variantName(Variant variant);
/// All of them, in that order.
llvm::ArrayRef<Variant> allVariants();
/// The one that is called |name|.
std::optional<Variant> parseVariant(llvm::StringRef name);
/// The image that the runtime takes on this machine where an artifact has them
/// all: the best that the CPU and the system's support of its registers allow,
/// no better than HADAL_CPU_VARIANT says. Nothing if the machine runs none, or
/// not that one.
std::optional<Variant> nativeVariant();

/// One flat blob of code and its read-only constants: position independent,
/// relocated, free of references to anything outside itself. To be mapped
/// read+execute at an address that is a multiple of 64.
struct CpuImage {
  std::string variant;
  std::vector<uint8_t> bytes;
  /// Byte offset of each kernel's entry, in kernel order.
  std::vector<uint64_t> entryOffsets;
};

/// What the artifact says about one kernel beside its code.
struct CpuKernel {
  std::string name;
  /// Bytes of scratch per worker, 64-byte aligned.
  uint64_t scratchBytes = 0;
  /// 8-byte slots of the argument array.
  uint64_t numArgs = 0;
};

struct CpuKernels {
  std::vector<CpuKernel> kernels; // in the order of the module
  std::vector<CpuImage> images;   // in the order of the options' variants
  /// How many of the kernels came from the cache, for every variant.
  unsigned cached = 0;
  /// Why the cache could not keep something, if so; the first reason.
  std::string cacheProblem;
};

struct CpuOptions {
  std::vector<Variant> variants = allVariants().vec();
  /// Compiler threads; 0: one per core. The bytes do not depend on it.
  unsigned threads = 0;
  /// Without one (the default), everything is compiled. The bytes do not depend
  /// on it.
  KernelCache cache;
};

/// Compiles every tile.kernel of |tileModule| (which is left unchanged) for
/// every variant of |options|, as its schedule says. Errors are diagnostics at
/// the kernel, with code H3002 (code generation), H3003 (a reference to an
/// external symbol) or H3008 (a word of the schedule that cannot be obeyed).
llvm::LogicalResult compileCpuKernels(mlir::ModuleOp tileModule,
                                      const CpuOptions &options,
                                      CpuKernels &out);

/// What the kernels of |tileModule| need, as compileCpuKernels finds it,
/// without generating code. Errors as there.
llvm::LogicalResult planCpuKernels(mlir::ModuleOp tileModule,
                                   std::vector<CpuKernel> &out);

} // namespace hadal::cpu
