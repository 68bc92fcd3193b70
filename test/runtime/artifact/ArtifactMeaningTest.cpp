// Artifacts with right checksums and wrong meaning: one twin of the toy
// artifact for each check of the verifier.
#include <cmath>
#include <functional>

#include <gtest/gtest.h>

#include "runtime/artifact/Verify.h"
#include "runtime/cts/ToyArtifact.h"

using namespace hadal;
using namespace hadal::schema;

namespace {

struct Case {
  const char *name;
  std::function<void(ArtifactT &)> damage;
  const char *message; // a part of it
  int code = 4005;
};

template <typename T> T &get(std::vector<std::unique_ptr<T>> &list, size_t i) {
  return *list[i];
}
CommandT &command(ArtifactT &a, size_t function, size_t index) {
  return *a.functions[function]->commands[index];
}
/// Gives the first kernel one more word of a schedule.
ScheduleWordT *wordOf(ArtifactT &a) {
  a.kernels[0]->words.push_back(std::make_unique<ScheduleWordT>());
  ScheduleWordT *word = a.kernels[0]->words.back().get();
  word->word = "stages";
  word->value = "64";
  return word;
}

/// Gives the first kernel a spec with |fields|.
KernelSpecT *specOf(ArtifactT &a,
                    std::vector<std::pair<const char *, const char *>> fields) {
  auto spec = std::make_unique<KernelSpecT>();
  spec->kind = "embed";
  for (auto [key, value] : fields) {
    spec->fields.push_back(std::make_unique<KeyValueT>());
    spec->fields.back()->key = key;
    spec->fields.back()->value = value;
  }
  a.kernels[0]->spec = std::move(spec);
  return a.kernels[0]->spec.get();
}

// Functions: 0 decode_1.layer, 1 decode_1, ... 8 head_1, 9 head_4.
const std::vector<Case> &cases() {
  static const std::vector<Case> list = {
      {"Target", [](auto &a) { a.provenance->target = "sm_80"; },
       "built for target 'sm_80'", 4007},
      {"Vocab", [](auto &a) { a.model->vocab_size = 0; }, "vocab_size 0"},
      {"Hidden", [](auto &a) { a.model->hidden_size = 1ull << 40; },
       "hidden_size"},
      {"Layers", [](auto &a) { a.model->num_layers = 0; }, "num_layers 0"},
      {"Experts", [](auto &a) { a.model->num_experts_per_token = 5; },
       "4 experts, 5 of them"},
      {"SeqLen", [](auto &a) { a.model->max_seq_len = 1ull << 31; },
       "max_seq_len"},
      {"Batch", [](auto &a) { a.model->max_batch_size = 0; },
       "max_batch_size 0"},
      {"PageSize", [](auto &a) { a.model->page_size = 12; },
       "page_size 12 is not a power of two"},
      {"PageSizeZero", [](auto &a) { a.model->page_size = 0; }, "page_size 0"},
      {"Bos", [](auto &a) { a.model->bos_token_id = 64; }, "bos_token_id 64"},
      {"Media", [](auto &a) { a.model->media_token_id = 64; },
       "media_token_id 64 is outside"},
      {"Eos", [](auto &a) { a.model->eos_token_ids = {-1}; },
       "eos_token_id -1"},
      {"Activations", [](auto &a) { a.model->activations = DType::i32; },
       "activations have dtype 'i32'"},
      {"Fp8Mode", [](auto &a) { a.model->fp8_mode = "w4"; },
       "fp8_mode is 'w4'"},
      {"HiddenBytes", [](auto &a) { a.model->hidden_buffer_bytes = 1; },
       "state 'hidden' has 64 bytes, the model says 1"},
      // Parameters
      {"ParameterName", [](auto &a) { a.parameters[0]->name = ""; },
       "parameter 0 has no name"},
      {"ParameterTwice", [](auto &a) { a.parameters[0]->name = "w.1"; },
       "the parameter name"},
      {"ParameterKind",
       [](auto &a) { a.parameters[0]->kind = ParameterKind(9); },
       "unknown kind"},
      {"ParameterDType", [](auto &a) { a.parameters[0]->dtype = DType(77); },
       "no valid dtype"},
      {"ParameterParts", [](auto &a) { a.parameters[0]->parts.clear(); },
       "0 parts and 1 row counts"},
      {"ParameterTwoParts",
       [](auto &a) {
         a.parameters[0]->parts = {"a", "b"};
         a.parameters[0]->rows = {1, 1};
       },
       "has 2 parts, its kind takes one"},
      {"ParameterRows", [](auto &a) { a.parameters[0]->rows = {0}; },
       "with 0 rows is out of range"},
      {"ParameterOverflow",
       [](auto &a) { a.parameters[0]->inner = {1ull << 31, 1ull << 31}; },
       "out of range"},
      {"ParameterInner", [](auto &a) { a.parameters[0]->inner = {0}; },
       "inner extent 0"},
      {"StackPattern",
       [](auto &a) {
         a.parameters[0]->kind = ParameterKind::stack;
         a.parameters[0]->count = 3;
       },
       "needs a count and a pattern"},
      {"StackCount",
       [](auto &a) {
         a.parameters[0]->kind = ParameterKind::stack;
         a.parameters[0]->parts = {"e{e}"};
       },
       "needs a count and a pattern"},
      {"CopiesOfAStack",
       [](auto &a) {
         a.parameters[0]->kind = ParameterKind::stack;
         a.parameters[0]->copies = {"w"};
       },
       "parameter 'w.0' has copies, which only a tensor has"},
      {"SegmentRows",
       [](auto &a) { a.parameters[0]->kind = ParameterKind::segments; },
       "segment_rows 0"},
      {"SegmentMultiple",
       [](auto &a) {
         ParameterT &p = *a.parameters[0];
         p.kind = ParameterKind::segments;
         p.segment_rows = 4;
         p.parts = {"a", "b"};
         p.rows = {6, 4};
       },
       "6 rows, not a multiple of 4"},
      {"MapDType",
       [](auto &a) { a.parameters[0]->file_dtypes = {DType::bf16}; },
       "does not accept its own dtype f32"},
      {"FileDTypes", [](auto &a) { a.parameters[0]->file_dtypes.clear(); },
       "does not accept its own dtype"},
      {"FileDTypeUnknown",
       [](auto &a) { a.parameters[0]->file_dtypes.push_back(DType(99)); },
       "unknown file dtype"},
      {"Generated",
       [](auto &a) {
         a.parameters[0]->kind = ParameterKind::generated;
         a.parameters[0]->generator = Generator::rope_cos_sin;
       },
       "not a valid rope table"},
      // States
      {"StateTwice", [](auto &a) { a.states[0]->name = "kv.1"; },
       "the state name"},
      {"StateKind", [](auto &a) { a.states[0]->kind = StateKind(7); },
       "state 'kv.0' has an unknown kind"},
      {"CacheRow", [](auto &a) { a.states[0]->row_elements = 0; },
       "rows of 0 elements"},
      {"CacheDType", [](auto &a) { a.states[0]->dtype = DType::none; },
       "cache 'kv.0' has dtype"},
      {"BufferBytes",
       [](auto &a) {
         a.states[4]->bytes = 0;
         a.model->hidden_buffer_bytes = 0;
       },
       "has 0 bytes"},
      {"ExpertLoad", [](auto &a) { a.states[1]->bytes = 12; },
       "expected one i32 for each of 4 experts"},
      // Kernels and images
      {"KernelTwice", [](auto &a) { a.kernels[1]->name = "embed"; },
       "the kernel name"},
      {"ArgNames", [](auto &a) { a.kernels[0]->arg_names.pop_back(); },
       "3 arguments and 2 argument names"},
      {"Scratch", [](auto &a) { a.kernels[0]->scratch_bytes = ~0ull; },
       "bytes of scratch"},
      {"WordName", [](auto &a) { wordOf(a)->word = ""; },
       "the schedule of kernel 'embed' has a word without a name"},
      {"WordTwice",
       [](auto &a) {
         wordOf(a)->word = "bn";
         wordOf(a)->word = "bn";
       },
       "the schedule of kernel 'embed' has the word 'bn' twice"},
      {"WordOrigin",
       [](auto &a) { wordOf(a)->origin = static_cast<ScheduleOrigin>(9); },
       "the word 'stages' of the schedule of kernel 'embed' has the origin 9, "
       "which is none"},
      {"SpecKind", [](auto &a) { specOf(a, {{"n", "1"}})->kind = ""; },
       "the spec of kernel 'embed' has no kind"},
      {"SpecFieldName", [](auto &a) { specOf(a, {{"n", "1"}, {"", "2"}}); },
       "the spec of kernel 'embed' has a field without a name"},
      {"SpecFieldTwice", [](auto &a) { specOf(a, {{"n", "1"}, {"n", "2"}}); },
       "the spec of kernel 'embed' has the field 'n' twice"},
      {"NoImage", [](auto &a) { a.images.clear(); }, "no kernel image"},
      {"ImageTwice",
       [](auto &a) {
         a.images.push_back(std::make_unique<ImageT>(*a.images[0]));
       },
       "two images have variant 'v3'"},
      {"ImageVariant", [](auto &a) { a.images[0]->variant = "v9"; },
       "image variant 'v9'"},
      {"ImageBlob", [](auto &a) { a.images[0]->blob = 1; },
       "names blob 1 of 1"},
      {"ImageOffsets", [](auto &a) { a.images[0]->entry_offsets.pop_back(); },
       "7 entry offsets for 8 kernels"},
      {"ImageOffsetRange",
       [](auto &a) { a.images[0]->entry_offsets[3] = 1 << 20; },
       "kernel 'route' starts at byte 1048576"},
      // Functions
      {"FunctionTwice", [](auto &a) { a.functions[0]->name = "decode_1"; },
       "the function name"},
      {"CommandKind", [](auto &a) { command(a, 0, 0).kind = CommandKind(6); },
       "command 0: unknown kind 6"},
      {"LaunchKernel", [](auto &a) { command(a, 0, 0).kernel = 8; },
       "kernel 8 of 8"},
      {"LaunchArgs", [](auto &a) { command(a, 0, 0).args.pop_back(); },
       "2 arguments for kernel 'append', which takes 3"},
      {"LaunchItems", [](auto &a) { command(a, 0, 0).items = 0; },
       "0 work items"},
      {"LaunchLists", [](auto &a) { command(a, 0, 0).states = {0}; },
       "takes no parameter or state list"},
      {"ArgKind", [](auto &a) { command(a, 0, 0).args[0]->kind = ArgKind(6); },
       "argument 0: unknown kind 6"},
      {"ArgParameter", [](auto &a) { command(a, 0, 1).args[8]->index = 1; },
       "argument 8: parameter slot 1 of 1"},
      {"ArgParameterOffset",
       [](auto &a) { command(a, 0, 1).args[8]->value = 4; },
       "takes no offset, found 4"},
      {"ArgStateOffset", [](auto &a) { command(a, 0, 0).args[0]->value = 64; },
       "uses byte 64 of state 'kv.0', which has no such offset"},
      {"ArgState", [](auto &a) { command(a, 0, 0).args[0]->index = 2; },
       "argument 0: state slot 2 of 2"},
      {"ArgInput", [](auto &a) { command(a, 0, 0).args[2]->index = 9; },
       "argument 2: input 9 of 9"},
      {"ArgOutput", [](auto &a) { command(a, 8, 0).args[0]->index = 1; },
       "argument 0: output 1 of 1"},
      {"ArgHuge", [](auto &a) { command(a, 0, 0).args[1]->value = ~0ull; },
       "argument 1: offset 18446744073709551615 is out of range"},
      {"ArenaRange", [](auto &a) { command(a, 0, 0).args[1]->value = 128; },
       "uses byte 128 of an arena of 128 bytes"},
      {"InputRange", [](auto &a) { command(a, 0, 0).args[2]->value = 8; },
       "uses byte 8 of input 'slot', which has 8 bytes"},
      {"InputOfHead",
       [](auto &a) {
         command(a, 8, 0).args[2]->index = uint32_t(Input::tokens);
       },
       "uses byte 0 of input 'tokens', which has 0 bytes"},
      {"OutputOfBody",
       [](auto &a) {
         command(a, 0, 3).args[0]->kind = ArgKind::output;
         command(a, 0, 3).args[0]->index = 0;
       },
       "uses byte 0 of output 'logits', which has 0 bytes"},
      {"OutputRange", [](auto &a) { command(a, 8, 0).args[0]->value = 256; },
       "uses byte 256 of output 'logits', which has 256 bytes"},
      {"Recursion", [](auto &a) { command(a, 1, 1).callee = 1; },
       "callee 1 is not before its caller 1"},
      {"CalleeRange", [](auto &a) { command(a, 1, 1).callee = 99; },
       "callee 99"},
      {"CallArgs",
       [](auto &a) {
         command(a, 1, 1).args.push_back(
             std::make_unique<ArgT>(toy::arg(ArgKind::scalar)));
       },
       "a call takes no arguments"},
      {"RepeatZero", [](auto &a) { command(a, 1, 1).count = 0; },
       "repeat with count 0"},
      {"RepeatParameters", [](auto &a) { command(a, 1, 1).count = 3; },
       "2 parameter slots given, the callee takes 3"},
      {"RepeatStates", [](auto &a) { command(a, 1, 1).states.pop_back(); },
       "3 state slots given, the callee takes 4"},
      {"SlotRange", [](auto &a) { command(a, 1, 1).parameters[1] = 3; },
       "parameter slot 3 of 3"},
      {"TooManyLaunches",
       [](auto &a) {
         a.functions[0]->num_parameters = a.functions[0]->num_states = 0;
         a.functions[0]->arg_names.clear();
         a.functions[0]->commands.clear();
         a.functions[0]->commands.push_back(std::make_unique<CommandT>(
             toy::launch(toy::kMxcsr, 1, {toy::arg(ArgKind::scalar)})));
         command(a, 1, 1).parameters.clear();
         command(a, 1, 1).states.clear();
         command(a, 1, 1).count = 4000000000u;
       },
       "more than 1048576 launches and calls"},
      // Names of model operations
      {"OpNameTwice", [](auto &a) { a.op_names.push_back(a.op_names.front()); },
       "expected names, each once"},
      {"OpNameEmpty", [](auto &a) { a.op_names.push_back(""); },
       "op name 3 is '', expected names, each once"},
      {"OpRange", [](auto &a) { command(a, 1, 0).op = 3; },
       "command 0: op name 3 of 3"},
      {"OpNegative", [](auto &a) { command(a, 1, 0).op = -2; },
       "command 0: op name -2 of 3"},
      {"MemberRange", [](auto &a) { command(a, 0, 1).members[1] = 3; },
       "command 1: member 1 is op name 3 of 3"},
      {"MembersOfNothing", [](auto &a) { command(a, 0, 1).op = -1; },
       "command 1: 2 members of no operation"},
      {"OpOfCall", [](auto &a) { command(a, 1, 1).op = 0; },
       "command 1: a call names no operation"},
      {"FunctionArgNames",
       [](auto &a) { a.functions[0]->arg_names.pop_back(); },
       "has 2 argument names for 3 slots"},
      // Entries
      {"EntryTwice", [](auto &a) { a.entries[0]->name = "head_1"; },
       "the entry name"},
      {"EntryKind", [](auto &a) { a.entries[0]->kind = EntryKind(7); },
       "unknown kind"},
      {"EntryFunction", [](auto &a) { a.entries[0]->function = 10; },
       "names function 10 of 10"},
      {"EntrySlots", [](auto &a) { a.entries[0]->function = 0; },
       "1 parameter and 2 state slots, the artifact has 3 and 5"},
      {"EntryArena", [](auto &a) { a.entries[0]->arena_bytes = 100; },
       "arena of 100 bytes"},
      {"EntryBucket", [](auto &a) { a.entries[1]->rows = 5; },
       "impossible bucket"},
      {"EntryQueries", [](auto &a) { a.entries[1]->max_queries_per_row = 2; },
       "has 2 queries per row, expected 1"},
      {"EntryAttention", [](auto &a) { a.entries[0]->attention = "flash"; },
       "has attention 'flash'"},
      {"DeterministicAttention",
       [](auto &a) {
         a.model->deterministic = true;
         a.entries[0]->attention = "expanded";
       },
       "of a deterministic model entries of a kind have one form"},
      {"HeadAttention", [](auto &a) { a.entries[4]->attention = "absorbed"; },
       "names attention 'absorbed'"},
      {"HeadRows", [](auto &a) { a.entries[4]->logit_rows = 0; },
       "has 0 logit rows"},
      {"NoHead", [](auto &a) { a.entries.resize(4); },
       "at least one decode or prefill entry and one head entry"},
  };
  return list;
}

class Meaning : public testing::TestWithParam<size_t> {};

} // namespace

TEST_P(Meaning, IsRefusedWithItsMessage) {
  const Case &c = cases()[GetParam()];
  ArtifactT a = toy::model();
  c.damage(a);
  std::vector<uint8_t> image(8192, 0);
  Status status =
      artifact::verifyFile(toy::assemble(a, {image}), "m.hadal");
  EXPECT_EQ(status.code(), c.code) << status.toString();
  EXPECT_NE(status.message().find(c.message), std::string::npos)
      << status.toString();
  EXPECT_NE(status.message().find("m.hadal"), std::string::npos);
}

INSTANTIATE_TEST_SUITE_P(Twins, Meaning,
                         testing::Range<size_t>(0, cases().size()),
                         [](const auto &info) {
                           return std::string(cases()[info.param].name);
                         });

TEST(MeaningSizes, InputsFollowTheBucket) {
  std::vector<uint8_t> file = toy::assemble(toy::model());
  const Artifact &a = *GetArtifact(file.data() + 64);
  const Entry &prefill = *a.entries()->Get(2), &head = *a.entries()->Get(5);
  auto bytes = [&](const Entry &e, Input i) {
    return artifact::inputBytes(a, e, i);
  };
  EXPECT_EQ(artifact::pagesPerRow(*a.model()), 16u);
  EXPECT_EQ(bytes(prefill, Input::tokens), 8u * 4);
  EXPECT_EQ(bytes(prefill, Input::q_start), 5u * 4);
  EXPECT_EQ(bytes(prefill, Input::kv_len), 4u * 4);
  EXPECT_EQ(bytes(prefill, Input::page_table), 4u * 16 * 4);
  EXPECT_EQ(bytes(prefill, Input::slot), 8u * 8);
  EXPECT_EQ(bytes(prefill, Input::logit_rows), 0u);
  EXPECT_EQ(bytes(prefill, Input::sizes), (16u + 4 + 1) * 4);
  EXPECT_EQ(bytes(head, Input::logit_rows), 4u * 4);
  EXPECT_EQ(artifact::outputBytes(*a.model(), head, Output::logits),
            4u * 64 * 4);
}
