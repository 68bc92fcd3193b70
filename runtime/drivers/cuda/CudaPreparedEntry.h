// An entry bound to addresses, launched kernel by kernel or as a graph.
#pragma once

#include "runtime/drivers/cuda/CudaExecutable.h"

namespace hadal::cuda {

/// A replayed entry is captured into a graph when it first runs; any other is
/// launched directly. While kernels are timed every entry is launched directly,
/// and no kernel overlaps with the one before it.
class CudaPreparedEntry final : public PreparedEntry {
public:
  CudaPreparedEntry(CudaExecutable &executable, std::string name, bool replayed,
                    GpuProgram program);
  ~CudaPreparedEntry() override;

  Status run() override;
  /// Puts every launch on the stream, none of which overlaps with what stands
  /// before it, and returns at once.
  Status enqueue();

private:
  Status launch(const GpuLaunch &launch, bool overlaps);
  Status launchAll(bool overlaps);
  Status capture();
  Status runProfiled();
  Status failed(const GpuLaunch &launch, Result result) const;

  CudaExecutable &executable;
  const CudaDevice &device;
  std::string name;
  bool replayed;
  GpuProgram program;
  std::vector<void *> arguments; // of one launch
  GraphExec graph = nullptr;
  std::vector<Event> events; // one before each launch and one at the end
};

} // namespace hadal::cuda
