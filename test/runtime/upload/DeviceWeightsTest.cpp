#include "runtime/upload/DeviceWeights.h"

#include <cmath>
#include <cstring>
#include <map>

#include "runtime/base/Float.h"
#include "runtime/weights/RopeTable.h"
#include "test/runtime/TempDirectory.h"
#include "test/runtime/checkpoint/Safetensors.h"

using namespace hadal;
using namespace hadal::test;

namespace {

/// A device that has memory of its own and nothing else. Uploads arrive in
/// pieces of |piece| bytes.
class MemoryDevice final : public Driver {
public:
  uint64_t piece = 7;
  uint64_t limit = ~uint64_t(0);

  std::string_view name() const override { return "memory"; }
  std::string description() const override { return "memory"; }
  std::string_view target() const override { return "sm_90a"; }
  bool sharesHostMemory() const override { return false; }
  StatusOr<DeviceMemory> memory() override {
    return DeviceMemory{limit, limit};
  }
  StatusOr<DeviceAddress> allocate(uint64_t bytes, MemoryUse,
                                   std::string_view name) override {
    if (bytes > limit)
      return error(5006, "no {} bytes for {}", bytes, name);
    limit -= bytes;
    DeviceAddress address = next;
    next += 1 << 20;
    memories[address].assign(bytes, 0xcd);
    return address;
  }
  void release(DeviceAddress address, uint64_t bytes) override {
    limit += bytes;
    memories.erase(address);
  }
  Status write(DeviceAddress, const void *, uint64_t) override {
    return error(5014, "not used");
  }
  Status read(void *, DeviceAddress, uint64_t) override {
    return error(5014, "not used");
  }
  Status upload(DeviceAddress to, uint64_t bytes,
                const FillFunction &fill) override {
    for (uint64_t begin = 0; begin < bytes; begin += piece) {
      const uint64_t end = std::min(bytes, begin + piece);
      fill(memories[to].data() + begin, begin, end);
    }
    return {};
  }
  StatusOr<std::unique_ptr<Executable>> load(const Artifact &) override {
    return error(5014, "not used");
  }

  std::map<DeviceAddress, std::vector<uint8_t>> memories;

private:
  DeviceAddress next = 0x100'0000'0000;
};

ParameterSpec spec(const std::string &name, ParameterKind kind, DType dtype,
                   std::vector<uint64_t> rows, std::vector<uint64_t> inner,
                   uint64_t pitch = 0) {
  ParameterSpec s;
  s.name = name + ".parameter";
  s.kind = kind;
  s.parts = {name};
  s.dtype = dtype;
  s.fileDtypes = {dtype};
  s.rows = std::move(rows);
  s.inner = std::move(inner);
  s.segmentRows = 2;
  s.rowPitch = pitch;
  return s;
}

std::string codes(uint64_t count, unsigned first) {
  std::string bytes;
  for (uint64_t i = 0; i < count; ++i) {
    auto code = static_cast<uint8_t>(first + i * 37);
    bytes += static_cast<char>((code & 0x7f) == 0x7f ? code ^ 1 : code);
  }
  return bytes;
}

class DeviceWeightsTest : public testing::Test {
protected:
  StatusOr<DeviceWeights> upload(std::vector<ParameterSpec> specs) {
    directory.write("model.safetensors", file.bytes());
    HADAL_ASSIGN_OR_RETURN(
        WeightStore store,
        WeightStore::load(directory.path(), hostSpecs(specs),
                          {.prefetch = false, .quiet = true}));
    return DeviceWeights::upload(device, store, specs, true);
  }
  std::string bytesAt(const DeviceWeights &weights, size_t index) {
    const auto &memory = device.memories.at(weights.argument(index));
    return {memory.begin(), memory.end()};
  }

  TempDirectory directory;
  SafetensorsBuilder file;
  MemoryDevice device;
};

/// |rows| rows of |width| bytes with |pitch| bytes between their starts.
std::string padded(const std::string &dense, uint64_t width, uint64_t pitch) {
  std::string result;
  for (size_t at = 0; at < dense.size(); at += width)
    result += dense.substr(at, width) + std::string(pitch - width, 0);
  return result;
}

} // namespace

TEST_F(DeviceWeightsTest, RowsArePaddedToTheirPitch) {
  std::string data = codes(5 * 3 * 2, 1);
  file.add("w", "BF16", {5, 3}, data).add("v", "F32", {4}, codes(16, 9));
  for (uint64_t piece : {1, 5, 6, 16, 17, 1000}) {
    device.piece = piece;
    auto weights =
        upload({spec("w", ParameterKind::tensor, DType::bf16, {5}, {3}, 16),
                spec("v", ParameterKind::tensor, DType::f32, {4}, {})});
    ASSERT_TRUE(weights.ok()) << weights.status().toString();
    EXPECT_EQ(bytesAt(*weights, 0), padded(data, 6, 16)) << piece;
    EXPECT_EQ(bytesAt(*weights, 1), codes(16, 9)) << piece;
    EXPECT_EQ(weights->bytes(), 5u * 16 + 16);
  }
  EXPECT_TRUE(device.memories.empty()) << "not released";
}

TEST_F(DeviceWeightsTest, FloatsAreRoundedToBf16) {
  // A tie to even either way, overflow, NaN, and a stack of two.
  const std::vector<float> values = {1.00390625f,   1.01171875f, -3.4e38f,
                                     std::nanf(""), 0.1f,        -2.0f};
  std::string rounded;
  for (uint16_t bits : {0x3f80, 0x3f82, 0xff80, 0x7fc0, 0x3dcd, 0xc000})
    rounded += {static_cast<char>(bits), static_cast<char>(bits >> 8)};
  for (int e : {0, 1})
    file.add(fmt::format("e.{}", e), "F32", {2, 3}, bytesOf(values));
  for (uint64_t piece : {1, 3, 6, 16, 1000}) {
    device.piece = piece;
    ParameterSpec matrix =
        spec("e.0", ParameterKind::tensor, DType::bf16, {2}, {3}, 16);
    ParameterSpec stack =
        spec("e.{e}", ParameterKind::stack, DType::bf16, {2}, {3});
    stack.count = 2;
    for (ParameterSpec *s : {&matrix, &stack}) {
      s->place = Placement::copy;
      s->fileDtypes = {DType::f32};
    }
    auto weights = upload({matrix, stack});
    ASSERT_TRUE(weights.ok()) << weights.status().toString();
    EXPECT_EQ(bytesAt(*weights, 0), padded(rounded, 6, 16)) << piece;
    EXPECT_EQ(bytesAt(*weights, 1), rounded + rounded) << piece;
  }
}

TEST_F(DeviceWeightsTest, OnlyRowsOfTheLastExtentArePadded) {
  std::string data = codes(2 * 3 * 5, 4);
  file.add("w", "F8_E4M3", {2, 3, 5}, data);
  auto weights = upload(
      {spec("w", ParameterKind::tensor, DType::f8e4m3fn, {2}, {3, 5}, 16)});
  ASSERT_TRUE(weights.ok()) << weights.status().toString();
  EXPECT_EQ(bytesAt(*weights, 0), padded(data, 5, 16));
}

TEST_F(DeviceWeightsTest, StacksAreContiguous) {
  std::string all;
  for (int e = 0; e < 3; ++e) {
    std::string data = codes(2 * 20, 50 * e);
    file.add("experts." + std::to_string(e), "F8_E4M3", {2, 20}, data);
    all += data;
  }
  ParameterSpec s =
      spec("experts.{e}", ParameterKind::stack, DType::f8e4m3fn, {2}, {20}, 32);
  s.count = 3;
  ParameterSpec dense = s;
  dense.name = "dense";
  dense.rowPitch = 0;
  for (uint64_t piece : {3, 32, 41, 500}) {
    device.piece = piece;
    auto weights = upload({s, dense});
    ASSERT_TRUE(weights.ok()) << weights.status().toString();
    EXPECT_EQ(bytesAt(*weights, 0), padded(all, 20, 32));
    EXPECT_EQ(bytesAt(*weights, 1), all);
  }
}

TEST_F(DeviceWeightsTest, SegmentsAreJoinedAlongRows) {
  std::string a = codes(4 * 6, 3), b = codes(3 * 6, 99);
  std::vector<float> scales = {1, 2, 3};
  file.add("a", "BF16", {4, 3}, a)
      .add("b", "BF16", {3, 3}, b)
      .add("s", "BF16", {2, 1}, bytesOf(std::vector<uint16_t>{0x3f80, 0x4000}))
      .add("t", "F32", {1, 1}, bytesOf(std::vector<float>{3}));
  ParameterSpec s =
      spec("a", ParameterKind::segments, DType::bf16, {4, 3}, {3}, 16);
  s.parts = {"a", "b"};
  ParameterSpec scale =
      spec("s", ParameterKind::segments, DType::f32, {2, 1}, {1});
  scale.parts = {"s", "t"};
  scale.place = Placement::copy;
  scale.fileDtypes = {DType::f32, DType::bf16};
  scale.isScale = true;
  auto weights = upload({s, scale});
  ASSERT_TRUE(weights.ok()) << weights.status().toString();
  EXPECT_EQ(bytesAt(*weights, 0), padded(a + b, 6, 16));
  EXPECT_EQ(bytesAt(*weights, 1), bytesOf(scales));
}

TEST_F(DeviceWeightsTest, TablesAreGeneratedAndUploaded) {
  ParameterSpec s;
  s.name = "rope";
  s.kind = ParameterKind::generated;
  s.dtype = DType::f32;
  s.generator = Generator::ropeCosSin;
  s.invFreq = {1.0f, 0.25f, 0.01f};
  s.positions = 11;
  s.scale = 1.5f;
  auto weights = upload({s});
  ASSERT_TRUE(weights.ok()) << weights.status().toString();
  std::vector<float> table(11 * 3 * 2);
  fillRopeTable(s.invFreq, s.positions, s.scale, table.data());
  EXPECT_EQ(bytesAt(*weights, 0), bytesOf(table));
}

// ---- dequantisation

namespace {

/// The scales as the file has them: 2 x 3 for [5, 8] in blocks of 3 x 3.
struct ScaleFormat {
  const char *fileType;
  DType dtype;
};
constexpr float kScales[6] = {0.5f, 1.25f, 3, 2, 0.0625f, 7};

std::string scaleBytes(DType dtype) {
  std::string bytes;
  for (float scale : kScales)
    if (dtype == DType::f32) {
      bytes += bytesOf(std::vector<float>{scale});
    } else if (dtype == DType::bf16) {
      bytes += bytesOf(std::vector<uint16_t>{f32ToBf16(scale)});
    } else {
      bytes += static_cast<char>(f32ToE8m0Ceil(scale));
    }
  return bytes;
}

float scaleValue(DType dtype, size_t i) {
  return dtype == DType::f8e8m0fnu ? e8m0ToF32(f32ToE8m0Ceil(kScales[i]))
                                   : kScales[i];
}

} // namespace

TEST_F(DeviceWeightsTest, DequantisesWithOneRounding) {
  for (ScaleFormat format :
       {ScaleFormat{"F32", DType::f32}, ScaleFormat{"BF16", DType::bf16},
        ScaleFormat{"F8_E8M0", DType::f8e8m0fnu}}) {
    file = {};
    std::string a = codes(5 * 8, 17), b = codes(2 * 8, 130);
    file.add("a", "F8_E4M3", {5, 8}, a)
        .add("b", "F8_E4M3", {2, 8}, b)
        .add("a_scale", format.fileType, {2, 3}, scaleBytes(format.dtype))
        .add("b_scale", "F32", {1, 3}, bytesOf(std::vector<float>{10, 11, 12}));
    ParameterSpec s =
        spec("a", ParameterKind::segments, DType::bf16, {5, 2}, {8}, 32);
    s.parts = {"a", "b"};
    s.segmentRows = 5;
    s.place = Placement::copy;
    s.fileDtypes = {DType::f8e4m3fn};
    s.scaleParts = {"a_scale", "b_scale"};
    s.scaleDtypes = {DType::f32, DType::bf16, DType::f8e8m0fnu};
    s.scaleBlockRows = s.scaleBlockCols = 3;

    std::string expected;
    for (size_t row = 0; row < 7; ++row) {
      for (size_t col = 0; col < 8; ++col) {
        // Rows of a part are counted within it.
        const bool inA = row < 5;
        uint8_t code = static_cast<uint8_t>(inA ? a[row * 8 + col]
                                                : b[(row - 5) * 8 + col]);
        float scale = inA ? scaleValue(format.dtype, row / 3 * 3 + col / 3)
                          : 10.0f + static_cast<float>(col / 3);
        uint16_t bits = f32ToBf16(e4m3ToF32(code) * scale);
        expected += bytesOf(std::vector<uint16_t>{bits});
      }
      expected += std::string(16, 0);
    }
    for (uint64_t piece : {1, 9, 32, 1000}) {
      device.piece = piece;
      auto weights = upload({s});
      ASSERT_TRUE(weights.ok()) << weights.status().toString();
      ASSERT_EQ(weights->size(), 1u);
      EXPECT_EQ(bytesAt(*weights, 0), expected)
          << format.fileType << ", pieces of " << piece;
    }
  }
}

/// The second of two ranks' part of [4, 6] with scales of 2 x 3 blocks: rows of
/// W_UK and W_UV, or columns of o_proj. Its scales are those of its blocks.
TEST_F(DeviceWeightsTest, APartOfARankTakesItsOwnScales) {
  const std::string a = codes(4 * 6, 17);
  const std::vector<float> scales = {0.5f, 1.25f, 3, 2};
  file.add("a", "F8_E4M3", {4, 6}, a)
      .add("a_scale", "F32", {2, 2}, bytesOf(scales));
  for (uint32_t dim : {0u, 1u}) {
    const uint64_t rows = dim ? 4 : 2, columns = dim ? 3 : 6;
    ParameterSpec dequantised = spec("a", ParameterKind::tensor, DType::bf16,
                                     {rows}, {columns}, 16);
    dequantised.place = Placement::copy;
    dequantised.fileDtypes = {DType::f8e4m3fn};
    dequantised.scaleParts = {"a_scale"};
    dequantised.scaleDtypes = {DType::f32};
    dequantised.scaleBlockRows = 2;
    dequantised.scaleBlockCols = 3;
    ParameterSpec plain = spec("a", ParameterKind::tensor, DType::f8e4m3fn,
                               {rows}, {columns}, 16);
    dequantised.slice = plain.slice = {dim, 1, 2};

    std::string values, bytes;
    for (uint64_t r = dim ? 0 : 2; r < 4; ++r) {
      for (uint64_t c = dim ? 3 : 0; c < 6; ++c) {
        const char code = a[r * 6 + c];
        bytes += code;
        values += bytesOf(std::vector<uint16_t>{
            f32ToBf16(e4m3ToF32(static_cast<uint8_t>(code)) *
                      scales[r / 2 * 2 + c / 3])});
      }
    }
    auto weights = upload({dequantised, plain});
    ASSERT_TRUE(weights.ok()) << weights.status().toString();
    EXPECT_EQ(bytesAt(*weights, 0), padded(values, 2 * columns, 16)) << dim;
    EXPECT_EQ(bytesAt(*weights, 1), padded(bytes, columns, 16)) << dim;
  }
}

TEST_F(DeviceWeightsTest, BadScalesAreRefused) {
  file.add("a", "F8_E4M3", {2, 2}, codes(4, 1))
      .add("zero", "F32", {1, 1}, bytesOf(std::vector<float>{0}))
      .add("negative", "F32", {1, 1}, bytesOf(std::vector<float>{-1}))
      .add("nan", "F32", {1, 1}, bytesOf(std::vector<float>{std::nanf("")}))
      .add("wide", "F32", {1, 2}, bytesOf(std::vector<float>{1, 1}));
  ParameterSpec s = spec("a", ParameterKind::tensor, DType::bf16, {2}, {2}, 16);
  s.place = Placement::copy;
  s.fileDtypes = {DType::f8e4m3fn};
  s.scaleDtypes = {DType::f32};
  s.scaleBlockRows = s.scaleBlockCols = 128;
  // A block of zeros has the scale 0.
  s.scaleParts = {"zero"};
  auto zeros = upload({s});
  ASSERT_TRUE(zeros.ok()) << zeros.status().toString();
  for (char byte : bytesAt(*zeros, 0))
    EXPECT_EQ(byte & 0x7f, 0);
  for (const char *bad : {"negative", "nan"}) {
    s.scaleParts = {bad};
    EXPECT_EQ(upload({s}).status().code(), 5004) << bad;
  }
  s.scaleParts = {"wide"};
  EXPECT_EQ(upload({s}).status().code(), 5003);
  s.scaleParts = {"missing"};
  EXPECT_EQ(upload({s}).status().code(), 5003);
}

// ---- sizes

TEST_F(DeviceWeightsTest, BytesArePredicted) {
  ParameterSpec a =
      spec("a", ParameterKind::stack, DType::f8e4m3fn, {3}, {20}, 32);
  a.count = 5;
  ParameterSpec b = spec("b", ParameterKind::tensor, DType::f32, {3}, {});
  EXPECT_EQ(*deviceWeightBytes(device, std::vector{a, b}), 480u + 12u);
  a.rows = {uint64_t(1) << 60};
  EXPECT_EQ(deviceWeightBytes(device, std::vector{a}).status().code(), 5006);
}

TEST_F(DeviceWeightsTest, ExhaustedMemoryIsAnErrorAndNothingStays) {
  file.add("w", "F32", {64}, codes(256, 1))
      .add("x", "F32", {64}, codes(256, 2));
  device.limit = 300;
  auto weights =
      upload({spec("w", ParameterKind::tensor, DType::f32, {64}, {}),
              spec("x", ParameterKind::tensor, DType::f32, {64}, {})});
  EXPECT_EQ(weights.status().code(), 5006);
  EXPECT_NE(weights.status().message().find("x.parameter"), std::string::npos);
  EXPECT_TRUE(device.memories.empty());
}
