#include "tools/hadal-extract/ExtractKernels.h"

#include <algorithm>
#include <map>
#include <regex>

#include "runtime/schemas/ArtifactFile.h"
#include "runtime/schemas/CollectiveDigest.h"
#include "tools/common/SpecOf.h"

namespace hadal::extract {

namespace {

/// The spec of |kernel| as --kernels prints it; empty if this version reads
/// none.
std::string printedSpec(const schema::Kernel &kernel) {
  const kernels::ParsedSpec parsed = specOf(kernel);
  return parsed.spec ? kernels::printSpec(*parsed.spec) : "";
}

/// Numbers the blobs that are still referred to, in the order of first use.
class Blobs {
public:
  explicit Blobs(const Artifact &artifact) : artifact(artifact) {}

  uint32_t use(uint32_t blob) {
    auto [it, isNew] = numbers.try_emplace(blob, contents.size());
    if (isNew) {
      contents.push_back(
          {artifact.blob(blob), artifact.root().blobs()->Get(blob)->bytes()});
      compressed.push_back(artifact.root().blobs()->Get(blob)->zstd());
    }
    return it->second;
  }

  std::vector<artifact::BlobContent> contents;
  std::vector<bool> compressed;

private:
  const Artifact &artifact;
  std::map<uint32_t, uint32_t> numbers;
};

bool stays(const schema::CommandT &command, const std::vector<int> &numbers) {
  return command.kind == schema::CommandKind::call ||
         command.kind == schema::CommandKind::repeat ||
         (command.kind == schema::CommandKind::launch &&
          numbers[command.kernel] >= 0);
}

} // namespace

StatusOr<std::vector<unsigned>> selectKernels(const Artifact &artifact,
                                              const Selection &selection) {
  const schema::Artifact &root = artifact.root();
  std::regex pattern;
  try {
    pattern.assign(selection.pattern);
  } catch (const std::regex_error &e) {
    return error(5011, "--kernel '{}' is not a regular expression: {}",
                 selection.pattern, e.what());
  }
  std::vector<bool> launched(root.kernels()->size(),
                             selection.operation.empty());
  if (!selection.operation.empty())
    for (const schema::Function *function : *root.functions())
      for (const schema::Command *command : *function->commands())
        if (command->kind() == schema::CommandKind::launch &&
            command->op() >= 0 &&
            root.op_names()->Get(command->op())->string_view() ==
                selection.operation)
          launched[command->kernel()] = true;
  std::vector<unsigned> selected;
  for (unsigned k = 0; k < root.kernels()->size(); ++k) {
    const schema::Kernel &kernel = *root.kernels()->Get(k);
    if (launched[k] && (std::regex_search(kernel.name()->str(), pattern) ||
                        std::regex_search(printedSpec(kernel), pattern)))
      selected.push_back(k);
  }
  if (selected.empty())
    return error(5011,
                 "--kernel '{}'{} selects none of the {} kernels of '{}'; "
                 "hadal-inspect --kernels lists them, --program the operations",
                 selection.pattern,
                 selection.operation.empty()
                     ? ""
                     : " of --op '" + selection.operation + "'",
                 root.kernels()->size(), artifact.path());
  return selected;
}

StatusOr<std::vector<uint8_t>>
extractKernels(const Artifact &artifact, const std::vector<unsigned> &kernels) {
  schema::ArtifactT root;
  artifact.root().UnPackTo(&root);
  std::vector<int> numbers(root.kernels.size(), -1); // by old index
  Blobs blobs(artifact);

  std::vector<std::unique_ptr<schema::KernelT>> kept;
  for (unsigned k : kernels) {
    numbers[k] = static_cast<int>(kept.size());
    for (auto &code : root.kernels[k]->code)
      code->blob = blobs.use(code->blob);
    kept.push_back(std::move(root.kernels[k]));
  }
  root.kernels = std::move(kept);
  for (auto &image : root.images) {
    std::vector<uint64_t> offsets;
    for (unsigned k : kernels)
      offsets.push_back(image->entry_offsets[k]);
    image->entry_offsets = std::move(offsets);
    image->blob = blobs.use(image->blob);
  }

  for (auto &function : root.functions) {
    std::erase_if(function->commands, [&](const auto &command) {
      return !stays(*command, numbers);
    });
    function->num_events = 0;
    for (auto &command : function->commands)
      if (command->kind == schema::CommandKind::launch)
        command->kernel = static_cast<uint32_t>(numbers[command->kernel]);
  }
  for (auto &entry : root.entries)
    entry->collective_digest = artifact::CollectiveDigest().finish();

  root.blobs.clear();
  for (bool zstd : blobs.compressed) {
    // A placeholder (ArtifactFile.h): no number may be its default.
    auto blob = std::make_unique<schema::BlobT>();
    blob->offset = blob->bytes = blob->stored_bytes = blob->xxh3 = ~uint64_t(0);
    blob->zstd = zstd;
    root.blobs.push_back(std::move(blob));
  }
  flatbuffers::FlatBufferBuilder b;
  b.Finish(schema::CreateArtifact(b, &root), artifact::kIdentifier);
  auto file = artifact::assembleArtifact(
      {b.GetBufferPointer(), b.GetBufferPointer() + b.GetSize()},
      blobs.contents);
  if (!file)
    return error(1001, "the manifest and its blobs disagree");
  return std::move(*file);
}

} // namespace hadal::extract
