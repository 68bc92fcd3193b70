// Placement files: what is read back, what is refused.
#include "runtime/placement/Placement.h"

#include <fstream>

#include <gtest/gtest.h>

#include "test/runtime/TempDirectory.h"

using namespace hadal;
using hadal::test::TempDirectory;

namespace {

const PlacementShape kShape = {4, 2, 3, {3, 4}};

/// Layer 3 differs from the default, 4 is it.
ExpertPlacement example() {
  ExpertPlacement placement = defaultPlacement(kShape);
  placement.loadDigest = "00112233445566ff";
  placement.layers[3].experts = {2, 1, 0, 3, 1, 2};
  placement.layers[3].balancednessBefore = 0.5;
  placement.layers[3].balancednessAfter = 0.875;
  return placement;
}

std::string replaced(std::string text, const std::string &from,
                     const std::string &to) {
  size_t at = text.find(from);
  EXPECT_NE(at, std::string::npos) << from << "\n" << text;
  return at == std::string::npos ? text : text.replace(at, from.size(), to);
}

/// What reading |text| for the shape says.
std::string complaint(const std::string &text,
                      const PlacementShape &shape = kShape) {
  StatusOr<ExpertPlacement> placement = parsePlacement(text, "p.json");
  Status status = placement.ok() ? checkPlacement(*placement, shape, "p.json")
                                 : placement.status();
  EXPECT_EQ(status.code(), 6008) << text;
  EXPECT_EQ(status.exitCode(), 3);
  return status.message();
}

} // namespace

TEST(Placement, TheDefaultGoesRoundTheExperts) {
  ExpertPlacement placement = defaultPlacement(kShape);
  EXPECT_EQ(placement.layers.size(), 2u);
  EXPECT_EQ(placement.layers.at(3).experts,
            (std::vector<uint32_t>{0, 1, 2, 3, 0, 1}));
  EXPECT_TRUE(checkPlacement(placement, kShape, "default").ok());
  std::span<const uint32_t> second = placement.of(4, 1);
  EXPECT_EQ(std::vector<uint32_t>(second.begin(), second.end()),
            (std::vector<uint32_t>{3, 0, 1}));
}

TEST(Placement, WhatIsWrittenIsRead) {
  TempDirectory dir;
  const std::string path = dir.file("p.json");
  std::ofstream(path) << writePlacement(example());
  StatusOr<ExpertPlacement> read = readPlacement(path, kShape);
  ASSERT_TRUE(read.ok()) << read.status().toString();
  EXPECT_EQ(writePlacement(*read), writePlacement(example()));
  EXPECT_EQ(read->loadDigest, "00112233445566ff");
  EXPECT_EQ(read->layers.at(3).balancednessAfter, 0.875);
  EXPECT_EQ(read->layers.at(4).balancednessAfter, 0);
  EXPECT_EQ(read->digest(), example().digest());
}

TEST(Placement, TheDigestIsOfThePlacesAlone) {
  ExpertPlacement other = example();
  other.loadDigest = "";
  other.layers[3].balancednessAfter = 0.9;
  EXPECT_EQ(other.digest(), example().digest());
  std::swap(other.layers[3].experts[0], other.layers[3].experts[3]);
  EXPECT_NE(other.digest(), example().digest());
  EXPECT_NE(defaultPlacement(kShape).digest(), example().digest());
}

TEST(Placement, TheTableListsTheSlotsOfEachExpert) {
  EXPECT_EQ(example().table(3, 3), (std::vector<int32_t>{1, 2, -1, -1, //
                                                         2, 1, 4, -1,  //
                                                         2, 0, 5, -1,  //
                                                         1, 3, -1, -1}));
}

TEST(Placement, RefusesWhatIsNoPlacement) {
  const std::string text = writePlacement(example());
  EXPECT_NE(complaint("[1").find("not valid JSON"), std::string::npos);
  EXPECT_NE(complaint("[]").find("is not a placement file"), std::string::npos);
  EXPECT_NE(complaint("{\"layers\": {}}").find("is not a placement file"),
            std::string::npos);
  EXPECT_NE(complaint(replaced(text, "\"hadal_placement\": 1",
                               "\"hadal_placement\": 2"))
                .find("version 2, expected 1"),
            std::string::npos);
  EXPECT_NE(complaint(replaced(text, "\"slots\": 3", "\"slot\": 3"))
                .find("unknown member \"slot\""),
            std::string::npos);
  for (const char *bad : {"0", "-3", "3.5", "\"3\"", "99999999", "null"})
    EXPECT_NE(complaint(replaced(text, "\"slots\": 3",
                                 std::string("\"slots\": ") + bad))
                  .find("\"slots\" is not a number from 1 to"),
              std::string::npos);
  EXPECT_NE(complaint(replaced(text, "\"00112233445566ff\"", "7"))
                .find("\"load_digest\" is not a string"),
            std::string::npos);
  EXPECT_NE(
      complaint(R"({"hadal_placement": 1, "experts": 4, "ranks": 2, "slots": 3,
                    "layers": []})")
          .find("\"layers\" is not an object"),
      std::string::npos);
  for (const char *bad : {"\"x\"", "\"03\"", "\"-3\"", "\"\"", "\"9999999\""})
    EXPECT_NE(complaint(replaced(text, "\"3\": [[", std::string(bad) + ": [["))
                  .find("is not a layer's number"),
              std::string::npos);
}

TEST(Placement, RefusesWrongLists) {
  const std::string text = writePlacement(example());
  EXPECT_NE(complaint(replaced(text, ", [3, 1, 2]", ""))
                .find("layer 3 is not a list of 2 ranks: found 1 ranks"),
            std::string::npos);
  EXPECT_NE(complaint(replaced(text, "[3, 1, 2]", "[3, 1]"))
                .find("rank 1 of layer 3 is not a list of 3 experts: found 2"),
            std::string::npos);
  EXPECT_NE(complaint(replaced(text, "[3, 1, 2]", "5"))
                .find("rank 1 of layer 3 is not a list of 3 experts"),
            std::string::npos);
  for (const char *bad : {"4", "-1", "1.5", "true"})
    EXPECT_NE(complaint(replaced(text, "[3, 1, 2]",
                                 std::string("[3, 1, ") + bad + "]"))
                  .find("rank 1 of layer 3 names expert"),
              std::string::npos);
  EXPECT_NE(complaint(replaced(text, "0.8750", "1.5"))
                .find("is not two numbers above 0, at most 1"),
            std::string::npos);
  EXPECT_NE(complaint(replaced(text, "\"3\": [0.5", "\"7\": [0.5"))
                .find("has a layer 7 that \"layers\" has not"),
            std::string::npos);
  EXPECT_NE(
      complaint(replaced(text, "\"balancedness\": {\n\"3\": [0.5000, 0.8750]}",
                         "\"balancedness\": 3"))
          .find("\"balancedness\" is not an object"),
      std::string::npos);
}

TEST(Placement, RefusesAnotherArtifactsPlacement) {
  const std::string text = writePlacement(example());
  PlacementShape shape = kShape;
  shape.slots = 2;
  EXPECT_NE(
      complaint(text, shape)
          .find(
              "places 4 experts on 2 ranks of 3 slots, but the artifact has 4 "
              "experts on 2 ranks of 2 slots"),
      std::string::npos);
  shape = kShape;
  shape.layers = {3, 4, 5};
  EXPECT_NE(complaint(text, shape).find("has no layer 5"), std::string::npos);
  shape.layers = {3};
  EXPECT_NE(complaint(text, shape).find("has a layer 4, which is no MoE layer"),
            std::string::npos);
  shape = kShape;
  shape.mostReplicas = 1;
  EXPECT_NE(complaint(text, shape)
                .find("expert 1 of layer 3 is in 2 slots, but "
                      "the artifact's table has room for 1"),
            std::string::npos);
  EXPECT_NE(complaint(replaced(text, "[2, 1, 0]", "[2, 1, 3]"))
                .find("expert 0 of layer 3 is in no slot"),
            std::string::npos);
  EXPECT_EQ(readPlacement("/nowhere/p.json", kShape).status().code(), 6008);
}
