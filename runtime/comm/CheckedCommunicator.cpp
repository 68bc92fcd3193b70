#include "runtime/comm/CheckedCommunicator.h"

#include <algorithm>

#include "runtime/base/Hash.h"
#include "runtime/comm/Operation.h"
#include "runtime/comm/RankSum.h"

namespace hadal::comm {

namespace {

/// What a member has sent another of one part.
struct Sent {
  uint64_t rows = 0, digest = 0;
  bool operator==(const Sent &) const = default;
};

Address addressOf(const void *data) { return reinterpret_cast<Address>(data); }

const uint8_t *bytesAt(Address address, uint64_t offset) {
  return reinterpret_cast<const uint8_t *>(address) + offset;
}

bool isSum(const Operation &operation) {
  return operation.kind == Kind::reduceScatter ||
         operation.kind == Kind::allReduce;
}

class Checked final : public Communicator {
public:
  Checked(Communicator &inner, std::vector<unsigned> ranks)
      : inner(inner), ranks(std::move(ranks)) {}

  std::string_view name() const override { return inner.name(); }
  unsigned rank() const override { return inner.rank(); }
  unsigned size() const override { return inner.size(); }
  Capabilities capabilities() const override { return inner.capabilities(); }
  void abort() noexcept override { inner.abort(); }

  Status run(const Operation &operation, Deadline deadline) override {
    HADAL_RETURN_IF_ERROR(checkOperation(name(), size(), operation));
    if (isSum(operation)) {
      HADAL_RETURN_IF_ERROR(inner.run(operation, deadline));
      return checkSums(operation, deadline);
    }
    // Before it runs: what it receives may be what it counts by.
    std::vector<Sent> sent(operation.parts.size() * size());
    for (unsigned to = 0; to < size(); ++to)
      for (size_t p = 0; p < operation.parts.size(); ++p) {
        const Part &part = operation.parts[p];
        StatusOr<uint64_t> rows = rowsSent(name(), operation, part, rank(), to);
        if (!rows.ok()) // the others must hear of it
          return inner.run(operation, deadline);
        const bool one = operation.kind == Kind::allGather;
        sent[to * operation.parts.size() + p] =
            describeRows(part.send, part, one ? 0 : to, *rows);
      }
    HADAL_RETURN_IF_ERROR(inner.run(operation, deadline));
    return checkRows(operation, sent, deadline);
  }

private:
  static Sent describeRows(Address array, const Part &part, unsigned block,
                           uint64_t rows) {
    const uint64_t at = block * part.rows * part.rowBytes;
    return {rows, xxh3(std::span(bytesAt(array, at), rows * part.rowBytes))};
  }

  Operation checkOf(const Operation &operation, Kind kind) const {
    Operation check;
    check.kind = kind;
    check.sequence = operation.sequence;
    check.label = operation.label + ", check";
    return check;
  }

  Status checkRows(const Operation &operation, const std::vector<Sent> &sent,
                   Deadline deadline) {
    const size_t parts = operation.parts.size();
    std::vector<Sent> theirs(sent.size());
    Operation check = checkOf(operation, Kind::allToAll);
    check.parts.push_back({addressOf(sent.data()), addressOf(theirs.data()),
                           parts, sizeof(Sent)});
    HADAL_RETURN_IF_ERROR(inner.run(check, deadline));
    for (unsigned from = 0; from < size(); ++from)
      for (size_t p = 0; p < parts; ++p) {
        const Part &part = operation.parts[p];
        const Sent &expected = theirs[from * parts + p];
        if (expected.rows <= part.rows &&
            describeRows(part.receive, part, from, expected.rows) == expected)
          continue;
        return error(6007,
                     "communicator '{}': rank {} did not receive in part {} "
                     "what rank {} sent, {} rows, in {}",
                     name(), ranks[rank()], p, ranks[from], expected.rows,
                     describe(operation));
      }
    return {};
  }

  Status checkSums(const Operation &operation, Deadline deadline) {
    Operation check = checkOf(operation, operation.kind == Kind::reduceScatter
                                             ? Kind::allToAll
                                             : Kind::allGather);
    std::vector<std::vector<uint8_t>> addends;
    for (const Part &part : operation.parts) {
      addends.emplace_back(size() * part.rows * part.rowBytes);
      check.parts.push_back({part.send, addressOf(addends.back().data()),
                             part.rows, part.rowBytes});
    }
    HADAL_RETURN_IF_ERROR(inner.run(check, deadline));
    for (size_t p = 0; p < addends.size(); ++p) {
      const Part &part = operation.parts[p];
      const uint64_t block = part.rows * part.rowBytes;
      std::vector<const uint8_t *> blocks;
      for (unsigned from = 0; from < size(); ++from)
        blocks.push_back(addends[p].data() + from * block);
      std::vector<uint8_t> expected(block);
      rankSum(expected.data(), blocks, block, part.dtype);
      const auto [wrong, found] = std::mismatch(
          expected.begin(), expected.end(), bytesAt(part.receive, 0));
      if (wrong == expected.end())
        continue;
      const auto value = static_cast<uint64_t>(wrong - expected.begin()) /
                         dtypeSize(part.dtype);
      return error(6007,
                   "communicator '{}': rank {} has another value {} of part {} "
                   "than the sum in rank order, in {}",
                   name(), ranks[rank()], value, p, describe(operation));
    }
    return {};
  }

  Communicator &inner;
  const std::vector<unsigned> ranks; ///< by member
};

} // namespace

std::unique_ptr<Communicator> createChecked(Communicator &inner,
                                            std::vector<unsigned> ranks) {
  return std::make_unique<Checked>(inner, std::move(ranks));
}

} // namespace hadal::comm
