// The check that no pass loses a model operation's name, on passes that do.
#include "passes/Identity/Conservation.h"

#include <functional>

#include "compiler/driver/Register.h"
#include "dialects/Dsv3/IR/Dsv3.h"
#include "dialects/Exec/IR/Exec.h"
#include "mlir/IR/MLIRContext.h"
#include "mlir/Parser/Parser.h"
#include "mlir/Pass/PassManager.h"
#include "passes/Dsv3/Passes.h"
#include "passes/Identity/Names.h"
#include "gtest/gtest.h"

using namespace hadal;
using namespace mlir;

namespace {

/// Two layers of one kind, a clone of which has another symbol.
constexpr const char *kModule = R"(
#tokens = #dsv3.layout<[tokens]>
func.func private @layer_0(%x: tensor<?x4xbf16, #tokens>) -> tensor<?x4xbf16, #tokens> {
  %0 = dsv3.add %x, %x : tensor<?x4xbf16, #tokens> loc("first"("moe_layer"))
  %1 = dsv3.add %0, %x : tensor<?x4xbf16, #tokens> loc("second"("moe_layer"))
  return %1 : tensor<?x4xbf16, #tokens> loc("return"("moe_layer"))
} loc("moe_layer")
func.func private @layer_1(%x: tensor<?x4xbf16, #tokens>) -> tensor<?x4xbf16, #tokens> {
  %0 = dsv3.add %x, %x : tensor<?x4xbf16, #tokens> loc("first"("moe_layer"))
  %1 = dsv3.add %0, %x : tensor<?x4xbf16, #tokens> loc("second"("moe_layer"))
  return %1 : tensor<?x4xbf16, #tokens> loc("return"("moe_layer"))
} loc("moe_layer")
)";

/// A pass that does what a test gives it.
template <typename OpT>
struct TestPass : PassWrapper<TestPass<OpT>, OperationPass<OpT>> {
  using Body = std::function<void(OpT)>;
  explicit TestPass(Body body, StringRef argument = "hadal-test")
      : body(std::move(body)), argument(argument) {}
  TestPass(const TestPass &other) = default;
  StringRef getArgument() const override { return argument; }
  StringRef getName() const override { return "TestPass"; }
  void runOnOperation() override { body(this->getOperation()); }

  Body body;
  StringRef argument;
};

class ConservationTest : public testing::Test {
protected:
  ConservationTest() {
    DialectRegistry registry;
    registerAll(registry);
    context.appendDialectRegistry(registry);
    context.loadAllAvailableDialects();
    module = parseSourceString<ModuleOp>(kModule, &context);
  }

  /// Runs |pass| on the module or on each function and returns what was said.
  template <typename OpT>
  std::string run(std::function<void(OpT)> body,
                  StringRef argument = "hadal-test") {
    std::string said;
    std::mutex mutex;
    ScopedDiagnosticHandler handler(&context, [&](Diagnostic &d) {
      std::lock_guard<std::mutex> lock(mutex);
      said += d.str() + "\n";
      return success();
    });
    PassManager pm(&context);
    lossy.clear();
    pm.addInstrumentation(createConservationCheck(lossy));
    auto pass = std::make_unique<TestPass<OpT>>(std::move(body), argument);
    if constexpr (std::is_same_v<OpT, ModuleOp>)
      pm.addPass(std::move(pass));
    else
      pm.nest<OpT>().addPass(std::move(pass));
    EXPECT_TRUE(succeeded(pm.run(*module)));
    return said;
  }
  /// The adds of |func| in order.
  static std::pair<dsv3::AddOp, dsv3::AddOp> addsOf(func::FuncOp func) {
    auto adds = llvm::to_vector(func.getBody().getOps<dsv3::AddOp>());
    return {adds[0], adds[1]};
  }
  /// Replaces the second add of |func| by the first.
  static void eraseSecond(func::FuncOp func) {
    auto [first, second] = addsOf(func);
    second.getResult().replaceAllUsesWith(first.getResult());
    second.erase();
  }

  MLIRContext context;
  OwningOpRef<ModuleOp> module;
  std::string lossy;
};

constexpr const char *kLost = "H2001: hadal-test loses 'moe_layer.second' of "
                              "'layer_0': no operation stands for it; fuse its "
                              "location into the one that does "
                              "(passes/Identity/Names.h), or record it as "
                              "dropped\n";

} // namespace

TEST_F(ConservationTest, AFunctionPassThatLosesANameIsNamed) {
  EXPECT_EQ(run<func::FuncOp>([](func::FuncOp func) {
              if (func.getSymName() == "layer_0")
                eraseSecond(func);
            }),
            kLost);
  EXPECT_EQ(lossy, "hadal-test");
}

TEST_F(ConservationTest, AModulePassIsHeldToEachFunction) {
  EXPECT_EQ(run<ModuleOp>([](ModuleOp module) {
              eraseSecond(*module.getOps<func::FuncOp>().begin());
            }),
            kLost);
}

TEST_F(ConservationTest, OverwritingALocationLosesItsName) {
  std::string said = run<func::FuncOp>([](func::FuncOp func) {
    auto [first, second] = addsOf(func);
    first->setLoc(second->getLoc());
  });
  EXPECT_NE(said.find("loses 'moe_layer.first' of 'layer_1'"),
            std::string::npos)
      << said;
}

TEST_F(ConservationTest, AFusedNameIsKept) {
  EXPECT_EQ(run<func::FuncOp>([](func::FuncOp func) {
              auto [first, second] = addsOf(func);
              first->setLoc(fuseLoc("both", "test", {first, second}));
              eraseSecond(func);
            }),
            "");
  EXPECT_EQ(lossy, "");
}

TEST_F(ConservationTest, ADroppedNameIsRecordedWithItsReason) {
  EXPECT_EQ(run<ModuleOp>([](ModuleOp module) {
              auto func = *module.getOps<func::FuncOp>().begin();
              recordDropped(addsOf(func).second, "it adds nothing");
              eraseSecond(func);
            }),
            "dropped: 'moe_layer.second': it adds nothing\n");
  auto func = *module->getOps<func::FuncOp>().begin();
  EXPECT_EQ(func->getAttr(dsv3::kDroppedAttr),
            Builder(&context).getStrArrayAttr({"moe_layer.second"}));
  // It is not asked for again.
  EXPECT_EQ(run<ModuleOp>([](ModuleOp) {}), "");
}

TEST_F(ConservationTest, ClonesAndMergedFunctionsAreFoundByTheirKind) {
  auto renamed = [](bool loses) {
    return [=](ModuleOp module) {
      auto functions = llvm::to_vector(module.getOps<func::FuncOp>());
      functions[0].erase();
      functions[1].setSymName("moe_layer_decode_1");
      if (loses)
        eraseSecond(functions[1]);
    };
  };
  EXPECT_EQ(run<ModuleOp>(renamed(false)), "");
  module = parseSourceString<ModuleOp>(kModule, &context);
  std::string said = run<ModuleOp>(renamed(true));
  EXPECT_NE(said.find("'moe_layer.second' of 'moe_layer_decode_1'"),
            std::string::npos)
      << said;
}

TEST_F(ConservationTest, AKindThatIsGoneIsMissed) {
  std::string said = run<ModuleOp>([](ModuleOp module) {
    for (auto func : llvm::make_early_inc_range(module.getOps<func::FuncOp>()))
      func.erase();
  });
  EXPECT_NE(said.find("'moe_layer.first' of 'moe_layer'"), std::string::npos)
      << said;
  EXPECT_NE(said.find("'moe_layer.second' of 'moe_layer'"), std::string::npos)
      << said;
}

TEST_F(ConservationTest, PassesOfOthersMayEraseWhatIsDead) {
  EXPECT_EQ(run<func::FuncOp>(eraseSecond, "cse"), "");
}

TEST_F(ConservationTest, OfALaunchItsMembersCount) {
  module = parseSourceString<ModuleOp>(R"(
tile.kernel @k() domain(%m = 1 by 1) {}
exec.func @moe_layer() states() {
  exec.launch @k items 1 () op "moe_layer.a" members ["moe_layer.a", "moe_layer.b"]
} loc("moe_layer")
)",
                                       &context);
  ASSERT_TRUE(module);
  std::string said = run<ModuleOp>([](ModuleOp module) {
    module.walk([](exec::LaunchOp op) { op.removeMembersAttr(); });
  });
  EXPECT_NE(said.find("loses 'moe_layer.b' of 'moe_layer'"), std::string::npos)
      << said;
}

TEST_F(ConservationTest, KeysAndMembersOfLocations) {
  auto func = *module->getOps<func::FuncOp>().begin();
  auto [first, second] = addsOf(func);
  auto members = [](Operation *op) {
    return llvm::join(getMembers(op->getLoc()), " ");
  };
  EXPECT_EQ(getKey(first), "moe_layer.first");
  EXPECT_EQ(members(first), "moe_layer.first");
  EXPECT_EQ(getKey(func), "moe_layer");
  second->setLoc(splitLoc(second, "part"));
  EXPECT_EQ(getKey(second), "moe_layer.second.part");
  EXPECT_EQ(members(second), "moe_layer.second");
  first->setLoc(fuseLoc("both", "test", {first, second}));
  EXPECT_EQ(getKey(first), "moe_layer.both");
  EXPECT_EQ(members(first), "moe_layer.first moe_layer.second");
  // Of several equal ones there is one list.
  absorbLoc(second, "elide", func);
  absorbLoc(second, "elide", first);
  absorbLoc(second, "elide", first); // has nothing to add
  EXPECT_EQ(getKey(second), "moe_layer.second.part");
  auto inner = cast<NameLoc>(second->getLoc()).getChildLoc();
  EXPECT_EQ(cast<FusedLoc>(inner).getLocations().size(), 3u);
  EXPECT_EQ(members(second), "moe_layer.second moe_layer moe_layer.first");
  // Where nothing has a name, the operation's own and its place.
  module =
      parseSourceString<ModuleOp>("func.func private @f()", &context, "f.mlir");
  func = *module->getOps<func::FuncOp>().begin();
  EXPECT_EQ(getKey(func), "func");
  EXPECT_EQ(members(func), "f.mlir:1:1");
}

TEST_F(ConservationTest, PartsOfAFunctionOfTheProgramStandForIt) {
  auto make = [&](ModuleOp module, StringRef symbol,
                  ArrayRef<StringRef> launched) {
    OpBuilder b = OpBuilder::atBlockEnd(module.getBody());
    auto kind = NameLoc::get(b.getStringAttr("moe_layer"));
    auto func =
        exec::FuncOp::create(b, kind, symbol, 0, b.getArrayAttr({}));
    b.setInsertionPointToStart(&func.getBody().emplaceBlock());
    for (StringRef op : launched)
      exec::LaunchOp::create(b, kind, "k", 1, ValueRange(), {}, 0,
                             b.getStringAttr(op), ArrayAttr());
    return func;
  };
  auto split = [&](StringRef left) {
    module = parseSourceString<ModuleOp>(
        "tile.kernel @k(%sz: !tile.sizes) domain(%m = 8 by 8) {\n}", &context);
    exec::FuncOp whole =
        make(*module, "layer", {"moe_layer.first", "moe_layer.second"});
    return run<ModuleOp>([&](ModuleOp module) {
      make(module, "layer_begin", {"moe_layer.first"});
      make(module, "layer_end", {left});
      whole.erase();
    });
  };
  EXPECT_EQ(split("moe_layer.second"), "");
  EXPECT_NE(split("moe_layer.first")
                .find("loses 'moe_layer.second' of 'layer'"),
            std::string::npos);
}
