// All kernels of a program: their order, their errors, and the cache between
// two compilations.

#include "compiler/codegen/nvptx/Sm90Module.h"

#include <filesystem>
#include <fstream>
#include <set>

#include <gtest/gtest.h>

#include "compiler/codegen/KernelText.h"
#include "cost/Chip.h"
#include "llvm/Support/Process.h"
#include "mlir/IR/BuiltinOps.h"
#include "mlir/Parser/Parser.h"

using namespace hadal;
using namespace hadal::nvptx;
namespace fs = std::filesystem;

namespace {

CompiledKernel sample(const std::string &name = "k") {
  CompiledKernel k;
  k.kernel.name = name;
  k.kernel.ptx = std::string(2000, 'p');
  k.kernel.threads = 384;
  k.kernel.sharedBytes = 200000;
  k.kernel.ctasPerItem = 4;
  k.kernel.persistent = true;
  k.kernel.workspaceFixed = 128;
  k.kernel.workspacePerItem = 4096;
  k.kernel.ptxIsa = "8.0";
  k.kernel.driverMinimum = 12000;
  TensorMapInfo map;
  map.slot = 3;
  map.dataType = TensorMapInfo::DataType::bf16;
  map.swizzle = 128;
  map.dims.push_back({7168, 0, 2, 64});
  map.dims.push_back({-1, 5, 14336, 128});
  k.kernel.tensorMaps.push_back(map);
  k.cubin = std::string("\0\1\2", 3);
  PtxasFacts facts;
  facts.registers = 168;
  facts.spillLoadBytes = 8;
  facts.advice = {"(C7510) serialised"};
  k.facts = facts;
  return k;
}

void expectEqual(const CompiledKernel &a, const CompiledKernel &b) {
  // Every field is in the bytes (RoundTrip compares them one by one).
  EXPECT_EQ(encodeKernel(a), encodeKernel(b));
}

} // namespace

TEST(CompiledKernelCoding, RoundTrip) {
  std::optional<CompiledKernel> back = decodeKernel(encodeKernel(sample()));
  ASSERT_TRUE(back);
  EXPECT_EQ(back->kernel.name, "k");
  EXPECT_EQ(back->kernel.ptx, std::string(2000, 'p'));
  EXPECT_EQ(back->kernel.threads, 384u);
  EXPECT_EQ(back->kernel.sharedBytes, 200000u);
  EXPECT_EQ(back->kernel.ctasPerItem, 4u);
  EXPECT_TRUE(back->kernel.persistent);
  EXPECT_EQ(back->kernel.workspaceFixed, 128u);
  EXPECT_EQ(back->kernel.workspacePerItem, 4096u);
  EXPECT_EQ(back->kernel.ptxIsa, "8.0");
  EXPECT_EQ(back->kernel.driverMinimum, 12000u);
  ASSERT_EQ(back->kernel.tensorMaps.size(), 1u);
  const TensorMapInfo &map = back->kernel.tensorMaps[0];
  EXPECT_EQ(map.slot, 3u);
  EXPECT_EQ(map.dataType, TensorMapInfo::DataType::bf16);
  EXPECT_EQ(map.swizzle, 128u);
  ASSERT_EQ(map.dims.size(), 2u);
  EXPECT_EQ(map.dims[0].extent, 7168);
  EXPECT_EQ(map.dims[1].extent, -1);
  EXPECT_EQ(map.dims[1].extentSlot, 5u);
  EXPECT_EQ(map.dims[1].strideBytes, 14336u);
  EXPECT_EQ(map.dims[1].box, 128u);
  EXPECT_EQ(back->cubin, std::string("\0\1\2", 3));
  ASSERT_TRUE(back->facts);
  EXPECT_EQ(back->facts->registers, 168u);
  EXPECT_EQ(back->facts->spillLoadBytes, 8u);
  EXPECT_EQ(back->facts->advice,
            std::vector<std::string>{"(C7510) serialised"});
}

TEST(CompiledKernelCoding, EveryTruncationIsNothing) {
  std::string bytes = encodeKernel(sample());
  for (size_t i = 0; i < bytes.size(); ++i)
    ASSERT_FALSE(decodeKernel(bytes.substr(0, i))) << i << " bytes";
  EXPECT_FALSE(decodeKernel(bytes + "x"));
}

TEST(CompiledKernelCoding, KeysDependOnEverything) {
  Ptxas ptxas{"/bin/ptxas", "13.0.88", 13000}, older{"", "12.4.131", 12040};
  const Chip &h100 = *findChip("h100"), &h200 = *findChip("h200");
  std::set<std::string> keys = {
      keyOf("a", h100, nullptr).bytes, keyOf("b", h100, nullptr).bytes,
      keyOf("a", h200, nullptr).bytes, keyOf("a", h100, &ptxas).bytes,
      keyOf("a", h100, &older).bytes,
  };
  EXPECT_EQ(keys.size(), 5u);
  EXPECT_EQ(keyOf("a", h100, &ptxas).bytes, keyOf("a", h100, &ptxas).bytes);
}

//===----------------------------------------------------------------------===//
// Modules
//===----------------------------------------------------------------------===//

namespace {

constexpr const char *kModule = R"(
tile.kernel @first(%sz: !tile.sizes) domain(%i = 4 by 1) {}
tile.kernel @second(%sz: !tile.sizes) domain(%i = 4 by 1) {}
tile.kernel @third(%sz: !tile.sizes) domain(%i = 4 by 1) {}
)";

class Sm90ModuleTest : public testing::Test {
protected:
  void SetUp() override {
    root = fs::path(testing::TempDir()) /
           ("sm90." + std::to_string(llvm::sys::Process::getProcessId()));
    fs::remove_all(root);
    registry.insert<tile::TileDialect, mlir::arith::ArithDialect>();
    context.appendDialectRegistry(registry);
    context.loadAllAvailableDialects();
    module = mlir::parseSourceString<mlir::ModuleOp>(kModule, &context);
    options.chip = findChip("h100");
    options.cache = KernelCache(root.string(), "this build");
    options.compile = [&](tile::KernelOp kernel,
                          const Chip &) -> mlir::FailureOr<Sm90Kernel> {
      ++compiled;
      if (kernel.getSymName() == failing)
        return kernel.emitOpError("has no sm_90a lowering: a test");
      Sm90Kernel result = sample(kernel.getSymName().str()).kernel;
      return result;
    };
  }
  void TearDown() override { fs::remove_all(root); }

  fs::path root;
  mlir::DialectRegistry registry;
  mlir::MLIRContext context{mlir::MLIRContext::Threading::DISABLED};
  mlir::OwningOpRef<mlir::ModuleOp> module;
  Sm90Options options;
  std::atomic<int> compiled = 0;
  std::string failing;
};

} // namespace

TEST_F(Sm90ModuleTest, KernelsKeepTheirOrderOnAnyNumberOfThreads) {
  ASSERT_TRUE(module);
  options.cache = KernelCache();
  for (unsigned threads : {1u, 3u, 8u}) {
    options.threads = threads;
    Sm90Module out;
    ASSERT_TRUE(succeeded(compileSm90Kernels(*module, registry, options, out)));
    ASSERT_EQ(out.kernels.size(), 3u);
    EXPECT_EQ(out.kernels[0].kernel.name, "first");
    EXPECT_EQ(out.kernels[1].kernel.name, "second");
    EXPECT_EQ(out.kernels[2].kernel.name, "third");
    EXPECT_EQ(out.cached, 0u);
    EXPECT_FALSE(out.kernels[0].facts);
  }
  EXPECT_EQ(compiled, 9);
}

TEST_F(Sm90ModuleTest, TheSecondTimeEverythingComesFromTheCache) {
  ASSERT_TRUE(module);
  Sm90Module first, second;
  ASSERT_TRUE(succeeded(compileSm90Kernels(*module, registry, options, first)));
  ASSERT_TRUE(
      succeeded(compileSm90Kernels(*module, registry, options, second)));
  EXPECT_EQ(compiled, 3);
  EXPECT_EQ(second.cached, 3u);
  for (int i = 0; i < 3; ++i)
    expectEqual(first.kernels[i], second.kernels[i]);
}

// Whole to the cache, which knows its hash, but not the content of a kernel.
TEST_F(Sm90ModuleTest, AnEntryThatIsNoKernelIsCompiledAgain) {
  ASSERT_TRUE(module);
  std::string text = printKernel(*module->getOps<tile::KernelOp>().begin());
  KernelKey key = keyOf(text, *options.chip, nullptr);
  ASSERT_EQ(options.cache.store(key, "no kernel"), "");
  Sm90Module out;
  ASSERT_TRUE(succeeded(compileSm90Kernels(*module, registry, options, out)));
  EXPECT_EQ(out.cached, 0u);
  ASSERT_TRUE(succeeded(compileSm90Kernels(*module, registry, options, out)));
  EXPECT_EQ(out.cached, 3u);
}

TEST_F(Sm90ModuleTest, AKernelThatDoesNotLowerIsReportedByItsName) {
  ASSERT_TRUE(module);
  failing = "second";
  std::vector<std::string> errors;
  mlir::ScopedDiagnosticHandler handler(&context, [&](mlir::Diagnostic &d) {
    errors.push_back(d.str());
    return mlir::success();
  });
  Sm90Module out;
  EXPECT_TRUE(failed(compileSm90Kernels(*module, registry, options, out)));
  ASSERT_EQ(errors.size(), 1u);
  EXPECT_NE(errors[0].find("kernel 'second': 'tile.kernel' op has no sm_90a "
                           "lowering: a test"),
            std::string::npos)
      << errors[0];
  // What did compile is kept all the same.
  failing = "";
  compiled = 0;
  ASSERT_TRUE(succeeded(compileSm90Kernels(*module, registry, options, out)));
  EXPECT_EQ(compiled, 1);
  EXPECT_EQ(out.cached, 2u);
}
