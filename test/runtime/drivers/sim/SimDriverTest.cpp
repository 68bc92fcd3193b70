// The sim driver on the toy model's PTX.
#include <gtest/gtest.h>

#include "runtime/comm/loopback/Loopback.h"
#include "runtime/cts/RankSuite.h"
#include "runtime/cts/ToyRanks.h"
#include "runtime/drivers/sim/SimDriver.h"
#include "test/runtime/drivers/ToyModelCheck.h"

using namespace hadal;
using namespace hadal::sim;

namespace {

/// The toy model moves rows that no token fills, so its activations are not
/// poisoned.
SimOptions toyOptions(PolicyChoice policy) {
  SimOptions options;
  options.policy = policy;
  options.poisonActivations = false;
  return options;
}

DriverFactory withPolicy(const char *name, PolicyChoice policy) {
  return {name, [policy] { return createSimDriver(toyOptions(policy)); }, 1};
}

RankFactory simRanks(const char *name, PolicyChoice policy, unsigned ranks,
                     comm::Policy comm) {
  DriverFactory driver{name, [policy] {
                         SimOptions options;
                         options.policy = policy;
                         options.threads = 1;
                         return createSimDriver(options);
                       }};
  return {driver, ranks, {.policy = comm}, /*findsUndefined=*/true};
}

class SimDriverTest : public testing::Test {
protected:
  /// One step of one token on the toy model with |from| in its PTX replaced by
  /// |to|.
  Status stepWith(const std::string &from, const std::string &to,
                  SimOptions options = toyOptions(PolicyChoice::Eager),
                  const schema::ArtifactT &toyModel = toy::modelForSm90a()) {
    std::vector<uint8_t> bytes = toy::kernelPtx();
    std::string ptx(bytes.begin(), bytes.end());
    if (!from.empty()) {
      size_t at = ptx.find(from);
      EXPECT_NE(at, std::string::npos) << from;
      ptx.replace(at, from.size(), to);
      line = 1 + std::count(ptx.begin(), ptx.begin() + long(at), '\n');
    }
    bytes.assign(ptx.begin(), ptx.end());
    toy::writeFile(dir.file("m.hadal"),
                   toy::assemble(toyModel, {bytes}));
    toy::writeWeights(dir.path());
    auto model = Model::load(std::move(*createSimDriver(options)),
                             {.artifactPath = dir.file("m.hadal"),
                              .weightsDirectory = dir.path(),
                              .quiet = true});
    if (!model.ok())
      return model.status();
    auto session = Session::create(**model);
    if (!session.ok())
      return session.status();
    StatusOr<uint32_t> row = (*session)->addRow();
    std::vector<int32_t> tokens = {1};
    StepRow step{*row, tokens, LogitsWanted::Last, Phase::Decode};
    return (*session)->step(
        {&step, 1},
        [](size_t, uint64_t, std::span<const float>) { return Status(); });
  }
  void expectFinding(const Status &status,
                     std::initializer_list<std::string> texts) {
    EXPECT_EQ(status.code(), 5018) << status.toString();
    for (const std::string &text : texts)
      EXPECT_NE(status.message().find(text), std::string::npos)
          << "'" << text << "' in: " << status.message();
    EXPECT_EQ(status.message().find('\n'), std::string::npos);
  }

  toy::TempDir dir;
  long line = 0; // of the change
};

} // namespace

INSTANTIATE_TEST_SUITE_P(
    Sim, DriverSuite,
    testing::Values(withPolicy("eager", PolicyChoice::Eager),
                    withPolicy("lazy", PolicyChoice::Lazy)),
    driverName);

INSTANTIATE_TEST_SUITE_P(
    Sim, RankSuite,
    testing::Values(simRanks("eager", PolicyChoice::Eager, 2,
                             comm::Policy::eager),
                    simRanks("lazy", PolicyChoice::Lazy, 2, comm::Policy::lazy),
                    simRanks("alternate", PolicyChoice::Alternate, 4,
                             comm::Policy::async)),
    rankName);

/// What a collective takes its counts from is looked at too.
TEST_F(SimDriverTest, UndefinedCountsAreFound) {
  schema::ArtifactT a = toy::rankModel(2);
  // The launch that writes the counts.
  auto &commands = a.functions[toy::rankLayerFunction(a)]->commands;
  commands.erase(commands.begin() + 1);
  toy::makeSm90a(a);
  toy::writeFile(dir.file("m.hadal"), toy::assemble(a));
  auto artifact = Artifact::open(dir.file("m.hadal"));
  ASSERT_TRUE(artifact.ok()) << artifact.status().toString();
  auto driver = createSimDriver({});
  ASSERT_TRUE(driver.ok());
  auto executable = (*driver)->load(*artifact);
  ASSERT_TRUE(executable.ok());
  auto world = comm::LoopbackWorld::create(2);
  auto group = world->join(0), other = world->join(1);
  const unsigned members[] = {0, 1};
  auto communicator = group->create("ep", members);
  ASSERT_TRUE(communicator.ok());
  auto stream = comm::createQueueStream();
  comm::Endpoint endpoint{{communicator->get()}, stream.get()};
  Bindings bindings;
  bindings.parameters.resize(3);
  bindings.states.resize(5);
  std::vector<DeviceBuffer> buffers;
  for (DeviceAddress &state : bindings.states) {
    auto buffer = DeviceBuffer::create(**driver, 4096);
    ASSERT_TRUE(buffer.ok());
    state = buffer->address();
    buffers.push_back(std::move(*buffer));
  }
  // The arena is not where the program says.
  Status status = (*executable)->prepare(0, bindings, &endpoint).status();
  EXPECT_EQ(status.code(), 5022);
  EXPECT_NE(status.message().find("collective 'dispatch, layer 0' of entry "
                                  "'decode_1' uses 32 bytes at 0x0"),
            std::string::npos)
      << status.toString();
  auto arena = DeviceBuffer::create(**driver, 384);
  ASSERT_TRUE(arena.ok());
  bindings.arena = arena->address();
  auto entry = (*executable)->prepare(0, bindings, &endpoint);
  ASSERT_TRUE(entry.ok()) << entry.status().toString();
  status = (*entry)->run();
  EXPECT_EQ(status.code(), 5018);
  EXPECT_NE(status.message().find("collective 'dispatch, layer 0' of entry "
                                  "'decode_1': its counts at"),
            std::string::npos)
      << status.toString();
}

TEST_F(SimDriverTest, TheToyModelRuns) {
  for (PolicyChoice policy :
       {PolicyChoice::Eager, PolicyChoice::Lazy, PolicyChoice::Alternate}) {
    auto model =
        toy::loadForSm90a(std::move(*createSimDriver(toyOptions(policy))), dir);
    ASSERT_TRUE(model.ok()) << model.status().toString();
    EXPECT_EQ((*model)->driver().name(), "sim");
    (*model)->executable().setProfiling(true);
    toy::expectToyLogits(**model);
    EXPECT_GT((*model)->executable().profile()[toy::kAttend].launches, 0u);
  }
}

TEST_F(SimDriverTest, SessionsAreCreatedBySeveralThreads) {
  auto model = toy::loadForSm90a(
      std::move(*createSimDriver(toyOptions(PolicyChoice::Eager))), dir);
  ASSERT_TRUE(model.ok()) << model.status().toString();
  toy::expectSessionsFromThreads(**model);
}

TEST_F(SimDriverTest, AFindingNamesKernelLineWarpAndAddress) {
  ASSERT_TRUE(stepWith("", "").ok());
  // `head` writes one element past the logits of its row in each row.
  expectFinding(stepWith("st.global.f32 [%rd11], %f4",
                         "st.global.f32 [%rd11+65536], %f4"),
                {"entry 'head_1'", "kernel 'head'", "eager policy",
                 "out-of-bounds", std::to_string(line), "warp 0", "0x"});
}

TEST_F(SimDriverTest, ARunCanGoOnAfterFindings) {
  SimOptions options = toyOptions(PolicyChoice::Eager);
  options.printFindings = true;
  testing::internal::CaptureStderr();
  Status status = stepWith("st.global.f32 [%rd11], %f4",
                           "st.global.f32 [%rd11+65536], %f4", options);
  std::string printed = testing::internal::GetCapturedStderr();
  EXPECT_TRUE(status.ok()) << status.toString();
  EXPECT_NE(printed.find("kernel 'head': out-of-bounds"), std::string::npos)
      << printed;
}

TEST_F(SimDriverTest, AccessBeforeTheDependencyWaitIsFound) {
  // `attend` would read what `append` has written.
  std::string wait = "griddepcontrol.wait;\n  ld.param.u64 %rd1, [y];";
  expectFinding(stepWith(wait, "ld.param.u64 %rd1, [y];"),
                {"kernel 'attend'", "griddepcontrol.wait"});
}

TEST_F(SimDriverTest, ATicketThatIsNotZeroIsFound) {
  // `head` gets a workspace, and writes to its ticket.
  schema::ArtifactT model = toy::modelForSm90a();
  model.kernels[toy::kHead]->workspace_per_item = 128;
  const std::string from = R"(.param .u64 vocab, .param .u64 sizes)
{
  .reg .pred %p<3>;
  .reg .b32 %r<16>;
  .reg .f32 %f<5>;
  .reg .b64 %rd<16>;
  griddepcontrol.launch_dependents;
  griddepcontrol.wait;
  ld.param.u64 %rd1, [logits];)";
  auto with = [&](const std::string &instruction) {
    std::string to = from;
    to.insert(to.find(")"), ", .param .u64 workspace");
    return to + "\n  ld.param.u64 %rd15, [workspace];\n  mov.u32 %r15, 7;\n  " +
           instruction;
  };
  const SimOptions options = toyOptions(PolicyChoice::Eager);
  Status status =
      stepWith(from, with("st.global.u32 [%rd15+4], %r15;"), options, model);
  EXPECT_TRUE(status.ok()) << status.toString();
  expectFinding(
      stepWith(from, with("st.global.u32 [%rd15], %r15;"), options, model),
      {"kernel 'head'", "the ticket of item 0 at 7"});
}

TEST_F(SimDriverTest, ActivationsThatNobodyWroteAreFound) {
  // One token in a bucket of one: every row is written before it is moved.
  SimOptions poisoned = toyOptions(PolicyChoice::Eager);
  poisoned.poisonActivations = true;
  Status clean = stepWith("", "", poisoned);
  EXPECT_TRUE(clean.ok()) << clean.toString();
  // `embed` forgets its store: `append` stores what it reads of x.
  expectFinding(stepWith("st.global.f32 [%rd1], %f1;\nDONE", "DONE", poisoned),
                {"kernel 'append'", "undefined"});
  EXPECT_TRUE(stepWith("st.global.f32 [%rd1], %f1;\nDONE", "DONE").ok());
}

TEST_F(SimDriverTest, WhatIsNotModelledIsRefusedByName) {
  Status status =
      stepWith("abs.s32 %r10, %r10", "dp4a.u32.u32 %r10, %r10, %r10, %r10");
  EXPECT_FALSE(status.ok());
  EXPECT_NE(status.message().find("kernel 'embed'"), std::string::npos)
      << status.message();
  EXPECT_NE(status.message().find("line " + std::to_string(line)),
            std::string::npos)
      << status.message();
}

TEST_F(SimDriverTest, DeviceMemoryIsPredicted) {
  schema::ArtifactT huge = toy::modelForSm90a();
  huge.kernels[toy::kHead]->workspace_fixed = uint64_t(1) << 40;
  auto model = toy::loadForSm90a(
      std::move(*createSimDriver(toyOptions(PolicyChoice::Eager))), dir, huge);
  EXPECT_EQ(model.status().code(), 5006);
  EXPECT_NE(model.status().message().find("workspace 1.00 TiB"),
            std::string::npos)
      << model.status().message();
}

TEST(SimOptions, AreParsed) {
  auto options =
      parseSimOptions("policy=lazy,fp8=hopper13,seed=42,races=off,poison=off,"
                      "findings=print");
  ASSERT_TRUE(options.ok()) << options.status().toString();
  EXPECT_EQ(options->policy, PolicyChoice::Lazy);
  EXPECT_EQ(options->fp8Accumulate, Fp8Accumulate::hopper13);
  EXPECT_EQ(options->seed, 42u);
  EXPECT_FALSE(options->checkRaces);
  EXPECT_FALSE(options->poisonActivations);
  EXPECT_TRUE(options->printFindings);
  EXPECT_EQ(parseSimOptions("")->policy, PolicyChoice::Eager);
  EXPECT_EQ(parseSimOptions("policy=alternate")->policy,
            PolicyChoice::Alternate);
  for (const char *bad : {"policy=fast", "seed=x", "seed=", "speed=1", "lazy",
                          "races=maybe", ","})
    EXPECT_EQ(parseSimOptions(bad).status().code(), 5011) << bad;
}
