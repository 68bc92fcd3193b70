// The part of a checkpoint that a rank holds.
#include <numeric>

#include "runtime/weights/WeightStore.h"
#include "test/runtime/TempDirectory.h"
#include "test/runtime/checkpoint/Safetensors.h"

using namespace hadal;
using namespace hadal::test;

namespace {

constexpr unsigned kRanks = 4, kExperts = 8, kSlots = 3; // 4 redundant ones
constexpr uint64_t kRows = 8, kCols = 12;

/// Values that say where they are: 1000 * tensor + element.
std::string numbered(int tensor, uint64_t count) {
  std::vector<float> values(count);
  std::iota(values.begin(), values.end(), 1000.0f * float(tensor));
  return bytesOf(values);
}

ParameterSpec matrix(const std::string &part, uint64_t rows, uint64_t cols) {
  ParameterSpec spec;
  spec.name = part + ".parameter";
  spec.parts = {part};
  spec.dtype = DType::f32;
  spec.fileDtypes = {DType::f32};
  spec.rows = {rows};
  spec.inner = {cols};
  return spec;
}

std::vector<uint32_t> membersOf(unsigned rank) {
  std::vector<uint32_t> members;
  for (unsigned s = 0; s < kSlots; ++s)
    members.push_back((rank * kSlots + s) % kExperts);
  return members;
}

/// A whole tensor, a stack, a row slice and a column slice of rank |rank|.
std::vector<ParameterSpec> specsOf(unsigned rank) {
  std::vector<ParameterSpec> specs = {matrix("whole", kRows, kCols),
                                      matrix("experts.{e}", kRows, kCols),
                                      matrix("rows", kRows / kRanks, kCols),
                                      matrix("cols", kRows, kCols / kRanks)};
  specs[1].kind = ParameterKind::stack;
  specs[1].count = kSlots;
  specs[1].members = membersOf(rank);
  specs[2].slice = {0, rank, kRanks};
  specs[3].slice = {1, rank, kRanks};
  ParameterSpec table;
  table.name = "placement";
  table.kind = ParameterKind::generated;
  table.generator = Generator::placementTable;
  table.dtype = DType::i32;
  table.table = {1, 0, -1, 2, 1, 5};
  table.tableColumns = 3;
  specs.push_back(table);
  return specs;
}

class RankWeightsTest : public testing::Test {
protected:
  /// One file for each expert and one for the rest, with an index.
  void SetUp() override {
    directory_.write("rest.safetensors",
                     SafetensorsBuilder()
                         .add("whole", "F32", {kRows, kCols}, numbered(90, 96))
                         .add("rows", "F32", {kRows, kCols}, numbered(91, 96))
                         .add("cols", "F32", {kRows, kCols}, numbered(92, 96))
                         .bytes(0));
    std::string map = R"("whole":"rest.safetensors","rows":"rest.safetensors",)"
                      R"("cols":"rest.safetensors")";
    for (unsigned e = 0; e < kExperts; ++e) {
      const std::string file = fmt::format("expert{}.safetensors", e);
      directory_.write(file, SafetensorsBuilder()
                                 .add(fmt::format("experts.{}", e), "F32",
                                      {kRows, kCols}, numbered(int(e), 96))
                                 .bytes(0));
      map += fmt::format(R"(,"experts.{}":"{}")", e, file);
    }
    directory_.write("model.safetensors.index.json",
                     R"({"weight_map":{)" + map + "}}");
  }

  StatusOr<WeightStore> load(std::span<const ParameterSpec> specs) {
    WeightLoadOptions options;
    options.quiet = true;
    options.allFiles = false;
    return WeightStore::load(directory_.path(), specs, options);
  }

  TempDirectory directory_;
};

float at(const uint8_t *data, uint64_t i) {
  float value;
  std::memcpy(&value, data + i * sizeof(value), sizeof(value));
  return value;
}

} // namespace

TEST_F(RankWeightsTest, ARankHasItsPartOfEach) {
  for (unsigned rank = 0; rank < kRanks; ++rank) {
    const std::vector<ParameterSpec> specs = specsOf(rank);
    StatusOr<WeightStore> store = load(specs);
    ASSERT_TRUE(store.ok()) << store.status().toString();
    EXPECT_EQ(at(store->blocks(0)[0], 95), 90095);
    const std::vector<uint32_t> members = membersOf(rank);
    ASSERT_EQ(store->blocks(1).size(), kSlots);
    for (unsigned s = 0; s < kSlots; ++s)
      EXPECT_EQ(at(store->blocks(1)[s], 7), 1000.0f * float(members[s]) + 7);
    for (uint64_t i = 0; i < 2 * kCols; ++i)
      EXPECT_EQ(at(store->blocks(2)[0], i), 91000 + float(rank * 24 + i));
    for (uint64_t r = 0; r < kRows; ++r)
      for (uint64_t c = 0; c < 3; ++c)
        EXPECT_EQ(at(store->blocks(3)[0], r * 3 + c),
                  92000 + float(r * kCols + rank * 3 + c));
    int32_t table[6];
    std::memcpy(table, store->blocks(4)[0], sizeof(table));
    EXPECT_TRUE(std::equal(table, table + 6, specs[4].table.begin()));
  }
}

TEST_F(RankWeightsTest, BytesAndFilesAreThoseOfTheFormula) {
  constexpr uint64_t kTensor = kRows * kCols * sizeof(float);
  uint64_t mapped = 0, copied = 0;
  for (unsigned rank = 0; rank < kRanks; ++rank) {
    StatusOr<WeightStore> store = load(specsOf(rank));
    ASSERT_TRUE(store.ok()) << store.status().toString();
    mapped += store->statistics().mappedBytes;
    copied += store->statistics().copiedBytes;
    // Its experts' files and the one of the rest.
    EXPECT_EQ(store->statistics().files, kSlots + 1u);
    EXPECT_EQ(store->statistics().generatedBytes, 24u);
  }
  // Whole tensors on every rank, each slot once, slices together the tensor.
  EXPECT_EQ(mapped, kRanks * kTensor + kRanks * kSlots * kTensor + kTensor);
  EXPECT_EQ(copied, kTensor);
}

TEST_F(RankWeightsTest, AFileWithoutANeededTensorIsNotOpened) {
  // Rank 0 holds experts 0, 1, 2.
  directory_.write("expert5.safetensors", "damaged");
  EXPECT_TRUE(load(specsOf(0)).ok());
  EXPECT_EQ(load(specsOf(1)).status().code(), 5002);
  EXPECT_EQ(CheckpointIndex::open(directory_.path()).status().code(), 5002);
}

TEST_F(RankWeightsTest, AMissingTensorIsSearchedInAllFiles) {
  std::vector<ParameterSpec> specs = specsOf(0);
  specs[0].parts = {"absent"};
  Status status = load(specs).status();
  EXPECT_EQ(status.code(), 5003);
  EXPECT_NE(status.message().find("one of the 9 safetensors files"),
            std::string::npos)
      << status.toString();
}

TEST_F(RankWeightsTest, ShapesAndValuesAreThoseOfTheFile) {
  std::vector<ParameterSpec> specs = specsOf(1);
  specs[3].inner = {kCols};
  Status status = load(specs).status();
  EXPECT_EQ(status.code(), 5003);
  EXPECT_NE(status.message().find("expected shape [8, 48], found [8, 12]"),
            std::string::npos)
      << status.toString();
  // Element 29 of the file is in the rows and columns of rank 1 alone.
  std::vector<float> values(96, 1);
  values[29] = INFINITY;
  directory_.write("rest.safetensors",
                   SafetensorsBuilder()
                       .add("whole", "F32", {kRows, kCols}, numbered(90, 96))
                       .add("rows", "F32", {kRows, kCols}, bytesOf(values))
                       .add("cols", "F32", {kRows, kCols}, bytesOf(values))
                       .bytes(0));
  for (size_t sliced : {2, 3})
    for (unsigned rank = 0; rank < kRanks; ++rank) {
      specs = specsOf(rank);
      specs[sliced].isFinite = true;
      status = load(specs).status();
      EXPECT_EQ(status.code(), rank == 1 ? 5004 : 0) << status.toString();
      if (rank == 1) {
        EXPECT_NE(status.message().find("at element 29"), std::string::npos)
            << status.toString();
      }
    }
}

TEST_F(RankWeightsTest, RefusesPartsThatDoNotExist) {
  const std::pair<std::function<void(ParameterSpec &)>, std::string> cases[] = {
      {[](ParameterSpec &s) {
         s.slice = {0, 4, 4};
       },
       "part 4 of 4"},
      {[](ParameterSpec &s) {
         s.slice = {2, 0, 4};
       },
       "along dimension 2"},
      {[](ParameterSpec &s) { s.members.pop_back(); },
       "a stack of 3 tensors of which 2 are named"}};
  for (const auto &[change, text] : cases) {
    std::vector<ParameterSpec> specs = specsOf(0);
    change(specs[1]);
    Status status = load(specs).status();
    EXPECT_EQ(status.code(), 4005);
    EXPECT_NE(status.message().find(text), std::string::npos)
        << status.toString();
  }
  std::vector<ParameterSpec> specs = specsOf(0);
  specs[4].dtype = DType::f32;
  EXPECT_EQ(load(specs).status().code(), 4005);
}
