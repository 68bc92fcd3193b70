// Loads the toy model for a test.
#pragma once

#include <gtest/gtest.h>

#include "runtime/cts/ToyArtifact.h"
#include "runtime/drivers/cpu/CpuDriver.h"
#include "runtime/session/Session.h"

namespace hadal::toy {

/// The toy model in a temporary directory, loaded with two threads.
struct LoadedToy {
  TempDir dir;
  std::unique_ptr<Model> model;

  explicit LoadedToy(const schema::ArtifactT &description = toy::model(),
                     unsigned threads = 2, float biasOf3 = bias(3)) {
    writeFile(dir.file("m.hadal"), assemble(description));
    writeWeights(dir.path(), biasOf3);
    auto driver = cpu::createCpuDriver({.threads = threads, .variant = "v3"});
    EXPECT_TRUE(driver.ok()) << driver.status().toString();
    auto loaded = Model::load(std::move(*driver),
                              {.artifactPath = dir.file("m.hadal"),
                               .weightsDirectory = dir.path(),
                               .quiet = true});
    EXPECT_TRUE(loaded.ok()) << loaded.status().toString();
    if (loaded.ok())
      model = std::move(*loaded);
  }

  std::unique_ptr<Session> session(const SessionOptions &options = {}) {
    auto created = Session::create(*model, options);
    EXPECT_TRUE(created.ok()) << created.status().toString();
    return std::move(*created);
  }
};

} // namespace hadal::toy
