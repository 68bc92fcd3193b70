// Which files of a directory are the model, and what its index says of them.
#include <filesystem>

#include <sys/stat.h>

#include "runtime/checkpoint/CheckpointIndex.h"
#include "test/runtime/TempDirectory.h"
#include "test/runtime/checkpoint/Safetensors.h"

using namespace hadal;
using namespace hadal::test;

namespace {

/// A file with one byte tensor of this name.
std::string one(const std::string &name) {
  return SafetensorsBuilder().add(name, "U8", {1}, "x").bytes();
}

using Names = std::vector<std::string>;

class CheckpointFilesTest : public testing::Test {
protected:
  void touch(const Names &names) {
    for (const std::string &name : names)
      directory_.write(name, one(name));
  }
  void writeIndex(const std::string &text) {
    directory_.write("model.safetensors.index.json", text);
  }
  /// The names that are taken; those passed over must be |passedOver|.
  Names taken(const Names &passedOver = {}) {
    StatusOr<CheckpointFiles> files = findCheckpointFiles(directory_.path());
    EXPECT_TRUE(files.ok()) << files.status().toString();
    if (!files.ok())
      return {};
    EXPECT_EQ(files->passedOver, passedOver);
    return files->names;
  }
  void expectRefusal(int code, const std::string &reason) {
    expectError(findCheckpointFiles(directory_.path()).status(), code,
                {directory_.path(), reason});
  }

  TempDirectory directory_;
};

TEST_F(CheckpointFilesTest, aDirectoryWithoutWeightsHasNone) {
  directory_.write("config.json", "{}");
  directory_.write("training_args.bin", "no weights");
  EXPECT_EQ(taken(), Names());
  expectError(CheckpointIndex::open(directory_.path()).status(), 5001,
              {"no weights in", directory_.path()});
}

TEST_F(CheckpointFilesTest, takesTheSingleFile) {
  touch({"model.safetensors", "consolidated.safetensors",
         "model.fp16.safetensors", "optimizer.safetensors",
         "adapter_model.safetensors"});
  Names over = {"adapter_model.safetensors", "consolidated.safetensors",
                "model.fp16.safetensors", "optimizer.safetensors"};
  EXPECT_EQ(taken(over), Names{"model.safetensors"});
  EXPECT_EQ(findCheckpointFiles(directory_.path())->describePassedOver(),
            "passed over 4 files that are not part of the model: "
            "adapter_model.safetensors, consolidated.safetensors, "
            "model.fp16.safetensors and 1 more");
}

TEST_F(CheckpointFilesTest, takesTheShardsOfTheModel) {
  Names shards = {"model-00001-of-000002.safetensors",
                  "model-00002-of-000002.safetensors"};
  touch(shards);
  touch({"consolidated.safetensors", "consolidated-00001-of-00001.safetensors",
         "model-00001-of-000002 (1).safetensors", "mtp.safetensors"});
  EXPECT_EQ(taken({"consolidated-00001-of-00001.safetensors",
                   "consolidated.safetensors",
                   "model-00001-of-000002 (1).safetensors", "mtp.safetensors"}),
            shards);
}

TEST_F(CheckpointFilesTest, takesTheOnlySetOfShards) {
  Names shards = {"weights-0-of-2.safetensors", "weights-1-of-2.safetensors"};
  touch(shards);
  touch({"other.safetensors"});
  EXPECT_EQ(taken({"other.safetensors"}), shards);
}

TEST_F(CheckpointFilesTest, takesTheConvertersFile) {
  touch({"model0-mp1.safetensors", "other.safetensors"});
  EXPECT_EQ(taken({"other.safetensors"}), Names{"model0-mp1.safetensors"});
}

TEST_F(CheckpointFilesTest, takesAllFilesOfOtherNames) {
  touch({"x-2.safetensors", "x-1.safetensors"});
  EXPECT_EQ(taken(), (Names{"x-1.safetensors", "x-2.safetensors"}));
}

/// A Mac puts ._name beside each file on foreign disks; downloaders keep
/// caches.
TEST_F(CheckpointFilesTest, passesOverDotFilesAndDirectories) {
  const std::string attributes("\0\5\26\7\0\2\0\0Mac OS X        ", 24);
  for (bool sharded : {false, true}) {
    Names names =
        sharded ? Names{"model-1-of-2.safetensors", "model-2-of-2.safetensors"}
                : Names{"any.safetensors"};
    touch(names);
    for (const std::string &name : names)
      directory_.write("._" + name, attributes);
    directory_.write("._model.safetensors", attributes);
    directory_.write("._model.safetensors.index.json", attributes);
    std::filesystem::create_directories(directory_.file(".cache"));
    std::filesystem::create_directories(directory_.file("old.safetensors"));
    EXPECT_EQ(taken(sharded ? Names{"any.safetensors"} : Names()), names);
    EXPECT_TRUE(CheckpointIndex::open(directory_.path()).ok());
  }
}

TEST_F(CheckpointFilesTest, followsLinks) {
  touch({"blob"});
  std::filesystem::create_symlink(directory_.file("blob"),
                                  directory_.file("model.safetensors"));
  EXPECT_EQ(taken(), Names{"model.safetensors"});
  std::filesystem::remove(directory_.file("blob"));
  // A link to nothing is no absence of weights.
  expectError(CheckpointIndex::open(directory_.path()).status(), 5001,
              {"cannot open", "model.safetensors"});
}

TEST_F(CheckpointFilesTest, doesNotWaitForAPipe) {
  ASSERT_EQ(mkfifo(directory_.file("model.safetensors").c_str(), 0600), 0);
  expectError(CheckpointIndex::open(directory_.path()).status(), 5001,
              {"model.safetensors", "expected a regular file"});
}

TEST_F(CheckpointFilesTest, refusesAnIncompleteSet) {
  touch(
      {"model-00001-of-00003.safetensors", "model-00003-of-00003.safetensors"});
  expectRefusal(5001, "shard 2 of model-*-of-00003.safetensors is missing; is "
                      "the download complete?");
}

TEST_F(CheckpointFilesTest, refusesTwoSetsOfShards) {
  touch({"model-1-of-1.safetensors", "model-1-of-2.safetensors",
         "model-2-of-2.safetensors"});
  expectRefusal(5002, "two sets of shards, model-*-of-1.safetensors and "
                      "model-*-of-2.safetensors");
}

TEST_F(CheckpointFilesTest, refusesSharesOfRanks) {
  touch({"model0-mp2.safetensors", "model1-mp2.safetensors"});
  expectRefusal(5002, "model0-mp2.safetensors' holds one of 2 ranks' share of "
                      "the tensors; convert the checkpoint with "
                      "--model-parallel 1");
}

TEST_F(CheckpointFilesTest, refusesOtherFormatsAlone) {
  for (const char *name :
       {"pytorch_model.bin", "pytorch_model-00001-of-00002.bin",
        "consolidated.00.pth", "model.gguf", "model.safetensors.part"}) {
    directory_.write(name, "weights");
    expectRefusal(5001, std::string("expected *.safetensors, found ") + name);
    std::filesystem::remove(directory_.file(name));
  }
  touch({"adapter_model.safetensors"});
  expectRefusal(5001, "adapter_model.safetensors is an adapter");
  // Beside the model they are nobody's business.
  directory_.write("pytorch_model.bin", "weights");
  touch({"model.safetensors"});
  EXPECT_EQ(taken({"adapter_model.safetensors"}), Names{"model.safetensors"});
}

TEST_F(CheckpointFilesTest, takesWhatTheIndexNames) {
  touch({"b.safetensors", "a.safetensors", "model.safetensors"});
  writeIndex(R"({"metadata":{"total_size":2},
                 "weight_map":{"x":"b.safetensors","y":"a.safetensors"}})");
  EXPECT_EQ(taken({"model.safetensors"}),
            (Names{"a.safetensors", "b.safetensors"}));
}

TEST_F(CheckpointFilesTest, passesOverAnIndexThatOutlivedItsShards) {
  touch({"model.safetensors"});
  writeIndex(R"({"weight_map":{"x":"model-1-of-2.safetensors"}})");
  EXPECT_EQ(taken({"model.safetensors.index.json"}),
            Names{"model.safetensors"});
}

TEST_F(CheckpointFilesTest, refusesBadIndexes) {
  touch({"one.safetensors"});
  const std::pair<const char *, const char *> cases[] = {
      {"", "not valid JSON"},
      {"[]", "\"weight_map\", found none"},
      {R"({"weight_map":[]})", "found array"},
      {R"({"weight_map":{}})", "names no tensor"},
      {R"({"weight_map":{"a":1}})", "tensor a"},
      {R"({"weight_map":{"a":""}})", "tensor a"},
      {R"({"weight_map":{"a":".."}})", "found \"..\""},
      {R"({"weight_map":{"a":"../one.safetensors"}})", "the same directory"},
      {R"({"weight_map":{"a":"/etc/passwd"}})", "the same directory"},
      {R"({"weight_map":{"a":"one.safetensors\u0000"}})", "the same directory"},
      {R"({"weight_map":{"a":"one.safetensors","a":"two.safetensors"}})",
       "duplicate key"}};
  for (auto [text, reason] : cases) {
    SCOPED_TRACE(text);
    writeIndex(text);
    expectRefusal(5002, reason);
  }
}

TEST_F(CheckpointFilesTest, refusesWhatIsNoDirectory) {
  expectError(findCheckpointFiles(directory_.file("none")).status(), 5001,
              {directory_.file("none"), "not a directory"});
}

//===----------------------------------------------------------------------===//
// The tensors
//===----------------------------------------------------------------------===//

class CheckpointIndexTest : public CheckpointFilesTest {
protected:
  CheckpointIndexTest() {
    first_ = SafetensorsBuilder().add("a", "U8", {1}, "a").bytes();
    second_ = SafetensorsBuilder().add("b", "U8", {2}, "bb").bytes();
    both_ = SafetensorsBuilder()
                .add("a", "U8", {3}, "xxx")
                .add("b", "U8", {2}, "bb")
                .add("left", "U8", {1}, "l")
                .bytes();
  }
  Status open() { return CheckpointIndex::open(directory_.path()).status(); }

  std::string first_, second_, both_;
};

TEST_F(CheckpointIndexTest, findsTensorsInAllFiles) {
  directory_.write("x-2.safetensors", second_);
  directory_.write("x-1.safetensors", first_);
  StatusOr<CheckpointIndex> index = CheckpointIndex::open(directory_.path());
  ASSERT_TRUE(index.ok()) << index.status().toString();
  EXPECT_EQ(index->files()[0]->path(), directory_.file("x-1.safetensors"));
  EXPECT_EQ(index->numTensors(), 2u);
  StatusOr<CheckpointIndex::Entry> found = index->find("b");
  ASSERT_TRUE(found.ok());
  EXPECT_TRUE(found->isListed);
  EXPECT_EQ(found->tensor->bytes, 2u);
  EXPECT_EQ(found->file, index->files()[1].get());
  expectError(index->find("c").status(), 5003,
              {"tensor c is missing", directory_.path(), "2 tensors"});
}

/// As transformers does: the copy of the file that the index names counts, and
/// a tensor that it does not name is no error.
TEST_F(CheckpointIndexTest, theIndexDecidesWhichCopyCounts) {
  directory_.write("1.safetensors", first_);
  directory_.write("2.safetensors", both_);
  for (const char *file : {"1.safetensors", "2.safetensors"}) {
    writeIndex(fmt::format(
        R"({{"weight_map":{{"a":"{}","b":"2.safetensors"}}}})", file));
    StatusOr<CheckpointIndex> index = CheckpointIndex::open(directory_.path());
    ASSERT_TRUE(index.ok()) << index.status().toString();
    EXPECT_EQ(index->find("a")->file->path(), directory_.file(file));
    StatusOr<CheckpointIndex::Entry> left = index->find("left");
    ASSERT_TRUE(left.ok());
    EXPECT_FALSE(left->isListed);
  }
}

TEST_F(CheckpointIndexTest, anUnlistedTensorOfTwoFilesIsNotGuessed) {
  directory_.write("1.safetensors", both_);
  directory_.write("2.safetensors", both_);
  writeIndex(R"({"weight_map":{"a":"1.safetensors","b":"2.safetensors"}})");
  StatusOr<CheckpointIndex> index = CheckpointIndex::open(directory_.path());
  ASSERT_TRUE(index.ok()) << index.status().toString();
  expectError(index->find("left").status(), 5002,
              {"tensor left is in both", "1.safetensors", "2.safetensors",
               "the index names neither"});
}

TEST_F(CheckpointIndexTest, refusesFilesThatTheIndexIsWrongAbout) {
  directory_.write("one.safetensors", first_);
  directory_.write("two.safetensors", second_);
  const std::tuple<const char *, int, const char *> cases[] = {
      {R"({"weight_map":{"a":"none.safetensors"}})", 5001, "none.safetensors"},
      {R"({"weight_map":{"c":"one.safetensors"}})", 5002,
       "in no file of the checkpoint"},
      {R"({"weight_map":{"a":"two.safetensors","b":"one.safetensors"}})", 5002,
       "puts tensor a into 'two.safetensors'"}};
  for (auto [text, code, reason] : cases) {
    SCOPED_TRACE(text);
    writeIndex(text);
    expectError(open(), code, {reason});
  }
}

TEST_F(CheckpointIndexTest, refusesATensorOfTwoFilesWithoutAnIndex) {
  directory_.write("a.safetensors", first_);
  directory_.write("b.safetensors", first_);
  expectError(open(), 5002, {"tensor a is in both", "b.safetensors"});
}

} // namespace
