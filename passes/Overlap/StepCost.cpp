#include "passes/Overlap/StepCost.h"

#include <algorithm>
#include <cmath>

#include "cost/Routing.h"

namespace hadal::predict {

constexpr int kCode = 5023;

StepCost::StepCost(const StepShape &shape, const cost::Cluster &cluster,
                   const cost::KernelCosts &costs, bool beside)
    : shape(shape), cluster(cluster), costs(costs) {
  full.tokens = shape.tokens;
  full.slice = std::ceil(shape.tokens / shape.tp);
  full.logitRows = shape.rows;
  full.sequences =
      shape.decode ? std::min(shape.rows, shape.tokens)
                   : std::max(1.0, shape.tokens / std::max(shape.queries, 1.0));
  full.context = shape.decode ? shape.context : shape.tokens / full.sequences;
  full.sentRows =
      full.slice * cost::distinctRanks({shape.ep, shape.slots,
                                        static_cast<int64_t>(shape.topk)});
  most = shape.imbalance > 0 ? shape.imbalance
         : cluster.imbalance > 0
             ? cluster.imbalance
             : cost::uniformImbalance(shape.ep, full.slice, shape.topk);
  full.pairs = full.slice * shape.topk * most;
  if (!beside)
    return;
  unsigned held = 0;
  for (const auto &[name, link] : cluster.links)
    held = std::max(held, name == "tp" ? 0 : link.multiprocessors);
  const double all = std::max(cluster.multiprocessors, 1u);
  share = all / (all - held);
}

StatusOr<PricedLaunch> StepCost::launch(const std::string &name,
                                        const kernels::AnySpec *spec) const {
  PricedLaunch priced;
  if (spec)
    priced.work = kernels::workOf(*spec, full);
  if (const cost::KernelCost *measured = costs.find(name)) {
    // Measurements are of even routing.
    const bool product =
        spec && std::holds_alternative<kernels::GemmSpec>(*spec);
    priced.bound = LaunchBound::measured;
    priced.us = measured->us(full.tokens) * (product ? share : 1) *
                (spec && kernels::isOfExperts(*spec) ? most : 1);
    return priced;
  }
  const cost::Roofline &roofline = cluster.roofline;
  if (roofline.memoryBytesPerUs <= 0 || !spec)
    return error(kCode,
                 "kernel '{}' has no measurement, and '{}' no \"roofline\" to "
                 "price it by; give --costs with all kernels",
                 name, cluster.name);
  const double memory = priced.work.bytes / roofline.memoryBytesPerUs;
  const double compute =
      priced.work.flops /
      (priced.work.fp8 ? roofline.fp8PerUs : roofline.bf16PerUs);
  priced.us = std::max({memory, compute, roofline.floorUs});
  priced.bound = priced.us == memory    ? LaunchBound::memory
                 : priced.us == compute ? LaunchBound::compute
                                        : LaunchBound::floor;
  return priced;
}

/// Parts of one row a rank carry counts, whatever the rows are.
static bool isOfRows(const ExchangePart &part) { return part.rows > 1; }

/// An all_to_all whose parts are counted by their second column carries a row
/// for each pair; others one for each token and rank.
static bool carriesPairs(const ExchangeWork &exchange) {
  return std::any_of(
      exchange.parts.begin(), exchange.parts.end(),
      [](const ExchangePart &part) { return part.countColumn == 1; });
}

double StepCost::meantRows(const ExchangePart &part,
                           const ExchangeWork &exchange) const {
  if (!isOfRows(part))
    return part.rows * shape.ep;
  return carriesPairs(exchange) ? full.slice * shape.topk : full.sentRows;
}

double StepCost::movedRows(const cost::Link &link, const ExchangePart &part,
                           const ExchangeWork &exchange) const {
  const double capacity = part.rows * exchange.ranks;
  if (!isOfRows(part))
    return capacity;
  switch (link.moves) {
  case cost::Moves::capacity:
    return capacity;
  case cost::Moves::rows:
    return meantRows(part, exchange);
  case cost::Moves::pairs:
    return full.slice * shape.topk;
  case cost::Moves::copies:
    return full.slice * link.copies;
  }
  return capacity;
}

StatusOr<PricedExchange> StepCost::price(const ExchangeWork &exchange) const {
  const cost::Link *link = cluster.find(exchange.label, exchange.axis);
  if (!link)
    return error(kCode,
                 "'{}' has no link \"{}\" or \"{}\", which a collective needs",
                 cluster.name, exchange.label, exchange.axis);
  const double ranks = exchange.ranks;
  PricedExchange priced;
  for (const ExchangePart &part : exchange.parts) {
    const double block = part.rows * part.rowBytes;
    switch (exchange.kind) {
    case ExchangeKind::allGather:
    case ExchangeKind::reduceScatter:
      priced.bytes += (ranks - 1) * block;
      priced.neededBytes += (ranks - 1) * block;
      break;
    case ExchangeKind::allReduce:
      priced.bytes += 2 * (ranks - 1) / ranks * block;
      priced.neededBytes += 2 * (ranks - 1) / ranks * block;
      break;
    case ExchangeKind::allToAll:
      priced.bytes += movedRows(*link, part, exchange) * part.rowBytes;
      priced.neededBytes += meantRows(part, exchange) * part.rowBytes;
      break;
    }
  }
  const bool routed = exchange.kind == ExchangeKind::allToAll;
  priced.cost = cost::collectiveOf(*link, exchange.label, exchange.ranks,
                                   priced.bytes, routed ? most : 1);
  return priced;
}

} // namespace hadal::predict
