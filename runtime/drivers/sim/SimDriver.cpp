#include "runtime/drivers/sim/SimDriver.h"

#include <algorithm>
#include <mutex>

#include "runtime/base/ProcessMemory.h"
#include "runtime/drivers/sim/SimExecutable.h"

namespace hadal::sim {

namespace {

class SimDriver final : public Driver {
public:
  explicit SimDriver(const SimOptions &options) : options(options) {}

  std::string_view name() const override { return "sim"; }
  std::string description() const override {
    static constexpr const char *names[] = {"eager", "lazy", "alternate"};
    return fmt::format("sim, {} asynchronous operations",
                       names[static_cast<int>(options.policy)]);
  }
  std::string_view target() const override { return "sm_90a"; }
  bool sharesHostMemory() const override { return false; }

  StatusOr<DeviceMemory> memory() override {
    HADAL_ASSIGN_OR_RETURN(uint64_t available, readAvailableMemory());
    return DeviceMemory{available, available};
  }
  StatusOr<DeviceAddress> allocate(uint64_t bytes, MemoryUse,
                                   std::string_view name) override {
    bytes = std::max<uint64_t>(bytes, 1);
    std::lock_guard<std::mutex> held(mutex);
    HADAL_ASSIGN_OR_RETURN(uint64_t address,
                           memory_.allocate(bytes, std::string(name)));
    HADAL_RETURN_IF_ERROR(memory_.fill(address, 0, bytes));
    return address;
  }
  void release(DeviceAddress address, uint64_t) override {
    std::lock_guard<std::mutex> held(mutex);
    (void)memory_.release(address); // it was allocated here
  }
  Status write(DeviceAddress to, const void *from, uint64_t bytes) override {
    std::lock_guard<std::mutex> held(mutex);
    return bytes ? memory_.write(to, from, bytes) : Status();
  }
  Status read(void *to, DeviceAddress from, uint64_t bytes) override {
    std::lock_guard<std::mutex> held(mutex);
    return bytes ? memory_.read(from, to, bytes) : Status();
  }

  StatusOr<std::unique_ptr<Executable>>
  load(const Artifact &artifact) override {
    if (artifact.target() != target())
      return error(4007,
                   "artifact '{}' was built for target '{}', device 'sim' runs "
                   "'sm_90a'; compile with --target=sm_90a",
                   artifact.path(), artifact.target());
    return SimExecutable::load(*this, memory_, mutex, artifact, options);
  }

private:
  SimOptions options;
  Memory memory_;
  /// Of memory_, whose own locks are for the threads of one launch: sessions are
  /// created by several threads, also while one steps.
  std::mutex mutex;
};

} // namespace

StatusOr<std::unique_ptr<Driver>> createSimDriver(const SimOptions &options) {
  return std::unique_ptr<Driver>(std::make_unique<SimDriver>(options));
}

} // namespace hadal::sim
