#include "runtime/comm/mpi/Message.h"

#include <cstring>

#include "runtime/base/Checked.h"
#include "runtime/comm/Operation.h"
#include "runtime/comm/Printable.h"
#include "runtime/comm/RankSum.h"

namespace hadal::comm {

namespace {

uint8_t *at(Address address, uint64_t offset) {
  return reinterpret_cast<uint8_t *>(address) + offset;
}

void copy(uint8_t *to, const uint8_t *from, uint64_t bytes) {
  if (bytes) // an array of nothing may have no address
    std::memcpy(to, from, bytes);
}

bool isBlockwise(Kind kind) {
  return kind == Kind::allToAll || kind == Kind::reduceScatter;
}

} // namespace

StatusOr<Message> pack(std::string_view communicator, unsigned size,
                       unsigned self, unsigned to, const Operation &operation) {
  MessageHead head;
  head.sequence = operation.sequence;
  head.kind = static_cast<uint32_t>(operation.kind);
  head.countStride = operation.countStride;
  head.parts = static_cast<uint32_t>(operation.parts.size());
  std::memcpy(head.label, operation.label.data(),
              std::min(sizeof(head.label), operation.label.size()));
  for (size_t i = 0; i < operation.parts.size(); ++i) {
    const Part &part = operation.parts[i];
    HADAL_ASSIGN_OR_RETURN(uint64_t rows,
                           rowsSent(communicator, operation, part, self, to));
    head.shapes[i] = {part.rows, part.rowBytes, rows, part.countColumn,
                      static_cast<uint32_t>(part.dtype)};
    head.dataBytes += rows * part.rowBytes;
  }
  Message message;
  const bool isInline = head.dataBytes <= kInlineBytes;
  message.head.resize(sizeof(head) + (isInline ? head.dataBytes : 0));
  message.data.resize(isInline ? 0 : head.dataBytes);
  std::memcpy(message.head.data(), &head, sizeof(head));
  uint8_t *out =
      isInline ? message.head.data() + sizeof(head) : message.data.data();
  for (size_t i = 0; i < operation.parts.size(); ++i) {
    const Part &part = operation.parts[i];
    const uint64_t block = part.rows * part.rowBytes;
    const uint64_t bytes = head.shapes[i].sent * part.rowBytes;
    copy(out, at(part.send, isBlockwise(operation.kind) ? to * block : 0),
         bytes);
    out += bytes;
  }
  return message;
}

StatusOr<Operation> operationOf(const MessageHead &head) {
  Operation operation;
  operation.kind = static_cast<Kind>(head.kind);
  operation.countStride = head.countStride;
  operation.sequence = head.sequence;
  operation.label =
      printable({head.label, strnlen(head.label, sizeof(head.label))});
  std::optional<uint64_t> sum = 0;
  bool good = head.kind <= static_cast<uint32_t>(Kind::allToAll) &&
              head.parts <= kMaxParts;
  for (size_t i = 0; good && i < head.parts; ++i) {
    const MessageHead::Shape &shape = head.shapes[i];
    std::optional<uint64_t> bytes = checkedMul(shape.sent, shape.rowBytes);
    sum = bytes ? checkedAdd(*sum, *bytes) : std::nullopt;
    good = sum && (shape.countColumn < 0 ? shape.sent == shape.rows
                                         : shape.sent <= shape.rows);
    operation.parts.push_back({.rows = shape.rows,
                               .rowBytes = shape.rowBytes,
                               .dtype = static_cast<DType>(shape.dtype),
                               .countColumn = shape.countColumn});
  }
  if (!good || *sum != head.dataBytes)
    return error(6007,
                 "a message that announces no operation (kind {}, {} "
                 "parts, {} bytes); start the same hadal on all ranks",
                 head.kind, head.parts, head.dataBytes);
  return operation;
}

void unpack(unsigned self, const Operation &operation,
            const std::vector<MessageHead> &heads,
            const std::vector<const uint8_t *> &rows) {
  std::vector<const uint8_t *> from = rows; // what of each is not read yet
  for (size_t i = 0; i < operation.parts.size(); ++i) {
    const Part &part = operation.parts[i];
    const uint64_t block = part.rows * part.rowBytes;
    if (operation.kind == Kind::reduceScatter ||
        operation.kind == Kind::allReduce)
      rankSum(at(part.receive, 0), from, block, part.dtype);
    for (unsigned rank = 0; rank < from.size(); ++rank) {
      const uint64_t bytes = heads[rank].shapes[i].sent * part.rowBytes;
      if (operation.kind == Kind::allGather || operation.kind == Kind::allToAll)
        copy(at(part.receive, rank * block), from[rank], bytes);
      from[rank] += bytes;
    }
  }
}

} // namespace hadal::comm
