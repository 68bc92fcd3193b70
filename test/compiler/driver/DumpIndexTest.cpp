// A dump's index leads to the lines of its operations.
#include "compiler/driver/DumpIndex.h"

#include "compiler/driver/Register.h"
#include "mlir/IR/MLIRContext.h"
#include "mlir/Parser/Parser.h"
#include "llvm/Support/FormatVariadic.h"
#include "llvm/Support/JSON.h"
#include "llvm/Support/xxhash.h"
#include "gtest/gtest.h"

using namespace hadal;

namespace {

class DumpIndexTest : public testing::Test {
protected:
  DumpIndexTest() {
    mlir::DialectRegistry registry;
    registerAll(registry);
    context.appendDialectRegistry(registry);
    context.loadAllAvailableDialects();
  }
  void dump(const char *text) {
    auto module = mlir::parseSourceString<mlir::ModuleOp>(text, &context);
    ASSERT_TRUE(module);
    made = dumpModule(*module);
    llvm::StringRef(made.text).split(lines, '\n');
    auto parsed = llvm::json::parse(made.index);
    ASSERT_TRUE(static_cast<bool>(parsed));
    index = *parsed->getAsObject();
  }
  const llvm::json::Array &column(llvm::StringRef name) {
    return *index.getObject("ops")->getArray(name);
  }
  std::string text(llvm::StringRef name, size_t row) {
    return string(column(name)[row]);
  }
  std::string string(const llvm::json::Value &number) {
    return (*index.getArray("strings"))[*number.getAsInteger()]
        .getAsString()
        ->str();
  }
  std::vector<std::string> membersOf(size_t row) {
    std::vector<std::string> names;
    for (const llvm::json::Value &name : *column("members")[row].getAsArray())
      names.push_back(string(name));
    return names;
  }
  int64_t line(llvm::StringRef name, size_t row) {
    return *column(name)[row].getAsInteger();
  }

  mlir::MLIRContext context;
  Dump made;
  llvm::SmallVector<llvm::StringRef> lines;
  llvm::json::Object index;
};

} // namespace

TEST_F(DumpIndexTest, EveryOperationOfAFunctionHasItsLines) {
  dump(R"(
#tokens = #dsv3.layout<[tokens]>
func.func @f(%q: tensor<?x24xbf16, #tokens>) -> tensor<?x24xbf16, #tokens>
    attributes {dsv3.bucket = #dsv3.bucket<prefill tokens 8 rows 1 queries 8>} {
  %0 = dsv3.attention_forms -> tensor<?x24xbf16, #tokens> absorbed(10) {
    %1 = dsv3.add %q, %q : tensor<?x24xbf16, #tokens> loc("mla.a"("mla"("moe_layer")))
    dsv3.yield %1 : tensor<?x24xbf16, #tokens>
  } expanded(4, 100) {
    dsv3.yield %q : tensor<?x24xbf16, #tokens>
  } loc("mla"("moe_layer"))
  return %0 : tensor<?x24xbf16, #tokens>
})");
  EXPECT_EQ(index.getInteger("hadal_index"), 1);
  EXPECT_EQ(index.getString("text_xxh3"),
            llvm::formatv("{0:x-16}", llvm::xxh3_64bits(made.text)).str());
  ASSERT_EQ(column("op").size(), 5u);
  EXPECT_EQ(text("op", 0), "dsv3.attention_forms");
  EXPECT_EQ(text("key", 0), "moe_layer.mla");
  EXPECT_EQ(text("function", 0), "f");
  EXPECT_EQ(text("bucket", 0), "prefill_8");
  EXPECT_EQ(text("type", 0), "tensor<?x24xbf16, #dsv3.layout<[tokens]>>");
  EXPECT_TRUE(lines[line("first", 0) - 1].contains("dsv3.attention_forms"));
  EXPECT_TRUE(lines[line("last", 0) - 1].ltrim().starts_with("}"));
  EXPECT_TRUE(lines[line("last", 0)].contains("return"));
  EXPECT_EQ(text("key", 1), "moe_layer.mla.a");
  EXPECT_EQ(membersOf(1), std::vector<std::string>{"moe_layer.mla"});
  EXPECT_TRUE(lines[line("first", 1) - 1].contains("dsv3.add"));
  EXPECT_EQ(line("first", 1), line("last", 1));
}

TEST_F(DumpIndexTest, AFunctionOfAProgramIsOfItsEntrysBucket) {
  dump(R"(
tile.kernel @k() domain(%m = 1 by 1) {}
exec.func @inner() states() {
  exec.launch @k items 1 () op "moe_layer.gate_up" members ["moe_layer.gate_proj", "moe_layer.up_proj"]
}
exec.func @outer() states() {
  exec.call @inner () states ()
}
exec.entry @decode_4 decode tokens 4 rows 4 queries 1 attention "absorbed" {
  exec.call @outer () states ()
})");
  ASSERT_EQ(column("op").size(), 3u);
  for (size_t row = 0; row < 3; ++row)
    EXPECT_EQ(text("bucket", row), "decode_4");
  EXPECT_EQ(text("function", 0), "inner");
  EXPECT_EQ(text("key", 0), "moe_layer.gate_up");
  EXPECT_EQ(membersOf(0),
            (std::vector<std::string>{"moe_layer.gate_proj",
                                      "moe_layer.up_proj"}));
  EXPECT_TRUE(lines[line("first", 0) - 1].contains("exec.launch"));
}
