#include "runtime/comm/Operation.h"

#include <cstring>

#include "runtime/base/Checked.h"

namespace hadal::comm {

std::string_view name(Kind kind) {
  switch (kind) {
  case Kind::allGather:
    return "all_gather";
  case Kind::reduceScatter:
    return "reduce_scatter";
  case Kind::allReduce:
    return "all_reduce";
  case Kind::allToAll:
    return "all_to_all";
  }
  return "unknown";
}

std::string describe(const Operation &operation) {
  std::string parts;
  for (const Part &part : operation.parts) {
    parts += fmt::format("{}{} x {}", parts.empty() ? "" : ", ", part.rows,
                         part.rowBytes);
    if (part.dtype != DType::none)
      parts += fmt::format(" {}", dtypeName(part.dtype));
    if (part.countColumn >= 0)
      parts += fmt::format(" counted by {}", part.countColumn);
  }
  return fmt::format("collective {} '{}': {} of [{}]", operation.sequence,
                     operation.label, name(operation.kind), parts);
}

Status checkSame(std::string_view communicator, unsigned rankA,
                 const Operation &a, unsigned rankB, const Operation &b) {
  auto samePart = [](const Part &p, const Part &q) {
    return p.rows == q.rows && p.rowBytes == q.rowBytes && p.dtype == q.dtype &&
           p.countColumn == q.countColumn;
  };
  if (a.sequence == b.sequence && a.kind == b.kind &&
      a.countStride == b.countStride && a.parts.size() == b.parts.size() &&
      std::equal(a.parts.begin(), a.parts.end(), b.parts.begin(), samePart))
    return {};
  return error(6006,
               "communicator '{}': rank {} issued {}, rank {} issued {}; all "
               "ranks must run the same entry of the same artifact",
               communicator, rankA, describe(a), rankB, describe(b));
}

Status checkOperation(std::string_view communicator, unsigned size,
                      const Operation &operation) {
  auto refuse = [&](std::string why) {
    return error(6006, "communicator '{}' of {} ranks: {}: {}", communicator,
                 size, describe(operation), why);
  };
  const bool sums = operation.kind == Kind::reduceScatter ||
                    operation.kind == Kind::allReduce;
  for (const Part &part : operation.parts) {
    const bool summable = part.dtype == DType::f32 || part.dtype == DType::bf16;
    if (sums && !summable)
      return refuse(fmt::format("expected sums of f32 or bf16, found {}",
                                dtypeName(part.dtype)));
    if (sums && part.rowBytes % dtypeSize(part.dtype))
      return refuse(fmt::format("{} bytes are no whole {} values",
                                part.rowBytes, dtypeName(part.dtype)));
    if (part.countColumn >= 0 &&
        (operation.kind != Kind::allToAll || !operation.counts ||
         static_cast<uint32_t>(part.countColumn) >= operation.countStride))
      return refuse(fmt::format(
          "column {} of the counts, which have {}; only an all_to_all is "
          "counted",
          part.countColumn, operation.counts ? operation.countStride : 0));
    std::optional<uint64_t> block = checkedMul(part.rows, part.rowBytes);
    if (!block || !checkedMul(*block, size))
      return refuse("its blocks exceed 64 bits");
  }
  return {};
}

StatusOr<uint64_t> rowsSent(std::string_view communicator,
                            const Operation &operation, const Part &part,
                            unsigned from, unsigned to) {
  if (part.countColumn < 0)
    return part.rows;
  int32_t count;
  std::memcpy(&count,
              reinterpret_cast<const uint8_t *>(operation.counts) +
                  sizeof(count) * (uint64_t{to} * operation.countStride +
                                   static_cast<uint32_t>(part.countColumn)),
              sizeof(count));
  if (count < 0 || static_cast<uint64_t>(count) > part.rows)
    return error(6006,
                 "communicator '{}': {}: member {} counts {} rows for member "
                 "{}, expected 0 to {}",
                 communicator, describe(operation), from, count, to, part.rows);
  return static_cast<uint64_t>(count);
}

} // namespace hadal::comm
