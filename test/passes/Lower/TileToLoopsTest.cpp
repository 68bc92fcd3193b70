#include <gtest/gtest.h>

#include "test/lib/KernelRunner.h"

using hadal::test::KernelRunner;
using hadal::test::slot;

TEST(TileToLoops, Adds) {
  std::string error;
  auto runner = KernelRunner::fromText(R"(
    tile.kernel @add(%x: !tile.view<?x5xf32>, %y: !tile.view<?x5xf32>,
                     %sz: !tile.sizes) domain(%m = ? by 4 in tokens) {
      %c0 = arith.constant 0 : index
      %a = tile.load %x[%m, %c0] : !tile.view<?x5xf32> -> tensor<4x8xf32>
      %b = arith.addf %a, %a : tensor<4x8xf32>
      tile.store %y[%m, %c0], %b : !tile.view<?x5xf32>, tensor<4x8xf32>
    })",
                                       false, error);
  ASSERT_TRUE(runner) << error;
  std::vector<float> x(30), y(31, -1.0f);
  for (int i = 0; i < 30; ++i)
    x[i] = i;
  int32_t sizes[3] = {6, 0, 0};
  ASSERT_EQ(runner->run("add",
                        {slot(x.data()), slot(int64_t(6)), slot(y.data()),
                         slot(int64_t(6)), slot(sizes)},
                        2),
            "");
  for (int i = 0; i < 30; ++i)
    EXPECT_EQ(y[i], 2 * i);
  EXPECT_EQ(y[30], -1.0f);
}
