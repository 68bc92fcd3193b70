// A loaded model: artifact, weights and kernels on one device.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "runtime/artifact/Artifact.h"
#include "runtime/device/Driver.h"
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
};

/// What is read-only and shared by all sessions of a model.
class Model {
public:
  /// Opens, verifies, resolves and checks everything. The target and an image
  /// for this CPU are checked before any weight is touched. Errors: those of
  /// Artifact::open, Driver::load and WeightStore::load.
  static StatusOr<std::unique_ptr<Model>> load(std::unique_ptr<Driver> driver,
                                               const ModelOptions &options);

  const Artifact &artifact() const { return artifact_; }
  const schema::Model &description() const { return artifact_.model(); }
  Driver &driver() const { return *driver_; }
  Executable &executable() const { return *executable_; }
  const WeightStore &weights() const { return weights_; }
  const std::string &weightsDirectory() const { return weightsDirectory_; }
  /// The kernel argument of each artifact parameter.
  std::span<const DeviceAddress> parameters() const { return parameters_; }
  double loadSeconds() const { return loadSeconds_; }

private:
  Model(std::unique_ptr<Driver> driver, Artifact artifact, WeightStore weights)
      : driver_(std::move(driver)), artifact_(std::move(artifact)),
        weights_(std::move(weights)) {}

  // In this order: the executable refers to the artifact and the driver.
  std::unique_ptr<Driver> driver_;
  Artifact artifact_;
  WeightStore weights_;
  std::unique_ptr<Executable> executable_;
  std::string weightsDirectory_;
  std::vector<DeviceAddress> parameters_;
  double loadSeconds_ = 0;
};

/// The parameters of |artifact| as the weight loader takes them.
std::vector<ParameterSpec> parameterSpecs(const schema::Artifact &artifact);

} // namespace hadal
