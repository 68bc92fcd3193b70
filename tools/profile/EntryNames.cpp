#include "tools/profile/EntryNames.h"

#include <algorithm>
#include <charconv>

#include "runtime/device/Program.h"
#include "runtime/schemas/EntryKinds.h"

namespace hadal::profile {

namespace {

/// "dispatch, layer 17" as "dispatch" and 17; of "dispatch, layers 17 and 18"
/// no number.
void setLabel(const std::string &text, CollectiveName &name) {
  constexpr std::string_view kLayer = ", layer ";
  name.label = text.substr(0, text.find(", layer"));
  if (const size_t at = text.find(kLayer); at != std::string::npos)
    std::from_chars(text.data() + at + kLayer.size(), text.data() + text.size(),
                    name.layer);
}

EntryNames namesOf(const schema::Artifact &artifact,
                   const schema::Entry &entry) {
  // Names need no addresses.
  Bindings bindings;
  bindings.parameters.resize(artifact.parameters()->size());
  bindings.states.resize(artifact.states()->size());
  const LaunchList list = flatten(artifact, entry, bindings);
  EntryNames names;
  names.name = entry.name()->str();
  names.isHead = artifact::isHead(entry.kind());
  const auto *keys = artifact.op_names();
  for (const Launch &launch : list.launches) {
    const bool hasKey = keys && launch.op >= 0 &&
                        static_cast<uint32_t>(launch.op) < keys->size();
    names.launches.push_back(
        {launch.kernel,
         hasKey ? keys->Get(static_cast<uint32_t>(launch.op))->str()
                : artifact.kernels()->Get(launch.kernel)->name()->str(),
         launch.layer});
  }
  for (const Collective &collective : list.collectives) {
    CollectiveName name;
    setLabel(collective.operation.label, name);
    name.communicator = collective.communicator;
    name.sequence = collective.operation.sequence;
    auto known = std::ranges::find(names.labels, name.label);
    name.labelIndex = static_cast<unsigned>(known - names.labels.begin());
    if (known == names.labels.end())
      names.labels.push_back(name.label);
    names.collectives.push_back(std::move(name));
  }
  return names;
}

} // namespace

std::vector<EntryNames> entryNames(const Artifact &artifact) {
  std::vector<EntryNames> all;
  for (const schema::Entry *entry : *artifact.root().entries())
    all.push_back(namesOf(artifact.root(), *entry));
  return all;
}

} // namespace hadal::profile
