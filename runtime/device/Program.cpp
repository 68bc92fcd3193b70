#include "runtime/device/Program.h"

#include <charconv>
#include <numeric>
#include <span>

#include "runtime/base/Status.h"

namespace hadal {

// The kinds of the schema are those of runtime/comm, number for number.
static_assert(static_cast<int>(schema::CollectiveKind::all_to_all) ==
                  static_cast<int>(comm::Kind::allToAll) &&
              static_cast<int>(schema::CollectiveKind::all_gather) ==
                  static_cast<int>(comm::Kind::allGather));

namespace {

using namespace schema;

class Flattener {
public:
  Flattener(const schema::Artifact &artifact, const Bindings &bindings)
      : artifact(artifact), bindings(bindings) {}

  /// |parameters| and |states|: indices of the artifact's.
  void run(const Function &function, std::span<const uint32_t> parameters,
           std::span<const uint32_t> states) {
    const uint32_t firstEvent = list.numEvents;
    list.numEvents += function.num_events();
    for (const Command *command : *function.commands()) {
      switch (command->kind()) {
      case CommandKind::launch:
        launch(*command, parameters, states);
        break;
      case CommandKind::collective:
        collective(*command, parameters, states);
        break;
      case CommandKind::record:
        add(RankCommand::Kind::record, command->stream(),
            firstEvent + command->event());
        break;
      case CommandKind::wait:
        add(RankCommand::Kind::wait, command->stream(),
            firstEvent + command->event());
        break;
      case CommandKind::call:
      case CommandKind::repeat:
        call(*command, parameters, states);
        break;
      }
    }
  }

  LaunchList list;

private:
  void call(const Command &command, std::span<const uint32_t> parameters,
            std::span<const uint32_t> states) {
    const Function &callee = *artifact.functions()->Get(command.callee());
    const uint32_t count =
        command.kind() == CommandKind::repeat ? command.count() : 1;
    for (uint32_t i = 0; i < count; ++i)
      run(callee,
          slice(*command.parameters(), i, callee.num_parameters(), parameters),
          slice(*command.states(), i, callee.num_states(), states));
  }

  /// The |i|-th part of |length| slots, looked up in the caller's.
  static std::vector<uint32_t> slice(const flatbuffers::Vector<uint32_t> &slots,
                                     uint32_t i, uint32_t length,
                                     std::span<const uint32_t> values) {
    std::vector<uint32_t> result(length);
    for (uint32_t j = 0; j < length; ++j)
      result[j] = values[slots.Get(i * length + j)];
    return result;
  }

  void launch(const Command &command, std::span<const uint32_t> parameters,
              std::span<const uint32_t> states) {
    list.launches.push_back({command.kernel(),
                             static_cast<uint32_t>(list.args.size()),
                             command.items(), command.op(),
                             layerNumber(states)});
    for (const Arg *arg : *command.args())
      list.args.push_back(resolve(*arg, parameters, states));
  }

  void collective(const Command &command, std::span<const uint32_t> parameters,
                  std::span<const uint32_t> states) {
    Collective result;
    result.communicator = command.communicator();
    comm::Operation &operation = result.operation;
    operation.kind = static_cast<comm::Kind>(command.collective());
    for (const Part *part : *command.parts())
      operation.parts.push_back({resolve(*part->send(), parameters, states),
                                 resolve(*part->receive(), parameters, states),
                                 part->rows(), part->row_bytes(),
                                 static_cast<hadal::DType>(part->dtype()),
                                 part->count_column()});
    if (command.counts())
      operation.counts = resolve(*command.counts(), parameters, states);
    operation.countStride = command.count_stride();
    operation.sequence = list.collectives.size();
    operation.label = command.label()->str();
    const std::vector<std::string_view> layers = layersOf(states);
    if (layers.size() == 1)
      operation.label += fmt::format(", layer {}", layers[0]);
    else if (layers.size() == 2)
      operation.label +=
          fmt::format(", layers {} and {}", layers[0], layers[1]);
    add(RankCommand::Kind::start, command.stream(),
        static_cast<uint32_t>(list.collectives.size()));
    list.collectives.push_back(std::move(result));
  }

  /// The layers whose caches |states| have: one, or of two micro-batches two.
  std::vector<std::string_view>
  layersOf(std::span<const uint32_t> states) const {
    constexpr std::string_view kCache = "kv.";
    std::vector<std::string_view> layers;
    for (uint32_t state : states)
      if (std::string_view name =
              artifact.states()->Get(state)->name()->string_view();
          name.starts_with(kCache))
        layers.push_back(name.substr(kCache.size()));
    return layers;
  }

  /// 17 where |states| have "kv.17" and no other cache; else -1.
  int32_t layerNumber(std::span<const uint32_t> states) const {
    const std::vector<std::string_view> layers = layersOf(states);
    if (layers.size() != 1)
      return -1;
    int32_t number = -1;
    const char *end = layers[0].data() + layers[0].size();
    auto [at, fault] = std::from_chars(layers[0].data(), end, number);
    return fault == std::errc() && at == end ? number : -1;
  }

  void add(RankCommand::Kind kind, uint32_t stream, uint32_t index) {
    list.commands.push_back({kind, static_cast<uint8_t>(stream), index,
                             static_cast<uint32_t>(list.launches.size())});
  }

  uint64_t resolve(const Arg &arg, std::span<const uint32_t> parameters,
                   std::span<const uint32_t> states) const {
    switch (arg.kind()) {
    case ArgKind::arena:
      return bindings.arena + arg.value();
    case ArgKind::parameter:
      return bindings.parameters[parameters[arg.index()]];
    case ArgKind::state:
      return bindings.states[states[arg.index()]] + arg.value();
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
  auto all = [](size_t count) {
    std::vector<uint32_t> indices(count);
    std::iota(indices.begin(), indices.end(), 0);
    return indices;
  };
  flattener.run(*artifact.functions()->Get(entry.function()),
                all(artifact.parameters()->size()),
                all(artifact.states()->size()));
  flattener.list.arena = bindings.arena;
  flattener.list.arenaBytes = entry.arena_bytes();
  return std::move(flattener.list);
}

} // namespace hadal
