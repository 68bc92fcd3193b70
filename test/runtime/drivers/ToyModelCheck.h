// The toy model from artifact to logits on a driver for sm_90a.
#pragma once

#include <atomic>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

#include "runtime/cts/ToyArtifact.h"
#include "runtime/session/Session.h"

namespace hadal::toy {

/// The toy model, for sm_90a.
inline schema::ArtifactT modelForSm90a() {
  schema::ArtifactT artifact = model();
  makeSm90a(artifact);
  return artifact;
}

/// Loads |artifact| on |driver|; errors of Model::load.
inline StatusOr<std::unique_ptr<Model>>
loadForSm90a(std::unique_ptr<Driver> driver, const TempDir &dir,
             const schema::ArtifactT &artifact = modelForSm90a()) {
  writeFile(dir.file("m.hadal"), assemble(artifact));
  writeWeights(dir.path());
  ModelOptions options;
  options.artifactPath = dir.file("m.hadal");
  options.weightsDirectory = dir.path();
  options.quiet = true;
  return Model::load(std::move(driver), options);
}

/// Two rows grow through prefill and decode; every position's logits must be
/// those of the definition.
inline void expectToyLogits(Model &model) {
  StatusOr<std::unique_ptr<Session>> session = Session::create(model);
  ASSERT_TRUE(session.ok()) << session.status().toString();
  std::vector<std::vector<int32_t>> rows(2);
  std::vector<uint32_t> numbers;
  for (size_t i = 0; i < rows.size(); ++i) {
    StatusOr<uint32_t> row = (*session)->addRow();
    ASSERT_TRUE(row.ok());
    numbers.push_back(*row);
  }
  auto append = [&](std::vector<std::vector<int32_t>> tokens) {
    std::vector<StepRow> steps;
    std::vector<size_t> owners;
    for (size_t i = 0; i < rows.size(); ++i)
      if (!tokens[i].empty()) {
        rows[i].insert(rows[i].end(), tokens[i].begin(), tokens[i].end());
        steps.push_back({numbers[i], tokens[i], LogitsWanted::All});
        owners.push_back(i);
      }
    size_t seen = 0;
    Status status =
        (*session)->step(steps,
                         [&](size_t index, uint64_t position,
                             std::span<const float> logits) -> Status {
                           std::vector<std::vector<float>> expected =
                               referenceLogits(rows[owners[index]]);
                           EXPECT_TRUE(std::equal(logits.begin(), logits.end(),
                                                  expected[position].begin()))
                               << "row " << owners[index] << ", position "
                               << position;
                           ++seen;
                           return {};
                         });
    ASSERT_TRUE(status.ok()) << status.toString();
    EXPECT_EQ(seen, tokens[0].size() + tokens[1].size());
  };
  append({{5, 17, 3, 60, 2, 9, 9, 1, 30, 31, 32}, {}});
  append({{}, {44, 45, 46}});
  for (int step = 0; step < 6; ++step)
    append({{7 * step + 1}, {63 - step}});
  append({{1}, {}});
  StatusOr<std::vector<Session::ExpertLoad>> loads = (*session)->expertLoad();
  ASSERT_TRUE(loads.ok());
  int64_t routed = 0;
  for (int32_t count : (*loads)[0].tokens)
    routed += count;
  EXPECT_EQ(routed, int64_t(rows[0].size() + rows[1].size()));
}

/// Sessions of |model| are created and freed by several threads while another one
/// steps: each thread's are whole, and the logits are those of the definition.
inline void expectSessionsFromThreads(Model &model) {
  std::atomic<int> created{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t)
    threads.emplace_back([&] {
      for (int i = 0; i < 6; ++i) {
        StatusOr<std::unique_ptr<Session>> session = Session::create(model);
        EXPECT_TRUE(session.ok()) << session.status().toString();
        created += session.ok() && (*session)->addRow().ok();
      }
    });
  for (int i = 0; i < 2; ++i)
    expectToyLogits(model);
  for (std::thread &thread : threads)
    thread.join();
  EXPECT_EQ(created, 24);
  // What they left in common is still right.
  expectToyLogits(model);
}

} // namespace hadal::toy
