#include "runtime/drivers/sim/machine/BulkTransfer.h"

#include <algorithm>
#include <bit>
#include <cstring>

#include <fmt/format.h>

#include "runtime/drivers/sim/semantics/Convert.h"

namespace hadal::sim {
namespace {

/// A row of a box on its way: bytes and their definedness.
struct RowBuffer {
  std::vector<uint8_t> bytes, defined;

  void resize(size_t size) {
    bytes.resize(size);
    defined.resize(size);
  }
};

/// Elements outside the tensor read as zero or as NaN; everything is defined.
void fill(const TensorMapDesc &map, RowBuffer &row) {
  std::fill(row.bytes.begin(), row.bytes.end(), uint8_t{0});
  std::fill(row.defined.begin(), row.defined.end(), uint8_t{1});
  if (!map.nanFill)
    return;
  // The canonical NaN of each type has all bits but the sign set.
  for (size_t i = 0; i < row.bytes.size(); ++i)
    row.bytes[i] = i % map.elementBytes() + 1 == map.elementBytes() ? 0x7f
                                                                    : 0xff;
}

/// The defined bytes of [address, address + bytes).
void copyDefined(const Memory &memory, uint64_t address, uint64_t bytes,
                 uint8_t *to) {
  if (memory.defined(address, bytes)) {
    std::memset(to, 1, bytes);
    return;
  }
  while (bytes) {
    auto count = static_cast<unsigned>(std::min<uint64_t>(bytes, 32));
    uint64_t bits = memory.definedBits(address, count);
    for (unsigned i = 0; i < count; ++i)
      to[i] = bits >> i & 1;
    address += count;
    to += count;
    bytes -= count;
  }
}

/// Whether |row| lies in one allocation; a finding otherwise.
bool checkGlobal(Cta &cta, const BulkTransfer &transfer, const BoxRow &row,
                 uint64_t bytes, bool write) {
  Memory &memory = *cta.launch.memory;
  Place place = transfer.place(cta);
  if (!memory.find(row.global, bytes)) {
    cta.report(FindingKind::outOfBounds, *place.warp, place.pc, place.lanes,
               row.global,
               fmt::format("{} {} {} bytes of global memory out of bounds: {}",
                           transfer.name, write ? "writes" : "reads", bytes,
                           memory.describe(row.global)));
    return false;
  }
  if (transfer.early && memory.hasStale() && memory.isStale(row.global, bytes))
    cta.report(FindingKind::staleRead, *place.warp, place.pc, place.lanes,
               row.global,
               fmt::format("{} {} global memory that an earlier launch writes, "
                           "before griddepcontrol.wait ({})",
                           transfer.name, write ? "writes" : "reads",
                           memory.describe(row.global)));
  return true;
}

/// Tells the monitor of global memory, if there is one.
void noteGlobal(Cta &cta, const BulkTransfer &transfer,
                const std::optional<RaceDetector::Operation> &operation,
                uint64_t address, uint64_t bytes, Access access) {
  if (cta.globalMonitor && operation)
    cta.globalMonitor->asyncAccess(*operation, cta.warps[transfer.warp],
                                   transfer.pc, transfer.lanes, address, bytes,
                                   access);
}

void readRow(Cta &cta, const BulkTransfer &transfer,
             const std::optional<RaceDetector::Operation> &operation,
             const BoxRow &row, RowBuffer &buffer) {
  const unsigned element = transfer.map.elementBytes();
  uint64_t bytes = uint64_t{row.valid} * element;
  fill(transfer.map, buffer);
  if (!bytes || !checkGlobal(cta, transfer, row, bytes, false))
    return;
  Memory &memory = *cta.launch.memory;
  uint8_t *to = buffer.bytes.data() + size_t{row.first} * element;
  if (transfer.early && memory.hasStale() &&
      cta.launch.options.policy == AsyncPolicy::lazy)
    memory.readStale(row.global, to, bytes);
  else
    std::memcpy(to, memory.host(row.global), bytes);
  copyDefined(memory, row.global, bytes,
              buffer.defined.data() + size_t{row.first} * element);
  cta.launch.report.statistics.globalLoadBytes += bytes;
  noteGlobal(cta, transfer, operation, row.global, bytes, Access::read);
}

/// Moves the 16-byte chunks of a row between |buffer| and swizzled shared
/// memory at |address| + |lin|.
template <typename Fn>
void forEachChunk(const TensorMapDesc &map, uint32_t address, uint64_t lin,
                  size_t bytes, Fn fn) {
  for (size_t at = 0; at < bytes; at += 16)
    fn(at, static_cast<uint32_t>(
               swizzleAddress(address + lin + at, map.swizzle)));
}

void reportUnfinished(Cta &cta, const BulkTransfer &transfer) {
  if (!cta.engine->finishing())
    return;
  Place place = transfer.place(cta);
  cta.report(FindingKind::unfinishedAsync, *place.warp, place.pc, place.lanes,
             0,
             fmt::format("the CTA ends and nobody has waited for {}",
                         transfer.name));
}

} // namespace

void BulkLoad::perform(Cta &cta) {
  reportUnfinished(cta, transfer);
  const TensorMapDesc &map = transfer.map;
  static thread_local RowBuffer buffer;
  buffer.resize(size_t{map.box[0]} * map.elementBytes());
  forEachBoxRow(map, std::span(transfer.coords).first(map.rank),
                [&](const BoxRow &row) {
                  readRow(cta, transfer, operation, row, buffer);
                  for (const LoadTarget &target : targets)
                    forEachChunk(map, target.address, row.lin,
                                 buffer.bytes.size(),
                                 [&](size_t at, uint32_t shared) {
                                   SharedMemory &m = target.cta->shared;
                                   std::memcpy(m.at(shared), &buffer.bytes[at],
                                               16);
                                   std::memcpy(m.definedAt(shared),
                                               &buffer.defined[at], 16);
                                 });
                });
  for (const LoadTarget &target : targets)
    target.cta->engine->credit(transfer.place(cta), target.barrier,
                               transfer.bytes(),
                               operation ? &*operation : nullptr);
  if (operation)
    cta.engine->races()->detector().retireAsync(*operation);
}

void BulkSend::perform(Cta &cta) {
  reportUnfinished(cta, transfer);
  SharedMemory &to = target.cta->shared;
  const uint32_t bytes = transfer.bytes();
  std::memmove(to.at(target.address), cta.shared.at(from), bytes);
  std::memmove(to.definedAt(target.address), cta.shared.definedAt(from), bytes);
  target.cta->engine->credit(transfer.place(cta), target.barrier, bytes,
                             operation ? &*operation : nullptr);
  if (operation)
    cta.engine->races()->detector().retireAsync(*operation);
}

void BulkStore::readSources(Cta &cta) {
  if (!bytes.empty())
    return;
  const TensorMapDesc &map = transfer.map;
  bytes.resize(transfer.bytes());
  defined.resize(bytes.size());
  forEachBoxRow(map, std::span(transfer.coords).first(map.rank),
                [&](const BoxRow &row) {
                  forEachChunk(
                      map, address, row.lin,
                      size_t{map.box[0]} * map.elementBytes(),
                      [&](size_t at, uint32_t shared) {
                        std::memcpy(&bytes[row.lin + at], cta.shared.at(shared),
                                    16);
                        std::memcpy(&defined[row.lin + at],
                                    cta.shared.definedAt(shared), 16);
                      });
                });
}

void BulkStore::writeRow(Cta &cta, const BoxRow &row, const Place &place) {
  const unsigned element = transfer.map.elementBytes();
  Memory &memory = *cta.launch.memory;
  const uint64_t count = uint64_t{row.valid} * element;
  if (!count || !checkGlobal(cta, transfer, row, count, true))
    return;
  const size_t first = row.lin + size_t{row.first} * element;
  const uint8_t *from = &bytes[first];
  auto complain = [&](uint64_t at, const char *what) {
    cta.report(FindingKind::undefinedStore, *place.warp, place.pc, place.lanes,
               at,
               fmt::format("{} {} ({})", transfer.name, what,
                           memory.describe(row.global)));
  };
  const uint8_t *gap = std::find(&defined[first], &defined[first] + count, 0);
  if (gap != &defined[first] + count)
    complain(row.global + static_cast<uint64_t>(gap - &defined[first]),
             "stores undefined bytes of shared memory to global memory");
  noteGlobal(cta, transfer, operation, row.global, count, Access::write);
  memory.noteWrite(row.global, count);
  uint8_t *to = memory.host(row.global);
  if (reduction == BulkReduction::none) {
    std::memcpy(to, from, count);
  } else {
    if (!memory.defined(row.global, count))
      complain(row.global, "reduces into undefined global memory");
    for (uint64_t i = 0; i < count; i += bytesOf(type))
      reduceElement(reduction, type, to + i, from + i);
  }
  memory.markDefined(row.global, count);
  cta.launch.report.statistics.globalStoreBytes += count;
}

void BulkStore::perform(Cta &cta) {
  readSources(cta);
  const TensorMapDesc &map = transfer.map;
  const Place place = transfer.place(cta);
  forEachBoxRow(map, std::span(transfer.coords).first(map.rank),
                [&](const BoxRow &row) { writeRow(cta, row, place); });
}

namespace {

template <typename T>
bool reduceInteger(BulkReduction reduction, uint8_t *to, const uint8_t *from) {
  T a, b;
  std::memcpy(&a, to, sizeof a);
  std::memcpy(&b, from, sizeof b);
  using U = std::make_unsigned_t<T>;
  switch (reduction) {
  case BulkReduction::add:
    a = static_cast<T>(static_cast<U>(a) + static_cast<U>(b));
    break;
  case BulkReduction::minimum:
    a = std::min(a, b);
    break;
  case BulkReduction::maximum:
    a = std::max(a, b);
    break;
  case BulkReduction::increment:
    a = a >= b ? T{0} : static_cast<T>(a + 1);
    break;
  case BulkReduction::decrement:
    a = a == 0 || a > b ? b : static_cast<T>(a - 1);
    break;
  case BulkReduction::bitAnd:
    a = static_cast<T>(a & b);
    break;
  case BulkReduction::bitOr:
    a = static_cast<T>(a | b);
    break;
  case BulkReduction::bitXor:
    a = static_cast<T>(a ^ b);
    break;
  case BulkReduction::none:
    return false;
  }
  std::memcpy(to, &a, sizeof a);
  return true;
}

/// Additions round to nearest even; minimum and maximum skip a NaN.
bool reduceHalf(BulkReduction reduction, FloatFormat format, uint8_t *to,
                const uint8_t *from) {
  uint16_t a, b;
  std::memcpy(&a, to, sizeof a);
  std::memcpy(&b, from, sizeof b);
  double x = decodeFloat(a, format), y = decodeFloat(b, format);
  double result;
  if (reduction == BulkReduction::add)
    result = x + y;
  else if (reduction == BulkReduction::minimum)
    result = std::fmin(x, y);
  else if (reduction == BulkReduction::maximum)
    result = std::fmax(x, y);
  else
    return false;
  a = encodeFloat(result, format, {});
  std::memcpy(to, &a, sizeof a);
  return true;
}

template <typename T>
bool addFloat(BulkReduction reduction, uint8_t *to, const uint8_t *from) {
  if (reduction != BulkReduction::add)
    return false;
  T a, b;
  std::memcpy(&a, to, sizeof a);
  std::memcpy(&b, from, sizeof b);
  a += b;
  std::memcpy(to, &a, sizeof a);
  return true;
}

} // namespace

bool reduceElement(BulkReduction reduction, Type type, uint8_t *to,
                   const uint8_t *from) {
  const bool counts = reduction == BulkReduction::increment ||
                      reduction == BulkReduction::decrement;
  switch (type) {
  case Type::u32:
  case Type::b32:
    return reduceInteger<uint32_t>(reduction, to, from);
  case Type::s32:
    return !counts && reduceInteger<int32_t>(reduction, to, from);
  case Type::u64:
  case Type::b64:
    return !counts && reduceInteger<uint64_t>(reduction, to, from);
  case Type::s64:
    return !counts && reduceInteger<int64_t>(reduction, to, from);
  case Type::f16:
    return reduceHalf(reduction, FloatFormat::f16, to, from);
  case Type::bf16:
    return reduceHalf(reduction, FloatFormat::bf16, to, from);
  case Type::f32:
    return addFloat<float>(reduction, to, from);
  case Type::f64:
    return addFloat<double>(reduction, to, from);
  default:
    return false;
  }
}

} // namespace hadal::sim
