#include "runtime/weights/WeightStore.h"

#include <cmath>
#include <limits>

#include "runtime/base/Float.h"
#include "runtime/weights/RopeTable.h"
#include "runtime/weights/WeightValues.h"
#include "test/runtime/TempDirectory.h"
#include "test/runtime/checkpoint/Safetensors.h"

using namespace hadal;
using namespace hadal::test;

/// The loader handles an allocation that fails; so must the sanitizer.
extern "C" const char *__asan_default_options();
extern "C" const char *__asan_default_options() {
  return "allocator_may_return_null=1";
}

namespace {

ParameterSpec tensorSpec(const std::string &name, DType dtype, uint64_t rows,
                         std::vector<uint64_t> inner = {}) {
  ParameterSpec spec;
  spec.name = name + ".parameter";
  spec.parts = {name};
  spec.dtype = dtype;
  spec.fileDtypes = {dtype};
  spec.rows = {rows};
  spec.inner = std::move(inner);
  return spec;
}

template <typename T> T at(const uint8_t *data, size_t i) {
  T value;
  std::memcpy(&value, data + i * sizeof(T), sizeof(T));
  return value;
}

class WeightStoreTest : public testing::Test {
protected:
  StatusOr<WeightStore> load(const SafetensorsBuilder &file,
                             std::vector<ParameterSpec> specs,
                             size_t alignment = 0) {
    directory_.write("model.safetensors", file.bytes(alignment));
    WeightLoadOptions options;
    options.quiet = true;
    return WeightStore::load(directory_.path(), specs, options);
  }
  std::string path() const { return directory_.file("model.safetensors"); }

  TempDirectory directory_;
};

TEST_F(WeightStoreTest, mapsATensorInPlace) {
  std::vector<float> values = {1, 2, 3, 4, 5, 6};
  StatusOr<WeightStore> store =
      load(SafetensorsBuilder().add("w", "F32", {2, 3}, bytesOf(values)),
           {tensorSpec("w", DType::f32, 2, {3})});
  ASSERT_TRUE(store.ok()) << store.status().toString();
  WeightStore moved = std::move(*store);
  ASSERT_EQ(moved.size(), 1u);
  const uint8_t *data = moved.blocks(0)[0];
  EXPECT_EQ(moved.argument(0), reinterpret_cast<uint64_t>(data));
  EXPECT_EQ(at<float>(data, 5), 6);
  EXPECT_EQ(moved.bytes(0), 24u);
  EXPECT_EQ(moved.statistics().mappedBytes, 24u);
  EXPECT_EQ(moved.statistics().copiedBytes, 0u);
  EXPECT_EQ(moved.statistics().tensors, 1u);
  // The data is the mapping itself: a change of the file shows through.
  std::string bytes = directory_.read("model.safetensors");
  float changed = 42;
  std::memcpy(bytes.data() + bytes.size() - 4, &changed, 4);
  directory_.write("model.safetensors", bytes);
  EXPECT_EQ(at<float>(data, 5), 42);
}

TEST_F(WeightStoreTest, copiesMisalignedPartsOfAMap) {
  std::vector<float> values = {1, 2, 3};
  std::vector<uint16_t> halves = {0x3f80, 0x4000};
  SafetensorsBuilder file;
  file.add("f", "F32", {3}, bytesOf(values))
      .add("b", "BF16", {2}, bytesOf(halves))
      .add("c", "F8_E4M3", {5}, "abcde");
  for (size_t alignment = 0; alignment < 8; ++alignment) {
    SCOPED_TRACE(alignment);
    StatusOr<WeightStore> store =
        load(file,
             {tensorSpec("f", DType::f32, 3), tensorSpec("b", DType::bf16, 2),
              tensorSpec("c", DType::f8e4m3fn, 5)},
             alignment);
    ASSERT_TRUE(store.ok()) << store.status().toString();
    EXPECT_EQ(store->argument(0) % 4, 0u);
    EXPECT_EQ(store->argument(1) % 2, 0u);
    EXPECT_EQ(at<float>(store->blocks(0)[0], 2), 3);
    EXPECT_EQ(at<uint16_t>(store->blocks(1)[0], 1), 0x4000);
    EXPECT_EQ(store->blocks(2)[0][4], 'e');
    uint64_t misaligned = (alignment % 4 != 0) + (alignment % 2 != 0);
    EXPECT_EQ(store->statistics().misalignedTensors, misaligned);
    EXPECT_EQ(store->statistics().mappedBytes +
                  store->statistics().misalignedBytes,
              21u);
  }
}

TEST_F(WeightStoreTest, convertsCopiesToF32) {
  std::vector<float> floats = {0.1f, -2};
  std::vector<uint16_t> halves = {0x3f80, 0xc000};
  auto copySpec = [](const std::string &name) {
    ParameterSpec spec = tensorSpec(name, DType::f32, 2);
    spec.place = Placement::copy;
    spec.fileDtypes = {DType::f32, DType::bf16, DType::f8e8m0fnu};
    return spec;
  };
  StatusOr<WeightStore> store =
      load(SafetensorsBuilder()
               .add("x", "U8", {1}, "x")
               .add("f", "F32", {2}, bytesOf(floats))
               .add("b", "BF16", {2}, bytesOf(halves))
               .add("e", "F8_E8M0", {2}, "\x7f\x80"),
           {copySpec("f"), copySpec("b"), copySpec("e")});
  ASSERT_TRUE(store.ok()) << store.status().toString();
  const float expected[3][2] = {{0.1f, -2}, {1, -2}, {1, 2}};
  for (size_t i = 0; i < 3; ++i) {
    EXPECT_EQ(store->argument(i) % 64, 0u);
    for (size_t j = 0; j < 2; ++j)
      EXPECT_EQ(at<float>(store->blocks(i)[0], j), expected[i][j]);
  }
  EXPECT_EQ(store->statistics().copiedBytes, 24u);
  EXPECT_EQ(store->statistics().mappedBytes, 0u);
  EXPECT_EQ(store->statistics().misalignedTensors, 0u);
}

TEST_F(WeightStoreTest, pointsAStackAtItsTensors) {
  SafetensorsBuilder file;
  for (int e = 11; e >= 0; --e)
    file.add(fmt::format("l.0.e.{}.w", e), "F8_E4M3", {2, 2},
             std::string(4, static_cast<char>('a' + e)));
  ParameterSpec spec = tensorSpec("l.0.e.{e}.w", DType::f8e4m3fn, 2, {2});
  spec.kind = ParameterKind::stack;
  spec.count = 12;
  StatusOr<WeightStore> store = load(file, {spec});
  ASSERT_TRUE(store.ok()) << store.status().toString();
  ASSERT_EQ(store->blocks(0).size(), 12u);
  EXPECT_EQ(store->argument(0),
            reinterpret_cast<uint64_t>(store->blocks(0).data()));
  for (int e = 0; e < 12; ++e)
    EXPECT_EQ(store->blocks(0)[e][3], 'a' + e);
  EXPECT_EQ(store->bytes(0), 48u);
  EXPECT_EQ(store->statistics().tableBytes, 96u);

  spec.count = 13;
  expectError(load(file, {spec}).status(), 5003,
              {"parameter l.0.e.{e}.w.parameter", "tensor l.0.e.12.w is "
                                                  "missing"});
}

TEST_F(WeightStoreTest, cutsSegmentsIntoRowBlocks) {
  // q_a of 4 rows and kv_a of 3, in blocks of 2: only the last is ragged.
  std::vector<uint16_t> q(4 * 5), kv(3 * 5);
  for (size_t i = 0; i < q.size(); ++i)
    q[i] = static_cast<uint16_t>(i);
  for (size_t i = 0; i < kv.size(); ++i)
    kv[i] = static_cast<uint16_t>(100 + i);
  SafetensorsBuilder file;
  file.add("kv_a", "BF16", {3, 5}, bytesOf(kv))
      .add("q_a", "BF16", {4, 5}, bytesOf(q));
  ParameterSpec spec = tensorSpec("q_a", DType::bf16, 4, {5});
  spec.kind = ParameterKind::segments;
  spec.parts = {"q_a", "kv_a"};
  spec.rows = {4, 3};
  spec.segmentRows = 2;
  for (size_t alignment : {0, 1}) {
    StatusOr<WeightStore> store = load(file, {spec}, alignment);
    ASSERT_TRUE(store.ok()) << store.status().toString();
    ASSERT_EQ(store->blocks(0).size(), 4u);
    const uint16_t firsts[] = {0, 10, 100, 110};
    for (size_t block = 0; block < 4; ++block)
      EXPECT_EQ(at<uint16_t>(store->blocks(0)[block], 0), firsts[block]);
    EXPECT_EQ(store->argument(0),
              reinterpret_cast<uint64_t>(store->blocks(0).data()));
  }
  spec.parts = {"kv_a", "q_a"};
  spec.rows = {3, 4};
  expectError(load(file, {spec}).status(), 4005,
              {"segment kv_a has 3 rows", "no multiple of 2"});
}

TEST_F(WeightStoreTest, refusesTensorsThatDoNotMatch) {
  SafetensorsBuilder file;
  file.add("w", "BF16", {2, 3}, std::string(12, 0))
      .add("h", "F16", {2}, std::string(4, 0));
  expectError(
      load(file, {tensorSpec("v", DType::bf16, 2, {3})}).status(), 5003,
      {"parameter v.parameter", "tensor v is missing", directory_.path()});
  expectError(load(file, {tensorSpec("w", DType::bf16, 3, {2})}).status(), 5003,
              {path(), "tensor w", "expected shape [3, 2]", "found [2, 3]"});
  expectError(load(file, {tensorSpec("w", DType::bf16, 6)}).status(), 5003,
              {"expected shape [6]", "found [2, 3]"});
  expectError(load(file, {tensorSpec("w", DType::f32, 2, {3})}).status(), 5003,
              {path(), "tensor w", "expected dtype f32", "found BF16"});
  expectError(load(file, {tensorSpec("h", DType::bf16, 2)}).status(), 5003,
              {"expected dtype bf16", "found F16"});
}

TEST_F(WeightStoreTest, refusesValuesThatTheModelCannotUse) {
  float infinity = std::numeric_limits<float>::infinity();
  for (Placement place : {Placement::map, Placement::copy})
    for (float bad : {-1.0f, -infinity, infinity, std::nanf("")}) {
      ParameterSpec scale = tensorSpec("s", DType::f32, 3);
      scale.isScale = true;
      scale.place = place;
      SafetensorsBuilder file;
      file.add("s", "F32", {3}, bytesOf(std::vector<float>{1, bad, 2}));
      expectError(load(file, {scale}).status(), 5004,
                  {path(), "tensor s", "finite non-negative", "element 1"});
      // A router bias may be zero or negative.
      scale.isScale = false;
      scale.isFinite = true;
      Status status = load(file, {scale}).status();
      if (std::isfinite(bad))
        EXPECT_TRUE(status.ok()) << status.toString();
      else
        expectError(status, 5004, {"tensor s", "finite values", "element 1"});
    }
  // The NaN of ue8m0.
  ParameterSpec scale = tensorSpec("s", DType::f32, 2);
  scale.place = Placement::copy;
  scale.fileDtypes = {DType::f8e8m0fnu};
  scale.isScale = true;
  expectError(
      load(SafetensorsBuilder().add("s", "F8_E8M0", {2}, "\x7f\xff"), {scale})
          .status(),
      5004, {"element 1"});
}

/// A copy that a checkpoint stores beside a tensor: not needed, but of its values
/// where it is there. The first and the last byte are looked at, and pages between.
TEST_F(WeightStoreTest, looksWhetherACopyIsOne) {
  constexpr uint64_t kElements = 1 << 20;
  ParameterSpec spec = tensorSpec("w", DType::f32, kElements);
  spec.copies = {"copy", "other"};
  std::vector<float> values(kElements);
  for (uint64_t i = 0; i < kElements; ++i)
    values[i] = static_cast<float>(i);
  auto with = [&](const std::vector<float> &copy) {
    return load(SafetensorsBuilder()
                    .add("w", "F32", {kElements}, bytesOf(values))
                    .add("other", "F32", {copy.size()}, bytesOf(copy)),
                {spec})
        .status();
  };
  EXPECT_TRUE(load(SafetensorsBuilder().add("w", "F32", {kElements},
                                            bytesOf(values)),
                   {spec})
                  .ok());
  EXPECT_TRUE(with(values).ok());
  // 15 equal steps from the first page to the last.
  const uint64_t step = (4 * kElements - 4096) / 15 / 4;
  for (uint64_t at : {uint64_t(0), kElements - 1, 7 * step + 100,
                      14 * step + 900}) {
    std::vector<float> other = values;
    other[at] += 1;
    expectError(with(other), 5003,
                {path(), "tensor other is to be a copy of w", "differs from it"});
  }
  // Between the pages nobody looks.
  std::vector<float> other = values;
  other[1024 + 100] += 1;
  EXPECT_TRUE(with(other).ok());
  other.pop_back();
  expectError(with(other), 5003, {"of F32 [1048576], found F32 [1048575]"});
}

TEST_F(WeightStoreTest, takesZeroAsAScale) {
  ParameterSpec scale = tensorSpec("s", DType::f32, 3);
  scale.isScale = true;
  StatusOr<WeightStore> store = load(
      SafetensorsBuilder().add(
          "s", "F32", {3}, bytesOf(std::vector<float>{0.0f, -0.0f, 1e-45f})),
      {scale});
  ASSERT_TRUE(store.ok()) << store.status().toString();
}

/// Whatever the dtype and wherever the value: in a whole run of vector code, in
/// the rest behind it, at either end.
TEST_F(WeightStoreTest, findsTheFirstValueThatIsNotFinite) {
  constexpr uint64_t kElements = 2500;
  struct Kind {
    const char *name;
    DType dtype;
    std::vector<std::string> bad;
    std::string most; // the largest finite value
  };
  const Kind kinds[] = {
      {"F32",
       DType::f32,
       {{"\0\0\x80\x7f", 4}, {"\0\0\x80\xff", 4}, {"\1\0\x80\x7f", 4}},
       {"\xff\xff\x7f\x7f", 4}},
      {"BF16", DType::bf16, {"\x80\x7f", "\x80\xff", "\xc0\xff"}, "\x7f\x7f"},
      {"F8_E4M3", DType::f8e4m3fn, {"\x7f", "\xff"}, "\x7e"}};
  for (const Kind &kind : kinds)
    for (uint64_t at : {0, 1023, 1024, 1500, 2048, 2499})
      for (const std::string &bad : kind.bad) {
        std::string data;
        for (uint64_t i = 0; i < kElements; ++i)
          data += i >= at ? bad : kind.most;
        directory_.write("model.safetensors",
                         SafetensorsBuilder()
                             .add("x", "U8", {1}, "x")
                             .add("w", kind.name, {kElements}, data)
                             .bytes());
        std::vector<ParameterSpec> specs = {
            tensorSpec("w", kind.dtype, kElements)};
        StatusOr<std::string> found = findNonFinite(directory_.path(), specs);
        ASSERT_TRUE(found.ok()) << found.status().toString();
        EXPECT_NE(found->find("tensor w holds "), std::string::npos) << *found;
        EXPECT_TRUE(found->ends_with(fmt::format(" at element {}", at)))
            << *found;
      }
}

TEST_F(WeightStoreTest, findsItInStacksAndScales) {
  SafetensorsBuilder file;
  for (int e : {0, 1})
    file.add(fmt::format("e.{}.w", e), "F8_E4M3", {2},
             e ? "\x01\x7f" : "\x01\x02");
  file.add("s", "F32", {1}, bytesOf(std::vector<float>{std::nanf("")}));
  directory_.write("model.safetensors", file.bytes());
  ParameterSpec spec = tensorSpec("e.{e}.w", DType::f8e4m3fn, 2);
  spec.kind = ParameterKind::stack;
  spec.count = 2;
  std::vector<ParameterSpec> specs = {spec};
  EXPECT_EQ(*findNonFinite(directory_.path(), specs),
            fmt::format("'{}': tensor e.1.w holds nan at element 1", path()));
  specs[0].count = 1;
  EXPECT_EQ(*findNonFinite(directory_.path(), specs), "");
  specs[0].scaleParts = {"s"};
  EXPECT_EQ(*findNonFinite(directory_.path(), specs),
            fmt::format("'{}': tensor s holds nan at element 0", path()));
}

TEST_F(WeightStoreTest, refusesDescriptionsThatContradictThemselves) {
  SafetensorsBuilder file;
  file.add("w", "F32", {2}, std::string(8, 0));
  auto expectRefusal = [&](void (*change)(ParameterSpec &),
                           const char *reason) {
    ParameterSpec spec = tensorSpec("w", DType::f32, 2);
    change(spec);
    expectError(load(file, {spec}).status(), 4005,
                {"parameter w.parameter", reason});
  };
  expectRefusal([](ParameterSpec &s) { s.dtype = DType::none; }, "no dtype");
  expectRefusal([](ParameterSpec &s) { s.parts.clear(); }, "no parts");
  expectRefusal([](ParameterSpec &s) { s.rows.push_back(1); },
                "1 parts but 2 leading extents");
  expectRefusal([](ParameterSpec &s) { s.fileDtypes.clear(); },
                "no file dtype");
  expectRefusal([](ParameterSpec &s) { s.fileDtypes = {DType::bf16}; },
                "mapped as f32 from bf16");
  expectRefusal(
      [](ParameterSpec &s) {
        s.place = Placement::copy;
        s.fileDtypes = {DType::i32};
      },
      "no exact conversion from i32 to f32");
  expectRefusal(
      [](ParameterSpec &s) {
        s.place = Placement::copy;
        s.dtype = DType::bf16;
      },
      "no exact conversion from f32 to bf16");
  expectRefusal(
      [](ParameterSpec &s) {
        s.dtype = DType::i32;
        s.fileDtypes = {DType::i32};
        s.isScale = true;
      },
      "no finite check");
  expectRefusal(
      [](ParameterSpec &s) {
        s.parts = {"w", "v"};
        s.rows = {2, 2};
      },
      "a tensor has one part, not 2");
  expectRefusal([](ParameterSpec &s) { s.kind = ParameterKind::stack; },
                "`{e}`");
  expectRefusal(
      [](ParameterSpec &s) {
        s.kind = ParameterKind::stack;
        s.parts = {"w{e}"};
      },
      "a stack of no tensors");
  expectRefusal([](ParameterSpec &s) { s.kind = ParameterKind::segments; },
                "segments of 0 rows");
  expectRefusal([](ParameterSpec &s) { s.kind = ParameterKind::generated; },
                "no known generator");
  expectRefusal(
      [](ParameterSpec &s) {
        s.kind = ParameterKind::generated;
        s.generator = Generator::ropeCosSin;
        s.dtype = DType::bf16;
      },
      "f32, not bf16");
}

TEST_F(WeightStoreTest, generatesTheRopeTableWithoutFiles) {
  ParameterSpec spec;
  spec.name = "rope";
  spec.kind = ParameterKind::generated;
  spec.dtype = DType::f32;
  spec.generator = Generator::ropeCosSin;
  spec.invFreq = {1.0f, 0.1f};
  spec.positions = 3;
  spec.scale = 0.5f;
  std::vector<ParameterSpec> specs = {spec};
  StatusOr<WeightStore> store =
      WeightStore::load(directory_.file("none"), specs);
  ASSERT_TRUE(store.ok()) << store.status().toString();
  EXPECT_EQ(store->bytes(0), 3u * 2 * 2 * 4);
  EXPECT_EQ(store->statistics().generatedBytes, 48u);
  const uint8_t *table = store->blocks(0)[0];
  EXPECT_EQ(store->argument(0), reinterpret_cast<uint64_t>(table));
  EXPECT_EQ(at<float>(table, 0), 0.5f);
  EXPECT_EQ(at<float>(table, 1), 0.0f);
  // Position 2, pair 1: the angle is the f32 product.
  float angle = 2.0f * 0.1f;
  EXPECT_EQ(at<float>(table, 10),
            static_cast<float>(std::cos(double(angle)) * 0.5));
  EXPECT_EQ(at<float>(table, 11),
            static_cast<float>(std::sin(double(angle)) * 0.5));
  specs[0].positions = ~uint64_t{0} / 8;
  expectError(WeightStore::load(directory_.path(), specs).status(), 5006,
              {"parameter rope", "overflows"});
  specs[0].positions = uint64_t{1} << 50;
  expectError(WeightStore::load(directory_.path(), specs).status(), 5006,
              {"parameter rope", "no memory"});
}

/// At large positions the rounding of the f32 product moves the angle by up to
/// 2^-7 rad: a table made from the exact product would differ.
TEST(RopeTableTest, roundsTheAngleBeforeTheRangeReduction) {
  float frequency = 0.74989421f;
  uint64_t position = 163839;
  std::vector<float> table((position + 1) * 2);
  fillRopeTable({&frequency, 1}, position + 1, 1.0f, table.data());
  float angle = static_cast<float>(position) * frequency;
  double exact = static_cast<double>(position) * frequency;
  ASSERT_NE(static_cast<double>(angle), exact);
  float cosine = table[2 * position], sine = table[2 * position + 1];
  EXPECT_EQ(cosine, static_cast<float>(std::cos(static_cast<double>(angle))));
  EXPECT_EQ(sine, static_cast<float>(std::sin(static_cast<double>(angle))));
  EXPECT_GT(std::abs(cosine - std::cos(exact)) +
                std::abs(sine - std::sin(exact)),
            1e-5);
}

} // namespace
