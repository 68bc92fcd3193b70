// Words as text, what resolves, and what the rules say.
#include <gtest/gtest.h>

#include "schedule/Attribute.h"
#include "cost/Chip.h"
#include "schedule/Space.h"

namespace hadal::schedule {
namespace {

using namespace kernels;

const nvptx::Chip *h100() { return &nvptx::allChips().front(); }

template <typename Spec>
Schedule resolved(const Spec &spec, Target target, const Words &given = {}) {
  std::string error;
  auto schedule = resolve(spec, target, h100(), given, error);
  EXPECT_TRUE(schedule) << error;
  return schedule.value_or(Schedule());
}

template <typename Spec>
std::string refusal(const Spec &spec, Target target, const Words &given) {
  std::string error;
  EXPECT_FALSE(resolve(spec, target, h100(), given, error));
  return error;
}

int64_t number(const Schedule &schedule, std::string_view word) {
  const int64_t *value = schedule.find<int64_t>(word);
  EXPECT_TRUE(value) << word;
  return value ? *value : 0;
}

//===----------------------------------------------------------------------===//
// Words
//===----------------------------------------------------------------------===//

TEST(Words, parse) {
  Words words;
  std::string error;
  ASSERT_TRUE(parseWords("bm=64,swap_ab=true,regs=40/232", words, error));
  EXPECT_EQ(words, (Words{{"bm", int64_t(64)},
                          {"swap_ab", true},
                          {"regs", std::string("40/232")}}));
  for (auto [text, why] : {std::pair("", "'' is not WORD=VALUE"),
                           {"bm", "'bm' is not WORD=VALUE"},
                           {"bm=", "'bm=' is not WORD=VALUE"},
                           {"=64", "'=64' is not WORD=VALUE"},
                           {"bm=64,", "'' is not WORD=VALUE"},
                           {"bm=1,bm=2", "the word 'bm' is given twice"}}) {
    words.clear();
    EXPECT_FALSE(parseWords(text, words, error)) << text;
    EXPECT_EQ(error, why);
  }
}

TEST(Words, listsOfValues) {
  EXPECT_EQ(toString(std::vector<Value>{}), "none");
  EXPECT_EQ(toString(std::vector<Value>{int64_t(64), int64_t(128)}), "64, 128");
  EXPECT_EQ(toString(std::vector<Value>{int64_t(8), int64_t(16), int64_t(24),
                                        int64_t(32), int64_t(40)}),
            "8 to 40 in steps of 8");
  EXPECT_EQ(toString(std::vector<Value>{int64_t(1), int64_t(2), int64_t(3),
                                        int64_t(4), int64_t(5)}),
            "1 to 5");
  EXPECT_EQ(toString(std::vector<Value>{false, true}), "false, true");
}

TEST(Words, throughTheAttribute) {
  mlir::MLIRContext context;
  context.loadDialect<tile::TileDialect>();
  Schedule schedule = resolved(GemmSpec{{}, 2112, 7168, 16}, Target::sm90a,
                               {{"stages", int64_t(4)}});
  schedule.given["bm"] = Origin::edit;
  std::string error;
  auto back = fromAttribute(toAttribute(&context, schedule), error);
  ASSERT_TRUE(back);
  EXPECT_EQ(back->words, schedule.words);
  EXPECT_EQ(back->given, schedule.given);
  mlir::Builder b(&context);
  EXPECT_FALSE(fromAttribute(
      tile::ScheduleAttr::get(
          &context, b.getDictionaryAttr(b.getNamedAttr("bm", b.getUnitAttr()))),
      error));
  EXPECT_EQ(error, "the word 'bm' is neither a number, a flag nor a text");
}

//===----------------------------------------------------------------------===//
// Resolution
//===----------------------------------------------------------------------===//

TEST(Resolve, namesWordValueAndLegalValues) {
  GemmSpec spec{{}, 2112, 7168, 512};
  spec.quantizedInput = true;
  EXPECT_EQ(
      refusal(spec, Target::sm90a, {{"cluster", int64_t(2)}}),
      "the schedule has no word 'cluster'; words of this kernel: bn, bk, "
      "swap_ab, bm, warpgroups, ctas, stages, early, regs, split, unroll");
  EXPECT_EQ(refusal(spec, Target::sm90a, {{"bm", int64_t(96)}}),
            "the word 'bm' is 96; legal values: 64, 128");
  EXPECT_EQ(refusal(spec, Target::sm90a, {{"swap_ab", std::string("yes")}}),
            "the word 'swap_ab' is yes; legal values: false, true");
  // A value that is legal beside other words.
  Words given{{"swap_ab", true}, {"bm", int64_t(40)}};
  EXPECT_EQ(number(resolved(spec, Target::sm90a, given), "bm"), 40);
}

TEST(Resolve, saysOneOrderOfSumsForAllSizes) {
  auto form = [](const auto &spec) {
    Schedule schedule = resolved(spec, Target::cpu);
    const std::string *text = schedule.find<std::string>("form");
    EXPECT_TRUE(text);
    return text ? *text : std::string();
  };
  for (int64_t rows : {1, 2, 4, 8, 16, 64, 256, 1024}) {
    for (int64_t experts : {0, 8}) {
      GemmSpec gemm{{}, 512, 1024, rows};
      gemm.experts = experts;
      gemm.topk = experts ? 2 : 0;
      gemm.sums = Sums::panel;
      EXPECT_EQ(form(gemm), "panel") << rows;
      gemm.sums = Sums::rows;
      // A gemv is a group of one row.
      EXPECT_EQ(form(gemm), rows == 1 ? "gemv" : "rows") << rows;
      EXPECT_LE(number(resolved(gemm, Target::cpu), "bm"), 64);
    }
    AbsorbQSpec q{{}, 4, 128, 64, 128, 256, rows};
    q.sums = Sums::panel;
    EXPECT_EQ(form(q), "dot") << rows;
    q.sums = Sums::rows;
    EXPECT_EQ(form(q), "columns") << rows;
    EXPECT_EQ(number(resolved(q, Target::cpu), "bm"), 1);
    AbsorbVSpec v{{}, 4, 128, 128, 512, rows};
    v.sums = Sums::panel;
    EXPECT_EQ(form(v), "panel") << rows;
    v.sums = Sums::rows;
    EXPECT_EQ(form(v), rows == 1 ? "gemv" : "rows") << rows;
    for (int64_t heads : {1, 2, 3, 128}) {
      MlaDecodeSpec attention{{}, heads, 256, 64, 64, rows, 0.1};
      attention.sums = Sums::rows;
      EXPECT_EQ(form(attention), "dot") << rows << " " << heads;
    }
  }
}

TEST(Resolve, refusesAnotherOrderOfSumsThanTheSpecs) {
  GemmSpec gemm{{}, 512, 1024, 4};
  gemm.sums = Sums::rows;
  EXPECT_EQ(refusal(gemm, Target::cpu, {{"form", std::string("panel")}}),
            "the word 'form' is panel; legal values: rows (P13: sums of the order rows)");
  EXPECT_EQ(refusal(gemm, Target::cpu, {{"bm", int64_t(128)}}),
            "the word 'bm' is 128; legal values: 1, 4, 8, 16, 64 (P13: sums of "
            "the order rows)");
  MlaDecodeSpec attention{{}, 32, 256, 64, 64, 2, 0.1};
  attention.sums = Sums::panel;
  EXPECT_EQ(refusal(attention, Target::cpu, {{"bn", int64_t(128)}}),
            "the word 'bn' is 128; legal values: 64 (P13: sums of the order panel)");
  EXPECT_EQ(refusal(attention, Target::cpu, {{"form", std::string("loops")}}),
            "the word 'form' is loops; legal values: dot (P13: sums of the order "
            "panel)");
}

TEST(Resolve, keepsTheOrigin) {
  GemmSpec spec{{}, 2112, 7168, 512};
  spec.quantizedInput = true;
  int64_t rule = number(resolved(spec, Target::sm90a), "stages");
  Schedule schedule =
      resolved(spec, Target::sm90a, {{"stages", rule}, {"bm", int64_t(64)}});
  EXPECT_EQ(schedule.given,
            (decltype(schedule.given){{"bm", Origin::option},
                                      {"stages", Origin::option}}));
}

TEST(Verify, findsWhatAnEditBroke) {
  GemmSpec spec{{}, 2112, 7168, 64};
  spec.quantizedInput = true;
  auto broken = [&](auto edit) {
    Schedule schedule = resolved(spec, Target::sm90a);
    edit(schedule.words);
    std::string error;
    EXPECT_FALSE(verify(spec, Target::sm90a, h100(), schedule, error));
    return error;
  };
  EXPECT_EQ(broken([](Words &words) { words.erase("split"); }),
            "the schedule lacks the word 'split'");
  EXPECT_EQ(
      broken([](Words &words) { words["rows"] = int64_t(64); }).substr(0, 33),
      "the schedule has no word 'rows'; ");
  EXPECT_EQ(broken([](Words &words) { words["ctas"] = int64_t(3); }),
            "the word 'ctas' is 3; legal values: 1");
  Schedule edited = resolved(spec, Target::sm90a);
  edited.words["stages"] = int64_t(3);
  // All stages, as the rule says of three: no edit of its own.
  edited.words["early"] = int64_t(3);
  std::string error;
  ASSERT_TRUE(verify(spec, Target::sm90a, h100(), edited, error)) << error;
  EXPECT_EQ(edited.given, (decltype(edited.given){{"stages", Origin::edit}}));
}

// Words that only one form has come and go with an edit of the form.
TEST(Verify, wordsFollowAnEditedForm) {
  GemmSpec spec{{}, 2112, 7168, 64};
  std::string error;
  Schedule edited = resolved(spec, Target::cpu);
  EXPECT_EQ(*edited.find<std::string>("form"), "panel");
  edited.words["form"] = std::string("rows");
  edited.words["unroll"] = int64_t(4);
  ASSERT_TRUE(verify(spec, Target::cpu, nullptr, edited, error)) << error;
  EXPECT_EQ(edited.words,
            resolved(spec, Target::cpu,
                     {{"form", std::string("rows")}, {"unroll", int64_t(4)}})
                .words);
  EXPECT_EQ(edited.given, (decltype(edited.given){{"form", Origin::edit},
                                                  {"unroll", Origin::edit}}));
  // A word of a form that is in nobody's mind is unknown.
  Schedule strange = resolved(spec, Target::cpu);
  strange.words["unroll"] = int64_t(2);
  EXPECT_FALSE(verify(spec, Target::cpu, nullptr, strange, error));
  EXPECT_EQ(error.substr(0, 37), "the schedule has no word 'unroll'; wo");
  Schedule lacking = resolved(spec, Target::cpu);
  lacking.words.erase("chunk_bytes");
  EXPECT_FALSE(verify(spec, Target::cpu, nullptr, lacking, error));
  EXPECT_EQ(error, "the schedule lacks the word 'chunk_bytes'");
}

//===----------------------------------------------------------------------===//
// Rules
//===----------------------------------------------------------------------===//

// Few rows go one weight row at a time; those of experts longer, since an
// expert meets a fraction of them. What the forms say is written out.
TEST(FormsOnTheCpu, followTheTile) {
  auto form = [](const auto &spec) {
    return *resolved(spec, Target::cpu).template find<std::string>("form");
  };
  auto gemm = [](int64_t rows, int64_t experts = 0) {
    GemmSpec spec{{}, 2112, 7168, rows};
    spec.experts = experts;
    spec.topk = experts ? 8 : 0;
    return spec;
  };
  EXPECT_EQ(form(gemm(1)), "gemv");
  EXPECT_EQ(form(gemm(8)), "rows");
  EXPECT_EQ(form(gemm(16)), "panel");
  EXPECT_EQ(form(gemm(16, 256)), "rows");
  EXPECT_EQ(form(gemm(512, 256)), "panel");
  AbsorbQSpec absorb{{}, 128, 128, 64, 128, 512, 1};
  EXPECT_EQ(form(absorb), "columns");
  absorb.latent = 64; // no whole block of columns
  EXPECT_EQ(form(absorb), "loops");
  absorb.rows = 4;
  EXPECT_EQ(form(absorb), "dot");
  MlaDecodeSpec decode{{}, 2, 512, 64, 64, 1, 0.1};
  EXPECT_EQ(form(decode), "loops");
  decode.heads = 16;
  EXPECT_EQ(form(decode), "dot");
  Schedule panel = resolved(gemm(64), Target::cpu);
  EXPECT_EQ(panel.words, (Words{{"bm", int64_t(64)},
                                {"bn", int64_t(128)},
                                {"bk", int64_t(128)},
                                {"form", std::string("panel")},
                                {"prefetch_blocks", int64_t(2)},
                                {"chunk_bytes", int64_t(384 << 10)},
                                {"decoded_rows", int64_t(32)},
                                {"panel_unroll", int64_t(2)},
                                {"panel_rows", int64_t(8)},
                                {"panel_vectors", int64_t(2)},
                                {"panel_rows_256", int64_t(4)},
                                {"panel_vectors_256", int64_t(2)}}));
}

// The rows of a tile follow from the model's experts per token.
TEST(GemmOnTheCpu, tilesOfExpertsFollowTheirLoad) {
  auto bm = [](int64_t experts, int64_t topk, int64_t rows) {
    GemmSpec spec{{}, 7168, 2048, rows};
    spec.experts = experts;
    spec.topk = topk;
    return number(resolved(spec, Target::cpu), "bm");
  };
  EXPECT_EQ(bm(256, 8, 64), 16);
  EXPECT_EQ(bm(256, 8, 512), 64);
  EXPECT_EQ(bm(32, 8, 512), 128);
  EXPECT_EQ(bm(32, 4, 512), 64);
}

TEST(GemmOnTheCpu, isLegalForEveryShape) {
  for (int64_t rows : {1, 2, 4, 5, 8, 16, 64, 512})
    for (int64_t n : {24, 160, 256, 2112, 24576})
      for (int64_t segment : {0, 96, 128, 1536}) {
        GemmSpec spec{{}, n, 200, rows};
        spec.segmentRows = segment;
        Schedule s = resolved(spec, Target::cpu);
        EXPECT_GT(number(s, "bm"), 0);
        EXPECT_GT(number(s, "bn"), 0);
        EXPECT_EQ(number(s, "bk"), 128);
        EXPECT_EQ(number(s, "bm") == 1, rows == 1);
        if (segment) {
          EXPECT_EQ(segment % number(s, "bn"), 0);
        }
      }
  GemmSpec rope{{}, 24576, 1536, 1};
  rope.epilogue = Epilogue::rope;
  rope.headDim = 192;
  EXPECT_EQ(number(resolved(rope, Target::cpu), "bn"), 192);
}

TEST(GemmOnSm90a, swapsOperandsForFewTokens) {
  for (int64_t rows : {1, 8, 9, 32, 33, 64, 512})
    for (int64_t head : {0, 24, 192, 320}) {
      GemmSpec spec{{}, 1920, 512, rows};
      if (head) {
        spec.epilogue = Epilogue::rope;
        spec.headDim = head;
      }
      Schedule s = resolved(spec, Target::sm90a);
      bool swaps = rows <= 32 && (head == 0 || head == 192);
      EXPECT_EQ(*s.find<bool>("swap_ab"), swaps)
          << rows << " rows, heads of " << head;
      if (swaps) {
        EXPECT_EQ(number(s, "bm") % 8, 0);
        EXPECT_GE(number(s, "bm"), rows);
        EXPECT_LT(number(s, "bm"), rows + 8);
      }
    }
}

// A head of 256 FP8 products is rotated whole, beside its sums: two warpgroups
// share it as rows of wgmma. Of 192 one warpgroup holds them.
TEST(GemmOnSm90a, swapsOperandsForAWideRotatedHead) {
  for (int64_t rows : {1, 64, 512, 4096})
    for (int64_t head : {192, 256}) {
      GemmSpec spec{{}, head * 20, 768, rows};
      spec.weight = Weight::fp8;
      spec.quantizedInput = true;
      spec.epilogue = Epilogue::rope;
      spec.headDim = head;
      spec.ropeDim = 64;
      Schedule s = resolved(spec, Target::sm90a);
      EXPECT_EQ(*s.find<bool>("swap_ab"), rows <= 32 || head == 256)
          << rows << " rows, heads of " << head;
      EXPECT_EQ(number(s, "warpgroups"), rows > 64 || (rows == 64 && head == 256)
                                             ? 2
                                             : 1)
          << rows << " rows, heads of " << head;
    }
}

// Rows of an expert follow from the model's experts per token.
TEST(GemmOnSm90a, tilesOfExpertsFollowTheirLoad) {
  auto bm = [](int64_t experts, int64_t topk, int64_t rows) {
    GemmSpec spec{{}, 7168, 2048, rows};
    spec.quantizedInput = true;
    spec.experts = experts;
    spec.topk = topk;
    return number(resolved(spec, Target::sm90a), "bm");
  };
  EXPECT_EQ(bm(256, 8, 512), 64);
  EXPECT_EQ(bm(256, 8, 4096), 128);
  EXPECT_EQ(bm(256, 2, 1024), 64);
  EXPECT_EQ(bm(8, 2, 128), 128);
}

} // namespace
} // namespace hadal::schedule
