#include "tools/hadal-run/Interactive.h"

#include <charconv>
#include <cstdlib>
#include <filesystem>

#include "runtime/base/Interrupt.h"
#include "runtime/base/MappedFile.h"
#include "runtime/base/OutputFile.h"
#include "tools/common/Cli.h"
#include "tools/hadal-run/LineEditor.h"

namespace hadal {

namespace {

namespace fs = std::filesystem;

constexpr std::string_view kHelp =
    "A line is a message; one that ends in \\ goes on, and \"\"\" begins and "
    "ends a block.\n"
    "/clear         forget the messages\n"
    "/system TEXT   another system text, and forget the messages\n"
    "/temp NUMBER   temperature; 0: greedy\n"
    "/seed NUMBER   of the random choice\n"
    "/regen         answer the last message again, by other random numbers\n"
    "/save FILE     write the messages as JSON\n"
    "/load FILE     go on from messages that were saved\n"
    "/tokens        how long the conversation is\n"
    "/help          this\n"
    "/exit          or Ctrl-D: end; Ctrl-C: stop an answer\n";

/// $XDG_STATE_HOME/hadal/history, or nothing where no home is known.
std::string historyPath() {
  fs::path state;
  if (const char *set = std::getenv("XDG_STATE_HOME"); set && *set == '/')
    state = set;
  else if (const char *home = std::getenv("HOME"); home && *home == '/')
    state = fs::path(home) / ".local" / "state";
  else
    return "";
  std::error_code failure;
  const fs::path directory = state / "hadal";
  if (!fs::exists(directory, failure)) {
    fs::create_directories(directory, failure);
    fs::permissions(directory, fs::perms::owner_all, failure);
  }
  return (directory / "history").string();
}

class Dialogue {
public:
  Dialogue(Conversation &conversation, bool quiet)
      : conversation_(conversation), quiet_(quiet) {}

  Status run() {
    if (editor_.isTerminal()) {
      if (const std::string path = historyPath(); !path.empty())
        say(editor_.useHistory(path));
      if (!quiet_)
        fmt::print(stderr, "/help tells the commands\n");
    }
    for (;;) {
      HADAL_ASSIGN_OR_RETURN(LineEditor::Result read, readMessage());
      switch (read.end) {
      case LineEditor::End::Eof:
        return {};
      case LineEditor::End::Interrupt:
        return error(5016, "interrupted");
      case LineEditor::End::Line:
        break;
      }
      if (read.line.empty())
        continue;
      editor_.remember(read.line);
      if (read.line[0] == '/' && read.line.find('\n') == std::string::npos) {
        HADAL_ASSIGN_OR_RETURN(bool goesOn, command(read.line));
        if (!goesOn)
          return {};
        continue;
      }
      conversation_.say(read.line);
      HADAL_RETURN_IF_ERROR(answer());
    }
  }

private:
  /// An error of a message or command, after which the dialogue goes on.
  static void say(const Status &status) {
    if (!status.ok())
      fmt::print(stderr, "{}\n", status.toString());
  }

  /// A line with those that continue it.
  StatusOr<LineEditor::Result> readMessage() {
    constexpr std::string_view kBlock = "\"\"\"";
    std::string text;
    bool inBlock = false;
    for (bool first = true;; first = false) {
      HADAL_ASSIGN_OR_RETURN(LineEditor::Result read,
                             editor_.read(first ? "> " : ". "));
      if (read.end == LineEditor::End::Eof && !first)
        return LineEditor::Result{LineEditor::End::Line, text};
      if (read.end != LineEditor::End::Line)
        return read;
      std::string &line = read.line;
      if (first && line.starts_with(kBlock)) {
        inBlock = true;
        line.erase(0, kBlock.size());
        if (line.empty())
          continue;
      }
      if (inBlock) {
        const bool ends = line.ends_with(kBlock);
        if (ends)
          line.resize(line.size() - kBlock.size());
        if (!ends || !line.empty())
          text += (text.empty() ? "" : "\n") + line;
        if (ends)
          return LineEditor::Result{LineEditor::End::Line, text};
        continue;
      }
      const bool goesOn = line.ends_with('\\');
      if (goesOn)
        line.pop_back();
      text += (first ? "" : "\n") + line;
      if (!goesOn)
        return LineEditor::Result{LineEditor::End::Line, text};
    }
  }

  Status answer() {
    InterruptScope scope;
    StatusOr<Conversation::End> end = conversation_.answer(cli::writeStdout);
    HADAL_RETURN_IF_ERROR(cli::writeStdout("\n"));
    // Another signal than Ctrl-C.
    if (interruptFlag())
      return error(5016, "interrupted");
    if (!end.ok()) {
      // A device or stdout that fails would fail again.
      const int code = end.status().code();
      if (code != 5005 && code != 5010 && code != 5026)
        return end.status();
      say(end.status());
      return {};
    }
    if (quiet_)
      return {};
    if (*end == Conversation::End::Context)
      fmt::print(stderr,
                 "notice: the context of {} tokens is full; /clear "
                 "begins anew\n",
                 conversation_.maxTokens());
    else if (*end == Conversation::End::Length)
      fmt::print(stderr,
                 "notice: the answer ends at {} tokens "
                 "(--max-new-tokens)\n",
                 conversation_.options.maxTokens);
    else if (*end == Conversation::End::Interrupt)
      fmt::print(stderr, "notice: stopped\n");
    return {};
  }

  /// Whether the dialogue goes on; errors are those that end it.
  StatusOr<bool> command(const std::string &line) {
    const size_t space = std::min(line.find(' '), line.size());
    const std::string name = line.substr(0, space);
    const size_t begin = line.find_first_not_of(' ', space);
    const std::string rest =
        begin == std::string::npos ? "" : line.substr(begin);
    if (name == "/exit")
      return false;
    if (name == "/regen") {
      if (conversation_.takeBack())
        HADAL_RETURN_IF_ERROR(answer());
      else
        say(error(5005, "there is no answer to give again"));
      return true;
    }
    say(change(name, rest));
    return true;
  }

  Status change(const std::string &name, const std::string &rest) {
    ConversationOptions &options = conversation_.options;
    if (name == "/clear") {
      conversation_.clear();
    } else if (name == "/system") {
      options.system = rest;
      conversation_.clear();
    } else if (name == "/temp") {
      float value = 0;
      HADAL_RETURN_IF_ERROR(readNumber(rest, value));
      engine::SamplingParameters changed = options.sampling;
      changed.temperature = value;
      HADAL_RETURN_IF_ERROR(engine::validateSampling(changed, UINT32_MAX));
      options.sampling = changed;
    } else if (name == "/seed") {
      return readNumber(rest, options.seed);
    } else if (name == "/tokens") {
      HADAL_ASSIGN_OR_RETURN(uint64_t count, conversation_.countTokens());
      fmt::print(stderr,
                 "{} of {} tokens; of the last prompt's {} tokens {} were "
                 "still there\n",
                 count, conversation_.maxTokens(), conversation_.promptTokens(),
                 conversation_.reusedTokens());
    } else if (name == "/save") {
      HADAL_ASSIGN_OR_RETURN(OutputFile file, OutputFile::create(rest));
      HADAL_RETURN_IF_ERROR(
          file.write(conversation_.messages().dump(2) + "\n"));
      return file.commit();
    } else if (name == "/load") {
      HADAL_ASSIGN_OR_RETURN(MappedFile file, MappedFile::open(rest));
      HADAL_ASSIGN_OR_RETURN(
          OrderedJson messages,
          parseOrderedJson({reinterpret_cast<const char *>(file.data()),
                            static_cast<size_t>(file.size())},
                           5005, rest));
      return conversation_.setMessages(std::move(messages));
    } else if (name == "/help") {
      fmt::print(stderr, "{}", kHelp);
    } else {
      return error(5011, "there is no command {}; /help tells them", name);
    }
    return {};
  }

  template <typename T>
  static Status readNumber(const std::string &text, T &value) {
    T number{};
    const char *end = text.data() + text.size();
    const auto [stop, failure] = std::from_chars(text.data(), end, number);
    if (failure != std::errc() || stop != end)
      return error(5011, "'{}' is not a number that is wanted here", text);
    value = number;
    return {};
  }

  Conversation &conversation_;
  const bool quiet_;
  LineEditor editor_;
};

} // namespace

Status converse(Conversation &conversation, bool quiet) {
  return Dialogue(conversation, quiet).run();
}

Status answerLines(Conversation &conversation, const std::string &path) {
  HADAL_ASSIGN_OR_RETURN(std::vector<std::string> lines, cli::readLines(path));
  for (const std::string &line : lines) {
    HADAL_RETURN_IF_ERROR(
        cli::writeStdout("Prompt: " + line + "\nCompletion: "));
    conversation.clear();
    conversation.say(line);
    HADAL_ASSIGN_OR_RETURN(Conversation::End end,
                           conversation.answer(cli::writeStdout));
    if (end == Conversation::End::Interrupt || interruptFlag())
      return error(5016, "interrupted");
    HADAL_RETURN_IF_ERROR(cli::writeStdout("\n\n"));
  }
  return {};
}

} // namespace hadal
