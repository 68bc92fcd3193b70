// The tile form of every kernel: verifies, prints losslessly, and carries its
// spec. With HADAL_PRINT_KERNELS set the IR goes to stdout.
#include <cmath>
#include <cstdlib>

#include <gtest/gtest.h>

#include "V3Kernels.h"
#include "kernels/SpecAttr.h"
#include "mlir/IR/BuiltinOps.h"
#include "mlir/IR/MLIRContext.h"
#include "mlir/IR/Verifier.h"
#include "mlir/Parser/Parser.h"
#include "llvm/ADT/StringSet.h"

using namespace mlir;

namespace hadal::kernels {
namespace {

class KernelIr : public ::testing::Test {
protected:
  KernelIr() {
    context.loadDialect<tile::TileDialect>();
    module = ModuleOp::create(UnknownLoc::get(&context));
    builder.setInsertionPointToEnd(module->getBody());
  }

  std::string print() {
    std::string text;
    llvm::raw_string_ostream stream(text);
    module->print(stream);
    return text;
  }

  MLIRContext context;
  OwningOpRef<ModuleOp> module;
  OpBuilder builder{&context};
};

struct Mode {
  int64_t rows;
  Act act;
  Weight weight;
  bool quantize;
};

TEST_F(KernelIr, everyKernelVerifiesAndRoundTrips) {
  for (Mode mode : {Mode{1, Act::bf16, Weight::fp8, true},
                    Mode{1, Act::bf16, Weight::fp8, false},
                    Mode{64, Act::bf16, Weight::fp8, true},
                    Mode{512, Act::bf16, Weight::bf16, false},
                    Mode{7, Act::f32, Weight::f32, false}}) {
    module = ModuleOp::create(UnknownLoc::get(&context));
    builder.setInsertionPointToEnd(module->getBody());
    ASSERT_TRUE(test::buildV3Kernels(builder, mode.rows, mode.act, mode.weight,
                                     mode.quantize));
    ASSERT_TRUE(succeeded(verify(*module)));
    std::string text = print();
    if (std::getenv("HADAL_PRINT_KERNELS"))
      llvm::outs() << text;
    OwningOpRef<ModuleOp> parsed =
        parseSourceString<ModuleOp>(text, ParserConfig(&context));
    ASSERT_TRUE(parsed);
    std::string again;
    llvm::raw_string_ostream stream(again);
    parsed->print(stream);
    EXPECT_EQ(text, again);
  }
}

/// A GEMM's fold is what targets match: loads, a dot into each state, a yield;
/// zero inits; a combine that adds.
TEST_F(KernelIr, gemmFoldsArePureContractions) {
  ASSERT_TRUE(test::buildV3Kernels(builder, 64, Act::bf16, Weight::fp8, true));
  int folds = 0;
  for (auto kernel : module->getOps<tile::KernelOp>()) {
    if (kernel.getKind() != "gemm")
      continue;
    kernel.walk([&](tile::FoldOp fold) {
      ++folds;
      for (Operation &op : fold.getBody().front())
        EXPECT_TRUE(
            (isa<tile::LoadOp, tile::DotOp, tile::DotScaledOp, tile::YieldOp>(
                op)))
            << kernel.getSymName().str();
      for (Operation &op : fold.getCombine().front())
        EXPECT_TRUE((isa<arith::AddFOp, tile::YieldOp>(op)));
      for (Value init : fold.getInits()) {
        auto constant = init.getDefiningOp<arith::ConstantOp>();
        ASSERT_TRUE(constant);
        EXPECT_TRUE(cast<DenseElementsAttr>(constant.getValue())
                        .getSplatValue<APFloat>()
                        .isPosZero());
      }
    });
  }
  EXPECT_EQ(folds, 6);
}

/// A kernel's attribute is its spec, through the attribute and through the text
/// of an artifact.
TEST_F(KernelIr, specsReadBack) {
  for (Act act : {Act::bf16, Act::f32})
    for (Weight weight : {Weight::fp8, Weight::bf16})
      for (int64_t rows : {1, 64})
        ASSERT_TRUE(test::buildV3Kernels(builder, rows, act, weight,
                                         weight == Weight::fp8));
  int kernels = 0;
  for (auto kernel : module->getOps<tile::KernelOp>()) {
    FailureOr<AnySpec> spec = readSpec(kernel);
    ASSERT_TRUE(succeeded(spec));
    EXPECT_EQ(toAttr(&context, *spec), kernel.getSpecAttr());
    EXPECT_EQ(kernel.getKind(), StringRef(kindOf(*spec)));
    ParsedSpec parsed = parseSpec(toText(*spec));
    ASSERT_TRUE(parsed.spec) << parsed.error;
    EXPECT_EQ(toAttr(&context, *parsed.spec), kernel.getSpecAttr());
    ++kernels;
  }
  EXPECT_GT(kernels, 60);
}

/// Another value of |field|'s type.
std::string changed(const std::string &field, const SpecValue &value) {
  if (const auto *number = std::get_if<int64_t>(&value))
    return std::to_string(*number + 1);
  if (const auto *real = std::get_if<double>(&value))
    return printValue(std::nextafter(*real + 1, 8.0));
  if (const auto *flag = std::get_if<bool>(&value))
    return *flag ? "false" : "true";
  if (field == "epilogue")
    return "rope";
  return std::get<std::string_view>(value) == "f32"
             ? field == "scale_format" ? "ue8m0" : "bf16"
             : "f32";
}

/// Every field of every kind is a part of the spec: with another value of it
/// the attribute and the text differ, and the value is read back.
TEST_F(KernelIr, specsDifferWhereAFieldDoes) {
  auto check = [&](const AnySpec &spec) {
    auto values = valuesOf(spec);
    SpecText text = toText(spec);
    ASSERT_EQ(values.size(), text.fields.size());
    for (size_t i = 0; i < values.size(); ++i) {
      SCOPED_TRACE(text.kind + "." + text.fields[i].first);
      SpecText other = text;
      other.fields[i].second = changed(text.fields[i].first, values[i].second);
      ASSERT_NE(other, text);
      ParsedSpec parsed = parseSpec(other);
      ASSERT_TRUE(parsed.spec) << parsed.error;
      EXPECT_EQ(toText(*parsed.spec), other);
      EXPECT_NE(toAttr(&context, *parsed.spec), toAttr(&context, spec));
      EXPECT_NE(printSpec(*parsed.spec), printSpec(spec));
    }
  };
#define HADAL_CHECK(K) check(K##Spec{});
  HADAL_FOR_EACH_KERNEL(HADAL_CHECK)
#undef HADAL_CHECK
  EXPECT_EQ(printSpec(AddSpec{{}, 64}), "kind=add act=bf16 scale_format=f32 width=64");
}

TEST_F(KernelIr, refusesTextThatIsNoSpec) {
  using Fields = std::vector<std::pair<std::string, std::string>>;
  Fields fields{{"act", "bf16"}, {"scale_format", "f32"}, {"width", "64"}};
  auto error = [&](const char *kind, const Fields &given) {
    return parseSpec({kind, given}).error;
  };
  auto with = [&](size_t at, const char *value) {
    Fields given = fields;
    given[at].second = value;
    return error("add", given);
  };
  EXPECT_EQ(error("add", fields), "");
  EXPECT_EQ(error("matmul", fields)
                .find("no kernel is of kind 'matmul', expected one of embed, "),
            0u);
  EXPECT_EQ(with(0, "bf8"), "field 'act' is 'bf8', expected one of bf16, f32");
  for (const char *value : {"", "x", "64x", "6.5", " 64"})
    EXPECT_EQ(with(2, value), "field 'width' is '" + std::string(value) +
                                  "', expected a whole number");
  EXPECT_EQ(error("add", {fields[0], fields[1]}), "field 'width' is missing");
  EXPECT_EQ(error("add", {fields[0], fields[1], fields[2], fields[2]}),
            "field 'width' is given twice");
  EXPECT_EQ(error("add", {fields[0], fields[1], fields[2], {"colour", "1"}}),
            "it has no field 'colour'");
  SpecText norm = toText(NormQuantSpec{{}, 64});
  for (auto &[name, value] : norm.fields)
    if (name == "delta")
      value = "1";
  EXPECT_EQ(parseSpec(norm).error,
            "field 'delta' is '1', expected true or false");
  for (auto &[name, value] : norm.fields)
    if (name == "eps")
      value = "small";
  EXPECT_EQ(parseSpec(norm).error, "field 'eps' is 'small', expected a number");
}

TEST_F(KernelIr, symbolsAreShortAndUnique) {
  NormQuantSpec norm{{}, 7168};
  EXPECT_EQ(symbolFor(norm), "norm_quant_7168");
  norm.delta = norm.quantize = true;
  EXPECT_EQ(symbolFor(norm), "norm_quant_7168_delta_quantize");
  GemmSpec gemm{{}, 2112, 7168, 64};
  EXPECT_EQ(symbolFor(gemm), "gemm_2112x7168_r64");
  gemm.experts = 256;
  gemm.epilogue = Epilogue::swigluQuantize;
  EXPECT_EQ(symbolFor(gemm), "gemm_swiglu_quantize_2112x7168_r64_e256");
  EXPECT_EQ(symbolFor(GateTopkSpec{{}, 256, 8}), "gate_topk_8of256");

  llvm::StringSet<> taken;
  auto isTaken = [&](const std::string &name) { return taken.contains(name); };
  for (const char *expected : {"add_64", "add_64_2", "add_64_3"}) {
    std::string symbol = uniqueSymbol(symbolFor(AddSpec{{}, 64}), isTaken);
    EXPECT_EQ(symbol, expected);
    taken.insert(symbol);
  }

  ASSERT_TRUE(test::buildV3Kernels(builder, 4096, Act::bf16, Weight::fp8, true,
                                   schedule::Target::sm90a));
  taken.clear();
  for (auto kernel : module->getOps<tile::KernelOp>()) {
    StringRef symbol = kernel.getSymName();
    EXPECT_TRUE(taken.insert(symbol).second) << symbol.str();
    EXPECT_TRUE(symbol.starts_with(kernel.getKind())) << symbol.str();
    EXPECT_LE(symbol.size(), 48u) << symbol.str();
    EXPECT_TRUE(llvm::all_of(symbol, [](char c) {
      return llvm::isLower(c) || llvm::isDigit(c) || c == '_';
    })) << symbol.str();
  }
}

TEST_F(KernelIr, refusesSpecsByName) {
  std::string message;
  ScopedDiagnosticHandler handler(&context, [&](Diagnostic &diagnostic) {
    message = diagnostic.str();
    return success();
  });
  Location loc = UnknownLoc::get(&context);
  AbsorbVSpec spec{{}, 2, 16, 24, 32, 1};
  spec.quantize = true;
  EXPECT_FALSE(buildScheduled(builder, loc, "absorb", spec, schedule::Target::cpu,
                              /*chip=*/nullptr));
  EXPECT_EQ(message, "kernel 'absorb': quantises heads of whole groups of 128 "
                     "only");
  GemmSpec gemm{{}, 64, 64, 1};
  gemm.weight = Weight::bf16;
  gemm.quantizedInput = true;
  EXPECT_FALSE(buildScheduled(builder, loc, "g", gemm, schedule::Target::cpu,
                              /*chip=*/nullptr));
  EXPECT_EQ(message, "kernel 'g': a quantised input needs an FP8 weight");
  GateTopkSpec gate{{}, 16, 9, 4, 2};
  EXPECT_FALSE(buildScheduled(builder, loc, "gate", gate, schedule::Target::cpu,
                              /*chip=*/nullptr));
  EXPECT_EQ(message, "kernel 'gate': the kept groups hold fewer experts than "
                     "are chosen");
  tile::KernelOp add = buildScheduled(builder, loc, "sum", AddSpec{{}, 64},
                                      schedule::Target::cpu, /*chip=*/nullptr);
  ASSERT_TRUE(add);
  add->removeAttr("spec");
  EXPECT_TRUE(failed(readSpec(add)));
  EXPECT_EQ(message, "kernel 'sum' has no spec");
}

} // namespace
} // namespace hadal::kernels
