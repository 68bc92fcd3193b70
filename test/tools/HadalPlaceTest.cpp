// hadal-place as a user runs it, on the load that hadal-run writes.
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "test/tools/ToolHarness.h"

using namespace hadal;
using namespace hadal::toy;

namespace {

/// Runs hadal-place on the load |text|.
ToolResult placeText(const ToyCheckpoint &c, const std::string &text,
                     const std::string &flags) {
  std::ofstream(c.dir().file("load.json")) << text;
  return c.run("hadal-place", "--load " + c.dir().file("load.json") + " -o " +
                                  c.dir().file("p.json") + " " + flags);
}

} // namespace

TEST(HadalPlace, PlacesWhatHadalRunCounted) {
  ToyCheckpoint c;
  const std::string load = c.dir().file("load.json");
  ASSERT_EQ(c.runModel("--input-ids 0,1,4,6 -n 1 --expert-load " + load).status,
            0);
  ToolResult r =
      c.run("hadal-place", "--load " + load + " --ranks 2 --slots 3 -o " +
                               c.dir().file("p.json"));
  ASSERT_EQ(r.status, 0) << r.err;
  EXPECT_EQ(r.out, "");
  EXPECT_NE(r.err.find("placed 4 experts and 2 replicas on 2 ranks of 3 slots "
                       "in 2 layers, global: balancedness"),
            std::string::npos)
      << r.err;
  auto json = nlohmann::json::parse(readText(c.dir().file("p.json")));
  EXPECT_EQ(json["hadal_placement"], 1);
  EXPECT_EQ(json["experts"], 4);
  EXPECT_EQ(json["ranks"], 2);
  EXPECT_EQ(json["slots"], 3);
  EXPECT_EQ(json["load_digest"].get<std::string>().size(), 16u);
  // The load 2, 1, 1, 0 (which counts as 1): a further slot for expert 0, then,
  // as all are equal and 0 is on every rank, for expert 1. By falling load 0,
  // 2, 3, 0, 1, 1 go to the ranks in turn.
  for (const char *layer : {"0", "1"}) {
    EXPECT_EQ(json["layers"][layer],
              nlohmann::json::parse("[[0, 3, 1], [2, 0, 1]]"));
    EXPECT_EQ(json["balancedness"][layer][1], 1.0);
  }
}

TEST(HadalPlace, HierarchicalByFlagOrFile) {
  ToyCheckpoint c;
  const std::string layers = "\"layers\": {\"3\": [1, 2, 3, 4, 5, 6, 7, 8]}}";
  ToolResult r =
      placeText(c, "{" + layers, "--ranks 4 --slots 2 --nodes 2 --groups 4");
  ASSERT_EQ(r.status, 0) << r.err;
  EXPECT_NE(r.err.find("hierarchical: 4 groups on 2 nodes"), std::string::npos);
  r = placeText(c, "{\"expert_groups\": 4, " + layers,
                "--ranks 4 --slots 2 --nodes 2");
  ASSERT_EQ(r.status, 0) << r.err;
  EXPECT_NE(r.err.find("hierarchical: 4 groups on 2 nodes"), std::string::npos);
  r = placeText(c, "{" + layers, "-q --ranks 4 --slots 2 --nodes 2");
  ASSERT_EQ(r.status, 0) << r.err;
  EXPECT_EQ(r.err, "");
}

TEST(HadalPlace, RefusesBadFlagsAndFiles) {
  ToyCheckpoint c;
  const std::string good = R"({"layers": {"3": [1, 2, 3, 4]}})";
  ToolResult r = placeText(c, good, "--ranks 3 --slots 1");
  EXPECT_EQ(r.status, 2);
  EXPECT_NE(r.err.find("error H5011: 3 ranks of 1 slots hold 3 experts, the "
                       "model has 4; use --slots 2"),
            std::string::npos)
      << r.err;
  EXPECT_EQ(placeText(c, good, "--ranks 0 --slots 1").status, 2);
  EXPECT_EQ(placeText(c, good, "--ranks 2").status, 2);
  EXPECT_EQ(c.run("hadal-place", "--help").status, 0);

  struct Bad {
    const char *text, *said;
  };
  for (const Bad &bad : std::initializer_list<Bad>{
           {"{", "is not valid JSON"},
           {"[]", "is not an expert load"},
           {"{\"layers\": {}}", "is not an expert load"},
           {R"({"layers": {"x": [1]}})", "layer \"x\" is not a layer's number"},
           {R"({"layers": {"03": [1]}})",
            "layer \"03\" is not a layer's number"},
           {R"({"layers": {"3": []}})", "is not a list of tokens by expert"},
           {R"({"layers": {"3": [1, 2], "4": [1]}})",
            "layer 4 has 1 experts, the layers before it have 2"},
           {R"({"layers": {"3": [1, -2]}})", "has -2 tokens for an expert"},
           {R"({"layers": {"3": [1, 1.5]}})", "has 1.5 tokens for an expert"},
           {R"({"layers": {"3": [4611686018427387904, 1]}})",
            "a sum of at most 2^62"},
           {R"({"expert_groups": 0, "layers": {"3": [1, 2, 3, 4]}})",
            "\"expert_groups\" is not a number from 1 on"}}) {
    r = placeText(c, bad.text, "--ranks 2 --slots 2");
    EXPECT_EQ(r.status, 3) << bad.text;
    EXPECT_NE(r.err.find("error H5023"), std::string::npos) << r.err;
    EXPECT_NE(r.err.find(bad.said), std::string::npos) << r.err;
  }
  r = c.run("hadal-place",
            "--load /nowhere/l.json --ranks 2 --slots 2 -o /dev/null");
  EXPECT_EQ(r.status, 3);
  r = c.run("hadal-place", "--load " + c.dir().file("load.json") +
                               " --ranks 2 --slots 2 -o /nowhere/p.json");
  EXPECT_NE(r.status, 0);
}
