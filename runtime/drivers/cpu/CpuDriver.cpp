#include "runtime/drivers/cpu/CpuDriver.h"

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <sys/mman.h>

#include "runtime/base/Checked.h"
#include "runtime/base/CpuCount.h"
#include "runtime/base/Hash.h"
#include "runtime/base/ProcessMemory.h"
#include "runtime/device/HostCollectives.h"
#include "runtime/drivers/cpu/CpuVariant.h"
#include "runtime/drivers/cpu/ThreadPool.h"

namespace hadal::cpu {

namespace {

using KernelFunction = void (*)(const uint64_t *args, uint64_t begin,
                                uint64_t end, uint8_t *scratch);

/// Memory this large is worth huge pages where it is all used.
constexpr uint64_t kHugePageBytes = uint64_t(2) << 20;

/// A private copy of an image: what is checked is what runs, whatever happens
/// to the file afterwards.
class CodeCopy {
public:
  CodeCopy() = default;
  CodeCopy(const CodeCopy &) = delete;
  CodeCopy &operator=(const CodeCopy &) = delete;
  ~CodeCopy() {
    if (memory)
      munmap(memory, bytes);
  }

  Status create(const Artifact &artifact, unsigned blob) {
    std::span<const uint8_t> code = artifact.blob(blob);
    void *mapped = mmap(nullptr, code.size(), PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (mapped == MAP_FAILED)
      return error(5006, "cannot allocate {} bytes for the code of '{}': {}",
                   code.size(), artifact.path(), std::strerror(errno));
    memory = mapped;
    bytes = code.size();
    std::memcpy(memory, code.data(), bytes);
    if (xxh3({static_cast<const uint8_t *>(memory), bytes}) !=
        artifact.root().blobs()->Get(blob)->xxh3())
      return error(4004,
                   "artifact '{}': its code changed while it was loaded; copy "
                   "or compile it again, and start again",
                   artifact.path());
    if (mprotect(memory, bytes, PROT_READ | PROT_EXEC) != 0)
      return error(5007,
                   "cannot make the code of '{}' executable: {}; this system's "
                   "policy forbids it (SELinux: execmem)",
                   artifact.path(), std::strerror(errno));
    return {};
  }
  uintptr_t address() const { return reinterpret_cast<uintptr_t>(memory); }

private:
  void *memory = nullptr;
  size_t bytes = 0;
};

/// What a launch hands to the pool.
struct LaunchContext {
  KernelFunction function;
  const uint64_t *args;
  uint8_t *scratch;
  uint64_t scratchStride;
};

void runItems(void *context, uint64_t begin, uint64_t end, unsigned thread) {
  const auto &launch = *static_cast<const LaunchContext *>(context);
  launch.function(launch.args, begin, end,
                  launch.scratch + thread * launch.scratchStride);
}

class CpuExecutable final : public Executable {
public:
  CpuExecutable(const Artifact &artifact, ThreadPool &pool,
                std::string_view variant)
      : Executable(artifact), pool(pool), variant_(variant) {}

  Status initialize(Driver &driver, unsigned image) {
    const schema::Image &table = *artifact.root().images()->Get(image);
    HADAL_RETURN_IF_ERROR(code.create(artifact, table.blob()));
    uint64_t scratch = 0;
    for (unsigned k = 0; k < artifact.root().kernels()->size(); ++k) {
      functions.push_back(reinterpret_cast<KernelFunction>(
          code.address() + table.entry_offsets()->Get(k)));
      scratch = std::max(scratch,
                         artifact.root().kernels()->Get(k)->scratch_bytes());
    }
    scratchStride = *checkedAlignUp(std::max<uint64_t>(scratch, 1), 4096);
    HADAL_ASSIGN_OR_RETURN(
        scratch_, DeviceBuffer::create(driver, scratchStride * pool.threads(),
                                       "scratch"));
    return {};
  }

  std::string_view variant() const override { return variant_; }

  using Executable::prepare;
  StatusOr<std::unique_ptr<PreparedEntry>>
  prepare(std::string name, const LaunchList &list, bool replayed,
          const comm::Endpoint *endpoint) override;

  void setProfiling(bool enabled) override {
    profiling = enabled;
    if (enabled)
      times.assign(functions.size(), {});
  }
  std::span<const KernelTime> profile() const override { return times; }

  /// Runs launch |index| of |list|; |timeline| takes its span while profiling.
  void run(const LaunchList &list, uint32_t index, Timeline &timeline) {
    const Launch &launch = list.launches[index];
    LaunchContext context;
    context.scratch = reinterpret_cast<uint8_t *>(scratch_.address());
    context.scratchStride = scratchStride;
    context.function = functions[launch.kernel];
    context.args = list.args.data() + launch.firstArg;
    if (!profiling)
      return pool.parallelFor(launch.items, runItems, &context);
    auto begin = std::chrono::steady_clock::now();
    pool.parallelFor(launch.items, runItems, &context);
    auto end = std::chrono::steady_clock::now();
    times[launch.kernel].launches += 1;
    times[launch.kernel].seconds +=
        std::chrono::duration<double>(end - begin).count();
    timeline.push_back(
        {CommandSpan::Kind::launch, index,
         artifact.root().kernels()->Get(launch.kernel)->name()->string_view(),
         begin, end});
  }
  bool isProfiling() const { return profiling; }

private:
  ThreadPool &pool;
  std::string_view variant_;
  CodeCopy code;
  std::vector<KernelFunction> functions;
  DeviceBuffer scratch_;
  uint64_t scratchStride = 0;
  bool profiling = false;
  std::vector<KernelTime> times;
};

class CpuPreparedEntry final : public PreparedEntry {
public:
  CpuPreparedEntry(CpuExecutable &executable, const LaunchList &list,
                   const comm::Endpoint *endpoint)
      : executable(executable), list(list),
        collectives(this->list, endpoint) {}

  Status run() override {
    spans.clear();
    collectives.begin(executable.isProfiling() ? &spans : nullptr);
    for (uint32_t i = 0; i < list.launches.size(); ++i) {
      HADAL_RETURN_IF_ERROR(collectives.runBefore(i));
      executable.run(list, i, spans);
    }
    return collectives.runBefore(list.launches.size());
  }
  std::span<const CommandSpan> timeline() const override { return spans; }

private:
  CpuExecutable &executable;
  LaunchList list;
  HostCollectives collectives;
  Timeline spans; // of the last run
};

StatusOr<std::unique_ptr<PreparedEntry>>
CpuExecutable::prepare(std::string name, const LaunchList &list, bool replayed,
                       const comm::Endpoint *endpoint) {
  HADAL_RETURN_IF_ERROR(
      checkCommunicators(name, list, endpoint, /*hostOrdered=*/true));
  return std::unique_ptr<PreparedEntry>(
      std::make_unique<CpuPreparedEntry>(*this, list, endpoint));
}

class CpuDriver final : public Driver {
public:
  CpuDriver(std::unique_ptr<ThreadPool> pool,
            std::vector<std::string_view> variants)
      : pool(std::move(pool)), variants(std::move(variants)) {}

  std::string_view name() const override { return "cpu"; }
  std::string description() const override {
    return fmt::format("cpu, {} thread{}, {}", pool->threads(),
                       pool->threads() == 1 ? "" : "s", variants.back());
  }
  std::string_view target() const override { return "cpu"; }
  bool sharesHostMemory() const override { return true; }

  StatusOr<DeviceMemory> memory() override {
    HADAL_ASSIGN_OR_RETURN(uint64_t available, readAvailableMemory());
    return DeviceMemory{available, available};
  }
  StatusOr<DeviceAddress> allocate(uint64_t bytes, MemoryUse use,
                                   std::string_view) override {
    // Pages of an anonymous mapping are zero and committed on first touch.
    void *memory = mmap(nullptr, std::max<uint64_t>(bytes, 1),
                        PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED)
      return error(5006, "cannot allocate {} bytes: {}; use a smaller batch or "
                         "sequence length",
                   bytes, std::strerror(errno));
    if (use == MemoryUse::Dense && bytes >= kHugePageBytes)
      madvise(memory, bytes, MADV_HUGEPAGE); // advice: a refusal is no error
    return reinterpret_cast<DeviceAddress>(memory);
  }
  void release(DeviceAddress address, uint64_t bytes) override {
    munmap(reinterpret_cast<void *>(address), std::max<uint64_t>(bytes, 1));
  }
  Status write(DeviceAddress to, const void *from, uint64_t bytes) override {
    if (bytes) // memcpy takes no null pointers
      std::memcpy(reinterpret_cast<void *>(to), from, bytes);
    return {};
  }
  Status read(void *to, DeviceAddress from, uint64_t bytes) override {
    if (bytes)
      std::memcpy(to, reinterpret_cast<const void *>(from), bytes);
    return {};
  }

  StatusOr<std::unique_ptr<Executable>> load(const Artifact &artifact) override {
    if (artifact.target() != target())
      return error(4007,
                   "artifact '{}' was built for target '{}', device 'cpu' runs "
                   "'cpu'; compile with --target=cpu",
                   artifact.path(), artifact.target());
    for (auto v = variants.rbegin(); v != variants.rend(); ++v)
      if (std::optional<unsigned> image = artifact.findImage(*v)) {
        auto executable = std::make_unique<CpuExecutable>(artifact, *pool, *v);
        HADAL_RETURN_IF_ERROR(executable->initialize(*this, *image));
        return std::unique_ptr<Executable>(std::move(executable));
      }
    return error(5007,
                 "artifact '{}' holds images for {}, this CPU runs {}; compile "
                 "it with --images=native on this machine, or --images=all",
                 artifact.path(), artifact.imageVariants(),
                 fmt::join(variants, ", "));
  }

  std::unique_ptr<ThreadPool> pool;

private:
  std::vector<std::string_view> variants;
};

} // namespace

StatusOr<std::unique_ptr<Driver>> createCpuDriver(const CpuOptions &options) {
  std::string limit = options.variant;
  if (const char *env = std::getenv("HADAL_CPU_VARIANT"); env && limit.empty())
    limit = env;
  HADAL_ASSIGN_OR_RETURN(std::vector<std::string_view> variants,
                         usableVariants(readCpuid(), limit));
  HADAL_ASSIGN_OR_RETURN(
      std::unique_ptr<ThreadPool> pool,
      ThreadPool::create(options.threads ? options.threads
                                         : std::min(usableCpus(), 1024u)));
  return std::unique_ptr<Driver>(
      std::make_unique<CpuDriver>(std::move(pool), std::move(variants)));
}

void parallelFor(Driver &driver, uint64_t items, ThreadPool::Body body,
                 void *context) {
  static_cast<CpuDriver &>(driver).pool->parallelFor(items, body, context);
}

} // namespace hadal::cpu
