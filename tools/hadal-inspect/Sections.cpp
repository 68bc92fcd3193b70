#include "tools/hadal-inspect/Sections.h"

#include <algorithm>
#include <map>

#include "runtime/base/Hash.h"
#include "runtime/tune/Database.h"
#include "runtime/base/Progress.h"
#include "tools/common/ParameterBytes.h"
#include "tools/common/SpecJson.h"

namespace hadal::inspect {

using namespace schema;

namespace {

std::string shapeText(const hadal::Artifact &artifact, const Parameter &p) {
  std::string text;
  if (p.generator() == Generator::placement_table)
    return fmt::format("[{}, {}]", artifact.model().num_experts(),
                       1 + p.replicas());
  if (p.kind() == ParameterKind::generated)
    return fmt::format("[{}, {}, 2]", p.positions(), p.inv_freq()->size());
  if (p.kind() == ParameterKind::stack)
    text = fmt::format("{} x ", p.count());
  std::vector<uint64_t> rows(p.rows()->begin(), p.rows()->end());
  text += fmt::format("[{}", fmt::join(rows, "+"));
  for (uint64_t extent : *p.inner())
    text += fmt::format(", {}", extent);
  return text + "]";
}

/// "tp rows of 192", "ep experts of layer 3"; what every rank holds whole: "".
std::string sliceText(const Parameter &p) {
  const Slice *slice = p.slice();
  if (!slice)
    return "";
  if (slice->axis() == Axis::ep)
    return fmt::format("ep experts of layer {}", p.layer());
  return fmt::format("{} {} of {}", EnumNameAxis(slice->axis()),
                     slice->dim() ? "columns" : "rows", slice->unit());
}

std::string argText(const hadal::Artifact &artifact, const Arg &arg) {
  switch (arg.kind()) {
  case ArgKind::arena:
    return fmt::format("arena+{}", arg.value());
  case ArgKind::parameter:
    return fmt::format("param[{}]", arg.index());
  case ArgKind::state:
    return fmt::format("state[{}]", arg.index());
  case ArgKind::input:
  case ArgKind::output: {
    std::string name =
        arg.kind() == ArgKind::input
            ? EnumNameInput(static_cast<Input>(arg.index()))
            : EnumNameOutput(static_cast<Output>(arg.index()));
    return arg.value() ? fmt::format("{}+{}", name, arg.value()) : name;
  }
  case ArgKind::scalar:
    return fmt::format("{}", static_cast<int64_t>(arg.value()));
  }
  return "?";
}

std::string opName(const hadal::Artifact &artifact, uint32_t index) {
  return artifact.root().op_names()->Get(index)->str();
}

std::vector<std::string> memberNames(const hadal::Artifact &artifact,
                                     const Command &c) {
  std::vector<std::string> names;
  if (c.members())
    for (uint32_t member : *c.members())
      names.push_back(opName(artifact, member));
  return names;
}

std::string collectiveText(const hadal::Artifact &artifact, const Command &c) {
  std::string parts;
  for (const Part *part : *c.parts()) {
    parts += fmt::format("{}{} -> {}: {} x {}", parts.empty() ? "" : ", ",
                         argText(artifact, *part->send()),
                         argText(artifact, *part->receive()), part->rows(),
                         part->row_bytes());
    if (part->dtype() != DType::none)
      parts += fmt::format(" of {}", artifact::dtypeName(part->dtype()));
    if (part->count_column() >= 0)
      parts += fmt::format(" counted {}", part->count_column());
  }
  std::string text =
      fmt::format("{} {} '{}' [{}]", EnumNameCollectiveKind(c.collective()),
                  artifact.root()
                      .communicators()
                      ->Get(c.communicator())
                      ->name()
                      ->string_view(),
                  c.label()->string_view(), parts);
  if (c.counts())
    text += fmt::format(" counts {} stride {}", argText(artifact, *c.counts()),
                        c.count_stride());
  if (c.op() >= 0)
    text += fmt::format(" op {}", opName(artifact, c.op()));
  return text + fmt::format(" stream {}", c.stream());
}

std::string commandText(const hadal::Artifact &artifact, const Command &c) {
  const auto &root = artifact.root();
  if (c.kind() == CommandKind::collective)
    return collectiveText(artifact, c);
  if (c.kind() == CommandKind::record || c.kind() == CommandKind::wait)
    return fmt::format("{} {} stream {}", EnumNameCommandKind(c.kind()),
                       c.event(), c.stream());
  if (c.kind() == CommandKind::launch) {
    const Kernel &kernel = *root.kernels()->Get(c.kernel());
    std::string text =
        fmt::format("launch {}[{}](", kernel.name()->string_view(), c.items());
    for (unsigned i = 0; i < c.args()->size(); ++i)
      text += fmt::format("{}{} = {}", i ? ", " : "",
                          kernel.arg_names()->Get(i)->string_view(),
                          argText(artifact, *c.args()->Get(i)));
    text += ")";
    if (c.op() >= 0)
      text += fmt::format(" op {}", opName(artifact, c.op()));
    if (std::vector<std::string> members = memberNames(artifact, c);
        !members.empty())
      text += fmt::format(" members [{}]", fmt::join(members, ", "));
    return text;
  }
  std::string_view callee =
      root.functions()->Get(c.callee())->name()->string_view();
  std::vector<uint32_t> parameters(c.parameters()->begin(),
                                   c.parameters()->end()),
      states(c.states()->begin(), c.states()->end());
  std::string head = c.kind() == CommandKind::repeat
                         ? fmt::format("repeat {} {}", c.count(), callee)
                         : fmt::format("call {}", callee);
  return fmt::format("{} params [{}] states [{}]", head,
                     fmt::join(parameters, ", "), fmt::join(states, ", "));
}

/// A command as text, and in parts for those who compare or join.
Json commandJson(const hadal::Artifact &artifact, const Command &c) {
  const auto &root = artifact.root();
  Json json;
  json["text"] = commandText(artifact, c);
  json["kind"] = EnumNameCommandKind(c.kind());
  if (c.op() >= 0) {
    std::vector<std::string> members = memberNames(artifact, c);
    json["op"] = opName(artifact, c.op());
    json["members"] =
        members.empty() ? Json::array({json["op"]}) : Json(members);
  }
  switch (c.kind()) {
  case CommandKind::launch: {
    const Kernel &kernel = *root.kernels()->Get(c.kernel());
    json["kernel"] = kernel.name()->str();
    json["items"] = c.items();
    json["args"] = Json::object();
    for (unsigned i = 0; i < c.args()->size(); ++i)
      json["args"][kernel.arg_names()->Get(i)->str()] =
          argText(artifact, *c.args()->Get(i));
    break;
  }
  case CommandKind::call:
  case CommandKind::repeat:
    json["callee"] = root.functions()->Get(c.callee())->name()->str();
    json["count"] = c.kind() == CommandKind::repeat ? c.count() : 1;
    json["parameters"] = std::vector<uint32_t>(c.parameters()->begin(),
                                               c.parameters()->end());
    json["states"] =
        std::vector<uint32_t>(c.states()->begin(), c.states()->end());
    break;
  case CommandKind::collective:
    json["label"] = c.label()->str();
    break;
  case CommandKind::record:
  case CommandKind::wait:
    break;
  }
  return json;
}

/// How ranks share the model, and what they do together.
Json meshJson(const schema::Artifact &root) {
  const Mesh &mesh = *root.mesh();
  Json json;
  json["ranks"] = artifact::numRanks(root);
  json["tp"] = mesh.tp();
  json["dp"] = mesh.dp();
  json["ep"] = mesh.ep();
  json["ranks_per_node"] = mesh.ranks_per_node();
  json["slots"] = mesh.slots();
  json["vocab_split"] = mesh.vocab_split();
  std::string communicators;
  if (root.communicators())
    for (const Communicator *c : *root.communicators())
      communicators += fmt::format(
          "{}{} ({} of {})", communicators.empty() ? "" : ", ",
          c->name()->string_view(), EnumNameAxis(c->axis()), c->size());
  json["communicators"] = communicators;
  json["exchange_bytes"] = root.exchange_bytes();
  return json;
}

Json bucketJson(const hadal::Artifact &artifact, const Entry &e) {
  Json json;
  json["name"] = e.name()->str();
  json["kind"] = EnumNameEntryKind(e.kind());
  json["tokens"] = e.tokens();
  json["rows"] = e.rows();
  json["max_queries_per_row"] = e.max_queries_per_row();
  json["logit_rows"] = e.logit_rows();
  json["attention"] = e.attention()->str();
  json["arena_bytes"] = e.arena_bytes();
  if (artifact.root().mesh()) {
    json["rung"] = EnumNameRung(e.rung());
    json["capacity_rows"] = e.capacity_rows();
    json["capacity_pairs"] = e.capacity_pairs();
    json["collective_digest"] = fmt::format("{:016x}", e.collective_digest());
    json["micro_batches"] = e.micro_batches();
  }
  if (const Overlap *overlap = e.overlap()) {
    Json &two = json["overlap"];
    two["decision"] = EnumNameOverlapDecision(overlap->decision());
    two["reason"] = overlap->reason()->str();
    two["step_before_ns"] = overlap->step_before_ns();
    two["step_after_ns"] = overlap->step_after_ns();
    two["exposed_before_ns"] = overlap->exposed_before_ns();
    two["exposed_after_ns"] = overlap->exposed_after_ns();
  }
  return json;
}

/// Whether the code is in images of all kernels, which is so on the CPU; else
/// each kernel has its own.
bool holdsImages(const hadal::Artifact &artifact) {
  return artifact.root().images()->size() > 0;
}

/// What code there is: the images, else that of the kernels.
std::string imagesText(const hadal::Artifact &artifact) {
  if (holdsImages(artifact))
    return artifact.imageVariants();
  const auto *ptxas = artifact.root().provenance()->ptxas();
  return ptxas ? "ptx, cubin" : "ptx";
}

/// "v3 0123456789abcdef, ...": a digest of each image, which two artifacts share
/// if and only if they run the same code there.
std::string imageDigests(const schema::Artifact &root) {
  std::string text;
  for (const Image *image : *root.images())
    text += fmt::format("{}{} {:016x}", text.empty() ? "" : ", ",
                        image->variant()->string_view(),
                        root.blobs()->Get(image->blob())->xxh3());
  return text;
}

/// Bytes of the code |variant| of |kernel|, decompressed; 0 if there is none.
uint64_t codeBytes(const schema::Artifact &root, const Kernel &kernel,
                   std::string_view variant) {
  for (const KernelCode *code : *kernel.code())
    if (code->variant()->string_view() == variant)
      return root.blobs()->Get(code->blob())->bytes();
  return 0;
}

/// The tensor map |map| as "[7168, arg 2] x box [128, 64] swizzle 128".
std::string tensorMapText(const TensorMap &map) {
  std::string dims, box;
  for (unsigned i = 0; i < map.dims()->size(); ++i) {
    const TensorMapDim &dim = *map.dims()->Get(i);
    dims += i ? ", " : "";
    dims += dim.extent() ? fmt::format("{}", dim.extent())
                         : fmt::format("arg {}", dim.slot());
    box += fmt::format("{}{}", i ? ", " : "", map.box()->Get(i));
  }
  return fmt::format("arg {}: {}[{}] box [{}] swizzle {}", map.slot(),
                     artifact::dtypeName(map.dtype()), dims, box,
                     map.swizzle());
}

/// A block, its code, and what ptxas said of it: columns of their own.
void addDeviceFields(const schema::Artifact &root, const Kernel &kernel,
                     Json &entry) {
  entry["threads"] = kernel.threads();
  entry["shared_bytes"] = kernel.shared_bytes();
  entry["ctas_per_item"] = kernel.ctas_per_item();
  entry["persistent"] = kernel.persistent();
  entry["workspace_fixed"] = kernel.workspace_fixed();
  entry["workspace_per_item"] = kernel.workspace_per_item();
  for (const char *key : {"registers", "spills", "stack", "barriers", "advice"})
    for (const KernelFact *fact : *kernel.facts())
      if (fact->key()->string_view() == key) {
        std::string text = fact->value()->str();
        bool isNumber = !text.empty() && text.size() < 19 &&
                        text.find_first_not_of("0123456789") == text.npos;
        entry[key] = isNumber ? Json(std::stoull(text)) : Json(text);
      }
  entry["ptx_bytes"] = codeBytes(root, kernel, "ptx");
  entry["cubin_bytes"] = codeBytes(root, kernel, "cubin");
  std::string maps;
  if (kernel.tensor_maps())
    for (const TensorMap *map : *kernel.tensor_maps())
      maps += (maps.empty() ? "" : "; ") + tensorMapText(*map);
  entry["tensor_maps"] = maps;
}

} // namespace

Json overview(const hadal::Artifact &artifact) {
  const Model &m = artifact.model();
  Json json;
  json["file"] = artifact.path();
  json["file_bytes"] = artifact.fileBytes();
  json["target"] = std::string(artifact.target());
  json["images"] = imagesText(artifact);
  if (holdsImages(artifact))
    json["image_digests"] = imageDigests(artifact.root());
  json["model_type"] = m.model_type()->str();
  json["num_layers"] = m.num_layers();
  json["num_moe_layers"] = m.num_moe_layers();
  json["hidden_size"] = m.hidden_size();
  json["vocab_size"] = m.vocab_size();
  json["num_experts"] = m.num_experts();
  json["num_experts_per_token"] = m.num_experts_per_token();
  json["max_seq_len"] = m.max_seq_len();
  json["max_batch_size"] = m.max_batch_size();
  json["page_size"] = m.page_size();
  json["activations"] = artifact::dtypeName(m.activations());
  json["fp8"] = m.fp8_mode()->str();
  json["deterministic"] = m.deterministic();
  json["kernels"] = artifact.root().kernels()->size();
  json["parameters"] = artifact.root().parameters()->size();
  if (artifact.root().mesh())
    json["mesh"] = meshJson(artifact.root());
  json["functions"] = artifact.root().functions()->size();
  json["entries"] = Json::array();
  for (const Entry *e : *artifact.root().entries())
    json["entries"].push_back(bucketJson(artifact, *e));
  return json;
}

Json provenance(const hadal::Artifact &artifact) {
  const Provenance &p = *artifact.root().provenance();
  Json json;
  json["compiler_version"] = p.compiler_version()->str();
  json["llvm_version"] = p.llvm_version()->str();
  json["target"] = p.target()->str();
  json["tuning_db_digest"] = p.tuning_db_digest()->str();
  json["driver_minimum"] = p.driver_minimum();
  json["ptx_isa"] = p.ptx_isa();
  json["ptxas"] = p.ptxas() ? p.ptxas()->str() : "";
  json["options"] = Json::object();
  for (const KeyValue *option : *p.options())
    json["options"][option->key()->str()] = option->value()->str();
  json["remarks"] = Json::array();
  for (const flatbuffers::String *remark : *p.remarks())
    json["remarks"].push_back(remark->str());
  return json;
}

/// "bm=64 split=7(option) stages=6": every word with its value and, unless it is
/// the compiler's rule, its origin.
static std::string scheduleText(const Kernel &kernel) {
  std::string text;
  if (kernel.words())
    for (const ScheduleWord *word : *kernel.words()) {
      text += fmt::format("{}{}={}", text.empty() ? "" : " ",
                          word->word()->string_view(),
                          word->value()->string_view());
      if (word->origin() != ScheduleOrigin::rule)
        text += fmt::format("({})", EnumNameScheduleOrigin(word->origin()));
    }
  return text;
}

Json kernels(const hadal::Artifact &artifact) {
  const auto &root = artifact.root();
  Json json = Json::array();
  for (unsigned k = 0; k < root.kernels()->size(); ++k) {
    const Kernel &kernel = *root.kernels()->Get(k);
    Json entry;
    entry["name"] = kernel.name()->str();
    entry["args"] = kernel.num_args();
    if (holdsImages(artifact))
      entry["scratch_bytes"] = kernel.scratch_bytes();
    else
      addDeviceFields(root, kernel, entry);
    entry["bytes_read"] = kernel.bytes_read();
    entry["flops"] = kernel.flops();
    entry["schedule"] = scheduleText(kernel);
    std::string facts;
    for (const KernelFact *fact : *kernel.facts())
      // Those of ptxas have columns of their own.
      if (!entry.contains(fact->key()->str()))
        facts += fmt::format("{}{}={}", facts.empty() ? "" : " ",
                           fact->key()->string_view(),
                           fact->value()->string_view());
    entry["facts"] = facts;
    entry["spec"] = specJson(kernel.spec());
    json.push_back(std::move(entry));
  }
  return json;
}

StatusOr<Json> tuning(const hadal::Artifact &artifact) {
  HADAL_ASSIGN_OR_RETURN(std::string text, artifact.tuning());
  Json json = Json::array();
  if (text.empty())
    return json;
  std::vector<Status> warnings;
  tune::Database database =
      tune::Database::parse(text, artifact.path(), warnings);
  if (!warnings.empty())
    return warnings.front();
  std::map<uint64_t, const tune::Entry *> byHash;
  for (const auto &[key, entry] : database.entries())
    byHash[xxh3(tune::lineOf(entry))] = &entry;
  auto textOf = [](const tune::Words &words) {
    std::string text;
    for (const auto &[word, value] : words)
      text += fmt::format(
          "{}{}={}", text.empty() ? "" : " ", word,
          std::visit([](const auto &v) { return fmt::format("{}", v); },
                     value));
    return text;
  };
  for (const Kernel *kernel : *artifact.root().kernels()) {
    auto at = byHash.find(kernel->tuned_entry());
    if (at == byHash.end())
      continue;
    const tune::Entry &entry = *at->second;
    json.push_back({{"name", kernel->name()->str()},
                    {"choice", EnumNameKernelChoice(kernel->choice())},
                    {"gain", entry.gain},
                    {"at_least", entry.gainLow},
                    {"blocks", entry.blocks},
                    {"tried", entry.tried},
                    {"seconds", entry.seconds},
                    {"default_seconds", entry.baseSeconds},
                    {"bits", entry.sameBits ? "same" : "order"},
                    {"chip", entry.key.chip},
                    {"day", entry.day},
                    {"schedule", textOf(entry.winner.schedule)},
                    {"default", textOf(entry.base.schedule)}});
  }
  return json;
}

StatusOr<std::string> ptx(const hadal::Artifact &artifact,
                          const std::string &kernel) {
  const auto &kernels = *artifact.root().kernels();
  if (holdsImages(artifact))
    return error(5005,
                 "artifact '{}' is for target '{}' and holds no PTX; --ptx "
                 "needs one compiled with --target=sm_90a",
                 artifact.path(), artifact.target());
  for (unsigned k = 0; k < kernels.size(); ++k)
    if (kernels.Get(k)->name()->string_view() == kernel)
      return artifact.code(k, "ptx");
  return error(5005,
               "artifact '{}' has no kernel '{}'; --kernels lists the {} that it "
               "has",
               artifact.path(), kernel, kernels.size());
}

Json program(const hadal::Artifact &artifact) {
  const auto &root = artifact.root();
  Json json;
  if (root.mesh())
    json["mesh"] = meshJson(root);
  json["entries"] = Json::array();
  for (const Entry *e : *root.entries()) {
    Json entry = bucketJson(artifact, *e);
    entry["function"] = root.functions()->Get(e->function())->name()->str();
    json["entries"].push_back(std::move(entry));
  }
  json["functions"] = Json::object();
  for (const Function *f : *root.functions()) {
    Json function;
    function["parameters"] = f->num_parameters();
    function["states"] = f->num_states();
    std::vector<std::string> names;
    if (f->arg_names())
      for (const flatbuffers::String *name : *f->arg_names())
        names.push_back(name->str());
    if (!names.empty())
      function["arg_names"] = fmt::format("{}", fmt::join(names, ", "));
    function["commands"] = Json::array();
    for (const Command *c : *f->commands())
      function["commands"].push_back(commandJson(artifact, *c));
    json["functions"][f->name()->str()] = std::move(function);
  }
  return json;
}

Json weights(const hadal::Artifact &artifact) {
  Json list = Json::array();
  uint64_t mapped = 0, copied = 0, generated = 0;
  for (const Parameter *p : *artifact.root().parameters()) {
    uint64_t bytes = parameterBytes(artifact.model(), *p);
    bool isGenerated = p->kind() == ParameterKind::generated;
    (isGenerated ? generated : p->place() == Placement::map ? mapped : copied) +=
        bytes;
    Json entry;
    entry["name"] = p->name()->str();
    entry["kind"] = EnumNameParameterKind(p->kind());
    entry["place"] = isGenerated ? "computed" : EnumNamePlacement(p->place());
    entry["dtype"] = artifact::dtypeName(p->dtype());
    entry["shape"] = shapeText(artifact, *p);
    entry["bytes"] = bytes;
    if (artifact.root().mesh())
      entry["slice"] = sliceText(*p);
    std::string parts;
    for (const flatbuffers::String *part : *p->parts())
      parts += (parts.empty() ? "" : " | ") + part->str();
    if (p->scale_parts())
      for (const flatbuffers::String *part : *p->scale_parts())
        parts += " * " + part->str();
    entry["tensors"] = parts;
    list.push_back(std::move(entry));
  }
  Json json;
  json["mapped_bytes"] = mapped;
  json["copied_bytes"] = copied;
  json["computed_bytes"] = generated;
  json["parameters"] = std::move(list);
  return json;
}

Json memory(const hadal::Artifact &artifact) {
  const Model &m = artifact.model();
  Json json;
  Json sizes = weights(artifact);
  json["weights_mapped_bytes"] = sizes["mapped_bytes"];
  json["weights_copied_bytes"] = sizes["copied_bytes"];
  json["weights_computed_bytes"] = sizes["computed_bytes"];
  uint64_t arena = 0, inputs = 0, logits = 0, tokenBytes = 0, buffers = 0;
  for (const Entry *e : *artifact.root().entries()) {
    arena = std::max(arena, e->arena_bytes());
    logits = std::max(logits, artifact::outputBytes(m, *e, Output::logits));
    uint64_t sum = 0;
    for (unsigned i = 0; i < artifact::kNumInputs; ++i)
      sum += artifact::inputBytes(artifact.root(), *e, static_cast<Input>(i));
    inputs = std::max(inputs, sum);
  }
  for (const State *s : *artifact.root().states())
    if (s->kind() == StateKind::paged_cache)
      tokenBytes += s->row_pitch() ? s->row_pitch()
                                   : s->row_elements() *
                                         artifact::dtypeBytes(s->dtype());
    else
      buffers += s->bytes();
  uint64_t scratch = 0;
  for (const Kernel *k : *artifact.root().kernels())
    scratch = std::max(scratch, k->scratch_bytes());
  const uint64_t cacheTokens =
      artifact::pagesPerRow(m) * m.page_size() * m.max_batch_size();
  json["arena_bytes"] = arena;
  if (artifact.root().mesh())
    json["exchange_bytes"] = artifact.root().exchange_bytes();
  json["cache_bytes_per_token"] = tokenBytes;
  json["cache_bytes"] = cacheTokens * tokenBytes;
  json["state_buffer_bytes"] = buffers;
  json["input_bytes"] = inputs;
  json["logit_bytes"] = logits;
  json["scratch_bytes_per_thread"] = scratch;
  // Cache pages are committed when they are first written.
  json["anonymous_bytes_without_cache"] =
      sizes["copied_bytes"].get<uint64_t>() +
      sizes["computed_bytes"].get<uint64_t>() + arena + buffers + inputs +
      logits;
  json["arenas"] = Json::array();
  for (const Entry *e : *artifact.root().entries())
    json["arenas"].push_back(
        {{"entry", e->name()->str()}, {"arena_bytes", e->arena_bytes()}});
  return json;
}

namespace {

std::string scalarText(const std::string &key, const Json &value) {
  if (value.is_string())
    return value.get<std::string>();
  if (value.is_number_unsigned() &&
      (key.ends_with("bytes") || key.starts_with("bytes") ||
       key.find("_bytes_") != std::string::npos) &&
      value.get<uint64_t>() >= 10240)
    return fmt::format("{} ({})", value.dump(),
                       formatBytes(value.get<uint64_t>()));
  return value.dump();
}

void renderTable(const Json &rows, std::string &out, const std::string &pad) {
  std::vector<std::string> keys;
  std::map<std::string, size_t> width;
  for (const auto &[key, value] : rows[0].items()) {
    keys.push_back(key);
    width[key] = key.size();
  }
  auto plain = [](const Json &value) {
    return value.is_string() ? value.get<std::string>() : value.dump();
  };
  auto cell = [&](const Json &value) {
    if (!value.is_object())
      return plain(value);
    std::string text;
    for (const auto &[key, item] : value.items())
      text += fmt::format("{}{}={}", text.empty() ? "" : " ", key, plain(item));
    return text;
  };
  for (const Json &row : rows)
    for (const std::string &key : keys)
      width[key] = std::max(width[key], cell(row[key]).size());
  auto line = [&](auto text) {
    std::string result = pad;
    for (const std::string &key : keys)
      result += fmt::format("{:{}}  ", text(key), width[key]);
    result.erase(result.find_last_not_of(' ') + 1);
    out += result + "\n";
  };
  line([](const std::string &key) { return key; });
  for (const Json &row : rows)
    line([&](const std::string &key) { return cell(row[key]); });
}

void renderValue(const std::string &key, const Json &value, std::string &out,
                 const std::string &pad) {
  if (value.is_array() && !value.empty() && value[0].contains("text")) {
    out += fmt::format("{}{}:\n", pad, key);
    for (const Json &item : value)
      out += fmt::format("{}  {}\n", pad, item["text"].get<std::string>());
  } else if (value.is_array() && !value.empty() && value[0].is_object()) {
    out += fmt::format("{}{}:\n", pad, key);
    renderTable(value, out, pad + "  ");
  } else if (value.is_array()) {
    out += fmt::format("{}{}:{}\n", pad, key, value.empty() ? " none" : "");
    for (const Json &item : value)
      out += fmt::format("{}  {}\n", pad, scalarText("", item));
  } else if (value.is_object()) {
    out += fmt::format("{}{}:\n", pad, key);
    for (const auto &[inner, item] : value.items())
      renderValue(inner, item, out, pad + "  ");
  } else {
    out += fmt::format("{}{}: {}\n", pad, key, scalarText(key, value));
  }
}

} // namespace

std::string render(const Json &sections) {
  std::string out;
  for (const auto &[name, section] : sections.items())
    renderValue(name, section, out, "");
  return out;
}

} // namespace hadal::inspect
