// hadal-run: generates text from an artifact, or writes its logits. Text (and
// token ids) on stdout, everything else on stderr.
#include <unistd.h>

#include <nlohmann/json.hpp>

#include "runtime/base/AtomicFileWriter.h"
#include "runtime/base/Npy.h"
#include "runtime/base/Progress.h"
#include "runtime/session/Generator.h"
#include "runtime/tokenizer/Tokenizer.h"
#include "tools/common/Cli.h"

using namespace hadal;

namespace {

struct RunFlags {
  cli::LoadFlags load;
  std::string prompt, promptsFile, inputIds, batchIdsFile;
  std::string logits, output, expertLoad;
  uint64_t maxTokens = 64, seed = 1;
  float temperature = 0, topP = 1;
  uint32_t prefillChunk = 0;
  bool ignoreEos = false, printIds = false;

  bool hasText() const { return prompt.size() || promptsFile.size(); }
};

class Runner {
public:
  explicit Runner(const RunFlags &flags) : flags(flags) {}

  Status run() {
    HADAL_RETURN_IF_ERROR(checkFlags());
    const std::atomic<bool> &interrupt = cli::interruptFlag();
    HADAL_RETURN_IF_ERROR(readInputs());
    HADAL_ASSIGN_OR_RETURN(model, cli::loadModel(flags.load));
    HADAL_RETURN_IF_ERROR(encodePrompts());
    SessionOptions options;
    options.prefillChunk = flags.prefillChunk;
    options.interrupt = &interrupt;
    options.progress = [this](uint64_t done, uint64_t total) {
      showProgress(done, total);
    };
    if (!flags.logits.empty() || rows.size() < maxBatch())
      options.maxRows = static_cast<uint32_t>(
          std::min<uint64_t>(rows.size(), maxBatch()));
    HADAL_ASSIGN_OR_RETURN(session, Session::create(*model, options));
    HADAL_RETURN_IF_ERROR(flags.logits.empty() ? generateText()
                                               : writeLogits());
    return writeExpertLoad();
  }

private:
  uint64_t maxBatch() const { return model->description().max_batch_size(); }

  Status checkFlags() const {
    int sources = !flags.prompt.empty() + !flags.promptsFile.empty() +
                  !flags.inputIds.empty() + !flags.batchIdsFile.empty();
    if (sources != 1)
      return error(5011, "give exactly one of -p, --prompts, --input-ids and "
                         "--batch-ids; found {}",
                   sources);
    if (flags.logits.empty() != flags.output.empty())
      return error(5011, "--logits and --output go together: the logits are "
                         "written to that file");
    if (!flags.logits.empty() && flags.hasText())
      return error(5011, "--logits takes --input-ids or --batch-ids, not text");
    if (!flags.batchIdsFile.empty() && !flags.logits.empty() &&
        flags.output.find("{row}") == std::string::npos)
      return error(5011, "--batch-ids writes one file a row: --output needs "
                         "{{row}} in its name, e.g. 'logits-{{row}}.npy'");
    return {};
  }

  Status readInputs() {
    if (!flags.inputIds.empty()) {
      HADAL_ASSIGN_OR_RETURN(std::vector<int32_t> ids,
                             cli::parseIds(flags.inputIds));
      rows.push_back(std::move(ids));
    } else if (!flags.batchIdsFile.empty()) {
      HADAL_ASSIGN_OR_RETURN(std::vector<std::string> lines,
                             cli::readLines(flags.batchIdsFile));
      for (const std::string &line : lines) {
        HADAL_ASSIGN_OR_RETURN(std::vector<int32_t> ids, cli::parseIds(line));
        rows.push_back(std::move(ids));
      }
    } else if (!flags.promptsFile.empty()) {
      HADAL_ASSIGN_OR_RETURN(texts, cli::readLines(flags.promptsFile));
    } else {
      texts.push_back(flags.prompt);
    }
    return {};
  }

  Status encodePrompts() {
    if (flags.printIds && texts.empty())
      return {};
    if (!flags.logits.empty())
      return {};
    HADAL_ASSIGN_OR_RETURN(Tokenizer loaded,
                           Tokenizer::load(flags.load.weights));
    tokenizer.emplace(std::move(loaded));
    for (size_t i = 0; i < texts.size(); ++i) {
      auto ids = tokenizer->encode(texts[i]);
      if (!ids.ok())
        return error(ids.status().code(), "prompt {}: {}", i,
                     ids.status().message());
      if (ids->empty())
        return error(5005, "prompt {} has no tokens; write some text", i);
      rows.push_back(std::move(*ids));
    }
    return {};
  }

  /// Long prompts only: a step of one call says nothing.
  void showProgress(uint64_t done, uint64_t total) {
    if (flags.load.quiet || total < 2048)
      return;
    if (!progress || done < lastDone)
      progress.emplace("prompt", total);
    lastDone = done;
    progress->update(done);
    if (done == total)
      progress.reset();
  }

  // ---- logits

  Status writeLogits() {
    const auto wanted =
        flags.logits == "all" ? LogitsWanted::All : LogitsWanted::Last;
    for (size_t first = 0; first < rows.size(); first += maxBatch()) {
      size_t count = std::min<size_t>(rows.size() - first, maxBatch());
      HADAL_RETURN_IF_ERROR(writeLogits(first, count, wanted));
    }
    return {};
  }

  Status writeLogits(size_t first, size_t count, LogitsWanted wanted) {
    std::vector<StepRow> steps;
    std::vector<NpyWriter> files;
    for (size_t i = 0; i < count; ++i) {
      HADAL_ASSIGN_OR_RETURN(uint32_t row, session->addRow());
      steps.push_back({row, rows[first + i], wanted});
      HADAL_ASSIGN_OR_RETURN(
          NpyWriter file, NpyWriter::create(outputName(first + i),
                                            model->description().vocab_size()));
      files.push_back(std::move(file));
    }
    HADAL_RETURN_IF_ERROR(session->step(
        steps, [&](size_t index, uint64_t, std::span<const float> logits) {
          return files[index].append(logits);
        }));
    for (NpyWriter &file : files)
      HADAL_RETURN_IF_ERROR(file.commit());
    for (const StepRow &step : steps)
      HADAL_RETURN_IF_ERROR(session->removeRow(step.row));
    return {};
  }

  std::string outputName(size_t row) const {
    std::string name = flags.output;
    if (size_t at = name.find("{row}");
        at != std::string::npos && !flags.batchIdsFile.empty())
      name.replace(at, 5, std::to_string(row));
    return name;
  }

  // ---- generation

  Status generateText() {
    std::vector<GenerateRequest> requests;
    for (const std::vector<int32_t> &row : rows) {
      GenerateRequest request;
      request.prompt = row;
      request.sampling = {flags.temperature, flags.topP, flags.seed};
      request.maxTokens = flags.maxTokens;
      request.ignoreEos = flags.ignoreEos;
      requests.push_back(std::move(request));
    }
    const bool many = rows.size() > 1 || !flags.promptsFile.empty() ||
                      !flags.batchIdsFile.empty();
    outputs.resize(rows.size());
    if (tokenizer)
      decoders.assign(rows.size(), IncrementalDecoder(*tokenizer));
    HADAL_ASSIGN_OR_RETURN(
        GenerateStatistics statistics,
        generate(*session, *model, requests,
                 [&](size_t r, int32_t token, FinishReason reason) {
                   return many ? collect(r, token, reason)
                               : stream(r, token, reason);
                 }));
    if (!flags.load.quiet)
      printStatistics(statistics);
    return {};
  }

  std::string textOf(size_t r, int32_t token, FinishReason reason) {
    if (flags.printIds) {
      std::string text = fmt::format("{}{}", separator(r), token);
      return text;
    }
    std::string text;
    if (reason != FinishReason::Eos)
      text = decoders[r].push(token);
    if (reason != FinishReason::None)
      text += decoders[r].finish();
    return text;
  }
  const char *separator(size_t r) const {
    return outputs[r].empty() ? "" : ",";
  }

  Status stream(size_t r, int32_t token, FinishReason reason) {
    std::string text = textOf(r, token, reason);
    outputs[r] += text;
    if (reason != FinishReason::None)
      text += '\n';
    return cli::writeStdout(text);
  }

  /// Several prompts: one line each, in their order, as soon as all before it
  /// are complete; line ends inside a text are written as \n.
  Status collect(size_t r, int32_t token, FinishReason reason) {
    outputs[r] += textOf(r, token, reason);
    if (reason != FinishReason::None)
      complete.insert(r);
    std::string lines;
    for (; complete.count(nextLine); ++nextLine) {
      for (char c : outputs[nextLine])
        if (c == '\n')
          lines += "\\n";
        else if (c == '\r')
          lines += "\\r";
        else if (c == '\\')
          lines += "\\\\";
        else
          lines += c;
      lines += '\n';
    }
    return lines.empty() ? Status() : cli::writeStdout(lines);
  }

  void printStatistics(const GenerateStatistics &s) const {
    auto rate = [](uint64_t tokens, double seconds) {
      return seconds > 0 ? static_cast<double>(tokens) / seconds : 0.0;
    };
    // The first token of each row comes out of its prefill.
    uint64_t decoded = s.generatedTokens - std::min<uint64_t>(
                                               s.generatedTokens, rows.size());
    fmt::print(stderr,
               "prompt {} tokens in {:.2f} s ({:.1f} tokens/s); generated {} "
               "tokens, decoding {:.2f} s ({:.1f} tokens/s)\n",
               s.promptTokens, s.prefillSeconds,
               rate(s.promptTokens, s.prefillSeconds), s.generatedTokens,
               s.decodeSeconds, rate(decoded, s.decodeSeconds));
  }

  Status writeExpertLoad() {
    if (flags.expertLoad.empty())
      return {};
    HADAL_ASSIGN_OR_RETURN(std::vector<Session::ExpertLoad> loads,
                           session->expertLoad());
    nlohmann::ordered_json json;
    json["tokens"] = session->counters().tokens;
    json["experts_per_token"] = model->description().num_experts_per_token();
    json["layers"] = nlohmann::ordered_json::object();
    for (const Session::ExpertLoad &load : loads)
      json["layers"][load.layer] = load.tokens;
    HADAL_ASSIGN_OR_RETURN(AtomicFileWriter file,
                           AtomicFileWriter::create(flags.expertLoad));
    HADAL_RETURN_IF_ERROR(file.write(json.dump(2) + "\n"));
    return file.commit();
  }

  const RunFlags &flags;
  std::unique_ptr<Model> model;
  std::unique_ptr<Session> session;
  std::optional<Tokenizer> tokenizer;
  std::vector<std::string> texts;
  std::vector<std::vector<int32_t>> rows;
  std::vector<IncrementalDecoder> decoders;
  std::vector<std::string> outputs;
  std::set<size_t> complete;
  size_t nextLine = 0;
  std::optional<Progress> progress;
  uint64_t lastDone = 0;
};

} // namespace

int main(int argc, char **argv) {
  RunFlags flags;
  CLI::App app("Generates text from a compiled model, or writes its logits. An "
               "artifact is native code: run only what you trust.",
               "hadal-run");
  flags.load.add(app);
  app.add_option("-p,--prompt", flags.prompt, "the text to continue");
  app.add_option("--prompts", flags.promptsFile,
                 "a file with one prompt a line, decoded as a batch; prints one "
                 "line each");
  app.add_option("--input-ids", flags.inputIds, "token ids, e.g. 5,17,3");
  app.add_option("--batch-ids", flags.batchIdsFile,
                 "a file with one list of token ids a line, run as a batch");
  app.add_option("-n,--max-tokens", flags.maxTokens, "tokens to generate")
      ->capture_default_str();
  app.add_option("--temp", flags.temperature, "temperature; 0: greedy")
      ->capture_default_str();
  app.add_option("--top-p", flags.topP, "nucleus of probability")
      ->capture_default_str();
  app.add_option("--seed", flags.seed, "of the random choice")
      ->capture_default_str();
  app.add_option("--prefill-chunk", flags.prefillChunk,
                 "tokens of a prompt per call; default: the largest bucket");
  app.add_option("--logits", flags.logits,
                 "write logits of all positions or the last one to --output")
      ->check(CLI::IsMember({"all", "last"}));
  app.add_option("--output", flags.output,
                 "an .npy file, float32 [positions, vocab]");
  app.add_option("--expert-load", flags.expertLoad,
                 "a JSON file for the tokens routed to each expert");
  app.add_flag("--ignore-eos", flags.ignoreEos,
               "go on after an end-of-sequence token");
  app.add_flag("--print-ids", flags.printIds, "print token ids, not text");
  return cli::run(app, argc, argv, [&] { return Runner(flags).run(); });
}
