// Tensor maps: every constraint of the driver's encode function, the round
// trip, and the walk of a box over ragged edges.
#include "runtime/drivers/sim/semantics/TensorMap.h"

#include <gtest/gtest.h>

#include <functional>
#include <map>
#include <string>
#include <vector>

using namespace hadal;
using namespace hadal::sim;

namespace {

/// U8 tensor of 200 x 100 with a row pitch of 208, boxes of 128 x 8.
TensorMapDesc example() {
  TensorMapDesc desc;
  desc.type = TensorMapType::u8;
  desc.rank = 2;
  desc.address = 0x10000;
  desc.dims = {200, 100, 1, 1, 1};
  desc.strides = {208, 0, 0, 0};
  desc.box = {128, 8, 1, 1, 1};
  desc.swizzle = Swizzle::b128;
  return desc;
}

TEST(TensorMap, RoundTripOfFiveDimensions) {
  TensorMapDesc desc;
  desc.type = TensorMapType::bf16;
  desc.rank = 5;
  desc.address = 0x7fff00000010;
  desc.dims = {1ull << 32, 7, 9, 1ull << 32, 3};
  desc.strides = {16, 32, (1ull << 40) - 16, 48};
  desc.box = {32, 2, 3, 4, 5};
  desc.elementStrides = {1, 2, 1, 8, 1};
  desc.swizzle = Swizzle::b64;
  desc.nanFill = true;
  auto bytes = encodeTensorMap(desc);
  ASSERT_TRUE(bytes.ok()) << bytes.status().message();
  auto back = decodeTensorMap(*bytes);
  ASSERT_TRUE(back.ok());
  EXPECT_EQ(back->type, desc.type);
  EXPECT_EQ(back->rank, desc.rank);
  EXPECT_EQ(back->address, desc.address);
  EXPECT_EQ(back->dims, desc.dims);
  EXPECT_EQ(back->strides, desc.strides);
  EXPECT_EQ(back->box, desc.box);
  EXPECT_EQ(back->elementStrides, desc.elementStrides);
  EXPECT_EQ(back->swizzle, desc.swizzle);
  EXPECT_EQ(back->nanFill, desc.nanFill);
  EXPECT_EQ(back->boxBytes(), 2u * 32 * 1 * 3 * 1 * 5);
}

TEST(TensorMap, EveryConstraintIsNamed) {
  const std::pair<std::function<void(TensorMapDesc &)>, const char *> cases[] =
      {
          {[](auto &d) { d.type = static_cast<TensorMapType>(13); },
           "element type 13"},
          {[](auto &d) { d.rank = 0; }, "rank must be 1..5, found 0"},
          {[](auto &d) { d.rank = 6; }, "rank must be 1..5, found 6"},
          {[](auto &d) { d.address = 0x10008; },
           "global address must be a multiple of 16, found 0x10008"},
          {[](auto &d) { d.dims[1] = 0; }, "dimension 1 must be 1..2^32"},
          {[](auto &d) { d.dims[0] = (1ull << 32) + 1; },
           "dimension 0 must be 1..2^32"},
          {[](auto &d) { d.strides[0] = 200; },
           "stride of dimension 1 must be a multiple of 16 bytes, found 200"},
          {[](auto &d) { d.strides[0] = 1ull << 40; }, "below 2^40"},
          {[](auto &d) { d.box[1] = 257; },
           "box dimension 1 must be 1..256, found 257"},
          {[](auto &d) { d.box[1] = 0; }, "box dimension 1 must be 1..256"},
          {[](auto &d) { d.box[0] = 120; },
           "inner box row must be a multiple of 16 bytes, found 120"},
          {[](auto &d) { d.elementStrides[1] = 9; },
           "element stride 1 must be 1..8, found 9"},
          {[](auto &d) { d.swizzle = Swizzle::b64; },
           "must not exceed the 64-byte swizzle span, found 128"},
          {[](auto &d) { d.box[0] = 64; },
           "whole 128-byte swizzle span, found 64"},
          {[](auto &d) { d.swizzle = static_cast<Swizzle>(4); },
           "swizzle mode 4"},
          {[](auto &d) { d.nanFill = true; }, "NaN fill"},
          {[](auto &d) {
             d.rank = 3;
             d.strides[1] = 16;
             d.box = {128, 256, 8, 1, 1};
           },
           "box must fit shared memory"},
      };
  for (auto &[change, text] : cases) {
    TensorMapDesc desc = example();
    change(desc);
    auto bytes = encodeTensorMap(desc);
    ASSERT_FALSE(bytes.ok()) << text;
    EXPECT_NE(bytes.status().message().find(text), std::string::npos)
        << bytes.status().message();
  }
}

TEST(TensorMap, OtherBytesAreRefused) {
  auto bytes = encodeTensorMap(example());
  ASSERT_TRUE(bytes.ok());
  for (size_t i : {0u, 9u, 40u, 100u}) {
    TensorMapBytes changed = *bytes;
    changed[i] ^= 1;
    EXPECT_FALSE(decodeTensorMap(changed).ok()) << i;
  }
  EXPECT_FALSE(decodeTensorMap(std::span(*bytes).first(64)).ok());
  EXPECT_FALSE(decodeTensorMap(TensorMapBytes{}).ok());
}

/// Every element of the box: lin -> global address, 0 for filled ones.
std::map<uint64_t, uint64_t> walk(const TensorMapDesc &map,
                                  std::vector<int32_t> coords) {
  std::map<uint64_t, uint64_t> result;
  unsigned bytes = map.elementBytes();
  forEachBoxRow(map, coords, [&](const BoxRow &row) {
    for (uint32_t i = 0; i < row.count; ++i) {
      bool valid = i >= row.first && i < row.first + row.valid;
      result[row.lin + i * bytes] =
          valid ? row.global + (i - row.first) * bytes : 0;
    }
  });
  return result;
}

TEST(TensorMap, BoxOverTheUpperEdge) {
  TensorMapDesc map = example();
  auto cells = walk(map, {128, 96});
  EXPECT_EQ(cells.size(), 1024u);
  EXPECT_EQ(map.boxBytes(), 1024u);
  for (auto [lin, global] : cells) {
    uint64_t x = 128 + lin % 128, y = 96 + lin / 128;
    EXPECT_EQ(global, x < 200 && y < 100 ? 0x10000 + y * 208 + x : 0u);
  }
  // Global (130, 97) is box position (2, 1).
  EXPECT_EQ(cells.at(130), 0x10000u + 97 * 208 + 130);
  EXPECT_EQ(swizzleAddress(0x400 + 130, Swizzle::b128), 0x492u);
}

TEST(TensorMap, BoxOverTheLowerEdge) {
  for (auto [lin, global] : walk(example(), {-64, -2})) {
    int64_t x = static_cast<int64_t>(lin % 128) - 64;
    int64_t y = static_cast<int64_t>(lin / 128) - 2;
    uint64_t expected =
        x >= 0 && y >= 0 ? 0x10000 + static_cast<uint64_t>(y * 208 + x) : 0;
    EXPECT_EQ(global, expected);
  }
}

TEST(TensorMap, BoxOutsideTheTensorIsFilledWholly) {
  for (auto coords : std::vector<std::vector<int32_t>>{
           {200, 0}, {-128, 0}, {0, 100}, {0, -8}, {INT32_MIN, INT32_MAX}}) {
    auto cells = walk(example(), coords);
    EXPECT_EQ(cells.size(), 1024u);
    for (auto [lin, global] : cells)
      EXPECT_EQ(global, 0u);
  }
}

TEST(TensorMap, ThreeDimensionsWithAnElementStride) {
  TensorMapDesc map;
  map.type = TensorMapType::f32;
  map.rank = 3;
  map.address = 0x1000;
  map.dims = {8, 10, 3, 1, 1};
  map.strides = {32, 320, 0, 0};
  map.box = {4, 5, 2, 1, 1};
  map.elementStrides = {3, 2, 1, 1, 1}; // that of dimension 0 is ignored
  EXPECT_EQ(map.boxBytes(), 4u * 4 * 3 * 2);
  auto cells = walk(map, {2, 5, 1});
  EXPECT_EQ(cells.size(), 4u * 3 * 2);
  for (auto [lin, global] : cells) {
    uint64_t i = lin / 4;
    uint64_t x = 2 + i % 4, y = 5 + 2 * (i / 4 % 3), z = 1 + i / 12;
    EXPECT_EQ(global, y < 10 ? 0x1000 + z * 320 + y * 32 + x * 4 : 0u);
  }
}

TEST(Swizzle, Vectors) {
  const unsigned cases[][4] = {{0x1234, 0x1274, 0x1234, 0x1234},
                               {0x0080, 0x0090, 0x0090, 0x0090},
                               {0x0390, 0x03e0, 0x03a0, 0x0380},
                               {0x03f0, 0x0380, 0x03c0, 0x03e0},
                               {0x1fff, 0x1f8f, 0x1fcf, 0x1fef},
                               {0x2470, 0x2470, 0x2470, 0x2470}};
  for (auto &c : cases) {
    EXPECT_EQ(swizzleAddress(c[0], Swizzle::b128), c[1]);
    EXPECT_EQ(swizzleAddress(c[0], Swizzle::b64), c[2]);
    EXPECT_EQ(swizzleAddress(c[0], Swizzle::b32), c[3]);
    EXPECT_EQ(swizzleAddress(c[0], Swizzle::none), c[0]);
  }
}

} // namespace
