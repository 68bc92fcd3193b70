#ifndef HADAL_SM90_BASE
#define HADAL_SM90_BASE

include "mlir/IR/OpBase.td"
include "mlir/IR/AttrTypeBase.td"
include "mlir/IR/EnumAttr.td"

def Sm90_Dialect : Dialect {
  let name = "sm90";
  let cppNamespace = "::hadal::sm90";
  let summary = "One CTA of a Hopper kernel, as the code of one thread.";
  let description = [{
    Rings, roles, fragments, in-flight accumulators, tied waits and fences. A
    value of the level is a scalar or a *fragment*: a builtin `vector` that holds
    this thread's registers of a distributed tile. The tile's layout is the
    lowering's knowledge; wgmma's accumulator is, with q = lane & 3, g = lane >> 2
    and w the warp of its warpgroup, register i = row 16w + g + 8((i >> 1) & 1),
    column 8(i >> 2) + 2q + (i & 1).

    Shared memory is `!sm90.tile` (what TMA and wgmma see) or a plain
    `!llvm.ptr<3>`. Global memory is `!llvm.ptr<1>` with llvm loads and stores.
    Besides its own ops the level uses arith, math (exp2, rsqrt, absf), vector,
    llvm and structured control flow (scf). Addresses are i64, shared ones i32.

    What the types make impossible: reading an accumulator in flight (`!sm90.acc`
    is no fragment until `sm90.mma_wait` returns it), a wrong mbarrier parity (it
    is computed from the iteration number), a box that does not fit its tile.
    `--hadal-verify-sm90` checks the rest.
  }];
  let useDefaultTypePrinterParser = 1;
  let useDefaultAttributePrinterParser = 1;
  let dependentDialects = ["::mlir::arith::ArithDialect",
                           "::mlir::math::MathDialect",
                           "::mlir::scf::SCFDialect",
                           "::mlir::vector::VectorDialect",
                           "::mlir::LLVM::LLVMDialect"];
}

//===----------------------------------------------------------------------===//
// Enums
//===----------------------------------------------------------------------===//

class Sm90_Enum<string name, string summary, list<I32EnumAttrCase> cases>
    : I32EnumAttr<name, summary, cases> {
  let cppNamespace = "::hadal::sm90";
  let genSpecializedAttr = 0;
}
class Sm90_EnumAttr<Sm90_Enum e, string mnemonic>
    : EnumAttr<Sm90_Dialect, e, mnemonic> {
  let assemblyFormat = "$value";
}

def Sm90_Sreg : Sm90_Enum<"Sreg", "a special register", [
    I32EnumAttrCase<"Tid", 0, "tid">,
    I32EnumAttrCase<"Ctaid", 1, "ctaid">,
    I32EnumAttrCase<"Nctaid", 2, "nctaid">]>;
def Sm90_SregAttr : Sm90_EnumAttr<Sm90_Sreg, "sreg">;

def Sm90_Reduce : Sm90_Enum<"Reduce", "a reduction", [
    I32EnumAttrCase<"Add", 0, "add">,
    I32EnumAttrCase<"Max", 1, "max">]>;
def Sm90_ReduceAttr : Sm90_EnumAttr<Sm90_Reduce, "reduction">;

//===----------------------------------------------------------------------===//
// Attributes
//===----------------------------------------------------------------------===//

def Sm90_MapAttr : AttrDef<Sm90_Dialect, "Map"> {
  let mnemonic = "map";
  let summary = "What a tensor map parameter describes.";
  let description = [{
    The base address is argument slot `slot`. Dimensions innermost first:
    `extents` in elements (negative: -1 - s for the extent in slot s), `strides`
    in bytes (that of dimension 0 is the element), `box` in elements. Loads
    outside give zero.
  }];
  let parameters = (ins "int64_t":$slot, "::mlir::Type":$elementType,
                        ArrayRefParameter<"int64_t">:$extents,
                        ArrayRefParameter<"int64_t">:$strides,
                        ArrayRefParameter<"int64_t">:$box,
                        "int64_t":$swizzle);
  let assemblyFormat = [{
    `<` `slot` $slot `:` $elementType `extents` `[` $extents `]`
    `strides` `[` $strides `]` `box` `[` $box `]` `swizzle` $swizzle `>`
  }];
}

//===----------------------------------------------------------------------===//
// Types
//===----------------------------------------------------------------------===//

class Sm90_Type<string name, string typeMnemonic>
    : TypeDef<Sm90_Dialect, name> {
  let mnemonic = typeMnemonic;
}

def Sm90_TileType : Sm90_Type<"Tile", "tile"> {
  let summary = "A tile in shared memory in 128-byte swizzle.";
  let description = [{
    `rows` x `cols` elements in chunks of 128 bytes of columns: row r, byte c of a
    row lie at base + (c / 128) * pitchRows * 128 + r * 128 + c mod 128, and the
    16-byte pieces of a row are exchanged by the 128-byte swizzle of TMA and
    wgmma (bits 6:4 ^= bits 9:7 of the address). `pitchRows` is `rows` unless the
    tile is a slice of rows of another (`of`). Aligned to 1024 bytes.
  }];
  let parameters = (ins "int64_t":$rows, "int64_t":$cols,
                        "::mlir::Type":$elementType, "int64_t":$pitchRows);
  let builders = [TypeBuilderWithInferredContext<(ins "int64_t":$rows,
      "int64_t":$cols, "::mlir::Type":$elementType), [{
    return $_get(elementType.getContext(), rows, cols, elementType, rows);
  }]>];
  let hasCustomAssemblyFormat = 1;
  let genVerifyDecl = 1;
  let extraClassDeclaration = [{
    int64_t getElementBytes() const {
      return getElementType().getIntOrFloatBitWidth() / 8;
    }
    /// Elements of one 128-byte chunk.
    int64_t getChunkCols() const { return 128 / getElementBytes(); }
    int64_t getChunks() const {
      return (getCols() + getChunkCols() - 1) / getChunkCols();
    }
    int64_t getBytes() const { return getChunks() * getPitchRows() * 128; }
  }];
}

def Sm90_RingType : Sm90_Type<"Ring", "ring"> {
  let summary = "Stages of tiles with a full and an empty mbarrier each.";
  let parameters = (ins "int64_t":$stages,
                        ArrayRefParameter<"::mlir::Type">:$tiles);
  let assemblyFormat = "`<` $stages `x` `[` $tiles `]` `>`";
  let genVerifyDecl = 1;
  let extraClassDeclaration = [{
    ::hadal::sm90::TileType getTile(unsigned i) const {
      return ::llvm::cast<::hadal::sm90::TileType>(getTiles()[i]);
    }
    /// Bytes of one stage, a multiple of 1024.
    int64_t getStageBytes() const;
    /// Byte offset of tile |i| in a stage.
    int64_t getTileOffset(unsigned i) const;
  }];
}

def Sm90_AccType : Sm90_Type<"Acc", "acc"> {
  let summary = "Accumulator registers of a wgmma in flight.";
  let parameters = (ins "int64_t":$registers);
  let assemblyFormat = "`<` $registers `>`";
}

def Sm90_TensorMapType : Sm90_Type<"TensorMap", "tensor_map"> {
  let summary = "A tensor map, a parameter of the kernel.";
}

class Sm90_IsA<string cppType, string what>
    : Type<CPred<"::llvm::isa<::hadal::sm90::" # cppType # ">($_self)">,
                     what, "::hadal::sm90::" # cppType>;
def Sm90_Tile : Sm90_IsA<"TileType", "a tile in shared memory">;
def Sm90_Ring : Sm90_IsA<"RingType", "a ring">;
def Sm90_Acc : Sm90_IsA<"AccType", "an accumulator in flight">;
def Sm90_Map : Sm90_IsA<"TensorMapType", "a tensor map">,
    BuildableType<"::hadal::sm90::TensorMapType::get($_builder.getContext())">;
def Sm90_SharedPtr : Type<
    CPred<"::llvm::isa<::mlir::LLVM::LLVMPointerType>($_self) && "
          "::llvm::cast<::mlir::LLVM::LLVMPointerType>($_self).getAddressSpace() == 3">,
    "a pointer to shared memory">;
def Sm90_GlobalPtr : Type<
    CPred<"::llvm::isa<::mlir::LLVM::LLVMPointerType>($_self) && "
          "::llvm::cast<::mlir::LLVM::LLVMPointerType>($_self).getAddressSpace() == 1">,
    "a pointer to global memory">;
def Sm90_F32Fragment : Type<
    CPred<"::llvm::isa<::mlir::VectorType>($_self) && "
          "::llvm::cast<::mlir::VectorType>($_self).getElementType().isF32()">,
    "a fragment of f32">;
def Sm90_I32Fragment : Type<
    CPred<"::llvm::isa<::mlir::VectorType>($_self) && "
          "::llvm::cast<::mlir::VectorType>($_self).getElementType().isInteger(32)">,
    "a fragment of i32">;

class Sm90_Op<string mnemonic, list<Trait> traits = []>
    : Op<Sm90_Dialect, mnemonic, traits>;

#endif // HADAL_SM90_BASE
