#include "tools/hadal-predict/LayerChain.h"

#include <map>

namespace hadal::predict {

namespace {

using cost::Command;

/// Where the stages of a layer are cut beside its collectives.
bool isAttention(const kernels::AnySpec &spec) {
  return std::holds_alternative<kernels::MlaDecodeSpec>(spec) ||
         std::holds_alternative<kernels::MlaPrefillSpec>(spec);
}
bool isCombination(const kernels::AnySpec &spec) {
  return std::holds_alternative<kernels::MoeCombineSpec>(spec);
}

class ChainBuilder {
public:
  /// |first| is the collective that the layer begins with.
  explicit ChainBuilder(const Command &first) : last(first.collective.label) {
    chain.push_back({"shared", 0, 0, "", std::nullopt});
  }

  void add(const PricedCommand &priced) {
    const Command &command = priced.command;
    switch (command.kind) {
    case Command::Kind::launch:
      launch(priced);
      break;
    case Command::Kind::collective:
      chain.back().starts = command.collective;
      last = command.collective.label;
      // What follows runs beside it.
      chain.push_back(
          {"beside_" + command.collective.label, 0, 0, "", std::nullopt});
      break;
    case Command::Kind::record:
      if (command.stream == 1)
        doneBy[command.event] = last;
      break;
    case Command::Kind::wait:
      if (auto done = doneBy.find(command.event);
          command.stream == 0 && done != doneBy.end()) {
        await(done->second);
        doneBy.erase(done);
      }
      break;
    }
  }

  /// |next| is the collective of the next layer.
  cost::Chain finish(const Command &next) {
    chain.back().starts = next.collective;
    return std::move(chain);
  }

private:
  void await(const std::string &label) {
    // Nothing beside it: one stage starts it, the next awaits it. One that
    // awaits another collective stays: nothing else says so.
    if (chain.size() > 1 && chain.back().launches == 0 &&
        chain.back().awaits.empty())
      chain.pop_back();
    chain.push_back({"after_" + label, 0, 0, label, std::nullopt});
  }

  void launch(const PricedCommand &priced) {
    if (chain.back().launches > 0) {
      if (priced.spec && isAttention(*priced.spec))
        chain.push_back({"attend", 0, 0, "", std::nullopt});
      else if (combined)
        chain.push_back({"project", 0, 0, "", std::nullopt});
    }
    combined = priced.spec && isCombination(*priced.spec);
    chain.back().us += priced.command.us;
    ++chain.back().launches;
  }

  cost::Chain chain;
  std::string last; ///< collective that was started
  /// The collective of each event that says that it is done.
  std::map<unsigned, std::string> doneBy;
  bool combined = false; ///< the last launch was the layer's combination
};

} // namespace

std::optional<cost::Chain>
findLayerChain(const std::vector<PricedCommand> &commands) {
  std::vector<size_t> starts;
  for (size_t i = 0; i < commands.size(); ++i)
    if (commands[i].command.kind == Command::Kind::collective &&
        commands[i].command.collective.label == "dispatch")
      starts.push_back(i);
  if (starts.size() < 2)
    return std::nullopt;
  const size_t middle = (starts.size() - 2) / 2;
  ChainBuilder builder(commands[starts[middle]].command);
  for (size_t i = starts[middle] + 1; i < starts[middle + 1]; ++i)
    builder.add(commands[i]);
  return builder.finish(commands[starts[middle + 1]].command);
}

} // namespace hadal::predict
