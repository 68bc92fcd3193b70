#include "runtime/tune/Entry.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>

namespace hadal::tune {

std::string Key::toString() const {
  return fmt::format("{} of {} ({}), {}", kernel, target, chip, conditions);
}

std::string_view toString(Source source) {
  return source == Source::tuned ? "tuned" : "model";
}

std::string Entry::spaceName() const {
  std::string_view kind = key.kernel;
  kind = kind.substr(0, kind.find(' '));
  if (kind.starts_with("kind="))
    kind.remove_prefix(5);
  return std::string(kind) + "/" + key.target;
}

double rounded(double value) {
  return std::strtod(fmt::format("{:.4g}", value).c_str(), nullptr);
}

//===----------------------------------------------------------------------===//
// Writing
//===----------------------------------------------------------------------===//

OrderedJson toJson(const Key &key) {
  OrderedJson json;
  json["kernel"] = key.kernel;
  json["target"] = key.target;
  json["chip"] = key.chip;
  json["cond"] = key.conditions;
  return json;
}

OrderedJson toJson(const Words &words) {
  OrderedJson json = OrderedJson::object();
  for (const auto &[word, value] : words)
    std::visit([&](const auto &v) { json[word] = v; }, value);
  return json;
}

OrderedJson toJson(const Entry &entry) {
  OrderedJson json;
  json["key"] = toJson(entry.key);
  json["space"] = entry.space;
  json["source"] = toString(entry.source);
  json["schedule"] = toJson(entry.winner.schedule);
  json["code"] = entry.winner.code;
  json["default"] = {{"schedule", toJson(entry.base.schedule)},
                     {"code", entry.base.code}};
  json["gain"] = {{"median", rounded(entry.gain)},
                  {"low", rounded(entry.gainLow)},
                  {"blocks", entry.blocks},
                  {"tried", entry.tried}};
  json["seconds"] = {{"tuned", rounded(entry.seconds)},
                     {"default", rounded(entry.baseSeconds)}};
  json["aa"] = rounded(entry.noise);
  json["error"] = {{"bits", entry.sameBits ? "same" : "order"},
                   {"relative", rounded(entry.relativeError)},
                   {"cosine", rounded(entry.cosine)}};
  auto table = [](const auto &map) {
    OrderedJson object = OrderedJson::object();
    for (const auto &[name, value] : map)
      object[name] = value;
    return object;
  };
  json["facts"] = table(entry.facts);
  json["made"] = table(entry.made);
  json["machine"] = table(entry.machine);
  json["day"] = entry.day;
  return json;
}

//===----------------------------------------------------------------------===//
// Reading
//===----------------------------------------------------------------------===//

namespace {

/// Reads the members of an object in the order in which they are written;
/// remembers the first that is not as it should be.
class Reader {
public:
  Reader(const OrderedJson &json, const std::string &what)
      : json(json), what(what) {
    if (!json.is_object())
      status = error(3007, "{}: expected an object, found {}", what,
                     json.type_name());
  }

  void read(std::string_view name, std::string &value) {
    if (const OrderedJson *member =
            next(name, "a text", [](const auto &m) { return m.is_string(); }))
      value = member->template get<std::string>();
  }
  void read(std::string_view name, int64_t &value) {
    if (const OrderedJson *member = next(name, "a whole number", isWhole))
      value = member->template get<int64_t>();
  }
  void read(std::string_view name, double &value) {
    if (const OrderedJson *member =
            next(name, "a number", [](const auto &m) { return m.is_number(); }))
      value = member->template get<double>();
  }
  template <typename T>
  void read(std::string_view name, std::map<std::string, T> &value) {
    const OrderedJson *member = object(name);
    if (!member)
      return;
    Reader table(*member, what + ": " + std::string(name));
    for (const auto &[key, unused] : member->items())
      table.read(key, value[key]);
    keep(table.done());
  }
  /// The member |name|, an object, or null.
  const OrderedJson *object(std::string_view name) {
    return next(name, "an object", [](const auto &m) { return m.is_object(); });
  }
  /// Takes over the failure of a part, if it is one.
  void keep(const Status &part) {
    if (status.ok())
      status = part;
  }
  /// The first failure; what is left over is one.
  Status done() const {
    if (status.ok() && at != json.size())
      return error(
          3007, "{}: '{}' is not expected here", what,
          std::next(json.begin(), static_cast<std::ptrdiff_t>(at)).key());
    return status;
  }

  static bool isWhole(const OrderedJson &m) {
    return m.is_number_integer() &&
           !(m.is_number_unsigned() &&
             m.get<uint64_t>() > static_cast<uint64_t>(INT64_MAX));
  }

private:
  template <typename Check>
  const OrderedJson *next(std::string_view name, std::string_view type,
                          Check check) {
    if (!status.ok())
      return nullptr;
    auto member = std::next(
        json.begin(), static_cast<std::ptrdiff_t>(std::min(at, json.size())));
    if (member == json.end() || member.key() != name) {
      status = error(3007, "{}: expected '{}', found '{}'", what, name,
                     member == json.end() ? "the end" : member.key());
      return nullptr;
    }
    if (!check(member.value())) {
      status = error(3007, "{}: '{}' is {}, expected {}", what, name,
                     member.value().type_name(), type);
      return nullptr;
    }
    ++at;
    return &member.value();
  }

  const OrderedJson &json;
  std::string what;
  size_t at = 0;
  Status status;
};

bool isPrintable(std::string_view text) {
  return text.size() <= 4096 &&
         std::all_of(text.begin(), text.end(),
                     [](char c) { return c >= ' ' && c <= '~'; });
}

bool isHash(std::string_view text) {
  return text.size() == 32 &&
         text.find_first_not_of("0123456789abcdef") == text.npos;
}

bool isName(std::string_view text) {
  return !text.empty() && isPrintable(text);
}

} // namespace

StatusOr<Key> keyFrom(const OrderedJson &json, const std::string &what) {
  Key key;
  Reader reader(json, what + ": key");
  reader.read("kernel", key.kernel);
  reader.read("target", key.target);
  reader.read("chip", key.chip);
  reader.read("cond", key.conditions);
  HADAL_RETURN_IF_ERROR(reader.done());
  return key;
}

StatusOr<Words> wordsFrom(const OrderedJson &json, const std::string &what) {
  Words words;
  if (!json.is_object())
    return error(3007, "{}: the schedule is {}, expected an object", what,
                 json.type_name());
  for (const auto &[word, value] : json.items()) {
    if (value.is_boolean())
      words.emplace(word, value.get<bool>());
    else if (value.is_string())
      words.emplace(word, value.get<std::string>());
    else if (Reader::isWhole(value))
      words.emplace(word, value.get<int64_t>());
    else
      return error(3007,
                   "{}: the word '{}' is {}, expected a whole number, a flag "
                   "or a text",
                   what, word, value.type_name());
  }
  return words;
}

StatusOr<Entry> entryFrom(const OrderedJson &json, const std::string &what) {
  Entry entry;
  std::string source, bits;
  Reader reader(json, what);
  if (const OrderedJson *member = reader.object("key")) {
    StatusOr<Key> key = keyFrom(*member, what);
    if (!key.ok())
      return key.status();
    entry.key = std::move(*key);
  }
  reader.read("space", entry.space);
  reader.read("source", source);
  auto readWords = [&](Reader &from, Words &words) {
    if (const OrderedJson *member = from.object("schedule")) {
      StatusOr<Words> read = wordsFrom(*member, what);
      if (read.ok())
        words = std::move(*read);
      else
        from.keep(read.status());
    }
  };
  auto readPart = [&](std::string_view name, auto readMembers) {
    if (const OrderedJson *member = reader.object(name)) {
      Reader part(*member, what + ": " + std::string(name));
      readMembers(part);
      reader.keep(part.done());
    }
  };
  readWords(reader, entry.winner.schedule);
  reader.read("code", entry.winner.code);
  readPart("default", [&](Reader &part) {
    readWords(part, entry.base.schedule);
    part.read("code", entry.base.code);
  });
  readPart("gain", [&](Reader &part) {
    part.read("median", entry.gain);
    part.read("low", entry.gainLow);
    part.read("blocks", entry.blocks);
    part.read("tried", entry.tried);
  });
  readPart("seconds", [&](Reader &part) {
    part.read("tuned", entry.seconds);
    part.read("default", entry.baseSeconds);
  });
  reader.read("aa", entry.noise);
  readPart("error", [&](Reader &part) {
    part.read("bits", bits);
    part.read("relative", entry.relativeError);
    part.read("cosine", entry.cosine);
  });
  reader.read("facts", entry.facts);
  reader.read("made", entry.made);
  reader.read("machine", entry.machine);
  reader.read("day", entry.day);
  HADAL_RETURN_IF_ERROR(reader.done());
  if (source != "tuned" && source != "model")
    return error(3007, "{}: the source is '{}', expected tuned or model", what,
                 source);
  if (bits != "same" && bits != "order")
    return error(3007, "{}: the bits are '{}', expected same or order", what,
                 bits);
  entry.source = source == "tuned" ? Source::tuned : Source::model;
  entry.sameBits = bits == "same";
  if (Status status = checkEntry(entry); !status.ok())
    return error(3007, "{}: {}", what, status.message());
  return entry;
}

Status checkEntry(const Entry &entry) {
  const Key &key = entry.key;
  for (auto [name, text] :
       {std::pair<const char *, const std::string *>{"kernel", &key.kernel},
        {"target", &key.target},
        {"chip", &key.chip},
        {"conditions", &key.conditions},
        {"day", &entry.day}})
    if (!isName(*text))
      return error(3007, "the {} of the entry is empty or not printable", name);
  for (const Built *built : {&entry.winner, &entry.base}) {
    if (!isHash(built->code))
      return error(3007, "{}: the hash '{}' is not 32 hexadecimal digits",
                   key.kernel, built->code);
    for (const auto &[word, value] : built->schedule) {
      const auto *text = std::get_if<std::string>(&value);
      if (!isName(word) || (text && !isName(*text)))
        return error(3007, "{}: a word of its schedule is not printable",
                     key.kernel);
    }
  }
  for (const auto *table : {&entry.made, &entry.machine})
    for (const auto &[name, value] : *table)
      if (!isName(name) || !isPrintable(value))
        return error(3007, "{}: '{}' is not printable", key.kernel, name);
  for (const auto &[name, value] : entry.facts)
    if (!isName(name))
      return error(3007, "{}: a fact's name is not printable", key.kernel);
  for (double number :
       {entry.gain, entry.gainLow, entry.seconds, entry.baseSeconds,
        entry.noise, entry.relativeError, entry.cosine})
    if (!std::isfinite(number))
      return error(3007, "{}: a number of the entry is not finite", key.kernel);
  if (entry.space < 1 || entry.blocks < 0 || entry.tried < 0 ||
      entry.gain <= 0 || entry.gainLow <= 0 || entry.seconds < 0 ||
      entry.baseSeconds < 0)
    return error(3007, "{}: a number of the entry is out of range", key.kernel);
  return {};
}

} // namespace hadal::tune
