#include "runtime/device/GpuProgram.h"

#include <cstring>

#include <gtest/gtest.h>

#include "runtime/artifact/Artifact.h"
#include "runtime/cts/ToyArtifact.h"

using namespace hadal;
using schema::ArgKind;

namespace {

uint64_t wordAt(std::span<const uint8_t> block, size_t offset) {
  uint64_t word;
  std::memcpy(&word, block.data() + offset, 8);
  return word;
}

class GpuProgramTest : public testing::Test {
protected:
  GpuProgramTest() : model(toy::model()) { toy::makeSm90a(model); }

  schema::KernelT &kernel(toy::Kernel k) { return *model.kernels[k]; }
  /// The only launches of the head entry head_1.
  void setLaunches(std::vector<schema::CommandT> launches) {
    auto &commands = model.functions[model.entries[4]->function]->commands;
    commands.clear();
    for (schema::CommandT &launch : launches)
      commands.push_back(std::make_unique<schema::CommandT>(std::move(launch)));
  }
  schema::CommandT scratch(uint64_t items, uint64_t factor) {
    return toy::launch(toy::kScratch, items,
                       {toy::arg(ArgKind::state, 4),
                        toy::arg(ArgKind::scalar, 0, factor),
                        toy::arg(ArgKind::scalar, 0, 40)});
  }
  schema::TensorMapT tensorMap() {
    schema::TensorMapT map;
    map.slot = 0;
    map.dtype = schema::DType::bf16;
    map.swizzle = 128;
    map.box = {64, 8};
    auto dim = [&](uint64_t extent, uint32_t slot, uint64_t stride) {
      auto d = std::make_unique<schema::TensorMapDimT>();
      d->extent = extent;
      d->slot = slot;
      d->stride_bytes = stride;
      map.dims.push_back(std::move(d));
    };
    dim(576, 0, 2);
    dim(0, 1, 1152);
    return map;
  }

  StatusOr<GpuProgram> flattenHead(unsigned multiprocessors = 4) {
    toy::writeFile(dir.file("m.hadal"), toy::assemble(model));
    HADAL_ASSIGN_OR_RETURN(Artifact opened,
                           Artifact::open(dir.file("m.hadal")));
    artifact.emplace(std::move(opened));
    HADAL_ASSIGN_OR_RETURN(layout, layoutWorkspace(artifact->root()));
    Bindings bindings;
    bindings.parameters = {0x100, 0x200, 0x300};
    bindings.states = {0x1000, 0x2000, 0x3000, 0x4000, 0x5000};
    bindings.outputs = {0x6000};
    bindings.inputs.fill(0x7000);
    GpuContext context{0x900000, layout, multiprocessors,
                       [this](const TensorMapRequest &request, uint8_t *map) {
                         requests.push_back(request);
                         std::memset(map, int(requests.size()), 128);
                         return encodeResult;
                       }};
    return flattenForGpu(artifact->root(),
                         flatten(artifact->root(),
                                 *artifact->root().entries()->Get(4), bindings),
                         context);
  }

  toy::TempDir dir;
  schema::ArtifactT model;
  std::optional<Artifact> artifact;
  WorkspaceLayout layout;
  std::vector<TensorMapRequest> requests;
  Status encodeResult;
};

} // namespace

TEST_F(GpuProgramTest, GridsFollowItemsPartsAndPersistence) {
  kernel(toy::kScratch).ctas_per_item = 3;
  setLaunches({scratch(5, 2), scratch(1, 9)});
  auto program = flattenHead();
  ASSERT_TRUE(program.ok()) << program.status().toString();
  ASSERT_EQ(program->launches.size(), 2u);
  EXPECT_EQ(program->launches[0].grid, 15u);
  EXPECT_EQ(program->launches[1].grid, 3u);
  kernel(toy::kScratch).persistent = true;
  program = flattenHead(4);
  ASSERT_TRUE(program.ok());
  EXPECT_EQ(program->launches[0].grid, 4u);
  EXPECT_EQ(program->launches[1].grid, 3u);
}

TEST_F(GpuProgramTest, ParametersAreSlotsThenWorkspaceThenTensorMaps) {
  schema::KernelT &k = kernel(toy::kScratch);
  k.shared_bytes = 1024;
  k.tensor_maps.push_back(std::make_unique<schema::TensorMapT>(tensorMap()));
  setLaunches({scratch(2, 77)});
  auto program = flattenHead();
  ASSERT_TRUE(program.ok()) << program.status().toString();
  // Three slots, then the map at 64.
  EXPECT_EQ(program->launches[0].numBytes, 192u);
  EXPECT_EQ(program->launches[0].firstByte % 64, 0u);
  std::span<const uint8_t> block = program->block(program->launches[0]);
  EXPECT_EQ(wordAt(block, 0), 0x5000u);
  EXPECT_EQ(wordAt(block, 8), 77u);
  EXPECT_EQ(wordAt(block, 16), 40u);
  EXPECT_EQ(wordAt(block, 64), 0x0101010101010101u);
  EXPECT_EQ(parameterOffsets(*artifact->root().kernels()->Get(toy::kScratch)),
            (std::vector<uint32_t>{0, 8, 16, 64}));

  k.workspace_fixed = 512;
  k.tensor_maps.push_back(std::make_unique<schema::TensorMapT>(tensorMap()));
  k.tensor_maps[1]->box = {32, 8};
  program = flattenHead();
  ASSERT_TRUE(program.ok()) << program.status().toString();
  EXPECT_EQ(program->launches[0].numBytes, 320u);
  block = program->block(program->launches[0]);
  EXPECT_EQ(wordAt(block, 24), 0x900000u);
  EXPECT_EQ(parameterOffsets(*artifact->root().kernels()->Get(toy::kScratch)),
            (std::vector<uint32_t>{0, 8, 16, 24, 64, 192}));
}

TEST_F(GpuProgramTest, TensorMapsTakeBaseAndExtentsFromSlots) {
  schema::KernelT &k = kernel(toy::kScratch);
  k.shared_bytes = 1024;
  k.tensor_maps.push_back(std::make_unique<schema::TensorMapT>(tensorMap()));
  // Equal maps are encoded once, another extent makes another map.
  setLaunches({scratch(2, 77), scratch(3, 77), scratch(2, 78)});
  auto program = flattenHead();
  ASSERT_TRUE(program.ok()) << program.status().toString();
  ASSERT_EQ(requests.size(), 2u);
  EXPECT_EQ(requests[0].address, 0x5000u);
  EXPECT_EQ(requests[0].dtype, schema::DType::bf16);
  EXPECT_EQ(requests[0].rank, 2u);
  EXPECT_EQ(requests[0].extents[0], 576u);
  EXPECT_EQ(requests[0].extents[1], 77u);
  EXPECT_EQ(requests[0].strides[0], 1152u);
  EXPECT_EQ(requests[0].box[1], 8u);
  EXPECT_EQ(requests[0].swizzleBytes, 128u);
  EXPECT_EQ(requests[1].extents[1], 78u);
  EXPECT_EQ(wordAt(program->block(program->launches[1]), 64),
            0x0101010101010101u);
  EXPECT_EQ(wordAt(program->block(program->launches[2]), 64),
            0x0202020202020202u);

  encodeResult = error(5017, "no");
  Status status = flattenHead().status();
  EXPECT_EQ(status.code(), 5017);
  EXPECT_EQ(status.message(), "tensor map 0 of kernel 'scratch': no");
}

TEST_F(GpuProgramTest, EachKernelHasAWorkspaceOfItsLargestLaunch) {
  kernel(toy::kScratch).workspace_per_item = 100;
  kernel(toy::kScratch).workspace_fixed = 7;
  kernel(toy::kHead).workspace_fixed = 1;
  setLaunches({scratch(5, 1), scratch(9, 1), scratch(2, 1)});
  auto program = flattenHead();
  ASSERT_TRUE(program.ok()) << program.status().toString();
  EXPECT_EQ(layout.offsets[toy::kHead], 0u);
  EXPECT_EQ(layout.offsets[toy::kScratch], 256u);
  EXPECT_EQ(layout.bytes, 256u + 1024u); // 907 rounded up
  for (const GpuLaunch &launch : program->launches)
    EXPECT_EQ(wordAt(program->block(launch), 24), 0x900000u + 256);
}
