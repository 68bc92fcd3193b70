// What the writer serialises of a program for several ranks, read back by the
// runtime, which verifies it.
#include "compiler/artifact/Writer.h"

#include "compiler/driver/Register.h"
#include "dialects/Exec/IR/Exec.h"
#include "dialects/Tile/IR/TileDialect.h"
#include "mlir/IR/MLIRContext.h"
#include "mlir/Parser/Parser.h"
#include "mlir/Pass/PassManager.h"
#include "passes/Memory/Passes.h"
#include "runtime/artifact/Artifact.h"
#include "test/runtime/TempDirectory.h"

using namespace hadal;
using mlir::ModuleOp;

namespace {

constexpr const char *kProgram = R"(
module attributes {
  exec.mesh = #exec.mesh<tp 2, dp 2, ep 4, node 4, slots 2, vocab_split>,
  exec.model = {model_type = "moe", vocab_size = 64 : i64, hidden_size = 64 : i64,
    num_layers = 4 : i64, num_experts = 6 : i64, num_experts_per_token = 2 : i64,
    num_moe_layers = 3 : i64, max_seq_len = 64 : i64, max_batch_size = 4 : i64,
    page_size = 16 : i64, bos_token_id = 0 : i64, activations = "bf16",
    fp8_mode = "none", hidden_buffer_bytes = 512 : i64},
  exec.options = {target = "cpu"}} {
exec.communicator @tp axis tp size 2
exec.communicator @ep axis ep size 4
exec.parameter @q_b tensor map bf16 rows [384] inner [64] from ["q_b"] accepts [bf16] slice tp dim 0 unit 192
exec.parameter @up stack of 2 map bf16 rows [32] inner [64] from ["e.{e}"] accepts [bf16] slice ep dim 0 unit 1 layer 3
exec.placement_table @layers.3.placement layer 3 experts 6 replicas 2
exec.state @hidden buffer bytes 512
exec.state @comm.overflow buffer bytes 32
tile.kernel @copy(%x: !tile.view<?x64xbf16>, %y: !tile.view<?x64xbf16>, %sz: !tile.sizes)
    domain(%m = ? by 1 in tokens) {
  %c0 = arith.constant 0 : index
  %t = tile.load %x[%m, %c0] : !tile.view<?x64xbf16> -> tensor<1x64xbf16>
  tile.store %y[%m, %c0], %t : !tile.view<?x64xbf16>, tensor<1x64xbf16>
}
exec.func @layer() states(%hidden) {
  %sizes = exec.input sizes
  %send = exec.buffer "send" 512 exchange
  %receive = exec.buffer "receive" 512 exchange
  %sent = exec.buffer "sent" 128 exchange
  %got = exec.buffer "got" 128 exchange
  exec.launch @copy items 4 (%hidden, 4, %send, 4, %sizes)
  exec.launch @copy items 1 (%hidden, 1, %sent, 1, %sizes)
  exec.record 0 stream 0
  exec.wait 0 stream 1
  exec.collective @ep all_to_all [(%send, %receive, 1 x 128 counted 1), (%sent, %got, 1 x 8)]
    counts(%sent stride 2) label "dispatch" op "moe_layer.dispatch" stream 1
  exec.record 1 stream 1
  exec.wait 1 stream 0
  exec.launch @copy items 4 (%receive, 4, %hidden, 4, %sizes)
}
exec.entry @decode_4 decode tokens 4 rows 4 queries 1 attention "absorbed" rung expected capacity 1 pairs 2 {
  %hidden = exec.get_state @hidden
  exec.repeat 3 @layer () states (%hidden, %hidden, %hidden)
}
exec.entry @decode_4_worst decode tokens 4 rows 4 queries 1 attention "absorbed" rung worst capacity 4 pairs 8 {
  %sizes = exec.input sizes
  %hidden = exec.get_state @hidden
  %send = exec.buffer "partial" 256 exchange
  %receive = exec.buffer "sum" 128 exchange
  exec.launch @copy items 2 (%hidden, 2, %send, 2, %sizes)
  exec.record 0 stream 0
  exec.wait 0 stream 1
  exec.collective @tp reduce_scatter [(%send, %receive, 1 x 128 of bf16)] label "o_proj" stream 1
  exec.record 1 stream 1
  exec.wait 1 stream 0
  exec.launch @copy items 1 (%receive, 1, %hidden, 1, %sizes)
}
exec.entry @head_1 head logit_rows 1 {
}
}
)";

class RankWriterTest : public testing::Test {
protected:
  RankWriterTest() {
    mlir::DialectRegistry registry;
    registerAll(registry);
    context.appendDialectRegistry(registry);
    context.loadAllAvailableDialects();
    code.kernels.resize(1);
    code.kernels[0].name = "copy";
    code.images.push_back({"v3", std::vector<uint8_t>(64), {0}});
  }
  llvm::Expected<std::vector<uint8_t>> write(const std::string &text) {
    module = mlir::parseSourceString<ModuleOp>(text, &context);
    EXPECT_TRUE(module);
    mlir::PassManager pm(&context);
    pm.addPass(createPlanBuffers());
    pm.addPass(createVerifyExec());
    mlir::ScopedDiagnosticHandler quiet(&context, [](mlir::Diagnostic &d) {
      return mlir::success(d.getSeverity() == mlir::DiagnosticSeverity::Remark);
    });
    EXPECT_TRUE(mlir::succeeded(pm.run(*module)));
    return serializeArtifact(*module, code);
  }
  StatusOr<Artifact> reopen(const std::string &text) {
    auto file = write(text);
    if (!file)
      return error(5014, "{}", llvm::toString(file.takeError()));
    return Artifact::open(directory.write(
        "a.hadal",
        {reinterpret_cast<const char *>(file->data()), file->size()}));
  }

  mlir::MLIRContext context;
  mlir::OwningOpRef<ModuleOp> module;
  TargetCode code;
  test::TempDirectory directory;
};

} // namespace

TEST_F(RankWriterTest, MeshAndParametersComeBack) {
  auto opened = reopen(kProgram);
  ASSERT_TRUE(opened.ok()) << opened.status().toString();
  const schema::Artifact &root = opened->root();
  const schema::Mesh &mesh = *root.mesh();
  EXPECT_EQ(mesh.tp(), 2u);
  EXPECT_EQ(mesh.dp(), 2u);
  EXPECT_EQ(mesh.ep(), 4u);
  EXPECT_EQ(mesh.ranks_per_node(), 4u);
  EXPECT_EQ(mesh.slots(), 2u);
  EXPECT_TRUE(mesh.vocab_split());
  ASSERT_EQ(root.communicators()->size(), 2u);
  EXPECT_EQ(root.communicators()->Get(1)->name()->str(), "ep");
  EXPECT_EQ(root.communicators()->Get(1)->axis(), schema::Axis::ep);
  EXPECT_EQ(root.communicators()->Get(1)->size(), 4u);
  EXPECT_EQ(root.exchange_bytes(), 512u + 512 + 128 + 128);

  const schema::Parameter &rows = *root.parameters()->Get(0);
  EXPECT_EQ(rows.slice()->axis(), schema::Axis::tp);
  EXPECT_EQ(rows.slice()->dim(), 0u);
  EXPECT_EQ(rows.slice()->unit(), 192u);
  EXPECT_EQ(rows.layer(), -1);
  const schema::Parameter &stack = *root.parameters()->Get(1);
  EXPECT_EQ(stack.slice()->axis(), schema::Axis::ep);
  EXPECT_EQ(stack.count(), 2u);
  EXPECT_EQ(stack.layer(), 3);
  const schema::Parameter &table = *root.parameters()->Get(2);
  EXPECT_EQ(table.kind(), schema::ParameterKind::generated);
  EXPECT_EQ(table.generator(), schema::Generator::placement_table);
  EXPECT_EQ(table.dtype(), schema::DType::i32);
  EXPECT_EQ(table.layer(), 3);
  EXPECT_EQ(table.replicas(), 2u);
}

TEST_F(RankWriterTest, CollectivesAndEventsComeBack) {
  auto opened = reopen(kProgram);
  ASSERT_TRUE(opened.ok()) << opened.status().toString();
  const schema::Artifact &root = opened->root();
  const schema::Function &layer = *root.functions()->Get(0);
  EXPECT_EQ(layer.num_events(), 2u);
  ASSERT_EQ(layer.commands()->size(), 8u);
  auto expectEvent = [&](unsigned at, schema::CommandKind kind, unsigned event,
                         unsigned stream) {
    const schema::Command &c = *layer.commands()->Get(at);
    EXPECT_EQ(c.kind(), kind) << at;
    EXPECT_EQ(c.event(), event) << at;
    EXPECT_EQ(c.stream(), stream) << at;
  };
  expectEvent(2, schema::CommandKind::record, 0, 0);
  expectEvent(3, schema::CommandKind::wait, 0, 1);
  expectEvent(5, schema::CommandKind::record, 1, 1);
  expectEvent(6, schema::CommandKind::wait, 1, 0);
  const schema::Command &c = *layer.commands()->Get(4);
  EXPECT_EQ(c.kind(), schema::CommandKind::collective);
  EXPECT_EQ(c.collective(), schema::CollectiveKind::all_to_all);
  EXPECT_EQ(c.communicator(), 1u);
  EXPECT_EQ(c.stream(), 1u);
  EXPECT_EQ(c.label()->str(), "dispatch");
  EXPECT_EQ(root.op_names()->Get(c.op())->str(), "moe_layer.dispatch");
  ASSERT_EQ(c.parts()->size(), 2u);
  const schema::Part &part = *c.parts()->Get(0);
  EXPECT_EQ(part.send()->kind(), schema::ArgKind::arena);
  EXPECT_EQ(part.send()->value(), 0u);
  EXPECT_EQ(part.receive()->value(), 512u);
  EXPECT_EQ(part.rows(), 1u);
  EXPECT_EQ(part.row_bytes(), 128u);
  EXPECT_EQ(part.count_column(), 1);
  EXPECT_EQ(c.parts()->Get(1)->count_column(), -1);
  EXPECT_EQ(c.counts()->value(), c.parts()->Get(1)->send()->value());
  EXPECT_EQ(c.count_stride(), 2u);

  const schema::Function &worst = *root.functions()->Get(2);
  const schema::Command &sum = *worst.commands()->Get(3);
  EXPECT_EQ(sum.collective(), schema::CollectiveKind::reduce_scatter);
  EXPECT_EQ(sum.communicator(), 0u);
  EXPECT_EQ(sum.parts()->Get(0)->dtype(), schema::DType::bf16);
  EXPECT_FALSE(sum.counts());
}

TEST_F(RankWriterTest, EntriesComeBackWithTheirDigests) {
  auto opened = reopen(kProgram);
  ASSERT_TRUE(opened.ok()) << opened.status().toString();
  const auto &entries = *opened->root().entries();
  EXPECT_EQ(entries.Get(0)->rung(), schema::Rung::expected);
  EXPECT_EQ(entries.Get(0)->capacity_rows(), 1u);
  EXPECT_EQ(entries.Get(0)->capacity_pairs(), 2u);
  EXPECT_EQ(entries.Get(1)->rung(), schema::Rung::worst);
  EXPECT_NE(entries.Get(0)->collective_digest(), 0u);
  EXPECT_NE(entries.Get(0)->collective_digest(),
            entries.Get(1)->collective_digest());
  EXPECT_EQ(entries.Get(2)->collective_digest(), 0u);

  // It is of the unrolled list: another count of layers is another digest.
  const uint64_t digest = entries.Get(0)->collective_digest();
  std::string text = kProgram;
  for (auto [from, to] :
       {std::pair{"repeat 3", "repeat 2"},
        {"(%hidden, %hidden, %hidden)", "(%hidden, %hidden)"}}) {
    size_t at = text.find(from);
    ASSERT_NE(at, std::string::npos);
    text.replace(at, std::string(from).size(), to);
  }
  auto other = reopen(text);
  ASSERT_TRUE(other.ok()) << other.status().toString();
  EXPECT_NE(other->root().entries()->Get(0)->collective_digest(), digest);
}

TEST_F(RankWriterTest, RefusesATableOfOtherExperts) {
  std::string text = kProgram;
  size_t at = text.find("experts 6 replicas");
  text.replace(at, 9, "experts 8");
  auto written = write(text);
  ASSERT_FALSE(static_cast<bool>(written));
  EXPECT_EQ(llvm::toString(written.takeError()),
            "H2001: 'layers.3.placement' places 8 experts, the model has 6");
}
