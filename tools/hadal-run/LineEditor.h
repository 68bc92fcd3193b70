// Reads lines that a person types.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "runtime/base/Interrupt.h"
#include "runtime/base/Status.h"

namespace hadal {

/// On a terminal a line that is edited in raw mode, with history, characters of
/// two columns and bracketed paste; elsewhere lines as they come. What does not
/// fit the width scrolls sideways.
class LineEditor {
public:
  enum class End : uint8_t {
    Line,      // a whole line
    Interrupt, // Ctrl-C
    Eof,       // Ctrl-D on an empty line, or the end of the input
  };
  struct Result {
    End end;
    /// Without its end of line; lines within are pasted.
    std::string line;
  };

  LineEditor();

  bool isTerminal() const { return isTerminal_; }
  /// |prompt| is of ASCII. H5016 where a signal ends the process.
  StatusOr<Result> read(const std::string &prompt);
  /// For the arrow keys; the newest last.
  void remember(const std::string &line);

  /// Reads the history from |path| and appends what is remembered to it from
  /// now on. The file is the user's own (0600); one that cannot be used is a
  /// notice, and no history.
  Status useHistory(const std::string &path);

private:
  struct Line;
  StatusOr<Result> readPlain();
  StatusOr<Result> edit(const std::string &prompt);
  /// The next byte; nullopt at the end. H5016.
  StatusOr<std::optional<char>> nextByte();
  Status readEscape(Line &line);
  Status readPaste(Line &line);
  void recall(Line &line, int step);
  void draw(const std::string &prompt, const Line &line) const;

  bool isTerminal_;
  std::string input_; // read, not used yet
  bool ended_ = false;
  std::vector<std::string> history_;
  std::string historyPath_;
};

/// Columns of a character in a terminal.
unsigned columnsOf(uint32_t codePoint);

} // namespace hadal
