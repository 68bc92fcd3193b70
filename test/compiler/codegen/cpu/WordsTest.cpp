// What the words of the CPU's schedules may change in a result: nothing where
// they are declared `same`, else no more than the bounds of the kernels' tests;
// and what the lowering refuses. (test/schedule: every word changes the code.)
#include <algorithm>
#include <array>
#include <map>

#include "RunImage.h"
#include "compiler/codegen/cpu/CpuKernels.h"
#include "kernels/SpecText.h"
#include "mlir/Parser/Parser.h"
#include "schedule/Attribute.h"
#include "test/kernels/AttentionBatch.h"
#include "test/lib/BuiltKernel.h"
#include "gtest/gtest.h"

using namespace hadal::cpu;

namespace hadal::kernels::test {
namespace {

using schedule::Bits;
using schedule::Facts;
using schedule::Target;
using schedule::Value;
using schedule::Word;
using schedule::Words;

using Outputs = std::vector<Buffer>;

/// A kernel, the words of it that are not the rules', and how it is run on data
/// that are the same each time.
template <typename Spec> struct Subject {
  Spec spec;
  Words given;
  std::function<Outputs(const Executable &)> run;
};

Format formatOf(Weight weight) {
  return weight == Weight::fp8    ? Format::fp8
         : weight == Weight::bf16 ? Format::bf16
                                  : Format::f32;
}

//===----------------------------------------------------------------------===//
// Subjects
//===----------------------------------------------------------------------===//

Subject<GemmSpec> gemm(int64_t n, int64_t k, int64_t rows, Weight weight,
                       Epilogue epilogue = Epilogue::none, Words given = {}) {
  GemmSpec spec{{Act::bf16}, n, k, rows};
  spec.weight = weight;
  spec.quantizedInput = weight == Weight::fp8;
  spec.f32Output = epilogue == Epilogue::none;
  spec.epilogue = epilogue;
  auto run = [=](const Executable &kernel) {
    Random random(n + k + rows);
    int64_t tokens = std::max<int64_t>(rows - 3, 1);
    Buffer x = random.matrix(spec.quantizedInput ? Format::fp8 : Format::bf16,
                             rows, k);
    double deviation = 1.0 / std::sqrt(double(k));
    Buffer w = random.matrix(formatOf(weight), n, k, 128, deviation);
    Buffer up = random.matrix(formatOf(weight), n, k, 128, deviation);
    Buffer y(spec.f32Output ? Format::f32 : Format::bf16, rows, n);
    std::vector<int32_t> sizes = makeSizes(tokens);
    Slots slots;
    slots.view(x, {rows}).view(w);
    if (epilogue == Epilogue::swiglu)
      slots.view(up);
    kernel.run(slots.view(y, {rows}).sizes(sizes), rows);
    EXPECT_TRUE(y.guardIntact());
    return Outputs{y};
  };
  return {spec, std::move(given), run};
}

Subject<AbsorbQSpec> absorbQ(int64_t rows, Weight weight, Words given = {}) {
  AbsorbQSpec spec{{Act::bf16}, 2, 64, 16, 64, 512, rows, weight};
  auto run = [=](const Executable &kernel) {
    Random random(rows);
    Buffer q = random.matrix(Format::bf16, rows, 2 * 80);
    Buffer w = random.matrix(formatOf(weight), 2 * 128, 512, 128, 0.1);
    Buffer out(Format::bf16, rows, 2 * (512 + 16));
    std::vector<int32_t> sizes = makeSizes(rows);
    kernel.run(Slots().view(q, {rows}).view(w).view(out, {rows}).sizes(sizes),
               rows);
    EXPECT_TRUE(out.guardIntact());
    return Outputs{out};
  };
  return {spec, std::move(given), run};
}

Subject<AbsorbVSpec> absorbV(int64_t rows, Weight weight, Words given = {}) {
  AbsorbVSpec spec{{Act::bf16}, 2, 64, 128, 256, rows, weight};
  auto run = [=](const Executable &kernel) {
    Random random(rows);
    Buffer latent = random.matrix(Format::bf16, rows, 2 * 256);
    Buffer w = random.matrix(formatOf(weight), 2 * 192, 256, 128, 0.1);
    Buffer o(Format::bf16, rows, 2 * 128);
    std::vector<int32_t> sizes = makeSizes(rows);
    kernel.run(
        Slots().view(latent, {rows}).view(w).view(o, {rows}).sizes(sizes),
        rows);
    EXPECT_TRUE(o.guardIntact());
    return Outputs{o};
  };
  return {spec, std::move(given), run};
}

const Shape kShape{16, 16, 16, 16, 48, 16};

Subject<MlaDecodeSpec> decode() {
  auto run = [](const Executable &kernel) {
    Batch batch(kShape, Act::bf16, Weight::f32, {90, 150, 3}, {2, 1, 2});
    Buffer query = batch.random.matrix(
        Format::bf16, batch.capacity * kShape.heads, kShape.width());
    return Outputs{batch.decode(kernel, query)};
  };
  return {decodeSpec(kShape, Act::bf16, 2, 0.2), {}, run};
}

Subject<MlaPrefillSpec> prefill() {
  auto run = [](const Executable &kernel) {
    Batch batch(kShape, Act::bf16, Weight::fp8, {90, 40}, {30, 40});
    return Outputs{batch.prefill(kernel, /*quantize=*/false)};
  };
  return {prefillSpec(kShape, Act::bf16, Weight::fp8, 40, 0.2), {}, run};
}

/// Kernels that map |inputs| rows of |width| columns to one.
template <typename Spec> Subject<Spec> rowsOf(int64_t width, int inputs) {
  auto run = [=](const Executable &kernel) {
    Random random(width);
    Outputs in;
    for (int i = 0; i < inputs; ++i)
      in.push_back(random.matrix(Format::bf16, 3, width));
    Buffer out(std::is_same_v<Spec, QuantizeSpec> ? Format::fp8 : Format::bf16,
               3, width);
    std::vector<int32_t> sizes = makeSizes(3);
    Slots slots;
    for (Buffer &buffer : in)
      slots.view(buffer, {3});
    kernel.run(slots.view(out, {3}).sizes(sizes), 3);
    return Outputs{out};
  };
  return {Spec{{Act::bf16}, width}, {}, run};
}

Subject<MoeCombineSpec> combine() {
  MoeCombineSpec spec{{Act::bf16}, 2100, 2};
  auto run = [=](const Executable &kernel) {
    Random random(5);
    Buffer y = random.matrix(Format::bf16, 6, spec.hidden),
           pos(Format::i32, 3, 2), weights = random.matrix(Format::f32, 3, 2),
           shared = random.matrix(Format::bf16, 3, spec.hidden),
           residual = random.matrix(Format::bf16, 3, spec.hidden),
           out(Format::bf16, 3, spec.hidden);
    for (int i = 0; i < 6; ++i)
      pos.set(i / 2, i % 2, 5 - i);
    std::vector<int32_t> sizes = makeSizes(3);
    kernel.run(Slots()
                   .view(y, {6})
                   .view(pos, {3})
                   .view(weights, {3})
                   .view(shared, {3})
                   .view(residual, {3})
                   .view(out, {3})
                   .sizes(sizes),
               3);
    return Outputs{out};
  };
  return {spec, {}, run};
}

Subject<MoePermuteSpec> permute() {
  MoePermuteSpec spec{{}, 8, 2, 70};
  auto run = [=](const Executable &kernel) {
    Random random(7);
    Buffer ids(Format::i32, 70, 2), rowToken(Format::i32, 140, 1),
        pos(Format::i32, 70, 2), load(Format::i32, 1, 8);
    for (int64_t t = 0; t < 70; ++t)
      for (int64_t j = 0; j < 2; ++j)
        ids.set(t, j, 2 * random.below(4) + j);
    for (int64_t e = 0; e < 8; ++e)
      load.set(0, e, 0);
    std::vector<int32_t> sizes = makeSizes(61, 1, 0, 8);
    kernel.run(Slots()
                   .view(ids, {70})
                   .view(rowToken, {140})
                   .view(pos, {140})
                   .view(load)
                   .sizes(sizes),
               8);
    return Outputs{rowToken, pos, load};
  };
  return {spec, {}, run};
}

//===----------------------------------------------------------------------===//
// The checks
//===----------------------------------------------------------------------===//

/// A schedule of |subject| with |value| for |word|: all other words as they
/// were, where they stay legal (|others|), else as the rules then say. Null if
/// the tables have none.
template <typename Spec>
std::optional<Words> changed(const Subject<Spec> &subject, const Words &before,
                             std::string_view word, const Value &value,
                             bool &others) {
  std::string error;
  Words words = before;
  words[std::string(word)] = value;
  others = true;
  if (schedule::resolve(subject.spec, Target::cpu, nullptr, words, error))
    return words;
  others = false;
  words = subject.given;
  words[std::string(word)] = value;
  if (schedule::resolve(subject.spec, Target::cpu, nullptr, words, error))
    return words;
  return std::nullopt;
}

/// Runs one subject with other values of each word.
template <typename Spec> class WordChecks {
public:
  explicit WordChecks(const Subject<Spec> &subject) : subject(subject) {}

  void run() {
    SCOPED_TRACE(printSpec(subject.spec));
    std::string error;
    auto ruled = schedule::resolve(subject.spec, Target::cpu, nullptr,
                                   subject.given, error);
    ASSERT_TRUE(ruled) << error;
    bits = subject.run(
        Executable(builderOf(subject.spec, ruled->words), Mode::loops));
    const auto &space = schedule::spaceOf<Spec>(Target::cpu);
    auto orders = [](const Word<Spec> &word) {
      return word.bits == Bits::order;
    };
    if (std::any_of(space.begin(), space.end(), orders)) {
      exact = subject.run(
          Executable(builderOf(subject.spec, ruled->words), Mode::loopsF64));
      expectClose(bits);
    }
    Words before;
    for (const Word<Spec> &word : space) {
      auto rule = ruled->words.find(word.name);
      if (rule == ruled->words.end())
        continue;
      std::vector<Value> values =
          schedule::legalValues(word, {subject.spec, nullptr, before});
      std::erase(values, rule->second);
      // The outermost two say enough of a ladder; forms are no ladder.
      if (values.size() > 2 && word.name != "form")
        values = {values.front(), values.back()};
      for (const Value &value : values)
        runWith(word, value, ruled->words);
      before.insert(*rule);
    }
  }

private:
  void runWith(const Word<Spec> &word, const Value &value, const Words &ruled) {
    SCOPED_TRACE(std::string(word.name) + "=" + schedule::toString(value));
    bool others;
    auto words = changed(subject, ruled, word.name, value, others);
    ASSERT_TRUE(words) << "legal, and no schedule has it";
    Outputs outputs =
        subject.run(Executable(builderOf(subject.spec, *words), Mode::loops));
    if (!others || word.bits == Bits::order)
      return expectClose(outputs);
    for (size_t i = 0; i < outputs.size(); ++i)
      for (int64_t row = 0; row < outputs[i].rows(); ++row)
        EXPECT_EQ(outputs[i].rowBytes(row), bits[i].rowBytes(row))
            << "row " << row << " of output " << i;
    ++numSame;
  }

  void expectClose(const Outputs &outputs) {
    bool attends = std::is_same_v<Spec, MlaDecodeSpec> ||
                   std::is_same_v<Spec, MlaPrefillSpec>;
    for (size_t i = 0; i < outputs.size(); ++i) {
      // Padding stays untouched in both.
      int64_t rows = outputs[i].rows();
      while (rows > 0 && exact[i].untouched(rows - 1))
        --rows;
      Comparison comparison =
          test::compare(outputs[i], rows, [&](int64_t row, int64_t column) {
            return exact[i].at(row, column);
          });
      HADAL_EXPECT_CLOSE(comparison, attends ? attentionTolerance(Act::bf16)
                                             : toleranceOf(Act::bf16));
    }
  }

  const Subject<Spec> &subject;
  /// Of the rules' schedule, and of the definition in double.
  Outputs bits, exact;

public:
  int numSame = 0;
};

template <typename Spec>
void checkWords(const std::vector<Subject<Spec>> &subjects) {
  int numSame = 0;
  for (const Subject<Spec> &subject : subjects) {
    WordChecks<Spec> checks(subject);
    checks.run();
    numSame += checks.numSame;
  }
  EXPECT_GT(numSame, 0) << "no word was compared bit by bit";
}

const Words kLoops{{"form", std::string("loops")}};

TEST(CpuWords, OfGemmChangeWhatTheyMay) {
  checkWords<GemmSpec>(
      {gemm(80, 300, 1, Weight::fp8), gemm(80, 300, 8, Weight::fp8),
       gemm(80, 200, 16, Weight::bf16, Epilogue::swiglu),
       gemm(48, 200, 4, Weight::bf16, Epilogue::none, kLoops)});
}

TEST(CpuWords, OfAbsorbQChangeWhatTheyMay) {
  checkWords<AbsorbQSpec>({absorbQ(1, Weight::fp8), absorbQ(4, Weight::bf16)});
}

TEST(CpuWords, OfAbsorbVChangeWhatTheyMay) {
  checkWords<AbsorbVSpec>({absorbV(1, Weight::bf16), absorbV(4, Weight::fp8),
                           absorbV(16, Weight::bf16),
                           absorbV(4, Weight::bf16, kLoops)});
}

TEST(CpuWords, OfAttentionChangeWhatTheyMay) {
  checkWords<MlaDecodeSpec>({decode()});
  checkWords<MlaPrefillSpec>({prefill()});
}

TEST(CpuWords, OfRowsChangeWhatTheyMay) {
  checkWords<QuantizeSpec>({rowsOf<QuantizeSpec>(1500, 1)});
  checkWords<AddSpec>({rowsOf<AddSpec>(1500, 2)});
  checkWords<SiluMulSpec>({rowsOf<SiluMulSpec>(1500, 2)});
  checkWords<MoeCombineSpec>({combine()});
  checkWords<MoePermuteSpec>({permute()});
}

// All kinds are above, or have no word.
TEST(CpuWords, OtherKernelsHaveNone) {
  EXPECT_TRUE(schedule::spaceOf<EmbedSpec>(Target::cpu).empty());
  EXPECT_TRUE(schedule::spaceOf<MtpInputSpec>(Target::cpu).empty());
  EXPECT_TRUE(schedule::spaceOf<NormQuantSpec>(Target::cpu).empty());
  EXPECT_TRUE(schedule::spaceOf<LatentNormRopeCacheSpec>(Target::cpu).empty());
  EXPECT_TRUE(schedule::spaceOf<GateTopkSpec>(Target::cpu).empty());
}

//===----------------------------------------------------------------------===//
// Refusals
//===----------------------------------------------------------------------===//

/// What the tables say to words that are given for |spec|.
template <typename Spec>
std::string refusalOfTables(const Spec &spec, const Words &given) {
  std::string error;
  return schedule::resolve(spec, Target::cpu, nullptr, given, error) ? "legal"
                                                                     : error;
}

TEST(CpuWords, TablesRefuseWhatTheyDoNotDeclare) {
  GemmSpec spec = gemm(80, 300, 64, Weight::fp8).spec;
  EXPECT_EQ(refusalOfTables(spec, {{"stages", int64_t(4)}}),
            "the schedule has no word 'stages'; words of this kernel: bm, bn, "
            "form, bk, prefetch_blocks, chunk_bytes, decoded_rows, "
            "panel_unroll, panel_vectors, panel_rows, panel_vectors_256, "
            "panel_rows_256");
  // A word of another form.
  EXPECT_EQ(refusalOfTables(spec, {{"form", std::string("rows")},
                                   {"chunk_bytes", int64_t(128 << 10)}}),
            "the schedule has no word 'chunk_bytes'; words of this kernel: bm, "
            "bn, form, bk, prefetch, unroll, row_group");
  EXPECT_EQ(refusalOfTables(spec, {{"form", std::string("gemv")}}),
            "the word 'form' is gemv; legal values: rows, panel, loops "
            "(P16: gemv of tiles of 64 rows)");
  EXPECT_EQ(refusalOfTables(spec, {{"bm", int64_t(3)}}),
            "the word 'bm' is 3; legal values: 1, 4, 8, 16, 64, 128, 256");
  // The whole tile must be decoded.
  EXPECT_EQ(refusalOfTables(spec, {{"panel_rows", int64_t(12)}}),
            "the word 'panel_rows' is 12; legal values: 1, 2, 4, 8 "
            "(P01: tile of 12 x 2, 32 decoded rows)");
  EXPECT_EQ(refusalOfTables(spec, {{"panel_rows", int64_t(12)},
                                   {"decoded_rows", int64_t(48)}}),
            "legal");
  EXPECT_EQ(refusalOfTables(rowsOf<AddSpec>(64, 2).spec,
                            {{"form", std::string("loops")}}),
            "the schedule has no word 'form'; words of this kernel: columns");
}

/// What the lowering says to |subject| with |words| in place of, or beside, its
/// own, and without the words of |missing|; the tables are not asked.
template <typename Spec>
std::string refusalOfLowering(const Subject<Spec> &subject, const Words &words,
                              const std::vector<std::string> &missing = {}) {
  hadal::test::BuiltKernel built(builderOf(subject.spec, subject.given));
  tile::KernelOp kernel = built.getKernel();
  std::string error;
  schedule::Schedule edited =
      *schedule::fromAttribute(kernel.getSchedule(), error);
  for (const auto &[word, value] : words)
    edited.words[word] = value;
  for (const std::string &word : missing)
    edited.words.erase(word);
  kernel.setScheduleAttr(schedule::toAttribute(kernel.getContext(), edited));
  CpuOptions options;
  options.variants = {Variant::v3};
  CpuKernels kernels;
  if (succeeded(compileCpuKernels(built.getModule(), options, kernels)))
    return "compiled";
  try {
    built.fail("");
  } catch (const std::runtime_error &failure) {
    return failure.what();
  }
}

void expectRefused(const std::string &text, const std::string &code,
                   const std::string &what) {
  EXPECT_NE(text.find(code), std::string::npos) << text;
  EXPECT_NE(text.find(what), std::string::npos) << text;
  // Once, and as nothing else.
  EXPECT_EQ(std::count(text.begin(), text.end(), '\n'), 1) << text;
}

TEST(CpuWords, TheLoweringRefusesFormsThatItCannotBuild) {
  Subject<GemmSpec> panel = gemm(80, 300, 16, Weight::fp8),
                    gemv = gemm(80, 300, 1, Weight::fp8);
  auto form = [](const char *text) {
    return Words{{"form", std::string(text)}};
  };
  Words streams{{"prefetch", int64_t(0)},
                {"unroll", int64_t(1)},
                {"row_group", int64_t(1)},
                {"k_group", int64_t(1)}};
  auto withStreams = [&](const char *text) {
    Words words = streams;
    words["form"] = std::string(text);
    return words;
  };
  expectRefused(refusalOfLowering(panel, withStreams("gemv")),
                "H3008: kernel 'gemm_80x300_r16' cannot obey form = \"gemv\"",
                "it is for one activation row, the tile has 16");
  expectRefused(refusalOfLowering(gemv, withStreams("rows")), "H3008",
                "the tile has one activation row, which is gemv");
  expectRefused(refusalOfLowering(gemv, withStreams("columns")), "H3008",
                "the last step of its fold is not whole");
  expectRefused(
      refusalOfLowering(gemm(80, 256, 1, Weight::fp8), withStreams("columns")),
      "H3008",
      "the body of its fold does more than load and "
      "multiply");
  expectRefused(
      refusalOfLowering(absorbQ(1, Weight::bf16), withStreams("gemv")), "H3008",
      "its weight's rows are not its columns");
  expectRefused(
      refusalOfLowering(absorbV(1, Weight::bf16), withStreams("columns")),
      "H3008", "its weight's rows are not K");
  expectRefused(
      refusalOfLowering(absorbQ(4, Weight::bf16), withStreams("columns")),
      "H3008", "it has more than one activation row");
  AbsorbQSpec narrow = absorbQ(1, Weight::bf16).spec;
  narrow.latent = 64;
  expectRefused(refusalOfLowering(Subject<AbsorbQSpec>{narrow, {}, {}},
                                  withStreams("columns")),
                "H3008", "its columns are no whole blocks of 128");
  expectRefused(refusalOfLowering(decode(), withStreams("rows")), "H3008",
                "its fold does not run from 0 to a constant");
  expectRefused(refusalOfLowering(gemv, form("wgmma")), "H3008",
                "it is gemv, rows, panel, columns, dot or loops");
  expectRefused(refusalOfLowering(rowsOf<AddSpec>(64, 2), form("panel")),
                "H3008", "the kernel has no contraction");
}

TEST(CpuWords, TheLoweringRefusesValuesThatItCannotObey) {
  Subject<GemmSpec> panel = gemm(80, 300, 16, Weight::fp8),
                    gemv = gemm(80, 300, 1, Weight::fp8);
  auto number = [](const char *word, int64_t value) {
    return Words{{word, value}};
  };
  expectRefused(refusalOfLowering(gemv, number("unroll", 3)), "unroll = 3",
                "it is a power of two");
  expectRefused(refusalOfLowering(gemv, number("unroll", 0)), "unroll = 0",
                "it is 1 to 8");
  expectRefused(refusalOfLowering(gemv, number("prefetch", -64)),
                "prefetch = -64", "it is 0 to 65536");
  expectRefused(refusalOfLowering(panel, number("decoded_rows", 20)),
                "decoded_rows = 20", "it is a multiple of 8");
  expectRefused(refusalOfLowering(panel, number("panel_rows", 12)),
                "panel_rows = 12",
                "decoded_rows = 32 is no multiple of it times panel_vectors");
  expectRefused(refusalOfLowering(gemv, {}, {"prefetch"}),
                "H3008: the schedule has no word 'prefetch'",
                "which the lowering reads");
  expectRefused(refusalOfLowering(gemv, {}, {"form"}),
                "H3008: the schedule has no word 'form'",
                "which the lowering reads");
  expectRefused(refusalOfLowering(gemv, {{"unroll", std::string("two")}}),
                "H3008: the schedule's word 'unroll'", "it takes a number");
}

/// What the lowering says to a kernel whose result %r [16,16] is |body|, of the
/// tile %a [16,128] and codes %q [16,128] with scales %s [1,2], in form |form|.
std::string refusalOfBody(const std::string &form, const std::string &body) {
  std::string text = R"(
tile.kernel @hand(%x: !tile.view<16x128xf32>,
                  %w: !tile.view<16x128xf8E4M3FN, scale<16x64>>,
                  %y: !tile.view<16x16xf32>, %sz: !tile.sizes)
    domain(%m = 16 by 16)
    schedule {form = ")" +
                     form + R"(", prefetch_blocks = 0 : i64,
              chunk_bytes = 4096 : i64, decoded_rows = 16 : i64,
              panel_unroll = 1 : i64, panel_rows = 4 : i64,
              panel_vectors = 1 : i64, panel_rows_256 = 4 : i64,
              panel_vectors_256 = 1 : i64} {
  %c0 = arith.constant 0 : index
  %zero = arith.constant dense<0.0> : tensor<16x16xf32>
  %a = tile.load %x[%m, %c0] : !tile.view<16x128xf32> -> tensor<16x128xf32>
  %q, %s = tile.load %w[%m, %c0] : !tile.view<16x128xf8E4M3FN, scale<16x64>> -> tensor<16x128xf8E4M3FN>, tensor<1x2xf32>
  )" + body + R"(
  tile.store %y[%m, %c0], %r : !tile.view<16x16xf32>, tensor<16x16xf32>
})";
  hadal::test::BuiltKernel built([&](mlir::OpBuilder &builder) {
    auto parsed =
        mlir::parseSourceString<mlir::ModuleOp>(text, builder.getContext());
    if (!parsed)
      return tile::KernelOp();
    auto kernel = *parsed->getOps<tile::KernelOp>().begin();
    return mlir::cast<tile::KernelOp>(builder.clone(*kernel));
  });
  CpuOptions options;
  options.variants = {Variant::v3};
  CpuKernels kernels;
  if (succeeded(compileCpuKernels(built.getModule(), options, kernels)))
    return "compiled";
  try {
    built.fail("");
  } catch (const std::runtime_error &failure) {
    return failure.what();
  }
}

TEST(CpuWords, TheLoweringRefusesProductsThatItsFormsDoNotTake) {
  std::string plain = "%r = tile.dot %a, %a, %zero tb : tensor<16x128xf32>, "
                      "tensor<16x128xf32>, tensor<16x16xf32>";
  EXPECT_EQ(refusalOfBody("dot", plain), "compiled");
  EXPECT_EQ(refusalOfBody("loops", plain), "compiled");
  expectRefused(refusalOfBody("panel", plain), "H3008: kernel 'hand'",
                "a product is in none of the folds that it takes over");
  std::string turned = "%t = tile.transpose %a : tensor<16x128xf32> -> "
                       "tensor<128x16xf32>\n";
  expectRefused(
      refusalOfBody("dot", turned + "%r = tile.dot %t, %t, %zero ta : "
                                    "tensor<128x16xf32>, tensor<128x16xf32>, "
                                    "tensor<16x16xf32>"),
      "H3008: kernel 'hand'",
      "its operands are no rows of bf16 or f32 in tile buffers");
  expectRefused(
      refusalOfBody("dot",
                    "%r = tile.dot_scaled %a, %q * %s, %zero {k = 64 : i64} : "
                    "tensor<16x128xf32>, tensor<16x128xf8E4M3FN>, "
                    "tensor<1x2xf32>, tensor<16x16xf32>"),
      "H3008: kernel 'hand'", "its scales are not those of blocks of 128");
  expectRefused(
      refusalOfBody(
          "dot",
          "%f = tile.reshape %q : tensor<16x128xf8E4M3FN> -> "
          "tensor<128x16xf8E4M3FN>\n"
          "%t = tile.transpose %f : tensor<128x16xf8E4M3FN> -> "
          "tensor<16x128xf8E4M3FN>\n"
          "%one = arith.constant dense<1.0> : tensor<1x1xf32>\n"
          "%r = tile.dot_scaled %a, %t * %one, %zero : tensor<16x128xf32>, "
          "tensor<16x128xf8E4M3FN>, tensor<1x1xf32>, tensor<16x16xf32>"),
      "H3008: kernel 'hand'",
      "its operands and scales are no rows in tile buffers");
}

//===----------------------------------------------------------------------===//
// Legal schedules
//===----------------------------------------------------------------------===//

/// A schedule of |spec| whose words were drawn from the legal values.
template <typename Spec> Words drawSchedule(const Spec &spec, Random &random) {
  Words words;
  for (const Word<Spec> &word : schedule::spaceOf<Spec>(Target::cpu)) {
    Facts<Spec> facts{spec, nullptr, words};
    if (word.applies && !word.applies(facts))
      continue;
    std::vector<Value> legal = schedule::legalValues(word, facts);
    words.emplace(word.name, legal[random.below(legal.size())]);
  }
  return words;
}

// The tables and the lowering agree about what can be built.
TEST(CpuWords, WhateverIsLegalLowers) {
  Random random(11);
  auto pick = [&](std::initializer_list<int64_t> of) {
    return *(of.begin() + random.below(of.size()));
  };
  auto weight = [&] {
    return std::array{Weight::bf16, Weight::f32, Weight::fp8}[random.below(3)];
  };
  auto draw = [&]() -> AnySpec {
    switch (random.below(4)) {
    case 0: {
      GemmSpec spec{{},
                    pick({24, 128, 160, 2112}),
                    pick({64, 200, 1536}),
                    pick({1, 3, 8, 16, 64, 512})};
      spec.weight = weight();
      spec.quantizedInput = spec.weight == Weight::fp8 && random.below(2);
      spec.experts = pick({0, 0, 16});
      spec.topk = spec.experts ? 4 : 0;
      spec.gather = spec.experts && random.below(2);
      spec.epilogue = std::array{Epilogue::none, Epilogue::swiglu,
                                 Epilogue::swigluQuantize}[random.below(3)];
      if (!spec.experts && random.below(3) == 0)
        spec.segmentRows = pick({96, 128});
      return spec;
    }
    case 1:
      return AbsorbQSpec{{},
                         2,
                         pick({16, 24, 128}),
                         8,
                         pick({16, 128}),
                         pick({64, 128, 160, 512}),
                         pick({1, 4, 16, 64}),
                         weight()};
    case 2:
      return AbsorbVSpec{{},
                         2,
                         pick({16, 128}),
                         pick({40, 128}),
                         pick({64, 128, 160, 512}),
                         pick({1, 4, 16, 64}),
                         weight()};
    default:
      return decodeSpec({pick({1, 3, 16, 80}), 16, 8, 16, 48, 16}, Act::bf16,
                        pick({1, 2}), 0.1);
    }
  };
  std::map<std::string, int> forms;
  for (int i = 0; i < 400; ++i) {
    AnySpec spec = draw();
    Words words = std::visit(
        [&](const auto &s) { return drawSchedule(s, random); }, spec);
    std::string text = printSpec(spec);
    for (const auto &[word, value] : words)
      text += " " + word + "=" + schedule::toString(value);
    SCOPED_TRACE(text);
    hadal::test::BuiltKernel built([&](mlir::OpBuilder &builder) {
      return buildScheduled(builder, builder.getUnknownLoc(), "drawn", spec,
                            Target::cpu, nullptr, words);
    });
    std::vector<CpuKernel> planned;
    if (failed(planCpuKernels(built.getModule(), planned)))
      built.fail("lower");
    if (auto form = words.find("form"); form != words.end())
      ++forms[std::get<std::string>(form->second)];
  }
  for (const char *form : {"gemv", "rows", "panel", "columns", "dot", "loops"})
    EXPECT_GT(forms[form], 2) << form;
}

//===----------------------------------------------------------------------===//
// Variants side by side
//===----------------------------------------------------------------------===//

// Two schedules of one spec are two kernels of one module. Forms are shared by
// what they read: another chunk of K is another panel and the same pack.
TEST(CpuWords, TwoSchedulesOfOneKernelFitInOneImage) {
  Subject<GemmSpec> subject = gemm(80, 300, 16, Weight::fp8);
  auto sizeOf = [&](std::vector<Words> schedules) {
    mlir::MLIRContext context;
    hadal::test::BuiltKernel built([&](mlir::OpBuilder &builder) {
      tile::KernelOp last;
      for (size_t i = 0; i < schedules.size(); ++i)
        last = buildScheduled(builder, builder.getUnknownLoc(),
                              "gemm" + std::to_string(i), subject.spec,
                              Target::cpu, nullptr, schedules[i]);
      return last;
    });
    CpuOptions options;
    options.variants = {Variant::v3};
    CpuKernels kernels;
    if (failed(compileCpuKernels(built.getModule(), options, kernels)))
      built.fail("compile");
    EXPECT_EQ(kernels.kernels.size(), schedules.size());
    return kernels.images[0].bytes.size();
  };
  Words chunked{{"chunk_bytes", int64_t(128 << 10)}};
  size_t one = sizeOf({{}}), twice = sizeOf({{}, {}}),
         both = sizeOf({{}, chunked});
  EXPECT_LT(one, twice);
  EXPECT_LT(twice, both);
  // A second panel, not a second pack.
  EXPECT_LT(both - twice, one);
}

} // namespace
} // namespace hadal::kernels::test
