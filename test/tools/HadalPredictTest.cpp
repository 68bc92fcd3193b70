// hadal-predict on a toy of four ranks, whose steps can be added up by hand.
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "runtime/cts/ToyRanks.h"
#include "test/tools/ToolHarness.h"

using namespace hadal;
using namespace hadal::toy;

namespace {

/// The checkpoint with a model of four ranks, kernels of 5 us (the head: 10)
/// and links of a byte a microsecond.
class HadalPredict : public testing::Test {
protected:
  void SetUp() override {
    writeFile(c.artifact(), assemble(rankModel(4)));
    write("k.json", R"({"kernels": [
      {"name": "embed", "seconds": 5e-6}, {"name": "append", "seconds": 5e-6},
      {"name": "attend", "seconds": 5e-6}, {"name": "route", "seconds": 5e-6},
      {"name": "move", "seconds": 5e-6}, {"name": "head", "seconds": 10e-6},
      {"name": "scratch", "seconds": 5e-6},
      {"name": "mxcsr", "seconds": 5e-6}]})");
  }

  std::string write(const std::string &name, const std::string &text) const {
    std::ofstream(c.dir().file(name)) << text;
    return c.dir().file(name);
  }

  /// A cluster with |dispatch| as the link of that name.
  std::string cluster(const std::string &dispatch,
                      const std::string &more = "") const {
    return write("c.json",
                 R"({"name": "toy", "outside_us": 100,
      "imbalance": 1, "memory_gb": 1e-6, )" +
                     more + R"("links": {"dispatch": )" + dispatch +
                     R"(, "ep": {"alpha_us": 6, "gb_per_s": 1e-3}}})");
  }

  ToolResult predict(const std::string &flags) const {
    return c.run("hadal-predict", c.artifact() + " --costs " +
                                      c.dir().file("k.json") + " --json " +
                                      c.dir().file("out.json") + " " + flags);
  }

  /// The prediction of decode_1, the entry with collectives.
  nlohmann::json decode1(const ToolResult &result) const {
    EXPECT_EQ(result.status, 0) << result.err;
    auto json = nlohmann::json::parse(readText(c.dir().file("out.json")),
                                      nullptr, false);
    EXPECT_EQ(json["entries"][0]["name"], "decode_1");
    return json["entries"][0];
  }

  ToyCheckpoint c;
};

const char *kPadded = R"({"alpha_us": 20, "gb_per_s": 1e-3})";

} // namespace

// A layer: 2 kernels of 5; a dispatch of 4 x (2 rows of 8 bytes + 4 bytes), 20
// + 80 us, beside a kernel of 5; 3 kernels. Twice. Then a kernel, a sum of 2 x
// 3/4 x 16 bytes, 6 + 24 us, and a kernel; the head's 10; 100 outside.
TEST_F(HadalPredict, AddsUpAStep) {
  ToolResult r = predict("--cluster " + cluster(kPadded));
  auto e = decode1(r);
  EXPECT_DOUBLE_EQ(e["body_us"], 2 * (10 + 100 + 15) + 5 + 30 + 5);
  EXPECT_DOUBLE_EQ(e["compute_us"], 14 * 5);
  EXPECT_DOUBLE_EQ(e["exposed_us"], 2 * 95 + 30);
  EXPECT_DOUBLE_EQ(e["head_us"], 10);
  EXPECT_DOUBLE_EQ(e["step_us"], 400);
  EXPECT_DOUBLE_EQ(e["tokens_per_second_rank"], 2500);
  EXPECT_DOUBLE_EQ(e["tokens_per_second_node"], 10000);
  EXPECT_EQ(e["bound"], "chain");
  EXPECT_EQ(e["launches"], 15);
  EXPECT_EQ(e["measured"], 15);
  const auto &dispatch = e["exchanges"]["dispatch"];
  EXPECT_EQ(dispatch["operations"], 2);
  EXPECT_DOUBLE_EQ(dispatch["us"], 200);
  EXPECT_DOUBLE_EQ(dispatch["exposed_us"], 190);
  EXPECT_DOUBLE_EQ(dispatch["bytes"], 160);
  // One row of 8 bytes, and the counts.
  EXPECT_DOUBLE_EQ(dispatch["needed_bytes"], 2 * (8 + 16));
  EXPECT_DOUBLE_EQ(e["exchanges"]["sum"]["exposed_us"], 30);
  EXPECT_NE(r.out.find("4 ranks (tp 1, dp 4, ep 4) on toy"), std::string::npos)
      << r.out;
  EXPECT_NE(r.out.find("2 x dispatch: 200 us, exposed 190 us"),
            std::string::npos)
      << r.out;
  EXPECT_NE(r.out.find("which does not fit"), std::string::npos) << r.out;
}

// A link with exact counts carries the one row and the counts.
TEST_F(HadalPredict, ExactCountsMoveLess) {
  auto e = decode1(predict(
      "--cluster " +
      cluster(R"({"alpha_us": 20, "gb_per_s": 1e-3, "moves": "rows"})")));
  EXPECT_DOUBLE_EQ(e["exchanges"]["dispatch"]["us"], 2 * (20 + 24));
  EXPECT_DOUBLE_EQ(e["body_us"], 290 - 2 * 56);
}

// Contention slows the kernel beside a transfer, which stays covered.
TEST_F(HadalPredict, GapsAndContention) {
  auto e = decode1(predict(
      "--cluster " +
      cluster(R"({"alpha_us": 20, "gb_per_s": 1e-3, "multiprocessors": 24})",
              R"("multiprocessors": 132, "launch_gap_us": 1,
                 "contention": 1.5, )")));
  EXPECT_DOUBLE_EQ(e["body_us"], 290 + 12);
  EXPECT_DOUBLE_EQ(e["compute_us"], 14 * 6 + 2 * 3);
}

// The expert of half of all tokens is one rank's: it has twice the mean.
TEST_F(HadalPredict, TheLoadMakesRanksUneven) {
  const std::string load = write(
      "load.json", R"({"layers": {"0": [4, 1, 1, 2], "1": [2, 4, 1, 1]}})");
  const std::string flags = "--cluster " + cluster(kPadded) + " --load " + load;
  auto e = decode1(predict(flags));
  EXPECT_DOUBLE_EQ(e["imbalance"], 2);
  EXPECT_DOUBLE_EQ(e["body_us"], 290 + 2 * 80);
  ASSERT_EQ(c.run("hadal-place", "--load " + load + " --ranks 4 --slots 1 -o " +
                                     c.dir().file("p.json"))
                .status,
            0);
  e = decode1(predict(flags + " --placement " + c.dir().file("p.json")));
  EXPECT_DOUBLE_EQ(e["imbalance"], 2);
  ASSERT_EQ(c.run("hadal-place", "--load " + load + " --ranks 2 --slots 2 -o " +
                                     c.dir().file("p.json"))
                .status,
            0);
  ToolResult r = predict(flags + " --placement " + c.dir().file("p.json"));
  EXPECT_EQ(r.status, 3);
  EXPECT_NE(r.err.find("error H6008"), std::string::npos) << r.err;
}

TEST_F(HadalPredict, RefusesWhatItCannotPrice) {
  ToolResult r =
      predict("--cluster " + write("c.json", R"({"name": "toy", "links": {"tp":
                                            {"gb_per_s": 1}}})"));
  EXPECT_EQ(r.status, 3);
  EXPECT_NE(r.err.find("error H5023: 'toy' has no link \"dispatch\" or \"ep\""),
            std::string::npos)
      << r.err;
  r = c.run("hadal-predict", c.artifact() + " --cluster " + cluster(kPadded));
  EXPECT_EQ(r.status, 3);
  EXPECT_NE(r.err.find("error H4002: kernel 'embed'"), std::string::npos)
      << r.err;
  r = predict("--cluster /nowhere/c.json");
  EXPECT_EQ(r.status, 3);
  EXPECT_NE(r.err.find("error H5023"), std::string::npos) << r.err;
  r = predict("--placement p.json --cluster " + cluster(kPadded));
  EXPECT_EQ(r.status, 2);
  EXPECT_NE(r.err.find("--placement needs --load"), std::string::npos) << r.err;
  r = predict("--cluster " + cluster(kPadded) + " --load " +
              write("load.json", R"({"layers": {"0": [1, 2]}})"));
  EXPECT_EQ(r.status, 3);
  EXPECT_NE(r.err.find("is of 2 experts"), std::string::npos) << r.err;
  EXPECT_EQ(predict("--context 0 --cluster " + cluster(kPadded)).status, 2);
  EXPECT_EQ(c.run("hadal-predict", "--help").status, 0);
  // One rank needs no link, and no load.
  writeFile(c.artifact(), assemble(model()));
  EXPECT_EQ(predict("--cluster " + cluster(kPadded)).status, 0);
  r = predict("--cluster " + cluster(kPadded) + " --load x.json");
  EXPECT_EQ(r.status, 2);
  EXPECT_NE(r.err.find("are about experts on several ranks"), std::string::npos)
      << r.err;
}
