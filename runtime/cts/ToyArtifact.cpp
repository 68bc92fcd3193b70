#include "runtime/cts/ToyArtifact.h"

#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <memory>

#include "runtime/schemas/ArtifactFile.h"
#include "runtime/schemas/EntryKinds.h"

namespace hadal::toy {

using namespace schema;

namespace {
constexpr uint64_t kPagesPerRow = (kMaxSeqLen + kPageSize - 1) / kPageSize;
constexpr uint32_t kMaxTokens = 16;

std::unique_ptr<ArgT> own(const ArgT &a) { return std::make_unique<ArgT>(a); }

ArgT input(Input i) { return arg(ArgKind::input, static_cast<uint32_t>(i)); }

void addFunction(ArtifactT &a, const std::string &name, uint32_t parameters,
                 uint32_t states, std::vector<CommandT> commands) {
  auto f = std::make_unique<FunctionT>();
  f->name = name;
  f->num_parameters = parameters;
  f->num_states = states;
  for (CommandT &c : commands)
    f->commands.push_back(std::make_unique<CommandT>(std::move(c)));
  a.functions.push_back(std::move(f));
}

// States behind "hidden" of a model with drafts.
constexpr uint32_t kHidden = 4, kHiddenDraft = 5, kDraftCache = 6,
                   kDraftLoad = 7;

/// Arena: x at 0, y at 64 * ceil(T / 16).
void addBody(ArtifactT &a, const std::string &name, EntryKind kind,
             uint32_t tokens, uint32_t rows, uint32_t queries) {
  const uint64_t yOffset = (uint64_t(tokens) * 4 + 63) / 64 * 64;
  ArgT x = arg(ArgKind::arena), y = arg(ArgKind::arena, 0, yOffset);
  // Layer slots: parameter w; states kv, expert load.
  std::vector<CommandT> layer;
  layer.push_back(launch(kAppend, tokens,
                         {arg(ArgKind::state, 0), x, input(Input::slot)}));
  layer.push_back(launch(
      kAttend, tokens,
      {y, arg(ArgKind::state, 0), input(Input::q_start), input(Input::kv_len),
       input(Input::positions), input(Input::page_table),
       arg(ArgKind::scalar, 0, kPagesPerRow),
       arg(ArgKind::scalar, 0, kPageSize), arg(ArgKind::parameter, 0),
       input(Input::sizes)}));
  layer.push_back(launch(kRoute, 1,
                         {arg(ArgKind::state, 1), input(Input::tokens),
                          input(Input::sizes),
                          arg(ArgKind::scalar, 0, kExperts)}));
  layer.push_back(launch(kMove, tokens, {x, y}));
  // The attention stands for two operations, the first command for one.
  layer[0].op = 1;
  layer[1].op = 2;
  layer[1].members = {1, 2};
  addFunction(a, name + ".layer", 1, 2, std::move(layer));
  a.functions.back()->arg_names = {"w", "kv", "expert_load"};
  uint32_t layerIndex = static_cast<uint32_t>(a.functions.size() - 1);

  std::vector<CommandT> body;
  body.push_back(launch(kEmbed, tokens,
                        {x, input(Input::tokens), input(Input::sizes)}));
  body.back().op = 0;
  const bool isDraft = artifact::isDraft(kind);
  CommandT repeat;
  repeat.kind = CommandKind::repeat;
  repeat.callee = layerIndex;
  repeat.count = isDraft ? 1 : kLayers;
  if (isDraft) {
    repeat.parameters = {0};
    repeat.states = {kDraftCache, kDraftLoad};
  } else {
    repeat.parameters = {0, 1};
    repeat.states = {0, 1, 2, 3};
  }
  body.push_back(std::move(repeat));
  body.push_back(launch(
      kMove, tokens,
      {arg(ArgKind::state, isDraft ? kHiddenDraft : kHidden), x}));
  addFunction(a, name, 3, static_cast<uint32_t>(a.states.size()),
              std::move(body));

  auto entry = std::make_unique<EntryT>();
  entry->name = name;
  entry->kind = kind;
  entry->tokens = tokens;
  entry->rows = rows;
  entry->max_queries_per_row = queries;
  entry->arena_bytes = 2 * yOffset;
  entry->function = layerIndex + 1;
  entry->attention =
      kind == EntryKind::prefill || kind == EntryKind::draft_prefill
          ? "expanded"
          : "absorbed";
  a.entries.push_back(std::move(entry));
}

void addHead(ArtifactT &a, const std::string &name, uint32_t rows,
             EntryKind kind = EntryKind::head) {
  const uint32_t hidden =
      kind == EntryKind::draft_head ? kHiddenDraft : kHidden;
  std::vector<CommandT> commands;
  commands.push_back(launch(kHead, rows,
                            {arg(ArgKind::output, 0), arg(ArgKind::state, hidden),
                             input(Input::logit_rows),
                             arg(ArgKind::parameter, 2),
                             arg(ArgKind::scalar, 0, kVocab),
                             input(Input::sizes)}));
  addFunction(a, name, 3, static_cast<uint32_t>(a.states.size()),
              std::move(commands));
  auto entry = std::make_unique<EntryT>();
  entry->name = name;
  entry->kind = kind;
  entry->logit_rows = rows;
  entry->arena_bytes = 64;
  entry->function = static_cast<uint32_t>(a.functions.size() - 1);
  a.entries.push_back(std::move(entry));
}

void addKernel(ArtifactT &a, const std::string &name,
               std::vector<std::string> args, uint64_t scratch = 0) {
  auto k = std::make_unique<KernelT>();
  k->name = name;
  k->num_args = static_cast<uint32_t>(args.size());
  k->arg_names = std::move(args);
  k->scratch_bytes = scratch;
  for (auto [word, value, origin] :
       {std::tuple("bm", "4", ScheduleOrigin::rule),
        std::tuple("form", "rows", ScheduleOrigin::option)}) {
    k->words.push_back(std::make_unique<ScheduleWordT>());
    k->words.back()->word = word;
    k->words.back()->value = value;
    k->words.back()->origin = origin;
  }
  k->bytes_read = 4;
  a.kernels.push_back(std::move(k));
}

void addParameter(ArtifactT &a, const std::string &name, uint64_t rows) {
  auto p = std::make_unique<ParameterT>();
  p->name = name;
  p->dtype = DType::f32;
  p->file_dtypes = {DType::f32};
  p->parts = {name};
  p->rows = {rows};
  a.parameters.push_back(std::move(p));
}

void addState(ArtifactT &a, const std::string &name, StateKind kind,
              uint64_t size) {
  auto s = std::make_unique<StateT>();
  s->name = name;
  s->kind = kind;
  if (kind == StateKind::paged_cache) {
    s->dtype = DType::f32;
    s->row_elements = size;
  } else {
    s->bytes = size;
  }
  a.states.push_back(std::move(s));
}

} // namespace

std::vector<uint8_t> kernelImage() {
  std::ifstream in(HADAL_TOY_IMAGE, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

std::vector<uint8_t> kernelPtx() {
  std::ifstream in(HADAL_TOY_PTX, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

ArgT arg(ArgKind kind, uint32_t index, uint64_t value) {
  ArgT a;
  a.kind = kind;
  a.index = index;
  a.value = value;
  return a;
}

CommandT launch(uint32_t kernel, uint64_t items, std::vector<ArgT> args) {
  CommandT c;
  c.kind = CommandKind::launch;
  c.kernel = kernel;
  c.items = items;
  for (const ArgT &a : args)
    c.args.push_back(own(a));
  return c;
}

ArtifactT skeleton() {
  ArtifactT a;
  a.op_names = {"forward.embed", "layer.append", "layer.attend"};
  a.provenance = std::make_unique<ProvenanceT>();
  a.provenance->compiler_version = "toy";
  a.provenance->llvm_version = "0";
  a.provenance->target = "cpu";
  auto option = std::make_unique<KeyValueT>();
  option->key = "max-batch-size";
  option->value = std::to_string(kMaxBatch);
  a.provenance->options.push_back(std::move(option));
  a.provenance->remarks = {"decode_1: absorbed attention"};

  a.model = std::make_unique<ModelT>();
  a.model->model_type = "toy";
  a.model->vocab_size = kVocab;
  a.model->hidden_size = 1;
  a.model->num_layers = kLayers;
  a.model->num_experts = kExperts;
  a.model->num_experts_per_token = 1;
  a.model->num_moe_layers = kLayers;
  a.model->max_seq_len = kMaxSeqLen;
  a.model->max_batch_size = kMaxBatch;
  a.model->page_size = kPageSize;
  a.model->eos_token_ids = {1};
  a.model->activations = DType::f32;
  a.model->fp8_mode = "none";
  a.model->hidden_buffer_bytes = kMaxTokens * 4;

  addParameter(a, "w.0", 8);
  addParameter(a, "w.1", 8);
  addParameter(a, "bias", kVocab);
  for (int layer = 0; layer < kLayers; ++layer) {
    addState(a, "kv." + std::to_string(layer), StateKind::paged_cache, 2);
    addState(a, "expert_load." + std::to_string(layer), StateKind::buffer,
             kExperts * 4);
  }
  addState(a, "hidden", StateKind::buffer, kMaxTokens * 4);

  addKernel(a, "embed", {"x", "tokens", "sizes"});
  addKernel(a, "append", {"kv", "x", "slot"});
  addKernel(a, "attend",
            {"y", "kv", "q_start", "kv_len", "positions", "page_table",
             "pages_per_row", "page_size", "w", "sizes"});
  addKernel(a, "route", {"load", "tokens", "sizes", "experts"});
  addKernel(a, "move", {"to", "from"});
  addKernel(a, "head",
            {"logits", "hidden", "logit_rows", "bias", "vocab", "sizes"});
  addKernel(a, "scratch", {"out", "factor", "bytes"}, kScratchBytes);
  addKernel(a, "mxcsr", {"out"});

  auto image = std::make_unique<ImageT>();
  image->variant = "v3";
  image->blob = 0;
  for (uint64_t k = 0; k < kNumKernels; ++k)
    image->entry_offsets.push_back(k * 1024);
  a.images.push_back(std::move(image));
  return a;
}

void makeSm90a(ArtifactT &artifact) {
  artifact.provenance->target = "sm_90a";
  artifact.images.clear();
  for (auto &kernel : artifact.kernels) {
    kernel->shared_bytes = kernel->scratch_bytes;
    kernel->scratch_bytes = 0;
    kernel->threads = 32;
    kernel->ctas_per_item = 1;
    auto code = std::make_unique<KernelCodeT>();
    code->variant = "ptx";
    kernel->code.clear();
    kernel->code.push_back(std::move(code));
  }
}

ArtifactT model() {
  ArtifactT a = skeleton();
  addBody(a, "decode_1", EntryKind::decode, 1, 1, 1);
  addBody(a, "decode_4", EntryKind::decode, 4, 4, 1);
  addBody(a, "prefill_8", EntryKind::prefill, 8, 4, 8);
  addBody(a, "prefill_16", EntryKind::prefill, kMaxTokens, 4, kMaxTokens);
  addHead(a, "head_1", 1);
  addHead(a, "head_4", 4);
  return a;
}

ArtifactT modelWithDrafts(uint32_t maxDrafts) {
  ArtifactT a = skeleton();
  a.model->mtp_depth = 1;
  a.model->max_drafts = maxDrafts;
  const std::string layer = std::to_string(kLayers);
  addState(a, "hidden_draft", StateKind::buffer, kMaxTokens * 4);
  addState(a, "kv." + layer, StateKind::paged_cache, 2);
  addState(a, "expert_load." + layer, StateKind::buffer, kExperts * 4);
  addBody(a, "decode_1", EntryKind::decode, 1, 1, 1);
  addBody(a, "decode_4", EntryKind::decode, 4, 4, 1);
  const uint32_t queries = maxDrafts + 1;
  for (uint32_t rows : {1u, 4u}) {
    const std::string size =
        std::to_string(rows) + "x" + std::to_string(queries);
    addBody(a, "decode_" + size, EntryKind::decode, rows * queries, rows,
            queries);
    addBody(a, "draft_" + size, EntryKind::draft, rows * queries, rows,
            queries);
    if (maxDrafts > 1)
      addBody(a, "draft_next_" + std::to_string(rows), EntryKind::draft_next,
              rows, rows, 1);
  }
  for (uint32_t tokens : {8u, uint32_t(kMaxTokens)}) {
    const std::string size = "prefill_" + std::to_string(tokens);
    addBody(a, size, EntryKind::prefill, tokens, 4, tokens);
    addBody(a, "draft_" + size, EntryKind::draft_prefill, tokens, 4, tokens);
  }
  for (uint32_t rows : {1u, 4u}) {
    addHead(a, "head_" + std::to_string(rows), rows);
    addHead(a, "draft_head_" + std::to_string(rows), rows,
            EntryKind::draft_head);
  }
  return a;
}

std::vector<uint8_t>
assemble(const ArtifactT &artifact,
         const std::vector<std::vector<uint8_t>> &blobs,
         const std::vector<uint64_t> &rawBytes) {
  flatbuffers::FlatBufferBuilder builder;
  // Pack with placeholders for the blobs: the object form of the table.
  ArtifactT &mutableArtifact = const_cast<ArtifactT &>(artifact);
  mutableArtifact.blobs.clear();
  std::vector<artifact::BlobContent> contents;
  for (size_t i = 0; i < blobs.size(); ++i) {
    const uint64_t raw = i < rawBytes.size() ? rawBytes[i] : 0;
    auto b = std::make_unique<BlobT>();
    b->offset = b->bytes = b->stored_bytes = b->xxh3 = ~uint64_t(0);
    b->zstd = raw != 0;
    mutableArtifact.blobs.push_back(std::move(b));
    contents.push_back(artifact::plainBlob(blobs[i]));
    if (raw)
      contents.back().rawBytes = raw;
  }
  builder.Finish(schema::Artifact::Pack(builder, &artifact),
                 artifact::kIdentifier);
  std::vector<uint8_t> manifest(builder.GetBufferPointer(),
                                builder.GetBufferPointer() +
                                    builder.GetSize());
  return *artifact::assembleArtifact(std::move(manifest), contents);
}

std::vector<uint8_t> assemble(const ArtifactT &artifact) {
  const bool cpu = artifact.provenance->target == "cpu";
  return assemble(artifact, {cpu ? kernelImage() : kernelPtx()});
}

float weight(int layer, int i) {
  return static_cast<float>(1 + (i * 5 + layer * 3) % 11);
}
float bias(int v) { return static_cast<float>(v % 7) / 32; }

void writeFile(const std::string &path, std::span<const uint8_t> bytes) {
  std::ofstream out(path, std::ios::binary);
  out.write(reinterpret_cast<const char *>(bytes.data()),
            static_cast<std::streamsize>(bytes.size()));
}

void writeWeights(const std::string &directory, float biasOf3) {
  std::vector<float> data;
  std::string header = "{";
  auto add = [&](const std::string &name, int count, auto value) {
    size_t begin = data.size() * 4;
    for (int i = 0; i < count; ++i)
      data.push_back(value(i));
    header += (header.size() > 1 ? "," : "");
    header += "\"" + name + "\":{\"dtype\":\"F32\",\"shape\":[" +
              std::to_string(count) + "],\"data_offsets\":[" +
              std::to_string(begin) + "," + std::to_string(data.size() * 4) +
              "]}";
  };
  add("w.0", 8, [](int i) { return weight(0, i); });
  add("w.1", 8, [](int i) { return weight(1, i); });
  add("bias", kVocab, [&](int i) { return i == 3 ? biasOf3 : bias(i); });
  header += "}";
  while (header.size() % 8)
    header += ' ';
  uint64_t size = header.size();
  std::vector<uint8_t> file(8 + header.size() + data.size() * 4);
  std::memcpy(file.data(), &size, 8);
  std::memcpy(file.data() + 8, header.data(), header.size());
  std::memcpy(file.data() + 8 + header.size(), data.data(), data.size() * 4);
  writeFile(directory + "/model.safetensors", file);
}

TempDir::TempDir() {
  std::string pattern =
      (std::filesystem::temp_directory_path() / "hadal-test-XXXXXX").string();
  path_ = mkdtemp(pattern.data());
}
TempDir::~TempDir() {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

std::vector<std::vector<float>>
referenceLogits(std::span<const int32_t> tokens) {
  std::vector<int64_t> x;
  for (int32_t t : tokens)
    x.push_back(t + 1);
  for (int layer = 0; layer < kLayers; ++layer) {
    std::vector<int64_t> y;
    int64_t sum = 0;
    for (size_t p = 0; p < x.size(); ++p) {
      sum += x[p] * static_cast<int64_t>(weight(layer, int(p % 8)));
      y.push_back(sum % 61);
    }
    x = y;
  }
  std::vector<std::vector<float>> logits;
  for (int64_t h : x) {
    std::vector<float> row;
    for (int v = 0; v < kVocab; ++v)
      row.push_back(bias(v) -
                    static_cast<float>(std::abs(v - int(h % kVocab))));
    logits.push_back(row);
  }
  return logits;
}

} // namespace hadal::toy
