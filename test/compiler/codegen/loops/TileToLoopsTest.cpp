// Memory and structure: views of every kind, ragged edges, folds, conditions.
#include "test/compiler/codegen/loops/LoopsTest.h"

using namespace hadal::test;

namespace {

class TileToLoops : public LoopsTest {};

INSTANTIATE_TEST_SUITE_P(Modes, TileToLoops, ::testing::Values(false, true),
                         [](auto &info) { return info.param ? "f64" : "f32"; });

TEST_P(TileToLoops, RaggedRowsAndColumnsPadAndDrop) {
  // 6x5 in tiles of 4x8: the pad (2) shows in the row sums.
  std::vector<float> x(30), y(31, -1.0f), sum(6, -1.0f);
  for (int i = 0; i < 30; ++i)
    x[i] = i;
  int32_t sizes[3] = {6, 0, 0};
  run(R"(
    tile.kernel @k(%x: !tile.view<?x5xf32>, %y: !tile.view<?x5xf32>,
                   %s: !tile.view<?x1xf32>, %sz: !tile.sizes)
        domain(%m = ? by 4 in tokens) {
      %c0 = arith.constant 0 : index
      %a = tile.load %x[%m, %c0] pad 2.0 : !tile.view<?x5xf32> -> tensor<4x8xf32>
      %b = arith.addf %a, %a : tensor<4x8xf32>
      tile.store %y[%m, %c0], %b : !tile.view<?x5xf32>, tensor<4x8xf32>
      %r = tile.reduce add %a, 1 : tensor<4x8xf32> -> tensor<4x1xf32>
      tile.store %s[%m, %c0], %r : !tile.view<?x1xf32>, tensor<4x1xf32>
    })",
      {slot(x.data()), slot(int64_t(6)), slot(y.data()), slot(int64_t(6)),
       slot(sum.data()), slot(int64_t(6)), slot(sizes)},
      2);
  for (int i = 0; i < 30; ++i)
    EXPECT_EQ(y[i], 2 * i);
  EXPECT_EQ(y[30], -1.0f);
  for (int r = 0; r < 6; ++r)
    EXPECT_EQ(sum[r], 25 * r + 10 + 3 * 2);
}

TEST_P(TileToLoops, PointsBeyondTheTrueSizeDoNothing) {
  std::vector<float> x(12, 1.0f), y(12, -1.0f);
  const std::array<std::string, 4> bounds = {"tokens", "rows", "logit_rows",
                                             "slice_tokens"};
  for (size_t b = 0; b < bounds.size(); ++b) {
    int32_t sizes[16] = {6, 6, 6, 6};
    sizes[b] = 5;
    std::fill(y.begin(), y.end(), -1.0f);
    run(R"(
    tile.kernel @k(%x: !tile.view<?x2xf32>, %y: !tile.view<?x2xf32>, %sz: !tile.sizes)
        domain(%m = ? by 1 in )" +
            bounds[b] + R"(, %n = 2 by 1) {
      %a = tile.load %x[%m, %n] : !tile.view<?x2xf32> -> tensor<1xf32>
      tile.store %y[%m, %n], %a : !tile.view<?x2xf32>, tensor<1xf32>
    })",
        {slot(x.data()), slot(int64_t(6)), slot(y.data()), slot(int64_t(6)),
         slot(sizes)},
        12);
    for (int i = 0; i < 12; ++i)
      EXPECT_EQ(y[i], i < 10 ? 1.0f : -1.0f) << bounds[b] << " " << i;
  }
}

TEST_P(TileToLoops, AnyPartitionOfTheItemsGivesTheSame) {
  const char *text = R"(
    tile.kernel @k(%x: !tile.view<?x3xf32>, %y: !tile.view<?x3xf32>)
        domain(%m = ? by 2, %n = 3 by 1) {
      %a = tile.load %x[%m, %n] : !tile.view<?x3xf32> -> tensor<2x1xf32>
      %b = math.exp2 %a : tensor<2x1xf32>
      tile.store %y[%m, %n], %b : !tile.view<?x3xf32>, tensor<2x1xf32>
    })";
  std::vector<float> x = randomFloats(21, 1), whole(21), parts(21);
  std::string error;
  auto runner = KernelRunner::fromText(text, f64(), error);
  ASSERT_TRUE(runner) << error;
  std::vector<uint64_t> args{slot(x.data()), slot(int64_t(7)),
                             slot(whole.data()), slot(int64_t(7))};
  ASSERT_EQ(runner->run("k", args, 12), "");
  args[2] = slot(parts.data());
  for (auto [lo, hi] : {std::pair(7, 12), {0, 3}, {3, 7}})
    ASSERT_EQ(runner->run("k", args, lo, hi), "");
  EXPECT_EQ(whole, parts);
}

TEST_P(TileToLoops, RowsBelowDropsRows) {
  std::vector<float> y(8, -1.0f);
  run(R"(
    tile.kernel @k(%y: !tile.view<8x1xf32>) domain(%m = 8 by 8) {
      %c0 = arith.constant 0 : index
      %c3 = arith.constant 3 : index
      %a = arith.constant dense<1.0> : tensor<8x1xf32>
      tile.store %y[%m, %c0], %a rows_below %c3 : !tile.view<8x1xf32>, tensor<8x1xf32>
    })",
      {slot(y.data())});
  for (int i = 0; i < 8; ++i)
    EXPECT_EQ(y[i], i < 3 ? 1.0f : -1.0f);
}

TEST_P(TileToLoops, LeadingIndexOfAHigherRankView) {
  // [2, 3, 4]: the tile is one row of plane 1, then of plane 2 (outside).
  std::vector<float> x(24), y(8, -1.0f);
  for (int i = 0; i < 24; ++i)
    x[i] = i;
  run(R"(
    tile.kernel @k(%x: !tile.view<2x3x4xf32>, %y: !tile.view<2x4xf32>) domain(%m = 2 by 1) {
      %c0 = arith.constant 0 : index
      %c1 = arith.constant 1 : index
      %c2 = arith.constant 2 : index
      %p = arith.addi %m, %c1 : index
      %a = tile.load %x[%p, %c2, %c0] pad 9.0 : !tile.view<2x3x4xf32> -> tensor<4xf32>
      tile.store %y[%m, %c0], %a : !tile.view<2x4xf32>, tensor<4xf32>
    })",
      {slot(x.data()), slot(y.data())}, 2);
  for (int i = 0; i < 8; ++i)
    EXPECT_EQ(y[i], i < 4 ? 20 + i : 9);
}

TEST_P(TileToLoops, PagedRowsFollowTheTable) {
  // 3 pages of 4 rows of 3; sequence 1 has 7 rows on pages 2, 0.
  std::vector<uint16_t> pool(36), y(24, 0xffff);
  for (int i = 0; i < 36; ++i)
    pool[i] = toBf16(i);
  int32_t table[] = {1, 1, 2, 0};
  run(R"(
    tile.kernel @k(%pool: !tile.view<?x4x3xbf16>, %pt: !tile.view<?x?xi32>, %y: !tile.view<8x3xbf16>)
        domain(%m = 8 by 8) {
      %c0 = arith.constant 0 : index
      %c1 = arith.constant 1 : index
      %c7 = arith.constant 7 : index
      %v = tile.paged %pool[%pt, %c1] extent %c7 : !tile.view<?x4x3xbf16>, !tile.view<?x?xi32> -> !tile.view<?x3xbf16>
      %a = tile.load %v[%m, %c0] pad -1.0 : !tile.view<?x3xbf16> -> tensor<8x3xbf16>
      tile.store %y[%m, %c0], %a : !tile.view<8x3xbf16>, tensor<8x3xbf16>
    })",
      {slot(pool.data()), slot(int64_t(3)), slot(table), slot(int64_t(2)),
       slot(int64_t(2)), slot(y.data())});
  for (int t = 0; t < 8; ++t)
    for (int j = 0; j < 3; ++j) {
      int page = table[2 + t / 4 % 2];
      float want = t < 7 ? (page * 4 + t % 4) * 3 + j : -1;
      EXPECT_EQ(fromBf16(y[t * 3 + j]), want) << t << "," << j;
    }
}

TEST_P(TileToLoops, GatherAndScatterRows) {
  // Row -1 reads as padding and drops its write; row 9 is beyond the view.
  std::vector<float> x(10), y(12, -1.0f);
  for (int i = 0; i < 10; ++i)
    x[i] = i;
  int64_t from[] = {3, -1, 0, 9}, to[] = {5, 1, -1, 2};
  run(R"(
    tile.kernel @k(%x: !tile.view<?x2xf32>, %from: !tile.view<4xi64>, %to: !tile.view<4xi64>,
                   %y: !tile.view<?x2xf32>) domain(%m = 4 by 4) {
      %c0 = arith.constant 0 : index
      %i = tile.load %from[%m] : !tile.view<4xi64> -> tensor<4xi64>
      %j = tile.load %to[%m] : !tile.view<4xi64> -> tensor<4xi64>
      %v = tile.rows %x[%i] : !tile.view<?x2xf32>, tensor<4xi64> -> !tile.view<4x2xf32>
      %w = tile.rows %y[%j] : !tile.view<?x2xf32>, tensor<4xi64> -> !tile.view<4x2xf32>
      %a = tile.load %v[%m, %c0] : !tile.view<4x2xf32> -> tensor<4x2xf32>
      tile.store %w[%m, %c0], %a : !tile.view<4x2xf32>, tensor<4x2xf32>
    })",
      {slot(x.data()), slot(int64_t(5)), slot(from), slot(to), slot(y.data()),
       slot(int64_t(6))});
  std::vector<float> want(12, -1.0f);
  want[10] = 6, want[11] = 7; // row 3 to 5
  want[2] = want[3] = 0;      // the missing row to 1
  want[4] = want[5] = 0;      // row 9 does not exist: padding, to 2
  EXPECT_EQ(y, want);
}

TEST_P(TileToLoops, StackAndSegmentsReadThroughTables) {
  // A stack of 2 experts [3, 200] and segments of 2 rows, with FP8 scales.
  std::vector<uint8_t> a = randomCodes(600, 1), b = randomCodes(600, 2);
  std::vector<float> sa{1, 2, 3, 4}, sb{5, 6, 7, 8};
  const void *codes[] = {a.data(), b.data()}, *scales[] = {sa.data(),
                                                           sb.data()};
  std::vector<float> y(2 * 3 * 200), z(3 * 200);
  run(R"(
    tile.kernel @k(%w: !tile.view<2x3x200xf8E4M3FN, stack, scale<2x128>>,
                   %v: !tile.view<5x200xf8E4M3FN, segments<3>, scale<3x128>>,
                   %y: !tile.view<2x3x200xf32>, %z: !tile.view<3x200xf32>)
        domain(%e = 2 by 1) {
      %c0 = arith.constant 0 : index
      %c2 = arith.constant 2 : index
      // One scale per row: the tile is not aligned to the block rows.
      %q, %s = tile.load %w[%e, %c0, %c0] : !tile.view<2x3x200xf8E4M3FN, stack, scale<2x128>> -> tensor<4x256xf8E4M3FN>, tensor<4x2xf32>
      %x = tile.dequantize %q, %s : tensor<4x256xf8E4M3FN>, tensor<4x2xf32> -> tensor<4x256xf32>
      tile.store %y[%e, %c0, %c0], %x : !tile.view<2x3x200xf32>, tensor<4x256xf32>
      %q2, %s2 = tile.load %v[%c2, %c0] : !tile.view<5x200xf8E4M3FN, segments<3>, scale<3x128>> -> tensor<3x256xf8E4M3FN>, tensor<3x2xf32>
      %x2 = tile.dequantize %q2, %s2 : tensor<3x256xf8E4M3FN>, tensor<3x2xf32> -> tensor<3x256xf32>
      tile.store %z[%c0, %c0], %x2 : !tile.view<3x200xf32>, tensor<3x256xf32>
    })",
      {slot(codes), slot(scales), slot(codes), slot(scales), slot(y.data()),
       slot(z.data())},
      2);
  for (int e = 0; e < 2; ++e)
    for (int i = 0; i < 3; ++i)
      for (int j = 0; j < 200; ++j) {
        float want = fromFp8((e ? b : a)[i * 200 + j]) *
                     (e ? sb : sa)[i / 2 * 2 + j / 128];
        ASSERT_EQ(y[(e * 3 + i) * 200 + j], want) << e << i << j;
      }
  for (int i = 0; i < 3; ++i)
    for (int j = 0; j < 200; ++j) {
      int row = i + 2; // row 2 of segment 0, then rows 0 and 1 of segment 1
      float want = fromFp8((row < 3 ? a : b)[row % 3 * 200 + j]) *
                   (row < 3 ? sa : sb)[j / 128];
      ASSERT_EQ(z[i * 200 + j], want) << i << "," << j;
    }
}

TEST_P(TileToLoops, ExpertRowsSizesAndScalars) {
  // expert_begin 0, 3, 3, 5: each expert's rows get 10 * expert.
  int32_t sizes[20] = {0, 7, 4, 6, 1};
  const int32_t begin[] = {0, 3, 3, 5};
  std::copy(begin, begin + 4, sizes + 16);
  std::vector<float> y(6, -1.0f);
  std::vector<int32_t> facts(6);
  run(R"(
    tile.kernel @k(%y: !tile.view<?x1xf32>, %f: !tile.view<6xi32>, %sz: !tile.sizes)
        domain(%m = ? by 2 in expert_rows[1], %e = 3 by 1) {
      %c0 = arith.constant 0 : index
      %c1 = arith.constant 1 : index
      %c10 = arith.constant 10 : index
      %first = tile.size %sz expert_begin[%e]
      %next = arith.addi %e, %c1 : index
      %end = tile.size %sz expert_begin[%next]
      %row = arith.addi %first, %m : index
      %left = arith.subi %end, %row : index
      %v = arith.muli %e, %c10 : index
      %t = tile.splat %v : index -> tensor<2x1xi32>
      %x = arith.sitofp %t : tensor<2x1xi32> to tensor<2x1xf32>
      tile.store %y[%row, %c0], %x rows_below %left : !tile.view<?x1xf32>, tensor<2x1xf32>
      %rows = tile.size %sz rows
      %logits = tile.size %sz logit_rows
      %slice = tile.size %sz slice_tokens
      %flags = tile.size %sz flags
      %d = tile.dim %y, 0 : !tile.view<?x1xf32>
      %zero = arith.cmpi eq, %row, %c0 : index
      scf.if %zero {
        %a = tile.splat %rows : index -> tensor<1xi32>
        %b = tile.splat %logits : index -> tensor<1xi32>
        %c = tile.splat %d : index -> tensor<1xi32>
        %s = tile.splat %slice : index -> tensor<1xi32>
        %w = tile.splat %flags : index -> tensor<1xi32>
        %all = tile.concat %a, %b, %c, %s, %w dim 0 : tensor<1xi32>, tensor<1xi32>, tensor<1xi32>, tensor<1xi32>, tensor<1xi32> -> tensor<5xi32>
        tile.store %f[%c0], %all : !tile.view<6xi32>, tensor<5xi32>
      }
    })",
      {slot(y.data()), slot(int64_t(6)), slot(facts.data()), slot(sizes)}, 9);
  EXPECT_EQ(y, (std::vector<float>{0, 0, 0, 20, 20, -1}));
  EXPECT_EQ(facts, (std::vector<int32_t>{7, 4, 6, 6, 1, 0}));
}

TEST_P(TileToLoops, StoreSizeReduceIntoAndRead) {
  int32_t sizes[20] = {}, load[3] = {10, 20, 30}, most[3] = {1, 0, -1},
          at[] = {4, 2};
  float sum[2] = {0.5f, 0.25f};
  run(R"(
    tile.kernel @k(%at: !tile.view<2xi32>, %load: !tile.view<3xi32>, %most: !tile.view<3xi32>, %sum: !tile.view<2xf32>, %sz: !tile.sizes)
        domain(%m = 1 by 1) {
      %c0 = arith.constant 0 : index
      %c1 = arith.constant 1 : index
      %i = tile.iota 0 : tensor<3xi32>
      tile.store_size %sz, %i : tensor<3xi32>
      %j = tile.iota 0 : tensor<2xi32>
      tile.store_size %sz[%c1], %j : tensor<2xi32>
      tile.reduce_into %load[%c0], %i : !tile.view<3xi32>, tensor<3xi32>
      tile.reduce_into max %most[%c0], %i : !tile.view<3xi32>, tensor<3xi32>
      %r = tile.read %at[%c1] : !tile.view<2xi32>
      %t = tile.splat %r : index -> tensor<4xi32>
      %f = arith.sitofp %t : tensor<4xi32> to tensor<4xf32>
      tile.reduce_into %sum[%c0], %f : !tile.view<2xf32>, tensor<4xf32>
    })",
      {slot(at), slot(load), slot(most), slot(sum), slot(sizes)});
  std::vector<int32_t> expected(20, 0);
  expected[18] = 1;
  EXPECT_EQ(std::vector<int32_t>(sizes, sizes + 20), expected);
  EXPECT_EQ(std::vector<int32_t>(load, load + 3),
            (std::vector<int32_t>{10, 21, 32}));
  EXPECT_EQ(std::vector<int32_t>(most, most + 3),
            (std::vector<int32_t>{1, 1, 2}));
  EXPECT_EQ(sum[0], 2.5f);
  EXPECT_EQ(sum[1], 2.25f);
}

//===----------------------------------------------------------------------===//
// Fold and if
//===----------------------------------------------------------------------===//

TEST_P(TileToLoops, FoldSwapsStatesAndCarriesScalars) {
  // (a, b, n) <- (b, a + b, n + 1): Fibonacci; the states cross.
  std::vector<float> y(6);
  run(R"(
    tile.kernel @k(%y: !tile.view<3x2xf32>) domain(%m = 1 by 1) {
      %c0 = arith.constant 0 : index
      %c1 = arith.constant 1 : index
      %c2 = arith.constant 2 : index
      %c8 = arith.constant 8 : index
      %zero = arith.constant dense<0.0> : tensor<2xf32>
      %one = arith.constant dense<[1.0, 2.0]> : tensor<2xf32>
      %a, %b, %n = tile.fold %i = %c0 to %c8 step 1 init(%p = %zero : tensor<2xf32>, %q = %one : tensor<2xf32>, %s = %c0 : index) {
        %r = arith.addf %p, %q : tensor<2xf32>
        %t = arith.addi %s, %c1 : index
        tile.yield %q, %r, %t : tensor<2xf32>, tensor<2xf32>, index
      } combine (%p, %q, %s), (%p2, %q2, %s2) {
        tile.yield %p, %q, %s : tensor<2xf32>, tensor<2xf32>, index
      }
      tile.store %y[%c0, %c0], %a : !tile.view<3x2xf32>, tensor<2xf32>
      tile.store %y[%c1, %c0], %b : !tile.view<3x2xf32>, tensor<2xf32>
      %u = tile.splat %n : index -> tensor<2xi32>
      %v = arith.sitofp %u : tensor<2xi32> to tensor<2xf32>
      tile.store %y[%c2, %c0], %v : !tile.view<3x2xf32>, tensor<2xf32>
    })",
      {slot(y.data())});
  EXPECT_EQ(y, (std::vector<float>{21, 42, 34, 68, 8, 8}));
}

TEST_P(TileToLoops, FoldUpdatesAnAccumulatorInPlace) {
  // acc <- acc * 0.5 + a_k . b_k, and the running maximum beside it, whose old
  // value is read after the new one exists (as in online softmax).
  auto x = randomFloats(3 * 8, 3), w = randomFloats(5 * 8, 4);
  std::vector<float> y(15), z(3);
  run(R"(
    tile.kernel @k(%x: !tile.view<3x8xf32>, %w: !tile.view<5x8xf32>, %y: !tile.view<3x5xf32>, %z: !tile.view<3x1xf32>) domain(%m = 1 by 1) {
      %c0 = arith.constant 0 : index
      %c8 = arith.constant 8 : index
      %half = arith.constant dense<0.5> : tensor<3x5xf32>
      %zero = arith.constant dense<0.0> : tensor<3x5xf32>
      %low = arith.constant dense<-9.0> : tensor<3x1xf32>
      %a, %b = tile.fold %k = %c0 to %c8 step 2 init(%acc = %zero : tensor<3x5xf32>, %old = %low : tensor<3x1xf32>) {
        %p = tile.load %x[%c0, %k] : !tile.view<3x8xf32> -> tensor<3x2xf32>
        %q = tile.load %w[%c0, %k] : !tile.view<5x8xf32> -> tensor<5x2xf32>
        %max = tile.reduce max %p, 1 : tensor<3x2xf32> -> tensor<3x1xf32>
        %new = arith.maximumf %old, %max : tensor<3x1xf32>
        %gap = arith.subf %new, %old : tensor<3x1xf32>
        %wide = tile.broadcast %gap : tensor<3x1xf32> -> tensor<3x5xf32>
        %scaled = arith.mulf %acc, %half : tensor<3x5xf32>
        %both = arith.addf %scaled, %wide : tensor<3x5xf32>
        %next = tile.dot %p, %q, %both tb : tensor<3x2xf32>, tensor<5x2xf32>, tensor<3x5xf32>
        tile.yield %next, %new : tensor<3x5xf32>, tensor<3x1xf32>
      } combine (%p, %p1), (%q, %q1) {
        tile.yield %p, %p1 : tensor<3x5xf32>, tensor<3x1xf32>
      }
      tile.store %y[%c0, %c0], %a : !tile.view<3x5xf32>, tensor<3x5xf32>
      tile.store %z[%c0, %c0], %b : !tile.view<3x1xf32>, tensor<3x1xf32>
    })",
      {slot(x.data()), slot(w.data()), slot(y.data()), slot(z.data())});
  std::vector<double> want(15), best(3, -9.0);
  for (int k = 0; k < 8; k += 2)
    for (int i = 0; i < 3; ++i) {
      double next = std::max<double>(
          best[i], std::max(x[i * 8 + k], x[i * 8 + k + 1]));
      for (int j = 0; j < 5; ++j)
        want[i * 5 + j] = want[i * 5 + j] * 0.5 + (next - best[i]) +
                          double(x[i * 8 + k]) * w[j * 8 + k] +
                          double(x[i * 8 + k + 1]) * w[j * 8 + k + 1];
      best[i] = next;
    }
  expectClose(y, want, f64() ? 1e-7 : 1e-6);
  expectClose(z, best, 0);
  // Two states, p, q, max, gap and the dot's panel: no copy of the accumulator.
  EXPECT_LE(scratch, f64() ? 1024 : 768);
}

TEST_P(TileToLoops, EmptyFoldYieldsItsInits) {
  std::vector<float> y(2);
  run(R"(
    tile.kernel @k(%y: !tile.view<2xf32>) domain(%m = 1 by 1) {
      %c0 = arith.constant 0 : index
      %c4 = arith.constant 4 : index
      %x = arith.constant dense<3.0> : tensor<2xf32>
      %a = tile.fold %i = %c4 to %c4 step 1 init(%p = %x : tensor<2xf32>) {
        %r = arith.addf %p, %p : tensor<2xf32>
        tile.yield %r : tensor<2xf32>
      } combine (%p), (%q) {
        tile.yield %p : tensor<2xf32>
      }
      tile.store %y[%c0], %a : !tile.view<2xf32>, tensor<2xf32>
    })",
      {slot(y.data())});
  EXPECT_EQ(y, (std::vector<float>{3, 3}));
}

TEST_P(TileToLoops, NestedFolds) {
  // sum over i < 3, j < 4 of (i + j), through a nested state.
  std::vector<float> y(2);
  run(R"(
    tile.kernel @k(%y: !tile.view<2xf32>) domain(%m = 1 by 1) {
      %c0 = arith.constant 0 : index
      %c3 = arith.constant 3 : index
      %c4 = arith.constant 4 : index
      %x = arith.constant dense<0.0> : tensor<2xf32>
      %a = tile.fold %i = %c0 to %c3 step 1 init(%p = %x : tensor<2xf32>) {
        %in = tile.fold %j = %c0 to %c4 step 1 init(%q = %p : tensor<2xf32>) {
          %ij = arith.addi %i, %j : index
          %s = tile.splat %ij : index -> tensor<2xi32>
          %f = arith.sitofp %s : tensor<2xi32> to tensor<2xf32>
          %r = arith.addf %q, %f : tensor<2xf32>
          tile.yield %r : tensor<2xf32>
        } combine (%q), (%q2) {
          %r = arith.addf %q, %q2 : tensor<2xf32>
          tile.yield %r : tensor<2xf32>
        }
        tile.yield %in : tensor<2xf32>
      } combine (%p), (%q) {
        %r = arith.addf %p, %q : tensor<2xf32>
        tile.yield %r : tensor<2xf32>
      }
      tile.store %y[%c0], %a : !tile.view<2xf32>, tensor<2xf32>
    })",
      {slot(y.data())});
  EXPECT_EQ(y, (std::vector<float>{30, 30}));
}

TEST_P(TileToLoops, IfYieldsTilesAndScalars) {
  std::vector<float> y(4);
  run(R"(
    tile.kernel @k(%y: !tile.view<2x2xf32>) domain(%m = 2 by 1) {
      %c0 = arith.constant 0 : index
      %c1 = arith.constant 1 : index
      %x = arith.constant dense<3.0> : tensor<2xf32>
      %five = arith.constant 5.0 : f32
      %seven = arith.constant 7.0 : f32
      %first = arith.cmpi eq, %m, %c0 : index
      %t, %s = scf.if %first -> (tensor<2xf32>, f32) {
        %d = arith.addf %x, %x : tensor<2xf32>
        scf.yield %d, %five : tensor<2xf32>, f32
      } else {
        scf.yield %x, %seven : tensor<2xf32>, f32
      }
      %u = tile.splat %s : f32 -> tensor<2xf32>
      %v = arith.addf %t, %u : tensor<2xf32>
      tile.store %y[%m, %c0], %v : !tile.view<2x2xf32>, tensor<2xf32>
    })",
      {slot(y.data())}, 2);
  EXPECT_EQ(y, (std::vector<float>{11, 11, 10, 10}));
}

} // namespace
