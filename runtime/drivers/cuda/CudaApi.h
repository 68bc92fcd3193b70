// The part of the CUDA driver API that the runtime calls, declared from its
// documented ABI, so that building needs no CUDA headers and running needs
// libcuda only where a GPU is used. Names and values are those of cuda.h; where
// that is installed, a test compares them.
#pragma once

#include <cstddef>
#include <cstdint>

namespace hadal::cuda {

using Result = int; // CUresult
using Device = int; // CUdevice
using DevicePointer = unsigned long long;
struct ContextHandle;
struct StreamHandle;
struct EventHandle;
struct ModuleHandle;
struct FunctionHandle;
struct GraphHandle;
struct GraphExecHandle;
using Context = ContextHandle *;
using Stream = StreamHandle *;
using Event = EventHandle *;
using Module = ModuleHandle *;
using Function = FunctionHandle *;
using Graph = GraphHandle *;
using GraphExec = GraphExecHandle *;

// CUresult
inline constexpr Result kSuccess = 0;
inline constexpr Result kOutOfMemory = 2;
inline constexpr Result kStubLibrary = 34;
inline constexpr Result kNoDevice = 100;
inline constexpr Result kInvalidImage = 200;
inline constexpr Result kNoBinaryForGpu = 209;
inline constexpr Result kInvalidPtx = 218;
inline constexpr Result kJitCompilerNotFound = 221;
inline constexpr Result kUnsupportedPtxVersion = 222;
inline constexpr Result kNotFound = 500;
inline constexpr Result kNotReady = 600;

// CUdevice_attribute
inline constexpr int kMultiprocessorCount = 16;
inline constexpr int kL2CacheSize = 38;
inline constexpr int kComputeCapabilityMajor = 75;
inline constexpr int kComputeCapabilityMinor = 76;
inline constexpr int kMaxSharedMemoryPerBlockOptin = 97;

// CUfunction_attribute
inline constexpr int kMaxDynamicSharedSizeBytes = 8;

// CUstream_flags, CUevent_flags, CUstreamCaptureMode
inline constexpr unsigned kStreamNonBlocking = 1;
inline constexpr unsigned kEventDefault = 0;
inline constexpr unsigned kEventDisableTiming = 2;
inline constexpr int kCaptureModeThreadLocal = 1;

// CUjit_option
inline constexpr int kJitErrorLogBuffer = 5;
inline constexpr int kJitErrorLogBufferSizeBytes = 6;

// CUlaunchAttributeID
inline constexpr int kProgrammaticStreamSerialization = 6;

// CUtensorMapDataType
inline constexpr int kTensorMapUint8 = 0;
inline constexpr int kTensorMapInt32 = 3;
inline constexpr int kTensorMapInt64 = 5;
inline constexpr int kTensorMapFloat32 = 7;
inline constexpr int kTensorMapBfloat16 = 9;
// CUtensorMapInterleave, CUtensorMapSwizzle, CUtensorMapL2promotion,
// CUtensorMapFloatOOBfill
inline constexpr int kInterleaveNone = 0;
inline constexpr int kSwizzleNone = 0;
inline constexpr int kSwizzle32B = 1;
inline constexpr int kSwizzle64B = 2;
inline constexpr int kSwizzle128B = 3;
inline constexpr int kL2Promotion256B = 3;
inline constexpr int kOobFillZero = 0;

/// CUlaunchAttribute: an id and a value in a union of 64 bytes at offset 8.
struct LaunchAttribute {
  int id;
  int padding;
  union {
    char pad[64];
    int flag; // programmaticStreamSerializationAllowed
    uint64_t align;
  } value;
};
static_assert(sizeof(LaunchAttribute) == 72);

/// CUlaunchConfig.
struct LaunchConfig {
  unsigned gridX, gridY, gridZ;
  unsigned blockX, blockY, blockZ;
  unsigned sharedBytes;
  Stream stream;
  LaunchAttribute *attributes;
  unsigned numAttributes;
};
static_assert(sizeof(LaunchConfig) == 56 &&
              offsetof(LaunchConfig, stream) == 32);

/// CUtensorMap: 128 opaque bytes, at a multiple of 64.
struct alignas(64) TensorMapBytes {
  uint8_t opaque[128];
};

/// HADAL_CUDA_FUNCTION(member, exported symbol, parameters): all return
/// CUresult. A symbol with a version suffix is the one that cuda.h's plain name
/// stands for.
#define HADAL_CUDA_FUNCTIONS(HADAL_CUDA_FUNCTION)                              \
  HADAL_CUDA_FUNCTION(init, "cuInit", (unsigned flags))                        \
  HADAL_CUDA_FUNCTION(driverGetVersion, "cuDriverGetVersion", (int *version))  \
  HADAL_CUDA_FUNCTION(getErrorName, "cuGetErrorName",                          \
                      (Result error, const char **name))                       \
  HADAL_CUDA_FUNCTION(getErrorString, "cuGetErrorString",                      \
                      (Result error, const char **text))                       \
  HADAL_CUDA_FUNCTION(deviceGetCount, "cuDeviceGetCount", (int *count))        \
  HADAL_CUDA_FUNCTION(deviceGet, "cuDeviceGet", (Device *device, int ordinal)) \
  HADAL_CUDA_FUNCTION(deviceGetName, "cuDeviceGetName",                        \
                      (char *name, int length, Device device))                 \
  HADAL_CUDA_FUNCTION(deviceGetAttribute, "cuDeviceGetAttribute",              \
                      (int *value, int attribute, Device device))              \
  HADAL_CUDA_FUNCTION(primaryCtxRetain, "cuDevicePrimaryCtxRetain",            \
                      (Context *context, Device device))                       \
  HADAL_CUDA_FUNCTION(primaryCtxRelease, "cuDevicePrimaryCtxRelease_v2",       \
                      (Device device))                                         \
  HADAL_CUDA_FUNCTION(ctxSetCurrent, "cuCtxSetCurrent", (Context context))     \
  HADAL_CUDA_FUNCTION(memGetInfo, "cuMemGetInfo_v2",                           \
                      (size_t *free, size_t *total))                           \
  HADAL_CUDA_FUNCTION(memAlloc, "cuMemAlloc_v2",                               \
                      (DevicePointer *pointer, size_t bytes))                  \
  HADAL_CUDA_FUNCTION(memFree, "cuMemFree_v2", (DevicePointer pointer))        \
  HADAL_CUDA_FUNCTION(memsetD8Async, "cuMemsetD8Async",                        \
                      (DevicePointer pointer, unsigned char value,             \
                       size_t bytes, Stream stream))                           \
  HADAL_CUDA_FUNCTION(memcpyHtoDAsync, "cuMemcpyHtoDAsync_v2",                 \
                      (DevicePointer to, const void *from, size_t bytes,       \
                       Stream stream))                                         \
  HADAL_CUDA_FUNCTION(memcpyDtoHAsync, "cuMemcpyDtoHAsync_v2",                 \
                      (void *to, DevicePointer from, size_t bytes,             \
                       Stream stream))                                         \
  HADAL_CUDA_FUNCTION(memcpyDtoDAsync, "cuMemcpyDtoDAsync_v2",                 \
                      (DevicePointer to, DevicePointer from, size_t bytes,     \
                       Stream stream))                                         \
  HADAL_CUDA_FUNCTION(memHostAlloc, "cuMemHostAlloc",                          \
                      (void **pointer, size_t bytes, unsigned flags))          \
  HADAL_CUDA_FUNCTION(memFreeHost, "cuMemFreeHost", (void *pointer))           \
  HADAL_CUDA_FUNCTION(streamCreate, "cuStreamCreate",                          \
                      (Stream *stream, unsigned flags))                        \
  HADAL_CUDA_FUNCTION(streamDestroy, "cuStreamDestroy_v2", (Stream stream))    \
  HADAL_CUDA_FUNCTION(streamSynchronize, "cuStreamSynchronize",                \
                      (Stream stream))                                         \
  HADAL_CUDA_FUNCTION(streamQuery, "cuStreamQuery", (Stream stream))           \
  HADAL_CUDA_FUNCTION(streamWaitEvent, "cuStreamWaitEvent",                    \
                      (Stream stream, Event event, unsigned flags))            \
  HADAL_CUDA_FUNCTION(streamWriteValue32, "cuStreamWriteValue32_v2",           \
                      (Stream stream, DevicePointer to, uint32_t value,        \
                       unsigned flags))                                        \
  HADAL_CUDA_FUNCTION(streamBeginCapture, "cuStreamBeginCapture_v2",           \
                      (Stream stream, int mode))                               \
  HADAL_CUDA_FUNCTION(streamEndCapture, "cuStreamEndCapture",                  \
                      (Stream stream, Graph *graph))                           \
  HADAL_CUDA_FUNCTION(eventCreate, "cuEventCreate",                            \
                      (Event *event, unsigned flags))                          \
  HADAL_CUDA_FUNCTION(eventRecord, "cuEventRecord",                            \
                      (Event event, Stream stream))                            \
  HADAL_CUDA_FUNCTION(eventSynchronize, "cuEventSynchronize", (Event event))   \
  HADAL_CUDA_FUNCTION(eventElapsedTime, "cuEventElapsedTime",                  \
                      (float *milliseconds, Event begin, Event end))           \
  HADAL_CUDA_FUNCTION(eventDestroy, "cuEventDestroy_v2", (Event event))        \
  HADAL_CUDA_FUNCTION(moduleLoadDataEx, "cuModuleLoadDataEx",                  \
                      (Module *module, const void *image, unsigned options,    \
                       int *optionNames, void **optionValues))                 \
  HADAL_CUDA_FUNCTION(moduleUnload, "cuModuleUnload", (Module module))         \
  HADAL_CUDA_FUNCTION(moduleGetFunction, "cuModuleGetFunction",                \
                      (Function *function, Module module, const char *name))   \
  HADAL_CUDA_FUNCTION(funcSetAttribute, "cuFuncSetAttribute",                  \
                      (Function function, int attribute, int value))           \
  HADAL_CUDA_FUNCTION(launchKernelEx, "cuLaunchKernelEx",                      \
                      (const LaunchConfig *config, Function function,          \
                       void **parameters, void **extra))                       \
  HADAL_CUDA_FUNCTION(graphInstantiate, "cuGraphInstantiateWithFlags",         \
                      (GraphExec *exec, Graph graph,                           \
                       unsigned long long flags))                              \
  HADAL_CUDA_FUNCTION(graphLaunch, "cuGraphLaunch",                            \
                      (GraphExec exec, Stream stream))                         \
  HADAL_CUDA_FUNCTION(graphExecDestroy, "cuGraphExecDestroy",                  \
                      (GraphExec exec))                                        \
  HADAL_CUDA_FUNCTION(graphDestroy, "cuGraphDestroy", (Graph graph))           \
  HADAL_CUDA_FUNCTION(tensorMapEncodeTiled, "cuTensorMapEncodeTiled",          \
                      (TensorMapBytes *map, int dataType, uint32_t rank,       \
                       void *address, const uint64_t *extents,                 \
                       const uint64_t *strides, const uint32_t *box,           \
                       const uint32_t *elementStrides, int interleave,         \
                       int swizzle, int l2Promotion, int oobFill))

/// The functions of one libcuda.
struct Api {
#define HADAL_CUDA_FUNCTION(member, symbol, parameters)                        \
  Result(*member) parameters = nullptr;
  HADAL_CUDA_FUNCTIONS(HADAL_CUDA_FUNCTION)
#undef HADAL_CUDA_FUNCTION
};

} // namespace hadal::cuda
