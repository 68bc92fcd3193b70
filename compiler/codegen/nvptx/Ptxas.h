// NVIDIA's assembler as a subprocess: PTX to cubin, and what it says of a
// kernel. It is optional: an artifact without cubin holds PTX, which the driver
// assembles when the artifact is loaded.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "llvm/ADT/StringRef.h"
#include "llvm/Support/Error.h"

namespace hadal::nvptx {

/// An installed ptxas.
struct Ptxas {
  std::string path;
  /// "13.0.88".
  std::string version;
  /// 1000 * major + 10 * minor, as cuDriverGetVersion counts: 13000.
  unsigned release = 0;
};

/// The first release that assembles for sm_90a.
inline constexpr unsigned kMinimumPtxasRelease = 12000;

/// Where ptxas may be, in the order of trial: PATH; bin of $CUDA_HOME and
/// $CUDA_PATH; /usr/local/cuda/bin; the PyPI wheels of nvcc under the
/// site-packages of $VIRTUAL_ENV, of the user and of the system.
std::vector<std::string> ptxasCandidates();

/// The ptxas to use. |choice| is what `--ptxas` was given: "" takes the first
/// candidate that runs and is recent enough (nothing if there is none), "none"
/// takes none, anything else is the path of one. H3006 if that one does not run
/// or is too old.
llvm::Expected<std::optional<Ptxas>> findPtxas(llvm::StringRef choice);

/// What ptxas reports of one kernel.
struct PtxasFacts {
  unsigned registers = 0, barriers = 0;
  uint64_t spillStoreBytes = 0, spillLoadBytes = 0, stackBytes = 0;
  /// Static shared memory; the dynamic part is not known to it.
  uint64_t sharedBytes = 0;
  /// Its messages C75xx: a wgmma pipeline that it serialises, a setmaxnreg that
  /// it ignores. A kernel is not as it was meant while there is one.
  std::vector<std::string> advice;
};

struct Assembly {
  std::string cubin;
  PtxasFacts facts;
};

/// Assembles |ptx|, one kernel named |name|, for sm_90a. Equal input gives equal
/// bytes. H3005 with ptxas' own words if it fails, or if it has not finished
/// after |limitSeconds|; then it is killed.
llvm::Expected<Assembly> assemble(const Ptxas &ptxas, llvm::StringRef name,
                                  llvm::StringRef ptx,
                                  unsigned limitSeconds = 120);

/// The facts in what `ptxas -v` prints.
PtxasFacts parsePtxasOutput(llvm::StringRef output);

} // namespace hadal::nvptx
