#include "tools/hadal-bench/MachineRatesCuda.h"

#include "runtime/base/Progress.h"
#include "tools/hadal-bench/CublasLt.h"
#include "tools/hadal-bench/Statistics.h"
#include "tools/hadal-bench/kernels/Tensor.h"

namespace hadal::bench {

namespace {

constexpr uint64_t kCopyBytes = uint64_t(1) << 30;
constexpr unsigned kRepeats = 11;

Status measureCopy(Driver &driver, cuda::CudaTimer &timer, uint64_t bytes,
                   MachineRates &rates) {
  HADAL_ASSIGN_OR_RETURN(DeviceBuffer from,
                         DeviceBuffer::create(driver, bytes, "a copy"));
  HADAL_ASSIGN_OR_RETURN(DeviceBuffer to,
                         DeviceBuffer::create(driver, bytes, "a copy"));
  const cuda::CudaDevice &device = timer.device();
  HADAL_ASSIGN_OR_RETURN(
      std::vector<double> seconds,
      timer.time(
          [&] {
            return device.check(
                device.api().memcpyDtoDAsync(to.address(), from.address(),
                                             bytes, device.stream()),
                "cuMemcpyDtoDAsync");
          },
          kRepeats));
  rates.copyBytesPerSecond = 2 * static_cast<double>(bytes) / median(seconds);
  rates.copyBy = fmt::format("cuMemcpyDtoDAsync of {}, median of {}",
                             formatBytes(bytes), kRepeats);
  return {};
}

Status measureGemm(Driver &driver, cuda::CudaTimer &timer, uint64_t size,
                   MachineRates &rates) {
  StatusOr<std::unique_ptr<CublasLtGemm>> gemm =
      CublasLtGemm::create(driver, size, size, size);
  if (!gemm.ok()) {
    rates.bf16By = gemm.status().message();
    return {};
  }
  // Random values: on zeros the chip draws less and runs faster.
  Random random(7);
  std::vector<DeviceBuffer> buffers;
  for (int i = 0; i < 3; ++i) {
    HADAL_ASSIGN_OR_RETURN(
        DeviceBuffer buffer,
        DeviceBuffer::create(driver, size * size * 2, "a matrix"));
    Tensor tensor(DType::bf16, size, size);
    tensor.fill(random);
    HADAL_RETURN_IF_ERROR(driver.write(buffer.address(), tensor.data.data(),
                                       tensor.data.size()));
    buffers.push_back(std::move(buffer));
  }
  HADAL_ASSIGN_OR_RETURN(std::vector<double> seconds,
                         timer.time(
                             [&] {
                               return (*gemm)->enqueue(buffers[0].address(),
                                                       buffers[1].address(),
                                                       buffers[2].address());
                             },
                             kRepeats));
  const auto n = static_cast<double>(size);
  rates.bf16FlopsPerSecond = 2 * n * n * n / median(seconds);
  rates.bf16By = fmt::format("cuBLASLt {}, {}^3, median of {}",
                             (*gemm)->version(), size, kRepeats);
  return {};
}

} // namespace

StatusOr<MachineRates> measureCudaRates(Driver &driver, cuda::CudaTimer &timer,
                                        uint64_t gemmSize) {
  HADAL_ASSIGN_OR_RETURN(DeviceMemory memory, driver.memory());
  MachineRates rates;
  // A device nearly full is measured with less.
  HADAL_RETURN_IF_ERROR(measureCopy(
      driver, timer, std::min(kCopyBytes, memory.freeBytes / 8), rates));
  HADAL_RETURN_IF_ERROR(measureGemm(driver, timer, gemmSize, rates));
  return rates;
}

} // namespace hadal::bench
