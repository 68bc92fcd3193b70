// The declarations of CudaApi.h against cuda.h, where a CUDA toolkit has it.
#include <gtest/gtest.h>

#include "runtime/drivers/cuda/CudaApi.h"

#if __has_include(<cuda.h>)
#include <cuda.h>

using namespace hadal::cuda;

TEST(CudaApi, ValuesAreThoseOfTheToolkit) {
  EXPECT_EQ(kSuccess, CUDA_SUCCESS);
  EXPECT_EQ(kOutOfMemory, CUDA_ERROR_OUT_OF_MEMORY);
  EXPECT_EQ(kStubLibrary, CUDA_ERROR_STUB_LIBRARY);
  EXPECT_EQ(kNoDevice, CUDA_ERROR_NO_DEVICE);
  EXPECT_EQ(kInvalidImage, CUDA_ERROR_INVALID_IMAGE);
  EXPECT_EQ(kNoBinaryForGpu, CUDA_ERROR_NO_BINARY_FOR_GPU);
  EXPECT_EQ(kInvalidPtx, CUDA_ERROR_INVALID_PTX);
  EXPECT_EQ(kJitCompilerNotFound, CUDA_ERROR_JIT_COMPILER_NOT_FOUND);
  EXPECT_EQ(kUnsupportedPtxVersion, CUDA_ERROR_UNSUPPORTED_PTX_VERSION);
  EXPECT_EQ(kNotFound, CUDA_ERROR_NOT_FOUND);
  EXPECT_EQ(kNotReady, CUDA_ERROR_NOT_READY);
  EXPECT_EQ(kMultiprocessorCount, CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT);
  EXPECT_EQ(kL2CacheSize, CU_DEVICE_ATTRIBUTE_L2_CACHE_SIZE);
  EXPECT_EQ(kComputeCapabilityMajor,
            CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR);
  EXPECT_EQ(kComputeCapabilityMinor,
            CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR);
  EXPECT_EQ(kMaxSharedMemoryPerBlockOptin,
            CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK_OPTIN);
  EXPECT_EQ(kMaxDynamicSharedSizeBytes,
            CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES);
  EXPECT_EQ(kStreamNonBlocking, unsigned(CU_STREAM_NON_BLOCKING));
  EXPECT_EQ(kEventDefault, unsigned(CU_EVENT_DEFAULT));
  EXPECT_EQ(kEventDisableTiming, unsigned(CU_EVENT_DISABLE_TIMING));
  EXPECT_EQ(kCaptureModeThreadLocal, CU_STREAM_CAPTURE_MODE_THREAD_LOCAL);
  EXPECT_EQ(kJitErrorLogBuffer, CU_JIT_ERROR_LOG_BUFFER);
  EXPECT_EQ(kJitErrorLogBufferSizeBytes, CU_JIT_ERROR_LOG_BUFFER_SIZE_BYTES);
  EXPECT_EQ(kProgrammaticStreamSerialization,
            CU_LAUNCH_ATTRIBUTE_PROGRAMMATIC_STREAM_SERIALIZATION);
  EXPECT_EQ(kTensorMapUint8, CU_TENSOR_MAP_DATA_TYPE_UINT8);
  EXPECT_EQ(kTensorMapInt32, CU_TENSOR_MAP_DATA_TYPE_INT32);
  EXPECT_EQ(kTensorMapInt64, CU_TENSOR_MAP_DATA_TYPE_INT64);
  EXPECT_EQ(kTensorMapFloat32, CU_TENSOR_MAP_DATA_TYPE_FLOAT32);
  EXPECT_EQ(kTensorMapBfloat16, CU_TENSOR_MAP_DATA_TYPE_BFLOAT16);
  EXPECT_EQ(kInterleaveNone, CU_TENSOR_MAP_INTERLEAVE_NONE);
  EXPECT_EQ(kSwizzleNone, CU_TENSOR_MAP_SWIZZLE_NONE);
  EXPECT_EQ(kSwizzle32B, CU_TENSOR_MAP_SWIZZLE_32B);
  EXPECT_EQ(kSwizzle64B, CU_TENSOR_MAP_SWIZZLE_64B);
  EXPECT_EQ(kSwizzle128B, CU_TENSOR_MAP_SWIZZLE_128B);
  EXPECT_EQ(kL2Promotion256B, CU_TENSOR_MAP_L2_PROMOTION_L2_256B);
  EXPECT_EQ(kOobFillZero, CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE);
}

TEST(CudaApi, StructuresHaveTheToolkitsLayout) {
  static_assert(sizeof(LaunchAttribute) == sizeof(CUlaunchAttribute));
  static_assert(offsetof(LaunchAttribute, value) ==
                offsetof(CUlaunchAttribute, value));
  static_assert(sizeof(LaunchConfig) == sizeof(CUlaunchConfig));
  static_assert(offsetof(LaunchConfig, sharedBytes) ==
                offsetof(CUlaunchConfig, sharedMemBytes));
  static_assert(offsetof(LaunchConfig, stream) ==
                offsetof(CUlaunchConfig, hStream));
  static_assert(offsetof(LaunchConfig, attributes) ==
                offsetof(CUlaunchConfig, attrs));
  static_assert(offsetof(LaunchConfig, numAttributes) ==
                offsetof(CUlaunchConfig, numAttrs));
  static_assert(sizeof(TensorMapBytes) == sizeof(CUtensorMap));
  static_assert(sizeof(DevicePointer) == sizeof(CUdeviceptr));
  CUlaunchAttribute attribute = {};
  attribute.value.programmaticStreamSerializationAllowed = 1;
  EXPECT_EQ(reinterpret_cast<LaunchAttribute &>(attribute).value.flag, 1);
}

// What cuda.h's plain names stand for, and that the symbol tables agree.
TEST(CudaApi, SymbolsAreThoseOfTheToolkit) {
#define HADAL_TEXT_OF(name) #name
#define HADAL_NAME_OF(name) HADAL_TEXT_OF(name)
  EXPECT_STREQ(HADAL_NAME_OF(cuDevicePrimaryCtxRelease),
               "cuDevicePrimaryCtxRelease_v2");
  EXPECT_STREQ(HADAL_NAME_OF(cuMemGetInfo), "cuMemGetInfo_v2");
  EXPECT_STREQ(HADAL_NAME_OF(cuMemAlloc), "cuMemAlloc_v2");
  EXPECT_STREQ(HADAL_NAME_OF(cuMemFree), "cuMemFree_v2");
  EXPECT_STREQ(HADAL_NAME_OF(cuStreamDestroy), "cuStreamDestroy_v2");
  EXPECT_STREQ(HADAL_NAME_OF(cuEventDestroy), "cuEventDestroy_v2");
  EXPECT_STREQ(HADAL_NAME_OF(cuStreamWriteValue32), "cuStreamWriteValue32_v2");
}

#endif
