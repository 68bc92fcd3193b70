// The kernel cache: what it keeps, and that nothing damaged comes back.
#include "compiler/codegen/nvptx/KernelCache.h"

#include <filesystem>
#include <fstream>
#include <thread>

#include <gtest/gtest.h>

#include "schedule/Chip.h"
#include "compiler/codegen/nvptx/Sm90Module.h"
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
  KernelKey key{"key"};
  // Every field is in the bytes (RoundTrip compares them one by one).
  EXPECT_EQ(encodeCacheEntry(key, a), encodeCacheEntry(key, b));
}

KernelKey keyOf(const std::string &text) {
  return KernelKey::of(text, *findChip("h100"), nullptr);
}

class KernelCacheTest : public testing::Test {
protected:
  void SetUp() override {
    root = fs::path(testing::TempDir()) /
           ("cache." + std::to_string(llvm::sys::Process::getProcessId()));
    fs::remove_all(root);
  }
  void TearDown() override { fs::remove_all(root); }
  unsigned count() {
    unsigned files = 0;
    for (const auto &entry : fs::recursive_directory_iterator(root))
      files += entry.is_regular_file();
    return files;
  }
  fs::path root;
};

} // namespace

TEST_F(KernelCacheTest, RoundTrip) {
  KernelKey key = keyOf("text");
  std::optional<CompiledKernel> back =
      decodeCacheEntry(key, encodeCacheEntry(key, sample()));
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

TEST_F(KernelCacheTest, EveryDamagedByteAndEveryTruncationIsAMiss) {
  KernelKey key = keyOf("text");
  std::string bytes = encodeCacheEntry(key, sample());
  for (size_t i = 0; i < bytes.size(); ++i) {
    bytes[i] ^= 0x10;
    ASSERT_FALSE(decodeCacheEntry(key, bytes)) << "byte " << i;
    bytes[i] ^= 0x10;
    ASSERT_FALSE(decodeCacheEntry(key, bytes.substr(0, i))) << i << " bytes";
  }
  EXPECT_FALSE(decodeCacheEntry(key, bytes + "x"));
  EXPECT_FALSE(decodeCacheEntry(keyOf("other"), bytes));
  EXPECT_TRUE(decodeCacheEntry(key, bytes));
}

TEST_F(KernelCacheTest, KeysDependOnEverything) {
  Ptxas ptxas{"/bin/ptxas", "13.0.88", 13000}, older{"", "12.4.131", 12040};
  const Chip &h100 = *findChip("h100"), &h200 = *findChip("h200");
  std::set<std::string> keys = {
      KernelKey::of("a", h100, nullptr).bytes,
      KernelKey::of("b", h100, nullptr).bytes,
      KernelKey::of("a", h200, nullptr).bytes,
      KernelKey::of("a", h100, &ptxas).bytes,
      KernelKey::of("a", h100, &older).bytes,
  };
  EXPECT_EQ(keys.size(), 5u);
  EXPECT_EQ(KernelKey::of("a", h100, &ptxas).bytes,
            KernelKey::of("a", h100, &ptxas).bytes);
}

TEST_F(KernelCacheTest, ACorruptEntryIsDeletedAndReplaced) {
  KernelCache cache(root);
  KernelKey key = keyOf("text");
  EXPECT_FALSE(cache.find(key));
  EXPECT_EQ(cache.store(key, sample()), "");
  auto found = cache.find(key);
  ASSERT_TRUE(found);
  expectEqual(*found, sample());
  std::string file = cache.entryPath(key);
  {
    std::fstream stream(file, std::ios::in | std::ios::out);
    stream.seekp(500);
    stream << "!";
  }
  EXPECT_FALSE(cache.find(key));
  EXPECT_FALSE(fs::exists(file));
  EXPECT_EQ(cache.store(key, sample()), "");
  EXPECT_TRUE(cache.find(key));
  EXPECT_EQ(count(), 1u);
}

TEST_F(KernelCacheTest, ADirectoryThatCannotBeWrittenIsASentence) {
  std::ofstream(root.string()) << "a file";
  KernelCache cache(root / "below");
  EXPECT_NE(cache.store(keyOf("text"), sample()), "");
  EXPECT_FALSE(cache.find(keyOf("text")));
}

TEST_F(KernelCacheTest, NoDirectoryKeepsNothing) {
  KernelCache cache("");
  EXPECT_EQ(cache.store(keyOf("text"), sample()), "");
  EXPECT_FALSE(cache.find(keyOf("text")));
  EXPECT_EQ(KernelCache::resolveDirectory("none"), "");
  EXPECT_EQ(KernelCache::resolveDirectory("/some/where"), "/some/where");
}

TEST_F(KernelCacheTest, PruningKeepsWhatWasUsedLast) {
  KernelCache cache(root);
  std::vector<KernelKey> keys;
  for (int i = 0; i < 4; ++i) {
    keys.push_back(keyOf("text" + std::to_string(i)));
    EXPECT_EQ(cache.store(keys.back(), sample()), "");
    // Ages in hours, the first the oldest.
    fs::last_write_time(cache.entryPath(keys.back()),
                        fs::file_time_type::clock::now() -
                            std::chrono::hours(10 - i));
  }
  std::ofstream(root / "not-ours.txt") << std::string(100000, 'x');
  EXPECT_TRUE(cache.find(keys[0])); // now the youngest
  uint64_t each = fs::file_size(cache.entryPath(keys[0]));
  cache.prune(2 * each);
  EXPECT_TRUE(cache.find(keys[0]));
  EXPECT_FALSE(cache.find(keys[1]));
  EXPECT_FALSE(cache.find(keys[2]));
  EXPECT_TRUE(cache.find(keys[3]));
  EXPECT_TRUE(fs::exists(root / "not-ours.txt"));
}

TEST_F(KernelCacheTest, ManyWritersOfOneEntryLeaveAWholeOne) {
  KernelKey key = keyOf("text");
  std::vector<std::thread> threads;
  std::atomic<int> torn = 0;
  for (int t = 0; t < 4; ++t)
    threads.emplace_back([&] {
      KernelCache cache(root);
      for (int i = 0; i < 50; ++i) {
        cache.store(key, sample());
        // Once there, it stays there, and whole.
        torn += !cache.find(key);
      }
    });
  for (std::thread &thread : threads)
    thread.join();
  EXPECT_EQ(torn, 0);
  EXPECT_EQ(count(), 1u);
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

class Sm90ModuleTest : public KernelCacheTest {
protected:
  void SetUp() override {
    KernelCacheTest::SetUp();
    registry.insert<tile::TileDialect, mlir::arith::ArithDialect>();
    context.appendDialectRegistry(registry);
    context.loadAllAvailableDialects();
    module = mlir::parseSourceString<mlir::ModuleOp>(kModule, &context);
    options.chip = findChip("h100");
    options.cacheDirectory = root;
    options.compile = [&](tile::KernelOp kernel,
                          const Chip &) -> mlir::FailureOr<Sm90Kernel> {
      ++compiled;
      if (kernel.getSymName() == failing)
        return kernel.emitOpError("has no sm_90a lowering: a test");
      Sm90Kernel result = sample(kernel.getSymName().str()).kernel;
      return result;
    };
  }

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
  options.cacheDirectory = "";
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
