// Status and StatusOr: how the runtime reports failure. No exceptions cross a
// module boundary; every message says what, where, expected, found, remedy.
#pragma once

#include <cassert>
#include <optional>
#include <string>
#include <utility>

#include <fmt/format.h>

namespace hadal {

/// Success, or an error code of runtime/schemas/errors.def with a message.
class [[nodiscard]] Status {
public:
  Status() = default;
  Status(int code, std::string message)
      : code_(code), message_(std::move(message)) {}

  bool ok() const { return code_ == 0; }
  /// 0, or the four digits of the `H` code.
  int code() const { return code_; }
  const std::string &message() const { return message_; }
  /// The exit status a tool returns for this error.
  int exitCode() const;
  /// "error H5001: message", as printed by every tool.
  std::string toString() const;

private:
  int code_ = 0;
  std::string message_;
};

/// The generic sentence of error |code|, or nullptr for an unknown code.
const char *errorSentence(int code);

/// Builds an error: error(5001, "cannot open '{}': {}", path, reason).
template <typename... Args>
Status error(int code, fmt::format_string<Args...> format, Args &&...args) {
  return Status(code, fmt::format(format, std::forward<Args>(args)...));
}

/// A value or the Status that says why there is none.
template <typename T> class [[nodiscard]] StatusOr {
public:
  StatusOr(T value) : value_(std::move(value)) {}
  StatusOr(Status status) : status_(std::move(status)) {
    assert(!status_.ok() && "StatusOr needs a value or an error");
  }

  bool ok() const { return value_.has_value(); }
  const Status &status() const { return status_; }
  T &operator*() { return *value_; }
  const T &operator*() const { return *value_; }
  T *operator->() { return &*value_; }
  const T *operator->() const { return &*value_; }

private:
  Status status_;
  std::optional<T> value_;
};

#define HADAL_RETURN_IF_ERROR(expr)                                            \
  do {                                                                         \
    if (::hadal::Status hadalStatus = (expr); !hadalStatus.ok())               \
      return hadalStatus;                                                      \
  } while (false)

#define HADAL_CONCAT_IMPL(a, b) a##b
#define HADAL_CONCAT(a, b) HADAL_CONCAT_IMPL(a, b)
/// HADAL_ASSIGN_OR_RETURN(auto file, openFile(path));
#define HADAL_ASSIGN_OR_RETURN(decl, expr)                                     \
  auto HADAL_CONCAT(hadalOr, __LINE__) = (expr);                               \
  if (!HADAL_CONCAT(hadalOr, __LINE__).ok())                                   \
    return HADAL_CONCAT(hadalOr, __LINE__).status();                           \
  decl = std::move(*HADAL_CONCAT(hadalOr, __LINE__))

} // namespace hadal
