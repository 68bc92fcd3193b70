// Element indices of a tile as functions of the thread.
//
// The registers of a distributed tile hold elements whose flat (row-major)
// index is  constant + scale * floor(thread / div).  Broadcasts, reshapes,
// interleavings and reductions map such an index to another one of the same
// form, so that most uses of a tile find their element in a register of their own
// thread. An index outside the form is a value (i32) computed at run time.
#pragma once

#include <cstdint>
#include <optional>
#include <tuple>

#include "mlir/IR/Value.h"

namespace hadal::nvptx {

struct TileIndex {
  int64_t constant = 0;
  int64_t scale = 0; ///< 0: the same for every thread
  int64_t div = 1;
  mlir::Value dynamic; ///< i32, added; null if none

  static TileIndex of(int64_t constant) { return {constant, 0, 1, {}}; }

  bool isUniform() const { return scale == 0 && !dynamic; }
  TileIndex plus(int64_t offset) const {
    TileIndex result = *this;
    result.constant += offset;
    return result;
  }
  TileIndex times(int64_t factor) const;

  /// The largest floor(thread / div) of |threads| threads.
  int64_t lastStep(int64_t threads) const { return (threads - 1) / div; }
  /// The largest floor(thread / div) whose index is below |size|; negative if
  /// there is none.
  int64_t lastStepBelow(int64_t size) const;

  /// The same index in the simplest form.
  TileIndex simplified(int64_t threads) const;
  /// floor(index / by) and index mod by for threads whose index lies below
  /// |size|, where the result has the form.
  std::optional<TileIndex> dividedBy(int64_t by, int64_t size,
                                     int64_t threads) const;
  std::optional<TileIndex> modulo(int64_t by, int64_t size,
                                  int64_t threads) const;

  using Key = std::tuple<int64_t, int64_t, int64_t, void *>;
  Key key() const {
    return {scale, div, constant, dynamic.getAsOpaquePointer()};
  }
};

} // namespace hadal::nvptx
