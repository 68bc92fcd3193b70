// Images: code generation, relocation, and what an image may not refer to.
#include "compiler/codegen/cpu/Image.h"

#include "RunImage.h"
#include "gtest/gtest.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/IR/MLIRContext.h"
#include "mlir/Parser/Parser.h"

using namespace mlir;
using namespace hadal::cpu;

namespace {

class ImageTest : public ::testing::Test {
protected:
  ImageTest() {
    context.loadDialect<LLVM::LLVMDialect>();
    context.getDiagEngine().registerHandler([this](Diagnostic &diagnostic) {
      messages += diagnostic.str() + "\n";
    });
  }

  FailureOr<CpuImage> compile(StringRef source, ArrayRef<StringRef> names,
                              Variant variant) {
    module = parseSourceString<ModuleOp>(source, &context);
    if (!module)
      return failure();
    return compileImage(*module, names, variant);
  }

  MLIRContext context;
  OwningOpRef<ModuleOp> module;
  std::string messages;
};

// Each item i: y[i] = 3 * x[i] + table[i % 16]: a vectorisable loop, a constant
// table (read-only data), and a call between two functions.
constexpr StringRef kTriple = R"(
  llvm.mlir.global internal constant @table(dense<[0.0, 1.0, 2.0, 3.0, 4.0, 5.0,
      6.0, 7.0, 8.0, 9.0, 10.0, 11.0, 12.0, 13.0, 14.0, 15.0]>
      : tensor<16xf32>) : !llvm.array<16 x f32>
  llvm.func @lookup(%i: i64) -> f32 attributes {no_inline} {
    %m = llvm.mlir.constant(15 : i64) : i64
    %j = llvm.and %i, %m : i64
    %t = llvm.mlir.addressof @table : !llvm.ptr
    %p = llvm.getelementptr %t[%j] : (!llvm.ptr, i64) -> !llvm.ptr, f32
    %v = llvm.load %p : !llvm.ptr -> f32
    llvm.return %v : f32
  }
  llvm.func @triple(%args: !llvm.ptr, %begin: i64, %end: i64, %s: !llvm.ptr) {
    %one = llvm.mlir.constant(1 : i64) : i64
    %three = llvm.mlir.constant(3.0 : f32) : f32
    %x = llvm.load %args : !llvm.ptr -> !llvm.ptr
    %ya = llvm.getelementptr %args[1] : (!llvm.ptr) -> !llvm.ptr, i64
    %y = llvm.load %ya : !llvm.ptr -> !llvm.ptr
    llvm.br ^head(%begin : i64)
  ^head(%i: i64):
    %c = llvm.icmp "ult" %i, %end : i64
    llvm.cond_br %c, ^body, ^exit
  ^body:
    %xp = llvm.getelementptr %x[%i] : (!llvm.ptr, i64) -> !llvm.ptr, f32
    %yp = llvm.getelementptr %y[%i] : (!llvm.ptr, i64) -> !llvm.ptr, f32
    %v = llvm.load %xp : !llvm.ptr -> f32
    %m = llvm.fmul %v, %three : f32
    %t = llvm.call @lookup(%i) : (i64) -> f32
    %r = llvm.fadd %m, %t : f32
    llvm.store %r, %yp : f32, !llvm.ptr
    %n = llvm.add %i, %one : i64
    llvm.br ^head(%n : i64)
  ^exit:
    llvm.return
  }
)";

TEST_F(ImageTest, EveryVariantOfThisHostRunsATrivialKernel) {
  for (Variant variant : hostVariants()) {
    FailureOr<CpuImage> image = compile(kTriple, {"triple"}, variant);
    ASSERT_TRUE(succeeded(image)) << messages;
    EXPECT_EQ(image->variant, variantName(variant).str());
    ASSERT_EQ(image->entryOffsets.size(), 1u);
    MappedImage mapped(*image);
    std::vector<float> x(100), y(100, -1.0f);
    for (int i = 0; i < 100; ++i)
      x[i] = 0.5f * i;
    uint64_t args[] = {reinterpret_cast<uint64_t>(x.data()),
                       reinterpret_cast<uint64_t>(y.data())};
    mapped.kernel(0)(args, 3, 97, nullptr);
    for (int i = 0; i < 100; ++i)
      EXPECT_EQ(y[i], i < 3 || i >= 97 ? -1.0f : 1.5f * i + i % 16) << i;
  }
}

TEST_F(ImageTest, BytesAreEqualTwice) {
  for (Variant variant :
       {Variant::v3, Variant::v4, Variant::v4Bf16Vbmi}) {
    FailureOr<CpuImage> a = compile(kTriple, {"triple"}, variant);
    FailureOr<CpuImage> b = compile(kTriple, {"triple"}, variant);
    ASSERT_TRUE(succeeded(a) && succeeded(b)) << messages;
    EXPECT_EQ(a->bytes, b->bytes);
  }
}

// A large copy becomes a call of libc unless the source holds no such thing:
// the image refuses it and says who needs what.
TEST_F(ImageTest, RefusesAnExternalSymbolByName) {
  FailureOr<CpuImage> image = compile(R"(
    llvm.func @copier(%args: !llvm.ptr, %n: i64, %end: i64, %s: !llvm.ptr) {
      "llvm.intr.memcpy"(%args, %s, %n) <{isVolatile = false}>
        : (!llvm.ptr, !llvm.ptr, i64) -> ()
      llvm.return
    })",
                                      {"copier"}, Variant::v3);
  EXPECT_TRUE(failed(image));
  EXPECT_NE(messages.find("H3003"), std::string::npos) << messages;
  EXPECT_NE(messages.find("'memcpy'"), std::string::npos) << messages;
  EXPECT_NE(messages.find("kernel copier"), std::string::npos) << messages;
}

TEST_F(ImageTest, RefusesAWritableGlobal) {
  FailureOr<CpuImage> image = compile(R"(
    llvm.mlir.global external @counter(7 : i64) : i64
    llvm.func @count(%args: !llvm.ptr, %b: i64, %e: i64, %s: !llvm.ptr) {
      %p = llvm.mlir.addressof @counter : !llvm.ptr
      llvm.store %b, %p : i64, !llvm.ptr
      llvm.return
    })",
                                      {"count"}, Variant::v3);
  EXPECT_TRUE(failed(image));
  EXPECT_NE(messages.find("writable"), std::string::npos) << messages;
}

TEST_F(ImageTest, RefusesAnAbsoluteAddress) {
  FailureOr<CpuImage> image = compile(R"(
    llvm.mlir.global external constant @self() : !llvm.ptr {
      %p = llvm.mlir.addressof @f : !llvm.ptr
      llvm.return %p : !llvm.ptr
    }
    llvm.func @f(%args: !llvm.ptr, %b: i64, %e: i64, %s: !llvm.ptr) {
      llvm.return
    })",
                                      {"f"}, Variant::v3);
  EXPECT_TRUE(failed(image));
  EXPECT_NE(messages.find("H3003"), std::string::npos) << messages;
}

TEST_F(ImageTest, RefusesAMissingEntry) {
  EXPECT_TRUE(failed(compile(kTriple, {"other"}, Variant::v3)));
  EXPECT_NE(messages.find("kernel other has no code"), std::string::npos)
      << messages;
}

} // namespace
