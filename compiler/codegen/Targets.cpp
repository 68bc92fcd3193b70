// The table of targets: the one place where they are registered.
#include "compiler/codegen/CompilerIdentity.h"
#include "compiler/codegen/Target.h"
#include "compiler/codegen/cpu/CpuTarget.h"
#include "compiler/codegen/nvptx/Sm90aTarget.h"
#include "frontend/Error.h"
#include "runtime/base/Sha256.h"
#include "llvm/Support/FormatVariadic.h"

namespace hadal {

llvm::ArrayRef<const TargetInfo *> allTargets() {
  static const TargetInfo *const targets[] = {&cpu::cpuTarget(),
                                              &nvptx::sm90aTarget()};
  return targets;
}

const TargetInfo *findTarget(llvm::StringRef name) {
  if (name.empty())
    return allTargets().front();
  for (const TargetInfo *target : allTargets())
    if (target->name == name)
      return target;
  return nullptr;
}

llvm::Error checkFlag(const TargetInfo &target, llvm::StringRef flag,
                      llvm::StringRef value) {
  if (value.empty() || target.takes(flag))
    return llvm::Error::success();
  std::string owners;
  for (const TargetInfo *other : allTargets())
    if (other->takes(flag))
      owners +=
          (owners.empty() ? "--target=" : ", --target=") + other->name.str();
  return makeError(3004, "{0}={1} belongs to {2}", flag, value, owners);
}

std::string hashOfCode(llvm::StringRef text) {
  return hexOf(sha256(std::span(
                   reinterpret_cast<const uint8_t *>(text.data()),
                   text.size())))
      .substr(0, 32);
}

KernelCache openKernelCache(llvm::StringRef choice) {
  return KernelCache(KernelCache::resolveDirectory(choice), compilerIdentity());
}

void reportKernelCache(const KernelCache &cache, unsigned cached,
                       unsigned total, llvm::StringRef problem,
                       llvm::raw_ostream &log) {
  if (cached)
    log << llvm::formatv("hadal-compile: {0} of {1} kernels from the cache in "
                         "{2}\n",
                         cached, total, cache.path());
  if (!problem.empty())
    log << llvm::formatv("hadal-compile: warning: the kernel cache in {0} "
                         "cannot be written: {1}; --kernel-cache=DIR chooses "
                         "another place\n",
                         cache.path(), problem);
}

} // namespace hadal
