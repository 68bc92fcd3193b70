// The decoders of the opcode table, by the file that holds them.
#pragma once

#include "runtime/drivers/sim/Decoder.h"

namespace hadal::sim {

// Arithmetic.cpp: add sub mul div rem min max abs neg; fma mad
Status decodeArithmetic(DecodeContext &context);
Status decodeFma(DecodeContext &context);
// HalfMath.cpp: the same on f16, bf16 and pairs of them
Status decodeHalfArithmetic(DecodeContext &context, Type type);
// FloatMath.cpp: ex2 lg2 rcp sqrt rsqrt sin cos tanh copysign testp
Status decodeFloatMath(DecodeContext &context);
// Logic.cpp: and or xor not cnot; shl shr; bfe bfi prmt lop3 shf clz ...
Status decodeLogic(DecodeContext &context);
Status decodeShift(DecodeContext &context);
Status decodeBits(DecodeContext &context);
// Move.cpp: mov; setp set; selp slct
Status decodeMove(DecodeContext &context);
Status decodeCompare(DecodeContext &context);
Status decodeSelect(DecodeContext &context);
// Conversion.cpp: cvt
Status decodeConvert(DecodeContext &context);
// MemoryAccess.cpp: ld st cvta isspacep
Status decodeLoad(DecodeContext &context);
Status decodeStore(DecodeContext &context);
Status decodeAddressConvert(DecodeContext &context);
Status decodeClusterAddress(DecodeContext &context); // mapa getctarank
// Atomic.cpp: atom red
Status decodeAtomic(DecodeContext &context);
// MatrixMove.cpp: ldmatrix stmatrix
Status decodeMatrixMove(DecodeContext &context);
// Control.cpp: bra brx ret exit trap; bar barrier; fences and hints
Status decodeBranch(DecodeContext &context);
Status decodeExit(DecodeContext &context);
Status decodeBarrier(DecodeContext &context);
Status decodeFence(DecodeContext &context);
Status decodeNothing(DecodeContext &context);
Status decodeGridDependency(DecodeContext &context);
Status decodeSetMaxRegisters(DecodeContext &context);
// Collective.cpp: shfl vote match redux elect activemask
Status decodeShuffle(DecodeContext &context);
Status decodeVote(DecodeContext &context);
Status decodeMatch(DecodeContext &context);
Status decodeRedux(DecodeContext &context);
Status decodeElect(DecodeContext &context);
Status decodeActiveMask(DecodeContext &context);
// Copy.cpp: cp.async and its groups; bulk copies are decoded by Bulk*.cpp
Status decodeCopy(DecodeContext &context);
Status decodeBulkCopy(DecodeContext &context);
Status decodeCopyArrive(DecodeContext &context);
// MbarrierOps.cpp: mbarrier.*
Status decodeMbarrier(DecodeContext &context);
// WgmmaOps.cpp: wgmma.*
Status decodeWgmma(DecodeContext &context);

} // namespace hadal::sim
