// What tuning found out about one kernel, and what it is found by.
//
// An entry is of code, not of a name: it holds hashes of the code that was
// measured, of the winner and of the default. Under a compiler that gives other
// code it is stale, whatever its key says.
#pragma once

#include <compare>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "runtime/base/Json.h"
#include "runtime/base/Status.h"

namespace hadal::tune {

/// The words of a schedule; the types of schedule/Words.h, which the runtime
/// does not see.
using Value = std::variant<int64_t, bool, std::string>;
using Words = std::map<std::string, Value, std::less<>>;

/// Everything that makes two measurements comparable. The build of the compiler
/// and ptxas are not in it: they act through the code, whose hash the entry
/// has. Nor is the body: it follows from the spec, and another rule for it
/// shows in the default's code.
struct Key {
  std::string kernel;     ///< kernels::printSpec: every field, `sums` too
  std::string target;     ///< "cpu", "sm_90a"
  std::string chip;       ///< "h200"; of a CPU Machine.h's text
  std::string conditions; ///< "graph,cold,skew0.7"

  auto operator<=>(const Key &) const = default;
  /// "kind=gemm n=64 k=256 of cpu (...), conditions".
  std::string toString() const;
};

/// A complete schedule and the code that it gave.
struct Built {
  Words schedule;
  std::string code; ///< 32 hexadecimal digits (compiler/codegen/CodeHash.h)
  bool operator==(const Built &) const = default;
};

/// Whether an entry was measured. A predicted one replaces a rule only where
/// much is to be gained, and is never shown as a measurement.
enum class Source { model, tuned };
std::string_view toString(Source source);

/// Numbers have 4 significant digits (Database::put rounds them).
struct Entry {
  Key key;
  /// Version of the words' meaning for the kind of kernel and target.
  int64_t space = 1;
  Source source = Source::tuned;
  /// Equal to |base| where nothing was found that is better.
  Built winner;
  Built base; ///< what the rules say
  /// default / winner: median and lower end of its interval, of |blocks|.
  double gain = 1, gainLow = 1;
  int64_t blocks = 0;
  int64_t tried = 0; ///< candidates measured beside the default
  double seconds = 0, baseSeconds = 0; ///< of a launch
  /// |median ln(default / default)|: how well the machine told equals apart.
  double noise = 0;
  bool sameBits = true;                    ///< else sums are ordered otherwise
  double relativeError = 0, cosine = 0;    ///< against the reference in double
  std::map<std::string, int64_t> facts;    ///< "registers": 168
  std::map<std::string, std::string> made; ///< "hadal": "0.4.1", "ptxas"
  std::map<std::string, std::string> machine; ///< "name", "clock"; no host
  std::string day;                            ///< "2026-11-30"

  bool operator==(const Entry &) const = default;
  /// "gemm/sm_90a": whose version |space| is.
  std::string spaceName() const;
};

/// What keeps |entry| from being written: H3007.
Status checkEntry(const Entry &entry);

// The texts of the fields, for database and journal.

OrderedJson toJson(const Key &key);
OrderedJson toJson(const Words &words);
OrderedJson toJson(const Entry &entry);
/// These refuse with 3007 what toJson does not write; |what| begins messages.
StatusOr<Key> keyFrom(const OrderedJson &json, const std::string &what);
StatusOr<Words> wordsFrom(const OrderedJson &json, const std::string &what);
StatusOr<Entry> entryFrom(const OrderedJson &json, const std::string &what);

/// |value| with 4 significant digits, as files have it.
double rounded(double value);

} // namespace hadal::tune
