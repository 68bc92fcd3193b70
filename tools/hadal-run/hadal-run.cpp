// hadal-run: generates text from an artifact, or writes its logits. Text (and
// token ids) on stdout, everything else on stderr.
#include <unistd.h>

#include <nlohmann/json.hpp>

#include "cost/Routing.h"
#include "runtime/base/Npy.h"
#include "runtime/base/OutputFile.h"
#include "runtime/base/Progress.h"
#include "runtime/engine/Generator.h"
#include "runtime/tokenizer/Tokenizer.h"
#include "tools/common/MemoryReport.h"
#include "tools/common/Ranks.h"
#include "tools/common/SpecJson.h"
#include "tools/hadal-bench/PlainRead.h"
#include "tools/hadal-run/Interactive.h"
#include "tools/hadal-run/RankOutputs.h"
#include "tools/profile/Profiler.h"

using namespace hadal;

namespace {

struct RunFlags {
  cli::LoadFlags load;
  cli::RankFlags ranks;
  profile::ProfileFlags profile;
  std::string prompt, promptsFile, inputIds;
  bool hasPrompt = false, hasPromptsFile = false, hasInputIds = false;
  bool special = false;
  std::string logits, output, expertLoad;
  uint64_t maxTokens = 64, seed = 1;
  float temperature = 0, topP = 1;
  uint64_t topK = 0;
  bool hasTemperature = false, hasTopP = false, hasTopK = false;
  bool samplingDefaults = false;
  uint32_t prefillChunk = 0;
  bool ignoreEos = false, plan = false;
  // Of a conversation.
  bool interactive = false, noTemplate = false;
  std::string inputFile, system, chatTemplate;

  bool converses() const { return interactive || !inputFile.empty(); }
};

/// One rank of a run: all requests are read by each, those of its index mod dp
/// are its own. Rank 0 prints.
class Runner {
public:
  Runner(const RunFlags &flags, comm::Group *group)
      : flags(flags), group(group) {}

  Status run() {
    Status status = runRank();
    // Of what failed between steps the others do not know.
    if (session)
      session->fail(status);
    return withCause(status);
  }

private:
  Status runRank() {
    if (flags.converses())
      return runConversation();
    HADAL_RETURN_IF_ERROR(readInputs());
    HADAL_ASSIGN_OR_RETURN(
        model, cli::loadModel(flags.load,
                              static_cast<uint32_t>(rows.size() + texts.size()),
                              group, flags.ranks.placement));
    HADAL_RETURN_IF_ERROR(encodePrompts());
    for (size_t i = 0; i < rows.size(); ++i)
      if (i % model->layout().dp == model->layout().dpIndex())
        mine.push_back(i);
    SessionOptions options;
    HADAL_ASSIGN_OR_RETURN(options.collectives, flags.ranks.streamOptions());
    options.checkCollectives = flags.ranks.checkCollectives;
    options.microBatches = flags.ranks.overlap != "off";
    options.prefillChunk = flags.prefillChunk;
    options.interrupt = &interruptFlag();
    options.progress = [this](uint64_t done, uint64_t total) {
      showProgress(done, total);
    };
    if (!flags.logits.empty() || mine.size() < maxBatch())
      options.maxRows = static_cast<uint32_t>(
          std::clamp<uint64_t>(mine.size(), 1, maxBatch()));
    profile::Profiler profiler(*model, flags.profile,
                               options.collectives.timeout);
    if (flags.profile.enabled)
      HADAL_RETURN_IF_ERROR(profiler.begin(options));
    HADAL_ASSIGN_OR_RETURN(session, Session::create(*model, options));
    HADAL_RETURN_IF_ERROR(flags.logits.empty() ? generateText()
                                               : writeLogits());
    HADAL_RETURN_IF_ERROR(writeExpertLoad());
    return flags.profile.enabled ? sayWhereTimeWent(profiler) : Status();
  }

  /// -i and --input-file.
  Status runConversation() {
    if (group)
      return error(5011, "-i and --input-file are of one rank");
    HADAL_ASSIGN_OR_RETURN(model, cli::loadModel(flags.load, 1));
    HADAL_ASSIGN_OR_RETURN(Tokenizer loaded,
                           Tokenizer::load(flags.load.weights));
    tokenizer.emplace(std::move(loaded));
    std::optional<chat::ChatTemplate> chatTemplate;
    if (!flags.noTemplate) {
      std::optional<std::string> file;
      if (!flags.chatTemplate.empty())
        file = flags.chatTemplate;
      HADAL_ASSIGN_OR_RETURN(
          chatTemplate, chat::ChatTemplate::load(flags.load.weights, file));
    }
    ConversationOptions options;
    options.sampling = sampling();
    options.seed = flags.seed;
    options.maxTokens = flags.maxTokens;
    options.prefillChunk = flags.prefillChunk;
    options.ignoreEos = flags.ignoreEos;
    options.system = flags.system;
    HADAL_RETURN_IF_ERROR(engine::validateSampling(
        options.sampling, model->description().vocab_size()));
    if (!flags.load.quiet)
      describeGeneration();
    HADAL_ASSIGN_OR_RETURN(
        std::unique_ptr<Conversation> conversation,
        Conversation::create(*model, *tokenizer,
                             chatTemplate ? &*chatTemplate : nullptr,
                             std::move(options)));
    return flags.interactive ? converse(*conversation, flags.load.quiet)
                             : answerLines(*conversation, flags.inputFile);
  }

  Status sayWhereTimeWent(profile::Profiler &profiler) {
    HADAL_ASSIGN_OR_RETURN(const profile::RunProfile times, profiler.finish());
    if (!isPrinting())
      return {};
    fmt::print(stderr, "{}", profile::summaryText(times, kernelFacts()));
    return profiler.writeTraceOf(times, flags.load.quiet);
  }

  /// What the kernels read, beside what the machine can. Of kernels that read
  /// experts it depends on the tokens, and is left out; and ranks that share a
  /// machine have no rate of their own.
  profile::KernelFacts kernelFacts() const {
    profile::KernelFacts facts;
    if (group || !model->hostWeights())
      return facts;
    const std::vector<bool> readsExperts = bench::kernelsOfExperts(*model);
    for (const schema::Kernel *kernel : *model->artifact().root().kernels())
      facts.bytes.push_back(readsExperts[facts.bytes.size()]
                                ? 0
                                : static_cast<double>(kernel->bytes_read()));
    facts.plainBytesPerSecond = bench::plainReadRate(*model);
    return facts;
  }

  bool isPrinting() const { return !group || !group->rank(); }

  /// |status|; of logits that are not finite with the weight at fault.
  Status withCause(const Status &status) const {
    return model && status.code() == 5008 ? model->withCause(status) : status;
  }

  uint64_t maxBatch() const { return model->description().max_batch_size(); }

  Status readInputs() {
    if (flags.hasInputIds) {
      for (size_t at = 0; at <= flags.inputIds.size();) {
        size_t end =
            std::min(flags.inputIds.find(';', at), flags.inputIds.size());
        if (end == at)
          return error(5005,
                       "row {} of --input-ids is empty; ids are taken as they "
                       "are, without a BOS token: give at least one",
                       rows.size());
        HADAL_ASSIGN_OR_RETURN(
            std::vector<int32_t> ids,
            cli::parseIds(flags.inputIds.substr(at, end - at)));
        rows.push_back(std::move(ids));
        at = end + 1;
      }
    } else if (flags.hasPromptsFile) {
      HADAL_ASSIGN_OR_RETURN(texts, cli::readLines(flags.promptsFile));
    } else {
      texts.push_back(flags.prompt);
    }
    return {};
  }

  Status encodePrompts() {
    if (texts.empty())
      return {};
    HADAL_ASSIGN_OR_RETURN(Tokenizer loaded,
                           Tokenizer::load(flags.load.weights));
    tokenizer.emplace(std::move(loaded));
    if (!flags.load.quiet)
      for (const std::string &line : tokenizer->notices())
        notice("{}", line);
    for (size_t i = 0; i < texts.size(); ++i) {
      auto ids = tokenizer->encode(texts[i], optionsFor(i));
      if (!ids.ok())
        return error(ids.status().code(), "prompt {}: {}", i,
                     ids.status().message());
      if (ids->empty())
        return error(5005,
                     "prompt {} has no tokens, and the tokenizer adds no BOS "
                     "token; write some text",
                     i);
      rows.push_back(std::move(*ids));
    }
    return {};
  }

  /// How prompt |i| is encoded. What a user may not expect of it is said for
  /// the first prompt that it concerns, also where --quiet is given.
  EncodeOptions optionsFor(size_t i) {
    EncodeOptions options;
    saidPlain |= !isPrinting();
    saidPrefix |= !isPrinting();
    if (!flags.special) {
      if (auto token = tokenizer->findAddedToken(texts[i]);
          token && !std::exchange(saidPlain, true))
        notice("prompt {} holds '{}', the text of an added (control) token, "
               "which is read as plain text; --special makes such texts tokens",
               i, *token);
      return options;
    }
    options.addedTokens = AddedTokens::All;
    if (tokenizer->writesPrefix(texts[i])) {
      options.addBos = false;
      if (!std::exchange(saidPrefix, true))
        notice("prompt {} begins with the special tokens (BOS) that the "
               "tokenizer adds; they are not added again",
               i);
    }
    return options;
  }

  template <typename... Args>
  static void notice(fmt::format_string<Args...> format, Args &&...args) {
    fmt::print(stderr, "notice: {}\n",
               fmt::format(format, std::forward<Args>(args)...));
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

  /// One file for all rows, one row's positions after the other's.
  Status writeLogits() {
    std::optional<NpyWriter> file;
    if (isPrinting()) {
      HADAL_ASSIGN_OR_RETURN(
          file,
          NpyWriter::create(flags.output, model->description().vocab_size()));
    }
    for (size_t first = 0; first < mine.size(); first += maxBatch())
      HADAL_RETURN_IF_ERROR(
          writeBatch(first, std::min<size_t>(mine.size() - first, maxBatch()),
                     file ? &*file : nullptr));
    HADAL_RETURN_IF_ERROR(finishRanks());
    for (const auto &[row, logits] : outputs.logits)
      if (file)
        HADAL_RETURN_IF_ERROR(file->append(logits));
    return file ? file->commit() : Status();
  }

  /// Writes rows to |file| as they come, or keeps them where there are others
  /// between them.
  Status writeBatch(size_t first, size_t count, NpyWriter *file) {
    std::vector<StepRow> steps;
    for (size_t i = 0; i < count; ++i) {
      HADAL_ASSIGN_OR_RETURN(uint32_t row, session->addRow());
      steps.push_back(
          {row, rows[mine[first + i]],
           flags.logits == "all" ? LogitsWanted::All : LogitsWanted::Last,
           flags.prefillChunk == 1 ? Phase::Decode : Phase::Prompt});
    }
    // The rows of a batch advance together: all but the first wait in memory.
    std::vector<std::vector<float>> waiting(count);
    HADAL_RETURN_IF_ERROR(session->step(
        steps,
        [&](size_t row, uint64_t, std::span<const float> logits) -> Status {
          if (row == 0 && !group)
            return file->append(logits);
          waiting[row].insert(waiting[row].end(), logits.begin(), logits.end());
          return {};
        }));
    for (size_t row = group ? 0 : 1; row < count; ++row)
      if (group)
        outputs.logits[mine[first + row]] = std::move(waiting[row]);
      else
        HADAL_RETURN_IF_ERROR(file->append(waiting[row]));
    for (const StepRow &step : steps)
      HADAL_RETURN_IF_ERROR(session->removeRow(step.row));
    return {};
  }

  // ---- generation

  /// The options, and where --sampling-defaults is given what they leave open
  /// as generation_config.json says.
  engine::SamplingParameters sampling() const {
    const GenerationConfig &file = model->generation();
    engine::SamplingParameters result{.temperature = flags.temperature,
                                      .topK = flags.topK,
                                      .topP = flags.topP};
    if (flags.samplingDefaults) {
      if (!flags.hasTemperature)
        result.temperature =
            file.doSample ? static_cast<float>(file.temperature.value_or(1))
                          : 0;
      if (!flags.hasTopP && file.topP)
        result.topP = static_cast<float>(*file.topP);
      if (!flags.hasTopK && file.topK)
        result.topK = *file.topK;
    }
    return result;
  }

  /// What generation_config.json says, and what becomes of it.
  void describeGeneration() const {
    const GenerationConfig &file = model->generation();
    const auto &known = *model->description().eos_token_ids();
    std::vector<int32_t> added;
    for (int32_t id : model->eosTokenIds())
      if (std::find(known.begin(), known.end(), id) == known.end())
        added.push_back(id);
    if (!added.empty() && !flags.ignoreEos)
      notice("generation_config.json adds the end-of-sequence id{} {}",
             added.size() > 1 ? "s" : "", fmt::join(added, ", "));
    if (!flags.samplingDefaults) {
      if (file.suggestsSampling())
        notice("generation_config.json suggests {}, which is not used; "
               "--sampling-defaults uses it where no option says otherwise",
               file.describeSampling());
      return;
    }
    const engine::SamplingParameters used = sampling();
    notice("sampling with temperature {}, top-p {}, top-k {}", used.temperature,
           used.topP, used.topK);
    if (!file.unsupported.empty())
      notice("not supported and not applied of generation_config.json: {}",
             fmt::join(file.unsupported, ", "));
  }

  Status generateText() {
    if (!flags.load.quiet)
      describeGeneration();
    std::vector<engine::Request> requests;
    for (size_t i : mine) {
      engine::Request request;
      request.prompt = rows[i];
      request.sampling = sampling();
      request.seed = flags.seed;
      if (tokenizer && tokenizer->eosId() && !flags.ignoreEos)
        request.stopTokens = {*tokenizer->eosId()};
      request.maxTokens = flags.maxTokens;
      request.ignoreEos = flags.ignoreEos;
      requests.push_back(std::move(request));
    }
    const bool many = rows.size() > 1 || flags.hasPromptsFile;
    if (tokenizer)
      decoders.assign(rows.size(), IncrementalDecoder(*tokenizer));
    HADAL_ASSIGN_OR_RETURN(
        outputs.statistics,
        engine::generate(*session, *model, requests,
                 [&](size_t i, const engine::Delta &delta) {
                   const size_t r = mine[i];
                   if (delta.contextFull)
                     outputs.cut.push_back(r);
                   if (!isPrinting()) {
                     outputs.texts[r] += textOf(r, delta);
                     return Status();
                   }
                   return many ? collect(r, delta)
                               : stream(r, delta);
                 }));
    HADAL_RETURN_IF_ERROR(finishRanks());
    if (!isPrinting())
      return {};
    if (group && many) {
      for (const auto &[row, text] : outputs.texts)
        complete.insert(row);
      HADAL_RETURN_IF_ERROR(printComplete());
    }
    for (size_t r : flags.load.quiet ? std::vector<size_t>() : outputs.cut)
      notice("prompt {} ends short of its -n {} tokens: the artifact was "
             "compiled with --max-seq-len={}",
             r, flags.maxTokens, model->description().max_seq_len());
    if (!flags.load.quiet)
      printStatistics(outputs.statistics);
    return {};
  }

  /// Goes on beside the other ranks until all are done, and brings what they
  /// have to rank 0.
  Status finishRanks() {
    HADAL_RETURN_IF_ERROR(session->finish());
    outputs.counters = session->counters();
    if (!group)
      return {};
    HADAL_ASSIGN_OR_RETURN(comm::StreamOptions options,
                           flags.ranks.streamOptions());
    HADAL_RETURN_IF_ERROR(
        gatherOutputs(*group, !model->layout().index(schema::Axis::tp),
                      options.timeout, outputs));
    const SessionCounters &c = outputs.counters;
    if (isPrinting() && c.replayedCalls && !flags.load.quiet)
      notice("{} of {} steps replayed; --capacity {} would have avoided them",
             c.replayedCalls, c.expectedCalls,
             sufficientCapacity(c.replayedDemand));
    if (isPrinting() && c.halvedCalls && !flags.load.quiet)
      notice("{} of {} steps ran as two micro-batches", c.halvedCalls,
             c.bodyCalls);
    return {};
  }

  /// The number for --capacity that holds |demand|.
  int64_t sufficientCapacity(const ExchangeDemand &demand) const {
    const schema::Mesh &mesh = *model->artifact().root().mesh();
    return cost::rowsThatHold(
        {mesh.ep(), mesh.slots(), model->description().num_experts_per_token()},
        demand.rows, demand.pairs);
  }

  std::string textOf(size_t r, const engine::Delta &delta) {
    std::string text;
    if (!tokenizer) {
      for (int32_t token : delta.ids)
        text += fmt::format(
            "{}{}", outputs.texts[r].empty() && text.empty() ? "" : ",",
            token);
      return text;
    }
    // An end-of-sequence token is no text.
    const size_t shown =
        delta.ids.size() - (delta.finish == engine::FinishReason::Stop);
    for (size_t i = 0; i < shown; ++i)
      text += decoders[r].push(delta.ids[i]);
    if (isLast(delta))
      text += decoders[r].finish();
    return text;
  }

  static bool isLast(const engine::Delta &delta) {
    return delta.finish != engine::FinishReason::None;
  }

  Status stream(size_t r, const engine::Delta &delta) {
    std::string text = textOf(r, delta);
    outputs.texts[r] += text;
    if (isLast(delta))
      text += '\n';
    return cli::writeStdout(text);
  }

  /// Several prompts: one line each, in their order, as soon as all before it
  /// are complete; line ends inside a text are written as \n.
  Status collect(size_t r, const engine::Delta &delta) {
    outputs.texts[r] += textOf(r, delta);
    if (isLast(delta))
      complete.insert(r);
    return printComplete();
  }

  Status printComplete() {
    std::string lines;
    for (; complete.count(nextLine); ++nextLine) {
      for (char c : outputs.texts[nextLine])
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

  void printStatistics(const engine::GenerateStatistics &s) const {
    auto rate = [](uint64_t tokens, double seconds) {
      return seconds > 0 ? static_cast<double>(tokens) / seconds : 0.0;
    };
    // The first token of each row comes out of its prefill.
    uint64_t decoded =
        s.generatedTokens - std::min<uint64_t>(s.generatedTokens, rows.size());
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
    if (!isPrinting())
      return {};
    nlohmann::ordered_json json;
    json["tokens"] = outputs.counters.tokens;
    json["experts_per_token"] = model->description().num_experts_per_token();
    for (const schema::Kernel *kernel : *model->artifact().root().kernels())
      if (kernel->spec() &&
          kernel->spec()->kind()->string_view() == "gate_topk")
        json["expert_groups"] = specJson(kernel->spec())["groups"];
    json["layers"] = nlohmann::ordered_json::object();
    for (const Session::ExpertLoad &load : loads)
      json["layers"][load.layer] = load.tokens;
    HADAL_ASSIGN_OR_RETURN(OutputFile file,
                           OutputFile::create(flags.expertLoad));
    HADAL_RETURN_IF_ERROR(file.write(json.dump(2) + "\n"));
    return file.commit();
  }

  const RunFlags &flags;
  comm::Group *const group; // null: one rank
  std::unique_ptr<Model> model;
  std::unique_ptr<Session> session;
  std::optional<Tokenizer> tokenizer;
  std::vector<std::string> texts;
  std::vector<std::vector<int32_t>> rows; // of all ranks
  std::vector<size_t> mine;               // of them
  std::vector<IncrementalDecoder> decoders;
  RankOutputs outputs;
  std::set<size_t> complete;
  size_t nextLine = 0;
  bool saidPlain = false, saidPrefix = false;
  std::optional<Progress> progress;
  uint64_t lastDone = 0;
};

Status checkFlags(const RunFlags &flags) {
  int sources = flags.hasPrompt + flags.hasPromptsFile + flags.hasInputIds +
                flags.interactive + !flags.inputFile.empty();
  if (sources != 1)
    return error(5011,
                 "give exactly one of -p, --prompts, --input-ids, -i and "
                 "--input-file; found {}",
                 sources);
  if (flags.converses() && (!flags.logits.empty() || flags.special ||
                            flags.profile.enabled || !flags.expertLoad.empty()))
    return error(5011, "-i and --input-file take no --logits, --special, "
                       "--profile and --expert-load");
  if (!flags.converses() && (flags.noTemplate || !flags.system.empty() ||
                             !flags.chatTemplate.empty()))
    return error(5011, "--system, --no-template and --chat-template go with -i "
                       "or --input-file");
  if (flags.noTemplate && !flags.chatTemplate.empty())
    return error(5011, "--no-template and --chat-template contradict each other");
  if (flags.logits.empty() != flags.output.empty())
    return error(5011, "--logits and --output go together: the logits are "
                       "written to that file");
  if (!flags.logits.empty() && !flags.hasInputIds)
    return error(5011, "--logits takes --input-ids, not text");
  if (flags.special && flags.hasInputIds)
    return error(5011, "--special is about text, which --input-ids is not");
  return flags.ranks.streamOptions().status();
}

/// Rows of a run with |flags|.
StatusOr<uint32_t> countRows(const RunFlags &flags) {
  if (flags.hasPromptsFile) {
    HADAL_ASSIGN_OR_RETURN(const std::vector<std::string> lines,
                           cli::readLines(flags.promptsFile));
    return static_cast<uint32_t>(lines.size());
  }
  return static_cast<uint32_t>(1 + std::ranges::count(flags.inputIds, ';'));
}

} // namespace

int main(int argc, char **argv) {
  RunFlags flags;
  CLI::App app("Generates text from a compiled model, or writes its logits. An "
               "artifact is native code: run only what you trust.",
               "hadal-run");
  flags.load.add(app);
  flags.ranks.add(app);
  flags.profile.add(app);
  CLI::Option *prompt = app.add_option(
      "-p,--prompt", flags.prompt,
      "the text to continue; may be empty where the tokenizer adds a BOS "
      "token");
  CLI::Option *prompts = app.add_option(
      "--prompts", flags.promptsFile,
      "a file with one prompt a line, decoded as a batch; prints one line "
      "each");
  CLI::Option *inputIds = app.add_option(
      "--input-ids", flags.inputIds,
      "token ids, e.g. 5,17,3, or rows of them run as a batch, e.g. "
      "'5,17,3;9,4', as they are, without BOS; prints ids");
  app.add_flag("--special,--parse-special", flags.special,
               "read the texts of control tokens (all added tokens, such as "
               "<｜User｜>) in -p and --prompts as those tokens, as a rendered "
               "chat template needs; without it they are plain text");
  app.add_option("-n,--max-tokens,--max-new-tokens", flags.maxTokens, "tokens to generate")
      ->check(cli::nonNegative())
      ->capture_default_str();
  CLI::Option *temperature =
      app.add_option("--temp,--temperature", flags.temperature, "temperature; 0: greedy")
          ->capture_default_str();
  CLI::Option *topP =
      app.add_option("--top-p", flags.topP, "nucleus of probability")
          ->capture_default_str();
  CLI::Option *topK =
      app.add_option("--top-k", flags.topK, "most probable tokens; 0: all")
          ->check(cli::nonNegative())
          ->capture_default_str();
  app.add_flag("--sampling-defaults", flags.samplingDefaults,
               "temperature, top-p and top-k as generation_config.json of the "
               "checkpoint says, where no option gives them");
  app.add_option("--seed", flags.seed, "of the random choice")
      ->check(cli::nonNegative())
      ->capture_default_str();
  app.add_option("--prefill-chunk", flags.prefillChunk,
                 "tokens of a prompt per call; default: the largest bucket. With "
                 "--logits and 1: as generated tokens, by the decode entries")
      ->check(cli::nonNegative());
  app.add_option("--logits", flags.logits,
                 "write logits of all positions or the last one to --output")
      ->check(CLI::IsMember({"all", "last"}));
  app.add_option("--output", flags.output,
                 "an .npy file, float32 [positions, vocab], row after row");
  app.add_option("--expert-load", flags.expertLoad,
                 "a JSON file for the tokens routed to each expert");
  app.add_flag("--plan", flags.plan,
               "print what the model takes of memory with as many rows as there "
               "are prompts (none: one), and whether it fits; reads no weights");
  app.add_flag("--ignore-eos", flags.ignoreEos,
               "go on after an end-of-sequence token");
  app.add_flag("-i,--interactive", flags.interactive,
               "a conversation by the checkpoint's chat template, a message a "
               "line; /help tells its commands");
  app.add_option("--input-file", flags.inputFile,
                 "a file with one message a line, each answered in a "
                 "conversation of its own");
  app.add_option("--system", flags.system, "the system text of conversations");
  app.add_flag("--no-template", flags.noTemplate,
               "messages and answers one behind the other, as they are");
  app.add_option("--chat-template", flags.chatTemplate,
                 "a Jinja file, instead of the checkpoint's own");
  return cli::run(app, argc, argv, [&] {
    for (auto [given, option] : {std::pair{&flags.hasPrompt, prompt},
                                 {&flags.hasPromptsFile, prompts},
                                 {&flags.hasInputIds, inputIds},
                                 {&flags.hasTemperature, temperature},
                                 {&flags.hasTopP, topP},
                                 {&flags.hasTopK, topK}})
      *given = option->count() > 0;
    if (flags.plan) {
      HADAL_ASSIGN_OR_RETURN(const uint32_t rows, countRows(flags));
      return cli::reportMemory(flags.load, rows, 0);
    }
    HADAL_RETURN_IF_ERROR(checkFlags(flags));
    return cli::runRanks(flags.ranks, flags.load,
                         [&](comm::Group *group, const cli::LoadFlags &load) {
                           RunFlags mine = flags;
                           mine.load = load;
                           return Runner(mine, group).run();
                         });
  });
}
