// Two micro-batches, woven at every place and in many orders: each runs what it
// would run alone, in its order, and hadal-verify-exec accepts the program as
// it is and none of its mutants.
#include <algorithm>
#include <random>

#include "compiler/driver/Register.h"
#include "dialects/Exec/IR/Exec.h"
#include "mlir/IR/MLIRContext.h"
#include "mlir/Parser/Parser.h"
#include "mlir/Pass/PassManager.h"
#include "passes/Memory/Passes.h"
#include "passes/Overlap/LayerStages.h"
#include "passes/Overlap/Passes.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

using namespace hadal;
using namespace mlir;
using testing::AllOf, testing::Each, testing::Ge, testing::HasSubstr,
    testing::Ne, testing::SizeIs;

namespace {

/// Three layers of half a bucket in outline, each with a weight of its own.
constexpr const char *kProgram = R"(
module attributes {
  exec.mesh = #exec.mesh<tp 1, dp 2, ep 2, node 8, slots 1>,
  exec.model = {activations = "bf16", hidden_size = 64 : i64, max_seq_len = 64 : i64, page_size = 16 : i64}} {
exec.parameter @w0 tensor map bf16 rows [4] inner [64] from ["w0"] accepts [bf16]
exec.parameter @w1 tensor map bf16 rows [4] inner [64] from ["w1"] accepts [bf16]
exec.parameter @w2 tensor map bf16 rows [4] inner [64] from ["w2"] accepts [bf16]
exec.communicator @ep axis ep size 2
exec.state @hidden buffer bytes 512
exec.state @load buffer bytes 512
tile.kernel @copy(%x: !tile.view<?x64xbf16>, %y: !tile.view<?x64xbf16>, %sz: !tile.sizes)
    domain(%m = ? by 1 in tokens) {
  %c0 = arith.constant 0 : index
  %t = tile.load %x[%m, %c0] : !tile.view<?x64xbf16> -> tensor<1x64xbf16>
  tile.store %y[%m, %c0], %t : !tile.view<?x64xbf16>, tensor<1x64xbf16>
}
exec.func @dense(%w) states(%hidden) {
  %sizes = exec.input sizes
  %mlp = exec.buffer "mlp" 256
  exec.launch @copy items 2 (%w, 2, %mlp, 2, %sizes) op "dense.up"
  exec.launch @copy items 2 (%mlp, 2, %hidden, 2, %sizes) op "dense.down"
}
exec.func @layer(%w) states(%hidden, %load) {
  %sizes = exec.input sizes
  %norm = exec.buffer "norm" 256
  %query = exec.buffer "query" 256
  %send = exec.buffer "send" 512 exchange
  %receive = exec.buffer "receive" 512 exchange
  %back = exec.buffer "back" 512 exchange
  %sent = exec.buffer "sent" 128 exchange
  %got = exec.buffer "got" 128 exchange
  %work = exec.buffer "work" 512 exchange
  %shared = exec.buffer "shared" 256
  exec.launch @copy items 2 (%w, 2, %query, 2, %sizes) op "layer.query"
  exec.launch @copy items 2 (%hidden, 2, %norm, 2, %sizes) op "layer.norm"
  exec.launch @copy items 2 (%query, 2, %load, 2, %sizes) op "layer.count"
  exec.launch @copy items 1 (%norm, 1, %sent, 1, %sizes) op "layer.route"
  exec.launch @copy items 4 (%w, 4, %send, 4, %sizes) op "layer.pack"
  exec.record 0 stream 0
  exec.wait 0 stream 1
  exec.collective @ep all_to_all [(%send, %receive, 2 x 128 counted 0), (%sent, %got, 1 x 8)] counts(%sent stride 2) label "dispatch" op "layer.dispatch" stream 1
  exec.record 1 stream 1
  exec.launch @copy items 2 (%norm, 2, %shared, 2, %sizes) op "layer.shared"
  exec.wait 1 stream 0
  exec.launch @copy items 4 (%receive, 4, %work, 4, %sizes) op "layer.experts"
  exec.record 2 stream 0
  exec.wait 2 stream 1
  exec.collective @ep all_to_all [(%work, %back, 2 x 128 counted 1)] counts(%got stride 2) label "return" op "layer.return" stream 1
  exec.record 3 stream 1
  exec.wait 3 stream 0
  exec.launch @copy items 2 (%back, 2, %hidden, 2, %sizes) op "layer.combine"
  exec.launch @copy items 2 (%shared, 2, %hidden, 2, %sizes) op "layer.add"
}
exec.entry @decode_4_x2 decode tokens 4 rows 4 queries 1 attention "absorbed"
    rung worst capacity 2 pairs 2 micro_batches 2 interleaving INTERLEAVING {
  %sizes = exec.input sizes
  %w0 = exec.get_parameter @w0
  %w1 = exec.get_parameter @w1
  %w2 = exec.get_parameter @w2
  %hidden = exec.get_state @hidden
  %load = exec.get_state @load
  exec.launch @copy items 2 (%w0, 2, %hidden, 2, %sizes) op "entry.embed"
  exec.call @dense (%w0) states (%hidden)
  exec.repeat 3 @layer (%w0, %w1, %w2) states (%hidden, %load, %hidden, %load, %hidden, %load)
}
}
)";

constexpr const char *kStages[] = {"project", "shared", "after_dispatch",
                                   "after_return"};
constexpr unsigned kNumStages = 4;

/// Micro-batch b begins with stage first[b]; |order| says whose turn it is.
std::string interleaving(std::array<unsigned, 2> first,
                         const std::vector<unsigned> &order) {
  std::string text;
  for (unsigned batch : order)
    text += (text.empty() ? "[\"" : ", \"") +
            std::string(kStages[first[batch]++ % kNumStages]) + "." +
            std::to_string(batch) + "\"";
  return text + "]";
}

class Program {
  MLIRContext context;

public:
  OwningOpRef<ModuleOp> module;

  explicit Program(const std::string &words) {
    DialectRegistry registry;
    registerAll(registry);
    context.appendDialectRegistry(registry);
    std::string text = kProgram;
    const std::string_view mark = "INTERLEAVING";
    text.replace(text.find(mark), mark.size(), words);
    module = parseSourceString<ModuleOp>(text, &context);
    EXPECT_TRUE(module);
  }

  /// What the passes say; "" if all succeed.
  template <typename... Passes> std::string run(Passes... passes) {
    std::string said;
    ScopedDiagnosticHandler handler(&context, [&](Diagnostic &d) {
      if (d.getSeverity() == DiagnosticSeverity::Error)
        said += d.str() + "\n";
      return success();
    });
    PassManager pm(&context);
    (pm.addPass(std::move(passes)), ...);
    const LogicalResult result = pm.run(*module);
    EXPECT_EQ(succeeded(result), said.empty()) << said;
    return said;
  }

  std::string weaveAndPlan() {
    return run(createWeaveMicroBatches(), createPlanBuffers(),
               createVerifyExec());
  }

  /// What each micro-batch runs, layer by layer: "layer.pack w1".
  std::array<std::vector<std::string>, 2> trace() {
    std::array<std::vector<std::string>, 2> all;
    auto entry = *module->getOps<exec::EntryOp>().begin();
    for (Operation &op : entry.getBodyBlock()) {
      if (auto launch = dyn_cast<exec::LaunchOp>(op)) {
        add(launch, DenseMap<Value, std::string>(), all);
        continue;
      }
      auto callee = op.getAttrOfType<FlatSymbolRefAttr>("callee");
      if (!callee)
        continue;
      auto func = module->lookupSymbol<exec::FuncOp>(callee.getValue());
      auto repeat = dyn_cast<exec::RepeatOp>(op);
      const size_t count = repeat ? repeat.getCount() : 1;
      const size_t parameters = func.getNumParameters();
      for (size_t i = 0; i < count; ++i) {
        DenseMap<Value, std::string> names;
        for (auto [at, arg] : llvm::enumerate(func.getParameters())) {
          Value given = op.getOperand(i * parameters + at);
          names[arg] =
              given.getDefiningOp<exec::GetParameterOp>().getParameter().str();
        }
        for (Operation &inner : func.getBodyBlock())
          add(&inner, names, all);
      }
    }
    return all;
  }

private:
  /// Launches have the sizes of their micro-batch; of a collective the buffers
  /// are carried or local, so that its label is enough.
  static void add(Operation *op, const DenseMap<Value, std::string> &names,
                  std::array<std::vector<std::string>, 2> &all) {
    auto launch = dyn_cast<exec::LaunchOp>(op);
    if (!launch)
      return;
    auto sizes = launch.getRefs().back().getDefiningOp<exec::InputOp>();
    std::string text = launch.getOp()->str();
    for (Value ref : launch.getRefs())
      if (auto name = names.find(ref); name != names.end())
        text += " " + name->second;
    all[sizes.getOffset() > 0].push_back(text);
  }
};

std::vector<std::string> alone() {
  std::vector<std::string> all = {"entry.embed", "dense.up w0", "dense.down"};
  for (const char *w : {"w0", "w1", "w2"})
    for (const char *op : {"layer.query ", "layer.norm", "layer.count",
                           "layer.route", "layer.pack ", "layer.shared",
                           "layer.experts", "layer.combine", "layer.add"})
      all.push_back(std::string(op).back() == ' ' ? op + std::string(w) : op);
  return all;
}

/// A few orders of two chains of kNumStages.
std::vector<std::vector<unsigned>> someOrders(unsigned count) {
  std::mt19937 random(7);
  std::vector<std::vector<unsigned>> orders = {{0, 1, 0, 1, 0, 1, 0, 1},
                                               {0, 0, 0, 0, 1, 1, 1, 1},
                                               {1, 1, 1, 1, 0, 0, 0, 0}};
  while (orders.size() < count) {
    std::vector<unsigned> order = orders.front();
    std::shuffle(order.begin(), order.end(), random);
    orders.push_back(order);
  }
  return orders;
}

/// The command |index| among those of kind Op in the whole module.
template <typename Op> Op nth(ModuleOp module, unsigned index) {
  Op found;
  unsigned number = 0;
  module.walk([&](Op op) {
    if (number++ == index)
      found = op;
  });
  return found;
}

const std::string kUsual = interleaving({1, 0}, {0, 1, 0, 1, 0, 1, 0, 1});

} // namespace

TEST(Weave, EveryCutAndOrderRunsWhatEachWouldAlone) {
  unsigned programs = 0;
  for (unsigned first0 = 0; first0 < kNumStages; ++first0)
    for (unsigned first1 = 0; first1 < kNumStages; ++first1)
      for (const auto &order : someOrders(6)) {
        const std::string words = interleaving({first0, first1}, order);
        Program program(words);
        ASSERT_EQ(program.weaveAndPlan(), "") << words;
        auto [zero, one] = program.trace();
        EXPECT_EQ(zero, alone()) << words;
        EXPECT_EQ(one, alone()) << words;
        ++programs;
      }
  EXPECT_EQ(programs, 96u);
}

TEST(Weave, OneFunctionServesAllLayersButOne) {
  Program program(kUsual);
  ASSERT_EQ(program.weaveAndPlan(), "");
  auto repeat = nth<exec::RepeatOp>(*program.module, 0);
  ASSERT_TRUE(repeat);
  EXPECT_EQ(repeat.getCount(), 2);
  EXPECT_EQ(repeat.getCallee(), "layer_body");
  EXPECT_FALSE(program.module->lookupSymbol("layer"));
  EXPECT_TRUE(program.module->lookupSymbol("layer_prologue"));
  EXPECT_TRUE(program.module->lookupSymbol("layer_epilogue"));
}

TEST(Weave, BuffersThatAreDoneLeaveTheirBytes) {
  Program program(kUsual);
  ASSERT_EQ(program.weaveAndPlan(), "");
  int64_t all = 0;
  auto body = program.module->lookupSymbol<exec::FuncOp>("layer_body");
  for (auto buffer : body.getOps<exec::BufferOp>())
    all += buffer.getBytes();
  EXPECT_LT(*(*program.module->getOps<exec::EntryOp>().begin()).getArena(),
            all * 3 / 4);
}

/// What VerifyExec says of each program in which |change| has been made to one
/// op of the kind, as far as it returns true.
template <typename Op, typename Change>
std::vector<std::string> verdictsOnMutants(Change change) {
  std::vector<std::string> verdicts;
  for (unsigned index = 0;; ++index) {
    Program program(kUsual);
    EXPECT_EQ(program.weaveAndPlan(), "");
    Op op = nth<Op>(*program.module, index);
    if (!op)
      return verdicts;
    if (change(op))
      verdicts.push_back(program.run(createVerifyExec()));
  }
}

template <typename Op> bool erase(Op op) {
  op.erase();
  return true;
}

TEST(Weave, WithoutAWaitItIsRefused) {
  EXPECT_THAT(verdictsOnMutants<exec::WaitOp>(erase<exec::WaitOp>),
              AllOf(SizeIs(Ge(16u)), Each(Ne(""))));
}

TEST(Weave, WithAWaitTwiceItIsRefused) {
  EXPECT_THAT(verdictsOnMutants<exec::WaitOp>([](exec::WaitOp wait) {
                OpBuilder(wait).clone(*wait);
                return true;
              }),
              AllOf(SizeIs(Ge(16u)), Each(HasSubstr("a second time"))));
}

TEST(Weave, WithoutARecordItIsRefused) {
  EXPECT_THAT(verdictsOnMutants<exec::RecordOp>(erase<exec::RecordOp>),
              AllOf(SizeIs(Ge(16u)), Each(Ne(""))));
}

TEST(Weave, WithACarriedBufferElsewhereInOneFunctionItIsRefused) {
  const auto verdicts =
      verdictsOnMutants<exec::BufferOp>([](exec::BufferOp buffer) {
        if (buffer.getCarried().empty())
          return false;
        buffer.setOffset(*buffer.getOffset() + 64);
        return true;
      });
  EXPECT_THAT(verdicts, AllOf(SizeIs(Ge(8u)), Each(Ne(""))));
  // Or of what lies there.
  EXPECT_GT(llvm::count_if(verdicts,
                           [](const std::string &said) {
                             return said.find("has other bytes than that of") !=
                                    std::string::npos;
                           }),
            static_cast<ptrdiff_t>(verdicts.size() / 2));
}

TEST(Weave, WhatIsCarriedMayNotBeUsedMeanwhile) {
  // Every carried buffer, wherever it is named, in the place of another buffer
  // of the body that is written while it is needed.
  Program names(kUsual);
  ASSERT_EQ(names.weaveAndPlan(), "");
  std::vector<std::string> carried;
  names.module->walk([&](exec::BufferOp buffer) {
    if (!buffer.getCarried().empty() &&
        !llvm::is_contained(carried, buffer.getCarried().str()))
      carried.push_back(buffer.getCarried().str());
  });
  ASSERT_FALSE(carried.empty());
  for (const std::string &name : carried) {
    Program program(kUsual);
    ASSERT_EQ(program.weaveAndPlan(), "");
    // The other micro-batch's buffer of the same kind.
    int64_t other = -1;
    bool exchange = false;
    program.module->walk([&](exec::BufferOp buffer) {
      if (buffer.getCarried() == name)
        exchange = buffer.getExchange();
    });
    auto body = program.module->lookupSymbol<exec::FuncOp>("layer_body");
    for (auto buffer : body.getOps<exec::BufferOp>())
      if (buffer.getCarried().empty() && buffer.getExchange() == exchange)
        other = *buffer.getOffset();
    ASSERT_GE(other, 0) << name;
    program.module->walk([&](exec::BufferOp buffer) {
      if (buffer.getCarried() == name)
        buffer.setOffset(other);
    });
    EXPECT_NE(program.run(createVerifyExec()), "") << name;
  }
}

TEST(Weave, WhatIsNotWovenIsRefused) {
  Program program(kUsual);
  EXPECT_NE(program.run(createPlanBuffers(), createVerifyExec())
                .find("'decode_4_x2' is that of one of its micro-batches; run "
                      "hadal-weave-micro-batches first"),
            std::string::npos);
}

TEST(Decide, TwoMicroBatchesNeedAPlainTwin) {
  Program program("[]");
  EXPECT_NE(program.run(createDecideOverlap({.overlap = "on"}))
                .find("of two micro-batches has no twin of one"),
            std::string::npos);
}

/// Overlap decisions on a layer of more stages than are searched: the reason.
std::string reasonOfManyStages(const char *overlap, size_t entriesLeft) {
  Program program("[]");
  auto half = *program.module->getOps<exec::EntryOp>().begin();
  OpBuilder b(half);
  auto plain = cast<exec::EntryOp>(b.clone(*half));
  plain.setSymName("decode_4");
  plain.setMicroBatches(1);
  plain.removeInterleavingAttr();
  auto layer = program.module->lookupSymbol<exec::FuncOp>("layer");
  auto dispatch = *layer.getOps<exec::CollectiveOp>().begin();
  b.setInsertionPointToEnd(&layer.getBodyBlock());
  for (int i = 0; i < 4; ++i) {
    auto copy = cast<exec::CollectiveOp>(b.clone(*dispatch));
    copy.setLabel("more" + std::to_string(i));
    exec::RecordOp::create(b, layer.getLoc(), 10 + i, exec::kCollectiveStream);
    exec::WaitOp::create(b, layer.getLoc(), 10 + i, exec::kLaunchStream);
  }
  DecideOverlapOptions options;
  options.overlap = overlap;
  options.cluster = R"({"links": {"ep": {"alpha_us": 9, "gb_per_s": 50}}})";
  EXPECT_EQ(program.run(createDecideOverlap(options)), "");
  auto entries = llvm::to_vector(program.module->getOps<exec::EntryOp>());
  EXPECT_EQ(entries.size(), entriesLeft);
  return entries[0].getOverlap() ? entries[0].getOverlap()->getReason().str()
                                 : "no decision";
}

TEST(Decide, TooManyStagesAreNotSearched) {
  EXPECT_EQ(reasonOfManyStages("auto", 1),
            "a layer has more than 6 stages");
  // What is asked for is kept, as without a cluster.
  EXPECT_EQ(reasonOfManyStages("on", 2),
            "asked for; a layer has more than 6 stages");
}

TEST(Decide, AStageThatOnlyAwaitsStays) {
  Program program("[]");
  auto layer = program.module->lookupSymbol<exec::FuncOp>("layer");
  SmallVector<exec::WaitOp> waits;
  for (exec::WaitOp wait : layer.getOps<exec::WaitOp>())
    if (wait.getStream() == exec::kLaunchStream)
      waits.push_back(wait);
  ASSERT_EQ(waits.size(), 2u);
  waits[0]->moveBefore(waits[1]);
  std::string why;
  auto stages = findLayerStages(layer, why);
  ASSERT_TRUE(stages) << why;
  std::vector<std::string> awaited;
  for (const LayerStage &stage : *stages)
    if (!stage.awaits.empty())
      awaited.push_back(stage.awaits);
  EXPECT_EQ(awaited, (std::vector<std::string>{"dispatch", "return"}));
}

TEST(Weave, RefusesAnInterleavingThatIsNone) {
  const std::pair<const char *, const char *> wrong[] = {
      {"[\"shared.0\"]", "micro-batch 0 has 1 stages, the layer 4"},
      {"[\"experts.0\"]",
       "'experts.0' is no stage of a micro-batch; the stages "
       "are project shared after_dispatch after_return"},
      {"[\"shared.2\"]", "'shared.2' is no stage of a micro-batch"},
      {"[\"project.0\", \"project.1\", \"after_dispatch.0\", \"shared.1\", "
       "\"shared.0\", \"after_dispatch.1\", \"after_return.0\", "
       "\"after_return.1\"]",
       "'after_dispatch.0' does not follow 'project.0' in the layer"}};
  for (auto [words, message] : wrong) {
    Program program(words);
    EXPECT_NE(program.run(createWeaveMicroBatches()).find(message),
              std::string::npos)
        << words;
  }
}
