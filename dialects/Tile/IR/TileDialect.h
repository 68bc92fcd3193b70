// The tile dialect: kernels with tiles as values.
#pragma once

#include "mlir/Bytecode/BytecodeOpInterface.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/IR/Builders.h"
#include "mlir/IR/BuiltinTypes.h"
#include "mlir/IR/Dialect.h"
#include "mlir/IR/OpDefinition.h"
#include "mlir/IR/OpImplementation.h"
#include "mlir/IR/SymbolTable.h"
#include "mlir/Interfaces/InferTypeOpInterface.h"
#include "mlir/Interfaces/SideEffectInterfaces.h"

#include "dialects/Tile/IR/TileDialect.h.inc"
#include "dialects/Tile/IR/TileEnums.h.inc"
#define GET_ATTRDEF_CLASSES
#include "dialects/Tile/IR/TileAttrs.h.inc"
#define GET_TYPEDEF_CLASSES
#include "dialects/Tile/IR/TileTypes.h.inc"

namespace hadal::tile {

/// Columns of a row of i4 codes that share a scale.
inline constexpr int64_t kInt4Group = 32;

/// True for the element type of weights of four bits.
inline bool isInt4(mlir::Type element) { return element.isInteger(4); }

/// Bytes of a scale in the memory of |view|, a scaled one: bf16 for i4 codes,
/// else f32.
int64_t scaleBytes(ViewType view);

/// Bytes from one innermost row to the next of memory of |rank| dimensions with
/// |columns| elements of |element| in a row, on a GPU: rows of bf16 and e4m3fn
/// matrices start at multiples of 16 bytes, as its bulk copies need; everything
/// else is dense, as all memory is on the CPU.
int64_t rowPitchBytes(mlir::Type element, int64_t rank, int64_t columns);
/// Of |view|; 0 if its innermost extent is dynamic.
int64_t rowPitchBytes(ViewType view);

/// The entry of the sizes that |bound|, neither none nor expert_rows, compares
/// with.
SizeName sizeNameOf(Bound bound);

} // namespace hadal::tile

#define GET_OP_CLASSES
#include "dialects/Tile/IR/TileOps.h.inc"
