#include "tools/hadal-run/LineEditor.h"

#include <algorithm>
#include <cstring>
#include <fstream>

#include <fcntl.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <termios.h>
#include <unistd.h>

#include "runtime/tokenizer/CodePointSet.h"
#include "runtime/tokenizer/Unicode.h"

namespace hadal {

namespace {

constexpr size_t kMaxHistory = 1000;

void writeAll(std::string_view text) {
  while (!text.empty()) {
    const ssize_t n = ::write(STDOUT_FILENO, text.data(), text.size());
    if (n <= 0)
      return; // a terminal that is gone ends the input too
    text.remove_prefix(static_cast<size_t>(n));
  }
}

/// Raw mode and bracketed paste for as long as it lives, and no longer if the
/// process is interrupted.
class RawMode {
public:
  RawMode() {
    auto held = CleanUp::lock();
    if (::tcgetattr(STDIN_FILENO, &before_) != 0)
      return;
    termios raw = before_;
    raw.c_iflag &= ~static_cast<tcflag_t>(ICRNL | IXON | INLCR | IGNCR);
    raw.c_lflag &= ~static_cast<tcflag_t>(ECHO | ICANON | ISIG | IEXTEN);
    raw.c_cc[VMIN] = 1;
    raw.c_cc[VTIME] = 0;
    ::tcsetattr(STDIN_FILENO, TCSADRAIN, &raw);
    writeAll("\x1b[?2004h");
    cleanUp_ = CleanUp([before = before_] { restore(before); });
    active_ = true;
  }
  ~RawMode() {
    auto held = CleanUp::lock();
    cleanUp_.dismiss();
    if (active_)
      restore(before_);
  }

private:
  static void restore(const termios &before) {
    writeAll("\x1b[?2004l");
    ::tcsetattr(STDIN_FILENO, TCSADRAIN, &before);
  }
  termios before_ = {};
  bool active_ = false;
  CleanUp cleanUp_;
};

size_t previousCharacter(const std::string &text, size_t at) {
  while (at > 0 && (static_cast<uint8_t>(text[--at]) & 0xC0) == 0x80)
    ;
  return at;
}
size_t nextCharacter(const std::string &text, size_t at) {
  return at < text.size()
             ? at + decodeUtf8(std::string_view(text).substr(at)).bytes
             : at;
}

/// History has a line each: escapes of backslash and line end.
std::string escaped(const std::string &line) {
  std::string text;
  for (char c : line)
    text += c == '\n' ? "\\n" : c == '\\' ? "\\\\" : std::string(1, c);
  return text;
}
std::string unescaped(const std::string &text) {
  std::string line;
  for (size_t i = 0; i < text.size(); ++i)
    if (text[i] == '\\' && i + 1 < text.size())
      line += text[++i] == 'n' ? '\n' : text[i];
    else
      line += text[i];
  return line;
}

} // namespace

struct LineEditor::Line {
  std::string text;
  size_t cursor = 0;
  size_t entry = 0;  // of the history; its size: what is being written
  std::string draft; // of that, while another is shown

  void insert(std::string_view what) {
    text.insert(cursor, what);
    cursor += what.size();
  }
  void erase(size_t begin, size_t end) {
    text.erase(begin, end - begin);
    cursor = begin;
  }
};

unsigned columnsOf(uint32_t codePoint) {
  static const CodePointSet none = [] {
    CodePointSet set;
    for (const char *category : {"Mn", "Me", "Cf"})
      if (auto part = CodePointSet::category(category))
        set.add(*part);
    return set;
  }();
  // East Asian Wide and Fullwidth, and the emoji that terminals draw wide.
  static const CodePointSet wide = {
      {0x1100, 0x115F},   {0x2E80, 0x303E},   {0x3041, 0xA4CF},
      {0xA960, 0xA97F},   {0xAC00, 0xD7A3},   {0xF900, 0xFAFF},
      {0xFE30, 0xFE6F},   {0xFF00, 0xFF60},   {0xFFE0, 0xFFE6},
      {0x1F300, 0x1F64F}, {0x1F680, 0x1F6FF}, {0x1F900, 0x1F9FF},
      {0x20000, 0x3FFFD}};
  return none.contains(codePoint) ? 0 : wide.contains(codePoint) ? 2 : 1;
}

LineEditor::LineEditor()
    : isTerminal_(::isatty(STDIN_FILENO) && ::isatty(STDOUT_FILENO)) {}

StatusOr<LineEditor::Result> LineEditor::read(const std::string &prompt) {
  return isTerminal_ ? edit(prompt) : readPlain();
}

StatusOr<std::optional<char>> LineEditor::nextByte() {
  while (input_.empty() && !ended_) {
    pollfd ready = {STDIN_FILENO, POLLIN, 0};
    // Signals are another thread's: looked for ten times a second.
    const int count = ::poll(&ready, 1, 100);
    if (interruptFlag())
      return error(5016, "interrupted");
    if (count <= 0)
      continue;
    char buffer[4096];
    const ssize_t n = ::read(STDIN_FILENO, buffer, sizeof(buffer));
    if (n <= 0)
      ended_ = true;
    else
      input_.assign(buffer, static_cast<size_t>(n));
    std::reverse(input_.begin(), input_.end());
  }
  if (input_.empty())
    return std::optional<char>();
  const char byte = input_.back();
  input_.pop_back();
  return std::optional<char>(byte);
}

StatusOr<LineEditor::Result> LineEditor::readPlain() {
  std::string line;
  for (;;) {
    HADAL_ASSIGN_OR_RETURN(std::optional<char> byte, nextByte());
    if (!byte && line.empty())
      return Result{End::Eof, ""};
    if (!byte || *byte == '\n')
      break;
    line += *byte;
  }
  if (line.ends_with('\r'))
    line.pop_back();
  return Result{End::Line, line};
}

StatusOr<LineEditor::Result> LineEditor::edit(const std::string &prompt) {
  RawMode raw;
  Line line;
  line.entry = history_.size();
  const auto finish = [&](End end) {
    line.cursor = line.text.size();
    draw(prompt, line);
    writeAll("\n"); // the terminal makes it CR LF
    return Result{end, end == End::Line ? line.text : ""};
  };
  for (;;) {
    // What is pasted or typed ahead is drawn once.
    if (input_.empty())
      draw(prompt, line);
    HADAL_ASSIGN_OR_RETURN(std::optional<char> byte, nextByte());
    if (!byte)
      return finish(End::Eof);
    switch (*byte) {
    case '\r':
    case '\n':
      return finish(End::Line);
    case 3: { // Ctrl-C: an empty line ends, another is given up
      const bool wasEmpty = line.text.empty();
      writeAll("^C");
      Result result = finish(End::Interrupt);
      if (wasEmpty)
        return result;
      line = Line();
      line.entry = history_.size();
      break;
    }
    case 4: // Ctrl-D
      if (line.text.empty())
        return finish(End::Eof);
      line.erase(line.cursor, nextCharacter(line.text, line.cursor));
      break;
    case 1: // Ctrl-A
      line.cursor = 0;
      break;
    case 5: // Ctrl-E
      line.cursor = line.text.size();
      break;
    case 2: // Ctrl-B
      line.cursor = previousCharacter(line.text, line.cursor);
      break;
    case 6: // Ctrl-F
      line.cursor = nextCharacter(line.text, line.cursor);
      break;
    case 8:
    case 127:
      line.erase(previousCharacter(line.text, line.cursor), line.cursor);
      break;
    case 11: // Ctrl-K
      line.text.erase(line.cursor);
      break;
    case 21: // Ctrl-U
      line.erase(0, line.cursor);
      break;
    case 23: { // Ctrl-W
      size_t begin = line.cursor;
      while (begin > 0 && line.text[begin - 1] == ' ')
        --begin;
      while (begin > 0 && line.text[begin - 1] != ' ')
        --begin;
      line.erase(begin, line.cursor);
      break;
    }
    case 12: // Ctrl-L
      writeAll("\x1b[H\x1b[2J");
      break;
    case 14: // Ctrl-N
      recall(line, 1);
      break;
    case 16: // Ctrl-P
      recall(line, -1);
      break;
    case '\x1b':
      HADAL_RETURN_IF_ERROR(readEscape(line));
      break;
    case '\t':
      line.insert(" ");
      break;
    default:
      if (static_cast<uint8_t>(*byte) >= 0x20)
        line.insert({&*byte, 1});
    }
  }
}

Status LineEditor::readEscape(Line &line) {
  std::string sequence;
  for (;;) {
    HADAL_ASSIGN_OR_RETURN(std::optional<char> byte, nextByte());
    if (!byte)
      return {};
    sequence += *byte;
    if (sequence.size() == 1 ? *byte != '[' && *byte != 'O'
                             : *byte >= 0x40 && *byte <= 0x7E)
      break;
    if (sequence.size() > 16)
      return {};
  }
  const std::string key = sequence.substr(1);
  if (key == "A" || key == "B")
    recall(line, key == "A" ? -1 : 1);
  else if (key == "C")
    line.cursor = nextCharacter(line.text, line.cursor);
  else if (key == "D")
    line.cursor = previousCharacter(line.text, line.cursor);
  else if (key == "H" || key == "1~")
    line.cursor = 0;
  else if (key == "F" || key == "4~")
    line.cursor = line.text.size();
  else if (key == "3~")
    line.erase(line.cursor, nextCharacter(line.text, line.cursor));
  else if (key == "200~")
    return readPaste(line);
  return {};
}

/// Line ends of a paste are text.
Status LineEditor::readPaste(Line &line) {
  constexpr std::string_view kEnd = "\x1b[201~";
  std::string pasted;
  while (!pasted.ends_with(kEnd)) {
    HADAL_ASSIGN_OR_RETURN(std::optional<char> byte, nextByte());
    if (!byte)
      break;
    pasted += *byte;
  }
  if (pasted.ends_with(kEnd))
    pasted.resize(pasted.size() - kEnd.size());
  std::replace(pasted.begin(), pasted.end(), '\r', '\n');
  std::erase_if(pasted, [](char c) {
    return static_cast<uint8_t>(c) < 0x20 && c != '\n' && c != '\t';
  });
  line.insert(pasted);
  return {};
}

void LineEditor::recall(Line &line, int step) {
  if (step < 0 ? line.entry == 0 : line.entry == history_.size())
    return;
  if (line.entry == history_.size())
    line.draft = line.text;
  line.entry = step < 0 ? line.entry - 1 : line.entry + 1;
  line.text = line.entry == history_.size() ? line.draft : history_[line.entry];
  line.cursor = line.text.size();
}

void LineEditor::draw(const std::string &prompt, const Line &line) const {
  winsize size = {};
  if (::ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) != 0 || size.ws_col < 8)
    size.ws_col = 80;
  const size_t room = size.ws_col - 1;
  // From the cursor to the left, as far as there is room, then to the right.
  struct Shown {
    std::string text;
    unsigned columns;
  };
  const auto shownAt = [&](size_t at) {
    const Utf8Character c = decodeUtf8(std::string_view(line.text).substr(at));
    if (c.codePoint == '\n')
      return Shown{"\u23CE", 1};
    if (c.state != Utf8Character::Valid || c.codePoint < 0x20)
      return Shown{"?", 1};
    return Shown{line.text.substr(at, c.bytes), columnsOf(c.codePoint)};
  };
  size_t used = prompt.size(), begin = line.cursor;
  while (begin > 0) {
    const size_t before = previousCharacter(line.text, begin);
    const unsigned columns = shownAt(before).columns;
    if (used + columns > room)
      break;
    used += columns;
    begin = before;
  }
  std::string text = "\r" + prompt;
  size_t cursor = prompt.size(), total = prompt.size();
  for (size_t at = begin; at < line.text.size();
       at = nextCharacter(line.text, at)) {
    const Shown shown = shownAt(at);
    if (total + shown.columns > room)
      break;
    text += shown.text;
    total += shown.columns;
    if (at < line.cursor)
      cursor = total;
  }
  text += fmt::format("\x1b[K\r\x1b[{}C", cursor);
  writeAll(text);
}

void LineEditor::remember(const std::string &line) {
  if (line.empty() || (!history_.empty() && history_.back() == line))
    return;
  history_.push_back(line);
  if (historyPath_.empty())
    return;
  // Opened each time: other processes append as well.
  const int file = ::open(historyPath_.c_str(),
                          O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
  if (file < 0)
    return;
  const std::string text = escaped(line) + "\n";
  [[maybe_unused]] ssize_t n = ::write(file, text.data(), text.size());
  ::close(file);
}

Status LineEditor::useHistory(const std::string &path) {
  const int file = ::open(path.c_str(), O_RDONLY | O_CREAT | O_CLOEXEC, 0600);
  if (file < 0)
    return error(5001, "cannot open the history '{}': {}", path,
                 std::strerror(errno));
  // One that others may read is made the user's own.
  ::fchmod(file, 0600);
  ::close(file);
  std::ifstream stream(path);
  for (std::string line; std::getline(stream, line);)
    history_.push_back(unescaped(line));
  if (history_.size() > kMaxHistory)
    history_.erase(history_.begin(), history_.end() - kMaxHistory);
  historyPath_ = path;
  return {};
}

} // namespace hadal
