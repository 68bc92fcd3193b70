#include "runtime/device/Program.h"

#include <span>

namespace hadal {

namespace {

using namespace schema;

class Flattener {
public:
  Flattener(const schema::Artifact &artifact, const Bindings &bindings)
      : artifact(artifact), bindings(bindings) {}

  void run(const Function &function, std::span<const DeviceAddress> parameters,
           std::span<const DeviceAddress> states) {
    for (const Command *command : *function.commands()) {
      if (command->kind() == CommandKind::launch) {
        launch(*command, parameters, states);
        continue;
      }
      const Function &callee = *artifact.functions()->Get(command->callee());
      const uint32_t count =
          command->kind() == CommandKind::repeat ? command->count() : 1;
      for (uint32_t i = 0; i < count; ++i)
        run(callee,
            slice(*command->parameters(), i, callee.num_parameters(),
                  parameters),
            slice(*command->states(), i, callee.num_states(), states));
    }
  }

  LaunchList list;

private:
  /// The |i|-th part of |length| slots, looked up in the caller's values.
  static std::vector<DeviceAddress>
  slice(const flatbuffers::Vector<uint32_t> &slots, uint32_t i, uint32_t length,
        std::span<const DeviceAddress> values) {
    std::vector<DeviceAddress> result(length);
    for (uint32_t j = 0; j < length; ++j)
      result[j] = values[slots.Get(i * length + j)];
    return result;
  }

  void launch(const Command &command, std::span<const DeviceAddress> parameters,
              std::span<const DeviceAddress> states) {
    list.launches.push_back({command.kernel(),
                             static_cast<uint32_t>(list.args.size()),
                             command.items()});
    for (const Arg *arg : *command.args())
      list.args.push_back(resolve(*arg, parameters, states));
  }

  uint64_t resolve(const Arg &arg, std::span<const DeviceAddress> parameters,
                   std::span<const DeviceAddress> states) const {
    switch (arg.kind()) {
    case ArgKind::arena:
      return bindings.arena + arg.value();
    case ArgKind::parameter:
      return parameters[arg.index()];
    case ArgKind::state:
      return states[arg.index()];
    case ArgKind::input:
      return bindings.inputs[arg.index()] + arg.value();
    case ArgKind::output:
      return bindings.outputs[arg.index()] + arg.value();
    case ArgKind::scalar:
      return arg.value();
    }
    return 0; // unreachable: verified
  }

  const schema::Artifact &artifact;
  const Bindings &bindings;
};

} // namespace

LaunchList flatten(const schema::Artifact &artifact, const schema::Entry &entry,
                   const Bindings &bindings) {
  Flattener flattener(artifact, bindings);
  flattener.run(*artifact.functions()->Get(entry.function()),
                bindings.parameters, bindings.states);
  flattener.list.arena = bindings.arena;
  flattener.list.arenaBytes = entry.arena_bytes();
  return std::move(flattener.list);
}

} // namespace hadal
