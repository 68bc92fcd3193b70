// Filters, tests and methods of the template language.
#pragma once

#include <string_view>

#include "runtime/chat/Value.h"

namespace hadal::chat {

using FilterFunction = Value (*)(const Value &input, Arguments &arguments);
using TestFunction = bool (*)(const Value &input, Arguments &arguments);

/// nullptr for one that is not supported.
FilterFunction findFilter(std::string_view name);
TestFunction findTest(std::string_view name);

/// Whether some type has a method of that name.
bool isMethodName(std::string_view name);
/// Whether |value|'s type does.
bool hasMethod(const Value &value, std::string_view name);
Value callMethod(const Value &value, std::string_view name,
                 Arguments &arguments);

/// Python's obj.name and obj[key] as jinja2 has them: a missing one is
/// undefined, of an undefined value a RenderError. Methods are not looked for.
Value memberOf(const Value &value, const Text &name);
Value itemOf(const Value &value, const Value &key);

/// The elements that Python's iter() gives.
std::vector<Value> elementsOf(const Value &value);
bool contains(const Value &container, const Value &element);
/// The order of two numbers, strings or lists: <0, 0, >0; 2 if not comparable
/// (NaN).
int compare(const Value &a, const Value &b);

/// The argument at |index| or of |name|; null where it is not given.
const Value *argument(const Arguments &arguments, size_t index,
                      std::string_view name);
/// Refuses arguments beyond |most| or of names not in |names|.
void checkArguments(std::string_view function, const Arguments &arguments,
                    size_t most,
                    std::initializer_list<std::string_view> names = {});

} // namespace hadal::chat
