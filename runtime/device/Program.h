// The unrolled form of an artifact's entry: what every driver executes.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "runtime/artifact/Verify.h"

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
};

struct LaunchList {
  std::vector<Launch> launches;
  std::vector<uint64_t> args;
  /// The entry's activations, whose contents mean nothing when it starts; no
  /// bytes where the launches belong to no entry.
  DeviceAddress arena = 0;
  uint64_t arenaBytes = 0;
};

/// Unrolls calls and repeats of |entry| and resolves every argument to its
/// 8-byte slot. |artifact| must have been verified.
LaunchList flatten(const schema::Artifact &artifact, const schema::Entry &entry,
                   const Bindings &bindings);

} // namespace hadal
