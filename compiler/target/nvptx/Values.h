// How the sm_90a lowering represents values of the tile level.
//
// A tile value is one of
//  - a register fragment of a warpgroup: 64 rows in wgmma's accumulator layout
//    (ptx: register i of thread t holds row 16w + g + 8((i>>1)&1) and column
//    8(i>>2) + 2q + (i&1)), or one column (two registers: rows g and g+8);
//  - a tile in shared memory in 128-byte-swizzled column chunks, for wgmma
//    operands;
//  - a function of (row, column), evaluated where it is used: constants, iotas,
//    scales and indices read straight from global memory.
#pragma once

#include <functional>
#include <memory>

#include "dialects/Tile/IR/TileDialect.h"

namespace hadal::nvptx {

/// The element of a tile at (row, column), both i64.
using ElementFn = std::function<mlir::Value(mlir::Value, mlir::Value)>;

struct Fragment {
  int64_t cols = 0;
  /// The columns are halved between two warpgroups; else both hold all.
  bool split = false;
  llvm::SmallVector<mlir::Value> regs;
};

struct SharedTile {
  mlir::Value base;        // i32 shared-window address, 1024-byte aligned
  int64_t rows = 0;
  int64_t cols = 0;        // columns of the whole tile
  int64_t colOffset = 0;   // first column of a slice
  int64_t sliceCols = 0;
  mlir::Type elementType;

  int64_t elementBytes() const {
    return elementType.getIntOrFloatBitWidth() / 8;
  }
};

struct TileValue {
  enum Kind { none, fragment, shared, function } kind = none;
  Fragment frag;
  SharedTile smem;
  ElementFn fn;
  /// A function known to be zero everywhere: an accumulator need not be read.
  bool zero = false;
};

/// A view: base address and how a row is found.
struct ViewRef {
  tile::ViewType type;
  mlir::Value data;                      // i64 address, or of a pointer table
  mlir::Value scale;                     // likewise; null if unscaled
  llvm::SmallVector<mlir::Value> extents; // i64, one per dimension
  /// tile.paged: table address and the index of its first entry.
  mlir::Value pageTable, pageBase;
  int64_t pageSize = 0;
  /// tile.rows: i64 row of the source view for a row of this one.
  std::function<mlir::Value(mlir::Value)> gather;
};

} // namespace hadal::nvptx
