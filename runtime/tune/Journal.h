// What a session of the tuner has done so far, so that one that was stopped is
// continued: every candidate with its end, every kernel with its decision.
//
// A text file like the database's, but only appended to: a line is written by
// one call, so that a process that is killed loses the line that it was
// writing, and a reader sees that the line is torn.
#pragma once

#include <optional>
#include <variant>

#include "runtime/tune/Entry.h"

namespace hadal::tune {

/// What two runs must share for one to continue the other.
struct JournalHeader {
  std::string plan;    ///< digest of the kernels, candidates and options
  std::string machine; ///< the chip, and what else its times depend on
  std::map<std::string, int64_t> spaces; ///< "gemm/cpu": 1
  uint64_t seed = 1;

  bool operator==(const JournalHeader &) const = default;
};

/// "plan (1a2b here, 3c4d in the journal)": the first field in which |found|
/// differs from |mine|; "" if none does.
std::string describeDifference(const JournalHeader &mine,
                               const JournalHeader &found);

/// One candidate that has ended.
struct CandidateRecord {
  Key key;
  Built built;         ///< no code ("") where none was made: a P code, C01
  std::string end;     ///< "W", "M01", "P06": codes of docs/tuning.md
  std::string stage;   ///< "screen", "halve", "neighbour", "confirm"; "": none
  std::string numbers; ///< of the end, for people: "8 stages: 266240 bytes"
  /// ln(default / candidate) of its blocks, exactly: a replay decides alike.
  std::vector<double> blocks;
  bool operator==(const CandidateRecord &) const = default;
};
/// A kernel is decided when its entry is in the journal.
using Record = std::variant<CandidateRecord, Entry>;

class Journal {
public:
  /// What a journal had when it was opened.
  struct Replay {
    std::vector<Record> records;
    /// Why it could not be continued: its header differs, or is none. The file
    /// was then renamed to |kept|, and the session begins anew.
    std::string reason, kept;
    /// Of lines that were left out: 3007. The last one, if it was torn, is
    /// dropped without one.
    std::vector<Status> warnings;
  };

  /// Begins the journal |path|; 5015 if there is one.
  static StatusOr<Journal> create(const std::string &path,
                                  const JournalHeader &header);
  /// Continues the journal |path| (begins it, if there is none): what it has
  /// goes to |replay|, and what is torn at its end goes.
  static StatusOr<Journal> resume(const std::string &path,
                                  const JournalHeader &header, Replay &replay);

  Journal(Journal &&other) noexcept;
  Journal &operator=(Journal &&) = delete;
  ~Journal();

  /// Appends |record| by one write: another process, or the next run, sees all
  /// of it or a torn end.
  Status append(const Record &record);
  /// Waits until everything is on the disk: after each kernel.
  Status sync();

private:
  Journal(int fd, std::string path) : fd(fd), path(std::move(path)) {}
  Status writeLine(const std::string &line);

  int fd = -1;
  std::string path;
};

/// The line of |record|, and back; 3007, |what| first.
std::string lineOf(const Record &record);
StatusOr<Record> parseRecord(std::string_view line, const std::string &what);

/// Reads the text of a journal: its header and whole lines. |end| is where
/// these end in |text|, and a torn one begins. No header: |header| is empty and
/// warnings say why.
struct JournalText {
  std::optional<JournalHeader> header;
  std::vector<Record> records;
  std::vector<Status> warnings;
  size_t end = 0;
};
JournalText parseJournal(std::string_view text, const std::string &what);

} // namespace hadal::tune
