#include "compiler/codegen/cpu/FormBuilder.h"

#include "mlir/Conversion/Passes.h"
#include "mlir/Pass/PassManager.h"
#include "mlir/Transforms/Passes.h"

using namespace mlir;

namespace hadal::cpu {
namespace {

const char *eltName(Elt elt) {
  switch (elt) {
  case Elt::bf16:
    return "bf16";
  case Elt::f32:
    return "f32";
  case Elt::fp8:
    return "fp8";
  case Elt::int4:
    return "int4";
  }
  llvm_unreachable("an element type");
}

int64_t roundUp(int64_t a, int64_t b) { return (a + b - 1) / b * b; }

/// The bf16 bits of e4m3 magnitude |code| (7 bits): exact for every code, the
/// subnormals included; 0x7F is NaN.
uint16_t bf16OfMagnitude(unsigned code) {
  unsigned exponent = code >> 3, mantissa = code & 7;
  if (code == 0x7F)
    return 0x7FC0;
  if (exponent != 0)
    return ((exponent - 7 + 127) << 7) | (mantissa << 4);
  if (mantissa == 0)
    return 0;
  // Subnormal: mantissa * 2^-9 = 1.f * 2^(top - 9).
  unsigned top = mantissa >= 4 ? 2 : mantissa >= 2 ? 1 : 0;
  return ((127 + top - 9) << 7) | ((mantissa << (7 - top)) & 0x7F);
}

/// f16 of a unit, and how many units are staged at a time.
constexpr int64_t kHalvesBytes = 2 * 64;
constexpr int64_t kHalvesParts = 8;

} // namespace

std::string formSymbol(const FormKey &key) {
  static const char *const names[] = {"pack_row", "gemv", "pack_panel", "panel",
                                      "pack_columns", "gemv_columns"};
  std::string name = "hadal_";
  name += names[static_cast<int>(key.kind)];
  if (key.m)
    name += std::to_string(key.m);
  name += std::string("_") + eltName(key.x) + "_" + eltName(key.w);
  auto add = [&](const char *word, int64_t value) {
    name += std::string("_") + word + std::to_string(value);
  };
  auto addTile = [&](const char *word, const PanelTile &tile) {
    add(word, tile.rows);
    name += "x" + std::to_string(tile.vectors);
  };
  const FormTuning &t = key.tuning;
  switch (key.kind) {
  case FormKind::packRow:
    break;
  case FormKind::gemv:
    add("prefetch", t.prefetch);
    add("unroll", t.unroll);
    break;
  case FormKind::gemvColumns:
    add("prefetch", t.prefetch);
    add("group", t.kGroup);
    break;
  case FormKind::packPanel:
  case FormKind::packColumns:
    add("vectors", t.tile.vectors);
    add("or", t.tile256.vectors);
    break;
  case FormKind::panel:
    addTile("tile", t.tile);
    addTile("or", t.tile256);
    add("unroll", t.panelUnroll);
    add("decoded", t.decodedRows);
    add("chunk", t.chunkBytes);
    add("prefetch", t.prefetchBlocks);
    break;
  }
  return name;
}

FormKey::FormKey(FormKind kind, Elt x, Elt w, const FormTuning &all, int m)
    : kind(kind), x(x), w(w), m(m) {
  switch (kind) {
  case FormKind::packRow:
    break;
  case FormKind::gemv:
    tuning.prefetch = all.prefetch;
    tuning.unroll = all.unroll;
    break;
  case FormKind::gemvColumns:
    tuning.prefetch = all.prefetch;
    tuning.kGroup = all.kGroup;
    break;
  case FormKind::packPanel:
  case FormKind::packColumns:
    tuning.tile.vectors = all.tile.vectors;
    tuning.tile256.vectors = all.tile256.vectors;
    break;
  case FormKind::panel:
    tuning.prefetchBlocks = all.prefetchBlocks;
    tuning.chunkBytes = all.chunkBytes;
    tuning.decodedRows = all.decodedRows;
    tuning.panelUnroll = all.panelUnroll;
    tuning.tile = all.tile;
    tuning.tile256 = all.tile256;
    break;
  }
}

Type formType(MLIRContext *context, FormKind kind) {
  // p: pointer, i: i64. The order is documented at FormKind.
  StringRef signature;
  switch (kind) {
  case FormKind::packRow:
    signature = "ppipp";
    break;
  case FormKind::gemv:
    signature = "ppiipipiiiiipip";
    break;
  case FormKind::packPanel:
    signature = "ppiippp";
    break;
  case FormKind::panel:
    signature = "ppipipiiiiipiiiip";
    break;
  case FormKind::packColumns:
    signature = "piiiip";
    break;
  case FormKind::gemvColumns:
    signature = "ppipiiiiip";
    break;
  }
  Type ptr = LLVM::LLVMPointerType::get(context);
  Type i64 = IntegerType::get(context, 64);
  SmallVector<Type> types;
  for (char c : signature)
    types.push_back(c == 'p' ? ptr : i64);
  return LLVM::LLVMFunctionType::get(LLVM::LLVMVoidType::get(context), types);
}

int64_t packedBytes(int64_t columns, int64_t k) {
  return roundUp(columns, kColumnPad) * roundUp(k, kBlock) * 4;
}

int64_t packedScaleBytes(int64_t columns, int64_t k) {
  return roundUp(roundUp(columns, kColumnPad) * (roundUp(k, kBlock) / kBlock) *
                     4,
                 64);
}

int64_t gemvWorkBytes(int64_t k) {
  // The products of two scales, a row for each of at most 8 activation rows.
  return 8 * roundUp(roundUp(k, kBlock) / kBlock * 4, 64);
}

int64_t panelWorkBytes(int64_t columns, int64_t rows, int64_t decodedRows) {
  // Decoded rows, scales, pointers to scale rows; accumulators.
  return decodedRows * (kBlock * 4 + 4 + 8) +
         roundUp(rows, decodedRows) * roundUp(columns, kColumnPad) * 4;
}

FormBuilder::FormBuilder(ModuleOp module, const FormKey &key, Variant variant)
    : key(key), variant(variant), b(module.getLoc(), module.getContext()) {
  bf16Math = variant == Variant::v4Bf16Vbmi && key.x != Elt::f32 &&
             key.w != Elt::f32 && key.kind != FormKind::gemvColumns;
  lanes = variant == Variant::v3 ? 8 : 16;
  tile = lanes == 16 ? key.tuning.tile : key.tuning.tile256;
  bool oneRow = key.kind == FormKind::packRow || key.kind == FormKind::gemv;
  permuted = key.w == Elt::fp8 || (key.w == Elt::int4 && !bf16Math) ||
             (key.w == Elt::bf16 && oneRow && !bf16Math);
  factorBytes = bf16Math ? 2 : 4;
  b.setInsertionPointToEnd(module.getBody());
  func = LLVM::LLVMFuncOp::create(
      b, formSymbol(key),
      cast<LLVM::LLVMFunctionType>(formType(b.getContext(), key.kind)));
  b.setInsertionPointToStart(func.addEntryBlock(b));
}

//===----------------------------------------------------------------------===//
// Scalars and memory
//===----------------------------------------------------------------------===//

Value FormBuilder::i64(int64_t v) {
  return arith::ConstantOp::create(b, b.getI64IntegerAttr(v));
}
Value FormBuilder::i32(int32_t v) {
  return arith::ConstantOp::create(b, b.getI32IntegerAttr(v));
}
Value FormBuilder::add(Value a, Value c) {
  return arith::AddIOp::create(b, a, c);
}
Value FormBuilder::sub(Value a, Value c) {
  return arith::SubIOp::create(b, a, c);
}
Value FormBuilder::mul(Value a, Value c) {
  return arith::MulIOp::create(b, a, c);
}
Value FormBuilder::min(Value a, Value c) {
  return arith::MinSIOp::create(b, a, c);
}
Value FormBuilder::udiv(Value a, Value c) {
  return arith::DivUIOp::create(b, a, c);
}
Value FormBuilder::isNull(Value ptr) {
  Value null = LLVM::ZeroOp::create(b, ptr.getType());
  return LLVM::ICmpOp::create(b, LLVM::ICmpPredicate::eq, ptr, null);
}
Value FormBuilder::at(Value ptr, Value bytes) {
  return LLVM::GEPOp::create(b, ptr.getType(), b.getI8Type(), ptr,
                             ValueRange{bytes});
}
Value FormBuilder::load(Type type, Value ptr, unsigned align) {
  return LLVM::LoadOp::create(b, type, ptr, align);
}
void FormBuilder::store(Value value, Value ptr, unsigned align) {
  LLVM::StoreOp::create(b, value, ptr, align);
}
void FormBuilder::prefetch(Value ptr, int locality) {
  LLVM::Prefetch::create(b, ptr, b.getI32IntegerAttr(0),
                         b.getI32IntegerAttr(locality),
                         b.getI32IntegerAttr(1));
}

void FormBuilder::loop(Value lo, Value hi, int64_t step,
                       function_ref<void(Value)> body) {
  scf::ForOp::create(b, lo, hi, i64(step), ValueRange{},
                     [&](OpBuilder &nested, Location loc, Value iv, ValueRange) {
                       OpBuilder::InsertionGuard guard(b);
                       b.restoreInsertionPoint(nested.saveInsertionPoint());
                       body(iv);
                       scf::YieldOp::create(b);
                     });
}

FormBuilder::Values
FormBuilder::loop(Value lo, Value hi, int64_t step, ValueRange inits,
                  function_ref<Values(Value, ValueRange)> body) {
  auto op = scf::ForOp::create(
      b, lo, hi, i64(step), inits,
      [&](OpBuilder &nested, Location loc, Value iv, ValueRange state) {
        OpBuilder::InsertionGuard guard(b);
        b.restoreInsertionPoint(nested.saveInsertionPoint());
        scf::YieldOp::create(b, body(iv, state));
      });
  return Values(op.getResults());
}

void FormBuilder::when(Value condition, function_ref<void()> then) {
  auto op = scf::IfOp::create(b, condition, /*withElseRegion=*/false);
  OpBuilder::InsertionGuard guard(b);
  b.setInsertionPointToStart(op.thenBlock());
  then();
}

Value FormBuilder::blocksOf(Value k) {
  return arith::ShRUIOp::create(b, add(k, i64(kBlock - 1)), i64(7));
}

//===----------------------------------------------------------------------===//
// Vectors
//===----------------------------------------------------------------------===//

VectorType FormBuilder::vec(int64_t n, Type type) {
  return VectorType::get({n}, type);
}
VectorType FormBuilder::factorVec() {
  return bf16Math ? vec(2 * lanes, b.getBF16Type()) : f32Vec();
}
Value FormBuilder::splatI(VectorType type, int64_t v) {
  unsigned width = type.getElementTypeBitWidth();
  return arith::ConstantOp::create(
      b, DenseElementsAttr::get(type, APInt(width, v, /*isSigned=*/false,
                                            /*implicitTrunc=*/true)));
}
Value FormBuilder::splatF(double v) {
  return arith::ConstantOp::create(
      b, DenseElementsAttr::get(f32Vec(), static_cast<float>(v)));
}
Value FormBuilder::broadcast(Value scalar) {
  VectorType type = vec(lanes, scalar.getType());
  Value undef = LLVM::PoisonOp::create(b, type);
  Value one = LLVM::InsertElementOp::create(b, undef, scalar, i32(0));
  return shuffle(one, one, SmallVector<int32_t>(lanes, 0));
}
Value FormBuilder::bitcast(Type type, Value v) {
  return LLVM::BitcastOp::create(b, type, v);
}
Value FormBuilder::shuffle(Value a, Value c, ArrayRef<int32_t> mask) {
  return LLVM::ShuffleVectorOp::create(b, a, c, mask);
}
Value FormBuilder::fma(Value a, Value c, Value acc) {
  return LLVM::FMAOp::create(b, a.getType(), a, c, acc);
}
Value FormBuilder::addf(Value a, Value c) {
  return arith::AddFOp::create(b, a, c);
}
Value FormBuilder::mulf(Value a, Value c) {
  return arith::MulFOp::create(b, a, c);
}

Value FormBuilder::mac(Value acc, Value a, Value c) {
  if (!bf16Math)
    return fma(a, c, acc);
  return intrinsic(f32Vec(), "llvm.x86.avx512bf16.dpbf16ps.512", {acc, a, c});
}

Value FormBuilder::broadcastFactor(Value ptr) {
  if (!bf16Math)
    return broadcast(load(b.getF32Type(), ptr));
  return bitcast(factorVec(), broadcast(load(b.getI32Type(), ptr)));
}

Value FormBuilder::horizontalSum(Value v) {
  for (int64_t half = lanes / 2; half >= 1; half /= 2) {
    SmallVector<int32_t> low, high;
    for (int64_t i = 0; i < half; ++i) {
      low.push_back(i);
      high.push_back(half + i);
    }
    v = addf(shuffle(v, v, low), shuffle(v, v, high));
  }
  return LLVM::ExtractElementOp::create(b, v, i32(0));
}

void FormBuilder::transpose(MutableArrayRef<Value> rows) {
  // Stage s exchanges the off-diagonal s x s blocks of each 2s x 2s block.
  int64_t n = rows.size();
  for (int64_t s = 1; s < n; s *= 2)
    for (int64_t i = 0; i < n; ++i) {
      if (i & s)
        continue;
      SmallVector<int32_t> low, high;
      for (int64_t j = 0; j < n; ++j) {
        low.push_back(j & s ? n + (j ^ s) : j);
        high.push_back(j & s ? n + j : j ^ s);
      }
      Value a = rows[i], c = rows[i + s];
      rows[i] = shuffle(a, c, low);
      rows[i + s] = shuffle(a, c, high);
    }
}

//===----------------------------------------------------------------------===//
// Operands
//===----------------------------------------------------------------------===//

void FormBuilder::loadTables(Elt elt) {
  if (elt != Elt::fp8)
    return;
  if (!bf16Math) {
    halvesOut = stackBytes(kHalvesParts * kHalvesBytes);
    // vcvtph2ps of memory takes no shuffle where that of registers takes two:
    // the vectors must not be taken from the stores.
    halvesIn = LLVM::InlineAsmOp::create(
                   b, halvesOut.getType(), ValueRange{halvesOut},
                   /*asm_string=*/"", /*constraints=*/"=r,0",
                   /*has_side_effects=*/false, /*is_align_stack=*/false,
                   LLVM::TailCallKind::None, LLVM::AsmDialectAttr(),
                   ArrayAttr())
                   .getResult(0);
    return;
  }
  VectorType bytes = vec(64, b.getI8Type());
  for (int part = 0; part < 4; ++part) {
    SmallVector<int8_t> table;
    for (unsigned i = 0; i < 64; ++i) {
      uint16_t bits = bf16OfMagnitude((part & 1) * 64 + i);
      table.push_back(static_cast<int8_t>(part < 2 ? bits : bits >> 8));
    }
    tables[part] = arith::ConstantOp::create(
        b, DenseElementsAttr::get(bytes, ArrayRef<int8_t>(table)));
  }
  signs = splatI(bytes, 0x80);
}

Value FormBuilder::intrinsic(Type type, StringRef name, ValueRange operands) {
  return LLVM::CallIntrinsicOp::create(b, type, b.getStringAttr(name), operands)
      .getResult(0);
}

FormBuilder::Values FormBuilder::decodeUnit(Elt elt, Value ptr, Value *largest,
                                            Value scales) {
  if (elt == Elt::int4)
    return decodeInt4(ptr, scales);
  Values out;
  if (isScaledCode(elt)) {
    int64_t part = stageCodes(ptr, largest);
    for (int64_t i = 0; i < vectorsPerUnit(); ++i)
      out.push_back(stagedVector(part, i));
    return out;
  }
  if (!bf16Math) {
    for (int64_t i = 0; i < 64; i += 2 * lanes) {
      Value pair = at(ptr, i * bytesOf(elt));
      if (permuted && elt == Elt::bf16) {
        // The even are the low halves of words, the odd the high halves.
        VectorType words = vec(lanes, b.getI32Type());
        Value v = load(words, pair);
        Value even = arith::ShLIOp::create(b, v, splatI(words, 16));
        Value odd = arith::AndIOp::create(b, v, splatI(words, 0xFFFF0000));
        out.push_back(bitcast(f32Vec(), even));
        out.push_back(bitcast(f32Vec(), odd));
        continue;
      }
      Value low = decodeF32(elt, pair),
            high = decodeF32(elt, at(pair, lanes * bytesOf(elt)));
      if (!permuted) {
        out.append({low, high});
        continue;
      }
      for (int32_t odd = 0; odd < 2; ++odd) {
        SmallVector<int32_t> mask;
        for (int32_t l = 0; l < lanes; ++l)
          mask.push_back(2 * l + odd);
        out.push_back(shuffle(low, high, mask));
      }
    }
    return out;
  }
  VectorType bytes = vec(64, b.getI8Type());
  if (elt == Elt::fp8) {
    // Low and high byte of each magnitude's bf16 from 128-entry tables (the
    // permutes ignore bit 7), the sign, and the in-lane unpack.
    Value w = load(bytes, ptr);
    auto lookup = [&](Value first, Value second) -> Value {
      return intrinsic(bytes, "llvm.x86.avx512.vpermi2var.qi.512",
                       {first, w, second});
    };
    Value low = lookup(tables[0], tables[1]);
    Value high = lookup(tables[2], tables[3]);
    high = arith::OrIOp::create(b, high, arith::AndIOp::create(b, w, signs));
    for (int64_t half = 0; half < 2; ++half) {
      SmallVector<int32_t> mask;
      for (int64_t i = 0; i < 32; ++i) {
        int64_t source = i / 8 * 16 + half * 8 + i % 8;
        mask.push_back(source);
        mask.push_back(64 + source);
      }
      out.push_back(bitcast(factorVec(), shuffle(low, high, mask)));
    }
    return out;
  }
  Value lo = load(factorVec(), ptr), hi = load(factorVec(), at(ptr, 64));
  if (!permuted)
    return {lo, hi};
  for (int64_t half = 0; half < 2; ++half) {
    SmallVector<int32_t> mask;
    for (int64_t i = 0; i < 32; ++i)
      mask.push_back(i / 8 * 16 + half * 8 + i % 8);
    out.push_back(shuffle(lo, hi, mask));
  }
  return out;
}

FormBuilder::Values FormBuilder::decodeExactUnit(Elt elt, Value ptr) {
  Values out = decodeUnit(elt, ptr);
  if (isScaledCode(elt))
    for (Value &v : out)
      v = mulf(v, splatF(1 / kCodeScale));
  return out;
}

int64_t FormBuilder::stageCodes(Value ptr, Value *largest) {
  // As f16 a code is its sign in bit 15 and its magnitude in bits 7..13: the
  // odd bytes of words by one shift, the even ones by two. vcvtph2ps makes
  // subnormals exact without the assist that f32 denormals cost some CPUs.
  VectorType words = vec(2 * lanes, b.getI16Type());
  int64_t part = nextHalves;
  nextHalves = (nextHalves + 1) % kHalvesParts;
  Value out = at(halvesOut, part * kHalvesBytes);
  for (int64_t i = 0; i < 64; i += 4 * lanes) {
    Value codes = load(codeVec(), at(ptr, i));
    if (largest)
      *largest = arith::MaxUIOp::create(
          b, *largest, arith::AddIOp::create(b, codes, codes));
    Value v = bitcast(words, codes);
    Value even = arith::ShLIOp::create(b, v, splatI(words, 8));
    for (auto [source, offset] : {std::pair(even, i), {v, i + 2 * lanes}}) {
      Value half = arith::ShRSIOp::create(b, source, splatI(words, 1));
      half = arith::AndIOp::create(b, half, splatI(words, 0xBF80));
      if (!largest) {
        Value nan = splatI(words, 0x3F80);
        Value isNan = arith::CmpIOp::create(
            b, arith::CmpIPredicate::eq, arith::AndIOp::create(b, half, nan),
            nan);
        half = arith::OrIOp::create(b, half,
                                    arith::ExtSIOp::create(b, words, isNan));
      }
      store(half, at(out, 2 * offset));
    }
  }
  return part;
}

Value FormBuilder::stagedVector(int64_t part, int64_t i) {
  // Vectors of 4 * lanes codes: even and odd of the first half, of the second.
  int64_t group = i / 4, half = i % 4 / 2, odd = i % 2;
  int64_t offset = part * kHalvesBytes +
                   2 * lanes * (4 * group + 2 * odd + half);
  Value v = load(vec(lanes, b.getF16Type()), at(halvesIn, offset));
  return LLVM::FPExtOp::create(b, f32Vec(), v);
}

Value FormBuilder::hasNan(Value largest) {
  Value isNan = arith::CmpIOp::create(b, arith::CmpIPredicate::eq, largest,
                                      splatI(codeVec(), kNanByte));
  Value bits = bitcast(b.getIntegerType(4 * lanes), isNan);
  Value none = arith::ConstantOp::create(
      b, b.getIntegerAttr(bits.getType(), 0));
  return arith::CmpIOp::create(b, arith::CmpIPredicate::ne, bits, none);
}

Value FormBuilder::decodeF32(Elt elt, Value ptr) {
  if (elt == Elt::f32)
    return load(f32Vec(), ptr);
  VectorType words = vec(lanes, b.getI32Type());
  Value v = load(vec(lanes, b.getI16Type()), ptr);
  v = arith::ExtUIOp::create(b, words, v);
  return bitcast(f32Vec(), arith::ShLIOp::create(b, v, splatI(words, 16)));
}

Value FormBuilder::stackBytes(int64_t bytes) {
  OpBuilder::InsertionGuard guard(b);
  b.setInsertionPointToStart(&func.getBody().front());
  Type ptr = LLVM::LLVMPointerType::get(b.getContext());
  return LLVM::AllocaOp::create(b, ptr, b.getI8Type(), i64(bytes),
                                /*alignment=*/64);
}

void FormBuilder::stageTail(Elt elt, Value ptr, Value count, Value stage) {
  VectorType bytes = vec(64, b.getI8Type());
  for (int64_t i = 0; i < bytesOf(elt, kBlock); i += 64)
    store(splatI(bytes, 0), at(stage, i));
  if (elt == Elt::int4)
    count = arith::ShRUIOp::create(b, count, i64(1)); // bytes
  int64_t size = std::max<int64_t>(bytesOf(elt), 1);
  Type word = b.getIntegerType(8 * size);
  loop(i64(0), count, 1, [&](Value i) {
    Value offset = mul(i, size);
    store(load(word, at(ptr, offset)), at(stage, offset));
  });
}

void FormBuilder::stageScales(Value ptr, Value count, Value stage) {
  store(splatI(vec(kBlock / kInt4Group, b.getI16Type()), 0), stage);
  loop(i64(0), udiv(count, i64(kInt4Group)), 1, [&](Value i) {
    Value offset = mul(i, 2);
    store(load(b.getI16Type(), at(ptr, offset)), at(stage, offset));
  });
}

//===----------------------------------------------------------------------===//
// Emission
//===----------------------------------------------------------------------===//

void emitForms(ModuleOp module, ArrayRef<FormKey> keys, Variant variant) {
  module.getContext()
      ->loadDialect<LLVM::LLVMDialect, scf::SCFDialect, arith::ArithDialect>();
  for (const FormKey &key : keys) {
    FormBuilder builder(module, key, variant);
    switch (key.kind) {
    case FormKind::packRow:
      builder.emitPackRow();
      break;
    case FormKind::gemv:
      builder.emitGemv();
      break;
    case FormKind::packPanel:
      builder.emitPackPanel();
      break;
    case FormKind::packColumns:
      builder.emitPackColumns();
      break;
    case FormKind::gemvColumns:
      builder.emitGemvColumns();
      break;
    case FormKind::panel:
      builder.emitPanel();
      break;
    }
  }
}

LogicalResult lowerForms(ModuleOp module) {
  PassManager manager(module.getContext());
  manager.addPass(createCanonicalizerPass());
  manager.addPass(createCSEPass());
  manager.addPass(createSCFToControlFlowPass());
  manager.addPass(createConvertControlFlowToLLVMPass());
  manager.addPass(createArithToLLVMConversionPass());
  manager.addPass(createReconcileUnrealizedCastsPass());
  return manager.run(module);
}

} // namespace hadal::cpu
