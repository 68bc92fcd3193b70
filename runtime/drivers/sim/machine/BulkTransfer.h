// The asynchronous operations behind cp.async.bulk: a box of a tensor (a plain
// copy is a box of one row) moves between global and shared memory.
#pragma once

#include <array>
#include <optional>
#include <vector>

#include "runtime/drivers/sim/machine/AsyncEngine.h"
#include "runtime/drivers/sim/ptx/Types.h"
#include "runtime/drivers/sim/semantics/TensorMap.h"

namespace hadal::sim {

/// What a bulk reduction does to each element in global memory.
enum class BulkReduction : uint8_t {
  none,
  add,
  minimum,
  maximum,
  increment,
  decrement,
  bitAnd,
  bitOr,
  bitXor,
};

/// A box, where it is in the tensor, and who issued its copy.
struct BulkTransfer {
  TensorMapDesc map;
  std::array<int32_t, 5> coords{};
  unsigned warp = 0;
  uint32_t pc = 0, lanes = 0;
  /// The thread is not ordered after a griddepcontrol.wait.
  bool early = false;
  const char *name = "";

  Place place(Cta &cta) const { return {&cta.warps[warp], pc, lanes}; }
  uint32_t bytes() const { return static_cast<uint32_t>(map.boxBytes()); }
};

/// A shared address that receives a load, and the mbarrier it credits.
struct LoadTarget {
  Cta *cta = nullptr;
  uint32_t address = 0;
  uint32_t barrier = 0;
};

/// Global to shared memory of one CTA, or of several (multicast).
class BulkLoad final : public AsyncOperation {
public:
  BulkLoad(BulkTransfer transfer, std::vector<LoadTarget> targets,
           std::optional<RaceDetector::Operation> operation)
      : transfer(std::move(transfer)), targets(std::move(targets)),
        operation(operation) {}
  void perform(Cta &cta) override;
  uint32_t mbarrier() const override { return targets.front().barrier; }
  const char *what() const override { return transfer.name; }

private:
  BulkTransfer transfer;
  std::vector<LoadTarget> targets;
  std::optional<RaceDetector::Operation> operation;
};

/// Shared to global memory, plainly or as a reduction of elements of |type|.
class BulkStore final : public AsyncOperation {
public:
  /// |operation| is the race detector's of the writes.
  BulkStore(BulkTransfer transfer, uint32_t address, BulkReduction reduction,
            Type type, std::optional<RaceDetector::Operation> operation)
      : transfer(std::move(transfer)), address(address), reduction(reduction),
        type(type), operation(operation) {}
  void readSources(Cta &cta) override;
  void perform(Cta &cta) override;
  const char *what() const override { return transfer.name; }

private:
  void writeRow(Cta &cta, const BoxRow &row, const Place &place);

  BulkTransfer transfer;
  uint32_t address;
  BulkReduction reduction;
  Type type;
  std::optional<RaceDetector::Operation> operation;
  /// The box, once the source was read.
  std::vector<uint8_t> bytes, defined;
};

/// Shared memory of the executing CTA to that of another in the cluster.
class BulkSend final : public AsyncOperation {
public:
  BulkSend(BulkTransfer transfer, uint32_t from, LoadTarget target,
           std::optional<RaceDetector::Operation> operation)
      : transfer(std::move(transfer)), from(from), target(target),
        operation(operation) {}
  void perform(Cta &cta) override;
  const char *what() const override { return transfer.name; }

private:
  BulkTransfer transfer;
  uint32_t from;
  LoadTarget target;
  std::optional<RaceDetector::Operation> operation;
};

/// The reduction of one element of |type|: |to| holds the old value. False if
/// the pair does not exist.
bool reduceElement(BulkReduction reduction, Type type, uint8_t *to,
                   const uint8_t *from);

} // namespace hadal::sim
