// Artifacts for sm_90a: code of kernels, and one twin with a wrong meaning for
// each check of runtime/artifact/VerifySm90a.cpp.
#include <functional>

#include <gtest/gtest.h>
#include <zstd.h>

#include "runtime/artifact/Artifact.h"
#include "runtime/artifact/Verify.h"
#include "runtime/cts/ToyArtifact.h"

using namespace hadal;
using namespace hadal::schema;

namespace {

/// The toy artifact with all that only sm_90a has: `attend` reads y (slot 0)
/// through a tensor map of [pages_per_row (slot 6), 64], the weight `w.0` is
/// dequantised, and `w.1` and the caches have a pitch.
ArtifactT deviceModel() {
  ArtifactT a = toy::model();
  toy::makeSm90a(a);
  KernelT &attend = *a.kernels[toy::kAttend];
  attend.shared_bytes = 4096;
  attend.workspace_fixed = 128;
  attend.workspace_per_item = 1024;
  auto map = std::make_unique<TensorMapT>();
  map->slot = 0;
  map->dtype = DType::bf16;
  for (auto [extent, slot, stride] : {std::array<uint64_t, 3>{64, 0, 2},
                                      std::array<uint64_t, 3>{0, 6, 128}}) {
    auto dim = std::make_unique<TensorMapDimT>();
    dim->extent = extent;
    dim->slot = static_cast<uint32_t>(slot);
    dim->stride_bytes = stride;
    map->dims.push_back(std::move(dim));
  }
  map->box = {64, 8};
  map->swizzle = 128;
  attend.tensor_maps.push_back(std::move(map));

  ParameterT &dequantised = *a.parameters[0];
  dequantised.place = Placement::copy;
  dequantised.dtype = DType::bf16;
  dequantised.file_dtypes = {DType::f8e4m3fn};
  dequantised.inner = {24};
  dequantised.row_pitch = 48;
  dequantised.scale_parts = {"w.0_scale_inv"};
  dequantised.scale_dtypes = {DType::f32, DType::f8e8m0fnu};
  dequantised.scale_block_rows = dequantised.scale_block_cols = 128;
  a.parameters[1]->inner = {3};
  a.parameters[1]->row_pitch = 16;
  a.states[0]->row_pitch = a.states[2]->row_pitch = 16;
  return a;
}

const std::string kPtx = ".version 8.3\n.target sm_90a\n.address_size 64\n";

std::vector<uint8_t> compressed(const std::string &text) {
  std::vector<uint8_t> out(ZSTD_compressBound(text.size()));
  out.resize(ZSTD_compress(out.data(), out.size(), text.data(), text.size(), 3));
  return out;
}

Status verify(const ArtifactT &a) {
  return artifact::verifyFile(
      toy::assemble(a, {std::vector<uint8_t>(kPtx.begin(), kPtx.end())}),
      "m.hadal");
}

struct Case {
  const char *name;
  std::function<void(ArtifactT &)> damage;
  const char *message; // a part of it
};

KernelT &attend(ArtifactT &a) { return *a.kernels[toy::kAttend]; }
TensorMapT &map(ArtifactT &a) { return *attend(a).tensor_maps[0]; }
ParameterT &weight(ArtifactT &a) { return *a.parameters[0]; }
ArgT &argument(ArtifactT &a, size_t index) {
  return *a.functions[0]->commands[1]->args[index];
}

const std::vector<Case> &cases() {
  static const std::vector<Case> list = {
      {"Images",
       [](auto &a) { a.images.push_back(std::make_unique<ImageT>()); },
       "it holds 1 images; on sm_90a a kernel has its own code"},
      {"CpuFields",
       [](auto &a) {
         a.provenance->target = "cpu";
         a.parameters.clear();
         a.states.clear();
       },
       "kernel 'embed' has fields of sm_90a"},
      {"CpuUpload", [](auto &a) { a.provenance->target = "cpu"; },
       "parameter 'w.0' has upload steps, its target has none"},
      {"CpuPitch",
       [](auto &a) {
         a.provenance->target = "cpu";
         a.parameters.clear();
       },
       "state 'kv.0' has a row pitch of 16 bytes"},
      {"Deterministic", [](auto &a) { a.model->deterministic = true; },
       "the model is deterministic, which the kernels of target 'sm_90a' are "
       "not"},
      {"Name", [](auto &a) { attend(a).name = "at end"; },
       "kernel 'at end' is not named as a function can be"},
      {"Scratch", [](auto &a) { attend(a).scratch_bytes = 64; },
       "wants scratch"},
      {"Threads", [](auto &a) { attend(a).threads = 33; },
       "blocks of 33 threads"},
      {"ThreadsMany", [](auto &a) { attend(a).threads = 1056; },
       "blocks of 1056 threads"},
      {"Shared", [](auto &a) { attend(a).shared_bytes = 232449; },
       "wants 232449 bytes of shared memory, there are 232448"},
      {"Ctas", [](auto &a) { attend(a).ctas_per_item = 0; },
       "has 0 blocks for a work item"},
      {"Workspace", [](auto &a) { attend(a).workspace_fixed = 1ull << 50; },
       "wants a workspace of 1125899906842624 +"},
      {"NoPtx", [](auto &a) { attend(a).code[0]->variant = "cubin"; },
       "kernel 'attend' has no PTX"},
      {"NoCode", [](auto &a) { attend(a).code.clear(); }, "has no PTX"},
      {"CodeVariant", [](auto &a) { attend(a).code[0]->variant = "sass"; },
       "code of variant 'sass'"},
      {"CodeTwice",
       [](auto &a) {
         attend(a).code.push_back(
             std::make_unique<KernelCodeT>(*attend(a).code[0]));
       },
       "two codes of variant 'ptx'"},
      {"CodeBlob", [](auto &a) { attend(a).code[0]->blob = 1; },
       "names blob 1 of 1"},
      {"ParameterBytes",
       [](auto &a) {
         for (int i = 0; i < 255; ++i)
           attend(a).tensor_maps.push_back(
               std::make_unique<TensorMapT>(map(a)));
       },
       "takes 32896 bytes of parameters"},
      {"MapDType", [](auto &a) { map(a).dtype = DType::i64; },
       "tensor map 0 has dtype 'i64'"},
      {"MapSlot", [](auto &a) { map(a).slot = 10; },
       "takes its base from slot 10 of 10"},
      {"MapRank", [](auto &a) { map(a).dims.clear(), map(a).box.clear(); },
       "has 0 dimensions"},
      {"MapBoxRank", [](auto &a) { map(a).box.push_back(1); },
       "has 2 dimensions and a box of 3"},
      {"MapSwizzle", [](auto &a) { map(a).swizzle = 16; }, "has swizzle 16"},
      {"MapExtent", [](auto &a) { map(a).dims[1]->extent = 1ull << 33; },
       "dimension 1 has extent 8589934592"},
      {"MapExtentSlot", [](auto &a) { map(a).dims[1]->slot = 10; },
       "dimension 1 takes its extent from slot 10 of 10"},
      {"MapElement", [](auto &a) { map(a).dims[0]->stride_bytes = 4; },
       "dimension 0 has a stride of 4 bytes, expected an element's 2"},
      {"MapStride", [](auto &a) { map(a).dims[1]->stride_bytes = 120; },
       "dimension 1 has a stride of 120 bytes"},
      {"MapBox", [](auto &a) { map(a).box[1] = 257; },
       "box of 257 in dimension 1"},
      {"MapBoxWidth", [](auto &a) { map(a).box[0] = 4; },
       "a box 8 bytes wide"},
      {"MapBoxSwizzle", [](auto &a) { map(a).swizzle = 64; },
       "a box 128 bytes wide, expected a multiple of 16 within its swizzle"},
      {"MapShared", [](auto &a) { map(a).box[1] = 64; },
       "has a box of 8192 bytes for 4096 bytes of shared memory"},
      {"Grid", [](auto &a) { attend(a).ctas_per_item = 1024,
                             a.functions[0]->commands[1]->items = 1u << 22; },
       "4194304 work items of 1024 blocks exceed a grid"},
      {"LaunchWorkspace",
       [](auto &a) { a.functions[0]->commands[1]->items = 1u << 31 >> 1; },
       "its workspace exceeds"},
      {"BaseScalar",
       [](auto &a) { argument(a, 0).kind = ArgKind::scalar; },
       "argument 0, the base of tensor map 0, is not an address"},
      {"BaseAligned", [](auto &a) { argument(a, 0).value += 8; },
       "is not an address at a multiple of 16"},
      {"ExtentNumber", [](auto &a) { argument(a, 6).value = 0; },
       "argument 6, an extent of tensor map 0, is not a number"},
      {"ExtentAddress",
       [](auto &a) { argument(a, 6).kind = ArgKind::arena; },
       "argument 6, an extent of tensor map 0, is not a number"},
      {"Pitch", [](auto &a) { weight(a).row_pitch = 64; },
       "parameter 'w.0' has a row pitch of 64 bytes, expected 48"},
      {"PitchOfVector", [](auto &a) { a.parameters[2]->row_pitch = 256; },
       "parameter 'bias' has upload steps but no matrix"},
      {"ScaleParts", [](auto &a) { weight(a).scale_parts.push_back("x"); },
       "2 scale tensors of 128x128 blocks for 1 parts"},
      {"ScaleBlock", [](auto &a) { weight(a).scale_block_cols = 0; },
       "scale tensors of 128x0 blocks"},
      {"ScaleRank",
       [](auto &a) { weight(a).inner = {24, 24}; },
       "is dequantised but is not a matrix"},
      {"ScaleDType", [](auto &a) { weight(a).scale_dtypes = {DType::i32}; },
       "accepts scales of dtype 5"},
      {"ScaleNoDType", [](auto &a) { weight(a).scale_dtypes.clear(); },
       "scales of no accepted dtype"},
      {"DequantisedDType",
       [](auto &a) { weight(a).file_dtypes.push_back(DType::bf16); },
       "is dequantised but is not bf16 copied from f8e4m3fn"},
      {"CachePitch", [](auto &a) { a.states[0]->row_pitch = 8; },
       "state 'kv.0' has a row pitch of 8 bytes"},
  };
  return list;
}

class Sm90aMeaning : public testing::TestWithParam<size_t> {};

} // namespace

TEST_P(Sm90aMeaning, IsRefusedWithItsMessage) {
  const Case &c = cases()[GetParam()];
  ArtifactT a = deviceModel();
  c.damage(a);
  Status status = verify(a);
  EXPECT_EQ(status.code(), 4005) << status.toString();
  EXPECT_NE(status.message().find(c.message), std::string::npos)
      << status.toString();
}

INSTANTIATE_TEST_SUITE_P(Twins, Sm90aMeaning,
                         testing::Range<size_t>(0, cases().size()),
                         [](const auto &info) {
                           return std::string(cases()[info.param].name);
                         });

TEST(Sm90a, ValidFileIsAccepted) {
  Status status = verify(deviceModel());
  EXPECT_TRUE(status.ok()) << status.toString();
}

TEST(Sm90a, CodeIsDecompressed) {
  toy::TempDir dir;
  ArtifactT a = deviceModel();
  auto cubin = std::make_unique<KernelCodeT>();
  cubin->variant = "cubin";
  cubin->blob = 1;
  a.kernels[toy::kMove]->code.push_back(std::move(cubin));
  toy::writeFile(dir.file("m.hadal"),
                 toy::assemble(a, {compressed(kPtx), {1, 2, 3}},
                               {kPtx.size(), 0}));
  auto artifact = hadal::Artifact::open(dir.file("m.hadal"));
  ASSERT_TRUE(artifact.ok()) << artifact.status().toString();
  EXPECT_TRUE(artifact->hasCode(toy::kMove, "cubin"));
  EXPECT_FALSE(artifact->hasCode(toy::kEmbed, "cubin"));
  auto ptx = artifact->code(toy::kMove, "ptx");
  ASSERT_TRUE(ptx.ok()) << ptx.status().toString();
  EXPECT_EQ(*ptx, kPtx);
  auto elf = artifact->code(toy::kMove, "cubin");
  ASSERT_TRUE(elf.ok());
  EXPECT_EQ(*elf, std::string("\1\2\3"));
}

TEST(Sm90a, CompressedBlobsOfAnotherSizeAreRefused) {
  std::vector<uint8_t> blob = compressed(kPtx);
  auto codeOf = [](const std::vector<uint8_t> &b, uint64_t bytes) {
    return artifact::verifyFile(toy::assemble(deviceModel(), {b}, {bytes}),
                                "m.hadal")
        .code();
  };
  EXPECT_EQ(codeOf(blob, kPtx.size()), 0);
  EXPECT_EQ(codeOf(blob, kPtx.size() + 1), 4005);
  EXPECT_EQ(codeOf({1, 2, 3}, 3), 4005);
  EXPECT_EQ(codeOf(blob, 1ull << 40), 4005);
}

TEST(Sm90a, AFrameThatDoesNotDecompressIsAnError) {
  toy::TempDir dir;
  std::vector<uint8_t> blob = compressed(kPtx);
  // Behind the frame's header, which states the size.
  blob[blob.size() - 3] ^= 0xff;
  blob.resize(blob.size() - 1);
  toy::writeFile(dir.file("m.hadal"),
                 toy::assemble(deviceModel(), {blob}, {kPtx.size()}));
  auto artifact = hadal::Artifact::open(dir.file("m.hadal"));
  ASSERT_TRUE(artifact.ok()) << artifact.status().toString();
  EXPECT_EQ(artifact->code(0, "ptx").status().code(), 4004);
}
