#include "runtime/comm/loopback/Transfer.h"

#include <cstring>

#include "runtime/comm/Operation.h"
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

Status receivePart(std::string_view communicator, unsigned self,
                   std::span<const Operation *const> all, size_t index) {
  const Operation &mine = *all[self];
  const Part &part = mine.parts[index];
  const uint64_t block = part.rows * part.rowBytes;
  if (mine.kind == Kind::allGather || mine.kind == Kind::allToAll) {
    for (unsigned from = 0; from < all.size(); ++from) {
      const Part &theirs = all[from]->parts[index];
      HADAL_ASSIGN_OR_RETURN(uint64_t rows, rowsSent(communicator, *all[from],
                                                     theirs, from, self));
      const uint64_t offset = mine.kind == Kind::allToAll ? self * block : 0;
      copy(at(part.receive, from * block), at(theirs.send, offset),
           rows * part.rowBytes);
    }
    return {};
  }
  const uint64_t offset = mine.kind == Kind::reduceScatter ? self * block : 0;
  std::vector<const uint8_t *> blocks;
  for (const Operation *operation : all)
    blocks.push_back(at(operation->parts[index].send, offset));
  rankSum(at(part.receive, 0), blocks, block, part.dtype);
  return {};
}

} // namespace

Status receive(std::string_view communicator, unsigned self,
               std::span<const Operation *const> all) {
  for (size_t i = 0; i < all[self]->parts.size(); ++i)
    HADAL_RETURN_IF_ERROR(receivePart(communicator, self, all, i));
  return {};
}

uint64_t receivedBytes(const Operation &operation, unsigned size) {
  uint64_t bytes = 0;
  for (const Part &part : operation.parts)
    bytes += part.rows * part.rowBytes *
             (operation.kind == Kind::reduceScatter ? 1 : size);
  return bytes;
}

} // namespace hadal::comm
