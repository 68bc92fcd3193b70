#include "tools/hadal-bench/AccuracyGate.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include <fmt/format.h>

namespace hadal::bench {

namespace {

/// The first element of |row| whose bytes differ, or the first scale; none.
std::optional<std::string> differenceInBits(const Tensor &a, const Tensor &b,
                                            uint64_t row) {
  const uint64_t bytes = a.rowBytes(), width = dtypeSize(a.dtype);
  const uint8_t *x = a.data.data() + row * bytes,
                *y = b.data.data() + row * bytes;
  if (std::memcmp(x, y, bytes) != 0) {
    const uint64_t col = (std::mismatch(x, x + bytes, y).first - x) / width;
    return fmt::format("[{}, {}] is {}, of the default {}", row, col,
                       b.at(row, col), a.at(row, col));
  }
  if (a.blockRows && row % a.blockRows == 0) {
    const uint64_t first = row / a.blockRows * a.scaleCols();
    for (uint64_t i = first; i < first + a.scaleCols(); ++i)
      if (std::memcmp(&a.scales[i], &b.scales[i], 4) != 0)
        return fmt::format("scale [{}, {}] is {}, of the default {}",
                           row / a.blockRows, i - first, b.scales[i],
                           a.scales[i]);
  }
  return std::nullopt;
}

std::optional<std::string> differenceInValues(const Tensor &a, const Tensor &b,
                                              const Expected &output) {
  double most = 0, worst = 0;
  uint64_t row = 0, col = 0;
  for (uint64_t r : output.rows)
    for (uint64_t c = 0; c < a.cols; ++c) {
      const double x = a.at(r, c), y = b.at(r, c);
      most = std::max(most, std::fabs(x));
      const double e = std::isnan(x) && std::isnan(y) ? 0 : std::fabs(x - y);
      // A NaN is the worst.
      if (!(e <= worst)) {
        worst = std::isnan(e) ? INFINITY : e;
        row = r, col = c;
      }
    }
  const double allowed =
      2 * boundOf(output.kind).relative * std::max(most, 1e-30);
  if (worst <= allowed)
    return std::nullopt;
  return fmt::format("[{}, {}] is {}, of the default {}: off by {:.3g}, "
                     "allowed {:.3g}",
                     row, col, b.at(row, col), a.at(row, col), worst, allowed);
}

} // namespace

std::string_view toString(Fault fault) {
  switch (fault) {
  case Fault::none:
    return "";
  case Fault::R02:
    return "R02";
  case Fault::R04:
    return "R04";
  }
  return "";
}

void poison(const KernelCase &test, Arguments &arguments) {
  for (const Expected &output : test.expected) {
    Tensor &tensor = arguments.find(output.output)->second;
    auto isZero = [](auto value) { return value == 0; };
    if (!std::all_of(tensor.data.begin(), tensor.data.end(), isZero) ||
        !std::all_of(tensor.scales.begin(), tensor.scales.end(), isZero))
      continue;
    std::fill(tensor.data.begin(), tensor.data.end(), 0xff);
    std::fill(tensor.scales.begin(), tensor.scales.end(), std::nanf(""));
  }
}

Judgement judge(const KernelCase &test, const Arguments &byDefault,
                const Arguments &outputs, bool sameBits, uint64_t seed) {
  Judgement result;
  Random random(seed), sameRandom(seed);
  result.deviation = test.check(outputs, random);
  auto wrong = [&](Fault fault, std::string numbers) {
    result.fault = fault;
    result.numbers = std::move(numbers);
    return result;
  };
  if (!result.deviation.right)
    return wrong(Fault::R02, fmt::format("relative error {:.3g}, 1 - cosine "
                                         "{:.3g} against the reference",
                                         result.deviation.relative,
                                         result.deviation.cosine));
  for (const Expected &output : test.expected) {
    const Tensor &a = byDefault.find(output.output)->second;
    const Tensor &b = outputs.find(output.output)->second;
    if (sameBits) {
      for (uint64_t row : output.rows)
        if (auto found = differenceInBits(a, b, row))
          return wrong(Fault::R04, output.output + " " + *found);
    } else if (auto found = differenceInValues(a, b, output)) {
      return wrong(Fault::R02, output.output + " " + *found);
    }
  }
  const Deviation ofDefault = test.check(byDefault, sameRandom);
  if (result.deviation.relative > 1.5 * ofDefault.relative)
    return wrong(Fault::R02,
                 fmt::format("relative error {:.3g} against the reference, "
                             "more than 1.5 x the default's {:.3g}",
                             result.deviation.relative, ofDefault.relative));
  return result;
}

} // namespace hadal::bench
