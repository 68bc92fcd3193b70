// Codes of four bits to exact bf16 values: a group's sixteen values are made
// once, by its scale and one rounding, and each code takes its own by a
// permute.
#include "compiler/codegen/cpu/FormBuilder.h"

using namespace mlir;

namespace hadal::cpu {

/// The values of codes |first| .. |first| + |count| - 1 before their scale.
static SmallVector<float> codeValues(int64_t first, int64_t count) {
  SmallVector<float> values;
  for (int64_t code = first; code < first + count; ++code)
    values.push_back(static_cast<float>(code - 8));
  return values;
}

Value FormBuilder::roundedTable(ArrayRef<float> codes, Value scale) {
  Value values =
      arith::ConstantOp::create(b, DenseElementsAttr::get(f32Vec(), codes));
  VectorType words = vec(lanes, b.getI32Type());
  // To nearest even. A scale is bf16 and a code an integer, so no NaN has bits
  // that the addition carries out of.
  Value bits = bitcast(words, mulf(values, scale));
  Value odd = arith::AndIOp::create(
      b, arith::ShRUIOp::create(b, bits, splatI(words, 16)), splatI(words, 1));
  bits = arith::AddIOp::create(b, bits, splatI(words, 0x7FFF));
  bits = arith::AddIOp::create(b, bits, odd);
  bits = arith::AndIOp::create(b, bits, splatI(words, 0xFFFF0000));
  return bitcast(f32Vec(), bits);
}

FormBuilder::Values FormBuilder::decodeInt4(Value ptr, Value scales) {
  VectorType words = vec(lanes, b.getI32Type());
  auto shl = [&](Value v, int64_t n) -> Value {
    return arith::ShLIOp::create(b, v, splatI(words, n));
  };
  auto shr = [&](Value v, int64_t n) -> Value {
    return arith::ShRUIOp::create(b, v, splatI(words, n));
  };
  // A byte in each word: its low half is an even element, its high half the odd
  // one behind it.
  auto loadBytes = [&](int64_t element) -> Value {
    Value bytes = load(vec(lanes, b.getI8Type()), at(ptr, element / 2));
    return arith::ExtUIOp::create(b, words, bytes);
  };
  // The two groups' scales, as f32 in every lane.
  Value both = broadcast(load(b.getI32Type(), scales));
  Value scale[2] = {bitcast(f32Vec(), shl(both, 16)),
                    bitcast(f32Vec(), arith::AndIOp::create(
                                          b, both, splatI(words, 0xFFFF0000)))};
  Values out;
  if (bf16Math) {
    // One table of two groups; bit 4 of an index, of which the permute takes
    // five, is the group. Both codes of a byte get into halves of its word.
    Value values = arith::ConstantOp::create(
        b, DenseElementsAttr::get(f32Vec(), ArrayRef(codeValues(0, 16))));
    VectorType halves = vec(32, b.getI16Type());
    Value table = bitcast(
        halves, intrinsic(factorVec(), "llvm.x86.avx512bf16.cvtne2ps2bf16.512",
                          {mulf(values, scale[1]), mulf(values, scale[0])}));
    for (int64_t group = 0; group < 2; ++group) {
      Value v = loadBytes(group * kInt4Group);
      v = arith::OrIOp::create(b, v, shl(v, 12));
      if (group == 0)
        v = arith::AndIOp::create(b, v, splatI(words, 0x000F000F));
      else
        v = arith::OrIOp::create(b, v, splatI(words, 0xFFF0FFF0));
      Value chosen = intrinsic(halves, "llvm.x86.avx512.permvar.hi.512",
                               {table, bitcast(halves, v)});
      out.push_back(bitcast(factorVec(), chosen));
    }
    return out;
  }
  for (int64_t group = 0; group < 2; ++group) {
    if (lanes == 16) {
      Value table = roundedTable(codeValues(0, 16), scale[group]);
      Value v = loadBytes(group * kInt4Group);
      // The permute takes four bits of an index.
      for (Value index : {v, shr(v, 4)})
        out.push_back(intrinsic(f32Vec(), "llvm.x86.avx512.permvar.sf.512",
                                {table, index}));
      continue;
    }
    // Eight lanes: two tables, three bits of an index; bit 3 says which, as the
    // sign that a blend takes.
    Value low = roundedTable(codeValues(0, 8), scale[group]),
          high = roundedTable(codeValues(8, 8), scale[group]);
    for (int64_t part = 0; part < kInt4Group; part += 2 * lanes) {
      Value v = loadBytes(group * kInt4Group + part);
      for (int64_t odd = 0; odd < 2; ++odd) {
        Value index = odd ? shr(v, 4) : v;
        auto lookup = [&](Value table) {
          return intrinsic(f32Vec(), "llvm.x86.avx2.permps", {table, index});
        };
        Value isHigh =
            arith::CmpIOp::create(b, arith::CmpIPredicate::slt,
                                  shl(v, odd ? 24 : 28), splatI(words, 0));
        out.push_back(
            arith::SelectOp::create(b, isHigh, lookup(high), lookup(low)));
      }
    }
  }
  return out;
}

} // namespace hadal::cpu
