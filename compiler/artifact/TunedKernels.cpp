#include "compiler/artifact/TunedKernels.h"

#include "dialects/Exec/IR/Exec.h"
#include "kernels/SpecAttr.h"
#include "schedule/Attribute.h"

using namespace mlir;

namespace hadal {

std::string tuningName(tile::KernelOp kernel) {
  if (!kernel.getSpecAttr())
    return "";
  kernels::ParsedSpec spec =
      kernels::parseSpec(kernels::toText(kernel.getSpecAttr()));
  return spec.spec ? kernels::printSpec(*spec.spec) : "";
}

TunedKernels::TunedKernels(ModuleOp module, std::vector<Status> &warnings) {
  auto lines = module->getAttrOfType<ArrayAttr>(exec::kTunedAttr);
  if (!lines)
    return;
  for (Attribute attribute : lines) {
    auto line = dyn_cast<StringAttr>(attribute);
    StatusOr<tune::Entry> entry = tune::parseEntry(
        line ? std::string_view(line.getValue()) : std::string_view(),
        exec::kTunedAttr.str());
    Status status = entry.ok() ? entries.put(*entry) : entry.status();
    if (!status.ok())
      warnings.push_back(status);
  }
  for (const auto &[key, entry] : entries.entries())
    byName.emplace(key.kernel, &entry);
}

const tune::Entry *TunedKernels::entryOf(tile::KernelOp kernel) const {
  auto at = byName.find(tuningName(kernel));
  std::string error;
  auto schedule = schedule::fromAttribute(kernel.getSchedule(), error);
  if (at == byName.end() || !schedule ||
      schedule->words != at->second->winner.schedule)
    return nullptr;
  // By hand the same words are the hand's.
  for (const auto &[word, value] : schedule->words) {
    auto given = schedule->given.find(word);
    if (given == schedule->given.end() ||
        given->second != schedule::Origin::tuned)
      return nullptr;
  }
  return at->second;
}

schema::KernelChoice TunedKernels::choiceOf(tile::KernelOp kernel) const {
  if (const tune::Entry *entry = entryOf(kernel))
    return entry->source == tune::Source::tuned ? schema::KernelChoice::tuned
                                                : schema::KernelChoice::model;
  return kernel.getSchedule().getGiven().empty() ? schema::KernelChoice::rule
                                                 : schema::KernelChoice::given;
}

void TunedKernels::store(ModuleOp module, const tune::Database &entries) {
  SmallVector<Attribute> lines;
  for (const auto &[key, entry] : entries.entries())
    lines.push_back(StringAttr::get(module.getContext(), tune::lineOf(entry)));
  if (lines.empty())
    module->removeAttr(exec::kTunedAttr);
  else
    module->setAttr(exec::kTunedAttr,
                    ArrayAttr::get(module.getContext(), lines));
}

} // namespace hadal
