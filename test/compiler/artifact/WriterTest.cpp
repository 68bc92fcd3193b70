// What the writer serialises, read back by the runtime: the whole program of a
// model, one to one, and every refusal.
#include "compiler/artifact/Writer.h"

#include "compiler/driver/Compiler.h"
#include "compiler/driver/Register.h"
#include "dialects/Exec/IR/Exec.h"
#include "dialects/Tile/IR/TileDialect.h"
#include "kernels/SpecAttr.h"
#include "mlir/IR/MLIRContext.h"
#include "mlir/Parser/Parser.h"
#include "runtime/artifact/Artifact.h"
#include "test/Paths.h"
#include "test/runtime/TempDirectory.h"

using namespace hadal;
using mlir::ModuleOp;

namespace {

/// The plan of a small MoE model for |target|, made once.
const std::string &planOf(const std::string &target) {
  static std::map<std::string, std::string> plans;
  std::string &text = plans[target];
  if (!text.empty())
    return text;
  test::TempDirectory directory;
  CompileRequest request;
  request.input = HADAL_SOURCE_DIR "/test/tools/hadal-compile/Inputs/moe";
  request.output = directory.file("plan.mlir");
  request.last = Phase::Plan;
  request.options.target = target;
  if (target != "cpu")
    request.options.chip = "h100";
  std::string log;
  llvm::raw_string_ostream os(log);
  if (llvm::Error error = compile(request, os))
    ADD_FAILURE() << llvm::toString(std::move(error));
  return text = directory.read("plan.mlir");
}

class WriterTest : public testing::Test {
protected:
  WriterTest() {
    mlir::DialectRegistry registry;
    registerAll(registry);
    context.appendDialectRegistry(registry);
    context.loadAllAvailableDialects();
    take("cpu");
  }

  void take(const std::string &target) {
    module = mlir::parseSourceString<ModuleOp>(planOf(target), &context);
    ASSERT_TRUE(module);
    code = {};
    for (auto kernel : module->getOps<tile::KernelOp>()) {
      KernelFacts facts;
      facts.name = kernel.getSymName();
      facts.facts = {{"form", "of " + facts.name}};
      if (target == "cpu")
        facts.scratchBytes = 64 * (code.kernels.size() + 1);
      else
        facts.device = deviceKernel(facts.name);
      code.kernels.push_back(facts);
    }
    if (target != "cpu") {
      code.ptxIsa = 83;
      code.driverMinimum = 12030;
      code.ptxas = "13.0.48";
      return;
    }
    for (const char *variant : {"v3", "v4"}) {
      KernelImage image{variant, {}, {}};
      image.bytes.assign(16 * code.kernels.size(), variant[1]);
      for (size_t k = 0; k < code.kernels.size(); ++k)
        image.entryOffsets.push_back(16 * k);
      code.images.push_back(image);
    }
  }
  static DeviceKernel deviceKernel(const std::string &name) {
    DeviceKernel device;
    device.threads = 256;
    device.ctasPerItem = 2;
    device.sharedBytes = 1024;
    device.workspaceFixed = 128;
    device.workspacePerItem = 512;
    device.ptx = ".entry " + name + std::string(1000, ' ');
    device.cubin = "\x7f"
                   "ELF of " +
                   name;
    DeviceTensorMap map;
    map.dtype = schema::DType::bf16;
    map.dims = {{64, 0, 2, 64}, {8, 0, 128, 8}};
    map.swizzle = 128;
    device.tensorMaps = {map};
    return device;
  }

  std::vector<uint8_t> bytes() {
    auto written = serializeArtifact(*module, code);
    if (!written) {
      ADD_FAILURE() << llvm::toString(written.takeError());
      return {};
    }
    return std::move(*written);
  }
  /// Writes and opens the artifact, which verifies it.
  StatusOr<Artifact> reopen() {
    std::vector<uint8_t> file = bytes();
    return Artifact::open(directory.write(
        "a.hadal", {reinterpret_cast<const char *>(file.data()), file.size()}));
  }
  void expectError(const std::string &part) {
    auto written = serializeArtifact(*module, code);
    ASSERT_FALSE(static_cast<bool>(written)) << "written; expected: " << part;
    std::string text = llvm::toString(written.takeError());
    EXPECT_EQ(text, "H2001: " + part);
  }
  /// The module's |exec.model| without |key|, or with it |changed|.
  void setModel(llvm::StringRef key, mlir::Attribute changed = {}) {
    mlir::NamedAttrList facts(
        (*module)->getAttrOfType<mlir::DictionaryAttr>("exec.model"));
    facts.erase(key);
    if (changed)
      facts.append(key, changed);
    (*module)->setAttr("exec.model", facts.getDictionary(&context));
  }

  mlir::MLIRContext context;
  mlir::OwningOpRef<ModuleOp> module;
  TargetCode code;
  test::TempDirectory directory;
};

//===----------------------------------------------------------------------===//
// The program as text, from either side
//===----------------------------------------------------------------------===//

/// Of the module.
struct ModuleText {
  explicit ModuleText(ModuleOp module) : module(module) {
    for (mlir::Operation &op : *module.getBody()) {
      if (auto parameter = llvm::dyn_cast<exec::ParameterOp>(op))
        parameters.push_back(parameter.getSymName().str());
      else if (auto table = llvm::dyn_cast<exec::RopeTableOp>(op))
        parameters.push_back(table.getSymName().str());
    }
    for (auto state : module.getOps<exec::StateOp>())
      states.push_back(state.getSymName().str());
  }
  static size_t indexOf(const std::vector<std::string> &names,
                        llvm::StringRef name) {
    return llvm::find(names, name) - names.begin();
  }
  std::string ref(mlir::Value value) const {
    if (auto arg = llvm::dyn_cast<mlir::BlockArgument>(value)) {
      auto func = llvm::cast<exec::FuncOp>(arg.getOwner()->getParentOp());
      unsigned n = arg.getArgNumber(), of = func.getParameters().size();
      return n < of ? fmt::format("parameter {}", n)
                    : fmt::format("state {}", n - of);
    }
    mlir::Operation *op = value.getDefiningOp();
    if (auto get = llvm::dyn_cast<exec::GetParameterOp>(op))
      return fmt::format("parameter {}",
                         indexOf(parameters, get.getParameter()));
    if (auto get = llvm::dyn_cast<exec::GetStateOp>(op))
      return fmt::format("state {}", indexOf(states, get.getState()));
    if (auto input = llvm::dyn_cast<exec::InputOp>(op))
      return "input " + exec::stringifyInput(input.getName()).str();
    if (llvm::isa<exec::OutputOp>(op))
      return "output logits";
    return fmt::format(
        "arena {}", *llvm::cast<exec::BufferOp>(op).getOffset());
  }
  template <typename Range> std::string refs(Range values) const {
    std::string out;
    for (mlir::Value value : values)
      out += ref(value) + ", ";
    return out;
  }
  std::string body(mlir::Block &block) const {
    std::string out;
    for (mlir::Operation &op : block) {
      if (auto launch = llvm::dyn_cast<exec::LaunchOp>(op)) {
        out += fmt::format("  launch {} items {} stream {}:",
                           launch.getKernel().str(), launch.getItems(),
                           launch.getStream());
        for (unsigned slot = 0; slot < launch.getNumSlots(); ++slot)
          out += launch.getRef(slot)
                     ? " " + ref(launch.getRef(slot)) + ","
                     : fmt::format(" {},", launch.getScalars()[slot]);
        out += " op " + launch.getOp().value_or("none").str();
        if (launch.getMembers())
          for (llvm::StringRef member : launch.getAllMembers())
            out += " + " + member.str();
        out += "\n";
      } else if (auto call = llvm::dyn_cast<exec::CallOp>(op)) {
        out += fmt::format("  call {} x 0: {}/ {}\n", call.getCallee().str(),
                           refs(call.getParameters()), refs(call.getStates()));
      } else if (auto repeat = llvm::dyn_cast<exec::RepeatOp>(op)) {
        out += fmt::format("  call {} x {}: {}/ {}\n",
                           repeat.getCallee().str(), repeat.getCount(),
                           refs(repeat.getParameters()),
                           refs(repeat.getStates()));
      }
    }
    return out;
  }
  /// By name: functions are written after their callees.
  std::map<std::string, std::string> functions() const {
    std::map<std::string, std::string> out;
    for (auto func : module.getOps<exec::FuncOp>())
      out[func.getSymName().str()] = body(func.getBodyBlock());
    for (auto entry : module.getOps<exec::EntryOp>())
      out[entry.getSymName().str()] = body(entry.getBodyBlock());
    return out;
  }

  mutable ModuleOp module;
  std::vector<std::string> parameters, states;
};

/// Of the artifact.
std::map<std::string, std::string> functionsOf(const schema::Artifact &a) {
  std::map<std::string, std::string> out;
  auto slots = [](const char *kind, const auto *indices) {
    std::string text;
    for (uint32_t index : *indices)
      text += fmt::format("{} {}, ", kind, index);
    return text;
  };
  for (const schema::Function *function : *a.functions()) {
    std::string &text = out[function->name()->str()];
    for (const schema::Command *command : *function->commands()) {
      if (command->kind() != schema::CommandKind::launch) {
        text += fmt::format(
            "  call {} x {}: {}/ {}\n",
            a.functions()->Get(command->callee())->name()->str(),
            command->count(), slots("parameter", command->parameters()),
            slots("state", command->states()));
        continue;
      }
      text += fmt::format("  launch {} items {} stream {}:",
                          a.kernels()->Get(command->kernel())->name()->str(),
                          command->items(), command->stream());
      for (const schema::Arg *arg : *command->args()) {
        if (arg->kind() == schema::ArgKind::scalar)
          text += fmt::format(" {},", arg->value());
        else if (arg->kind() == schema::ArgKind::arena)
          text += fmt::format(" arena {},", arg->value());
        else if (arg->kind() == schema::ArgKind::input)
          text += fmt::format(
              " input {},", schema::EnumNameInput(
                                static_cast<schema::Input>(arg->index())));
        else if (arg->kind() == schema::ArgKind::output)
          text += " output logits,";
        else
          text += fmt::format(
              " {} {},",
              arg->kind() == schema::ArgKind::parameter ? "parameter" : "state",
              arg->index());
      }
      text += " op " + (command->op() < 0
                            ? std::string("none")
                            : a.op_names()->Get(command->op())->str());
      if (command->members())
        for (uint32_t member : *command->members())
          text += " + " + a.op_names()->Get(member)->str();
      text += "\n";
    }
  }
  return out;
}

} // namespace

TEST_F(WriterTest, TheProgramComesBackOneToOne) {
  auto opened = reopen();
  ASSERT_TRUE(opened.ok()) << opened.status().toString();
  ModuleText text(*module);
  auto expected = text.functions(), found = functionsOf(opened->root());
  ASSERT_EQ(found.size(), expected.size());
  for (auto &[name, body] : expected)
    EXPECT_EQ(found[name], body) << name;

  size_t entries = 0;
  for (auto entry : module->getOps<exec::EntryOp>()) {
    const schema::Entry &other = *opened->root().entries()->Get(entries++);
    EXPECT_EQ(other.name()->str(), entry.getSymName().str());
    EXPECT_EQ(static_cast<int>(other.kind()),
              static_cast<int>(entry.getKind()));
    EXPECT_EQ(other.tokens(), entry.getTokens().value_or(0));
    EXPECT_EQ(other.rows(), entry.getRows().value_or(0));
    EXPECT_EQ(other.max_queries_per_row(), entry.getQueries().value_or(0));
    EXPECT_EQ(other.logit_rows(), entry.getLogitRows().value_or(0));
    EXPECT_EQ(other.arena_bytes(), static_cast<uint64_t>(*entry.getArena()));
    EXPECT_EQ(other.attention()->str(),
              entry.getAttention().value_or("").str());
  }
  EXPECT_EQ(entries, opened->root().entries()->size());
  EXPECT_GT(entries, 3u);
}

TEST_F(WriterTest, TheManifestComesBack) {
  auto opened = reopen();
  ASSERT_TRUE(opened.ok()) << opened.status().toString();
  const schema::Artifact &root = opened->root();
  size_t p = 0;
  for (mlir::Operation &op : *module->getBody()) {
    if (auto table = llvm::dyn_cast<exec::RopeTableOp>(op)) {
      const schema::Parameter &other = *root.parameters()->Get(p++);
      EXPECT_EQ(other.generator(), schema::Generator::rope_cos_sin);
      EXPECT_EQ(other.positions(), table.getPositions());
      EXPECT_EQ(std::vector<float>(other.inv_freq()->begin(),
                                   other.inv_freq()->end()),
                std::vector<float>(table.getInvFreq().begin(),
                                   table.getInvFreq().end()));
      continue;
    }
    auto parameter = llvm::dyn_cast<exec::ParameterOp>(op);
    if (!parameter)
      continue;
    const schema::Parameter &other = *root.parameters()->Get(p++);
    EXPECT_EQ(other.name()->str(), parameter.getSymName().str());
    EXPECT_EQ(static_cast<int>(other.kind()),
              static_cast<int>(parameter.getKind()));
    EXPECT_EQ(static_cast<int>(other.place()),
              static_cast<int>(parameter.getPlace()));
    ASSERT_EQ(other.parts()->size(), parameter.getParts().size());
    for (auto [i, part] :
         llvm::enumerate(parameter.getParts().getAsRange<mlir::StringAttr>()))
      EXPECT_EQ(other.parts()->Get(i)->str(), part.getValue().str());
    EXPECT_EQ(std::vector<int64_t>(other.rows()->begin(), other.rows()->end()),
              parameter.getRows().vec());
    EXPECT_EQ(
        std::vector<int64_t>(other.inner()->begin(), other.inner()->end()),
        parameter.getInner().vec());
  }
  EXPECT_EQ(p, root.parameters()->size());
  for (auto [i, state] : llvm::enumerate(module->getOps<exec::StateOp>())) {
    const schema::State &other = *root.states()->Get(i);
    EXPECT_EQ(other.name()->str(), state.getSymName().str());
    EXPECT_EQ(other.row_elements(), state.getRow().value_or(0));
    EXPECT_EQ(other.bytes(), state.getBytes().value_or(0));
  }
  auto facts = (*module)->getAttrOfType<mlir::DictionaryAttr>("exec.model");
  EXPECT_EQ(opened->model().hidden_size(),
            facts.getAs<mlir::IntegerAttr>("hidden_size").getUInt());
  EXPECT_EQ(opened->model().vocab_size(), 128u);
  EXPECT_EQ(opened->model().num_experts(), 16u);
  EXPECT_EQ(opened->model().fp8_mode()->str(),
            facts.getAs<mlir::StringAttr>("fp8_mode").str());
  EXPECT_EQ(opened->target(), "cpu");
}

TEST_F(WriterTest, ImagesAndFactsComeBack) {
  auto opened = reopen();
  ASSERT_TRUE(opened.ok()) << opened.status().toString();
  EXPECT_EQ(opened->imageVariants(), "v3, v4");
  for (unsigned i = 0; i < 2; ++i) {
    const schema::Image &image = *opened->root().images()->Get(i);
    auto stored = opened->blob(image.blob());
    EXPECT_EQ(std::vector<uint8_t>(stored.begin(), stored.end()),
              code.images[i].bytes);
    EXPECT_EQ(std::vector<uint64_t>(image.entry_offsets()->begin(),
                                    image.entry_offsets()->end()),
              code.images[i].entryOffsets);
  }
  for (auto [k, kernel] : llvm::enumerate(code.kernels)) {
    const schema::Kernel &other = *opened->root().kernels()->Get(k);
    EXPECT_EQ(other.name()->str(), kernel.name);
    EXPECT_EQ(other.scratch_bytes(), kernel.scratchBytes);
    EXPECT_EQ(other.facts()->Get(0)->value()->str(), "of " + kernel.name);
    EXPECT_EQ(other.threads(), 0u);
  }
}

/// The spec that an artifact holds is the attribute's, and parses.
TEST_F(WriterTest, SpecsComeBack) {
  auto opened = reopen();
  ASSERT_TRUE(opened.ok()) << opened.status().toString();
  unsigned k = 0;
  for (auto kernel : module->getOps<tile::KernelOp>()) {
    const schema::KernelSpec *spec = opened->root().kernels()->Get(k++)->spec();
    ASSERT_TRUE(spec);
    kernels::SpecText text{spec->kind()->str(), {}};
    for (const schema::KeyValue *field : *spec->fields())
      text.fields.emplace_back(field->key()->str(), field->value()->str());
    EXPECT_EQ(text, kernels::toText(kernel.getSpecAttr()));
    kernels::ParsedSpec parsed = kernels::parseSpec(text);
    ASSERT_TRUE(parsed.spec) << parsed.error;
    EXPECT_EQ(kernels::toAttr(&context, *parsed.spec), kernel.getSpecAttr());
  }
  EXPECT_GT(k, 10u);
}

/// A kernel that was written by hand has none.
TEST_F(WriterTest, AKernelMayHaveNoSpec) {
  (*module->getOps<tile::KernelOp>().begin())->removeAttr("spec");
  auto opened = reopen();
  ASSERT_TRUE(opened.ok()) << opened.status().toString();
  EXPECT_FALSE(opened->root().kernels()->Get(0)->spec());
  EXPECT_TRUE(opened->root().kernels()->Get(1)->spec());
}

TEST_F(WriterTest, CodeOfSm90aComesBack) {
  take("sm_90a");
  auto opened = reopen();
  ASSERT_TRUE(opened.ok()) << opened.status().toString();
  const schema::Provenance &provenance = *opened->root().provenance();
  EXPECT_EQ(provenance.target()->str(), "sm_90a");
  EXPECT_EQ(provenance.ptx_isa(), 83u);
  EXPECT_EQ(provenance.driver_minimum(), 12030u);
  EXPECT_EQ(provenance.ptxas()->str(), "13.0.48");
  for (auto [k, kernel] : llvm::enumerate(code.kernels)) {
    const schema::Kernel &other = *opened->root().kernels()->Get(k);
    EXPECT_EQ(other.threads(), 256u);
    EXPECT_EQ(other.ctas_per_item(), 2u);
    EXPECT_EQ(other.shared_bytes(), 1024u);
    EXPECT_EQ(other.workspace_fixed(), 128u);
    EXPECT_EQ(other.workspace_per_item(), 512u);
    const schema::TensorMap &map = *other.tensor_maps()->Get(0);
    EXPECT_EQ(map.dtype(), schema::DType::bf16);
    EXPECT_EQ(map.swizzle(), 128u);
    ASSERT_EQ(map.dims()->size(), 2u);
    EXPECT_EQ(map.dims()->Get(1)->extent(), 8u);
    EXPECT_EQ(map.dims()->Get(1)->stride_bytes(), 128u);
    EXPECT_EQ(map.box()->Get(0), 64u);
    auto ptx = opened->code(k, "ptx"), cubin = opened->code(k, "cubin");
    ASSERT_TRUE(ptx.ok()) << ptx.status().toString();
    ASSERT_TRUE(cubin.ok()) << cubin.status().toString();
    EXPECT_EQ(*ptx, kernel.device->ptx);
    EXPECT_EQ(*cubin, kernel.device->cubin);
  }
}

TEST_F(WriterTest, EqualArgumentsGiveEqualBytes) {
  std::vector<uint8_t> first = bytes();
  take("cpu");
  EXPECT_EQ(bytes(), first);
}

//===----------------------------------------------------------------------===//
// Refusals
//===----------------------------------------------------------------------===//

TEST_F(WriterTest, RefusesAModuleWithoutItsModel) {
  (*module)->removeAttr("exec.model");
  expectError("the module has no 'exec.model'");
}

TEST_F(WriterTest, RefusesAModelThatLacksAFact) {
  auto number = mlir::IntegerAttr::get(mlir::IntegerType::get(&context, 64), 8);
  for (const char *key :
       {"vocab_size", "hidden_size", "num_layers", "num_experts",
        "num_experts_per_token", "num_moe_layers", "max_seq_len",
        "max_batch_size", "page_size", "bos_token_id", "hidden_buffer_bytes"}) {
    take("cpu");
    setModel(key);
    expectError(std::string("'exec.model' lacks the number '") + key + "'");
  }
  for (const char *key : {"model_type", "activations", "fp8_mode"}) {
    take("cpu");
    setModel(key, number);
    expectError(std::string("'exec.model' lacks the text '") + key + "'");
  }
}

TEST_F(WriterTest, RefusesAnEntryWithoutAnArena) {
  auto entry = *module->getOps<exec::EntryOp>().begin();
  entry.removeArenaAttr();
  expectError("entry '" + entry.getSymName().str() + "' has no arena");
}

TEST_F(WriterTest, RefusesCodeOfOtherKernels) {
  KernelFacts last = code.kernels.back();
  code.kernels.pop_back();
  expectError("the target has no code for kernel '" + last.name + "'");
  code.kernels.push_back(last);
  code.kernels.front().name = "other";
  expectError("the target has no code for kernel '" +
              (*module->getOps<tile::KernelOp>().begin()).getSymName().str() +
              "'");
  take("cpu");
  code.kernels.push_back(last);
  expectError("the target has code for " +
              std::to_string(code.kernels.size()) +
              " kernels, the module has " +
              std::to_string(code.kernels.size() - 1));
}
