// The words of the CPU's dot forms (compiler/codegen/cpu/Forms.h).
#pragma once

#include <set>

#include "schedule/Rules.h"

namespace hadal::schedule {

inline std::vector<Value> texts(std::initializer_list<const char *> all) {
  std::vector<Value> values;
  for (const char *text : all)
    values.push_back(std::string(text));
  return values;
}

/// The form of a kernel's contractions, of the |forms| that its kind can have.
/// Forms order the sums of an element differently; what else a form's words say
/// changes no bit. |unfit|: why the words before it leave no room for the form.
template <typename Spec>
Word<Spec> formWord(std::initializer_list<const char *> forms,
                    std::function<Value(const Facts<Spec> &)> rule,
                    std::function<Check(const Facts<Spec> &)> unfit) {
  using F = Facts<Spec>;
  return {
      .name = "form",
      .meaning =
          "gemv, rows: weight rows one at a time, for one or a group of "
          "activation rows; panel: weight rows decoded for all activation "
          "rows; columns: one activation row, weight rows are K; dot: tiles "
          "in buffers; loops: no form",
      .bits = Bits::order,
      .inBody = false,
      .rule = rule,
      .values = [all = texts(forms)](const F &) { return all; },
      .limit = [=](const F &f) -> Check {
        const bool isRule = Value(f.text("form")) == rule(f);
        if (Check broken = keepsSums(f, isRule))
          return broken;
        return isRule || !unfit ? std::nullopt : unfit(f);
      },
      .unwise = [=](const F &f) -> Check {
        if (f.text("form") == "loops")
          return Broken{Prune::P16, "loops are the form of last resort"};
        return std::nullopt;
      },
      // An element has the same bits in both, whatever its group of rows.
      .alike =
          +[](const Value &one, const Value &two) {
            auto byRows = [](const Value &form) {
              return form == Value(std::string("gemv")) ||
                     form == Value(std::string("rows"));
            };
            return byRows(one) && byRows(two);
          }};
}

/// Why a register tile of |rows| x |vectors| is none: its accumulators, a
/// vector of each column group and a broadcast factor are in |registers|, and
/// it divides the rows that are decoded.
inline Check tileUnfit(int64_t rows, int64_t vectors, int64_t decodedRows,
                       int64_t registers) {
  std::string text =
      "tile of " + std::to_string(rows) + " x " + std::to_string(vectors);
  if (int64_t taken = rows * vectors + vectors + 1; taken > registers)
    return Broken{Prune::P07, text + ": " + std::to_string(taken) +
                                  " registers of " + std::to_string(registers)};
  if (decodedRows % (rows * vectors) != 0)
    return Broken{Prune::P01,
                  text + ", " + std::to_string(decodedRows) + " decoded rows"};
  return std::nullopt;
}

/// The words of images whose vectors have not |vectorBits|, 256 or 512: a tuner
/// on a machine of that width keeps them as they are.
inline std::set<std::string, std::less<>> wordsOfOtherImages(int vectorBits) {
  if (vectorBits == 512)
    return {"panel_vectors_256", "panel_rows_256"};
  return {"panel_vectors", "panel_rows"};
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
                 std::function<std::vector<Value>(const F &)> values,
                 const Forms &forms,
                 std::function<std::vector<Value>(const F &)> tries,
                 std::function<Check(const F &)> limit = nullptr) {
    if (std::none_of(kernelForms.begin(), kernelForms.end(),
                     [&](std::string_view form) { return has(forms, form); }))
      return;
    space.push_back(
        {.name = name,
         .meaning = meaning,
         .bits = Bits::same,
         .inBody = false,
         .rule = std::move(rule),
         .values = std::move(values),
         .limit = std::move(limit),
         .tries = std::move(tries),
         .applies = [=](const F &f) { return has(forms, f.text("form")); }});
  };

  // What no model tells apart is tried one step from the best alone.
  auto none = oneOf({});

  // One linear stream of weights; nearer than 4 KiB is as good as nothing.
  add("prefetch", "bytes from the weights that are read to those fetched",
      number(8192), oneOf({0, 2048, 4096, 8192, 16384}), streams, none);
  add("unroll", "blocks of 128 of K in a turn of the loop", number(2),
      oneOf({1, 2, 4}), Forms{"gemv", "rows"}, none);
  add("row_group", "activation rows that share a pass over the weights",
      number(4), oneOf({1, 2, 4, 8}), Forms{"rows"}, nullptr);
  add("k_group", "weight rows between two visits of an output element",
      number(4), oneOf({1, 2, 4, 8}), Forms{"columns"}, nullptr);

  add("prefetch_blocks", "blocks of 128 of a weight row to those fetched",
      number(2), oneOf({0, 1, 2, 3, 4}), panels, none);
  // They stay in a core's L2 (1 MiB) beside the accumulators.
  add("chunk_bytes", "packed activations of one chunk of K", number(384 << 10),
      oneOf({128 << 10, 192 << 10, 256 << 10, 384 << 10, 512 << 10, 768 << 10}),
      panels, oneOf({192 << 10, 768 << 10}));
  add("decoded_rows", "weight rows decoded at a time", number(32),
      oneOf({16, 32, 48, 64}), panels, oneOf({16, 64}));
  add("panel_unroll", "words of K in a turn of the register tile's loop",
      number(2), oneOf({1, 2, 4, 8}), panels, none);
  // Half of the vector registers are accumulators: 16 of 32, or 8 of 16.
  auto addTile = [&](std::string_view vectorsWord, std::string_view rowsWord,
                     std::string_view vectorsMeaning,
                     std::string_view rowsMeaning, int64_t registers) {
    add(vectorsWord, vectorsMeaning, number(2), oneOf({1, 2, 4}), panels,
        nullptr);
    add(
        rowsWord, rowsMeaning,
        [=](const F &f) -> Value {
          return registers / 2 / f.number(vectorsWord);
        },
        oneOf({1, 2, 4, 6, 8, 12, 16}), panels, oneOf({4, 6, 8, 12}),
        [=](const F &f) {
          return tileUnfit(f.number(rowsWord), f.number(vectorsWord),
                           f.number("decoded_rows"), registers);
        });
  };
  addTile("panel_vectors", "panel_rows",
          "vectors of the register tile in images of 512 bits",
          "weight rows of the register tile in images of 512 bits", 32);
  addTile("panel_vectors_256", "panel_rows_256",
          "vectors of the register tile in images of 256 bits",
          "weight rows of the register tile in images of 256 bits", 16);
}

} // namespace hadal::schedule
