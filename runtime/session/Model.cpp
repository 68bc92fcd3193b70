#include "runtime/session/Model.h"

#include <algorithm>
#include <chrono>
#include <set>

#include "runtime/comm/Agreement.h"
#include "runtime/session/Join.h"
#include "runtime/session/MemoryPlan.h"
#include "runtime/weights/WeightValues.h"

namespace hadal {

// ParameterSpec mirrors the schema, so that the loader needs no flatbuffers.
static_assert(int(DType::u8) == int(schema::DType::u8) &&
              int(DType::f8e8m0fnu) == int(schema::DType::f8e8m0fnu));
static_assert(int(ParameterKind::generated) ==
              int(schema::ParameterKind::generated));
static_assert(int(Placement::copy) == int(schema::Placement::copy));
static_assert(int(Generator::ropeCosSin) ==
                  int(schema::Generator::rope_cos_sin) &&
              int(Generator::placementTable) ==
                  int(schema::Generator::placement_table));

/// How long a rank that has read its weights waits for the others at least.
static constexpr std::chrono::minutes kLoadPatience{30};

/// What of a parameter is the rank's own.
static void shareOut(const schema::Parameter &p, const RankLayout &layout,
                     const ExpertPlacement &placement, ParameterSpec &spec) {
  const uint32_t layer = static_cast<uint32_t>(p.layer());
  if (spec.generator == Generator::placementTable) {
    spec.table = placement.table(layer, p.replicas());
    spec.tableColumns = 1 + p.replicas();
    return;
  }
  const schema::Slice *slice = p.slice();
  if (!slice || slice->axis() == schema::Axis::none)
    return;
  if (spec.kind == ParameterKind::stack && slice->axis() == schema::Axis::ep) {
    const std::span<const uint32_t> mine =
        placement.of(layer, layout.index(schema::Axis::ep));
    spec.members.assign(mine.begin(), mine.end());
    return;
  }
  spec.slice = {slice->dim(), layout.index(slice->axis()),
                layout.size(slice->axis())};
}

std::vector<ParameterSpec> parameterSpecs(const schema::Artifact &artifact,
                                          const RankLayout &layout,
                                          const ExpertPlacement &placement) {
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
    if (p->copies())
      for (const flatbuffers::String *copy : *p->copies())
        spec.copies.push_back(copy->str());
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
    spec.rowPitch = p->row_pitch();
    if (p->scale_parts())
      for (const flatbuffers::String *part : *p->scale_parts())
        spec.scaleParts.push_back(part->str());
    if (p->scale_dtypes())
      for (unsigned i = 0; i < p->scale_dtypes()->size(); ++i)
        spec.scaleDtypes.push_back(
            static_cast<DType>(p->scale_dtypes()->Get(i)));
    spec.scaleBlockRows = p->scale_block_rows();
    spec.scaleBlockCols = p->scale_block_cols();
    shareOut(*p, layout, placement, spec);
    specs.push_back(std::move(spec));
  }
  return specs;
}

std::vector<ParameterSpec> parameterSpecs(const schema::Artifact &artifact) {
  const schema::Mesh *mesh = artifact.mesh();
  if (!mesh)
    return parameterSpecs(artifact, {}, {});
  return parameterSpecs(artifact, {0, mesh->tp(), mesh->dp(), mesh->ep()},
                        defaultPlacement(placementShape(artifact)));
}

StatusOr<std::unique_ptr<Model>> Model::load(std::unique_ptr<Driver> driver,
                                             const ModelOptions &options) {
  HADAL_ASSIGN_OR_RETURN(Artifact artifact,
                         Artifact::open(options.artifactPath));
  return load(std::move(driver), std::move(artifact), options);
}

StatusOr<std::unique_ptr<Model>> Model::load(std::unique_ptr<Driver> driver,
                                             Artifact artifact,
                                             const ModelOptions &options) {
  const auto begin = std::chrono::steady_clock::now();
  std::unique_ptr<Model> model(
      new Model(std::move(driver), std::move(artifact)));
  model->group_ = options.group;
  model->weightsDirectory_ = options.weightsDirectory;
  // What one rank lacks must end all of them: each part ends with all ranks'
  // outcomes.
  auto together = [&](Status status, std::chrono::milliseconds patience) {
    return options.group
               ? comm::shareStatus(*options.group, status,
                                   std::chrono::steady_clock::now() + patience)
               : status;
  };
  HADAL_RETURN_IF_ERROR(together(model->prepare(options), options.timeout));
  if (options.group)
    HADAL_RETURN_IF_ERROR(
        joinRanks(*options.group, model->artifact_, model->placement_,
                  options.weightsDirectory,
                  std::chrono::steady_clock::now() + options.timeout));
  // Ranks read at different speeds, from disks of their own; one that is lost is
  // noticed by its socket or its silence.
  HADAL_RETURN_IF_ERROR(
      together(model->loadWeights(options),
               std::max<std::chrono::milliseconds>(options.timeout,
                                                   kLoadPatience)));
  const auto &ids = *model->description().eos_token_ids();
  std::set<int32_t> eos(ids.begin(), ids.end());
  eos.insert(model->generation_.eosTokenIds.begin(),
             model->generation_.eosTokenIds.end());
  model->eosTokenIds_.assign(eos.begin(), eos.end());
  std::chrono::duration<double> spent =
      std::chrono::steady_clock::now() - begin;
  model->loadSeconds_ = spent.count();
  return model;
}

Status Model::prepare(const ModelOptions &options) {
  if (artifact_.target() != driver_->target())
    return error(4007,
                 "artifact '{}' was built for target '{}', device '{}' runs "
                 "'{}'; compile with --target={}",
                 artifact_.path(), artifact_.target(), driver_->name(),
                 driver_->target(), driver_->target());
  HADAL_ASSIGN_OR_RETURN(
      layout_, rankLayout(artifact_.root(), artifact_.path(),
                          options.group ? options.group->rank() : 0,
                          options.group ? options.group->size() : 0));
  HADAL_ASSIGN_OR_RETURN(
      generation_, GenerationConfig::load(options.weightsDirectory,
                                          description().vocab_size()));
  HADAL_RETURN_IF_ERROR(loadPlacement(options));
  if (!driver_->sharesHostMemory()) {
    HADAL_ASSIGN_OR_RETURN(
        MemoryPlan plan, planModel(*driver_, artifact_,
                                   cachePagesFor(description(), options.rows)));
    HADAL_RETURN_IF_ERROR(checkMemory(*driver_, artifact_, plan));
  }
  HADAL_ASSIGN_OR_RETURN(executable_, driver_->load(artifact_));
  return {};
}

Status Model::loadPlacement(const ModelOptions &options) {
  const schema::Artifact &root = artifact_.root();
  if (!options.placementPath.empty() &&
      (!root.mesh() || !root.model()->num_experts()))
    return error(6008,
                 "placement '{}' given, artifact '{}' has no experts that "
                 "ranks share; leave it out",
                 options.placementPath, artifact_.path());
  if (!root.mesh() || !root.model()->num_experts())
    return {};
  const PlacementShape shape = placementShape(root);
  if (options.placementPath.empty()) {
    placement_ = defaultPlacement(shape);
    return checkPlacement(placement_, shape, "the default placement");
  }
  HADAL_ASSIGN_OR_RETURN(placement_,
                         readPlacement(options.placementPath, shape));
  return {};
}

Status Model::loadWeights(const ModelOptions &options) {
  WeightLoadOptions weightOptions;
  weightOptions.prefetch = options.prefetch;
  weightOptions.quiet = options.quiet;
  weightOptions.interrupt = options.interrupt;
  // One rank checks the whole checkpoint, several share the work.
  weightOptions.allFiles = !group_;
  const std::vector<ParameterSpec> specs =
      parameterSpecs(artifact_.root(), layout_, placement_);
  const bool shared = driver_->sharesHostMemory();
  HADAL_ASSIGN_OR_RETURN(
      WeightStore host,
      WeightStore::load(options.weightsDirectory,
                        shared ? specs : hostSpecs(specs), weightOptions));
  statistics_ = host.statistics();
  if (shared) {
    weights_ = std::move(host);
    for (size_t i = 0; i < weights_->size(); ++i)
      parameters_.push_back(weights_->argument(i));
    return {};
  }
  HADAL_ASSIGN_OR_RETURN(
      uploaded_, DeviceWeights::upload(*driver_, host, specs, options.quiet,
                                        options.interrupt));
  for (size_t i = 0; i < uploaded_->size(); ++i)
    parameters_.push_back(uploaded_->argument(i));
  return {};
}

Status Model::withCause(const Status &failure) const {
  StatusOr<std::string> cause =
      findNonFinite(weightsDirectory_,
                    parameterSpecs(artifact_.root(), layout_, placement_));
  if (!cause.ok() || cause->empty())
    return failure;
  return error(failure.code(), "{}; {}", failure.message(), *cause);
}

} // namespace hadal
