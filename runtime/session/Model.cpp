#include "runtime/session/Model.h"

#include <chrono>

namespace hadal {

// ParameterSpec mirrors the schema, so that the loader needs no flatbuffers.
static_assert(int(DType::u8) == int(schema::DType::u8) &&
              int(DType::f8e8m0fnu) == int(schema::DType::f8e8m0fnu));
static_assert(int(ParameterKind::generated) ==
              int(schema::ParameterKind::generated));
static_assert(int(Placement::copy) == int(schema::Placement::copy));
static_assert(int(Generator::ropeCosSin) ==
              int(schema::Generator::rope_cos_sin));

std::vector<ParameterSpec> parameterSpecs(const schema::Artifact &artifact) {
  std::vector<ParameterSpec> specs;
  for (const schema::Parameter *p : *artifact.parameters()) {
    ParameterSpec spec;
    spec.name = p->name()->str();
    spec.kind = static_cast<ParameterKind>(p->kind());
    spec.place = static_cast<Placement>(p->place());
    spec.dtype = static_cast<DType>(p->dtype());
    for (unsigned i = 0; i < p->file_dtypes()->size(); ++i)
      spec.fileDtypes.push_back(static_cast<DType>(p->file_dtypes()->Get(i)));
    for (const flatbuffers::String *part : *p->parts())
      spec.parts.push_back(part->str());
    spec.count = p->count();
    spec.rows.assign(p->rows()->begin(), p->rows()->end());
    spec.inner.assign(p->inner()->begin(), p->inner()->end());
    spec.segmentRows = p->segment_rows();
    spec.isScale = p->is_scale();
    spec.isFinite = p->is_finite();
    spec.generator = static_cast<Generator>(p->generator());
    if (p->inv_freq())
      spec.invFreq.assign(p->inv_freq()->begin(), p->inv_freq()->end());
    spec.positions = p->positions();
    spec.scale = p->scale();
    specs.push_back(std::move(spec));
  }
  return specs;
}

StatusOr<std::unique_ptr<Model>> Model::load(std::unique_ptr<Driver> driver,
                                             const ModelOptions &options) {
  const auto begin = std::chrono::steady_clock::now();
  HADAL_ASSIGN_OR_RETURN(Artifact artifact,
                         Artifact::open(options.artifactPath));
  if (artifact.target() != driver->target())
    return error(4007,
                 "artifact '{}' was built for target '{}', device '{}' runs "
                 "'{}'; compile with --target={}",
                 artifact.path(), artifact.target(), driver->name(),
                 driver->target(), driver->target());
  if (!driver->sharesHostMemory())
    return error(5007,
                 "device '{}' does not share the host's memory, and this "
                 "runtime uses weights where they are mapped; use --device "
                 "cpu",
                 driver->name());
  WeightLoadOptions weightOptions;
  weightOptions.prefetch = options.prefetch;
  weightOptions.quiet = options.quiet;
  HADAL_ASSIGN_OR_RETURN(WeightStore weights,
                         WeightStore::load(options.weightsDirectory,
                                           parameterSpecs(artifact.root()),
                                           weightOptions));
  std::unique_ptr<Model> model(new Model(
      std::move(driver), std::move(artifact), std::move(weights)));
  HADAL_ASSIGN_OR_RETURN(model->executable_,
                         model->driver_->load(model->artifact_));
  for (size_t i = 0; i < model->weights_.size(); ++i)
    model->parameters_.push_back(model->weights_.argument(i));
  model->weightsDirectory_ = options.weightsDirectory;
  std::chrono::duration<double> spent =
      std::chrono::steady_clock::now() - begin;
  model->loadSeconds_ = spent.count();
  return model;
}

} // namespace hadal
