// What the backends of communicators share about operations: text for people,
// and whether the operations of two ranks are the same.
#pragma once

#include <string>

#include "runtime/comm/Communicator.h"

namespace hadal::comm {

/// "collective 117 'dispatch, layer 17': all_to_all of [128 x 7168 counted by
/// 0, 1 x 8]", rows x bytes of each part.
std::string describe(const Operation &operation);

/// H6006 unless |a| of rank |rankA| and |b| of rank |rankB| are one collective:
/// equal sequence, kind, stride of counts, and of each part rows, bytes of a
/// row, dtype and count column. Addresses and labels may differ. |communicator|
/// is its name.
Status checkSame(std::string_view communicator, unsigned rankA,
                 const Operation &a, unsigned rankB, const Operation &b);

/// H6006 for an operation that no backend can run: a sum of something else than
/// whole f32 or bf16 values, a count column without counts or beyond their
/// stride, a part whose blocks exceed 64 bits. |size|: ranks.
Status checkOperation(std::string_view communicator, unsigned size,
                      const Operation &operation);

/// The rows that rank |from| sends to |to| of |part|: all, or what the counts
/// of |from|, an array of |size| x |stride|, say. H6006 for a count outside 0
/// to the part's rows.
StatusOr<uint64_t> rowsSent(std::string_view communicator,
                            const Operation &operation, const Part &part,
                            unsigned from, unsigned to);

} // namespace hadal::comm
