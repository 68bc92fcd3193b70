#include "cost/CpuContraction.h"

#include <algorithm>
#include <cmath>

namespace hadal::cost {

// Instructions for 128 weights: 18 decode them (a load, a shift or a table, and
// a widening for each vector), 4 products of 32 and 4 loads of activations for
// each row.
static constexpr double kBlock = 128, kDecode = 18, kPerRow = 8;
/// Beyond its share of the last cache, packing takes this much longer: packed
/// rows go to memory and come back.
static constexpr double kSpilledPacking = 2.5;
/// Products of a vector of 32 bits: pairs of bf16.
static constexpr double kPairs = 2, kProductsPerClock = 2;

Prediction predictCpuFold(const CpuModel &model, const CpuFold &fold) {
  const double threads = std::max(1.0, double(model.threads));
  const double weights =
      static_cast<double>(fold.columns) * fold.k * fold.matrices;
  const double rowTiles = std::ceil(static_cast<double>(fold.rows) / fold.bm);
  const double items = rowTiles *
                       std::ceil(static_cast<double>(fold.columns) / fold.bn) *
                       fold.matrices;
  const double rows = static_cast<double>(std::min(fold.rows, fold.bm));
  // Each tile of rows walks the weights again; from memory if they are gone.
  const double bytes = weights * fold.weightBytes;
  const double memory =
      bytes * (bytes > model.lastCache ? rowTiles : 1) / model.readRate;
  const double issueRate = model.issue * model.clock * threads;
  double products = 0, instructions = 0, packing = 0;
  if (fold.form == CpuForm::rows) {
    const double group = static_cast<double>(fold.rowGroup);
    instructions = rowTiles * weights / kBlock * std::ceil(rows / group) *
                   (kDecode + kPerRow * std::min(group, rows));
  } else {
    const double lanes = model.vectorBits / 32;
    const double padded = std::ceil(rows / lanes) * lanes;
    // A register tile of r x v loads r + v operands for r v products, and so
    // is fed too slowly where it is narrow.
    const double tile = static_cast<double>(fold.tileRows * fold.tileVectors);
    const double feed = static_cast<double>(fold.tileRows + fold.tileVectors);
    const double share = model.panelShare * tile / std::max(tile, feed);
    products =
        rowTiles * padded * weights /
        (lanes * kPairs * kProductsPerClock * model.clock * threads * share);
    instructions = rowTiles * weights / kBlock * kDecode;
    // A worker packs the rows of a tile once, in bf16: a vector in four clocks.
    const double packed = 2.0 * static_cast<double>(fold.bm * fold.k);
    const double workers = std::min(threads, items) / threads;
    packing = rowTiles * fold.matrices * workers * packed /
              (model.vectorBits / 8 / 4 * model.clock) *
              (packed > model.lastCache / threads ? kSpilledPacking : 1);
  }
  const double issue = instructions / issueRate;
  Prediction predicted;
  if (memory >= products + issue) {
    predicted.add(Term::memory, memory);
  } else {
    predicted.add(Term::tensor, products);
    predicted.add(Term::issue, issue);
  }
  // The pool hands out quarters of a share: what is left at the end waits for
  // one item.
  const double each = predicted.seconds / std::max(items, 1.0);
  predicted.add(Term::imbalance,
                each * (std::ceil(items / threads) * threads - items));
  predicted.add(Term::packing, packing);
  predicted.add(Term::launch, items * model.dispatch / threads);
  return predicted;
}

} // namespace hadal::cost
