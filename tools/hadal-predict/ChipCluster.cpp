#include "tools/hadal-predict/ChipCluster.h"

#include "cost/Chip.h"

namespace hadal::predict {

std::optional<cost::Cluster> chipCluster(const Artifact &artifact) {
  const nvptx::Chip *chip = nullptr;
  for (const schema::KeyValue *option :
       *artifact.root().provenance()->options())
    if (option->key()->string_view() == "chip")
      chip = nvptx::findChip(option->value()->string_view());
  if (!chip)
    return std::nullopt;
  cost::Cluster cluster;
  cluster.name = fmt::format("{} at its peaks", chip->name);
  cluster.chip = std::string(chip->description);
  cluster.multiprocessors = chip->multiprocessors;
  cluster.memoryBytes = static_cast<double>(chip->memoryBytes);
  cluster.roofline.memoryBytesPerUs = chip->memoryRate * 1e-6;
  cluster.roofline.bf16PerUs = chip->bf16Rate * 1e-6;
  cluster.roofline.fp8PerUs = chip->fp8Rate * 1e-6;
  return cluster;
}

} // namespace hadal::predict
