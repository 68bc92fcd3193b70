// Mutants of a program of two ranks: hadal-verify-exec refuses each by name.
#include "compiler/driver/Register.h"
#include "mlir/IR/MLIRContext.h"
#include "mlir/Parser/Parser.h"
#include "mlir/Pass/PassManager.h"
#include "passes/Memory/Passes.h"
#include "gtest/gtest.h"

using namespace hadal;
using namespace mlir;

namespace {

/// An MoE layer in outline: pack and route, dispatch beside the shared expert,
/// experts, return, combine; two layers, planned.
constexpr const char *kProgram = R"(
module attributes {exec.mesh = #exec.mesh<tp 1, dp 2, ep 2, node 8, slots 1>} {
exec.communicator @ep axis ep size 2
exec.state @hidden buffer bytes 512
tile.kernel @copy(%x: !tile.view<?x64xbf16>, %y: !tile.view<?x64xbf16>, %sz: !tile.sizes)
    domain(%m = ? by 1 in tokens) {
  %c0 = arith.constant 0 : index
  %t = tile.load %x[%m, %c0] : !tile.view<?x64xbf16> -> tensor<1x64xbf16>
  tile.store %y[%m, %c0], %t : !tile.view<?x64xbf16>, tensor<1x64xbf16>
}
exec.func @layer() states(%hidden) {
  %sizes = exec.input sizes
  %send = exec.buffer "send" 512 exchange at 0
  %receive = exec.buffer "receive" 512 exchange at 512
  %back = exec.buffer "back" 512 exchange at 1024
  %sent = exec.buffer "sent" 128 exchange at 1536
  %got = exec.buffer "got" 128 exchange at 1664
  %work = exec.buffer "work" 512 exchange at 1792
  %shared = exec.buffer "shared" 512 at 2304
  exec.launch @copy items 4 (%hidden, 4, %send, 4, %sizes)
  exec.launch @copy items 1 (%hidden, 1, %sent, 1, %sizes)
  exec.record 0 stream 0
  exec.wait 0 stream 1
  exec.collective @ep all_to_all [(%send, %receive, 2 x 128 counted 0), (%sent, %got, 1 x 8)] counts(%sent stride 2) label "dispatch" stream 1
  exec.record 1 stream 1
  exec.launch @copy items 4 (%hidden, 4, %shared, 4, %sizes)
  exec.wait 1 stream 0
  exec.launch @copy items 4 (%receive, 4, %work, 4, %sizes)
  exec.record 2 stream 0
  exec.wait 2 stream 1
  exec.collective @ep all_to_all [(%work, %back, 2 x 128 counted 1)] counts(%got stride 2) label "return" stream 1
  exec.record 3 stream 1
  exec.wait 3 stream 0
  exec.launch @copy items 4 (%back, 4, %hidden, 4, %sizes)
  exec.launch @copy items 4 (%shared, 4, %hidden, 4, %sizes)
}
exec.entry @decode_4 decode tokens 4 rows 4 queries 1 attention "absorbed" arena 2816 {
  %sizes = exec.input sizes
  %hidden = exec.get_state @hidden
  exec.repeat 2 @layer () states (%hidden, %hidden)
}
}
)";

constexpr const char *kPack =
    "  exec.launch @copy items 4 (%hidden, 4, %send, 4, %sizes)\n";
constexpr const char *kRoute =
    "  exec.launch @copy items 1 (%hidden, 1, %sent, 1, %sizes)\n";
constexpr const char *kDispatch =
    "  exec.collective @ep all_to_all [(%send, %receive, 2 x 128 counted 0), "
    "(%sent, %got, 1 x 8)] counts(%sent stride 2) label \"dispatch\" stream 1\n";
constexpr const char *kReturn =
    "  exec.collective @ep all_to_all [(%work, %back, 2 x 128 counted 1)] "
    "counts(%got stride 2) label \"return\" stream 1\n";
constexpr const char *kShared =
    "  exec.launch @copy items 4 (%hidden, 4, %shared, 4, %sizes)\n";
constexpr const char *kExperts =
    "  exec.launch @copy items 4 (%receive, 4, %work, 4, %sizes)\n";
constexpr const char *kCombine =
    "  exec.launch @copy items 4 (%back, 4, %hidden, 4, %sizes)\n";

struct Edit {
  std::string from, to;
};
struct Mutant {
  const char *name;
  std::vector<Edit> edits;
  const char *message;
};

std::string wait(int event, int stream) {
  return "  exec.wait " + std::to_string(event) + " stream " +
         std::to_string(stream) + "\n";
}
std::string record(int event, int stream) {
  return "  exec.record " + std::to_string(event) + " stream " +
         std::to_string(stream) + "\n";
}

const std::vector<Mutant> &mutants() {
  static const std::vector<Mutant> list = {
      // Order
      {"AwaitDropped",
       {{wait(1, 0), ""}},
       "on stream 0 touches buffer 'receive' while stream 1 uses buffer "
       "'receive' in the same bytes"},
      {"AwaitTooLate",
       {{wait(1, 0), ""}, {kExperts, kExperts + wait(1, 0)}},
       "on stream 0 touches buffer 'receive' while stream 1 uses"},
      {"AwaitOnTheOtherStream",
       {{wait(1, 0), wait(1, 1)}},
       "on stream 0 touches buffer 'receive' while stream 1 uses"},
      {"AwaitTwice",
       {{wait(1, 0), wait(1, 0) + wait(1, 0)}},
       "waits for event 1 a second time"},
      {"AwaitOfTheOtherCollective",
       {{wait(1, 0), wait(3, 0)}},
       "waits for event 3, which nothing before it recorded"},
      {"StartDoesNotWait",
       {{wait(0, 1), ""}},
       "on stream 1 touches buffer 'send' while stream 0 uses buffer 'send'"},
      {"StartWaitsForLess",
       {{record(0, 0), ""}, {kRoute, record(0, 0) + kRoute}},
       "on stream 1 touches buffer 'sent' while stream 0 uses buffer 'sent'"},
      {"StartWaitsForThePast",
       {{record(0, 0), ""}, {kPack, record(0, 0) + kPack}},
       "on stream 1 touches buffer 'send' while stream 0 uses buffer 'send'"},
      {"RecordDropped",
       {{record(0, 0), ""}},
       "waits for event 0, which nothing before it recorded"},
      {"RecordTwice",
       {{record(1, 1), record(1, 1) + record(1, 1)}},
       "records event 1 a second time"},
      {"RecordOnTheOtherStream",
       {{record(1, 1), record(1, 0)}},
       "on stream 0 touches buffer 'receive' while stream 1 uses"},
      {"RecordBeforeItsCollective",
       {{record(1, 1), ""}, {kDispatch, record(1, 1) + kDispatch}},
       "on stream 0 touches buffer 'receive' while stream 1 uses"},
      {"NothingWaits",
       {{wait(3, 0), ""}, {kCombine, ""}},
       "records event 3, which nothing waits for"},
      {"InFlightAtTheEnd",
       {{record(3, 1), ""}, {wait(3, 0), ""}, {kCombine, ""}},
       "'layer' ends before its launches wait for its last collective"},
      {"EventOfACallee",
       {{"states (%hidden, %hidden)\n",
         "states (%hidden, %hidden)\n" + wait(1, 0)}},
       "waits for event 1, which nothing before it recorded"},
      {"CollectivesSwapped",
       {{kDispatch, "DISPATCH"}, {kReturn, kDispatch}, {"DISPATCH", kReturn}},
       "the send of part 0 reads buffer 'work' before anything wrote"},
      {"DispatchDropped",
       {{kDispatch, ""}},
       "slot 'x' reads buffer 'receive' before anything wrote"},
      {"ReturnDropped",
       {{kReturn, ""}},
       "slot 'x' reads buffer 'back' before anything wrote"},
      {"CountsNotMade",
       {{kRoute, ""}},
       "the send of part 1 reads buffer 'sent' before anything wrote"},
      {"CountsMadeAgainInFlight",
       {{kShared, std::string(kShared) + kRoute}},
       "on stream 0 touches buffer 'sent' while stream 1 uses buffer 'sent'"},
      {"SentMadeAgainInFlight",
       {{kShared, std::string(kShared) + kPack}},
       "on stream 0 touches buffer 'send' while stream 1 uses buffer 'send'"},
      {"LaunchOnTheOtherStream",
       {{"(%hidden, 4, %shared, 4, %sizes)\n",
         "(%hidden, 4, %shared, 4, %sizes) stream 1\n"}},
       "is on stream 1, launches belong on 0"},
      // Memory
      {"ReusedBeforeItIsSent",
       {{"\"shared\" 512 at 2304", "\"shared\" 512 at 0"}},
       "on stream 0 touches buffer 'shared' while stream 1 uses buffer 'send'"},
      {"ReusedBeforeItIsReceived",
       {{"\"shared\" 512 at 2304", "\"shared\" 512 at 960"}},
       "on stream 0 touches buffer 'shared' while stream 1 uses buffer "
       "'receive'"},
      {"ReusedByTheNextCollective",
       {{"\"back\" 512 exchange at 1024", "\"back\" 512 exchange at 2304"}},
       "slot 'x' reads buffer 'shared' whose bytes 2304 to 2816 of the arena "
       "buffer 'back' overwrote"},
      {"ReceiveOverSend",
       {{"\"receive\" 512 exchange at 512", "\"receive\" 512 exchange at 448"}},
       "writes the receive of part 0 (buffer 'receive') over the send of part 0 "
       "(buffer 'send')"},
      {"ReceiveOverReceive",
       {{"\"got\" 128 exchange at 1664", "\"got\" 128 exchange at 960"}},
       "writes the receive of part 0 (buffer 'receive') over the receive of "
       "part 1 (buffer 'got')"},
      {"ReceiveOverCounts",
       {{"(%sent, %got, 1 x 8)] counts(%sent", "(%send, %got, 1 x 8)] counts(%got"}},
       "writes the receive of part 1 (buffer 'got') over the array of counts (buffer "
       "'got')"},
      {"ReceiveShrunk",
       {{"\"receive\" 512", "\"receive\" 448"}},
       "the receive of part 0 spans 512 bytes, buffer 'receive' has 448"},
      {"SendShrunk",
       {{"\"work\" 512", "\"work\" 448"}},
       "slot 'y' spans 512 bytes, buffer 'work' has 448"},
      {"SentPastItsEnd",
       {{"(%send, %receive, 2 x 128", "(%send, %receive, 3 x 128"}},
       "the send of part 0 spans 768 bytes, buffer 'send' has 512"},
      {"CountsPastTheirEnd",
       {{"counts(%got stride 2)", "counts(%got stride 32)"}},
       "the array of counts spans 256 bytes, buffer 'got' has 128"},
      {"OutsideTheArena",
       {{"arena 2816", "arena 1728"}},
       "buffer 'got' ends at byte 1792 of an arena of 1728"},
      {"WithoutAPlace",
       {{"\"got\" 128 exchange at 1664", "\"got\" 128 exchange"}},
       "has no offset; run hadal-plan-buffers first"},
      {"NoExchangeBuffer",
       {{"\"send\" 512 exchange at 0", "\"send\" 512 at 0"}},
       "the send of part 0 is buffer 'send', expected an exchange buffer"},
      {"SendOfAState",
       {{"[(%work, %back", "[(%hidden, %back"}},
       "the send of part 0 is state 'hidden', expected an exchange buffer"},
      {"CountsOfAState",
       {{"counts(%got", "counts(%hidden"}},
       "the array of counts is state 'hidden', expected a buffer"},
  };
  return list;
}

/// What hadal-verify-exec says of |text|; "" if it accepts it.
std::string verify(const std::string &text) {
  MLIRContext context;
  DialectRegistry registry;
  registerAll(registry);
  context.appendDialectRegistry(registry);
  std::string said;
  ScopedDiagnosticHandler handler(&context, [&](Diagnostic &d) {
    said += d.str() + "\n";
    return success();
  });
  auto module = parseSourceString<ModuleOp>(text, &context);
  if (!module)
    return "does not parse: " + said;
  PassManager pm(&context);
  pm.addPass(createVerifyExec());
  LogicalResult result = pm.run(*module);
  EXPECT_EQ(succeeded(result), said.empty()) << said;
  return said;
}

class RankMutant : public testing::TestWithParam<size_t> {};

} // namespace

TEST(VerifyRanks, TheProgramIsAccepted) { EXPECT_EQ(verify(kProgram), ""); }

TEST(VerifyRanks, WhatIsInFlightMayCrossACallThatDoesNotTouchIt) {
  std::string text = kProgram;
  text.insert(text.find("exec.entry"), R"(
exec.func @other() states(%hidden) {
  %sizes = exec.input sizes
  %mine = exec.buffer "mine" 512 at 2816
  exec.launch @copy items 4 (%hidden, 4, %mine, 4, %sizes)
}
)");
  auto replace = [&](const std::string &from, const std::string &to) {
    size_t at = text.find(from);
    ASSERT_NE(at, std::string::npos) << from;
    text.replace(at, from.size(), to);
  };
  replace("arena 2816", "arena 3328");
  replace(kShared, std::string(kShared) + "  exec.call @other () states (%hidden)\n");
  EXPECT_EQ(verify(text), "");
  replace("at 2816", "at 512");
  EXPECT_NE(verify(text).find("on stream 0 touches buffer 'mine' while stream 1 "
                              "uses buffer 'receive'"),
            std::string::npos);
}

TEST_P(RankMutant, IsRefused) {
  const Mutant &mutant = mutants()[GetParam()];
  std::string text = kProgram;
  for (const Edit &edit : mutant.edits) {
    size_t at = text.find(edit.from);
    ASSERT_NE(at, std::string::npos) << edit.from;
    text.replace(at, edit.from.size(), edit.to);
  }
  std::string said = verify(text);
  EXPECT_NE(said.find(mutant.message), std::string::npos) << said;
}

INSTANTIATE_TEST_SUITE_P(Ranks, RankMutant,
                         testing::Range<size_t>(0, mutants().size()),
                         [](const auto &info) {
                           return std::string(mutants()[info.param].name);
                         });
