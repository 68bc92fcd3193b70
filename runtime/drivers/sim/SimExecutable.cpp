#include "runtime/drivers/sim/SimExecutable.h"

#include <algorithm>
#include <chrono>

#include "runtime/base/CpuCount.h"
#include "runtime/drivers/sim/SimCollectives.h"
#include "runtime/drivers/sim/semantics/TensorMap.h"

namespace hadal::sim {

namespace {

TensorMapType tensorMapType(schema::DType dtype) {
  switch (dtype) {
  case schema::DType::f32:
    return TensorMapType::f32;
  case schema::DType::bf16:
    return TensorMapType::bf16;
  case schema::DType::i32:
    return TensorMapType::s32;
  case schema::DType::i64:
    return TensorMapType::s64;
  default:
    return TensorMapType::u8; // bytes: FP8 codes have no type of their own
  }
}

Swizzle swizzleMode(unsigned bytes) {
  return bytes == 128  ? Swizzle::b128
         : bytes == 64 ? Swizzle::b64
         : bytes == 32 ? Swizzle::b32
                       : Swizzle::none;
}

Status encode(const TensorMapRequest &request, uint8_t *map) {
  TensorMapDesc desc;
  desc.type = tensorMapType(request.dtype);
  desc.rank = request.rank;
  desc.address = request.address;
  for (unsigned d = 0; d < request.rank; ++d) {
    desc.dims[d] = request.extents[d];
    desc.box[d] = request.box[d];
    if (d)
      desc.strides[d - 1] = request.strides[d - 1];
  }
  desc.swizzle = swizzleMode(request.swizzleBytes);
  HADAL_ASSIGN_OR_RETURN(auto bytes, encodeTensorMap(desc));
  std::copy(bytes.begin(), bytes.end(), map);
  return {};
}

} // namespace

/// Launches bound to addresses.
class SimPreparedEntry final : public PreparedEntry {
public:
  SimPreparedEntry(SimExecutable &executable, std::string name,
                   const LaunchList &list, GpuProgram program,
                   const comm::Endpoint *endpoint)
      : executable(executable), name(std::move(name)), list(list),
        program(std::move(program)),
        collectives(executable.memory, this->list, endpoint, this->name) {}
  Status check() const { return collectives.check(); }

  Status run() override {
    std::lock_guard<std::mutex> held(executable.memoryMutex);
    if (executable.options.poisonActivations && list.arenaBytes)
      executable.memory.markDefined(list.arena, list.arenaBytes, false);
    spans.clear();
    collectives.begin(executable.profiling ? &spans : nullptr);
    for (size_t i = 0; i < program.launches.size(); ++i) {
      HADAL_RETURN_IF_ERROR(collectives.runBefore(i));
      HADAL_RETURN_IF_ERROR(executable.launchOne(name, program, i, spans));
    }
    HADAL_RETURN_IF_ERROR(collectives.runBefore(program.launches.size()));
    executable.memory.synchronize();
    ++executable.runs;
    return {};
  }
  std::span<const CommandSpan> timeline() const override { return spans; }

private:
  SimExecutable &executable;
  std::string name;
  LaunchList list;
  GpuProgram program;
  SimCollectives collectives;
  Timeline spans; // of the last run
};

StatusOr<std::unique_ptr<Executable>>
SimExecutable::load(Driver &driver, Memory &memory, std::mutex &memoryMutex,
                    const Artifact &artifact, const SimOptions &options) {
  std::unique_ptr<SimExecutable> executable(
      new SimExecutable(memory, memoryMutex, artifact, options));
  HADAL_ASSIGN_OR_RETURN(executable->layout, layoutWorkspace(artifact.root()));
  if (executable->layout.bytes) {
    HADAL_ASSIGN_OR_RETURN(executable->workspace,
                           DeviceBuffer::create(driver,
                                                executable->layout.bytes,
                                                "the workspace"));
  }
  executable->modules.resize(artifact.root().kernels()->size());
  return std::unique_ptr<Executable>(std::move(executable));
}

StatusOr<const PtxModule *> SimExecutable::module(unsigned index) {
  if (!modules[index]) {
    HADAL_ASSIGN_OR_RETURN(std::string text, artifact.code(index, "ptx"));
    auto parsed = PtxModule::parse(text);
    if (!parsed.ok())
      return error(parsed.status().code(), "kernel '{}' of '{}': {}",
                   artifact.root().kernels()->Get(index)->name()->string_view(),
                   artifact.path(), parsed.status().message());
    modules[index] = std::move(*parsed);
  }
  return modules[index].get();
}

StatusOr<std::unique_ptr<PreparedEntry>>
SimExecutable::prepare(std::string name, const LaunchList &list, bool,
                       const comm::Endpoint *endpoint) {
  HADAL_RETURN_IF_ERROR(
      checkCommunicators(name, list, endpoint, /*hostOrdered=*/true));
  GpuContext context{workspace.address(), layout, options.multiprocessors,
                     encode};
  HADAL_ASSIGN_OR_RETURN(GpuProgram program,
                         flattenForGpu(artifact.root(), list, context));
  auto entry = std::make_unique<SimPreparedEntry>(
      *this, std::move(name), list, std::move(program), endpoint);
  std::lock_guard<std::mutex> held(memoryMutex);
  HADAL_RETURN_IF_ERROR(entry->check());
  return std::unique_ptr<PreparedEntry>(std::move(entry));
}

void SimExecutable::setProfiling(bool enabled) {
  profiling = enabled;
  if (enabled)
    times.assign(modules.size(), {});
}

Status SimExecutable::launchOne(const std::string &entry,
                                const GpuProgram &program, size_t index,
                                Timeline &spans) {
  const GpuLaunch &launched = program.launches[index];
  const schema::Kernel &kernel =
      *artifact.root().kernels()->Get(launched.kernel);
  HADAL_ASSIGN_OR_RETURN(const PtxModule *code, module(launched.kernel));
  LaunchConfig config;
  config.grid[0] = launched.grid;
  config.block[0] = kernel.threads();
  config.sharedBytes = static_cast<uint32_t>(kernel.shared_bytes());
  config.pdl = true;
  Options launchOptions;
  const bool lazy =
      options.policy == PolicyChoice::Lazy ||
      (options.policy == PolicyChoice::Alternate && (index + runs) % 2 == 1);
  launchOptions.policy = lazy ? AsyncPolicy::lazy : AsyncPolicy::eager;
  launchOptions.fp8Accumulate = options.fp8Accumulate;
  launchOptions.seed = options.seed;
  launchOptions.checkRaces = options.checkRaces;
  launchOptions.threads = options.threads
                              ? options.threads
                              : usableCpus();

  const auto begin = std::chrono::steady_clock::now();
  StatusOr<Report> report =
      sim::launch(*code, kernel.name()->string_view(), config,
                  program.block(launched), memory, launchOptions);
  const auto end = std::chrono::steady_clock::now();
  if (profiling) {
    times[launched.kernel].launches += 1;
    times[launched.kernel].seconds +=
        std::chrono::duration<double>(end - begin).count();
    spans.push_back({CommandSpan::Kind::launch, static_cast<uint32_t>(index),
                     kernel.name()->string_view(), begin, end});
  }
  const auto where = [&] {
    return fmt::format("launch {} of entry '{}', kernel '{}'", index, entry,
                       kernel.name()->string_view());
  };
  if (!report.ok())
    return error(report.status().code(), "{}: {}", where(),
                 report.status().message());
  if (report->clean())
    return checkTickets(launched, where());
  if (options.printFindings) {
    for (const Finding &finding : report->findings)
      fmt::print(stderr, "{}: {}\n", where(), finding.toString());
    return {};
  }
  std::string text = report->findings[0].toString();
  std::replace(text.begin(), text.end(), '\n', ';');
  if (report->findings.size() > 1)
    text += fmt::format("; and {} other findings", report->findings.size() - 1);
  return error(5018, "{} ({} policy): {}", where(), lazy ? "lazy" : "eager",
               text);
}

Status SimExecutable::checkTickets(const GpuLaunch &launched,
                                   const std::string &where) {
  const uint64_t step =
      artifact.root().kernels()->Get(launched.kernel)->workspace_per_item();
  const uint64_t first = workspace.address() + layout.offsets[launched.kernel];
  for (uint64_t item = 0; step >= 4 && item < launched.items; ++item) {
    uint32_t ticket = 0;
    HADAL_RETURN_IF_ERROR(memory.read(first + item * step, &ticket, 4));
    if (ticket)
      return error(5018, "{}: leaves the ticket of item {} at {}, expected 0",
                   where, item, ticket);
  }
  return {};
}

} // namespace hadal::sim
