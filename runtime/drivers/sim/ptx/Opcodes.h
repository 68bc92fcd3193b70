// The decoders of the opcode table, by the file in ops/ that holds them.
#pragma once

#include "runtime/drivers/sim/ptx/Decoder.h"

namespace hadal::sim {

// AddMulFma.cpp: add sub mul div rem min max abs neg; fma mad
Status decodeArithmetic(DecodeContext &context);
Status decodeFma(DecodeContext &context);
// AddMulFmaHalf.cpp: the same on f16, bf16 and pairs of them
Status decodeHalfArithmetic(DecodeContext &context, Type type);
// Ex2RcpSqrt.cpp: ex2 lg2 rcp sqrt rsqrt sin cos tanh copysign testp
Status decodeFloatMath(DecodeContext &context);
// AndShfLop3.cpp: and or xor not cnot; shl shr; bfe bfi prmt lop3 shf clz ...
Status decodeLogic(DecodeContext &context);
Status decodeShift(DecodeContext &context);
Status decodeBits(DecodeContext &context);
// MovSetpSelp.cpp: mov; setp set; selp slct
Status decodeMove(DecodeContext &context);
Status decodeCompare(DecodeContext &context);
Status decodeSelect(DecodeContext &context);
// Cvt.cpp: cvt
Status decodeConvert(DecodeContext &context);
// LdSt.cpp: ld st cvta isspacep
Status decodeLoad(DecodeContext &context);
Status decodeStore(DecodeContext &context);
Status decodeAddressConvert(DecodeContext &context);
Status decodeClusterAddress(DecodeContext &context); // mapa getctarank
// AtomRed.cpp: atom red
Status decodeAtomic(DecodeContext &context);
// LdmatrixStmatrix.cpp: ldmatrix stmatrix
Status decodeMatrixMove(DecodeContext &context);
// BraBarFence.cpp: bra brx ret exit trap; bar barrier; fences and hints
Status decodeBranch(DecodeContext &context);
Status decodeExit(DecodeContext &context);
Status decodeBarrier(DecodeContext &context);
Status decodeFence(DecodeContext &context);
Status decodeNothing(DecodeContext &context);
Status decodeGridDependency(DecodeContext &context);
Status decodeSetMaxRegisters(DecodeContext &context);
// ShflVoteMatch.cpp: shfl vote match redux elect activemask
Status decodeShuffle(DecodeContext &context);
Status decodeVote(DecodeContext &context);
Status decodeMatch(DecodeContext &context);
Status decodeRedux(DecodeContext &context);
Status decodeElect(DecodeContext &context);
Status decodeActiveMask(DecodeContext &context);
// CpAsync.cpp: cp.async and its groups; bulk copies are decoded by CpAsyncBulk.cpp
Status decodeCopy(DecodeContext &context);
Status decodeBulkCopy(DecodeContext &context);
Status decodeCopyArrive(DecodeContext &context);
// Mbarrier.cpp: mbarrier.*
Status decodeMbarrier(DecodeContext &context);
// Wgmma.cpp: wgmma.*
Status decodeWgmma(DecodeContext &context);

} // namespace hadal::sim
