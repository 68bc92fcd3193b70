#include <gtest/gtest.h>

#include "runtime/cts/ToyArtifact.h"

extern "C" int use_hadal(const char *artifact, const char *weights);

TEST(CApi, ACProgramLoadsStepsAndReadsLogits) {
  hadal::toy::TempDir dir;
  hadal::toy::writeFile(dir.file("m.hadal"),
                        hadal::toy::assemble(hadal::toy::model()));
  hadal::toy::writeWeights(dir.path());
  EXPECT_EQ(use_hadal(dir.file("m.hadal").c_str(), dir.path().c_str()), 0)
      << "the line in capi_user.c";
}
