// How the pipeline lowering represents values of the tile level.
//
// A tile value is one of
//  - a fragment: this thread's registers of a tile of at most 64 rows a
//    warpgroup (tiles of 128 rows are split between two);
//  - a tile in shared memory, for wgmma;
//  - a function of (row, column), evaluated where it is used: constants, iotas,
//    small tiles read straight from global memory;
//  - the block scales of an operand, in registers.
#pragma once

#include <functional>

#include "compiler/codegen/nvptx/Sm90/Convert/AsmBuilder.h"
#include "dialects/Tile/IR/TileDialect.h"

namespace hadal::nvptx {

/// The element of a tile at (row, column), both i32 and relative to the tile.
using ElementFn = std::function<mlir::Value(mlir::Value, mlir::Value)>;

/// Registers of a distributed tile. With q = lane & 3, g = lane >> 2, w the warp
/// in its warpgroup and `width` 2, register i holds row 16w + g + 8((i>>1)&1) and
/// column 8(i>>2) + 2q + (i&1): wgmma's accumulators. Width 1 (the even or odd
/// columns of such a tile): row 16w + g + 8(i&1), column 4(i>>1) + q. Width 0 is
/// a tile of one column: register i holds row 16w + g + 8i, in all four lanes of
/// a quad. Rows from 64 on belong to the second warpgroup.
///
/// Transposed (`blocks` > 0, swap_ab): accumulators of the transposed product, in
/// blocks of rows / 2 registers. Register i of block j of warpgroup v holds
/// column 64(v blocks + j) + 16w + g + 8((i>>1)&1) and row 8(i>>2) + 2q + (i&1).
struct Fragment {
  int64_t rows = 0, cols = 0;
  int64_t width = 0;
  /// The columns are cut into so many parts, each in other warps; 1: the warps
  /// of a row hold all of them.
  int64_t parts = 1;
  int64_t blocks = 0;
  mlir::Value regs; // a vector

  int64_t count() const {
    if (blocks)
      return blocks * rows / 2;
    return width == 0 ? 2 : cols / parts / 2;
  }
  bool sameLayout(const Fragment &other) const {
    return rows == other.rows && cols == other.cols && width == other.width &&
           parts == other.parts && blocks == other.blocks;
  }
};

struct TileValue {
  enum Kind { none, fragment, shared, function, scales } kind = none;
  Fragment frag;
  /// A fragment that is computed where it is used, |count| registers from
  /// |first| at a time: a chain of elementwise ops then needs few registers.
  std::function<mlir::Value(int64_t first, int64_t count)> deferred;
  /// shared: an !sm90.tile; scales: a vector (a's: 2 rows per block of K, b's:
  /// one per scale row and block of K).
  mlir::Value value;
  ElementFn fn;
  /// A function that is the same everywhere: its scalar.
  mlir::Value uniform;
  /// Known to be zero everywhere: an accumulator need not be read.
  bool zero = false;
};

/// A view: where it is and how a row is found.
struct ViewRef {
  tile::ViewType type;
  unsigned dataSlot = 0;
  llvm::SmallVector<int64_t> extentSlots; // -1 where static
  mlir::Value data, scale;                // !llvm.ptr<1>; scale may be null
  llvm::SmallVector<mlir::Value> extents; // i64, one per dimension
  /// tile.paged: the table and the index (i64) of the sequence's first entry.
  mlir::Value pageTable, pageBase;
  int64_t pageSize = 0;
  ViewRef *pool = nullptr;
  /// tile.rows: the view it gathers from, and the source rows (i32): in a
  /// consumer those of its two fragment rows, in the producer those of rows
  /// lane, lane + 32, ...
  const ViewRef *source = nullptr;
  mlir::Value gatherRegs;
};

} // namespace hadal::nvptx
