// Clusters and kernel costs as files: what is read, what is refused.
#include "cost/Cluster.h"

#include <fstream>

#include <gtest/gtest.h>

#include "cost/KernelCosts.h"
#include "test/Paths.h"
#include "test/runtime/TempDirectory.h"

using namespace hadal;
using namespace hadal::cost;
using hadal::test::TempDirectory;

namespace {

std::string clusterSays(const std::string &text) {
  TempDirectory dir;
  Status status = readCluster(dir.write("c.json", text)).status();
  EXPECT_EQ(status.code(), 5023) << text;
  EXPECT_EQ(status.exitCode(), 3);
  return status.message();
}

std::string costsSay(const std::string &text) {
  TempDirectory dir;
  Status status = readKernelCosts(dir.write("k.json", text)).status();
  EXPECT_EQ(status.code(), 5023) << text;
  return status.message();
}

void expectSays(const std::string &said, const std::string &expected) {
  EXPECT_NE(said.find(expected), std::string::npos) << said;
}

std::string withLink(const std::string &link) {
  return R"({"multiprocessors": 132, "links": {"ep": )" + link + "}}";
}

} // namespace

TEST(Cluster, EveryFileOfTheTreeIsRead) {
  unsigned count = 0;
  for (const auto &entry : std::filesystem::directory_iterator(
           HADAL_SOURCE_DIR "/models/clusters")) {
    if (entry.path().extension() != ".json")
      continue;
    StatusOr<Cluster> cluster = readCluster(entry.path());
    ASSERT_TRUE(cluster.ok()) << cluster.status().toString();
    EXPECT_FALSE(cluster->name.empty());
    EXPECT_GT(cluster->roofline.memoryBytesPerUs, 0);
    EXPECT_TRUE(cluster->find("dispatch", "ep"));
    EXPECT_TRUE(cluster->find("gather", "tp"));
    EXPECT_FALSE(cluster->find("gather", "world"));
    ++count;
  }
  EXPECT_GE(count, 3u);
}

TEST(Cluster, UnitsAreAsWritten) {
  TempDirectory dir;
  StatusOr<Cluster> c = readCluster(dir.write("c.json", R"({
    "name": "n", "chip": "x", "ranks_per_node": 4, "multiprocessors": 100,
    "memory_gb": 80, "launch_gap_us": 2, "outside_us": 7, "contention": 1.25,
    "imbalance": 1.5,
    "roofline": {"memory_gb_per_s": 3000, "bf16_tflops": 800,
                 "fp8_tflops": 1600, "floor_us": 3},
    "links": {"dispatch": {"us": {"8": 77, "16": 118}, "bytes": 1000,
                           "alpha_us": 30, "start_us": 5, "end_us": 4,
                           "moves": "pairs"},
              "ep": {"gb_per_s": 50, "multiprocessors": 24, "moves": 3.2},
              "tp": {"gb_per_s": {"8": 160}, "moves": "rows"}}})"));
  ASSERT_TRUE(c.ok()) << c.status().toString();
  EXPECT_EQ(c->ranksPerNode, 4u);
  EXPECT_DOUBLE_EQ(c->memoryBytes, 80e9);
  EXPECT_DOUBLE_EQ(c->machine.launchGapUs, 2);
  EXPECT_DOUBLE_EQ(c->machine.contention, 1.25);
  EXPECT_DOUBLE_EQ(c->outsideUs, 7);
  EXPECT_DOUBLE_EQ(c->imbalance, 1.5);
  EXPECT_DOUBLE_EQ(c->roofline.memoryBytesPerUs, 3e6);
  EXPECT_DOUBLE_EQ(c->roofline.fp8PerUs, 1.6e9);
  const Link &dispatch = *c->find("dispatch", "ep");
  EXPECT_EQ(dispatch.moves, Moves::pairs);
  EXPECT_DOUBLE_EQ(dispatch.usPerByte.at(16), 0.088);
  EXPECT_DOUBLE_EQ(collectiveOf(dispatch, "d", 8, 1000).us(), 77);
  const Link &ep = *c->find("return", "ep");
  EXPECT_EQ(ep.moves, Moves::copies);
  EXPECT_DOUBLE_EQ(ep.copies, 3.2);
  EXPECT_EQ(ep.multiprocessors, 24u);
  EXPECT_DOUBLE_EQ(collectiveOf(ep, "d", 8, 50000).us(), 1);
}

TEST(Cluster, RefusesWhatIsNone) {
  expectSays(clusterSays("{"), "is not valid JSON");
  expectSays(clusterSays("[]"), "is not an object");
  expectSays(clusterSays("{}"), "is not a cluster");
  expectSays(clusterSays(R"({"links": {}})"), "is not a cluster");
  expectSays(clusterSays(R"({"link": {}})"), "unknown member \"link\"");
  expectSays(clusterSays(R"({"contention": 0.5, "links": {}})"),
             "\"contention\" is 0.5, expected a number of at least 1");
  expectSays(clusterSays(R"({"name": 5})"), "\"name\" is 5, expected a string");
  expectSays(clusterSays(R"({"multiprocessors": 1.5})"),
             "\"multiprocessors\" is 1.5, expected a whole number");
  expectSays(clusterSays(R"({"ranks_per_node": 0})"),
             "\"ranks_per_node\" is 0");
  expectSays(clusterSays(R"({"roofline": {"bf16_tflops": 1}})"),
             "needs \"memory_gb_per_s\"");
  expectSays(clusterSays(withLink("{}")),
             "needs one of \"gb_per_s\" and \"us\"");
  expectSays(clusterSays(withLink(R"({"us": 3, "gb_per_s": 4})")),
             "needs one of");
  expectSays(clusterSays(withLink(R"({"us": 3})")), "needs \"bytes\"");
  expectSays(clusterSays(withLink(R"({"gb_per_s": 3, "end_us": 2})")),
             "needs \"bytes\"");
  for (const char *bad : {"0", "-1", "\"x\"", "{}", "{\"x\": 1}", "{\"0\": 1}",
                          "{\"8\": 0}", "[1]"})
    expectSays(
        clusterSays(withLink(std::string("{\"gb_per_s\": ") + bad + "}")),
        "expected a number above 0, or one for each number of ranks");
  expectSays(
      clusterSays(withLink(R"({"us": {"8": 20}, "bytes": 5, "alpha_us": 20})")),
      "20 us on 8 ranks is not above \"alpha_us\" 20");
  for (const char *bad : {"0", "\"some\"", "true"})
    expectSays(clusterSays(withLink(
                   std::string("{\"gb_per_s\": 1, \"moves\": ") + bad + "}")),
               "\"moves\" is");
  expectSays(
      clusterSays(withLink(R"({"gb_per_s": 1, "multiprocessors": 132})")),
      "holds 132 of 132 \"multiprocessors\"");
  EXPECT_EQ(readCluster("/nowhere/c.json").status().code(), 5023);
}

TEST(KernelCosts, PointsAndSeconds) {
  TempDirectory dir;
  StatusOr<KernelCosts> costs = readKernelCosts(dir.write("k.json", R"({
    "chip": "h100", "kernels": [
      {"name": "a", "seconds": 2e-6, "entry": "decode_1"},
      {"name": "b", "points": [[128, 10], [256, 14]]}]})"));
  ASSERT_TRUE(costs.ok()) << costs.status().toString();
  EXPECT_DOUBLE_EQ(costs->find("a")->us(0), 2);
  EXPECT_DOUBLE_EQ(costs->find("a")->us(4096), 2);
  const KernelCost &b = *costs->find("b");
  EXPECT_DOUBLE_EQ(b.us(1), 10);
  EXPECT_DOUBLE_EQ(b.us(192), 12);
  EXPECT_DOUBLE_EQ(b.us(512), 28);
  EXPECT_FALSE(costs->find("c"));
}

TEST(KernelCosts, RefusesWhatIsNone) {
  expectSays(costsSay("{}"), "holds no kernel costs");
  expectSays(costsSay(R"({"kernels": [{"seconds": 1}]})"), "has no \"name\"");
  expectSays(costsSay(R"({"kernels": [{"name": "a"}]})"),
             "kernel 'a' has neither \"seconds\" above 0 nor \"points\"");
  expectSays(costsSay(R"({"kernels": [{"name": "a", "seconds": 0}]})"),
             "has neither");
  expectSays(costsSay(R"({"kernels": [{"name": "a", "points": []}]})"),
             "is not a list of [rows, us]");
  for (const char *bad :
       {"[1]", "3", "[0, 1]", "[1, 0]", "[1, \"x\"]", "[1, 2], [1, 3]"})
    expectSays(
        costsSay(std::string(R"({"kernels": [{"name": "a", "points": [)") +
                 bad + "]}]}"),
        "expected [rows, us] with rising rows");
  expectSays(costsSay(R"({"kernels": [{"name": "a", "seconds": 1},
                                      {"name": "a", "seconds": 1}]})"),
             "kernel 'a' has two costs");
}
