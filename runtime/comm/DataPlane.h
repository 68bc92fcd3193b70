// What moves tensors between the ranks of a group: the library behind
// Group::create().
#pragma once

#include <functional>

#include "runtime/comm/Group.h"

namespace hadal::comm {

class DataPlane {
public:
  virtual ~DataPlane() = default;
  /// "mpi (Open MPI v4.1.4)".
  virtual std::string description() const = 0;
  /// The communicator |name| of |members|, ranks of the group, ascending, this
  /// rank among them. All ranks of the group call it in the same order, each
  /// for the members it is one of. H6005, H6007.
  virtual StatusOr<std::unique_ptr<Communicator>>
  create(std::string_view name, std::span<const unsigned> members) = 0;
  /// The run has failed: nothing may wait for other ranks any more, at the end
  /// of the process neither. Any thread.
  virtual void abandon() noexcept = 0;
};

/// Opens a data plane for the ranks of |group|, on all at once; |group|, all of
/// whom have joined, outlives it. H6005, H6007.
using OpenDataPlane =
    std::function<StatusOr<std::unique_ptr<DataPlane>>(Group &group)>;

} // namespace hadal::comm
