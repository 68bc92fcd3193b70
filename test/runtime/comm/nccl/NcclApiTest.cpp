// The declarations of NcclApi.h against nccl.h, where a CUDA toolkit has it,
// and which libraries are taken.
#include <array>
#include <cstdlib>

#include <gtest/gtest.h>

#include "runtime/comm/nccl/NcclLibrary.h"
#include "test/runtime/comm/nccl/NcclRanks.h"

#if __has_include(<nccl.h>)
#include <nccl.h>
#endif

using namespace hadal;
using namespace hadal::comm::nccl;
using namespace hadal::test;

#if __has_include(<nccl.h>)

TEST(NcclApi, ValuesAreThoseOfTheHeader) {
  EXPECT_EQ(kSuccess, ncclSuccess);
  EXPECT_EQ(kInvalidArgument, ncclInvalidArgument);
  EXPECT_EQ(kInvalidUsage, ncclInvalidUsage);
  EXPECT_EQ(kRemoteError, ncclRemoteError);
  EXPECT_EQ(kInProgress, ncclInProgress);
  EXPECT_EQ(kInt8, ncclInt8);
  EXPECT_EQ(kFloat32, ncclFloat32);
  EXPECT_EQ(kBfloat16, ncclBfloat16);
  EXPECT_EQ(kSum, ncclSum);
  EXPECT_EQ(kMinimumVersion, NCCL_VERSION(2, 18, 0));
  EXPECT_EQ(kUndefined, NCCL_CONFIG_UNDEF_INT);
}

TEST(NcclApi, StructuresHaveTheHeadersLayout) {
  static_assert(sizeof(UniqueId) == sizeof(ncclUniqueId));
  static_assert(sizeof(Config) <= sizeof(ncclConfig_t));
  static_assert(offsetof(Config, magic) == offsetof(ncclConfig_t, magic));
  static_assert(offsetof(Config, version) == offsetof(ncclConfig_t, version));
  static_assert(offsetof(Config, blocking) == offsetof(ncclConfig_t, blocking));
  static_assert(offsetof(Config, cgaClusterSize) ==
                offsetof(ncclConfig_t, cgaClusterSize));
  static_assert(offsetof(Config, minCtas) == offsetof(ncclConfig_t, minCTAs));
  static_assert(offsetof(Config, maxCtas) == offsetof(ncclConfig_t, maxCTAs));
  static_assert(offsetof(Config, netName) == offsetof(ncclConfig_t, netName));
  static_assert(offsetof(Config, splitShare) ==
                offsetof(ncclConfig_t, splitShare));
  ncclConfig_t theirs = NCCL_CONFIG_INITIALIZER;
  EXPECT_EQ(Config().magic, theirs.magic);
}

/// The sizes of what a function takes and gives: handles and enumerations have
/// other names here.
template <typename Result, typename... Parameters>
constexpr std::array<size_t, sizeof...(Parameters) + 1>
sizesOf(Result (*)(Parameters...)) {
  return {sizeof(Result), sizeof(Parameters)...};
}

TEST(NcclApi, FunctionsTakeWhatTheHeaderSays) {
#define SAME(member, symbol)                                                   \
  static_assert(sizesOf(decltype(Api::member)()) ==                            \
                sizesOf(decltype (&symbol)()))
  SAME(getVersion, ncclGetVersion);
  SAME(getErrorString, ncclGetErrorString);
  SAME(getLastError, ncclGetLastError);
  SAME(getUniqueId, ncclGetUniqueId);
  SAME(commInitRankConfig, ncclCommInitRankConfig);
  SAME(commSplit, ncclCommSplit);
  SAME(commGetAsyncError, ncclCommGetAsyncError);
  SAME(commFinalize, ncclCommFinalize);
  SAME(commDestroy, ncclCommDestroy);
  SAME(commAbort, ncclCommAbort);
  SAME(groupStart, ncclGroupStart);
  SAME(groupEnd, ncclGroupEnd);
  SAME(send, ncclSend);
  SAME(recv, ncclRecv);
  SAME(allGather, ncclAllGather);
  SAME(reduceScatter, ncclReduceScatter);
  SAME(allReduce, ncclAllReduce);
#if NCCL_VERSION_CODE >= NCCL_VERSION(2, 19, 0)
  SAME(commRegister, ncclCommRegister);
  SAME(commDeregister, ncclCommDeregister);
#endif
#if NCCL_VERSION_CODE >= NCCL_VERSION(2, 28, 0)
  SAME(alltoAll, ncclAlltoAll);
  SAME(commRevoke, ncclCommRevoke);
#endif
#undef SAME
}

#endif

TEST(NcclLibrary, VersionsReadAsPeopleWriteThem) {
  EXPECT_EQ(versionText(22809), "2.28.9");
  EXPECT_EQ(versionText(21800), "2.18.0");
  EXPECT_EQ(versionText(2708), "2.7.8");
}

TEST(NcclLibrary, WhatCannotBeUsedIsRefused) {
  expectError(NcclLibrary::open("/nonexistent/libnccl.so").status(), 6005,
              {"cannot open '/nonexistent/libnccl.so'", "HADAL_LIBNCCL"});
  expectError(NcclLibrary::open("libm.so.6").status(), 6005,
              {"'libm.so.6' is NCCL unknown",
               "which has no function ncclGetVersion", "2.18 or newer"});
  expectError(NcclLibrary::open(HADAL_FAKE_NCCL_TOO_OLD).status(), 6005,
              {"is NCCL 2.17.1", "2.18 or newer"});
  ::setenv("HADAL_LIBNCCL", "/another/libnccl.so", 1);
  expectError(NcclLibrary::open().status(), 6005,
              {"cannot open '/another/libnccl.so'"});
  ::unsetenv("HADAL_LIBNCCL");
}

TEST(NcclLibrary, OldOnesLackWhatIsOptional) {
  auto old = NcclLibrary::open(HADAL_FAKE_NCCL_OLD);
  ASSERT_TRUE(old.ok()) << old.status().toString();
  EXPECT_FALSE(old->api().alltoAll);
  EXPECT_FALSE(old->api().commRevoke);
  EXPECT_NE(old->description().find("nccl 2.18.0 ('"), std::string::npos);
  auto now = NcclLibrary::open(HADAL_FAKE_NCCL);
  ASSERT_TRUE(now.ok()) << now.status().toString();
  EXPECT_TRUE(now->api().alltoAll);
}

// Without a GPU a real one can be opened, and asked for its version.
TEST(NcclLibrary, TheInstalledOneIsTaken) {
  auto real = NcclLibrary::open("libnccl.so.2");
  if (!real.ok())
    GTEST_SKIP() << real.status().toString();
  EXPECT_GE(real->version(), kMinimumVersion);
}
