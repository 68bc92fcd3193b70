// Every word of a GEMM's table: what is legal computes the same, and what moves
// no sum computes the same bits.
#include "schedule/Space.h"
#include "test/compiler/codegen/nvptx/GemmChecks.h"

namespace hadal::kernels::test {
namespace {

using schedule::Bits;
using schedule::Value;
using schedule::Words;

const nvptx::Chip *h100() { return &nvptx::allChips().front(); }

/// The bytes of the first |tokens| rows that |spec| gives with |given|.
std::string run(const GemmSpec &spec, int64_t tokens, const Words &given) {
  Random random(spec.n + spec.rows);
  Format format = spec.weight == Weight::fp8 ? Format::fp8 : Format::bf16;
  Buffer x = random.matrix(format, spec.rows, spec.k);
  Buffer w = random.matrix(format, spec.n, spec.k, 128, 0.05);
  Buffer up = random.matrix(format, spec.n, spec.k, 128, 0.05);
  bool quantizes = spec.epilogue == Epilogue::swigluQuantize;
  Buffer y(quantizes ? Format::fp8 : Format::bf16, spec.rows, spec.n);
  std::vector<int32_t> sizes = makeSizes(tokens);
  Slots slots;
  slots.view(x, {spec.rows}).view(w);
  if (spec.epilogue != Epilogue::none)
    slots.view(up);
  Executable(builderOf(spec, given), Mode::loops)
      .run(slots.view(y, {spec.rows}).sizes(sizes), spec.rows);
  EXPECT_TRUE(y.guardIntact());
  std::string bytes;
  for (int64_t row = 0; row < tokens; ++row)
    bytes += y.rowBytes(row);
  return bytes;
}

/// The values to try of many: the ends and one between.
std::vector<Value> some(const std::vector<Value> &legal) {
  if (legal.size() <= 4)
    return legal;
  return {legal.front(), legal[1], legal[legal.size() / 2], legal.back()};
}

void tryWords(const GemmSpec &spec, int64_t tokens) {
  std::string error;
  auto rules =
      schedule::resolve(spec, schedule::Target::sm90a, h100(), {}, error);
  ASSERT_TRUE(rules) << error;
  std::string plain = run(spec, tokens, {});
  Words before;
  for (const auto &word :
       schedule::spaceOf<GemmSpec>(schedule::Target::sm90a)) {
    std::string name(word.name);
    Value rule = rules->words.find(name)->second;
    for (const Value &value :
         some(schedule::legalValues(word, {spec, h100(), before}))) {
      if (value == rule)
        continue;
      SCOPED_TRACE(name + "=" + schedule::toString(value));
      checkDense(spec, tokens, {{name, value}});
      // All else as the rules say, where that is legal.
      Words words = rules->words;
      words[name] = value;
      if (word.bits == Bits::same &&
          schedule::resolve(spec, schedule::Target::sm90a, h100(), words,
                            error)) {
        EXPECT_EQ(run(spec, tokens, words) == plain, true);
      }
    }
    before.emplace(name, rule);
  }
}

TEST(Sm90Schedule, everyLegalValueComputesTheSame) {
  for (bool fp8 : {true, false})
    for (auto [rows, tokens, epilogue] :
         {std::tuple<int64_t, int64_t, Epilogue>{16, 13, Epilogue::swiglu},
          {70, 67, Epilogue::none}}) {
      GemmSpec spec = makeSpec({264, 600, rows, tokens}, fp8, epilogue);
      SCOPED_TRACE(printSpec(spec));
      tryWords(spec, tokens);
    }
}

TEST(Sm90Schedule, everyLegalValueQuantisesTheSame) {
  for (auto [rows, tokens] : {std::pair<int64_t, int64_t>{16, 13}, {40, 33}}) {
    GemmSpec spec =
        makeSpec({256, 520, rows, tokens}, true, Epilogue::swigluQuantize);
    SCOPED_TRACE(printSpec(spec));
    tryWords(spec, tokens);
  }
}

// Weights may come early where an expert has no row, too.
TEST(Sm90Schedule, earlyWeightsOfExperts) {
  for (int64_t early : {1, 3}) {
    GemmSpec down = makeSpec({72, 600, 20, 20}, true);
    down.topk = 2;
    checkGrouped(down, {4, 0, 20}, {{"early", early}});
  }
}

} // namespace
} // namespace hadal::kernels::test
