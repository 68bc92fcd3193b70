// Artifacts of several ranks with right checksums and wrong meaning: one twin
// of the toy program of ranks for each check of the verifier, and what it
// unrolls to.
#include <functional>

#include <gtest/gtest.h>

#include "runtime/artifact/Verify.h"
#include "runtime/cts/ToyRanks.h"

using namespace hadal;
using namespace hadal::schema;

namespace {

struct Case {
  const char *name;
  std::function<void(ArtifactT &)> damage;
  const char *message; // a part of it
};

/// Commands of a layer: 0, 1 moves, 2 record, 3 wait, 4 dispatch, 5 record, 6
/// move, 7 wait.
CommandT &layer(ArtifactT &a, size_t index) {
  return *a.functions[toy::rankLayerFunction(a)]->commands[index];
}
constexpr size_t kRecord = 2, kWait = 3, kDispatch = 4, kRecord1 = 5,
                 kWait1 = 7;

PartT &part(ArtifactT &a, size_t index) {
  return *layer(a, kDispatch).parts[index];
}
void erase(ArtifactT &a, size_t index) {
  auto &commands = a.functions[toy::rankLayerFunction(a)]->commands;
  commands.erase(commands.begin() + index);
}
void insert(ArtifactT &a, size_t index, CommandT command) {
  auto &commands = a.functions[toy::rankLayerFunction(a)]->commands;
  commands.insert(commands.begin() + index,
                  std::make_unique<CommandT>(std::move(command)));
}
CommandT eventOf(CommandKind kind, uint32_t number, uint32_t stream) {
  CommandT c;
  c.kind = kind;
  c.event = number;
  c.stream = stream;
  return c;
}
/// The bias as a share of a rank.
SliceT &slice(ArtifactT &a, Axis axis, uint32_t dim = 0, uint64_t unit = 1) {
  a.parameters[2]->slice = std::make_unique<SliceT>();
  SliceT &s = *a.parameters[2]->slice;
  s.axis = axis;
  s.dim = dim;
  s.unit = unit;
  return s;
}
/// The bias as the experts of layer 1 that a rank of two holds.
ParameterT &stack(ArtifactT &a) {
  slice(a, Axis::ep);
  ParameterT &p = *a.parameters[2];
  p.kind = ParameterKind::stack;
  p.parts = {"e.{e}"};
  p.count = 2;
  p.layer = 1;
  return p;
}
/// The bias as the table of layer 1.
ParameterT &table(ArtifactT &a) {
  ParameterT &p = *a.parameters[2];
  p.kind = ParameterKind::generated;
  p.generator = Generator::placement_table;
  p.place = Placement::copy;
  p.dtype = DType::i32;
  p.parts.clear();
  p.rows.clear();
  p.file_dtypes.clear();
  p.layer = 1;
  p.replicas = 4;
  return p;
}

/// The state in which entries say what they had no room for.
void addOverflowState(ArtifactT &a) {
  auto state = std::make_unique<StateT>();
  state->name = "comm.overflow";
  state->kind = StateKind::buffer;
  state->bytes = a.mesh->ep * 8;
  a.states.push_back(std::move(state));
  for (auto &function : a.functions)
    if (function->num_states + 1 == a.states.size())
      function->num_states += 1;
}

const std::vector<Case> &cases() {
  static const std::vector<Case> list = {
      // Mesh and communicators
      {"NoMesh", [](auto &a) { a.mesh.reset(); },
       "it has 1 communicators and 320 bytes for collectives, but no mesh"},
      {"MeshZero", [](auto &a) { a.mesh->dp = 0; },
       "its mesh of tp 1, dp 0, ep 2, 8 ranks a node is not possible"},
      {"MeshHuge", [](auto &a) { a.mesh->tp = a.mesh->dp = ~0u; },
       "is not possible"},
      {"MeshEp", [](auto &a) { a.mesh->ep = 3; },
       "ep 3, 8 ranks a node is not"},
      {"Slots", [](auto &a) { a.mesh->slots = 1; },
       "its mesh has 1 slots on each of 2 ranks for 4 experts"},
      {"SlotsOfNothing", [](auto &a) { a.mesh->slots = 0; },
       "its mesh has 0 slots"},
      {"SplitVocabulary",
       [](auto &a) {
         a.mesh->vocab_split = true;
         a.mesh->tp = 3;
         a.mesh->dp = 2;
       },
       "its mesh splits a vocabulary of 64 over 3 ranks"},
      {"CommunicatorName", [](auto &a) { a.communicators[0]->name = ""; },
       "communicator 0 is ''"},
      {"CommunicatorTwice",
       [](auto &a) {
         a.communicators.push_back(
             std::make_unique<CommunicatorT>(*a.communicators[0]));
       },
       "communicator 1 is 'ep', expected names, each once"},
      {"CommunicatorAxis", [](auto &a) { a.communicators[0]->axis = Axis(7); },
       "communicator 'ep' has 2 ranks on axis 7"},
      {"CommunicatorSize", [](auto &a) { a.communicators[0]->size = 3; },
       "communicator 'ep' has 3 ranks on axis 2, the mesh says otherwise"},
      {"ExchangeBytes", [](auto &a) { a.exchange_bytes = 448; },
       "it has 448 bytes for collectives in arenas of 384 bytes"},
      {"ExchangeAlignment", [](auto &a) { a.exchange_bytes = 321; },
       "it has 321 bytes for collectives"},
      // Parameters
      {"SliceAxis", [](auto &a) { slice(a, Axis::none); },
       "parameter 'bias' has a slice on axis 0, which the mesh does not have"},
      {"SliceAxisUnknown", [](auto &a) { slice(a, Axis(9)); },
       "parameter 'bias' has a slice on axis 9"},
      {"SliceDim", [](auto &a) { slice(a, Axis::tp, 2); },
       "has a slice of dimension 2, expected rows or columns of a tensor"},
      {"SliceColumnsOfVector", [](auto &a) { slice(a, Axis::tp, 1); },
       "has a slice of dimension 1"},
      {"SliceUnit", [](auto &a) { slice(a, Axis::tp, 0, 3); },
       "has a slice of 64 in units of 3"},
      {"SliceUnitZero", [](auto &a) { slice(a, Axis::tp, 0, 0); },
       "has a slice of 64 in units of 0"},
      {"LayerAlone", [](auto &a) { a.parameters[2]->layer = 1; },
       "parameter 'bias' is of layer 1, which only a slice on ep is"},
      {"ReplicasAlone", [](auto &a) { a.parameters[2]->replicas = 1; },
       "parameter 'bias' has 1 replicas"},
      {"StackLayer", [](auto &a) { stack(a).layer = 2; },
       "parameter 'bias' is of layer 2 of 2"},
      {"StackWithoutLayer", [](auto &a) { stack(a).layer = -1; },
       "parameter 'bias' is of layer -1, which only a slice on ep is"},
      {"StackCount", [](auto &a) { stack(a).count = 3; },
       "expected a stack of 2 arrays, found 3"},
      {"TableType", [](auto &a) { table(a).dtype = DType::f32; },
       "generated parameter 'bias' is not a valid table of placements"},
      {"TableLayer", [](auto &a) { table(a).layer = 2; },
       "is not a valid table of placements"},
      {"TableReplicas", [](auto &a) { table(a).replicas = 5; },
       "is not a valid table of placements"},
      {"TableSlice",
       [](auto &a) {
         table(a);
         slice(a, Axis::ep);
       },
       "is not a valid table of placements"},
      {"Overflow",
       [](auto &a) {
         a.states[4]->name = "comm.overflow";
         a.states[4]->bytes = 4;
         a.model->hidden_buffer_bytes = 4;
       },
       "state 'comm.overflow' has 4 bytes, expected two i32 for each rank"},
      // Collectives
      {"Communicator", [](auto &a) { layer(a, kDispatch).communicator = 1; },
       "command 4: communicator 1 of 1"},
      {"Kind",
       [](auto &a) { layer(a, kDispatch).collective = CollectiveKind(4); },
       "command 4: unknown collective 4"},
      {"Arguments",
       [](auto &a) {
         layer(a, kDispatch)
             .args.push_back(std::make_unique<ArgT>(toy::arg(ArgKind::scalar)));
       },
       "a collective takes no argument, parameter or state list"},
      {"Label", [](auto &a) { layer(a, kDispatch).label = ""; },
       "a collective without a label"},
      {"NoParts", [](auto &a) { layer(a, kDispatch).parts.clear(); },
       "a collective of 0 parts"},
      {"PartRows", [](auto &a) { part(a, 0).rows = 0; },
       "part 0 of 0 rows of 8 bytes is not in the 320 bytes for collectives"},
      {"PartOverflow",
       [](auto &a) { part(a, 0).rows = part(a, 0).row_bytes = 1ull << 40; },
       "part 0 of 1099511627776 rows"},
      {"PartOverflowOfRanks", [](auto &a) { part(a, 0).rows = 1ull << 60; },
       "part 0 of 1152921504606846976 rows of 8 bytes is not in"},
      {"PartRange", [](auto &a) { part(a, 0).receive->value = 320; },
       "part 0 of 2 rows of 8 bytes is not in the 320 bytes for collectives"},
      {"PartAlignment", [](auto &a) { part(a, 0).send->value = 8; },
       "part 0 of 2 rows of 8 bytes is not in"},
      {"PartOfState",
       [](auto &a) { *part(a, 0).send = toy::arg(ArgKind::state, 3); },
       "part 0 of 2 rows of 8 bytes is not in"},
      {"PartOverItself", [](auto &a) { part(a, 0).receive->value = 0; },
       "part 0 receives in the bytes of part 0"},
      {"PartOverOther", [](auto &a) { part(a, 1).receive->value = 64; },
       "part 0 receives in the bytes of part 1"},
      {"PartType", [](auto &a) { part(a, 0).dtype = DType::f32; },
       "part 0 of dtype 'f32'"},
      {"SumType",
       [](auto &a) {
         auto &f = *a.functions.back();
         f.commands[4]->parts[0]->dtype = DType::i32;
       },
       "command 4: part 0 of dtype 'i32' and rows of 8 bytes"},
      {"SumRow",
       [](auto &a) {
         auto &f = *a.functions.back();
         f.commands[4]->parts[0]->row_bytes = 6;
       },
       "part 0 of dtype 'f32' and rows of 6 bytes"},
      {"CountColumn", [](auto &a) { part(a, 0).count_column = 1; },
       "part 0 is counted by column 1 of 1"},
      {"CountsMissing", [](auto &a) { layer(a, kDispatch).counts.reset(); },
       "counts without a counted part of an all_to_all, or the reverse"},
      {"CountsOfNothing", [](auto &a) { part(a, 0).count_column = -1; },
       "counts without a counted part"},
      {"CountsOfGather",
       [](auto &a) {
         layer(a, kDispatch).collective = CollectiveKind::all_gather;
       },
       "counts without a counted part of an all_to_all"},
      {"CountsPlace",
       [](auto &a) {
         *layer(a, kDispatch).counts = toy::arg(ArgKind::state, 1);
       },
       "counts that are not in the arena"},
      {"CountsRange", [](auto &a) { layer(a, kDispatch).counts->value = 384; },
       "uses byte 391 of an arena of 384 bytes"},
      {"OpOfCollective", [](auto &a) { layer(a, kDispatch).op = 3; },
       "op name 3 of 3"},
      // Streams and events
      {"LaunchStream", [](auto &a) { layer(a, 0).stream = 1; },
       "command 0: a launch on stream 1, the one of launches is 0"},
      {"CollectiveStream", [](auto &a) { layer(a, kDispatch).stream = 0; },
       "command 4: a collective on the stream of launches"},
      {"EventStream", [](auto &a) { layer(a, kWait).stream = 2; },
       "command 3: stream 2 of 2"},
      {"EventRange", [](auto &a) { layer(a, kRecord).event = 2; },
       "command 2: event 2 of 2"},
      {"EventLists", [](auto &a) { layer(a, kRecord).states = {0}; },
       "command 2: an event takes no argument, parameter or state list"},
      {"RecordDropped", [](auto &a) { erase(a, kRecord); },
       "command 2: event 0 is waited for before it is recorded"},
      {"WaitDropped", [](auto &a) { erase(a, kWait); },
       "event 0 is recorded and never waited for"},
      {"LastWaitDropped", [](auto &a) { erase(a, kWait1); },
       "event 1 is recorded and never waited for"},
      {"WaitOnWrongStream", [](auto &a) { layer(a, kWait1).stream = 1; },
       "1 of 1 collectives are in flight at its end"},
      {"RecordOnWrongStream", [](auto &a) { layer(a, kRecord1).stream = 0; },
       "1 of 1 collectives are in flight at its end"},
      {"RecordTooEarly",
       [](auto &a) {
         erase(a, kRecord1);
         insert(a, kDispatch, eventOf(CommandKind::record, 1, 1));
       },
       "1 of 1 collectives are in flight at its end"},
      {"RecordTwice",
       [](auto &a) { insert(a, kWait, eventOf(CommandKind::record, 0, 0)); },
       "command 3: event 0 is recorded a second time"},
      {"WaitFirst",
       [](auto &a) { std::swap(layer(a, kRecord1), layer(a, kWait1)); },
       "command 5: event 1 is waited for before it is recorded"},
      {"WaitTwice",
       [](auto &a) { insert(a, kWait1, eventOf(CommandKind::wait, 1, 0)); },
       "command 8: event 1 is waited for a second time"},
      {"EventUnused",
       [](auto &a) { a.functions[toy::rankLayerFunction(a)]->num_events = 3; },
       "event 2 is never recorded"},
      {"ManyEvents",
       [](auto &a) {
         a.functions[toy::rankLayerFunction(a)]->num_events = ~0u;
       },
       "has 4294967295 events"},
      {"TooManyCollectives",
       [](auto &a) {
         CommandT &repeat = *a.functions.back()->commands[0];
         repeat.count = 20000;
         std::vector<uint32_t> states;
         for (int i = 0; i < 20000; ++i)
           states.insert(states.end(), {0, 1, 3, 4});
         repeat.states = states;
       },
       "more than 65536 collectives and events"},
      // Entries
      {"Rung", [](auto &a) { a.entries[0]->rung = Rung(2); },
       "entry 'decode_1' has an unknown rung"},
      {"TokensOfTpRanks",
       [](auto &a) {
         // A head's entry has no tokens, the first one of a rank has one.
         a.mesh->tp = 2;
         a.mesh->dp = 1;
       },
       "entry 'decode_1' of 1 tokens does not divide over tp 2"},
      {"MicroBatches", [](auto &a) { a.entries[0]->micro_batches = 3; },
       "entry 'decode_1' of 1 tokens and 1 rows has 3 micro-batches"},
      {"NoMicroBatch", [](auto &a) { a.entries[0]->micro_batches = 0; },
       "has 0 micro-batches"},
      {"OddMicroBatches", [](auto &a) { a.entries[0]->micro_batches = 2; },
       "entry 'decode_1' of 1 tokens and 1 rows has 2 micro-batches"},
      {"MicroBatchesOfAHead", [](auto &a) { a.entries[4]->micro_batches = 2; },
       "entry 'head_1' of 0 tokens and 0 rows has 2 micro-batches"},
      {"OverlapWithoutAReason",
       [](auto &a) { a.entries[0]->overlap = std::make_unique<OverlapT>(); },
       "entry 'decode_1' has an impossible decision about micro-batches"},
      {"OverlapExposesMoreThanAStep",
       [](auto &a) {
         auto &o = a.entries[0]->overlap = std::make_unique<OverlapT>();
         o->reason = "it pays";
         o->exposed_after_ns = 1;
       },
       "entry 'decode_1' has an impossible decision about micro-batches"},
      {"Capacity", [](auto &a) { a.entries[0]->capacity_pairs = 1; },
       "entry 'decode_1' has a capacity of 2 rows and 1 pairs"},
      {"CapacityOfHead",
       [](auto &a) {
         a.entries[4]->capacity_rows = a.entries[4]->capacity_pairs = 1;
       },
       "entry 'head_1' has a capacity of 1 rows"},
      {"CapacityOfPairs",
       [](auto &a) {
         // Two slots a rank, of two experts a token: four pairs of two rows.
         a.model->num_experts_per_token = 2;
         a.entries[0]->tokens = 2;
       },
       "entry 'decode_1' has room for 2 rows and 2 pairs, expected 2 and 4: "
       "nothing holds what exceeds it"},
      {"CapacityOfRows", [](auto &a) { a.entries[0]->tokens = 3; },
       "entry 'decode_1' has room for 2 rows and 2 pairs, expected 3 and 3"},
      {"CapacityOfMicroBatches",
       [](auto &a) {
         a.entries[0]->tokens = 10;
         a.entries[0]->rows = a.entries[0]->micro_batches = 2;
       },
       "entry 'decode_1' has room for 2 rows and 2 pairs, expected 5 and 5"},
      {"CapacityNumbered",
       [](auto &a) {
         a.entries[0]->capacity_rows = a.entries[0]->capacity_pairs = 1u << 30;
       },
       "entry 'decode_1' receives 1073741824 rows and 1073741824 pairs of each "
       "of 2 ranks, more than 32 bits number"},
      {"CountStride", [](auto &a) { layer(a, kDispatch).count_stride = 65; },
       "a collective with 65 counts for each rank, expected at most 64"},
      {"OverflowWithoutState",
       [](auto &a) {
         a.entries.push_back(std::make_unique<EntryT>(*a.entries[0]));
         a.entries.back()->name = "decode_1_expected";
         a.entries.back()->rung = Rung::expected;
       },
       "entry 'decode_1_expected' may overflow, but there is no state "
       "'comm.overflow' to say so"},
      {"RungAlone",
       [](auto &a) {
         addOverflowState(a);
         a.entries[0]->rung = Rung::expected;
       },
       "entry 'decode_1' has no twin for what exceeds its capacity"},
      {"Digest", [](auto &a) { a.entries[0]->collective_digest += 1; },
       "entry 'decode_1' has the collective digest"},
      {"DigestOfOthers",
       [](auto &a) {
         // One rank would send one row, the others two.
         part(a, 0).rows = 1;
       },
       "entry 'decode_1' has the collective digest"},
      {"DigestOfNothing", [](auto &a) { a.entries[1]->collective_digest = 1; },
       "entry 'decode_4' has the collective digest 0000000000000001, its "
       "commands have 0000000000000000"},
  };
  return list;
}

class RankMeaning : public testing::TestWithParam<size_t> {};

} // namespace

TEST_P(RankMeaning, IsRefusedWithItsMessage) {
  const Case &c = cases()[GetParam()];
  ArtifactT a = toy::rankModel(2);
  c.damage(a);
  std::vector<uint8_t> image(8192, 0);
  Status status = artifact::verifyFile(toy::assemble(a, {image}), "m.hadal");
  EXPECT_EQ(status.code(), 4005) << status.toString();
  EXPECT_NE(status.message().find(c.message), std::string::npos)
      << status.toString();
}

INSTANTIATE_TEST_SUITE_P(Twins, RankMeaning,
                         testing::Range<size_t>(0, cases().size()),
                         [](const auto &info) {
                           return std::string(cases()[info.param].name);
                         });

TEST(RankArtifact, IsAcceptedWithItsParts) {
  std::vector<uint8_t> image(8192, 0);
  auto verify = [&](ArtifactT a) {
    return artifact::verifyFile(toy::assemble(a, {image}), "m.hadal");
  };
  for (unsigned ranks : {2u, 4u}) {
    Status status = verify(toy::rankModel(ranks));
    EXPECT_TRUE(status.ok()) << status.toString();
  }
  ArtifactT a = toy::rankModel(2);
  slice(a, Axis::tp, 0, 32);
  EXPECT_TRUE(verify(std::move(a)).ok());
  a = toy::rankModel(2);
  stack(a);
  EXPECT_TRUE(verify(std::move(a)).ok());
  a = toy::rankModel(2);
  table(a);
  EXPECT_TRUE(verify(std::move(a)).ok());
  // An entry for what is likely, beside one that holds everything.
  a = toy::rankModel(2);
  a.entries.push_back(std::make_unique<EntryT>(*a.entries[0]));
  a.entries.back()->name = "decode_1_expected";
  a.entries.back()->rung = Rung::expected;
  addOverflowState(a);
  Status status = verify(std::move(a));
  EXPECT_TRUE(status.ok()) << status.toString();
}

TEST(RankArtifact, ItsRanksAndSizes) {
  std::vector<uint8_t> file = toy::assemble(toy::rankModel(4));
  const Artifact &a = *GetArtifact(file.data() + 64);
  EXPECT_EQ(artifact::numRanks(a), 4u);
  EXPECT_EQ(artifact::inputBytes(a, *a.entries()->Get(0), Input::sizes),
            (16u + 1 + 1) * 4);
  // Two micro-batches: the second's part begins at a multiple of 64 bytes.
  ArtifactT two = toy::rankModel(4);
  for (auto &e : two.entries)
    if (e->name == "decode_4")
      e->micro_batches = 2;
  const std::vector<uint8_t> halved = toy::assemble(std::move(two));
  const Artifact &b = *GetArtifact(halved.data() + 64);
  for (const Entry *e : *b.entries())
    if (e->micro_batches() == 2) {
      EXPECT_EQ(artifact::inputBytes(b, *e, Input::sizes),
                128u + (16 + 1 + 1) * 4);
      EXPECT_EQ(artifact::inputBytes(b, *e, Input::tokens), 64u + 2 * 4);
      EXPECT_EQ(artifact::inputBytes(b, *e, Input::q_start), 64u + 3 * 4);
    }
  file = toy::assemble(toy::model());
  EXPECT_EQ(artifact::numRanks(*GetArtifact(file.data() + 64)), 1u);
}

TEST(RankArtifact, CallsDoNotNestTooDeep) {
  ArtifactT a = toy::rankModel(2);
  // decode_4 calls a chain of functions without commands.
  for (int i = 0; i < 70; ++i) {
    auto f = std::make_unique<FunctionT>();
    f->name = "f" + std::to_string(i);
    if (i) {
      CommandT call;
      call.kind = CommandKind::call;
      call.callee = a.functions.size() - 1;
      f->commands.push_back(std::make_unique<CommandT>(std::move(call)));
    }
    a.functions.push_back(std::move(f));
  }
  std::vector<uint8_t> image(8192, 0);
  Status status = artifact::verifyFile(toy::assemble(a, {image}), "m.hadal");
  EXPECT_EQ(status.code(), 4005);
  EXPECT_NE(status.message().find("calls nest more than 64 deep"),
            std::string::npos)
      << status.toString();
}
