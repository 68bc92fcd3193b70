#include "runtime/tune/Journal.h"

#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <filesystem>
#include <unistd.h>

#include "runtime/base/MappedFile.h"
#include "runtime/tune/Line.h"

namespace hadal::tune {

static constexpr int64_t kJournalVersion = 1;

//===----------------------------------------------------------------------===//
// Lines
//===----------------------------------------------------------------------===//

static std::string lineOf(const JournalHeader &header) {
  OrderedJson json;
  json["hadal_journal"] = kJournalVersion;
  json["plan"] = header.plan;
  json["machine"] = header.machine;
  json["spaces"] = OrderedJson::object();
  for (const auto &[name, version] : header.spaces)
    json["spaces"][name] = version;
  json["seed"] = header.seed;
  return sealLine(json);
}

std::string lineOf(const Record &record) {
  OrderedJson json;
  if (const auto *entry = std::get_if<Entry>(&record)) {
    json["entry"] = toJson(*entry);
    return sealLine(json);
  }
  const auto &candidate = std::get<CandidateRecord>(record);
  json["key"] = toJson(candidate.key);
  json["schedule"] = toJson(candidate.built.schedule);
  json["code"] = candidate.built.code;
  json["end"] = candidate.end;
  json["stage"] = candidate.stage;
  json["numbers"] = candidate.numbers;
  json["blocks"] = candidate.blocks;
  return sealLine(json);
}

static StatusOr<JournalHeader> parseHeader(std::string_view line,
                                           const std::string &what) {
  auto json = openLine(line, what);
  if (!json.ok())
    return json.status();
  JournalHeader header;
  auto get = [&](const char *name) -> const OrderedJson & {
    static const OrderedJson none;
    auto at = json->find(name);
    return at == json->end() ? none : *at;
  };
  const OrderedJson &version = get("hadal_journal");
  if (!version.is_number_integer())
    return error(3007, "{}: is no journal of the tuner", what);
  if (version != kJournalVersion)
    return error(3007, "{}: is of version {}, this build reads version {}",
                 what, version.dump(), kJournalVersion);
  if (get("plan").is_string())
    header.plan = get("plan").get<std::string>();
  if (get("machine").is_string())
    header.machine = get("machine").get<std::string>();
  if (get("seed").is_number_unsigned())
    header.seed = get("seed").get<uint64_t>();
  if (get("spaces").is_object())
    for (const auto &[name, value] : get("spaces").items())
      if (value.is_number_integer())
        header.spaces[name] = value.get<int64_t>();
  if (lineOf(header) != line)
    return error(3007, "{}: the line is not in the form that is written", what);
  return header;
}

StatusOr<Record> parseRecord(std::string_view line, const std::string &what) {
  auto json = openLine(line, what);
  if (!json.ok())
    return json.status();
  auto malformed = [&] {
    return error(3007, "{}: the line is not in the form that is written", what);
  };
  if (auto at = json->find("entry"); at != json->end()) {
    StatusOr<Entry> entry = entryFrom(*at, what);
    if (!entry.ok())
      return entry.status();
    Record record = std::move(*entry);
    return lineOf(record) == line ? StatusOr<Record>(std::move(record))
                                  : malformed();
  }
  CandidateRecord candidate;
  if (!json->contains("key") || !json->contains("schedule") ||
      !json->contains("blocks"))
    return malformed();
  StatusOr<Key> key = keyFrom((*json)["key"], what);
  StatusOr<Words> words = wordsFrom((*json)["schedule"], what);
  if (!key.ok() || !words.ok())
    return key.ok() ? words.status() : key.status();
  candidate.key = std::move(*key);
  candidate.built.schedule = std::move(*words);
  for (auto [name, field] :
       {std::pair<const char *, std::string *>{"code", &candidate.built.code},
        {"end", &candidate.end},
        {"stage", &candidate.stage},
        {"numbers", &candidate.numbers}}) {
    auto at = json->find(name);
    if (at == json->end() || !at->is_string())
      return malformed();
    *field = at->get<std::string>();
  }
  for (const OrderedJson &block : (*json)["blocks"]) {
    if (!block.is_number())
      return malformed();
    candidate.blocks.push_back(block.get<double>());
  }
  Record record = std::move(candidate);
  return lineOf(record) == line ? StatusOr<Record>(std::move(record))
                                : malformed();
}

JournalText parseJournal(std::string_view text, const std::string &what) {
  JournalText journal;
  for (size_t number = 1; journal.end < text.size(); ++number) {
    size_t end = text.find('\n', journal.end);
    if (end == text.npos)
      break; // torn
    std::string_view line = text.substr(journal.end, end - journal.end);
    std::string where = fmt::format("{}:{}", what, number);
    if (number == 1) {
      StatusOr<JournalHeader> header = parseHeader(line, where);
      if (!header.ok()) {
        journal.warnings.push_back(header.status());
        return journal;
      }
      journal.header = std::move(*header);
    } else if (StatusOr<Record> record = parseRecord(line, where); record.ok())
      journal.records.push_back(std::move(*record));
    else
      journal.warnings.push_back(record.status());
    journal.end = end + 1;
  }
  return journal;
}

std::string describeDifference(const JournalHeader &mine,
                               const JournalHeader &found) {
  auto say = [](const std::string &name, const auto &here, const auto &there) {
    return fmt::format("{} ({} here, {} in the journal)", name, here, there);
  };
  if (mine.plan != found.plan)
    return say("plan", mine.plan, found.plan);
  if (mine.machine != found.machine)
    return say("machine", mine.machine, found.machine);
  if (mine.seed != found.seed)
    return say("seed", mine.seed, found.seed);
  std::map<std::string, std::pair<int64_t, int64_t>> versions;
  for (const auto &[name, version] : mine.spaces)
    versions[name].first = version;
  for (const auto &[name, version] : found.spaces)
    versions[name].second = version;
  for (const auto &[name, version] : versions)
    if (version.first != version.second)
      return say("space of " + name, version.first, version.second);
  return "";
}

//===----------------------------------------------------------------------===//
// The file
//===----------------------------------------------------------------------===//

static Status failure(const std::string &path, const char *what) {
  return error(5015, "{}: cannot {}: {}", path, what, std::strerror(errno));
}

Journal::Journal(Journal &&other) noexcept
    : fd(other.fd), path(std::move(other.path)) {
  other.fd = -1;
}

Journal::~Journal() {
  if (fd >= 0)
    ::close(fd);
}

StatusOr<Journal> Journal::create(const std::string &path,
                                  const JournalHeader &header) {
  int fd = ::open(path.c_str(),
                  O_WRONLY | O_CREAT | O_EXCL | O_APPEND | O_CLOEXEC, 0666);
  if (fd < 0)
    return failure(path, "begin the journal");
  Journal journal(fd, path);
  HADAL_RETURN_IF_ERROR(journal.writeLine(lineOf(header)));
  HADAL_RETURN_IF_ERROR(journal.sync());
  return journal;
}

/// Renames |path| to the first free of "PATH.1", "PATH.2".
static StatusOr<std::string> setAside(const std::string &path) {
  for (int number = 1;; ++number) {
    std::string kept = fmt::format("{}.{}", path, number);
    if (::access(kept.c_str(), F_OK) == 0)
      continue;
    if (::rename(path.c_str(), kept.c_str()) != 0)
      return failure(path, "rename the old journal");
    return kept;
  }
}

StatusOr<Journal> Journal::resume(const std::string &path,
                                  const JournalHeader &header, Replay &replay) {
  if (::access(path.c_str(), F_OK) != 0 && errno == ENOENT)
    return create(path, header);
  JournalText text;
  {
    StatusOr<MappedFile> file = MappedFile::open(path);
    if (!file.ok())
      return file.status();
    text = parseJournal({reinterpret_cast<const char *>(file->data()),
                         static_cast<size_t>(file->size())},
                        path);
  }
  if (!text.header)
    replay.reason = text.warnings.empty() ? path + ": has no header"
                                          : text.warnings.front().message();
  else
    replay.reason = describeDifference(header, *text.header);
  if (!replay.reason.empty()) {
    StatusOr<std::string> kept = setAside(path);
    if (!kept.ok())
      return kept.status();
    replay.kept = *kept;
    return create(path, header);
  }
  int fd = ::open(path.c_str(), O_WRONLY | O_APPEND | O_CLOEXEC);
  if (fd < 0)
    return failure(path, "continue the journal");
  Journal journal(fd, path);
  // What is torn would join the next line.
  if (::ftruncate(fd, static_cast<off_t>(text.end)) != 0)
    return failure(path, "cut the torn end");
  replay.records = std::move(text.records);
  replay.warnings = std::move(text.warnings);
  return journal;
}

Status Journal::writeLine(const std::string &line) {
  std::string bytes = line + "\n";
  size_t written = 0;
  while (written < bytes.size()) {
    ssize_t n = ::write(fd, bytes.data() + written, bytes.size() - written);
    if (n < 0 && errno == EINTR)
      continue;
    if (n < 0)
      return failure(path, "append to the journal");
    written += static_cast<size_t>(n);
  }
  return {};
}

Status Journal::append(const Record &record) {
  if (const auto *entry = std::get_if<Entry>(&record))
    HADAL_RETURN_IF_ERROR(checkEntry(*entry));
  return writeLine(lineOf(record));
}

Status Journal::sync() {
  return ::fsync(fd) == 0 ? Status() : failure(path, "flush the journal");
}

} // namespace hadal::tune
