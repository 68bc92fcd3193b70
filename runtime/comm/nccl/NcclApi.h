// The part of NCCL's API that the runtime calls, declared from its documented
// ABI, so that building needs no header of NCCL and running needs libnccl only
// where ranks have GPUs. Names and values are those of nccl.h; where that is
// installed, a test compares them.
#pragma once

#include <climits>
#include <cstddef>
#include <cstdint>

namespace hadal::comm::nccl {

using Result = int; // ncclResult_t
struct CommHandle;
using Comm = CommHandle *; // ncclComm_t
using Stream = void *;     // cudaStream_t, which is a CUstream

// ncclResult_t
inline constexpr Result kSuccess = 0;
inline constexpr Result kInvalidArgument = 4;
inline constexpr Result kInvalidUsage = 5;
inline constexpr Result kRemoteError = 6;
inline constexpr Result kInProgress = 7;

// ncclDataType_t, ncclRedOp_t
inline constexpr int kInt8 = 0;
inline constexpr int kFloat32 = 7;
inline constexpr int kBfloat16 = 9;
inline constexpr int kSum = 0;

/// The version that introduced communicators that block nobody together with
/// ncclCommSplit, as ncclGetVersion() gives it.
inline constexpr int kMinimumVersion = 21800;
inline constexpr unsigned kConfigMagic = 0xcafebeef;
inline constexpr int kUndefined = INT_MIN;

struct UniqueId { // ncclUniqueId
  char bytes[128];
};

/// ncclConfig_t as of kMinimumVersion. Newer libraries take what lies beyond
/// its size as not given.
struct Config {
  size_t size = sizeof(Config);
  unsigned magic = kConfigMagic;
  unsigned version = kMinimumVersion;
  int blocking = kUndefined;
  int cgaClusterSize = kUndefined;
  int minCtas = kUndefined;
  int maxCtas = kUndefined;
  const char *netName = nullptr;
  int splitShare = kUndefined;
};
static_assert(sizeof(Config) == 48 && offsetof(Config, netName) == 32);

/// HADAL_NCCL_FUNCTION(member, exported symbol, result, parameters).
#define HADAL_NCCL_FUNCTIONS(HADAL_NCCL_FUNCTION)                              \
  HADAL_NCCL_FUNCTION(getVersion, "ncclGetVersion", Result, (int *version))    \
  HADAL_NCCL_FUNCTION(getErrorString, "ncclGetErrorString", const char *,      \
                      (Result result))                                         \
  HADAL_NCCL_FUNCTION(getLastError, "ncclGetLastError", const char *,          \
                      (Comm comm))                                             \
  HADAL_NCCL_FUNCTION(getUniqueId, "ncclGetUniqueId", Result, (UniqueId * id)) \
  HADAL_NCCL_FUNCTION(                                                         \
      commInitRankConfig, "ncclCommInitRankConfig", Result,                    \
      (Comm * comm, int ranks, UniqueId id, int rank, Config *config))         \
  HADAL_NCCL_FUNCTION(                                                         \
      commSplit, "ncclCommSplit", Result,                                      \
      (Comm comm, int color, int key, Comm *result, Config *config))           \
  HADAL_NCCL_FUNCTION(commGetAsyncError, "ncclCommGetAsyncError", Result,      \
                      (Comm comm, Result * error))                             \
  HADAL_NCCL_FUNCTION(commFinalize, "ncclCommFinalize", Result, (Comm comm))   \
  HADAL_NCCL_FUNCTION(commDestroy, "ncclCommDestroy", Result, (Comm comm))     \
  HADAL_NCCL_FUNCTION(commAbort, "ncclCommAbort", Result, (Comm comm))         \
  HADAL_NCCL_FUNCTION(groupStart, "ncclGroupStart", Result, ())                \
  HADAL_NCCL_FUNCTION(groupEnd, "ncclGroupEnd", Result, ())                    \
  HADAL_NCCL_FUNCTION(send, "ncclSend", Result,                                \
                      (const void *from, size_t count, int type, int peer,     \
                       Comm comm, Stream stream))                              \
  HADAL_NCCL_FUNCTION(                                                         \
      recv, "ncclRecv", Result,                                                \
      (void *to, size_t count, int type, int peer, Comm comm, Stream stream))  \
  HADAL_NCCL_FUNCTION(allGather, "ncclAllGather", Result,                      \
                      (const void *from, void *to, size_t sendCount, int type, \
                       Comm comm, Stream stream))                              \
  HADAL_NCCL_FUNCTION(reduceScatter, "ncclReduceScatter", Result,              \
                      (const void *from, void *to, size_t receiveCount,        \
                       int type, int op, Comm comm, Stream stream))            \
  HADAL_NCCL_FUNCTION(allReduce, "ncclAllReduce", Result,                      \
                      (const void *from, void *to, size_t count, int type,     \
                       int op, Comm comm, Stream stream))

/// The same of functions that only newer libraries have: null elsewhere.
#define HADAL_NCCL_OPTIONAL_FUNCTIONS(HADAL_NCCL_FUNCTION)                     \
  HADAL_NCCL_FUNCTION(commRegister, "ncclCommRegister", Result,                \
                      (Comm comm, void *buffer, size_t bytes, void **handle))  \
  HADAL_NCCL_FUNCTION(commDeregister, "ncclCommDeregister", Result,            \
                      (Comm comm, void *handle))                               \
  HADAL_NCCL_FUNCTION(alltoAll, "ncclAlltoAll", Result,                        \
                      (const void *from, void *to, size_t count, int type,     \
                       Comm comm, Stream stream))                              \
  HADAL_NCCL_FUNCTION(commRevoke, "ncclCommRevoke", Result,                    \
                      (Comm comm, int flags))

/// The functions of one libnccl.
struct Api {
#define HADAL_NCCL_FUNCTION(member, symbol, result, parameters)                \
  result(*member) parameters = nullptr;
  HADAL_NCCL_FUNCTIONS(HADAL_NCCL_FUNCTION)
  HADAL_NCCL_OPTIONAL_FUNCTIONS(HADAL_NCCL_FUNCTION)
#undef HADAL_NCCL_FUNCTION
};

} // namespace hadal::comm::nccl
