// The unrolled form of an artifact's entry: what every driver executes.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "runtime/artifact/Verify.h"
#include "runtime/comm/Communicator.h"

namespace hadal {

/// An address in a driver's memory; of a driver that shares the host's memory,
/// a pointer.
using DeviceAddress = uint64_t;

/// What an entry's symbolic arguments stand for.
struct Bindings {
  /// The argument of each artifact parameter: data or pointer table.
  std::vector<DeviceAddress> parameters;
  std::vector<DeviceAddress> states;
  std::array<DeviceAddress, artifact::kNumInputs> inputs = {};
  std::array<DeviceAddress, artifact::kNumOutputs> outputs = {};
  DeviceAddress arena = 0;
};

/// One kernel over work items [0, items); its argument array starts at
/// LaunchList::args[firstArg].
struct Launch {
  uint32_t kernel;
  uint32_t firstArg;
  uint64_t items;
  /// For people: the model operation, an index into the artifact's op_names,
  /// and the layer whose cache the function has; -1: not said.
  int32_t op = -1;
  int32_t layer = -1;
};

/// The streams of a rank's commands.
inline constexpr uint8_t kLaunchStream = 0;
inline constexpr uint8_t kCollectiveStream = 1;

/// What a rank does between launches. Launches are stream 0 and run in order;
/// collectives are stream 1 and run in order beside them.
struct RankCommand {
  enum class Kind : uint8_t {
    start,  ///< collective |index| goes to stream 1
    record, ///< event |index| is reached when |stream|'s past is done
    wait,   ///< |stream| goes on when event |index| is reached
  };
  Kind kind = Kind::start;
  uint8_t stream = 0;
  uint32_t index = 0;
  /// It comes before launch |position|, or behind the last.
  uint32_t position = 0;
};

/// A collective of an unrolled entry.
struct Collective {
  uint32_t communicator = 0; ///< index into the artifact's
  comm::Operation operation;
};

struct LaunchList {
  std::vector<Launch> launches;
  std::vector<uint64_t> args;
  /// In order; empty where one rank runs alone. Each event is recorded once and
  /// then waited for, and stream 0 has waited for every collective at the end.
  std::vector<RankCommand> commands;
  std::vector<Collective> collectives;
  uint32_t numEvents = 0;
  /// The entry's activations, whose contents mean nothing when it starts; no
  /// bytes where the launches belong to no entry.
  DeviceAddress arena = 0;
  uint64_t arenaBytes = 0;
};

/// Unrolls calls and repeats of |entry| and resolves every argument to its
/// 8-byte slot. Collectives are numbered from 0 in the order in which the rank
/// issues them; their labels name the layer, "dispatch, layer 17" ("layers 17
/// and 18"), where the function that they are in has the cache of one.
/// |artifact| must have been verified.
LaunchList flatten(const schema::Artifact &artifact, const schema::Entry &entry,
                   const Bindings &bindings);

} // namespace hadal
