// A loaded model: artifact, weights and kernels on one device.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "runtime/artifact/Artifact.h"
#include "runtime/comm/Group.h"
#include "runtime/device/Driver.h"
#include "runtime/session/GenerationConfig.h"
#include "runtime/session/RankLayout.h"
#include "runtime/upload/DeviceWeights.h"
#include "runtime/weights/WeightStore.h"

namespace hadal {

struct ModelOptions {
  std::string artifactPath;
  /// The checkpoint directory the artifact was compiled for.
  std::string weightsDirectory;
  /// Ask the system to read the weights ahead.
  bool prefetch = true;
  /// No progress on stderr.
  bool quiet = false;
  /// Rows of the sessions to come, for the prediction of device memory; 0: the
  /// artifact's max_batch_size.
  uint32_t rows = 0;
  /// Of a run of several ranks: all of them, which load and step together; null:
  /// one rank. It must outlive the model.
  comm::Group *group = nullptr;
  /// Of several ranks: how long one waits for the others while they load.
  std::chrono::milliseconds timeout = std::chrono::minutes(10);
  /// Of several ranks: a file that says which experts each holds; empty: expert
  /// (r * slots + s) mod E in slot s of rank r.
  std::string placementPath;
  /// Polled while weights are read and uploaded: H5016.
  const std::atomic<bool> *interrupt = nullptr;
};

/// What is read-only and shared by all sessions of a model.
class Model {
public:
  /// Opens and verifies the artifact, then as below. Errors: those of
  /// Artifact::open, too.
  static StatusOr<std::unique_ptr<Model>> load(std::unique_ptr<Driver> driver,
                                               const ModelOptions &options);
  /// Resolves and checks everything for |artifact|, which options.artifactPath
  /// names. The target, the device's memory and that the device runs the
  /// kernels are checked before any weight is touched. Weights are used where
  /// they are mapped, or uploaded where the device has its own memory. Errors:
  /// H4007, H5006, H5009 for generation_config.json, H6004 where the artifact
  /// was built for another number of ranks, H6008 for the placement, H6003 where
  /// ranks differ, those of Driver::load and WeightStore::load. The error of one
  /// rank is that of all.
  static StatusOr<std::unique_ptr<Model>> load(std::unique_ptr<Driver> driver,
                                               Artifact artifact,
                                               const ModelOptions &options);

  const Artifact &artifact() const { return artifact_; }
  const schema::Model &description() const { return artifact_.model(); }
  Driver &driver() const { return *driver_; }
  Executable &executable() const { return *executable_; }
  /// Null for one rank.
  comm::Group *group() const { return group_; }
  const RankLayout &layout() const { return layout_; }
  /// Which experts each rank holds; empty for one rank.
  const ExpertPlacement &placement() const { return placement_; }
  /// The weights in the host's memory; null where they have been uploaded.
  const WeightStore *hostWeights() const {
    return weights_ ? &*weights_ : nullptr;
  }
  /// What the weights took on the host, also where it has been freed again.
  const WeightStatistics &weightStatistics() const { return statistics_; }
  /// Bytes of weights in the device's own memory.
  uint64_t uploadedBytes() const { return uploaded_ ? uploaded_->bytes() : 0; }
  const std::string &weightsDirectory() const { return weightsDirectory_; }
  /// |failure|, an H5008, with the first weight that is not finite, if there is
  /// one. Reads all weights.
  Status withCause(const Status &failure) const;
  /// The kernel argument of each artifact parameter.
  std::span<const DeviceAddress> parameters() const { return parameters_; }
  /// generation_config.json of the checkpoint.
  const GenerationConfig &generation() const { return generation_; }
  /// Ids that end a sequence: those of config.json, which the artifact holds,
  /// and of generation_config.json; ascending.
  std::span<const int32_t> eosTokenIds() const { return eosTokenIds_; }
  double loadSeconds() const { return loadSeconds_; }

private:
  Model(std::unique_ptr<Driver> driver, Artifact artifact)
      : driver_(std::move(driver)), artifact_(std::move(artifact)) {}
  /// All but the weights.
  Status prepare(const ModelOptions &options);
  Status loadWeights(const ModelOptions &options);
  Status loadPlacement(const ModelOptions &options);

  // In this order: the executable refers to the artifact and the driver.
  std::unique_ptr<Driver> driver_;
  Artifact artifact_;
  std::optional<WeightStore> weights_;
  std::optional<DeviceWeights> uploaded_;
  WeightStatistics statistics_;
  std::unique_ptr<Executable> executable_;
  std::string weightsDirectory_;
  std::vector<DeviceAddress> parameters_;
  comm::Group *group_ = nullptr;
  RankLayout layout_;
  ExpertPlacement placement_;
  GenerationConfig generation_;
  std::vector<int32_t> eosTokenIds_;
  double loadSeconds_ = 0;
};

/// The parameters of |artifact| as the weight loader takes them: of the rank in
/// |layout|, with the experts that |placement| gives it.
std::vector<ParameterSpec> parameterSpecs(const schema::Artifact &artifact,
                                          const RankLayout &layout,
                                          const ExpertPlacement &placement);
/// Those of rank 0 without a placement file: their sizes are every rank's.
std::vector<ParameterSpec> parameterSpecs(const schema::Artifact &artifact);

} // namespace hadal
