// Runs the entries of multi-token prediction of an artifact over given ids, one
// sequence, by themselves: no scheduler and no sampler.
//
//   DraftLogits ARTIFACT --weights DIR --ids 0,5,.. --prompt P --chunk C
//               --chain t1,t2 --output FILE
//
// The first P ids are a prompt, in chunks of at most C; the others come K + 1
// at a time through the decode entry that verifies K drafts. Behind each call
// the draft entry runs over the same rows, fed with the id after each of them;
// there is none after the last id, which is therefore only fed. FILE receives
// f32 [n, 2, vocab]: of id i < n = ids - 1 the model's logits and the draft's,
// then for each id of
// --chain (at most K - 1) the draft's logits after that id was drafted, f32
// [chain, vocab].
#include <algorithm>
#include <cstring>
#include <fstream>

#include "runtime/artifact/Verify.h"
#include "runtime/schemas/EntryKinds.h"
#include "runtime/session/MemoryPlan.h"
#include "runtime/session/Model.h"
#include "tools/common/Cli.h"

using namespace hadal;
using schema::EntryKind;
using schema::Input;

namespace {

struct Flags {
  cli::LoadFlags load;
  std::string ids, chain, output;
  uint32_t prompt = 1, chunk = 1;
};

/// One session of one row, whose pages are the first of the cache.
class Runner {
public:
  explicit Runner(const Model &model)
      : model(model), root(model.artifact().root()), driver(model.driver()) {}

  Status prepare() {
    bindings.parameters.assign(model.parameters().begin(),
                               model.parameters().end());
    pages = artifact::pagesPerRow(model.description());
    for (const schema::State *state : *root.states())
      HADAL_RETURN_IF_ERROR(
          add(*stateBytes(model.description(), *state, pages),
              [&](DeviceAddress at) { bindings.states.push_back(at); }));
    uint64_t arena = 0, logits = 0;
    std::array<uint64_t, artifact::kNumInputs> inputs = {};
    for (const schema::Entry *e : *root.entries()) {
      arena = std::max(arena, e->arena_bytes());
      logits = std::max(logits, artifact::outputBytes(model.description(), *e,
                                                      schema::Output::logits));
      for (unsigned i = 0; i < inputs.size(); ++i)
        inputs[i] = std::max(
            inputs[i], artifact::inputBytes(root, *e, static_cast<Input>(i)));
    }
    for (unsigned i = 0; i < inputs.size(); ++i)
      HADAL_RETURN_IF_ERROR(
          add(inputs[i], [&](DeviceAddress at) { bindings.inputs[i] = at; }));
    HADAL_RETURN_IF_ERROR(
        add(logits, [&](DeviceAddress at) { bindings.outputs[0] = at; }));
    return add(arena, [&](DeviceAddress at) { bindings.arena = at; });
  }

  /// Runs the smallest entry of |kind| for |tokens| at positions |first| ..,
  /// which holds at least |least|; |hidden|: the rows of its hidden_rows.
  Status body(EntryKind kind, std::span<const int32_t> tokens, uint64_t first,
              uint32_t least, int32_t hidden) {
    const schema::Entry *entry = nullptr;
    for (const schema::Entry *e : *root.entries())
      if (e->kind() == kind && e->max_queries_per_row() >= least &&
          e->tokens() >= tokens.size() &&
          (!entry || e->tokens() < entry->tokens()))
        entry = e;
    if (!entry)
      return error(5011, "no {} entry holds {} tokens", EnumNameEntryKind(kind),
                   tokens.size());
    const size_t t = tokens.size(), rows = entry->rows();
    const uint64_t pageSize = model.description().page_size();
    std::vector<int32_t> ids(entry->tokens()), positions(ids.size()),
        sources(ids.size()), starts(rows + 1, static_cast<int32_t>(t)),
        lengths(rows), table(rows * pages);
    std::vector<int64_t> slots(ids.size(), -1);
    for (size_t i = 0; i < t; ++i) {
      ids[i] = tokens[i];
      positions[i] = static_cast<int32_t>(first + i);
      slots[i] = int64_t(first + i); // page p of the row is page p
      sources[i] = hidden + static_cast<int32_t>(i);
    }
    starts[0] = 0;
    lengths[0] = static_cast<int32_t>(first + t);
    for (uint64_t p = 0; p * pageSize < first + t; ++p)
      table[p] = static_cast<int32_t>(p);
    HADAL_RETURN_IF_ERROR(write(Input::tokens, ids));
    HADAL_RETURN_IF_ERROR(write(Input::positions, positions));
    HADAL_RETURN_IF_ERROR(write(Input::q_start, starts));
    HADAL_RETURN_IF_ERROR(write(Input::kv_len, lengths));
    HADAL_RETURN_IF_ERROR(write(Input::page_table, table));
    HADAL_RETURN_IF_ERROR(write(Input::slot, slots));
    if (artifact::isDraft(kind))
      HADAL_RETURN_IF_ERROR(write(Input::hidden_rows, sources));
    return call(*entry, t, 0);
  }

  /// Appends the logits of rows |first| .. of the hidden state of |kind|.
  Status head(EntryKind kind, size_t first, size_t count,
              std::vector<float> &out) {
    const schema::Entry *entry = nullptr;
    for (const schema::Entry *e : *root.entries())
      if (e->kind() == kind &&
          (!entry || e->logit_rows() > entry->logit_rows()))
        entry = e;
    const uint64_t vocab = model.description().vocab_size();
    for (size_t at = 0; at < count; at += entry->logit_rows()) {
      const size_t n = std::min<size_t>(entry->logit_rows(), count - at);
      std::vector<int32_t> rows(entry->logit_rows());
      for (size_t i = 0; i < n; ++i)
        rows[i] = static_cast<int32_t>(first + at + i);
      HADAL_RETURN_IF_ERROR(write(Input::logit_rows, rows));
      HADAL_RETURN_IF_ERROR(call(*entry, 1, n));
      out.resize(out.size() + n * vocab);
      HADAL_RETURN_IF_ERROR(driver.read(out.data() + out.size() - n * vocab,
                                        bindings.outputs[0],
                                        n * vocab * sizeof(float)));
    }
    return {};
  }

private:
  template <typename Take> Status add(uint64_t bytes, Take take) {
    HADAL_ASSIGN_OR_RETURN(DeviceBuffer buffer,
                           DeviceBuffer::create(driver, bytes));
    take(buffer.address());
    buffers.push_back(std::move(buffer));
    return {};
  }
  template <typename T>
  Status write(Input input, const std::vector<T> &values) {
    return driver.write(bindings.inputs[static_cast<unsigned>(input)],
                        values.data(), values.size() * sizeof(T));
  }
  Status call(const schema::Entry &entry, size_t tokens, size_t logitRows) {
    std::vector<int32_t> sizes(artifact::kSizesHead);
    sizes[0] = sizes[3] = static_cast<int32_t>(tokens);
    sizes[1] = 1;
    sizes[2] = static_cast<int32_t>(logitRows);
    HADAL_RETURN_IF_ERROR(write(Input::sizes, sizes));
    for (unsigned i = 0; i < root.entries()->size(); ++i)
      if (root.entries()->Get(i) == &entry) {
        HADAL_ASSIGN_OR_RETURN(std::unique_ptr<PreparedEntry> prepared,
                               model.executable().prepare(i, bindings));
        return prepared->run();
      }
    return {};
  }

  const Model &model;
  const schema::Artifact &root;
  Driver &driver;
  Bindings bindings;
  std::vector<DeviceBuffer> buffers;
  uint64_t pages = 0;
};

Status run(const Flags &flags) {
  HADAL_ASSIGN_OR_RETURN(std::unique_ptr<Model> model,
                         cli::loadModel(flags.load, 1));
  HADAL_ASSIGN_OR_RETURN(std::vector<int32_t> ids, cli::parseIds(flags.ids));
  std::vector<int32_t> chain;
  if (!flags.chain.empty()) {
    HADAL_ASSIGN_OR_RETURN(chain, cli::parseIds(flags.chain));
  }
  const size_t count = ids.size() - 1;
  if (!count || flags.prompt > count || !flags.chunk)
    return error(5011, "{} ids for a prompt of {}", ids.size(), flags.prompt);
  const size_t vocab = model->description().vocab_size();
  const uint32_t queries = model->description().max_drafts() + 1;
  Runner runner(*model);
  HADAL_RETURN_IF_ERROR(runner.prepare());
  std::vector<float> ours, drafted;
  size_t last = 0; // of hidden_draft
  for (size_t at = 0; at < count;) {
    const bool isPrompt = at < flags.prompt;
    const size_t n = isPrompt ? std::min<size_t>(flags.chunk, flags.prompt - at)
                              : std::min<size_t>(queries, count - at);
    const uint32_t least = isPrompt ? 1 : queries;
    std::span<const int32_t> all = ids;
    HADAL_RETURN_IF_ERROR(
        runner.body(isPrompt ? EntryKind::prefill : EntryKind::decode,
                    all.subspan(at, n), at, least, 0));
    HADAL_RETURN_IF_ERROR(runner.head(EntryKind::head, 0, n, ours));
    HADAL_RETURN_IF_ERROR(
        runner.body(isPrompt ? EntryKind::draft_prefill : EntryKind::draft,
                    all.subspan(at + 1, n), at, least, 0));
    HADAL_RETURN_IF_ERROR(runner.head(EntryKind::draft_head, 0, n, drafted));
    at += n;
    last = n - 1;
  }
  std::vector<float> chained;
  for (size_t i = 0; i < chain.size(); ++i) {
    HADAL_RETURN_IF_ERROR(runner.body(EntryKind::draft_next,
                                      std::span(chain).subspan(i, 1), count + i,
                                      1, static_cast<int32_t>(last)));
    last = 0;
    HADAL_RETURN_IF_ERROR(runner.head(EntryKind::draft_head, 0, 1, chained));
  }
  std::ofstream file(flags.output, std::ios::binary);
  auto put = [&](const std::vector<float> &values, size_t row, size_t rows) {
    file.write(reinterpret_cast<const char *>(values.data() + row * vocab),
               static_cast<std::streamsize>(rows * vocab * sizeof(float)));
  };
  for (size_t i = 0; i < count; ++i) {
    put(ours, i, 1);
    put(drafted, i, 1);
  }
  put(chained, 0, chain.size());
  return file.good() ? Status()
                     : error(5015, "{}: cannot be written", flags.output);
}

} // namespace

int main(int argc, char **argv) {
  CLI::App app("logits of the entries of multi-token prediction");
  Flags flags;
  flags.load.add(app);
  app.add_option("--ids", flags.ids)->required();
  app.add_option("--prompt", flags.prompt);
  app.add_option("--chunk", flags.chunk);
  app.add_option("--chain", flags.chain);
  app.add_option("--output", flags.output)->required();
  return cli::run(app, argc, argv, [&] { return run(flags); });
}
