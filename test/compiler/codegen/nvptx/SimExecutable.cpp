// Executable of KernelTestSupport.h on the simulator: the tests of the kernels'
// definition, unchanged, become tests of the sm_90a code of the same kernels.
//
// A run executes the PTX under both policies of asynchronous operations and
// fails on any finding and on any difference between the two. Everything that is
// not a parameter counts as just written by the kernel before. A kernel with a
// workspace is launched twice in a row in it.
#include "test/compiler/codegen/nvptx/SimExecutable.h"

#include <optional>
#include <set>
#include <stdexcept>

#include "cost/Chip.h"
#include "compiler/codegen/nvptx/Sm90Kernels.h"
#include "runtime/drivers/sim/machine/Launch.h"
#include "runtime/drivers/sim/semantics/TensorMap.h"
#include "test/kernels/KernelTestSupport.h"
#include "test/lib/BuiltKernel.h"

using namespace mlir;

namespace hadal::kernels::test {

struct Executable::Impl {
  std::shared_ptr<const sim::PtxModule> module;
  nvptx::Sm90Kernel kernel;
  std::optional<hadal::test::Domain> domain;
  /// First slots of parameters: views of static extents that hold floats.
  std::set<size_t> parameters;

  void runOnce(const Slots &slots, int64_t items, sim::AsyncPolicy policy,
               uint64_t order) const;
};

static void check(const Status &status) {
  if (!status.ok())
    throw std::runtime_error(status.toString());
}

static sim::Statistics statistics;

const sim::Statistics &lastStatistics() { return statistics; }

Executable::Executable(const Build &build, Mode mode)
    : impl(std::make_unique<Impl>()) {
  hadal::test::BuiltKernel built(build);
  tile::KernelOp kernel = built.getKernel();
  impl->domain.emplace(kernel);
  size_t slot = 0;
  for (BlockArgument arg : kernel.getKernelArguments()) {
    auto view = dyn_cast<tile::ViewType>(arg.getType());
    if (view && view.getNumDynamic() == 0 &&
        isa<FloatType>(view.getElementType()))
      impl->parameters.insert(slot);
    slot += view ? view.getNumSlots() : 1;
  }
  FailureOr<nvptx::Sm90Kernel> compiled =
      nvptx::compileKernel(kernel, nvptx::allChips().front());
  if (failed(compiled))
    built.fail("lower");
  impl->kernel = std::move(*compiled);
  StatusOr<std::shared_ptr<const sim::PtxModule>> parsed =
      sim::PtxModule::parse(impl->kernel.ptx);
  check(parsed.status());
  impl->module = *parsed;
}

Executable::~Executable() = default;

namespace {

/// A buffer in device memory, rows of narrow elements padded to 16 bytes.
struct Upload {
  uint8_t *host;
  uint64_t rows, rowBytes, pitch, address;
  bool isParameter = false;
};

uint64_t pitchOf(const Buffer &buffer) {
  bool isNarrow =
      buffer.format() == Format::bf16 || buffer.format() == Format::fp8;
  return isNarrow ? (buffer.bytesPerRow() + 15) / 16 * 16 : buffer.bytesPerRow();
}

} // namespace

namespace {

sim::TensorMapType typeOf(nvptx::TensorMapInfo::DataType type) {
  switch (type) {
  case nvptx::TensorMapInfo::DataType::u8:
    return sim::TensorMapType::u8;
  case nvptx::TensorMapInfo::DataType::bf16:
    return sim::TensorMapType::bf16;
  case nvptx::TensorMapInfo::DataType::f32:
    return sim::TensorMapType::f32;
  case nvptx::TensorMapInfo::DataType::i32:
    return sim::TensorMapType::s32;
  }
  return sim::TensorMapType::u8;
}

sim::TensorMapBytes encode(const nvptx::TensorMapInfo &info,
                           const std::vector<uint64_t> &slots) {
  sim::TensorMapDesc desc;
  desc.type = typeOf(info.dataType);
  desc.rank = info.dims.size();
  desc.address = slots[info.slot];
  for (unsigned d = 0; d < desc.rank; ++d) {
    const nvptx::TensorMapDim &dim = info.dims[d];
    desc.dims[d] = dim.extent < 0 ? slots[dim.extentSlot] : dim.extent;
    desc.box[d] = dim.box;
    if (d > 0)
      desc.strides[d - 1] = dim.strideBytes;
  }
  desc.swizzle = info.swizzle == 128  ? sim::Swizzle::b128
                 : info.swizzle == 64 ? sim::Swizzle::b64
                 : info.swizzle == 32 ? sim::Swizzle::b32
                                      : sim::Swizzle::none;
  StatusOr<sim::TensorMapBytes> bytes = sim::encodeTensorMap(desc);
  check(bytes.status());
  return *bytes;
}

} // namespace

void Executable::Impl::runOnce(const Slots &slots, int64_t items,
                               sim::AsyncPolicy policy,
                               uint64_t order) const {
  sim::Memory memory(uint64_t(1) << 34);
  std::vector<uint64_t> arguments = slots.values();
  std::vector<Upload> uploads;
  auto allocate = [&](uint64_t bytes, const std::string &name) {
    StatusOr<uint64_t> address =
        memory.allocate(std::max<uint64_t>(bytes, 16), name);
    check(address.status());
    return *address;
  };
  auto upload = [&](size_t viewSlot, size_t slot, void *host, uint64_t rows,
                    uint64_t rowBytes, uint64_t pitch) {
    Upload u{static_cast<uint8_t *>(host), rows, rowBytes, pitch,
             allocate(rows * pitch, "argument slot " + std::to_string(slot))};
    u.isParameter = parameters.count(viewSlot);
    for (uint64_t r = 0; r < rows; ++r)
      check(memory.write(u.address + r * pitch, u.host + r * rowBytes,
                         rowBytes));
    arguments[slot] = u.address;
    uploads.push_back(u);
  };
  // The parts of a stack or of segments lie one behind the other.
  auto join = [&](size_t slot, const std::vector<Buffer *> &parts) {
    uint64_t pitch = pitchOf(*parts[0]), rows = 0, scaleBytes = 0;
    for (Buffer *part : parts) {
      rows += part->rows();
      scaleBytes += part->scaleBytes();
    }
    uint64_t data =
        allocate(rows * pitch, "argument slot " + std::to_string(slot));
    arguments[slot] = data;
    uint64_t scales = 0;
    if (parts[0]->format() == Format::fp8)
      arguments[slot + 1] = scales =
          allocate(scaleBytes, "argument slot " + std::to_string(slot + 1));
    for (Buffer *part : parts) {
      uint64_t rowBytes = part->bytesPerRow();
      for (int64_t r = 0; r < part->rows(); ++r, data += pitch)
        check(memory.write(data,
                           static_cast<uint8_t *>(part->data()) + r * rowBytes,
                           rowBytes));
      if (scales)
        check(memory.write(scales, part->scales(), part->scaleBytes()));
      scales += part->scaleBytes();
    }
  };
  for (const Slots::Memory &operand : slots.memory()) {
    if (operand.sizes) {
      upload(operand.slot, operand.slot, operand.sizes->data(), 1,
             operand.sizes->size() * 4, operand.sizes->size() * 4);
      continue;
    }
    if (!operand.parts.empty()) {
      join(operand.slot, operand.parts);
      continue;
    }
    Buffer &buffer = *operand.buffer;
    upload(operand.slot, operand.slot, buffer.data(), buffer.rows(),
           buffer.bytesPerRow(), pitchOf(buffer));
    if (buffer.format() == Format::fp8)
      upload(operand.slot, operand.slot + 1, buffer.scales(), 1,
             buffer.scaleBytes(), buffer.scaleBytes());
  }
  uint64_t workspace = 0;
  uint64_t workspaceBytes =
      kernel.workspaceFixed + kernel.workspacePerItem * items;
  std::vector<uint8_t> block(arguments.size() * 8);
  std::memcpy(block.data(), arguments.data(), block.size());
  auto append = [&](const void *from, size_t bytes, size_t align) {
    block.resize((block.size() + align - 1) / align * align);
    const auto *p = static_cast<const uint8_t *>(from);
    block.insert(block.end(), p, p + bytes);
  };
  if (kernel.usesWorkspace()) {
    workspace = allocate(workspaceBytes, "workspace");
    check(memory.fill(workspace, 0, workspaceBytes));
    append(&workspace, 8, 8);
  }
  for (const nvptx::TensorMapInfo &info : kernel.tensorMaps) {
    sim::TensorMapBytes bytes = encode(info, arguments);
    append(bytes.data(), bytes.size(), 64);
  }
  sim::LaunchConfig config;
  uint64_t ctas = static_cast<uint64_t>(items) * kernel.ctasPerItem;
  if (kernel.persistent)
    ctas = std::min<uint64_t>(ctas, nvptx::allChips().front().multiprocessors);
  config.grid[0] = static_cast<uint32_t>(ctas);
  config.block[0] = kernel.threads;
  config.sharedBytes = static_cast<uint32_t>(kernel.sharedBytes);
  config.pdl = true;
  sim::Options options;
  options.policy = policy;
  options.seed = order;
  auto launch = [&] {
    // No thread may touch these before its griddepcontrol.wait.
    for (const Upload &u : uploads)
      if (!u.isParameter && u.rows * u.pitch)
        memory.noteWrite(u.address, u.rows * u.pitch);
    if (workspaceBytes)
      memory.noteWrite(workspace, workspaceBytes);
    StatusOr<sim::Report> report =
        sim::launch(*module, kernel.name, config, block, memory, options);
    check(report.status());
    statistics = report->statistics;
    if (!report->clean())
      throw std::runtime_error(report->toString());
    // A launch leaves the workspace as the next one needs it.
    if (kernel.workspacePerItem)
      for (int64_t item = 0; item < items; ++item) {
        uint32_t ticket = 0;
        check(memory.read(workspace + item * kernel.workspacePerItem, &ticket,
                          4));
        if (ticket)
          throw std::runtime_error("the ticket of item " +
                                   std::to_string(item) + " is not zero");
      }
  };
  auto download = [&] {
    for (const Upload &u : uploads)
      for (uint64_t r = 0; r < u.rows; ++r)
        check(memory.read(u.address + r * u.pitch, u.host + r * u.rowBytes,
                          u.rowBytes));
  };
  launch();
  download();
  if (!kernel.usesWorkspace())
    return;
  // Again in the workspace that the first one left, in another order.
  std::vector<std::vector<uint8_t>> first;
  for (const Upload &u : uploads)
    first.emplace_back(u.host, u.host + u.rows * u.rowBytes);
  options.seed = order + 1;
  launch();
  download();
  for (size_t i = 0; i < uploads.size(); ++i)
    if (std::memcmp(first[i].data(), uploads[i].host, first[i].size()) != 0)
      throw std::runtime_error("a second launch gave another result");
}

void Executable::run(const Slots &slots, int64_t capacity,
                     uint64_t order) const {
  int64_t items = impl->domain->numItems(capacity);
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
      if (!operand.buffer)
        continue;
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
      if (!operand.buffer)
        continue;
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

schedule::Target targetOfExecutables() { return schedule::Target::sm90a; }

} // namespace hadal::kernels::test
