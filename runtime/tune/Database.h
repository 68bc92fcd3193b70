// The database of tuned schedules: a text file of one entry a line, made to be
// reviewed, merged and shipped.
//
//   {"hadal_tuning":1,"spaces":{"gemm/cpu":1},"sum":"<XXH3-64>"}
//   {"key":{...},"space":1,...,"sum":"<XXH3-64>"}
//
// Lines are sorted by key and have one form: equal content is equal bytes. A
// file that comes from outside never does harm: what is damaged is left out,
// each with one warning of code 3007.
#pragma once

#include <functional>

#include "runtime/tune/Entry.h"

namespace hadal::tune {

/// What this build writes, and the newest that it reads.
inline constexpr int64_t kDatabaseVersion = 1;

class Database {
public:
  /// The database in the file |path|; without entries, and with a warning,
  /// where there is none.
  static Database read(const std::string &path, std::vector<Status> &warnings);
  /// That of |text|; messages call it |what|.
  static Database parse(std::string_view text, const std::string &what,
                        std::vector<Status> &warnings);

  /// Takes |entry|, its numbers rounded, in place of one of its key. 3007 where
  /// it could not be written.
  Status put(const Entry &entry);
  bool erase(const Key &key) { return byKey.erase(key) > 0; }
  /// The entry of exactly |key|, or null.
  const Entry *find(const Key &key) const;
  const std::map<Key, Entry> &entries() const { return byKey; }
  bool operator==(const Database &) const = default;

  /// The bytes of the file.
  std::string text() const;
  /// 16 hexadecimal digits: XXH3-64 of text().
  std::string digest() const;
  /// Writes a temporary file and renames it to |path|.
  Status write(const std::string &path) const;

private:
  std::map<Key, Entry> byKey;
};

/// The line of |entry| in a database.
std::string lineOf(const Entry &entry);
/// The entry of one line; 3007, |what| first.
StatusOr<Entry> parseEntry(std::string_view line, const std::string &what);

/// Changes the file |path| (or makes it) as |change| says, so that any number
/// of processes may do so at once: none sees what another half did. |change| is
/// given what the file has, and warnings of it.
Status updateDatabase(const std::string &path,
                      const std::function<Status(Database &)> &change,
                      std::vector<Status> &warnings);

} // namespace hadal::tune
