// Planted changes of the toy artifact: each is found, and nothing else.
#include "tools/hadal-diff/Align.h"
#include "tools/hadal-diff/Differences.h"

#include <gtest/gtest.h>

#include "runtime/cts/ToyArtifact.h"

using namespace hadal;
using namespace hadal::diff;
using namespace hadal::schema;

namespace {

hadal::Artifact openToy(const toy::TempDir &dir, const std::string &name,
                        const ArtifactT &model) {
  toy::writeFile(dir.file(name), toy::assemble(model));
  StatusOr<hadal::Artifact> artifact = hadal::Artifact::open(dir.file(name));
  if (!artifact.ok())
    ADD_FAILURE() << artifact.status().toString();
  return std::move(*artifact);
}

/// What differs from the toy model once |plant| has changed it.
Changes changesOf(const std::function<void(ArtifactT &)> &plant,
                  const std::function<void(ArtifactT &)> &both = {}) {
  toy::TempDir dir;
  ArtifactT before = toy::model(), after = toy::model();
  if (both) {
    both(before);
    both(after);
  }
  plant(after);
  hadal::Artifact a = openToy(dir, "a.hadal", before);
  hadal::Artifact b = openToy(dir, "b.hadal", after);
  Changes changes;
  compareOptions(a, b, changes);
  compareKernels(a, b, changes);
  compareProgram(a, b, changes);
  compareMemory(a, b, changes);
  compareWeights(a, b, changes);
  return changes;
}

std::string textOf(const std::function<void(ArtifactT &)> &plant,
                   const std::function<void(ArtifactT &)> &both = {}) {
  return toText(changesOf(plant, both));
}

void addSpec(ArtifactT &a, unsigned kernel, const std::string &n) {
  auto spec = std::make_unique<KernelSpecT>();
  spec->kind = "gemm";
  spec->fields.push_back(std::make_unique<KeyValueT>());
  spec->fields[0]->key = "n";
  spec->fields[0]->value = n;
  a.kernels[kernel]->spec = std::move(spec);
}

} // namespace

TEST(HadalDiff, NothingDiffersFromItself) {
  Changes changes = changesOf([](ArtifactT &) {});
  EXPECT_EQ(toText(changes), "");
  EXPECT_EQ(toJson(changes).dump(),
            R"({"hadal_diff":1,"equal":true,"changes":{}})");
}

TEST(HadalDiff, AWordOfASchedule) {
  EXPECT_EQ(textOf([](ArtifactT &a) {
              a.kernels[0]->words[0]->value = "8";
              a.kernels[0]->words[0]->origin = ScheduleOrigin::option;
            }),
            "schedule:\n  embed: bm 4 (rule) -> 8 (option)\n");
}

TEST(HadalDiff, TheOriginOfAWord) {
  EXPECT_EQ(textOf([](ArtifactT &a) {
              a.kernels[0]->words[1]->origin = ScheduleOrigin::edit;
            }),
            "schedule:\n  embed: form rows (option) -> rows (edit)\n");
}

TEST(HadalDiff, AWordThatIsNew) {
  EXPECT_EQ(textOf([](ArtifactT &a) {
              a.kernels[2]->words.push_back(std::make_unique<ScheduleWordT>());
              a.kernels[2]->words.back()->word = "split";
              a.kernels[2]->words.back()->value = "2";
            }),
            "schedule:\n  attend: split 2 (rule) added\n");
}

TEST(HadalDiff, AFact) {
  auto fact = [](const char *value) {
    return [value](ArtifactT &a) {
      a.kernels[1]->facts.clear();
      a.kernels[1]->facts.push_back(std::make_unique<KernelFactT>());
      a.kernels[1]->facts[0]->key = "registers";
      a.kernels[1]->facts[0]->value = value;
    };
  };
  EXPECT_EQ(textOf(fact("152"), fact("168")),
            "kernels:\n  append: registers 168 -> 152\n");
}

TEST(HadalDiff, WhatAKernelComputes) {
  EXPECT_EQ(textOf([](ArtifactT &a) { addSpec(a, 0, "8"); },
                   [](ArtifactT &a) { addSpec(a, 0, "4"); }),
            "kernels:\n  embed: n 4 -> 8\n");
}

TEST(HadalDiff, AKernelOfAnotherNameIsFoundByItsSpec) {
  EXPECT_EQ(textOf([](ArtifactT &a) { a.kernels[0]->name = "embed_2"; },
                   [](ArtifactT &a) { addSpec(a, 0, "4"); }),
            "kernels:\n  embed: name embed -> embed_2\n");
}

TEST(HadalDiff, CodeAloneUnderAnEqualSchedule) {
  toy::TempDir dir;
  ArtifactT before = toy::model(), after = toy::model();
  toy::makeSm90a(before);
  toy::makeSm90a(after);
  std::vector<uint8_t> code = toy::kernelPtx(), other = code;
  other.push_back('\n');
  toy::writeFile(dir.file("a"), toy::assemble(before, {code}));
  toy::writeFile(dir.file("b"), toy::assemble(after, {other}));
  StatusOr<hadal::Artifact> a = hadal::Artifact::open(dir.file("a")),
                            b = hadal::Artifact::open(dir.file("b"));
  ASSERT_TRUE(a.ok() && b.ok());
  Changes changes;
  compareKernels(*a, *b, changes);
  const Json json = toJson(changes);
  EXPECT_FALSE(json["changes"].contains("schedule"));
  // The code and its size, of each of the eight kernels.
  EXPECT_EQ(json["changes"]["kernels"].size(), 16u);
  EXPECT_EQ(json["changes"]["kernels"][1]["what"], "ptx code");
}

TEST(HadalDiff, TheOrderOfLaunches) {
  EXPECT_EQ(textOf([](ArtifactT &a) {
              auto &commands = a.functions[0]->commands;
              std::swap(commands[1], commands[2]);
            }),
            "program:\n  decode_1.layer, layer.attend: place 1 -> 2\n");
}

TEST(HadalDiff, LaunchesThatWereFused) {
  auto isApart = [](ArtifactT &a) {
    a.functions[0]->commands[1]->members = {2};
  };
  auto fused = [](ArtifactT &a) {
    a.functions[0]->commands.erase(a.functions[0]->commands.begin());
    a.functions[0]->commands[0]->members = {1, 2};
  };
  EXPECT_EQ(textOf(fused, isApart),
            "program:\n  decode_1.layer: fused layer.append, layer.attend -> "
            "layer.attend\n");
}

TEST(HadalDiff, AnOperandOfALaunch) {
  EXPECT_EQ(textOf([](ArtifactT &a) {
              a.functions[0]->commands[0]->args[1]->value = 64;
            }),
            "program:\n  decode_1.layer, layer.append: x arena+0 -> "
            "arena+64\n");
}

TEST(HadalDiff, AnotherKernelForALaunch) {
  EXPECT_EQ(textOf(
                [](ArtifactT &a) {
                  a.functions[0]->commands[3]->kernel = toy::kMxcsr;
                },
                [](ArtifactT &a) {
                  // Both take the two arguments of the launch.
                  a.kernels[toy::kMxcsr]->num_args = 2;
                  a.kernels[toy::kMxcsr]->arg_names = {"to", "from"};
                  addSpec(a, toy::kMove, "4");
                  addSpec(a, toy::kMxcsr, "8");
                  for (unsigned i : {0u, 1u, 2u})
                    a.functions[0]->commands[i]->op = static_cast<int>(i % 3);
                  a.functions[0]->commands[3]->op = 0;
                }),
            "program:\n"
            "  decode_1.layer, forward.embed: kernel move -> mxcsr\n"
            "  decode_1.layer, forward.embed: n 4 -> 8\n");
}

TEST(HadalDiff, ALaunchThatIsGone) {
  EXPECT_EQ(textOf([](ArtifactT &a) {
              a.functions[0]->commands.erase(a.functions[0]->commands.begin() +
                                             2);
            }),
            "program:\n  decode_1.layer: launch route[1](load = state[1], "
            "tokens = tokens, sizes = sizes, experts = 4) removed\n");
}

TEST(HadalDiff, AnArena) {
  const std::string text =
      textOf([](ArtifactT &a) { a.entries[0]->arena_bytes = 4096; });
  EXPECT_NE(text.find("  arena of: decode_1 128 -> 4096\n"), text.npos) << text;
  EXPECT_EQ(text.find("program:"), text.npos) << text;
}

TEST(HadalDiff, AnOptionAndARemark) {
  EXPECT_EQ(textOf([](ArtifactT &a) {
              a.provenance->options[0]->value = "8";
              a.provenance->remarks.push_back("split");
            }),
            "options:\n  option: max-batch-size 4 -> 8\n"
            "  remark: 'split' added\n");
}

TEST(HadalDiff, AParameter) {
  const std::string text =
      textOf([](ArtifactT &a) { a.parameters[2]->place = Placement::copy; });
  EXPECT_NE(text.find("weights:\n  parameter bias: place map -> copy\n"),
            text.npos)
      << text;
}

TEST(HadalDiff, OnlySomeSections) {
  Changes changes = changesOf([](ArtifactT &a) {
    a.provenance->options[0]->value = "8";
    a.kernels[0]->words[0]->value = "8";
  });
  changes.keepOnly({"schedule"});
  EXPECT_EQ(toText(changes), "schedule:\n  embed: bm 4 (rule) -> 8 (rule)\n");
}

TEST(HadalDiff, AlignsWhatBothHave) {
  auto pairs = align({"a", "b", "c", "d"}, {"a", "c", "x", "d"});
  ASSERT_TRUE(pairs);
  std::string text;
  for (const Aligned &pair : *pairs)
    text += fmt::format("{}{} ", pair.a ? "abcd"[*pair.a] : '-',
                        pair.b ? "acxd"[*pair.b] : '-');
  EXPECT_EQ(text, "aa b- cc -x dd ");
  EXPECT_FALSE(align(std::vector<std::string>(1 << 14, "a"),
                     std::vector<std::string>(1 << 14, "b")));
}
