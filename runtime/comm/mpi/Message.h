// What one rank sends another for an operation: a head that says which
// operation it takes part in, and the rows.
#pragma once

#include <vector>

#include "runtime/comm/Communicator.h"

namespace hadal::comm {

inline constexpr size_t kMaxParts = 16;
/// Rows of no more bytes than this follow the head in the same message.
inline constexpr size_t kInlineBytes = 2048;

struct MessageHead {
  struct Shape {
    uint64_t rows = 0, rowBytes = 0;
    uint64_t sent = 0; ///< rows that follow
    int32_t countColumn = -1;
    uint32_t dtype = 0;
  };
  uint64_t sequence = 0;
  uint64_t dataBytes = 0; ///< of the rows of all parts, one after another
  uint32_t kind = 0, countStride = 0, parts = 0, zero = 0;
  char label[64] = {};
  Shape shapes[kMaxParts];
};

/// A head and the rows it announces; |inlined| bytes of them are in the head's
/// message.
struct Message {
  std::vector<uint8_t> head; ///< a MessageHead and what is inlined
  std::vector<uint8_t> data; ///< empty if all is inlined
};

/// What member |self| of |size| sends to |to| for |operation|. H6006 for counts
/// out of range.
StatusOr<Message> pack(std::string_view communicator, unsigned size,
                       unsigned self, unsigned to, const Operation &operation);

/// The operation that a head announces, without addresses. H6007 if it is none.
StatusOr<Operation> operationOf(const MessageHead &head);

/// Writes what all have sent to the receive arrays of |operation|: |heads| and
/// |rows| by member; each head has been compared with |operation|.
void unpack(unsigned self, const Operation &operation,
            const std::vector<MessageHead> &heads,
            const std::vector<const uint8_t *> &rows);

} // namespace hadal::comm
