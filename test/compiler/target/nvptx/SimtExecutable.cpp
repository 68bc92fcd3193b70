// Executable of KernelTestSupport.h on the simulator: the tests of the kernels'
// definition, unchanged, become tests of the sm_90a code of the same kernels.
//
// A run executes the PTX under both policies of asynchronous operations and
// fails on any finding and on any difference between the two.
#include <stdexcept>

#include "compiler/target/nvptx/EmitPtx.h"
#include "compiler/target/nvptx/Lower/Simt.h"
#include "mlir/IR/MLIRContext.h"
#include "mlir/IR/Verifier.h"
#include "runtime/drivers/sim/Launch.h"
#include "test/compiler/kernels/KernelTestSupport.h"
#include "test/lib/KernelRunner.h"

using namespace mlir;

namespace hadal::kernels::test {

struct Executable::Impl {
  std::shared_ptr<const sim::PtxModule> module;
  std::string name;
  unsigned threads = 0;
  uint64_t sharedBytes = 0;
  std::vector<std::pair<int64_t, int64_t>> dims; ///< extent, step

  void runOnce(const Slots &slots, int64_t items, sim::AsyncPolicy policy,
               uint64_t order) const;
};

static void check(const Status &status) {
  if (!status.ok())
    throw std::runtime_error(status.toString());
}

Executable::Executable(const Build &build, Mode mode)
    : impl(std::make_unique<Impl>()) {
  DialectRegistry registry;
  hadal::test::registerKernelDialects(registry);
  MLIRContext context(registry, MLIRContext::Threading::DISABLED);
  context.loadAllAvailableDialects();
  std::string error;
  ScopedDiagnosticHandler handler(&context, [&](Diagnostic &diagnostic) {
    error += diagnostic.str() + "\n";
    return success();
  });
  OwningOpRef<ModuleOp> module = ModuleOp::create(UnknownLoc::get(&context));
  OpBuilder builder(&context);
  builder.setInsertionPointToEnd(module->getBody());
  tile::KernelOp kernel = build(builder);
  if (!kernel || failed(verify(*module)))
    throw std::runtime_error("build: " + error);
  impl->name = kernel.getSymName().str();
  for (unsigned i = 0; i < kernel.getNumDims(); ++i)
    impl->dims.emplace_back(kernel.getDim(i).getExtent(),
                            kernel.getDim(i).getStep());
  context.loadDialect<LLVM::LLVMDialect>();
  FailureOr<nvptx::SimtFunction> function = nvptx::lowerSimt(kernel, builder);
  if (failed(function))
    throw std::runtime_error("lower: " + error);
  impl->threads = function->threads;
  impl->sharedBytes = function->sharedBytes;
  kernel.erase();
  FailureOr<std::string> ptx = nvptx::emitPtx(*module);
  if (failed(ptx))
    throw std::runtime_error("emit: " + error);
  StatusOr<std::shared_ptr<const sim::PtxModule>> parsed =
      sim::PtxModule::parse(*ptx);
  check(parsed.status());
  impl->module = *parsed;
}

Executable::~Executable() = default;

namespace {

/// A buffer in device memory, rows of narrow elements padded to 16 bytes.
struct Upload {
  uint8_t *host;
  uint64_t rows, rowBytes, pitch, address;
};

uint64_t pitchOf(const Buffer &buffer) {
  bool isNarrow =
      buffer.format() == Format::bf16 || buffer.format() == Format::fp8;
  return isNarrow ? (buffer.bytesPerRow() + 15) / 16 * 16 : buffer.bytesPerRow();
}

} // namespace

void Executable::Impl::runOnce(const Slots &slots, int64_t items,
                               sim::AsyncPolicy policy,
                               uint64_t order) const {
  sim::Memory memory(uint64_t(1) << 32);
  std::vector<uint64_t> parameters = slots.values();
  std::vector<Upload> uploads;
  auto upload = [&](size_t slot, void *host, uint64_t rows, uint64_t rowBytes,
                    uint64_t pitch) {
    StatusOr<uint64_t> address =
        memory.allocate(std::max<uint64_t>(rows * pitch, 16),
                        "argument slot " + std::to_string(slot));
    check(address.status());
    Upload u{static_cast<uint8_t *>(host), rows, rowBytes, pitch, *address};
    for (uint64_t r = 0; r < rows; ++r)
      check(memory.write(u.address + r * pitch, u.host + r * rowBytes,
                         rowBytes));
    parameters[slot] = u.address;
    uploads.push_back(u);
  };
  for (const Slots::Memory &operand : slots.memory()) {
    if (operand.sizes) {
      upload(operand.slot, operand.sizes->data(), 1,
             operand.sizes->size() * 4, operand.sizes->size() * 4);
      continue;
    }
    Buffer &buffer = *operand.buffer;
    upload(operand.slot, buffer.data(), buffer.rows(), buffer.bytesPerRow(),
           pitchOf(buffer));
    if (buffer.format() == Format::fp8)
      upload(operand.slot + 1, buffer.scales(), 1, buffer.scaleBytes(),
             buffer.scaleBytes());
  }
  sim::LaunchConfig config;
  config.grid[0] = static_cast<uint32_t>(items);
  config.block[0] = threads;
  config.sharedBytes = static_cast<uint32_t>(sharedBytes);
  config.pdl = true;
  sim::Options options;
  options.policy = policy;
  options.seed = order;
  StatusOr<sim::Report> report = sim::launch(
      *module, name, config,
      {reinterpret_cast<const uint8_t *>(parameters.data()),
       parameters.size() * sizeof(uint64_t)},
      memory, options);
  check(report.status());
  if (!report->clean())
    throw std::runtime_error(report->toString());
  memory.synchronize();
  for (const Upload &u : uploads)
    for (uint64_t r = 0; r < u.rows; ++r)
      check(memory.read(u.address + r * u.pitch, u.host + r * u.rowBytes,
                        u.rowBytes));
}

void Executable::run(const Slots &slots, int64_t capacity,
                     uint64_t order) const {
  int64_t items = 1;
  for (auto [extent, step] : impl->dims)
    items *= ((extent < 0 ? capacity : extent) + step - 1) / step;
  // All bytes that a run may change.
  auto image = [&] {
    std::string bytes;
    for (const Slots::Memory &operand : slots.memory()) {
      auto append = [&](const void *data, size_t size) {
        bytes.append(static_cast<const char *>(data), size);
      };
      if (operand.sizes) {
        append(operand.sizes->data(), operand.sizes->size() * 4);
        continue;
      }
      Buffer &buffer = *operand.buffer;
      append(buffer.data(), buffer.rows() * buffer.bytesPerRow());
      append(buffer.scales(), buffer.scaleBytes());
    }
    return bytes;
  };
  auto restore = [&](const std::string &bytes) {
    size_t at = 0;
    auto take = [&](void *data, size_t size) {
      std::memcpy(data, bytes.data() + at, size);
      at += size;
    };
    for (const Slots::Memory &operand : slots.memory()) {
      if (operand.sizes) {
        take(operand.sizes->data(), operand.sizes->size() * 4);
        continue;
      }
      Buffer &buffer = *operand.buffer;
      take(buffer.data(), buffer.rows() * buffer.bytesPerRow());
      take(buffer.scales(), buffer.scaleBytes());
    }
  };
  std::string before = image();
  impl->runOnce(slots, items, sim::AsyncPolicy::eager, order);
  std::string eager = image();
  restore(before);
  impl->runOnce(slots, items, sim::AsyncPolicy::lazy, order + 1);
  if (image() != eager)
    throw std::runtime_error("the policies of asynchronous operations differ");
}

} // namespace hadal::kernels::test
