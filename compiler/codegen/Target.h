// The machines that hadal compiles for, one row each. Outside a target's own
// folder nothing knows a target by its name: what differs is asked of the row.
#pragma once

#include <memory>
#include <string>

#include "compiler/artifact/Writer.h"
#include "compiler/codegen/KernelCache.h"
#include "frontend/Checkpoint.h"
#include "frontend/ModelConfig.h"
#include "mlir/IR/BuiltinOps.h"
#include "options/CompileOptions.h"
#include "passes/Absorb/Passes.h"
#include "passes/Dsv3ToExec/Passes.h"
#include "llvm/ADT/ArrayRef.h"
#include "llvm/ADT/StringMap.h"
#include "llvm/Support/Error.h"

namespace hadal {

/// The passes' options that a target decides.
struct TargetPasses {
  SelectAttentionFormOptions attention;
  /// W_kv_b becomes bf16 when it is loaded (DequantizeWkvB).
  bool dequantizeWkvB = false;
  LowerDsv3ToExecOptions lower;
  ApplySchedulesOptions schedules;
};

/// Memory in bytes that a kernel needs beside its arguments: scratch of each
/// worker thread, and a workspace of each launch.
struct KernelMemory {
  uint64_t scratch = 0;
  uint64_t workspaceFixed = 0, workspacePerItem = 0;
};
using MemoryByKernel = llvm::StringMap<KernelMemory>;

/// What a run of code generation is given beside the program.
struct CodegenRequest {
  unsigned threads = 0;           ///< 0: one per core
  std::string ptxas, kernelCache; ///< of --ptxas, --kernel-cache; "": default
  std::string dumpDirectory;      ///< for what lies below tile; "": none
};

/// Code generation that has found its tools.
class CodeGenerator {
public:
  virtual ~CodeGenerator() = default;
  /// Compiles the kernels of |module| into |code|. Errors are diagnostics at
  /// the kernels, notices go to |log|.
  virtual llvm::LogicalResult run(mlir::ModuleOp module, TargetCode &code,
                                  llvm::raw_ostream &log) = 0;
  /// A hash of the code of each kernel of |module|, in order: 32 hexadecimal
  /// digits of what the machine is given, without the kernel's name and as if
  /// the kernel were alone. |chip| is a database's (TargetInfo::tuningChip). A
  /// failure is of any kernel; errors are diagnostics.
  virtual llvm::LogicalResult hashCode(mlir::ModuleOp module,
                                       llvm::StringRef chip,
                                       std::vector<std::string> &hashes) = 0;
};

/// The hash of |text| for hashCode: half of a SHA-256.
std::string hashOfCode(llvm::StringRef text);

/// One target. Every field is set.
struct TargetInfo {
  llvm::StringRef name, description; ///< as --target takes it; for people
  /// The flags that mean something to this target only, with their dashes.
  std::vector<llvm::StringRef> flags;
  /// Its matrix units multiply nothing wider than bf16: matrices that a
  /// checkpoint has in f32 are rounded when they are loaded.
  bool roundsF32Matrices;
  /// The options of a compilation that chooses nothing but the target.
  CompileOptions (*defaults)();
  /// Replaces words by what they stand for on this machine (--images=native)
  /// and refuses what the target has not got (H2002, H3004).
  llvm::Error (*resolveOptions)(CompileOptions &options);
  /// Refuses a model that the target cannot serve, before any pass runs:
  /// H3010. |checkpoint| is null where only a configuration was given.
  llvm::Error (*checkModel)(const ModelConfig &config,
                            const Checkpoint *checkpoint,
                            const CompileOptions &options);
  void (*choosePasses)(const CompileOptions &options, TargetPasses &passes);
  /// What the kernels of |module| (after phase plan) need, found by the code
  /// that generates them. Errors are diagnostics at the kernels.
  llvm::LogicalResult (*plan)(mlir::ModuleOp module,
                              const CompileOptions &options,
                              MemoryByKernel &memory);
  /// Finds what code generation needs: a mistake in |request| is told before
  /// the compilation, not after it.
  llvm::Expected<std::unique_ptr<CodeGenerator>> (*prepare)(
      const CompileOptions &options, const CodegenRequest &request);
  /// What entries of a tuning database are of that count on this machine.
  std::string (*tuningChip)(const CompileOptions &options);
  /// Under which kernels are measured (runtime/tune/Machine.h).
  llvm::StringRef tuningConditions;

  bool takes(llvm::StringRef flag) const {
    return llvm::is_contained(flags, flag);
  }
};

/// All targets, the default first.
llvm::ArrayRef<const TargetInfo *> allTargets();
/// The target |name| ("": the default), or null.
const TargetInfo *findTarget(llvm::StringRef name);

/// Refuses |flag| with |value| (H3004) where it was given and |target| does not
/// take it; the message names those that do.
llvm::Error checkFlag(const TargetInfo &target, llvm::StringRef flag,
                      llvm::StringRef value);

/// The kernel cache for --kernel-cache |choice|, of this build of the compiler.
KernelCache openKernelCache(llvm::StringRef choice);
/// Says how many of |total| kernels came from |cache|, and why it could not
/// keep one if |problem| is not "".
void reportKernelCache(const KernelCache &cache, unsigned cached,
                       unsigned total, llvm::StringRef problem,
                       llvm::raw_ostream &log);

} // namespace hadal
