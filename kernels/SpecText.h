// Specs as text: what an artifact holds, what messages show, and the symbols of
// kernels. All of it follows from the field lists of KernelSpecs.h. No compiler
// types: a tool that holds an artifact and no compiler reads specs with it.
#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "kernels/KernelSpecs.h"

namespace hadal::kernels {

/// A spec by kind, field names and values: whole numbers in decimal, real ones
/// in the shortest decimal that reads back the same, true or false, the word of
/// an enum. Equal specs have equal text.
struct SpecText {
  std::string kind;
  std::vector<std::pair<std::string, std::string>> fields;
  bool operator==(const SpecText &) const = default;
};

/// A field's value; an enum's is its word.
using SpecValue = std::variant<int64_t, double, bool, std::string_view>;

/// The kind of |spec|, "gemm".
std::string_view kindOf(const AnySpec &spec);
/// The fields of |spec| in the order of its list.
std::vector<std::pair<std::string_view, SpecValue>>
valuesOf(const AnySpec &spec);

std::string printValue(const SpecValue &value);
SpecText toText(const AnySpec &spec);
/// "kind=gemm act=bf16 n=2112 ...", as hadal-inspect --kernels shows it.
std::string printSpec(const AnySpec &spec);

/// What parseSpec read: a spec, or why there is none ("field 'n' is missing").
struct ParsedSpec {
  std::optional<AnySpec> spec;
  std::string error;
};
/// The spec that |text| stands for; its fields may come in any order. A kind or
/// a field that is unknown, missing, given twice or of another type is an
/// error.
ParsedSpec parseSpec(const SpecText &text);

/// The symbol that a kernel of |spec| asks for, made of kSymbol: `{field}` is
/// the field's value (of a flag its name), `[...]` is left out if its field is
/// zero, false or the first word of its enum. Short, readable and a valid
/// identifier of MLIR and PTX. Several specs may ask for one symbol.
std::string symbolFor(const AnySpec &spec);

/// |wanted|, or with the first of _2, _3, ... that makes it a symbol that
/// |taken|(symbol) does not know.
template <typename Taken>
std::string uniqueSymbol(std::string wanted, Taken &&taken) {
  std::string symbol = wanted;
  for (unsigned n = 2; taken(symbol); ++n)
    symbol = wanted + "_" + std::to_string(n);
  return symbol;
}

} // namespace hadal::kernels
