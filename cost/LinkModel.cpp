#include "cost/LinkModel.h"

#include <algorithm>
#include <cmath>

namespace hadal::cost {

namespace {

double usPerByteAt(const Link &link, unsigned ranks) {
  auto above = link.usPerByte.lower_bound(ranks);
  if (above == link.usPerByte.end())
    return std::prev(above)->second;
  if (above->first == ranks || above == link.usPerByte.begin())
    return above->second;
  auto below = std::prev(above);
  const double part =
      std::log2(static_cast<double>(ranks) / below->first) /
      std::log2(static_cast<double>(above->first) / below->first);
  return below->second + part * (above->second - below->second);
}

} // namespace

double uniformImbalance(unsigned ranks, double tokens, double choices) {
  return ranks < 2 || tokens * choices <= 0
             ? 1
             : 1 + std::sqrt(2 * std::log(ranks) / (tokens * choices));
}

Collective collectiveOf(const Link &link, std::string label, unsigned ranks,
                        double bytes, double imbalance) {
  Collective collective;
  collective.label = std::move(label);
  collective.holdsMultiprocessors = link.multiprocessors > 0;
  // A rank's own kernels copy its own rows, whatever others send.
  const double share =
      link.referenceBytes > 0 ? bytes / link.referenceBytes : 0;
  collective.startUs = link.startUs * share;
  collective.endUs = link.endUs * share;
  const double us = link.alphaUs + bytes * imbalance * usPerByteAt(link, ranks);
  collective.transferUs =
      std::max(0.0, us - collective.startUs - collective.endUs);
  return collective;
}

} // namespace hadal::cost
