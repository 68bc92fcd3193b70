#include "runtime/cts/DriverSuite.h"

#include <numeric>

namespace hadal {

using schema::ArgKind;
using schema::ArgT;
using schema::ArtifactT;
using schema::CommandT;
using schema::FunctionT;
using schema::Input;

GTEST_ALLOW_UNINSTANTIATED_PARAMETERIZED_TEST(DriverSuite);

void DriverSuite::SetUp() {
  StatusOr<std::unique_ptr<Driver>> created = GetParam().create();
  ASSERT_TRUE(created.ok()) << created.status().toString();
  driver = std::move(*created);
}

StatusOr<Artifact> DriverSuite::open(ArtifactT model) {
  if (driver->target() != "cpu")
    toy::makeSm90a(model);
  toy::writeFile(dir.file("m.hadal"), toy::assemble(model));
  return Artifact::open(dir.file("m.hadal"));
}

ArtifactT DriverSuite::single(uint32_t kernel, uint64_t items,
                              std::vector<ArgT> args) {
  ArtifactT a = toy::model();
  FunctionT &f = *a.functions[a.entries[0]->function];
  f.commands.clear();
  f.commands.push_back(
      std::make_unique<CommandT>(toy::launch(kernel, items, std::move(args))));
  return a;
}

namespace {

/// Bindings of the toy model with buffers of one page each, held alive.
struct BoundBuffers {
  std::vector<DeviceBuffer> owned;
  Bindings bindings;

  static StatusOr<BoundBuffers> create(Driver &driver, const Artifact &artifact,
                                       uint64_t bytes = 65536) {
    BoundBuffers result;
    auto add = [&]() -> StatusOr<DeviceAddress> {
      HADAL_ASSIGN_OR_RETURN(DeviceBuffer b,
                             DeviceBuffer::create(driver, bytes, "a buffer"));
      result.owned.push_back(std::move(b));
      return result.owned.back().address();
    };
    Bindings &b = result.bindings;
    for (unsigned i = 0; i < artifact.root().parameters()->size(); ++i) {
      HADAL_ASSIGN_OR_RETURN(DeviceAddress address, add());
      b.parameters.push_back(address);
    }
    for (unsigned i = 0; i < artifact.root().states()->size(); ++i) {
      HADAL_ASSIGN_OR_RETURN(DeviceAddress address, add());
      b.states.push_back(address);
    }
    for (DeviceAddress &input : b.inputs) {
      HADAL_ASSIGN_OR_RETURN(input, add());
    }
    for (DeviceAddress &output : b.outputs) {
      HADAL_ASSIGN_OR_RETURN(output, add());
    }
    HADAL_ASSIGN_OR_RETURN(b.arena, add());
    return result;
  }
};

template <typename T>
std::vector<T> readBack(Driver &driver, DeviceAddress from, size_t count) {
  std::vector<T> values(count);
  Status status = driver.read(values.data(), from, count * sizeof(T));
  EXPECT_TRUE(status.ok()) << status.toString();
  return values;
}

} // namespace

TEST_P(DriverSuite, MemoryIsZeroAndAligned) {
  for (uint64_t bytes : {0ull, 1ull, 100ull, 5ull << 20})
    for (MemoryUse use : {MemoryUse::Dense, MemoryUse::Sparse}) {
      StatusOr<DeviceBuffer> buffer =
          DeviceBuffer::create(*driver, bytes, "a buffer", use);
      ASSERT_TRUE(buffer.ok()) << buffer.status().toString();
      EXPECT_EQ(buffer->address() % 64, 0u);
      std::vector<uint8_t> content =
          readBack<uint8_t>(*driver, buffer->address(), bytes);
      EXPECT_EQ(std::accumulate(content.begin(), content.end(), 0), 0);
    }
}

TEST_P(DriverSuite, TooMuchMemoryIsAnError) {
  StatusOr<DeviceBuffer> buffer =
      DeviceBuffer::create(*driver, uint64_t(1) << 60, "too much");
  EXPECT_EQ(buffer.status().code(), 5006);
}

TEST_P(DriverSuite, WrittenBytesAreReadBack) {
  StatusOr<DeviceBuffer> buffer = DeviceBuffer::create(*driver, 4096, "a buffer");
  ASSERT_TRUE(buffer.ok());
  std::vector<int32_t> values(1024);
  std::iota(values.begin(), values.end(), 5);
  ASSERT_TRUE(driver->write(buffer->address(), values.data(), 4096).ok());
  EXPECT_EQ(readBack<int32_t>(*driver, buffer->address(), 1024), values);
  EXPECT_EQ(readBack<int32_t>(*driver, buffer->address() + 400, 2)[1], 106);
}

TEST_P(DriverSuite, UploadsAreFilledInAscendingPieces) {
  const uint64_t bytes = (uint64_t(9) << 20) + 5;
  StatusOr<DeviceBuffer> buffer =
      DeviceBuffer::create(*driver, bytes, "a buffer");
  ASSERT_TRUE(buffer.ok());
  auto value = [](uint64_t i) { return static_cast<uint8_t>(i * 7 + i / 251); };
  uint64_t next = 0;
  Status status = driver->upload(
      buffer->address(), bytes,
      [&](uint8_t *to, uint64_t begin, uint64_t end) {
        EXPECT_EQ(begin, next);
        next = end;
        for (uint64_t i = begin; i < end; ++i)
          to[i - begin] = value(i);
      });
  ASSERT_TRUE(status.ok()) << status.toString();
  EXPECT_EQ(next, bytes);
  std::vector<uint8_t> back =
      readBack<uint8_t>(*driver, buffer->address(), bytes);
  uint64_t wrong = 0;
  for (uint64_t i = 0; i < bytes; ++i)
    wrong += back[i] != value(i);
  EXPECT_EQ(wrong, 0u);
}

// A decode entry may be recorded when it first runs; only addresses may be
// recorded, never what is there.
TEST_P(DriverSuite, AnEntryReadsItsInputsAnewInEveryRun) {
  ArtifactT a = toy::model();
  FunctionT &f = *a.functions[a.entries[0]->function];
  f.commands.clear();
  f.commands.push_back(std::make_unique<CommandT>(toy::launch(
      toy::kMove, 1,
      {toy::arg(ArgKind::state, 0),
       toy::arg(ArgKind::input, uint32_t(Input::tokens))})));
  StatusOr<Artifact> artifact = open(a);
  ASSERT_TRUE(artifact.ok()) << artifact.status().toString();
  auto executable = driver->load(*artifact);
  ASSERT_TRUE(executable.ok());
  auto buffers = BoundBuffers::create(*driver, *artifact);
  ASSERT_TRUE(buffers.ok());
  const Bindings &b = buffers->bindings;
  auto entry = (*executable)->prepare(0, b);
  ASSERT_TRUE(entry.ok());
  for (float value : {3.0f, 4.0f, 5.0f}) {
    ASSERT_TRUE(driver->write(b.inputs[0], &value, 4).ok());
    ASSERT_TRUE((*entry)->run().ok());
    EXPECT_EQ(readBack<float>(*driver, b.states[0], 1)[0], value);
  }
}

TEST_P(DriverSuite, EveryWorkItemRunsOnceInItsOwnScratch) {
  for (uint64_t items : {1, 2, 3, 7, 64, 1000, 8191}) {
    StatusOr<Artifact> artifact =
        open(single(toy::kScratch, items,
                    {toy::arg(ArgKind::state, 4),
                     toy::arg(ArgKind::scalar, 0, 3),
                     toy::arg(ArgKind::scalar, 0, toy::kScratchBytes)}));
    ASSERT_TRUE(artifact.ok()) << artifact.status().toString();
    auto executable = driver->load(*artifact);
    ASSERT_TRUE(executable.ok()) << executable.status().toString();
    auto buffers = BoundBuffers::create(*driver, *artifact);
    ASSERT_TRUE(buffers.ok());
    auto entry = (*executable)->prepare(0, buffers->bindings);
    ASSERT_TRUE(entry.ok());
    for (int repeat = 0; repeat < GetParam().repeats; ++repeat) {
      std::vector<int64_t> expected(items), dirt(items, -1);
      for (uint64_t i = 0; i < items; ++i)
        expected[i] = static_cast<int64_t>(i * 3);
      DeviceAddress out = buffers->bindings.states[4];
      ASSERT_TRUE(driver->write(out, dirt.data(), items * 8).ok());
      ASSERT_TRUE((*entry)->run().ok());
      ASSERT_EQ(readBack<int64_t>(*driver, out, items), expected) << items;
    }
  }
}

TEST_P(DriverSuite, ArgumentsReachTheKernelByKind) {
  // move(to, from) with an offset into the arena, an input and a state.
  ArtifactT a = toy::model();
  FunctionT &f = *a.functions[a.entries[1]->function];
  f.commands.clear();
  auto add = [&](ArgT to, ArgT from) {
    f.commands.push_back(std::make_unique<CommandT>(
        toy::launch(toy::kMove, 2, {to, from})));
  };
  add(toy::arg(ArgKind::arena, 0, 64),
      toy::arg(ArgKind::input, uint32_t(Input::tokens), 8));
  add(toy::arg(ArgKind::state, 2), toy::arg(ArgKind::arena, 0, 64));
  add(toy::arg(ArgKind::state, 0), toy::arg(ArgKind::parameter, 1));
  StatusOr<Artifact> artifact = open(a);
  ASSERT_TRUE(artifact.ok()) << artifact.status().toString();
  auto executable = driver->load(*artifact);
  ASSERT_TRUE(executable.ok());
  auto buffers = BoundBuffers::create(*driver, *artifact);
  ASSERT_TRUE(buffers.ok());
  const Bindings &b = buffers->bindings;
  float tokens[4] = {1, 2, 3, 4}, weights[2] = {7, 8};
  ASSERT_TRUE(driver->write(b.inputs[0], tokens, sizeof(tokens)).ok());
  ASSERT_TRUE(driver->write(b.parameters[1], weights, sizeof(weights)).ok());
  auto entry = (*executable)->prepare(1, b);
  ASSERT_TRUE(entry.ok());
  ASSERT_TRUE((*entry)->run().ok());
  EXPECT_EQ(readBack<float>(*driver, b.arena + 64, 3),
            (std::vector<float>{3, 4, 0}));
  EXPECT_EQ(readBack<float>(*driver, b.states[2], 3),
            (std::vector<float>{3, 4, 0}));
  EXPECT_EQ(readBack<float>(*driver, b.states[0], 3),
            (std::vector<float>{7, 8, 0}));
}

TEST_P(DriverSuite, RepeatPassesTheNthPart) {
  // Layer i copies parameter i to state 2 * i; the callee sees one parameter
  // and two states.
  ArtifactT a = toy::model();
  FunctionT &layer = *a.functions[a.entries[0]->function - 1];
  layer.commands.clear();
  layer.commands.push_back(std::make_unique<CommandT>(
      toy::launch(toy::kMove, 1, {toy::arg(ArgKind::state, 0),
                                  toy::arg(ArgKind::parameter, 0)})));
  FunctionT &body = *a.functions[a.entries[0]->function];
  body.commands.erase(body.commands.begin());
  body.commands.pop_back();
  body.commands[0]->parameters = {1, 0};
  StatusOr<Artifact> artifact = open(a);
  ASSERT_TRUE(artifact.ok()) << artifact.status().toString();
  auto executable = driver->load(*artifact);
  ASSERT_TRUE(executable.ok());
  auto buffers = BoundBuffers::create(*driver, *artifact);
  ASSERT_TRUE(buffers.ok());
  const Bindings &b = buffers->bindings;
  float w0 = 10, w1 = 11;
  ASSERT_TRUE(driver->write(b.parameters[0], &w0, 4).ok());
  ASSERT_TRUE(driver->write(b.parameters[1], &w1, 4).ok());
  (*executable)->setProfiling(true);
  auto entry = (*executable)->prepare(0, b);
  ASSERT_TRUE(entry.ok());
  ASSERT_TRUE((*entry)->run().ok());
  EXPECT_EQ(readBack<float>(*driver, b.states[0], 1)[0], 11);
  EXPECT_EQ(readBack<float>(*driver, b.states[2], 1)[0], 10);
  ASSERT_EQ((*executable)->profile().size(), toy::kNumKernels);
  EXPECT_EQ((*executable)->profile()[toy::kMove].launches, 2u);
  EXPECT_EQ((*executable)->profile()[toy::kHead].launches, 0u);
}

TEST_P(DriverSuite, AnArtifactForAnotherTargetIsRefused) {
  ArtifactT a = toy::model();
  if (driver->target() == "cpu")
    toy::makeSm90a(a);
  toy::writeFile(dir.file("m.hadal"), toy::assemble(a));
  StatusOr<Artifact> artifact = Artifact::open(dir.file("m.hadal"));
  ASSERT_TRUE(artifact.ok()) << artifact.status().toString();
  auto executable = driver->load(*artifact);
  EXPECT_EQ(executable.status().code(), 4007);
}

} // namespace hadal
