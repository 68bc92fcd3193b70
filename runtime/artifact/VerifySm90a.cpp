#include "runtime/artifact/VerifySm90a.h"

#include <string_view>
#include <unordered_set>

#include <fmt/format.h>

#include "runtime/artifact/Verify.h"
#include "runtime/base/Checked.h"
#include "runtime/schemas/ArtifactFile.h"
#include "runtime/schemas/Sm90aLimits.h"

namespace hadal::artifact {

using namespace schema;

namespace {

constexpr uint64_t kMaxExtent = uint64_t(1) << 32;
constexpr uint64_t kMaxStride = uint64_t(1) << 40;
constexpr uint64_t kMaxGrid = (uint64_t(1) << 31) - 1;
constexpr uint64_t kMaxWorkspaceBytes = uint64_t(1) << 40;

/// The function of a kernel has its name, so that must be an identifier.
bool isIdentifier(std::string_view name) {
  auto letter = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' ||
           c == '$';
  };
  if (name.empty() || name.size() > 1024 || !letter(name[0]))
    return false;
  for (char c : name)
    if (!letter(c) && !(c >= '0' && c <= '9'))
      return false;
  return true;
}

std::string checkCode(const schema::Artifact &artifact, const Kernel &kernel) {
  bool ptx = false;
  std::unordered_set<std::string_view> seen;
  if (kernel.code())
    for (const KernelCode *code : *kernel.code()) {
      std::string_view v = code->variant()->string_view();
      if (v != "ptx" && v != "cubin")
        return fmt::format("has code of variant '{}', expected ptx or cubin",
                           v);
      if (!seen.insert(v).second)
        return fmt::format("has two codes of variant '{}'", v);
      if (code->blob() >= artifact.blobs()->size())
        return fmt::format("names blob {} of {}", code->blob(),
                           artifact.blobs()->size());
      const Blob &blob = *artifact.blobs()->Get(code->blob());
      if (!blob.bytes() || blob.bytes() > kMaxCodeBytes)
        return fmt::format("has {} bytes of {}, expected 1 to {}", blob.bytes(),
                           v, kMaxCodeBytes);
      ptx |= v == "ptx";
    }
  return ptx ? "" : "has no PTX";
}

std::string checkTensorMap(const Kernel &kernel, const TensorMap &map) {
  const uint64_t element = dtypeBytes(map.dtype());
  if (map.dtype() != DType::bf16 && map.dtype() != DType::f8e4m3fn &&
      map.dtype() != DType::f32 && map.dtype() != DType::i32 &&
      map.dtype() != DType::u8)
    return fmt::format("has dtype '{}', expected bf16, f8e4m3fn, f32, i32 or "
                       "u8",
                       dtypeName(map.dtype()));
  if (map.slot() >= kernel.num_args())
    return fmt::format("takes its base from slot {} of {}", map.slot(),
                       kernel.num_args());
  const unsigned rank = map.dims()->size();
  if (!rank || rank > 5 || map.box()->size() != rank)
    return fmt::format("has {} dimensions and a box of {}, expected 1 to 5 and "
                       "as many",
                       rank, map.box()->size());
  const unsigned swizzle = map.swizzle();
  if (swizzle != 0 && swizzle != 32 && swizzle != 64 && swizzle != 128)
    return fmt::format("has swizzle {}, expected 0, 32, 64 or 128", swizzle);
  uint64_t boxBytes = element;
  for (unsigned i = 0; i < rank; ++i) {
    const TensorMapDim &dim = *map.dims()->Get(i);
    if (dim.extent() > kMaxExtent || (dim.extent() && dim.slot()))
      return fmt::format("dimension {} has extent {} and slot {}", i,
                         dim.extent(), dim.slot());
    if (!dim.extent() && dim.slot() >= kernel.num_args())
      return fmt::format("dimension {} takes its extent from slot {} of {}", i,
                         dim.slot(), kernel.num_args());
    if (i == 0 ? dim.stride_bytes() != element
               : !dim.stride_bytes() || dim.stride_bytes() % 16 ||
                     dim.stride_bytes() >= kMaxStride)
      return fmt::format("dimension {} has a stride of {} bytes, expected {}",
                         i, dim.stride_bytes(),
                         i == 0 ? fmt::format("an element's {}", element)
                                : "a multiple of 16 below 2^40");
    const uint32_t box = map.box()->Get(i);
    if (!box || box > 256)
      return fmt::format("has a box of {} in dimension {}, expected 1 to 256",
                         box, i);
    boxBytes *= box; // at most 4 * 2^40
  }
  const uint64_t innerBytes = uint64_t(map.box()->Get(0)) * element;
  if (innerBytes % 16 || (swizzle && innerBytes > swizzle))
    return fmt::format("has a box {} bytes wide, expected a multiple of 16 "
                       "within its swizzle of {}",
                       innerBytes, swizzle);
  if (boxBytes > kernel.shared_bytes())
    return fmt::format("has a box of {} bytes for {} bytes of shared memory",
                       boxBytes, kernel.shared_bytes());
  return "";
}

} // namespace

std::string checkDeviceKernel(const schema::Artifact &artifact,
                              const Kernel &kernel) {
  std::string_view name = kernel.name()->string_view();
  auto fail = [&](const std::string &what) {
    return fmt::format("kernel '{}' {}", name, what);
  };
  if (!isIdentifier(name))
    return fail("is not named as a function can be");
  if (kernel.scratch_bytes())
    return fail("wants scratch, which sm_90a does not give");
  if (!kernel.threads() || kernel.threads() % 32 || kernel.threads() > 1024)
    return fail(fmt::format("has blocks of {} threads, expected a multiple of "
                            "32 up to 1024",
                            kernel.threads()));
  if (kernel.shared_bytes() > sm90a::kMaxSharedBytes)
    return fail(fmt::format("wants {} bytes of shared memory, there are {}",
                            kernel.shared_bytes(), sm90a::kMaxSharedBytes));
  if (!kernel.ctas_per_item() || kernel.ctas_per_item() > 1024)
    return fail(fmt::format("has {} blocks for a work item, expected 1 to 1024",
                            kernel.ctas_per_item()));
  if (kernel.workspace_fixed() > kMaxWorkspaceBytes ||
      kernel.workspace_per_item() > kMaxWorkspaceBytes)
    return fail(fmt::format("wants a workspace of {} + {} bytes for each item",
                            kernel.workspace_fixed(),
                            kernel.workspace_per_item()));
  if (std::string what = checkCode(artifact, kernel); !what.empty())
    return fail(what);
  const unsigned maps = kernel.tensor_maps() ? kernel.tensor_maps()->size() : 0;
  // Slots, the workspace's address, then maps at a multiple of 64.
  const uint64_t slotBytes = 8 * (uint64_t(kernel.num_args()) +
                                  (kernel.workspace_fixed() ||
                                   kernel.workspace_per_item()));
  const uint64_t bytes =
      maps ? (slotBytes + 63) / 64 * 64 + maps * uint64_t(128) : slotBytes;
  if (bytes > kMaxKernelParameterBytes)
    return fail(fmt::format("takes {} bytes of parameters, at most {} are "
                            "passed",
                            bytes, kMaxKernelParameterBytes));
  for (unsigned i = 0; i < maps; ++i)
    if (std::string what = checkTensorMap(kernel, *kernel.tensor_maps()->Get(i));
        !what.empty())
      return fail(fmt::format("tensor map {} {}", i, what));
  return "";
}

std::string checkDeviceLaunch(const Kernel &kernel, const Command &launch) {
  // Both factors are below 2^41.
  if (launch.items() * kernel.ctas_per_item() > kMaxGrid)
    return fmt::format("{} work items of {} blocks exceed a grid of {}",
                       launch.items(), kernel.ctas_per_item(), kMaxGrid);
  std::optional<uint64_t> workspace =
      checkedMul(kernel.workspace_per_item(), launch.items());
  workspace = workspace ? checkedAdd(*workspace, kernel.workspace_fixed())
                        : workspace;
  if (!workspace || *workspace > kMaxWorkspaceBytes)
    return fmt::format("its workspace exceeds {} bytes", kMaxWorkspaceBytes);
  if (!kernel.tensor_maps())
    return "";
  for (unsigned i = 0; i < kernel.tensor_maps()->size(); ++i) {
    const TensorMap &map = *kernel.tensor_maps()->Get(i);
    const Arg &base = *launch.args()->Get(map.slot());
    if (base.kind() == ArgKind::scalar || base.value() % 16)
      return fmt::format("argument {}, the base of tensor map {}, is not an "
                         "address at a multiple of 16",
                         map.slot(), i);
    for (const TensorMapDim *dim : *map.dims()) {
      if (dim->extent())
        continue;
      const Arg &extent = *launch.args()->Get(dim->slot());
      if (extent.kind() != ArgKind::scalar || !extent.value() ||
          extent.value() > kMaxExtent)
        return fmt::format("argument {}, an extent of tensor map {}, is not a "
                           "number from 1 to 2^32",
                           dim->slot(), i);
    }
  }
  return "";
}

std::string checkNoDeviceFields(const Kernel &kernel) {
  if (kernel.threads() || kernel.shared_bytes() || kernel.ctas_per_item() ||
      kernel.persistent() || kernel.workspace_fixed() ||
      kernel.workspace_per_item() ||
      (kernel.tensor_maps() && kernel.tensor_maps()->size()) ||
      (kernel.code() && kernel.code()->size()))
    return fmt::format("kernel '{}' has fields of sm_90a",
                       kernel.name()->string_view());
  return "";
}

std::string checkUploadSteps(const Parameter &p, bool allowed) {
  auto fail = [&](const std::string &what) {
    return fmt::format("parameter '{}' {}", p.name()->string_view(), what);
  };
  const unsigned scales = p.scale_parts() ? p.scale_parts()->size() : 0;
  if (!p.row_pitch() && !scales && !p.scale_block_rows() &&
      !p.scale_block_cols() && (!p.scale_dtypes() || !p.scale_dtypes()->size()))
    return "";
  if (!allowed)
    return fail("has upload steps, its target has none");
  if (p.kind() == ParameterKind::generated || !p.inner()->size())
    return fail("has upload steps but no matrix");
  if (p.row_pitch()) {
    // At most 2^31 elements of 8 bytes.
    const uint64_t row = p.inner()->Get(p.inner()->size() - 1) *
                         dtypeBytes(p.dtype());
    if (p.row_pitch() != (row + 15) / 16 * 16)
      return fail(fmt::format("has a row pitch of {} bytes, expected {}",
                              p.row_pitch(), (row + 15) / 16 * 16));
  }
  if (!scales && !p.scale_block_rows() && !p.scale_block_cols())
    return "";
  if (p.kind() == ParameterKind::stack || p.inner()->size() != 1)
    return fail("is dequantised but is not a matrix");
  if (scales != p.parts()->size() || !p.scale_block_rows() ||
      !p.scale_block_cols())
    return fail(fmt::format("is dequantised with {} scale tensors of {}x{} "
                            "blocks for {} parts",
                            scales, p.scale_block_rows(), p.scale_block_cols(),
                            p.parts()->size()));
  if (p.dtype() != DType::bf16 || p.place() != Placement::copy ||
      p.file_dtypes()->size() != 1 ||
      static_cast<DType>(p.file_dtypes()->Get(0)) != DType::f8e4m3fn)
    return fail("is dequantised but is not bf16 copied from f8e4m3fn");
  if (!p.scale_dtypes() || !p.scale_dtypes()->size())
    return fail("is dequantised with scales of no accepted dtype");
  for (unsigned i = 0; i < p.scale_dtypes()->size(); ++i) {
    DType d = static_cast<DType>(p.scale_dtypes()->Get(i));
    if (d != DType::f32 && d != DType::bf16 && d != DType::f8e8m0fnu)
      return fail(fmt::format("accepts scales of dtype {}",
                              static_cast<unsigned>(d)));
  }
  return "";
}

} // namespace hadal::artifact
