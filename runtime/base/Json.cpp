#include "runtime/base/Json.h"

#include <unordered_set>

#include "runtime/base/MappedFile.h"

namespace hadal {

namespace {

/// Builds a value from the parser's events, refusing what the DOM builder of
/// the library would let pass: deep nesting and duplicate keys.
template <typename Json> class StrictBuilder : public nlohmann::json_sax<Json> {
public:
  using typename nlohmann::json_sax<Json>::number_integer_t;
  using typename nlohmann::json_sax<Json>::number_unsigned_t;
  using typename nlohmann::json_sax<Json>::number_float_t;
  using typename nlohmann::json_sax<Json>::string_t;
  using typename nlohmann::json_sax<Json>::binary_t;

  StrictBuilder(Json &root, unsigned maxDepth)
      : root_(root), maxDepth_(maxDepth) {}

  const std::string &message() const { return message_; }

  bool null() override { return add(nullptr); }
  bool boolean(bool value) override { return add(value); }
  bool number_integer(number_integer_t value) override { return add(value); }
  bool number_unsigned(number_unsigned_t value) override { return add(value); }
  bool number_float(number_float_t value, const string_t &) override {
    return add(value);
  }
  bool string(string_t &value) override { return add(std::move(value)); }
  bool binary(binary_t &) override { return false; }

  bool start_object(size_t) override { return open(Json::object()); }
  bool start_array(size_t) override { return open(Json::array()); }
  bool end_object() override { return close(); }
  bool end_array() override { return close(); }

  bool key(string_t &value) override {
    auto &members =
        stack_.back()->template get_ref<typename Json::object_t &>();
    bool isNew;
    if constexpr (std::is_same_v<Json, OrderedJson>) {
      // A vector, whose own look-up takes time in the number of members.
      isNew = keys_.back().insert(value).second;
      if (isNew)
        member_ = &members.emplace_back(value, nullptr).second;
    } else {
      auto [position, inserted] = members.try_emplace(value);
      isNew = inserted;
      member_ = &position->second;
    }
    if (!isNew) {
      message_ = fmt::format("duplicate key \"{}\"", value);
      return false;
    }
    return true;
  }

  bool parse_error(size_t position, const std::string &lastToken,
                   const nlohmann::detail::exception &exception) override {
    // "[json.exception.parse_error.101] parse error at ...: reason"
    std::string text = exception.what();
    size_t bracket = text.find("] ");
    message_ = fmt::format(
        "byte {}: {}", position,
        bracket == std::string::npos ? text : text.substr(bracket + 2));
    return false;
  }

private:
  Json *place(Json &&value) {
    if (stack_.empty()) {
      root_ = std::move(value);
      return &root_;
    }
    Json &parent = *stack_.back();
    if (parent.is_array()) {
      auto &elements = parent.template get_ref<typename Json::array_t &>();
      elements.push_back(std::move(value));
      return &elements.back();
    }
    *member_ = std::move(value);
    return member_;
  }
  template <typename T> bool add(T &&value) {
    place(Json(std::forward<T>(value)));
    return true;
  }
  bool open(Json &&empty) {
    if (stack_.size() >= maxDepth_) {
      message_ = fmt::format("nested deeper than {} levels", maxDepth_);
      return false;
    }
    stack_.push_back(place(std::move(empty)));
    if constexpr (std::is_same_v<Json, OrderedJson>)
      keys_.emplace_back();
    return true;
  }
  bool close() {
    stack_.pop_back();
    if constexpr (std::is_same_v<Json, OrderedJson>)
      keys_.pop_back();
    return true;
  }

  Json &root_;
  unsigned maxDepth_;
  // Pointers stay valid: an array grows only while none of its elements is
  // open.
  std::vector<Json *> stack_;
  Json *member_ = nullptr;
  std::vector<std::unordered_set<std::string>> keys_; // of open objects
  std::string message_;
};

template <typename Json>
StatusOr<Json> parseStrictly(std::string_view text, int errorCode,
                             const std::string &what, JsonLimits limits) {
  // JSON has no raw zero byte, but the parser takes one for the end of the text
  // and would accept anything after it.
  if (size_t zero = text.find('\0'); zero != std::string_view::npos)
    return error(errorCode, "'{}' is not valid JSON: byte {}: zero byte", what,
                 zero + 1);
  Json root;
  StrictBuilder<Json> builder(root, limits.depth);
  bool accepted = false;
  std::string reason;
  try {
    accepted = Json::sax_parse(text.begin(), text.end(), &builder);
    reason = builder.message();
  } catch (const std::exception &exception) {
    reason = exception.what();
  }
  if (!accepted)
    return error(errorCode, "'{}' is not valid JSON: {}", what, reason);
  return root;
}

} // namespace

StatusOr<Json> parseJson(std::string_view text, int errorCode,
                         const std::string &what, JsonLimits limits) {
  return parseStrictly<Json>(text, errorCode, what, limits);
}

StatusOr<OrderedJson> parseOrderedJson(std::string_view text, int errorCode,
                                       const std::string &what,
                                       JsonLimits limits) {
  return parseStrictly<OrderedJson>(text, errorCode, what, limits);
}

StatusOr<Json> readJsonFile(const std::string &path, int errorCode,
                            JsonLimits limits) {
  StatusOr<MappedFile> file = MappedFile::open(path);
  if (!file.ok())
    return Status(errorCode, file.status().message());
  if (file->size() > limits.bytes)
    return error(errorCode,
                 "'{}' is too large: expected at most {} bytes, "
                 "found {}",
                 path, limits.bytes, file->size());
  return parseJson({reinterpret_cast<const char *>(file->data()),
                    static_cast<size_t>(file->size())},
                   errorCode, path, limits);
}

const Json *findMember(const Json &value, std::string_view key) {
  const auto *object = value.get_ptr<const Json::object_t *>();
  if (!object)
    return nullptr;
  auto position = object->find(key);
  return position == object->end() ? nullptr : &position->second;
}

const std::string *asString(const Json *value) {
  return value ? value->get_ptr<const std::string *>() : nullptr;
}

std::optional<bool> asBool(const Json *value) {
  if (!value || !value->is_boolean())
    return std::nullopt;
  return *value->get_ptr<const bool *>();
}

std::optional<uint64_t> asUnsigned(const Json *value) {
  if (!value || !value->is_number_unsigned())
    return std::nullopt;
  return *value->get_ptr<const Json::number_unsigned_t *>();
}

} // namespace hadal
