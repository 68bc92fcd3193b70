// What a contraction takes on a CPU, by the form that computes it.
#pragma once

#include <cstdint>

#include "cost/ChipModel.h"
#include "cost/Prediction.h"

namespace hadal::cost {

/// One machine as a program runs on it: a tuner puts what it measured in place
/// of the estimates.
struct CpuModel {
  Quantity threads = {2, "estimate: a small machine"};
  Quantity clock = {2.5e9, "estimate"}; ///< Hz, of wide vectors
  /// Bytes a second that all threads read from memory together.
  Quantity readRate = {20e9, "estimate: hadal-bench measures it"};
  Quantity lastCache = {16e6, "estimate"}; ///< bytes of all threads together
  Quantity vectorBits = {512, "estimate"};
  Quantity issue = {2, "estimate"};         ///< vector instructions a clock
  Quantity dispatch = {300e-9, "estimate"}; ///< seconds of handing out an item
  /// Of the products' peak that a panel gets.
  Quantity panelShare = {0.90, "estimate"};
};

enum class CpuForm {
  rows,  ///< weight rows one at a time, for a group of activation rows
  panel, ///< weight rows decoded for all activation rows of a tile
};

/// One launch.
struct CpuFold {
  CpuForm form;
  int64_t rows, columns, k; ///< of one matrix with its activations
  int64_t matrices;    ///< of that size: experts with work, operands, heads
  double weightBytes; ///< of an element, with its part of its scales
  int64_t bm, bn;
  int64_t rowGroup = 1;                     ///< of rows
  int64_t tileRows = 8, tileVectors = 2;    ///< of panel: the register tile
  int64_t decodedRows = 32, chunkBytes = 0; ///< of panel
};

Prediction predictCpuFold(const CpuModel &model, const CpuFold &fold);

} // namespace hadal::cost
