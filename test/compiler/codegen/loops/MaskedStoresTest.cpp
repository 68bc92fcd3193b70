#include "compiler/codegen/loops/MaskedStores.h"

#include <gtest/gtest.h>

#include "llvm/AsmParser/Parser.h"
#include "llvm/IR/InstIterator.h"
#include "llvm/IR/Instructions.h"
#include "llvm/IR/IntrinsicInst.h"
#include "llvm/IR/LLVMContext.h"
#include "llvm/IR/Module.h"
#include "llvm/IR/Verifier.h"
#include "llvm/Support/SourceMgr.h"

namespace hadal {
namespace {

struct Stores {
  std::vector<llvm::StoreInst *> plain;
  unsigned masked = 0;
};

class MaskedStores : public testing::Test {
protected:
  /// The stores of a function that stores %v to %p under |mask|, after the
  /// pass.
  Stores split(const std::string &mask, const std::string &align = "align 8 ") {
    std::string text =
        "define void @f(<4 x i16> %v, ptr %p, <4 x i1> %m) {\n"
        "  call void @llvm.masked.store.v4i16.p0(<4 x i16> %v, ptr " +
        align + "%p, <4 x i1> " + mask + ")\n  ret void\n}\n";
    llvm::SMDiagnostic error;
    module = llvm::parseAssemblyString(text, error, context);
    EXPECT_TRUE(module) << error.getMessage().str();
    splitOneLaneStores(*module);
    EXPECT_FALSE(llvm::verifyModule(*module));
    Stores stores;
    for (llvm::Instruction &each :
         llvm::instructions(*module->getFunction("f"))) {
      if (auto *store = llvm::dyn_cast<llvm::StoreInst>(&each))
        stores.plain.push_back(store);
      auto *call = llvm::dyn_cast<llvm::IntrinsicInst>(&each);
      stores.masked +=
          call && call->getIntrinsicID() == llvm::Intrinsic::masked_store;
    }
    return stores;
  }

  llvm::LLVMContext context;
  std::unique_ptr<llvm::Module> module;
};

TEST_F(MaskedStores, oneLaneBecomesAStoreOfItsElement) {
  Stores stores = split("<i1 false, i1 false, i1 true, i1 false>");
  EXPECT_EQ(stores.masked, 0u);
  ASSERT_EQ(stores.plain.size(), 1u);
  llvm::StoreInst *store = stores.plain.front();
  EXPECT_TRUE(store->getValueOperand()->getType()->isIntegerTy(16));
  auto *element =
      llvm::dyn_cast<llvm::ExtractElementInst>(store->getValueOperand());
  ASSERT_TRUE(element);
  EXPECT_EQ(
      llvm::cast<llvm::ConstantInt>(element->getIndexOperand())->getZExtValue(),
      2u);
  llvm::APInt offset(64, 0);
  const llvm::Value *base =
      store->getPointerOperand()->stripAndAccumulateConstantOffsets(
          module->getDataLayout(), offset, /*AllowNonInbounds=*/true);
  EXPECT_EQ(base, module->getFunction("f")->getArg(1));
  EXPECT_EQ(offset, 4u);
  EXPECT_EQ(store->getAlign().value(), 4u);
}

TEST_F(MaskedStores, unsaidAlignmentIsOne) {
  Stores stores = split("<i1 true, i1 false, i1 false, i1 false>", "");
  ASSERT_EQ(stores.plain.size(), 1u);
  EXPECT_EQ(stores.plain.front()->getAlign().value(), 1u);
}

TEST_F(MaskedStores, othersStay) {
  for (const char *mask : {"<i1 true, i1 true, i1 false, i1 false>", "%m",
                           "<i1 true, i1 poison, i1 false, i1 false>"}) {
    Stores stores = split(mask);
    EXPECT_EQ(stores.masked, 1u) << mask;
    EXPECT_TRUE(stores.plain.empty()) << mask;
  }
}

} // namespace
} // namespace hadal
