#include "tools/hadal-bench/KernelLaunch.h"

#include <algorithm>

#include <fmt/format.h>

#include "runtime/artifact/Verify.h"
#include "tools/common/SpecOf.h"

namespace hadal::bench {

std::vector<Sample> sampleLaunches(const schema::Artifact &root) {
  std::vector<Sample> samples(root.kernels()->size());
  Bindings bindings;
  bindings.parameters.resize(root.parameters()->size());
  bindings.states.resize(root.states()->size());
  for (const schema::Entry *entry : *root.entries()) {
    LaunchList list = flatten(root, *entry, bindings);
    for (const Launch &launch : list.launches) {
      Sample &sample = samples[launch.kernel];
      if (sample.entry && launch.items <= sample.items)
        continue;
      const uint64_t *args = list.args.data() + launch.firstArg;
      sample = {entry,
                launch.items,
                {args, args + root.kernels()->Get(launch.kernel)->num_args()}};
    }
  }
  return samples;
}

static Bucket bucketOf(const schema::Artifact &artifact,
                       const schema::Kernel &kernel, const Sample &sample) {
  const schema::Model &model = *artifact.model();
  Bucket bucket;
  bucket.tokens = std::max<uint64_t>(sample.entry->tokens(), 1);
  bucket.rows = std::max<uint64_t>(sample.entry->rows(), 1);
  bucket.logitRows = std::max<uint64_t>(sample.entry->logit_rows(), 1);
  bucket.maxSeqLen = model.max_seq_len();
  bucket.experts = artifact::localExperts(artifact);
  bucket.topk = model.num_experts_per_token();
  bucket.extent = [&](std::string_view argument, unsigned dim) -> uint64_t {
    const std::string name = fmt::format("{}.extent{}", argument, dim);
    for (unsigned i = 0; i < kernel.arg_names()->size(); ++i)
      if (kernel.arg_names()->Get(i)->string_view() == name)
        return sample.args[i];
    return 0;
  };
  return bucket;
}

StatusOr<std::unique_ptr<KernelCase>> makeCaseOf(const Artifact &artifact,
                                                 unsigned index,
                                                 const Sample &sample,
                                                 uint64_t seed) {
  const schema::Kernel &kernel = *artifact.root().kernels()->Get(index);
  const kernels::ParsedSpec spec = specOf(kernel);
  if (!spec.spec)
    return error(4002,
                 "kernel '{}' of '{}' cannot be measured: {}; compile the "
                 "model with this version",
                 kernel.name()->string_view(), artifact.path(), spec.error);
  if (!sample.entry)
    return error(5014, "kernel '{}' of '{}' is never launched",
                 kernel.name()->string_view(), artifact.path());
  if (const auto *gemm = std::get_if<kernels::GemmSpec>(&*spec.spec);
      gemm && gemm->weight == kernels::Weight::int4)
    return error(5014,
                 "kernel '{}' of '{}' cannot be measured alone: its weights "
                 "are int4, of which no input is made; leave it out with "
                 "--kernels, or measure whole steps",
                 kernel.name()->string_view(), artifact.path());
  return makeKernelCase(*spec.spec, bucketOf(artifact.root(), kernel, sample),
                        seed);
}

Status addLaunch(const Artifact &artifact, unsigned index, const Sample &sample,
                 const DeviceArguments &arguments, LaunchList &list) {
  const schema::Kernel &kernel = *artifact.root().kernels()->Get(index);
  const size_t first = list.args.size();
  list.args.insert(list.args.end(), sample.args.begin(), sample.args.end());
  for (unsigned i = 0; i < kernel.arg_names()->size(); ++i) {
    std::string_view slot = kernel.arg_names()->Get(i)->string_view();
    if (slot.find(".extent") != std::string_view::npos)
      continue;
    std::optional<uint64_t> address = arguments.slot(slot);
    if (!address)
      return error(5014, "kernel '{}': argument '{}' has no input",
                   kernel.name()->string_view(), slot);
    list.args[first + i] = *address;
  }
  list.launches.push_back({index, static_cast<uint32_t>(first), sample.items});
  return {};
}

} // namespace hadal::bench
