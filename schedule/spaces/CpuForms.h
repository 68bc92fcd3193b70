// The words of the CPU's dot forms (compiler/codegen/cpu/Forms.h).
#pragma once

#include "schedule/Rules.h"

namespace hadal::schedule {

/// The form of a kernel's contractions. Forms order the sums of an element
/// differently; what else a form's words say changes no bit.
template <typename Spec>
Word<Spec>
formWord(std::function<Value(const Facts<Spec> &)> rule,
         std::function<std::vector<Value>(const Facts<Spec> &)> legal) {
  return {"form",
          "gemv, rows: weight rows one at a time, for one or a group of "
          "activation rows; panel: weight rows decoded for all activation "
          "rows; columns: one activation row, weight rows are K; dot: tiles in "
          "buffers; loops: no form",
          Bits::order,
          false,
          std::move(rule),
          std::move(legal)};
}

inline std::vector<Value> texts(std::initializer_list<const char *> all) {
  std::vector<Value> values;
  for (const char *text : all)
    values.push_back(std::string(text));
  return values;
}

/// Registers of the register tile: its accumulators, a vector of each column
/// group and a broadcast factor.
inline bool tileFits(int64_t rows, int64_t vectors, int64_t decodedRows,
                     int64_t registers) {
  return rows * vectors + vectors + 1 <= registers &&
         decodedRows % (rows * vectors) == 0;
}

/// Appends the words that |kernelForms|, the forms that a kind of kernel can
/// have, obey, each where the form has it.
template <typename Spec>
void addFormWords(Space<Spec> &space,
                  std::vector<std::string_view> kernelForms) {
  using F = Facts<Spec>;
  using Forms = std::vector<std::string_view>;
  auto has = [](const Forms &forms, std::string_view form) {
    return std::find(forms.begin(), forms.end(), form) != forms.end();
  };
  auto number = [](int64_t value) {
    return [=](const F &) -> Value { return value; };
  };
  auto oneOf = [](std::initializer_list<int64_t> all) {
    return [values = numbers(all)](const F &) { return values; };
  };
  const Forms streams = {"gemv", "rows", "columns"};
  const Forms panels = {"panel", "dot"};
  auto add = [&](std::string_view name, std::string_view meaning,
                 std::function<Value(const F &)> rule,
                 std::function<std::vector<Value>(const F &)> legal,
                 const Forms &forms) {
    if (std::none_of(kernelForms.begin(), kernelForms.end(),
                     [&](std::string_view form) { return has(forms, form); }))
      return;
    space.push_back({name, meaning, Bits::same, false, std::move(rule),
                     std::move(legal),
                     [=](const F &f) { return has(forms, f.text("form")); }});
  };

  // One linear stream of weights; nearer than 4 KiB is as good as nothing.
  add("prefetch", "bytes from the weights that are read to those fetched",
      number(8192), oneOf({0, 2048, 4096, 8192, 16384}), streams);
  add("unroll", "blocks of 128 of K in a turn of the loop", number(2),
      oneOf({1, 2, 4}), Forms{"gemv", "rows"});
  add("row_group", "activation rows that share a pass over the weights",
      number(4), oneOf({1, 2, 4, 8}), Forms{"rows"});
  add("k_group", "weight rows between two visits of an output element",
      number(4), oneOf({1, 2, 4, 8}), Forms{"columns"});

  add("prefetch_blocks", "blocks of 128 of a weight row to those fetched",
      number(2), oneOf({0, 1, 2, 3, 4}), panels);
  // They stay in a core's L2 (1 MiB) beside the accumulators.
  add("chunk_bytes", "packed activations of one chunk of K", number(384 << 10),
      oneOf({128 << 10, 192 << 10, 256 << 10, 384 << 10, 512 << 10, 768 << 10}),
      panels);
  add("decoded_rows", "weight rows decoded at a time", number(32),
      oneOf({16, 32, 48, 64}), panels);
  add("panel_unroll", "words of K in a turn of the register tile's loop",
      number(2), oneOf({1, 2, 4, 8}), panels);
  // Half of the vector registers are accumulators: 16 of 32, or 8 of 16.
  auto addTile = [&](std::string_view vectorsWord, std::string_view rowsWord,
                     std::string_view vectorsMeaning,
                     std::string_view rowsMeaning, int64_t registers) {
    add(vectorsWord, vectorsMeaning, number(2), oneOf({1, 2, 4}), panels);
    add(
        rowsWord, rowsMeaning,
        [=](const F &f) -> Value {
          return registers / 2 / f.number(vectorsWord);
        },
        [=](const F &f) {
          return numbers({1, 2, 4, 6, 8, 12, 16}, [&](int64_t rows) {
            return tileFits(rows, f.number(vectorsWord),
                            f.number("decoded_rows"), registers);
          });
        },
        panels);
  };
  addTile("panel_vectors", "panel_rows",
          "vectors of the register tile in images of 512 bits",
          "weight rows of the register tile in images of 512 bits", 32);
  addTile("panel_vectors_256", "panel_rows_256",
          "vectors of the register tile in images of 256 bits",
          "weight rows of the register tile in images of 256 bits", 16);
}

} // namespace hadal::schedule
