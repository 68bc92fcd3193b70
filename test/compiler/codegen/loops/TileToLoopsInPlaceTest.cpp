// Whole rows that are read where they lie: absent rows, results over operands,
// and what may not be read later than it is loaded.
#include "test/compiler/codegen/loops/LoopsTest.h"

using namespace hadal::test;

namespace {

class TileToLoopsInPlace : public LoopsTest {
protected:
  static constexpr int64_t kColumns = 512;

  /// Row r has 1 + r, 2 + r, ... of bf16.
  static std::vector<uint16_t> rows(int count) {
    std::vector<uint16_t> values(count * kColumns);
    for (int r = 0; r < count; ++r)
      for (int c = 0; c < kColumns; ++c)
        values[r * kColumns + c] = toBf16(1 + r + c % 64);
    return values;
  }
};

INSTANTIATE_TEST_SUITE_P(Modes, TileToLoopsInPlace,
                         ::testing::Values(false, true), [](auto &info) {
                           return info.param ? "f64" : "f32";
                         });

TEST_P(TileToLoopsInPlace, GatheredRowsThatAreAbsentAreZeros) {
  std::vector<uint16_t> x = rows(4), y = rows(4), before = y;
  std::vector<int32_t> ids = {2, -1, 4, 0};
  int32_t sizes[3] = {4, 0, 0};
  // The sum lies over its second operand.
  run(R"(
    tile.kernel @k(%x: !tile.view<?x512xbf16>, %ids: !tile.view<?xi32>,
                   %r: !tile.view<?x512xbf16>, %y: !tile.view<?x512xbf16>,
                   %sz: !tile.sizes) domain(%m = ? by 1 in tokens) {
      %c0 = arith.constant 0 : index
      %i = tile.load %ids[%m] : !tile.view<?xi32> -> tensor<1xi32>
      %g = tile.rows %x[%i] : !tile.view<?x512xbf16>, tensor<1xi32> -> !tile.view<1x512xbf16>
      %a = tile.load %g[%c0, %c0] : !tile.view<1x512xbf16> -> tensor<1x512xbf16>
      %b = tile.load %r[%m, %c0] : !tile.view<?x512xbf16> -> tensor<1x512xbf16>
      %af = arith.extf %a : tensor<1x512xbf16> to tensor<1x512xf32>
      %bf = arith.extf %b : tensor<1x512xbf16> to tensor<1x512xf32>
      %s = arith.addf %af, %bf : tensor<1x512xf32>
      %h = arith.truncf %s : tensor<1x512xf32> to tensor<1x512xbf16>
      tile.store %y[%m, %c0], %h : !tile.view<?x512xbf16>, tensor<1x512xbf16>
    })",
      {slot(x.data()), slot(int64_t(4)), slot(ids.data()), slot(int64_t(4)),
       slot(y.data()), slot(int64_t(4)), slot(y.data()), slot(int64_t(4)),
       slot(sizes)},
      4);
  for (int r = 0; r < 4; ++r)
    for (int c = 0; c < kColumns; ++c) {
      float gathered = ids[r] >= 0 && ids[r] < 4
                           ? fromBf16(x[ids[r] * kColumns + c])
                           : 0.0f;
      EXPECT_EQ(fromBf16(y[r * kColumns + c]),
                gathered + fromBf16(before[r * kColumns + c]))
          << r << ", " << c;
    }
  // Neither operand was copied: a row of zeros, the sum, and some indices.
  EXPECT_LT(scratch, 3 * 2 * kColumns);
}

TEST_P(TileToLoopsInPlace, ARowBeyondItsViewIsZeros) {
  std::vector<uint16_t> x = rows(2), y(3 * kColumns, 0xffff);
  int32_t sizes[3] = {3, 0, 0};
  run(R"(
    tile.kernel @k(%x: !tile.view<?x512xbf16>, %y: !tile.view<?x512xbf16>,
                   %sz: !tile.sizes) domain(%m = ? by 1 in tokens) {
      %c0 = arith.constant 0 : index
      %a = tile.load %x[%m, %c0] : !tile.view<?x512xbf16> -> tensor<1x512xbf16>
      %af = arith.extf %a : tensor<1x512xbf16> to tensor<1x512xf32>
      %s = arith.addf %af, %af : tensor<1x512xf32>
      %h = arith.truncf %s : tensor<1x512xf32> to tensor<1x512xbf16>
      tile.store %y[%m, %c0], %h : !tile.view<?x512xbf16>, tensor<1x512xbf16>
    })",
      {slot(x.data()), slot(int64_t(2)), slot(y.data()), slot(int64_t(3)),
       slot(sizes)},
      3);
  for (int c = 0; c < kColumns; ++c) {
    EXPECT_EQ(fromBf16(y[kColumns + c]), 2 * fromBf16(x[kColumns + c]));
    EXPECT_EQ(y[2 * kColumns + c], 0) << c;
  }
}

// A load is of what memory holds where the load stands, also if the row is
// overwritten before its last use.
TEST_P(TileToLoopsInPlace, AStoreBetweenLoadAndUseIsNotSeen) {
  std::vector<uint16_t> x = rows(1), before = x, y(kColumns);
  run(R"(
    tile.kernel @k(%x: !tile.view<1x512xbf16>, %z: !tile.view<1x512xbf16>,
                   %y: !tile.view<1x512xbf16>) domain(%m = 1 by 1) {
      %c0 = arith.constant 0 : index
      %a = tile.load %x[%m, %c0] : !tile.view<1x512xbf16> -> tensor<1x512xbf16>
      %af = arith.extf %a : tensor<1x512xbf16> to tensor<1x512xf32>
      %s = arith.addf %af, %af : tensor<1x512xf32>
      %h = arith.truncf %s : tensor<1x512xf32> to tensor<1x512xbf16>
      tile.store %z[%m, %c0], %h : !tile.view<1x512xbf16>, tensor<1x512xbf16>
      %ag = arith.extf %a : tensor<1x512xbf16> to tensor<1x512xf32>
      %four = arith.constant dense<4.0> : tensor<1x512xf32>
      %t = arith.mulf %ag, %four : tensor<1x512xf32>
      %u = arith.truncf %t : tensor<1x512xf32> to tensor<1x512xbf16>
      tile.store %y[%m, %c0], %u : !tile.view<1x512xbf16>, tensor<1x512xbf16>
    })",
      {slot(x.data()), slot(x.data()), slot(y.data())});
  for (int c = 0; c < kColumns; ++c) {
    EXPECT_EQ(fromBf16(x[c]), 2 * fromBf16(before[c])) << c;
    EXPECT_EQ(fromBf16(y[c]), 4 * fromBf16(before[c])) << c;
  }
}

// The factor of a row stands in scratch: it is loaded before the loop, after it
// was computed.
TEST_P(TileToLoopsInPlace, AFactorOfTheRowIsTheOneOfThisItem) {
  std::vector<uint16_t> x = rows(3), y(3 * kColumns);
  run(R"(
    tile.kernel @k(%x: !tile.view<3x512xbf16>, %y: !tile.view<3x512xbf16>)
        domain(%m = 3 by 1) {
      %c0 = arith.constant 0 : index
      %a = tile.load %x[%m, %c0] : !tile.view<3x512xbf16> -> tensor<1x512xbf16>
      %af = arith.extf %a : tensor<1x512xbf16> to tensor<1x512xf32>
      %most = tile.reduce max %af, 1 : tensor<1x512xf32> -> tensor<1x1xf32>
      %b = tile.broadcast %most : tensor<1x1xf32> -> tensor<1x512xf32>
      %s = arith.subf %b, %af : tensor<1x512xf32>
      %h = arith.truncf %s : tensor<1x512xf32> to tensor<1x512xbf16>
      tile.store %y[%m, %c0], %h : !tile.view<3x512xbf16>, tensor<1x512xbf16>
    })",
      {slot(x.data()), slot(y.data())}, 3);
  for (int r = 0; r < 3; ++r)
    for (int c = 0; c < kColumns; ++c)
      EXPECT_EQ(fromBf16(y[r * kColumns + c]), 64 + r - (1 + r + c % 64));
}

} // namespace
