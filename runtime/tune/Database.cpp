#include "runtime/tune/Database.h"

#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <filesystem>
#include <sys/file.h>
#include <unistd.h>

#include "runtime/base/Hash.h"
#include "runtime/base/MappedFile.h"
#include "runtime/base/OutputFile.h"
#include "runtime/tune/Line.h"

namespace hadal::tune {
namespace {

/// Some 100,000 entries.
constexpr uint64_t kMaxBytes = uint64_t{256} << 20;
/// After so many a file is called damaged as a whole.
constexpr size_t kMaxWarnings = 20;

/// The next line of |text|, which is taken from it.
std::string_view takeLine(std::string_view &text) {
  size_t end = text.find('\n');
  std::string_view line = text.substr(0, end);
  text.remove_prefix(end == text.npos ? text.size() : end + 1);
  return line;
}

Status checkHeader(std::string_view line, const std::string &what) {
  auto header = openLine(line, what);
  if (!header.ok())
    return header.status();
  auto version = header->find("hadal_tuning");
  if (version == header->end() || !version->is_number_integer())
    return error(3007, "{}: is no database of schedules", what);
  if (*version != kDatabaseVersion)
    return error(3007,
                 "{}: is of version {}, this build reads version {}; tune "
                 "again, or use the release that wrote it",
                 what, version->dump(), kDatabaseVersion);
  return {};
}

/// Holds a directory for this process while it lives; the file itself is
/// replaced, so that a lock on it would be on one that is gone.
class DirectoryLock {
public:
  static StatusOr<DirectoryLock> take(const std::string &path) {
    std::string directory = std::filesystem::path(path).parent_path().string();
    if (directory.empty())
      directory = ".";
    DirectoryLock lock;
    lock.fd = ::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int rc = lock.fd < 0 ? -1 : 0;
    while (lock.fd >= 0 && (rc = ::flock(lock.fd, LOCK_EX)) != 0 &&
           errno == EINTR) {
    }
    if (rc != 0)
      return error(5015, "{}: cannot lock the directory: {}", directory,
                   std::strerror(errno));
    return lock;
  }
  DirectoryLock(DirectoryLock &&other) noexcept : fd(other.fd) {
    other.fd = -1;
  }
  DirectoryLock &operator=(DirectoryLock &&) = delete;
  ~DirectoryLock() {
    if (fd >= 0)
      ::close(fd);
  }

private:
  DirectoryLock() = default;
  int fd = -1;
};

} // namespace

std::string lineOf(const Entry &entry) { return sealLine(toJson(entry)); }

StatusOr<Entry> parseEntry(std::string_view line, const std::string &what) {
  auto json = openLine(line, what);
  if (!json.ok())
    return json.status();
  StatusOr<Entry> entry = entryFrom(*json, what);
  if (entry.ok() && lineOf(*entry) != line)
    return error(3007, "{}: the line is not in the form that is written", what);
  return entry;
}

Database Database::read(const std::string &path,
                        std::vector<Status> &warnings) {
  std::error_code missing;
  if (!std::filesystem::is_regular_file(path, missing)) {
    warnings.push_back(error(3007, "{}: {}", path,
                             missing ? missing.message() : "is no file"));
    return {};
  }
  StatusOr<MappedFile> file = MappedFile::open(path);
  if (!file.ok()) {
    warnings.push_back(error(3007, "{}", file.status().message()));
    return {};
  }
  // A copy: a file that is cut meanwhile must not end the process.
  std::string_view text(reinterpret_cast<const char *>(file->data()),
                        file->size());
  return parse(std::string(text), path, warnings);
}

Database Database::parse(std::string_view text, const std::string &what,
                         std::vector<Status> &warnings) {
  Database database;
  if (text.size() > kMaxBytes) {
    warnings.push_back(error(3007, "{}: has {} bytes, at most {} are read",
                             what, text.size(), kMaxBytes));
    return database;
  }
  if (Status header = checkHeader(takeLine(text), what + ":1"); !header.ok()) {
    warnings.push_back(header);
    return database;
  }
  size_t damaged = 0;
  for (size_t number = 2; !text.empty(); ++number) {
    std::string where = fmt::format("{}:{}", what, number);
    StatusOr<Entry> entry = parseEntry(takeLine(text), where);
    Status problem = entry.status();
    if (entry.ok() && !database.byKey.emplace(entry->key, *entry).second)
      problem = error(3007, "{}: a second entry for {}", where,
                      entry->key.toString());
    if (!problem.ok() && damaged++ < kMaxWarnings)
      warnings.push_back(problem);
  }
  if (damaged > kMaxWarnings)
    warnings.push_back(error(3007, "{}: {} more lines cannot be used", what,
                             damaged - kMaxWarnings));
  return database;
}

Status Database::put(const Entry &entry) {
  HADAL_RETURN_IF_ERROR(checkEntry(entry));
  StatusOr<Entry> kept = parseEntry(lineOf(entry), entry.key.kernel);
  if (!kept.ok())
    return kept.status();
  byKey.insert_or_assign(entry.key, std::move(*kept));
  return {};
}

const Entry *Database::find(const Key &key) const {
  auto at = byKey.find(key);
  return at == byKey.end() ? nullptr : &at->second;
}

std::string Database::text() const {
  std::map<std::string, int64_t> spaces;
  for (const auto &[key, entry] : byKey) {
    int64_t &space = spaces[entry.spaceName()];
    space = std::max(space, entry.space);
  }
  OrderedJson header;
  header["hadal_tuning"] = kDatabaseVersion;
  header["spaces"] = OrderedJson::object();
  for (const auto &[name, version] : spaces)
    header["spaces"][name] = version;
  std::string text = sealLine(header) + "\n";
  for (const auto &[key, entry] : byKey)
    text += lineOf(entry) + "\n";
  return text;
}

std::string Database::digest() const {
  return fmt::format("{:016x}", xxh3(text()));
}

Status Database::write(const std::string &path) const {
  StatusOr<OutputFile> file = OutputFile::create(path);
  if (!file.ok())
    return file.status();
  HADAL_RETURN_IF_ERROR(file->write(text()));
  return file->commit();
}

Status updateDatabase(const std::string &path,
                      const std::function<Status(Database &)> &change,
                      std::vector<Status> &warnings) {
  StatusOr<DirectoryLock> lock = DirectoryLock::take(path);
  if (!lock.ok())
    return lock.status();
  Database database;
  std::error_code ignored;
  if (std::filesystem::exists(path, ignored))
    database = Database::read(path, warnings);
  HADAL_RETURN_IF_ERROR(change(database));
  return database.write(path);
}

} // namespace hadal::tune
