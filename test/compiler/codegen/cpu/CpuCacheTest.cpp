// Images from the kernel cache are those that were compiled, whatever of them
// is in the cache and on however many threads.
#include <filesystem>
#include <set>

#include <gtest/gtest.h>

#include "RunImage.h"
#include "compiler/codegen/cpu/CompiledChunk.h"
#include "dialects/Diagnostics.h"
#include "dialects/Tile/IR/TileDialect.h"
#include "mlir/IR/MLIRContext.h"
#include "mlir/Parser/Parser.h"
#include "llvm/Support/Process.h"

using namespace hadal;
using namespace hadal::cpu;
namespace fs = std::filesystem;

namespace {

/// Kernels of two chunks; @dot calls forms.
std::string moduleText() {
  std::string text = R"(
tile.kernel @dot(%x: !tile.view<?x64xbf16>, %w: !tile.view<256x64xbf16>, %y: !tile.view<?x256xf32>, %sz: !tile.sizes)
    domain(%m = ? by 4 in tokens, %n = 256 by 16)
    schedule {form = "rows", prefetch = 8192 : i64, row_group = 4 : i64, unroll = 2 : i64} {
  %c0 = arith.constant 0 : index
  %c64 = arith.constant 64 : index
  %zero = arith.constant dense<0.0> : tensor<4x16xf32>
  %r = tile.fold %k = %c0 to %c64 step 64 init(%acc = %zero : tensor<4x16xf32>) {
    %a = tile.load %x[%m, %k] : !tile.view<?x64xbf16> -> tensor<4x64xbf16>
    %b = tile.load %w[%n, %k] : !tile.view<256x64xbf16> -> tensor<16x64xbf16>
    %next = tile.dot %a, %b, %acc tb : tensor<4x64xbf16>, tensor<16x64xbf16>, tensor<4x16xf32>
    tile.yield %next : tensor<4x16xf32>
  } combine (%p), (%q) {
    %s = arith.addf %p, %q : tensor<4x16xf32>
    tile.yield %s : tensor<4x16xf32>
  }
  tile.store %y[%m, %n], %r : !tile.view<?x256xf32>, tensor<4x16xf32>
}
)";
  for (int i = 0; i < 5; ++i)
    text +=
        R"(
tile.kernel @add)" +
        std::to_string(i) +
        R"((%x: !tile.view<?x256xf32>, %y: !tile.view<?x256xf32>, %sz: !tile.sizes)
    domain(%m = ? by 4 in tokens) {
  %c0 = arith.constant 0 : index
  %a = tile.load %x[%m, %c0] : !tile.view<?x256xf32> -> tensor<4x256xf32>
  %b = arith.constant dense<)" +
        std::to_string(i) + R"(.5> : tensor<4x256xf32>
  %c = arith.addf %a, %b : tensor<4x256xf32>
  tile.store %y[%m, %c0], %c : !tile.view<?x256xf32>, tensor<4x256xf32>
}
)";
  return text;
}

class CpuCacheTest : public testing::Test {
protected:
  void SetUp() override {
    root = fs::path(testing::TempDir()) /
           ("cpu." + std::to_string(llvm::sys::Process::getProcessId()));
    fs::remove_all(root);
    context.loadDialect<tile::TileDialect, mlir::arith::ArithDialect,
                        mlir::math::MathDialect>();
    module = mlir::parseSourceString<mlir::ModuleOp>(moduleText(), &context);
    ASSERT_TRUE(module);
    options.variants = {Variant::v3, Variant::v4};
    options.cache = KernelCache(root.string(), "this build");
  }
  void TearDown() override { fs::remove_all(root); }

  CpuKernels compile() {
    CpuKernels out;
    EXPECT_TRUE(succeeded(compileCpuKernels(*module, options, out)));
    return out;
  }
  /// Names, facts and bytes of |kernels|.
  static void expectEqual(const CpuKernels &a, const CpuKernels &b) {
    ASSERT_EQ(a.kernels.size(), b.kernels.size());
    for (size_t i = 0; i < a.kernels.size(); ++i) {
      EXPECT_EQ(a.kernels[i].name, b.kernels[i].name);
      EXPECT_EQ(a.kernels[i].scratchBytes, b.kernels[i].scratchBytes);
      EXPECT_EQ(a.kernels[i].numArgs, b.kernels[i].numArgs);
    }
    ASSERT_EQ(a.images.size(), b.images.size());
    for (size_t i = 0; i < a.images.size(); ++i) {
      EXPECT_EQ(a.images[i].variant, b.images[i].variant);
      EXPECT_EQ(a.images[i].bytes, b.images[i].bytes);
      EXPECT_EQ(a.images[i].entryOffsets, b.images[i].entryOffsets);
    }
  }
  std::vector<fs::path> entries() {
    std::vector<fs::path> files;
    for (const auto &entry : fs::recursive_directory_iterator(root))
      if (entry.is_regular_file())
        files.push_back(entry.path());
    std::sort(files.begin(), files.end());
    return files;
  }

  fs::path root;
  mlir::MLIRContext context{mlir::MLIRContext::Threading::DISABLED};
  mlir::OwningOpRef<mlir::ModuleOp> module;
  CpuOptions options;
};

} // namespace

TEST_F(CpuCacheTest, EverythingComesBackEqual) {
  KernelCache cache = options.cache;
  options.cache = KernelCache();
  CpuKernels compiled = compile();
  EXPECT_EQ(compiled.kernels.size(), 6u);
  options.threads = 3;
  expectEqual(compiled, compile());

  options.cache = cache;
  CpuKernels cold = compile();
  EXPECT_EQ(cold.cached, 0u);
  EXPECT_EQ(cold.cacheProblem, "");
  expectEqual(compiled, cold);
  // Of each variant two chunks and the forms.
  EXPECT_EQ(entries().size(), 6u);
  CpuKernels warm = compile();
  EXPECT_EQ(warm.cached, 6u);
  expectEqual(compiled, warm);

  // One variant of them, and in another order.
  options.variants = {Variant::v4};
  CpuKernels one = compile();
  EXPECT_EQ(one.cached, 6u);
  ASSERT_EQ(one.images.size(), 1u);
  EXPECT_EQ(one.images[0].bytes, compiled.images[1].bytes);
}

// A word of a schedule is part of what is compiled, in kernels and in forms.
TEST_F(CpuCacheTest, AnotherScheduleIsOtherCode) {
  CpuKernels first = compile();
  for (auto kernel : module->getOps<tile::KernelOp>())
    if (kernel.getSymName() == "dot") {
      mlir::NamedAttrList words(kernel.getSchedule().getWords());
      words.set("unroll", mlir::Builder(&context).getI64IntegerAttr(1));
      kernel.setScheduleAttr(
          tile::ScheduleAttr::get(&context, words.getDictionary(&context)));
    }
  CpuKernels second = compile();
  // The second chunk is the same.
  EXPECT_EQ(second.cached, 2u);
  EXPECT_NE(first.images[0].bytes, second.images[0].bytes);
  EXPECT_EQ(entries().size(), 10u);
}

TEST_F(CpuCacheTest, EveryMissingOrDamagedEntryIsMadeAgain) {
  CpuKernels compiled = compile();
  for (const fs::path &entry : entries())
    for (bool damage : {false, true}) {
      if (damage)
        fs::resize_file(entry, fs::file_size(entry) / 2);
      else
        fs::remove(entry);
      expectEqual(compiled, compile());
      EXPECT_EQ(entries().size(), 6u);
    }
}

TEST_F(CpuCacheTest, ACacheThatCannotBeWrittenIsASentence) {
  fs::create_directories(root);
  {
    std::FILE *file = std::fopen((root / "file").c_str(), "w");
    std::fclose(file);
  }
  options.cache = KernelCache((root / "file").string(), "this build");
  CpuKernels kernels = compile();
  EXPECT_NE(kernels.cacheProblem, "");
  EXPECT_EQ(kernels.images.size(), 2u);
}

TEST_F(CpuCacheTest, AChunkComesBackFieldByField) {
  CompiledChunk chunk;
  chunk.kernels.push_back({"name", 64, 3});
  FormTuning tuning;
  tuning.prefetchBlocks = 2;
  tuning.chunkBytes = 393216;
  tuning.decodedRows = 32;
  tuning.panelUnroll = 4;
  tuning.tile = {8, 2};
  tuning.tile256 = {4, 2};
  chunk.forms.push_back(
      FormKey(FormKind::panel, Elt::f32, Elt::fp8, tuning, 7));
  tuning.prefetch = 8192;
  tuning.unroll = 2;
  tuning.kGroup = 3;
  chunk.forms.push_back(
      FormKey(FormKind::gemv, Elt::bf16, Elt::bf16, tuning, 4));
  chunk.forms.push_back(
      FormKey(FormKind::gemvColumns, Elt::bf16, Elt::bf16, tuning));
  chunk.object = std::string("\0ELF", 4);
  std::string bytes = encodeChunk(chunk);
  std::optional<CompiledChunk> back = decodeChunk(bytes);
  ASSERT_TRUE(back);
  ASSERT_EQ(back->kernels.size(), 1u);
  EXPECT_EQ(back->kernels[0].name, "name");
  EXPECT_EQ(back->kernels[0].scratchBytes, 64u);
  EXPECT_EQ(back->kernels[0].numArgs, 3u);
  EXPECT_EQ(back->forms, chunk.forms);
  EXPECT_EQ(back->object, chunk.object);
  for (size_t i = 0; i < bytes.size(); ++i)
    ASSERT_FALSE(decodeChunk(bytes.substr(0, i))) << i << " bytes";
  EXPECT_FALSE(decodeChunk(bytes + "x"));
}

TEST_F(CpuCacheTest, KeysDependOnEverything) {
  FormTuning tuning, other;
  other.prefetch = 4096;
  FormKey a(FormKind::gemv, Elt::bf16, Elt::fp8, tuning, 4);
  FormKey b(FormKind::gemv, Elt::bf16, Elt::fp8, tuning, 1);
  FormKey c(FormKind::gemv, Elt::bf16, Elt::fp8, other, 4);
  std::set<std::string> keys = {
      keyOfChunk("a", Variant::v3).bytes,    keyOfChunk("b", Variant::v3).bytes,
      keyOfChunk("a", Variant::v4).bytes,    keyOfForms({a}, Variant::v3).bytes,
      keyOfForms({b}, Variant::v3).bytes,    keyOfForms({c}, Variant::v3).bytes,
      keyOfForms({a, b}, Variant::v3).bytes, keyOfForms({a}, Variant::v4).bytes,
  };
  EXPECT_EQ(keys.size(), 8u);
}

// An error keeps its code and names the kernels among which it is.
TEST_F(CpuCacheTest, AKernelThatDoesNotLowerIsReported) {
  module = mlir::parseSourceString<mlir::ModuleOp>(R"(
  tile.kernel @unknown(%x: !tile.view<8xf32>) domain(%m = 1 by 1) {
    %a = tile.load %x[%m] : !tile.view<8xf32> -> tensor<8xf32>
    %b = math.exp %a : tensor<8xf32>
    tile.store %x[%m], %b : !tile.view<8xf32>, tensor<8xf32>
  }
)",
                                                   &context);
  ASSERT_TRUE(module);
  std::vector<std::string> errors;
  std::vector<std::optional<int>> codes;
  mlir::ScopedDiagnosticHandler handler(&context, [&](mlir::Diagnostic &d) {
    errors.push_back(d.str());
    codes.push_back(getErrorCode(d));
    return mlir::success();
  });
  CpuKernels out;
  EXPECT_TRUE(failed(compileCpuKernels(*module, options, out)));
  ASSERT_FALSE(errors.empty());
  EXPECT_EQ(codes.back(), 3002);
  EXPECT_NE(errors.back().find("H3002: kernel unknown does not lower to loops "
                               "(kernels unknown)"),
            std::string::npos)
      << errors.back();
}

// What the compiler builds for this machine is what the runtime's CPUID says.
TEST(CpuVariants, NativeIsTheBestThatThisHostRuns) {
  std::vector<Variant> host = hostVariants();
  ASSERT_EQ(unsetenv("HADAL_CPU_VARIANT"), 0);
  if (host.empty()) {
    EXPECT_FALSE(nativeVariant());
    return;
  }
  EXPECT_EQ(nativeVariant(), host.back());
  for (Variant variant : host) {
    setenv("HADAL_CPU_VARIANT", variantName(variant).str().c_str(), 1);
    EXPECT_EQ(nativeVariant(), variant);
  }
  setenv("HADAL_CPU_VARIANT", "v9", 1);
  EXPECT_EQ(nativeVariant(), std::nullopt);
  unsetenv("HADAL_CPU_VARIANT");
}

TEST(CpuVariants, AreKnownByTheirNames) {
  EXPECT_EQ(allVariants().size(), 3u);
  for (Variant variant : allVariants())
    EXPECT_EQ(parseVariant(variantName(variant)), variant);
  EXPECT_EQ(parseVariant("v5"), std::nullopt);
}
