// Runs tile kernels for tests: lowers them to loops (f32 or the f64 oracle),
// compiles them for this host and calls them on given buffers.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "mlir/IR/BuiltinOps.h"
#include "mlir/IR/DialectRegistry.h"

namespace llvm::orc {
class LLJIT;
} // namespace llvm::orc

namespace hadal::test {

/// One 8-byte slot of a kernel's argument array.
inline uint64_t slot(const void *pointer) {
  return reinterpret_cast<uint64_t>(pointer);
}
inline uint64_t slot(int64_t extent) { return static_cast<uint64_t>(extent); }

class KernelRunner {
public:
  /// Compiles the tile kernels of |text| (MLIR). Null, with |error| set, if it
  /// does not parse or lower, or if the code refers to any outside symbol.
  static std::unique_ptr<KernelRunner>
  fromText(const std::string &text, bool f64, std::string &error);
  /// The same for a module, which is cloned.
  static std::unique_ptr<KernelRunner> fromModule(mlir::ModuleOp module,
                                                  bool f64, std::string &error);
  ~KernelRunner();

  /// Runs items [begin, end) of |kernel| on a scratch filled with 0xff bytes
  /// (NaN in every format), followed by guard bytes. Returns an empty string or
  /// what went wrong (an unknown kernel, a write behind the scratch).
  std::string run(const std::string &kernel, const std::vector<uint64_t> &args,
                  int64_t begin, int64_t end);
  std::string run(const std::string &kernel, const std::vector<uint64_t> &args,
                  int64_t items) {
    return run(kernel, args, 0, items);
  }
  /// Scratch bytes of a kernel; -1 if there is none of that name.
  int64_t scratchBytes(const std::string &kernel) const;

private:
  KernelRunner();
  std::unique_ptr<llvm::orc::LLJIT> jit;
  std::vector<std::pair<std::string, int64_t>> kernels;
};

/// Registers the dialects that a module of tile kernels uses.
void registerKernelDialects(mlir::DialectRegistry &registry);

} // namespace hadal::test
