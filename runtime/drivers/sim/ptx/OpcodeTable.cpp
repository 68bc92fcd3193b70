// Opcode -> decoder.
#include "runtime/drivers/sim/ptx/Opcodes.h"

#include <algorithm>

namespace hadal::sim {
namespace {

struct Entry {
  std::string_view opcode;
  Decode decode;
};

/// Sorted by opcode.
constexpr Entry table[] = {
    {"abs", decodeArithmetic},
    {"activemask", decodeActiveMask},
    {"add", decodeArithmetic},
    {"and", decodeLogic},
    {"atom", decodeAtomic},
    {"bar", decodeBarrier},
    {"barrier", decodeBarrier},
    {"bfe", decodeBits},
    {"bfi", decodeBits},
    {"bfind", decodeBits},
    {"bra", decodeBranch},
    {"brev", decodeBits},
    {"brx", decodeBranch},
    {"clz", decodeBits},
    {"cnot", decodeLogic},
    {"copysign", decodeFloatMath},
    {"cos", decodeFloatMath},
    {"cp", decodeCopy},
    {"cvt", decodeConvert},
    {"cvta", decodeAddressConvert},
    {"div", decodeArithmetic},
    {"elect", decodeElect},
    {"ex2", decodeFloatMath},
    {"exit", decodeExit},
    {"fence", decodeFence},
    {"fma", decodeFma},
    {"getctarank", decodeClusterAddress},
    {"griddepcontrol", decodeGridDependency},
    {"isspacep", decodeAddressConvert},
    {"ld", decodeLoad},
    {"ldmatrix", decodeMatrixMove},
    {"ldu", decodeLoad},
    {"lg2", decodeFloatMath},
    {"lop3", decodeBits},
    {"mad", decodeFma},
    {"mapa", decodeClusterAddress},
    {"match", decodeMatch},
    {"max", decodeArithmetic},
    {"mbarrier", decodeMbarrier},
    {"membar", decodeFence},
    {"min", decodeArithmetic},
    {"mov", decodeMove},
    {"mul", decodeArithmetic},
    {"nanosleep", decodeNothing},
    {"neg", decodeArithmetic},
    {"not", decodeLogic},
    {"or", decodeLogic},
    {"popc", decodeBits},
    {"prefetch", decodeNothing},
    {"prefetchu", decodeNothing},
    {"prmt", decodeBits},
    {"rcp", decodeFloatMath},
    {"red", decodeAtomic},
    {"redux", decodeRedux},
    {"rem", decodeArithmetic},
    {"ret", decodeExit},
    {"rsqrt", decodeFloatMath},
    {"selp", decodeSelect},
    {"set", decodeCompare},
    {"setmaxnreg", decodeSetMaxRegisters},
    {"setp", decodeCompare},
    {"shf", decodeBits},
    {"shfl", decodeShuffle},
    {"shl", decodeShift},
    {"shr", decodeShift},
    {"sin", decodeFloatMath},
    {"slct", decodeSelect},
    {"sqrt", decodeFloatMath},
    {"st", decodeStore},
    {"stmatrix", decodeMatrixMove},
    {"sub", decodeArithmetic},
    {"tanh", decodeFloatMath},
    {"testp", decodeFloatMath},
    {"trap", decodeExit},
    {"vote", decodeVote},
    {"wgmma", decodeWgmma},
    {"xor", decodeLogic},
};

static_assert(std::is_sorted(std::begin(table), std::end(table),
                             [](const Entry &a, const Entry &b) {
                               return a.opcode < b.opcode;
                             }));

} // namespace

Decode findDecoder(std::string_view opcode) {
  const Entry *found = std::lower_bound(
      std::begin(table), std::end(table), opcode,
      [](const Entry &e, std::string_view name) { return e.opcode < name; });
  return found != std::end(table) && found->opcode == opcode ? found->decode
                                                             : nullptr;
}

} // namespace hadal::sim
