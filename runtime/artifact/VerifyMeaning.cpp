#include "runtime/artifact/Verify.h"

#include <bit>
#include <cmath>
#include <map>
#include <string_view>
#include <unordered_set>

#include "runtime/artifact/VerifyDrafts.h"
#include "runtime/artifact/VerifyRanks.h"
#include "runtime/artifact/VerifySm90a.h"
#include "runtime/base/Checked.h"
#include "runtime/base/DType.h"
#include "runtime/schemas/ArtifactFile.h"

namespace hadal::artifact {

using namespace schema;
using schema::DType; // hides hadal::DType, which has the same values

uint64_t dtypeBytes(DType dtype) {
  return dtypeSize(static_cast<hadal::DType>(dtype));
}

const char *dtypeName(DType dtype) { return EnumNameDType(dtype); }

uint64_t pagesPerRow(const Model &model) {
  return (model.max_seq_len() + model.page_size() - 1) / model.page_size();
}

uint64_t localExperts(const Artifact &artifact) {
  return artifact.mesh() ? artifact.mesh()->slots()
                         : artifact.model()->num_experts();
}

InputShape inputShape(const Artifact &artifact, const Entry &entry) {
  const bool head = isHead(entry.kind());
  return {.tokens = head ? 0 : entry.tokens() / entry.micro_batches(),
          .rows = head ? 0 : entry.rows() / entry.micro_batches(),
          .logitRows = head ? entry.logit_rows() : 0,
          .pagesPerRow = pagesPerRow(*artifact.model()),
          .experts = localExperts(artifact),
          .hiddenRows = isDraft(entry.kind()) ? entry.tokens() : 0};
}

uint64_t inputBytes(const Artifact &artifact, const Entry &entry,
                    Input input) {
  const uint64_t block = inputBlockBytes(static_cast<unsigned>(input),
                                         inputShape(artifact, entry));
  return block + (entry.micro_batches() - 1) * inputStride(block);
}

uint64_t outputBytes(const Model &model, const Entry &entry, Output output) {
  if (output != Output::logits || !isHead(entry.kind()))
    return 0;
  return uint64_t(entry.logit_rows()) * model.vocab_size() * 4;
}

namespace {

// Limits that keep every size computation far below 2^64.
constexpr uint64_t kMaxExtent = uint64_t(1) << 31;
constexpr uint64_t kMaxRows = uint64_t(1) << 20;
constexpr uint64_t kMaxArenaBytes = uint64_t(1) << 46;
constexpr uint64_t kMaxScratchBytes = uint64_t(1) << 30;
constexpr uint64_t kMaxItems = uint64_t(1) << 40;
constexpr uint64_t kMaxArgs = 4096;
constexpr uint64_t kMaxCallDepth = 64;

/// What a function needs of the entry that runs it, callees included: one past
/// the largest byte offset used, 0 if unused.
struct Needs {
  uint64_t arena = 0;
  std::array<uint64_t, kNumInputs> inputs = {};
  std::array<uint64_t, kNumOutputs> outputs = {};
  /// Of those of the function's state slots of which a part is named: one past
  /// the largest offset.
  std::map<uint32_t, uint64_t> states;
  /// Launches and calls, collectives and events, and how deep calls nest.
  uint64_t launches = 0, rankCommands = 0, depth = 0;

  void merge(const Needs &other) {
    arena = std::max(arena, other.arena);
    for (unsigned i = 0; i < kNumInputs; ++i)
      inputs[i] = std::max(inputs[i], other.inputs[i]);
    for (unsigned i = 0; i < kNumOutputs; ++i)
      outputs[i] = std::max(outputs[i], other.outputs[i]);
  }
};

class MeaningVerifier {
public:
  MeaningVerifier(const Artifact &artifact, const std::string &name)
      : a(artifact), name(name) {}

  Status run() {
    HADAL_RETURN_IF_ERROR(target());
    HADAL_RETURN_IF_ERROR(model());
    HADAL_RETURN_IF_ERROR(require(checkMesh(a)));
    HADAL_RETURN_IF_ERROR(parameters());
    HADAL_RETURN_IF_ERROR(states());
    HADAL_RETURN_IF_ERROR(kernels());
    HADAL_RETURN_IF_ERROR(images());
    HADAL_RETURN_IF_ERROR(opNames());
    HADAL_RETURN_IF_ERROR(functions());
    return entries();
  }

private:
  template <typename... Args>
  Status fail(fmt::format_string<Args...> format, Args &&...args) {
    return error(4005, "artifact '{}': {}; compile the model again", name,
                 fmt::format(format, std::forward<Args>(args)...));
  }

  template <typename E> static bool known(E value) {
    return static_cast<unsigned>(value) <= static_cast<unsigned>(E::MAX);
  }

  /// Fails with |what| unless it is empty.
  Status require(const std::string &what) {
    return what.empty() ? Status() : fail("{}", what);
  }

  /// The flatbuffers verifier checks the alignment of a vector's length, not
  /// that of elements of 8 bytes. Builders do not align empty vectors.
  static bool aligned(const flatbuffers::Vector<uint64_t> *vector) {
    return !vector->size() ||
           reinterpret_cast<uintptr_t>(vector->Data()) % 8 == 0;
  }

  /// Names in |list| are not empty and differ.
  template <typename T>
  Status uniqueNames(const flatbuffers::Vector<flatbuffers::Offset<T>> *list,
                     const char *what) {
    std::unordered_set<std::string_view> seen;
    for (unsigned i = 0; i < list->size(); ++i) {
      std::string_view n = list->Get(i)->name()->string_view();
      if (n.empty())
        return fail("{} {} has no name", what, i);
      if (!seen.insert(n).second)
        return fail("the {} name '{}' is used twice", what, n);
    }
    return {};
  }

  Status target() {
    std::string_view t = a.provenance()->target()->string_view();
    if (t != "cpu" && t != "sm_90a")
      return error(4007,
                   "artifact '{}' was built for target '{}'; this runtime "
                   "knows 'cpu' and 'sm_90a': compile with --target=cpu",
                   name, t);
    return {};
  }
  bool isCpu() { return a.provenance()->target()->string_view() == "cpu"; }

  Status model() {
    const Model &m = *a.model();
    auto inRange = [](uint64_t v, uint64_t max) { return v >= 1 && v <= max; };
    if (!inRange(m.vocab_size(), kMaxExtent - 1))
      return fail("vocab_size {} is out of range", m.vocab_size());
    if (!inRange(m.hidden_size(), kMaxExtent - 1))
      return fail("hidden_size {} is out of range", m.hidden_size());
    if (!inRange(m.num_layers(), 65536))
      return fail("num_layers {} is out of range", m.num_layers());
    if (m.num_experts() > 65536 || m.num_experts_per_token() > m.num_experts())
      return fail("{} experts, {} of them for a token, are out of range",
                  m.num_experts(), m.num_experts_per_token());
    if (!inRange(m.max_seq_len(), kMaxExtent - 1))
      return fail("max_seq_len {} is out of range", m.max_seq_len());
    if (!inRange(m.max_batch_size(), 65536))
      return fail("max_batch_size {} is out of range", m.max_batch_size());
    if (!std::has_single_bit(m.page_size()) || m.page_size() > 65536)
      return fail("page_size {} is not a power of two up to 65536",
                  m.page_size());
    if (m.bos_token_id() != -1 &&
        (m.bos_token_id() < 0 || uint64_t(m.bos_token_id()) >= m.vocab_size()))
      return fail("bos_token_id {} is outside the vocabulary of {}",
                  m.bos_token_id(), m.vocab_size());
    if (m.media_token_id() != -1 && (m.media_token_id() < 0 ||
                                     uint64_t(m.media_token_id()) >=
                                         m.vocab_size()))
      return fail("media_token_id {} is outside the vocabulary of {}",
                  m.media_token_id(), m.vocab_size());
    for (int32_t id : *m.eos_token_ids())
      if (id < 0 || uint64_t(id) >= m.vocab_size())
        return fail("eos_token_id {} is outside the vocabulary of {}", id,
                    m.vocab_size());
    if (m.activations() != DType::f32 && m.activations() != DType::bf16)
      return fail("activations have dtype '{}', expected f32 or bf16",
                  dtypeName(m.activations()));
    std::string_view fp8 = m.fp8_mode()->string_view();
    if (fp8 != "none" && fp8 != "w8a8" && fp8 != "w8a16")
      return fail("fp8_mode is '{}', expected none, w8a8 or w8a16", fp8);
    if (m.deterministic() && !isCpu())
      return fail("the model is deterministic, which the kernels of target "
                  "'{}' are not",
                  a.provenance()->target()->string_view());
    return {};
  }

  Status parameter(const Parameter &p) {
    std::string_view n = p.name()->string_view();
    if (!known(p.kind()) || !known(p.place()) || !known(p.generator()))
      return fail("parameter '{}' has an unknown kind, placement or generator",
                  n);
    if (!dtypeBytes(p.dtype()))
      return fail("parameter '{}' has no valid dtype", n);
    if (!aligned(p.rows()) || !aligned(p.inner()))
      return fail("the extents of parameter '{}' are not aligned", n);
    if (p.kind() == ParameterKind::generated &&
        p.generator() == Generator::placement_table) {
      HADAL_RETURN_IF_ERROR(require(checkPlacementTable(a, p)));
      return require(checkUploadSteps(p, !isCpu()));
    }
    if (p.kind() == ParameterKind::generated) {
      if (p.generator() != Generator::rope_cos_sin || p.dtype() != DType::f32 ||
          !p.inv_freq() || !p.inv_freq()->size() || !p.positions() ||
          p.positions() >= kMaxExtent || p.inv_freq()->size() > 65536 ||
          !std::isfinite(p.scale()) || p.slice() || p.layer() != -1 ||
          p.replicas())
        return fail("generated parameter '{}' is not a valid rope table", n);
      return require(checkUploadSteps(p, !isCpu()));
    }
    const unsigned parts = p.parts()->size();
    if (!parts || p.rows()->size() != parts)
      return fail("parameter '{}' has {} parts and {} row counts", n, parts,
                  p.rows()->size());
    if (p.kind() != ParameterKind::segments && parts != 1)
      return fail("parameter '{}' has {} parts, its kind takes one", n, parts);
    if (p.copies() && p.copies()->size() &&
        p.kind() != ParameterKind::tensor)
      return fail("parameter '{}' has copies, which only a tensor has", n);
    if (p.kind() == ParameterKind::stack &&
        (!p.count() || p.parts()->Get(0)->string_view().find("{e}") ==
                           std::string_view::npos))
      return fail("stack parameter '{}' needs a count and a pattern with {{e}}",
                  n);
    if (p.kind() == ParameterKind::segments && !p.segment_rows())
      return fail("segments parameter '{}' has segment_rows 0", n);
    std::optional<uint64_t> inner = dtypeBytes(p.dtype());
    for (uint64_t extent : *p.inner()) {
      if (!extent || extent > kMaxExtent)
        return fail("parameter '{}' has an inner extent {}", n, extent);
      inner = inner ? checkedMul(*inner, extent) : inner;
    }
    for (unsigned i = 0; i < parts; ++i) {
      uint64_t rows = p.rows()->Get(i);
      std::optional<uint64_t> bytes =
          inner ? checkedMul(*inner, rows) : std::nullopt;
      if (!rows || !bytes || *bytes > kMaxArenaBytes)
        return fail("part {} of parameter '{}' with {} rows is out of range", i,
                    n, rows);
      if (p.kind() == ParameterKind::segments && i + 1 < parts &&
          rows % p.segment_rows())
        return fail("part {} of parameter '{}' has {} rows, not a multiple of "
                    "{}",
                    i, n, rows, p.segment_rows());
    }
    bool found = false;
    for (unsigned i = 0; i < p.file_dtypes()->size(); ++i) {
      DType d = static_cast<DType>(p.file_dtypes()->Get(i));
      if (!dtypeBytes(d))
        return fail("parameter '{}' accepts an unknown file dtype", n);
      found |= d == p.dtype();
    }
    if (!p.file_dtypes()->size() || (p.place() == Placement::map && !found))
      return fail("mapped parameter '{}' does not accept its own dtype {} from "
                  "the file",
                  n, dtypeName(p.dtype()));
    HADAL_RETURN_IF_ERROR(require(checkSlice(a, p)));
    return require(checkUploadSteps(p, !isCpu()));
  }

  Status parameters() {
    HADAL_RETURN_IF_ERROR(uniqueNames(a.parameters(), "parameter"));
    for (const Parameter *p : *a.parameters())
      HADAL_RETURN_IF_ERROR(parameter(*p));
    return {};
  }

  Status states() {
    HADAL_RETURN_IF_ERROR(uniqueNames(a.states(), "state"));
    for (const State *s : *a.states()) {
      std::string_view n = s->name()->string_view();
      if (!known(s->kind()))
        return fail("state '{}' has an unknown kind", n);
      if (s->kind() == StateKind::paged_cache &&
          (!dtypeBytes(s->dtype()) || !s->row_elements() ||
           s->row_elements() > 65536))
        return fail("cache '{}' has dtype '{}' and rows of {} elements", n,
                    dtypeName(s->dtype()), s->row_elements());
      if (s->row_pitch() &&
          (isCpu() || s->kind() != StateKind::paged_cache ||
           s->row_pitch() !=
               (s->row_elements() * dtypeBytes(s->dtype()) + 15) / 16 * 16))
        return fail("state '{}' has a row pitch of {} bytes", n,
                    s->row_pitch());
      if (s->kind() == StateKind::buffer &&
          (!s->bytes() || s->bytes() > kMaxArenaBytes))
        return fail("state '{}' has {} bytes", n, s->bytes());
      if (n.starts_with("expert_load.") &&
          (s->kind() != StateKind::buffer ||
           s->bytes() != uint64_t(a.model()->num_experts()) * 4))
        return fail("state '{}' has {} bytes, expected one i32 for each of {} "
                    "experts",
                    n, s->bytes(), a.model()->num_experts());
      if (n == "comm.overflow" &&
          (s->kind() != StateKind::buffer || !a.mesh() ||
           s->bytes() != uint64_t(a.mesh()->ep()) * 8))
        return fail(
            "state '{}' has {} bytes, expected two i32 for each rank of "
            "an ep group",
            n, s->bytes());
      if (n == "hidden" && (s->kind() != StateKind::buffer ||
                            s->bytes() != a.model()->hidden_buffer_bytes()))
        return fail("state 'hidden' has {} bytes, the model says {}",
                    s->bytes(), a.model()->hidden_buffer_bytes());
    }
    return {};
  }

  /// Kinds and fields are the tools' business; each is named once.
  Status spec(std::string_view kernel, const KernelSpec &spec) {
    if (!spec.kind()->size())
      return fail("the spec of kernel '{}' has no kind", kernel);
    std::unordered_set<std::string_view> seen;
    for (const KeyValue *field : *spec.fields()) {
      std::string_view key = field->key()->string_view();
      if (key.empty())
        return fail("the spec of kernel '{}' has a field without a name",
                    kernel);
      if (!seen.insert(key).second)
        return fail("the spec of kernel '{}' has the field '{}' twice", kernel,
                    key);
    }
    return {};
  }

  /// Words are the tools' business too; each is named once.
  Status words(const Kernel &kernel) {
    std::string_view name = kernel.name()->string_view();
    std::unordered_set<std::string_view> seen;
    for (const ScheduleWord *word : *kernel.words()) {
      std::string_view key = word->word()->string_view();
      if (key.empty())
        return fail("the schedule of kernel '{}' has a word without a name",
                    name);
      if (!seen.insert(key).second)
        return fail("the schedule of kernel '{}' has the word '{}' twice", name,
                    key);
      if (word->origin() > ScheduleOrigin::MAX)
        return fail("the word '{}' of the schedule of kernel '{}' has the "
                    "origin {}, which is none",
                    key, name, static_cast<unsigned>(word->origin()));
    }
    return {};
  }

  Status kernels() {
    HADAL_RETURN_IF_ERROR(uniqueNames(a.kernels(), "kernel"));
    for (const Kernel *k : *a.kernels()) {
      std::string_view n = k->name()->string_view();
      if (k->num_args() > kMaxArgs || k->arg_names()->size() != k->num_args())
        return fail("kernel '{}' has {} arguments and {} argument names", n,
                    k->num_args(), k->arg_names()->size());
      if (k->scratch_bytes() > kMaxScratchBytes)
        return fail("kernel '{}' wants {} bytes of scratch, at most {} are "
                    "given",
                    n, k->scratch_bytes(), kMaxScratchBytes);
      if (k->spec())
        HADAL_RETURN_IF_ERROR(spec(n, *k->spec()));
      if (k->words())
        HADAL_RETURN_IF_ERROR(words(*k));
      HADAL_RETURN_IF_ERROR(require(isCpu() ? checkNoDeviceFields(*k)
                                            : checkDeviceKernel(a, *k)));
    }
    return {};
  }

  Status images() {
    const unsigned kernels = a.kernels()->size();
    if (!isCpu())
      return a.images()->size()
                 ? fail("it holds {} images; on sm_90a a kernel has its own "
                        "code",
                        a.images()->size())
                 : Status();
    if (!a.images()->size())
      return fail("it holds no kernel image");
    std::unordered_set<std::string_view> seen;
    for (const Image *image : *a.images()) {
      std::string_view v = image->variant()->string_view();
      if (!seen.insert(v).second)
        return fail("two images have variant '{}'", v);
      if (v != "v3" && v != "v4" && v != "v4+bf16+vbmi")
        return fail("image variant '{}' is not one of v3, v4, v4+bf16+vbmi", v);
      if (image->blob() >= a.blobs()->size())
        return fail("image '{}' names blob {} of {}", v, image->blob(),
                    a.blobs()->size());
      const Blob &blob = *a.blobs()->Get(image->blob());
      if (blob.zstd())
        return fail("image '{}' is compressed, CPU code must not be", v);
      const auto *offsets = image->entry_offsets();
      if (!aligned(offsets))
        return fail("the entry offsets of image '{}' are not aligned", v);
      if (offsets->size() != kernels)
        return fail("image '{}' has {} entry offsets for {} kernels", v,
                    offsets->size(), kernels);
      for (unsigned k = 0; k < offsets->size(); ++k)
        if (offsets->Get(k) >= blob.bytes())
          return fail("kernel '{}' starts at byte {} of image '{}', which has "
                      "{} bytes",
                      a.kernels()->Get(k)->name()->string_view(),
                      offsets->Get(k), v, blob.bytes());
    }
    return {};
  }

  Status opNames() {
    std::unordered_set<std::string_view> seen;
    for (unsigned i = 0; i < numOpNames(); ++i) {
      std::string_view n = a.op_names()->Get(i)->string_view();
      if (n.empty() || !seen.insert(n).second)
        return fail("op name {} is '{}', expected names, each once", i, n);
    }
    return {};
  }
  unsigned numOpNames() { return a.op_names() ? a.op_names()->size() : 0; }

  /// What a command says about the model operations that it is.
  Status names(const std::string &where, const Command &c) {
    const unsigned members = c.members() ? c.members()->size() : 0;
    const bool isCall =
        c.kind() == CommandKind::call || c.kind() == CommandKind::repeat;
    if (isCall && (c.op() != -1 || members))
      return fail("{}: a call names no operation", where);
    if (c.op() < -1 || c.op() >= int64_t(numOpNames()))
      return fail("{}: op name {} of {}", where, c.op(), numOpNames());
    if (c.op() == -1 && members)
      return fail("{}: {} members of no operation", where, members);
    for (unsigned i = 0; i < members; ++i)
      if (c.members()->Get(i) >= numOpNames())
        return fail("{}: member {} is op name {} of {}", where, i,
                    c.members()->Get(i), numOpNames());
    return {};
  }

  Status argument(const std::string &where, const Function &f, unsigned index,
                  const Arg &arg, Needs &needs) {
    auto atMost = [&](uint64_t count, const char *what) -> Status {
      if (arg.index() >= count)
        return fail("{}, argument {}: {} {} of {}", where, index, what,
                    arg.index(), count);
      return {};
    };
    auto noValue = [&]() -> Status {
      if (arg.value())
        return fail("{}, argument {}: a parameter takes no offset, found {}",
                    where, index, arg.value());
      return {};
    };
    auto need = [&](uint64_t &slot) { slot = std::max(slot, arg.value() + 1); };
    if (arg.kind() != ArgKind::scalar && arg.value() >= kMaxArenaBytes)
      return fail("{}, argument {}: offset {} is out of range", where, index,
                  arg.value());
    switch (arg.kind()) {
    case ArgKind::arena:
      need(needs.arena);
      return {};
    case ArgKind::parameter:
      HADAL_RETURN_IF_ERROR(noValue());
      return atMost(f.num_parameters(), "parameter slot");
    case ArgKind::state:
      HADAL_RETURN_IF_ERROR(atMost(f.num_states(), "state slot"));
      if (arg.value())
        need(needs.states[arg.index()]);
      return {};
    case ArgKind::input:
      HADAL_RETURN_IF_ERROR(atMost(kNumInputs, "input"));
      need(needs.inputs[arg.index()]);
      return {};
    case ArgKind::output:
      HADAL_RETURN_IF_ERROR(atMost(kNumOutputs, "output"));
      need(needs.outputs[arg.index()]);
      return {};
    case ArgKind::scalar:
      return {};
    }
    return fail("{}, argument {}: unknown kind {}", where, index,
                static_cast<unsigned>(arg.kind()));
  }

  Status launch(const std::string &where, const Function &f, const Command &c,
                Needs &needs) {
    if (c.kernel() >= a.kernels()->size())
      return fail("{}: kernel {} of {}", where, c.kernel(),
                  a.kernels()->size());
    const Kernel &kernel = *a.kernels()->Get(c.kernel());
    if (c.args()->size() != kernel.num_args())
      return fail("{}: {} arguments for kernel '{}', which takes {}", where,
                  c.args()->size(), kernel.name()->string_view(),
                  kernel.num_args());
    if (!c.items() || c.items() > kMaxItems)
      return fail("{}: {} work items", where, c.items());
    if (c.parameters()->size() || c.states()->size())
      return fail("{}: a launch takes no parameter or state list", where);
    for (unsigned i = 0; i < c.args()->size(); ++i)
      HADAL_RETURN_IF_ERROR(argument(where, f, i, *c.args()->Get(i), needs));
    if (!isCpu())
      if (std::string what = checkDeviceLaunch(kernel, c); !what.empty())
        return fail("{}: {}", where, what);
    if (c.stream())
      return fail("{}: a launch on stream {}, the one of launches is 0", where,
                  c.stream());
    needs.launches += 1;
    return {};
  }

  Status rankCommand(const std::string &where, const Command &c,
                     EventChecker &events, Needs &needs) {
    auto check = [&](const std::string &what) -> Status {
      return what.empty() ? Status() : fail("{}: {}", where, what);
    };
    if (c.kind() == CommandKind::collective) {
      CollectiveBytes bytes;
      HADAL_RETURN_IF_ERROR(check(checkCollective(a, c, bytes)));
      needs.arena = std::max({needs.arena, bytes.parts, bytes.counts});
    }
    needs.rankCommands += 1;
    return check(events.add(c));
  }

  Status slots(const std::string &where,
               const flatbuffers::Vector<uint32_t> *list, uint64_t expected,
               uint64_t available, const char *what) {
    if (list->size() != expected)
      return fail("{}: {} {} slots given, the callee takes {}", where,
                  list->size(), what, expected);
    for (uint32_t slot : *list)
      if (slot >= available)
        return fail("{}: {} slot {} of {}", where, what, slot, available);
    return {};
  }

  Status callOrRepeat(const std::string &where, unsigned self,
                      const Function &f, const Command &c, Needs &needs) {
    if (c.callee() >= self)
      return fail("{}: callee {} is not before its caller {}", where,
                  c.callee(), self);
    if (c.args()->size())
      return fail("{}: a call takes no arguments", where);
    const Function &callee = *a.functions()->Get(c.callee());
    const bool isRepeat = c.kind() == CommandKind::repeat;
    if (isRepeat && !c.count())
      return fail("{}: repeat with count 0", where);
    const uint64_t count = isRepeat ? c.count() : 1;
    HADAL_RETURN_IF_ERROR(slots(where, c.parameters(),
                                count * callee.num_parameters(),
                                f.num_parameters(), "parameter"));
    HADAL_RETURN_IF_ERROR(slots(where, c.states(), count * callee.num_states(),
                                f.num_states(), "state"));
    const Needs &inner = needsOf[c.callee()];
    needs.merge(inner);
    for (auto [index, bytes] : inner.states)
      for (uint64_t i = 0; i < count; ++i) {
        uint64_t &slot = needs.states[c.states()->Get(
            static_cast<uint32_t>(i * callee.num_states() + index))];
        slot = std::max(slot, bytes);
      }
    // Both factors are below 2^32.
    needs.launches += count * (inner.launches + 1);
    needs.rankCommands += count * inner.rankCommands;
    needs.depth = std::max(needs.depth, inner.depth + 1);
    if (needs.depth > kMaxCallDepth)
      return fail("{}: calls nest more than {} deep", where, kMaxCallDepth);
    return {};
  }

  Status functions() {
    HADAL_RETURN_IF_ERROR(uniqueNames(a.functions(), "function"));
    for (unsigned i = 0; i < a.functions()->size(); ++i) {
      const Function &f = *a.functions()->Get(i);
      const uint64_t slots = uint64_t(f.num_parameters()) + f.num_states();
      if (f.arg_names() && f.arg_names()->size() != slots)
        return fail("function '{}' has {} argument names for {} slots",
                    f.name()->string_view(), f.arg_names()->size(), slots);
      Needs needs;
      if (f.num_events() > kMaxRankCommands)
        return fail("function '{}' has {} events", f.name()->string_view(),
                    f.num_events());
      EventChecker events(f);
      for (unsigned c = 0; c < f.commands()->size(); ++c) {
        const Command &command = *f.commands()->Get(c);
        std::string where = fmt::format("function '{}', command {}",
                                        f.name()->string_view(), c);
        switch (command.kind()) {
        case CommandKind::launch:
          HADAL_RETURN_IF_ERROR(launch(where, f, command, needs));
          break;
        case CommandKind::call:
        case CommandKind::repeat:
          HADAL_RETURN_IF_ERROR(callOrRepeat(where, i, f, command, needs));
          break;
        case CommandKind::collective:
        case CommandKind::record:
        case CommandKind::wait:
          HADAL_RETURN_IF_ERROR(rankCommand(where, command, events, needs));
          break;
        default:
          return fail("{}: unknown kind {}", where,
                      static_cast<unsigned>(command.kind()));
        }
        HADAL_RETURN_IF_ERROR(names(where, command));
        if (needs.launches > kMaxLaunches)
          return fail("{}: the program has more than {} launches and calls",
                      where, kMaxLaunches);
        if (needs.rankCommands > kMaxRankCommands)
          return fail("{}: the program has more than {} collectives and events",
                      where, kMaxRankCommands);
      }
      if (std::string what = events.finish(); !what.empty())
        return fail("function '{}': {}", f.name()->string_view(), what);
      needsOf.push_back(needs);
    }
    return {};
  }

  Status microBatches(const Entry &e) {
    std::string_view n = e.name()->string_view();
    const uint32_t m = e.micro_batches();
    if (m != 1 && (m != 2 || !isBody(e.kind()) || !a.mesh() ||
                   e.tokens() % m || e.rows() % m))
      return fail("entry '{}' of {} tokens and {} rows has {} micro-batches", n,
                  e.tokens(), e.rows(), m);
    if (const Overlap *o = e.overlap())
      if (!known(o->decision()) || !o->reason()->size() ||
          !isBody(e.kind()) ||
          o->exposed_before_ns() > o->step_before_ns() ||
          o->exposed_after_ns() > o->step_after_ns() ||
          (m > 1 && o->decision() == OverlapDecision::refused))
        return fail("entry '{}' has an impossible decision about micro-batches",
                    n);
    return {};
  }

  Status bucket(const Entry &e) {
    std::string_view n = e.name()->string_view();
    if (!known(e.kind()))
      return fail("entry '{}' has an unknown kind", n);
    std::string_view attention = e.attention()->string_view();
    if (isHead(e.kind())) {
      if (!e.logit_rows() || e.logit_rows() > kMaxRows)
        return fail("head entry '{}' has {} logit rows", n, e.logit_rows());
      if (!attention.empty())
        return fail("head entry '{}' names attention '{}'", n, attention);
      return {};
    }
    if (!e.rows() || e.tokens() < e.rows() || e.tokens() > kMaxRows ||
        !e.max_queries_per_row() || e.max_queries_per_row() > e.tokens())
      return fail("entry '{}' has an impossible bucket: {} tokens, {} rows, {} "
                  "queries per row",
                  n, e.tokens(), e.rows(), e.max_queries_per_row());
    if (attention != "absorbed" && attention != "expanded")
      return fail("entry '{}' has attention '{}', expected absorbed or "
                  "expanded",
                  n, attention);
    if (a.model()->deterministic())
      for (const Entry *other : *a.entries())
        if (other->kind() == e.kind() &&
            other->attention()->string_view() != attention)
          return fail("entry '{}' has {} attention and '{}' {}; of a "
                      "deterministic model entries of a kind have one form",
                      n, attention, other->name()->string_view(),
                      other->attention()->string_view());
    return {};
  }

  Status entry(const Entry &e) {
    std::string_view n = e.name()->string_view();
    HADAL_RETURN_IF_ERROR(bucket(e));
    HADAL_RETURN_IF_ERROR(microBatches(e));
    if (e.function() >= a.functions()->size())
      return fail("entry '{}' names function {} of {}", n, e.function(),
                  a.functions()->size());
    const Function &f = *a.functions()->Get(e.function());
    if (f.num_parameters() != a.parameters()->size() ||
        f.num_states() != a.states()->size())
      return fail(
          "entry '{}' runs function '{}' with {} parameter and {} state "
          "slots, the artifact has {} and {}",
          n, f.name()->string_view(), f.num_parameters(), f.num_states(),
          a.parameters()->size(), a.states()->size());
    if (e.arena_bytes() % 64 || e.arena_bytes() > kMaxArenaBytes)
      return fail("entry '{}' has an arena of {} bytes", n, e.arena_bytes());
    const Needs &needs = needsOf[e.function()];
    if (needs.arena > e.arena_bytes())
      return fail("entry '{}' uses byte {} of an arena of {} bytes", n,
                  needs.arena - 1, e.arena_bytes());
    for (auto [index, bytes] : needs.states) {
      const State &state = *a.states()->Get(index);
      if (state.kind() != StateKind::buffer || bytes > state.bytes())
        return fail("entry '{}' uses byte {} of state '{}', which has no such "
                    "offset",
                    n, bytes - 1, state.name()->string_view());
    }
    for (unsigned i = 0; i < kNumInputs; ++i) {
      Input input = static_cast<Input>(i);
      uint64_t bytes = inputBytes(a, e, input);
      if (needs.inputs[i] > bytes)
        return fail("entry '{}' uses byte {} of input '{}', which has {} bytes "
                    "there",
                    n, needs.inputs[i] - 1, EnumNameInput(input), bytes);
    }
    for (unsigned i = 0; i < kNumOutputs; ++i) {
      Output output = static_cast<Output>(i);
      uint64_t bytes = outputBytes(*a.model(), e, output);
      if (needs.outputs[i] > bytes)
        return fail(
            "entry '{}' uses byte {} of output '{}', which has {} bytes "
            "there",
            n, needs.outputs[i] - 1, EnumNameOutput(output), bytes);
    }
    return {};
  }

  /// What an entry says of its collectives.
  Status collectives(const Entry &e) {
    HADAL_RETURN_IF_ERROR(require(checkRung(a, e)));
    std::vector<bool> hasCollectives;
    for (const Needs &needs : needsOf)
      hasCollectives.push_back(needs.rankCommands > 0);
    const uint64_t digest = digestCollectives(a, hasCollectives, e.function());
    if (digest != e.collective_digest())
      return fail("entry '{}' has the collective digest {:016x}, its commands "
                  "have {:016x}",
                  e.name()->string_view(), e.collective_digest(), digest);
    return {};
  }

  Status entries() {
    HADAL_RETURN_IF_ERROR(uniqueNames(a.entries(), "entry"));
    bool body = false, head = false;
    for (const Entry *e : *a.entries()) {
      HADAL_RETURN_IF_ERROR(entry(*e));
      HADAL_RETURN_IF_ERROR(collectives(*e));
      head |= e->kind() == EntryKind::head;
      body |= isBody(e->kind());
    }
    if (!body || !head)
      return fail("it needs at least one decode or prefill entry and one head "
                  "entry");
    return require(checkDrafts(a));
  }

  const Artifact &a;
  const std::string &name;
  std::vector<Needs> needsOf;
};

} // namespace

Status verifyMeaning(const Artifact &artifact, const std::string &name) {
  return MeaningVerifier(artifact, name).run();
}

} // namespace hadal::artifact
