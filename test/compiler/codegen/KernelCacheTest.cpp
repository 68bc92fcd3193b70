// The kernel cache: what it keeps, and that nothing damaged or of another build
// comes back.
#include "compiler/codegen/KernelCache.h"

#include <atomic>
#include <filesystem>
#include <fstream>
#include <set>
#include <thread>

#include <gtest/gtest.h>

#include "compiler/codegen/CacheCoding.h"
#include "llvm/Support/Process.h"

using namespace hadal;
namespace fs = std::filesystem;

namespace {

const std::string kContent = std::string(2000, 'p') + std::string("\0\1", 2);

KernelKey keyOf(const std::string &text) {
  return KernelKey::of({"target", text});
}

class KernelCacheTest : public testing::Test {
protected:
  void SetUp() override {
    root = fs::path(testing::TempDir()) /
           ("cache." + std::to_string(llvm::sys::Process::getProcessId()));
    fs::remove_all(root);
    cache = KernelCache(root.string(), "this build");
  }
  void TearDown() override { fs::remove_all(root); }
  unsigned count() {
    unsigned files = 0;
    for (const auto &entry : fs::recursive_directory_iterator(root))
      files += entry.is_regular_file();
    return files;
  }
  fs::path root;
  KernelCache cache;
};

} // namespace

TEST_F(KernelCacheTest, EveryDamagedByteAndEveryTruncationIsAMiss) {
  std::string bytes = encodeCacheEntry("name", kContent);
  for (size_t i = 0; i < bytes.size(); ++i) {
    bytes[i] ^= 0x10;
    ASSERT_FALSE(decodeCacheEntry("name", bytes)) << "byte " << i;
    bytes[i] ^= 0x10;
    ASSERT_FALSE(decodeCacheEntry("name", bytes.substr(0, i))) << i << " bytes";
  }
  EXPECT_FALSE(decodeCacheEntry("name", bytes + "x"));
  EXPECT_FALSE(decodeCacheEntry("other", bytes));
  EXPECT_EQ(decodeCacheEntry("name", bytes), kContent);
}

TEST_F(KernelCacheTest, KeysDependOnEveryPartAndItsPlace) {
  std::set<std::string> keys = {
      KernelKey::of({"a", "b"}).bytes, KernelKey::of({"b", "a"}).bytes,
      KernelKey::of({"ab"}).bytes,     KernelKey::of({"ab", ""}).bytes,
      KernelKey::of({"", "ab"}).bytes, KernelKey::of({"a", "c"}).bytes};
  EXPECT_EQ(keys.size(), 6u);
  EXPECT_EQ(KernelKey::of({"a", "b"}).bytes, KernelKey::of({"a", "b"}).bytes);
}

TEST_F(KernelCacheTest, AnotherBuildFindsNothing) {
  EXPECT_EQ(cache.store(keyOf("text"), kContent), "");
  EXPECT_EQ(cache.find(keyOf("text")), kContent);
  KernelCache other(root.string(), "another build");
  EXPECT_FALSE(other.find(keyOf("text")));
  EXPECT_NE(other.entryPath(keyOf("text")), cache.entryPath(keyOf("text")));
  EXPECT_EQ(KernelCache(root.string(), "this build").find(keyOf("text")),
            kContent);
}

TEST_F(KernelCacheTest, ACorruptEntryIsDeletedAndReplaced) {
  KernelKey key = keyOf("text");
  EXPECT_FALSE(cache.find(key));
  EXPECT_EQ(cache.store(key, kContent), "");
  EXPECT_EQ(cache.find(key), kContent);
  std::string file = cache.entryPath(key);
  {
    std::fstream stream(file, std::ios::in | std::ios::out);
    stream.seekp(500);
    stream << "!";
  }
  EXPECT_FALSE(cache.find(key));
  EXPECT_FALSE(fs::exists(file));
  EXPECT_EQ(cache.store(key, kContent), "");
  EXPECT_TRUE(cache.find(key));
  EXPECT_EQ(count(), 1u);
  cache.drop(key);
  EXPECT_FALSE(fs::exists(file));
}

TEST_F(KernelCacheTest, ADirectoryThatCannotBeWrittenIsASentence) {
  std::ofstream(root.string()) << "a file";
  KernelCache below((root / "below").string(), "this build");
  EXPECT_NE(below.store(keyOf("text"), kContent), "");
  EXPECT_FALSE(below.find(keyOf("text")));
}

TEST_F(KernelCacheTest, WithoutADirectoryOrAnIdentityNothingIsKept) {
  KernelCache none[] = {KernelCache(), KernelCache("", "this build"),
                        KernelCache(root.string(), "")};
  for (KernelCache &each : none) {
    EXPECT_FALSE(each.enabled());
    EXPECT_EQ(each.store(keyOf("text"), kContent), "");
    EXPECT_FALSE(each.find(keyOf("text")));
    each.prune(0);
  }
  EXPECT_FALSE(fs::exists(root));
  EXPECT_EQ(KernelCache::resolveDirectory("none"), "");
  EXPECT_EQ(KernelCache::resolveDirectory("/some/where"), "/some/where");
}

TEST_F(KernelCacheTest, PruningKeepsWhatWasUsedLast) {
  std::vector<KernelKey> keys;
  for (int i = 0; i < 4; ++i) {
    keys.push_back(keyOf("text" + std::to_string(i)));
    EXPECT_EQ(cache.store(keys.back(), kContent), "");
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
      KernelCache mine(root.string(), "this build");
      for (int i = 0; i < 50; ++i) {
        mine.store(key, kContent);
        // Once there, it stays there, and whole.
        torn += !mine.find(key);
      }
    });
  for (std::thread &thread : threads)
    thread.join();
  EXPECT_EQ(torn, 0);
  EXPECT_EQ(count(), 1u);
}

//===----------------------------------------------------------------------===//
// Coding
//===----------------------------------------------------------------------===//

TEST(CacheCoding, EveryTruncationIsInvalid) {
  std::vector<std::string> list = {"a", "", "ccc"};
  uint64_t number = ~uint64_t(0);
  CacheEncoder encoder;
  encoder.field(number);
  encoder.list(list, [&](const std::string &text) { encoder.field(text); });
  auto decode = [&](llvm::StringRef bytes, bool check) {
    CacheDecoder decoder{bytes};
    uint64_t n = 0;
    std::vector<std::string> texts;
    decoder.field(n);
    decoder.list(texts, [&](std::string &text) { decoder.field(text); });
    if (check) {
      EXPECT_EQ(n, number);
      EXPECT_EQ(texts, list);
    }
    return decoder.finished();
  };
  EXPECT_TRUE(decode(encoder.bytes, true));
  for (size_t i = 0; i < encoder.bytes.size(); ++i)
    EXPECT_FALSE(decode(encoder.bytes.substr(0, i), false)) << i;
  EXPECT_FALSE(decode(encoder.bytes + "x", false));
  // A count that no memory holds is not believed.
  CacheEncoder large;
  large.field(number);
  large.number(number);
  EXPECT_FALSE(decode(large.bytes, false));
}
